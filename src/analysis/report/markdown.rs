//! The report as Markdown, for pull requests and terminals: the verdict, then tables.

use std::fmt::Write as _;

use super::history::{WHAT_COUNTS_NOW, to_cap};
use super::known::{p_value, points};
use super::model::{
    ClassRates, Comparison, Estimate, History, Method, QualityReport, Rate, RatesApart, Report, Rollout, Source, Stand,
};
use crate::output::text::{count, instant, interval, number, or_dash, percent};

/// Columns that are listed.
const COLUMNS_MAX: usize = 50;
/// Classes that are listed.
const CLASSES_MAX: usize = 12;

/// A report as Markdown.
#[must_use]
pub fn markdown(report: &Report) -> String {
    let mut text = format!("# {}\n\n", cell(&report.verdict.headline));
    for sentence in &report.verdict.sentences {
        let _ = writeln!(text, "- {}", cell(sentence));
    }
    if let Some(comparison) = &report.comparison {
        self::comparison(comparison, &mut text);
    }
    if let Some(history) = &report.history {
        self::history(history, &mut text);
    }
    let _ = writeln!(text, "\n{}", report.made_by);
    text
}

/// Text that may stand in a line or a table: it ends neither, and is no markup, link or picture.
pub(super) fn cell(text: &str) -> String {
    let plain = text.replace('\\', "\\\\").replace('|', "\\|").replace("](", "]\\(");
    plain.replace(['\n', '\r'], " ").replace('&', "&amp;").replace('<', "&lt;")
}

pub(super) fn table<const N: usize>(
    text: &mut String,
    title: &str,
    heads: [&str; N],
    rows: impl Iterator<Item = [String; N]>,
) {
    let rows: Vec<[String; N]> = rows.collect();
    if rows.is_empty() {
        return;
    }
    let title = cell(title);
    let _ = writeln!(text, "\n## {title}\n\n| {} |\n|{}", heads.map(cell).join(" | "), "---|".repeat(N));
    for row in rows {
        let _ = writeln!(text, "| {} |", row.map(|text| cell(&text)).join(" | "));
    }
}

fn source(name: &str, source: &Source) -> String {
    let range = source.first.zip(source.last);
    let range = range.map_or_else(String::new, |(first, last)| format!(", {} to {}", instant(first), instant(last)));
    format!("{name}: {} ({} rows{range})", cell(&source.name), count(source.compared))
}

fn comparison(comparison: &Comparison, text: &mut String) {
    let _ = writeln!(
        text,
        "\n{}  \n{}",
        source("Reference", &comparison.reference),
        source("Current", &comparison.current)
    );
    let columns = comparison.columns.iter().take(COLUMNS_MAX).map(|column| {
        let verdict = match (column.verdict, column.drifted_e) {
            (Stand::Drifted, true) => "**drifted**",
            (Stand::Drifted, false) => "drifted, not by e-BH",
            (Stand::Unclear, _) => "unclear",
            (Stand::Within, _) => "within",
        };
        let psi = &column.psi;
        [
            column.column.clone(),
            verdict.to_owned(),
            number(psi.debiased),
            interval(psi.low, psi.high),
            or_dash(column.ks, |ks| number(ks.low)),
            format!("{} → {}", percent(column.reference.missing), percent(column.current.missing)),
            count(column.n),
        ]
    });
    let Method { psi_tolerated, ks_tolerated, .. } = comparison.method;
    let title = format!("Columns (tolerated: PSI {psi_tolerated}, KS {ks_tolerated})");
    table(text, &title, ["column", "verdict", "PSI", "90 % interval", "KS", "missing", "n"], columns);
    tests(comparison, text);
    let apart = comparison.columns.iter().flat_map(|column| {
        let sides = [("reference", &column.reference), ("current", &column.current)];
        let notes = sides.into_iter().flat_map(|(side, shape)| shape.notes.iter().map(move |note| (side, note)));
        notes.map(|(side, note)| [column.column.clone(), side.to_owned(), note.clone()])
    });
    table(text, "Values that stand apart", ["column", "side", "what"], apart);
    let problems =
        comparison.problems.iter().map(|problem| [problem.column.clone(), problem.text.clone(), count(problem.n)]);
    table(text, "Problems with the data", ["column", "problem", "n"], problems);
    if let Some(quality) = &comparison.quality {
        let figures = quality.figures.iter().map(|figure| {
            [
                figure.metric.clone(),
                figure.convention.clone(),
                or_dash(figure.reference, number),
                or_dash(figure.value, number),
                count(figure.n),
            ]
        });
        table(text, "Predictions against the truth", ["metric", "convention", "reference", "current", "n"], figures);
        classes(quality, text);
    }
    answers(comparison, text);
    let segments = comparison.segments.iter().take(10).map(|segment| {
        [
            format!("{} = {}", segment.field, segment.value),
            format!("{} of {}", segment.drifted.len(), segment.tested),
            segment.worst.clone().unwrap_or_default(),
            or_dash(segment.psi, number),
            count(segment.n),
        ]
    });
    table(text, "Segments that differ most", ["segment", "drifted", "moved most", "PSI", "n"], segments);
    let untested = comparison.untested.iter().map(|column| [column.column.clone(), column.why.clone()]);
    table(text, "Not tested", ["column", "why"], untested);
    if !comparison.trust.is_empty() {
        let _ = writeln!(text, "\n## Trust\n");
        text.extend(comparison.trust.iter().map(|note| format!("- {}\n", cell(note))));
    }
    let _ = writeln!(text, "\nReference {}", comparison.reference_id);
}

/// The classes that fell most.
fn classes(quality: &QualityReport, text: &mut String) {
    let rows = quality.classes.iter().take(CLASSES_MAX).map(|one| {
        let ClassRates { class, recall, precision, worse } = one;
        let sides = |rate: &Rate| {
            let share = |side: Option<Estimate>| or_dash(side, |side| percent(side.value));
            format!("{} → {}", share(rate.reference), share(rate.current))
        };
        [class.clone(), sides(recall), sides(precision), worse.join(", "), count(recall.n)]
    });
    let title = format!("Classes that fell most, of {}", quality.classes.len());
    table(text, &title, ["class", "recall", "precision", "fell beyond chance", "n"], rows);
}

/// P-values of no difference at all, and how missing values differ.
fn tests(comparison: &Comparison, text: &mut String) {
    let rows = comparison.columns.iter().take(COLUMNS_MAX).map(|column| {
        let p = |name: &str| {
            let found = column.tests.iter().find(|test| test.test == name);
            or_dash(found, |test| p_value(test.p_value))
        };
        let [ks, ranks, means, cells] = ["kolmogorov_smirnov", "mann_whitney", "welch", "chi_square"].map(p);
        let missing = or_dash(column.missing.as_ref(), difference);
        [column.column.clone(), ks, ranks, means, cells, missing]
    });
    let heads = ["column", "KS", "Mann-Whitney", "Welch", "chi-square", "missing, more than before"];
    table(text, "Tests of no difference at all (p-values)", heads, rows);
}

/// A difference of rates with its interval.
fn difference(apart: &RatesApart) -> String {
    format!("{} ({} – {})", points(apart.difference), points(apart.low), points(apart.high))
}

fn answers(comparison: &Comparison, text: &mut String) {
    let latency = comparison.latency.iter().map(|figure| {
        let ratio = |ratio: Estimate| format!("{:.2} ({:.2} – {:.2})", ratio.value, ratio.low, ratio.high);
        [
            figure.metric.clone(),
            or_dash(figure.reference, number),
            or_dash(figure.current, number),
            or_dash(figure.ratio, ratio),
        ]
    });
    table(text, "Latency, ms", ["", "reference", "current", "ratio"], latency);
    let answers = comparison.answers.iter().map(|rate| {
        let share = |side: Option<Estimate>| or_dash(side, |side| percent(side.value));
        let apart = or_dash(rate.apart.as_ref(), difference);
        [rate.metric.clone(), share(rate.reference), share(rate.current), apart, count(rate.n)]
    });
    table(text, "Answers", ["", "reference", "current", "difference", "n"], answers);
}

fn history(history: &History, text: &mut String) {
    let rollouts = history.rollouts.iter().map(|rollout| {
        let Rollout { candidate, model, baseline, summary, .. } = rollout;
        [candidate.clone(), model.clone(), baseline.clone(), summary.clone()]
    });
    table(text, "Rollouts", ["candidate", "model", "baseline", "course"], rollouts);
    if !history.rollouts.is_empty() {
        let _ = writeln!(text, "{WHAT_COUNTS_NOW}\n");
    }
    let decisions = history.decisions.iter().map(|decision| {
        [
            instant(decision.time),
            format!("{}{}", decision.action, to_cap(decision.cap_pct)),
            decision.candidate.clone(),
            decision.reason.clone(),
        ]
    });
    table(text, "Decisions", ["time", "action", "candidate", "why"], decisions);
    for rollout in &history.rollouts {
        let beside = rollout.compared.iter().map(|beside| {
            [
                beside.metric.clone(),
                beside.column.clone(),
                number(beside.candidate),
                number(beside.baseline),
                count(beside.n),
            ]
        });
        let Rollout { candidate, model, baseline, .. } = rollout;
        let title = format!("{candidate} of {model} beside {baseline}, over all windows");
        table(text, &title, ["metric", "column", "candidate", "baseline", "n"], beside);
    }
}
