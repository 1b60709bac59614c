//! Detection over a folder of streams: from files to scores, whatever the order of rows and the number of passes.

use std::fs;
use std::path::Path;

use arrow::array::{ArrayRef, RecordBatch, UInt32Array};
use arrow::compute;
use arrow::datatypes::{DataType, TimeUnit};
use arrow::util::display::array_value_to_string;
use haldane::cli::{self, Cli};
use haldane::detect::{Alarm, DetectionScores, Label, LabelledStream, Recipe, StreamColumns};
use haldane::event::EventKind;
use haldane::sim::{self, SimulatedRollout, Size};
use parquet::arrow::ArrowWriter;

use clap::Parser as _;

const SIZE: Size = Size { burn_windows: 4, test_windows: 10, baseline_rate: 60, candidate_rate: 40 };

/// A rule that sees a flood of missing values and nothing else.
const POLICY: &str = "policy:\n  - { name: holes, metric: missing_rate, against: difference, above: 0.5, min_n: 30, action: rollback }\n";

fn worlds() -> Vec<SimulatedRollout> {
    let names = ["null_flood_90pct", "aa", "both_missing_20pct", "blip_error_30pct"];
    names.iter().map(|name| SimulatedRollout::new(sim::kind(name).unwrap(), 7, SIZE)).collect()
}

fn write_table(path: &Path, table: &RecordBatch) {
    let mut writer = ArrowWriter::try_new(fs::File::create(path).unwrap(), table.schema(), None).unwrap();
    writer.write(table).unwrap();
    writer.close().unwrap();
}

/// All worlds' tables in one, one stream after the other or mixed by time of arrival.
fn together(tables: &[RecordBatch], mixed: bool) -> RecordBatch {
    let table = compute::concat_batches(&tables[0].schema(), tables).unwrap();
    if !mixed {
        return table;
    }
    let order: UInt32Array =
        compute::sort_to_indices(table.column_by_name("ingest_time").unwrap(), None, None).unwrap();
    let columns = table.columns().iter().map(|column| compute::take(column, &order, None).unwrap()).collect();
    RecordBatch::try_new(table.schema(), columns).unwrap()
}

fn write_folder(dir: &Path, worlds: &[SimulatedRollout], mixed: bool) {
    let (predictions, outcomes): (Vec<_>, Vec<_>) = worlds.iter().map(SimulatedRollout::tables).unzip();
    write_table(&dir.join("predictions.parquet"), &together(&predictions, mixed));
    write_table(&dir.join("outcomes.parquet"), &together(&outcomes, mixed));
    let labels: Vec<Label> = worlds.iter().map(Label::of).collect();
    fs::write(dir.join("labels.json"), serde_json::to_string(&labels).unwrap()).unwrap();
    // The made pipeline, with a rule so that there is something to see whatever the defaults are.
    let layout = StreamColumns::of(&predictions[0].schema(), Some(&outcomes[0].schema())).unwrap();
    let ranges = ["x1", "x2", "x3"].map(|name| format!("{name}: {{ path: {name}, range: [-5, 15] }}")).join(", ");
    let text = layout.pipeline("v1", "1h").replace("reference: learned\n", "");
    let text = text.replace(r#"numeric: ["x1", "x2", "x3"]"#, &format!("numeric: {{ {ranges} }}"));
    fs::write(dir.join("pipeline.yaml"), text + POLICY).unwrap();
}

/// Runs the command; its output, or its error with the hint.
fn detect(dir: &Path, arguments: &[&str]) -> Result<String, String> {
    let dir = dir.to_str().unwrap();
    let cli = Cli::try_parse_from([&["haldane", "detect", dir, "--quiet"], arguments].concat()).unwrap();
    let mut out = Vec::new();
    match cli::run(&cli, &mut out) {
        Ok(()) => Ok(String::from_utf8(out).unwrap()),
        Err(error) => Err(format!("{error}; {}", error.advice().unwrap_or_default())),
    }
}

#[test]
fn what_changed_is_found_and_scored() {
    let dir = tempfile::tempdir().unwrap();
    let worlds = worlds();
    write_folder(dir.path(), &worlds, false);
    let (config, alarms) = (dir.path().join("pipeline.yaml"), dir.path().join("alarms.csv"));
    let arguments = ["--config", config.to_str().unwrap(), "--alarms", alarms.to_str().unwrap()];
    let text = detect(dir.path(), &arguments).unwrap();
    let change_end = worlds[0].change_time().unwrap() + 3_600_000_000;
    let csv = fs::read_to_string(&alarms).unwrap();
    let row = format!("null_flood_90pct-7,{change_end},v2,rollback,DATA_QUALITY\n");
    assert!(csv.starts_with("stream,time,scope,action,reason\n") && csv.contains(&row), "{csv}");
    let line = |kind: &str| text.lines().find(|line| line.starts_with(kind)).unwrap().split_whitespace().collect();
    let found: Vec<&str> = line("null_flood_90pct");
    assert_eq!(found[4..6], ["1/1", "0.0"], "{text}");
    let world: Vec<&str> = line("both_missing");
    assert_eq!(world[6], "0/1", "{text}");
    let healthy: Vec<&str> = line("aa");
    assert_eq!(healthy[1..4], ["1", "10", "0.0"], "{text}");
}

#[test]
fn the_order_of_rows_and_the_number_of_passes_change_nothing() {
    let (grouped, mixed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write_folder(grouped.path(), &worlds(), false);
    write_folder(mixed.path(), &worlds(), true);
    let run = |dir: &Path, more: &[&str]| {
        let config = dir.join("pipeline.yaml");
        detect(dir, &[&["--config", config.to_str().unwrap()], more].concat()).unwrap()
    };
    let whole = run(grouped.path(), &[]);
    assert!(whole.contains("1/1"), "{whole}");
    assert_eq!(run(mixed.path(), &[]), whole);
    assert_eq!(run(mixed.path(), &["--rows-max", "1500"]), whole);
}

#[test]
fn a_made_pipeline_knows_the_columns_by_name_and_learns_from_the_past() {
    let world = SimulatedRollout::new(sim::kind("aa").unwrap(), 3, SIZE);
    let (predictions, outcomes) = world.tables();
    let layout = StreamColumns::of(&predictions.schema(), Some(&outcomes.schema())).unwrap();
    let recipe = Recipe::made(layout.pipeline("v1", "1h"), "v1").unwrap();
    let tables = [(EventKind::Prediction, &predictions), (EventKind::Outcome, &outcomes)];
    let stream = LabelledStream::of_tables(recipe.reading(), &world.stream, &tables).unwrap();
    assert_eq!(stream.rows(), predictions.num_rows() + outcomes.num_rows());
    let plan = recipe.plan(&stream).unwrap();
    let numeric: Vec<&str> = plan.columns.numeric.iter().map(|column| column.name.as_str()).collect();
    assert_eq!(numeric, ["x1", "x2", "x3", "score", "latency"]);
    assert_eq!(plan.columns.categorical[0].known, ["a", "b", "c", "d", "e"]);
    let reference = plan.reference.as_ref().unwrap();
    assert_eq!(reference.profile.rows, u64::from(SIZE.burn_windows * SIZE.baseline_rate));
    assert!(plan.quality.is_some());
    assert_eq!(recipe.window(), 3_600_000_000);
}

#[test]
fn memory_and_files_give_the_same_alarms() {
    let dir = tempfile::tempdir().unwrap();
    let worlds = worlds();
    write_folder(dir.path(), &worlds, false);
    let config = dir.path().join("pipeline.yaml");
    let recipe = Recipe::written(&config).unwrap();
    let judge = |world: &SimulatedRollout| {
        let (predictions, outcomes) = world.tables();
        let tables = [(EventKind::Prediction, &predictions), (EventKind::Outcome, &outcomes)];
        recipe.judge(&LabelledStream::of_tables(recipe.reading(), &world.stream, &tables).unwrap()).unwrap()
    };
    let alarms: Vec<Alarm> = worlds.iter().flat_map(judge).collect();
    let labels: Vec<Label> = worlds.iter().map(Label::of).collect();
    let text = detect(dir.path(), &["--config", config.to_str().unwrap()]).unwrap();
    assert!(text.ends_with(&DetectionScores::of(&labels, &alarms, recipe.window()).to_string()), "{text}");
}

/// The default policy on a bench of a few small streams: kind, and the reason that a change must be found for.
const BENCH: [(&str, &str); 17] = [
    ("aa", ""),
    ("aa_seasonal", ""),
    ("aa_heavy", ""),
    ("mean_0.50", "FEATURE_DRIFT"),
    ("var_0.7", "FEATURE_DRIFT"),
    ("renamed", "FEATURE_DRIFT"),
    ("missing_20pct", "DATA_QUALITY"),
    ("nan_flood", "DATA_QUALITY"),
    ("collapsed", "SCORE_DRIFT"),
    ("calib_0.8", "SCORE_DRIFT"),
    ("latency_x1.20", "LATENCY_SHAPE"),
    ("error_0.5_4", "ERROR_RATE"),
    ("both_mean_0.50", ""),
    ("both_everything", ""),
    ("both_stuck", ""),
    ("blip_error_30pct", ""),
    ("blip_latency_x3", ""),
];

#[test]
fn the_default_policy_finds_changes_and_blames_nobody_wrongly() {
    let size = Size { burn_windows: 6, test_windows: 30, baseline_rate: 200, candidate_rate: 60 };
    let worlds: Vec<SimulatedRollout> =
        BENCH.iter().map(|(name, _)| SimulatedRollout::new(sim::kind(name).unwrap(), 42, size)).collect();
    let mut alarms: Vec<Alarm> = Vec::new();
    for (world, (_, reason)) in worlds.iter().zip(BENCH) {
        let (predictions, outcomes) = world.tables();
        let layout = StreamColumns::of(&predictions.schema(), Some(&outcomes.schema())).unwrap();
        let recipe = Recipe::made(layout.pipeline("v1", "1h"), "v1").unwrap();
        let tables = [(EventKind::Prediction, &predictions), (EventKind::Outcome, &outcomes)];
        let said = recipe.judge(&LabelledStream::of_tables(recipe.reading(), &world.stream, &tables).unwrap()).unwrap();
        let first = said.iter().find(|alarm| alarm.restricts()).map(|alarm| alarm.reason.as_str());
        assert_eq!(first.unwrap_or_default(), reason, "{}: {said:?}", world.stream);
        alarms.extend(said);
    }
    let labels: Vec<Label> = worlds.iter().map(Label::of).collect();
    let all = DetectionScores::of(&labels, &alarms, 3_600_000_000).all();
    assert_eq!((all.to_find, all.delays.len()), (9, 9), "{alarms:?}");
    assert!(all.median_delay().unwrap() <= 3.0, "{:?}", all.delays);
    assert_eq!((all.false_alarms, all.blamed, all.to_forgive), (0, 0, 3), "{alarms:?}");
    assert_eq!((all.blips, all.noted, all.rolled_back), (2, 2, 0), "{alarms:?}");
}

#[test]
fn errors_say_what_is_missing() {
    let dir = tempfile::tempdir().unwrap();
    let nothing = detect(dir.path(), &[]).unwrap_err();
    assert!(nothing.contains("there is no predictions.parquet in"), "{nothing}");
    let worlds = worlds();
    write_folder(dir.path(), &worlds[..2], false);
    let unknown = detect(dir.path(), &["--baseline", "v9"]).unwrap_err();
    assert!(unknown.contains("has no prediction of version v9") && unknown.contains("--baseline"), "{unknown}");
    let wrong = detect(dir.path(), &["--window", "soon"]).unwrap_err();
    assert!(wrong.contains("`soon` is not a duration"), "{wrong}");

    let without = |file: &str, kind: &str| {
        let path = dir.path().join(file);
        let tables: Vec<RecordBatch> =
            worlds[..2].iter().map(|w| if kind == "outcomes" { w.tables().1 } else { w.tables().0 }).collect();
        let table = together(&tables, false);
        let drop = if kind == "outcomes" { "model" } else { "version" };
        let keep: Vec<usize> = (0..table.num_columns()).filter(|&i| table.schema().field(i).name() != drop).collect();
        write_table(&path, &table.project(&keep).unwrap());
        detect(dir.path(), &[]).unwrap_err()
    };
    let nameless = without("outcomes.parquet", "outcomes");
    assert!(nameless.contains("do not say which of 2 models"), "{nameless}");
    let versionless = without("predictions.parquet", "predictions");
    assert!(versionless.contains("the predictions have no column version"), "{versionless}");
    fs::write(dir.path().join("predictions.parquet"), "PAR1 but no more").unwrap();
    let broken = detect(dir.path(), &[]).unwrap_err();
    assert!(broken.contains("predictions.parquet is not a whole Parquet file"), "{broken}");
}

/// A table as CSV or as JSON lines, every cell a text.
fn spelled(table: &RecordBatch, ending: &str) -> String {
    let schema = table.schema();
    let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    let utc = DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into()));
    let columns: Vec<ArrayRef> = table
        .columns()
        .iter()
        .map(|column| match column.data_type() {
            DataType::Timestamp(..) => compute::cast(column, &utc).unwrap(),
            _ => ArrayRef::clone(column),
        })
        .collect();
    let cell = |row: usize, column: usize| {
        let text = array_value_to_string(&columns[column], row).unwrap();
        if names[column] == "label" { (if text == "1" { "Yes" } else { "no" }).to_owned() } else { text }
    };
    let rows = (0..table.num_rows()).map(|row| (0..names.len()).map(|column| cell(row, column)).collect::<Vec<_>>());
    if ending == "csv" {
        return [names.join(",")].into_iter().chain(rows.map(|row| row.join(","))).map(|line| line + "\n").collect();
    }
    let object = |row: Vec<String>| {
        let present = names.iter().zip(row).filter(|(_, cell)| !cell.is_empty());
        let members = present.map(|(name, cell)| ((*name).to_owned(), cell.into()));
        serde_json::Value::Object(members.collect()).to_string() + "\n"
    };
    rows.map(object).collect()
}

#[test]
fn one_folder_is_judged_alike_in_every_format() {
    let parquet = tempfile::tempdir().unwrap();
    let worlds = worlds();
    write_folder(parquet.path(), &worlds, false);
    let (predictions, outcomes): (Vec<_>, Vec<_>) = worlds.iter().map(SimulatedRollout::tables).unzip();
    let config = parquet.path().join("pipeline.yaml");
    let run = |dir: &Path| detect(dir, &["--config", config.to_str().unwrap()]).unwrap();
    let expected = run(parquet.path());
    for ending in ["csv", "jsonl"] {
        let dir = tempfile::tempdir().unwrap();
        fs::copy(parquet.path().join("labels.json"), dir.path().join("labels.json")).unwrap();
        let at = |name: &str| dir.path().join(format!("{name}.{ending}"));
        fs::write(at("predictions"), spelled(&together(&predictions, false), ending)).unwrap();
        fs::write(at("outcomes"), spelled(&together(&outcomes, false), ending)).unwrap();
        assert_eq!(run(dir.path()), expected, "{ending}");
        let layout = |dir: &Path, ending: &str| {
            let files = |name: &str| vec![dir.join(format!("{name}.{ending}"))];
            StreamColumns::of_files(&files("predictions"), &files("outcomes")).unwrap().pipeline("v1", "1h")
        };
        assert_eq!(layout(dir.path(), ending), layout(parquet.path(), "parquet"), "{ending}");
    }
}
