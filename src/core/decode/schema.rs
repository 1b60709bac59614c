//! Schemas of records that are kept apart from them: a record names its schema, and whoever reads it is told.

use std::fmt;
use std::sync::Arc;

/// What a record names its schema by. An id never changes its schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SchemaId {
    /// A number of a registry.
    Number(u32),
    /// A number of a registry whose numbers are long ones.
    Global(i64),
    /// The number of what a schema says, of a registry that numbers that apart.
    Content(i64),
    /// A unique name.
    Uuid(u128),
    /// The CRC-64-AVRO of what the schema says.
    Fingerprint(u64),
}

impl fmt::Display for SchemaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(id) => write!(f, "{id}"),
            Self::Global(id) => write!(f, "{id}"),
            Self::Content(id) => write!(f, "of content {id}"),
            Self::Uuid(id) => f.write_str(&hyphened(*id)),
            Self::Fingerprint(id) => write!(f, "with fingerprint {id:016x}"),
        }
    }
}

/// A unique name as it is written: `7b5f0c1e-2a34-4d8a-9f10-0123456789ab`.
#[must_use]
pub fn hyphened(uuid: u128) -> String {
    let hex = format!("{uuid:032x}");
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

/// A schema as it is written: first those that it refers to, each before those that refer to it, then itself.
pub type SchemaTexts = Arc<[String]>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_shown_as_their_registries_write_them() {
        let uuid = 0x7b5f_0c1e_2a34_4d8a_9f10_0123_4567_89ab;
        for (id, shown) in [
            (SchemaId::Number(42), "42"),
            (SchemaId::Uuid(uuid), "7b5f0c1e-2a34-4d8a-9f10-0123456789ab"),
            (SchemaId::Fingerprint(0xab), "with fingerprint 00000000000000ab"),
        ] {
            assert_eq!(id.to_string(), shown);
        }
    }
}
