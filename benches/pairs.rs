//! Random pairs of columns, as files have them: ties, atoms, constants, heavy tails, few distinct values, sentinels,
//! infinities, single precision. Each is cut, counted and compared by the engine, and every number is held against the
//! one that its raw rows give.
//!
//! What must hold for each pair:
//! * PSI and Jensen-Shannon over 10 and 20 bins are those of the rows in these bins, to 1e-9;
//! * the exact KS and Wasserstein distances lie in the interval that is printed, and so does the printed number;
//! * mean and standard deviation are right to 1e-6, or absent, and absent only where values are far out;
//! * the index lies in the interval that stands beside it;
//! * a value that fills a bin is alone in it, and rounding to single precision is no drift;
//! * a KS of 0.1 and more is never called within, and one of 0.5 and more between 100 rows and more is called drift.
//!
//! `cargo bench --bench pairs -- --pairs 2000000 --seed 1`; `--kinds` tells of each kind. `cargo test --benches`
//! looks at 4,000. Pairs that fail are printed with their seeds; `--pairs 1 --seed THAT` shows one again.
//! `--export FILE` writes the pairs with what is said of them, which `benches/pairs/scipy_check.py FILE` holds against
//! `NumPy` and `SciPy`.

#[path = "common/arguments.rs"]
mod arguments;
#[path = "pairs/check.rs"]
mod check;
#[path = "pairs/draw.rs"]
mod draw;
#[path = "pairs/exact.rs"]
mod exact;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use std::time::Instant;

use check::Told;

/// Pairs in a test, and in a bench that was asked for no number.
const PAIRS_TEST: u64 = 4_000;
const PAIRS_BENCH: u64 = 200_000;
/// Threads.
const THREADS: usize = 2;
/// Failures that are printed.
const SHOWN_MAX: usize = 20;

/// Writes pairs, one a line.
fn export(path: &str, seeds: std::ops::Range<u64>) {
    let mut out = BufWriter::new(File::create(path).expect("a file that can be written"));
    for line in seeds.filter_map(|seed| check::exported(&draw::pair(seed), seed)) {
        writeln!(out, "{line}").expect("room on the disk");
    }
    out.flush().expect("room on the disk");
}

fn main() {
    let pairs =
        arguments::option("--pairs").unwrap_or(if arguments::is_measuring() { PAIRS_BENCH } else { PAIRS_TEST });
    let first: u64 = arguments::option("--seed").unwrap_or(1);
    if let Some(path) = arguments::option::<String>("--export") {
        export(&path, first..first + pairs);
        return;
    }
    let all: Mutex<BTreeMap<String, Told>> = Mutex::default();
    let failures: Mutex<Vec<String>> = Mutex::default();
    let next = AtomicU64::new(0);
    let work = || {
        let mut mine: BTreeMap<String, Told> = BTreeMap::new();
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            if at >= pairs {
                break;
            }
            let seed = first + at;
            let pair = draw::pair(seed);
            let told = mine.entry(pair.kind.clone()).or_default();
            let wrong = check::pair(&pair, told);
            if !wrong.is_empty() {
                let mut failures = failures.lock().expect("no thread panics while it holds this");
                failures.push(format!("seed {seed} ({}): {}", pair.kind, wrong.join("; ")));
            }
        }
        let mut all = all.lock().expect("no thread panics while it holds this");
        mine.into_iter().for_each(|(kind, told)| all.entry(kind).or_default().add(&told));
    };
    #[expect(clippy::disallowed_methods, reason = "a bench needs a clock")]
    let start = Instant::now();
    std::thread::scope(|scope| {
        (1..THREADS).for_each(|_| drop(scope.spawn(work)));
        work();
    });
    let seconds = start.elapsed().as_secs_f64();
    let all = all.into_inner().expect("no thread panicked");
    if arguments::is_measuring() || arguments::has("--kinds") {
        check::print(&all);
    }
    println!("{pairs} pairs, seeds {first} to {}, {seconds:.1} s", first + pairs - 1);
    let mut failures = failures.into_inner().expect("no thread panicked");
    failures.sort();
    failures.iter().take(SHOWN_MAX).for_each(|failure| println!("{failure}"));
    assert!(failures.is_empty(), "{} of {pairs} pairs are wrong", failures.len());
}
