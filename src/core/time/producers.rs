//! Who made a stream's records of late, and whether those who are ahead of its clock are the more.
//!
//! A producer is ahead when its last few records are. So one record with a wrong time says nothing, and a producer
//! whose own clock is fast counts once, however much it sends. Nothing is known of a producer that was silent for long.

use serde::{Deserialize, Serialize};

use crate::event::Micros;

/// As many producers are known at most; a new one takes the place of the one that was silent longest.
///
/// Origin: engineering choice: what is known of them must fit into the metadata of a commit.
const PRODUCERS_MAX: usize = 16;
/// As many records ahead one after another make a producer ahead.
///
/// Origin: engineering choice: with 1 % of wrong times it takes one for ahead once in a million records.
const AHEAD_MIN: u8 = 3;
/// A producer is forgotten once the others have made so many records in a row.
///
/// Origin: engineering choice: one that makes a hundredth of the records is forgotten with a chance of 8 %, one that
/// makes a twentieth with 2e-6.
const SILENT_MAX: u32 = 256;

/// What is known of producers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Producers {
    /// Records so far.
    n: u32,
    known: Vec<ProducerClock>,
}

/// One producer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "(u64, u32, u8, Micros)", into = "(u64, u32, u8, Micros)")]
struct ProducerClock {
    id: u64,
    /// How many records there were up to its newest one.
    last: u32,
    /// Records ahead one after another, up to [`AHEAD_MIN`].
    n_ahead: u8,
    /// The time of the newest one.
    time: Micros,
}

impl From<(u64, u32, u8, Micros)> for ProducerClock {
    fn from((id, last, n_ahead, time): (u64, u32, u8, Micros)) -> Self {
        Self { id, last, n_ahead, time }
    }
}

impl From<ProducerClock> for (u64, u32, u8, Micros) {
    fn from(producer: ProducerClock) -> Self {
        let ProducerClock { id, last, n_ahead, time } = producer;
        (id, last, n_ahead, time)
    }
}

impl Producers {
    pub(super) fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// Takes the next record.
    pub(super) fn hear(&mut self, id: u64, time: Micros, is_ahead: bool) {
        self.n = self.n.wrapping_add(1);
        let (n, known) = (self.n, &mut self.known);
        let place = known.iter().position(|producer| producer.id == id).unwrap_or_else(|| {
            known.retain(|producer| n.wrapping_sub(producer.last) <= SILENT_MAX);
            if known.len() == PRODUCERS_MAX {
                let silent = known.iter().enumerate().max_by_key(|(_, producer)| n.wrapping_sub(producer.last));
                let silent = silent.map_or(0, |(place, _)| place);
                known.remove(silent);
            }
            known.push(ProducerClock { id, last: n, n_ahead: 0, time });
            known.len() - 1
        });
        let producer = &mut known[place];
        let n_ahead = if is_ahead { producer.n_ahead.saturating_add(1).min(AHEAD_MIN) } else { 0 };
        *producer = ProducerClock { id, last: n, n_ahead, time };
    }

    /// Whether more than one was heard of late.
    pub(super) fn are_several(&self) -> bool {
        self.of_late().nth(1).is_some()
    }

    /// Rising times of those that are ahead of a time, if they are the more.
    pub(super) fn agreed(&self, ahead_of: Micros) -> Vec<Micros> {
        let is_ahead = |producer: &&ProducerClock| producer.n_ahead >= AHEAD_MIN && producer.time > ahead_of;
        let mut ahead: Vec<Micros> = self.of_late().filter(is_ahead).map(|producer| producer.time).collect();
        ahead.sort_unstable();
        if 2 * ahead.len() > self.of_late().count() { ahead } else { Vec::new() }
    }

    fn of_late(&self) -> impl Iterator<Item = &ProducerClock> {
        self.known.iter().filter(|producer| self.n.wrapping_sub(producer.last) <= SILENT_MAX)
    }
}
