//! Share of rows whose category the reference does not hold.
//!
//! `rate = unseen / values`; without a reference every category is unseen.
//!
//! **Source**: the definition.
//! **Reads**: a categorical column; missing values are left out.
//! **Returns**: 0 to 1, up is worse.
//! **Assumes**: nothing.
//! **Error**: none.
//! **Cost**: constant.

use crate::metric::one_sided::{OneSided, share};
use crate::metric::spec::{MetricSubject, Reads, Spec};
use crate::summary::Category;

/// See the head of this file.
pub(super) static UNSEEN_RATE: OneSided<Category> = OneSided {
    spec: Spec {
        name: "unseen_rate",
        help: "Share of rows whose category the reference does not hold.",
        reads: Reads::Categorical,
        formula: "unseen / values",
        source: "definition",
        subject: MetricSubject::Defects,
        ..Spec::RATE
    },
    convention: "exact",
    n: Category::n,
    of: |category, _| share(category.n_unseen(), category.n()),
};
