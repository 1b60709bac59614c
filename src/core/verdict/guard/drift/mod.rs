//! Drift, watched forever: every column and score against what it used to be.
//!
//! A version is held against each fixed or seasonal reference of the pipeline (the reference profile; the same hour so
//! many days ago), and against the baseline version in the same window. Each comparison is a population stability index
//! over 20 quantile bins (of the profile, else of both sides together: `metric::paired`) with a tolerance
//! (`infer::psi_tolerance`), for scores beside a Kolmogorov-Smirnov distance with the same tolerance
//! (`infer::ks_tolerance`), whose p-values feed a detector that errs once in `A` windows on average
//! (`infer::shiryaev`, `A` the plan's patience). Columns share one budget by the e-d-BH rule.
//!
//! **Whose drift it is** is a difference in differences. The season moves both versions, and on real logs it moves more
//! than half of all columns beyond any fixed bound, so drift from a reference alone never names a candidate:
//! * both versions moved away from the reference: the *world*. It warns, for the version that serves the world;
//! * the candidate moved, the baseline version did not, *and* the two differ in the same windows: the *model*, or the
//!   way to it. It is contained. All three must hold, so this errs no more often than any one of them.
//!
//! With segments, `segments` watches those with the most traffic by the same tests, and has half of the budget.
//!
//! What the world may do by itself is more than what is tolerated where days have hours and levels wander: the index of
//! a shift by `d` deviations is about `d^2`, so a version that serves the world may be off by the root of what is
//! tolerated and [`WANDERS`] times as much as the mean normal score of earlier windows went up and down
//! (`infer::wander`), or, before a day is known, by a deviation more. Once [`CALM`] windows were as usual, it is over.
//!
//! Missing values and NaN make a cell of their own. How much alike one entity's features are is seen from how windows
//! differ (`infer::likeness`); until that is known, the configured design effect widens every test, and it is the most
//! that is reckoned with. **State**: three detectors per column and reference, fifteen numbers each. **Cost**: one pass
//! over the fine bins of three histograms per column and window.

#[cfg(test)]
pub(crate) mod tests;
mod usual;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use self::usual::UsualLocation;
pub(super) use self::usual::WANDERS;
use crate::event::{Micros, SECOND};
use crate::infer::likeness::Likeness;
use crate::infer::multiplicity::e_d_bh;
use crate::infer::psi_tolerance::{PsiTest, tolerance_for};
use crate::infer::shiryaev::{AlarmRule, Monitor};
use crate::metric::{self, view::ViewKey};
use crate::plan::{Action, Baseline, GuardPlan, Plan};
use crate::summary::Traffic;
use crate::verdict::decision::{Evidence, Test};
use crate::verdict::finding::{Finding, Verdict};
use crate::verdict::guard::Guard;
use crate::verdict::guard::GuardName;
use crate::verdict::guard::account::Account;
use crate::verdict::guard::column::{Column, columns};
use crate::verdict::guard::number::{e_value, float};
use crate::verdict::guard::scene::{Scene, reason};
use crate::verdict::guard::window::Shown;
use crate::verdict::guard::world::{CALM, Now};
use crate::verdict::judged::Judged;

const SOURCE: GuardName = GuardName::Drift;
/// Evidence below this power of `A` is no longer evidence: detectors must fall that low before a restriction is lifted.
/// Origin: choice; so far below that noise does not lift and renew a restriction in turn.
pub(crate) const CLEAR: f64 = 0.5;
/// Columns that are named at most.
/// Origin: choice; more are not read at night.
pub(crate) const NAMED_MAX: usize = 5;
/// Origin: derived; the calendar.
const DAY: Micros = 86_400 * SECOND;

const DRIFT: Account = Account::against("drift", "moved away from what was learned");

/// What is watched.
#[derive(Debug, Clone)]
pub(crate) struct Drift {
    pub(crate) columns: Arc<[Column]>,
    pub(crate) references: Arc<[Baseline]>,
    pub(crate) guard: GuardPlan,
    /// Windows that make a day; 0 where one does.
    of_a_day: u32,
    /// Places for segments; none without segments.
    pub(crate) places: u32,
}

/// What is known about one version's drift.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct Drifted {
    /// Against the baseline version, by column.
    concurrent: Vec<DriftDetector>,
    /// Against each reference, by column.
    references: Vec<ReferenceDetectors>,
}

/// Detectors against one reference, by column.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
struct ReferenceDetectors {
    version: Vec<DriftDetector>,
    baseline: Vec<DriftDetector>,
}

/// One detector, and what it saw last.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct DriftDetector {
    pub(crate) monitor: Monitor,
    #[serde(default)]
    likeness: Likeness,
    /// Where it usually lies; only of the version that serves the world, against the reference.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    usual: Option<UsualLocation>,
    /// Windows in a row of the world that were as usual.
    #[serde(default, skip_serializing_if = "is_zero")]
    calm: u32,
    pub(crate) psi: f64,
    /// Events of the version and the reference.
    pub(crate) n: (u64, u64),
}

/// One column of two sides in one window.
pub(crate) struct Compared {
    pub(crate) psi: PsiTest,
    /// The p-value of the distance, for scores.
    ks: Option<f64>,
    pub(crate) n: (u64, u64),
}

impl Compared {
    /// The p-values of all tests.
    pub(crate) fn ps(&self) -> impl Iterator<Item = f64> {
        std::iter::once(self.psi.p()).chain(self.ks)
    }
}

impl DriftDetector {
    pub(crate) fn log_r(&self) -> f64 {
        self.monitor.log_r()
    }

    /// Notes a window of the world: once it has been as usual for long enough, what stood is over.
    fn settle(&mut self, tolerated: f64) {
        self.calm = if self.psi <= tolerated { self.calm.saturating_add(1) } else { 0 };
        if self.calm >= CALM {
            self.monitor.forget();
        }
    }
}

/// The versions of a window that are compared.
#[derive(Clone, Copy)]
struct Versions<'a> {
    key: &'a ViewKey,
    version: &'a Traffic,
    /// The baseline version, unless it is the one that is judged.
    baseline: Option<(&'a ViewKey, &'a Traffic)>,
}

impl Guard for Drift {
    type Memory = Drifted;
    const ACCOUNTS: &'static [Account] = &[DRIFT];

    fn new(plan: &Plan, guard: &GuardPlan) -> Self {
        let is_watched = |column: &Column| !guard.drift_except.contains(&column.name);
        let days_ago = plan.baselines.iter().filter(|baseline| matches!(baseline, Baseline::DaysAgo(_))).cloned();
        let reference = plan.reference.iter().map(|_| Baseline::Reference);
        Self {
            columns: columns(plan).filter(is_watched).collect(),
            references: reference.chain(days_ago).collect(),
            guard: guard.clone(),
            of_a_day: of_a_day(plan),
            places: if plan.segments.is_empty() { 0 } else { guard.segments_max },
        }
    }

    fn words(plan: &Plan, guard: &GuardPlan) -> Vec<String> {
        if plan.reference.is_none() {
            return Vec::new();
        }
        let tolerated = format!("drift: a column or score is further from the reference than a PSI of {}", guard.drift);
        let first_day = "drift of all versions together: on the first day only of what is more than a deviation off";
        let has_hours = of_a_day(plan) > 0 && !plan.columns.numeric.is_empty();
        let first_day = Some(first_day.to_owned()).filter(|_| has_hours);
        std::iter::once(tolerated).chain(first_day).chain(never(plan, guard)).collect()
    }

    fn blind_spots(plan: &Plan, _: &GuardPlan) -> Vec<String> {
        let all = "drift since training, and of all versions together: there is no `reference`";
        plan.reference.is_none().then(|| all.to_owned()).into_iter().collect()
    }

    fn traffic(&self, drifted: &mut Drifted, shown: &Shown<'_, '_, Traffic>) {
        let (version, baseline) = (shown.pair.candidate, Some((shown.both.baseline, shown.pair.baseline)));
        self.update(drifted, Versions { key: shown.both.candidate, version, baseline }, shown.scene.judged);
    }

    fn world(&self, drifted: &mut Drifted, now: Now<'_>, scene: Scene<'_, '_>) {
        self.update(drifted, Versions { key: now.key, version: now.traffic, baseline: None }, scene.judged);
    }

    fn rule(&self, drifted: &mut Drifted, scene: Scene<'_, '_>, verdict: &mut Verdict) {
        self.blame(drifted, scene, verdict);
    }

    fn rule_world(&self, drifted: &Drifted, _: Option<Now<'_>>, scene: Scene<'_, '_>, verdict: &mut Verdict) {
        self.tell_world(drifted, scene, verdict);
    }
}

/// Windows that make a day; 0 where one does.
fn of_a_day(plan: &Plan) -> u32 {
    u32::try_from(DAY / plan.time.every()).map_or(u32::MAX, |n| if n > 1 { n } else { 0 })
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_zero(count: &u32) -> bool {
    *count == 0
}

/// Columns that are not held against the reference, in words.
fn never(plan: &Plan, guard: &GuardPlan) -> Option<String> {
    let columns = &plan.columns;
    let numeric = columns.numeric.iter().map(|column| column.name.as_str());
    let names = numeric.chain(columns.categorical.iter().map(|column| column.name.as_str()));
    let excepted = |name: &&str| guard.drift_except.iter().any(|one| one == name);
    let why = |name: &str| match (excepted(&name), plan.time.is_within_a_cycle(name)) {
        (true, _) => Some(format!("{name} (`drift_except`)")),
        (false, true) => Some(format!("{name} (it tells the time, and a window holds no whole cycle)")),
        _ => None,
    };
    let left_out: Vec<String> = names.filter_map(why).collect();
    (!left_out.is_empty()).then(|| format!("never drift: {}", left_out.join(", ")))
}

impl Drift {
    /// Takes one window.
    fn update(&self, drifted: &mut Drifted, versions: Versions<'_>, judged: &Judged<'_>) {
        drifted.references.resize_with(self.references.len(), ReferenceDetectors::default);
        for (against, reference) in drifted.references.iter_mut().zip(self.references.iter()) {
            let fixed = *reference == Baseline::Reference;
            if let Some(reference) = find(reference, versions.key, judged) {
                let of_world = versions.baseline.is_none();
                if of_world && fixed {
                    self.begin(&mut against.version);
                }
                self.look(&mut against.version, versions.version, (reference, fixed), of_world);
                if of_world {
                    self.learn(&mut against.version, versions.version, reference);
                }
            }
            if let Some((key, traffic)) = versions.baseline
                && let Some(reference) = find(reference, key, judged)
            {
                self.look(&mut against.baseline, traffic, (reference, fixed), false);
            }
        }
        if let Some((_, baseline)) = versions.baseline {
            self.look(&mut drifted.concurrent, versions.version, (baseline, false), false);
        }
    }

    fn look(
        &self,
        watches: &mut Vec<DriftDetector>,
        current: &Traffic,
        (reference, fixed): (&Traffic, bool),
        of_world: bool,
    ) {
        watches.resize_with(self.columns.len(), DriftDetector::default);
        let pairs = watches.iter_mut().zip(self.columns.iter());
        for (watch, column) in pairs.filter(|(_, column)| !(fixed && column.calendar)) {
            let deff = watch.likeness.design_effect(self.guard.design_effect);
            let tolerated = self.tolerated(watch);
            if let Some(compared) = self.compare(column, (current, reference, fixed), tolerated, deff) {
                watch.monitor.update_with(&compared.ps().collect::<Vec<_>>(), self.alarm());
                watch.likeness.update(&compared.psi, self.guard.design_effect);
                (watch.psi, watch.n) = (compared.psi.debiased(), compared.n);
                if of_world {
                    watch.settle(tolerated);
                }
            }
        }
    }

    /// Watches where numbers usually lie from now on.
    fn begin(&self, watches: &mut Vec<DriftDetector>) {
        watches.resize_with(self.columns.len(), DriftDetector::default);
        let numeric = watches.iter_mut().zip(self.columns.iter()).filter(|(_, column)| column.is_numeric());
        numeric.for_each(|(watch, _)| watch.usual = Some(watch.usual.take().unwrap_or_default()));
    }

    fn learn(&self, watches: &mut [DriftDetector], current: &Traffic, reference: &Traffic) {
        for (watch, column) in watches.iter_mut().zip(self.columns.iter()) {
            let Some(usual) = &mut watch.usual else { continue };
            let location = column.location(current, reference).filter(|location| location.n >= self.guard.n_min);
            location.into_iter().for_each(|location| usual.learn(location, self.guard.drift, self.of_a_day));
        }
    }

    /// The index that is as usual.
    fn tolerated(&self, watch: &DriftDetector) -> f64 {
        let drift = self.guard.drift;
        watch.usual.as_ref().map_or(drift, |usual| usual.tolerated(drift, self.of_a_day))
    }

    /// Compares a column with a reference, fixed or not; nothing where there is too little of it.
    pub(crate) fn compare(
        &self,
        column: &Column,
        (current, reference, fixed): (&Traffic, &Traffic, bool),
        tolerated: f64,
        deff: f64,
    ) -> Option<Compared> {
        let ks = column.ks_p(current, reference, tolerated, deff);
        let [cells, reference] = column.cells(current, (reference, fixed));
        let (n, m): (u64, u64) = (cells.iter().sum(), reference.iter().sum());
        if n < self.guard.n_min || m < self.guard.n_min {
            return None;
        }
        let k = u32::try_from(cells.len()).unwrap_or(u32::MAX);
        let tau = tolerance_for(tolerated, k, m);
        Some(Compared { psi: PsiTest::of(&reference, &cells, tau, deff)?, ks, n: (n, m) })
    }

    /// Mean windows between false findings about all traffic, and about segments.
    pub(crate) fn patience(&self) -> f64 {
        self.guard.patience() * if self.places > 0 { 2.0 } else { 1.0 }
    }

    /// One column alone must reach this many times the patience.
    fn alarm(&self) -> AlarmRule {
        let patience = self.patience() * float(self.columns.len().max(1));
        AlarmRule { patience, windows_min: self.guard.windows_min }
    }

    /// Adds what drift of a candidate calls for.
    fn blame(&self, drifted: &Drifted, scene: Scene<'_, '_>, verdict: &mut Verdict) {
        let (patience, bound) = (self.patience(), CLEAR * libm::log(self.patience()));
        let concurrent = self.listed(&drifted.concurrent);
        let mut most: f64 = 0.0;
        for (against, reference) in drifted.references.iter().zip(self.references.iter()) {
            let quiet = |column: &usize| against.baseline.get(*column).is_none_or(|watch| watch.log_r() < bound);
            let of_model = |column: usize| -> f64 {
                let log_r =
                    |watches: &[DriftDetector]| watches.get(column).map_or(f64::NEG_INFINITY, DriftDetector::log_r);
                log_r(&against.version).min(log_r(&drifted.concurrent))
            };
            let candidates = (0..self.columns.len()).filter(quiet);
            let strongest = candidates.map(of_model).fold(f64::NEG_INFINITY, f64::max);
            most = most.max(e_value(strongest));
            verdict.cleared &= strongest < bound;
            verdict.suspicious |= strongest >= bound + (libm::log(patience) - bound) / 2.0;
            let named: Vec<usize> = self
                .listed(&against.version)
                .into_iter()
                .filter(|column| quiet(column) && concurrent.contains(column))
                .collect();
            if !named.is_empty() {
                let text = "the candidate moved and the baseline version did not";
                self.find(Action::Contain, &named, &against.version, (reference, text), scene, verdict);
            }
        }
        let alpha = self.guard.alpha * self.guard.patience() / self.patience();
        verdict.account(DRIFT, alpha, most, libm::exp(self.alarm().threshold()));
    }

    /// Adds what drift of the version that serves the world calls for.
    fn tell_world(&self, drifted: &Drifted, scene: Scene<'_, '_>, verdict: &mut Verdict) {
        for (against, reference) in drifted.references.iter().zip(self.references.iter()) {
            let named = self.listed(&against.version);
            if !named.is_empty() {
                self.find(Action::Warn, &named, &against.version, (reference, "the world moved"), scene, verdict);
            }
        }
    }

    /// The columns that have drifted (e-d-BH with equal weights), those with the most evidence first.
    fn listed(&self, watches: &[DriftDetector]) -> Vec<usize> {
        let log_r: Vec<f64> = watches.iter().map(DriftDetector::log_r).collect();
        let mut listed = e_d_bh(&log_r, &vec![1.0; log_r.len()], self.patience());
        listed.sort_by(|&a, &b| log_r[b].total_cmp(&log_r[a]));
        listed
    }

    fn find(
        &self,
        action: Action,
        named: &[usize],
        watches: &[DriftDetector],
        (reference, text): (&Baseline, &str),
        scene: Scene<'_, '_>,
        verdict: &mut Verdict,
    ) {
        let (shown, more) = named.split_at(named.len().min(NAMED_MAX));
        let evidence = |&column: &usize| {
            let one = &watches[column];
            Evidence {
                metric: metric::DRIFT.spec().name.to_owned(),
                column: self.columns[column].name.clone(),
                baseline_kind: reference.name(),
                convention: "debiased".to_owned(),
                estimate: one.psi,
                bound: self.tolerated(one),
                e_value: Some(e_value(one.log_r())),
                alpha: Some(1.0 / self.patience()),
                margin: Some(self.tolerated(one)),
                n_candidate: one.n.0,
                n_baseline: one.n.1,
                ..scene.evidence(SOURCE, Test::ShiryaevRoberts)
            }
        };
        let columns: Vec<&str> = shown.iter().map(|&column| self.columns[column].name.as_str()).collect();
        let text = format!("{text}, away from {}: {} ({} in all)", reference.name(), columns.join(", "), named.len());
        let code = self.columns[shown[0]].code;
        let finding = scene.finding(SOURCE, action, reason(code, text), shown.iter().map(evidence).collect());
        verdict.findings.push(Finding { beside: more.iter().map(evidence).collect(), ..finding });
    }
}

/// The traffic that a reference means for a view.
pub(crate) fn find<'a>(reference: &Baseline, key: &ViewKey, judged: &Judged<'a>) -> Option<&'a Traffic> {
    match reference {
        Baseline::Reference => judged.baselines.reference?.get(&key.segment),
        _ => (judged.baselines.earlier)(reference)?.get(key),
    }
}
