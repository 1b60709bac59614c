//! Tables in which each element of a list is a row of its own.

use std::sync::Arc;

use arrow_array::cast::AsArray as _;
use arrow_array::{Array as _, ArrayRef, Int64Array, RecordBatch, UInt64Array, new_null_array};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use arrow_select::take::take;

use crate::event::Poison;
use crate::plan::{ROW, ROWS_MAX};

use super::element::lists;
use super::validate::{Findings, Refusal};

/// The most rows that one table may become: a list of nulls takes no bytes.
const ALL_ROWS_MAX: usize = 1 << 20;

/// A table whose rows are elements, and what is known of them.
pub(super) struct Exploded {
    /// The columns of the records, repeated, and the elements in a column [`ROW`].
    pub(super) table: RecordBatch,
    pub(super) offset: Int64Array,
    pub(super) broker_time: Int64Array,
    /// The place of each row in its list.
    pub(super) row: Vec<u32>,
    /// Records without a list; each has one row.
    pub(super) findings: Findings,
    /// Records with an empty list, and those that are not taken.
    pub(super) passed_over: u64,
}

/// The schema of a table whose list has elements of this type.
pub(super) fn with_row(schema: &Schema, element: &DataType) -> SchemaRef {
    let fields = schema.fields().iter().map(|field| Arc::new(Field::clone(field).with_nullable(true)));
    let row = Arc::new(Field::new(ROW, element.clone(), true));
    Arc::new(Schema::new(fields.chain([row]).collect::<Vec<_>>()))
}

/// The type of the elements of a column of lists.
pub(super) fn element(kind: &DataType) -> Option<&DataType> {
    match kind {
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => Some(item.data_type()),
        _ => None,
    }
}

/// Which record each row is of, where its element stands, and its place in the list.
#[derive(Default)]
struct Elements {
    record: Vec<u64>,
    at: Vec<Option<u64>>,
    row: Vec<u32>,
}

impl Elements {
    fn push(&mut self, record: usize, at: Option<usize>, row: u32) {
        self.record.push(record as u64);
        self.at.push(at.map(|at| at as u64));
        self.row.push(row);
    }
}

/// The rows of a table; `outer` is the column that holds nothing but the list, if one does, and `taken` says which
/// records are taken. `None`: too many rows.
pub(super) fn explode(
    table: &RecordBatch,
    (list, name, outer): (&ArrayRef, &str, Option<usize>),
    taken: Option<&[bool]>,
    (offset, broker_time): (&Int64Array, &Int64Array),
) -> Option<Exploded> {
    let (values, ranges) = lists(list);
    let (mut elements, mut findings, mut passed_over) = (Elements::default(), Findings::new(), 0);
    for (record, range) in ranges.into_iter().enumerate() {
        let refusal = match range {
            _ if taken.is_some_and(|taken| !taken[record]) => None,
            None => Some((Poison::MissingField, format!("{name}: missing"))),
            Some(range) if range.len() > ROWS_MAX as usize => {
                Some((Poison::TooLong, format!("{name}: a list of more than {ROWS_MAX} rows")))
            }
            Some(range) if !range.is_empty() => {
                if elements.row.len() + range.len() > ALL_ROWS_MAX {
                    return None;
                }
                (0..).zip(range).for_each(|(row, at)| elements.push(record, Some(at), row));
                continue;
            }
            Some(_) => None,
        };
        match refusal {
            Some((reason, detail)) => {
                findings.insert(elements.row.len(), Refusal { reason, detail });
                elements.push(record, None, 0);
            }
            None => passed_over += 1,
        }
    }
    let record = UInt64Array::from(elements.record);
    let repeat = |column: &ArrayRef| take(column, &record, None).expect("records of this table");
    let columns = table.columns().iter().enumerate().map(|(at, column)| match outer {
        Some(outer) if outer == at => new_null_array(column.data_type(), record.len()),
        _ => repeat(column),
    });
    let rows = take(&values, &UInt64Array::from(elements.at), None).expect("elements of these lists");
    let times =
        |column: &Int64Array| take(column, &record, None).expect("records of this table").as_primitive().clone();
    let schema = with_row(&table.schema(), values.data_type());
    Some(Exploded {
        offset: times(offset),
        broker_time: times(broker_time),
        table: RecordBatch::try_new(schema, columns.chain([rows]).collect()).expect("columns of one length"),
        row: elements.row,
        findings,
        passed_over,
    })
}
