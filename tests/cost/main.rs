//! `cargo cost`: how many instructions the hot kernels take, counted by valgrind: binning, decoding JSON, counting a
//! batch, judging a window. Time differs from run to run; instructions do not.
//!
//! What they should take is in `tests/cost/figures.txt`. Each runs in a process of its own, over data out of a seed,
//! with the optimisation that the dev profile gives to the engine. Another compiler makes other figures, so only those
//! of the same one are compared. `UPDATE=1 cargo cost` writes them anew.

use std::fmt::Write as _;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Arc;

use haldane::batch::EventBatch;
use haldane::config;
use haldane::decode::{Decoder, Record, decoder};
use haldane::engine::Engine;
use haldane::event::SECOND;
use haldane::kernel::bin::Edges;
use haldane::plan::Plan;
use haldane::sim::Rng;

/// By how much a figure may be missed, in percent.
const TOLERANCE: u64 = 3;
const KERNELS: [(&str, fn()); 4] = [("bin", bin), ("decode", decode), ("count", count), ("judge", judge)];
/// Events of a window.
const EVENTS: i64 = 1_000;
/// Features of an event.
const FEATURES: u64 = 30;
const BINS: u32 = 1_040;
const START: i64 = 1_767_225_600 * SECOND;
const WINDOW: i64 = 300 * SECOND;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [option, name] = arguments.as_slice()
        && option == "--kernel"
    {
        let kernel = KERNELS.iter().find(|kernel| kernel.0 == name).expect("a kernel of that name");
        kernel.1();
        return ExitCode::SUCCESS;
    }
    let is_meant = arguments.first().is_none_or(|first| first.starts_with("--") || "cost".contains(first.as_str()));
    if arguments.iter().any(|argument| argument == "--list") || !is_meant {
        return ExitCode::SUCCESS;
    }
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        println!("cost: the figures are those of x86-64 under Linux; nothing is compared here");
        return ExitCode::SUCCESS;
    }
    match compare() {
        Ok(told) => {
            print!("{told}");
            ExitCode::SUCCESS
        }
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

/// Counts every kernel and holds it against its figure.
fn compare() -> Result<String, String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cost/figures.txt");
    let mut fresh = format!("compiler {}\n", compiler());
    for (name, _) in KERNELS {
        let _ = writeln!(fresh, "{name} {}", instructions(name)?);
    }
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &fresh).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    let stored = std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let figure = |text: &str, name: &str| -> Option<u64> {
        text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
    };
    let mut told = String::new();
    let (with, here) = (stored.lines().next().unwrap_or_default().trim_start_matches("compiler "), compiler());
    for (name, _) in KERNELS {
        let (now, then) = (figure(&fresh, name).unwrap_or_default(), figure(&stored, name).unwrap_or_default());
        let _ = writeln!(told, "{name:<8} {now:>12} instructions, stored {then:>12}");
        if with == here && now.abs_diff(then) * 100 > then * TOLERANCE {
            return Err(format!(
                "{told}`{name}` takes {now} instructions, more than {TOLERANCE} % off the {then} that are stored. If it \
                 became dearer, find out why (`valgrind --tool=callgrind`); if that was meant, run `UPDATE=1 cargo cost` \
                 and say why in the commit."
            ));
        }
    }
    if with != here {
        let _ = writeln!(told, "stored with {with}, and this is {here}: nothing is compared; `UPDATE=1 cargo cost`");
    }
    Ok(told)
}

fn compiler() -> String {
    let version = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into())).arg("--version").output();
    version.map_or_else(|_| "unknown".into(), |version| String::from_utf8_lossy(&version.stdout).trim().to_owned())
}

/// The instructions within [`measured`] when a kernel runs.
fn instructions(kernel: &str) -> Result<u64, String> {
    let program: PathBuf = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--toggle-collect=cost::measured*"]);
    let ran = valgrind.arg(program).args(["--kernel", kernel]).output().map_err(|error| {
        format!("instructions are counted by valgrind, which does not start ({error}): `apt-get install valgrind`")
    })?;
    let said = String::from_utf8_lossy(&ran.stderr);
    let collected = said.lines().find_map(|line| line.split_once("Collected : ")?.1.trim().parse().ok());
    collected.filter(|n| ran.status.success() && *n > 0).ok_or_else(|| format!("valgrind counted nothing:\n{said}"))
}

/// What is counted.
#[inline(never)]
fn measured<T>(work: &mut dyn FnMut() -> T) {
    black_box(work());
}

fn bin() {
    let mut seeded = Rng::new(1);
    let edges: Vec<f64> = (0..BINS).map(|step| 4.0 * (f64::from(step) / f64::from(BINS) - 0.5)).collect();
    let edges = Edges::new(edges).expect("rising");
    let values: Vec<f64> = (0..8 * 8_192).map(|_| number(&mut seeded)).collect();
    let mut counts = vec![0_u32; edges.n_bins()];
    measured(&mut || edges.count(&values, &mut counts));
}

fn decode() {
    let plan = plan();
    let mut decoder = decoder(&plan, 0, 0);
    let (first, second) = (events(0), events(1));
    batch(decoder.as_mut(), 0, &first);
    measured(&mut || batch(decoder.as_mut(), EVENTS, &second));
}

fn count() {
    let plan = plan();
    let events = batch(decoder(&plan, 0, 0).as_mut(), 0, &events(0));
    let mut engine = Engine::new(plan, 1);
    measured(&mut || engine.step(&events));
}

fn judge() {
    let plan = plan();
    let events = batch(decoder(&plan, 0, 0).as_mut(), 0, &events(0));
    let mut engine = Engine::new(plan, 1);
    engine.step(&events);
    let mut windows = 0;
    measured(&mut || windows = engine.progress(0, 0, EVENTS, true, true).windows.len());
    assert!(windows > 0, "a window is judged");
}

/// Takes the events of a window, which begin at an offset.
fn batch(taker: &mut dyn Decoder, from: i64, payloads: &[Vec<u8>]) -> EventBatch {
    for (offset, payload) in (from..).zip(payloads) {
        let payload = Some(payload.as_slice());
        taker.push(&Record {
            offset,
            broker_time: START + 10 * WINDOW,
            key: None,
            payload,
            headers: &[],
            topic: "cost",
        });
    }
    let decoded = taker.finish();
    assert!(decoded.rejects.is_empty(), "{:?}", decoded.rejects);
    decoded.batch
}

fn plan() -> Arc<Plan> {
    let features: Vec<String> =
        (0..FEATURES).map(|i| format!("f{i:02}: {{ path: features.f{i:02}, range: [-2, 2] }}")).collect();
    let text = format!(
        "sources:\n  predictions:\n    topic: cost\n    id: request_id\n    event_time: {{ path: at, unit: us }}\n    version: \
         version\n    status: status\n    latency: latency_ms\n    features:\n      numeric: {{ {} }}\n      categorical: \
         {{ c0: categories.c0, c1: categories.c1 }}\nrollout: {{ baseline: v1 }}\nwindows: {{ size: 5m, lateness: 0s }}\n",
        features.join(", ")
    );
    Arc::clone(&config::parse(&text, "cost", Path::new("")).expect("a pipeline").plan)
}

/// The events of a window as JSON.
fn events(window: i64) -> Vec<Vec<u8>> {
    let mut seeded = Rng::new(7 + window.unsigned_abs());
    let event = |at: i64| {
        let mut features = String::new();
        for i in 0..FEATURES {
            let number = number(&mut seeded);
            let value = if i % 6 == 5 && number > 1.0 { "null".to_owned() } else { format!("{number:.4}") };
            let _ = write!(features, "{}\"f{i:02}\":{value}", if i > 0 { "," } else { "" });
        }
        let time = START + window * WINDOW + at * WINDOW / EVENTS;
        let (id, version) = (seeded.bits(), if at % 4 == 0 { "v2" } else { "v1" });
        let (one, other) = (seeded.bits() % 8, seeded.bits() % 64);
        format!(
            r#"{{"version":"{version}","request_id":"{id:016x}","at":{time},"latency_ms":{:.3},"status":200,"features":{{{features}}},"categories":{{"c0":"cat-{one}","c1":"cat-{other}"}}}}"#,
            20.0 + 5.0 * number(&mut seeded)
        )
        .into_bytes()
    };
    (0..EVENTS).map(event).collect()
}

/// Between -2 and 2, more often near the middle.
fn number(rng: &mut Rng) -> f64 {
    rng.unit() + rng.unit() - rng.unit() - rng.unit()
}
