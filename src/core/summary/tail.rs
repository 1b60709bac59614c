//! Counts of values beyond the fine edges of a cut, in cells as narrow as there is room for: nobody knows beforehand
//! where they will lie.
//!
//! Floats have the order of their bits, read as whole numbers with the sign turned. A cell is a run of `2^level`
//! neighbours in that order, and all cells of a tail have the same level: the least with which no more than
//! `CELLS_MAX` of them hold something. So that many different values are kept as they are; of more, the cells that
//! hold them are at least half as many, unless most values are much closer to each other than to the rest.
//!
//! The level follows from the values alone, since fewer values never need a higher one. Neither their order nor any
//! split of them changes a bit.
//!
//! **Source**: uniform collapse of Epicoco, Melle, Cafaro and Pulimeno, `UDDSketch`, IEEE Access 8, 2020, on a float's
//! bits instead of its logarithm. **State**: 16 bytes a cell and more for what it counts. **Cost**: a search among the
//! cells, and at most 64 times a pass over them.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::kernel::bin::Reach;
use crate::summary::seal::{Reader, Seal, Writer};

/// The most cells of a tail: at n = 500 of each side, all values are told apart; of more, a normal distribution is cut
/// at least every hundredth of its mass.
pub const CELLS_MAX: usize = 1024;

/// What a cell counts.
pub trait CellCount: Clone + Default + Seal {
    /// How many values it counts.
    fn n(&self) -> u64;

    /// Adds other counts.
    fn add(&mut self, more: &Self);
}

impl CellCount for u64 {
    fn n(&self) -> u64 {
        *self
    }

    fn add(&mut self, more: &Self) {
        *self += more;
    }
}

impl Seal for u64 {
    fn seal(&self, out: &mut Writer) {
        out.n(*self);
    }

    fn add_sealed(&mut self, from: &mut Reader<'_>) {
        *self += from.n();
    }
}

/// The values on one side of a cut.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "SentTail<T>")]
pub struct Tail<T> {
    level: u32,
    /// Places, rising, and what lies there.
    cells: Vec<(u64, T)>,
}

/// A tail as it was sent.
#[derive(Deserialize)]
struct SentTail<T> {
    level: u32,
    cells: Vec<(u64, T)>,
}

impl<T> TryFrom<SentTail<T>> for Tail<T> {
    type Error = &'static str;

    fn try_from(told: SentTail<T>) -> Result<Self, Self::Error> {
        let SentTail { level, cells } = told;
        let rises = cells.is_sorted_by(|a, b| a.0 < b.0);
        let fits = level < u64::BITS && cells.last().is_none_or(|last| last.0 <= u64::MAX >> level);
        if rises && fits && cells.len() <= CELLS_MAX { Ok(Self { level, cells }) } else { Err("cells out of order") }
    }
}

impl<T> Default for Tail<T> {
    fn default() -> Self {
        Self { level: 0, cells: Vec::new() }
    }
}

impl<T: CellCount> Tail<T> {
    /// Adds what there is at a value that is not NaN.
    pub fn add(&mut self, value: f64, more: &T) {
        let place = place(value) >> self.level;
        match self.cells.binary_search_by_key(&place, |cell| cell.0) {
            Ok(at) => self.cells[at].1.add(more),
            Err(at) => {
                self.cells.insert(at, (place, more.clone()));
                self.settle();
            }
        }
    }

    /// Adds another tail of the same cut.
    pub fn merge(&mut self, other: &Self) {
        if other.cells.is_empty() {
            return;
        }
        self.raise(self.level.max(other.level));
        let shift = self.level - other.level;
        self.cells.extend(other.cells.iter().map(|(place, count)| (place >> shift, count.clone())));
        self.cells.sort_by_key(|cell| cell.0);
        self.join();
        self.settle();
    }

    /// How many values there are.
    #[must_use]
    pub fn n(&self) -> u64 {
        self.cells.iter().map(|cell| cell.1.n()).sum()
    }

    /// Raises the level until there is room. Neighbours fall together at the level of the highest bit they differ in.
    fn settle(&mut self) {
        if self.cells.len() > CELLS_MAX {
            let differ = |pair: &[(u64, T)]| u64::BITS - (pair[0].0 ^ pair[1].0).leading_zeros();
            let mut bits: Vec<u32> = self.cells.windows(2).map(differ).collect();
            bits.sort_unstable_by_key(|bits| Reverse(*bits));
            self.raise(self.level + bits[CELLS_MAX - 1]);
        }
    }

    fn raise(&mut self, level: u32) {
        let shift = level - self.level;
        self.level = level;
        self.cells.iter_mut().for_each(|cell| cell.0 >>= shift);
        self.join();
    }

    /// Puts neighbours at the same place together.
    fn join(&mut self) {
        self.cells.dedup_by(|more, cell| {
            let same = more.0 == cell.0;
            if same {
                cell.1.add(&more.1);
            }
            same
        });
    }
}

/// The cells of several tails at their highest level: the first and last float of each, and what every tail has there.
pub(super) fn side_by_side<T: CellCount, const N: usize>(tails: [&Tail<T>; N]) -> Vec<((f64, f64), [T; N])> {
    let level = tails.iter().map(|tail| tail.level).max().unwrap_or_default();
    let mut cells: BTreeMap<u64, [T; N]> = BTreeMap::new();
    for (side, tail) in tails.into_iter().enumerate() {
        for (place, count) in &tail.cells {
            let cell =
                cells.entry(place >> (level - tail.level)).or_insert_with(|| std::array::from_fn(|_| T::default()));
            cell[side].add(count);
        }
    }
    cells.into_iter().map(|(place, counts)| (ends(place, level), counts)).collect()
}

/// The place of a float in the order of all; zero has one place.
fn place(value: f64) -> u64 {
    let bits = (value + 0.0).to_bits();
    if bits >> 63 == 1 { !bits } else { bits | 1 << 63 }
}

/// The float at a place.
fn value_at(place: u64) -> f64 {
    f64::from_bits(if place >> 63 == 1 { place & !(1 << 63) } else { !place })
}

/// The first and last finite float of a cell.
fn ends(cell: u64, level: u32) -> (f64, f64) {
    let held = |at: u64| at.clamp(place(f64::MIN), place(f64::MAX));
    let first = held(cell << level);
    let last = held(cell << level | !(u64::MAX << level));
    // Nothing is at the place of the negative zero.
    let last = if value_at(last).to_bits() == (-0.0_f64).to_bits() { last - 1 } else { last };
    (value_at(first), value_at(last))
}

/// The values on both sides of a cut.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tails<T> {
    /// Those below its reach.
    pub below: Tail<T>,
    /// Those above it.
    pub above: Tail<T>,
}

impl<T> Default for Tails<T> {
    fn default() -> Self {
        Self { below: Tail::default(), above: Tail::default() }
    }
}

impl<T: CellCount> Tails<T> {
    /// Adds what there is at a value, if that is beyond the reach.
    pub fn add(&mut self, reach: Reach, value: f64, more: &T) {
        if value <= reach.low {
            self.below.add(value, more);
        } else if value > reach.high {
            self.above.add(value, more);
        }
    }

    /// Adds other tails of the same cut.
    pub fn merge(&mut self, other: &Self) {
        self.below.merge(&other.below);
        self.above.merge(&other.above);
    }

    /// Whether nothing lies beyond.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.below.cells.is_empty() && self.above.cells.is_empty()
    }

    /// How many bytes they take, besides themselves.
    #[must_use]
    pub fn bytes(&self) -> usize {
        size_of_val(&*self.below.cells) + size_of_val(&*self.above.cells)
    }
}

impl<T: CellCount> Seal for Tails<T> {
    fn seal(&self, out: &mut Writer) {
        self.below.seal(out);
        self.above.seal(out);
    }

    fn add_sealed(&mut self, from: &mut Reader<'_>) {
        self.below.add_sealed(from);
        self.above.add_sealed(from);
    }
}

/// The first place as it is, and then distances.
impl<T: CellCount> Seal for Tail<T> {
    fn seal(&self, out: &mut Writer) {
        out.n(self.cells.len() as u64);
        let Some(&(first, _)) = self.cells.first() else { return };
        out.n(u64::from(self.level));
        out.mask(first);
        let mut before = first;
        for (place, count) in &self.cells {
            out.n(place - before);
            count.seal(out);
            before = *place;
        }
    }

    fn add_sealed(&mut self, from: &mut Reader<'_>) {
        let n = from.n();
        if n == 0 {
            return;
        }
        let level = u32::try_from(from.n()).expect("a level");
        let mut place = from.mask();
        let cell = |_| {
            place += from.n();
            let mut count = T::default();
            count.add_sealed(from);
            (place, count)
        };
        self.merge(&Self { level, cells: (0..n).map(cell).collect() });
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::summary::Sealed;

    fn tail(values: &[f64]) -> Tail<u64> {
        let mut tail = Tail::default();
        values.iter().for_each(|&value| tail.add(value, &1));
        tail
    }

    /// Far out, close together, repeated, of both signs, and at the ends of the line.
    fn value() -> impl Strategy<Value = f64> {
        prop_oneof![
            4 => 1e6..1.000_001e6_f64,
            2 => any::<f64>().prop_filter("finite", |value| value.is_finite()),
            1 => prop::sample::select(vec![0.0, -0.0, 1e6, f64::MAX, f64::MIN, 5e-324, -5e-324]),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

        #[test]
        fn neither_order_nor_split_nor_seal_changes_a_bit(
            values in prop::collection::vec(value(), 0..4000), at in 0_usize..4000,
        ) {
            let whole = tail(&values);
            let mut backwards = values.clone();
            backwards.reverse();
            prop_assert_eq!(&tail(&backwards), &whole);
            let (left, right) = values.split_at(at.min(values.len()));
            let (mut merged, mut sealed) = (tail(right), Tail::default());
            merged.merge(&tail(left));
            prop_assert_eq!(&merged, &whole);
            Sealed::new(&tail(left)).add_to(&mut sealed);
            Sealed::new(&tail(right)).add_to(&mut sealed);
            prop_assert_eq!(&sealed, &whole);
            prop_assert_eq!(whole.n(), values.len() as u64);
            let sent = postcard::to_stdvec(&whole).expect("encodes");
            prop_assert_eq!(postcard::from_bytes::<Tail<u64>>(&sent).expect("decodes"), whole);
        }

        #[test]
        fn cells_lie_in_order_and_hold_their_values(values in prop::collection::vec(value(), 1..3000)) {
            let cells = side_by_side([&tail(&values)]);
            prop_assert!(cells.windows(2).all(|pair| pair[0].0.1 < pair[1].0.0));
            for ((low, high), [count]) in cells {
                let held = values.iter().filter(|&&value| low <= value && value <= high).count();
                prop_assert!(low <= high);
                prop_assert_eq!(held as u64, count);
            }
        }
    }

    #[test]
    fn few_values_are_kept_as_they_are_and_many_in_half_the_cells_at_least() {
        let spread = |n: u32| -> Vec<f64> { (0..n).map(|i| 1e6 + f64::from(i) / f64::from(n)).collect() };
        let few = tail(&spread(1024));
        assert_eq!((few.level, few.cells.len()), (0, 1024));
        let many = tail(&spread(50_000));
        assert!((CELLS_MAX / 2..=CELLS_MAX).contains(&many.cells.len()), "{}", many.cells.len());
        assert!(many.cells.iter().all(|(_, count)| *count < 110));
    }

    #[test]
    fn cells_that_were_damaged_are_refused() {
        for (level, cells) in [(0_u32, vec![(2_u64, 1_u64), (1, 1)]), (64, Vec::new()), (60, vec![(16, 1)])] {
            let sent = postcard::to_stdvec(&(level, cells)).expect("encodes");
            postcard::from_bytes::<Tail<u64>>(&sent).expect_err("damaged");
        }
    }
}
