//! One model's rows, taken out of batches that hold many models.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{AsArray as _, Int64Array, RecordBatch, UInt32Array};
use arrow::compute;

use crate::batch::{EventBatch, TextArray};
use crate::decode::columnar::Columnar;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::event::EventKind;
use crate::plan::{Plan, TimeFormat};
use crate::replay;
use crate::scan::LaneCounts;
use crate::table::cells;
use crate::verdict::Decision;

/// Fewer rows before the candidate teach too little; then the baseline version's first rows do, whenever they came.
const PAST_ROWS_MIN: usize = 200;

/// The rows of one model.
#[derive(Debug, Clone)]
pub struct LabelledStream {
    /// The model's name.
    pub name: String,
    /// Batches of each source of the plan, in the order of the log.
    sources: BTreeMap<u16, Vec<EventBatch>>,
}

impl LabelledStream {
    fn new(name: String) -> Self {
        Self { name, sources: BTreeMap::new() }
    }

    /// The stream of two tables in order of arrival (column `ingest_time`).
    ///
    /// # Errors
    /// When a table lacks a column that the plan needs.
    pub fn of_tables(plan: &Arc<Plan>, name: &str, tables: &[(EventKind, &RecordBatch)]) -> Result<Self> {
        let mut stream = Self::new(name.to_owned());
        for (kind, table) in tables {
            let source = plan.sources.iter().position(|source| source.kind == *kind);
            let Some(source) = source.and_then(|at| u16::try_from(at).ok()) else { continue };
            let mut decoder = Columnar::new(plan, source, 0);
            let arrival = table.column_by_name("ingest_time").ok_or_else(|| {
                Error::user(format!("the {}s of stream {name} have no column ingest_time", kind.name()))
                    .hint("it says when each row arrived")
            })?;
            let arrival = cells::times(arrival, TimeFormat::Micros);
            let mut from = 0;
            while from < table.num_rows() {
                let rows = replay::BATCH_ROWS.min(table.num_rows() - from);
                let offsets: Int64Array = (from..from + rows).map(|row| i64::try_from(row).ok()).collect();
                let read = decoder.decode(&table.slice(from, rows), offsets, arrival.slice(from, rows))?;
                stream.add(read.batch);
                from += rows;
            }
        }
        Ok(stream)
    }

    /// Number of rows, of all sources together.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.sources.values().flatten().map(EventBatch::len).sum()
    }

    fn add(&mut self, batch: EventBatch) {
        self.sources.entry(batch.source).or_default().push(batch);
    }

    /// Predictions of the baseline version from before any other version is seen.
    pub(super) fn past(&self, baseline: &str) -> Vec<EventBatch> {
        let is_baseline = |batch: &EventBatch, row| text_at(&batch.version, row) == Some(baseline);
        let traffic = || self.sources.values().flatten().filter(|batch| batch.kind.is_traffic());
        let mut past = Vec::new();
        for batch in traffic() {
            let alone = (0..batch.len()).take_while(|&row| is_baseline(batch, row)).count();
            past.push(batch.slice(0, alone));
            if alone < batch.len() {
                break;
            }
        }
        if past.iter().map(EventBatch::len).sum::<usize>() >= PAST_ROWS_MIN {
            return past;
        }
        let mut wanted = PAST_ROWS_MIN;
        let mut first = |batch: &EventBatch| {
            let rows = (0..batch.len()).filter(|&row| is_baseline(batch, row)).take(wanted);
            let rows: Vec<u32> = rows.filter_map(|row| u32::try_from(row).ok()).collect();
            wanted -= rows.len();
            rows_of(batch, rows)
        };
        traffic().map(&mut first).collect()
    }

    /// Runs an engine over all rows, sources in step with each other by arrival; returns what it decided and counted.
    #[must_use]
    pub fn replay(&self, plan: &Arc<Plan>) -> (Vec<Decision>, LaneCounts) {
        let mut engine = Engine::new(Arc::clone(plan), 1);
        let mut batches: Vec<&EventBatch> = self.sources.values().flatten().collect();
        // A stable sort: within a source arrival times may go back, but batches must not change places.
        let mut latest = BTreeMap::new();
        batches.sort_by_cached_key(|batch| {
            let arrival = latest.entry(batch.source).or_insert(i64::MIN);
            *arrival = batch.broker_time.values().first().copied().unwrap_or(i64::MIN).max(*arrival);
            *arrival
        });
        let mut decisions: Vec<Decision> = Vec::new();
        batches.into_iter().for_each(|batch| decisions.extend(engine.step(batch).decisions));
        for source in (0..plan.sources.len()).filter_map(|at| u16::try_from(at).ok()) {
            let last = self.sources.get(&source).and_then(|batches| batches.last()?.offsets());
            let next_offset = last.map_or(0, |(_, last)| last + 1);
            decisions.extend(engine.progress(0, source, next_offset, true, true).decisions);
        }
        (decisions, engine.counts_of(0))
    }
}

/// Streams being taken apart.
#[derive(Debug, Default)]
pub struct Parts {
    streams: BTreeMap<String, LabelledStream>,
    /// Rows that name no model.
    nameless: Vec<EventBatch>,
}

impl Parts {
    /// The models of a batch and how many rows each has.
    pub fn count(batch: &EventBatch) -> impl Iterator<Item = (&str, u64)> {
        models(batch).into_iter().filter_map(|(model, rows)| Some((model?, rows.len() as u64)))
    }

    /// Takes the rows of the wanted models (all of them, for `None`) out of a batch.
    pub fn add(&mut self, batch: &EventBatch, wanted: Option<&BTreeSet<String>>) {
        for (model, rows) in models(batch) {
            let Some(model) = model else {
                self.nameless.push(rows_of(batch, rows));
                continue;
            };
            if wanted.is_none_or(|wanted| wanted.contains(model)) {
                let stream =
                    self.streams.entry(model.to_owned()).or_insert_with(|| LabelledStream::new(model.to_owned()));
                stream.add(rows_of(batch, rows));
            }
        }
    }

    /// The streams, by name.
    ///
    /// # Errors
    /// When there are several, and outcomes that do not say which one they are about.
    pub fn finish(mut self) -> Result<Vec<LabelledStream>> {
        let n_streams = self.streams.len();
        if let (Some(batch), true) = (self.nameless.first(), n_streams > 1) {
            return Err(Error::user(format!(
                "{}s do not say which of {n_streams} models they are about",
                batch.kind.name()
            ))
            .hint("add a column `model` to them"));
        }
        self.streams.values_mut().for_each(|stream| {
            std::mem::take(&mut self.nameless).into_iter().for_each(|batch| stream.add(batch));
        });
        Ok(self.streams.into_values().collect())
    }
}

/// The models of a batch, each with its rows.
fn models(batch: &EventBatch) -> BTreeMap<Option<&str>, Vec<u32>> {
    let mut models: BTreeMap<Option<&str>, Vec<u32>> = BTreeMap::new();
    for row in 0..batch.len() {
        let row_number = u32::try_from(row).expect("a batch has far fewer rows");
        models.entry(text_at(&batch.model, row)).or_default().push(row_number);
    }
    models
}

fn text_at(texts: &TextArray, row: usize) -> Option<&str> {
    texts.key(row).map(|code| texts.values().as_string::<i32>().value(code))
}

/// Some rows of a batch, in their order.
fn rows_of(batch: &EventBatch, rows: Vec<u32>) -> EventBatch {
    if rows.len() == batch.len() {
        return batch.clone();
    }
    let rows = UInt32Array::from(rows);
    let of = |array: &dyn arrow::array::Array| compute::take(array, &rows, None).expect("rows of this batch");
    let text = |column: &TextArray| of(column).as_dictionary().clone();
    EventBatch {
        kind: batch.kind,
        source: batch.source,
        lane: batch.lane,
        offset: of(&batch.offset).as_primitive().clone(),
        broker_time: of(&batch.broker_time).as_primitive().clone(),
        event_time: of(&batch.event_time).as_primitive().clone(),
        id: of(&batch.id).as_primitive().clone(),
        entity: of(&batch.entity).as_primitive().clone(),
        producer: of(&batch.producer).as_primitive().clone(),
        model: text(&batch.model),
        version: text(&batch.version),
        segments: batch.segments.iter().map(text).collect(),
        numeric: batch.numeric.iter().map(|column| of(column).as_primitive().clone()).collect(),
        categorical: batch.categorical.iter().map(text).collect(),
        predicted: text(&batch.predicted),
        status: of(&batch.status).as_primitive().clone(),
        failed: of(&batch.failed).as_boolean().clone(),
        label: of(&batch.label).as_primitive().clone(),
        label_class: text(&batch.label_class),
        exposure: of(&batch.exposure).as_primitive().clone(),
        further: batch.further.as_ref().map(|further| of(further).as_boolean().clone()),
        refused: batch.refused.clone(),
    }
}
