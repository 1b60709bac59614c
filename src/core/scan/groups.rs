//! The groups of one pane: a cell per (model, version, segment), bounded by [`Fold`].

use std::collections::BTreeMap;

use crate::plan::Plan;
use crate::scan::fold::{Fold, has_prefix};
use crate::scan::frame::GroupKey;

/// What a group holds.
pub(crate) trait Cell {
    /// An empty cell.
    fn new(plan: &Plan) -> Self;
    /// Adds another cell.
    fn merge(&mut self, other: &Self);
}

/// Cells by group. Slots stay valid when groups are folded: a slot that was moved leads to where it went.
#[derive(Debug, Clone)]
pub(crate) struct Groups<T> {
    fold: Fold,
    slots: BTreeMap<GroupKey, usize>,
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

    fn slot_of_kept(&mut self, key: GroupKey, plan: &Plan) -> usize {
        let Self { slots, cells, moved_to, .. } = self;
        *slots.entry(key).or_insert_with(|| {
            cells.push(T::new(plan));
            moved_to.push(cells.len() - 1);
            cells.len() - 1
        })
    }

    fn fold_away(&mut self, from: &GroupKey, to: GroupKey, plan: &Plan) {
        let gone: Vec<GroupKey> = self.slots.keys().filter(|key| has_prefix(key, from)).cloned().collect();
        let target = self.slot_of_kept(to, plan);
        for key in gone {
            let slot = self.slots.remove(&key).expect("listed above");
            let cell = std::mem::replace(&mut self.cells[slot], T::new(plan));
            self.cells[target].merge(&cell);
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

    /// Groups and their cells, in key order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&GroupKey, &T)> {
        self.slots.iter().map(|(key, &slot)| (key, &self.cells[slot]))
    }
}
