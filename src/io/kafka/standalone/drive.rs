//! The engine's side of a term: what shards read goes in, what it gives rise to goes out, and progress is committed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError};

use super::RunOptions;
use super::shards::ShardEvent;
use crate::engine::{Effects, Engine};
use crate::error::{Fault, Result};
use crate::event::Micros;
use crate::kafka::checkpoint::{self, StartPosition, Stream};
use crate::kafka::commands::{self, Commands};
use crate::kafka::leadership::{Hold, Leadership};
use crate::kafka::liveness::Pulse;
use crate::kafka::looks::Looks;
use crate::kafka::ports::{Cluster, Consumer, Machine, Schemas};
use crate::kafka::publish::Publisher;
use crate::kafka::reader::{Extent, ReadPortion, patience};
use crate::kafka::silence::Silence;
use crate::kafka::states::Resumed;
use crate::kafka::summary::RunSummary;
use crate::kafka::topics::{self, Partitions};
use crate::kafka::watch::{Audience, Keeper, RunObserver, StreamStanding};
use crate::plan::Plan;
use crate::scan::Checkpoint;
use crate::verdict::with_ended;

/// How often it is found out what is kept in memory.
const MEMORY_EVERY: Duration = Duration::from_secs(10);

/// Why a term ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The logs have ended, or it was told to stop.
    Done,
    /// There are more partitions than it reads.
    Grown,
    /// Another process does the work now.
    Lost,
}

/// Where effects go.
pub(super) struct Outlets {
    pub(super) committer: Box<dyn Consumer>,
    pub(super) publisher: Publisher,
    pub(super) commands: Option<Commands>,
}

/// Drives the engine with what shards tell: on a thread of its own, or turn by turn.
pub struct Drive<'a> {
    plan: &'a Arc<Plan>,
    machine: Arc<dyn Machine>,
    schemas: Arc<dyn Schemas>,
    engine: Engine,
    options: RunOptions,
    keeper: &'a dyn Keeper,
    watch: &'a dyn RunObserver,
    outlets: Outlets,
    leadership: Option<Leadership>,
    /// Whether another process may have the work: nothing is said any more.
    lost: bool,
    /// What was told while the group changed.
    put_off: Option<ShardEvent>,
    streams: Vec<Stream>,
    standings: BTreeMap<(u16, u32), StreamStanding>,
    silence: Silence,
    committed: Vec<Checkpoint>,
    summary: RunSummary,
    looks: Looks,
    pulse: Pulse,
    queued: Arc<AtomicU64>,
    beat_at: Instant,
    obey_at: Instant,
    memory_at: Instant,
}

impl<'a> Drive<'a> {
    pub(super) fn new(
        plan: &'a Arc<Plan>,
        cluster: &dyn Cluster,
        options: RunOptions,
        Audience { keeper, watch }: Audience<'a>,
        outlets: Outlets,
        leadership: Option<Leadership>,
    ) -> Self {
        let machine = Arc::clone(cluster.machine());
        let now = machine.now();
        Self {
            plan,
            engine: Engine::new(Arc::clone(plan), 1),
            options,
            keeper,
            watch,
            outlets,
            leadership,
            lost: false,
            put_off: None,
            streams: Vec::new(),
            standings: BTreeMap::new(),
            silence: Silence::default(),
            committed: Vec::new(),
            summary: RunSummary::default(),
            looks: Looks::new(Arc::clone(&machine)),
            pulse: Pulse::new(plan, Arc::clone(&machine)),
            machine,
            schemas: cluster.schemas(),
            queued: Arc::default(),
            beat_at: now + options.beat,
            obey_at: now,
            memory_at: now,
        }
    }

    /// Bytes of records that were read and wait for the engine.
    pub(super) fn queued(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.queued)
    }

    /// Adds what was done to a sum, and gives the place at the work back.
    pub(super) fn end(self, sum: &mut RunSummary) -> Option<Leadership> {
        sum.add(self.summary);
        self.engine.counts().into_values().for_each(|counts| sum.losses.count(counts));
        self.leadership
    }

    pub(super) fn restore(
        &mut self,
        partitions: &Partitions,
        origins: &[StartPosition],
        Resumed { states: rollouts, said }: Resumed,
    ) -> Result<()> {
        let lanes = topics::lanes(partitions);
        let engine = Engine::new(Arc::clone(self.plan), lanes).keeping_panes(self.keeper.keeps_panes());
        self.engine = match self.keeper.bound() {
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
        let standing = |origin: &StartPosition| StreamStanding::new(origin, self.machine.wall_clock());
        self.standings =
            origins.iter().map(|origin| ((origin.stream.source, origin.stream.lane), standing(origin))).collect();
        self.silence = Silence::of(self.standings.keys().copied(), self.machine.now());
        tracing::info!(partitions = origins.len(), rollouts = rollouts.len(), "restored; reading begins");
        self.watch.started(&with_ended(rollouts));
        self.carry_out(&said)?;
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

    /// Turns until the term ends, by what comes from the shards' threads.
    pub(super) fn run(&mut self, news: &Receiver<ShardEvent>) -> Result<End> {
        loop {
            let due = self.beat_at.min(self.obey_at).saturating_duration_since(self.machine.now());
            let told = match receive(news, due, self.waits()) {
                Ok(told) => Some(told),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return self.conclude(),
            };
            if let Some(end) = self.turn(told, news.is_full())? {
                return Ok(end);
            }
        }
    }

    /// Takes what a shard tells, if anything, and does what is due. `is_behind` says that more waits than can be taken
    /// in. While the group changes, nothing is done, and what was told is put off: nothing is to be told then.
    pub fn turn(&mut self, told: Option<ShardEvent>, is_behind: bool) -> Result<Option<End>> {
        self.put_off = told.or(self.put_off.take());
        match self.hold()? {
            Hold::Held => {}
            Hold::Changing => return Ok(None),
            Hold::Lost => return Ok(Some(End::Lost)),
        }
        let told = self.put_off.take();
        let end = self.advance(told, is_behind)?;
        Ok(if self.lost { Some(End::Lost) } else { end })
    }

    /// Whether what was told last waits: nothing more is to be told until it does not.
    #[must_use]
    pub fn waits(&self) -> bool {
        self.put_off.is_some()
    }

    fn hold(&mut self) -> Result<Hold> {
        self.leadership.as_mut().map_or(Ok(Hold::Held), |leadership| leadership.hold(self.watch))
    }

    fn advance(&mut self, told: Option<ShardEvent>, is_behind: bool) -> Result<Option<End>> {
        // At the start, commands that are left come before any judgement.
        if self.machine.now() >= self.obey_at {
            self.obey()?;
            self.obey_at = self.machine.now() + commands::EVERY;
        }
        match told {
            Some(ShardEvent::Portion(portion)) => self.take(&portion)?,
            Some(ShardEvent::Extents(extents, asked_at)) => self.extend(extents, asked_at)?,
            Some(ShardEvent::Grown) => {
                self.commit(true)?;
                return Ok(Some(End::Grown));
            }
            Some(ShardEvent::Unread(partitions)) => self.watch.unread(partitions),
            Some(ShardEvent::Failed(error)) => return Err(error),
            None => {}
        }
        self.looks.go_on(&mut self.engine, self.plan, is_behind, self.watch);
        if self.machine.now() >= self.beat_at {
            self.beat(is_behind)?;
            self.beat_at = self.machine.now() + self.options.beat;
        }
        Ok(None)
    }

    /// The shards have ended, and all that they told was taken.
    pub fn conclude(&mut self) -> Result<End> {
        self.live()?;
        self.commit(true)?;
        Ok(End::Done)
    }

    fn take(&mut self, portion: &ReadPortion) -> Result<()> {
        self.queued.fetch_sub(portion.bytes, Ordering::Relaxed);
        self.summary.read(&self.plan.sources[usize::from(portion.source)].topic, portion);
        self.watch.read(portion);
        if let Some(standing) = self.standings.get_mut(&(portion.source, portion.lane)) {
            standing.note(portion);
        }
        let begun = self.machine.now();
        self.silence.heard((portion.source, portion.lane), portion.batch.broker_time.values(), begun);
        let counted = self.keeper.counted_upto(portion.source, portion.lane);
        let (again, fresh) = portion.batch.split_at_offset(counted);
        let mut effects = self.engine.step(&again);
        let before = self.engine.counts_of(portion.lane);
        effects.extend(self.engine.step(&fresh));
        self.keeper.took(portion, &fresh, (before, self.engine.counts_of(portion.lane)));
        effects.extend(self.engine.progress(portion.lane, portion.source, portion.next_offset, false, false));
        self.watch.stepped(self.machine.since(begun));
        self.carry_out(&effects)
    }

    fn extend(&mut self, extents: Vec<Extent>, asked_at: Instant) -> Result<()> {
        for extent in extents {
            let (source, lane) = (extent.stream.source, extent.stream.lane);
            let finished = extent.at_end() && self.options.until_end;
            let is_silent = || self.silence.is_silent((source, lane), asked_at, self.idle_after());
            let knows_end = extent.at_end() && self.machine.since(asked_at) < patience(self.plan);
            let at_end = finished || (knows_end && is_silent());
            let effects = self.engine.progress(lane, source, extent.next_offset, at_end, finished);
            self.carry_out(&effects)?;
            if let Some(standing) = self.standings.get_mut(&(source, lane)) {
                standing.look(extent.next_offset, extent.end, self.machine.wall_clock());
            }
        }
        Ok(())
    }

    fn idle_after(&self) -> Duration {
        Duration::from_micros(self.plan.time.idle_after.unsigned_abs())
    }

    fn carry_out(&mut self, effects: &Effects) -> Result<()> {
        if effects.is_empty() || self.lost {
            return Ok(());
        }
        // It may have been frozen meanwhile, and replaced.
        if self.leadership.as_ref().is_some_and(Leadership::is_unsure) && self.hold()? != Hold::Held {
            self.lost = true;
            return Ok(());
        }
        self.outlets.publisher.publish(effects, || self.keeper.keep(effects))?;
        self.pulse.judged(&effects.windows);
        self.summary.rows += effects.windows.len() as u64;
        self.summary.decisions += effects.decisions.len() as u64;
        self.keeper.conclude(effects)?;
        self.watch.published(effects);
        Ok(())
    }

    /// Carries out commands, tells what became of them, and only then lets go of them.
    fn obey(&mut self) -> Result<()> {
        let Some(commands) = &mut self.outlets.commands else { return Ok(()) };
        let taken = commands.take()?;
        if !taken.is_empty() {
            // A restart finds the states that these commands were carried out on.
            self.outlets.publisher.settle()?;
        }
        for command in taken {
            let command = commands::addressed(command, || self.engine.rollouts());
            let effects = self.engine.command(command);
            self.carry_out(&effects)?;
        }
        if self.lost {
            // Whoever has the work now carries out what was taken.
            return Ok(());
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
        self.schemas.answers().into_iter().for_each(|answer| self.watch.schemas(answer));
        if !self.options.until_end {
            let now = self.silence.broker_now(self.machine.now());
            now.into_iter().for_each(|now| self.engine.broker_now(now));
            self.looks.show(self.plan, is_behind, self.watch);
        }
        self.commit(false)?;
        self.live()?;
        let standings: Vec<StreamStanding> = self.standings.values().cloned().collect();
        self.watch.standing("engine", &standings);
        self.watch.counted("engine", &self.engine.counts());
        if self.machine.now() >= self.memory_at {
            self.watch.remembered("engine", &self.engine.memory(), self.queued.load(Ordering::Relaxed));
            self.memory_at = self.machine.now() + MEMORY_EVERY;
        }
        Ok(())
    }

    /// Says that this process judges, and how far the slowest stream is behind.
    fn live(&mut self) -> Result<()> {
        let at = self.machine.wall_clock();
        let slowest = |lag: Micros, standing: &StreamStanding| standing.behind.lag(at).map(|other| lag.max(other));
        let lag = self.standings.values().try_fold(0, slowest);
        self.pulse.beat(lag, &self.outlets.publisher, self.watch)
    }

    /// Commits after everything on its way is acknowledged. A commit that fails for now is made good by the next one; a
    /// restart in between only reads more again.
    fn commit(&mut self, at_end: bool) -> Result<()> {
        if self.lost || !self.keeper.settle(at_end)? {
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
        match checkpoint::commit(self.outlets.committer.as_ref(), &self.streams, &checkpoints) {
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
        let now = self.machine.wall_clock();
        self.standings.values_mut().for_each(|standing| standing.committed_at = now);
    }
}

/// What a shard tells next. While what was told last waits, nothing is taken: it would be lost.
fn receive(
    news: &Receiver<ShardEvent>,
    patience: Duration,
    waits: bool,
) -> std::result::Result<ShardEvent, RecvTimeoutError> {
    if waits { Err(RecvTimeoutError::Timeout) } else { news.recv_timeout(patience) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_taken_from_shards_while_what_they_told_before_waits() {
        let (sender, news) = crossbeam_channel::bounded(1);
        sender.send(ShardEvent::Unread(1)).unwrap();
        assert!(receive(&news, Duration::ZERO, true).is_err());
        assert!(matches!(receive(&news, Duration::ZERO, false), Ok(ShardEvent::Unread(1))));
    }
}
