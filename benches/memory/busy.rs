//! A busy pipeline with every key at its default: 50 columns, 2 versions, 16 segments, 4 partitions, windows of 5
//! minutes, and a label for every prediction, 20 minutes later.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{BooleanArray, Float64Array, Int16Array, Int32Array, StringArray, UInt64Array};
use haldane::batch::{EventBatch, TextArray};
use haldane::cli::check::memory::Assumed;
use haldane::config;
use haldane::engine::Engine;
use haldane::event::{EventKind, Micros, SECOND, stable_hash};
use haldane::judge::LookStep;
use haldane::kafka::clock::now;
use haldane::plan::Plan;

use crate::common::{Seeded, median};

const LANES: u32 = 4;
const FEATURES: usize = 48;
const SEGMENTS: u64 = 16;
const START: Micros = super::START;
const LABELS_AFTER: Micros = 1200 * SECOND;
/// Looks at the open window that are timed.
const LOOKS: i64 = 20;
/// Stretches with looks and without that are compared, and how long each takes.
const PAIRS: usize = 9;
const STRETCH: Duration = Duration::from_secs(6);
/// How often open windows are looked at by default.
const EARLY_EVERY: Duration = Duration::from_secs(2);
/// So long the service waits for the rows of a look.
const WAIT: Duration = Duration::from_millis(5);
/// Groups that the service adds up before it asks the clock again.
const GROUPS: usize = 2;
/// So much event time is in one batch of a lane.
const STEP: Micros = 2 * SECOND;

/// Feeds so many hours at so many events a second, and says what is kept after each.
pub(crate) fn run(hours: i64, rate: u64) {
    println!("\n{rate} events a second, 50 columns, 2 versions, 16 segments, {LANES} partitions, windows of 5 minutes");
    super::head();
    let plan = plan();
    let mut engine = Engine::new(Arc::clone(&plan), LANES);
    let n = usize::try_from(rate.div_ceil(u64::from(LANES)) * 2).expect("a few thousand");
    let columns = Columns::new(n);
    let steps_per_hour = super::HOUR / STEP;
    for step in 0..hours * steps_per_hour + 300 {
        for lane in 0..LANES {
            engine.step(&columns.predictions(lane, step));
            if step * STEP >= LABELS_AFTER {
                engine.step(&columns.outcomes(lane, step));
            }
        }
        if step % 20 == 0 {
            // As the service does.
            (0..LANES).for_each(|lane| drop(engine.checkpoint(lane)));
        }
        if step > 0 && step % steps_per_hour == 0 {
            super::show(step / steps_per_hour, &engine.memory());
        }
    }
    super::show(hours, &engine.memory());
    let lanes = u64::from(LANES);
    let assumed = Assumed { rate: rate * 300, partitions: lanes, versions: 2, segments: SEGMENTS };
    // What labels take grows until their horizon is reached.
    let horizon = plan.quality.as_ref().map_or(0, |quality| quality.horizon);
    super::foresee(&plan, assumed, &engine, hours * super::HOUR > horizon);
    let counts = engine.counts_of(0);
    let (rows, labels) = (counts.rows, counts.labels);
    println!("of lane 0: {rows} predictions, {} labels joined, {} not waited for", labels.joined, labels.refused);
    let next = hours * steps_per_hour + 300;
    looks(&mut engine, &columns, next);
    paired(&mut engine, &columns, next + LOOKS, if hours > 0 { PAIRS } else { 1 });
    super::compare(engine);
}

/// How long looks at the open window take, one after each step, beside the steps.
fn looks(engine: &mut Engine, columns: &Columns, from: i64) {
    let (mut stepped, mut added_up, mut measured) = (Duration::ZERO, Duration::ZERO, Duration::ZERO);
    let mut longest = Duration::ZERO;
    for step in from..from + LOOKS {
        let batches: Vec<EventBatch> = (0..LANES).map(|lane| columns.predictions(lane, step)).collect();
        let begun = now();
        batches.iter().for_each(|batch| drop(engine.step(batch)));
        stepped += begun.elapsed();
        let look = loop {
            let begun = now();
            let step = engine.early(GROUPS);
            added_up += begun.elapsed();
            longest = longest.max(begun.elapsed());
            match step {
                LookStep::Unfinished => {}
                step => break step.look().expect("events have come"),
            }
        };
        let begun = now();
        drop(look.rows());
        measured += begun.elapsed();
    }
    let each = |all: Duration| all.as_secs_f64() * 1e3 / LOOKS as f64;
    println!(
        "every {} s of events: {:.1} ms to count them; a look: {:.1} ms to add up, at most {:.1} of them at once, \
         {:.1} ms to measure on another thread",
        STEP / SECOND,
        each(stepped),
        each(added_up),
        longest.as_secs_f64() * 1e3,
        each(measured)
    );
}

/// How many events a second are taken with a look at the open window every two seconds, and how many without, in turn.
fn paired(engine: &mut Engine, columns: &Columns, from: i64, pairs: usize) {
    let mut step = from;
    let stretch = if pairs > 1 { STRETCH } else { Duration::ZERO };
    let (mut with, mut without, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for pair in 0..pairs {
        let mut rates = [0.0; 2];
        for looks in [pair % 2 == 0, pair % 2 == 1] {
            rates[usize::from(looks)] = taken_per_second(engine, columns, &mut step, stretch, looks);
        }
        without.push(rates[0]);
        with.push(rates[1]);
        ratios.push(rates[1] / rates[0]);
    }
    println!(
        "events a second without looks {:.0}, with one every {} s {:.0}; with / without {:.3}, median of {pairs}",
        median(without),
        EARLY_EVERY.as_secs(),
        median(with),
        median(ratios)
    );
}

/// Feeds batches for a while; looks as the service does: it adds up, waits a moment for the rows, and goes on.
fn taken_per_second(engine: &mut Engine, columns: &Columns, step: &mut i64, stretch: Duration, looks: bool) -> f64 {
    let (begun, mut look_at, mut events) = (now(), now(), 0);
    let mut measuring: Option<std::thread::JoinHandle<usize>> = None;
    while begun.elapsed() < stretch || events == 0 {
        for lane in 0..LANES {
            drop(engine.step(&columns.predictions(lane, *step)));
            if *step * STEP >= LABELS_AFTER {
                drop(engine.step(&columns.outcomes(lane, *step)));
            }
            events += columns.n;
        }
        *step += 1;
        if looks && now() >= look_at && measuring.as_ref().is_none_or(std::thread::JoinHandle::is_finished) {
            look_at = now() + EARLY_EVERY;
            measuring = engine.early(usize::MAX).look().map(|look| std::thread::spawn(move || look.rows().len()));
            std::thread::park_timeout(WAIT);
        }
    }
    let took = begun.elapsed().as_secs_f64();
    drop(measuring.map(std::thread::JoinHandle::join));
    events as f64 / took
}

fn plan() -> Arc<Plan> {
    let features = (0..FEATURES)
        .fold(String::new(), |text, i| text + &format!("        f{i}: {{ path: f{i}, range: [-4, 4] }}\n"));
    let text = format!(
        "task: binary\nsources:\n  predictions:\n    topic: p\n    id: id\n    version: version\n    segments: {{ country: country }}\n    \
         status: status\n    score: score\n    latency: latency_ms\n    features:\n      numeric:\n{features}  \
         outcomes: {{ topic: o, id: id, label: label }}\nrollout: {{ baseline: v1 }}\nlabels: {{}}\n"
    );
    config::parse(&text, "busy", Path::new("")).expect("the bench's pipeline is one").plan
}

/// Columns that every batch has: making them anew would take longer than counting them.
struct Columns {
    numeric: Vec<Float64Array>,
    version: TextArray,
    segment: TextArray,
    n: usize,
}

impl Columns {
    fn new(n: usize) -> Self {
        let mut random = Seeded(7);
        let mut numeric: Vec<Float64Array> =
            (0..FEATURES).map(|_| (0..n).map(|_| Some(random.normal())).collect()).collect();
        numeric.push((0..n).map(|_| Some(random.unit())).collect());
        numeric.push((0..n).map(|_| Some(20.0 * (random.normal() / 2.0).exp())).collect());
        let names: Vec<String> = (0..SEGMENTS).map(|i| format!("c{i}")).collect();
        let version = (0..n).map(|_| Some(["v1", "v2"][usize::from(random.bits().is_multiple_of(10))])).collect();
        let pick = |bits: u64| names[usize::try_from(bits % SEGMENTS).expect("a few")].as_str();
        let segment = (0..n).map(|_| Some(pick(random.bits()))).collect();
        Self { numeric, version, segment, n }
    }

    fn predictions(&self, lane: u32, step: i64) -> EventBatch {
        EventBatch {
            version: self.version.clone(),
            segments: vec![self.segment.clone()],
            numeric: self.numeric.clone(),
            status: Int16Array::from(vec![200; self.n]),
            ..self.batch(EventKind::Prediction, lane, step, step)
        }
    }

    fn outcomes(&self, lane: u32, step: i64) -> EventBatch {
        let of = step - LABELS_AFTER / STEP;
        let label = (0..self.n).map(|row| Some(f64::from(u8::from(row % 3 == 0)))).collect();
        EventBatch { label, ..self.batch(EventKind::Outcome, lane, step, of) }
    }

    /// A batch that carries nothing yet, about the predictions of a step.
    fn batch(&self, kind: EventKind, lane: u32, step: i64, of: i64) -> EventBatch {
        let n = i64::try_from(self.n).expect("a few thousand");
        let times: Vec<Micros> = (0..n).map(|row| START + step * STEP + row * STEP / n).collect();
        let id = |row: i64| stable_hash(&[i64::from(lane).to_le_bytes(), (of * n + row).to_le_bytes()].concat());
        let is_label = kind == EventKind::Outcome;
        let first = if is_label { of * n } else { step * n };
        let absent = || TextArray::new(Int32Array::new_null(self.n), Arc::new(StringArray::from(Vec::<&str>::new())));
        EventBatch {
            kind,
            source: u16::from(is_label),
            lane,
            offset: (first..first + n).collect::<Vec<_>>().into(),
            broker_time: times.clone().into(),
            event_time: times.into(),
            id: (0..n).map(id).collect::<Vec<_>>().into(),
            entity: UInt64Array::new_null(self.n),
            producer: UInt64Array::new_null(self.n),
            model: (0..n).map(|_| Some("model")).collect(),
            version: absent(),
            segments: vec![absent()],
            numeric: Vec::new(),
            categorical: Vec::new(),
            predicted: absent(),
            status: Int16Array::new_null(self.n),
            failed: BooleanArray::new_null(self.n),
            label: Float64Array::new_null(self.n),
            label_class: absent(),
            exposure: Float64Array::new_null(self.n),
            further: None,
            refused: Vec::new(),
        }
    }
}
