//! Counts of magnitudes on a logarithmic scale of 64 steps per doubling, for quantities of unknown unit such as the
//! absolute errors of a regression.
//!
//! A step is 1.1 % wide, and two thresholds that lie whole steps apart stand in an exact ratio: that is what comparing
//! exceedances with a margin needs. **State**: one count per step that was hit, at most 6,400.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::summary::seal::{Reader, Seal, Writer};

/// Steps per doubling.
const STEPS: f64 = 64.0;
/// Magnitudes up to 2^-40 share the first step, those from 2^60 on the last.
const EXPONENTS: (f64, f64) = (-40.0, 60.0);

/// Magnitudes of one group in one pane.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Magnitudes(BTreeMap<i32, u64>);

/// The step of a magnitude.
#[must_use]
#[expect(clippy::cast_possible_truncation, reason = "held between the exponents")]
pub fn step(magnitude: f64) -> i32 {
    (libm::log2(magnitude).clamp(EXPONENTS.0, EXPONENTS.1) * STEPS).floor() as i32
}

/// How many steps a ratio of magnitudes spans, rounded up.
#[must_use]
#[expect(clippy::cast_possible_truncation, reason = "ratios near one")]
pub fn steps_of_ratio(ratio: f64) -> i32 {
    (libm::log2(ratio) * STEPS).ceil() as i32
}

impl Magnitudes {
    /// Counts one magnitude, not negative.
    pub fn update(&mut self, magnitude: f64) {
        *self.0.entry(step(magnitude)).or_default() += 1;
    }

    /// How many bytes it takes, besides itself, about.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.0.len() * size_of::<(i32, u64)>()
    }

    /// Adds other counts.
    pub fn merge(&mut self, other: &Self) {
        other.0.iter().for_each(|(&step, count)| *self.0.entry(step).or_default() += count);
    }

    /// How many lie in a higher step.
    #[must_use]
    pub fn n_above(&self, step: i32) -> u64 {
        self.0.range(step.saturating_add(1)..).map(|(_, count)| count).sum()
    }

    /// How many there are.
    #[must_use]
    pub fn n(&self) -> u64 {
        self.0.values().sum()
    }

    /// The step that holds the value of rank `ceil(q n)`; `None` when empty.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^53")]
    pub fn quantile(&self, q: f64) -> Option<i32> {
        let rank = (q * self.n() as f64).ceil().max(1.0);
        let mut seen = 0;
        let reaches = |(step, count): (&i32, &u64)| {
            seen += count;
            (seen as f64 >= rank).then_some(*step)
        };
        self.0.iter().find_map(reaches)
    }
}

/// Steps as places: from the lowest that there could be on.
impl Seal for Magnitudes {
    fn seal(&self, out: &mut Writer) {
        let place = |step: i32| u64::from(step.abs_diff(i32::MIN));
        out.pairs(self.0.len(), self.0.iter().map(|(&step, &count)| (place(step), count)));
    }

    fn add_sealed(&mut self, from: &mut Reader<'_>) {
        from.pairs(|place, count| {
            let step = i32::MIN.wrapping_add_unsigned(u32::try_from(place).expect("a step"));
            *self.0.entry(step).or_default() += count;
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_moves_every_magnitude_by_at_most_its_steps() {
        let shift = steps_of_ratio(1.05);
        assert_eq!(shift, 5);
        for i in 0..5000 {
            let magnitude = 1e-6 * 1.007_f64.powi(i);
            let moved = step(magnitude * 1.05) - step(magnitude);
            assert!((4..=shift).contains(&moved), "{magnitude} moves by {moved}");
        }
    }

    #[test]
    fn ranks_and_exceedances_agree() {
        let mut magnitudes = Magnitudes::default();
        (0..100).for_each(|i| magnitudes.update(2.0_f64.powi(i)));
        let median = magnitudes.quantile(0.5).expect("values");
        assert_eq!((magnitudes.n(), magnitudes.n_above(median)), (100, 50));
        assert_eq!(Magnitudes::default().quantile(0.5), None);
    }

    #[test]
    fn nothing_and_everything_have_a_step() {
        assert_eq!((step(0.0), step(f64::INFINITY)), (-2560, 3840));
    }
}
