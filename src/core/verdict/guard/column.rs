//! The columns whose drift is watched: the cells in which two sides of a window are counted, and the distance of
//! scores.

use std::sync::Arc;

use crate::infer::ks_tolerance::KsTest;
use crate::infer::location::{Location, location};
use crate::infer::normal::normal_sf;
use crate::metric::alike::settled;
use crate::metric::paired::cells_of_both;
use crate::plan::{ColumnRole, Plan};
use crate::reason::ReasonCode;
use crate::summary::histogram::Cut;
use crate::summary::{Category, Refined, Traffic};

/// Cells of a categorical column without a reference.
/// Origin: choice; a bound on state: rarer categories share a cell.
const SLOTS: u64 = 16;

/// One column.
#[derive(Debug, Clone)]
pub(crate) struct Column {
    pub name: String,
    pub(crate) code: ReasonCode,
    /// Whether it tells the time, and windows are shorter than its cycle: no fixed reference can be like one of them.
    pub(crate) calendar: bool,
    pub(super) place: ColumnBinning,
}

#[derive(Debug, Clone)]
pub(super) enum ColumnBinning {
    Numeric(usize, Arc<Cut>),
    Categorical(usize),
}

/// All columns of a plan but latencies and measures.
pub(super) fn columns(plan: &Plan) -> impl Iterator<Item = Column> {
    let calendar = move |column: &str| plan.time.is_within_a_cycle(column);
    let numeric = plan.columns.numeric.iter().enumerate().filter_map(move |(index, column)| {
        let code = match column.role {
            ColumnRole::Feature => ReasonCode::FeatureDrift,
            ColumnRole::Score => ReasonCode::ScoreDrift,
            // A measure may move: in which way it must not is said of its mean.
            ColumnRole::Latency | ColumnRole::Measure => return None,
        };
        Some(Column {
            name: column.name.clone(),
            code,
            calendar: calendar(&column.name),
            place: ColumnBinning::Numeric(index, Arc::clone(&column.cut)),
        })
    });
    let categorical = plan.columns.categorical.iter().enumerate().map(move |(index, column)| Column {
        name: column.name.clone(),
        code: ReasonCode::FeatureDrift,
        calendar: calendar(&column.name),
        place: ColumnBinning::Categorical(index),
    });
    numeric.chain(categorical)
}

impl Column {
    pub(super) fn is_numeric(&self) -> bool {
        matches!(self.place, ColumnBinning::Numeric(..))
    }

    /// The p-value of a Kolmogorov-Smirnov test of scores, which have an order that few cells lose. Between normal
    /// distributions a tolerated index `d^2` is a shift by `d`, and that is a distance of `2 Phi(d / 2) - 1`.
    pub(super) fn ks_p(&self, current: &Traffic, reference: &Traffic, tolerated: f64, deff: f64) -> Option<f64> {
        let ColumnBinning::Numeric(index, cut) = &self.place else { return None };
        if self.code != ReasonCode::ScoreDrift {
            return None;
        }
        let bins = Refined::of(cut, [&current.numeric[*index], &reference.numeric[*index]]);
        let [current, reference] = settled(cut, &bins);
        let tau = 1.0 - 2.0 * normal_sf(tolerated.sqrt() / 2.0);
        KsTest::of(&reference, &current, tau, deff, |_| false).map(|test| test.p())
    }

    /// Where its values lie, against a fixed reference.
    pub(super) fn location(&self, current: &Traffic, reference: &Traffic) -> Option<Location> {
        let ColumnBinning::Numeric(index, _) = &self.place else { return None };
        location(&reference.numeric[*index].counts, &current.numeric[*index].counts)
    }

    /// Counts of both sides over the decision's cells; missing values come last.
    pub(super) fn cells(&self, current: &Traffic, (reference, fixed): (&Traffic, bool)) -> [Vec<u64>; 2] {
        match &self.place {
            ColumnBinning::Numeric(index, cut) => {
                let sides = [&current.numeric[*index], &reference.numeric[*index]];
                let mut cells = if fixed {
                    sides.map(|side| side.recut(&cut.recuts.bins20))
                } else {
                    cells_of_both(cut, sides, 20)
                };
                cells.iter_mut().zip(sides).for_each(|(cells, side)| cells.push(side.missing + side.nan));
                cells
            }
            ColumnBinning::Categorical(index) => [current, reference].map(|side| names(&side.categorical[*index])),
        }
    }
}

/// Counts over the categories of the reference, all others, and missing values.
fn names(category: &Category) -> Vec<u64> {
    let mut cells = category.known.clone();
    let slots = if cells.is_empty() { SLOTS } else { 1 };
    let first = cells.len();
    cells.resize(first + usize::try_from(slots).unwrap_or(1), 0);
    for (hash, (_, n)) in &category.unseen {
        cells[first + usize::try_from(hash % slots).unwrap_or(0)] += n;
    }
    cells[first] += category.other;
    cells.push(category.missing);
    cells
}
