//! A rollout on a real broker, asked at every step through every door: `haldane gate`, `haldane rollouts`,
//! `/v1/verdict` and the dashboard. They never disagree, and none of them says yes for want of something better.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use haldane::event::{Micros, SECOND};
use haldane::kafka::clock::{now, wall_clock};
use haldane::kafka::producer::Producer;
use haldane::kafka::reader::ReadPortion;
use haldane::kafka::standalone::RunOptions;
use haldane::kafka::states;
use haldane::kafka::watch::{Audience, RunObserver};
use haldane::verdict::Liveness;
use rdkafka::producer::BaseRecord;
use serde_json::json;

use crate::command::{Service, Stage, until};
use crate::dashboard;

/// From one pair of requests to the next.
const PAUSE: Duration = Duration::from_millis(100);

/// What decides how the traffic goes on.
#[derive(Default)]
struct Course {
    failing: AtomicBool,
    over: AtomicBool,
}

/// Requests to both versions as time goes by.
fn traffic(stage: &Stage, course: &Course) {
    let producer = Producer::open(&stage.connection()).unwrap();
    let mut number = 0;
    while !course.over.load(Ordering::Relaxed) {
        for version in ["v1", "v2"] {
            let fails = version == "v2" && course.failing.load(Ordering::Relaxed);
            let (at, id) = (wall_clock(), format!("{version}-{number}"));
            let status = if fails { 500 } else { 200 };
            let body = json!({ "at": at, "id": id, "version": version, "status": status }).to_string();
            let record = BaseRecord::to(&stage.topic).key(id.as_bytes()).payload(body.as_bytes());
            producer.send(record.timestamp(at / 1_000)).unwrap();
        }
        number += 1;
        thread::park_timeout(PAUSE);
    }
    producer.settle().unwrap();
}

/// A service, and where it answers.
struct Doors<'a> {
    stage: &'a Stage,
    service: Service,
    address: SocketAddr,
}

impl<'a> Doors<'a> {
    fn open(stage: &'a Stage) -> Self {
        let service = Service::start(stage, "all");
        let listens = service.wait_for("http server listens");
        let port: String =
            listens.split("127.0.0.1:").nth(1).unwrap().chars().take_while(char::is_ascii_digit).collect();
        Self { stage, service, address: SocketAddr::from(([127, 0, 0, 1], port.parse().unwrap())) }
    }

    /// The word at each door about v2: gate, `rollouts`, `/v1/verdict`, dashboard.
    fn words(&self) -> [String; 4] {
        let verdict = dashboard::send(self.address, "GET", "/v1/verdict?candidate=v2", &[], "").json();
        let page = dashboard::send(self.address, "GET", "/ui/rollouts/people/v2", &[("Accept", "text/html")], "").body;
        let shown =
            ["PASS", "FAIL", "WAIT", "BLIND"].into_iter().find(|word| page.contains(&format!("</span> {word}</span>")));
        [
            gate(self.stage),
            table(self.stage),
            verdict["verdict"].as_str().unwrap().to_owned(),
            shown.unwrap_or("WAIT").to_owned(),
        ]
    }

    /// Waits until all doors say this, which they then go on saying.
    fn all_say(&self, step: &str, word: &str) {
        let all = [word; 4];
        until(step, || (self.words() == all).then_some(()));
        assert_eq!(self.words(), all, "{step}");
        println!("{step}: {word} at every door");
    }
}

/// What the exit code of the gate says.
fn gate(stage: &Stage) -> String {
    let output = stage.haldane("gate", &["--candidate", "v2"]);
    let word = match output.status.code() {
        Some(0) => "PASS",
        Some(1) => "FAIL",
        Some(3) => "WAIT",
        code => panic!("{code:?}: {}", String::from_utf8_lossy(&output.stderr)),
    };
    word.to_owned()
}

/// What the table of rollouts says; a candidate that is not in it waits.
fn table(stage: &Stage) -> String {
    let table = String::from_utf8(stage.haldane("rollouts", &[]).stdout).unwrap();
    let line = table.lines().find(|line| line.contains("fraud v2"));
    let word =
        line.and_then(|line| ["PASS", "FAIL", "WAIT"].into_iter().find(|word| line.contains(&format!(" {word} "))));
    word.unwrap_or("WAIT").to_owned()
}

fn ask(stage: &Stage, command: &str, arguments: &[&str]) {
    let (code, said) = stage.ask(command, arguments);
    assert_eq!(code, 0, "{command}: {said}");
}

/// When whoever judges wrote the last sign of life.
fn heard(stage: &Stage) -> Micros {
    states::look(&stage.connection()).unwrap().liveness("people").unwrap().at
}

fn play(stage: &Stage, course: &Course) {
    let doors = Doors::open(stage);
    doors.service.wait_for("read near to its end");
    assert_eq!(dashboard::send(doors.address, "GET", "/readyz", &[], "").status, 200);
    until("a state of v2", || stage.v2());
    doors.all_say("observed", "WAIT");
    ask(stage, "force-promote", &[]);
    doors.all_say("promoted by a person", "PASS");
    ask(stage, "freeze", &["--until", "1h"]);
    doors.all_say("frozen", "WAIT");
    ask(stage, "unfreeze", &[]);
    doors.all_say("unfrozen", "PASS");
    drop(doors);

    // The lease is ten seconds, and nobody renews it.
    let dead_at = now();
    until("the gate closes when haldane is dead", || (gate(stage) == "WAIT").then_some(()));
    println!("the gate closed {} s after the end", dead_at.elapsed().as_secs());
    assert_eq!(table(stage), "WAIT");

    let doors = Doors::open(stage);
    doors.all_say("started again", "PASS");
    ask(stage, "hold", &[]);
    doors.all_say("held by a person", "WAIT");
    ask(stage, "force-rollback", &[]);
    doors.all_say("rolled back by a person", "FAIL");
    ask(stage, "clear-denial", &[]);
    doors.all_say("tried again", "WAIT");
    course.failing.store(true, Ordering::Relaxed);
    until("a rollback that waits for approval", || stage.v2()?.pending);
    doors.all_say("a rollback waits for approval", "WAIT");
    ask(stage, "approve", &[]);
    doors.all_say("a rollback is approved", "FAIL");
    // Nothing is decided any more, and the lease is renewed all the same.
    let first = heard(stage);
    let later = until("a later sign of life", || Some(heard(stage)).filter(|at| *at > first));
    assert!(later - first < 10 * SECOND, "{first} {later}");
}

#[test]
fn every_door_gives_one_answer() {
    let stage = Stage::set_with(
        "approval, lease: 10s, ladder: [50%, 100%], warmup_windows: 1, confirm_windows: 1",
        "{ size: 5s, lateness: 1s }",
    );
    let course = Course::default();
    thread::scope(|scope| {
        scope.spawn(|| traffic(&stage, &course));
        let played = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| play(&stage, &course)));
        course.over.store(true, Ordering::Relaxed);
        if let Err(panic) = played {
            std::panic::resume_unwind(panic);
        }
    });
}

/// Counts what was read before the service said that it has caught up.
#[derive(Default)]
struct Counting {
    read: AtomicU64,
    read_when_ready: AtomicU64,
    stop: AtomicBool,
}

impl RunObserver for Counting {
    fn read(&self, portion: &ReadPortion) {
        self.read.fetch_add(portion.batch.len() as u64, Ordering::Relaxed);
    }

    fn caught_up(&self) {
        self.read_when_ready.store(self.read.load(Ordering::Relaxed), Ordering::Relaxed);
        self.stop.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_service_is_ready_once_it_has_read_what_there_is() {
    for (minutes, events) in [(0, 0), (20, 2_400)] {
        let stage = Stage::set("auto");
        stage.traffic(0..minutes, false);
        let counting = Counting::default();
        let options = RunOptions { batch_records_max: 100, ..RunOptions::default() };
        stage.run(options, Audience::watching(&counting), &counting.stop).unwrap();
        assert_eq!(counting.read_when_ready.into_inner(), events);
        let seen = states::look(&stage.connection()).unwrap();
        assert!(seen.liveness("people").is_some_and(Liveness::is_near_end), "an empty topic is read to its end");
    }
}

#[test]
fn a_backlog_opens_no_gate() {
    let stage = Stage::set("auto");
    // Windows that ended years ago, and a person who lets the candidate go on.
    stage.traffic(0..5, false);
    let doors = Doors::open(&stage);
    doors.service.wait_for("read near to its end");
    until("a state of v2", || stage.v2());
    ask(&stage, "force-promote", &[]);
    doors.all_say("promoted on what happened years ago", "WAIT");
    let verdict = dashboard::send(doors.address, "GET", "/v1/verdict?candidate=v2", &[], "").json();
    let reason = verdict["reason"].as_str().unwrap();
    assert!(reason.contains("the newest judged window ended"), "{verdict}");
    assert!(verdict["exposure_cap_pct"].as_f64().unwrap() < 100.0, "{verdict}");
    let waited = stage.haldane("gate", &["--candidate", "v2", "--wait", "2s"]);
    let said = String::from_utf8(waited.stderr).unwrap();
    assert!(waited.status.code() == Some(3) && said.contains("within 2 s"), "{said}");
    for (word, code) in [("pass", 0), ("fail", 1)] {
        let output = stage.haldane("gate", &["--candidate", "v2", "--undecided", word]);
        assert_eq!(output.status.code(), Some(code), "--undecided {word}");
    }
}
