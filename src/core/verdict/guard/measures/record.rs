//! What is known about one measure: evidence that its mean is worse than the margin, that it is not, that more values
//! are beyond the clip, and the means themselves for people.
//!
//! What a window is weighed with is known before it: the clip, which is frozen once it is known, the baseline's mean
//! and variance in earlier windows, the design effect, and noise that counts do not explain.
//!
//! **State**: four numbers per step of values (`summary::amounts`), 300 besides.

use serde::{Deserialize, Serialize};

use crate::event::Micros;
use crate::infer::balanced::{BaselineLevel, NullEdge};
use crate::infer::deff::{Buckets, design_effect_of_means};
use crate::infer::hx::{Direction, Hx, HxPlan};
use crate::infer::mean_ratio::{MeanRatio, WindowMoments};
use crate::infer::overdispersion::{Contrast, Overdispersion};
use crate::infer::two_sample::Arm;
use crate::plan::{GuardPlan, MeasurePlan, Tolerance, Worse};
use crate::summary::{Amounts, Clip, MeasureSummary};
use crate::verdict::guard::number::{count, e_value, rounded};
use crate::verdict::guard::window::Pair;

/// Of the values that are not 0, those that are not clipped.
/// Origin: simulation; of revenue and costs 99 % lost what was looked for, and all of them took twice as long.
const NOT_CLIPPED: f64 = 0.999;
/// Values of the baseline version that are not 0 from which a clip is learnt, and a level.
/// Origin: choice; the largest of 200 is beyond 99.5 % of them, and most streams have them in a window.
const LEARNT: u64 = 200;
/// Share of a measure's evidence that watches what is beyond the clip.
/// Origin: choice; harm there alone is rare, and a tenth costs it two nats.
const OF_BEYOND: f64 = 0.1;
/// How many times as many values may be beyond the clip.
/// Origin: choice; as failures.
const BEYOND: f64 = 1.2;
/// The nearest ratio on which safety bets.
/// Origin: derived; the least of its bets (`infer::hx`).
const NEAREST: f64 = 1.05;
/// The bets of harm.
/// Origin: derived; as many as there are in `infer::hx`.
const HARM_BETS: f64 = 13.0;
/// The bets of safety.
/// Origin: derived; as many as there are in `infer::hx`.
const SAFE_BETS: f64 = 5.0;
/// Values that are not 0, of either version, below which a window says nothing about noise.
/// Origin: choice; as in `infer::overdispersion`.
const RARE_MIN: u64 = 10;
/// Values are counted in millionths of the clip when entities are compared.
/// Origin: numerics; sums of millionths fit into a word.
const UNIT: f64 = 1e6;

/// How one measure's evidence is gathered.
#[derive(Debug, Clone, Copy)]
pub(super) struct MeasureTerms<'a> {
    pub(super) guard: &'a GuardPlan,
    pub(super) measure: &'a MeasurePlan,
    /// Its values in the reference, if there is one.
    pub(super) reference: Option<&'a Amounts>,
    /// Share of the error budget.
    pub(super) weight: f64,
}

/// What is known about one measure.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct MeasureEvidence {
    clip: Option<Clip>,
    /// The baseline's values in all windows.
    past: Amounts,
    harm: Option<Hx>,
    safe: Option<Hx>,
    beyond: Option<Hx>,
    alike: [Buckets; 2],
    squares: [f64; 2],
    is_measured: bool,
    pub(super) deff: f64,
    noise: Overdispersion,
    pub(super) tally: MeanRatio,
    /// Rows, and those beyond the clip, candidate first.
    pub(super) clipped: [Arm; 2],
    /// Of those, values below 0, which count as 0 where the margin is a share of the mean.
    #[serde(default, skip_serializing_if = "none")]
    pub(super) negative: [u64; 2],
    pub(super) windows: u32,
    /// Start of the first window that counts.
    pub(super) since: Option<Micros>,
}

impl MeasureTerms<'_> {
    fn plan(self, direction: Direction, share: f64, margin: f64) -> HxPlan {
        let GuardPlan { alpha, beta, planned, windows_min, .. } = *self.guard;
        let alpha = if direction == Direction::Harm { alpha * self.weight * share } else { beta };
        HxPlan { alpha, margin, direction, planned, windows_min }
    }

    fn harm(self) -> HxPlan {
        self.plan(Direction::Harm, 1.0 - OF_BEYOND, 1.0)
    }

    fn beyond(self) -> HxPlan {
        self.plan(Direction::Harm, OF_BEYOND, BEYOND)
    }

    fn safe(self) -> HxPlan {
        self.plan(Direction::Safety, 1.0, 1.0)
    }

    fn is_signed(self) -> bool {
        matches!(self.measure.margin, Tolerance::Absolute(_))
    }

    /// Where a margin ends: beyond it is harm.
    fn edge(self) -> NullEdge {
        let above = self.measure.worse == Worse::Up;
        let sign = if above { 1.0 } else { -1.0 };
        match self.measure.margin {
            Tolerance::Relative(share) => NullEdge { above, ratio: 1.0 + sign * share, shift: 0.0 },
            Tolerance::Absolute(by) => NullEdge { above, ratio: 1.0, shift: sign * by },
        }
    }

    /// The candidate's mean that is bet on: beyond the edge by a ratio, or by so many standard deviations.
    fn worse(self, level: BaselineLevel, ratio: f64) -> f64 {
        let NullEdge { above, ratio: edge, shift } = self.edge();
        match self.measure.margin {
            Tolerance::Relative(_) => edge * level.mean * if above { ratio } else { ratio.recip() },
            Tolerance::Absolute(_) => {
                level.mean + shift + if above { 1.0 } else { -1.0 } * (ratio - 1.0) * level.variance.sqrt()
            }
        }
    }

    /// The same on the near side of the edge. The nearest bet is that both means are the same, however wide the margin
    /// is.
    fn no_worse(self, level: BaselineLevel, ratio: f64) -> f64 {
        let NullEdge { ratio: edge, shift, .. } = self.edge();
        let margins = -libm::log(ratio) / libm::log(NEAREST);
        match self.measure.margin {
            Tolerance::Relative(_) => edge * level.mean * libm::exp(-libm::log(edge) * margins),
            Tolerance::Absolute(_) => level.mean + shift - shift * margins,
        }
    }

    /// Where values are clipped, before anything was seen of the versions.
    fn clip_beforehand(self) -> Option<Clip> {
        let given = self.measure.cap.map(|cap| Clip::of(cap, self.is_signed()));
        given.or_else(|| self.clip_of(self.reference?))
    }

    fn clip_of(self, values: &Amounts) -> Option<Clip> {
        values.quantile(NOT_CLIPPED).map(|step| Clip { step, signed: self.is_signed() })
    }

    /// How many rows of each of two versions of equal size it takes, about: until a candidate is shown to be worse
    /// whose mean is `beyond` times the margin's edge away from it, and until one that is alike is shown to be within
    /// the margin, if requests of one entity count `effect` times too much. `None` without a reference.
    pub(super) fn rows(self, beyond: f64, effect: f64) -> Option<(Clip, f64, f64)> {
        let (clip, values) = (self.clip_beforehand()?, self.reference?);
        let (mean, variance) = values.moments(clip);
        let NullEdge { ratio, shift, .. } = self.edge();
        let edge = ratio * mean + shift;
        let rows = |gap: f64, nats: f64| 2.0 * variance * (ratio + ratio * ratio) * nats * effect / (gap * gap);
        // Beside the level, what is paid for two halves and for the grid of bets, of which neighbours win, too.
        let found = self.harm().threshold() + libm::log(2.0) + libm::log(HARM_BETS) / 2.0;
        let kept = self.safe().threshold() + libm::log(SAFE_BETS);
        let apart = match self.measure.margin {
            Tolerance::Relative(_) => beyond * edge,
            Tolerance::Absolute(by) => by * (1.0 + beyond),
        };
        Some((clip, rows(apart, found), rows(edge - mean, kept)))
    }
}

impl MeasureEvidence {
    /// Takes the next window. One whose data is not trusted `proves` nothing for the candidate.
    pub(super) fn update(
        &mut self,
        terms: MeasureTerms<'_>,
        pair: Pair<'_, MeasureSummary>,
        start: Micros,
        proves: bool,
    ) {
        if pair.candidate.amounts.n() == 0 || pair.baseline.amounts.n() == 0 {
            return;
        }
        if self.clip.is_none() {
            let learnt = Some(&self.past).filter(|past| past.nonzero() >= LEARNT);
            self.clip = terms.clip_beforehand().or_else(|| terms.clip_of(learnt?));
        }
        let level = self.clip.zip(self.level(terms));
        if let Some((clip, level)) = level {
            self.weigh(terms, pair, (clip, level), proves);
            self.since.get_or_insert(start);
        }
        self.past.merge(&pair.baseline.amounts);
    }

    /// What is predicted of the baseline: as it was, or as the reference says.
    fn level(&self, terms: MeasureTerms<'_>) -> Option<BaselineLevel> {
        let known = Some(&self.past).filter(|past| past.nonzero() >= LEARNT).or(terms.reference)?;
        let (mean, variance) = known.moments(self.clip?);
        Some(BaselineLevel { mean, variance })
    }

    fn weigh(
        &mut self,
        terms: MeasureTerms<'_>,
        pair: Pair<'_, MeasureSummary>,
        (clip, level): (Clip, BaselineLevel),
        proves: bool,
    ) {
        let both = [pair.candidate, pair.baseline];
        let samples = both.map(|measured| sample(&measured.amounts, clip));
        let noise = self.noise.factor(weight(samples), &Overdispersion::default());
        self.vary(samples);
        self.compare_entities(both, clip);
        self.deff = self.design_effect(terms.guard);
        let bins = both.map(|measured| measured.amounts.bins(clip));
        let edge = terms.edge();
        let win = |edge: NullEdge, bet: f64| edge.log_e(bet, level, clip.range(), &bins[0], &bins[1]);
        let plan = terms.harm();
        let worse = |ratio: f64| win(edge, terms.worse(level, ratio));
        self.harm.get_or_insert_with(|| Hx::new(&plan)).gather(&plan, worse, self.deff, noise);
        let near = NullEdge { above: !edge.above, ..edge };
        let plan = terms.safe();
        let safe = self.safe.get_or_insert_with(|| Hx::new(&plan));
        if proves {
            safe.gather(&plan, |ratio| win(near, terms.no_worse(level, ratio)), self.deff, noise);
        }
        let arms = both.map(|measured| Arm { n: measured.amounts.n(), x: count(measured.amounts.clipped(clip)) });
        let (more, fewer) = if edge.above { (arms[0], arms[1]) } else { (arms[1], arms[0]) };
        let plan = terms.beyond();
        self.beyond.get_or_insert_with(|| Hx::new(&plan)).update(&plan, more, fewer, self.deff, noise);
        self.clipped = [self.clipped[0].plus(arms[0]), self.clipped[1].plus(arms[1])];
        self.negative.iter_mut().zip(both).for_each(|(n, measured)| *n += measured.amounts.negative());
        self.tally.update(samples[0], samples[1]);
        self.windows += 1;
    }

    /// Learns how means vary beyond what rows and entities explain.
    fn vary(&mut self, [candidate, baseline]: [WindowMoments; 2]) {
        let variance = candidate.variance / count(candidate.n) + baseline.variance / count(baseline.n);
        if candidate.nonzero.min(baseline.nonzero) >= RARE_MIN && variance > 0.0 {
            let z = (candidate.mean - baseline.mean) / (variance * self.deff.max(1.0)).sqrt();
            self.noise.update(Contrast { z, weight: weight([candidate, baseline]) });
        }
    }

    fn compare_entities(&mut self, both: [&MeasureSummary; 2], clip: Clip) {
        let named = |one: &MeasureSummary| {
            one.entities.iter().flat_map(|sizes| sizes.values(clip)).map(|(_, n)| n).sum::<u64>()
        };
        self.is_measured = both.iter().all(|one| named(one) == one.amounts.n());
        for (arm, measured) in both.into_iter().enumerate() {
            for (bucket, sizes) in (0..).zip(&measured.entities) {
                let (mut n, mut sum) = (0, 0.0);
                for (value, times) in sizes.values(clip) {
                    let value = value / clip.at() * UNIT;
                    n += times;
                    sum += value * count(times);
                    self.squares[arm] += value * value * count(times);
                }
                self.alike[arm].add(bucket, n, rounded(sum));
            }
        }
    }

    fn design_effect(&self, guard: &GuardPlan) -> f64 {
        let variance = |arm: usize| {
            let (n, x) = self.alike[arm].totals();
            if n > 0.0 { (self.squares[arm] / n - (x / n) * (x / n)).max(0.0) } else { 0.0 }
        };
        let measured = design_effect_of_means(&self.alike[0], &self.alike[1], variance(0), variance(1));
        if self.is_measured { measured } else { measured.max(guard.design_effect) }
    }

    /// Evidence that it is worse than its margin, or has more values beyond the clip.
    pub(super) fn harm(&self, terms: MeasureTerms<'_>) -> f64 {
        let e = |hx: &Option<Hx>, plan: &HxPlan| hx.as_ref().map_or(1.0, |hx| e_value(hx.log_e(plan)));
        (1.0 - OF_BEYOND) * e(&self.harm, &terms.harm()) + OF_BEYOND * e(&self.beyond, &terms.beyond())
    }

    /// Whether most of that evidence is about values beyond the clip.
    pub(super) fn is_beyond(&self, terms: MeasureTerms<'_>) -> bool {
        let log_e = |hx: &Option<Hx>, plan: &HxPlan| hx.as_ref().map_or(0.0, |hx| hx.log_e(plan));
        log_e(&self.beyond, &terms.beyond()) + libm::log(OF_BEYOND / (1.0 - OF_BEYOND))
            > log_e(&self.harm, &terms.harm())
    }

    /// Evidence that it is no worse than its margin.
    pub(super) fn safe(&self, terms: MeasureTerms<'_>) -> f64 {
        self.safe.as_ref().map_or(1.0, |hx| e_value(hx.log_e(&terms.safe())))
    }

    /// Where its values are clipped, once that is known.
    pub(super) fn clip(&self, terms: MeasureTerms<'_>) -> Option<Clip> {
        self.clip.or_else(|| terms.clip_beforehand())
    }

    /// Shares of values that count as 0 because they are below it, candidate first; none where no value does.
    pub(super) fn below_zero(&self, terms: MeasureTerms<'_>) -> Option<[f64; 2]> {
        let share = |arm: usize| count(self.negative[arm]) / count(self.clipped[arm].n.max(1));
        (!terms.is_signed() && !none(&self.negative)).then(|| [share(0), share(1)])
    }

    /// Whether the design effect is measured: every row names its entity.
    pub(super) fn is_measured(&self) -> bool {
        self.is_measured
    }

    /// About how many rows of the candidate it takes until it is shown to be within its margin, if it is as the
    /// baseline is; `None` before anything is known.
    pub(super) fn needs(&self, terms: MeasureTerms<'_>) -> Option<f64> {
        let level = self.level(terms)?;
        let NullEdge { ratio, shift, .. } = terms.edge();
        let gap = ratio * level.mean + shift - level.mean;
        let [candidate, baseline] = self.clipped.map(|arm| count(arm.n));
        let variance = level.variance * (1.0 + ratio * ratio * candidate / baseline.max(1.0));
        let nats = terms.safe().threshold() + libm::log(SAFE_BETS);
        Some(2.0 * variance * nats * self.deff.max(1.0) / (gap * gap)).filter(|rows| rows.is_finite())
    }
}

fn none(counts: &[u64; 2]) -> bool {
    *counts == [0, 0]
}

fn sample(amounts: &Amounts, clip: Clip) -> WindowMoments {
    let (mean, variance) = amounts.moments(clip);
    WindowMoments { n: amounts.n(), nonzero: amounts.nonzero(), mean, variance }
}

/// What the contrast of two samples is worth.
fn weight([candidate, baseline]: [WindowMoments; 2]) -> f64 {
    count(candidate.n) * count(baseline.n) / count((candidate.n + baseline.n).max(1))
}
