//! Label gate: whether labels of both versions arrive alike.
//!
//! A candidate whose bad predictions are never labelled looks better than it is, and one whose labels are late looks
//! worse. So labels speak only while both versions' coverage (labels over scored predictions, at the same age) is
//! within 10 % of the other's, and "both arms' labels arrive at one rate" is not rejected by a conditional likelihood
//! ratio over the rollout (`infer::contrast`, alpha 0.001, deflated by the configured design effect). Else the labels
//! are biased: no verdict rests on them, and the data count as degraded.
//!
//! A window without any label of a version does not tell how many it waited for; the number last known is taken, and
//! before that the fewest that count (`GuardPlan::n_min`).
//! **State**: six floats and six counts.

use serde::{Deserialize, Serialize};

use crate::infer::contrast::{VersionSplit, log_e_rate};
use crate::metric::view::Views;
use crate::summary::Quality;
use crate::verdict::finding::{Validity, Verdict};
use crate::verdict::guard::number::{count, e_value, float, rounded};
use crate::verdict::guard::scene::Scene;
use crate::verdict::guard::window::Both;

/// How much smaller one version's coverage may be than the other's.
/// Origin: choice; labels of nine in ten are compared as if they were all.
const COVERAGE_MIN: f64 = 0.9;
/// Chance to call labels biased that are not.
/// Origin: choice; ten times as strict as a guard, since it silences guards.
const ALPHA: f64 = 1e-3;
/// Log odds ratios of a label's arrival that are bet on.
/// Origin: choice; odds from a sixth more or less to nearly threefold.
const OTHER: [f64; 6] = [-1.0, -0.4, -0.15, 0.15, 0.4, 1.0];

/// What is known about labels' arrival; the candidate's first.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct Gate {
    arrived: [u64; 2],
    asked: [u64; 2],
    newest: [u64; 2],
    log_es: [f64; 6],
}

impl Gate {
    /// Takes the labels of a window; tells whether they may speak.
    pub(crate) fn update(&mut self, both: &Both<'_, Quality>, scene: Scene<'_, '_>) -> bool {
        let sides = [both.candidate, both.baseline];
        let coverage = sides.map(|key| scene.judged.find(&key.model, &key.version)?.coverage);
        let [Some(candidate), Some(baseline)] = coverage else { return self.is_open(scene) };
        let arrived = sides.map(|key| labels(both.views, key));
        for (side, coverage) in [candidate, baseline].into_iter().enumerate() {
            if coverage > 0.0 {
                self.newest[side] = asked(arrived[side], coverage);
            } else if self.newest[side] == 0 {
                self.newest[side] = scene.guard.n_min;
            }
            self.asked[side] += self.newest[side];
            self.arrived[side] += arrived[side];
        }
        let split = |of: [u64; 2]| VersionSplit { candidate: of[0], baseline: of[1] };
        let missing = [0, 1].map(|side: usize| self.newest[side].saturating_sub(arrived[side]));
        let log_es = log_e_rate(split(arrived), split(missing), &OTHER);
        self.log_es.iter_mut().zip(log_es).for_each(|(sum, log_e)| *sum += log_e);
        self.is_open(scene)
    }

    /// Both versions' coverage.
    fn coverage(&self) -> [f64; 2] {
        [0, 1].map(|side: usize| count(self.arrived[side]) / count(self.asked[side].max(1)))
    }

    fn e(&self, scene: Scene<'_, '_>) -> f64 {
        let deff = scene.guard.design_effect.max(1.0);
        self.log_es.iter().map(|log_e| e_value(log_e / deff)).sum::<f64>() / float(self.log_es.len())
    }

    fn is_open(&self, scene: Scene<'_, '_>) -> bool {
        let [candidate, baseline] = self.coverage();
        let enough = self.asked.iter().all(|&asked| asked >= scene.guard.n_min);
        let alike = candidate.min(baseline) >= COVERAGE_MIN * candidate.max(baseline);
        (alike || !enough) && self.e(scene) < 1.0 / ALPHA
    }

    /// Says so where labels may not speak.
    pub(crate) fn rule(&self, scene: Scene<'_, '_>, verdict: &mut Verdict) {
        if self.is_open(scene) {
            return;
        }
        let [candidate, baseline] = self.coverage().map(|coverage| coverage * 100.0);
        verdict.validity = verdict.validity.max(Validity::Degraded);
        verdict.safe = false;
        let text = format!(
            "labels: LABEL_BIASED, {candidate:.0} % of the candidate's arrived and {baseline:.0} % of the baseline's"
        );
        verdict.waits_for.push(text);
    }
}

fn labels(views: &Views<Quality>, key: &crate::metric::view::ViewKey) -> u64 {
    views.get(key).map_or(0, |quality| quality.n)
}

/// How many predictions so many labels are that share of.
fn asked(arrived: u64, coverage: f64) -> u64 {
    u64::try_from(rounded(count(arrived) / coverage)).unwrap_or_default().max(arrived)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::GuardPlan;
    use crate::verdict::guard::tests::{judged_with, key, labelled, seen};

    /// Whether labels may speak after so many windows of 200 predictions, of which each version's share is labelled.
    fn is_open(windows: u32, shares: [f64; 2]) -> bool {
        let guard = GuardPlan::default();
        let (candidate, baseline) = (key("v2"), key("v1"));
        let n = shares.map(|share| u64::try_from(rounded(share * 200.0)).unwrap());
        let views = Views::from([(candidate.clone(), labelled(n[0], 0.1)), (baseline.clone(), labelled(n[1], 0.1))]);
        let both = [seen("v2", Some(shares[0])), seen("v1", Some(shares[1]))];
        let mut gate = Gate::default();
        (0..windows).all(|_| {
            let mut open = false;
            judged_with(&both, |judged| {
                let scene = Scene { judged, guard: &guard, model: "m", version: "v2", baseline: "v1" };
                open = gate.update(&Both { views: &views, candidate: &candidate, baseline: &baseline }, scene);
            });
            open
        })
    }

    #[test]
    fn labels_speak_while_they_arrive_alike() {
        assert!(is_open(50, [0.8, 0.8]));
        assert!(is_open(3, [0.76, 0.8]), "a few windows of slightly fewer labels may be chance");
    }

    #[test]
    fn labels_that_arrive_otherwise_do_not() {
        assert!(!is_open(1, [0.6, 0.8]));
        assert!(!is_open(1, [0.8, 0.6]));
        assert!(!is_open(3, [0.0, 0.8]));
        assert!(!is_open(200, [0.76, 0.8]), "slightly fewer for long are too many missing");
    }
}
