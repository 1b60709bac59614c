//! How many values the lists of one record may hold: a few bytes may claim very many.

use crate::arrays::BadValue;

/// What a record may hold however short it is, and for each byte of it. In Avro a list of nulls takes no bytes; in
/// Protobuf an element takes two, whatever its message holds.
const VALUES_MIN: usize = 1 << 16;
const VALUES_PER_BYTE: usize = 16;

/// What is left for the values of a record's lists.
pub(crate) struct Budget {
    left: usize,
    spent: usize,
}

impl Budget {
    /// For a record of so many bytes.
    pub(crate) fn of(bytes: usize) -> Self {
        Self { left: bytes.saturating_mul(VALUES_PER_BYTE).saturating_add(VALUES_MIN), spent: 0 }
    }

    /// Values that are about to come.
    pub(crate) fn expect(&mut self, values: usize) -> Result<(), BadValue> {
        self.left = self.left.checked_sub(values).ok_or("more values than its length allows")?;
        self.spent += values;
        Ok(())
    }

    /// How many values have come.
    pub(crate) fn spent(&self) -> usize {
        self.spent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_may_hold_so_many_values_for_its_length_and_not_one_more() {
        for bytes in [0, 1, 1_000] {
            let most = VALUES_MIN + VALUES_PER_BYTE * bytes;
            let mut budget = Budget::of(bytes);
            assert_eq!((budget.expect(most - 1), budget.expect(1), budget.spent()), (Ok(()), Ok(()), most));
            assert_eq!(budget.expect(1), Err("more values than its length allows"));
            assert_eq!((budget.expect(0), budget.spent()), (Ok(()), most), "what was refused is not spent");
        }
        assert!(Budget::of(usize::MAX).expect(usize::MAX).is_ok(), "no length is too long to reckon with");
    }
}
