//! Predictions that wait for their label, by pane: millions of them, each in as little room as it may.
//!
//! Rows of a pane lie together, since they come together and go together. One table leads from an id to its row.
//!
//! **State**: 32 bytes a prediction, 8 more where several classes are told apart, and 11 to 16 for its place in the
//! table, which is at most three quarters full and grows by half. Of one on disk 9 bytes stay, and its place.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::event::Micros;
use crate::scan::join::Stub;
use crate::summary::Spill;
use crate::summary::spill::Away;

/// Rows that one pane may hold: so many fit into the bits that a place in the table has for them.
const ROWS_MAX: usize = 1 << ROW_BITS;
const ROW_BITS: u32 = 24;
/// Panes that may wait at once.
const PANES_MAX: usize = 1 << PANE_BITS;
const PANE_BITS: u32 = 20;
/// The shortest table.
const PLACES_MIN: usize = 16;

/// A prediction as it waits.
#[derive(Debug, Clone, Copy)]
struct WaitingRow {
    id: u64,
    event_time: Micros,
    score: f64,
    slot: u32,
    entity: u8,
    /// [`POSITIVE`] and [`LABELLED`].
    marks: u8,
}

const POSITIVE: u8 = 1;
const LABELLED: u8 = 2;

/// Predictions of one pane.
#[derive(Debug)]
enum WaitingPane {
    Here(RowsInMemory),
    Away(Spilled),
}

/// Predictions in memory.
#[derive(Debug, Default)]
struct RowsInMemory {
    rows: Vec<WaitingRow>,
    /// Hashes of the classes answered, one a row; none while every answer is 1 or 0.
    classes: Vec<u64>,
}

/// Predictions on disk. Their ids are here, because the table is searched by them, and so are their marks.
#[derive(Debug)]
struct Spilled {
    ids: Box<[u64]>,
    marks: Box<[u8]>,
    rest: Away,
}

/// Bytes of a prediction on disk: time, score, answer, slot, entity.
const REST: usize = 8 + 8 + 8 + 4 + 1;

/// Where a row is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RowPlace {
    pane: usize,
    row: usize,
}

/// The predictions that wait.
#[derive(Debug, Default)]
pub(crate) struct Stubs {
    panes: Vec<WaitingPane>,
    numbers: BTreeMap<Micros, usize>,
    /// Numbers of panes that are free again.
    free: Vec<usize>,
    /// Open addressing, by the high bits of ids: where the row is, and the low bits of its id. 0 marks a free place.
    table: Vec<u64>,
    n: usize,
}

impl Default for WaitingPane {
    fn default() -> Self {
        Self::Here(RowsInMemory::default())
    }
}

impl WaitingPane {
    fn len(&self) -> usize {
        match self {
            Self::Here(here) => here.rows.len(),
            Self::Away(away) => away.ids.len(),
        }
    }

    fn id(&self, row: usize) -> u64 {
        match self {
            Self::Here(here) => here.rows[row].id,
            Self::Away(away) => away.ids[row],
        }
    }

    fn get(&self, row: usize) -> Stub {
        match self {
            Self::Here(here) => here.get(row),
            Self::Away(away) => away.get(row),
        }
    }

    fn set_labelled(&mut self, row: usize) {
        match self {
            Self::Here(here) => here.rows[row].marks |= LABELLED,
            Self::Away(away) => away.marks[row] |= LABELLED,
        }
    }

    fn push(&mut self, id: u64, stub: Stub) {
        if let Self::Away(away) = self {
            let mut here = RowsInMemory::default();
            (0..away.ids.len()).for_each(|row| here.push(away.ids[row], away.get(row)));
            *self = Self::Here(here);
        }
        if let Self::Here(here) = self {
            here.push(id, stub);
        }
    }

    /// Gives back the room that is not used.
    fn shrink(&mut self) {
        if let Self::Here(here) = self {
            here.rows.shrink_to_fit();
            here.classes.shrink_to_fit();
        }
    }

    fn put_away(&mut self, spill: &Arc<dyn Spill>) -> usize {
        let before = self.bytes();
        if let Self::Here(here) = self
            && let Some(away) = here.spilled(spill)
        {
            *self = Self::Away(away);
        }
        before.saturating_sub(self.bytes())
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Here(RowsInMemory { rows, classes }) => {
                rows.capacity() * size_of::<WaitingRow>() + classes.capacity() * size_of::<u64>()
            }
            Self::Away(Spilled { ids, marks, .. }) => size_of_val(&**ids) + marks.len(),
        }
    }
}

impl RowsInMemory {
    fn push(&mut self, id: u64, stub: Stub) {
        let Stub { event_time, score, predicted, slot, entity, labelled } = stub;
        if predicted > 1 && self.classes.is_empty() {
            self.classes = self.rows.iter().map(|row| u64::from(row.marks & POSITIVE)).collect();
        }
        if predicted > 1 || !self.classes.is_empty() {
            self.classes.push(predicted);
        }
        let marks = if predicted == 1 { POSITIVE } else { 0 } | if labelled { LABELLED } else { 0 };
        self.rows.push(WaitingRow { id, event_time, score, slot, entity, marks });
    }

    fn get(&self, row: usize) -> Stub {
        let WaitingRow { event_time, score, slot, entity, marks, .. } = self.rows[row];
        let predicted = self.classes.get(row).copied().unwrap_or(u64::from(marks & POSITIVE));
        Stub { event_time, score, predicted, slot, entity, labelled: marks & LABELLED != 0 }
    }

    /// Puts what is wanted only of predictions whose label comes on disk, unless that is full.
    fn spilled(&self, spill: &Arc<dyn Spill>) -> Option<Spilled> {
        if self.rows.is_empty() {
            return None;
        }
        let mut bytes = Vec::with_capacity(self.rows.len() * REST);
        for row in 0..self.rows.len() {
            let Stub { event_time, score, predicted, slot, entity, .. } = self.get(row);
            bytes.extend(event_time.to_le_bytes());
            bytes.extend(score.to_bits().to_le_bytes());
            bytes.extend(predicted.to_le_bytes());
            bytes.extend(slot.to_le_bytes());
            bytes.push(entity);
        }
        let rest = Away::new(spill, &bytes)?;
        let ids = self.rows.iter().map(|row| row.id).collect();
        Some(Spilled { ids, marks: self.rows.iter().map(|row| row.marks).collect(), rest })
    }
}

impl Spilled {
    fn get(&self, row: usize) -> Stub {
        let bytes = self.rest.part(row * REST, REST);
        let word = |from: usize| <[u8; 8]>::try_from(&bytes[from..from + 8]).expect("eight bytes");
        let slot = u32::from_le_bytes(bytes[24..28].try_into().expect("four bytes"));
        Stub {
            event_time: Micros::from_le_bytes(word(0)),
            score: f64::from_bits(u64::from_le_bytes(word(8))),
            predicted: u64::from_le_bytes(word(16)),
            slot,
            entity: bytes[28],
            labelled: self.marks[row] & LABELLED != 0,
        }
    }
}

impl RowPlace {
    /// As it stands in the table, beside the low bits of an id; never 0.
    fn packed(self, id: u64) -> u64 {
        id << (PANE_BITS + ROW_BITS) | (self.pane as u64) << ROW_BITS | (self.row as u64 + 1)
    }

    #[expect(clippy::cast_possible_truncation, reason = "a few bits each")]
    fn unpacked(place: u64) -> Self {
        let pane = (place >> ROW_BITS) as usize % PANES_MAX;
        Self { pane, row: place as usize % ROWS_MAX - 1 }
    }
}

impl Stubs {
    pub(crate) fn len(&self) -> usize {
        self.n
    }

    /// Notes a prediction in the place of an earlier one of its id; `false` when there is no room.
    pub(crate) fn insert(&mut self, pane: usize, id: u64, stub: Stub) -> bool {
        let row = self.panes[pane].len();
        if row + 1 >= ROWS_MAX {
            return false;
        }
        self.panes[pane].push(id, stub);
        self.n += 1;
        self.point_to(id, RowPlace { pane, row });
        true
    }

    /// The number of a pane, one of its own when it is new; none when there are too many panes.
    pub(crate) fn open(&mut self, pane: Micros) -> Option<usize> {
        if let Some(&number) = self.numbers.get(&pane) {
            return Some(number);
        }
        let number = match self.free.pop() {
            Some(number) => number,
            None if self.panes.len() < PANES_MAX => {
                self.panes.push(WaitingPane::default());
                self.panes.len() - 1
            }
            None => return None,
        };
        self.numbers.insert(pane, number);
        Some(number)
    }

    /// The number of a pane that there is.
    pub(crate) fn number_of(&self, pane: Micros) -> Option<usize> {
        self.numbers.get(&pane).copied()
    }

    /// Where the prediction of an id is.
    pub(crate) fn find(&self, id: u64) -> Option<RowPlace> {
        let place = self.place_of(id)?;
        (self.table[place] != 0).then(|| RowPlace::unpacked(self.table[place]))
    }

    pub(crate) fn get(&self, at: RowPlace) -> Stub {
        self.panes[at.pane].get(at.row)
    }

    pub(crate) fn set_labelled(&mut self, at: RowPlace) {
        self.panes[at.pane].set_labelled(at.row);
    }

    pub(crate) fn n_of(&self, pane: usize) -> usize {
        self.panes[pane].len()
    }

    /// Lets go of rows of a pane whose ids are above a limit.
    pub(crate) fn forget_above(&mut self, number: usize, limit: u64) {
        // A row that a later prediction of its id has replaced goes as well.
        let stays = |row: &usize| {
            let id = self.panes[number].id(*row);
            id <= limit && self.find(id) == Some(RowPlace { pane: number, row: *row })
        };
        let kept: Vec<usize> = (0..self.panes[number].len()).filter(stays).collect();
        let all = self.take(number);
        for (row, from) in kept.into_iter().enumerate() {
            self.panes[number].push(all.id(from), all.get(from));
            self.n += 1;
            self.point_to(all.id(from), RowPlace { pane: number, row });
        }
    }

    /// Gives back the room that a pane will not use.
    pub(crate) fn close(&mut self, pane: Micros) {
        if let Some(&number) = self.numbers.get(&pane) {
            self.panes[number].shrink();
        }
    }

    /// Moves panes before a time to disk, the oldest first, until so many bytes of memory are free again or none is
    /// left to move; returns how many are.
    pub(crate) fn put_away(&mut self, spill: &Arc<dyn Spill>, before: Micros, wanted: usize) -> usize {
        let mut gained = 0;
        for (_, &number) in self.numbers.range(..before) {
            if gained >= wanted {
                break;
            }
            gained += self.panes[number].put_away(spill);
        }
        gained
    }

    /// Forgets panes that start before a time.
    pub(crate) fn forget_before(&mut self, from: Micros) {
        while let Some(first) = self.numbers.first_entry().filter(|first| *first.key() < from) {
            let number = first.remove();
            self.take(number);
            self.free.push(number);
        }
    }

    /// Takes out the rows of a pane, and what leads to them.
    fn take(&mut self, number: usize) -> WaitingPane {
        for row in 0..self.panes[number].len() {
            let id = self.panes[number].id(row);
            let place =
                self.place_of(id).filter(|&place| self.table[place] == RowPlace { pane: number, row }.packed(id));
            place.into_iter().for_each(|place| self.vacate(place));
        }
        let taken = std::mem::take(&mut self.panes[number]);
        self.n -= taken.len();
        taken
    }

    /// How many bytes are taken, about.
    pub(crate) fn bytes(&self) -> usize {
        let rows = self.panes.iter().map(WaitingPane::bytes).sum::<usize>();
        rows + size_of_val(&*self.table) + self.panes.capacity() * size_of::<WaitingPane>()
    }
}

/// The table.
impl Stubs {
    fn point_to(&mut self, id: u64, at: RowPlace) {
        if (self.n + 1) * 4 > self.table.len() * 3 {
            self.grow();
        }
        let place = self.place_of(id).expect("a table that has room");
        self.table[place] = at.packed(id);
    }

    /// The place of an id, or the free one where it would be put; none while there is no table.
    fn place_of(&self, id: u64) -> Option<usize> {
        if self.table.is_empty() {
            return None;
        }
        let mut place = self.first_place(id);
        while self.table[place] != 0 && !self.is_at(place, id) {
            place = self.after(place);
        }
        Some(place)
    }

    fn is_at(&self, place: usize, id: u64) -> bool {
        let tag = PANE_BITS + ROW_BITS;
        self.table[place] >> tag == id << tag >> tag && self.id_at(place) == id
    }

    fn id_at(&self, place: usize) -> u64 {
        let RowPlace { pane, row } = RowPlace::unpacked(self.table[place]);
        self.panes[pane].id(row)
    }

    /// As far into the table as the id, spread (Knuth, as below, multiplicative), is into all numbers: of a sample all
    /// ids are small.
    #[expect(clippy::cast_possible_truncation, reason = "less than the length of the table")]
    fn first_place(&self, id: u64) -> usize {
        let spread = id.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        ((u128::from(spread) * self.table.len() as u128) >> 64) as usize
    }

    fn after(&self, place: usize) -> usize {
        if place + 1 == self.table.len() { 0 } else { place + 1 }
    }

    /// Empties a place, and moves up what had to go further because of it (Knuth, *The Art of Computer Programming*,
    /// volume 3, section 6.4, algorithm R).
    fn vacate(&mut self, place: usize) {
        let mut hole = place;
        let mut next = self.after(hole);
        while self.table[next] != 0 {
            let way = |from: usize| (next + self.table.len() - from) % self.table.len();
            if way(self.first_place(self.id_at(next))) >= way(hole) {
                self.table[hole] = self.table[next];
                hole = next;
            }
            next = self.after(next);
        }
        self.table[hole] = 0;
    }

    fn grow(&mut self) {
        let longer = vec![0; (self.table.len() / 2 * 3).max(PLACES_MIN)];
        let old = std::mem::replace(&mut self.table, longer);
        for entry in old.into_iter().filter(|&entry| entry != 0) {
            let RowPlace { pane, row } = RowPlace::unpacked(entry);
            let mut place = self.first_place(self.panes[pane].id(row));
            while self.table[place] != 0 {
                place = self.after(place);
            }
            self.table[place] = entry;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Mutex;

    use proptest::prelude::*;

    use super::*;
    use crate::event::stable_hash;

    /// All that was ever put there.
    #[derive(Debug, Default)]
    struct Heap(Mutex<Vec<u8>>);

    impl Spill for Heap {
        fn put(&self, bytes: &[u8]) -> Option<u64> {
            let mut all = self.0.lock().expect("no panic");
            let at = all.len();
            all.extend(bytes);
            Some(at as u64)
        }

        fn get(&self, at: u64, len: usize) -> Vec<u8> {
            let at = usize::try_from(at).expect("a place");
            self.0.lock().expect("no panic")[at..at + len].to_vec()
        }

        fn free(&self, _: u64, _: usize) {}
    }

    #[test]
    fn small_ids_are_spread_over_the_table() {
        let mut stubs = Stubs::default();
        let pane = stubs.open(0).expect("few panes");
        for n in 0..10_000_u64 {
            assert!(stubs.insert(pane, stable_hash(&n.to_le_bytes()) >> 10, stub(0, 1)));
        }
        let longest = stubs.table.split(|entry| *entry == 0).map(<[u64]>::len).max();
        assert!(longest < Some(500), "{longest:?} places one after another are taken");
    }

    fn stub(event_time: Micros, predicted: u64) -> Stub {
        Stub::new(event_time, 3, 0.25, predicted).asked_by(Some(7))
    }

    proptest! {
        #[test]
        fn agrees_with_a_map(steps in prop::collection::vec((0_u64..60, 0_i64..6, 0_u8..20), 0..300)) {
            // Few numbers, spread as hashes are, and three of them side by side.
            let id_of = |n: u64| if n < 3 { u64::MAX - n } else { stable_hash(&n.to_le_bytes()) };
            let (mut stubs, mut model) = (Stubs::default(), BTreeMap::<u64, (Micros, Stub)>::new());
            let spill: Arc<dyn Spill> = Arc::new(Heap::default());
            for (n, pane, what) in steps {
                match what {
                    0 => {
                        stubs.forget_before(pane);
                        model.retain(|_, (kept, _)| *kept >= pane);
                    }
                    1 => {
                        let number = stubs.open(pane).expect("few panes");
                        stubs.forget_above(number, u64::MAX / 2);
                        model.retain(|&id, (kept, _)| *kept != pane || id <= u64::MAX / 2);
                    }
                    2 => stubs.close(pane),
                    3 => _ = stubs.put_away(&spill, pane, usize::MAX),
                    4 => {
                        if let Some(at) = stubs.find(id_of(n)) {
                            stubs.set_labelled(at);
                            model.get_mut(&id_of(n)).expect("found above").1.labelled = true;
                        }
                    }
                    _ => {
                        let new = stub(pane, n % 3);
                        let number = stubs.open(pane).expect("few panes");
                        prop_assert!(stubs.insert(number, id_of(n), new));
                        model.insert(id_of(n), (pane, new));
                    }
                }
                for n in 0..60 {
                    let found = stubs.find(id_of(n)).map(|at| stubs.get(at));
                    prop_assert_eq!(found, model.get(&id_of(n)).map(|(_, stub)| *stub));
                }
            }
        }
    }

    #[test]
    fn on_disk_it_takes_half() {
        let mut stubs = Stubs::default();
        for n in 0..20_000_u64 {
            let number = stubs.open(0).expect("one pane");
            assert!(stubs.insert(number, stable_hash(&n.to_le_bytes()), stub(0, 1)));
        }
        stubs.close(0);
        let before = stubs.bytes();
        let gained = stubs.put_away(&(Arc::new(Heap::default()) as Arc<dyn Spill>), 1, usize::MAX);
        assert_eq!(stubs.bytes(), before - gained);
        assert!(stubs.bytes() <= 20_000 * 26, "{} bytes", stubs.bytes());
    }

    #[test]
    fn a_prediction_takes_fifty_bytes_at_most() {
        let mut stubs = Stubs::default();
        for n in 0..20_000_u64 {
            let pane = Micros::try_from(n / 1_000).expect("few");
            let number = stubs.open(pane).expect("few panes");
            assert!(stubs.insert(number, stable_hash(&n.to_le_bytes()), stub(pane, 1)));
            if n % 1_000 == 999 {
                stubs.close(pane);
                assert!(stubs.bytes() as u64 <= n * 50, "{n} take {} bytes", stubs.bytes());
            }
        }
        stubs.forget_before(100);
        assert_eq!((stubs.len(), stubs.find(stable_hash(&0_u64.to_le_bytes()))), (0, None));
    }
}
