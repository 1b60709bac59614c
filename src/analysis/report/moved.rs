//! How far a column moved: an index and a distance, each held against what is tolerated of it.
//!
//! The population stability index says how far shares of bins or categories moved, Kolmogorov and Smirnov's distance
//! how far the values did. A shift by a third of a standard deviation has an index of a tenth and a distance above it;
//! mass that gathers within one bin has a distance only. So a column moved beyond what is tolerated if either did.
//!
//! The two numbers say where a column *stands*; whether it is called drifted is decided by their p-values, over all
//! columns together. A column whose numbers are beyond the tolerance, but may be so by chance, is *unclear*: to call it
//! within would be a claim that so few rows cannot bear.
//!
//! **Last bits.** Numbers that were written in lower precision, or added in another order, are not drift. What comes
//! that near to a value of which the reference holds much counts as that value (`baseline::cut` lays the edges). The
//! distance that decides is therefore taken at edges outside of that; the one that is shown is that of the numbers as
//! they are.

use std::ops::Range;

use crate::infer::ks_tolerance::KsTest;
use crate::infer::psi_tolerance::{PsiTest, tolerance_for};
use crate::metric::ks::is_one_number;
use crate::summary::Histogram;
use crate::summary::histogram::Cut;

/// The index that is tolerated.
pub const PSI_TOLERATED: f64 = 0.1;
/// The distance that is tolerated.
pub const KS_TOLERATED: f64 = 0.1;
/// Values that hold a part of this are heavy. (Cuts take a little less, from a part of the rows where there are many.)
const HEAVY: u64 = 16;

/// How far the two sides of a column are apart.
#[derive(Debug, Clone, PartialEq)]
pub struct Moved {
    /// The index over deciles of the reference, or over categories.
    pub psi: PsiTest,
    /// The distance, of numbers.
    pub ks: Option<KsTest>,
}

impl Moved {
    /// Two sides of numbers; nothing where a side is empty or both have all rows in one and the same cell.
    #[must_use]
    pub fn of_numbers(cut: &Cut, reference: &Histogram, current: &Histogram) -> Option<Self> {
        let [m, n] = [reference, current].map(|side| side.recut(&cut.recuts.bins10));
        let (before, after, atoms) = settled(cut, reference, current);
        Some(Self { psi: index_of_any(&m, &n)?, ks: KsTest::of(&before, &after, KS_TOLERATED, 1.0, |bin| atoms[bin]) })
    }

    /// Two rows of counts over the same cells; nothing where a side is empty or all is in one cell.
    #[must_use]
    pub fn of_cells(reference: &[u64], current: &[u64]) -> Option<Self> {
        Some(Self { psi: index_of_any(reference, current)?, ks: None })
    }

    /// Whether the column, as it was seen, is further off than is tolerated.
    #[must_use]
    pub fn is_beyond(&self) -> bool {
        self.psi.debiased() > PSI_TOLERATED || self.ks.as_ref().is_some_and(|ks| ks.high >= KS_TOLERATED)
    }

    /// How likely that is if it is just tolerated: the smaller p-value of two tests, doubled (Bonferroni).
    #[must_use]
    pub fn p(&self) -> f64 {
        let psi = self.psi.p();
        self.ks.as_ref().map_or(psi, |ks| (2.0 * psi.min(ks.p())).min(1.0))
    }
}

/// The index against what is tolerated of it; nothing where all cells but one are too small for its law.
pub(super) fn index(reference: &[u64], current: &[u64]) -> Option<PsiTest> {
    PsiTest::of(reference, current, tolerated(reference), 1.0)
}

fn index_of_any(reference: &[u64], current: &[u64]) -> Option<PsiTest> {
    index(reference, current).or_else(|| PsiTest::of_largest(reference, current, tolerated(reference), 1.0))
}

fn tolerated(reference: &[u64]) -> f64 {
    let k = u32::try_from(reference.len()).unwrap_or(u32::MAX);
    tolerance_for(PSI_TOLERATED, k, reference.iter().sum())
}

/// Counts of both sides over fine bins, those of a heavy value put together, and which of these hold one value.
fn settled(cut: &Cut, reference: &Histogram, current: &Histogram) -> (Vec<u64>, Vec<u64>, Vec<bool>) {
    let edges = cut.edges.as_slice();
    let (mut before, mut after, mut atoms) = (Vec::new(), Vec::new(), Vec::new());
    let (mut at, end) = (0, reference.counts.len());
    for heavy in heavy(cut, reference).into_iter().chain(std::iter::once(end..end)) {
        for bin in at..heavy.start {
            before.push(reference.counts[bin]);
            after.push(current.counts[bin]);
            atoms.push(is_one_number(edges, bin));
        }
        if !heavy.is_empty() {
            before.push(reference.counts[heavy.clone()].iter().sum());
            after.push(current.counts[heavy.clone()].iter().sum());
            atoms.push(true);
        }
        at = heavy.end;
    }
    (before, after, atoms)
}

/// Heavy values of the reference: the bin of each, and those beside it, which `baseline::cut` has laid for what is
/// taken for the value.
fn heavy(cut: &Cut, reference: &Histogram) -> Vec<Range<usize>> {
    let (edges, n) = (cut.edges.as_slice(), reference.n());
    let mut runs: Vec<Range<usize>> = Vec::new();
    for (bin, &count) in reference.counts.iter().enumerate() {
        if count > 1 && count * HEAVY >= n && is_one_number(edges, bin) {
            let from = runs.last().map_or(0, |run| run.end).max(bin - 1);
            runs.push(from..(bin + 2).min(reference.counts.len()));
        }
    }
    runs
}
