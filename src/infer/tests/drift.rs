//! Streams of p-values and of counts: how seldom a monitor is wrong, and how soon it is right.
//!
//! The comments give what larger runs of the same code gave once.

use super::world::{Rng, median, tilted};
use crate::normal::normal_sf;
use crate::psi_tolerance::PsiTest;
use crate::shiryaev::{AlarmRule, Monitor};

const ALARM: AlarmRule = AlarmRule { patience: 1e4, windows_min: 3 };
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

/// In 400,000 windows, each stream starting anew after 2,000, there were 0, 4, 5, 10 and 22 alarms; one in 10,000 is
/// allowed.
#[test]
fn correlated_windows_raise_no_more_alarms_than_promised() {
    for rho in [0.0, 0.3, 0.5, 0.8, 0.9] {
        let alarms = (0..100).filter(|&seed| first_alarm(2000, autoregression(seed, rho, NEVER, 0.0)) != NEVER).count();
        assert!(alarms <= 20, "seeds 0..100, correlation {rho}: {alarms} alarms in 200,000 windows");
    }
}

/// Medians: 3, 5, 11 and 19 windows.
#[test]
fn a_shift_by_four_deviations_is_found_however_windows_correlate() {
    for (rho, at_most) in [(0.0, 3), (0.5, 6), (0.8, 14), (0.9, 30)] {
        let delays = (0..60).map(|seed| first_alarm(1000, autoregression(seed, rho, 400, 4.0)).saturating_sub(400));
        let delay = median(delays.collect());
        assert!((1..=at_most).contains(&delay), "seeds 0..60, correlation {rho}: {delay} windows");
    }
}

/// P-values of ten even cells whose stability index becomes `psi` after the window `onset`.
fn cells(seed: u64, psi: f64, n: u64, onset: u32) -> impl FnMut(u32) -> f64 {
    let even = vec![0.1; 10];
    let (mut rng, moved) = (Rng::new(seed), tilted(&even, psi));
    let reference = vec![5000; 10];
    move |window| {
        let counts = rng.multinomial(n, if window > onset { &moved } else { &even });
        PsiTest::of(&reference, &counts, 0.1, 1.0).expect("cells").p()
    }
}

/// Goals: 5 windows for an index of 0.15 and 3 for 0.25 at 2,000 events. Medians of 30: 5 and 3.
#[test]
fn drift_beyond_the_tolerance_is_found_at_once() {
    for (psi, at_most) in [(0.15, 5), (0.25, 3)] {
        let delays = (0..30).map(|seed| first_alarm(60, cells(seed, psi, 2000, 20)).saturating_sub(20));
        let delay = median(delays.collect());
        assert!((1..=at_most).contains(&delay), "seeds 0..30, {psi}: {delay} windows");
    }
}

/// Goal: 0.05 alarms in 10,000 windows without drift. None in 100,000.
#[test]
fn no_drift_raises_no_alarm() {
    let alarms = (0..10).filter(|&seed| first_alarm(1000, cells(seed, 0.0, 200, 0)) != NEVER).count();
    assert_eq!(alarms, 0, "seeds 0..10 in 10,000 windows");
}

/// An index at the tolerance itself, for ever: one alarm in 10,000 windows is allowed, there is none in 20,000.
#[test]
fn drift_at_the_tolerance_raises_no_more_alarms_than_promised() {
    let alarms = (0..20).filter(|&seed| first_alarm(1000, cells(seed, 0.1, 500, 0)) != NEVER).count();
    assert!(alarms <= 3, "seeds 0..20: {alarms} alarms in 20,000 windows");
}
