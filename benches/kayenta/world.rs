//! Two versions, minute by minute: what a dashboard shows of them, and the requests behind it.
//!
//! A version answers 60 requests a minute. Their latencies are log-normal with a spread of one half around a level that
//! the version has for itself in that minute, so that the minute's mean has a spread of a quarter: of that, counts
//! explain 0.07. The level is an autoregression of order one; a share of its variance may be common to both versions.

use haldane::sim::Rng;

use crate::lab::Rows;

/// Requests of a version in a minute.
pub(crate) const REQUESTS: u32 = 60;
/// Spread of one minute's latencies, and of a version's level.
const SPREAD: f64 = 0.5;
const LEVEL: f64 = 0.24;
/// Share of requests that fail.
const ERRORS: f64 = 0.005;

/// What is wrong with the candidate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Wrong {
    Nothing,
    /// Every answer takes so many times as long.
    Slower(f64),
    /// In this share of minutes, answers take four times as long.
    Tail(f64),
    /// Its level varies so many times as much.
    Spread(f64),
    /// This share of its requests fails, and none of the baseline version's.
    Fails(f64),
}

/// One pair of versions.
pub(crate) struct World {
    rng: Rng,
    /// What a level keeps of itself from minute to minute.
    kept: f64,
    /// Share of the level's variance that both have in common.
    common: f64,
    wrong: Wrong,
    /// Of the candidate, the baseline version, and what they have in common.
    levels: [f64; 3],
    requests: u64,
}

/// One minute's numbers of one version.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Point {
    pub(crate) mean_ms: f64,
    pub(crate) error_rate: f64,
}

impl World {
    pub(crate) fn new(seed: u64, kept: f64, common: f64, wrong: Wrong) -> Self {
        let mut rng = Rng::new(seed.wrapping_mul(0xD1B5_4A32_D192_ED03));
        let levels = [rng.normal(), rng.normal(), rng.normal()];
        Self { rng, kept, common, wrong, levels, requests: 0 }
    }

    /// The next minute; the candidate comes second, and only if it runs.
    pub(crate) fn minute(&mut self, rows: &mut Rows, candidate: bool) -> [Option<Point>; 2] {
        let kept = self.kept;
        for level in &mut self.levels {
            *level = kept * *level + libm::sqrt(1.0 - kept * kept) * self.rng.normal();
        }
        [Some(self.version(rows, false)), candidate.then(|| self.version(rows, true))]
    }

    fn version(&mut self, rows: &mut Rows, candidate: bool) -> Point {
        let wrong = if candidate { self.wrong } else { Wrong::Nothing };
        let own = libm::sqrt(1.0 - self.common) * self.levels[usize::from(!candidate)];
        let mut level = LEVEL * (own + libm::sqrt(self.common) * self.levels[2]);
        let mut errors = if matches!(self.wrong, Wrong::Fails(_)) { 0.0 } else { ERRORS };
        match wrong {
            Wrong::Slower(factor) => level += libm::log(factor),
            Wrong::Tail(share) if self.rng.chance(share) => level += libm::log(4.0),
            Wrong::Spread(factor) => level *= factor,
            Wrong::Fails(share) => errors = share,
            Wrong::Nothing | Wrong::Tail(_) => {}
        }
        let (mut sum, mut failures) = (0.0, 0.0);
        for _ in 0..REQUESTS {
            let latency = 50.0 * libm::exp(level + SPREAD * self.rng.normal());
            let failed = self.rng.chance(errors);
            (sum, failures) = (sum + latency, failures + f64::from(u8::from(failed)));
            self.requests += 1;
            rows.push(candidate, failed, Some(self.requests), &[latency]);
        }
        Point { mean_ms: sum / f64::from(REQUESTS), error_rate: failures / f64::from(REQUESTS) }
    }
}
