//! Which tensors are read: each mapped path into one, by the tensor that it names.

use std::collections::BTreeMap;

use crate::plan::{Path, PathStep, Side};

use super::super::binding::{Binding, Slot};
use super::super::trie::KeyTarget;

/// Places of tensors whose entry is remembered.
const ORDER_MAX: usize = 4_096;

/// One tensor as paths name it, and what is read of it.
#[derive(Debug)]
pub(super) struct Entry {
    selector: PathStep,
    pub(super) parts: Vec<TensorPart>,
}

/// A value that is read of each row of a tensor.
#[derive(Debug)]
pub(super) struct TensorPart {
    pub(super) target: KeyTarget,
    /// Its place along the dimensions of a row.
    pub(super) indexes: Vec<u32>,
}

/// All tensors that are read.
#[derive(Debug)]
pub(super) struct TensorSelection {
    pub(super) entries: Vec<Entry>,
    by_name: BTreeMap<Vec<u8>, usize>,
    by_place: BTreeMap<usize, usize>,
    /// The entry of the tensor at each place, as it was last time. It changes the speed, never the result.
    order: Vec<Option<usize>>,
}

impl TensorSelection {
    /// The tensors that these bindings lead to. Where none does, the first tells how many rows there are.
    pub(super) fn new(bindings: &[Binding], side: Side) -> Self {
        let (by_name, by_place) = (BTreeMap::new(), BTreeMap::new());
        let mut wanted = Self { entries: Vec::new(), by_name, by_place, order: Vec::new() };
        for (binding, at) in bindings.iter().zip(0..) {
            if let Some((selector, indexes)) = within(&binding.path, side) {
                let slot = if binding.path.texts.pattern.is_some() { Slot::Part } else { binding.slot };
                let entry = wanted.entry(selector);
                wanted.entries[entry].parts.push(TensorPart { target: KeyTarget { slot, binding: at }, indexes });
            }
        }
        if wanted.entries.is_empty() {
            wanted.entry(&PathStep::Index(0));
        }
        wanted
    }

    fn entry(&mut self, selector: &PathStep) -> usize {
        if let Some(known) = self.entries.iter().position(|entry| entry.selector == *selector) {
            return known;
        }
        let at = self.entries.len();
        match selector {
            PathStep::Index(place) => drop(self.by_place.insert(*place as usize, at)),
            PathStep::Named(_, name) | PathStep::Key(name) => drop(self.by_name.insert(name.clone().into_bytes(), at)),
        }
        self.entries.push(Entry { selector: selector.clone(), parts: Vec::new() });
        at
    }

    /// The entry of the tensor at this place.
    pub(super) fn at(&self, place: usize) -> Option<usize> {
        if self.by_place.is_empty() { None } else { self.by_place.get(&place).copied() }
    }

    /// The entry of the tensor of this name, which is at this place.
    pub(super) fn named(&mut self, place: usize, name: &[u8]) -> Option<usize> {
        if self.by_name.is_empty() {
            return None;
        }
        let is_named = |entry: usize| matches!(&self.entries[entry].selector, PathStep::Named(_, known) if known.as_bytes() == name);
        if let Some(guess) = self.order.get(place).copied().flatten().filter(|guess| is_named(*guess)) {
            return Some(guess);
        }
        let found = self.by_name.get(name).copied();
        if place < ORDER_MAX {
            self.order.resize(self.order.len().max(place + 1), None);
            self.order[place] = found;
        }
        found
    }
}

/// The tensor that a path names, and the way on in its rows.
fn within(path: &Path, side: Side) -> Option<(&PathStep, Vec<u32>)> {
    let [PathStep::Key(first), selector, inner @ ..] = path.steps() else { return None };
    let index = |step: &PathStep| if let PathStep::Index(at) = step { Some(*at) } else { None };
    (first == side.tensors()).then(|| (selector, inner.iter().filter_map(index).collect()))
}

/// Whether a path leads into the tensors of this side.
pub(super) fn is_tensor(binding: &Binding, side: Side) -> bool {
    binding.path.first() == Some(side.tensors())
}
