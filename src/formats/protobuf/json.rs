//! `google.protobuf.Struct`, `Value` and `ListValue` as JSON.

use serde_json::{Map, Number, Value};

use super::schema::Json;
use super::wire::{DEPTH_MAX, Tag, Wire, WireType};
use crate::arrays::BadValue;

/// Reads a message that is a value of JSON.
pub(super) fn value(wire: &mut Wire<'_>, kind: Json, depth: u32) -> Result<Value, BadValue> {
    if depth > DEPTH_MAX {
        return Err("values too deep in each other");
    }
    match kind {
        Json::Object => object(wire, depth),
        Json::List => list(wire, depth),
        Json::Value => any(wire, depth),
    }
}

fn object(wire: &mut Wire<'_>, depth: u32) -> Result<Value, BadValue> {
    let mut object = Map::new();
    while let Some(tag) = wire.tag()? {
        match tag {
            Tag { number: 1, kind: WireType::Bytes } => {
                wire.budget.expect(1)?;
                let (key, value) = wire.within(|wire| entry(wire, depth))?;
                object.insert(key, value);
            }
            tag => wire.skip(tag)?,
        }
    }
    Ok(Value::Object(object))
}

fn entry(wire: &mut Wire<'_>, depth: u32) -> Result<(String, Value), BadValue> {
    let (mut key, mut said) = ("", Value::Null);
    while let Some(tag) = wire.tag()? {
        match tag {
            Tag { number: 1, kind: WireType::Bytes } => key = wire.text()?,
            Tag { number: 2, kind: WireType::Bytes } => {
                said = wire.within(|wire| value(wire, Json::Value, depth + 1))?;
            }
            tag => wire.skip(tag)?,
        }
    }
    Ok((key.to_owned(), said))
}

fn list(wire: &mut Wire<'_>, depth: u32) -> Result<Value, BadValue> {
    let mut items = Vec::new();
    while let Some(tag) = wire.tag()? {
        match tag {
            Tag { number: 1, kind: WireType::Bytes } => {
                wire.budget.expect(1)?;
                items.push(wire.within(|wire| value(wire, Json::Value, depth + 1))?);
            }
            tag => wire.skip(tag)?,
        }
    }
    Ok(Value::Array(items))
}

fn any(wire: &mut Wire<'_>, depth: u32) -> Result<Value, BadValue> {
    let mut said = Value::Null;
    while let Some(tag) = wire.tag()? {
        said = match tag {
            Tag { number: 1, kind: WireType::Varint } => wire.varint().map(|_| Value::Null)?,
            Tag { number: 2, kind: WireType::Fixed64 } => {
                Number::from_f64(f64::from_le_bytes(wire.fixed()?)).map_or(Value::Null, Value::Number)
            }
            Tag { number: 3, kind: WireType::Bytes } => wire.text()?.into(),
            Tag { number: 4, kind: WireType::Varint } => (wire.varint()? != 0).into(),
            Tag { number: 5, kind: WireType::Bytes } => wire.within(|wire| value(wire, Json::Object, depth + 1))?,
            Tag { number: 6, kind: WireType::Bytes } => wire.within(|wire| value(wire, Json::List, depth + 1))?,
            tag => {
                wire.skip(tag)?;
                said
            }
        };
    }
    Ok(said)
}
