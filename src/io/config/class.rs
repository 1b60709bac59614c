//! A class as a pipeline file names it.

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::value::Dotted;
use crate::decode::cell::category;

/// A class: a text, a number or a boolean.
#[derive(Debug, Clone)]
pub(crate) struct Class(pub(crate) String);

impl<'de> Deserialize<'de> for Class {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ScalarVisitor;

        impl Visitor<'_> for ScalarVisitor {
            type Value = Class;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a class")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Class, E> {
                Ok(Class(text.to_owned()))
            }

            fn visit_bool<E: serde::de::Error>(self, truth: bool) -> Result<Class, E> {
                Ok(Class(truth.to_string()))
            }

            fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<Class, E> {
                Ok(Class(number.to_string()))
            }

            fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Class, E> {
                Ok(Class(number.to_string()))
            }

            fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<Class, E> {
                Ok(Class(number.to_string()))
            }
        }

        deserializer.deserialize_any(ScalarVisitor)
    }
}

impl JsonSchema for Class {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Class".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "number", "boolean"] })
    }
}

/// The fields that hold the scores of classes: class and path.
#[derive(Debug, Clone)]
pub(crate) struct ClassFields(pub(crate) Vec<(String, Dotted)>);

impl<'de> Deserialize<'de> for ClassFields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FieldsVisitor;

        impl<'de> Visitor<'de> for FieldsVisitor {
            type Value = ClassFields;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a mapping of classes to paths")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<ClassFields, A::Error> {
                let mut fields: Vec<(String, Dotted)> = Vec::new();
                while let Some((Class(class), path)) = map.next_entry()? {
                    let class = category(&class).to_owned();
                    if fields.iter().any(|(known, _)| *known == class) {
                        return Err(A::Error::custom(format!("class `{class}` is there twice")));
                    }
                    fields.push((class, path));
                }
                if fields.len() < 2 {
                    return Err(A::Error::custom("name the fields of two classes at least"));
                }
                Ok(ClassFields(fields))
            }
        }

        deserializer.deserialize_map(FieldsVisitor)
    }
}

impl JsonSchema for ClassFields {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ClassFields".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let path = generator.subschema_for::<Dotted>();
        json_schema!({ "type": "object", "additionalProperties": path, "minProperties": 2 })
    }
}
