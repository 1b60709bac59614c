//! A service of `PagerDuty`, by version 2 of its Events API: an incident is one alert there.

use serde_json::{Value, json};

use super::incident::Turn;
use super::people::Channel;
use super::words::IncidentText;
use super::{json_header, post};
use crate::config::Secret;
use crate::event::{Micros, SECOND};
use crate::targets::client::Client;

/// The longest summary.
const SUMMARY_MAX: usize = 1_024;

/// A service.
#[derive(Debug, Clone, PartialEq)]
pub struct PagerDutyConfig {
    /// Where events are taken.
    pub url: String,
    /// The service's integration key.
    pub routing_key: Secret,
}

pub(super) struct PagerDuty<'a> {
    pub(super) config: &'a PagerDutyConfig,
    pub(super) client: Client,
}

impl Channel for PagerDuty<'_> {
    fn send(&mut self, words: &IncidentText<'_>, _: Micros) -> Result<(), String> {
        let key = self.config.routing_key.read("the routing key", "routing_key").map_err(|error| error.to_string())?;
        let event = event(words, key.expose());
        post(&self.client, &self.config.url, json_header(), event.to_string()).map(drop)
    }
}

fn event(words: &IncidentText<'_>, key: &str) -> Value {
    let incident = words.incident;
    let action = if words.turn == Turn::Resolved { "resolve" } else { "trigger" };
    let links = [("Decision", words.page()), ("What to do", words.runbook())];
    let links = links.into_iter().filter_map(|(text, href)| Some(json!({ "href": href?, "text": text })));
    let summary: String =
        format!("{} - {}", words.title(), incident.cause.reason.text).chars().take(SUMMARY_MAX).collect();
    json!({
        "routing_key": key,
        "event_action": action,
        "dedup_key": incident.key,
        "payload": {
            "summary": summary,
            "source": format!("haldane/{}", incident.last.rollout),
            "severity": words.severity(),
            "timestamp": chrono::DateTime::from_timestamp(incident.last.time / SECOND, 0).unwrap_or_default().to_rfc3339(),
            "component": incident.last.candidate,
            "group": incident.last.model,
            "class": incident.cause.reason.code.to_string(),
            "custom_details": { "who": words.who(), "evidence": words.evidence(), "course": words.course() },
        },
        "links": links.collect::<Vec<_>>(),
    })
}
