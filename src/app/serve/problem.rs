//! Errors as clients see them: what, and what to do about it.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// An error as the client sees it: `{"error": …, "hint": …}`, or a page that says the same.
#[derive(Debug)]
pub(super) struct ErrorResponse {
    pub(super) status: StatusCode,
    pub(super) error: String,
    pub(super) hint: String,
    /// When it may be tried again.
    pub(super) retry_after_s: Option<u64>,
}

impl ErrorResponse {
    pub(super) fn new(status: StatusCode, error: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { status, error: error.into(), hint: hint.into(), retry_after_s: None }
    }

    /// Adds to an answer what its status calls for.
    pub(super) fn mark(&self, mut response: Response) -> Response {
        if let Some(seconds) = self.retry_after_s {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl From<QueryRejection> for ErrorResponse {
    fn from(rejection: QueryRejection) -> Self {
        let hint = format!("what can be asked for: {}", super::http::ENDPOINTS.join(" "));
        Self::new(StatusCode::BAD_REQUEST, rejection.body_text(), hint)
    }
}

impl IntoResponse for ErrorResponse {
    fn into_response(self) -> Response {
        let told = (self.status, Json(json!({ "error": self.error, "hint": self.hint }))).into_response();
        self.mark(told)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_carries_what_its_status_calls_for() {
        let marked = |status, retry_after_s| {
            let problem = ErrorResponse { retry_after_s, ..ErrorResponse::new(status, "no", "ask") };
            let headers = problem.into_response().headers().clone();
            let text = |name| headers.get(name).map(|value: &HeaderValue| value.to_str().expect("a text").to_owned());
            (text(header::RETRY_AFTER), text(header::WWW_AUTHENTICATE))
        };
        assert_eq!(marked(StatusCode::TOO_MANY_REQUESTS, Some(7)), (Some("7".to_owned()), None));
        assert_eq!(marked(StatusCode::UNAUTHORIZED, None), (None, Some("Bearer".to_owned())));
        assert_eq!(marked(StatusCode::FORBIDDEN, None), (None, None));
    }
}
