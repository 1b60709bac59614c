//! A channel of Slack, or of Mattermost and others that take the same messages, by an incoming webhook.

use serde_json::json;

use super::people::Channel;
use super::words::IncidentText;
use super::{json_header, post};
use crate::config::Secret;
use crate::event::Micros;
use crate::targets::client::Client;

/// An incoming webhook: whoever knows its address may write.
#[derive(Debug, Clone, PartialEq)]
pub struct SlackConfig {
    /// Its address.
    pub url: Secret,
}

pub(super) struct Slack<'a> {
    pub(super) config: &'a SlackConfig,
    pub(super) client: Client,
}

impl Channel for Slack<'_> {
    fn send(&mut self, words: &IncidentText<'_>, _: Micros) -> Result<(), String> {
        let url = self.config.url.read("the address of the channel", "url").map_err(|error| error.to_string())?;
        let text = format!("*{}*\n{}", marked(&words.title()), marked(&words.lines().join("\n")));
        let body = json!({ "text": text }).to_string();
        post(&self.client, url.expose(), json_header(), body)
            .map(drop)
            .map_err(|why| why.replace(url.expose(), "Slack"))
    }
}

/// Three characters mean something else in a message.
fn marked(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::incident::{Incidents, Turn};
    use super::super::{NotifyConfig, Way};
    use super::*;
    use crate::output::summary::tests::decision;
    use crate::verdict::decision::Severity;

    #[test]
    fn the_address_is_a_secret_and_what_candidates_are_called_is_no_markup() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("url");
        std::fs::write(&file, "http://127.0.0.1:1/services/geheim").expect("a file");
        let slack = SlackConfig { url: Secret::File(file) };
        let (way, at) = (Way::Slack(slack.clone()), Severity::Warn);
        let config = NotifyConfig { way, at, hours: None, per_hour: 1, dashboard: None, runbook: None, ca: None };
        let (_, incident) = Incidents::default().hear(decision(), at).expect("it is urgent");
        let words = IncidentText { turn: Turn::Opened, incident: &incident, config: &config };
        let client = Client::open(None, Duration::from_secs(5)).expect("a client");
        let why = Slack { config: &slack, client }.send(&words, 0).expect_err("nobody listens");
        assert!(why.starts_with("POST Slack: ") && !why.contains("geheim"), "{why}");
        assert_eq!(marked("<!channel> & co"), "&lt;!channel&gt; &amp; co");
    }
}
