//! All that predictions and feature events of one group add up to in one pane.

use serde::{Deserialize, Serialize};

use crate::plan::{ColumnRole, Columns};
use crate::summary::entity::{self, EntityBuckets, RequestCounts};
use crate::summary::seal::{Reader, Seal, Writer};
use crate::summary::{Category, Histogram, Latency, MeasureSummary, Pairs, Rates};

/// Features, scores, latency and rates of one (model, version, segment) in one pane.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Traffic {
    /// One per numeric column of the plan.
    pub numeric: Vec<Histogram>,
    /// One per categorical column of the plan.
    pub categorical: Vec<Category>,
    /// Latencies, all statuses.
    pub latency: Latency,
    /// Requests without an answer in time.
    #[serde(default)]
    pub timed_out: TimedOut,
    /// Counts of answers.
    pub rates: Rates,
    /// By entity, where events name theirs.
    #[serde(default)]
    pub entities: EntityBuckets<RequestCounts>,
    /// One per measure of the plan. Frames and profiles hold them apart.
    #[serde(skip)]
    pub measures: Vec<MeasureSummary>,
    /// What became of requests that several versions answer. It is known later than all else, so it is sent and kept
    /// apart.
    #[serde(skip)]
    pub pairs: Pairs,
}

/// Requests that timed out. Of their latency only a lower bound is known, how long they were waited for.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct TimedOut {
    /// How long, where that is known; these stand in [`Traffic::latency`], too.
    pub waited: Option<Latency>,
    /// How many there are of which it is not.
    pub untimed: u64,
}

impl TimedOut {
    /// Counts one.
    pub fn update(&mut self, waited_ms: Option<f64>) {
        match waited_ms {
            Some(waited_ms) => self.waited.get_or_insert_default().update(waited_ms),
            None => self.untimed += 1,
        }
    }

    fn merge(&mut self, other: &Self) {
        if let Some(waited) = &other.waited {
            self.waited.get_or_insert_default().merge(waited);
        }
        self.untimed += other.untimed;
    }
}

impl Traffic {
    /// How many requests took longer than a bound in milliseconds, and of how many that can be told. One that timed out
    /// took longer than any: to leave it out, or to take what was waited for, would make the version look fast that
    /// hangs.
    #[must_use]
    pub fn slower_than(&self, bound_ms: f64) -> (u64, u64) {
        let waited = |of: &Latency| of.n() - of.n_above_ms(bound_ms);
        let unnoticed = self.timed_out.untimed + self.timed_out.waited.as_ref().map_or(0, waited);
        (self.latency.n_above_ms(bound_ms) + unnoticed, self.latency.n() + self.timed_out.untimed)
    }
}

impl Traffic {
    /// The slowest answer, in milliseconds.
    #[must_use]
    pub fn slowest_ms(&self, columns: &Columns) -> Option<f64> {
        columns.index_of(ColumnRole::Latency).and_then(|index| self.numeric[index].max)
    }

    /// Requests that were this version's alone: what it answers for comparison only is the baseline version's.
    #[must_use]
    pub fn served(&self) -> u64 {
        self.rates.requests.saturating_sub(self.pairs.paired)
    }

    /// An empty summary for the columns of a plan.
    #[must_use]
    pub fn new(columns: &Columns) -> Self {
        let numeric = columns.numeric.iter().map(|column| Histogram::new(&column.cut)).collect();
        Self { numeric, ..Self::without_numeric(columns) }
    }

    /// The same without its numeric columns.
    pub(crate) fn without_numeric(columns: &Columns) -> Self {
        Self {
            numeric: Vec::new(),
            categorical: columns.categorical.iter().map(|column| Category::new(column.n_cells())).collect(),
            latency: Latency::default(),
            timed_out: TimedOut::default(),
            rates: Rates::default(),
            entities: EntityBuckets::new(),
            measures: columns.measures().map(|_| MeasureSummary::default()).collect(),
            pairs: Pairs::default(),
        }
    }

    /// How many bytes it takes, about.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let waited = self.timed_out.waited.as_ref().map_or(0, Latency::bytes);
        size_of::<Self>()
            + self.numeric.iter().map(Histogram::bytes).sum::<usize>()
            + self.categorical.iter().map(Category::bytes).sum::<usize>()
            + self.latency.bytes()
            + waited
            + size_of_val(&*self.entities)
            + self.measures.iter().map(MeasureSummary::bytes).sum::<usize>()
    }

    /// Adds another summary of the same plan.
    pub fn merge(&mut self, other: &Self) {
        assert_eq!(self.numeric.len(), other.numeric.len(), "traffic of one plan merges");
        assert_eq!(self.categorical.len(), other.categorical.len(), "traffic of one plan merges");
        assert_eq!(self.measures.len(), other.measures.len(), "traffic of one plan merges");
        self.numeric.iter_mut().zip(&other.numeric).for_each(|(mine, theirs)| mine.merge(theirs));
        self.categorical.iter_mut().zip(&other.categorical).for_each(|(mine, theirs)| mine.merge(theirs));
        self.latency.merge(&other.latency);
        self.timed_out.merge(&other.timed_out);
        self.rates.merge(&other.rates);
        entity::merge(&mut self.entities, &other.entities, RequestCounts::merge);
        self.measures.iter_mut().zip(&other.measures).for_each(|(mine, theirs)| mine.merge(theirs));
        self.pairs.merge(&other.pairs);
    }
}

impl Seal for Traffic {
    fn seal(&self, out: &mut Writer) {
        self.numeric.iter().for_each(|histogram| histogram.seal(out));
        self.categorical.iter().for_each(|category| category.seal(out));
        self.latency.seal(out);
        out.all([self.timed_out.untimed, u64::from(self.timed_out.waited.is_some())]);
        self.timed_out.waited.iter().for_each(|waited| waited.seal(out));
        self.rates.seal(out);
        entity::seal(&self.entities, out);
        self.measures.iter().for_each(|measure| measure.seal(out));
    }

    fn add_sealed(&mut self, from: &mut Reader<'_>) {
        self.numeric.iter_mut().for_each(|histogram| histogram.add_sealed(from));
        self.categorical.iter_mut().for_each(|category| category.add_sealed(from));
        self.latency.add_sealed(from);
        let [untimed, has_waited] = from.all();
        self.timed_out.untimed += untimed;
        if has_waited == 1 {
            self.timed_out.waited.get_or_insert_default().add_sealed(from);
        }
        self.rates.add_sealed(from);
        entity::add_sealed(&mut self.entities, from);
        self.measures.iter_mut().for_each(|measure| measure.add_sealed(from));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_timed_out_is_slower_than_any_bound() {
        let mut traffic = Traffic::new(&Columns::default());
        for (latency_ms, timed_out) in [(10.0, false), (30.0, false), (20.0, true), (5000.0, true)] {
            traffic.latency.update(latency_ms);
            if timed_out {
                traffic.timed_out.update(Some(latency_ms));
            }
        }
        traffic.timed_out.update(None);
        let of = |bound| traffic.slower_than(bound);
        assert_eq!([of(5.0), of(25.0), of(100.0), of(1e9)], [(5, 5), (4, 5), (3, 5), (3, 5)]);
        let (mut twice, copy) = (traffic.clone(), traffic.clone());
        twice.merge(&copy);
        assert_eq!(twice.slower_than(100.0), (6, 10));
    }
}
