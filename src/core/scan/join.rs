//! Predictions meet their truth, by id, whatever comes first.
//!
//! What is matched must not depend on how the two streams interleave. So the join is symmetric (either side waits for
//! the other), and whether a label counts as in time is a function of the pair and of the outcome stream alone: its
//! broker time, and how far that stream had come when it was read.

use std::hash::{BuildHasherDefault, Hasher};

use crate::event::Micros;
use crate::time::pane;

/// A prediction that may still get its label.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Stub {
    pub(crate) event_time: Micros,
    pub(crate) score: f64,
    /// Binary: 1 or 0. Multiclass: hash of the predicted class.
    pub(crate) predicted: u64,
    /// Its group's slot in its pane.
    pub(crate) slot: u32,
    entity: u8,
    labelled: bool,
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
pub(crate) struct Label {
    pub(crate) broker_time: Micros,
    /// Watermark of the outcome stream just before this label.
    pub(crate) watermark: Micros,
    /// Binary and regression: the value. Multiclass: unused.
    pub(crate) value: f64,
    /// Multiclass: hash of the true class.
    pub(crate) class: u64,
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
type ById<T> = std::collections::HashMap<u64, T, BuildHasherDefault<IdHasher>>;

/// What became of a label.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Match {
    /// Its prediction was there.
    Joined(Stub),
    /// It waits for its prediction.
    Waiting,
    /// The prediction, or a waiting label, has this id already.
    Duplicate,
    /// There is no room to wait.
    Refused,
}

/// The two sides that wait for each other, bounded together.
#[derive(Debug, Clone, Default)]
pub(crate) struct Join {
    stubs: ById<Stub>,
    labels: ById<Label>,
    n_max: usize,
}

impl Join {
    pub(crate) fn new(n_max: usize) -> Self {
        Self { n_max, ..Self::default() }
    }

    fn is_full(&self) -> bool {
        self.stubs.len() + self.labels.len() >= self.n_max
    }

    /// Takes a prediction; returns its label if that came first. `None` in the second place: there was no room.
    pub(crate) fn predict(&mut self, id: u64, mut stub: Stub) -> (Option<Label>, bool) {
        if self.is_full() {
            return (None, false);
        }
        let label = self.labels.remove(&id).filter(|label| stub.event_time <= label.broker_time);
        stub.labelled = label.is_some();
        self.stubs.insert(id, stub);
        (label, true)
    }

    /// Takes a label.
    pub(crate) fn label(&mut self, id: u64, label: Label) -> Match {
        if let Some(stub) = self.stubs.get_mut(&id) {
            if stub.labelled || label.broker_time < stub.event_time {
                return Match::Duplicate;
            }
            stub.labelled = true;
            return Match::Joined(*stub);
        }
        if self.labels.contains_key(&id) {
            return Match::Duplicate;
        }
        if self.is_full() {
            return Match::Refused;
        }
        self.labels.insert(id, label);
        Match::Waiting
    }

    /// Forgets predictions of panes, so long each, that start before `from`.
    pub(crate) fn forget_predictions(&mut self, from: Micros, pane: Micros) {
        self.stubs.retain(|_, stub| pane::start_of(stub.event_time, pane) >= from);
    }

    /// How many bytes are taken, about: of the places of a table an eighth stays free, and each has a byte of its own.
    pub(crate) fn bytes(&self) -> usize {
        let places = |capacity: usize, entry: usize| capacity / 7 * 8 * (entry + 1);
        places(self.stubs.capacity(), size_of::<(u64, Stub)>())
            + places(self.labels.capacity(), size_of::<(u64, Label)>())
    }

    /// Forgets labels whose prediction cannot come any more; returns how many.
    pub(crate) fn forget_labels(&mut self, before: Micros) -> u64 {
        let n = self.labels.len();
        self.labels.retain(|_, label| label.broker_time >= before);
        (n - self.labels.len()) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stub(event_time: Micros) -> Stub {
        Stub::new(event_time, 0, 0.5, 1)
    }

    fn label(broker_time: Micros) -> Label {
        Label { broker_time, watermark: broker_time, value: 1.0, class: 0 }
    }

    #[test]
    fn either_side_may_come_first() {
        let mut join = Join::new(10);
        assert_eq!(join.label(7, label(20)), Match::Waiting);
        assert_eq!(join.predict(7, stub(10)).0, Some(label(20)));
        join.predict(8, stub(10));
        assert!(matches!(join.label(8, label(20)), Match::Joined(_)));
    }

    #[test]
    fn the_first_label_wins() {
        let mut join = Join::new(10);
        join.label(7, label(20));
        assert_eq!(join.label(7, label(21)), Match::Duplicate);
        join.predict(7, stub(10));
        assert_eq!(join.label(7, label(22)), Match::Duplicate);
    }

    #[test]
    fn room_is_bounded_and_given_back() {
        let mut join = Join::new(2);
        assert!(join.predict(1, stub(10)).1);
        assert_eq!(join.label(2, label(20)), Match::Waiting);
        assert_eq!(join.label(3, label(20)), Match::Refused);
        assert!(!join.predict(4, stub(10)).1);
        assert_eq!(join.forget_labels(21), 1);
        join.forget_predictions(20, 10);
        assert!(join.predict(4, stub(10)).1);
    }

    #[test]
    fn a_label_older_than_its_prediction_is_not_its_truth() {
        let mut join = Join::new(10);
        join.label(7, label(5));
        assert_eq!(join.predict(7, stub(10)).0, None);
    }
}
