//! How often p-values cry wolf, and how often they see what is there.

use super::cut;
use super::world::{Dice, World};
use crate::metric::{Side, find};
use crate::plan::Task;

const RUNS: u32 = 600;

/// Share of runs with p below 5 % when the judged side is shifted by `shift` standard deviations.
fn rejected(metric: &str, shift: f64) -> f64 {
    let seed = 20_130_601;
    println!("seed {seed}");
    let (world, mut dice) = (World::new(Task::Binary), Dice::new(seed));
    let mut side = |n: usize, shift: f64| {
        let values: Vec<f64> = (0..n).map(|_| dice.normal() + shift).collect();
        cut::histogram(&world.cut, &values)
    };
    let metric = find(metric).expect("is listed");
    let is_rejected = |_: &u32| {
        let (baseline, current) = (side(900, 0.0), side(400, shift));
        let readings = metric.read(Side::Numeric(&current), Some(Side::Numeric(&baseline)), &world.context());
        readings[0].p_value.expect("a p-value") < 0.05
    };
    f64::from(u32::try_from((0..RUNS).filter(is_rejected).count()).expect("few runs")) / f64::from(RUNS)
}

#[test]
fn without_drift_about_one_in_twenty_is_below_five_percent() {
    // Three standard errors of 600 runs are 2.7 points; the distance from bins is conservative.
    for (metric, at_least) in [("ks", 0.015), ("chi_square", 0.023), ("psi", 0.023)] {
        let size = rejected(metric, 0.0);
        assert!((at_least..=0.077).contains(&size), "{metric}: {size}");
    }
}

#[test]
fn a_shift_of_three_tenths_is_mostly_seen() {
    for (metric, at_least) in [("ks", 0.95), ("chi_square", 0.9), ("psi", 0.9)] {
        let power = rejected(metric, 0.3);
        assert!(power >= at_least, "{metric}: {power}");
    }
}
