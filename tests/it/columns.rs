//! Columns as files have them: sentinels, infinities, thousands of categories, classes in any case. Every number is
//! right, or absent with the reason.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, ListArray, RecordBatch};
use arrow::datatypes::Float64Type;
use haldane::config;
use haldane::engine::{Effects, Engine};
use haldane::metric::row::WindowRow;
use haldane::replay::{self, ReplayOptions, ReplayStep};
use haldane::report::model::{ColumnReport, Comparison, Stand};
use haldane::report::{self, CompareRequest, json, markdown, page};
use parquet::arrow::ArrowWriter;

use crate::report::{compared, lines};
use crate::store::haldane;

fn column<'a>(comparison: &'a Comparison, name: &str) -> &'a ColumnReport {
    let found = comparison.columns.iter().find(|column| column.column == name);
    found.unwrap_or_else(|| panic!("no column `{name}`: {:?}", comparison.untested))
}

fn figure(comparison: &Comparison, metric: &str) -> Option<f64> {
    let quality = comparison.quality.as_ref().expect("labels");
    quality.figures.iter().find(|figure| figure.metric == metric).and_then(|figure| figure.value)
}

/// What a replay of one file through a pipeline gives.
pub fn replayed(pipeline: &str, file: &Path) -> Effects {
    let pipeline =
        config::parse(pipeline, "test.yaml", file.parent().unwrap()).unwrap_or_else(|error| panic!("{error}"));
    let log = replay::open(&pipeline.plan, &[file.to_owned()], &ReplayOptions::default()).unwrap();
    let mut engine = Engine::new(Arc::clone(&pipeline.plan), log.lanes());
    let mut effects = Effects::default();
    for step in log {
        match step.unwrap() {
            ReplayStep::Batch(batch) => effects.extend(engine.step(&batch)),
            ReplayStep::Refused(some) => panic!("{some:?}"),
            ReplayStep::End { source, lane, next_offset } => {
                effects.extend(engine.progress(lane, source, next_offset, true, true));
            }
        }
    }
    effects
}

fn row<'a>(effects: &'a Effects, metric: &str, column: &str) -> &'a WindowRow {
    let is_it = |row: &&WindowRow| row.metric == metric && row.column == column && row.version == "v1";
    effects.windows.iter().find(is_it).unwrap_or_else(|| panic!("no {metric} of {column}"))
}

fn written(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path
}

#[test]
fn values_that_stand_apart_are_named_in_every_form_of_a_report() {
    let reference = lines("x,z", |x| format!("{x},{x}"));
    let current = lines("x,z", |x| {
        let x_now = if x % 20 == 0 { "-99999".to_owned() } else { x.to_string() };
        format!("{x_now},{}", if x == 7 { "1e300".to_owned() } else { x.to_string() })
    });
    let comparison = compared(&reference, &current, "csv", &[]);
    let notes = |name: &str| column(&comparison, name).current.notes.join("; ");
    assert!(notes("x").contains("far from the rest: down to -99999"), "{}", notes("x"));
    assert!(
        notes("z").contains("mean and standard deviation are not known: ") && notes("z").contains("too far"),
        "{}",
        notes("z")
    );
    assert_eq!((column(&comparison, "z").current.mean, column(&comparison, "z").current.std_dev), (None, None));
    assert_eq!(column(&comparison, "x").reference.notes, [""; 0]);
    let drawn = &column(&comparison, "x").distribution;
    let ends = drawn.edges.first().zip(drawn.edges.last()).expect("a drawing");
    assert!(*ends.0 >= -1.0 && *ends.1 <= 101.0 && drawn.beyond.1 > 0.05, "{drawn:?}");
    let report = report::report(Some(comparison), None);
    for text in [json(&report), markdown(&report), page(&report)] {
        assert!(text.contains("far from the rest") && text.contains("are not known"), "{text}");
    }
}

#[test]
fn a_distance_beyond_the_tolerance_is_never_within() {
    // A third of a standard deviation: the index is below 0.1, the distance above it.
    let normal = |n: u32, shift: f64| {
        let value = |i: u32| haldane::infer::normal::normal_quantile((f64::from(i) + 0.5) / f64::from(n)) + shift;
        (0..n).fold("x".to_owned(), |text, i| format!("{text}\n{}", value(i))) + "\n"
    };
    for (n, shift, expected) in
        [(40_000, 0.31, Stand::Drifted), (400, 0.31, Stand::Unclear), (40_000, 0.2, Stand::Within)]
    {
        let comparison = compared(&normal(n, 0.0), &normal(n, shift), "csv", &[]);
        let column = column(&comparison, "x");
        assert_eq!((column.verdict, column.drifted), (expected, expected == Stand::Drifted), "{n} {shift}");
        assert!(column.psi.debiased < 0.1 && column.psi.low <= column.psi.value && column.psi.value <= column.psi.high);
        let said = report::report(Some(comparison), None).verdict;
        let words = said.sentences.join(" ");
        assert_eq!(words.contains("Moved most: x (KS 0.12"), expected == Stand::Drifted, "{words}");
        assert_eq!(words.contains("Unclear"), expected == Stand::Unclear, "{words}");
    }
}

#[test]
fn a_constant_that_starts_to_vary_is_drift_however_small_the_other_side() {
    let constant = "x\n".to_owned() + &"7\n".repeat(10_000);
    let vary = (0..40).fold("x".to_owned(), |text, i| format!("{text}\n{}", if i % 4 == 0 { i } else { 7 })) + "\n";
    let comparison = compared(&constant, &vary, "csv", &[]);
    assert!(column(&comparison, "x").drifted, "{:?}", column(&comparison, "x").psi);
}

#[test]
fn infinite_numbers_of_windows_are_counted_apart() {
    let folder = tempfile::tempdir().unwrap();
    let line = |i: u32| {
        let x = if i.is_multiple_of(10) { "Infinity".to_owned() } else { (i % 10).to_string() };
        format!("{{\"time\": \"2024-05-01T00:{:02}:{:02}Z\", \"x\": {x}}}\n", i / 60, i % 60)
    };
    let file = written(folder.path(), "log.jsonl", &(0..3_000).map(line).collect::<String>());
    let pipeline = "pipeline: p\nsources:\n  features:\n    topic: t\n    event_time: time\n    version: { constant: v1 }\n    features:\n      numeric: { x: { path: x, range: [0, 10] } }\nwindows: { size: 10m, lateness: 10s }\nrollout: { baseline: v1 }\n";
    let effects = replayed(pipeline, &file);
    assert_eq!(row(&effects, "nan_rate", "x").value, Some(0.1));
    let mean = row(&effects, "mean", "x").value.unwrap();
    assert!((mean - 5.0).abs() < 1e-9, "{mean}");
    assert_eq!((row(&effects, "max", "x").value, row(&effects, "min", "x").value), (Some(9.0), Some(1.0)));
}

/// Names of which the last tenth are new in the current file.
fn many(n: u32, from: u32) -> String {
    (from..from + n).fold("merchant".to_owned(), |text, i| format!("{text}\nm{i}\nm{i}")) + "\n"
}

#[test]
fn unseen_means_not_in_the_reference_however_many_categories_there_are() {
    let n = 70_000;
    let comparison = compared(&many(n, 0), &many(n, n / 10), "csv", &[]);
    let unseen = comparison.problems.iter().find(|problem| problem.what == "unseen").unwrap();
    assert!((unseen.current.unwrap() - 0.1).abs() < 1e-4, "{unseen:?}");
    let comparison = compared(&many(n, 0), &many(n, 0), "csv", &[]);
    assert!(comparison.problems.is_empty(), "{:?}", comparison.problems);
}

#[test]
fn unseen_means_the_same_live() {
    let folder = tempfile::tempdir().unwrap();
    let n = 20_000;
    let file = |name: &str, from: u32| {
        let time = |i: u32| format!("2024-05-01T{:02}:{:02}:{:02}Z", i / 3_600, i / 60 % 60, i % 60);
        let lines = (0..n).map(|i| format!("{{\"time\": \"{}\", \"m\": \"m{}\"}}\n", time(i), i + from));
        written(folder.path(), name, &lines.collect::<Vec<_>>().concat())
    };
    let (reference, current) = (file("reference.jsonl", 0), file("current.jsonl", n / 10));
    let pipeline = |more: &str| {
        format!(
            "pipeline: p\nsources:\n  features:\n    topic: t\n    event_time: time\n    version: {{ constant: v1 }}\n    features: {{ categorical: {{ m: m }} }}\nwindows: {{ size: 6h, lateness: 10s }}\nrollout: {{ baseline: v1 }}\n{more}"
        )
    };
    let first = written(folder.path(), "first.yaml", &pipeline(""));
    let profile = folder.path().join("reference.json");
    let [first, profile, reference] = [&first, &profile, &reference].map(|path| path.to_str().unwrap());
    let said = haldane(&["baseline", "build", "-c", first, reference, "-o", profile]).unwrap();
    assert!(said.contains("20000"), "{said}");
    let effects = replayed(&pipeline("reference: reference.json\n"), &current);
    let unseen = row(&effects, "unseen_rate", "m").value.unwrap();
    assert!((unseen - 0.1).abs() < 1e-4, "{unseen}");
}

#[test]
fn classes_are_compared_in_any_case_and_without_scores() {
    let file = |score: bool| {
        let head = if score { "score,predicted_label,label" } else { "predicted_label,label" };
        lines(head, |x| {
            let (predicted, label) =
                (["Cat", "Dog", "Cow"][x as usize % 3], ["cat", "dog", "cow"][(x / 7) as usize % 3]);
            if score { format!("{},{predicted},{label}", f64::from(x) / 101.0) } else { format!("{predicted},{label}") }
        })
    };
    let right = f64::from((0..500).filter(|at| (at * 37 % 101) % 3 == (at * 37 % 101) / 7 % 3).count() as u32) / 500.0;
    for score in [true, false] {
        let comparison = compared(&file(score), &file(score), "csv", &[]);
        assert_eq!(figure(&comparison, "accuracy"), Some(right));
        assert_eq!(figure(&comparison, "brier").is_some(), score);
        assert!(comparison.problems.is_empty(), "{:?}", comparison.problems);
    }
    let binary = lines("predicted_label,label", |x| format!("{},{}", u32::from(x > 40), u32::from(x > 50)));
    let comparison = compared(&binary, &binary, "csv", &[]);
    assert!(figure(&comparison, "recall") == Some(1.0) && figure(&comparison, "auc").is_none());
}

#[test]
fn a_pipeline_of_classes_alone_knows_its_accuracy() {
    let folder = tempfile::tempdir().unwrap();
    let line = |i: u32| {
        let (predicted, label) = (["Cat", "Dog"][i as usize % 2], ["cat", "dog"][(i / 3) as usize % 2]);
        format!("p{i},2024-05-01T{:02}:{:02}:00Z,{predicted},{label}\n", i / 60, i % 60)
    };
    let text = (0..1_200).map(line).fold("id,time,predicted_label,label\n".to_owned(), |text, line| text + &line);
    let file = written(folder.path(), "log.csv", &text);
    let effects = replayed(
        "pipeline: p\ntask: multiclass\nsources:\n  predictions:\n    topic: t\n    event_time: time\n    id: id\n    version: { constant: v1 }\n    predicted_label: predicted_label\n    label: label\nwindows: { size: 10m, lateness: 10s }\nrollout: { baseline: v1 }\nlabels: {}\n",
        &file,
    );
    let accuracy: Vec<f64> =
        effects.windows.iter().filter(|row| row.metric == "accuracy").filter_map(|row| row.value).collect();
    assert!(!accuracy.is_empty() && accuracy.iter().all(|share| (0.59..=0.71).contains(share)), "{accuracy:?}");
    assert!(effects.windows.iter().all(|row| row.metric != "brier" && row.metric != "ece"));
}

/// Probabilities of the classes 0, 1 and 2 in a row, and its label.
fn shares(row: u32) -> ([f64; 3], usize) {
    let mut shares = [0.1, 0.2, 0.7];
    shares.rotate_left(row as usize % 3);
    (shares, (row / 2) as usize % 3)
}

/// A list of probabilities in Parquet.
fn listed(path: &Path) {
    let rows: Vec<([f64; 3], usize)> = (0..500).map(|at| shares(at * 37 % 101)).collect();
    let lists = rows.iter().map(|(shares, _)| Some(shares.map(Some)));
    let columns: [(&str, ArrayRef); 2] = [
        ("probabilities", Arc::new(ListArray::from_iter_primitive::<Float64Type, _, _>(lists))),
        ("label", Arc::new(rows.iter().map(|(_, label)| Some(*label as i64)).collect::<Int64Array>())),
    ];
    let table = RecordBatch::try_from_iter(columns).unwrap();
    let mut writer = ArrowWriter::try_new(std::fs::File::create(path).unwrap(), table.schema(), None).unwrap();
    writer.write(&table).unwrap();
    writer.close().unwrap();
}

/// Makes the line of a row out of its number, its probabilities, its label and its time.
type Line<'a> = &'a dyn Fn(u32, [f64; 3], usize, &str) -> String;

/// The same probabilities at one time each, in every way that models log them, and where a pipeline finds them.
fn logged(folder: &Path) -> [(PathBuf, &'static str); 5] {
    let text = |head: &str, line: Line<'_>| {
        let line = |at: u32| {
            let (shares, label) = shares(at * 37 % 101);
            line(at, shares, label, &format!("2024-05-01T{:02}:{:02}:00Z", at / 60, at % 60))
        };
        (0..1_200).map(line).fold(head.to_owned(), |text, line| text + &line)
    };
    let each = text("id,time,p_0,p_1,p_2,label\n", &|at, [a, b, c], label, time| {
        format!("i{at},{time},{a},{b},{c},{label}\n")
    });
    let fields = text("", &|at, [a, b, c], label, time| {
        format!(
            "{{\"id\": \"i{at}\", \"time\": \"{time}\", \"p_0\": {a}, \"p_1\": {b}, \"p_2\": {c}, \"label\": {label}}}\n"
        )
    });
    let object = text("", &|at, [a, b, c], label, time| {
        let scores = format!("{{\"0\": {a}, \"1\": {b}, \"2\": {c}}}");
        format!("{{\"id\": \"i{at}\", \"time\": \"{time}\", \"scores\": {scores}, \"label\": \"{label}.0\"}}\n")
    });
    let list = text("", &|at, shares, label, time| {
        format!("{{\"id\": \"i{at}\", \"time\": \"{time}\", \"scores\": {shares:?}, \"label\": {label}}}\n")
    });
    let spelled =
        text("id,time,scores,label\n", &|at, [a, b, c], label, time| format!("i{at},{time},[{a} {b} {c}],{label}\n"));
    let fields_of = "{ 0: p_0, 1: p_1, 2: p_2 }";
    [
        (written(folder, "each.csv", &each), fields_of),
        (written(folder, "fields.jsonl", &fields), fields_of),
        (written(folder, "object.jsonl", &object), "scores"),
        (written(folder, "list.jsonl", &list), "scores"),
        (written(folder, "spelled.csv", &spelled), "scores"),
    ]
}

#[test]
fn probabilities_of_all_classes_count_in_pipelines_as_in_reports() {
    let folder = tempfile::tempdir().unwrap();
    let rows = || (0..1_200).map(|at| shares(at * 37 % 101));
    let right = rows().filter(|(shares, label)| shares[*label] > 0.5).count() as f64 / 1_200.0;
    for (file, scores) in logged(folder.path()) {
        let pipeline = |scores: &str| {
            format!(
                "pipeline: p\ntask: multiclass\nsources:\n  predictions:\n    topic: t\n    event_time: time\n    id: id\n    version: {{ constant: v1 }}\n    class_scores: {scores}\n    label: label\nwindows: {{ size: 1d, lateness: 10s }}\nrollout: {{ baseline: v1 }}\nlabels: {{}}\n"
            )
        };
        let effects = replayed(&pipeline(scores), &file);
        let number = |metric: &str| {
            let of_all = effects.windows.iter().filter(|row| row.metric == metric && row.version == "v1");
            of_all.filter_map(|row| row.value).next_back().unwrap_or_else(|| panic!("{metric} of {}", file.display()))
        };
        assert!((number("accuracy") - right).abs() < 1e-12, "{}", file.display());
        assert!((number("ece") - (0.7 - right).abs()).abs() < 1e-9, "{}", file.display());
        // The largest probability says nothing of the true class's where the answer is wrong.
        assert!(effects.windows.iter().all(|row| row.metric != "log_loss"), "{}", file.display());
        if file.ends_with("spelled.csv") {
            continue;
        }
        let draft = haldane::init::draft(std::slice::from_ref(&file)).unwrap().text;
        assert!(draft.contains("    class_scores:") && draft.contains("task: multiclass"), "{draft}");
        let effects = replayed(&draft, &file);
        assert!(effects.windows.iter().any(|row| row.metric == "accuracy" && row.value.is_some()), "{draft}");
        let request =
            CompareRequest { reference: vec![file.clone()], current: vec![file.clone()], ..CompareRequest::default() };
        let comparison = report::compare(&request, None).unwrap();
        assert_eq!(figure(&comparison, "accuracy"), Some(right), "{}", file.display());
    }
}

#[test]
fn probabilities_of_all_classes_give_accuracy_log_loss_and_calibration() {
    let folder = tempfile::tempdir().unwrap();
    let each = lines("prob_0,prob_1,prob_2,label", |x| {
        let ([a, b, c], label) = shares(x);
        format!("{a},{b},{c},{label}")
    });
    let nested: String = (0..500).map(|at| at * 37 % 101).fold(String::new(), |text, x| {
        let ([a, b, c], label) = shares(x);
        format!("{text}{{\"scores\": {{\"0\": {a}, \"1\": {b}, \"2\": {c}}}, \"label\": {label}}}\n")
    });
    let list = folder.path().join("list.parquet");
    listed(&list);
    let request = CompareRequest { reference: vec![list.clone()], current: vec![list], ..CompareRequest::default() };
    let rows: Vec<([f64; 3], usize)> = (0..500).map(|at| shares(at * 37 % 101)).collect();
    let log_loss = rows.iter().map(|(shares, label)| -shares[*label].ln()).sum::<f64>() / 500.0;
    let right = rows.iter().filter(|(shares, label)| shares[*label] > 0.5).count();
    let accuracy = f64::from(u32::try_from(right).unwrap()) / 500.0;
    for comparison in [
        compared(&each, &each, "csv", &[]),
        compared(&nested, &nested, "jsonl", &[]),
        report::compare(&request, None).unwrap(),
    ] {
        assert_eq!(figure(&comparison, "accuracy"), Some(accuracy));
        assert!((figure(&comparison, "log_loss").unwrap() - log_loss).abs() < 1e-9);
        assert!((figure(&comparison, "ece").unwrap() - (0.7 - accuracy).abs()).abs() < 1e-9);
    }
}

/// Cases of `scikit-learn`; the file says the call.
fn of_sklearn() -> Vec<serde_json::Value> {
    let file: serde_json::Value =
        serde_json::from_str(include_str!("../data/reference/log_loss.json")).expect("the file is well formed");
    file["cases"].as_array().expect("cases").clone()
}

#[test]
fn log_loss_of_several_classes_is_that_of_scikit_learn_or_is_not_there() {
    for case in of_sklearn() {
        let text = |value: &serde_json::Value| value.as_str().expect("a class").to_owned();
        let classes: Vec<String> = case["classes"].as_array().unwrap().iter().map(text).collect();
        let row = |(shares, label): (&serde_json::Value, &serde_json::Value)| {
            let shares: Vec<f64> = shares.as_array().unwrap().iter().filter_map(serde_json::Value::as_f64).collect();
            (shares, text(label))
        };
        let pairs = case["probabilities"].as_array().unwrap().iter().zip(case["label"].as_array().unwrap());
        let rows: Vec<(Vec<f64>, String)> = pairs.map(row).collect();
        let line = |all: bool| {
            move |(shares, label): &(Vec<f64>, String)| {
                let top = (0..shares.len()).max_by(|&a, &b| shares[a].total_cmp(&shares[b])).unwrap();
                let shares =
                    if all { shares.iter().map(f64::to_string).collect() } else { vec![shares[top].to_string()] };
                (shares.join(","), top, label.clone())
            }
        };
        let known = |(shares, _, label): (String, usize, String)| format!("{shares},{label}\n");
        let top = |(share, top, label): (String, usize, String)| format!("{share},{},{label}\n", classes[top]);
        let heads: Vec<String> = classes.iter().map(|class| format!("prob_{class}")).collect();
        let all = rows.iter().map(line(true)).map(known).fold(heads.join(",") + ",label\n", |text, line| text + &line);
        let alone = rows.iter().map(line(false)).map(top);
        let alone = alone.fold("score,predicted_label,label\n".to_owned(), |text, line| text + &line);
        let all = compared(&all, &all, "csv", &[]);
        let expected = case["log_loss"].as_f64().unwrap();
        assert!((figure(&all, "log_loss").unwrap() - expected).abs() < 1e-12, "{:?}", figure(&all, "log_loss"));
        let alone = compared(&alone, &alone, "csv", &[]);
        assert_eq!(alone.quality.as_ref().map(|quality| quality.task.as_str()), Some("multiclass"));
        assert_eq!(figure(&alone, "accuracy"), figure(&all, "accuracy"));
        assert_eq!(figure(&alone, "log_loss"), None);
        assert!(alone.trust.iter().any(|note| note.starts_with("log loss is left out")), "{:?}", alone.trust);
    }
}
