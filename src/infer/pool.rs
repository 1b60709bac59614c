//! Many e-values, one alarm: a pool of Shiryaev-Roberts detectors.
//!
//! Each part is a detector of [`shiryaev`](super::shiryaev). A weighted mean of detectors with weights that add up to
//! one is again such a detector, whatever the dependence between them; an alarm at `A` comes no more often than once in
//! `A` windows on average while nothing is wrong. With e-values cut at `(A / weight)^(1 / k)` no fewer than `k` windows
//! can raise it.
//!
//! **Source**: Shin, Ramdas and Rinaldo, E-detectors: a nonparametric framework for sequential change detection, NEJSDS
//! 2(2), 2023, section 3. **State**: one float per part. **Cost**: two elementary functions per part and window.

use serde::{Deserialize, Serialize};

use super::log_space::log_sum;
pub use super::shiryaev::AlarmRule;
use super::shiryaev::Shiryaev;

/// Parts of one family, in logarithms.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Pool {
    log_r: Vec<Shiryaev>,
}

impl Pool {
    /// Takes the next `ln e` of a part that has this weight in the family.
    pub fn update(&mut self, part: usize, log_e: f64, weight: f64, alarm: AlarmRule) {
        if part >= self.log_r.len() {
            self.log_r.resize(part + 1, Shiryaev::default());
        }
        self.log_r[part].update(log_e, alarm.cut(weight));
    }

    /// Begins anew with a part.
    pub fn forget(&mut self, part: usize) {
        if let Some(log_r) = self.log_r.get_mut(part) {
            *log_r = Shiryaev::default();
        }
    }

    /// `ln R` of a part.
    #[must_use]
    pub fn log_r(&self, part: usize) -> f64 {
        self.log_r.get(part).copied().unwrap_or_default().log_r()
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

    const ALARM: AlarmRule = AlarmRule { patience: 1000.0, windows_min: 3 };

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
    #[test]
    fn state_survives_json_although_a_part_has_seen_nothing() {
        let mut pool = Pool::default();
        pool.update(2, 0.7, 0.5, ALARM);
        let text = serde_json::to_string(&pool).expect("a finite state");
        assert_eq!(serde_json::from_str::<Pool>(&text).expect("its own text"), pool);
        assert!(pool.log_r(1).is_infinite() && (pool.log_r(2) - 0.7).abs() < 1e-15);
    }
}
