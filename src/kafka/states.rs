//! Rollout states of earlier runs, read back from the compacted state topic.

use std::collections::BTreeMap;

use rdkafka::message::Message as _;

use super::connection::Connection;
use super::whole_topic;
use crate::error::Result;
use crate::verdict::RolloutState;

/// The last state of each of the rollout's candidates, in key order. A record that cannot be read is passed over with a
/// warning: the log itself still holds everything.
pub fn read(connection: &Connection, rollout: &str) -> Result<Vec<RolloutState>> {
    let topic = &connection.settings().topics.state;
    let mut last: BTreeMap<Vec<u8>, RolloutState> = BTreeMap::new();
    whole_topic::read(connection, topic, |message| {
        let Some(key) = message.key() else { return };
        match message.payload().map(serde_json::from_slice::<RolloutState>) {
            None => drop(last.remove(key)),
            Some(Ok(state)) => drop(last.insert(key.to_vec(), state)),
            Some(Err(error)) => tracing::warn!(topic, offset = message.offset(), %error, "not a rollout state"),
        }
    })?;
    Ok(last.into_values().filter(|state| state.rollout == rollout).collect())
}
