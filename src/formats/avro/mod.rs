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

use std::sync::Arc;

use arrow_array::ArrayRef;

pub use self::canonical::fingerprint;
use self::column::{AvroColumn, finished};
use self::cursor::AvroCursor;
use self::planner::ColumnPlanner;
use self::schema::{Schema, Type, TypeIndex};
use crate::frame::{self, Framed};
use crate::known::SchemasById;
use crate::schema::{SchemaId, SchemaTexts};
use crate::tables::Tables;
use crate::waiting::Waiting;
use crate::{Decoded, Decoder, Record};
use haldane_core::event::Poison;
use haldane_core::plan::{Frame, Plan};

/// Decodes the Avro records of one partition.
#[derive(Debug)]
pub struct AvroDecoder {
    frame: Frame,
    tables: Tables,
    known: SchemasById<SchemaRows>,
    /// Rows that are no events yet.
    n_waiting: usize,
}

impl AvroDecoder {
    /// A decoder for one partition of one source of the plan.
    #[must_use]
    pub fn new(plan: &Arc<Plan>, source: u16, lane: u32) -> Self {
        let frame = plan.sources[usize::from(source)].mapping.frame.unwrap_or_default();
        Self { frame, tables: Tables::new(plan, source, lane), known: SchemasById::new(), n_waiting: 0 }
    }

    fn read(&mut self, record: &Record<'_>) -> Result<(), String> {
        let Some(payload) = self.tables.payload(record) else { return Ok(()) };
        let Framed { id, body, .. } = frame::of(self.frame, record, payload)?;
        let rows = self.known.get(id)?;
        rows.push(record, &body).map_err(|why| format!("no record of schema {id}: {why}"))?;
        self.n_waiting += 1;
        if rows.waiting.are_many() {
            self.n_waiting -= rows.move_to(&mut self.tables);
        }
        Ok(())
    }
}

impl Decoder for AvroDecoder {
    fn needs(&self, record: &Record<'_>) -> Option<SchemaId> {
        let payload = record.payload.filter(|payload| !payload.is_empty())?;
        frame::id(self.frame, record, payload).filter(|id| !self.known.has(*id))
    }

    fn learn(&mut self, id: SchemaId, schema: Option<&SchemaTexts>) {
        self.known.learn(id, schema.map(|texts| SchemaRows::new(texts, &self.tables)));
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
        for rows in self.known.all() {
            self.n_waiting -= rows.move_to(&mut self.tables);
        }
        self.tables.finish()
    }
}

/// Records of one schema, one row each.
#[derive(Debug)]
struct SchemaRows {
    schema: Schema,
    /// Of the fields of the record, or, where the schema has several kinds of records, a field for each.
    root: AvroColumn,
    waiting: Waiting,
}

impl SchemaRows {
    fn new(texts: &SchemaTexts, tables: &Tables) -> Result<Self, String> {
        let schema = Schema::read(texts)?;
        let root = root(&schema, &|name| tables.reads(name))?;
        Ok(Self { schema, root, waiting: Waiting::new(tables) })
    }

    fn push(&mut self, record: &Record<'_>, body: &[u8]) -> Result<(), String> {
        let spent = read(&self.schema, &mut self.root, body).inspect_err(|_| self.root.truncate(self.waiting.len()))?;
        self.waiting.push(record, body.len(), spent);
        Ok(())
    }

    /// Makes events of the rows, and says of how many.
    fn move_to(&mut self, tables: &mut Tables) -> usize {
        if self.waiting.len() == 0 {
            return 0;
        }
        let columns = columns(&mut self.root);
        self.waiting.move_to(tables, columns)
    }
}

/// Columns for the records of a schema, of which those fields are read that `reads` names.
fn root(schema: &Schema, reads: &dyn Fn(&str) -> bool) -> Result<AvroColumn, String> {
    let mut planner = ColumnPlanner::new(schema);
    match schema.kind(schema.root()) {
        Type::Record(fields) => {
            let read = |(name, at): &(String, TypeIndex)| {
                let column = if reads(name) { planner.column(*at)? } else { AvroColumn::Skipped(*at) };
                Ok((name.clone(), column))
            };
            Ok(AvroColumn::Record { fields: fields.iter().map(read).collect::<Result<_, String>>()?, len: 0 })
        }
        Type::Union(_) => match planner.column(schema.root())? {
            kinds @ AvroColumn::Kinds { .. } => Ok(kinds),
            _ => Err("it is no record".to_owned()),
        },
        _ => Err("it is no record".to_owned()),
    }
}

/// Reads a record behind those in the columns; returns how many values its lists have. What a bad one leaves behind is
/// to be taken out.
fn read(schema: &Schema, root: &mut AvroColumn, body: &[u8]) -> Result<usize, String> {
    let mut cursor = AvroCursor::new(body);
    let read = root.read(schema, &mut cursor);
    let at = body.len() - cursor.left();
    let whole = read.and_then(|()| if cursor.left() == 0 { Ok(()) } else { Err("bytes are left behind it") });
    whole.map(|()| cursor.budget.spent()).map_err(|flaw| format!("{flaw} (byte {at})"))
}

/// What was read, as columns of Arrow.
fn columns(root: &mut AvroColumn) -> Vec<(String, ArrayRef)> {
    match root {
        AvroColumn::Record { fields, len } => {
            *len = 0;
            finished(fields)
        }
        kinds => {
            let whole = kinds.finish().expect("several kinds of records are a column");
            let whole = arrow_array::cast::AsArray::as_struct(&whole);
            let names = whole.column_names().into_iter().map(str::to_owned);
            names.zip(whole.columns().iter().cloned()).collect()
        }
    }
}

/// Reads records of one schema with all of their fields.
#[derive(Debug)]
pub struct AvroReader {
    schema: Schema,
    root: AvroColumn,
}

impl AvroReader {
    pub(crate) fn new(texts: &[String]) -> Result<Self, String> {
        let schema = Schema::read(texts)?;
        Ok(Self { root: root(&schema, &|_| true)?, schema })
    }

    /// The fields of a record, a column of one value each.
    pub(crate) fn read(&mut self, body: &[u8]) -> Result<Vec<(String, ArrayRef)>, String> {
        read(&self.schema, &mut self.root, body).inspect_err(|_| self.root.truncate(0))?;
        Ok(columns(&mut self.root))
    }
}
