//! An Alertmanager, by version 2 of its API: it groups, silences and routes as its own configuration says.

use chrono::DateTime;
use serde_json::{Value, json};

use super::incident::Turn;
use super::people::Channel;
use super::words::IncidentText;
use super::{json_header, post};
use crate::event::{Micros, SECOND};
use crate::targets::client::Client;

/// An alert that is not said again for so long is over there.
const LAPSE: Micros = 300 * SECOND;

/// An Alertmanager.
#[derive(Debug, Clone, PartialEq)]
pub struct AlertmanagerConfig {
    /// Its address.
    pub url: String,
    /// Headers of every request.
    pub headers: Vec<(String, String)>,
}

pub(super) struct Alertmanager<'a> {
    pub(super) config: &'a AlertmanagerConfig,
    pub(super) client: Client,
}

impl Channel for Alertmanager<'_> {
    fn send(&mut self, words: &IncidentText<'_>, now: Micros) -> Result<(), String> {
        let headers = json_header().into_iter().chain(self.config.headers.iter().cloned()).collect();
        let url = format!("{}/api/v2/alerts", self.config.url.trim_end_matches('/'));
        post(&self.client, &url, headers, json!([alert(words, now)]).to_string()).map(drop)
    }

    fn forgets(&self) -> bool {
        true
    }
}

/// Labels are what an alert is known by: they do not change while the incident lasts.
fn alert(words: &IncidentText<'_>, now: Micros) -> Value {
    let last = &words.incident.last;
    let ends_at = if words.turn == Turn::Resolved { now } else { now + LAPSE };
    let time = |at: Micros| DateTime::from_timestamp_micros(at).unwrap_or_default().to_rfc3339();
    let mut annotations = json!({
        "summary": words.title(),
        "description": words.lines().join("\n"),
        "severity": words.severity(),
        "decision": last.id,
    });
    if let Some(runbook) = words.runbook() {
        annotations["runbook_url"] = runbook.into();
    }
    json!({
        "labels": {
            "alertname": "HaldaneDecision",
            "rollout": last.rollout,
            "model": last.model,
            "candidate": last.candidate,
            "incident": words.incident.key,
        },
        "annotations": annotations,
        "startsAt": time(words.incident.since.min(now)),
        "endsAt": time(ends_at),
        "generatorURL": words.page().unwrap_or_default(),
    })
}
