//! Label gate: whether labels of both versions arrive alike.
//!
//! A candidate whose bad predictions are never labelled looks better than it is, and one whose labels are late looks
//! worse. So labels speak only while
//!
//! * "both versions' labels arrive at one rate" is not rejected by a conditional likelihood ratio over the rollout
//!   (`infer::contrast`, deflated by the configured design effect); sooner where one version's coverage (labels over
//!   scored predictions, at the same age) is within 10 % of the other's no more;
//! * they come to all thirds of a version's scores alike (`label_thirds`).
//!
//! Else the labels are biased: what they have said is forgotten, no verdict rests on them, and the data count as
//! degraded.
//!
//! A window without any label of a version does not tell how many it waited for; the number last known is taken, and
//! before that the fewest that count (`GuardPlan::n_min`).
//! **State**: six floats and six counts, and what `label_thirds` keeps.

use serde::{Deserialize, Serialize};

use crate::infer::contrast::{VersionSplit, log_e_rate};
use crate::metric::view::Views;
use crate::plan::{Plan, QualityPlan, Task};
use crate::summary::Quality;
use crate::verdict::finding::{Validity, Verdict};
use crate::verdict::guard::label_thirds::{LabelThirds, SPREAD_MAX};
use crate::verdict::guard::number::{count, e_value, float, rounded};
use crate::verdict::guard::scene::Scene;
use crate::verdict::guard::window::Both;
use crate::verdict::words::percent;

/// How much smaller one version's coverage may be than the other's.
/// Origin: choice; labels of nine in ten are compared as if they were all.
const COVERAGE_MIN: f64 = 0.9;
/// Chance to call labels biased whose versions are covered alike.
/// Origin: choice; ten times as strict as a guard, since it silences guards.
const ALPHA: f64 = 1e-3;
/// The same where one version's coverage is too small, and for thirds of scores.
/// Origin: choice; both together silence one in a hundred rollouts at most.
const ALPHA_APART: f64 = 5e-3;
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
    #[serde(default, skip_serializing_if = "LabelThirds::is_empty")]
    thirds: Box<LabelThirds>,
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
        let thirds = sides.map(|key| scene.judged.find(&key.model, &key.version)?.thirds);
        if let [Some(candidate), Some(baseline)] = thirds {
            self.thirds.update(Some(candidate), baseline, terms(scene));
        }
        self.is_open(scene)
    }

    /// Takes the labels of a window of the version that serves the world.
    pub(crate) fn update_world(&mut self, scene: Scene<'_, '_>) {
        let seen = scene.judged.find(scene.model, scene.baseline);
        if let Some(thirds) = seen.and_then(|seen| seen.thirds) {
            self.thirds.update(None, thirds, terms(scene));
        }
    }

    /// What is known of the baseline version's labels, for a candidate that comes now.
    pub(crate) fn of_world(&self) -> Self {
        Self { thirds: self.thirds.clone(), ..Self::default() }
    }

    /// Both versions' coverage.
    fn coverage(&self) -> [f64; 2] {
        [0, 1].map(|side: usize| count(self.arrived[side]) / count(self.asked[side].max(1)))
    }

    fn e(&self, scene: Scene<'_, '_>) -> f64 {
        let deff = scene.guard.design_effect.max(1.0);
        self.log_es.iter().map(|log_e| e_value(log_e / deff)).sum::<f64>() / float(self.log_es.len())
    }

    fn are_thirds_biased(&self, scene: Scene<'_, '_>) -> bool {
        self.thirds.are_biased(ALPHA_APART, scene.guard.planned)
    }

    fn is_open(&self, scene: Scene<'_, '_>) -> bool {
        let [candidate, baseline] = self.coverage();
        let alike = candidate.min(baseline) >= COVERAGE_MIN * candidate.max(baseline);
        let alpha = if alike { ALPHA } else { ALPHA_APART };
        self.e(scene) < 1.0 / alpha && !self.are_thirds_biased(scene)
    }

    /// Says so where the world's labels may not speak.
    pub(crate) fn rule_world(&self, scene: Scene<'_, '_>, verdict: &mut Verdict) {
        if self.are_thirds_biased(scene) {
            verdict.waits_for.push(format!("labels: LABEL_BIASED, {}", self.bias(scene)));
        }
    }

    /// Says so where labels may not speak.
    pub(crate) fn rule(&self, scene: Scene<'_, '_>, verdict: &mut Verdict) {
        if self.is_open(scene) {
            return;
        }
        verdict.validity = verdict.validity.max(Validity::Degraded);
        verdict.safe = false;
        verdict.waits_for.push(format!("labels: LABEL_BIASED, {}", self.bias(scene)));
    }

    fn bias(&self, scene: Scene<'_, '_>) -> String {
        if self.are_thirds_biased(scene) {
            let (version, [low, _, high]) = self.thirds.widest();
            let [low, high] = [low, high].map(|share| share * 100.0);
            return format!(
                "{low:.1} % of the {version}'s third with the lowest scores arrived and {high:.1} % of that with the \
                 highest"
            );
        }
        let [candidate, baseline] = self.coverage().map(|coverage| coverage * 100.0);
        format!("{candidate:.0} % of the candidate's arrived and {baseline:.0} % of the baseline's")
    }
}

/// When labels may speak, in words.
pub(crate) fn words(plan: &Plan) -> Vec<String> {
    let in_words = |quality: &QualityPlan| {
        let thirds = if quality.tells_classes() {
            format!(", nor the shares that came of thirds of a version's scores by more than {}", percent(SPREAD_MAX))
        } else {
            String::new()
        };
        format!("judge by labels only while it is not shown that those of one version are fewer{thirds}")
    };
    plan.quality.iter().map(in_words).collect()
}

/// What it cannot see in a plan, and why not.
pub(crate) fn blind_spots(plan: &Plan) -> Vec<String> {
    let blind = plan.quality.iter().filter(|quality| !quality.tells_classes());
    let why = |quality: &QualityPlan| match quality.task {
        Task::Regression => "labels that come later for some quantities than for others: only answers of classes tell",
        Task::Binary | Task::Multiclass => "labels that come later for one class: predictions have no scores",
    };
    blind.map(|quality| why(quality).to_owned()).collect()
}

/// The level of what thirds show, over how many windows, and what its evidence is deflated by.
fn terms(scene: Scene<'_, '_>) -> (f64, u32, f64) {
    (ALPHA_APART, scene.guard.planned, scene.guard.design_effect.max(1.0))
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
    use crate::verdict::judged::{ActiveVersion, ScoreThird};

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

    fn quality(n: u64) -> Quality {
        labelled(n, 0.1)
    }

    /// What is said after so many windows of 600 predictions a version, of whose thirds so many labels are there.
    fn said(windows: u32, labelled: [u64; 3]) -> Verdict {
        let guard = GuardPlan::default();
        let (candidate, baseline) = (key("v2"), key("v1"));
        let n: u64 = labelled.iter().sum();
        let views: Views<Quality> = [&candidate, &baseline].map(|key| (key.clone(), quality(n))).into();
        let thirds = Some(labelled.map(|labelled| ScoreThird { scored: 200, labelled }));
        let both = ["v2", "v1"].map(|version| ActiveVersion { thirds, ..seen(version, Some(count(n) / 600.0)) });
        let (mut gate, mut verdict) = (Gate::default(), Verdict { safe: true, ..Verdict::default() });
        for _ in 0..windows {
            judged_with(&both, |judged| {
                let scene = Scene { judged, guard: &guard, model: "m", version: "v2", baseline: "v1" };
                gate.update(&Both { views: &views, candidate: &candidate, baseline: &baseline }, scene);
                verdict = Verdict { safe: true, ..Verdict::default() };
                gate.rule(scene, &mut verdict);
            });
        }
        verdict
    }

    #[test]
    fn labels_that_come_later_for_one_class_do_not_speak_and_it_is_said_of_which_third() {
        let biased = said(10, [166, 150, 126]);
        assert_eq!((biased.validity, biased.safe), (Validity::Degraded, false));
        assert_eq!(
            biased.waits_for,
            ["labels: LABEL_BIASED, 83.0 % of the baseline version's third with the lowest scores arrived and 63.0 % \
              of that with the highest"]
        );
        let alike = said(100, [150, 150, 150]);
        assert_eq!((alike.validity, alike.safe, alike.waits_for.len()), (Validity::Valid, true, 0));
    }

    #[test]
    fn labels_speak_while_they_arrive_alike() {
        assert!(is_open(50, [0.8, 0.8]));
        assert!(is_open(3, [0.76, 0.8]), "a few windows of slightly fewer labels may be chance");
    }

    #[test]
    fn labels_that_arrive_otherwise_do_not() {
        assert!(!is_open(3, [0.6, 0.8]), "before three windows no guard speaks");
        assert!(!is_open(3, [0.8, 0.6]));
        assert!(!is_open(3, [0.0, 0.8]));
        assert!(!is_open(200, [0.76, 0.8]), "slightly fewer for long are too many missing");
    }
}
