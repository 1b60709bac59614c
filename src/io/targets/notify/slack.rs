//! A channel of Slack, or of Mattermost and others that take the same messages, by an incoming webhook.

use serde_json::json;

use super::people::Channel;
use super::words::Words;
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
    fn send(&mut self, words: &Words<'_>, _: Micros) -> Result<(), String> {
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
