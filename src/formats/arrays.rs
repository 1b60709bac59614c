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
