//! Values of one type on their way into an Arrow column. What a record has put into it before it turns out to be
//! damaged can be taken out again.
//!
//! Fields come in any order, more than once, or not at all. So a message is open while it is read: of a field that has
//! come the column is one value longer than the rows that are closed. A scalar that comes again takes the place of the
//! one before, a message that comes again is read on. What has not come is filled in when the message is closed.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::types::{Float32Type, Float64Type, Int32Type, Int64Type, UInt32Type, UInt64Type};
use arrow_array::{ArrayRef, BooleanArray, DictionaryArray, Int32Array, NullArray, StringArray};
use arrow_buffer::NullBuffer;
use arrow_schema::TimeUnit;

use super::schema::{Code, EnumNames, Json, Presence};
use super::wire::{Tag, Wire, WireType};
use super::{json, time};
use crate::arrays::{BadValue, ByteStrings, after, blobs, end, list, moments, primitive, structure, texts, with_nulls};

/// Values of one type.
#[derive(Debug)]
pub(super) enum ValueBuilder {
    /// Nobody reads it; the rows in which it has come or was filled in.
    Skipped(usize),
    Bool(Vec<bool>),
    Int(Vec<i32>, Code),
    Long(Vec<i64>, Code),
    Unsigned(Vec<u32>, Code),
    UnsignedLong(Vec<u64>, Code),
    Float(Vec<f32>),
    Double(Vec<f64>),
    Text(ByteStrings),
    Bytes(ByteStrings),
    /// Texts of hexadecimal digits.
    Hex(ByteStrings),
    Enum(Vec<i32>, EnumNames),
    /// Microseconds since 1970.
    Timestamp(Vec<i64>),
    /// Seconds.
    Duration(Vec<f64>),
    /// Texts of JSON.
    Json(ByteStrings, Json),
    /// The only field of a message.
    Wrapped(Box<ValueBuilder>),
    List {
        ends: Vec<i32>,
        items: Box<ValueBuilder>,
    },
    Message(MessageBuilder),
}

/// Values of a message.
#[derive(Debug)]
pub(super) struct MessageBuilder {
    /// By their numbers.
    pub(super) fields: Vec<FieldBuilder>,
    /// Rows that are closed.
    pub(super) len: usize,
}

/// Values of a field.
#[derive(Debug)]
pub(super) struct FieldBuilder {
    pub(super) name: String,
    pub(super) number: u32,
    pub(super) column: ValueBuilder,
    pub(super) presence: Presence,
    /// Of fields that may be missing, or must not be: where they are there.
    pub(super) is_there: Vec<bool>,
    /// What it is where it is not there, as it would be written.
    pub(super) default: Option<Box<[u8]>>,
    /// The places of the fields that it excludes.
    pub(super) rivals: Box<[usize]>,
}

const MISMATCH: BadValue = "a field is of another type than its schema says";

impl ValueBuilder {
    /// How a value of this type is written.
    fn kind(&self) -> WireType {
        match self {
            Self::Int(_, Code::Fixed) | Self::Unsigned(_, Code::Fixed) | Self::Float(_) => WireType::Fixed32,
            Self::Long(_, Code::Fixed) | Self::UnsignedLong(_, Code::Fixed) | Self::Double(_) => WireType::Fixed64,
            Self::Bool(_)
            | Self::Enum(..)
            | Self::Int(..)
            | Self::Long(..)
            | Self::Unsigned(..)
            | Self::UnsignedLong(..) => WireType::Varint,
            _ => WireType::Bytes,
        }
    }

    /// How many values one of this type may take.
    fn width(&self) -> usize {
        if let Self::Message(message) = self { message.width() } else { 1 }
    }

    /// Reads a value.
    #[expect(clippy::cast_possible_truncation, reason = "as the format says: the lower bits count")]
    fn read(&mut self, wire: &mut Wire<'_>) -> Result<(), BadValue> {
        match self {
            Self::Bool(values) => values.push(wire.varint()? != 0),
            Self::Int(values, code) => values.push(match code {
                Code::Plain => wire.varint()? as i32,
                Code::Zigzag => wire.zigzag()? as i32,
                Code::Fixed => i32::from_le_bytes(wire.fixed()?),
            }),
            Self::Long(values, code) => values.push(match code {
                Code::Plain => wire.varint()?.cast_signed(),
                Code::Zigzag => wire.zigzag()?,
                Code::Fixed => i64::from_le_bytes(wire.fixed()?),
            }),
            Self::Unsigned(values, code) => values.push(match code {
                Code::Fixed => u32::from_le_bytes(wire.fixed()?),
                _ => wire.varint()? as u32,
            }),
            Self::UnsignedLong(values, code) => values.push(match code {
                Code::Fixed => u64::from_le_bytes(wire.fixed()?),
                _ => wire.varint()?,
            }),
            Self::Float(values) => values.push(f32::from_le_bytes(wire.fixed()?)),
            Self::Double(values) => values.push(f64::from_le_bytes(wire.fixed()?)),
            Self::Text(pieces) => pieces.push(wire.text()?.as_bytes())?,
            Self::Bytes(pieces) => pieces.push(wire.bytes()?)?,
            Self::Hex(pieces) => {
                let digits = wire.bytes()?.iter().flat_map(|byte| [byte >> 4, byte & 15]);
                let digits: Vec<u8> = digits.map(|digit| b"0123456789abcdef"[usize::from(digit)]).collect();
                pieces.push(&digits)?;
            }
            Self::Enum(values, _) => values.push(wire.varint()? as i32),
            Self::Timestamp(values) => values.push(wire.within(time::micros)?),
            Self::Duration(values) => values.push(wire.within(time::seconds)?),
            Self::Json(pieces, kind) => {
                let value = wire.within(|wire| json::value(wire, *kind, 0))?;
                pieces.push(value.to_string().as_bytes())?;
            }
            Self::Wrapped(value) => wire.within(|wire| unwrap(value, wire))?,
            Self::Message(message) => {
                wire.within(|wire| message.read(wire))?;
                message.close()?;
            }
            Self::Skipped(_) | Self::List { .. } => unreachable!("these are no single values"),
        }
        Ok(())
    }

    fn len(&self) -> usize {
        match self {
            Self::Skipped(len) => *len,
            Self::Bool(values) => values.len(),
            Self::Int(values, _) | Self::Enum(values, _) => values.len(),
            Self::Long(values, _) | Self::Timestamp(values) => values.len(),
            Self::Unsigned(values, _) => values.len(),
            Self::UnsignedLong(values, _) => values.len(),
            Self::Float(values) => values.len(),
            Self::Double(values) | Self::Duration(values) => values.len(),
            Self::Text(pieces) | Self::Bytes(pieces) | Self::Hex(pieces) | Self::Json(pieces, _) => pieces.len(),
            Self::Wrapped(value) => value.len(),
            Self::List { ends, .. } => ends.len(),
            Self::Message(message) => message.len,
        }
    }

    /// Puts nothing, zero or false where there is no value.
    fn push_none(&mut self) {
        match self {
            Self::Skipped(len) => *len += 1,
            Self::Bool(values) => values.push(false),
            Self::Int(values, _) | Self::Enum(values, _) => values.push(0),
            Self::Long(values, _) | Self::Timestamp(values) => values.push(0),
            Self::Unsigned(values, _) => values.push(0),
            Self::UnsignedLong(values, _) => values.push(0),
            Self::Float(values) => values.push(0.0),
            Self::Double(values) | Self::Duration(values) => values.push(0.0),
            Self::Text(pieces) | Self::Bytes(pieces) | Self::Hex(pieces) | Self::Json(pieces, _) => pieces.push_none(),
            Self::Wrapped(value) => value.push_none(),
            Self::List { ends, .. } => ends.push(ends.last().copied().unwrap_or(0)),
            Self::Message(message) => {
                for field in &mut message.fields {
                    field.column.push_none();
                    if field.is_noted() {
                        field.is_there.push(false);
                    }
                }
                message.len += 1;
            }
        }
    }

    /// Keeps the first values only.
    fn truncate(&mut self, n: usize) {
        match self {
            Self::Skipped(len) => *len = n.min(*len),
            Self::Bool(values) => values.truncate(n),
            Self::Int(values, _) | Self::Enum(values, _) => values.truncate(n),
            Self::Long(values, _) | Self::Timestamp(values) => values.truncate(n),
            Self::Unsigned(values, _) => values.truncate(n),
            Self::UnsignedLong(values, _) => values.truncate(n),
            Self::Float(values) => values.truncate(n),
            Self::Double(values) | Self::Duration(values) => values.truncate(n),
            Self::Text(pieces) | Self::Bytes(pieces) | Self::Hex(pieces) | Self::Json(pieces, _) => pieces.truncate(n),
            Self::Wrapped(value) => value.truncate(n),
            Self::List { ends, items } => {
                ends.truncate(n);
                items.truncate(end(ends, n));
            }
            Self::Message(message) => message.truncate(n),
        }
    }

    /// The values as an Arrow column; none where nobody reads them.
    fn finish(&mut self) -> Option<ArrayRef> {
        Some(match self {
            Self::Skipped(len) => {
                *len = 0;
                return None;
            }
            Self::Bool(values) => Arc::new(BooleanArray::from(std::mem::take(values))),
            Self::Int(values, _) => primitive::<Int32Type>(values),
            Self::Long(values, _) => primitive::<Int64Type>(values),
            Self::Unsigned(values, _) => primitive::<UInt32Type>(values),
            Self::UnsignedLong(values, _) => primitive::<UInt64Type>(values),
            Self::Float(values) => primitive::<Float32Type>(values),
            Self::Double(values) | Self::Duration(values) => primitive::<Float64Type>(values),
            Self::Text(pieces) | Self::Hex(pieces) | Self::Json(pieces, _) => Arc::new(texts(pieces)),
            Self::Bytes(pieces) => Arc::new(blobs(pieces)),
            Self::Enum(values, names) => Arc::new(named(&std::mem::take(values), names)),
            Self::Timestamp(values) => moments(values, TimeUnit::Microsecond, true),
            Self::Wrapped(value) => value.finish()?,
            Self::List { ends, items } => {
                let n = end(ends, ends.len());
                list(ends, items.finish().unwrap_or_else(|| Arc::new(NullArray::new(n))))
            }
            Self::Message(message) => {
                let len = message.len;
                structure(message.finish(), None, len)
            }
        })
    }
}

/// The only field of a message, zero where it is not there.
fn unwrap(value: &mut ValueBuilder, wire: &mut Wire<'_>) -> Result<(), BadValue> {
    let n = value.len();
    while let Some(tag) = wire.tag()? {
        match tag {
            Tag { number: 1, kind } if kind == value.kind() => {
                value.truncate(n);
                value.read(wire)?;
            }
            Tag { number: 1, .. } => return Err(MISMATCH),
            tag => wire.skip(tag)?,
        }
    }
    if value.len() == n {
        value.push_none();
    }
    Ok(())
}

/// Names in place of numbers; a number that has none is written.
fn named(values: &[i32], names: &EnumNames) -> DictionaryArray<Int32Type> {
    let mut texts: Vec<String> = names.values().cloned().collect();
    let mut places: BTreeMap<i32, i32> = (0..).zip(names.keys()).map(|(at, n)| (*n, at)).collect();
    let place = |value: &i32| {
        *places.entry(*value).or_insert_with(|| {
            texts.push(value.to_string());
            i32::try_from(texts.len() - 1).expect("fewer names than values and names of a schema")
        })
    };
    let keys: Int32Array = values.iter().map(place).collect::<Vec<_>>().into();
    DictionaryArray::new(keys, Arc::new(StringArray::from_iter_values(texts)))
}

impl FieldBuilder {
    /// Whether it is noted where it is there.
    fn is_noted(&self) -> bool {
        let may_lack = matches!(self.presence, Presence::Explicit | Presence::Required);
        may_lack && !matches!(self.column, ValueBuilder::Skipped(_))
    }

    /// Whether it has come in the row that is open.
    fn has_come(&self, row: usize) -> bool {
        if self.is_noted() { self.is_there.len() > row } else { self.column.len() > row }
    }

    fn take_back(&mut self, row: usize) {
        self.column.truncate(row);
        self.is_there.truncate(row);
    }

    /// Reads a value into the row that is open.
    fn read(&mut self, tag: Tag, wire: &mut Wire<'_>, row: usize) -> Result<(), BadValue> {
        match &mut self.column {
            ValueBuilder::Skipped(len) => {
                *len = row + 1;
                return wire.skip(tag);
            }
            ValueBuilder::List { items, .. } => return item(items, tag, wire),
            ValueBuilder::Message(message) if tag.kind == WireType::Bytes => wire.within(|wire| message.read(wire))?,
            column if tag.kind == column.kind() => {
                // One that has come is replaced.
                if column.len() > row {
                    column.truncate(row);
                }
                column.read(wire)?;
            }
            _ => return Err(MISMATCH),
        }
        if self.is_noted() && self.is_there.len() == row {
            self.is_there.push(true);
        }
        Ok(())
    }

    /// Ends a row.
    fn close(&mut self, row: usize) -> Result<(), BadValue> {
        if let ValueBuilder::List { ends, items } = &mut self.column {
            let n = items.len() - end(ends, ends.len());
            ends.push(after(ends, n)?);
            return Ok(());
        }
        if self.has_come(row) {
            return if let ValueBuilder::Message(message) = &mut self.column { message.close() } else { Ok(()) };
        }
        if self.presence == Presence::Required {
            return Err("a required field is not there");
        }
        match &self.default {
            Some(written) => self.column.read(&mut Wire::new(written))?,
            None => self.column.push_none(),
        }
        if self.is_noted() {
            self.is_there.push(self.default.is_some());
        }
        Ok(())
    }

    fn finish(&mut self) -> Option<(String, ArrayRef)> {
        let is_there = NullBuffer::from(std::mem::take(&mut self.is_there));
        let column = self.column.finish()?;
        let column = if self.presence == Presence::Explicit { with_nulls(&column, &is_there) } else { column };
        Some((self.name.clone(), column))
    }
}

/// Reads an item of a list, or several that stand one behind the other.
fn item(items: &mut ValueBuilder, tag: Tag, wire: &mut Wire<'_>) -> Result<(), BadValue> {
    if tag.kind == items.kind() {
        wire.budget.expect(items.width())?;
        return items.read(wire);
    }
    if tag.kind != WireType::Bytes {
        return Err(MISMATCH);
    }
    wire.within(|wire| {
        while !wire.is_over() {
            wire.budget.expect(1)?;
            items.read(wire)?;
        }
        Ok(())
    })
}

impl MessageBuilder {
    /// How many values a row takes.
    pub(super) fn width(&self) -> usize {
        self.fields.iter().map(|field| field.column.width()).sum::<usize>().max(1)
    }

    /// Reads a message into the row that is open.
    pub(super) fn read(&mut self, wire: &mut Wire<'_>) -> Result<(), BadValue> {
        let row = self.len;
        let mut next = 0;
        while let Some(tag) = wire.tag()? {
            // Most writers keep the order of the numbers.
            let is_next = self.fields.get(next).is_some_and(|field| field.number == tag.number);
            let found =
                if is_next { Ok(next) } else { self.fields.binary_search_by_key(&tag.number, |field| field.number) };
            let Ok(at) = found else {
                wire.skip(tag)?;
                continue;
            };
            next = at + 1;
            for rival in 0..self.fields[at].rivals.len() {
                let rival = self.fields[at].rivals[rival];
                self.fields[rival].take_back(row);
            }
            self.fields[at].read(tag, wire, row)?;
        }
        Ok(())
    }

    /// Ends the row that is open.
    pub(super) fn close(&mut self) -> Result<(), BadValue> {
        let row = self.len;
        self.fields.iter_mut().try_for_each(|field| field.close(row))?;
        self.len += 1;
        Ok(())
    }

    /// Keeps the first rows only.
    pub(super) fn truncate(&mut self, n: usize) {
        self.fields.iter_mut().for_each(|field| field.take_back(n));
        self.len = n.min(self.len);
    }

    /// The columns of those fields that somebody reads.
    pub(super) fn finish(&mut self) -> Vec<(String, ArrayRef)> {
        self.len = 0;
        self.fields.iter_mut().filter_map(FieldBuilder::finish).collect()
    }
}
