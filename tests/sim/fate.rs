//! What becomes of a process at its effects on the world: it goes on, is killed, or is frozen.

use haldane::error::{Error, Result};
use haldane::event::{Micros, SECOND};

use crate::broker::{World, unanswered, with};
use crate::ports::SETTINGS;
use crate::run;
use crate::scenario::Way as Interrupted;

/// How long a process stands still that is frozen at one effect: longer than its session.
const FROZEN: Micros = 20 * SECOND;

/// One life of one process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Who {
    pub(crate) process: usize,
    pub(crate) life: u64,
}

/// What becomes of a process at an effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Goes,
    Killed,
    Frozen(Micros),
}

fn dead() -> Error {
    Error::external("killed")
}

impl Who {
    pub(crate) fn lives(self, world: &World) -> Result<()> {
        let standing = world.processes[self.process];
        if standing.alive && standing.life == self.life { Ok(()) } else { Err(dead()) }
    }

    /// An effect on the world outside. The process may be killed or frozen just before it, or just after.
    pub(crate) fn effect<T>(self, what: &str, act: impl FnOnce(&mut World) -> Result<T>) -> Result<T> {
        with(|world| {
            self.lives(world)?;
            world.effects += 1;
            Ok::<_, Error>(())
        })?;
        self.meet(false, what)?;
        let done = with(|world| {
            self.lives(world)?;
            let (process, number) = (self.process, world.effects);
            world.note(|| format!("process {process}: {what} (effect {number})"));
            act(world)
        });
        self.meet(true, what)?;
        done
    }

    /// Lets the process meet its fate, before an effect or after it.
    fn meet(self, after: bool, what: &str) -> Result<()> {
        let place = if after { "after" } else { "before" };
        let fate = with(|world| {
            let fate = fate(world, after, what);
            if fate != Fate::Goes {
                let (name, process) = (if fate == Fate::Killed { "killed" } else { "frozen" }, self.process);
                world.fault(name, || format!("process {process} {place} {what}: {fate:?}"));
            }
            if fate == Fate::Killed {
                let within = world.rng.between(0, 6) * SECOND;
                world.kill(self.process, within);
            }
            fate
        });
        match fate {
            Fate::Goes => Ok(()),
            Fate::Killed => Err(dead()),
            Fate::Frozen(span) => self.rest(span),
        }
    }

    fn rest(self, span: Micros) -> Result<()> {
        let later = with(|world| {
            let standing = &mut world.processes[self.process];
            standing.owes += if standing.storing { span } else { 0 };
            standing.storing
        });
        if !later {
            run::freeze(self.process, span);
        }
        with(|world| self.lives(world))
    }

    /// Does something with the store, in the middle of which no other process can run.
    pub(crate) fn storing<T>(self, act: impl FnOnce() -> T) -> T {
        let before = with(|world| std::mem::replace(&mut world.processes[self.process].storing, true));
        let done = act();
        let owes = with(|world| {
            world.processes[self.process].storing = before;
            std::mem::take(&mut world.processes[self.process].owes)
        });
        if owes > 0 && with(|world| self.lives(world)).is_ok() {
            run::freeze(self.process, owes);
        }
        done
    }

    /// A request for something that is not changed by it.
    pub(crate) fn request<T>(self, what: &str, answer: impl FnOnce(&mut World) -> Result<T>) -> Result<T> {
        with(|world| {
            self.lives(world)?;
            let rate = world.scenario.rates.request_fails;
            if world.strikes(rate) {
                world.fault("request fails", || format!("process {}: {what}", self.process));
                return Err(unanswered(what));
            }
            answer(world)
        })
    }
}

/// What is rare and matters most meets its fate more often.
fn weight(what: &str) -> u64 {
    let own = &SETTINGS.topics;
    if [&own.control, &own.state].iter().any(|topic| what.ends_with(topic.as_str())) { 12 } else { 1 }
}

fn fate(world: &mut World, after: bool, what: &str) -> Fate {
    if let Some(here) = world.scenario.interrupted.filter(|one| one.effect == world.effects) {
        match here.way {
            Interrupted::KilledBefore if !after => return Fate::Killed,
            Interrupted::KilledAfter if after => return Fate::Killed,
            Interrupted::Frozen if after => return Fate::Frozen(FROZEN),
            _ => {}
        }
    }
    let rates = world.scenario.rates.clone();
    // Whoever is frozen between asking its group and having sent, for longer than its session, cannot be stopped.
    let sends = what.starts_with("sends");
    if world.strikes(rates.crash * weight(what) / 2) {
        return Fate::Killed;
    }
    if world.strikes(rates.freeze * weight(what) / 2) {
        let seconds = if sends || world.rng.below(2) == 0 { world.rng.between(1, 6) } else { world.rng.between(7, 25) };
        return Fate::Frozen(seconds * SECOND);
    }
    Fate::Goes
}
