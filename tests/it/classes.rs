//! A class that fails alone is found and named, from files to the decision.

use std::fmt::Write as _;

use haldane::config;
use haldane::plan::Signal;

use crate::columns::replayed;
use crate::store::haldane;

const CLASSES: [&str; 8] = ["Books", "Games", "Garden", "Health", "Music", "Shoes", "Tools", "Toys"];
/// Requests of a window of ten minutes: one in four goes to the candidate.
const WINDOW: u32 = 1_600;

const PIPELINE: &str = "pipeline: shop\ntask: multiclass\nsources:\n  predictions:\n    topic: answers\n    \
     event_time: time\n    id: id\n    version: version\n    predicted_label: category\n  outcomes:\n    topic: truths\n    \
     event_time: time\n    id: id\n    label: truth\nrollout: { baseline: v1 }\nwindows: { size: 10m, lateness: 1m }\n\
     labels: { wait: 5m, horizon: 1h }\nguards: { design_effect: 1 }\n";

/// A log of so many windows: a tenth of answers is wrong, and from a window on the candidate calls three in ten garden
/// tools toys, in whatever case it writes them.
fn log(windows: u32, faulty_from: u32) -> String {
    let mut rng = crate::world::Rng::new(5);
    let mut text = String::new();
    for n in 0..windows * WINDOW {
        let (window, candidate) = (n / WINDOW, n % 4 == 0);
        let time = |after: u32| {
            let second = window * 600 + n % WINDOW * 600 / WINDOW + after;
            format!("2026-03-02T{:02}:{:02}:{:02}Z", second / 3600, second / 60 % 60, second % 60)
        };
        let truth = rng.below(8) as usize;
        let is_faulty = candidate && window >= faulty_from && truth == 6 && rng.below(10) < 3;
        let answer = match (is_faulty, rng.below(10)) {
            (true, _) => "TOYS",
            (false, 0) => CLASSES[(truth + 1 + rng.below(7) as usize) % 8],
            (false, _) => CLASSES[truth],
        };
        let version = if candidate { "v2" } else { "v1" };
        writeln!(text, r#"{{"id":"r{n}","time":"{}","version":"{version}","category":"{answer}"}}"#, time(0)).unwrap();
        writeln!(text, r#"{{"id":"r{n}","time":"{}","truth":"{}"}}"#, time(7), CLASSES[truth].to_lowercase()).unwrap();
    }
    text
}

#[test]
fn the_class_that_a_candidate_misses_is_named_with_what_it_is_taken_for() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("log.jsonl");
    std::fs::write(&file, log(20, 6)).unwrap();
    let effects = replayed(PIPELINE, &file);
    let rollback = effects.decisions.iter().find(|decision| decision.action == Signal::Rollback).expect("a rollback");
    let named: Vec<(&str, &str)> =
        rollback.evidence.iter().map(|one| (one.metric.as_str(), one.column.as_str())).take(2).collect();
    let is_named = |class| named.contains(&class);
    assert!(is_named(("recall", "tools")) && is_named(("precision", "toys")), "{}", rollback.reason.text);
    let windows = (rollback.time - effects.windows[0].window_start) / 600_000_000;
    assert!((6 + 3..6 + 8).contains(&windows), "{windows} windows from the start");
    let [recall, precision] = [&rollback.evidence[0], &rollback.evidence[1]];
    assert!(recall.estimate < recall.bound && precision.estimate < precision.bound, "{:?}", rollback.evidence);
    assert!(rollback.ledger.iter().any(|line| line.name == "classes" && line.e_value >= line.threshold));

    std::fs::write(&file, log(20, 99)).unwrap();
    let healthy = replayed(PIPELINE, &file).decisions;
    assert!(healthy.iter().all(|decision| decision.action != Signal::Rollback), "{healthy:?}");
}

/// Rows of answers and labels, in which so many of 40 tools are called toys.
fn table(missed: usize) -> String {
    let mut text = "id,predicted_label,label\n".to_owned();
    for n in 0..CLASSES.len() * 40 {
        let (class, place) = (n % CLASSES.len(), n / CLASSES.len());
        let answer = if class == 6 && place < missed { "TOYS" } else { CLASSES[class] };
        writeln!(text, "r{n},{answer},{}", CLASSES[class].to_lowercase()).unwrap();
    }
    text
}

#[test]
fn a_report_lists_classes_that_fell_and_marks_what_chance_does_not_explain() {
    let folder = tempfile::tempdir().unwrap();
    let [before, now] = ["before.csv", "now.csv"].map(|name| folder.path().join(name));
    std::fs::write(&before, table(2)).unwrap();
    std::fs::write(&now, table(22)).unwrap();
    let report = |format: &str| {
        let (before, now) = (before.to_str().unwrap(), now.to_str().unwrap());
        haldane(&["report", "--reference", before, "--current", now, "--format", format]).unwrap()
    };
    let text = report("markdown");
    let (_, classes) = text.split_once("## Classes that fell most, of 8").expect(&text);
    let rows: Vec<&str> = classes.lines().filter(|line| line.starts_with("| t")).collect();
    assert_eq!(
        rows[..2],
        [
            "| tools | 95.0 % → 45.0 % | 100 % → 100 % | recall | 40 |",
            "| toys | 100 % → 100 % | 95.2 % → 64.5 % | precision | 40 |"
        ],
        "{classes}"
    );
    let html = report("html");
    assert!(html.contains("By class: the share of its labels") && html.contains("-50.00 pp"), "no table of classes");
}

#[test]
fn only_tasks_of_several_classes_with_labels_have_this_guard() {
    let parse = |text: &str| config::parse(text, "shop.yaml", std::path::Path::new(""));
    let margin = |text: &str| parse(text).unwrap().plan.policy.guards.as_ref().and_then(|guards| guards.classes);
    assert_eq!(margin(PIPELINE), Some(1.2));
    assert_eq!(margin(&PIPELINE.replace("design_effect: 1", "classes: 50%")), Some(1.5));
    let binary = PIPELINE.replace("multiclass", "binary");
    assert_eq!(margin(&binary), None);
    let error = parse(&binary.replace("design_effect: 1", "classes: 50%")).unwrap_err().to_string();
    assert!(error.contains("`classes` compares the classes of labelled predictions, and there are none"), "{error}");
    assert!(error.contains("it needs `task: multiclass` and labels"), "{error}");
}
