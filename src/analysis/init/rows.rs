//! Rows of Arrow tables as JSON objects, as guesses are made from them.

use arrow::array::{Array, ArrayRef, AsArray as _, ListArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{ArrowNativeType as _, DataType, Fields, TimeUnit};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use serde_json::{Map, Value};

/// Coordinated universal time, by its offset.
const UTC: &str = "+00:00";

/// The first `most` rows of a table.
pub(super) fn rows(table: &RecordBatch, most: usize) -> Vec<Map<String, Value>> {
    let table = table.slice(0, table.num_rows().min(most));
    objects(table.schema_ref().fields(), table.columns(), table.num_rows())
}

fn objects(fields: &Fields, columns: &[ArrayRef], n: usize) -> Vec<Map<String, Value>> {
    let mut rows = vec![Map::new(); n];
    for (field, column) in fields.iter().zip(columns) {
        for (row, value) in rows.iter_mut().zip(values(column)) {
            row.insert(field.name().clone(), value);
        }
    }
    rows
}

/// The values of a column; those that JSON has no like of are missing.
pub(super) fn values(column: &ArrayRef) -> Vec<Value> {
    let whole = match column.data_type() {
        DataType::Struct(fields) => {
            let objects = objects(fields, column.as_struct().columns(), column.len());
            objects.into_iter().map(Value::Object).collect()
        }
        DataType::Dictionary(_, inner) => cast(column, inner).map_or_else(|_| missing(column), |plain| values(&plain)),
        // What has no zone is in UTC, as everywhere. Arrow knows zones by name only with a database of them.
        DataType::Timestamp(_, zone) if zone.as_deref() != Some(UTC) => {
            let utc = DataType::Timestamp(TimeUnit::Microsecond, Some(UTC.into()));
            cast(column, &utc).map_or_else(|_| missing(column), |times| values(&times))
        }
        DataType::List(_) => lists(column.as_list::<i32>()),
        kind if kind.is_nested() || kind.is_binary() => missing(column),
        kind => written(column, kind),
    };
    whole.into_iter().enumerate().map(|(row, value)| if column.is_null(row) { Value::Null } else { value }).collect()
}

fn lists(column: &ListArray) -> Vec<Value> {
    let items = values(column.values());
    let part = |ends: &[i32]| items[ends[0].as_usize()..ends[1].as_usize()].to_vec();
    column.offsets().windows(2).map(|ends| Value::Array(part(ends))).collect()
}

fn missing(column: &ArrayRef) -> Vec<Value> {
    vec![Value::Null; column.len()]
}

fn written(column: &ArrayRef, kind: &DataType) -> Vec<Value> {
    let Ok(formatter) = ArrayFormatter::try_new(column, &FormatOptions::new()) else { return missing(column) };
    let value = |row| {
        let Ok(text) = formatter.value(row).try_to_string() else { return Value::Null };
        match kind {
            DataType::Boolean => Value::Bool(text == "true"),
            kind if kind.is_numeric() => text.parse().map_or(Value::Null, Value::Number),
            _ => Value::String(text),
        }
    };
    (0..column.len()).map(value).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{
        BinaryArray, BooleanArray, Float64Array, Int64Array, ListArray, StringArray, StructArray,
        TimestampMillisecondArray,
    };
    use arrow::datatypes::{Field, Int32Type};
    use serde_json::json;

    use super::*;

    #[test]
    fn rows_are_what_json_would_say() {
        let fields = Fields::from(vec![Field::new("id", DataType::Int64, true)]);
        let ids = Arc::new(Int64Array::from(vec![7, 8]));
        let nested = StructArray::new(fields, vec![ids], Some(vec![true, false].into()));
        let codes: arrow::array::DictionaryArray<Int32Type> = vec![Some("DE"), None].into_iter().collect();
        let lists = ListArray::from_iter_primitive::<Int32Type, _, _>([Some([Some(1)]), None]);
        let zoned = TimestampMillisecondArray::from(vec![1_700_000_000_500, 0]).with_timezone("UTC");
        let columns: [(&str, ArrayRef); 9] = [
            ("amount", Arc::new(Float64Array::from(vec![Some(0.25), Some(f64::NAN)]))),
            ("at", Arc::new(TimestampMillisecondArray::from(vec![1_700_000_000_500, 0]))),
            ("code", Arc::new(codes)),
            ("list", Arc::new(lists)),
            ("new", Arc::new(BooleanArray::from(vec![Some(true), None]))),
            ("raw", Arc::new(BinaryArray::from(vec![b"a".as_slice(), b"b"]))),
            ("text", Arc::new(StringArray::from(vec!["true", ""]))),
            ("who", Arc::new(nested)),
            ("zoned", Arc::new(zoned)),
        ];
        let table = RecordBatch::try_from_iter(columns).expect("a table");
        let said: Vec<Value> = rows(&table, 5).into_iter().map(Value::Object).collect();
        let first = json!({ "amount": 0.25, "at": "2023-11-14T22:13:20.500Z", "code": "DE", "list": [1], "new": true,
            "raw": null, "text": "true", "who": { "id": 7 }, "zoned": "2023-11-14T22:13:20.500Z" });
        let second = json!({ "amount": null, "at": "1970-01-01T00:00:00Z", "code": null, "list": null, "new": null,
            "raw": null, "text": "", "who": null, "zoned": "1970-01-01T00:00:00Z" });
        assert_eq!(said, [first, second]);
        assert_eq!(rows(&table, 1).len(), 1);
    }
}
