//! What was counted of one column, as a value that stands in a table: merged by SQL, and compared by the engine's
//! metrics.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray as _, BinaryArray, Float64Array, Float64Builder, ListArray, ListBuilder, StringBuilder,
    StructArray, UInt64Array, UInt64Builder,
};
use arrow::datatypes::{DataType, Field, Fields, Float64Type, UInt64Type};

use crate::event::stable_hash;
use crate::kernel::bin::{Edges, Reach};
use crate::kernel::moment::Grid;
use crate::summary::histogram::{Cut, Recuts};
use crate::summary::{Category, Histogram, Tails};

/// Counts of one column.
///
/// Of a numeric column: the fine bins, and the quantile bins that share-based metrics compare. Of a categorical one:
/// the categories of the reference in its order, and others by name.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct StoredHistogram {
    /// Fine bins, or known categories.
    pub counts: Vec<u64>,
    /// Quantile bins; empty for a categorical column.
    pub cells: Vec<u64>,
    /// Other categories.
    pub names: BTreeMap<String, u64>,
    /// Rows of categories that lost their name.
    pub other: u64,
    /// Smallest value.
    pub low: Option<f64>,
    /// Largest value.
    pub high: Option<f64>,
    /// Of a numeric column, what lies beyond the reach of its fine edges; not known of what an earlier release stored.
    pub far: Option<StoredTails>,
}

/// Values beyond the reach of fine edges, once more.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredTails {
    /// How far the edges reach.
    pub reach: Reach,
    /// What lies beyond.
    pub tails: Tails<u64>,
}

impl StoredTails {
    fn to_bytes(&self) -> Vec<u8> {
        let Reach { first, low, last, high } = self.reach;
        postcard::to_stdvec(&(first, low, last, high, &self.tails)).expect("tails always encode")
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (first, low, last, high, tails) = postcard::from_bytes(bytes).ok()?;
        Some(Self { reach: Reach { first, low, last, high }, tails })
    }

    /// Edges that reach as far, for numbers that depend on the order of bins alone: neighbouring floats. There are
    /// enough between the ends of the reach, since there is an edge at each in truth.
    fn edges(&self, n_edges: usize) -> Vec<f64> {
        let Reach { first, low, last, high } = self.reach;
        let from = |edge: f64, next: fn(f64) -> f64| std::iter::successors(Some(edge), move |edge| Some(next(*edge)));
        let mut edges: Vec<f64> = from(low, f64::next_down).take(first + 1).collect();
        edges.reverse();
        edges.extend(from(low, f64::next_up).take(last - first).skip(1));
        edges.extend(from(high, f64::next_up).take(n_edges.saturating_sub(last)).skip(usize::from(first == last)));
        edges
    }
}

impl StoredHistogram {
    /// A numeric column; `bins` is how many quantile bins are compared, 10 or 20.
    #[must_use]
    pub fn numeric(histogram: &Histogram, cut: &Cut, bins: u16) -> Self {
        let kept = if bins == 20 { &cut.recuts.bins20 } else { &cut.recuts.bins10 };
        let (counts, cells) = (histogram.counts.clone(), histogram.recut(kept));
        let far = cut.edges.reach().map(|reach| StoredTails { reach, tails: histogram.tails.clone() });
        Self { counts, cells, low: histogram.min, high: histogram.max, far, ..Self::default() }
    }

    /// A categorical column.
    #[must_use]
    pub fn categorical(category: &Category) -> Self {
        let names = category.unseen.values().cloned().collect();
        Self { counts: category.known.clone(), names, other: category.other, ..Self::default() }
    }

    /// Bins alone, which are fine bins and compared ones at once.
    #[must_use]
    pub fn bins(counts: Vec<u64>) -> Self {
        Self { cells: counts.clone(), counts, ..Self::default() }
    }

    /// Whether it is of a numeric column.
    #[must_use]
    pub fn is_numeric(&self) -> bool {
        !self.cells.is_empty()
    }

    /// Adds other counts of the same column; `false` when they are of another one.
    #[must_use]
    pub fn merge(&mut self, other: &Self) -> bool {
        if (self.counts.len(), self.cells.len()) != (other.counts.len(), other.cells.len()) {
            return false;
        }
        let mine = self.counts.iter_mut().chain(&mut self.cells);
        mine.zip(other.counts.iter().chain(&other.cells)).for_each(|(count, more)| *count += more);
        other.names.iter().for_each(|(name, count)| *self.names.entry(name.clone()).or_default() += count);
        self.other += other.other;
        self.low = self.low.into_iter().chain(other.low).reduce(f64::min);
        self.high = self.high.into_iter().chain(other.high).reduce(f64::max);
        match (&mut self.far, &other.far) {
            (Some(far), Some(more)) => far.tails.merge(&more.tails),
            (far, more) => *far = far.take().or_else(|| more.clone()),
        }
        true
    }

    /// The categories, as the engine holds them.
    #[must_use]
    pub fn category(&self) -> Category {
        let unseen = self.names.iter().map(|(name, count)| (stable_hash(name.as_bytes()), (name.clone(), *count)));
        Category { known: self.counts.clone(), unseen: unseen.collect(), other: self.other, missing: 0 }
    }

    /// A histogram whose quantile bins are `bins`, and whose edges are `edges`, or any at all where they do not matter.
    /// `None` when bins and edges do not fit together.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "thousands of bins")]
    pub fn histogram(&self, bins: &[u64], edges: Option<Vec<f64>>) -> Option<(Histogram, Cut)> {
        let n_edges = bins.len().checked_sub(1)?;
        let far = self.far.as_ref().filter(|far| bins.len() == self.counts.len() && far.reach.last < n_edges);
        let any = || match far {
            Some(far) => far.edges(n_edges),
            None => (0..n_edges).map(|edge| edge as f64).collect(),
        };
        let edges = edges.unwrap_or_else(any);
        let far = far.filter(|StoredTails { reach, .. }| {
            edges.get(reach.first) == Some(&reach.low) && edges.get(reach.last) == Some(&reach.high)
        });
        let edges = Edges::new(edges).ok().filter(|edges| edges.n_bins() == bins.len())?;
        let edges = match far {
            Some(StoredTails { reach, .. }) => edges.reaching(reach.first, reach.last),
            None => edges,
        };
        let all: Vec<u16> = (0..n_edges).map(|edge| u16::try_from(edge).ok()).collect::<Option<_>>()?;
        let recuts = Recuts { bins10: all.clone(), bins20: all, ..Recuts::default() };
        let cut = Cut { edges, grid: Grid::for_range(0.0, 1.0), recuts };
        // Where smallest and largest value are not known, they lie at the edges of the outermost bins that hold any.
        let edge = |at: usize| cut.edges.as_slice().get(at.min(n_edges.saturating_sub(1))).copied().unwrap_or_default();
        let first = bins.iter().position(|&count| count > 0).map(|bin| edge(bin.saturating_sub(1)));
        let last = bins.iter().rposition(|&count| count > 0).map(edge);
        let mut histogram = Histogram::new(&cut);
        histogram.counts = bins.to_vec();
        histogram.tails = far.map(|far| far.tails.clone()).unwrap_or_default();
        (histogram.min, histogram.max) = (self.low.or(first), self.high.or(last));
        Some((histogram, cut))
    }
}

/// The type of a column of counts.
#[must_use]
pub fn histogram_type() -> DataType {
    DataType::Struct(fields())
}

fn fields() -> Fields {
    let list = |name: &str, item: DataType| Field::new_list(name, Field::new("item", item, true), true);
    Fields::from(vec![
        list("counts", DataType::UInt64),
        list("cells", DataType::UInt64),
        list("names", DataType::Utf8),
        list("named", DataType::UInt64),
        Field::new("other", DataType::UInt64, true),
        Field::new("low", DataType::Float64, true),
        Field::new("high", DataType::Float64, true),
        Field::new("far", DataType::Binary, true),
    ])
}

/// Counts as a column.
#[must_use]
pub fn histograms(rows: &[Option<StoredHistogram>]) -> ArrayRef {
    let empty = StoredHistogram::default();
    let all = || rows.iter().map(|row| row.as_ref().unwrap_or(&empty));
    let mut names = ListBuilder::new(StringBuilder::new());
    all().for_each(|row| names.append_value(row.names.keys().map(Some)));
    let (mut low, mut high) = (Float64Builder::new(), Float64Builder::new());
    all().for_each(|row| {
        low.append_option(row.low);
        high.append_option(row.high);
    });
    let columns: Vec<ArrayRef> = vec![
        Arc::new(lists(all().map(|row| row.counts.clone()))),
        Arc::new(lists(all().map(|row| row.cells.clone()))),
        Arc::new(names.finish()),
        Arc::new(lists(all().map(|row| row.names.values().copied().collect()))),
        Arc::new(all().map(|row| Some(row.other)).collect::<UInt64Array>()),
        Arc::new(low.finish()),
        Arc::new(high.finish()),
        Arc::new(all().map(|row| row.far.as_ref().map(StoredTails::to_bytes)).collect::<BinaryArray>()),
    ];
    let valid = rows.iter().map(Option::is_some).collect::<Vec<bool>>();
    Arc::new(StructArray::new(fields(), columns, Some(valid.into())))
}

/// Lists of counts as a column.
#[must_use]
pub fn lists(rows: impl Iterator<Item = Vec<u64>>) -> ListArray {
    let mut lists = ListBuilder::new(UInt64Builder::new());
    rows.for_each(|row| lists.append_value(row.into_iter().map(Some)));
    lists.finish()
}

/// The counts in one row of a column; `None` where there are none, or the column holds something else.
#[must_use]
pub fn counted(column: &dyn Array, row: usize) -> Option<StoredHistogram> {
    if column.is_null(row) {
        return None;
    }
    let Some(records) = column.as_struct_opt() else { return counts_in(column, row).map(StoredHistogram::bins) };
    let list = |name: &str| counts_in(records.column_by_name(name)?, row);
    let number = |name: &str| {
        let column: &Float64Array = records.column_by_name(name)?.as_primitive_opt::<Float64Type>()?;
        column.is_valid(row).then(|| column.value(row))
    };
    let far = records.column_by_name("far").and_then(|column| column.as_binary_opt::<i32>());
    let far = far.filter(|column| column.is_valid(row)).map(|column| StoredTails::from_bytes(column.value(row)));
    let names = records.column_by_name("names")?.as_list_opt::<i32>()?.value(row);
    let names = names.as_string_opt::<i32>()?.iter().map(|name| name.unwrap_or_default().to_owned());
    let other = records.column_by_name("other")?.as_primitive_opt::<UInt64Type>()?.value(row);
    Some(StoredHistogram {
        counts: list("counts")?,
        cells: list("cells")?,
        names: names.zip(list("named")?).collect(),
        other,
        low: number("low"),
        high: number("high"),
        far: match far {
            Some(far) => Some(far?),
            None => None,
        },
    })
}

/// The counts in one row of a column of lists, whatever type of number they are.
pub(crate) fn counts_in(column: &dyn Array, row: usize) -> Option<Vec<u64>> {
    let list = column.as_list_opt::<i32>().filter(|list| list.is_valid(row))?.value(row);
    let counts = arrow::compute::cast(&list, &DataType::UInt64).ok()?;
    Some(counts.as_primitive_opt::<UInt64Type>()?.iter().map(Option::unwrap_or_default).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Three bins whose values lie far out below 0 and above 2, and the counts of some values.
    fn counts_of(values: &[f64]) -> (Histogram, Cut) {
        let edges = Edges::new(vec![0.0, 1.0, 2.0]).expect("edges").reaching(0, 2);
        let recuts = Recuts { bins10: vec![1], bins20: vec![0, 2], ..Recuts::default() };
        let cut = Cut { edges, grid: Grid::for_range(-10.0, 10.0), recuts };
        let mut histogram = Histogram::new(&cut);
        histogram.update(&cut, values);
        (histogram, cut)
    }

    fn numeric(values: &[f64]) -> StoredHistogram {
        let (histogram, cut) = counts_of(values);
        StoredHistogram::numeric(&histogram, &cut, 10)
    }

    fn merged(parts: &[&StoredHistogram]) -> StoredHistogram {
        let mut all = parts[0].clone();
        assert!(parts[1..].iter().all(|part| all.merge(part)));
        all
    }

    /// Values on both sides of every edge, and on it.
    fn any_values() -> impl Strategy<Value = Vec<f64>> {
        proptest::collection::vec((-8..12_i32).prop_map(|quarter| f64::from(quarter) / 4.0), 0..12)
    }

    proptest! {
        #[test]
        fn parts_of_a_column_add_up_to_it_in_any_order(a in any_values(), b in any_values(), c in any_values()) {
            let whole = numeric(&[a.clone(), b.clone(), c.clone()].concat());
            let [a, b, c] = [a, b, c].map(|values| numeric(&values));
            prop_assert_eq!(&merged(&[&a, &b, &c]), &whole);
            prop_assert_eq!(&merged(&[&c, &merged(&[&b, &a])]), &whole);
            let column = histograms(&[Some(whole.clone())]);
            prop_assert_eq!(counted(&column, 0), Some(whole));
        }

        #[test]
        fn what_was_counted_is_compared_as_the_engine_would(values in any_values()) {
            let (engine, cut) = counts_of(&values);
            let stored = numeric(&values);
            let edges = cut.edges.as_slice().to_vec();
            let (back, again) = stored.histogram(&stored.counts, Some(edges)).expect("its own edges");
            prop_assert_eq!((&back.counts, &back.tails), (&engine.counts, &engine.tails));
            prop_assert_eq!((back.min, back.max), (engine.min, engine.max));
            prop_assert_eq!(again.edges.reach(), cut.edges.reach());
        }
    }

    #[test]
    fn of_a_numeric_column_ten_or_twenty_quantile_bins_are_kept() {
        let (histogram, cut) = counts_of(&[-1.0, 0.5, 1.0, 1.5, 3.0]);
        let of = |bins| StoredHistogram::numeric(&histogram, &cut, bins);
        assert_eq!(of(10).cells, [3, 2]);
        assert_eq!(of(20).cells, [1, 3, 1]);
        assert!(of(10).is_numeric() && !StoredHistogram::categorical(&Category::new(2)).is_numeric());
        assert!(!of(10).clone().merge(&of(20)), "other quantile bins");
    }

    #[test]
    fn bins_and_edges_that_do_not_fit_give_no_histogram() {
        let stored = StoredHistogram::bins(vec![0, 2, 0]);
        assert!(stored.histogram(&[], None).is_none());
        assert!(stored.histogram(&[0, 2, 0], Some(vec![1.0])).is_none(), "an edge too few");
        assert!(stored.histogram(&[0, 2, 0], Some(vec![2.0, 1.0])).is_none(), "edges that go down");
        assert!(stored.histogram(&[0, 2, 0], Some(vec![1.0, 2.0])).is_some());
    }

    #[test]
    fn values_that_are_not_known_lie_at_the_edges_of_the_outermost_bins_that_hold_any() {
        let edges = vec![1.0, 2.0, 3.0];
        let ends = |bins: [u64; 4]| {
            let stored = StoredHistogram::bins(bins.to_vec());
            let (histogram, _) = stored.histogram(&bins, Some(edges.clone())).expect("edges that fit");
            (histogram.min, histogram.max)
        };
        assert_eq!(ends([0, 0, 0, 0]), (None, None));
        assert_eq!(ends([0, 4, 0, 0]), (Some(1.0), Some(2.0)));
        assert_eq!(ends([0, 1, 1, 0]), (Some(1.0), Some(3.0)));
        assert_eq!(ends([1, 0, 0, 1]), (Some(1.0), Some(3.0)));
        let known = StoredHistogram { low: Some(-9.0), high: Some(9.0), ..StoredHistogram::bins(vec![1, 0, 0, 1]) };
        let (histogram, _) = known.histogram(&known.counts, Some(edges)).expect("edges that fit");
        assert_eq!((histogram.min, histogram.max), (Some(-9.0), Some(9.0)));
    }

    #[test]
    fn edges_that_nobody_kept_reach_as_far_as_those_that_were_counted_by() {
        for (first, last) in [(0, 5), (2, 3), (3, 3), (0, 0), (5, 5)] {
            let [low, high] = [10.0, if first == last { 10.0 } else { 20.0 }];
            let far = StoredTails { reach: Reach { first, low, last, high }, tails: Tails::default() };
            let edges = far.edges(6);
            assert_eq!((edges.len(), edges[first], edges[last]), (6, low, high), "{first} to {last}");
            assert!(edges.is_sorted_by(|a, b| a < b), "{first} to {last}: {edges:?}");
        }
    }

    #[test]
    fn tails_of_other_edges_are_left_out() {
        let stored = numeric(&[-5.0, 5.0]);
        let tails = |edges: Vec<f64>| {
            let (histogram, cut) = stored.histogram(&stored.counts, Some(edges)).expect("three edges");
            (histogram.tails != Tails::default(), cut.edges.reach().is_some())
        };
        assert_eq!(tails(vec![0.0, 1.0, 2.0]), (true, true));
        assert_eq!(tails(vec![0.0, 1.0, 2.5]), (false, false));
        assert_eq!(tails(vec![-0.5, 1.0, 2.0]), (false, false));
        let cells = stored.histogram(&stored.cells, None).expect("quantile bins");
        assert_eq!((cells.0.tails, cells.1.edges.reach()), (Tails::default(), None), "of fine bins alone");
        let mut beyond = stored.clone();
        beyond.far.as_mut().expect("tails").reach.last = 5;
        let (histogram, _) = beyond.histogram(&beyond.counts, None).expect("bins of some edges");
        assert_eq!(histogram.tails, Tails::default(), "a reach that ends behind the last edge");
    }

    #[test]
    fn what_is_no_column_of_counts_holds_none() {
        let damaged = StructArray::from(histograms(&[Some(numeric(&[9.0]))]).as_struct().to_data());
        let place = |name: &str| fields().iter().position(|field| field.name() == name).expect("a column");
        let with = |name: &str, array: ArrayRef| {
            let mut columns = damaged.columns().to_vec();
            columns[place(name)] = array;
            StructArray::try_new(fields(), columns, None).expect("columns of the same types")
        };
        assert_eq!(counted(&with("far", Arc::new(BinaryArray::from_vec(vec![b"\xff"]))), 0), None, "damaged tails");
        let none = StoredHistogram { far: None, ..numeric(&[9.0]) };
        let without = with("far", arrow::array::new_null_array(&DataType::Binary, 1));
        assert_eq!(counted(&without, 0), Some(none), "tails of an earlier release");
        assert_eq!(counted(&Float64Array::from(vec![1.0]), 0), None);
        assert_eq!(counted(&lists([vec![1, 2]].into_iter()), 0), Some(StoredHistogram::bins(vec![1, 2])));
    }

    #[test]
    fn the_smallest_and_largest_value_are_those_of_whichever_side_knows_one() {
        let ends = |low, high| StoredHistogram { low, high, ..StoredHistogram::bins(vec![1]) };
        let cases = [
            (ends(None, Some(1.0)), ends(Some(0.0), None), (Some(0.0), Some(1.0))),
            (ends(Some(-1.0), Some(1.0)), ends(Some(0.0), Some(3.0)), (Some(-1.0), Some(3.0))),
            (ends(None, None), ends(None, None), (None, None)),
        ];
        for (a, b, expected) in cases {
            let [ab, ba] = [merged(&[&a, &b]), merged(&[&b, &a])];
            assert_eq!((ab.low, ab.high), expected);
            assert_eq!(ab, ba);
        }
    }

    #[test]
    fn counts_survive_the_table_and_merge() {
        let mut category = Category::new(2);
        category.known = vec![3, 0];
        category.add_unseen("new", 2);
        let rows = [Some(StoredHistogram::categorical(&category)), None, Some(StoredHistogram::bins(vec![1, 2, 3]))];
        let column = histograms(&rows);
        let back: Vec<_> = (0..3).map(|row| counted(&column, row)).collect();
        assert_eq!(back, rows);
        let mut twice = back[0].clone().expect("counts");
        assert!(twice.merge(&twice.clone()));
        assert_eq!((twice.category().n(), twice.names["new"]), (10, 4));
        assert!(!twice.merge(back[2].as_ref().expect("counts")), "counts of another column");
    }
}
