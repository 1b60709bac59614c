//! Counts of a categorical column: the categories of the reference one by one, a bounded number of others by name, the
//! rest together.
//!
//! Which unseen categories keep their name must not depend on the order of events. The [`UNSEEN_MAX`] names with the
//! smallest hashes stay (a bottom-k sample): a name that is pushed out can never come back, and one that is in at the
//! end was in from its first event on, so its count is exact and the rest is a plain difference, for any split of the
//! data.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::event::stable_hash;
use crate::summary::seal::{Reader, Seal, Writer};

/// How many categories outside the reference keep their own count, per column and pane.
pub const UNSEEN_MAX: usize = 256;

/// Counts of one categorical column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Category {
    /// Counts of the plan's known categories, in the plan's order; after them that of all its rare ones together, if it
    /// has any.
    pub known: Vec<u64>,
    /// Other categories by hash of their name: name and count.
    pub unseen: BTreeMap<u64, (String, u64)>,
    /// Rows of categories that were pushed out of `unseen`.
    pub other: u64,
    /// Nulls.
    pub missing: u64,
}

impl Category {
    /// An empty summary for `n_known` counts.
    #[must_use]
    pub fn new(n_known: usize) -> Self {
        Self { known: vec![0; n_known], unseen: BTreeMap::new(), other: 0, missing: 0 }
    }

    /// Adds `count` rows of a category that the reference does not hold.
    pub fn add_unseen(&mut self, name: &str, count: u64) {
        let hash = stable_hash(name.as_bytes());
        self.unseen.entry(hash).or_insert_with(|| (name.to_owned(), 0)).1 += count;
        while self.unseen.len() > UNSEEN_MAX {
            let (_, (_, pushed_out)) = self.unseen.pop_last().expect("the map is longer than its bound");
            self.other += pushed_out;
        }
    }

    /// How many bytes it takes, about.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let unseen = self.unseen.values().map(|(name, _)| size_of::<(u64, String, u64)>() + name.len()).sum::<usize>();
        size_of::<Self>() + size_of_val(&*self.known) + unseen
    }

    /// Adds another summary of the same column.
    pub fn merge(&mut self, other: &Self) {
        assert_eq!(self.known.len(), other.known.len(), "categories of one column merge");
        for (count, more) in self.known.iter_mut().zip(&other.known) {
            *count += more;
        }
        for (name, count) in other.unseen.values() {
            self.add_unseen(name, *count);
        }
        self.other += other.other;
        self.missing += other.missing;
    }

    /// Number of rows whose category is outside the reference.
    #[must_use]
    pub fn n_unseen(&self) -> u64 {
        self.unseen.values().map(|(_, count)| count).sum::<u64>() + self.other
    }

    /// Number of rows with a category.
    #[must_use]
    pub fn n(&self) -> u64 {
        self.known.iter().sum::<u64>() + self.n_unseen()
    }

    /// Number of rows.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.n() + self.missing
    }
}

/// Names are written in their order, each as what differs from the one before.
impl Seal for Category {
    fn seal(&self, out: &mut Writer) {
        out.counts(&self.known);
        out.all([self.other, self.missing, self.unseen.len() as u64]);
        let mut unseen: Vec<&(String, u64)> = self.unseen.values().collect();
        unseen.sort_unstable();
        let mut before: &[u8] = &[];
        for (name, count) in unseen {
            let name = name.as_bytes();
            let same = before.iter().zip(name).take_while(|(a, b)| a == b).count();
            out.n(same as u64);
            out.text(&name[same..]);
            out.n(*count);
            before = name;
        }
    }

    fn add_sealed(&mut self, from: &mut Reader<'_>) {
        from.counts(&mut self.known);
        let [other, missing, n_unseen] = from.all();
        self.other += other;
        self.missing += missing;
        let mut name = Vec::new();
        for _ in 0..n_unseen {
            name.truncate(from.place());
            name.extend(from.text());
            let count = from.n();
            self.add_unseen(str::from_utf8(&name).expect("a name that was sealed"), count);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(names: impl Iterator<Item = usize>) -> Category {
        let mut category = Category::new(0);
        names.for_each(|name| category.add_unseen(&format!("c{name}"), 1));
        category
    }

    #[test]
    fn overflow_does_not_depend_on_order_or_split() {
        let n = 3 * UNSEEN_MAX;
        let whole = count((0..n).chain(0..n));
        let reversed = count((0..n).rev().chain((0..n).rev()));
        let (mut left, right) = (count(0..n), count((0..n).rev()));
        left.merge(&right);
        assert_eq!(whole, reversed);
        assert_eq!(whole, left);
        assert_eq!((whole.n(), whole.unseen.len()), (2 * n as u64, UNSEEN_MAX));
        assert!(whole.unseen.values().all(|(_, count)| *count == 2), "a name that stays has its exact count");
    }
}
