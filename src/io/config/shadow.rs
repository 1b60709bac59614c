//! The `shadow` section: versions that answer the same requests.

use schemars::JsonSchema;
use serde::Deserialize;

use super::document::Document;
use super::problem::Problems;
use super::value::{At, Period, Ratio, count};
use crate::plan::{Corrections, GuardPlan, ShadowPlan, TimePlan};

/// Says that the candidate gets a copy of the baseline version's requests, which users never see answered. Both answers
/// have the request's `id`, by which they are paired, in the same partition of their topics.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ShadowSection {
    /// Share of the baseline version's requests that are mirrored. Where more than a hundredth of it stays alone, pairs
    /// say nothing: those that get lost are the hard ones.
    #[serde(default = "super::document::whole")]
    share: At<Ratio>,
    /// How much later than the one version the other may answer, in event time. Default: the `lateness` of windows.
    wait: Option<At<Period>>,
    /// By how much two scores may differ before they count as other answers. Default: only other classes do.
    tolerance: Option<At<f64>>,
    /// Share of the requests that may be answered otherwise than by the baseline version before people are told.
    #[serde(default = "a_twentieth")]
    disagreement: At<Ratio>,
    /// The most answers of a pane and partition that are paired, and the most pairs that wait for their label, each in
    /// 160 bytes. Of more, a random sample by hash of the id is taken.
    #[serde(default = "count::<500_000>")]
    pending_max: At<u64>,
}

fn a_twentieth() -> At<Ratio> {
    Ratio(0.05).into()
}

impl ShadowSection {
    /// The plan. Losses may be as much larger as guards say.
    pub(crate) fn resolve(&self, time: &TimePlan, guards: Option<&GuardPlan>, problems: &mut Problems) -> ShadowPlan {
        if let Some(tolerance) = self.tolerance.filter(|tolerance| !tolerance.is_finite() || tolerance.value < 0.0) {
            problems
                .add(tolerance.spot, format!("`tolerance` is {}", tolerance.value))
                .help("write by how much two scores may differ, such as 0.05");
        }
        if self.pending_max.value == 0 {
            problems.add(self.pending_max.spot, "`pending_max` is zero").help("write how many answers may wait");
        }
        if self.share.0 <= 0.0 {
            problems.add(self.share.spot, "`share` is zero").help("write which share is mirrored, such as 10%");
        }
        if self.disagreement.0 <= 0.0 || self.disagreement.0 >= 1.0 {
            problems
                .add(self.disagreement.spot, format!("`disagreement` is {}", self.disagreement.value))
                .help("write a share above zero and below 100%, such as 5%");
        }
        let wait = self.wait.map_or(time.lateness, |wait| wait.value.0);
        if wait <= 0 {
            let spot = self.wait.map_or(self.share.spot, |wait| wait.spot);
            problems
                .add(spot, "neither version may answer later than the other")
                .help("write in `wait` how much later one may answer, such as 30s; without it `lateness` is taken");
        }
        ShadowPlan {
            share: self.share.value.0,
            disagreement: self.disagreement.value.0,
            wait,
            tolerance: self.tolerance.map(|tolerance| tolerance.value),
            margin: guards.map_or(GuardPlan::default().loss, |guards| guards.loss),
            pending_max: usize::try_from(self.pending_max.value).unwrap_or(usize::MAX),
        }
    }
}

/// What a shadow needs of the rest of the file.
pub(crate) fn check(document: &Document, problems: &mut Problems) {
    let Some(At { spot, .. }) = &document.shadow else { return };
    if document.rollout.is_none() {
        problems.add(*spot, "`shadow` without a `rollout`").help("say in `rollout` which version is the baseline");
    }
    if document.sources.predictions.is_none() {
        problems.add(*spot, "`shadow` without a source `predictions`").help("add the source that answers come from");
    }
    let corrections = document.labels.as_ref().map(|labels| labels.corrections);
    if let Some(last) = corrections.filter(|corrections| corrections.value == Corrections::Last) {
        problems
            .add(last.spot, "`corrections: last` with a `shadow`")
            .help("of a request that two versions answer the first label counts: leave out `corrections`");
    }
}
