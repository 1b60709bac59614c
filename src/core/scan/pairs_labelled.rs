//! Pairs of answers that wait for the truth.
//!
//! A pair is there once its pane is complete, and a label until no pair can come for it any more: where its answers are
//! known, until the time of the others is over. So each meets the other whichever comes first, and the first label of a
//! request counts.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::event::Micros;
use crate::plan::{Plan, QualityPlan, ShadowPlan};
use crate::scan::answer::{Answer, Truth};
use crate::scan::complete::PaneContent;
use crate::scan::frame::{GroupKey, Inputs};
use crate::scan::groups::{Cell, Groups};
use crate::scan::join::{ArrivedLabel, ById};
use crate::scan::labels::OfGroup;
use crate::summary::PairLosses;

/// Two answers to a request, the compared version's first.
#[derive(Debug, Clone)]
pub(super) struct AnswerPair {
    pub(super) id: u64,
    /// Event time of the later answer.
    pub(super) time: Micros,
    /// The group of the version that is compared.
    pub(super) group: Arc<GroupKey>,
    pub(super) answers: [Answer; 2],
    /// The truth, where an answer brought it along.
    pub(super) truth: Option<Truth>,
}

/// What decides how pairs meet labels.
#[derive(Clone, Copy)]
struct Terms<'a> {
    plan: &'a Plan,
    quality: &'a QualityPlan,
    shadow: &'a ShadowPlan,
}

impl<'a> Terms<'a> {
    fn of(plan: &'a Plan) -> Option<Self> {
        Some(Self { plan, quality: plan.quality.as_ref()?, shadow: plan.shadow.as_ref()? })
    }
}

/// What was counted by group, and of which labels.
#[derive(Debug)]
struct Counted {
    groups: Groups<PairLosses>,
    inputs: Inputs,
}

impl Cell for PairLosses {
    fn new(_: &Plan) -> Self {
        Self::default()
    }

    fn merge(&mut self, _: &Plan, other: &Self) {
        self.merge(other);
    }
}

impl Default for Counted {
    fn default() -> Self {
        Self { groups: Groups::new(), inputs: Inputs::NONE }
    }
}

/// A pane whose labels are still coming in.
#[derive(Debug, Default)]
struct LabelledPane {
    /// Requests that were followed up.
    ids: Vec<u64>,
    in_time: Counted,
    late: Counted,
}

/// A label, and the event time of the last pair that may come for it.
#[derive(Debug, Clone, Copy)]
struct NeededLabel {
    label: ArrivedLabel,
    until: Micros,
}

/// Pairs and labels that wait for each other.
#[derive(Debug)]
pub(super) struct AwaitedLabels {
    panes: BTreeMap<Micros, LabelledPane>,
    /// Panes before this have sent what came in time.
    in_time_upto: Micros,
    pairs: ById<Vec<AnswerPair>>,
    labels: ById<NeededLabel>,
    /// Labels of requests with ids above this do not wait.
    limit: u64,
}

impl AwaitedLabels {
    pub(super) fn new() -> Self {
        let (panes, pairs, labels) = (BTreeMap::new(), ById::default(), ById::default());
        Self { panes, in_time_upto: Micros::MIN, pairs, labels, limit: u64::MAX }
    }

    /// The first pane that labels may still come to.
    pub(super) fn first(&self) -> Option<Micros> {
        self.panes.keys().next().copied()
    }

    /// Takes the pairs of a pane that is complete. Of more than there is room for those with the smallest ids are
    /// followed up.
    pub(super) fn follow(&mut self, plan: &Plan, start: Micros, mut pairs: Vec<AnswerPair>) {
        let Some(terms) = Terms::of(plan).filter(|_| !pairs.is_empty()) else { return };
        let horizon = self.panes.range(start.saturating_sub(terms.quality.horizon)..start);
        let taken: usize = horizon.map(|(_, pane)| pane.ids.len()).sum();
        let room = (terms.shadow.pending_max / 2).saturating_sub(taken);
        pairs.sort_by_key(|pair| pair.id);
        pairs.truncate(room.max(terms.quality.pending_of_pane(&plan.time)));
        self.panes.entry(start).or_default().ids = pairs.iter().map(|pair| pair.id).collect();
        for pair in pairs {
            if let Some(truth) = pair.truth {
                self.count(terms, start, false, &pair, truth);
            } else if self.labels.get(&pair.id).copied().is_none_or(|known| !self.meet(terms, &pair, known.label)) {
                // Most requests have one pair.
                self.pairs.entry(pair.id).or_insert_with(|| Vec::with_capacity(1)).push(pair);
            }
        }
    }

    /// Takes one outcome; `answered_at` is when the last answer came that it is the label of, where that is known.
    pub(super) fn label(&mut self, plan: &Plan, id: u64, label: ArrivedLabel, answered_at: Option<Micros>) {
        let Some(terms) = Terms::of(plan) else { return };
        let mut answered_at = answered_at;
        if let Some(mut pairs) = self.pairs.remove(&id) {
            answered_at = pairs.iter().map(|pair| pair.time).max().max(answered_at);
            pairs.retain(|pair| !self.meet(terms, pair, label));
            if !pairs.is_empty() {
                self.pairs.insert(id, pairs);
            }
        }
        if id <= self.limit {
            let until = match answered_at {
                Some(time) => time.saturating_add(terms.shadow.wait),
                None => label.broker_time.saturating_add(plan.time.skew_max),
            };
            self.labels.entry(id).or_insert(NeededLabel { label, until });
        }
        while self.labels.len() > terms.shadow.pending_max {
            self.limit /= 2;
            self.labels.retain(|&id, _| id <= self.limit);
        }
    }

    /// Whether a label is a pair's. Counts it, unless it came after the horizon.
    fn meet(&mut self, terms: Terms<'_>, pair: &AnswerPair, label: ArrivedLabel) -> bool {
        let Terms { plan, quality, .. } = terms;
        if label.broker_time.saturating_add(plan.time.skew_max) < pair.time {
            return false;
        }
        let start = plan.time.pane_of(pair.time);
        let age = label.broker_time.max(label.watermark) - plan.time.pane_end(start);
        if age <= quality.horizon {
            let truth = Truth { value: label.value, class: label.class };
            let inputs = self.count(terms, start, age > quality.wait, pair, truth);
            inputs.into_iter().for_each(|inputs| *inputs = inputs.and(Inputs::of(label.offset)));
        }
        true
    }

    /// Counts a pair whose truth is known; `None` when its pane is complete.
    fn count(
        &mut self,
        terms: Terms<'_>,
        start: Micros,
        is_late: bool,
        pair: &AnswerPair,
        truth: Truth,
    ) -> Option<&mut Inputs> {
        let pane = self.panes.get_mut(&start)?;
        let counted = if is_late { &mut pane.late } else { &mut pane.in_time };
        let slot = counted.groups.slot(&pair.group, terms.plan);
        let losses = counted.groups.cell(slot);
        let answers = pair.answers.map(|answer| answer.loss(terms.quality.task, truth));
        losses.add(terms.quality.task, terms.quality.has_scores(), terms.shadow.margin, answers);
        Some(&mut counted.inputs)
    }

    /// Takes out what is complete: labels in time once no more of them can come, and late ones with the pane.
    pub(super) fn seal(&mut self, plan: &Plan, predictions: Micros, outcomes: Micros, complete: &mut Vec<OfGroup>) {
        let Some(terms) = Terms::of(plan) else { return };
        let over = |start: Micros, after: Micros| {
            let end = plan.time.pane_end(start);
            predictions >= end && outcomes > end.saturating_add(after)
        };
        for (&start, pane) in self.panes.range_mut(self.in_time_upto..) {
            if !over(start, terms.quality.wait) {
                break;
            }
            std::mem::take(&mut pane.in_time).send(start, PaneContent::PairsInTime, complete);
            self.in_time_upto = start.saturating_add(1);
        }
        while let Some(first) = self.panes.first_entry().filter(|first| over(*first.key(), terms.quality.horizon)) {
            let (start, pane) = first.remove_entry();
            pane.late.send(start, PaneContent::PairsLate, complete);
            for id in pane.ids {
                if let Some(pairs) = self.pairs.get_mut(&id) {
                    pairs.retain(|pair| plan.time.pane_of(pair.time) != start);
                    if pairs.is_empty() {
                        self.pairs.remove(&id);
                    }
                }
            }
        }
    }

    /// No pair of a request comes any more.
    pub(super) fn is_over(&mut self, id: u64) {
        self.labels.remove(&id);
    }

    /// Forgets labels that no pair can come for any more, which may make room for others.
    pub(super) fn forget(&mut self, plan: &Plan, predictions: Micros) {
        self.labels.retain(|_, known| plan.time.pane_end(plan.time.pane_of(known.until)) > predictions);
        if self.labels.len() <= self.labels.capacity() / 4 {
            self.limit = self.limit.saturating_mul(2);
            self.labels.shrink_to_fit();
        }
    }

    /// How many bytes are kept, about.
    pub(super) fn bytes(&self) -> usize {
        let pair = size_of::<(u64, Vec<AnswerPair>)>() + size_of::<AnswerPair>() + size_of::<u64>();
        let counted = |counted: &Counted| counted.groups.iter().map(|(_, losses)| losses.bytes()).sum::<usize>();
        let panes = self.panes.values().map(|pane| counted(&pane.in_time) + counted(&pane.late));
        self.pairs.len() * pair + self.labels.capacity() * size_of::<(u64, NeededLabel)>() + panes.sum::<usize>()
    }
}

impl Counted {
    fn send(self, start: Micros, content: impl Fn(PairLosses) -> PaneContent, complete: &mut Vec<OfGroup>) {
        let Self { groups, inputs } = self;
        complete.extend(groups.into_cells().map(|(group, losses)| (start, group, inputs, content(losses))));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::SECOND;
    use crate::plan::{Corrections, Task, TimePlan};

    fn plan() -> Plan {
        let plan = crate::verdict::rollout::tests::plan("AUTO", crate::plan::RolloutPlan::default());
        let quality = QualityPlan {
            task: Task::Binary,
            width_bins: vec![10],
            score_edges: crate::baseline::cut::equal_width(0.0, 1.0, 20).edges,
            threshold: 0.5,
            wait: 10 * SECOND,
            horizon: 3600 * SECOND,
            pending_max: 1_000,
            sample: 1.0,
            corrections: Corrections::First,
        };
        let shadow =
            ShadowPlan { share: 1.0, wait: SECOND, tolerance: None, disagreement: 0.05, margin: 1.05, pending_max: 4 };
        let time = TimePlan { pane: 10 * SECOND, skew_max: 3600 * SECOND, ..plan.time.clone() };
        Plan { quality: Some(quality), shadow: Some(shadow), time, ..plan }
    }

    fn label(broker_time: Micros) -> ArrivedLabel {
        ArrivedLabel { broker_time, event_time: broker_time, watermark: broker_time, value: 1.0, class: 0, offset: 0 }
    }

    /// Clocks may differ by an hour, and labels would be kept for as long: there is no room for so many.
    #[test]
    fn a_label_waits_no_longer_than_an_answer_may_come_once_one_has() {
        let (plan, mut labels) = (plan(), AwaitedLabels::new());
        for id in 0..4 {
            labels.label(&plan, id, label(0), Some(0));
        }
        labels.label(&plan, 7, label(0), None);
        assert!(labels.labels.len() <= 4 && labels.limit < u64::MAX, "the fifth has no room");
        let mut labels = AwaitedLabels::new();
        for n in 0..100 {
            let now = Micros::try_from(n).expect("few") * plan.time.pane;
            labels.label(&plan, 1_000 + n, label(now), Some(now));
            labels.forget(&plan, now);
        }
        assert_eq!(labels.limit, u64::MAX, "there was room all the time");
        labels.label(&plan, 1, label(0), None);
        labels.forget(&plan, plan.time.skew_max - plan.time.pane);
        assert!(labels.labels.contains_key(&1), "its answers may still come");
        labels.is_over(1);
        assert!(!labels.labels.contains_key(&1));
    }

    #[test]
    fn what_is_kept_takes_what_is_said() {
        assert!(size_of::<AnswerPair>() <= 112, "{}", size_of::<AnswerPair>());
        // The entry of the map, its free places, and the id that leads to it.
        let entry = (size_of::<(u64, Vec<AnswerPair>)>() + 1) * 8 / 7 + size_of::<u64>();
        assert!(size_of::<AnswerPair>() + entry <= 160, "{}", size_of::<AnswerPair>() + entry);
    }
}
