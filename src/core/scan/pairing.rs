//! Pairs of answers: a request that the baseline version and a shadow of it have both answered.
//!
//! Answers are paired once every stream of predictions has passed their pane, in the order of their event times. So
//! what is a pair depends on the answers alone, and not on the order in which streams, batches or labels came. A pair
//! is in the pane of its later answer; an answer that stays alone is counted in the pane in which its time was over.
//!
//! Of more answers than there is room for those with the smallest ids are paired, of both versions alike: ids are
//! hashes, so these are a random sample. Those that come late or fail, which is not at random, are never the ones that
//! go.
//!
//! **State**: 104 bytes an answer until its pane and its time are over, and 112 a pair that waits for its label, with a
//! place in a map for each request.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::event::Micros;
use crate::plan::{Plan, ShadowPlan};
use crate::scan::answer::{Answer, Answers, Truth};
use crate::scan::assign::CellRows;
use crate::scan::complete::PaneContent;
use crate::scan::frame::{GroupKey, Inputs};
use crate::scan::groups::{Cell, Groups};
use crate::scan::join::ArrivedLabel;
use crate::scan::labels::OfGroup;
use crate::scan::pairs_labelled::{AnswerPair, AwaitedLabels};
use crate::summary::Pairs;

/// An answer that waits for the other version's.
#[derive(Debug, Clone)]
struct OneAnswer {
    id: u64,
    time: Micros,
    /// Its place in the log, for answers of one moment.
    place: (u16, i64),
    group: Arc<GroupKey>,
    answer: Answer,
    truth: Option<Truth>,
    is_paired: bool,
    /// Whether the version had answered the request shortly before: then it is not compared.
    is_repeated: bool,
}

/// The answers of a pane that is open.
#[derive(Debug)]
struct OpenPane {
    answers: Vec<OneAnswer>,
    /// Answers to requests with ids above this are not paired.
    limit: u64,
}

/// The pairs of one lane.
#[derive(Debug)]
pub(crate) struct Pairing {
    shadow: ShadowPlan,
    open: BTreeMap<Micros, OpenPane>,
    /// Answers of panes that are complete, by request.
    alone: BTreeMap<u64, Vec<OneAnswer>>,
    /// Requests whose time is over at the end of a pane that is not complete yet.
    ends: BTreeMap<Micros, Vec<u64>>,
    /// Limits of complete panes, for as long as their answers may wait.
    limits: BTreeMap<Micros, u64>,
    labels: AwaitedLabels,
}

/// A place in the map of requests, whose nodes are two thirds full on average.
const PLACE_BYTES: usize = 3 * size_of::<(u64, Vec<OneAnswer>)>() / 2;

/// How far back answers are needed for those of a pane: one that stays alone in it came one wait before; whom it was
/// paired with, two; and whether that was the first answer of its version, three.
pub(crate) fn reach(plan: &Plan) -> Micros {
    plan.shadow.map_or(0, |shadow| shadow.wait.saturating_mul(3))
}

impl ShadowPlan {
    /// The pane in which the time is over that the other version has after an answer.
    fn ends_in(self, plan: &Plan, answered_at: Micros) -> Micros {
        plan.time.pane_of(answered_at.saturating_add(self.wait))
    }
}

/// What is counted of a pane while it is completed.
struct PaneCounts<'a> {
    plan: &'a Plan,
    groups: Groups<Pairs>,
}

impl PaneCounts<'_> {
    fn of(&mut self, group: &GroupKey) -> &mut Pairs {
        let slot = self.groups.slot(group, self.plan);
        self.groups.cell(slot)
    }
}

impl Cell for Pairs {
    fn new(_: &Plan) -> Self {
        Self::default()
    }

    fn merge(&mut self, _: &Plan, other: &Self) {
        self.merge(other);
    }
}

impl Pairing {
    pub(crate) fn new(shadow: ShadowPlan) -> Self {
        Self {
            shadow,
            open: BTreeMap::new(),
            alone: BTreeMap::new(),
            ends: BTreeMap::new(),
            limits: BTreeMap::new(),
            labels: AwaitedLabels::new(),
        }
    }

    /// Takes the answers of one cell.
    pub(crate) fn take(&mut self, answers: &Answers<'_>, cell: &CellRows) {
        let batch = answers.batch;
        let group = Arc::new(cell.key.clone());
        let pane = self.open.entry(cell.pane).or_insert(OpenPane { answers: Vec::new(), limit: u64::MAX });
        for &row in &cell.rows {
            let row = row as usize;
            let Some(id) = answers.request(row).filter(|&id| id <= pane.limit) else { continue };
            pane.answers.push(OneAnswer {
                id,
                time: batch.event_time.value(row),
                place: (batch.source, batch.offset.value(row)),
                group: Arc::clone(&group),
                answer: answers.of_row(row),
                truth: answers.truth(row),
                is_paired: false,
                is_repeated: false,
            });
        }
        while pane.answers.len() > self.shadow.pending_max {
            pane.limit /= 2;
            let limit = pane.limit;
            pane.answers.retain(|answer| answer.id <= limit);
        }
    }

    /// Takes one outcome; `answered_at` is when the last answer came that it is the label of, where that is known.
    pub(crate) fn label(&mut self, plan: &Plan, id: u64, label: ArrivedLabel, answered_at: Option<Micros>) {
        self.labels.label(plan, id, label, answered_at);
    }

    /// The first pane that a restart must read as a whole: one that is not complete, or whose pairs wait for labels.
    pub(crate) fn first(&self) -> Option<Micros> {
        self.open.keys().next().copied().into_iter().chain(self.labels.first()).min()
    }

    /// Takes out what is complete; `predictions` and `outcomes` are the watermarks of the streams.
    pub(crate) fn seal(&mut self, plan: &Plan, predictions: Micros, outcomes: Micros) -> Vec<OfGroup> {
        let mut complete = Vec::new();
        let next = |one: &Self| one.open.keys().chain(one.ends.keys()).min().copied();
        while let Some(start) = next(self).filter(|&start| plan.time.pane_end(start) <= predictions) {
            let counts = self.complete(plan, start);
            let part = |(group, pairs)| (start, group, Inputs::NONE, PaneContent::Pairs(pairs));
            complete.extend(counts.into_cells().map(part));
        }
        if !complete.is_empty() || predictions == Micros::MAX {
            self.labels.forget(plan, predictions);
        }
        self.labels.seal(plan, predictions, outcomes, &mut complete);
        complete
    }

    /// Pairs the answers of a pane, the first that is not complete.
    fn complete(&mut self, plan: &Plan, start: Micros) -> Groups<Pairs> {
        let mut counts = PaneCounts { plan, groups: Groups::new() };
        let mut followed = Vec::new();
        if let Some(OpenPane { mut answers, limit }) = self.open.remove(&start) {
            self.limits.insert(start, limit);
            answers.sort_by_key(|answer| (answer.time, answer.place));
            for answer in answers {
                self.pair(answer, &mut counts, &mut followed);
            }
        }
        self.labels.follow(plan, start, followed);
        for id in self.ends.remove(&start).unwrap_or_default() {
            self.give_up(id, start, &mut counts);
        }
        let kept_from = plan.time.pane_of(start.saturating_sub(2 * self.shadow.wait));
        self.limits = self.limits.split_off(&kept_from);
        counts.groups
    }

    /// Looks for the other answers to a request among those before.
    fn pair(&mut self, mut answer: OneAnswer, counts: &mut PaneCounts<'_>, followed: &mut Vec<AnswerPair>) {
        let (plan, shadow) = (counts.plan, self.shadow);
        let baseline = &plan.policy.baseline_version;
        // Most requests have two answers.
        let others = self.alone.entry(answer.id).or_insert_with(|| Vec::with_capacity(2));
        let in_time = |other: &&mut OneAnswer| other.time.saturating_add(shadow.wait) >= answer.time;
        let of_model = others.iter_mut().filter(in_time).filter(|other| other.group.model == answer.group.model);
        let mut of_model: Vec<&mut OneAnswer> = of_model.collect();
        if of_model.iter().any(|other| other.group.version == answer.group.version) {
            counts.of(&answer.group).repeated += 1;
            answer.is_repeated = true;
        }
        let is_baseline = |answer: &OneAnswer| answer.group.version == *baseline;
        let is_base = is_baseline(&answer);
        let compared = of_model.iter_mut().filter(|other| !other.is_repeated && is_baseline(other) != is_base);
        for other in compared.filter(|_| !answer.is_repeated) {
            (answer.is_paired, other.is_paired) = (true, true);
            let [one, base] = if is_base { [&**other, &answer] } else { [&answer, &**other] };
            one.answer.compare(base.answer, shadow.tolerance, counts.of(&one.group));
            if one.answer != Answer::Failed || base.answer != Answer::Failed {
                followed.push(AnswerPair {
                    id: answer.id,
                    time: answer.time,
                    group: Arc::clone(&one.group),
                    answers: [one.answer, base.answer],
                    truth: one.truth.or(base.truth),
                });
            }
        }
        self.ends.entry(shadow.ends_in(plan, answer.time)).or_default().push(answer.id);
        others.push(answer);
    }

    /// Lets go of answers whose time is over by the end of a pane.
    fn give_up(&mut self, id: u64, pane: Micros, counts: &mut PaneCounts<'_>) {
        let Some(answers) = self.alone.get_mut(&id) else { return };
        let (plan, shadow) = (counts.plan, self.shadow);
        let ends_in = |answer: &OneAnswer| shadow.ends_in(plan, answer.time);
        let over = answers.extract_if(.., |answer| ends_in(answer) <= pane);
        for answer in over.filter(|answer| !answer.is_paired && !answer.is_repeated) {
            let from = plan.time.pane_of(answer.time.saturating_sub(self.shadow.wait));
            let limit = self.limits.range(from..=pane).map(|(_, &limit)| limit).min().unwrap_or(u64::MAX);
            if id <= limit {
                counts.of(&answer.group).unpaired += 1;
            }
        }
        if answers.is_empty() {
            self.alone.remove(&id);
            self.labels.is_over(id);
        }
    }

    /// How many bytes are kept, about.
    pub(crate) fn bytes(&self) -> usize {
        let open: usize = self.open.values().map(|pane| pane.answers.capacity() * size_of::<OneAnswer>()).sum();
        let of_request = |answers: &Vec<OneAnswer>| answers.capacity() * size_of::<OneAnswer>() + PLACE_BYTES;
        let alone: usize = self.alone.values().map(of_request).sum();
        let ends: usize = self.ends.values().map(|ids| ids.capacity() * size_of::<u64>()).sum();
        open + alone + ends + self.labels.bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_takes_what_is_said() {
        assert!(size_of::<OneAnswer>() <= 104, "{}", size_of::<OneAnswer>());
    }
}
