//! All guardrails, of all traffic and of segments, under one error budget.
//!
//! `E = 1/2 sum over g of v_g E_g + 1/2 1/k sum over segments and g of v_g E_g`, with `sum v_g = 1` and `k` places for
//! segments, free ones counting 1: an average of e-processes with weights fixed beforehand is an e-process whatever the
//! dependence between them, so `P(E ever >= 1 / alpha) <= alpha` for all guardrails, segments and looks at once.
//! Without segments the first half is everything.
//!
//! A segment takes a free place once it has had `n_min` events of the candidate, those with the most traffic first, and
//! keeps it: its evidence starts then at 1. Segments borrow thresholds from their own earlier windows and the design
//! effect from all traffic, and need one more window than all traffic does, so that even when everything fails
//! everywhere nothing fires before the fewest windows.
//!
//! **State**: 67 numbers per guardrail and view; about 1.3 KB as JSON for each.
//! **Cost**: three `infer::hx` updates per guardrail, view and window.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::event::Micros;
use crate::plan::{GuardPlan, Plan};
use crate::summary::{Quality, Traffic};
use crate::verdict::guard::number::e_value;
use crate::verdict::guard::rails::entities::Alike;
use crate::verdict::guard::rails::last_look::LastLook;
use crate::verdict::guard::rails::noise::{LatencyHistory, RailNoise};
use crate::verdict::guard::rails::rail::{Hypothesis, Rail, Thresholds, rails};
use crate::verdict::guard::rails::record::{Arms, RailEvidence, RailTerms};
use crate::verdict::guard::window::{Both, Learnt, Pair, Shown};

/// Segments that wait for a place: a bound on state only.
/// Origin: choice; a bound on state.
const WAITING_MAX: usize = 256;

/// The guardrails of a plan.
#[derive(Debug, Clone)]
pub(crate) struct Rails {
    pub(crate) guard: GuardPlan,
    pub(crate) of: Vec<(Rail, f64)>,
    /// Places for segments; none without segments.
    pub(crate) places: u32,
}

/// What is known about all of them.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct RailMemory {
    pub(crate) alike: Alike,
    pub(crate) last_look: LastLook,
    all: ViewRails,
    segments: BTreeMap<String, ViewRails>,
    waiting: BTreeMap<String, u64>,
}

impl RailMemory {
    /// Notes when the first window of every view began.
    fn begin(&mut self, start: Micros) {
        let views = std::iter::once(&mut self.all).chain(self.segments.values_mut());
        for view in views.filter(|view| !view.records.is_empty()) {
            view.since.get_or_insert(start);
        }
    }
}

/// Guardrails of one view.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
struct ViewRails {
    records: Vec<RailEvidence>,
    thresholds: Thresholds,
    noise: RailNoise,
    /// Start of the first window.
    #[serde(default)]
    since: Option<Micros>,
}

/// One guardrail of one view, with what is known about it.
#[derive(Clone, Copy)]
pub(crate) struct ViewRail<'a> {
    pub(crate) terms: RailTerms<'a>,
    /// Empty for all traffic.
    pub(crate) segment: &'a str,
    pub(crate) record: &'a RailEvidence,
    /// Start of the first window.
    pub(crate) since: Option<Micros>,
}

impl Rails {
    pub(super) fn of_plan(plan: &Plan, guard: &GuardPlan) -> Self {
        let places = if plan.segments.is_empty() { 0 } else { guard.segments_max };
        Self { guard: guard.clone(), of: rails(plan), places }
    }

    fn terms(&self, segment: &str, (rail, weight): (Rail, f64)) -> RailTerms<'_> {
        let half = if self.places == 0 { 1.0 } else { 0.5 };
        let (weight, windows) = match segment {
            "" => (weight * half, self.guard.windows_min),
            _ => (weight * half / f64::from(self.places), self.guard.windows_min + 1),
        };
        RailTerms { guard: &self.guard, rail, weight, windows_min: windows }
    }

    /// Learns from the traffic of a window what all guards are shown with it.
    pub(crate) fn learn_traffic(
        &self,
        watched: &mut RailMemory,
        both: &Both<'_, Traffic>,
        pair: Pair<'_, Traffic>,
        history: &LatencyHistory,
    ) -> Learnt {
        let inflation = watched.alike.measured().with_noise(|rail| watched.all.noise.factor(rail, pair, history));
        let effect = watched.alike.effects(&self.guard)(Rail::Failed);
        watched.alike.traffic(pair);
        self.admit(watched, both);
        Learnt { inflation, effect, segments: watched.segments.keys().cloned().collect() }
    }

    /// Learns from the labels of a window what all guards are shown with them.
    pub(crate) fn learn_labels(&self, watched: &mut RailMemory, pair: Pair<'_, Quality>) -> Learnt {
        let inflation = watched.alike.measured();
        watched.alike.labels(pair);
        Learnt { inflation, effect: watched.alike.effects(&self.guard)(Rail::Loss), segments: Vec::new() }
    }

    /// Takes the traffic of a window.
    pub(super) fn take_traffic(&self, watched: &mut RailMemory, shown: &Shown<'_, '_, Traffic>) {
        let (both, pair, history) = (shown.both, shown.pair, shown.history);
        let effect = watched.alike.effects(&self.guard);
        let (guard, proves) = (&self.guard, !shown.scene.judged.trust.is_untrusted());
        watched.last_look.update(&self.of, guard, pair, &watched.all.thresholds, &effect);
        each_view(watched, both, |segment, view, pair| {
            let (thresholds, noise) = (view.thresholds, view.noise.clone());
            let inflation = |rail| (effect(rail), noise.factor(rail, pair, history));
            self.look(view, (segment, proves), &inflation, |rail, asked| rail.traffic(guard, asked, pair, &thresholds));
            view.noise.update(guard, pair, &thresholds);
            view.thresholds.follow_traffic(pair.baseline);
        });
        watched.begin(shown.scene.judged.start);
    }

    /// Takes the labels of a window; whether it `proves` anything for the candidate.
    pub(in crate::verdict::guard) fn take_labels(
        &self,
        watched: &mut RailMemory,
        both: &Both<'_, Quality>,
        proves: bool,
    ) {
        let effect = watched.alike.effects(&self.guard);
        let guard = &self.guard;
        each_view(watched, both, |segment, view, pair| {
            let thresholds = view.thresholds;
            let inflation = |rail| (effect(rail), 1.0);
            self.look(view, (segment, proves), &inflation, |rail, asked| rail.labels(guard, asked, pair, &thresholds));
            view.thresholds.follow_labels(pair.baseline);
        });
    }

    /// Begins anew with some guardrails.
    pub(super) fn forget(&self, watched: &mut RailMemory, concerned: impl Fn(Rail) -> bool) {
        let segments = watched.segments.iter_mut().map(|(segment, view)| (segment.as_str(), view));
        for (segment, view) in std::iter::once(("", &mut watched.all)).chain(segments) {
            for (&rail, record) in self.of.iter().zip(&mut view.records).filter(|(rail, _)| concerned(rail.0)) {
                *record = RailEvidence::new(self.terms(segment, rail));
            }
        }
    }

    fn look(
        &self,
        view: &mut ViewRails,
        (segment, proves): (&str, bool),
        inflation: &dyn Fn(Rail) -> (f64, f64),
        arms: impl Fn(Rail, Hypothesis) -> Option<Arms>,
    ) {
        for (index, &rail) in self.of.iter().enumerate() {
            let terms = self.terms(segment, rail);
            if view.records.len() == index {
                view.records.push(RailEvidence::new(terms));
            }
            if let Some((margin, no_margin)) = arms(rail.0, Hypothesis::Margin).zip(arms(rail.0, Hypothesis::NoMargin))
            {
                let (deff, noise) = inflation(rail.0);
                view.records[index].update(terms, (margin, no_margin), (deff, noise), proves);
            }
        }
    }

    /// Gives free places to the segments with the most traffic among those that have had enough.
    fn admit(&self, watched: &mut RailMemory, both: &Both<'_, Traffic>) {
        let places = usize::try_from(self.places).unwrap_or(usize::MAX);
        if watched.segments.len() >= places {
            return;
        }
        for (segment, traffic) in both.segments().filter(|(segment, _)| !watched.segments.contains_key(*segment)) {
            if watched.waiting.len() < WAITING_MAX || watched.waiting.contains_key(segment) {
                *watched.waiting.entry(segment.to_owned()).or_default() += traffic.rates.requests;
            }
        }
        let ready = watched.waiting.iter().filter(|(_, n)| **n >= self.guard.n_min);
        let mut ready: Vec<(u64, String)> = ready.map(|(segment, n)| (*n, segment.clone())).collect();
        ready.sort_by(|(n, a), (m, b)| m.cmp(n).then_with(|| a.cmp(b)));
        for (_, segment) in ready.into_iter().take(places - watched.segments.len()) {
            watched.waiting.remove(&segment);
            watched.segments.insert(segment, ViewRails::default());
        }
        if watched.segments.len() >= places {
            watched.waiting.clear();
        }
    }

    /// Every guardrail that is watched, all traffic first.
    pub(crate) fn watches<'a>(&'a self, watched: &'a RailMemory) -> impl Iterator<Item = ViewRail<'a>> {
        let segments = watched.segments.iter().map(|(segment, view)| (segment.as_str(), view));
        std::iter::once(("", &watched.all)).chain(segments).flat_map(move |(segment, view)| {
            let of = move |(&rail, record)| ViewRail {
                terms: self.terms(segment, rail),
                segment,
                record,
                since: view.since,
            };
            self.of.iter().zip(&view.records).map(of)
        })
    }

    /// The weighted mean of all guardrails' evidence, what has none counting 1.
    pub(crate) fn total(&self, watched: &RailMemory, asked: Hypothesis) -> f64 {
        let of = |watch: ViewRail<'_>| (watch.terms.weight * e_value(watch.log_e(asked)), watch.terms.weight);
        let (e, weight) = self.watches(watched).map(of).fold((0.0, 0.0), |(e, w), (f, v)| (e + f, w + v));
        e + (1.0 - weight).max(0.0)
    }

    /// Remembers to gather evidence of safety anew, or that this is no longer needed.
    pub(crate) fn remember(&self, watched: &mut RailMemory, doubt: bool) {
        let segments = watched.segments.iter_mut().map(|(segment, view)| (segment.as_str(), view));
        for (segment, view) in std::iter::once(("", &mut watched.all)).chain(segments) {
            for (&rail, record) in self.of.iter().zip(&mut view.records) {
                if doubt { record.doubt(self.terms(segment, rail)) } else { record.trust() }
            }
        }
    }

    /// Guardrails that a candidate must be shown to keep before it passes. Refusals only count once there are some.
    pub(crate) fn required<'a>(&'a self, watched: &'a RailMemory) -> impl Iterator<Item = ViewRail<'a>> {
        let counts = |watch: &ViewRail<'_>| watch.terms.rail != Rail::Rejected || watch.record.tally.rare() > 0.0;
        self.watches(watched).filter(move |watch| watch.segment.is_empty() && counts(watch))
    }

    /// Whether every guardrail has been looked at: before that nothing is safe.
    pub(crate) fn is_complete(&self, watched: &RailMemory) -> bool {
        let looked_at = watched.all.records.iter().filter(|record| record.tally.windows > 0).count();
        looked_at == self.of.len()
    }
}

/// Visits all traffic and every segment that has a place, where both versions have events.
fn each_view<T>(
    watched: &mut RailMemory,
    both: &Both<'_, T>,
    mut visit: impl FnMut(&str, &mut ViewRails, Pair<'_, T>),
) {
    let segments = watched.segments.iter_mut().map(|(segment, view)| (segment.as_str(), view));
    for (segment, view) in std::iter::once(("", &mut watched.all)).chain(segments) {
        if let Some(pair) = both.pair(segment) {
            visit(segment, view, pair);
        }
    }
}
