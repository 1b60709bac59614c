//! Reason codes: why something was decided, for machines.

use crate::name::named;

named! {
    /// Why something was decided. Decisions and states hold the name; programs act on it, so a name never changes.
    pub enum ReasonCode {
        /// more requests fail or are refused
        ErrorRate = "ERROR_RATE",
        /// a quantile of latency is higher
        LatencyQuantile = "LATENCY_QUANTILE",
        /// latency is spread otherwise
        LatencyShape = "LATENCY_SHAPE",
        /// the versions' shares of traffic, or the volume, are not as declared or as usual
        TrafficMismatch = "TRAFFIC_MISMATCH",
        /// a feature has other values
        FeatureDrift = "FEATURE_DRIFT",
        /// answers are other
        ScoreDrift = "SCORE_DRIFT",
        /// values are missing, not numbers, out of range or unknown
        DataQuality = "DATA_QUALITY",
        /// more requests are refused than a limit allows
        SchemaBreak = "SCHEMA_BREAK",
        /// answers fit outcomes less well
        OutcomeRegression = "OUTCOME_REGRESSION",
        /// a measure has a mean that is worse
        MeasureRegression = "MEASURE_REGRESSION",
        /// groups of requests are treated less alike
        FairnessGap = "FAIRNESS_GAP",
        /// scores promise other outcomes than come
        CalibrationRegression = "CALIBRATION_REGRESSION",
        /// more requests fail or are slow than a limit allows
        SloBurn = "SLO_BURN",
        /// something speaks against the candidate, too little to name it
        Suspicion = "SUSPICION",
        /// no data of the candidate or the baseline version
        NoData = "NO_DATA",
        /// shown to be no worse than its margins
        NonInferior = "NON_INFERIOR",
        /// what called for a restriction is refuted or over
        Cleared = "CLEARED",
        /// a permission was not used in time
        Lapsed = "LAPSED",
        /// nothing spoke against it while it served everybody
        Stable = "STABLE",
        /// a newer candidate has taken its place
        Superseded = "SUPERSEDED",
        /// a version that was rolled back gets traffic again
        DeniedVersion = "DENIED_VERSION",
        /// all traffic is back at the baseline version
        RolledBack = "ROLLED_BACK",
        /// a restriction has no effect on traffic
        NoEffect = "NO_EFFECT",
        /// a person asked for it
        Manual = "MANUAL",
        /// a freeze is over
        FreezeExpired = "FREEZE_EXPIRED",
        /// nobody has approved in time
        ApprovalTimeout = "APPROVAL_TIMEOUT",
        /// lifted too often: only a person lifts it now
        FlapBudget = "FLAP_BUDGET",
        /// not shown to be safe for long: a person must decide
        StageBudget = "STAGE_BUDGET",
        /// what was told before is over
        EpisodeOver = "EPISODE_OVER",
    }
}
