//! The bytes of a value (Apache Avro 1.12, "Binary encoding"), read with a bound on what they may ask for.

use super::schema::{Schema, Type, TypeIndex};
use crate::arrays::BadValue;
use crate::budget::Budget;

/// How deep values may stand in each other: a recursive schema bounds nothing.
const DEPTH_MAX: u32 = 128;

const CUT: BadValue = "it ends too early";

/// Where it is read in the bytes of one record.
pub(super) struct AvroCursor<'a> {
    rest: &'a [u8],
    /// For the items of lists.
    pub(super) budget: Budget,
}

impl<'a> AvroCursor<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, budget: Budget::of(bytes.len()) }
    }

    /// How many bytes are left.
    pub(super) fn left(&self) -> usize {
        self.rest.len()
    }

    pub(super) fn take(&mut self, n: usize) -> Result<&'a [u8], BadValue> {
        let (taken, rest) = self.rest.split_at_checked(n).ok_or(CUT)?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], BadValue> {
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or(CUT)?;
        self.rest = rest;
        Ok(*taken)
    }

    pub(super) fn boolean(&mut self) -> Result<bool, BadValue> {
        match self.array()? {
            [0] => Ok(false),
            [1] => Ok(true),
            _ => Err("a truth value that is neither"),
        }
    }

    pub(super) fn long(&mut self) -> Result<i64, BadValue> {
        let mut value = 0_u64;
        for (shift, &byte) in (0..).step_by(7).zip(self.rest) {
            let bits = u64::from(byte & 0x7f);
            if shift > 63 || shift == 63 && bits > 1 {
                return Err("a number of more than 64 bits");
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                self.rest = &self.rest[shift / 7 + 1..];
                return Ok((value >> 1).cast_signed() ^ -(value & 1).cast_signed());
            }
        }
        Err(CUT)
    }

    pub(super) fn int(&mut self) -> Result<i32, BadValue> {
        self.long()?.try_into().map_err(|_| "an `int` of more than 32 bits")
    }

    /// A number of things, or the place of one.
    pub(super) fn size(&mut self) -> Result<usize, BadValue> {
        self.long()?.try_into().map_err(|_| "a negative length")
    }

    pub(super) fn float(&mut self) -> Result<f32, BadValue> {
        self.array().map(f32::from_le_bytes)
    }

    pub(super) fn double(&mut self) -> Result<f64, BadValue> {
        self.array().map(f64::from_le_bytes)
    }

    pub(super) fn bytes(&mut self) -> Result<&'a [u8], BadValue> {
        let n = self.size()?;
        self.take(n)
    }

    pub(super) fn text(&mut self) -> Result<&'a str, BadValue> {
        str::from_utf8(self.bytes()?).map_err(|_| "a text that is not UTF-8")
    }

    /// Which of so many.
    pub(super) fn choice(&mut self, of: usize) -> Result<usize, BadValue> {
        self.size().ok().filter(|&at| at < of).ok_or("a choice that there is not")
    }

    /// The items of the next block of a list, and their bytes, where that is said; none at the end.
    pub(super) fn block(&mut self) -> Result<(usize, Option<usize>), BadValue> {
        let count = self.long()?;
        let bytes = if count < 0 { Some(self.size()?) } else { None };
        Ok((usize::try_from(count.unsigned_abs()).map_err(|_| CUT)?, bytes))
    }

    /// Passes over a value that nobody reads.
    pub(super) fn skip(&mut self, schema: &Schema, at: TypeIndex, depth: u32) -> Result<(), BadValue> {
        if depth > DEPTH_MAX {
            return Err("values too deep in each other");
        }
        match schema.kind(at) {
            Type::Null => Ok(()),
            Type::Boolean => self.boolean().map(drop),
            Type::Int | Type::Date => self.int().map(drop),
            Type::Enum(symbols) => self.choice(symbols.len()).map(drop),
            Type::Long | Type::Timestamp(..) => self.long().map(drop),
            Type::Float => self.take(4).map(drop),
            Type::Double => self.take(8).map(drop),
            Type::Uuid => self.take(16).map(drop),
            Type::Bytes | Type::Text | Type::Decimal { bytes: None, .. } => self.bytes().map(drop),
            Type::Fixed(n) | Type::Decimal { bytes: Some(n), .. } => self.take(*n).map(drop),
            Type::Array(item) => self.skip_blocks(|cursor| cursor.skip(schema, *item, depth + 1)),
            Type::Map(value) => self.skip_blocks(|cursor| {
                cursor.bytes()?;
                cursor.skip(schema, *value, depth + 1)
            }),
            Type::Union(branches) => {
                let branch = branches[self.choice(branches.len())?];
                self.skip(schema, branch, depth + 1)
            }
            Type::Record(fields) => fields.iter().try_for_each(|(_, field)| self.skip(schema, *field, depth + 1)),
        }
    }

    fn skip_blocks(&mut self, mut skip: impl FnMut(&mut Self) -> Result<(), BadValue>) -> Result<(), BadValue> {
        loop {
            match self.block()? {
                (0, _) => return Ok(()),
                (_, Some(bytes)) => drop(self.take(bytes)?),
                (count, None) => {
                    self.budget.expect(count)?;
                    (0..count).try_for_each(|_| skip(self))?;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_as_the_specification_writes_them() {
        for (bytes, value) in [
            (&[0x00][..], 0),
            (&[0x01], -1),
            (&[0x02], 1),
            (&[0x7f], -64),
            (&[0x80, 0x01], 64),
            (&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01], i64::MIN),
            (&[0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01], i64::MAX),
        ] {
            let mut cursor = AvroCursor::new(bytes);
            assert_eq!((cursor.long(), cursor.left()), (Ok(value), 0));
        }
        let long = [0xff; 11];
        assert_eq!(AvroCursor::new(&long).long(), Err("a number of more than 64 bits"));
        assert_eq!(AvroCursor::new(&long[..3]).long(), Err(CUT));
        assert_eq!(AvroCursor::new(&[0x80, 0x80, 0x80, 0x80, 0x10]).int(), Err("an `int` of more than 32 bits"));
    }

    #[test]
    fn what_is_passed_over_is_as_long_as_it_is() {
        let text = r#"{"type": "record", "name": "R", "fields": [
            {"name": "a", "type": {"type": "array", "items": ["null", "string"]}},
            {"name": "m", "type": {"type": "map", "values": "double"}},
            {"name": "next", "type": ["null", "R"]}]}"#;
        let schema = Schema::read(&[text.to_owned()]).expect("a schema");
        let bytes = [
            4, 0, 2, 2, b'x', 1, 6, 2, 2, b'y', 0, // two items, and one of three bytes
            2, 2, b'k', 0, 0, 0, 0, 0, 0, 0, 0, 0, // a key and a number
            2, 0, 0, 0, // another one, empty
            9,
        ];
        let mut cursor = AvroCursor::new(&bytes);
        assert_eq!((cursor.skip(&schema, schema.root(), 0), cursor.left()), (Ok(()), 1));
        let deep: Vec<u8> = [0, 0, 2].repeat(1 << 16);
        let deep = AvroCursor::new(&deep).skip(&schema, schema.root(), 0);
        assert_eq!(deep, Err("values too deep in each other"));
    }
}
