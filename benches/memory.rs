//! How much memory a pipeline takes: by column, group and pane, open and sealed; over ten thousand panes; and over a
//! week; and what a busy pipeline takes whose keys are all at their defaults.
//!
//! `cargo bench --bench memory` prints bytes that were found by looking at what is kept, and beside them the resident
//! memory of this process, which is what a service is granted. What the engine tells of itself is held against the
//! allocator's count, and against what `haldane check` expects of the pipeline.
//!
//! `-- --only NAME` runs one part: sizes, slope, quiet, hourly, month or busy. `-- --days N` sets how long the week is,
//! `-- --hours N` how long the busy one. `cargo test --benches` runs all of it, tiny.
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "counts and bytes are far below 2^53"
)]

#[path = "common/arguments.rs"]
mod arguments;
#[path = "memory/busy.rs"]
mod busy;
#[expect(dead_code, reason = "each bench uses a part of it")]
mod common;
#[path = "common/counting.rs"]
mod counting;
#[path = "memory/heap.rs"]
mod heap;
#[path = "memory/month.rs"]
mod month;

use std::path::Path;
use std::sync::Arc;

use arrow::array::{BooleanArray, Float64Array, Int16Array, Int32Array, StringArray, UInt64Array};
use common::Seeded;
use haldane::batch::{EventBatch, TextArray};
use haldane::cli::check::memory::{self, Assumed};
use haldane::config;
use haldane::engine::{Engine, MemoryUse};
use haldane::event::{EventKind, Micros, SECOND};
use haldane::plan::Plan;
use haldane::summary::quality::Labelled;
use haldane::summary::{Quality, Sealed, Traffic};

#[global_allocator]
static ALLOCATOR: counting::Counting = counting::Counting { take: heap::take, give: heap::give };

/// What the engine tells of its memory is at most so much off, as a share of what it holds.
const OFF_MAX: f64 = 0.3;

/// 1 January 2026.
const START: Micros = 1_767_225_600 * SECOND;
const HOUR: Micros = 3600 * SECOND;
const DAY: Micros = 24 * HOUR;

const SEGMENTS: [&str; 6] = ["at", "be", "ch", "de", "fr", "it"];
const VERSIONS: [&str; 2] = ["v1", "v2"];

fn main() {
    let only: Option<String> = arguments::option("--only");
    let runs = |part: &str| only.as_ref().is_none_or(|only| only == part);
    let measuring = arguments::is_measuring();
    if runs("sizes") {
        sizes(if measuring { 300_000 } else { 3_000 });
    }
    if runs("slope") {
        slope(if measuring { 10_000 } else { 60 });
    }
    let days = arguments::option("--days").unwrap_or(if measuring { 8 } else { 0 });
    if runs("quiet") {
        let flow = Flow { pane: 300 * SECOND, events: 300, lanes: 4, labels_after: HOUR, ..Flow::new("labels: {}") };
        week("one event a second, windows of 5 minutes, labels for a day", flow, days, DAY);
    }
    if runs("hourly") {
        let flow = Flow {
            pane: HOUR,
            events: 1_000,
            lanes: 4,
            labels_after: 3 * DAY,
            ..Flow::new("labels: { horizon: 30d }")
        };
        week("1,000 events an hour, windows of one hour, labels for 30 days", flow, days * 5, 5 * DAY);
    }
    if runs("month") {
        let (hours, most_mb) = if measuring { (720, Some(200.0)) } else { (30, None) };
        month::run(hours, if measuring { 1_000 } else { 50 }, most_mb);
    }
    if runs("busy") {
        let hours = arguments::option("--hours").unwrap_or(if measuring { 6 } else { 0 });
        busy::run(hours, if measuring { 10_000 } else { 40 });
    }
}

/// Bytes of one column or summary of one group in one pane, by how many events are in it.
fn sizes(events_max: u64) {
    let plan = plan("1h", "labels: {}");
    let quality = plan.quality.as_ref().expect("labels");
    println!("{:>28}{:>12}{:>12}", "one group, one pane", "open", "sealed");
    let mut random = Seeded(1);
    let (mut traffic, mut labelled) = (Traffic::new(&plan.columns), Quality::new(quality));
    for n in 1..=events_max {
        let (value, score) = (random.normal(), random.unit());
        traffic.numeric[0].update(&plan.columns.numeric[0].cut, &[value]);
        traffic.latency.update(20.0 * (value / 2.0).exp());
        traffic.categorical[0].add_unseen(&format!("category {}", random.bits() % 12), 1);
        labelled.update(
            quality,
            Labelled { score, label: f64::from(u8::from(value > 0.0)), predicted: true, entity: None, classes: None },
        );
        if [3, 30, 300, 3_000, 30_000, 300_000].contains(&n) {
            let line = |name: &str, open: usize, sealed: usize| println!("{n:>10} {name:>17}{open:>12}{sealed:>12}");
            line("numeric column", traffic.numeric[0].bytes(), Sealed::new(&traffic.numeric[0]).bytes());
            line("category column", traffic.categorical[0].bytes(), Sealed::new(&traffic.categorical[0]).bytes());
            line("latency", traffic.latency.bytes(), Sealed::new(&traffic.latency).bytes());
            line("labels", labelled.bytes(), Sealed::new(&labelled).bytes());
        }
    }
}

/// What is kept over many panes: it must not rise once the labels' horizon is full.
fn slope(panes: u64) {
    let flow = Flow {
        pane: 10 * SECOND,
        events: 40,
        lanes: 2,
        labels_after: 30 * SECOND,
        ..Flow::new("labels: { wait: 20s, horizon: 5m }")
    };
    let mut run = Run::new(flow);
    let mut before = None;
    println!("\n{:>10}{:>14}{:>14}{:>14}", "panes", "bytes kept", "a pane", "resident MB");
    for step in 1..=10 {
        run.advance(panes / 10);
        let kept = run.engine.memory().total();
        let rise = before.map_or(0.0, |before| (real(kept) - before) / real(panes as usize / 10));
        println!("{:>10}{kept:>14}{rise:>14.1}{:>14.0}", panes / 10 * step, resident_mb());
        before = Some(real(kept));
    }
    compare(run.engine);
}

/// Holds what an engine tells of its memory against what it holds.
fn compare(engine: Engine) {
    let MemoryUse { judging, .. } = engine.memory();
    // What the last window took is given back already.
    let told = real(engine.memory().total() - judging);
    let before = heap::held();
    drop(engine);
    let held = real(before - heap::held());
    println!("told {:.1} MB of {:.1} MB held", told / 1e6, held / 1e6);
    assert!(held < 10e6 || (told - held).abs() < OFF_MAX * held, "{told} bytes told of {held}");
}

/// Holds what `haldane check` expects against what is taken.
fn foresee(plan: &Plan, assumed: Assumed, engine: &Engine, is_full: bool) {
    let (expected, taken) = (memory::expected(plan, assumed), engine.memory());
    print!("expected");
    show_parts(&expected);
    println!();
    let (expected, taken) = (real(expected.total()), real(taken.total()));
    assert!(!is_full || (taken - expected).abs() < OFF_MAX * expected, "{taken} bytes taken, {expected} expected");
}

/// What is kept over days of event time.
fn week(name: &str, flow: Flow, days: i64, every: Micros) {
    println!("\n{name}: {} lanes, {} versions, {} segments", flow.lanes, VERSIONS.len(), SEGMENTS.len());
    head();
    let pane = flow.pane;
    let mut run = Run::new(flow);
    let show = |run: &Run, hours: i64| show(hours, &run.engine.memory());
    let assumed = Assumed {
        rate: run.flow.events,
        partitions: run.flow.lanes.into(),
        versions: VERSIONS.len() as u64,
        segments: SEGMENTS.len() as u64,
    };
    let per_hour = (HOUR / pane).unsigned_abs();
    run.advance(per_hour);
    show(&run, 1);
    for step in 1..=days * DAY / every {
        run.advance((every / pane).unsigned_abs());
        show(&run, 1 + step * every / HOUR);
    }
    foresee(&run.plan, assumed, &run.engine, days > 0);
    compare(run.engine);
}

fn head() {
    println!(
        "{:>8}{:>10}{:>10}{:>10}{:>8}{:>10}{:>8}{:>12}",
        "hours", "open", "sealed", "labels", "ids", "judging", "MB", "resident MB"
    );
}

fn show(hours: i64, memory: &MemoryUse) {
    print!("{hours:>8}");
    show_parts(memory);
    println!("{:>12.0}", resident_mb());
}

fn show_parts(memory: &MemoryUse) {
    let MemoryUse { open_panes, sealed_panes, labels, ids, judging } = *memory;
    let [open, sealed, labels, ids, judging, all] =
        [open_panes, sealed_panes, labels, ids, judging, memory.total()].map(|bytes| real(bytes) / 1e6);
    print!("{open:>10.1}{sealed:>10.1}{labels:>10.1}{ids:>8.1}{judging:>10.1}{all:>8.1}");
}

/// Traffic as it is made.
struct Flow {
    labels: &'static str,
    pane: Micros,
    /// Events of a pane, over all lanes.
    events: u64,
    lanes: u32,
    /// How long labels take at most.
    labels_after: Micros,
}

impl Flow {
    fn new(labels: &'static str) -> Self {
        Self { labels, pane: HOUR, events: 0, lanes: 1, labels_after: HOUR }
    }
}

fn plan(window: &str, labels: &str) -> Arc<Plan> {
    config::parse(&pipeline(window, labels), "memory", Path::new("")).expect("the bench's pipeline is one").plan
}

fn pipeline(window: &str, labels: &str) -> String {
    format!(
        "task: binary\nsources:\n  predictions:\n    topic: p\n    id: id\n    version: version\n    segments: {{ country: country }}\n    \
         status: status\n    score: score\n    latency: latency_ms\n    features:\n      numeric: {{ a: {{ path: a, range: [-4, 4] }}, \
         b: {{ path: b, range: [-4, 4] }}, c: {{ path: c, range: [-4, 4] }} }}\n      categorical: {{ kind: kind }}\n  \
         outcomes: {{ topic: o, id: id, label: label }}\nrollout: {{ baseline: v1 }}\nwindows: {{ size: {window}, lateness: 0s }}\n\
         {labels}\nmetrics: {{ names: [error_rate, psi, brier] }}\n"
    )
}

/// An engine and how far it was fed.
struct Run {
    plan: Arc<Plan>,
    engine: Engine,
    flow: Flow,
    random: Seeded,
    panes: i64,
    offsets: Vec<[i64; 2]>,
    /// By lane: labels to come, as time of arrival and id.
    labels: Vec<std::collections::BTreeSet<(Micros, u64)>>,
}

impl Run {
    fn new(flow: Flow) -> Self {
        let plan = plan(&format!("{}s", flow.pane / SECOND), flow.labels);
        let lanes = flow.lanes as usize;
        Self {
            engine: Engine::new(Arc::clone(&plan), flow.lanes),
            plan,
            random: Seeded(7),
            panes: 0,
            offsets: vec![[0; 2]; lanes],
            labels: vec![std::collections::BTreeSet::new(); lanes],
            flow,
        }
    }

    /// Feeds so many panes more.
    fn advance(&mut self, panes: u64) {
        for _ in 0..panes {
            for lane in 0..self.flow.lanes {
                let predictions = self.predictions(lane);
                self.engine.step(&predictions);
                let outcomes = self.outcomes(lane);
                self.engine.step(&outcomes);
            }
            self.panes += 1;
        }
    }

    #[expect(clippy::cast_possible_wrap, reason = "counts far below 2^63")]
    fn predictions(&mut self, lane: u32) -> EventBatch {
        let n = (self.flow.events / u64::from(self.flow.lanes)) as usize;
        let start = START + self.panes * self.flow.pane;
        let at = |row: usize| start + row as i64 * self.flow.pane / n as i64;
        let times: Vec<Micros> = (0..n).map(at).collect();
        let ids: Vec<u64> = (0..n).map(|_| self.random.bits()).collect();
        for (&id, &time) in ids.iter().zip(&times) {
            let wait = (self.random.bits() % self.flow.labels_after.unsigned_abs()).cast_signed();
            self.labels[lane as usize].insert((time + wait, id));
        }
        let numeric = |value: &mut dyn FnMut() -> f64| (0..n).map(|_| Some(value())).collect::<Float64Array>();
        let random = &mut self.random;
        let columns = vec![
            numeric(&mut || random.normal()),
            numeric(&mut || random.normal()),
            numeric(&mut || random.normal()),
            numeric(&mut || random.unit()),
            numeric(&mut || 20.0 * (random.normal() / 2.0).exp()),
        ];
        let kinds: Vec<&str> = (0..n).map(|_| ["x", "y", "z"][(random.bits() % 3) as usize]).collect();
        let pick = |names: &'static [&'static str], random: &mut Seeded| {
            let some = (0..n).map(|_| Some(names[(random.bits() % names.len() as u64) as usize]));
            some.collect::<TextArray>()
        };
        EventBatch {
            kind: EventKind::Prediction,
            version: pick(&VERSIONS, random),
            segments: vec![pick(&SEGMENTS, random)],
            numeric: columns,
            categorical: vec![kinds.into_iter().map(Some).collect()],
            status: Int16Array::from(vec![200; n]),
            ..self.batch(lane, 0, times, ids)
        }
    }

    fn outcomes(&mut self, lane: u32) -> EventBatch {
        let end = START + (self.panes + 1) * self.flow.pane;
        let later = self.labels[lane as usize].split_off(&(end, 0));
        let (mut times, ids): (Vec<_>, Vec<_>) =
            std::mem::replace(&mut self.labels[lane as usize], later).into_iter().unzip();
        // Each lane's clock goes on, whether labels came or not.
        if let Some(last) = times.last_mut() {
            *last = end;
        }
        let labels = ids.iter().map(|id| Some((id & 1) as f64)).collect();
        EventBatch { kind: EventKind::Outcome, label: labels, ..self.batch(lane, 1, times, ids) }
    }

    /// A batch that carries nothing yet.
    #[expect(clippy::cast_possible_wrap, reason = "counts far below 2^63")]
    fn batch(&mut self, lane: u32, source: u16, times: Vec<Micros>, ids: Vec<u64>) -> EventBatch {
        let n = times.len();
        let next = &mut self.offsets[lane as usize][usize::from(source)];
        let first = *next;
        *next += n as i64;
        let absent = || TextArray::new(Int32Array::new_null(n), Arc::new(StringArray::from(Vec::<&str>::new())));
        EventBatch {
            kind: EventKind::Prediction,
            source,
            lane,
            offset: (first..*next).collect::<Vec<_>>().into(),
            broker_time: times.clone().into(),
            event_time: times.into(),
            id: ids.into(),
            entity: UInt64Array::new_null(n),
            producer: UInt64Array::new_null(n),
            model: (0..n).map(|_| Some("model")).collect(),
            version: absent(),
            segments: vec![absent()],
            numeric: Vec::new(),
            categorical: Vec::new(),
            predicted: absent(),
            status: Int16Array::new_null(n),
            failed: BooleanArray::new_null(n),
            label: Float64Array::new_null(n),
            label_class: absent(),
            exposure: Float64Array::new_null(n),
            further: None,
            refused: Vec::new(),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "bytes, for people")]
fn real(bytes: usize) -> f64 {
    bytes as f64
}

/// What this process takes of the machine.
fn resident_mb() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux tells a process's memory");
    megabytes_in(&status, "VmRSS:").expect("VmRSS in kB")
}

/// A line of what Linux tells of a process.
fn megabytes_in(status: &str, name: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().trim_end_matches(" kB").parse::<f64>().ok().map(|kib| kib * 1024.0 / 1e6)
}
