//! Why a record is refused, while it is being read: a reason, words for people and, where known, the field.

use crate::event::Poison;

/// A reason without a place: the decoder adds offset, path and byte when it turns it into a reject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Flaw {
    /// The reason, for counting.
    pub(super) reason: Poison,
    /// What was wrong, for people.
    pub(super) what: &'static str,
    /// Index of the binding that was being read.
    pub(super) binding: Option<u16>,
}

impl Flaw {
    #[cold]
    pub(super) fn new(reason: Poison, what: &'static str) -> Self {
        Self { reason, what, binding: None }
    }

    /// Not a document of the format.
    #[cold]
    pub(super) fn malformed(what: &'static str) -> Self {
        Self::new(Poison::Malformed, what)
    }

    /// A value of another type than its field.
    #[cold]
    pub(super) fn wrong_type(what: &'static str) -> Self {
        Self::new(Poison::WrongType, what)
    }

    /// Names the field, unless a place further inside did already.
    #[cold]
    pub(super) fn of(mut self, binding: u16) -> Self {
        self.binding.get_or_insert(binding);
        self
    }
}
