//! Rows to columns, one line per column.

use std::sync::Arc;

use arrow::array::{
    Array as _, ArrayRef, BooleanArray, Float64Array, Int64Array, ListBuilder, RecordBatch, StringArray, StringBuilder,
    StructArray, TimestampMicrosecondArray, UInt32Array, UInt64Array,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{Field, Fields, Schema};

use crate::event::Micros;

/// Columns being made of rows. Every column may hold nulls, since a later release may add one.
pub(crate) struct BatchBuilder<'a, R> {
    rows: &'a [R],
    fields: Vec<Field>,
    arrays: Vec<ArrayRef>,
}

impl<'a, R> BatchBuilder<'a, R> {
    /// No columns yet.
    pub(crate) fn of(rows: &'a [R]) -> Self {
        Self { rows, fields: Vec::new(), arrays: Vec::new() }
    }

    /// Adds an array that was made otherwise.
    pub(crate) fn array(mut self, name: &str, array: ArrayRef) -> Self {
        self.fields.push(Field::new(name, array.data_type().clone(), true));
        self.arrays.push(array);
        self
    }

    /// Adds a column of texts.
    pub(crate) fn text(self, name: &str, of: impl Fn(&'a R) -> &'a str) -> Self {
        let texts = StringArray::from_iter_values(self.rows.iter().map(of));
        self.array(name, Arc::new(texts))
    }

    /// Adds a column of texts that are made for the purpose, or missing.
    pub(crate) fn made_text(self, name: &str, of: impl Fn(&'a R) -> Option<String>) -> Self {
        let texts: StringArray = self.rows.iter().map(of).collect();
        self.array(name, Arc::new(texts))
    }

    /// Adds a column of lists of texts.
    pub(crate) fn texts(self, name: &str, of: impl Fn(&'a R) -> &'a [String]) -> Self {
        let mut lists = ListBuilder::new(StringBuilder::new());
        for row in self.rows {
            lists.append_value(of(row).iter().map(Some));
        }
        self.array(name, Arc::new(lists.finish()))
    }

    /// Adds a column of times.
    pub(crate) fn time(self, name: &str, of: impl Fn(&'a R) -> Micros) -> Self {
        let times = TimestampMicrosecondArray::from_iter_values(self.rows.iter().map(of)).with_timezone("UTC");
        self.array(name, Arc::new(times))
    }

    /// Adds a column of numbers.
    pub(crate) fn number(self, name: &str, of: impl Fn(&'a R) -> Option<f64>) -> Self {
        let numbers: Float64Array = self.rows.iter().map(of).collect();
        self.array(name, Arc::new(numbers))
    }

    /// Adds a column of counts.
    pub(crate) fn count(self, name: &str, of: impl Fn(&'a R) -> Option<u64>) -> Self {
        let counts: UInt64Array = self.rows.iter().map(of).collect();
        self.array(name, Arc::new(counts))
    }

    /// Adds a column of small counts.
    pub(crate) fn small(self, name: &str, of: impl Fn(&'a R) -> u32) -> Self {
        let counts = UInt32Array::from_iter_values(self.rows.iter().map(of));
        self.array(name, Arc::new(counts))
    }

    /// Adds a column of integers.
    pub(crate) fn integer(self, name: &str, of: impl Fn(&'a R) -> Option<i64>) -> Self {
        let integers: Int64Array = self.rows.iter().map(of).collect();
        self.array(name, Arc::new(integers))
    }

    /// Adds a column of yes and no.
    pub(crate) fn flag(self, name: &str, of: impl Fn(&'a R) -> bool) -> Self {
        let flags: BooleanArray = self.rows.iter().map(|row| Some(of(row))).collect();
        self.array(name, Arc::new(flags))
    }

    /// Adds a column of lists of records, each made of columns by `columns`.
    pub(crate) fn records<T: 'a>(
        self,
        name: &str,
        of: impl Fn(&'a R) -> &'a [T],
        columns: impl Fn(&[&'a T]) -> RecordBatch,
    ) -> Self {
        let items: Vec<&T> = self.rows.iter().flat_map(&of).collect();
        let offsets = OffsetBuffer::from_lengths(self.rows.iter().map(|row| of(row).len()));
        let records = StructArray::from(columns(&items));
        let item = Arc::new(Field::new("item", records.data_type().clone(), true));
        let list = arrow::array::ListArray::new(item, offsets, Arc::new(records), None);
        self.array(name, Arc::new(list))
    }

    /// All columns together.
    pub(crate) fn batch(self) -> RecordBatch {
        let schema = Arc::new(Schema::new(Fields::from(self.fields)));
        RecordBatch::try_new(schema, self.arrays).expect("all columns are made of the same rows")
    }
}
