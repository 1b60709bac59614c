//! Carrying decisions out as a part of the service, over a real Kafka: apart, or in the process that judges; never
//! unasked.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::process::{Command, Output};

use serde_json::Value;

use crate::act::{Scene, until};
use crate::http;
use crate::service::Service;

/// `haldane run` with these arguments.
fn run(scene: &Scene, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_haldane"));
    command.args(["run", "--listen", "127.0.0.1:0", "-c"]).arg(scene.stage.config()).args(arguments);
    command.env("HALDANE_TEST_TOKEN", "a-token-for-tests");
    command
}

fn page(service: &Service, path: &str) -> String {
    http::ask(service.address(), "GET", path).text()
}

/// Ready, and alive with the targets among its workers; says of itself that it is of this role.
fn assert_works(service: &Service, role: &str) {
    until("that it is ready", || (http::ask(service.address(), "GET", "/readyz").status == 200).then_some(()));
    let alive = http::ask(service.address(), "GET", "/livez");
    assert_eq!(alive.status, 200);
    let workers = alive.json()["workers"].as_array().unwrap().clone();
    let is_there = |name: &str| workers.iter().any(|one| one["worker"] == name);
    assert!(is_there("target flags") || is_there("target nowhere") || is_there("target hook"), "{workers:?}");
    let applied = r#"haldane_act_outcomes_total{outcome="applied",pipeline="people",target="flags"}"#;
    let page = until("the target's series", || Some(page(service, "/metrics")).filter(|page| page.contains(applied)));
    assert!(page.contains(&format!("role=\"{role}\"")), "{page}");
}

fn assert_ends(mut service: Service) {
    service.signal("-TERM");
    let ended = service.ended();
    assert!(ended.success(), "{ended}: {:?}", service.lines());
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn decisions_are_carried_out_by_the_role_act_and_beside_the_judge_where_that_is_asked_for() {
    let scene = Scene::set();
    scene.stage.traffic(0..5, false);
    scene.stage.traffic(5..12, true);
    let judge = Service::of(run(&scene, &[]));
    judge.says("the section `act` is not carried out by this process");
    until("that it is ready", || (http::ask(judge.address(), "GET", "/readyz").status == 200).then_some(()));
    until("the rollback", || scene.rollback());
    assert_eq!(scene.share(), 50, "whoever judges changes nothing unasked");
    assert!(!page(&judge, "/metrics").contains("target=\"flags\""));

    let act = Service::of(run(&scene, &["--role", "act"]));
    until("a share of 0 %", || (scene.share() == 0).then_some(()));
    assert_works(&act, "act");
    assert_eq!(http::ask(act.address(), "GET", "/v1/rollouts").status, 404, "whoever judges is asked for that");
    assert_ends(act);
    assert_ends(judge);

    scene.put(40);
    let both = Service::of(run(&scene, &["--act"]));
    until("a share of 0 %, put back", || (scene.share() == 0).then_some(()));
    assert_works(&both, "all");
    let rollouts = http::ask(both.address(), "GET", "/v1/rollouts").json();
    let states: Vec<&Value> = rollouts["rollouts"].as_array().unwrap().iter().map(|one| &one["candidate"]).collect();
    assert!(states.contains(&&Value::from("v2")), "{rollouts}");
    assert_ends(both);
}

#[test]
fn what_does_not_go_together_is_refused_before_anything_is_read() {
    let scene = Scene::set();
    let refused = |arguments: &[&str]| {
        let output = run(&scene, arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", said(&output));
        said(&output)
    };
    assert!(refused(&["--act", "--role", "scan"]).contains("a process that scans carries nothing out"));
    assert!(refused(&["--act", "--until-end"]).contains("cannot be used with"));
    assert!(refused(&["--role", "act", "--until-end"]).contains("--until-end needs both parts"));
    let pipeline = std::fs::read_to_string(scene.stage.config()).unwrap();
    let without = pipeline.split("act:\n").next().unwrap();
    std::fs::write(scene.stage.config(), without).unwrap();
    assert!(refused(&["--role", "act"]).contains("does not say where decisions are carried out"));
}
