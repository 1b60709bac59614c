//! A sum of bounded losses that does not depend on order.

use serde::{Deserialize, Serialize};

use crate::summary::seal::{Reader, Seal, Writer};

/// A sum in units of 2^-60: exact integer addition, rounding only once per term.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Fixed(i128);

/// 2^60.
const SCALE: f64 = 1_152_921_504_606_846_976.0;
/// 2^127: what an `i128` just cannot hold.
const LIMIT: f64 = 170_141_183_460_469_231_731_687_303_715_884_105_728.0;
/// What a sum becomes that is no longer known, and stays.
const BEYOND: i128 = i128::MAX;

impl Fixed {
    /// Adds one term, which may be infinite. The sum is no longer known once a term or the sum leaves ± 2^67.
    pub fn add(&mut self, term: f64) {
        self.add_times(term, 1);
    }

    /// Adds a term so many times.
    pub fn add_times(&mut self, term: f64, times: u64) {
        debug_assert!(!term.is_nan(), "a sum takes numbers");
        self.merge(units(term).and_then(|units| units.checked_mul(i128::from(times))).map_or(Self(BEYOND), Self));
    }

    /// Adds another sum.
    pub fn merge(&mut self, other: Self) {
        let known = self.0 != BEYOND && other.0 != BEYOND;
        self.0 = self.0.checked_add(other.0).filter(|_| known).unwrap_or(BEYOND);
    }

    /// A term that nobody knows: neither is the sum from here on.
    pub fn forget(&mut self) {
        self.0 = BEYOND;
    }

    /// The sum as a float; not a number when it is no longer known.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "the sum is rounded once, here")]
    pub fn value(self) -> f64 {
        if self.0 == BEYOND { f64::NAN } else { self.0 as f64 / SCALE }
    }
}

/// A term in units of 2^-60; nothing for one that is too large on either side.
#[expect(clippy::cast_possible_truncation, reason = "checked to be in range")]
fn units(term: f64) -> Option<i128> {
    let units = libm::rint(term * SCALE);
    (units.abs() < LIMIT).then_some(units as i128)
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

    #[test]
    fn a_sum_out_of_range_is_not_known_in_any_order() {
        for terms in [[1e30, -1e30, 1.0], [-1e30, 1.0, 1e30], [1.0, 1e20, 1e20], [-1e20, -1e20, 3e20]] {
            let mut sum = Fixed::default();
            terms.iter().for_each(|&term| sum.add(term));
            assert!(sum.value().is_nan(), "{terms:?} come to {}", sum.value());
        }
        for term in [-1e30, 1e30, f64::INFINITY, f64::NEG_INFINITY] {
            let mut sum = Fixed::default();
            sum.add(term);
            assert!(sum.value().is_nan(), "{term} comes to {}", sum.value());
        }
        let mut often = Fixed::default();
        often.add_times(1e10, u64::MAX);
        assert!(often.value().is_nan());
        often.merge(Fixed::default());
        assert!(often.value().is_nan());
    }
}
