//! Counts by entity, for measuring how much events of one user, card or device are alike.
//!
//! Entities are thrown into [`BUCKETS`] buckets by hash. If events were independent, the buckets' rates would differ by
//! chance alone; by how much more they differ is the design effect (Kish, *Survey Sampling*, 1965, section 8.2, with
//! random groups: Wolter, *Introduction to Variance Estimation*, 1985, chapter 2). Buckets add up like all other state.

use serde::{Deserialize, Serialize};

use crate::summary::Fixed;
use crate::summary::seal::{Reader, Seal, Writer};

/// Number of buckets.
pub const BUCKETS: usize = 64;
/// Bits of a latency that are dropped: 128 steps per doubling stay.
const STEP_BITS: u32 = 45;
/// Latencies are told apart from 2^-10 ms on.
const SMALLEST_MS: f64 = 1.0 / 1024.0;
/// Longest latency on this scale: 2^22 ms, more than an hour.
const STEPS_MAX: u64 = 32 * 128;

/// The bucket of an entity.
#[must_use]
pub fn bucket(entity: u64) -> usize {
    (entity >> 58) as usize
}

/// A latency on a logarithmic scale of 128 straight steps per doubling, in whole steps.
#[must_use]
pub fn latency_step(latency_ms: f64) -> u64 {
    let above = latency_ms.max(SMALLEST_MS).to_bits() - SMALLEST_MS.to_bits();
    (above >> STEP_BITS).min(STEPS_MAX)
}

/// What the entities of one bucket did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RequestCounts {
    /// Predictions.
    pub requests: u64,
    /// Of these, failed.
    pub errors: u64,
    /// Of these, rejected.
    pub rejected: u64,
    /// Predictions with a latency.
    pub timed: u64,
    /// Sum of [`latency_step`].
    pub steps: u64,
    /// Sum of its squares.
    pub steps_sq: u64,
}

/// What the models' answers to the entities of one bucket were worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Answered {
    /// Labelled predictions.
    pub n: u64,
    /// Sum of losses: squared errors, or the base-2 logarithms of a regression's absolute errors.
    pub loss: Fixed,
    /// Sum of squared losses.
    pub loss_sq: Fixed,
}

impl RequestCounts {
    /// Adds another bucket.
    pub fn merge(&mut self, other: &Self) {
        self.requests += other.requests;
        self.errors += other.errors;
        self.rejected += other.rejected;
        self.timed += other.timed;
        self.steps += other.steps;
        self.steps_sq += other.steps_sq;
    }
}

impl Answered {
    /// Adds another bucket.
    pub fn merge(&mut self, other: &Self) {
        self.n += other.n;
        self.loss.merge(other.loss);
        self.loss_sq.merge(other.loss_sq);
    }
}

/// One bucket after another, or nothing at all where no event named its entity.
pub type EntityBuckets<T> = Vec<T>;

/// The bucket of an entity; the first use makes room for all.
pub fn at<T: Default + Clone>(buckets: &mut EntityBuckets<T>, entity: u64) -> &mut T {
    at_bucket(buckets, bucket(entity))
}

/// A bucket by its number; the first use makes room for all.
pub fn at_bucket<T: Default + Clone>(buckets: &mut EntityBuckets<T>, bucket: usize) -> &mut T {
    if buckets.is_empty() {
        buckets.resize(BUCKETS, T::default());
    }
    &mut buckets[bucket]
}

/// Adds buckets to others.
pub fn merge<T: Default + Clone>(mine: &mut EntityBuckets<T>, theirs: &[T], add: impl Fn(&mut T, &T)) {
    for (bucket, more) in theirs.iter().enumerate() {
        add(at_bucket(mine, bucket), more);
    }
}

impl Seal for RequestCounts {
    fn seal(&self, out: &mut Writer) {
        let Self { requests, errors, rejected, timed, steps, steps_sq } = *self;
        out.all([requests, errors, rejected, timed, steps, steps_sq]);
    }

    fn add_sealed(&mut self, from: &mut Reader<'_>) {
        let [requests, errors, rejected, timed, steps, steps_sq] = from.all();
        self.merge(&Self { requests, errors, rejected, timed, steps, steps_sq });
    }
}

impl Seal for Answered {
    fn seal(&self, out: &mut Writer) {
        out.n(self.n);
        self.loss.seal(out);
        self.loss_sq.seal(out);
    }

    fn add_sealed(&mut self, from: &mut Reader<'_>) {
        self.n += from.n();
        self.loss.add_sealed(from);
        self.loss_sq.add_sealed(from);
    }
}

/// Seals buckets: how many there are, which of them hold something, and these.
pub(crate) fn seal<T: Seal + Default + PartialEq>(buckets: &[T], out: &mut Writer) {
    out.n(buckets.len() as u64);
    if buckets.is_empty() {
        return;
    }
    let holds = |bucket: &T| *bucket != T::default();
    let mask = buckets.iter().enumerate().filter(|(_, bucket)| holds(bucket)).fold(0, |mask, (at, _)| mask | 1 << at);
    out.mask(mask);
    buckets.iter().filter(|bucket| holds(bucket)).for_each(|bucket| bucket.seal(out));
}

/// Adds sealed buckets to others.
pub(crate) fn add_sealed<T: Seal + Default + Clone>(buckets: &mut EntityBuckets<T>, from: &mut Reader<'_>) {
    let n = from.place();
    if n == 0 {
        return;
    }
    let mask = from.mask();
    for bucket in 0..n {
        let mine = at_bucket(buckets, bucket);
        if mask >> bucket & 1 == 1 {
            mine.add_sealed(from);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latency_steps_never_fall() {
        let steps: Vec<u64> = (0..200).map(|i| latency_step(1e-5 * 1.15_f64.powi(i))).collect();
        assert!(steps.windows(2).all(|pair| pair[0] <= pair[1]));
        assert_eq!((steps[0], *steps.last().expect("some")), (0, STEPS_MAX));
        assert_eq!(latency_step(2.0) - latency_step(1.0), 128);
    }

    #[test]
    fn every_hash_has_a_bucket() {
        assert_eq!((bucket(0), bucket(u64::MAX)), (0, BUCKETS - 1));
    }
}
