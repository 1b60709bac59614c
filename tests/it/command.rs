//! People and actuators steer a running `haldane run` over a real Kafka, and hear what became of it.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use haldane::config::{self, KafkaConfig, Pipeline};
use haldane::engine::Effects;
use haldane::error::{Error, Result};
use haldane::event::{Micros, SECOND};
use haldane::kafka::clock::{now, wall_clock};
use haldane::kafka::cloud_event::{self, Letter};
use haldane::kafka::producer::Producer;
use haldane::kafka::standalone::{self, RunOptions};
use haldane::kafka::summary::RunSummary;
use haldane::kafka::watch::{Audience, Keeper};
use haldane::kafka::{Connection, dead_letter, states, topics, whole_topic};
use haldane::plan::Signal;
use haldane::verdict::{self, CommandKind, CommandResult, Decision, Outcome, RolloutState, State};
use rdkafka::consumer::Consumer as _;
use rdkafka::message::Message as _;
use rdkafka::producer::BaseRecord;
use serde_json::json;

use crate::broker::Broker;
use crate::dashboard;
use crate::kafka::settings;

const EPOCH: Micros = 1_700_000_000 * SECOND;
const MINUTE: Micros = 60 * SECOND;
/// Proves over HTTP that somebody is oli.
const TOKEN: &str = "a-token-for-tests";
/// Far longer than anything here takes.
const PATIENCE: Duration = Duration::from_mins(1);

/// A pipeline over a topic of its own, judged in windows of a minute.
pub(crate) struct Stage {
    pub(crate) kafka: KafkaConfig,
    pub(crate) topic: String,
    folder: tempfile::TempDir,
    authority: &'static str,
    windows: &'static str,
}

impl Stage {
    pub(crate) fn set(authority: &'static str) -> Self {
        Self::set_with(authority, "{ size: 1m, lateness: 0s }")
    }

    /// With more keys of the rollout after who may act, and other windows.
    pub(crate) fn set_with(authority: &'static str, windows: &'static str) -> Self {
        let broker = Broker::shared();
        let stage = Self {
            kafka: settings(broker),
            topic: broker.topic("predictions", 1),
            folder: tempfile::tempdir().unwrap(),
            authority,
            windows,
        };
        std::fs::write(stage.config(), stage.pipeline()).unwrap();
        stage
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.folder.path().join("people.yaml")
    }

    fn pipeline(&self) -> String {
        let (topics, authority, windows) = (&self.kafka.topics, self.authority, self.windows);
        format!(
            "pipeline: people
sources:
  predictions:
    topic: {}
    event_time: {{ path: at, unit: us }}
    id: id
    model: {{ constant: fraud }}
    version: version
    status: status
rollout: {{ baseline: v1, authority: {authority} }}
windows: {windows}
baselines: [concurrent]
policy:
  - {{ name: errors, metric: error_rate, against: difference, above: 0.1, min_n: 20, action: rollback }}
kafka: {{ brokers: '{}', group: {}, control_topic: {}, commands_topic: {}, state_topic: {},
  partials_topic: {}, dead_letter_topic: {} }}
serve: {{ approvers: [{{ name: oli, token_env: HALDANE_TEST_TOKEN, roles: [operator] }}] }}
",
            self.topic,
            self.kafka.brokers,
            self.kafka.group,
            topics.control,
            topics.commands,
            topics.state,
            topics.partials,
            topics.dead_letter
        )
    }

    fn load(&self) -> Pipeline {
        config::load(&self.config()).unwrap()
    }

    pub(crate) fn connection(&self) -> Connection {
        Connection::open(&self.kafka).unwrap()
    }

    /// Minutes of traffic from both versions; `failing` says whether v2 answers with errors.
    pub(crate) fn traffic(&self, minutes: std::ops::Range<Micros>, failing: bool) {
        self.traffic_of(&["v1", "v2"], minutes, failing);
    }

    /// The same from some versions only.
    pub(crate) fn traffic_of(&self, versions: &[&str], minutes: std::ops::Range<Micros>, failing: bool) {
        let producer = Producer::open(&self.connection()).unwrap();
        for (minute, number) in minutes.flat_map(|minute| (0..60).map(move |number| (minute, number))) {
            for &version in versions {
                let status = if failing && version == "v2" { 500 } else { 200 };
                let at = EPOCH + minute * MINUTE + number * SECOND;
                let id = format!("{version}-{minute}-{number}");
                let body = json!({ "at": at, "id": id, "version": version, "status": status }).to_string();
                let record = BaseRecord::to(&self.topic).key(id.as_bytes()).payload(body.as_bytes());
                producer.send(record.timestamp(at / 1_000)).unwrap();
            }
        }
        producer.settle().unwrap();
    }

    /// Sends bytes that nobody made with the command line.
    fn send_raw(&self, key: &str, body: &[u8]) {
        let producer = Producer::open(&self.connection()).unwrap();
        producer.send(BaseRecord::to(&self.kafka.topics.commands).key(key.as_bytes()).payload(body)).unwrap();
        producer.settle().unwrap();
    }

    pub(crate) fn haldane(&self, command: &str, arguments: &[&str]) -> Output {
        let mut haldane = Command::new(env!("CARGO_BIN_EXE_haldane"));
        haldane.arg(command).args(arguments).arg("-c").arg(self.config()).env("USER", "ana");
        haldane.output().unwrap()
    }

    /// Asks for something about v2; returns the exit code and what was said.
    pub(crate) fn ask(&self, command: &str, arguments: &[&str]) -> (i32, String) {
        let about = ["--candidate", "v2", "--wait", "60s", "--reason", "test"];
        let output = self.haldane(command, &[&about, arguments].concat());
        let said = [output.stdout, output.stderr].map(|said| String::from_utf8(said).unwrap()).concat();
        println!("{command} {arguments:?}: {said}");
        (output.status.code().unwrap(), said)
    }

    pub(crate) fn run(&self, options: RunOptions, audience: Audience<'_>, stop: &AtomicBool) -> Result<RunSummary> {
        let pipeline = self.load();
        standalone::run(&pipeline.plan, &pipeline.kafka.unwrap(), options, audience, stop)
    }

    pub(crate) fn v2(&self) -> Option<RolloutState> {
        states::read(&self.connection(), "people").unwrap().into_iter().find(|state| state.candidate == "v2")
    }

    /// Decisions and results in their order; the key of each is the rollout.
    pub(crate) fn control(&self) -> (Vec<Decision>, Vec<CommandResult>) {
        let (mut decisions, mut results) = (Vec::new(), Vec::new());
        whole_topic::read(&self.connection(), &self.kafka.topics.control, |message| {
            assert_eq!(message.key(), Some(b"people".as_slice()));
            decisions.extend(cloud_event::body_of(message, cloud_event::DECISION).map(std::result::Result::unwrap));
            results.extend(cloud_event::body_of(message, cloud_event::RESULT).map(std::result::Result::unwrap));
        })
        .unwrap();
        (decisions, results)
    }

    /// Reasons and bodies of the dead letters.
    fn dead_letters(&self) -> Vec<(String, Vec<u8>)> {
        let mut letters = Vec::new();
        whole_topic::read(&self.connection(), &self.kafka.topics.dead_letter, |message| {
            let headers = dead_letter::readable_headers(message).unwrap();
            let reason = headers.iter().find(|(name, _)| *name == "haldane.reason").unwrap().1;
            letters.push((String::from_utf8(reason.to_vec()).unwrap(), message.payload().unwrap_or_default().to_vec()));
        })
        .unwrap();
        letters
    }

    pub(crate) fn service(&self) -> Service {
        let service = Service::start(self, "all");
        service.wait_for("reading begins");
        service
    }
}

/// `haldane run` as a process; ended with the test.
pub(crate) struct Service {
    process: Child,
    log: Receiver<String>,
}

impl Service {
    pub(crate) fn start(stage: &Stage, role: &str) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_haldane"));
        command
            .args(["run", "--listen", "127.0.0.1:0", "--role", role, "-c"])
            .arg(stage.config())
            .env("HALDANE_LOG", "info")
            .env("HALDANE_TEST_TOKEN", TOKEN);
        let mut process = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(process.stderr.take().unwrap()).lines().map_while(std::result::Result::ok);
        let (sender, log) = mpsc::channel();
        std::thread::spawn(move || lines.for_each(|line| drop(sender.send(line))));
        Self { process, log }
    }

    /// Waits until it says so; returns the whole line.
    pub(crate) fn wait_for(&self, words: &str) -> String {
        let deadline = now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(now());
            let line = self.log.recv_timeout(left).unwrap_or_else(|_| panic!("the service never said `{words}`"));
            println!("service: {line}");
            if line.contains(words) {
                return line;
            }
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Looks again until it is so; every look is a read of a topic.
pub(crate) fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(now() < deadline, "{what} never came");
    }
}

#[test]
fn people_steer_a_running_service() {
    let stage = Stage::set("auto");
    stage.traffic(0..5, false);
    let service = stage.service();
    let before = until("a state of v2", || stage.v2());

    let (code, said) = stage.ask("hold", &["--ticket", "OPS-17"]);
    assert_eq!(code, 0, "{said}");
    assert!(said.starts_with("hold of v2 accepted: ") && said.contains("HELD"), "{said}");
    let (decisions, results) = stage.control();
    let (decision, result) = (decisions.last().unwrap(), results.last().unwrap());
    assert_eq!((decision.action, decision.sequence), (Signal::Hold, before.sequence + 1));
    assert!(decision.reason.text.contains("ana") && decision.reason.text.contains("OPS-17"), "{decision:?}");
    assert_eq!((result.outcome, result.state), (Outcome::Accepted, Some(State::Held)));
    assert_eq!(result.decisions, std::slice::from_ref(&decision.id));
    assert_eq!(result.command.actor, "ana");
    assert_eq!(decision.causation.as_ref(), Some(&result.command.id));
    let held = until("the state HELD", || stage.v2().filter(|state| state.state == State::Held));
    assert_eq!(held.sequence, decision.sequence);

    let other = (held.sequence + 1).to_string();
    assert_eq!(stage.ask("resume", &["--if-sequence", &other]).0, 5, "the rollout has moved on");
    assert_eq!(stage.ask("resume", &["--expires", "1970-01-01T00:00:01Z"]).0, 6);
    assert_eq!(stage.ask("clear-denial", &[]).0, 4, "nothing is denied");
    assert_eq!(stage.ask("approve", &[]).0, 2, "nothing waits");
    assert_eq!(stage.v2().unwrap().sequence, held.sequence, "none of them changed anything");

    let current = held.sequence.to_string();
    let (code, said) = stage.ask("force-rollback", &["--if-sequence", &current, "--id", "once", "--json"]);
    assert_eq!(code, 0, "{said}");
    let result: CommandResult = serde_json::from_str(&said).unwrap();
    assert_eq!((result.outcome, result.state), (Outcome::Accepted, Some(State::RollingBack)));
    let (code, said) = stage.ask("force-rollback", &["--id", "once"]);
    assert!(code == 0 && said.contains("duplicate"), "{said}");
    let (decisions, _) = stage.control();
    assert_eq!(decisions.iter().filter(|decision| decision.action == Signal::Rollback).count(), 1);

    let table = String::from_utf8(stage.haldane("rollouts", &[]).stdout).unwrap();
    let v2 = table.lines().find(|line| line.contains("fraud v2")).unwrap();
    assert!(table.starts_with("ROLLOUT") && v2.contains("ROLLING_BACK") && v2.contains("AUTO"), "{table}");
    drop(service);

    // An auditor, later: the log is whole, and what a person said is part of what gives the decision again.
    let audit = stage.haldane("audit", &["verify"]);
    let said = String::from_utf8(audit.stdout).unwrap();
    assert!(audit.status.success() && said.contains("the states vouch for their ends"), "{said}");
    let last = &decisions.last().unwrap().id;
    let explained = stage.haldane("explain", &[last, "--recompute"]);
    let said = String::from_utf8(explained.stdout).unwrap();
    assert!(explained.status.success() && said.contains("matches: the same decision"), "{said}");
}

#[test]
fn people_steer_over_http() {
    let stage = Stage::set("auto");
    stage.traffic(0..5, false);
    let service = Service::start(&stage, "all");
    let listens = service.wait_for("http server listens");
    let port: String = listens.split("127.0.0.1:").nth(1).unwrap().chars().take_while(char::is_ascii_digit).collect();
    service.wait_for("reading begins");
    let before = until("a state of v2", || stage.v2());
    let hold = json!({ "rollout": "people", "candidate": "v2", "kind": "hold", "reason": "a look", "if_sequence": before.sequence });
    let bearer = format!("Bearer {TOKEN}");
    let headers = [("Authorization", bearer.as_str()), ("Content-Type", "application/json")];
    let address = SocketAddr::from(([127, 0, 0, 1], port.parse().unwrap()));
    let answer = dashboard::send(address, "POST", "/v1/commands", &headers, &hold.to_string());
    assert_eq!(answer.status, 200, "{}", answer.body);
    let result: CommandResult = serde_json::from_value(answer.json()["result"].clone()).unwrap();
    assert_eq!((result.outcome, result.state), (Outcome::Accepted, Some(State::Held)));
    assert_eq!(result.command.actor, "oli");
    let (decisions, results) = stage.control();
    assert_eq!(results, [result], "it went over the topic, as every command does");
    assert!(decisions.last().unwrap().reason.text.contains("oli asked for it: a look"));
    drop(service);
}

#[test]
fn a_judge_apart_from_its_scan_obeys_too() {
    let stage = Stage::set("auto");
    stage.traffic(0..5, false);
    let parts = ["scan", "judge"].map(|role| Service::start(&stage, role));
    until("a state of v2", || {
        let there = topics::partitions(stage.connection().reader("test").unwrap().client(), &stage.kafka.topics.state);
        there.unwrap().and_then(|_| stage.v2())
    });
    let (code, said) = stage.ask("hold", &[]);
    assert!(code == 0 && said.contains("HELD"), "{said}");
    until("the state HELD", || stage.v2().filter(|state| state.state == State::Held));
    let seen = || states::look(&stage.connection()).unwrap();
    let life =
        until("a sign of life near the ends", || seen().liveness("people").filter(|life| life.is_near_end()).cloned());
    assert!(life.judged_upto.is_some_and(|upto| upto > EPOCH + 4 * MINUTE), "{life:?}");
    drop(parts);
}

#[test]
fn what_is_no_command_goes_to_the_dead_letters_and_others_rollouts_are_left_alone() {
    let stage = Stage::set("auto");
    stage.traffic(0..5, false);
    let service = stage.service();
    until("a state of v2", || stage.v2());
    stage.send_raw("people", b"{");
    stage.send_raw("people", br#"{"kind":"dance","actor":"ana","candidate":"v2"}"#);
    stage.send_raw("another", b"not even JSON");
    stage.send_raw("another", br#"{"kind":"hold","actor":"ana","candidate":"v2"}"#);
    assert_eq!(stage.ask("hold", &[]).0, 0);
    let letters = until("dead letters", || Some(stage.dead_letters()).filter(|letters| letters.len() >= 2));
    let reasons: Vec<_> = letters.iter().map(|(reason, _)| reason.as_str()).collect();
    assert_eq!(reasons, ["malformed", "wrong_type"]);
    assert_eq!(letters[0].1, b"{");
    let (_, results) = stage.control();
    assert_eq!(results.len(), 1, "only the command of this rollout was answered");
    drop(service);
}

#[test]
fn a_decision_that_waits_is_carried_out_when_it_is_approved_and_acknowledged() {
    let stage = Stage::set("approval");
    stage.traffic(0..5, true);
    let service = stage.service();
    let asked = until("a decision that waits", || stage.v2()?.pending);
    assert_eq!(asked.signal, Signal::Rollback);
    let table = String::from_utf8(stage.haldane("rollouts", &[]).stdout).unwrap();
    assert!(table.contains("rollback") && table.contains("APPROVAL"), "{table}");

    let (code, said) = stage.ask("approve", &[]);
    assert_eq!(code, 0, "{said}");
    let (decisions, results) = stage.control();
    let issued = decisions.last().unwrap();
    assert_eq!(issued.action, Signal::Rollback);
    assert_eq!(issued.approval.as_ref().unwrap().granted, ["ana"]);
    assert_eq!(results.last().unwrap().command.kind, CommandKind::Approve { decision: asked.decision });
    until("nothing waits", || stage.v2().filter(|state| state.pending.is_none()));

    // An actuator says what it did, in its own words and without naming the candidate.
    let ack = json!({ "decision_id": issued.id, "status": "applied", "adapter": "argo", "observed_cap_pct": 0 });
    stage.send_raw("people", ack.to_string().as_bytes());
    until("an answer to the actuator", || {
        let last = stage.control().1.pop()?;
        (last.command.actor == "argo")
            .then(|| assert_eq!((last.outcome, last.command.candidate.as_str()), (Outcome::Accepted, "v2")))
    });
    until("the acknowledgement in the state", || stage.v2()?.effect.filter(|effect| effect.acked));
    drop(service);
}

/// Ends a run at its first answer to a command: in good order, or as a crash would.
struct AtAnAnswer<'a> {
    stop: &'a AtomicBool,
    crash: bool,
}

impl Keeper for AtAnAnswer<'_> {
    fn conclude(&self, effects: &Effects) -> Result<()> {
        if effects.results.is_empty() {
            return Ok(());
        }
        self.stop.store(true, Ordering::Relaxed);
        if self.crash { Err(Error::internal("crash")) } else { Ok(()) }
    }
}

#[test]
fn a_crash_between_an_answer_and_its_commit_repeats_the_answer_and_not_the_decision() {
    let stage = Stage::set("auto");
    stage.traffic(0..5, false);
    let bounded = RunOptions { until_end: true, ..RunOptions::default() };
    stage.run(bounded, Audience::none(), &AtomicBool::new(false)).unwrap();
    let command = verdict::Command {
        id: "once".to_owned(),
        at: wall_clock(),
        rollout: "people".to_owned(),
        model: String::new(),
        candidate: "v2".to_owned(),
        kind: CommandKind::Hold,
        actor: "ana".to_owned(),
        reason: String::new(),
        ticket: None,
        if_sequence: None,
        expires_at: None,
    };
    let producer = Producer::open(&stage.connection()).unwrap();
    let own = topics::Own::of(&stage.kafka.topics.commands);
    topics::create(&stage.connection(), &[own]).unwrap();
    producer.send(Letter::command(&command).to(&stage.kafka.topics.commands)).unwrap();
    producer.settle().unwrap();

    let run = |crash| {
        let stop = AtomicBool::new(false);
        stage.run(RunOptions::default(), Audience::keeping(&AtAnAnswer { stop: &stop, crash }), &stop)
    };
    run(true).unwrap_err();
    run(false).unwrap();
    let (decisions, results) = stage.control();
    let mut holds: Vec<_> = decisions.iter().filter(|decision| decision.action == Signal::Hold).collect();
    holds.dedup_by(|left, right| left.id == right.id);
    assert_eq!(holds.len(), 1, "{decisions:?}");
    assert!(results.iter().all(|result| result.command.id == "once"));
    assert!(results.iter().any(|result| result.outcome == Outcome::Accepted), "{results:?}");

    // Let go of: what comes after it is the first that a third run reads.
    producer
        .send(Letter::command(&verdict::Command { id: "twice".to_owned(), ..command }).to(&stage.kafka.topics.commands))
        .unwrap();
    producer.settle().unwrap();
    let answered = results.len();
    run(false).unwrap();
    let (_, results) = stage.control();
    let ids: Vec<_> = results[answered..].iter().map(|result| result.command.id.as_str()).collect();
    assert_eq!(ids, ["twice"]);
}

#[test]
fn a_command_for_later_is_a_line_of_a_file() {
    let stage = Stage::set("auto");
    let file = stage.folder.path().join("commands.jsonl");
    let to = file.to_str().unwrap();
    for command in ["hold", "force-promote"] {
        assert_eq!(stage.ask(command, &["--to", to]).0, 0);
    }
    let lines = std::fs::read_to_string(&file).unwrap();
    let kinds: Vec<_> =
        lines.lines().map(|line| serde_json::from_str::<verdict::Command>(line).unwrap().kind).collect();
    assert_eq!(kinds, [CommandKind::Hold, CommandKind::ForcePromote]);
}

#[test]
fn a_command_that_nobody_reads_is_told_so() {
    let stage = Stage::set("auto");
    let output = stage.haldane("hold", &["--candidate", "v2", "--reason", "test", "--wait", "300ms"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(7), "{said}");
    assert!(said.contains("no answer within 0.3 s") && said.contains(&stage.kafka.topics.commands), "{said}");
    for (command, missing) in [("resume", "--candidate"), ("hold", "--reason")] {
        let output = stage.haldane(command, &[]);
        assert_eq!(output.status.code(), Some(2));
        assert!(String::from_utf8(output.stderr).unwrap().contains(missing));
    }
}
