//! The dashboard and commands over HTTP, as programs see them.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use serde_json::{Value, json};

use crate::stage::{CANDIDATE, COLUMN, Stage, token};

/// An answer with its head.
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        let found =
            self.head.lines().filter_map(|line| line.split_once(": ")).find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map_or("", |(_, value)| value)
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error} in {}", self.body))
    }
}

pub(crate) fn send(address: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let mut stream = TcpStream::connect(address).unwrap();
    let headers = headers.iter().map(|(name, value)| [*name, ": ", *value, "\r\n"].concat()).collect::<String>();
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: haldane\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
    )
    .unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head: head.to_owned(), body: body.to_owned() }
}

fn page(stage: &Stage, path: &str) -> Answer {
    send(stage.server.address(), "GET", path, &[("Accept", "text/html")], "")
}

fn command(kind: &Value) -> Value {
    json!({ "rollout": "world", "model": "m", "candidate": CANDIDATE, "kind": kind, "reason": "a test" })
}

/// Sends a command with a token.
fn steer(stage: &Stage, token: &str, body: &Value) -> Answer {
    let bearer = format!("Bearer {token}");
    let headers = [("Authorization", bearer.as_str()), ("Content-Type", "application/json")];
    send(stage.server.address(), "POST", "/v1/commands", &headers, &body.to_string())
}

/// The address of the candidate's page, as pages link it.
fn rollout_path(stage: &Stage) -> String {
    let list = page(stage, "/ui").body;
    let link = list.split("href=\"").find(|part| part.starts_with("/ui/rollouts/world/v2")).unwrap();
    link.split('"').next().unwrap().replace("&amp;", "&")
}

#[test]
fn hostile_names_stay_names() {
    let stage = Stage::set();
    stage.until_pending();
    let path = rollout_path(&stage);
    let decisions = page(&stage, "/ui/decisions").body;
    let one = decisions.split("href=\"").find(|part| part.starts_with("/ui/decisions/b3")).unwrap();
    let one = one.split('"').next().unwrap().to_owned();
    let chart = format!("{path}&metric=%22%3E%3Cscript%3E&column=%3Cscript&command=%3Cscript%3E");
    for path in
        ["/ui", &path, &chart, "/ui/decisions", &one, "/ui/health", "/ui/rollouts/%3Cscript%3E/x", "/%3Cscript%3E"]
    {
        let body = page(&stage, path).body;
        let scripts: Vec<_> = body.match_indices("<script").map(|(at, _)| &body[at..]).collect();
        assert_eq!(scripts.len(), 1, "{path}: our own script only");
        assert!(scripts[0].starts_with("<script src=\"/ui/live.js\" defer></script>"), "{path}");
        assert!(!body.contains("<img"), "{path}");
    }
    let body = page(&stage, &path).body;
    assert!(body.contains("v2&lt;script&gt;alert(&#39;version&#39;)&lt;/script&gt;"));
    assert!(
        body.contains("&lt;img src=x onerror=alert(&#39;column&#39;)&gt;&quot;&amp;&#39;"),
        "{COLUMN} is on the page"
    );
}

#[test]
fn every_page_forbids_foreign_script_and_frames() {
    let stage = Stage::set();
    stage.next_window();
    for path in ["/ui", "/ui/decisions", "/ui/decisions/b3:0", "/ui/health", "/ui/login", "/nothing"] {
        let answer = page(&stage, path);
        let policy = answer.header("content-security-policy");
        for rule in
            ["default-src 'none'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'none'", "base-uri 'none'"]
        {
            assert!(policy.contains(rule), "{path}: {policy}");
        }
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        assert!(!answer.body.contains(" style=") && !answer.body.contains(" onclick="), "{path}");
    }
}

#[test]
fn browsers_get_pages_and_programs_json() {
    let stage = Stage::set();
    let to_browser = page(&stage, "/");
    assert_eq!((to_browser.status, to_browser.header("location")), (303, "/ui"));
    assert_eq!(send(stage.server.address(), "GET", "/", &[], "").json()["name"], "haldane");
    assert_eq!(page(&stage, "/ui/decisions/b3:0").status, 404);
    assert_eq!(page(&stage, "/ui/rollouts/world/v9").status, 404);
    assert_eq!(send(stage.server.address(), "GET", "/ui/nothing", &[], "").json()["error"], "no page /ui/nothing");
    assert!(page(&stage, "/ui").body.contains("No window has been judged yet"));
}

#[test]
fn nobody_acts_without_a_login_or_beyond_their_role() {
    let stage = Stage::set();
    stage.until_pending();
    let hold = command(&json!("hold"));
    let json = [("Content-Type", "application/json")];
    let unknown = send(stage.server.address(), "POST", "/v1/commands", &json, &hold.to_string());
    assert_eq!(unknown.status, 401);
    assert_eq!(steer(&stage, "not a token of anybody", &hold).status, 401);
    let viewer = steer(&stage, &token("vic"), &hold);
    assert_eq!((viewer.status, viewer.json()["error"].as_str()), (403, Some("vic may not hold (viewer)")));
    assert_eq!(steer(&stage, &token("ana"), &command(&json!("force_rollback"))).status, 403);
    let approve = command(&json!({ "approve": { "decision": "b3:0" } }));
    assert_eq!(steer(&stage, &token("oli"), &approve).status, 403);
}

#[test]
fn a_command_is_carried_out_once_and_only_while_things_stand_as_they_were_seen() {
    let stage = Stage::set();
    stage.until_pending();
    let listed = send(stage.server.address(), "GET", "/v1/rollouts", &[], "").json();
    let of_it =
        listed["rollouts"].as_array().unwrap().iter().find(|one| one["candidate"] == CANDIDATE).unwrap().clone();
    let decision = of_it["pending"]["decision"].as_str().unwrap();
    let mut approve = command(&json!({ "approve": { "decision": decision } }));
    approve["if_sequence"] = json!(of_it["sequence"].as_u64().unwrap() + 7);
    let late = steer(&stage, &token("ana"), &approve);
    assert_eq!((late.status, late.json()["result"]["outcome"].as_str()), (409, Some("conflict")));
    approve["if_sequence"] = of_it["sequence"].clone();
    approve["id"] = json!("once");
    let accepted = steer(&stage, &token("ana"), &approve).json();
    assert_eq!(accepted["result"]["outcome"], "accepted", "{accepted}");
    assert_eq!(accepted["result"]["command"]["actor"], "ana");
    let again = steer(&stage, &token("ana"), &approve);
    assert_eq!((again.status, again.json()["result"]["outcome"].as_str()), (200, Some("duplicate")));
    assert_eq!(steer(&stage, &token("oli"), &command(&json!("unfreeze"))).status, 422, "nothing is frozen");
}

#[test]
fn what_is_no_command_is_refused_in_words() {
    let stage = Stage::set();
    let try_with = |body: &str, kind: &str| {
        let bearer = format!("Bearer {}", token("oli"));
        send(
            stage.server.address(),
            "POST",
            "/v1/commands",
            &[("Authorization", &bearer), ("Content-Type", kind)],
            body,
        )
    };
    let mut silent = command(&json!("hold"));
    silent["reason"] = json!("");
    let mut claimed = command(&json!("hold"));
    claimed["actor"] = json!("somebody else");
    let cases = [
        ("{".to_owned(), "application/json", 400),
        (command(&json!("dance")).to_string(), "application/json", 400),
        (silent.to_string(), "application/json", 400),
        (claimed.to_string(), "application/json", 400),
        (command(&json!("hold")).to_string(), "text/plain", 415),
        ("x".repeat(70_000), "application/json", 413),
    ];
    for (body, kind, status) in cases {
        let answer = try_with(&body, kind);
        assert_eq!(answer.status, status, "{}", answer.body);
        assert!(!answer.json()["hint"].as_str().unwrap().is_empty());
    }
}

/// The cookie that the login form gives to somebody.
fn login(stage: &Stage, name: &str, origin: &str) -> Answer {
    let headers = [("Origin", origin), ("Content-Type", "application/x-www-form-urlencoded")];
    send(stage.server.address(), "POST", "/ui/login", &headers, &format!("token={}", token(name)))
}

#[test]
fn a_cookie_acts_from_our_own_pages_only() {
    let stage = Stage::set();
    stage.until_pending();
    assert_eq!(login(&stage, "oli", "http://evil.example").status, 403);
    assert_eq!(login(&stage, "eve", "http://haldane").status, 401);
    let entered = login(&stage, "oli", "http://haldane");
    let cookie = entered.header("set-cookie");
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"), "{cookie}");
    assert!(!cookie.contains(&token("oli")));
    let session = cookie.split(';').next().unwrap();
    let hold = command(&json!("hold")).to_string();
    let from = |headers: &[(&str, &str)]| {
        let headers = [headers, &[("Cookie", session), ("Content-Type", "application/json")]].concat();
        send(stage.server.address(), "POST", "/v1/commands", &headers, &hold).status
    };
    assert_eq!(from(&[]), 403);
    assert_eq!(from(&[("Origin", "null")]), 403);
    assert_eq!(from(&[("Origin", "http://evil.example")]), 403);
    assert_eq!(from(&[("Origin", "http://haldane")]), 200);
    let left =
        send(stage.server.address(), "POST", "/ui/logout", &[("Origin", "http://haldane"), ("Cookie", session)], "");
    assert!(left.header("set-cookie").contains("Max-Age=0"));
}

#[test]
fn events_tell_what_is_new_and_end_with_the_server() {
    let stage = Stage::set();
    let mut stream = TcpStream::connect(stage.server.address()).unwrap();
    write!(stream, "GET /v1/events HTTP/1.1\r\nHost: haldane\r\n\r\n").unwrap();
    let mut lines = BufReader::new(stream).lines().map(Result::unwrap);
    assert!(lines.next().unwrap().contains("200"));
    assert!(lines.any(|line| line == "content-type: text/event-stream"));
    assert!(lines.any(|line| line == "event: beat"), "without news, too, pages hear that the server is there");
    stage.until_pending();
    assert!(lines.any(|line| line == "event: decision"));
    let told = lines.next().unwrap();
    let told: Value = serde_json::from_str(told.strip_prefix("data: ").unwrap()).unwrap();
    assert!(told["text"].as_str().unwrap().contains(CANDIDATE), "{told}");
    assert!(lines.any(|line| line == "event: change"));
    let Stage { server, .. } = stage;
    server.shutdown();
    assert!(!lines.any(|line| line.starts_with("event: decision")), "it ends");
}

#[test]
fn any_number_can_be_drawn() {
    let stage = Stage::set();
    stage.until_pending();
    let path = rollout_path(&stage);
    let usual = page(&stage, &path).body;
    assert!(!usual.contains("<h3>missing_rate of color</h3>"));
    let wished = page(&stage, &format!("{path}&metric=missing_rate&column=color&against=")).body;
    assert!(wished.contains("<h3>missing_rate of color</h3>"));
    assert!(wished.contains("<option value=\"missing_rate\" selected>"));
    assert!(page(&stage, &format!("{path}&metric=psi&column=nothing")).body.contains("There is no psi of that here"));
}

#[test]
fn a_page_stays_small_however_long_a_rollout_lasts() {
    let stage = Stage::set();
    stage.play(|_| false);
    let body = page(&stage, &rollout_path(&stage)).body;
    assert!(body.len() < 200_000, "{} bytes", body.len());
    assert!(body.matches("<polyline").count() > 4, "charts are drawn");
}
