//! What is known about a stream: `labels.json`, one object per stream.

use std::path::Path;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Number, Value};

use crate::error::{Error, Result};
use crate::event::{Micros, SECOND};
use crate::sim::{self, SimulatedRollout};

/// Times before 1980 are taken for another unit.
const MICROS_MIN: Micros = 315_532_800 * SECOND;
/// What labels look like.
const FORM: &str =
    "write a list of objects with stream, kind, test_start, end, change_time, change_end and scope (`v2` or `both`)";
const TIMES: &str = "write all times in microseconds since 1970, and null where nothing changes";

/// What happens in one stream. All times are microseconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Label {
    /// The stream, which is the model's name.
    pub stream: String,
    /// What kind of change it has; streams of one kind are scored together.
    pub kind: String,
    /// From when on the candidate has traffic.
    #[serde(deserialize_with = "whole")]
    pub test_start: Micros,
    /// The end.
    #[serde(deserialize_with = "whole")]
    pub end: Micros,
    /// When something changes; `null` in a healthy stream.
    #[serde(default, deserialize_with = "whole_or_null")]
    pub change_time: Option<Micros>,
    /// When the change is over.
    #[serde(default, deserialize_with = "whole_or_null")]
    pub change_end: Option<Micros>,
    /// Who changes; `null` in a healthy stream.
    pub scope: Option<Scope>,
    /// Over after one window: to be noted, not to be acted on.
    #[serde(default)]
    pub transient: bool,
}

/// Who changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Only the candidate.
    V2,
    /// Both versions; no version is to blame.
    Both,
}

impl Label {
    /// Reads `labels.json`.
    ///
    /// # Errors
    /// When it cannot be read or is something else.
    pub fn load(path: &Path) -> Result<Vec<Self>> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| Error::user(format!("cannot read {}", path.display())).because(error))?;
        Self::parse(&text).map_err(|error| {
            let whole = Error::user(format!("{} holds no labels of streams", path.display()));
            let hint = error.advice().unwrap_or(FORM).to_owned();
            whole.because(error).hint(hint)
        })
    }

    fn parse(text: &str) -> Result<Vec<Self>> {
        let wrong = |what: &str| Err(Error::user(what.to_owned()));
        let list: Vec<Value> = match serde_json::from_str(text) {
            Ok(Value::Array(list)) => list,
            Ok(Value::Object(_)) => {
                return wrong("it is one object, not a list").map_err(|error| {
                    error.hint("write one object per stream; with pandas, `to_json(path, orient=\"records\")`")
                });
            }
            Ok(_) => return wrong("it is not a list"),
            Err(error) => {
                let hint =
                    "write one list of objects, not one object per line, and null where there is no change, not NaN";
                return Err(Error::user("it is not JSON").because(error).hint(hint));
            }
        };
        let label = |(place, value): (usize, Value)| {
            let stream = value.get("stream").and_then(Value::as_str).unwrap_or("without a name").to_owned();
            let bad = || Error::user(format!("label {} (stream {stream})", place + 1));
            let label: Self = serde_json::from_value(value).map_err(|error| bad().because(error).hint(FORM))?;
            label.check().map_err(|what| bad().because(Error::user(what)).hint(TIMES)).map(|()| label)
        };
        list.into_iter().enumerate().map(label).collect()
    }

    /// Whether times can be meant as they stand.
    fn check(&self) -> std::result::Result<(), String> {
        let times = [Some(self.test_start), Some(self.end), self.change_time];
        if let Some(time) = times.into_iter().flatten().find(|time| *time < MICROS_MIN) {
            return Err(format!("{time} microseconds after 1970 is no time of a stream"));
        }
        let Some(change) = self.change_time else { return Ok(()) };
        if !(self.test_start..self.end).contains(&change) {
            return Err(format!("the change at {change} is not between {} and {}", self.test_start, self.end));
        }
        if self.scope.is_none() {
            return Err("something changes, but `scope` does not say in which version".to_owned());
        }
        Ok(())
    }

    /// What is known of a made-up world.
    #[must_use]
    pub fn of(world: &SimulatedRollout) -> Self {
        let scope = world.kind.change.map(|change| match change.scope {
            sim::ChangeScope::Candidate => Scope::V2,
            sim::ChangeScope::Both => Scope::Both,
        });
        Self {
            stream: world.stream.clone(),
            kind: world.kind.name.to_owned(),
            test_start: world.test_start(),
            end: world.end(),
            change_time: world.change_time(),
            change_end: world.change_end(),
            scope,
            transient: world.kind.change.is_some_and(|change| change.transient),
        }
    }

    /// Until when the stream is healthy.
    #[must_use]
    pub fn healthy_until(&self) -> Micros {
        self.change_time.unwrap_or(self.end)
    }
}

/// A whole number, written as one or as a float (pandas does where some are missing).
fn whole<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Micros, D::Error> {
    micros(&Number::deserialize(deserializer)?).map_err(serde::de::Error::custom)
}

fn whole_or_null<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Option<Micros>, D::Error> {
    let number = Option::<Number>::deserialize(deserializer)?;
    number.map(|number| micros(&number)).transpose().map_err(serde::de::Error::custom)
}

#[expect(clippy::cast_possible_truncation, reason = "whole and far below 2^53")]
fn micros(number: &Number) -> std::result::Result<Micros, String> {
    let whole = |float: &f64| float.fract() == 0.0 && float.abs() < 9e15;
    let float = || number.as_f64().filter(whole).map(|float| float as Micros);
    number.as_i64().or_else(float).ok_or_else(|| format!("{number} is not a whole number of microseconds"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = r#"{"stream": "s", "kind": "k", "test_start": 1767312000000000, "end": 1767420000000000.0,
        "change_window": 12, "change_time": 1767355200000000.0, "change_end": null, "scope": "v2", "seasonal": false}"#;

    fn refused(text: &str) -> String {
        let error = Label::parse(text).unwrap_err();
        let causes: Vec<String> = std::iter::successors(std::error::Error::source(&error), |error| error.source())
            .map(ToString::to_string)
            .collect();
        format!("{error}: {}; {}", causes.join(": "), error.advice().unwrap_or_default())
    }

    #[test]
    fn whole_floats_and_unknown_fields_are_read() {
        let labels = Label::parse(&format!("[{ONE}]")).unwrap();
        assert_eq!((labels[0].end, labels[0].change_time), (1_767_420_000_000_000, Some(1_767_355_200_000_000)));
        assert_eq!((labels[0].scope, labels[0].transient), (Some(Scope::V2), false));
    }

    #[test]
    fn what_is_wrong_is_said_with_the_stream_and_a_way_out() {
        let columns = refused(r#"{"stream": {"0": "s"}, "kind": {"0": "aa"}}"#);
        assert!(columns.contains("orient=\"records\""), "{columns}");
        assert!(refused(&format!("{ONE}\n{ONE}")).contains("not one object per line"));
        assert!(refused(&format!("[{}]", ONE.replace("null", "NaN"))).contains("not NaN"));
        let milliseconds = refused(&format!("[{}]", ONE.replace("000000000", "000000")));
        assert!(
            milliseconds.contains("label 1 (stream s)") && milliseconds.contains("microseconds since"),
            "{milliseconds}"
        );
        let half = refused(&format!("[{}]", ONE.replace("1767420000000000.0", "1767420000000000.5")));
        assert!(half.contains("is not a whole number"), "{half}");
        let nobody = refused(&format!("[{}]", ONE.replace("\"v2\"", "null")));
        assert!(nobody.contains("`scope` does not say"), "{nobody}");
        let other = refused(&format!("[{}]", ONE.replace("\"v2\"", "\"v9\"")));
        assert!(other.contains("v9") && other.contains("`both`"), "{other}");
        let nameless = refused(&format!("[{}]", ONE.replace("\"kind\": \"k\",", "")));
        assert!(nameless.contains("missing field `kind`"), "{nameless}");
    }
}
