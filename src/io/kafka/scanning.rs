//! The scan role: counts on their way to the partials topic, scaled by partitions through a consumer group.
//!
//! Every shard is a member of the group. It owns whole lanes, which the range assignment makes of equally partitioned
//! topics. What it counts is a function of its lanes' logs, so a lane may change its owner at any time: the new one
//! starts at the committed low-water offset and says the same again.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use super::checkpoint::{self, StartPosition, Stream};
use super::connection::Connection;
use super::partials::Partials;
use super::patience::patiently;
use super::ports::{Cluster, Machine, Rebalance, Schemas};
use super::reader::{DeadLetters, Extent, ReadPortion, ShardReader, patience};
use super::standalone::RunOptions;
use super::summary::RunSummary;
use super::topics::{self, Own, Partitions};
use super::watch::{Audience, RunObserver, StreamStanding};
use crate::batch::EventBatch;
use crate::config::{KafkaConfig, OnGap};
use crate::decode;
use crate::engine::MemoryUse;
use crate::error::{Error, Result};
use crate::event::Micros;
use crate::plan::{Plan, SourcePlan};
use crate::scan::{Checkpoint, Complete, Scan, StreamCheckpoint, StreamCounts, portions};
use crate::verdict::liveness::LAG_MAX;

/// Runs the scan role until `stop` is set.
pub fn run(
    plan: &Arc<Plan>,
    kafka: &KafkaConfig,
    options: RunOptions,
    Audience { watch, .. }: Audience<'_>,
    stop: &AtomicBool,
) -> Result<RunSummary> {
    let connection = Connection::open(kafka)?;
    let shards = open(plan, &connection, options, watch)?;
    let halt = AtomicBool::new(false);
    let stopped = || stop.load(Ordering::Relaxed) || halt.load(Ordering::Relaxed);
    thread::scope(|scope| {
        let mut threads = Vec::new();
        for mut shard in shards {
            let (halt, stopped) = (&halt, &stopped);
            threads.push(scope.spawn(move || {
                let done = shard.run(stopped);
                // The first that fails stops the others.
                halt.fetch_or(done.is_err(), Ordering::Relaxed);
                done.map(|()| shard.summary)
            }));
        }
        threads.into_iter().try_fold(RunSummary::default(), |mut sum, thread| {
            let one = thread.join().map_err(|_| Error::internal("a shard's thread panicked"))??;
            sum.add(one);
            Ok(sum)
        })
    })
}

/// The members of one process, each to be turned on a thread of its own or by hand.
pub fn open<'a>(
    plan: &'a Arc<Plan>,
    cluster: &dyn Cluster,
    options: RunOptions,
    watch: &'a dyn RunObserver,
) -> Result<Vec<GroupMember<'a>>> {
    let settings = cluster.settings();
    let probe = cluster.consumer(&settings.group, "probe")?;
    cluster.create(topics::looked(plan).as_slice())?;
    check_lanes(plan, &topics::inputs(probe.as_ref(), plan)?)?;
    let producer = cluster.producer()?;
    let partials = Partials::open(cluster, Arc::clone(&producer))?;
    cluster.create(&[Own::of(&settings.topics.dead_letter)])?;
    let dead_letters = DeadLetters { producer, topic: settings.topics.dead_letter.clone() };
    let count = options.shards.max(1);
    let far = Arc::new(AtomicUsize::new(count as usize));
    let shard = |index: u32| {
        let name = format!("scan-{index}");
        let consumer = cluster.consumer(&format!("{}.scan", settings.group), &name)?;
        let topics: BTreeSet<&str> = plan.sources.iter().map(|source| source.topic.as_str()).collect();
        let topics: Vec<&str> = topics.into_iter().collect();
        consumer.subscribe(&topics)?;
        let reader = ShardReader::new(consumer, dead_letters.clone(), cluster.schemas());
        let machine = Arc::clone(cluster.machine());
        Ok(GroupMember {
            plan,
            name,
            options,
            watch,
            partitions: Partitions::new(),
            reader,
            partials: partials.clone(),
            on_gap: settings.on_gap,
            lanes: BTreeMap::new(),
            streams: Vec::new(),
            standings: BTreeMap::new(),
            told: BTreeMap::new(),
            looked_at: None,
            beat_at: machine.now(),
            machine,
            schemas: cluster.schemas(),
            begun: false,
            far: Some(Arc::clone(&far)),
            summary: RunSummary::default(),
        })
    };
    let shards = (0..count).map(shard).collect::<Result<_>>()?;
    watch.started(&[]);
    Ok(shards)
}

/// The members of the group share out each topic by itself; only equal partition counts keep a lane in one hand.
fn check_lanes(plan: &Plan, partitions: &Partitions) -> Result<()> {
    let lanes = topics::lanes(partitions);
    let other = plan.sources.iter().find(|source| ![1, lanes].contains(&partitions[&source.topic]));
    other.map_or(Ok(()), |source| {
        let count = partitions[&source.topic];
        Err(Error::user(format!("topic `{}` has {count} partitions, another has {lanes}", source.topic))
            .hint("for `--role scan` give all input topics the same number of partitions, or one"))
    })
}

/// One source partition in this shard's hand.
struct ShardLane {
    scan: Scan,
    /// What was counted of each source.
    tallies: BTreeMap<u16, StreamCounts>,
}

impl ShardLane {
    /// Takes rows, and counts of them what was not counted before the lane came here.
    fn count(&mut self, batch: &EventBatch) -> Complete {
        let tally = self.tallies.entry(batch.source).or_default();
        let (again, fresh) = batch.split_at_offset(tally.next_offset);
        let mut complete = self.scan.step(&again);
        let before = self.scan.counts();
        complete.append(self.scan.step(&fresh));
        let after = self.scan.counts();
        tally.rows += fresh.len() as u64;
        tally.late += after.late - before.late;
        tally.duplicates += after.duplicates - before.duplicates;
        tally.arrived = fresh.broker_time.values().iter().copied().fold(tally.arrived, Micros::max);
        complete
    }

    /// All rows of a portion were taken.
    fn pass(&mut self, portion: &ReadPortion) -> Complete {
        let tally = self.tallies.entry(portion.source).or_default();
        for reject in portion.rejects.iter().filter(|reject| reject.offset >= tally.next_offset) {
            *tally.refused.entry(reject.reason).or_default() += 1;
        }
        tally.next_offset = tally.next_offset.max(portion.next_offset);
        self.scan.progress(portion.source, portion.next_offset, false, false)
    }
}

/// One member of the group.
pub struct GroupMember<'a> {
    plan: &'a Arc<Plan>,
    name: String,
    options: RunOptions,
    watch: &'a dyn RunObserver,
    machine: Arc<dyn Machine>,
    schemas: Arc<dyn Schemas>,
    partitions: Partitions,
    reader: ShardReader,
    partials: Partials,
    on_gap: OnGap,
    lanes: BTreeMap<u32, ShardLane>,
    streams: Vec<Stream>,
    standings: BTreeMap<(u16, u32), StreamStanding>,
    /// Up to which offset of each stream it was told what was counted.
    told: BTreeMap<(u16, u32), i64>,
    /// When the ends of the logs were asked for, which the lanes' last word about them rests on.
    looked_at: Option<Instant>,
    beat_at: Instant,
    /// Whether partitions were given out, be it none for this member.
    begun: bool,
    /// How many members of this process have not been near the ends of their logs yet; `None` once this one has.
    far: Option<Arc<AtomicUsize>>,
    summary: RunSummary,
}

impl GroupMember<'_> {
    fn run(&mut self, stopped: impl Fn() -> bool) -> Result<()> {
        while !stopped() {
            self.turn()?;
        }
        self.hand_over()
    }

    /// Carries out changes of what is its own, takes a batch, and does what is due.
    pub fn turn(&mut self) -> Result<()> {
        self.watch.alive(&self.name);
        while let Some(change) = self.reader.rebalance() {
            match change {
                Rebalance::Assigned(own) => self.begin(&own)?,
                Rebalance::Revoked => self.hand_over()?,
            }
        }
        for portion in self.reader.read(self.options.batch_records_max)? {
            self.watch.read(&portion);
            self.take(&portion)?;
        }
        if self.machine.now() >= self.beat_at {
            self.beat()?;
            self.beat_at = self.machine.now() + self.options.beat;
        }
        Ok(())
    }

    /// Takes over partitions: each lane goes on from its checkpoint.
    fn begin(&mut self, own: &[(String, u32)]) -> Result<()> {
        let found = patiently(|| topics::count(self.reader.consumer(), self.plan))?;
        self.partitions = topics::common(&found);
        let unread = found.values().sum::<u32>() - self.partitions.values().sum::<u32>();
        let of_partition = |(topic, lane): &(String, u32)| {
            let sources = (0..).zip(&self.plan.sources).filter(|(_, source)| source.topic == *topic);
            let sources = sources.filter(|_| *lane < self.partitions[topic]);
            let stream = |(source, of): (u16, &SourcePlan)| Stream {
                source,
                lane: *lane,
                topic: topic.clone(),
                kind: Some(of.kind),
            };
            sources.map(stream).collect::<Vec<_>>()
        };
        let streams: Vec<Stream> = own.iter().flat_map(of_partition).collect();
        let origins = patiently(|| checkpoint::origins(self.reader.consumer(), &streams, self.on_gap))?;
        let plan = self.plan;
        self.reader.assign(&origins, false, |stream| decode::decoder(plan, stream.source, stream.lane))?;
        self.lanes = streams.iter().map(|stream| (stream.lane, self.lane(stream.lane, &origins))).collect();
        self.watch.unread(unread);
        let now = self.machine.wall_clock();
        let standing =
            |origin: &StartPosition| ((origin.stream.source, origin.stream.lane), StreamStanding::new(origin, now));
        self.standings = origins.iter().map(standing).collect();
        self.streams = streams;
        self.begun = true;
        tracing::info!(lanes = ?self.lanes.keys(), "lanes taken over");
        Ok(())
    }

    fn lane(&self, lane: u32, origins: &[StartPosition]) -> ShardLane {
        let mut scan = Scan::new(Arc::clone(self.plan), lane, topics::lanes(&self.partitions));
        let saved = checkpoint::restored(lane, origins);
        scan.restore(&saved);
        for (source, spec) in (0..).zip(&self.plan.sources) {
            if lane >= self.partitions[&spec.topic] {
                // Nothing was counted yet, so nothing can be complete by this.
                drop(scan.progress(source, 0, true, true));
            }
        }
        let tally = |stream: StreamCheckpoint| Some((stream.source, stream.meta.tally?));
        ShardLane { scan, tallies: saved.streams.into_iter().filter_map(tally).collect() }
    }

    /// Commits and lets go of everything. A commit that comes too late is no loss: the next owner reads a little more
    /// again.
    pub fn hand_over(&mut self) -> Result<()> {
        if !self.reader.consumer().assignment_lost() {
            self.commit()?;
        }
        self.lanes.values().for_each(|lane| self.summary.losses.count(lane.scan.counts()));
        self.lanes.clear();
        self.told.clear();
        self.streams.clear();
        self.standings.clear();
        self.reader.unassign()
    }

    fn take(&mut self, portion: &ReadPortion) -> Result<()> {
        self.summary.read(&self.plan.sources[usize::from(portion.source)].topic, portion);
        if let Some(standing) = self.standings.get_mut(&(portion.source, portion.lane)) {
            standing.note(portion);
        }
        for batch in portions(&portion.batch, self.plan.time.pane) {
            let Some(lane) = self.lanes.get_mut(&portion.lane) else { return Ok(()) };
            let complete = lane.count(&batch);
            self.tell_if_any(portion.lane, complete)?;
        }
        let Some(lane) = self.lanes.get_mut(&portion.lane) else { return Ok(()) };
        let complete = lane.pass(portion);
        self.tell_if_any(portion.lane, complete)
    }

    fn tell_if_any(&mut self, lane: u32, complete: Complete) -> Result<()> {
        if complete.is_empty() { Ok(()) } else { self.tell(lane, complete) }
    }

    /// Sends what is complete, and how far the lane is after it.
    fn tell(&mut self, lane: u32, complete: Complete) -> Result<()> {
        let lane = &self.lanes[&lane];
        let whole_from = lane.scan.whole_from();
        let mut whole = complete.filter(|partial| partial.is_whole(whole_from));
        whole.try_for_each(|partial| self.partials.send(partial))?;
        let mut tick = lane.scan.tick();
        if !self.knows_ends() {
            tick.streams.iter_mut().for_each(|stream| stream.at_end = false);
        }
        self.partials.tick(tick)
    }

    /// Whether the ends of the logs were looked up lately: a process that was frozen must not tell of silence
    /// meanwhile.
    fn knows_ends(&self) -> bool {
        self.looked_at.is_some_and(|at| self.machine.since(at) < patience(self.plan))
    }

    fn beat(&mut self) -> Result<()> {
        let asked_at = self.machine.now();
        match self.reader.look() {
            Ok(extents) => {
                self.looked_at = Some(asked_at);
                self.extend(&extents)?;
            }
            Err(error) => tracing::warn!(%error, "the ends of the logs are not known for now"),
        }
        self.commit()?;
        self.schemas.answers().into_iter().for_each(|answer| self.watch.schemas(answer));
        self.tell_when_near();
        let Self { name, watch, .. } = self;
        watch.standing(name, &self.standings.values().cloned().collect::<Vec<_>>());
        watch.counted(name, &self.lanes.iter().map(|(&lane, held)| (lane, held.scan.counts())).collect());
        let of_scans = |bytes: fn(&Scan) -> usize| self.lanes.values().map(|held| bytes(&held.scan)).sum();
        let memory = MemoryUse {
            open_panes: of_scans(Scan::open_bytes),
            labels: of_scans(Scan::label_bytes),
            ids: of_scans(Scan::id_bytes),
            ..MemoryUse::default()
        };
        watch.remembered(name, &memory, 0);
        Ok(())
    }

    /// The last member that has come near the ends of its logs says so for all.
    fn tell_when_near(&mut self) {
        let at = self.machine.wall_clock();
        let is_near = |standing: &StreamStanding| standing.behind.lag(at).is_some_and(|lag| lag <= LAG_MAX);
        if !self.begun || !self.standings.values().all(is_near) {
            return;
        }
        if self.far.take().is_some_and(|far| far.fetch_sub(1, Ordering::Relaxed) == 1) {
            self.watch.caught_up();
        }
    }

    fn extend(&mut self, extents: &[Extent]) -> Result<()> {
        let mut told: BTreeMap<u32, Complete> = BTreeMap::new();
        for extent in extents {
            let (source, lane) = (extent.stream.source, extent.stream.lane);
            let Some(held) = self.lanes.get_mut(&lane) else { continue };
            let complete = held.scan.progress(source, extent.next_offset, extent.at_end(), false);
            match told.entry(lane) {
                Entry::Occupied(mut before) => before.get_mut().append(complete),
                Entry::Vacant(first) => drop(first.insert(complete)),
            }
            if let Some(standing) = self.standings.get_mut(&(source, lane)) {
                standing.look(extent.next_offset, extent.end, self.machine.wall_clock());
            }
        }
        told.into_iter().try_for_each(|(lane, complete)| self.tell(lane, complete))
    }

    /// The judge keeps its own position on the partials topic, so a lane needs no more than its own open panes.
    fn commit(&mut self) -> Result<()> {
        let mut checkpoints: Vec<Checkpoint> =
            self.lanes.values_mut().map(|lane| lane.scan.checkpoint(Micros::MAX, Micros::MIN)).collect();
        for checkpoint in &mut checkpoints {
            self.tell_tallies(checkpoint)?;
        }
        self.partials.settle()?;
        match checkpoint::commit(self.reader.consumer(), &self.streams, &checkpoints) {
            Ok(()) => {
                checkpoints.iter().for_each(|checkpoint| self.note(checkpoint));
                let now = self.machine.wall_clock();
                self.standings.values_mut().for_each(|standing| standing.committed_at = now);
            }
            Err(error) => tracing::warn!(%error, "not committed for now"),
        }
        Ok(())
    }

    /// Tells what is new of what was counted, and puts it into the commit, so that the next owner goes on from there.
    fn tell_tallies(&mut self, checkpoint: &mut Checkpoint) -> Result<()> {
        let lane = checkpoint.lane;
        for saved in &mut checkpoint.streams {
            let Some(tally) = self.lanes[&lane].tallies.get(&saved.source) else { continue };
            let told = self.told.insert((saved.source, lane), tally.next_offset);
            if told != Some(tally.next_offset) {
                self.partials.tally(lane, saved.source, tally)?;
            }
            saved.meta.tally = Some(tally.clone());
        }
        Ok(())
    }

    fn note(&mut self, checkpoint: &Checkpoint) {
        for saved in &checkpoint.streams {
            if let Some(standing) = self.standings.get_mut(&(saved.source, checkpoint.lane)) {
                standing.low_water = Some(saved.low_water);
            }
        }
    }
}
