//! Opened again, a summary is what it was, whatever was counted into it.

use std::sync::Arc;

use proptest::prelude::*;

use super::{Seal, Sealed};
use crate::kernel::bin::Edges;
use crate::kernel::moment::Grid;
use crate::plan::{CategoricalColumn, ColumnRole, Columns, Corrections, NumericColumn, QualityPlan, Task};
use crate::summary::histogram::{Cut, Recuts};
use crate::summary::quality::Labelled;
use crate::summary::{Histogram, Latency, Magnitudes, Quality, Traffic, entity};

/// Opens `sealed` into `empty`, which must give `open`, and then twice `open` where it is added once more.
fn holds<T: Seal + Clone + PartialEq + std::fmt::Debug>(open: &T, empty: T, merge: fn(&mut T, &T)) {
    let sealed = Sealed::new(open);
    let mut again = empty;
    sealed.add_to(&mut again);
    assert_eq!(again, *open);
    assert_eq!(Sealed::new(&again), sealed, "equal summaries have equal bytes");
    sealed.add_to(&mut again);
    let mut twice = open.clone();
    merge(&mut twice, open);
    assert_eq!(again, twice);
}

fn edges(n: u16) -> Edges {
    Edges::new((0..n).map(|i| f64::from(i) / f64::from(n)).collect()).expect("edges increase")
}

fn columns() -> Columns {
    let edges = edges(300).reaching(0, 299);
    let cut = Arc::new(Cut { edges, grid: Grid::for_range(0.0, 1.0), recuts: Recuts::default() });
    let numeric = |name: &str, role| NumericColumn { name: name.to_owned(), role, cut: Arc::clone(&cut) };
    let categorical = |name: &str, known: &[&str]| CategoricalColumn {
        name: name.to_owned(),
        known: known.iter().map(ToString::to_string).collect(),
        rare: None,
    };
    Columns {
        numeric: vec![
            numeric("x", ColumnRole::Feature),
            numeric("latency", ColumnRole::Latency),
            numeric("cost", ColumnRole::Measure),
        ],
        categorical: vec![categorical("free", &[]), categorical("known", &["a", "b", "c"])],
    }
}

fn quality(task: Task) -> QualityPlan {
    QualityPlan {
        task,
        width_bins: vec![10, 15],
        score_edges: edges(200).reaching(50, 150),
        threshold: 0.5,
        wait: 1,
        horizon: 1,
        pending_max: 1,
        sample: 1.0,
        corrections: Corrections::First,
    }
}

/// What may be counted: numbers on the line, far out on it and at its ends.
fn number() -> impl Strategy<Value = f64> {
    prop_oneof![8 => -0.5..1.5_f64, 1 => -1e300..1e300_f64, 1 => Just(f64::INFINITY), 1 => Just(0.25)]
}

/// A row: number, latency, category, and what else there is to say of it.
type Row = (f64, f64, u16, u8, u64);

fn count(traffic: &mut Traffic, columns: &Columns, &(number, latency_ms, name, what, entity): &Row) {
    traffic.numeric[0].update(&columns.numeric[0].cut, &[number]);
    traffic.numeric[1].missing += u64::from(what & 1);
    traffic.numeric[1].nan += u64::from(what >> 1 & 1);
    traffic.categorical[0].add_unseen(&format!("name {}", name % 700), u64::from(what) + 1);
    traffic.categorical[1].known[usize::from(name % 3)] += u64::from(what >> 2 & 1);
    traffic.categorical[1].missing += u64::from(what >> 3 & 1);
    traffic.latency.update(latency_ms);
    traffic.measures[0].update(number, (what > 50).then_some(entity));
    traffic.rates.requests += u64::from(name);
    traffic.rates.duplicates += u64::from(what);
    if what > 100 {
        traffic.timed_out.update((what > 200).then_some(latency_ms));
        let asked = entity::at(&mut traffic.entities, entity);
        asked.requests += 1;
        asked.steps_sq += entity >> 40;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn traffic_is_what_it_was(
        rows in prop::collection::vec((number(), 0.0..1e7_f64, any::<u16>(), any::<u8>(), any::<u64>()), 0..600),
    ) {
        let columns = columns();
        let mut traffic = Traffic::new(&columns);
        rows.iter().for_each(|row| count(&mut traffic, &columns, row));
        holds(&traffic, Traffic::new(&columns), Traffic::merge);
    }

    #[test]
    fn quality_is_what_it_was(
        rows in prop::collection::vec((0.0..1.0_f64, any::<bool>(), any::<bool>(), prop::option::of(0_u8..64)), 0..400),
        task in prop::sample::select(vec![Task::Binary, Task::Multiclass, Task::Regression]),
    ) {
        let plan = quality(task);
        let mut open = Quality::new(&plan);
        for (score, label, predicted, entity) in rows {
            let label = f64::from(u8::from(label));
            open.update(&plan, Labelled { score, label, predicted, entity, classes: None });
            if task == Task::Multiclass {
                let class = |of: f64| format!("{:.1}", f64::midpoint(of, score));
                open.classes.count(&class(label), &class(f64::from(u8::from(predicted))));
            }
        }
        holds(&open, Quality::new(&plan), Quality::merge);
        prop_assert_eq!(Quality::from_bytes(&open.to_bytes()).expect("its own bytes"), open);
    }

    #[test]
    fn latencies_and_magnitudes_are_what_they_were(values in prop::collection::vec(0.0..1e9_f64, 0..300)) {
        let (mut latency, mut magnitudes) = (Latency::default(), Magnitudes::default());
        for value in values {
            latency.update(value);
            magnitudes.update(value / 1e6);
        }
        holds(&latency, Latency::default(), Latency::merge);
        holds(&magnitudes, Magnitudes::default(), Magnitudes::merge);
    }

    #[test]
    fn any_counts_and_sums_are_what_they_were(
        counts in prop::collection::vec(prop_oneof![3 => Just(0_u64), 1 => any::<u64>()], 0..200),
        sums in any::<[i128; 2]>(),
        (missing, nan) in any::<(u64, u64)>(),
        range in prop::option::of((any::<f64>(), any::<f64>())),
    ) {
        let cut = Cut { edges: edges(200), grid: Grid::for_range(0.0, 1.0), recuts: Recuts::default() };
        let empty = Histogram { counts: vec![0; counts.len()], ..Histogram::new(&cut) };
        let open = Histogram {
            counts, missing, nan, sum: sums[0], sum_sq: sums[1], n_clamped: nan / 2,
            min: range.map(|(min, _)| min), max: range.map(|(_, max)| max), tails: crate::summary::Tails::default(),
        };
        let mut again = empty;
        Sealed::new(&open).add_to(&mut again);
        prop_assert_eq!(again, open);
    }
}

#[test]
fn a_column_of_three_hundred_events_takes_four_hundred_bytes() {
    let cut = Cut { edges: edges(1039), grid: Grid::for_range(0.0, 1.0), recuts: Recuts::default() };
    let mut histogram = Histogram::new(&cut);
    let values: Vec<f64> = (0..300).map(|i| (f64::from(i) * 0.618_033_988_749_895).fract()).collect();
    histogram.update(&cut, &values);
    assert!(Sealed::new(&histogram).bytes() <= 400, "{} bytes", Sealed::new(&histogram).bytes());
}
