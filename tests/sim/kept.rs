//! The store of one life of a process. The service borrows it for good; what is in it goes with the life.

use std::sync::Mutex;

use haldane::batch::EventBatch;
use haldane::engine::Effects;
use haldane::error::Result;
use haldane::kafka::keeping::Keeping;
use haldane::kafka::reader::ReadPortion;
use haldane::kafka::watch::Keeper;
use haldane::scan::{LaneCounts, StreamCounts};

use crate::broker::with;
use crate::fate::Who;
use crate::planted::Bug;

/// A store, or none.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    store: Mutex<Option<(Who, Keeping)>>,
    bug: Option<Bug>,
}

impl Kept {
    pub(crate) fn new(bug: Option<Bug>) -> Self {
        Self { bug, ..Self::default() }
    }

    pub(crate) fn open(&self, who: Who, store: Keeping) {
        *self.store.lock().expect("one thread") = Some((who, store));
    }

    pub(crate) fn close(&self) {
        *self.store.lock().expect("one thread") = None;
    }

    fn ask<T>(&self, otherwise: T, ask: impl FnOnce(&Keeping) -> T) -> T {
        let kept = self.store.lock().expect("one thread");
        kept.as_ref().map_or(otherwise, |(who, store)| who.storing(|| ask(store)))
    }
}

impl Keeper for Kept {
    fn taking_over(&self) -> Result<()> {
        with(|world| world.takeovers.push(world.now));
        if self.bug == Some(Bug::StoreNotFenced) {
            return Ok(());
        }
        self.ask(Ok(()), Keeping::taking_over)
    }

    fn keeps_panes(&self) -> bool {
        self.ask(false, Keeping::keeps_panes)
    }

    fn counted_upto(&self, source: u16, lane: u32) -> i64 {
        self.ask(0, |store| store.counted_upto(source, lane))
    }

    fn took(&self, portion: &ReadPortion, fresh: &EventBatch, counts: (LaneCounts, LaneCounts)) {
        self.ask((), |store| store.took(portion, fresh, counts));
    }

    fn tallied(&self, source: u16, lane: u32, tally: &StreamCounts) {
        self.ask((), |store| store.tallied(source, lane, tally));
    }

    fn keep(&self, effects: &Effects) -> Result<bool> {
        let kept = self.ask(Ok(true), |store| store.keep(effects));
        if self.bug == Some(Bug::NotKept) { Ok(true) } else { kept }
    }

    fn settle(&self, at_end: bool) -> Result<bool> {
        let kept = self.ask(Ok(true), |store| store.settle(at_end));
        if self.bug == Some(Bug::NotKept) { Ok(true) } else { kept }
    }
}
