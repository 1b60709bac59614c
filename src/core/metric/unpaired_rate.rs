//! Share of the requests of a version that no other version answered in time.
//!
//! `rate = unpaired / (paired + unpaired)`. Of the baseline version that is what was not mirrored, or got lost there.
//!
//! **Source**: the definition.
//! **Reads**: requests that both versions may answer.
//! **Returns**: 0 to 1, up is worse.
//! **Assumes**: nothing.
//! **Error**: none.
//! **Cost**: constant.

use crate::metric::one_sided::{OneSided, share};
use crate::metric::spec::{MetricSubject, Reads, Spec, Visibility};
use crate::summary::Pairs;

/// See the head of this file.
pub(super) static UNPAIRED_RATE: OneSided<Pairs> = OneSided {
    spec: Spec {
        name: "unpaired_rate",
        help: "Share of requests that no other version answered in time.",
        reads: Reads::Pairs,
        formula: "unpaired / (paired + unpaired)",
        source: "definition",
        subject: MetricSubject::Traffic,
        shown: &[Visibility::History],
        ..Spec::RATE
    },
    convention: "exact",
    n: |pairs| pairs.paired + pairs.unpaired,
    of: |pairs, _| share(pairs.unpaired, pairs.paired + pairs.unpaired),
};
