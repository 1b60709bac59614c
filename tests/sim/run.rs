//! One simulation: the processes, turned one by one while time passes.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use haldane::error::{Fault, Result};
use haldane::event::{Micros, SECOND};
use haldane::kafka::judging;
use haldane::kafka::keeping::{self, Keeping};
use haldane::kafka::ports::Cluster;
use haldane::kafka::scanning;
use haldane::kafka::standalone::{RunOptions, Service, ShardEvent, Term};
use haldane::kafka::watch::{Audience, Nobody};
use haldane::store::{Every, StoreFolder};
use object_store::memory::InMemory;
use object_store::path::Path;

use crate::broker::{self, World, with};
use crate::fate::Who;
use crate::host::Host;
use crate::kept::Kept;
use crate::objects::Objects;
use crate::planted::Bug;
use crate::ports::Way;
use crate::scenario::{END, Produced, Roles, Scenario};

/// How much time passes between two rounds of turns.
const STEP: Micros = 200_000;
/// Batches that may wait for the engine.
const WAITING_MAX: usize = 4;
/// How many processes may stand still inside each other's freezes while others run.
const DEPTH_MAX: usize = 2;

/// A process that runs.
struct Life {
    work: Role,
    kept: &'static Kept,
}

impl Drop for Life {
    fn drop(&mut self) {
        self.kept.close();
    }
}

/// What a process does.
enum Role {
    All(Box<Whole>),
    Scan(Vec<scanning::GroupMember<'static>>),
    Judge(Box<judging::Membership<'static>>),
}

/// All of the work, or a place among those who wait for it.
struct Whole {
    service: Service<'static>,
    term: Option<Work>,
}

/// A term, and what its shards have told that was not taken yet.
struct Work {
    term: Term<'static>,
    told: VecDeque<ShardEvent>,
}

struct Stage {
    lives: Vec<Option<Life>>,
    objects: Arc<InMemory>,
    bug: Option<Bug>,
    depth: usize,
}

thread_local! {
    static STAGE: RefCell<Option<Stage>> = const { RefCell::new(None) };
}

fn on_stage<T>(change: impl FnOnce(&mut Stage) -> T) -> T {
    STAGE.with_borrow_mut(|stage| change(stage.as_mut().expect("a simulation runs")))
}

/// What is left after a simulation.
pub(crate) struct Left {
    pub(crate) world: World,
    pub(crate) objects: Arc<InMemory>,
    /// Why it did not come to its end, if so.
    pub(crate) stuck: Option<String>,
}

/// Runs a scenario to its end.
pub(crate) fn run(scenario: &Scenario, traffic: Vec<Produced>, bug: Option<Bug>, traced: bool) -> Left {
    broker::begin(scenario.clone(), traffic, traced);
    let (objects, n) = (Arc::new(InMemory::new()), scenario.processes());
    let lives = (0..n).map(|_| None).collect();
    STAGE.set(Some(Stage { lives, objects: Arc::clone(&objects), bug, depth: 0 }));
    let mut stuck = None;
    while stuck.is_none() && with(|world| world.now) < END {
        round(STEP);
    }
    for process in 0..n {
        if let Err(error) = conclude(process) {
            stuck = stuck.or(Some(format!("process {process} does not end in good order: {error}")));
        }
    }
    STAGE.set(None);
    Left { world: broker::end(), objects, stuck }
}

/// Lets time pass, and every process that can take some turns.
fn round(span: Micros) {
    with(|world| world.pass(span));
    let n = with(|world| world.processes.len());
    let first = with(|world| world.rng.below(n as u64));
    for process in (0..n).map(|index| (index + usize::try_from(first).expect("few")) % n) {
        let turns = with(|world| 1 + world.rng.below(12));
        for _ in 0..turns {
            if !turn(process) {
                break;
            }
        }
    }
}

/// The others go on while a process stands still; its clients do not answer either.
pub(crate) fn freeze(process: usize, span: Micros) {
    let deep = on_stage(|stage| {
        stage.depth += 1;
        stage.depth > DEPTH_MAX
    });
    with(|world| world.freeze(process));
    if deep {
        with(|world| world.pass(span));
    } else {
        let until = with(|world| world.now) + span;
        while with(|world| world.now) < until {
            round(STEP);
        }
    }
    with(|world| world.wake(process));
    on_stage(|stage| stage.depth -= 1);
}

/// The others go on while a process waits; its clients answer.
pub(crate) fn stall(_process: usize) {
    let deep = on_stage(|stage| {
        stage.depth += 1;
        stage.depth > DEPTH_MAX
    });
    if deep {
        with(|world| world.pass(STEP));
    } else {
        round(STEP);
    }
    on_stage(|stage| stage.depth -= 1);
}

/// A turn of a process; whether it can take another one now.
fn turn(process: usize) -> bool {
    let standing = with(|world| world.processes[process]);
    let Some(life) = on_stage(|stage| stage.lives[process].take()) else {
        // Another turn of it may be under way: it is frozen, or waits.
        if !standing.alive && with(|world| world.now) >= standing.starts_at {
            start(process);
        }
        return false;
    };
    let mut life = life;
    let done = life.work.turn();
    let lives = with(|world| world.processes[process].alive);
    if let Err(error) = &done
        && lives
    {
        with(|world| world.end_of(process, error));
        let internal = error.fault() == Fault::Internal;
        if internal {
            with(|world| world.flaws.push(format!("process {process} ends with a fault of its own: {error}")));
        }
    }
    if done.is_ok() && lives {
        on_stage(|stage| stage.lives[process] = Some(life));
        return true;
    }
    // One that ends by itself leaves its groups; of one that was killed the brokers hear nothing.
    drop(life);
    if lives {
        with(|world| {
            let within = world.rng.between(1, 4) * SECOND;
            world.kill(process, within);
        });
    }
    false
}

/// Starts a process anew.
fn start(process: usize) {
    let who = with(|world| {
        let (life, now) = (world.processes[process].life + 1, world.now);
        let standing = &mut world.processes[process];
        (standing.life, standing.alive) = (life, true);
        standing.starts_at = now;
        world.note(|| format!("process {process} starts"));
        Who { process, life }
    });
    match life(who) {
        Ok(life) => on_stage(|stage| stage.lives[process] = Some(life)),
        Err(error) => {
            with(|world| {
                world.end_of(process, &error);
                if world.processes[process].alive {
                    let within = world.rng.between(1, 4) * SECOND;
                    world.kill(process, within);
                }
            });
        }
    }
}

/// A process at its start. What the service borrows for as long as it runs is small, and never given back.
fn life(who: Who) -> Result<Life> {
    let scenario = with(|world| world.scenario.clone());
    let bug = on_stage(|stage| stage.bug);
    let way: Box<dyn Cluster> = Box::new(Way::new(who));
    let way: &'static dyn Cluster = Box::leak(Bug::around(bug, way));
    let options = RunOptions {
        shards: scenario.shards,
        batch_records_max: 40,
        beat: Duration::from_secs(1),
        ..RunOptions::default()
    };
    let plan = scenario.plan();
    let judges = match scenario.roles {
        Roles::All(_) => true,
        Roles::Apart(scans, _) => who.process >= scans,
    };
    let kept: &'static Kept = Box::leak(Box::new(Kept::new(bug)));
    if scenario.store && judges {
        kept.open(who, who.storing(|| store(who, bug))?);
    }
    let audience = Audience { keeper: kept, watch: &Nobody };
    let work = match scenario.roles {
        Roles::All(_) => {
            let service = Service::open(plan, way, options, audience)?;
            Role::All(Box::new(Whole { service, term: None }))
        }
        Roles::Apart(..) if judges => Role::Judge(Box::new(judging::Membership::open(plan, way, options, audience)?)),
        Roles::Apart(..) => Role::Scan(scanning::open(plan, way, options, &Nobody)?),
    };
    Ok(Life { work, kept })
}

/// The store of a process; one for all of them.
fn store(who: Who, bug: Option<Bug>) -> Result<Keeping> {
    let inner = on_stage(|stage| Arc::clone(&stage.objects));
    let forgets = if bug == Some(Bug::FlushLost) { 100 } else { 0 };
    let overwrites = bug == Some(Bug::StoreNotFenced);
    let place = move || {
        let objects = Objects { who, inner: Arc::clone(&inner), overwrites, forgets };
        Ok(StoreFolder::over(Arc::new(objects), Path::default(), "sim"))
    };
    let way = keeping::StoreAccess { make: Box::new(place.clone()), reach: Arc::new(place) };
    let every = Every { span: 15 * SECOND, ..Every::default() };
    Keeping::at(way, with(|world| world.scenario.plan()), every, Arc::new(Host { process: who.process }))
}

impl Role {
    fn turn(&mut self) -> Result<()> {
        match self {
            Self::Scan(shards) => shards.iter_mut().try_for_each(scanning::GroupMember::turn),
            Self::Judge(member) => member.turn(),
            Self::All(whole) => whole.turn(),
        }
    }

    /// Ends in good order, as at a signal.
    fn conclude(&mut self) -> Result<()> {
        match self {
            Self::Scan(shards) => shards.iter_mut().try_for_each(scanning::GroupMember::hand_over),
            Self::Judge(member) => member.conclude(),
            Self::All(whole) => whole.term.as_mut().map_or(Ok(()), |work| work.term.drive.conclude().map(drop)),
        }
    }
}

impl Whole {
    fn turn(&mut self) -> Result<()> {
        let Some(work) = &mut self.term else {
            if self.service.has_work()? {
                self.term = Some(Work { term: self.service.begin()?, told: VecDeque::new() });
            }
            return Ok(());
        };
        work.read();
        let told = if work.term.drive.waits() { None } else { work.told.pop_front() };
        let ended = work.term.drive.turn(told, work.told.len() >= WAITING_MAX)?;
        if let (Some(end), Some(work)) = (ended, ended.and_then(|_| self.term.take())) {
            self.service.finish(work.term, end)?;
        }
        Ok(())
    }
}

impl Work {
    /// Shards read while there is room for what they read.
    fn read(&mut self) {
        let Self { term, told } = self;
        for shard in &mut term.shards {
            if told.len() >= WAITING_MAX || told.iter().any(|one| matches!(one, ShardEvent::Failed(_))) {
                return;
            }
            let done = shard.turn(&mut |news| {
                told.push_back(news);
                true
            });
            if let Err(error) = done {
                told.push_back(ShardEvent::Failed(error));
            }
        }
    }
}

fn conclude(process: usize) -> Result<()> {
    match on_stage(|stage| stage.lives[process].take()) {
        Some(mut life) => life.work.conclude(),
        None => Ok(()),
    }
}
