//! `haldane power` and what `haldane check` says of guards: forecasts from rehearsed rollouts.

use std::fs;
use std::path::PathBuf;

use clap::Parser as _;
use haldane::error::Result;

/// Names its columns, and chooses nothing.
const COLUMNS_ONLY: &str = "
sources:
  predictions:
    topic: p
    id: id
    version: v
    event_time: t
    status: status
";
const ROLLOUT: &str = "rollout: { baseline: v1 }\n";

fn pipeline(text: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shop.yaml");
    fs::write(&path, text).unwrap();
    (folder, path)
}

fn run(command: &str, text: &str, more: &[&str]) -> Result<String> {
    let (_folder, path) = pipeline(text);
    let arguments = ["haldane", command, "-c", path.to_str().unwrap()].into_iter().chain(more.iter().copied());
    let cli = haldane::cli::Cli::try_parse_from(arguments).unwrap_or_else(|error| panic!("{error}"));
    let mut printed = Vec::new();
    haldane::cli::run(&cli, &mut printed)?;
    Ok(String::from_utf8(printed).unwrap())
}

/// The cells of the rows of the table under a title.
fn table(shown: &str, title: &str) -> Vec<Vec<String>> {
    let rows = shown.lines().skip_while(|line| !line.starts_with(title)).skip(2).take_while(|line| !line.is_empty());
    rows.map(|row| row.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).map(str::to_owned).collect())
        .collect()
}

#[test]
fn doubled_errors_are_seen_as_soon_as_simulated_elsewhere() {
    // Medians of 2,000 simulated rollouts (500 + 500 events a window, base rate 1 %): 9 windows without a margin, 15
    // with one of 1.2; with 9,500 events of the baseline and no margin 6.
    for (margin, baseline, expected) in [("1", "500", 9), ("1.2", "500", 15), ("1", "9500", 6)] {
        let text = format!("{COLUMNS_ONLY}{ROLLOUT}guards: {{ errors: {margin} }}\n");
        let load = ["--candidate", "500", "--baseline", baseline, "--effect", "2x", "--design-effect", "1"];
        let shown = run("power", &text, &load).unwrap();
        let row = &table(&shown, "errors")[0];
        assert_eq!((row[1].replace(',', ""), row[2].as_str()), (format!("500 + {baseline}"), "2x"), "{shown}");
        let windows: i32 = row[6].parse().unwrap_or_else(|_| panic!("{shown}"));
        assert!((windows - expected).abs() <= 2, "{windows} windows instead of {expected}\n{shown}");
        assert_eq!(row[7].replace(',', ""), (windows * 500).to_string(), "{shown}");
        assert_eq!(row[8], "100 %", "{shown}");
    }
}

#[test]
fn more_traffic_and_larger_effects_are_seen_sooner() {
    let text = format!("{COLUMNS_ONLY}    latency: latency_ms\n{ROLLOUT}");
    let effects = ["--latency", "+20%", "--latency", "+50%", "--windows", "60"];
    let shown =
        run("power", &text, &[&["--rate", "4000", "--share", "5%", "--share", "50%"][..], &effects[..]].concat());
    let shown = shown.unwrap();
    let windows: Vec<i32> = table(&shown, "latency").iter().map(|row| row[6].parse().unwrap_or(1000)).collect();
    assert_eq!(windows.len(), 4, "{shown}");
    assert!(windows[0] >= windows[1] && windows[2] >= windows[3], "larger effects: {shown}");
    assert!(windows[0] > windows[2] && windows[1] >= windows[3] && windows[3] <= 5, "more traffic: {shown}");
    assert!(shown.contains("nothing below") || shown.contains("or more"), "{shown}");
}

#[test]
fn what_the_guards_cannot_see_is_said() {
    let shown = run("power", &format!("{COLUMNS_ONLY}{ROLLOUT}"), &["--rate", "1000", "--windows", "20"]).unwrap();
    assert!(shown.contains("latency: no source carries it") && shown.contains("features: no source"), "{shown}");
    let unguarded = run("power", COLUMNS_ONLY, &["--rate", "1000"]).unwrap_err();
    assert_eq!(unguarded.to_string(), "nothing guards a rollout in this pipeline");
    let alone = run("power", &format!("{COLUMNS_ONLY}{ROLLOUT}"), &["--rate", "100", "--share", "100%"]).unwrap_err();
    assert_eq!(alone.to_string(), "a version without events cannot be compared");
}

#[test]
fn a_pipeline_that_chooses_nothing_is_guarded_and_says_how() {
    let whole = "    latency: latency_ms\n    score: s\n  outcomes: { topic: o, id: id, label: y }\n";
    let shown =
        run("check", &format!("{COLUMNS_ONLY}{whole}{ROLLOUT}"), &["--rate", "2000", "--share", "50%"]).unwrap();
    for line in [
        "roll back when, compared with v1, it fails more than 1.2 times as often and in more than 0.1 % of answers, or it is \
         slower by more than 10 % at its median, 90th or 99th percentile, or its Brier score is larger by more than 5 %, \
         once labels are in",
        "contain to 5 % when anything else that can be tested has changed, and hold at a tenth of that evidence: errors, \
         latency, answers (beyond a PSI of 0.1), calibration",
        "1 % chance that a candidate within its margins is ever rolled back, however often it is looked at",
        "5 % chance that one which is worse than a margin passes",
        "3 windows at least must speak before evidence acts",
        "decisions of rollout shop are advice: nobody carries them out by itself",
        "drift since training, and of all versions together: there is no `reference`",
        "how alike requests of one user are: no source has `entity`; a design effect of 3 is assumed",
        "with 1,000 answers of the candidate and 1,000 of the baseline a window:",
    ] {
        assert!(shown.lines().any(|shown| shown.trim() == line), "{line}\n--- in\n{shown}");
    }
    assert!(!shown.contains("there are no labels"), "{shown}");
    let doubled = shown.lines().find(|line| line.contains("errors double from 1 %: contained after ")).expect(&shown);
    assert!(doubled.contains(", rolled back after ") && doubled.contains(" min)"), "{doubled}");
}

#[test]
fn what_is_not_there_cannot_be_tested_and_check_says_so() {
    let shown = run("check", &format!("{COLUMNS_ONLY}{ROLLOUT}guards: off\n"), &[]).unwrap();
    assert!(shown.contains("any difference between versions, with a guarantee: `guards: off`"), "{shown}");
    let shown = run("check", COLUMNS_ONLY, &[]).unwrap();
    assert!(
        shown.contains("any difference between versions, with a guarantee: no `rollout` names a version"),
        "{shown}"
    );
    let limited = format!("{COLUMNS_ONLY}{ROLLOUT}guards: {{ slo: {{ error_rate: 2%, latency: 250ms }} }}\n");
    let shown = run("check", &limited, &["--rate", "200"]).unwrap();
    for line in [
        "roll back at once when more than 2 % of its answers fail, whatever others do",
        "roll back at once when more than 1 % of its answers take longer than 250 ms, whatever others do",
        "0.1 % chance per limit that one which keeps it is rolled back for it",
        "calibration and loss: there are no labels",
    ] {
        assert!(shown.lines().any(|shown| shown.trim() == line), "{line}\n--- in\n{shown}");
    }
}
