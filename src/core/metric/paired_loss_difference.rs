//! By how much the mean loss of a shadow is above the baseline version's for the same requests.
//!
//! `mean (loss - loss_baseline)`, of squared errors of scores for two classes, of wrong answers for several, and of
//! absolute errors of quantities.
//!
//! **Source**: the definition.
//! **Reads**: labelled requests that both versions answered.
//! **Returns**: any number, up is worse.
//! **Assumes**: that the label does not depend on whose answer was used.
//! **Error**: 2^-60 a request.
//! **Cost**: constant.

use crate::metric::one_sided::{OneSided, mean};
use crate::metric::spec::{LINE, MetricSubject, Reads, Scores, Spec, Visibility};
use crate::summary::PairLosses;

/// See the head of this file.
pub(super) static PAIRED_LOSS_DIFFERENCE: OneSided<PairLosses> = OneSided {
    spec: Spec {
        name: "paired_loss_difference",
        help: "Mean difference of both versions' losses for the same requests.",
        reads: Reads::PairLosses,
        range: LINE,
        formula: "mean (loss - loss of the baseline version)",
        source: "definition",
        subject: MetricSubject::Outcomes,
        scores: Scores::Unread,
        shown: &[Visibility::History],
        ..Spec::QUALITY
    },
    convention: "exact",
    n: |losses| losses.summed,
    of: |losses, _| {
        let [mine, baseline] = losses.losses;
        (losses.summed > 0).then(|| mean(mine.value() - baseline.value(), losses.summed)).into()
    },
};
