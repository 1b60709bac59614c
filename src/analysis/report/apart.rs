//! Values that stand apart from the rest of a column: sentinels such as -999, outliers, infinities, NaN. Each is told
//! by number and name, so that nobody takes a mean for more than it is; drawings show the rest.

use crate::metric::ks::is_one_number;
use crate::output::count;
use crate::output::text::percent;
use crate::output::text::{number, plural};
use crate::plan::NumericColumn;
use crate::summary::Histogram;
use crate::summary::histogram::Cut;

/// Values further from the middle four fifths than so many times their range are far.
const FAR: f64 = 10.0;
/// Middle parts of the values, of which the first that is no single value is taken: the share left out on each side.
const MIDDLES: [f64; 3] = [0.1, 0.02, 0.005];
/// Far values that are named.
const NAMED_MAX: usize = 3;

/// Where the rest of a side lies, if that can be told; what is outside is far.
fn fence(cut: &Cut, side: &Histogram) -> Option<(f64, f64)> {
    let ends = MIDDLES.map(|out| (quantile(cut, side, out), quantile(cut, side, 1.0 - out)));
    let (low, high) = ends.into_iter().find_map(|(low, high)| low.zip(high).filter(|(low, high)| low < high))?;
    let reach = (high - low) * FAR;
    reach.is_finite().then_some((low - reach, high + reach))
}

/// The bins of a side that are far from the rest.
pub(crate) fn far_bins(cut: &Cut, side: &Histogram) -> Option<impl Fn(usize) -> bool + use<>> {
    let ((low, high), (min, max)) = (fence(cut, side)?, side.min.zip(side.max)?);
    let edges = cut.edges.as_slice();
    let (first, last) = (edges.partition_point(|edge| *edge < low), edges.partition_point(|edge| *edge < high));
    let n = edges.len();
    // The outermost bins have no end; where their last value is far, they are.
    Some(move |bin: usize| {
        let below = if bin == 0 { min < low } else { bin < first };
        let above = if bin == n { max > high } else { bin > last };
        below || above
    })
}

/// The upper end of the bin that a quantile is in.
fn quantile(cut: &Cut, side: &Histogram, q: f64) -> Option<f64> {
    let rank = q * float(side.n());
    let mut seen = 0.0;
    let bin = side.counts.iter().position(|&rows| {
        seen += float(rows);
        seen >= rank && rows > 0
    })?;
    let (min, max) = side.min.zip(side.max)?;
    Some(cut.edges.as_slice().get(bin).map_or(max, |edge| edge.clamp(min, max)))
}

/// What is to be known of one side besides its numbers.
pub(crate) fn notes(column: &NumericColumn, side: &Histogram, infinite: u64) -> Vec<String> {
    let nan = (side.nan > 0).then(|| format!("{} NaN", verb(side.nan, "value")));
    let infinite = (infinite > 0).then(|| format!("{} infinite", verb(infinite, "value")));
    let no_moments = no_moments(&column.cut, side);
    [nan, infinite, far(&column.cut, side), no_moments].into_iter().flatten().collect()
}

fn verb(n: u64, noun: &str) -> String {
    format!("{} {}", plural(n, noun), if n == 1 { "is" } else { "are" })
}

/// Values far from the rest, those that repeat by name.
fn far(cut: &Cut, side: &Histogram) -> Option<String> {
    let (low, high) = fence(cut, side)?;
    let (min, max) = side.min.zip(side.max)?;
    let (edges, is_far) = (cut.edges.as_slice(), far_bins(cut, side)?);
    let bins: Vec<usize> = (0..side.counts.len()).filter(|&bin| side.counts[bin] > 0 && is_far(bin)).collect();
    let n: u64 = bins.iter().map(|&bin| side.counts[bin]).sum();
    if n == 0 {
        return None;
    }
    let mut named: Vec<(f64, u64)> =
        bins.iter().filter(|&&bin| is_one_number(edges, bin)).map(|&bin| (edges[bin], side.counts[bin])).collect();
    named.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
    let named = named.iter().take(NAMED_MAX).map(|(value, n)| format!("{} ({})", number(*value), count(*n)));
    let mut named: Vec<String> = named.collect();
    if named.is_empty() {
        let ends = [
            (min < low).then(|| format!("down to {}", number(min))),
            (max > high).then(|| format!("up to {}", number(max))),
        ];
        named.extend(ends.into_iter().flatten());
    }
    Some(format!(
        "{} ({}) {} far from the rest: {}",
        plural(n, "value"),
        percent(float(n) / float(side.n())),
        if n == 1 { "is" } else { "are" },
        named.join(", ")
    ))
}

/// Why there is no mean, or no standard deviation.
fn no_moments(cut: &Cut, side: &Histogram) -> Option<String> {
    let what = match (side.mean(cut.grid), side.std_dev(cut.grid)) {
        (None, _) if side.n() > 0 => "mean and standard deviation are",
        (Some(_), None) if side.n() > 1 => "the standard deviation is",
        _ => return None,
    };
    Some(match side.n_clamped {
        0 => format!("{what} not known: the values are too close beside the range of the reference"),
        n => format!("{what} not known: {} too far from the reference's to be added up", verb(n, "value")),
    })
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^53")]
fn float(n: u64) -> f64 {
    n as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::baseline::cut;
    use crate::plan::ColumnRole;
    use std::sync::Arc;

    fn column(values: &[f64]) -> NumericColumn {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        NumericColumn { name: "x".to_owned(), role: ColumnRole::Feature, cut: Arc::new(cut::of_values(&sorted, 1040)) }
    }

    fn counted(column: &NumericColumn, values: &[f64]) -> Histogram {
        let mut histogram = Histogram::new(&column.cut);
        histogram.update(&column.cut, values);
        histogram
    }

    fn even(n: u32) -> Vec<f64> {
        (0..n).map(|i| f64::from(i) / f64::from(n)).collect()
    }

    #[test]
    fn sentinels_are_named() {
        let values = [even(1000), vec![-999.0; 50]].concat();
        let column = column(&values);
        let told = notes(&column, &counted(&column, &values), 0);
        assert_eq!(told, ["50 values (4.8 %) are far from the rest: -999 (50)"]);
    }

    #[test]
    fn values_beyond_what_can_be_added_are_told_and_nothing_is_made_up() {
        let column = column(&even(1000));
        let side = counted(&column, &[even(1000), vec![1e300, -1e300]].concat());
        assert_eq!((side.mean(column.cut.grid), side.std_dev(column.cut.grid)), (None, None));
        let told = notes(&column, &side, 3);
        assert_eq!(told[0], "3 values are infinite");
        assert!(told[1].starts_with("2 values (0.2 %) are far from the rest: down to "), "{told:?}");
        assert!(told[2].starts_with("mean and standard deviation are not known: 2 values are too far"), "{told:?}");
    }

    #[test]
    fn a_far_value_in_the_reference_leaves_the_moments_of_others_right() {
        let column = column(&[even(1000), vec![1e308]].concat());
        let side = counted(&column, &even(1000));
        assert!((side.mean(column.cut.grid).unwrap_or(0.0) - 0.4995).abs() < 1e-9);
        assert!((side.std_dev(column.cut.grid).unwrap_or(0.0) - 0.288_819).abs() < 1e-6);
        let few = self::column(&[0.0, 1.0, 1e308]);
        let side = counted(&few, &[0.0, 1.0]);
        assert_eq!((side.mean(few.cut.grid), side.std_dev(few.cut.grid)), (None, None), "not 0 ± 0");
    }

    #[test]
    fn ordinary_columns_have_no_note() {
        let constant = [vec![7.0; 500], vec![8.0; 3]].concat();
        for values in [even(500), vec![7.0; 50], constant, vec![1.0, 2.0]] {
            let column = column(&values);
            assert_eq!(notes(&column, &counted(&column, &values), 0), [""; 0]);
        }
    }
}
