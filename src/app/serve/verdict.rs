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
        let step = step.and_then(|step| match step {
            Some(step) if !(0.0..=100.0).contains(&step) => Err(step.to_string()),
            step => Ok(step),
        });
        let step = step.map_err(|text| format!("step is a share of traffic from 0 to 100 percent, not `{text}`"))?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;
    use crate::engine::Effects;
    use crate::judge::WindowRow;
    use crate::verdict::Decision;

    fn query(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    fn asked(pairs: &[(&str, &str)]) -> VerdictQuery {
        VerdictQuery::of(query(pairs)).expect("a question")
    }

    fn terms() -> AnswerTerms {
        let text = "sources: { predictions: { topic: p, id: id, version: v, event_time: t, score: s } }\n\
                    rollout: { baseline: v1, name: r }\n";
        let plan = config::parse(text, "p.yaml", std::path::Path::new("")).expect("a pipeline").plan;
        AnswerTerms { plan, liveness: None, at: 0 }
    }

    fn state(model: &str, candidate: &str) -> RolloutState {
        RolloutState { state: State::Held, sequence: 4, ..RolloutState::new("r", model, candidate, "v1") }
    }

    fn row(version: &str, segment: &str, end: Micros, n: u64) -> WindowRow {
        serde_json::from_value(serde_json::json!({
            "window_start": end - 10, "window_end": end, "model": "m", "version": version, "segment": segment,
            "baseline": "concurrent:v1", "reference": "", "column": format!("c{n}"), "metric": "psi",
            "convention": "own", "revision": 0, "status": "ok", "value": 0.1, "n": n, "n_baseline": n * 2, "bins": 10,
        }))
        .expect("a row")
    }

    fn view(states: Vec<RolloutState>, windows: Vec<WindowRow>, decisions: Vec<Decision>) -> View {
        let mut view = View::default();
        view.publish(&Effects { states, windows, decisions, ..Effects::default() });
        view
    }

    #[test]
    fn a_step_is_a_share_in_percent_and_nothing_else() {
        for (text, step) in [("25", 25.0), ("25%", 25.0), ("0", 0.0), ("100%", 100.0), ("0.5", 0.5)] {
            assert_eq!(asked(&[("candidate", "v2"), ("step", text)]).step(), Some(step), "{text}");
        }
        for text in ["nan", "inf", "-1", "101", "half", "%", "1e9"] {
            let error = VerdictQuery::of(query(&[("candidate", "v2"), ("step", text)])).expect_err(text);
            assert!(error.starts_with("step is a share of traffic from 0 to 100 percent, not `"), "{text}: {error}");
        }
        assert_eq!(asked(&[("candidate", "v2"), ("step", ""), ("other", "x")]).step(), None, "an empty one is none");
    }

    #[test]
    fn a_question_is_about_a_version_and_may_say_of_what() {
        let error = VerdictQuery::of(query(&[("rollout", "r"), ("candidate", "")])).expect_err("nobody");
        assert_eq!(error, "say which version: ?candidate=");
        assert!(!VerdictQuery::about(query(&[("rollout", "r")])).expect("a question").names_candidate());
        let known = state("m", "v2");
        for (pairs, means) in [
            (&[("candidate", "v2")][..], true),
            (&[("candidate", "v2"), ("model", "m"), ("rollout", "r")], true),
            (&[("candidate", "v3")], false),
            (&[("candidate", "v2"), ("model", "n")], false),
            (&[("candidate", "v2"), ("rollout", "s")], false),
        ] {
            assert_eq!(asked(pairs).means(&known), means, "{pairs:?}");
        }
    }

    #[test]
    fn where_nothing_is_known_the_word_is_to_wait_and_why() {
        let (question, terms) = (asked(&[("candidate", "v2")]), terms());
        let said = |view: &View, terms| {
            let told = answer(view, terms, &question);
            assert_eq!((told.verdict, told.exposure_cap_pct), (Word::Wait, None));
            told.reason
        };
        let none = view(vec![], vec![], vec![]);
        assert_eq!(said(&none, None), "no pipeline runs here yet");
        assert_eq!(said(&none, Some(&terms)), "no such candidate has been judged yet");
        let two = view(vec![state("m", "v2"), state("n", "v2")], vec![], vec![]);
        assert_eq!(said(&two, Some(&terms)), "2 candidates are of this name: add ?rollout= or ?model=");
        let one = answer(&two, Some(&terms), &asked(&[("candidate", "v2"), ("model", "n")]));
        assert_eq!((one.state, one.sequence), (Some(State::Held), 4));
    }

    #[test]
    fn an_answer_carries_the_decision_in_force_and_the_rows_of_the_newest_window() {
        let line = include_str!("../../../tests/data/recorded/flights.decisions.jsonl").lines().next();
        let decision: Decision = serde_json::from_str(line.expect("a line")).expect("a decision");
        let held = RolloutState { in_force: vec!["b3:old".to_owned(), decision.id.clone()], ..state("m", "v2") };
        let windows = vec![
            row("v2", "", 100, 9_000),
            row("v2", "", 200, 30),
            row("v2", "", 200, 50),
            row("v2", "country=DE", 200, 70),
            row("v1", "", 200, 80),
        ];
        let told =
            answer(&view(vec![held], windows, vec![decision.clone()]), Some(&terms()), &asked(&[("candidate", "v2")]));
        assert_eq!(told.decision_id, decision.id);
        assert!(told.reason.ends_with(&format!("; decided: {}", decision.reason.text)), "{}", told.reason);
        assert_eq!((told.n.candidate, told.n.baseline), (50, 100));
        let bare =
            answer(&view(vec![state("m", "v2")], vec![], vec![]), Some(&terms()), &asked(&[("candidate", "v2")]));
        assert!(bare.decision_id.is_empty() && !bare.reason.contains("decided"), "{}", bare.reason);
        let body = serde_json::to_value(&bare).expect("JSON");
        let keys: Vec<&String> = body.as_object().expect("an object").keys().collect();
        assert_eq!(keys, ["decision_id", "exposure_cap_pct", "n", "reason", "sequence", "state", "verdict"]);
    }

    #[test]
    fn who_was_heard_of_lately_near_the_end_of_the_log_watches() {
        let life = |at, lag| Liveness {
            format: crate::verdict::liveness::FORMAT,
            rollout: "r".to_owned(),
            pipeline: "p".to_owned(),
            who: "w".to_owned(),
            at,
            judged_upto: None,
            lag,
        };
        let watched = |liveness| AnswerTerms { liveness, at: 10 * SILENCE_MAX, ..terms() }.is_watched();
        assert!(!watched(None));
        assert!(watched(Some(life(9 * SILENCE_MAX, Some(0)))));
        assert!(!watched(Some(life(9 * SILENCE_MAX - 1, Some(0)))), "too long ago");
        assert!(!watched(Some(life(11 * SILENCE_MAX + 1, Some(0)))), "a clock that is ahead");
        assert!(!watched(Some(life(10 * SILENCE_MAX, None))), "nobody knows how far it reads");
    }
}
