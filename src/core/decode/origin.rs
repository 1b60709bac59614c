//! Values of the record itself, beside its payload: `$key`, `$topic`, `$partition`, `$time`, headers as `$header.NAME`
//! and attributes of `CloudEvents` as `$ce.NAME`.

use std::borrow::Cow;

use crate::plan::{HEADER, Path, PathStep};

use super::cloudevents::{self, ContentMode};
use super::{Record, cell};

/// First component of the paths that name `CloudEvents` attributes: `$ce.id`, `$ce.time`, `$ce.subject` …
pub const CLOUD_EVENT: &str = "$ce";

/// A value of the record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// An attribute of a `CloudEvents` envelope.
    Attribute(String),
    /// The last header of this name.
    Header(String),
    /// The key.
    Key,
    /// The topic.
    Topic,
    /// The partition.
    Partition,
    /// When it arrived, in milliseconds since 1970.
    Time,
}

impl Origin {
    /// What a path begins with, if that is a value of the record, and the steps that lead on inside of it.
    #[must_use]
    pub fn of(path: &Path) -> Option<(Self, &[PathStep])> {
        let (PathStep::Key(first), rest) = path.steps().split_first()? else { return None };
        if let Some(attribute) = first.strip_prefix(CLOUD_EVENT).and_then(|rest| rest.strip_prefix('.')) {
            return Some((Self::Attribute(attribute.to_owned()), rest));
        }
        let named = |origin: fn(String) -> Self| match rest {
            [PathStep::Key(name), rest @ ..] => Some((origin(name.clone()), rest)),
            _ => None,
        };
        match first.as_str() {
            CLOUD_EVENT => named(Self::Attribute),
            HEADER => named(Self::Header),
            "$key" => Some((Self::Key, rest)),
            "$topic" => Some((Self::Topic, rest)),
            "$partition" => Some((Self::Partition, rest)),
            "$time" => Some((Self::Time, rest)),
            _ => None,
        }
    }

    /// Whether files have it: what `CloudEvents` say of an event may be part of it.
    #[must_use]
    pub fn is_in_files(&self) -> bool {
        matches!(self, Self::Attribute(_))
    }

    /// The value, if the record has it.
    pub(super) fn value<'r>(&self, record: &Record<'r>, lane: u32) -> Option<Cow<'r, [u8]>> {
        let written = |number: i64| Some(Cow::Owned(number.to_string().into_bytes()));
        match self {
            Self::Attribute(name) => {
                let is_binary = cloudevents::mode(record.headers) == ContentMode::Binary;
                cloudevents::attribute(record.headers, name).filter(|_| is_binary).map(Cow::Borrowed)
            }
            Self::Header(name) => {
                let named = record.headers.iter().rfind(|(header, _)| header == name);
                named.map(|(_, value)| Cow::Borrowed(*value))
            }
            Self::Key => record.key.map(Cow::Borrowed),
            Self::Topic => Some(Cow::Borrowed(record.topic.as_bytes())),
            Self::Partition => written(lane.into()),
            Self::Time => written(record.broker_time.div_euclid(1_000)),
        }
    }

    /// One name for it, by which it differs from every other.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Attribute(name) => format!("{CLOUD_EVENT}.{name}"),
            Self::Header(name) => format!("{HEADER}.{name}"),
            Self::Key => "$key".to_owned(),
            Self::Topic => "$topic".to_owned(),
            Self::Partition => "$partition".to_owned(),
            Self::Time => "$time".to_owned(),
        }
    }
}

/// Whether a value is one of those that a condition allows.
pub(super) fn is_allowed(allowed: &[String], value: &str) -> bool {
    let value = cell::category(value);
    allowed.iter().any(|one| one == value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record<'r>(headers: &'r [(&'r str, &'r [u8])]) -> Record<'r> {
        Record { offset: 0, broker_time: 1_500_999, key: Some(b"k"), payload: None, headers, topic: "t" }
    }

    #[test]
    fn values_of_the_record_are_found_by_their_paths() {
        let headers: [(&str, &[u8]); 4] = [("a.b", b"1"), ("a.b", b"2"), ("ce_id", b"e"), ("ce_specversion", b"1.0")];
        for (path, value) in [
            ("$key", Some("k")),
            ("$topic", Some("t")),
            ("$partition", Some("3")),
            ("$time", Some("1500")),
            ("$header.a\\.b", Some("2")),
            ("$header.none", None),
            ("$ce.id", Some("e")),
            ("$ce.none", None),
        ] {
            let path: Path = path.parse().expect("a path");
            let (origin, rest) = Origin::of(&path).expect("a value of the record");
            assert!(rest.is_empty());
            assert_eq!(origin.value(&record(&headers), 3).as_deref(), value.map(str::as_bytes), "{path}");
        }
        let inner: Path = "$ce.metadata.x[0]".parse().expect("a path");
        assert_eq!(
            Origin::of(&inner).map(|(origin, rest)| (origin.name(), rest.len())),
            Some(("$ce.metadata".into(), 2))
        );
        for none in ["$oid", "key", "$header", "a.$key"] {
            assert_eq!(Origin::of(&none.parse().expect("a path")), None, "{none}");
        }
    }

    #[test]
    fn attributes_count_in_binary_mode_only() {
        let headers: [(&str, &[u8]); 1] = [("ce_id", b"e")];
        assert_eq!(Origin::Attribute("id".to_owned()).value(&record(&headers), 0), None);
    }
}
