//! The store of a running service: written as it goes, and asked over HTTP.
//!
//! Decisions do not wait for it. While it fails, rows wait in memory, states are held back and nothing is committed; so
//! a service that ends meanwhile says it all again.

use std::convert::Infallible;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::tidying::Tidying;
use crate::batch::EventBatch;
use crate::config::{Pipeline, Role, StoreConfig};
use crate::engine::Effects;
use crate::error::{Error, Fault, Result};
use crate::event::Micros;
use crate::kafka::clock::now;
use crate::kafka::reader::ReadPortion;
use crate::plan::Plan;
use crate::scan::{Counts, Tally};
use crate::store::{Every, Read, Store, Writer};

/// The longest pause before a store that fails is looked at again, and the shortest.
const PAUSE_MAX: Duration = Duration::from_secs(5);
const PAUSE_MIN: Duration = Duration::from_millis(100);

/// A store that is written.
#[derive(Debug)]
pub(super) struct Keeping {
    writing: Mutex<Writing>,
    /// Ends with the store.
    _tidying: Option<Tidying>,
}

impl Keeping {
    /// The store of a pipeline that has one, for the roles that judge.
    pub(super) fn open(pipeline: &Pipeline, role: Role) -> Result<Option<Self>> {
        let Some(store) = pipeline.store.as_ref().filter(|_| role != Role::Scan) else { return Ok(None) };
        let StoreConfig { url, flush_every, compact, .. } = store;
        let plan = Arc::clone(&pipeline.plan);
        let writer = open(url, &plan, *flush_every)?;
        tracing::info!(url, "results are kept");
        let (url, every) = (url.clone(), *flush_every);
        let writing = Mutex::new(Writing { writer, url, plan, every, due: None, outage: None });
        let tidying = compact.then(|| Tidying::start(store)).transpose()?;
        Ok(Some(Self { writing, _tidying: tidying }))
    }

    /// Lets the HTTP server answer SQL over it.
    #[cfg(feature = "query")]
    pub(super) fn answer_queries(&self, shared: &crate::serve::Shared) -> Result<()> {
        use crate::query::{Desk, QueryLimits, Session};

        let store = Store::reach(&self.lock().url)?;
        shared.answer_queries(Desk::open(Session::new(QueryLimits::default())?.with_store(store))?);
        Ok(())
    }

    /// The work is this process's own from now on: goes on where whoever wrote before has stopped.
    pub(super) fn take_over(&self) -> Result<()> {
        let mut writing = self.lock();
        writing.writer = open(&writing.url, &writing.plan, writing.every)?;
        (writing.due, writing.outage) = (None, None);
        Ok(())
    }

    /// Whether the store takes what it is given, as far as that is known.
    pub(super) fn answers(&self) -> bool {
        self.lock().outage.is_none()
    }

    /// Takes effects, and writes what a restart would not say again; whether that is written.
    pub(super) fn keep(&self, effects: &Effects) -> Result<bool> {
        let mut writing = self.lock();
        writing.writer.take(effects);
        if writing.writer.holds_records() || writing.writer.is_due() {
            writing.flush()?;
        }
        Ok(!writing.writer.holds_records())
    }

    /// Up to which offset a stream was counted before.
    pub(super) fn counted_upto(&self, source: u16, lane: u32) -> i64 {
        self.lock().writer.counted_upto(source, lane)
    }

    /// Counts what was read.
    pub(super) fn took(&self, portion: &ReadPortion, fresh: &EventBatch, counts: (Counts, Counts)) {
        let ReadPortion { source, lane, next_offset, ref rejects, .. } = *portion;
        let writer = &mut self.lock().writer;
        writer.refuse(source, lane, rejects);
        writer.read(&Read { source, lane, batch: Some(fresh), counts, next_offset });
    }

    /// Takes what a scan that runs apart has counted.
    pub(super) fn tallied(&self, source: u16, lane: u32, tally: &Tally) {
        self.lock().writer.tally(source, lane, tally);
    }

    /// Whether all is written; what has waited for long enough is written now. At the end there is no later.
    pub(super) fn settle(&self, at_end: bool) -> Result<bool> {
        let mut writing = self.lock();
        if at_end {
            writing.writer.flush()?;
        } else if writing.outage.is_some() || writing.due.is_some_and(|due| now() >= due) {
            writing.flush()?;
        }
        let clean = writing.writer.is_clean();
        writing.due = if clean { None } else { Some(writing.due.unwrap_or_else(|| now() + writing.pause())) };
        Ok(clean)
    }

    /// A panic elsewhere ends the run, and nothing is written after it.
    fn lock(&self) -> MutexGuard<'_, Writing> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn open(url: &str, plan: &Arc<Plan>, every: Micros) -> Result<Writer> {
    Writer::open(url, plan, Every { span: every, ..Every::default() })
}

/// What writes it.
#[derive(Debug)]
struct Writing {
    writer: Writer,
    url: String,
    plan: Arc<Plan>,
    /// How long rows may wait.
    every: Micros,
    /// When the rows that wait have waited long enough by the clock.
    due: Option<Instant>,
    /// While the store fails.
    outage: Option<Outage>,
}

impl Writing {
    fn pause(&self) -> Duration {
        Duration::from_micros(u64::try_from(self.every).unwrap_or_default())
    }

    /// Writes all that waits, or lets it wait on while the store fails and there is room.
    fn flush(&mut self) -> Result<()> {
        let full = self.writer.is_full();
        if !full && self.outage.as_ref().is_some_and(|outage| !outage.is_over()) {
            return Ok(());
        }
        match self.writer.flush() {
            Ok(()) => {
                if self.outage.take().is_some() {
                    tracing::info!("the store is back, and all that waited is written");
                }
                Ok(())
            }
            Err(error) if error.fault() != Fault::External => Err(error),
            Err(error) if full => Err(Error::external("the store fails, and there is no room for more rows to wait")
                .because(error)
                .hint("start again when it is back: what is not stored is read again")),
            Err(error) => {
                tracing::warn!(%error, hint = error.advice(), "the store fails; rows wait, and nothing is committed");
                self.outage = Some(Outage::begin(&self.url, self.pause().clamp(PAUSE_MIN, PAUSE_MAX))?);
                Ok(())
            }
        }
    }
}

/// A thread that looks at a store until it answers again. The engine's own must not wait for one that may be silent.
#[derive(Debug)]
struct Outage {
    /// Disconnected when it is over.
    over: Receiver<Infallible>,
    /// Closed to end the thread.
    _end: Sender<()>,
}

impl Outage {
    fn begin(url: &str, pause: Duration) -> Result<Self> {
        let (url, (end, ended), (looks, over)) = (url.to_owned(), channel(), channel());
        let fails = move || Store::reach(&url).and_then(|store| store.files()).is_err();
        let look = move || {
            while ended.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) && fails() {}
            drop(looks);
        };
        let thread = std::thread::Builder::new().name("haldane-store".to_owned()).spawn(look);
        thread.map_err(|error| Error::internal("cannot start a thread").because(error))?;
        Ok(Self { over, _end: end })
    }

    fn is_over(&self) -> bool {
        matches!(self.over.try_recv(), Err(TryRecvError::Disconnected))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Selection;
    use crate::verdict::Decision;

    const FLIGHTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../pipelines/flights.yaml");

    fn decided(number: i64) -> Effects {
        let line = include_str!("../../../../tests/data/recorded/flights.decisions.jsonl").lines().next();
        let first: Decision = serde_json::from_str(line.expect("a line")).expect("a decision");
        let one = Decision { id: format!("b3:{number}"), time: first.time + number, ..first };
        Effects { decisions: vec![one], ..Effects::default() }
    }

    fn keeping(url: &str) -> Keeping {
        let mut pipeline = crate::config::load(FLIGHTS.as_ref()).expect("a pipeline");
        let url = url.to_owned();
        pipeline.store = Some(StoreConfig { url, flush_every: 0, keep_days: [].into(), compact: false });
        Keeping::open(&pipeline, Role::All).expect("a store").expect("a section")
    }

    #[test]
    fn rows_wait_for_a_store_that_has_gone_and_are_written_when_it_is_back() {
        let scratch = tempfile::tempdir().expect("a folder");
        let [here, away] = ["store", "away"].map(|name| scratch.path().join(name));
        let url = here.display().to_string();
        let keeping = keeping(&url);
        let keep = |number| keeping.keep(&decided(number)).expect("no end of the run");
        let settle = || keeping.settle(false).expect("no end of the run");
        assert!(keep(0) && settle());
        std::fs::rename(&here, &away).expect("a move");
        assert!(!keep(1) && !settle() && !keep(2) && !settle(), "nothing is to be committed");
        assert!(keeping.settle(true).is_err(), "there is no later");
        assert!(!here.exists(), "no other store is made in its place");
        std::fs::create_dir(&here).expect("a mount point");
        assert!(keeping.settle(true).is_err(), "an empty directory is not the store");
        assert_eq!(std::fs::read_dir(&here).expect("a directory").count(), 0);
        std::fs::remove_dir(&here).expect("an empty directory");
        std::fs::rename(&away, &here).expect("a move");
        keeping.lock().outage.as_ref().expect("an outage").over.recv().expect_err("only ever disconnected");
        assert!(settle() && keeping.lock().outage.is_none());
        assert!(keep(3));
        let kept = Store::open(&url).and_then(|store| store.decisions(&Selection::default())).expect("decisions");
        assert_eq!(kept, (0..4).flat_map(|number| decided(number).decisions).collect::<Vec<_>>());
    }

    #[test]
    fn a_service_without_room_for_more_rows_ends_when_its_store_fails() {
        let scratch = tempfile::tempdir().expect("a folder");
        let here = scratch.path().join("store");
        let (url, plan) = (here.display().to_string(), crate::config::load(FLIGHTS.as_ref()));
        let keeping = keeping(&url);
        let no_room = Every { rows: 0, ..Every::default() };
        keeping.lock().writer = Writer::open(&url, &plan.expect("a pipeline").plan, no_room).expect("a store");
        assert!(keeping.keep(&decided(0)).expect("a store that answers"));
        std::fs::rename(&here, scratch.path().join("away")).expect("a move");
        let error = keeping.keep(&decided(1)).expect_err("no room");
        assert!(error.to_string().starts_with("the store fails, and there is no room"), "{error}");
    }

    #[test]
    fn whoever_takes_over_goes_on_in_the_store_of_the_one_before() {
        let scratch = tempfile::tempdir().expect("a folder");
        let url = scratch.path().display().to_string();
        let [active, standby] = [keeping(&url), keeping(&url)];
        assert!(active.keep(&decided(0)).expect("a flush") && active.keep(&decided(1)).expect("another"));
        standby.take_over().expect("a store that answers");
        assert!(standby.keep(&decided(2)).expect("a flush") && standby.keep(&decided(3)).expect("another"));
        active.keep(&decided(4)).expect_err("it was replaced");
    }

    #[test]
    fn a_service_whose_store_another_one_writes_ends_at_once() {
        let scratch = tempfile::tempdir().expect("a folder");
        let url = scratch.path().display().to_string();
        let [one, other] = [keeping(&url), keeping(&url)];
        assert!(one.keep(&decided(0)).expect("a flush"));
        for number in 1..3 {
            let error = other.keep(&decided(number)).expect_err("a rival");
            assert!(error.to_string().starts_with("another process writes to the store"), "{error}");
        }
    }
}
