//! Guards: evidence with a guarantee, gathered over a whole rollout from the counts of its windows.
//!
//! A guard sees each window once, in order, and keeps a few numbers per thing that it looks at; nothing is ever
//! recomputed from later knowledge, so that the guarantees hold under constant watching.

mod calibration;
mod change;
mod column;
mod drift;
mod label_gate;
mod number;
mod rails;
mod scene;
mod segments;
mod share;
mod slo;
mod starved;
mod success;
#[cfg(test)]
pub(crate) mod tests;
mod world;

use serde::{Deserialize, Serialize};

use self::calibration::Calibration;
use self::change::detector::{Detector, Gathered};
use self::drift::{Drift, Drifted, Versions};
use self::label_gate::Gate;
use self::rails::noise::History;
use self::rails::rail::Rail;
use self::rails::watch::{Both, Rails, Watched};
use self::scene::Scene;
use self::segments::Locals;
use self::share::Share;
use self::slo::{Kept, Limit, limits};
use self::starved::Starved;
use self::success::Proof;
use self::world::{Now, Usual, World};
use crate::metric::view::{ViewKey, Views};
use crate::name::named;
use crate::plan::{Action, Baseline, GuardPlan, Plan};
use crate::summary::{Quality, Traffic};
use crate::verdict::finding::{Validity, Verdict};
use crate::verdict::judged::{Counts, Judged};

/// The traffic that evidence was held against, by the name of what it was compared with.
pub(crate) fn traffic_of<'v>(
    baseline_kind: &str,
    main: &ViewKey,
    views: &'v Views<Traffic>,
    judged: &'v Judged<'_>,
) -> Option<&'v Traffic> {
    if baseline_kind.starts_with(Baseline::Concurrent.name().as_str()) {
        return views.get(main);
    }
    if baseline_kind == Baseline::Reference.name() {
        return judged.baselines.reference?.get(&main.segment);
    }
    let days = baseline_kind.strip_suffix("d_ago")?.parse().ok()?;
    (judged.baselines.earlier)(&Baseline::DaysAgo(days))?.get(main)
}

named! {
    /// A guard, as findings and evidence name it.
    pub enum GuardName {
        /// worse than a margin, or worse at all
        Guardrails = "guardrails",
        /// shown to achieve what it is to achieve
        Success = "success",
        /// unlike the baseline version in anything that is looked at
        Change = "change",
        /// beyond a limit
        Limits = "slo",
        /// moved away from a reference
        Drift = "drift",
        /// unlike the baseline version within a segment
        Segments = "segments",
        /// scores fit outcomes no more
        Calibration = "calibration",
        /// traffic is not split as declared
        Share = "share",
        /// gets less traffic than it used to
        Volume = "volume",
        /// the version that serves the world is not as it used to be
        World = "world",
    }
}

/// Two versions in one window.
#[derive(Debug)]
pub(crate) struct Pair<'a, T> {
    pub(crate) candidate: &'a T,
    pub(crate) baseline: &'a T,
}

impl<T> Clone for Pair<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Pair<'_, T> {}

/// The guards of a plan, the same for every candidate.
#[derive(Debug, Clone)]
pub(crate) struct Guards {
    baseline_version: String,
    guard: GuardPlan,
    detector: Detector,
    rails: Rails,
    limits: Vec<Limit>,
    drift: Drift,
    world: World,
}

/// What is known about one candidate so far.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Memory {
    change: Gathered,
    rails: Watched,
    limits: Vec<Kept>,
    share: Share,
    #[serde(default)]
    starved: Starved,
    gate: Gate,
    drift: Drifted,
    #[serde(default)]
    segments: Locals,
    calibration: Calibration,
    #[serde(default)]
    success: Vec<Proof>,
    /// Of the baseline version: how its latency wandered before the candidate came.
    history: History,
    /// Of the baseline version: how it usually is.
    #[serde(default)]
    usual: Usual,
    /// Of the newest traffic.
    validity: Validity,
}

impl Memory {
    /// Of a candidate that is met now, given what is known of the version that serves the world.
    pub(crate) fn after(world: Option<&Self>) -> Self {
        Self { history: world.map(|world| world.history.clone()).unwrap_or_default(), ..Self::default() }
    }
}

impl Guards {
    pub(crate) fn new(plan: &Plan, guard: &GuardPlan) -> Self {
        Self {
            baseline_version: plan.policy.baseline_version.clone(),
            guard: guard.clone(),
            detector: Detector::new(plan, guard),
            rails: Rails::new(plan, guard),
            limits: limits(plan, &guard.slo),
            drift: Drift::new(plan, guard),
            world: World::new(plan, guard),
        }
    }

    /// Takes a judged window in, and says what all evidence so far calls for.
    pub(crate) fn judge(&self, memory: &mut Memory, model: &str, candidate: &str, judged: &Judged<'_>) -> Verdict {
        let key =
            |version: &str| ViewKey { model: model.to_owned(), version: version.to_owned(), segment: String::new() };
        let keys = (key(candidate), key(&self.baseline_version));
        let scene = Scene { judged, guard: &self.guard, model, version: candidate, baseline: &self.baseline_version };
        match judged.newest {
            Counts::Traffic(views) => {
                self.traffic(memory, &Both { views, candidate: &keys.0, baseline: &keys.1 }, scene);
            }
            Counts::Quality(views) => {
                self.labels(memory, &Both { views, candidate: &keys.0, baseline: &keys.1 }, scene);
            }
        }
        self.rule(memory, scene)
    }

    /// Takes a judged window in for the baseline version itself, and says what the world does: it is warned of at most.
    pub(crate) fn judge_world(&self, memory: &mut Memory, model: &str, judged: &Judged<'_>) -> Verdict {
        let version = self.baseline_version.as_str();
        let key = ViewKey { model: model.to_owned(), version: version.to_owned(), segment: String::new() };
        let scene = Scene { judged, guard: &self.guard, model, version, baseline: version };
        let mut now = None;
        if let Counts::Traffic(views) = judged.newest {
            match views.get(&key) {
                Some(traffic) => {
                    memory.validity = Validity::Valid;
                    memory.history.update(traffic);
                    let window = Now { views, key: &key, traffic, end: judged.end };
                    self.world.update(&mut memory.usual, window);
                    now = Some(window);
                    let versions = Versions { key: &key, version: traffic, baseline: None };
                    self.drift.update(&mut memory.drift, versions, judged);
                }
                None => memory.validity = Validity::Blind,
            }
        }
        let mut verdict = Verdict { validity: memory.validity, cleared: true, ..Verdict::default() };
        self.drift.rule_world(&memory.drift, scene, &mut verdict);
        self.world.rule(&memory.usual, now, scene, &mut verdict);
        verdict
    }

    fn traffic(&self, memory: &mut Memory, both: &Both<'_, Traffic>, scene: Scene<'_, '_>) {
        let Some(pair) = both.pair("") else {
            memory.validity = Validity::Blind;
            return;
        };
        let least = pair.candidate.rates.requests.min(pair.baseline.rates.requests);
        memory.validity = if least < self.guard.n_min { Validity::Degraded } else { Validity::Valid };
        let effect = memory.rails.alike.effects(&self.guard)(Rail::Failed);
        let inflation = memory.rails.inflation(pair, &memory.history);
        self.detector.traffic(&mut memory.change, pair, inflation, &memory.history);
        self.rails.traffic(&mut memory.rails, both, &memory.history);
        memory.rails.begin(scene.judged.start);
        memory.limits.resize_with(self.limits.len(), Kept::default);
        memory
            .limits
            .iter_mut()
            .zip(&self.limits)
            .for_each(|(kept, &limit)| kept.update(limit, pair, self.guard.planned, effect));
        memory.limits.iter_mut().for_each(|kept| kept.begin(scene.judged.start));
        memory.share.update(both, scene);
        let declared = (scene.judged.exposure)(scene.model, scene.version).declared_pct;
        memory.starved.update(pair, &self.guard, declared);
        let (version, baseline) = (pair.candidate, Some((both.baseline, pair.baseline)));
        self.drift.update(&mut memory.drift, Versions { key: both.candidate, version, baseline }, scene.judged);
        self.drift.update_segments(&mut memory.segments, memory.rails.segments(), both, scene.judged);
    }

    fn labels(&self, memory: &mut Memory, both: &Both<'_, Quality>, scene: Scene<'_, '_>) {
        let may_speak = memory.gate.update(both, scene);
        let Some(pair) = both.pair("").filter(|_| may_speak) else { return };
        self.detector.labels(&mut memory.change, pair, memory.rails.alike.measured());
        self.rails.labels(&mut memory.rails, both);
        let effect = memory.rails.alike.effects(&self.guard)(Rail::Loss);
        memory.calibration.begin(scene.judged.start);
        memory.calibration.update(pair, effect, self.guard.alpha);
        success::update(&mut memory.success, &self.guard, pair, effect);
    }

    fn rule(&self, memory: &mut Memory, scene: Scene<'_, '_>) -> Verdict {
        let mut verdict = Verdict { validity: memory.validity, cleared: true, ..Verdict::default() };
        self.rails.rule(&mut memory.rails, scene, &mut verdict);
        success::rule(&memory.success, scene, &mut verdict);
        let change = self.detector.finding(&mut memory.change, scene.judged, &self.baseline_version);
        verdict.findings.extend(change);
        let suspects = self.detector.suspects(&memory.change);
        verdict.suspicious |= suspects;
        verdict.cleared &= !suspects;
        for (kept, &limit) in memory.limits.iter().zip(&self.limits) {
            kept.rule(limit, scene, &mut verdict);
        }
        self.drift.rule(&memory.drift, scene, &mut verdict);
        self.drift.rule_segments(&memory.segments, scene, &mut verdict);
        self.drift.locate(&memory.segments, &mut verdict);
        memory.calibration.rule(scene, &mut verdict);
        memory.gate.rule(scene, &mut verdict);
        memory.share.rule(scene, &mut verdict);
        memory.starved.rule(scene, &mut verdict);
        verdict.safe &= !verdict.suspicious && !verdict.findings.iter().any(|finding| finding.action >= Action::Hold);
        verdict
    }
}
