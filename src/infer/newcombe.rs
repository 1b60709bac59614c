//! An interval for the difference of two rates that never leaves [-1, 1] and holds with few events, too.
//!
//! With `(l, u)` Wilson's interval of each rate, `d = p_c - p_b` lies between
//! `d - sqrt((p_c - l_c)^2 + (u_b - p_b)^2)` and `d + sqrt((u_c - p_c)^2 + (p_b - l_b)^2)`.
//!
//! **Source**: Newcombe, Interval estimation for the difference between independent proportions: comparison of eleven
//! methods, Stat. Med. 17, 1998, method 10 (without a correction for continuity).
//! **Returns**: numbers in [-1, 1]; nothing with an empty side.
//! **Assumes**: independent events.
//! **Error**: misses the truth about as often as it says, from a few events on. **Cost**: constant.

use super::interval::{Interval, wilson};

/// The rate `x / n` less `x_baseline / n_baseline`, with its interval at level `1 - alpha`.
#[must_use]
pub fn newcombe((x, n): (u64, u64), (x_baseline, n_baseline): (u64, u64), alpha: f64) -> Option<Interval> {
    let (current, baseline) = (wilson(x, n, alpha)?, wilson(x_baseline, n_baseline, alpha)?);
    let value = current.value - baseline.value;
    let below = libm::hypot(current.value - current.low, baseline.high - baseline.value);
    let above = libm::hypot(current.high - current.value, baseline.value - baseline.low);
    Some(Interval { value, low: (value - below).max(-1.0), high: (value + above).min(1.0) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::world::Rng;

    #[test]
    fn the_examples_of_the_paper() {
        // Newcombe 1998, table II, contrasts (a), (c), (g) and (h), method 10.
        for (current, baseline, low, high) in [
            ((56, 70), (48, 80), 0.0524, 0.3339),
            ((9, 10), (3, 10), 0.1705, 0.8090),
            ((5, 56), (0, 29), -0.0381, 0.1926),
            ((0, 10), (0, 20), -0.1611, 0.2775),
            ((10, 10), (0, 20), 0.6791, 1.0),
        ] {
            let found = newcombe(current, baseline, 0.05).expect("events on both sides");
            assert!((found.low - low).abs() < 6e-5 && (found.high - high).abs() < 6e-5, "{current:?}: {found:?}");
        }
    }

    #[test]
    fn it_mirrors_stays_in_range_and_covers() {
        let mut rng = Rng::new(8);
        let (mut missed, rounds) = (0_u32, 4000);
        for _ in 0..rounds {
            let (n, n_baseline) = (5 + rng.below(60), 5 + rng.below(60));
            let (p, p_baseline) = (rng.unit(), rng.unit());
            let (x, x_baseline) = (rng.binomial(n, p), rng.binomial(n_baseline, p_baseline));
            let found = newcombe((x, n), (x_baseline, n_baseline), 0.1).expect("events on both sides");
            let back = newcombe((x_baseline, n_baseline), (x, n), 0.1).expect("events on both sides");
            assert!((found.low + back.high).abs() < 1e-12 && (found.value + back.value).abs() < 1e-12);
            assert!(-1.0 <= found.low && found.low <= found.value && found.value <= found.high && found.high <= 1.0);
            missed += u32::from(!(found.low..=found.high).contains(&(p - p_baseline)));
        }
        let share = f64::from(missed) / f64::from(rounds);
        assert!((0.07..0.125).contains(&share), "missed {share} of the time");
    }

    #[test]
    fn empty_sides_and_huge_counts() {
        assert_eq!(newcombe((0, 0), (1, 2), 0.05), None);
        let found = newcombe((1 << 60, 1 << 62), (1 << 60, 1 << 62), 0.05).expect("events on both sides");
        assert!(found.value.abs() < 1e-300 && found.high - found.low < 1e-8, "{found:?}");
    }
}
