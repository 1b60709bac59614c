//! Bins against a binary search, and how few comparisons real columns need.

use proptest::prelude::*;

use super::*;

/// The standard normal quantile, roughly: enough to place edges as quantiles of real columns lie.
fn normal(q: f64) -> f64 {
    let t = (-2.0 * q.min(1.0 - q).ln()).sqrt();
    let z = t - (2.307_53 + 0.270_61 * t) / (1.0 + t * (0.992_29 + 0.044_81 * t));
    if q < 0.5 { -z } else { z }
}

/// `n` quantiles of a transformed normal column, distinct and increasing, and a guard just below them.
fn quantiles(n: u32, of: impl Fn(f64) -> f64) -> Vec<f64> {
    let mut edges: Vec<f64> = (1..=n).map(|i| of(normal(f64::from(i) / f64::from(n + 1)))).collect();
    edges.sort_by(f64::total_cmp);
    edges.extend(edges.first().map(|low| low.next_down()));
    edges.sort_by(f64::total_cmp);
    edges.dedup();
    edges
}

/// Every edge with its neighbours, and the ends and oddities of the line.
fn probes(edges: &[f64]) -> Vec<f64> {
    let beside = edges.iter().flat_map(|&edge| [edge.next_down(), edge, edge.next_up()]);
    let between = edges.windows(2).map(|pair| pair[0] / 2.0 + pair[1] / 2.0);
    let odd = [0.0, f64::MIN_POSITIVE, f64::from_bits(1), 1.0, f64::MAX, f64::INFINITY];
    beside.chain(between).chain(odd.into_iter().flat_map(|x| [x, -x])).collect()
}

/// Copies of a value that are counted at once: enough for every way through the loop.
const COPIES: usize = 5;

/// The first value whose bin is not the one a binary search finds, and both bins.
fn mistake(edges: &[f64], values: &[f64]) -> Option<(f64, Option<usize>, usize)> {
    let table = EdgeTable::new(edges);
    let mut counts = vec![0_u64; edges.len() + 1];
    values.iter().find_map(|&value| {
        let truth = edges.partition_point(|&edge| edge < value);
        table.count(&[value; COPIES], &mut counts);
        let right = std::mem::take(&mut counts[truth]) == COPIES as u64;
        (!right).then(|| (value, counts.iter().position(|&count| count > 0), truth))
    })
}

#[test]
fn few_edges() {
    for edges in [&[][..], &[0.0], &[-0.0], &[f64::MAX], &[f64::from_bits(1)], &[-1.0, 1.0]] {
        assert_eq!(mistake(edges, &probes(edges)), None, "{edges:?}");
    }
}

#[test]
fn ranges_that_overflow_or_vanish() {
    let tiny: Vec<f64> = (0..100).map(f64::from_bits).collect();
    let near_one: Vec<f64> = (0..5000).map(|step| f64::from_bits(1.0_f64.to_bits() + step)).collect();
    let huge: Vec<f64> = (-50..=50).map(|step| f64::from(step) / 50.0 * f64::MAX).collect();
    for edges in [tiny, near_one, huge, vec![f64::MIN, f64::MAX], vec![f64::MIN, 0.0, 1e-300, 1.0, f64::MAX]] {
        assert_eq!(mistake(&edges, &probes(&edges)), None);
    }
}

#[test]
fn as_many_edges_as_may_be() {
    for edges in [quantiles(8192, |z| z), quantiles(8192, |z| (2.5 * z).exp()), quantiles(8192, |z| 1e3 + z.powi(7))] {
        assert_eq!(mistake(&edges, &probes(&edges)), None);
    }
}

#[test]
fn real_columns_need_few_comparisons() {
    for n in [10, 64, 256, 1040] {
        let columns = [
            quantiles(n, |z| z),
            quantiles(n, |z| 1e6 + z),
            quantiles(n, |z| (2.5 * z).exp()),
            quantiles(n, |z| -(2.5 * z).exp()),
            quantiles(n, |z| 5.0 + z * z * z),
            quantiles(n, |z| 5.0 + (2.5 * z).sinh()),
        ];
        for edges in columns {
            assert!(EdgeTable::new(&edges).crowd <= 4, "{n} edges from {} to {}", edges[0], edges[edges.len() - 1]);
        }
    }
}

/// Sorted distinct finite edges of several kinds: any bits, clusters far apart, whole numbers.
fn any_edges() -> impl Strategy<Value = Vec<f64>> {
    let bits = any::<u64>().prop_map(f64::from_bits);
    let cluster = (-3..3_i32, 0..1000_u32).prop_map(|(at, step)| f64::from(at) * 1e6 + f64::from(step) * 1e-6);
    let whole = (-500..500_i32).prop_map(f64::from);
    let sorted = |mut edges: Vec<f64>| {
        edges.retain(|edge| edge.is_finite());
        edges.sort_by(f64::total_cmp);
        edges.dedup();
        edges
    };
    prop_oneof![
        prop::collection::vec(bits, 0..400).prop_map(sorted),
        prop::collection::vec(cluster, 0..400).prop_map(sorted),
        prop::collection::vec(whole, 0..400).prop_map(sorted),
    ]
}

proptest! {
    #[test]
    fn always_the_bin_of_a_binary_search(edges in any_edges(), bits in prop::collection::vec(any::<u64>(), 0..200)) {
        let values = bits.into_iter().map(f64::from_bits).filter(|value| !value.is_nan());
        let values: Vec<f64> = values.chain(probes(&edges)).collect();
        prop_assert_eq!(mistake(&edges, &values), None);
    }
}
