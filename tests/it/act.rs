//! A rollout that fails over a real Kafka: haldane decides, the share of traffic falls where it is set, and that is
//! acknowledged.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use haldane::event::Micros;
use haldane::kafka::cloud_event::{ACK, DECISION, attribute, body_of};
use haldane::kafka::ports::Incoming as _;
use haldane::kafka::whole_topic;
use haldane::plan::Signal;
use haldane::verdict::{AckStatus, CommandKind, CommandResult, Decision, Outcome, State};
use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::sign::Signer;
use serde_json::Value;

use crate::api::{Api, Asked};
use crate::command::{self, Stage};
use crate::http;
use crate::service::Service;

/// From one look at the file to the next.
const PAUSE: Duration = Duration::from_millis(10);

/// Looks again until it is so, and leaves the processor to others in between.
pub(crate) fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    command::until(what, || {
        let found = look();
        if found.is_none() {
            std::thread::park_timeout(PAUSE);
        }
        found
    })
}

/// A rollout whose shares stand in a file, and a webhook.
pub(crate) struct Scene {
    pub(crate) stage: Stage,
    flags: PathBuf,
    hook: Api,
}

impl Scene {
    pub(crate) fn set() -> Self {
        let stage = Stage::set("auto, acks: true");
        let flags = stage.config().with_file_name("flags.json");
        let failed = AtomicU32::new(0);
        // Its first answer is an error: what was not taken is told again.
        let hook = Api::start(move |_| {
            let first = failed.fetch_add(1, Ordering::Relaxed) == 0;
            Some((if first { 500 } else { 204 }, Vec::new(), String::new()))
        });
        fs::write(stage.config().with_file_name("secret"), "geheim\n").unwrap();
        let act = format!(
            "act:
  - {{ name: flags, every: 1s, file: {{ path: flags.json, share: {{ weight: '/{{candidate}}', rest: '/{{baseline}}' }} }} }}
  - {{ name: nowhere, file: {{ path: nowhere.json, share: {{ weight: '/{{candidate}}' }} }} }}
  - {{ name: hook, notify: {{ url: '{}', secret_file: secret, at: error }} }}
",
            hook.url()
        );
        let pipeline = fs::read_to_string(stage.config()).unwrap();
        fs::write(stage.config(), pipeline + &act).unwrap();
        let scene = Self { stage, flags, hook };
        scene.put(50);
        scene
    }

    /// Somebody sets the share of v2.
    pub(crate) fn put(&self, share: u32) {
        fs::write(&self.flags, format!("{{ \"v1\": {}, \"v2\": {share} }}\n", 100 - share)).unwrap();
    }

    pub(crate) fn share(&self) -> u64 {
        let flags: Value = serde_json::from_str(&fs::read_to_string(&self.flags).unwrap()).unwrap();
        flags["v2"].as_u64().unwrap()
    }

    fn start(&self) -> Service {
        let mut act = Command::new(env!("CARGO_BIN_EXE_haldane"));
        act.arg("act").arg("-c").arg(self.stage.config()).args(["--only", "flags", "--only", "hook"]);
        act.args(["--listen", "127.0.0.1:0"]);
        act.env("HALDANE_TEST_TOKEN", "a-token-for-tests");
        Service::of(act)
    }

    /// Exit code and output of `haldane act`.
    fn act(&self, arguments: &[&str]) -> (i32, String) {
        let output = self.stage.haldane("act", arguments);
        let [said, log] = [output.stdout, output.stderr].map(|said| String::from_utf8(said).unwrap());
        println!("act {arguments:?}: {said}{log}");
        (output.status.code().unwrap(), said)
    }

    /// The rollback, and when it was written to its topic.
    pub(crate) fn rollback(&self) -> Option<(Decision, Micros)> {
        let mut found = None;
        whole_topic::read(&self.stage.connection(), &self.stage.kafka.topics.control, |message| {
            let decision = body_of::<Decision>(message, DECISION).map(Result::unwrap);
            if let Some(decision) = decision.filter(|decision| decision.action == Signal::Rollback) {
                found = found.take().or(Some((decision, message.time().unwrap())));
            }
        })
        .unwrap();
        found
    }

    /// What came of acknowledgements of a decision.
    fn acknowledged(&self, id: &str) -> Vec<CommandResult> {
        let (_, results) = self.stage.control();
        let is_it = |result: &CommandResult| matches!(&result.command.kind, CommandKind::Ack { decision, .. } if decision == id);
        results.into_iter().filter(is_it).collect()
    }

    /// Ids of all acknowledgements that were written.
    fn written(&self) -> Vec<String> {
        let mut ids = Vec::new();
        whole_topic::read(&self.stage.connection(), &self.stage.kafka.topics.commands, |message| {
            if attribute(message, "type").as_deref() == Some(ACK) {
                ids.push(attribute(message, "id").unwrap());
            }
        })
        .unwrap();
        ids
    }
}

/// Checks who says so.
fn assert_signed(asked: &Asked) {
    let signature = asked.header("haldane-signature");
    let (at, hex) = signature.strip_prefix("t=").unwrap().split_once(",v1=").unwrap();
    let key = PKey::hmac(b"geheim").unwrap();
    let mut signer = Signer::new(MessageDigest::sha256(), &key).unwrap();
    signer.update(format!("{at}.").as_bytes()).unwrap();
    signer.update(&asked.body).unwrap();
    let computed = signer.sign_to_vec().unwrap();
    assert_eq!(hex, computed.iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}")));
}

/// What the process says of itself.
fn assert_tells(act: &Service) {
    let asks = |path: &str| http::ask(act.address(), "GET", path);
    assert_eq!((asks("/livez").status, asks("/readyz").status), (200, 200));
    assert_eq!(asks("/v1/rollouts").status, 404, "whoever judges is asked for that");
    let again = r#"haldane_act_outcomes_total{outcome="put_back",pipeline="people",target="flags"} 1"#;
    let page = until("the share set again", || Some(asks("/metrics").text()).filter(|page| page.contains(again)));
    for line in [
        r#"haldane_act_outcomes_total{outcome="applied",pipeline="people",target="flags"} 1"#,
        r#"haldane_act_time_to_contained_seconds_count{pipeline="people",target="flags"} 1"#,
        r#"haldane_notifications_total{outcome="failed",pipeline="people",target="hook"} 1"#,
    ] {
        assert!(page.contains(line), "no {line} in\n{page}");
    }
    assert!(page.contains(r#"haldane_act_share_ratio{candidate="v2""#), "{page}");
}

#[test]
fn a_candidate_that_fails_loses_its_traffic_and_that_is_acknowledged() {
    let scene = Scene::set();
    scene.stage.traffic(0..5, false);
    let service = scene.stage.service();
    until("a state of v2", || scene.stage.v2());
    assert_eq!(scene.act(&["--once", "--only", "flags"]), (0, "flags: nothing to do\n".to_owned()));
    let mut act = scene.start();
    act.says("acting");
    act.says("telling");
    scene.stage.traffic(5..12, true);
    until("a share of 0 %", || (scene.share() == 0).then_some(()));

    // From the decision to the traffic.
    let changed = fs::metadata(&scene.flags).unwrap();
    let changed = changed.mtime() * 1_000_000 + changed.mtime_nsec() / 1_000;
    let (rollback, recorded) = until("the rollback", || scene.rollback());
    let took = changed - recorded;
    println!("from the decision on its topic to the share in the file: {} ms", took / 1_000);
    // Kafka's times are whole milliseconds.
    assert!((-1_000..60_000_000).contains(&took), "{took} us");
    assert_eq!(fs::read_to_string(&scene.flags).unwrap(), "{ \"v1\": 100, \"v2\": 0 }\n");

    // The acknowledgement is on the control topic, and counts.
    let told = until("an acknowledgement", || scene.acknowledged(&rollback.id).pop());
    let CommandKind::Ack { status, adapter, observed_cap_pct, detail, .. } = &told.command.kind else { unreachable!() };
    assert_eq!((told.outcome, *status, adapter.as_str()), (Outcome::Accepted, AckStatus::Applied, "flags"));
    assert_eq!(*observed_cap_pct, Some(0.0));
    assert!(detail.ends_with(" s after the decision was recorded"), "{detail}");
    until("that it counts", || scene.stage.v2().and_then(|state| state.effect).filter(|effect| effect.acked));

    // The webhook is told, again after an error, with a proof.
    let told = until("a call of the webhook", || Some(scene.hook.asked()).filter(|asked| asked.len() >= 2));
    assert_eq!(told[0].header("haldane-decision"), told[1].header("haldane-decision"));
    assert_signed(&told[1]);
    let event = told[1].json();
    assert_eq!((&event["id"], &event["type"]), (&Value::from(rollback.id.as_str()), &Value::from(DECISION)));
    assert_eq!(event["data"]["action"], "rollback");

    // A robot puts the share back, while it acts and while it does not.
    scene.put(30);
    until("the robot's share to fall", || (scene.share() == 0).then_some(()));
    act.says("somebody has put the share back");
    assert_tells(&act);
    act.kill();
    scene.put(40);
    let would = format!("flags: would set v2 from 40 % to 0 %, by {}\n", rollback.id);
    assert_eq!((scene.act(&["--dry-run", "--only", "flags"]), scene.share()), ((0, would), 40));
    let done = format!("flags: set v2 from 40 % to 0 %, by {}\n", rollback.id);
    assert_eq!((scene.act(&["--once", "--only", "flags"]), scene.share()), ((0, done), 0));
    scene.put(45);
    let _again = scene.start();
    until("the share to fall after a restart", || (scene.share() == 0).then_some(()));
    assert_eq!(scene.written(), [format!("flags/{}/applied", rollback.id)], "said once, whoever started anew");

    // haldane believes it when traffic shows it.
    scene.stage.traffic_of(&["v1"], 12..30, false);
    until("ROLLED_BACK", || scene.stage.v2().filter(|state| state.state == State::RolledBack));

    // A target that is not there is said, by its exit code and to whoever judges.
    let (code, said) = scene.act(&["--once", "--only", "nowhere"]);
    assert!(code == 3 && said.contains("was not carried out at nowhere within 10 s"), "{code}: {said}");
    assert!(scene.written().contains(&format!("nowhere/{}/failed", rollback.id)));
    drop(service);
}
