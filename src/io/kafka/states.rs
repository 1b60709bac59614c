//! Rollout states of earlier runs, read back from the compacted state topic.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::message::{BorrowedMessage, Message as _};

use super::connection::Connection;
use super::whole_topic;
use crate::error::Result;
use crate::verdict::RolloutState;

/// The last state of each key.
type Last = BTreeMap<Vec<u8>, RolloutState>;

/// The last state of each of the rollout's candidates, in key order.
pub fn read(connection: &Connection, rollout: &str) -> Result<Vec<RolloutState>> {
    Ok(all(connection)?.into_iter().filter(|state| state.rollout == rollout).collect())
}

/// The last state of every candidate of every rollout, in key order. A record that cannot be read is passed over with a
/// warning: the log itself still holds everything.
pub fn all(connection: &Connection) -> Result<Vec<RolloutState>> {
    let topic = &connection.settings().topics.state;
    let mut last = Last::new();
    whole_topic::read(connection, topic, |message| take(&mut last, message))?;
    Ok(last.into_values().collect())
}

/// Follows the states of all rollouts until `judge` has an answer; `None` when the time is up.
pub fn follow<T>(
    connection: &Connection,
    patience: Duration,
    judge: impl Fn(&mut dyn Iterator<Item = &RolloutState>) -> Option<T>,
) -> Result<Option<T>> {
    let topic = &connection.settings().topics.state;
    whole_topic::follow(connection, topic, patience, &mut Last::new(), take, |last| judge(&mut last.values()))
}

fn take(last: &mut Last, message: &BorrowedMessage<'_>) {
    let Some(key) = message.key() else { return };
    match message.payload().map(serde_json::from_slice::<RolloutState>) {
        None => drop(last.remove(key)),
        Some(Ok(state)) => drop(last.insert(key.to_vec(), state)),
        Some(Err(error)) => {
            tracing::warn!(topic = message.topic(), offset = message.offset(), %error, "not a rollout state");
        }
    }
}
