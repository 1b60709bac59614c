//! Partials, merged by replacement: per (pane, group, lane, source, part) the one computed furthest into the log
//! counts.
//!
//! All of them are sealed: a judgement adds them up as they are, and what is kept for revisions takes as much room as
//! what is in it. Names of groups stand here once, whatever the number of panes.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use crate::event::Micros;
use crate::judge::sealed::SealedContent;
use crate::judge::trust::Accounts;
use crate::plan::Plan;
use crate::scan::frame::{CORRECTED, DeclaredShare, EXPOSURE, IN_TIME, TRAFFIC};
use crate::scan::groups::{Cell, Groups};
use crate::scan::{Body, GroupKey, Inputs, Partial};
use crate::summary::{Quality, Seal, Sealed, Spill, Traffic};
use crate::verdict::judged::ShareLooks;

/// What identifies a partial within its pane. The order fixes the order of merging.
type PartialKey = (Arc<GroupKey>, u32, u16, u8);

/// The rough size of an entry of a map, besides what it points to: nodes are two thirds full on average.
const ENTRY_BYTES: usize = 3 * size_of::<(PartialKey, KeptPartial)>() / 2;

impl Cell for Quality {
    fn new(plan: &Plan) -> Self {
        Self::new(plan.quality.as_ref().expect("quality partials imply a quality plan"))
    }

    fn merge(&mut self, _: &Plan, other: &Self) {
        self.merge(other);
    }
}

/// A partial's counts, and how far into the log they were computed.
#[derive(Debug, Clone)]
struct KeptPartial {
    upto: i64,
    counted: SealedContent,
}

/// The panes that are still needed.
#[derive(Debug, Clone, Default)]
pub(crate) struct PaneStore {
    panes: BTreeMap<Micros, BTreeMap<PartialKey, KeptPartial>>,
    groups: BTreeSet<Arc<GroupKey>>,
    /// Of traffic, and of labels that came in time: of them first judgements are made.
    inputs: BTreeMap<Micros, BTreeMap<(u8, u16, u32), Inputs>>,
    /// What came of the records of streams.
    accounts: Accounts,
    /// From where on traffic is whole, and from where on labels are: before, some of it is forgotten.
    whole_from: Option<(Micros, Micros)>,
    /// Up to where lanes share what is kept of traffic, and of labels that came in time.
    shared_upto: Option<(Micros, Micros)>,
    /// Rises with every change to what is kept of traffic.
    changes: u64,
}

impl PaneStore {
    /// From where on all is there that was ever taken of traffic, or of labels.
    pub(crate) fn whole_from(&self, of_traffic: bool) -> Micros {
        self.whole_from.map_or(Micros::MIN, |(traffic, quality)| if of_traffic { traffic } else { quality })
    }

    /// Takes a partial; `false` when a later one is there already, or the same, or was before it was forgotten.
    pub(crate) fn put(&mut self, partial: Partial) -> bool {
        let Partial { lane, source, pane, group, upto, body, inputs } = partial;
        if let Body::Intake(intake) = body {
            return self.accounts.put((source, lane), pane, upto, intake);
        }
        let is_traffic = matches!(body, Body::Traffic(_) | Body::Pairs(_));
        if !matches!(body, Body::Exposure(_)) && pane < self.whole_from(is_traffic) {
            return false;
        }
        let part = body.part();
        let slot = (self.interned(group), lane, source, part);
        let slots = self.panes.entry(pane).or_default();
        let known = slots.get_mut(&slot);
        if known.as_ref().is_some_and(|known| known.upto > upto) {
            return false;
        }
        if part <= IN_TIME {
            self.inputs.entry(pane).or_default().insert((part, source, lane), inputs);
        }
        let counted = SealedContent::new(&body, inputs);
        match known {
            // What it says stays the same up to here: something older must not replace it.
            Some(known) if known.counted == counted => {
                known.upto = upto;
                return false;
            }
            Some(known) => *known = KeptPartial { upto, counted },
            None => drop(slots.insert(slot, KeptPartial { upto, counted })),
        }
        self.changes += u64::from(is_traffic);
        true
    }

    fn interned(&mut self, group: GroupKey) -> Arc<GroupKey> {
        if let Some(known) = self.groups.get(&group) {
            return Arc::clone(known);
        }
        let group = Arc::new(group);
        self.groups.insert(Arc::clone(&group));
        group
    }

    fn counted(&self, start: Micros, end: Micros) -> impl Iterator<Item = (&GroupKey, &SealedContent)> {
        let slots = self.panes.range(start..end).flat_map(|(_, slots)| slots);
        slots.map(|((key, ..), kept)| (&**key, &kept.counted))
    }

    /// Traffic of the panes in `[start, end)`, by group.
    pub(crate) fn traffic(&self, plan: &Plan, start: Micros, end: Micros) -> Groups<Traffic> {
        let mut groups = merge(
            plan,
            self.counted(start, end).filter_map(|(key, counted)| match counted {
                SealedContent::Traffic(traffic) => Some((key, traffic)),
                _ => None,
            }),
        );
        // What stayed alone may be counted where its version has no traffic any more; nothing rests on that.
        for (key, counted) in self.counted(start, end) {
            if let (SealedContent::Pairs(pairs), Some(slot)) = (counted, groups.known(key)) {
                groups.cell(slot).pairs.merge(pairs);
            }
        }
        groups
    }

    /// Labelled predictions of the panes in `[start, end)`, by group; with or without labels that came late, and what
    /// these have corrected.
    pub(crate) fn quality(&self, plan: &Plan, start: Micros, end: Micros, with_late: bool) -> Groups<Quality> {
        let counted = self.panes.range(start..end).flat_map(|(_, slots)| {
            slots.iter().filter_map(move |((key, lane, source, _), kept)| match &kept.counted {
                SealedContent::InTime(_)
                    if with_late && slots.contains_key(&(Arc::clone(key), *lane, *source, CORRECTED)) =>
                {
                    None
                }
                SealedContent::InTime(quality) => Some((&**key, quality)),
                SealedContent::Late(quality) | SealedContent::Corrected(quality) if with_late => {
                    Some((&**key, quality))
                }
                _ => None,
            })
        });
        let mut groups: Groups<Quality> = merge(plan, counted);
        for (key, counted) in self.counted(start, end) {
            let losses = match counted {
                SealedContent::PairsInTime(losses) => losses,
                SealedContent::PairsLate(losses) if with_late => losses,
                _ => continue,
            };
            let slot = groups.slot(key, plan);
            groups.cell(slot).pairs.merge(losses);
        }
        groups
    }

    /// Whether any label came late for the panes in `[start, end)`.
    pub(crate) fn has_late(&self, start: Micros, end: Micros) -> bool {
        self.counted(start, end).any(|(_, counted)| {
            matches!(counted, SealedContent::Late(_) | SealedContent::Corrected(_) | SealedContent::PairsLate(_))
        })
    }

    /// The share of traffic of a version in a window up to `end`: the one declared last, or what the last look showed,
    /// unless that is too long ago to count.
    pub(crate) fn declared_share(&self, plan: &Plan, model: &str, version: &str, end: Micros) -> Option<f64> {
        let shares = self.shares(in_force(plan, end));
        let of_version = shares.filter(|(key, ..)| key.model == model && key.version == version);
        of_version.max_by_key(|(_, declared, _)| declared.at).map(|(_, declared, _)| declared.share)
    }

    /// What was seen of a version's share, as far as a window up to `end` may know; `None` where nobody looks.
    pub(crate) fn share_looks(&self, plan: &Plan, model: &str, version: &str, end: Micros) -> Option<ShareLooks> {
        let holds = plan.share_holds()?;
        let known = in_force(plan, end);
        // Those of the window before, too: with its own they show what changed since.
        let from = known.start.saturating_sub(plan.time.every());
        let shares = self.shares(from..known.end);
        let of_version = shares.filter(|(key, ..)| key.model == model && key.version == version);
        let mut seen: Vec<DeclaredShare> = of_version.map(|(_, declared, _)| *declared).collect();
        seen.sort_by_key(|look| look.at);
        Some(ShareLooks { seen, until: known.end, holds })
    }

    /// Shares declared at these times.
    fn shares(&self, at: Range<Micros>) -> impl Iterator<Item = (&GroupKey, &DeclaredShare, (u16, u32, Inputs))> {
        let slots = self.panes.range(..at.end).flat_map(|(_, slots)| slots);
        slots.filter_map(move |((key, lane, source, _), kept)| match &kept.counted {
            SealedContent::Exposure(declared, inputs) if at.contains(&declared.at) => {
                Some((&**key, declared, (*source, *lane, *inputs)))
            }
            _ => None,
        })
    }

    /// What a first judgement of the panes in `[start, end)` used: topic, lane, first and last offset of traffic, of
    /// the shares in force and, where `with_labels`, of labels that came in time.
    pub(crate) fn offsets(
        &self,
        plan: &Plan,
        start: Micros,
        end: Micros,
        with_labels: bool,
    ) -> Vec<(String, u32, i64, i64)> {
        let counted = self.inputs.range(start..end).flat_map(|(_, inputs)| inputs);
        let counted = counted.filter(|((part, ..), _)| with_labels || *part == TRAFFIC);
        let counted = counted.map(|(&(_, source, lane), &inputs)| (source, lane, inputs));
        let mut newest: BTreeMap<&GroupKey, (Micros, (u16, u32, Inputs))> = BTreeMap::new();
        for (key, declared, inputs) in self.shares(in_force(plan, end)) {
            let last = newest.entry(key).or_insert((declared.at, inputs));
            *last = (*last).max((declared.at, inputs));
        }
        let mut all: BTreeMap<(u16, u32), Inputs> = BTreeMap::new();
        for (source, lane, inputs) in counted.chain(newest.into_values().map(|(_, inputs)| inputs)) {
            let range = all.entry((source, lane)).or_insert(Inputs::NONE);
            *range = range.and(inputs);
        }
        let topic = |source: u16| plan.sources[usize::from(source)].topic.clone();
        let some = all.into_iter().filter(|(_, range)| !range.is_empty());
        some.map(|((source, lane), range)| (topic(source), lane, range.first, range.last)).collect()
    }

    /// What came of the records of streams.
    pub(crate) fn accounts(&self) -> &Accounts {
        &self.accounts
    }

    /// Starts of the panes from `start` on.
    pub(crate) fn panes_from(&self, start: Micros) -> impl Iterator<Item = Micros> {
        self.panes.range(start..).map(|(&pane, _)| pane)
    }

    /// How often traffic has changed.
    pub(crate) fn changes(&self) -> u64 {
        self.changes
    }

    /// How many bytes are kept, about.
    pub(crate) fn bytes(&self) -> usize {
        let slots = self.panes.values().flat_map(BTreeMap::values);
        let names = self.groups.iter().map(|group| group.bytes()).sum::<usize>();
        slots.map(|kept| kept.counted.bytes() + ENTRY_BYTES).sum::<usize>() + names + self.accounts.bytes()
    }

    /// Moves panes to disk, the oldest first, until so many bytes of memory are free again or none is left to move;
    /// returns how many are.
    pub(crate) fn put_away(&mut self, spill: &Arc<dyn Spill>, wanted: usize) -> usize {
        let mut gained = 0;
        for kept in self.panes.values_mut().flat_map(BTreeMap::values_mut) {
            if gained >= wanted {
                break;
            }
            gained += kept.counted.put_away(spill);
        }
        gained
    }

    /// Lets lanes share what is kept of traffic before one time, and of labels that came in time before another. Only
    /// for lanes that say everything once: of what they share none can be replaced any more.
    pub(crate) fn share(&mut self, plan: &Plan, traffic_before: Micros, quality_before: Micros) {
        let (traffic, quality) = self.shared_upto.unwrap_or((Micros::MIN, Micros::MIN));
        self.shared_upto = Some((traffic.max(traffic_before), quality.max(quality_before)));
        for (_, slots) in range_mut(&mut self.panes, traffic, traffic_before) {
            share_part(plan, slots, 0, SealedContent::Traffic, |counted| match counted {
                SealedContent::Traffic(sealed) => Some(sealed),
                _ => None,
            });
        }
        for (_, slots) in range_mut(&mut self.panes, quality, quality_before) {
            share_part(plan, slots, 1, SealedContent::InTime, |counted| match counted {
                SealedContent::InTime(sealed) => Some(sealed),
                _ => None,
            });
        }
    }

    /// Forgets traffic before one time and labels before another. A declared share stays until one after it is in
    /// force.
    pub(crate) fn release(&mut self, plan: &Plan, traffic_before: Micros, quality_before: Micros) {
        self.accounts.release(plan, traffic_before, quality_before);
        let (traffic, quality) = (self.whole_from(true), self.whole_from(false));
        self.whole_from = Some((traffic.max(traffic_before), quality.max(quality_before)));
        for (&pane, slots) in self.panes.range_mut(..traffic_before.max(quality_before)) {
            slots.retain(|_, kept| match kept.counted {
                SealedContent::Traffic(_) | SealedContent::Pairs(_) => pane >= traffic_before,
                SealedContent::InTime(_)
                | SealedContent::Late(_)
                | SealedContent::Corrected(_)
                | SealedContent::PairsInTime(_)
                | SealedContent::PairsLate(_) => pane >= quality_before,
                SealedContent::Exposure(..) | SealedContent::Intake(_) => true,
            });
        }
        let before = traffic_before.min(quality_before);
        self.release_shares(before.saturating_sub(plan.share_reach().unwrap_or(0)));
        self.panes.retain(|_, slots| !slots.is_empty());
        self.groups.retain(|group| Arc::strong_count(group) > 1);
        self.inputs = self.inputs.split_off(&traffic_before.min(quality_before));
    }

    /// Of the shares declared before a time, the last of each group is all that a window after it can need.
    fn release_shares(&mut self, before: Micros) {
        let mut later = BTreeSet::new();
        for slots in self.panes.range_mut(..before).rev().map(|(_, slots)| slots) {
            let declared = slots.keys().filter(|slot| slot.3 == EXPOSURE);
            let here: BTreeSet<_> = declared.map(|(group, ..)| Arc::clone(group)).collect();
            slots.retain(|(group, _, _, part), _| *part != EXPOSURE || !later.contains(group));
            later.extend(here);
        }
    }
}

/// When a share was declared that counts in a window up to `end`. Looks are whole up to a pane's end, and so long after
/// them every stream has passed them.
fn in_force(plan: &Plan, end: Micros) -> Range<Micros> {
    let Some(holds) = plan.share_holds() else { return Micros::MIN..end };
    let known = plan.time.pane_of(end.saturating_sub(holds));
    known.saturating_sub(holds)..known
}

/// The entries of a map in `[start, end)`, which may be empty.
fn range_mut<K: Ord + Copy, V>(map: &mut BTreeMap<K, V>, start: K, end: K) -> impl Iterator<Item = (&K, &mut V)> {
    map.range_mut(start.min(end)..end)
}

/// Adds up what several lanes counted of one part of each group.
fn share_part<T: Cell + Seal>(
    plan: &Plan,
    slots: &mut BTreeMap<PartialKey, KeptPartial>,
    part: u8,
    as_counted: fn(Sealed<T>) -> SealedContent,
    of_part: fn(&SealedContent) -> Option<&Sealed<T>>,
) {
    let mut of_group: BTreeMap<Arc<GroupKey>, Vec<PartialKey>> = BTreeMap::new();
    for slot in slots.keys().filter(|slot| slot.3 == part) {
        of_group.entry(Arc::clone(&slot.0)).or_default().push(slot.clone());
    }
    for mut of_lanes in of_group.into_values().filter(|of_lanes| of_lanes.len() > 1) {
        let mut all = T::new(plan);
        let mut upto = i64::MIN;
        for kept in of_lanes.iter().filter_map(|slot| slots.remove(slot)) {
            upto = upto.max(kept.upto);
            of_part(&kept.counted).iter().for_each(|sealed| sealed.add_to(&mut all));
        }
        slots.insert(of_lanes.swap_remove(0), KeptPartial { upto, counted: as_counted(Sealed::new(&all)) });
    }
}

fn merge<'a, T: Cell + Seal + 'a>(
    plan: &Plan,
    cells: impl Iterator<Item = (&'a GroupKey, &'a Sealed<T>)>,
) -> Groups<T> {
    let mut groups: Groups<T> = Groups::new();
    for (key, cell) in cells {
        let slot = groups.slot(key, plan);
        cell.add_to(groups.cell(slot));
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::EventKind;
    use crate::plan::{Corrections, Format, Mapping, QualityPlan, SourcePlan, Task};
    use crate::scan::frame::DeclaredShare;

    fn declared(upto: i64, share: f64) -> Partial {
        let group = GroupKey { model: "m".to_owned(), version: "v2".to_owned(), segment: Vec::new() };
        let body = Body::Exposure(DeclaredShare { at: 1, share });
        Partial { lane: 0, source: 0, pane: 0, group, upto, body, inputs: Inputs::of(0) }
    }

    #[test]
    fn nothing_is_replaced_by_what_was_computed_from_less_of_the_log() {
        let mut store = PaneStore::default();
        assert!(store.put(declared(10, 0.1)));
        assert!(!store.put(declared(20, 0.1)), "it says the same");
        assert!(!store.put(declared(15, 0.5)), "it is older than what said the same");
        let plan = crate::verdict::rollout::tests::plan("AUTO", crate::plan::RolloutPlan::default());
        assert_eq!(store.declared_share(&plan, "m", "v2", 2), Some(0.1));
        assert!(store.put(declared(25, 0.5)));
        assert_eq!(store.declared_share(&plan, "m", "v2", 2), Some(0.5));
    }

    #[test]
    fn corrected_labels_stand_for_those_in_time_of_their_lane_and_group() {
        let plan = crate::verdict::rollout::tests::plan("AUTO", crate::plan::RolloutPlan::default());
        let quality = QualityPlan {
            task: Task::Binary,
            width_bins: vec![10],
            score_edges: crate::baseline::cut::equal_width(0.0, 1.0, 20).edges,
            threshold: 0.5,
            wait: 10,
            horizon: 100,
            pending_max: 1_000,
            sample: 1.0,
            corrections: Corrections::Last,
        };
        let labels = |n: u64| Quality { n, ..Quality::new(&quality) };
        let plan = Plan { quality: Some(quality.clone()), ..plan };
        let mut store = PaneStore::default();
        store.put(partial(0, 10, Body::QualityInTime(labels(100))));
        store.put(partial(1, 10, Body::QualityInTime(labels(20))));
        let n = |store: &PaneStore, with_late| {
            store.quality(&plan, 10, 20, with_late).iter().map(|(_, quality)| quality.n).sum::<u64>()
        };
        assert_eq!((n(&store, true), store.has_late(10, 20)), (120, false));
        assert!(store.put(partial(0, 10, Body::QualityCorrected(labels(7)))));
        assert_eq!((n(&store, false), n(&store, true), store.has_late(10, 20)), (120, 27, true));
        store.put(partial(0, 10, Body::QualityLate(labels(3))));
        assert_eq!((n(&store, false), n(&store, true)), (120, 30));
        store.release(&plan, 20, 20);
        assert!(!store.has_late(10, 20));
    }

    fn partial(lane: u32, pane: Micros, body: Body) -> Partial {
        let group = GroupKey { model: "m".to_owned(), version: "v1".to_owned(), segment: Vec::new() };
        Partial { lane, source: 0, pane, group, upto: pane, body, inputs: Inputs::of(0) }
    }

    #[test]
    fn shares_declared_are_forgotten_once_later_ones_are_in_force() {
        let mut store = PaneStore::default();
        for pane in (0..1_000).step_by(10) {
            let share = DeclaredShare { at: pane + 1, share: 0.01 };
            assert!(store.put(partial(0, pane, Body::Exposure(share))));
        }
        let last = DeclaredShare { at: 1_005, share: 0.5 };
        assert!(store.put(partial(0, 1_000, Body::Exposure(last))));
        let plan = crate::verdict::rollout::tests::plan("AUTO", crate::plan::RolloutPlan::default());
        store.release(&plan, 900, 800);
        let kept: Vec<Micros> = store.panes_from(Micros::MIN).collect();
        assert_eq!(kept.first(), Some(&790), "the one in force before the first window that may be judged");
        assert_eq!(kept.len(), 1 + 20 + 1);
        assert_eq!(store.declared_share(&plan, "m", "v1", 810), Some(0.01));
        assert_eq!(store.declared_share(&plan, "m", "v1", 2_000), Some(0.5));
    }

    /// Shares are looked up every 4, in panes of 10: a look counts for 20.
    fn looked() -> Plan {
        let plan = crate::verdict::rollout::tests::plan("AUTO", crate::plan::RolloutPlan::default());
        let mapping = Mapping { looked_every: Some(4), ..Mapping::default() };
        let source = SourcePlan { kind: EventKind::Exposure, topic: "e".to_owned(), format: Format::Json, mapping };
        let window = crate::plan::WindowKind::Sliding { size: 100, slide: 100 };
        let time = crate::plan::TimePlan { pane: 10, window, ..plan.time };
        Plan { sources: vec![source], time, ..plan }
    }

    #[test]
    fn looks_count_once_all_of_their_time_are_there_and_for_as_long_as_they_hold() {
        let (plan, mut store) = (looked(), PaneStore::default());
        assert_eq!(plan.share_holds(), Some(20));
        for (at, share) in [(3, 0.1), (7, 0.2), (12, 0.2), (18, 0.3)] {
            let body = Body::Exposure(DeclaredShare { at, share });
            assert!(store.put(Partial { upto: at, ..partial(0, at / 10 * 10, body) }));
        }
        let declared = |end: Micros| store.declared_share(&plan, "m", "v1", end);
        assert_eq!([29, 30, 39, 40].map(declared), [None, Some(0.2), Some(0.2), Some(0.3)], "of whole panes");
        assert_eq!([50, 59, 60].map(declared), [Some(0.3), Some(0.3), None], "18 is 20 before 38");
        let looks = store.share_looks(&plan, "m", "v1", 40).expect("somebody looks");
        let seen: Vec<Micros> = looks.seen.iter().map(|look| look.at).collect();
        assert_eq!((seen, looks.until, looks.holds), (vec![7, 18], 20, 20), "the last of each pane");
        let plan = Plan { sources: Vec::new(), ..plan };
        assert_eq!(store.share_looks(&plan, "m", "v1", 40), None, "nobody looks");
        assert_eq!(store.declared_share(&plan, "m", "v1", 9_000), Some(0.3), "what was said once stands");
    }

    #[test]
    fn looks_are_kept_for_every_window_that_may_ask_for_them() {
        let (plan, mut store) = (looked(), PaneStore::default());
        let every = plan.time.every();
        for at in (5..every + 1_000).step_by(10) {
            let body = Body::Exposure(DeclaredShare { at, share: 0.1 });
            assert!(store.put(Partial { upto: at, ..partial(0, at / 10 * 10, body) }));
        }
        let asked = |store: &PaneStore| store.share_looks(&plan, "m", "v1", every + 500).expect("somebody looks");
        let before = asked(&store);
        store.release(&plan, every + 490, every + 490);
        assert_eq!(asked(&store), before);
        assert_eq!(before.seen.first().map(|look| look.at), Some(465));
        assert!(store.panes_from(Micros::MIN).next().is_some_and(|pane| pane > 400), "older ones are forgotten");
    }

    #[test]
    fn a_judgement_names_what_it_used() {
        let mut store = PaneStore::default();
        let mut put = |source: u16, pane: Micros, body: Body, (first, last): (i64, i64)| {
            assert!(store.put(Partial { source, inputs: Inputs { first, last }, ..partial(0, pane, body) }));
        };
        let share = |at: Micros| Body::Exposure(DeclaredShare { at, share: 0.1 });
        put(0, 10, Body::Traffic(Traffic::new(&crate::plan::Columns::default())), (5, 9));
        put(1, 10, Body::QualityInTime(Quality::default()), (2, 3));
        put(1, 10, Body::QualityLate(Quality::default()), (7, 8));
        [(0, 4), (10, 6), (30, 8)].into_iter().for_each(|(at, offset)| put(2, at, share(at + 1), (offset, offset)));
        let plan = crate::verdict::rollout::tests::plan("AUTO", crate::plan::RolloutPlan::default());
        let source = |topic: &str| SourcePlan {
            kind: EventKind::Prediction,
            topic: topic.to_owned(),
            format: Format::Json,
            mapping: Mapping::default(),
        };
        let plan = Plan { sources: ["p", "o", "e"].map(source).to_vec(), ..plan };
        let used = |with_labels| store.offsets(&plan, 10, 20, with_labels);
        let at = |topic: &str, first, last| (topic.to_owned(), 0, first, last);
        assert_eq!(used(false), [at("p", 5, 9), at("e", 6, 6)], "traffic, and the share in force");
        assert_eq!(used(true), [at("p", 5, 9), at("o", 2, 3), at("e", 6, 6)], "labels that came in time, too");
    }

    #[test]
    fn the_same_again_is_no_change_and_earlier_ones_are_stale() {
        let body = || Body::Traffic(Traffic::new(&crate::plan::Columns::default()));
        let mut store = PaneStore::default();
        assert!(store.put(partial(0, 10, body())));
        assert!(!store.put(partial(0, 10, body())));
        let mut more = Traffic::new(&crate::plan::Columns::default());
        more.rates.requests = 1;
        assert!(!store.put(Partial { upto: 9, ..partial(0, 10, Body::Traffic(more.clone())) }));
        assert!(store.put(Partial { upto: 11, ..partial(0, 10, Body::Traffic(more)) }));
        assert_eq!(store.changes(), 2);
        assert!(store.bytes() > 0);
    }
}
