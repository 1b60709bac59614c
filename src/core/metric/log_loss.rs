//! Log loss: mean negative log-likelihood of the truth.
//!
//! `L = -mean of ln(s if y = 1, else 1 - s)`, scores held within `[1e-15, 1 - 1e-15]`. Of several classes it is
//! `-mean of ln p(truth)`, and not defined unless the probabilities of all classes were read: what the true one was
//! given cannot be told from the score of another. Reports read them. A running pipeline keeps the largest alone until
//! the label comes, and leaves this metric out.
//!
//! **Source**: Good, Rational decisions, J. R. Stat. Soc. B 14, 1952.
//! **Reads**: labelled predictions of a classification task.
//! **Returns**: nats, 0 to about 34.6, up is worse.
//! **Assumes**: nothing.
//! **Error**: each term is rounded to 2^-60.
//! **Cost**: constant.

use crate::metric::one_sided::{OneSided, mean};
use crate::metric::spec::{Scores, Spec, UPWARDS, Visibility};
use crate::summary::Quality;

/// See the head of this file.
pub(super) static LOG_LOSS: OneSided<Quality> = OneSided {
    spec: Spec {
        name: "log_loss",
        help: "Mean negative log-likelihood of the truth.",
        unit: "nats",
        range: UPWARDS,
        scores: Scores::OfTruth,
        formula: "-mean ln(s if y = 1, else 1 - s); of several classes -mean ln p(truth)",
        source: "Good 1952",
        shown: &[Visibility::Figures],
        ..Spec::QUALITY
    },
    convention: "clipped_1e-15",
    n: |quality| quality.n,
    of: |quality, _| mean(quality.log_loss.value(), quality.n).into(),
};
