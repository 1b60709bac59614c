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

/// A column as texts, whatever it holds; what cannot be written as one is null.
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{
        BooleanArray, Date32Array, DictionaryArray, Float32Array, Int32Array, TimestampMillisecondArray, UInt8Array,
    };
    use arrow::datatypes::Int8Type;

    use super::*;

    fn text(cells: &[Option<&str>]) -> ArrayRef {
        Arc::new(StringArray::from(cells.to_vec()))
    }

    /// The same two texts in four spellings of a column.
    fn spellings(one: &str, other: &str) -> Vec<ArrayRef> {
        let plain = text(&[Some(one), None, Some(other)]);
        let keyed: DictionaryArray<Int8Type> = [Some(one), None, Some(other)].into_iter().collect();
        let large = cast(&plain, &DataType::LargeUtf8).expect("texts");
        let viewed = cast(&plain, &DataType::Utf8View).expect("texts");
        vec![plain, Arc::new(keyed), large, viewed]
    }

    #[test]
    fn numbers_are_read_from_texts_however_these_are_kept() {
        for column in spellings(" 2.5 ", "true") {
            let (found, mistyped) = numbers(&column);
            assert_eq!((found.value(0), found.is_null(1), found.value(2), mistyped), (2.5, true, 1.0, 0), "{column:?}");
        }
        for column in spellings("x", "NA") {
            let (found, mistyped) = numbers(&column);
            assert_eq!((found.null_count(), mistyped), (3, 1), "a word is no number, and one for nothing is missing");
        }
        let (found, mistyped) = numbers(&(Arc::new(BooleanArray::from(vec![Some(true), None])) as ArrayRef));
        assert_eq!((found.value(0), found.is_null(1), mistyped), (1.0, true, 0));
        let (dates, odd) = numbers(&(Arc::new(Date32Array::from(vec![Some(1), None])) as ArrayRef));
        assert_eq!((dates.len(), dates.null_count() as u64), (2, 1 + odd), "what is no number is counted");
    }

    #[test]
    fn floats_are_the_texts_that_they_would_be_written_as() {
        let floats: ArrayRef =
            Arc::new(Float32Array::from(vec![Some(1.0), Some(-0.0), Some(0.5), Some(f32::NAN), None]));
        let found: Vec<Option<String>> = texts(&floats).iter().map(|text| text.map(str::to_owned)).collect();
        let said = |text: &str| Some(text.to_owned());
        assert_eq!(found, [said("1"), said("0"), said("0.5"), None, None], "NaN is how some writers spell nothing");
    }

    #[test]
    fn ids_are_the_same_whatever_type_they_have() {
        let as_text = ids(&text(&[Some("7"), Some("7.0"), Some("x"), None]));
        assert_eq!(as_text.value(0), as_text.value(1));
        assert_ne!(as_text.value(0), as_text.value(2));
        assert!(as_text.is_null(3));
        for column in [Arc::new(Int32Array::from(vec![7])) as ArrayRef, Arc::new(UInt8Array::from(vec![7]))] {
            assert_eq!(ids(&column).value(0), as_text.value(0), "{column:?}");
        }
    }

    fn keyed(found: &TextArray) -> Vec<Option<String>> {
        let names = found.values().as_string::<i32>();
        (0..found.len()).map(|row| Some(names.value(found.key(row)?).to_owned())).collect()
    }

    #[test]
    fn categories_truths_and_names_are_compared_each_in_its_own_way() {
        let said = |texts: [&str; 2]| vec![Some(texts[0].to_owned()), None, Some(texts[1].to_owned())];
        for column in spellings("TRUE", "1.0") {
            assert_eq!(keyed(&categories(&column)), said(["true", "1"]), "{column:?}");
            assert_eq!(keyed(&truths(&column)), said(["true", "true"]));
            assert_eq!(keyed(&names(&column)), said(["TRUE", "1.0"]), "versions are as they are written");
        }
        let yes = ["fraud".to_owned()];
        let binary = Classes { binary: true, positive: &yes };
        for column in spellings("fraud", "other") {
            assert_eq!(keyed(&classes(&column, binary)), said(["1", "0"]));
        }
    }

    #[test]
    fn times_are_microseconds_whatever_they_were_written_in() {
        let micros = 1_767_225_600_000_000;
        for (column, format) in [
            (Arc::new(TimestampMillisecondArray::from(vec![micros / 1_000])) as ArrayRef, TimeFormat::Seconds),
            (Arc::new(Int64Array::from(vec![micros / 1_000_000])), TimeFormat::Seconds),
            (Arc::new(Float64Array::from(vec![1_767_225_600.0])), TimeFormat::Seconds),
            (Arc::new(Int64Array::from(vec![micros / 1_000])), TimeFormat::Millis),
            (text(&[Some("2026-01-01T00:00:00Z")]), TimeFormat::Rfc3339),
            (text(&[Some("2026-01-01 01:00:00+01:00")]), TimeFormat::Rfc3339),
        ] {
            assert_eq!(times(&column, format).value(0), micros, "{column:?}");
        }
        assert!(times(&text(&[Some("soon")]), TimeFormat::Rfc3339).is_null(0));
        assert!(times(&(Arc::new(Float64Array::from(vec![f64::NAN])) as ArrayRef), TimeFormat::Seconds).is_null(0));
    }
}
