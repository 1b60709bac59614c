//! Good records of every format that pipelines read.

use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::DataType;
use arrow::ipc::CompressionType;
use arrow::ipc::writer::{IpcWriteOptions, StreamWriter};
use flate2::Compression;
use flate2::write::ZlibEncoder;
use haldane::config;
use haldane::decode::avro::fingerprint;
use haldane::decode::schema::{SchemaId, SchemaTexts};
use haldane::decode::{Decoder, decoder};
use haldane::plan::Plan;
use serde_json::{Value, json};

use crate::{avro, many_rows, nested_rows, open_inference, otlp, protobuf};

/// A header and its value.
type Header = (&'static str, Vec<u8>);

/// What a producer sent.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Sent {
    pub(super) key: Option<Vec<u8>>,
    pub(super) headers: Vec<Header>,
    pub(super) payload: Option<Vec<u8>>,
}

/// Good records of one kind.
pub(super) struct Golden {
    pub(super) name: &'static str,
    plan: Arc<Plan>,
    source: u16,
    pub(super) schemas: Vec<(SchemaId, SchemaTexts)>,
    pub(super) sent: Vec<Sent>,
    /// Whether each record is one row, taken or passed over.
    pub(super) is_one_row: bool,
}

impl Golden {
    fn new(name: &'static str, plan: &Arc<Plan>, source: u16, payloads: &[&[u8]]) -> Self {
        let sent = payloads.iter().map(|payload| Sent { payload: Some(payload.to_vec()), ..Sent::default() });
        Self { name, plan: Arc::clone(plan), source, schemas: Vec::new(), sent: sent.collect(), is_one_row: true }
    }

    fn of_many_rows(self) -> Self {
        Self { is_one_row: false, ..self }
    }

    fn with_schema(mut self, id: SchemaId, text: &str) -> Self {
        self.schemas.push((id, avro::texts(&[text])));
        self
    }

    fn with_headers(mut self, headers: &[(&'static str, &[u8])]) -> Self {
        let headers: Vec<Header> = headers.iter().map(|(name, value)| (*name, value.to_vec())).collect();
        self.sent.iter_mut().for_each(|sent| sent.headers.clone_from(&headers));
        self
    }

    fn with_key(mut self, key: &[u8]) -> Self {
        self.sent.iter_mut().for_each(|sent| sent.key = Some(key.to_vec()));
        self
    }

    /// A decoder that knows the schemas of these records.
    pub(super) fn decoder(&self) -> Box<dyn Decoder> {
        let mut decoder = decoder(&self.plan, self.source, 0);
        self.schemas.iter().for_each(|(id, texts)| decoder.learn(*id, Some(texts)));
        decoder
    }
}

fn parsed(text: &str) -> Arc<Plan> {
    config::parse(text, "p.yaml", Path::new("")).unwrap_or_else(|error| panic!("{error}")).plan
}

fn example(name: &str) -> Arc<Plan> {
    config::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("pipelines").join(name)).expect("an example").plan
}

fn file(path: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(path)).expect("a file")
}

/// All of them.
pub(super) fn all() -> Vec<Golden> {
    [json_records(), arrow_streams(), avro_records(), protobuf_records(), messages_of_servers()]
        .into_iter()
        .flatten()
        .collect()
}

const FLAT: &str = "
sources:
  predictions:
    topic: p
    where: { op: [c, u], $header.kind: scored }
    event_time: { path: at, unit: us }
    id: $key
    model: { constant: m }
    version: { path: model.name, match: '^v(\\d+)$' }
    segments: { country: place.country }
    entity: { path: meta.user, parse: json }
    score: scores[1]
    status: { path: status, ok: [OK] }
    latency: { path: took, unit: ms }
    features:
      numeric: { x: { path: 'f[name=x].value', range: [0, 10] } }
      vector: { path: v, names: [a, b, kind], categorical: [kind], ranges: { a: [0, 1], b: [0, 1] } }
";

/// Debezium's changes of a table.
const CHANGES: &str = "
sources:
  predictions: { topic: p, id: id, version: v, score: score }
  outcomes:
    topic: o
    where: { op: [c, u, r] }
    event_time: { path: ts_ms, unit: ms }
    id: after.id
    label: { path: after.status, positive: [chargeback] }
";

fn json_records() -> Vec<Golden> {
    let flat = |id: &str, score: f64| {
        json!({ "at": 1_700_000_000_000_000_i64, "op": "c", "model": { "name": "v2", "rest": [1, { "a": null }] },
            "place": { "country": "D\u{fc}ne \"x\"\\\n" }, "meta": { "user": "{\"n\": [1, \"u-1\"]}" },
            "scores": [1.0 - score, score], "status": "OK", "took": "12.5", "id": id,
            "f": [{ "name": "y", "value": 1 }, { "name": "x", "value": 3.25e0 }], "v": [0.5, null, "k"] })
        .to_string()
    };
    let (one, two) = (flat("r-1", 0.25), flat("r-2", 0.75));
    let plain = Golden::new("JSON", &parsed(FLAT), 0, &[one.as_bytes(), two.as_bytes()]);
    let change = |op: &str, status: &str| {
        let row = json!({ "id": "t-1", "status": status });
        json!({ "before": row, "after": row, "op": op, "source": { "ts_ms": 1, "table": "c" }, "ts_ms": 1_785_585_600_240_i64 })
            .to_string()
    };
    let (insert, update, delete) = (change("c", "open"), change("u", "chargeback"), change("d", "open"));
    let changes = [insert.as_bytes(), update.as_bytes(), delete.as_bytes()];
    let many = [json!([{ "score": 0.5, "x": [1] }, { "score": 0.25 }]), json!([]), json!([{ "score": null }])];
    let many = many.map(|instances| many_rows::record(&instances));
    let sites = [
        json!([nested_rows::site("a", &json!([nested_rows::call(0.5), nested_rows::call(0.25)]))]),
        json!([nested_rows::site("b", &json!([])), nested_rows::site("c", &json!([nested_rows::call(0.125)]))]),
    ];
    let nested = sites.map(|sites| nested_rows::record(&sites).to_string());
    let registry = parsed(
        "sources:\n  predictions: { topic: p, id: id, version: v, score: score }\nregistry: { url: 'http://host' }\n",
    );
    let schema = br#"{"id":"t-1","v":"v2","score":0.25}"#;
    vec![
        plain.with_key(b"r-1").with_headers(&[("kind", b"scored"), ("trace", &[0xff])]),
        Golden::new("Debezium", &parsed(CHANGES), 1, &changes),
        Golden::new("JSON, many rows", &parsed(many_rows::PIPELINE), 0, &many.each_ref().map(String::as_bytes))
            .of_many_rows(),
        Golden::new("JSON, nested rows", &nested_rows::plan("json"), 0, &nested.each_ref().map(String::as_bytes))
            .of_many_rows(),
        Golden::new("JSON Schema", &registry, 0, &[&[&[0, 0, 0, 0, 7][..], schema].concat(), schema]),
        cloud_events_binary(),
        cloud_events_structured(),
    ]
}

const ANSWERED: &str = "org.kubeflow.serving.inference.response";

fn cloud_events_binary() -> Golden {
    let headers: [(&str, &[u8]); 6] = [
        ("ce_specversion", b"1.0"),
        ("ce_id", b"9c1f"),
        ("ce_type", ANSWERED.as_bytes()),
        ("ce_source", b"fraud-predictor-00002-deployment-7d9"),
        ("ce_time", b"2026-08-01T12:00:00.121Z"),
        ("ce_metadata", br#"{"x-user":["u-17"]}"#),
    ];
    let payloads: [&[u8]; 2] = [br#"{"predictions":[0.03,0.81]}"#, br#"{"predictions":[0.5]}"#];
    Golden::new("CloudEvents, binary", &example("kserve.yaml"), 0, &payloads).with_headers(&headers).of_many_rows()
}

fn cloud_events_structured() -> Golden {
    let event = |answers: Value| {
        json!({ "specversion": "1.0", "id": "9c1f", "type": ANSWERED, "source": "fraud-predictor-00002-deployment-7d9",
            "time": "2026-08-01T12:00:00.121Z", "metadata": "{\"x-user\":[\"u-17\"]}",
            "data": { "predictions": answers } })
        .to_string()
    };
    let (one, two) = (event(json!([0.03, 0.81])), event(json!([0.5])));
    Golden::new("CloudEvents, structured", &example("kserve.yaml"), 0, &[one.as_bytes(), two.as_bytes()])
        .with_headers(&[("content-type", b"application/cloudevents+json; charset=utf-8")])
        .of_many_rows()
}

fn stream(table: &RecordBatch, packed: Option<CompressionType>) -> Vec<u8> {
    let options = IpcWriteOptions::default().try_with_compression(packed).expect("a way to pack");
    let mut writer = StreamWriter::try_new_with_options(Vec::new(), &table.schema(), options).expect("a writer");
    writer.write(table).expect("a table");
    writer.into_inner().expect("a stream")
}

fn arrow_streams() -> Vec<Golden> {
    let kinds = StringArray::from(vec!["v1", "v2", "v1"]);
    let kinds =
        arrow::compute::cast(&kinds, &DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8)))
            .expect("texts of few kinds");
    let columns: [(&str, ArrayRef, bool); 5] = [
        ("at", Arc::new(Int64Array::from(vec![1, 2, 3])), false),
        ("id", Arc::new(StringArray::from(vec![Some("a"), Some("b"), Some("c")])), true),
        ("v", kinds, true),
        ("score", Arc::new(Float64Array::from(vec![Some(0.5), Some(0.25), None])), true),
        ("unread", Arc::new(StringArray::from(vec!["x"; 3])), true),
    ];
    let table = RecordBatch::try_from_iter_with_nullable(columns).expect("columns of one length");
    let flat = parsed(
        "sources:\n  predictions: { topic: p, format: arrow_ipc, event_time: { path: at, unit: us }, id: id, version: v, score: score }\n",
    );
    let lists = many_rows::table(&[Some(vec![Some(0.5), None, Some(0.25)]), Some(vec![]), Some(vec![Some(0.125)])]);
    let nested = parsed(&many_rows::PIPELINE.replace("    rows:", "    format: arrow_ipc\n    rows:"));
    let all = [None, Some(CompressionType::LZ4_FRAME), Some(CompressionType::ZSTD)];
    let of = |table: &RecordBatch| all.map(|packed| stream(table, packed));
    let (flat_streams, nested_streams) = (of(&table), of(&lists));
    vec![
        Golden::new("Arrow", &flat, 0, &flat_streams.each_ref().map(Vec::as_slice)).of_many_rows(),
        Golden::new("Arrow, nested rows", &nested, 0, &nested_streams.each_ref().map(Vec::as_slice)).of_many_rows(),
    ]
}

fn avro_records() -> Vec<Golden> {
    let uuid = SchemaId::Uuid(u128::from_be_bytes(avro::UUID));
    let own = fingerprint(avro::SCORED).expect("a schema");
    let mut packed = ZlibEncoder::new([&[3, 5][..], &avro::UUID].concat(), Compression::default());
    packed.write_all(&avro::BODY).expect("in memory");
    let packed = packed.finish().expect("in memory");
    let body = |head: &[u8]| [head, &avro::BODY].concat();
    let scored = |name, frame, payload: &[u8], id| {
        let other = [payload, &[]].concat();
        Golden::new(name, &avro::plan(frame, avro::SIMPLE), 0, &[payload, &other]).with_schema(id, avro::SCORED)
    };
    let global = 42_i64.to_be_bytes();
    let (number, guid) = ([0, 0, 0, 0, 42], [&[1][..], &avro::UUID].concat());
    let texts = [&[4, 6][..], b"0.5"].concat();
    let every =
        [avro::of_every(0, &texts, &[4, 6]), avro::of_every(1, &[2, 6], &[2, 2, b'y']), avro::of_every(1, &[0], &[0])];
    let nested = [json!([nested_rows::site("a", &json!([nested_rows::call(0.5)]))]), json!([])]
        .map(|sites| avro::framed(1, &nested_rows::schema(), &nested_rows::record(&sites)));
    vec![
        scored("Avro, Confluent", "auto", &body(&number), SchemaId::Number(42)),
        scored("Avro, Apicurio", "apicurio8", &body(&[&[0][..], &global].concat()), SchemaId::Global(42)),
        scored("Avro, Glue", "auto", &body(&[&[3, 0][..], &avro::UUID].concat()), uuid),
        scored("Avro, Glue packed", "glue", &packed, uuid),
        scored(
            "Avro, single object",
            "auto",
            &body(&[&[0xc3, 1][..], &own.to_le_bytes()].concat()),
            SchemaId::Fingerprint(own),
        ),
        scored("Avro, number in a header", "header", &avro::BODY, SchemaId::Number(42))
            .with_headers(&[("__value_schema_id", &number)]),
        scored("Avro, UUID in a header", "auto", &avro::BODY, uuid).with_headers(&[("__value_schema_id", &guid)]),
        scored("Avro, Apicurio's header", "header", &avro::BODY, SchemaId::Content(42))
            .with_headers(&[("apicurio.value.contentId", &global)]),
        Golden::new("Avro, every kind", &avro::every(), 0, &every.each_ref().map(Vec::as_slice))
            .with_schema(SchemaId::Number(1), avro::EVERY),
        Golden::new("Avro, nested rows", &nested_rows::plan("avro"), 0, &nested.each_ref().map(Vec::as_slice))
            .with_schema(SchemaId::Number(1), &nested_rows::schema().to_string())
            .of_many_rows(),
    ]
}

fn protobuf_records() -> Vec<Golden> {
    let body = |head: &[u8]| [head, &protobuf::BODY].concat();
    let global = 9_i64.to_be_bytes();
    let of = |name, frame, payload: &[u8], id, schema: &str| {
        Golden::new(name, &protobuf::plan(frame, protobuf::SIMPLE), 0, &[payload]).with_schema(id, schema)
    };
    let named = [8, 10, 6, b'S', b'c', b'o', b'r', b'e', b'd'];
    let (whole, least) = (file("protobuf/whole.pb"), file("protobuf/least.pb"));
    let every = protobuf::every("{ file: every.desc, message: haldane.test.Every }");
    let truth = |id: &[u8]| {
        let at = protobuf::bytes(3, &protobuf::whole(1, 1_700_000_000));
        protobuf::bytes(1, &[protobuf::bytes(1, id), protobuf::whole(2, 2), at].concat())
    };
    let (one, two) = (truth(b"t-1"), [truth(b"t-2"), truth(b"t-3")].concat());
    let nine = SchemaId::Number(9);
    vec![
        of("Protobuf, Confluent", "auto", &body(&[0, 0, 0, 0, 9, 0]), nine, protobuf::SCORED),
        of("Protobuf, indexes", "confluent", &body(&[0, 0, 0, 0, 9, 4, 2, 0]), nine, protobuf::NESTED),
        of(
            "Protobuf, by name",
            "apicurio8",
            &body(&[&[0][..], &global, &named].concat()),
            SchemaId::Global(9),
            protobuf::SCORED,
        ),
        of("Protobuf, in a header", "header", &protobuf::BODY, nine, protobuf::NESTED)
            .with_headers(&[("__value_schema_id", &[0, 0, 0, 0, 9, 4, 2, 0])]),
        Golden::new("Protobuf, every kind", &every, 0, &[&whole, &least]),
        Golden::new("Protobuf, many rows", &example("fraud-protobuf.yaml"), 1, &[&one, &two]).of_many_rows(),
    ]
}

fn messages_of_servers() -> Vec<Golden> {
    let requests = open_inference::messages();
    let requests: Vec<&[u8]> = requests.iter().map(Vec::as_slice).collect();
    let (answer, other) = (open_inference::answer("r-1", &[0.25, 0.5]), open_inference::answer("r-2", &[0.75]));
    let seldon = [("x-request-id", &b"r-1"[..]), ("seldon-infer-type", b"proto/InferModelResponse")];
    let servers = parsed(open_inference::PIPELINE);
    let of_classes =
        parsed(&open_inference::PIPELINE.replace("outputs[name=probability]", "outputs[name=probability][1]"));
    let kserve =
        ["kserve-response.json", "kserve-response-binary.bin", "kserve-response-fp16.bin", "kserve-response.pb"]
            .map(|name| file(&format!("open_inference/{name}")));
    let spans = [file("otlp/spans.json"), file("otlp/spans.pb")];
    let logs = [file("otlp/logs.json"), file("otlp/logs.pb")];
    let of_otlp =
        |name, plan: &Arc<Plan>, source, payload: &Vec<u8>| Golden::new(name, plan, source, &[payload]).of_many_rows();
    let (json, protobuf) = (example("otel-genai.yaml"), otlp::in_protobuf("otel-genai.yaml"));
    vec![
        Golden::new("Open Inference, requests", &servers, open_inference::FEATURES, &requests).of_many_rows(),
        Golden::new("Open Inference, answers", &servers, open_inference::PREDICTIONS, &[&answer, &other])
            .of_many_rows()
            .with_headers(&seldon),
        Golden::new(
            "Open Inference, KServe",
            &of_classes,
            open_inference::PREDICTIONS,
            &kserve.each_ref().map(Vec::as_slice),
        )
        .of_many_rows(),
        of_otlp("OTLP, spans in JSON", &json, 0, &spans[0]),
        of_otlp("OTLP, spans", &protobuf, 0, &spans[1]),
        of_otlp("OTLP, logs in JSON", &json, 1, &logs[0]),
        of_otlp("OTLP, logs", &protobuf, 1, &logs[1]),
    ]
}
