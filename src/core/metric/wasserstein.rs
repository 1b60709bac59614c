//! Wasserstein distance: how far rows have to be moved, on average, to turn one side into the other.
//!
//! `W = integral over x of |F(x) - G(x)| dx`, with both distribution functions straight inside each fine bin and each
//! side's smallest and largest value as the ends of its outermost bins.
//!
//! **Source**: Vallender, Calculation of the Wasserstein distance between probability distributions on the line, 1974.
//! **Reads**: a numeric column, all fine bins.
//! **Returns**: the column's unit, 0 up, up is worse; once raw and once in standard deviations of the baseline (not
//! defined when that is constant).
//! **Assumes**: nothing.
//! **Error**: within the bounds, which hold for any distribution inside the bins: per bin, its width times the smallest
//! and the largest gap that the counts allow.
//! **Cost**: one pass over the fine bins of both sides.

use crate::metric::contrast::HistogramContrast;
use crate::metric::line::Line;
use crate::metric::reading::FormulaResult;
use crate::metric::spec::{COLUMN_UNIT, Reads, Spec, UPWARDS};
use crate::metric::std_dev::std_dev;
use crate::plan::Compat;
use crate::summary::Histogram;
use crate::summary::histogram::Cut;

/// See the head of this file.
pub(super) static WASSERSTEIN: HistogramContrast = HistogramContrast {
    spec: Spec {
        name: "wasserstein",
        help: "Wasserstein distance: the mean distance that rows moved.",
        reads: Reads::Numeric,
        unit: COLUMN_UNIT,
        range: UPWARDS,
        formula: "integral |F(x) - G(x)| dx",
        source: "Vallender 1974",
        ..Spec::DISTANCE
    },
    variants: &[
        (None, "fine_bins", |current, baseline, cut| in_units_of(Some(1.0), current, baseline, cut)),
        (None, "fine_bins,per_sd_of_baseline", |current, baseline, cut| {
            in_units_of(std_dev(baseline, cut).filter(|&sd| sd > 0.0), current, baseline, cut)
        }),
        (Some(Compat::Evidently), "fine_bins,per_population_sd_at_least_0.001,evidently", |current, baseline, cut| {
            in_units_of(population_sd(baseline, cut).map(|sd| sd.max(0.001)), current, baseline, cut)
        }),
    ],
};

fn in_units_of(unit: Option<f64>, current: &Histogram, baseline: &Histogram, cut: &Cut) -> FormulaResult {
    let (Some(unit), Some(area)) = (unit, area(current, baseline, cut)) else { return None.into() };
    // Rounding may put the straight lines beside what is possible.
    let straight = area.straight.max(area.low).min(area.high);
    FormulaResult::from(straight / unit).within(area.low / unit, area.high / unit)
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^53")]
fn population_sd(histogram: &Histogram, cut: &Cut) -> Option<f64> {
    let n = histogram.n() as f64;
    if n < 2.0 { Some(0.0) } else { std_dev(histogram, cut).map(|sd| sd * ((n - 1.0) / n).sqrt()) }
}

/// The area between two distribution functions, and what it is at least and at most.
#[derive(Debug, Clone, Copy, Default)]
struct Area {
    straight: f64,
    low: f64,
    high: f64,
}

impl Area {
    fn add(&mut self, width: f64, chords: [(f64, f64); 2], envelopes: [(f64, f64); 2]) {
        let [(f_from, f_to), (g_from, g_to)] = chords;
        self.straight += width * mean_abs(f_from - g_from, f_to - g_to);
        let [(f_low, f_high), (g_low, g_high)] = envelopes;
        let (above, below) = (f_high - g_low, g_high - f_low);
        self.high += width * above.max(below);
        self.low += width * (-above.min(below)).max(0.0);
    }
}

/// The area between the functions; `None` when a side is empty.
fn area(current: &Histogram, baseline: &Histogram, cut: &Cut) -> Option<Area> {
    let sides = Line::all(cut, [current, baseline])?;
    let mut knots: Vec<f64> = sides.iter().flat_map(Line::knots).collect();
    knots.sort_by(f64::total_cmp);
    knots.dedup();
    let mut area = Area::default();
    for span in knots.windows(2) {
        let (from, to) = (span[0], span[1]);
        let bin = sides[0].bin(to);
        area.add(
            to - from,
            sides.each_ref().map(|side| side.chord(bin, from, to)),
            sides.each_ref().map(|side| side.envelope(bin, from, to)),
        );
    }
    Some(area)
}

/// Mean of `|x|` on the straight line from `a` to `b`.
fn mean_abs(a: f64, b: f64) -> f64 {
    if a * b >= 0.0 { f64::midpoint(a.abs(), b.abs()) } else { (a * a + b * b) / (2.0 * (a.abs() + b.abs())) }
}
