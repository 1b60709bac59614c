//! Whether anything has changed between two versions: a family of sensors, one alarm.
//!
//! `sensor` says what is looked at; `reading`, `moved` and `labels` how a window is read; `detector` gathers the
//! evidence of all sensors; `naming` says what it calls for, and which sensors stand out.

pub(crate) mod detector;
pub(crate) mod labels;
pub(crate) mod moved;
mod naming;
pub(crate) mod reading;
pub(crate) mod sensor;

use crate::plan::{ColumnRole, GuardPlan, Plan};
use crate::summary::{Quality, Traffic};
use crate::verdict::finding::Verdict;
use crate::verdict::guard::Guard;
use crate::verdict::guard::account::Account;
use crate::verdict::guard::change::detector::{Detector, Gathered};
use crate::verdict::guard::change::sensor::SensorKind;
use crate::verdict::guard::scene::Scene;
use crate::verdict::guard::window::Shown;
use crate::verdict::words::tells_failures;

impl Guard for Detector {
    type Memory = Gathered;
    const ACCOUNTS: &'static [Account] = &[];

    fn new(plan: &Plan, guard: &GuardPlan) -> Self {
        Self::of_plan(plan, guard)
    }

    fn words(plan: &Plan, guard: &GuardPlan) -> Vec<String> {
        vec![format!(
            "contain to {} % when anything else that can be tested has changed, and hold at a tenth of that evidence: {}",
            guard.contain_to_pct,
            looked_at(plan, guard).join(", ")
        )]
    }

    fn blind_spots(plan: &Plan, _: &GuardPlan) -> Vec<String> {
        let has_scores = plan.columns.index_of(ColumnRole::Score).is_some();
        (!has_scores).then(|| "answers: no source has `score`".to_owned()).into_iter().collect()
    }

    fn traffic(&self, gathered: &mut Gathered, shown: &Shown<'_, '_, Traffic>) {
        self.take_traffic(gathered, shown.pair, shown.learnt.inflation, shown.history);
    }

    fn labels(&self, gathered: &mut Gathered, shown: &Shown<'_, '_, Quality>) {
        self.take_labels(gathered, shown.pair, shown.learnt.inflation);
    }

    fn forget_labels(&self, gathered: &mut Gathered, _: &GuardPlan) {
        self.forget(gathered, SensorKind::is_of_labels);
    }

    fn rule(&self, gathered: &mut Gathered, scene: Scene<'_, '_>, verdict: &mut Verdict) {
        verdict.findings.extend(self.finding(gathered, scene.judged, scene.baseline));
        let suspects = self.suspects(gathered);
        verdict.suspicious |= suspects;
        verdict.cleared &= !suspects;
    }
}

/// What is looked at, in words.
fn looked_at(plan: &Plan, guard: &GuardPlan) -> Vec<String> {
    let some = |n: usize, what: &str| (n > 0).then(|| format!("{n} {what}"));
    let features = plan.columns.numeric.iter().filter(|column| column.role == ColumnRole::Feature).count();
    let answers =
        plan.columns.index_of(ColumnRole::Score).map(|_| format!("answers (beyond a PSI of {})", guard.answers));
    let errors = tells_failures(plan).then(|| "errors".to_owned());
    let latency = plan.columns.index_of(ColumnRole::Latency).map(|_| "latency".to_owned());
    let columns = [some(features, "numeric features"), some(plan.columns.categorical.len(), "categorical features")];
    let calibration = plan.quality.as_ref().filter(|quality| quality.has_scores()).map(|_| "calibration".to_owned());
    [errors, latency, answers].into_iter().chain(columns).chain([calibration]).flatten().collect()
}
