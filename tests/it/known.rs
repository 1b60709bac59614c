//! The tests that people know, in reports: over rows, over counts, and in every form of a report.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fmt::Write as _;

use haldane::report;
use haldane::report::model::RatesApart;
use serde_json::Value;

use crate::report::compared;

fn known(kind: &str) -> Vec<Value> {
    let all: Value = serde_json::from_str(include_str!("../data/reference/known_tests.json")).unwrap();
    all[kind].as_array().unwrap().clone()
}

fn close(found: f64, expected: &Value, what: &str) {
    let expected = expected.as_f64().unwrap();
    assert!((found - expected).abs() <= 1e-9 * expected.abs() + 1e-14, "{what} is {expected}, but {found}");
}

#[test]
fn columns_carry_the_tests_that_scipy_has() {
    let mut seen = 0;
    for case in known("samples") {
        let rows = |side: &str| case[side].as_array().unwrap().clone();
        let text = |side: &str| rows(side).iter().fold("amount\n".to_owned(), |text, row| format!("{text}{row}\n"));
        let few = ["current", "baseline"].iter().any(|side| rows(side).len() < 30);
        if few || case["name"] == "two values" || case["name"] == "small counts" {
            continue;
        }
        seen += 1;
        let comparison = compared(&text("baseline"), &text("current"), "csv", &[]);
        let column = &comparison.columns[0];
        let of = |name: &str| column.tests.iter().find(|test| test.test == name).unwrap();
        let ks = of("kolmogorov_smirnov");
        close(ks.statistic, &case["ks_d"], "D");
        assert_eq!(ks.method, "exact");
        if case["tied"] == false {
            close(ks.p_value, &case["ks_p"], "KS");
        }
        close(of("mann_whitney").statistic, &case["mann_whitney_u"], "U");
        close(of("mann_whitney").p_value, &case["mann_whitney_p"], "Mann-Whitney");
        close(of("welch").statistic, &case["welch_t"], "t");
        close(of("welch").p_value, &case["welch_p"], "Welch");
        let mut sorted: Vec<f64> = rows("current").iter().filter_map(Value::as_f64).collect();
        sorted.sort_by(f64::total_cmp);
        let middle = f64::midpoint(sorted[(sorted.len() - 1) / 2], sorted[sorted.len() / 2]);
        let median = column.current.quantiles.iter().find(|quantile| quantile.q >= 0.5).unwrap();
        assert!((median.value - middle).abs() < 1e-12, "{median:?}, {middle}");
    }
    assert_eq!(seen, 4);
}

#[test]
fn rates_carry_newcombes_interval_and_fishers_p() {
    let case = known("rates").into_iter().find(|case| case["n"] == 2000).unwrap();
    let text = |x: &str, n: &str| {
        let [x, n] = [x, n].map(|key| case[key].as_u64().unwrap());
        (0..n).fold("amount,status\n".to_owned(), |mut text, row| {
            let (amount, status) = if row < x { (String::new(), 500) } else { ((row * 37 % 1009).to_string(), 200) };
            writeln!(text, "{amount},{status}").unwrap();
            text
        })
    };
    let comparison = compared(&text("x_baseline", "n_baseline"), &text("x", "n"), "csv", &[]);
    let check = |apart: &RatesApart| {
        close(apart.low, &case["newcombe_90"][0], "the lower end");
        close(apart.high, &case["newcombe_90"][1], "the upper end");
        close(apart.z, &case["z"], "z");
        close(apart.z_p_value, &case["z_p"], "the p-value of z");
        close(apart.fisher_p_value, &case["fisher_p"], "Fisher's p-value");
    };
    let errors = comparison.answers.iter().find(|rate| rate.metric == "error_rate").unwrap();
    check(errors.apart.as_ref().unwrap());
    check(comparison.columns.iter().find(|column| column.column == "amount").unwrap().missing.as_ref().unwrap());
    let report = report::report(Some(comparison), None);
    let markdown = report::markdown(&report);
    assert!(markdown.contains("## Tests of no difference at all"), "{markdown}");
    assert!(markdown.contains("| error_rate | 1.2 % | 0.6 % | -0.65 pp (-1.14 pp – -0.17 pp) |"), "{markdown}");
    let page = report::page(&report);
    assert!(page.contains("test of no difference") && page.contains("missing, Fisher"));
}

#[test]
fn many_rows_have_the_tests_of_their_bins() {
    let text = |shift: u32| {
        (0..100_001_u32).fold("amount\n".to_owned(), |mut text, row| {
            writeln!(text, "{}.5", (row * 31 + shift) % 5003 + shift).unwrap();
            text
        })
    };
    let column = &compared(&text(0), &text(40), "csv", &[]).columns[0];
    let methods: Vec<&str> = column.tests.iter().map(|test| test.method.as_str()).collect();
    assert_eq!(methods, ["limit_law,fine_bins", "normal_with_ties,fine_bins", "student_t"]);
    assert!(column.tests.iter().all(|test| test.p_value < 0.01), "{:?}", column.tests);
    assert!(column.current.quantiles.is_empty());
}
