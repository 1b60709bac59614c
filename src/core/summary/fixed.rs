//! A sum of bounded losses that does not depend on order.

use serde::{Deserialize, Serialize};

use crate::summary::seal::{Reader, Seal, Writer};

/// A sum in units of 2^-60: exact integer addition, rounding only once per term.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Fixed(i128);

/// 2^60.
const SCALE: f64 = 1_152_921_504_606_846_976.0;

impl Fixed {
    /// Adds one finite term below 2^67; larger ones are held at that bound.
    #[expect(clippy::cast_possible_truncation, reason = "a float-to-integer cast saturates")]
    pub fn add(&mut self, term: f64) {
        debug_assert!(term.is_finite(), "a sum takes finite terms");
        self.0 = self.0.saturating_add(libm::rint(term * SCALE) as i128);
    }

    /// Adds a term so many times.
    #[expect(clippy::cast_possible_truncation, reason = "a float-to-integer cast saturates")]
    pub fn add_times(&mut self, term: f64, times: u64) {
        let term = libm::rint(term * SCALE) as i128;
        self.0 = self.0.saturating_add(term.saturating_mul(i128::from(times)));
    }

    /// Adds another sum.
    pub fn merge(&mut self, other: Self) {
        self.0 = self.0.saturating_add(other.0);
    }

    /// The sum as a float.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "the sum is rounded once, here")]
    pub fn value(self) -> f64 {
        self.0 as f64 / SCALE
    }
}

impl Seal for Fixed {
    fn seal(&self, out: &mut Writer) {
        out.sum(self.0);
    }

    fn add_sealed(&mut self, from: &mut Reader<'_>) {
        self.merge(Self(from.sum()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_does_not_matter() {
        let terms = [0.1, 1e-9, 0.7, 3.25, 0.2];
        let (mut forward, mut backward) = (Fixed::default(), Fixed::default());
        terms.iter().for_each(|&term| forward.add(term));
        terms.iter().rev().for_each(|&term| backward.add(term));
        assert_eq!(forward, backward);
        let (mut one_by_one, mut at_once) = (Fixed::default(), Fixed::default());
        (0..7).for_each(|_| one_by_one.add(0.1));
        at_once.add_times(0.1, 7);
        assert_eq!(one_by_one, at_once);
        assert!((forward.value() - 4.250_000_001).abs() < 1e-15);
    }
}
