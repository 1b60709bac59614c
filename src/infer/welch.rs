//! Welch's t: the difference of two means in units of its own standard error, without equal variances.
//!
//! `t = (mean_c - mean_b) / sqrt(sd_c^2 / n_c + sd_b^2 / n_b)` against Student's law with
//! `(a + b)^2 / (a^2 / (n_c - 1) + b^2 / (n_b - 1))` degrees of freedom, `a` and `b` the two terms under the root.
//!
//! **Source**: Welch, The generalization of Student's problem when several different population variances are involved,
//! Biometrika 34, 1947; Satterthwaite, Biometrics Bull. 2, 1946 (degrees of freedom).
//! **Returns**: `t` of any sign and a two-sided `p`; of two constants 0 and 1 when they are equal, else nothing.
//! Nothing with fewer than two rows on a side, either.
//! **Assumes**: independent rows; means that are about normal.
//! **Error**: that of the means and deviations given. **Cost**: constant.

use super::special::student_t_sf;

/// What a side comes to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Moments {
    /// Rows.
    pub n: f64,
    /// Their mean.
    pub mean: f64,
    /// Their standard deviation, by `n - 1`.
    pub std_dev: f64,
}

impl Moments {
    /// Of rows: a mean, and the deviation from it in a second pass. Nothing of fewer than two.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^53")]
    pub fn of(rows: &[f64]) -> Option<Self> {
        let n = rows.len() as f64;
        let mean = rows.iter().sum::<f64>() / n;
        let (mut squares, mut rest) = (0.0, 0.0);
        for row in rows {
            let gap = row - mean;
            squares += gap * gap;
            rest += gap;
        }
        // What rounding left of the mean is taken out again (Chan, Golub and LeVeque, 1983, section 3).
        let variance = ((squares - rest * rest / n) / (n - 1.0)).max(0.0);
        (rows.len() > 1).then_some(Self { n, mean, std_dev: variance.sqrt() })
    }
}

/// The statistic and its two-sided p-value.
#[must_use]
pub fn welch(current: Moments, baseline: Moments) -> Option<(f64, f64)> {
    let moved = current.mean - baseline.mean;
    let part = |side: Moments| (side.std_dev * side.std_dev / side.n, side.n - 1.0);
    let ((a, a_dof), (b, b_dof)) = (part(current), part(baseline));
    if a + b <= 0.0 {
        return (moved == 0.0).then_some((0.0, 1.0));
    }
    let t = moved / (a + b).sqrt();
    let dof = (a + b) * (a + b) / (a * a / a_dof + b * b / b_dof);
    // Variances beyond the range of floats leave nothing to test.
    (t.is_finite() && dof.is_finite()).then(|| (t, 2.0 * student_t_sf(t.abs(), dof)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(current: &[f64], baseline: &[f64]) -> Option<(f64, f64)> {
        welch(Moments::of(current)?, Moments::of(baseline)?)
    }

    #[test]
    fn constants_and_single_rows() {
        assert_eq!(of(&[1.0], &[1.0, 2.0]), None);
        assert_eq!(of(&[2.0; 3], &[2.0; 9]), Some((0.0, 1.0)));
        assert_eq!(of(&[2.0; 3], &[2.5; 9]), None);
        assert_eq!(of(&[1e200, -1e200], &[1e200, 0.0]), None);
    }

    #[test]
    fn sides_mirror_each_other_and_a_shift_of_both_is_none() {
        let (current, baseline) = ([1.0, 2.5, 3.0, 7.25], [0.5, 0.25, 4.0]);
        let (t, p) = of(&current, &baseline).expect("they vary");
        let (back, same) = of(&baseline, &current).expect("they vary");
        assert!((t + back).abs() < 1e-15 && (p - same).abs() < 1e-15);
        let far = |rows: &[f64]| rows.iter().map(|row| row + f64::from(1 << 30)).collect::<Vec<_>>();
        let (moved, _) = of(&far(&current), &far(&baseline)).expect("they vary");
        assert!((moved - t).abs() < 1e-6, "{moved} {t}");
    }
}
