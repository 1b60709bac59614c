//! The judge role: windows and decisions from the partials topic. One process is active; others of its group stand by.
//!
//! Its position is an offset commit like a scan's: the first record that an unfinished window still needs. Time comes
//! from the records alone, so a judge that starts late decides what one that never stopped would have decided.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{BorrowedMessage, Message as _};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::checkpoint::{self, Origin, Stream};
use super::clock::{now, wall_clock};
use super::commands::{self, Commands};
use super::connection::Connection;
use super::dead_letter;
use super::leadership::UNSURE;
use super::liveness::{Behind, Pulse, Scans};
use super::partials::Partials;
use super::producer::Producer;
use super::publish::Publisher;
use super::reader::{DeadLetters, Member, Rebalance, endure};
use super::standalone::Options;
use super::states;
use super::summary::Summary;
use super::watch::Watch;
use crate::config::KafkaConfig;
use crate::engine::{Effects, Memory};
use crate::error::{Error, Fault, Result};
use crate::event::{Micros, Poison, Reject};
use crate::format::Version;
use crate::judge::{Judge, SealedPartial};
use crate::plan::Plan;
use crate::scan::frame::Frame;
use crate::scan::{Checkpoint, CheckpointMeta, Pace, Partial, StreamCheckpoint};
use crate::time::Clock;
use crate::verdict::with_ended;

/// How long a record is waited for.
const WAIT: Duration = Duration::from_millis(50);

/// Runs the judge role until `stop` is set.
pub fn run(
    plan: &Arc<Plan>,
    kafka: &KafkaConfig,
    options: Options,
    watch: &dyn Watch,
    stop: &AtomicBool,
) -> Result<Summary> {
    let connection = Connection::open(kafka)?;
    let producer = Arc::new(Producer::open(&connection)?);
    // The topic must be there to be subscribed to.
    drop(Partials::open(&connection, Arc::clone(&producer))?);
    let publisher = Publisher::open(&connection, Arc::clone(&producer))?;
    let dead_letters = DeadLetters { producer, topic: kafka.topics.dead_letter.clone() };
    let consumer = join(&connection)?;
    let mut judging = Membership {
        plan,
        connection: &connection,
        consumer,
        publisher,
        dead_letters,
        watch,
        active: None,
        turned_at: now(),
        summary: Summary::default(),
    };
    let done = judging.serve(options, stop);
    leave(&judging.consumer);
    done.map(|()| judging.summary)
}

/// A new member of the judges' group.
fn join(connection: &Connection) -> Result<BaseConsumer<Member>> {
    let settings = connection.settings();
    let consumer = connection.consumer(&format!("{}.judge", settings.group), "judge", Member::default())?;
    let failed = |error| Error::external("cannot join the group").because(error);
    consumer.subscribe(&[&settings.topics.partials]).map_err(failed)?;
    Ok(consumer)
}

/// A change that nobody carried out would keep the client from closing.
fn leave(consumer: &BaseConsumer<Member>) {
    consumer.context().close();
    let _ = consumer.unassign();
}

/// The judge at work, while the partials topic is its own.
struct Active {
    judge: Judge,
    stream: Stream,
    next_offset: i64,
    /// For each pane that a restart may need: its first record.
    firsts: BTreeMap<Micros, i64>,
    /// Panes to be kept, by lane, until a tick says that all groups of them are there; and the first record of them.
    unticked: BTreeMap<u32, (i64, Vec<SealedPartial>)>,
    committed: Option<Checkpoint>,
    commands: Commands,
    behind: Behind,
    scans: Scans,
    pulse: Pulse,
}

/// This process's place in the group.
struct Membership<'a> {
    plan: &'a Arc<Plan>,
    connection: &'a Connection,
    consumer: BaseConsumer<Member>,
    publisher: Publisher,
    dead_letters: DeadLetters,
    watch: &'a dyn Watch,
    active: Option<Active>,
    turned_at: Instant,
    summary: Summary,
}

impl Membership<'_> {
    fn serve(&mut self, options: Options, stop: &AtomicBool) -> Result<()> {
        let (mut beat_at, mut obey_at) = (now(), now());
        while !stop.load(Ordering::Relaxed) {
            self.watch.alive("judge");
            self.turn()?;
            if now() >= obey_at {
                self.obey()?;
                obey_at = now() + commands::EVERY;
            }
            if now() >= beat_at {
                self.commit(false)?;
                self.live()?;
                self.tell_memory();
                beat_at = now() + options.beat;
            }
        }
        self.commit(true)
    }

    fn tell_memory(&self) {
        let memory = self.active.as_ref().map_or(Memory::default(), Active::memory);
        self.watch.remembered("judge", &memory, 0);
    }

    /// Carries out a change of assignment, then takes the next record.
    fn turn(&mut self) -> Result<()> {
        if self.turned_at.elapsed() > UNSURE && !self.is_member() {
            self.join_again()?;
        }
        self.turned_at = now();
        while let Some(change) = self.consumer.context().next() {
            match change {
                Rebalance::Assigned(own) => self.take_over(&own)?,
                Rebalance::Revoked => self.give_up()?,
            }
        }
        let Some(polled) = self.consumer.poll(WAIT) else { return Ok(()) };
        match polled {
            Err(error) => endure(error),
            Ok(message) => {
                let Some(active) = &mut self.active else { return Ok(()) };
                let effects = active.take(&message, self.watch, &self.dead_letters)?;
                drop(message);
                self.carry_out(&effects)
            }
        }
    }

    /// Asks the brokers: they refuse a commit of whoever is no member any more. Before the first commit there is
    /// nothing that another process could not say as well.
    fn is_member(&self) -> bool {
        let Some(active) = &self.active else { return true };
        let committed = active.committed.as_slice();
        checkpoint::commit(&self.consumer, std::slice::from_ref(&active.stream), committed).is_ok()
    }

    /// As a new member: it stands behind those that were there meanwhile.
    fn join_again(&mut self) -> Result<()> {
        tracing::warn!("the group may have given the work to another process while this one did not answer");
        self.active = None;
        self.watch.standing_by();
        leave(&self.consumer);
        self.consumer = join(self.connection)?;
        Ok(())
    }

    fn take_over(&mut self, own: &[(String, u32)]) -> Result<()> {
        let Some((topic, lane)) = own.first().cloned() else { return self.stand_by() };
        let stream = Stream { source: 0, lane, topic };
        self.watch.taking_over()?;
        let origins =
            checkpoint::origins(&self.consumer, std::slice::from_ref(&stream), self.connection.settings().on_gap)?;
        let rollouts = states::read(self.connection, &self.plan.policy.rollout)?;
        let mut judge = Judge::new(Arc::clone(self.plan));
        judge.restore_rollouts(rollouts.clone());
        judge.restore_lane(&checkpoint::restored(lane, &origins));
        let offset = origins.first().map_or(0, |origin: &Origin| origin.offset);
        let list = checkpoint::list(std::slice::from_ref(&stream), Offset::Offset(offset))?;
        self.consumer
            .assign(&list)
            .map_err(|error| Error::external("cannot read the partials topic").because(error))?;
        let commands = Commands::open(self.connection, self.dead_letters.clone(), self.plan)?;
        let (firsts, unticked) = (BTreeMap::new(), BTreeMap::new());
        let (behind, scans, pulse) = (Behind::default(), Scans::default(), Pulse::new(self.plan));
        let (next_offset, committed) = (offset, None);
        self.active =
            Some(Active { judge, stream, next_offset, firsts, unticked, committed, commands, behind, scans, pulse });
        tracing::info!(offset, "judging begins");
        self.watch.started(&with_ended(rollouts));
        Ok(())
    }

    /// Another process judges. The client waits for an answer to each assignment, and takes only an empty list for one
    /// to an empty assignment: without it, it never hears of the group again.
    fn stand_by(&mut self) -> Result<()> {
        self.active = None;
        tracing::info!("another process of the group judges; standing by");
        self.watch.standing_by();
        let none = TopicPartitionList::new();
        self.consumer.assign(&none).map_err(|error| Error::external("cannot stand by").because(error))
    }

    fn give_up(&mut self) -> Result<()> {
        if self.consumer.assignment_lost() {
            return self.join_again();
        }
        self.commit(true)?;
        self.active = None;
        self.consumer.unassign().map_err(|error| Error::external("cannot leave the partials topic").because(error))
    }

    /// Carries out commands, tells what became of them, and only then lets go of them.
    fn obey(&mut self) -> Result<()> {
        let Some(active) = &mut self.active else { return Ok(()) };
        for command in active.commands.take()? {
            let Some(active) = &mut self.active else { return Ok(()) };
            let command = commands::addressed(command, || active.judge.rollouts());
            let effects = active.judge.command(command);
            self.carry_out(&effects)?;
        }
        match &mut self.active {
            Some(active) if active.commands.any_uncommitted() && !self.publisher.holds() => {
                self.publisher.settle()?;
                active.commands.commit()
            }
            _ => Ok(()),
        }
    }

    fn carry_out(&mut self, effects: &Effects) -> Result<()> {
        if effects.is_empty() {
            return Ok(());
        }
        self.publisher.publish(effects, || self.watch.keep(effects))?;
        self.active.iter_mut().for_each(|active| active.pulse.judged(&effects.windows));
        self.summary.rows += effects.windows.len() as u64;
        self.summary.decisions += effects.decisions.len() as u64;
        self.watch.published(effects)
    }

    /// Says that this process judges, and how far it and the scans are behind.
    fn live(&mut self) -> Result<()> {
        let Some(active) = &mut self.active else { return Ok(()) };
        match checkpoint::offsets_at(&self.consumer, std::slice::from_ref(&active.stream), Offset::End) {
            Ok(ends) => ends.iter().for_each(|&end| active.behind.look(active.next_offset, end, wall_clock())),
            Err(error) => tracing::warn!(%error, "the end of the partials topic is not known for now"),
        }
        let at = wall_clock();
        let lag = active.behind.lag(at).zip(active.scans.lag(at)).map(|(own, theirs)| own.max(theirs));
        active.pulse.beat(lag, &self.publisher, self.watch)
    }

    fn commit(&mut self, at_end: bool) -> Result<()> {
        if !self.watch.settle(at_end)? {
            return Ok(());
        }
        self.publisher.release()?;
        let Some(active) = &mut self.active else { return Ok(()) };
        let checkpoint = active.checkpoint(&self.plan.digest);
        if active.committed.as_ref() == Some(&checkpoint) {
            return Ok(());
        }
        self.publisher.settle()?;
        match checkpoint::commit(
            &self.consumer,
            std::slice::from_ref(&active.stream),
            std::slice::from_ref(&checkpoint),
        ) {
            Ok(()) => active.committed = Some(checkpoint),
            Err(error) => tracing::warn!(%error, "not committed for now"),
        }
        Ok(())
    }
}

impl Active {
    /// A frame of another release ends the judge, since what it counts would be missed. What is no frame at all is
    /// nobody's counts: it goes to the dead letters.
    fn take(&mut self, message: &BorrowedMessage<'_>, watch: &dyn Watch, dead: &DeadLetters) -> Result<Effects> {
        self.next_offset = message.offset() + 1;
        let mut effects = Effects::default();
        let at = message.timestamp().to_millis().map(|millis| millis * 1_000);
        match Frame::decode(message.payload().unwrap_or_default()) {
            Ok(Frame::Partial(partial)) => self.put(*partial, message.offset(), watch.keeps_panes()),
            Ok(Frame::Tick(tick)) => {
                let panes = self.unticked.remove(&tick.lane);
                self.scans.heard(&tick, at);
                effects.extend(match at {
                    Some(at) => self.judge.tick_of(tick, at),
                    None => self.judge.tick(tick),
                });
                effects.panes.extend(panes.into_iter().flat_map(|(_, panes)| panes));
            }
            Ok(Frame::Tally(lane, source, tally)) => watch.tallied(source, lane, &tally),
            Err(error) if error.fault() == Fault::User => return Err(error),
            Err(error) => {
                tracing::warn!(offset = message.offset(), %error, "not a frame");
                let detail = error.to_string();
                let reject = Reject { offset: message.offset(), row: 0, reason: Poison::Malformed, detail };
                dead_letter::send(&dead.producer, &dead.topic, message, &reject)?;
            }
        }
        Ok(effects)
    }

    fn put(&mut self, partial: Partial, offset: i64, keeps_panes: bool) {
        self.firsts.entry(partial.pane).or_insert(offset);
        let (lane, kept) = (partial.lane, keeps_panes.then(|| SealedPartial::new(&partial)));
        if self.judge.put(partial) && keeps_panes {
            self.unticked.entry(lane).or_insert((offset, Vec::new())).1.extend(kept);
        }
    }

    fn memory(&self) -> Memory {
        let unticked = self.unticked.values().flat_map(|(_, panes)| panes).map(SealedPartial::bytes).sum::<usize>();
        let (sealed_panes, judging) = (self.judge.bytes() + unticked, self.judge.judging_bytes());
        Memory { sealed_panes, judging, ..Memory::default() }
    }

    fn checkpoint(&mut self, digest: &str) -> Checkpoint {
        let (needed_from, emit_from) = self.judge.needed_from();
        self.firsts = self.firsts.split_off(&needed_from);
        let unticked = self.unticked.values().map(|(first, _)| first);
        let low_water = self.firsts.values().chain(unticked).copied().min().unwrap_or(self.next_offset);
        let plan = digest.chars().take(16).collect();
        let (pace, lost) = (Pace::default(), None);
        let meta = CheckpointMeta {
            format: Version,
            plan,
            clock: Clock::default(),
            needed_from,
            emit_from,
            tally: None,
            pace,
            lost,
        };
        Checkpoint { lane: self.stream.lane, streams: vec![StreamCheckpoint { source: 0, low_water, meta }] }
    }
}
