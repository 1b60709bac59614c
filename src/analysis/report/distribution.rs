//! Both sides of a column over the same cells, for drawing.

use super::apart;
use super::model::Distribution;
use crate::metric::line::Line;
use crate::output::text::share;
use crate::plan::{CategoricalColumn, NumericColumn};
use crate::summary::{Category, Histogram};

/// Cells of equal width.
const BINS: u16 = 40;
/// Columns with at most so many filled bins are drawn value by value.
const VALUES_MAX: usize = 16;
/// Categories that are drawn by name.
const NAMES_MAX: usize = 12;
/// Share of either side that may lie beyond each end of the drawing.
const TAIL: f64 = 0.005;

/// A numeric column: value by value if there are few, else bins of equal width.
pub(crate) fn numeric(column: &NumericColumn, [reference, current]: [&Histogram; 2]) -> Distribution {
    let edges = column.cut.edges.as_slice();
    let filled: Vec<usize> =
        (0..reference.counts.len()).filter(|&bin| reference.counts[bin] + current.counts[bin] > 0).collect();
    if filled.len() <= VALUES_MAX {
        let name = |bin: usize| edges.get(bin).map_or_else(|| "above".to_owned(), |edge| short(*edge));
        let shares = |side: &Histogram| filled.iter().map(|&bin| share(side.counts[bin], side.n())).collect();
        let names = filled.iter().map(|&bin| name(bin)).collect();
        return Distribution { names, reference: shares(reference), current: shares(current), ..nothing() };
    }
    binned(column, [reference, current]).unwrap_or_else(nothing)
}

fn nothing() -> Distribution {
    Distribution {
        edges: Vec::new(),
        names: Vec::new(),
        reference: Vec::new(),
        current: Vec::new(),
        beyond: (0.0, 0.0),
    }
}

fn binned(column: &NumericColumn, sides: [&Histogram; 2]) -> Option<Distribution> {
    let lines = Line::all(&column.cut, sides)?;
    let ends = sides.map(|side| central(column, side));
    let (low, high) = (ends[0].0.min(ends[1].0), ends[0].1.max(ends[1].1));
    let width = (high - low) / f64::from(BINS);
    if !(width > 0.0 && width.is_finite()) {
        return None;
    }
    let edges: Vec<f64> = (0..=BINS).map(|step| low + width * f64::from(step)).collect();
    let [reference, current] = [0, 1].map(|side| {
        let (min, max) = (sides[side].min.unwrap_or(low), sides[side].max.unwrap_or(high));
        let around = [&[min.min(low)], edges.as_slice(), &[max.max(high)]].concat();
        let n = count(sides[side].n());
        let shares: Vec<f64> = lines[side].counts(&around).into_iter().map(|rows| rows / n).collect();
        (shares[0] + shares[shares.len() - 1], shares[1..shares.len() - 1].to_vec())
    });
    Some(Distribution {
        edges,
        names: Vec::new(),
        beyond: (reference.0.max(0.0), current.0.max(0.0)),
        reference: reference.1,
        current: current.1,
    })
}

/// Where the bulk of a side begins and ends; what is far from the rest is no part of it.
fn central(column: &NumericColumn, side: &Histogram) -> (f64, f64) {
    let edges = column.cut.edges.as_slice();
    let (min, max) = (side.min.unwrap_or(0.0), side.max.unwrap_or(0.0));
    let is_far = apart::far_bins(&column.cut, side);
    let is_near = |bin: usize| is_far.as_ref().is_none_or(|is_far| !is_far(bin));
    let near = || side.counts.iter().enumerate().filter(|&(bin, &rows)| rows > 0 && is_near(bin));
    let n = count(near().map(|(_, rows)| rows).sum());
    let below = |share: f64| {
        let mut seen = 0.0;
        near().find(|(_, rows)| {
            seen += count(**rows);
            seen >= share * n
        })
    };
    let low = below(TAIL).and_then(|(bin, _)| edges.get(bin.checked_sub(1)?)).copied().unwrap_or(min);
    let high = below(1.0 - TAIL).and_then(|(bin, _)| edges.get(bin)).copied().unwrap_or(max);
    (low.max(min), high.min(max))
}

/// A categorical column: the largest categories of either side, and the rest together.
pub(crate) fn categorical(column: &CategoricalColumn, [reference, current]: [&Category; 2]) -> Distribution {
    let (n, m) = (current.n(), reference.n());
    let rare = column.rare.as_ref().map(|rare| format!("{} rare ones", rare.n()));
    let known = column.known.iter().chain(&rare).zip(reference.known.iter().zip(&current.known));
    let known = known.map(|(name, (&a, &b))| (name.clone(), share(a, m), share(b, n)));
    let unseen = current.unseen.values().map(|(name, count)| (format!("{name} (new)"), 0.0, share(*count, n)));
    let mut cells: Vec<(String, f64, f64)> = known.chain(unseen).collect();
    cells.sort_by(|a, b| b.1.max(b.2).total_cmp(&a.1.max(a.2)));
    let rest = cells.split_off(cells.len().min(NAMES_MAX));
    if !rest.is_empty() || current.other > 0 {
        let sum = |side: fn(&(String, f64, f64)) -> f64| rest.iter().map(side).sum::<f64>();
        let name = format!("{} others", rest.len() + usize::from(current.other > 0));
        cells.push((name, sum(|cell| cell.1), sum(|cell| cell.2) + share(current.other, n)));
    }
    let names = cells.iter().map(|cell| cell.0.clone()).collect();
    let (reference, current) = cells.iter().map(|cell| (cell.1, cell.2)).unzip();
    Distribution { names, reference, current, ..nothing() }
}

/// A number as short as it can be read.
fn short(value: f64) -> String {
    let text = format!("{value:.4}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^53")]
fn count(n: u64) -> f64 {
    n as f64
}
