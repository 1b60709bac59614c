//! `CloudEvents` on Kafka: the envelope is recognised by its headers and taken off.
//!
//! Binary mode keeps the attributes in headers `ce_*` and the event itself in the payload. Structured mode keeps all of
//! it in one JSON object, the event under `data`. There is no batch mode on Kafka. See the `CloudEvents` Kafka protocol
//! binding 1.0.2.

/// How a record carries its event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContentMode {
    /// The payload is the event; there are no attributes.
    Plain,
    /// The payload is the event; attributes are headers.
    Binary,
    /// The payload is an envelope with attributes and `data`.
    Structured,
}

/// Key of the event in a structured envelope.
pub const DATA: &str = "data";
const STRUCTURED_PREFIX: &[u8] = b"application/cloudevents";
const ATTRIBUTE_PREFIX: &str = "ce_";

/// How a record with these headers carries its event.
pub fn mode(headers: &[(&str, &[u8])]) -> ContentMode {
    if headers.is_empty() {
        return ContentMode::Plain;
    }
    if headers.iter().any(|(name, value)| name.eq_ignore_ascii_case("content-type") && is_structured(value)) {
        return ContentMode::Structured;
    }
    if attribute(headers, "specversion").is_some() { ContentMode::Binary } else { ContentMode::Plain }
}

fn is_structured(content_type: &[u8]) -> bool {
    content_type.get(..STRUCTURED_PREFIX.len()).is_some_and(|start| start.eq_ignore_ascii_case(STRUCTURED_PREFIX))
}

/// The value of an attribute of a binary-mode record.
pub(super) fn attribute<'a>(headers: &[(&str, &'a [u8])], name: &str) -> Option<&'a [u8]> {
    let is_named = |header: &str| header.strip_prefix(ATTRIBUTE_PREFIX) == Some(name);
    headers.iter().find(|(header, _)| is_named(header)).map(|(_, value)| *value)
}

/// The attributes of a binary-mode record that are texts.
pub fn attributes<'a>(headers: &[(&'a str, &'a [u8])]) -> impl Iterator<Item = (&'a str, &'a str)> {
    headers
        .iter()
        .filter_map(|(header, value)| Some((header.strip_prefix(ATTRIBUTE_PREFIX)?, std::str::from_utf8(value).ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_told_by_headers() {
        let mode_of = |headers: &[(&str, &str)]| {
            let headers: Vec<_> = headers.iter().map(|&(name, value)| (name, value.as_bytes())).collect();
            mode(&headers)
        };
        assert_eq!(mode_of(&[]), ContentMode::Plain);
        assert_eq!(mode_of(&[("content-type", "application/json"), ("trace", "1")]), ContentMode::Plain);
        assert_eq!(mode_of(&[("ce_specversion", "1.0"), ("content-type", "application/json")]), ContentMode::Binary);
        assert_eq!(
            mode_of(&[("Content-Type", "Application/CloudEvents+JSON; charset=utf-8")]),
            ContentMode::Structured
        );
    }

    #[test]
    fn attributes_are_found_by_name() {
        let headers: [(&str, &[u8]); 2] = [("ce_id", b"1"), ("ce_idempotent", b"2")];
        assert_eq!(attribute(&headers, "idempotent"), Some(b"2".as_slice()));
        assert_eq!(attribute(&headers, "time"), None);
    }
}
