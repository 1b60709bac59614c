//! The list of metrics as a Markdown table, for a page of `schemas/`.

use std::fmt::Write as _;

use crate::metric::{METRICS, Spec};

/// [`METRICS`] as a Markdown table: name, what it reads, against what, unit, worse direction, formula, source.
#[must_use]
pub fn table() -> String {
    let mut text =
        "| metric | reads | compares | unit | worse | formula | source |\n|---|---|---|---|---|---|---|\n".to_owned();
    for Spec { name, reads, needs_baseline, unit, worse, formula, source, .. } in
        METRICS.iter().map(|metric| metric.spec())
    {
        let against = if *needs_baseline { "with a baseline" } else { "–" };
        let formula = formula.replace('|', "\\|");
        writeln!(
            text,
            "| `{name}` | {} | {against} | {unit} | {} | {formula} | {source} |",
            reads.name(),
            worse.name()
        )
        .expect("a string takes every line");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_has_one_row_of_seven_cells() {
        let table = table();
        assert_eq!(table.lines().count(), METRICS.len() + 2);
        for line in table.lines() {
            assert_eq!(line.replace("\\|", "").matches('|').count(), 8, "{line}");
        }
    }
}
