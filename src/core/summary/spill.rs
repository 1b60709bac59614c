//! Bytes that memory has no room for, and that are wanted again.
//!
//! The engine does no input or output. Whoever runs it within a bound gives it a [`Spill`], and it puts there what it
//! will not need for a while. What is read back is what was put there, so results are the same with and without.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

/// A place for bytes besides memory: a disk, say. It answers with what it was given, or not at all.
pub trait Spill: fmt::Debug + Send + Sync {
    /// Takes bytes and says where they are; `None` when there is no room for them.
    fn put(&self, bytes: &[u8]) -> Option<u64>;

    /// So many bytes from a place on.
    fn get(&self, at: u64, len: usize) -> Vec<u8>;

    /// Nobody wants the bytes at a place any more.
    fn free(&self, at: u64, len: usize);
}

/// Bytes, in memory or on disk.
pub(crate) enum SpillableBytes {
    Here(Box<[u8]>),
    Away(Box<Away>),
}

/// Bytes on disk, until they are dropped.
#[derive(Debug)]
pub(crate) struct Away {
    spill: Arc<dyn Spill>,
    at: u64,
    len: usize,
}

impl Away {
    /// Puts bytes on disk, unless that is full.
    pub(crate) fn new(spill: &Arc<dyn Spill>, bytes: &[u8]) -> Option<Self> {
        let at = spill.put(bytes)?;
        Some(Self { spill: Arc::clone(spill), at, len: bytes.len() })
    }

    /// A part of them.
    pub(crate) fn part(&self, from: usize, len: usize) -> Vec<u8> {
        debug_assert!(from + len <= self.len, "a part of what is there");
        self.spill.get(self.at + from as u64, len)
    }
}

impl Drop for Away {
    fn drop(&mut self) {
        self.spill.free(self.at, self.len);
    }
}

impl SpillableBytes {
    /// The bytes.
    pub(crate) fn bytes(&self) -> Cow<'_, [u8]> {
        match self {
            Self::Here(bytes) => Cow::Borrowed(bytes),
            Self::Away(away) => Cow::Owned(away.part(0, away.len)),
        }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Here(bytes) => bytes.len(),
            Self::Away(away) => away.len,
        }
    }

    /// How many of them are in memory.
    pub(crate) fn in_memory(&self) -> usize {
        match self {
            Self::Here(bytes) => bytes.len(),
            Self::Away(_) => size_of::<Away>(),
        }
    }

    /// Moves them to disk, unless that is full; returns how many bytes of memory are free again.
    pub(crate) fn put_away(&mut self, spill: &Arc<dyn Spill>) -> usize {
        let Self::Here(bytes) = self else { return 0 };
        let gained = bytes.len().saturating_sub(size_of::<Away>());
        match (gained > 0).then(|| Away::new(spill, bytes)).flatten() {
            Some(away) => {
                *self = Self::Away(Box::new(away));
                gained
            }
            None => 0,
        }
    }
}
