//! What the benches share: seeded values and a fair clock.

use std::time::Instant;

/// Seeded numbers (`SplitMix64`, Steele, Lea and Flood 2014).
pub(crate) struct Seeded(pub(crate) u64);

impl Seeded {
    /// The next 64 bits.
    pub(crate) fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// Uniform in (0, 1).
    #[expect(clippy::cast_precision_loss, reason = "53 bits")]
    pub(crate) fn unit(&mut self) -> f64 {
        ((self.bits() >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    }

    /// Standard normal (Box and Muller).
    pub(crate) fn normal(&mut self) -> f64 {
        (-2.0 * self.unit().ln()).sqrt() * (std::f64::consts::TAU * self.unit()).cos()
    }
}

/// Whether this is `cargo bench`; `cargo test --benches` only wants to see that the program runs.
pub(crate) fn is_measuring() -> bool {
    std::env::args().any(|arg| arg == "--bench")
}

/// Wall seconds that a call takes.
#[expect(clippy::disallowed_methods, reason = "a bench needs a clock")]
pub(crate) fn wall_s(call: &mut dyn FnMut()) -> f64 {
    let start = Instant::now();
    call();
    start.elapsed().as_secs_f64()
}

/// The middle one.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
