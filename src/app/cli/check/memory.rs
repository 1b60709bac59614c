//! How much memory a pipeline will take: at an assumed rate, and when every bound is reached.
//!
//! Summaries are made and sealed as the engine does it, with as many events as would be in them, so that the numbers
//! follow the plan's columns and bins. What is not known beforehand stands here as a number: categories without a
//! reference, latencies.

use crate::engine::Memory;
use crate::event::{EventKind, Micros, SECOND};
use crate::plan::{Baseline, Bounds, Columns, Plan, QualityPlan, Task, WindowKind};
use crate::summary::quality::Labelled;
use crate::summary::{Category, Histogram, Latency, Quality, Sealed, Traffic};

/// What a process takes before it has read anything: the program, the clients' queues and what is shown over HTTP.
const PROCESS: usize = 90_000_000;
/// Events of one summary beyond which it hardly grows.
const EVENTS_MAX: u64 = 20_000;
/// Categories of a column without a reference.
const CATEGORIES: u64 = 20;
/// A place in a table of what waits: a prediction with its id, of tables that are at least half full.
const WAITING: u64 = 82;
/// One day.
const DAY: Micros = 86_400 * SECOND;
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

/// In words.
pub(super) fn lines(plan: &Plan, assumed: Assumed) -> Vec<String> {
    let segments = if plan.segments.is_empty() { 1 } else { assumed.segments };
    let assumed = Assumed { segments, ..assumed };
    let Bounds { versions_max, groups_max, .. } = plan.bounds;
    vec![
        line(
            &format!(
                "expected with {} versions, {segments} segments and {} partitions",
                assumed.versions, assumed.partitions
            ),
            &expected(plan, assumed),
        ),
        line(
            &format!(
                "when every bound is reached, {versions_max} versions of {groups_max} segments with every bin in use"
            ),
            &largest(plan, assumed.partitions),
        ),
    ]
}

fn line(name: &str, memory: &Memory) -> String {
    let Memory { open_panes, sealed_panes, labels, ids } = *memory;
    let mut parts = [
        (open_panes, "open panes (`fine_bins`, `bounds`)"),
        (sealed_panes, "sealed panes (`windows.revise_for`, `labels.horizon`, `baselines`)"),
        (labels, "labels that are waited for (`labels.horizon`, `labels.sample`, `labels.pending_max`)"),
        (ids, "ids of events (`windows.size`, `bounds.ids_max`)"),
        (PROCESS, "the process itself"),
    ];
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
pub fn expected(plan: &Plan, assumed: Assumed) -> Memory {
    let groups = assumed.versions.saturating_mul(assumed.segments);
    let of_pane = per(assumed.rate, plan.time.pane, window(plan));
    Estimate { plan, partitions: assumed.partitions, versions: assumed.versions, groups, of_pane }.memory()
}

/// What is kept when every bound is reached.
#[must_use]
pub fn largest(plan: &Plan, partitions: u64) -> Memory {
    let Bounds { versions_max, groups_max, ids_max } = plan.bounds;
    let (versions, segments, ids) = (versions_max as u64, groups_max as u64, ids_max as u64);
    let groups = versions.saturating_mul(segments);
    let of_pane = ids.saturating_mul(partitions).max(groups.saturating_mul(EVENTS_MAX));
    Estimate { plan, partitions, versions, groups, of_pane }.memory()
}

struct Estimate<'a> {
    plan: &'a Plan,
    partitions: u64,
    versions: u64,
    groups: u64,
    /// Events of one pane.
    of_pane: u64,
}

impl Estimate<'_> {
    fn memory(&self) -> Memory {
        let labels = self.plan.quality.as_ref();
        Memory {
            open_panes: self.open_panes(),
            sealed_panes: self.sealed_panes() + self.earlier() + labels.map_or(0, |quality| self.label_panes(quality)),
            labels: labels.map_or(0, |quality| self.waiting(quality)),
            ids: self.ids(),
        }
    }

    /// One pane that fills, and one that waits for late events.
    fn open_panes(&self) -> usize {
        let sources = self.plan.sources.iter().filter(|source| source.kind.is_traffic()).count() as u64;
        let cells = self.groups.saturating_mul(self.partitions).min(self.of_pane.max(1));
        let open = if self.plan.time.lateness > 0 { 2 } else { 1 };
        let of_cell = self.of_pane / cells.max(1);
        times(traffic(&self.plan.columns, of_cell.max(1)).bytes() + PLACE, cells * sources * open)
    }

    fn sealed_panes(&self) -> usize {
        let time = &self.plan.time;
        let panes = panes(time.revise_for.saturating_add(window(self.plan)), time.pane) + 1;
        self.sealed_traffic(self.groups, self.of_pane, panes)
    }

    /// Windows that later ones are compared with.
    fn earlier(&self) -> usize {
        let WindowKind::Sliding { size, slide } = self.plan.time.window else { return 0 };
        let back = |baseline: &Baseline| match baseline {
            Baseline::Previous => Some(size),
            Baseline::DaysAgo(days) => Some(Micros::from(*days) * DAY),
            Baseline::Concurrent | Baseline::Reference => None,
        };
        let Some(back) = self.plan.baselines.iter().filter_map(back).max() else { return 0 };
        let windows = panes(back.saturating_add(self.plan.time.revise_for), slide);
        let views = self.groups + self.versions + 1;
        self.sealed_traffic(views, per(self.of_pane, size, self.plan.time.pane).saturating_mul(3), windows)
    }

    /// So many summaries that share so many events, so many times.
    fn sealed_traffic(&self, summaries: u64, events: u64, copies: u64) -> usize {
        let summaries = summaries.min(events.max(1));
        let sealed = Sealed::new(&traffic(&self.plan.columns, (events / summaries).max(1))).bytes();
        times(sealed + PLACE, summaries.saturating_mul(copies))
    }

    /// Labelled predictions of panes that more labels may come to.
    fn label_panes(&self, quality: &QualityPlan) -> usize {
        let summaries = self.groups.min(self.of_pane.max(1));
        let each = share(self.of_pane, quality.sample) / summaries.max(1);
        let sealed = Sealed::new(&labelled(quality, each.max(1))).bytes();
        // Labels in time are kept by the judge, late ones by the scans: together they are as many as there are.
        let panes = panes(quality.horizon, self.plan.time.pane) + 1;
        times(sealed + PLACE, summaries.saturating_mul(panes))
    }

    /// Predictions that wait for their label, and the places of groups that they may come to.
    fn waiting(&self, quality: &QualityPlan) -> usize {
        if !self.plan.sources.iter().any(|source| source.kind == EventKind::Outcome) {
            return 0;
        }
        let all = per(share(self.of_pane, quality.sample), quality.horizon, self.plan.time.pane);
        let waiting = all.min((quality.pending_max as u64).saturating_mul(self.partitions));
        let cells = self.groups.saturating_mul(self.partitions).min(self.of_pane.max(1));
        times(PLACE + 30, cells.saturating_mul(panes(quality.horizon, self.plan.time.pane)))
            .saturating_add(times(1, waiting.saturating_mul(WAITING)))
    }

    /// Tables of ids, at least a quarter full, of the pane that fills and of the one before.
    fn ids(&self) -> usize {
        let of_lane = (self.of_pane / self.partitions.max(1)).min(self.plan.bounds.ids_max as u64);
        times(8, (of_lane.max(8) * 2).next_power_of_two() * self.partitions * 2)
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
    bytes.saturating_mul(usize::try_from(n).unwrap_or(usize::MAX)).min(usize::MAX / 16)
}

/// A summary of so many events, spread as events might be.
fn traffic(columns: &Columns, n: u64) -> Traffic {
    let n = n.min(EVENTS_MAX);
    let mut traffic = Traffic::new(columns);
    traffic.numeric.iter_mut().for_each(|histogram| fill(histogram, n));
    traffic.categorical.iter_mut().for_each(|category| fill_category(category, n));
    traffic.latency = Latency::of_counts((0..n).map(|i| (2_000 + place(i, 100_000), 1)));
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
        open.update(quality, Labelled { score, label, predicted: score > 0.5, entity: None });
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
