//! What evidence costs per metric and window: the two accumulators, fed as guards feed them.
//!
//! `cargo bench --bench evidence`. Goals: at most 2 us for a guardrail (HX), at most 5 us for a sensor of the change
//! detector, reading and Shiryaev-Roberts update together. Medians of 1,001 rounds, each short enough to be left alone
//! by the scheduler.

mod common;

use std::hint::black_box;

use common::{Seeded, is_measuring, median, wall_s};
use haldane::infer::contrast::{VersionSplit, log_e_rate, log_e_tilt, normal_scores};
use haldane::infer::hx::{Direction, Hx, HxPlan};
use haldane::infer::pool::{AlarmRule, Pool};
use haldane::infer::two_sample::Arm;

/// Fine bins of a column.
const BINS: usize = 202;
const ALARM: AlarmRule = AlarmRule { patience: 28_800.0, windows_min: 3 };

fn main() {
    let (rounds, updates) = if is_measuring() { (1_001, 100) } else { (1, 10) };
    println!("{:<64} {:>9} {:>6}", "us per metric and window", "ours", "goal");
    let report = |what: &str, goal: f64, update: &mut dyn FnMut()| {
        let mut round = || wall_s(&mut || (0..updates).for_each(|_| update())) * 1e6 / f64::from(updates);
        let ours = median((0..rounds).map(|_| round()).collect());
        println!("{what:<64} {ours:>9.3} {goal:>6.1}");
    };
    let plan = HxPlan { planned: u32::MAX, ..guardrail() };
    let mut hx = Hx::new(&plan);
    report("HX: 13 ratios, 5 of 500 against 6 of 500", 2.0, &mut || {
        hx.update(&plan, Arm { n: 500, x: 5.0 }, Arm { n: 500, x: 6.0 }, 1.2, 1.0);
        black_box(&hx);
    });
    let mut pool = Pool::default();
    report("SR of a rate: 4 alternatives, 2 of 100 against 3 of 400", 5.0, &mut || {
        let (marked, other) =
            (VersionSplit { candidate: 2, baseline: 3 }, VersionSplit { candidate: 98, baseline: 397 });
        add(&mut pool, &log_e_rate(black_box(marked), other, &[0.3, 0.7, 1.4, 2.3]));
    });
    let (candidate, baseline) = (histogram(100), histogram(400));
    report("SR of a location: 8 shifts, 100 against 400 in 202 bins", 5.0, &mut || {
        add(&mut pool, &location(black_box(&candidate), &baseline));
    });
    let (candidate, baseline) = (histogram(2_000), histogram(2_000));
    report("SR of a location: 8 shifts, 2,000 against 2,000 in 202 bins", 5.0, &mut || {
        add(&mut pool, &location(black_box(&candidate), &baseline));
    });
}

fn guardrail() -> HxPlan {
    HxPlan { margin: 1.2, direction: Direction::Harm, alpha: 0.01, planned: 288, windows_min: 3 }
}

fn add(pool: &mut Pool, log_es: &[f64]) {
    log_es.iter().enumerate().for_each(|(part, log_e)| pool.update(part, *log_e, 0.01, ALARM));
    black_box(pool.log_r(0));
}

fn location(candidate: &[u64], baseline: &[u64]) -> Vec<f64> {
    let groups = normal_scores(candidate, baseline);
    [-1.0, -0.5, -0.25, -0.12, 0.12, 0.25, 0.5, 1.0].map(|shift| log_e_tilt(&groups, shift)).to_vec()
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "0 <= place < BINS"
)]
fn histogram(n: u64) -> Vec<u64> {
    let mut seeded = Seeded(n);
    let mut bins = vec![0; BINS];
    (0..n).for_each(|_| bins[((seeded.normal() / 10.0 + 0.5) * BINS as f64) as usize] += 1);
    bins
}
