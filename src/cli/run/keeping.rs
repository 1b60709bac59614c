//! The store of a running service: written as it goes, and asked over HTTP.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::tidying::Tidying;
use crate::batch::EventBatch;
use crate::config::{Pipeline, Role, StoreConfig};
use crate::engine::Effects;
use crate::error::Result;
use crate::kafka::clock::now;
use crate::kafka::reader::Portion;
use crate::query::{Desk, Limits, Session};
use crate::scan::{Counts, Tally};
use crate::serve::Shared;
use crate::store::{Every, Read, Store, Writer};

/// A store that is written.
#[derive(Debug)]
pub(super) struct Keeping {
    writer: Mutex<Writer>,
    /// When the rows that wait have waited long enough by the clock.
    due: Mutex<Option<Instant>>,
    every: Duration,
    /// Ends with the store.
    _tidying: Option<Tidying>,
}

impl Keeping {
    /// The store of a pipeline that has one, for the roles that judge; queries over it are answered from now on.
    pub(super) fn open(pipeline: &Pipeline, role: Role, shared: &Shared) -> Result<Option<Self>> {
        let Some(store) = pipeline.store.as_ref().filter(|_| role != Role::Scan) else { return Ok(None) };
        let StoreConfig { url, flush_every, compact, .. } = store;
        let every = Every { span: *flush_every, ..Every::default() };
        let writer = Mutex::new(Writer::open(url, &pipeline.plan, every)?);
        shared.answer_queries(Desk::open(Session::new(Limits::default())?.with_store(Store::reach(url)?))?);
        tracing::info!(url, "results are kept");
        let every = Duration::from_micros(u64::try_from(*flush_every).unwrap_or_default());
        let tidying = compact.then(|| Tidying::start(store)).transpose()?;
        Ok(Some(Self { writer, due: Mutex::new(None), every, _tidying: tidying }))
    }

    /// Takes effects, and writes what a restart would not say again.
    pub(super) fn keep(&self, effects: &Effects) -> Result<()> {
        let mut writer = lock(&self.writer);
        writer.take(effects);
        if writer.holds_records() || writer.is_due() {
            writer.flush()?;
        }
        Ok(())
    }

    /// Up to which offset a stream was counted before.
    pub(super) fn counted_upto(&self, source: u16, lane: u32) -> i64 {
        lock(&self.writer).counted_upto(source, lane)
    }

    /// Counts what was read.
    pub(super) fn took(&self, portion: &Portion, fresh: &EventBatch, counts: (Counts, Counts)) {
        let Portion { source, lane, next_offset, ref rejects, .. } = *portion;
        let mut writer = lock(&self.writer);
        writer.refuse(source, lane, rejects);
        writer.read(&Read { source, lane, batch: Some(fresh), counts, next_offset });
    }

    /// Takes what a scan that runs apart has counted.
    pub(super) fn tallied(&self, source: u16, lane: u32, tally: &Tally) {
        lock(&self.writer).tally(source, lane, tally);
    }

    /// Whether all is written; what has waited for long enough is written now.
    pub(super) fn settle(&self, at_end: bool) -> Result<bool> {
        let mut writer = lock(&self.writer);
        let mut due = lock(&self.due);
        if at_end || due.is_some_and(|due| now() >= due) {
            writer.flush()?;
        }
        *due = if writer.is_clean() { None } else { Some(due.unwrap_or_else(|| now() + self.every)) };
        Ok(writer.is_clean())
    }
}

/// A panic elsewhere ends the run, and nothing is written after it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
