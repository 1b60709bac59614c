//! A bounded table of the newest value per key: what is full refuses, and what is refused is counted by the caller.

use std::collections::BTreeMap;

use crate::event::Micros;

/// The newest value of each key with its event time, at most `max` of them.
#[derive(Debug)]
pub struct Latest<K, V> {
    max: usize,
    entries: BTreeMap<K, (Micros, V)>,
}

impl<K: Ord, V> Latest<K, V> {
    /// An empty table.
    #[must_use]
    pub fn new(max: usize) -> Self {
        Self { max, entries: BTreeMap::new() }
    }

    /// Stores a value unless a newer one is there; `false` when a new key found the table full.
    #[must_use]
    pub fn put(&mut self, key: K, time: Micros, value: V) -> bool {
        if let Some(entry) = self.entries.get_mut(&key) {
            if entry.0 <= time {
                *entry = (time, value);
            }
            return true;
        }
        let free = self.entries.len() < self.max;
        if free {
            self.entries.insert(key, (time, value));
        }
        free
    }

    /// The newest value of a key.
    #[must_use]
    pub fn get(&self, key: &K) -> Option<&V> {
        self.entries.get(key).map(|(_, value)| value)
    }

    /// When the table is full, takes out what was last heard of before `time` and tells what it was.
    pub fn make_room(&mut self, time: Micros) -> Vec<(K, V)> {
        if self.entries.len() < self.max {
            return Vec::new();
        }
        self.entries.extract_if(.., |_, entry| entry.0 < time).map(|(key, (_, value))| (key, value)).collect()
    }

    /// Takes one key out.
    pub fn remove(&mut self, key: &K) {
        self.entries.remove(key);
    }

    /// The values, in key order.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.entries.values().map(|(_, value)| value)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_value_of_a_key_stays() {
        let mut latest = Latest::new(2);
        assert!(latest.put("a", 20, 1));
        assert!(latest.put("a", 10, 2), "an old value is no loss");
        assert!(latest.put("b", 20, 3));
        assert_eq!(latest.values().copied().collect::<Vec<_>>(), [1, 3]);
        assert_eq!((latest.get(&"b"), latest.get(&"c")), (Some(&3), None));
    }

    #[test]
    fn a_full_table_refuses_until_the_stale_make_room() {
        let mut latest = Latest::new(2);
        assert!(latest.put("a", 10, 1) && latest.put("b", 20, 2));
        assert!(!latest.put("c", 30, 3));
        assert_eq!(latest.make_room(20), [("a", 1)]);
        assert!(latest.make_room(99).is_empty(), "it is no longer full");
        assert!(latest.put("c", 30, 3));
        assert_eq!(latest.len(), 2);
    }
}
