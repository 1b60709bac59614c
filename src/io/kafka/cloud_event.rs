//! `CloudEvents` 1.0 in Kafka's binary mode: attributes in `ce_` headers, the decision, command or result as JSON in
//! the value.

use arrow::temporal_conversions::timestamp_us_to_datetime;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::BaseRecord;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::commands::Ack;
use super::intent::{self, Intent};
use super::liveness;
use super::ports::Incoming;
use super::producer::OutgoingRecord;
use super::versions::PipelineVersion;
use crate::event::Micros;
use crate::judge::WindowRow;
use crate::verdict::{Command, CommandResult, Decision, Liveness, RolloutState};

/// Type of decisions.
pub const DECISION: &str = "io.haldane.decision.v1";
/// Type of commands.
pub const COMMAND: &str = "io.haldane.command.v1";
/// Type of what became of commands.
pub const RESULT: &str = "io.haldane.command-result.v1";
/// Type of acknowledgements of actuators.
pub const ACK: &str = "io.haldane.ack.v1";
/// Type of shares of traffic that adapters see at their targets.
pub const EXPOSURE: &str = "io.haldane.exposure.v1";

/// The header that names the schema, and with it the version, of records that are no events.
const SCHEMA: &str = "haldane.schema";
/// Schema of rollouts' states.
const STATE_SCHEMA: &str = "urn:haldane:rollout-state:v2";
const INTENT_SCHEMA: &str = "urn:haldane:intent:v1";
const PIPELINE_SCHEMA: &str = "urn:haldane:pipeline-version:v1";
const LIVENESS_SCHEMA: &str = "urn:haldane:liveness:v1";
/// Schema of rows of judged windows.
const WINDOW_SCHEMA: &str = "urn:haldane:window:v1";

/// An attribute of a record's event, without its prefix; `None` where there is none, or none that is text.
#[must_use]
pub fn attribute(message: &(impl Incoming + ?Sized), name: &str) -> Option<String> {
    let is_it = |key: &str| key.strip_prefix("ce_") == Some(name);
    let (_, value) = message.headers()?.into_iter().find(|(key, _)| is_it(key))?;
    std::str::from_utf8(value).ok().map(ToOwned::to_owned)
}

/// Whether a record's event is of this type, but of a version that a newer release writes.
#[must_use]
pub fn is_newer(message: &(impl Incoming + ?Sized), kind: &str) -> bool {
    let family = |kind: &str| kind.rsplit_once(".v").map(|(family, _)| family.to_owned());
    attribute(message, "type").is_some_and(|found| found != kind && family(&found) == family(kind))
}

/// The body of a record whose event is of one type; `None` when it is of another.
pub fn body_of<T: DeserializeOwned>(message: &dyn Incoming, kind: &str) -> Option<serde_json::Result<T>> {
    (attribute(message, "type")? == kind).then(|| serde_json::from_slice(message.payload().unwrap_or_default()))
}

/// A candidate's share of traffic as its target showed it: an event of a source of exposures.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SeenExposure {
    /// Pipeline.
    pub pipeline: String,
    /// Rollout.
    pub rollout: String,
    /// Model.
    pub model: String,
    /// The candidate.
    pub version: String,
    /// Share of traffic, 0 to 1.
    pub exposure: f64,
    /// Who looked.
    pub adapter: String,
    /// When the look began, RFC 3339.
    pub time: String,
    /// The same as a number: the record's own time.
    #[serde(skip)]
    pub at: Micros,
}

/// A record's parts before they are lent to the producer.
#[derive(Debug)]
pub struct Letter {
    key: String,
    /// Without one the record takes away what stood under its key.
    body: Option<Vec<u8>>,
    headers: OwnedHeaders,
    time: Micros,
}

impl Letter {
    /// A decision; keyed by its rollout, so that one partition holds the rollout's whole order.
    #[must_use]
    pub fn decision(decision: &Decision, cluster: &str, recorded: Micros) -> Self {
        let mut attributes = vec![
            ("ce_specversion", "1.0".to_owned()),
            ("ce_type", DECISION.to_owned()),
            ("ce_source", format!("/haldane/{cluster}/rollouts/{}", decision.rollout)),
            ("ce_subject", format!("{}/{}", decision.model, decision.candidate)),
            ("ce_id", decision.id.clone()),
            ("ce_time", rfc3339(decision.time)),
            ("ce_recordedtime", rfc3339(recorded)),
            ("ce_sequence", format!("{:020}", decision.sequence)),
            ("ce_severitytext", decision.severity.names().0.to_owned()),
            ("ce_severitynumber", decision.severity.names().1.to_owned()),
            ("ce_correlationid", decision.episode.clone()),
            ("ce_dataschema", "urn:haldane:decision:v1".to_owned()),
            ("ce_drill", decision.drill.to_string()),
            ("content-type", "application/json".to_owned()),
        ];
        attributes.extend(decision.causation.clone().map(|cause| ("ce_causationid", cause)));
        let key = decision.rollout.clone();
        Self { key, body: Some(decision.body()), headers: headers(&attributes), time: recorded }
    }

    /// What became of a command; keyed as decisions are, so that it stands before those that it gave rise to.
    #[must_use]
    pub fn result(result: &CommandResult, cluster: &str, recorded: Micros) -> Self {
        let command = &result.command;
        let attributes = [
            ("ce_specversion", "1.0".to_owned()),
            ("ce_type", RESULT.to_owned()),
            ("ce_source", format!("/haldane/{cluster}/rollouts/{}", command.rollout)),
            ("ce_subject", format!("{}/{}", command.model, command.candidate)),
            ("ce_id", format!("{}.{}", command.id, result.outcome.name())),
            ("ce_time", rfc3339(command.at)),
            ("ce_recordedtime", rfc3339(recorded)),
            ("ce_causationid", command.id.clone()),
            ("ce_dataschema", "urn:haldane:command-result:v1".to_owned()),
            ("content-type", "application/json".to_owned()),
        ];
        Self { key: command.rollout.clone(), body: Some(json(result)), headers: headers(&attributes), time: recorded }
    }

    /// A command, keyed by its rollout: what is said to one rollout has one order.
    #[must_use]
    pub fn command(command: &Command) -> Self {
        let attributes = [
            ("ce_specversion", "1.0".to_owned()),
            ("ce_type", COMMAND.to_owned()),
            ("ce_source", format!("/haldane/people/{}", command.actor)),
            ("ce_subject", format!("{}/{}", command.model, command.candidate)),
            ("ce_id", command.id.clone()),
            ("ce_time", rfc3339(command.at)),
            ("ce_dataschema", "urn:haldane:command:v1".to_owned()),
            ("content-type", "application/json".to_owned()),
        ];
        Self {
            key: command.rollout.clone(),
            body: Some(json(command)),
            headers: headers(&attributes),
            time: command.at,
        }
    }

    /// What an actuator did with a decision, keyed as commands are. A repeat has the same id.
    #[must_use]
    pub fn ack(ack: &Ack, time: Micros) -> Self {
        let of = |name: &Option<String>| name.clone().unwrap_or_default();
        let attributes = [
            ("ce_specversion", "1.0".to_owned()),
            ("ce_type", ACK.to_owned()),
            ("ce_source", format!("/haldane/act/{}", ack.adapter)),
            ("ce_subject", format!("{}/{}", of(&ack.model), of(&ack.candidate))),
            ("ce_id", format!("{}/{}/{}", ack.adapter, ack.decision_id, ack.status.name())),
            ("ce_time", rfc3339(time)),
            ("ce_causationid", ack.decision_id.clone()),
            ("ce_dataschema", "urn:haldane:ack:v1".to_owned()),
            ("content-type", "application/json".to_owned()),
        ];
        Self { key: of(&ack.rollout), body: Some(json(ack)), headers: headers(&attributes), time }
    }

    /// What an adapter saw of a candidate's share at its target; a later look replaces it.
    #[must_use]
    pub fn exposure(seen: &SeenExposure) -> Self {
        let SeenExposure { pipeline, rollout, model, version, adapter, .. } = seen;
        let attributes = [
            ("ce_specversion", "1.0".to_owned()),
            ("ce_type", EXPOSURE.to_owned()),
            ("ce_source", format!("/haldane/act/{adapter}")),
            ("ce_subject", format!("{model}/{version}")),
            ("ce_id", format!("{adapter}/{rollout}/{model}/{version}/{}", seen.time)),
            ("ce_time", seen.time.clone()),
            ("ce_dataschema", "urn:haldane:exposure:v1".to_owned()),
            ("content-type", "application/json".to_owned()),
        ];
        let key = format!("{pipeline}/{rollout}/{model}/{version}");
        Self { key, body: Some(json(seen)), headers: headers(&attributes), time: seen.at }
    }

    /// A rollout's state, keyed so that a later one replaces it; of one that is gone, a record that takes it away.
    #[must_use]
    pub fn state(state: &RolloutState, recorded: Micros) -> Self {
        Self::plain(state_key(state), (!state.gone).then(|| json(state)), STATE_SCHEMA, recorded)
    }

    /// What is about to be said of a candidate; a later one replaces it.
    #[must_use]
    pub fn intent(intent: &Intent, recorded: Micros) -> Self {
        Self::plain(intent::key(&state_key(&intent.state)), Some(json(intent)), INTENT_SCHEMA, recorded)
    }

    /// Takes the intent of a candidate away, of whom nothing will be said any more.
    #[must_use]
    pub fn no_intent(state: &RolloutState, recorded: Micros) -> Self {
        Self::plain(intent::key(&state_key(state)), None, INTENT_SCHEMA, recorded)
    }

    /// A sign of life of whoever judges a rollout; a later one replaces it.
    #[must_use]
    pub fn liveness(liveness: &Liveness) -> Self {
        Self::plain(liveness::key(&liveness.rollout), Some(json(liveness)), LIVENESS_SCHEMA, liveness.at)
    }

    /// What a pipeline file says; the same text replaces it.
    #[must_use]
    pub fn pipeline(version: &PipelineVersion, recorded: Micros) -> Self {
        Self::plain(version.key(), Some(json(version)), PIPELINE_SCHEMA, recorded)
    }

    /// A row of a judged window, keyed so that one partition holds a version's whole order.
    #[must_use]
    pub fn window(row: &WindowRow, recorded: Micros) -> Self {
        Self::plain(format!("{}/{}", row.model, row.version), Some(json(row)), WINDOW_SCHEMA, recorded)
    }

    fn plain(key: String, body: Option<Vec<u8>>, schema: &str, time: Micros) -> Self {
        let named = [("content-type", "application/json".to_owned()), (SCHEMA, schema.to_owned())];
        Self { key, body, headers: headers(&named), time }
    }

    /// The record for one topic.
    #[must_use]
    pub fn to<'a>(&'a self, topic: &'a str) -> OutgoingRecord<'a> {
        let mut record =
            BaseRecord::to(topic).key(self.key.as_bytes()).headers(self.headers.clone()).timestamp(self.time / 1_000);
        record.payload = self.body.as_deref();
        record
    }
}

fn state_key(state: &RolloutState) -> String {
    format!("{}/{}/{}", state.rollout, state.model, state.candidate)
}

fn headers(attributes: &[(&str, String)]) -> OwnedHeaders {
    attributes
        .iter()
        .fold(OwnedHeaders::new(), |headers, (key, value)| headers.insert(Header { key, value: Some(value) }))
}

fn json<T: serde::Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_vec(value).expect("decisions and states have text keys and finite numbers")
}

/// A time as RFC 3339 text in UTC with microseconds. One beyond the 262,000 years of the calendar is a plain number.
#[must_use]
pub fn rfc3339(time: Micros) -> String {
    timestamp_us_to_datetime(time)
        .map_or_else(|| time.to_string(), |time| time.format("%Y-%m-%dT%H:%M:%S%.6fZ").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_rfc_3339() {
        let cases = [
            (0, "1970-01-01T00:00:00.000000Z"),
            (1_367_575_215_765_021, "2013-05-03T10:00:15.765021Z"),
            (951_782_400_000_000, "2000-02-29T00:00:00.000000Z"),
            (4_107_542_399_999_999, "2100-02-28T23:59:59.999999Z"),
            (-1, "1969-12-31T23:59:59.999999Z"),
        ];
        for (time, text) in cases {
            assert_eq!(rfc3339(time), text);
        }
    }
}
