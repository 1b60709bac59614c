//! Names of the classes of one lane, so that what waits for a label holds two bytes for each.

use std::collections::BTreeMap;
use std::num::NonZeroU16;

use crate::event::{class_hash, class_name};
use crate::summary::classes::{ClassId, ClassPair};

/// The most names that are kept. A model with more classes is counted by those that were met first.
const NAMES_MAX: usize = 4_096;

/// Names in the order in which they were met, and by their hash.
#[derive(Debug, Clone, Default)]
pub(crate) struct ClassNames {
    names: Vec<String>,
    ids: BTreeMap<u64, ClassId>,
}

impl ClassNames {
    /// Whether a name would be new.
    pub(crate) fn lacks(&self, class: &str) -> bool {
        self.names.len() < NAMES_MAX && !self.ids.contains_key(&class_hash(class))
    }

    pub(crate) fn len(&self) -> usize {
        self.names.len()
    }

    /// Takes in a name.
    pub(crate) fn learn(&mut self, class: &str) {
        self.names.push(class_name(class).into_owned());
        let place =
            u16::try_from(self.names.len()).ok().and_then(NonZeroU16::new).expect("few names, and one at least");
        self.ids.insert(class_hash(class), ClassId(place));
    }

    /// Two classes by their hashes, if both names are known.
    pub(crate) fn pair(&self, truth: u64, answer: u64) -> Option<ClassPair> {
        Some(ClassPair { truth: *self.ids.get(&truth)?, answer: *self.ids.get(&answer)? })
    }

    pub(crate) fn name(&self, class: ClassId) -> &str {
        &self.names[usize::from(class.0.get()) - 1]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_has_one_name_however_it_is_written() {
        let mut names = ClassNames::default();
        for class in ["Cat", "cat", "dog", "A", "a"] {
            if names.lacks(class) {
                names.learn(class);
            }
        }
        assert_eq!(names.names, ["cat", "dog", "A", "a"]);
        let pair = names.pair(class_hash("CAT"), class_hash("dog")).expect("both are known");
        assert_eq!((names.name(pair.truth), names.name(pair.answer)), ("cat", "dog"));
        assert_eq!(names.pair(class_hash("cat"), class_hash("cow")), None);
    }

    #[test]
    fn names_are_bounded() {
        let mut names = ClassNames::default();
        (0..NAMES_MAX).for_each(|n| names.learn(&n.to_string()));
        assert!(!names.lacks("one more") && !names.lacks("7"));
        assert_eq!(names.name(names.pair(class_hash("4095"), class_hash("0")).expect("known").truth), "4095");
    }
}
