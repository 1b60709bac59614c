//! The tests that people know, in the details of a column.

use super::grid::{HtmlCell, HtmlTable, left, right};
use super::sub;
use crate::markup::{Html, html};
use crate::output::text::number;
use crate::report::known::{p_value, points};
use crate::report::model::{ColumnReport, RatesApart};

/// The tests of a column, and how its missing values differ; nothing where there are none.
pub(super) fn tests(column: &ColumnReport) -> Html {
    let row = |name: &str, statistic: Html, p: f64, method: &str| {
        vec![
            HtmlCell::text(name),
            HtmlCell::right(&statistic),
            HtmlCell::right(&p_value(p)),
            HtmlCell::left(&sub(&method.replace('_', " "))),
        ]
    };
    let tests = column
        .tests
        .iter()
        .map(|test| row(&test.test.replace('_', " "), html!("{}", number(test.statistic)), test.p_value, &test.method));
    let missing = column.missing.filter(|missing| missing.difference.abs() > 0.0);
    let missing = missing.map(|missing| row("missing, Fisher", apart(&missing), missing.fisher_p_value, "exact"));
    let rows: Vec<_> = tests.chain(missing).collect();
    if rows.is_empty() {
        return Html::default();
    }
    let heads = [left("test of no difference"), right("statistic"), right("p"), left("method")];
    HtmlTable { heads: &heads, rows }.draw()
}

/// A difference of rates with its interval.
pub(super) fn apart(apart: &RatesApart) -> Html {
    html!("{} {}", points(apart.difference), sub(&format!("{} – {}", points(apart.low), points(apart.high))))
}
