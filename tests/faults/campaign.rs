//! Random faults out of a seed: instances and brokers that are killed, frozen, ended and started again, while records
//! come and are judged.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use haldane::error::Result;
use haldane::event::{Micros, SECOND};
use haldane::kafka::clock::{now, wall_clock};
use haldane::kafka::connection::Connection;
use haldane::kafka::producer::Producer;
use haldane::sim::Rng;
use rdkafka::producer::BaseRecord;
use serde_json::json;

use crate::crew::Crew;
use crate::load::{INPUTS, Load, PARTITIONS, candidate};
use crate::nodes::{NODES, Nodes};
use crate::proxy::Passage;
use crate::view::View;

/// Who is hit: everything in one process, scans and judges apart, the brokers, the records.
const WHOLE: usize = 0;
const APART: usize = 1;
const BROKERS: usize = 2;
const RECORDS: usize = 3;

/// Scans are the first slots of the pipeline that has them apart.
pub(crate) const SCANS_MAX: usize = 3;
/// How many scans there are after each change.
const SCANS: [usize; 3] = [1, 3, 2];
/// How often the campaign looks after everybody.
const STEP: Duration = Duration::from_millis(100);
/// How often people ask for something.
const ASK_EVERY: Duration = Duration::from_secs(11);
/// How long anything may take to be well again.
pub(crate) const PATIENCE: Duration = Duration::from_mins(2);

/// A fault that was injected.
pub(crate) struct Fault {
    pub(crate) at: Micros,
    pub(crate) kind: &'static str,
    /// The pipelines that it may be seen in.
    pub(crate) hits: &'static [usize],
}

/// When those are hit next that are hit one after the other.
struct Next {
    at: Instant,
    /// Whether only once judgements come in time again.
    calm: bool,
    /// Who is still to be restarted, one after the other.
    rolling: VecDeque<usize>,
}

/// A node that is out.
#[derive(Debug, Clone, Copy)]
struct Out {
    node: usize,
    until: Instant,
    how: How,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    /// Its process is gone, or is about to be.
    Ended,
    Frozen,
    /// Clients cannot reach it.
    Away,
}

/// Everything that is tried, and what has happened to it.
pub(crate) struct Campaign {
    pub(crate) nodes: Nodes,
    pub(crate) crews: [Crew; 2],
    pub(crate) views: [Arc<View>; 2],
    pub(crate) load: Arc<Load>,
    pub(crate) faults: Vec<Fault>,
    rng: Rng,
    next: [Next; 4],
    out: Option<Out>,
    scaled: usize,
    /// Whether people ask for anything more.
    pub(crate) asks: bool,
    asked_at: Instant,
    asked: u64,
    people: Producer,
}

impl Campaign {
    pub(crate) fn of(
        nodes: Nodes,
        crews: [Crew; 2],
        views: [Arc<View>; 2],
        load: Arc<Load>,
        seed: u64,
    ) -> Result<Self> {
        let people = Producer::open(&Connection::open(&crews[WHOLE].kafka)?)?;
        let next = || Next { at: now(), calm: false, rolling: VecDeque::new() };
        let (rng, faults) = (Rng::new(seed), Vec::new());
        let next = [next(), next(), next(), next()];
        let (out, scaled, asks, asked_at, asked) = (None, 0, true, now(), 0);
        Ok(Self { nodes, crews, views, load, faults, rng, next, out, scaled, asks, asked_at, asked, people })
    }

    /// Injects so many faults.
    pub(crate) fn inject(&mut self, faults: usize) -> Result<()> {
        while self.faults.len() < faults {
            self.step()?;
            for who in [WHOLE, APART, BROKERS, RECORDS] {
                if self.faults.len() < faults && self.is_due(who) {
                    self.hit(who);
                }
            }
        }
        self.next.iter_mut().for_each(|next| next.rolling.clear());
        Ok(())
    }

    /// Waits until everybody is well again and judgements come in time.
    pub(crate) fn heal(&mut self) -> Result<()> {
        let deadline = now() + PATIENCE;
        let is_well = |campaign: &Self| {
            campaign.out.is_none()
                && campaign.crews.iter().all(Crew::is_settled)
                && campaign.views.iter().all(|view| view.is_current())
                && campaign.nodes.is_whole()
        };
        while !is_well(self) {
            if now() > deadline {
                let newest = self.views.each_ref().map(|view| (wall_clock() - view.newest()) / SECOND);
                self.crews[WHOLE].flaws.push(format!("not well again: the newest windows ended {newest:?} s ago"));
                return Ok(());
            }
            self.step()?;
        }
        Ok(())
    }

    /// Looks after everybody, once.
    pub(crate) fn step(&mut self) -> Result<()> {
        std::thread::park_timeout(STEP);
        self.crews.iter_mut().for_each(Crew::supervise);
        if let Some(out) = self.out.filter(|out| out.until <= now()) {
            match out.how {
                How::Frozen => self.nodes.signal(out.node, "-CONT"),
                How::Away => self.nodes.set_way(out.node, Passage::Open),
                How::Ended => {
                    // One that was told to end may still be there.
                    self.nodes.kill(out.node);
                    self.nodes.restart(out.node).expect("a node starts again");
                }
            }
            self.out = None;
        }
        if self.asks && self.asked_at.elapsed() > ASK_EVERY {
            self.ask()?;
        }
        Ok(())
    }

    /// People ask for something: to hold a candidate, and to let it go on.
    fn ask(&mut self) -> Result<()> {
        (self.asked_at, self.asked) = (now(), self.asked + 1);
        let kind = if self.asked % 2 == 1 { json!("hold") } else { json!({ "resume": {} }) };
        for crew in &self.crews {
            let body = json!({ "id": format!("command-{}", self.asked), "model": "m", "candidate": candidate(wall_clock()),
                "actor": "ana", "kind": kind, "reason": "a trial" });
            let (body, key) = (body.to_string(), crew.kafka.group.as_bytes());
            self.people
                .send(BaseRecord::to(&crew.kafka.topics.commands).partition(0).key(key).payload(body.as_bytes()))?;
        }
        Ok(())
    }

    fn is_due(&mut self, who: usize) -> bool {
        let next = &self.next[who];
        if next.at > now() {
            return false;
        }
        if who == BROKERS {
            // Brokers promise nothing where a second one is lost before the first has caught up.
            let whole = self.out.is_none() && self.nodes.is_whole();
            self.next[who].at = now() + 5 * STEP;
            return whole;
        }
        let overdue = next.at.elapsed() > PATIENCE / 4;
        match who {
            WHOLE | APART if next.rolling.is_empty() => {
                overdue || !next.calm || (self.crews[who].is_settled() && self.views[who].is_current())
            }
            WHOLE | APART => self.crews[who].is_settled(),
            _ => true,
        }
    }

    fn hit(&mut self, who: usize) {
        match who {
            WHOLE | APART => self.hit_instances(who),
            BROKERS => self.hit_brokers(),
            _ => self.hit_records(),
        }
        let pause = if who == RECORDS { self.between(15, 40) } else { self.between(2, 7) };
        let rolls = !self.next[who].rolling.is_empty();
        self.next[who].at = now() + if rolls { STEP } else { pause };
        self.next[who].calm = self.rng.chance(0.5);
    }

    fn note(&mut self, kind: &'static str, hits: &'static [usize]) {
        let at = wall_clock();
        println!("{:4} {:>9.1} s {kind} {hits:?}", self.faults.len() + 1, at as f64 / 1e6 % 1e5);
        self.faults.push(Fault { at, kind, hits });
    }

    fn between(&mut self, low: u64, high: u64) -> Duration {
        Duration::from_millis(1_000 * low + self.rng.bits() % (1_000 * (high - low)))
    }

    fn one(&mut self, of: &[usize]) -> Option<usize> {
        let at = self.rng.bits() % (of.len() as u64).max(1);
        of.get(usize::try_from(at).unwrap_or_default()).copied()
    }

    fn hit_instances(&mut self, who: usize) {
        let hits: &[usize] = if who == WHOLE { &[WHOLE] } else { &[APART] };
        if let Some(slot) = self.next[who].rolling.pop_front() {
            self.note("instance restarted in its turn", hits);
            return self.crews[who].end(slot, Some(Duration::ZERO));
        }
        let working = self.crews[who].working();
        let Some(slot) = self.one(&working) else { return };
        let again = self.between(0, 3);
        match self.rng.bits() % 12 {
            0..=3 => {
                self.note("instance killed", hits);
                self.crews[who].kill(slot, Some(again));
            }
            4..=6 => {
                let span = self.between(9, 13);
                self.note("instance frozen for longer than its session", hits);
                self.crews[who].freeze(slot, span);
            }
            7 | 8 => {
                self.note("instance told to end", hits);
                self.crews[who].end(slot, Some(again));
            }
            9 => self.next[who].rolling.extend(working),
            10 => {
                self.note("all instances killed while much comes", hits);
                let away = self.between(6, 12);
                working.into_iter().for_each(|slot| self.crews[who].kill(slot, Some(away)));
                self.load.burst.fetch_add(20 * self.load.rate, std::sync::atomic::Ordering::Relaxed);
            }
            _ if who == APART => self.scale(),
            _ => {}
        }
    }

    /// Another number of scans.
    fn scale(&mut self) {
        self.note("number of scans changed", &[APART]);
        let wanted = SCANS[self.scaled % SCANS.len()];
        self.scaled += 1;
        let (working, crew) = (self.crews[APART].working(), &mut self.crews[APART]);
        for slot in 0..SCANS_MAX {
            if slot < wanted && crew.is_idle(slot) {
                crew.start(slot);
            } else if slot >= wanted && working.contains(&slot) {
                crew.end(slot, None);
            }
        }
    }

    fn hit_brokers(&mut self) {
        const HITS: &[usize] = &[WHOLE, APART];
        if let Some(node) = self.next[BROKERS].rolling.pop_front() {
            self.note("broker restarted in its turn", HITS);
            return self.end_node(node);
        }
        let kind = self.rng.bits() % 9;
        if kind == 0 {
            return self.next[BROKERS].rolling.extend(0..NODES);
        }
        let Some(node) = self.some_leader() else { return };
        let (span, how) = match kind {
            1..=4 => {
                self.note("broker killed that led partitions", HITS);
                self.nodes.kill(node);
                (self.between(1, 5), How::Ended)
            }
            5 | 6 => {
                self.note("broker frozen for longer than its session", HITS);
                self.nodes.signal(node, "-STOP");
                (self.between(11, 14), How::Frozen)
            }
            7 => {
                self.note("connections to a broker cut", HITS);
                self.nodes.set_way(node, Passage::Cut);
                (self.between(3, 12), How::Away)
            }
            _ => {
                self.note("connections to a broker held", HITS);
                self.nodes.set_way(node, Passage::Held);
                (self.between(3, 15), How::Away)
            }
        };
        self.out = Some(Out { node, until: now() + span, how });
    }

    fn end_node(&mut self, node: usize) {
        self.nodes.signal(node, "-TERM");
        self.out = Some(Out { node, until: now() + Duration::from_secs(5), how: How::Ended });
    }

    fn some_leader(&mut self) -> Option<usize> {
        let topics = [
            (INPUTS[0], i64::from(PARTITIONS)),
            (self.crews[WHOLE].kafka.topics.control.as_str(), 1),
            (self.crews[APART].kafka.topics.partials.as_str(), 1),
            (self.crews[APART].kafka.topics.control.as_str(), 1),
            ("__consumer_offsets", 4),
        ];
        let at = usize::try_from(self.rng.bits() % topics.len() as u64).unwrap_or_default();
        let (topic, partitions) = topics[at];
        let partition = i32::try_from(self.rng.bits() % partitions.unsigned_abs()).unwrap_or_default();
        self.nodes.leader(topic, partition)
    }

    fn hit_records(&mut self) {
        self.note("flood of records that cannot be read", &[WHOLE, APART]);
        self.load.poison.fetch_add(300, std::sync::atomic::Ordering::Relaxed);
    }

    /// Faults, and how long judgements came late after them, as Markdown.
    pub(crate) fn table(&self) -> String {
        let mut rows: BTreeMap<&str, Vec<Micros>> = BTreeMap::new();
        for fault in &self.faults {
            let longest = fault.hits.iter().map(|&who| self.views[who].recovery(fault.at)).max().unwrap_or(0);
            rows.entry(fault.kind).or_default().push(longest);
        }
        let all = self.faults.len();
        let mut text =
            format!("| fault, of {all} | injected | unnoticed | median, s | max, s |\n|---|---|---|---|---|\n");
        let every: Vec<Micros> = rows.values().flatten().copied().collect();
        let rows = rows.into_iter().chain([("all", every)]).filter(|(_, spans)| !spans.is_empty());
        for (kind, mut spans) in rows {
            spans.sort_unstable();
            let unnoticed = spans.iter().filter(|&&span| span == 0).count();
            let seconds = |at: usize| spans[at] as f64 / 1e6;
            let (median, max) = (seconds(spans.len() / 2), seconds(spans.len() - 1));
            let n = spans.len();
            writeln!(text, "| {kind} | {n} | {unnoticed} | {median:.1} | {max:.1} |").expect("a text");
        }
        text
    }
}
