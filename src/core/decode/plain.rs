//! Arrow columns of any width as the few types that a batch is made from. What does not fit is null.
//!
//! Arrow's own conversions bring along how everything is ordered, parsed and printed, which takes longer to build than
//! the engine's other parts of Arrow together.

use std::sync::Arc;

use arrow_array::cast::AsArray as _;
use arrow_array::types::{
    ArrowPrimitiveType, Date32Type, Date64Type, Decimal32Type, Decimal64Type, Decimal128Type, Decimal256Type,
    DecimalType, Float16Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
    TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType, UInt8Type,
    UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef, Float64Array, Int64Array, PrimitiveArray, StringArray};
use arrow_schema::{DataType, TimeUnit};
use arrow_select::take::take;

/// Microseconds of a day.
const DAY: i64 = 86_400_000_000;

pub(super) fn is_text(kind: &DataType) -> bool {
    matches!(kind, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

/// A column without a dictionary.
pub(super) fn plain(array: &ArrayRef) -> ArrayRef {
    match array.as_any_dictionary_opt() {
        Some(dictionary) => take(dictionary.values(), dictionary.keys(), None).expect("keys of its own values"),
        None => Arc::clone(array),
    }
}

/// Calls a macro with the column as what it is, of all whole numbers.
macro_rules! of_integers {
    ($array:expr, $convert:ident, $other:expr) => {
        match $array.data_type() {
            DataType::Int8 => $convert!(Int8Type),
            DataType::Int16 => $convert!(Int16Type),
            DataType::Int32 => $convert!(Int32Type),
            DataType::Int64 => $convert!(Int64Type),
            DataType::UInt8 => $convert!(UInt8Type),
            DataType::UInt16 => $convert!(UInt16Type),
            DataType::UInt32 => $convert!(UInt32Type),
            DataType::UInt64 => $convert!(UInt64Type),
            _ => $other,
        }
    };
}

/// Numbers, also truth values; the nearest one of each.
#[expect(clippy::cast_precision_loss, clippy::cast_lossless, reason = "the nearest number, of every width")]
pub(super) fn floats(array: &ArrayRef) -> Float64Array {
    macro_rules! nearest {
        ($kind:ty) => {
            array.as_primitive::<$kind>().unary(|value| value as f64)
        };
    }
    let other = || match array.data_type() {
        DataType::Float64 => array.as_primitive::<Float64Type>().clone(),
        DataType::Float32 => array.as_primitive::<Float32Type>().unary(f64::from),
        DataType::Float16 => array.as_primitive::<Float16Type>().unary(f64::from),
        DataType::Boolean => array.as_boolean().iter().map(|value| value.map(f64::from)).collect(),
        DataType::Null => Float64Array::new_null(array.len()),
        _ => decimals(array).iter().map(|text| text?.parse().ok()).collect(),
    };
    of_integers!(array, nearest, other())
}

/// Texts, and whole numbers, decimals and truth values as they are written.
pub(super) fn strings(array: &ArrayRef) -> StringArray {
    macro_rules! digits {
        ($kind:ty) => {
            array.as_primitive::<$kind>().iter().map(|value| value.map(|value| value.to_string())).collect()
        };
    }
    let other = || match array.data_type() {
        DataType::Utf8 => array.as_string().clone(),
        DataType::LargeUtf8 => array.as_string::<i64>().iter().collect(),
        DataType::Utf8View => array.as_string_view().iter().collect(),
        DataType::Boolean => {
            array.as_boolean().iter().map(|value| value.map(|value| if value { "true" } else { "false" })).collect()
        }
        DataType::Null => StringArray::new_null(array.len()),
        _ => decimals(array),
    };
    of_integers!(array, digits, other())
}

fn decimals(array: &ArrayRef) -> StringArray {
    fn written<T: DecimalType + ArrowPrimitiveType>(array: &PrimitiveArray<T>) -> StringArray {
        (0..array.len()).map(|row| array.is_valid(row).then(|| array.value_as_string(row))).collect()
    }
    match array.data_type() {
        DataType::Decimal32(..) => written(array.as_primitive::<Decimal32Type>()),
        DataType::Decimal64(..) => written(array.as_primitive::<Decimal64Type>()),
        DataType::Decimal128(..) => written(array.as_primitive::<Decimal128Type>()),
        DataType::Decimal256(..) => written(array.as_primitive::<Decimal256Type>()),
        other => unreachable!("{other} was checked to be a number"),
    }
}

/// Whole numbers, and timestamps in their own unit.
pub(super) fn integers(array: &ArrayRef) -> Int64Array {
    macro_rules! whole {
        ($kind:ty) => {
            array.as_primitive::<$kind>().unary_opt(|value| i64::try_from(value).ok())
        };
    }
    let other = || match array.data_type() {
        DataType::Timestamp(TimeUnit::Second, _) => array.as_primitive::<TimestampSecondType>().reinterpret_cast(),
        DataType::Timestamp(TimeUnit::Millisecond, _) => {
            array.as_primitive::<TimestampMillisecondType>().reinterpret_cast()
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            array.as_primitive::<TimestampMicrosecondType>().reinterpret_cast()
        }
        DataType::Timestamp(TimeUnit::Nanosecond, _) => {
            array.as_primitive::<TimestampNanosecondType>().reinterpret_cast()
        }
        other => unreachable!("{other} was checked to be a whole number or a timestamp"),
    };
    of_integers!(array, whole, other())
}

/// Microseconds at which days begin.
pub(super) fn dates(array: &ArrayRef) -> Int64Array {
    match array.data_type() {
        DataType::Date32 => array.as_primitive::<Date32Type>().unary(|days| i64::from(days) * DAY),
        _ => array.as_primitive::<Date64Type>().unary_opt(|millis| millis.checked_mul(1000)),
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::{
        BooleanArray, Date32Array, Date64Array, Decimal128Array, Decimal256Array, DictionaryArray, Float32Array,
        Int8Array, LargeStringArray, NullArray, StringViewArray, TimestampNanosecondArray, UInt64Array,
    };
    use arrow_buffer::i256;

    use super::*;

    fn column(array: impl Array + 'static) -> ArrayRef {
        Arc::new(array)
    }

    #[test]
    fn numbers_of_every_width_are_the_nearest_ones() {
        let cents = Decimal128Array::from(vec![Some(-12_345), None]).with_precision_and_scale(20, 2).expect("fits");
        let large = Decimal256Array::from(vec![i256::from_i128(10), i256::MINUS_ONE]).with_precision_and_scale(40, 0);
        for (array, expected) in [
            (column(Int8Array::from(vec![Some(-3), None])), [Some(-3.0), None]),
            (column(UInt64Array::from(vec![u64::MAX, 1])), [Some(18_446_744_073_709_551_615.0), Some(1.0)]),
            (column(Float32Array::from(vec![0.1, -0.0])), [Some(f64::from(0.1_f32)), Some(-0.0)]),
            (column(BooleanArray::from(vec![Some(true), None])), [Some(1.0), None]),
            (column(NullArray::new(2)), [None, None]),
            (column(cents), [Some(-123.45), None]),
            (column(large.expect("fits")), [Some(10.0), Some(-1.0)]),
        ] {
            assert_eq!(floats(&array).iter().collect::<Vec<_>>(), expected, "{}", array.data_type());
        }
    }

    #[test]
    fn texts_are_as_they_are_written() {
        let cents = Decimal128Array::from(vec![Some(-12_345), None]).with_precision_and_scale(20, 2).expect("fits");
        for (array, expected) in [
            (column(LargeStringArray::from(vec![Some("a"), None])), [Some("a"), None]),
            (
                column(StringViewArray::from(vec![Some("a long text of more than twelve"), None])),
                [Some("a long text of more than twelve"), None],
            ),
            (column(Int8Array::from(vec![Some(-3), None])), [Some("-3"), None]),
            (column(UInt64Array::from(vec![u64::MAX, 0])), [Some("18446744073709551615"), Some("0")]),
            (column(BooleanArray::from(vec![true, false])), [Some("true"), Some("false")]),
            (column(NullArray::new(2)), [None, None]),
            (column(cents), [Some("-123.45"), None]),
        ] {
            assert_eq!(strings(&array).iter().collect::<Vec<_>>(), expected, "{}", array.data_type());
        }
    }

    #[test]
    fn times_and_whole_numbers_that_do_not_fit_are_null() {
        let of = |array: ArrayRef| integers(&array).iter().collect::<Vec<_>>();
        assert_eq!(of(column(UInt64Array::from(vec![u64::MAX, 7]))), [None, Some(7)]);
        assert_eq!(of(column(TimestampNanosecondArray::from(vec![Some(9), None]))), [Some(9), None]);
        let days = column(Date32Array::from(vec![Some(-1), None]));
        assert_eq!(dates(&days).iter().collect::<Vec<_>>(), [Some(-86_400_000_000), None]);
        let millis = column(Date64Array::from(vec![Some(i64::MAX), Some(5)]));
        assert_eq!(dates(&millis).iter().collect::<Vec<_>>(), [None, Some(5_000)]);
    }

    #[test]
    fn a_dictionary_is_its_values() {
        let words: DictionaryArray<Int8Type> = [Some("a"), None, Some("b"), Some("a")].into_iter().collect();
        let unpacked = plain(&column(words));
        assert_eq!(strings(&unpacked).iter().collect::<Vec<_>>(), [Some("a"), None, Some("b"), Some("a")]);
    }
}
