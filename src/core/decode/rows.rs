//! Rows under construction: one growing column per field, taken back when their record is refused.

use arrow_array::Array as _;
use arrow_array::types::{Float64Type, Int16Type, Int32Type, Int64Type, UInt64Type};
use arrow_array::{BooleanArray, DictionaryArray, Float64Array, Int16Array, Int32Array, Int64Array, UInt64Array};

use crate::batch::{EventBatch, TextArray};
use crate::event::{Micros, row_id};

use super::binding::{
    Best, EXPOSURE, LABEL, LABEL_CLASS, MODEL, NUMERIC, PREDICTED, ROW_NUMBER, SEGMENTS, SourceLayout, VERSION,
};
use super::cell;
use super::column::ColumnBuilder;
use super::dictionary::Dictionary;

/// A text column under construction.
#[derive(Debug, Default)]
pub(super) struct TextColumn {
    codes: ColumnBuilder<i32>,
    texts: Dictionary,
}

impl TextColumn {
    /// Puts a text at a row that has none yet. The bytes must be UTF-8.
    #[inline]
    pub(super) fn put(&mut self, row: usize, text: &[u8]) {
        self.codes.put(row, self.texts.intern(text));
    }

    /// The code of a text that rows are to have; it may not be in the column yet. The bytes must be UTF-8.
    pub(super) fn code(&mut self, text: &[u8]) -> i32 {
        self.texts.intern(text)
    }

    /// Puts a text that has a code at a row that has none yet.
    #[inline]
    pub(super) fn put_code(&mut self, row: usize, code: i32) {
        self.codes.put(row, code);
    }

    /// The column as an Arrow array of `n` rows. Texts of rows that were taken back may stay in the dictionary.
    pub(super) fn finish(&mut self, n: usize) -> TextArray {
        let codes: Int32Array = self.codes.finish_array::<Int32Type>(n);
        DictionaryArray::new(codes, self.texts.finish())
    }
}

/// Rows under construction.
#[derive(Debug, Default)]
pub(super) struct RowBuilder {
    offset: Vec<i64>,
    broker_time: Vec<Micros>,
    pub(super) event_time: ColumnBuilder<Micros>,
    pub(super) id: ColumnBuilder<u64>,
    pub(super) entity: ColumnBuilder<u64>,
    pub(super) producer: ColumnBuilder<u64>,
    /// See [`SourceLayout::n_texts`].
    texts: Vec<TextColumn>,
    /// See [`SourceLayout::n_numbers`].
    pub(super) numbers: Vec<ColumnBuilder<f64>>,
    pub(super) status: ColumnBuilder<i16>,
    pub(super) failed: ColumnBuilder<bool>,
    /// The place of each row in its record, as far as it was said; 0 for others.
    row: Vec<u32>,
}

/// What was put into a row that is not finished. Texts are codes of their columns.
#[derive(Debug)]
pub(super) struct OpenRow {
    event_time: Option<Micros>,
    id: Option<u64>,
    entity: Option<u64>,
    producer: Option<u64>,
    texts: Vec<(usize, i32)>,
    numbers: Vec<(usize, f64)>,
    status: Option<i16>,
    failed: Option<bool>,
}

impl RowBuilder {
    /// No rows.
    pub(super) fn new(layout: &SourceLayout) -> Self {
        Self {
            texts: (0..layout.n_texts()).map(|_| TextColumn::default()).collect(),
            numbers: (0..layout.n_numbers()).map(|_| ColumnBuilder::default()).collect(),
            ..Self::default()
        }
    }

    /// Number of whole rows; the row that values are put at.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.offset.len()
    }

    /// Puts a number into the open row.
    #[inline]
    pub(super) fn put_number(&mut self, column: usize, value: f64) {
        let row = self.len();
        self.numbers[column].put(row, value);
    }

    /// Puts a text into the open row. The bytes must be UTF-8.
    #[inline]
    pub(super) fn put_text(&mut self, column: usize, text: &[u8]) {
        let row = self.len();
        self.texts[column].put(row, text);
    }

    /// Makes what was put since the last row a row.
    pub(super) fn commit(&mut self, offset: i64, broker_time: Micros) {
        self.offset.push(offset);
        self.broker_time.push(broker_time);
    }

    /// The same for one of several rows of a record.
    pub(super) fn commit_row(&mut self, offset: i64, broker_time: Micros, row: u32) {
        self.row.resize(self.len(), 0);
        self.row.push(row);
        self.commit(offset, broker_time);
    }

    /// Takes out what was put since the last row.
    pub(super) fn take_open(&mut self) -> OpenRow {
        fn put<T: Copy + Default>(columns: &[ColumnBuilder<T>], row: usize) -> Vec<(usize, T)> {
            columns.iter().enumerate().filter_map(|(at, column)| Some((at, column.open(row)?))).collect()
        }
        let row = self.len();
        let texts = self.texts.iter().enumerate();
        let open = OpenRow {
            event_time: self.event_time.open(row),
            id: self.id.open(row),
            entity: self.entity.open(row),
            producer: self.producer.open(row),
            texts: texts.filter_map(|(at, column)| Some((at, column.codes.open(row)?))).collect(),
            numbers: put(&self.numbers, row),
            status: self.status.open(row),
            failed: self.failed.open(row),
        };
        self.roll_back();
        open
    }

    /// Puts what was taken out into the open row.
    pub(super) fn put_open(&mut self, open: &OpenRow) {
        fn put<T: Copy + Default>(column: &mut ColumnBuilder<T>, row: usize, value: Option<T>) {
            if let Some(value) = value {
                column.put(row, value);
            }
        }
        let row = self.len();
        put(&mut self.event_time, row, open.event_time);
        put(&mut self.id, row, open.id);
        put(&mut self.entity, row, open.entity);
        put(&mut self.producer, row, open.producer);
        open.texts.iter().for_each(|&(at, code)| self.texts[at].codes.put(row, code));
        open.numbers.iter().for_each(|&(at, number)| self.numbers[at].put(row, number));
        put(&mut self.status, row, open.status);
        put(&mut self.failed, row, open.failed);
    }

    /// Takes back what was put since the last row.
    #[cold]
    pub(super) fn roll_back(&mut self) {
        let n = self.len();
        self.event_time.truncate(n);
        self.id.truncate(n);
        self.entity.truncate(n);
        self.producer.truncate(n);
        self.texts.iter_mut().for_each(|column| column.codes.truncate(n));
        self.numbers.iter_mut().for_each(|column| column.truncate(n));
        self.status.truncate(n);
        self.failed.truncate(n);
    }

    /// Hands over the rows as columns; nothing is left but room.
    pub(super) fn finish(&mut self) -> ColumnBuilders {
        let n = self.len();
        ColumnBuilders {
            offset: take(&mut self.offset, n).into(),
            broker_time: take(&mut self.broker_time, n).into(),
            event_time: self.event_time.finish_array::<Int64Type>(n),
            id: self.id.finish_array::<UInt64Type>(n),
            entity: self.entity.finish_array::<UInt64Type>(n),
            producer: self.producer.finish_array::<UInt64Type>(n),
            texts: self.texts.iter_mut().map(|column| column.finish(n)).collect(),
            numbers: self.numbers.iter_mut().map(|column| column.finish_array::<Float64Type>(n)).collect(),
            status: self.status.finish_array::<Int16Type>(n),
            failed: self.failed.finish_booleans(n),
            row: std::mem::take(&mut self.row),
        }
    }
}

fn take(values: &mut Vec<i64>, n: usize) -> Vec<i64> {
    std::mem::replace(values, Vec::with_capacity(n))
}

/// Whole columns by position, before they take their places in an [`EventBatch`].
#[derive(Debug)]
pub(super) struct ColumnBuilders {
    pub(super) offset: Int64Array,
    pub(super) broker_time: Int64Array,
    pub(super) event_time: Int64Array,
    pub(super) id: UInt64Array,
    pub(super) entity: UInt64Array,
    pub(super) producer: UInt64Array,
    /// See [`SourceLayout::n_texts`].
    pub(super) texts: Vec<TextArray>,
    /// See [`SourceLayout::n_numbers`].
    pub(super) numbers: Vec<Float64Array>,
    pub(super) status: Int16Array,
    pub(super) failed: BooleanArray,
    /// The place of each row in its record, as far as it was said; 0 for others.
    pub(super) row: Vec<u32>,
}

impl ColumnBuilders {
    /// Columns of nulls beside these offsets and times.
    pub(super) fn nulls(layout: &SourceLayout, offset: Int64Array, broker_time: Int64Array) -> Self {
        let n = offset.values().len();
        let number = Float64Array::new_null(n);
        let text = TextColumn::default().finish(n);
        Self {
            offset,
            broker_time,
            event_time: Int64Array::new_null(n),
            id: UInt64Array::new_null(n),
            entity: UInt64Array::new_null(n),
            producer: UInt64Array::new_null(n),
            texts: vec![text; layout.n_texts()],
            numbers: vec![number; layout.n_numbers()],
            status: Int16Array::new_null(n),
            failed: BooleanArray::new_null(n),
            row: Vec::new(),
        }
    }

    /// The ids of the rows: those of their records, where several rows share one, told apart by their places.
    fn ids(&self, layout: &SourceLayout) -> UInt64Array {
        let said = &self.numbers[ROW_NUMBER];
        let is_said = said.null_count() < said.len();
        if !layout.shares_id && !is_said {
            return self.id.clone();
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked where it is read")]
        let number = |row: usize| match said.is_valid(row) {
            true => said.value(row) as u32,
            false if layout.shares_id => self.row.get(row).copied().unwrap_or(0),
            false => 0,
        };
        self.id.iter().enumerate().map(|(row, id)| Some(row_id(id?, number(row)))).collect()
    }

    /// The columns as a batch, with the constants filled in. Required fields may still be null: see `validate`.
    pub(super) fn into_batch(mut self, layout: &SourceLayout) -> EventBatch {
        let n = self.offset.values().len();
        let id = self.ids(layout);
        for (column, name) in [MODEL, VERSION].into_iter().zip(&layout.constants) {
            if let Some(name) = name {
                self.texts[column] = constant(name, n);
            }
        }
        let event_time = if layout.reads_event_time() { self.event_time } else { self.broker_time.clone() };
        let mut rest = self.texts.split_off(SEGMENTS);
        let categorical = rest.split_off(layout.n_segments);
        let mut numeric = self.numbers.split_off(NUMERIC);
        let of_classes = numeric.split_off(layout.n_numeric);
        if let Some(best) = &layout.best {
            best.fill(&of_classes, &mut numeric, &mut self.texts[PREDICTED]);
        }
        EventBatch {
            kind: layout.kind,
            source: layout.source,
            lane: layout.lane,
            offset: self.offset,
            broker_time: self.broker_time,
            event_time,
            id,
            entity: self.entity,
            producer: self.producer,
            model: self.texts[MODEL].clone(),
            version: self.texts[VERSION].clone(),
            segments: rest,
            numeric,
            categorical,
            predicted: self.texts[PREDICTED].clone(),
            status: self.status,
            failed: self.failed,
            label: self.numbers[LABEL].clone(),
            label_class: self.texts[LABEL_CLASS].clone(),
            exposure: self.numbers[EXPOSURE].clone(),
            further: None,
            refused: Vec::new(),
        }
    }
}

impl Best {
    /// Makes the largest score of each row its score, and the class its answer; rows that lack one have neither.
    fn fill(&self, of_classes: &[Float64Array], numeric: &mut [Float64Array], answer: &mut TextArray) {
        let n = of_classes.first().map_or(0, |scores| scores.values().len());
        let top = |row: usize| {
            let scores = of_classes.iter().map(|scores| scores.is_valid(row).then(|| scores.value(row)));
            cell::top(scores.collect::<Option<Vec<f64>>>()?.into_iter().enumerate())
        };
        let tops: Vec<Option<(usize, f64)>> = (0..n).map(top).collect();
        if let Some(column) = self.score {
            numeric[column] = tops.iter().map(|top| top.map(|(_, score)| score)).collect();
        }
        if self.is_answer {
            *answer = tops.iter().map(|top| top.map(|(class, _)| self.classes[class].as_str())).collect();
        }
    }
}

/// The same text `n` times.
fn constant(text: &str, n: usize) -> TextArray {
    let mut texts = Dictionary::default();
    texts.intern(text.as_bytes());
    DictionaryArray::new(Int32Array::from(vec![0; n]), texts.finish())
}
