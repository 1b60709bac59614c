//! A decision once more: the same engine, the same plan, and the same log, or the panes of it that a store kept.

use std::sync::Arc;

use crate::engine::{Effects, Engine};
use crate::error::Result;
use crate::event::Micros;
use crate::judge::WindowRow;
use crate::plan::Plan;
use crate::replay::{Replay, ReplayStep};
use crate::verdict::{Decision, Scheduled};
use crate::{
    event::EventKind,
    judge::Judge,
    plan::WindowKind,
    scan::{Body, Pace, StreamState, Tick},
    store::{PaneDay, RowFilter},
};

/// What the log gave when it was judged again.
#[derive(Debug)]
pub struct Recomputed {
    /// Every decision of the same candidate.
    pub decisions: Vec<Decision>,
    /// The rows of the decision's window, first judgements only.
    pub rows: Vec<WindowRow>,
    /// What it was judged from.
    pub source: RecomputeSource,
}

/// What was judged again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecomputeSource {
    /// Events, of an archive or of the input topics.
    Events,
    /// Panes of a store.
    Panes {
        /// The first of them.
        from: Micros,
        /// Panes that were passed over: of another plan, or stored by a release that did not keep them whole.
        unfit: u64,
        /// Of the numbers that the store holds of the decision's window, those that came out alike, and all.
        alike: (usize, usize),
    },
}

/// Judges files again, with what people said meanwhile.
pub fn from_files(plan: &Arc<Plan>, files: Replay, commands: Vec<Scheduled>, of: &Decision) -> Result<Recomputed> {
    let mut engine = Engine::new(Arc::clone(plan), files.lanes());
    commands.into_iter().for_each(|command| engine.schedule(command));
    let mut found = Recomputed::nothing();
    for step in files {
        match step? {
            ReplayStep::Batch(batch) => found.take(engine.step(&batch), of),
            ReplayStep::Refused(_) => {}
            ReplayStep::End { source, lane, next_offset } => {
                found.take(engine.progress(lane, source, next_offset, true, true), of);
            }
        }
    }
    Ok(found)
}

/// Judges the panes of a store again, as far as the decision needs them, with the commands that it holds. `None` when
/// none of them can be.
pub fn from_panes(plan: &Arc<Plan>, store: &crate::store::Store, of: &Decision) -> Result<Option<Recomputed>> {
    // Later windows are judged before the labels of this one are.
    let wait = plan.quality.as_ref().map_or(0, |quality| quality.wait.saturating_add(1));
    let which = RowFilter { model: Some(of.model.clone()), from: None, to: Some(of.time.saturating_add(wait)) };
    let mut judge = Judge::new(Arc::clone(plan));
    let said = store.commands(&RowFilter { to: None, ..which.clone() })?;
    said.into_iter().for_each(|result| judge.schedule(result.into()));
    let mut found = Recomputed::nothing();
    let (mut from, mut unfit) = (Micros::MAX, 0);
    for day in store.pane_days(plan, &which)? {
        let PaneDay { end, panes, unfit: others } = day?;
        unfit += others;
        for pane in panes {
            // What came of records alone is nothing to judge.
            let is_judged = !matches!(pane.body, Body::Intake(_));
            from = if is_judged { from.min(pane.pane) } else { from };
            judge.put(pane);
        }
        found.take(judge.tick(read_up_to(plan, end, false)), of);
    }
    found.take(judge.tick(read_up_to(plan, Micros::MAX, true)), of);
    let (WindowKind::Sliding { size, .. } | WindowKind::AtLeast { size_max: size, .. }) = plan.time.window;
    let stored = store.windows(&RowFilter { from: Some(plan.time.earlier(of.window_end(), size)), ..which })?;
    let stored: Vec<WindowRow> = stored.into_iter().filter(|row| is_of(row, of)).collect();
    let alike = stored.iter().filter(|row| found.rows.contains(row)).count();
    found.source = RecomputeSource::Panes { from, unfit, alike: (alike, stored.len()) };
    Ok((from < Micros::MAX).then_some(found))
}

/// Progress of one lane that stands for all: every stream was read up to a time.
fn read_up_to(plan: &Plan, at: Micros, finished: bool) -> Tick {
    let sources = (0..).zip(&plan.sources).filter(|(_, source)| source.kind != EventKind::Exposure);
    let stream = |(source, _)| StreamState {
        source,
        next_offset: 0,
        watermark: at,
        broker_time: at,
        at_end: finished,
        finished,
        pace: Pace::default(),
    };
    Tick { lane: 0, lanes: 1, plan: plan.digest.clone(), streams: sources.map(stream).collect() }
}

/// Whether a row is a first judgement of the decision's candidate and window.
fn is_of(row: &WindowRow, of: &Decision) -> bool {
    (row.window_end, &row.model, &row.version) == (of.window_end(), &of.model, &of.candidate) && row.revision == 0
}

impl Recomputed {
    /// Before any event.
    #[must_use]
    pub fn nothing() -> Self {
        Self { decisions: Vec::new(), rows: Vec::new(), source: RecomputeSource::Events }
    }

    /// Keeps what a step says of the decision's candidate and window.
    pub fn take(&mut self, effects: Effects, of: &Decision) {
        let same = |decision: &Decision| {
            (&decision.rollout, &decision.model, &decision.candidate) == (&of.rollout, &of.model, &of.candidate)
        };
        self.decisions.extend(effects.decisions.into_iter().filter(same));
        self.rows.extend(effects.windows.into_iter().filter(|row| is_of(row, of)));
    }

    /// The fields in which the decision at the same place differs, `None` where there is none. Offsets may differ: an
    /// archive has its own. Ids of another format are no difference.
    #[must_use]
    pub fn differences(&self, of: &Decision) -> Option<Vec<&'static str>> {
        let place = |decision: &Decision| (decision.sequence, decision.time);
        let again = self.decisions.iter().find(|again| place(again) == place(of))?;
        let other_ids = again.format != of.format;
        let compared = [
            ("action", again.action == of.action && again.cap_pct == of.cap_pct),
            ("authority", again.authority == of.authority),
            ("approval", again.approval == of.approval),
            ("reason", again.reason == of.reason),
            ("evidence", again.evidence == of.evidence),
            ("exposure", again.exposure == of.exposure),
            ("ledger", again.ledger == of.ledger),
            ("precondition", again.precondition == of.precondition),
            ("supersedes", other_ids || again.supersedes == of.supersedes),
            ("id", other_ids || again.id == of.id),
        ];
        Some(compared.into_iter().filter(|(_, same)| !same).map(|(name, _)| name).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;
    use crate::plan::{Authority, Signal};

    fn decision() -> Decision {
        let lines = include_str!("../../../tests/data/recorded/flights.decisions.jsonl").lines();
        let all = lines.map(|line| serde_json::from_str::<Decision>(line).expect("a decision"));
        all.into_iter().find(|decision| !decision.evidence.is_empty()).expect("one that rests on numbers")
    }

    /// The fields in which a decision differs from what came out again.
    fn differences(change: impl Fn(&mut Decision)) -> Option<Vec<&'static str>> {
        let mut again = decision();
        change(&mut again);
        Recomputed { decisions: vec![again], ..Recomputed::nothing() }.differences(&decision())
    }

    #[test]
    fn every_field_that_differs_is_named() {
        type Change = fn(&mut Decision);
        let cases: [(Change, &[&str]); 12] = [
            (|_| {}, &[]),
            (|one| one.action = Signal::Retract, &["action"]),
            (|one| one.cap_pct = Some(0.125), &["action"]),
            (
                |one| {
                    one.authority = if one.authority == Authority::Auto { Authority::Advisory } else { Authority::Auto }
                },
                &["authority"],
            ),
            (|one| one.reason.text.push('.'), &["reason"]),
            (|one| one.evidence[0].estimate += 1.0, &["evidence"]),
            (|one| one.evidence.clear(), &["evidence"]),
            (|one| one.exposure.observed_pct += 1.0, &["exposure"]),
            (|one| one.ledger.clear(), &["ledger"]),
            (|one| one.supersedes.push("b3:1".to_owned()), &["supersedes"]),
            (|one| one.id.push('0'), &["id"]),
            (|one| (one.reason.text, one.id) = (String::new(), String::new()), &["reason", "id"]),
        ];
        for (at, (change, expected)) in cases.into_iter().enumerate() {
            assert_eq!(differences(change).as_deref(), Some(expected), "case {at}");
        }
    }

    #[test]
    fn a_decision_at_another_place_is_another_one() {
        assert_eq!(differences(|one| one.sequence += 1), None);
        assert_eq!(differences(|one| one.time += 1), None);
        assert_eq!(Recomputed::nothing().differences(&decision()), None);
    }

    #[test]
    fn where_an_archive_has_other_offsets_nothing_differs() {
        assert_eq!(differences(|one| one.inputs.offsets.clear()), Some(vec![]));
    }

    #[test]
    fn only_what_is_said_of_the_candidate_and_its_window_is_kept() {
        let of = decision();
        let other = |change: fn(&mut Decision)| {
            let mut other = decision();
            change(&mut other);
            other
        };
        let decisions = vec![
            of.clone(),
            other(|one| one.rollout.push('x')),
            other(|one| one.model.push('x')),
            other(|one| one.candidate.push('x')),
            other(|one| one.sequence += 1),
        ];
        let row = |version: &str, end: Micros, revision: u32| -> WindowRow {
            serde_json::from_value(serde_json::json!({
                "window_start": end - 10, "window_end": end, "model": of.model, "version": version, "segment": "",
                "baseline": "", "reference": "", "column": "c", "metric": "psi", "convention": "own",
                "revision": revision, "status": "ok", "value": 0.1, "n": 1, "n_baseline": 1, "bins": 10,
            }))
            .expect("a row")
        };
        let end = of.window_end();
        let windows = vec![
            row(&of.candidate, end, 0),
            row(&of.candidate, end, 1),
            row(&of.candidate, end - 1, 0),
            row("v0", end, 0),
        ];
        let mut found = Recomputed::nothing();
        found.take(Effects { decisions, windows, ..Effects::default() }, &of);
        assert_eq!(found.decisions.iter().map(|one| one.sequence - of.sequence).collect::<Vec<_>>(), [0, 1]);
        assert_eq!(found.rows, [row(&of.candidate, end, 0)]);
    }

    #[test]
    fn progress_is_of_all_streams_but_those_of_exposures() {
        let text = "sources: { predictions: { topic: p, id: id, version: v, event_time: t, score: s }, \
                    outcomes: { topic: o, id: id, label: y }, \
                    exposures: { topic: e, model: m, version: v, exposure: share, event_time: t } }\n\
                    rollout: { baseline: v1 }\n";
        let plan = config::parse(text, "p.yaml", std::path::Path::new("")).expect("a pipeline").plan;
        let tick = read_up_to(&plan, 5, true);
        let kinds: Vec<EventKind> = tick.streams.iter().map(|one| plan.sources[usize::from(one.source)].kind).collect();
        assert_eq!(kinds, [EventKind::Prediction, EventKind::Outcome]);
        assert!(tick.streams.iter().all(|one| one.watermark == 5 && one.at_end && one.finished));
        assert!(read_up_to(&plan, 5, false).streams.iter().all(|one| !one.at_end && !one.finished));
    }
}
