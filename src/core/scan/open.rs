//! Traffic of a pane that is counted into. Most of the memory of a busy pipeline is here, so bins are counted in four
//! bytes while that is enough: half of what complete summaries take, and half of what has to be near at hand.

use crate::plan::{Columns, Plan};
use crate::scan::groups::Cell;
use crate::summary::histogram::Cut;
use crate::summary::{Histogram, Traffic};

/// What numbers are counted into.
pub trait Numbers {
    /// Adds values, none of which is NaN.
    fn update(&mut self, cut: &Cut, values: &[f64]);

    /// Adds rows without a value, and rows whose value is NaN.
    fn skip(&mut self, missing: u64, nan: u64);
}

impl Numbers for Histogram {
    fn update(&mut self, cut: &Cut, values: &[f64]) {
        Self::update(self, cut, values);
    }

    fn skip(&mut self, missing: u64, nan: u64) {
        self.missing += missing;
        self.nan += nan;
    }
}

/// Counts of one numeric column.
#[derive(Debug, Clone)]
pub struct OpenHistogram {
    /// One count per bin.
    few: Vec<u32>,
    /// How many values these are.
    n: u32,
    /// All else. Its counts stay empty until there are more values than `few` can hold.
    rest: Histogram,
}

impl OpenHistogram {
    /// An empty histogram for a cut.
    #[must_use]
    pub fn new(cut: &Cut) -> Self {
        let rest = Histogram { counts: Vec::new(), ..Histogram::new(cut) };
        Self { few: vec![0; cut.edges.n_bins()], n: 0, rest }
    }

    /// Moves the counts to where there is room for more.
    fn widen(&mut self) {
        self.rest.counts.resize(self.few.len(), 0);
        self.rest.counts.iter_mut().zip(&self.few).for_each(|(count, &more)| *count += u64::from(more));
        self.few.fill(0);
        self.n = 0;
    }

    fn close(mut self) -> Histogram {
        self.widen();
        self.rest
    }

    fn add_to(&self, all: &mut Histogram) {
        all.counts.iter_mut().zip(&self.few).for_each(|(count, &more)| *count += u64::from(more));
        all.counts.iter_mut().zip(&self.rest.counts).for_each(|(count, more)| *count += more);
        all.merge_sums(&self.rest);
    }

    fn bytes(&self) -> usize {
        size_of::<Self>() + size_of_val(&*self.few) + size_of_val(&*self.rest.counts) + self.rest.tails.bytes()
    }
}

impl Numbers for OpenHistogram {
    fn update(&mut self, cut: &Cut, values: &[f64]) {
        let more = u32::try_from(values.len()).expect("the rows of a batch");
        if self.n.checked_add(more).is_none() {
            self.widen();
        }
        self.n += more;
        cut.edges.count(values, &mut self.few);
        self.rest.update_sums(cut, values);
    }

    fn skip(&mut self, missing: u64, nan: u64) {
        self.rest.skip(missing, nan);
    }
}

/// One group of a pane that is counted into.
#[derive(Debug, Clone)]
pub struct OpenTraffic {
    /// One per numeric column of the plan.
    pub numeric: Vec<OpenHistogram>,
    /// All else.
    pub rest: Traffic,
}

impl OpenTraffic {
    /// An empty summary for the columns of a plan.
    #[must_use]
    pub fn new(columns: &Columns) -> Self {
        let numeric = columns.numeric.iter().map(|column| OpenHistogram::new(&column.cut)).collect();
        Self { numeric, rest: Traffic::without_numeric(columns) }
    }

    /// What was counted.
    pub(crate) fn close(self) -> Traffic {
        Traffic { numeric: self.numeric.into_iter().map(OpenHistogram::close).collect(), ..self.rest }
    }

    /// Adds what was counted to a summary of the same plan.
    pub(crate) fn add_to(&self, all: &mut Traffic) {
        self.numeric.iter().zip(&mut all.numeric).for_each(|(open, all)| open.add_to(all));
        let numeric = std::mem::take(&mut all.numeric);
        all.merge(&self.rest);
        all.numeric = numeric;
    }

    /// How many bytes it takes, about.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.rest.bytes() + self.numeric.iter().map(OpenHistogram::bytes).sum::<usize>()
    }
}

impl Cell for OpenTraffic {
    fn new(plan: &Plan) -> Self {
        Self::new(&plan.columns)
    }

    fn merge(&mut self, _: &Plan, other: &Self) {
        for (mine, theirs) in self.numeric.iter_mut().zip(&other.numeric) {
            mine.widen();
            theirs.add_to(&mut mine.rest);
        }
        self.rest.merge(&other.rest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::baseline::cut;

    #[test]
    fn counts_go_on_where_four_bytes_end() {
        let cut = cut::equal_width(0.0, 1.0, 20);
        let (mut open, mut twin) = (OpenHistogram::new(&cut), Histogram::new(&cut));
        let values = [0.1, 0.1, 0.55, 2.0];
        open.update(&cut, &values);
        twin.update(&cut, &values);
        // As if so many had come before.
        let bin = cut.edges.bin(0.1);
        open.few[bin] += u32::MAX - 6;
        twin.counts[bin] += u64::from(u32::MAX - 6);
        open.n += u32::MAX - 6;
        for _ in 0..3 {
            open.update(&cut, &values);
            twin.update(&cut, &values);
        }
        let mut added = Histogram::new(&cut);
        open.add_to(&mut added);
        assert_eq!(added, twin);
        assert_eq!(open.close(), twin);
    }
}
