//! The size and the power of every test here, by seeded simulation.
//!
//! Bounds are those of a binomial count at the size that is claimed, some standard errors wide. That every e-value has
//! mean at most 1 is shown by enumeration beside each of them, not here.

use super::world::{Rng, median, tilted, zipf};
use crate::binomial_limit::LimitProcess;
use crate::final_look::ContrastSeries;
use crate::interval::{RateRatio, quantile};
use crate::ks_tolerance::KsTest;
use crate::log_space::float;
use crate::multiplicity;
use crate::psi_tolerance::PsiTest;
use crate::reliability::{Bin, log_e_calibration};
use crate::sample_ratio::SampleRatio;
use crate::two_sample::{Arm, standardised};

/// Share of the seeded runs in which something happens.
fn share(runs: u64, happens: impl Fn(&mut Rng) -> bool) -> f64 {
    float((0..runs).filter(|&seed| happens(&mut Rng::new(seed))).count() as u64) / float(runs)
}

/// The look (from 1) at which something first happens in each of the seeded runs; `u32::MAX` for never.
fn looks<S>(runs: u64, most: u32, start: impl Fn() -> S, happens: impl Fn(&mut Rng, &mut S) -> bool) -> Vec<u32> {
    let run = |seed| {
        let (mut rng, mut state) = (Rng::new(seed), start());
        (1..=most).find(|_| happens(&mut rng, &mut state)).unwrap_or(u32::MAX)
    };
    (0..runs).map(run).collect()
}

fn ever(looks: &[u32]) -> usize {
    looks.iter().filter(|&&look| look != u32::MAX).count()
}

/// The stability index at its tolerance, at 5 %: 3.9 to 5.6 % in runs of 2,000, 4.7 % over all.
#[test]
fn stability_index_at_its_tolerance() {
    let mut sizes = Vec::new();
    for (k, tau) in [(10, 0.02), (10, 0.1), (10, 0.25), (20, 0.0), (20, 0.1), (20, 0.25)] {
        let even = vec![1.0 / float(k as u64); k];
        for (shares, m, n) in [(even, 3000, 300), (zipf(k), 2000, 2000)] {
            let moved = tilted(&shares, tau);
            let size = share(600, |rng| {
                let (reference, window) = (rng.multinomial(m, &shares), rng.multinomial(n, &moved));
                PsiTest::of(&reference, &window, tau, 1.0).expect("cells").p() <= 0.05
            });
            // Four standard errors beside 4 to 6.5 %.
            assert!((0.01..0.1).contains(&size), "{k} cells, tau {tau}, {m} against {n}: {size}");
            sizes.push(size);
        }
    }
    let mean = sizes.iter().sum::<f64>() / float(sizes.len() as u64);
    assert!((0.04..0.065).contains(&mean), "{mean} over {sizes:?}");
}

/// Fifty categories, many of which hardly occur, do not break the law: 3.9 % of 2,000.
#[test]
fn stability_index_of_rare_categories() {
    let shares = zipf(50);
    let size = share(1500, |rng| {
        let (reference, window) = (rng.multinomial(1000, &shares), rng.multinomial(500, &shares));
        PsiTest::of(&reference, &window, 0.0, 1.0).expect("cells").p() <= 0.05
    });
    assert!((0.02..0.065).contains(&size), "{size}");
}

#[test]
fn stability_index_finds_what_is_not_tolerated_and_only_that() {
    let shares = vec![0.1; 10];
    let power = |psi: f64| {
        let moved = tilted(&shares, psi);
        share(300, |rng| {
            let (reference, window) = (rng.multinomial(20_000, &shares), rng.multinomial(2000, &moved));
            PsiTest::of(&reference, &window, 0.1, 1.0).expect("cells").p() <= 0.05
        })
    };
    // 0, 91 and 100 % in runs of 2,000.
    let (within, beyond, far) = (power(0.05), power(0.15), power(0.25));
    assert!(within <= 0.02 && beyond >= 0.82 && far >= 0.98, "{within} {beyond} {far}");
}

/// The interval for the true index at 90 %: 90.2 % of 2,000 at an index of 0.1.
#[test]
fn stability_index_lies_in_its_interval() {
    let shares = zipf(10);
    let moved = tilted(&shares, 0.1);
    let covered = share(400, |rng| {
        let (reference, window) = (rng.multinomial(3000, &shares), rng.multinomial(1500, &moved));
        let (low, high) = PsiTest::of(&reference, &window, 0.1, 1.0).expect("cells").interval(0.1);
        (low..=high).contains(&0.1)
    });
    assert!((0.84..0.96).contains(&covered), "{covered}");
}

/// Kolmogorov-Smirnov without a tolerance on few and on many bins. Kolmogorov's law would be at 0.7 % on two bins.
#[test]
fn distribution_distance_at_zero() {
    // 5.0, 4.7 and 4.6 % in runs of 2,000, 20,000 and 3,000.
    for (k, runs) in [(2, 1000), (10, 1000), (40, 300)] {
        let shares = vec![1.0 / float(k as u64); k];
        let size = share(runs, |rng| {
            let (reference, window) = (rng.multinomial(1500, &shares), rng.multinomial(500, &shares));
            KsTest::of(&reference, &window, 0.0, 1.0, |_| true).expect("two sides").p() <= 0.05
        });
        assert!((0.02..0.09).contains(&size), "{k} bins: {size}");
    }
}

#[test]
fn distribution_distance_at_its_tolerance() {
    // A tenth of all mass moves from the lower half to the upper, so that the distance is 0.1 in the middle.
    let moved =
        |by: f64| [[1.0 - 2.0 * by; 16], [1.0 + 2.0 * by; 16]].as_flattened().iter().map(|x| x / 32.0).collect();
    let power = |distance: f64| {
        let (even, moved): (_, Vec<f64>) = (vec![1.0 / 32.0; 32], moved(distance));
        share(400, |rng| {
            let (reference, window) = (rng.multinomial(4000, &even), rng.multinomial(2000, &moved));
            KsTest::of(&reference, &window, 0.1, 1.0, |_| false).expect("two sides").p() <= 0.05
        })
    };
    // 1.0 and 99.9 % in runs of 2,000.
    let (at, beyond) = (power(0.1), power(0.17));
    assert!(at <= 0.05 && beyond >= 0.9, "{at} {beyond}");
}

/// A rate against a limit at level 0.1 %: none of 200 at the limit; twice and five times of it after 6 windows and 1.
#[test]
fn limit_is_found_exceeded_only_when_it_is() {
    let run = |rate: f64, runs: u64| {
        let happens = |rng: &mut Rng, process: &mut LimitProcess| {
            process.update(Arm { n: 500, x: float(rng.binomial(500, rate)) }, 0.01, 288, 1.0);
            process.log_e(288) >= 1000.0_f64.ln()
        };
        looks(runs, 1000, LimitProcess::default, happens)
    };
    let (at, double, fivefold) = (ever(&run(0.01, 200)), median(run(0.02, 60)), median(run(0.05, 60)));
    assert!(at <= 2, "{at} of 200 at the limit");
    assert!(double <= 8 && fivefold <= 1, "{double} and {fivefold} windows");
}

/// Shares of traffic at level 0.01 %: none of 100 at the declared one over 1,000 looks; 5 windows of 2,000 for two
/// points.
#[test]
fn traffic_shares_are_found_off_only_when_they_are() {
    let run = |share: f64, runs: u64, most: u32| {
        let happens = |rng: &mut Rng, ratio: &mut SampleRatio| {
            ratio.update(Arm { n: 2000, x: float(rng.binomial(2000, share)) }, 0.05, SampleRatio::cap(1e-4, 3, 1.0));
            ratio.log_e(1.0) >= 1e4_f64.ln()
        };
        looks(runs, most, SampleRatio::default, happens)
    };
    let (right, off) = (ever(&run(0.05, 100, 1000)), median(run(0.07, 60, 100)));
    assert!(right <= 1 && off <= 6, "{right} of 100; {off} windows");
}

/// Calibration, 200 labels a window at level 1 %: none of 60 while calibrated; 11 windows for a logit shift of .2, 7
/// for a slope of .7.
#[test]
fn calibration_is_found_lost_only_when_it_is() {
    let run = |slope: f64, shift: f64, runs: u64, most: u32| {
        let happens = |rng: &mut Rng, bins: &mut [Bin; 16]| {
            (0..200).for_each(|_| observe(rng, bins, slope, shift));
            log_e_calibration(bins) >= 100.0_f64.ln()
        };
        looks(runs, most, || [Bin::default(); 16], happens)
    };
    let (right, shifted, flat) =
        (ever(&run(1.0, 0.0, 60, 100)), median(run(1.0, 0.2, 40, 60)), median(run(0.7, 0.0, 40, 60)));
    assert!(right <= 3, "{right} of 60");
    assert!(shifted <= 16 && flat <= 8, "{shifted} and {flat} windows");
}

/// A prediction whose logit is normal with deviation 1.5, and an outcome whose logit is `slope logit + shift`.
fn observe(rng: &mut Rng, bins: &mut [Bin; 16], slope: f64, shift: f64) {
    let logistic = |x: f64| 1.0 / (1.0 + libm::exp(-x));
    let logit = 1.5 * rng.normal();
    let (predicted, truth) = (logistic(logit), logistic(slope * logit + shift));
    let edges = (1..16).map(|edge| 0.5 * f64::from(edge - 8));
    let bin = &mut bins[edges.take_while(|&edge| edge <= logit).count()];
    bin.n += 1;
    bin.predicted += predicted;
    bin.positive += u64::from(rng.unit() < truth);
}

/// The rate ratio's interval at 5 %, looked at 200 times: 6 of 200 ever miss.
#[test]
fn rate_ratio_lies_in_all_its_intervals() {
    let missed = |rng: &mut Rng, ratio: &mut RateRatio| {
        let arm = |n, x| Arm { n, x: float(x) };
        ratio.update(arm(500, rng.binomial(500, 0.06)), arm(1000, rng.binomial(1000, 0.05)));
        ratio.interval(1.0, 0.05).is_some_and(|found| !(found.low..=found.high).contains(&1.2))
    };
    let missed = ever(&looks(200, 200, RateRatio::default, missed));
    assert!(missed <= 18, "{missed} of 200");
}

/// Woodruff's interval and its recovery for a ratio, of uniform numbers in 256 bins, at 95 %: 95.8 % of 2,000.
#[test]
fn quantile_ratio_lies_in_its_interval() {
    let bins = vec![1.0 / 256.0; 256];
    let read = |counts: &[u64], q: f64| {
        let total = float(counts.iter().sum());
        let mut below = 0.0;
        counts.iter().enumerate().find_map(|(bin, &count)| {
            let before = below;
            below += float(count);
            (below >= q * total && count > 0).then(|| float(bin as u64) + (q * total - before) / float(count))
        })
    };
    let covered = share(400, |rng| {
        let (one, other) = (rng.multinomial(1000, &bins), rng.multinomial(2000, &bins));
        let of = |counts: &[u64], n| quantile(n, 0.9, 1.0, 0.05, |q| read(counts, q)).expect("enough events");
        let ratio = of(&one, 1000).ratio(of(&other, 2000));
        (ratio.low..=ratio.high).contains(&1.0)
    });
    assert!((0.92..0.985).contains(&covered), "{covered}");
}

/// The last look at 5 %: as much at the margin, nine of ten at a ratio of 1.5 to a margin of 1.2.
#[test]
fn last_look_keeps_its_level() {
    let fires = |rate: f64, runs: u64| {
        share(runs, |rng| {
            let mut series = ContrastSeries::default();
            for _ in 0..40 {
                let arm = |n, x| Arm { n, x: float(x) };
                let (candidate, baseline) = (arm(500, rng.binomial(500, rate)), arm(500, rng.binomial(500, 0.02)));
                series.update(standardised(candidate, baseline, 1.2).unwrap_or(0.0));
            }
            series.p(1.0) <= 0.05
        })
    };
    let (at, beyond) = (fires(0.024, 600), fires(0.03, 100));
    assert!((0.024..0.08).contains(&at) && beyond >= 0.85, "{at} {beyond}");
}

/// Lists over dependent e-values at 10 %: 0.9 % of the names are wrong, 85 % of what is there is found.
#[test]
fn lists_keep_their_rate_of_wrong_names() {
    let (mut wrong, mut found) = (0.0, 0);
    for seed in 0..1000 {
        let mut rng = Rng::new(seed);
        let common = rng.normal();
        // Log likelihood ratios of normal numbers that share half of their variance; the first five are shifted.
        let log_e = |index: u32, rng: &mut Rng| {
            let z = 0.5_f64.sqrt() * (common + rng.normal()) + if index < 5 { 4.0 } else { 0.0 };
            4.0 * z - 8.0
        };
        let values: Vec<f64> = (0..20).map(|index| log_e(index, &mut rng)).collect();
        let named = multiplicity::closed_e_bh(&values, 0.1);
        let false_names = named.iter().filter(|&&index| index >= 5).count();
        wrong += float(false_names as u64) / float(named.len().max(1) as u64);
        found += named.len() - false_names;
    }
    assert!(wrong / 1000.0 <= 0.1 && found > 3000, "{wrong} of 1000 lists wrong, {found} of 5000 found");
}
