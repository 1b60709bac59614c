//! By how much the scores of a shadow are above the baseline version's for the same requests.
//!
//! `mean (s - s_baseline)`.
//!
//! **Source**: the definition.
//! **Reads**: requests that both versions gave a score.
//! **Returns**: any number; away from 0 is worse.
//! **Assumes**: nothing.
//! **Error**: 2^-60 a request.
//! **Cost**: constant.

use crate::metric::one_sided::{OneSided, mean};
use crate::metric::spec::{LINE, MetricSubject, Reads, Spec, Visibility, WorseDirection};
use crate::summary::Pairs;

/// See the head of this file.
pub(super) static SCORE_DIFFERENCE: OneSided<Pairs> = OneSided {
    spec: Spec {
        name: "score_difference",
        help: "Mean difference of the scores that both versions gave a request.",
        reads: Reads::Pairs,
        unit: "1",
        range: LINE,
        worse: WorseDirection::Away,
        formula: "mean (s - s of the baseline version)",
        source: "definition",
        subject: MetricSubject::Answers,
        shown: &[Visibility::History],
        ..Spec::RATE
    },
    convention: "exact",
    n: |pairs| pairs.scored,
    of: |pairs, _| (pairs.scored > 0).then(|| mean(pairs.difference.value(), pairs.scored)).into(),
};
