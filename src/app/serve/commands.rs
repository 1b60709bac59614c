//! `POST /v1/commands`: people steer a rollout over HTTP, with JSON or from the dashboard's forms.
//!
//! Whoever asks proves who they are ([`super::access`]); the command goes the way that all commands go, to the judge,
//! and the answer says what became of it. The actor of a command is never what a request claims.

use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::{BuildHasher as _, Hasher as _};
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Form, FromRequest as _, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use serde_json::json;

use super::entrance::Caller;
use super::problem::ErrorResponse;
use super::{Shared, ui};
use crate::error::Result;
use crate::event::Micros;
use crate::name::NameOf;
use crate::verdict::{Command, CommandKind, CommandName, CommandResult, Outcome};

/// How long an answer is waited for.
const WAIT: Duration = Duration::from_secs(10);

/// The longest reason, in bytes.
const REASON_BYTES_MAX: usize = 4_096;

/// The way of commands to the judge.
pub trait CommandSender: fmt::Debug + Send + Sync {
    /// Sends a command, and waits for what becomes of it; `None` when nobody has answered in time.
    ///
    /// # Errors
    /// When it cannot be sent.
    fn ask(&self, command: &Command, wait: Duration) -> Result<Option<CommandResult>>;
}

/// A command as it is asked for: who asks, and when, is not the client's to say.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct CommandRequest {
    id: Option<String>,
    rollout: String,
    #[serde(default)]
    model: String,
    #[serde(default)]
    candidate: String,
    kind: CommandKind,
    #[serde(default)]
    reason: String,
    ticket: Option<String>,
    if_sequence: Option<u64>,
    expires_at: Option<Micros>,
}

/// The same from a form, where every field is text.
#[derive(Debug, Clone, Deserialize)]
struct FormAsked {
    id: String,
    rollout: String,
    model: String,
    candidate: String,
    kind: NameOf<CommandName>,
    #[serde(default)]
    decision: String,
    #[serde(default)]
    cap_pct: String,
    #[serde(default)]
    reason: String,
    if_sequence: u64,
}

impl FormAsked {
    fn read(self) -> std::result::Result<CommandRequest, ErrorResponse> {
        let bad = |error: String| ErrorResponse::new(StatusCode::BAD_REQUEST, error, "go back and correct it");
        let decision = self.decision;
        let kind = match self.kind.known() {
            Some(CommandName::Approve) => CommandKind::Approve { decision },
            Some(CommandName::Reject) => CommandKind::Reject { decision },
            Some(CommandName::Hold) => CommandKind::Hold,
            Some(CommandName::Resume) => CommandKind::Resume { cap_pct: percent(&self.cap_pct).map_err(bad)? },
            Some(CommandName::ForceRollback) => CommandKind::ForceRollback,
            Some(CommandName::Unfreeze) => CommandKind::Unfreeze,
            Some(CommandName::ClearDenial) => CommandKind::ClearDenial,
            _ => return Err(bad(format!("no button asks for `{}`", self.kind))),
        };
        Ok(CommandRequest {
            id: Some(self.id).filter(|id| !id.is_empty()),
            rollout: self.rollout,
            model: self.model,
            candidate: self.candidate,
            kind,
            reason: self.reason.trim().to_owned(),
            ticket: None,
            if_sequence: Some(self.if_sequence),
            expires_at: None,
        })
    }
}

/// A share in percent; nothing where nothing was written.
fn percent(text: &str) -> std::result::Result<Option<f64>, String> {
    let text = text.trim().trim_end_matches('%').trim_end();
    if text.is_empty() {
        return Ok(None);
    }
    let number = text.replace(',', ".").parse::<f64>().ok().filter(|share| *share > 0.0 && *share <= 100.0);
    number.map(Some).ok_or_else(|| format!("a cap is above 0 and at most 100 %, not `{text}`"))
}

/// Takes a command; a form is answered with a page, everything else with JSON.
pub(super) async fn post(State(shared): State<Arc<Shared>>, caller: Caller, request: Request) -> Response {
    let kind = caller.headers.get(header::CONTENT_TYPE).map(header::HeaderValue::as_bytes).unwrap_or_default();
    if kind.starts_with(b"application/x-www-form-urlencoded") {
        return match from_form(&shared, &caller, request).await {
            Ok(page) => page,
            Err(problem) => ui::problem(&shared, &caller, &problem),
        };
    }
    let answer = async {
        check_kind(kind)?;
        let body = Bytes::from_request(request, &()).await.map_err(|error| unread(&error.body_text()))?;
        let asked = serde_json::from_slice(&body).map_err(|error| unread(&error.to_string()))?;
        steer(&shared, &caller, false, asked).await
    };
    match answer.await {
        Ok((command, Some(result))) => {
            (status(result.outcome), Json(json!({ "id": command.id, "result": result }))).into_response()
        }
        Ok((command, None)) => {
            (StatusCode::ACCEPTED, Json(json!({ "id": command.id, "hint": NO_ANSWER }))).into_response()
        }
        Err(problem) => problem.into_response(),
    }
}

const NO_ANSWER: &str = "sent, and not answered yet: it is carried out when a judge reads it";

async fn from_form(
    shared: &Arc<Shared>,
    caller: &Caller,
    request: Request,
) -> std::result::Result<Response, ErrorResponse> {
    let Form(form) = Form::<FormAsked>::from_request(request, &()).await.map_err(|error| unread(&error.body_text()))?;
    let (command, _) = steer(shared, caller, true, form.read()?).await?;
    let to = ui::rollout_url(&command.rollout, &command.model, &command.candidate);
    Ok(ui::see_other(&format!("{to}&command={}", ui::encoded(&command.id))))
}

fn check_kind(kind: &[u8]) -> std::result::Result<(), ErrorResponse> {
    if kind.starts_with(b"application/json") {
        return Ok(());
    }
    let error = "a command is JSON";
    Err(ErrorResponse::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, error, "send content-type: application/json"))
}

fn unread(error: &str) -> ErrorResponse {
    let hint = r#"send {"rollout": …, "model": …, "candidate": …, "kind": "hold", "reason": …}; `haldane schema command` tells all"#;
    ErrorResponse::new(StatusCode::BAD_REQUEST, format!("this is no command: {error}"), hint)
}

fn status(outcome: Outcome) -> StatusCode {
    match outcome {
        Outcome::Accepted | Outcome::Pending | Outcome::Duplicate => StatusCode::OK,
        Outcome::Conflict => StatusCode::CONFLICT,
        Outcome::Rejected | Outcome::Expired => StatusCode::UNPROCESSABLE_ENTITY,
    }
}

/// Who asks, if it is theirs to ask for this.
fn actor(
    shared: &Shared,
    caller: &Caller,
    is_form: bool,
    command: CommandName,
) -> std::result::Result<String, ErrorResponse> {
    let Some(known) = &caller.known else { return Err(caller.unknown(shared)) };
    if caller.may_be_led(is_form) {
        let hint = "use the dashboard's own buttons; a proxy in front must pass the Host header on";
        return Err(ErrorResponse::new(StatusCode::FORBIDDEN, "this does not come from a page of this server", hint));
    }
    if !known.may(command) {
        let error = format!("{} may not {} ({})", known.name, command.words(), known.powers());
        return Err(ErrorResponse::new(StatusCode::FORBIDDEN, error, "`serve.approvers` says who may do what"));
    }
    Ok(known.name.clone())
}

/// Sends what is asked for to the judge, and waits for the answer.
async fn steer(
    shared: &Arc<Shared>,
    caller: &Caller,
    is_form: bool,
    asked: CommandRequest,
) -> std::result::Result<(Command, Option<CommandResult>), ErrorResponse> {
    let actor = actor(shared, caller, is_form, asked.kind.which())?;
    check_reason(&asked)?;
    if shared.desk.get().is_none() {
        let hint = "commands go to a process with the role `judge` or `all`";
        return Err(ErrorResponse::new(StatusCode::SERVICE_UNAVAILABLE, "this process judges nothing", hint));
    }
    let command = Command {
        id: asked.id.unwrap_or_else(new_id),
        at: 0,
        rollout: asked.rollout,
        model: asked.model,
        candidate: asked.candidate,
        kind: asked.kind,
        actor,
        reason: asked.reason,
        ticket: asked.ticket,
        if_sequence: asked.if_sequence,
        expires_at: asked.expires_at,
    };
    let (sent, desk) = (command.clone(), Arc::clone(shared));
    let answer =
        tokio::task::spawn_blocking(move || desk.desk.get().map(|desk| desk.ask(&sent, WAIT)).transpose()).await;
    let failed = |error: String, hint: &str| ErrorResponse::new(StatusCode::BAD_GATEWAY, error, hint);
    let result = answer
        .map_err(|error| failed(error.to_string(), "report this"))?
        .map_err(|error| failed(error.to_string(), error.advice().unwrap_or("try again")))?
        .flatten();
    result.iter().for_each(|result| shared.answered(result));
    tracing::info!(actor = command.actor, kind = command.kind.name(), id = command.id, "commanded over http");
    Ok((command, result))
}

fn check_reason(asked: &CommandRequest) -> std::result::Result<(), ErrorResponse> {
    let bad =
        |error: &str| Err(ErrorResponse::new(StatusCode::BAD_REQUEST, error, "the reason stands in the decision"));
    match asked.reason.len() {
        0 if !matches!(asked.kind, CommandKind::Ack { .. }) => bad("it does not say why"),
        n if n > REASON_BYTES_MAX => bad("the reason is longer than 4,096 bytes"),
        _ => Ok(()),
    }
}

/// Unlike any other: 128 random bits of the system's.
pub fn new_id() -> String {
    let random = || RandomState::new().build_hasher().finish();
    format!("http-{:016x}{:016x}", random(), random())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cap_is_a_share_of_traffic() {
        let cases = [("", None), (" 5 ", Some(5.0)), ("2,5 %", Some(2.5)), ("100%", Some(100.0))];
        for (text, share) in cases {
            assert_eq!(percent(text), Ok(share), "{text}");
        }
        for text in ["0", "101", "-1", "five", "NaN", "inf"] {
            assert!(percent(text).is_err(), "{text}");
        }
    }

    #[test]
    fn ids_differ() {
        assert_ne!(new_id(), new_id());
    }
}
