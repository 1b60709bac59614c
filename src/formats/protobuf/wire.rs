//! The wire format of Protobuf (protobuf.dev, "Encoding"), read with a bound on what it may ask for.

use crate::arrays::BadValue;
use crate::budget::Budget;

/// How deep messages may stand in each other, as in Google's readers.
pub(super) const DEPTH_MAX: u32 = 100;

const CUT: BadValue = "it ends too early";
const LONG: BadValue = "a number of more than 64 bits";

/// How a value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WireType {
    Varint = 0,
    Fixed64 = 1,
    Bytes = 2,
    Group = 3,
    Fixed32 = 5,
}

/// What stands before a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tag {
    pub(super) number: u32,
    pub(super) kind: WireType,
}

/// A place in the bytes of one record.
pub(super) struct Wire<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Where the message ends that is being read.
    end: usize,
    /// For the values of lists.
    pub(super) budget: Budget,
}

impl<'a> Wire<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, end: bytes.len(), budget: Budget::of(bytes.len()) }
    }

    /// How many bytes were read.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// Whether the message is over.
    pub(super) fn is_over(&self) -> bool {
        self.at == self.end
    }

    /// What is left of the message.
    fn rest(&self) -> &'a [u8] {
        &self.bytes[self.at..self.end]
    }

    #[inline]
    pub(super) fn varint(&mut self) -> Result<u64, BadValue> {
        let rest = self.rest();
        let mut value = 0_u64;
        for (n, &byte) in rest.iter().enumerate() {
            if n == 9 && byte > 1 {
                return Err(LONG);
            }
            value |= u64::from(byte & 0x7f) << (7 * n);
            if byte < 0x80 {
                self.at += n + 1;
                return Ok(value);
            }
        }
        Err(CUT)
    }

    /// A number of which the sign stands last.
    pub(super) fn zigzag(&mut self) -> Result<i64, BadValue> {
        let value = self.varint()?;
        Ok((value >> 1).cast_signed() ^ -(value & 1).cast_signed())
    }

    #[inline]
    pub(super) fn fixed<const N: usize>(&mut self) -> Result<[u8; N], BadValue> {
        let taken = *self.rest().first_chunk::<N>().ok_or(CUT)?;
        self.at += N;
        Ok(taken)
    }

    /// Bytes behind their length.
    #[inline]
    pub(super) fn bytes(&mut self) -> Result<&'a [u8], BadValue> {
        let length = usize::try_from(self.varint()?).map_err(|_| CUT)?;
        let taken = self.rest().get(..length).ok_or(CUT)?;
        self.at += length;
        Ok(taken)
    }

    pub(super) fn text(&mut self) -> Result<&'a str, BadValue> {
        str::from_utf8(self.bytes()?).map_err(|_| "a text that is not UTF-8")
    }

    /// Reads what stands behind its length, as far as that goes.
    pub(super) fn within<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, BadValue>) -> Result<T, BadValue> {
        let length = usize::try_from(self.varint()?).map_err(|_| CUT)?;
        let end = self.at.checked_add(length).filter(|end| *end <= self.end).ok_or(CUT)?;
        let outer = std::mem::replace(&mut self.end, end);
        let read = read(self)?;
        self.end = outer;
        Ok(read)
    }

    /// What stands before the next value of the message.
    #[inline]
    pub(super) fn tag(&mut self) -> Result<Option<Tag>, BadValue> {
        if self.is_over() {
            return Ok(None);
        }
        let tag = u32::try_from(self.varint()?).map_err(|_| "a field number that there is not")?;
        let kind = match tag & 7 {
            _ if tag >> 3 == 0 => return Err("a field number that there is not"),
            0 => WireType::Varint,
            1 => WireType::Fixed64,
            2 => WireType::Bytes,
            3 => WireType::Group,
            5 => WireType::Fixed32,
            4 => return Err("the end of a group that did not begin"),
            _ => return Err("an unknown kind of field"),
        };
        Ok(Some(Tag { number: tag >> 3, kind }))
    }

    /// Passes over a value that nobody reads.
    pub(super) fn skip(&mut self, tag: Tag) -> Result<(), BadValue> {
        self.skip_in(tag, 0)
    }

    fn skip_in(&mut self, tag: Tag, depth: u32) -> Result<(), BadValue> {
        match tag.kind {
            WireType::Varint => self.varint().map(drop),
            WireType::Fixed64 => self.fixed::<8>().map(drop),
            WireType::Bytes => self.bytes().map(drop),
            WireType::Fixed32 => self.fixed::<4>().map(drop),
            WireType::Group if depth > DEPTH_MAX => Err("values too deep in each other"),
            WireType::Group => loop {
                let end = u64::from(tag.number) << 3 | 4;
                let from = self.at;
                if self.varint()? == end {
                    return Ok(());
                }
                self.at = from;
                let inner = self.tag()?.ok_or(CUT)?;
                self.skip_in(inner, depth + 1)?;
            },
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
            (&[0x96, 0x01], 150),
            (&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01], u64::MAX),
            (&[0x80, 0x00], 0),
        ] {
            let mut wire = Wire::new(bytes);
            assert_eq!((wire.varint(), wire.is_over()), (Ok(value), true));
        }
        for (bytes, value) in [(&[0][..], 0), (&[1], -1), (&[2], 1), (&[0xfe, 0xff, 0xff, 0xff, 0x0f], 0x7fff_ffff)] {
            assert_eq!(Wire::new(bytes).zigzag(), Ok(value));
        }
        assert_eq!(Wire::new(&[0xff; 10]).varint(), Err(LONG));
        assert_eq!(Wire::new(&[0xff; 3]).varint(), Err(CUT));
    }

    #[test]
    fn what_is_passed_over_is_as_long_as_it_is() {
        let bytes = [
            0x08, 0x96, 0x01, // a number
            0x12, 0x02, 7, 7, // bytes
            0x1b, 0x08, 1, 0x23, 0x24, 0x1c, // a group with a number and an empty group
            0x25, 0, 0, 0, 0, // four bytes
            0x29, 0, 0, 0, 0, 0, 0, 0, 0, // eight bytes
        ];
        let mut wire = Wire::new(&bytes);
        let mut n = 0;
        while let Some(tag) = wire.tag().expect("a tag") {
            wire.skip(tag).expect("a value");
            n += 1;
        }
        assert_eq!((n, wire.at()), (5, bytes.len()));
        let deep = [0x0b].repeat(1 << 16);
        let mut wire = Wire::new(&deep);
        let tag = wire.tag().expect("a tag").expect("a tag");
        assert_eq!(wire.skip(tag), Err("values too deep in each other"));
        for (bytes, flaw) in [
            (&[0x0c][..], "the end of a group that did not begin"),
            (&[0x0e], "an unknown kind of field"),
            (&[0x02], "a field number that there is not"),
            (&[0xff, 0xff, 0xff, 0xff, 0xff, 0x01], "a field number that there is not"),
        ] {
            assert_eq!(Wire::new(bytes).tag(), Err(flaw));
        }
    }
}
