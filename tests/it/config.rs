//! The example pipelines, their schema, and reference profiles from file to plan.
#![expect(clippy::unwrap_used, reason = "these helpers are only called by tests")]

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use arrow::array::AsArray as _;
use arrow::datatypes::Float64Type;
use haldane::baseline::cut;
use haldane::cli::baseline::{self, BaselineCommand, BuildArgs};
use haldane::cli::check;
use haldane::cli::losses::FailOnLosses;
use haldane::config::{self, reference};
use haldane::plan::Baseline;
use haldane::summary::Histogram;
use haldane::summary::histogram::Cut;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::{Value, json};
use tempfile::TempDir;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A folder with a copy of the flights pipeline, changed by `edit`, and its path.
fn flights(edit: impl FnOnce(String) -> String) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("flights.yaml");
    fs::write(&path, edit(fs::read_to_string(root().join("pipelines/flights.yaml")).unwrap())).unwrap();
    (folder, path)
}

/// Builds the reference that a pipeline file names from the sample log.
fn build(config: &Path) -> String {
    let args = BuildArgs {
        config: config.to_owned(),
        output: None,
        origin: Some("a sample".to_owned()),
        files: vec![root().join("tests/data/sample.jsonl")],
        fail_on: FailOnLosses::Never,
    };
    let mut out = Vec::new();
    baseline::run(&BaselineCommand::Build(args), &mut out).unwrap_or_else(|error| panic!("{error}"));
    String::from_utf8(out).unwrap()
}

#[test]
fn the_schema_of_pipeline_files_is_in_sync() {
    let path = root().join("schemas/pipeline.schema.json");
    let fresh = serde_json::to_string_pretty(&config::schema()).unwrap() + "\n";
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, &fresh).unwrap();
    }
    assert_eq!(fs::read_to_string(path).unwrap(), fresh, "run the tests with UPDATE=1 to rewrite the schema");
}

#[test]
fn every_key_is_documented() {
    fn undocumented(schema: &Value, at: &str, found: &mut Vec<String>) {
        let documented = |key: &Value| key.get("description").is_some() || key.get("$ref").is_some();
        for (name, key) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
            if !documented(key) {
                found.push(format!("{at}.{name}"));
            }
        }
        for (name, part) in schema.get("$defs").and_then(Value::as_object).into_iter().flatten() {
            undocumented(part, name, found);
        }
    }
    let mut found = Vec::new();
    undocumented(&config::schema(), "", &mut found);
    assert!(found.is_empty(), "{found:?}");
}

/// A pipeline with every section that has defaults, and nothing in them that need not be.
fn bare() -> Value {
    let source = |topic: &str| json!({ "topic": topic, "event_time": "ts", "id": "id" });
    let mut document = json!({
        "sources": { "predictions": source("p"), "outcomes": source("o") },
        "rollout": { "baseline": "v1", "approval": {} },
        "guards": { "slo": { "error_rate": "2%", "latency": "250ms" } },
        "windows": {}, "labels": {}, "metrics": {}, "bounds": {},
    });
    let predictions = &mut document["sources"]["predictions"];
    for (slot, path) in [("version", "v"), ("score", "s"), ("latency", "ms"), ("error", "failed")] {
        predictions[slot] = path.into();
    }
    document["sources"]["outcomes"]["label"] = "y".into();
    document
}

/// The default that the schema states for a key: as a value, or in its words where they are a value.
fn stated(key: &Value) -> Option<Value> {
    if let Some(default) = key.get("default") {
        return Some(default.clone());
    }
    let (_, words) = key["description"].as_str()?.split_once("Default: ")?;
    let words = words.trim_end_matches('.').split(". ").next()?;
    let value = |word: &str| serde_json::from_str(word).unwrap_or_else(|_| Value::from(word));
    if key["type"].as_array().is_some_and(|types| types.iter().any(|one| one == "array")) {
        return Some(words.split(", ").map(value).collect());
    }
    let word = words.split(',').next()?;
    let is_value = word == "false" || word == "true" || word.starts_with(|first: char| first.is_ascii_digit());
    (is_value && !word.contains(' ')).then(|| value(word))
}

#[test]
fn a_default_is_what_the_schema_says() {
    let schema = config::schema();
    let plan = |document: &Value| {
        let pipeline = config::parse(&document.to_string(), "bare.yaml", root());
        format!("{:?}", pipeline.unwrap_or_else(|error| panic!("{error}\n{document}")).plan)
    };
    let mut n = 0;
    for (section, definition) in [
        ("/windows", "Windows"),
        ("/labels", "Labels"),
        ("/metrics", "Metrics"),
        ("/bounds", "BoundsSection"),
        ("/guards", "GuardSection"),
        ("/guards/slo", "SloSection"),
        ("/rollout", "Rollout"),
        ("/rollout/approval", "ApprovalSection"),
    ] {
        let keys = schema["$defs"][definition]["properties"].as_object().unwrap_or_else(|| panic!("{definition}"));
        for (name, default) in keys.iter().filter_map(|(name, key)| Some((name, stated(key)?))) {
            let mut unsaid = bare();
            // The longest window is a key of windows that grow.
            if name == "max" {
                unsaid["windows"] = json!({ "at_least": 500 });
            }
            let mut said = unsaid.clone();
            said.pointer_mut(section).unwrap()[name] = default.clone();
            assert_eq!(plan(&said), plan(&unsaid), "{section}/{name}: {default}");
            n += 1;
        }
    }
    assert!(n > 50, "{n} defaults");
}

#[test]
fn the_schema_accepts_the_examples_and_refuses_a_misspelling() {
    let validator = jsonschema::validator_for(&config::schema()).unwrap();
    let examples = [
        "assistant",
        "flights",
        "fraud",
        "fraud-protobuf",
        "fraud-registry",
        "house-prices",
        "kserve",
        "mlserver",
        "seldon",
    ];
    for name in examples {
        let text = fs::read_to_string(root().join(format!("pipelines/{name}.yaml"))).unwrap();
        let mut value: Value = serde_saphyr::from_str(&text).unwrap();
        let errors: Vec<String> = validator.iter_errors(&value).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{name}: {errors:?}");
        value["windws"] = Value::Null;
        assert!(!validator.is_valid(&value));
    }
}

#[test]
fn examples_without_a_reference_load_as_they_are() {
    for (file, name, rules, columns) in [
        ("fraud", "fraud", 6, 8),
        ("fraud-protobuf", "fraud-protobuf", 0, 6),
        ("fraud-registry", "fraud-registry", 0, 6),
        ("house-prices", "house-prices", 3, 8),
        ("assistant", "assistant", 0, 3),
        ("kserve", "kserve-fraud", 2, 4),
        ("mlserver", "mlserver-digits", 2, 4),
        ("seldon", "seldon-fraud", 2, 3),
    ] {
        let path = root().join(format!("pipelines/{file}.yaml"));
        let pipeline = config::load(&path).unwrap_or_else(|error| panic!("{error}"));
        let plan = &pipeline.plan;
        assert_eq!((plan.name.as_str(), plan.policy.rules.len()), (name, rules));
        assert_eq!(plan.columns.numeric.len() + plan.columns.categorical.len(), columns);
        let words = check::describe(&pipeline);
        assert!(words.starts_with(&format!("pipeline {name} is sound\n")), "{words}");
    }
}

#[test]
fn flights_says_what_to_do_without_its_reference_and_loads_with_it() {
    let (folder, path) = flights(|text| text);
    let error = config::load(&path).unwrap_err().to_string();
    assert!(error.contains(": cannot read the reference"), "{error}");
    assert!(error.ends_with("= make it with `haldane baseline build`"), "{error}");

    let shown = build(&path);
    let file = folder.path().join("profiles/flights.json");
    let id = format!("b3:{}", blake3::hash(&fs::read(&file).unwrap()).to_hex());
    assert!(shown.starts_with(&format!("reference {id}\nfrom a sample, ")), "{shown}");

    let pipeline = config::load(&path).unwrap_or_else(|error| panic!("{error}"));
    let plan = &pipeline.plan;
    assert_eq!(plan.reference.as_ref().unwrap().id, id);
    assert_eq!((plan.columns.numeric.len(), plan.columns.categorical.len()), (11, 3));
    assert_eq!(plan.baselines[..2], [Baseline::Concurrent, Baseline::Reference]);
    assert!(plan.columns.categorical.iter().all(|column| !column.known.is_empty()));
    assert!(
        check::describe(&pipeline).contains("errors: contain to 5 % when error_rate less that of v1 is above 0.02")
    );
}

#[test]
fn a_profile_is_the_same_whenever_it_is_built_and_survives_its_file() {
    let (folder, path) = flights(|text| text);
    build(&path);
    let file = folder.path().join("profiles/flights.json");
    let first = fs::read(&file).unwrap();
    build(&path);
    assert_eq!(fs::read(&file).unwrap(), first);

    let profile = reference::load(&file).unwrap().profile;
    assert_eq!(reference::encode(&profile), first);
    let requests: u64 = profile.segments.iter().map(|(_, traffic)| traffic.rates.requests).sum();
    assert_eq!(requests, profile.all.rates.requests);
    assert_eq!(profile.segments.len(), 3, "EWR, JFK and LGA");
    for (histogram, column) in profile.all.numeric.iter().zip(&profile.numeric) {
        let cut = cut::of_profile(column).unwrap();
        assert_eq!((histogram.rows(), histogram.n_out_of_range(&cut)), (requests, 0), "{}", column.name);
    }
}

#[test]
fn a_profile_of_other_columns_is_refused_by_name() {
    let (_folder, path) = flights(|text| text);
    build(&path);
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("temp: features_num.temp", "dew_point: features_num.dewp")).unwrap();
    let error = config::load(&path).unwrap_err().to_string();
    assert!(error.contains("the reference was made for other columns: it lacks `dew_point`"), "{error}");
}

#[test]
fn a_damaged_profile_is_refused() {
    let (folder, path) = flights(|text| text);
    build(&path);
    let file = folder.path().join("profiles/flights.json");
    let text = fs::read_to_string(&file).unwrap();
    for (from, to, why) in [
        ("\"format\":1", "\"format\":9", "its format is 9, this haldane reads 1"),
        ("\"known\":[", "\"known\":[\"extra\",", "the counts of `carrier` do not fit its bins"),
        ("{", "[", "expected value"),
    ] {
        fs::write(&file, text.replacen(from, to, 1)).unwrap();
        let error = reference::load(&file).unwrap_err().to_string();
        assert!(error.contains("is not a reference profile: "), "{error}");
        assert!(error.contains(why) || to == "[", "{error}");
    }
}

/// Values of one column of the reference data, in rising order.
fn column(name: &str) -> Vec<f64> {
    let file = File::open(root().join("tests/data/reference/flights-march.parquet")).unwrap();
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap();
    let batches: Vec<_> = reader.map(|batch| batch.unwrap()).collect();
    let values = batches.iter().flat_map(|batch| {
        let array = batch.column_by_name(name).unwrap().as_primitive::<Float64Type>();
        array.iter().flatten().collect::<Vec<f64>>()
    });
    values.collect()
}

fn edges_of(cut: &Cut, kept: &[u16]) -> Vec<f64> {
    kept.iter().map(|&index| cut.edges.as_slice()[usize::from(index)]).collect()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
}

fn counts(value: &Value) -> Vec<u64> {
    value.as_array().unwrap().iter().map(|number| number.as_u64().unwrap()).collect()
}

/// Counts added up from the first one on.
fn sums(counts: &[u64]) -> Vec<u64> {
    counts.iter().scan(0, |sum, count| Some(*sum + count).inspect(|next| *sum = *next)).collect()
}

#[test]
fn cuts_and_counts_equal_numpy_on_a_month_of_flights() {
    let text = fs::read_to_string(root().join("tests/data/reference/flights-march.json")).unwrap();
    let expected: Value = serde_json::from_str(&text).unwrap();
    for (name, expected) in expected["columns"].as_object().unwrap() {
        let values = column(name);
        assert_eq!(values.len() as u64, expected["n"].as_u64().unwrap(), "{name}");
        let cut = cut::of_values(&values, 1040);
        let mut histogram = Histogram::new(&cut);
        histogram.update(&cut, &values);
        // Ours may be finer, around values that hold much mass.
        let ours = sums(&histogram.recut(&cut.recuts.bins10));
        let theirs = sums(&counts(&expected["counts"]));
        assert!(theirs.iter().all(|sum| ours.contains(sum)), "deciles of {name}: {theirs:?} and {ours:?}");
        let (ours, theirs) = (edges_of(&cut, &cut.recuts.bins20), numbers(&expected["edges20"]));
        let up_to = |edge: &f64| values.iter().filter(|value| *value <= edge).count();
        let ours: Vec<usize> = ours.iter().map(up_to).collect();
        assert!(theirs.iter().all(|edge| ours.contains(&up_to(edge))), "20-quantiles of {name}");
        let doane = histogram.recut(&cut.recuts.doane);
        assert_eq!(doane[1..doane.len() - 1], counts(&expected["doane_counts"]), "Doane's bins of {name}");
    }
}
