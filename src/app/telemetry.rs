//! What haldane tells about itself and its models in Prometheus's words.
//!
//! The families stand in one list ([`FAMILIES`]); a [`Telemetry`] owns its registry, so tests and several pipelines in
//! one process do not meet. Shells call it with what happened; the core knows nothing of it.

mod acting;
pub mod family;
pub mod latest;
mod process;
mod refusal;
mod registration;
mod rollouts;

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use prometheus::proto::{LabelPair, Metric, MetricFamily};
use prometheus::{GaugeVec, Histogram, IntCounter, IntCounterVec, IntGaugeVec, Registry, TextEncoder};

pub use acting::Acting;
pub use family::{FAMILIES, Family, MetricType};
use latest::Latest;
use process::Process;
pub use refusal::Refusal;
use registration::{counter, counters, gauges, histogram, histograms, opts, real_gauge, real_gauges, register};
use rollouts::Rollouts;

use crate::engine::MemoryUse;
use crate::error::{Error, Result};
use crate::event::{EventKind, Micros, Poison, Reject};
use crate::judge::RowStatus;
use crate::judge::WindowRow;
use crate::name::Name;
use crate::scan::LaneCounts;
use crate::trust::Trust;
use crate::verdict::{CommandName, CommandResult, Decision, Outcome, RolloutState};

/// The most series of `haldane_metric_value`: 50 columns times 10 metrics of 10 versions, an ordinary Prometheus's
/// fill.
pub const METRIC_SERIES_MAX: usize = 5_000;

/// The most rollouts with series of their own.
pub const ROLLOUT_SERIES_MAX: usize = 500;

/// Seconds; a batch of 8,192 rows takes a few milliseconds.
const STEP_BUCKETS_S: [f64; 8] = [0.000_1, 0.000_5, 0.001, 0.005, 0.01, 0.05, 0.1, 1.0];

/// Seconds, from a lateness of nothing to labels that take two weeks.
const DELAY_BUCKETS_S: [f64; 11] = [0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 3_600.0, 21_600.0, 86_400.0, 1_209_600.0];

/// One of a lane's counts.
type CountOf = fn(&LaneCounts) -> u64;

/// What can become of a label.
const FATES: [(&str, CountOf); 7] = [
    ("joined", |lane| lane.labels.joined),
    ("duplicate", |lane| lane.labels.duplicates),
    ("corrected", |lane| lane.labels.corrected),
    ("orphan", |lane| lane.labels.orphans),
    ("expired", |lane| lane.labels.expired),
    ("early", |lane| lane.labels.early),
    ("refused", |lane| lane.labels.refused),
];

/// One part of what a thread keeps in memory, given what waits for it.
type MemoryPart = fn(&MemoryUse, u64) -> u64;

/// What memory is taken by.
const MEMORY_PARTS: [(&str, MemoryPart); 6] = [
    ("open_panes", |memory, _| memory.open_panes as u64),
    ("sealed_panes", |memory, _| memory.sealed_panes as u64),
    ("labels", |memory, _| memory.labels as u64),
    ("ids", |memory, _| memory.ids as u64),
    ("judging", |memory, _| memory.judging as u64),
    ("queues", |_, queued| queued),
];

/// How far one input partition is behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lag {
    /// Records between the log's end and the next one to read.
    pub records: i64,
    /// Time since the broker got the last record read; 0 at the end of the log.
    pub time: Micros,
    /// Time since the latest event time read; 0 at the end of the log.
    pub watermark: Micros,
    /// Records between the committed offset and the next one to read.
    pub replay_debt: i64,
}

impl Lag {
    /// The larger of each.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        Self {
            records: self.records.max(other.records),
            time: self.time.max(other.time),
            watermark: self.watermark.max(other.watermark),
            replay_debt: self.replay_debt.max(other.replay_debt),
        }
    }
}

/// One series as it stands now.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Values of its labels, in the order of their names.
    pub labels: Vec<String>,
    /// Its value.
    pub value: f64,
}

/// Every family of [`FAMILIES`], with one method per thing that can happen.
#[derive(Debug)]
pub struct Telemetry {
    registry: Registry,
    /// The pipeline that this is about, once it is known.
    pipeline: OnceLock<String>,
    build: IntGaugeVec,
    ingested: IntCounterVec,
    bytes: IntCounterVec,
    rejected: IntCounterVec,
    passed_over: IntCounterVec,
    duplicate: IntCounter,
    late: IntCounter,
    labels: IntCounterVec,
    rows: IntCounterVec,
    windows: IntCounterVec,
    lag_records: IntGaugeVec,
    lag: GaugeVec,
    watermark_delay: GaugeVec,
    replay_debt: IntGaugeVec,
    checkpoint: GaugeVec,
    step: Histogram,
    decision_delay: Histogram,
    value: GaugeVec,
    value_series: Mutex<Latest<[String; 7], ()>>,
    series_dropped: IntCounter,
    commands: IntCounterVec,
    rollouts: Rollouts,
    memory: IntGaugeVec,
    /// By thread: what it keeps, and what waits for it.
    remembered: Mutex<BTreeMap<String, (MemoryUse, u64)>>,
    early_skipped: IntCounter,
    outage: GaugeVec,
    unread: IntGaugeVec,
    refused: IntCounterVec,
    expires: GaugeVec,
    acting: Acting,
    process: Process,
}

impl Default for Telemetry {
    fn default() -> Self {
        Self::new()
    }
}

impl Telemetry {
    /// A fresh registry with every family in it; all counters stand at 0.
    #[must_use]
    pub fn new() -> Self {
        let registry = Registry::new();
        let add = &registry;
        let telemetry = Self {
            build: gauges(add, &family::BUILD),
            ingested: counters(add, &family::INGESTED),
            bytes: counters(add, &family::BYTES),
            rejected: counters(add, &family::REJECTED),
            passed_over: counters(add, &family::PASSED_OVER),
            duplicate: counter(add, &family::DUPLICATE),
            late: counter(add, &family::LATE),
            labels: counters(add, &family::LABELS),
            rows: counters(add, &family::ROWS),
            windows: counters(add, &family::WINDOWS),
            lag_records: gauges(add, &family::LAG_RECORDS),
            lag: real_gauges(add, &family::LAG),
            watermark_delay: real_gauges(add, &family::WATERMARK_DELAY),
            replay_debt: gauges(add, &family::REPLAY_DEBT),
            checkpoint: real_gauges(add, &family::CHECKPOINT),
            step: histogram(add, &family::STEP, &STEP_BUCKETS_S),
            decision_delay: histogram(add, &family::DECISION_DELAY, &DELAY_BUCKETS_S),
            value: real_gauges(add, &family::VALUE),
            value_series: Mutex::new(Latest::new(METRIC_SERIES_MAX)),
            series_dropped: counter(add, &family::SERIES_DROPPED),
            commands: counters(add, &family::COMMANDS),
            rollouts: Rollouts::new(add),
            memory: gauges(add, &family::MEMORY),
            remembered: Mutex::default(),
            early_skipped: counter(add, &family::EARLY_SKIPPED),
            outage: real_gauges(add, &family::OUTAGE),
            unread: gauges(add, &family::UNREAD),
            refused: counters(add, &family::REFUSED),
            expires: real_gauges(add, &family::EXPIRES),
            acting: Acting::new(add),
            process: Process::new(add),
            registry,
            pipeline: OnceLock::new(),
        };
        telemetry.runs_as("");
        telemetry.start_at_zero();
        telemetry
    }

    /// Shows every counter from the start: a rate over a counter that appears with its first event misses that event.
    fn start_at_zero(&self) {
        for kind in EventKind::ALL {
            self.ingested(kind, 0, 0);
            self.passed_over(kind, 0);
        }
        for reason in Poison::ALL {
            self.rejected.with_label_values(&[reason.code()]).inc_by(0);
        }
        self.counted(&BTreeMap::new());
        self.remembered("engine", &MemoryUse::default(), 0);
        self.outage("kafka", Duration::ZERO);
        self.unread(0);
        for why in Refusal::ALL {
            self.refused.with_label_values(&[why.name()]).inc_by(0);
        }
        for status in [RowStatus::Ok, RowStatus::Insufficient, RowStatus::Undefined] {
            self.rows.with_label_values(&[status_name(status)]).inc_by(0);
        }
        for trust in Trust::ALL {
            self.windows.with_label_values(&[trust.name()]).inc_by(0);
        }
        for (kind, outcome) in
            CommandName::ALL.iter().flat_map(|kind| Outcome::ALL.map(|outcome| (kind.name(), outcome)))
        {
            self.commands.with_label_values(&[kind, outcome.name()]).inc_by(0);
        }
    }

    /// A client of the service gets no answer to what it asked.
    pub fn refused(&self, why: Refusal) {
        self.refused.with_label_values(&[why.name()]).inc();
    }

    /// The service's certificate ends then, in seconds since 1970.
    #[expect(clippy::cast_precision_loss, reason = "exact for the next hundred million years")]
    pub fn expires(&self, at: i64) {
        self.expires.with_label_values(&[] as &[&str]).set(at as f64);
    }

    /// Names the pipeline on every series from now on.
    pub fn belongs_to(&self, pipeline: &str) {
        // The pipeline of a process is chosen once, at its start.
        let _ = self.pipeline.set(pipeline.to_owned());
    }

    /// Which part of the work this process does.
    pub fn runs_as(&self, role: &str) {
        self.build.reset();
        self.build.with_label_values(&[role, env!("CARGO_PKG_VERSION")]).set(1);
    }

    /// The series of those that carry decisions out.
    pub fn acting(&self) -> &Acting {
        &self.acting
    }

    /// Events of one kind were decoded from so many bytes of records.
    pub fn ingested(&self, kind: EventKind, events: u64, bytes: u64) {
        self.ingested.with_label_values(&[kind.name()]).inc_by(events);
        self.bytes.with_label_values(&[kind.name()]).inc_by(bytes);
    }

    /// Events were refused.
    pub fn rejected(&self, rejects: &[Reject]) {
        for reject in rejects {
            self.rejected.with_label_values(&[reject.reason.code()]).inc();
        }
    }

    /// Records of one kind of source were passed over.
    pub fn passed_over(&self, kind: EventKind, n: u64) {
        self.passed_over.with_label_values(&[kind.name()]).inc_by(n);
    }

    /// The lanes have counted so much since they were started.
    pub fn counted(&self, counts: &BTreeMap<u32, LaneCounts>) {
        let sum = |field: CountOf| counts.values().map(field).sum::<u64>();
        raise(&self.duplicate, sum(|lane| lane.duplicates));
        raise(&self.late, sum(|lane| lane.late));
        for (fate, field) in FATES {
            raise(&self.labels.with_label_values(&[fate]), sum(field));
        }
    }

    /// A thread keeps so much in memory, and so many bytes of records wait for it.
    pub fn remembered(&self, thread: &str, memory: &MemoryUse, queued: u64) {
        let mut all = lock(&self.remembered);
        all.insert(thread.to_owned(), (*memory, queued));
        for (of, part) in MEMORY_PARTS {
            let bytes = all.values().map(|(memory, queued)| part(memory, *queued)).sum::<u64>();
            self.memory.with_label_values(&[of]).set(i64::try_from(bytes).unwrap_or(i64::MAX));
        }
    }

    /// Something outside has not answered for so long.
    pub fn outage(&self, of: &str, lasts: Duration) {
        self.outage.with_label_values(&[of]).set(lasts.as_secs_f64());
    }

    /// So many partitions of input topics are not read yet.
    pub fn unread(&self, partitions: u32) {
        self.unread.with_label_values::<&str>(&[]).set(partitions.into());
    }

    /// So many looks at open windows were left out.
    pub fn skipped(&self, looks: u64) {
        self.early_skipped.inc_by(looks);
    }

    /// The engine took so long for one batch.
    pub fn stepped(&self, took: Duration) {
        self.step.observe(took.as_secs_f64());
    }

    /// An input partition is so far behind.
    pub fn lag(&self, topic: &str, partition: i32, lag: Lag) {
        let partition = partition.to_string();
        let labels = [topic, &partition];
        self.lag_records.with_label_values(&labels).set(lag.records);
        self.lag.with_label_values(&labels).set(seconds(lag.time));
        self.watermark_delay.with_label_values(&labels).set(seconds(lag.watermark));
        self.replay_debt.with_label_values(&labels).set(lag.replay_debt);
    }

    /// At this wall-clock time an input partition's offset was committed, or there was nothing to commit.
    pub fn committed(&self, topic: &str, partition: i32, at: Micros) {
        self.checkpoint.with_label_values(&[topic, &partition.to_string()]).set(seconds(at));
    }

    /// An input partition went to another process; its gauges would only mislead from now on.
    pub fn revoked(&self, topic: &str, partition: i32) {
        let partition = partition.to_string();
        let labels = [topic, &partition];
        // A partition that was never reported has nothing to remove.
        let _ = self.lag_records.remove_label_values(&labels);
        let _ = self.lag.remove_label_values(&labels);
        let _ = self.watermark_delay.remove_label_values(&labels);
        let _ = self.replay_debt.remove_label_values(&labels);
        let _ = self.checkpoint.remove_label_values(&labels);
    }

    /// Another process does the work: what this one showed of it would only mislead.
    pub fn stand_by(&self) {
        for gauges in [&self.lag_records, &self.replay_debt] {
            gauges.reset();
        }
        for gauges in [&self.lag, &self.watermark_delay, &self.checkpoint, &self.value] {
            gauges.reset();
        }
        *lock(&self.value_series) = Latest::new(METRIC_SERIES_MAX);
        self.rollouts.clear();
    }

    /// A decision was published.
    pub fn decided(&self, decision: &Decision) {
        self.rollouts.decided(decision);
    }

    /// A command was answered.
    pub fn answered(&self, result: &CommandResult) {
        self.commands.with_label_values(&[result.command.kind.name(), result.outcome.name()]).inc();
    }

    /// A decision was acknowledged so long after the end of its window.
    pub fn acknowledged(&self, delay: Micros) {
        self.decision_delay.observe(seconds(delay));
    }

    /// Windows were judged. A row without a number takes its series away: an old value must not pass for a current one.
    pub fn judged(&self, rows: &[WindowRow]) {
        let Some(oldest) = rows.iter().map(|row| row.window_start).min() else { return };
        let mut series = lock(&self.value_series);
        for (key, ()) in series.make_room(oldest) {
            let _ = self.value.remove_label_values(&label_refs(&key));
        }
        // First judgements of traffic: those of labels speak of the same windows.
        let first = rows.iter().filter(|row| row.revision == 0 && row.coverage.is_none());
        let windows: BTreeMap<(Micros, Micros), Trust> =
            first.map(|row| ((row.window_start, row.window_end), row.trust)).collect();
        windows.values().for_each(|trust| self.windows.with_label_values(&[trust.name()]).inc());
        for row in rows {
            self.rows.with_label_values(&[status_name(row.status)]).inc();
            self.show(&mut series, row);
        }
    }

    fn show(&self, series: &mut Latest<[String; 7], ()>, row: &WindowRow) {
        let key = value_labels(row);
        match row.value {
            Some(value) if series.put(key.clone(), row.window_end, ()) => {
                self.value.with_label_values(&label_refs(&key)).set(value);
            }
            Some(_) => self.series_dropped.inc(),
            None => {
                let _ = self.value.remove_label_values(&label_refs(&key));
                series.remove(&key);
            }
        }
    }

    /// Rollouts changed their state.
    pub fn rollouts(&self, states: &[RolloutState]) {
        self.series_dropped.inc_by(self.rollouts.show(states, false));
    }

    /// Rollouts were read back at a start.
    pub fn restored(&self, states: &[RolloutState]) {
        self.series_dropped.inc_by(self.rollouts.show(states, true));
    }

    /// Every counter and gauge as it stands now, by family; each with the values of its labels in the order of their
    /// names.
    #[must_use]
    pub fn samples(&self) -> BTreeMap<String, Vec<Sample>> {
        let sample = |metric: &Metric| {
            let labels = metric.get_label().iter().map(|label| label.value().to_owned()).collect();
            // Only one of the two is there; the other reads as 0.
            Sample { labels, value: metric.get_counter().get_value() + metric.get_gauge().get_value() }
        };
        self.process.look();
        let families = self.registry.gather();
        families
            .iter()
            .map(|family| (family.name().to_owned(), family.get_metric().iter().map(sample).collect()))
            .collect()
    }

    /// The page that Prometheus scrapes.
    pub fn render(&self) -> Result<String> {
        self.process.look();
        let mut families = self.registry.gather();
        if let Some(pipeline) = self.pipeline.get() {
            families.iter_mut().flat_map(MetricFamily::mut_metric).for_each(|metric| label(metric, pipeline));
        }
        TextEncoder::new()
            .encode_to_string(&families)
            .map_err(|error| Error::internal("cannot write the metrics page").because(error))
    }
}

/// Adds the pipeline to the labels of a series, in the order of their names.
fn label(metric: &mut Metric, pipeline: &str) {
    let mut added = LabelPair::default();
    added.set_name("pipeline".to_owned());
    added.set_value(pipeline.to_owned());
    let mut labels = metric.take_label();
    let at = labels.partition_point(|label| label.name() < "pipeline");
    labels.insert(at, added);
    metric.set_label(labels);
}

fn value_labels(row: &WindowRow) -> [String; 7] {
    [&row.model, &row.version, &row.baseline, &row.segment, &row.column, &row.metric, &row.convention].map(Clone::clone)
}

fn label_refs<const N: usize>(labels: &[String; N]) -> [&str; N] {
    labels.each_ref().map(String::as_str)
}

fn status_name(status: RowStatus) -> &'static str {
    match status {
        RowStatus::Ok => "ok",
        RowStatus::Insufficient => "insufficient",
        RowStatus::Undefined => "undefined",
    }
}

/// Brings a counter to a total. A total that fell, because a lane went to another process, leaves it where it is.
fn raise(counter: &IntCounter, total: u64) {
    counter.inc_by(total.saturating_sub(counter.get()));
}

#[expect(clippy::cast_precision_loss, reason = "a gauge needs no more than 53 bits")]
fn seconds(time: Micros) -> f64 {
    time as f64 / 1e6
}

/// A panic elsewhere leaves the table whole: it is changed by single calls only.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
