//! Tells decisions: a program of somebody's own by webhook, or people.
//!
//! A webhook is told every decision, in order. People are told of incidents (`incident.rs`): one a candidate, opened,
//! updated and resolved; what comes while they cannot be told, or should not be, is put together. A way to reach people
//! is a file here, a variant of [`Way`] and a line in `PeopleNotifier::open`. Nothing here holds up a decision.

mod alertmanager;
mod hours;
mod incident;
mod mail;
mod pagerduty;
mod people;
mod reader;
mod slack;
mod webhook;
mod words;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use self::people::PeopleNotifier;
use self::reader::ControlReader;
use super::acting::pause;
use super::client::{Client, HttpRequest};
use super::watch::{AdapterObserver, DeliveryCounts, Event};
use crate::act::AdapterTerms;
use crate::error::{Error, Result};
use crate::kafka::ports::Cluster;
use crate::verdict::Decision;
use crate::verdict::decision::Severity;

pub use alertmanager::AlertmanagerConfig;
pub use hours::Hours;
pub use mail::{Encryption, MailConfig};
pub use pagerduty::PagerDutyConfig;
pub use slack::SlackConfig;
pub use webhook::WebhookConfig;

/// Whom decisions are told, and when.
#[derive(Debug, Clone, PartialEq)]
pub struct NotifyConfig {
    /// How they are reached.
    pub way: Way,
    /// The least severity that is told.
    pub at: Severity,
    /// When people are told; always, where this is `None`.
    pub hours: Option<Hours>,
    /// The most messages to people in an hour, those of rollbacks apart.
    pub per_hour: usize,
    /// Address of the dashboard.
    pub dashboard: Option<String>,
    /// Address of what to do, in which `{code}` stands for the reason; `None` for the dashboard's own page.
    pub runbook: Option<String>,
    /// Authorities beside the system's.
    pub ca: Option<PathBuf>,
}

/// Ways to tell.
#[derive(Debug, Clone, PartialEq)]
pub enum Way {
    /// A program of somebody's own.
    Webhook(WebhookConfig),
    /// A channel of Slack, or of what takes the same messages.
    Slack(SlackConfig),
    /// A service of `PagerDuty`.
    PagerDuty(PagerDutyConfig),
    /// An Alertmanager.
    Alertmanager(AlertmanagerConfig),
    /// Mailboxes.
    Mail(MailConfig),
}

impl NotifyConfig {
    /// Whom it tells, in a word or two.
    #[must_use]
    pub fn whom(&self) -> String {
        match &self.way {
            Way::Webhook(webhook) => webhook.url.clone(),
            Way::Slack(_) => "a channel of Slack".to_owned(),
            Way::PagerDuty(_) => "PagerDuty".to_owned(),
            Way::Alertmanager(alertmanager) => alertmanager.url.clone(),
            Way::Mail(mail) => mail.to.join(", "),
        }
    }
}

/// What takes decisions and passes them on.
enum Teller<'a> {
    Webhook(&'a WebhookConfig, &'a NotifyConfig, Client),
    People(PeopleNotifier<'a>),
}

/// Tells decisions until it is told to stop; those from its first start on. With `once`, those that are there.
///
/// # Errors
/// When the cluster or the other side cannot be made ready, or Kafka fails for good; with `once` also when the other
/// side does not take it.
pub fn tell(
    config: &NotifyConfig,
    (terms, rollout, timeout): (&AdapterTerms, &str, Duration),
    (cluster, watch): (&dyn Cluster, &dyn AdapterObserver),
    (once, stop): (bool, &AtomicBool),
) -> Result<()> {
    let name = terms.adapter.as_str();
    let client = Client::open(config.ca.as_deref(), timeout)?;
    let mut reader = ControlReader::open(cluster, name, rollout)?;
    let mut teller = match &config.way {
        Way::Webhook(webhook) => Teller::Webhook(webhook, config, client),
        _ => Teller::People(PeopleNotifier::open(config, client, timeout, reader.past(cluster)?)?),
    };
    tracing::info!(adapter = name, whom = config.whom(), "telling");
    watch.saw(name, Event::CaughtUp);
    let mut tries = 0;
    while !stop.load(Ordering::Relaxed) {
        watch.saw(name, Event::Alive);
        reader.poll()?;
        watch.saw(name, Event::Waits);
        let (done, tally) = teller.pass_on(&mut reader, terms, cluster)?;
        watch.saw(name, Event::Told(tally));
        match done {
            Ok(()) => tries = 0,
            Err(why) if once => {
                return Err(Error::external(format!("{name} could not be told of a decision")).because(why));
            }
            Err(why) => {
                tracing::warn!(adapter = name, why, "a decision could not be told; it is told again");
                watch.saw(name, Event::Waits);
                std::thread::park_timeout(pause(tries));
                tries += 1;
            }
        }
        if once && reader.is_at_end()? {
            return Ok(());
        }
    }
    Ok(())
}

impl Teller<'_> {
    /// Tells what was read, as far as it is taken on the other side; the inner error says why it was not.
    fn pass_on(
        &mut self,
        reader: &mut ControlReader,
        terms: &AdapterTerms,
        cluster: &dyn Cluster,
    ) -> Result<(std::result::Result<(), String>, DeliveryCounts)> {
        let now = cluster.machine().wall_clock();
        match self {
            Self::Webhook(webhook, config, client) => {
                let mut tally = DeliveryCounts::default();
                while let Some(heard) = reader.first() {
                    let meant = heard.decision.as_ref().filter(|decision| decision.severity >= config.at);
                    if let Some(decision) = meant.filter(|decision| is_meant(terms, decision)) {
                        if let Err(why) = webhook::tell(webhook, client, &decision.id, &heard.event, now) {
                            return Ok((Err(why), DeliveryCounts { failed: 1, waiting: reader.untold(), ..tally }));
                        }
                        tally.delivered += 1;
                    }
                    reader.take();
                    reader.commit()?;
                }
                Ok((Ok(()), tally))
            }
            Self::People(people) => {
                let mut any = false;
                while let Some(heard) = reader.take() {
                    any = true;
                    heard
                        .decision
                        .filter(|decision| is_meant(terms, decision))
                        .into_iter()
                        .for_each(|decision| people.hear(decision));
                }
                let waited = people.waits();
                let done = people.tell(now);
                if (any || waited) && !people.waits() {
                    reader.commit()?;
                }
                Ok((done, people.tally()))
            }
        }
    }
}

fn is_meant(terms: &AdapterTerms, decision: &Decision) -> bool {
    terms.model.as_ref().is_none_or(|model| *model == decision.model)
        && terms.candidate.as_ref().is_none_or(|candidate| *candidate == decision.candidate)
}

/// Sends a text, and gives back what is answered.
///
/// # Errors
/// In words, when there is no answer or the other side says no. Headers and addresses may hold secrets: they are not
/// told.
fn post(
    client: &Client,
    url: &str,
    headers: Vec<(String, String)>,
    body: String,
) -> std::result::Result<String, String> {
    let question = HttpRequest { method: "POST".to_owned(), url: url.to_owned(), headers, body: body.into_bytes() };
    let answer = client.ask(&question)?;
    if (200..300).contains(&answer.status) {
        return Ok(answer.body);
    }
    let said: String = answer.body.trim().chars().take(200).collect();
    Err(format!("the answer is {}: {said}", answer.status).trim_end_matches([':', ' ']).to_owned())
}

fn json_header() -> Vec<(String, String)> {
    vec![("Content-Type".to_owned(), "application/json".to_owned())]
}
