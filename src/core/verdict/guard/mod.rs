//! Guards: evidence with a guarantee, gathered over a whole rollout from the counts of its windows.
//!
//! A guard sees each window once, in order, and keeps a few numbers per thing that it looks at; nothing is ever
//! recomputed from later knowledge, so that the guarantees hold under constant watching.
//!
//! A guard is a file with an implementation of [`Guard`], and a line in `list`.

pub(crate) mod account;
mod calibration;
mod change;
mod classes;
mod column;
mod drift;
mod fairness;
mod label_gate;
mod label_thirds;
mod list;
mod looked;
mod measures;
mod number;
mod rails;
mod scene;
mod segments;
mod shadow;
mod share;
mod slo;
mod starved;
mod success;
#[cfg(test)]
pub(crate) mod tests;
mod window;
mod world;

use self::account::Account;
pub(crate) use self::list::Guards;
pub use self::list::{GuardName, Memory, blind_spots, words};
use self::scene::Scene;
use self::window::{Both, Shown};
use self::world::Now;
use crate::metric::view::{ViewKey, Views};
use crate::plan::{Action, Baseline, GuardPlan, Plan};
use crate::summary::{Quality, Traffic};
use crate::verdict::finding::{Validity, Verdict};
use crate::verdict::judged::{Judged, VersionCounts};

/// A test over all windows so far. What it knows beside its own memory is what it is shown, and what guards before it
/// in the list have found.
pub(crate) trait Guard: Sized {
    /// What it remembers of one candidate: a part of the rollout's state.
    type Memory;

    /// The lines of the error budget that it writes.
    const ACCOUNTS: &'static [Account];

    /// The guard of a plan.
    fn new(plan: &Plan, guard: &GuardPlan) -> Self;

    /// When it acts, in words; nothing where it has nothing to look at.
    fn words(_plan: &Plan, _guard: &GuardPlan) -> Vec<String> {
        Vec::new()
    }

    /// What it cannot see in a plan, and why not.
    fn blind_spots(_plan: &Plan, _guard: &GuardPlan) -> Vec<String> {
        Vec::new()
    }

    /// Takes the traffic of both versions in a window.
    fn traffic(&self, _memory: &mut Self::Memory, _shown: &Shown<'_, '_, Traffic>) {}

    /// Takes the labels of both versions in a window.
    fn labels(&self, _memory: &mut Self::Memory, _shown: &Shown<'_, '_, Quality>) {}

    /// Begins anew with all that labels have said: they were biased.
    fn forget_labels(&self, _memory: &mut Self::Memory, _guard: &GuardPlan) {}

    /// Takes the traffic of the version that serves the world, for its own sake.
    fn world(&self, _memory: &mut Self::Memory, _now: Now<'_>, _scene: Scene<'_, '_>) {}

    /// Adds what all evidence about a candidate calls for.
    fn rule(&self, _memory: &mut Self::Memory, _scene: Scene<'_, '_>, _verdict: &mut Verdict) {}

    /// Adds what all evidence about the version that serves the world calls for: to be told. `now` is the newest window
    /// if it was just taken.
    fn rule_world(&self, _memory: &Self::Memory, _now: Option<Now<'_>>, _scene: Scene<'_, '_>, _verdict: &mut Verdict) {
    }
}

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

impl Memory {
    /// Of a candidate that is met now, given what is known of the version that serves the world.
    pub(crate) fn after(world: Option<&Self>) -> Self {
        let known =
            |world: &Self| Self { history: world.history.clone(), gate: world.gate.of_world(), ..Self::default() };
        world.map(known).unwrap_or_default()
    }
}

impl Guards {
    /// Takes a judged window in, and says what all evidence so far calls for.
    pub(crate) fn judge(&self, memory: &mut Memory, model: &str, candidate: &str, judged: &Judged<'_>) -> Verdict {
        let key =
            |version: &str| ViewKey { model: model.to_owned(), version: version.to_owned(), segment: String::new() };
        let keys = (key(candidate), key(&self.baseline_version));
        let scene = Scene { judged, guard: &self.guard, model, version: candidate, baseline: &self.baseline_version };
        match judged.newest {
            VersionCounts::Traffic(views) => {
                self.traffic(memory, &Both { views, candidate: &keys.0, baseline: &keys.1 }, scene);
            }
            VersionCounts::Quality(views) => {
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
        match judged.newest {
            VersionCounts::Quality(_) => memory.gate.update_world(scene),
            VersionCounts::Traffic(views) => match views.get(&key) {
                Some(traffic) => {
                    memory.validity = Validity::Valid;
                    memory.history.update(traffic);
                    let window = Now { views, key: &key, traffic, end: judged.end };
                    self.show_world(memory, window, scene);
                    now = Some(window);
                }
                None => memory.validity = Validity::Blind,
            },
        }
        let mut verdict = Verdict { validity: memory.validity, cleared: true, ..Verdict::default() };
        self.ask_of_world(memory, now, scene, &mut verdict);
        memory.gate.rule_world(scene, &mut verdict);
        verdict
    }

    fn traffic(&self, memory: &mut Memory, both: &Both<'_, Traffic>, scene: Scene<'_, '_>) {
        let Some(pair) = both.pair("") else {
            memory.validity = Validity::Blind;
            return;
        };
        let least = pair.candidate.rates.requests.min(pair.baseline.rates.requests);
        memory.validity = if least < self.guard.n_min { Validity::Degraded } else { Validity::Valid };
        let learnt = &self.rails.learn_traffic(&mut memory.rails, both, pair, &memory.history);
        let history = std::mem::take(&mut memory.history);
        self.show_traffic(memory, &Shown { both, pair, scene, history: &history, learnt });
        memory.history = history;
    }

    fn labels(&self, memory: &mut Memory, both: &Both<'_, Quality>, scene: Scene<'_, '_>) {
        let may_speak = memory.gate.update(both, scene);
        if !may_speak {
            self.forget_labels(memory);
        }
        let Some(pair) = both.pair("").filter(|_| may_speak) else { return };
        let learnt = &self.rails.learn_labels(&mut memory.rails, pair);
        let history = std::mem::take(&mut memory.history);
        self.show_labels(memory, &Shown { both, pair, scene, history: &history, learnt });
        memory.history = history;
    }

    fn rule(&self, memory: &mut Memory, scene: Scene<'_, '_>) -> Verdict {
        let mut verdict = Verdict { validity: memory.validity, cleared: true, ..Verdict::default() };
        self.ask(memory, scene, &mut verdict);
        memory.gate.rule(scene, &mut verdict);
        memory.shadow.rule_alone(&mut verdict);
        verdict.safe &= !verdict.suspicious && !verdict.findings.iter().any(|finding| finding.action >= Action::Hold);
        verdict
    }
}
