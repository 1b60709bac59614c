//! How much memory a pipeline will take: at an assumed rate, and when every bound is reached.
//!
//! Summaries are made and sealed as the engine does it, with as many events as would be in them, so that the numbers
//! follow the plan's columns and bins. What is not known beforehand stands here as a number: categories without a
//! reference, latencies.

use std::sync::Arc;

use crate::config::{MemoryConfig, Pipeline};
use crate::disk::Disk;
use crate::engine::MemoryUse;
use crate::error::{Error, Result};
use crate::event::{EventKind, Micros};
use crate::plan::{Bounds, Columns, Corrections, Plan, QualityPlan, Task, TimePlan, WindowKind};
use crate::scan::open::OpenTraffic;
use crate::summary::quality::{Labelled, ReliabilityBin};
use crate::summary::tail::{CELLS_MAX, CellCount, Tails};
use crate::summary::{Category, Histogram, Latency, MeasureSummary, Quality, Sealed, Spill, Traffic};

/// What a process takes before it has read anything: the program, the clients' queues and what is shown over HTTP.
pub const PROCESS: usize = 90_000_000;
/// Events of one summary beyond which it hardly grows.
const EVENTS_MAX: u64 = 20_000;
/// Categories of a column without a reference.
const CATEGORIES: u64 = 20;
/// A prediction that waits, and its place in a table that is at least half full.
const WAITING: u64 = 48;
/// The same when what may go to disk has gone.
const WAITING_AWAY: u64 = 25;
/// A label that may be corrected: it stays in memory.
const CORRECTABLE: u64 = 100;
/// What leads to a sealed summary on disk.
const AWAY: usize = 40;
/// An id, in a table that is at least half full.
const ID: u64 = 16;
/// The most that is told of anything, so that all of it can be added up.
const MOST: usize = usize::MAX / 16;
/// What stands beside each summary that is kept: its place in maps.
const PLACE: usize = 100;

/// What is assumed of the traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Assumed {
    /// Events of all versions per window.
    pub rate: u64,
    /// Partitions of each topic.
    pub partitions: u64,
    /// Model versions.
    pub versions: u64,
    /// Segments of each: combinations of values.
    pub segments: u64,
}

impl Assumed {
    /// The same of a pipeline that knows no segments.
    fn of(self, plan: &Plan) -> Self {
        Self { segments: if plan.segments.is_empty() { 1 } else { self.segments }, ..self }
    }
}

/// In words.
pub(super) fn lines(pipeline: &Pipeline, assumed: Assumed) -> Vec<String> {
    let plan = &*pipeline.plan;
    let Assumed { partitions, versions, segments, .. } = assumed.of(plan);
    let Bounds { versions_max, groups_max, .. } = plan.bounds;
    let expected = expected(plan, assumed);
    let mut lines = vec![
        line(&format!("expected with {versions} versions, {segments} segments and {partitions} partitions"), &expected),
        line(
            &format!(
                "when every bound is reached, {versions_max} versions of {groups_max} segments with every bin in use"
            ),
            &largest(plan, partitions),
        ),
    ];
    lines.extend(plan.quality.as_ref().and_then(|quality| sampled(plan, quality, assumed)));
    if let Some(MemoryConfig { max, spill }) = &pipeline.memory {
        let away = (expected.total() + PROCESS).saturating_sub(*max);
        let goes = if away == 0 { "nothing goes".to_owned() } else { format!("some {} go", megabytes(away)) };
        lines.push(format!("bounded to {}: of what is expected {goes} to {}", megabytes(*max), spill.display()));
    }
    lines
}

/// How many predictions are followed up, where that is not all that could be.
fn sampled(plan: &Plan, quality: &QualityPlan, assumed: Assumed) -> Option<String> {
    let estimate = MemoryEstimate::of(plan, assumed);
    let (all, followed) = (share(estimate.of_pane, quality.sample), estimate.followed(quality));
    (followed < all).then(|| {
        format!(
            "of {all} predictions in a pane about {followed} are followed up until their label comes, a random sample \
             (`labels.pending_max`, `labels.horizon`)"
        )
    })
}

/// How many bytes the engine may keep in memory, and where the rest goes, if the pipeline bounds that.
///
/// # Errors
/// When the bound is below what the process takes without any event, or nothing can be written where the rest goes.
pub fn bound(pipeline: &Pipeline) -> Result<Option<(usize, Arc<dyn Spill>)>> {
    let Some(MemoryConfig { max, spill }) = &pipeline.memory else { return Ok(None) };
    let bytes = max.checked_sub(PROCESS).filter(|bytes| *bytes > 0).ok_or_else(|| {
        Error::user(format!("`memory` is {}, and the process itself takes {}", megabytes(*max), megabytes(PROCESS)))
            .hint("grant more; `haldane check` says how much")
    })?;
    Ok(Some((bytes, Arc::new(Disk::open(spill)?))))
}

/// Refuses a bound that does not hold what has to stay in memory at an assumed rate.
///
/// # Errors
/// As [`bound`], and when it does not; the hint names what takes most.
pub fn fits(pipeline: &Pipeline, assumed: Assumed) -> Result<()> {
    let Some((bytes, _)) = bound(pipeline)? else { return Ok(()) };
    let stays = least(&pipeline.plan, assumed);
    if stays.total() <= bytes {
        return Ok(());
    }
    let most = parts(&stays).into_iter().max_by_key(|(bytes, _)| *bytes).map_or("", |(_, what)| what);
    let (max, needed) = (megabytes(bytes + PROCESS), megabytes(stays.total() + PROCESS));
    Err(Error::user(format!("`memory` is {max}, and {needed} cannot go to disk at the assumed rate"))
        .hint(format!("grant {needed}, or less of what takes most: {most}")))
}

/// What memory is taken by, with the keys that say how much.
fn parts(memory: &MemoryUse) -> [(usize, &'static str); 5] {
    let MemoryUse { open_panes, sealed_panes, labels, ids, judging } = *memory;
    [
        (open_panes, "open panes (`fine_bins`, `bounds`)"),
        (sealed_panes, "sealed panes (`windows.revise_for`, `labels.horizon`, `baselines`)"),
        (labels, "labels that are waited for (`labels.horizon`, `labels.sample`, `labels.pending_max`)"),
        (ids, "ids of events (`windows.size`, `bounds.ids_max`)"),
        (judging, "a window while it is judged (`fine_bins`, `bounds`)"),
    ]
}

fn line(name: &str, memory: &MemoryUse) -> String {
    let mut parts = parts(memory).to_vec();
    parts.push((PROCESS, "the process itself"));
    parts.sort_by_key(|(bytes, _)| std::cmp::Reverse(*bytes));
    let told = parts.iter().filter(|(bytes, _)| *bytes >= 1_000_000);
    let told: Vec<String> = told.map(|(bytes, what)| format!("{} {what}", megabytes(*bytes))).collect();
    format!("{name}: {}; {}", megabytes(memory.total() + PROCESS), told.join(", "))
}

fn megabytes(bytes: usize) -> String {
    let megabytes = bytes.div_ceil(1_000_000);
    if megabytes < 10_000 { format!("{megabytes} MB") } else { format!("{} GB", megabytes / 1_000) }
}

/// What is kept when traffic is as assumed.
#[must_use]
pub fn expected(plan: &Plan, assumed: Assumed) -> MemoryUse {
    MemoryEstimate::of(plan, assumed).memory()
}

/// What of it stays in memory when all else is on disk.
#[must_use]
pub fn least(plan: &Plan, assumed: Assumed) -> MemoryUse {
    MemoryEstimate { is_bounded: true, ..MemoryEstimate::of(plan, assumed) }.memory()
}

/// What is kept when every bound is reached.
#[must_use]
pub fn largest(plan: &Plan, partitions: u64) -> MemoryUse {
    let Bounds { versions_max, groups_max, ids_max } = plan.bounds;
    let (versions, segments, ids) = (versions_max as u64, groups_max as u64, ids_max as u64);
    let groups = versions.saturating_mul(segments);
    let of_pane = ids.saturating_mul(partitions).max(groups.saturating_mul(EVENTS_MAX));
    MemoryEstimate { plan, partitions, versions, groups, of_pane, is_bounded: false, reaches_beyond: true }.memory()
}

struct MemoryEstimate<'a> {
    plan: &'a Plan,
    partitions: u64,
    versions: u64,
    groups: u64,
    /// Events of one pane.
    of_pane: u64,
    /// Whether all that may go to disk has gone.
    is_bounded: bool,
    /// Whether every column has as many values beyond its edges as are told apart.
    reaches_beyond: bool,
}

impl<'a> MemoryEstimate<'a> {
    fn of(plan: &'a Plan, assumed: Assumed) -> Self {
        let Assumed { rate, partitions, versions, segments } = assumed.of(plan);
        let groups = versions.saturating_mul(segments);
        let of_pane = per(rate, plan.time.pane, window(plan));
        Self { plan, partitions, versions, groups, of_pane, is_bounded: false, reaches_beyond: false }
    }

    /// A summary of so many events.
    fn traffic(&self, n: u64) -> Traffic {
        let mut traffic = traffic(&self.plan.columns, n);
        if self.reaches_beyond {
            traffic.numeric.iter_mut().for_each(|histogram| fill_tails(&mut histogram.tails, &1));
        }
        traffic
    }

    fn memory(&self) -> MemoryUse {
        let labels = self.plan.quality.as_ref();
        MemoryUse {
            open_panes: self.open_panes(),
            sealed_panes: self
                .sealed_panes()
                .saturating_add(self.earlier())
                .saturating_add(labels.map_or(0, |quality| self.label_panes(quality)))
                .min(MOST),
            labels: labels.map_or(0, |quality| self.waiting(quality)),
            ids: self.ids(),
            judging: self.judging(),
        }
    }

    /// Bytes of a sealed summary that are in memory.
    fn kept(&self, sealed: usize) -> usize {
        if self.is_bounded { sealed.min(AWAY) } else { sealed }
    }

    /// The groups of a window, opened, and the views that they are rolled up to: versions, their segments, and all.
    fn judging(&self) -> usize {
        let summaries = self.groups.min(self.of_pane.max(1));
        let views = summaries.saturating_add(self.versions).saturating_add(1);
        times(self.traffic((self.of_pane / summaries.max(1)).max(1)).bytes(), summaries.saturating_add(views))
    }

    /// One pane that fills, and one that waits for late events.
    fn open_panes(&self) -> usize {
        let sources = self.plan.sources.iter().filter(|source| source.kind.is_traffic()).count() as u64;
        let cells = self.groups.saturating_mul(self.partitions).min(self.of_pane.max(1));
        let open = if self.plan.time.lateness > 0 { 2 } else { 1 };
        let of_cell = (self.of_pane / cells.max(1)).max(1);
        let mut rest = self.traffic(of_cell);
        let tails: usize = std::mem::take(&mut rest.numeric).iter().map(|histogram| histogram.tails.bytes()).sum();
        let counted = OpenTraffic { rest, ..OpenTraffic::new(&self.plan.columns) };
        times(counted.bytes() + tails + PLACE, cells.saturating_mul(sources * open))
    }

    fn sealed_panes(&self) -> usize {
        let time = &self.plan.time;
        let panes = panes(time.revise_for.saturating_add(window(self.plan)), time.pane) + 1;
        self.sealed_traffic(self.groups, self.of_pane, panes)
    }

    /// Windows that later ones are compared with.
    fn earlier(&self) -> usize {
        let WindowKind::Sliding { size, slide } = self.plan.time.window else { return 0 };
        let Some(back) = self.plan.furthest_back() else { return 0 };
        let windows = panes(back.saturating_add(self.plan.time.revise_for), slide);
        let views = self.groups.saturating_add(self.versions).saturating_add(1);
        self.sealed_traffic(views, per(self.of_pane, size, self.plan.time.pane).saturating_mul(3), windows)
    }

    /// So many summaries that share so many events, so many times.
    fn sealed_traffic(&self, summaries: u64, events: u64, copies: u64) -> usize {
        let summaries = summaries.min(events.max(1));
        let sealed = Sealed::new(&self.traffic((events / summaries.max(1)).max(1))).bytes();
        times(self.kept(sealed) + PLACE, summaries.saturating_mul(copies))
    }

    /// Labelled predictions of panes that more labels may come to.
    fn label_panes(&self, quality: &QualityPlan) -> usize {
        let summaries = self.groups.min(self.of_pane.max(1));
        let each = self.followed(quality) / summaries.max(1);
        let mut labelled = labelled(quality, each.max(1));
        if self.reaches_beyond {
            fill_tails(&mut labelled.tails, &ReliabilityBin::default());
        }
        let sealed = Sealed::new(&labelled).bytes();
        // Labels in time are kept by the judge, late ones by the scans: together they are as many as there are.
        let panes = panes(quality.horizon, self.plan.time.pane) + 1;
        times(self.kept(sealed) + PLACE, summaries.saturating_mul(panes))
    }

    /// Predictions of one pane that are followed up: the half of them, the half of that, and so on until there is room.
    fn followed(&self, quality: &QualityPlan) -> u64 {
        let all = share(self.of_pane, quality.sample);
        if !self.labels_follow() {
            return all;
        }
        // All panes together never have more than the whole room.
        let room = (2 * quality.pending_of_pane(&self.plan.time) as u64).saturating_mul(self.partitions);
        let halved = |n: &u64| (*n > room).then_some(n / 2);
        std::iter::successors(Some(all), halved).last().unwrap_or(all)
    }

    /// Whether labels come apart from predictions.
    fn labels_follow(&self) -> bool {
        self.plan.sources.iter().any(|source| source.kind == EventKind::Outcome)
    }

    /// Predictions that wait for their label, and the places of groups that they may come to.
    fn waiting(&self, quality: &QualityPlan) -> usize {
        if !self.labels_follow() {
            return 0;
        }
        let panes = panes(quality.horizon, self.plan.time.pane) + 1;
        let cells = self.groups.saturating_mul(self.partitions).min(self.of_pane.max(1));
        let label = if quality.corrections == Corrections::Last { CORRECTABLE } else { 0 };
        let each = label + if self.is_bounded { WAITING_AWAY } else { WAITING };
        times(PLACE + 30, cells.saturating_mul(panes))
            .saturating_add(times(1, self.followed(quality).saturating_mul(panes).saturating_mul(each)))
            .min(MOST)
    }

    /// Ids of the pane that fills, and of the one before until no late event can come to it.
    fn ids(&self) -> usize {
        let TimePlan { pane, lateness, .. } = self.plan.time;
        let of_lane = (self.of_pane / self.partitions.max(1)).min(self.plan.bounds.ids_max as u64);
        let next = per(of_lane, lateness.min(pane), pane);
        times(1, of_lane.saturating_add(next).max(16).saturating_mul(self.partitions).saturating_mul(ID))
    }
}

fn window(plan: &Plan) -> Micros {
    let (WindowKind::Sliding { size, .. } | WindowKind::AtLeast { size_max: size, .. }) = plan.time.window;
    size
}

fn panes(span: Micros, pane: Micros) -> u64 {
    (span / pane.max(1)).unsigned_abs()
}

/// What comes to `n` in `whole` comes to in `part`.
fn per(n: u64, part: Micros, whole: Micros) -> u64 {
    let scaled = u128::from(n) * u128::from(part.unsigned_abs()) / u128::from(whole.max(1).unsigned_abs());
    u64::try_from(scaled).unwrap_or(u64::MAX)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "an estimate; shares are between 0 and 1"
)]
fn share(n: u64, share: f64) -> u64 {
    (n as f64 * share) as u64
}

fn times(bytes: usize, n: u64) -> usize {
    bytes.saturating_mul(usize::try_from(n).unwrap_or(usize::MAX)).min(MOST)
}

/// A summary of so many events, spread as events might be.
fn traffic(columns: &Columns, n: u64) -> Traffic {
    let n = n.min(EVENTS_MAX);
    let mut traffic = Traffic::new(columns);
    traffic.numeric.iter_mut().for_each(|histogram| fill(histogram, n));
    traffic.categorical.iter_mut().for_each(|category| fill_category(category, n));
    traffic.latency = Latency::of_counts((0..n).map(|i| (2_000 + place(i, 100_000), 1)));
    traffic.measures.iter_mut().for_each(|measure| fill_measure(measure, n));
    traffic.rates.requests = n;
    traffic
}

fn fill(histogram: &mut Histogram, n: u64) {
    let bins = histogram.counts.len() as u64;
    for i in 0..n {
        histogram.counts[usize::try_from(place(i, bins)).unwrap_or(0)] += 1;
    }
    (histogram.sum, histogram.sum_sq) = (i128::from(n) << 44, i128::from(n) << 88);
    (histogram.min, histogram.max) = (Some(-1.0), Some(1.0));
}

/// Amounts over fourteen doublings, of an entity each.
fn fill_measure(measure: &mut MeasureSummary, n: u64) {
    for i in 0..n {
        let value = libm::scalbn(
            1.0 + f64::from(u8::try_from(i % 4).unwrap_or(0)) / 4.0,
            i32::try_from(place(i, 14)).unwrap_or(0),
        );
        measure.update(value, Some(i.wrapping_mul(0x9E37_79B9_7F4A_7C15)));
    }
}

/// As many values beyond the edges as are told apart, far from each other.
fn fill_tails<T: CellCount>(tails: &mut Tails<T>, each: &T) {
    for value in std::iter::successors(Some(1.0), |value| Some(value * 1.5)).take(CELLS_MAX) {
        tails.above.add(value, each);
        tails.below.add(-value, each);
    }
}

fn fill_category(category: &mut Category, n: u64) {
    let known = category.known.len() as u64;
    for i in 0..n {
        match known {
            0 => category.add_unseen(&format!("category {}", place(i, CATEGORIES)), 1),
            _ => category.known[usize::try_from(place(i, known)).unwrap_or(0)] += 1,
        }
    }
}

fn labelled(quality: &QualityPlan, n: u64) -> Quality {
    let mut open = Quality::new(quality);
    for i in 0..n.min(EVENTS_MAX) {
        let score = unit(i);
        let label = if quality.task == Task::Regression { unit(i + 7) } else { f64::from(u8::from(i % 3 == 0)) };
        open.update(quality, Labelled { score, label, predicted: score > 0.5, entity: None, classes: None });
        if quality.task == Task::Multiclass {
            let class = |at: u64| format!("class {}", place(at, CATEGORIES));
            open.classes.count(&class(i), &class(i + u64::from(i % 3 == 0)));
        }
    }
    open
}

/// Numbers spread evenly over (0, 1), each to its last bit: multiples of the golden ratio.
fn unit(i: u64) -> f64 {
    let spread = (i + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    f64::from_bits((spread >> 12) | 1.0_f64.to_bits()) - 1.0
}

/// The same as one of so many places.
fn place(i: u64, places: u64) -> u64 {
    let spread = (i + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    u64::try_from((u128::from(spread) * u128::from(places)) >> 64).unwrap_or(0)
}

#[cfg(test)]
mod tests;
