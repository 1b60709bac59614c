//! What a report comes to, in words.

use super::model::{ColumnReport, Comparison, FORMAT, Figure, History, Method, Outcome, Report, Stand, Verdict};
use crate::output::text::{number, plural};

/// Columns that the verdict names.
const NAMED_MAX: usize = 5;

/// A report with its verdict.
pub fn report(comparison: Option<Comparison>, history: Option<History>) -> Report {
    let verdict = match (&comparison, &history) {
        (Some(comparison), _) => of_comparison(comparison),
        (None, Some(history)) => of_history(history),
        (None, None) => {
            Verdict { outcome: Outcome::Unknown, headline: "Nothing was compared.".to_owned(), sentences: Vec::new() }
        }
    };
    let made_by = concat!("haldane ", env!("CARGO_PKG_VERSION")).to_owned();
    Report { format: FORMAT, made_by, verdict, comparison, history }
}

fn of_comparison(comparison: &Comparison) -> Verdict {
    let method = &comparison.method;
    let drifted: Vec<_> = comparison.columns.iter().filter(|column| column.drifted).collect();
    let outcome = match (comparison.columns.len(), drifted.len(), comparison.problems.len()) {
        (_, 1.., _) => Outcome::Drift,
        (_, _, 1..) => Outcome::Quality,
        (0, ..) => Outcome::Unknown,
        _ => Outcome::Ok,
    };
    let tested = plural(method.tested as u64, "column");
    let headline = match (method.tested, drifted.len()) {
        (0, _) => "No column could be tested.".to_owned(),
        (_, 0) => format!("None of {tested} drifted beyond what is tolerated."),
        (_, n) => format!("{n} of {tested} drifted beyond what is tolerated."),
    };
    let mut sentences = Vec::new();
    if !drifted.is_empty() {
        let named =
            drifted.iter().take(NAMED_MAX).map(|column| format!("{} ({})", column.column, how_far(column, method)));
        let more = drifted.len().saturating_sub(NAMED_MAX);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        sentences.push(format!("Moved most: {}{more}.", named.collect::<Vec<_>>().join(", ")));
    }
    if method.tested > 0 {
        sentences.push(format!(
            "Tested: PSI beyond {} or KS beyond {}, {} in all, of those named at most {} % wrong on average (Benjamini-Hochberg {}, e-BH {}).",
            method.psi_tolerated,
            method.ks_tolerated,
            plural(method.tested as u64, "column"),
            method.false_discovery_rate * 100.0,
            method.named_bh,
            method.named_e_bh
        ));
    }
    sentences.extend(unclear(comparison));
    sentences.push(problems(comparison));
    sentences.extend(quality(comparison));
    if !comparison.untested.is_empty() {
        sentences.push(format!("{} not tested, with reasons below.", were(comparison.untested.len(), "column")));
    }
    Verdict { outcome, headline, sentences }
}

/// The number that is beyond what is tolerated.
fn how_far(column: &ColumnReport, method: &Method) -> String {
    match column.ks {
        Some(ks) if column.psi.debiased <= method.psi_tolerated => format!("KS {}", number(ks.low)),
        _ => format!("PSI {}", number(column.psi.value)),
    }
}

/// Columns of which too little is known.
fn unclear(comparison: &Comparison) -> Option<String> {
    let unclear: Vec<_> = comparison.columns.iter().filter(|column| column.verdict == Stand::Unclear).collect();
    let named = unclear.iter().take(NAMED_MAX);
    let named: Vec<_> =
        named.map(|column| format!("{} ({})", column.column, how_far(column, &comparison.method))).collect();
    let more = unclear.len().saturating_sub(NAMED_MAX);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let named = named.join(", ");
    (!unclear.is_empty()).then(|| {
        format!("Unclear, beyond what is tolerated but perhaps by chance: {named}{more}; more rows would tell.")
    })
}

fn problems(comparison: &Comparison) -> String {
    let problems = &comparison.problems;
    let Some(first) = problems.first() else { return "No problem with the data itself.".to_owned() };
    let more = if problems.len() > 1 { format!(", and {} more", problems.len() - 1) } else { String::new() };
    format!("{} with the data: {} {}{more}.", plural(problems.len() as u64, "problem"), first.column, first.text)
}

/// The figure that says most about the quality of predictions.
fn quality(comparison: &Comparison) -> Option<String> {
    let figures = &comparison.quality.as_ref()?.figures;
    let find = |metric: &str| figures.iter().find(|figure| figure.metric == metric);
    let figure = find("brier").or_else(|| find("mae")).or_else(|| find("accuracy"))?;
    let gap = find("calibration_in_the_large").and_then(|figure| figure.value);
    let gap = gap.map_or_else(String::new, |gap| format!("; labels less scores {} on average", number(gap)));
    Some(format!("{}{gap}.", moved(figure)?))
}

fn moved(figure: &Figure) -> Option<String> {
    let name = match figure.metric.as_str() {
        "brier" => "Brier score",
        "mae" => "Mean absolute error",
        _ => "Accuracy",
    };
    let after = figure.value?;
    Some(match figure.reference {
        Some(before) => format!("{name} {}, {} in the reference", number(after), number(before)),
        None => format!("{name} {}", number(after)),
    })
}

fn were(n: usize, noun: &str) -> String {
    format!("{} {}", plural(n as u64, noun), if n == 1 { "was" } else { "were" })
}

fn of_history(history: &History) -> Verdict {
    let adverse = history.rollouts.iter().filter(|rollout| is_adverse(&rollout.last_action)).count();
    let outcome = if adverse > 0 {
        Outcome::Restricted
    } else if history.windows == 0 && history.decisions.is_empty() {
        Outcome::Unknown
    } else {
        Outcome::Ok
    };
    let headline = match history.rollouts.as_slice() {
        [] => format!("{}, and no decision.", plural(history.windows as u64, "window")),
        [one] => one.summary.clone(),
        all => format!("{} of {} are restricted.", adverse, plural(all.len() as u64, "candidate")),
    };
    let told = if history.rollouts.len() > 1 { history.rollouts.as_slice() } else { &[] };
    let sentences = told.iter().map(|rollout| rollout.summary.clone());
    let decisions = plural(history.decisions.len() as u64, "decision");
    let counted = format!("{} judged, {decisions}.", plural(history.windows as u64, "window"));
    Verdict { outcome, headline, sentences: sentences.chain([counted]).collect() }
}

/// Whether an action restricts a candidate.
pub(crate) fn is_adverse(action: &str) -> bool {
    matches!(action, "hold" | "contain" | "rollback")
}
