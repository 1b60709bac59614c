//! Schemas of Avro (Apache Avro 1.12, "Schema Declaration"), as far as they say how values are read.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_schema::TimeUnit;
use serde_json::{Map, Value};

/// The longest decimals that Arrow has.
const DIGITS_MAX: u8 = 76;

/// The place of a type among those of its schema.
pub(super) type TypeIndex = usize;

/// How a value is read.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Type {
    Null,
    Boolean,
    Int,
    /// Days since 1970.
    Date,
    Long,
    /// Since 1970; whether in UTC, or by a clock on some wall.
    Timestamp(TimeUnit, bool),
    Float,
    Double,
    Bytes,
    Text,
    Fixed(usize),
    /// A UUID of sixteen bytes.
    Uuid,
    /// Of so many digits, so many of them after the point; in so many bytes, or in as many as it says.
    Decimal {
        digits: u8,
        scale: i8,
        bytes: Option<usize>,
    },
    Enum(Arc<[String]>),
    Array(TypeIndex),
    Map(TypeIndex),
    Union(Vec<TypeIndex>),
    Record(Vec<(String, TypeIndex)>),
}

/// A schema.
#[derive(Debug, Clone)]
pub(super) struct Schema {
    types: Vec<Type>,
    /// What each type is called: by its name, without the space of names, or by what it is.
    names: Vec<String>,
    root: TypeIndex,
}

impl Schema {
    /// Reads a schema; `texts` are those that it refers to, each before those that refer to it, and then itself.
    ///
    /// # Errors
    /// In words, when a text is no schema.
    pub(super) fn read(texts: &[String]) -> Result<Self, String> {
        let mut parser = Parser::default();
        let mut root = Err("there is no text".to_owned());
        for text in texts {
            let value = serde_json::from_str(text).map_err(|error| format!("not JSON: {error}"));
            // A name alone may be written without quotes.
            let value = value.or_else(|why| if is_word(text) { Ok(Value::from(text.trim())) } else { Err(why) })?;
            root = parser.kind(&value, "");
        }
        Ok(Self { root: root?, types: parser.types, names: parser.names })
    }

    pub(super) fn root(&self) -> TypeIndex {
        self.root
    }

    pub(super) fn kind(&self, at: TypeIndex) -> &Type {
        &self.types[at]
    }

    pub(super) fn name(&self, at: TypeIndex) -> &str {
        &self.names[at]
    }
}

fn is_word(text: &str) -> bool {
    let text = text.trim();
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.".contains(&byte))
}

#[derive(Default)]
struct Parser {
    types: Vec<Type>,
    names: Vec<String>,
    /// By full name.
    known: BTreeMap<String, TypeIndex>,
}

impl Parser {
    fn add(&mut self, kind: Type, name: &str) -> TypeIndex {
        self.types.push(kind);
        self.names.push(name.rsplit('.').next().unwrap_or(name).to_owned());
        self.types.len() - 1
    }

    /// The type that a part of a schema says, within a space of names.
    fn kind(&mut self, value: &Value, space: &str) -> Result<TypeIndex, String> {
        match value {
            Value::String(name) => self.named(name, space),
            Value::Array(branches) => {
                let branches: Vec<TypeIndex> =
                    branches.iter().map(|branch| self.kind(branch, space)).collect::<Result<_, _>>()?;
                Ok(self.add(Type::Union(branches), "union"))
            }
            Value::Object(object) => self.object(object, space),
            _ => Err(format!("{value} is no type")),
        }
    }

    fn named(&mut self, name: &str, space: &str) -> Result<TypeIndex, String> {
        if let Some(kind) = primitive(name) {
            return Ok(self.add(kind, name));
        }
        let known = self.known.get(&full(name, space)).or_else(|| self.known.get(name));
        known.copied().ok_or_else(|| format!("there is no type `{name}`"))
    }

    fn object(&mut self, object: &Map<String, Value>, space: &str) -> Result<TypeIndex, String> {
        let kind = object.get("type").ok_or("a type without `type`")?;
        let Value::String(kind) = kind else { return self.kind(kind, space) };
        let part = |key: &str| object.get(key).ok_or_else(|| format!("`{kind}` without `{key}`"));
        match kind.as_str() {
            "array" => {
                let items = self.kind(part("items")?, space)?;
                Ok(self.add(Type::Array(items), kind))
            }
            "map" => {
                let values = self.kind(part("values")?, space)?;
                Ok(self.add(Type::Map(values), kind))
            }
            "record" | "error" | "enum" | "fixed" => self.definition(object, kind, space),
            _ => match primitive(kind) {
                Some(plain) => Ok(self.add(logical(plain, object), kind)),
                None => self.named(kind, space),
            },
        }
    }

    fn definition(&mut self, object: &Map<String, Value>, kind: &str, space: &str) -> Result<TypeIndex, String> {
        let part = |key: &str| object.get(key).ok_or_else(|| format!("`{kind}` without `{key}`"));
        let name = part("name")?.as_str().ok_or("a name that is no text")?;
        let space = object.get("namespace").and_then(Value::as_str).unwrap_or(space);
        let name = full(name, space);
        let space = name.rsplit_once('.').map_or("", |(space, _)| space).to_owned();
        // It may be named by its own fields.
        let at = self.add(Type::Null, &name);
        self.known.insert(name, at);
        self.types[at] = match kind {
            "enum" => {
                let symbols = part("symbols")?.as_array().ok_or("`symbols` is no list")?;
                let symbol = |symbol: &Value| symbol.as_str().map(str::to_owned).ok_or("a symbol that is no text");
                Type::Enum(symbols.iter().map(symbol).collect::<Result<_, _>>()?)
            }
            "fixed" => {
                let size = part("size")?.as_u64().and_then(|size| usize::try_from(size).ok());
                logical(Type::Fixed(size.ok_or("`size` is no number of bytes")?), object)
            }
            _ => {
                let fields = part("fields")?.as_array().ok_or("`fields` is no list")?;
                Type::Record(fields.iter().map(|field| self.field(field, &space)).collect::<Result<_, _>>()?)
            }
        };
        Ok(at)
    }

    fn field(&mut self, field: &Value, space: &str) -> Result<(String, TypeIndex), String> {
        let name = field.get("name").and_then(Value::as_str).ok_or("a field without `name`")?;
        let kind = field.get("type").ok_or_else(|| format!("field `{name}` without `type`"))?;
        // What a field's type means may stand beside it, too.
        let is_bare = kind.as_str().and_then(primitive).filter(|_| field.get("logicalType").is_some());
        let kind = match (is_bare, field.as_object()) {
            (Some(plain), Some(object)) => Ok(self.add(logical(plain, object), name)),
            _ => self.kind(kind, space),
        };
        Ok((name.to_owned(), kind.map_err(|why| format!("field `{name}`: {why}"))?))
    }
}

/// A name with its space.
pub(super) fn full(name: &str, space: &str) -> String {
    if name.contains('.') || space.is_empty() { name.to_owned() } else { format!("{space}.{name}") }
}

pub(super) fn primitive(name: &str) -> Option<Type> {
    Some(match name {
        "null" => Type::Null,
        "boolean" => Type::Boolean,
        "int" => Type::Int,
        "long" => Type::Long,
        "float" => Type::Float,
        "double" => Type::Double,
        "bytes" => Type::Bytes,
        "string" => Type::Text,
        _ => return None,
    })
}

/// What a type means; one that does not fit its meaning is itself, as the specification says.
fn logical(plain: Type, object: &Map<String, Value>) -> Type {
    let Some(meaning) = object.get("logicalType").and_then(Value::as_str) else { return plain };
    let bytes = match plain {
        Type::Fixed(bytes) => Some(bytes),
        _ => None,
    };
    match (meaning, &plain) {
        ("date", Type::Int) => Type::Date,
        ("timestamp-millis", Type::Long) => Type::Timestamp(TimeUnit::Millisecond, true),
        ("timestamp-micros", Type::Long) => Type::Timestamp(TimeUnit::Microsecond, true),
        ("timestamp-nanos", Type::Long) => Type::Timestamp(TimeUnit::Nanosecond, true),
        ("local-timestamp-millis", Type::Long) => Type::Timestamp(TimeUnit::Millisecond, false),
        ("local-timestamp-micros", Type::Long) => Type::Timestamp(TimeUnit::Microsecond, false),
        ("local-timestamp-nanos", Type::Long) => Type::Timestamp(TimeUnit::Nanosecond, false),
        ("uuid", Type::Fixed(16)) => Type::Uuid,
        ("decimal", Type::Bytes | Type::Fixed(_)) => {
            let number = |key: &str| object.get(key).map_or(Some(0), Value::as_u64);
            match (number("precision"), number("scale")) {
                (Some(digits), Some(scale)) if digits > 0 && scale <= digits && digits <= DIGITS_MAX.into() => {
                    let (digits, scale) = (u8::try_from(digits), i8::try_from(scale));
                    Type::Decimal { digits: digits.expect("few"), scale: scale.expect("few"), bytes }
                }
                _ => plain,
            }
        }
        _ => plain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Schema, String> {
        Schema::read(&[text.to_owned()])
    }

    fn field(schema: &Schema, name: &str) -> Type {
        let Type::Record(fields) = schema.kind(schema.root()) else { panic!("a record") };
        let (_, at) = fields.iter().find(|(field, _)| field == name).expect("a field");
        schema.kind(*at).clone()
    }

    #[test]
    fn types_mean_what_they_say_and_themselves_where_that_does_not_fit() {
        let schema = read(
            r#"{"type": "record", "name": "a.R", "fields": [
                {"name": "day", "type": {"type": "int", "logicalType": "date"}},
                {"name": "at", "type": {"type": "long", "logicalType": "timestamp-micros"}},
                {"name": "beside", "type": "long", "logicalType": "timestamp-millis"},
                {"name": "wall", "type": {"type": "long", "logicalType": "local-timestamp-millis"}},
                {"name": "amount", "type": {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}},
                {"name": "wide", "type": {"type": "bytes", "logicalType": "decimal", "precision": 99}},
                {"name": "kind", "type": {"type": "enum", "name": "Kind", "symbols": ["A", "B"]}},
                {"name": "again", "type": "Kind"},
                {"name": "whole", "type": "a.Kind"},
                {"name": "text", "type": {"type": "string", "logicalType": "uuid", "avro.java.string": "String"}}
            ]}"#,
        )
        .expect("a schema");
        let kinds: Arc<[String]> = ["A".to_owned(), "B".to_owned()].into();
        for (name, kind) in [
            ("day", Type::Date),
            ("at", Type::Timestamp(TimeUnit::Microsecond, true)),
            ("beside", Type::Timestamp(TimeUnit::Millisecond, true)),
            ("wall", Type::Timestamp(TimeUnit::Millisecond, false)),
            ("amount", Type::Decimal { digits: 9, scale: 2, bytes: None }),
            ("wide", Type::Bytes),
            ("kind", Type::Enum(Arc::clone(&kinds))),
            ("again", Type::Enum(Arc::clone(&kinds))),
            ("whole", Type::Enum(kinds)),
            ("text", Type::Text),
        ] {
            assert_eq!(field(&schema, name), kind, "{name}");
        }
    }

    #[test]
    fn types_of_other_texts_are_known_by_name() {
        let other = r#"{"type": "record", "name": "Amount", "namespace": "shop", "fields": []}"#.to_owned();
        let own = r#"{"type": "record", "name": "Order", "namespace": "shop",
            "fields": [{"name": "amount", "type": ["null", "Amount"]}, {"name": "next", "type": ["null", "Order"]}]}"#;
        assert!(matches!(Schema::read(&[other, own.to_owned()]), Ok(schema) if schema.name(schema.root()) == "Order"));
        assert_eq!(read(own).unwrap_err(), "field `amount`: there is no type `Amount`");
        assert!(matches!(read("string"), Ok(schema) if *schema.kind(schema.root()) == Type::Text));
    }

    #[test]
    fn what_is_no_schema_is_said() {
        for (text, why) in [
            ("{", "not JSON: EOF while parsing an object at line 1 column 1"),
            ("{}", "a type without `type`"),
            ("7", "7 is no type"),
            (r#"{"type": "array"}"#, "`array` without `items`"),
            (r#"{"type": "enum", "name": "E"}"#, "`enum` without `symbols`"),
            (r#"{"type": "fixed", "name": "F", "size": -1}"#, "`size` is no number of bytes"),
        ] {
            assert_eq!(read(text).unwrap_err(), why, "{text}");
        }
    }
}
