//! What the cells of a column stand for: numbers, texts that repeat, times, and ids. What cannot be read is missing, and
//! counted.

use std::sync::Arc;

use arrow::array::{Array as _, ArrayRef, AsArray as _, Float64Array, Int64Array, StringArray, UInt64Array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, Int64Type, TimeUnit};

use crate::batch::TextArray;
use crate::decode::time::{from_float, from_integer, from_rfc3339};
use crate::event::{Micros, stable_hash};
use crate::plan::TimeFormat;

/// Texts that stand for a missing number.
const MISSING: [&str; 9] = ["", "NA", "N/A", "na", "null", "NULL", "None", "-", "?"];

/// Whether a text stands for a missing number.
pub(crate) fn is_missing(text: &str) -> bool {
    MISSING.contains(&text)
}

/// A column as texts, whatever it holds; lists and the like are null.
pub fn texts(array: &ArrayRef) -> StringArray {
    let whole = |array: &ArrayRef| cast(array, &DataType::Utf8).ok().map(|texts| texts.as_string::<i32>().clone());
    whole(array).unwrap_or_else(|| StringArray::new_null(array.len()))
}

/// A column as numbers, and how many cells hold something else.
pub fn numbers(array: &ArrayRef) -> (Float64Array, u64) {
    match array.data_type() {
        DataType::Float64 => (array.as_primitive::<Float64Type>().clone(), 0),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Dictionary(..) => parsed(&texts(array)),
        _ => {
            let numbers = cast(array, &DataType::Float64).ok().map(|array| array.as_primitive::<Float64Type>().clone());
            let numbers = numbers.unwrap_or_else(|| Float64Array::new_null(array.len()));
            let mistyped = numbers.null_count().saturating_sub(array.null_count());
            (numbers, mistyped as u64)
        }
    }
}

fn parsed(texts: &StringArray) -> (Float64Array, u64) {
    let mut mistyped = 0;
    let number = |text: Option<&str>| {
        let text = text?.trim();
        let number = text.parse::<f64>().ok().or_else(|| truth(text));
        mistyped += u64::from(number.is_none() && !is_missing(text));
        number
    };
    let numbers = texts.iter().map(number).collect();
    (numbers, mistyped)
}

/// What a word for yes or no stands for.
pub fn truth(text: &str) -> Option<f64> {
    match text {
        "true" | "True" | "TRUE" | "t" | "yes" => Some(1.0),
        "false" | "False" | "FALSE" | "f" | "no" => Some(0.0),
        _ => None,
    }
}

/// A column as texts that repeat.
pub fn categories(array: &ArrayRef) -> TextArray {
    let coded = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    let array = if *array.data_type() == coded {
        Arc::clone(array)
    } else {
        let texts: ArrayRef = Arc::new(texts(array));
        cast(&texts, &coded).unwrap_or_else(|_| arrow::array::new_null_array(&coded, array.len()))
    };
    array.as_dictionary().clone()
}

/// A column as hashes of its texts.
pub fn ids(array: &ArrayRef) -> UInt64Array {
    texts(array).iter().map(|text| text.map(|text| stable_hash(text.as_bytes()))).collect()
}

/// A column as times.
pub fn times(array: &ArrayRef, format: TimeFormat) -> Int64Array {
    match array.data_type() {
        DataType::Timestamp(_, zone) => {
            let micros = cast(array, &DataType::Timestamp(TimeUnit::Microsecond, zone.clone()));
            let whole = micros.and_then(|micros| cast(&micros, &DataType::Int64));
            whole.map_or_else(|_| Int64Array::new_null(array.len()), |whole| whole.as_primitive::<Int64Type>().clone())
        }
        kind if kind.is_integer() => {
            let whole = cast(array, &DataType::Int64);
            let whole = whole
                .map_or_else(|_| Int64Array::new_null(array.len()), |array| array.as_primitive::<Int64Type>().clone());
            whole.iter().map(|value| from_integer(value?, format)).collect()
        }
        kind if kind.is_floating() => numbers(array).0.iter().map(|value| from_float(value?, format)).collect(),
        _ => texts(array).iter().map(|text| time(text?, format)).collect(),
    }
}

/// A text as a time.
fn time(text: &str, format: TimeFormat) -> Option<Micros> {
    if format == TimeFormat::Rfc3339 {
        return from_rfc3339(text.as_bytes());
    }
    let whole = text.parse::<i64>().ok().and_then(|value| from_integer(value, format));
    whole.or_else(|| from_float(text.parse().ok()?, format))
}
