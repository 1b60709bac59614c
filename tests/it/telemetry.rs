//! The page shows what happened, every family of the list, and never more series than the bound.

use std::collections::BTreeMap;
use std::time::Duration;

use haldane::act::ObservedShare;
use haldane::engine::MemoryUse;
use haldane::event::{EventKind, Poison, Reject};
use haldane::judge::WindowRow;
use haldane::name::Name;
use haldane::plan::Signal;
use haldane::scan::{LabelCounts, LaneCounts};
use haldane::targets::Subject;
use haldane::targets::watch::Event;
use haldane::telemetry::{Acting, FAMILIES, Lag, METRIC_SERIES_MAX, Refusal, Telemetry};
use haldane::verdict::decision::Severity;
use haldane::verdict::{CommandName, Decision, Outcome, RolloutState, State, Validity};

use crate::sample::{decision, full, row, state};

/// One of everything that can happen.
fn busy() -> Telemetry {
    let telemetry = Telemetry::new();
    telemetry.ingested(EventKind::Prediction, 8_192, 1_000_000);
    telemetry.rejected(&[Reject { offset: 1, row: 0, reason: Poison::Malformed, detail: String::new() }]);
    let labels = LabelCounts { joined: 5, ..LabelCounts::default() };
    let first = LaneCounts { late: 1, duplicates: 3, ..LaneCounts::default() };
    telemetry.counted(&BTreeMap::from([(0, first)]));
    telemetry.counted(&BTreeMap::from([(0, first), (1, LaneCounts { late: 3, labels, ..LaneCounts::default() })]));
    telemetry.stepped(Duration::from_millis(2));
    telemetry.remembered("scan-0", &MemoryUse { labels: 5, ids: 7, ..MemoryUse::default() }, 0);
    telemetry.remembered("scan-1", &MemoryUse { labels: 6, ..MemoryUse::default() }, 9);
    telemetry.remembered("scan-0", &MemoryUse { labels: 3, open_panes: 2, ..MemoryUse::default() }, 0);
    telemetry.passed_over(EventKind::Feature, 6);
    telemetry.skipped(4);
    telemetry.outage("store", Duration::from_secs(12));
    telemetry.unread(2);
    telemetry.refused(Refusal::Login);
    telemetry.expires(1_800_000_000);
    let lag = Lag { records: 7, time: 1_500_000, watermark: 2_500_000, replay_debt: 9 };
    telemetry.lag("fraud.predictions", 0, lag);
    telemetry.committed("fraud.predictions", 0, 5_000_000);
    telemetry.decided(&decision(Signal::Contain));
    telemetry.acknowledged(12_000_000);
    telemetry.judged(&[row("amount", 10, Some(0.25))]);
    telemetry.rollouts(&[state("v2", State::Contained, Validity::Blind)]);
    act(telemetry.acting());
    telemetry
}

/// One of everything that can happen to those who carry decisions out.
fn act(acting: &Acting) {
    let [rollout, model, candidate, baseline, decision] = ["r", "m", "v2", "v1", "b3:1"].map(str::to_owned);
    let subject = Subject { rollout, model, candidate, baseline, decision };
    let seen = ObservedShare { version: None, share_pct: Some(25.0), grain_pct: 1.0, mark: String::new() };
    acting.begins("route", false);
    acting.begins("chat", true);
    acting.saw("route", Event::Looked(&subject, &Ok(seen)), 1_000_000);
    acting.saw("route", Event::Set { done: &Ok(()), again: false }, 1_000_000);
}

fn page(telemetry: &Telemetry) -> String {
    telemetry.render().expect("the page is written")
}

#[test]
fn the_page_shows_every_family_of_the_list_and_no_other() {
    let page = page(&busy());
    let shown: Vec<_> = page.lines().filter_map(|line| line.strip_prefix("# HELP ")?.split(' ').next()).collect();
    let mut listed: Vec<_> = FAMILIES.iter().map(|family| family.name).collect();
    listed.sort_unstable();
    assert_eq!(shown, listed);
}

#[test]
fn the_page_shows_what_happened() {
    let page = page(&busy());
    for line in [
        r#"haldane_events_ingested_total{source="prediction"} 8192"#,
        r#"haldane_ingested_bytes_total{source="prediction"} 1000000"#,
        r#"haldane_events_rejected_total{reason="malformed"} 1"#,
        r#"haldane_events_rejected_total{reason="empty"} 0"#,
        r#"haldane_events_passed_over_total{source="feature"} 6"#,
        "haldane_events_duplicate_total 3",
        "haldane_events_late_total 4",
        r#"haldane_labels_total{fate="joined"} 5"#,
        r#"haldane_lag_records{partition="0",topic="fraud.predictions"} 7"#,
        r#"haldane_lag_seconds{partition="0",topic="fraud.predictions"} 1.5"#,
        r#"haldane_watermark_delay_seconds{partition="0",topic="fraud.predictions"} 2.5"#,
        r#"haldane_replay_debt_records{partition="0",topic="fraud.predictions"} 9"#,
        r#"haldane_checkpoint_timestamp_seconds{partition="0",topic="fraud.predictions"} 5"#,
        r#"haldane_decisions_total{action="contain",model="fraud",rollout="fraud"} 1"#,
        r#"haldane_decisions_total{action="rollback",model="fraud",rollout="fraud"} 0"#,
        "haldane_decision_delay_seconds_sum 12",
        "haldane_step_duration_seconds_count 1",
        r#"haldane_memory_bytes{of="open_panes"} 2"#,
        r#"haldane_memory_bytes{of="sealed_panes"} 0"#,
        r#"haldane_memory_bytes{of="labels"} 9"#,
        r#"haldane_memory_bytes{of="ids"} 0"#,
        r#"haldane_memory_bytes{of="judging"} 0"#,
        r#"haldane_memory_bytes{of="queues"} 9"#,
        "haldane_early_results_skipped_total 4",
        r#"haldane_outage_seconds{of="kafka"} 0"#,
        r#"haldane_outage_seconds{of="store"} 12"#,
        "haldane_partitions_pending 2",
        r#"haldane_window_rows_total{status="ok"} 1"#,
        r#"haldane_rollout_severity{candidate="v2",model="fraud",rollout="fraud"} 3"#,
        r#"haldane_rollout_blind{candidate="v2",model="fraud",rollout="fraud"} 1"#,
        r#"haldane_rollout_state_code{candidate="v2",model="fraud",rollout="fraud"} 5"#,
    ] {
        assert!(page.lines().any(|shown| shown == line), "{line} is missing in\n{page}");
    }
}

fn n_contained(n: u32) -> String {
    format!("haldane_time_to_contained_seconds_count{{model=\"fraud\",rollout=\"fraud\"}} {n}\n")
}

#[test]
fn whoever_stands_by_shows_nothing_of_the_work() {
    let telemetry = busy();
    telemetry.stand_by();
    let shown = page(&telemetry);
    let of_work = ["haldane_lag", "haldane_rollout_", "haldane_checkpoint", "haldane_metric_value", "haldane_replay"];
    let left = shown.lines().find(|line| of_work.iter().any(|name| line.starts_with(name)));
    assert_eq!(left, None, "{shown}");
    telemetry.rollouts(&[state("v2", State::Contained, Validity::Blind)]);
    assert!(page(&telemetry).contains("haldane_rollout_state_code{"), "it shows what it takes over");
}

#[test]
fn every_series_names_its_pipeline() {
    let telemetry = busy();
    telemetry.belongs_to("fraud \"eu\"");
    let shown = page(&telemetry);
    let mut series = shown.lines().filter(|line| !line.starts_with('#')).peekable();
    assert!(series.peek().is_some());
    assert!(series.all(|line| line.contains(r#"pipeline="fraud \"eu\"""#)), "{shown}");
}

#[test]
fn a_rollout_shows_its_state_what_waits_and_once_how_long_containing_took() {
    let telemetry = Telemetry::new();
    let contained = full();
    telemetry.rollouts(std::slice::from_ref(&contained));
    telemetry.rollouts(std::slice::from_ref(&contained));
    let labels = r#"candidate="v2",model="fraud",rollout="fraud""#;
    let state = |name: &str| format!("haldane_rollout_state{{{labels},state=\"{name}\"}} 1\n");
    let shown = page(&telemetry);
    assert!(shown.contains(&state("CONTAINED")), "{shown}");
    assert!(shown.contains(&format!("haldane_rollout_pending{{{labels}}} 1\n")), "{shown}");
    assert!(shown.contains(&n_contained(1)), "{shown}");

    telemetry.rollouts(&[RolloutState { state: State::RollingBack, pending: None, ..contained.clone() }]);
    let shown = page(&telemetry);
    assert!(shown.contains(&state("ROLLING_BACK")) && !shown.contains("state=\"CONTAINED\""), "{shown}");
    assert!(shown.contains(&format!("haldane_rollout_pending{{{labels}}} 0\n")), "{shown}");

    let after_a_restart = Telemetry::new();
    after_a_restart.restored(std::slice::from_ref(&contained));
    after_a_restart.rollouts(&[contained]);
    assert!(page(&after_a_restart).contains(&n_contained(0)));
}

#[test]
fn decisions_that_call_people_are_counted_and_commands_by_what_became_of_them() {
    let telemetry = Telemetry::new();
    let fatal = |action| Decision { severity: Severity::Fatal, ..decision(action) };
    [Signal::Rollback, Signal::Heartbeat, Signal::Hold].map(fatal).iter().for_each(|one| telemetry.decided(one));
    let shown = page(&telemetry);
    assert!(shown.contains("haldane_escalations_total{model=\"fraud\",rollout=\"fraud\"} 2\n"), "{shown}");
    for (kind, outcome) in CommandName::ALL.iter().flat_map(|kind| Outcome::ALL.map(|outcome| (kind.name(), outcome))) {
        let name = outcome.name();
        let line = format!("haldane_commands_total{{kind=\"{kind}\",outcome=\"{name}\"}} 0\n");
        assert!(shown.contains(&line), "{line} is missing in\n{shown}");
    }
}

#[test]
fn a_revoked_partition_takes_its_gauges_along() {
    let telemetry = busy();
    telemetry.revoked("fraud.predictions", 0);
    telemetry.revoked("never.seen", 3);
    assert!(!page(&telemetry).contains("fraud.predictions"));
}

#[test]
fn a_value_that_is_gone_is_not_shown() {
    let telemetry = Telemetry::new();
    telemetry.judged(&[row("amount", 10, Some(0.5))]);
    assert!(page(&telemetry).contains("\nhaldane_metric_value{"));
    telemetry.judged(&[row("amount", 20, None)]);
    assert!(!page(&telemetry).contains("\nhaldane_metric_value{"));
}

fn n_series(telemetry: &Telemetry) -> usize {
    page(telemetry).lines().filter(|line| line.starts_with("haldane_metric_value{")).count()
}

#[test]
fn series_are_bounded_and_what_is_left_out_is_counted() {
    let telemetry = Telemetry::new();
    let rows: Vec<_> = (0..METRIC_SERIES_MAX + 3).map(|column| row(&format!("f{column:05}"), 10, Some(0.1))).collect();
    telemetry.judged(&rows);
    assert_eq!(n_series(&telemetry), METRIC_SERIES_MAX);
    assert!(page(&telemetry).contains("haldane_metric_series_dropped_total 3\n"));
}

#[test]
fn series_not_heard_of_again_make_room() {
    let telemetry = Telemetry::new();
    let rows: Vec<_> = (0..METRIC_SERIES_MAX).map(|column| row(&format!("f{column:05}"), 10, Some(0.1))).collect();
    telemetry.judged(&rows);
    telemetry.judged(&[row("new", 30, Some(0.2))]);
    assert_eq!(n_series(&telemetry), 1);
    assert!(page(&telemetry).contains("haldane_metric_series_dropped_total 0\n"));
}

#[test]
fn quotes_and_newlines_in_labels_are_escaped() {
    let telemetry = Telemetry::new();
    telemetry.judged(&[WindowRow { segment: "country=\"D\nE\"".to_owned(), ..row("amount", 10, Some(0.1)) }]);
    assert!(page(&telemetry).contains(r#"segment="country=\"D\nE\"""#));
}

#[test]
fn what_only_live_candidates_have_goes_with_their_end() {
    let telemetry = Telemetry::new();
    let live = RolloutState {
        state: State::RollingBack,
        validity: Validity::Blind,
        ..RolloutState::new("fraud", "fraud", "v2", "v1")
    };
    telemetry.rollouts(std::slice::from_ref(&live));
    let families = ["haldane_rollout_severity{", "haldane_rollout_blind{", "haldane_rollout_state{"];
    let shown = || families.map(|family| page(&telemetry).contains(family));
    assert_eq!(shown(), [true, true, true]);
    for ended in [State::RolledBack, State::Superseded] {
        telemetry.rollouts(&[RolloutState { state: ended, ..live.clone() }]);
        assert_eq!(shown(), [false, false, true]);
    }
    telemetry.rollouts(&[RolloutState { state: State::Retired, denied: true, ..live }]);
    assert_eq!(shown(), [false, false, false]);
}
