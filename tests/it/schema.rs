//! The published schemas describe what really leaves haldane: every field, and nothing that is not there.
#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

use haldane::kafka::cloud_event::Letter;
use haldane::plan::Action;
use jsonschema::Validator;
use rdkafka::message::Headers as _;
use serde::Serialize;
use serde_json::{Value, json};

use crate::sample::{decision, row, state};

const DECISION: &str = include_str!("../../schemas/decision.schema.json");
const STATE: &str = include_str!("../../schemas/rollout-state.schema.json");
const WINDOW: &str = include_str!("../../schemas/window.schema.json");

fn parse(schema: &str) -> Value {
    serde_json::from_str(schema).expect("a schema is JSON")
}

/// Checks that a value is valid as it is and not once a field is added or taken away.
fn check(schema: &str, value: &impl Serialize) {
    let schema = parse(schema);
    assert!(jsonschema::meta::is_valid(&schema));
    let validator = jsonschema::validator_for(&schema).unwrap();
    let value = serde_json::to_value(value).unwrap();
    let errors: Vec<_> = validator.iter_errors(&value).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{errors:?} in {value}");
    for object in objects(&value) {
        check_fields(&validator, &value, &object);
    }
}

/// Pointers to every object inside a value, itself included.
fn objects(value: &Value) -> Vec<String> {
    let children: Vec<(String, &Value)> = match value {
        Value::Object(fields) => fields.iter().map(|(name, child)| (name.clone(), child)).collect(),
        Value::Array(items) => items.iter().enumerate().map(|(i, child)| (i.to_string(), child)).collect(),
        _ => Vec::new(),
    };
    let below = children
        .into_iter()
        .flat_map(|(name, child)| objects(child).into_iter().map(move |pointer| format!("/{name}{pointer}")));
    value.is_object().then(String::new).into_iter().chain(below).collect()
}

fn check_fields(validator: &Validator, value: &Value, object: &str) {
    let edited = |edit: &dyn Fn(&mut serde_json::Map<String, Value>)| {
        let mut copy = value.clone();
        edit(copy.pointer_mut(object).and_then(Value::as_object_mut).expect("the pointer names an object"));
        copy
    };
    let added = edited(&|fields| {
        fields.insert("surprise".to_owned(), json!(1));
    });
    assert!(!validator.is_valid(&added), "an unknown field passes in {object}/");
    for name in value.pointer(object).and_then(Value::as_object).expect("it is an object").keys() {
        let removed = edited(&|fields| {
            fields.remove(name);
        });
        assert!(!validator.is_valid(&removed), "{object}/{name} may be missing");
    }
}

#[test]
fn decisions_of_every_kind_are_as_the_schema_says() {
    for action in [Action::Observe, Action::Warn, Action::Hold, Action::Rollback] {
        check(DECISION, &decision(action));
    }
    let mut contain = decision(Action::Contain);
    let validator = jsonschema::validator_for(&parse(DECISION)).unwrap();
    assert!(!validator.is_valid(&json!(contain)), "a containment has a cap");
    contain.cap_pct = Some(5.0);
    check(DECISION, &contain);
}

#[test]
fn rollout_states_are_as_the_schema_says() {
    for name in ["OBSERVING", "WARNED", "HELD", "CONTAINED", "ROLLING_BACK"] {
        check(STATE, &state("v2", name, "BLIND"));
    }
}

#[test]
fn window_rows_are_as_the_schema_says() {
    check(WINDOW, &row("amount", 10, Some(0.25)));
    check(WINDOW, &row("amount", 10, None));
}

#[test]
fn the_headers_of_a_decision_are_as_the_schema_says() {
    let schema = parse(DECISION);
    let headers = json!({ "$schema": schema["$schema"], "$ref": "#/$defs/headers", "$defs": schema["$defs"] });
    let validator = jsonschema::validator_for(&headers).unwrap();
    let letter = Letter::decision(&decision(Action::Warn), "c1", 1_767_603_600_500_000);
    let record = letter.to("haldane.control.v1");
    let text = |value: Option<&[u8]>| String::from_utf8(value.unwrap().to_vec()).unwrap();
    let headers = record.headers.as_ref().unwrap();
    let sent: Value = headers.iter().map(|header| (header.key.to_owned(), json!(text(header.value)))).collect();
    let errors: Vec<_> = validator.iter_errors(&sent).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{errors:?} in {sent}");
    assert_eq!(sent["ce_dataschema"], schema["$id"]);
    check_fields(&validator, &sent, "");
}
