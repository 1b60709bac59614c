//! Recalibration: the straight line on the logit scale that would make the scores right.
//!
//! `logit P(y = 1) = intercept + slope * logit(s)`, fitted by maximum likelihood. Slope below 1 = overconfident, above
//! 1 = too timid; intercept above 0 = too low. Perfect scores give 1 and 0.
//!
//! **Source**: Cox, Two further applications of a model for binary regression, Biometrika 45, 1958; Miller, Hui and
//! Tierney, Validation techniques for logistic regression models, Stat. Med. 10, 1991.
//! **Reads**: labelled predictions of a classification task, fine bins of the score; each bin's mean score stands for
//! its rows, held within `[1e-12, 1 - 1e-12]`.
//! **Returns**: slope, down is worse; intercept, away from 0 is worse. Not defined with one class, one score, or
//! classes that a score separates.
//! **Assumes**: 21 labels, independent.
//! **Error**: as far as scores in one fine bin differ; exact when they do not.
//! **Cost**: some ten Newton steps over the filled fine bins.

use crate::metric::one_sided::{OneSided, mean};
use crate::metric::spec::{LINE, MetricSubject, Spec, Visibility, WorseDirection};
use crate::plan::QualityPlan;
use crate::summary::quality::ReliabilityBin;
use crate::summary::{Quality, Refined};

const FIT: Spec =
    Spec { subject: MetricSubject::Calibration, range: LINE, n_min: 21, source: "Cox 1958", ..Spec::CALIBRATION };
const FIT_FORMULA: &str = "logit P(y = 1) = intercept + slope logit(s), maximum likelihood";

/// The slope.
pub(super) static SLOPE: OneSided<Quality> = OneSided {
    spec: Spec {
        name: "calibration_slope",
        help: "Slope of the logistic recalibration; below 1 the scores are overconfident.",
        worse: WorseDirection::Down,
        formula: FIT_FORMULA,
        shown: &[Visibility::Figures],
        ..FIT
    },
    convention: "fine_bins",
    n: |quality| quality.n,
    of: |quality, context| fit(quality, context.quality).map(|line| line.slope).into(),
};

/// The intercept.
pub(super) static INTERCEPT: OneSided<Quality> = OneSided {
    spec: Spec {
        name: "calibration_intercept",
        help: "Intercept of the logistic recalibration; above 0 the scores are too low.",
        worse: WorseDirection::Away,
        formula: FIT_FORMULA,
        ..FIT
    },
    convention: "fine_bins",
    n: |quality| quality.n,
    of: |quality, context| fit(quality, context.quality).map(|line| line.intercept).into(),
};

/// Scores are held this far from 0 and 1, where their logit would be infinite.
const SCORE_CLIP: f64 = 1e-12;
/// Newton either converges in a handful of steps or, on separable classes, never.
const STEPS_MAX: u32 = 50;
/// A step this small is the last.
const STEP_MIN: f64 = 1e-10;

/// Rows of one bin: logit of the mean score, rows, positive rows.
#[derive(Debug, Clone, Copy)]
struct LogitPoint {
    x: f64,
    n: f64,
    positive: f64,
}

/// The fitted line.
#[derive(Debug, Clone, Copy, PartialEq)]
struct FittedLine {
    intercept: f64,
    slope: f64,
}

fn fit(quality: &Quality, plan: Option<&QualityPlan>) -> Option<FittedLine> {
    if quality.positive == 0 || quality.positive == quality.n {
        return None;
    }
    let Refined { counts: [bins], .. } = Refined::of_labels(plan?, quality);
    let points: Vec<LogitPoint> = bins.iter().filter(|bin| bin.n > 0).map(point).collect();
    let mut line = FittedLine { intercept: 0.0, slope: 1.0 };
    for _ in 0..STEPS_MAX {
        let step = shortened(&points, line, newton_step(&points, line)?)?;
        line = line.moved(step);
        if step.intercept.abs().max(step.slope.abs()) < STEP_MIN {
            return Some(line);
        }
    }
    None
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^53")]
fn point(bin: &ReliabilityBin) -> LogitPoint {
    let score = mean(bin.score.value(), bin.n).clamp(SCORE_CLIP, 1.0 - SCORE_CLIP);
    LogitPoint { x: libm::log(score / (1.0 - score)), n: bin.n as f64, positive: bin.positive as f64 }
}

impl FittedLine {
    fn moved(self, step: Self) -> Self {
        Self { intercept: self.intercept + step.intercept, slope: self.slope + step.slope }
    }

    fn at(self, x: f64) -> f64 {
        self.intercept + self.slope * x
    }

    fn scaled(self, share: f64) -> Self {
        Self { intercept: self.intercept * share, slope: self.slope * share }
    }
}

/// Solves the two equations of Newton's step; `None` when all points share one score.
fn newton_step(points: &[LogitPoint], line: FittedLine) -> Option<FittedLine> {
    let (mut g0, mut g1, mut h00, mut h01, mut h11) = (0.0, 0.0, 0.0, 0.0, 0.0);
    for point in points {
        let p = 1.0 / (1.0 + libm::exp(-line.at(point.x)));
        let (gap, weight) = (point.positive - point.n * p, point.n * p * (1.0 - p));
        g0 += gap;
        g1 += gap * point.x;
        h00 += weight;
        h01 += weight * point.x;
        h11 += weight * point.x * point.x;
    }
    let determinant = h00 * h11 - h01 * h01;
    let step =
        FittedLine { intercept: (h11 * g0 - h01 * g1) / determinant, slope: (h00 * g1 - h01 * g0) / determinant };
    (determinant > 1e-12 * h00 * h11).then_some(step)
}

/// The step, halved until it does not lower the likelihood; `None` when no such step is found.
fn shortened(points: &[LogitPoint], line: FittedLine, step: FittedLine) -> Option<FittedLine> {
    let now = log_likelihood(points, line);
    // Close to the top the likelihood is flat to the last bits.
    let slack = 1e-12 * now.abs();
    let mut steps = (0..30).map(|halvings| step.scaled(libm::scalbn(1.0, -halvings)));
    steps.find(|&step| log_likelihood(points, line.moved(step)) >= now - slack)
}

fn log_likelihood(points: &[LogitPoint], line: FittedLine) -> f64 {
    let of_point = |point: &LogitPoint| {
        let eta = line.at(point.x);
        // ln(1 + e^eta), without overflow.
        let softplus = eta.max(0.0) + libm::log1p(libm::exp(-eta.abs()));
        point.positive * eta - point.n * softplus
    };
    points.iter().map(of_point).sum()
}
