//! Logging in and out with a token.

use std::sync::Arc;

use axum::extract::rejection::FormRejection;
use axum::extract::{Form, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use serde::Deserialize;

use super::page::{Page, PageSection, problem, see_other};
use crate::markup::{Html, html};
use crate::serve::Shared;
use crate::serve::access::{is_of_our_page, no_cookie};
use crate::serve::entrance::Caller;
use crate::serve::problem::ErrorResponse;

/// What the form sends.
#[derive(Deserialize)]
pub(super) struct LoginForm {
    token: String,
}

pub(super) async fn form(State(shared): State<Arc<Shared>>, caller: Caller) -> Response {
    Page::new(PageSection::Login, "Log in", ask("")).answer(&shared, &caller)
}

fn ask(wrong: &str) -> Html {
    let wrong = (!wrong.is_empty()).then(|| html!("<p role=\"alert\" class=\"lead\">✕ {}</p>", wrong));
    html!(
        "<h1>Log in</h1>{}<form class=\"act\" method=\"post\" action=\"/ui/login\">"
        "<input name=\"user\" autocomplete=\"username\" value=\"haldane\" hidden>"
        "<label for=\"token\">Your token</label>"
        "<input id=\"token\" name=\"token\" type=\"password\" autocomplete=\"current-password\" required>"
        "<p><button>Log in</button></p><p><small>Whoever runs this service gives it to you; `serve.approvers` in the "
        "pipeline names you.</small></p></form>",
        wrong
    )
}

pub(super) async fn enter(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    form: Result<Form<LoginForm>, FormRejection>,
) -> Response {
    if let Some(foreign) = foreign(&shared, &caller) {
        return foreign;
    }
    let token = form.as_ref().map_or("", |form| form.token.trim());
    match caller.log_in(&shared, token) {
        Ok(Some(cookie)) => return with_cookie(see_other("/ui"), &cookie),
        Ok(None) => {}
        Err(too_many) => return problem(&shared, &caller, &too_many),
    }
    let main = ask("Nobody here has this token");
    let page = Page { status: StatusCode::UNAUTHORIZED, ..Page::new(PageSection::Login, "Log in", main) };
    page.answer(&shared, &caller)
}

pub(super) async fn leave(State(shared): State<Arc<Shared>>, caller: Caller) -> Response {
    let foreign = foreign(&shared, &caller);
    foreign.unwrap_or_else(|| with_cookie(see_other("/ui"), &no_cookie(caller.is_secure())))
}

/// An answer to a form that stands on somebody else's page.
fn foreign(shared: &Shared, caller: &Caller) -> Option<Response> {
    let error = "this form does not come from a page of this server";
    let foreign = ErrorResponse::new(StatusCode::FORBIDDEN, error, "open /ui/login and use its form");
    (!is_of_our_page(&caller.headers)).then(|| problem(shared, caller, &foreign))
}

fn with_cookie(mut response: Response, cookie: &str) -> Response {
    if let Ok(value) = HeaderValue::from_str(cookie) {
        response.headers_mut().insert(header::SET_COOKIE, value);
    }
    response
}
