//! Rollout states of earlier runs, read back from the compacted state topic.
//!
//! What cannot be read is never passed over: a version that it denies would be judged as a new one.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::message::{BorrowedMessage, Message as _};

use super::connection::Connection;
use super::whole_topic;
use crate::error::{Error, Result};
use crate::verdict::{RolloutState, with_ended};

/// What stands under each key at the end of the topic.
#[derive(Default)]
struct Last(BTreeMap<Vec<u8>, std::result::Result<RolloutState, Unread>>);

/// A record that is not a state of a version that is known.
struct Unread {
    place: String,
    error: serde_json::Error,
}

/// The record of each of the rollout's candidates, in key order.
///
/// # Errors
/// When one cannot be read.
pub fn read(connection: &Connection, rollout: &str) -> Result<Vec<RolloutState>> {
    let mut last = whole(connection)?;
    last.0.retain(|key, _| is_of(key, rollout));
    let states = last.states()?;
    Ok(states.into_iter().filter(|state| state.rollout == rollout).collect())
}

/// Where every candidate of every rollout stands, those included that ended long ago.
///
/// # Errors
/// When a record cannot be read.
pub fn all(connection: &Connection) -> Result<Vec<RolloutState>> {
    whole(connection)?.states().map(with_ended)
}

/// Follows the states of a rollout until `judge` has an answer; `None` when the time is up.
///
/// # Errors
/// When a record of the rollout cannot be read.
pub fn follow<T>(
    connection: &Connection,
    rollout: &str,
    patience: Duration,
    judge: impl Fn(&mut dyn Iterator<Item = &RolloutState>) -> Option<T>,
) -> Result<Option<T>> {
    let topic = &connection.settings().topics.state;
    let done = |last: &Last| {
        let of_it = last.0.iter().filter(|(key, _)| is_of(key, rollout)).map(|(_, record)| record);
        match of_it.map(|record| record.as_ref().cloned().map_err(Unread::refusal)).collect::<Result<Vec<_>>>() {
            Ok(states) => judge(&mut with_ended(states).iter()).map(Ok),
            Err(error) => Some(Err(error)),
        }
    };
    whole_topic::follow(connection, topic, patience, &mut Last::default(), Last::take, done)?.transpose()
}

fn whole(connection: &Connection) -> Result<Last> {
    let mut last = Last::default();
    whole_topic::read(connection, &connection.settings().topics.state, |message| last.take(message))?;
    Ok(last)
}

/// Keys are `rollout/model/candidate`.
fn is_of(key: &[u8], rollout: &str) -> bool {
    key.strip_prefix(rollout.as_bytes()).is_some_and(|rest| rest.starts_with(b"/"))
}

impl Last {
    fn take(&mut self, message: &BorrowedMessage<'_>) {
        // Keys that begin with `@` are those of other records than states.
        let Some(key) = message.key().filter(|key| !key.starts_with(b"@")) else { return };
        let Some(payload) = message.payload() else { return drop(self.0.remove(key)) };
        let record = serde_json::from_slice(payload).map_err(|error| {
            let key = String::from_utf8_lossy(key);
            let place = format!(
                "{key} (topic {}, partition {}, offset {})",
                message.topic(),
                message.partition(),
                message.offset()
            );
            Unread { place, error }
        });
        self.0.insert(key.to_vec(), record);
    }

    fn states(self) -> Result<Vec<RolloutState>> {
        self.0.into_values().map(|record| record.map_err(|unread| unread.refusal())).collect()
    }
}

impl Unread {
    fn refusal(&self) -> Error {
        Error::user(format!("the rollout state {} cannot be read", self.place)).because(self.error.to_string()).hint(
            "use the release of haldane that wrote it, or a newer one; a damaged record is taken away by one with the same key \
             and no value, but then a version that it denied is judged as a new one",
        )
    }
}
