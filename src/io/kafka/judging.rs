//! The judge role: windows and decisions from the partials topic. One process is active; others of its group stand by.
//!
//! Its position is an offset commit like a scan's: the first record that an unfinished window still needs. Time comes
//! from the records alone, so a judge that starts late decides what one that never stopped would have decided.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::checkpoint::{self, StartPosition, Stream};
use super::commands::{self, Commands};
use super::connection::Connection;
use super::dead_letter;
use super::leadership::UNSURE;
use super::liveness::{Behind, Pulse, Scans};
use super::partials::Partials;
use super::patience::patiently;
use super::ports::{Cluster, Consumer, Incoming, Machine, Rebalance, Wait};
use super::publish::Publisher;
use super::reader::DeadLetters;
use super::standalone::RunOptions;
use super::states::{self, Resumed};
use super::summary::RunSummary;
use super::watch::{Audience, Keeper};
use crate::config::KafkaConfig;
use crate::engine::{Effects, MemoryUse};
use crate::error::{Fault, Result};
use crate::event::{Micros, Poison, Reject};
use crate::format::Version;
use crate::judge::{Judge, SealedPartial};
use crate::plan::Plan;
use crate::scan::frame::Frame;
use crate::scan::{Checkpoint, CheckpointMeta, LaneCounts, Pace, Partial, StreamCheckpoint};
use crate::time::Clock;
use crate::verdict::with_ended;

/// How long a record is waited for.
const ONE: Wait = Wait { records_max: 1, first: Duration::from_millis(50), more: Duration::ZERO };

/// Runs the judge role until `stop` is set.
pub fn run(
    plan: &Arc<Plan>,
    kafka: &KafkaConfig,
    options: RunOptions,
    audience: Audience<'_>,
    stop: &AtomicBool,
) -> Result<RunSummary> {
    let connection = Connection::open(kafka)?;
    let mut member = Membership::open(plan, &connection, options, audience)?;
    while !stop.load(Ordering::Relaxed) {
        member.turn()?;
    }
    member.conclude()?;
    Ok(std::mem::take(&mut member.summary))
}

/// A new member of the judges' group.
fn join(cluster: &dyn Cluster) -> Result<Box<dyn Consumer>> {
    let settings = cluster.settings();
    let consumer = cluster.consumer(&format!("{}.judge", settings.group), "judge")?;
    consumer.subscribe(&[&settings.topics.partials])?;
    Ok(consumer)
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
pub struct Membership<'a> {
    plan: &'a Arc<Plan>,
    cluster: &'a dyn Cluster,
    machine: Arc<dyn Machine>,
    options: RunOptions,
    audience: Audience<'a>,
    consumer: Box<dyn Consumer>,
    publisher: Publisher,
    dead_letters: DeadLetters,
    active: Option<Active>,
    turned_at: Instant,
    beat_at: Instant,
    obey_at: Instant,
    summary: RunSummary,
}

impl<'a> Membership<'a> {
    /// Joins the group.
    pub fn open(
        plan: &'a Arc<Plan>,
        cluster: &'a dyn Cluster,
        options: RunOptions,
        audience: Audience<'a>,
    ) -> Result<Self> {
        let producer = cluster.producer()?;
        // The topic must be there to be subscribed to.
        drop(Partials::open(cluster, Arc::clone(&producer))?);
        let publisher = Publisher::open(cluster, Arc::clone(&producer))?;
        let dead_letters = DeadLetters { producer, topic: cluster.settings().topics.dead_letter.clone() };
        let consumer = join(cluster)?;
        let machine = Arc::clone(cluster.machine());
        let now = machine.now();
        Ok(Self {
            plan,
            cluster,
            machine,
            options,
            audience,
            consumer,
            publisher,
            dead_letters,
            active: None,
            turned_at: now,
            beat_at: now,
            obey_at: now,
            summary: RunSummary::default(),
        })
    }

    /// Takes what comes next, and does what is due.
    pub fn turn(&mut self) -> Result<()> {
        self.audience.watch.alive("judge");
        self.advance()?;
        if self.machine.now() >= self.obey_at {
            self.obey()?;
            self.obey_at = self.machine.now() + commands::EVERY;
        }
        if self.machine.now() >= self.beat_at {
            self.commit(false)?;
            self.live()?;
            self.tell_counts();
            self.beat_at = self.machine.now() + self.options.beat;
        }
        Ok(())
    }

    /// Ends in good order.
    pub fn conclude(&mut self) -> Result<()> {
        let missed = self.active.as_ref().map(Active::missed).unwrap_or_default();
        missed.into_values().for_each(|counts| self.summary.losses.count(counts));
        self.commit(true)
    }

    fn tell_counts(&self) {
        let memory = self.active.as_ref().map_or(MemoryUse::default(), Active::memory);
        self.audience.watch.remembered("judge", &memory, 0);
        let missed = self.active.as_ref().map(Active::missed).unwrap_or_default();
        self.audience.watch.counted("judge", &missed);
    }

    /// Carries out a change of assignment, then takes the next record.
    fn advance(&mut self) -> Result<()> {
        self.stay()?;
        while let Some(change) = self.consumer.change() {
            match change {
                Rebalance::Assigned(own) => self.take_over(&own)?,
                Rebalance::Revoked => self.give_up()?,
            }
        }
        let Self { consumer, active, audience, dead_letters, .. } = self;
        let mut effects = Effects::default();
        consumer.read(ONE, &mut |records| {
            for record in records {
                let Some(active) = active.as_mut() else { return Ok(()) };
                effects.extend(active.take(*record, audience.keeper, dead_letters)?);
            }
            Ok(())
        })?;
        self.carry_out(&effects)
    }

    /// Whoever has not turned for a while may have been frozen and replaced: it asks before it says anything.
    fn stay(&mut self) -> Result<()> {
        if self.machine.since(self.turned_at) > UNSURE && !self.is_member() {
            self.join_again()?;
        }
        self.turned_at = self.machine.now();
        Ok(())
    }

    /// Asks the brokers: they refuse a commit of whoever is no member any more.
    fn is_member(&self) -> bool {
        let Some(active) = &self.active else { return true };
        active.committed.as_ref().is_some_and(|committed| self.commits(&active.stream, committed).is_ok())
    }

    fn commits(&self, stream: &Stream, checkpoint: &Checkpoint) -> Result<()> {
        checkpoint::commit(self.consumer.as_ref(), std::slice::from_ref(stream), std::slice::from_ref(checkpoint))
    }

    /// As a new member: it stands behind those that were there meanwhile.
    fn join_again(&mut self) -> Result<()> {
        tracing::warn!("the group may have given the work to another process while this one did not answer");
        self.publisher.forget();
        self.active = None;
        self.audience.watch.standing_by();
        self.consumer.leave();
        self.consumer = join(self.cluster)?;
        Ok(())
    }

    fn take_over(&mut self, own: &[(String, u32)]) -> Result<()> {
        let Some((topic, lane)) = own.first().cloned() else { return self.stand_by() };
        let stream = Stream { source: 0, lane, topic, kind: None };
        self.audience.keeper.taking_over()?;
        let (own, on_gap) = (std::slice::from_ref(&stream), self.cluster.settings().on_gap);
        let origins = patiently(|| checkpoint::origins(self.consumer.as_ref(), own, on_gap))?;
        let Resumed { states: rollouts, said } = patiently(|| states::resume(self.cluster, &self.plan.policy.rollout))?;
        let mut judge = Judge::new(Arc::clone(self.plan));
        judge.restore_rollouts(rollouts.clone());
        judge.restore_lane(&checkpoint::restored(lane, &origins));
        let offset = origins.first().map_or(0, |origin: &StartPosition| origin.offset);
        self.consumer.assign(&[(stream.clone(), offset)])?;
        let open = || Commands::open(self.cluster, self.dead_letters.clone(), self.plan, &rollouts);
        let commands = patiently(open)?;
        let (firsts, unticked) = (BTreeMap::new(), BTreeMap::new());
        let (behind, scans, pulse) =
            (Behind::default(), Scans::default(), Pulse::new(self.plan, Arc::clone(&self.machine)));
        let (next_offset, committed) = (offset, None);
        self.active =
            Some(Active { judge, stream, next_offset, firsts, unticked, committed, commands, behind, scans, pulse });
        self.begin_asking();
        tracing::info!(offset, "judging begins");
        self.audience.watch.started(&with_ended(rollouts));
        self.carry_out(&said)?;
        // Commands that are left come before any judgement.
        self.obey()
    }

    /// Commits where it begins: by such a commit it asks from now on whether it is a member still.
    fn begin_asking(&mut self) {
        let Some(mut active) = self.active.take() else { return };
        let start = active.checkpoint(&self.plan.digest);
        if let Err(error) = self.commits(&active.stream, &start) {
            tracing::warn!(%error, "not committed for now");
        }
        active.committed = Some(start);
        self.active = Some(active);
    }

    /// Another process judges. The client waits for an answer to each assignment, and takes only an empty list for one
    /// to an empty assignment: without it, it never hears of the group again.
    fn stand_by(&mut self) -> Result<()> {
        self.active = None;
        tracing::info!("another process of the group judges; standing by");
        self.audience.watch.standing_by();
        self.consumer.assign(&[])
    }

    fn give_up(&mut self) -> Result<()> {
        if self.consumer.assignment_lost() {
            return self.join_again();
        }
        self.commit(true)?;
        self.active = None;
        self.consumer.unassign()
    }

    /// Carries out commands, tells what became of them, and only then lets go of them.
    fn obey(&mut self) -> Result<()> {
        let Some(active) = &mut self.active else { return Ok(()) };
        let taken = active.commands.take()?;
        if !taken.is_empty() {
            // A restart finds the states that these commands were carried out on.
            self.publisher.settle()?;
        }
        for command in taken {
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
        if effects.is_empty() || self.active.is_none() {
            return Ok(());
        }
        self.stay()?;
        if self.active.is_none() {
            return Ok(());
        }
        self.publisher.publish(effects, || self.audience.keeper.keep(effects))?;
        if let Some(active) = &mut self.active {
            active.pulse.judged(&effects.windows);
        }
        self.summary.rows += effects.windows.len() as u64;
        self.summary.decisions += effects.decisions.len() as u64;
        self.audience.keeper.conclude(effects)?;
        self.audience.watch.published(effects);
        Ok(())
    }

    /// Says that this process judges, and how far it and the scans are behind.
    fn live(&mut self) -> Result<()> {
        let Some(active) = &mut self.active else { return Ok(()) };
        match self.consumer.ends(std::slice::from_ref(&active.stream)) {
            Ok(ends) => {
                let now = self.machine.wall_clock();
                ends.iter().for_each(|&end| active.behind.look(active.next_offset, end, now));
            }
            Err(error) => tracing::warn!(%error, "the end of the partials topic is not known for now"),
        }
        let at = self.machine.wall_clock();
        let lag = active.behind.lag(at).zip(active.scans.lag(at)).map(|(own, theirs)| own.max(theirs));
        active.pulse.beat(lag, &self.publisher, self.audience.watch)
    }

    /// Writes and commits what was done. Who stands by leaves that to whoever works: what it had not written yet is
    /// said again there.
    fn commit(&mut self, at_end: bool) -> Result<()> {
        let Some(active) = &mut self.active else { return Ok(()) };
        if !self.audience.keeper.settle(at_end)? {
            return Ok(());
        }
        self.publisher.release()?;
        let checkpoint = active.checkpoint(&self.plan.digest);
        if active.committed.as_ref() == Some(&checkpoint) {
            return Ok(());
        }
        self.publisher.settle()?;
        let stream = std::slice::from_ref(&active.stream);
        match checkpoint::commit(self.consumer.as_ref(), stream, std::slice::from_ref(&checkpoint)) {
            Ok(()) => active.committed = Some(checkpoint),
            Err(error) => tracing::warn!(%error, "not committed for now"),
        }
        Ok(())
    }
}

impl Active {
    /// A frame of another release ends the judge, since what it counts would be missed. What is no frame at all is
    /// nobody's counts: it goes to the dead letters.
    fn take(&mut self, record: &dyn Incoming, keeper: &dyn Keeper, dead: &DeadLetters) -> Result<Effects> {
        self.next_offset = record.offset() + 1;
        let mut effects = Effects::default();
        let at = record.time();
        match Frame::decode(record.payload().unwrap_or_default()) {
            Ok(Frame::Partial(partial)) => self.put(*partial, record.offset(), keeper.keeps_panes()),
            Ok(Frame::Tick(tick)) => {
                let panes = self.unticked.remove(&tick.lane);
                self.scans.heard(&tick, at);
                effects.extend(match at {
                    Some(at) => self.judge.tick_of(tick, at),
                    None => self.judge.tick(tick),
                });
                effects.panes.extend(panes.into_iter().flat_map(|(_, panes)| panes));
            }
            Ok(Frame::Tally(lane, source, tally)) => keeper.tallied(source, lane, &tally),
            Err(error) if error.fault() == Fault::User => return Err(error),
            Err(error) => {
                tracing::warn!(offset = record.offset(), %error, "not a frame");
                let detail = error.to_string();
                let reject = Reject { offset: record.offset(), row: 0, reason: Poison::Malformed, detail };
                dead_letter::send(dead.producer.as_ref(), &dead.topic, record, &reject)?;
            }
        }
        Ok(effects)
    }

    fn put(&mut self, partial: Partial, offset: i64, keeps_panes: bool) {
        self.firsts.entry(self.judge.needed_until(&partial)).or_insert(offset);
        let (lane, kept) = (partial.lane, keeps_panes.then(|| SealedPartial::new(&partial)));
        if self.judge.put(partial) && keeps_panes {
            self.unticked.entry(lane).or_insert((offset, Vec::new())).1.extend(kept);
        }
    }

    fn memory(&self) -> MemoryUse {
        let unticked = self.unticked.values().flat_map(|(_, panes)| panes).map(SealedPartial::bytes).sum::<usize>();
        let (sealed_panes, judging) = (self.judge.bytes() + unticked, self.judge.judging_bytes());
        MemoryUse { sealed_panes, judging, ..MemoryUse::default() }
    }

    fn missed(&self) -> BTreeMap<u32, LaneCounts> {
        self.judge.missed().iter().map(|(&lane, &missed)| (lane, missed.into())).collect()
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

impl Drop for Membership<'_> {
    fn drop(&mut self) {
        self.consumer.leave();
    }
}
