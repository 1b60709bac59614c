//! Objects of JSON as values, for those who look at all that is in them: with the numbers that JSON does not know, and
//! with every value of a key that is there several times.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::json::beyond;

/// The object of a record, in which numbers that JSON does not know stand as texts, such as `"NaN"` and `"-Infinity"`.
/// Of a key that is there again, the second value stands under `key (2)`.
#[must_use]
pub fn object(record: &[u8]) -> Option<Map<String, Value>> {
    read(record).or_else(|| {
        let (mut quoted, mut from) = (Vec::with_capacity(record.len() + 16), 0);
        for range in beyond(record) {
            quoted.extend_from_slice(&record[from..range.start]);
            quoted.push(b'"');
            quoted.extend_from_slice(&record[range.clone()]);
            quoted.push(b'"');
            from = range.end;
        }
        quoted.extend_from_slice(&record[from..]);
        (from > 0).then(|| read(&quoted)).flatten()
    })
}

fn read(record: &[u8]) -> Option<Map<String, Value>> {
    match serde_json::from_slice(record).ok()? {
        LosslessValue(Value::Object(fields)) => Some(fields),
        LosslessValue(_) => None,
    }
}

/// A value whose objects keep every value of their keys.
struct LosslessValue(Value);

impl<'de> Deserialize<'de> for LosslessValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(JsonVisitor)
    }
}

struct JsonVisitor;

impl<'de> Visitor<'de> for JsonVisitor {
    type Value = LosslessValue;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value of JSON")
    }

    fn visit_unit<E>(self) -> Result<LosslessValue, E> {
        Ok(LosslessValue(Value::Null))
    }

    fn visit_bool<E>(self, value: bool) -> Result<LosslessValue, E> {
        Ok(LosslessValue(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<LosslessValue, E> {
        Ok(LosslessValue(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<LosslessValue, E> {
        Ok(LosslessValue(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<LosslessValue, E> {
        Ok(LosslessValue(value.into()))
    }

    fn visit_str<E>(self, value: &str) -> Result<LosslessValue, E> {
        Ok(LosslessValue(value.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<LosslessValue, A::Error> {
        let mut all = Vec::new();
        while let Some(LosslessValue(value)) = values.next_element()? {
            all.push(value);
        }
        Ok(LosslessValue(Value::Array(all)))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<LosslessValue, A::Error> {
        let mut all = Map::new();
        while let Some((name, LosslessValue(value))) = members.next_entry::<String, LosslessValue>()? {
            let mut again = (2..).map(|n| format!("{name} ({n})"));
            let is_new = !all.contains_key(&name);
            let free = if is_new { None } else { again.find(|other| !all.contains_key(other)) };
            all.insert(free.unwrap_or(name), value);
        }
        Ok(LosslessValue(Value::Object(all)))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn keys_that_are_there_again_keep_their_values() {
        let read = |text: &str| object(text.as_bytes()).map(Value::Object);
        let twice = r#"{"a": 1, "a": NaN, "b": {"c": [true, null], "c": "x"}, "a": -2.5}"#;
        let expected = json!({ "a": 1, "a (2)": "NaN", "a (3)": -2.5, "b": { "c": [true, null], "c (2)": "x" } });
        assert_eq!(read(twice), Some(expected));
        assert_eq!((read("[1]"), read("{"), read("3")), (None, None, None));
    }
}
