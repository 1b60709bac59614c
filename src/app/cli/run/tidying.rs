//! Compaction beside the service, never in the engine's way: on a thread of its own, a bounded piece at a time, with a
//! pause after each.

use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::cli::store::days_of;
use crate::config::StoreConfig;
use crate::error::{Error, Result};
use crate::store::{Compacted, Keep, compact};

/// The most bytes of files of one piece: a second or two of one core.
const PIECE_BYTES: u64 = 16 << 20;
/// The pause before the next piece.
const PAUSE: Duration = Duration::from_secs(10);
/// The pause at the start, and when nothing is left to do.
const REST: Duration = Duration::from_mins(10);

/// A store that is compacted while it is written. Dropped, it ends after the piece at hand.
#[derive(Debug)]
pub(super) struct Tidying {
    /// Closed to end the thread.
    end: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Tidying {
    /// Starts the thread.
    pub(super) fn start(store: &StoreConfig) -> Result<Self> {
        let keep = Keep { days: days_of(store), bytes_max: PIECE_BYTES, ..Keep::default() };
        let (url, (end, ended)) = (store.url.clone(), channel());
        let work = move || {
            let mut pause = REST;
            while ended.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
                pause = piece(&url, &keep);
            }
        };
        let thread = std::thread::Builder::new().name("haldane-compaction".to_owned()).spawn(work);
        let thread = thread.map_err(|error| Error::internal("cannot start a thread").because(error))?;
        Ok(Self { end: Some(end), thread: Some(thread) })
    }
}

/// Compacts one piece; how long to pause after it. A failure harms nothing: the next time tries again.
fn piece(url: &str, keep: &Keep) -> Duration {
    match compact(url, keep) {
        Ok(Compacted { merged, written, expired, left, .. }) => {
            if merged + expired > 0 {
                tracing::info!(merged, written, expired, left, "the store was compacted");
            }
            if left > 0 { PAUSE } else { REST }
        }
        Err(error) => {
            tracing::warn!(%error, "the store is not compacted for now");
            REST
        }
    }
}

impl Drop for Tidying {
    fn drop(&mut self) {
        drop(self.end.take());
        // It says itself what went wrong.
        self.thread.take().map(JoinHandle::join);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::engine::Effects;
    use crate::event::SECOND;
    use crate::store::{Every, Store, StoreWriter};
    use crate::verdict::Decision;

    const FLIGHTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../pipelines/flights.yaml");

    #[test]
    fn closed_days_are_put_together_piece_by_piece_beside_a_writer() {
        let folder = tempfile::tempdir().expect("a folder");
        let url = folder.path().display().to_string();
        let plan = crate::config::load(FLIGHTS.as_ref()).expect("a pipeline").plan;
        let mut writer = StoreWriter::open(&url, &plan, Every::default()).expect("a store");
        let line = include_str!("../../../../tests/data/recorded/flights.decisions.jsonl").lines().next();
        let first: Decision = serde_json::from_str(line.expect("a line")).expect("a decision");
        let midnight = first.time - first.time % (86_400 * SECOND);
        let mut decide = |half_day: i64| {
            let time = midnight + half_day * 43_200 * SECOND;
            let decision = Decision { id: format!("b3:{half_day}"), time, ..first.clone() };
            writer.take(&Effects { decisions: vec![decision], ..Effects::default() });
            writer.flush().expect("a flush");
        };
        (0..6).for_each(&mut decide);
        let keep = Keep { bytes_max: 1, ..Keep::default() };
        let n_files = || Store::open(&url).and_then(|store| store.files()).expect("files").len();
        assert_eq!((piece(&url, &keep), n_files()), (PAUSE, 5), "the first day, and the second is left");
        decide(6);
        assert_eq!((piece(&url, &keep), n_files()), (PAUSE, 5), "the second, and the third is left");
        assert_eq!((piece(&url, &keep), n_files()), (REST, 4), "the third; the fourth may go on");
        assert_eq!(piece("/no/such/store", &keep), REST, "a failure harms nothing");
    }

    #[test]
    fn it_ends_with_the_store() {
        let store =
            StoreConfig { url: "/no/such/store".into(), flush_every: 0, keep_days: BTreeMap::default(), compact: true };
        drop(Tidying::start(&store).expect("a thread"));
    }
}
