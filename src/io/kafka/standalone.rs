//! The whole service in one process: shards read and decode, one thread drives the engine, publishes and commits.
//!
//! The process reads every partition, so the streams are assigned by hand; of several processes one works
//! ([`Leadership`]). The order of effects is fixed: decisions are acknowledged, states and dead letters are too, and
//! only then are offsets committed. Whatever a crash repeats has the same ids and the same content.

mod shards;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError};
use rdkafka::consumer::{BaseConsumer, Consumer as _};

use self::shards::{News, Outbox};
use super::checkpoint::{self, Origin, Stream};
use super::clock::{now, wall_clock};
use super::commands::{self, Commands};
use super::connection::{Connection, Errors};
use super::leadership::Leadership;
use super::liveness::Pulse;
use super::looks::Looks;
use super::producer::Producer;
use super::publish::Publisher;
use super::reader::{BATCH_RECORDS_MAX, DeadLetters, Extent, ReadPortion, patience};
use super::states;
use super::summary::Summary;
use super::topics::{self, Own, Partitions};
use super::watch::{StreamStanding, Watch};
use crate::config::KafkaConfig;
use crate::engine::{Effects, Engine};
use crate::error::{Fault, Result};
use crate::event::Micros;
use crate::plan::Plan;
use crate::scan::Checkpoint;
use crate::verdict::with_ended;

/// Decoded batches that may wait for the engine, per shard: enough to keep it busy, few enough to bound memory.
const WAITING_MAX: usize = 4;

/// More shards than this only help when a broker connection is not what limits.
const SHARDS_MAX: usize = 4;

/// How often it is found out what is kept in memory.
const MEMORY_EVERY: Duration = Duration::from_secs(10);

/// As many shards as keep the processors of this machine busy: what else runs on them, the clients' own threads and the
/// engine's, has less to do than decoding.
#[must_use]
pub fn shards_here() -> u32 {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    u32::try_from(cores.min(SHARDS_MAX)).unwrap_or(1)
}

/// How a pipeline is run.
#[derive(Debug, Clone, Copy)]
pub struct Options {
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

impl Default for Options {
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
    options: Options,
    watch: &dyn Watch,
    stop: &AtomicBool,
) -> Result<Summary> {
    let connection = Connection::open(settings)?;
    let control = Own { name: &settings.topics.control, compacted: false };
    topics::create(&connection, &[control])?;
    let place = Workplace { plan, connection: &connection, options, watch, stop };
    let mut leadership = options.alone.then(|| Leadership::open(&connection)).transpose()?;
    let mut summary = Summary::default();
    loop {
        if let Some(leadership) = &mut leadership
            && !leadership.take(watch, options.until_end, stop)?
        {
            return Ok(summary);
        }
        watch.taking_over()?;
        match place.work(&mut leadership, &mut summary)? {
            End::Done => return Ok(summary),
            End::Grown => tracing::info!("an input topic has more partitions: they are read from now on"),
            End::Lost => {
                tracing::warn!("the group gave the work to another process while this one did not answer");
                drop(leadership.take());
                leadership = Some(Leadership::open(&connection)?);
            }
        }
    }
}

/// Why the work ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The logs have ended, or it was told to stop.
    Done,
    /// There are more partitions than it reads.
    Grown,
    /// Another process does it now.
    Lost,
}

/// Where the work is done.
struct Workplace<'a> {
    plan: &'a Arc<Plan>,
    connection: &'a Connection,
    options: Options,
    watch: &'a dyn Watch,
    stop: &'a AtomicBool,
}

impl Workplace<'_> {
    /// Works from the last commit on.
    fn work(&self, leadership: &mut Option<Leadership>, summary: &mut Summary) -> Result<End> {
        let Self { plan, connection, options, watch, stop } = *self;
        let settings = connection.settings();
        let committer = connection.consumer(&settings.group, "commit", Errors::default())?;
        let partitions = topics::inputs(committer.client(), plan)?;
        let producer = Arc::new(Producer::open(connection)?);
        let publisher = Publisher::open(connection, Arc::clone(&producer))?;
        topics::create(connection, &[Own { name: &settings.topics.dead_letter, compacted: false }])?;
        let origins = checkpoint::origins(&committer, &streams(plan, &partitions), settings.on_gap)?;
        let dead_letters = DeadLetters { producer, topic: settings.topics.dead_letter.clone() };
        // A bounded run says what the logs say: whoever starts it is not asked anything meanwhile.
        let open = || Commands::open(connection, dead_letters.clone(), plan);
        let commands = (!options.until_end).then(open).transpose()?;
        let mut drive = Drive::new(plan, options, watch, Outlets { committer, publisher, commands });
        drive.restore(connection, &partitions, &origins)?;
        let readers = shards::deal(plan, connection, &origins, options, &dead_letters)?;
        let look_for_more = shards::More { plan, partitions: &partitions };
        let halt = AtomicBool::new(false);
        let queued = Arc::clone(&drive.queued);
        let end = thread::scope(|scope| {
            let (sender, receiver) = crossbeam_channel::bounded(WAITING_MAX * readers.len());
            for (index, reader) in readers.into_iter().enumerate() {
                let outbox = Outbox { news: sender.clone(), queued: &queued };
                let more = (index == 0 && !options.until_end).then_some(look_for_more);
                let (halt, name) = (&halt, format!("shard-{index}"));
                let stopped = move || {
                    watch.alive(&name);
                    stop.load(Ordering::Relaxed) || halt.load(Ordering::Relaxed)
                };
                scope.spawn(move || shards::run(reader, &outbox, options, more, stopped));
            }
            drop(sender);
            let done = drive.run(&receiver, leadership);
            halt.store(true, Ordering::Relaxed);
            drop(receiver);
            done
        })?;
        summary.add(drive.summary);
        drive.engine.counts().into_values().for_each(|counts| summary.losses.count(counts));
        Ok(end)
    }
}

/// Every partition of every input topic.
fn streams(plan: &Plan, partitions: &Partitions) -> Vec<Stream> {
    let of_source = |(source, topic): (u16, &String)| {
        let topic = topic.clone();
        (0..partitions[&topic]).map(move |lane| Stream { source, lane, topic: topic.clone() })
    };
    (0..).zip(plan.sources.iter().map(|source| &source.topic)).flat_map(of_source).collect()
}

/// Where effects go.
struct Outlets {
    committer: BaseConsumer<Errors>,
    publisher: Publisher,
    commands: Option<Commands>,
}

/// The engine's thread.
struct Drive<'a> {
    plan: &'a Arc<Plan>,
    engine: Engine,
    options: Options,
    watch: &'a dyn Watch,
    outlets: Outlets,
    streams: Vec<Stream>,
    standings: BTreeMap<(u16, u32), StreamStanding>,
    committed: Vec<Checkpoint>,
    summary: Summary,
    looks: Looks,
    pulse: Pulse,
    queued: Arc<AtomicU64>,
    memory_at: Instant,
}

impl<'a> Drive<'a> {
    fn new(plan: &'a Arc<Plan>, options: Options, watch: &'a dyn Watch, outlets: Outlets) -> Self {
        Self {
            plan,
            engine: Engine::new(Arc::clone(plan), 1),
            options,
            watch,
            outlets,
            streams: Vec::new(),
            standings: BTreeMap::new(),
            committed: Vec::new(),
            summary: Summary::default(),
            looks: Looks::default(),
            pulse: Pulse::new(plan),
            queued: Arc::default(),
            memory_at: now(),
        }
    }

    fn restore(&mut self, connection: &Connection, partitions: &Partitions, origins: &[Origin]) -> Result<()> {
        let lanes = topics::lanes(partitions);
        let rollouts = states::read(connection, &self.plan.policy.rollout)?;
        let engine = Engine::new(Arc::clone(self.plan), lanes).keeping_panes(self.watch.keeps_panes());
        self.engine = match self.watch.bound() {
            Some((bytes, spill)) => engine.bounded(bytes, spill),
            None => engine,
        };
        self.engine.restore_rollouts(rollouts.clone());
        for lane in 0..lanes {
            let checkpoint = checkpoint::restored(lane, origins);
            if !checkpoint.streams.is_empty() {
                self.engine.restore_lane(&checkpoint);
            }
        }
        self.streams = origins.iter().map(|origin| origin.stream.clone()).collect();
        let standing = |origin: &Origin| StreamStanding::new(origin, wall_clock());
        self.standings =
            origins.iter().map(|origin| ((origin.stream.source, origin.stream.lane), standing(origin))).collect();
        tracing::info!(partitions = origins.len(), rollouts = rollouts.len(), "restored; reading begins");
        self.watch.started(&with_ended(rollouts));
        self.close_absent(partitions, lanes)
    }

    /// A source with fewer partitions than there are lanes has nothing to tell in the lanes beyond.
    fn close_absent(&mut self, partitions: &Partitions, lanes: u32) -> Result<()> {
        for (source, spec) in (0..).zip(&self.plan.sources) {
            for lane in partitions[&spec.topic]..lanes {
                let effects = self.engine.progress(lane, source, 0, true, true);
                self.carry_out(&effects)?;
            }
        }
        Ok(())
    }

    fn run(&mut self, news: &Receiver<News>, leadership: &mut Option<Leadership>) -> Result<End> {
        let mut beat_at = now() + self.options.beat;
        let mut obey_at = now();
        loop {
            if let Some(leadership) = leadership
                && !leadership.holds(self.watch)?
            {
                return Ok(End::Lost);
            }
            match news.recv_timeout(beat_at.min(obey_at).saturating_duration_since(now())) {
                Ok(News::Portion(portion)) => self.take(&portion)?,
                Ok(News::Extents(extents, asked_at)) => self.extend(extents, asked_at)?,
                Ok(News::Grown) => {
                    self.commit(true)?;
                    return Ok(End::Grown);
                }
                Ok(News::Unread(partitions)) => self.watch.unread(partitions),
                Ok(News::Failed(error)) => return Err(error),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    self.live()?;
                    self.commit(true)?;
                    return Ok(End::Done);
                }
            }
            self.looks.go_on(&mut self.engine, self.plan, news.is_full(), self.watch);
            if now() >= obey_at {
                self.obey()?;
                obey_at = now() + commands::EVERY;
            }
            if now() >= beat_at {
                self.beat(news.is_full())?;
                beat_at = now() + self.options.beat;
            }
        }
    }

    fn take(&mut self, portion: &ReadPortion) -> Result<()> {
        self.queued.fetch_sub(portion.bytes, Ordering::Relaxed);
        self.summary.read(&self.plan.sources[usize::from(portion.source)].topic, portion);
        self.watch.read(portion);
        if let Some(standing) = self.standings.get_mut(&(portion.source, portion.lane)) {
            standing.note(portion);
        }
        let begun = now();
        let counted = self.watch.counted_upto(portion.source, portion.lane);
        let (again, fresh) = portion.batch.split_at_offset(counted);
        let mut effects = self.engine.step(&again);
        let before = self.engine.counts_of(portion.lane);
        effects.extend(self.engine.step(&fresh));
        self.watch.took(portion, &fresh, (before, self.engine.counts_of(portion.lane)));
        effects.extend(self.engine.progress(portion.lane, portion.source, portion.next_offset, false, false));
        self.watch.stepped(begun.elapsed());
        self.carry_out(&effects)
    }

    fn extend(&mut self, extents: Vec<Extent>, asked_at: Instant) -> Result<()> {
        for extent in extents {
            let (source, lane) = (extent.stream.source, extent.stream.lane);
            let finished = extent.at_end() && self.options.until_end;
            let at_end = finished || (extent.at_end() && asked_at.elapsed() < patience(self.plan));
            let effects = self.engine.progress(lane, source, extent.next_offset, at_end, finished);
            self.carry_out(&effects)?;
            if let Some(standing) = self.standings.get_mut(&(source, lane)) {
                standing.look(extent.next_offset, extent.end, wall_clock());
            }
        }
        Ok(())
    }

    fn carry_out(&mut self, effects: &Effects) -> Result<()> {
        if effects.is_empty() {
            return Ok(());
        }
        self.outlets.publisher.publish(effects, || self.watch.keep(effects))?;
        self.pulse.judged(&effects.windows);
        self.summary.rows += effects.windows.len() as u64;
        self.summary.decisions += effects.decisions.len() as u64;
        self.watch.published(effects)
    }

    /// Carries out commands, tells what became of them, and only then lets go of them.
    fn obey(&mut self) -> Result<()> {
        let Some(commands) = &mut self.outlets.commands else { return Ok(()) };
        for command in commands.take()? {
            let command = commands::addressed(command, || self.engine.rollouts());
            let effects = self.engine.command(command);
            self.carry_out(&effects)?;
        }
        match &mut self.outlets.commands {
            Some(commands) if commands.any_uncommitted() && !self.outlets.publisher.holds() => {
                self.outlets.publisher.settle()?;
                commands.commit()
            }
            _ => Ok(()),
        }
    }

    fn beat(&mut self, is_behind: bool) -> Result<()> {
        self.watch.alive("engine");
        if !self.options.until_end {
            self.engine.broker_now(wall_clock());
            self.looks.show(self.plan, is_behind, self.watch);
        }
        self.commit(false)?;
        self.live()?;
        let standings: Vec<StreamStanding> = self.standings.values().cloned().collect();
        self.watch.standing("engine", &standings);
        self.watch.counted("engine", &self.engine.counts());
        if now() >= self.memory_at {
            self.watch.remembered("engine", &self.engine.memory(), self.queued.load(Ordering::Relaxed));
            self.memory_at = now() + MEMORY_EVERY;
        }
        Ok(())
    }

    /// Says that this process judges, and how far the slowest stream is behind.
    fn live(&mut self) -> Result<()> {
        let at = wall_clock();
        let slowest = |lag: Micros, standing: &StreamStanding| standing.behind.lag(at).map(|other| lag.max(other));
        let lag = self.standings.values().try_fold(0, slowest);
        self.pulse.beat(lag, &self.outlets.publisher, self.watch)
    }

    /// Commits after everything on its way is acknowledged. A commit that fails for now is made good by the next one; a
    /// restart in between only reads more again.
    fn commit(&mut self, at_end: bool) -> Result<()> {
        if !self.watch.settle(at_end)? {
            return Ok(());
        }
        self.outlets.publisher.release()?;
        let lanes = self.streams.iter().map(|stream| stream.lane + 1).max().unwrap_or(0);
        let checkpoints: Vec<Checkpoint> = (0..lanes).map(|lane| self.engine.checkpoint(lane)).collect();
        if checkpoints == self.committed {
            self.committed_now();
            return Ok(());
        }
        self.outlets.publisher.settle()?;
        match checkpoint::commit(&self.outlets.committer, &self.streams, &checkpoints) {
            Ok(()) => self.note(checkpoints),
            Err(error) if error.fault() == Fault::External => tracing::warn!(%error, "not committed for now"),
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn note(&mut self, checkpoints: Vec<Checkpoint>) {
        for checkpoint in &checkpoints {
            for saved in &checkpoint.streams {
                if let Some(standing) = self.standings.get_mut(&(saved.source, checkpoint.lane)) {
                    standing.low_water = Some(saved.low_water);
                }
            }
        }
        self.committed = checkpoints;
        self.committed_now();
    }

    fn committed_now(&mut self) {
        let now = wall_clock();
        self.standings.values_mut().for_each(|standing| standing.committed_at = now);
    }
}
