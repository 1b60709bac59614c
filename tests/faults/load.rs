//! Traffic that does not stop: predictions of three versions and their labels, now and then much at once, now and then
//! records that nobody can read.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use haldane::config::KafkaConfig;
use haldane::error::Result;
use haldane::event::{Micros, SECOND};
use haldane::kafka::clock::{now, wall_clock};
use haldane::kafka::connection::Connection;
use haldane::kafka::producer::Producer;
use haldane::sim::Rng;
use rdkafka::producer::BaseRecord;
use serde_json::{Value, json};

/// The input topics, and how many partitions each has.
pub(crate) const INPUTS: [&str; 2] = ["predictions", "outcomes"];
pub(crate) const PARTITIONS: u32 = 4;
/// A candidate that is well all the time.
pub(crate) const STEADY: &str = "steady";
/// So long each other candidate is there.
const EPOCH: Micros = 100 * SECOND;
/// How often records are made.
const STEP: Duration = Duration::from_millis(20);

/// What is asked of the load meanwhile.
pub(crate) struct Load {
    /// Predictions a second.
    pub(crate) rate: u64,
    /// Ends it.
    pub(crate) stop: AtomicBool,
    /// Records that cannot be read, still to be sent.
    pub(crate) poison: AtomicU64,
    /// Predictions still to be sent at once.
    pub(crate) burst: AtomicU64,
}

/// An outcome that is on its way.
struct Label {
    due: Micros,
    lane: i32,
    body: Value,
}

impl Load {
    pub(crate) fn at(rate: u64) -> Self {
        Self { rate, stop: AtomicBool::new(false), poison: AtomicU64::new(0), burst: AtomicU64::new(0) }
    }

    /// Sends until it is stopped; every record is acknowledged then. How many predictions it made.
    pub(crate) fn run(&self, bootstrap: &str, seed: u64) -> Result<u64> {
        let mut settings = KafkaConfig::plain(bootstrap, "load");
        // Whoever loses a leader waits for the next one.
        settings.librdkafka.insert("delivery.timeout.ms".to_owned(), "600000".to_owned());
        settings.librdkafka.insert("linger.ms".to_owned(), "5".to_owned());
        let producer = Producer::open(&Connection::open(&settings)?)?;
        let (mut rng, begun, mut made) = (Rng::new(seed), now(), 0);
        let mut sent = 0;
        let mut labels = VecDeque::new();
        while !self.stop.load(Ordering::Relaxed) {
            let due = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX) * self.rate / 1_000;
            let more = (due - sent) + self.burst.swap(0, Ordering::Relaxed);
            for _ in 0..more {
                made += 1;
                predict(&producer, &mut rng, made, &mut labels)?;
            }
            sent = due;
            for _ in 0..self.poison.swap(0, Ordering::Relaxed) {
                send(&producer, INPUTS[0], lane(&mut rng), br#"{"at": 1"#)?;
            }
            // In the order in which they were made, as an outcome waits for those before it.
            while labels.front().is_some_and(|label: &Label| label.due <= wall_clock()) {
                let Some(label) = labels.pop_front() else { break };
                send(&producer, INPUTS[1], label.lane, label.body.to_string().as_bytes())?;
            }
            std::thread::park_timeout(STEP);
        }
        producer.settle()?;
        Ok(made)
    }
}

fn lane(rng: &mut Rng) -> i32 {
    i32::try_from(rng.bits() % u64::from(PARTITIONS)).unwrap_or_default()
}

fn send(producer: &Producer, topic: &str, lane: i32, body: &[u8]) -> Result<()> {
    producer.send(BaseRecord::to(topic).partition(lane).key(b"".as_slice()).payload(body))
}

/// The candidate of a time, beside the steady one.
pub(crate) fn candidate(at: Micros) -> String {
    format!("c{}", at / EPOCH % 1_000)
}

/// How often requests to a candidate fail: every other one breaks when half of its time is over, and some of those for
/// good.
fn failing(at: Micros) -> f64 {
    let (number, late) = (at / EPOCH, at % EPOCH > EPOCH / 3);
    match number % 4 {
        1 if late => 0.6,
        3 if late => 0.95,
        _ => 0.02,
    }
}

fn predict(producer: &Producer, rng: &mut Rng, number: u64, labels: &mut VecDeque<Label>) -> Result<()> {
    let now = wall_clock();
    #[expect(clippy::cast_possible_truncation, reason = "less than a second")]
    let at = now - (rng.unit() * 800_000.0) as Micros;
    let id = format!("{number:010x}");
    let (version, fails) = match rng.unit() {
        one if one < 0.5 => ("v1".to_owned(), 0.02),
        one if one < 0.75 => (STEADY.to_owned(), 0.02),
        _ => (candidate(now), failing(now)),
    };
    let (failed, score, lane) = (rng.chance(fails), rng.unit(), lane(rng));
    let status = if failed { 500 } else { 200 };
    let body = json!({ "at": at, "id": id, "version": version, "status": status, "score": (!failed).then_some(score) });
    let body = body.to_string();
    for _ in 0..=u8::from(rng.chance(0.02)) {
        send(producer, INPUTS[0], lane, body.as_bytes())?;
    }
    if rng.chance(0.7) {
        let body = json!({ "at": at, "id": id, "label": u8::from(rng.chance(score)) });
        labels.push_back(Label { due: now + SECOND, lane, body });
    }
    Ok(())
}
