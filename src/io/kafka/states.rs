//! Rollout states of earlier runs, read back from the compacted state topic.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::message::{BorrowedMessage, Message as _};

use super::connection::Connection;
use super::{liveness, whole_topic};
use crate::error::Result;
use crate::verdict::{Liveness, RolloutState};

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

/// What stands on the state topic: the last state of each candidate, and the last sign of life of whoever judges.
#[derive(Debug, Default)]
pub struct Seen {
    states: Last,
    /// By rollout.
    lives: BTreeMap<String, Liveness>,
}

impl Seen {
    /// The last state of every candidate of every rollout, in key order.
    pub fn states(&self) -> impl Iterator<Item = &RolloutState> {
        self.states.values()
    }

    /// The last sign of life of whoever judges a rollout.
    #[must_use]
    pub fn liveness(&self, rollout: &str) -> Option<&Liveness> {
        self.lives.get(rollout)
    }

    fn take(&mut self, message: &BorrowedMessage<'_>) {
        if !liveness::is_liveness(message) {
            take(&mut self.states, message);
        } else if let Some(life) = liveness::read(message) {
            self.lives.insert(life.rollout.clone(), life);
        } else {
            // Whoever cannot be understood is not heard.
            self.lives.retain(|rollout, _| Some(liveness::key(rollout).as_bytes()) != message.key());
        }
    }
}

/// States and signs of life together.
pub fn look(connection: &Connection) -> Result<Seen> {
    let mut seen = Seen::default();
    whole_topic::read(connection, &connection.settings().topics.state, |message| seen.take(message))?;
    Ok(seen)
}

/// Follows the state topic until `judge` has an answer; `None` when the time is up.
pub fn follow<T>(
    connection: &Connection,
    patience: Duration,
    judge: impl FnMut(&Seen) -> Option<T>,
) -> Result<Option<T>> {
    let topic = &connection.settings().topics.state;
    whole_topic::follow(connection, topic, patience, &mut Seen::default(), Seen::take, judge)
}

fn take(last: &mut Last, message: &BorrowedMessage<'_>) {
    let Some(key) = message.key().filter(|_| !liveness::is_liveness(message)) else { return };
    match message.payload().map(serde_json::from_slice::<RolloutState>) {
        None => drop(last.remove(key)),
        Some(Ok(state)) => drop(last.insert(key.to_vec(), state)),
        Some(Err(error)) => {
            tracing::warn!(topic = message.topic(), offset = message.offset(), %error, "not a rollout state");
        }
    }
}
