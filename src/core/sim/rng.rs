//! Seeded numbers, the same on every machine.

/// `SplitMix64` (Steele, Lea and Flood, 2014): small, and good enough for made-up traffic. Its distributions use
/// `libm`, so they are the same to the last bit everywhere.
#[derive(Debug, Clone)]
pub struct Rng(u64);

impl Rng {
    /// The numbers of a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        bits ^ (bits >> 31)
    }

    /// Uniform in [0, 1).
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// True with this chance.
    pub fn chance(&mut self, p: f64) -> bool {
        self.unit() < p
    }

    /// Standard normal (Box and Muller, 1958).
    pub fn normal(&mut self) -> f64 {
        let radius = libm::sqrt(-2.0 * libm::log(1.0 - self.unit()));
        radius * libm::cos(std::f64::consts::TAU * self.unit())
    }

    /// Exponential with mean 1.
    pub fn exponential(&mut self) -> f64 {
        -libm::log(1.0 - self.unit())
    }

    /// Student's t with three degrees of freedom: a normal over the root of a mean square. Its variance is 3, its
    /// fourth moment infinite.
    pub fn student3(&mut self) -> f64 {
        let square = (0..3).map(|_| self.normal()).map(|z| z * z).sum::<f64>() / 3.0;
        self.normal() / square.sqrt()
    }

    /// One of some names; their chances add up to 1.
    pub fn choose<'a>(&mut self, names: &[(&'a str, f64)]) -> &'a str {
        let mut left = self.unit();
        let found = names.iter().find(|(_, chance)| {
            left -= chance;
            left < 0.0
        });
        found.or(names.last()).map(|(name, _)| *name).expect("there are names")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mean(n: u32, mut draw: impl FnMut() -> f64) -> f64 {
        (0..n).map(|_| draw()).sum::<f64>() / f64::from(n)
    }

    #[test]
    fn the_first_number_is_that_of_the_paper() {
        // The reference implementation (Vigna, splitmix64.c) with seed 1234567.
        assert_eq!(Rng::new(1_234_567).bits(), 6_457_827_717_110_365_317);
    }

    #[test]
    fn distributions_have_their_moments() {
        let mut rng = Rng::new(3);
        let near = |found: f64, wanted: f64| assert!((found - wanted).abs() < 0.03, "{found} for {wanted}");
        near(mean(40_000, || rng.unit()), 0.5);
        near(mean(40_000, || rng.normal()), 0.0);
        near(mean(40_000, || rng.normal().powi(2)), 1.0);
        near(mean(40_000, || rng.exponential()), 1.0);
        near(mean(40_000, || rng.student3()), 0.0);
        near(mean(40_000, || f64::from(u8::from(rng.student3().abs() > 3.182))), 0.05);
        near(mean(40_000, || f64::from(u8::from(rng.choose(&[("a", 0.3), ("b", 0.7)]) == "a"))), 0.3);
    }
}
