//! What all pages share: head, navigation, who is logged in, and the headers that keep foreign script out.

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};

use crate::markup::{Html, html};
use crate::serve::Shared;
use crate::serve::access::Proof;
use crate::serve::entrance::Caller;
use crate::serve::problem::ErrorResponse;

/// Nothing but our own style, script and pictures; forms and live updates go to this server only.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; \
                      form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Which part of the dashboard a page belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PageSection {
    Rollouts,
    Decisions,
    Health,
    Login,
}

/// A page before it is framed.
pub(super) struct Page {
    pub(super) status: StatusCode,
    pub(super) part: PageSection,
    pub(super) title: String,
    pub(super) main: Html,
}

impl Page {
    pub(super) fn new(part: PageSection, title: impl Into<String>, main: Html) -> Self {
        Self { status: StatusCode::OK, part, title: title.into(), main }
    }

    /// The whole answer.
    pub(super) fn answer(self, shared: &Shared, caller: &Caller) -> Response {
        let on = if self.part == PageSection::Health { "health" } else { "change" };
        let body = html!(
            "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
            "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">"
            "<meta name=\"color-scheme\" content=\"light dark\"><title>{} · haldane</title>"
            "<link rel=\"icon\" href=\"/ui/icon.svg\"><link rel=\"stylesheet\" href=\"/ui/style.css\">"
            "<script src=\"/ui/live.js\" defer></script></head><body data-on=\"{}\">"
            "<a class=\"skip\" href=\"#main\">Skip to content</a>{}"
            "<main id=\"main\" tabindex=\"-1\">{}</main>"
            "<p id=\"news\" class=\"unseen\" role=\"status\" aria-live=\"polite\"></p>"
            "<footer>haldane {} <noscript>· without script this page does not renew itself: "
            "<a href=\"\">reload</a></noscript></footer></body></html>\n",
            self.title,
            on,
            banner(self.part, shared, caller),
            self.main,
            env!("CARGO_PKG_VERSION"),
        );
        let typed = [
            (header::CONTENT_TYPE, "text/html; charset=utf-8"),
            (header::CONTENT_SECURITY_POLICY, POLICY),
            (header::CACHE_CONTROL, "no-store"),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (header::REFERRER_POLICY, "same-origin"),
        ];
        (self.status, typed, body.into_string()).into_response()
    }
}

fn banner(part: PageSection, shared: &Shared, caller: &Caller) -> Html {
    let link = |to: PageSection, href: &str, text: &str| {
        let current = (to == part).then(|| html!(" aria-current=\"page\""));
        html!("<a href=\"{}\"{}>{}</a>", href, current, text)
    };
    html!(
        "<header><nav aria-label=\"Pages\"><a class=\"name\" href=\"/ui\">haldane</a>{}{}{}</nav>"
        "<p id=\"link\" class=\"link\" hidden></p>{}</header>",
        link(PageSection::Rollouts, "/ui", "Rollouts"),
        link(PageSection::Decisions, "/ui/decisions", "Decisions"),
        link(PageSection::Health, "/ui/health", "Health"),
        who(shared, caller),
    )
}

/// Who is logged in, and the way in or out.
fn who(shared: &Shared, caller: &Caller) -> Html {
    let Some(access) = shared.access() else { return html!("<p class=\"who\">read only</p>") };
    match &caller.known {
        None if !access.has_tokens() => html!("<p class=\"who\">read only</p>"),
        None => html!("<p class=\"who\"><a href=\"/ui/login\">Log in</a></p>"),
        Some(known) if known.proof != Proof::Cookie => {
            html!("<p class=\"who\">{} <small>({})</small></p>", known.name, known.powers())
        }
        Some(known) => html!(
            "<form class=\"who\" method=\"post\" action=\"/ui/logout\"><span>{} <small>({})</small></span> "
            "<button class=\"plain\">Log out</button></form>",
            known.name,
            known.powers()
        ),
    }
}

/// An error as a page.
pub(in crate::serve) fn problem(shared: &Shared, caller: &Caller, problem: &ErrorResponse) -> Response {
    let login = problem.status == StatusCode::UNAUTHORIZED && shared.access_now().has_tokens();
    let login = login.then(|| html!("<p><a class=\"button\" href=\"/ui/login\">Log in</a></p>"));
    let main = html!(
        "<h1>Not done</h1><p class=\"lead\" role=\"alert\">{}</p><p>What to do: {}.</p>{}"
        "<p><a href=\"/ui\">All rollouts</a></p>",
        problem.error,
        problem.hint.trim_end_matches('.'),
        login
    );
    let page = Page { status: problem.status, ..Page::new(PageSection::Login, "Not done", main) };
    problem.mark(page.answer(shared, caller))
}

/// Whether a browser asks, and not a program.
pub(in crate::serve) fn wants_page(headers: &HeaderMap) -> bool {
    let accepts = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    accepts.is_some_and(|types| types.contains("text/html"))
}

/// Sends a browser to another page.
pub(in crate::serve) fn see_other(to: &str) -> Response {
    let location = HeaderValue::from_str(to).unwrap_or(HeaderValue::from_static("/ui"));
    (StatusCode::SEE_OTHER, [(header::LOCATION, location)]).into_response()
}

/// A part of the page that live updates replace.
pub(super) fn live(id: &str, label: &str, content: &Html) -> Html {
    html!("<section id=\"{}\" aria-label=\"{}\" data-live>{}</section>", id, label, content)
}
