//! Schemas out of a registry: what it is asked, what its answers mean, what is kept, and a log that waits for it.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex};
use std::time::Duration;

use haldane::config::{self, RegistryConfig};
use haldane::decode::schema::SchemaId;
use haldane::kafka::ports::{SchemaLookup, Schemas as _};
use haldane::kafka::reader::ReadPortion;
use haldane::kafka::scanning;
use haldane::kafka::standalone::RunOptions;
use haldane::kafka::watch::{Audience, RunObserver};
use haldane::registry::Registry;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use serde_json::{Value, json};

use crate::avro::{framed, schema_of};
use crate::broker::Broker;
use crate::one_log;
use crate::outage::until;
use crate::protobuf;
use crate::registry_double::{Double, Failure};
use crate::service::Service;

fn open(text: &str, base: &Path) -> Registry {
    let text = format!(
        "sources: {{ predictions: {{ topic: p, format: avro, id: id, version: v, score: s }} }}\nregistry: {{ {text} }}\n"
    );
    let pipeline = config::parse(&text, "p.yaml", base).unwrap_or_else(|error| panic!("{error}"));
    Registry::open(&pipeline.registry.expect("a registry")).expect("files that can be read")
}

fn here(texts: &[&str]) -> SchemaLookup {
    SchemaLookup::Here(texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>().into())
}

fn of(double: &Double) -> Registry {
    Registry::open(&RegistryConfig { url: Some(double.url()), ..RegistryConfig::default() }).expect("a registry")
}

#[test]
fn a_schema_is_asked_for_once_and_comes_with_those_that_it_refers_to() {
    let double = Double::start();
    double.tell(
        "/schemas/ids/42",
        &json!({ "schema": "order", "references": [
            { "name": "shop.Amount", "subject": "shop/amount", "version": 3 },
            { "name": "shop.Place", "subject": "place", "version": 1 }] }),
    );
    double.tell(
        "/subjects/shop%2Famount/versions/3",
        &json!({ "schema": "amount", "references": [{ "name": "shop.Place", "subject": "place", "version": 1 }] }),
    );
    double.tell("/subjects/place/versions/1", &json!({ "schema": "place", "id": 9 }));
    let registry = of(&double);
    for _ in 0..2 {
        assert_eq!(registry.find(SchemaId::Number(42)), here(&["place", "amount", "order"]));
    }
    let paths: Vec<String> = double.asked().into_iter().map(|(path, _)| path).collect();
    assert_eq!(paths, ["/schemas/ids/42", "/subjects/shop%2Famount/versions/3", "/subjects/place/versions/1"]);
}

#[test]
fn no_such_schema_is_no_outage_and_an_outage_is_not_that() {
    let double = Double::start();
    assert_eq!(of(&double).find(SchemaId::Number(7)), SchemaLookup::Missing);
    assert_eq!(of(&double).find(SchemaId::Fingerprint(7)), SchemaLookup::Missing, "registries know no fingerprints");
    let guid = SchemaId::Uuid(0x7b5f_0c1e_2a34_4d8a_9f10_0123_4567_89ab);
    double.tell("/schemas/guids/7b5f0c1e-2a34-4d8a-9f10-0123456789ab", &json!({ "schema": "by name" }));
    assert_eq!(of(&double).find(guid), here(&["by name"]));
    double.schema(1, "\"int\"");
    for failure in
        [404, 429, 500, 503, 401, 302].map(Failure::Status).into_iter().chain([Failure::Silence, Failure::Wait])
    {
        double.fail("/schemas/ids/1", &[failure]);
        let registry = of(&double);
        assert_eq!(registry.answers(), Some(true));
        assert!(matches!(registry.find(SchemaId::Number(1)), SchemaLookup::Away(_)), "{failure:?}");
        assert_eq!(registry.answers(), Some(false));
        let asked = double.asked().len();
        assert!(matches!(registry.find(SchemaId::Number(1)), SchemaLookup::Away(_)), "it is not asked all the time");
        assert_eq!(double.asked().len(), asked);
    }
    double.tell("/schemas/ids/2", &json!("no schema at all"));
    assert!(matches!(of(&double).find(SchemaId::Number(2)), SchemaLookup::Away(_)));
    let gone = RegistryConfig { url: Some("http://127.0.0.1:1".to_owned()), ..RegistryConfig::default() };
    assert!(matches!(Registry::open(&gone).expect("a registry").find(SchemaId::Number(1)), SchemaLookup::Away(_)));
}

#[test]
fn who_asks_is_told_by_a_password_or_a_token() {
    let double = Double::start();
    double.schema(1, "\"int\"");
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("secret"), "geheim\n").expect("a file");
    for (keys, said) in
        [("username: ana, password_file: secret", "Basic YW5hOmdlaGVpbQ=="), ("token_file: secret", "Bearer geheim")]
    {
        let registry = open(&format!("url: '{}/', {keys}", double.url()), folder.path());
        assert_eq!(registry.find(SchemaId::Number(1)), here(&["\"int\""]));
        assert_eq!(double.asked().pop(), Some(("/schemas/ids/1".to_owned(), Some(said.to_owned()))));
    }
}

#[test]
fn what_the_registry_said_is_known_without_it_ever_after() {
    let folder = tempfile::tempdir().expect("a folder");
    let double = Double::start();
    double.schema(1, "\"int\"");
    let keys = format!("url: '{}', cache: kept", double.url());
    assert_eq!(open(&keys, folder.path()).find(SchemaId::Number(1)), here(&["\"int\""]));
    double.fail("/schemas/ids/1", &[Failure::Status(503)]);
    assert_eq!(open(&keys, folder.path()).find(SchemaId::Number(1)), here(&["\"int\""]));
    assert_eq!(double.asked().len(), 1);
    std::fs::write(folder.path().join("2.avsc"), "\"long\"").expect("a file");
    let files = open("schemas: { '2': 2.avsc }", folder.path());
    assert_eq!((files.find(SchemaId::Number(2)), files.answers()), (here(&["\"long\""]), None));
    assert_eq!(files.find(SchemaId::Number(1)), SchemaLookup::Missing);
}

#[test]
fn apicurio_is_asked_by_its_own_interface_where_that_is_named() {
    let double = Double::start();
    double.tell("/apis/registry/v2/ids/globalIds/7", &json!({ "type": "record" }));
    double.tell("/apis/registry/v2/ids/contentIds/8", &json!({ "type": "enum" }));
    let registry = open(&format!("url: '{}/apis/registry/v2', frame: apicurio8", double.url()), Path::new(""));
    assert_eq!(registry.find(SchemaId::Global(7)), here(&[r#"{"type":"record"}"#]));
    assert_eq!(registry.find(SchemaId::Content(8)), here(&[r#"{"type":"enum"}"#]));
    assert_eq!(registry.find(SchemaId::Global(9)), SchemaLookup::Missing);
}

#[test]
fn the_flights_log_in_avro_gives_the_same_windows_and_decisions_though_the_registry_is_away_for_a_while() {
    let scratch = tempfile::tempdir().expect("a temporary directory");
    let double = Double::start();
    let registry = format!("registry: {{ url: '{}' }}\n", double.url());
    let change = |text: String| {
        let text = text.replace("    format: json\n", "    format: avro\n");
        text.replace("topic: flights.outcomes\n", "topic: flights.outcomes\n    format: avro\n") + &registry
    };
    let replayed = one_log::replay_by(scratch.path(), &change);
    let away = [503, 429, 500].map(Failure::Status).into_iter().chain([Failure::Silence; 2]).collect::<Vec<_>>();
    double.fail("/schemas/ids/2", &away);
    let n = std::cell::Cell::new(0_u32);
    let in_avro = |value: &Value| {
        // Half way through each log its producers have a newer schema, which nobody tells at first.
        n.set(n.get() + 1);
        let name = if value.get("label").is_some() { "Outcome" } else { "Prediction" };
        let schema = schema_of(name, value);
        let id = if name == "Outcome" { 3 } else { 1 + u32::from(n.get() > 40_000) };
        double.schema(id, &schema.to_string());
        framed(id, &schema, value)
    };
    let live = one_log::live_in(scratch.path(), 4, false, &in_avro, &change);
    assert!(double.asked().iter().filter(|(path, _)| path == "/schemas/ids/2").count() > away.len(), "it was away");
    assert_eq!(replayed.1, live.1, "decisions");
    assert_eq!(replayed.0.iter().zip(&live.0).find(|(left, right)| left != right), None);
    assert_eq!(replayed.0.len(), live.0.len());
}

#[test]
fn the_flights_log_in_protobuf_gives_the_same_windows_and_decisions() {
    let scratch = tempfile::tempdir().expect("a temporary directory");
    let double = Double::start();
    let registry = format!("registry: {{ url: '{}' }}\n", double.url());
    let change = |text: String| {
        let text = text.replace("    format: json\n", "    format: protobuf\n");
        text.replace("topic: flights.outcomes\n", "topic: flights.outcomes\n    format: protobuf\n") + &registry
    };
    let replayed = one_log::replay_by(scratch.path(), &change);
    let known = std::cell::RefCell::new(BTreeSet::new());
    let in_protobuf = |value: &Value| {
        let (id, name) = if value.get("label").is_some() { (2, "Outcome") } else { (1, "Prediction") };
        if known.borrow_mut().insert(id) {
            let schema = format!("syntax = \"proto3\"; {}", protobuf::schema_of(name, value));
            double.tell(&format!("/schemas/ids/{id}"), &json!({ "schemaType": "PROTOBUF", "schema": schema }));
        }
        protobuf::framed(id, &protobuf::fields_of(value))
    };
    let live = one_log::live_in(scratch.path(), 4, false, &in_protobuf, &change);
    assert_eq!(replayed.1, live.1, "decisions");
    assert_eq!(replayed.0.iter().zip(&live.0).find(|(left, right)| left != right), None);
    assert_eq!(replayed.0.len(), live.0.len());
}

/// A pipeline of scores on a topic.
fn pipeline(format: &str, topic: &str, double: &Double) -> String {
    let broker = Broker::shared();
    let own = |what: &str| broker.name(what);
    format!(
        "pipeline: {format}
sources:
  predictions: {{ topic: {topic}, format: {format}, id: id, version: version, score: score, event_time: {{ path: at, unit: ms }} }}
windows: {{ size: 1m }}
rollout: {{ baseline: v1 }}
metrics: {{ names: [mean] }}
registry: {{ url: '{}' }}
kafka:
  brokers: {}
  group: {}
  control_topic: {}
  commands_topic: {}
  state_topic: {}
  partials_topic: {}
  dead_letter_topic: {}
",
        double.url(),
        broker.bootstrap,
        own("group"),
        own("control"),
        own("commands"),
        own("state"),
        own("partials"),
        own("deadletter")
    )
}

/// Which records were read, and whether the registry was away.
#[derive(Default)]
struct Seen {
    offsets: Mutex<BTreeSet<(u32, i64)>>,
    news: Condvar,
    was_away: AtomicBool,
}

impl RunObserver for Seen {
    fn read(&self, portion: &ReadPortion) {
        let offsets = portion.batch.offset.values().iter().map(|offset| (portion.lane, *offset));
        self.offsets.lock().unwrap().extend(offsets);
        self.news.notify_all();
    }

    fn schemas(&self, answer: bool) {
        self.was_away.fetch_or(!answer, Ordering::Relaxed);
        self.news.notify_all();
    }
}

impl Seen {
    fn wait(&self, enough: impl Fn(usize, bool) -> bool) {
        let is_short = |offsets: &mut BTreeSet<_>| !enough(offsets.len(), self.was_away.load(Ordering::Relaxed));
        let patience = Duration::from_mins(1);
        let (offsets, waited) = self.news.wait_timeout_while(self.offsets.lock().unwrap(), patience, is_short).unwrap();
        assert!(!waited.timed_out(), "{} records", offsets.len());
    }
}

#[test]
fn members_of_a_group_wait_for_a_schema_while_others_join_and_lose_no_record() {
    let (broker, double) = (Broker::shared(), Double::start());
    let topic = broker.topic("avro", 4);
    let schemas = ["double", "float"].map(|score| {
        json!({ "type": "record", "name": "Scored", "fields": [
            { "name": "id", "type": "string" }, { "name": "version", "type": "string" },
            { "name": "score", "type": score },
            { "name": "at", "type": { "type": "long", "logicalType": "timestamp-millis" } }] })
    });
    (1..).zip(&schemas).for_each(|(id, schema)| double.schema(id, &schema.to_string()));
    double.fail("/schemas/ids/2", &[Failure::Status(503); 6]);
    let producer: BaseProducer = broker.client().create().expect("a producer");
    for n in 0..800 {
        let at = 1_700_000_000_000 + i64::from(n);
        // Partition 3 needs nothing that is not told.
        let newer = usize::from(n >= 400 && n % 4 != 3);
        let value = json!({ "id": format!("t-{n}"), "version": "v1", "score": 0.5, "at": at });
        let payload = framed(newer as u32 + 1, &schemas[newer], &value);
        let record = BaseRecord::<(), _>::to(&topic).partition(n % 4).timestamp(at).payload(&payload);
        producer.send(record).expect("room");
    }
    producer.flush(Duration::from_mins(1)).expect("everything is delivered");
    let pipeline = config::parse(&pipeline("avro", &topic, &double), "p.yaml", Path::new("")).expect("a pipeline");
    let kafka = pipeline.kafka.expect("a cluster");
    let (seen, stop) = (Seen::default(), AtomicBool::new(false));
    let member = || scanning::run(&pipeline.plan, &kafka, RunOptions::default(), Audience::watching(&seen), &stop);
    std::thread::scope(|scope| {
        let first = scope.spawn(member);
        seen.wait(|n, was_away| was_away && n == 500);
        let second = scope.spawn(member);
        seen.wait(|n, _| n == 800);
        stop.store(true, Ordering::Relaxed);
        for thread in [first, second] {
            thread.join().unwrap().expect("it stops in good order");
        }
    });
}

#[test]
fn an_outage_of_the_registry_is_said_and_passes() {
    let (broker, double) = (Broker::shared(), Double::start());
    let topic = broker.topic("avro", 1);
    let schema = json!({ "type": "record", "name": "Scored", "fields": [
        { "name": "id", "type": "string" }, { "name": "version", "type": "string" },
        { "name": "score", "type": "double" }, { "name": "at", "type": "long" }] });
    double.schema(1, &schema.to_string());
    double.fail("/schemas/ids/1", &[Failure::Status(503); 1_000]);
    let producer: BaseProducer = broker.client().create().expect("a producer");
    for n in 0..10 {
        let at = 1_700_000_000_000_i64 + n;
        let value = json!({ "id": format!("t-{n}"), "version": "v1", "score": 0.5, "at": at });
        let payload = framed(1, &schema, &value);
        producer.send(BaseRecord::<(), _>::to(&topic).timestamp(at).payload(&payload)).expect("room");
    }
    producer.flush(Duration::from_mins(1)).expect("everything is delivered");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("avro.yaml");
    std::fs::write(&path, pipeline("avro", &topic, &double)).expect("a file");
    let mut service = Service::start(&path, &["--shards", "1"]);
    service.says("records wait for a schema");
    until(&service, "/readyz", 503, "no answer from the schema registry");
    until(&service, "/livez", 200, "");
    double.fail("/schemas/ids/1", &[]);
    service.says("the schema registry answers again");
    service.await_read(10);
    until(&service, "/readyz", 200, "ready");
    service.signal("-TERM");
    assert!(service.ended().success());
}

/// Scores with Confluent's own serializers: the last argument is the format.
const PRODUCER: &str = r#"
import sys
from confluent_kafka import Producer
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.serialization import SerializationContext, MessageField
brokers, registry, avro, plain, proto = sys.argv[1:]
client = SchemaRegistryClient({"url": registry})
from confluent_kafka.schema_registry.avro import AvroSerializer
from confluent_kafka.schema_registry.json_schema import JSONSerializer
record = '{"type": "record", "name": "Scored", "fields": [{"name": "id", "type": "string"}, {"name": "version", "type": "string"}, {"name": "score", "type": ["null", "double"]}, {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}}]}'
thing = '{"$schema": "http://json-schema.org/draft-07/schema#", "title": "Scored", "type": "object", "properties": {"id": {"type": "string"}}}'
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, timestamp_pb2
from confluent_kafka.schema_registry.protobuf import ProtobufSerializer
types = descriptor_pb2.FieldDescriptorProto
file = descriptor_pb2.FileDescriptorProto(name="shop/scored.proto", package="shop", syntax="proto3", dependency=["google/protobuf/timestamp.proto"])
file.message_type.add(name="Other")
nested = file.message_type.add(name="Outer").nested_type.add(name="Scored")
for number, (name, kind) in enumerate([("id", types.TYPE_STRING), ("version", types.TYPE_STRING), ("score", types.TYPE_DOUBLE), ("at", types.TYPE_MESSAGE)]):
    nested.field.add(name=name, number=number + 1, type=kind, label=types.LABEL_OPTIONAL, type_name=".google.protobuf.Timestamp" if name == "at" else None)
pool = descriptor_pool.Default()
pool.Add(file)
Scored = message_factory.GetMessageClass(pool.FindMessageTypeByName("shop.Outer.Scored"))
of_client = ProtobufSerializer(Scored, client, {"use.deprecated.format": False})
def in_protobuf(value, context):
    scored = Scored(id=value["id"], version=value["version"], score=value["score"])
    scored.at.FromMilliseconds(value["at"])
    return of_client(scored, context)
producer = Producer({"bootstrap.servers": brokers})
def told(error, message):
    if error is not None:
        raise Exception(error)
for topic, serializer in [(avro, AvroSerializer(client, record)), (plain, JSONSerializer(thing, client)), (proto, in_protobuf)]:
    for n in range(100):
        value = {"id": f"t-{n}", "version": f"v{n % 2 + 1}", "score": n / 100, "at": 1_700_000_000_000 + n}
        producer.produce(topic, serializer(value, SerializationContext(topic, MessageField.VALUE)), timestamp = value["at"], on_delivery = told)
producer.flush()
"#;

#[test]
fn records_of_confluents_own_client_are_read() {
    let python =
        crate::sql::python_with("python-registry", &["confluent-kafka[avro,json,protobuf,schemaregistry]==2.16.1"])
            .unwrap_or_else(|reason| panic!("no Python to test with: {reason}"));
    let (broker, double) = (Broker::shared(), Double::start());
    let topics = ["avro", "json", "protobuf"].map(|format| (format, broker.topic(format, 1)));
    let output = Command::new(python)
        .args(["-c", PRODUCER, &broker.bootstrap, &double.url(), &topics[0].1, &topics[1].1, &topics[2].1])
        .output()
        .expect("Python starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let scratch = tempfile::tempdir().expect("a folder");
    double.tell("/schemas/types", &json!(["AVRO", "JSON", "PROTOBUF"]));
    for (format, topic) in &topics {
        let text = pipeline(format, topic, &double);
        let config = scratch.path().join(format!("{format}.yaml"));
        std::fs::write(&config, text).expect("a file");
        let windows = config.with_extension("jsonl");
        one_log::haldane(
            Command::new(env!("CARGO_BIN_EXE_haldane"))
                .args(["run", "--until-end", "--config"])
                .arg(&config)
                .arg("--windows")
                .arg(&windows),
        );
        let text = std::fs::read_to_string(windows).expect("windows");
        let means: Vec<f64> = text
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).expect("a row"))
            .filter(|row| row["metric"] == "mean" && row["n"] == 50 && row["column"] == "score")
            .filter_map(|row| row["value"].as_f64())
            .collect();
        assert!(means.contains(&0.49) && means.contains(&0.5), "{format}: {text}");
        let doctor = Command::new(env!("CARGO_BIN_EXE_haldane")).arg("doctor").arg("-c").arg(&config).output();
        let told = String::from_utf8_lossy(&doctor.expect("the doctor").stdout).into_owned();
        assert!(told.contains(&format!("{} answers", double.url())), "{told}");
        assert!(told.contains("its newest 100 records can be read"), "{told}");
    }
}
