//! Sealed summaries: what is kept of a pane that is complete, as small as what is in it.
//!
//! Numbers are written in groups of seven bits, so that small ones take one byte; of lists of counts only those that
//! are not 0 are written, each with its distance from the one before. Nothing is rounded. A sealed summary is opened by
//! adding it to another one, which is all that a judgement wants: added to an empty one it is what it was, to the last
//! bit. Equal summaries have equal bytes.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use crate::summary::spill::{Spill, SpillableBytes};

/// A summary that can be sealed.
pub trait Seal {
    /// Writes all of it.
    fn seal(&self, out: &mut Writer);

    /// Adds what was written of another summary of the same plan.
    fn add_sealed(&mut self, from: &mut Reader<'_>);
}

/// A summary as bytes.
pub struct Sealed<T> {
    kept: SpillableBytes,
    of: PhantomData<fn() -> T>,
}

impl<T: Seal> Sealed<T> {
    /// Seals a summary.
    #[must_use]
    pub fn new(open: &T) -> Self {
        let mut out = Writer::default();
        open.seal(&mut out);
        Self::of_bytes(out.bytes.into_boxed_slice())
    }

    /// Adds it to a summary of the same plan.
    pub fn add_to(&self, open: &mut T) {
        let bytes = self.kept.bytes();
        let mut from = Reader { bytes: &bytes };
        open.add_sealed(&mut from);
        debug_assert!(from.bytes.is_empty(), "what was written is read to its end");
    }
}

impl<T> Sealed<T> {
    fn of_bytes(bytes: Box<[u8]>) -> Self {
        Self { kept: SpillableBytes::Here(bytes), of: PhantomData }
    }

    /// How many bytes of memory it takes, besides itself.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.kept.in_memory()
    }

    /// Moves it to disk; returns how many bytes of memory are free again.
    pub(crate) fn put_away(&mut self, spill: &Arc<dyn Spill>) -> usize {
        self.kept.put_away(spill)
    }
}

impl<T> Clone for Sealed<T> {
    fn clone(&self) -> Self {
        Self::of_bytes(self.kept.bytes().into())
    }
}

impl<T> PartialEq for Sealed<T> {
    fn eq(&self, other: &Self) -> bool {
        self.kept.len() == other.kept.len() && self.kept.bytes() == other.kept.bytes()
    }
}

impl<T> fmt::Debug for Sealed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealed({} bytes)", self.kept.len())
    }
}

/// Where a summary is written to.
#[derive(Debug, Default)]
pub struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    /// A whole number.
    #[expect(clippy::cast_possible_truncation, reason = "seven bits are meant")]
    pub(crate) fn n(&mut self, mut n: u64) {
        while n >= 0x80 {
            self.bytes.push(n as u8 | 0x80);
            n >>= 7;
        }
        self.bytes.push(n as u8);
    }

    /// Whole numbers, one after another.
    pub(crate) fn all<const N: usize>(&mut self, numbers: [u64; N]) {
        numbers.into_iter().for_each(|n| self.n(n));
    }

    /// A sum: its sign goes into the lowest bit.
    #[expect(clippy::cast_possible_truncation, reason = "seven bits are meant")]
    pub(crate) fn sum(&mut self, sum: i128) {
        let mut n = ((sum << 1) ^ (sum >> 127)).cast_unsigned();
        while n >= 0x80 {
            self.bytes.push(n as u8 | 0x80);
            n >>= 7;
        }
        self.bytes.push(n as u8);
    }

    /// A number that may be absent, to the bit.
    pub(crate) fn float(&mut self, value: Option<f64>) {
        self.bytes.push(u8::from(value.is_some()));
        self.bytes.extend(value.iter().flat_map(|value| value.to_bits().to_le_bytes()));
    }

    /// A mask of 64 flags.
    pub(crate) fn mask(&mut self, mask: u64) {
        self.bytes.extend(mask.to_le_bytes());
    }

    /// A text.
    pub(crate) fn text(&mut self, text: &[u8]) {
        self.n(text.len() as u64);
        self.bytes.extend(text);
    }

    /// Counts by place, in the order of places: the distance from the place before, and the count unless it is 1.
    pub(crate) fn pairs(&mut self, len: usize, pairs: impl Iterator<Item = (u64, u64)>) {
        self.n(len as u64);
        let mut next = 0;
        for (place, count) in pairs {
            self.n((place - next) << 1 | u64::from(count != 1));
            if count != 1 {
                self.n(count);
            }
            next = place + 1;
        }
    }

    /// A list of counts: by place while most are 0, else one after another.
    pub(crate) fn counts(&mut self, counts: &[u64]) {
        let some = counts.iter().filter(|count| **count > 0).count();
        let dense = some * 2 > counts.len();
        self.bytes.push(u8::from(dense));
        if dense {
            counts.iter().for_each(|&count| self.n(count));
        } else {
            self.pairs(some, (0..).zip(counts.iter().copied()).filter(|(_, count)| *count > 0));
        }
    }
}

/// Where a summary is read from.
#[derive(Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> &'a [u8] {
        let (taken, rest) = self.bytes.split_at(len);
        self.bytes = rest;
        taken
    }

    fn byte(&mut self) -> u8 {
        self.take(1)[0]
    }

    /// A whole number.
    #[inline]
    pub(crate) fn n(&mut self) -> u64 {
        let mut byte = self.byte();
        let mut n = u64::from(byte & 0x7f);
        let mut shift = 7;
        while byte & 0x80 != 0 {
            byte = self.byte();
            n |= u64::from(byte & 0x7f) << shift;
            shift += 7;
        }
        n
    }

    /// Whole numbers, one after another.
    pub(crate) fn all<const N: usize>(&mut self) -> [u64; N] {
        std::array::from_fn(|_| self.n())
    }

    /// A sum.
    pub(crate) fn sum(&mut self) -> i128 {
        let mut byte = self.byte();
        let mut n = u128::from(byte & 0x7f);
        let mut shift = 7;
        while byte & 0x80 != 0 {
            byte = self.byte();
            n |= u128::from(byte & 0x7f) << shift;
            shift += 7;
        }
        (n >> 1).cast_signed() ^ -((n & 1).cast_signed())
    }

    /// A number that may be absent.
    pub(crate) fn float(&mut self) -> Option<f64> {
        (self.byte() == 1).then(|| f64::from_bits(self.mask()))
    }

    /// A mask of 64 flags.
    pub(crate) fn mask(&mut self) -> u64 {
        u64::from_le_bytes(self.take(8).try_into().expect("eight bytes"))
    }

    /// A text.
    pub(crate) fn text(&mut self) -> &'a [u8] {
        let len = self.place();
        self.take(len)
    }

    /// A whole number that is a place or a length.
    pub(crate) fn place(&mut self) -> usize {
        usize::try_from(self.n()).expect("a place in memory")
    }

    /// Counts by place.
    pub(crate) fn pairs(&mut self, mut take: impl FnMut(u64, u64)) {
        let mut next = 0;
        for _ in 0..self.n() {
            let head = self.n();
            let place = next + (head >> 1);
            let count = if head & 1 == 1 { self.n() } else { 1 };
            take(place, count);
            next = place + 1;
        }
    }

    /// Adds a list of counts to another.
    #[expect(clippy::cast_possible_truncation, reason = "a place in the list")]
    pub(crate) fn counts(&mut self, counts: &mut [u64]) {
        if self.byte() == 1 {
            counts.iter_mut().for_each(|count| *count += self.n());
        } else {
            self.pairs(|place, count| counts[place as usize] += count);
        }
    }
}

#[cfg(test)]
mod tests;
