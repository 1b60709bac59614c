//! Seeded draws and small tables for the tests of this folder.

use crate::log_space::{float, times_ln};

/// `SplitMix64` (Steele, Lea and Flood, 2014).
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// Uniform in (0, 1).
    pub(crate) fn unit(&mut self) -> f64 {
        (float(self.bits() >> 11) + 0.5) / float(1 << 53)
    }

    /// Uniform among `0..n`.
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.bits() % n
    }

    /// Standard normal (Box and Muller).
    pub(crate) fn normal(&mut self) -> f64 {
        (-2.0 * libm::log(self.unit())).sqrt() * libm::cos(std::f64::consts::TAU * self.unit())
    }

    /// Successes among `n` trials, by the gaps between them.
    pub(crate) fn binomial(&mut self, n: u64, p: f64) -> u64 {
        if p > 0.5 {
            return n - self.binomial(n, 1.0 - p);
        }
        if p <= 0.0 {
            return 0;
        }
        let scale = 1.0 / libm::log1p(-p);
        let (mut at, mut hits) = (0.0, 0);
        loop {
            at += (libm::log(self.unit()) * scale).floor() + 1.0;
            if at > float(n) {
                return hits;
            }
            hits += 1;
        }
    }

    /// Counts of `n` draws over the categories.
    pub(crate) fn multinomial(&mut self, n: u64, shares: &[f64]) -> Vec<u64> {
        let (mut left, mut mass) = (n, shares.iter().sum::<f64>());
        let mut counts = Vec::with_capacity(shares.len());
        for &share in shares {
            let hits = if mass > share { self.binomial(left, share / mass) } else { left };
            counts.push(hits);
            left -= hits;
            mass -= share;
        }
        counts
    }
}

/// Shares of `k` cells that fall like `1 / rank`.
pub(crate) fn zipf(k: usize) -> Vec<f64> {
    let weights: Vec<f64> = (1..=k).map(|rank| 1.0 / float(rank as u64)).collect();
    let total: f64 = weights.iter().sum();
    weights.iter().map(|weight| weight / total).collect()
}

/// Shares that are tilted towards later cells until their stability index against the given ones is `psi`.
pub(crate) fn tilted(shares: &[f64], psi: f64) -> Vec<f64> {
    let k = float(shares.len() as u64);
    let at = |theta: f64| {
        let weight = |(cell, share): (usize, &f64)| share * libm::exp(theta * float(cell as u64) / k);
        let weights: Vec<f64> = shares.iter().enumerate().map(weight).collect();
        let total: f64 = weights.iter().sum();
        weights.iter().map(|weight| weight / total).collect::<Vec<f64>>()
    };
    let index = |moved: &[f64]| moved.iter().zip(shares).map(|(q, p)| (q - p) * libm::log(q / p)).sum::<f64>();
    let (mut low, mut high) = (0.0, 20.0);
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if index(&at(middle)) < psi { low = middle } else { high = middle }
    }
    at(high)
}

/// Probability of counts over three categories.
fn multinomial_mass(counts: [u64; 3], shares: [f64; 3]) -> f64 {
    let ways = log_factorial(counts.iter().sum()) - counts.iter().map(|&x| log_factorial(x)).sum::<f64>();
    libm::exp(ways + counts.iter().zip(shares).map(|(&x, p)| times_ln(float(x), p)).sum::<f64>())
}

/// Probability of `x` successes among `n`.
pub(crate) fn binomial_mass(n: u64, x: u64, p: f64) -> f64 {
    multinomial_mass([x, n - x, 0], [p, 1.0 - p, 0.0])
}

/// `ln(n!)`.
fn log_factorial(n: u64) -> f64 {
    libm::lgamma(float(n) + 1.0)
}

/// The middle one.
pub(crate) fn median(mut values: Vec<u32>) -> u32 {
    values.sort_unstable();
    values[values.len() / 2]
}
