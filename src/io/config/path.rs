//! Where values are found: paths alone, and paths with what is taken of a text.

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::value::scalar;
use crate::decode::pattern::Pattern;
use crate::plan::{Path, Texts};

/// Where a value is found in a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Dotted(pub(crate) Path);

impl FromStr for Dotted {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse().map(Self)
    }
}

impl fmt::Display for Dotted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.escaped())
    }
}

scalar!(Dotted, "Path", {
    "type": "string",
    "description": "Keys from the outside in, joined by dots, such as features.amount; the element of a list by its \
                    place, as in features[0], or by a text in it, as in outputs[name=score].data[0]. A dot or an \
                    opening bracket inside a key is written \\. or \\[."
});

/// A regular expression with one group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PatternText(String);

impl FromStr for PatternText {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Pattern::new(text).map(|_| Self(text.to_owned()))
    }
}

impl fmt::Display for PatternText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

scalar!(PatternText, "Pattern", {
    "type": "string",
    "description": "A regular expression with one group: the part of the text that the group matches is the value; a \
                    text that it does not match is no value."
});

/// What texts on the way to a value hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Parse {
    /// JSON, which the path leads on into.
    Json,
}

impl Dotted {
    /// The path with what is taken of texts.
    pub(crate) fn taken(&self, pattern: Option<&PatternText>, parse: Option<Parse>) -> Path {
        let pattern = pattern.map(|PatternText(text)| text.clone());
        self.0.clone().with(Texts { are_json: parse == Some(Parse::Json), pattern })
    }
}

/// Where a list is found of which each element is a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RowsPath(pub(crate) Path);

impl FromStr for RowsPath {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let list = text.strip_suffix("[*]");
        let list =
            list.ok_or_else(|| format!("`{text}` names no rows; write the list and `[*]`, as in instances[*]"))?;
        list.parse().map(Self)
    }
}

impl fmt::Display for RowsPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[*]", self.0.escaped())
    }
}

scalar!(RowsPath, "RowsPath", {
    "type": "string",
    "pattern": "\\[\\*\\]$",
    "description": "The path of a list, and [*] for each of its elements, as in instances[*], or as in \
                    resourceLogs[*].scopeLogs[*].logRecords[*] where it stands in the elements of others."
});

/// Where a text is found, and what of it is taken.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TextPlace {
    /// Where it is found.
    pub(crate) path: Dotted,
    /// The part of the text that is the value.
    #[serde(rename = "match")]
    pub(crate) pattern: Option<PatternText>,
    /// Texts on the way that are looked into.
    pub(crate) parse: Option<Parse>,
}

/// Where a text is found: a path, or `{ path, match, parse }`.
#[derive(Debug, Clone)]
pub(crate) struct TextPath(pub(crate) Path);

impl<'de> Deserialize<'de> for TextPath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        PathOr::<TextPlace>::deserialize(deserializer).map(|place| match place {
            PathOr::Path(Dotted(path)) => Self(path),
            PathOr::Long(TextPlace { path, pattern, parse }) => Self(path.taken(pattern.as_ref(), parse)),
        })
    }
}

impl JsonSchema for TextPath {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "TextPath".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        PathOr::<TextPlace>::json_schema(generator)
    }
}

impl From<Dotted> for TextPath {
    fn from(Dotted(path): Dotted) -> Self {
        Self(path)
    }
}

/// A text that is read from each record, or is the same in all of them.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TextField {
    /// Its value, where it is the same in all records.
    pub(crate) constant: Option<String>,
    /// Where it is found.
    pub(crate) path: Option<Dotted>,
    /// The part of the text that is the value.
    #[serde(rename = "match")]
    pub(crate) pattern: Option<PatternText>,
    /// Texts on the way that are looked into.
    pub(crate) parse: Option<Parse>,
}

/// A field in its short form, a path, or in its long form, a mapping.
#[derive(Debug, Clone)]
pub(crate) enum PathOr<T> {
    /// `field: a.b`
    Path(Dotted),
    /// `field: { path: a.b, … }`
    Long(T),
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for PathOr<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PathOrVisitor<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for PathOrVisitor<T> {
            type Value = PathOr<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a path or a mapping")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Self::Value, E> {
                text.parse().map(PathOr::Path).map_err(E::custom)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(PathOr::Long)
            }
        }

        deserializer.deserialize_any(PathOrVisitor(PhantomData))
    }
}

impl<T: JsonSchema> JsonSchema for PathOr<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        format!("PathOr{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [generator.subschema_for::<Dotted>(), generator.subschema_for::<T>()] })
    }
}

impl<T> From<Dotted> for PathOr<T> {
    fn from(path: Dotted) -> Self {
        Self::Path(path)
    }
}
