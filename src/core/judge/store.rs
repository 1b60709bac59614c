//! Partials, merged by replacement: per (pane, group, lane, source, part) the one computed furthest into the log counts.

use std::collections::BTreeMap;

use crate::event::Micros;
use crate::plan::Plan;
use crate::scan::groups::{Cell, Groups};
use crate::scan::{Body, GroupKey, Inputs, Partial};
use crate::summary::{Quality, Traffic};

/// What identifies a partial within its pane. The order fixes the order of merging.
type Slot = (GroupKey, u32, u16, u8);

impl Cell for Quality {
    fn new(plan: &Plan) -> Self {
        Self::new(plan.quality.as_ref().expect("quality partials imply a quality plan"))
    }

    fn merge(&mut self, other: &Self) {
        self.merge(other);
    }
}

/// The panes that are still needed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Store {
    panes: BTreeMap<Micros, BTreeMap<Slot, (i64, Body)>>,
    inputs: BTreeMap<Micros, BTreeMap<(u32, u16), Inputs>>,
    /// From where on traffic is whole, and from where on labels are: before, some of it is forgotten.
    whole_from: Option<(Micros, Micros)>,
}

impl Store {
    /// From where on all is there that was ever taken of traffic, or of labels.
    pub(crate) fn whole_from(&self, of_traffic: bool) -> Micros {
        self.whole_from.map_or(Micros::MIN, |(traffic, quality)| if of_traffic { traffic } else { quality })
    }

    /// Takes a partial; `false` when a later one is there already, or the same, or was before it was forgotten.
    pub(crate) fn put(&mut self, partial: Partial) -> bool {
        let Partial { lane, source, pane, group, upto, body, inputs } = partial;
        if !matches!(body, Body::Exposure(_)) && pane < self.whole_from(matches!(body, Body::Traffic(_))) {
            return false;
        }
        if matches!(body, Body::Traffic(_)) {
            self.inputs.entry(pane).or_default().insert((lane, source), inputs);
        }
        let slots = self.panes.entry(pane).or_default();
        let slot = (group, lane, source, body.part());
        match slots.get_mut(&slot) {
            Some((known, _)) if *known > upto => false,
            // What it says stays the same up to here: something older must not replace it.
            Some((known, same)) if *same == body => {
                *known = upto;
                false
            }
            Some(kept) => {
                *kept = (upto, body);
                true
            }
            None => {
                slots.insert(slot, (upto, body));
                true
            }
        }
    }

    fn bodies(&self, start: Micros, end: Micros) -> impl Iterator<Item = (&GroupKey, &Body)> {
        self.panes.range(start..end).flat_map(|(_, slots)| slots.iter().map(|((key, ..), (_, body))| (key, body)))
    }

    /// Traffic of the panes in `[start, end)`, by group.
    pub(crate) fn traffic(&self, plan: &Plan, start: Micros, end: Micros) -> Groups<Traffic> {
        merge(
            plan,
            self.bodies(start, end).filter_map(|(key, body)| match body {
                Body::Traffic(traffic) => Some((key, traffic)),
                _ => None,
            }),
        )
    }

    /// Labelled predictions of the panes in `[start, end)`, by group; with or without labels that came late.
    pub(crate) fn quality(&self, plan: &Plan, start: Micros, end: Micros, with_late: bool) -> Groups<Quality> {
        merge(
            plan,
            self.bodies(start, end).filter_map(|(key, body)| match body {
                Body::QualityInTime(quality) => Some((key, quality)),
                Body::QualityLate(quality) if with_late => Some((key, quality)),
                _ => None,
            }),
        )
    }

    /// Whether any label came late for the panes in `[start, end)`.
    pub(crate) fn has_late(&self, start: Micros, end: Micros) -> bool {
        self.bodies(start, end).any(|(_, body)| matches!(body, Body::QualityLate(_)))
    }

    /// The share of traffic declared last for a version before `end`.
    pub(crate) fn declared_share(&self, model: &str, version: &str, end: Micros) -> Option<f64> {
        let shares = self.bodies(Micros::MIN, end).filter_map(|(key, body)| match body {
            Body::Exposure(declared) if key.model == model && key.version == version && declared.at < end => {
                Some(declared)
            }
            _ => None,
        });
        shares.max_by_key(|declared| declared.at).map(|declared| declared.share)
    }

    /// Input offsets of the panes in `[start, end)`: per source and lane, first and last.
    pub(crate) fn inputs(&self, start: Micros, end: Micros) -> BTreeMap<(u16, u32), Inputs> {
        let mut all: BTreeMap<(u16, u32), Inputs> = BTreeMap::new();
        for (&(lane, source), inputs) in self.inputs.range(start..end).flat_map(|(_, inputs)| inputs) {
            let range = all.entry((source, lane)).or_insert(*inputs);
            range.first = range.first.min(inputs.first);
            range.last = range.last.max(inputs.last);
        }
        all
    }

    /// Starts of the panes from `start` on.
    pub(crate) fn panes_from(&self, start: Micros) -> impl Iterator<Item = Micros> {
        self.panes.range(start..).map(|(&pane, _)| pane)
    }

    /// Forgets traffic before one time and labels before another. Declared shares stay until a later one replaces them.
    pub(crate) fn release(&mut self, traffic_before: Micros, quality_before: Micros) {
        let (traffic, quality) = (self.whole_from(true), self.whole_from(false));
        self.whole_from = Some((traffic.max(traffic_before), quality.max(quality_before)));
        for (&pane, slots) in self.panes.range_mut(..traffic_before.max(quality_before)) {
            slots.retain(|_, (_, body)| match body {
                Body::Traffic(_) => pane >= traffic_before,
                Body::QualityInTime(_) | Body::QualityLate(_) => pane >= quality_before,
                Body::Exposure(_) => true,
            });
        }
        self.panes.retain(|_, slots| !slots.is_empty());
        self.inputs = self.inputs.split_off(&traffic_before.min(quality_before));
    }
}

fn merge<'a, T: Cell + 'a>(plan: &Plan, cells: impl Iterator<Item = (&'a GroupKey, &'a T)>) -> Groups<T> {
    let mut groups: Groups<T> = Groups::new();
    for (key, cell) in cells {
        let slot = groups.slot(key, plan);
        groups.cell(slot).merge(cell);
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scan::frame::DeclaredShare;

    fn declared(upto: i64, share: f64) -> Partial {
        let group = GroupKey { model: "m".to_owned(), version: "v2".to_owned(), segment: Vec::new() };
        let body = Body::Exposure(DeclaredShare { at: 1, share });
        Partial { lane: 0, source: 0, pane: 0, group, upto, body, inputs: Inputs { first: 0, last: 0 } }
    }

    #[test]
    fn nothing_is_replaced_by_what_was_computed_from_less_of_the_log() {
        let mut store = Store::default();
        assert!(store.put(declared(10, 0.1)));
        assert!(!store.put(declared(20, 0.1)), "it says the same");
        assert!(!store.put(declared(15, 0.5)), "it is older than what said the same");
        assert_eq!(store.declared_share("m", "v2", 2), Some(0.1));
        assert!(store.put(declared(25, 0.5)));
        assert_eq!(store.declared_share("m", "v2", 2), Some(0.5));
    }
}
