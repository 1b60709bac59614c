//! What every request passes before it is answered: how often its client asks, who sends it, and whether they may read.
//!
//! What is not named as open is closed, where reading is: a new page is not forgotten.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use super::access::{Claim, Identity, Proof, is_of_our_page};
use super::problem::ErrorResponse;
use super::throttle::client_of;
use super::{Shared, ui};
use crate::telemetry::Refusal;

/// What orchestrators ask: open, and always answered.
const PROBES: [&str; 2] = ["/livez", "/readyz"];

/// The way in, and what its page loads.
const LOGIN: [&str; 5] = ["/ui/login", "/ui/logout", "/ui/style.css", "/ui/live.js", "/ui/icon.svg"];

const METRICS: &str = "/metrics";

/// The other end of a connection: what no header can say.
#[derive(Debug, Clone)]
pub(super) struct Peer {
    pub(super) address: IpAddr,
    /// Whether nobody on the way can read along.
    pub(super) is_encrypted: bool,
    /// The names in the certificate that it has shown.
    pub(super) certificate: Arc<[String]>,
}

/// Who sends a request.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    pub(super) headers: HeaderMap,
    pub(super) known: Option<Identity>,
    peer: Peer,
    /// Whose budget it takes from.
    client: IpAddr,
    /// How long its tokens are not looked at, after too many that were wrong.
    locked: Option<Duration>,
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = ErrorResponse;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ErrorResponse> {
        let passed = parts.extensions.get::<Self>().cloned();
        passed.ok_or_else(|| {
            ErrorResponse::new(StatusCode::INTERNAL_SERVER_ERROR, "nobody has asked who sends this", "report this")
        })
    }
}

impl Caller {
    fn of(shared: &Shared, request: &Request) -> Self {
        let (access, headers) = (shared.access_now(), request.headers().clone());
        let unknown =
            || Peer { address: Ipv4Addr::UNSPECIFIED.into(), is_encrypted: false, certificate: Arc::default() };
        let peer = request.extensions().get::<Peer>().cloned().unwrap_or_else(unknown);
        let client = client_of(access.address_of(&peer, &headers));
        let locked = shared.throttle().may_log_in(client).err();
        let known = match access.who(&peer, &headers, locked.is_none()) {
            Claim::Known(known) => Some(known),
            Claim::Nothing => None,
            Claim::Wrong => {
                shared.throttle().mistaken(client);
                shared.telemetry().refused(Refusal::Login);
                None
            }
        };
        Self { headers, known, peer, client, locked }
    }

    /// Why somebody who is not known gets no further.
    pub(super) fn unknown(&self, shared: &Shared) -> ErrorResponse {
        if let Some(wait) = self.locked {
            return too_many("too many of its tokens were wrong", wait);
        }
        let access = shared.access_now();
        let hint = if access.is_empty() {
            "nobody may: the pipeline names no `serve.approvers`"
        } else if access.has_tokens() {
            "log in at /ui/login, or send `authorization: Bearer` and your token"
        } else {
            "come through the proxy, or show a client certificate that `serve.approvers` names"
        };
        ErrorResponse::new(StatusCode::UNAUTHORIZED, "it is not known who asks", hint)
    }

    /// Whether a browser may have been made to send this by somebody else's page.
    pub(super) fn may_be_led(&self, is_form: bool) -> bool {
        let Some(known) = &self.known else { return true };
        let ours = is_of_our_page(&self.headers);
        match known.proof {
            Proof::Token => false,
            Proof::Cookie => !ours,
            // Programs come that way, too. A page of another host cannot send JSON, and forms say where they come from.
            Proof::Certificate | Proof::Proxy => !ours && (is_form || self.headers.contains_key(header::ORIGIN)),
        }
    }

    /// Whether nobody between the browser and us can read along: then a cookie must not leave that way.
    pub(super) fn is_secure(&self) -> bool {
        let forwarded = self.headers.get("x-forwarded-proto");
        self.peer.is_encrypted || forwarded.is_some_and(|value| value.as_bytes() == b"https")
    }

    /// Tries a token that was typed in; `Ok(None)` where nobody has it.
    pub(super) fn log_in(&self, shared: &Shared, token: &str) -> Result<Option<String>, ErrorResponse> {
        if let Some(wait) = self.locked {
            return Err(too_many("too many of its tokens were wrong", wait));
        }
        let cookie = shared.access_now().cookie(token, self.is_secure());
        if cookie.is_none() {
            tracing::warn!(from = %self.client, "a login over http failed");
            shared.throttle().mistaken(self.client);
            shared.telemetry().refused(Refusal::Login);
        }
        Ok(cookie)
    }
}

/// Lets a request in, or says why not.
pub(super) async fn enter(State(shared): State<Arc<Shared>>, mut request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    if PROBES.contains(&path.as_str()) {
        return guarded(next.run(request).await);
    }
    let caller = Caller::of(&shared, &request);
    if let Err(wait) = shared.throttle().ask(caller.client) {
        shared.telemetry().refused(Refusal::Rate);
        return guarded(too_many("this client asks too often", wait).into_response());
    }
    let access = shared.access_now();
    let is_open = LOGIN.contains(&path.as_str()) || (path == METRICS && access.shows_metrics());
    if !is_open && !access.may_read(caller.known.as_ref()) {
        shared.telemetry().refused(Refusal::Unknown);
        return guarded(turned_away(&shared, &caller, request.method()));
    }
    request.extensions_mut().insert(caller);
    guarded(next.run(request).await)
}

/// The answer to somebody who may not read.
fn turned_away(shared: &Shared, caller: &Caller, method: &Method) -> Response {
    let problem = match &caller.known {
        None => caller.unknown(shared),
        Some(known) => {
            let error = format!("{} may not read here: no group of theirs has a role", known.name);
            ErrorResponse::new(StatusCode::FORBIDDEN, error, "`serve.proxy.groups` says which groups have roles")
        }
    };
    if !ui::wants_page(&caller.headers) {
        return problem.into_response();
    }
    let can_log_in = problem.status == StatusCode::UNAUTHORIZED && shared.access_now().has_tokens();
    if can_log_in && method == Method::GET { ui::see_other("/ui/login") } else { ui::problem(shared, caller, &problem) }
}

fn too_many(what: &str, wait: Duration) -> ErrorResponse {
    let seconds = wait.as_secs() + 1;
    let error = format!("{what}: there is an answer again in {seconds} s");
    let hint = "wait as long as `retry-after` says; `serve.limits` sets how much a client may take";
    ErrorResponse { retry_after_s: Some(seconds), ..ErrorResponse::new(StatusCode::TOO_MANY_REQUESTS, error, hint) }
}

/// What a browser must not guess, and what nobody on the way may keep.
fn guarded(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}
