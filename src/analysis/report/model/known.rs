//! What statistics packages say of two sides.

use schemars::JsonSchema;
use serde::Serialize;

/// A test of no difference at all, whatever is tolerated.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct KnownTest {
    /// `kolmogorov_smirnov`, `mann_whitney`, `welch` or `chi_square`.
    pub test: String,
    /// Largest gap, U of the current side, t, or chi-square.
    pub statistic: f64,
    /// How likely a statistic this large is if both sides are of one distribution; two-sided.
    pub p_value: f64,
    /// How the p-value was computed: `exact`, or by which law; `fine_bins` where rows were not kept.
    pub method: String,
}

/// Two rates beside each other.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, JsonSchema)]
pub struct RatesApart {
    /// The current rate less the reference's.
    pub difference: f64,
    /// Lower end of Newcombe's interval.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// The difference in units of its standard error, both sides pooled.
    pub z: f64,
    /// Two-sided p-value of that.
    pub z_p_value: f64,
    /// Two-sided p-value of Fisher's exact test.
    pub fisher_p_value: f64,
}

/// A quantile, drawn straight between neighbouring values.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, JsonSchema)]
pub struct Quantile {
    /// Share of values up to it.
    pub q: f64,
    /// The value.
    pub value: f64,
}
