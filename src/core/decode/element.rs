//! Values inside of Arrow columns: fields of structs and elements of lists, along the steps of a path.
//!
//! A text that is a list or an object of JSON is looked into, too: it is how CSV and JSON files hold them.

use std::borrow::Cow;
use std::sync::Arc;

use arrow_array::cast::AsArray as _;
use arrow_array::{Array as _, ArrayRef, StringArray, UInt64Array, make_array, new_null_array};
use arrow_buffer::{ArrowNativeType as _, NullBuffer};
use arrow_schema::DataType;
use arrow_select::take::take;
use serde_json::Value;

use crate::plan::PathStep;

use super::cell;
use super::plain::{is_text, plain, strings};

/// Whether a column of this type may have values at the end of these steps.
#[must_use]
pub fn leads(kind: &DataType, steps: &[PathStep]) -> bool {
    let Some((step, rest)) = steps.split_first() else { return true };
    match (kind, step) {
        (DataType::Null, _) => true,
        (DataType::Dictionary(_, values), _) => leads(values, steps),
        (DataType::Struct(fields), PathStep::Key(name)) => {
            fields.find(name).is_some_and(|(_, field)| leads(field.data_type(), rest))
        }
        (
            DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _),
            PathStep::Index(_) | PathStep::Named(..),
        ) => leads(item.data_type(), rest),
        (kind, PathStep::Index(_) | PathStep::Named(..)) => is_text(kind),
        _ => false,
    }
}

/// The values at the end of some steps, one per value of the column, null where there is none; `refuse` is told the
/// rows of texts that are no list. The steps must [lead](leads) somewhere.
pub fn pick(column: &ArrayRef, steps: &[PathStep], refuse: &mut dyn FnMut(usize)) -> ArrayRef {
    let Some((step, rest)) = steps.split_first() else { return Arc::clone(column) };
    let column = &plain(column);
    match (column.data_type(), step) {
        (DataType::Struct(fields), PathStep::Key(name)) => match fields.find(name) {
            Some((at, _)) => {
                let object = column.as_struct();
                pick(&masked(object.column(at), object.nulls()), rest, refuse)
            }
            None => new_null_array(&DataType::Null, column.len()),
        },
        (DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(..), step) => {
            pick(&elements(column, step), rest, refuse)
        }
        (kind, _) if is_text(kind) => Arc::new(written(&strings(column), steps, refuse)),
        _ => new_null_array(&DataType::Null, column.len()),
    }
}

/// A field of a struct, null also where the struct is.
pub(super) fn masked(field: &ArrayRef, outer: Option<&NullBuffer>) -> ArrayRef {
    // Arrays of these types hold no nulls of their own; none of them is read but that which is all null.
    let is_bare = matches!(field.data_type(), DataType::Null | DataType::Union(..) | DataType::RunEndEncoded(..));
    if is_bare || outer.is_none_or(|nulls| nulls.null_count() == 0) {
        return Arc::clone(field);
    }
    let nulls = NullBuffer::union(outer, field.logical_nulls().as_ref());
    let data = field.to_data().into_builder().nulls(nulls).build();
    make_array(data.expect("more nulls do no harm"))
}

/// The values of a column of lists, and where those of each list stand among them; none where there is no list.
pub(super) fn lists(column: &ArrayRef) -> (ArrayRef, Vec<Option<std::ops::Range<usize>>>) {
    macro_rules! offsets {
        ($width:ty) => {{
            let lists = column.as_list::<$width>();
            let place = |row: usize| lists.value_offsets()[row].as_usize();
            let range = |row: usize| place(row)..place(row + 1);
            (Arc::clone(lists.values()), (0..lists.len()).map(|row| lists.is_valid(row).then(|| range(row))).collect())
        }};
    }
    match column.data_type() {
        DataType::List(_) => offsets!(i32),
        DataType::LargeList(_) => offsets!(i64),
        _ => {
            let lists = column.as_fixed_size_list();
            let width = usize::try_from(lists.value_length()).unwrap_or_default();
            let range = |row: usize| row * width..(row + 1) * width;
            (Arc::clone(lists.values()), (0..lists.len()).map(|row| lists.is_valid(row).then(|| range(row))).collect())
        }
    }
}

/// One element of each list.
fn elements(column: &ArrayRef, step: &PathStep) -> ArrayRef {
    let (values, ranges) = lists(column);
    let names = match (step, values.as_struct_opt()) {
        (PathStep::Named(key, _), Some(objects)) => objects.column_by_name(key).map(|keys| {
            let keys = plain(&masked(keys, objects.nulls()));
            strings(&keys)
        }),
        _ => None,
    };
    let is_named = |at: usize, text: &str| {
        let names = names.as_ref().filter(|names| names.is_valid(at));
        names.is_some_and(|names| cell::category(names.value(at)) == cell::category(text))
    };
    let place = |range: std::ops::Range<usize>| match step {
        PathStep::Key(_) => None,
        PathStep::Index(at) => range.clone().nth(*at as usize),
        PathStep::Named(_, text) => range.clone().find(|&at| is_named(at, text)),
    };
    let places: UInt64Array = ranges.into_iter().map(|range| Some(place(range?)? as u64)).collect();
    take(&values, &places, None).expect("places among the values")
}

/// What stands at the end of some steps in texts of JSON.
fn written(texts: &StringArray, steps: &[PathStep], refuse: &mut dyn FnMut(usize)) -> StringArray {
    let values = texts.iter().enumerate().map(|(row, text)| {
        let text = text.filter(|text| !cell::is_missing(text))?;
        if let Ok(value) = serde_json::from_str(text) {
            return walk(&value, steps).and_then(scalar).map(Cow::into_owned);
        }
        // As numpy writes lists.
        let listed = cell::list(text);
        listed.is_none().then(|| refuse(row));
        let [PathStep::Index(at)] = steps else { return None };
        listed?.get(*at as usize).map(ToString::to_string)
    });
    values.collect()
}

/// The value at the end of some steps; none where there is none.
fn walk<'v>(value: &'v Value, steps: &[PathStep]) -> Option<&'v Value> {
    let Some((step, rest)) = steps.split_first() else { return Some(value) };
    let inner = match step {
        PathStep::Key(key) => value.get(key)?,
        PathStep::Index(at) => value.as_array()?.get(*at as usize)?,
        PathStep::Named(key, text) => {
            let is_named = |element: &&Value| {
                element.get(key).and_then(scalar).is_some_and(|found| cell::category(&found) == cell::category(text))
            };
            value.as_array()?.iter().find(is_named)?
        }
    };
    walk(inner, rest)
}

/// A value as a text; lists and objects as they are written.
fn scalar(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(Cow::Borrowed(text)),
        other => Some(Cow::Owned(other.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use arrow_array::types::Float64Type;
    use arrow_array::{FixedSizeListArray, LargeListArray, ListArray};

    use super::*;

    fn picked(column: &ArrayRef, path: &str) -> (Vec<Option<String>>, Vec<usize>) {
        let path: crate::plan::Path = format!("c{path}").parse().expect("a path");
        let steps = &path.steps()[1..];
        assert!(leads(column.data_type(), steps));
        let mut refused = Vec::new();
        let found = pick(column, steps, &mut |row| refused.push(row));
        let numbers = found.as_primitive_opt::<Float64Type>();
        let numbers = numbers.map(|numbers| numbers.iter().map(|number| Some(number?.to_string())).collect());
        let texts = || strings(&plain(&found)).iter().map(|text| text.map(str::to_owned)).collect();
        (numbers.unwrap_or_else(texts), refused)
    }

    fn some<const N: usize>(texts: [&str; N]) -> Vec<Option<String>> {
        texts.map(|text| (text != "-").then(|| text.to_owned())).to_vec()
    }

    #[test]
    fn elements_of_lists_of_every_kind_are_found_by_their_place() {
        let rows = || vec![Some(vec![Some(1.5), Some(2.5)]), None, Some(vec![None, Some(4.5)])];
        let columns: [ArrayRef; 3] = [
            Arc::new(ListArray::from_iter_primitive::<Float64Type, _, _>(rows())),
            Arc::new(LargeListArray::from_iter_primitive::<Float64Type, _, _>(rows())),
            Arc::new(FixedSizeListArray::from_iter_primitive::<Float64Type, _, _>(rows(), 2)),
        ];
        for column in columns {
            for column in [Arc::clone(&column), column.slice(1, 2)] {
                let from = 3 - column.len();
                assert_eq!(picked(&column, "[0]").0, some(["1.5", "-", "-"])[from..]);
                assert_eq!(picked(&column, "[1]").0, some(["2.5", "-", "4.5"])[from..]);
                assert_eq!(picked(&column, "[2]").0, some(["-", "-", "-"])[from..]);
            }
        }
    }

    #[test]
    fn texts_that_are_lists_or_objects_are_looked_into() {
        let texts = [
            r#"[1, {"k": "a", "v": [7, "x"]}, {"k": "b", "v": 8}]"#,
            "",
            "[0.5 1.5]",
            r#"[[2.0, 3], {"k": 1.0, "v": true}]"#,
            "no list",
        ];
        let column: ArrayRef = Arc::new(StringArray::from(texts.to_vec()));
        assert_eq!(picked(&column, "[0]"), (some(["1", "-", "0.5", "[2.0,3]", "-"]), vec![4]));
        assert_eq!(picked(&column, "[0][1]"), (some(["-", "-", "-", "3", "-"]), vec![4]));
        assert_eq!(picked(&column, "[k=a].v[1]"), (some(["x", "-", "-", "-", "-"]), vec![4]));
        assert_eq!(picked(&column, "[k=1].v"), (some(["-", "-", "-", "true", "-"]), vec![4]));
    }
}
