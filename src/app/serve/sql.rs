//! `POST /v1/sql`: a query over the store, answered as JSON, CSV or an Arrow stream, as the `Accept` header asks.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::Shared;
use super::problem::ErrorResponse;
use crate::error::{Error, Fault};
use crate::query::{OutputFormat, ResultSet};

/// Says that rows beyond the bound were left out.
const TRUNCATED: &str = "haldane-truncated";

/// A query as JSON.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SqlRequest {
    sql: String,
}

/// Answers a query.
pub(super) async fn post(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    body: String,
) -> Result<Response, ErrorResponse> {
    let desk = shared.queries().ok_or_else(|| {
        let hint = "add a `store:` section to the pipeline, so that there is something to ask for";
        ErrorResponse::new(StatusCode::NOT_FOUND, "this process keeps no store", hint)
    })?;
    let (media, format) = accepted(&headers)?;
    let answer = desk.answer(query(&headers, body)?).await.map_err(|error| problem(&error))?;
    written(&answer, media, format).map_err(|error| problem(&error))
}

/// The query: the body as it stands, or in a JSON object.
fn query(headers: &HeaderMap, body: String) -> Result<String, ErrorResponse> {
    let is_json =
        headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"));
    if !is_json {
        return Ok(body);
    }
    let parsed: SqlRequest = serde_json::from_str(&body).map_err(|error| {
        ErrorResponse::new(
            StatusCode::BAD_REQUEST,
            format!("no query: {error}"),
            r#"send {"sql": "SELECT …"}, or the query as text"#,
        )
    })?;
    Ok(parsed.sql)
}

/// The first format of the `Accept` header that there is.
fn accepted(headers: &HeaderMap) -> Result<(&'static str, OutputFormat), ErrorResponse> {
    const FORMATS: [(&str, OutputFormat); 3] = [
        ("application/json", OutputFormat::Json),
        ("text/csv", OutputFormat::Csv),
        ("application/vnd.apache.arrow.stream", OutputFormat::Arrow),
    ];
    let wanted = headers.get(header::ACCEPT).and_then(|wanted| wanted.to_str().ok()).unwrap_or("*/*");
    let known = |media: &str| match media.split(';').next().unwrap_or_default().trim() {
        "*/*" | "application/*" => Some(FORMATS[0]),
        "text/*" => Some(FORMATS[1]),
        media => FORMATS.into_iter().find(|(name, _)| *name == media),
    };
    wanted.split(',').find_map(known).ok_or_else(|| {
        let hint = format!("accept one of: {}", FORMATS.map(|(name, _)| name).join(", "));
        ErrorResponse::new(StatusCode::NOT_ACCEPTABLE, format!("answers are not written as {wanted}"), hint)
    })
}

fn written(answer: &ResultSet, media: &'static str, format: OutputFormat) -> Result<Response, Error> {
    let mut bytes = answer.write(format)?;
    if format == OutputFormat::Json {
        let rows = String::from_utf8_lossy(&bytes);
        bytes = format!("{{\"rows\":{},\"truncated\":{}}}\n", rows.trim_end(), answer.truncated).into_bytes();
    }
    let truncated = if answer.truncated { "true" } else { "false" };
    Ok(([(header::CONTENT_TYPE.as_str(), media), (TRUNCATED, truncated)], bytes).into_response())
}

fn problem(error: &Error) -> ErrorResponse {
    let status = match error.fault() {
        Fault::User | Fault::Candidate => StatusCode::BAD_REQUEST,
        Fault::External => StatusCode::SERVICE_UNAVAILABLE,
        Fault::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    };
    ErrorResponse::new(status, error.to_string(), error.advice().unwrap_or("report this"))
}
