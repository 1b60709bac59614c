//! Whose drift it is, and when it is over.

use std::collections::BTreeMap;

use super::*;
use crate::plan::Columns;
use crate::reason::ReasonCode;
use crate::summary::Category;
use crate::verdict::guard::column::ColumnBinning;
use crate::verdict::guard::tests::{key, with_reference};

pub(crate) const USUAL: [u64; 4] = [400, 300, 200, 100];
pub(crate) const OTHER: [u64; 4] = [100, 200, 300, 400];

pub(crate) fn traffic(known: [u64; 4]) -> Traffic {
    let category = Category { known: known.to_vec(), ..Category::new(4) };
    Traffic { categorical: vec![category], ..Traffic::new(&Columns::default()) }
}

fn drift() -> Drift {
    drift_over(0)
}

/// With places for so many segments.
pub(crate) fn drift_over(places: u32) -> Drift {
    let (name, code) = ("carrier".to_owned(), ReasonCode::FeatureDrift);
    let column = Column { name, code, calendar: false, place: ColumnBinning::Categorical(0) };
    let guard = GuardPlan { design_effect: 1.0, ..GuardPlan::default() };
    Drift { columns: [column].into(), references: [Baseline::Reference].into(), guard, of_a_day: 0, places }
}

/// What is said of a version after so many windows, held against the baseline version or, without one, as the
/// world.
fn after(windows: u32, version: [u64; 4], baseline: Option<[u64; 4]>) -> Verdict {
    after_in(&drift(), windows, version, baseline)
}

fn after_in(drift: &Drift, windows: u32, version: [u64; 4], baseline: Option<[u64; 4]>) -> Verdict {
    let mut drifted = Drifted::default();
    let mut verdict = Verdict { cleared: true, ..Verdict::default() };
    let reference = BTreeMap::from([(String::new(), traffic(USUAL))]);
    let (version, baseline, keys) = (traffic(version), baseline.map(traffic), (key("v2"), key("v1")));
    with_reference(&reference, |judged| {
        for _ in 0..windows {
            let baseline = baseline.as_ref().map(|traffic| (&keys.1, traffic));
            drift.update(&mut drifted, Versions { key: &keys.0, version: &version, baseline }, judged);
        }
        let scene = Scene { judged, guard: &drift.guard, model: "m", version: "v2", baseline: "v1" };
        match baseline {
            Some(_) => drift.blame(&drifted, scene, &mut verdict),
            None => drift.tell_world(&drifted, scene, &mut verdict),
        }
    });
    let text = serde_json::to_string(&drifted).expect("a finite state");
    assert_eq!(serde_json::from_str::<Drifted>(&text).expect("its own text"), drifted);
    verdict
}

fn actions(verdict: &Verdict) -> Vec<Action> {
    verdict.findings.iter().map(|finding| finding.action).collect()
}

#[test]
fn what_the_season_does_to_both_is_never_the_candidates_fault() {
    let verdict = after(100, OTHER, Some(OTHER));
    assert_eq!((actions(&verdict), verdict.cleared, verdict.suspicious), (vec![], true, false));
    assert_eq!(actions(&after(100, OTHER, None)), [Action::Warn]);
}

#[test]
fn what_the_world_did_is_over_once_it_is_as_usual_again() {
    let (drift, mut drifted) = (drift(), Drifted::default());
    let reference = BTreeMap::from([(String::new(), traffic(USUAL))]);
    let mut told = Vec::new();
    with_reference(&reference, |judged| {
        for counts in [OTHER; 20].into_iter().chain([USUAL; 4]) {
            let versions = Versions { key: &key("v1"), version: &traffic(counts), baseline: None };
            drift.update(&mut drifted, versions, judged);
            let scene = Scene { judged, guard: &drift.guard, model: "m", version: "v1", baseline: "v1" };
            let mut verdict = Verdict::default();
            drift.tell_world(&drifted, scene, &mut verdict);
            told.push(!verdict.findings.is_empty());
        }
    });
    assert_eq!(told[19..], [true, true, true, false, false], "{told:?}");
}

#[test]
fn a_column_that_tells_the_time_is_no_drift_in_windows_shorter_than_its_cycle() {
    let mut hour = drift();
    hour.columns = hour.columns.iter().map(|column| Column { calendar: true, ..column.clone() }).collect();
    assert_eq!(actions(&after_in(&hour, 100, OTHER, None)), []);
    assert_eq!(actions(&after_in(&hour, 100, OTHER, Some(USUAL))), []);
}

#[test]
fn a_candidate_that_moves_alone_is_contained() {
    let verdict = after(20, OTHER, Some(USUAL));
    assert_eq!((actions(&verdict), verdict.cleared), (vec![Action::Contain], false));
    assert_eq!(verdict.findings[0].evidence[0].column, "carrier");
    assert_eq!(actions(&after(2, OTHER, Some(USUAL))), [], "a blip");
}

#[test]
fn a_baseline_version_that_moves_alone_says_nothing_of_the_candidate() {
    assert_eq!(actions(&after(100, USUAL, Some(OTHER))), []);
    assert_eq!(actions(&after(100, USUAL, Some(USUAL))), []);
    assert_eq!(actions(&after(100, USUAL, None)), []);
}

#[test]
fn how_much_alike_requests_are_is_seen_from_windows() {
    const MOVED: [u64; 4] = [250, 300, 250, 200];
    let reference = BTreeMap::from([(String::new(), traffic(USUAL))]);
    let log_r = |design_effect: f64, usual: u32| {
        let guard = GuardPlan { design_effect, ..GuardPlan::default() };
        let (drift, mut drifted) = (Drift { guard, ..drift() }, Drifted::default());
        with_reference(&reference, |judged| {
            for counts in (0..usual).map(|_| USUAL).chain([MOVED; 3]) {
                let versions = Versions { key: &key("v1"), version: &traffic(counts), baseline: None };
                drift.update(&mut drifted, versions, judged);
            }
        });
        drifted.references[0].version[0].log_r()
    };
    let seen = log_r(3.0, 60);
    assert!((seen - log_r(1.0, 60)).abs() < 1e-9, "60 windows show that requests are not alike: {seen}");
    assert!(log_r(3.0, 0) < log_r(1.0, 0) - 0.1, "nothing is known of the first windows");
}

#[test]
fn missing_values_are_a_cell_of_their_own() {
    let mut missing = traffic(USUAL);
    missing.categorical[0].missing = 7;
    let [cells, _] = drift().columns[0].cells(&missing, (&missing, true));
    assert_eq!(cells, [400, 300, 200, 100, 0, 7]);
}
