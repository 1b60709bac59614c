//! The whole log once more: every input topic from its beginning to its present end, judged by a fresh engine. Nothing
//! is published and nothing committed.
//!
//! Topics are read one after another, which is allowed: how streams interleave changes nothing. Partials of the topics
//! read first wait in memory for the rest.

use std::collections::BTreeMap;
use std::sync::Arc;

use rdkafka::message::Message as _;

use super::recompute::Recomputed;
use crate::decode::{self, Decoder};
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::kafka::connection::Connection;
use crate::kafka::dead_letter::readable_headers;
use crate::kafka::ports::Cluster as _;
use crate::kafka::reader::{push, record};
use crate::kafka::{cloud_event, topics, whole_topic};
use crate::plan::Plan;
use crate::verdict::{CommandResult, Decision, Scheduled};

/// Rows that are handed to the engine at once.
const BATCH_ROWS: usize = 8192;

/// One stream: what decodes it, and the offset after the last record.
type DecodedStream = (Box<dyn Decoder>, i64);

/// What the log gives for a decision's candidate and window.
pub fn recompute(plan: &Arc<Plan>, connection: &Connection, of: &Decision) -> Result<Recomputed> {
    let client = connection.consumer(&connection.settings().group, "history")?;
    let lanes = topics::lanes(&topics::inputs(&client, plan)?);
    let mut engine = Engine::new(Arc::clone(plan), lanes);
    let schemas = connection.schemas();
    said(connection)?.into_iter().for_each(|command| engine.schedule(command));
    let mut found = Recomputed::nothing();
    for (source, topic) in (0..).zip(plan.sources.iter().map(|source| &source.topic)) {
        let mut streams: BTreeMap<u32, DecodedStream> = BTreeMap::new();
        let mut read = Ok(());
        whole_topic::read(connection, topic, |message| {
            let lane = u32::try_from(message.partition()).unwrap_or(0);
            let (decoder, next) = streams.entry(lane).or_insert_with(|| (decode::decoder(plan, source, lane), 0));
            let headers = readable_headers(message).unwrap_or_default();
            if let (Err(error), Ok(())) = (push(decoder.as_mut(), &record(message, &headers), schemas.as_ref()), &read)
            {
                read = Err(error);
            }
            *next = message.offset() + 1;
            if decoder.n_pending() >= BATCH_ROWS {
                found.take(engine.step(&decoder.finish().batch), of);
            }
        })?;
        read?;
        for lane in 0..lanes {
            let next = streams.remove(&lane).map_or(0, |(mut decoder, next)| {
                found.take(engine.step(&decoder.finish().batch), of);
                next
            });
            found.take(engine.progress(lane, source, next, true, true), of);
        }
    }
    Ok(found)
}

/// What people and actuators said, where it was carried out.
fn said(connection: &Connection) -> Result<Vec<Scheduled>> {
    let mut results = Ok(Vec::new());
    whole_topic::read(connection, &connection.settings().topics.control, |message| {
        match (cloud_event::body_of::<CommandResult>(message, cloud_event::RESULT), &mut results) {
            (Some(Ok(result)), Ok(results)) => results.push(Scheduled::from(result)),
            (Some(Err(error)), Ok(_)) => results = Err(unreadable(message.offset()).because(error)),
            (None, Ok(_)) if cloud_event::is_newer(message, cloud_event::RESULT) => {
                results = Err(unreadable(message.offset()));
            }
            _ => {}
        }
    })?;
    results
}

fn unreadable(offset: i64) -> Error {
    Error::user(format!("the result of a command at offset {offset} of the control topic cannot be read"))
        .hint("use the release of haldane that wrote it, or a newer one")
}
