//! Many e-values, one alarm: a pool of Shiryaev-Roberts detectors.
//!
//! Each part keeps `R <- (1 + R) e`, the sum over all starting times of the product of its e-values since (Shin, Ramdas and
//! Rinaldo, "E-detectors: a nonparametric framework for sequential change detection", NEJSDS 2023, section 3). A weighted
//! mean of such parts with weights that add up to one is again such a detector, whatever the dependence between them; an
//! alarm at `A` comes no more often than once in `A` windows on average while nothing is wrong.
//!
//! Cutting an e-value from above keeps this true. With the cut at `(A / weight)^(1 / k)` no fewer than `k` windows can raise
//! the alarm, so that a blip does not.
//!
//! **State**: one float per part. **Cost**: two elementary functions per part and window.

use serde::{Deserialize, Serialize};

use super::log_space::{log_add, log_sum};
pub use super::shiryaev::Alarm;

/// Parts of one family: `ln(1 + R)`, which is finite from the start on and survives any format.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Pool {
    log_one_and_r: Vec<f64>,
}

impl Pool {
    /// Takes the next `ln e` of a part that has this weight in the family.
    pub fn update(&mut self, part: usize, log_e: f64, weight: f64, alarm: Alarm) {
        if part >= self.log_one_and_r.len() {
            self.log_one_and_r.resize(part + 1, 0.0);
        }
        let log = &mut self.log_one_and_r[part];
        *log = log_add(0.0, *log + log_e.min(alarm.cut(weight)));
    }

    /// `ln R` of a part.
    #[must_use]
    pub fn log_r(&self, part: usize) -> f64 {
        let log = self.log_one_and_r.get(part).copied().unwrap_or(0.0);
        // ln(exp(log) - 1), without a difference of large numbers.
        log + libm::log(-libm::expm1(-log))
    }

    /// `ln` of the weighted mean of some parts.
    #[must_use]
    pub fn log_mean(&self, parts: impl Iterator<Item = (usize, f64)> + Clone) -> f64 {
        log_sum(parts.map(|(part, weight)| self.log_r(part) + libm::log(weight)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALARM: Alarm = Alarm { patience: 1000.0, windows_min: 3 };

    #[test]
    fn silence_counts_windows() {
        let mut pool = Pool::default();
        (0..50).for_each(|_| pool.update(0, 0.0, 1.0, ALARM));
        assert!((pool.log_r(0).exp() - 50.0).abs() < 1e-9);
    }

    #[test]
    fn it_takes_three_windows_to_raise_the_alarm_and_three_are_enough() {
        let mut pool = Pool::default();
        let mean = |pool: &Pool| pool.log_mean([(0, 0.25), (1, 0.75)].into_iter());
        for window in 1..=3 {
            pool.update(0, 1e6, 0.25, ALARM);
            pool.update(1, 0.0, 0.75, ALARM);
            assert_eq!(mean(&pool) >= ALARM.patience.ln(), window == 3, "after window {window}");
        }
    }
}
