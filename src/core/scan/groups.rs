//! The groups of one pane: a cell per (model, version, segment), bounded by [`Fold`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::plan::Plan;
use crate::scan::fold::{Fold, folded, has_prefix};
use crate::scan::frame::GroupKey;

/// What a group holds.
pub(crate) trait Cell {
    /// An empty cell.
    fn new(plan: &Plan) -> Self;
    /// Adds another cell.
    fn merge(&mut self, plan: &Plan, other: &Self);
}

/// Cells by group. Slots stay valid when groups are folded: a slot that was moved leads to where it went.
#[derive(Debug, Clone)]
pub(crate) struct Groups<T> {
    fold: Fold,
    slots: BTreeMap<Arc<GroupKey>, usize>,
    cells: Vec<T>,
    moved_to: Vec<usize>,
}

impl<T: Cell> Groups<T> {
    pub(crate) fn new() -> Self {
        Self { fold: Fold::default(), slots: BTreeMap::new(), cells: Vec::new(), moved_to: Vec::new() }
    }

    /// The slot of a group, made when it is new.
    pub(crate) fn slot(&mut self, key: &GroupKey, plan: &Plan) -> usize {
        if let Some(&slot) = self.slots.get(key) {
            return slot;
        }
        let mut moves = Vec::new();
        let note = |from: &GroupKey, to: &GroupKey| moves.push((from.clone(), to.clone()));
        let target = self.fold.admit(key, &plan.bounds, &plan.policy.baseline_version, note);
        for (from, to) in moves {
            self.fold_away(&from, to, plan);
        }
        self.slot_of_kept(target, plan)
    }

    /// The slot of a group, or of the one that it was folded into; `None` when neither is there.
    pub(crate) fn known(&self, key: &GroupKey) -> Option<usize> {
        [key.clone()].into_iter().chain(folded(key)).find_map(|key| self.slots.get(&key).copied())
    }

    fn slot_of_kept(&mut self, key: GroupKey, plan: &Plan) -> usize {
        let Self { slots, cells, moved_to, .. } = self;
        *slots.entry(Arc::new(key)).or_insert_with(|| {
            cells.push(T::new(plan));
            moved_to.push(cells.len() - 1);
            cells.len() - 1
        })
    }

    fn fold_away(&mut self, from: &GroupKey, to: GroupKey, plan: &Plan) {
        let gone: Vec<Arc<GroupKey>> = self.slots.keys().filter(|key| has_prefix(key, from)).cloned().collect();
        let target = self.slot_of_kept(to, plan);
        for key in gone {
            let slot = self.slots.remove(&key).expect("listed above");
            let cell = std::mem::replace(&mut self.cells[slot], T::new(plan));
            self.cells[target].merge(plan, &cell);
            self.moved_to[slot] = target;
        }
    }

    /// The cell of a slot.
    pub(crate) fn cell(&mut self, slot: usize) -> &mut T {
        let mut slot = slot;
        while self.moved_to[slot] != slot {
            slot = self.moved_to[slot];
        }
        &mut self.cells[slot]
    }

    /// How many groups were folded into others.
    pub(crate) fn n_folded(&self) -> usize {
        self.cells.len() - self.slots.len()
    }

    /// Groups and their cells, in key order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&GroupKey, &T)> {
        self.slots.iter().map(|(key, &slot)| (&**key, &self.cells[slot]))
    }

    /// The same, to be changed.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (&Arc<GroupKey>, &mut T)> {
        let Self { slots, cells, .. } = self;
        let mut by_slot: Vec<Option<&mut T>> = cells.iter_mut().map(Some).collect();
        slots.iter().filter_map(move |(key, &slot)| Some((key, by_slot[slot].take()?)))
    }

    /// Groups with their cells, in key order.
    pub(crate) fn into_cells(self) -> impl Iterator<Item = (Arc<GroupKey>, T)> {
        let mut cells: Vec<Option<T>> = self.cells.into_iter().map(Some).collect();
        self.slots.into_iter().filter_map(move |(key, slot)| Some((key, cells[slot].take()?)))
    }

    /// No new group will come: what only that would need is dropped, and names that are known already are shared.
    pub(crate) fn close(&mut self, known: &mut BTreeSet<Arc<GroupKey>>) {
        self.fold = Fold::default();
        self.slots =
            std::mem::take(&mut self.slots).into_iter().map(|(key, slot)| (shared(known, key), slot)).collect();
        self.cells.shrink_to_fit();
        self.moved_to.shrink_to_fit();
    }

    /// Rough size of what there is besides cells and the names of groups.
    pub(crate) fn bytes(&self) -> usize {
        size_of::<Self>() + self.cells.capacity() * (size_of::<usize>() + 2 * size_of::<(Arc<GroupKey>, usize)>())
    }
}

/// The name as it is known already, or from now on.
fn shared(known: &mut BTreeSet<Arc<GroupKey>>, key: Arc<GroupKey>) -> Arc<GroupKey> {
    if let Some(known) = known.get(&key) {
        return Arc::clone(known);
    }
    known.insert(Arc::clone(&key));
    key
}
