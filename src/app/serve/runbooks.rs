//! `GET /runbooks/{name}`: what to do when an alert fires or a decision has a reason, as the page says that is part of
//! the program.

use axum::extract::Path;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};

use super::problem::ErrorResponse;

const PAGE: &str = include_str!("../../../deploy/RUNBOOKS.md");

/// Its sections, with their names.
fn sections() -> impl Iterator<Item = (&'static str, &'static str)> {
    PAGE.split("\n### ").skip(1).filter_map(|section| {
        let text = section.split("\n## ").next().unwrap_or(section);
        Some((text.lines().next()?, text))
    })
}

/// One section as text; the whole page where no section is named.
pub(super) async fn get(name: Option<Path<String>>) -> Response {
    let Some(Path(name)) = name else { return text(PAGE.to_owned()) };
    let Some((_, section)) = sections().find(|(section, _)| *section == name) else {
        let error = format!("there is no runbook for {name}");
        return ErrorResponse::new(StatusCode::NOT_FOUND, error, "GET /runbooks shows all of them").into_response();
    };
    text(format!("# {}\n", section.trim_end()))
}

fn text(body: String) -> Response {
    ([(header::CONTENT_TYPE, "text/markdown; charset=utf-8")], body).into_response()
}
