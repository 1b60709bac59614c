//! A class as a pipeline file names it.

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Visitor;
use serde::{Deserialize, Deserializer};

/// A class: a text, a number or a boolean.
#[derive(Debug, Clone)]
pub(crate) struct Class(pub(crate) String);

impl<'de> Deserialize<'de> for Class {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Scalar;

        impl Visitor<'_> for Scalar {
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

        deserializer.deserialize_any(Scalar)
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
