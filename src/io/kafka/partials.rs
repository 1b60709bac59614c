//! The partials topic: what scans tell the judge when they run apart.
//!
//! It has one partition, so that the judge sees one order. A tick follows the partials it completes, because one
//! idempotent producer keeps the order of what it was given.

use std::sync::Arc;

use rdkafka::producer::BaseRecord;

use super::ports::{Cluster, Sink};
use super::topics::Own;
use crate::error::Result;
use crate::scan::frame::Frame;
use crate::scan::{Partial, StreamCounts, Tick};

/// Sends frames.
#[derive(Clone)]
pub struct Partials {
    producer: Arc<dyn Sink>,
    topic: String,
}

impl Partials {
    /// Makes the topic where it is missing.
    pub fn open(cluster: &dyn Cluster, producer: Arc<dyn Sink>) -> Result<Self> {
        let topic = cluster.settings().topics.partials.clone();
        cluster.create(&[Own::of(&topic).timed_by_brokers()])?;
        Ok(Self { producer, topic })
    }

    /// Sends counts, keyed by their model.
    pub fn send(&self, partial: Partial) -> Result<()> {
        let key = partial.group.model.clone();
        let frame = Frame::Partial(Box::new(partial)).encode();
        self.producer.send(BaseRecord::to(&self.topic).key(key.as_bytes()).payload(&frame))
    }

    /// Sends progress.
    pub fn tick(&self, tick: Tick) -> Result<()> {
        self.producer.send(BaseRecord::to(&self.topic).key(b"".as_slice()).payload(&Frame::Tick(tick).encode()))
    }

    /// Sends what was counted of a stream.
    pub fn tally(&self, lane: u32, source: u16, tally: &StreamCounts) -> Result<()> {
        let frame = Frame::Tally(lane, source, tally.clone()).encode();
        self.producer.send(BaseRecord::to(&self.topic).key(b"".as_slice()).payload(&frame))
    }

    /// Waits until everything sent is acknowledged.
    pub fn settle(&self) -> Result<()> {
        self.producer.settle()
    }
}
