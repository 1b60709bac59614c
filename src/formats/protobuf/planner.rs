//! Which columns the values of a schema go to.

use std::sync::Arc;

use super::column::{self, Column};
use super::schema::{At, Field, Kind, Message, Presence, Schema};
use super::wire::DEPTH_MAX;
use crate::arrays::Pieces;

/// The most columns that a schema may need: messages that name each other may make very many.
const COLUMNS_MAX: usize = 1 << 16;

/// Makes columns for the messages of a schema.
pub(super) struct Planner<'a> {
    schema: &'a Schema,
    /// The messages that a field stands in.
    around: Vec<At>,
    columns: usize,
}

impl<'a> Planner<'a> {
    pub(super) fn new(schema: &'a Schema) -> Self {
        Self { schema, around: Vec::new(), columns: 0 }
    }

    /// Columns for a message, of which those fields are read that `reads` names.
    pub(super) fn message(&mut self, at: At, reads: &dyn Fn(&str) -> bool) -> Result<column::Message, String> {
        let message = self.schema.message(at);
        self.around.push(at);
        let field = |field: &Field| {
            let column = if reads(&field.name) { self.field(field)? } else { Column::Skipped(0) };
            let is_read = !matches!(column, Column::Skipped(_));
            let default = field.default.as_deref().filter(|_| is_read && field.presence == Presence::Explicit);
            let default = default.map(|text| written(&field.kind, text)).transpose();
            Ok(column::Field {
                name: field.name.clone(),
                number: field.number,
                column,
                presence: field.presence,
                is_there: Vec::new(),
                default: default.map_err(|why| format!("field `{}`: {why}", field.name))?,
                rivals: rivals(message, field),
            })
        };
        let fields = message.fields.iter().map(field).collect::<Result<_, String>>()?;
        self.around.pop();
        Ok(column::Message { fields, len: 0 })
    }

    fn field(&mut self, field: &Field) -> Result<Column, String> {
        Ok(match self.column(&field.kind)? {
            Column::Skipped(len) => Column::Skipped(len),
            items if field.presence == Presence::Repeated => Column::List { ends: Vec::new(), items: Box::new(items) },
            one => one,
        })
    }

    /// A column for a type. What stands in itself is read once, and not within.
    fn column(&mut self, kind: &Kind) -> Result<Column, String> {
        self.columns += 1;
        if self.columns > COLUMNS_MAX {
            return Err(format!("more than {COLUMNS_MAX} fields"));
        }
        Ok(match kind {
            Kind::Bool => Column::Bool(Vec::new()),
            Kind::Int(code) => Column::Int(Vec::new(), *code),
            Kind::Long(code) => Column::Long(Vec::new(), *code),
            Kind::Unsigned(code) => Column::Unsigned(Vec::new(), *code),
            Kind::UnsignedLong(code) => Column::UnsignedLong(Vec::new(), *code),
            Kind::Float => Column::Float(Vec::new()),
            Kind::Double => Column::Double(Vec::new()),
            Kind::Text => Column::Text(Pieces::default()),
            Kind::Bytes => Column::Bytes(Pieces::default()),
            Kind::Hex => Column::Hex(Pieces::default()),
            Kind::Enum(names) => Column::Enum(Vec::new(), Arc::clone(names)),
            Kind::Timestamp => Column::Timestamp(Vec::new()),
            Kind::Duration => Column::Duration(Vec::new()),
            Kind::Json(json) => Column::Json(Pieces::default(), *json),
            Kind::Wrapped(kind) => Column::Wrapped(Box::new(self.column(kind)?)),
            Kind::Message(at) if self.around.contains(at) => Column::Skipped(0),
            Kind::Message(_) if self.around.len() >= DEPTH_MAX as usize => Column::Skipped(0),
            Kind::Message(at) => Column::Message(self.message(*at, &|_| true)?),
            Kind::Unread => Column::Skipped(0),
        })
    }
}

/// The places of the fields that one excludes.
fn rivals(message: &Message, field: &Field) -> Box<[usize]> {
    let is_rival = |other: &Field| field.oneof.is_some() && other.oneof == field.oneof && other.number != field.number;
    message.fields.iter().enumerate().filter(|(_, other)| is_rival(other)).map(|(at, _)| at).collect()
}

/// A default of a schema as a record would have it.
fn written(kind: &Kind, text: &str) -> Result<Box<[u8]>, String> {
    use super::schema::Code::{Fixed, Zigzag};
    let wrong = || format!("`{text}` is no default of its type");
    let whole = || text.parse::<i64>().map_err(|_| wrong());
    let natural = || text.parse::<u64>().map_err(|_| wrong());
    let decimal = || text.parse::<f64>().map_err(|_| wrong());
    let zigzag = |n: i64| ((n << 1) ^ (n >> 63)).cast_unsigned();
    #[expect(clippy::cast_possible_truncation, reason = "defaults are of their type")]
    let bytes = match kind {
        Kind::Bool => varint(u64::from(text == "true")),
        Kind::Int(Fixed) => (whole()? as i32).to_le_bytes().to_vec(),
        Kind::Long(Fixed) => whole()?.to_le_bytes().to_vec(),
        Kind::Int(Zigzag) | Kind::Long(Zigzag) => varint(zigzag(whole()?)),
        Kind::Int(_) | Kind::Long(_) => varint(whole()?.cast_unsigned()),
        Kind::Unsigned(Fixed) => (natural()? as u32).to_le_bytes().to_vec(),
        Kind::UnsignedLong(Fixed) => natural()?.to_le_bytes().to_vec(),
        Kind::Unsigned(_) | Kind::UnsignedLong(_) => varint(natural()?),
        Kind::Float => (decimal()? as f32).to_le_bytes().to_vec(),
        Kind::Double => decimal()?.to_le_bytes().to_vec(),
        Kind::Text | Kind::Bytes => [varint(text.len() as u64), text.as_bytes().to_vec()].concat(),
        Kind::Enum(names) => {
            let (number, _) = names.iter().find(|(_, name)| *name == text).ok_or_else(wrong)?;
            varint(i64::from(*number).cast_unsigned())
        }
        _ => return Err(wrong()),
    };
    Ok(bytes.into())
}

#[expect(clippy::cast_possible_truncation, reason = "seven bits at a time")]
fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}
