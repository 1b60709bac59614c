//! What pipeline files said while they were in force, on the state topic: decisions name the digest of their plan
//! alone.
//!
//! Whoever takes the work over records what its file says, unless that is what was recorded last. So there is one
//! record for each text, which compaction keeps, with the times at which it came into force. It holds the words of
//! `haldane check` and the keys of the file, adapters too; what may be a secret is blotted out before.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::cloud_event::Letter;
use super::ports::{Cluster, Incoming};
use super::topics::Own;
use crate::error::Result;
use crate::event::Micros;
use crate::format::Version;

/// What keys of these records begin with; no rollout may have such a name.
const PREFIX: &str = "@pipeline/";

/// So many times at which a text came into force are kept, the last ones.
const SINCE_MAX: usize = 100;

/// What one text of a pipeline file says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PipelineVersion {
    /// Version of this format.
    #[serde(default)]
    format: Version<1>,
    /// `b3:` and 64 hex digits, of all that it says.
    pub id: String,
    /// The rollout that is judged.
    pub rollout: String,
    /// Digest of the plan, as decisions name it (`inputs.policy`). Where adapters alone differ it is the same.
    pub plan: String,
    /// The release that read it.
    pub engine: String,
    /// When it came into force after another one, by the clock of whoever took over; in order.
    pub since: Vec<Micros>,
    /// Sections of what it means, each with its title, in words.
    pub words: Vec<(String, Vec<String>)>,
    /// Values of the file as JSON, by their paths.
    pub keys: BTreeMap<String, String>,
}

impl PipelineVersion {
    /// What a file says, not in force yet.
    #[must_use]
    pub fn of(
        (rollout, plan): (&str, &str),
        words: Vec<(String, Vec<String>)>,
        keys: BTreeMap<String, String>,
    ) -> Self {
        // Another release may mean something else by the same text, or say it in other words.
        let engine = env!("CARGO_PKG_VERSION");
        let mut digest = blake3::Hasher::new();
        for text in [plan, engine].into_iter().chain(keys.iter().flat_map(|(path, value)| [path.as_str(), value])) {
            digest.update(&(text.len() as u64).to_le_bytes()).update(text.as_bytes());
        }
        Self {
            format: Version,
            id: format!("b3:{}", digest.finalize().to_hex()),
            rollout: rollout.to_owned(),
            plan: plan.to_owned(),
            engine: engine.to_owned(),
            since: Vec::new(),
            words,
            keys,
        }
    }

    /// The key of its record.
    #[must_use]
    pub fn key(&self) -> String {
        format!("{PREFIX}{}/{}", self.rollout, self.id)
    }

    /// When it came into force last before a time, or, where that was recorded a little later, first.
    #[must_use]
    pub fn since(&self, recorded: Micros) -> Option<Micros> {
        let before = self.since.iter().copied().filter(|since| *since <= recorded).max();
        before.or_else(|| self.since.first().copied())
    }

    fn last(&self) -> Option<Micros> {
        self.since.last().copied()
    }
}

/// Whether a record of the state topic, by its key, is one of these.
#[must_use]
pub fn is_version(key: &[u8]) -> bool {
    key.starts_with(PREFIX.as_bytes())
}

/// All that were recorded of a rollout, the one in force last.
///
/// # Errors
/// When the topic cannot be read.
pub fn read(cluster: &dyn Cluster, rollout: &str) -> Result<Vec<PipelineVersion>> {
    let mut known: BTreeMap<Vec<u8>, PipelineVersion> = BTreeMap::new();
    let mut take = |message: &dyn Incoming| {
        let (Some(key), Some(body)) = (message.key().filter(|key| is_version(key)), message.payload()) else { return };
        match serde_json::from_slice::<PipelineVersion>(body) {
            Ok(version) if version.rollout == rollout => drop(known.insert(key.to_vec(), version)),
            Ok(_) => {}
            Err(error) => tracing::warn!(offset = message.offset(), %error, "a pipeline's record that cannot be read"),
        }
    };
    cluster.read_whole(&cluster.settings().topics.state, &mut take)?;
    let mut versions: Vec<PipelineVersion> = known.into_values().collect();
    versions.sort_by_key(PipelineVersion::last);
    Ok(versions)
}

/// Records that a text is in force from now on, unless it is already.
///
/// # Errors
/// When the topic cannot be read or written.
pub fn record(cluster: &dyn Cluster, version: &PipelineVersion) -> Result<()> {
    let topic = &cluster.settings().topics.state;
    cluster.create(&[Own::of(topic).compacted()])?;
    let known = read(cluster, &version.rollout)?;
    if known.last().is_some_and(|newest| newest.id == version.id) {
        return Ok(());
    }
    let now = cluster.machine().wall_clock();
    let same = known.into_iter().find(|one| one.id == version.id);
    let mut written = same.unwrap_or_else(|| version.clone());
    written.since.push(now);
    written.since.drain(..written.since.len().saturating_sub(SINCE_MAX));
    let producer = cluster.producer()?;
    producer.send(Letter::pipeline(&written, now).to(topic))?;
    producer.settle()
}

/// The one under which a decision of a plan was recorded at a time; `None` where the plan was not recorded.
#[must_use]
pub fn in_force<'a>(versions: &'a [PipelineVersion], plan: &str, recorded: Micros) -> Option<&'a PipelineVersion> {
    let of_plan = || versions.iter().filter(|version| version.plan == plan);
    let latest = |version: &&PipelineVersion| version.since.iter().copied().filter(|since| *since <= recorded).max();
    let before = of_plan().filter(|version| latest(version).is_some()).max_by_key(latest);
    before.or_else(|| of_plan().min_by_key(|version| version.since.first().copied()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(plan: &str, path: &str, since: &[Micros]) -> PipelineVersion {
        let keys = BTreeMap::from([("act[flags].file.path".to_owned(), path.to_owned())]);
        PipelineVersion { since: since.to_vec(), ..PipelineVersion::of(("fraud", plan), Vec::new(), keys) }
    }

    #[test]
    fn a_text_is_known_by_all_that_it_says() {
        let one = version("b3:1", "a", &[]);
        assert_eq!(one.id, version("b3:1", "a", &[7]).id);
        assert!(one.id != version("b3:2", "a", &[]).id && one.id != version("b3:1", "b", &[]).id);
        assert!(is_version(one.key().as_bytes()) && !is_version(b"fraud/fraud/v2"));
    }

    #[test]
    fn of_texts_with_one_plan_the_last_before_the_decision_was_in_force() {
        let (first, second) = (version("b3:1", "a", &[10, 30]), version("b3:1", "b", &[20]));
        let all = [version("b3:2", "a", &[25]), second.clone(), first.clone()];
        let at = |recorded| in_force(&all, "b3:1", recorded).map(|version| version.id.clone());
        assert_eq!(at(15), Some(first.id.clone()));
        assert_eq!(at(29), Some(second.id));
        assert_eq!(at(31), Some(first.id.clone()), "it came back");
        assert_eq!(at(5), Some(first.id), "it was recorded a little later");
        assert_eq!(in_force(&all, "b3:3", 31), None);
    }
}
