//! How a rollout went, as a note for a pull request: what was decided, why, by whom, and what was seen.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::history::to_cap;
use super::markdown::{cell, table};
use super::model::{DecisionNote, History, Report, Rollout};
use crate::output::text::{count, instant, number, short_id};

/// Actions that say what stands, or that something is over.
const REPEATS: [&str; 2] = ["heartbeat", "observe"];

/// Actions that change the share of traffic, or keep it from changing.
const MOVES: [&str; 5] = ["hold", "contain", "rollback", "promote_ok", "resume"];

/// A note in Markdown, a section per candidate. `criteria` are lines of what the pipeline asks for, by their titles.
#[must_use]
pub fn note(report: &Report, criteria: &[(&str, Vec<String>)]) -> String {
    let mut text = String::new();
    let Some(history) = &report.history else { return text };
    for rollout in &history.rollouts {
        self::rollout(history, rollout, &mut text);
    }
    if history.rollouts.is_empty() {
        text += "# Nothing was decided\n";
    }
    self::criteria(criteria, &mut text);
    let _ = writeln!(text, "\n{}", report.made_by);
    text
}

fn rollout(history: &History, rollout: &Rollout, text: &mut String) {
    let Rollout { candidate, baseline, model, .. } = rollout;
    let is_of = |note: &&DecisionNote| {
        (&note.rollout, &note.model, &note.candidate) == (&rollout.rollout, &rollout.model, &rollout.candidate)
    };
    let of: Vec<&DecisionNote> = history.decisions.iter().filter(is_of).collect();
    let _ = writeln!(text, "# {} of {} beside {}\n", cell(candidate), cell(model), cell(baseline));
    let _ = writeln!(text, "{}.", cell(rollout.summary.trim_end_matches('.')));
    if let (Some(first), Some(last)) = (history.first, history.last) {
        let windows = count(history.windows as u64);
        let _ = writeln!(text, "Judged in {windows} windows from {} to {}.", instant(first), instant(last));
    }
    let told: Vec<&DecisionNote> = of.iter().filter(|note| !REPEATS.contains(&note.action.as_str())).copied().collect();
    let course = told.iter().map(|note| {
        let what = format!("{}{}", note.action, to_cap(note.cap_pct));
        [
            instant(note.time),
            short_id(&note.id).to_owned(),
            what,
            format!("{}: {}", note.code, note.reason),
            note.who.clone(),
        ]
    });
    table(text, "What was decided, why, and by whom", ["time", "id", "what", "why", "who"], course);
    let moves = |note: &&&DecisionNote| MOVES.contains(&note.action.as_str()) && !note.evidence.is_empty();
    if let Some(standing) = told.iter().rev().find(moves).or(told.last()).filter(|note| !note.evidence.is_empty()) {
        let what = format!("{}{}", standing.action, to_cap(standing.cap_pct));
        let _ = writeln!(text, "\n## What it rests on ({what}, {})\n", instant(standing.time));
        text.extend(standing.evidence.iter().map(|line| format!("- {}\n", cell(line))));
    }
    let seen = rollout.compared.iter().map(|beside| {
        let column = if beside.column.is_empty() { String::new() } else { format!(" of {}", beside.column) };
        [format!("{}{column}", beside.metric), number(beside.candidate), number(beside.baseline), count(beside.n)]
    });
    table(text, "What was seen, over all windows", ["metric", candidate, baseline, "n"], seen);
    let plans: BTreeSet<&str> = of.iter().map(|note| note.policy.as_str()).collect();
    let plans = plans.into_iter().map(cell).collect::<Vec<_>>().join(", ");
    let _ = writeln!(text, "\nBy plan {plans}. `haldane explain ID` recomputes a decision.\n");
}

fn criteria(criteria: &[(&str, Vec<String>)], text: &mut String) {
    let told: Vec<_> = criteria.iter().filter(|(_, lines)| !lines.is_empty()).collect();
    if told.is_empty() {
        return;
    }
    *text += "\n## Criteria\n";
    for (title, lines) in told {
        let _ = writeln!(text, "\n{}:\n", cell(title));
        text.extend(lines.iter().map(|line| format!("- {}\n", cell(line))));
    }
}
