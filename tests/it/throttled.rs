//! Clients that take too much: too often, too slowly, too many connections, too many wrong tokens.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use crate::authority::put;
use crate::dashboard::send;
use crate::entrance::stage;
use crate::serve::ask;
use crate::stage::Stage;

fn limited(limits: &str) -> Stage {
    let folder = tempfile::tempdir().unwrap();
    stage(folder.path(), &format!("  limits: {{ {limits} }}\n"))
}

fn connect(address: SocketAddr, sent: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(sent.as_bytes()).unwrap();
    stream
}

/// What comes until the connection ends.
fn rest(stream: &mut TcpStream) -> String {
    let mut all = Vec::new();
    // A connection that is cut off has said what it had to say.
    let _ = stream.read_to_end(&mut all);
    String::from_utf8_lossy(&all).into_owned()
}

#[test]
fn who_asks_too_often_is_told_when_to_ask_again_and_probes_are_answered() {
    let stage = limited("requests_per_second: 1");
    let address = stage.server.address();
    let answers: Vec<_> = (0..12).map(|_| send(address, "GET", "/v1/rollouts", &[], "")).collect();
    assert_eq!(answers[0].status, 200);
    let refused = answers.iter().find(|answer| answer.status == 429).unwrap();
    let wait: u64 = refused.header("retry-after").parse().unwrap();
    assert!((1..=2).contains(&wait), "{wait} s");
    assert!(refused.json()["error"].as_str().unwrap().contains("asks too often"));
    for _ in 0..12 {
        assert_eq!(ask(address, "GET", "/livez").status, 200);
        assert_eq!(ask(address, "GET", "/readyz").status, 200);
    }
    let metrics = stage.shared.telemetry().render().unwrap();
    let counted =
        metrics.lines().find(|line| line.starts_with("haldane_clients_refused_total") && line.contains("rate"));
    assert!(counted.is_some_and(|line| !line.ends_with(" 0")), "{counted:?}");
}

#[test]
fn tokens_of_a_client_that_guesses_are_not_looked_at_any_more() {
    let folder = tempfile::tempdir().unwrap();
    put(&folder.path().join("vic"), b"a-long-token-of-vic");
    let keys = "  read: token\n  approvers: [{ name: vic, token_file: vic, roles: [viewer] }]\n  \
                limits: { failed_logins_per_minute: 3 }\n";
    let stage = stage(folder.path(), keys);
    let address = stage.server.address();
    let right = [("Authorization", "Bearer a-long-token-of-vic")];
    let form = |token: &str| {
        let headers = [("Origin", "http://haldane"), ("Content-Type", "application/x-www-form-urlencoded")];
        send(address, "POST", "/ui/login", &headers, &format!("token={token}"))
    };
    let login = form("a-long-token-of-vic");
    let cookie = login.header("set-cookie").split(';').next().unwrap().to_owned();
    assert_eq!(form("guess").status, 401);
    for _ in 0..2 {
        assert_eq!(send(address, "GET", "/v1/rollouts", &[("Authorization", "Bearer guess")], "").status, 401);
    }
    let locked = send(address, "GET", "/v1/rollouts", &right, "");
    let wait: u64 = locked.header("retry-after").parse().unwrap();
    assert!(locked.status == 429 && (1..=21).contains(&wait), "{} {wait}", locked.status);
    assert_eq!(form("a-long-token-of-vic").status, 429);
    assert_eq!(send(address, "GET", "/v1/rollouts", &[("Cookie", &cookie)], "").status, 200, "who was in stays in");
}

#[test]
fn a_head_that_does_not_come_ends_the_connection() {
    let stage = limited("patience: 200ms");
    for sent in ["", "GET /v1/rollouts HTTP/1.1\r\nHost: hal", "GET /livez HTTP/1.1\r\nHost: haldane\r\n\r\n"] {
        let mut stream = connect(stage.server.address(), sent);
        let said = rest(&mut stream);
        assert_eq!(said.starts_with("HTTP/1.1 200"), sent.ends_with("\r\n\r\n"), "idle after an answer, too: {said}");
    }
}

#[test]
fn a_body_that_does_not_come_is_408() {
    let stage = limited("patience: 200ms");
    let head = "POST /v1/commands HTTP/1.1\r\nHost: haldane\r\nConnection: close\r\nContent-Length: 100\r\n\r\n{";
    let said = rest(&mut connect(stage.server.address(), head));
    assert!(said.starts_with("HTTP/1.1 408") && said.contains("did not come within 200ms"), "{said}");
}

#[test]
fn a_client_that_does_not_read_on_is_given_up() {
    let stage = limited("patience: 200ms, requests_per_second: 100000");
    let mut stream = TcpStream::connect(stage.server.address()).unwrap();
    // Far more answers than the buffers of both sides hold; none is read.
    let requests = "GET /ui/style.css HTTP/1.1\r\nHost: haldane\r\n\r\n".repeat(200);
    let ended = (0..2_000).find_map(|_| stream.write_all(requests.as_bytes()).err());
    assert!(ended.is_some(), "the server has read on without an end");
}

#[test]
fn one_client_has_a_part_of_the_connections_only() {
    let stage = limited("connections: 8, connections_per_client: 3");
    let address = stage.server.address();
    let mut hanging: Vec<TcpStream> = (0..3).map(|_| connect(address, "GET /livez HTTP/1.1\r\n")).collect();
    assert_eq!(ask(address, "GET", "/livez").status, 200);
    assert_eq!(rest(&mut hanging[0]), "", "the one that has waited longest has made room");
    let last = &mut hanging[2];
    last.write_all(b"Host: haldane\r\nConnection: close\r\n\r\n").unwrap();
    assert!(rest(last).starts_with("HTTP/1.1 200"), "the others are still served");
}
