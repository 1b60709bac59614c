//! One traffic stream (predictions or feature events) of a lane: its open panes, and counting rows into them by column.
//!
//! Once the rows of a batch are assigned to cells, each column is counted cell by cell, so that the inner loops are
//! kernels over slices.

use std::borrow::Cow;
use std::collections::BTreeMap;

use arrow_array::cast::AsArray;
use arrow_array::{Array, Float64Array};

use crate::batch::{EventBatch, TextArray};
use crate::event::{EventKind, Micros};
use crate::kernel::select::{self, SelectedRows};
use crate::plan::{CategoricalColumn, ColumnRole, NumericColumn, Plan};
use crate::scan::assign::CellRows;
use crate::scan::dedup::IdSet;
use crate::scan::frame::{GroupKey, Inputs};
use crate::scan::groups::{Cell, Groups};
use crate::scan::open::{Numbers, OpenTraffic};
use crate::summary::entity;
use crate::summary::{Category, Latency, MeasureSummary, Traffic};

impl Cell for Traffic {
    fn new(plan: &Plan) -> Self {
        Self::new(&plan.columns)
    }

    fn merge(&mut self, _: &Plan, other: &Self) {
        self.merge(other);
    }
}

/// An open pane of one traffic stream.
#[derive(Debug)]
pub(crate) struct TrafficPane {
    pub(crate) groups: Groups<OpenTraffic>,
    pub(crate) inputs: Inputs,
    pub(crate) ids: IdSet,
    /// How often it was counted into.
    pub(crate) changes: u64,
}

/// Open panes of one traffic stream.
#[derive(Debug, Default)]
pub(crate) struct TrafficStream {
    pub(crate) panes: BTreeMap<Micros, TrafficPane>,
}

impl TrafficStream {
    /// The pane that starts here, opened when it is new; offsets `first` to `last` fall into it.
    pub(crate) fn open(&mut self, plan: &Plan, start: Micros, first: i64, last: i64) -> &mut TrafficPane {
        let open = self.panes.entry(start).or_insert_with(|| TrafficPane {
            groups: Groups::new(),
            inputs: Inputs { first, last },
            ids: IdSet::new(plan.bounds.ids_max),
            changes: 0,
        });
        open.inputs.last = last;
        open
    }

    /// Takes out the first open pane if it ended by `mark`.
    pub(crate) fn close(&mut self, plan: &Plan, mark: Micros) -> Option<(Micros, Groups<OpenTraffic>, Inputs)> {
        let first = self.panes.first_entry().filter(|entry| plan.time.pane_end(*entry.key()) <= mark)?;
        let (start, TrafficPane { groups, inputs, .. }) = first.remove_entry();
        Some((start, groups, inputs))
    }

    /// Notes a re-delivery to a group of a pane that is open.
    pub(crate) fn count_duplicate(&mut self, plan: &Plan, start: Micros, key: &GroupKey) {
        let pane = self.panes.get_mut(&start).expect("opened before");
        pane.changes += 1;
        let slot = pane.groups.slot(key, plan);
        pane.groups.cell(slot).rest.rates.duplicates += 1;
    }

    /// How much the ids take, in bytes.
    pub(crate) fn id_bytes(&self) -> usize {
        self.panes.values().map(|pane| pane.ids.bytes()).sum()
    }

    /// Counts the rows of one cell.
    pub(crate) fn count(&mut self, plan: &Plan, batch: &EventBatch, cell: &CellRows, codes: &mut Vec<u64>) {
        let pane = self.panes.get_mut(&cell.pane).expect("assigned above");
        pane.changes += 1;
        let slot = pane.groups.slot(&cell.key, plan);
        count(pane.groups.cell(slot), plan, batch, &cell.rows, codes);
    }
}

fn count(traffic: &mut OpenTraffic, plan: &Plan, batch: &EventBatch, rows: &[u32], codes: &mut Vec<u64>) {
    let selected = SelectedRows::new(rows);
    let OpenTraffic { numeric, rest: traffic } = traffic;
    let requests = requests(batch, rows);
    let mapping = &plan.sources[usize::from(batch.source)].mapping;
    let columns = numeric.iter_mut().zip(&plan.columns.numeric).zip(&batch.numeric);
    for (at, ((histogram, column), array)) in columns.enumerate() {
        match column.role {
            ColumnRole::Latency => {
                count_numeric(histogram, Some(&mut traffic.latency), column, array, &SelectedRows::new(&requests));
            }
            ColumnRole::Measure if mapping.is_shared(at) => {
                count_numeric(histogram, None, column, array, &SelectedRows::new(&records(batch, rows)));
            }
            _ => count_numeric(histogram, None, column, array, &selected),
        }
    }
    for ((category, column), array) in
        traffic.categorical.iter_mut().zip(&plan.columns.categorical).zip(&batch.categorical)
    {
        count_categorical(category, column, array, rows, codes);
    }
    if batch.kind == EventKind::Prediction {
        count_rates(traffic, plan, batch, rows);
        count_entities(traffic, plan, batch, rows);
        for (measure, column) in traffic.measures.iter_mut().zip(plan.columns.measures()) {
            if mapping.is_shared(column) {
                count_measure(measure, batch, column, &records(batch, rows));
            } else {
                count_measure(measure, batch, column, rows);
            }
        }
    }
}

/// The rows that stand for a request each: several rows of a record may be one.
fn requests<'r>(batch: &EventBatch, rows: &'r [u32]) -> Cow<'r, [u32]> {
    match &batch.further {
        None => Cow::Borrowed(rows),
        Some(further) => rows.iter().copied().filter(|&row| !further.value(row as usize)).collect(),
    }
}

/// The first row of each record.
fn records(batch: &EventBatch, rows: &[u32]) -> Vec<u32> {
    rows.iter().copied().filter(|&row| batch.is_first_of_record(row as usize)).collect()
}

/// Counts the rows of a numeric column, and of the latency into its summary too.
pub fn count_numeric(
    histogram: &mut impl Numbers,
    mut latency: Option<&mut Latency>,
    column: &NumericColumn,
    array: &Float64Array,
    rows: &SelectedRows,
) {
    let skipped = select::present(array.values(), array.nulls(), rows, |block| {
        histogram.update(&column.cut, block);
        latency.iter_mut().for_each(|latency| block.iter().for_each(|&value| latency.update(value)));
    });
    histogram.skip(skipped.missing, skipped.nan);
}

/// Counts the rows of a categorical column; `codes` is scratch.
pub fn count_categorical(
    category: &mut Category,
    column: &CategoricalColumn,
    array: &TextArray,
    rows: &[u32],
    codes: &mut Vec<u64>,
) {
    count_codes(array, rows, codes);
    let names = array.values().as_string::<i32>();
    for (code, &count) in codes.iter().enumerate().filter(|(_, count)| **count > 0) {
        if code == names.len() {
            category.missing += count;
        } else if let Some(cell) = column.cell_of(names.value(code)) {
            category.known[cell] += count;
        } else {
            category.add_unseen(names.value(code), count);
        }
    }
}

/// Counts dictionary codes of the rows; the count of nulls comes last.
#[expect(clippy::cast_sign_loss, reason = "dictionary keys are not negative")]
fn count_codes(array: &TextArray, rows: &[u32], counts: &mut Vec<u64>) {
    let n_names = array.values().len();
    counts.clear();
    counts.resize(n_names + 1, 0);
    let keys = array.keys();
    if keys.null_count() == 0 {
        rows.iter().for_each(|&row| counts[keys.value(row as usize) as usize] += 1);
    } else {
        for &row in rows {
            let row = row as usize;
            counts[if keys.is_valid(row) { keys.value(row) as usize } else { n_names }] += 1;
        }
    }
}

fn count_rates(traffic: &mut Traffic, plan: &Plan, batch: &EventBatch, rows: &[u32]) {
    let score = plan.columns.index_of(ColumnRole::Score).and_then(|column| batch.numeric.get(column));
    let positive = PerEntry::of(&batch.predicted, |name| name == "1");
    let latency = plan.columns.index_of(ColumnRole::Latency).and_then(|column| batch.numeric.get(column));
    let rates = &mut traffic.rates;
    for &row in rows {
        let row = row as usize;
        let outcome = outcome(batch, row);
        if batch.is_request(row) {
            rates.requests += 1;
            rates.errors += u64::from(outcome.is_failure());
            if let Some(latency) = latency.filter(|_| outcome == ResponseClass::TimedOut) {
                traffic.timed_out.update(latency.is_valid(row).then(|| latency.value(row)).filter(|ms| !ms.is_nan()));
            }
            rates.rejected += u64::from(outcome == ResponseClass::Rejected);
        }
        let positive = positive.get(row);
        // Without scores the class is the answer.
        let is_scored = score.map_or(plan.quality.is_some() && positive.is_some(), |score| score.is_valid(row));
        rates.scored += u64::from(outcome == ResponseClass::Success && is_scored);
        if let Some(positive) = positive {
            rates.predicted += 1;
            rates.positive += u64::from(positive);
        }
    }
}

/// Counts by entity, where the batch names them.
fn count_entities(traffic: &mut Traffic, plan: &Plan, batch: &EventBatch, rows: &[u32]) {
    if batch.entity.null_count() == batch.len() {
        return;
    }
    let latency = plan.columns.index_of(ColumnRole::Latency).and_then(|column| batch.numeric.get(column));
    let rows = rows.iter().map(|&row| row as usize);
    for row in rows.filter(|&row| batch.is_request(row) && batch.entity.is_valid(row)) {
        let asked = entity::at(&mut traffic.entities, batch.entity.value(row));
        asked.requests += 1;
        let outcome = outcome(batch, row);
        asked.errors += u64::from(outcome.is_failure());
        asked.rejected += u64::from(outcome == ResponseClass::Rejected);
        if let Some(latency) = latency.filter(|latency| latency.is_valid(row)) {
            let step = entity::latency_step(latency.value(row));
            asked.timed += 1;
            asked.steps += step;
            asked.steps_sq += step * step;
        }
    }
}

/// Counts measures, by entity too where rows name theirs. What is no number is counted with the column.
fn count_measure(measure: &mut MeasureSummary, batch: &EventBatch, column: usize, rows: &[u32]) {
    let Some(values) = batch.numeric.get(column) else { return };
    let known = rows.iter().map(|&row| row as usize).filter(|&row| values.is_valid(row));
    for row in known.filter(|&row| !values.value(row).is_nan()) {
        let entity = batch.entity.is_valid(row).then(|| batch.entity.value(row));
        measure.update(values.value(row), entity);
    }
}

/// Statuses of requests that were not answered in time: the server's (408 and 504 of RFC 9110), nginx's for a client
/// that no longer waits, and Cloudflare's.
const TIMEOUTS: [i16; 4] = [408, 499, 504, 524];

/// How a request was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResponseClass {
    /// With a status of 200 to 299, or without a status and not marked as failed.
    Success,
    /// The server refused it: a status of 400 to 499, timeouts aside.
    Rejected,
    /// A status of 500 and up, or marked as failed.
    Failed,
    /// Not in time; it failed, too.
    TimedOut,
    /// Any other status, such as a redirection.
    Other,
}

impl ResponseClass {
    /// What a status code and an error marker mean together; neither means success.
    #[must_use]
    pub fn of(status: Option<i16>, marked: bool) -> Self {
        match status {
            Some(status) if TIMEOUTS.contains(&status) => Self::TimedOut,
            _ if marked => Self::Failed,
            None | Some(200..=299) => Self::Success,
            Some(500..) => Self::Failed,
            Some(400..500) => Self::Rejected,
            Some(_) => Self::Other,
        }
    }

    /// Whether the request failed.
    #[must_use]
    pub fn is_failure(self) -> bool {
        matches!(self, Self::Failed | Self::TimedOut)
    }
}

/// How a row's request was answered.
pub(crate) fn outcome(batch: &EventBatch, row: usize) -> ResponseClass {
    let marked = batch.failed.is_valid(row) && batch.failed.value(row);
    ResponseClass::of(batch.status.is_valid(row).then(|| batch.status.value(row)), marked)
}

/// What each dictionary entry of a text column stands for, looked up once per batch instead of once per row.
pub(crate) struct PerEntry<'a, T> {
    array: &'a TextArray,
    meaning: Vec<T>,
}

impl<'a, T: Copy> PerEntry<'a, T> {
    pub(crate) fn of(array: &'a TextArray, meaning: impl Fn(&str) -> T) -> Self {
        let names = array.values().as_string::<i32>();
        Self { array, meaning: (0..names.len()).map(|code| meaning(names.value(code))).collect() }
    }

    #[expect(clippy::cast_sign_loss, reason = "dictionary keys are not negative")]
    pub(crate) fn get(&self, row: usize) -> Option<T> {
        self.array.is_valid(row).then(|| self.meaning[self.array.keys().value(row) as usize])
    }
}

/// The text of a row, `None` when missing.
pub(crate) fn text_at(array: &TextArray, row: usize) -> Option<&str> {
    let names = array.downcast_dict::<arrow_array::StringArray>()?;
    array.is_valid(row).then(|| names.values().value(array.key(row).expect("valid")))
}
