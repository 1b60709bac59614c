//! A version that hangs: what timed out failed, and is slower than anything, whatever was noted of it.

#[path = "../../benches/common/lab.rs"]
pub(crate) mod lab;

use haldane::plan::Action;
use haldane::sim::Rng;

/// Windows until the candidate is restricted of which one request in twenty ends with this status after this time,
/// while as many of the baseline version's fail at once.
fn restricted(status: i16, after_ms: f64) -> Option<u32> {
    let plan = lab::plan(&[], true, &|_| {});
    let mut rng = Rng::new(7);
    lab::windows_until(&plan, 60, Action::Hold, |_, rows| {
        for place in 0..600 {
            let (candidate, latency_ms) = (place % 2 == 0, 50.0 * libm::exp(0.3 * rng.normal()));
            let (status, latency_ms) = match (rng.chance(0.05), candidate) {
                (true, true) => (status, after_ms),
                (true, false) => (500, 5.0),
                (false, _) => (200, latency_ms),
            };
            rows.push_status(candidate, status, None, &[latency_ms]);
        }
    })
}

#[test]
fn a_timeout_is_beyond_every_latency_whatever_was_noted_of_it() {
    for after_ms in [5.0, f64::NAN] {
        for status in [408, 499, 504, 524] {
            let windows = restricted(status, after_ms);
            assert!(windows.is_some_and(|windows| windows <= 12), "{status} after {after_ms} ms: {windows:?}");
        }
    }
}

#[test]
fn a_failure_that_comes_quickly_is_not_slow() {
    assert_eq!(restricted(500, 5.0), None);
}

#[test]
fn a_timeout_is_a_failure() {
    let plan = lab::plan(&[], false, &|_| {});
    let mut rng = Rng::new(8);
    let windows = lab::windows_until(&plan, 60, Action::Rollback, |_, rows| {
        for place in 0..600 {
            let (candidate, failed) = (place % 2 == 0, rng.chance(0.1));
            if candidate && failed {
                rows.push_status(candidate, 408, None, &[]);
            } else {
                rows.push(candidate, false, None, &[]);
            }
        }
    });
    assert!(windows.is_some_and(|windows| windows <= 6), "{windows:?}");
}
