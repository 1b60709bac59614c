//! Arithmetic of numbers kept as logarithms, so that neither overwhelming nor vanishing evidence leaves the range of a
//! float.
//!
//! Nothing is clamped: a floor under an e-value would be evidence from nowhere.

/// A count as a float; counts are far below 2^53.
#[expect(clippy::cast_precision_loss, reason = "counts far below 2^53")]
pub(super) fn float(count: u64) -> f64 {
    count as f64
}

/// `count * ln(ratio)`, where nothing counted says nothing even of an impossible ratio.
pub(super) fn times_ln(count: f64, ratio: f64) -> f64 {
    if count == 0.0 { 0.0 } else { count * libm::log(ratio) }
}

/// `ln(exp(a) + exp(b))`.
pub(super) fn log_add(a: f64, b: f64) -> f64 {
    let (low, high) = if a < b { (a, b) } else { (b, a) };
    if high.is_infinite() { high } else { high + libm::log1p(libm::exp(low - high)) }
}

/// `ln` of the sum of `exp` of the terms; minus infinity for none.
pub(super) fn log_sum(terms: impl Iterator<Item = f64> + Clone) -> f64 {
    let high = terms.clone().fold(f64::NEG_INFINITY, f64::max);
    if high.is_infinite() {
        return high;
    }
    high + libm::log(terms.map(|term| libm::exp(term - high)).sum::<f64>())
}

/// `ln` of the mean of `exp` of the terms; minus infinity for none.
pub(super) fn log_mean(terms: impl ExactSizeIterator<Item = f64> + Clone) -> f64 {
    let n = terms.len().max(1) as u64;
    log_sum(terms) - libm::log(float(n))
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "infinities and zero are exact")]
mod tests {
    use super::*;

    #[test]
    fn sums_agree_with_plain_arithmetic_and_survive_its_range() {
        let terms = [0.3_f64, -2.0, 1.7];
        let plain: f64 = terms.iter().map(|term| term.exp()).sum();
        assert!((log_sum(terms.into_iter()) - plain.ln()).abs() < 1e-15);
        assert!((log_mean(terms.into_iter()) - (plain / 3.0).ln()).abs() < 1e-15);
        assert!((log_add(0.3, 1.7) - (0.3_f64.exp() + 1.7_f64.exp()).ln()).abs() < 1e-15);
        assert!((log_add(5000.0, 5000.0) - (5000.0 + 2.0_f64.ln())).abs() < 1e-12);
    }

    #[test]
    fn nothing_and_everything() {
        assert_eq!(log_add(f64::NEG_INFINITY, f64::NEG_INFINITY), f64::NEG_INFINITY);
        assert_eq!(log_add(f64::NEG_INFINITY, -3.0), -3.0);
        assert_eq!(log_add(f64::INFINITY, 1.0), f64::INFINITY);
        assert_eq!(log_sum(std::iter::empty()), f64::NEG_INFINITY);
        assert_eq!(log_sum([f64::NEG_INFINITY, f64::INFINITY].into_iter()), f64::INFINITY);
        assert_eq!(times_ln(0.0, 0.0), 0.0);
        assert_eq!(times_ln(1.0, 0.0), f64::NEG_INFINITY);
    }
}
