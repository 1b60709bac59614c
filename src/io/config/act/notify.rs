//! `act[].notify`: who is told of decisions, and when.

use std::collections::BTreeMap;
use std::path::Path;

use schemars::JsonSchema;
use serde::Deserialize;

use super::super::address;
use super::super::problem::{Problems, Spot};
use super::super::secret::SecretSource;
use super::super::value::At;
use super::super::wall::Zone;
use super::TargetKind;
use crate::event::{Micros, SECOND};
use crate::plan::WallClock;
use crate::targets::notify::{
    AlertmanagerConfig, Encryption, Hours, MailConfig, NotifyConfig, PagerDutyConfig, SlackConfig, Way, WebhookConfig,
};
use crate::verdict::decision::Severity;

/// The most messages in an hour, unless it is said.
const PER_HOUR: usize = 20;
/// Where `PagerDuty` takes events.
const PAGERDUTY: &str = "https://events.pagerduty.com/v2/enqueue";

/// Who is told: a webhook by `url`, or people by `slack`, `pagerduty`, `alertmanager` or `mail`.
///
/// A webhook gets each decision as a `CloudEvent` in structured mode, at least once and in order, and proves who says
/// so: `Haldane-Signature: t=SECONDS,v1=HEX`, the HMAC-SHA256 of the time, a dot and the body. People are told of
/// incidents, one a candidate: from the first decision that is urgent enough to the one that lifts the restriction.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NotifySection {
    /// The webhook: https://…
    url: Option<At<String>>,
    /// Environment variable with the secret of the webhook's signature.
    secret_env: Option<String>,
    /// File with that secret. Instead of `secret_env`.
    secret_file: Option<String>,
    /// Headers of every request to the webhook or the Alertmanager.
    #[serde(default)]
    headers: BTreeMap<String, String>,
    /// A channel of Slack, or of what takes the same messages, by its incoming webhook.
    slack: Option<At<SlackSection>>,
    /// A service of `PagerDuty`, by its Events API version 2.
    pagerduty: Option<At<PagerDutySection>>,
    /// An Alertmanager: its address.
    alertmanager: Option<At<String>>,
    /// Mailboxes, by SMTP.
    mail: Option<At<MailSection>>,
    /// The least severity that is told: `info`, `warn`, `error` or `fatal`.
    #[serde(default)]
    at: Urgency,
    /// Hours of the week in which people are told. What stands when they begin is told then. Default: always.
    hours: Option<HoursSection>,
    /// The most messages to people in an hour; what comes after them is put together. Rollbacks are always told.
    /// Default: 20.
    per_hour: Option<At<usize>>,
    /// Address of the dashboard, for links to decisions, where people log in and answer.
    dashboard: Option<At<String>>,
    /// Address of what to do, in which `{code}` stands for the reason's code. Default: the dashboard's
    /// `/runbooks/{code}`, where there is a `dashboard`.
    runbook: Option<At<String>>,
    /// File with authorities beside the system's (PEM), relative to this file.
    ca_file: Option<String>,
}

/// A channel's incoming webhook: whoever knows its address may write.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SlackSection {
    /// Environment variable with its address.
    url_env: Option<String>,
    /// File with its address. Instead of `url_env`.
    url_file: Option<String>,
}

/// A service of `PagerDuty`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct PagerDutySection {
    /// Environment variable with its integration key.
    routing_key_env: Option<String>,
    /// File with its integration key. Instead of `routing_key_env`.
    routing_key_file: Option<String>,
    /// Where events are taken. Default: <https://events.pagerduty.com/v2/enqueue>.
    url: Option<At<String>>,
}

/// Mailboxes, and the server that takes mail for them.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct MailSection {
    /// The server: `host`, or `host:port`.
    server: At<String>,
    /// How the connection is encrypted: `starttls` (default; port 587), `tls` (port 465) or `none` (port 25).
    #[serde(default)]
    encryption: MailEncryption,
    /// Login, where the server asks for one.
    username: Option<At<String>>,
    /// Environment variable with its password.
    password_env: Option<String>,
    /// File with its password. Instead of `password_env`.
    password_file: Option<String>,
    /// Who writes: `name@host`, or `Name <name@host>`.
    from: String,
    /// Who is written to.
    to: At<Vec<String>>,
}

/// How the connection to a mail server is encrypted.
#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum MailEncryption {
    /// Once the server has agreed to it; else nothing is sent.
    #[default]
    StartTls,
    /// From the first byte on.
    Tls,
    /// Not at all.
    None,
}

/// Hours of some days of the week. Hours that end before they begin go on into the next day.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct HoursSection {
    /// When they begin: `HH:MM`.
    from: At<String>,
    /// When they are over: `HH:MM`.
    to: At<String>,
    /// Which days. Default: all.
    days: Option<At<Vec<Day>>>,
    /// Time zone of the clock. Default: UTC.
    zone: Option<Zone>,
}

/// A day of the week.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Day {
    Mon,
    Tue,
    Wed,
    Thu,
    Fri,
    Sat,
    Sun,
}

/// How urgent a decision must be.
#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Urgency {
    /// All.
    Info,
    /// Warnings and what is worse.
    #[default]
    Warn,
    /// Containments and rollbacks.
    Error,
    /// Rollbacks.
    Fatal,
}

impl NotifySection {
    pub(super) fn resolve(&self, spot: Spot, base: &Path, problems: &mut Problems) -> Option<TargetKind> {
        let ways = [
            self.url.is_some(),
            self.slack.is_some(),
            self.pagerduty.is_some(),
            self.alertmanager.is_some(),
            self.mail.is_some(),
        ];
        if ways.iter().filter(|given| **given).count() != 1 {
            problems
                .add(spot, "it is not said who is told, or more than one is")
                .help("write exactly one of `url`, `slack`, `pagerduty`, `alertmanager` and `mail`");
            return None;
        }
        let addresses = [&self.url, &self.alertmanager, &self.dashboard, &self.runbook];
        for address in addresses.into_iter().flatten() {
            address::check(address, None, problems);
        }
        let at = match self.at {
            Urgency::Info => Severity::Info,
            Urgency::Warn => Severity::Warn,
            Urgency::Error => Severity::Error,
            Urgency::Fatal => Severity::Fatal,
        };
        let text = |of: &Option<At<String>>| of.as_ref().map(|text| text.value.clone());
        if let Some(most) = self.per_hour.as_ref().filter(|most| most.value == 0) {
            problems.add(most.spot, "`per_hour` is zero").help("write 1 or more; who is told nothing needs no entry");
        }
        Some(TargetKind::Notify(NotifyConfig {
            way: self.way(spot, base, problems)?,
            at,
            hours: self.hours.as_ref().map(|hours| hours.resolve(problems)),
            per_hour: self.per_hour.as_ref().map_or(PER_HOUR, |most| most.value),
            dashboard: text(&self.dashboard),
            runbook: text(&self.runbook),
            ca: self.ca_file.as_ref().map(|file| base.join(file)),
        }))
    }

    fn way(&self, spot: Spot, base: &Path, problems: &mut Problems) -> Option<Way> {
        let headers = || self.headers.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        if let Some(url) = &self.url {
            let places = SecretSource { key: "secret", env: self.secret_env.as_ref(), file: self.secret_file.as_ref() };
            let secret = places.needed(spot, base, problems)?;
            return Some(Way::Webhook(WebhookConfig { url: url.value.clone(), headers: headers(), secret }));
        }
        if let Some(slack) = &self.slack {
            let places = SecretSource { key: "url", env: slack.url_env.as_ref(), file: slack.url_file.as_ref() };
            return Some(Way::Slack(SlackConfig { url: places.needed(slack.spot, base, problems)? }));
        }
        if let Some(pagerduty) = &self.pagerduty {
            if let Some(url) = &pagerduty.url {
                address::check(url, Some("the routing key"), problems);
            }
            let (env, file) = (pagerduty.routing_key_env.as_ref(), pagerduty.routing_key_file.as_ref());
            let routing_key = SecretSource { key: "routing_key", env, file }.needed(pagerduty.spot, base, problems)?;
            let url = pagerduty.url.as_ref().map_or_else(|| PAGERDUTY.to_owned(), |url| url.value.clone());
            return Some(Way::PagerDuty(PagerDutyConfig { url, routing_key }));
        }
        if let Some(url) = &self.alertmanager {
            return Some(Way::Alertmanager(AlertmanagerConfig { url: url.value.clone(), headers: headers() }));
        }
        self.mail.as_ref().and_then(|mail| mail.value.resolve(mail.spot, base, problems))
    }
}

impl MailSection {
    fn resolve(&self, spot: Spot, base: &Path, problems: &mut Problems) -> Option<Way> {
        let (encryption, usual) = match self.encryption {
            MailEncryption::StartTls => (Encryption::StartTls, 587),
            MailEncryption::Tls => (Encryption::Tls, 465),
            MailEncryption::None => (Encryption::None, 25),
        };
        let (host, port) = match self.server.rsplit_once(':') {
            Some((host, port)) => (host, port.parse().ok()),
            None => (self.server.as_str(), Some(usual)),
        };
        let Some(port) = port.filter(|_| !host.is_empty()) else {
            problems.add(self.server.spot, "it is no host and port").help("write mail.example:587");
            return None;
        };
        if self.to.is_empty() {
            problems.add(self.to.spot, "`to` is empty").help("name one mailbox at least");
        }
        let places =
            SecretSource { key: "password", env: self.password_env.as_ref(), file: self.password_file.as_ref() };
        let login = match &self.username {
            Some(name) => Some((name.value.clone(), places.needed(spot, base, problems)?)),
            None => None,
        };
        if login.is_some() && encryption == Encryption::None && !address::is_here(host) {
            problems
                .add(self.server.spot, "a password would go over the network in the clear")
                .help("write `encryption: starttls` or `tls`");
        }
        let (host, from, to) = (host.to_owned(), self.from.clone(), self.to.value.clone());
        Some(Way::Mail(MailConfig { host, port, encryption, login, from, to }))
    }
}

impl HoursSection {
    fn resolve(&self, problems: &mut Problems) -> Hours {
        let mut time = |text: &At<String>| {
            time_of_day(text).unwrap_or_else(|| {
                problems
                    .add(text.spot, format!("`{}` is no time of day", text.value))
                    .help("write HH:MM, such as 18:00");
                0
            })
        };
        let (from, to) = (time(&self.from), time(&self.to));
        let mut days = [self.days.is_none(); 7];
        self.days.iter().flat_map(|days| &days.value).for_each(|day| days[*day as usize] = true);
        let clock = self.zone.map_or_else(|| WallClock::utc(0), |zone| zone.clock(0));
        Hours { days, from, to, clock }
    }
}

/// Since midnight.
fn time_of_day(text: &str) -> Option<Micros> {
    let (hours, minutes) = text.split_once(':')?;
    let (hours, minutes) = (hours.parse::<u8>().ok()?, minutes.parse::<u8>().ok()?);
    (hours <= 24 && minutes < 60).then(|| (Micros::from(hours) * 60 + Micros::from(minutes)) * 60 * SECOND)
}
