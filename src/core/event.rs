//! What can happen: the four kinds of events, their identity, and why an event may be refused.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

/// The version name of all versions of a model together.
/// No event may use it.
pub const ALL_VERSIONS: &str = "__all__";

/// Name of the group that takes what exceeds a bound.
/// No event may use it.
pub const OTHER: &str = "__other__";

/// Microseconds since the Unix epoch, UTC; also a span of microseconds.
pub type Micros = i64;

/// One second in [`Micros`].
pub const SECOND: Micros = 1_000_000;

/// What a record on an input topic tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// A model version answered a request.
    Prediction,
    /// Features were computed; no model was asked.
    Feature,
    /// The truth about an earlier prediction became known.
    Outcome,
    /// The share of traffic a version is meant to get changed.
    Exposure,
}

impl EventKind {
    /// All kinds, in a fixed order.
    pub const ALL: [Self; 4] = [Self::Prediction, Self::Feature, Self::Outcome, Self::Exposure];

    /// Whether events of this kind are counted in panes of their own event time.
    #[must_use]
    pub fn is_traffic(self) -> bool {
        matches!(self, Self::Prediction | Self::Feature)
    }

    /// The name used in pipelines, schemas and labels.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Prediction => "prediction",
            Self::Feature => "feature",
            Self::Outcome => "outcome",
            Self::Exposure => "exposure",
        }
    }
}

/// A stable 64-bit hash of an event id or a category name (XXH3), equal on every platform and in every release.
#[must_use]
pub fn stable_hash(bytes: &[u8]) -> u64 {
    xxhash_rust::xxh3::xxh3_64(bytes)
}

/// The id of a row of a record that has several: that of the record for the first, and one of its own for each other.
#[must_use]
pub fn row_id(record: u64, row: u32) -> u64 {
    if row == 0 {
        return record;
    }
    let mut bytes = [0; 12];
    bytes[..8].copy_from_slice(&record.to_le_bytes());
    bytes[8..].copy_from_slice(&row.to_le_bytes());
    stable_hash(&bytes)
}

/// The hash by which classes are told apart: upper and lower case are one, but for single letters, which some models
/// tell apart.
#[must_use]
pub fn class_hash(class: &str) -> u64 {
    stable_hash(class_name(class).as_bytes())
}

/// The name of a class, as it is told from others: see [`class_hash`].
#[must_use]
pub fn class_name(class: &str) -> Cow<'_, str> {
    if class.chars().nth(1).is_some() && class.chars().any(char::is_uppercase) {
        Cow::Owned(class.to_lowercase())
    } else {
        Cow::Borrowed(class)
    }
}

/// Why one event was refused. The record goes to the dead-letter topic with this reason; its neighbours are unharmed.
///
/// The numbers stand in frames and in marks of stores: none is ever given to another reason, and a new reason comes
/// last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Poison {
    /// No payload, or an empty one.
    Empty = 0,
    /// Bytes that are not UTF-8.
    InvalidUtf8 = 1,
    /// Not a document of the declared format.
    Malformed = 2,
    /// The same key twice in one object: which value is meant cannot be known.
    DuplicateKey = 3,
    /// A required field (id, event time, model, version, label) is absent, null or empty.
    MissingField = 4,
    /// A field holds a value of another type.
    WrongType = 5,
    /// A number outside what its field can mean: a probability above 1, a negative latency, an infinite feature.
    OutOfRange = 6,
    /// An event time before 1970 or further ahead of the broker's time than the clock skew allows.
    AbsurdTime = 7,
    /// A text longer than [`TEXT_BYTES_MAX`].
    TooLong = 8,
}

/// The longest id, model, version, segment or category in bytes.
pub const TEXT_BYTES_MAX: usize = 512;

impl Poison {
    /// All reasons, in a fixed order.
    pub const ALL: [Self; 9] = [
        Self::Empty,
        Self::InvalidUtf8,
        Self::Malformed,
        Self::DuplicateKey,
        Self::MissingField,
        Self::WrongType,
        Self::OutOfRange,
        Self::AbsurdTime,
        Self::TooLong,
    ];

    /// The number in frames and in marks of stores.
    #[must_use]
    pub fn number(self) -> u8 {
        self as u8
    }

    /// The code used in dead-letter headers and metric labels.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::InvalidUtf8 => "invalid_utf8",
            Self::Malformed => "malformed",
            Self::DuplicateKey => "duplicate_key",
            Self::MissingField => "missing_field",
            Self::WrongType => "wrong_type",
            Self::OutOfRange => "out_of_range",
            Self::AbsurdTime => "absurd_time",
            Self::TooLong => "too_long",
        }
    }
}

impl fmt::Display for Poison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// One refused event: where it stood in the log and why it was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reject {
    /// Offset of the record in its source partition.
    pub offset: i64,
    /// Row inside the record, for records that carry many events.
    pub row: u32,
    /// The reason, for counting.
    pub reason: Poison,
    /// What exactly was wrong, for people: names the field and the value.
    pub detail: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_one_in_every_case_but_for_single_letters() {
        for (one, other) in [("Cat", "cat"), ("ÉTÉ", "été"), ("IT_x", "it_X"), ("1", "1")] {
            assert_eq!(class_hash(one), class_hash(other), "{one}");
        }
        for (one, other) in [("a", "A"), ("cat", "cats"), ("", "a")] {
            assert_ne!(class_hash(one), class_hash(other), "{one}");
        }
    }

    #[test]
    fn the_first_row_of_a_record_has_its_id_and_the_others_their_own() {
        let ids: std::collections::BTreeSet<u64> = (0..1000).map(|row| row_id(7, row)).collect();
        assert_eq!((ids.len(), row_id(7, 0)), (1000, 7));
        assert_eq!(row_id(7, 1), stable_hash(&[7, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0]));
    }

    #[test]
    fn the_numbers_of_reasons_stay() {
        let stated = [
            (Poison::Empty, 0),
            (Poison::InvalidUtf8, 1),
            (Poison::Malformed, 2),
            (Poison::DuplicateKey, 3),
            (Poison::MissingField, 4),
            (Poison::WrongType, 5),
            (Poison::OutOfRange, 6),
            (Poison::AbsurdTime, 7),
            (Poison::TooLong, 8),
        ];
        assert_eq!(stated.map(|(reason, _)| reason), Poison::ALL);
        for (reason, number) in stated {
            assert_eq!((reason.number(), postcard::to_stdvec(&reason).expect("encodes")), (number, vec![number]));
        }
    }
}
