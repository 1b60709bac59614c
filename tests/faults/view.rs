//! What a reader of a windows topic sees: when the first judgement of each window came.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use haldane::error::Result;
use haldane::event::{Micros, SECOND};
use haldane::kafka::clock::wall_clock;
use haldane::kafka::connection::Connection;
use haldane::kafka::whole_topic;
use rdkafka::message::Message as _;
use serde_json::Value;

use crate::crew::{LATENESS, SIZE};

/// A judgement is late when it comes so long after everything for it was there.
const SLACK: Micros = 3 * SECOND;

/// Ends of windows, and when they were first heard of.
#[derive(Debug, Default)]
pub(crate) struct View(Mutex<BTreeMap<Micros, Micros>>);

impl View {
    /// Reads a topic of windows until it is told to stop.
    pub(crate) fn follow(&self, connection: &Connection, topic: &str, stop: &AtomicBool) -> Result<()> {
        let (consumer, _) = whole_topic::assigned(connection, topic)?;
        while !stop.load(Ordering::Relaxed) {
            // The client goes on by itself after errors.
            let Some(Ok(message)) = consumer.poll(Duration::from_millis(100)) else { continue };
            let row: Value = serde_json::from_slice(message.payload().unwrap_or_default()).unwrap_or_default();
            if let (Some(end), Some(0)) = (row["window_end"].as_i64(), row["revision"].as_u64()) {
                self.lock().entry(end).or_insert_with(wall_clock);
            }
        }
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<Micros, Micros>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// End of the newest window that was judged.
    pub(crate) fn newest(&self) -> Micros {
        self.lock().last_key_value().map_or(0, |(end, _)| *end)
    }

    /// When the newest window was heard of.
    pub(crate) fn newest_came(&self) -> Micros {
        self.lock().last_key_value().map_or(0, |(_, came)| *came)
    }

    /// Whether judgements come in time now.
    pub(crate) fn is_current(&self) -> bool {
        self.newest() + SIZE + LATENESS + SLACK >= wall_clock()
    }

    /// How long after a time judgements came late: to the last of those that were, one after the other.
    pub(crate) fn recovery(&self, at: Micros) -> Micros {
        let mut recovered = at;
        for (&end, &came) in self.lock().iter() {
            let due = end + LATENESS + SLACK;
            if due < at || came < at {
                continue;
            }
            if came > due {
                recovered = recovered.max(came);
            } else if end >= at {
                break;
            }
        }
        recovered - at
    }
}
