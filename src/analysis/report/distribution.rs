//! Both sides of a column over the same cells, for drawing.

use super::apart;
use super::model::Distribution;
use crate::metric::line::Line;
use crate::output::text::{number, share};
use crate::plan::{CategoricalColumn, NumericColumn};
use crate::summary::{Category, Histogram};

/// Cells of equal width.
const BINS: u16 = 40;
/// Columns with at most so many filled bins are drawn value by value.
const VALUES_MAX: usize = 16;
/// Categories that are drawn by name.
const NAMES_MAX: usize = 12;
/// Letters of a number that is written in full.
const LETTERS_MAX: usize = 10;
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

/// A number in full where that is short, so that values that differ have names that do.
fn short(value: f64) -> String {
    let text = (value + 0.0).to_string();
    if text.len() <= LETTERS_MAX { text } else { number(value) }
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^53")]
fn count(n: u64) -> f64 {
    n as f64
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::baseline::cut;
    use crate::plan::ColumnRole;

    fn drawn(reference: &[f64], current: &[f64]) -> Distribution {
        let mut sorted = reference.to_vec();
        sorted.sort_by(f64::total_cmp);
        let column = NumericColumn {
            name: "x".to_owned(),
            role: ColumnRole::Feature,
            cut: Arc::new(cut::of_values(&sorted, 1040)),
        };
        let sides = [reference, current].map(|values| {
            let mut side = Histogram::new(&column.cut);
            side.update(&column.cut, values);
            side
        });
        numeric(&column, [&sides[0], &sides[1]])
    }

    fn even(n: u32) -> Vec<f64> {
        (0..n).map(|i| f64::from(i) / f64::from(n)).collect()
    }

    fn sum(shares: &[f64]) -> f64 {
        shares.iter().sum()
    }

    #[test]
    fn few_values_are_drawn_by_name_each_with_its_share() {
        let shown = drawn(&[1.0, 1.0, 2.0, 2.5], &[2.5, 2.5, 2.5, 1.0]);
        assert_eq!(shown.names, ["1", "2", "2.5"]);
        assert_eq!((shown.reference, shown.current), (vec![0.5, 0.25, 0.25], vec![0.25, 0.0, 0.75]));
        assert!(shown.edges.is_empty());
    }

    #[test]
    fn values_that_differ_have_names_that_differ() {
        for values in [[1e-5, 2e-5, 3e-5], [1e10, 1e11, 1e300], [-1e-9, 0.0, 1e-9], [0.1234, 0.1235, 0.1236]] {
            let shown = drawn(&values, &values);
            let mut names = shown.names.clone();
            names.dedup();
            assert_eq!(names.len(), 3, "{names:?}");
            assert!(names.iter().all(|name| name.len() <= 12 && name != "-0"), "{names:?}");
        }
    }

    #[test]
    fn many_values_are_drawn_in_bins_that_hold_all_rows() {
        let shown = drawn(&even(1000), &even(1000).iter().map(|x| x + 0.5).collect::<Vec<_>>());
        assert_eq!((shown.edges.len(), shown.reference.len(), shown.current.len()), (41, 40, 40));
        assert!(shown.edges.is_sorted() && shown.names.is_empty());
        assert!((sum(&shown.reference) + shown.beyond.0 - 1.0).abs() < 1e-9, "{:?}", shown.beyond);
        assert!((sum(&shown.current) + shown.beyond.1 - 1.0).abs() < 1e-9);
        assert!(shown.edges[40] > 1.4, "the picture reaches as far as either side does: {:?}", shown.edges);
    }

    #[test]
    fn what_is_far_from_the_rest_does_not_squeeze_the_picture() {
        let with_sentinel = [even(1000), vec![-999.0; 50]].concat();
        let shown = drawn(&with_sentinel, &even(1000));
        assert!(shown.edges[0] > -1.0, "{:?}", shown.edges);
        assert!((shown.beyond.0 - 50.0 / 1050.0).abs() < 0.01 && shown.beyond.1 < 0.02, "{:?}", shown.beyond);
    }

    #[test]
    fn where_a_side_has_nothing_many_values_are_not_drawn() {
        assert_eq!(drawn(&even(1000), &[]), nothing());
        let few = drawn(&[1.0, 2.0], &[]);
        assert_eq!((few.reference, few.current), (vec![0.5, 0.5], vec![0.0, 0.0]), "shares of nothing are zero");
    }

    fn categories(counts: &[u64]) -> (CategoricalColumn, Category) {
        let known = (0..counts.len()).map(|at| format!("c{at:02}")).collect();
        let mut category = Category::new(counts.len());
        category.known.copy_from_slice(counts);
        (CategoricalColumn { known, ..CategoricalColumn::new("c") }, category)
    }

    #[test]
    fn the_largest_categories_of_either_side_come_first_and_new_ones_say_so() {
        let (column, reference) = categories(&[10, 60, 30]);
        let (_, mut current) = categories(&[50, 0, 30]);
        current.add_unseen("zz", 20);
        let shown = categorical(&column, [&reference, &current]);
        assert_eq!(shown.names, ["c01", "c00", "c02", "zz (new)"]);
        assert_eq!(shown.reference, [0.6, 0.1, 0.3, 0.0]);
        assert_eq!(shown.current, [0.0, 0.5, 0.3, 0.2]);
    }

    #[test]
    fn categories_beyond_twelve_are_put_together_and_no_row_is_lost() {
        let counts: Vec<u64> = (1..=20).collect();
        let (column, reference) = categories(&counts);
        let (_, mut current) = categories(&counts);
        current.other = 42;
        let shown = categorical(&column, [&reference, &current]);
        assert_eq!((shown.names.len(), shown.names[12].as_str()), (13, "9 others"), "8 by name, and those without one");
        for shares in [&shown.reference, &shown.current] {
            assert!((sum(shares) - 1.0).abs() < 1e-12, "{shares:?}");
        }
        assert!((shown.current[12] - (36.0 + 42.0) / 252.0).abs() < 1e-12, "{:?}", shown.current);
    }
}
