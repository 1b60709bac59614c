//! `/v1/verdict`: one word about a candidate, for tools that ask before they raise exposure or while they watch.
//!
//! The word is the core's ([`permission`]); here it is asked with what this process knows, and told with what it rests
//! on.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::View;
use crate::event::Micros;
use crate::plan::{Plan, WindowKind};
use crate::verdict::liveness::SILENCE_MAX;
use crate::verdict::{Freshness, Liveness, Permission, RolloutState, State, Word, permission};

/// Rows behind the answer.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(super) struct RowCounts {
    pub(super) candidate: u64,
    pub(super) baseline: u64,
}

/// The whole answer. Every field is always there.
#[derive(Debug, Clone, Serialize)]
pub(super) struct VerdictResponse {
    pub(super) verdict: Word,
    pub(super) decision_id: String,
    pub(super) sequence: u64,
    pub(super) exposure_cap_pct: Option<f64>,
    pub(super) reason: String,
    pub(super) state: Option<State>,
    pub(super) n: RowCounts,
}

impl VerdictResponse {
    /// Nothing is known that could be answered.
    pub(super) fn wait(reason: impl Into<String>) -> Self {
        Self {
            verdict: Word::Wait,
            decision_id: String::new(),
            sequence: 0,
            exposure_cap_pct: None,
            reason: reason.into(),
            state: None,
            n: RowCounts::default(),
        }
    }
}

/// What answers rest on beside the state of a candidate.
#[derive(Debug, Clone)]
pub(super) struct AnswerTerms {
    pub(super) plan: Arc<Plan>,
    /// The last sign of life of whoever judges, while all its workers are alive.
    pub(super) liveness: Option<Liveness>,
    /// The time now.
    pub(super) at: Micros,
}

impl AnswerTerms {
    /// What a candidate may have, where somebody wants to give it a share of traffic, percent, or any step up.
    pub(super) fn permission(&self, state: &RolloutState, asked_pct: Option<f64>) -> Permission {
        let freshness = Freshness::of(state, &self.plan, self.liveness.as_ref(), self.at);
        permission(state, &self.plan.policy, freshness, asked_pct)
    }

    /// Whether somebody judges now, near the ends of the logs: then what no window has shown yet has not been seen.
    pub(super) fn is_watched(&self) -> bool {
        let heard = |at: Micros| self.at.saturating_sub(at).saturating_abs() <= SILENCE_MAX;
        self.liveness.as_ref().is_some_and(|life| life.is_near_end() && heard(life.at))
    }

    /// Event time from one window to the next; `None` where windows end when they are full.
    pub(super) fn every(&self) -> Option<Duration> {
        let even = matches!(self.plan.time.window, WindowKind::Sliding { .. });
        even.then(|| Duration::from_micros(self.plan.time.every().unsigned_abs()))
    }
}

/// Who is asked about, as it stands in the query. A name that is not given matches all.
#[derive(Debug, Clone, Default)]
pub(super) struct VerdictQuery {
    rollout: Option<String>,
    model: Option<String>,
    candidate: Option<String>,
    /// Share of traffic that the candidate is to get, percent.
    step: Option<f64>,
}

impl VerdictQuery {
    /// Reads a query; what is not known in it is passed over.
    pub(super) fn of(query: BTreeMap<String, String>) -> Result<Self, String> {
        let question = Self::about(query)?;
        if question.candidate.is_none() {
            return Err("say which version: ?candidate=".to_owned());
        }
        Ok(question)
    }

    /// The same where the candidate need not be named.
    pub(super) fn about(mut query: BTreeMap<String, String>) -> Result<Self, String> {
        let mut name = |key: &str| query.remove(key).filter(|value| !value.is_empty());
        let (rollout, model, candidate, step) = (name("rollout"), name("model"), name("candidate"), name("step"));
        let step = step.map(|text| text.trim_end_matches('%').parse::<f64>().map_err(|_| text)).transpose();
        let step = step.map_err(|text| format!("step is a share of traffic in percent, not `{text}`"))?;
        Ok(Self { rollout, model, candidate, step })
    }

    /// Whether it says which version.
    pub(super) fn names_candidate(&self) -> bool {
        self.candidate.is_some()
    }

    /// Share of traffic that the candidate is to get, percent.
    pub(super) fn step(&self) -> Option<f64> {
        self.step
    }

    /// Whether a state is one of those that are asked about.
    pub(super) fn means(&self, state: &RolloutState) -> bool {
        let is = |asked: &Option<String>, name: &str| asked.as_deref().is_none_or(|asked| asked == name);
        is(&self.rollout, &state.rollout) && is(&self.model, &state.model) && is(&self.candidate, &state.candidate)
    }
}

/// Answers from what is shown.
pub(super) fn answer(view: &View, terms: Option<&AnswerTerms>, question: &VerdictQuery) -> VerdictResponse {
    let Some(terms) = terms else { return VerdictResponse::wait("no pipeline runs here yet") };
    let found: Vec<_> = view.states().filter(|state| question.means(state)).collect();
    let state = match found.as_slice() {
        [one] => *one,
        [] => return VerdictResponse::wait("no such candidate has been judged yet"),
        several => {
            return VerdictResponse::wait(format!(
                "{} candidates are of this name: add ?rollout= or ?model=",
                several.len()
            ));
        }
    };
    let Permission { word, cap_pct, reason } = terms.permission(state, question.step);
    let decision_id = state.in_force.last().cloned().unwrap_or_default();
    let said = view.decisions().find(|decision| decision.id == decision_id).map(|decision| &decision.reason.text);
    VerdictResponse {
        verdict: word,
        reason: said.map_or(reason.clone(), |said| format!("{reason}; decided: {said}")),
        decision_id,
        sequence: state.sequence,
        exposure_cap_pct: cap_pct,
        state: Some(state.state),
        n: rows(view, state),
    }
}

/// The most rows that any number of the candidate's newest window was computed from, all segments together.
fn rows(view: &View, state: &RolloutState) -> RowCounts {
    let of_it = |row: &&crate::judge::WindowRow| {
        row.model == state.model && row.version == state.candidate && row.segment.is_empty()
    };
    let newest = view.windows().filter(of_it).map(|row| row.window_end).max();
    let of_newest = view.windows().filter(of_it).filter(|row| Some(row.window_end) == newest);
    of_newest.fold(RowCounts::default(), |rows, row| RowCounts {
        candidate: rows.candidate.max(row.n),
        baseline: rows.baseline.max(row.n_baseline),
    })
}
