//! Guardrails: what a candidate must not be worse at than its margin, all of them under one error budget.
//!
//! `rail` says what a guardrail counts; `record` gathers the evidence of one, deflated by what `entities` and `noise`
//! know; `watch` keeps all of them, over all traffic and in segments; `last_look` is the one test at the end; `ruling`
//! says what it all calls for.

pub(crate) mod entities;
pub(crate) mod last_look;
pub(crate) mod noise;
pub(crate) mod rail;
pub(crate) mod record;
pub(crate) mod ruling;
pub(crate) mod watch;

use crate::plan::{ColumnRole, GuardPlan, Plan, Task};
use crate::summary::{Quality, Traffic};
use crate::verdict::finding::Verdict;
use crate::verdict::guard::Guard;
use crate::verdict::guard::account::Account;
use crate::verdict::guard::rails::rail::Rail;
use crate::verdict::guard::rails::watch::{RailMemory, Rails};
use crate::verdict::guard::scene::Scene;
use crate::verdict::guard::window::Shown;
use crate::verdict::words::{percent, tells_failures};

const ROLLBACK: Account = Account::against("rollback", "worse than its margins");
const CONTAIN: Account = Account::against("contain", "worse than the baseline");
const ROLLBACK_AT_END: Account =
    Account::against("rollback: last look", "worse than its margins, after the planned windows");
const CONTAIN_AT_END: Account =
    Account::against("contain: last look", "worse than the baseline, after the planned windows");
const SAFE: Account = Account::speaking_for("safe", "no worse than its margins");

impl Guard for Rails {
    type Memory = RailMemory;
    const ACCOUNTS: &'static [Account] = &[ROLLBACK, CONTAIN, ROLLBACK_AT_END, CONTAIN_AT_END, SAFE];

    fn new(plan: &Plan, guard: &GuardPlan) -> Self {
        Self::of_plan(plan, guard)
    }

    fn words(plan: &Plan, guard: &GuardPlan) -> Vec<String> {
        let margins = margins(plan, guard);
        if margins.is_empty() {
            return Vec::new();
        }
        let version = &plan.policy.baseline_version;
        vec![
            format!("roll back when, compared with {version}, {}", margins.join(", or ")),
            format!(
                "let pass when all of this is shown not to be so, with a chance of {} to be wrong",
                percent(guard.beta)
            ),
        ]
    }

    fn blind_spots(plan: &Plan, guard: &GuardPlan) -> Vec<String> {
        let has_entity = plan.sources.iter().any(|source| source.mapping.entity.is_some());
        let by_pairs = plan.shadow.is_some() && plan.quality.is_some();
        let spots = [
            (rail::rails(plan).is_empty() && !by_pairs).then(|| {
                "whether a candidate may pass, which people have to say: no source tells failures, latency or losses"
                    .to_owned()
            }),
            (!tells_failures(plan)).then(|| "errors: no source has `status` or `error`".to_owned()),
            plan.columns.index_of(ColumnRole::Latency).is_none().then(|| "latency: no source has `latency`".to_owned()),
            (!has_entity).then(|| {
                let effect = guard.design_effect;
                format!(
                    "how alike requests of one user are: no source has `entity`; a design effect of {effect} is assumed"
                )
            }),
        ];
        spots.into_iter().flatten().collect()
    }

    fn traffic(&self, watched: &mut RailMemory, shown: &Shown<'_, '_, Traffic>) {
        self.take_traffic(watched, shown);
    }

    fn labels(&self, watched: &mut RailMemory, shown: &Shown<'_, '_, Quality>) {
        self.take_labels(watched, shown.both, !shown.scene.judged.trust.is_untrusted());
    }

    fn forget_labels(&self, watched: &mut RailMemory, _: &GuardPlan) {
        self.forget(watched, Rail::is_of_labels);
    }

    fn rule(&self, watched: &mut RailMemory, scene: Scene<'_, '_>, verdict: &mut Verdict) {
        self.weigh(watched, scene, verdict);
    }
}

/// What a candidate must not be, in words.
fn margins(plan: &Plan, guard: &GuardPlan) -> Vec<String> {
    let mut margins = Vec::new();
    if tells_failures(plan) {
        let GuardPlan { errors, negligible, .. } = guard;
        margins.push(format!(
            "it fails more than {errors} times as often and in more than {} of answers",
            percent(*negligible)
        ));
    }
    if plan.columns.index_of(ColumnRole::Latency).is_some() {
        margins.push(format!(
            "it is slower by more than {} at its median, 90th or 99th percentile",
            percent(guard.latency)
        ));
    }
    let loss = plan.quality.as_ref().and_then(|quality| match quality.task {
        Task::Regression => Some("mean absolute error"),
        Task::Binary | Task::Multiclass => quality.has_scores().then_some("Brier score"),
    });
    if let Some(loss) = loss {
        let on_top = percent(guard.loss - 1.0);
        margins.push(format!("its {loss} is larger by more than {on_top}, once labels are in"));
    }
    margins
}
