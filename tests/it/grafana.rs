//! The shipped dashboard of Grafana, asked panel by panel: a real Prometheus scrapes a rollout under way, and every
//! query must be understood and have something to show.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use haldane::act::{Acknowledgement, ObservedShare};
use haldane::event::{EventKind, SECOND};
use haldane::kafka::checkpoint::Stream;
use haldane::kafka::clock::{now, wall_clock};
use haldane::kafka::liveness::Behind;
use haldane::kafka::watch::StreamStanding;
use haldane::plan::{Plan, WindowKind};
use haldane::serve::Listener;
use haldane::targets::Subject;
use haldane::targets::watch::Event;
use haldane::telemetry::Acting;
use haldane::verdict::{AckStatus, State};
use serde_json::Value;
use tempfile::TempDir;

use crate::dashboard::send;
use crate::stage::Stage;
use crate::world;

const RULES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/prometheus-rules.yaml");

/// A loaded machine starts a Prometheus slowly.
const PATIENCE: Duration = Duration::from_mins(2);

/// A Prometheus of this test's own, which scrapes one address every second.
struct Prometheus {
    child: Child,
    address: SocketAddr,
    _home: TempDir,
}

impl Prometheus {
    fn start(target: SocketAddr) -> Self {
        let home = tempfile::tempdir().unwrap();
        let config = format!(
            "global: {{ scrape_interval: 1s, evaluation_interval: 1s }}\nrule_files: ['{RULES}']\n\
             scrape_configs: [{{ job_name: haldane, static_configs: [{{ targets: ['{target}'] }}] }}]\n"
        );
        let file = home.path().join("prometheus.yaml");
        std::fs::write(&file, config).unwrap();
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let child = Command::new("prometheus")
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", home.path().join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("prometheus answers the dashboard's queries; install it: apt-get install prometheus");
        Self { child, address, _home: home }
    }

    /// The answer to a query; `None` while nobody answers.
    fn query(&self, query: &str) -> Option<Value> {
        let mut stream = TcpStream::connect(self.address).ok()?;
        let bytes = query.bytes().map(|byte| format!("%{byte:02X}")).collect::<Vec<_>>().concat();
        write!(stream, "GET /api/v1/query?query={bytes} HTTP/1.0\r\n\r\n").ok()?;
        let mut text = String::new();
        stream.read_to_string(&mut text).ok()?;
        serde_json::from_str(text.split_once("\r\n\r\n")?.1).ok()
    }

    /// How many series a query finds. One that is not understood fails the test.
    fn n_found(&self, query: &str) -> usize {
        let Some(answer) = self.query(query) else { return 0 };
        assert_eq!(answer["status"], "success", "{query}: {answer}");
        answer["data"]["result"].as_array().map_or(0, Vec::len)
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        // It may have ended by itself; the test has failed then.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn dashboard() -> Value {
    serde_json::from_str(include_str!("../../deploy/grafana-dashboard.json")).unwrap()
}

/// A query as Grafana asks it when everything is chosen.
fn filled(query: &str) -> String {
    let spans = [("$__rate_interval", "1m"), ("$__range", "1h"), ("=\"$metric\"", "=~\".+\"")];
    let filled = spans.iter().fold(query.to_owned(), |query, (name, value)| query.replace(name, value));
    let chosen = ["pipeline", "rollout", "model", "version", "column"];
    let filled = chosen.iter().fold(filled, |query, name| query.replace(&format!("${name}"), ".*"));
    assert!(!filled.contains('$'), "{filled}");
    filled
}

/// What its panels, its annotations and the lists of its variables ask.
fn queries(dashboard: &Value) -> Vec<String> {
    let panels = dashboard["panels"].as_array().unwrap().iter().filter(|panel| panel["type"] != "row");
    let targets = panels.flat_map(|panel| panel["targets"].as_array().unwrap()).map(|target| &target["expr"]);
    let annotations = dashboard["annotations"]["list"].as_array().unwrap().iter().map(|one| &one["expr"]);
    let asked = targets.chain(annotations).map(|query| filled(query.as_str().unwrap()));
    let variables = dashboard["templating"]["list"].as_array().unwrap().iter();
    let listed = variables.filter(|one| one["type"] == "query").map(|variable| {
        let query = variable["query"].as_str().unwrap();
        let inner = query.strip_prefix("label_values(").and_then(|rest| rest.strip_suffix(')')).unwrap();
        let (series, label) = inner.rsplit_once(", ").unwrap();
        format!("count by ({label}) ({})", filled(&series.replace("$metric", ".*")))
    });
    asked.chain(listed).collect()
}

/// What may well find nothing: nothing has gone wrong in the rollout, or not within the last minute.
fn may_be_empty(query: &str) -> bool {
    query.contains("haldane_events_rejected_total") || query.contains("offset 1m")
}

/// A stream that is read beside the engine of the stage.
fn standing(offset: i64) -> StreamStanding {
    StreamStanding {
        stream: Stream { source: 0, lane: 0, topic: "predictions".to_owned(), kind: None },
        next_offset: offset,
        end: offset + 3,
        low_water: Some(offset),
        committed_at: wall_clock(),
        broker_time: Some(wall_clock()),
        event_time: Some(wall_clock() - SECOND),
        behind: Behind::default(),
    }
}

/// A target shows what was asked of it.
fn act(acting: &Acting) {
    let [rollout, model, candidate, baseline, decision] = ["r", "m", "v2", "v1", "b3:1"].map(str::to_owned);
    let subject = Subject { rollout, model, candidate, baseline, decision: decision.clone() };
    let seen = ObservedShare { version: None, share_pct: Some(5.0), grain_pct: 1.0, mark: String::new() };
    let ack = Acknowledgement { decision, status: AckStatus::Applied, observed_pct: Some(5.0), detail: String::new() };
    acting.saw("route", Event::Looked(&subject, &Ok(seen)), wall_clock());
    acting.saw("route", Event::Said { ack: &ack, contained: Some(SECOND) }, wall_clock());
}

#[test]
fn every_panel_has_something_to_show() {
    let stage = Stage::set();
    let window = WindowKind::Sliding { size: 30 * SECOND, slide: 30 * SECOND };
    let listener = Listener::new(Arc::clone(&stage.shared), &Plan { name: "world".into(), ..world::plan(window) });
    stage.next_window();
    let acting = stage.shared.telemetry().acting();
    [("route", false), ("chat", true)].into_iter().for_each(|(name, tells)| acting.begins(name, tells));
    let prometheus = Prometheus::start(stage.server.address());
    let mut open: Vec<String> = queries(&dashboard()).into_iter().filter(|query| !may_be_empty(query)).collect();
    assert!(open.len() > 25);
    // Nobody speaks over this: it only lets a moment pass.
    let (_keep, moments) = mpsc::channel::<()>();
    let deadline = now() + PATIENCE;
    let mut offset = 0;
    while !open.is_empty() {
        assert!(now() < deadline, "nothing is found by\n{}", open.join("\n"));
        offset += 100;
        stage.shared.telemetry().ingested(EventKind::Prediction, 100, 10_000);
        stage.shared.telemetry().stepped(Duration::from_millis(1));
        stage.shared.telemetry().acknowledged(SECOND);
        listener.show(&[standing(offset)], wall_clock());
        act(acting);
        stage.next_window();
        let _ = moments.recv_timeout(Duration::from_millis(500));
        open.retain(|query| prometheus.n_found(query) == 0);
    }
    for query in queries(&dashboard()).iter().filter(|query| may_be_empty(query)) {
        prometheus.n_found(query);
    }
}

#[test]
fn a_states_number_is_shown_as_its_name() {
    let dashboard = dashboard();
    let panels = dashboard["panels"].as_array().unwrap();
    let state = panels.iter().find(|panel| panel["title"] == "State").unwrap();
    let names = &state["fieldConfig"]["defaults"]["mappings"][0]["options"];
    let help =
        haldane::telemetry::FAMILIES.iter().find(|family| family.name == "haldane_rollout_state_code").unwrap().help;
    for at in State::ALL {
        let number = (0..State::ALL.len()).find(|number| names[number.to_string()]["text"] == at.name()).unwrap();
        assert!(help.contains(&format!(" {number} {}", at.name())), "{number} {}", at.name());
    }
}

#[test]
fn its_links_lead_to_pages() {
    let stage = Stage::set();
    stage.next_window();
    let text = include_str!("../../deploy/grafana-dashboard.json");
    let links: Vec<&str> =
        text.split("\"url\": \"${haldane}").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    assert!(links.len() > 3);
    for link in links {
        let labels = [
            ("rollout", "world"),
            ("model", "m"),
            ("candidate", "v2%3Cscript%3Ealert%28%27version%27%29%3C%2Fscript%3E"),
        ];
        let path = labels.iter().fold(link.to_owned(), |path, (name, value)| {
            path.replace(&format!("${{__field.labels.{name}:percentencode}}"), value)
        });
        let answer = send(stage.server.address(), "GET", &path, &[("Accept", "text/html")], "");
        assert_eq!(answer.status, 200, "{path}");
    }
}
