//! One word about a candidate, for tools that ask before they raise exposure or while they watch.
//!
//! Whoever loses haldane must stop promoting and must not roll back. So there is always an answer, only a rollback that may be
//! carried out is `FAIL`, and only a permission that is fresh is `PASS`. Everything else is `WAIT`, or `BLIND` where the data
//! says nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::View;
use super::view::Known;
use crate::plan::{Authority, Plan, PolicyPlan, Signal, WindowKind};
use crate::verdict::{RolloutState, State, Validity};

/// The word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub(super) enum Word {
    Pass,
    Fail,
    Wait,
    Blind,
}

/// Rows behind the answer.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(super) struct Rows {
    candidate: u64,
    baseline: u64,
}

/// The whole answer. Every field is always there.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Answer {
    verdict: Word,
    decision_id: String,
    sequence: u64,
    exposure_cap_pct: Option<f64>,
    reason: String,
    state: Option<State>,
    n: Rows,
}

impl Answer {
    /// Nothing is known that could be answered.
    pub(super) fn wait(reason: impl Into<String>) -> Self {
        Self {
            verdict: Word::Wait,
            decision_id: String::new(),
            sequence: 0,
            exposure_cap_pct: None,
            reason: reason.into(),
            state: None,
            n: Rows::default(),
        }
    }
}

/// What a pipeline says about acting.
#[derive(Debug, Clone)]
pub(super) struct Terms {
    pub(super) policy: PolicyPlan,
    /// How long a permission counts without a window that confirms it.
    permit: Duration,
    /// Event time from one window to the next; `None` where windows end when they are full.
    pub(super) every: Option<Duration>,
}

impl Terms {
    pub(super) fn of(plan: &Plan) -> Self {
        let (WindowKind::Sliding { slide: every, .. } | WindowKind::AtLeast { size_max: every, .. }) = plan.time.window;
        let stages = &plan.policy.stages;
        let windows = Duration::from_micros(u64::try_from(every).unwrap_or_default()) * stages.permit_windows;
        let even = matches!(plan.time.window, WindowKind::Sliding { .. });
        Self {
            policy: plan.policy.clone(),
            permit: windows.max(Duration::from_secs(stages.lease_s)),
            every: even.then(|| Duration::from_micros(u64::try_from(every).unwrap_or_default())),
        }
    }

    /// Whether a window was judged lately enough for a permission to count.
    fn is_fresh(&self, known: &Known, age: Duration, alive: bool) -> bool {
        alive && known.judged.is_some_and(|at| age.saturating_sub(at) <= self.permit)
    }

    /// The word about a candidate at the exposure it has, and why.
    pub(super) fn word(&self, known: &Known, age: Duration, alive: bool) -> (Word, String) {
        word(&known.state, self, self.is_fresh(known, age, alive), None)
    }

    fn advises_only(&self, signal: Signal) -> bool {
        let of_signal = self.policy.stages.authority.iter().find(|(one, _)| *one == signal);
        of_signal.map_or(self.policy.authority(), |(_, authority)| *authority) == Authority::Advisory
    }

    /// How far exposure may go as things stand, percent.
    pub(super) fn cap_pct(&self, state: &RolloutState) -> Option<f64> {
        let stages = &self.policy.stages;
        match state.state {
            State::RollingBack | State::RolledBack => Some(0.0),
            State::Baking | State::Stable => Some(100.0),
            State::Passed if state.people.forced => Some(100.0),
            State::Passed => {
                let step = stages.cap_at(state.step + 1);
                Some(state.cap_pct.map_or(step, |cap| stages.above(cap).min(step)))
            }
            State::Superseded | State::Retired => None,
            _ => Some(state.cap_pct.unwrap_or_else(|| stages.cap_at(state.step))),
        }
    }
}

/// Who is asked about, as it stands in the query. A name that is not given matches all.
#[derive(Debug, Clone, Default)]
pub(super) struct Question {
    rollout: Option<String>,
    model: Option<String>,
    candidate: Option<String>,
    /// Share of traffic that the candidate is to get, percent.
    step: Option<f64>,
}

impl Question {
    /// Reads a query; what is not known in it is passed over.
    pub(super) fn of(mut query: BTreeMap<String, String>) -> Result<Self, String> {
        let mut name = |key: &str| query.remove(key).filter(|value| !value.is_empty());
        let (rollout, model, candidate, step) = (name("rollout"), name("model"), name("candidate"), name("step"));
        let step = step.map(|text| text.trim_end_matches('%').parse::<f64>().map_err(|_| text)).transpose();
        let step = step.map_err(|text| format!("step is a share of traffic in percent, not `{text}`"))?;
        if candidate.is_none() {
            return Err("say which version: ?candidate=".to_owned());
        }
        Ok(Self { rollout, model, candidate, step })
    }

    fn means(&self, state: &RolloutState) -> bool {
        let is = |asked: &Option<String>, name: &str| asked.as_deref().is_none_or(|asked| asked == name);
        is(&self.rollout, &state.rollout) && is(&self.model, &state.model) && is(&self.candidate, &state.candidate)
    }
}

/// Answers from what is shown. `age` is how old this process is, `alive` whether its workers are.
pub(super) fn answer(view: &View, terms: Option<&Terms>, question: &Question, age: Duration, alive: bool) -> Answer {
    let Some(terms) = terms else { return Answer::wait("no pipeline runs here yet") };
    let found: Vec<_> = view.known().filter(|known| question.means(&known.state)).collect();
    let known = match found.as_slice() {
        [one] => *one,
        [] => return Answer::wait("no such candidate has been judged yet"),
        several => {
            return Answer::wait(format!("{} candidates are of this name: add ?rollout= or ?model=", several.len()));
        }
    };
    let state = &known.state;
    let (verdict, reason) = word(state, terms, terms.is_fresh(known, age, alive), question.step);
    let decision_id = state.in_force.last().cloned().unwrap_or_default();
    let said = view.decisions().find(|decision| decision.id == decision_id).map(|decision| &decision.reason.text);
    Answer {
        verdict,
        reason: said.map_or(reason.clone(), |said| format!("{reason}: {said}")),
        decision_id,
        sequence: state.sequence,
        exposure_cap_pct: terms.cap_pct(state),
        state: Some(state.state),
        n: rows(view, state),
    }
}

/// The most rows that any number of the candidate's newest window was computed from, all segments together.
fn rows(view: &View, state: &RolloutState) -> Rows {
    let of_it = |row: &&crate::judge::WindowRow| {
        row.model == state.model && row.version == state.candidate && row.segment.is_empty()
    };
    let newest = view.windows().filter(of_it).map(|row| row.window_end).max();
    let of_newest = view.windows().filter(of_it).filter(|row| Some(row.window_end) == newest);
    of_newest.fold(Rows::default(), |rows, row| Rows {
        candidate: rows.candidate.max(row.n),
        baseline: rows.baseline.max(row.n_baseline),
    })
}

/// The word, and why.
fn word(state: &RolloutState, terms: &Terms, fresh: bool, step: Option<f64>) -> (Word, String) {
    let cap = terms.cap_pct(state);
    let beyond = step.zip(cap).is_some_and(|(step, cap)| step > cap);
    let waits = |why: String| (Word::Wait, why);
    let is = format!("{} is {}", state.candidate, state.state.name());
    match state.state {
        State::RollingBack | State::RolledBack => restricted(state, terms, Signal::Rollback, is),
        State::Contained if beyond => restricted(state, terms, Signal::Contain, is),
        _ if state.validity == Validity::Blind => {
            (Word::Blind, "the last window lacked data of the candidate or the baseline".to_owned())
        }
        State::Passed | State::Baking | State::Stable => match not_permitted(state, terms, fresh) {
            Some(why) => waits(why.to_owned()),
            None if beyond => waits(format!("exposure may rise to {} % only", cap.unwrap_or_default())),
            None => (Word::Pass, is),
        },
        _ if state.waits_for.is_empty() => waits(is),
        _ => waits(format!("{is} and waits for {}", state.waits_for.join("; "))),
    }
}

/// A restriction that nobody may act on yet is no reason to act.
fn restricted(state: &RolloutState, terms: &Terms, signal: Signal, is: String) -> (Word, String) {
    if state.pending.is_some() {
        return (Word::Wait, format!("{is}, and this waits for approval"));
    }
    if state.people.unissued {
        return (Word::Wait, format!("{is}, decided while everything is frozen"));
    }
    if terms.advises_only(signal) && !state.people.pinned {
        return (Word::Wait, format!("{is}, as advice only"));
    }
    (Word::Fail, is)
}

/// Why a state that would let exposure rise does not.
fn not_permitted(state: &RolloutState, terms: &Terms, fresh: bool) -> Option<&'static str> {
    if state.pending.is_some() {
        Some("the permission waits for approval")
    } else if state.people.frozen_until.is_some() {
        Some("everything is frozen")
    } else if terms.advises_only(Signal::PromoteOk) && !state.people.forced {
        Some("passed, as advice only")
    } else if !fresh {
        Some("the permission is not confirmed by a window judged lately")
    } else {
        None
    }
}
