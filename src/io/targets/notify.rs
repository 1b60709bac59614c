//! Tells a webhook of decisions, each at least once and in order, with a proof of who says so.
//!
//! The body is the decision as it stands on the control topic, as a `CloudEvent` in structured mode. The header
//! `Haldane-Signature` holds a time and the HMAC-SHA256 of that time, a dot and the body.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::sign::Signer;
use serde_json::{Value, json};

use super::acting::pause;
use super::client::{Client, Question};
use super::hex;
use crate::config::Secret;
use crate::error::{Error, Result};
use crate::event::{Micros, SECOND};
use crate::kafka::checkpoint::Stream;
use crate::kafka::cloud_event::{DECISION, attribute, body_of};
use crate::kafka::ports::{Cluster, Consumer, Incoming, Wait};
use crate::verdict::Decision;
use crate::verdict::decision::Severity;

/// A webhook.
#[derive(Debug, Clone, PartialEq)]
pub struct NotifyConfig {
    /// Where it is.
    pub url: String,
    /// Headers beside the signature.
    pub headers: Vec<(String, String)>,
    /// What proves who says so.
    pub secret: Secret,
    /// The least severity that is told.
    pub at: Severity,
    /// Authorities beside the system's.
    pub ca: Option<std::path::PathBuf>,
}

/// How long new decisions are waited for at a time.
const WAIT: Wait = Wait { records_max: 64, first: Duration::from_millis(500), more: Duration::ZERO };

/// Tells decisions until it is told to stop; those from its first start on.
///
/// # Errors
/// When the cluster or the webhook cannot be made ready, or Kafka fails for good.
pub fn tell(
    config: &NotifyConfig,
    (name, rollout, timeout): (&str, &str, Duration),
    cluster: &dyn Cluster,
    (once, stop): (bool, &AtomicBool),
) -> Result<()> {
    let client = Client::open(config.ca.as_deref(), timeout)?;
    let mut reader = Reader::open(cluster, name)?;
    tracing::info!(adapter = name, url = config.url, "telling");
    let mut tries = 0;
    while !stop.load(Ordering::Relaxed) {
        let Some(message) = reader.next(|record| Message::of(record, rollout, config.at))? else {
            if once && reader.is_at_end()? {
                return Ok(());
            }
            continue;
        };
        match message.send(config, &client, cluster.machine().wall_clock()) {
            Ok(()) => {
                reader.told()?;
                tries = 0;
            }
            Err(why) if once => {
                return Err(Error::external(format!("{name} could not be told of a decision")).because(why));
            }
            Err(why) => {
                tracing::warn!(adapter = name, why, "a decision could not be told; it is told again");
                std::thread::park_timeout(pause(tries));
                tries += 1;
            }
        }
    }
    Ok(())
}

/// Reads the control topic, and remembers in the group's commits what was told.
struct Reader {
    consumer: Box<dyn Consumer>,
    /// Each partition, and the first offset that was not told.
    places: Vec<(Stream, i64)>,
    untold: VecDeque<Message>,
}

impl Reader {
    /// Begins where the last commit ends; a new group begins at the end of the topic.
    fn open(cluster: &dyn Cluster, name: &str) -> Result<Self> {
        let topic = &cluster.settings().topics.control;
        let consumer = cluster.consumer(&format!("{}.act.{name}", cluster.settings().group), name)?;
        let count = consumer.partitions(topic)?.unwrap_or(1);
        let streams: Vec<Stream> =
            (0..count).map(|lane| Stream { source: 0, lane, topic: topic.clone(), kind: None }).collect();
        let (committed, ends) = (consumer.committed(&streams)?, consumer.ends(&streams)?);
        let first = consumer.first(&streams)?;
        let mut places = Vec::new();
        for (((stream, committed), end), first) in streams.into_iter().zip(committed).zip(ends).zip(first) {
            let from = match committed {
                Some((offset, _)) if (first..=end).contains(&offset) => offset,
                Some((offset, _)) => {
                    tracing::warn!(adapter = name, offset, first, "decisions were deleted before they were told");
                    first
                }
                None => {
                    // Remembered at once: what is decided before the first commit is told by a later process.
                    consumer.commit(&[(stream.clone(), end, String::new())])?;
                    end
                }
            };
            places.push((stream, from));
        }
        consumer.assign(&places)?;
        Ok(Self { consumer, places, untold: VecDeque::new() })
    }

    /// The first that was not told, if there is one already.
    fn next(&mut self, read: impl Fn(&dyn Incoming) -> Message) -> Result<Option<&Message>> {
        if self.untold.is_empty() {
            let untold = &mut self.untold;
            self.consumer.read(WAIT, &mut |records| {
                untold.extend(records.iter().map(|record| read(*record)));
                Ok(())
            })?;
        }
        Ok(self.untold.front())
    }

    /// The first one was told.
    fn told(&mut self) -> Result<()> {
        let Some(message) = self.untold.pop_front() else { return Ok(()) };
        let Some((stream, next)) = self.places.iter_mut().find(|(stream, _)| stream.lane == message.lane) else {
            return Ok(());
        };
        *next = message.offset + 1;
        self.consumer.commit(&[(stream.clone(), *next, String::new())])
    }

    fn is_at_end(&self) -> Result<bool> {
        let (streams, from): (Vec<Stream>, Vec<i64>) = self.places.iter().cloned().unzip();
        let (ends, at) = (self.consumer.ends(&streams)?, self.consumer.positions(&streams)?);
        Ok(ends.iter().zip(at).zip(from).all(|((end, at), from)| at.unwrap_or(from) >= *end))
    }
}

/// A record of the control topic.
struct Message {
    lane: u32,
    offset: i64,
    /// What is to be told; `None` where it is nothing for the webhook.
    event: Option<Value>,
    id: String,
}

impl Message {
    fn of(record: &dyn Incoming, rollout: &str, at: Severity) -> Self {
        let told = body_of::<Decision>(record, DECISION).and_then(std::result::Result::ok);
        let told = told.filter(|decision| decision.rollout == rollout && decision.severity >= at);
        let id = told.as_ref().map_or_else(String::new, |decision| decision.id.clone());
        let event = told.map(|_| {
            let data = serde_json::from_slice::<Value>(record.payload().unwrap_or_default()).unwrap_or_default();
            let mut event = json!({ "datacontenttype": "application/json", "data": data });
            let names = ["specversion", "type", "source", "subject", "id", "time", "sequence", "severitytext", "drill"];
            for (name, value) in names.into_iter().filter_map(|name| Some((name, attribute(record, name)?))) {
                event[name] = value.into();
            }
            event
        });
        Self { lane: u32::try_from(record.partition()).unwrap_or_default(), offset: record.offset(), event, id }
    }

    fn send(&self, config: &NotifyConfig, client: &Client, now: Micros) -> std::result::Result<(), String> {
        let Some(event) = &self.event else { return Ok(()) };
        let secret = config.secret.read("the secret", "secret").map_err(|error| error.to_string())?;
        let body = event.to_string().into_bytes();
        let signature = signature(secret.expose(), now / SECOND, &body).map_err(|error| error.to_string())?;
        let own = [
            ("Content-Type", "application/cloudevents+json"),
            ("Haldane-Decision", self.id.as_str()),
            ("Haldane-Signature", signature.as_str()),
        ];
        let headers = config.headers.iter().cloned();
        let headers = own.map(|(name, value)| (name.to_owned(), value.to_owned())).into_iter().chain(headers).collect();
        let question = Question { method: "POST".to_owned(), url: config.url.clone(), headers, body };
        let answer = client.ask(&question)?;
        if (200..300).contains(&answer.status) {
            Ok(())
        } else {
            Err(format!("{} answers {}", config.url, answer.status))
        }
    }
}

/// `t=SECONDS,v1=HEX`.
fn signature(secret: &str, at: i64, body: &[u8]) -> std::result::Result<String, openssl::error::ErrorStack> {
    let key = PKey::hmac(secret.as_bytes())?;
    let mut signer = Signer::new(MessageDigest::sha256(), &key)?;
    signer.update(format!("{at}.").as_bytes())?;
    signer.update(body)?;
    let digest = signer.sign_to_vec()?;
    Ok(format!("t={at},v1={}", hex(&digest)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_that_of_time_and_body() {
        // Computed with Python's hmac and hashlib.
        let signed = signature("geheim", 1_700_000_000, b"{}").expect("a signature");
        assert_eq!(signed, "t=1700000000,v1=75e8aa01e776401a6bfda6664664c1271ca25506052e3b8c43308bdf92f3c8d5");
    }
}
