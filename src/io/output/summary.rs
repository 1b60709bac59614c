//! What a replay found, to read: per version the windows that were judged, the decisions as they fell and the columns
//! that drifted most.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::engine::Effects;
use crate::event::Micros;
use crate::judge::{RowStatus, WindowRow};
use crate::metric::DRIFT;
use crate::plan::Signal;
use crate::trust::Trust;
use crate::verdict::Decision;

use super::evidence as told_as;
use super::text::{aligned, count, instant, number, plural};

/// How many drifting columns are shown per version.
const COLUMNS_SHOWN: usize = 5;
/// How many numbers are shown per decision.
const EVIDENCE_SHOWN: usize = 3;

/// Gathers effects and renders them at the end.
#[derive(Debug, Default)]
pub struct Summary {
    versions: BTreeMap<(String, String), SeenVersion>,
    decisions: Vec<Decision>,
}

/// What was seen of one version of one model.
#[derive(Debug, Default)]
struct SeenVersion {
    windows: BTreeMap<(Micros, Micros), Trust>,
    drift: BTreeMap<DriftKey, Peak>,
}

/// A column and what it is compared with.
type DriftKey = (String, String);

/// Fewer rows move an index of drift by themselves.
/// Origin: choice; as many as a guard asks for.
const ROWS_MIN: u64 = 200;

/// The highest value a column reached in any window, in haldane's own convention.
#[derive(Debug)]
struct Peak {
    convention: String,
    value: f64,
    n: u64,
    window_start: Micros,
}

impl Summary {
    /// Takes in what one step gave rise to.
    pub fn add(&mut self, effects: &Effects) {
        for row in &effects.windows {
            self.versions.entry((row.model.clone(), row.version.clone())).or_default().add(row);
        }
        self.decisions.extend_from_slice(&effects.decisions);
    }

    /// The summary as text; with `colour`, actions carry terminal colours.
    #[must_use]
    pub fn render(&self, colour: bool) -> String {
        if self.versions.is_empty() {
            return "no window was judged: there were no predictions in a complete window\n".to_owned();
        }
        let sections = self.versions.iter().map(|((model, version), seen)| self.section(model, version, seen, colour));
        sections.collect::<Vec<_>>().join("\n")
    }

    fn section(&self, model: &str, version: &str, seen: &SeenVersion, colour: bool) -> String {
        let mut out = format!("{model} {version}: {}\n", seen.span());
        let decisions: Vec<&Decision> =
            self.decisions.iter().filter(|decision| decision.model == model && decision.candidate == version).collect();
        if let Some(first) = decisions.first() {
            let heading = plural(decisions.len() as u64, "decision");
            let _ = writeln!(out, "  {heading} in rollout {} against {}", first.rollout, first.baseline);
        }
        for decision in decisions {
            out.push_str(&told(decision, colour));
        }
        out.push_str(&seen.drift_table());
        out
    }
}

impl SeenVersion {
    fn add(&mut self, row: &WindowRow) {
        let trust = self.windows.entry((row.window_start, row.window_end)).or_default();
        *trust = row.trust.max(*trust);
        if row.metric != DRIFT.spec().name || row.status != RowStatus::Ok || !row.segment.is_empty() {
            return;
        }
        let Some(value) = row.value else { return };
        let peak = Peak { convention: row.convention.clone(), value, n: row.n, window_start: row.window_start };
        match self.drift.entry((row.column.clone(), row.baseline.clone())) {
            std::collections::btree_map::Entry::Vacant(free) => {
                free.insert(peak);
            }
            std::collections::btree_map::Entry::Occupied(mut held) => held.get_mut().raise(peak),
        }
    }

    fn span(&self) -> String {
        let (Some((first, _)), Some((last, _))) = (self.windows.first_key_value(), self.windows.last_key_value())
        else {
            return "no window".to_owned();
        };
        let windows = plural(self.windows.len() as u64, "window");
        let of = |trust: Trust| {
            let n = self.windows.values().filter(|one| **one == trust).count();
            if n == 0 { String::new() } else { format!("; {} {}", count(n as u64), trust.name()) }
        };
        let trust = [Trust::Untrusted, Trust::Degraded].map(of).concat();
        format!("{windows} judged, {} to {}{trust}", instant(first.0), instant(last.1))
    }

    /// The columns that drifted most from the most telling baseline there is.
    fn drift_table(&self) -> String {
        let Some((_, against)) = self.drift.keys().min_by_key(|(_, baseline)| (rank(baseline), baseline)) else {
            return String::new();
        };
        let mut peaks: Vec<(&DriftKey, &Peak)> = self.drift.iter().filter(|((_, other), _)| other == against).collect();
        peaks.sort_by(|a, b| b.1.value.total_cmp(&a.1.value).then_with(|| a.0.cmp(b.0)));
        let mut rows = vec![["column", DRIFT.spec().name, "n", "window"].map(str::to_owned)];
        rows.extend(peaks.into_iter().take(COLUMNS_SHOWN).map(|((column, _), peak)| {
            [column.clone(), number(peak.value), count(peak.n), instant(peak.window_start)]
        }));
        format!("  highest drift in any window, against {against}\n{}", aligned(&rows, 4))
    }
}

/// How much a baseline tells about a version: what happens beside it comes first, what happened long ago last.
fn rank(baseline: &str) -> u8 {
    match baseline.split(':').next() {
        Some("concurrent") => 0,
        Some("reference") => 1,
        Some("previous") => 2,
        _ => 3,
    }
}

impl Peak {
    /// Keeps the higher one, of those of enough rows if there are any. The first convention seen is haldane's own;
    /// other tools' numbers are on other scales.
    fn raise(&mut self, other: Self) {
        let rank = |peak: &Self| (peak.n >= ROWS_MIN, peak.value);
        if other.convention == self.convention && rank(&other) > rank(self) {
            *self = other;
        }
    }
}

fn told(decision: &Decision, colour: bool) -> String {
    let (code, text) = (&decision.reason.code, &decision.reason.text);
    let action = painted(decision.action, colour);
    let cap = decision.cap_pct.map(|cap| format!(" to {}%", number(cap))).unwrap_or_default();
    let mut out = format!("    {}  {action}{cap}  {code}: {text}\n", instant(decision.time));
    for evidence in decision.evidence.iter().take(EVIDENCE_SHOWN) {
        let _ = writeln!(out, "      {}", told_as::proof(evidence));
    }
    if let Some(more) = decision.evidence.len().checked_sub(EVIDENCE_SHOWN).filter(|&more| more > 0) {
        let _ = writeln!(out, "      and {} more", count(more as u64));
    }
    out
}

fn painted(action: Signal, colour: bool) -> String {
    let code = match action {
        _ if !colour => return action.name().to_owned(),
        Signal::Warn | Signal::Hold => "33",
        Signal::Contain | Signal::Rollback => "1;31",
        _ => "32",
    };
    format!("\x1b[{code}m{}\x1b[0m", action.name())
}

#[cfg(test)]
pub(crate) mod tests;
