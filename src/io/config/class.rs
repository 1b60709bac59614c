//! A class as a pipeline file names it.

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::path::Dotted;
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

/// What a key of [`ClassFields`] may hold.
enum ClassPlace {
    /// Where the score of a class is, or the list of all scores.
    Path(Dotted),
    /// The classes of such a list, in its order.
    Classes(Vec<Class>),
}

impl<'de> Deserialize<'de> for ClassPlace {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PlaceVisitor;

        impl<'de> Visitor<'de> for PlaceVisitor {
            type Value = ClassPlace;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a path, or a list of classes")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<ClassPlace, E> {
                text.parse().map(ClassPlace::Path).map_err(E::custom)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut classes: A) -> Result<ClassPlace, A::Error> {
                let mut all = Vec::new();
                while let Some(class) = classes.next_element()? {
                    all.push(class);
                }
                Ok(ClassPlace::Classes(all))
            }
        }

        deserializer.deserialize_any(PlaceVisitor)
    }
}

impl<'de> Deserialize<'de> for ClassFields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FieldsVisitor;

        impl<'de> Visitor<'de> for FieldsVisitor {
            type Value = ClassFields;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a mapping of classes to paths, or `path` and `classes`")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<ClassFields, A::Error> {
                let (mut fields, mut listed) = (Vec::new(), None);
                while let Some((Class(class), place)) = map.next_entry()? {
                    match place {
                        ClassPlace::Path(path) => fields.push((class, path)),
                        ClassPlace::Classes(classes) if class == "classes" => listed = Some(classes),
                        ClassPlace::Classes(_) => {
                            return Err(A::Error::custom(format!(
                                "`{class}` should be a path; only `classes` is a list"
                            )));
                        }
                    }
                }
                let fields = match (listed, fields.as_slice()) {
                    (None, _) => fields,
                    (Some(classes), [(key, path)]) if key == "path" => elements(classes, path),
                    (Some(_), _) => return Err(A::Error::custom("`classes` stands beside `path`, and nothing else")),
                };
                ClassFields::new(fields).map_err(A::Error::custom)
            }
        }

        deserializer.deserialize_map(FieldsVisitor)
    }
}

/// The places of classes in a list.
fn elements(classes: Vec<Class>, list: &Dotted) -> Vec<(String, Dotted)> {
    (0..).zip(classes).map(|(at, Class(class))| (class, Dotted(list.0.element(at)))).collect()
}

impl ClassFields {
    fn new(fields: Vec<(String, Dotted)>) -> Result<Self, String> {
        let mut all: Vec<(String, Dotted)> = Vec::new();
        for (class, path) in fields {
            let class = category(&class).to_owned();
            if all.iter().any(|(known, _)| *known == class) {
                return Err(format!("class `{class}` is there twice"));
            }
            all.push((class, path));
        }
        if all.len() < 2 { Err("name the fields of two classes at least".to_owned()) } else { Ok(Self(all)) }
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
        let class = generator.subschema_for::<Class>();
        json_schema!({ "anyOf": [
            { "type": "object", "additionalProperties": path, "minProperties": 2 },
            {
                "type": "object",
                "properties": { "path": path, "classes": { "type": "array", "items": class, "minItems": 2 } },
                "required": ["path", "classes"],
                "additionalProperties": false
            }
        ]})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(text: &str) -> Result<Vec<(String, String)>, String> {
        let read: Result<ClassFields, _> = serde_saphyr::from_str(text);
        let shown = |(class, path): (String, Dotted)| (class, path.to_string());
        read.map(|ClassFields(fields)| fields.into_iter().map(shown).collect()).map_err(|error| error.to_string())
    }

    fn all(expected: &[(&str, &str)]) -> Vec<(String, String)> {
        expected.iter().map(|(class, path)| ((*class).to_owned(), (*path).to_owned())).collect()
    }

    #[test]
    fn classes_are_named_one_by_one_or_in_the_order_of_a_list() {
        assert_eq!(
            fields("{ cat: p.cat, 1: p.one, true: p.yes }"),
            Ok(all(&[("cat", "p.cat"), ("1", "p.one"), ("true", "p.yes")]))
        );
        let listed = fields("{ path: scores, classes: [cat, 2, false, 1.0] }");
        assert_eq!(
            listed,
            Ok(all(&[("cat", "scores[0]"), ("2", "scores[1]"), ("false", "scores[2]"), ("1", "scores[3]")]))
        );
        assert_eq!(
            fields("{ path: a, other: b }"),
            Ok(all(&[("path", "a"), ("other", "b")])),
            "classes of these names"
        );
    }

    #[test]
    fn classes_that_are_one_or_alone_or_nowhere_are_refused() {
        for (text, says) in [
            ("{ 1: a, 1.0: b }", "class `1` is there twice"),
            ("{ True: a, 'true': b }", "class `true` is there twice"),
            ("{ a: x }", "name the fields of two classes at least"),
            ("{ path: s, classes: [a] }", "name the fields of two classes at least"),
            ("{ path: s, classes: [a, a] }", "class `a` is there twice"),
            ("{ a: x, b: [c, d] }", "`b` should be a path; only `classes` is a list"),
            ("{ path: s, b: x, classes: [c, d] }", "`classes` stands beside `path`, and nothing else"),
            ("{ classes: [c, d] }", "`classes` stands beside `path`, and nothing else"),
        ] {
            let error = fields(text).expect_err(text);
            assert!(error.contains(says), "{text}: {error}");
        }
    }
}
