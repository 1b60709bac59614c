//! `POST /v1/flagger/{hook}`: Flagger's webhooks ask before each step, and while a canary runs.
//!
//! Flagger sets weights itself, so that nobody else may: it is asked to wait (403) or to go on (200). Only a rollback
//! that may be carried out makes it roll back; while haldane is away it waits. Its own code takes nothing above 202 for
//! a success, so a yes is always 200.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;

use super::Shared;
use super::problem::ErrorResponse;
use super::verdict::{AnswerTerms, VerdictQuery};
use crate::verdict::{Permission, RolloutState, Word};

/// A webhook of Flagger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Hook {
    /// Before a canary begins.
    ConfirmRollout,
    /// Before its weight rises.
    ConfirmTrafficIncrease,
    /// Before it becomes the primary.
    ConfirmPromotion,
    /// While it runs: a yes rolls it back.
    Rollback,
}

/// What Flagger sends, as far as it is read.
#[derive(Debug, Default, Deserialize)]
struct Payload {
    /// What stands under `metadata` of the webhook: `rollout`, `model`, `candidate`, `step`.
    #[serde(default)]
    metadata: BTreeMap<String, String>,
}

/// Yes or no, and why.
type Reply = Result<String, String>;

/// Answers a webhook.
pub(super) async fn post(State(shared): State<Arc<Shared>>, Path(hook): Path<String>, body: Bytes) -> Response {
    let bad = |error: String, hint: &str| ErrorResponse::new(StatusCode::BAD_REQUEST, error, hint).into_response();
    let Ok(known) = serde_json::from_value::<Hook>(hook.as_str().into()) else {
        let hint = "use confirm-rollout, confirm-traffic-increase, confirm-promotion or rollback: a failure of any other hook counts \
                    against the canary, so that an outage of haldane would roll it back";
        return bad(format!("`{hook}` is no hook that haldane answers"), hint);
    };
    let payload = match serde_json::from_slice::<Payload>(&body) {
        Ok(payload) => payload,
        Err(error) => return bad(format!("it is no webhook of Flagger: {error}"), "send what Flagger sends"),
    };
    let question = match VerdictQuery::about(payload.metadata) {
        Ok(question) => question,
        Err(error) => return bad(error, "correct `metadata` of the webhook"),
    };
    let (status, why) = match shared.ask_for_flagger(known, &question) {
        Ok(why) => (StatusCode::OK, why),
        Err(why) => (StatusCode::FORBIDDEN, why),
    };
    (status, why + "\n").into_response()
}

impl Shared {
    fn ask_for_flagger(&self, hook: Hook, question: &VerdictQuery) -> Reply {
        let Some(terms) = self.terms() else { return Err("no pipeline runs here yet".to_owned()) };
        let view = self.read();
        // Without a name the one that runs is meant; what was rolled back before is another.
        let is_meant = |state: &&RolloutState| {
            question.means(state) && !state.is_world() && (question.names_candidate() || state.state.is_live())
        };
        let found: Vec<&RolloutState> = view.states().filter(is_meant).collect();
        match found.as_slice() {
            [state] => known(hook, state, &terms, question),
            [] => unseen(hook, &terms),
            several => {
                Err(format!("{} candidates could be meant: say `candidate` or `model` in metadata", several.len()))
            }
        }
    }
}

/// What is said of a candidate that is judged.
fn known(hook: Hook, state: &RolloutState, terms: &AnswerTerms, question: &VerdictQuery) -> Reply {
    let asked_pct = match hook {
        Hook::ConfirmRollout | Hook::Rollback => None,
        Hook::ConfirmTrafficIncrease => question.step(),
        Hook::ConfirmPromotion => Some(100.0),
    };
    let Permission { word, reason, .. } = terms.permission(state, asked_pct);
    let is_yes = match hook {
        Hook::ConfirmRollout => word != Word::Fail,
        Hook::ConfirmTrafficIncrease | Hook::ConfirmPromotion => word == Word::Pass,
        Hook::Rollback => word == Word::Fail,
    };
    if is_yes { Ok(reason) } else { Err(reason) }
}

/// What is said of one that no window has shown yet: it may have its first traffic, or it could never be judged.
/// Whoever judges must be at work, else it may have been seen long ago.
fn unseen(hook: Hook, terms: &AnswerTerms) -> Reply {
    let first = matches!(hook, Hook::ConfirmRollout | Hook::ConfirmTrafficIncrease);
    match (first, terms.is_watched()) {
        (true, true) => Ok("no window has shown it yet: it may have its first traffic".to_owned()),
        (true, false) => Err("haldane is not near the end of its logs yet".to_owned()),
        (false, _) => Err("no such candidate has been judged yet".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;
    use crate::verdict::rollout::People;
    use crate::verdict::{Liveness, State, liveness};

    const NOW: i64 = 1_796_000_000_000_000;

    /// A pipeline that decides by itself, whoever judges it being heard of so many microseconds ago.
    fn terms(silent: Option<i64>) -> AnswerTerms {
        let text = "sources: { predictions: { topic: p, id: id, version: v, event_time: t, score: s } }\n\
                    rollout: { baseline: v1, name: r, authority: auto }\n";
        let plan = config::parse(text, "p.yaml", std::path::Path::new("")).expect("a pipeline").plan;
        let sign = |silent| Liveness {
            format: liveness::FORMAT,
            rollout: "r".to_owned(),
            pipeline: "p".to_owned(),
            who: "host".to_owned(),
            at: NOW - silent,
            judged_upto: Some(NOW),
            lag: Some(0),
        };
        AnswerTerms { plan, liveness: silent.map(sign), at: NOW }
    }

    /// A candidate whose last window ended just now; its step is the second, of which the next is the third.
    fn at(state: State) -> RolloutState {
        let people = People { passed: true, ..People::default() };
        let mut one = RolloutState { state, step: 1, people, ..RolloutState::new("r", "m", "v2", "v1") };
        one.judged_upto.0 = NOW;
        one
    }

    fn asked(step: &str) -> VerdictQuery {
        let pairs = [("candidate", "v2"), ("step", step)].map(|(key, value)| (key.to_owned(), value.to_owned()));
        VerdictQuery::about(pairs.into()).expect("a question")
    }

    const HOOKS: [Hook; 4] =
        [Hook::ConfirmRollout, Hook::ConfirmTrafficIncrease, Hook::ConfirmPromotion, Hook::Rollback];

    #[test]
    fn only_a_rollback_that_may_be_carried_out_rolls_back_and_only_a_pass_goes_on() {
        let yes = |state: State| HOOKS.map(|hook| known(hook, &at(state), &terms(Some(0)), &asked("")).is_ok());
        assert_eq!(yes(State::Observing), [true, false, false, false]);
        assert_eq!(yes(State::Held), [true, false, false, false]);
        assert_eq!(yes(State::Passed), [true, true, false, false], "it may have its next step and no more");
        assert_eq!(yes(State::Stable), [true, true, true, false]);
        assert_eq!(yes(State::RolledBack), [false, false, false, true]);
        assert_eq!(yes(State::Retired), [true, false, false, false]);
    }

    #[test]
    fn a_step_may_be_named() {
        let increase =
            |step: &str| known(Hook::ConfirmTrafficIncrease, &at(State::Passed), &terms(Some(0)), &asked(step));
        assert!(increase("5").is_ok() && increase("25%").is_ok());
        assert_eq!(increase("26"), Err("v2 is PASSED: exposure may rise to 25 % only".to_owned()));
        let promotion = known(Hook::ConfirmPromotion, &at(State::Passed), &terms(Some(0)), &asked("5"));
        assert!(promotion.is_err(), "promotion is all traffic, whatever step is named");
    }

    #[test]
    fn while_nobody_judges_it_waits() {
        for terms in [terms(None), terms(Some(10 * liveness::SILENCE_MAX))] {
            let answers = HOOKS.map(|hook| known(hook, &at(State::Stable), &terms, &asked("")).is_ok());
            assert_eq!(answers, [true, false, false, false]);
        }
    }

    #[test]
    fn what_no_window_has_shown_may_have_its_first_traffic_while_somebody_judges() {
        let yes = |terms: &AnswerTerms| HOOKS.map(|hook| unseen(hook, terms).is_ok());
        assert_eq!(yes(&terms(Some(0))), [true, true, false, false]);
        assert_eq!(yes(&terms(Some(liveness::SILENCE_MAX))), [true, true, false, false]);
        assert_eq!(yes(&terms(Some(liveness::SILENCE_MAX + 1))), [false; 4]);
        assert_eq!(yes(&terms(None)), [false; 4]);
        let why = unseen(Hook::ConfirmRollout, &terms(None)).expect_err("nobody judges");
        assert_eq!(why, "haldane is not near the end of its logs yet");
    }

    #[test]
    fn hooks_have_the_names_that_flagger_gives_them() {
        let names = ["confirm-rollout", "confirm-traffic-increase", "confirm-promotion", "rollback"];
        let read = |name: &str| serde_json::from_value::<Hook>(name.into()).ok();
        assert_eq!(names.map(read), HOOKS.map(Some));
        assert!(["pre-rollout", "post-rollout", "event", "Rollback", ""].iter().all(|name| read(name).is_none()));
    }
}
