//! What a metric gives: a number with everything needed to check it, or why there is none.

use crate::metric::Spec;

/// The result of one metric on one column in one convention.
#[derive(Debug, Clone, PartialEq)]
pub struct MetricResult {
    /// How exactly it was computed: bins, smoothing, base. Stable text, part of a result's identity.
    pub convention: String,
    /// The number, or why there is none.
    pub value: Value,
    /// Certified bounds of the exact value, where the number is an approximation from bins.
    pub bounds: Option<(f64, f64)>,
    /// Asymptotic p-value, where the metric has one.
    pub p_value: Option<f64>,
    /// Number of bins or categories it rests on; 0 where there are none.
    pub bins: u32,
    /// Rows of the judged side.
    pub n: u64,
    /// Rows of the baseline; 0 without one.
    pub n_baseline: u64,
}

/// A number, or why there is none. Too little data is a value, never NaN and never an error.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value {
    /// The number; finite.
    Number(f64),
    /// Too little data.
    Insufficient {
        /// Rows there were (of the smaller side).
        n: u64,
        /// Rows there had to be.
        n_min: u64,
    },
    /// Enough data, but the number is not defined for it: AUC with one class, a ratio to zero.
    Undefined,
}

/// What a formula gives, before rows are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct FormulaResult {
    value: Option<f64>,
    bounds: Option<(f64, f64)>,
    p_value: Option<f64>,
    bins: u32,
}

impl From<Option<f64>> for FormulaResult {
    fn from(value: Option<f64>) -> Self {
        Self { value, ..Self::default() }
    }
}

impl From<f64> for FormulaResult {
    fn from(value: f64) -> Self {
        Some(value).into()
    }
}

impl FormulaResult {
    /// How far the number is from `expected`; infinite when there is none.
    #[cfg(test)]
    pub(super) fn differs_from(self, expected: f64) -> f64 {
        self.value.map_or(f64::INFINITY, |value| (value - expected).abs())
    }

    /// Adds certified bounds.
    pub(super) fn within(self, low: f64, high: f64) -> Self {
        Self { bounds: Some((low, high)), ..self }
    }

    /// Adds bounds that the number is within, whatever rounding did.
    pub(super) fn around(self, low: f64, high: f64) -> Self {
        let Some(value) = self.value else { return self };
        self.within(low.min(value), high.max(value))
    }

    /// Adds a p-value.
    pub(super) fn with_p(self, p_value: f64) -> Self {
        Self { p_value: Some(p_value), ..self }
    }

    /// Adds the number of bins.
    pub(super) fn over(self, bins: usize) -> Self {
        Self { bins: u32::try_from(bins).unwrap_or(u32::MAX), ..self }
    }
}

impl MetricResult {
    /// No larger than the largest value there was: a quantile of a histogram is the upper end of its cell.
    #[must_use]
    pub(crate) fn at_most(mut self, max: Option<f64>) -> Self {
        let Some(max) = max else { return self };
        if let Value::Number(value) = &mut self.value {
            *value = f64::min(*value, max);
        }
        self.bounds = self.bounds.map(|(low, high)| (low.min(max), high.min(max)));
        self
    }

    /// The reading of a metric for `n` judged rows and, where it compares, `n_baseline` others. The formula is asked
    /// only when there are enough rows.
    pub(super) fn new(
        spec: &Spec,
        convention: impl Into<String>,
        (n, n_baseline): (u64, Option<u64>),
        formula: impl FnOnce() -> FormulaResult,
    ) -> Self {
        let n_smaller = n_baseline.map_or(n, |other| n.min(other));
        let enough = n_smaller >= spec.n_min;
        let measured = if enough { formula() } else { FormulaResult::default() };
        // A number beyond the range of floats is no number; one that rounding pushed out of the range goes back.
        let (low, high) = spec.range;
        let number = measured.value.filter(|value| value.is_finite()).map(|value| one_zero(value.clamp(low, high)));
        Self {
            convention: convention.into(),
            value: match number {
                Some(value) => Value::Number(value),
                None if enough => Value::Undefined,
                None => Value::Insufficient { n: n_smaller, n_min: spec.n_min },
            },
            bounds: number
                .and(measured.bounds)
                .filter(|(low, high)| low.is_finite() && high.is_finite())
                .map(|(low, high)| (one_zero(low), one_zero(high))),
            p_value: number.and(measured.p_value).filter(|p| p.is_finite()),
            bins: measured.bins,
            n,
            n_baseline: n_baseline.unwrap_or(0),
        }
    }
}

/// Zero without a sign: which zero an empty sum or a maximum of two zeros gives is up to the compiler, and would be
/// seen in what is written.
fn one_zero(value: f64) -> f64 {
    value + 0.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zero_has_no_sign() {
        let nothing = std::iter::empty::<f64>().sum::<f64>();
        assert!(nothing.is_sign_negative(), "the sum that this is about");
        let reading =
            MetricResult::new(&Spec::QUALITY, "", (1000, None), || FormulaResult::from(nothing).within(nothing, 1.0));
        assert_eq!(reading.value, Value::Number(0.0));
        let Value::Number(value) = reading.value else { return };
        assert!(value.is_sign_positive() && reading.bounds.is_some_and(|(low, _)| low.is_sign_positive()));
    }
}
