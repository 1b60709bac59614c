//! The whole service in one process: shards read and decode, one thread drives the engine, publishes and commits.
//!
//! The process reads every partition, so the streams are assigned by hand; of several processes one works
//! ([`Leadership`]). The order of effects is fixed: decisions are acknowledged, states and dead letters are too, and
//! only then are offsets committed. Whatever a crash repeats has the same ids and the same content.
//!
//! Nothing here waits but for its ports: a [`Service`] that has the work opens a [`Term`]. Each of the term's shards
//! and its [`Drive`] is turned again and again, by threads ([`run`]) or by hand.

mod drive;
mod shards;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use self::drive::Outlets;
pub use self::drive::{Drive, End};
use self::shards::More;
pub use self::shards::{Shard, ShardEvent};
use super::checkpoint::{self, Stream};
use super::commands::Commands;
use super::connection::Connection;
use super::leadership::Leadership;
use super::patience::patiently;
use super::ports::Cluster;
use super::publish::Publisher;
use super::reader::{BATCH_RECORDS_MAX, DeadLetters};
use super::states;
use super::summary::RunSummary;
use super::topics::{self, Own, Partitions};
use super::watch::{Audience, RunObserver};
use crate::config::KafkaConfig;
use crate::error::Result;
use crate::plan::{Plan, SourcePlan};

/// Decoded batches that may wait for the engine, per shard: enough to keep it busy, few enough to bound memory.
const WAITING_MAX: usize = 4;

/// More shards than this only help when a broker connection is not what limits.
const SHARDS_MAX: usize = 4;

/// As many shards as keep the processors of this machine busy: what else runs on them, the clients' own threads and the
/// engine's, has less to do than decoding.
#[must_use]
pub fn shards_here() -> u32 {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    u32::try_from(cores.min(SHARDS_MAX)).unwrap_or(1)
}

/// How a pipeline is run.
#[derive(Debug, Clone, Copy)]
pub struct RunOptions {
    /// Read up to the present ends of the logs, and stop there.
    pub until_end: bool,
    /// Threads that read and decode.
    pub shards: u32,
    /// The most records of one batch.
    pub batch_records_max: usize,
    /// How often progress is committed, looked up and shown.
    pub beat: Duration,
    /// Whether one process of the group works at a time. Only where the broker is this process's own there is no need.
    pub alone: bool,
}

impl Default for RunOptions {
    fn default() -> Self {
        let beat = Duration::from_secs(1);
        Self { until_end: false, shards: 1, batch_records_max: BATCH_RECORDS_MAX, beat, alone: true }
    }
}

/// Runs a pipeline until `stop` is set or, when bounded, until the ends of its logs. While another process of the group
/// does so, it stands by.
pub fn run(
    plan: &Arc<Plan>,
    settings: &KafkaConfig,
    options: RunOptions,
    audience: Audience<'_>,
    stop: &AtomicBool,
) -> Result<RunSummary> {
    let connection = Connection::open(settings)?;
    let mut service = Service::open(plan, &connection, options, audience)?;
    loop {
        while !service.has_work()? {
            if stop.load(Ordering::Relaxed) {
                return Ok(service.summary);
            }
        }
        let mut term = service.begin()?;
        let end = turn_on_threads(&mut term, audience.watch, stop)?;
        if service.finish(term, end)? {
            return Ok(service.summary);
        }
    }
}

/// Every shard on a thread of its own, until the term ends.
fn turn_on_threads(term: &mut Term<'_>, watch: &dyn RunObserver, stop: &AtomicBool) -> Result<End> {
    let halt = AtomicBool::new(false);
    let Term { drive, shards } = term;
    thread::scope(|scope| {
        let (sender, receiver) = crossbeam_channel::bounded(WAITING_MAX * shards.len());
        for (index, shard) in std::mem::take(shards).into_iter().enumerate() {
            let (news, halt, name) = (sender.clone(), &halt, format!("shard-{index}"));
            let stopped = move || {
                watch.alive(&name);
                stop.load(Ordering::Relaxed) || halt.load(Ordering::Relaxed)
            };
            scope.spawn(move || shards::run(shard, &news, stopped));
        }
        drop(sender);
        let done = drive.run(&receiver);
        halt.store(true, Ordering::Relaxed);
        drop(receiver);
        done
    })
}

/// A process that does the work of a pipeline, or stands by.
pub struct Service<'a> {
    plan: &'a Arc<Plan>,
    cluster: &'a dyn Cluster,
    options: RunOptions,
    audience: Audience<'a>,
    leadership: Option<Leadership>,
    /// What was done so far.
    pub summary: RunSummary,
}

/// Work from one commit on, for as long as the work is this process's own.
pub struct Term<'a> {
    /// The engine, and what goes out.
    pub drive: Drive<'a>,
    /// What reads.
    pub shards: Vec<Shard<'a>>,
}

impl<'a> Service<'a> {
    /// Takes its place among those who may do the work.
    pub fn open(
        plan: &'a Arc<Plan>,
        cluster: &'a dyn Cluster,
        options: RunOptions,
        audience: Audience<'a>,
    ) -> Result<Self> {
        cluster.create(&[Own::of(&cluster.settings().topics.control)])?;
        let leadership = options.alone.then(|| Leadership::open(cluster)).transpose()?;
        Ok(Self { plan, cluster, options, audience, leadership, summary: RunSummary::default() })
    }

    /// Looks whether the work is this process's own now.
    pub fn has_work(&mut self) -> Result<bool> {
        let Some(leadership) = &mut self.leadership else { return Ok(true) };
        leadership.take(self.audience.watch, self.options.until_end)
    }

    /// Takes over from whoever worked before, from the last commit on.
    pub fn begin(&mut self) -> Result<Term<'a>> {
        let Self { plan, cluster, options, audience, .. } = *self;
        audience.keeper.taking_over()?;
        let settings = cluster.settings();
        let committer = cluster.consumer(&settings.group, "commit")?;
        cluster.create(topics::looked(plan).as_slice())?;
        let partitions = patiently(|| topics::inputs(committer.as_ref(), plan))?;
        let producer = cluster.producer()?;
        let publisher = Publisher::open(cluster, Arc::clone(&producer))?;
        cluster.create(&[Own::of(&settings.topics.dead_letter)])?;
        let streams = streams(plan, &partitions);
        let origins = patiently(|| checkpoint::origins(committer.as_ref(), &streams, settings.on_gap))?;
        let dead_letters = DeadLetters { producer, topic: settings.topics.dead_letter.clone() };
        // A bounded run says what the logs say: whoever starts it is not asked anything meanwhile.
        let resumed = patiently(|| states::resume(cluster, &plan.policy.rollout))?;
        let open = || patiently(|| Commands::open(cluster, dead_letters.clone(), plan, &resumed.states));
        let commands = (!options.until_end).then(open).transpose()?;
        let outlets = Outlets { committer, publisher, commands };
        let mut drive = Drive::new(plan, cluster, options, audience, outlets, self.leadership.take());
        drive.restore(&partitions, &origins, resumed)?;
        let mut shards = shards::deal(plan, cluster, &origins, options, &dead_letters, &drive.queued())?;
        if let Some(first) = shards.first_mut().filter(|_| !options.until_end) {
            first.look_for_more(More { plan, partitions });
        }
        Ok(Term { drive, shards })
    }

    /// Adds up what a term did. Whether nothing is left to do; else the work is taken up again.
    pub fn finish(&mut self, term: Term<'a>, end: End) -> Result<bool> {
        self.leadership = term.drive.end(&mut self.summary);
        match end {
            End::Done => return Ok(true),
            End::Grown => tracing::info!("an input topic has more partitions: they are read from now on"),
            End::Lost => {
                tracing::warn!("the group gave the work to another process while this one did not answer");
                drop(self.leadership.take());
                self.leadership = Some(Leadership::open(self.cluster)?);
            }
        }
        Ok(false)
    }
}

/// Every partition of every input topic.
fn streams(plan: &Plan, partitions: &Partitions) -> Vec<Stream> {
    let of_source = |(source, of): (u16, &SourcePlan)| {
        let (topic, kind) = (of.topic.clone(), Some(of.kind));
        (0..partitions[&topic]).map(move |lane| Stream { source, lane, topic: topic.clone(), kind })
    };
    (0..).zip(&plan.sources).flat_map(of_source).collect()
}
