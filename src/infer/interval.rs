//! Intervals to show beside what decides: of a rate ratio at any time, of a ratio of quantiles and of a share in one
//! window.
//!
//! *Rate ratio*, stratified over windows (Mantel and Haenszel), so that neither a ramp nor a season biases it:
//!
//! `RR = sum of x_c n_b / N / sum of x_b n_c / N`,
//! `Var(ln RR) = deff sum of (n_c n_b X - x_c x_b N) / N^2 / (product of both sums)`.
//!
//! Its interval is a confidence *sequence*: all its looks together miss the truth with probability at most `alpha`,
//! `estimate +- sqrt(V (V + s^2) / s^2 ln((V + s^2) / (V alpha^2)))`, a mixture over effects of standard deviation `s`,
//! asymptotic in the number of events. On rare events it errs a little more often than it says, so nothing is shown
//! below 20 of them.
//!
//! *Ratio of quantiles*: the quantiles at the ranks `q +- z sqrt(deff q (1 - q) / n)` bound each (Woodruff); the two
//! intervals are combined on the log scale by the method of variance estimates recovery. Nothing is shown with fewer
//! than 20 events on either side of the quantile.
//!
//! *Share*: the shares that a score test does not reject (Wilson).
//!
//! **Source**: Wilson, JASA 22, 1927; Greenland and Robins, Biometrics 41, 1985 (variance); Howard, Ramdas, `McAuliffe`
//! and Sekhon, Ann. Stat. 49, 2021, section 3 (normal mixture); Waudby-Smith et al., Ann. Stat. 52, 2024 (asymptotic
//! form); Woodruff, JASA 47, 1952; Zou and Donner, Stat. Med. 27, 2008 (recovery). **Assumes**: independent entities,
//! with `deff` for repeated ones. **State**: three floats and two counts for the rate ratio. **Cost**: a few operations
//! per window.

use serde::{Deserialize, Serialize};

use super::log_space::float;
use super::normal::normal_upper;
use super::two_sample::Arm;

/// Prior scale of the mixture: a fifth up or down.
/// Origin: choice; ratios between versions are mostly within a fifth. It moves the width of an interval, not its
/// coverage.
const LOG_SCALE: f64 = 0.18;
/// Fewest events of the rarer kind.
/// Origin: choice; below it the normal approximation of a logarithm of a ratio is poor.
const EVENTS_MIN: f64 = 20.0;

/// A number and where it may lie.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// The estimate.
    pub value: f64,
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

impl Interval {
    fn map(self, f: impl Fn(f64) -> f64) -> Self {
        Self { value: f(self.value), low: f(self.low), high: f(self.high) }
    }

    /// The ratio of two independent positive numbers, each with its interval.
    #[must_use]
    pub fn ratio(self, other: Self) -> Self {
        let (a, b) = (self.map(libm::log), other.map(libm::log));
        let value = a.value - b.value;
        let low = value - libm::hypot(a.value - a.low, b.high - b.value);
        let high = value + libm::hypot(a.high - a.value, b.value - b.low);
        Self { value, low, high }.map(libm::exp)
    }
}

/// An interval for a number estimated again and again with this variance, good at all times together.
#[must_use]
pub fn anytime(value: f64, variance: f64, alpha: f64) -> Interval {
    let prior = LOG_SCALE * LOG_SCALE;
    let ratio = (variance + prior) / variance;
    let width = (variance * (variance + prior) / prior * libm::log(ratio / (alpha * alpha))).sqrt();
    Interval { value, low: value - width, high: value + width }
}

/// Sums behind a rate ratio that is stratified over windows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct RateRatio {
    candidate: f64,
    baseline: f64,
    spread: f64,
    successes: f64,
    events: u64,
}

impl RateRatio {
    /// Takes one window.
    pub fn update(&mut self, candidate: Arm, baseline: Arm) {
        let both = candidate.plus(baseline);
        if candidate.n == 0 || baseline.n == 0 {
            return;
        }
        let (n_c, n_b, n) = (float(candidate.n), float(baseline.n), float(both.n));
        self.candidate += candidate.x * n_b / n;
        self.baseline += baseline.x * n_c / n;
        self.spread += (n_c * n_b * both.x - candidate.x * baseline.x * n) / (n * n);
        self.successes += both.x;
        self.events += both.n;
    }

    /// `ln` of the rate ratio and its variance; nothing while either kind of event is rare.
    #[must_use]
    pub fn log_estimate(&self, deff: f64) -> Option<(f64, f64)> {
        let rarer = self.successes.min(float(self.events) - self.successes);
        let variance = deff.max(1.0) * self.spread / (self.candidate * self.baseline);
        let known = rarer >= EVENTS_MIN && self.candidate > 0.0 && self.baseline > 0.0 && variance > 0.0;
        known.then(|| (libm::log(self.candidate / self.baseline), variance))
    }

    /// The rate ratio with its anytime interval.
    #[must_use]
    pub fn interval(&self, deff: f64, alpha: f64) -> Option<Interval> {
        self.log_estimate(deff).map(|(value, variance)| anytime(value, variance, alpha).map(libm::exp))
    }

    /// The rate ratio; nothing before the baseline has any.
    #[must_use]
    pub fn value(&self) -> Option<f64> {
        (self.baseline > 0.0).then(|| self.candidate / self.baseline)
    }
}

/// The share `x / n` with its interval at level `1 - alpha`; nothing without events.
#[must_use]
pub fn wilson(x: u64, n: u64, alpha: f64) -> Option<Interval> {
    let (hits, events, z) = (float(x), float(n), normal_upper(alpha / 2.0));
    let share = hits / events;
    let center = (share + z * z / (2.0 * events)) / (1.0 + z * z / events);
    let reach = z / (1.0 + z * z / events) * (share * (1.0 - share) / events + z * z / (4.0 * events * events)).sqrt();
    (n > 0).then(|| Interval { value: share, low: (center - reach).max(0.0), high: (center + reach).min(1.0) })
}

/// The quantile at `q` of `n` events with its interval at level `1 - alpha`; `at` reads a quantile off the summary.
#[must_use]
pub fn quantile(n: u64, q: f64, deff: f64, alpha: f64, at: impl Fn(f64) -> Option<f64>) -> Option<Interval> {
    let effective = float(n) / deff.max(1.0);
    if effective * q.min(1.0 - q) < EVENTS_MIN {
        return None;
    }
    let reach = normal_upper(alpha / 2.0) * (q * (1.0 - q) / effective).sqrt();
    let (low, high) = ((q - reach).max(0.0), (q + reach).min(1.0));
    Some(Interval { value: at(q)?, low: at(low)?, high: at(high)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arm(n: u64, x: u64) -> Arm {
        Arm { n, x: float(x) }
    }

    #[test]
    fn one_stratum_is_the_plain_ratio() {
        let mut ratio = RateRatio::default();
        ratio.update(arm(500, 30), arm(1500, 60));
        let (value, variance) = ratio.log_estimate(2.0).expect("enough events");
        assert!((value - f64::ln(1.5)).abs() < 1e-12);
        // 1/30 - 1/500 + 1/60 - 1/1500, the delta method.
        let delta = 1.0 / 30.0 - 1.0 / 500.0 + 1.0 / 60.0 - 1.0 / 1500.0;
        assert!((variance - 2.0 * delta).abs() < 1e-12, "{variance}");
        assert!(ratio.value().is_some_and(|ratio| (ratio - 1.5).abs() < 1e-12));
    }

    #[test]
    fn a_ramp_under_a_season_does_not_bias() {
        let mut ratio = RateRatio::default();
        // Same rates in both arms, 1 % then 10 %, while the candidate's share grows.
        ratio.update(arm(1000, 10), arm(9000, 90));
        ratio.update(arm(9000, 900), arm(1000, 100));
        let found = ratio.interval(1.0, 0.05).expect("enough events");
        assert!((found.value - 1.0).abs() < 1e-12 && found.low < 1.0 && found.high > 1.0, "{found:?}");
    }

    #[test]
    fn shares_of_few_events() {
        // The formula in Python floats, z = 1.959963984540054.
        let found = wilson(3, 20, 0.05).expect("events");
        assert!((found.low - 0.052_368_5).abs() < 1e-6 && (found.high - 0.360_418_9).abs() < 1e-6, "{found:?}");
        let none = wilson(0, 10, 0.05).expect("events");
        assert!(none.low.abs() < 1e-12 && (none.high - 0.277_532_8).abs() < 1e-6, "{none:?}");
        assert_eq!(wilson(0, 0, 0.05), None);
    }

    #[test]
    fn little_is_not_shown() {
        let mut ratio = RateRatio::default();
        ratio.update(arm(500, 10), Arm::default());
        ratio.update(arm(500, 10), arm(500, 9));
        assert_eq!(ratio.interval(1.0, 0.05), None);
        ratio.update(arm(500, 0), arm(500, 1));
        assert!(ratio.interval(1.0, 0.05).is_some());
        assert_eq!(quantile(1900, 0.99, 1.0, 0.05, Some), None);
    }

    #[test]
    fn the_anytime_interval_is_wider_than_that_of_one_look() {
        for variance in [1e-4, 0.001, 0.01] {
            let found = anytime(0.3, variance, 0.05);
            let widths = (found.high - found.low) / 2.0 / variance.sqrt();
            assert!((2.5..5.0).contains(&widths), "{variance}: {widths} standard errors");
        }
    }

    #[test]
    fn quantiles_and_their_ratio() {
        // Of a uniform distribution on (0, 100) the quantile is its rank.
        let found = quantile(10_000, 0.5, 4.0, 0.05, |q| Some(100.0 * q)).expect("enough events");
        let half = 100.0 * 1.959_964 * (0.25_f64 / 2500.0).sqrt();
        assert!((found.value - 50.0).abs() < 1e-12 && (found.high - 50.0 - half).abs() < 1e-5, "{found:?}");
        let one = Interval { value: 2.0, low: 1.0, high: 4.0 };
        let ratio = one.ratio(Interval { value: 4.0, low: 2.0, high: 8.0 });
        let spread = 2.0_f64.sqrt() * 2.0_f64.ln();
        assert!((ratio.low - 0.5 * (-spread).exp()).abs() < 1e-12 && (ratio.high - 0.5 * spread.exp()).abs() < 1e-12);
    }
}
