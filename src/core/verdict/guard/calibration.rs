//! Calibration: whether outcomes come as often as scores promise, for each version by itself.
//!
//! Evidence against being calibrated (`infer::reliability`) is taken from the counts of all label windows so far, in
//! the bins of the plan's first reliability table, and deflated by the design effect of losses. It must stand for the
//! fewest windows in a row, so that one odd batch of labels does not act.
//!
//! * Only the candidate is not calibrated: it is contained. Its scores are not what the baseline's are.
//! * Both are not: the world has moved, or labels come earlier for one outcome. It warns and blames nobody. So it does
//!   where nothing is left of the evidence once scores are corrected by the factor on the odds by which the baseline
//!   version's are off: a delay of one outcome is such a factor, and of two versions that it puts off alike one has
//!   enough evidence first.
//!
//! **State**: three numbers per bin and version, and five.

use serde::{Deserialize, Serialize};

use crate::event::Micros;
use crate::infer::reliability::{Bin, log_e_calibration};
use crate::plan::{Action, GuardPlan, Plan};
use crate::reason::ReasonCode;
use crate::summary::{Fixed, Quality};
use crate::verdict::decision::{Evidence, Remark, Test};
use crate::verdict::finding::{Finding, Verdict};
use crate::verdict::guard::Guard;
use crate::verdict::guard::GuardName;
use crate::verdict::guard::account::Account;
use crate::verdict::guard::number::{count, e_value};
use crate::verdict::guard::scene::{Scene, reason};
use crate::verdict::guard::window::Pair;
use crate::verdict::guard::window::Shown;

const SOURCE: GuardName = GuardName::Calibration;

const CALIBRATION: Account = Account::against("calibration", "scores fit the truth no more");

/// The guard.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Calibration;

/// What is known of both versions; the candidate's first.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct Calibrated {
    bins: [Vec<ScoreBin>; 2],
    log_es: [f64; 2],
    /// The candidate's evidence, its scores corrected by what the baseline version's are off.
    #[serde(default)]
    log_e_apart: f64,
    /// Windows in a row in which evidence stood.
    standing: [u32; 2],
    /// Start of the first window.
    #[serde(default)]
    since: Option<Micros>,
}

/// One score bin.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
struct ScoreBin {
    n: u64,
    score: Fixed,
    positive: u64,
}

impl ScoreBin {
    fn as_said(&self) -> Bin {
        Bin { n: self.n, predicted: self.score.value(), positive: self.positive }
    }

    /// The same with a factor on the odds of its mean score.
    fn corrected(&self, factor: f64) -> Bin {
        let mean = self.score.value() / count(self.n.max(1));
        let mean = mean * factor / (1.0 - mean + mean * factor);
        Bin { n: self.n, predicted: mean * count(self.n), positive: self.positive }
    }
}

/// The factor on the odds of scores that makes them promise about as many positive outcomes as came; 1 where none has a
/// label.
fn odds_off(bins: &[ScoreBin]) -> f64 {
    let n: f64 = bins.iter().map(|bin| count(bin.n)).sum();
    let odds = |of: f64| (of + 0.5) / (n - of + 0.5);
    let promised = bins.iter().map(|bin| bin.score.value()).sum::<f64>().clamp(0.0, n);
    odds(bins.iter().map(|bin| count(bin.positive)).sum()) / odds(promised)
}

impl Guard for Calibration {
    type Memory = Calibrated;
    const ACCOUNTS: &'static [Account] = &[CALIBRATION];

    fn new(_: &Plan, _: &GuardPlan) -> Self {
        Self
    }

    fn blind_spots(plan: &Plan, _: &GuardPlan) -> Vec<String> {
        let lacking = match &plan.quality {
            None => "there are no labels",
            Some(quality) if !quality.has_scores() => "predictions have classes, but no scores",
            Some(_) => return Vec::new(),
        };
        vec![format!("calibration and loss: {lacking}")]
    }

    fn labels(&self, calibrated: &mut Calibrated, shown: &Shown<'_, '_, Quality>) {
        calibrated.since.get_or_insert(shown.scene.judged.start);
        calibrated.update(shown.pair, shown.learnt.effect, shown.scene.guard.alpha);
    }

    fn forget_labels(&self, calibrated: &mut Calibrated, _: &GuardPlan) {
        *calibrated = Calibrated::default();
    }

    fn rule(&self, calibrated: &mut Calibrated, scene: Scene<'_, '_>, verdict: &mut Verdict) {
        calibrated.rule(scene, verdict);
    }
}

impl Calibrated {
    /// Takes the labels of a window.
    fn update(&mut self, pair: Pair<'_, Quality>, deff: f64, alpha: f64) {
        for (side, quality) in [pair.candidate, pair.baseline].into_iter().enumerate() {
            let Some(table) = quality.width.first() else { continue };
            let bins = &mut self.bins[side];
            bins.resize(table.len(), ScoreBin::default());
            for (bin, more) in bins.iter_mut().zip(table) {
                bin.n += more.n;
                bin.score.merge(more.score);
                bin.positive += more.positive;
            }
            let bins: Vec<Bin> = bins.iter().map(ScoreBin::as_said).collect();
            self.log_es[side] = log_e_calibration(&bins) / deff;
            let stands = self.log_es[side] >= -libm::log(alpha);
            self.standing[side] = if stands { self.standing[side] + 1 } else { 0 };
        }
        let factor = odds_off(&self.bins[1]);
        let corrected: Vec<Bin> = self.bins[0].iter().map(|bin| bin.corrected(factor)).collect();
        self.log_e_apart = log_e_calibration(&corrected) / deff;
    }

    /// Labels, and by how much scores promise too much.
    fn excess(&self, side: usize) -> (u64, f64) {
        let n: u64 = self.bins[side].iter().map(|bin| bin.n).sum();
        let excess = |bin: &ScoreBin| bin.score.value() - count(bin.positive);
        (n, self.bins[side].iter().map(excess).sum::<f64>() / count(n.max(1)))
    }

    /// Adds what miscalibration calls for.
    fn rule(&self, scene: Scene<'_, '_>, verdict: &mut Verdict) {
        let alpha = scene.guard.alpha;
        if self.bins[0].is_empty() {
            return;
        }
        let e = e_value(self.log_es[0]);
        verdict.spend(CALIBRATION, "", alpha, e);
        if self.standing[0] < scene.guard.windows_min {
            return;
        }
        let world = self.standing[1] > 0 || self.log_e_apart < -libm::log(alpha);
        let ((n, excess), (n_baseline, of_baseline)) = (self.excess(0), self.excess(1));
        let (action, text) = if self.standing[1] > 0 {
            (Action::Warn, "neither version is calibrated: the world has moved, or labels are not complete")
        } else if world {
            (
                Action::Warn,
                "the candidate is not calibrated, and it is not clear that the baseline version is any better",
            )
        } else {
            verdict.cleared = false;
            (Action::Contain, "the candidate is not calibrated, the baseline version is")
        };
        let text = format!(
            "{text}; scores less outcomes are {excess:+.4} on average of {n} labels so far, the baseline's {of_baseline:+.4}"
        );
        let evidence = Evidence {
            metric: "calibration_in_the_large".to_owned(),
            convention: "score_less_outcome".to_owned(),
            estimate: excess,
            e_value: Some(e),
            alpha: Some(alpha),
            n_candidate: n,
            n_baseline,
            breaches: (self.standing[0], self.standing[0]),
            flags: if world { vec![Remark::World.into()] } else { Vec::new() },
            window: (self.since.unwrap_or(scene.judged.start), scene.judged.end),
            ..scene.evidence(SOURCE, Test::Reliability)
        };
        let reason = reason(ReasonCode::CalibrationRegression, text);
        verdict.findings.push(Finding { world, ..scene.finding(SOURCE, action, reason, vec![evidence]) });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::summary::quality::ReliabilityBin;
    use crate::verdict::guard::tests::judged;

    /// Ten bins in which this share of every hundred predictions more than promised comes true.
    fn quality(more: i64) -> Quality {
        let bin = |place: i64| {
            let mut score = Fixed::default();
            (0..100).for_each(|_| score.add(f64::from(u32::try_from(place * 10 + 5).unwrap()) / 100.0));
            let positive = u64::try_from((place * 10 + 5 + more).clamp(0, 100)).unwrap();
            ReliabilityBin { n: 100, positive, score }
        };
        Quality { n: 1000, width: vec![(0..10).map(bin).collect()], ..Quality::default() }
    }

    fn actions(candidate: i64, baseline: i64, windows: u32) -> Vec<Action> {
        let (guard, mut calibration, mut verdict) = (GuardPlan::default(), Calibrated::default(), Verdict::default());
        let (candidate, baseline) = (quality(candidate), quality(baseline));
        let pair = Pair { candidate: &candidate, baseline: &baseline };
        (0..windows).for_each(|_| calibration.update(pair, 1.0, guard.alpha));
        judged(|judged| {
            let scene = Scene { judged, guard: &guard, model: "m", version: "v2", baseline: "v1" };
            calibration.rule(scene, &mut verdict);
        });
        verdict.findings.iter().map(|finding| finding.action).collect()
    }

    #[test]
    fn a_calibrated_candidate_is_left_alone() {
        assert_eq!(actions(0, 5, 30), []);
    }

    #[test]
    fn one_that_alone_is_not_is_contained_and_the_world_is_warned_of() {
        assert_eq!(actions(5, 0, 30), [Action::Contain]);
        assert_eq!(actions(5, 5, 30), [Action::Warn]);
    }

    #[test]
    fn nobody_is_blamed_for_what_the_baseline_version_is_off_as_well() {
        assert!(!(1..40).any(|windows| actions(5, 4, windows) == [Action::Contain]), "hardly less off");
        assert!((1..40).any(|windows| actions(5, 1, windows) == [Action::Contain]));
    }

    #[test]
    fn one_batch_of_labels_does_not_act() {
        assert_eq!(actions(40, 0, 2), []);
        assert_eq!(actions(40, 0, 3), [Action::Contain]);
    }
}
