//! The `baselines` and `metrics` sections: what is computed.

use crate::config::document::Document;
use crate::config::names::Names;
use crate::config::problem::{Problems, suggestion};
use crate::config::value::{At, BaselineName};
use crate::event::{Micros, SECOND};
use crate::metric::{Reads, Scores, Spec};
use crate::plan::{Baseline, ColumnRole, Columns, MetricsPlan, QualityPlan, Task, TimePlan, WindowKind};

/// The baselines, checked.
pub(crate) fn baselines(document: &Document, time: &TimePlan, problems: &mut Problems) -> Vec<Baseline> {
    let Some(given) = &document.baselines else {
        let concurrent = document.rollout.is_some().then_some(Baseline::Concurrent);
        let reference = document.reference.is_some().then_some(Baseline::Reference);
        return concurrent.into_iter().chain(reference).collect();
    };
    let mut baselines: Vec<Baseline> = Vec::new();
    for name in given {
        check_baseline(name, document, time, problems);
        if baselines.contains(&name.value.0) {
            problems.add(name.spot, format!("baseline `{}` stands here twice", name.value));
        }
        baselines.push(name.value.0.clone());
    }
    baselines
}

fn check_baseline(name: &At<BaselineName>, document: &Document, time: &TimePlan, problems: &mut Problems) {
    match &name.value.0 {
        Baseline::Concurrent if document.rollout.is_none() => {
            problems
                .add(name.spot, "`concurrent` needs a version to compare with")
                .help("add `rollout: { baseline: VERSION }`");
        }
        Baseline::Reference if document.reference.is_none() => {
            problems
                .add(name.spot, "`reference` needs a reference profile")
                .help("build one with `haldane baseline build` and add `reference: FILE`");
        }
        Baseline::DaysAgo(days) => {
            let step = step_of(time.window);
            let fits = step.is_some_and(|step| Micros::from(*days) * 86_400 * SECOND % step == 0);
            if !fits {
                problems
                    .add(name.spot, format!("no window starts exactly {days} days before another"))
                    .help("make the windows' `slide` a divisor of a day, and use no `at_least`");
            }
        }
        _ => {}
    }
}

fn step_of(window: WindowKind) -> Option<Micros> {
    match window {
        WindowKind::Sliding { slide, .. } => Some(slide),
        WindowKind::AtLeast { .. } => None,
    }
}

/// What no pipeline has: a prediction waits for its label with its answer and the score of that alone.
const OF_ALL_CLASSES: &str = "the probabilities of all classes, of which a pipeline keeps the largest";

/// What there is for metrics to read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Readable<'a> {
    pub(crate) columns: &'a Columns,
    pub(crate) quality: Option<&'a QualityPlan>,
    pub(crate) has_predictions: bool,
    pub(crate) has_shadow: bool,
    pub(crate) has_baselines: bool,
}

impl Readable<'_> {
    /// Whether there is a column of this name.
    pub(crate) fn has_column(&self, name: &str) -> bool {
        let numeric = self.columns.numeric.iter().map(|column| &column.name);
        numeric.chain(self.columns.categorical.iter().map(|column| &column.name)).any(|known| known == name)
    }

    /// What the pipeline lacks for a metric, if anything.
    pub(crate) fn lack(&self, spec: &Spec) -> Option<&'static str> {
        let task = self.quality.map(|quality| quality.task);
        let (has_what_it_reads, lack) = match spec.reads {
            Reads::Numeric => (!self.columns.numeric.is_empty(), "a numeric column"),
            Reads::Categorical => (!self.columns.categorical.is_empty(), "a categorical column"),
            Reads::Column => (!self.columns.numeric.is_empty() || !self.columns.categorical.is_empty(), "a column"),
            Reads::Latency => (self.columns.index_of(ColumnRole::Latency).is_some(), "`latency` in `predictions`"),
            Reads::Rates => (self.has_predictions, "a source `predictions`"),
            Reads::Pairs => (self.has_shadow, "the section `shadow`"),
            Reads::PairLosses => (self.has_shadow && self.quality.is_some(), "the section `shadow`, and labels"),
            Reads::Classification => {
                (matches!(task, Some(Task::Binary | Task::Multiclass)), "labels of a classification task")
            }
            Reads::Binary => (task == Some(Task::Binary), "labels of a binary task"),
            Reads::Regression => (task == Some(Task::Regression), "labels of a regression task"),
        };
        let has_scores = spec.scores == Scores::Unread || self.quality.is_none_or(QualityPlan::has_scores);
        if has_what_it_reads && !has_scores {
            return Some("`score` in `predictions`");
        }
        if has_what_it_reads && spec.scores == Scores::OfTruth && task == Some(Task::Multiclass) {
            return Some(OF_ALL_CLASSES);
        }
        let has_baseline = self.has_baselines || !spec.needs_baseline;
        match (has_what_it_reads, has_baseline) {
            (false, _) => Some(lack),
            (true, false) => Some("a baseline"),
            (true, true) => None,
        }
    }
}

/// The metrics, in the order of `specs`.
pub(crate) fn metrics(
    document: &Document,
    specs: &[&'static Spec],
    readable: Readable<'_>,
    problems: &mut Problems,
) -> MetricsPlan {
    let section = &document.metrics;
    let wanted = match &section.names {
        Names::All => specs.iter().filter(|spec| readable.lack(spec).is_none()).map(|spec| spec.name).collect(),
        Names::Listed(names) => {
            for name in names {
                check_metric(name, specs, readable, problems);
            }
            let listed = |spec: &&&'static Spec| names.iter().any(|name| name.value == spec.name);
            specs.iter().filter(listed).map(|spec| spec.name).collect()
        }
    };
    let bins = u16::try_from(section.bins.value).ok().filter(|bins| [10, 20].contains(bins));
    if bins.is_none() {
        problems
            .add(section.bins.spot, format!("`bins` is {}", section.bins.value))
            .help("write 10 or 20; profiles hold these two cuts");
    }
    let mut compat = section.compat.clone();
    compat.sort_unstable();
    compat.dedup();
    MetricsPlan { names: wanted, compat, bins: bins.unwrap_or(10) }
}

fn check_metric(name: &At<String>, specs: &[&'static Spec], readable: Readable<'_>, problems: &mut Problems) {
    match specs.iter().find(|spec| spec.name == name.value) {
        None => unknown_metric(name, specs, problems),
        Some(spec) => {
            if let Some(lack) = readable.lack(spec) {
                problems.add(name.spot, format!("metric `{}` needs {lack}", name.value)).help(
                    if lack == OF_ALL_CLASSES {
                        "drop the metric; `haldane report` reads them, and has it"
                    } else {
                        "add it, or drop the metric"
                    },
                );
            }
        }
    }
}

/// Tells that there is no such metric.
pub(crate) fn unknown_metric(name: &At<String>, specs: &[&'static Spec], problems: &mut Problems) {
    let names: Vec<&str> = specs.iter().map(|spec| spec.name).collect();
    problems.add(name.spot, format!("there is no metric `{}`", name.value)).help(suggestion(&name.value, &names));
}
