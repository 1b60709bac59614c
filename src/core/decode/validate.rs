//! What every format must satisfy once its rows are columns: required fields are there, times and numbers make sense.
//!
//! Columns are checked whole; only one in which something is wrong is looked at row by row. Bad rows are filtered out
//! and reported; when all rows are good nothing is copied.

use std::collections::BTreeMap;

use arrow_array::cast::AsArray as _;
use arrow_array::{Array, ArrayRef, ArrowPrimitiveType, BooleanArray, Float64Array, PrimitiveArray};
use arrow_select::filter::{FilterBuilder, FilterPredicate};

use crate::batch::{EventBatch, TextArray};
use crate::event::{ALL_VERSIONS, EventKind, OTHER, Poison, Reject};
use crate::plan::{ColumnRole, Plan, Task};

use super::binding::{Slot, SourceLayout, task};

/// Why one row is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RowRefusal {
    pub(super) reason: Poison,
    pub(super) detail: String,
}

impl RowRefusal {
    /// The finding as a reject of a row of a record.
    pub(super) fn into_reject(self, offset: i64, row: u32) -> Reject {
        Reject { offset, row, reason: self.reason, detail: self.detail }
    }
}

/// Findings by row; the first one of a row counts.
pub(super) type Findings = BTreeMap<usize, RowRefusal>;

/// The rows of a batch in which nothing is wrong, and what is wrong with the others. `findings`: what is known already.
pub(super) fn sift(
    plan: &Plan,
    layout: &SourceLayout,
    batch: EventBatch,
    findings: Findings,
) -> (EventBatch, Findings) {
    let findings = check(plan, layout, &batch, findings);
    if findings.is_empty() {
        return (batch, findings);
    }
    let good: BooleanArray = (0..batch.len()).map(|row| Some(!findings.contains_key(&row))).collect();
    (keep(&batch, &good), findings)
}

/// The same of those rows alone that are taken.
pub(super) fn sift_taken(
    plan: &Plan,
    layout: &SourceLayout,
    batch: &EventBatch,
    findings: Findings,
    taken: &[bool],
) -> (EventBatch, Findings) {
    let mut findings = check(plan, layout, batch, findings);
    findings.retain(|row, _| taken[*row]);
    let good: BooleanArray =
        taken.iter().enumerate().map(|(row, taken)| Some(*taken && !findings.contains_key(&row))).collect();
    (keep(batch, &good), findings)
}

fn check(plan: &Plan, layout: &SourceLayout, batch: &EventBatch, findings: Findings) -> Findings {
    let mut check = Check { layout, batch, findings };
    check.required();
    check.times(plan);
    check.numbers(plan);
    check.findings
}

struct Check<'a> {
    layout: &'a SourceLayout,
    batch: &'a EventBatch,
    findings: Findings,
}

impl Check<'_> {
    fn required(&mut self) {
        let batch = self.batch;
        self.present("event_time", &batch.event_time);
        let mapped = self.layout.bindings.iter().any(|binding| binding.slot == Slot::Id);
        match batch.kind {
            EventKind::Prediction | EventKind::Outcome => self.present("prediction_id", &batch.id),
            EventKind::Feature if mapped => self.present("prediction_id", &batch.id),
            EventKind::Feature | EventKind::Exposure => {}
        }
        if batch.kind == EventKind::Outcome {
            self.present_either("label", &batch.label, &batch.label_class);
        } else {
            self.name("model", &batch.model);
            self.name("version", &batch.version);
        }
        if batch.kind == EventKind::Exposure {
            self.present("exposure", &batch.exposure);
        }
    }

    fn present(&mut self, name: &str, column: &dyn Array) {
        if column.null_count() > 0 {
            self.find(Poison::MissingField, |row| column.is_null(row).then(String::new), name);
        }
    }

    /// A name that stands for something else among the results would be counted twice.
    fn name(&mut self, name: &str, column: &TextArray) {
        self.present(name, column);
        let names = column.values().as_string::<i32>();
        if !names.iter().flatten().any(is_reserved) {
            return;
        }
        let taken = |row: usize| {
            let given = names.value(column.key(row).filter(|&key| names.is_valid(key))?);
            is_reserved(given).then(|| format!("`{given}` is a name of haldane's own"))
        };
        self.find(Poison::OutOfRange, taken, name);
    }

    fn present_either(&mut self, name: &str, one: &dyn Array, other: &dyn Array) {
        if one.null_count() > 0 && other.null_count() > 0 {
            self.find(Poison::MissingField, |row| (one.is_null(row) && other.is_null(row)).then(String::new), name);
        }
    }

    fn times(&mut self, plan: &Plan) {
        let (event, broker) = (self.batch.event_time.values(), self.batch.broker_time.values());
        let skew_max = plan.time.skew_max;
        let absurd = |event: i64, broker: i64| event < 0 || event > broker.saturating_add(skew_max);
        if !event.iter().zip(broker).fold(false, |any, (&event, &broker)| any | absurd(event, broker)) {
            return;
        }
        let detail = |row: usize| {
            absurd(event[row], broker[row])
                .then(|| format!("{} us is before 1970 or too far ahead of broker time {} us", event[row], broker[row]))
        };
        self.find(Poison::AbsurdTime, detail, "event_time");
    }

    fn numbers(&mut self, plan: &Plan) {
        let batch = self.batch;
        let task = task(plan);
        let is_probability = matches!(task, Some(Task::Binary | Task::Multiclass));
        for (column, values) in plan.columns.numeric.iter().zip(&batch.numeric) {
            match column.role {
                ColumnRole::Score if is_probability => self.range(&column.name, values, is_improbable),
                ColumnRole::Latency => self.range("latency_ms", values, |x| x < 0.0 || x.is_infinite()),
                ColumnRole::Score => self.range(&column.name, values, f64::is_infinite),
                ColumnRole::Feature | ColumnRole::Measure => {}
            }
        }
        match task {
            Some(Task::Binary) => self.range("label", &batch.label, |x| ![0.0, 1.0].contains(&x)),
            _ => self.range("label", &batch.label, |x| !x.is_finite()),
        }
        self.range("exposure", &batch.exposure, |x| !(0.0..=1.0).contains(&x));
    }

    fn range(&mut self, name: &str, column: &Float64Array, bad: impl Fn(f64) -> bool) {
        let values = column.values();
        if !values.iter().fold(false, |any, &value| any | bad(value)) {
            return;
        }
        let detail = |row: usize| {
            (column.is_valid(row) && bad(values[row])).then(|| format!("{} is not a possible value", values[row]))
        };
        self.find(Poison::OutOfRange, detail, name);
    }

    /// Looks at every row; `detail` says what is wrong with one, or nothing.
    fn find(&mut self, reason: Poison, detail: impl Fn(usize) -> Option<String>, name: &str) {
        let name = self.layout.name(name);
        for row in 0..self.batch.len() {
            if let Some(detail) = detail(row) {
                let detail = if detail.is_empty() { format!("{name}: missing") } else { format!("{name}: {detail}") };
                self.findings.entry(row).or_insert(RowRefusal { reason, detail });
            }
        }
    }
}

/// All versions together, and what was folded.
fn is_reserved(name: &str) -> bool {
    [ALL_VERSIONS, OTHER].contains(&name)
}

/// Outside of 0 to 1; NaN is kept, it is counted apart.
fn is_improbable(value: f64) -> bool {
    !(0.0..=1.0).contains(&value) && !value.is_nan()
}

/// The rows where the mask is true.
fn keep(batch: &EventBatch, mask: &BooleanArray) -> EventBatch {
    let sieve = Sieve(FilterBuilder::new(mask).optimize().build());
    EventBatch {
        kind: batch.kind,
        source: batch.source,
        lane: batch.lane,
        offset: sieve.primitive(&batch.offset),
        broker_time: sieve.primitive(&batch.broker_time),
        event_time: sieve.primitive(&batch.event_time),
        id: sieve.primitive(&batch.id),
        entity: sieve.primitive(&batch.entity),
        producer: sieve.primitive(&batch.producer),
        model: sieve.text(&batch.model),
        version: sieve.text(&batch.version),
        segments: batch.segments.iter().map(|column| sieve.text(column)).collect(),
        numeric: batch.numeric.iter().map(|column| sieve.primitive(column)).collect(),
        categorical: batch.categorical.iter().map(|column| sieve.text(column)).collect(),
        predicted: sieve.text(&batch.predicted),
        status: sieve.primitive(&batch.status),
        failed: sieve.any(&batch.failed).as_boolean().clone(),
        label: sieve.primitive(&batch.label),
        label_class: sieve.text(&batch.label_class),
        exposure: sieve.primitive(&batch.exposure),
        further: batch.further.as_ref().map(|further| sieve.any(further).as_boolean().clone()),
        refused: Vec::new(),
    }
}

struct Sieve(FilterPredicate);

impl Sieve {
    fn any(&self, column: &dyn Array) -> ArrayRef {
        self.0.filter(column).expect("the mask is as long as the column")
    }

    fn primitive<T: ArrowPrimitiveType>(&self, column: &PrimitiveArray<T>) -> PrimitiveArray<T> {
        self.any(column).as_primitive().clone()
    }

    fn text(&self, column: &TextArray) -> TextArray {
        self.any(column).as_dictionary().clone()
    }
}
