//! The dashboard: pages for people, rendered here, with a little script that keeps them fresh.
//!
//! Everything works without script (a page is renewed by reloading it) and without a pointer. A state is told by a sign
//! and a word, never by a colour alone. No page carries inline script or style, and a strict content security policy
//! forbids what a hostile name might try.

mod actions;
mod card;
mod chart;
mod decision;
mod health;

mod link;
mod login;
mod page;
mod rollout;
mod rollouts;
mod series;
mod words;

use std::sync::Arc;

use axum::Router;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::{get, post};

pub(super) use link::{encoded, rollout_url};
pub(super) use page::{problem, see_other, wants_page};
pub(super) use words::sentence;

use super::Shared;

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("live.js");
const ICON: &str = include_str!("icon.svg");

/// Every page, and what pages load.
pub(super) fn router() -> Router<Arc<Shared>> {
    Router::new()
        .route("/ui", get(rollouts::rollouts))
        .route("/ui/rollouts/{rollout}/{candidate}", get(rollout::rollout))
        .route("/ui/decisions", get(decision::decisions))
        .route("/ui/decisions/{id}", get(decision::decision))
        .route("/ui/health", get(health::health))
        .route("/ui/login", get(login::form).post(login::enter))
        .route("/ui/logout", post(login::leave))
        .route("/ui/style.css", get(async || asset("text/css; charset=utf-8", STYLE)))
        .route("/ui/live.js", get(async || asset("text/javascript; charset=utf-8", SCRIPT)))
        .route("/ui/icon.svg", get(async || asset("image/svg+xml", ICON)))
}

fn asset(kind: &'static str, content: &'static str) -> impl IntoResponse {
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers, content)
}
