//! Listens to the Kafka shell on behalf of the HTTP side, and sends commands over its topic.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::health::REGISTRY;
use super::{CommandSender, Phase, Shared};
use crate::config::KafkaConfig;
use crate::engine::{Effects, MemoryUse};
use crate::error::Result;
use crate::event::Micros;
use crate::judge::WindowRow;
use crate::kafka::Connection;
use crate::kafka::ask::ask;
use crate::kafka::checkpoint::Stream;
use crate::kafka::clock::wall_clock;
use crate::kafka::reader::ReadPortion;
use crate::kafka::watch::{RunObserver, StreamStanding};
use crate::plan::Plan;
use crate::scan::LaneCounts;
use crate::telemetry::Lag;
use crate::verdict::{Command, CommandResult, Liveness, RolloutState};

/// What must be read near to its end before a process is ready.
const LOGS: &str = "logs";

/// Shows on the HTTP side what the Kafka shell does.
#[derive(Debug)]
pub struct Listener {
    shared: Arc<Shared>,
    /// What each thread showed last.
    shown: Mutex<BTreeMap<String, BTreeSet<(String, i32)>>>,
    counted: Mutex<BTreeMap<String, BTreeMap<u32, LaneCounts>>>,
}

impl Listener {
    /// Listens to the run of a plan.
    #[must_use]
    pub fn new(shared: Arc<Shared>, plan: &Plan) -> Self {
        shared.follow(plan);
        shared.health().expect(LOGS);
        Self { shared, shown: Mutex::default(), counted: Mutex::default() }
    }

    /// Something outside answers, or does not.
    pub fn reached(&self, what: &'static str, answers: bool) {
        self.shared.reached(what, answers);
    }

    /// Takes away what a thread showed before and nobody shows any more: it went to another process.
    fn forget(&self, thread: &str, standings: &[StreamStanding]) {
        let partition = |standing: &StreamStanding| (standing.stream.topic.clone(), partition(&standing.stream));
        let mut shown = lock(&self.shown);
        let before = shown.insert(thread.to_owned(), standings.iter().map(partition).collect()).unwrap_or_default();
        for (topic, partition) in before.iter().filter(|one| !shown.values().any(|now| now.contains(*one))) {
            self.shared.telemetry().revoked(topic, *partition);
        }
    }

    /// Shows how far the streams are at a time: of sources that share a partition, the one that is furthest behind.
    pub fn show(&self, standings: &[StreamStanding], now: Micros) {
        let telemetry = self.shared.telemetry();
        for ((topic, partition), (lag, committed_at)) in worst(standings, now) {
            telemetry.lag(topic, partition, lag);
            telemetry.committed(topic, partition, committed_at);
        }
        self.shared.stood();
    }
}

fn partition(stream: &Stream) -> i32 {
    i32::try_from(stream.lane).unwrap_or(i32::MAX)
}

/// A panic elsewhere leaves the table whole: it is changed by single calls only.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Of each topic and partition how far it is behind, and when its offset was committed.
fn worst(standings: &[StreamStanding], now: Micros) -> BTreeMap<(&str, i32), (Lag, Micros)> {
    let mut worst = BTreeMap::new();
    for standing in standings {
        let of = (lag(standing, now), standing.committed_at);
        let seen = worst.entry((standing.stream.topic.as_str(), partition(&standing.stream))).or_insert(of);
        *seen = (seen.0.max(of.0), seen.1.min(of.1));
    }
    worst
}

/// How far a stream is behind. One that is read to its end is not behind, however old its last record, and holds up no
/// window.
fn lag(standing: &StreamStanding, now: Micros) -> Lag {
    let records = (standing.end - standing.next_offset).max(0);
    let behind = |read: Option<Micros>| read.filter(|_| records > 0).map_or(0, |time| (now - time).max(0));
    Lag {
        records,
        time: behind(standing.broker_time),
        watermark: behind(standing.event_time),
        replay_debt: standing.low_water.map_or(0, |low_water| standing.next_offset - low_water),
    }
}

impl RunObserver for Listener {
    fn schemas(&self, answer: bool) {
        self.reached(REGISTRY, answer);
    }

    fn started(&self, rollouts: &[RolloutState]) {
        self.shared.health().expect(LOGS);
        self.shared.health().turn(Phase::Standby, Phase::Starting);
        self.shared.telemetry().unread(0);
        self.shared.restore(rollouts);
    }

    fn standing_by(&self) {
        let health = self.shared.health();
        health.turn(Phase::Starting, Phase::Standby);
        health.turn(Phase::Ready, Phase::Standby);
        self.shared.telemetry().stand_by();
        lock(&self.shown).clear();
    }

    fn caught_up(&self) {
        self.shared.health().caught_up(LOGS);
    }

    fn judging(&self, liveness: &Liveness) {
        self.shared.judging(liveness);
    }

    fn read(&self, portion: &ReadPortion) {
        let telemetry = self.shared.telemetry();
        telemetry.ingested(portion.batch.kind, portion.batch.len() as u64, portion.bytes);
        telemetry.rejected(&portion.rejects);
        telemetry.passed_over(portion.batch.kind, portion.passed_over);
    }

    fn stepped(&self, took: Duration) {
        self.shared.telemetry().stepped(took);
    }

    fn counted(&self, thread: &str, counts: &BTreeMap<u32, LaneCounts>) {
        let mut counted = lock(&self.counted);
        counted.insert(thread.to_owned(), counts.clone());
        let all = counted.values().flatten().map(|(&lane, &counts)| (lane, counts)).collect();
        self.shared.telemetry().counted(&all);
    }

    fn published(&self, effects: &Effects) {
        let now = wall_clock();
        for decision in &effects.decisions {
            self.shared.telemetry().acknowledged(now - decision.time);
        }
        self.shared.publish(effects);
    }

    fn provisional(&self, rows: Vec<WindowRow>) {
        self.shared.provisional(rows);
    }

    fn skipped(&self, looks: u64) {
        self.shared.telemetry().skipped(looks);
    }

    fn remembered(&self, thread: &str, memory: &MemoryUse, queued: u64) {
        self.shared.telemetry().remembered(thread, memory, queued);
    }

    fn standing(&self, thread: &str, standings: &[StreamStanding]) {
        self.forget(thread, standings);
        self.show(standings, wall_clock());
    }

    fn unread(&self, partitions: u32) {
        self.shared.telemetry().unread(partitions);
    }

    fn alive(&self, thread: &str) {
        self.shared.health().tick(thread);
    }
}

/// Commands go over their topic. The way is opened for each: people ask seldom, and a broker may have been away.
impl CommandSender for KafkaConfig {
    fn ask(&self, command: &Command, wait: Duration) -> Result<Option<CommandResult>> {
        ask(&Connection::open(self)?, command, wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::liveness::Behind;

    fn standing() -> StreamStanding {
        StreamStanding {
            stream: Stream { source: 0, lane: 0, topic: "fraud.predictions".to_owned(), kind: None },
            next_offset: 90,
            end: 100,
            low_water: Some(40),
            committed_at: 8_000,
            broker_time: Some(7_000),
            event_time: Some(6_000),
            behind: Behind::default(),
        }
    }

    #[test]
    fn of_sources_that_share_a_partition_the_one_furthest_behind_is_shown() {
        let behind = StreamStanding { next_offset: 20, committed_at: 5_000, low_water: Some(10), ..standing() };
        let elsewhere = StreamStanding { stream: Stream { lane: 1, ..standing().stream }, ..standing() };
        for standings in [[standing(), behind.clone(), elsewhere.clone()], [elsewhere, behind, standing()]] {
            let worst = worst(&standings, 10_000);
            let [(_, (first, committed_at)), (_, (second, _))] = worst.iter().collect::<Vec<_>>()[..] else {
                panic!("{worst:?}")
            };
            assert_eq!((first.records, first.replay_debt, *committed_at, second.records), (80, 50, 5_000, 10));
        }
    }

    #[test]
    fn a_stream_read_to_its_end_is_not_behind() {
        let standing = standing();
        assert_eq!(lag(&standing, 10_000), Lag { records: 10, time: 3_000, watermark: 4_000, replay_debt: 50 });
        let at_end = StreamStanding { next_offset: 100, ..standing.clone() };
        assert_eq!(lag(&at_end, 10_000), Lag { records: 0, time: 0, watermark: 0, replay_debt: 60 });
        let unread = StreamStanding { low_water: None, broker_time: None, event_time: None, ..standing };
        assert_eq!(lag(&unread, 10_000), Lag { records: 10, time: 0, watermark: 0, replay_debt: 0 });
    }

    #[test]
    fn what_went_elsewhere_is_not_shown_any_more() {
        let shared = Arc::new(Shared::new());
        let listener = Listener { shared: Arc::clone(&shared), shown: Mutex::default(), counted: Mutex::default() };
        let standing = |lane| StreamStanding {
            stream: Stream { source: 0, lane, topic: "p".to_owned(), kind: None },
            next_offset: 0,
            end: 0,
            low_water: None,
            committed_at: 0,
            broker_time: None,
            event_time: None,
            behind: Behind::default(),
        };
        let shows =
            |lane: u32| shared.telemetry().render().expect("a page").contains(&format!("{{partition=\"{lane}\""));
        listener.standing("scan-0", &[standing(0), standing(1)]);
        listener.standing("scan-1", &[standing(2)]);
        assert!(shows(0) && shows(1) && shows(2));
        listener.standing("scan-1", &[standing(2), standing(1)]);
        listener.standing("scan-0", &[standing(0)]);
        assert!(shows(0) && shows(1), "another thread has it");
        listener.standing("scan-1", &[]);
        assert!(shows(0) && !shows(1) && !shows(2));
        let late = |late| LaneCounts { late, ..LaneCounts::default() };
        listener.counted("scan-0", &BTreeMap::from([(0, late(2))]));
        listener.counted("scan-1", &BTreeMap::from([(1, late(3))]));
        let page = shared.telemetry().render().expect("a page");
        assert!(page.contains("haldane_events_late_total 5"), "all threads count: {page}");
    }
}
