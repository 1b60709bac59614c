//! The trust of a window, from what each stream brought while it was open.
//!
//! Shares are those of the source that is worst off: poison in one topic is not made up for by plenty in another.
//! Traffic speaks for the panes of the window; outcomes for the panes in which labels of it could arrive in time.
//! Exposures are settings and no sample, so no share of them means anything.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use crate::event::{EventKind, Micros};
use crate::judge::measure::Span;
use crate::plan::{Cause, Plan};
use crate::scan::{Intake, Pace};
use crate::trust::WindowTrust;

/// A stream: index of the source, and lane.
type StreamKey = (u16, u32);

/// What streams brought, pane by pane, merged by replacement.
#[derive(Debug, Clone, Default)]
pub(crate) struct Accounts {
    streams: BTreeMap<StreamKey, BTreeMap<Micros, (i64, Intake)>>,
}

impl Accounts {
    /// Takes an account; `false` when a later one is there already.
    pub(crate) fn put(&mut self, stream: StreamKey, pane: Micros, upto: i64, intake: Intake) -> bool {
        let panes = self.streams.entry(stream).or_default();
        if panes.get(&pane).is_some_and(|known| known.0 > upto) {
            return false;
        }
        panes.insert(pane, (upto, intake)).is_none_or(|known| known.1 != intake)
    }

    /// Forgets traffic before one time and outcomes before another; of each stream the last account stays, which tells
    /// how much it usually brings.
    pub(crate) fn release(&mut self, plan: &Plan, traffic_before: Micros, outcomes_before: Micros) {
        for (&(source, _), panes) in &mut self.streams {
            let before =
                if plan.sources[usize::from(source)].kind.is_traffic() { traffic_before } else { outcomes_before };
            let last = panes.pop_last();
            *panes = panes.split_off(&before);
            panes.extend(last);
        }
    }

    /// How many bytes are kept, about.
    pub(crate) fn bytes(&self) -> usize {
        let n: usize = self.streams.values().map(BTreeMap::len).sum();
        n * size_of::<(Micros, (i64, Intake))>() * 3 / 2
    }

    /// The trust of a window's traffic; `usual` say what each stream brought so far.
    pub(crate) fn traffic(&self, plan: &Plan, span: Span, usual: &BTreeMap<StreamKey, Pace>) -> WindowTrust {
        let panes = span.start..span.end;
        self.weigh(plan, EventKind::is_traffic, &panes, usual)
    }

    /// The trust of the labels that came in time for a window.
    pub(crate) fn outcomes(&self, plan: &Plan, span: Span, usual: &BTreeMap<StreamKey, Pace>) -> WindowTrust {
        let wait = plan.quality.as_ref().map_or(0, |quality| quality.wait);
        let panes = span.start..plan.time.pane_of(span.end.saturating_add(wait));
        self.weigh(plan, |kind| kind == EventKind::Outcome, &panes, usual)
    }

    fn weigh(
        &self,
        plan: &Plan,
        counts: impl Fn(EventKind) -> bool,
        panes: &Range<Micros>,
        usual: &BTreeMap<StreamKey, Pace>,
    ) -> WindowTrust {
        let mut trust = WindowTrust::default();
        if panes.is_empty() {
            return trust;
        }
        for (source, _) in (0_u16..).zip(&plan.sources).filter(|(_, source)| counts(source.kind)) {
            let of_source = self.streams.range((source, 0)..=(source, u32::MAX));
            let mut sum = Intake::default();
            of_source.flat_map(|(_, all)| all.range(panes.clone())).for_each(|(_, (_, one))| add(&mut sum, one));
            let mut doubt =
                |cause, n: u64, others: u64| trust.doubt(&plan.policy.trust, cause, n, others.saturating_add(n));
            doubt(Cause::Poison, sum.refused, sum.rows);
            doubt(Cause::Late, sum.late, sum.rows);
            doubt(Cause::Duplicates, sum.duplicates, sum.rows);
            doubt(Cause::Gaps, sum.lost, sum.rows);
            doubt(Cause::Missing, self.missing(plan, source, panes, usual), sum.rows);
            doubt(Cause::Skew, sum.ahead, sum.rows.saturating_sub(sum.ahead));
        }
        trust
    }

    /// Rows that lanes usually bring in panes in which they were silent and others of the source were not.
    fn missing(&self, plan: &Plan, source: u16, panes: &Range<Micros>, usual: &BTreeMap<StreamKey, Pace>) -> u64 {
        let of_source = || self.streams.range((source, 0)..=(source, u32::MAX));
        let with_rows = |all: &BTreeMap<Micros, (i64, Intake)>| -> Vec<Micros> {
            all.range(panes.clone()).filter(|(_, (_, one))| one.rows > 0).map(|(&pane, _)| pane).collect()
        };
        let spoken: BTreeSet<Micros> = of_source().flat_map(|(_, all)| with_rows(all)).collect();
        let known = usual.range((source, 0)..=(source, u32::MAX)).map(|(&stream, _)| stream);
        let lanes: BTreeSet<StreamKey> = of_source().map(|(&stream, _)| stream).chain(known).collect();
        let silent = |stream: StreamKey| {
            let own: BTreeSet<Micros> = self.streams.get(&stream).map(&with_rows).into_iter().flatten().collect();
            let mut missing = 0_u64;
            let mut run: Option<(Micros, Micros)> = None;
            for &pane in &spoken {
                if own.contains(&pane) {
                    missing = missing.saturating_add(self.of_run(plan, stream, run.take(), usual));
                } else {
                    let (start, time) = run.unwrap_or((pane, 0));
                    run = Some((start, time + plan.time.pane_end(pane) - pane));
                }
            }
            missing.saturating_add(self.of_run(plan, stream, run, usual))
        };
        lanes.into_iter().map(silent).fold(0, u64::saturating_add)
    }

    /// Rows that a stream usually brings in a run of panes, where they are so many that silence is no chance: of ten
    /// that come by chance none does in 5 of 100,000 runs.
    fn of_run(
        &self,
        plan: &Plan,
        stream: StreamKey,
        run: Option<(Micros, Micros)>,
        usual: &BTreeMap<StreamKey, Pace>,
    ) -> u64 {
        let Some((start, time)) = run else { return 0 };
        let panes = self.streams.get(&stream);
        let next = panes.and_then(|panes| panes.range(start..).find(|(_, (_, one))| one.rows > 0));
        let last = || panes.and_then(|panes| panes.last_key_value());
        let before = next.map(|(_, (_, one))| one.pace).or_else(|| usual.get(&stream).copied()).or_else(|| {
            last().map(|(&pane, (_, one))| one.pace_after((pane, plan.time.pane_end(pane)), plan.time.pane))
        });
        let expected = before.map_or(0, |pace| pace.expected(time));
        if expected >= plan.policy.trust.n_min { expected } else { 0 }
    }
}

fn add(sum: &mut Intake, one: &Intake) {
    sum.rows += one.rows;
    sum.late += one.late;
    sum.duplicates += one.duplicates;
    sum.refused += one.refused;
    sum.ahead += one.ahead;
    sum.lost = sum.lost.max(one.lost);
}
