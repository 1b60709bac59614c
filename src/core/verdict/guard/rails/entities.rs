//! How much alike the events of one entity are, over the whole rollout: what deflates all evidence.
//!
//! Where events name no entity, or only one side's do, the configured design effect is taken and the verdict says
//! `iid_assumed`. **State**: 64 buckets per side for failures, refusals, latency and losses, about 10 KiB as JSON;
//! segments borrow the figures of all traffic, in which an entity has at least as many events.

use serde::{Deserialize, Serialize};

use crate::infer::deff::{Buckets, design_effect, design_effect_of_means};
use crate::plan::GuardPlan;
use crate::summary::entity::{Answered, RequestCounts};
use crate::summary::{Quality, Traffic};
use crate::verdict::guard::number::{count, rounded};
use crate::verdict::guard::rails::rail::Rail;
use crate::verdict::guard::window::Pair;

/// Losses are counted in millionths when entities are compared.
/// Origin: numerics; sums of millionths fit into a word.
const LOSS_UNIT: f64 = 1e6;

/// Counts by entity, candidate first.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct Alike {
    failed: [Buckets; 2],
    rejected: [Buckets; 2],
    steps: Means,
    losses: Means,
    /// Whether both sides of the newest traffic and of the newest labels named their entities.
    known: (bool, bool),
}

/// What evidence of a change is deflated by.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Inflation {
    pub(crate) failed: f64,
    /// Latency at three quantiles.
    pub(crate) slow: [f64; 3],
    pub(crate) losses: f64,
    /// Columns are not counted by entity: the larger one of failures and latency.
    pub(crate) columns: f64,
}

impl Inflation {
    /// With the noise that versions have for themselves.
    pub(crate) fn with_noise(self, factor: impl Fn(Rail) -> f64) -> Self {
        Self {
            failed: self.failed * factor(Rail::Failed),
            slow: std::array::from_fn(|q| self.slow[q] * factor(Rail::Slow(q))),
            ..self
        }
    }
}

/// Sums by entity, and what their variance would be if events were independent.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
struct Means {
    buckets: [Buckets; 2],
    squares: [f64; 2],
}

impl Means {
    fn add(&mut self, arm: usize, bucket: u64, n: u64, (sum, squares): (i64, f64)) {
        self.buckets[arm].add(bucket, n, sum);
        self.squares[arm] += squares;
    }

    fn design_effect(&self) -> f64 {
        let variance = |arm: usize| {
            let (n, x) = self.buckets[arm].totals();
            if n > 0.0 { (self.squares[arm] / n - (x / n) * (x / n)).max(0.0) } else { 0.0 }
        };
        design_effect_of_means(&self.buckets[0], &self.buckets[1], variance(0), variance(1))
    }
}

impl Alike {
    /// Takes the traffic of a window.
    pub(crate) fn traffic(&mut self, pair: Pair<'_, Traffic>) {
        self.known.0 = !pair.candidate.entities.is_empty() && !pair.baseline.entities.is_empty();
        for (arm, traffic) in [pair.candidate, pair.baseline].into_iter().enumerate() {
            for (bucket, asked) in (0..).zip(&traffic.entities) {
                let RequestCounts { requests, errors, rejected, timed, steps, steps_sq } = *asked;
                self.failed[arm].add(bucket, requests, signed(errors));
                self.rejected[arm].add(bucket, requests, signed(rejected));
                self.steps.add(arm, bucket, timed, (signed(steps), count(steps_sq)));
            }
        }
    }

    /// Takes the labels of a window.
    pub(crate) fn labels(&mut self, pair: Pair<'_, Quality>) {
        self.known.1 = !pair.candidate.entities.is_empty() && !pair.baseline.entities.is_empty();
        for (arm, quality) in [pair.candidate, pair.baseline].into_iter().enumerate() {
            for (bucket, answered) in (0..).zip(&quality.entities) {
                let Answered { n, loss, loss_sq } = *answered;
                let sums = (rounded(loss.value() * LOSS_UNIT), loss_sq.value() * LOSS_UNIT * LOSS_UNIT);
                self.losses.add(arm, bucket, n, sums);
            }
        }
    }

    /// Whether a guardrail's design effect is measured.
    pub(crate) fn is_measured(&self, rail: Rail) -> bool {
        is_known(self.known, rail)
    }

    /// The design effects that are measured; 1 where events name no entity.
    pub(crate) fn measured(&self) -> Inflation {
        let (traffic, labels) = self.known;
        let of_traffic = [design_effect(&self.failed[0], &self.failed[1]), self.steps.design_effect()];
        let [failed, slow] = of_traffic.map(|effect| if traffic { effect } else { 1.0 });
        let losses = if labels { self.losses.design_effect() } else { 1.0 };
        Inflation { failed, slow: [slow; 3], losses, columns: failed.max(slow) }
    }

    /// The design effects of guardrails as they stand.
    pub(crate) fn effects(&self, guard: &GuardPlan) -> impl Fn(Rail) -> f64 + use<> {
        let all = [
            design_effect(&self.failed[0], &self.failed[1]),
            design_effect(&self.rejected[0], &self.rejected[1]),
            self.steps.design_effect(),
            self.losses.design_effect(),
        ];
        let (known, taken) = (self.known, guard.design_effect);
        move |rail| match rail {
            rail if !is_known(known, rail) => taken,
            Rail::Failed => all[0],
            Rail::Rejected => all[1],
            Rail::Slow(_) => all[2],
            Rail::Off(_) | Rail::Loss => all[3],
        }
    }
}

/// Whether entities are known of the events that a guardrail counts.
fn is_known((traffic, labels): (bool, bool), rail: Rail) -> bool {
    if rail.is_of_labels() { labels } else { traffic }
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
