//! Bets on pairs: an e-value for "over the same requests one version's loss is at most a margin times the other's".
//!
//! With `f = loss - margin * other loss` of one request, and a stake `k > 0` that is chosen before the window,
//! `ln e = sum of ln(1 + k f)`. As `E[f] <= 0` under the null, `E[e] <= 1`, whatever losses are like and however they
//! hang together. The best stake for a mean `d` is about `d / (E[f^2] + d)`.
//!
//! What makes a request hard is in both losses, so `f` varies less than the losses do: with a correlation `r` about
//! `1 - r` of the requests are enough that two independent samples would take. With losses of 0 and 1 and a margin of 1
//! it is `McNemar`'s test as a bet.
//!
//! **Source**: Choe and Ramdas, Comparing sequential forecasters, Oper. Res. 72(4), 2024; `McNemar`, Psychometrika 12,
//! 1947. **Assumes**: that the label does not depend on whose answer was used. **Cost**: a logarithm for each edge.

use super::balanced::{ValueBin, log_wealth};

/// The most of its stake that a bet may lose to one request.
/// Origin: choice; as in `infer::balanced`.
const LOSES_MAX: f64 = 0.5;

/// What is predicted of `f`, and what is bet on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PairedBet {
    /// Whether means above 0 are bet on; otherwise those below.
    pub above: bool,
    /// How far away from 0 the mean is.
    pub gap: f64,
    /// The mean of the squares.
    pub square: f64,
    /// The least and the most that `f` can be.
    pub range: (f64, f64),
}

impl PairedBet {
    /// Log e-value of one window; 0 for a bet that is not outside of the null.
    #[must_use]
    pub fn log_e(self, bins: &[ValueBin]) -> f64 {
        let Self { above, gap, square, range: (low, high) } = self;
        if gap <= 0.0 {
            return 0.0;
        }
        let loses = if above { -low } else { high };
        let stake = (gap / (square + gap)).min(LOSES_MAX / loses);
        log_wealth(bins, if above { stake } else { -stake }, 0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::world::Rng;

    fn point(value: f64, n: u64) -> ValueBin {
        #[expect(clippy::cast_precision_loss, reason = "few")]
        let sum = value * n as f64;
        ValueBin { low: value, high: value, n, sum }
    }

    /// The mean of `e` for one request is at most 1 on the edge of the null, for any law on the four outcomes.
    #[test]
    fn on_the_edge_nothing_is_won_on_average() {
        for seed in 0..2_000 {
            let rng = &mut Rng::new(seed);
            let margin = 1.0 + 0.3 * rng.unit();
            let values = [1.0 - margin, 1.0, -margin, 0.0];
            let mut masses = [(); 4].map(|()| rng.unit());
            // So much of this version's own errors that the mean is 0.
            masses[1] = (margin - 1.0).mul_add(masses[0], margin * masses[2]);
            let total: f64 = masses.iter().sum();
            for above in [true, false] {
                let (gap, square, range) = (rng.unit(), rng.unit(), (-margin, 1.0));
                let bet = PairedBet { above, gap, square, range };
                let mean: f64 = (0..4).map(|k| masses[k] / total * bet.log_e(&[point(values[k], 1)]).exp()).sum();
                assert!((mean - 1.0).abs() < 1e-9, "seed {seed}: {mean}");
            }
        }
    }

    #[test]
    fn without_a_margin_it_counts_those_that_differ_alone() {
        let bet = PairedBet { above: true, gap: 0.1, square: 0.2, range: (-1.0, 1.0) };
        let won = |n: [u64; 4]| bet.log_e(&[point(0.0, n[0]), point(1.0, n[1]), point(-1.0, n[2]), point(0.0, n[3])]);
        let stake: f64 = 0.1 / 0.3;
        assert!((won([90, 7, 2, 1]) - (7.0 * stake.ln_1p() + 2.0 * (-stake).ln_1p())).abs() < 1e-12);
        assert!((won([90, 7, 2, 1]) - won([0, 7, 2, 500])).abs() < 1e-12);
        assert!(PairedBet { gap: 0.0, ..bet }.log_e(&[point(1.0, 50)]).abs() < 1e-300);
    }
}
