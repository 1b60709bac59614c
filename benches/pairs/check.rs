//! What the engine says of a pair, held against what its rows give.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::Float64Array;
use haldane::baseline::cut;
use haldane::kernel::select::SelectedRows;
use haldane::metric::{Context, Side, Value, find};
use haldane::plan::{ColumnRole, NumericColumn};
use haldane::report::moved::{KS_TOLERATED, Moved};
use haldane::scan::traffic::count_numeric;
use haldane::summary::Histogram;
use haldane::summary::histogram::Cut;

use crate::draw::Pair;
use crate::exact;

/// Bins of columns in pipelines and reports.
const FINE_BINS: u16 = 1040;
/// Errors of counts and shares.
const EXACT: f64 = 1e-9;
/// Errors of moments: the grid tells one part in 65,536 of the smallest column apart, less its mean.
const MOMENT: f64 = 2e-5;
/// A distance that must be called drift, if there are so many rows.
const PLAIN: f64 = 0.5;
const PLAIN_ROWS: usize = 100;

/// What was said of pairs of a kind.
#[derive(Debug, Default)]
pub(crate) struct Told {
    pairs: u64,
    within: u64,
    beyond: u64,
    without_moments: u64,
    ks_width: f64,
}

impl Told {
    pub(crate) fn add(&mut self, other: &Self) {
        self.pairs += other.pairs;
        self.within += other.within;
        self.beyond += other.beyond;
        self.without_moments += other.without_moments;
        self.ks_width = self.ks_width.max(other.ks_width);
    }
}

pub(crate) fn print(all: &BTreeMap<String, Told>) {
    println!("{:<34} {:>8} {:>8} {:>8} {:>11} {:>10}", "kind", "pairs", "within", "beyond", "no moments", "KS width");
    for (kind, told) in all {
        let Told { pairs, within, beyond, without_moments, ks_width } = told;
        println!("{kind:<34} {pairs:>8} {within:>8} {beyond:>8} {without_moments:>11} {ks_width:>10.4}");
    }
}

/// The two sides as the engine counts them.
struct Counted {
    cut: Arc<Cut>,
    sides: [Histogram; 2],
    /// Finite values, sorted.
    rows: [Vec<f64>; 2],
}

fn counted(pair: &Pair) -> Option<Counted> {
    let rows = [&pair.reference, &pair.current].map(|side| exact::finite(side));
    if rows.iter().any(Vec::is_empty) {
        return None;
    }
    let cut = Arc::new(cut::of_values(&rows[0], FINE_BINS));
    let column = NumericColumn { name: "x".to_owned(), role: ColumnRole::Feature, cut: Arc::clone(&cut) };
    let sides = [&pair.reference, &pair.current].map(|side| {
        let mut histogram = Histogram::new(&cut);
        let array: Float64Array = side.iter().copied().collect();
        let all: Vec<u32> = (0..).take(side.len()).collect();
        count_numeric(&mut histogram, None, &column, &array, &SelectedRows::new(&all));
        histogram
    });
    Some(Counted { cut, sides, rows })
}

/// What is wrong with a pair.
pub(crate) fn pair(pair: &Pair, told: &mut Told) -> Vec<String> {
    told.pairs += 1;
    let Some(counted) = counted(pair) else { return Vec::new() };
    let mut wrong = Vec::new();
    counted.rows_are_there(pair, &mut wrong);
    counted.bins(&mut wrong);
    counted.atoms(&mut wrong);
    counted.distances(told, &mut wrong);
    counted.moments(told, &mut wrong);
    counted.verdict(pair, told, &mut wrong);
    wrong
}

/// The rows of a pair and what the engine says of them, for another program; none where a side has no finite value.
pub(crate) fn exported(pair: &Pair, seed: u64) -> Option<serde_json::Value> {
    let counted = counted(pair)?;
    let one = |metric: &str, bins: u16| {
        let reading = counted.read(metric, bins, None).swap_remove(0);
        let value = if let Value::Number(value) = reading.value { Some(value) } else { None };
        serde_json::json!({ "value": value, "bounds": reading.bounds })
    };
    let cut = |kept: &[u16]| -> Vec<f64> {
        kept.iter().map(|&edge| counted.cut.edges.as_slice()[usize::from(edge)]).collect()
    };
    let of_bins = |bins: u16, kept: &[u16]| serde_json::json!({ "edges": cut(kept), "psi": one("psi", bins), "js": one("js_divergence", bins) });
    let recuts = &counted.cut.recuts;
    let moved = Moved::of_numbers(&counted.cut, &counted.sides[0], &counted.sides[1]);
    Some(serde_json::json!({
        "seed": seed,
        "kind": pair.kind,
        "reference": counted.rows[0],
        "current": counted.rows[1],
        "bins": [of_bins(10, &recuts.bins10), of_bins(20, &recuts.bins20)],
        "ks": one("ks", 10),
        "settled_ks": counted.ks_settled().0,
        "is_beyond": moved.map(|moved| moved.is_beyond()),
    }))
}

impl Counted {
    fn read(&self, metric: &str, bins: u16, side: Option<usize>) -> Vec<haldane::metric::MetricResult> {
        let context = Context { cut: Some(&self.cut), bins, ..Context::ALONE };
        let [reference, current] = self.sides.each_ref().map(Side::Numeric);
        let metric = find(metric).expect("a metric");
        match side {
            Some(side) => metric.read([reference, current][side], None, &context),
            None => metric.read(current, Some(reference), &context),
        }
    }

    fn rows_are_there(&self, pair: &Pair, wrong: &mut Vec<String>) {
        for (side, all) in self.sides.iter().zip([&pair.reference, &pair.current]) {
            let odd = all.iter().flatten().filter(|value| !value.is_finite()).count() as u64;
            if side.rows() != all.len() as u64 || side.nan != odd {
                wrong.push(format!("{} rows, {} of them no number, of {}", side.rows(), side.nan, all.len()));
            }
        }
    }

    /// Counts over bins, and what is made of them.
    fn bins(&self, wrong: &mut Vec<String>) {
        for (bins, kept) in [(10, &self.cut.recuts.bins10), (20, &self.cut.recuts.bins20)] {
            let edges: Vec<f64> = kept.iter().map(|&edge| self.cut.edges.as_slice()[usize::from(edge)]).collect();
            let [p, q] = self.rows.each_ref().map(|rows| exact::counts(rows, &edges));
            let expected = [("psi", exact::psi(&p, &q)), ("js_divergence", exact::js(&p, &q))];
            for (metric, expected) in expected {
                match self.read(metric, bins, None).first().map(|reading| reading.value) {
                    Some(Value::Number(value)) if (value - expected).abs() <= EXACT * expected.abs().max(1.0) => {}
                    // All rows in one cell, and not of one value: shares say nothing of them.
                    Some(Value::Undefined) if p.iter().zip(&q).filter(|(p, q)| **p + **q > 0.0).count() < 2 => {}
                    other => wrong.push(format!("{metric} over {bins} bins is {other:?}, not {expected:e}")),
                }
            }
        }
    }

    /// A value that fills a bin is alone in it.
    fn atoms(&self, wrong: &mut Vec<String>) {
        let rows = &self.rows[0];
        for (bins, kept) in [(10, &self.cut.recuts.bins10), (20, &self.cut.recuts.bins20)] {
            let edges: Vec<f64> = kept.iter().map(|&edge| self.cut.edges.as_slice()[usize::from(edge)]).collect();
            for run in rows.chunk_by(|a, b| a.to_bits() == b.to_bits()).filter(|run| run.len() > 1) {
                let bin = |value: f64| edges.partition_point(|edge| *edge < value);
                let around = [run[0].next_down(), run[0].next_up()];
                // Between values that are a few floats apart nothing else can be told from either.
                let few = 8.0 * (around[1] - around[0]);
                let is_free = rows.iter().all(|row| row.to_bits() == run[0].to_bits() || (row - run[0]).abs() > few);
                if is_free && around.iter().any(|&other| bin(other) != bin(run[0])) {
                    wrong.push(format!("an edge of {bins} bins at {}, which comes {} times", run[0], run.len()));
                }
                if run.len() * bins >= rows.len() {
                    let others = rows.iter().filter(|value| bin(**value) == bin(run[0])).count() - run.len();
                    if others > 0 {
                        wrong.push(format!("{others} others in the bin of {} over {bins} bins", run[0]));
                    }
                }
            }
        }
    }

    fn distances(&self, told: &mut Told, wrong: &mut Vec<String>) {
        let (ks, moved) = exact::distances(&self.rows[0], &self.rows[1]);
        for (metric, exact) in [("ks", ks), ("wasserstein", moved)] {
            let readings = self.read(metric, 10, None);
            let reading = &readings[0];
            let scale = if metric == "ks" { 1.0 } else { exact };
            match (reading.value, reading.bounds) {
                (Value::Number(value), Some((low, high))) => {
                    let slack = EXACT * scale.max(if metric == "ks" { 0.0 } else { self.widest() });
                    let is_in = |number: f64| number >= low - slack && number <= high + slack;
                    if !is_in(exact) || !is_in(value) {
                        wrong.push(format!("{metric} {exact}, and {value} between {low} and {high}"));
                    }
                    if metric == "ks" {
                        told.ks_width = told.ks_width.max(high - low);
                    }
                }
                _ if metric == "wasserstein" && !(exact + self.widest()).is_finite() => {}
                other => wrong.push(format!("{metric} is {other:?}, not {exact}")),
            }
        }
    }

    /// How large numbers are, whose rounding distances have.
    fn widest(&self) -> f64 {
        self.rows.iter().flatten().map(|value| value.abs()).fold(0.0, f64::max)
    }

    fn moments(&self, told: &mut Told, wrong: &mut Vec<String>) {
        for side in [0, 1] {
            let rows = &self.rows[side];
            let (mean, sd) = exact::moments(rows);
            let size = rows[0].abs().max(rows[rows.len() - 1].abs());
            let spread = rows[rows.len() - 1] - rows[0];
            let mut is_absent = false;
            // The mean may be off by as much as the numbers themselves are rounded, the deviation by that of its
            // spread.
            for (metric, expected, slack, of) in
                [("mean", mean, MOMENT * size, size), ("std_dev", sd, MOMENT * spread + 1e-12 * size, spread)]
            {
                match self.read(metric, 10, Some(side))[0].value {
                    Value::Number(value) if (value - expected).abs() <= slack => {}
                    Value::Undefined if self.may_be_absent(side, of) => is_absent = true,
                    other => wrong.push(format!("{metric} of side {side} is {other:?}, not {expected:e}")),
                }
            }
            told.without_moments += u64::from(is_absent);
        }
    }

    /// Whether numbers of this size may be too small beside the reference's range, or a side's too far from it. Beside
    /// the smallest numbers that there are, grids end.
    fn may_be_absent(&self, side: usize, least: f64) -> bool {
        let (reference, mine) = (&self.rows[0], &self.rows[side]);
        let mut distinct = reference.clone();
        distinct.dedup();
        let tenth = distinct.len() / 10;
        let middle = distinct[distinct.len() - 1 - tenth] - distinct[tenth];
        let range = reference[reference.len() - 1] - reference[0];
        let off = (mine[mine.len() - 1] - reference[0]).max(reference[reference.len() - 1] - mine[0]);
        let far = 8_192.0;
        let grid = if middle > 0.0 { range.min(middle * 1e6) } else { range };
        off > far * grid
            || least * far * far < range
            || least * 256.0 < middle && range > middle * 1e6
            || least < 1e-280
    }

    fn verdict(&self, pair: &Pair, told: &mut Told, wrong: &mut Vec<String>) {
        let Some(moved) = Moved::of_numbers(&self.cut, &self.sides[0], &self.sides[1]) else {
            let (ks, _) = self.ks_settled();
            if ks >= KS_TOLERATED {
                wrong.push(format!("KS {ks} is not tested"));
            }
            return;
        };
        let (low, high) = moved.psi.interval(0.1);
        if moved.psi.debiased() < low - EXACT || moved.psi.debiased() > high.max(moved.psi.psi) + EXACT {
            wrong.push(format!("PSI {} beside {low} to {high}", moved.psi.debiased()));
        }
        let is_beyond = moved.is_beyond();
        told.within += u64::from(!is_beyond);
        told.beyond += u64::from(is_beyond);
        let (ks, rows) = self.ks_settled();
        if ks >= KS_TOLERATED && !is_beyond {
            wrong.push(format!("KS {ks} is called within: {moved:?}"));
        }
        let unrounded = pair.unrounded.as_ref().map(|rows| exact::distances(&self.rows[0], &exact::finite(rows)).0);
        if unrounded == Some(0.0) && is_beyond {
            wrong.push(format!("rounding is not called within: {moved:?}"));
        }
        let is_drift = || moved.psi.p() <= 0.025 || moved.ks.as_ref().is_some_and(|ks| ks.p() <= 0.025);
        if ks >= PLAIN && rows >= PLAIN_ROWS && !is_drift() {
            wrong.push(format!("KS {ks} of {rows} rows is no drift: {moved:?}"));
        }
    }

    /// The distance once what may be a repeated value of the reference in half precision is taken for it, and the rows
    /// of the smaller side.
    fn ks_settled(&self) -> (f64, usize) {
        let [reference, current] = &self.rows;
        let settled = exact::settled(reference, current);
        (exact::distances(reference, &settled).0, reference.len().min(current.len()))
    }
}
