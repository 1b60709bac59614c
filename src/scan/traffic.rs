//! One traffic stream (predictions or feature events) of a lane: which rows count, and counting them by column.
//!
//! Rows are assigned to cells (pane, group) once; then each column is counted cell by cell, so that the inner loops are
//! kernels over slices.

use std::collections::BTreeMap;

use arrow::array::{Array, AsArray, Float64Array};
use arrow::util::bit_util;

use crate::batch::{EventBatch, TextArray};
use crate::event::{EventKind, Micros};
use crate::kernel::select;
use crate::plan::{CategoricalColumn, NumericColumn, Plan, Role};
use crate::scan::dedup::IdSet;
use crate::scan::frame::{GroupKey, Inputs};
use crate::scan::groups::{Cell, Groups};
use crate::summary::entity;
use crate::summary::{Category, Histogram, Latency, Traffic};
use crate::time::{Clock, pane};

impl Cell for Traffic {
    fn new(plan: &Plan) -> Self {
        Self::new(&plan.columns)
    }

    fn merge(&mut self, other: &Self) {
        self.merge(other);
    }
}

/// An open pane of one traffic stream.
#[derive(Debug)]
pub(crate) struct TrafficPane {
    pub(crate) groups: Groups<Traffic>,
    pub(crate) inputs: Inputs,
    ids: IdSet,
}

/// Rows of one batch that fall into one group of one pane.
#[derive(Debug)]
pub(crate) struct CellRows {
    pub(crate) pane: Micros,
    pub(crate) key: GroupKey,
    pub(crate) rows: Vec<u32>,
}

/// How many rows of a batch did not count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Dropped {
    pub(crate) late: u64,
    pub(crate) duplicates: u64,
}

/// Open panes of one traffic stream.
#[derive(Debug, Default)]
pub(crate) struct TrafficStream {
    pub(crate) panes: BTreeMap<Micros, TrafficPane>,
}

impl TrafficStream {
    /// Assigns the rows that count to cells, and moves the clock past the batch.
    pub(crate) fn assign(&mut self, plan: &Plan, clock: &mut Clock, batch: &EventBatch) -> (Vec<CellRows>, Dropped) {
        let times = batch.event_time.values();
        let combos = Combos::new(batch);
        let mut dropped = Dropped::default();
        let mut cells: BTreeMap<(Micros, u64), Vec<u32>> = BTreeMap::new();
        let mut duplicate_rows = Vec::new();
        let mut after = clock.clone();
        after.observe_all(times, &plan.time);
        let none_is_late = times.iter().min().is_none_or(|&first| {
            after.watermark(&plan.time).is_none_or(|mark| pane::start_of(first, plan.time.pane) + plan.time.pane > mark)
        });
        let mut start = Micros::MIN;
        for (row, &time) in (0_u32..).zip(times) {
            if !(start..start.saturating_add(plan.time.pane)).contains(&time) {
                start = pane::start_of(time, plan.time.pane);
            }
            if !none_is_late {
                let late = clock.watermark(&plan.time).is_some_and(|mark| start + plan.time.pane <= mark);
                clock.observe(time, &plan.time);
                if late {
                    dropped.late += 1;
                    continue;
                }
            }
            let open = self.open(plan, start, batch.offset.value(row as usize));
            if batch.id.is_valid(row as usize) && !open.ids.insert(batch.id.value(row as usize)) {
                dropped.duplicates += 1;
                duplicate_rows.push((start, row));
                continue;
            }
            cells.entry((start, combos.code(row as usize))).or_default().push(row);
        }
        *clock = after;
        for (start, row) in duplicate_rows {
            let key = group_at(batch, row as usize);
            let groups = &mut self.panes.get_mut(&start).expect("opened above").groups;
            let slot = groups.slot(&key, plan);
            groups.cell(slot).rates.duplicates += 1;
        }
        let named = |((pane, _), rows): ((Micros, u64), Vec<u32>)| {
            let key = group_at(batch, rows[0] as usize);
            CellRows { pane, key, rows }
        };
        (cells.into_iter().map(named).collect(), dropped)
    }

    fn open(&mut self, plan: &Plan, start: Micros, offset: i64) -> &mut TrafficPane {
        let open = self.panes.entry(start).or_insert_with(|| TrafficPane {
            groups: Groups::new(),
            inputs: Inputs { first: offset, last: offset },
            ids: IdSet::new(plan.bounds.ids_max),
        });
        open.inputs.last = offset;
        open
    }

    /// Counts the rows of one cell.
    pub(crate) fn count(&mut self, plan: &Plan, batch: &EventBatch, cell: &CellRows, codes: &mut Vec<u64>) {
        let groups = &mut self.panes.get_mut(&cell.pane).expect("assigned above").groups;
        let slot = groups.slot(&cell.key, plan);
        count(groups.cell(slot), plan, batch, &cell.rows, codes);
    }
}

fn count(traffic: &mut Traffic, plan: &Plan, batch: &EventBatch, rows: &[u32], codes: &mut Vec<u64>) {
    for ((histogram, column), array) in traffic.numeric.iter_mut().zip(&plan.columns.numeric).zip(&batch.numeric) {
        let latency = (column.role == Role::Latency).then_some(&mut traffic.latency);
        count_numeric(histogram, latency, column, array, rows);
    }
    for ((category, column), array) in
        traffic.categorical.iter_mut().zip(&plan.columns.categorical).zip(&batch.categorical)
    {
        count_categorical(category, column, array, rows, codes);
    }
    if batch.kind == EventKind::Prediction {
        count_rates(traffic, plan, batch, rows);
        count_entities(traffic, plan, batch, rows);
    }
}

/// Counts the rows of a numeric column, and of the latency into its summary too.
pub(crate) fn count_numeric(
    histogram: &mut Histogram,
    mut latency: Option<&mut Latency>,
    column: &NumericColumn,
    array: &Float64Array,
    rows: &[u32],
) {
    let mut take = |block: &[f64]| {
        histogram.update(&column.cut, block);
        latency.iter_mut().for_each(|latency| block.iter().for_each(|&value| latency.update(value)));
    };
    let skipped = match array.nulls() {
        None => select::present(array.values(), |_| false, rows, &mut take),
        Some(nulls) => {
            let (bits, from) = (nulls.validity(), nulls.offset());
            select::present(array.values(), |row| !bit_util::get_bit(bits, from + row), rows, &mut take)
        }
    };
    histogram.missing += skipped.missing;
    histogram.nan += skipped.nan;
}

/// Counts the rows of a categorical column; `codes` is scratch.
pub(crate) fn count_categorical(
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
        } else if let Ok(known) = column.known.binary_search_by(|known| known.as_str().cmp(names.value(code))) {
            category.known[known] += count;
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
    let score = plan.columns.index_of(Role::Score).and_then(|column| batch.numeric.get(column));
    let positive = Codes::of(&batch.predicted, |name| name == "1");
    let rates = &mut traffic.rates;
    rates.requests += rows.len() as u64;
    for &row in rows {
        let row = row as usize;
        let outcome = outcome(batch, row);
        rates.errors += u64::from(outcome == Answer::Failed);
        rates.rejected += u64::from(outcome == Answer::Rejected);
        rates.scored += u64::from(outcome == Answer::Success && score.is_some_and(|score| score.is_valid(row)));
        if let Some(positive) = positive.get(row) {
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
    let latency = plan.columns.index_of(Role::Latency).and_then(|column| batch.numeric.get(column));
    for row in rows.iter().map(|&row| row as usize).filter(|&row| batch.entity.is_valid(row)) {
        let asked = entity::at(&mut traffic.entities, batch.entity.value(row));
        asked.requests += 1;
        asked.errors += u64::from(outcome(batch, row) == Answer::Failed);
        asked.rejected += u64::from(outcome(batch, row) == Answer::Rejected);
        if let Some(latency) = latency.filter(|latency| latency.is_valid(row)) {
            let step = entity::latency_step(latency.value(row));
            asked.timed += 1;
            asked.steps += step;
            asked.steps_sq += step * step;
        }
    }
}

/// How a request was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    Success,
    Rejected,
    Failed,
    Other,
}

/// How a row's request was answered: by its error marker, else by its status code; neither means success.
pub(crate) fn outcome(batch: &EventBatch, row: usize) -> Answer {
    if batch.failed.is_valid(row) && batch.failed.value(row) {
        return Answer::Failed;
    }
    match batch.status.is_valid(row).then(|| batch.status.value(row)) {
        None | Some(200..=299) => Answer::Success,
        Some(500..) => Answer::Failed,
        Some(400..500) => Answer::Rejected,
        Some(_) => Answer::Other,
    }
}

/// What each dictionary entry of a text column stands for, looked up once per batch instead of once per row.
pub(crate) struct Codes<'a, T> {
    array: &'a TextArray,
    meaning: Vec<T>,
}

impl<'a, T: Copy> Codes<'a, T> {
    pub(crate) fn of(array: &'a TextArray, meaning: impl Fn(&str) -> T) -> Self {
        let names = array.values().as_string::<i32>();
        Self { array, meaning: (0..names.len()).map(|code| meaning(names.value(code))).collect() }
    }

    #[expect(clippy::cast_sign_loss, reason = "dictionary keys are not negative")]
    pub(crate) fn get(&self, row: usize) -> Option<T> {
        self.array.is_valid(row).then(|| self.meaning[self.array.keys().value(row) as usize])
    }
}

/// The group of each row as one number, unique within the batch.
struct Combos<'a> {
    columns: Vec<(&'a TextArray, u64)>,
}

impl<'a> Combos<'a> {
    fn new(batch: &'a EventBatch) -> Self {
        let mut stride = 1;
        let columns = [&batch.model, &batch.version].into_iter().chain(&batch.segments);
        let with_strides = columns.map(|column| {
            let mine = stride;
            stride *= column.values().len() as u64 + 1;
            (column, mine)
        });
        Self { columns: with_strides.collect() }
    }

    #[expect(clippy::cast_sign_loss, reason = "dictionary keys are not negative")]
    fn code(&self, row: usize) -> u64 {
        let digit = |column: &TextArray| if column.is_valid(row) { column.keys().value(row) as u64 + 1 } else { 0 };
        self.columns.iter().map(|(column, stride)| digit(column) * stride).sum()
    }
}

/// The group of a row.
fn group_at(batch: &EventBatch, row: usize) -> GroupKey {
    let text = |column: &TextArray| text_at(column, row).unwrap_or_default().to_owned();
    GroupKey {
        model: text(&batch.model),
        version: text(&batch.version),
        segment: batch.segments.iter().map(text).collect(),
    }
}

/// The text of a row, `None` when missing.
pub(crate) fn text_at(array: &TextArray, row: usize) -> Option<&str> {
    let names = array.downcast_dict::<arrow::array::StringArray>()?;
    array.is_valid(row).then(|| names.values().value(array.key(row).expect("valid")))
}
