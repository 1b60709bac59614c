//! Live over a real Apache Kafka gives what the engine gives over the same log in memory: however the topics are
//! partitioned, however many shards read, and wherever the process is killed.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use haldane::config::KafkaConfig;
use haldane::engine::{Effects, Engine};
use haldane::error::{Error, Result};
use haldane::event::{Micros, SECOND, stable_hash};
use haldane::kafka::clock::now;
use haldane::kafka::connection::Connection;
use haldane::kafka::producer::Producer;
use haldane::kafka::standalone::{self, RunOptions};
use haldane::kafka::summary::RunSummary;
use haldane::kafka::watch::{Audience, Keeper};
use haldane::kafka::{cloud_event, judging, scanning, whole_topic};
use haldane::plan::{Condition, FieldSource, NumericField, Path, Plan, Selection, TimeFormat, WindowKind};
use haldane::scan::StreamCounts;
use haldane::verdict::Decision;
use rdkafka::message::{Headers as _, Message as _};
use rdkafka::producer::BaseRecord;
use serde_json::{Value, json};

use crate::broker::Broker;
use crate::kafka::settings;
use crate::replay_laws::{Trace, assert_same};
use crate::world::{self, Event, Rng};

/// Kafka's record times are milliseconds; zero would mean "now".
pub(crate) const EPOCH: Micros = 1_700_000_000 * SECOND;
const TUMBLING: WindowKind = WindowKind::Sliding { size: 30 * SECOND, slide: 30 * SECOND };

/// Many batches and many commits, so that a crash falls between them.
pub(crate) const SMALL_STEPS: RunOptions =
    RunOptions { until_end: false, shards: 1, batch_records_max: 50, beat: Duration::from_millis(5), alone: true };

pub(crate) fn log() -> Vec<Event> {
    at_epoch(world::log(7, 1_500))
}

/// A log whose times Kafka can hold.
pub(crate) fn at_epoch(mut log: Vec<Event>) -> Vec<Event> {
    for event in &mut log {
        event.time += EPOCH;
        event.broker_time = (event.broker_time + EPOCH) / 1_000 * 1_000;
    }
    log
}

fn id(event: &Event) -> String {
    format!("{:016x}", event.id)
}

/// What records call themselves, by the source that they are of.
const KINDS: [&str; 2] = ["prediction", "outcome"];

fn json(event: &Event) -> Value {
    let mut value = json!({"at": event.time, "id": id(event), "kind": KINDS[usize::from(event.source)]});
    let body = value.as_object_mut().unwrap();
    if event.source == 1 {
        body.insert("label".into(), json!(event.label));
        return value;
    }
    let prediction = json!({
        "model": "m", "version": event.version, "region": event.segment, "latency": event.latency_ms,
        "status": event.status, "x": event.x, "color": event.color,
        "score": (event.status == 200).then_some(event.score),
    });
    body.extend(prediction.as_object().unwrap().clone());
    value
}

fn path(name: &str) -> Path {
    name.parse().unwrap()
}

fn plan(topics: [&str; 2]) -> Plan {
    let mut plan = world::plan(TUMBLING);
    let numeric = |name: &str| Some(NumericField { path: path(name), factor: 1.0 });
    for (source, topic) in plan.sources.iter_mut().zip(topics) {
        topic.clone_into(&mut source.topic);
        source.mapping.id = Some(path("id"));
        source.mapping.event_time = Some((path("at"), TimeFormat::Micros));
    }
    let mapping = &mut plan.sources[0].mapping;
    mapping.model = FieldSource::Path(path("model"));
    mapping.version = FieldSource::Path(path("version"));
    mapping.segments = vec![path("region")];
    mapping.numeric = vec![numeric("x"), numeric("score"), numeric("latency")];
    mapping.categorical = vec![Some(path("color"))];
    mapping.status = Some(path("status"));
    plan.sources[1].mapping.label = Some(path("label"));
    plan
}

/// What the engine says of the log when no Kafka is between.
pub(crate) fn in_memory(log: &[Event], lanes: u32) -> Trace {
    // Partitions go by the ids that the log has, and the engine's own are digests of what is written of them.
    let digested = |event: &Event| Event { id: stable_hash(id(event).as_bytes()), ..event.clone() };
    let streams = world::streams(log, lanes).into_iter();
    let streams: BTreeMap<_, Vec<Event>> =
        streams.map(|(key, events)| (key, events.into_iter().map(digested).collect())).collect();
    let streams = streams.iter().map(|(key, events)| (*key, events.iter().collect())).collect();
    let mut trace = Trace::default();
    let mut engine = Engine::new(Arc::new(plan(["p", "o"])), lanes);
    world::feed(&mut engine, &streams, &BTreeMap::new(), (100, &mut Rng::new(1)), |_, effects| {
        trace.take(effects);
        true
    });
    trace
}

/// A broker with the log on two topics, and everything needed to run over it.
pub(crate) struct Stage {
    pub(crate) settings: KafkaConfig,
    pub(crate) topics: [String; 2],
    pub(crate) plan: Arc<Plan>,
}

impl Stage {
    pub(crate) fn set(log: &[Event], partitions: u32) -> Self {
        let broker = Broker::shared();
        let count = i32::try_from(partitions).unwrap();
        let topics = [broker.topic("predictions", count), broker.topic("outcomes", count)];
        let plan = plan([&topics[0], &topics[1]]);
        Self { settings: settings(broker), plan: Arc::new(plan), topics }.filled(log, partitions)
    }

    /// The same where both sources read one topic, and each takes the records that are its own.
    pub(crate) fn on_one_topic(log: &[Event], partitions: u32) -> Self {
        let broker = Broker::shared();
        let topic = broker.topic("events", i32::try_from(partitions).unwrap());
        let mut plan = plan([&topic, &topic]);
        for (source, kind) in plan.sources.iter_mut().zip(KINDS) {
            let condition = Condition { path: path("kind"), allowed: vec![kind.to_owned()] };
            source.mapping.selection = Selection { conditions: vec![condition], without_tombstones: true };
        }
        let topics = [topic.clone(), topic];
        Self { settings: settings(broker), plan: Arc::new(plan), topics }.filled(log, partitions)
    }

    fn filled(self, log: &[Event], partitions: u32) -> Self {
        let stage = self;
        let producer = stage.producer();
        for event in log {
            let partition = i32::try_from(event.id % u64::from(partitions)).unwrap();
            let body = if event.refused { "{".to_owned() } else { json(event).to_string() };
            let key = id(event);
            let record = BaseRecord::to(&stage.topics[usize::from(event.source)])
                .partition(partition)
                .key(key.as_bytes())
                .payload(body.as_bytes())
                .timestamp(event.broker_time / 1_000);
            producer.send(record).unwrap();
        }
        producer.settle().unwrap();
        stage
    }

    pub(crate) fn producer(&self) -> Producer {
        Producer::open(&Connection::open(&self.settings).unwrap()).unwrap()
    }

    pub(crate) fn run(&self, shards: u32, keeper: &dyn Keeper) -> Result<RunSummary> {
        let options = RunOptions { until_end: true, shards, ..SMALL_STEPS };
        standalone::run(&self.plan, &self.settings, options, Audience::keeping(keeper), &AtomicBool::new(false))
    }

    pub(crate) fn decisions(&self) -> Vec<Decision> {
        let mut decisions = Vec::new();
        let connection = Connection::open(&self.settings).unwrap();
        whole_topic::read(&connection, &self.settings.topics.control, |message| {
            decisions
                .extend(cloud_event::body_of::<Decision>(message, cloud_event::DECISION).map(|body| body.unwrap()));
        })
        .unwrap();
        decisions
    }
}

/// Keeps what is published; fails, as a crash would, at the effects with the given numbers.
#[derive(Default)]
pub(crate) struct Recorder {
    trace: Mutex<Trace>,
    published: AtomicUsize,
    crash_at: Vec<usize>,
}

impl Recorder {
    pub(crate) fn crashing(crash_at: Vec<usize>) -> Self {
        Self { crash_at, ..Self::default() }
    }
}

impl Keeper for Recorder {
    fn conclude(&self, effects: &Effects) -> Result<()> {
        let copy =
            Effects { windows: effects.windows.clone(), decisions: effects.decisions.clone(), ..Effects::default() };
        self.trace.lock().unwrap().take(copy);
        let number = self.published.fetch_add(1, Ordering::Relaxed);
        if self.crash_at.contains(&number) { Err(Error::internal("crash")) } else { Ok(()) }
    }
}

pub(crate) fn trace(recorder: Recorder) -> Trace {
    recorder.trace.into_inner().unwrap()
}

#[test]
fn partitions_and_shards_do_not_matter() {
    let log = log();
    let expected = in_memory(&log, 1);
    assert!(expected.windows.len() > 500 && expected.decisions.len() >= 2, "the log is worth comparing");
    for (partitions, shards) in [(1, 1), (4, 2)] {
        let stage = Stage::set(&log, partitions);
        let recorder = Recorder::default();
        let summary = stage.run(shards, &recorder).unwrap();
        assert_eq!((summary.events, summary.rejects), (log.len() as u64, 0));
        assert_same(&expected, &trace(recorder), &format!("{partitions} partitions, {shards} shards"));
        let ids: Vec<_> = stage.decisions().into_iter().map(|decision| decision.id).collect();
        assert_eq!(ids, expected.decisions.values().map(|said| said.0.clone()).collect::<Vec<_>>());
    }
}

#[test]
fn a_crash_changes_nothing_and_repeats_decisions_under_the_same_ids() {
    let log = log();
    let expected = in_memory(&log, 1);
    let stage = Stage::set(&log, 4);
    let recorder = Recorder { crash_at: vec![3, 8], ..Recorder::default() };
    let crashes = (0..9).take_while(|_| stage.run(2, &recorder).is_err()).count();
    assert_eq!(crashes, 2);
    assert_same(&expected, &trace(recorder), "after two crashes");
    let said: BTreeMap<u64, String> =
        stage.decisions().into_iter().map(|decision| (decision.sequence, decision.id)).collect();
    let expected: BTreeMap<u64, String> =
        expected.decisions.iter().map(|(sequence, said)| (*sequence, said.0.clone())).collect();
    assert_eq!(said, expected);
}

#[test]
fn windows_are_trusted_over_kafka_as_in_memory_and_after_crashes() {
    let log = at_epoch(crate::trust::troubled());
    for (partitions, shards, crash_at) in [(1, 1, vec![]), (4, 2, vec![]), (4, 2, vec![3, 8])] {
        let (expected, stage) = (in_memory(&log, partitions), Stage::set(&log, partitions));
        assert!(expected.windows.values().any(|row| row.contains("untrusted_poison")));
        let recorder = Recorder::crashing(crash_at.clone());
        let crashes = (0..9).take_while(|_| stage.run(shards, &recorder).is_err()).count();
        assert_eq!(crashes, crash_at.len());
        assert_same(&expected, &trace(recorder), &format!("{partitions} partitions, crashes at {crash_at:?}"));
    }
}

/// Stops the run, in good order, when the first windows are judged.
struct Stopper<'a>(&'a Recorder, &'a AtomicBool);
impl Keeper for Stopper<'_> {
    fn conclude(&self, effects: &Effects) -> Result<()> {
        self.1.store(true, Ordering::Relaxed);
        self.0.conclude(effects)
    }
}

#[test]
fn a_second_run_goes_on_where_the_first_one_stopped() {
    let log = log();
    let expected = in_memory(&log, 1);
    let stage = Stage::set(&log, 1);
    let (stop, recorder) = (AtomicBool::new(false), Recorder::default());
    standalone::run(&stage.plan, &stage.settings, SMALL_STEPS, Audience::keeping(&Stopper(&recorder, &stop)), &stop)
        .unwrap();
    stage.run(1, &recorder).unwrap();
    assert_same(&expected, &trace(recorder), "after a stop");
}

#[test]
fn refused_records_go_to_the_dead_letter_topic_with_reason_and_place() {
    let log: Vec<Event> = log().into_iter().take(20).collect();
    let stage = Stage::set(&log, 1);
    let producer = stage.producer();
    for (key, payload) in [("k1", Some(b"{".as_slice())), ("k2", None), ("k3", Some(b"{\"at\":1}".as_slice()))] {
        let mut record = BaseRecord::to(&stage.topics[0]).key(key.as_bytes()).timestamp(EPOCH / 1_000);
        record.payload = payload;
        producer.send(record).unwrap();
    }
    producer.settle().unwrap();
    let first = log.iter().filter(|event| event.source == 0).count();
    let summary = stage.run(1, &Recorder::default()).unwrap();
    assert_eq!((summary.events, summary.rejects), (log.len() as u64, 3));
    let lost = &summary.losses.sentences()[0];
    let place = format!("as {}/0, offset {first}: ", stage.topics[0]);
    assert!(lost.contains("(3 of 23) are refused: ") && lost.contains(&place), "{lost}");

    let mut letters = Vec::new();
    let connection = Connection::open(&stage.settings).unwrap();
    whole_topic::read(&connection, &stage.settings.topics.dead_letter, |message| {
        let headers: BTreeMap<String, String> = message
            .headers()
            .unwrap()
            .iter()
            .map(|header| (header.key.to_owned(), String::from_utf8_lossy(header.value.unwrap()).into_owned()))
            .collect();
        letters.push((message.key().unwrap().to_vec(), message.payload().map(<[u8]>::to_vec), headers));
    })
    .unwrap();
    let seen: Vec<_> = letters
        .iter()
        .map(|(key, payload, headers)| {
            let place = ["topic", "partition", "offset"].map(|part| headers[&format!("haldane.source.{part}")].clone());
            (String::from_utf8_lossy(key).into_owned(), payload.clone(), headers["haldane.reason"].clone(), place)
        })
        .collect();
    let place = |offset: usize| [stage.topics[0].clone(), "0".to_owned(), (first + offset).to_string()];
    assert_eq!(
        seen,
        [
            ("k1".to_owned(), Some(b"{".to_vec()), "malformed".to_owned(), place(0)),
            ("k2".to_owned(), None, "empty".to_owned(), place(1)),
            ("k3".to_owned(), Some(b"{\"at\":1}".to_vec()), "missing_field".to_owned(), place(2)),
        ]
    );
    assert!(letters.iter().all(|(_, _, headers)| !headers["haldane.detail"].is_empty()));
}

/// Wakes the test whenever something was published.
#[derive(Default)]
pub(crate) struct Bell {
    pub(crate) recorder: Recorder,
    rung: Condvar,
    lock: Mutex<()>,
    /// Up to where scans told what they had counted, by stream.
    pub(crate) tallied: Mutex<BTreeMap<(u16, u32), i64>>,
}

impl Keeper for Bell {
    fn conclude(&self, effects: &Effects) -> Result<()> {
        let done = self.recorder.conclude(effects);
        drop(self.lock.lock().unwrap());
        self.rung.notify_all();
        done
    }

    fn tallied(&self, source: u16, lane: u32, tally: &StreamCounts) {
        self.tallied.lock().unwrap().insert((source, lane), tally.next_offset);
        self.rung.notify_all();
    }
}

impl Bell {
    pub(crate) fn around(recorder: Recorder) -> Self {
        Self { recorder, ..Self::default() }
    }

    /// Waits until what was published satisfies `enough`, or a minute is over.
    pub(crate) fn wait_for(&self, enough: impl Fn(&Trace) -> bool) {
        let deadline = now() + Duration::from_mins(1);
        let mut guard = self.lock.lock().unwrap();
        while !enough(&self.recorder.trace.lock().unwrap()) && now() < deadline {
            guard = self.rung.wait_timeout(guard, Duration::from_millis(200)).unwrap().0;
        }
    }
}

/// The log, then one event per stream so much later that everything before it is complete.
pub(crate) fn log_with_an_end(partitions: u32) -> Vec<Event> {
    with_an_end(log(), partitions)
}

/// The same of any log.
pub(crate) fn with_an_end(mut log: Vec<Event>, partitions: u32) -> Vec<Event> {
    let last = log.last().unwrap().clone();
    let at = EPOCH + 3_000 * SECOND;
    for lane in 0..u64::from(partitions) {
        // As many as it takes until the clock of a stream believes that time has gone on; ids above all hashes in use.
        for id in (0..8).map(|i| u64::MAX - 31 + lane + 4 * i) {
            log.extend((0..2).map(|source| Event { source, id, time: at, broker_time: at, ..last.clone() }));
        }
    }
    log
}

/// Rows of windows before the last event of all, and decisions about them.
pub(crate) fn before_the_end(trace: &Trace) -> Trace {
    let keep = |key: &str| {
        let row: Value = serde_json::from_str(key).unwrap();
        row["window_start"].as_i64().unwrap() < EPOCH + 2_900 * SECOND
    };
    let windows = trace.windows.iter().filter(|(key, _)| keep(key)).map(|(key, row)| (key.clone(), row.clone()));
    let mut decisions = trace.decisions.clone();
    decisions.retain(|_, (_, _, time)| *time <= EPOCH + 2_900 * SECOND);
    Trace { windows: windows.collect(), decisions }
}

#[test]
fn scans_and_judge_apart_say_what_one_process_says() {
    let log = log_with_an_end(4);
    apart(&Stage::set(&log, 4), &log);
}

#[test]
fn scans_and_judge_apart_trust_windows_as_one_process_does() {
    let log = with_an_end(at_epoch(crate::trust::troubled()), 4);
    apart(&Stage::set(&log, 4), &log);
}

/// Two scans and a judge over four partitions, stopped once, say what one process says in memory.
pub(crate) fn apart(stage: &Stage, log: &[Event]) {
    let expected = before_the_end(&in_memory(log, 4));
    let stop = AtomicBool::new(false);
    let first_stop = AtomicBool::new(false);
    let bell = Bell::default();
    let scan = |stop| scanning::run(&stage.plan, &stage.settings, SMALL_STEPS, Audience::none(), stop);
    let judge = |stop| judging::run(&stage.plan, &stage.settings, SMALL_STEPS, Audience::keeping(&bell), stop);
    std::thread::scope(|scope| {
        let (first_scan, first_judge) = (scope.spawn(|| scan(&first_stop)), scope.spawn(|| judge(&first_stop)));
        bell.wait_for(|trace| trace.windows.len() > 100);
        first_stop.store(true, Ordering::Relaxed);
        first_scan.join().unwrap().unwrap();
        first_judge.join().unwrap().unwrap();
        let others = [scope.spawn(|| scan(&stop)), scope.spawn(|| scan(&stop)), scope.spawn(|| judge(&stop))];
        bell.wait_for(|trace| before_the_end(trace) == expected);
        stop.store(true, Ordering::Relaxed);
        for thread in others {
            thread.join().unwrap().unwrap();
        }
    });
    assert_same(&expected, &before_the_end(&trace(bell.recorder)), "scans and judge apart");
}
