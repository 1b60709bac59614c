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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::WindowRow;
    use crate::metric::row::RowStatus;
    use crate::verdict::decision::LedgerEntry;

    fn log() -> Vec<Decision> {
        let lines = include_str!("../../../tests/data/recorded/flights.decisions.jsonl").lines();
        lines.map(|line| serde_json::from_str(line).expect("a decision")).collect()
    }

    fn evidence(estimate: f64, bound: f64) -> Evidence {
        let first = log()[0].evidence[0].clone();
        Evidence { estimate, bound, e_value: None, alpha: None, breaches: (0, 0), ..first }
    }

    #[test]
    fn a_number_says_how_far_it_is_beyond_its_bound_and_which_side_would_have_been_well() {
        let over = Evidence { breaches: (2, 3), ..evidence(0.5, 0.2) };
        let told = "0.3 beyond its bound of 0.2, in 2 of the last 3 windows; at or below 0.2 it would not have counted";
        assert_eq!(turning_point(&over), told);
        let told = "0.2 beyond its bound of 0.7; at or above 0.7 it would not have counted";
        assert_eq!(turning_point(&evidence(0.5, 0.7)), told, "without windows looked at");
    }

    #[test]
    fn evidence_says_with_which_alpha_it_would_not_have_acted() {
        let gathered = |e, alpha| Evidence { e_value: Some(e), alpha, ..evidence(0.5, 0.2) };
        let told = "evidence 400, 4 times the 100 that acts; it would not have acted with an alpha below 0.0025";
        assert_eq!(turning_point(&gathered(400.0, Some(0.01))), told);
        let just = turning_point(&gathered(100.0, Some(0.01)));
        assert!(just.starts_with("evidence 100, 1 times the 100 that acts"), "at the bound it acts: {just}");
        let less = turning_point(&gathered(99.0, Some(0.01)));
        assert_eq!(less, "evidence 99 of 100: not enough by itself, it spoke together with others");
        for alpha in [None, Some(0.0)] {
            assert!(turning_point(&gathered(400.0, alpha)).contains("beyond its bound"), "{alpha:?}");
        }
    }

    #[test]
    fn an_interval_shows_the_ends_that_are_known() {
        let of = |lo, hi| interval(&Evidence { lo, hi, test: crate::name::NameOf::default(), ..evidence(0.5, 0.2) });
        assert_eq!(of(Some(0.4), Some(0.6)), "0.5 [0.4, 0.6]");
        assert_eq!((of(Some(0.4), None), of(None, Some(0.6))), ("0.5 [0.4, …]".into(), "0.5 […, 0.6]".into()));
        assert_eq!(of(None, None), "0.5");
        let of = |column: &str, segment: &str| {
            subject(&Evidence {
                metric: "psi".into(),
                column: column.into(),
                segment: segment.into(),
                ..evidence(0.0, 0.0)
            })
        };
        assert_eq!((of("", ""), of("x", "a=b")), ("psi".to_owned(), "psi of x in a=b".to_owned()));
    }

    #[test]
    fn a_ledger_tells_each_account_beside_what_acts() {
        let entry = LedgerEntry { name: "errors".to_owned(), alpha: 0.01, e_value: 12.5, threshold: 100.0 };
        let decision = Decision { ledger: vec![entry], ..log()[0].clone() };
        assert_eq!(ledger(&decision), "  errors: 12.5 of 100 (a mistake in at most 1 %)\n");
    }

    #[test]
    fn the_course_is_that_of_the_candidate_with_the_decision_marked() {
        let at = |id: &str, sequence, candidate: &str, supersedes: &[&str]| Decision {
            id: id.to_owned(),
            sequence,
            candidate: candidate.to_owned(),
            supersedes: supersedes.iter().map(|id| (*id).to_owned()).collect(),
            cap_pct: (sequence == 2).then_some(5.0),
            ..log()[0].clone()
        };
        let log = [at("a", 1, "v2", &[]), at("b", 2, "v2", &["a"]), at("c", 3, "v3", &["a"])];
        let told = course(&log[0], &log);
        let lines: Vec<&str> = told.lines().collect();
        assert_eq!(lines.len(), 2, "{told}");
        assert!(lines[0].starts_with(">   1  ") && lines[1].starts_with("    2  "), "{told}");
        assert!(lines[1].contains("warn to 5 %, which replaced it: the world moved"), "{told}");
        assert!(!lines[0].contains("replaced it"), "{told}");
        let other = Decision { model: "another".to_owned(), ..log[0].clone() };
        assert_eq!(course(&other, &log), "", "another model's versions are others");
    }

    #[test]
    fn a_story_leaves_out_what_it_has_nothing_for() {
        let decision = Decision { evidence: Vec::new(), ledger: Vec::new(), cap_pct: Some(20.0), ..log()[0].clone() };
        let told = tell(&decision, &StoryContext { log: &[], recomputed: None });
        let head = "warn v1 of flight-delay to 20 %, decision 1 of rollout flights\n  b3:083e2e0a55d3";
        assert!(told.starts_with(head), "{told}");
        for title in ["What spoke", "What would have changed it", "Error budget", "Before and after", "Recomputed"] {
            assert!(!told.contains(title), "{title}: {told}");
        }
        assert!(
            told.contains("\nWhat it was computed from\n  flights.predictions, partition 0, offsets 3908 to 5891\n")
        );
        let whole = tell(&log()[0], &StoryContext { log: &log(), recomputed: None });
        for title in ["What spoke", "What would have changed it", "Before and after"] {
            assert!(whole.contains(&format!("\n{title}\n")), "{title}: {whole}");
        }
    }

    fn row(column: &str, value: Option<f64>) -> WindowRow {
        let mut row: WindowRow = serde_json::from_value(serde_json::json!({
            "window_start": 0, "window_end": 1, "model": "m", "version": "v2", "segment": "", "baseline": "reference",
            "reference": "", "column": column, "metric": "psi", "convention": "own", "revision": 0, "status": "ok",
            "n": 1000, "n_baseline": 1000, "bins": 10,
        }))
        .expect("a row");
        row.value = value;
        row
    }

    #[test]
    fn five_columns_that_differ_most_are_told() {
        let mut rows: Vec<WindowRow> = (0..7).map(|at| row(&format!("c{at}"), Some(f64::from(at)))).collect();
        rows.push(WindowRow { status: RowStatus::Insufficient, ..row("few", Some(99.0)) });
        rows.push(WindowRow { baseline: String::new(), ..row("alone", Some(99.0)) });
        rows.push(WindowRow { metric: "ks".to_owned(), ..row("ks", Some(99.0)) });
        rows.push(row("none", None));
        rows.push(WindowRow { segment: "a=b".to_owned(), ..row("c6", Some(6.0)) });
        let told = differed(&rows);
        let lines: Vec<&str> = told.lines().collect();
        assert_eq!(lines[0], "  psi of c6 against reference: 6 (n 1,000)", "{told}");
        assert_eq!(lines[1], "  psi of c6 in a=b against reference: 6 (n 1,000)");
        assert_eq!((lines.len(), lines[4]), (5, "  psi of c3 against reference: 3 (n 1,000)"));
        assert_eq!(differed(&[]), "");
    }

    #[test]
    fn panes_tell_how_much_they_stand_for() {
        let of = |source| reach(&Recomputed { decisions: Vec::new(), rows: Vec::new(), source });
        assert_eq!(of(RecomputeSource::Events), "");
        let whole = of(RecomputeSource::Panes { from: 0, unfit: 0, alike: (7, 8) });
        assert!(whole.starts_with("  7 of 8 stored numbers") && whole.lines().count() == 2, "{whole}");
        let part = of(RecomputeSource::Panes { from: 0, unfit: 1_200, alike: (7, 8) });
        assert!(part.contains("  1,200 more panes are of another policy"), "{part}");
    }

    #[test]
    fn a_decision_that_does_not_come_out_again_is_told_apart_from_one_that_differs() {
        let of = |decisions: Vec<Decision>| Recomputed { decisions, rows: Vec::new(), source: RecomputeSource::Events };
        let log = log();
        assert!(verdict(&log[0], &of(log.clone())).starts_with("  matches"));
        let changed = Decision { severity: log[1].severity, cap_pct: Some(1.0), ..log[0].clone() };
        let told = verdict(&changed, &of(vec![log[0].clone()]));
        assert!(told.contains("DIFFERS"), "{told}");
        let none = verdict(&log[0], &of(Vec::new()));
        assert_eq!(none, "  DIFFERS: 0 decisions of v1 come out, this is none of them\n");
    }
}
