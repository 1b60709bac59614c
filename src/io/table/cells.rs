//! What the cells of a column stand for: numbers, texts that repeat, times, and ids. What cannot be read is missing,
//! and counted. Single cells are read by [`cell`], as pipelines do.

use arrow::array::{Array as _, ArrayRef, AsArray as _, Float64Array, Int64Array, StringArray, UInt64Array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, Int64Type, TimeUnit};

use crate::batch::TextArray;
use crate::decode::cell::{self, Classes};
use crate::decode::time::{from_float, from_integer};
use crate::event::stable_hash;
use crate::plan::TimeFormat;

/// A column as texts, whatever it holds; lists and the like are null.
pub fn texts(array: &ArrayRef) -> StringArray {
    if array.data_type().is_floating() {
        return numbers(array).0.iter().map(|number| cell::named(number?)).collect();
    }
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
        let number = cell::number(text?);
        mistyped += u64::from(number.is_none() && !text.is_some_and(cell::is_missing));
        number
    };
    let numbers = texts.iter().map(number).collect();
    (numbers, mistyped)
}

/// A column as texts that repeat, as they are compared.
pub fn categories(array: &ArrayRef) -> TextArray {
    compared(array, |text| Some(cell::category(text)))
}

/// A column of truth values, as they are compared.
pub fn truths(array: &ArrayRef) -> TextArray {
    compared(array, |text| Some(cell::truth_name(text)))
}

/// A column as classes, as they are compared.
pub fn classes(array: &ArrayRef, classes: Classes<'_>) -> TextArray {
    compared(array, |text| classes.class(text))
}

/// A column as names of models or versions.
pub fn names(array: &ArrayRef) -> TextArray {
    compared(array, |text| Some(text))
}

fn compared(array: &ArrayRef, meaning: impl Fn(&str) -> Option<&str>) -> TextArray {
    let texts = match array.as_any_dictionary_opt() {
        Some(dictionary) => {
            let (values, keys) = (texts(dictionary.values()), dictionary.keys());
            let keys = cast(keys, &DataType::Int64).map(|keys| keys.as_primitive::<Int64Type>().clone());
            let key = |key: Option<i64>| usize::try_from(key?).ok().filter(|&key| values.is_valid(key));
            let keys = keys.unwrap_or_else(|_| Int64Array::new_null(array.len()));
            return keys.iter().map(|at| key(at).and_then(|at| meaning(values.value(at)))).collect();
        }
        None => texts(array),
    };
    texts.iter().map(|text| meaning(text?)).collect()
}

/// A column as hashes of its texts.
pub fn ids(array: &ArrayRef) -> UInt64Array {
    texts(array).iter().map(|text| text.map(|text| stable_hash(cell::id(text).as_bytes()))).collect()
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
        _ => texts(array).iter().map(|text| cell::instant(text?, format)).collect(),
    }
}
