//! Interning of short texts: equal texts get equal codes, in order of first sight.
//!
//! An open-addressing table whose entries hold the first and last eight bytes of their text, so that texts of up to
//! sixteen bytes (nearly all versions and categories) are found without touching the stored bytes.

use arrow_array::{ArrayRef, StringArray};
use arrow_buffer::{Buffer, OffsetBuffer, ScalarBuffer};
use std::sync::Arc;

use crate::event::stable_hash;

/// Slots of an empty table; a power of two.
const SLOTS_MIN: usize = 64;
/// A text up to this long is told by its first and last eight bytes.
const INLINE_BYTES_MAX: usize = 16;
/// Odd multiplier that spreads bits upwards (2^64 divided by the golden ratio).
pub(super) const SPREAD: u64 = 0x9E37_79B9_7F4A_7C15;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    head: u64,
    tail: u64,
    len: u32,
}

/// Distinct texts and their codes.
#[derive(Debug)]
pub(super) struct Dictionary {
    /// Code + 1 of the entry in each slot; 0 = free. The length is a power of two, at most half of the slots are taken.
    slots: Vec<u32>,
    stamps: Vec<Stamp>,
    bytes: Vec<u8>,
    /// End of each text in `bytes`, after a leading 0.
    offsets: Vec<i32>,
}

impl Default for Dictionary {
    fn default() -> Self {
        Self { slots: vec![0; SLOTS_MIN], stamps: Vec::new(), bytes: Vec::new(), offsets: vec![0] }
    }
}

impl Dictionary {
    /// The code of a text; a new one when it was not seen before. The bytes must be UTF-8.
    #[inline]
    pub(super) fn intern(&mut self, text: &[u8]) -> i32 {
        let stamp = stamp(text);
        match self.probe(stamp, text) {
            Ok(code) => code,
            Err(slot) => self.insert(slot, stamp, text),
        }
    }

    /// The code of a text that was seen before.
    pub(super) fn find(&self, text: &[u8]) -> Option<i32> {
        self.probe(stamp(text), text).ok()
    }

    /// The code of the text, or the free slot where it belongs.
    #[inline]
    fn probe(&self, stamp: Stamp, text: &[u8]) -> Result<i32, usize> {
        let mask = self.slots.len() - 1;
        let mut slot = home(stamp, text) & mask;
        loop {
            let Some(code) = self.slots[slot].checked_sub(1) else { return Err(slot) };
            if self.stamps[code as usize] == stamp && (text.len() <= INLINE_BYTES_MAX || self.text(code) == text) {
                return Ok(code.cast_signed());
            }
            slot = (slot + 1) & mask;
        }
    }

    fn text(&self, code: u32) -> &[u8] {
        let [start, end] = [self.offsets[code as usize], self.offsets[code as usize + 1]];
        &self.bytes[start.cast_unsigned() as usize..end.cast_unsigned() as usize]
    }

    #[cold]
    fn insert(&mut self, slot: usize, stamp: Stamp, text: &[u8]) -> i32 {
        self.stamps.push(stamp);
        self.bytes.extend_from_slice(text);
        self.offsets.push(i32::try_from(self.bytes.len()).expect("texts of one batch are below 2 GiB"));
        let taken = u32::try_from(self.stamps.len()).expect("a batch has less than 2^31 texts");
        self.slots[slot] = taken;
        if self.stamps.len() * 2 > self.slots.len() {
            self.grow();
        }
        (taken - 1).cast_signed()
    }

    fn grow(&mut self) {
        let mut slots = vec![0_u32; self.slots.len() * 2];
        let mask = slots.len() - 1;
        for (code, stamp) in (0_u32..).zip(&self.stamps) {
            let mut slot = home(*stamp, self.text(code)) & mask;
            while slots[slot] != 0 {
                slot = (slot + 1) & mask;
            }
            slots[slot] = code + 1;
        }
        self.slots = slots;
    }

    /// The texts by code; the dictionary is empty afterwards and keeps its table.
    pub(super) fn finish(&mut self) -> ArrayRef {
        self.slots.fill(0);
        self.stamps.clear();
        let offsets = OffsetBuffer::new(ScalarBuffer::from(std::mem::replace(&mut self.offsets, vec![0])));
        let bytes = Buffer::from_vec(std::mem::take(&mut self.bytes));
        Arc::new(StringArray::try_new(offsets, bytes, None).expect("only UTF-8 is interned"))
    }
}

#[inline]
fn stamp(text: &[u8]) -> Stamp {
    let len = u32::try_from(text.len()).expect("a text is shorter than 4 GiB");
    let (head, tail) = match text.len() {
        8.. => (word(text), word(&text[text.len() - 8..])),
        4..8 => (half(text), half(&text[text.len() - 4..])),
        n => (text.iter().fold(0, |word, &byte| word << 8 | u64::from(byte)), n as u64),
    };
    Stamp { head, tail, len }
}

fn word(text: &[u8]) -> u64 {
    text.first_chunk().map_or(0, |chunk| u64::from_le_bytes(*chunk))
}

fn half(text: &[u8]) -> u64 {
    text.first_chunk().map_or(0, |chunk| u64::from(u32::from_le_bytes(*chunk)))
}

/// Where the search for a text starts. Long texts often differ in the middle only, so all of it is hashed.
#[inline]
fn home(stamp: Stamp, text: &[u8]) -> usize {
    let hash = if text.len() <= INLINE_BYTES_MAX {
        (stamp.head.wrapping_mul(SPREAD) ^ stamp.tail).wrapping_mul(SPREAD) >> 32
    } else {
        stable_hash(text)
    };
    usize::try_from(hash & u64::from(u32::MAX)).expect("32 bits fit")
}

#[cfg(test)]
mod tests {
    use arrow_array::Array as _;
    use arrow_array::cast::AsArray as _;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn codes_are_positions_of_first_sight(texts in proptest::collection::vec("[a-cé]{0,20}", 0..100)) {
            let mut dictionary = Dictionary::default();
            let mut seen: Vec<&str> = Vec::new();
            for text in &texts {
                let expected = seen.iter().position(|other| other == text).unwrap_or_else(|| {
                    seen.push(text);
                    seen.len() - 1
                });
                prop_assert_eq!(dictionary.intern(text.as_bytes()), i32::try_from(expected).unwrap());
            }
            let values = dictionary.finish();
            prop_assert_eq!(values.as_string::<i32>().iter().flatten().collect::<Vec<_>>(), seen);
            prop_assert_eq!(dictionary.find(b"a"), None);
            prop_assert_eq!(dictionary.finish().len(), 0);
        }
    }
}
