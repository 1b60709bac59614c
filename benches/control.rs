//! From a decision made to its record acknowledged by the control topic: what detection costs at its very end.

#[expect(dead_code, reason = "each bench uses a part of it")]
mod kafka;

use std::sync::Arc;
use std::time::Duration;

use haldane::engine::Effects;
use haldane::format::RecordVersion;
use haldane::kafka::Connection;
use haldane::kafka::clock::now;
use haldane::kafka::producer::Producer;
use haldane::kafka::publish::Publisher;
use haldane::plan::{Authority, Signal};
use haldane::verdict::Decision;
use haldane::verdict::decision::{DecisionInputs, Exposure, Precondition, Reason, Severity};
use kafka::Cluster;

/// Decisions before the clock starts: connections and producer id are there then, as in a running service.
const WARM_UP: usize = 20;

fn main() {
    let decisions = if kafka::measuring() { 1_000 } else { 20 };
    let cluster = Cluster::start();
    let connection = Connection::open(&cluster.settings).expect("a cluster");
    let producer = Arc::new(Producer::open(&connection).expect("a producer"));
    let mut publisher = Publisher::open(&connection, producer).expect("a publisher");
    let mut took: Vec<Duration> =
        (1..).take(WARM_UP + decisions).map(|sequence| publish(&mut publisher, sequence)).collect();
    took.drain(..WARM_UP);
    took.sort();
    let at = |share: usize| took[took.len() * share / 100].as_secs_f64() * 1e3;
    println!("{decisions} decisions, acknowledged after: p50 {:.2} ms (goal 5), p99 {:.2} ms", at(50), at(99));
}

fn publish(publisher: &mut Publisher, sequence: u64) -> Duration {
    let effects = Effects { decisions: vec![decision(sequence)], ..Effects::default() };
    let begun = now();
    publisher.publish(&effects, || Ok(true)).expect("an acknowledgement");
    begun.elapsed()
}

fn decision(sequence: u64) -> Decision {
    let state_sequence = format!("{:020}", sequence - 1);
    Decision {
        format: RecordVersion::NEW,
        id: format!("b3:{sequence:064}"),
        sequence,
        episode: format!("b3:{:064}", 1),
        time: kafka::EPOCH,
        action: Signal::Contain,
        cap_pct: Some(5.0),
        rollout: "bench".into(),
        model: "fraud".into(),
        candidate: "v2".into(),
        baseline: "v1".into(),
        denied_versions: Vec::new(),
        precondition: Precondition { candidate: "v2".into(), state: "SUSPECT".into(), state_sequence },
        supersedes: Vec::new(),
        authority: Authority::Auto,
        approval: None,
        severity: Severity::Error,
        causation: None,
        reason: Reason { code: "ERROR_RATE".into(), text: "error_rate is 0.31, above 0.1".into() },
        evidence: Vec::new(),
        exposure: Exposure { declared_pct: None, observed_pct: 9.5 },
        inputs: DecisionInputs {
            offsets: vec![("input".into(), 0, 1, 8_192)],
            window: Some((0, 10)),
            policy: format!("b3:{:064}", 2),
            reference: String::new(),
            engine: "haldane".into(),
        },
        ledger: Vec::new(),
        lease_s: 900,
        drill: false,
        previous: String::new(),
    }
}
