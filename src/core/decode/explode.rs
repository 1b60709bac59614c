//! Tables in which each element of a list is a row of its own.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow_array::cast::AsArray as _;
use arrow_array::{Array as _, ArrayRef, Int64Array, RecordBatch, UInt64Array};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use arrow_select::take::take;

use crate::event::Poison;
use crate::plan::ROWS_MAX;

use super::element::lists;
use super::validate::{Findings, RowRefusal};

/// The most rows that one table may become: a list of nulls takes no bytes.
const ALL_ROWS_MAX: usize = 1 << 20;

/// Columns of rows.
pub(super) struct ExplodedTable {
    pub(super) schema: SchemaRef,
    pub(super) n_rows: usize,
    pub(super) columns: Vec<RepeatedColumn>,
}

/// A column of which each value may stand in several rows: what is around rows is large, and is not copied for each.
pub(super) struct RepeatedColumn {
    pub(super) values: ArrayRef,
    /// The value of each row, where that is not the one in its place.
    places: Option<UInt64Array>,
}

impl ExplodedTable {
    /// A table as it is.
    pub(super) fn of(table: &RecordBatch) -> Self {
        let column = |column: &ArrayRef| RepeatedColumn { values: Arc::clone(column), places: None };
        let columns = table.columns().iter().map(column).collect();
        Self { schema: table.schema(), n_rows: table.num_rows(), columns }
    }
}

impl RepeatedColumn {
    /// One of these per row, which are one per value.
    pub(super) fn each_row(&self, values: &ArrayRef) -> ArrayRef {
        let repeat = |places: &UInt64Array| take(values, places, None).expect("places of these values");
        self.places.as_ref().map_or_else(|| Arc::clone(values), repeat)
    }

    /// The rows that have one of these values.
    pub(super) fn rows_of(&self, values: Vec<usize>) -> Vec<usize> {
        let Some(places) = self.places.as_ref().filter(|_| !values.is_empty()) else { return values };
        let values: BTreeSet<u64> = values.into_iter().map(|value| value as u64).collect();
        let rows = places.values().iter().enumerate();
        rows.filter(|(_, place)| values.contains(place)).map(|(row, _)| row).collect()
    }

    /// The same column in a table of some of these rows.
    fn repeated(self, rows: &UInt64Array) -> Self {
        let places = match self.places {
            Some(places) => take(&places, rows, None).expect("rows of this column").as_primitive().clone(),
            None => rows.clone(),
        };
        Self { places: Some(places), ..self }
    }
}

/// A table, and where its rows are from: its own records, or elements of lists in them.
pub(super) struct Exploded {
    /// The columns of the records, and of the elements of each list.
    pub(super) table: ExplodedTable,
    pub(super) offset: Int64Array,
    pub(super) broker_time: Int64Array,
    /// The place of each row among those of its record; nothing where records are rows.
    pub(super) row: Vec<u32>,
    /// Records without a list; each has one row.
    pub(super) findings: Findings,
    /// Records and elements with an empty list, and those that are not taken.
    pub(super) passed_over: u64,
    /// The record that each row is of; nothing where records are rows.
    record: Vec<u64>,
}

impl Exploded {
    /// The records as they are.
    pub(super) fn records(table: ExplodedTable, offset: Int64Array, broker_time: Int64Array) -> Self {
        let (row, record) = (Vec::new(), Vec::new());
        Self { table, offset, broker_time, row, findings: Findings::new(), passed_over: 0, record }
    }

    /// The record that a row is of.
    fn record_of(&self, row: usize) -> u64 {
        self.record.get(row).copied().unwrap_or(row as u64)
    }
}

/// The schema of a table whose list has elements of this type.
pub(super) fn with_element(schema: &Schema, name: &str, element: &DataType) -> SchemaRef {
    let fields = schema.fields().iter().map(|field| Arc::new(Field::clone(field).with_nullable(true)));
    let row = Arc::new(Field::new(name, element.clone(), true));
    Arc::new(Schema::new(fields.chain([row]).collect::<Vec<_>>()))
}

/// The type of the elements of a column of lists.
pub(super) fn element(kind: &DataType) -> Option<&DataType> {
    match kind {
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => Some(item.data_type()),
        _ => None,
    }
}

/// Which row of the table each element is of, where it stands, its record, and its place among the rows of that.
#[derive(Default)]
struct Elements {
    of: Vec<u64>,
    at: Vec<Option<u64>>,
    record: Vec<u64>,
    row: Vec<u32>,
}

impl Elements {
    fn push(&mut self, of: usize, at: Option<usize>, record: u64) {
        let last = self.record.last().zip(self.row.last()).filter(|(last, _)| **last == record);
        self.row.push(last.map_or(0, |(_, row)| row + 1));
        self.of.push(of as u64);
        self.at.push(at.map(|at| at as u64));
        self.record.push(record);
    }
}

/// The elements of a list, one per row of a table; `element` is the name of their column, and `taken` says which rows
/// are taken. `None`: too many.
pub(super) fn explode(
    from: Exploded,
    (list, name, element): (&ArrayRef, &str, &str),
    taken: Option<&[bool]>,
) -> Option<Exploded> {
    let (values, ranges) = lists(list);
    let (mut elements, mut findings, mut passed_over) = (Elements::default(), Findings::new(), from.passed_over);
    let is_inner = !from.record.is_empty();
    for (of, range) in ranges.into_iter().enumerate() {
        let record = from.record_of(of);
        let refusal = match (from.findings.get(&of), range) {
            (Some(known), _) => Some(known.clone()),
            _ if taken.is_some_and(|taken| !taken[of]) => None,
            // An element around rows may leave a list without elements out.
            (None, None) if is_inner => None,
            (None, None) => Some(RowRefusal { reason: Poison::MissingField, detail: format!("{name}: missing") }),
            (None, Some(range)) if range.len() > ROWS_MAX as usize => {
                let detail = format!("{name}: a list of more than {ROWS_MAX} rows");
                Some(RowRefusal { reason: Poison::TooLong, detail })
            }
            (None, Some(range)) if !range.is_empty() => {
                if elements.row.len() + range.len() > ALL_ROWS_MAX {
                    return None;
                }
                range.for_each(|at| elements.push(of, Some(at), record));
                continue;
            }
            (None, Some(_)) => None,
        };
        match refusal {
            Some(refusal) => {
                findings.insert(elements.row.len(), refusal);
                elements.push(of, None, record);
            }
            None => passed_over += 1,
        }
    }
    let of = UInt64Array::from(elements.of);
    let times = |column: &Int64Array| take(column, &of, None).expect("rows of this table").as_primitive().clone();
    let rows = take(&values, &UInt64Array::from(elements.at), None).expect("elements of these lists");
    let rows = RepeatedColumn { values: rows, places: None };
    let columns = from.table.columns.into_iter().map(|column| column.repeated(&of));
    Some(Exploded {
        offset: times(&from.offset),
        broker_time: times(&from.broker_time),
        table: ExplodedTable {
            schema: with_element(&from.table.schema, element, values.data_type()),
            n_rows: of.len(),
            columns: columns.chain([rows]).collect(),
        },
        row: elements.row,
        findings,
        passed_over,
        record: elements.record,
    })
}
