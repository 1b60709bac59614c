//! Shards: threads that read and decode, each with a consumer and lanes of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::Sender;
use rdkafka::consumer::Consumer as _;

use super::Options;
use crate::decode;
use crate::error::{Error, Result};
use crate::kafka::checkpoint::Origin;
use crate::kafka::clock::now;
use crate::kafka::connection::Connection;
use crate::kafka::reader::{DeadLetters, Extent, Member, ReadPortion, Reader};
use crate::kafka::topics::{self, Partitions};
use crate::plan::Plan;

/// How often it is looked for partitions that were added.
const MORE_EVERY: Duration = Duration::from_secs(5);

/// What shards tell the engine's thread.
pub(super) enum News {
    Portion(Box<ReadPortion>),
    /// Where the logs end, and when that was asked for.
    Extents(Vec<Extent>, Instant),
    /// There are partitions that nobody reads yet, and all input topics have them alike.
    Grown,
    /// So many partitions are not read yet.
    Unread(u32),
    Failed(Error),
}

/// Where shards put what they have read.
#[derive(Clone)]
pub(super) struct Outbox<'a> {
    pub(super) news: Sender<News>,
    /// Bytes of records that wait for the engine.
    pub(super) queued: &'a AtomicU64,
}

impl Outbox<'_> {
    /// Whether somebody still listens.
    fn send(&self, news: News) -> bool {
        if let News::Portion(portion) = &news {
            self.queued.fetch_add(portion.bytes, Ordering::Relaxed);
        }
        self.news.send(news).is_ok()
    }
}

/// Deals the lanes out to shards; the streams of one lane stay together.
pub(super) fn deal(
    plan: &Arc<Plan>,
    connection: &Connection,
    origins: &[Origin],
    options: Options,
    dead_letters: &DeadLetters,
) -> Result<Vec<Reader>> {
    let lanes = origins.iter().map(|origin| origin.stream.lane + 1).max().unwrap_or(1);
    let count = options.shards.clamp(1, lanes);
    let reader = |shard| {
        let own: Vec<Origin> = origins.iter().filter(|origin| origin.stream.lane % count == shard).cloned().collect();
        let group = &connection.settings().group;
        let consumer = connection.consumer(group, &format!("shard-{shard}"), Member::default())?;
        let mut reader = Reader::new(consumer, dead_letters.clone());
        reader.assign(&own, options.until_end, |stream| decode::decoder(plan, stream.source, stream.lane))?;
        Ok(reader)
    };
    (0..count).map(reader).collect()
}

/// What a shard that looks for more partitions goes by.
#[derive(Clone, Copy)]
pub(super) struct More<'a> {
    pub(super) plan: &'a Plan,
    /// Those that are read.
    pub(super) partitions: &'a Partitions,
}

impl More<'_> {
    /// What there is to tell, if anything has changed. Topics are made larger one by one: until all are alike, nobody
    /// can tell which labels would meet which predictions.
    fn look(&self, reader: &Reader) -> Result<Option<News>> {
        let found = topics::count(reader.consumer().client(), self.plan)?;
        let unread = found.iter().map(|(topic, n)| n.saturating_sub(self.partitions.get(topic).copied().unwrap_or(0)));
        let unread: u32 = unread.sum();
        if unread == 0 {
            return Ok(None);
        }
        let alike = topics::check_alike(&self.plan.sources, &found);
        Ok(Some(if alike.is_ok() { News::Grown } else { News::Unread(unread) }))
    }
}

/// One shard's thread.
pub(super) fn run(
    mut reader: Reader,
    news: &Outbox<'_>,
    options: Options,
    more: Option<More<'_>>,
    mut stopped: impl FnMut() -> bool,
) {
    let (mut look_at, mut more_at) = (now(), now() + MORE_EVERY);
    while !stopped() {
        if let Some(more) = more
            && now() >= more_at
        {
            more_at = now() + MORE_EVERY;
            match more.look(&reader) {
                Ok(told) => drop(told.map(|told| news.send(told))),
                Err(error) => tracing::warn!(%error, "the partitions of the input topics are not known for now"),
            }
        }
        let done = read_once(&mut reader, news, options, &mut look_at);
        match done {
            Ok(false) => {}
            Ok(true) => return,
            Err(error) => {
                // Nobody listens any more when the engine's thread has failed first.
                let _ = news.send(News::Failed(error));
                return;
            }
        }
    }
}

/// Reads a batch and, now and then, where the logs end. Returns whether the work is done.
fn read_once(reader: &mut Reader, news: &Outbox<'_>, options: Options, look_at: &mut Instant) -> Result<bool> {
    let portions = reader.read(options.batch_records_max)?;
    let idle = portions.is_empty();
    for portion in portions {
        if !news.send(News::Portion(Box::new(portion))) {
            return Ok(true);
        }
    }
    if now() < *look_at && !(options.until_end && idle) {
        return Ok(false);
    }
    let asked_at = now();
    *look_at = asked_at + options.beat;
    match reader.look() {
        Ok(extents) => {
            let done = options.until_end && extents.iter().all(Extent::at_end);
            Ok(!news.send(News::Extents(extents, asked_at)) || done)
        }
        Err(error) => {
            tracing::warn!(%error, "the ends of the logs are not known for now");
            Ok(false)
        }
    }
}
