//! The tests that people know, in the details of a column.

use super::{GridCell, HtmlGrid};
use crate::output::text::number;
use crate::report::known::{p_value, points};
use crate::report::model::{ColumnReport, RatesApart};

/// The tests of a column, and how its missing values differ; nothing where there are none.
pub(super) fn tests(column: &ColumnReport) -> String {
    let row = |name: &str, statistic: String, p: f64, method: &str| {
        vec![
            GridCell::text(name),
            GridCell::shown(statistic, 0.0),
            GridCell::shown(p_value(p), p),
            GridCell::html(format!("<span class=\"sub\">{}</span>", method.replace('_', " ")), 0.0),
        ]
    };
    let tests = column
        .tests
        .iter()
        .map(|test| row(&test.test.replace('_', " "), number(test.statistic), test.p_value, &test.method));
    let missing = column.missing.filter(|missing| missing.difference.abs() > 0.0);
    let missing = missing.map(|missing| row("missing, Fisher", apart(&missing), missing.fisher_p_value, "exact"));
    let rows: Vec<_> = tests.chain(missing).collect();
    if rows.is_empty() {
        return String::new();
    }
    let heads = vec![("test of no difference", false), ("statistic", true), ("p", true), ("method", false)];
    HtmlGrid { heads, rows }.draw(false)
}

/// A difference of rates with its interval.
pub(super) fn apart(apart: &RatesApart) -> String {
    let (low, high) = (points(apart.low), points(apart.high));
    format!("{} <span class=\"sub\">{low} – {high}</span>", points(apart.difference))
}
