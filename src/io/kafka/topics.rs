//! Topics: what must be there, and what haldane makes for itself.

use std::collections::BTreeMap;

use futures_executor::block_on;
use rdkafka::admin::{AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::{Client, ClientContext};
use rdkafka::error::RDKafkaErrorCode;

use super::connection::{Connection, REQUEST_TIMEOUT};
use super::ports::Consumer;
use crate::error::{Error, Result};
use crate::event::EventKind;
use crate::plan::{Plan, SourcePlan};

/// Partition counts of topics by name.
pub type Partitions = BTreeMap<String, u32>;

/// Asks for the partition count of one topic; `None` when it does not exist.
pub fn partitions<C: ClientContext>(client: &Client<C>, topic: &str) -> Result<Option<u32>> {
    let refused = |error| Error::external(format!("cannot look up topic `{topic}`")).because(error);
    let metadata = client.fetch_metadata(Some(topic), REQUEST_TIMEOUT).map_err(refused)?;
    let Some(found) = metadata.topics().iter().find(|found| found.name() == topic) else { return Ok(None) };
    match found.error().map(RDKafkaErrorCode::from) {
        None => Ok(u32::try_from(found.partitions().len()).ok()),
        Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => Ok(None),
        Some(code) => Err(Error::external(format!("cannot look up topic `{topic}`")).because(code)),
    }
}

/// Looks up every input topic of the plan.
///
/// # Errors
/// When one does not exist, or outcomes are not partitioned like predictions.
pub fn inputs(consumer: &dyn Consumer, plan: &Plan) -> Result<Partitions> {
    let found = count(consumer, plan)?;
    check_alike(&plan.sources, &found)?;
    Ok(found)
}

/// How many partitions every input topic of the plan has.
///
/// # Errors
/// When one does not exist.
pub fn count(consumer: &dyn Consumer, plan: &Plan) -> Result<Partitions> {
    let mut found = Partitions::new();
    for source in &plan.sources {
        if !found.contains_key(&source.topic) {
            let count = consumer.partitions(&source.topic)?.ok_or_else(|| absent(source))?;
            found.insert(source.topic.clone(), count);
        }
    }
    Ok(found)
}

/// How many lanes there are: the most partitions any input topic has.
#[must_use]
pub fn lanes(found: &Partitions) -> u32 {
    found.values().copied().max().unwrap_or(1)
}

/// The partitions that are read while topics are being made larger: those that all have, where they have more than one.
#[must_use]
pub fn common(found: &Partitions) -> Partitions {
    let common = found.values().copied().filter(|&n| n > 1).min().unwrap_or(1);
    found.iter().map(|(topic, &n)| (topic.clone(), n.min(common))).collect()
}

fn absent(source: &SourcePlan) -> Error {
    Error::user(format!("topic `{}` does not exist", source.topic))
        .hint(format!("create it, or correct the topic of the {}s in the pipeline file", source.kind.name()))
}

/// Whether outcomes are partitioned like predictions.
pub(super) fn check_alike(sources: &[SourcePlan], found: &Partitions) -> Result<()> {
    let of = |kind| sources.iter().filter(move |source| source.kind == kind);
    for outcomes in of(EventKind::Outcome) {
        for predictions in of(EventKind::Prediction) {
            let (o, p) = (found[&outcomes.topic], found[&predictions.topic]);
            if o != p {
                return Err(Error::user(format!(
                    "topic `{}` has {o} partitions and `{}` has {p}: outcomes would not meet their predictions",
                    outcomes.topic, predictions.topic
                ))
                .hint("give both the same number of partitions, and key both by the prediction id"));
            }
        }
    }
    Ok(())
}

/// The newest segment of a topic is never compacted: with small ones, little is read that was replaced long ago.
const COMPACTED_BYTES: &str = "16777216";

/// A topic of haldane's own.
#[derive(Debug, Clone, Copy)]
pub struct Own<'a> {
    /// Name.
    pub name: &'a str,
    /// Whether only the last record of a key is kept.
    pub compacted: bool,
    /// Whether a record's time is when the brokers took it, whatever the clock of its producer shows.
    pub timed_by_brokers: bool,
}

impl<'a> Own<'a> {
    /// A topic that keeps every record, with its producer's time.
    #[must_use]
    pub fn of(name: &'a str) -> Self {
        Self { name, compacted: false, timed_by_brokers: false }
    }

    /// Only the last record of a key is kept.
    #[must_use]
    pub fn compacted(self) -> Self {
        Self { compacted: true, ..self }
    }

    /// Records have the time of the brokers.
    #[must_use]
    pub fn timed_by_brokers(self) -> Self {
        Self { timed_by_brokers: true, ..self }
    }
}

/// The input topic of a plan that adapters write: haldane's own. Every look of it counts, so it is not compacted.
#[must_use]
pub fn looked(plan: &Plan) -> Option<Own<'_>> {
    let looked = plan.sources.iter().find(|source| source.mapping.looked_every.is_some())?;
    Some(Own::of(&looked.topic))
}

/// Makes those of haldane's own topics that are not there yet: one partition each, so that each has one order, and the
/// cluster's own replication. What is there is left as it is.
pub fn create(connection: &Connection, topics: &[Own<'_>]) -> Result<()> {
    let admin = connection.admin()?;
    let mut missing = Vec::new();
    for own in topics {
        if partitions(admin.inner(), own.name)?.is_none() {
            missing.push(wanted(own));
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    let options = AdminOptions::new().operation_timeout(Some(REQUEST_TIMEOUT));
    let results = block_on(admin.create_topics(&missing, &options))
        .map_err(|error| Error::external("cannot create haldane's topics").because(error))?;
    results.into_iter().try_for_each(|result| match result {
        // Another instance was faster.
        Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => Ok(()),
        Err((topic, code)) => Err(refused(&topic, code)),
    })
}

fn wanted<'a>(own: &Own<'a>) -> NewTopic<'a> {
    let topic = NewTopic::new(own.name, 1, TopicReplication::Fixed(-1));
    let topic = if own.timed_by_brokers { topic.set("message.timestamp.type", "LogAppendTime") } else { topic };
    if own.compacted { topic.set("cleanup.policy", "compact").set("segment.bytes", COMPACTED_BYTES) } else { topic }
}

fn refused(topic: &str, code: RDKafkaErrorCode) -> Error {
    Error::external(format!("cannot create topic `{topic}`"))
        .because(code)
        .hint("create it beforehand, or allow this user to create topics")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_of_scans_have_the_time_of_the_brokers() {
        let timed = wanted(&Own::of("partials").timed_by_brokers());
        assert_eq!(timed.config, [("message.timestamp.type", "LogAppendTime")]);
        assert!(wanted(&Own::of("control")).config.is_empty());
    }

    #[test]
    fn until_all_topics_are_as_large_what_all_have_is_read() {
        let partitions = |counts: [(&str, u32); 3]| counts.map(|(topic, n)| (topic.to_owned(), n)).into();
        let growing = partitions([("predictions", 6), ("outcomes", 4), ("exposures", 1)]);
        assert_eq!(common(&growing), partitions([("predictions", 4), ("outcomes", 4), ("exposures", 1)]));
        let grown = partitions([("predictions", 6), ("outcomes", 6), ("exposures", 1)]);
        assert_eq!(common(&grown), grown);
        let single = partitions([("predictions", 1), ("outcomes", 1), ("exposures", 1)]);
        assert_eq!(common(&single), single);
    }
}
