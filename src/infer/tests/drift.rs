//! Streams of p-values and of counts: how seldom a monitor is wrong, and how soon it is right.
//!
//! The comments give what larger runs of the same code gave once.

use super::world::{Rng, median};
use crate::infer::normal::normal_sf;
use crate::infer::shiryaev::{Alarm, Monitor};

const ALARM: Alarm = Alarm { patience: 1e4, windows_min: 3 };
const NEVER: u32 = u32::MAX;

/// The window (from 1) of the first alarm over a stream of p-values.
fn first_alarm(windows: u32, mut p: impl FnMut(u32) -> f64) -> u32 {
    let mut monitor = Monitor::default();
    let alarm = (1..=windows).find(|&window| {
        monitor.update(p(window), ALARM);
        monitor.fires(ALARM)
    });
    alarm.unwrap_or(NEVER)
}

/// P-values of an autoregression of order one, moved by `shift` after the window `onset`.
fn autoregression(seed: u64, rho: f64, onset: u32, shift: f64) -> impl FnMut(u32) -> f64 {
    let mut rng = Rng::new(seed);
    let mut z = rng.normal();
    move |window| {
        z = rho * z + (1.0 - rho * rho).sqrt() * rng.normal();
        normal_sf(if window > onset { z + shift } else { z })
    }
}

/// In 400,000 windows there were 0, 1, 3, 0 and 0 alarms, where one in 10,000 is allowed.
#[test]
fn correlated_windows_raise_no_more_alarms_than_promised() {
    for rho in [0.0, 0.3, 0.5, 0.8, 0.9] {
        let alarms = (0..100).filter(|&seed| first_alarm(2000, autoregression(seed, rho, NEVER, 0.0)) != NEVER).count();
        assert!(alarms <= 4, "seeds 0..100, correlation {rho}: {alarms} alarms in 200,000 windows");
    }
}

/// Medians of 100: 3, 5, 12 and 27 windows.
#[test]
fn a_shift_by_four_deviations_is_found_however_windows_correlate() {
    for (rho, at_most) in [(0.0, 3), (0.5, 6), (0.8, 14), (0.9, 30)] {
        let delays = (0..60).map(|seed| first_alarm(1000, autoregression(seed, rho, 400, 4.0)).saturating_sub(400));
        let delay = median(delays.collect());
        assert!((1..=at_most).contains(&delay), "seeds 0..60, correlation {rho}: {delay} windows");
    }
}
