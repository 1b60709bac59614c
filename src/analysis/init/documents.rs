//! The first records of a table, with what is in their lists.

use serde_json::Value;

use super::rows::values;
use crate::error::Result;
use crate::table::{Table, TableColumn, Wanted};

/// A record: for each column of its table what stands there.
pub(crate) type RowValues = Vec<Value>;

/// The first records, so many at most.
pub(crate) fn documents(table: &Table, most: usize) -> Result<Vec<RowValues>> {
    let wanted: Vec<Wanted> = (0..table.columns.len()).map(|column| Wanted { column, repeats: false }).collect();
    let mut documents: Vec<RowValues> = Vec::new();
    for chunk in table.chunks(&wanted)? {
        let chunk = chunk?;
        let n = chunk.rows.min(most - documents.len());
        let from = documents.len();
        documents.resize(from + n, vec![Value::Null; wanted.len()]);
        for (at, (array, column)) in chunk.arrays.iter().zip(&table.columns).enumerate() {
            let cells = values(&array.slice(0, n)).into_iter().map(|value| list_of(value, column));
            documents[from..].iter_mut().zip(cells).for_each(|(document, cell)| document[at] = cell);
        }
        if documents.len() == most {
            break;
        }
    }
    Ok(documents)
}

/// A list that stands in a text is the list.
fn list_of(value: Value, column: &TableColumn) -> Value {
    match &value {
        Value::String(text) if column.data_type.is_nested() => serde_json::from_str(text).unwrap_or(value),
        _ => value,
    }
}
