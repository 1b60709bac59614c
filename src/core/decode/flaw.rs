//! Why a record is refused, while it is being read: a reason, words for people and, where known, the field.

use crate::event::Poison;

/// A reason without a place: the decoder adds offset, path and byte when it turns it into a reject.
///
/// One pointer wide, so that results of the functions that read values travel in registers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Flaw(Box<Details>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Details {
    reason: Poison,
    what: &'static str,
    binding: Option<u16>,
}

impl Flaw {
    #[cold]
    pub(super) fn new(reason: Poison, what: &'static str) -> Self {
        Self(Box::new(Details { reason, what, binding: None }))
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

    /// Names the field that was being read.
    #[cold]
    pub(super) fn of(mut self, binding: u16) -> Self {
        self.0.binding = Some(binding);
        self
    }

    /// Names no field.
    pub(super) fn of_none(mut self) -> Self {
        self.0.binding = None;
        self
    }

    /// The reason, for counting.
    pub(super) fn reason(&self) -> Poison {
        self.0.reason
    }

    /// What was wrong, for people.
    pub(super) fn what(&self) -> &'static str {
        self.0.what
    }

    /// Index of the binding that was being read.
    pub(super) fn binding(&self) -> Option<u16> {
        self.0.binding
    }
}
