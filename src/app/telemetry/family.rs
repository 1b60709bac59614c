//! Every Prometheus metric of haldane: the one list from which they are registered, documented and checked.

/// What kind of number a family holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricType {
    /// Only grows; its name ends in `_total`.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts by size.
    Histogram,
}

/// One metric family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Family {
    /// Name: `haldane_`, what it is, and its base unit last; or one that every process has.
    pub name: &'static str,
    /// What kind of number it holds.
    pub kind: MetricType,
    /// Names of its labels; every one has few values or a named bound. The page adds `pipeline` to each series.
    pub labels: &'static [&'static str],
    /// One sentence.
    pub help: &'static str,
}

const fn counter(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Family {
    Family { name, kind: MetricType::Counter, labels, help }
}

const fn gauge(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Family {
    Family { name, kind: MetricType::Gauge, labels, help }
}

const fn histogram(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Family {
    Family { name, kind: MetricType::Histogram, labels, help }
}

/// Labels of one input partition.
const PARTITION: &[&str] = &["topic", "partition"];
/// Labels of one rollout; their values are bounded by the plan's `versions_max`.
const ROLLOUT: &[&str] = &["rollout", "model", "candidate"];
/// Labels of what is counted for all candidates of a model together.
const MODEL: &[&str] = &["rollout", "model"];

/// Labels of one target of decisions; the pipeline file names them all.
const TARGET: &[&str] = &["target"];

pub(crate) const BUILD: Family = gauge(
    "haldane_build_info",
    &["role", "version"],
    "1, labelled with the running version and the part of the work that the process does: all, scan, judge or act.",
);
pub(crate) const INGESTED: Family =
    counter("haldane_events_ingested_total", &["source"], "Events decoded and counted, by kind of source.");
pub(crate) const BYTES: Family = counter("haldane_ingested_bytes_total", &["source"], "Bytes of records read.");
pub(crate) const REJECTED: Family =
    counter("haldane_events_rejected_total", &["reason"], "Events refused and sent to the dead-letter topic.");
pub(crate) const PASSED_OVER: Family = counter(
    "haldane_events_passed_over_total",
    &["source"],
    "Records that a source does not take (`where`, `tombstones`), by kind of source.",
);
pub(crate) const DUPLICATE: Family = counter("haldane_events_duplicate_total", &[], "Events seen before and dropped.");
pub(crate) const LATE: Family = counter("haldane_events_late_total", &[], "Events too late for their window, dropped.");
pub(crate) const LABELS: Family = counter("haldane_labels_total", &["fate"], "Labels and what became of them.");
pub(crate) const ROWS: Family =
    counter("haldane_window_rows_total", &["status"], "Judged window rows, by whether they carry a number.");
pub(crate) const WINDOWS: Family =
    counter("haldane_windows_total", &["trust"], "Windows judged, by how far their data is trusted.");
pub(crate) const DECISIONS: Family =
    counter("haldane_decisions_total", &["rollout", "model", "action"], "Decisions published, by what they ask for.");
pub(crate) const ESCALATIONS: Family =
    counter("haldane_escalations_total", MODEL, "Decisions that call people at once, rollbacks apart.");
pub(crate) const COMMANDS: Family =
    counter("haldane_commands_total", &["kind", "outcome"], "Commands and acknowledgements, and what became of them.");
pub(crate) const LAG_RECORDS: Family = gauge("haldane_lag_records", PARTITION, "Records between the log's end and us.");
pub(crate) const LAG: Family = gauge(
    "haldane_lag_seconds",
    PARTITION,
    "Time since the broker got the last record read, 0 for a stream read to its end.",
);
pub(crate) const WATERMARK_DELAY: Family = gauge(
    "haldane_watermark_delay_seconds",
    PARTITION,
    "Time between the latest event time read and now, 0 for a stream that is read to its end; lateness is not in it.",
);
pub(crate) const REPLAY_DEBT: Family =
    gauge("haldane_replay_debt_records", PARTITION, "Records that would be read again after a restart.");
pub(crate) const CHECKPOINT: Family = gauge(
    "haldane_checkpoint_timestamp_seconds",
    PARTITION,
    "Wall-clock time when progress was last committed, or nothing was left to commit; the start before that.",
);
pub(crate) const STEP: Family = histogram("haldane_step_duration_seconds", &[], "Time the engine takes for one batch.");
pub(crate) const DECISION_DELAY: Family = histogram(
    "haldane_decision_delay_seconds",
    &[],
    "Time from the end of a decision's window to its acknowledgement.",
);
pub(crate) const VALUE: Family = gauge(
    "haldane_metric_value",
    &["model", "version", "baseline", "segment", "column", "metric", "convention"],
    "Value of a drift or quality metric in the latest judged window.",
);
pub(crate) const SERIES_DROPPED: Family = counter(
    "haldane_metric_series_dropped_total",
    &[],
    "Values of haldane_metric_value left out because the bound on series was reached.",
);
pub(crate) const SEVERITY: Family = gauge(
    "haldane_rollout_severity",
    ROLLOUT,
    "0 observing, 1 warned, 2 held, 3 contained, 4 rolling back; only while the candidate is judged.",
);
pub(crate) const BLIND: Family = gauge(
    "haldane_rollout_blind",
    ROLLOUT,
    "1 when the last window lacked data of the candidate or the baseline; only while the candidate is judged.",
);

pub(crate) const STATE: Family =
    gauge("haldane_rollout_state", &["rollout", "model", "candidate", "state"], "1 for the state a rollout is in.");
pub(crate) const STATE_CODE: Family = gauge(
    "haldane_rollout_state_code",
    ROLLOUT,
    "The state as a number: 0 REGISTERED, 1 WARMING, 2 OBSERVING, 3 SUSPECT, 4 HELD, 5 CONTAINED, 6 ROLLING_BACK, \
     7 ROLLED_BACK, 8 PASSED, 9 BAKING, 10 STABLE, 11 SUPERSEDED, 12 RETIRED.",
);
pub(crate) const PENDING: Family =
    gauge("haldane_rollout_pending", ROLLOUT, "1 while a decision waits for people to approve it.");
pub(crate) const CONTAINED: Family = histogram(
    "haldane_time_to_contained_seconds",
    MODEL,
    "Event time from a restriction to the end of the first window in which traffic was at or below its cap.",
);
pub(crate) const ACT_LOOK: Family =
    gauge("haldane_act_look_timestamp_seconds", TARGET, "Wall-clock time of the last look that the target answered.");
pub(crate) const ACT_SET: Family =
    gauge("haldane_act_set_timestamp_seconds", TARGET, "Wall-clock time when a share was last set at the target.");
pub(crate) const ACT_OUTCOMES: Family = counter(
    "haldane_act_outcomes_total",
    &["target", "outcome"],
    "What became of decisions at a target: acknowledged as applied, rejected, ignored or failed; target unreachable; set by \
     somebody else in between (conflict) or afterwards (put_back).",
);
pub(crate) const ACT_UNREACHABLE: Family = gauge(
    "haldane_act_unreachable_seconds",
    TARGET,
    "For how long the target has not answered while something is to be done there; 0 once it does.",
);
pub(crate) const ACT_OPEN: Family =
    gauge("haldane_act_pending", TARGET, "Candidates whose share is not as the decision in force wants it.");
pub(crate) const ACT_SHARE: Family = gauge(
    "haldane_act_share_ratio",
    &["target", "model", "candidate"],
    "Share of traffic that the target showed last for a candidate, 0 to 1.",
);
pub(crate) const ACT_CONTAINED: Family = histogram(
    "haldane_act_time_to_contained_seconds",
    TARGET,
    "Time from a restriction on the control topic to the look that showed the share at or below its cap.",
);
pub(crate) const ACT_EXPOSURES: Family = counter(
    "haldane_act_exposures_total",
    &["target", "outcome"],
    "Shares of traffic that the target showed, with `exposure: true`: written to their topic, or failed (the next look is \
     written again).",
);
pub(crate) const MESSAGES: Family = counter(
    "haldane_notifications_total",
    &["target", "outcome"],
    "Messages to people and programs: delivered, failed (and sent again), or merged with one that was not sent yet.",
);
pub(crate) const MESSAGES_PENDING: Family =
    gauge("haldane_notifications_pending", TARGET, "Messages that wait to be sent.");
pub(crate) const MEMORY: Family = gauge(
    "haldane_memory_bytes",
    &["of"],
    "Memory taken by panes that are open or sealed, by labels that are waited for, by ids, by the last window while it was \
     judged, and by queues, about.",
);
pub(crate) const EARLY_SKIPPED: Family = counter(
    "haldane_early_results_skipped_total",
    &[],
    "Results of open windows that were left out so that reading is not held up.",
);
pub(crate) const OUTAGE: Family = gauge(
    "haldane_outage_seconds",
    &["of"],
    "For how long Kafka, the store or the registry has not answered; 0 while it does.",
);
pub(crate) const UNREAD: Family = gauge(
    "haldane_partitions_pending",
    &[],
    "Partitions of input topics that were added and are not read yet: until all topics have as many.",
);
pub(crate) const REFUSED: Family = counter(
    "haldane_clients_refused_total",
    &["why"],
    "Logins, requests and connections of clients that were refused: wrong tokens, nobody known, too many.",
);
pub(crate) const EXPIRES: Family = gauge(
    "haldane_certificate_expiry_timestamp_seconds",
    &[],
    "When the certificate of `serve.tls` ends, since unix epoch in seconds.",
);
pub(crate) const RESIDENT: Family = gauge("process_resident_memory_bytes", &[], "Resident memory size in bytes.");
pub(crate) const VIRTUAL: Family = gauge("process_virtual_memory_bytes", &[], "Virtual memory size in bytes.");
pub(crate) const CPU: Family =
    counter("process_cpu_seconds_total", &[], "Total user and system CPU time spent in seconds.");
pub(crate) const FDS: Family = gauge("process_open_fds", &[], "Number of open file descriptors.");
pub(crate) const BORN: Family =
    gauge("process_start_time_seconds", &[], "Start time of the process since unix epoch in seconds.");

/// Every family, in the order of the page.
pub const FAMILIES: &[Family] = &[
    BUILD,
    INGESTED,
    BYTES,
    REJECTED,
    PASSED_OVER,
    DUPLICATE,
    LATE,
    LABELS,
    ROWS,
    WINDOWS,
    DECISIONS,
    ESCALATIONS,
    COMMANDS,
    LAG_RECORDS,
    LAG,
    WATERMARK_DELAY,
    REPLAY_DEBT,
    CHECKPOINT,
    STEP,
    DECISION_DELAY,
    VALUE,
    SERIES_DROPPED,
    SEVERITY,
    BLIND,
    STATE,
    STATE_CODE,
    PENDING,
    CONTAINED,
    ACT_LOOK,
    ACT_SET,
    ACT_OUTCOMES,
    ACT_UNREACHABLE,
    ACT_OPEN,
    ACT_SHARE,
    ACT_CONTAINED,
    ACT_EXPOSURES,
    MESSAGES,
    MESSAGES_PENDING,
    MEMORY,
    EARLY_SKIPPED,
    OUTAGE,
    UNREAD,
    REFUSED,
    EXPIRES,
    RESIDENT,
    VIRTUAL,
    CPU,
    FDS,
    BORN,
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// What every process tells has the names that Prometheus's clients agree on.
    const PROCESS: &str = "process_";

    /// Units that a name may end in, besides a counter's `_total`.
    const UNITS: [&str; 11] = [
        "_seconds",
        "_bytes",
        "_records",
        "_info",
        "_value",
        "_severity",
        "_blind",
        "_state",
        "_code",
        "_pending",
        "_ratio",
    ];

    #[test]
    fn every_name_is_unique_and_follows_the_naming_rules() {
        let names: BTreeSet<_> = FAMILIES.iter().map(|family| family.name).collect();
        assert_eq!(names.len(), FAMILIES.len());
        for family in FAMILIES {
            let name = family.name;
            assert!(name.starts_with("haldane_") || name.starts_with(PROCESS), "{name}");
            assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{name}");
            assert_eq!(family.kind == MetricType::Counter, name.ends_with("_total"), "{name}");
            assert!(
                family.kind == MetricType::Counter
                    || name.starts_with(PROCESS)
                    || UNITS.iter().any(|unit| name.ends_with(unit)),
                "{name}"
            );
            assert!(family.help.ends_with('.'), "{name}");
        }
    }
}
