//! Latency as a high dynamic range histogram: integer counts of microseconds with three significant digits.
//!
//! **Error**: a quantile is at most 0.1 % above the exact nearest-rank value; the mean is exact. **State**: grows with
//! the largest value seen, at most about 170 KiB at one hour.

use hdrhistogram::Histogram as Hdr;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::summary::Fixed;
use crate::summary::seal::{Reader, Seal, Writer};

/// The longest latency that is told apart, one hour in microseconds; longer ones count as this.
pub const LATENCY_US_MAX: u64 = 3_600_000_000;

/// Latencies of one group in one pane.
#[derive(Debug, Clone, PartialEq)]
pub struct Latency {
    hdr: Hdr<u64>,
    sum_ms: Fixed,
}

impl Default for Latency {
    fn default() -> Self {
        let mut hdr = Hdr::new(3).expect("three significant digits are allowed");
        hdr.auto(true);
        Self { hdr, sum_ms: Fixed::default() }
    }
}

impl Latency {
    /// Adds one latency in milliseconds, finite and not negative.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the cast saturates")]
    pub fn update(&mut self, latency_ms: f64) {
        let micros = libm::rint(latency_ms * 1000.0) as u64;
        self.hdr.record(micros.min(LATENCY_US_MAX)).expect("the histogram resizes itself");
        self.sum_ms.add(latency_ms);
    }

    /// Adds one latency so many times.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the cast saturates")]
    pub fn update_n(&mut self, latency_ms: f64, times: u64) {
        let micros = libm::rint(latency_ms * 1000.0) as u64;
        self.hdr.record_n(micros.min(LATENCY_US_MAX), times).expect("the histogram resizes itself");
        self.sum_ms.add_times(latency_ms, times);
    }

    /// Latencies that were counted by microseconds; their mean is not known, and is 0.
    #[must_use]
    pub fn of_counts(counts: impl IntoIterator<Item = (u64, u64)>) -> Self {
        let mut latency = Self::default();
        for (micros, count) in counts {
            latency.hdr.record_n(micros.min(LATENCY_US_MAX), count).expect("the histogram resizes itself");
        }
        latency
    }

    /// How many there are by microseconds, to the histogram's resolution.
    pub fn counts(&self) -> impl Iterator<Item = (u64, u64)> {
        self.hdr.iter_recorded().map(|bin| (bin.value_iterated_to(), bin.count_at_value()))
    }

    /// How many bytes it takes, besides itself.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.hdr.distinct_values() * size_of::<u64>()
    }

    /// Adds another summary.
    pub fn merge(&mut self, other: &Self) {
        self.hdr.add(&other.hdr).expect("the histogram resizes itself");
        self.sum_ms.merge(other.sum_ms);
    }

    /// Number of latencies.
    #[must_use]
    pub fn n(&self) -> u64 {
        self.hdr.len()
    }

    /// Mean in milliseconds, `None` when empty or when the sum is out of range.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a count far below 2^53")]
    pub fn mean_ms(&self) -> Option<f64> {
        (self.n() > 0).then(|| self.sum_ms.value() / self.n() as f64).filter(|mean| mean.is_finite())
    }

    /// Nearest-rank quantile in milliseconds, `None` when empty.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "microseconds far below 2^53")]
    pub fn quantile_ms(&self, q: f64) -> Option<f64> {
        (self.n() > 0).then(|| self.hdr.value_at_quantile(q) as f64 / 1000.0)
    }
}

impl Latency {
    /// How many are above a bound in milliseconds, to the histogram's resolution.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the cast saturates")]
    pub fn n_above_ms(&self, bound_ms: f64) -> u64 {
        let above = libm::rint(bound_ms * 1000.0) as u64 + 1;
        if above > self.hdr.max() { 0 } else { self.hdr.count_between(above, self.hdr.max()) }
    }
}

/// On the wire: the sum, then pairs of (microseconds, count).
impl Serialize for Latency {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let pairs: Vec<(u64, u64)> = self.counts().collect();
        (self.sum_ms, pairs).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Latency {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (sum_ms, pairs) = <(Fixed, Vec<(u64, u64)>)>::deserialize(deserializer)?;
        let mut latency = Self { sum_ms, ..Self::default() };
        for (micros, count) in pairs {
            latency.hdr.record_n(micros, count).map_err(serde::de::Error::custom)?;
        }
        Ok(latency)
    }
}

/// Bits of the histogram's resolution: values below 2^11 are told apart one by one, larger ones to eleven bits.
const SLOT_BITS: u32 = 11;

/// The number of the histogram's bin that holds a value.
fn slot(micros: u64) -> u64 {
    let dropped = (u64::BITS - micros.leading_zeros()).saturating_sub(SLOT_BITS);
    (u64::from(dropped) << (SLOT_BITS - 1)) + (micros >> dropped)
}

/// The smallest value of a bin.
fn micros_of(slot: u64) -> u64 {
    let dropped = (slot >> (SLOT_BITS - 1)).saturating_sub(1);
    (slot - (dropped << (SLOT_BITS - 1))) << dropped
}

impl Seal for Latency {
    fn seal(&self, out: &mut Writer) {
        self.sum_ms.seal(out);
        out.pairs(self.counts().count(), self.counts().map(|(micros, count)| (slot(micros), count)));
    }

    fn add_sealed(&mut self, from: &mut Reader<'_>) {
        self.sum_ms.add_sealed(from);
        from.pairs(|slot, count| self.hdr.record_n(micros_of(slot), count).expect("the histogram resizes itself"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn survives_the_wire() {
        let mut latency = Latency::default();
        (0..5000).for_each(|i| latency.update(f64::from(i) * 1.37));
        let bytes = postcard::to_stdvec(&latency).expect("encodes");
        let back: Latency = postcard::from_bytes(&bytes).expect("decodes");
        assert_eq!(back.quantile_ms(0.99), latency.quantile_ms(0.99));
        assert_eq!(postcard::to_stdvec(&back).expect("encodes"), bytes);
    }

    #[test]
    fn many_at_once_are_the_same_as_one_by_one() {
        let (mut one_by_one, mut at_once) = (Latency::default(), Latency::default());
        (0..7).for_each(|_| one_by_one.update(12.34));
        at_once.update_n(12.34, 7);
        assert_eq!(one_by_one, at_once);
    }

    #[test]
    fn longest_latency_is_held() {
        let mut latency = Latency::default();
        latency.update(1e300);
        assert_eq!(latency.n(), 1);
        assert!(latency.quantile_ms(0.5).expect("one value") >= 3.6e6);
    }

    #[test]
    fn every_bin_has_its_number() {
        let mut before = None;
        for value in (0..40).flat_map(|bits| [(1_u64 << bits) - 1, 1 << bits, (1 << bits) + (1 << bits) / 3]) {
            let mut latency = Latency::default();
            latency.hdr.record(value.min(LATENCY_US_MAX)).expect("resizes");
            let (seen, _) = latency.counts().next().expect("one value");
            assert_eq!(slot(seen), slot(value.min(LATENCY_US_MAX)), "{value}");
            assert_eq!(slot(micros_of(slot(seen))), slot(seen), "{value}");
            before = before.max(Some(slot(seen)));
        }
        assert!(before.expect("some") < 1 << 16);
    }
}
