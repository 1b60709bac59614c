//! Classes: whether a candidate errs more often in one of several classes, however well it does in all others.
//!
//! Of each class are watched the labels of it that were answered otherwise (1 less *recall*) and the answers with it
//! that were wrong (1 less *precision*), and beside them all wrong answers (1 less *accuracy*). None may be more than a
//! margin times as frequent as the baseline version's. `E = 1/2 E_overall + 1/2 mean over places of E_place`, with two
//! places for each class that may come, free ones counting 1: a mean of e-processes under fixed weights, so under no
//! harm it ever reaches `1 / alpha` with a chance of at most `alpha`, for all classes and looks at once.
//!
//! * **Rollback** when it does. Named are what e-BH lists at 10 % (`infer::multiplicity`), and of that what rests on
//!   errors enough.
//!
//! The first window with labels says how many classes there are, and twice as many have places; evidence of a class
//! begins with the window after the one that first had a label of it, so that no bet depends on what it is about.
//! Labels of one user are alike as losses are.
//!
//! **Source**: a mean half on all and half on each is that of Global sequential testing for multi-stream auditing,
//! arXiv 2602.21479, 2026; names by Wang and Ramdas, JRSS B 84(3), 2022. **State**: 52 numbers per class. **Cost**: 50
//! logarithms per class and window.

mod record;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use self::record::{ErrorEvidence, ErrorTerms, Respect, overall};
use crate::event::Micros;
use crate::infer::multiplicity::e_bh;
use crate::plan::{Action, GuardPlan, Plan};
use crate::reason::ReasonCode;
use crate::summary::Quality;
use crate::summary::classes::CLASSES_MAX;
use crate::verdict::decision::{Evidence, Test};
use crate::verdict::finding::Verdict;
use crate::verdict::guard::account::Account;
use crate::verdict::guard::number::{e_value, float};
use crate::verdict::guard::rails::ruling::{NAMED_FALSELY, NAMED_MAX, RARE_MIN};
use crate::verdict::guard::scene::{Scene, reason};
use crate::verdict::guard::window::{Pair, Shown};
use crate::verdict::guard::{Guard, GuardName};
use crate::verdict::words;

const SOURCE: GuardName = GuardName::Classes;
const ERRS: Account = Account::against("classes", "errs more often in a class than its margin allows");
/// Share of the error budget of all wrong answers.
/// Origin: literature; half on the mean and half on the parts (arXiv 2602.21479).
const OF_OVERALL: f64 = 0.5;
/// Classes that have places at least.
/// Origin: choice; a logarithm of twice as many is hardly to be seen.
const PLACES_MIN: usize = 8;

/// The guard.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ClassGuard;

/// What is known of all classes.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct ClassMemory {
    /// Classes that may be watched; 0 before the first labels.
    places: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    overall: Option<ErrorEvidence>,
    /// By class: what it missed, and what it answered wrongly.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    classes: BTreeMap<String, [ErrorEvidence; 2]>,
    /// Start of the first window.
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<Micros>,
}

/// One respect of one class; of all of them the class is empty.
#[derive(Clone, Copy)]
struct Watched<'a> {
    class: &'a str,
    terms: ErrorTerms<'a>,
    record: &'a ErrorEvidence,
}

impl Guard for ClassGuard {
    type Memory = ClassMemory;
    const ACCOUNTS: &'static [Account] = &[ERRS];

    fn new(_: &Plan, _: &GuardPlan) -> Self {
        Self
    }

    fn words(plan: &Plan, guard: &GuardPlan) -> Vec<String> {
        let version = &plan.policy.baseline_version;
        let words = |margin: f64| {
            format!(
                "roll back when it misses one of the classes, or is wrong where it answers with it, more than {margin} \
                 times as often as {version}"
            )
        };
        guard.classes.into_iter().map(words).collect()
    }

    fn labels(&self, memory: &mut ClassMemory, shown: &Shown<'_, '_, Quality>) {
        if let Some(margin) = shown.scene.guard.classes {
            memory.since.get_or_insert(shown.scene.judged.start);
            memory.take(shown.scene.guard, margin, shown.pair, shown.learnt.effect);
            memory.meet(shown.pair);
        }
    }

    fn forget_labels(&self, memory: &mut ClassMemory, _: &GuardPlan) {
        *memory = ClassMemory::default();
    }

    fn rule(&self, memory: &mut ClassMemory, scene: Scene<'_, '_>, verdict: &mut Verdict) {
        let Some(margin) = scene.guard.classes else { return };
        let all: Vec<Watched<'_>> = memory.watched(scene.guard, margin).collect();
        let is_enough = verdict.spend_against(ERRS, "", scene.guard.alpha, total(&all));
        if is_enough && scene.judged.order.1.speaks_of(Respect::Overall.metric()) {
            let named = named(&all);
            let texts: Vec<String> = named.iter().map(Watched::describe).collect();
            let evidence = named.iter().map(|one| one.evidence(memory.since, scene)).collect();
            let reason = reason(ReasonCode::OutcomeRegression, format!("worse than its margin: {}", texts.join("; ")));
            verdict.findings.push(scene.finding(SOURCE, Action::Rollback, reason, evidence));
        }
    }
}

impl ClassMemory {
    /// The share of the error budget of one respect of a class.
    fn weight(&self) -> f64 {
        (1.0 - OF_OVERALL) / 2.0 / float(self.places.max(1))
    }

    fn take(&mut self, guard: &GuardPlan, margin: f64, pair: Pair<'_, Quality>, deff: f64) {
        let terms = |respect, weight| ErrorTerms { guard, margin, respect, weight };
        let of_all = terms(Respect::Overall, OF_OVERALL);
        self.overall.get_or_insert_default().update(of_all, overall(pair), deff);
        let weight = self.weight();
        for (class, records) in &mut self.classes {
            let counts = [pair.candidate, pair.baseline].map(|quality| quality.classes.of(class));
            for (respect, record) in [Respect::Missed, Respect::Wrong].into_iter().zip(records) {
                record.update(terms(respect, weight), counts.map(|counts| respect.errors(counts)), deff);
            }
        }
    }

    /// Gives places to classes that have labels now.
    fn meet(&mut self, pair: Pair<'_, Quality>) {
        let labelled = [pair.candidate, pair.baseline].into_iter().flat_map(|quality| quality.classes.iter());
        let met: BTreeSet<&str> = labelled.filter(|(_, counts)| counts.labelled > 0).map(|(class, _)| class).collect();
        if self.places == 0 && !met.is_empty() {
            self.places = (2 * met.len()).clamp(PLACES_MIN, CLASSES_MAX);
        }
        for class in met {
            if self.classes.len() < self.places && !self.classes.contains_key(class) {
                self.classes.insert(class.to_owned(), Default::default());
            }
        }
    }

    fn watched<'a>(&'a self, guard: &'a GuardPlan, margin: f64) -> impl Iterator<Item = Watched<'a>> {
        let weight = self.weight();
        let terms = move |respect, weight| ErrorTerms { guard, margin, respect, weight };
        let overall = self.overall.iter().map(move |record| (Respect::Overall, "", record, OF_OVERALL));
        let classes = self.classes.iter().flat_map(move |(class, [missed, wrong])| {
            [(Respect::Missed, missed), (Respect::Wrong, wrong)]
                .map(|(respect, record)| (respect, class.as_str(), record, weight))
        });
        let watched = move |(respect, class, record, weight)| Watched { class, terms: terms(respect, weight), record };
        overall.chain(classes).map(watched)
    }
}

/// The evidence about all of them: a place that is free counts 1.
fn total(all: &[Watched<'_>]) -> f64 {
    let taken: f64 = all.iter().map(|one| one.terms.weight).sum();
    let parts: f64 = all.iter().map(|one| one.record.part(one.terms)).sum();
    (parts + (1.0 - taken)).min(f64::MAX)
}

/// Which of them to name: what stands out and rests on errors enough, all classes together before any one of them, and
/// then those that contribute most; where nothing stands out, what contributes most.
fn named<'a>(all: &[Watched<'a>]) -> Vec<Watched<'a>> {
    let log_e: Vec<f64> = all.iter().map(|one| one.record.log_e(one.terms)).collect();
    let listed = e_bh(&log_e, NAMED_FALSELY).into_iter().map(|place| all[place]);
    let mut by: Vec<Watched<'a>> = listed.filter(|one| one.record.tally.rare() >= RARE_MIN).collect();
    let part = |one: &Watched<'_>| one.record.part(one.terms);
    if by.is_empty() {
        return all.iter().copied().max_by(|a, b| part(a).total_cmp(&part(b))).into_iter().collect();
    }
    by.sort_by(|a, b| b.class.is_empty().cmp(&a.class.is_empty()).then_with(|| part(b).total_cmp(&part(a))));
    by.truncate(NAMED_MAX);
    by
}

impl Watched<'_> {
    fn describe(&self) -> String {
        let Self { class, terms, record } = *self;
        let ([candidate, baseline], _) = record.shown(terms.guard.alpha);
        let of = if class.is_empty() { String::new() } else { format!(" of {class}") };
        let ratio = record.tally.ratio.value().map_or(String::new(), |ratio| format!(", errors x{ratio:.2}"));
        format!(
            "{}{of} ({candidate:.4} against {baseline:.4}{ratio}, over all {} so far; margin x{})",
            terms.respect.metric(),
            words::windows(record.tally.windows),
            terms.margin
        )
    }

    /// Metrics are those of all windows so far, held against the baseline version's errors times the margin.
    fn evidence(&self, since: Option<Micros>, scene: Scene<'_, '_>) -> Evidence {
        let Self { class, terms, record } = *self;
        let ([candidate, baseline], interval) = record.shown(terms.guard.alpha);
        let tally = &record.tally;
        let interval = interval.filter(|_| tally.rare() >= RARE_MIN);
        Evidence {
            metric: terms.respect.metric().to_owned(),
            column: class.to_owned(),
            convention: "all_windows".to_owned(),
            estimate: candidate,
            lo: interval.map(|(lo, _)| lo),
            hi: interval.map(|(_, hi)| hi),
            bound: 1.0 - (1.0 - baseline) * terms.margin,
            e_value: Some(e_value(record.log_e(terms))),
            alpha: Some(terms.guard.alpha * terms.weight),
            margin: Some(terms.margin),
            n_candidate: tally.candidate.n,
            n_baseline: tally.baseline.n,
            breaches: (tally.windows, tally.windows),
            window: (since.unwrap_or(scene.judged.start), scene.judged.end),
            ..scene.evidence(SOURCE, Test::Hx)
        }
    }
}
