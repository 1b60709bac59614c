//! One column: what it is like on both sides, how far it moved, and how sure that is.

use super::apart;
use super::count::{ColumnCounts, NAMES_MAX, Tallies};
use super::distribution;
use super::known;
use super::layout::ComparedColumn;
use super::model::{ColumnReport, Figure, KsEffect, PeriodPsi, PsiEffect, Shape, Stand};
use super::moved::{self, KS_TOLERATED, Moved};
use crate::infer::calibrator::log_e_of_p;
use crate::infer::ks_tolerance::KsTest;
use crate::infer::psi_tolerance::PsiTest;
use crate::metric::ks::is_one_number;
use crate::metric::paired::{BinningRule, Paired};
use crate::metric::{Context, METRICS, MetricResult, Quantiles, Reads, Side, Value};
use crate::output::text::share;
use crate::plan::{ColumnRole, Compat};

/// Share of false names among those named.
pub(crate) const FALSE_DISCOVERIES: f64 = 0.05;
/// Intervals miss the truth this often.
pub(crate) const ALPHA: f64 = 0.1;
/// Bins of numeric columns.
pub(crate) const BINS: u16 = 10;
/// Fewer values than this on either side say nothing.
pub(crate) const N_MIN: u64 = 30;
/// Texts of which more than this share are different are no categories.
const DISTINCT_MAX: f64 = 0.5;

/// A column with what was counted of it.
pub(crate) struct CountedColumn<'a> {
    pub(crate) watched: &'a ComparedColumn,
    pub(crate) counted: &'a ColumnCounts,
}

/// Which part of the rows.
#[derive(Clone, Copy)]
pub(crate) enum Subset {
    All,
    /// Of the current side, against all of the reference.
    Period(usize),
    Segment(usize, usize),
}

impl CountedColumn<'_> {
    pub(crate) fn name(&self) -> &str {
        &self.watched.place.name
    }

    /// What metrics are handed.
    fn context<'a>(&'a self, compat: &'a [Compat]) -> Context<'a> {
        let (cut, known) = match self.counted {
            ColumnCounts::Numeric { column, .. } => (Some(&*column.cut), &[][..]),
            ColumnCounts::Categorical { column, .. } => (None, column.known.as_slice()),
        };
        Context { cut, known, window: 0, bins: BINS, quantiles: Quantiles::Reference, compat, quality: None }
    }

    /// Reference and current side of a part.
    pub(crate) fn sides(&self, part: Subset) -> [Side<'_>; 2] {
        match self.counted {
            ColumnCounts::Numeric { sides, .. } => pick(sides, part).map(Side::Numeric),
            ColumnCounts::Categorical { sides, .. } => pick(sides, part).map(Side::Categorical),
        }
    }

    /// Rows of the reference and the current side.
    pub(crate) fn rows(&self) -> [u64; 2] {
        self.sides(Subset::All).map(|side| missing(side).1)
    }

    /// Values that are there, on both sides.
    pub(crate) fn n(&self, part: Subset) -> [u64; 2] {
        self.sides(part).map(Side::n)
    }

    /// Why the column cannot be tested, if it cannot.
    pub(crate) fn untested(&self) -> Option<String> {
        let [m, n] = self.n(Subset::All);
        let [absent_m, absent_n] = self.watched.place.at.map(|at| at.is_none());
        if absent_m || absent_n {
            let where_not = if absent_m { "reference" } else { "current file" };
            return Some(format!("the {where_not} has no such column"));
        }
        if m == 0 || n == 0 {
            let nothing = match (m, n) {
                (0, 0) => "no value on either side",
                (0, _) => "no value in the reference",
                _ => "no value in the current file",
            };
            let odd = if let ColumnCounts::Numeric { mistyped, .. } = self.counted { mistyped.iter().sum() } else { 0 };
            return Some(if odd > 0 { format!("{nothing} is a number") } else { nothing.to_owned() });
        }
        if let ColumnCounts::Categorical { distinct, .. } = self.counted {
            if *distinct > NAMES_MAX {
                return Some(format!("text with more than {NAMES_MAX} distinct values"));
            }
            if *distinct > 20 && share(*distinct as u64, m) > DISTINCT_MAX {
                return Some(format!("text of which {distinct} of {m} values are distinct"));
            }
        }
        if m < N_MIN || n < N_MIN {
            return Some(format!("too few values: {m} and {n}, at least {N_MIN} are needed"));
        }
        if self.is_constant() {
            return Some("the same value in every row of both files".to_owned());
        }
        self.moved().is_none().then(|| "all values of both files are in one and the same bin".to_owned())
    }

    fn is_constant(&self) -> bool {
        match self.sides(Subset::All) {
            [Side::Numeric(a), Side::Numeric(b)] => {
                let is_one = |value: Option<f64>| value.map(f64::to_bits);
                is_one(a.min) == is_one(b.max) && is_one(a.max) == is_one(b.min) && is_one(a.min) == is_one(a.max)
            }
            [Side::Categorical(a), Side::Categorical(b)] => a.known.len() <= 1 && b.n_unseen() == 0,
            _ => false,
        }
    }

    /// Counts of a part of the rows over deciles of the reference, or over categories: reference, then current.
    fn cells(&self, part: Subset) -> Option<[Vec<u64>; 2]> {
        let [reference, current] = self.sides(part);
        let cells = Paired::new(BinningRule::Quantiles, current, reference, &self.context(&[]))?;
        Some([whole(&cells.baseline), whole(&cells.current)])
    }

    /// The tolerance test of the index over a part of the rows.
    pub(crate) fn psi(&self, part: Subset) -> Option<PsiTest> {
        let [reference, current] = self.cells(part)?;
        moved::index(&reference, &current)
    }

    /// How far the column moved.
    pub(crate) fn moved(&self) -> Option<Moved> {
        match self.counted {
            ColumnCounts::Numeric { column, sides: [reference, current], .. } => {
                Moved::of_numbers(&column.cut, &reference.all, &current.all)
            }
            ColumnCounts::Categorical { .. } => {
                let [reference, current] = self.cells(Subset::All)?;
                Moved::of_cells(&reference, &current)
            }
        }
    }

    /// The exact distance lies between these two.
    fn ks_bounds(&self) -> Option<(f64, f64)> {
        let ColumnCounts::Numeric { column, sides, .. } = self.counted else { return None };
        let edges = column.cut.edges.as_slice();
        let [reference, current] = sides;
        let test =
            KsTest::of(&reference.all.counts, &current.all.counts, KS_TOLERATED, 1.0, |bin| is_one_number(edges, bin))?;
        Some((test.low, test.high))
    }

    /// Everything about a column that can be tested; whether it drifted is decided over all columns together.
    pub(crate) fn report(&self, moved: &Moved, compat: &[Compat]) -> ColumnReport {
        let [n_reference, n] = self.n(Subset::All);
        let [reference, current] = self.shapes();
        let (kind, distribution) = match self.counted {
            ColumnCounts::Numeric { column, sides, .. } => {
                ("numeric", distribution::numeric(column, [&sides[0].all, &sides[1].all]))
            }
            ColumnCounts::Categorical { column, sides, .. } => {
                ("categorical", distribution::categorical(column, [&sides[0].all, &sides[1].all]))
            }
        };
        let figures = self.figures(compat);
        let known = match self.counted {
            ColumnCounts::Numeric { of_rows: Some(of_rows), .. } => of_rows.tests.clone(),
            _ => known::of_figures(&figures),
        };
        ColumnReport {
            column: self.name().to_owned(),
            kind: kind.to_owned(),
            role: role_name(self.watched.numeric).to_owned(),
            verdict: if moved.is_beyond() { Stand::Unclear } else { Stand::Within },
            drifted: false,
            drifted_e: false,
            p_value: moved.p(),
            psi: effect(&moved.psi),
            ks: self.ks_bounds().zip(moved.ks.as_ref()).map(|((low, high), ks)| KsEffect {
                low,
                high,
                p_value: ks.p(),
            }),
            n,
            n_reference,
            reference,
            current,
            figures,
            tests: known,
            missing: known::rates_apart(self.sides(Subset::All).map(missing)),
            distribution,
            periods: self.periods(),
        }
    }

    fn periods(&self) -> Vec<PeriodPsi> {
        let n = match self.counted {
            ColumnCounts::Numeric { sides, .. } => sides[1].periods.len(),
            ColumnCounts::Categorical { sides, .. } => sides[1].periods.len(),
        };
        let point = |period: usize| {
            let [_, n] = self.n(Subset::Period(period));
            let test = self.psi(Subset::Period(period)).filter(|_| n >= N_MIN)?;
            let (low, high) = test.interval(ALPHA);
            Some(PeriodPsi { period, debiased: test.debiased(), low, high, n })
        };
        (0..n).filter_map(point).collect()
    }

    fn shapes(&self) -> [Shape; 2] {
        [0, 1].map(|side| match self.counted {
            ColumnCounts::Numeric { column, sides, infinite, of_rows, .. } => {
                let (all, grid) = (&sides[side].all, column.cut.grid);
                Shape {
                    rows: all.rows(),
                    missing: share(all.missing, all.rows()),
                    mean: all.mean(grid),
                    std_dev: all.std_dev(grid),
                    min: all.min,
                    max: all.max,
                    quantiles: of_rows.as_ref().map(|rows| rows.quantiles[side].clone()).unwrap_or_default(),
                    categories: None,
                    notes: apart::notes(column, all, infinite[side]),
                }
            }
            ColumnCounts::Categorical { column, sides, .. } => {
                let all = &sides[side].all;
                let known = all.known.iter().filter(|count| **count > 0).count();
                let rare = column.rare.as_ref().filter(|_| all.known.last().is_some_and(|count| *count > 0));
                let rare = if side == 0 { rare.map_or(0, |rare| rare.n().saturating_sub(1)) } else { 0 };
                Shape {
                    rows: all.rows(),
                    missing: share(all.missing, all.rows()),
                    mean: None,
                    std_dev: None,
                    min: None,
                    max: None,
                    quantiles: Vec::new(),
                    categories: Some((known + all.unseen.len()) as u64 + rare),
                    notes: Vec::new(),
                }
            }
        })
    }

    /// Every metric that reads a column.
    fn figures(&self, compat: &[Compat]) -> Vec<Figure> {
        let [reference, current] = self.sides(Subset::All);
        let context = self.context(compat);
        let reads = |reads: Reads| matches!(reads, Reads::Numeric | Reads::Categorical | Reads::Column);
        let mut figures = Vec::new();
        for metric in METRICS.iter().filter(|metric| reads(metric.spec().reads)) {
            let spec = metric.spec();
            let baseline = spec.needs_baseline.then_some(reference);
            let of_reference = if spec.needs_baseline { Vec::new() } else { metric.read(reference, None, &context) };
            let mut of_reference = of_reference.into_iter();
            figures.extend(metric.read(current, baseline, &context).into_iter().map(|reading| {
                let other = of_reference.next().and_then(|reading| number(reading.value));
                Figure { n_reference: reference.n(), ..figure(spec, reading, other) }
            }));
        }
        figures
    }
}

/// Missing values of a side, and its rows.
fn missing(side: Side<'_>) -> (u64, u64) {
    match side {
        Side::Numeric(side) => (side.missing, side.rows()),
        Side::Categorical(side) => (side.missing, side.rows()),
        _ => (0, 0),
    }
}

fn pick<T>(sides: &[Tallies<T>; 2], part: Subset) -> [&T; 2] {
    let [reference, current] = sides;
    match part {
        Subset::All => [&reference.all, &current.all],
        Subset::Period(at) => [&reference.all, &current.periods[at]],
        Subset::Segment(field, at) => [&reference.segments[field][at], &current.segments[field][at]],
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "these were counts")]
fn whole(counts: &[f64]) -> Vec<u64> {
    counts.iter().map(|&count| count as u64).collect()
}

/// A test as an effect.
pub(crate) fn effect(test: &PsiTest) -> PsiEffect {
    // What is shown is the index less what chance adds; where that is cut at 0 it may lie just outside the interval.
    let (debiased, (low, high)) = (test.debiased(), test.interval(ALPHA));
    let (low, high, p_value) = (low.min(debiased), high.max(debiased), test.p());
    PsiEffect {
        value: test.psi,
        debiased,
        low,
        high: high.max(test.psi),
        tolerated: test.tau,
        p_value,
        log10_e: log_e_of_p(p_value) / std::f64::consts::LN_10,
    }
}

/// The number of a value, if it has one.
pub(crate) fn number(value: Value) -> Option<f64> {
    if let Value::Number(number) = value { Some(number) } else { None }
}

/// A reading as it stands in a report.
pub(crate) fn figure(spec: &crate::metric::Spec, reading: MetricResult, reference: Option<f64>) -> Figure {
    Figure {
        metric: spec.name.to_owned(),
        convention: reading.convention,
        unit: spec.unit.to_owned(),
        value: number(reading.value),
        reference,
        low: reading.bounds.map(|bounds| bounds.0),
        high: reading.bounds.map(|bounds| bounds.1),
        p_value: reading.p_value,
        n: reading.n,
        n_reference: reading.n_baseline,
        bins: reading.bins,
    }
}

fn role_name(role: Option<ColumnRole>) -> &'static str {
    match role {
        Some(ColumnRole::Score) => "score",
        Some(ColumnRole::Latency) => "latency",
        Some(ColumnRole::Measure) => "measure",
        Some(ColumnRole::Feature) | None => "feature",
    }
}
