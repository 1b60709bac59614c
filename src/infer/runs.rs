//! Two samples walked through from their smallest value up: all that rank tests know of them.

/// The rows of each value, judged side first, from the smallest value of two sorted slices to the largest.
///
/// **Shapes**: both slices rise (`f64::total_cmp`) and hold no NaN; either may be empty. Zeros of either sign are one
/// value. **Cost**: linear.
pub fn runs<'a>(current: &'a [f64], baseline: &'a [f64]) -> impl Iterator<Item = [u64; 2]> + Clone + 'a {
    Runs { left: [current, baseline] }
}

#[derive(Debug, Clone)]
struct Runs<'a> {
    left: [&'a [f64]; 2],
}

impl Iterator for Runs<'_> {
    type Item = [u64; 2];

    fn next(&mut self) -> Option<[u64; 2]> {
        let [current, baseline] = self.left.map(|side| side.first().copied());
        let least = current.zip(baseline).map_or(current.or(baseline), |(a, b)| Some(a.min(b)))?;
        Some([0, 1].map(|side| {
            let rest = self.left[side];
            let equal = rest.iter().take_while(|value| **value <= least).count();
            self.left[side] = &rest[equal..];
            equal as u64
        }))
    }
}

/// How many rows there are on each side.
pub(super) fn sizes(runs: impl Iterator<Item = [u64; 2]>) -> [u64; 2] {
    runs.fold([0, 0], |[n, m], [a, b]| [n + a, m + b])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_both_sides_meet() {
        let found: Vec<_> = runs(&[-1.0, 0.0, 2.0, 2.0], &[-0.0, 0.5, 2.0]).collect();
        assert_eq!(found, [[1, 0], [1, 1], [0, 1], [2, 1]]);
        assert_eq!(runs(&[], &[1.0, 1.0]).collect::<Vec<_>>(), [[0, 2]]);
        assert_eq!(runs(&[], &[]).count(), 0);
        assert_eq!(sizes(runs(&[1.0, 1.0], &[f64::INFINITY])), [2, 1]);
    }
}
