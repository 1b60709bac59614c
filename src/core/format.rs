//! Versions of what is stored and sent.
//!
//! What has no version was written before versions were named, and counts as version 1. A reader takes every version up
//! to its own; what a newer release wrote it refuses, since it cannot know what it would misread.

use serde::de::{Deserialize, Deserializer, Error};
use serde::ser::{Serialize, Serializer};

/// The version that a record names, as its first field. Whatever was read, this release writes `NEWEST`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Version<const NEWEST: u32>;

impl<const NEWEST: u32> Serialize for Version<NEWEST> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u32(NEWEST)
    }
}

impl<'de, const NEWEST: u32> Deserialize<'de> for Version<NEWEST> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        known::<NEWEST, D>(deserializer).map(|_| Self)
    }
}

/// The version that an immutable record names: it stays what it was when the record was written. The default is 1, as
/// of records that name none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordVersion<const NEWEST: u32>(u32);

impl<const NEWEST: u32> RecordVersion<NEWEST> {
    /// What this release writes.
    pub const NEW: Self = Self(NEWEST);

    /// Whether it is the first version, which records do not name.
    #[must_use]
    pub fn is_first(&self) -> bool {
        self.0 == 1
    }
}

impl<const NEWEST: u32> Default for RecordVersion<NEWEST> {
    fn default() -> Self {
        Self(1)
    }
}

impl<const NEWEST: u32> Serialize for RecordVersion<NEWEST> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u32(self.0)
    }
}

impl<'de, const NEWEST: u32> Deserialize<'de> for RecordVersion<NEWEST> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        known::<NEWEST, D>(deserializer).map(Self)
    }
}

/// A version that this release can read.
fn known<'de, const NEWEST: u32, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    let found = u32::deserialize(deserializer)?;
    if (1..=NEWEST).contains(&found) {
        return Ok(found);
    }
    Err(Error::custom(format!(
        "it has format {found}, and this release of haldane reads formats up to {NEWEST}: use the release that wrote it"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
    struct Sealed {
        #[serde(default, skip_serializing_if = "RecordVersion::is_first")]
        format: RecordVersion<2>,
        n: u32,
    }

    #[test]
    fn an_immutable_record_keeps_its_version_and_its_bytes() {
        for text in [r#"{"n":7}"#, r#"{"format":2,"n":7}"#] {
            let record: Sealed = serde_json::from_str(text).expect(text);
            assert_eq!(serde_json::to_string(&record).expect("encodes"), text);
        }
        let new = Sealed { format: RecordVersion::NEW, n: 7 };
        assert_eq!(serde_json::to_string(&new).expect("encodes"), r#"{"format":2,"n":7}"#);
        let error = serde_json::from_str::<Sealed>(r#"{"format":3,"n":7}"#).expect_err("newer").to_string();
        assert!(error.contains("use the release that wrote it"), "{error}");
    }

    #[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
    struct Record {
        #[serde(default)]
        format: Version<2>,
        n: u32,
    }

    #[test]
    fn a_record_names_its_version_and_older_ones_are_read() {
        let record = Record { format: Version, n: 7 };
        assert_eq!(serde_json::to_string(&record).expect("encodes"), r#"{"format":2,"n":7}"#);
        for text in [r#"{"n":7}"#, r#"{"format":1,"n":7}"#, r#"{"format":2,"n":7}"#] {
            assert_eq!(serde_json::from_str::<Record>(text).expect(text), record);
        }
    }

    #[test]
    fn what_a_newer_release_wrote_is_refused_before_anything_else_of_it_is_looked_at() {
        for text in [r#"{"format":3,"m":"other"}"#, r#"{"format":0,"n":7}"#] {
            let error = serde_json::from_str::<Record>(text).expect_err(text).to_string();
            assert!(error.contains("reads formats up to 2: use the release that wrote it"), "{error}");
        }
    }
}
