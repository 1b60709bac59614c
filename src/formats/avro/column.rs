//! Values of one type on their way into an Arrow column. What a record has put into it before it turns out to be
//! damaged can be taken out again.

use std::sync::Arc;

use arrow_array::builder::StringBuilder;
use arrow_array::types::{Date32Type, Decimal256Type, Float32Type, Float64Type, Int32Type, Int64Type};
use arrow_array::{
    Array as _, ArrayRef, BooleanArray, DictionaryArray, Int32Array, NullArray, PrimitiveArray, StringArray,
};
use arrow_buffer::{NullBuffer, i256};
use arrow_schema::TimeUnit;

use super::cursor::AvroCursor;
use super::schema::{Schema, Type, TypeIndex};
use crate::arrays::{
    BadValue, ByteStrings, after, again, blobs, end, list, moments, primitive, structure, texts, with_nulls,
};
use crate::schema::hyphened;

/// Values of one type.
#[derive(Debug)]
pub(super) enum AvroColumn {
    Null(usize),
    /// Nobody reads it.
    Skipped(TypeIndex),
    Boolean(Vec<bool>),
    Int(Vec<i32>),
    Date(Vec<i32>),
    Long(Vec<i64>),
    Timestamp(Vec<i64>, TimeUnit, bool),
    Float(Vec<f32>),
    Double(Vec<f64>),
    Bytes(ByteStrings),
    Text(ByteStrings),
    Fixed(ByteStrings, usize),
    Uuid(ByteStrings),
    Decimal {
        values: Vec<i256>,
        digits: u8,
        scale: i8,
        bytes: Option<usize>,
    },
    Enum(Vec<i32>, Arc<[String]>),
    List {
        ends: Vec<i32>,
        items: Box<AvroColumn>,
    },
    /// A list of entries of a key and a value.
    Map {
        ends: Vec<i32>,
        keys: ByteStrings,
        values: Box<AvroColumn>,
    },
    Record {
        fields: Vec<(String, AvroColumn)>,
        len: usize,
    },
    /// Of two branches at most: a value or none.
    Optional {
        is_there: Vec<bool>,
        branches: Vec<bool>,
        value: Box<AvroColumn>,
    },
    /// Of several kinds of scalars, as texts; the types of the branches.
    Written {
        texts: Vec<Option<String>>,
        branches: Vec<TypeIndex>,
    },
    /// Of several kinds: a field for each.
    Kinds {
        kinds: Vec<(String, AvroColumn)>,
        chosen: Vec<i32>,
    },
}

/// A scalar as a text.
fn written(kind: &Type, cursor: &mut AvroCursor<'_>) -> Result<Option<String>, BadValue> {
    Ok(match kind {
        Type::Boolean => Some(cursor.boolean()?.to_string()),
        Type::Int => Some(cursor.int()?.to_string()),
        Type::Long => Some(cursor.long()?.to_string()),
        Type::Float => Some(f64::from(cursor.float()?).to_string()),
        Type::Double => Some(cursor.double()?.to_string()),
        Type::Text => Some(cursor.text()?.to_owned()),
        Type::Enum(symbols) => Some(symbols[cursor.choice(symbols.len())?].clone()),
        _ => None,
    })
}

/// The value of a decimal: a whole number, the largest byte first.
fn whole(bytes: &[u8]) -> Result<i256, BadValue> {
    let sign = bytes.first().map_or(0, |first| if first & 0x80 == 0 { 0 } else { 0xff });
    let mut wide = [sign; 32];
    let extra = bytes.len().saturating_sub(wide.len());
    if bytes[..extra].iter().any(|byte| *byte != sign) {
        return Err("a decimal of too many digits");
    }
    let bytes = &bytes[extra..];
    wide[32 - bytes.len()..].copy_from_slice(bytes);
    Ok(i256::from_be_bytes(wide))
}

impl AvroColumn {
    /// How many values one of this type may take.
    fn width(&self) -> usize {
        let of = |parts: &[(String, Self)]| parts.iter().map(|(_, part)| part.width()).sum::<usize>().max(1);
        match self {
            Self::Record { fields, .. } => of(fields),
            Self::Kinds { kinds, .. } => of(kinds),
            Self::Optional { value, .. } => value.width(),
            _ => 1,
        }
    }

    /// Reads a value.
    pub(super) fn read(&mut self, schema: &Schema, cursor: &mut AvroCursor<'_>) -> Result<(), BadValue> {
        match self {
            Self::Null(n) => *n += 1,
            Self::Skipped(at) => cursor.skip(schema, *at, 0)?,
            Self::Boolean(values) => values.push(cursor.boolean()?),
            Self::Int(values) | Self::Date(values) => values.push(cursor.int()?),
            Self::Long(values) | Self::Timestamp(values, ..) => values.push(cursor.long()?),
            Self::Float(values) => values.push(cursor.float()?),
            Self::Double(values) => values.push(cursor.double()?),
            Self::Bytes(pieces) => pieces.push(cursor.bytes()?)?,
            Self::Text(pieces) => pieces.push(cursor.text()?.as_bytes())?,
            Self::Fixed(pieces, n) => pieces.push(cursor.take(*n)?)?,
            Self::Uuid(pieces) => {
                let bytes = cursor.take(16)?.try_into().expect("sixteen bytes");
                pieces.push(hyphened(u128::from_be_bytes(bytes)).as_bytes())?;
            }
            Self::Decimal { values, bytes, .. } => {
                let bytes = if let Some(n) = *bytes { cursor.take(n) } else { cursor.bytes() };
                values.push(whole(bytes?)?);
            }
            Self::Enum(values, symbols) => {
                values.push(i32::try_from(cursor.choice(symbols.len())?).map_err(|_| "a choice that there is not")?);
            }
            Self::List { ends, items } => {
                let n = blocks(cursor, items.width(), |cursor| items.read(schema, cursor))?;
                ends.push(after(ends, n)?);
            }
            Self::Map { ends, keys, values } => {
                let n = blocks(cursor, values.width() + 1, |cursor| {
                    keys.push(cursor.text()?.as_bytes())?;
                    values.read(schema, cursor)
                })?;
                ends.push(after(ends, n)?);
            }
            Self::Record { fields, len } => {
                fields.iter_mut().try_for_each(|(_, field)| field.read(schema, cursor))?;
                *len += 1;
            }
            Self::Optional { is_there, branches, value } => {
                let is_value = branches[cursor.choice(branches.len())?];
                if is_value {
                    value.read(schema, cursor)?;
                } else {
                    value.push_none();
                }
                is_there.push(is_value);
            }
            Self::Written { texts, branches } => {
                let branch = branches[cursor.choice(branches.len())?];
                texts.push(written(schema.kind(branch), cursor)?);
            }
            Self::Kinds { kinds, chosen } => {
                let choice = cursor.choice(kinds.len())?;
                for (at, (_, kind)) in kinds.iter_mut().enumerate() {
                    if at == choice { kind.read(schema, cursor)? } else { kind.push_none() }
                }
                chosen.push(i32::try_from(choice).map_err(|_| "a choice that there is not")?);
            }
        }
        Ok(())
    }

    /// Puts something where there is no value; what it is nobody sees.
    fn push_none(&mut self) {
        match self {
            Self::Null(n) => *n += 1,
            Self::Skipped(_) => {}
            Self::Boolean(values) => values.push(false),
            Self::Int(values) | Self::Date(values) | Self::Enum(values, _) => values.push(0),
            Self::Long(values) | Self::Timestamp(values, ..) => values.push(0),
            Self::Float(values) => values.push(0.0),
            Self::Double(values) => values.push(0.0),
            Self::Bytes(pieces) | Self::Text(pieces) | Self::Fixed(pieces, _) | Self::Uuid(pieces) => {
                pieces.push_none();
            }
            Self::Decimal { values, .. } => values.push(i256::ZERO),
            Self::List { ends, .. } | Self::Map { ends, .. } => again(ends),
            Self::Record { fields, len } => {
                fields.iter_mut().for_each(|(_, field)| field.push_none());
                *len += 1;
            }
            Self::Optional { is_there, value, .. } => {
                value.push_none();
                is_there.push(false);
            }
            Self::Written { texts, .. } => texts.push(None),
            Self::Kinds { kinds, chosen } => {
                kinds.iter_mut().for_each(|(_, kind)| kind.push_none());
                chosen.push(-1);
            }
        }
    }

    /// Keeps the first values only.
    pub(super) fn truncate(&mut self, n: usize) {
        match self {
            Self::Null(len) => *len = n.min(*len),
            Self::Skipped(_) => {}
            Self::Boolean(values) => values.truncate(n),
            Self::Int(values) | Self::Date(values) | Self::Enum(values, _) => values.truncate(n),
            Self::Long(values) | Self::Timestamp(values, ..) => values.truncate(n),
            Self::Float(values) => values.truncate(n),
            Self::Double(values) => values.truncate(n),
            Self::Bytes(pieces) | Self::Text(pieces) | Self::Fixed(pieces, _) | Self::Uuid(pieces) => {
                pieces.truncate(n);
            }
            Self::Decimal { values, .. } => values.truncate(n),
            Self::List { ends, items } => {
                ends.truncate(n);
                items.truncate(end(ends, n));
            }
            Self::Map { ends, keys, values } => {
                ends.truncate(n);
                let entries = end(ends, n);
                keys.truncate(entries);
                values.truncate(entries);
            }
            Self::Record { fields, len } => {
                fields.iter_mut().for_each(|(_, field)| field.truncate(n));
                *len = n.min(*len);
            }
            Self::Optional { is_there, value, .. } => {
                is_there.truncate(n);
                value.truncate(n);
            }
            Self::Written { texts, .. } => texts.truncate(n),
            Self::Kinds { kinds, chosen } => {
                kinds.iter_mut().for_each(|(_, kind)| kind.truncate(n));
                chosen.truncate(n);
            }
        }
    }

    /// The values as an Arrow column; none where nobody reads them.
    pub(super) fn finish(&mut self) -> Option<ArrayRef> {
        Some(match self {
            Self::Null(n) => Arc::new(NullArray::new(std::mem::take(n))),
            Self::Skipped(_) => return None,
            Self::Boolean(values) => Arc::new(BooleanArray::from(std::mem::take(values))),
            Self::Int(values) => primitive::<Int32Type>(values),
            Self::Date(values) => primitive::<Date32Type>(values),
            Self::Long(values) => primitive::<Int64Type>(values),
            Self::Timestamp(values, unit, in_utc) => moments(values, *unit, *in_utc),
            Self::Float(values) => primitive::<Float32Type>(values),
            Self::Double(values) => primitive::<Float64Type>(values),
            Self::Bytes(pieces) | Self::Fixed(pieces, _) => Arc::new(blobs(pieces)),
            Self::Text(pieces) | Self::Uuid(pieces) => Arc::new(texts(pieces)),
            Self::Decimal { values, digits, scale, .. } => {
                let values = PrimitiveArray::<Decimal256Type>::new(std::mem::take(values).into(), None);
                Arc::new(values.with_precision_and_scale(*digits, *scale).expect("digits that were looked at"))
            }
            Self::Enum(values, symbols) => {
                let symbols = StringArray::from_iter_values(symbols.iter());
                let is_none = symbols.is_empty();
                let keys = std::mem::take(values).into_iter().map(|key| (!is_none).then_some(key));
                let keys: Int32Array = keys.collect();
                Arc::new(DictionaryArray::<Int32Type>::new(keys, Arc::new(symbols)))
            }
            Self::List { ends, items } => {
                let n = end(ends, ends.len());
                list(ends, items.finish().unwrap_or_else(|| Arc::new(NullArray::new(n))))
            }
            Self::Map { ends, keys, values } => {
                let keys: ArrayRef = Arc::new(texts(keys));
                let values = values.finish().unwrap_or_else(|| Arc::new(NullArray::new(keys.len())));
                let n = keys.len();
                list(ends, structure(vec![("key".to_owned(), keys), ("value".to_owned(), values)], None, n))
            }
            Self::Record { fields, len } => structure(finished(fields), None, std::mem::take(len)),
            Self::Optional { is_there, value, .. } => {
                let is_there = NullBuffer::from(std::mem::take(is_there));
                with_nulls(&value.finish()?, &is_there)
            }
            Self::Written { texts, .. } => {
                let mut values = StringBuilder::new();
                std::mem::take(texts).iter().for_each(|text| values.append_option(text.as_deref()));
                Arc::new(values.finish())
            }
            Self::Kinds { kinds, chosen } => {
                let chosen = std::mem::take(chosen);
                let one = |(at, (name, kind)): (i32, &mut (String, Self))| {
                    let is_there = NullBuffer::from(chosen.iter().map(|choice| *choice == at).collect::<Vec<_>>());
                    Some((name.clone(), with_nulls(&kind.finish()?, &is_there)))
                };
                let kinds = (0..).zip(kinds).filter_map(one).collect();
                structure(kinds, None, chosen.len())
            }
        })
    }
}

/// Reads the items of a list, and says how many there were.
fn blocks(
    cursor: &mut AvroCursor<'_>,
    width: usize,
    mut read: impl FnMut(&mut AvroCursor<'_>) -> Result<(), BadValue>,
) -> Result<usize, BadValue> {
    let mut n = 0_usize;
    loop {
        let (count, bytes) = cursor.block()?;
        if count == 0 {
            return Ok(n);
        }
        cursor.budget.expect(count.saturating_mul(width))?;
        let left = cursor.left();
        (0..count).try_for_each(|_| read(cursor))?;
        if bytes.is_some_and(|bytes| bytes != left - cursor.left()) {
            return Err("a block that is not as long as it says");
        }
        n += count;
    }
}

/// The columns of those fields that somebody reads.
pub(super) fn finished(fields: &mut [(String, AvroColumn)]) -> Vec<(String, ArrayRef)> {
    fields.iter_mut().filter_map(|(name, field)| Some((name.clone(), field.finish()?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decimal_is_a_whole_number_with_its_sign_in_front() {
        for (bytes, number) in [
            (&[][..], 0),
            (&[0], 0),
            (&[1], 1),
            (&[0xff], -1),
            (&[0x7f, 0xff], 32_767),
            (&[0x80, 0], -32_768),
            (&[0, 0x80, 0], 32_768),
        ] {
            assert_eq!(whole(bytes), Ok(i256::from_i128(number)), "{bytes:?}");
        }
    }

    #[test]
    fn a_decimal_may_be_written_longer_than_it_is_but_not_be_larger_than_is_held() {
        for (sign, number) in [(0, 5), (0xff, -251)] {
            let long = [vec![sign; 60], vec![5]].concat();
            assert_eq!(whole(&long), Ok(i256::from_i128(number)));
        }
        let most = [vec![0x7f], vec![0xff; 31]].concat();
        assert_eq!(whole(&most), Ok(i256::MAX));
        for extra in [[1], [0x7f], [0x80], [0xfe]] {
            assert_eq!(whole(&[&extra[..], &most].concat()), Err("a decimal of too many digits"), "{extra:?}");
        }
    }

    #[test]
    fn what_has_no_value_is_as_long_as_what_has_and_goes_again() {
        let mut columns = [
            AvroColumn::Null(0),
            AvroColumn::Boolean(Vec::new()),
            AvroColumn::Int(Vec::new()),
            AvroColumn::Long(Vec::new()),
            AvroColumn::Double(Vec::new()),
            AvroColumn::Text(ByteStrings::default()),
            AvroColumn::Uuid(ByteStrings::default()),
            AvroColumn::Decimal { values: Vec::new(), digits: 9, scale: 2, bytes: None },
            AvroColumn::Enum(Vec::new(), Arc::from(["a".to_owned()])),
            AvroColumn::Enum(Vec::new(), Arc::from([])),
            AvroColumn::List { ends: Vec::new(), items: Box::new(AvroColumn::Int(Vec::new())) },
            AvroColumn::Map {
                ends: Vec::new(),
                keys: ByteStrings::default(),
                values: Box::new(AvroColumn::Int(Vec::new())),
            },
            AvroColumn::Record { fields: vec![("x".to_owned(), AvroColumn::Int(Vec::new()))], len: 0 },
            AvroColumn::Optional {
                is_there: Vec::new(),
                branches: vec![false, true],
                value: Box::new(AvroColumn::Long(Vec::new())),
            },
            AvroColumn::Written { texts: Vec::new(), branches: Vec::new() },
            AvroColumn::Kinds { kinds: vec![("int".to_owned(), AvroColumn::Int(Vec::new()))], chosen: Vec::new() },
        ];
        for column in &mut columns {
            let shown = format!("{column:?}");
            (0..5).for_each(|_| column.push_none());
            column.truncate(3);
            column.push_none();
            assert_eq!(column.finish().map(|array| array.len()), Some(4), "{shown}");
            assert_eq!(column.finish().map(|array| array.len()), Some(0), "finished, it begins anew: {shown}");
        }
    }
}
