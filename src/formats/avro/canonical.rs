//! The fingerprint of a schema (Apache Avro 1.12, "Parsing Canonical Form" and "Schema Fingerprints").

use serde_json::{Map, Value};

use super::schema::{full, primitive};

/// The fingerprint of nothing, which is the polynomial, too.
const EMPTY: u64 = 0xc15d_213a_a4d7_a795;

/// What is left of a schema, in its order, beside what is told apart.
const KEPT: [&str; 4] = ["symbols", "items", "values", "size"];

/// The CRC-64-AVRO of a schema that refers to no other; none where the text is no schema.
#[must_use]
pub fn fingerprint(text: &str) -> Option<u64> {
    let mut canonical = String::new();
    write(&serde_json::from_str(text).ok()?, "", &mut canonical)?;
    Some(rabin(canonical.as_bytes()))
}

fn rabin(bytes: &[u8]) -> u64 {
    let step = |fingerprint: u64| (fingerprint >> 1) ^ if fingerprint & 1 == 1 { EMPTY } else { 0 };
    bytes.iter().fold(EMPTY, |fingerprint, byte| {
        let low = (0..8).fold((fingerprint ^ u64::from(*byte)) & 0xff, |low, _| step(low));
        (fingerprint >> 8) ^ low
    })
}

/// Writes the canonical form of a part of a schema within a space of names.
fn write(value: &Value, space: &str, out: &mut String) -> Option<()> {
    match value {
        Value::String(name) if primitive(name).is_some() => quote(name, out),
        Value::String(name) => quote(&full(name, space), out),
        Value::Array(branches) => {
            out.push('[');
            for (at, branch) in branches.iter().enumerate() {
                comma(at > 0, out);
                write(branch, space, out)?;
            }
            out.push(']');
        }
        Value::Object(object) => write_object(object, space, out)?,
        _ => return None,
    }
    Some(())
}

fn write_object(object: &Map<String, Value>, space: &str, out: &mut String) -> Option<()> {
    let Some(kind) = object.get("type")?.as_str() else { return write(object.get("type")?, space, out) };
    if primitive(kind).is_some() {
        quote(kind, out);
        return Some(());
    }
    if !["record", "error", "enum", "fixed", "array", "map"].contains(&kind) {
        quote(&full(kind, space), out);
        return Some(());
    }
    out.push('{');
    let mut inner = space.to_owned();
    if let Some(name) = object.get("name") {
        let space = object.get("namespace").and_then(Value::as_str).unwrap_or(space);
        let name = full(name.as_str()?, space);
        name.rsplit_once('.').map_or("", |(space, _)| space).clone_into(&mut inner);
        out.push_str("\"name\":");
        quote(&name, out);
        out.push(',');
    }
    out.push_str("\"type\":");
    quote(kind, out);
    if let Some(fields) = object.get("fields") {
        out.push_str(",\"fields\":[");
        for (at, field) in fields.as_array()?.iter().enumerate() {
            comma(at > 0, out);
            out.push_str("{\"name\":");
            quote(field.get("name")?.as_str()?, out);
            out.push_str(",\"type\":");
            write(field.get("type")?, &inner, out)?;
            out.push('}');
        }
        out.push(']');
    }
    for key in KEPT {
        let Some(value) = object.get(key) else { continue };
        out.extend([",\"", key, "\":"]);
        match (key, value) {
            ("items" | "values", kind) => write(kind, &inner, out)?,
            ("size", Value::String(digits)) => out.push_str(digits.trim_start_matches('0')),
            (_, value) => out.push_str(&value.to_string()),
        }
    }
    out.push('}');
    Some(())
}

fn comma(is_due: bool, out: &mut String) {
    if is_due {
        out.push(',');
    }
}

fn quote(text: &str, out: &mut String) {
    out.push_str(&Value::from(text).to_string());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(text: &str) -> String {
        let mut out = String::new();
        write(&serde_json::from_str(text).expect("JSON"), "", &mut out).expect("a schema");
        out
    }

    #[test]
    fn fingerprints_are_those_of_avro() {
        // share/test/data/schema-tests.txt of Apache Avro.
        for (schema, expected) in [
            ("\"null\"", 7_195_948_357_588_979_594_u64),
            ("\"int\"", 8_247_732_601_305_521_295),
            (r#"{"type": "int", "logicalType": "date"}"#, 8_247_732_601_305_521_295),
        ] {
            assert_eq!(fingerprint(schema), Some(expected), "{schema}");
        }
        assert_eq!((fingerprint("7"), fingerprint("{")), (None, None));
    }

    #[test]
    fn what_does_not_say_how_values_are_read_is_left_out() {
        let schema = r#"{"fields": [{"type": ["null", {"type": "enum", "symbols": ["A"], "name": "K"}], "name": "k",
            "default": null, "doc": "…"}, {"name": "l", "type": {"items": {"type": "K"}, "type": "array"}}],
            "namespace": "x.y", "name": "R", "type": "record", "doc": "…"}"#;
        assert_eq!(
            canonical(schema),
            r#"{"name":"x.y.R","type":"record","fields":[{"name":"k","type":["null",{"name":"x.y.K","type":"enum","symbols":["A"]}]},{"name":"l","type":{"type":"array","items":"x.y.K"}}]}"#
        );
    }
}
