//! The word `all`, or a list of names.

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::value::At;

/// The word `all`, or a list of names.
#[derive(Debug, Clone, Default)]
pub(crate) enum Names {
    /// All there are.
    #[default]
    All,
    /// These.
    Listed(Vec<At<String>>),
}

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AllOrList;

        impl<'de> Visitor<'de> for AllOrList {
            type Value = Names;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("`all` or a list of names")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Names, E> {
                let all = (text == "all").then_some(Names::All);
                all.ok_or_else(|| E::custom(format!("expected `all` or a list of names, found `{text}`")))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Names, A::Error> {
                let mut names = Vec::new();
                while let Some(name) = list.next_element()? {
                    names.push(name);
                }
                Ok(Names::Listed(names))
            }
        }

        deserializer.deserialize_any(AllOrList)
    }
}

impl Serialize for Names {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::All => serializer.serialize_str("all"),
            Self::Listed(names) => names.serialize(serializer),
        }
    }
}

impl JsonSchema for Names {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Names".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [
            { "const": "all" },
            { "type": "array", "items": { "type": "string" }, "uniqueItems": true },
        ]})
    }
}
