//! JSON decoding: the poison file, a sample of a real log, envelopes, and every corner of the mapping.
#![expect(clippy::unwrap_used, clippy::similar_names, reason = "a test fails by panicking")]

use std::fs;
use std::sync::Arc;

use haldane::decode::{Decoded, Record, decoder};
use haldane::event::{EventKind, Poison, stable_hash};
use haldane::plan::*;
use serde_json::{Value, json};

use crate::flights::{OUTCOMES, PREDICTIONS, Row, path, plan, plan_with, rows};

/// Later than every event of the log.
const BROKER_TIME: i64 = 1_400_000_000_000_000;

/// Decodes payloads in runs of `batch` records; offsets count from 0.
fn decode(plan: &Arc<Plan>, source: u16, payloads: &[&[u8]], batch: usize) -> Vec<Decoded> {
    let mut decoder = decoder(plan, source, 3);
    let mut offset = 0;
    let runs = payloads.chunks(batch);
    runs.map(|run| {
        for payload in run {
            let payload = Some(*payload);
            decoder.push(&Record { offset, broker_time: BROKER_TIME, key: None, payload, headers: &[], topic: "t" });
            offset += 1;
        }
        assert_eq!(decoder.n_pending(), run.len());
        let decoded = decoder.finish();
        assert_eq!(decoded.batch.len() + decoded.rejects.len(), run.len());
        assert_eq!(decoder.n_pending(), 0);
        decoded
    })
    .collect()
}

fn one(plan: &Arc<Plan>, source: u16, payload: &str) -> Result<Row, (Poison, String)> {
    let mut decoded = decode(plan, source, &[payload.as_bytes()], 1);
    match decoded[0].rejects.pop() {
        Some(reject) => Err((reject.reason, reject.detail)),
        None => Ok(rows(&decoded[0].batch).pop().unwrap()),
    }
}

fn data(name: &str) -> Vec<u8> {
    fs::read(format!("{}/tests/data/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

fn lines(bytes: &[u8]) -> Vec<&[u8]> {
    bytes.strip_suffix(b"\n").unwrap_or(bytes).split(|&byte| byte == b'\n').collect()
}

/// The poison messages with the source they are for, the expected reason and the description.
fn poison() -> Vec<(u16, Vec<u8>, Option<Poison>, String)> {
    let expected = String::from_utf8(data("poison/poison.expected.tsv")).unwrap();
    let bytes = data("poison/poison.jsonl");
    let expected: Vec<&str> = expected.lines().collect();
    assert_eq!(lines(&bytes).len(), expected.len());
    let cases = lines(&bytes).into_iter().zip(expected).map(|(line, expected)| {
        let columns: Vec<&str> = expected.split('\t').collect();
        let source = if columns[2].starts_with("label") { OUTCOMES } else { PREDICTIONS };
        let reason = Poison::ALL.into_iter().find(|reason| reason.code() == columns[1]);
        (source, line.to_vec(), reason, columns[2].to_owned())
    });
    cases.collect()
}

/// The payloads of one topic of the sample.
fn sample(topic: &str) -> Vec<Vec<u8>> {
    let bytes = data("sample.jsonl");
    let envelopes = lines(&bytes).into_iter().map(|line| serde_json::from_slice::<Value>(line).unwrap());
    envelopes
        .filter(|envelope| envelope["topic"] == topic)
        .map(|envelope| envelope["value"].to_string().into_bytes())
        .collect()
}

fn slices(payloads: &[Vec<u8>]) -> Vec<&[u8]> {
    payloads.iter().map(Vec::as_slice).collect()
}

fn all_rows(decoded: &[Decoded]) -> Vec<Row> {
    decoded.iter().flat_map(|decoded| rows(&decoded.batch)).collect()
}

/// A good prediction with changes.
fn prediction(change: impl FnOnce(&mut Value)) -> String {
    let mut value = serde_json::from_slice(&sample("predictions")[0]).unwrap();
    change(&mut value);
    value.to_string()
}

#[test]
fn every_poison_message_has_its_reason() {
    let plan = Arc::new(plan());
    for (source, payload, expected, what) in poison() {
        let decoded = &decode(&plan, source, &[&payload], 1)[0];
        assert_eq!(decoded.rejects.first().map(|reject| reject.reason), expected, "{what}: {:?}", decoded.rejects);
        assert_eq!(decoded.batch.len(), usize::from(expected.is_none()), "{what}");
    }
}

#[test]
fn a_tombstone_is_empty() {
    let mut decoder = decoder(&Arc::new(plan()), PREDICTIONS, 0);
    decoder.push(&Record {
        offset: 7,
        broker_time: BROKER_TIME,
        key: Some(b"k"),
        payload: None,
        headers: &[],
        topic: "t",
    });
    let decoded = decoder.finish();
    assert_eq!((decoded.rejects[0].offset, decoded.rejects[0].reason), (7, Poison::Empty));
}

#[test]
fn neighbours_of_poison_are_unharmed_at_any_split() {
    let plan = Arc::new(plan());
    let good = sample("predictions");
    let alone = all_rows(&decode(&plan, PREDICTIONS, &slices(&good), 8192));
    let bad: Vec<Vec<u8>> =
        poison().into_iter().filter(|case| case.0 == PREDICTIONS && case.2.is_some()).map(|case| case.1).collect();
    let mixed: Vec<Vec<u8>> =
        good.iter().enumerate().flat_map(|(i, good)| [bad[i % bad.len()].clone(), good.clone()]).collect();
    for batch in [1, 2, 7, 100, 8192] {
        let decoded = decode(&plan, PREDICTIONS, &slices(&mixed), batch);
        assert_eq!(all_rows(&decoded), alone, "batches of {batch}");
        let offsets: Vec<i64> = decoded.iter().flat_map(|decoded| decoded.batch.offset.values().to_vec()).collect();
        assert!(offsets.iter().all(|offset| offset % 2 == 1), "good messages have odd offsets");
        let rejected: Vec<i64> =
            decoded.iter().flat_map(|decoded| decoded.rejects.iter().map(|reject| reject.offset)).collect();
        assert!(rejected.iter().all(|offset| offset % 2 == 0) && rejected.is_sorted());
        assert_eq!(rejected.len(), good.len());
    }
}

#[test]
fn the_sample_decodes_completely_and_the_same_at_any_batch_size() {
    let plan = Arc::new(plan());
    for (source, topic) in [(PREDICTIONS, "predictions"), (OUTCOMES, "outcomes")] {
        let payloads = sample(topic);
        let whole = decode(&plan, source, &slices(&payloads), 8192);
        assert_eq!(all_rows(&whole).len(), payloads.len());
        assert!(payloads.len() > 90, "enough to mean something");
        for batch in [1, 7] {
            assert_eq!(all_rows(&decode(&plan, source, &slices(&payloads), batch)), all_rows(&whole));
        }
        for (payload, row) in payloads.iter().zip(all_rows(&whole)) {
            check_row(&serde_json::from_slice(payload).unwrap(), &row);
        }
    }
}

fn check_row(event: &Value, row: &Row) {
    assert_eq!(Some(row.event_time), event["event_time_us"].as_i64());
    assert_eq!(row.id, event["prediction_id"].as_str().map(|id| stable_hash(id.as_bytes())));
    assert_eq!(row.model.as_deref(), event["model"].as_str());
    assert_eq!(row.version.as_deref(), event["version"].as_str());
    assert_eq!(row.label, event["label"].as_f64());
    assert_eq!(row.status.map(i64::from), event["status"].as_i64());
    assert_eq!(
        row.predicted.as_deref().map(|class| class == "1"),
        event["predicted_label"].as_i64().map(|class| class == 1)
    );
    if event.get("score").is_some() {
        let features = crate::flights::NUMERIC.map(|name| event["features_num"][name].as_f64());
        assert_eq!(row.numeric[..9], features);
        assert_eq!(row.numeric[9..], [event["score"].as_f64(), event["latency_ms"].as_f64()]);
        let categories =
            crate::flights::CATEGORICAL.map(|name| event["features_cat"][name].as_str().map(str::to_owned));
        assert_eq!(row.categorical, categories);
        assert_eq!(row.segments[0].as_deref(), event["cohort"].as_str());
    }
}

#[test]
fn rejects_name_the_field() {
    let plan = Arc::new(plan());
    let detail = |change: &dyn Fn(&mut Value)| one(&plan, PREDICTIONS, &prediction(change)).unwrap_err();
    let (reason, text) = detail(&|event| event["features_num"]["temp"] = json!("hot"));
    assert_eq!(reason, Poison::WrongType);
    assert!(text.starts_with("features_num.temp: expected a number (byte "), "{text}");
    assert_eq!(detail(&|event| event["version"] = json!(null)).1, "version: missing");
    assert!(detail(&|event| event["score"] = json!(1.7)).1.starts_with("score: 1.7 is"));
    assert!(detail(&|event| event["features_num"] = json!(5)).1.starts_with("expected an object"));
}

#[test]
fn values_may_be_of_any_type_that_means_the_same() {
    let plan = Arc::new(plan());
    let read = |change: &dyn Fn(&mut Value)| one(&plan, PREDICTIONS, &prediction(change));
    let row = read(&|event| {
        event["version"] = json!(3);
        event["prediction_id"] = json!(12_345);
        event["predicted_label"] = json!(true);
        event["features_cat"] = json!({"carrier": true, "origin": 17.0, "dest": ""});
        event["event_time_us"] = json!(1.3e15);
    });
    let row = row.unwrap_or_else(|(reason, detail)| panic!("{reason}: {detail}"));
    assert_eq!(row.version.as_deref(), Some("3"));
    assert_eq!(row.id, Some(stable_hash(b"12345")));
    assert_eq!(row.predicted.as_deref(), Some("1"));
    assert_eq!(row.categorical, [Some("true".into()), Some("17".into()), Some(String::new())]);
}

#[test]
fn values_of_other_types_are_refused() {
    let plan = Arc::new(plan());
    let cases: [(&str, Value, Poison); 15] = [
        ("prediction_id", json!(1.5), Poison::WrongType),
        ("prediction_id", json!(true), Poison::WrongType),
        ("prediction_id", json!(""), Poison::MissingField),
        ("prediction_id", json!("x".repeat(513)), Poison::TooLong),
        ("version", json!({}), Poison::WrongType),
        ("model", json!([]), Poison::WrongType),
        ("cohort", json!("y".repeat(513)), Poison::TooLong),
        ("score", json!("high"), Poison::WrongType),
        ("status", json!(40_000), Poison::OutOfRange),
        ("version", json!("__all__"), Poison::OutOfRange),
        ("model", json!("__other__"), Poison::OutOfRange),
        ("status", json!(200.5), Poison::WrongType),
        ("predicted_label", json!([1]), Poison::WrongType),
        ("features_cat", json!("AA"), Poison::WrongType),
        ("event_time_us", json!(1e300), Poison::AbsurdTime),
    ];
    for (key, value, expected) in cases {
        let refused = one(&plan, PREDICTIONS, &prediction(|event| event[key] = value.clone())).unwrap_err();
        assert_eq!(refused.0, expected, "{key} = {value}: {}", refused.1);
    }
}

#[test]
fn keys_may_be_escaped_and_nulls_are_missing() {
    let plan = Arc::new(plan());
    let plain = prediction(|event| event["score"] = json!(null));
    let escaped = plain.replace("\"carrier\"", "\"c\\u0061rrier\"").replace("\"version\"", "\"\\u0076ersion\"");
    assert_ne!(plain, escaped);
    let row = one(&plan, PREDICTIONS, &plain).unwrap();
    assert_eq!(row.numeric[9], None);
    assert_eq!(one(&plan, PREDICTIONS, &escaped).unwrap(), row);
    let twice = escaped.replace("\"version\"", "\"model\"").replacen('{', "{\"version\":\"v1\",", 1);
    assert_eq!(one(&plan, PREDICTIONS, &twice).unwrap_err().0, Poison::DuplicateKey);
}

#[test]
fn times_come_in_every_format() {
    let micros = 1_367_575_215_765_021_i64;
    let cases = [
        (TimeFormat::Seconds, json!(1_367_575_215.765_021), micros),
        (TimeFormat::Millis, json!(1_367_575_215_765_i64), micros - 21),
        (TimeFormat::Nanos, json!(1_367_575_215_765_021_999_i64), micros),
        (TimeFormat::Rfc3339, json!("2013-05-03T12:00:15.765021+02:00"), micros),
    ];
    for (format, value, expected) in cases {
        let plan = plan_with(PREDICTIONS, |source| source.mapping.event_time = Some((path("event_time_us"), format)));
        let row = one(&plan, PREDICTIONS, &prediction(|event| event["event_time_us"] = value.clone()));
        assert_eq!(row.unwrap().event_time, expected, "{format:?}");
        let wrong = if value.is_string() { json!(5) } else { json!("five") };
        let refused = one(&plan, PREDICTIONS, &prediction(|event| event["event_time_us"] = wrong.clone()));
        assert_eq!(refused.unwrap_err().0, Poison::WrongType);
    }
    let plan = plan_with(PREDICTIONS, |source| source.mapping.event_time = None);
    assert_eq!(one(&plan, PREDICTIONS, &prediction(|_| ())).unwrap().event_time, BROKER_TIME);
}

#[test]
fn one_value_may_feed_several_columns() {
    let plan = plan_with(PREDICTIONS, |source| {
        source.mapping.segments = vec![path("version")];
        source.mapping.categorical[0] = Some(path("version"));
        source.mapping.numeric[0] = Some(NumericField { path: path("latency_ms"), factor: 0.001 });
    });
    let row = one(&plan, PREDICTIONS, &prediction(|event| event["latency_ms"] = json!(250))).unwrap();
    assert_eq!((row.segments[0].as_deref(), row.categorical[0].as_deref()), (Some("v1"), Some("v1")));
    assert_eq!((row.numeric[0], row.numeric[10]), (Some(0.25), Some(250.0)));
}

#[test]
fn constants_and_failures() {
    let plan = plan_with(PREDICTIONS, |source| {
        source.mapping.model = FieldSource::Constant("fixed".into());
        source.mapping.failed = Some(path("error"));
    });
    let failed = |value: Value| one(&plan, PREDICTIONS, &prediction(|event| event["error"] = value)).unwrap().failed;
    assert_eq!(failed(json!(true)), Some(true));
    assert_eq!(failed(json!("timeout")), Some(true));
    assert_eq!((failed(json!("")), failed(json!(false)), failed(json!(null))), (Some(false), Some(false), None));
    let row = one(&plan, PREDICTIONS, &prediction(|event| event["model"] = json!(7))).unwrap();
    assert_eq!(row.model.as_deref(), Some("fixed"));
}

#[test]
fn the_best_class_is_the_prediction() {
    let mut plan = plan();
    plan.quality.as_mut().unwrap().task = Task::Multiclass;
    let mapping = &mut plan.sources[0].mapping;
    mapping.class_scores = Some(ClassScores::Whole(path("scores")));
    mapping.predicted = None;
    mapping.numeric[9] = None;
    plan.sources[1].mapping.label = Some(path("label"));
    let plan = Arc::new(plan);
    let read = |scores: Value| one(&plan, PREDICTIONS, &prediction(|event| event["scores"] = scores));
    let row = read(json!({"cat": 0.2, "dog": 0.7, "eel": 0.1})).unwrap();
    assert_eq!((row.predicted.as_deref(), row.numeric[9]), (Some("dog"), Some(0.7)));
    assert_eq!(read(json!({})).unwrap().predicted, None);
    assert_eq!(read(json!({"cat": "high"})).unwrap_err().0, Poison::WrongType);
    assert_eq!(read(json!({"cat": 1.2})).unwrap_err().0, Poison::OutOfRange);
    let outcome = one(&plan, OUTCOMES, r#"{"prediction_id":"a","event_time_us":1,"label":"dog"}"#).unwrap();
    assert_eq!((outcome.label_class.as_deref(), outcome.label), (Some("dog"), None));
}

#[test]
fn outcomes_need_an_id_and_a_label() {
    let plan = Arc::new(plan());
    let label = |text: &str| {
        one(&plan, OUTCOMES, &format!(r#"{{"prediction_id":"a","event_time_us":1,"label":{text}}}"#))
            .map(|row| row.label)
    };
    assert_eq!(label("true"), Ok(Some(1.0)));
    assert_eq!(label("0.0"), Ok(Some(0.0)));
    assert_eq!(label("null").unwrap_err().0, Poison::MissingField);
    assert_eq!(label("0.5").unwrap_err().0, Poison::OutOfRange);
    assert_eq!(label("\"1\""), Ok(Some(1.0)));
    assert_eq!(label("\"good\"").unwrap_err().0, Poison::WrongType);
    let nameless = one(&plan, OUTCOMES, r#"{"event_time_us":1,"label":1}"#).unwrap_err();
    assert_eq!(nameless, (Poison::MissingField, "prediction_id: missing".to_owned()));
}

#[test]
fn exposures_need_a_version_and_a_share() {
    let plan = plan_with(OUTCOMES, |source| {
        source.kind = EventKind::Exposure;
        source.mapping = Mapping {
            model: FieldSource::Constant("m".into()),
            version: FieldSource::Path(path("version")),
            exposure: Some(path("exposure")),
            ..Mapping::default()
        };
    });
    let read = |text: &str| one(&plan, OUTCOMES, text).map(|row| (row.version.unwrap(), row.exposure.unwrap()));
    assert_eq!(read(r#"{"version":"v2","exposure":0.25}"#), Ok(("v2".into(), 0.25)));
    assert_eq!(read(r#"{"version":"v2","exposure":25}"#).unwrap_err().0, Poison::OutOfRange);
    assert_eq!(read(r#"{"version":"v2"}"#).unwrap_err().0, Poison::MissingField);
    assert_eq!(read(r#"{"exposure":0.25}"#).unwrap_err().0, Poison::MissingField);
}

#[test]
fn envelopes_are_taken_off() {
    let plan = plan_with(PREDICTIONS, |source| {
        source.mapping.id = Some(path("$ce.id"));
        source.mapping.event_time = Some((path(r"$ce\.time"), TimeFormat::Rfc3339));
        source.mapping.segments = vec![path("$ce.subject")];
    });
    let event = prediction(|_| ());
    let read = |payload: &str, headers: &[(&str, &[u8])]| {
        let mut decoder = decoder(&plan, PREDICTIONS, 0);
        let payload = Some(payload.as_bytes());
        decoder.push(&Record { offset: 0, broker_time: BROKER_TIME, key: None, payload, headers, topic: "t" });
        let mut decoded = decoder.finish();
        decoded.rejects.pop().map_or_else(|| Ok(rows(&decoded.batch).remove(0)), |reject| Err(reject.reason))
    };
    let binary: [(&str, &[u8]); 5] = [
        ("ce_specversion", b"1.0"),
        ("ce_id", b"e-1"),
        ("ce_time", b"1970-01-02T00:00:00Z"),
        ("ce_subject", b"caf\xc3\xa9"),
        ("content-type", b"application/json"),
    ];
    let row = read(&event, &binary).unwrap();
    assert_eq!((row.id, row.event_time), (Some(stable_hash(b"e-1")), 86_400_000_000));
    assert_eq!((row.segments[0].as_deref(), row.version.as_deref()), (Some("café"), Some("v1")));

    let envelope = format!(
        r#"{{"specversion":"1.0","id":"e-1","time":"1970-01-02T00:00:00Z","subject":"café","type":"t","source":"/s","data":{event}}}"#
    );
    let structured: [(&str, &[u8]); 1] = [("Content-Type", b"application/CloudEvents+json; charset=UTF-8")];
    assert_eq!(read(&envelope, &structured), Ok(row));

    assert_eq!(read(&envelope, &[]), Err(Poison::MissingField), "without the header it is not an envelope");
    assert_eq!(read(&event, &[]), Err(Poison::MissingField), "attributes are nowhere");
    assert_eq!(read(&event, &[binary[0], ("ce_id", b"\xff")]), Err(Poison::InvalidUtf8));
    assert_eq!(read("{\"data\":null}", &structured), Err(Poison::MissingField));
}

#[test]
fn the_published_schemas_agree_with_the_decoder() {
    let schema = |name: &str| {
        let text = fs::read(format!("{}/schemas/{name}.schema.json", env!("CARGO_MANIFEST_DIR"))).unwrap();
        jsonschema::validator_for(&serde_json::from_slice(&text).unwrap()).unwrap()
    };
    let schemas = [schema("prediction"), schema("outcome")];
    for (validator, topic) in schemas.iter().zip(["predictions", "outcomes"]) {
        for payload in sample(topic) {
            let event: Value = serde_json::from_slice(&payload).unwrap();
            assert!(validator.is_valid(&event), "{event}: {:?}", validator.validate(&event));
        }
    }
    let seen: Vec<String> = poison()
        .into_iter()
        .filter_map(|(source, payload, _, what)| {
            let event: Value = serde_json::from_slice(&payload).ok()?;
            (!schemas[usize::from(source)].is_valid(&event)).then_some(what)
        })
        .collect();
    let expected = [
        "JSON null",
        "array instead of object",
        "missing prediction_id",
        "missing event_time",
        "event_time as text",
        "event_time negative",
        "score as string",
        "latency negative",
        "unknown version, empty string",
        "64 KiB category value",
    ];
    assert_eq!(seen, expected);
    let [feature, exposure] = ["feature", "exposure"].map(schema);
    assert!(feature.is_valid(&json!({"event_time_us": 1, "model": "m", "version": "v", "features_num": {"x": null}})));
    assert!(!feature.is_valid(&json!({"event_time_us": 1, "model": "m", "features_num": {"x": 1}})));
    assert!(exposure.is_valid(&json!({"event_time_us": 1, "model": "m", "version": "v", "exposure": 0.1})));
    assert!(!exposure.is_valid(&json!({"event_time_us": 1, "model": "m", "version": "v", "exposure": 10})));
}
