//! By which names, and with which values, columns are known.

use super::facts::{FactKind, Facts};
use super::guess::{Use, is_id_like, time_format};

/// Names by what they mean, best first, and what values must be like.
pub(super) struct Clue {
    pub(super) usage: Use,
    pub(super) names: &'static [&'static str],
    pub(super) fits: fn(&Facts) -> bool,
}

/// Fields that traffic is split by at most.
pub(super) const FIELDS_MAX: usize = 4;
/// At most so many categories make a field to split traffic by.
const SEGMENTS_MAX: usize = 50;

/// Looked for in this order; a column that is taken is not looked at again.
pub(super) const CLUES: [Clue; 13] = [
    Clue {
        usage: Use::Arrival,
        names: &["ingest_time", "broker_time", "arrival_time", "ingested_at", "timestamp_us"],
        fits: |facts| time_format(facts).is_some(),
    },
    Clue {
        usage: Use::Id,
        names: &[
            "prediction_id",
            "request_id",
            "inference_id",
            "event_id",
            "transaction_id",
            "id",
            "uuid",
            "row_id",
            "index",
            "gen_ai.response.id",
            "spanid",
        ],
        fits: |facts| facts.is_unique() && is_id_like(facts),
    },
    Clue {
        usage: Use::Entity,
        names: &[
            "entity_id",
            "user_id",
            "customer_id",
            "card_id",
            "account_id",
            "device_id",
            "client_id",
            "user",
            "feature_flag.context.id",
        ],
        fits: is_id_like,
    },
    Clue {
        usage: Use::Version,
        names: &[
            "version",
            "model_version",
            "model_ver",
            "release",
            "variant",
            "gen_ai.response.model",
            "gen_ai.request.model",
            "feature_flag.result.variant",
            "service.version",
        ],
        fits: |facts| facts.n_distinct() <= SEGMENTS_MAX && facts.n > 0,
    },
    Clue {
        usage: Use::Model,
        names: &["model", "model_name", "model_id"],
        fits: |facts| facts.n_distinct() <= SEGMENTS_MAX && facts.n > 0,
    },
    Clue {
        usage: Use::Score,
        names: &[
            "score",
            "prediction_score",
            "probability",
            "proba",
            "prob",
            "y_score",
            "y_prob",
            "y_proba",
            "confidence",
            "prediction_probability",
            "y_pred_proba",
        ],
        fits: |facts| facts.kind() == FactKind::Numeric,
    },
    Clue {
        usage: Use::Score,
        names: &["prediction", "predicted", "y_pred", "y_hat", "yhat", "pred", "estimate", "predicted_value"],
        fits: |facts| facts.kind() == FactKind::Numeric && (!facts.is_whole() || facts.n_distinct() > 20),
    },
    Clue {
        usage: Use::Predicted,
        names: &[
            "predicted_label",
            "predicted_class",
            "pred_label",
            "prediction_label",
            "decision",
            "prediction",
            "predicted",
            "y_pred",
            "pred",
            "gen_ai.response.finish_reasons",
        ],
        fits: |facts| facts.n > 0 && facts.n_distinct() <= 1000,
    },
    Clue {
        usage: Use::Label,
        names: &[
            "label",
            "target",
            "y_true",
            "ground_truth",
            "truth",
            "actual",
            "outcome",
            "true_label",
            "y",
            "gen_ai.evaluation.score.label",
        ],
        fits: |facts| facts.n > 0 && !facts.is_unique() || facts.kind() == FactKind::Numeric,
    },
    Clue {
        usage: Use::Latency("ms"),
        names: &[
            "latency_ms",
            "latency",
            "duration_ms",
            "response_time_ms",
            "elapsed_ms",
            "response_time",
            "latency_us",
            "latency_s",
            "latency_ns",
            "duration_us",
            "duration_s",
            "latency_seconds",
            "duration_seconds",
        ],
        fits: |facts| facts.is_within(0.0, f64::MAX),
    },
    Clue {
        usage: Use::Status,
        names: &["status", "status_code", "http_status", "response_code", "code"],
        fits: |facts| facts.is_within(100.0, 599.0) && facts.is_whole(),
    },
    Clue {
        usage: Use::Failed,
        names: &["error", "failed", "is_error", "error.type"],
        fits: |facts| {
            matches!(facts.kind(), FactKind::Boolean | FactKind::Categorical)
                || facts.is_within(0.0, 1.0) && facts.is_whole()
        },
    },
    Clue {
        usage: Use::Segment,
        names: &[
            "segment",
            "cohort",
            "country",
            "region",
            "tenant",
            "market",
            "platform",
            "device_type",
            "service.name",
        ],
        fits: |facts| (2..=SEGMENTS_MAX).contains(&facts.n_distinct()) && facts.kind() == FactKind::Categorical,
    },
];

/// Names of event times, best first.
pub(super) const TIME_NAMES: [&str; 17] = [
    "event_time",
    "event_time_us",
    "event_time_ms",
    "event_timestamp",
    "timestamp",
    "predicted_at",
    "created_at",
    "ts",
    "time",
    "datetime",
    "date_time",
    "requested_at",
    "occurred_at",
    "date",
    "endtimeunixnano",
    "timeunixnano",
    "ts_ms",
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_name_is_written_as_names_are_compared_and_once_for_each_meaning() {
        let all = || CLUES.iter().flat_map(|clue| clue.names).chain(&TIME_NAMES);
        assert!(all().all(|name| **name == name.to_lowercase() && !name.contains(' ')));
        for clue in &CLUES {
            let names: BTreeSet<&str> = clue.names.iter().copied().collect();
            assert_eq!(names.len(), clue.names.len(), "{:?}", clue.names);
        }
        assert_eq!(TIME_NAMES.iter().collect::<BTreeSet<_>>().len(), TIME_NAMES.len());
    }
}
