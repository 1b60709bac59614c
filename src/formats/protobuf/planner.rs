//! Which columns the values of a schema go to.

use std::sync::Arc;

use super::column::{self, ValueBuilder};
use super::schema::{Field, FieldType, Message, MessageIndex, Presence, ProtobufSchema};
use super::wire::DEPTH_MAX;
use crate::arrays::ByteStrings;

/// The most columns that a schema may need: messages that name each other may make very many.
const COLUMNS_MAX: usize = 1 << 16;

/// Makes columns for the messages of a schema.
pub(super) struct MessagePlanner<'a> {
    schema: &'a ProtobufSchema,
    /// The messages that a field stands in.
    around: Vec<MessageIndex>,
    columns: usize,
}

impl<'a> MessagePlanner<'a> {
    pub(super) fn new(schema: &'a ProtobufSchema) -> Self {
        Self { schema, around: Vec::new(), columns: 0 }
    }

    /// Columns for a message, of which those fields are read that `reads` names.
    pub(super) fn message(
        &mut self,
        at: MessageIndex,
        reads: &dyn Fn(&str) -> bool,
    ) -> Result<column::MessageBuilder, String> {
        let message = self.schema.message(at);
        self.around.push(at);
        let field = |field: &Field| {
            let column = if reads(&field.name) { self.field(field)? } else { ValueBuilder::Skipped(0) };
            let is_read = !matches!(column, ValueBuilder::Skipped(_));
            let default = field.default.as_deref().filter(|_| is_read && field.presence == Presence::Explicit);
            let default = default.map(|text| written(&field.kind, text)).transpose();
            Ok(column::FieldBuilder {
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
        Ok(column::MessageBuilder { fields, len: 0 })
    }

    fn field(&mut self, field: &Field) -> Result<ValueBuilder, String> {
        Ok(match self.column(&field.kind)? {
            ValueBuilder::Skipped(len) => ValueBuilder::Skipped(len),
            items if field.presence == Presence::Repeated => {
                ValueBuilder::List { ends: Vec::new(), items: Box::new(items) }
            }
            one => one,
        })
    }

    /// A column for a type. What stands in itself is read once, and not within.
    fn column(&mut self, kind: &FieldType) -> Result<ValueBuilder, String> {
        self.columns += 1;
        if self.columns > COLUMNS_MAX {
            return Err(format!("more than {COLUMNS_MAX} fields"));
        }
        Ok(match kind {
            FieldType::Bool => ValueBuilder::Bool(Vec::new()),
            FieldType::Int(code) => ValueBuilder::Int(Vec::new(), *code),
            FieldType::Long(code) => ValueBuilder::Long(Vec::new(), *code),
            FieldType::Unsigned(code) => ValueBuilder::Unsigned(Vec::new(), *code),
            FieldType::UnsignedLong(code) => ValueBuilder::UnsignedLong(Vec::new(), *code),
            FieldType::Float => ValueBuilder::Float(Vec::new()),
            FieldType::Double => ValueBuilder::Double(Vec::new()),
            FieldType::Text => ValueBuilder::Text(ByteStrings::default()),
            FieldType::Bytes => ValueBuilder::Bytes(ByteStrings::default()),
            FieldType::Hex => ValueBuilder::Hex(ByteStrings::default()),
            FieldType::Enum(names) => ValueBuilder::Enum(Vec::new(), Arc::clone(names)),
            FieldType::Timestamp => ValueBuilder::Timestamp(Vec::new()),
            FieldType::Duration => ValueBuilder::Duration(Vec::new()),
            FieldType::Json(json) => ValueBuilder::Json(ByteStrings::default(), *json),
            FieldType::Wrapped(kind) => ValueBuilder::Wrapped(Box::new(self.column(kind)?)),
            FieldType::Message(at) if self.around.contains(at) => ValueBuilder::Skipped(0),
            FieldType::Message(_) if self.around.len() >= DEPTH_MAX as usize => ValueBuilder::Skipped(0),
            FieldType::Message(at) => ValueBuilder::Message(self.message(*at, &|_| true)?),
            FieldType::Unread => ValueBuilder::Skipped(0),
        })
    }
}

/// The places of the fields that one excludes.
fn rivals(message: &Message, field: &Field) -> Box<[usize]> {
    let is_rival = |other: &Field| field.oneof.is_some() && other.oneof == field.oneof && other.number != field.number;
    message.fields.iter().enumerate().filter(|(_, other)| is_rival(other)).map(|(at, _)| at).collect()
}

/// A default of a schema as a record would have it.
fn written(kind: &FieldType, text: &str) -> Result<Box<[u8]>, String> {
    use super::schema::Code::{Fixed, Zigzag};
    let wrong = || format!("`{text}` is no default of its type");
    let whole = || text.parse::<i64>().map_err(|_| wrong());
    let natural = || text.parse::<u64>().map_err(|_| wrong());
    let decimal = || text.parse::<f64>().map_err(|_| wrong());
    let zigzag = |n: i64| ((n << 1) ^ (n >> 63)).cast_unsigned();
    #[expect(clippy::cast_possible_truncation, reason = "defaults are of their type")]
    let bytes = match kind {
        FieldType::Bool => varint(u64::from(text == "true")),
        FieldType::Int(Fixed) => (whole()? as i32).to_le_bytes().to_vec(),
        FieldType::Long(Fixed) => whole()?.to_le_bytes().to_vec(),
        FieldType::Int(Zigzag) | FieldType::Long(Zigzag) => varint(zigzag(whole()?)),
        FieldType::Int(_) | FieldType::Long(_) => varint(whole()?.cast_unsigned()),
        FieldType::Unsigned(Fixed) => (natural()? as u32).to_le_bytes().to_vec(),
        FieldType::UnsignedLong(Fixed) => natural()?.to_le_bytes().to_vec(),
        FieldType::Unsigned(_) | FieldType::UnsignedLong(_) => varint(natural()?),
        FieldType::Float => (decimal()? as f32).to_le_bytes().to_vec(),
        FieldType::Double => decimal()?.to_le_bytes().to_vec(),
        FieldType::Text | FieldType::Bytes => [varint(text.len() as u64), text.as_bytes().to_vec()].concat(),
        FieldType::Enum(names) => {
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
