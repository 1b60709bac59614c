//! librdkafka's consumer behind the service's ports.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedHeaders, BorrowedMessage, Message as _, OwnedHeaders};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::types::RDKafkaRespErr;

use super::checkpoint::Stream;
use super::clock::now;
use super::connection::{Errors, REQUEST_TIMEOUT, trace_log};
use super::dead_letter::readable_headers;
use super::login::{Login, Tokened};
use super::ports::{Consumer, Incoming, Rebalance, Wait};
use super::topics;
use crate::error::{Error, Result};

/// So many changes of assignment wait to be told at most.
const CHANGES_MAX: usize = 4;

/// What the callbacks of a consumer leave for whoever drives it.
pub trait Changes: ConsumerContext {
    /// The change of assignment that has waited for longest, if any.
    fn next(&self) -> Option<Rebalance> {
        None
    }

    /// From now on, changes are carried out at once.
    fn close(&self) {}
}

/// One that is told what to read is never given anything.
impl Changes for Errors {}

impl<C: Changes> Consumer for BaseConsumer<C> {
    fn subscribe(&self, topics: &[&str]) -> Result<()> {
        let joined = rdkafka::consumer::Consumer::subscribe(self, topics);
        joined.map_err(|error| Error::external("cannot join the group").because(error))
    }

    fn change(&self) -> Option<Rebalance> {
        self.context().next()
    }

    fn assignment_lost(&self) -> bool {
        rdkafka::consumer::Consumer::assignment_lost(self)
    }

    fn assign(&self, places: &[(Stream, i64)]) -> Result<()> {
        let mut list = TopicPartitionList::with_capacity(places.len());
        for (stream, offset) in places {
            add(&mut list, stream, Offset::Offset(*offset))?;
        }
        rdkafka::consumer::Consumer::assign(self, &list).map_err(unassignable)
    }

    fn unassign(&self) -> Result<()> {
        rdkafka::consumer::Consumer::unassign(self).map_err(unassignable)
    }

    fn leave(&self) {
        self.context().close();
        // A client whose session has ended joins anew by itself once its assignment is taken from it, and keeps its old
        // place among the members. Closed right then, it would be taken for at work until it is missed.
        rdkafka::consumer::Consumer::unsubscribe(self);
        // A change that nobody carried out would keep the client from closing.
        let _ = rdkafka::consumer::Consumer::unassign(self);
        // That was an answer to all changes, those too that were not told yet. Told while the client closes, they would
        // be answered once more, when nobody is there to hear it, and the call would never end.
        let mut told = 0;
        while told < CHANGES_MAX {
            told += usize::from(self.poll(Duration::ZERO).is_none());
        }
    }

    fn read(&self, wait: Wait, take: &mut dyn FnMut(&[&dyn Incoming]) -> Result<()>) -> Result<()> {
        let messages = gather(self, wait)?;
        let records: Vec<&dyn Incoming> = messages.iter().map(|message| message as &dyn Incoming).collect();
        if records.is_empty() { Ok(()) } else { take(&records) }
    }

    fn positions(&self, streams: &[Stream]) -> Result<Vec<Option<i64>>> {
        let found = self.position().map_err(|error| Error::external("cannot tell the position").because(error))?;
        let offset = |stream: &Stream| match found.find_partition(&stream.topic, stream.partition())?.offset() {
            Offset::Offset(offset) => Some(offset),
            _ => None,
        };
        Ok(streams.iter().map(offset).collect())
    }

    fn first(&self, streams: &[Stream]) -> Result<Vec<i64>> {
        offsets_at(self, streams, Offset::Beginning)
    }

    fn ends(&self, streams: &[Stream]) -> Result<Vec<i64>> {
        offsets_at(self, streams, Offset::End)
    }

    fn committed(&self, streams: &[Stream]) -> Result<Vec<Option<(i64, String)>>> {
        let found = committed(self, streams)?;
        let saved = |stream: &Stream| {
            let Some(saved) = found.find_partition(&stream.topic, stream.partition()) else { return Ok(None) };
            commit_of(saved.offset(), saved.error(), saved.metadata())
        };
        streams.iter().map(saved).collect()
    }

    fn commit(&self, offsets: &[(Stream, i64, String)]) -> Result<()> {
        let mut list = TopicPartitionList::with_capacity(offsets.len());
        for (stream, offset, text) in offsets {
            add(&mut list, stream, Offset::Offset(*offset))?;
            let mut added = list.find_partition(&stream.topic, stream.partition()).expect("it was just added");
            added.set_metadata(text);
        }
        rdkafka::consumer::Consumer::commit(self, &list, CommitMode::Sync).map_err(refused)
    }

    fn partitions(&self, topic: &str) -> Result<Option<u32>> {
        topics::partitions(self.client(), topic)
    }
}

fn add(list: &mut TopicPartitionList, stream: &Stream, offset: Offset) -> Result<()> {
    let invalid = |error| Error::internal("an offset that cannot be told to the client").because(error);
    list.add_partition_offset(&stream.topic, stream.partition(), offset).map_err(invalid)
}

/// Collects records until there are enough or their time is over. The clock is read only when nothing is there.
fn gather<C: ConsumerContext>(consumer: &BaseConsumer<C>, wait: Wait) -> Result<Vec<BorrowedMessage<'_>>> {
    let mut messages = Vec::new();
    let mut deadline = None;
    while messages.len() < wait.records_max {
        let mut polled = consumer.poll(Duration::ZERO);
        if polled.is_none() {
            let left = match deadline {
                None => wait.first,
                Some(deadline) => Instant::saturating_duration_since(&deadline, now()),
            };
            polled = consumer.poll(left);
        }
        match polled {
            Some(Ok(message)) => messages.push(message),
            Some(Err(error)) => endure(error)?,
            None => break,
        }
        deadline.get_or_insert_with(|| now() + wait.more);
    }
    Ok(messages)
}

/// Lets pass what the client mends by itself.
fn endure(error: KafkaError) -> Result<()> {
    use RDKafkaErrorCode as Code;
    let lost = "records were deleted before they were read, or an input topic was made anew";
    let gone = "an input topic or partition is gone";
    let (what, hint) = match error.rdkafka_error_code() {
        Some(Code::AutoOffsetReset | Code::OffsetOutOfRange) => {
            (lost, "a restart says which, and goes on as `kafka.on_gap` says; raise the topic's retention")
        }
        Some(Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::UnknownPartition) => {
            (gone, "create it again, and use another `kafka.group`")
        }
        Some(Code::TopicAuthorizationFailed | Code::GroupAuthorizationFailed) => {
            ("Kafka does not let this user read", "allow it to read the input topics and the group")
        }
        _ if matches!(error, KafkaError::MessageConsumptionFatal(_)) => {
            ("the Kafka consumer has failed for good", "restart: the work goes on from the last commit")
        }
        _ => {
            tracing::warn!(target: "librdkafka", %error, "reading goes on");
            return Ok(());
        }
    };
    Err(Error::external(what).because(error).hint(hint))
}

/// Asks for the first (`Offset::Beginning`) or next (`Offset::End`) offset of every stream's log, in one request per
/// broker.
fn offsets_at<C: ConsumerContext>(consumer: &BaseConsumer<C>, streams: &[Stream], at: Offset) -> Result<Vec<i64>> {
    let failed = |error| Error::external("cannot look up the ends of the input topics").because(error);
    let found = consumer.offsets_for_times(list(streams, at)?, REQUEST_TIMEOUT).map_err(failed)?;
    let offset = |stream: &Stream| {
        let found = found.find_partition(&stream.topic, stream.partition()).map(|found| found.offset());
        match found {
            Some(Offset::Offset(offset)) => Ok(offset),
            _ => Err(Error::external(format!("partition {} of `{}` has no leader", stream.lane, stream.topic))),
        }
    };
    streams.iter().map(offset).collect()
}

/// A coordinator that has just been made or moved refuses for a moment; polling passes the time and serves the client.
fn committed<C: ConsumerContext>(consumer: &BaseConsumer<C>, streams: &[Stream]) -> Result<TopicPartitionList> {
    use RDKafkaErrorCode as Code;
    let deadline = now() + REQUEST_TIMEOUT;
    loop {
        let answer = consumer.committed_offsets(list(streams, Offset::Invalid)?, REQUEST_TIMEOUT);
        let code = answer.as_ref().err().and_then(KafkaError::rdkafka_error_code);
        let passing = [Code::NotCoordinator, Code::CoordinatorNotAvailable, Code::CoordinatorLoadInProgress];
        match answer {
            Err(_) if code.is_some_and(|code| passing.contains(&code)) && now() < deadline => {
                drop(consumer.poll(Duration::from_millis(50)));
            }
            answer => return answer.map_err(unread),
        }
    }
}

/// Brokers that refuse to tell an offset name none: that is not a stream of which nothing was committed.
fn commit_of(
    offset: Offset,
    refused: std::result::Result<(), KafkaError>,
    metadata: &str,
) -> Result<Option<(i64, String)>> {
    refused.map_err(unread)?;
    Ok(if let Offset::Offset(offset) = offset { Some((offset, metadata.to_owned())) } else { None })
}

fn list(streams: &[Stream], offset: Offset) -> Result<TopicPartitionList> {
    let mut list = TopicPartitionList::with_capacity(streams.len());
    for stream in streams {
        // Two sources may read one partition.
        if list.find_partition(&stream.topic, stream.partition()).is_none() {
            add(&mut list, stream, offset)?;
        }
    }
    Ok(list)
}

fn unread(error: KafkaError) -> Error {
    Error::external("cannot read the committed offsets").because(error)
}

fn unassignable(error: KafkaError) -> Error {
    Error::external("cannot change what is read").because(error)
}

fn refused(error: KafkaError) -> Error {
    let taken = matches!(
        error.rdkafka_error_code(),
        Some(RDKafkaErrorCode::UnknownMemberId | RDKafkaErrorCode::IllegalGeneration)
    );
    let refusal = Error::external("cannot commit offsets").because(error);
    if taken {
        refusal.hint("another process reads with this group: give each pipeline its own `kafka.group`")
    } else {
        refusal
    }
}

impl Incoming for BorrowedMessage<'_> {
    fn topic(&self) -> &str {
        rdkafka::message::Message::topic(self)
    }

    fn partition(&self) -> i32 {
        rdkafka::message::Message::partition(self)
    }

    fn offset(&self) -> i64 {
        rdkafka::message::Message::offset(self)
    }

    fn millis(&self) -> Option<i64> {
        self.timestamp().to_millis()
    }

    fn key(&self) -> Option<&[u8]> {
        rdkafka::message::Message::key(self)
    }

    fn payload(&self) -> Option<&[u8]> {
        rdkafka::message::Message::payload(self)
    }

    fn headers(&self) -> Option<Vec<(&str, &[u8])>> {
        readable_headers(self)
    }

    fn headers_copied(&self) -> OwnedHeaders {
        let readable = readable_headers(self).and_then(|_| rdkafka::message::Message::headers(self));
        readable.map_or_else(OwnedHeaders::new, BorrowedHeaders::detach)
    }
}

/// What the consumer's callbacks leave for whoever drives it: a change of assignment is carried out between two
/// batches, when nothing is borrowed and everything read has been passed on.
#[derive(Debug, Default)]
pub struct Member {
    changes: Mutex<VecDeque<Rebalance>>,
    closed: AtomicBool,
    login: Option<Arc<Login>>,
}

impl Member {
    /// One that logs in so.
    pub(super) fn of(login: Option<Arc<Login>>) -> Self {
        Self { login, ..Self::default() }
    }
}

impl Changes for Member {
    fn next(&self) -> Option<Rebalance> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }

    fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
    }
}

impl ClientContext for Member {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn generate_oauth_token(&self, _: Option<&str>) -> Tokened {
        Login::refresh(self.login.as_deref())
    }

    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        trace_log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::warn!(target: "librdkafka", %error, "{reason}");
    }
}

impl ConsumerContext for Member {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, kind: RDKafkaRespErr, list: &mut TopicPartitionList) {
        if self.closed.load(Ordering::Relaxed) {
            // Nobody will come for the change any more; the close waits for this call.
            let _ = rdkafka::consumer::Consumer::unassign(consumer);
            return;
        }
        let change = if kind == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            let own = list
                .elements()
                .iter()
                .filter_map(|one| Some((one.topic().to_owned(), u32::try_from(one.partition()).ok()?)))
                .collect();
            Rebalance::Assigned(own)
        } else {
            Rebalance::Revoked
        };
        self.changes.lock().unwrap_or_else(PoisonError::into_inner).push_back(change);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_that_brokers_do_not_tell_is_not_one_that_was_never_made() {
        let refusal = Err(KafkaError::OffsetFetch(RDKafkaErrorCode::TopicAuthorizationFailed));
        assert!(commit_of(Offset::Invalid, refusal, "").is_err());
        assert_eq!(commit_of(Offset::Invalid, Ok(()), "").unwrap(), None);
        assert_eq!(commit_of(Offset::Offset(7), Ok(()), "m").unwrap(), Some((7, "m".to_owned())));
    }
}
