//! Texts of pipeline files as they are recorded.

use std::collections::BTreeMap;

use super::*;
use crate::kafka::versions::{PipelineVersion, read, record};

fn version(rollout: &str, plan: &str) -> PipelineVersion {
    PipelineVersion::of((rollout, plan), Vec::new(), BTreeMap::new())
}

/// The texts that are recorded of a rollout, each with how often it came into force.
fn recorded(cluster: &MemoryCluster, rollout: &str) -> Vec<(String, usize)> {
    let all = read(cluster, rollout).expect("versions");
    all.into_iter().map(|version| (version.plan, version.since.len())).collect()
}

#[test]
fn a_text_is_recorded_when_another_was_in_force() {
    let cluster = MemoryCluster::new("");
    for (plan, expected) in [("a", 1), ("a", 1), ("b", 2), ("a", 3)] {
        record(&cluster, &version("r", plan)).expect("recorded");
        assert_eq!(cluster.log.sent().len(), expected, "{plan}");
    }
    let mut all = recorded(&cluster, "r");
    all.sort();
    assert_eq!(all, [("a".to_owned(), 2), ("b".to_owned(), 1)], "one record for each, with all its times");
    assert!(recorded(&cluster, "other").is_empty());
}

#[test]
fn texts_of_other_rollouts_do_not_count() {
    let cluster = MemoryCluster::new("");
    record(&cluster, &version("q", "a")).expect("recorded");
    record(&cluster, &version("r", "a")).expect("recorded");
    assert_eq!(cluster.log.sent().len(), 2);
    assert_eq!((recorded(&cluster, "r").len(), recorded(&cluster, "q").len()), (1, 1));
}

#[test]
fn of_many_times_the_last_hundred_are_kept() {
    let cluster = MemoryCluster::new("");
    let mut old = version("r", "a");
    old.since = (0..150).collect();
    let mut other = version("r", "b");
    other.since = vec![149];
    for version in [&old, &other] {
        let body = serde_json::to_string(version).expect("JSON");
        cluster.hold("s", [foreign(&version.key(), Some(&body))]);
    }
    other.since = vec![150];
    cluster.hold("s", [foreign(&other.key(), Some(&serde_json::to_string(&other).expect("JSON")))]);
    record(&cluster, &version("r", "a")).expect("recorded");
    let written = read(&cluster, "r").expect("versions").into_iter().find(|one| one.plan == "a").expect("written");
    assert_eq!((written.since.len(), written.since[0], written.since[99]), (100, 51, NOW));
}

#[test]
fn a_record_that_cannot_be_read_leaves_the_others() {
    let cluster = MemoryCluster::new("");
    record(&cluster, &version("r", "a")).expect("recorded");
    cluster.hold(
        "s",
        [foreign("@pipeline/r/x", Some("{")), foreign("r/m/v2", Some("{}")), foreign("@pipeline/r/y", None)],
    );
    assert_eq!(recorded(&cluster, "r"), [("a".to_owned(), 1)]);
}
