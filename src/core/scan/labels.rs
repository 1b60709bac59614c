//! Labels of one lane: predictions that wait for them, the panes they belong to, and when these are complete.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow_array::Array;
use arrow_array::cast::AsArray;

use crate::batch::{EventBatch, TextArray};
use crate::event::Micros;
use crate::plan::{Corrections, Plan, QualityPlan, ShadowPlan, Task};
use crate::scan::answer::{Answers, Truth};
use crate::scan::assign::CellRows;
use crate::scan::classes::ClassNames;
use crate::scan::complete::PaneContent;
use crate::scan::fates::LabelCounts;
use crate::scan::frame::{GroupKey, Inputs};
use crate::scan::groups::{Cell, Groups};
use crate::scan::join::{ArrivedLabel, FoundLabel, Join, Match, Stub, VERSIONS_MAX, id_of_answer};
use crate::scan::labelled::LabelledRows;
use crate::scan::newest::{Joined, Newest, Rank};
use crate::scan::traffic::{ResponseClass, outcome};
use crate::summary::Spill;
use crate::summary::entity::bucket;
use crate::summary::quality::Labelled;

/// Where panes follow a sample, labels that wait get one of so many parts of the room that predictions have.
const WAITING_PARTS: usize = 8;

/// A pane may take one of so many parts of the room while it is counted into.
const BURST_PARTS: usize = 100;

/// Labels of one group in one pane, by when they arrived.
#[derive(Debug, Clone, Default)]
pub(crate) struct QualityCell {
    in_time: LabelledRows,
    late: LabelledRows,
}

impl Cell for QualityCell {
    fn new(_: &Plan) -> Self {
        Self::default()
    }

    fn merge(&mut self, plan: &Plan, other: &Self) {
        let quality = plan.quality.as_ref().expect("only plans with labels have quality cells");
        self.in_time.merge(quality, &other.in_time);
        self.late.merge(quality, &other.late);
    }
}

/// What was counted of one group in one pane, and of which labels.
pub(crate) type OfGroup = (Micros, Arc<GroupKey>, Inputs, PaneContent);

/// A pane whose labels are still coming in.
#[derive(Debug)]
pub(crate) struct QualityPane {
    groups: Groups<QualityCell>,
    in_time_sent: bool,
    /// Predictions with ids above this are not followed up.
    limit: u64,
    /// Labelled while predictions may come, and with them a lower limit; by id.
    joined: Vec<(u64, Joined)>,
    /// Labelled where the last label counts: until no more of them can come.
    newest: Newest,
    /// Of the labels that came in time, and of those that came late.
    inputs: [Inputs; 2],
    /// Names of the classes of what is kept of it.
    names: Arc<ClassNames>,
}

/// A pane that predictions come to: where it starts, how the join calls it, and its limit.
#[derive(Debug, Clone, Copy)]
struct Pane {
    start: Micros,
    number: usize,
    limit: u64,
}

/// Labels of one lane.
#[derive(Debug)]
pub(crate) struct Labels {
    pub(crate) panes: BTreeMap<Micros, QualityPane>,
    pub(crate) counts: LabelCounts,
    join: Join,
    /// Groups of panes that no prediction can come to any more.
    groups: BTreeSet<Arc<GroupKey>>,
    /// Panes before this have sent what came in time.
    in_time_upto: Micros,
    /// Predictions come to no pane before this.
    closed_upto: Micros,
    /// How many predictions are followed of each closed pane that labels may come to.
    followed: BTreeMap<Micros, usize>,
    /// Ids above this are not followed up.
    id_limit: u64,
    /// How many labels may wait for their prediction.
    waiting_max: usize,
    /// Names of the classes that were met.
    classes: Arc<ClassNames>,
    /// Models and versions, by number, where several may answer a request.
    versions: Option<Vec<(String, String)>>,
}

impl Labels {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "0 < sample <= 1"
    )]
    pub(crate) fn new(quality: &QualityPlan, skew_max: Micros, shadow: Option<ShadowPlan>) -> Self {
        // All answers to a request have ids that differ in the last bits only.
        let id_limit = (quality.sample * u64::MAX as f64) as u64 | VERSIONS_MAX as u64;
        let join = Join::new(quality.pending_max, skew_max, quality.corrections);
        Self {
            panes: BTreeMap::new(),
            counts: LabelCounts::default(),
            join: if let Some(shadow) = shadow { join.by_version(shadow.wait) } else { join },
            groups: BTreeSet::new(),
            in_time_upto: Micros::MIN,
            closed_upto: Micros::MIN,
            followed: BTreeMap::new(),
            id_limit,
            waiting_max: quality.pending_max,
            classes: Arc::default(),
            versions: shadow.map(|_| Vec::new()),
        }
    }

    /// How the join calls answers of a version to a request: by the request, or by both where several may answer it.
    /// `None` for one version too many.
    fn number_of(&mut self, group: &GroupKey) -> Option<u8> {
        let Some(versions) = &mut self.versions else { return Some(0) };
        let is_it = |(model, version): &(String, String)| *model == group.model && *version == group.version;
        let number = versions.iter().position(is_it).unwrap_or(versions.len());
        if number == versions.len() && number < VERSIONS_MAX {
            versions.push((group.model.clone(), group.version.clone()));
        }
        u8::try_from(number).ok().filter(|_| number < VERSIONS_MAX)
    }

    /// Takes in the names of classes that a batch holds, of a task that has several.
    pub(crate) fn meet(&mut self, plan: &Plan, batch: &EventBatch) {
        if plan.quality.as_ref().is_some_and(|quality| quality.task == Task::Multiclass) {
            [&batch.predicted, &batch.label_class].into_iter().for_each(|classes| self.meet_all(classes));
        }
    }

    fn meet_all(&mut self, classes: &TextArray) {
        for class in classes.values().as_string::<i32>().iter().flatten() {
            if self.classes.lacks(class) {
                Arc::make_mut(&mut self.classes).learn(class);
            }
        }
    }

    /// Takes the answered predictions of one cell: those that carry a label count at once, the others wait for theirs.
    pub(crate) fn predict(&mut self, plan: &Plan, answers: &Answers<'_>, cell: &CellRows, labels_follow: bool) {
        let batch = answers.batch;
        let id_limit = self.id_limit;
        let (several, version) = (self.versions.is_some(), self.number_of(&cell.key));
        let pane = self.panes.entry(cell.pane).or_insert_with(|| QualityPane::new(id_limit));
        let slot = u32::try_from(pane.groups.slot(&cell.key, plan)).expect("groups are bounded");
        let mut limit = pane.limit;
        let number = if labels_follow { self.join.open(cell.pane) } else { None };
        for &row in &cell.rows {
            let row = row as usize;
            let Some(score) = answers.score(row).filter(|_| outcome(batch, row) == ResponseClass::Success) else {
                continue;
            };
            let event_time = batch.event_time.value(row);
            let entity = batch.entity.is_valid(row).then(|| bucket(batch.entity.value(row)));
            let entity = entity.and_then(|bucket| u8::try_from(bucket).ok());
            let answered = answers.class(row).expect("a plan with labels tells the class of every score");
            let stub = Stub::new(event_time, slot, score, answered).asked_by(entity);
            if let Some(Truth { value, class }) = answers.truth(row) {
                let offset = batch.offset.value(row);
                let (broker_time, watermark) = (event_time, event_time);
                let label = ArrivedLabel { broker_time, event_time, watermark, value, class, offset };
                self.count(plan, None, stub, label);
            } else if labels_follow && batch.id.is_valid(row) && batch.id.value(row) <= self.id_limit {
                let request = batch.id.value(row);
                let id = version.map(|version| if several { id_of_answer(request, version) } else { request });
                match number.zip(id).filter(|&(_, id)| id <= limit) {
                    Some((number, id)) => {
                        let pane = Pane { start: cell.pane, number, limit };
                        limit = self.follow(plan, pane, id, stub);
                    }
                    None => self.counts.refused += 1,
                }
            }
        }
    }

    /// Follows a prediction up, and returns the limit of its pane after that. Of a pane's predictions those with the
    /// smallest ids are followed: ids are hashes, so they are a random sample, and which they are depends on all of
    /// them alone.
    fn follow(&mut self, plan: &Plan, pane: Pane, id: u64, stub: Stub) -> u64 {
        let Pane { start, number, limit } = pane;
        let quality = plan.quality.as_ref().expect("checked by the caller");
        let found = self.join.predict(number, id, stub);
        match found {
            FoundLabel::Label(label) => self.count(plan, Some(id), stub, label),
            FoundLabel::Early => self.counts.early += 1,
            FoundLabel::Nothing => {}
            FoundLabel::NoRoom => self.counts.refused += 1,
        }
        if found != FoundLabel::NoRoom {
            for label in self.join.take_further(id) {
                self.label(plan, id, label);
            }
        }
        let room = quality.pending_of_pane(&plan.time).max(quality.pending_max / BURST_PARTS);
        if self.join.n_of(number) <= room { limit } else { self.sample(start, number, room) }
    }

    /// Follows fewer predictions of a pane, until there is room; returns its limit after that.
    fn sample(&mut self, start: Micros, number: usize, room: usize) -> u64 {
        let pane = self.panes.get_mut(&start).expect("a pane that predictions came to");
        let before = self.join.n_of(number);
        while self.join.n_of(number) > room {
            pane.limit /= 2;
            self.join.forget_above(number, pane.limit);
        }
        pane.joined.retain(|(id, _)| *id <= pane.limit);
        pane.newest.forget_above(pane.limit);
        self.counts.refused += (before - self.join.n_of(number)) as u64;
        pane.limit
    }

    /// Settles how many predictions of a pane are followed, once it has all. It keeps what it took while the panes of
    /// the horizon before it have taken no more than half of the room, else its share: so a sample is taken only where
    /// not all would fit. That rests on predictions alone, pane by pane.
    fn settle(&mut self, plan: &Plan, start: Micros) {
        let quality = plan.quality.as_ref().expect("labels imply a quality plan");
        let Some(number) = self.join.number_of(start) else { return };
        self.followed = self.followed.split_off(&start.saturating_sub(quality.horizon));
        let share = quality.pending_of_pane(&plan.time);
        if self.followed.values().sum::<usize>() > quality.pending_max / 2 && self.join.n_of(number) > share {
            self.sample(start, number, share);
        }
        self.followed.insert(start, self.join.n_of(number));
    }

    /// Takes one outcome; returns the event time of the last answer that it is the label of, if any is there.
    pub(crate) fn label(&mut self, plan: &Plan, id: u64, label: ArrivedLabel) -> Option<Micros> {
        if id > self.id_limit {
            return None;
        }
        let fate = match &self.versions {
            None => self.join.label(id, label),
            Some(versions) => {
                let versions = u8::try_from(versions.len()).expect("versions are bounded");
                let mut joined = Vec::new();
                let fate = self.join.label_all(id, versions, label, |id, stub| joined.push((id, stub)));
                joined.iter().for_each(|&(id, stub)| self.count(plan, Some(id), stub, label));
                let Some(fate) = fate else {
                    self.counts.refused += self.join.bound_labels(self.waiting_max);
                    return joined.iter().map(|(_, stub)| stub.event_time).max();
                };
                fate
            }
        };
        match fate {
            Match::Joined(stub) => {
                self.count(plan, Some(id), stub, label);
                return Some(stub.event_time);
            }
            Match::Waiting => self.counts.refused += self.join.bound_labels(self.waiting_max),
            Match::Duplicate => self.counts.duplicates += 1,
            Match::Early => self.counts.early += 1,
            Match::Refused => self.counts.refused += 1,
        }
        None
    }

    /// Counts a labelled prediction. One of those that are followed up, whose id is given, counts for good only once no
    /// prediction can take its place.
    fn count(&mut self, plan: &Plan, id: Option<u64>, stub: Stub, label: ArrivedLabel) {
        let quality = plan.quality.as_ref().expect("labels imply a quality plan");
        let start = plan.time.pane_of(stub.event_time);
        let Some(pane) = self.panes.get_mut(&start) else {
            self.counts.expired += 1;
            return;
        };
        let age = label.broker_time.max(label.watermark) - plan.time.pane_end(start);
        if age > quality.horizon {
            self.counts.expired += 1;
            return;
        }
        let classes = self.classes.pair(label.class, stub.predicted);
        if classes.is_some() && !Arc::ptr_eq(&pane.names, &self.classes) {
            pane.names = Arc::clone(&self.classes);
        }
        let row = Labelled { classes, ..labelled(quality.task, stub, label) };
        let is_open = start >= self.closed_upto;
        let ArrivedLabel { event_time: known_at, offset, .. } = label;
        let joined = Joined { slot: stub.slot, is_late: age > quality.wait, known_at, offset, row };
        match id {
            Some(id) if quality.corrections == Corrections::Last => match pane.newest.take(id, joined) {
                Rank::First => self.counts.joined += u64::from(!is_open),
                Rank::Newer => self.counts.corrected += 1,
                Rank::Older => self.counts.duplicates += 1,
            },
            Some(id) if is_open => pane.joined.push((id, joined)),
            _ => {
                self.counts.joined += 1;
                pane.push(quality, &joined, id.is_some());
            }
        }
    }

    /// Takes out what is complete: labels that came in time, once no more of them can come, and late ones with the
    /// pane. `predictions` and `outcomes` are the watermarks of the streams.
    pub(crate) fn seal(&mut self, plan: &Plan, predictions: Micros, outcomes: Micros) -> Vec<OfGroup> {
        let quality = plan.quality.as_ref().expect("labels imply a quality plan");
        let over = |start: Micros, after: Micros| {
            let end = plan.time.pane_end(start);
            predictions >= end && outcomes > end.saturating_add(after)
        };
        let are_closed = self.close(plan, predictions);
        let mut complete = Vec::new();
        let mut n_complete = 0;
        while let Some(first) = self.panes.first_entry().filter(|first| over(*first.key(), quality.horizon)) {
            let (start, mut pane) = first.remove_entry();
            pane.complete(quality, start, true, &mut complete);
            n_complete += 1;
        }
        for (&start, pane) in self.panes.range_mut(self.in_time_upto..) {
            if !over(start, quality.wait) {
                break;
            }
            pane.complete(quality, start, false, &mut complete);
            pane.groups.close(&mut self.groups);
            self.in_time_upto = start.saturating_add(1);
        }
        if n_complete > 0 {
            self.groups.retain(|group| Arc::strong_count(group) > 1);
        }
        let have_ended = predictions.min(outcomes) == Micros::MAX;
        if n_complete > 0 || are_closed || have_ended {
            self.forget(plan, predictions);
        }
        complete
    }

    /// Counts what was labelled in panes that no prediction comes to any more; `true` when there are new ones.
    fn close(&mut self, plan: &Plan, predictions: Micros) -> bool {
        let quality = plan.quality.as_ref().expect("labels imply a quality plan");
        let closed_before = self.closed_upto;
        let is_over = |start: &Micros| plan.time.pane_end(*start) <= predictions;
        while let Some(start) = self.panes.range(self.closed_upto..).next().map(|(&start, _)| start).filter(is_over) {
            self.settle(plan, start);
            let pane = self.panes.get_mut(&start).expect("found above");
            self.counts.joined += (pane.joined.len() + pane.newest.len()) as u64;
            for (_, joined) in std::mem::take(&mut pane.joined) {
                pane.push(quality, &joined, true);
            }
            self.join.close(start);
            self.closed_upto = start.saturating_add(1);
        }
        if self.closed_upto > closed_before {
            self.bound_waiting(quality);
        }
        self.closed_upto > closed_before
    }

    /// Where panes follow a sample, most labels wait in vain, and a part of the room holds all that do not.
    fn bound_waiting(&mut self, quality: &QualityPlan) {
        let samples = self.panes.range(..self.closed_upto).any(|(_, pane)| pane.limit < self.id_limit);
        self.waiting_max = if samples { quality.pending_max.div_ceil(WAITING_PARTS) } else { quality.pending_max };
    }

    /// Forgets what nothing can be joined to any more. `predictions`: watermark of the prediction streams.
    fn forget(&mut self, plan: &Plan, predictions: Micros) {
        let before = predictions.saturating_sub(plan.time.pane).min(plan.time.pane_of(predictions));
        self.counts.orphans += self.join.forget_labels(before);
        let kept_from = self.panes.keys().next().copied().unwrap_or(Micros::MAX);
        self.join.forget_predictions(kept_from.min(before));
    }

    /// Moves labelled predictions and then waiting ones to disk, those of the oldest panes first, until so many
    /// bytes of memory are free again or none is left to move; returns how many are. Panes that predictions still come
    /// to stay.
    pub(crate) fn put_away(&mut self, plan: &Plan, spill: &Arc<dyn Spill>, wanted: usize) -> usize {
        let quality = plan.quality.as_ref().expect("labels imply a quality plan");
        let mut gained = 0;
        for (_, pane) in self.panes.range_mut(..self.closed_upto) {
            for (_, cell) in pane.groups.iter_mut() {
                if gained >= wanted {
                    return gained;
                }
                gained += cell.in_time.put_away(quality, spill) + cell.late.put_away(quality, spill);
            }
        }
        gained + self.join.put_away(spill, self.closed_upto, wanted.saturating_sub(gained))
    }

    /// How many bytes are kept, about.
    pub(crate) fn bytes(&self) -> usize {
        let names = self.groups.iter().map(|group| group.bytes()).sum::<usize>();
        self.join.bytes() + names + self.panes.values().map(QualityPane::bytes).sum::<usize>()
    }
}

impl QualityPane {
    fn new(limit: u64) -> Self {
        let (groups, joined, newest, inputs) = (Groups::new(), Vec::new(), Newest::default(), [Inputs::NONE; 2]);
        Self { groups, in_time_sent: false, limit, joined, newest, inputs, names: Arc::default() }
    }

    /// Counts a labelled prediction, whose label may have come in a record of its own.
    fn push(&mut self, plan: &QualityPlan, joined: &Joined, has_record: bool) {
        let &Joined { slot, is_late, offset, row, .. } = joined;
        let inputs = &mut self.inputs[usize::from(is_late)];
        *inputs = inputs.and(if has_record { Inputs::of(offset) } else { Inputs::NONE });
        let cell = self.groups.cell(slot as usize);
        if is_late { &mut cell.late } else { &mut cell.in_time }.push(plan, row, &self.names);
    }

    /// Takes out what is complete: labels in time, and with the pane all others. Where the last label counts, labels of
    /// those in time are told once more if some of them were corrected since.
    fn complete(&mut self, plan: &QualityPlan, start: Micros, is_complete: bool, complete: &mut Vec<OfGroup>) {
        let newest = std::mem::take(&mut self.newest);
        if !newest.is_empty() && !self.in_time_sent {
            newest.in_time().for_each(|joined| self.push(plan, joined, true));
            self.seal(start, false, complete);
        }
        if is_complete {
            self.inputs[0] = if newest.is_empty() { self.inputs[0] } else { Inputs::NONE };
            let corrected = newest.of_those_in_time().map(|joined| Joined { is_late: false, ..*joined });
            corrected.for_each(|joined| self.push(plan, &joined, true));
            newest.late().for_each(|joined| self.push(plan, joined, true));
        }
        self.seal(start, is_complete, complete);
        self.newest = newest;
    }

    fn seal(&mut self, start: Micros, is_complete: bool, complete: &mut Vec<OfGroup>) {
        for (key, cell) in self.groups.iter_mut() {
            let in_time = Some(std::mem::take(&mut cell.in_time));
            let of_those_in_time = if self.in_time_sent { PaneContent::Corrected } else { PaneContent::InTime };
            let late = is_complete.then(|| std::mem::take(&mut cell.late));
            let some = |gathered: Option<LabelledRows>| gathered.filter(|gathered| !gathered.is_empty());
            let parts = [some(in_time).map(of_those_in_time), some(late).map(PaneContent::Late)];
            let parts = parts.into_iter().zip(self.inputs);
            let parts = parts.filter_map(|(content, inputs)| Some((start, Arc::clone(key), inputs, content?)));
            complete.extend(parts);
        }
        self.in_time_sent = true;
    }

    fn bytes(&self) -> usize {
        let cells = self.groups.iter().map(|(_, cell)| cell.in_time.bytes() + cell.late.bytes() + size_of_val(cell));
        let joined = self.joined.capacity() * size_of::<(u64, Joined)>() + self.newest.bytes();
        self.groups.bytes() + cells.sum::<usize>() + joined
    }
}

fn labelled(task: Task, stub: Stub, label: ArrivedLabel) -> Labelled {
    let (score, entity) = (stub.score, stub.entity());
    match task {
        Task::Binary => Labelled { score, label: label.value, predicted: stub.predicted == 1, entity, classes: None },
        Task::Regression => Labelled { score, label: label.value, predicted: false, entity, classes: None },
        Task::Multiclass => {
            let right = stub.predicted == label.class;
            Labelled { score, label: f64::from(u8::from(right)), predicted: true, entity, classes: None }
        }
    }
}
