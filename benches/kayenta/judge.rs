//! Kayenta's default judge, rewritten from its description: a rank test of two series of points, its tolerance, and its
//! scores.
//!
//! The Hodges-Lehmann estimate of the shift and its 98 % interval (normal approximation, corrected for ties and
//! continuity) come from the Mann-Whitney test. A metric is *high* when the interval lies above a quarter of the
//! estimate's size. A canary run scores the share of its metrics that are not high; every run must reach 75, the last
//! one 95.
//!
//! **Source**: spinnaker/kayenta, kayenta-judge (`MannWhitneyClassifier`, `NetflixACAJudge`); thresholds of its
//! documentation.

/// Standard normal quantile of 99 %: half of what a 98 % interval leaves.
const Z: f64 = 2.326_347_874_040_841;
/// The part of the estimate that the interval must clear.
const TOLERANCE: f64 = 0.25;
/// Scores that every run and the last one must reach.
const MARGINAL: f64 = 75.0;
const PASS: f64 = 95.0;

/// Whether the experiment's points lie above the control's.
pub(crate) fn is_high(control: &[f64], experiment: &[f64]) -> bool {
    if control == experiment || control.is_empty() || experiment.is_empty() {
        return false;
    }
    let mut shifts: Vec<f64> = experiment.iter().flat_map(|e| control.iter().map(move |c| e - c)).collect();
    shifts.sort_by(f64::total_cmp);
    let estimate = median(&shifts);
    lower_end(control, experiment, &shifts) > TOLERANCE * estimate.abs()
}

fn median(sorted: &[f64]) -> f64 {
    f64::midpoint(sorted[(sorted.len() - 1) / 2], sorted[sorted.len() / 2])
}

/// The shift at which the rank statistic stands at its lower critical value: one of the pairs' shifts.
#[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "few points")]
fn lower_end(control: &[f64], experiment: &[f64], shifts: &[f64]) -> f64 {
    let (m, n) = (control.len() as f64, experiment.len() as f64);
    let all = m + n;
    let ties = ties(control, experiment) / (all * (all - 1.0));
    let deviation = (m * n / 12.0 * (all + 1.0 - ties)).max(0.0).sqrt();
    let rank = (m * n / 2.0 - Z * deviation - 0.5).max(0.0);
    shifts[(rank as usize).min(shifts.len() - 1)]
}

/// Sum of `t^3 - t` over groups of equal points.
fn ties(control: &[f64], experiment: &[f64]) -> f64 {
    let mut all: Vec<f64> = control.iter().chain(experiment).copied().collect();
    all.sort_by(f64::total_cmp);
    let sizes = all
        .chunk_by(|a, b| a.total_cmp(b).is_eq())
        .map(|group| f64::from(u32::try_from(group.len()).expect("few points")));
    sizes.map(|size| size * size * size - size).sum()
}

/// Whether a canary fails: `runs` of metrics, each told to be high or not.
pub(crate) fn fails(runs: &[Vec<bool>]) -> bool {
    let score = |metrics: &Vec<bool>| {
        let high = metrics.iter().filter(|high| **high).count();
        100.0
            * (1.0
                - f64::from(u32::try_from(high).expect("few")) / f64::from(u32::try_from(metrics.len()).expect("few")))
    };
    runs.iter().any(|run| score(run) < MARGINAL) || runs.last().is_some_and(|last| score(last) < PASS)
}
