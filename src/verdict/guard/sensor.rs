//! What a guard looks at: one thing that two versions should have in common, and the ways in which it may go wrong.
//!
//! A sensor turns the counts of one window into `ln e` for each of its alternatives ("parts"). All of them condition on the
//! pooled window (`infer::contrast`), so what the hour, the season or an incident does to both versions is no evidence.

use crate::infer::contrast::{Split, difference, log_e_rate, log_e_tilt, normal_scores, squared};
use crate::plan::{GuardPlan, Plan, Role};
use crate::summary::{Category, Histogram, Quality, Traffic};
use crate::verdict::guard::change::Before;
use crate::verdict::guard::moved::{self, Usual};
use crate::verdict::guard::{Pair, labels};

/// Log odds ratios of a rate that must not rise.
const WORSE: [f64; 4] = [0.3, 0.7, 1.4, 2.3];
/// Log odds ratios of a share that should stay where it is.
const OTHER_SHARE: [f64; 6] = [-1.2, -0.6, -0.3, 0.3, 0.6, 1.2];
/// Shifts of a distribution, in standard deviations.
const SHIFTS: [f64; 8] = [-1.0, -0.5, -0.25, -0.12, 0.12, 0.25, 0.5, 1.0];
/// Tilts of the squared score: `(1 - 1/s^2) / 2` for a spread that is `s` times as wide, from 0.67 to 1.6.
const SPREADS: [f64; 7] = [-0.6, -0.25, -0.1, 0.06, 0.12, 0.2, 0.3];
/// The same for answers that may differ a little: shifts and tilts beyond the tolerated one.
const BEYOND: [f64; 3] = [1.4, 2.2, 4.0];
/// Latency quantiles, and what their exceedances are multiplied by (log odds ratios).
pub(crate) const QUANTILES: [f64; 3] = [0.5, 0.9, 0.99];
const SLOWER: [[f64; 3]; 3] = [[0.25, 0.5, 1.0], [0.3, 0.7, 1.3], [0.5, 1.0, 2.0]];
/// Categories that are told apart; the last slot holds those that the reference does not know.
const SLOTS: usize = 16;

/// One thing that is looked at.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sensor {
    /// The metric that shows people what is meant.
    pub(crate) metric: &'static str,
    /// Column, or empty.
    pub(crate) column: String,
    /// Its share of the family.
    pub(crate) weight: f64,
    /// Position of its first part in the pool.
    pub(crate) first_part: usize,
    pub(crate) look: Look,
}

/// How it is looked at.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Look {
    Failures,
    Slower(usize),
    Missing(Place),
    /// Shape of a numeric column; answers are held against a tolerance, since another model may answer otherwise.
    Shape(usize, Role),
    Categories(usize),
    /// How the shape of a numeric column differs from the baseline's, compared with how it differed before; the second number
    /// says where that is remembered.
    Moved(usize, usize),
    /// Mean of score minus label.
    Residual,
    /// Mean squared error.
    Loss,
}

/// A column of the plan.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Place {
    Numeric(usize),
    Categorical(usize),
}

/// The sensors of a plan. Half of the family's weight is for what users feel (failures, latency, labels), half for columns.
pub(crate) fn sensors(plan: &Plan) -> Vec<Sensor> {
    let (mut felt, mut columns) = (Vec::new(), Vec::new());
    felt.push(("error_rate", String::new(), 1.0, Look::Failures));
    for (index, column) in plan.columns.numeric.iter().enumerate() {
        let name = || column.name.clone();
        match column.role {
            Role::Latency => {
                let quantiles = ["latency_p50", "latency_p90", "latency_p99"].into_iter().enumerate();
                felt.extend(quantiles.map(|(q, metric)| (metric, String::new(), 1.0, Look::Slower(q))));
                felt.push(("mean_shift", name(), 1.0, Look::Moved(index, 0)));
            }
            role => {
                columns.push(("mean_shift", name(), 0.75, Look::Shape(index, role)));
                if role == Role::Score {
                    columns.push(("mean_shift", name(), 0.75, Look::Moved(index, 1)));
                }
                columns.push(("missing_rate", name(), 0.25, Look::Missing(Place::Numeric(index))));
            }
        }
    }
    for (index, column) in plan.columns.categorical.iter().enumerate() {
        columns.push(("total_variation", column.name.clone(), 0.75, Look::Categories(index)));
        columns.push(("missing_rate", column.name.clone(), 0.25, Look::Missing(Place::Categorical(index))));
    }
    if plan.quality.is_some() {
        felt.push(("calibration_in_the_large", String::new(), 1.0, Look::Residual));
        felt.push(("brier", String::new(), 1.0, Look::Loss));
    }
    let share = if columns.is_empty() { 1.0 } else { 0.5 };
    let mut all = Vec::new();
    let mut first_part = 0;
    for family in [felt, columns] {
        let total: f64 = family.iter().map(|(_, _, weight, _)| weight).sum();
        for (metric, column, weight, look) in family {
            all.push(Sensor { metric, column, weight: weight / total * share, first_part, look });
            first_part += look.parts();
        }
    }
    all
}

impl Sensor {
    /// Share of the family of each alternative.
    pub(crate) fn part_weight(&self) -> f64 {
        self.weight / f64::from(u32::try_from(self.look.parts()).expect("few alternatives"))
    }

    /// Positions in the pool, each with this weight.
    pub(crate) fn parts_with(&self, weight: f64) -> impl Iterator<Item = (usize, f64)> + Clone + use<> {
        (self.first_part..self.first_part + self.look.parts()).map(move |part| (part, weight))
    }
}

impl Look {
    /// Number of alternatives.
    pub(crate) fn parts(self) -> usize {
        match self {
            Self::Failures => WORSE.len(),
            Self::Missing(_) => OTHER_SHARE.len(),
            Self::Slower(q) => SLOWER[q].len(),
            Self::Shape(_, Role::Score) => 4 * BEYOND.len(),
            Self::Shape(..) => SHIFTS.len() + SPREADS.len(),
            Self::Categories(_) => SLOTS * OTHER_SHARE.len(),
            Self::Moved(..) => 2 * moved::PARTS,
            Self::Residual | Self::Loss => labels::PARTS,
        }
    }

    /// `ln e` of each alternative from a window's traffic; `None` when the window says nothing about it.
    pub(crate) fn traffic(self, guard: &GuardPlan, pair: Pair<'_, Traffic>, before: &mut Before) -> Option<Vec<f64>> {
        let Pair { candidate, baseline } = pair;
        match self {
            Self::Failures => {
                let of = |traffic: &Traffic| (traffic.rates.errors, traffic.rates.requests);
                rate(of(candidate), of(baseline), &WORSE)
            }
            Self::Slower(q) => {
                let threshold = before.thresholds_ms?[q];
                let of = |traffic: &Traffic, ms: f64| (traffic.latency.n_above_ms(ms), traffic.latency.n());
                rate(of(candidate, threshold * (1.0 + guard.latency)), of(baseline, threshold), &SLOWER[q])
            }
            Self::Missing(place) => rate(missing(candidate, place), missing(baseline, place), &OTHER_SHARE),
            Self::Shape(index, role) => shape(guard, role, &candidate.numeric[index], &baseline.numeric[index]),
            Self::Categories(index) => categories(guard, &candidate.categorical[index], &baseline.categorical[index]),
            Self::Moved(index, place) => {
                let usual = &mut before.usual[place];
                moved(guard, usual, &candidate.numeric[index], &baseline.numeric[index])
            }
            Self::Residual | Self::Loss => None,
        }
    }

    /// The same from a window's labels.
    pub(crate) fn labels(self, guard: &GuardPlan, pair: Pair<'_, Quality>) -> Option<Vec<f64>> {
        match self {
            Self::Residual => labels::residual(guard, pair),
            Self::Loss => labels::loss(guard, pair),
            _ => None,
        }
    }
}

/// `ln e` of (marked, all) on both sides.
fn rate((x_c, n_c): (u64, u64), (x_b, n_b): (u64, u64), thetas: &[f64]) -> Option<Vec<f64>> {
    let marked = Split { candidate: x_c, baseline: x_b };
    let other = Split { candidate: n_c - x_c, baseline: n_b - x_b };
    (n_c > 0 && n_b > 0).then(|| log_e_rate(marked, other, thetas))
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

fn shape(guard: &GuardPlan, role: Role, candidate: &Histogram, baseline: &Histogram) -> Option<Vec<f64>> {
    if candidate.n() < guard.n_min || baseline.n() < guard.n_min {
        return None;
    }
    let shift = normal_scores(&candidate.counts, &baseline.counts);
    let spread = squared(&shift);
    if role != Role::Score {
        let of_shift = SHIFTS.iter().map(|&theta| log_e_tilt(&shift, theta));
        return Some(of_shift.chain(SPREADS.iter().map(|&theta| log_e_tilt(&spread, theta))).collect());
    }
    // Between normal distributions a shift by d has PSI d^2, and a spread s has PSI (s^2 + 1/s^2) / 2 - 1.
    let psi = guard.answers;
    let wide = 1.0 + psi + (psi * (psi + 2.0)).sqrt();
    let tolerated = [
        (&shift, psi.sqrt()),
        (&shift, -psi.sqrt()),
        (&spread, (1.0 - 1.0 / wide) / 2.0),
        (&spread, (1.0 - wide) / 2.0),
    ];
    let beyond = |(groups, edge): (&Vec<(Split, f64)>, f64)| {
        let at_edge = log_e_tilt(groups, edge);
        BEYOND.map(|factor| log_e_tilt(groups, edge * factor) - at_edge)
    };
    Some(tolerated.into_iter().flat_map(beyond).collect())
}

fn moved(guard: &GuardPlan, usual: &mut [Usual; 2], candidate: &Histogram, baseline: &Histogram) -> Option<Vec<f64>> {
    if candidate.n() < guard.n_min || baseline.n() < guard.n_min {
        return None;
    }
    let shift = normal_scores(&candidate.counts, &baseline.counts);
    let spread = squared(&shift);
    let of_shift = usual[0].update(difference(&shift)?);
    let of_spread = usual[1].update(difference(&spread)?);
    Some(of_shift.into_iter().chain(of_spread).collect())
}

fn categories(guard: &GuardPlan, candidate: &Category, baseline: &Category) -> Option<Vec<f64>> {
    let (of_candidate, of_baseline) = (slots(candidate), slots(baseline));
    let (n_c, n_b): (u64, u64) = (of_candidate.iter().sum(), of_baseline.iter().sum());
    if n_c < guard.n_min || n_b < guard.n_min {
        return None;
    }
    let one_against_the_rest =
        |(&x_c, &x_b): (&u64, &u64)| rate((x_c, n_c), (x_b, n_b), &OTHER_SHARE).unwrap_or_default();
    Some(of_candidate.iter().zip(&of_baseline).flat_map(one_against_the_rest).collect())
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
