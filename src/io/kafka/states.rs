//! Rollout states of earlier runs, read back from the compacted state topic.
//!
//! What cannot be read is never passed over: a version that it denies would be judged as a new one.

use std::collections::BTreeMap;
use std::time::Duration;

use super::connection::Connection;
use super::ports::{Cluster, Incoming};
use super::{liveness, whole_topic};
use crate::error::{Error, Result};
use crate::verdict::{Liveness, RolloutState, with_ended};

/// What stands on the state topic: the last state of each candidate, and the last sign of life of whoever judges.
#[derive(Debug, Default)]
pub struct Seen {
    states: Last,
    /// By rollout.
    lives: BTreeMap<String, Liveness>,
}

/// The last record of each candidate, by key.
#[derive(Debug, Default)]
struct Last(BTreeMap<Vec<u8>, std::result::Result<RolloutState, Unread>>);

/// A record that is not a state of a version that is known.
#[derive(Debug)]
struct Unread {
    place: String,
    error: serde_json::Error,
}

/// The record of each of the rollout's candidates, in key order.
///
/// # Errors
/// When one cannot be read.
pub fn read(cluster: &dyn Cluster, rollout: &str) -> Result<Vec<RolloutState>> {
    let records = look(cluster)?.records(rollout)?;
    Ok(records.into_iter().filter(|state| state.rollout == rollout).collect())
}

/// Where every candidate of every rollout stands, those included that ended long ago.
///
/// # Errors
/// When a record cannot be read.
pub fn all(cluster: &dyn Cluster) -> Result<Vec<RolloutState>> {
    let records = look(cluster)?.states.0.into_values();
    let states = records.map(|record| record.map_err(|unread| unread.refusal())).collect::<Result<_>>();
    states.map(with_ended)
}

/// States and signs of life together.
pub fn look(cluster: &dyn Cluster) -> Result<Seen> {
    let mut seen = Seen::default();
    cluster.read_whole(&cluster.settings().topics.state, &mut |record| seen.take(record))?;
    Ok(seen)
}

/// Follows the state topic until `judge` has an answer; `None` when the time is up.
pub fn follow<T>(
    connection: &Connection,
    patience: Duration,
    judge: impl FnMut(&Seen) -> Option<T>,
) -> Result<Option<T>> {
    let topic = &connection.settings().topics.state;
    whole_topic::follow(connection, topic, patience, &mut Seen::default(), |seen, record| seen.take(record), judge)
}

impl Seen {
    /// Where every candidate of a rollout stands, those included that ended long ago.
    ///
    /// # Errors
    /// When a record of the rollout cannot be read.
    pub fn states(&self, rollout: &str) -> Result<Vec<RolloutState>> {
        self.records(rollout).map(with_ended)
    }

    /// The last sign of life of whoever judges a rollout.
    #[must_use]
    pub fn liveness(&self, rollout: &str) -> Option<&Liveness> {
        self.lives.get(rollout)
    }

    fn records(&self, rollout: &str) -> Result<Vec<RolloutState>> {
        let of_it = self.states.0.iter().filter(|(key, _)| is_of(key, rollout));
        of_it.map(|(_, record)| record.as_ref().cloned().map_err(Unread::refusal)).collect()
    }

    /// Takes a record of the topic.
    pub fn take(&mut self, message: &dyn Incoming) {
        if !liveness::is_liveness(message) {
            self.states.take(message);
        } else if let Some(life) = liveness::read(message) {
            self.lives.insert(life.rollout.clone(), life);
        } else {
            // Whoever cannot be understood is not heard.
            self.lives.retain(|rollout, _| Some(liveness::key(rollout).as_bytes()) != message.key());
        }
    }
}

/// Keys are `rollout/model/candidate`.
fn is_of(key: &[u8], rollout: &str) -> bool {
    key.strip_prefix(rollout.as_bytes()).is_some_and(|rest| rest.starts_with(b"/"))
}

impl Last {
    fn take(&mut self, message: &dyn Incoming) {
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
}

impl Unread {
    fn refusal(&self) -> Error {
        Error::user(format!("the rollout state {} cannot be read", self.place)).because(self.error.to_string()).hint(
            "use the release of haldane that wrote it, or a newer one; a damaged record is taken away by one with the same key \
             and no value, but then a version that it denied is judged as a new one",
        )
    }
}
