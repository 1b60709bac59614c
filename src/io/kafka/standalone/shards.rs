//! Shards: threads that read and decode, each with a consumer and lanes of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::Sender;

use super::RunOptions;
use crate::decode;
use crate::error::{Error, Result};
use crate::kafka::checkpoint::StartPosition;
use crate::kafka::ports::{Cluster, Machine};
use crate::kafka::reader::{DeadLetters, Extent, ReadPortion, ShardReader};
use crate::kafka::topics::{self, Partitions};
use crate::plan::Plan;

/// How often it is looked for partitions that were added.
const MORE_EVERY: Duration = Duration::from_secs(5);

/// What shards tell the engine's side.
#[derive(Debug)]
pub enum ShardEvent {
    /// What was read of one stream.
    Portion(Box<ReadPortion>),
    /// Where the logs end, and when that was asked for.
    Extents(Vec<Extent>, Instant),
    /// There are partitions that nobody reads yet, and all input topics have them alike.
    Grown,
    /// So many partitions are not read yet.
    Unread(u32),
    /// The shard has ended with this.
    Failed(Error),
}

/// Deals the lanes out to shards; the streams of one lane stay together.
pub(super) fn deal<'a>(
    plan: &Arc<Plan>,
    cluster: &dyn Cluster,
    origins: &[StartPosition],
    options: RunOptions,
    dead_letters: &DeadLetters,
    queued: &Arc<AtomicU64>,
) -> Result<Vec<Shard<'a>>> {
    let lanes = origins.iter().map(|origin| origin.stream.lane + 1).max().unwrap_or(1);
    let count = options.shards.clamp(1, lanes);
    let shard = |shard| {
        let own: Vec<StartPosition> =
            origins.iter().filter(|origin| origin.stream.lane % count == shard).cloned().collect();
        let consumer = cluster.consumer(&cluster.settings().group, &format!("shard-{shard}"))?;
        let mut reader = ShardReader::new(consumer, dead_letters.clone(), cluster.schemas());
        reader.assign(&own, options.until_end, |stream| decode::decoder(plan, stream.source, stream.lane))?;
        let (machine, queued) = (Arc::clone(cluster.machine()), Arc::clone(queued));
        let now = machine.now();
        Ok(Shard { reader, options, machine, queued, more: None, look_at: now, more_at: now + MORE_EVERY })
    };
    (0..count).map(shard).collect()
}

/// What a shard that looks for more partitions goes by.
pub(super) struct More<'a> {
    pub(super) plan: &'a Plan,
    /// Those that are read.
    pub(super) partitions: Partitions,
}

impl More<'_> {
    /// What there is to tell, if anything has changed. Topics are made larger one by one: until all are alike, nobody
    /// can tell which labels would meet which predictions.
    fn look(&self, reader: &ShardReader) -> Result<Option<ShardEvent>> {
        let found = topics::count(reader.consumer(), self.plan)?;
        let unread = found.iter().map(|(topic, n)| n.saturating_sub(self.partitions.get(topic).copied().unwrap_or(0)));
        let unread: u32 = unread.sum();
        if unread == 0 {
            return Ok(None);
        }
        let alike = topics::check_alike(&self.plan.sources, &found);
        Ok(Some(if alike.is_ok() { ShardEvent::Grown } else { ShardEvent::Unread(unread) }))
    }
}

/// A consumer, and the lanes that it reads and decodes.
pub struct Shard<'a> {
    reader: ShardReader,
    options: RunOptions,
    machine: Arc<dyn Machine>,
    /// Bytes of records that wait for the engine.
    queued: Arc<AtomicU64>,
    more: Option<More<'a>>,
    look_at: Instant,
    more_at: Instant,
}

impl<'a> Shard<'a> {
    /// Makes it the one that looks for partitions that were added.
    pub(super) fn look_for_more(&mut self, more: More<'a>) {
        self.more = Some(more);
    }

    /// Reads a batch and, now and then, where the logs end. `tell` takes what there is to tell, and says whether
    /// anybody listens. Returns whether the shard has ended.
    pub fn turn(&mut self, tell: &mut dyn FnMut(ShardEvent) -> bool) -> Result<bool> {
        if let Some(more) = self.more.as_ref().filter(|_| self.machine.now() >= self.more_at) {
            match more.look(&self.reader) {
                Ok(told) => drop(told.map(&mut *tell)),
                Err(error) => tracing::warn!(%error, "the partitions of the input topics are not known for now"),
            }
            self.more_at = self.machine.now() + MORE_EVERY;
        }
        let portions = self.reader.read(self.options.batch_records_max)?;
        let idle = portions.is_empty();
        for portion in portions {
            self.queued.fetch_add(portion.bytes, Ordering::Relaxed);
            if !tell(ShardEvent::Portion(Box::new(portion))) {
                return Ok(true);
            }
        }
        let asked_at = self.machine.now();
        if asked_at < self.look_at && !(self.options.until_end && idle) {
            return Ok(false);
        }
        self.look_at = asked_at + self.options.beat;
        match self.reader.look() {
            Ok(extents) => {
                let done = self.options.until_end && extents.iter().all(Extent::at_end);
                Ok(!tell(ShardEvent::Extents(extents, asked_at)) || done)
            }
            Err(error) => {
                tracing::warn!(%error, "the ends of the logs are not known for now");
                Ok(false)
            }
        }
    }
}

/// One shard's thread.
pub(super) fn run(mut shard: Shard<'_>, news: &Sender<ShardEvent>, mut stopped: impl FnMut() -> bool) {
    while !stopped() {
        match shard.turn(&mut |told| news.send(told).is_ok()) {
            Ok(false) => {}
            Ok(true) => return,
            Err(error) => {
                // Nobody listens any more when the engine's thread has failed first.
                let _ = news.send(ShardEvent::Failed(error));
                return;
            }
        }
    }
}
