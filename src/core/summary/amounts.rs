//! How much there was of something: values on a logarithmic scale of four straight steps per doubling, of each step how
//! many and exactly how much.
//!
//! Steps are those of floats themselves: an exponent and the first two digits of the fraction. What is left of the
//! fraction adds up as an integer, so sums are exact and do not depend on order, whatever the unit. Where values are
//! clipped can be said later, at any edge of a step: nothing here depends on it.
//!
//! **State**: three numbers per step that was hit, at most 833 steps. **Error**: values beyond 2^63 count as that, and
//! below 2^-40 as 0.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::infer::balanced::ValueBin;
use crate::summary::entity::{self, EntityBuckets};
use crate::summary::seal::{Reader, Seal, Writer};

/// Bits of a float's fraction behind those that name its step.
const REST_BITS: u32 = 50;
/// Exponents that are told apart.
const EXPONENTS: (i32, i32) = (-40, 62);
/// 2^50: as much as a step is wide.
const REST: f64 = 1_125_899_906_842_624.0;
/// Steps of four decades: what lies further below the clip is taken together when evidence is computed.
const DECADES: i16 = 54;

/// A step: 0 for zero, counted from the smallest one on, with the sign of its values.
pub type StepIndex = i16;

/// Values of one group in one pane.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Amounts(BTreeMap<StepIndex, StepSum>);

/// What lies in a step: how many values, and the sum of what they have beyond its edge that is nearer to 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
struct StepSum {
    n: u64,
    beyond: u128,
}

/// How values are clipped: what is beyond the step's far edge counts as that, on either side or, where nothing may be
/// below 0, as 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clip {
    /// The last step that is not clipped.
    pub step: StepIndex,
    /// Whether values may be below 0.
    pub signed: bool,
}

/// The bits of the step with number 1, shifted.
fn first_bits() -> u64 {
    u64::from((1023 + EXPONENTS.0).unsigned_abs()) << 2
}

/// The step of a value, which is not NaN.
#[must_use]
pub fn step(value: f64) -> StepIndex {
    let bits = value.abs().to_bits() >> REST_BITS;
    let last = u64::from((EXPONENTS.1 - EXPONENTS.0 + 1).unsigned_abs()) << 2;
    let number = (bits + 1).saturating_sub(first_bits()).min(last);
    let number = StepIndex::try_from(number).expect("few steps");
    if value < 0.0 { -number } else { number }
}

/// The edge of a step that is nearer to 0, of positive values.
fn edge(step: StepIndex) -> f64 {
    match u64::try_from(step - 1) {
        Ok(above) => f64::from_bits((first_bits() + above) << REST_BITS),
        Err(_) => 0.0,
    }
}

impl Clip {
    /// Where values are clipped.
    #[must_use]
    pub fn at(self) -> f64 {
        edge(self.step + 1)
    }

    /// The least and the most that a value counts as.
    #[must_use]
    pub fn range(self) -> (f64, f64) {
        (if self.signed { -self.at() } else { 0.0 }, self.at())
    }

    /// The clip at a value: the next edge from there on.
    #[must_use]
    pub fn of(value: f64, signed: bool) -> Self {
        let step = step(value);
        Self { step: if edge(step) < value { step } else { step - 1 }, signed }
    }
}

impl Amounts {
    /// Adds a value, which is not NaN.
    pub fn update(&mut self, value: f64) {
        let step = step(value);
        let held = self.0.entry(step).or_default();
        held.n += 1;
        let (bits, mask) = (value.abs().to_bits(), (1 << REST_BITS) - 1);
        let is_within = step != 0 && bits < edge(step.abs() + 1).to_bits();
        held.beyond += u128::from(if is_within {
            bits & mask
        } else if step == 0 {
            0
        } else {
            mask
        });
    }

    /// Adds other values.
    pub fn merge(&mut self, other: &Self) {
        other.0.iter().for_each(|(&step, held)| self.add(step, *held));
    }

    fn add(&mut self, step: StepIndex, more: StepSum) {
        let held = self.0.entry(step).or_default();
        held.n += more.n;
        held.beyond += more.beyond;
    }

    /// How many there are.
    #[must_use]
    pub fn n(&self) -> u64 {
        self.0.values().map(|held| held.n).sum()
    }

    /// How many are not 0.
    #[must_use]
    pub fn nonzero(&self) -> u64 {
        self.n() - self.0.get(&0).map_or(0, |held| held.n)
    }

    /// How many are below 0.
    #[must_use]
    pub fn negative(&self) -> u64 {
        self.0.range(..0).map(|(_, held)| held.n).sum()
    }

    /// How many are clipped from above, or on either side where values may be below 0.
    #[must_use]
    pub fn clipped(&self, clip: Clip) -> u64 {
        let above: u64 = self.0.range(clip.step + 1..).map(|(_, held)| held.n).sum();
        let below = || self.0.range(..-clip.step).map(|(_, held)| held.n).sum::<u64>();
        if clip.signed { above + below() } else { above }
    }

    /// The step that holds the size of rank `ceil(q n)` among all that are not 0; `None` without any.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^53")]
    pub fn quantile(&self, q: f64) -> Option<StepIndex> {
        let mut sizes: BTreeMap<StepIndex, u64> = BTreeMap::new();
        for (step, held) in self.0.iter().filter(|(step, _)| **step != 0) {
            *sizes.entry(step.abs()).or_default() += held.n;
        }
        let rank = (q * self.nonzero() as f64).ceil().max(1.0);
        let mut seen = 0;
        sizes.into_iter().find_map(|(step, n)| {
            seen += n;
            (seen as f64 >= rank).then_some(step)
        })
    }

    /// The values as they count, step by step from the least on.
    #[must_use]
    pub fn bins(&self, clip: Clip) -> Vec<ValueBin> {
        let far = clip.step.saturating_sub(DECADES).max(0);
        let mut bins: Vec<ValueBin> = Vec::with_capacity(self.0.len());
        for (&step, held) in &self.0 {
            let bin = held.bin(step, clip);
            match bins.last_mut() {
                // A little more than nothing, or than the clip below.
                Some(last) if same(last, &bin) => (last.n, last.sum) = (last.n + bin.n, last.sum + bin.sum),
                Some(last) if step <= far && last.low > 0.0 => {
                    *last = ValueBin { low: last.low, high: bin.high, n: last.n + bin.n, sum: last.sum + bin.sum };
                }
                _ => bins.push(bin),
            }
        }
        bins
    }

    /// Mean and variance of the values as they count, to the resolution of steps; zeros for none.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^53")]
    pub fn moments(&self, clip: Clip) -> (f64, f64) {
        let n = self.n().max(1) as f64;
        let bins = self.bins(clip);
        let mean = bins.iter().map(|bin| bin.sum).sum::<f64>() / n;
        let square = |bin: &ValueBin| bin.n as f64 * (bin.sum / bin.n as f64 - mean) * (bin.sum / bin.n as f64 - mean);
        (mean, bins.iter().map(square).sum::<f64>() / n)
    }

    /// How many bytes it takes, besides itself, about.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.0.len() * size_of::<(StepIndex, StepSum)>()
    }
}

/// Whether two bins are one value.
fn same(a: &ValueBin, b: &ValueBin) -> bool {
    a.low.to_bits() == a.high.to_bits() && a.low.to_bits() == b.low.to_bits() && b.low.to_bits() == b.high.to_bits()
}

impl StepSum {
    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^53, and sums are rounded once, here")]
    fn bin(self, step: StepIndex, clip: Clip) -> ValueBin {
        let (at, n) = (clip.at(), self.n as f64);
        let one = |value: f64| ValueBin { low: value, high: value, n: self.n, sum: n * value };
        match step {
            _ if step > clip.step => one(at),
            0 => one(0.0),
            1.. => {
                let (low, high) = (edge(step), edge(step + 1));
                ValueBin { low, high, n: self.n, sum: n * low + (high - low) * (self.beyond as f64 / REST) }
            }
            _ if !clip.signed => one(0.0),
            _ if -step > clip.step => one(-at),
            _ => {
                let (low, high) = (-edge(1 - step), -edge(-step));
                ValueBin { low, high, n: self.n, sum: n * high - (high - low) * (self.beyond as f64 / REST) }
            }
        }
    }
}

/// Steps as places: from the lowest that there could be on.
fn place(step: StepIndex) -> u64 {
    u64::from(step.abs_diff(StepIndex::MIN))
}

fn of_place(place: u64) -> StepIndex {
    StepIndex::MIN.wrapping_add_unsigned(u16::try_from(place).expect("a step"))
}

impl Seal for Amounts {
    fn seal(&self, out: &mut Writer) {
        out.n(self.0.len() as u64);
        for (&step, held) in &self.0 {
            out.all([place(step), held.n]);
            out.sum(i128::try_from(held.beyond).expect("a sum of far fewer than 2^77 fractions"));
        }
    }

    fn add_sealed(&mut self, from: &mut Reader<'_>) {
        for _ in 0..from.n() {
            let [place, n] = from.all();
            self.add(of_place(place), StepSum { n, beyond: from.sum().unsigned_abs() });
        }
    }
}

/// How many values of each doubling the entities of one bucket had.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Sizes(BTreeMap<StepIndex, u64>);

impl Sizes {
    fn update(&mut self, value: f64) {
        *self.0.entry(doubling(step(value))).or_default() += 1;
    }

    fn merge(&mut self, other: &Self) {
        other.0.iter().for_each(|(&size, n)| *self.0.entry(size).or_default() += n);
    }

    /// Values and how many there are of each: the middle of each doubling, as it counts.
    pub fn values(&self, clip: Clip) -> impl Iterator<Item = (f64, u64)> {
        let (low, high) = clip.range();
        let middle = |size: StepIndex| f64::midpoint(edge(4 * (size.abs() - 1) + 1), edge(4 * size.abs() + 1));
        let value = move |size: StepIndex| match size {
            0 => 0.0,
            _ => f64::from(size.signum()) * middle(size),
        };
        self.0.iter().map(move |(&size, &n)| (value(size).clamp(low, high), n))
    }
}

/// The doubling that a step is in; 0 for zero.
fn doubling(step: StepIndex) -> StepIndex {
    step.signum() * (step.abs() + 3).div_euclid(4)
}

impl Seal for Sizes {
    fn seal(&self, out: &mut Writer) {
        out.pairs(self.0.len(), self.0.iter().map(|(&size, &n)| (place(size), n)));
    }

    fn add_sealed(&mut self, from: &mut Reader<'_>) {
        from.pairs(|place, n| *self.0.entry(of_place(place)).or_default() += n);
    }
}

/// A measure of one group in one pane.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct MeasureSummary {
    /// Its values.
    pub amounts: Amounts,
    /// The same by entity, where events name theirs, to the doubling.
    pub entities: EntityBuckets<Sizes>,
}

impl MeasureSummary {
    /// Adds a value, which is not NaN.
    pub fn update(&mut self, value: f64, entity: Option<u64>) {
        self.amounts.update(value);
        if let Some(entity) = entity {
            entity::at(&mut self.entities, entity).update(value);
        }
    }

    /// Adds other values.
    pub fn merge(&mut self, other: &Self) {
        self.amounts.merge(&other.amounts);
        entity::merge(&mut self.entities, &other.entities, Sizes::merge);
    }

    /// How many bytes it takes, about.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let sizes = self.entities.iter().map(|sizes| sizes.0.len() * size_of::<(StepIndex, u64)>());
        size_of::<Self>() + self.amounts.bytes() + size_of_val(&*self.entities) + sizes.sum::<usize>()
    }
}

impl Seal for MeasureSummary {
    fn seal(&self, out: &mut Writer) {
        self.amounts.seal(out);
        entity::seal(&self.entities, out);
    }

    fn add_sealed(&mut self, from: &mut Reader<'_>) {
        self.amounts.add_sealed(from);
        entity::add_sealed(&mut self.entities, from);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::summary::Sealed;

    #[expect(clippy::cast_precision_loss, reason = "a few hundred")]
    fn float(n: usize) -> f64 {
        n as f64
    }

    fn of(values: &[f64]) -> Amounts {
        let mut amounts = Amounts::default();
        values.iter().for_each(|&value| amounts.update(value));
        amounts
    }

    fn value() -> impl Strategy<Value = f64> {
        prop_oneof![4 => -50.0..50.0_f64, 2 => Just(0.0), 1 => -1e12..1e12_f64, 1 => Just(f64::INFINITY), 1 => -1e-13..1e-13_f64]
    }

    proptest! {
        #[test]
        fn order_and_split_do_not_matter(values in prop::collection::vec(value(), 0..200), cut in 0_usize..200) {
            let (left, right) = values.split_at(cut.min(values.len()));
            let mut parts = of(right);
            parts.merge(&of(left));
            prop_assert_eq!(&parts, &of(&values));
            let mut reversed = values.clone();
            reversed.reverse();
            prop_assert_eq!(of(&reversed), parts);
        }

        #[test]
        fn sealed_and_sent_they_are_what_they_were(
            values in prop::collection::vec((value(), prop::option::of(any::<u64>())), 0..200),
        ) {
            let mut measured = MeasureSummary::default();
            values.iter().for_each(|&(value, entity)| measured.update(value, entity));
            let mut again = MeasureSummary::default();
            Sealed::new(&measured).add_to(&mut again);
            prop_assert_eq!(&again, &measured);
            let bytes = postcard::to_stdvec(&measured).expect("encodes");
            prop_assert_eq!(&postcard::from_bytes::<MeasureSummary>(&bytes).expect("decodes"), &measured);
            let text = serde_json::to_string(&measured).expect("encodes");
            prop_assert_eq!(&serde_json::from_str::<MeasureSummary>(&text).expect("decodes"), &measured);
        }

        #[test]
        fn bins_hold_every_value_and_the_exact_sum(
            values in prop::collection::vec(value(), 1..200),
            signed in any::<bool>(),
            step in 150_i16..260,
        ) {
            let clip = Clip { step, signed };
            let (low, high) = clip.range();
            let bins = of(&values).bins(clip);
            prop_assert_eq!(bins.iter().map(|bin| bin.n).sum::<u64>(), values.len() as u64);
            prop_assert!(bins.windows(2).all(|pair| pair[0].high <= pair[1].low), "{:?}", bins);
            let counts = |value: f64| if value.abs() < 1e-12 { 0.0 } else { value.clamp(low, high) };
            let sum: f64 = values.iter().map(|&value| counts(value)).sum();
            let found: f64 = bins.iter().map(|bin| bin.sum).sum();
            prop_assert!((found - sum).abs() <= 1e-12 * float(values.len()) * high, "{} of {}", found, sum);
            for bin in &bins {
                let inside = values.iter().filter(|&&value| bin.low <= counts(value) && counts(value) <= bin.high);
                prop_assert!(inside.count() as u64 >= bin.n && low <= bin.low && bin.high <= high);
            }
        }
    }

    #[test]
    fn a_clip_is_the_next_edge_and_steps_are_a_quarter_of_a_doubling() {
        let at = [3_000.0, 1.0, 1.01, 0.3].map(|value| Clip::of(value, false).at());
        assert_eq!(at.map(f64::to_bits), [3_072.0, 1.0, 1.25, 0.3125].map(f64::to_bits));
        assert_eq!([step(0.0), step(1.0) - step(0.5), step(-1.0) + step(1.0)], [0, 4, 0]);
        assert_eq!(Clip::of(1e300, true).range(), (-9_223_372_036_854_775_808.0, 9_223_372_036_854_775_808.0));
    }

    #[test]
    fn quantiles_are_those_of_what_is_not_zero() {
        let mut values = vec![0.0; 97_000];
        values.extend((1..=3_000).map(f64::from));
        let amounts = of(&values);
        assert_eq!((amounts.nonzero(), amounts.negative()), (3_000, 0));
        let clip = Clip { step: amounts.quantile(0.9).expect("some"), signed: false };
        assert!((clip.at() - 3_072.0).abs() < 1e-9 && amounts.clipped(clip) == 0, "{}", clip.at());
        let clip = Clip { step: amounts.quantile(0.5).expect("some"), signed: false };
        assert_eq!((clip.at(), amounts.clipped(clip)), (1_536.0, 1_465));
        assert_eq!(Amounts::default().quantile(0.999), None);
    }
}
