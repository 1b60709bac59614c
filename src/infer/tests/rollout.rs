//! Rollouts of drawn windows: how often evidence fires without harm, and how soon with it.
//!
//! The comments give what larger runs of the same code gave once; the tests repeat as many as a few seconds allow.

use super::world::{Rng, median};
use crate::infer::hx::{Direction, Hx, HxPlan};
use crate::infer::log_space::float;
use crate::infer::two_sample::Arm;

/// What is drawn: events per window and arm, and the rates at a window.
struct World<'a> {
    n: (u64, u64),
    rates: &'a dyn Fn(u32) -> (f64, f64),
}

const STEADY: &dyn Fn(u32) -> (f64, f64) = &|_| (0.01, 0.01);

fn plan(margin: f64, direction: Direction, alpha: f64) -> HxPlan {
    HxPlan { alpha, margin, direction, planned: 288, windows_min: 3 }
}

fn draw(rng: &mut Rng, n: u64, p: f64) -> Arm {
    Arm { n, x: float(rng.binomial(n, p)) }
}

/// The window (from 1) at which each of the seeded rollouts fires, and `u32::MAX` for those that do not.
fn fires(plan: &HxPlan, world: &World, windows: u32, runs: u64) -> Vec<u32> {
    let rollout = |seed| {
        let (mut rng, mut hx) = (Rng::new(seed), Hx::new(plan));
        let fired = (1..=windows).find(|&window| {
            let rates = (world.rates)(window);
            let (c, b) = (draw(&mut rng, world.n.0, rates.0), draw(&mut rng, world.n.1, rates.1));
            hx.update(plan, c, b, 1.0);
            hx.log_e(plan) >= plan.threshold()
        });
        fired.unwrap_or(u32::MAX)
    };
    (0..runs).map(rollout).collect()
}

fn share_fired(windows: &[u32]) -> f64 {
    let fired = windows.iter().filter(|&&window| window != u32::MAX).count();
    float(fired as u64) / float(windows.len() as u64)
}

#[test]
fn measure() {
    let runs: u64 = std::env::var("RUNS").map_or(2, |t| t.parse().unwrap());
    let harm = plan(1.0, Direction::Harm, 0.01);
    for n in [(500, 500), (500, 9500)] {
        for ratio in [1.2, 1.5, 2.0, 5.0] {
            let found = fires(&harm, &World { n, rates: &|_| (0.01 * ratio, 0.01) }, 288, runs);
            println!("{n:?} x{ratio}: median {} power {}", median(found.clone()), share_fired(&found));
        }
        let found = fires(&harm, &World { n, rates: STEADY }, 10_000, runs / 2);
        println!("{n:?} A/A 10000: {}", share_fired(&found));
    }
    for start in [50, 100, 200] {
        let rates = |t: u32| (if t > start { 0.02 } else { 0.01 }, 0.01);
        let found = fires(&harm, &World { n: (500, 500), rates: &rates }, 288, runs);
        let after: Vec<u32> = found.iter().map(|&t| if t > start { t - start } else { 0 }).collect();
        println!("onset {start}: {} early {}", median(after.clone()), after.iter().filter(|t| **t == 0).count());
    }
    let blip = |t: u32| (if t == 30 { 0.3 } else { 0.01 }, 0.01);
    println!("blip {}", share_fired(&fires(&harm, &World { n: (500, 500), rates: &blip }, 288, runs)));
    let margin = plan(1.2, Direction::Harm, 0.01);
    for ratio in [1.2, 1.5, 2.0, 3.0] {
        let found = fires(&margin, &World { n: (500, 500), rates: &|_| (0.01 * ratio, 0.01) }, 288, runs);
        println!("margin 1.2 x{ratio}: median {} power {}", median(found.clone()), share_fired(&found));
    }
    let safety = plan(1.2, Direction::Safety, 0.05);
    for n in [(500, 500), (500, 9500)] {
        for ratio in [1.0, 1.2] {
            let found = fires(&safety, &World { n, rates: &|_| (0.01 * ratio, 0.01) }, 1000, runs);
            println!("safety {n:?} x{ratio}: median {} power {}", median(found.clone()), share_fired(&found));
        }
    }
}
