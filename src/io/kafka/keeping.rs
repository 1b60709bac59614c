//! The store of a running service, written as it goes.
//!
//! Decisions do not wait for it. While it fails, rows wait in memory, states are held back and nothing is committed; so
//! a service that ends meanwhile says it all again.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::machine::Here;
use super::ports::{Machine, PendingRequest};
use super::reader::ReadPortion;
use super::watch::Keeper;
use crate::batch::EventBatch;
use crate::config::StoreConfig;
use crate::engine::Effects;
use crate::error::{Error, Fault, Result};
use crate::plan::Plan;
use crate::scan::{LaneCounts, StreamCounts};
use crate::store::{Every, Read, Store, StoreFolder, StoreWriter};

/// The longest pause before a store that fails is looked at again, and the shortest.
const PAUSE_MAX: Duration = Duration::from_secs(5);
const PAUSE_MIN: Duration = Duration::from_millis(100);

/// A store that is written.
#[derive(Debug)]
pub struct Keeping(Mutex<Writing>);

impl Keeping {
    /// The store of a pipeline, made where it is missing.
    pub fn open(store: &StoreConfig, plan: &Arc<Plan>) -> Result<Self> {
        let (making, reaching) = (store.url.clone(), store.url.clone());
        let way = StoreAccess {
            make: Box::new(move || StoreFolder::create(&making)),
            reach: Arc::new(move || StoreFolder::open(&reaching)),
        };
        let keeping = Self::at(way, plan, Every { span: store.flush_every, ..Every::default() }, Arc::new(Here))?;
        tracing::info!(url = store.url, "results are kept");
        Ok(keeping)
    }

    /// A store by the way that leads there.
    pub fn at(way: StoreAccess, plan: &Arc<Plan>, every: Every, machine: Arc<dyn Machine>) -> Result<Self> {
        let writer = StoreWriter::at((way.make)()?, plan, every)?;
        let plan = Arc::clone(plan);
        Ok(Self(Mutex::new(Writing { writer, way, plan, every, machine, due: None, outage: None })))
    }

    /// Whether the store takes what it is given, as far as that is known.
    pub fn answers(&self) -> bool {
        self.lock().outage.is_none()
    }

    /// A panic elsewhere ends the run, and nothing is written after it.
    fn lock(&self) -> MutexGuard<'_, Writing> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Keeper for Keeping {
    /// Goes on where whoever wrote before has stopped.
    fn taking_over(&self) -> Result<()> {
        let mut writing = self.lock();
        writing.writer = StoreWriter::at((writing.way.make)()?, &writing.plan, writing.every)?;
        (writing.due, writing.outage) = (None, None);
        Ok(())
    }

    fn keeps_panes(&self) -> bool {
        true
    }

    /// Takes effects, and writes what a restart would not say again; whether that is written.
    fn keep(&self, effects: &Effects) -> Result<bool> {
        let mut writing = self.lock();
        writing.writer.take(effects);
        if writing.writer.holds_records() || writing.writer.is_due() {
            writing.flush()?;
        }
        Ok(!writing.writer.holds_records())
    }

    fn counted_upto(&self, source: u16, lane: u32) -> i64 {
        self.lock().writer.counted_upto(source, lane)
    }

    fn took(&self, portion: &ReadPortion, fresh: &EventBatch, counts: (LaneCounts, LaneCounts)) {
        let ReadPortion { source, lane, next_offset, ref rejects, .. } = *portion;
        let writer = &mut self.lock().writer;
        writer.refuse(source, lane, rejects);
        writer.read(&Read { source, lane, batch: Some(fresh), counts, next_offset });
    }

    fn tallied(&self, source: u16, lane: u32, tally: &StreamCounts) {
        self.lock().writer.tally(source, lane, tally);
    }

    /// Whether all is written; what has waited for long enough is written now. At the end there is no later.
    fn settle(&self, at_end: bool) -> Result<bool> {
        let mut writing = self.lock();
        if at_end {
            writing.writer.flush()?;
        } else if writing.outage.is_some() || writing.due.is_some_and(|due| writing.machine.now() >= due) {
            writing.flush()?;
        }
        let clean = writing.writer.is_clean();
        writing.due =
            if clean { None } else { Some(writing.due.unwrap_or_else(|| writing.machine.now() + writing.pause())) };
        Ok(clean)
    }
}

/// The way to a store.
pub struct StoreAccess {
    /// Makes its place where it is missing.
    pub make: Box<dyn Fn() -> Result<StoreFolder> + Send + Sync>,
    /// Finds its place, if it is there.
    pub reach: Arc<dyn Fn() -> Result<StoreFolder> + Send + Sync>,
}

impl fmt::Debug for StoreAccess {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Way")
    }
}

/// What writes it.
#[derive(Debug)]
struct Writing {
    writer: StoreWriter,
    way: StoreAccess,
    plan: Arc<Plan>,
    /// How long rows may wait.
    every: Every,
    machine: Arc<dyn Machine>,
    /// When the rows that wait have waited long enough by the clock.
    due: Option<Instant>,
    /// While the store fails: it is looked at until it answers again, beside the engine's work, which must not wait for
    /// one that may be silent.
    outage: Option<Box<dyn PendingRequest>>,
}

impl Writing {
    fn pause(&self) -> Duration {
        Duration::from_micros(u64::try_from(self.every.span).unwrap_or_default())
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
                self.outage = Some(self.look_again()?);
                Ok(())
            }
        }
    }

    fn look_again(&self) -> Result<Box<dyn PendingRequest>> {
        let reach = Arc::clone(&self.way.reach);
        let answers = move || reach().and_then(|place| Store::reached(place).files()).is_ok();
        let pause = self.pause().clamp(PAUSE_MIN, PAUSE_MAX);
        let pending = self.machine.until("haldane-store", pause, Box::new(answers));
        pending.map_err(|error| Error::internal("cannot start a thread").because(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::RowFilter;
    use crate::verdict::Decision;

    const FLIGHTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../pipelines/flights.yaml");

    fn decided(number: i64) -> Effects {
        let line = include_str!("../../../tests/data/recorded/flights.decisions.jsonl").lines().next();
        let first: Decision = serde_json::from_str(line.expect("a line")).expect("a decision");
        let one = Decision { id: format!("b3:{number}"), time: first.time + number, ..first };
        Effects { decisions: vec![one], ..Effects::default() }
    }

    fn keeping(url: &str) -> Keeping {
        let plan = crate::config::load(FLIGHTS.as_ref()).expect("a pipeline").plan;
        let store = StoreConfig { url: url.to_owned(), flush_every: 0, keep_days: [].into(), compact: false };
        Keeping::open(&store, &plan).expect("a store")
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
        let is_over = || keeping.lock().outage.as_ref().expect("an outage").is_over();
        while !is_over() {
            std::thread::yield_now();
        }
        assert!(settle() && keeping.lock().outage.is_none());
        assert!(keep(3));
        let kept = Store::open(&url).and_then(|store| store.decisions(&RowFilter::default())).expect("decisions");
        assert_eq!(kept, (0..4).flat_map(|number| decided(number).decisions).collect::<Vec<_>>());
    }

    #[test]
    fn a_service_without_room_for_more_rows_ends_when_its_store_fails() {
        let scratch = tempfile::tempdir().expect("a folder");
        let here = scratch.path().join("store");
        let (url, plan) = (here.display().to_string(), crate::config::load(FLIGHTS.as_ref()));
        let keeping = keeping(&url);
        let no_room = Every { rows: 0, ..Every::default() };
        keeping.lock().writer = StoreWriter::open(&url, &plan.expect("a pipeline").plan, no_room).expect("a store");
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
        standby.taking_over().expect("a store that answers");
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
