//! Rollout states of earlier runs, read back from the compacted state topic.
//!
//! What cannot be read is never passed over: a version that it denies would be judged as a new one.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::de::DeserializeOwned;

use super::cloud_event::{DECISION, RESULT, body_of};
use super::connection::Connection;
use super::intent::{self, Intent};
use super::ports::{Cluster, Incoming};
use super::{liveness, versions, whole_topic};
use crate::engine::Effects;
use crate::error::{Error, Result};
use crate::verdict::{CommandResult, Decision, Liveness, RolloutState, with_ended};

/// So many records of the control topic tell what was said last.
pub const SAID_LAST: i64 = 1_000;

/// What stands on the state topic: the last state of each candidate, and the last sign of life of whoever judges.
#[derive(Debug, Default)]
pub struct StateTopic {
    states: Last<RolloutState>,
    intents: Last<Intent>,
    /// By rollout.
    lives: BTreeMap<String, Liveness>,
}

/// The last record of each candidate, by the key of its state.
#[derive(Debug)]
struct Last<T>(BTreeMap<Vec<u8>, std::result::Result<T, Unread>>);

/// A record that is not of a version that is known.
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

/// Where whoever takes over goes on.
#[derive(Debug, Default)]
pub struct Resumed {
    /// Where each candidate stands.
    pub states: Vec<RolloutState>,
    /// What the states are to go with: it was said, or about to be, and is said once more.
    pub said: Effects,
}

/// Where the rollout's candidates stand once all is said that was about to be.
///
/// # Errors
/// When a record cannot be read.
pub fn resume(cluster: &dyn Cluster, rollout: &str) -> Result<Resumed> {
    let seen = look(cluster)?;
    let mut states = seen.records(rollout)?;
    let written = |states: &[RolloutState], of: &RolloutState| states.iter().position(|one| intent::same(one, of));
    let mut ahead = seen.intents.of(rollout)?;
    ahead.retain(|intent| intent.is_ahead_of(written(&states, &intent.state).map(|at| &states[at])));
    if ahead.is_empty() {
        return Ok(Resumed { states, said: Effects::default() });
    }
    let (mut told, mut intended) = (last_said(cluster)?, Effects::default());
    for Intent { state, decisions, results, .. } in ahead {
        tracing::info!(state.candidate, state.sequence, "going on from what was about to be said");
        let before = written(&states, &state).map(|at| states.swap_remove(at));
        let sequence = before.as_ref().map_or(0, |before| before.sequence);
        let is_news = |id: &str| state.knows(id) && !before.as_ref().is_some_and(|before| before.knows(id));
        told.decisions.extend(decisions);
        told.results.extend(results);
        let decisions = told.decisions.iter().filter(|one| intent::is_of(one, &state) && one.sequence > sequence);
        intended.decisions.extend(decisions.cloned());
        intended.results.extend(told.results.iter().filter(|one| is_news(&one.command.id)).cloned());
        intended.states.push(state.clone());
        states.push(state);
    }
    Ok(Resumed { states, said: once(intended) })
}

/// Decisions and results at the end of the control topic.
fn last_said(cluster: &dyn Cluster) -> Result<Effects> {
    let mut told = Effects::default();
    cluster.read_last(&cluster.settings().topics.control, SAID_LAST, &mut |record| {
        if let Some(Ok(result)) = body_of::<CommandResult>(record, RESULT) {
            told.results.push(result);
        } else if let Some(Ok(decision)) = body_of::<Decision>(record, DECISION) {
            told.decisions.push(decision);
        }
    })?;
    Ok(told)
}

/// Each decision and each result once, decisions in their sequence.
fn once(mut effects: Effects) -> Effects {
    let place = |one: &Decision| (one.model.clone(), one.candidate.clone(), one.sequence);
    effects.decisions.sort_by_key(place);
    effects.decisions.dedup_by_key(|one| place(one));
    let mut seen = BTreeSet::new();
    effects.results.retain(|result| seen.insert(result.command.id.clone()));
    effects
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
pub fn look(cluster: &dyn Cluster) -> Result<StateTopic> {
    let mut seen = StateTopic::default();
    cluster.read_whole(&cluster.settings().topics.state, &mut |record| seen.take(record))?;
    Ok(seen)
}

/// Follows the state topic until `judge` has an answer; `None` when the time is up.
pub fn follow<T>(
    connection: &Connection,
    patience: Duration,
    judge: impl FnMut(&StateTopic) -> Option<T>,
) -> Result<Option<T>> {
    let topic = &connection.settings().topics.state;
    whole_topic::follow(
        connection,
        topic,
        patience,
        &mut StateTopic::default(),
        |seen, record| seen.take(record),
        judge,
    )
}

impl StateTopic {
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
        self.states.of(rollout)
    }

    /// Takes a record of the topic.
    pub fn take(&mut self, message: &dyn Incoming) {
        let key = message.key().unwrap_or_default();
        if let Some(of_state) = intent::of_state(key) {
            self.intents.take(of_state, message);
        } else if versions::is_version(key) {
            // Nothing that stands depends on it.
        } else if !key.starts_with(b"@") {
            self.states.take(key, message);
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

impl<T> Default for Last<T> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<T: DeserializeOwned + Clone> Last<T> {
    /// Those of one rollout, in key order.
    fn of(&self, rollout: &str) -> Result<Vec<T>> {
        let of_it = self.0.iter().filter(|(key, _)| is_of(key, rollout));
        of_it.map(|(_, record)| record.as_ref().cloned().map_err(Unread::refusal)).collect()
    }

    fn take(&mut self, key: &[u8], message: &dyn Incoming) {
        if key.is_empty() {
            return;
        }
        let Some(payload) = message.payload() else { return drop(self.0.remove(key)) };
        let record = serde_json::from_slice(payload).map_err(|error| {
            let key = String::from_utf8_lossy(message.key().unwrap_or_default());
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
