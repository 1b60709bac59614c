//! The figures of `cargo bench --bench guarantees` about small windows and absurd values, held against bounds.

#[path = "../../benches/guarantees/distances.rs"]
mod suite;

/// Four standard errors of a share of 5 % of the 800 windows that are drawn.
const FOUR_ERRORS: f64 = 0.031;

/// Without drift, a bare index above 0.1 is what other tools alarm at: with 10,000 rows of reference, chance alone
/// takes it there in most windows of 50 rows.
#[test]
fn small_windows_without_drift_are_called_different_as_seldom_as_the_level_says() {
    for rows in [50, 100, 200, 500, 1000] {
        let called = suite::small_windows(rows, 0.0, 40);
        // Ten cells of 50 rows hold the five events each that the law asks for, on average only: twice the level is
        // granted.
        let level = if rows == 50 { 0.1 } else { 0.05 };
        assert!(called.above_none <= level + FOUR_ERRORS && called.ks <= 0.05 + FOUR_ERRORS, "{rows}: {called:?}");
        assert!(called.above_tolerance <= 0.01 && called.evidence.abs() < 1e-9, "{rows}: {called:?}");
        assert_eq!(called.bare > 0.5, rows == 50, "{rows}: {called:?}");
    }
}

/// Half a standard deviation is an index of 0.25, beyond the tolerated 0.1. The law says so of 500 rows in most
/// windows; a hundred rows are too few for one window, and hardly enough for twenty.
#[test]
fn what_is_beyond_the_tolerance_is_found_once_windows_tell() {
    let called = suite::small_windows(500, 0.5, 40);
    assert!(called.above_tolerance >= 0.9 && called.evidence >= 0.9, "{called:?}");
    let called = suite::small_windows(100, 0.5, 40);
    assert!(called.above_none >= 0.8 && called.ks >= 0.8 && called.evidence >= 0.2, "{called:?}");
}

/// The house's bar for a binned distance is 0.001. An index may move by as much, and by what the absurd rows are worth
/// themselves.
#[test]
fn an_absurd_value_takes_nothing_from_a_distance() {
    let clean = suite::beside_outliers(10.0, 0);
    for size in [10.0, 1e3, 1e6, 1e12, 1e300, -1e9] {
        for (outliers, share) in [(1, 5e-5), (20, 1e-3), (200, 1e-2)] {
            let found = suite::beside_outliers(size, outliers);
            assert!((found.ks - found.exact).abs() <= 0.001, "{size} x {outliers}: {found:?}");
            assert!((found.psi / clean.psi - 1.0).abs() <= 0.001 + 10.0 * share, "{size} x {outliers}: {found:?}");
        }
    }
    let blind = suite::beside_outliers(1e6, 1);
    assert!(blind.equal_width < 0.001, "this is what bins over the range make of it: {blind:?}");
}
