//! Picks the present values of some rows of a column, a cache-sized block at a time.

/// Values that are handed on together.
const BLOCK: usize = 256;

/// Rows without a place on the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Skipped {
    /// Nulls.
    pub missing: u64,
    /// Values that are NaN.
    pub nan: u64,
}

/// Hands the values of `rows` to `each`, in their order and in blocks; nulls and NaN are counted and left out.
pub fn present(values: &[f64], is_null: impl Fn(usize) -> bool, rows: &[u32], mut each: impl FnMut(&[f64])) -> Skipped {
    let mut skipped = Skipped::default();
    let mut block = [0.0; BLOCK];
    for rows in rows.chunks(BLOCK) {
        let mut n = 0;
        for &row in rows {
            block[n] = values[row as usize];
            n += usize::from(!is_null(row as usize));
        }
        let there = without_nan(&mut block[..n]);
        skipped.missing += (rows.len() - n) as u64;
        skipped.nan += (n - there.len()) as u64;
        each(there);
    }
    skipped
}

/// The values that are not NaN, moved together; mostly that is all of them, and they are only looked at.
fn without_nan(values: &mut [f64]) -> &[f64] {
    if !values.iter().fold(false, |any, value| any | value.is_nan()) {
        return values;
    }
    let mut n = 0;
    for i in 0..values.len() {
        values[n] = values[i];
        n += usize::from(!values[n].is_nan());
    }
    &values[..n]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaves_out_nulls_and_nan_and_counts_them_apart() {
        let values = [1.0, f64::NAN, 3.0, f64::NAN, 5.0, 6.0];
        let mut seen = Vec::new();
        let skipped =
            present(&values, |row| row == 2 || row == 3, &[5, 0, 1, 2, 3], |block| seen.extend_from_slice(block));
        assert_eq!(seen, [6.0, 1.0]);
        assert_eq!(skipped, Skipped { missing: 2, nan: 1 });
    }

    #[test]
    fn every_row_comes_once_and_in_order() {
        let values: Vec<f64> = (0..2000).map(f64::from).collect();
        let rows: Vec<u32> = (0..2000).rev().step_by(3).collect();
        let mut seen = Vec::new();
        let skipped = present(&values, |_| false, &rows, |block| seen.extend_from_slice(block));
        assert_eq!(seen, rows.iter().map(|&row| f64::from(row)).collect::<Vec<_>>());
        assert_eq!(skipped, Skipped::default());
    }
}
