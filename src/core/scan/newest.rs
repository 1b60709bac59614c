//! Labels of one pane where the last of each prediction counts: kept one by one until no more can come.
//!
//! Nothing is taken out of a summary again. What lies beyond the reach of edges is counted in cells that widen as
//! values come, and a sum of losses that was not known once stays unknown; what a label had added is not found there.
//!
//! **Order**: a label is newer than another when its event time is later; of those that have the same, the last in the
//! log. Labels of a prediction are taken in the order of the log, so which counts depends on these labels alone.
//!
//! **State**: 56 bytes for each labelled prediction, and for a label that came in time and was corrected late; a place
//! in a map beside each.

use std::collections::BTreeMap;

use crate::event::Micros;
use crate::summary::quality::Labelled;

/// A prediction that is followed up, and its label.
#[derive(Debug, Clone, Copy)]
pub(super) struct Joined {
    /// Its group's slot in its pane.
    pub(super) slot: u32,
    /// Whether the label came after the plan's `wait`.
    pub(super) is_late: bool,
    /// When the truth became known.
    pub(super) known_at: Micros,
    /// Where the label stands in its stream.
    pub(super) offset: i64,
    pub(super) row: Labelled,
}

/// What a label is beside the others of its prediction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rank {
    /// There was none.
    First,
    /// It takes the place of an older one.
    Newer,
    /// A newer one was there.
    Older,
}

/// Labels of one pane, by the id of their prediction.
#[derive(Debug, Default)]
pub(super) struct Newest {
    /// The newest of all.
    all: BTreeMap<u64, Joined>,
    /// Where that is late: the newest of those that came in time.
    corrected: BTreeMap<u64, Joined>,
}

impl Newest {
    /// Takes the next label of a prediction.
    pub(super) fn take(&mut self, id: u64, label: Joined) -> Rank {
        let Some(newest) = self.all.get_mut(&id) else {
            self.all.insert(id, label);
            return Rank::First;
        };
        if label.known_at >= newest.known_at {
            let before = std::mem::replace(newest, label);
            if !label.is_late {
                self.corrected.remove(&id);
            } else if !before.is_late {
                self.corrected.insert(id, before);
            }
            return Rank::Newer;
        }
        if !label.is_late && newest.is_late {
            let in_time = self.corrected.entry(id).or_insert(label);
            if label.known_at >= in_time.known_at {
                *in_time = label;
            }
        }
        Rank::Older
    }

    /// How many predictions have a label.
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Labels that counted when no more could come in time.
    pub(super) fn in_time(&self) -> impl Iterator<Item = &Joined> {
        self.all.values().filter(|label| !label.is_late).chain(self.corrected.values())
    }

    /// Of the predictions of these the labels that count in the end; nothing where they are the same.
    pub(super) fn of_those_in_time(&self) -> impl Iterator<Item = &Joined> {
        let all = self.all.iter().filter(|_| !self.corrected.is_empty());
        all.filter(|(id, label)| !label.is_late || self.corrected.contains_key(id)).map(|(_, label)| label)
    }

    /// Labels of predictions that had none in time.
    pub(super) fn late(&self) -> impl Iterator<Item = &Joined> {
        self.all.iter().filter(|(id, label)| label.is_late && !self.corrected.contains_key(id)).map(|(_, label)| label)
    }

    /// Lets go of predictions whose ids are above a limit.
    pub(super) fn forget_above(&mut self, limit: u64) {
        self.all.retain(|id, _| *id <= limit);
        self.corrected.retain(|id, _| *id <= limit);
    }

    /// How many bytes are taken, about: nodes of a map are two thirds full on average.
    pub(super) fn bytes(&self) -> usize {
        (self.all.len() + self.corrected.len()) * size_of::<(u64, Joined)>() / 2 * 3
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label(known_at: Micros, is_late: bool) -> Joined {
        let row = Labelled { score: 0.5, label: 1.0, predicted: true, entity: None, classes: None };
        Joined { slot: 0, is_late, known_at, offset: 10 * known_at, row }
    }

    fn times<'a>(labels: impl Iterator<Item = &'a Joined>) -> Vec<Micros> {
        labels.map(|label| label.known_at).collect()
    }

    #[test]
    fn the_latest_event_time_counts_and_of_equal_ones_the_last_in_the_log() {
        let mut newest = Newest::default();
        assert_eq!(newest.take(7, label(5, false)), Rank::First);
        assert_eq!(newest.take(7, label(3, false)), Rank::Older);
        assert_eq!(newest.take(7, Joined { offset: 1, ..label(5, false) }), Rank::Newer);
        assert_eq!(newest.in_time().map(|label| (label.known_at, label.offset)).collect::<Vec<_>>(), [(5, 1)]);
        assert_eq!((newest.len(), newest.of_those_in_time().count(), newest.late().count()), (1, 0, 0));
    }

    #[test]
    fn what_counted_in_time_is_kept_beside_what_corrects_it_late() {
        let mut newest = Newest::default();
        newest.take(7, label(5, false));
        newest.take(8, label(6, false));
        newest.take(9, label(20, true));
        assert_eq!((times(newest.in_time()), times(newest.late())), (vec![5, 6], vec![20]));
        assert_eq!(newest.of_those_in_time().count(), 0, "nothing is corrected");
        assert_eq!(newest.take(7, label(21, true)), Rank::Newer);
        assert_eq!((times(newest.in_time()), times(newest.late())), (vec![6, 5], vec![20]));
        assert_eq!(times(newest.of_those_in_time()), [21, 6], "the corrected, and what stays as it is");
        assert_eq!(newest.take(7, label(30, false)), Rank::Newer, "its clock is ahead");
        assert_eq!((times(newest.in_time()), times(newest.late())), (vec![30, 6], vec![20]));
        assert_eq!(newest.take(9, label(4, false)), Rank::Older, "but it came in time");
        assert_eq!((times(newest.in_time()), times(newest.late())), (vec![30, 6, 4], vec![]));
        assert_eq!(times(newest.of_those_in_time()), [30, 6, 20]);
        newest.forget_above(8);
        assert_eq!((times(newest.in_time()), newest.of_those_in_time().count()), (vec![30, 6], 0));
    }

    #[test]
    fn a_label_takes_a_hundred_bytes_at_most() {
        let mut newest = Newest::default();
        assert!((0..1_000).all(|id| newest.take(id, label(1, false)) == Rank::First));
        assert!(newest.bytes() <= 100_000, "{} bytes", newest.bytes());
    }
}
