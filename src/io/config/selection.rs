//! Which records of a topic a source takes.

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::class::Class;
use super::path::Dotted;
use super::problem::Problems;
use super::value::At;
use crate::decode::cell::category;
use crate::plan::{CONDITIONS_MAX, Condition, Selection};

/// What the values at some paths may be.
#[derive(Debug, Clone, Default)]
pub(crate) struct Conditions(Vec<(At<Dotted>, Allowed)>);

/// One value or several.
#[derive(Debug, Clone)]
struct Allowed(Vec<Class>);

/// What becomes of records without a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Tombstones {
    /// They are passed over, as all that the source does not take.
    Pass,
    /// They are refused, as all that cannot be read.
    Refuse,
}

impl<'de> Deserialize<'de> for Conditions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ConditionsVisitor;

        impl<'de> Visitor<'de> for ConditionsVisitor {
            type Value = Conditions;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a mapping of paths to values that are taken")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Conditions, A::Error> {
                let mut all = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    all.push(entry);
                }
                Ok(Conditions(all))
            }
        }

        deserializer.deserialize_map(ConditionsVisitor)
    }
}

impl<'de> Deserialize<'de> for Allowed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AllowedVisitor;

        impl<'de> Visitor<'de> for AllowedVisitor {
            type Value = Allowed;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value, or a list of values")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Allowed, E> {
                Ok(Allowed(vec![Class(text.to_owned())]))
            }

            fn visit_bool<E: serde::de::Error>(self, truth: bool) -> Result<Allowed, E> {
                Ok(Allowed(vec![Class(truth.to_string())]))
            }

            fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<Allowed, E> {
                Ok(Allowed(vec![Class(number.to_string())]))
            }

            fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Allowed, E> {
                Ok(Allowed(vec![Class(number.to_string())]))
            }

            fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<Allowed, E> {
                Ok(Allowed(vec![Class(number.to_string())]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<Allowed, A::Error> {
                let mut all = Vec::new();
                while let Some(value) = values.next_element()? {
                    all.push(value);
                }
                Ok(Allowed(all))
            }
        }

        deserializer.deserialize_any(AllowedVisitor)
    }
}

impl JsonSchema for Conditions {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Conditions".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let value = generator.subschema_for::<Class>();
        json_schema!({
            "type": "object",
            "additionalProperties": { "anyOf": [value, { "type": "array", "items": value, "minItems": 1 }] },
            "maxProperties": CONDITIONS_MAX
        })
    }
}

impl Conditions {
    /// Whether every record is taken.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What they mean. A source that takes only some records passes tombstones over, unless told otherwise.
    pub(crate) fn resolve(&self, tombstones: Option<Tombstones>, problems: &mut Problems) -> Selection {
        if let Some((path, _)) = self.0.get(CONDITIONS_MAX) {
            problems.add(path.spot, format!("more than {CONDITIONS_MAX} conditions")).help("leave some out");
        }
        let mut conditions: Vec<Condition> = Vec::new();
        for (At { value: Dotted(path), spot }, Allowed(values)) in &self.0 {
            if values.is_empty() {
                problems
                    .add(*spot, format!("`{path}` may have no value at all"))
                    .help("name the values that are taken");
            }
            if conditions.iter().any(|known| known.path == *path) {
                problems.add(*spot, format!("`{path}` stands here twice")).help("name all its values in one list");
            }
            let allowed = values.iter().map(|Class(value)| category(value).to_owned()).collect();
            conditions.push(Condition { path: path.clone(), allowed });
        }
        let without_tombstones = tombstones.map_or(!conditions.is_empty(), |what| what == Tombstones::Pass);
        Selection { conditions, without_tombstones }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(text: &str, tombstones: Option<Tombstones>) -> Result<Selection, String> {
        let conditions: Conditions = serde_saphyr::from_str(text).map_err(|error| error.to_string())?;
        let mut problems = Problems::default();
        let selection = conditions.resolve(tombstones, &mut problems);
        problems.into_result("p.yaml", text).map(|()| selection).map_err(|error| error.to_string())
    }

    #[test]
    fn values_are_taken_as_they_are_compared() {
        let selection = resolved("{ op: [c, u], kind: 1.0, is_live: TRUE, a.b: -2 }", None).expect("conditions");
        let said: Vec<String> = selection
            .conditions
            .iter()
            .map(|condition| format!("{}={}", condition.path, condition.allowed.join("|")))
            .collect();
        assert_eq!(said, ["op=c|u", "kind=1", "is_live=true", "a.b=-2"]);
    }

    #[test]
    fn who_takes_some_records_passes_tombstones_over_unless_told_otherwise() {
        let passes = |text, tombstones| resolved(text, tombstones).expect("conditions").without_tombstones;
        assert!(passes("{ op: c }", None) && !passes("{}", None));
        assert!(passes("{}", Some(Tombstones::Pass)) && !passes("{ op: c }", Some(Tombstones::Refuse)));
    }

    #[test]
    fn conditions_that_nothing_meets_and_too_many_are_told() {
        let error = resolved("{ op: [] }", None).expect_err("no value");
        assert!(error.contains("p.yaml:1:3: `op` may have no value at all"), "{error}");
        assert!(error.contains("= name the values that are taken"), "{error}");
        let many = |n: usize| (0..n).map(|at| format!("k{at}: x")).collect::<Vec<_>>().join(", ");
        assert!(resolved(&format!("{{ {} }}", many(CONDITIONS_MAX)), None).is_ok());
        let error = resolved(&format!("{{ {} }}", many(CONDITIONS_MAX + 1)), None).expect_err("too many");
        assert!(error.contains(&format!("more than {CONDITIONS_MAX} conditions")), "{error}");
    }
}
