//! How much a window says of a change of the world, and so how soon it can be told at best.
//!
//! Whoever raises a false alarm once in `A` windows on average tells a change no sooner, on average and in the worst
//! case, than after `ln(A) / I` windows, where `I` is the Kullback-Leibler divergence of a window after the change from
//! one before it (Lorden 1971, section 3). Where some change is tolerated, the window before it is the nearest one that
//! is. Seasons and levels that wander take information away; what is said here is without them.

use super::kind::{RowEffect, Scope};
use super::world::{CATEGORIES, LATENCY_SPREAD, Size};
use crate::sim::Kind;

/// How far the world may move before that is told.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tolerated {
    /// Population stability index of a column, in nats.
    pub psi: f64,
    /// Factor of the share of failures.
    pub failures: f64,
    /// Factor of the share of missing values.
    pub missing: f64,
    /// Factor of the latency.
    pub latency: f64,
    /// Share of the requests that must go on coming.
    pub volume: f64,
}

impl Tolerated {
    /// As guards do unless a pipeline says otherwise.
    pub const BY_DEFAULT: Self = Self { psi: 0.1, failures: 1.25, missing: 1.5, latency: 1.1, volume: 0.5 };
}

/// Nats that one window says of a kind's change of the world; none where nothing changes for both versions. A change
/// within what is tolerated says nothing.
#[must_use]
pub fn nats(kind: &Kind, size: Size, tolerated: Tolerated) -> Option<f64> {
    let effect = kind.change.filter(|change| change.scope == Scope::Both)?.effect;
    let n = f64::from(size.baseline_rate + size.candidate_rate);
    let usual = RowEffect::NONE;
    let each = [
        of_mean(effect.mean, tolerated.psi),
        of_scale(effect.scale, tolerated.psi),
        of_category(effect.category, tolerated.psi),
        of_share(effect.errors, usual.errors * tolerated.failures),
        of_share(effect.missing, usual.missing * tolerated.missing),
        of_latency(effect.latency, tolerated.latency),
        of_volume(effect.volume, tolerated.volume),
    ];
    Some(n * each.iter().sum::<f64>())
}

/// A standard normal distribution moved by so much: its index is the square of that.
fn of_mean(by: f64, psi: f64) -> f64 {
    (by.abs() - psi.sqrt()).max(0.0).powi(2) / 2.0
}

/// A normal distribution so many times as wide: its index is `(s^2 + 1 / s^2) / 2 - 1`.
fn of_scale(by: f64, psi: f64) -> f64 {
    let sum = 1.0 + psi;
    let most = (sum + (sum * sum - 1.0).sqrt()).sqrt();
    let ratio = by.max(by.recip()) / most;
    if ratio > 1.0 { (ratio * ratio - 1.0) / 2.0 - libm::log(ratio) } else { 0.0 }
}

/// So much of the share of one category given to another; what is tolerated is found by halving.
fn of_category(by: f64, psi: f64) -> f64 {
    let share = |name| CATEGORIES.iter().find(|(other, _)| *other == name).map_or(0.0, |(_, share)| *share);
    let (from, to) = (share("a"), share("d"));
    let index = |moved: f64| moved * libm::log((to + moved) / to * from / (from - moved));
    if index(by) <= psi {
        return 0.0;
    }
    let halve = |(low, high): (f64, f64), _| {
        let middle = f64::midpoint(low, high);
        if index(middle) > psi { (low, middle) } else { (middle, high) }
    };
    let (kept, _) = (0..50).fold((0.0, by), halve);
    let part = |now: f64, before: f64| now * libm::log(now / before);
    part(from - by, from - kept) + part(to + by, to + kept)
}

fn of_share(now: f64, most: f64) -> f64 {
    if now <= most {
        return 0.0;
    }
    now * libm::log(now / most) + (1.0 - now) * libm::log((1.0 - now) / (1.0 - most))
}

fn of_latency(by: f64, most: f64) -> f64 {
    (libm::log(by / most).max(0.0) / LATENCY_SPREAD).powi(2) / 2.0
}

/// Requests come by a Poisson process; per request that used to come.
fn of_volume(now: f64, least: f64) -> f64 {
    if now >= least {
        return 0.0;
    }
    let told = if now > 0.0 { now * libm::log(now / least) } else { 0.0 };
    told - now + least
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::{WORLD_KINDS, kind};

    const NOTHING: Tolerated = Tolerated { psi: 0.0, failures: 1.0, missing: 1.0, latency: 1.0, volume: 1.0 };
    const SOME: Tolerated = Tolerated::BY_DEFAULT;
    const ONE: Size = Size { burn_windows: 1, test_windows: 1, baseline_rate: 1, candidate_rate: 0 };

    fn each(name: &str, tolerated: Tolerated) -> f64 {
        nats(kind(name).unwrap(), ONE, tolerated).unwrap()
    }

    /// Divergences of the changed distribution from the usual one, by the closed forms in Python's floats.
    #[test]
    fn divergences_are_those_of_the_distributions() {
        for (name, wanted) in [
            ("world_mean_0.50", 0.125),
            ("world_var_1.3", 0.082_636),
            ("world_cat_tv_0.10", 0.052_325),
            ("world_error_x10", 0.071_163),
            ("world_missing_5pct", 0.041_291),
            ("world_latency_x1.20", 0.184_673),
            ("world_volume_30pct", 0.338_808),
        ] {
            let found = each(name, NOTHING);
            assert!((found - wanted).abs() < 2e-6, "{name}: {found}");
        }
    }

    #[test]
    fn what_is_tolerated_says_nothing_and_what_is_not_says_less() {
        for kind in WORLD_KINDS {
            let (all, some) = (nats(kind, ONE, NOTHING).unwrap(), nats(kind, ONE, SOME).unwrap());
            assert!((0.0..all).contains(&some), "{}: {some} of {all}", kind.name);
        }
        assert_eq!((each("world_mean_0.25", SOME), each("world_cat_tv_0.10", SOME)), (0.0, 0.0));
        assert!(each("world_mean_0.50", SOME) > 0.016);
        assert_eq!(nats(kind("mean_0.50").unwrap(), ONE, NOTHING), None, "the candidate's alone");
    }

    #[test]
    fn at_the_edge_of_what_is_tolerated_the_index_is_that() {
        let psi = 0.05;
        let least = |of: fn(f64, f64) -> f64, by: f64| (1..1_000).find(|i| of(by * f64::from(*i) / 1e3, psi) > 0.0);
        assert_eq!(least(of_mean, 1.0), Some(224), "the root of 0.05");
        let scale = |by: f64, psi| of_scale(1.0 + by, psi);
        let edge = 1.0 + f64::from(least(scale, 1.0).unwrap()) / 1e3;
        assert!((f64::midpoint(edge.powi(2), edge.powi(-2)) - 1.0 - psi).abs() < 1e-3, "{edge}");
    }
}
