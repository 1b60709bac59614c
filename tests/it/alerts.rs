//! The shipped alerts and Flagger's query, by what they say: a process is played minute by minute, Prometheus's own
//! evaluator (`promtool`) reads the pages that it wrote, and what fires is compared.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use haldane::engine::Effects;
use haldane::event::{EventKind, Micros, Poison, Reject, SECOND};
use haldane::kafka::checkpoint::Stream;
use haldane::kafka::liveness::Behind;
use haldane::kafka::watch::{RunObserver as _, StreamStanding};
use haldane::plan::{Plan, Signal, WindowKind};
use haldane::scan::LaneCounts;
use haldane::serve::{Listener, Shared};
use haldane::telemetry::METRIC_SERIES_MAX;
use haldane::verdict::decision::Severity;
use haldane::verdict::rollout::Effect;
use haldane::verdict::{CommandResult, Decision, Outcome, RolloutState, State, Validity};
use serde_json::{Value, json};

use crate::act_alerts;
use crate::sample::{decision, full, row, state};
use crate::world;

pub(crate) const MINUTE: Micros = 60 * SECOND;
const RULES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/prometheus-rules.yaml");

/// One run of haldane, which is scraped once a minute. Its topic is read a moment after it was written, and is
/// committed.
pub(crate) struct Process {
    pub(crate) shared: Arc<Shared>,
    listener: Listener,
    standing: StreamStanding,
    refused: u64,
    late: u64,
    commits: bool,
}

impl Process {
    /// A run that begins at a minute, with what the state topic tells it.
    fn start(pipeline: &str, minute: i64, states: &[RolloutState]) -> Self {
        let window = WindowKind::Sliding { size: MINUTE, slide: MINUTE };
        let plan = Plan { name: pipeline.to_owned(), ..world::plan(window) };
        let shared = Arc::new(Shared::new());
        let listener = Listener::new(Arc::clone(&shared), &plan);
        shared.telemetry().runs_as("all");
        listener.started(states);
        let standing = StreamStanding {
            stream: Stream { source: 0, lane: 0, topic: format!("{pipeline}.predictions"), kind: None },
            next_offset: 0,
            end: 0,
            low_water: None,
            committed_at: minute * MINUTE,
            broker_time: None,
            event_time: None,
            behind: Behind::default(),
        };
        Self { shared, listener, standing, refused: 0, late: 0, commits: true }
    }

    /// A healthy process with one candidate.
    pub(crate) fn healthy() -> Self {
        Self::start("fraud", 0, &[candidate("v2", State::Observing)])
    }

    /// A minute in which so many events came, a few of which are still to be read.
    fn read(&mut self, minute: i64, events: u64) {
        self.shared.telemetry().ingested(EventKind::Prediction, events, events * 100);
        let standing = &mut self.standing;
        standing.next_offset += i64::try_from(events).unwrap();
        standing.end = standing.next_offset + 3;
        standing.broker_time = Some(minute * MINUTE - 2 * SECOND);
        standing.event_time = Some(minute * MINUTE - 5 * SECOND);
    }

    /// The end of a minute: what is due is committed, and how things stand is shown.
    fn beat(&mut self, minute: i64) {
        if self.commits {
            self.standing.committed_at = minute * MINUTE;
            self.standing.low_water = Some(self.standing.next_offset);
        }
        self.listener.show(std::slice::from_ref(&self.standing), minute * MINUTE);
    }

    pub(crate) fn lives(&mut self, minute: i64) {
        self.read(minute, 600);
        self.beat(minute);
    }

    fn show(&self, state: RolloutState) {
        self.shared.publish(&Effects { states: vec![state], ..Effects::default() });
    }

    fn decide(&self, decision: Decision) {
        self.shared.publish(&Effects { decisions: vec![decision], ..Effects::default() });
    }

    fn refuse(&mut self, n: u64) {
        self.refused += n;
        let reject = Reject { offset: 1, row: 0, reason: Poison::Malformed, detail: String::new() };
        (0..n).for_each(|_| self.shared.telemetry().rejected(std::slice::from_ref(&reject)));
    }

    fn drop_late(&mut self, n: u64) {
        self.late += n;
        let counts = LaneCounts { late: self.late, ..LaneCounts::default() };
        self.shared.telemetry().counted(&BTreeMap::from([(0, counts)]));
    }
}

fn candidate(version: &str, at: State) -> RolloutState {
    state(version, at, Validity::Valid)
}

/// A containment that was seen in traffic after so many minutes.
fn contained_within(minutes: i64) -> RolloutState {
    let effect = full().effect.map(|effect| Effect { took_us: Some(minutes * MINUTE), ..effect });
    RolloutState { effect, pending: None, ..candidate("v2", State::Contained) }
}

/// What Prometheus saw: each series, minute by minute.
#[derive(Default)]
pub(crate) struct Film {
    series: BTreeMap<String, Vec<String>>,
    minutes: usize,
}

impl Film {
    /// The first so many minutes of what is played.
    pub(crate) fn of(minutes: i64, mut play: impl FnMut(i64) -> Vec<String>) -> Self {
        let mut film = Self::default();
        (0..minutes).for_each(|minute| film.scrape(&play(minute)));
        film
    }

    /// One process, scraped every minute.
    fn of_one(minutes: i64, mut process: Process, mut play: impl FnMut(&mut Process, i64)) -> Self {
        Self::of(minutes, |minute| {
            play(&mut process, minute);
            vec![process.shared.telemetry().render().unwrap()]
        })
    }

    fn scrape(&mut self, pages: &[String]) {
        let lines = pages.iter().flat_map(|page| page.lines()).filter(|line| !line.starts_with('#'));
        let rules = include_str!("../../deploy/prometheus-rules.yaml");
        // What no alert asks for would only take time.
        let asked = |name: &str| rules.contains(name.split('{').next().unwrap_or(name));
        for (name, value) in lines.filter_map(|line| line.rsplit_once(' ')).filter(|(name, _)| asked(name)) {
            let absent = || vec!["_".to_owned(); self.minutes];
            self.series.entry(name.to_owned()).or_insert_with(absent).push(value.to_owned());
        }
        self.minutes += 1;
        // A series that is not on the page any more has ended, as Prometheus marks it.
        for values in self.series.values_mut().filter(|values| values.len() < self.minutes) {
            let ended = values.last().is_some_and(|last| last != "stale" && last != "_");
            values.push(if ended { "stale" } else { "_" }.to_owned());
        }
    }

    /// What promtool says to expressions and the samples that they are expected to have.
    fn check(&self, name: &str, tests: &[Value]) -> Result<(), String> {
        let series =
            |(series, values): (&String, &Vec<String>)| json!({ "series": series, "values": values.join(" ") });
        let series: Vec<Value> = self.series.iter().map(series).collect();
        let test = json!({ "interval": "1m", "input_series": series, "promql_expr_test": tests });
        let file = json!({ "rule_files": [RULES], "evaluation_interval": "1m", "tests": [test] });
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("scenario.json");
        std::fs::write(&path, file.to_string()).unwrap();
        let run = Command::new("promtool").args(["test", "rules"]).arg(&path).output();
        let run = run.expect("promtool evaluates the alerts; install it: apt-get install prometheus");
        let said = [run.stdout, run.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
        if run.status.success() { Ok(()) } else { Err(format!("{name}: {said}")) }
    }
}

/// What is played, and which alerts fire after so many minutes: their names, and their pipeline where it is not
/// `fraud`.
pub(crate) struct Scenario {
    name: &'static str,
    film: Film,
    fires: Vec<(i64, Vec<&'static str>)>,
}

impl Scenario {
    fn check(&self) -> Result<(), String> {
        let test = |(minute, alerts): &(i64, Vec<&str>)| {
            let sample = |alert: &&str| {
                let labels = match alert.split_once(' ').unwrap_or((alert, "fraud")) {
                    (name, "") => format!("{{alertname={name:?}}}"),
                    (name, pipeline) => format!("{{alertname={name:?},pipeline={pipeline:?}}}"),
                };
                json!({ "labels": labels, "value": 1 })
            };
            json!({
                "eval_time": format!("{minute}m"),
                "expr": r#"group by (alertname, pipeline) (ALERTS{alertstate="firing"})"#,
                "exp_samples": alerts.iter().map(sample).collect::<Vec<_>>(),
            })
        };
        self.film.check(self.name, &self.fires.iter().map(test).collect::<Vec<_>>())
    }
}

pub(crate) fn scenario(name: &'static str, film: Film, fires: &[(i64, &[&'static str])]) -> Scenario {
    Scenario { name, film, fires: fires.iter().map(|(minute, alerts)| (*minute, alerts.to_vec())).collect() }
}

/// What goes on beside rollouts: streams, commits, processes.
fn of_processes() -> Vec<Scenario> {
    let healthy = Film::of_one(180, Process::healthy(), Process::lives);
    let idle = Film::of_one(300, Process::healthy(), |process, minute| {
        if minute < 10 {
            process.read(minute, 600);
        }
        process.standing.end = process.standing.next_offset;
        process.beat(minute);
    });
    let old_events = |unread: i64| {
        Film::of_one(90, Process::healthy(), move |process, minute| {
            process.read(minute, 600);
            process.standing.event_time = Some(0);
            process.standing.end = process.standing.next_offset + unread;
            process.beat(minute);
        })
    };
    let behind = Film::of_one(60, Process::healthy(), |process, minute| {
        process.read(minute, 600);
        process.standing.broker_time = Some(minute.min(10) * MINUTE);
        process.beat(minute);
    });
    let away = |of: &'static str| {
        Film::of_one(60, Process::healthy(), move |process, minute| {
            let lasts = if (10..40).contains(&minute) { (minute - 9) * 60 } else { 0 };
            process.shared.telemetry().outage(of, Duration::from_secs(lasts.unsigned_abs()));
            process.lives(minute);
        })
    };
    let commits_fail = Film::of_one(120, Process::healthy(), |process, minute| {
        process.commits = minute < 5;
        process.lives(minute);
    });
    let never_committed = Film::of_one(120, Process::healthy(), |process, minute| {
        process.commits = false;
        process.lives(minute);
    });
    vec![
        scenario("healthy", healthy, &[(1, &[]), (30, &[]), (90, &[]), (179, &[])]),
        scenario("idle topic", idle, &[(20, &[]), (120, &[]), (299, &[])]),
        scenario("event times of old, read to the end", old_events(0), &[(60, &[]), (89, &[])]),
        scenario("event times stand still", old_events(5), &[(25, &[]), (60, &["HaldaneWatermarkStands"])]),
        scenario("read late", behind, &[(14, &[]), (40, &["HaldaneFallsBehind"])]),
        scenario("Kafka is away", away("kafka"), &[(10, &[]), (20, &["HaldaneCannotReach"]), (45, &[])]),
        scenario("the store is away", away("store"), &[(10, &[]), (20, &["HaldaneCannotReach"]), (45, &[])]),
        scenario("commits fail", commits_fail, &[(60, &[]), (90, &["HaldaneDoesNotCommit"])]),
        scenario("commits fail from the start", never_committed, &[(60, &[]), (90, &["HaldaneDoesNotCommit"])]),
        scenario("one of two pipelines is gone", one_of_two(), &[(15, &[]), (40, &["HaldaneDown prices"])]),
        scenario("nothing was ever scraped", Film::default(), &[(4, &[]), (10, &["HaldaneDown "])]),
        scenario("restart", restarts(), &[(31, &[]), (40, &[]), (90, &[])]),
    ]
}

fn one_of_two() -> Film {
    let (mut fraud, mut prices) = (Process::healthy(), Process::start("prices", 0, &[]));
    Film::of(60, |minute| {
        fraud.lives(minute);
        prices.lives(minute);
        let page = |process: &Process| process.shared.telemetry().render().unwrap();
        let pages = [Some(page(&fraud)), Some(page(&prices)).filter(|_| minute < 20)];
        pages.into_iter().flatten().collect()
    })
}

/// Counters begin anew, and states are read back: of one that was rolled back, of one that was contained in time.
fn restarts() -> Film {
    let known = [
        RolloutState { validity: Validity::Blind, ..candidate("v1.9", State::RolledBack) },
        candidate("v2", State::Observing),
    ];
    let mut process = Process::start("fraud", 0, &known);
    Film::of(120, |minute| {
        if minute == 30 {
            process = Process::start("fraud", minute, &known);
        }
        process.refuse(1);
        process.lives(minute);
        vec![process.shared.telemetry().render().unwrap()]
    })
}

/// What becomes of candidates.
fn of_rollouts() -> Vec<Scenario> {
    let from = |minutes: i64, at: i64, then: RolloutState| {
        Film::of_one(minutes, Process::healthy(), move |process, minute| {
            if minute == at {
                process.show(then.clone());
            }
            process.lives(minute);
        })
    };
    let blind = |at: State| RolloutState { validity: Validity::Blind, ..candidate("v2", at) };
    let rolled_back = Film::of_one(120, Process::healthy(), |process, minute| {
        match minute {
            10 => process.show(candidate("v2", State::Contained)),
            20 => process.show(candidate("v2", State::RollingBack)),
            30 => process.show(blind(State::RolledBack)),
            _ => {}
        }
        process.lives(minute);
    });
    let waits = RolloutState { pending: full().pending, ..candidate("v2", State::Passed) };
    let is_restricted: &[&str] = &["HaldaneRestricts"];
    vec![
        scenario("held", from(60, 10, candidate("v2", State::Held)), &[(20, &[]), (40, &["HaldaneHolds"])]),
        scenario("rolled back", rolled_back, &[(15, is_restricted), (25, is_restricted), (35, &[]), (95, &[])]),
        scenario("superseded", from(90, 10, blind(State::Superseded)), &[(12, &[]), (40, &[]), (89, &[])]),
        scenario("blind", from(60, 10, blind(State::Observing)), &[(20, &[]), (40, &["HaldaneBlind"])]),
        scenario("waits for approval", from(30, 10, waits), &[(9, &[]), (15, &["HaldaneWaitsForApproval"])]),
        scenario(
            "contained after two hours",
            from(60, 10, contained_within(120)),
            &[(40, &["HaldaneContainsSlowly", "HaldaneRestricts"])],
        ),
        scenario("contained after two minutes", from(60, 10, contained_within(2)), &[(40, is_restricted)]),
    ]
}

/// What is counted.
fn of_counters() -> Vec<Scenario> {
    let counted = |events: u64, refused: u64, late: u64| {
        Film::of_one(120, Process::healthy(), move |process, minute| {
            process.read(minute, events);
            // Now and then one of few, or all the time.
            let now = refused > 1 || minute % 10 == 0;
            process.refuse(if now { refused } else { 0 });
            process.drop_late(if now { late } else { 0 });
            process.beat(minute);
        })
    };
    let escalates = Film::of_one(60, Process::healthy(), |process, minute| {
        if minute == 10 {
            process.decide(Decision { severity: Severity::Fatal, ..decision(Signal::Hold) });
        }
        process.lives(minute);
    });
    let turned_down = Film::of_one(60, Process::healthy(), |process, minute| {
        if (10..20).contains(&minute) {
            process.shared.publish(&Effects { results: vec![rejected()], ..Effects::default() });
        }
        process.lives(minute);
    });
    let crowded = Film::of_one(60, Process::healthy(), |process, minute| {
        if minute == 10 {
            let rows: Vec<_> =
                (0..METRIC_SERIES_MAX + 3).map(|column| row(&format!("f{column}"), 10, Some(0.1))).collect();
            process.shared.telemetry().judged(&rows);
            process.shared.telemetry().judged(&[row("new", 30, Some(0.1))]);
        }
        process.lives(minute);
    });
    vec![
        scenario("one of ten at night", counted(1, 1, 1), &[(60, &[]), (119, &[])]),
        scenario(
            "every tenth is refused or late",
            counted(100, 10, 10),
            &[(100, &["HaldaneRefusesEvents", "HaldaneDropsLateEvents"])],
        ),
        scenario("a few of very many", counted(10_000, 10, 10), &[(100, &[])]),
        scenario("all are refused", counted(0, 10, 0), &[(100, &["HaldaneRefusesEvents"])]),
        scenario("people are called", escalates, &[(9, &[]), (15, &["HaldaneEscalates"]), (30, &[])]),
        scenario("commands are turned down", turned_down, &[(11, &[]), (19, &["HaldaneCannotObey"]), (45, &[])]),
        scenario("series are left out", crowded, &[(9, &[]), (15, &["HaldaneLeavesOutSeries"])]),
    ]
}

fn rejected() -> CommandResult {
    let command = json!({ "id": "1", "at": 0, "rollout": "fraud", "kind": { "resume": {} }, "actor": "ana" });
    CommandResult {
        command: serde_json::from_value(command).unwrap(),
        outcome: Outcome::Rejected,
        text: String::new(),
        sequence: 1,
        state: None,
        decisions: Vec::new(),
        applied_after: None,
    }
}

#[test]
fn alerts_fire_when_something_is_wrong_and_only_then() {
    let all: Vec<Scenario> =
        [of_processes(), of_rollouts(), of_counters(), act_alerts::scenarios()].into_iter().flatten().collect();
    let faults: Vec<String> = all.iter().filter_map(|scenario| scenario.check().err()).collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));

    let rules: Value = serde_saphyr::from_str(&std::fs::read_to_string(RULES).unwrap()).unwrap();
    let named = rules["groups"][0]["rules"].as_array().unwrap().iter().map(|rule| rule["alert"].as_str().unwrap());
    let fired = all.iter().flat_map(|scenario| &scenario.fires).flat_map(|(_, alerts)| alerts);
    let fired: BTreeSet<&str> = fired.map(|alert| alert.split(' ').next().unwrap()).collect();
    assert_eq!(named.collect::<BTreeSet<_>>(), fired, "every alert fires in a scenario");
}

/// The query that Flagger asks, for a candidate.
fn flagger(candidate: &str) -> String {
    let text = include_str!("../../deploy/argo-rollouts.yaml");
    let query = text.split_once("  query: |\n").expect("the last document holds the query").1;
    query.replace("{{ variables.rollout }}", "fraud").replace("{{ variables.candidate }}", candidate)
}

#[test]
fn flagger_rolls_back_the_candidate_that_it_asks_about_and_no_later_one() {
    let film = Film::of_one(120, Process::healthy(), |process, minute| {
        match minute {
            10 => process.show(candidate("v2", State::RollingBack)),
            20 => process.show(candidate("v2", State::RolledBack)),
            30 => process.show(candidate("v3", State::Observing)),
            60 => process.show(RolloutState { pending: full().pending, ..candidate("v3", State::RollingBack) }),
            70 => process.show(candidate("v3", State::RollingBack)),
            _ => {}
        }
        process.lives(minute);
    });
    let says = |candidate: &str, minute: i64, value: f64| {
        let sample = json!({ "labels": "{}", "value": value });
        json!({ "eval_time": format!("{minute}m"), "expr": flagger(candidate), "exp_samples": [sample] })
    };
    let tests = [
        says("v2", 5, 0.0),
        says("v2", 15, 4.0),
        says("v2", 50, 4.0),
        says("v3", 50, 0.0),
        says("v3", 65, 0.0),
        says("v3", 75, 4.0),
        // haldane is gone.
        says("v2", 180, 0.0),
    ];
    film.check("flagger", &tests).unwrap();
}
