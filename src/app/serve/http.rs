//! Routes and answers. Every answer but the metrics page and the dashboard is JSON; every error says what to do.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use futures_util::StreamExt as _;
use serde::Deserialize;
use serde_json::{Value, json};

use super::health::{KAFKA, Phase, REGISTRY, SILENCE_MAX, WorkerSilence};
use super::problem::ErrorResponse;
use super::verdict::{VerdictQuery, VerdictResponse};
use super::view::DECISIONS_MAX;
use super::{Shared, View, commands, entrance, events, flagd, flagger, kayenta, roles, runbooks, ui};
use crate::judge::WindowRow;
use crate::serve::entrance::Caller;
use crate::verdict::{Decision, RolloutState};

/// The format that Prometheus's text page is in.
const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What can be asked for, for the index and the hint of a 404.
pub(super) const ENDPOINTS: [&str; 17] = [
    "/ui",
    "/livez",
    "/readyz",
    "/metrics",
    "/runbooks/{alert or reason code}",
    "/v1/windows?model=&version=&metric=&column=&segment=",
    "/v1/verdict?rollout=&model=&candidate=&step=",
    "/v1/rollouts",
    "/v1/rollouts/{rollout}/{candidate}?model=",
    "/v1/decisions?rollout=&candidate=&limit=",
    "/v1/events",
    "/v1/access",
    "/v1/flagd/{rollout}.json?model=&candidate=",
    "POST /v1/commands",
    "POST /v1/flagger/{hook}",
    "/v1/kayenta/{canary, standalone_canary_analysis, judge, …}",
    "POST /v1/sql",
];

/// The longest body of a request.
const BODY_BYTES_MAX: usize = 65_536;

/// The longest one that holds series of points: twenty metrics over a day of minutes.
const SERIES_BYTES_MAX: usize = 1 << 20;

/// Of a longer one so much is passed over: a client that is cut off while it writes does not see the answer.
const PASSED_OVER_MAX: usize = 1 << 20;

/// The whole service.
pub(super) fn router(shared: Arc<Shared>) -> Router {
    let router = Router::new();
    #[cfg(feature = "query")]
    let router = router.route("/v1/sql", post(super::sql::post));
    router
        .route("/", get(index))
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .route("/runbooks", get(runbooks::get))
        .route("/runbooks/{name}", get(runbooks::get))
        .route("/v1/windows", get(windows))
        .route("/v1/verdict", get(verdict))
        .route("/v1/rollouts", get(rollouts))
        .route("/v1/rollouts/{rollout}/{candidate}", get(rollout))
        .route("/v1/decisions", get(decisions))
        .route("/v1/events", get(events::events))
        .route("/v1/access", get(roles::get))
        .route("/v1/commands", post(commands::post))
        .route("/v1/flagger/{hook}", post(flagger::post))
        .route("/v1/flagd/{file}", get(flagd::get))
        .nest("/v1/kayenta", kayenta::router())
        .merge(ui::router())
        .fallback(unknown)
        .method_not_allowed_fallback(wrong_method)
        .layer(axum::middleware::from_fn_with_state(shared.limits().patience, whole_body))
        .layer(axum::middleware::from_fn_with_state(Arc::clone(&shared), entrance::enter))
        .with_state(shared)
}

/// Probes and metrics alone. There is nothing else to read, so nobody has to log in.
pub(super) fn probes(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .fallback(elsewhere)
        .layer(axum::middleware::from_fn_with_state(shared.limits().patience, whole_body))
        .layer(axum::middleware::from_fn_with_state(Arc::clone(&shared), entrance::enter))
        .with_state(shared)
}

async fn elsewhere(uri: Uri) -> ErrorResponse {
    let error = format!("no page {} here: this process carries decisions out", uri.path());
    ErrorResponse::new(
        StatusCode::NOT_FOUND,
        error,
        "it has /livez, /readyz and /metrics; ask `haldane run` for the rest",
    )
}

/// Reads the body, within bounds of size and time, before anybody acts on the request.
async fn whole_body(State(patience): State<Duration>, request: Request, next: Next) -> Response {
    let (head, body) = request.into_parts();
    let limit = if head.uri.path() == "/v1/kayenta/judge" { SERIES_BYTES_MAX } else { BODY_BYTES_MAX };
    let mut parts = body.into_data_stream();
    let read = async {
        let (mut whole, mut n_bytes) = (Vec::new(), 0);
        while let Some(part) = parts.next().await {
            let part = part.map_err(|error| broken(&error))?;
            n_bytes += part.len();
            if n_bytes <= limit {
                whole.extend_from_slice(&part);
            } else if n_bytes > limit + PASSED_OVER_MAX {
                break;
            }
        }
        if n_bytes > limit { Err(too_long(limit)) } else { Ok(whole) }
    };
    match tokio::time::timeout(patience, read).await.unwrap_or_else(|_| Err(too_slow(patience))) {
        Ok(whole) => next.run(Request::from_parts(head, Body::from(whole))).await,
        Err(problem) => problem.into_response(),
    }
}

fn too_long(limit: usize) -> ErrorResponse {
    let hint = "shorten it: a command is a few hundred bytes, a query a few thousand";
    ErrorResponse::new(StatusCode::PAYLOAD_TOO_LARGE, format!("the body is longer than {limit} bytes"), hint)
}

fn too_slow(patience: Duration) -> ErrorResponse {
    let error = format!("the body did not come within {patience:?}");
    ErrorResponse::new(StatusCode::REQUEST_TIMEOUT, error, "send it again, at once")
}

fn broken(error: &axum::Error) -> ErrorResponse {
    ErrorResponse::new(StatusCode::BAD_REQUEST, format!("the body cannot be read: {error}"), "send it again")
}

type ApiResult = Result<Json<Value>, ErrorResponse>;
type QueryParams<T> = Result<Query<T>, QueryRejection>;

/// Browsers see the dashboard, programs what there is.
async fn index(headers: HeaderMap) -> Response {
    if ui::wants_page(&headers) {
        return ui::see_other("/ui");
    }
    Json(json!({ "name": "haldane", "version": env!("CARGO_PKG_VERSION"), "endpoints": ENDPOINTS })).into_response()
}

async fn livez(State(shared): State<Arc<Shared>>) -> ApiResult {
    let pulses = shared.health().pulses();
    let dead: Vec<_> = pulses.iter().filter(|pulse| !pulse.alive()).map(describe).collect();
    if dead.is_empty() {
        return Ok(Json(json!({ "status": "alive", "workers": pulses })));
    }
    let hint = format!("a worker ticks at least every {} s; restart the process", SILENCE_MAX.as_secs());
    Err(ErrorResponse::new(StatusCode::SERVICE_UNAVAILABLE, dead.join(", "), hint))
}

fn describe(pulse: &WorkerSilence) -> String {
    format!("worker {} has been silent for {} s", pulse.worker, pulse.silent_ms / 1000)
}

async fn readyz(State(shared): State<Arc<Shared>>) -> ApiResult {
    let not_ready = |error: &str, hint: &str| Err(ErrorResponse::new(StatusCode::SERVICE_UNAVAILABLE, error, hint));
    if let Some(away) = shared.health().outages().get(KAFKA) {
        let error = format!("no answer from Kafka for {} s", away.as_secs());
        return not_ready(&error, "the work goes on by itself once the brokers answer");
    }
    if let Some(away) = shared.health().outages().get(REGISTRY) {
        let error = format!("no answer from the schema registry for {} s, and records wait", away.as_secs());
        return not_ready(&error, "the work goes on by itself once it answers; the log says what it was asked");
    }
    match shared.health().phase() {
        Phase::Ready => Ok(Json(json!({ "status": Phase::Ready }))),
        Phase::Starting => not_ready(
            "starting: joining, restoring or catching up",
            "ask again; haldane_lag_records at /metrics tells how far",
        ),
        Phase::Standby => not_ready(
            "standing by: another process of the group does the work",
            "ask that one; this one takes over when it is gone",
        ),
        Phase::Stopping => not_ready("stopping", "another instance takes over"),
    }
}

async fn metrics(State(shared): State<Arc<Shared>>) -> Response {
    match shared.telemetry().render() {
        Ok(page) => ([(header::CONTENT_TYPE, METRICS_TYPE)], page).into_response(),
        Err(error) => {
            ErrorResponse::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string(), "report this").into_response()
        }
    }
}

/// Which windows; a field that is not given matches all, an empty one only rows without it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WindowQuery {
    model: Option<String>,
    version: Option<String>,
    metric: Option<String>,
    column: Option<String>,
    segment: Option<String>,
}

impl WindowQuery {
    fn matches(&self, row: &WindowRow) -> bool {
        is(self.model.as_deref(), &row.model)
            && is(self.version.as_deref(), &row.version)
            && is(self.metric.as_deref(), &row.metric)
            && is(self.column.as_deref(), &row.column)
            && is(self.segment.as_deref(), &row.segment)
    }
}

fn is(asked: Option<&str>, found: &str) -> bool {
    asked.is_none_or(|asked| asked == found)
}

async fn windows(State(shared): State<Arc<Shared>>, query: QueryParams<WindowQuery>) -> ApiResult {
    let Query(query) = query?;
    let select = |view: &View| {
        let judged: Vec<WindowRow> = view.windows().filter(|row| query.matches(row)).cloned().collect();
        let open: Vec<WindowRow> = view.open().iter().filter(|row| query.matches(row)).cloned().collect();
        (judged, open, view.progress(), view.rows_dropped())
    };
    let (judged, open, progress, dropped) = select(&shared.read());
    Ok(Json(json!({ "windows": judged, "provisional": open, "judged": progress, "rows_dropped": dropped })))
}

/// Always an answer: a tool that takes an error for a failure must not roll anything back because of a typing mistake.
async fn verdict(State(shared): State<Arc<Shared>>, query: QueryParams<BTreeMap<String, String>>) -> Json<Value> {
    let question = query.map_err(|rejection| rejection.body_text()).and_then(|Query(query)| VerdictQuery::of(query));
    Json(json!(question.map_or_else(VerdictResponse::wait, |question| shared.verdict(&question))))
}

async fn rollouts(State(shared): State<Arc<Shared>>) -> Json<Value> {
    let states: Vec<RolloutState> = shared.read().states().cloned().collect();
    Json(json!({ "rollouts": states }))
}

/// Which model, where one rollout spans several.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RolloutQuery {
    model: Option<String>,
}

async fn rollout(
    State(shared): State<Arc<Shared>>,
    Path((rollout, candidate)): Path<(String, String)>,
    query: QueryParams<RolloutQuery>,
) -> ApiResult {
    let Query(query) = query?;
    let wanted = |state: &&RolloutState| {
        state.rollout == rollout && state.candidate == candidate && is(query.model.as_deref(), &state.model)
    };
    let found: Vec<RolloutState> = shared.read().states().filter(wanted).cloned().collect();
    match found.as_slice() {
        [state] => Ok(Json(json!(state))),
        [] => Err(ErrorResponse::new(
            StatusCode::NOT_FOUND,
            format!("no candidate {candidate} in rollout {rollout}"),
            "GET /v1/rollouts lists them all; one appears with its first judged window",
        )),
        several => {
            let models: Vec<_> = several.iter().map(|state| state.model.as_str()).collect();
            let error = format!("candidate {candidate} of rollout {rollout} is there for {} models", models.len());
            Err(ErrorResponse::new(StatusCode::BAD_REQUEST, error, format!("add ?model= one of {}", models.join(", "))))
        }
    }
}

/// Which decisions, and how many.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct DecisionQuery {
    rollout: Option<String>,
    candidate: Option<String>,
    limit: Option<usize>,
}

async fn decisions(State(shared): State<Arc<Shared>>, query: QueryParams<DecisionQuery>) -> ApiResult {
    let Query(query) = query?;
    let wanted = |decision: &&Decision| {
        is(query.rollout.as_deref(), &decision.rollout) && is(query.candidate.as_deref(), &decision.candidate)
    };
    let limit = query.limit.unwrap_or(DECISIONS_MAX);
    let found: Vec<Decision> = shared.read().decisions().filter(wanted).take(limit).cloned().collect();
    Ok(Json(json!({ "decisions": found })))
}

async fn unknown(State(shared): State<Arc<Shared>>, caller: Caller, uri: Uri) -> Response {
    let hint = format!("what there is: {}", ENDPOINTS.join(" "));
    let problem = ErrorResponse::new(StatusCode::NOT_FOUND, format!("no page {}", uri.path()), hint);
    if ui::wants_page(&caller.headers) { ui::problem(&shared, &caller, &problem) } else { problem.into_response() }
}

async fn wrong_method(uri: Uri) -> ErrorResponse {
    let error = format!("{} is not for this method", uri.path());
    let hint = "use GET; rollouts are steered through the commands topic and POST /v1/commands";
    ErrorResponse::new(StatusCode::METHOD_NOT_ALLOWED, error, hint)
}
