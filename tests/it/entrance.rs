//! Who may read and act over HTTP: tokens, roles, the proxy in front, and nobody by a header of their own.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;

use haldane::config::{self, ServeConfig};
use haldane::kafka::clock::now;
use haldane::serve::{Access, Tls};
use serde_json::json;

use crate::authority::put;
use crate::dashboard::{Answer, send};
use crate::service::PATIENCE;
use crate::stage::{CANDIDATE, Stage};

/// What the keys of a `serve` section mean.
pub(crate) fn serve_config(folder: &Path, keys: &str) -> ServeConfig {
    let text = format!(
        "sources: {{ predictions: {{ topic: p, id: id, version: v, event_time: t, score: s }} }}\nstore: {{ path: s }}\nserve:\n{keys}"
    );
    config::parse(&text, "p.yaml", folder).unwrap_or_else(|error| panic!("{error}")).serve
}

/// A rollout that is served as these keys say.
pub(crate) fn stage(folder: &Path, keys: &str) -> Stage {
    let serve = serve_config(folder, keys);
    Stage::guarded(|shared| {
        shared.protect(serve.tls.as_ref().map(|tls| Tls::open(tls).unwrap()), serve.limits);
        shared.admit(Access::open(&serve).unwrap());
    })
}

const PEOPLE: &str = "  approvers:
    - { name: vic, token_file: vic, roles: [read] }
    - { name: oli, token_file: oli, roles: [operate] }
    - { name: ada, token_file: ada, roles: [admin] }
";

fn token(name: &str) -> String {
    format!("a-long-token-of-{name}")
}

fn with_people(folder: &Path) -> &Path {
    for name in ["vic", "oli", "ada"] {
        put(&folder.join(name), token(name).as_bytes());
    }
    folder
}

fn get(stage: &Stage, path: &str, headers: &[(&str, &str)]) -> Answer {
    send(stage.server.address(), "GET", path, headers, "")
}

fn bearer(name: &str) -> String {
    format!("Bearer {}", token(name))
}

fn hold(stage: &Stage, headers: &[(&str, &str)]) -> Answer {
    let body = json!({ "rollout": "world", "model": "m", "candidate": CANDIDATE, "kind": "hold", "reason": "a test" });
    let headers = [&[("Content-Type", "application/json")], headers].concat();
    send(stage.server.address(), "POST", "/v1/commands", &headers, &body.to_string())
}

/// Everything that shows something of models.
const PAGES: [&str; 11] = [
    "/",
    "/ui",
    "/ui/decisions",
    "/ui/health",
    "/v1/windows",
    "/v1/verdict",
    "/v1/rollouts",
    "/v1/rollouts/world/v2",
    "/v1/decisions",
    "/v1/access",
    "/nothing",
];

#[test]
fn what_is_closed_is_shown_to_those_who_have_a_role() {
    let folder = tempfile::tempdir().unwrap();
    let stage = stage(with_people(folder.path()), &format!("  read: token\n  metrics: read\n{PEOPLE}"));
    let wrong = get(&stage, "/v1/rollouts", &[("Authorization", "Bearer a-long-token-of-nobody")]);
    assert_eq!(wrong.status, 401);
    for path in PAGES.into_iter().chain(["/metrics", "/v1/events"]) {
        let answer = get(&stage, path, &[]);
        assert_eq!((answer.status, answer.header("www-authenticate")), (401, "Bearer"), "{path}");
        let forged =
            [("X-Forwarded-User", "oli"), ("X-Forwarded-Groups", "sre"), ("Cookie", "haldane_session=0.9999999999.0")];
        assert_eq!(get(&stage, path, &forged).status, 401, "{path}");
    }
}

#[test]
fn probes_the_login_and_open_metrics_stay_open_and_the_rest_opens_with_a_token() {
    let folder = tempfile::tempdir().unwrap();
    let stage = stage(with_people(folder.path()), &format!("  read: token\n{PEOPLE}"));
    for path in ["/livez", "/readyz", "/metrics", "/ui/login", "/ui/style.css", "/ui/live.js", "/ui/icon.svg"] {
        assert_eq!(get(&stage, path, &[]).status, 200, "{path}");
    }
    for path in PAGES {
        let answer = get(&stage, path, &[("Authorization", &bearer("vic"))]);
        assert!(![401, 429].contains(&answer.status), "{path}: {}", answer.status);
        assert_eq!(answer.header("cache-control"), "no-store", "{path}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
    }
    for (path, body) in [("/v1/sql", "SELECT 1"), ("/v1/flagger/rollback", "{}")] {
        let answer = send(stage.server.address(), "POST", path, &[], body);
        assert_eq!(answer.status, 401, "{path}: {}", answer.body);
    }
    let to_browser = get(&stage, "/ui", &[("Accept", "text/html")]);
    assert_eq!((to_browser.status, to_browser.header("location")), (303, "/ui/login"));
    let form = [("Origin", "http://haldane"), ("Content-Type", "application/x-www-form-urlencoded")];
    let login = send(stage.server.address(), "POST", "/ui/login", &form, &format!("token={}", token("vic")));
    let cookie = login.header("set-cookie").split(';').next().unwrap();
    assert_eq!(get(&stage, "/ui", &[("Cookie", cookie)]).status, 200);
}

#[test]
fn only_an_admin_sees_who_may_do_what_and_nobody_sees_tokens() {
    let folder = tempfile::tempdir().unwrap();
    let stage = stage(with_people(folder.path()), PEOPLE);
    assert_eq!(get(&stage, "/v1/access", &[]).status, 401);
    assert_eq!(get(&stage, "/v1/access", &[("Authorization", &bearer("oli"))]).status, 403);
    let answer = get(&stage, "/v1/access", &[("Authorization", &bearer("ada"))]);
    let told = answer.json();
    assert_eq!((told["you"].as_str(), told["read"].as_str()), (Some("ada"), Some("open")));
    assert_eq!(told["people"][1], json!({ "name": "oli", "roles": ["operator"], "tokens": 1, "certificate": null }));
    assert!(!answer.body.contains("a-long-token"), "{}", answer.body);
}

#[test]
fn the_actor_of_a_command_is_who_was_known_and_never_what_was_said() {
    let folder = tempfile::tempdir().unwrap();
    let direct = stage(with_people(folder.path()), &format!("  proxy: {{ addresses: [10.9.0.0/16] }}\n{PEOPLE}"));
    direct.until_pending();
    let forged = [("X-Forwarded-User", "ada"), ("X-Forwarded-For", "10.9.0.1"), ("Forwarded", "for=10.9.0.1")];
    assert_eq!(hold(&direct, &forged).status, 401, "headers of somebody else than the proxy");
    let oli = bearer("oli");
    let held = hold(&direct, &[&forged[..], &[("Authorization", oli.as_str())]].concat());
    assert_eq!(held.json()["result"]["command"]["actor"], "oli", "{}", held.body);
    let claims = json!({ "rollout": "world", "kind": "hold", "reason": "a test", "actor": "ada" }).to_string();
    let headers = [("Content-Type", "application/json"), ("Authorization", oli.as_str())];
    let claimed = send(direct.server.address(), "POST", "/v1/commands", &headers, &claims);
    assert!(claimed.status == 400 && claimed.body.contains("unknown field `actor`"), "{}", claimed.body);
}

#[test]
fn the_proxy_says_who_asks_and_its_groups_have_roles() {
    let folder = tempfile::tempdir().unwrap();
    let keys = "  read: proxy\n  proxy: { addresses: [127.0.0.1], groups: { sre: [operator] } }\n";
    let stage = stage(folder.path(), keys);
    stage.until_pending();
    assert_eq!(get(&stage, "/v1/rollouts", &[]).status, 401, "the proxy itself is nobody");
    let eve = [("X-Forwarded-User", "eve@example.com")];
    assert_eq!(get(&stage, "/v1/rollouts", &eve).status, 200);
    assert!(get(&stage, "/ui", &eve).body.contains("eve@example.com <small>(no role)</small>"));
    let refused = hold(&stage, &eve);
    assert_eq!(
        (refused.status, refused.json()["error"].as_str()),
        (403, Some("eve@example.com may not hold (no role)"))
    );
    let sre = [eve[0], ("X-Forwarded-Groups", "dev,sre")];
    for led in [vec![("Origin", "https://evil.example")], vec![("Origin", "null")]] {
        assert_eq!(hold(&stage, &[&sre[..], &led].concat()).status, 403, "from a page of somebody else");
    }
    let held = hold(&stage, &sre);
    assert_eq!(held.json()["result"]["command"]["actor"], "eve@example.com", "{}", held.body);
    let two = [sre[0], sre[1], ("X-Forwarded-User", "ada")];
    assert_eq!(get(&stage, "/v1/rollouts", &two).status, 401, "a client has added a name");
}

#[test]
fn somebody_without_a_role_is_told_so_where_a_role_is_needed() {
    let folder = tempfile::tempdir().unwrap();
    let keys = "  read: token\n  proxy: { addresses: [127.0.0.1], groups: { sre: [viewer] } }\n";
    let stage = stage(folder.path(), keys);
    let eve = get(&stage, "/v1/rollouts", &[("X-Forwarded-User", "eve")]);
    assert_eq!((eve.status, eve.json()["error"].as_str().unwrap().contains("eve may not read here")), (403, true));
    let sre = [("X-Forwarded-User", "eve"), ("X-Forwarded-Groups", "sre")];
    assert_eq!(get(&stage, "/v1/rollouts", &sre).status, 200);
}

#[test]
fn a_token_that_is_replaced_counts_within_seconds_and_without_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let keys = format!("  read: token\n  limits: {{ requests_per_second: 100000 }}\n{PEOPLE}");
    let stage = stage(with_people(folder.path()), &keys);
    let reads = |token: &str| get(&stage, "/v1/rollouts", &[("Authorization", &format!("Bearer {token}"))]).status;
    assert_eq!(reads(&token("vic")), 200);
    put(&folder.path().join("vic"), b"another-token-of-vic");
    let deadline = now() + PATIENCE;
    // The old one counts until the new one does, so none of these is a failed login.
    while reads(&token("vic")) == 200 {
        assert!(now() < deadline, "the old token still counts");
    }
    assert_eq!(reads("another-token-of-vic"), 200);
}
