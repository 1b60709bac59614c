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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A field of bytes: its number, and what is in it.
    fn field(number: u8, inside: &[u8]) -> Vec<u8> {
        let length = u8::try_from(inside.len()).expect("a short message");
        assert!(length < 0x80, "a length of one byte");
        [&[number << 3 | 2, length], inside].concat()
    }

    fn number(value: f64) -> Vec<u8> {
        [&[2 << 3 | 1][..], &value.to_le_bytes()].concat()
    }

    fn entry(key: &str, value: &[u8]) -> Vec<u8> {
        field(1, &[field(1, key.as_bytes()), field(2, value)].concat())
    }

    fn read(bytes: &[u8], kind: Json) -> Result<Value, BadValue> {
        value(&mut Wire::new(bytes), kind, 0)
    }

    #[test]
    fn every_kind_of_value_is_its_like_in_json() {
        for (bytes, said) in [
            (vec![], Value::Null),
            (vec![1 << 3, 0], Value::Null),
            (number(2.5), json!(2.5)),
            (number(f64::NAN), Value::Null),
            (number(f64::INFINITY), Value::Null),
            (field(3, "é".as_bytes()), json!("é")),
            (vec![4 << 3, 1], json!(true)),
            (vec![4 << 3, 0], json!(false)),
            (field(5, &entry("a", &number(1.0))), json!({ "a": 1.0 })),
            (field(6, &[field(1, &number(1.0)), field(1, &[])].concat()), json!([1.0, null])),
            ([number(1.0), field(3, b"last")].concat(), json!("last")),
            ([number(1.0), field(9, b"later")].concat(), json!(1.0)),
        ] {
            assert_eq!(read(&bytes, Json::Value), Ok(said), "{bytes:?}");
        }
    }

    #[test]
    fn the_last_of_equal_keys_counts_and_a_key_without_a_value_is_null() {
        let bytes = [entry("a", &number(1.0)), entry("a", &number(2.0)), field(1, &field(1, b"b"))].concat();
        assert_eq!(read(&bytes, Json::Object), Ok(json!({ "a": 2.0, "b": null })));
        assert_eq!(read(&[], Json::Object), Ok(json!({})));
        assert_eq!(read(&[], Json::List), Ok(json!([])));
    }

    #[test]
    fn what_is_damaged_or_too_deep_is_refused() {
        assert!(read(&[3 << 3 | 2, 9, b'a'], Json::Value).is_err(), "cut off");
        assert_eq!(read(&field(3, &[0xff]), Json::Value), Err("a text that is not UTF-8"));
        let at = |depth| value(&mut Wire::new(&[]), Json::Value, depth);
        assert_eq!((at(DEPTH_MAX), at(DEPTH_MAX + 1)), (Ok(Value::Null), Err("values too deep in each other")));
        let nested = (0..20).fold(Vec::new(), |inside: Vec<u8>, _| field(6, &field(1, &inside)));
        let mut found = read(&nested, Json::Value).expect("twenty lists");
        for _ in 0..20 {
            found = found[0].take();
        }
        assert_eq!(found, Value::Null);
    }
}
