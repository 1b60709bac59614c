//! The published schemas describe what really leaves haldane: every field, and nothing that is not there.
#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::collections::BTreeMap;

use haldane::kafka::cloud_event::{Letter, SeenExposure, rfc3339};
use haldane::kafka::commands::Ack;
use haldane::kafka::versions::PipelineVersion;
use haldane::name::Name;
use haldane::plan::{Cause, Signal};
use haldane::reason::ReasonCode;
use jsonschema::Validator;
use rdkafka::message::Headers as _;
use serde::Serialize;
use serde_json::{Value, json};

use haldane::verdict::decision::{Approval, Remark, Test};
use haldane::verdict::{
    AckStatus, Command, CommandKind, CommandName, CommandResult, Decision, GuardName, Liveness, Memory, Outcome,
    RolloutState, State, Validity,
};

use crate::sample::{decision, episode, full, living, row, state};

const DECISION: &str = include_str!("../../schemas/decision.schema.json");
const STATE: &str = include_str!("../../schemas/rollout-state.schema.json");
const ACK: &str = include_str!("../../schemas/ack.schema.json");
const LIVENESS: &str = include_str!("../../schemas/liveness.schema.json");
const VERSION: &str = include_str!("../../schemas/pipeline-version.schema.json");
const COMMAND: &str = include_str!("../../schemas/command.schema.json");
const RESULT: &str = include_str!("../../schemas/command-result.schema.json");
/// Decisions that name a cap.
const CAPPED: [Signal; 3] = [Signal::Contain, Signal::PromoteOk, Signal::Resume];
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
    for action in Signal::ALL.into_iter().filter(|signal| !CAPPED.contains(signal)) {
        check(DECISION, &decision(action));
    }
    let mut asked = decision(Signal::Rollback);
    asked.causation = Some("command-7".to_owned());
    let granted = vec!["ana".to_owned()];
    asked.approval = Some(Approval { required: 2, granted, deadline: 10, on_timeout: Signal::Hold });
    check(DECISION, &asked);
    let mut contain = decision(Signal::Contain);
    let validator = jsonschema::validator_for(&parse(DECISION)).unwrap();
    assert!(!validator.is_valid(&json!(contain)), "a containment has a cap");
    for action in CAPPED {
        check(DECISION, &Decision { cap_pct: Some(5.0), ..decision(action) });
    }
    contain.cap_pct = Some(5.0);
    check(DECISION, &contain);
}

/// Checks that a schema lists all names of a table, in its order, and says what each means.
fn lists<T: Name>(schema: &str, at: &str) {
    let schema = parse(schema);
    let part = schema.pointer(at).expect("a part of the schema");
    let names: Vec<&str> = T::ALL.iter().map(|one| one.name()).collect();
    assert_eq!(part["enum"], json!(names), "{at}");
    let meanings: Vec<String> = T::ALL.iter().map(|one| format!("{}: {}", one.name(), one.meaning())).collect();
    let said = part["description"].as_str().expect("a description");
    assert!(said.ends_with(&format!("{}.", meanings.join("; "))), "{at} does not say: {}", meanings.join("; "));
}

#[test]
fn the_names_in_decisions_and_states_are_listed() {
    lists::<ReasonCode>(DECISION, "/$defs/reason/properties/code");
    lists::<GuardName>(DECISION, "/$defs/evidence/properties/rule/anyOf/0");
    lists::<Test>(DECISION, "/$defs/evidence/properties/test");
    lists::<Remark>(DECISION, "/$defs/evidence/properties/flags/items/anyOf/0");
    lists::<Cause>(STATE, "/properties/trust/properties/doubts/items/properties/cause");
    let causes: Vec<&str> = std::iter::once("").chain(ReasonCode::ALL.iter().map(|code| code.name())).collect();
    assert_eq!(parse(STATE)["properties"]["cause"]["enum"], json!(causes));
}

#[test]
fn rollout_states_are_as_the_schema_says() {
    for one in State::ALL {
        check(STATE, &state("v2", one, Validity::Blind));
    }
    check(STATE, &RolloutState { memory: None, ..full() });
    let validator = jsonschema::validator_for(&parse(STATE)).unwrap();
    let with_episode = serde_json::to_value(RolloutState { episodes: vec![episode()], ..full() }).unwrap();
    assert!(validator.is_valid(&with_episode));
    for name in with_episode["episodes"][0].as_object().unwrap().keys() {
        let mut without = with_episode.clone();
        without["episodes"][0].as_object_mut().unwrap().remove(name);
        assert!(!validator.is_valid(&without), "{name} may be missing");
    }
    let with_memory = serde_json::to_value(RolloutState { memory: Some(Memory::default()), ..full() }).unwrap();
    assert!(validator.is_valid(&with_memory));
}

#[test]
fn signs_of_life_are_as_the_schema_says() {
    let life = living("fraud", 1_767_603_600_000_000);
    check(LIVENESS, &life);
    check(LIVENESS, &Liveness { judged_upto: Some(9), lag: None, ..life.clone() });
    let letter = Letter::liveness(&life);
    assert_eq!(letter.to("haldane.state.v1").key, Some(b"@alive/fraud".as_slice()));
}

#[test]
fn what_pipeline_files_say_is_as_the_schema_says() {
    let validator = jsonschema::validator_for(&parse(VERSION)).unwrap();
    let words =
        vec![("rules".to_owned(), vec!["errors: rollback when …".to_owned()]), ("labels".to_owned(), Vec::new())];
    let keys = BTreeMap::from([("policy[errors].above".to_owned(), "0.1".to_owned())]);
    let mut version = PipelineVersion::of(("fraud", "b3:7"), words, keys);
    version.since = vec![1_767_603_600_000_000];
    let letter = Letter::pipeline(&version, 1_767_603_600_000_000);
    let record = letter.to("haldane.state.v1");
    assert_eq!(record.key, Some(format!("@pipeline/fraud/{}", version.id).as_bytes()));
    let body: Value = serde_json::from_slice(record.payload.unwrap()).unwrap();
    let errors: Vec<_> = validator.iter_errors(&body).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{errors:?} in {body}");
    for name in body.as_object().unwrap().keys() {
        let mut without = body.clone();
        without.as_object_mut().unwrap().remove(name);
        assert!(!validator.is_valid(&without), "{name} may be missing");
    }
    let mut strange = body.clone();
    strange["surprise"] = json!(1);
    assert!(!validator.is_valid(&strange));
}

#[test]
fn acknowledgements_are_as_the_schema_says() {
    let validator = jsonschema::validator_for(&parse(ACK)).unwrap();
    for status in [AckStatus::Accepted, AckStatus::Applied, AckStatus::Rejected, AckStatus::Ignored, AckStatus::Failed]
    {
        let ack = Ack {
            decision_id: "b3:7".to_owned(),
            status,
            adapter: "flags".to_owned(),
            observed_cap_pct: Some(5.0),
            detail: "the target shows 5 %".to_owned(),
            rollout: Some("fraud".to_owned()),
            model: Some("fraud".to_owned()),
            candidate: Some("v2".to_owned()),
        };
        let letter = Letter::ack(&ack, 1_767_603_600_500_000);
        let record = letter.to("haldane.commands.v1");
        let body: Value = serde_json::from_slice(record.payload.unwrap()).unwrap();
        let errors: Vec<_> = validator.iter_errors(&body).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{errors:?} in {body}");
        assert_eq!((body["status"].as_str(), record.key), (Some(status.name()), Some(b"fraud".as_slice())));
        let mut strange = body.clone();
        strange["surprise"] = json!(1);
        assert!(!validator.is_valid(&strange));
    }
    for name in ["decision_id", "status", "adapter"] {
        let mut bare = json!({ "decision_id": "b3:7", "status": "applied", "adapter": "flags" });
        assert!(validator.is_valid(&bare));
        bare.as_object_mut().unwrap().remove(name);
        assert!(!validator.is_valid(&bare) && serde_json::from_value::<Ack>(bare).is_err(), "{name} may be missing");
    }
}

#[test]
fn shares_that_were_seen_are_as_the_schema_says() {
    let (at, text) = (1_767_603_600_500_000, |text: &str| text.to_owned());
    let seen = SeenExposure {
        pipeline: text("fraud"),
        rollout: text("fraud-canary"),
        model: text("fraud"),
        version: text("v2"),
        exposure: 0.05,
        adapter: text("gateway"),
        time: rfc3339(at),
        at,
    };
    check(include_str!("../../schemas/observed-exposure.schema.json"), &seen);
    let letter = Letter::exposure(&seen);
    let record = letter.to("haldane.exposures.v1");
    let body: Value = serde_json::from_slice(record.payload.unwrap()).unwrap();
    assert_eq!(body, serde_json::to_value(&seen).unwrap());
    assert_eq!(record.key, Some(b"fraud/fraud-canary/fraud/v2".as_slice()));
    assert_eq!(record.timestamp, Some(at / 1_000));
}

/// One command of each kind.
fn kinds() -> Vec<CommandKind> {
    let decision = format!("b3:{}", "0".repeat(64));
    let ack = |status| CommandKind::Ack {
        decision: decision.clone(),
        status,
        adapter: "flagd".to_owned(),
        observed_cap_pct: Some(5.0),
        detail: String::new(),
    };
    let statuses =
        [AckStatus::Accepted, AckStatus::Applied, AckStatus::Rejected, AckStatus::Ignored, AckStatus::Failed];
    let mute = |column: Option<&str>| CommandKind::Mute {
        metric: "psi".to_owned(),
        column: column.map(str::to_owned),
        segment: column.map(|_| "country=DE".to_owned()),
        until: 20,
    };
    let mut kinds = vec![
        CommandKind::Approve { decision: decision.clone() },
        CommandKind::Reject { decision: decision.clone() },
        CommandKind::Hold,
        CommandKind::Resume { cap_pct: None },
        CommandKind::Resume { cap_pct: Some(25.0) },
        CommandKind::ForceRollback,
        CommandKind::ForcePromote,
        CommandKind::Freeze { until: 20 },
        CommandKind::Unfreeze,
        mute(None),
        mute(Some("amount")),
        CommandKind::ExtendBake { until: 20 },
        CommandKind::SetBaseline { version: "v0".to_owned() },
        CommandKind::ClearDenial,
    ];
    kinds.extend(statuses.map(ack));
    kinds
}

fn command(kind: CommandKind) -> Command {
    Command {
        id: "command-7".to_owned(),
        at: 10,
        rollout: "fraud".to_owned(),
        model: "fraud".to_owned(),
        candidate: "v2".to_owned(),
        kind,
        actor: "ana".to_owned(),
        reason: "incident over".to_owned(),
        ticket: Some("INC-1".to_owned()),
        if_sequence: Some(3),
        expires_at: Some(30),
    }
}

#[test]
fn commands_and_results_are_as_the_schemas_say() {
    let commands = jsonschema::validator_for(&parse(COMMAND)).unwrap();
    let results = jsonschema::validator_for(&parse(RESULT)).unwrap();
    let names: Vec<CommandName> = kinds().iter().map(CommandKind::which).collect();
    assert!(CommandName::ALL.iter().all(|name| names.contains(name)), "{names:?}");
    for kind in kinds() {
        let name = kind.name();
        let command = command(kind);
        let value = json!(command);
        let tag = value["kind"].as_str().or_else(|| Some(value["kind"].as_object()?.keys().next()?.as_str()));
        assert_eq!(tag, Some(name));
        let errors: Vec<_> = commands.iter_errors(&value).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{errors:?} in {value}");
        assert_eq!(serde_json::from_value::<Command>(value.clone()).unwrap(), command);
        let result = CommandResult {
            command,
            outcome: Outcome::Accepted,
            text: "held".to_owned(),
            sequence: 4,
            state: Some(State::Held),
            decisions: vec![format!("b3:{}", "0".repeat(64))],
            applied_after: Some((10, 0)),
        };
        let errors: Vec<_> = results.iter_errors(&json!(result)).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{errors:?} in {}", json!(result));
    }
}

#[test]
fn a_misspelt_command_is_refused_by_the_schema_and_by_the_reader() {
    let commands = jsonschema::validator_for(&parse(COMMAND)).unwrap();
    let good = json!({ "id": "1", "at": 10, "rollout": "fraud", "candidate": "v2", "kind": "hold", "actor": "ana" });
    assert!(commands.is_valid(&good) && serde_json::from_value::<Command>(good.clone()).is_ok());
    let edits = [
        ("if_sequnce", json!(3)),
        ("kind", json!("halt")),
        ("kind", json!({ "resume": { "cap": 5.0 } })),
        ("at", json!("now")),
    ];
    for (field, value) in edits {
        let mut bad = good.clone();
        bad[field] = value;
        assert!(!commands.is_valid(&bad), "{bad}");
        assert!(serde_json::from_value::<Command>(bad.clone()).is_err(), "{bad}");
    }
    for missing in ["id", "at", "rollout", "kind", "actor"] {
        let mut bad = good.clone();
        bad.as_object_mut().unwrap().remove(missing);
        assert!(!commands.is_valid(&bad) && serde_json::from_value::<Command>(bad).is_err(), "{missing}");
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
    let letter = Letter::decision(&decision(Signal::Warn), "c1", 1_767_603_600_500_000);
    let record = letter.to("haldane.control.v1");
    let text = |value: Option<&[u8]>| String::from_utf8(value.unwrap().to_vec()).unwrap();
    let headers = record.headers.as_ref().unwrap();
    let sent: Value = headers.iter().map(|header| (header.key.to_owned(), json!(text(header.value)))).collect();
    let errors: Vec<_> = validator.iter_errors(&sent).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{errors:?} in {sent}");
    assert_eq!(sent["ce_dataschema"], schema["$id"]);
    check_fields(&validator, &sent, "");
}
