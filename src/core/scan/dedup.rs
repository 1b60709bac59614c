//! Which ids a pane has seen: exactly up to a bound, by a Bloom filter beyond it.
//!
//! Re-deliveries carry the event time of the original, so an id is only looked for in its own pane, and the set goes
//! when the pane is sealed. Ids arrive hashed; the table needs no hash of its own and is never iterated in an order
//! that shows.
//!
//! **State**: 11 to 16 bytes an id. The table is at most three quarters full and grows by half; an id's place rises
//! with the id, so that growing copies from front to back.

use arrow_array::Array;
use arrow_array::cast::AsArray;

use crate::batch::TextArray;
use crate::event::stable_hash;

/// Bits per expected id of the filter; with [`PROBES`] probes about 1 % of new ids are mistaken once it is full.
const BLOOM_BITS_PER_ID: usize = 10;
/// Probes of the filter.
const PROBES: u64 = 7;

/// The shortest table.
const PLACES_MIN: usize = 16;

/// What a re-delivery has in common with a row: the request, and who answered it, by names in the columns given.
/// Several versions may answer one request.
#[must_use]
#[expect(clippy::cast_sign_loss, reason = "dictionary keys are not negative")]
pub fn ids_of_answers(requests: &[u64], names: &[&TextArray]) -> Vec<u64> {
    let mut ids = requests.to_vec();
    for column in names {
        let salts: Vec<u64> = column.values().as_string::<i32>().iter().map(salt).collect();
        let (keys, nulls) = (column.keys().values(), column.keys().nulls());
        for (row, (id, &key)) in ids.iter_mut().zip(keys).enumerate() {
            let is_known = nulls.is_none_or(|nulls| nulls.is_valid(row));
            *id = id.rotate_left(1) ^ if is_known { salts[key as usize] } else { 0 };
        }
    }
    ids
}

fn salt(name: Option<&str>) -> u64 {
    name.map_or(0, |name| stable_hash(name.as_bytes()))
}

/// A bounded set of 64-bit ids.
#[derive(Debug, Clone)]
pub struct IdSet {
    /// Open addressing, at most three quarters full; 0 marks a free place.
    table: Vec<u64>,
    n: usize,
    has_zero: bool,
    exact_max: usize,
    bloom: Vec<u64>,
}

impl IdSet {
    /// Nothing seen yet; so many ids are remembered exactly.
    #[must_use]
    pub fn new(exact_max: usize) -> Self {
        Self { table: vec![0; PLACES_MIN], n: 0, has_zero: false, exact_max, bloom: Vec::new() }
    }

    /// How many bytes it takes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        size_of_val(&*self.table) + size_of_val(&*self.bloom)
    }

    /// Adds an id; `true` when it was not there. Beyond the bound a new id may rarely be taken for a known one.
    pub fn insert(&mut self, id: u64) -> bool {
        if id == 0 {
            return !std::mem::replace(&mut self.has_zero, true);
        }
        let place = self.place_of(id);
        if self.table[place] == id {
            return false;
        }
        if self.n >= self.exact_max {
            return self.insert_bloom(id);
        }
        self.table[place] = id;
        self.n += 1;
        if self.n * 4 > self.table.len() * 3 {
            self.grow();
        }
        true
    }

    /// Looks where ids would go, all at once: the places are then at hand when the ids are put there one after another.
    pub(crate) fn fetch(&self, ids: &[u64]) {
        std::hint::black_box(ids.iter().fold(0, |seen, &id| seen ^ self.table[self.first_place(id)]));
    }

    /// Where an id is put unless that place is taken: as far into the table as the id is into all numbers.
    #[expect(clippy::cast_possible_truncation, reason = "less than the length of the table")]
    fn first_place(&self, id: u64) -> usize {
        ((u128::from(id) * self.table.len() as u128) >> 64) as usize
    }

    fn place_of(&self, id: u64) -> usize {
        let mut place = self.first_place(id);
        while self.table[place] != 0 && self.table[place] != id {
            place = if place + 1 == self.table.len() { 0 } else { place + 1 };
        }
        place
    }

    fn grow(&mut self) {
        let longer = vec![0; self.table.len() / 2 * 3];
        let old = std::mem::replace(&mut self.table, longer);
        for id in old.into_iter().filter(|&id| id != 0) {
            let place = self.place_of(id);
            self.table[place] = id;
        }
    }

    fn insert_bloom(&mut self, id: u64) -> bool {
        if self.bloom.is_empty() {
            self.bloom = vec![0; (self.exact_max * BLOOM_BITS_PER_ID).div_ceil(64).max(1)];
        }
        let n_bits = self.bloom.len() as u64 * 64;
        let step = id.rotate_left(32) | 1;
        let mut added = false;
        for probe in 0..PROBES {
            let bit = id.wrapping_add(step.wrapping_mul(probe)) % n_bits;
            let (word, mask) = ((bit / 64) as usize, 1 << (bit % 64));
            added |= self.bloom[word] & mask == 0;
            self.bloom[word] |= mask;
        }
        added
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::event::stable_hash;

    #[test]
    fn answers_of_other_versions_to_one_request_are_others() {
        let column = |names: [&str; 4]| names.into_iter().collect::<TextArray>();
        let (models, versions) = (column(["m", "m", "v1", "m"]), column(["v1", "v2", "m", "v1"]));
        let ids = ids_of_answers(&[7; 4], &[&models, &versions]);
        assert_eq!(ids[0], ids[3], "a re-delivery");
        assert!(ids[0] != ids[1] && ids[0] != ids[2] && ids[1] != ids[2], "{ids:?}");
        assert_eq!(ids_of_answers(&[7, 8], &[]), [7, 8]);
    }

    proptest! {
        #[test]
        fn agrees_with_a_set(ids in prop::collection::vec(0_u64..50, 0..200)) {
            let mut model = std::collections::BTreeSet::new();
            let mut set = IdSet::new(1000);
            for &id in &ids {
                prop_assert_eq!(set.insert(id), model.insert(id));
            }
        }
    }

    #[test]
    fn beyond_the_bound_no_repeat_is_missed_and_few_new_ids_are_lost() {
        let ids: Vec<u64> = (0..2_000_u64).map(|i| stable_hash(&i.to_le_bytes())).collect();
        let mut set = IdSet::new(1_000);
        let fresh = ids.iter().filter(|&&id| set.insert(id)).count();
        assert!(fresh >= 1_970, "{fresh} of 2000 new ids were recognised as new");
        assert!(ids.iter().all(|&id| !set.insert(id)), "every repeat is recognised");
    }

    #[test]
    fn an_id_takes_sixteen_bytes_at_most() {
        let mut set = IdSet::new(usize::MAX);
        for n in 1..100_000_u64 {
            assert!(set.insert(stable_hash(&n.to_le_bytes())), "{n}");
            assert!(n < 100 || set.bytes() as u64 <= n * 17, "{n} ids take {} bytes", set.bytes());
        }
    }
}
