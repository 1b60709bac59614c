//! The tests that people know, beside the numbers of `SciPy`, statsmodels and `NumPy`; the file says the calls.

use serde_json::Value as Json;

use crate::exact_ks::{CELLS_MAX, kolmogorov_smirnov};
use crate::fisher::fisher;
use crate::interval::wilson;
use crate::linear_quantile::linear_quantile;
use crate::log_space::float;
use crate::mann_whitney::mann_whitney;
use crate::newcombe::newcombe;
use crate::pooled_z::pooled_z;
use crate::runs::runs;
use crate::two_sample::Arm;
use crate::welch::{Moments, welch};

fn cases(kind: &str) -> Vec<Json> {
    let file = include_str!("../../../tests/data/reference/known_tests.json");
    let all: Json = serde_json::from_str(file).expect("the reference file is well formed");
    all[kind].as_array().expect("a list of cases").clone()
}

fn numbers(list: &Json) -> Vec<f64> {
    list.as_array().expect("a list").iter().filter_map(Json::as_f64).collect()
}

/// Equal to eleven digits; where nothing is expected, nothing is given.
fn same(case: &Json, key: &str, found: Option<f64>) {
    within(1e-11, case, key, found);
}

fn within(tolerance: f64, case: &Json, key: &str, found: Option<f64>) {
    let expected = case[key].as_f64();
    let close = |(found, expected): (f64, f64)| (found - expected).abs() <= 1e-15 + tolerance * expected.abs();
    let agree = found.is_some() == expected.is_some() && found.zip(expected).is_none_or(close);
    assert!(agree, "{}: {key} is {expected:?}, but {found:?}", case["name"]);
}

#[test]
fn rows_of_two_sides() {
    let mut untied = 0;
    for case in cases("samples") {
        let [current, baseline] = ["current", "baseline"].map(|side| {
            let mut rows = numbers(&case[side]);
            rows.sort_by(f64::total_cmp);
            rows
        });
        let ks = kolmogorov_smirnov(runs(&current, &baseline), CELLS_MAX).expect("rows on both sides");
        same(&case, "ks_d", Some(ks.distance));
        if case["tied"] == false {
            same(&case, "ks_p", Some(ks.p));
            untied += 1;
        } else {
            assert!(case["ks_p"].as_f64().is_some_and(|p| ks.p <= p * (1.0 + 1e-10)), "{}: {ks:?}", case["name"]);
        }
        let ranks = mann_whitney(runs(&current, &baseline)).expect("rows on both sides");
        same(&case, "mann_whitney_u", Some(ranks.u()));
        same(&case, "mann_whitney_p", Some(ranks.p));
        // Of two constants SciPy gives no number.
        if case["name"] != "all equal" {
            let t = Moments::of(&current).zip(Moments::of(&baseline)).and_then(|(a, b)| welch(a, b));
            same(&case, "welch_t", t.map(|(t, _)| t));
            same(&case, "welch_p", t.map(|(_, p)| p));
        }
    }
    assert_eq!(untied, 6);
}

#[test]
fn counts_of_two_sides() {
    for case in cases("rates") {
        let [x, n, x_baseline, n_baseline] =
            ["x", "n", "x_baseline", "n_baseline"].map(|key| case[key].as_u64().expect("a count"));
        let exact = fisher(x, n, x_baseline, n_baseline);
        within(1e-9, &case, "fisher_p", exact);
        if case["fisher_p_exact"].is_number() {
            same(&case, "fisher_p_exact", exact);
        }
        // Where nothing or everything is a success, statsmodels gives no number.
        if case["z"].is_number() {
            let z = pooled_z(Arm { n, x: float(x) }, Arm { n: n_baseline, x: float(x_baseline) });
            same(&case, "z", z.map(|(z, _)| z));
            same(&case, "z_p", z.map(|(_, p)| p));
        }
        for (key, alpha) in [("newcombe", 0.05), ("newcombe_90", 0.1)] {
            let found = newcombe((x, n), (x_baseline, n_baseline), alpha).expect("events on both sides");
            close_to(&case, key, [found.low, found.high]);
        }
        let found = wilson(x, n, 0.05).expect("events");
        close_to(&case, "wilson", [found.low, found.high]);
    }
}

fn close_to(case: &Json, key: &str, found: [f64; 2]) {
    let expected = numbers(&case[key]);
    let close = found.iter().zip(&expected).all(|(found, expected)| (found - expected).abs() < 1e-11);
    assert!(close && expected.len() == 2, "{case}: {key} is {found:?}");
}

#[test]
fn quantiles_of_rows() {
    for case in cases("quantiles") {
        let mut rows = numbers(&case["rows"]);
        rows.sort_by(f64::total_cmp);
        for (q, expected) in numbers(&case["q"]).into_iter().zip(numbers(&case["expect"])) {
            let found = linear_quantile(&rows, q).expect("rows");
            assert!((found - expected).abs() < 1e-12, "{q} of {rows:?}: {found}, not {expected}");
        }
    }
}
