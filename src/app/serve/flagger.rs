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
