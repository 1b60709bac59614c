//! Answers, latencies and labels of both sides as figures of a report.

use super::answers::Answers;
use super::classes;
use super::column::{ALPHA, BINS, figure, number};
use super::count::ColumnCounts;
use super::known;
use super::model::{CurvePoint, Estimate, Figure, LatencyFigure, Period, QualityReport, Rate, Timeline};
use super::rows::Rows;
use crate::event::Micros;
use crate::infer::interval::{self, Interval};
use crate::infer::reliability::{Bin, log_e_calibration};
use crate::metric::{Context, METRICS, Reads, Side};
use crate::output::text::share;
use crate::plan::{QualityPlan, Task};
use crate::summary::quality::ReliabilityBin;
use crate::summary::{Latency, Quality, Rates};

/// Shares of requests, with Wilson's intervals, and Newcombe's of their difference.
pub(super) fn rates(answers: &[Option<Answers>; 2]) -> Vec<Rate> {
    type Of = fn(&Rates) -> (u64, u64);
    let all: [(&str, Of); 3] = [
        ("error_rate", |rates| (rates.errors, rates.requests)),
        ("rejected_rate", |rates| (rates.rejected, rates.requests)),
        ("positive_rate", |rates| (rates.positive, rates.predicted)),
    ];
    if answers.iter().all(Option::is_none) {
        return Vec::new();
    }
    let of_answers = |(metric, of): (&str, Of)| {
        rate(metric, [0, 1].map(|side| answers[side].as_ref().map_or((0, 0), |answers| of(&answers.rates))))
    };
    all.into_iter().map(of_answers).filter(|rate| rate.n + rate.n_reference > 0).collect()
}

/// A share of each side: how many of how many.
pub(super) fn rate(metric: &str, counts: [(u64, u64); 2]) -> Rate {
    let [reference, current] = counts.map(|(x, n)| interval::wilson(x, n, ALPHA).map(estimate));
    let apart = known::rates_apart(counts);
    Rate { metric: metric.to_owned(), reference, current, apart, n_reference: counts[0].1, n: counts[1].1 }
}

fn estimate(interval: Interval) -> Estimate {
    Estimate { value: interval.value, low: interval.low, high: interval.high }
}

/// Latency quantiles and the mean.
pub(super) fn latencies(counted: &[ColumnCounts]) -> Vec<LatencyFigure> {
    let of = counted.iter().find_map(|counted| match counted {
        ColumnCounts::Numeric { latency: Some(latency), .. } => Some(latency),
        _ => None,
    });
    let Some(sides) = of.filter(|sides| sides.iter().all(|side| side.n() > 0)) else { return Vec::new() };
    let quantiles = [0.5, 0.9, 0.95, 0.99, 0.999];
    let names = ["latency_p50", "latency_p90", "latency_p95", "latency_p99", "latency_p999"];
    let quantile = |(q, name): (f64, &str)| {
        let at = |side: &Latency| interval::quantile(side.n(), q, 1.0, ALPHA, |q| side.quantile_ms(q));
        let ratio = at(&sides[1]).zip(at(&sides[0])).filter(|(_, b)| b.low > 0.0).map(|(a, b)| estimate(a.ratio(b)));
        latency_figure(name, sides, ratio, |side| side.quantile_ms(q))
    };
    let mean = latency_figure("latency_mean", sides, None, Latency::mean_ms);
    quantiles.into_iter().zip(names).map(quantile).chain([mean]).collect()
}

fn latency_figure(
    metric: &str,
    sides: &[Latency; 2],
    ratio: Option<Estimate>,
    of: impl Fn(&Latency) -> Option<f64>,
) -> LatencyFigure {
    LatencyFigure {
        metric: metric.to_owned(),
        reference: of(&sides[0]),
        current: of(&sides[1]),
        ratio,
        n_reference: sides[0].n(),
        n: sides[1].n(),
    }
}

/// Predictions against the truth; nothing when no prediction of the current side has a label.
pub(super) fn quality(plan: &QualityPlan, answers: &[Option<Answers>; 2]) -> Option<QualityReport> {
    let empty = Quality::new(plan);
    let side = |side: usize| answers[side].as_ref().and_then(|answers| answers.quality.as_ref()).unwrap_or(&empty);
    let (reference, current) = (side(0), side(1));
    if current.n == 0 && reference.n == 0 {
        return None;
    }
    let context = Context { bins: BINS, quality: Some(plan), ..Context::ALONE };
    let reads = |reads: Reads| matches!(reads, Reads::Binary | Reads::Classification | Reads::Regression);
    let mut figures = Vec::new();
    for metric in METRICS.iter().filter(|metric| reads(metric.spec().reads)) {
        let before = metric.read(Side::Quality(reference), None, &context);
        let after = metric.read(Side::Quality(current), None, &context);
        figures.extend(before.into_iter().zip(after).map(|(before, after)| {
            let n_reference = before.n;
            Figure { n_reference, ..figure(metric.spec(), after, number(before.value)) }
        }));
    }
    let coverage = |side: usize, n: u64| {
        let scored = answers[side].as_ref().map_or(0, |answers| answers.rates.scored);
        (scored > 0).then(|| share(n, scored))
    };
    let bins: Vec<Bin> = current.width.last().map(|bins| bins.iter().map(bin).collect()).unwrap_or_default();
    let log_e = (!bins.is_empty() && current.n > 0).then(|| log_e_calibration(&bins) / std::f64::consts::LN_10);
    Some(QualityReport {
        task: task_name(plan.task).to_owned(),
        n: (reference.n, current.n),
        coverage: (coverage(0, reference.n), coverage(1, current.n)),
        figures,
        classes: classes::rates([reference, current]),
        reference_curve: curve(reference),
        current_curve: curve(current),
        log10_e_miscalibrated: log_e,
    })
}

fn task_name(task: Task) -> &'static str {
    match task {
        Task::Binary => "binary",
        Task::Multiclass => "multiclass",
        Task::Regression => "regression",
    }
}

fn bin(bin: &ReliabilityBin) -> Bin {
    Bin { n: bin.n, predicted: bin.score.value(), positive: bin.positive }
}

/// The reliability curve over bins of equal width.
fn curve(quality: &Quality) -> Vec<CurvePoint> {
    let bins = quality.width.first().map(Vec::as_slice).unwrap_or_default();
    let point = |bin: &ReliabilityBin| {
        let interval = interval::wilson(bin.positive, bin.n, ALPHA)?;
        #[expect(clippy::cast_precision_loss, reason = "counts far below 2^53")]
        let score = bin.score.value() / bin.n as f64;
        Some(CurvePoint { score, observed: interval.value, low: interval.low, high: interval.high, n: bin.n })
    };
    bins.iter().filter_map(point).collect()
}

/// The current file over periods: start, length and number of them.
pub(super) fn timeline(
    (start, length, n): (Micros, Micros, usize),
    rows: &Rows,
    answers: Option<&Answers>,
) -> Timeline {
    let nothing = (Rates::default(), None);
    let counts = rows.by_period(n);
    let period = |at: usize| {
        let (rates, quality) = answers.and_then(|answers| answers.periods.get(at)).unwrap_or(&nothing);
        let labelled = quality.as_ref().map_or(0, |quality| quality.n);
        let quality = quality.as_ref().filter(|quality| quality.n > 0);
        #[expect(clippy::cast_precision_loss, reason = "counts far below 2^53")]
        let mean = |sum: f64| sum / labelled as f64;
        Period {
            start: start + i64::try_from(at).unwrap_or_default() * length,
            n: counts[at],
            error_rate: (rates.requests > 0).then(|| share(rates.errors, rates.requests)),
            labelled,
            mean_score: quality.map(|quality| mean(quality.score.value())),
            mean_label: quality.map(|quality| mean(quality.score.value() - quality.signed.value())),
        }
    };
    Timeline { start, length, periods: (0..n).map(period).collect() }
}
