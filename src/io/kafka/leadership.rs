//! The one place at the work of a pipeline: of the processes that run all of it, one works and the others stand by.
//!
//! It is membership of a consumer group that shares the control topic: the place is its first partition, whatever
//! others it has, so the brokers decide who has it, and miss whoever was killed. Nothing is read by it. Members stand
//! in the order in which they came, so the one at work keeps its place when another one joins.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::checkpoint::Stream;
use super::ports::{Cluster, Consumer, Machine, Rebalance, Wait};
use super::watch::RunObserver;
use crate::error::{Error, Result};

/// How long each look at the group lasts while there is nothing else to do.
const LOOK: Duration = Duration::from_millis(50);

/// How the work stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hold {
    /// It is this process's own.
    Held,
    /// The group is about to say whose it is: nothing may be published meanwhile.
    Changing,
    /// Others may have had it since it was taken: the place is to be given up.
    Lost,
}

/// A process that has not looked for so long may have been frozen, and replaced meanwhile: it asks the group first.
pub(super) const UNSURE: Duration = Duration::from_secs(4);

/// A run that ends by itself waits for its place for so long: twice what it takes to miss a member that was killed.
const PATIENCE: Duration = Duration::from_secs(20);

/// The partition that is the place.
const PLACE: u32 = 0;

/// Membership of the group that decides who works.
#[expect(clippy::struct_excessive_bools, reason = "what the group has said, and what was told of it")]
pub struct Leadership {
    consumer: Box<dyn Consumer>,
    machine: Arc<dyn Machine>,
    place: Stream,
    group: String,
    /// Whether the group has given it the work.
    held: bool,
    /// Whether the group is about to say who has it.
    changing: bool,
    /// Whether others may have had it since it was taken.
    lost: bool,
    /// Whether it was told that another process works.
    told: bool,
    opened_at: Instant,
    looked_at: Instant,
}

impl Leadership {
    /// Joins the group. The control topic must be there.
    pub fn open(cluster: &dyn Cluster) -> Result<Self> {
        let settings = cluster.settings();
        let consumer = cluster.consumer(&format!("{}.all", settings.group), "leader")?;
        let place = Stream { source: 0, lane: PLACE, topic: settings.topics.control.clone(), kind: None };
        consumer.subscribe(&[&place.topic])?;
        let (group, machine) = (settings.group.clone(), Arc::clone(cluster.machine()));
        let (held, changing, lost, told) = (false, false, false, false);
        let (opened_at, looked_at) = (machine.now(), machine.now());
        Ok(Self { consumer, machine, place, group, held, changing, lost, told, opened_at, looked_at })
    }

    /// Looks whether the work is this process's own now.
    ///
    /// # Errors
    /// When it goes on elsewhere for long, of a run that is to end by itself.
    pub fn take(&mut self, watch: &dyn RunObserver, until_end: bool) -> Result<bool> {
        watch.alive("engine");
        let answered = self.look(LOOK)?;
        if self.held {
            (self.looked_at, self.told) = (self.machine.now(), false);
            return Ok(true);
        }
        if answered && !std::mem::replace(&mut self.told, true) {
            tracing::info!(group = self.group, "another process of the group is at work; standing by");
            watch.standing_by();
        }
        if until_end && self.machine.since(self.opened_at) >= PATIENCE {
            return Err(Error::external(format!("another process of group `{}` is at work", self.group))
                .hint("end it first, or give this run a `kafka.group` of its own"));
        }
        Ok(false)
    }

    /// Looks whether the work is still this process's own.
    pub fn hold(&mut self, watch: &dyn RunObserver) -> Result<Hold> {
        let unsure = self.is_unsure();
        if self.changing {
            watch.alive("engine");
        }
        self.look(if self.changing { LOOK } else { Duration::ZERO })?;
        if self.changing && !self.lost {
            return Ok(Hold::Changing);
        }
        let keeps = self.held && !self.lost && (!unsure || self.confirm());
        self.looked_at = self.machine.now();
        Ok(if keeps { Hold::Held } else { Hold::Lost })
    }

    /// Whether it has not looked for so long that it may have been replaced.
    #[must_use]
    pub fn is_unsure(&self) -> bool {
        self.machine.since(self.looked_at) > UNSURE
    }

    /// Asks the brokers: they refuse a commit of whoever is no member any more.
    fn confirm(&self) -> bool {
        self.consumer.commit(&[(self.place.clone(), 0, String::new())]).is_ok()
    }

    /// Takes the next change; whether there was an assignment.
    fn look(&mut self, wait: Duration) -> Result<bool> {
        // Nothing is read: the client is served, and says what went wrong.
        self.consumer.read(Wait { records_max: 1, first: wait, more: Duration::ZERO }, &mut |_| Ok(()))?;
        let mut answered = false;
        while let Some(change) = self.consumer.change() {
            answered = matches!(change, Rebalance::Assigned(_));
            self.obey(&change)?;
        }
        Ok(answered)
    }

    /// The client waits for an answer to each change; it is never given anything to read.
    fn obey(&mut self, change: &Rebalance) -> Result<()> {
        match change {
            Rebalance::Assigned(own) => {
                (self.held, self.changing) = (own.iter().any(|(_, partition)| *partition == PLACE), false);
                self.consumer.assign(&[])
            }
            Rebalance::Revoked => {
                self.lost |= self.held && self.consumer.assignment_lost();
                (self.held, self.changing) = (false, true);
                // Whoever has lost it leaves, instead of joining anew in its old place.
                if self.lost { Ok(()) } else { self.consumer.unassign() }
            }
        }
    }
}

impl Drop for Leadership {
    fn drop(&mut self) {
        self.consumer.leave();
    }
}
