//! The `labels` section and the task: how predictions meet their truth.

use crate::config::document::{Document, Labels};
use crate::config::problem::Problems;
use crate::config::value::{At, by_default};
use crate::event::{Micros, SECOND};
use crate::kernel::bin::Edges;
use crate::plan::{ColumnRole, Columns, Corrections, QualityPlan, Task};

/// The most bins of a reliability table.
const WIDTH_BINS_MAX: u16 = 1000;

/// For how long labels are waited for when the file does not say.
const HORIZON: Micros = 86_400 * SECOND;

/// The quality plan, `None` when no source carries the truth.
pub(crate) fn quality(document: &Document, columns: &Columns, problems: &mut Problems) -> Option<QualityPlan> {
    check_task(document, problems);
    let labels = document.labels.clone().unwrap_or_else(|| by_default::<Labels>().into());
    if !has_truth(document, problems) {
        if document.labels.is_some() {
            problems
                .add(labels.spot, "`labels` without a source of labels")
                .help("add a source `outcomes`, or `label` to `predictions`");
        }
        return None;
    }
    check(&labels, problems);
    if labels.corrections.value == Corrections::Last && document.sources.outcomes.is_none() {
        problems
            .add(labels.corrections.spot, "`corrections` without a source that could bring them")
            .help("add a source `outcomes`, or leave it out: a prediction carries one label");
    }
    let score = columns.index_of(ColumnRole::Score);
    let has_classes = document.sources.predictions.as_ref().is_some_and(|source| source.predicted_label.is_some());
    if score.is_none() && (document.task.value == Task::Regression || !has_classes) {
        let spot = document.sources.predictions.as_ref().map_or(document.sources.spot, |source| source.spot);
        problems
            .add(spot, "labels need a score or a class to be compared with")
            .help("add `score: …` or `predicted_label: …` to `predictions`, or `class_scores: …` for several classes");
    }
    let edges = score.map(|column| columns.numeric[column].cut.edges.clone());
    Some(QualityPlan {
        task: document.task.value,
        width_bins: if score.is_some() { labels.bins.value.clone() } else { Vec::new() },
        score_edges: edges.unwrap_or_else(|| Edges::new(Vec::new()).expect("no edges rise")),
        threshold: labels.threshold.value.0,
        wait: labels.wait.value.0,
        horizon: labels.horizon.map_or(labels.wait.value.0.max(HORIZON), |horizon| horizon.value.0),
        pending_max: usize::try_from(labels.pending_max.value).unwrap_or(usize::MAX),
        sample: labels.sample.value.0,
        corrections: labels.corrections.value,
    })
}

fn has_truth(document: &Document, problems: &mut Problems) -> bool {
    let sources = &document.sources;
    let own = sources.predictions.as_ref().and_then(|source| source.label.as_ref());
    match (own, &sources.outcomes) {
        (Some(label), Some(_)) => {
            problems
                .add(label.spot, "the truth has two sources: `label` in `predictions`, and `outcomes`")
                .help("keep one of them");
        }
        (None, Some(outcomes)) if sources.predictions.is_none() => {
            problems
                .add(outcomes.spot, "`outcomes` without `predictions` to belong to")
                .help("add the source `predictions`");
        }
        _ => {}
    }
    own.is_some() || sources.outcomes.is_some()
}

fn check(labels: &Labels, problems: &mut Problems) {
    if let Some(horizon) = labels.horizon.filter(|horizon| horizon.value < labels.wait.value) {
        let spot = horizon.spot.max(labels.wait.spot);
        problems
            .add(spot, format!("`horizon` {} is shorter than `wait` {}", horizon.value, labels.wait.value))
            .help("the horizon counts from the same moment; make it at least `wait`");
    }
    if labels.bins.is_empty() || labels.bins.iter().any(|bins| !(2..=WIDTH_BINS_MAX).contains(bins)) {
        problems
            .add(labels.bins.spot, format!("`bins` must be numbers from 2 to {WIDTH_BINS_MAX}, one at least"))
            .help("write [10, 15] as most papers do");
    }
    if labels.sample.0 <= 0.0 {
        problems
            .add(labels.sample.spot, "`sample` is zero")
            .help("without labels leave out the section and their source");
    }
    if labels.pending_max.value == 0 {
        problems.add(labels.pending_max.spot, "`pending_max` is zero").help("write how many predictions may wait");
    }
}

fn check_task(document: &Document, problems: &mut Problems) {
    let Some(predictions) = &document.sources.predictions else { return };
    let At { value: task, spot } = document.task;
    match (task, &predictions.class_scores, &predictions.score) {
        (Task::Binary | Task::Regression, Some(scores), _) => {
            problems
                .add(scores.spot, "`class_scores` belongs to task multiclass")
                .help("write `task: multiclass`, or `score`");
        }
        (Task::Multiclass, Some(_), Some(score)) => {
            problems
                .add(score.spot, "`score` and `class_scores` both name the score")
                .help("keep `class_scores`; its largest value is the score");
        }
        (Task::Multiclass, None, Some(_)) if predictions.predicted_label.is_none() => {
            problems
                .add(spot, "a multiclass score says nothing without its class")
                .help("add `predicted_label: …`, or `class_scores: …` instead of `score`");
        }
        _ => {}
    }
}
