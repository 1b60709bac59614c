//! How much windows say of a change of the world, and so how soon it can be told at best.
//!
//! Whoever raises a false alarm once in `A` windows on average tells a change no sooner, on average and in the worst
//! case, than after `ln(A) / I` windows, where `I` is the Kullback-Leibler divergence of a window after the change
//! from one before it (Lorden 1971, section 3). Where some change is tolerated, the window before it is the nearest
//! one that is. Where a level wanders, as an AR(1) process, only the first window sees all of a shift, and later ones
//! what its innovations are off by: `(1 - rho)` of it, against their own spread (Box and Jenkins 1970, section 3.2).
//! Seasons take information away, too; what is said here is as if they were known.
//!
//! That is a mean. What the windows say in one stream is about normal with a variance of twice the mean `N` (of a
//! normal shift exactly). So the best test of all, which knows the change beforehand, tells it in 95 of 100 streams
//! where `N - 1.645 sqrt(2 N) >= ln(A)` ([`nats_to_tell`]).

use super::kind::{ChangeScope, RowEffect};
use super::world::{CATEGORIES, KEPT, LATENCY_SPREAD, LATENCY_WANDERS};
use crate::sim::Scenario;

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

/// Nats that a stream must have to be told in 95 of 100 cases by the best test that errs once in so many windows.
#[must_use]
pub fn nats_to_tell(patience: f64) -> f64 {
    // The upper twentieth of the standard normal distribution, of twice the mean's variance.
    let b = 1.645 * std::f64::consts::SQRT_2;
    let root = f64::midpoint(b, (b * b + 4.0 * libm::log(patience)).sqrt());
    root * root
}

/// Nats that windows of so many requests, as they usually come, say of a kind's change of the world; none where nothing
/// changes for both versions. A change within what is tolerated says nothing.
#[must_use]
pub fn nats(kind: &Scenario, requests: &[f64], tolerated: Tolerated) -> Option<f64> {
    let effect = kind.change.filter(|change| change.scope == ChangeScope::Both)?.effect;
    #[expect(clippy::cast_precision_loss, reason = "a few windows")]
    let windows = requests.len() as f64;
    let n = requests.iter().sum::<f64>() / windows;
    let usual = RowEffect::NONE;
    let wander = kind.climate.wander;
    let levels = [
        of_level(mean_beyond(effect.mean, tolerated.psi), (1.0, wander), n, windows),
        of_level(
            libm::log(effect.latency / tolerated.latency).max(0.0),
            (LATENCY_SPREAD, LATENCY_WANDERS * wander),
            n,
            windows,
        ),
    ];
    let each = [
        of_scale(effect.scale, tolerated.psi),
        of_category(effect.category, tolerated.psi),
        of_share(effect.errors, usual.errors * tolerated.failures),
        of_share(effect.missing, usual.missing * tolerated.missing),
        of_volume(effect.volume, tolerated.volume),
    ];
    Some(levels.iter().sum::<f64>() + windows * n * each.iter().sum::<f64>())
}

/// How far a standard normal distribution that was moved by so much is beyond what is tolerated: its index is the
/// square of that.
fn mean_beyond(by: f64, psi: f64) -> f64 {
    (by.abs() - psi.sqrt()).max(0.0)
}

/// A normal mean of `n` requests that moved so far beyond what is tolerated. `spread` is that of requests, and of the
/// innovations by which the level wanders.
fn of_level(beyond: f64, spread: (f64, f64), n: f64, windows: f64) -> f64 {
    let (sampling, innovation) = (spread.0.powi(2) / n, spread.1.powi(2));
    let still = windows * beyond.powi(2) / (2.0 * sampling);
    if innovation <= 0.0 {
        return still;
    }
    let stationary = innovation / (1.0 - KEPT * KEPT);
    let first = beyond.powi(2) / (2.0 * (stationary + sampling));
    let later = ((1.0 - KEPT) * beyond).powi(2) / (2.0 * innovation);
    still.min(first + (windows - 1.0) * later)
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

    fn each(name: &str, tolerated: Tolerated) -> f64 {
        nats(kind(name).unwrap(), &[1.0], tolerated).unwrap()
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
            let (all, some) = (nats(kind, &[1.0], NOTHING).unwrap(), nats(kind, &[1.0], SOME).unwrap());
            assert!((0.0..all).contains(&some), "{}: {some} of {all}", kind.name);
        }
        assert_eq!((each("world_mean_0.25", SOME), each("world_cat_tv_0.10", SOME)), (0.0, 0.0));
        assert!(each("world_mean_0.50", SOME) > 0.016);
        assert_eq!(nats(kind("mean_0.50").unwrap(), &[1.0], NOTHING), None, "the candidate's alone");
    }

    #[test]
    fn a_level_that_wanders_hides_a_shift() {
        let of = |name: &str, windows: usize| nats(kind(name).unwrap(), &vec![1e6; windows], NOTHING).unwrap();
        // Of a million requests the level is known: 0.5 against 0.08 / sqrt(0.19), then a tenth of it against 0.08.
        let (first, later) = (0.5_f64.powi(2) * 0.19 / 0.0128, 0.05_f64.powi(2) / 0.0128);
        for (windows, more) in [(1, 0.0), (6, 5.0)] {
            let wanted = first + more * later;
            assert!((of("world_mean_0.50_autocorr", windows) / wanted - 1.0).abs() < 1e-4, "{windows}");
            assert!(of("world_mean_0.50", windows) > 1e4 * (more + 1.0));
        }
    }

    #[test]
    fn what_the_best_test_needs_is_more_than_the_mean() {
        let needed = nats_to_tell(2_000.0);
        assert!((needed - 1.645 * (2.0 * needed).sqrt() - libm::log(2_000.0)).abs() < 1e-9, "{needed}");
    }

    #[test]
    fn at_the_edge_of_what_is_tolerated_the_index_is_that() {
        let psi = 0.05;
        let least = |of: fn(f64, f64) -> f64, by: f64| (1..1_000).find(|i| of(by * f64::from(*i) / 1e3, psi) > 0.0);
        assert_eq!(least(mean_beyond, 1.0), Some(224), "the root of 0.05");
        let scale = |by: f64, psi| of_scale(1.0 + by, psi);
        let edge = 1.0 + f64::from(least(scale, 1.0).unwrap()) / 1e3;
        assert!((f64::midpoint(edge.powi(2), edge.powi(-2)) - 1.0 - psi).abs() < 1e-3, "{edge}");
    }
}
