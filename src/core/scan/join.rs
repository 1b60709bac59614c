//! Predictions meet their truth, by id, whatever comes first.
//!
//! What is matched must not depend on how the two streams interleave. So the join is symmetric (either side waits for
//! the other), and whether a label counts as in time is a function of the pair and of the outcome stream alone: its
//! broker time, and how far that stream had come when it was read.

use std::collections::BTreeMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use crate::event::Micros;
use crate::plan::Corrections;
use crate::scan::stubs::Stubs;
use crate::summary::Spill;

/// A prediction that may still get its label.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Stub {
    pub(crate) event_time: Micros,
    pub(crate) score: f64,
    /// Binary: 1 or 0. Multiclass: hash of the predicted class.
    pub(crate) predicted: u64,
    /// Its group's slot in its pane.
    pub(crate) slot: u32,
    pub(super) entity: u8,
    pub(super) labelled: bool,
}

/// No bucket of entities: millions of predictions may wait, so theirs takes a byte.
const NOBODY: u8 = u8::MAX;

impl Stub {
    pub(crate) fn new(event_time: Micros, slot: u32, score: f64, predicted: u64) -> Self {
        Self { event_time, score, predicted, slot, entity: NOBODY, labelled: false }
    }

    /// The same, asked by an entity of this bucket.
    pub(crate) fn asked_by(self, entity: Option<u8>) -> Self {
        Self { entity: entity.unwrap_or(NOBODY), ..self }
    }

    /// Bucket of whoever asked, where known.
    pub(crate) fn entity(&self) -> Option<u8> {
        Some(self.entity).filter(|bucket| *bucket != NOBODY)
    }
}

/// A label.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct ArrivedLabel {
    pub(crate) broker_time: Micros,
    /// When the truth became known.
    pub(crate) event_time: Micros,
    /// Watermark of the outcome stream just before this label.
    pub(crate) watermark: Micros,
    /// Binary and regression: the value. Multiclass: unused.
    pub(crate) value: f64,
    /// Multiclass: hash of the true class.
    pub(crate) class: u64,
    /// Where it stands in its stream.
    pub(crate) offset: i64,
}

/// Ids are hashes already.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("ids are u64");
    }

    fn write_u64(&mut self, id: u64) {
        self.0 = id;
    }
}

#[expect(clippy::disallowed_types, reason = "keyed by hashed ids with a fixed hasher; iterated only to drop entries")]
pub(super) type ById<T> = std::collections::HashMap<u64, T, BuildHasherDefault<IdHasher>>;

/// What became of a label.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Match {
    /// Its prediction was there.
    Joined(Stub),
    /// It waits for its prediction.
    Waiting,
    /// The prediction, or a waiting label, has this id already, and the first label counts.
    Duplicate,
    /// It is older than its prediction by more than clocks may differ.
    Early,
    /// There is no room to wait.
    Refused,
}

/// What a prediction found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum FoundLabel {
    /// Its label waited for it.
    Label(ArrivedLabel),
    /// A label waited that is older than it by more than clocks may differ.
    Early,
    /// Nothing yet: it waits for its label.
    Nothing,
    /// No room to wait.
    NoRoom,
}

/// Of an id that stands for one version's answer to a request, the bits that tell the version: all ids of a request are
/// neighbours, so a sample by id has all of them or none.
const VERSION_BITS: u64 = 0xFF;

/// The most versions that can be told apart.
pub(crate) const VERSIONS_MAX: usize = 0xFF;

/// The id of one version's answer to a request; versions are numbered from 0.
pub(crate) fn id_of_answer(request: u64, version: u8) -> u64 {
    request & !VERSION_BITS | u64::from(version)
}

/// A label that waits, and the event time of the last answer that has had it already, if any has.
#[derive(Debug, Clone, Copy)]
struct WaitingLabel {
    label: ArrivedLabel,
    taken_at: Option<Micros>,
}

/// The two sides that wait for each other, each bounded.
#[derive(Debug)]
pub(crate) struct Join {
    stubs: Stubs,
    labels: ById<WaitingLabel>,
    /// Where several versions may answer a request: how much later than the one the other may. A label then is that of
    /// all their answers, and ids of predictions are those of [`id_of_answer`].
    by_version: Option<Micros>,
    /// Where the last label of a prediction counts, those that wait beside another one. Which of them are in time is
    /// known once their prediction has come.
    further: BTreeMap<u64, Vec<ArrivedLabel>>,
    n_further: usize,
    corrections: Corrections,
    /// Labels with ids above this do not wait.
    limit: u64,
    n_max: usize,
    /// How much older than its prediction a label may be: their clocks differ.
    skew_max: Micros,
}

impl Join {
    pub(crate) fn new(n_max: usize, skew_max: Micros, corrections: Corrections) -> Self {
        let (stubs, labels, further) = (Stubs::default(), ById::default(), BTreeMap::new());
        let (by_version, limit) = (None, u64::MAX);
        Self { stubs, labels, by_version, further, n_further: 0, corrections, limit, n_max, skew_max }
    }

    /// The same where several versions may answer a request, each by so much later than the other.
    pub(crate) fn by_version(self, wait: Micros) -> Self {
        Self { by_version: Some(wait), ..self }
    }

    fn is_early(&self, stub: &Stub, label: &ArrivedLabel) -> bool {
        label.broker_time.saturating_add(self.skew_max) < stub.event_time
    }

    /// The number by which a pane is called; none when too many panes wait.
    pub(crate) fn open(&mut self, pane: Micros) -> Option<usize> {
        self.stubs.open(pane)
    }

    /// The number by which a pane is called, if predictions of it wait.
    pub(crate) fn number_of(&self, pane: Micros) -> Option<usize> {
        self.stubs.number_of(pane)
    }

    /// Takes a prediction of a pane.
    pub(crate) fn predict(&mut self, pane: usize, id: u64, mut stub: Stub) -> FoundLabel {
        if self.stubs.len() >= self.n_max {
            return FoundLabel::NoRoom;
        }
        let found = match self.take_waiting(id, stub.event_time) {
            None => FoundLabel::Nothing,
            Some(label) if self.is_early(&stub, &label) => FoundLabel::Early,
            Some(label) => FoundLabel::Label(label),
        };
        stub.labelled = matches!(found, FoundLabel::Label(_));
        if self.stubs.insert(pane, id, stub) { found } else { FoundLabel::NoRoom }
    }

    /// The label that waits for a prediction; another version's answer may need it, too.
    fn take_waiting(&mut self, id: u64, time: Micros) -> Option<ArrivedLabel> {
        if self.by_version.is_none() {
            return self.labels.remove(&id).map(|waiting| waiting.label);
        }
        let waiting = self.labels.get_mut(&id_of_answer(id, 0))?;
        waiting.taken_at = waiting.taken_at.max(Some(time));
        Some(waiting.label)
    }

    /// Takes out the labels that waited for a prediction beside another one, in their order.
    pub(crate) fn take_further(&mut self, id: u64) -> Vec<ArrivedLabel> {
        let further = self.further.remove(&id).unwrap_or_default();
        self.n_further -= further.len();
        further
    }

    /// Takes a label of a prediction.
    pub(crate) fn label(&mut self, id: u64, label: ArrivedLabel) -> Match {
        self.answer(id, label).unwrap_or_else(|| self.wait(id, label, None))
    }

    /// Takes a label of all answers to a request by so many versions, each of which is `joined`; returns what became of
    /// it besides.
    pub(crate) fn label_all(
        &mut self,
        request: u64,
        versions: u8,
        label: ArrivedLabel,
        mut joined: impl FnMut(u64, Stub),
    ) -> Option<Match> {
        let (mut taken_at, mut fate) = (None, None);
        for id in (0..versions).map(|version| id_of_answer(request, version)) {
            match self.answer(id, label) {
                Some(Match::Joined(stub)) => {
                    taken_at = taken_at.max(Some(stub.event_time));
                    joined(id, stub);
                }
                other => fate = fate.or(other),
            }
        }
        let waits = self.wait(id_of_answer(request, 0), label, taken_at);
        taken_at.is_none().then(|| fate.unwrap_or(waits))
    }

    /// What a label is to a prediction that waits for it; `None` where none does.
    fn answer(&mut self, id: u64, label: ArrivedLabel) -> Option<Match> {
        let place = self.stubs.find(id)?;
        let stub = self.stubs.get(place);
        if stub.labelled && self.corrections == Corrections::First {
            return Some(Match::Duplicate);
        }
        if self.is_early(&stub, &label) {
            return Some(Match::Early);
        }
        self.stubs.set_labelled(place);
        Some(Match::Joined(Stub { labelled: true, ..stub }))
    }

    /// Lets a label wait for its prediction.
    fn wait(&mut self, id: u64, label: ArrivedLabel, taken_at: Option<Micros>) -> Match {
        if id > self.limit {
            return Match::Refused;
        }
        match self.labels.entry(id) {
            Entry::Vacant(place) if !self.further.contains_key(&id) => {
                place.insert(WaitingLabel { label, taken_at });
            }
            Entry::Occupied(_) if self.corrections == Corrections::First => return Match::Duplicate,
            _ => {
                self.further.entry(id).or_default().push(label);
                self.n_further += 1;
            }
        }
        Match::Waiting
    }

    /// Lets no more than so many labels wait: of more, those with the smallest ids, as of predictions. Returns how many
    /// had to go.
    pub(crate) fn bound_labels(&mut self, n_max: usize) -> u64 {
        let mut gone = 0;
        while self.n_waiting() > n_max {
            self.limit /= 2;
            let limit = self.limit;
            gone += self.retain(|id, _, _| id <= limit);
        }
        gone
    }

    /// Lets go of labels that wait; returns how many of them no prediction has had.
    fn retain(&mut self, stays: impl Fn(u64, &ArrivedLabel, Option<Micros>) -> bool) -> u64 {
        let (n_further, mut gone) = (self.n_further, 0);
        self.labels.retain(|id, WaitingLabel { label, taken_at }| {
            let stays = stays(*id, label, *taken_at);
            gone += usize::from(!stays && taken_at.is_none());
            stays
        });
        self.retain_further(|id, label| stays(id, label, None));
        (gone + n_further - self.n_further) as u64
    }

    fn n_waiting(&self) -> usize {
        self.labels.len() + self.n_further
    }

    fn retain_further(&mut self, stays: impl Fn(u64, &ArrivedLabel) -> bool) {
        self.further.retain(|id, labels| {
            labels.retain(|label| stays(*id, label));
            !labels.is_empty()
        });
        self.n_further = self.further.values().map(Vec::len).sum();
    }

    /// How many predictions of a pane wait.
    pub(crate) fn n_of(&self, pane: usize) -> usize {
        self.stubs.n_of(pane)
    }

    /// Lets go of the predictions of a pane whose ids are above a limit.
    pub(crate) fn forget_above(&mut self, pane: usize, limit: u64) {
        self.stubs.forget_above(pane, limit);
    }

    /// No prediction comes to a pane any more.
    pub(crate) fn close(&mut self, pane: Micros) {
        self.stubs.close(pane);
    }

    /// Forgets predictions of panes that start before `from`.
    pub(crate) fn forget_predictions(&mut self, from: Micros) {
        self.stubs.forget_before(from);
    }

    /// Moves predictions of panes before a time to disk; see [`Stubs::put_away`].
    pub(crate) fn put_away(&mut self, spill: &Arc<dyn Spill>, before: Micros, wanted: usize) -> usize {
        self.stubs.put_away(spill, before, wanted)
    }

    /// How many bytes are taken, about: of the places of a table an eighth stays free, and each has a byte of its own.
    pub(crate) fn bytes(&self) -> usize {
        let places = |capacity: usize, entry: usize| capacity / 7 * 8 * (entry + 1);
        let further = 2 * self.n_further * size_of::<ArrivedLabel>()
            + 2 * self.further.len() * size_of::<(u64, Vec<ArrivedLabel>)>();
        self.stubs.bytes() + places(self.labels.capacity(), size_of::<(u64, WaitingLabel)>()) + further
    }

    /// Forgets labels whose prediction cannot come any more, none being from before this time, which may make room for
    /// others; returns how many.
    pub(crate) fn forget_labels(&mut self, before: Micros) -> u64 {
        let (skew_max, wait) = (self.skew_max, self.by_version.unwrap_or_default());
        let needed_until = |label: &ArrivedLabel, taken_at: Option<Micros>| match taken_at {
            Some(time) => time.saturating_add(wait),
            None => label.broker_time.saturating_add(skew_max),
        };
        let gone = self.retain(|_, label, taken_at| needed_until(label, taken_at) >= before);
        if self.labels.len() <= self.labels.capacity() / 4 {
            self.limit = self.limit.saturating_mul(2);
            self.labels.shrink_to_fit();
        }
        gone
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stub(event_time: Micros) -> Stub {
        Stub::new(event_time, 0, 0.5, 1)
    }

    fn label(broker_time: Micros) -> ArrivedLabel {
        ArrivedLabel { broker_time, event_time: broker_time, watermark: broker_time, value: 1.0, class: 0, offset: 0 }
    }

    fn predict(join: &mut Join, pane: Micros, id: u64, stub: Stub) -> FoundLabel {
        let number = join.open(pane).expect("few panes");
        join.predict(number, id, stub)
    }

    #[test]
    fn either_side_may_come_first() {
        let mut join = Join::new(10, 0, Corrections::First);
        assert_eq!(join.label(7, label(20)), Match::Waiting);
        assert_eq!(predict(&mut join, 0, 7, stub(10)), FoundLabel::Label(label(20)));
        predict(&mut join, 0, 8, stub(10));
        assert!(matches!(join.label(8, label(20)), Match::Joined(_)));
    }

    #[test]
    fn the_first_label_wins() {
        let mut join = Join::new(10, 0, Corrections::First);
        join.label(7, label(20));
        assert_eq!(join.label(7, label(21)), Match::Duplicate);
        predict(&mut join, 0, 7, stub(10));
        assert_eq!(join.label(7, label(22)), Match::Duplicate);
    }

    #[test]
    fn room_is_bounded_and_given_back() {
        let mut join = Join::new(2, 0, Corrections::First);
        assert_eq!(predict(&mut join, 0, 1, stub(10)), FoundLabel::Nothing);
        assert_eq!(predict(&mut join, 0, 2, stub(10)), FoundLabel::Nothing);
        assert_eq!(predict(&mut join, 0, 3, stub(10)), FoundLabel::NoRoom);
        join.forget_predictions(10);
        assert_eq!(predict(&mut join, 10, 4, stub(10)), FoundLabel::Nothing);
    }

    #[test]
    fn of_too_many_labels_those_with_small_ids_wait() {
        let mut join = Join::new(10, 0, Corrections::First);
        let ids = || (1..=16).map(|n| n * (u64::MAX / 16));
        ids().for_each(|id| assert_eq!(join.label(id, label(20)), Match::Waiting));
        assert_eq!(join.bound_labels(5), 12);
        assert_eq!(ids().filter(|&id| join.label(id, label(21)) == Match::Duplicate).count(), 4);
        assert_eq!(join.label(u64::MAX, label(20)), Match::Refused);
        predict(&mut join, 0, u64::MAX, stub(10));
        assert!(matches!(join.label(u64::MAX, label(20)), Match::Joined(_)), "no bound on what is joined");
        for _ in 0..3 {
            join.forget_labels(30);
        }
        assert_eq!(join.label(u64::MAX - 1, label(40)), Match::Waiting, "there is room again");
    }

    #[test]
    fn a_label_older_than_its_prediction_is_not_its_truth_and_is_told() {
        let mut join = Join::new(10, 3, Corrections::First);
        join.label(7, label(6));
        assert_eq!(predict(&mut join, 0, 7, stub(10)), FoundLabel::Early);
        assert_eq!(join.label(7, label(6)), Match::Early);
        assert!(matches!(join.label(7, label(20)), Match::Joined(_)), "a later one may be");
    }

    #[test]
    fn a_label_may_be_older_by_as_much_as_clocks_may_differ() {
        let mut join = Join::new(10, 3, Corrections::First);
        join.label(7, label(7));
        assert_eq!(join.forget_labels(10), 0, "its prediction may still come");
        assert_eq!(predict(&mut join, 0, 7, stub(10)), FoundLabel::Label(label(7)));
        predict(&mut join, 0, 8, stub(10));
        assert!(matches!(join.label(8, label(7)), Match::Joined(_)));
    }

    #[test]
    fn of_several_versions_each_gets_the_label_of_its_request_whatever_comes_first() {
        let (request, answers) = (0x7700, [id_of_answer(0x7700, 0), id_of_answer(0x7700, 1)]);
        for label_comes in 0..=2 {
            let mut join = Join::new(10, 0, Corrections::First).by_version(5);
            let (mut labelled, mut fate) = (Vec::new(), None);
            for step in 0..=2 {
                if step == label_comes {
                    fate = join.label_all(request + 5, 2, label(20), |id, _| labelled.push(id));
                }
                if let Some(&id) = answers.get(step)
                    && predict(&mut join, 0, id, stub(10)) == FoundLabel::Label(label(20))
                {
                    labelled.push(id);
                }
            }
            labelled.sort_unstable();
            assert_eq!(labelled, answers, "the label comes before step {label_comes}");
            assert_eq!(fate, (label_comes == 0).then_some(Match::Waiting));
            assert_eq!(join.label_all(request, 2, label(21), |_, _| panic!("joined twice")), Some(Match::Duplicate));
            assert_eq!((join.n_waiting(), join.forget_labels(15), join.n_waiting()), (1, 0, 1), "a third may answer");
            assert_eq!((join.forget_labels(16), join.n_waiting()), (0, 0), "its time is over, and it was taken");
        }
    }

    #[test]
    fn where_the_last_label_counts_all_are_told_in_their_order() {
        let mut join = Join::new(10, 3, Corrections::Last);
        [6, 20, 21].into_iter().for_each(|time| assert_eq!(join.label(7, label(time)), Match::Waiting));
        assert_eq!(join.forget_labels(10), 1, "none of its age can have a prediction any more");
        assert_eq!(join.label(7, label(22)), Match::Waiting);
        assert_eq!(predict(&mut join, 10, 7, stub(10)), FoundLabel::Nothing);
        assert_eq!(join.take_further(7), [label(20), label(21), label(22)]);
        assert_eq!(join.take_further(7), []);
        (0..2).for_each(|_| assert!(matches!(join.label(7, label(23)), Match::Joined(_))));
    }

    #[test]
    fn labels_that_wait_beside_others_take_room_as_others_do() {
        let mut join = Join::new(10, 0, Corrections::Last);
        let id = u64::MAX / 2;
        (0..6).for_each(|time| assert_eq!(join.label(id, label(time)), Match::Waiting));
        assert_eq!((join.bound_labels(6), join.bound_labels(5)), (0, 6));
        assert_eq!((join.label(id, label(9)), join.take_further(id)), (Match::Refused, Vec::new()));
    }
}
