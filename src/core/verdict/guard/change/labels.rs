//! Labels of two versions: by how much the means of their errors and losses differ, in standard errors.
//!
//! Unlike counts, residuals of two healthy models need not have one distribution, so their means are compared in units
//! of their own standard errors: `e = exp(l z - l^2 / 2)` with `l` the alternative in the same units, an e-value as the
//! number of labels grows (asymptotic, in the sense of Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas, Ann. Stat. 52,
//! 2024).

use crate::plan::GuardPlan;
use crate::summary::Quality;
use crate::summary::quality::ReliabilityBin;
use crate::verdict::guard::change::reading::SensorReading;
use crate::verdict::guard::window::Pair;

/// Alternatives: differences beyond the tolerated one, in standard deviations of one prediction, on either side.
/// Origin: choice; from the least difference that a day of labels can show to half a deviation.
const DIFFERENCES: [f64; 3] = [0.1, 0.25, 0.5];
/// Number of alternatives.
/// Origin: derived; both sides of each.
pub(crate) const PARTS: usize = 2 * DIFFERENCES.len();

/// How far the mean of score minus label may be from the baseline's.
/// Origin: choice; a hundredth of a probability changes no decision.
pub(crate) const RESIDUAL_TOLERATED: f64 = 0.01;

/// Mean and variance of a quantity, and how many it was taken over.
#[derive(Debug, Clone, Copy)]
struct Mean {
    count: u64,
    n: f64,
    value: f64,
    variance: f64,
}

/// `ln e` that scores promise too much or too little, compared with the baseline version's.
pub(crate) fn residual(guard: &GuardPlan, pair: Pair<'_, Quality>) -> Option<SensorReading> {
    let of = |quality: &Quality| {
        let n = count(quality, guard)?;
        let mean = quality.signed.value() / n;
        Some(Mean { count: quality.n, n, value: mean, variance: (quality.squared.value() / n - mean * mean).max(0.0) })
    };
    two_sided(of(pair.candidate)?, of(pair.baseline)?, RESIDUAL_TOLERATED)
}

/// `ln e` that squared errors are larger (or, which is also worth knowing, smaller) than the baseline version's.
pub(crate) fn loss(guard: &GuardPlan, pair: Pair<'_, Quality>) -> Option<SensorReading> {
    let of = |quality: &Quality| {
        let n = count(quality, guard)?;
        let mean = quality.squared.value() / n;
        let fourth: f64 = quality.fine.iter().map(fourth_powers).sum();
        Some(Mean { count: quality.n, n, value: mean, variance: (fourth / n - mean * mean).max(0.0) })
    };
    let (candidate, baseline) = (of(pair.candidate)?, of(pair.baseline)?);
    two_sided(candidate, baseline, (guard.loss - 1.0) * baseline.value)
}

/// Sum of the fourth powers of the errors of one bin, with every score at the bin's mean.
fn fourth_powers(bin: &ReliabilityBin) -> f64 {
    if bin.n == 0 {
        return 0.0;
    }
    let (n, positive) = (float(bin.n), float(bin.positive));
    let score = bin.score.value() / n;
    positive * (1.0 - score).powi(4) + (n - positive) * score.powi(4)
}

fn count(quality: &Quality, guard: &GuardPlan) -> Option<f64> {
    (quality.n >= guard.n_min).then(|| float(quality.n))
}

fn two_sided(candidate: Mean, baseline: Mean, tolerated: f64) -> Option<SensorReading> {
    let variance = candidate.variance / candidate.n + baseline.variance / baseline.n;
    let pooled = (candidate.variance * candidate.n + baseline.variance * baseline.n) / (candidate.n + baseline.n);
    // A sum out of range is not a number.
    if variance.is_nan() || variance <= 0.0 {
        return None;
    }
    let error = variance.sqrt();
    let difference = candidate.value - baseline.value;
    let log_e = |side: f64, beyond: f64| {
        let (z, l) = ((side * difference - tolerated) / error, beyond * pooled.sqrt() / error);
        l * z - l * l / 2.0
    };
    let log_es = [1.0, -1.0].into_iter().flat_map(|side| DIFFERENCES.map(|beyond| log_e(side, beyond))).collect();
    Some(SensorReading { log_es, difference, n: (candidate.count, baseline.count), noise: 1.0 })
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^53")]
fn float(count: u64) -> f64 {
    count as f64
}
