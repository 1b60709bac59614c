//! How fast records become columns: haldane's JSON scanner and its decoders of Arrow IPC, Avro and Protobuf against
//! `serde_json`, alternating in one process, in CPU time of the thread.
//!
//! `cargo bench --bench decode` prints a table for prediction events of about 630 bytes with 30 numbers (5 of them
//! often missing) and 5 categories. The goal is at least 3 times the speed of `serde_json` into a borrowed struct, and
//! 4 times for Avro, 2 for Protobuf. The rivals only add up what they read, which is less work than columns. A second
//! table has answers of model servers in the Open Inference Protocol against the flat event. `cargo test --bench
//! decode` does it once, over a few events.

#[path = "decode/served.rs"]
mod served;

use std::fmt::Write as _;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow::ipc::writer::StreamWriter;
use haldane::decode::schema::SchemaId;
use haldane::decode::{Decoder, Record, decoder};
use haldane::event::{EventKind, SECOND, stable_hash};
use haldane::kernel::bin::Edges;
use haldane::kernel::moment::Grid;
use haldane::plan::{
    Bounds, CategoricalColumn, ColumnRole, Columns, FieldSource, Format, Mapping, MetricsPlan, NumericColumn,
    NumericField, Path, Plan, PolicyPlan, SourcePlan, TimeFormat, TimePlan, WallClock, WindowKind,
};
use haldane::summary::histogram::{Cut, Recuts};
use serde::Deserialize;
use serde_json::{Value, json};

const N_NUMERIC: usize = 30;
const N_CATEGORICAL: usize = 5;
const BATCH_ROWS: usize = 8192;
const IPC_ROWS: usize = 1000;
const RATIO_GOAL: f64 = 3.0;
const AVRO_GOAL: f64 = 4.0;
const JSON_RATIO_GOAL: f64 = 1.5;
const PROTOBUF_RATIO_GOAL: f64 = 2.0;
const START: i64 = 1_700_000_000_000_000;

/// Name, and what reads the whole log.
type Rival<'a> = (&'static str, Box<dyn FnMut() -> Sum + 'a>);

fn main() {
    let measures = std::env::args().any(|argument| argument == "--bench");
    let tiny = !measures || std::env::args().any(|argument| argument == "--test");
    let (n, rounds) = if tiny { (1000, 1) } else { (40_000, 9) };
    let log = Log::new(n, false);
    let rivals: Vec<Rival<'_>> = vec![
        ("serde_json, borrowed struct", Box::new(|| log.json.iter().map(|text| typed(text)).collect())),
        ("serde_json::Value", Box::new(|| log.json.iter().map(|text| untyped(text)).collect())),
        ("haldane, JSON", Box::new(columns(Format::Json, &log.json))),
        ("haldane, JSON, any key order", Box::new(columns(Format::Json, &log.shuffled))),
        ("haldane, Arrow IPC", Box::new(columns(Format::ArrowIpc, &log.ipc))),
        ("haldane, Avro", Box::new(columns(Format::Avro, &log.avro))),
        ("haldane, Protobuf", Box::new(columns(Format::Protobuf, &log.protobuf))),
    ];
    race(rivals, rounds, &log);
    println!(
        "goal: haldane, JSON at least {RATIO_GOAL} times the borrowed struct, Avro {AVRO_GOAL}, Protobuf {PROTOBUF_RATIO_GOAL}"
    );
    answers(n, rounds);
}

/// The same where events are answers of a model server, which lack no values.
fn answers(n: i64, rounds: usize) {
    let log = Log::new(n, true);
    let [json, vector, wide] = &log.answers;
    let rivals: Vec<Rival<'_>> = vec![
        ("serde_json, flat, borrowed struct", Box::new(|| log.json.iter().map(|text| typed(text)).collect())),
        ("Open Inference, JSON", Box::new(columns_of(plan_of_answers(false), json))),
        ("Open Inference, protobuf", Box::new(columns_of(plan_of_answers(false), vector))),
        ("the same, a tensor a feature", Box::new(columns_of(plan_of_answers(true), wide))),
    ];
    race(rivals, rounds, &log);
    println!(
        "goal: JSON at least {JSON_RATIO_GOAL} times, protobuf at least {PROTOBUF_RATIO_GOAL} times the flat event"
    );
}

/// Lets rivals read the log in turns, and tells how long each took.
fn race(mut rivals: Vec<Rival<'_>>, rounds: usize, log: &Log) {
    let mut seconds = vec![Vec::new(); rivals.len()];
    for round in 0..rounds {
        for i in 0..rivals.len() {
            let i = if round % 2 == 0 { i } else { rivals.len() - 1 - i };
            let from = cpu_seconds();
            let sum = (rivals[i].1)();
            seconds[i].push(cpu_seconds() - from);
            assert_eq!(sum, log.sum, "{} reads every value", rivals[i].0);
        }
    }
    let names: Vec<&str> = rivals.iter().map(|rival| rival.0).collect();
    let medians: Vec<f64> = seconds.into_iter().map(median).collect();
    report(&names, &medians, log);
}

#[expect(clippy::cast_precision_loss, reason = "rates for people")]
fn report(names: &[&str], seconds: &[f64], log: &Log) {
    let bytes: usize = log.json.iter().map(Vec::len).sum();
    let n = log.json.len() as f64;
    println!("{} events of {:.0} bytes as JSON", log.json.len(), bytes as f64 / n);
    println!("{:32} {:>9} {:>12} {:>6}", "", "ns/event", "k events/s", "ratio");
    for (name, seconds_each) in names.iter().zip(seconds) {
        let rate = n / seconds_each / 1e3;
        println!("{name:32} {:>9.0} {rate:>12.0} {:>6.2}", seconds_each / n * 1e9, seconds[0] / seconds_each);
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// CPU time of this thread.
#[expect(clippy::cast_precision_loss, reason = "a difference of nanoseconds")]
fn cpu_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux tells the CPU time of a thread");
    let nanos: u64 =
        text.split(' ').next().and_then(|text| text.parse().ok()).expect("the first number is the CPU time");
    nanos as f64 * 1e-9
}

/// What must come out of every decoder: enough of it to see that nothing was left out.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct Sum {
    n: usize,
    /// Sum of all numbers, which are multiples of 2^-6, so that no order loses a bit.
    numbers: f64,
    n_missing: usize,
    ids: u64,
    times: i64,
}

impl Sum {
    fn add_number(&mut self, value: Option<f64>) {
        self.numbers += value.unwrap_or_default();
        self.n_missing += usize::from(value.is_none());
    }
}

impl FromIterator<Sum> for Sum {
    fn from_iter<I: IntoIterator<Item = Sum>>(sums: I) -> Self {
        sums.into_iter().fold(Self::default(), |all, one| Self {
            n: all.n + one.n,
            numbers: all.numbers + one.numbers,
            n_missing: all.n_missing + one.n_missing,
            ids: all.ids.wrapping_add(one.ids),
            times: all.times.wrapping_add(one.times),
        })
    }
}

macro_rules! features {
    ($($name:ident)*) => {
        #[derive(Deserialize)]
        struct Features { $($name: Option<f64>,)* }
        impl Features {
            fn values(&self) -> [Option<f64>; N_NUMERIC] { [$(self.$name,)*] }
        }
    };
}
features!(f00 f01 f02 f03 f04 f05 f06 f07 f08 f09 f10 f11 f12 f13 f14 f15 f16 f17 f18 f19 f20 f21 f22 f23 f24 f25 f26 f27 f28 f29);

#[derive(Deserialize)]
#[expect(dead_code, reason = "read, not used")]
struct Categories<'a> {
    c0: &'a str,
    c1: &'a str,
    c2: &'a str,
    c3: &'a str,
    c4: &'a str,
}

#[derive(Deserialize)]
struct Event<'a> {
    model: &'a str,
    version: &'a str,
    #[serde(rename = "request_id")]
    id: &'a str,
    #[serde(rename = "event_time_us")]
    time: i64,
    latency_ms: f64,
    status: i16,
    score: f64,
    features: Features,
    #[serde(borrow)]
    categories: Categories<'a>,
}

fn typed(text: &[u8]) -> Sum {
    let event: Event<'_> = serde_json::from_slice(text).expect("the log is good");
    let mut sum = Sum { n: 1, ids: stable_hash(event.id.as_bytes()), times: event.time, ..Sum::default() };
    event.features.values().into_iter().for_each(|value| sum.add_number(value));
    sum.add_number(Some(event.score));
    sum.add_number(Some(event.latency_ms));
    std::hint::black_box((event.model, event.version, event.status, event.categories));
    sum
}

fn untyped(text: &[u8]) -> Sum {
    let event: Value = serde_json::from_slice(text).expect("the log is good");
    let id = event["request_id"].as_str().unwrap_or_default();
    let times = event["event_time_us"].as_i64().unwrap_or_default();
    let mut sum = Sum { n: 1, ids: stable_hash(id.as_bytes()), times, ..Sum::default() };
    (0..N_NUMERIC).for_each(|i| sum.add_number(event["features"][format!("f{i:02}").as_str()].as_f64()));
    sum.add_number(event["score"].as_f64());
    sum.add_number(event["latency_ms"].as_f64());
    std::hint::black_box(&event);
    sum
}

/// A decoder that lives through all rounds, as in the service.
fn columns(format: Format, payloads: &[Vec<u8>]) -> impl FnMut() -> Sum {
    columns_of(plan(format), payloads)
}

fn columns_of(plan: Plan, payloads: &[Vec<u8>]) -> impl FnMut() -> Sum {
    let plan = Arc::new(plan);
    let mut taker = decoder(&plan, 0, 0);
    let schema = if plan.sources[0].format == Format::Protobuf { messages() } else { schema().to_string() };
    taker.learn(SchemaId::Number(1), Some(&[schema].into()));
    move || {
        let mut sum = Sum::default();
        for payload in payloads {
            taker.push(&Record {
                offset: 0,
                broker_time: START * 2,
                key: None,
                payload: Some(payload),
                headers: &[],
                topic: "t",
            });
            if taker.n_pending() >= BATCH_ROWS {
                sum = [sum, finish(taker.as_mut())].into_iter().collect();
            }
        }
        [sum, finish(taker.as_mut())].into_iter().collect()
    }
}

fn finish(taker: &mut dyn Decoder) -> Sum {
    let decoded = taker.finish();
    assert!(decoded.rejects.is_empty(), "{:?}", decoded.rejects);
    let batch = std::hint::black_box(decoded.batch);
    Sum {
        n: batch.len(),
        numbers: batch.numeric.iter().filter_map(arrow::compute::sum).sum(),
        n_missing: batch.numeric.iter().map(Array::null_count).sum(),
        ids: batch.id.values().iter().fold(0, |sum, id| sum.wrapping_add(*id)),
        times: batch.event_time.values().iter().fold(0, |sum, time| sum.wrapping_add(*time)),
    }
}

fn plan_of_answers(is_wide: bool) -> Plan {
    let mut plan = plan(Format::OpenInference);
    plan.sources[0].mapping = served::mapping(is_wide);
    plan
}

fn plan(format: Format) -> Plan {
    let path = |dotted: &str| dotted.split('.').map(str::to_owned).collect::<Path>();
    let features = (0..N_NUMERIC).map(|i| format!("f{i:02}"));
    let edges = Edges::new(vec![0.0]).expect("one edge increases");
    let cut = Arc::new(Cut { edges: edges.clone(), grid: Grid::for_range(0.0, 1.0), recuts: Recuts::default() });
    let numeric = |name: String, role| NumericColumn { name, role, cut: Arc::clone(&cut) };
    let field = |dotted: &str| Some(NumericField { path: path(dotted), factor: 1.0 });
    let mapping = Mapping {
        id: Some(path("request_id")),
        event_time: Some((path("event_time_us"), TimeFormat::Micros)),
        model: FieldSource::Path(path("model")),
        version: FieldSource::Path(path("version")),
        numeric: features
            .clone()
            .map(|name| field(&format!("features.{name}")))
            .chain([field("score"), field("latency_ms")])
            .collect(),
        categorical: (0..N_CATEGORICAL).map(|i| Some(path(&format!("categories.c{i}")))).collect(),
        status: Some(path("status")),
        ..Mapping::default()
    };
    Plan {
        name: "bench".into(),
        digest: "b3:bench".into(),
        sources: vec![SourcePlan { kind: EventKind::Prediction, topic: "predictions".into(), format, mapping }],
        segments: vec![],
        columns: Columns {
            numeric: features
                .map(|name| numeric(name, ColumnRole::Feature))
                .chain([numeric("score".into(), ColumnRole::Score), numeric("latency".into(), ColumnRole::Latency)])
                .collect(),
            categorical: (0..N_CATEGORICAL).map(|i| CategoricalColumn::new(format!("c{i}"))).collect(),
        },
        time: TimePlan {
            pane: SECOND,
            window: WindowKind::Sliding { size: SECOND, slide: SECOND },
            clock: WallClock::default(),
            lateness: SECOND,
            skew_max: SECOND,
            jump_max: SECOND,
            jump_confirmations: 1,
            idle_after: SECOND,
            early_every: SECOND,
            revise_for: SECOND,
        },
        quality: None,
        shadow: None,
        baselines: vec![],
        reference: None,
        metrics: MetricsPlan { names: vec![], compat: vec![], bins: 10 },
        policy: PolicyPlan::default(),
        bounds: Bounds::default(),
    }
}

/// A xorshift generator.
struct Rng(u64);

impl Rng {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }

    /// A number with four decimals or fewer, a multiple of 2^-4.
    #[expect(clippy::cast_precision_loss, reason = "small")]
    fn number(&mut self) -> f64 {
        self.below(1 << 12) as f64 / 16.0
    }
}

/// One generated event.
struct Drawn {
    id: String,
    time: i64,
    latency: f64,
    score: f64,
    features: Vec<Option<f64>>,
    categories: Vec<String>,
}

impl Drawn {
    fn new(rng: &mut Rng, i: i64, is_whole: bool) -> Self {
        Self {
            id: format!("{:016x}", rng.below(u64::MAX)),
            time: START + i * 137,
            latency: rng.number(),
            score: rng.number() / 256.0,
            features: (0..N_NUMERIC)
                .map(|i| (i % 6 != 5 || is_whole || rng.below(4) > 0).then(|| rng.number() - 128.0))
                .collect(),
            categories: (0..N_CATEGORICAL).map(|i| format!("cat-{}", rng.below(4 << i))).collect(),
        }
    }

    fn json(&self, order: &[usize]) -> Vec<u8> {
        let mut features = String::new();
        for &i in order {
            let value = self.features[i].map_or("null".to_owned(), |value| format!("{value:.4}"));
            let _ = write!(features, "{}\"f{i:02}\":{value}", if features.is_empty() { "" } else { "," });
        }
        let categories: Vec<String> =
            self.categories.iter().enumerate().map(|(i, text)| format!("\"c{i}\":\"{text}\"")).collect();
        format!(
            r#"{{"model":"fraud","version":"v17","request_id":"{}","event_time_us":{},"latency_ms":{:.4},"status":200,"score":{},"features":{{{features}}},"categories":{{{}}}}}"#,
            self.id, self.time, self.latency, self.score, categories.join(",")
        )
        .into_bytes()
    }

    /// In the order of [`schema`], in Confluent's frame.
    fn avro(&self) -> Vec<u8> {
        let mut out = vec![0, 0, 0, 0, 1];
        let text = |text: &str, out: &mut Vec<u8>| {
            long(i64::try_from(text.len()).expect("a short text"), out);
            out.extend(text.as_bytes());
        };
        ["fraud", "v17", &self.id].into_iter().for_each(|one| text(one, &mut out));
        long(self.time, &mut out);
        out.extend(self.latency.to_le_bytes());
        long(200, &mut out);
        out.extend(self.score.to_le_bytes());
        for feature in &self.features {
            long(i64::from(feature.is_some()), &mut out);
            out.extend(feature.iter().flat_map(|number| number.to_le_bytes()));
        }
        self.categories.iter().for_each(|one| text(one, &mut out));
        out
    }
}

/// What events are as messages of Protobuf.
fn messages() -> String {
    let features: Vec<String> = (0..N_NUMERIC).map(|i| format!("optional double f{i:02} = {};", i + 1)).collect();
    let categories: Vec<String> = (0..N_CATEGORICAL).map(|i| format!("string c{i} = {};", i + 1)).collect();
    let (features, categories) = (features.concat(), categories.concat());
    format!(
        "syntax = \"proto3\"; message Event {{ string model = 1; string version = 2; string request_id = 3;
         int64 event_time_us = 4; double latency_ms = 5; int32 status = 6; double score = 7;
         message Features {{ {features} }} Features features = 8;
         message Categories {{ {categories} }} Categories categories = 9; }}"
    )
}

/// What events are as records of Avro.
fn schema() -> Value {
    let fields = |names: Vec<(String, Value)>| {
        names.into_iter().map(|(name, kind)| json!({ "name": name, "type": kind })).collect::<Vec<_>>()
    };
    let record = |name: &str, names| json!({ "type": "record", "name": name, "fields": fields(names) });
    let optional = json!(["null", "double"]);
    let features = (0..N_NUMERIC).map(|i| (format!("f{i:02}"), optional.clone())).collect();
    let categories = (0..N_CATEGORICAL).map(|i| (format!("c{i}"), json!("string"))).collect();
    let plain = [("model", "string"), ("version", "string"), ("request_id", "string"), ("event_time_us", "long")]
        .into_iter()
        .chain([("latency_ms", "double"), ("status", "int"), ("score", "double")]);
    let plain = plain.map(|(name, kind)| (name.to_owned(), json!(kind)));
    let nested = [("features", record("Features", features)), ("categories", record("Categories", categories))];
    record("Event", plain.chain(nested.map(|(name, kind)| (name.to_owned(), kind))).collect())
}

/// A whole number as Avro writes it.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "seven bits at a time")]
fn long(value: i64, out: &mut Vec<u8>) {
    let mut rest = ((value << 1) ^ (value >> 63)) as u64;
    while rest >= 0x80 {
        out.push((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// The same events in every format.
struct Log {
    json: Vec<Vec<u8>>,
    shuffled: Vec<Vec<u8>>,
    ipc: Vec<Vec<u8>>,
    avro: Vec<Vec<u8>>,
    protobuf: Vec<Vec<u8>>,
    /// As answers of a model server: in JSON, as protobuf, and as protobuf with a tensor for each feature.
    answers: [Vec<Vec<u8>>; 3],
    sum: Sum,
}

impl Log {
    fn new(n: i64, is_whole: bool) -> Self {
        let mut rng = Rng(0x9E37_79B9_7F4A_7C15);
        let events: Vec<Drawn> = (0..n).map(|i| Drawn::new(&mut rng, i, is_whole)).collect();
        let order: Vec<usize> = (0..N_NUMERIC).collect();
        let json: Vec<Vec<u8>> = events.iter().map(|event| event.json(&order)).collect();
        let shuffled = events.iter().map(|event| {
            let mut order = order.clone();
            order.sort_by_cached_key(|_| rng.below(u64::MAX));
            event.json(&order)
        });
        let shuffled = shuffled.collect();
        let sum = json.iter().map(|text| untyped(text)).collect();
        let avro = events.iter().map(Drawn::avro).collect();
        let protobuf = events.iter().map(served::message).collect();
        let answers = [
            events.iter().map(served::json).collect(),
            events.iter().map(|event| served::protobuf(event, false)).collect(),
            events.iter().map(|event| served::protobuf(event, true)).collect(),
        ];
        Self { json, shuffled, ipc: events.chunks(IPC_ROWS).map(ipc).collect(), avro, protobuf, answers, sum }
    }
}

fn ipc(events: &[Drawn]) -> Vec<u8> {
    let text = |get: &dyn Fn(&Drawn) -> String| {
        Arc::new(events.iter().map(|event| Some(get(event))).collect::<StringArray>()) as ArrayRef
    };
    let number =
        |get: &dyn Fn(&Drawn) -> Option<f64>| Arc::new(events.iter().map(get).collect::<Float64Array>()) as ArrayRef;
    let times = Arc::new(events.iter().map(|event| event.time).collect::<Int64Array>());
    let mut columns: Vec<(String, ArrayRef)> = vec![
        ("model".into(), text(&|_| "fraud".into())),
        ("version".into(), text(&|_| "v17".into())),
        ("request_id".into(), text(&|event| event.id.clone())),
        ("event_time_us".into(), times),
        ("score".into(), number(&|event| Some(event.score))),
        ("latency_ms".into(), number(&|event| Some(event.latency))),
    ];
    columns.extend((0..N_NUMERIC).map(|i| (format!("f{i:02}"), number(&|event| event.features[i]))));
    columns.extend((0..N_CATEGORICAL).map(|i| (format!("c{i}"), text(&|event| event.categories[i].clone()))));
    let table = RecordBatch::try_from_iter(columns).expect("columns of one length");
    let mut writer = StreamWriter::try_new(Vec::new(), &table.schema()).expect("a writer in memory");
    writer.write(&table).expect("a writer in memory");
    writer.into_inner().expect("a writer in memory")
}
