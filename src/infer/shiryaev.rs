//! Has the stream changed? A Shiryaev-Roberts detector made of e-values, for streams that never end.
//!
//! `R <- (1 + R) e`: the sum, over all windows at which a change may have begun, of the product of e-values since.
//! Under the null `R - t` is a supermartingale, so that an alarm at `R >= A` comes no sooner than after `A` windows on
//! average, for ever.
//!
//! E-values are cut at `A^(1 / k)`, so that fewer than `k` windows never raise the alarm and a blip does not; cutting
//! from above keeps the promise. There is no cut from below and no floor under `R`: either would be evidence from
//! nowhere.
//!
//! A [`Monitor`] feeds the detector from p-values: calibrated ([`log_e_of_p`]), then raised to the power `1 / T` for
//! windows that resemble their predecessors ([`Autocorrelation`]). By Jensen's inequality that keeps `E[e] <= 1`.
//!
//! **Source**: Shin, Ramdas and Rinaldo, E-detectors: a nonparametric framework for sequential change detection, NEJSDS
//! 2(2), 2023, sections 2 and 3; Roberts, A comparison of some control chart procedures, Technometrics 8, 1966.
//! **Assumes**: given the windows before, e-values of mean at most 1 while nothing is wrong; exact for independent
//! windows, and as good as the correlation is known for others. **State**: one float, and the autocorrelation's for a
//! monitor. **Cost**: two elementary functions per window; six for a monitor.
//!
//! Run lengths and delays are measured in `tests/drift.rs`.
//!
//! [`log_e_of_p`]: super::calibrator::log_e_of_p

use serde::{Deserialize, Serialize};

use super::autocorrelation::Autocorrelation;
use super::calibrator::log_e_of_p;
use super::log_space::{log_add, log_mean};

/// When a detector raises its alarm.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AlarmRule {
    /// `A`: mean windows between false alarms.
    pub patience: f64,
    /// `k`: fewest windows that can raise it.
    pub windows_min: u32,
}

impl AlarmRule {
    /// Where `ln R` raises it.
    #[must_use]
    pub fn threshold(self) -> f64 {
        libm::log(self.patience)
    }

    /// The most that one window may say, as a logarithm, in a part that has this weight in a family.
    #[must_use]
    pub fn cut(self, weight: f64) -> f64 {
        libm::log(self.patience / weight) / f64::from(self.windows_min.max(1))
    }
}

/// `ln R`, minus infinity before the first window.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Shiryaev {
    /// `None` stands for minus infinity, which JSON cannot hold.
    log_r: Option<f64>,
}

impl Shiryaev {
    /// Takes the `ln e` of the next window, cut from above.
    pub fn update(&mut self, log_e: f64, cut: f64) {
        // The lesser of a number and of what is none is the number: it would count as all the evidence there can be.
        assert!(!log_e.is_nan() && cut.is_finite(), "evidence {log_e}, cut at {cut}");
        self.log_r = Some(log_add(self.log_r(), 0.0) + log_e.min(cut)).filter(|log_r| log_r.is_finite());
    }

    /// `ln R`.
    #[must_use]
    pub fn log_r(&self) -> f64 {
        self.log_r.unwrap_or(f64::NEG_INFINITY)
    }
}

/// A detector fed from p-values.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Monitor {
    log_r: Shiryaev,
    autocorrelation: Autocorrelation,
}

impl Monitor {
    /// Takes the p-value of the next window, in order.
    pub fn update(&mut self, p: f64, alarm: AlarmRule) {
        self.update_with(&[p], alarm);
    }

    /// Takes the p-values of the next window's tests, which may depend on each other in any way: the mean of their
    /// e-values counts, and the smallest times their number, a p-value again, tells how windows resemble each other.
    pub fn update_with(&mut self, ps: &[f64], alarm: AlarmRule) {
        let log_e = log_mean(ps.iter().map(|&p| log_e_of_p(p)));
        // Only earlier windows say how much this one counts.
        self.log_r.update(log_e / self.autocorrelation.time(), alarm.cut(1.0));
        let tests = f64::from(u32::try_from(ps.len()).unwrap_or(u32::MAX));
        self.autocorrelation.update((ps.iter().copied().fold(1.0, f64::min) * tests).min(1.0));
    }

    /// Begins anew: what was gathered is no evidence any more. How windows resemble each other stays known.
    pub fn forget(&mut self) {
        self.log_r = Shiryaev::default();
    }

    /// `ln R`.
    #[must_use]
    pub fn log_r(&self) -> f64 {
        self.log_r.log_r()
    }

    /// Whether the alarm is raised.
    #[must_use]
    pub fn fires(&self, alarm: AlarmRule) -> bool {
        self.log_r() >= alarm.threshold()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALARM: AlarmRule = AlarmRule { patience: 1000.0, windows_min: 3 };

    #[test]
    fn agrees_with_the_sum_over_starts() {
        let gains = [0.3, -1.2, 2.0, 5.0, -0.4];
        let mut detector = Shiryaev::default();
        for end in 1..=gains.len() {
            detector.update(gains[end - 1], 1.5);
            let since = |start: usize| gains[start..end].iter().map(|gain: &f64| gain.min(1.5)).sum::<f64>().exp();
            let truth: f64 = (0..end).map(since).sum();
            assert!((detector.log_r() - truth.ln()).abs() < 1e-12, "{end}: {}", detector.log_r());
        }
    }

    #[test]
    fn fewer_windows_than_the_fewest_never_raise_the_alarm() {
        for windows_min in 1..5 {
            let alarm = AlarmRule { windows_min, ..ALARM };
            let mut monitor = Monitor::default();
            for window in 1..=10 {
                monitor.update(0.0, alarm);
                assert_eq!(monitor.fires(alarm), window >= windows_min, "{window} of {windows_min}");
            }
        }
    }

    #[test]
    fn windows_within_the_tolerance_leave_nothing_to_overcome() {
        let mut monitor = Monitor::default();
        (0..10_000).for_each(|_| monitor.update(1.0, ALARM));
        assert!((0.0..2.0).contains(&monitor.log_r()), "{}", monitor.log_r());
        (0..3).for_each(|_| monitor.update(1e-30, ALARM));
        assert!(monitor.fires(ALARM));
    }

    #[test]
    fn a_window_is_tempered_by_earlier_windows_only() {
        let seen = |last: f64| {
            let mut monitor = Monitor::default();
            [0.3, 0.6, 0.2, 0.9, 0.5].into_iter().for_each(|p| monitor.update(p, ALARM));
            let time = monitor.autocorrelation.time();
            let before = monitor.log_r();
            monitor.update(last, ALARM);
            (monitor.log_r() - log_add(before, 0.0)) * time
        };
        for p in [0.01, 0.4, 0.99] {
            assert!((seen(p) - log_e_of_p(p)).abs() < 1e-9, "{p}: {}", seen(p));
        }
    }

    #[test]
    fn state_survives_json_bit_by_bit() {
        let mut monitor = Monitor::default();
        for p in [0.3, 1e-9, 1.0, 0.0, 0.123_456_789] {
            let text = serde_json::to_string(&monitor).expect("a finite state");
            assert_eq!(serde_json::from_str::<Monitor>(&text).expect("its own text"), monitor);
            monitor.update(p, ALARM);
        }
        let mut nothing = Shiryaev::default();
        nothing.update(f64::NEG_INFINITY, 1.0);
        assert_eq!(nothing, Shiryaev::default());
    }

    #[test]
    fn what_is_no_number_is_no_evidence() {
        let update = |log_e: f64, cut: f64| std::panic::catch_unwind(|| Shiryaev::default().update(log_e, cut));
        assert!(update(1e9, 1.0).is_ok() && update(f64::NEG_INFINITY, 1.0).is_ok());
        assert!(update(f64::NAN, 1.0).is_err() && update(1.0, f64::NAN).is_err());
    }
}
