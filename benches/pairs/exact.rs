//! What the raw rows give, computed without the engine.

/// The finite values of a column, in rising order; both zeros are one.
pub(crate) fn finite(column: &[Option<f64>]) -> Vec<f64> {
    let mut values: Vec<f64> =
        column.iter().flatten().filter(|value| value.is_finite()).map(|value| value + 0.0).collect();
    values.sort_by(f64::total_cmp);
    values
}

/// Rows in the bins `(-inf, e1], (e1, e2], …`.
pub(crate) fn counts(values: &[f64], edges: &[f64]) -> Vec<f64> {
    let mut counts = vec![0.0; edges.len() + 1];
    values.iter().for_each(|value| counts[edges.iter().filter(|edge| *edge < value).count()] += 1.0);
    counts
}

/// `sum (q - p) ln(q / p)` with half a row in each cell.
pub(crate) fn psi(p: &[f64], q: &[f64]) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "tens of cells")]
    let cells = p.len() as f64;
    let all = [p, q].map(|side| side.iter().sum::<f64>() + cells / 2.0);
    let shares = p.iter().zip(q).map(|(p, q)| ((p + 0.5) / all[0], (q + 0.5) / all[1]));
    shares.map(|(p, q)| (q - p) * (q / p).ln()).sum()
}

/// The Jensen-Shannon divergence in bits.
pub(crate) fn js(p: &[f64], q: &[f64]) -> f64 {
    let (m, n) = (p.iter().sum::<f64>(), q.iter().sum::<f64>());
    let entropy = |share: f64| if share > 0.0 { -share * share.log2() } else { 0.0 };
    let cells = p.iter().zip(q).map(|(p, q)| (p / m, q / n));
    cells.map(|(p, q)| entropy(f64::midpoint(p, q)) - f64::midpoint(entropy(p), entropy(q))).sum()
}

/// The distance of Kolmogorov and Smirnov, and that of Wasserstein, between two sorted columns that are not empty.
pub(crate) fn distances(a: &[f64], b: &[f64]) -> (f64, f64) {
    let mut pooled = [a, b].concat();
    pooled.sort_by(f64::total_cmp);
    pooled.dedup();
    #[expect(clippy::cast_precision_loss, reason = "thousands of rows")]
    let share = |side: &[f64], x: f64| side.partition_point(|value| *value <= x) as f64 / side.len() as f64;
    let gaps: Vec<f64> = pooled.iter().map(|&x| (share(a, x) - share(b, x)).abs()).collect();
    let ks = gaps.iter().copied().fold(0.0, f64::max);
    let moved = pooled.windows(2).zip(&gaps).map(|(span, gap)| gap * (span[1] - span[0])).sum();
    (ks, moved)
}

/// Mean and sample standard deviation, in two passes about the middle value.
#[expect(clippy::cast_precision_loss, reason = "thousands of rows")]
pub(crate) fn moments(sorted: &[f64]) -> (f64, f64) {
    let (n, middle) = (sorted.len() as f64, sorted[sorted.len() / 2]);
    let off = sorted.iter().map(|value| (value - middle) / n).sum::<f64>();
    let mean = middle + off;
    let widest = sorted.iter().map(|value| (value - middle - off).abs()).fold(0.0, f64::max);
    if widest == 0.0 {
        return (mean, 0.0);
    }
    let squares = sorted.iter().map(|value| ((value - middle - off) / widest).powi(2)).sum::<f64>();
    (mean, widest * (squares / (n - 1.0)).sqrt())
}

/// Values as repeated values of a sorted reference, where they are nearest to one of these and are it to half
/// precision, or to single precision of its largest value; in a constant column, to single precision.
pub(crate) fn settled(reference: &[f64], values: &[f64]) -> Vec<f64> {
    let (first, last) = (reference[0], reference[reference.len() - 1]);
    let runs: Vec<&[f64]> = reference.chunk_by(|a, b| a.to_bits() == b.to_bits()).collect();
    let reach = |value: f64| {
        let single = first.abs().max(last.abs()) * 1.2e-7;
        if first < last { (value.abs() * 5e-4).max(single) } else { single.max(1e-12) }
    };
    let nearest = |x: f64| {
        let at = runs.partition_point(|run| run[0] < x);
        let near = [at.checked_sub(1), Some(at)].into_iter().flatten().filter_map(|at| runs.get(at));
        near.min_by(|a, b| (a[0] - x).abs().total_cmp(&(b[0] - x).abs())).filter(|run| run.len() > 1)
    };
    let settle =
        |&x: &f64| nearest(x).map(|run| run[0]).filter(|value| (value - x).abs() <= reach(*value)).unwrap_or(x);
    let mut settled: Vec<f64> = values.iter().map(settle).collect();
    settled.sort_by(f64::total_cmp);
    settled
}
