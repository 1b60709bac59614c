//! Columns back to rows. What a file lacks reads as nothing: older files have fewer columns.

use arrow::array::{Array as _, ArrayRef, AsArray as _, RecordBatch};
use arrow::datatypes::{Float64Type, TimestampMicrosecondType, UInt32Type, UInt64Type};

use crate::error::{Error, Result};
use crate::event::Micros;

/// Columns being read back.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CellReader<'a>(&'a RecordBatch);

impl<'a> CellReader<'a> {
    /// The columns of a batch.
    pub(crate) fn of(batch: &'a RecordBatch) -> Self {
        Self(batch)
    }

    fn column<T: 'a>(self, name: &str, read: impl Fn(&'a ArrayRef) -> Option<T>) -> Result<Option<T>> {
        let Some(column) = self.0.column_by_name(name) else { return Ok(None) };
        let wrong =
            || Error::user(format!("column `{name}` holds {} where something else belongs", column.data_type()));
        read(column).map(Some).ok_or_else(wrong)
    }

    /// Texts; a missing one is empty.
    pub(crate) fn text(self, name: &str) -> Result<impl Fn(usize) -> String + use<'a>> {
        let column = self.column(name, |column| column.as_string_opt::<i32>())?;
        Ok(move |row| match column {
            Some(column) if column.is_valid(row) => column.value(row).to_owned(),
            _ => String::new(),
        })
    }

    /// Times; a missing one is 0.
    pub(crate) fn time(self, name: &str) -> Result<impl Fn(usize) -> Micros + use<'a>> {
        let column = self.column(name, |column| column.as_primitive_opt::<TimestampMicrosecondType>())?;
        Ok(move |row| column.filter(|column| column.is_valid(row)).map_or(0, |column| column.value(row)))
    }

    /// Numbers.
    pub(crate) fn number(self, name: &str) -> Result<impl Fn(usize) -> Option<f64> + use<'a>> {
        let column = self.column(name, |column| column.as_primitive_opt::<Float64Type>())?;
        Ok(move |row| column.filter(|column| column.is_valid(row)).map(|column| column.value(row)))
    }

    /// Integers; a missing one is 0.
    pub(crate) fn integer(self, name: &str) -> Result<impl Fn(usize) -> i64 + use<'a>> {
        let column = self.column(name, |column| column.as_primitive_opt::<arrow::datatypes::Int64Type>())?;
        Ok(move |row| column.filter(|column| column.is_valid(row)).map_or(0, |column| column.value(row)))
    }

    /// Counts; a missing one is 0.
    pub(crate) fn count(self, name: &str) -> Result<impl Fn(usize) -> u64 + use<'a>> {
        let column = self.column(name, |column| column.as_primitive_opt::<UInt64Type>())?;
        Ok(move |row| column.filter(|column| column.is_valid(row)).map_or(0, |column| column.value(row)))
    }

    /// Small counts; a missing one is 0.
    pub(crate) fn small(self, name: &str) -> Result<impl Fn(usize) -> u32 + use<'a>> {
        let column = self.column(name, |column| column.as_primitive_opt::<UInt32Type>())?;
        Ok(move |row| column.filter(|column| column.is_valid(row)).map_or(0, |column| column.value(row)))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Float64Array, StringArray, TimestampMicrosecondArray, UInt32Array, UInt64Array};

    use super::*;

    fn batch() -> RecordBatch {
        let columns: [(&str, ArrayRef); 5] = [
            ("text", Arc::new(StringArray::from(vec![Some("a"), None]))),
            ("time", Arc::new(TimestampMicrosecondArray::from(vec![Some(5), None]))),
            ("number", Arc::new(Float64Array::from(vec![Some(0.5), None]))),
            ("count", Arc::new(UInt64Array::from(vec![Some(7), None]))),
            ("small", Arc::new(UInt32Array::from(vec![Some(3), None]))),
        ];
        RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true))).expect("a batch")
    }

    #[test]
    fn what_a_file_lacks_and_what_is_missing_reads_as_nothing() {
        let batch = batch();
        let cells = CellReader::of(&batch);
        let text = cells.text("text").expect("texts");
        assert_eq!(
            (text(0), text(1), cells.text("none").expect("none")(0)),
            ("a".into(), String::new(), String::new())
        );
        let time = cells.time("time").expect("times");
        assert_eq!((time(0), time(1), cells.time("none").expect("none")(0)), (5, 0, 0));
        let number = cells.number("number").expect("numbers");
        assert_eq!((number(0), number(1), cells.number("none").expect("none")(0)), (Some(0.5), None, None));
        let (count, small) = (cells.count("count").expect("counts"), cells.small("small").expect("counts"));
        assert_eq!((count(0), count(1), small(0), small(1)), (7, 0, 3, 0));
        assert_eq!((cells.integer("none").expect("none")(0), cells.count("none").expect("none")(1)), (0, 0));
    }

    #[test]
    fn a_column_of_another_type_is_named() {
        let batch = batch();
        let cells = CellReader::of(&batch);
        let errors = [
            cells.text("count").err(),
            cells.time("text").err(),
            cells.number("count").err(),
            cells.integer("text").err(),
            cells.count("small").err(),
            cells.small("count").err(),
        ];
        for (error, name) in errors.into_iter().zip(["count", "text", "count", "text", "small", "count"]) {
            let error = error.expect("another type").to_string();
            assert!(error.starts_with(&format!("column `{name}` holds ")), "{error}");
        }
    }
}
