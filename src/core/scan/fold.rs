//! How many groups there may be, and where the rest is counted.
//!
//! Models, versions of a model and segments of a version each have a bound. Beyond it the names with the smallest
//! hashes keep a group of their own (the baseline version always does) and the rest is counted under [`OTHER`]. A name
//! that was pushed out can never come back, so the outcome depends on the set of names alone, not on their order or
//! split.

use std::collections::BTreeMap;

use crate::event::stable_hash;
use crate::plan::Bounds;
use crate::scan::frame::{GroupKey, OTHER};

/// Models per pane.
const MODELS_MAX: usize = 64;

/// The groups that are kept, as a tree of bottom-k samples.
#[derive(Debug, Clone, Default)]
pub(crate) struct Fold {
    models: KeptNames<KeptNames<KeptNames<()>>>,
}

/// Names by rank; the largest rank is the first to go.
#[derive(Debug, Clone)]
struct KeptNames<T>(BTreeMap<(u64, Vec<String>), T>);

impl<T> Default for KeptNames<T> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

/// What admitting a name did.
enum Admitted {
    Kept,
    Folded,
    Replaced(Vec<String>),
}

impl<T: Default> KeptNames<T> {
    fn admit(&mut self, rank: u64, name: &[String], max: usize) -> (Admitted, Option<&mut T>) {
        let key = (rank, name.to_vec());
        let mut outcome = Admitted::Kept;
        if !self.0.contains_key(&key) {
            self.0.insert(key.clone(), T::default());
            if self.0.len() > max {
                let ((_, gone), _) = self.0.pop_last().expect("longer than its bound");
                outcome = if gone == name { Admitted::Folded } else { Admitted::Replaced(gone) };
            }
        }
        (outcome, self.0.get_mut(&key))
    }
}

impl Fold {
    /// Where `key` is counted. `moved` is told about every name that lost its place: all groups with this prefix
    /// (model, or model and version, or the whole key) move to the folded key.
    pub(crate) fn admit(
        &mut self,
        key: &GroupKey,
        bounds: &Bounds,
        baseline_version: &str,
        mut moved: impl FnMut(&GroupKey, &GroupKey),
    ) -> GroupKey {
        let (model, version) = (vec![key.model.clone()], vec![key.version.clone()]);
        let (outcome, versions) = self.models.admit(rank(&model), &model, MODELS_MAX);
        if let Admitted::Replaced(gone) = &outcome {
            moved(&prefix(&gone[0], "", &[]), &folded_model());
        }
        let Some(versions) = versions else { return folded_model() };
        let version_rank = if key.version == baseline_version { 0 } else { rank(&version) };
        let (outcome, segments) = versions.admit(version_rank, &version, bounds.versions_max);
        if let Admitted::Replaced(gone) = &outcome {
            moved(&prefix(&key.model, &gone[0], &[]), &folded_version(&key.model));
        }
        let Some(segments) = segments else { return folded_version(&key.model) };
        let (outcome, kept) = segments.admit(rank(&key.segment), &key.segment, bounds.groups_max);
        if let Admitted::Replaced(gone) = &outcome {
            moved(&prefix(&key.model, &key.version, gone), &folded_segment(&key.model, &key.version));
        }
        if kept.is_some() { key.clone() } else { folded_segment(&key.model, &key.version) }
    }
}

/// The groups that a group may be folded into, the nearest first.
pub(crate) fn folded(key: &GroupKey) -> [GroupKey; 3] {
    [folded_segment(&key.model, &key.version), folded_version(&key.model), folded_model()]
}

fn rank(name: &[String]) -> u64 {
    stable_hash(name.join("\u{1f}").as_bytes())
}

fn prefix(model: &str, version: &str, segment: &[String]) -> GroupKey {
    GroupKey { model: model.to_owned(), version: version.to_owned(), segment: segment.to_vec() }
}

fn folded_model() -> GroupKey {
    prefix(OTHER, OTHER, &[OTHER.to_owned()])
}

fn folded_version(model: &str) -> GroupKey {
    prefix(model, OTHER, &[OTHER.to_owned()])
}

fn folded_segment(model: &str, version: &str) -> GroupKey {
    prefix(model, version, &[OTHER.to_owned()])
}

/// Whether a group belongs to a name that moved: equal in every part that the prefix names.
pub(crate) fn has_prefix(key: &GroupKey, prefix: &GroupKey) -> bool {
    key.model == prefix.model
        && (prefix.version.is_empty() || key.version == prefix.version)
        && (prefix.segment.is_empty() || key.segment == prefix.segment)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(keys: &[GroupKey]) -> BTreeMap<GroupKey, u64> {
        let bounds = Bounds { groups_max: 3, versions_max: 2, ids_max: 1 };
        let (mut fold, mut counts) = (Fold::default(), BTreeMap::<GroupKey, u64>::new());
        for key in keys {
            let mut moves = Vec::new();
            let target = fold.admit(key, &bounds, "v9", |from, to| moves.push((from.clone(), to.clone())));
            for (from, to) in moves {
                let gone: Vec<_> = counts.keys().filter(|key| has_prefix(key, &from)).cloned().collect();
                let n: u64 = gone.iter().filter_map(|key| counts.remove(key)).sum();
                *counts.entry(to).or_default() += n;
            }
            *counts.entry(target).or_default() += 1;
        }
        counts
    }

    #[test]
    fn folding_depends_on_the_names_alone() {
        let keys: Vec<_> =
            (0..240_u32).map(|i| prefix("m", &format!("v{}", i % 10), &[format!("s{}", (i / 10) % 7)])).collect();
        let reversed: Vec<_> = keys.iter().rev().cloned().collect();
        let counts = count(&keys);
        assert_eq!(counts, count(&reversed));
        assert_eq!(counts.values().sum::<u64>(), 240);
        assert!(counts.keys().any(|key| key.version == "v9"), "the baseline version keeps its groups");
        assert!(counts.len() <= 2 * 4 + 1);
    }

    #[test]
    fn few_names_are_left_alone() {
        let keys = [prefix("m", "v1", &[]), prefix("m", "v2", &[])];
        assert_eq!(count(&keys).len(), 2);
    }
}
