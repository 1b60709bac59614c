//! Traffic of two versions, made row by row and fed to an engine window by window.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{BooleanArray, Float64Array, Int16Array, Int32Array, StringArray, UInt64Array};
use haldane::batch::{EventBatch, TextArray};
use haldane::config;
use haldane::engine::Engine;
use haldane::event::{EventKind, Micros, SECOND};
use haldane::judge::Effects;
use haldane::plan::{Action, GuardPlan, Plan, Signal};
use haldane::verdict::Decision;

/// 1 January 2026.
const START: Micros = 1_767_225_600 * SECOND;
/// One window.
const WINDOW: Micros = 300 * SECOND;

/// The plan of a pipeline that names columns and nothing else: numeric features with the ranges of their bins, and
/// latency. `knobs` turns what a goal names; everything else is as shipped.
pub(crate) fn plan(features: &[(&str, f64, f64)], latency: bool, knobs: &dyn Fn(&mut GuardPlan)) -> Arc<Plan> {
    plan_with("", features, latency, knobs)
}

/// The same with more sections of the pipeline file.
pub(crate) fn plan_with(
    sections: &str,
    features: &[(&str, f64, f64)],
    latency: bool,
    knobs: &dyn Fn(&mut GuardPlan),
) -> Arc<Plan> {
    plan_of(if latency { "    latency: latency_ms\n" } else { "" }, sections, features, knobs)
}

/// The same with other fields of predictions.
pub(crate) fn plan_of(
    fields: &str,
    sections: &str,
    features: &[(&str, f64, f64)],
    knobs: &dyn Fn(&mut GuardPlan),
) -> Arc<Plan> {
    let ranges: Vec<String> = features
        .iter()
        .map(|(name, low, high)| format!("{name}: {{ path: {name}, range: [{low}, {high}] }}"))
        .collect();
    let text = format!(
        "sources:\n  predictions:\n    topic: lab\n    id: id\n    entity: entity\n    version: version\n    status: status\n\
         {fields}    features: {{ numeric: {{ {} }} }}\n\
         rollout: {{ baseline: v1 }}\nwindows: {{ size: 5m, lateness: 0s }}\nmetrics: {{ names: [error_rate] }}\n{sections}",
        ranges.join(", ")
    );
    let made = config::parse(&text, "lab", Path::new("")).expect("the lab's pipeline is one").plan;
    let mut plan = Plan::clone(&made);
    let mut guards = plan.policy.guards.take().unwrap_or_default();
    knobs(&mut guards);
    plan.policy.guards = Some(guards);
    Arc::new(plan)
}

/// The rows of one window.
#[derive(Default)]
pub(crate) struct Rows {
    candidate: Vec<i32>,
    status: Vec<i16>,
    entity: Vec<Option<u64>>,
    numbers: Vec<Vec<f64>>,
    /// Place in [`GROUPS`] and 1 for a positive answer, of every row or of none.
    pub(crate) groups: Vec<i32>,
    pub(crate) positive: Vec<i32>,
    /// The class of every row and the one that was answered, where there are several.
    pub(crate) classes: Vec<[usize; 2]>,
    /// What came true of every row, where that is known in time, or of none.
    pub(crate) labels: Vec<Option<f64>>,
    /// Whether each row and the one after it answer one request.
    pub(crate) is_mirrored: bool,
}

/// Names of groups.
pub(crate) const GROUPS: [&str; 4] = ["a", "b", "c", "d"];

impl Rows {
    /// Adds a row; `numbers` are the features, then the latency and measures, as in the plan.
    pub(crate) fn push(&mut self, candidate: bool, failed: bool, entity: Option<u64>, numbers: &[f64]) {
        self.push_status(candidate, if failed { 500 } else { 200 }, entity, numbers);
    }

    /// Adds a row that was answered with this status; NaN is no number.
    pub(crate) fn push_status(&mut self, candidate: bool, status: i16, entity: Option<u64>, numbers: &[f64]) {
        self.candidate.push(i32::from(candidate));
        self.status.push(status);
        self.entity.push(entity);
        self.numbers.resize_with(numbers.len(), Vec::new);
        self.numbers.iter_mut().zip(numbers).for_each(|(column, number)| column.push(*number));
    }
}

/// An engine and how far it was fed.
pub(crate) struct Lab {
    engine: Engine,
    windows: i64,
    rows: i64,
}

impl Lab {
    pub(crate) fn new(plan: &Arc<Plan>) -> Self {
        Self { engine: Engine::new(Arc::clone(plan), 1), windows: 0, rows: 0 }
    }

    /// Feeds the next window. It is judged when the first row of the window after it comes.
    pub(crate) fn feed(&mut self, rows: Rows) -> Effects {
        let n = rows.status.len();
        let first = self.rows;
        self.rows += i64::try_from(n).expect("a window has far fewer rows");
        let start = START + self.windows * WINDOW;
        self.windows += 1;
        let spread = |place: i64| start + place * WINDOW / (self.rows - first).max(1);
        let times: Vec<Micros> = (0..self.rows - first).map(spread).collect();
        let request = |row: u64| scattered(if rows.is_mirrored { row / 2 } else { row });
        let batch = EventBatch {
            kind: EventKind::Prediction,
            source: 0,
            lane: 0,
            offset: (first..self.rows).collect::<Vec<_>>().into(),
            broker_time: times.clone().into(),
            event_time: times.into(),
            id: (first.unsigned_abs()..self.rows.unsigned_abs()).map(request).collect::<Vec<_>>().into(),
            producer: UInt64Array::new_null(rows.entity.len()),
            entity: rows.entity.into_iter().map(|entity| entity.map(scattered)).collect::<UInt64Array>(),
            model: constant("lab", n),
            version: texts(rows.candidate, &["v1", "v2"]),
            segments: (!rows.groups.is_empty()).then(|| texts(rows.groups, &GROUPS)).into_iter().collect(),
            numeric: rows.numbers.into_iter().map(known).collect(),
            categorical: Vec::new(),
            predicted: match (rows.positive.is_empty(), rows.classes.is_empty()) {
                (true, true) => absent(n),
                (false, _) => texts(rows.positive, &["0", "1"]),
                (_, false) => classes(&rows.classes, 1),
            },
            status: Int16Array::from(rows.status),
            failed: BooleanArray::new_null(n),
            label: if rows.labels.is_empty() { Float64Array::new_null(n) } else { rows.labels.into() },
            label_class: if rows.classes.is_empty() { absent(n) } else { classes(&rows.classes, 0) },
            exposure: Float64Array::new_null(n),
            further: None,
            refused: Vec::new(),
        };
        self.engine.step(&batch)
    }

    /// Ends the traffic; judges the last window.
    pub(crate) fn finish(mut self) -> Effects {
        self.engine.progress(0, 0, self.rows, true, true)
    }
}

/// A column in which NaN is missing.
fn known(numbers: Vec<f64>) -> Float64Array {
    numbers.into_iter().map(|number| Some(number).filter(|number| !number.is_nan())).collect()
}

/// Bits spread as a hash would spread them.
fn scattered(n: u64) -> u64 {
    n.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

fn texts(codes: Vec<i32>, names: &[&str]) -> TextArray {
    TextArray::new(Int32Array::from(codes), Arc::new(StringArray::from(names.to_vec())))
}

/// Names of classes: those of the truth, or of what was answered.
fn classes(pairs: &[[usize; 2]], which: usize) -> TextArray {
    let names: Vec<String> = pairs.iter().map(|pair| format!("c{:03}", pair[which])).collect();
    names.iter().map(|name| Some(name.as_str())).collect()
}

fn constant(text: &str, n: usize) -> TextArray {
    texts(vec![0; n], &[text])
}

fn absent(n: usize) -> TextArray {
    TextArray::new(Int32Array::new_null(n), Arc::new(StringArray::from(Vec::<&str>::new())))
}

/// Runs a rollout of `windows` windows until a decision at least as severe as `wanted` restricts the candidate; returns
/// how many windows that took, counted from 1.
pub(crate) fn windows_until(
    plan: &Arc<Plan>,
    windows: u32,
    wanted: Action,
    make: impl FnMut(u32, &mut Rows),
) -> Option<u32> {
    let actions = [Action::Hold, Action::Contain, Action::Rollback].into_iter().filter(|&action| action >= wanted);
    let signals: Vec<Signal> = actions.map(Signal::from).collect();
    windows_until_any(plan, windows, |effects| decided(effects, |decision| signals.contains(&decision.action)), make)
}

/// Runs a rollout until something is seen at an event time; returns how many windows that took, counted from 1.
pub(crate) fn windows_until_any(
    plan: &Arc<Plan>,
    windows: u32,
    seen: impl Fn(&Effects) -> Option<Micros>,
    mut make: impl FnMut(u32, &mut Rows),
) -> Option<u32> {
    let mut lab = Lab::new(plan);
    let window = |at: Micros| u32::try_from((at - START) / WINDOW).expect("windows since the start");
    for window_made in 0..windows {
        let mut rows = Rows::default();
        make(window_made, &mut rows);
        if let Some(at) = seen(&lab.feed(rows)) {
            return Some(window(at));
        }
    }
    seen(&lab.finish()).map(window)
}

/// When the first such decision was made.
pub(crate) fn decided(effects: &Effects, is_wanted: impl Fn(&Decision) -> bool) -> Option<Micros> {
    effects.decisions.iter().find(|decision| is_wanted(decision)).map(|decision| decision.time)
}
