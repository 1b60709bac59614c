//! A rollout under way, on an engine in this process, with the dashboard before it: what tests of pages and of commands
//! over HTTP look at. Time passes when a test says so.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use haldane::config::Power;
use haldane::engine::{Effects, Engine};
use haldane::error::Result;
use haldane::event::{Micros, SECOND};
use haldane::plan::{Authority, Plan, WindowKind};
use haldane::serve::{Access, CommandSender, Phase, Server, Shared};
use haldane::verdict::{Command, CommandResult};

use crate::world::{self, Event};

/// Names that try to be markup.
pub(crate) const CANDIDATE: &str = "v2<script>alert('version')</script>";
pub(crate) const COLUMN: &str = "<img src=x onerror=alert('column')>\"&'";

const TUMBLING: WindowKind = WindowKind::Sliding { size: 30 * SECOND, slide: 30 * SECOND };

/// An engine that has read a part of its log.
struct Live {
    engine: Engine,
    log: Vec<Event>,
    /// Records taken.
    taken: usize,
    /// Records taken, by source.
    offsets: BTreeMap<u16, i64>,
}

/// Carries commands to the engine.
struct Desk {
    live: Arc<Mutex<Live>>,
    shared: Weak<Shared>,
}

impl std::fmt::Debug for Desk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Desk")
    }
}

impl CommandSender for Desk {
    fn ask(&self, command: &Command, _wait: Duration) -> Result<Option<CommandResult>> {
        let effects = self.live.lock().unwrap().engine.command(command.clone());
        self.shared.upgrade().unwrap().publish(&effects);
        Ok(effects.results.into_iter().next())
    }
}

/// A served rollout.
pub(crate) struct Stage {
    pub(crate) server: Server,
    pub(crate) shared: Arc<Shared>,
    live: Arc<Mutex<Live>>,
}

/// The token of one of the people: `ana` approves, `oli` operates, `vic` looks.
pub(crate) fn token(name: &str) -> String {
    format!("the-token-of-{name}")
}

fn plan() -> Plan {
    let mut plan = world::plan(TUMBLING);
    plan.policy.authority = Authority::Approval;
    plan.columns.numeric[0].name = COLUMN.into();
    plan
}

impl Stage {
    /// Nothing has been judged yet, everybody may read, and three people may act.
    pub(crate) fn set() -> Self {
        let people = [("ana", Power::Approver), ("oli", Power::Operator), ("vic", Power::Viewer)];
        let with = |access: Access, (name, power)| access.with(name, &[power], &token(name));
        Self::guarded(|shared| shared.admit(people.into_iter().try_fold(Access::default(), with).unwrap()))
    }

    /// The same, with who may come in decided by `guard`.
    pub(crate) fn guarded(guard: impl FnOnce(&Shared)) -> Self {
        let plan = plan();
        let shared = Arc::new(Shared::new());
        shared.follow(&plan);
        guard(&shared);
        let mut log = world::log(3, 6_000);
        log.iter_mut().filter(|event| event.version == "v2").for_each(|event| event.version = CANDIDATE);
        let engine = Engine::new(Arc::new(plan), 1);
        let live = Arc::new(Mutex::new(Live { engine, log, taken: 0, offsets: BTreeMap::new() }));
        shared.steer(Box::new(Desk { live: Arc::clone(&live), shared: Arc::downgrade(&shared) }));
        shared.health().enter(Phase::Ready);
        shared.health().tick("engine");
        Self { server: Server::start("127.0.0.1:0", Arc::clone(&shared)).unwrap(), shared, live }
    }

    /// The address of a page.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.server.address())
    }

    /// Reads the log until `enough`, or to its end.
    pub(crate) fn play(&self, mut enough: impl FnMut(&Effects) -> bool) {
        loop {
            let effects = {
                let live = &mut *self.live.lock().unwrap();
                let Some(effects) = live.step() else { return };
                effects
            };
            if !effects.is_empty() {
                self.shared.publish(&effects);
            }
            if enough(&effects) {
                return;
            }
        }
    }

    /// Reads until the next window is judged.
    pub(crate) fn next_window(&self) {
        self.play(|effects| !effects.windows.is_empty());
    }

    /// Reads until a decision waits for approval.
    pub(crate) fn until_pending(&self) {
        self.play(|effects| effects.states.iter().any(|state| state.pending.is_some()));
    }
}

impl Live {
    /// Takes the next second of one source; `None` at the end of the log.
    fn step(&mut self) -> Option<Effects> {
        let first = self.log.get(self.taken)?;
        let (source, until): (u16, Micros) = (first.source, first.broker_time + SECOND);
        let rest = &self.log[self.taken..];
        let taken: Vec<&Event> =
            rest.iter().take_while(|event| event.source == source && event.broker_time < until).collect();
        let offset = self.offsets.entry(source).or_default();
        let batch = world::batch(&taken, 0, *offset);
        *offset += taken.len() as i64;
        self.taken += taken.len();
        Some(self.engine.step(&batch))
    }
}
