//! People are told of a rollout that fails: by messages, pages, alerts and mail.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use haldane::plan::Signal;
use serde_json::Value;

use crate::api::Api;
use crate::command::{Stage, until};
use crate::http::try_ask;

/// A mail server that takes every mail.
struct Post {
    address: SocketAddr,
    taken: Arc<Mutex<Vec<String>>>,
}

impl Post {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, taken) = (listener.local_addr().unwrap(), Arc::<Mutex<Vec<String>>>::default());
        let all = Arc::clone(&taken);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                all.lock().unwrap().extend(take(&stream));
            }
        });
        Self { address, taken }
    }
}

/// One conversation (RFC 5321); a mail, if one was sent.
fn take(mut stream: &TcpStream) -> Option<String> {
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    let mut mail = None;
    write!(stream, "220 post\r\n").ok()?;
    while let Some(line) = lines.next() {
        let answer = match line.split([' ', ':']).next().unwrap_or_default() {
            "DATA" => {
                write!(stream, "354 go on\r\n").ok()?;
                mail = Some(lines.by_ref().take_while(|line| line != ".").collect::<Vec<_>>().join("\n"));
                "250 taken"
            }
            "QUIT" => "221 bye",
            _ => "250 yes",
        };
        write!(stream, "{answer}\r\n").ok()?;
    }
    mail
}

/// A real Alertmanager. Dropped, it ends.
struct Alertmanager {
    child: Child,
    address: SocketAddr,
    _home: tempfile::TempDir,
}

impl Alertmanager {
    fn start() -> Self {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("alertmanager.yaml");
        fs::write(&file, "route: { receiver: nobody }\nreceivers: [{ name: nobody }]\n").unwrap();
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let child = Command::new("prometheus-alertmanager")
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.path={}", home.path().join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .arg("--cluster.listen-address=")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("a real Alertmanager takes alerts; install it: apt-get install prometheus-alertmanager");
        let alertmanager = Self { child, address, _home: home };
        until("an Alertmanager", || alertmanager.alerts());
        alertmanager
    }

    /// Those that stand; `None` while nobody answers.
    fn alerts(&self) -> Option<Vec<Value>> {
        let answer = try_ask(self.address, "GET", "/api/v2/alerts").ok().filter(|answer| answer.status == 200)?;
        answer.json().as_array().cloned()
    }
}

impl Drop for Alertmanager {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

#[test]
fn people_are_told_of_one_incident_from_its_first_decision_to_its_end() {
    let stage = Stage::set("auto, acks: true");
    let yes = |status| move |_: &_| Some((status, Vec::new(), "ok".to_owned()));
    let (slack, pagerduty, post, alertmanager) =
        (Api::start(yes(200)), Api::start(yes(202)), Post::start(), Alertmanager::start());
    fs::write(stage.config().with_file_name("address"), format!("{}/services/T0/B0/geheim\n", slack.url())).unwrap();
    fs::write(stage.config().with_file_name("key"), "0123456789abcdef\n").unwrap();
    let links = "dashboard: 'https://haldane.example/', runbook: 'https://runbooks.example/{code}'";
    let act = format!(
        "act:
  - {{ name: chat, notify: {{ slack: {{ url_file: address }}, {links} }} }}
  - {{ name: page, notify: {{ pagerduty: {{ routing_key_file: key, url: '{}/v2/enqueue' }}, at: error, {links} }} }}
  - {{ name: alert, notify: {{ alertmanager: 'http://{}', {links} }} }}
  - {{ name: mail, notify: {{ mail: {{ server: '{}', encryption: none, from: haldane@example, to: ['On call <on-call@example>'] }} }} }}
  - {{ name: others, candidate: v7, notify: {{ pagerduty: {{ routing_key_file: key, url: '{}/v7' }} }} }}
",
        pagerduty.url(),
        alertmanager.address,
        post.address,
        pagerduty.url(),
    );
    let pipeline = fs::read_to_string(stage.config()).unwrap();
    fs::write(stage.config(), pipeline + &act).unwrap();
    let once = || {
        let output = stage.haldane("act", &["--once"]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&[output.stdout, output.stderr].concat()));
    };
    stage.traffic(0..5, false);
    let _service = stage.service();
    until("a state of v2", || stage.v2());
    // They are told of what is decided from their first start on.
    once();
    stage.traffic(5..12, true);
    until("a rollback", || stage.control().0.into_iter().find(|one| one.action == Signal::Rollback));
    once();

    let asked = slack.asked();
    let text = asked[0].json()["text"].as_str().unwrap().to_owned();
    assert!(text.starts_with("*v2 of fraud: rollback to 0 % (rollout people)*\n"), "{text}");
    let id = asked[0].json()["text"]
        .as_str()
        .and_then(|text| text.split("decisions/").nth(1)?.split('\n').next().map(str::to_owned));
    let id = id.unwrap().replace("%3A", ":");
    let decided = stage.control().0.into_iter().find(|one| one.id == id).unwrap();
    let page = format!("Decision: https://haldane.example/ui/decisions/{}", decided.id.replace(':', "%3A"));
    assert!(text.contains(&page) && text.contains(&decided.reason.text.replace('>', "&gt;")), "{text}");
    assert!(text.contains("What to do: https://runbooks.example/"), "{text}");

    let event = pagerduty.asked()[0].json();
    assert_eq!((&event["routing_key"], &event["event_action"]), (&"0123456789abcdef".into(), &"trigger".into()));
    assert_eq!((&event["payload"]["severity"], &event["payload"]["component"]), (&"critical".into(), &"v2".into()));
    let first = stage.control().0.into_iter().find(|one| event["dedup_key"] == one.id.as_str()).unwrap();
    assert_eq!(first.action, Signal::Rollback, "less is not told here");
    assert!(pagerduty.asked().iter().all(|asked| asked.path == "/v2/enqueue"), "nothing was decided about v7");

    let alerts = alertmanager.alerts().unwrap();
    assert_eq!((alerts.len(), &alerts[0]["labels"]["candidate"]), (1, &"v2".into()), "{alerts:?}");
    assert_eq!(alerts[0]["annotations"]["severity"], "critical");

    let mail = post.taken.lock().unwrap()[0].clone();
    assert!(mail.contains("To: \"On call\" <on-call@example>") && mail.contains("Subject: v2 of "), "{mail}");
    assert!(mail.contains("Message-ID: <b3.") && mail.contains("ERROR_RATE: "), "{mail}");

    // A person takes the denial back: it is over.
    assert_eq!(stage.ask("clear-denial", &[]).0, 0);
    until("the end", || stage.control().0.into_iter().find(|one| one.action == Signal::Retract));
    once();
    let last = pagerduty.asked().pop().unwrap().json();
    assert_eq!((&last["event_action"], &last["dedup_key"]), (&"resolve".into(), &event["dedup_key"]));
    until("no alert", || alertmanager.alerts().filter(Vec::is_empty));
    assert!(slack.asked().last().unwrap().json()["text"].as_str().unwrap().contains("over ("));
    let mail = post.taken.lock().unwrap().pop().unwrap();
    assert!(mail.contains("In-Reply-To: <b3.") && mail.contains("Nothing is to be done."), "{mail}");
}
