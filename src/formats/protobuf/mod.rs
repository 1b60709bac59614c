//! Records of Protobuf: each is a message of a schema that it names, or of one that the pipeline names, and is read by
//! that schema into rows of Arrow.
//!
//! Only those fields are kept that the pipeline may read. Of a damaged record nothing is kept; its neighbours stay as
//! they are. The wire is read here, and not into messages of a library, which would be maps of values on the way.

mod column;
mod descriptor;
mod json;
mod planner;
mod schema;
mod time;
mod wire;

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::ArrayRef;

pub use self::descriptor::imports;

/// The schema of traces (`Traces`) and logs (`Logs`) of OpenTelemetry.
pub const OTLP: &str = include_str!("otlp.proto");
use self::planner::MessagePlanner;
use self::schema::{MessageIndex, ProtobufSchema};
use self::wire::{DEPTH_MAX, Wire};
use crate::frame::{self, Framed, MessageSelector};
use crate::known::SchemasById;
use crate::schema::{SchemaId, SchemaTexts};
use crate::tables::Tables;
use crate::waiting::Waiting;
use crate::{Decoded, Decoder, Record};
use haldane_core::event::Poison;
use haldane_core::plan::{Frame, MessageSchema, Plan};

/// Decodes the Protobuf records of one partition.
#[derive(Debug)]
pub struct ProtobufDecoder {
    frame: Frame,
    /// The name of the message of records that do not say it.
    message: Option<String>,
    /// The schema of records that name none, or why it cannot be used.
    bare: Option<Result<Messages, String>>,
    tables: Tables,
    known: SchemasById<Messages>,
    /// Rows that are no events yet.
    n_waiting: usize,
}

impl ProtobufDecoder {
    /// A decoder for one partition of one source of the plan.
    #[must_use]
    pub fn new(plan: &Arc<Plan>, source: u16, lane: u32) -> Self {
        let mapping = &plan.sources[usize::from(source)].mapping;
        let MessageSchema { message, texts } = mapping.schema.clone().unwrap_or_default();
        let bare = (!texts.is_empty()).then(|| Messages::new(&texts));
        let tables = Tables::new(plan, source, lane);
        Self {
            frame: mapping.frame.unwrap_or_default(),
            message,
            bare,
            tables,
            known: SchemasById::new(),
            n_waiting: 0,
        }
    }

    fn read(&mut self, record: &Record<'_>) -> Result<(), String> {
        let Some(payload) = self.tables.payload(record) else { return Ok(()) };
        let name = self.message.as_deref();
        let rows = if let Some(bare) = &mut self.bare {
            let messages = bare.as_mut().map_err(|why| format!("its schema cannot be used: {why}"))?;
            messages.push(record, (MessageSelector::Unsaid, payload), name, &self.tables)?
        } else {
            let Framed { id, body, message } = frame::of(self.frame, record, payload)?;
            let read = self.known.get(id)?.push(record, (message, &body), name, &self.tables);
            read.map_err(|why| format!("schema {id}: {why}"))?
        };
        self.n_waiting += 1;
        if rows.waiting.are_many() {
            self.n_waiting -= rows.move_to(&mut self.tables);
        }
        Ok(())
    }
}

impl Decoder for ProtobufDecoder {
    fn needs(&self, record: &Record<'_>) -> Option<SchemaId> {
        let payload = record.payload.filter(|payload| !payload.is_empty() && self.bare.is_none())?;
        frame::id(self.frame, record, payload).filter(|id| !self.known.has(*id))
    }

    fn learn(&mut self, id: SchemaId, schema: Option<&SchemaTexts>) {
        self.known.learn(id, schema.map(|texts| Messages::new(texts)));
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
        let known = self.known.all().chain(self.bare.iter_mut().flatten());
        for rows in known.flat_map(|messages| messages.rows.values_mut().flatten()) {
            self.n_waiting -= rows.move_to(&mut self.tables);
        }
        self.tables.finish()
    }
}

/// Whether records can be read by a schema; `message` is the one that they are, where they do not say it.
///
/// # Errors
/// In words, when they cannot.
pub fn check(texts: &[String], message: Option<&str>) -> Result<(), String> {
    unsaid(&ProtobufSchema::read(texts)?, message).map(drop)
}

/// Records of one schema.
#[derive(Debug)]
struct Messages {
    schema: ProtobufSchema,
    /// By their messages; or why those cannot be read.
    rows: BTreeMap<MessageIndex, Result<MessageRows, String>>,
}

impl Messages {
    fn new(texts: &[String]) -> Result<Self, String> {
        Ok(Self { schema: ProtobufSchema::read(texts)?, rows: BTreeMap::new() })
    }

    /// Reads a record; returns those that are of the same message.
    fn push(
        &mut self,
        record: &Record<'_>,
        (said, body): (MessageSelector<'_>, &[u8]),
        name: Option<&str>,
        tables: &Tables,
    ) -> Result<&mut MessageRows, String> {
        let schema = &self.schema;
        let (at, body) = which(schema, said, body, name)?;
        let rows = self.rows.entry(at).or_insert_with(|| MessageRows::new(schema, at, tables));
        let rows = rows.as_mut().map_err(|why| format!("cannot be used: {why}"))?;
        rows.push(record, body)?;
        Ok(rows)
    }
}

/// Which message a record is, and what is left of it.
fn which<'a>(
    schema: &ProtobufSchema,
    said: MessageSelector<'_>,
    body: &'a [u8],
    name: Option<&str>,
) -> Result<(MessageIndex, &'a [u8]), String> {
    match said {
        // Apicurio's clients write names behind numbers of four bytes, too.
        MessageSelector::Indexed => indexed(schema, body).or_else(|why| by_name(schema, body, None).map_err(|_| why)),
        MessageSelector::Beside(indexes) => Ok((indexed(schema, indexes)?.0, body)),
        MessageSelector::Named => by_name(schema, body, name),
        MessageSelector::Unsaid => Ok((unsaid(schema, name)?, body)),
    }
}

/// Reads records of one schema with all of their fields.
#[derive(Debug)]
pub struct ProtobufReader(ProtobufSchema);

impl ProtobufReader {
    pub(crate) fn new(texts: &[String]) -> Result<Self, String> {
        ProtobufSchema::read(texts).map(Self)
    }

    /// The fields of a record, a column of one value each.
    pub(crate) fn read(
        &mut self,
        said: MessageSelector<'_>,
        body: &[u8],
        name: Option<&str>,
    ) -> Result<Vec<(String, ArrayRef)>, String> {
        let (at, body) = which(&self.0, said, body, name)?;
        let mut root = MessagePlanner::new(&self.0).message(at, &|_| true)?;
        root.read(&mut Wire::new(body)).and_then(|()| root.close())?;
        Ok(root.finish())
    }
}

/// The message of records that do not say which they are.
fn unsaid(schema: &ProtobufSchema, name: Option<&str>) -> Result<MessageIndex, String> {
    match name {
        Some(name) => schema.named(name).ok_or_else(|| format!("there is no message `{name}`")),
        None => schema.only().ok_or_else(|| "nothing says which of several messages a record is".to_owned()),
    }
}

/// The message at the indexes with which a body begins, and what is left of it. Clients of old wrote them unsigned.
fn indexed<'a>(schema: &ProtobufSchema, body: &'a [u8]) -> Result<(MessageIndex, &'a [u8]), String> {
    let found = |is_signed: bool| {
        let mut wire = Wire::new(body);
        let mut index = || {
            if is_signed { wire.zigzag().ok()?.try_into().ok() } else { wire.varint().ok()?.try_into().ok() }
        };
        // The first message alone is so usual that it has a short form.
        let indexes = match index()? {
            0 => vec![0],
            n if n <= DEPTH_MAX as usize => (0..n).map(|_| index()).collect::<Option<Vec<_>>>()?,
            _ => return None,
        };
        Some((schema.indexed(indexes)?, &body[wire.at()..]))
    };
    found(true)
        .or_else(|| found(false))
        .ok_or_else(|| "no message has the indexes that a record begins with".to_owned())
}

/// The message whose name stands before a body, in a message of its own with one field, and what is left of it.
fn by_name<'a>(
    schema: &ProtobufSchema,
    body: &'a [u8],
    name: Option<&str>,
) -> Result<(MessageIndex, &'a [u8]), String> {
    let mut wire = Wire::new(body);
    let said = wire.bytes().map_err(|_| "the name of its message ends too early".to_owned())?;
    let rest = &body[wire.at()..];
    let mut own = Wire::new(said);
    match own.tag() {
        Ok(None) => Ok((unsaid(schema, name)?, rest)),
        Ok(Some(_)) => Ok((unsaid(schema, own.text().ok().or(name))?, rest)),
        Err(flaw) => Err(format!("the name of its message: {flaw}")),
    }
}

/// Records of one message, one row each.
#[derive(Debug)]
struct MessageRows {
    name: String,
    root: column::MessageBuilder,
    /// How many values a row takes, but for those in lists.
    width: usize,
    waiting: Waiting,
}

impl MessageRows {
    fn new(schema: &ProtobufSchema, at: MessageIndex, tables: &Tables) -> Result<Self, String> {
        let root = MessagePlanner::new(schema).message(at, &|name| tables.reads(name))?;
        let (name, width) = (schema.message(at).name.clone(), root.width());
        Ok(Self { name, root, width, waiting: Waiting::new(tables) })
    }

    fn push(&mut self, record: &Record<'_>, body: &[u8]) -> Result<(), String> {
        let mut wire = Wire::new(body);
        if let Err(flaw) = self.root.read(&mut wire).and_then(|()| self.root.close()) {
            self.root.truncate(self.waiting.len());
            return Err(format!("no {}: {flaw} (byte {})", self.name, wire.at()));
        }
        // A record takes its columns, however short it is.
        self.waiting.push(record, body.len(), wire.budget.spent() + self.width);
        Ok(())
    }

    /// Makes events of the rows, and says of how many.
    fn move_to(&mut self, tables: &mut Tables) -> usize {
        if self.waiting.len() == 0 {
            return 0;
        }
        let columns = self.root.finish();
        self.waiting.move_to(tables, columns)
    }
}
