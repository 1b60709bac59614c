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
