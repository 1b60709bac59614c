//! Work that goes on elsewhere when a process is killed, ends or freezes: judges, scans, and whole services.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use haldane::config::{self, KafkaConfig};
use haldane::decode;
use haldane::engine::{Effects, Engine};
use haldane::kafka::clock::now;
use haldane::kafka::connection::Connection;
use haldane::kafka::dead_letter::readable_headers;
use haldane::kafka::judging;
use haldane::kafka::producer::Producer;
use haldane::kafka::reader::record;
use haldane::kafka::standalone::RunOptions;
use haldane::kafka::watch::{Audience, RunObserver};
use haldane::kafka::whole_topic;
use haldane::plan::Plan;
use rdkafka::message::Message as _;
use rdkafka::producer::BaseRecord;
use serde_json::json;
use tempfile::TempDir;

use crate::broker::Broker;
use crate::kafka::settings;
use crate::live::log_with_an_end;
use crate::outage::until;
use crate::service::{PATIENCE, Service, pipeline};
use crate::world::Event;

/// The silence that a killed process may leave.
const SILENCE: Duration = Duration::from_secs(15);

/// A topic of predictions, and a pipeline over it.
struct Scene {
    kafka: KafkaConfig,
    topic: String,
    partitions: u32,
    path: PathBuf,
    _folder: TempDir,
}

impl Scene {
    fn set(partitions: u32) -> Self {
        Self::of(settings(Broker::shared()), partitions)
    }

    fn of(kafka: KafkaConfig, partitions: u32) -> Self {
        let (broker, folder) = (Broker::shared(), tempfile::tempdir().unwrap());
        let topic = broker.topic("predictions", i32::try_from(partitions).unwrap());
        let path = pipeline(folder.path(), &topic, &kafka, "");
        Self { kafka, topic, partitions, path, _folder: folder }
    }

    fn start(&self, role: &str) -> Service {
        Service::start(&self.path, &["--role", role, "--shards", "1"])
    }

    fn plan(&self) -> Arc<Plan> {
        config::load(&self.path).unwrap().plan
    }

    fn connection(&self) -> Connection {
        Connection::open(&self.kafka).unwrap()
    }

    /// Writes predictions; their broker time is now.
    fn produce(&self, events: &[Event]) {
        let producer = Producer::open(&self.connection()).unwrap();
        events.iter().for_each(|event| self.send(&producer, event));
        producer.settle().unwrap();
    }

    fn send(&self, producer: &Producer, event: &Event) {
        let partition = i32::try_from(event.id % u64::from(self.partitions)).unwrap();
        let body = json!({
            "at": event.time, "id": format!("{:016x}", event.id), "model": "m", "version": event.version,
            "status": event.status, "score": (event.status == 200).then_some(event.score),
        });
        let body = body.to_string();
        let record = BaseRecord::to(&self.topic).partition(partition).key(b"".as_slice()).payload(body.as_bytes());
        producer.send(record).unwrap();
    }

    /// The first judgements that a replay of the topic makes.
    fn replayed(&self) -> BTreeSet<String> {
        let (plan, connection) = (self.plan(), self.connection());
        let mut lanes: BTreeMap<u32, (Box<dyn decode::Decoder>, i64)> =
            (0..self.partitions).map(|lane| (lane, (decode::decoder(&plan, 0, lane), 0))).collect();
        whole_topic::read(&connection, &self.topic, |message| {
            let lane = lanes.get_mut(&u32::try_from(message.partition()).unwrap()).unwrap();
            lane.0.push(&record(message, &readable_headers(message).unwrap_or_default()));
            lane.1 = message.offset() + 1;
        })
        .unwrap();
        let mut engine = Engine::new(Arc::clone(&plan), self.partitions);
        let mut first = First::default();
        for (decoder, _) in lanes.values_mut() {
            first.take(&engine.step(&decoder.finish().batch));
        }
        for (lane, (_, next)) in lanes {
            first.take(&engine.progress(lane, 0, next, true, true));
        }
        first.before_the_end()
    }
}

#[test]
fn two_services_of_one_group_never_do_the_work_twice() {
    let mut kafka = settings(Broker::shared());
    // Made beforehand, with more partitions than there are processes.
    kafka.topics.control = Broker::shared().topic("control", 3);
    let scene = Scene::of(kafka, 1);
    let mut active = scene.start("all");
    active.says("reading begins");
    let standby = scene.start("all");
    standby.says("another process of the group is at work; standing by");
    until(&standby, "/readyz", 503, "standing by");
    let heard = standby.lines().len();
    let killed_at = active.kill();
    standby.await_line("reading begins", heard, SILENCE.saturating_sub(killed_at.elapsed()));
}

/// Freezes the process at work until another one has it, and lets it wake up.
fn freeze(role: &str, begins: &str) {
    let scene = Scene::set(1);
    let active = scene.start(role);
    let begun = active.says(begins);
    let standby = scene.start(role);
    standby.says("standing by");
    if role == "judge" {
        // It gave the work up for a moment while the other one joined.
        active.await_line(begins, begun, PATIENCE);
    }
    let heard = active.lines().len();
    active.signal("-STOP");
    standby.await_line(begins, 0, PATIENCE);
    active.signal("-CONT");
    active.await_line("standing by", heard, PATIENCE);
    assert!(!active.lines()[heard..].iter().any(|line| line.contains(begins)), "it does not begin again");
}

#[test]
fn a_process_that_was_frozen_and_replaced_stands_by_when_it_wakes_up() {
    std::thread::scope(|scope| {
        scope.spawn(|| freeze("judge", "judging begins"));
        scope.spawn(|| freeze("all", "reading begins"));
    });
}

#[test]
fn partitions_that_are_added_are_read() {
    let scene = Scene::set(1);
    let (all, scan) = (scene.start("all"), scene.start("scan"));
    all.says("reading begins");
    scan.says("lanes taken over lanes=[0]");
    Broker::shared().grow(&scene.topic, 2);
    all.says("an input topic has more partitions");
    scan.says("lanes taken over lanes=[0, 1]");
    let before = all.says("restored; reading begins partitions=2");
    assert!(before > 0);
    let (first_half, _) = halves(2);
    Scene { partitions: 2, ..scene }.produce(&first_half);
    [all, scan].iter().for_each(|service| service.await_read(first_half.len()));
}

/// How long after a prediction the next one comes, where they come steadily: often enough for many to come while a
/// group changes.
const STEADILY: Duration = Duration::from_millis(10);

#[test]
fn nothing_is_lost_while_another_process_comes_and_goes() {
    let scene = Scene::set(1);
    let active = scene.start("all");
    active.says("reading begins");
    let (mut events, more) = halves(1);
    events.extend(more);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let sending = scope.spawn(|| {
            let producer = Producer::open(&scene.connection()).unwrap();
            let mut sent = 0;
            for event in &events {
                // However fast the other one comes and goes, some follow it.
                if sent > 100 && stop.load(Ordering::Relaxed) {
                    break;
                }
                scene.send(&producer, event);
                sent += 1;
                std::thread::park_timeout(STEADILY);
            }
            producer.settle().unwrap();
            sent
        });
        let mut standby = scene.start("all");
        standby.says("standing by");
        standby.signal("-TERM");
        assert!(standby.ended().success());
        stop.store(true, Ordering::Relaxed);
        active.await_read(sending.join().unwrap());
    });
}

/// First judgements.
#[derive(Debug, Default)]
struct First(BTreeSet<(i64, String)>);

impl First {
    fn take(&mut self, effects: &Effects) {
        let first = effects.windows.iter().filter(|row| row.revision == 0);
        self.0.extend(first.map(|row| (row.window_end, serde_json::to_string(row).unwrap())));
    }

    /// Those of windows before the last one, which nothing completes.
    fn before_the_end(&self) -> BTreeSet<String> {
        let last = crate::live::EPOCH + 2_900 * haldane::event::SECOND;
        self.0.iter().filter(|(end, _)| *end < last).map(|(_, row)| row.clone()).collect()
    }
}

/// Keeps first judgements, and wakes the test.
#[derive(Default)]
struct Judgements(Mutex<First>, Condvar);

impl RunObserver for Judgements {
    fn published(&self, effects: &Effects) {
        self.0.lock().unwrap().take(effects);
        self.1.notify_all();
    }
}

impl Judgements {
    fn wait_for(&self, enough: impl Fn(&First) -> bool) {
        let deadline = now() + PATIENCE;
        let mut first = self.0.lock().unwrap();
        while !enough(&first) && now() < deadline {
            first = self.1.wait_timeout(first, Duration::from_millis(200)).unwrap().0;
        }
    }
}

/// Predictions of ten minutes, in two halves, and what completes their windows.
fn halves(partitions: u32) -> (Vec<Event>, Vec<Event>) {
    let mut log: Vec<Event> = log_with_an_end(partitions).into_iter().filter(|event| event.source == 0).collect();
    let second = log.split_off(log.len() / 2);
    (log, second)
}

#[test]
fn a_standby_judge_takes_over_from_one_that_was_killed_and_from_one_that_ends() {
    let scene = Scene::set(1);
    let mut active = scene.start("judge");
    active.says("judging begins");
    let standby = scene.start("judge");
    standby.says("standing by");
    let third = scene.start("judge");
    third.says("standing by");
    let heard = standby.lines().len();
    let killed_at = active.kill();
    standby.await_line("judging begins", heard, SILENCE.saturating_sub(killed_at.elapsed()));
    let heard = third.lines().len();
    let ended_at = now();
    standby.signal("-TERM");
    third.await_line("judging begins", heard, SILENCE.saturating_sub(ended_at.elapsed()));
}

#[test]
fn a_killed_scan_is_replaced_and_no_window_is_judged_meanwhile_without_its_lanes() {
    let scene = Scene::set(2);
    let (first_half, second_half) = halves(2);
    scene.produce(&first_half);
    let mut one = scene.start("scan");
    one.says("lanes taken over lanes=[0, 1]");
    let other = scene.start("scan");
    one.says("lanes taken over lanes=[0]");
    other.says("lanes taken over lanes=[1]");
    let (judgements, stop) = (Judgements::default(), AtomicBool::new(false));
    let (plan, options) = (scene.plan(), RunOptions { beat: Duration::from_millis(100), ..RunOptions::default() });
    std::thread::scope(|scope| {
        let judge = scope.spawn(|| judging::run(&plan, &scene.kafka, options, Audience::watching(&judgements), &stop));
        judgements.wait_for(|first| !first.0.is_empty());
        let killed_at = one.kill();
        scene.produce(&second_half);
        let expected = scene.replayed();
        other.await_line("lanes taken over lanes=[0, 1]", 0, SILENCE.saturating_sub(killed_at.elapsed()));
        judgements.wait_for(|first| first.before_the_end().len() >= expected.len());
        stop.store(true, Ordering::Relaxed);
        judge.join().unwrap().unwrap();
        let judged = judgements.0.lock().unwrap().before_the_end();
        let differing = expected.symmetric_difference(&judged).next();
        assert!(expected.len() > 100 && differing.is_none(), "{} first judgements, {differing:?}", expected.len());
    });
}
