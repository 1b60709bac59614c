//! A rolling upgrade over a real Kafka: what the release before has left on topics is gone on with, and what cannot be
//! read is refused.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use haldane::error::{Error, Fault};
use haldane::judge::Judge;
use haldane::kafka::connection::Connection;
use haldane::kafka::partials::Partials;
use haldane::kafka::publish::Publisher;
use haldane::kafka::watch::Audience;
use haldane::kafka::{judging, states, whole_topic};
use haldane::scan::frame::Frame;
use haldane::verdict::RolloutState;
use rdkafka::message::Message as _;
use rdkafka::producer::BaseRecord;

use crate::broker::Broker;
use crate::formats::{folder, frames, frames_of, plan, read};
use crate::kafka::settings;
use crate::live::{Bell, Recorder, SMALL_STEPS, Stage, log, trace};
use crate::replay_laws::{Trace, assert_same};

/// Puts records on the state topic.
fn tell(stage: &Stage, records: &[(&str, &[u8])]) {
    let producer = Arc::new(stage.producer());
    drop(Publisher::open(&Connection::open(&stage.settings).unwrap(), producer.clone()).unwrap());
    for (key, payload) in records {
        producer.send(BaseRecord::to(&stage.settings.topics.state).key(key.as_bytes()).payload(*payload)).unwrap();
    }
    producer.settle().unwrap();
}

#[test]
fn a_denied_version_stays_denied_across_an_upgrade() {
    let stage = Stage::set(&log(), 1);
    let text = std::fs::read_to_string(folder("v1").join("states.jsonl")).unwrap();
    let keys = ["world/m/v1", "world/m/v2"];
    let records: Vec<(&str, &[u8])> = keys.into_iter().zip(text.lines().map(str::as_bytes)).collect();
    tell(&stage, &records);
    stage.run(1, &Recorder::default()).unwrap();
    let decisions = stage.decisions();
    let first = decisions.iter().find(|decision| decision.candidate == "v2").unwrap();
    let before: Vec<RolloutState> = read(&folder("v1"), "states.jsonl");
    assert_eq!((first.reason.code.as_str(), first.sequence, &first.previous), ("DENIED_VERSION", 6, &before[1].seal));
    let kept = states::read(&Connection::open(&stage.settings).unwrap(), "world").unwrap();
    assert!(kept.iter().find(|state| state.candidate == "v2").unwrap().is_denied());
}

#[test]
fn a_state_that_cannot_be_read_is_refused_until_one_that_can_takes_its_place() {
    let stage = Stage::set(&log(), 1);
    let connection = Connection::open(&stage.settings).unwrap();
    tell(&stage, &[("world/m/v2", br#"{"format":99,"denied":"all"}"#), ("@alive/world", b"other")]);
    let refused = |error: Error| {
        let told = format!("{error}: {:?}", std::error::Error::source(&error).map(ToString::to_string));
        assert!(told.contains("world/m/v2") && told.contains("it has format 99"), "{told}");
        assert!(error.fault() == Fault::User && error.advice().unwrap().contains("a newer one"), "{error:?}");
    };
    refused(stage.run(1, &Recorder::default()).unwrap_err());
    assert_eq!(stage.decisions(), [], "it has not begun");
    refused(states::all(&connection).unwrap_err());
    refused(states::look(&connection).unwrap().states("world").unwrap_err());
    assert_eq!(states::read(&connection, "other").unwrap(), [], "it is no matter of another rollout");
    assert_eq!(states::look(&connection).unwrap().states("other").unwrap(), []);
    let line = std::fs::read_to_string(folder("v1").join("states.jsonl")).unwrap().lines().nth(1).unwrap().to_owned();
    // Nor is what was about to be said passed over.
    tell(&stage, &[("world/m/v2", line.as_bytes()), ("@intent/world/m/v2", br#"{"format":99}"#)]);
    let error = stage.run(1, &Recorder::default()).unwrap_err();
    assert!(error.to_string().contains("@intent/world/m/v2"), "{error}");
    assert!(states::read(&connection, "world").unwrap()[0].is_denied());
}

/// When a frame is told: a tick after the newest record that was read.
fn times(frames: &[Frame]) -> Vec<i64> {
    let mut at = 1;
    let time = |frame: &Frame| {
        if let Frame::Tick(tick) = frame {
            at = tick.streams.iter().map(|stream| stream.broker_time / 1_000).fold(at, i64::max);
        }
        at
    };
    frames.iter().map(time).collect()
}

/// What a judge says of frames.
fn judged(frames: &[Frame]) -> Trace {
    let mut judge = Judge::new(Arc::new(plan()));
    let mut trace = Trace::default();
    for (frame, at) in frames.iter().zip(times(frames)) {
        match frame {
            Frame::Partial(partial) => drop(judge.put((**partial).clone())),
            Frame::Tick(tick) => trace.take(judge.tick_of(tick.clone(), at * 1_000)),
            Frame::Tally(..) => {}
        }
    }
    trace
}

#[test]
fn a_judge_goes_on_with_what_scans_of_the_release_before_have_told() {
    let told: Vec<Frame> = frames_of(&folder("v1")).iter().map(|bytes| Frame::decode(bytes).unwrap()).collect();
    let rest: Vec<Frame> =
        frames().into_iter().filter(|frame| matches!(frame, Frame::Tick(_)) || !told.contains(frame)).collect();
    let all: Vec<Frame> = told.iter().filter(|frame| !matches!(frame, Frame::Tick(_))).chain(&rest).cloned().collect();
    let expected = judged(&all);
    assert!(judged(&rest) != expected, "what was told before is needed");
    let broker = Broker::shared();
    let (plan, settings) = (Arc::new(plan()), settings(broker));
    let connection = Connection::open(&settings).unwrap();
    let producer = Arc::new(haldane::kafka::producer::Producer::open(&connection).unwrap());
    drop(Partials::open(&connection, producer.clone()).unwrap());
    let send = |bytes: &[u8], at: i64| {
        producer
            .send(BaseRecord::to(&settings.topics.partials).key(b"".as_slice()).payload(bytes).timestamp(at))
            .unwrap();
    };
    send(&[3, 9], 1);
    all.iter().zip(times(&all)).for_each(|(frame, at)| send(&frame.encode(), at));
    producer.settle().unwrap();
    let (bell, stop, ended) = (Bell::default(), AtomicBool::new(false), Mutex::new(None));
    std::thread::scope(|scope| {
        let judge = scope.spawn(|| judging::run(&plan, &settings, SMALL_STEPS, Audience::keeping(&bell), &stop));
        bell.wait_for(|trace| *trace == expected);
        stop.store(true, Ordering::Relaxed);
        *ended.lock().unwrap() = Some(judge.join().unwrap());
    });
    ended.into_inner().unwrap().unwrap().unwrap();
    assert_same(&expected, &trace(bell.recorder), "over an upgrade");
    let mut letters = Vec::new();
    whole_topic::read(&connection, &settings.topics.dead_letter, |message| {
        letters.push(message.payload().unwrap_or_default().to_vec());
    })
    .unwrap();
    assert_eq!(letters, [[3, 9]], "what is no frame is not lost silently");
    send(&[99, 0], *times(&all).last().unwrap());
    producer.settle().unwrap();
    let error =
        judging::run(&plan, &settings, SMALL_STEPS, Audience::keeping(&Bell::default()), &AtomicBool::new(false))
            .unwrap_err();
    assert!(error.advice().unwrap().contains("start the judge with that release"), "{error}");
}
