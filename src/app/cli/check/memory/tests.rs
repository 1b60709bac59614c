//! Laws that an estimate keeps, whatever the plan says.

use proptest::prelude::*;

use super::*;
use crate::config;

/// Labels and measures, a column without a reference and one with edges.
const RICH: &str = "
sources:
  predictions:
    topic: p
    id: id
    version: v
    event_time: t
    score: s
    latency: l
    segments: { country: c }
    features: { numeric: { a: { path: a, range: [0, 5] } }, categorical: [kind] }
  outcomes: { topic: o, id: id, label: y }
rollout: { baseline: v1 }
baselines: [concurrent, 1d_ago]
";

/// Nothing but what cannot be guessed.
const BARE: &str = "sources: { predictions: { topic: p, id: id, version: v, event_time: t, score: s } }\n";

fn pipeline(text: &str) -> Pipeline {
    config::parse(text, "p.yaml", std::path::Path::new("")).unwrap_or_else(|error| panic!("{error}"))
}

fn plan(text: &str) -> Arc<Plan> {
    pipeline(text).plan
}

/// What is taken for an ordinary rollout.
const USUAL: Assumed = Assumed { rate: 10_000, partitions: 4, versions: 2, segments: 10 };

/// Its parts, each at least as large as that of another.
fn covers(larger: &MemoryUse, smaller: &MemoryUse) -> bool {
    parts(larger).iter().zip(parts(smaller)).all(|((larger, _), (smaller, _))| *larger >= smaller)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn nothing_that_can_be_asked_is_too_large_to_be_told(
        rate in any::<u64>(), partitions in any::<u64>(), versions in any::<u64>(), segments in any::<u64>(),
    ) {
        let plan = plan(RICH);
        let assumed = Assumed { rate, partitions, versions, segments };
        for memory in [expected(&plan, assumed), least(&plan, assumed), largest(&plan, partitions)] {
            prop_assert!(!line("x", &memory).is_empty());
        }
    }

    #[test]
    fn twice_the_traffic_takes_no_less_and_what_stays_is_no_more_than_all(
        rate in 100..2_000_000_u64, partitions in 1..64_u64, versions in 1..8_u64, segments in 1..50_u64,
    ) {
        let plan = plan(RICH);
        let assumed = Assumed { rate, partitions, versions, segments };
        let all = expected(&plan, assumed);
        prop_assert!(covers(&all, &least(&plan, assumed)), "what stays of {assumed:?}");
        let ids = |assumed| expected(&plan, assumed).ids;
        let (twice_the_rate, twice_the_segments) =
            (Assumed { rate: 2 * rate, ..assumed }, Assumed { segments: 2 * segments, ..assumed });
        prop_assert!(ids(twice_the_rate) >= ids(assumed));
        let labels = |assumed| expected(&plan, assumed).labels;
        prop_assert!(labels(twice_the_segments) >= labels(assumed));
    }

    #[test]
    fn numbers_are_spread_evenly_over_their_places(places in 1..500_u64) {
        let mut counts = vec![0_u64; usize::try_from(places).expect("few")];
        for i in 0..places * 8 {
            counts[usize::try_from(place(i, places)).expect("a place")] += 1;
        }
        prop_assert!(counts.iter().all(|&n| (5..=11).contains(&n)), "{counts:?}");
        prop_assert!((0..places).all(|i| (0.0..1.0).contains(&unit(i))));
    }
}

#[test]
fn the_largest_values_of_all_are_told_too() {
    let most = Assumed { rate: u64::MAX, partitions: u64::MAX, versions: u64::MAX, segments: u64::MAX };
    let least_of_all = Assumed { rate: 0, partitions: 0, versions: 0, segments: 0 };
    for text in [RICH, BARE] {
        let plan = plan(text);
        for assumed in [most, least_of_all] {
            let told = [expected(&plan, assumed), least(&plan, assumed), largest(&plan, assumed.partitions)];
            assert!(told.iter().all(|memory| memory.total() > 0), "{assumed:?}");
        }
    }
}

#[test]
fn of_sealed_panes_and_labels_hardly_anything_stays() {
    let plan = plan(RICH);
    let (all, stays) = (expected(&plan, USUAL), least(&plan, USUAL));
    assert!(stays.sealed_panes * 4 < all.sealed_panes && stays.labels < all.labels, "{stays:?} of {all:?}");
    assert_eq!((stays.open_panes, stays.ids, stays.judging), (all.open_panes, all.ids, all.judging));
}

#[test]
fn what_a_pipeline_does_not_have_takes_nothing() {
    let (bare, rich) = (expected(&plan(BARE), USUAL), expected(&plan(RICH), USUAL));
    assert_eq!(bare.labels, 0);
    assert!(rich.labels > 0 && covers(&rich, &bare));
    let ten = |text: &str, segments| expected(&plan(text), Assumed { segments, ..USUAL }).total();
    assert_eq!(ten(BARE, 1), ten(BARE, 10), "it knows no segments");
    assert!(ten(RICH, 1) < ten(RICH, 10));
    let without = RICH.replace("baselines: [concurrent, 1d_ago]\n", "");
    assert!(expected(&plan(&without), USUAL).sealed_panes < rich.sealed_panes, "earlier windows are kept");
}

#[test]
fn fewer_predictions_are_followed_where_fewer_may_wait() {
    let text = |pending: &str| format!("{RICH}labels: {{ horizon: 2h, wait: 1h{pending} }}\n");
    let of =
        |pending: &str| sampled(&plan(&text(pending)), plan(&text(pending)).quality.as_ref().expect("labels"), USUAL);
    assert_eq!(of(""), None);
    let said = of(", pending_max: 1000").expect("a sample");
    assert!(said.starts_with("of 10000 predictions in a pane about "), "{said}");
    let waiting = |pending: &str| expected(&plan(&text(pending)), USUAL).labels;
    assert!(waiting(", pending_max: 1000") < waiting(""));
    assert!(waiting(", sample: 0.25") < waiting(""));
    assert!(waiting(", corrections: last") > waiting(""), "what may be corrected takes more");
}

#[test]
fn what_comes_to_a_part_is_its_share_rounded_down() {
    let cases = [(10, 1, 2, 5), (10, 1, 3, 3), (10, 3, 1, 30), (7, 0, 5, 0), (7, 5, 0, 35), (u64::MAX, 2, 1, u64::MAX)];
    for (n, part, whole, expected) in cases {
        assert_eq!(per(n, part, whole), expected, "{n} of {part} in {whole}");
    }
    assert_eq!([share(10, 0.5), share(10, 0.99), share(0, 1.0)], [5, 9, 0]);
    assert_eq!([panes(10, 3), panes(9, 3), panes(10, 0), panes(0, 5)], [3, 3, 10, 0]);
    assert_eq!([times(3, 4), times(usize::MAX, 2)], [12, usize::MAX / 16]);
}

#[test]
fn megabytes_are_rounded_up_and_many_are_gigabytes() {
    let told = [0, 1, 1_000_000, 1_000_001, 9_999_000_000, 10_000_000_000].map(megabytes);
    assert_eq!(told, ["0 MB", "1 MB", "1 MB", "2 MB", "9999 MB", "10 GB"]);
}

#[test]
fn the_largest_part_is_told_first_and_small_ones_are_not() {
    let memory = MemoryUse { open_panes: 2_000_000, labels: 300_000_000, ids: 999_999, ..MemoryUse::default() };
    let told = line("expected", &memory);
    assert!(told.starts_with("expected: 393 MB; 300 MB labels that are waited for ("), "{told}");
    assert!(told.contains("), 90 MB the process itself, 2 MB open panes ("), "{told}");
    assert!(!told.contains("ids of events"), "{told}");
}

#[test]
fn a_bound_holds_what_must_stay_or_is_refused() {
    let dir = tempfile::tempdir().expect("a folder");
    let bounded = |max: &str| {
        let spill = dir.path().display();
        pipeline(&format!("{RICH}memory: {max}\nspill: '{spill}'\n"))
    };
    assert!(bound(&pipeline(RICH)).expect("none").is_none() && fits(&pipeline(RICH), USUAL).is_ok());
    let (bytes, _) = bound(&bounded("100MB")).expect("a bound").expect("some");
    assert_eq!(bytes, 100_000_000 - PROCESS);
    let error = bound(&bounded("90MB")).map(|_| ()).expect_err("no room");
    assert_eq!(error.to_string(), "`memory` is 90 MB, and the process itself takes 90 MB");
    assert!(fits(&bounded("2GB"), USUAL).is_ok());
    let exactly = |more: usize, less: usize| {
        let mut pipeline = bounded("100MB");
        let memory = pipeline.memory.as_mut().expect("a bound");
        memory.max = PROCESS + least(&pipeline.plan, USUAL).total() + more - less;
        fits(&pipeline, USUAL).is_ok()
    };
    assert_eq!((exactly(0, 0), exactly(0, 1)), (true, false));
    let busy = Assumed { rate: 50_000_000, ..USUAL };
    let error = fits(&bounded("100MB"), busy).expect_err("too much");
    assert!(error.to_string().starts_with("`memory` is 100 MB, and "), "{error}");
    assert!(error.to_string().ends_with(" cannot go to disk at the assumed rate"), "{error}");
    assert!(error.advice().is_some_and(|hint| hint.contains("or less of what takes most: ")));
}
