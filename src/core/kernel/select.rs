//! Picks the present values of some rows of a column, a cache-sized block at a time.

use arrow_buffer::NullBuffer;

use super::wide::{PACK_SPARE, pack, widest};

/// Values that are handed on together, or up to [`WORD`] more.
const BLOCK: usize = 256;
/// Rows that are picked by one word of bits.
const WORD: usize = u64::BITS as usize;
/// Room for a block.
const ROOM: usize = BLOCK + WORD + PACK_SPARE;
/// Where at least one row in so many is wanted, looking at all of them is faster than looking up each.
const DENSE: usize = 3;

/// Rows without a place on the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Skipped {
    /// Nulls.
    pub missing: u64,
    /// Values that are NaN or infinite.
    pub nan: u64,
}

/// The rows that are wanted of every column of a batch.
#[derive(Debug, Clone)]
pub struct SelectedRows<'a> {
    list: &'a [u32],
    /// A bit per row, from the first word with a wanted one on; none where few rows are wanted.
    bits: Vec<u64>,
}

impl<'a> SelectedRows<'a> {
    /// Takes increasing rows.
    #[must_use]
    pub fn new(list: &'a [u32]) -> Self {
        let (Some(&low), Some(&high)) = (list.first(), list.last()) else { return Self { list, bits: Vec::new() } };
        let mut bits = Vec::new();
        if list.len() * DENSE > (high - low) as usize {
            let from = low as usize / WORD;
            bits.resize(high as usize / WORD + 1 - from, 0);
            list.iter().for_each(|&row| bits[row as usize / WORD - from] |= 1 << (row as usize % WORD));
        }
        Self { list, bits }
    }
}

/// Hands the finite values of `rows` to `each`, in their order and in blocks; nulls, and what is NaN or infinite, are
/// counted and left out.
pub fn present(
    values: &[f64],
    nulls: Option<&NullBuffer>,
    rows: &SelectedRows,
    mut each: impl FnMut(&[f64]),
) -> Skipped {
    let (mut n_present, mut nan) = (0, 0);
    let mut hand_on = |block: &mut [f64]| {
        let n = block.len();
        let there = finite(block);
        n_present += n as u64;
        nan += (n - there.len()) as u64;
        each(there);
    };
    match (rows.bits.is_empty(), nulls) {
        (true, None) => pick(values, |_| true, rows.list, &mut hand_on),
        (true, Some(nulls)) => pick(values, |row| nulls.is_valid(row), rows.list, &mut hand_on),
        (false, None) => sweep(values, std::iter::repeat(u64::MAX), rows, &mut hand_on),
        (false, Some(nulls)) => sweep(values, nulls.inner().bit_chunks().iter_padded(), rows, &mut hand_on),
    }
    Skipped { missing: rows.list.len() as u64 - n_present, nan }
}

/// Looks up row after row.
fn pick(values: &[f64], is_valid: impl Fn(usize) -> bool, rows: &[u32], hand_on: &mut impl FnMut(&mut [f64])) {
    let mut block = [0.0; BLOCK];
    for rows in rows.chunks(BLOCK) {
        let mut n = 0;
        for &row in rows {
            block[n] = values[row as usize];
            n += usize::from(is_valid(row as usize));
        }
        hand_on(&mut block[..n]);
    }
}

/// Goes over all values from the first wanted row to the last, and keeps those whose bit is set in both words.
fn sweep(values: &[f64], valid: impl Iterator<Item = u64>, rows: &SelectedRows, hand_on: &mut impl FnMut(&mut [f64])) {
    let from = rows.list.first().map_or(0, |&first| first as usize / WORD);
    let mut block = [0.0; ROOM];
    let mut n = 0;
    for ((wanted, valid), values) in rows.bits.iter().zip(valid.skip(from)).zip(values.chunks(WORD).skip(from)) {
        n += pack(values, wanted & valid, &mut block[n..]);
        if n >= BLOCK {
            hand_on(&mut block[..n]);
            n = 0;
        }
    }
    hand_on(&mut block[..n]);
}

/// The finite values, moved together; mostly that is all of them, and they are only looked at.
fn finite(values: &mut [f64]) -> &[f64] {
    if !widest(|| values.iter().fold(false, |any, value| any | !value.is_finite())) {
        return values;
    }
    let mut n = 0;
    for i in 0..values.len() {
        values[n] = values[i];
        n += usize::from(values[n].is_finite());
    }
    &values[..n]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn picked(values: &[f64], nulls: Option<&NullBuffer>, rows: &[u32]) -> (Vec<f64>, Skipped) {
        let mut seen = Vec::new();
        let skipped = present(values, nulls, &SelectedRows::new(rows), |block| seen.extend_from_slice(block));
        (seen, skipped)
    }

    #[test]
    fn leaves_out_nulls_and_what_is_not_finite_and_counts_them_apart() {
        let values = [1.0, f64::NAN, 3.0, f64::NAN, f64::INFINITY, 6.0, f64::NEG_INFINITY];
        let nulls = NullBuffer::from(vec![true, true, false, false, true, true, true]);
        let (seen, skipped) = picked(&values, Some(&nulls), &[0, 1, 2, 3, 4, 5, 6]);
        assert_eq!(seen, [1.0, 6.0]);
        assert_eq!(skipped, Skipped { missing: 2, nan: 3 });
    }

    #[test]
    fn no_rows_are_nothing() {
        assert_eq!(picked(&[1.0], None, &[]), (vec![], Skipped::default()));
    }

    proptest! {
        // Each case is a thousand rows.
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn agrees_with_one_row_after_another(
            column in prop::collection::vec(prop::option::weighted(0.9, prop_oneof![18 => -1.0..1.0, 1 => Just(f64::NAN), 1 => Just(f64::INFINITY)]), 1..1500),
            wanted in prop::collection::vec(any::<u8>(), 1500),
            share in any::<u8>(),
            offset in 0_usize..70,
        ) {
            let offset = offset.min(column.len());
            let nulls: NullBuffer = column.iter().map(Option::is_some).collect::<Vec<_>>().into();
            let nulls = nulls.slice(offset, column.len() - offset);
            let column = &column[offset..];
            let values: Vec<f64> = column.iter().map(|value| value.unwrap_or(7.0)).collect();
            let rows: Vec<u32> = (0_u32..).zip(&wanted).take(column.len()).filter(|(_, wanted)| **wanted <= share).map(|(row, _)| row).collect();
            let there: Vec<f64> = rows.iter().filter_map(|&row| column[row as usize]).collect();
            let (seen, skipped) = picked(&values, Some(&nulls), &rows);
            prop_assert_eq!(&seen, &there.iter().copied().filter(|value| value.is_finite()).collect::<Vec<_>>());
            prop_assert_eq!(skipped.missing, (rows.len() - there.len()) as u64);
            prop_assert_eq!(skipped.nan, (there.len() - seen.len()) as u64);
            let (all, skipped) = picked(&values, None, &rows);
            prop_assert_eq!(all.len() as u64 + skipped.nan, rows.len() as u64);
        }
    }
}
