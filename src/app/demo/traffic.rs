//! Made-up traffic of a fraud model in a canary rollout, the same for the same seed.
//!
//! Version v1 answers most requests, v2 a fifth of them. At [`FAULT_AT`] the feature pipeline of v2 starts to send
//! amounts in cents, so its scores rise and fit the truth no longer, and some of its requests fail. A few records are
//! broken and a few come twice, as in real life.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::event::{Micros, SECOND};
use crate::sim::Rng;

/// When the traffic starts: Monday, 5 January 2026, 09:00 UTC. Fixed, so that a seed gives the same run every day.
pub const START: Micros = 1_767_603_600 * SECOND;

/// For how long it goes on.
pub const LENGTH: Micros = 480 * SECOND;

/// End of the last window that the traffic completes: it ends before the lateness that every window waits for has
/// passed.
pub const LAST_WINDOW_END: Micros = START + LENGTH - 10 * SECOND;

/// When v2 turns bad.
pub const FAULT_AT: Micros = START + 300 * SECOND;

/// Partitions of both topics.
pub const PARTITIONS: i32 = 4;

/// Requests per second.
pub const RATE: i64 = 200;

/// The version that serves everybody.
pub const BASELINE: &str = "v1";
/// The new version.
pub const CANARY: &str = "v2";

/// Share of requests that v2 answers at first.
pub const CANARY_SHARE: f64 = 0.2;

/// Topic of the predictions.
pub const PREDICTIONS: &str = "demo.predictions";

/// Topic of the outcomes.
pub const OUTCOMES: &str = "demo.outcomes";

/// Share of requests that fail, before and after the fault.
const ERROR_SHARE: f64 = 0.01;
const FAULT_ERROR_SHARE: f64 = 0.09;

/// The factor of the fault: euros to cents.
const CENTS: f64 = 100.0;

/// One record in this many is cut off, and one in this many is sent twice.
const BROKEN_EVERY: u64 = 5_000;
const TWICE_EVERY: u64 = 3_000;

/// A chargeback is known within so many seconds: a demo does not wait for weeks.
const OUTCOME_DELAY_S_MAX: f64 = 8.0;

/// A record on its way to the broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DemoRecord {
    /// Topic.
    pub topic: &'static str,
    /// Partition; an outcome goes where its prediction went.
    pub partition: i32,
    /// Key: the prediction's id.
    pub key: String,
    /// JSON.
    pub payload: String,
    /// Event time, also the record's timestamp.
    pub time: Micros,
}

/// The traffic, second by second.
#[derive(Debug)]
pub struct DemoTraffic {
    rng: Rng,
    now: Micros,
    sent: u64,
    /// Outcomes that are not known yet, by when they will be.
    pending: BTreeMap<(Micros, u64), DemoRecord>,
}

/// One request and its answer.
struct Request {
    n: u64,
    time: Micros,
    version: &'static str,
    country: &'static str,
    device: &'static str,
    amount: f64,
    age_days: f64,
    score: f64,
    latency_ms: f64,
    failed: bool,
    fraud: bool,
}

impl DemoTraffic {
    /// The traffic of a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { rng: Rng::new(seed), now: START, sent: 0, pending: BTreeMap::new() }
    }

    /// Ids of the requests of the next second; `None` when the traffic is over.
    #[must_use]
    pub fn upcoming(&self) -> Option<Vec<String>> {
        (self.now < START + LENGTH).then(|| (self.sent..).zip(0..RATE).map(|(request, _)| id(request)).collect())
    }

    /// What there is to send in that second, in the order of time, when v2 answers these requests of it.
    pub fn pass(&mut self, canary: &[bool]) -> Vec<DemoRecord> {
        let mut messages = Vec::new();
        for (i, &canary) in (0..).zip(canary) {
            let request = self.request(self.now + i * SECOND / RATE, canary);
            let message = request.prediction();
            if request.n.is_multiple_of(TWICE_EVERY) {
                messages.push(message.clone());
            }
            messages.push(message);
            self.promise_outcome(&request);
        }
        self.now += SECOND;
        let later = self.pending.split_off(&(self.now, 0));
        messages.extend(std::mem::replace(&mut self.pending, later).into_values());
        messages
    }

    /// The end of what was sent.
    #[must_use]
    pub fn now(&self) -> Micros {
        self.now
    }

    fn request(&mut self, time: Micros, canary: bool) -> Request {
        let rng = &mut self.rng;
        let faulty = canary && time >= FAULT_AT;
        let amount = libm::exp(3.5 + rng.normal());
        let device = rng.choose(&[("web", 0.5), ("ios", 0.3), ("android", 0.2)]);
        let seen_amount = if faulty { amount * CENTS } else { amount };
        let error_share = if faulty { FAULT_ERROR_SHARE } else { ERROR_SHARE };
        let request = Request {
            n: self.sent,
            time,
            version: if canary { CANARY } else { BASELINE },
            country: rng.choose(&[("DE", 0.5), ("FR", 0.3), ("GB", 0.2)]),
            device,
            amount: seen_amount,
            age_days: -400.0 * libm::log(1.0 - rng.unit()),
            score: risk(seen_amount, device),
            latency_ms: libm::exp(2.5 + 0.4 * rng.normal()),
            failed: rng.unit() < error_share,
            fraud: rng.unit() < risk(amount, device),
        };
        self.sent += 1;
        request
    }

    fn promise_outcome(&mut self, request: &Request) {
        if request.failed {
            return;
        }
        #[expect(clippy::cast_possible_truncation, reason = "a few seconds in microseconds")]
        let delay = ((1.0 + (OUTCOME_DELAY_S_MAX - 1.0) * self.rng.unit()) * 1e6) as Micros;
        let outcome = request.outcome(request.time + delay);
        self.pending.insert((outcome.time, request.n), outcome);
    }
}

fn id(n: u64) -> String {
    format!("p{n:07}")
}

/// The chance of fraud, as v1 learned it and as it really is.
fn risk(amount: f64, device: &str) -> f64 {
    let web = if device == "web" { 0.5 } else { 0.0 };
    1.0 / (1.0 + libm::exp(2.5 + web - 0.9 * (libm::log(amount) - 3.5)))
}

impl Request {
    fn id(&self) -> String {
        id(self.n)
    }

    fn partition(&self) -> i32 {
        i32::try_from(self.n % u64::from(PARTITIONS.unsigned_abs())).expect("a partition is small")
    }

    fn prediction(&self) -> DemoRecord {
        let mut payload = format!(
            r#"{{"prediction_id":"{}","event_time_us":{},"version":"{}","country":"{}","device":"{}","amount":{:.2},"age_days":{:.1},"latency_ms":{:.2}"#,
            self.id(),
            self.time,
            self.version,
            self.country,
            self.device,
            self.amount,
            self.age_days,
            self.latency_ms,
        );
        let answer = if self.failed {
            r#","status":500,"error":"timeout"}"#.to_owned()
        } else {
            format!(r#","status":200,"score":{:.6}}}"#, self.score)
        };
        // A record that a crash cut off stays so.
        if self.n % BROKEN_EVERY != BROKEN_EVERY - 1 {
            write!(payload, "{answer}").expect("a string takes all text");
        }
        DemoRecord { topic: PREDICTIONS, partition: self.partition(), key: self.id(), payload, time: self.time }
    }

    fn outcome(&self, time: Micros) -> DemoRecord {
        let payload =
            format!(r#"{{"prediction_id":"{}","event_time_us":{time},"label":{}}}"#, self.id(), i32::from(self.fraud));
        DemoRecord { topic: OUTCOMES, partition: self.partition(), key: self.id(), payload, time }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::super::proxy::goes_to_canary;
    use super::*;

    /// So many seconds, in which the share of v2 stays as it is at first.
    fn of(seed: u64, seconds: usize) -> Vec<DemoRecord> {
        let mut traffic = DemoTraffic::new(seed);
        let second = || {
            let ids = traffic.upcoming()?;
            let canary: Vec<bool> = ids.iter().map(|id| goes_to_canary(id, CANARY_SHARE * 100.0)).collect();
            Some(traffic.pass(&canary))
        };
        std::iter::from_fn(second).take(seconds).flatten().collect()
    }

    fn all(seed: u64) -> Vec<DemoRecord> {
        of(seed, usize::MAX)
    }

    /// Valid predictions of one version in one half of the run.
    fn predictions<'a>(messages: &'a [DemoRecord], version: &'a str, faulty: bool) -> impl Iterator<Item = Value> + 'a {
        messages
            .iter()
            .filter(move |message| message.topic == PREDICTIONS && (message.time >= FAULT_AT) == faulty)
            .filter_map(|message| serde_json::from_str::<Value>(&message.payload).ok())
            .filter(move |event| event["version"] == version)
    }

    fn mean(values: impl Iterator<Item = f64>) -> f64 {
        let (n, sum) = values.fold((0.0, 0.0), |(n, sum), value| (n + 1.0, sum + value));
        sum / n
    }

    #[test]
    fn one_seed_gives_one_traffic() {
        assert_eq!(of(7, 20), of(7, 20));
        assert_ne!(of(7, 20), of(8, 20));
    }

    #[test]
    fn time_never_runs_backwards_in_a_partition() {
        let mut latest = BTreeMap::new();
        for message in all(1) {
            let before = latest.insert((message.topic, message.partition), message.time);
            assert!(before.is_none_or(|before| before <= message.time), "{message:?}");
        }
        assert_eq!(latest.len(), 8, "every partition gets its share");
    }

    #[test]
    fn the_fault_hits_v2_alone() {
        let messages = all(2);
        let failed = |version, faulty| {
            mean(predictions(&messages, version, faulty).map(|event| f64::from(u8::from(event["status"] == 500))))
        };
        let score =
            |version, faulty| mean(predictions(&messages, version, faulty).filter_map(|event| event["score"].as_f64()));
        assert!((failed("v2", true) - FAULT_ERROR_SHARE).abs() < 0.015, "{}", failed("v2", true));
        assert!(score("v2", true) > 2.0 * score("v2", false));
        for (version, faulty) in [("v1", false), ("v1", true), ("v2", false)] {
            assert!((failed(version, faulty) - ERROR_SHARE).abs() < 0.005, "{version} {}", failed(version, faulty));
            assert!((score(version, faulty) - score("v1", false)).abs() < 0.01, "{version}");
        }
    }

    #[test]
    fn outcomes_fit_the_scores_of_v1() {
        let messages = all(3);
        let labels = messages.iter().filter(|message| message.topic == OUTCOMES);
        let fraud = mean(labels.map(|message| f64::from(u8::from(message.payload.ends_with("1}")))));
        let score = mean(predictions(&messages, "v1", false).filter_map(|event| event["score"].as_f64()));
        assert!((fraud - score).abs() < 0.005, "{fraud} {score}");
    }

    #[test]
    fn some_records_are_broken_and_some_come_twice() {
        let messages = all(4);
        let predictions: Vec<_> = messages.iter().filter(|message| message.topic == PREDICTIONS).collect();
        let broken = predictions.iter().filter(|message| !message.payload.ends_with('}')).count();
        let twice = predictions.windows(2).filter(|pair| pair[0] == pair[1]).count();
        assert_eq!((broken, twice), (19, 32));
    }
}
