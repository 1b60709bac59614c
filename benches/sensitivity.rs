//! What becomes of size, power and delay when a constant of the statistics is half as large, or half as large again.
//!
//! `cargo bench --bench sensitivity -- [--only PART_OF_A_NAME] [--streams N] [--kinds a,b]`: every constant of
//! `src/infer` and `src/core/verdict` that was chosen or simulated, not derived, is changed in a copy of the sources
//! under `target`, built, and held against the worlds of the bench `detection`. All of them are a matter of hours.
//!
//! As a test it changes the sources in memory only.

#[path = "common/arguments.rs"]
mod arguments;
#[path = "common/constants.rs"]
mod constants;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use arguments::{is_measuring, option};
use constants::{Constant, constants};

/// What a constant is multiplied by.
const FACTORS: [f64; 2] = [0.5, 1.5];
/// What a copy consists of.
const PARTS: [&str; 7] = ["Cargo.toml", "Cargo.lock", ".cargo", "src", "benches", "schemas", "pipelines"];

fn main() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let only: String = option("--only").unwrap_or_default();
    let chosen: Vec<(PathBuf, Constant)> = ["src/infer", "src/core/verdict"]
        .into_iter()
        .flat_map(|under| declared(root, Path::new(under)))
        .filter(|(_, constant)| constant.name.contains(&only))
        .filter(|(_, constant)| ["choice", "simulation"].iter().any(|one| constant.origin.starts_with(one)))
        .collect();
    if !is_measuring() {
        assert!(chosen.len() > 50, "{} constants can be moved", chosen.len());
        chosen.iter().for_each(|(path, constant)| drop(changes(root, path, constant)));
        return;
    }
    let copy = root.join("target/sensitivity");
    PARTS.iter().for_each(|part| copied(&root.join(part), &copy.join(part)));
    println!("{:<60} {:>8} {:>9} {:>6} {:>11}", "constant", "FA/1000", "found", "delay", "wrong blame");
    println!("{:<60} {}", "as they are", measured(&copy));
    for (path, constant) in chosen {
        let before = fs::read_to_string(root.join(&path)).expect("a source");
        for (line, text) in changes(root, &path, &constant) {
            fs::write(copy.join(&path), text).expect("a copy");
            println!("{:<60} {}", format!("{}: {line}", path.display()), measured(&copy));
        }
        fs::write(copy.join(&path), before).expect("a copy");
    }
}

/// The constants of the sources below a folder.
fn declared(root: &Path, under: &Path) -> Vec<(PathBuf, Constant)> {
    let mut entries: Vec<PathBuf> = fs::read_dir(root.join(under))
        .expect("a folder")
        .map(|entry| under.join(entry.expect("an entry").file_name()))
        .filter(|path| !path.ends_with("tests") && !path.ends_with("tests.rs"))
        .collect();
    entries.sort();
    let of_entry = |path: PathBuf| {
        if root.join(&path).is_dir() {
            return declared(root, &path);
        }
        let text = fs::read_to_string(root.join(&path)).expect("a source");
        constants(&text).into_iter().map(|constant| (path.clone(), constant)).collect()
    };
    entries.into_iter().flat_map(of_entry).collect()
}

/// The source with the constant changed, each way that makes a difference: the line as it is then, and the whole.
fn changes(root: &Path, path: &Path, constant: &Constant) -> Vec<(String, String)> {
    let text = fs::read_to_string(root.join(path)).expect("a source");
    let line = text.lines().nth(constant.line).expect("a line");
    let changed: Vec<(String, String)> = FACTORS
        .iter()
        .map(|&factor| scaled(line, factor, constant.is_count))
        .filter(|changed| changed != line)
        .map(|changed| {
            let lines =
                text.lines().enumerate().map(|(at, line)| if at == constant.line { changed.as_str() } else { line });
            let whole = lines.collect::<Vec<&str>>().join("\n") + "\n";
            (changed.split_once("const ").map_or("", |(_, rest)| rest).to_owned(), whole)
        })
        .collect();
    assert!(!changed.is_empty(), "{}: {line} cannot be moved", path.display());
    changed
}

/// A declaration with every number after the `=` multiplied; whole numbers stay whole, and at least 1.
fn scaled(line: &str, factor: f64, is_count: bool) -> String {
    let Some((declared, value)) = line.split_once(" = ") else { return line.to_owned() };
    let number = |word: &str| {
        let digits = word.trim_matches(|c: char| !c.is_ascii_digit() && c != '-');
        match digits.replace('_', "").parse::<f64>() {
            Ok(value) if is_count => word.replace(digits, &format!("{}", (value * factor).round().max(1.0))),
            Ok(value) => word.replace(digits, &format!("{:?}", value * factor)),
            Err(_) => word.to_owned(),
        }
    };
    format!("{declared} = {}", value.split(' ').map(number).collect::<Vec<_>>().join(" "))
}

fn copied(from: &Path, to: &Path) {
    if from.is_file() {
        fs::create_dir_all(to.parent().expect("a parent")).expect("a folder");
        // What is the same keeps its time, so that it is not built again.
        if fs::read(to).ok() != fs::read(from).ok() {
            fs::copy(from, to).expect("a copy");
        }
        return;
    }
    for entry in fs::read_dir(from).expect("a folder") {
        let name = entry.expect("an entry").file_name();
        copied(&from.join(&name), &to.join(&name));
    }
}

/// What the bench `detection` says of the sources in `copy`.
fn measured(copy: &Path) -> String {
    let mut command = Command::new("cargo");
    command.args(["bench", "--quiet", "--bench", "detection", "--target-dir", "build", "--"]).current_dir(copy);
    command.env_remove("CARGO_TARGET_DIR").args(["--streams", &option("--streams").unwrap_or("1".to_owned())]);
    if let Some(kinds) = option::<String>("--kinds") {
        command.args(["--kinds", &kinds]);
    }
    let output = command.output().expect("cargo starts");
    let said = String::from_utf8_lossy(&output.stdout);
    let of = |name: &str, column: usize| {
        let line = said.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|rest| rest.split_whitespace().nth(column)).unwrap_or("-").to_owned()
    };
    if !output.status.success() {
        let complaint = String::from_utf8_lossy(&output.stderr);
        return format!("fails: {}", complaint.lines().find(|line| line.contains("panicked")).unwrap_or("no build"));
    }
    let false_alarms = of("all healthy (aa*)", 2);
    format!("{false_alarms:>8} {:>9} {:>6} {:>11}", of("all ", 3), of("all ", 4), of("all ", 5))
}
