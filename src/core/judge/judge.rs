//! The state machine of stage 2.
//!
//! Judgements fall due in event time: a window's traffic when every stream has passed its end, its quality when labels
//! had `wait` to arrive, its last revision at the labels' `horizon`. Due judgements are made strictly in order of (due
//! time, kind, start), so decisions come in one order however the input was batched, partitioned or interrupted.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::event::Micros;
use crate::judge::early::{Early, LookStep, OpenWindow, WindowSums};
use crate::judge::effects::Effects;
use crate::judge::history::{Done, WindowHistory};
use crate::judge::late::Missed;
use crate::judge::measure::{Span, WindowMeasurement, coverages};
use crate::judge::progress::Progress;
use crate::judge::schedule::Schedule;
use crate::judge::store::PaneStore;
use crate::judge::thirds::ScoreThirds;
use crate::metric::row::WindowRow;
use crate::metric::view::{self, Baselines, ViewKey, Views};
use crate::metric::{self, Metric};
use crate::plan::{Baseline, Corrections, Plan, WindowKind};
use crate::scan::{Body, Checkpoint, Open, Partial, Tick};
use crate::summary::{Spill, Traffic};
use crate::trust::WindowTrust;
use crate::verdict::judged::{ActiveVersion, Judged, JudgedKind, VersionCounts};
use crate::verdict::policy::{Outgoing, Policy};
use crate::verdict::{Command, RolloutState, Scheduled, decision::Exposure};

/// A judgement that will fall due. Ordered by due time, then kind, then window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Due {
    pub(super) at: Micros,
    pub(super) what: DueKind,
    pub(super) span: Span,
}

/// What a judgement has found.
struct JudgedRows<'a> {
    rows: Vec<WindowRow>,
    seen: Vec<ActiveVersion>,
    newest: &'a VersionCounts<'a>,
    trust: &'a WindowTrust,
}

fn seen(of: &ViewKey, coverage: Option<f64>) -> ActiveVersion {
    ActiveVersion { model: of.model.clone(), version: of.version.clone(), coverage, thirds: None }
}

/// What is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum DueKind {
    /// A pane that may complete an at-least-n window.
    Pane,
    /// A window's traffic.
    Traffic,
    /// A window's labels that came in time.
    Quality,
    /// A window's labels, late ones included.
    LateQuality,
}

/// Stage 2.
#[derive(Debug)]
pub struct Judge {
    pub(super) plan: Arc<Plan>,
    metrics: Vec<&'static dyn Metric>,
    reference: Option<Arc<BTreeMap<String, Traffic>>>,
    pub(super) progress: Progress,
    /// By lane: what came when its windows were not revised any more.
    pub(super) missed: BTreeMap<u32, Missed>,
    pub(super) store: PaneStore,
    pub(super) due: BTreeSet<Due>,
    pub(super) history: WindowHistory,
    /// Start of the at-least-n window that is being filled.
    pub(super) run_start: Option<Micros>,
    pub(super) needed_from: Micros,
    emit_from: Micros,
    /// The clock when state was last released.
    released_at: Micros,
    policy: Policy,
    schedule: Schedule,
    /// Bytes of the summaries that the last window was judged by.
    judging_bytes: usize,
    /// Whether every lane says everything once, as in one process.
    said_once: bool,
    early: Early,
}

impl std::fmt::Debug for dyn Metric {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.spec().name)
    }
}

impl Judge {
    /// A fresh judge.
    #[must_use]
    pub fn new(plan: Arc<Plan>) -> Self {
        let reference = plan.reference.as_ref().map(|of| Arc::new(view::reference(&plan, &of.profile)));
        Self {
            metrics: plan.metrics.names.iter().filter_map(|name| metric::find(name)).collect(),
            reference,
            progress: Progress::default(),
            missed: BTreeMap::new(),
            store: PaneStore::default(),
            due: BTreeSet::new(),
            history: WindowHistory::default(),
            run_start: None,
            needed_from: Micros::MIN,
            emit_from: Micros::MIN,
            released_at: Micros::MIN,
            policy: Policy::new(Arc::clone(&plan)),
            schedule: Schedule::default(),
            judging_bytes: 0,
            said_once: false,
            early: Early::default(),
            plan,
        }
    }

    /// For lanes of the same process, which say everything once: none of it is replaced, so lanes may share what is
    /// kept.
    #[must_use]
    pub(crate) fn of_one_process(self) -> Self {
        Self { said_once: true, ..self }
    }

    /// Continues rollouts from states read back from the state topic.
    pub fn restore_rollouts(&mut self, states: Vec<RolloutState>) {
        self.policy.restore(states);
    }

    /// Continues after a restart of a lane: windows that were finished are not judged again.
    pub fn restore_lane(&mut self, checkpoint: &Checkpoint) {
        for stream in &checkpoint.streams {
            self.needed_from = self.needed_from.max(stream.meta.needed_from);
            self.emit_from = self.emit_from.max(stream.meta.emit_from);
        }
    }

    /// Carries out a command, at once.
    pub fn command(&mut self, command: Command) -> Effects {
        let (result, Outgoing { decisions, states, .. }) = self.policy.command(command);
        Effects { decisions, states, results: vec![result], ..Effects::default() }
    }

    /// Notes a command that is to be carried out at its place among the judgements.
    pub fn schedule(&mut self, scheduled: Scheduled) {
        self.schedule.add(scheduled);
    }

    /// Takes counts; `false` when they were known, or of a pane that is finished.
    pub fn put(&mut self, partial: Partial) -> bool {
        let (pane, is_traffic) = (partial.pane, matches!(partial.body, Body::Traffic(_)));
        let is_needed = pane >= self.needed_from || matches!(partial.body, Body::Exposure(_));
        let opens_windows = !matches!(partial.body, Body::Exposure(_) | Body::Intake(_)) && !partial.body.is_of_pairs();
        if opens_windows && self.is_too_late(pane, is_traffic) {
            self.miss(&partial);
        }
        if !is_needed || !self.store.put(partial) {
            return false;
        }
        if !opens_windows {
            return true;
        }
        self.revise(pane, is_traffic);
        match self.plan.time.window {
            WindowKind::Sliding { size, slide } => {
                let from = self.needed_from.max(self.store.whole_from(is_traffic));
                let plan = Arc::clone(&self.plan);
                for (start, end) in plan.time.windows_of(pane, size, slide).filter(|&(start, _)| start >= from) {
                    self.plan_window(Span { start, end });
                }
            }
            WindowKind::AtLeast { .. } if is_traffic && self.may_fill(pane) => {
                let span = Span { start: pane, end: self.plan.time.pane_end(pane) };
                self.due.insert(Due { at: span.end, what: DueKind::Pane, span });
            }
            WindowKind::AtLeast { .. } => {}
        }
        true
    }

    /// The start of the last pane that a partial says something about: for so long a restart needs it.
    #[must_use]
    pub fn needed_until(&self, partial: &Partial) -> Micros {
        partial.needed_until(&self.plan)
    }

    pub(super) fn plan_window(&mut self, span: Span) {
        if self.history.get(span).is_some() {
            return;
        }
        self.due.insert(Due { at: span.end, what: DueKind::Traffic, span });
        if let Some(quality) = &self.plan.quality {
            let in_time = span.end.saturating_add(quality.wait).saturating_add(1);
            self.due.insert(Due { at: in_time, what: DueKind::Quality, span });
            self.due.insert(Due { at: self.late_quality_at(span), what: DueKind::LateQuality, span });
        }
    }

    /// Whether a pane goes into an at-least-n window yet to be judged.
    fn may_fill(&self, pane: Micros) -> bool {
        pane >= self.emit_from && self.done_with(pane).next().is_none()
    }

    /// Judged windows that hold a pane.
    pub(super) fn done_with(&self, pane: Micros) -> impl Iterator<Item = (&Span, &Done)> {
        self.history.with(pane, self.plan.time.earlier(self.plan.time.pane_end(pane), self.longest()))
    }

    /// Takes progress, and judges what fell due.
    pub fn tick(&mut self, tick: Tick) -> Effects {
        self.progress.tick(&self.plan, tick, None);
        self.judge_due()
    }

    /// Takes progress that was written at a time by whoever reads the lane, and judges what fell due.
    pub fn tick_of(&mut self, tick: Tick, at: Micros) -> Effects {
        self.progress.tick(&self.plan, tick, Some(at));
        self.judge_due()
    }

    /// Takes the newest broker time known: by it the ticks that follow tell whether their streams are silent.
    pub fn broker_now(&mut self, now: Micros) {
        self.progress.broker_now(now);
    }

    fn judge_due(&mut self) -> Effects {
        let mut effects = Effects::default();
        let Some(clock) = self.progress.clock(&self.plan) else { return effects };
        while let Some(due) = self.due.first().copied().filter(|due| due.at <= clock) {
            self.due.remove(&due);
            match due.what {
                DueKind::Pane => self.fill_run(due.span, &mut effects),
                DueKind::Traffic => self.judge_traffic(due.span, &mut effects),
                DueKind::Quality => self.judge_quality(due, false, &mut effects),
                DueKind::LateQuality => self.judge_quality(due, true, &mut effects),
            }
        }
        if self.progress.finished() {
            self.close_run(&mut effects);
            while let Some(command) = self.schedule.rest() {
                effects.extend(self.command(command));
            }
        }
        self.release(clock);
        effects
    }

    pub(super) fn judge_traffic(&mut self, span: Span, effects: &mut Effects) {
        let groups = self.store.traffic(&self.plan, span.start, span.end);
        let views = view::roll_up(&self.plan, &groups);
        let summaries = groups.iter().map(|(_, traffic)| traffic).chain(views.values());
        self.judging_bytes = summaries.map(Traffic::bytes).sum();
        drop(groups);
        let revision = self.history.get(span).map_or(0, |done| done.traffic_revisions);
        if revision > 0 {
            self.revise_quality(span);
        }
        let trust = self.store.accounts().traffic(&self.plan, span, &self.progress.paces());
        let rows = self.traffic_rows(span, (revision, &trust), &views);
        let whole = views.keys().filter(|key| key.segment.is_empty());
        let seen = whole.map(|key| seen(key, None)).collect();
        self.history.judged(&self.plan, span, trust.clone(), &views);
        let newest = match self.newest_from(span) {
            from if from == span.start => None,
            from => Some(view::roll_up(&self.plan, &self.store.traffic(&self.plan, from, span.end))),
        };
        let newest = newest.as_ref().unwrap_or(&views);
        self.history.split(span, ScoreThirds::of_views(&self.plan, newest));
        let newest = VersionCounts::Traffic(newest);
        let found = JudgedRows { rows, seen, newest: &newest, trust: &trust };
        self.settle(span, (span.end, JudgedKind::Traffic), revision, found, effects);
    }

    /// Where the part of a window starts that no window before it held: evidence must not count an event twice.
    fn newest_from(&self, span: Span) -> Micros {
        match self.plan.time.window {
            WindowKind::Sliding { size, slide } => self.plan.time.newest_from(span.end, size, slide),
            WindowKind::AtLeast { .. } => span.start,
        }
    }

    fn traffic_rows(
        &self,
        span: Span,
        (revision, trust): (u32, &WindowTrust),
        views: &Views<Traffic>,
    ) -> Vec<WindowRow> {
        let before = self.history.before(&self.plan, span);
        let earlier = |baseline: &Baseline| before.get(&self.plan, baseline);
        let baselines = Baselines { reference: self.reference.as_deref(), earlier: &earlier };
        WindowMeasurement { plan: &self.plan, metrics: &self.metrics, span, revision, trust }.traffic(views, &baselines)
    }

    pub(super) fn judge_quality(&mut self, due: Due, with_late: bool, effects: &mut Effects) {
        let span = due.span;
        let Some(done) = self.history.get_mut(span) else { return };
        if with_late && !done.is_owed_quality && !self.store.has_late(span.start, span.end) {
            return;
        }
        let revision = done.quality_revisions;
        (done.quality_revisions, done.is_owed_quality) = (revision + 1, false);
        let trust = self.store.accounts().outcomes(&self.plan, span, &self.progress.paces()).and(&done.trust);
        let groups = self.store.quality(&self.plan, span.start, span.end, with_late);
        let views = view::roll_up(&self.plan, &groups);
        let scored = || self.history.get(span).into_iter().flat_map(Done::scored);
        let measure = WindowMeasurement { plan: &self.plan, metrics: &self.metrics, span, revision, trust: &trust };
        let rows = measure.quality(&views, scored());
        let whole = coverages(&views, scored()).filter(|(key, _)| key.segment.is_empty());
        let mut seen: Vec<ActiveVersion> = whole.map(|(key, coverage)| seen(key, Some(coverage))).collect();
        let newest = match self.newest_from(span) {
            from if from == span.start => views,
            from => view::roll_up(&self.plan, &self.store.quality(&self.plan, from, span.end, with_late)),
        };
        for (key, thirds) in self.history.get(span).into_iter().flat_map(|done| &done.thirds) {
            let of_key = seen.iter_mut().filter(|seen| seen.model == key.model && seen.version == key.version);
            of_key.for_each(|seen| seen.thirds = Some(thirds.labelled(newest.get(key))));
        }
        let newest = VersionCounts::Quality(&newest);
        let found = JudgedRows { rows, seen, newest: &newest, trust: &trust };
        self.settle(span, (due.at, JudgedKind::Quality), revision, found, effects);
    }

    /// Hands rows to the policy (first judgements only: a revision never decides) and out.
    fn settle(
        &mut self,
        span: Span,
        order: (Micros, JudgedKind),
        revision: u32,
        found: JudgedRows<'_>,
        effects: &mut Effects,
    ) {
        let JudgedRows { rows, seen, newest, trust } = found;
        if span.start < self.emit_from {
            return;
        }
        if revision == 0 {
            let newest_from = self.newest_from(span);
            while let Some(command) = self.schedule.before((order.0, order.1 as u8)) {
                effects.extend(self.command(command));
            }
            let Self { plan, store, history, policy, reference, .. } = self;
            let before = history.before(plan, span);
            let earlier = |baseline: &Baseline| before.get(plan, baseline);
            let baselines = Baselines { reference: reference.as_deref(), earlier: &earlier };
            let exposure = |model: &str, version: &str| Exposure {
                declared_pct: store.declared_share(plan, model, version, span.end).map(|share| share * 100.0),
                observed_pct: history.get(span).map_or(0.0, |done| done.share_pct(model, version)),
            };
            let looks = |model: &str, version: &str| store.share_looks(plan, model, version, span.end);
            let judged = Judged {
                start: span.start,
                end: span.end,
                order,
                rows: &rows,
                seen: &seen,
                newest_from,
                newest,
                trust,
                exposure: &exposure,
                looks: &looks,
                baselines,
                offsets: store.offsets(plan, span.start, span.end, order.1 == JudgedKind::Quality),
            };
            let Outgoing { decisions, states, ledgers } = policy.judge(&judged);
            effects.decisions.extend(decisions);
            effects.states.extend(states);
            effects.ledgers.extend(ledgers);
        }
        effects.windows.extend(rows);
    }

    /// Forgets what no judgement can need any more.
    fn release(&mut self, clock: Micros) {
        if clock < self.released_at.saturating_add(self.plan.time.pane) {
            return;
        }
        self.released_at = clock;
        let open = self.open_from();
        let (traffic_kept, quality_kept) = self.revised_from(clock);
        let keep = traffic_kept.min(self.next_from());
        let traffic_before = self.due.iter().filter(|due| due.what <= DueKind::Traffic).map(|due| due.span.start).min();
        let traffic_before = traffic_before.unwrap_or(keep).min(keep).min(self.run_start.unwrap_or(Micros::MAX));
        let quality_before = open.min(traffic_before).min(quality_kept);
        self.store.release(&self.plan, traffic_before, quality_before);
        let back = self.plan.furthest_back().unwrap_or(0);
        let before = |time: Micros| self.plan.time.earlier(time, back);
        self.history.release(before(quality_before), before(traffic_before));
        if self.said_once {
            // Of labels that may be corrected each lane's are replaced by themselves.
            let labels_before = match &self.plan.quality {
                Some(quality) if quality.corrections == Corrections::First => {
                    self.plan.time.earlier(clock.saturating_sub(quality.wait), self.plan.time.pane)
                }
                _ => Micros::MIN,
            };
            self.store.share(&self.plan, self.plan.time.pane_of(clock), labels_before);
        }
    }

    /// Start of the first window that is not finished: one that waits for its judgement, or one that data yet to come
    /// may open.
    fn open_from(&self) -> Micros {
        let due = self.due.iter().map(|due| due.span.start);
        due.chain(self.run_start).min().unwrap_or(Micros::MAX).min(self.next_from())
    }

    fn next_from(&self) -> Micros {
        let Some(clock) = self.progress.reached() else { return Micros::MIN };
        let overlap = match self.plan.time.window {
            WindowKind::Sliding { size, slide } => size - slide,
            WindowKind::AtLeast { .. } => 0,
        };
        self.plan.time.earlier(self.plan.time.pane_of(clock), overlap)
    }

    /// What a restart needs: panes from the first time on, to judge windows that start from the second time on.
    #[must_use]
    pub fn needed_from(&self) -> (Micros, Micros) {
        let emit_from = self.open_from().max(self.emit_from);
        (self.plan.time.earlier(emit_from, self.plan.furthest_back().unwrap_or(0)), emit_from)
    }

    /// A step of a look at the window that is open now, as it stands: adds up so many groups. `open` are the scans'
    /// open panes, in their order.
    pub fn early<'a>(&mut self, open: impl Iterator<Item = Open<'a>>, groups: usize) -> LookStep {
        let open: Vec<Open<'_>> = open.collect();
        let Some(newest) = open.iter().map(|open| open.pane).max() else {
            let nothing = Span { start: Micros::MIN, end: Micros::MIN };
            let is_new = self.early.nothing();
            return if is_new {
                LookStep::Done(Box::new(self.look(nothing, WindowSums::nothing())))
            } else {
                LookStep::Unchanged
            };
        };
        let start = match self.plan.time.window {
            WindowKind::Sliding { size, slide } => {
                self.plan.time.windows_of(newest, size, slide).next().map_or(newest, |(start, _)| start)
            }
            WindowKind::AtLeast { .. } => self.run_start.unwrap_or(newest),
        };
        let span = Span { start, end: self.plan.time.pane_end(newest) };
        self.early.step(&self.plan, &self.store, span, &open, groups).map(|sums| self.look(span, sums))
    }

    fn look(&self, span: Span, sums: WindowSums) -> OpenWindow {
        OpenWindow {
            plan: Arc::clone(&self.plan),
            metrics: self.metrics.clone(),
            reference: self.reference.clone(),
            before: self.history.before(&self.plan, span),
            span,
            sums,
        }
    }

    /// Moves what is complete to disk, as [`PaneStore::put_away`] does panes.
    pub(crate) fn put_away(&mut self, spill: &Arc<dyn Spill>, wanted: usize) -> usize {
        let gained = self.store.put_away(spill, wanted);
        gained + self.history.put_away(spill, wanted.saturating_sub(gained))
    }

    /// How far judging has come, in event time, when what nobody needs any more was let go of last.
    pub(crate) fn released_at(&self) -> Micros {
        self.released_at
    }

    /// How much is kept of panes that are complete, and of windows that were judged, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.store.bytes() + self.history.bytes() + self.early.bytes()
    }

    /// How much the last window took while it was judged, in bytes, about.
    #[must_use]
    pub fn judging_bytes(&self) -> usize {
        self.judging_bytes
    }

    /// Every rollout's state, in key order.
    #[must_use]
    pub fn rollouts(&self) -> Vec<RolloutState> {
        self.policy.states()
    }
}
