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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::baseline::cut;

    fn cut_of(values: &[f64]) -> Cut {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        cut::of_values(&sorted, 1040)
    }

    fn counted(cut: &Cut, values: &[f64]) -> Histogram {
        let mut histogram = Histogram::new(cut);
        histogram.update(cut, values);
        histogram
    }

    fn moved(reference: &[f64], current: &[f64]) -> Option<Moved> {
        let cut = cut_of(reference);
        Moved::of_numbers(&cut, &counted(&cut, reference), &counted(&cut, current))
    }

    fn even(n: u32) -> Vec<f64> {
        (0..n).map(|i| f64::from(i) / f64::from(n)).collect()
    }

    fn close(found: f64, expected: f64) {
        assert!((found - expected).abs() <= 1e-9 * expected.abs().max(1e-3), "{found}, not {expected}");
    }

    /// `NumPy` and `SciPy` 1.16: shares `(x + 1/2) / (n + k/2)`, `scipy.stats.ncx2.sf(psi / s, k - 1, 0.1 / s)`,
    /// `s = 1/n + 1/m`.
    #[test]
    fn categories_have_the_index_and_the_p_value_of_scipy_and_no_distance() {
        let within = Moved::of_cells(&[500, 500], &[600, 400]).expect("two cells");
        close(within.psi.psi, 0.040_464_423_078_084_33);
        close(within.psi.debiased(), 0.038_464_423_078_084_33);
        close(within.p(), 0.994_959_591_260_741);
        assert!(within.ks.is_none() && !within.is_beyond());
        let beyond = Moved::of_cells(&[500, 300, 200], &[250, 300, 450]).expect("three cells");
        close(beyond.psi.debiased(), 0.370_860_835_879_212_3);
        assert!((beyond.p() / 2.524_706e-11 - 1.0).abs() < 1e-4, "{}", beyond.p());
        assert!(beyond.is_beyond());
    }

    #[test]
    fn nothing_is_said_where_a_side_is_empty_or_all_is_in_one_cell() {
        for (reference, current) in [(&[0, 0], &[5, 5]), (&[5, 5], &[0, 0]), (&[9, 0], &[9, 0]), (&[0, 0], &[0, 0])] {
            assert_eq!(Moved::of_cells(reference, current), None, "{reference:?} {current:?}");
        }
        assert_eq!(moved(&even(100), &[]), None);
        assert_eq!(moved(&[3.0; 50], &[3.0; 50]), None);
        assert!(Moved::of_cells(&[1000, 0], &[20, 3]).is_some(), "the largest cell against all others, however few");
        assert!(Moved::of_cells(&[100, 0], &[60, 40]).is_some_and(|moved| moved.is_beyond()), "a cell that was empty");
    }

    #[test]
    fn of_two_tests_the_smaller_p_value_counts_twice() {
        let shifted: Vec<f64> = even(1000).iter().map(|x| x + 0.12).collect();
        let moved = moved(&even(1000), &shifted).expect("values");
        let (psi, ks) = (moved.psi.p(), moved.ks.as_ref().expect("numbers").p());
        close(moved.p(), (2.0 * psi.min(ks)).min(1.0));
        assert!(moved.p() > psi.min(ks) && moved.p() <= 1.0, "{psi} {ks}");
        let same = self::moved(&even(1000), &even(1000)).expect("values");
        assert!((same.p() - 1.0).abs() < 1e-12 && !same.is_beyond(), "twice a p-value of one is no more than one");
    }

    /// Of a logistic distribution that moves by `d` the distance is `tanh(d / 4)`, 0.104, and the index about
    /// `d^2 / 3`, 0.057.
    #[test]
    fn a_small_shift_is_beyond_by_its_distance_alone() {
        let logistic: Vec<f64> = even(4000).iter().map(|u| u + 1.0 / 8000.0).map(|u| (u / (1.0 - u)).ln()).collect();
        let shifted = |by: f64| logistic.iter().map(|x| x + by).collect::<Vec<f64>>();
        let moved = |by: f64| self::moved(&logistic, &shifted(by)).expect("values");
        let found = moved(0.416);
        let ks = found.ks.clone().expect("numbers");
        assert!((ks.low - (0.104_f64).tanh()).abs() < 1e-3, "{}", ks.low);
        assert!((found.psi.psi - 0.057).abs() < 0.004, "{:?}", found.psi);
        assert!(found.psi.debiased() <= PSI_TOLERATED && found.is_beyond());
        assert!(!moved(0.38).is_beyond(), "a distance of 0.095");
    }

    /// `0.1 + 0.2` is the next float above `0.3`: half of the rows change in the last bit.
    #[test]
    fn last_bits_of_a_heavy_value_are_no_drift() {
        let with = |heavy: f64| [vec![heavy; 500], even(500)].concat();
        let (reference, current) = (with(0.3), with(0.1 + 0.2));
        let settled = moved(&reference, &current).expect("values");
        assert!(settled.ks.as_ref().is_some_and(|ks| ks.low < 1e-12), "{:?}", settled.ks);
        assert!(!settled.is_beyond() && settled.p() > 0.99);
        let cut = cut_of(&reference);
        let [a, b] = [&reference, &current].map(|values| counted(&cut, values));
        let as_they_are =
            KsTest::of(&a.counts, &b.counts, KS_TOLERATED, 1.0, |bin| is_one_number(cut.edges.as_slice(), bin));
        assert!(as_they_are.is_some_and(|ks| ks.low > 0.4), "the numbers themselves did change");
        let elsewhere = moved(&reference, &with(0.31)).expect("values");
        assert!(elsewhere.is_beyond() && elsewhere.p() < 1e-6, "another value is one");
    }

    #[test]
    fn every_row_is_in_one_settled_cell() {
        for reference in [even(700), [vec![0.5; 100], even(300)].concat(), vec![1.0, 1.0, 2.0, 2.0, 3.0]] {
            let current: Vec<f64> = reference.iter().map(|x| x * 1.5 - 0.1).collect();
            let cut = cut_of(&reference);
            let [a, b] = [&reference, &current].map(|values| counted(&cut, values));
            let (before, after, atoms) = settled(&cut, &a, &b);
            assert_eq!((before.iter().sum::<u64>(), after.iter().sum::<u64>()), (a.n(), b.n()));
            assert_eq!((before.len(), after.len()), (atoms.len(), atoms.len()));
        }
    }
}
