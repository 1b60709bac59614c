//! The one place at the work of a pipeline: of the processes that run all of it, one works and the others stand by.
//!
//! It is membership of a consumer group that shares the control topic: the place is its first partition, whatever
//! others it has, so the brokers decide who has it, and miss whoever was killed. Nothing is read by it. Members stand
//! in the order in which they came, so the one at work keeps its place when another one joins.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::clock::now;
use super::connection::Connection;
use super::reader::{Member, Rebalance, endure};
use super::watch::Watch;
use crate::error::{Error, Result};

/// How long each look at the group lasts while there is nothing else to do.
const LOOK: Duration = Duration::from_millis(50);

/// A process that has not looked for so long may have been frozen, and replaced meanwhile: it asks the group first.
pub(super) const UNSURE: Duration = Duration::from_secs(4);

/// A run that ends by itself waits for its place for so long: twice what it takes to miss a member that was killed.
const PATIENCE: Duration = Duration::from_secs(20);

/// The partition that is the place.
const PLACE: u32 = 0;

/// Membership of the group that decides who works.
pub struct Leadership {
    consumer: BaseConsumer<Member>,
    topic: String,
    group: String,
    /// Whether the group has given it the work.
    held: bool,
    /// Whether the group is about to say who has it.
    changing: bool,
    /// Whether others may have had it since it was taken.
    lost: bool,
    looked_at: Instant,
}

impl Leadership {
    /// Joins the group. The control topic must be there.
    pub fn open(connection: &Connection) -> Result<Self> {
        let settings = connection.settings();
        let group = format!("{}.all", settings.group);
        let consumer = connection.consumer(&group, "leader", Member::default())?;
        let topic = settings.topics.control.clone();
        consumer.subscribe(&[&topic]).map_err(|error| Error::external("cannot join the group").because(error))?;
        let (group, looked_at) = (settings.group.clone(), now());
        Ok(Self { consumer, topic, group, held: false, changing: false, lost: false, looked_at })
    }

    /// Waits until the work is this process's own; `false` when it is told to stop before.
    ///
    /// # Errors
    /// When the work goes on elsewhere, of a run that is to end by itself.
    pub fn take(&mut self, watch: &dyn Watch, until_end: bool, stop: &AtomicBool) -> Result<bool> {
        let deadline = now() + PATIENCE;
        let mut told = false;
        while !stop.load(Ordering::Relaxed) {
            watch.alive("engine");
            let answered = self.look(LOOK)?;
            if self.held {
                self.looked_at = now();
                return Ok(true);
            }
            if answered && !std::mem::replace(&mut told, true) {
                tracing::info!(group = self.group, "another process of the group is at work; standing by");
                watch.standing_by();
            }
            if until_end && now() >= deadline {
                return Err(Error::external(format!("another process of group `{}` is at work", self.group))
                    .hint("end it first, or give this run a `kafka.group` of its own"));
            }
        }
        Ok(false)
    }

    /// Whether the work is still this process's own; once it is not, the place is to be given up. While the group
    /// changes, it waits for the outcome: nothing may be published meanwhile.
    pub fn holds(&mut self, watch: &dyn Watch) -> Result<bool> {
        let unsure = self.looked_at.elapsed() > UNSURE;
        self.look(Duration::ZERO)?;
        while self.changing && !self.lost {
            watch.alive("engine");
            self.look(LOOK)?;
        }
        let keeps = self.held && !self.lost && (!unsure || self.confirm());
        self.looked_at = now();
        Ok(keeps)
    }

    /// Asks the brokers: they refuse a commit of whoever is no member any more.
    fn confirm(&self) -> bool {
        let mut list = TopicPartitionList::new();
        let added = list.add_partition_offset(&self.topic, 0, Offset::Offset(0));
        added.and_then(|()| self.consumer.commit(&list, CommitMode::Sync)).is_ok()
    }

    /// Takes the next change; whether there was an assignment.
    fn look(&mut self, wait: Duration) -> Result<bool> {
        if let Some(Err(error)) = self.consumer.poll(wait) {
            endure(error)?;
        }
        let mut answered = false;
        while let Some(change) = self.consumer.context().next() {
            answered = matches!(change, Rebalance::Assigned(_));
            self.obey(&change)?;
        }
        Ok(answered)
    }

    /// The client waits for an answer to each change; it is never given anything to read.
    fn obey(&mut self, change: &Rebalance) -> Result<()> {
        let answer = match change {
            Rebalance::Assigned(own) => {
                (self.held, self.changing) = (own.iter().any(|(_, partition)| *partition == PLACE), false);
                self.consumer.assign(&TopicPartitionList::new())
            }
            Rebalance::Revoked => {
                self.lost |= self.held && self.consumer.assignment_lost();
                (self.held, self.changing) = (false, true);
                self.consumer.unassign()
            }
        };
        answer.map_err(|error| Error::external("cannot answer the group").because(error))
    }
}

impl Drop for Leadership {
    fn drop(&mut self) {
        self.consumer.context().close();
        // A change that nobody carried out would keep the client from closing.
        let _ = self.consumer.unassign();
    }
}
