//! Growing columns: a value is put at a row, rows without one become null, the last rows can be taken back.
//!
//! Nothing is done for a missing value until the next one arrives, so a column costs only what is put into it.

use arrow_array::{ArrowPrimitiveType, BooleanArray, PrimitiveArray};
use arrow_buffer::ArrowNativeType;
use arrow_buffer::bit_util;
use arrow_buffer::{BooleanBuffer, NullBuffer, ScalarBuffer};

/// A column of plain values under construction.
#[derive(Debug, Default)]
pub(super) struct ColumnBuilder<T> {
    values: Vec<T>,
    /// Rows without a value, increasing; they hold the default.
    nulls: Vec<u32>,
}

impl<T: Copy + Default> ColumnBuilder<T> {
    /// Puts a value at a row that has none yet; rows skipped since the last value become null.
    #[inline]
    pub(super) fn put(&mut self, row: usize, value: T) {
        if self.values.len() < row {
            self.pad(row);
        }
        debug_assert_eq!(self.values.len(), row, "one value per row");
        self.values.push(value);
    }

    /// Makes the column `n` rows long.
    #[cold]
    fn pad(&mut self, n: usize) {
        for row in self.values.len()..n {
            self.nulls.push(u32::try_from(row).expect("a batch has less than 2^32 rows"));
            self.values.push(T::default());
        }
    }

    /// The value that was put at a row behind all others, if one was.
    pub(super) fn open(&self, row: usize) -> Option<T> {
        self.values.get(row).copied()
    }

    /// Takes back every row from `n` on.
    pub(super) fn truncate(&mut self, n: usize) {
        self.values.truncate(n);
        self.nulls.truncate(self.nulls.partition_point(|&row| (row as usize) < n));
    }

    /// The values and validity of `n` rows; the column is empty afterwards and keeps room for as many.
    fn finish(&mut self, n: usize) -> (Vec<T>, Option<NullBuffer>) {
        self.pad(n);
        let nulls = validity(n, &self.nulls);
        self.nulls.clear();
        (std::mem::replace(&mut self.values, Vec::with_capacity(n)), nulls)
    }

    /// The column as an Arrow array of `n` rows.
    pub(super) fn finish_array<A>(&mut self, n: usize) -> PrimitiveArray<A>
    where
        T: ArrowNativeType,
        A: ArrowPrimitiveType<Native = T>,
    {
        let (values, nulls) = self.finish(n);
        PrimitiveArray::new(ScalarBuffer::from(values), nulls)
    }
}

impl ColumnBuilder<bool> {
    /// The column as an Arrow array of `n` rows.
    pub(super) fn finish_booleans(&mut self, n: usize) -> BooleanArray {
        let (values, nulls) = self.finish(n);
        BooleanArray::new(BooleanBuffer::from(values), nulls)
    }
}

fn validity(n: usize, nulls: &[u32]) -> Option<NullBuffer> {
    if nulls.is_empty() {
        return None;
    }
    let mut bits = vec![u8::MAX; n.div_ceil(8)];
    for &row in nulls {
        bit_util::unset_bit(&mut bits, row as usize);
    }
    Some(NullBuffer::new(BooleanBuffer::new(bits.into(), 0, n)))
}

#[cfg(test)]
mod tests {
    use arrow_array::types::Int64Type;
    use arrow_array::{Array as _, Int64Array};

    use super::*;

    #[test]
    fn rows_without_a_value_are_null_and_taken_back_rows_leave_nothing() {
        let mut column = ColumnBuilder::default();
        column.put(1, 10_i64);
        column.put(4, 40);
        column.truncate(4);
        column.put(5, 50);
        let array: Int64Array = column.finish_array::<Int64Type>(7);
        assert_eq!(array, Int64Array::from(vec![None, Some(10), None, None, None, Some(50), None]));
        assert_eq!(column.finish_array::<Int64Type>(0).len(), 0);
    }

    #[test]
    fn a_full_column_has_no_validity() {
        let mut column = ColumnBuilder::default();
        column.put(0, true);
        column.put(1, false);
        let array = column.finish_booleans(2);
        assert!(array.nulls().is_none() && array.value(0) && !array.value(1));
    }
}
