//! Sample ratio: whether the candidate gets the share of traffic that it was declared to get.
//!
//! If it does not, events of one side are lost or users are not assigned at random, and no comparison means what it
//! says (`infer::sample_ratio`). So the verdict is void: exposure is held, nothing is safe, and the data count as
//! degraded; nobody is rolled back for it.
//!
//! The window in which a declaration changes is left out. Where a target is looked at, the change came before the look
//! that shows it: windows count once looks around them agree (`looked`). Users who come back make requests alike; the
//! design effect of the share is taken from buckets of entities, else as configured. **State**: ten bets, 64 buckets,
//! and counts of a few windows that wait.

use serde::{Deserialize, Serialize};

use crate::event::Micros;
use crate::infer::deff::{Buckets, design_effect_of_means};
use crate::infer::sample_ratio::{SampleRatio, TOLERATED};
use crate::infer::two_sample::Arm;
use crate::metric::row::ALL_VERSIONS;
use crate::metric::view::ViewKey;
use crate::plan::{Action, GuardPlan, Plan};
use crate::reason::ReasonCode;
use crate::summary::Traffic;
use crate::verdict::decision::{Evidence, Remark, Test};
use crate::verdict::finding::{Validity, Verdict};
use crate::verdict::guard::Guard;
use crate::verdict::guard::GuardName;
use crate::verdict::guard::account::Account;
use crate::verdict::guard::looked::{LookedShares, UnsureWindow};
use crate::verdict::guard::number::{count, e_value};
use crate::verdict::guard::scene::{Scene, reason};
use crate::verdict::guard::window::Both;
use crate::verdict::guard::window::Shown;

const SOURCE: GuardName = GuardName::Share;
/// Chance to call a share that is right wrong.
/// Origin: choice; a hundred times as strict as a guard, since routing is checked in every window.
const ALPHA: f64 = 1e-4;

const SHARE: Account = Account::against("share", "traffic not split as declared");

/// The guard.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Share;

/// Whether a share can be told from what it should be: of nothing and of all there is no other side.
fn can_be_wrong(declared: f64) -> bool {
    declared > 0.0 && declared * (1.0 + TOLERATED) < 1.0
}

/// What is known about the candidate's share.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct Routed {
    declared: Option<f64>,
    ratio: SampleRatio,
    /// Requests of both versions by entity, and those of the candidate.
    split: Buckets,
    entities_known: bool,
    total: Arm,
    /// Start of the first window.
    #[serde(default)]
    since: Option<Micros>,
    #[serde(default, skip_serializing_if = "LookedShares::is_empty")]
    looks: LookedShares,
}

impl Guard for Share {
    type Memory = Routed;
    const ACCOUNTS: &'static [Account] = &[SHARE];

    fn new(_: &Plan, _: &GuardPlan) -> Self {
        Self
    }

    fn blind_spots(plan: &Plan, _: &GuardPlan) -> Vec<String> {
        let declared = plan.sources.iter().any(|source| source.mapping.exposure.is_some());
        let split = "whether traffic is split as intended: there is no source `exposures`, and no target of `act` with \
                     `exposure: true`";
        (!declared).then(|| split.to_owned()).into_iter().collect()
    }

    fn traffic(&self, routed: &mut Routed, shown: &Shown<'_, '_, Traffic>) {
        routed.update(shown.both, shown.scene);
    }

    fn rule(&self, routed: &mut Routed, scene: Scene<'_, '_>, verdict: &mut Verdict) {
        routed.rule(scene, verdict);
    }
}

impl Routed {
    /// Takes one window.
    pub(crate) fn update(&mut self, both: &Both<'_, Traffic>, scene: Scene<'_, '_>) {
        let declared = (scene.judged.exposure)(scene.model, scene.version).declared_pct.map(|pct| pct / 100.0);
        let Some(looks) = (scene.judged.looks)(scene.model, scene.version) else {
            let before = std::mem::replace(&mut self.declared, declared);
            let (Some(declared), true) = (declared, declared == before) else { return };
            if can_be_wrong(declared)
                && let Some(arm) = self.count(both)
            {
                self.bet(arm, declared, scene.judged.start, scene);
            }
            return;
        };
        // What was found stays for as long as nothing else is known.
        self.declared = declared.or(self.declared);
        let Some(arm) = self.count(both) else { return };
        self.looks.wait(UnsureWindow { start: scene.judged.newest_from, end: scene.judged.end, arm }, looks.holds);
        for (UnsureWindow { start, arm, .. }, share) in self.looks.take(&looks) {
            if can_be_wrong(share) {
                self.bet(arm, share, start, scene);
            }
        }
    }

    /// The candidate's requests of all. Whose they are is noted.
    fn count(&mut self, both: &Both<'_, Traffic>) -> Option<Arm> {
        let all = ViewKey { version: ALL_VERSIONS.to_owned(), ..both.candidate.clone() };
        let (all, pair) = both.views.get(&all).zip(both.pair(""))?;
        self.entities_known = !pair.candidate.entities.is_empty() && !pair.baseline.entities.is_empty();
        for (bucket, asked) in (0..).zip(&pair.candidate.entities) {
            self.split.add(bucket, asked.requests, i64::try_from(asked.requests).unwrap_or(i64::MAX));
        }
        for (bucket, asked) in (0..).zip(&pair.baseline.entities) {
            self.split.add(bucket, asked.requests, 0);
        }
        Some(Arm { n: all.served(), x: count(pair.candidate.served()) })
    }

    fn bet(&mut self, arm: Arm, declared: f64, start: Micros, scene: Scene<'_, '_>) {
        let cap = SampleRatio::cap(ALPHA, scene.guard.windows_min, self.design_effect(scene));
        self.ratio.update(arm, declared, cap);
        self.total = self.total.plus(arm);
        self.since.get_or_insert(start);
    }

    fn design_effect(&self, scene: Scene<'_, '_>) -> f64 {
        if !self.entities_known {
            return scene.guard.design_effect.max(1.0);
        }
        let (n, x) = self.split.totals();
        let variance = x / n * (1.0 - x / n);
        design_effect_of_means(&self.split, &self.split, variance, variance)
    }

    /// Adds what a wrong share calls for.
    pub(crate) fn rule(&self, scene: Scene<'_, '_>, verdict: &mut Verdict) {
        let Some(declared) = self.declared else { return };
        let deff = self.design_effect(scene);
        let e = e_value(self.ratio.log_e(deff));
        verdict.spend(SHARE, "", ALPHA, e);
        if e < 1.0 / ALPHA {
            return;
        }
        verdict.validity = verdict.validity.max(Validity::Degraded);
        verdict.cleared = false;
        verdict.safe = false;
        let observed = self.total.x / count(self.total.n.max(1));
        let text = format!(
            "the candidate got {:.2} % of all requests so far, declared are {:.2} %: comparisons of the versions are void",
            observed * 100.0,
            declared * 100.0
        );
        let evidence = Evidence {
            metric: "throughput".to_owned(),
            baseline_kind: String::new(),
            convention: "share".to_owned(),
            estimate: observed,
            bound: declared,
            e_value: Some(e),
            alpha: Some(ALPHA),
            margin: Some(1.0 + TOLERATED),
            n_candidate: self.total.n,
            flags: vec![Remark::VerdictVoid.into()],
            window: (self.since.unwrap_or(scene.judged.start), scene.judged.end),
            ..scene.evidence(SOURCE, Test::SampleRatio)
        };
        verdict.findings.push(scene.finding(
            SOURCE,
            Action::Hold,
            reason(ReasonCode::TrafficMismatch, text),
            vec![evidence],
        ));
    }
}
