//! Labelled predictions by class: how many were of it, how many were answered with it, and how many were both.
//!
//! **Bounded**: of more than [`CLASSES_MAX`] classes those that come first by their name are counted. Which they are
//! depends on all classes and on nothing else, so summaries merge as if they had been one.

use std::collections::BTreeMap;
use std::num::NonZeroU16;

use serde::{Deserialize, Serialize};

use crate::summary::seal::{Reader, Seal, Writer};

/// The most classes that are counted one by one.
pub const CLASSES_MAX: usize = 256;

/// A class, by its place in a list of names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ClassId(pub(crate) NonZeroU16);

/// The class of a labelled prediction, and the one that was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClassPair {
    /// The true class.
    pub truth: ClassId,
    /// The class that was answered.
    pub answer: ClassId,
}

/// What was counted of one class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ClassCounts {
    /// Labels of this class.
    pub labelled: u64,
    /// Labelled predictions that were answered with it.
    pub answered: u64,
    /// Labels of this class that were answered with it.
    pub right: u64,
}

impl ClassCounts {
    fn merge(&mut self, other: Self) {
        self.labelled += other.labelled;
        self.answered += other.answered;
        self.right += other.right;
    }
}

/// Counts by class; see the head of this module.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Classes(BTreeMap<String, ClassCounts>);

impl Classes {
    /// Adds a labelled prediction.
    pub fn count(&mut self, truth: &str, answer: &str) {
        let right = u64::from(truth == answer);
        self.add(truth, ClassCounts { labelled: 1, answered: 0, right });
        self.add(answer, ClassCounts { labelled: 0, answered: 1, right: 0 });
    }

    /// Counts by class, in the order of names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, ClassCounts)> {
        self.0.iter().map(|(class, counts)| (class.as_str(), *counts))
    }

    /// What was counted of a class.
    #[must_use]
    pub fn of(&self, class: &str) -> ClassCounts {
        self.0.get(class).copied().unwrap_or_default()
    }

    /// Whether nothing was counted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many bytes it takes, about: nodes of a map are two thirds full on average.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let names: usize = self.0.keys().map(String::capacity).sum();
        names + self.0.len() * size_of::<(String, ClassCounts)>() / 2 * 3
    }

    /// Adds other counts.
    pub fn merge(&mut self, other: &Self) {
        other.iter().for_each(|(class, counts)| self.add(class, counts));
    }

    fn add(&mut self, class: &str, counts: ClassCounts) {
        if let Some(mine) = self.0.get_mut(class) {
            mine.merge(counts);
            return;
        }
        self.0.insert(class.to_owned(), counts);
        if self.0.len() > CLASSES_MAX {
            self.0.pop_last();
        }
    }
}

impl Seal for Classes {
    fn seal(&self, out: &mut Writer) {
        out.n(self.0.len() as u64);
        for (class, ClassCounts { labelled, answered, right }) in self.iter() {
            out.text(class.as_bytes());
            out.all([labelled, answered, right]);
        }
    }

    fn add_sealed(&mut self, from: &mut Reader<'_>) {
        for _ in 0..from.n() {
            let class = std::str::from_utf8(from.text()).expect("a name was written");
            let [labelled, answered, right] = from.all();
            self.add(class, ClassCounts { labelled, answered, right });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::Rng;

    #[test]
    fn a_wrong_answer_counts_for_both_classes() {
        let mut classes = Classes::default();
        [("cat", "cat"), ("cat", "dog"), ("dog", "dog")]
            .iter()
            .for_each(|(truth, answer)| classes.count(truth, answer));
        assert_eq!(classes.of("cat"), ClassCounts { labelled: 2, answered: 1, right: 1 });
        assert_eq!(classes.of("dog"), ClassCounts { labelled: 1, answered: 2, right: 1 });
        assert_eq!(classes.of("cow"), ClassCounts::default());
    }

    /// Whatever the order and however it is split: of 400 classes the same 256 are counted, and each of them wholly.
    #[test]
    fn of_too_many_classes_the_same_are_counted_in_any_order() {
        let name = |class: u64| format!("class {class:03}");
        let pairs: Vec<(u64, u64)> = {
            let mut rng = Rng::new(11);
            let mut class = || rng.bits() % 400;
            (0..20_000).map(|_| (class(), class())).collect()
        };
        let counted = |pairs: &mut dyn Iterator<Item = &(u64, u64)>| {
            let mut classes = Classes::default();
            pairs.for_each(|&(truth, answer)| classes.count(&name(truth), &name(answer)));
            classes
        };
        let (whole, reversed) = (counted(&mut pairs.iter()), counted(&mut pairs.iter().rev()));
        let (earlier, later) = pairs.split_at(7_000);
        let mut parts = counted(&mut later.iter());
        parts.merge(&counted(&mut earlier.iter()));
        assert_eq!((&whole, &whole), (&reversed, &parts));
        assert_eq!(whole.iter().count(), CLASSES_MAX);
        let labelled = pairs.iter().filter(|(truth, _)| *truth == 255).count() as u64;
        assert_eq!((whole.of("class 255").labelled, whole.of("class 256")), (labelled, ClassCounts::default()));
    }
}
