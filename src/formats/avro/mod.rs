//! Records of Avro: each names the schema that it was written with, and is read by that schema into rows of Arrow.
//!
//! Only those fields are kept that the pipeline may read. Of a damaged record nothing is kept; its neighbours stay as
//! they are. arrow-avro could not promise that: on an error it keeps half a row, a list may make it wait for more bytes
//! or claim two thousand million items, and what is of several kinds it reads as a type that nothing here knows.

mod canonical;
mod column;
mod cursor;
mod planner;
mod schema;

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::{ArrayRef, Int64Array, RecordBatch, RecordBatchOptions};
use arrow_schema::Field;

pub use self::canonical::fingerprint;
use self::column::{Column, finished};
use self::cursor::Cursor;
use self::planner::Planner;
use self::schema::{At, Schema, Type};
use crate::frame::{self, Framed};
use crate::schema::{SchemaId, SchemaTexts};
use crate::tables::{Beside, Tables};
use crate::{Decoded, Decoder, Record};
use haldane_core::event::{Micros, Poison};
use haldane_core::plan::{Frame, Plan};

/// So many ids without a schema are remembered: damaged records may name any.
const MISSING_MAX: usize = 1_024;
/// Rows become events once they hold so many bytes, or so many values in lists, so that what waits is bounded.
const BYTES_MAX: usize = 16 << 20;
const VALUES_MAX: usize = 1 << 19;

/// Decodes the Avro records of one partition.
#[derive(Debug)]
pub struct AvroDecoder {
    frame: Frame,
    tables: Tables,
    known: BTreeMap<SchemaId, Known>,
    /// Rows that are no events yet.
    n_waiting: usize,
}

/// What is known of an id.
#[derive(Debug)]
enum Known {
    /// Its schema, and rows that were written with it.
    Rows(Box<Rows>),
    /// Its schema cannot be read; why.
    Unreadable(String),
    /// There is no such schema.
    Missing,
}

impl AvroDecoder {
    /// A decoder for one partition of one source of the plan.
    #[must_use]
    pub fn new(plan: &Arc<Plan>, source: u16, lane: u32) -> Self {
        let frame = plan.sources[usize::from(source)].mapping.frame.unwrap_or_default();
        Self { frame, tables: Tables::new(plan, source, lane), known: BTreeMap::new(), n_waiting: 0 }
    }

    fn read(&mut self, record: &Record<'_>) -> Result<(), String> {
        let Some(payload) = self.tables.payload(record) else { return Ok(()) };
        let Framed { id, body } = frame::of(self.frame, record, payload)?;
        match self.known.get_mut(&id) {
            Some(Known::Rows(rows)) => {
                let read = rows.push(record, &body);
                read.map_err(|why| format!("no record of schema {id}: {why}"))?;
                self.n_waiting += 1;
                if rows.bytes > BYTES_MAX || rows.values > VALUES_MAX {
                    self.n_waiting -= rows.move_to(&mut self.tables);
                }
                Ok(())
            }
            Some(Known::Unreadable(why)) => Err(format!("schema {id} cannot be used: {why}")),
            Some(Known::Missing) => Err(format!("there is no schema {id}")),
            None => Err(format!("schema {id} is not known here")),
        }
    }
}

impl Decoder for AvroDecoder {
    fn needs(&self, record: &Record<'_>) -> Option<SchemaId> {
        let payload = record.payload.filter(|payload| !payload.is_empty())?;
        frame::id(self.frame, record, payload).filter(|id| !self.known.contains_key(id))
    }

    fn learn(&mut self, id: SchemaId, schema: Option<&SchemaTexts>) {
        let known = match schema.map(|texts| Rows::new(texts, &self.tables)) {
            Some(Ok(rows)) => Known::Rows(Box::new(rows)),
            Some(Err(why)) => Known::Unreadable(why),
            None => {
                let is_missing = |known: &Known| matches!(known, Known::Missing);
                if self.known.values().filter(|known| is_missing(known)).count() >= MISSING_MAX {
                    self.known.retain(|_, known| !is_missing(known));
                }
                Known::Missing
            }
        };
        self.known.insert(id, known);
    }

    fn push(&mut self, record: &Record<'_>) {
        if let Err(detail) = self.read(record) {
            self.tables.refuse(record.offset, Poison::Malformed, detail);
        }
    }

    fn n_pending(&self) -> usize {
        self.tables.n_pending() + self.n_waiting
    }

    fn finish(&mut self) -> Decoded {
        for known in self.known.values_mut() {
            if let Known::Rows(rows) = known {
                self.n_waiting -= rows.move_to(&mut self.tables);
            }
        }
        self.tables.finish()
    }
}

/// Records of one schema, one row each.
#[derive(Debug)]
struct Rows {
    schema: Schema,
    /// Of the fields of the record, or, where the schema has several kinds of records, a field for each.
    root: Column,
    offsets: Vec<i64>,
    broker_times: Vec<Micros>,
    beside: Beside,
    /// Bytes of the records, and values in their lists.
    bytes: usize,
    values: usize,
}

impl Rows {
    fn new(texts: &SchemaTexts, tables: &Tables) -> Result<Self, String> {
        let schema = Schema::read(texts)?;
        let mut planner = Planner::new(&schema);
        let root = match schema.kind(schema.root()) {
            Type::Record(fields) => {
                let read = |(name, at): &(String, At)| {
                    let column = if tables.reads(name) { planner.column(*at)? } else { Column::Skipped(*at) };
                    Ok((name.clone(), column))
                };
                Column::Record { fields: fields.iter().map(read).collect::<Result<_, String>>()?, len: 0 }
            }
            Type::Union(_) => match planner.column(schema.root())? {
                kinds @ Column::Kinds { .. } => kinds,
                _ => return Err("it is no record".to_owned()),
            },
            _ => return Err("it is no record".to_owned()),
        };
        let (offsets, broker_times) = (Vec::new(), Vec::new());
        Ok(Self { schema, root, offsets, broker_times, beside: tables.beside(), bytes: 0, values: 0 })
    }

    fn push(&mut self, record: &Record<'_>, body: &[u8]) -> Result<(), String> {
        let mut cursor = Cursor::new(body);
        let read = self.root.read(&self.schema, &mut cursor);
        let at = body.len() - cursor.left();
        let whole = read.and_then(|()| if cursor.left() == 0 { Ok(()) } else { Err("bytes are left behind it") });
        if let Err(flaw) = whole {
            self.root.truncate(self.offsets.len());
            return Err(format!("{flaw} (byte {at})"));
        }
        self.offsets.push(record.offset);
        self.broker_times.push(record.broker_time);
        self.beside.push(record);
        self.bytes += body.len();
        self.values += cursor.spent();
        Ok(())
    }

    /// Makes events of the rows, and says of how many.
    fn move_to(&mut self, tables: &mut Tables) -> usize {
        (self.bytes, self.values) = (0, 0);
        let n = self.offsets.len();
        if n == 0 {
            return 0;
        }
        let columns: Vec<(String, ArrayRef)> = match &mut self.root {
            Column::Record { fields, len } => {
                *len = 0;
                finished(fields)
            }
            kinds => {
                let whole = kinds.finish().expect("several kinds of records are a column");
                let whole = arrow_array::cast::AsArray::as_struct(&whole);
                let names = whole.column_names().into_iter().map(str::to_owned);
                names.zip(whole.columns().iter().cloned()).collect()
            }
        };
        let own =
            columns.into_iter().map(|(name, column)| (Field::new(name, column.data_type().clone(), true), column));
        let (fields, columns): (Vec<Field>, Vec<ArrayRef>) = own.chain(self.beside.finish()).unzip();
        let schema = Arc::new(arrow_schema::Schema::new(fields));
        let options = RecordBatchOptions::new().with_row_count(Some(n));
        let table = RecordBatch::try_new_with_options(schema, columns, &options).expect("columns of so many rows");
        let offset = Int64Array::from(std::mem::take(&mut self.offsets));
        let broker_time = Int64Array::from(std::mem::take(&mut self.broker_times));
        tables.take(&table, &offset, broker_time);
        n
    }
}
