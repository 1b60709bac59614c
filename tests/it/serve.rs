//! The HTTP side, over real sockets.
#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

use haldane::engine::Effects;
use haldane::error::Fault;
use haldane::judge::WindowRow;
use haldane::plan::Signal;
use haldane::scan::LaneCounts;
use haldane::serve::view::{DECISIONS_MAX, WINDOW_ROWS_MAX};
use haldane::serve::{Phase, Server, Shared};
use haldane::telemetry::FAMILIES;
use haldane::verdict::{State, Validity};
use serde_json::{Value, json};

pub(crate) use crate::http::{Answer, ask};
use crate::sample::{decision, row, state};

/// A server with one judged window, one open one, two rollouts and two decisions.
fn server() -> (Server, Arc<Shared>) {
    let shared = Arc::new(Shared::new());
    let effects = Effects {
        windows: vec![row("amount", 10, Some(0.3)), row("age", 10, None)],
        decisions: vec![decision(Signal::Warn), decision(Signal::Contain)],
        states: vec![state("v2", State::Contained, Validity::Valid), state("v3", State::Observing, Validity::Blind)],
        ..Effects::default()
    };
    shared.publish(&effects);
    shared.provisional(vec![row("amount", 20, Some(0.4))]);
    (Server::start("127.0.0.1:0", Arc::clone(&shared)).unwrap(), shared)
}

fn get(server: &Server, path: &str) -> Answer {
    ask(server.address(), "GET", path)
}

#[test]
fn liveness_names_its_workers() {
    let (server, shared) = server();
    shared.health().tick("judge");
    let answer = get(&server, "/livez");
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json()["workers"][0]["worker"], "judge");
    shared.health().retire("judge");
    assert_eq!(get(&server, "/livez").json()["workers"], Value::Array(Vec::new()));
}

#[test]
fn readiness_follows_the_phase() {
    let (server, shared) = server();
    get(&server, "/readyz").check_problem(503, "starting");
    shared.health().enter(Phase::Ready);
    assert_eq!(get(&server, "/readyz").status, 200);
    shared.health().enter(Phase::Stopping);
    get(&server, "/readyz").check_problem(503, "stopping");
}

#[test]
fn every_line_of_the_metrics_page_is_well_formed() {
    let (server, shared) = server();
    shared.telemetry().counted(&BTreeMap::from([(0, LaneCounts { late: 1, ..LaneCounts::default() })]));
    let answer = get(&server, "/metrics");
    assert_eq!(answer.status, 200);
    let text = answer.text();
    let samples: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
    for line in &samples {
        let (series, value) = line.rsplit_once(' ').unwrap();
        let name = series.split('{').next().unwrap();
        assert!(value.parse::<f64>().is_ok(), "{line}");
        let listed = |family: &&haldane::telemetry::Family| name.starts_with(family.name);
        assert!(FAMILIES.iter().any(|family| listed(&family)), "{line}");
        assert!(series.len() == name.len() || series.ends_with('}'), "{line}");
    }
    assert!(samples.contains(&"haldane_events_late_total 1"));
    assert!(samples.contains(&r#"haldane_decisions_total{action="contain",model="fraud",rollout="fraud"} 1"#));
}

#[test]
fn windows_are_filtered_and_open_ones_stand_apart() {
    let (server, shared) = server();
    let all = get(&server, "/v1/windows").json();
    assert_eq!(all["windows"].as_array().unwrap().len(), 2);
    let amount = get(&server, "/v1/windows?model=fraud&version=v2&metric=psi&column=amount&segment=").json();
    assert_eq!(amount["windows"][0]["value"], 0.3);
    assert_eq!(amount["provisional"][0]["value"], 0.4);
    assert_eq!(amount["windows"].as_array().unwrap().len(), 1);
    assert_eq!(get(&server, "/v1/windows?version=v9").json()["windows"], Value::Array(Vec::new()));

    shared.publish(&Effects { windows: vec![row("amount", 20, Some(0.5))], ..Effects::default() });
    let newer = get(&server, "/v1/windows?column=amount").json();
    assert_eq!(newer["windows"].as_array().unwrap().len(), 1, "the newest window of each number is shown");
    assert_eq!(newer["windows"][0]["value"], 0.5);
    assert_eq!(newer["judged"], json!({ "windows": 2, "upto": 20 }));
}

#[test]
fn rollouts_are_listed_and_found_one_by_one() {
    let (server, shared) = server();
    assert_eq!(get(&server, "/v1/rollouts").json()["rollouts"].as_array().unwrap().len(), 2);
    assert_eq!(get(&server, "/v1/rollouts/fraud/v2").json()["state"], "CONTAINED");
    get(&server, "/v1/rollouts/fraud/v9").check_problem(404, "no candidate v9 in rollout fraud");

    let mut other = state("v2", State::Held, Validity::Valid);
    other.model = "spam".to_owned();
    shared.restore(&[other]);
    get(&server, "/v1/rollouts/fraud/v2").check_problem(400, "2 models");
    assert_eq!(get(&server, "/v1/rollouts/fraud/v2?model=spam").json()["state"], "HELD");
}

#[test]
fn decisions_come_newest_first() {
    let (server, _shared) = server();
    let found = get(&server, "/v1/decisions").json();
    assert_eq!(found["decisions"][0]["action"], "contain");
    assert_eq!(found["decisions"].as_array().unwrap().len(), 2);
    assert_eq!(get(&server, "/v1/decisions?limit=1&rollout=fraud").json()["decisions"].as_array().unwrap().len(), 1);
    assert_eq!(get(&server, "/v1/decisions?candidate=v1").json()["decisions"], Value::Array(Vec::new()));
}

#[test]
fn what_cannot_be_answered_says_why_in_json() {
    let (server, _shared) = server();
    get(&server, "/v1/nothing").check_problem(404, "/v1/nothing");
    get(&server, "/v1/windows?colour=red").check_problem(400, "colour");
    get(&server, "/v1/decisions?limit=many").check_problem(400, "limit");
    ask(server.address(), "POST", "/v1/rollouts").check_problem(405, "/v1/rollouts");
    assert_eq!(get(&server, "/").json()["name"], "haldane");
}

#[test]
fn what_is_kept_for_readers_is_bounded() {
    let (server, shared) = server();
    let windows: Vec<WindowRow> = (0..=WINDOW_ROWS_MAX).map(|i| row(&format!("f{i}"), 10, Some(0.1))).collect();
    shared.provisional(windows.clone());
    let decisions = vec![decision(Signal::Hold); DECISIONS_MAX];
    shared.publish(&Effects { windows, decisions, ..Effects::default() });
    let shown = get(&server, "/v1/windows").json();
    assert_eq!(shown["windows"].as_array().unwrap().len(), WINDOW_ROWS_MAX);
    assert_eq!(shown["provisional"].as_array().unwrap().len(), WINDOW_ROWS_MAX);
    assert_eq!(shown["rows_dropped"], 1 + 3, "one open row; two judged ones were there before");
    let decisions = get(&server, "/v1/decisions").json();
    let actions: Vec<_> = decisions["decisions"].as_array().unwrap().iter().map(|one| &one["action"]).collect();
    assert_eq!(actions.len(), DECISIONS_MAX);
    assert!(actions.iter().all(|action| **action == "hold"), "the oldest go first");
}

#[test]
fn clients_that_never_ask_make_room_for_those_who_do() {
    let (server, _shared) = server();
    let mut hanging: Vec<TcpStream> = (0..300)
        .map(|_| {
            let mut stream = TcpStream::connect(server.address()).unwrap();
            stream.write_all(b"GET /livez HTTP/1.1\r\nHost:").unwrap();
            stream
        })
        .collect();
    assert_eq!(get(&server, "/livez").status, 200);
    assert_eq!(hanging[0].read(&mut [0; 1]).unwrap_or(0), 0, "whoever waited longest has made room");
    let last = hanging.last_mut().unwrap();
    last.write_all(b" haldane\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    last.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "the others are served when they ask: {answer}");
}

#[test]
fn a_body_that_is_too_long_is_told_so() {
    let (server, _shared) = server();
    for head in ["Content-Length: 70000", "Transfer-Encoding: chunked"] {
        let mut stream = TcpStream::connect(server.address()).unwrap();
        write!(stream, "POST /v1/commands HTTP/1.1\r\nHost: haldane\r\nConnection: close\r\n{head}\r\n\r\n").unwrap();
        let chunk = if head.starts_with("Transfer") {
            format!("11170\r\n{}\r\n0\r\n\r\n", "x".repeat(70_000))
        } else {
            "x".repeat(70_000)
        };
        // The server may stop to read before everything is written.
        let _ = stream.write_all(chunk.as_bytes());
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.starts_with("HTTP/1.1 413") && answer.contains("longer than 65536 bytes"), "{head}: {answer}");
    }
}

#[test]
fn shutdown_frees_the_port_and_closes_idle_connections() {
    let (server, shared) = server();
    let address = server.address();
    let mut idle = TcpStream::connect(address).unwrap();
    assert_eq!(get(&server, "/").status, 200);
    server.shutdown();
    assert_eq!(shared.health().phase(), Phase::Stopping);
    assert_eq!(idle.read(&mut [0; 1]).unwrap_or(0), 0, "the connection is closed");
    TcpListener::bind(address).unwrap();
}

#[test]
fn a_bad_address_and_a_taken_port_are_told_apart() {
    let shared = Arc::new(Shared::new());
    let bad = Server::start("nowhere", Arc::clone(&shared)).unwrap_err();
    assert_eq!((bad.fault(), bad.to_string().contains("`nowhere`")), (Fault::User, true));
    assert!(bad.advice().unwrap().contains("host:port"));

    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = Server::start(holder.local_addr().unwrap(), shared).unwrap_err();
    assert_eq!(taken.fault(), Fault::External);
    assert!(taken.advice().unwrap().contains("another process may hold the port"));
}
