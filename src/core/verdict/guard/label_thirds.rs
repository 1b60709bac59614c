//! Whether labels come to all thirds of a version's scores alike.
//!
//! Where labels of one class are later than those of the other, fewer of one end of the scores are there, and losses
//! of the labels that are there are not those of all: a candidate whose scores moved looks better or worse than it is,
//! whatever both versions' coverage. A spread of shares beyond two in a hundred is too much: within, a ratio of losses
//! is off by about one in a hundred at most. That the spread is larger must be shown (`infer::uneven`), by the labels
//! of the candidate, of the baseline version, or of both together, so that few labels are not called biased by chance;
//! where all come, no spread is possible. What the baseline version's labels did before a candidate came counts, too.
//!
//! **State**: 51 numbers, and twelve counts for people.

use serde::{Deserialize, Serialize};

use crate::infer::uneven::{Awaited, Uneven, UnevenGains, UnevenPlan, gains};
use crate::verdict::guard::number::count;
use crate::verdict::judged::ScoreThird;

/// By how much shares of labels that came may differ between thirds, as a part of the version's coverage.
/// Origin: simulation; of moved scores, whose ratio of losses is off by about one in a hundred there, a fifth of its
/// margin.
pub(crate) const SPREAD_MAX: f64 = 0.02;
/// What the evidence is of: the candidate, the baseline version, both.
/// Origin: derived; two versions, alone and together.
const OF: usize = 3;

/// What is known about labels by score; the candidate's first. Counts are those since evidence last said nothing.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct LabelThirds {
    scored: [[u64; 3]; 2],
    labelled: [[u64; 3]; 2],
    of: [Uneven; OF],
}

impl LabelThirds {
    /// Nothing was seen by score.
    pub(crate) fn is_empty(&self) -> bool {
        self.of.iter().all(Uneven::is_empty)
    }

    /// Takes a window: both versions, or the baseline version before there is a candidate. `alpha` is the chance to
    /// call labels biased within the planned windows that are not; evidence is deflated by `deff`.
    pub(crate) fn update(
        &mut self,
        candidate: Option<[ScoreThird; 3]>,
        baseline: [ScoreThird; 3],
        (alpha, planned, deff): (f64, u32, f64),
    ) {
        let plan = plan(alpha, planned);
        if self.of.iter().all(|uneven| uneven.says_nothing(plan)) {
            (self.scored, self.labelled) = Default::default();
        }
        let sides = [candidate.unwrap_or_default(), baseline];
        let won = sides.map(|thirds| gains(thirds.map(awaited), SPREAD_MAX).map(|gain| gain / deff));
        let both: UnevenGains = std::array::from_fn(|bet| won[0][bet] + won[1][bet]);
        let seen = [candidate.is_some(), true, true];
        let of = self.of.iter_mut().zip([won[0], won[1], both]).zip(seen).filter(|(_, seen)| *seen);
        of.for_each(|((uneven, won), _)| uneven.update(plan, &won));
        for (side, thirds) in sides.into_iter().enumerate() {
            for (third, one) in thirds.iter().enumerate() {
                self.scored[side][third] += one.scored;
                self.labelled[side][third] += one.labelled;
            }
        }
    }

    /// Whether the spread is shown to be too large.
    pub(crate) fn are_biased(&self, alpha: f64, planned: u32) -> bool {
        self.of.iter().any(|uneven| uneven.decides(plan(alpha, planned)))
    }

    /// Of the version where shares differ most: which it is, and its shares, the lowest third first.
    pub(crate) fn widest(&self) -> (&'static str, [f64; 3]) {
        let shares = |side: usize| -> [f64; 3] {
            std::array::from_fn(|third| count(self.labelled[side][third]) / count(self.scored[side][third].max(1)))
        };
        let spread = |shares: [f64; 3]| (shares[2] - shares[0]).abs();
        let [candidate, baseline] = [0, 1].map(shares);
        if spread(candidate) > spread(baseline) { ("candidate", candidate) } else { ("baseline version", baseline) }
    }
}

/// Each of three may decide at a third of the level.
fn plan(alpha: f64, planned: u32) -> UnevenPlan {
    UnevenPlan { alpha: alpha / 3.0, planned }
}

fn awaited(third: ScoreThird) -> Awaited {
    Awaited { came: third.labelled, missing: third.scored.saturating_sub(third.labelled) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TERMS: (f64, u32, f64) = (5e-3, 288, 1.0);

    fn thirds(scored: u64, labelled: [u64; 3]) -> [ScoreThird; 3] {
        labelled.map(|labelled| ScoreThird { scored, labelled })
    }

    fn are_biased(thirds: &LabelThirds) -> bool {
        thirds.are_biased(TERMS.0, TERMS.1)
    }

    /// Shows so many windows of a candidate and the baseline version.
    fn show(to: &mut LabelThirds, windows: u32, candidate: Option<[ScoreThird; 3]>, baseline: [ScoreThird; 3]) {
        (0..windows).for_each(|_| to.update(candidate, baseline, TERMS));
    }

    #[test]
    fn labels_of_either_version_may_be_biased_and_it_is_said_which() {
        let (even, falling) = (thirds(160, [120, 120, 120]), thirds(160, [133, 120, 101]));
        for (candidate, baseline, version) in
            [(falling, even, "candidate"), (even, falling, "baseline version"), (falling, falling, "baseline version")]
        {
            let mut seen = LabelThirds::default();
            show(&mut seen, 10, Some(candidate), baseline);
            assert!(are_biased(&seen), "{version}");
            let (widest, [low, _, high]) = seen.widest();
            assert_eq!((widest, low > 0.8, high < 0.7), (version, true, true));
        }
        let mut seen = LabelThirds::default();
        show(&mut seen, 300, Some(even), even);
        assert!(!are_biased(&seen));
    }

    /// The ratio of Brier scores, as labels show it, of a candidate whose scores are moved on the logit's scale, and
    /// the spread of the baseline version's thirds; of each class a share of labels came. Truths are drawn by the
    /// baseline version's scores, whose logits are normal around -0.77.
    fn as_seen(moved: f64, came: [f64; 2]) -> (f64, f64) {
        let logistic = |logit: f64| 1.0 / (1.0 + libm::exp(-logit));
        let (mut losses, mut of_third) = ([0.0; 2], [[0.0; 2]; 3]);
        for step in -600..=600 {
            let z = f64::from(step) / 100.0;
            let (mass, chance) = (libm::exp(-z * z / 2.0), logistic(z - 0.77));
            let labelled = [came[0] * (1.0 - chance), came[1] * chance];
            for (loss, score) in losses.iter_mut().zip([logistic(z - 0.77 + moved), chance]) {
                *loss += mass * (labelled[0] * score * score + labelled[1] * (1.0 - score) * (1.0 - score));
            }
            let third = usize::from(z > -0.43) + usize::from(z > 0.43);
            of_third[third][0] += mass;
            of_third[third][1] += mass * (labelled[0] + labelled[1]);
        }
        let share = |third: usize| of_third[third][1] / of_third[third][0];
        (losses[0] / losses[1], (share(0) - share(2)) / share(1))
    }

    #[test]
    fn what_is_tolerated_moves_a_ratio_of_losses_by_about_one_in_a_hundred() {
        for moved in [-0.6, 0.6] {
            let (truth, _) = as_seen(moved, [1.0, 1.0]);
            let off = |came| {
                let (seen, spread) = as_seen(moved, came);
                ((seen / truth - 1.0).abs(), spread)
            };
            let (hardly, spread) = off([0.99, 0.97]);
            assert!(hardly < 0.006 && spread < SPREAD_MAX, "{moved}: {hardly} at {spread}");
            let (at_edge, spread) = off([0.98, 0.935]);
            assert!(at_edge < 0.013 && (spread - SPREAD_MAX).abs() < 1e-3, "{moved}: {at_edge} at {spread}");
            let (far, spread) = off([0.95, 0.8]);
            assert!(far > 0.03 && spread > 3.0 * SPREAD_MAX, "{moved}: {far} at {spread}");
        }
    }

    #[test]
    fn what_is_known_before_a_candidate_comes_counts() {
        let falling = thirds(60, [57, 55, 52]);
        let mut world = LabelThirds::default();
        show(&mut world, 60, None, falling);
        assert!(are_biased(&world));
        let mut alone = LabelThirds::default();
        show(&mut alone, 1, Some(falling), falling);
        assert!(!are_biased(&alone), "one window is too little to tell");
    }

    #[test]
    fn counts_are_those_since_labels_came_otherwise() {
        let mut seen = LabelThirds::default();
        show(&mut seen, 400, None, thirds(160, [120, 120, 120]));
        show(&mut seen, 20, None, thirds(160, [133, 120, 101]));
        assert!(are_biased(&seen));
        let (_, [low, _, high]) = seen.widest();
        assert!(low - high > 0.15, "{low} and {high}");
        show(&mut seen, 120, None, thirds(160, [120, 120, 120]));
        assert!(!are_biased(&seen), "it is over");
    }

    #[test]
    fn a_larger_design_effect_asks_for_more_windows() {
        let windows = |deff: f64| {
            let (mut seen, falling) = (LabelThirds::default(), thirds(160, [133, 120, 101]));
            (1..100).find(|_| {
                seen.update(Some(falling), falling, (TERMS.0, TERMS.1, deff));
                are_biased(&seen)
            })
        };
        assert!(windows(1.0) < windows(3.0) && windows(3.0).is_some(), "{:?} {:?}", windows(1.0), windows(3.0));
    }
}
