//! Tables of one partition's records on their way to events: what formats share that read records as Arrow.

use std::sync::Arc;

use arrow_array::builder::StringBuilder;
use arrow_array::{ArrayRef, Int64Array, RecordBatch};
use arrow_schema::{DataType, Field};

use crate::batch::EventBatch;
use crate::event::{Poison, Reject};
use crate::plan::{PathStep, Plan};

use super::columnar::{Columnar, Misfit};
use super::element::pick;
use super::origin::Origin;
use super::plain::strings;
use super::rows::ColumnBuilders;
use super::{Decoded, Record, concat};

/// What was read of the records of one partition since it was asked for last.
#[derive(Debug)]
pub struct Tables {
    columnar: Columnar,
    batches: Vec<EventBatch>,
    rejects: Vec<Reject>,
    passed_over: u64,
    n_pending: usize,
}

impl Tables {
    /// For one partition of one source of the plan.
    #[must_use]
    pub fn new(plan: &Arc<Plan>, source: u16, lane: u32) -> Self {
        let columnar = Columnar::live(plan, source, lane);
        Self { columnar, batches: Vec::new(), rejects: Vec::new(), passed_over: 0, n_pending: 0 }
    }

    /// Whether a column of this name may be read from tables; others need not be in them.
    #[must_use]
    pub fn reads(&self, column: &str) -> bool {
        self.columnar.layout.reads(column)
    }

    /// The payload of a record, unless the record is passed over or refused because it has none.
    pub fn payload<'r>(&mut self, record: &Record<'r>) -> Option<&'r [u8]> {
        match record.said(&self.columnar.layout.selection) {
            Ok(None) => {
                self.pass_over();
                None
            }
            Ok(said) => said,
            Err((reason, what)) => {
                self.refuse(record.offset, reason, what.to_owned());
                None
            }
        }
    }

    /// Passes over a whole record.
    pub(super) fn pass_over(&mut self) {
        self.passed_over += 1;
        self.n_pending += 1;
    }

    /// Refuses a whole record.
    pub fn refuse(&mut self, offset: i64, reason: Poison, detail: String) {
        self.rejects.push(Reject { offset, row: 0, reason, detail });
        self.n_pending += 1;
    }

    /// Takes one table of a record that has many rows; `first` is the place of the table's first row in it.
    pub(super) fn take_part(
        &mut self,
        record: &Record<'_>,
        table: &RecordBatch,
        first: usize,
    ) -> Result<(), (Poison, String)> {
        let each = |value| Int64Array::from(vec![value; table.num_rows()]);
        let sifted = self
            .columnar
            .sift(table, each(record.offset), each(record.broker_time), Some(record))
            .map_err(|misfit| (misfit.reason, misfit.message))?;
        self.passed_over += sifted.passed_over;
        self.rejects.extend(sifted.rejects(|row| u32::try_from(first + row).expect("a record has few rows")));
        self.batches.push(sifted.batch);
        self.n_pending += table.num_rows();
        Ok(())
    }

    /// A place for what stands beside the payloads of records that have one row each.
    #[must_use]
    pub fn beside(&self) -> OriginColumns {
        let layout = &self.columnar.layout;
        let mut columns: Vec<BesideColumn> = Vec::new();
        for binding in layout.bindings.iter().chain(&layout.conditions) {
            let (name, found) = (binding.name(), Origin::of(&binding.path));
            let Some((origin, steps)) = found.filter(|_| columns.iter().all(|column| column.name != name)) else {
                continue;
            };
            columns.push(BesideColumn { name, origin, steps: steps.to_vec(), values: StringBuilder::new() });
        }
        OriginColumns { lane: layout.lane, columns }
    }

    /// Takes a table in which each row is a record, with what [`Tables::beside`] gave of them among its columns.
    /// `offset` and `broker_time` hold one value per row and no null.
    pub fn take(&mut self, table: &RecordBatch, offset: &Int64Array, broker_time: Int64Array) {
        self.n_pending += table.num_rows();
        match self.columnar.sift(table, offset.clone(), broker_time, None) {
            Ok(sifted) => {
                self.passed_over += sifted.passed_over;
                self.rejects.extend(sifted.rejects(|_| 0));
                self.batches.push(sifted.batch);
            }
            Err(misfit) => self.refuse_all(table, offset, &misfit),
        }
    }

    /// Refuses those records of a table that the source takes.
    fn refuse_all(&mut self, table: &RecordBatch, offset: &Int64Array, misfit: &Misfit) {
        let taken = self.columnar.taken(table);
        for (row, offset) in offset.values().iter().enumerate() {
            if taken.as_ref().is_none_or(|taken| taken[row]) {
                let (reason, detail) = (misfit.reason, misfit.message.clone());
                self.rejects.push(Reject { offset: *offset, row: 0, reason, detail });
            } else {
                self.passed_over += 1;
            }
        }
    }

    /// Rows, rejects and what was passed over since the last [`Tables::finish`].
    #[must_use]
    pub fn n_pending(&self) -> usize {
        self.n_pending
    }

    /// Hands over what was taken, in the order of the log.
    pub fn finish(&mut self) -> Decoded {
        self.n_pending = 0;
        let layout = &self.columnar.layout;
        let none = || {
            ColumnBuilders::nulls(layout, Int64Array::from(vec![0; 0]), Int64Array::from(vec![0; 0])).into_batch(layout)
        };
        let batch = concat::all(std::mem::take(&mut self.batches)).map_or_else(none, concat::in_order);
        let mut rejects = std::mem::take(&mut self.rejects);
        rejects.sort_by_key(|reject| reject.offset);
        Decoded::new(layout, batch, rejects, std::mem::take(&mut self.passed_over))
    }
}

/// What stands beside the payloads of some records: a row each.
#[derive(Debug)]
pub struct OriginColumns {
    lane: u32,
    columns: Vec<BesideColumn>,
}

#[derive(Debug)]
struct BesideColumn {
    /// The path as the pipeline says it.
    name: String,
    origin: Origin,
    /// The way on from there.
    steps: Vec<PathStep>,
    values: StringBuilder,
}

impl OriginColumns {
    /// Notes what stands beside a payload.
    pub fn push(&mut self, record: &Record<'_>) {
        for column in &mut self.columns {
            let value = column.origin.value(record, self.lane);
            column.values.append_option(value.as_deref().and_then(|value| str::from_utf8(value).ok()));
        }
    }

    /// The columns of the records since the last call.
    pub fn finish(&mut self) -> Vec<(Field, ArrayRef)> {
        let finish = |column: &mut BesideColumn| {
            let whole: ArrayRef = Arc::new(column.values.finish());
            let values: ArrayRef = Arc::new(strings(&pick(&whole, &column.steps, &mut |_| {})));
            (Field::new(&column.name, DataType::Utf8, true), values)
        };
        self.columns.iter_mut().map(finish).collect()
    }
}
