//! What there is to see on a cluster before a pipeline runs on it, or when it does not do what it should.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_executor::block_on;
use rdkafka::admin::{AdminClient, AdminOptions, ConfigResource, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{CommitMode, Consumer as _};
use rdkafka::message::Message as _;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::Observation;
use crate::cli::check::span;
use crate::decode;
use crate::error::{Error, Result};
use crate::event::{EventKind, Micros, SECOND};
use crate::kafka::checkpoint::{self, StartPosition, Stream};
use crate::kafka::clock::wall_clock;
use crate::kafka::connection::REQUEST_TIMEOUT;
use crate::kafka::dead_letter::readable_headers;
use crate::kafka::ports::Cluster as _;
use crate::kafka::reader::{push, record};
use crate::kafka::topics::Partitions;
use crate::kafka::{Connection, topics, whole_topic};
use crate::output::count;
use crate::plan::{Plan, SourcePlan, WindowKind};

/// So many records of each partition are read as a sample: its newest.
const SAMPLE: i64 = 200;
/// As much as is committed beside an offset at most.
const METADATA_BYTES: usize = 500;
/// So far a clock may be ahead of another before that is told.
const CLOCK_MAX: Micros = 2 * SECOND;

/// Looks at everything; where the topics are not there, at nothing that rests on them.
pub(super) fn examine(plan: &Arc<Plan>, connection: &Connection) -> Vec<Observation> {
    let brokers = format!("cluster {} answers", connection.cluster());
    let mut seen = vec![Observation::fine("brokers", brokers)];
    let admin = match connection.admin() {
        Ok(admin) => admin,
        Err(error) => {
            seen.push(Observation::of("brokers", Err(error)));
            return seen;
        }
    };
    let is_looked = topics::looked(plan).is_some();
    let plan = &without_unmade(plan, &admin);
    let partitions = connection.reader("doctor").and_then(|reader| topics::inputs(&reader, plan));
    let told = |found: &Partitions| {
        found.iter().map(|(topic, n)| format!("{topic} ({n} partitions)")).collect::<Vec<_>>().join(", ")
    };
    seen.push(Observation::of("topics", partitions.as_ref().map(told).map_err(copied)));
    seen.extend(own_topics(connection, &admin, is_looked));
    seen.push(Observation::of("commits", commit_round_trip(plan, connection)));
    if let Ok(partitions) = &partitions {
        seen.extend(plan.sources.iter().flat_map(|source| settings(plan, source, &admin)));
        seen.push(Observation::of("lag", lag(plan, connection, partitions)));
        seen.extend((0..).zip(&plan.sources).map(|(place, source)| sample(plan, connection, place, source)));
    }
    seen
}

/// An error that is needed twice.
fn copied(error: &Error) -> Error {
    let again = Error::user(error.to_string());
    match error.advice() {
        Some(advice) => again.hint(advice),
        None => again,
    }
}

/// haldane's own topics: there and as they should be, or such as may be made.
fn own_topics(connection: &Connection, admin: &AdminClient<DefaultClientContext>, looked: bool) -> Vec<Observation> {
    let own = &connection.settings().topics;
    let single = [&own.control, &own.state, &own.commands, &own.dead_letter, &own.partials];
    let names = single.into_iter().chain(&own.windows).chain(looked.then_some(&own.exposures));
    let look = |topic: &String| match topics::partitions(admin.inner(), topic) {
        Err(error) => Observation::of(topic, Err(error)),
        Ok(None) => Observation::of(topic, may_be_made(admin, topic)),
        Ok(Some(n)) if n > 1 && topic == &own.partials => Observation::wrong(
            topic,
            format!("has {n} partitions: the judge would not see the order in which scans have counted"),
            "make it anew with one partition",
        ),
        Ok(Some(_)) if topic == &own.state && !is_compacted(admin, topic) => Observation::wrong(
            topic,
            "is not compacted: states are deleted with time, and what was denied is forgotten",
            "set cleanup.policy=compact",
        ),
        Ok(Some(_)) => Observation::fine(topic, "is there"),
    };
    names.map(look).collect()
}

/// The plan without the topic that haldane writes and reads itself, while that is yet to be made.
fn without_unmade(plan: &Arc<Plan>, admin: &AdminClient<DefaultClientContext>) -> Arc<Plan> {
    let is_unmade = |topic: &str| matches!(topics::partitions(admin.inner(), topic), Ok(None));
    let Some(unmade) = topics::looked(plan).filter(|own| is_unmade(own.name)) else { return Arc::clone(plan) };
    let sources = plan.sources.iter().filter(|source| source.topic != unmade.name).cloned().collect();
    Arc::new(Plan { sources, ..Plan::clone(plan) })
}

/// Whether the cluster would make a topic; it is asked, and does not.
fn may_be_made(admin: &AdminClient<DefaultClientContext>, topic: &str) -> Result<String> {
    let wanted = NewTopic::new(topic, 1, TopicReplication::Fixed(-1));
    let options = AdminOptions::new().operation_timeout(Some(REQUEST_TIMEOUT)).validate_only(true);
    let refused = || Error::user(format!("topic `{topic}` is not there and cannot be made"));
    let advice = "create it beforehand with one partition, or allow this user to create topics";
    let results =
        block_on(admin.create_topics([&wanted], &options)).map_err(|error| refused().because(error).hint(advice))?;
    match results.into_iter().next() {
        Some(Err((_, code))) => Err(refused().because(code).hint(advice)),
        _ => Ok("is not there, and will be made".to_owned()),
    }
}

fn is_compacted(admin: &AdminClient<DefaultClientContext>, topic: &str) -> bool {
    described(admin, topic)
        .ok()
        .and_then(|found| value(&found, "cleanup.policy"))
        .is_none_or(|policy| policy.contains("compact"))
}

fn described(admin: &AdminClient<DefaultClientContext>, topic: &str) -> Result<ConfigResource> {
    let refused = || {
        Error::external(format!("the settings of topic `{topic}` are not told"))
            .hint("allow this user to describe the topic's configuration")
    };
    let options = AdminOptions::new().request_timeout(Some(REQUEST_TIMEOUT));
    let found = block_on(admin.describe_configs([&ResourceSpecifier::Topic(topic)], &options));
    let found = found.map_err(|error| refused().because(error))?.into_iter().next();
    found.ok_or_else(refused)?.map_err(|code| refused().because(code))
}

fn value(found: &ConfigResource, name: &str) -> Option<String> {
    found.get(name)?.value.clone()
}

/// How far back a restart may have to read.
fn reads_back(plan: &Plan) -> Micros {
    let (WindowKind::Sliding { size, .. } | WindowKind::AtLeast { size_max: size, .. }) = plan.time.window;
    let horizon = plan.quality.as_ref().map_or(0, |quality| quality.horizon);
    size + plan.time.lateness + horizon + plan.furthest_back().unwrap_or(0)
}

/// What the settings of an input topic mean for the pipeline.
fn settings(plan: &Plan, source: &SourcePlan, admin: &AdminClient<DefaultClientContext>) -> Vec<Observation> {
    let topic = &source.topic;
    let found = match described(admin, topic) {
        Ok(found) => found,
        Err(error) => return vec![Observation::doubtful(topic, error.to_string(), error.advice().unwrap_or_default())],
    };
    let of = |name| value(&found, name);
    let mut seen = vec![retention(plan, topic, of("retention.ms"), of("retention.bytes"))];
    if of("cleanup.policy").is_some_and(|policy| policy.contains("compact")) {
        seen.push(Observation::wrong(
            topic,
            "is compacted: of events with one key only the last is kept",
            "set cleanup.policy=delete",
        ));
    }
    if source.kind == EventKind::Outcome && of("message.timestamp.type").as_deref() == Some("CreateTime") {
        seen.push(Observation::doubtful(
            topic,
            "carries the times of its producers: whether a label came in time rests on their clocks",
            "set message.timestamp.type=LogAppendTime",
        ));
    }
    seen
}

fn retention(plan: &Plan, topic: &str, ms: Option<String>, bytes: Option<String>) -> Observation {
    let number = |text: Option<String>| text.and_then(|text| text.parse::<i64>().ok()).filter(|number| *number >= 0);
    let needed = reads_back(plan);
    match (number(ms).map(|ms| ms.saturating_mul(1_000)), number(bytes)) {
        (Some(kept), _) if kept < needed => Observation::wrong(
            topic,
            format!("keeps {}, and a restart may read back {}", span(kept), span(needed)),
            "set retention.ms to more than that, or wait for labels less long (`labels.horizon`)",
        ),
        (_, Some(bytes)) => Observation::doubtful(
            topic,
            format!(
                "keeps {} bytes of a partition, whatever time that is; a restart may read back {}",
                count(bytes.unsigned_abs()),
                span(needed)
            ),
            "see that so many bytes last for longer",
        ),
        (kept, None) => {
            let kept = kept.map_or_else(|| "everything".to_owned(), span);
            Observation::fine(topic, format!("keeps {kept}; a restart may read back {}", span(needed)))
        }
    }
}

/// Commits an offset with as much beside it as haldane writes, reads it back, and deletes the group.
fn commit_round_trip(plan: &Plan, connection: &Connection) -> Result<String> {
    let group = format!("{}.doctor", connection.settings().group);
    let topic = &plan.sources[0].topic;
    let consumer = connection.consumer(&group, "doctor")?;
    let failed = |error| {
        Error::external(format!("group `{group}` cannot commit an offset with {METADATA_BYTES} bytes beside it"))
            .because(error)
            .hint("allow this user to read the group, and let the brokers keep as much (offset.metadata.max.bytes)")
    };
    let metadata = "m".repeat(METADATA_BYTES);
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, 0, Offset::Offset(0)).map_err(failed)?;
    if let Some(mut place) = list.find_partition(topic, 0) {
        place.set_metadata(&metadata);
    }
    consumer.commit(&list, CommitMode::Sync).map_err(failed)?;
    let mut asked = TopicPartitionList::new();
    asked.add_partition(topic, 0);
    let found = consumer.committed_offsets(asked, REQUEST_TIMEOUT).map_err(failed)?;
    let kept = found.find_partition(topic, 0).is_some_and(|place| place.metadata() == metadata);
    drop(consumer);
    let admin = connection.admin()?;
    let deleted = block_on(admin.delete_groups(&[&group], &AdminOptions::new())).map_err(failed)?;
    if let Some(Err((_, code))) = deleted.into_iter().next() {
        return Err(Error::external(format!("group `{group}` cannot be deleted again"))
            .because(code)
            .hint("allow this user to delete it, or delete it by hand; nothing else uses it"));
    }
    if kept {
        Ok(format!("what is committed beside an offset comes back, {METADATA_BYTES} bytes of it"))
    } else {
        Err(Error::external("what is committed beside an offset does not come back")
            .hint("this cluster drops the metadata of commits, and haldane cannot resume on it"))
    }
}

/// How many records of the inputs are not committed yet.
fn lag(plan: &Plan, connection: &Connection, partitions: &Partitions) -> Result<String> {
    let consumer = connection.consumer(&connection.settings().group, "doctor")?;
    let streams: Vec<Stream> = (0..)
        .zip(&plan.sources)
        .flat_map(|(source, of)| {
            (0..partitions[&of.topic]).map(move |lane| Stream {
                source,
                lane,
                topic: of.topic.clone(),
                kind: Some(of.kind),
            })
        })
        .collect();
    let origins = checkpoint::origins(&consumer, &streams, connection.settings().on_gap)?;
    let is_new = origins.iter().all(|origin| origin.meta.is_none());
    let group = &connection.settings().group;
    let n = count(behind(&origins).unsigned_abs());
    Ok(if is_new {
        format!("group `{group}` begins with what the topics hold: {n} records")
    } else {
        format!(
            "{n} records are read again when group `{group}` starts: those of windows that are open, and those to come"
        )
    })
}

/// Records from where partitions are read on. Sources may share one, which is read once.
fn behind(origins: &[StartPosition]) -> i64 {
    let mut behind = BTreeMap::new();
    for StartPosition { stream, offset, end, .. } in origins {
        let records = behind.entry((&stream.topic, stream.lane)).or_insert(0);
        *records = (end - offset).max(*records);
    }
    behind.into_values().sum()
}

/// Whether the newest records of a source can be read, and what their times say of clocks.
fn sample(plan: &Arc<Plan>, connection: &Connection, source: u16, of: &SourcePlan) -> Observation {
    let (mut decoders, schemas, mut untold) = (BTreeMap::new(), connection.schemas(), Ok(()));
    let (mut n, mut newest) = (0_u64, Micros::MIN);
    let read = whole_topic::read_from(connection, &of.topic, Offset::OffsetTail(SAMPLE), |message| {
        let lane = u32::try_from(message.partition()).unwrap_or(0);
        let decoder = decoders.entry(lane).or_insert_with(|| decode::decoder(plan, source, lane));
        let headers = readable_headers(message).unwrap_or_default();
        let record = record(message, &headers);
        newest = newest.max(record.broker_time);
        if let Err(error) = push(decoder.as_mut(), &record, schemas.as_ref()) {
            untold = Err(error);
        }
        n += 1;
    });
    if let Err(error) = read.map(drop).and(untold) {
        return Observation::of(&of.topic, Err(error));
    }
    let decoded: Vec<_> = decoders.values_mut().map(|decoder| decoder.finish()).collect();
    let refused: usize = decoded.iter().map(|decoded| decoded.rejects.len()).sum();
    let passed: u64 = decoded.iter().map(|decoded| decoded.passed_over).sum();
    let rows: usize = decoded.iter().map(|decoded| decoded.batch.len()).sum();
    let ahead = decoded.iter().filter_map(|decoded| {
        let times = decoded.batch.event_time.values().iter().zip(decoded.batch.broker_time.values());
        times.map(|(event, broker)| event - broker).max()
    });
    let (ahead, early) = (ahead.max().unwrap_or(0), newest.saturating_sub(wall_clock()));
    let topic = &of.topic;
    let example = decoded.iter().flat_map(|decoded| &decoded.rejects).next();
    match example {
        _ if n == 0 => {
            Observation::doubtful(topic, "is empty: nothing to try the pipeline on", "see that its producers run")
        }
        Some(reject) => Observation::wrong(
            topic,
            format!("{refused} of the newest {n} records are refused; offset {}: {}", reject.offset, reject.detail),
            "correct the fields of this source in the pipeline file, or who writes such records",
        ),
        None if rows == 0 => Observation::doubtful(
            topic,
            format!("the source takes none of its newest {n} records"),
            "see that `where` in the pipeline file means what is in them",
        ),
        None if early > CLOCK_MAX => Observation::wrong(
            topic,
            format!("its newest record is {} ahead of this machine's clock", seconds(early)),
            "set this machine's clock by NTP",
        ),
        None if ahead > plan.time.lateness.max(CLOCK_MAX) => Observation::doubtful(
            topic,
            format!("its newest {n} records can be read; some are dated {} after they were written", seconds(ahead)),
            "set the clocks of the machines that answer by NTP",
        ),
        None if passed > 0 => {
            Observation::fine(topic, format!("its newest {n} records can be read; the source passes over {passed}"))
        }
        None => Observation::fine(topic, format!("its newest {n} records can be read")),
    }
}

fn seconds(micros: Micros) -> String {
    format!("{:.1} s", Duration::from_micros(micros.unsigned_abs()).as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_that_sources_share_is_counted_once_from_where_it_is_read() {
        let origin = |source: u16, lane: u32, offset: i64| StartPosition {
            stream: Stream { source, lane, topic: "events".to_owned(), kind: None },
            offset,
            end: 100,
            meta: None,
        };
        assert_eq!(behind(&[origin(0, 0, 90), origin(1, 0, 70), origin(0, 1, 95)]), 30 + 5);
        assert_eq!(behind(&[]), 0);
    }
}
