//! Loops over vectors as wide as the processor at hand has them.
//!
//! The crate is compiled for every processor of its architecture, which on x86-64 means vectors of two floats.
//! [`widest`] keeps copies of a loop for wider ones and chooses when it runs. What is computed does not depend on the
//! width: no kernel adds floats up, and Rust never fuses a product with a sum.

/// Floats in the widest vector.
const LANES: usize = 8;
/// How far [`pack`] may write beyond the values it keeps.
pub(super) const PACK_SPARE: usize = LANES;

/// Runs a kernel, compiled anew for wide vectors; it should be one loop or two, since all of it is inlined.
#[inline]
#[cfg_attr(
    target_arch = "x86_64",
    expect(unsafe_code, reason = "a function for some processors may be called once the processor is known to be one")
)]
pub(super) fn widest<T>(kernel: impl FnOnce() -> T) -> T {
    #[cfg(target_arch = "x86_64")]
    {
        if has_avx512() {
            // SAFETY: just asked for.
            return unsafe { avx512(kernel) };
        }
        if is_x86_feature_detected!("avx2") {
            // SAFETY: just asked for.
            return unsafe { avx2(kernel) };
        }
    }
    kernel()
}

/// Whether the processor has vectors of eight floats and what goes with them.
#[cfg(target_arch = "x86_64")]
#[inline]
pub(super) fn has_avx512() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("popcnt")
}

/// Puts those of up to 64 values whose bit is set one after another, and says how many they are. There must be room for
/// all of them and [`PACK_SPARE`] more, which are overwritten.
#[inline]
#[cfg_attr(
    target_arch = "x86_64",
    expect(unsafe_code, reason = "a function for some processors may be called once the processor is known to be one")
)]
pub(super) fn pack(values: &[f64], keep: u64, packed: &mut [f64]) -> usize {
    debug_assert!(values.len() <= u64::BITS as usize, "a bit a value");
    #[cfg(target_arch = "x86_64")]
    if has_avx512() && values.len().is_multiple_of(LANES) {
        // SAFETY: just asked for.
        return unsafe { pack_avx512(values, keep, packed) };
    }
    let mut n = 0;
    for (bit, &value) in values.iter().enumerate() {
        packed[n] = value;
        n += (keep >> bit & 1) as usize;
    }
    n
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,popcnt")]
#[expect(unsafe_code, reason = "vectors go through pointers")]
#[expect(clippy::cast_possible_truncation, reason = "the low eight bits are meant")]
fn pack_avx512(values: &[f64], keep: u64, packed: &mut [f64]) -> usize {
    use std::arch::x86_64::{_mm512_loadu_pd, _mm512_maskz_compress_pd, _mm512_storeu_pd};
    assert!(packed.len() >= values.len() + PACK_SPARE, "room to overwrite");
    let mut n = 0;
    for (at, eight) in values.as_chunks::<LANES>().0.iter().enumerate() {
        let mask = (keep >> (at * LANES)) as u8;
        // SAFETY: `eight` are eight values, and after the `n` packed so far, at most as many as were read, there is
        // room for eight more.
        unsafe {
            let lanes = _mm512_maskz_compress_pd(mask, _mm512_loadu_pd(eight.as_ptr()));
            _mm512_storeu_pd(packed.as_mut_ptr().add(n), lanes);
        }
        n += mask.count_ones() as usize;
    }
    n
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512dq,avx512vl")]
fn avx512<T>(kernel: impl FnOnce() -> T) -> T {
    kernel()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn avx2<T>(kernel: impl FnOnce() -> T) -> T {
    kernel()
}
