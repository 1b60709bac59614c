//! haldane beside the default judge of Kayenta on the same requests: false alarms where versions have noise of their
//! own, and power over 60, 180 and 480 minutes.
//!
//! `cargo bench --bench kayenta -- [--canaries N] [--seed S] [--only PART_OF_A_NAME]`: N canaries for each row, seeded
//! S, S + 1, …. Kayenta sees the minutes' mean latency and error rate, as runs of 60 points; haldane sees the requests,
//! a window for each point, under the default policy with a last look at the end (`final_look`, `planned_windows` =
//! minutes), and two hours of the baseline version alone before. Kayenta's canary fails by its scores (75 for every
//! run, 95 for the last); haldane's counts when it is held, contained or rolled back. *In one run* is Kayenta's share
//! of runs with some metric high.

#[path = "common/arguments.rs"]
mod arguments;
#[path = "kayenta/judge.rs"]
mod judge;
#[path = "common/lab.rs"]
mod lab;
#[path = "kayenta/world.rs"]
mod world;

use std::ops::Range;
use std::sync::Arc;

use arguments::{is_measuring, option};
use haldane::plan::{Action, Plan};
use lab::Rows;
use world::{Point, World, Wrong};

/// Points of one run of Kayenta's.
const RUN: usize = 60;
/// Minutes of the baseline version alone.
const BEFORE: u32 = 120;

/// One row of the grid.
struct Cell {
    name: &'static str,
    minutes: u32,
    kept: f64,
    common: f64,
    wrong: Wrong,
}

const fn healthy(name: &'static str, kept: f64, common: f64) -> Cell {
    Cell { name, minutes: 180, kept, common, wrong: Wrong::Nothing }
}

const fn bad(name: &'static str, minutes: u32, wrong: Wrong) -> Cell {
    Cell { name, minutes, kept: 0.0, common: 0.0, wrong }
}

const GRID: &[Cell] = &[
    healthy("no worse, AR 0.0", 0.0, 0.0),
    healthy("no worse, AR 0.3", 0.3, 0.0),
    healthy("no worse, AR 0.6", 0.6, 0.0),
    healthy("no worse, AR 0.8", 0.8, 0.0),
    healthy("no worse, AR 0.8, half of it common", 0.8, 0.5),
    healthy("no worse, AR 0.8, most of it common", 0.8, 0.9),
    bad("latency +5 %", 60, Wrong::Slower(1.05)),
    bad("latency +5 %", 180, Wrong::Slower(1.05)),
    bad("latency +5 %", 480, Wrong::Slower(1.05)),
    bad("latency +10 %", 60, Wrong::Slower(1.1)),
    bad("latency +10 %", 180, Wrong::Slower(1.1)),
    bad("latency +10 %", 480, Wrong::Slower(1.1)),
    bad("latency +20 %", 60, Wrong::Slower(1.2)),
    bad("latency +20 %", 180, Wrong::Slower(1.2)),
    bad("latency x4 in 8 % of minutes", 60, Wrong::Tail(0.08)),
    bad("latency x4 in 8 % of minutes", 180, Wrong::Tail(0.08)),
    bad("latency x4 in 8 % of minutes", 480, Wrong::Tail(0.08)),
    bad("level varies twice as much", 60, Wrong::Spread(2.0)),
    bad("level varies twice as much", 180, Wrong::Spread(2.0)),
    bad("level varies twice as much", 480, Wrong::Spread(2.0)),
    bad("1 % errors, none before", 60, Wrong::Fails(0.01)),
    bad("1 % errors, none before", 180, Wrong::Fails(0.01)),
];

fn main() {
    let canaries: u32 = option("--canaries").unwrap_or(if is_measuring() { 200 } else { 1 });
    let first: u64 = option("--seed").unwrap_or(1);
    let only: Option<String> = option("--only");
    println!("{canaries} canaries a row, seeds from {first}");
    println!("{:<40} {:>7} {:>12} {:>12} {:>12}", "", "minutes", "haldane", "Kayenta", "in one run");
    for cell in GRID.iter().filter(|cell| only.as_ref().is_none_or(|part| cell.name.contains(part))) {
        cell.report(if is_measuring() { cell.minutes } else { 3 }, first..first + u64::from(canaries));
    }
}

/// What both say of one canary.
struct Said {
    restricted: bool,
    failed: bool,
    high_runs: u32,
    runs: u32,
}

impl Cell {
    fn report(&self, minutes: u32, seeds: Range<u64>) {
        let plan = plan(minutes);
        let said: Vec<Said> = seeds.map(|seed| self.canary(&plan, minutes, seed)).collect();
        let share = |count: u32, of: u32| format!("{:.1} %", 100.0 * f64::from(count) / f64::from(of.max(1)));
        let of = |what: fn(&Said) -> u32| said.iter().map(what).sum::<u32>();
        let canaries = of(|_| 1);
        let ours = share(of(|said| u32::from(said.restricted)), canaries);
        let theirs = share(of(|said| u32::from(said.failed)), canaries);
        let one_run = share(of(|said| said.high_runs), of(|said| said.runs));
        println!("{:<40} {minutes:>7} {ours:>12} {theirs:>12} {one_run:>12}", self.name);
    }

    fn world(&self, seed: u64) -> World {
        World::new(seed, self.kept, self.common, self.wrong)
    }

    fn canary(&self, plan: &Arc<Plan>, minutes: u32, seed: u64) -> Said {
        let mut world = self.world(seed);
        let restricted = lab::windows_until(plan, BEFORE + minutes, Action::Hold, |minute, rows| {
            world.minute(rows, minute >= BEFORE);
        });
        let points = self.points(minutes, seed);
        let runs: Vec<Vec<bool>> =
            points[0].chunks(RUN).zip(points[1].chunks(RUN)).map(|(control, canary)| highs(control, canary)).collect();
        let high_runs = runs.iter().filter(|run| run.contains(&true)).count();
        Said {
            restricted: restricted.is_some(),
            failed: if self.wrong == Wrong::Nothing { judge::fails(&runs) } else { all_points(&points) },
            high_runs: u32::try_from(high_runs).expect("few runs"),
            runs: u32::try_from(runs.len()).expect("few runs"),
        }
    }

    /// What a dashboard shows of the same canary: the baseline version's points, and the candidate's.
    fn points(&self, minutes: u32, seed: u64) -> [Vec<Point>; 2] {
        let mut world = self.world(seed);
        let mut points = [Vec::new(), Vec::new()];
        for minute in 0..BEFORE + minutes {
            if let [Some(baseline), Some(candidate)] = world.minute(&mut Rows::default(), minute >= BEFORE) {
                points[0].push(baseline);
                points[1].push(candidate);
            }
        }
        points
    }
}

/// Where something is wrong, Kayenta is given all minutes as one run, which is its best case.
fn all_points(points: &[Vec<Point>; 2]) -> bool {
    judge::fails(&[highs(&points[0], &points[1])])
}

/// Which of the metrics are high.
fn highs(control: &[Point], canary: &[Point]) -> Vec<bool> {
    let of = |value: fn(&Point) -> f64| {
        let series = |points: &[Point]| points.iter().map(value).collect::<Vec<f64>>();
        judge::is_high(&series(control), &series(canary))
    };
    vec![of(|point| point.mean_ms), of(|point| point.error_rate)]
}

/// A pipeline that names its columns, windows of a minute, and a last look at the end.
fn plan(minutes: u32) -> Arc<Plan> {
    lab::plan(&[], true, &|guards| (guards.planned, guards.final_look) = (minutes, true))
}
