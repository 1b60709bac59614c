//! A decision told to a person: what was decided and why, what it was computed from, what would have changed it, what
//! came of it, and whether the log gives it again.

use std::fmt::Write as _;

use super::recompute::{RecomputeSource, Recomputed};
use crate::judge::{RowStatus, WindowRow};
use crate::metric::DRIFT;
use crate::output::evidence as told_as;
use crate::output::text::{aligned, count, instant, number};
use crate::verdict::{Decision, Evidence};

/// Columns of the window that are shown, those that differ most first.
const COLUMNS_SHOWN: usize = 5;

/// What is known besides the decision itself.
#[derive(Debug)]
pub struct StoryContext<'a> {
    /// The whole log that it stands in.
    pub log: &'a [Decision],
    /// What the events gave when they were judged again.
    pub recomputed: Option<&'a Recomputed>,
}

/// The whole story.
#[must_use]
pub fn tell(decision: &Decision, context: &StoryContext<'_>) -> String {
    let mut out = head(decision);
    section(&mut out, "What spoke", &evidence(decision));
    section(&mut out, "What would have changed it", &counterfactual(decision));
    section(&mut out, "Error budget when it fell", &ledger(decision));
    section(&mut out, "What it was computed from", &inputs(decision));
    section(&mut out, "Before and after", &course(decision, context.log));
    if let Some(recomputed) = context.recomputed {
        section(&mut out, "What else differed in its window", &differed(&recomputed.rows));
        let title = match recomputed.source {
            RecomputeSource::Events => "Recomputed from the events",
            RecomputeSource::Panes { .. } => "Recomputed from the stored panes",
        };
        section(&mut out, title, &(verdict(decision, recomputed) + &reach(recomputed)));
    }
    out
}

fn section(out: &mut String, title: &str, text: &str) {
    if !text.is_empty() {
        let _ = write!(out, "\n{title}\n{text}");
    }
}

fn head(decision: &Decision) -> String {
    let cap = decision.cap_pct.map_or_else(String::new, |cap| format!(" to {cap} %"));
    format!(
        "{} {} of {}{cap}, decision {} of rollout {}\n  {}\n  on the window that ended {}, by {} authority\n  {}: {}\n",
        decision.action.name(),
        decision.candidate,
        decision.model,
        decision.sequence,
        decision.rollout,
        decision.id,
        instant(decision.time),
        decision.authority.name(),
        decision.reason.code,
        decision.reason.text,
    )
}

fn evidence(decision: &Decision) -> String {
    if decision.evidence.is_empty() {
        return String::new();
    }
    let heads =
        ["BY", "METRIC", "AGAINST", "ESTIMATE", "HELD AGAINST", "EVIDENCE", "OVER", "ROWS", "BASELINE ROWS", "REMARKS"];
    let rows = decision.evidence.iter().map(|evidence| {
        [
            evidence.rule.to_string(),
            subject(evidence),
            evidence.baseline_kind.clone(),
            interval(evidence),
            told_as::bound(evidence).unwrap_or_else(|| "-".to_owned()),
            told_as::gathered(evidence).unwrap_or_else(|| "-".to_owned()),
            told_as::over(evidence),
            count(evidence.n_candidate),
            count(evidence.n_baseline),
            evidence.remarks().join(" "),
        ]
    });
    aligned(&std::iter::once(heads.map(str::to_owned)).chain(rows).collect::<Vec<_>>(), 2)
}

fn subject(evidence: &Evidence) -> String {
    let of = if evidence.column.is_empty() { String::new() } else { format!(" of {}", evidence.column) };
    let within = if evidence.segment.is_empty() { String::new() } else { format!(" in {}", evidence.segment) };
    format!("{}{of}{within}", evidence.metric)
}

fn interval(evidence: &Evidence) -> String {
    let estimate = told_as::estimate(evidence);
    match (evidence.lo, evidence.hi) {
        (Some(lo), Some(hi)) => format!("{estimate} [{}, {}]", number(lo), number(hi)),
        (Some(lo), None) => format!("{estimate} [{}, …]", number(lo)),
        (None, Some(hi)) => format!("{estimate} […, {}]", number(hi)),
        (None, None) => estimate,
    }
}

fn counterfactual(decision: &Decision) -> String {
    decision.evidence.iter().fold(String::new(), |mut out, evidence| {
        let _ = writeln!(out, "  {}: {}", subject(evidence), turning_point(evidence));
        out
    })
}

/// How far beyond its bound, and what would have kept it within.
fn turning_point(evidence: &Evidence) -> String {
    match (evidence.e_value, evidence.alpha.filter(|&alpha| alpha > 0.0)) {
        (Some(e), Some(alpha)) if e * alpha >= 1.0 => format!(
            "evidence {}, {} times the {} that acts; it would not have acted with an alpha below {}",
            number(e),
            number(e * alpha),
            number(1.0 / alpha),
            number(1.0 / e)
        ),
        (Some(e), Some(alpha)) => {
            format!(
                "evidence {} of {}: not enough by itself, it spoke together with others",
                number(e),
                number(1.0 / alpha)
            )
        }
        _ => plain_bound(evidence),
    }
}

fn plain_bound(evidence: &Evidence) -> String {
    let beyond = (evidence.estimate - evidence.bound).abs();
    let mut text = format!("{} beyond its bound of {}", number(beyond), number(evidence.bound));
    let (breached, looked_at) = evidence.breaches;
    if looked_at > 0 {
        let _ = write!(text, ", in {breached} of the last {looked_at} windows");
    }
    let side = if evidence.estimate > evidence.bound { "at or below" } else { "at or above" };
    let _ = write!(text, "; {side} {} it would not have counted", number(evidence.bound));
    text
}

fn ledger(decision: &Decision) -> String {
    decision.ledger.iter().fold(String::new(), |mut out, entry| {
        let (share, alpha) = (number(entry.e_value), number(entry.alpha * 100.0));
        let _ =
            writeln!(out, "  {}: {share} of {} (a mistake in at most {alpha} %)", entry.name, number(entry.threshold));
        out
    })
}

fn inputs(decision: &Decision) -> String {
    let inputs = &decision.inputs;
    let mut out = inputs.offsets.iter().fold(String::new(), |mut out, (topic, partition, first, last)| {
        let _ = writeln!(out, "  {topic}, partition {partition}, offsets {first} to {last}");
        out
    });
    let _ = writeln!(out, "  policy {}", inputs.policy);
    if !inputs.reference.is_empty() {
        let _ = writeln!(out, "  reference {}", inputs.reference);
    }
    let _ = writeln!(out, "  {}", inputs.engine);
    out
}

/// What it replaced, what replaced it, and what the rollout came to later.
fn course(decision: &Decision, log: &[Decision]) -> String {
    let same = |other: &&Decision| {
        (&other.rollout, &other.model, &other.candidate) == (&decision.rollout, &decision.model, &decision.candidate)
    };
    log.iter().filter(same).fold(String::new(), |mut out, other| {
        let mark = if other.id == decision.id { '>' } else { ' ' };
        let replaced = other.supersedes.contains(&decision.id);
        let cap = other.cap_pct.map_or_else(String::new, |cap| format!(" to {cap} %"));
        let note = if replaced { ", which replaced it" } else { "" };
        let (at, action) = (instant(other.time), other.action.name());
        let _ = writeln!(out, "{mark} {:>3}  {at}  {action}{cap}{note}: {}", other.sequence, other.reason.text);
        out
    })
}

/// The columns of the window that were furthest from what they are compared with.
fn differed(rows: &[WindowRow]) -> String {
    let mut drifted: Vec<(&WindowRow, f64)> = rows
        .iter()
        .filter(|row| row.metric == DRIFT.spec().name && row.status == RowStatus::Ok && !row.baseline.is_empty())
        .filter_map(|row| Some((row, row.value?)))
        .collect();
    drifted.sort_by(|(left, a), (right, b)| {
        b.total_cmp(a).then_with(|| (&left.column, &left.segment).cmp(&(&right.column, &right.segment)))
    });
    drifted.iter().take(COLUMNS_SHOWN).fold(String::new(), |mut out, (row, value)| {
        let within = if row.segment.is_empty() { String::new() } else { format!(" in {}", row.segment) };
        let (against, of, n) = (&row.baseline, &row.column, count(row.n));
        let _ = writeln!(out, "  psi of {of}{within} against {against}: {} (n {n})", number(*value));
        out
    })
}

fn verdict(decision: &Decision, recomputed: &Recomputed) -> String {
    match recomputed.differences(decision).as_deref() {
        Some([]) => "  matches: the same decision, with the same evidence to the last bit\n".to_owned(),
        Some(fields) => format!("  DIFFERS in {}\n", fields.join(", ")),
        None => {
            let n = recomputed.decisions.len();
            format!("  DIFFERS: {n} decisions of {} come out, this is none of them\n", decision.candidate)
        }
    }
}

/// How much of the log stored panes stand for. Whatever was counted later than the first pane is in them.
fn reach(recomputed: &Recomputed) -> String {
    let RecomputeSource::Panes { from, unfit, alike: (alike, stored) } = recomputed.source else {
        return String::new();
    };
    let mut out = format!("  {alike} of {stored} stored numbers of its window come out alike\n");
    let _ =
        writeln!(out, "  panes from {} on; what was counted before, if anything was, is not in them", instant(from));
    if unfit > 0 {
        let _ = writeln!(
            out,
            "  {} more panes are of another policy, or of a release that did not keep all of a pane: passed over",
            count(unfit)
        );
    }
    out
}
