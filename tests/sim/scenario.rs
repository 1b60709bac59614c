//! What one seed stands for: who runs, what goes wrong and how often, and the traffic.

use std::sync::{Arc, LazyLock};

use haldane::config::OnGap;
use haldane::event::{Micros, SECOND};
use haldane::plan::Plan;
use serde_json::json;

use crate::once::Once;
use crate::rng::Rng;

/// When every simulation begins, by the calendar.
pub(crate) const EPOCH: Micros = 1_700_000_000 * SECOND;
/// Windows that end later are not compared: nothing completes the last ones.
pub(crate) const COMPARED: Micros = 100 * SECOND;
/// Traffic goes on for so long.
pub(crate) const TRAFFIC: Micros = 160 * SECOND;
/// From then on nothing goes wrong any more.
pub(crate) const HEALED: Micros = 170 * SECOND;
/// The latest end of a simulation.
pub(crate) const END: Micros = 260 * SECOND;
/// How late records of events come at most; less than the plan's lateness.
const DISORDER: Micros = 3 * SECOND;

/// The topic of commands.
pub(crate) const COMMANDS: &str = "haldane.commands.v1";

/// Who does the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Roles {
    /// So many processes that do all of it, one at a time.
    All(usize),
    /// So many scans and judges.
    Apart(usize, usize),
}

/// How often each fault happens, of a million chances; what a chance is, is said at each.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rates {
    /// At an effect: the process is killed before it, or after it.
    pub(crate) crash: u64,
    /// At an effect: the process is frozen before it, or after it.
    pub(crate) freeze: u64,
    /// When acknowledgements are waited for: they never come, be the record written or not.
    pub(crate) ack_lost: u64,
    /// In a step of a tenth of a second: a partition has no leader for a while.
    pub(crate) leader_lost: u64,
    /// At a request: it fails.
    pub(crate) request_fails: u64,
    /// In a step: the calendar of a machine jumps, by up to two hours.
    pub(crate) clock_jumps: u64,
    /// At an operation of the store: it fails, be it carried out or not.
    pub(crate) store_fails: u64,
    /// In a step: the store is away for a while.
    pub(crate) store_away: u64,
    /// In a step: retention deletes all that no commit holds back.
    pub(crate) retention: u64,
    /// At a read of records: they come in small pieces.
    pub(crate) trickle: u64,
}

/// What becomes of a process at one effect.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Interruption {
    /// The number of the effect, from 1.
    pub(crate) effect: u64,
    /// What becomes of it.
    pub(crate) way: Way,
}

/// How a process is interrupted at an effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// Killed before it.
    KilledBefore,
    /// Killed after it.
    KilledAfter,
    /// Frozen after it, for longer than its session.
    Frozen,
}

/// All that a seed decides beforehand.
#[derive(Debug, Clone)]
pub(crate) struct Scenario {
    pub(crate) seed: u64,
    pub(crate) roles: Roles,
    pub(crate) partitions: u32,
    pub(crate) shards: u32,
    pub(crate) store: bool,
    pub(crate) commands: bool,
    pub(crate) rates: Rates,
    pub(crate) once: Once,
    pub(crate) on_gap: OnGap,
    /// Predictions and outcomes are on one topic.
    pub(crate) one_topic: bool,
    pub(crate) interrupted: Option<Interruption>,
}

impl Scenario {
    /// What a seed stands for.
    pub(crate) fn of(seed: u64) -> Self {
        let mut rng = Rng::new(seed ^ 0x5ce0_a210);
        let roles = match rng.below(6) {
            0 => Roles::All(1),
            1 | 2 => Roles::All(2),
            3 => Roles::Apart(1, 1),
            4 => Roles::Apart(2, 2),
            _ => Roles::Apart(2, 1),
        };
        let mut some = |likely: u64, most: u64| if rng.below(100) < likely { 1 + rng.below(most) } else { 0 };
        let rates = Rates {
            crash: some(60, 4_000),
            freeze: some(50, 3_000),
            ack_lost: some(30, 8_000),
            leader_lost: some(40, 6_000),
            request_fails: some(30, 20_000),
            clock_jumps: some(20, 5_000),
            store_fails: some(50, 60_000),
            store_away: some(30, 4_000),
            retention: some(40, 20_000),
            trickle: some(50, 500_000),
        };
        let partitions = 1 + u32::try_from(rng.below(3)).expect("few");
        let shards = 1 + u32::try_from(rng.below(2)).expect("few");
        let (store, commands) = (rng.below(2) == 0, rng.below(2) == 0);
        let once = Once::of(&mut rng, partitions);
        let on_gap = once.gap.map_or(OnGap::Halt, |(_, on_gap)| on_gap);
        let one_topic = seed % 7 == 3;
        Self { seed, roles, partitions, shards, store, commands, rates, once, on_gap, one_topic, interrupted: None }
    }

    /// The same work without faults.
    pub(crate) fn calm(self) -> Self {
        Self { rates: Rates::default(), once: Once::default(), ..self }
    }

    /// How many processes there are.
    pub(crate) fn processes(&self) -> usize {
        match self.roles {
            Roles::All(n) => n,
            Roles::Apart(scans, judges) => scans + judges,
        }
    }

    /// Topics of events.
    pub(crate) fn inputs(&self) -> &'static [&'static str] {
        if self.one_topic { &["events"] } else { &["predictions", "outcomes"] }
    }

    /// What is done with them.
    pub(crate) fn plan(&self) -> &'static Arc<Plan> {
        static APART: LazyLock<Arc<Plan>> = LazyLock::new(|| plan(Scenario::pipeline()));
        static TOGETHER: LazyLock<Arc<Plan>> = LazyLock::new(|| {
            let own = |text: String, topic: &str| {
                text.replace(&format!("topic: {topic}\n"), &format!("topic: events\n    where: {{ of: {topic} }}\n"))
            };
            plan(&["predictions", "outcomes"].into_iter().fold(Scenario::pipeline().to_owned(), own))
        });
        if self.one_topic { &TOGETHER } else { &APART }
    }

    /// The pipeline file.
    pub(crate) fn pipeline() -> &'static str {
        "pipeline: sim
task: binary
sources:
  predictions:
    topic: predictions
    event_time: { path: at, unit: us }
    id: id
    model: { constant: m }
    version: version
    score: { path: score, range: [0, 1] }
    status: status
  outcomes:
    topic: outcomes
    event_time: { path: at, unit: us }
    id: id
    model: { constant: m }
    label: label
rollout: { baseline: v1, authority: auto }
windows: { size: 10s, lateness: 4s, idle_after: 20s, revise_for: 60s, early_every: 30s }
metrics: { names: [error_rate, accuracy, brier] }
labels: { wait: 10s, horizon: 30s }
baselines: [concurrent]
policy:
  - { name: errors, metric: error_rate, against: difference, above: 0.2, min_n: 5, breaches: 2, of: 3, action: contain, cap: 5% }
  - { name: ruin, metric: error_rate, against: difference, above: 0.7, min_n: 5, breaches: 2, of: 3, action: rollback }
kafka: { brokers: sim, group: sim, windows_topic: windows }
"
    }
}

fn plan(pipeline: &str) -> Arc<Plan> {
    haldane::config::parse(pipeline, "sim.yaml", std::path::Path::new("")).expect("a pipeline").plan
}

/// One record on its way to an input topic.
#[derive(Debug, Clone)]
pub(crate) struct Produced {
    /// When it is there, since the beginning.
    pub(crate) at: Micros,
    pub(crate) topic: &'static str,
    pub(crate) partition: u32,
    pub(crate) key: Vec<u8>,
    pub(crate) payload: Vec<u8>,
}

/// A prediction, for whoever counts by himself.
#[derive(Debug, Clone)]
pub(crate) struct Prediction {
    pub(crate) at: Micros,
    pub(crate) version: &'static str,
    pub(crate) failed: bool,
}

/// The traffic of a seed: what is produced, in the order of its time, and the predictions that are in it.
pub(crate) fn traffic(scenario: &Scenario) -> (Vec<Produced>, Vec<Prediction>) {
    let mut rng = Rng::new(scenario.seed ^ 0x07af_f1c0);
    let (mut produced, mut predictions) = (Vec::new(), Vec::new());
    let breaks_at = rng.between(10, 70) * SECOND;
    let ruin = rng.below(3) == 0;
    let mut at = 0;
    let mut number = 0_u64;
    while at < TRAFFIC {
        at += rng.between(1, 600) * 1_000;
        number += 1;
        let version = if rng.below(3) == 0 { "v2" } else { "v1" };
        let broken = version == "v2" && at > breaks_at;
        let failed = rng.below(100)
            < if !broken {
                3
            } else if ruin {
                95
            } else {
                60
            };
        let mills = rng.below(1_000);
        let score = mills as f64 / 1_000.0;
        let id = format!("{number:08x}");
        // Whoever produces takes to a new partition once all topics have it.
        let grown = scenario.once.grows_at.is_some_and(|grown| at > grown + 5 * SECOND);
        let partitions = scenario.partitions + u32::from(grown);
        let partition = u32::try_from(rng.below(u64::from(partitions))).expect("few");
        let time = EPOCH + at;
        let body = json!({ "at": time, "id": id, "version": version, "status": if failed { 500 } else { 200 },
            "score": (!failed).then_some(score), "of": "predictions" });
        let sent = at + rng.between(0, DISORDER);
        let record = |topic, at, body: &serde_json::Value| Produced {
            at: scenario.once.there_at(partition, at),
            topic: if scenario.one_topic { "events" } else { topic },
            partition,
            key: id.clone().into_bytes(),
            payload: body.to_string().into_bytes(),
        };
        produced.push(record("predictions", sent, &body));
        if rng.below(15) == 0 {
            produced.push(record("predictions", sent + rng.between(0, 20) * SECOND, &body));
        }
        if rng.below(40) == 0 {
            produced.push(Produced { payload: b"{\"at\": 1".to_vec(), ..record("predictions", sent, &body) });
        }
        if rng.below(4) > 0 {
            let delay = if rng.below(5) == 0 { rng.between(10, 25) } else { rng.between(0, 5) };
            let label = u8::from(rng.below(1_000) < mills);
            let body = json!({ "at": time, "id": id, "label": label, "of": "outcomes" });
            produced.push(record("outcomes", sent + delay * SECOND, &body));
        }
        predictions.push(Prediction { at: time, version, failed });
    }
    if scenario.commands {
        produced.extend(commands(&mut rng));
    }
    produced.sort_by_key(|record| record.at);
    (produced, predictions)
}

/// What people ask for meanwhile; some of it is delivered twice.
fn commands(rng: &mut Rng) -> Vec<Produced> {
    let mut produced = Vec::new();
    for number in 0..rng.between(1, 6) {
        let kind = match rng.below(6) {
            0 | 1 => json!("hold"),
            2 | 3 => json!({ "resume": {} }),
            4 => json!("force_rollback"),
            _ => json!("dance"),
        };
        let body = json!({ "id": format!("command-{number}"), "model": "m", "candidate": "v2", "actor": "ana", "kind": kind,
            "reason": "a simulation" });
        let at = rng.between(20, 150) * SECOND + rng.between(0, 999) * 1_000;
        for again in 0..=i64::from(rng.below(4) == 0) {
            let (topic, key, payload) = (COMMANDS, b"sim".to_vec(), body.to_string().into_bytes());
            produced.push(Produced { at: at + again * SECOND, topic, partition: 0, key, payload });
        }
    }
    produced
}
