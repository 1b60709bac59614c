//! Live ingest: the whole pipeline against the bare client on the same topic, and against the program one would write
//! first.
//!
//! Each round runs all three, so that a busy neighbour slows all of them; the ratios of the medians are what counts.
//! `-- --events N` sets how many events there are; of few, what is measured is the start and the end.

#[expect(dead_code, reason = "each bench uses a part of it")]
#[path = "common/arguments.rs"]
mod arguments;
#[expect(dead_code, reason = "each bench uses a part of it")]
mod kafka;

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use haldane::config::KafkaConfig;
use haldane::kafka::Connection;
use haldane::kafka::clock::now;
use haldane::kafka::connection::Errors;
use haldane::kafka::producer::Producer;
use haldane::kafka::standalone::{self, RunOptions};
use haldane::kafka::watch::Audience;
use kafka::{Cluster, Noise};
use rdkafka::consumer::{BaseConsumer, Consumer as _, StreamConsumer};
use rdkafka::message::Message as _;
use rdkafka::producer::BaseRecord;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

const PARTITIONS: u64 = 4;

#[expect(clippy::cast_precision_loss, reason = "a rate needs no more than 53 bits")]
fn main() {
    let (events, rounds) =
        if kafka::measuring() { (arguments::option("--events").unwrap_or(4_000_000), 3) } else { (2_000, 1) };
    let cluster = Cluster::start();
    let bytes = fill(&cluster, events);
    let (mut bare, mut whole, mut naive) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..rounds {
        bare.push(time(|| read_bare(&cluster, events)));
        whole.push(time(|| run_pipeline(&cluster.fresh_group(round), &cluster, events)));
        naive.push(time(|| read_naively(&cluster, events)));
    }
    let (bare, whole, naive) = (kafka::median(bare), kafka::median(whole), kafka::median(naive));
    println!("{events} events of {} bytes on {PARTITIONS} partitions, lz4, {rounds} rounds", bytes / events);
    for (name, took) in [("bare poll loop", bare), ("whole pipeline", whole), ("StreamConsumer + Value", naive)] {
        println!("{name:24} {:8.0} events/s, {:.2} s", events as f64 / took.as_secs_f64(), took.as_secs_f64());
    }
    println!("whole / bare  {:.2} (goal 0.50)", bare.as_secs_f64() / whole.as_secs_f64());
    println!("whole / naive {:.2} (goal 3.5)", naive.as_secs_f64() / whole.as_secs_f64());
}

fn time(work: impl FnOnce()) -> Duration {
    let begun = now();
    work();
    begun.elapsed()
}

/// Fills the topic; returns the bytes of all payloads.
fn fill(cluster: &Cluster, events: u64) -> u64 {
    let mut settings = cluster.settings.clone();
    for (key, value) in [("compression.type", "lz4"), ("linger.ms", "20"), ("batch.size", "262144")] {
        settings.librdkafka.insert(key.to_owned(), value.to_owned());
    }
    let producer = Producer::open(&Connection::open(&settings).expect("a cluster")).expect("a producer");
    let mut noise = Noise::new(11);
    let mut bytes = 0;
    for index in 0..events {
        let payload = kafka::event(index, &mut noise);
        bytes += payload.len() as u64;
        let partition = i32::try_from(index % PARTITIONS).expect("few partitions");
        let record = BaseRecord::to(&cluster.input).partition(partition).payload(payload.as_bytes());
        producer.send(record.timestamp(kafka::event_time(index) / 1_000)).expect("room");
    }
    producer.settle().expect("a filled topic");
    bytes
}

fn everything(topic: &str) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    for partition in 0..i32::try_from(PARTITIONS).expect("few partitions") {
        list.add_partition_offset(topic, partition, Offset::Beginning).expect("a valid offset");
    }
    list
}

/// The ceiling: the same client, tuned the same, doing nothing with what it gets.
fn read_bare(cluster: &Cluster, events: u64) {
    let connection = Connection::open(&cluster.settings).expect("a cluster");
    let consumer: BaseConsumer<Errors> = connection.consumer("bench.bare", "bare").expect("a consumer");
    consumer.assign(&everything(&cluster.input)).expect("an assignment");
    let mut seen = 0;
    while seen < events {
        if let Some(Ok(message)) = consumer.poll(Duration::from_millis(100)) {
            std::hint::black_box(message.payload());
            seen += 1;
        }
    }
}

fn run_pipeline(settings: &KafkaConfig, cluster: &Cluster, events: u64) {
    let options = RunOptions { until_end: true, shards: standalone::shards_here(), ..RunOptions::default() };
    let plan = kafka::plan(&cluster.input);
    let summary = standalone::run(&plan, settings, options, Audience::none(), &AtomicBool::new(false)).expect("a run");
    assert_eq!((summary.events, summary.rejects), (events, 0));
    assert!(summary.rows > 0, "windows are judged");
}

/// The foil: default settings, a document tree per event, one map entry per version and field.
fn read_naively(cluster: &Cluster, events: u64) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let consumer: StreamConsumer = rdkafka::ClientConfig::new()
            .set("bootstrap.servers", &cluster.settings.brokers)
            .set("group.id", "bench.naive")
            .set("enable.auto.commit", "false")
            .create()
            .expect("a consumer");
        consumer.assign(&everything(&cluster.input)).expect("an assignment");
        let mut sums: BTreeMap<(String, String), (u64, f64)> = BTreeMap::new();
        for _ in 0..events {
            let message = consumer.recv().await.expect("a message");
            let value: serde_json::Value = serde_json::from_slice(message.payload().expect("a payload")).expect("JSON");
            let version = value["version"].as_str().expect("a version").to_owned();
            for (name, number) in value["num"].as_object().expect("features") {
                let sum = sums.entry((version.clone(), name.clone())).or_default();
                *sum = (sum.0 + 1, sum.1 + number.as_f64().unwrap_or(0.0));
            }
        }
        std::hint::black_box(sums);
    });
}
