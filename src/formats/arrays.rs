//! Plain values on their way into Arrow columns: what formats share that read records field by field.

use std::sync::Arc;

use arrow_array::types::{
    ArrowPrimitiveType, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
};
use arrow_array::{Array as _, ArrayRef, BinaryArray, ListArray, PrimitiveArray, StringArray, StructArray};
use arrow_buffer::{NullBuffer, OffsetBuffer};
use arrow_schema::{DataType, Field, Fields, TimeUnit};

/// What is wrong with a value.
pub(crate) type BadValue = &'static str;

/// Time zone of moments.
const UTC: &str = "+00:00";

/// Byte strings one behind the other.
#[derive(Debug, Default)]
pub(crate) struct ByteStrings {
    bytes: Vec<u8>,
    ends: Vec<i32>,
}

impl ByteStrings {
    pub(crate) fn push(&mut self, piece: &[u8]) -> Result<(), BadValue> {
        self.bytes.extend_from_slice(piece);
        self.ends.push(i32::try_from(self.bytes.len()).map_err(|_| "too much text at once")?);
        Ok(())
    }

    /// Puts nothing where there is no value.
    pub(crate) fn push_none(&mut self) {
        again(&mut self.ends);
    }

    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(crate) fn truncate(&mut self, len: usize) {
        self.ends.truncate(len);
        self.bytes.truncate(end(&self.ends, len));
    }

    fn finish(&mut self) -> (OffsetBuffer<i32>, Vec<u8>) {
        (offsets(&mut self.ends), std::mem::take(&mut self.bytes))
    }
}

/// Where the first `len` of some pieces end.
pub(crate) fn end(ends: &[i32], len: usize) -> usize {
    len.checked_sub(1).map_or(0, |last| usize::try_from(ends[last]).expect("an end is no less than nothing"))
}

/// One more piece, which is empty.
pub(crate) fn again(ends: &mut Vec<i32>) {
    ends.push(ends.last().copied().unwrap_or(0));
}

fn offsets(ends: &mut Vec<i32>) -> OffsetBuffer<i32> {
    let offsets: Vec<i32> = std::iter::once(0).chain(std::mem::take(ends)).collect();
    OffsetBuffer::new(offsets.into())
}

/// Where `n` more items end.
pub(crate) fn after(ends: &[i32], n: usize) -> Result<i32, BadValue> {
    let n = i32::try_from(n).ok();
    n.and_then(|n| ends.last().copied().unwrap_or(0).checked_add(n)).ok_or("too many items at once")
}

pub(crate) fn primitive<T: ArrowPrimitiveType>(values: &mut Vec<T::Native>) -> ArrayRef {
    Arc::new(PrimitiveArray::<T>::new(std::mem::take(values).into(), None))
}

pub(crate) fn moments(values: &mut Vec<i64>, unit: TimeUnit, in_utc: bool) -> ArrayRef {
    macro_rules! of {
        ($kind:ty) => {
            Arc::new(
                PrimitiveArray::<$kind>::new(std::mem::take(values).into(), None)
                    .with_timezone_opt(in_utc.then_some(UTC)),
            )
        };
    }
    match unit {
        TimeUnit::Nanosecond => of!(TimestampNanosecondType),
        TimeUnit::Microsecond => of!(TimestampMicrosecondType),
        TimeUnit::Second | TimeUnit::Millisecond => of!(TimestampMillisecondType),
    }
}

pub(crate) fn texts(pieces: &mut ByteStrings) -> StringArray {
    let (offsets, bytes) = pieces.finish();
    StringArray::new(offsets, bytes.into(), None)
}

pub(crate) fn blobs(pieces: &mut ByteStrings) -> BinaryArray {
    let (offsets, bytes) = pieces.finish();
    BinaryArray::new(offsets, bytes.into(), None)
}

pub(crate) fn list(ends: &mut Vec<i32>, items: ArrayRef) -> ArrayRef {
    let item = Arc::new(Field::new_list_field(items.data_type().clone(), true));
    Arc::new(ListArray::new(item, offsets(ends), items, None))
}

pub(crate) fn structure(columns: Vec<(String, ArrayRef)>, nulls: Option<NullBuffer>, len: usize) -> ArrayRef {
    let (fields, columns): (Vec<Field>, Vec<ArrayRef>) =
        columns.into_iter().map(|(name, column)| (Field::new(name, column.data_type().clone(), true), column)).unzip();
    if columns.is_empty() {
        return Arc::new(StructArray::new_empty_fields(len, nulls));
    }
    Arc::new(StructArray::new(Fields::from(fields), columns, nulls))
}

/// A column with nulls where there is no value.
pub(crate) fn with_nulls(column: &ArrayRef, is_there: &NullBuffer) -> ArrayRef {
    if is_there.null_count() == 0 || *column.data_type() == DataType::Null {
        return Arc::clone(column);
    }
    let nulls = NullBuffer::union(column.nulls(), Some(is_there));
    let data = column.to_data().into_builder().nulls(nulls).build();
    arrow_array::make_array(data.expect("more nulls do no harm"))
}

#[cfg(test)]
mod tests {
    use arrow_array::{Int32Array, NullArray};

    use super::*;

    fn pieces(all: &[Option<&str>]) -> ByteStrings {
        let mut pieces = ByteStrings::default();
        for one in all {
            match one {
                Some(text) => pieces.push(text.as_bytes()).expect("little text"),
                None => pieces.push_none(),
            }
        }
        pieces
    }

    #[test]
    fn what_is_taken_out_again_leaves_nothing_behind() {
        let all = [Some("a"), None, Some("bcd"), Some(""), Some("é")];
        for n in 0..=all.len() {
            let mut kept = pieces(&all);
            kept.truncate(n);
            kept.push(b"new").expect("little text");
            let texts = texts(&mut kept);
            let expected: Vec<&str> = all[..n].iter().map(|one| one.unwrap_or("")).chain(["new"]).collect();
            assert_eq!(texts.iter().map(|text| text.expect("a text")).collect::<Vec<_>>(), expected, "the first {n}");
            assert_eq!(kept.len(), 0, "finished, it begins anew");
        }
    }

    #[test]
    fn ends_say_where_pieces_begin() {
        assert_eq!((end(&[], 0), end(&[2, 2, 5], 0), end(&[2, 2, 5], 1), end(&[2, 2, 5], 3)), (0, 0, 2, 5));
        let mut ends = Vec::new();
        again(&mut ends);
        ends.push(4);
        again(&mut ends);
        assert_eq!(ends, [0, 4, 4]);
        assert_eq!((after(&[], 3), after(&[4], 3)), (Ok(3), Ok(7)));
        for (ends, n) in [(&[][..], usize::MAX), (&[i32::MAX], 1), (&[1], i32::MAX as usize)] {
            assert_eq!(after(ends, n), Err("too many items at once"));
        }
    }

    #[test]
    fn nulls_are_added_to_those_that_are_there() {
        let column: ArrayRef = Arc::new(Int32Array::from(vec![Some(1), None, Some(3)]));
        let nulls = NullBuffer::from(vec![true, true, false]);
        let found = with_nulls(&column, &nulls);
        assert_eq!((found.is_null(0), found.is_null(1), found.is_null(2)), (false, true, true));
        let all = with_nulls(&column, &NullBuffer::from(vec![true; 3]));
        assert_eq!(all.null_count(), 1, "nothing is missing");
        let none: ArrayRef = Arc::new(NullArray::new(3));
        assert_eq!(with_nulls(&none, &nulls).data_type(), &DataType::Null, "a column of nothing stays one");
    }

    #[test]
    fn moments_keep_their_unit_and_say_where_they_are() {
        for (unit, in_utc, shown) in [
            (TimeUnit::Nanosecond, true, DataType::Timestamp(TimeUnit::Nanosecond, Some(UTC.into()))),
            (TimeUnit::Microsecond, false, DataType::Timestamp(TimeUnit::Microsecond, None)),
            (TimeUnit::Millisecond, true, DataType::Timestamp(TimeUnit::Millisecond, Some(UTC.into()))),
            (TimeUnit::Second, false, DataType::Timestamp(TimeUnit::Millisecond, None)),
        ] {
            let mut values = vec![1, -2];
            let column = moments(&mut values, unit, in_utc);
            assert_eq!((column.data_type(), column.len(), values.len()), (&shown, 2, 0));
        }
    }

    #[test]
    fn a_struct_without_fields_has_rows_all_the_same() {
        assert_eq!(structure(Vec::new(), None, 3).len(), 3);
        let column: ArrayRef = Arc::new(Int32Array::from(vec![1, 2]));
        let list = list(&mut vec![1, 1, 2], column);
        assert_eq!((list.len(), list.null_count()), (3, 0));
    }
}
