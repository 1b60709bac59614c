//! Is the population stability index of a window beyond what is tolerated, or only beyond zero?
//!
//! `PSI = sum over cells of (q - p) ln(q / p)`, `p` and `q` the shares of the reference and of the window. Where the
//! true index is `tau`, `PSI / s` follows a non-central chi-square law with `k - 1` degrees of freedom and
//! non-centrality `tau / s`, `s = deff (1 / n + 1 / m)`, so
//!
//! `p-value = P(X > PSI / s)`, `critical = s F^-1(1 - alpha)`, `debiased = max(0, PSI - (k - 1) s)`,
//!
//! and an interval for the true index holds every `tau` that neither tail rejects. With `tau` 0 this is the classical
//! test, which calls any difference drift once windows are large; with a tolerance it does not.
//!
//! Cells expected to hold fewer than five events of the smaller side are put together in turn until they hold five
//! (neighbours, where cells have an order, so that small windows still tell low from high), and what is left joins the
//! smallest of the others; then each side's shares are `(x + 1/2) / (n + k/2)` (Jeffreys). Putting cells together can
//! only lower the true index.
//!
//! **Source**: Yurdakul and Naranjo, Statistical properties of the population stability index, J. Risk Model Validation
//! 14(4), 2020, section 3 (null law); the tolerance form is that of Hodges and Lehmann, JRSS B 16, 1954, for chi-square
//! distances. **Assumes**: independent events, or a design effect that says how far from it; cells chosen before the
//! window. The reference is shared by all windows, so its error does not average out: [`tolerance_for`] makes up for a
//! small one. **State**: none. **Cost**: a logarithm per cell and a sum of about `10 sqrt(tau / s)` terms; tens of
//! those per interval.
//!
//! `tests/size_power.rs` measures size and power.

use super::log_space::float;
use super::noncentral::{noncentral_sf, noncentral_upper, noncentrality};

/// Fewest events that the smaller side is expected to have in a cell.
/// Origin: literature; the rule of five for chi-square (Cochran 1952).
const EXPECTED_MIN: f64 = 5.0;
/// Added to every count.
/// Origin: literature; Jeffreys (1946).
const JEFFREYS: f64 = 0.5;
/// A reference this many times `(k - 1) / tau` large adds nothing to speak of.
/// Origin: derived; its own noise is then a tenth of the tolerance.
const REFERENCE_ENOUGH: f64 = 10.0;
/// The chance that a reference is further from the truth than [`tolerance_for`] makes up for.
/// Origin: choice; the level of a guard.
const REFERENCE_ALPHA: f64 = 0.01;

/// The index of one window against a reference, and what is tolerated.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PsiTest {
    /// The index as computed, upwards biased by about `(k - 1) s`.
    pub psi: f64,
    /// The tolerated index, `tau`.
    pub tau: f64,
    /// Cells after small ones were put together, less one.
    pub dof: u32,
    /// `s`: what one degree of freedom adds by chance.
    pub scale: f64,
    /// The same of independent events.
    chance: f64,
}

impl PsiTest {
    /// Compares counts per cell; nothing if a side is empty or a single cell remains.
    ///
    /// `deff` is the design effect: 1 for independent events, more if events of one entity are alike.
    #[must_use]
    pub fn of(reference: &[u64], window: &[u64], tau: f64, deff: f64) -> Option<Self> {
        assert_eq!(reference.len(), window.len(), "one count per cell and side");
        let (m, n) = (float(reference.iter().sum()), float(window.iter().sum()));
        if m == 0.0 || n == 0.0 {
            return None;
        }
        Self::over(&lump(reference, window, m.min(n) / (m + n)), tau, deff)
    }

    /// Compares the cell that holds most with all others together, however few they are: where [`Self::of`] has nothing
    /// to compare because all but one cell are too small. The law is rough then, and errs on the side of no drift while
    /// the reference has no event in the others.
    #[must_use]
    pub fn of_largest(reference: &[u64], window: &[u64], tau: f64, deff: f64) -> Option<Self> {
        assert_eq!(reference.len(), window.len(), "one count per cell and side");
        let (m, n): (u64, u64) = (reference.iter().sum(), window.iter().sum());
        let (&r, &w) = reference.iter().zip(window).max_by_key(|(r, w)| *r + *w)?;
        let is_split = m > 0 && n > 0 && r + w < m + n;
        is_split.then(|| Self::over(&[(r, w), (m - r, n - w)], tau, deff)).flatten()
    }

    /// The index over cells `(reference, window)`; nothing for a single one.
    fn over(cells: &[(u64, u64)], tau: f64, deff: f64) -> Option<Self> {
        let (m, n) = cells.iter().fold((0, 0), |sum, cell| (sum.0 + cell.0, sum.1 + cell.1));
        let (m, n) = (float(m), float(n));
        let added = JEFFREYS * float(cells.len() as u64);
        let psi = cells.iter().map(|cell| {
            let (p, q) = ((float(cell.0) + JEFFREYS) / (m + added), (float(cell.1) + JEFFREYS) / (n + added));
            (q - p) * libm::log(q / p)
        });
        let dof = u32::try_from(cells.len()).unwrap_or(u32::MAX).saturating_sub(1);
        let chance = 1.0 / n + 1.0 / m;
        (dof > 0).then(|| Self { psi: psi.sum(), tau, dof, chance, scale: deff.max(1.0) * chance })
    }

    /// How many times as large the index is as chance makes that of independent events.
    #[must_use]
    pub fn dispersion(&self) -> f64 {
        self.psi / (self.chance * f64::from(self.dof))
    }

    /// How likely an index this large is if the true one is just tolerated.
    #[must_use]
    pub fn p(&self) -> f64 {
        noncentral_sf(self.psi / self.scale, self.dof, self.tau / self.scale)
    }

    /// The index beyond which the p-value is below `alpha`.
    #[cfg(test)]
    fn critical(&self, alpha: f64) -> f64 {
        self.scale * noncentral_upper(alpha, self.dof, self.tau / self.scale)
    }

    /// The index less what chance adds to it on average.
    #[must_use]
    pub fn debiased(&self) -> f64 {
        (self.psi - f64::from(self.dof) * self.scale).max(0.0)
    }

    /// The true indices that a test of either tail at `alpha / 2` does not reject.
    #[must_use]
    pub fn interval(&self, alpha: f64) -> (f64, f64) {
        let at = |p: f64| self.scale * noncentrality(self.psi / self.scale, self.dof, p);
        (at(alpha / 2.0), at(1.0 - alpha / 2.0))
    }
}

/// What to tolerate so that windows within `tau` of the truth pass although the reference has only `m` events in `k`
/// cells.
#[must_use]
pub fn tolerance_for(tau: f64, k: u32, m: u64) -> f64 {
    let dof = k.saturating_sub(1);
    if tau * float(m) >= REFERENCE_ENOUGH * f64::from(dof) {
        return tau;
    }
    tau + noncentral_upper(REFERENCE_ALPHA, dof, 0.0) / float(m.max(1))
}

/// Cells as `(reference, window)`, those too small for the law put together; `smaller` is the smaller side's part of
/// all events.
fn lump(reference: &[u64], window: &[u64], smaller: f64) -> Vec<(u64, u64)> {
    let expected = |&(r, w): &(u64, u64)| float(r + w) * smaller;
    let plus = |a: (u64, u64), b: (u64, u64)| (a.0 + b.0, a.1 + b.1);
    let (mut cells, mut small) = (Vec::new(), (0, 0));
    for cell in reference.iter().copied().zip(window.iter().copied()) {
        if expected(&cell) >= EXPECTED_MIN {
            cells.push(cell);
            continue;
        }
        small = plus(small, cell);
        if expected(&small) >= EXPECTED_MIN {
            cells.push(std::mem::take(&mut small));
        }
    }
    if let Some(smallest) = cells.iter_mut().min_by_key(|cell| cell.0 + cell.1) {
        *smallest = plus(*smallest, small);
    }
    cells
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        let test = PsiTest::of(&[60, 40], &[30, 70], 0.1, 2.0).expect("two cells");
        let (p, q) = ([60.5 / 101.0, 40.5 / 101.0], [30.5 / 101.0, 70.5 / 101.0]);
        let psi: f64 = (0..2).map(|i| (q[i] - p[i]) * f64::ln(q[i] / p[i])).sum();
        assert!((test.psi - psi).abs() < 1e-14 && test.dof == 1 && (test.scale - 0.04).abs() < 1e-15, "{test:?}");
        assert!((test.debiased() - (psi - 0.04)).abs() < 1e-14);
    }

    #[test]
    fn critical_values_of_a_tolerance_of_a_tenth() {
        // scipy.stats.ncx2.isf (SciPy 1.17.1) at 5 %, ten cells, both sides of the same size.
        for (n, truth) in [(500, 0.213_413_820_461_7), (5_000, 0.125_250_536_826_3), (50_000, 0.107_012_861_937_3)] {
            let even = vec![n / 10; 10];
            let test = PsiTest::of(&even, &even, 0.1, 1.0).expect("ten cells");
            assert!((test.critical(0.05) - truth).abs() < 1e-6, "{n}: {}", test.critical(0.05));
            assert!(test.psi.abs() < 1e-15 && test.p() > 0.999_999);
        }
    }

    #[test]
    fn an_index_at_the_critical_value_has_the_level_as_its_p_value_and_as_an_end_of_its_interval() {
        let mut test = PsiTest::of(&[500; 20], &[100; 20], 0.1, 1.0).expect("twenty cells");
        test.psi = test.critical(0.05);
        assert!((test.p() - 0.05).abs() < 1e-9);
        let (low, high) = test.interval(0.1);
        assert!((low - 0.1).abs() < 1e-6 && high > test.psi - 19.0 * test.scale, "{low} {high}");
    }

    #[test]
    fn small_cells_are_put_together() {
        let cells = lump(&[100, 3, 2, 900, 4], &[100, 3, 4, 800, 4], 0.5);
        assert_eq!(cells, [(100, 100), (9, 11), (900, 800)]);
        assert_eq!(lump(&[3; 8], &[3; 8], 0.5), [(6, 6); 4]);
        assert_eq!(lump(&[100, 3, 900], &[100, 1, 800], 0.5), [(103, 101), (900, 800)]);
        assert!(lump(&[3, 1], &[1, 2], 0.5).is_empty());
    }

    #[test]
    fn nothing_to_compare() {
        assert_eq!(PsiTest::of(&[0, 0], &[5, 9], 0.1, 1.0), None);
        assert_eq!(PsiTest::of(&[5, 9], &[0, 0], 0.1, 1.0), None);
        assert_eq!(PsiTest::of(&[50], &[90], 0.1, 1.0), None);
        assert_eq!(PsiTest::of(&[], &[], 0.1, 1.0), None);
    }

    #[test]
    fn a_small_reference_is_given_more() {
        assert!((tolerance_for(0.1, 10, 900) - 0.1).abs() < 1e-15);
        // The 99th percentile of chi-square with 9 degrees of freedom is 21.666.
        assert!((tolerance_for(0.1, 10, 500) - 0.1 - 21.666 / 500.0).abs() < 1e-5);
    }
}
