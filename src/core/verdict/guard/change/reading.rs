//! Traffic of two versions in one window: how likely it is that each alternative of a sensor, rather than chance, made
//! it.
//!
//! Every reading conditions on the pooled window (`infer::contrast`), so what the hour, the season or an incident does
//! to both versions is no evidence.
//!
//! **State**: none but what earlier windows looked like (`detector::Before`). **Cost**: normal scores once per column
//! and window, about a microsecond per alternative.

use std::cell::OnceCell;
use std::sync::Arc;

use crate::infer::contrast::{VersionSplit, difference, log_e_rate, log_e_tilt, normal_scores, squared};
use crate::metric::alike::settled;
use crate::plan::{ColumnRole, GuardPlan};
use crate::summary::histogram::Cut;
use crate::summary::{Category, Quality, Refined, Traffic};
use crate::verdict::guard::change::detector::Before;
use crate::verdict::guard::change::labels;
use crate::verdict::guard::change::sensor::{OF_LATENCY, Place, SensorKind};
use crate::verdict::guard::rails::noise::LatencyHistory;
use crate::verdict::guard::window::Pair;

/// Log odds ratios of a rate that must not rise.
/// Origin: choice; odds from a third more to tenfold.
pub(super) const WORSE: [f64; 4] = [0.3, 0.7, 1.4, 2.3];
/// Log odds ratios of a share that should stay where it is.
/// Origin: choice; odds from a third more or less to threefold.
pub(super) const OTHER_SHARE: [f64; 6] = [-1.2, -0.6, -0.3, 0.3, 0.6, 1.2];
/// Shifts of a distribution, in standard deviations.
/// Origin: choice; from the least shift that a day of windows can show to a whole deviation.
pub(super) const SHIFTS: [f64; 8] = [-1.0, -0.5, -0.25, -0.12, 0.12, 0.25, 0.5, 1.0];
/// Tilts of the squared score: `(1 - 1/s^2) / 2` for a spread that is `s` times as wide, from 0.67 to 1.6.
/// Origin: choice; see above.
pub(super) const SPREADS: [f64; 7] = [-0.6, -0.25, -0.1, 0.06, 0.12, 0.2, 0.3];
/// The same for answers that may differ a little: shifts and tilts beyond the tolerated one.
/// Origin: choice; standard errors from what is just worth a bet to what is sure.
pub(super) const BEYOND: [f64; 3] = [1.4, 2.2, 4.0];
/// Latency quantiles, and what their exceedances are multiplied by (log odds ratios).
/// Origin: choice; the usual, the slow and the slowest requests.
pub(super) const QUANTILES: [f64; 3] = [0.5, 0.9, 0.99];
/// Origin: choice; rarer exceedances move further for the same change of latency.
pub(super) const SLOWER: [[f64; 3]; 3] = [[0.25, 0.5, 1.0], [0.3, 0.7, 1.3], [0.5, 1.0, 2.0]];
/// Categories that are told apart; the last slot holds those that the reference does not know.
/// Origin: choice; a bound on state: rarer categories share a slot.
pub(super) const SLOTS: usize = 16;

/// What one sensor saw in one window.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SensorReading {
    /// `ln e` of each alternative.
    pub(crate) log_es: Vec<f64>,
    /// The candidate's number less the baseline's, for people.
    pub(crate) difference: f64,
    /// Events of the candidate and the baseline.
    pub(crate) n: (u64, u64),
    /// What the evidence is divided by at least.
    pub(crate) noise: f64,
}

/// Values of one column by normal score: where they lie, and how far from the middle.
struct Scored {
    location: Vec<(VersionSplit, f64)>,
    spread: Vec<(VersionSplit, f64)>,
    n: (u64, u64),
}

/// One window of two versions.
pub(crate) struct Sight<'a> {
    guard: &'a GuardPlan,
    cuts: &'a [Arc<Cut>],
    pair: Pair<'a, Traffic>,
    history: &'a LatencyHistory,
    scored: Vec<OnceCell<Option<Scored>>>,
}

impl<'a> Sight<'a> {
    pub(crate) fn new(
        guard: &'a GuardPlan,
        cuts: &'a [Arc<Cut>],
        pair: Pair<'a, Traffic>,
        history: &'a LatencyHistory,
    ) -> Self {
        let scored = pair.candidate.numeric.iter().map(|_| OnceCell::new()).collect();
        Self { guard, cuts, pair, history, scored }
    }

    /// What a sensor sees; `None` when the window says nothing about it.
    pub(crate) fn read(&self, look: SensorKind, before: &mut Before) -> Option<SensorReading> {
        let Pair { candidate, baseline } = self.pair;
        match look {
            SensorKind::Failures => {
                let of = |traffic: &Traffic| (traffic.rates.errors, traffic.rates.requests);
                rate(of(candidate), of(baseline), &WORSE)
            }
            SensorKind::Slower(q) => {
                let threshold = before.thresholds_ms?[q];
                let slower = candidate.slower_than(threshold * (1.0 + self.guard.latency));
                rate(slower, baseline.slower_than(threshold), &SLOWER[q])
            }
            SensorKind::Missing(place) => rate(missing(candidate, place), missing(baseline, place), &OTHER_SHARE),
            SensorKind::Location(index, role) => self.location(index, role),
            SensorKind::Spread(index, role) => self.spread(index, role),
            SensorKind::Categories(index) => {
                categories(self.guard, &candidate.categorical[index], &baseline.categorical[index])
            }
            SensorKind::Moved(index, moment, place) => {
                let scored = self.scored(index)?;
                let (difference, variance) = difference([&scored.location, &scored.spread][moment])?;
                let usual = &mut before.usual[place][moment];
                let (n_c, n_b) = (float(scored.n.0), float(scored.n.1));
                let weight = n_c * n_b / (n_c + n_b);
                let noise = if place == OF_LATENCY { usual.noise(weight, self.history.of_the_median()) } else { 1.0 };
                let log_es = usual.update((difference, variance), weight).to_vec();
                Some(SensorReading { log_es, difference, n: scored.n, noise })
            }
            SensorKind::Residual | SensorKind::Loss => None,
        }
    }

    fn scored(&self, index: usize) -> Option<&Scored> {
        let score = || {
            let (candidate, baseline) = (&self.pair.candidate.numeric[index], &self.pair.baseline.numeric[index]);
            let n = (candidate.n(), baseline.n());
            (n.0.min(n.1) >= self.guard.n_min).then(|| {
                let bins = Refined::of(&self.cuts[index], [candidate, baseline]);
                let [candidate, baseline] = settled(&self.cuts[index], &bins);
                let location = normal_scores(&candidate, &baseline);
                Scored { spread: squared(&location), location, n }
            })
        };
        self.scored[index].get_or_init(score).as_ref()
    }

    /// Between normal distributions a shift by `d` has a population stability index of `d^2`.
    fn location(&self, index: usize, role: ColumnRole) -> Option<SensorReading> {
        let edge = self.guard.answers.sqrt();
        self.tilts(index, role, |scored| &scored.location, &SHIFTS, [edge, -edge])
    }

    /// Between normal distributions a spread `s` has a population stability index of `(s^2 + 1/s^2) / 2 - 1`.
    fn spread(&self, index: usize, role: ColumnRole) -> Option<SensorReading> {
        let psi = self.guard.answers;
        let wide = 1.0 + psi + (psi * (psi + 2.0)).sqrt();
        self.tilts(index, role, |scored| &scored.spread, &SPREADS, [(1.0 - 1.0 / wide) / 2.0, (1.0 - wide) / 2.0])
    }

    fn tilts(
        &self,
        index: usize,
        role: ColumnRole,
        of: fn(&Scored) -> &Vec<(VersionSplit, f64)>,
        thetas: &[f64],
        tolerated: [f64; 2],
    ) -> Option<SensorReading> {
        let scored = self.scored(index)?;
        let groups = of(scored);
        let beyond = |edge: f64| {
            let at_edge = log_e_tilt(groups, edge);
            BEYOND.map(|factor| log_e_tilt(groups, edge * factor) - at_edge)
        };
        let log_es = match role {
            ColumnRole::Score => tolerated.into_iter().flat_map(beyond).collect(),
            _ => thetas.iter().map(|&theta| log_e_tilt(groups, theta)).collect(),
        };
        let difference = difference(groups).map_or(0.0, |(difference, _)| difference);
        Some(SensorReading { log_es, difference, n: scored.n, noise: 1.0 })
    }
}

impl SensorKind {
    /// What a sensor sees in a window's labels.
    pub(crate) fn labels(self, guard: &GuardPlan, pair: Pair<'_, Quality>) -> Option<SensorReading> {
        match self {
            Self::Residual => labels::residual(guard, pair),
            Self::Loss => labels::loss(guard, pair),
            _ => None,
        }
    }
}

/// A reading of (marked, all) on both sides.
fn rate((x_c, n_c): (u64, u64), (x_b, n_b): (u64, u64), thetas: &[f64]) -> Option<SensorReading> {
    let marked = VersionSplit { candidate: x_c, baseline: x_b };
    let other = VersionSplit { candidate: n_c - x_c, baseline: n_b - x_b };
    (n_c > 0 && n_b > 0).then(|| SensorReading {
        log_es: log_e_rate(marked, other, thetas),
        difference: float(x_c) / float(n_c) - float(x_b) / float(n_b),
        n: (n_c, n_b),
        noise: 1.0,
    })
}

fn missing(traffic: &Traffic, place: Place) -> (u64, u64) {
    match place {
        Place::Numeric(index) => {
            let histogram = &traffic.numeric[index];
            (histogram.missing + histogram.nan, histogram.rows())
        }
        Place::Categorical(index) => {
            let category = &traffic.categorical[index];
            (category.missing, category.n() + category.missing)
        }
    }
}

fn categories(guard: &GuardPlan, candidate: &Category, baseline: &Category) -> Option<SensorReading> {
    let (of_candidate, of_baseline) = (slots(candidate), slots(baseline));
    let (n_c, n_b): (u64, u64) = (of_candidate.iter().sum(), of_baseline.iter().sum());
    if n_c < guard.n_min || n_b < guard.n_min {
        return None;
    }
    let one_against_the_rest = |(&x_c, &x_b): (&u64, &u64)| rate((x_c, n_c), (x_b, n_b), &OTHER_SHARE);
    let rates: Vec<SensorReading> = of_candidate.iter().zip(&of_baseline).filter_map(one_against_the_rest).collect();
    Some(SensorReading {
        difference: rates.iter().map(|rate| rate.difference.abs()).sum::<f64>() / 2.0,
        log_es: rates.into_iter().flat_map(|rate| rate.log_es).collect(),
        n: (n_c, n_b),
        noise: 1.0,
    })
}

/// Counts by slot: categories of the reference in turn, the unseen ones last; without a reference, by hash.
fn slots(category: &Category) -> [u64; SLOTS] {
    let mut slots = [0; SLOTS];
    for (index, count) in category.known.iter().enumerate() {
        slots[index % (SLOTS - 1)] += count;
    }
    for (&hash, (_, count)) in &category.unseen {
        let slot = if category.known.is_empty() { hash % (SLOTS as u64 - 1) } else { SLOTS as u64 - 1 };
        slots[usize::try_from(slot).expect("a slot")] += count;
    }
    slots[SLOTS - 1] += category.other;
    slots
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^53")]
fn float(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_that_rises_is_evidence_and_one_that_stays_is_none() {
        let risen = rate((6, 100), (4, 400), &WORSE).unwrap();
        assert!(risen.log_es.iter().any(|log_e| *log_e > 2.0), "{risen:?}");
        assert!((risen.difference - 0.05).abs() < 1e-12 && risen.n == (100, 400));
        let same = rate((10, 1000), (40, 4000), &WORSE).unwrap();
        assert!(same.log_es.iter().all(|log_e| *log_e < 0.0), "{same:?}");
        assert_eq!(rate((0, 0), (40, 4000), &WORSE), None);
    }

    #[test]
    fn unseen_categories_share_the_last_slot_and_without_a_reference_names_are_spread() {
        let mut known = Category::new(2);
        known.known = vec![5, 7];
        known.add_unseen("new", 3);
        known.other = 2;
        let slots_of_known = slots(&known);
        assert_eq!((slots_of_known[0], slots_of_known[1], slots_of_known[SLOTS - 1]), (5, 7, 5));
        let mut unknown = Category::new(0);
        ["a", "b", "c"].into_iter().for_each(|name| unknown.add_unseen(name, 4));
        assert_eq!(slots(&unknown)[SLOTS - 1], 0);
        assert_eq!(slots(&unknown).iter().sum::<u64>(), 12);
    }

    #[test]
    fn a_category_that_gains_is_found_whatever_the_others_do() {
        let of = |counts: [u64; 3]| Category { known: counts.to_vec(), ..Category::new(3) };
        let reading = categories(&GuardPlan::default(), &of([40, 20, 40]), &of([200, 120, 80])).unwrap();
        assert!((reading.difference - 0.2).abs() < 1e-12, "total variation {}", reading.difference);
        let best = reading.log_es.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        assert!(best > 4.0, "{best}");
        assert_eq!(reading.log_es.len(), SLOTS * OTHER_SHARE.len());
    }
}
