//! Drives one target: reads the topics, does what the engine says is next, and tells what became of it.
//!
//! Nothing is kept. The state topic says what is in force, the control topic what was decided and what of it was
//! acknowledged, and the target what is so; whoever starts anew finds out from them. While a topic or the target cannot
//! be reached nothing is changed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::exposure::ExposureWriter;
use super::watch::{AdapterObserver, Event};
use super::{ActConfig, Subject, Target, Tried};
use crate::act::{Acknowledgement, Book, CandidateKey, Course, ObservedShare, Order, Step};
use crate::error::{Error, Result};
use crate::event::{Micros, SECOND};
use crate::kafka::checkpoint::Stream;
use crate::kafka::cloud_event::{DECISION, Letter, RESULT, body_of, is_newer};
use crate::kafka::ports::{Cluster, Consumer, Incoming, Sink, Wait};
use crate::kafka::topics::Own;
use crate::kafka::{commands, states};
use crate::plan::Plan;
use crate::verdict::{AckStatus, CommandResult, Decision};

/// The pause before something that is away is tried again.
const AGAIN: Duration = Duration::from_secs(1);

/// How long news is waited for at the longest: whether to stop is asked as often.
const LISTEN_MAX: Duration = Duration::from_millis(500);

/// The longest pause before something that is away is tried again.
const PAUSE_MAX: Duration = Duration::from_mins(1);

/// The pause after so many failures in a row.
pub(super) fn pause(failures: u32) -> Duration {
    AGAIN.saturating_mul(1 << failures.min(10)).min(PAUSE_MAX)
}

/// How an adapter works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Until it is told to stop.
    On,
    /// Until all that is in force now is carried out, or its time-out is over.
    Once,
    /// The same, and nothing is set or said: only what would be.
    DryRun,
}

/// One adapter at work.
pub struct Actor<'a> {
    config: &'a ActConfig,
    target: Box<dyn Target>,
    cluster: &'a dyn Cluster,
    watch: &'a dyn AdapterObserver,
    consumer: Box<dyn Consumer>,
    producer: Arc<dyn Sink>,
    streams: Vec<Stream>,
    /// Where each stream ended at the start: before that is reached, nothing is known.
    goals: Vec<i64>,
    rollout: String,
    states: states::StateTopic,
    book: Book,
    /// Where the shares that it sees go, if they count as declared.
    exposures: Option<ExposureWriter>,
    courses: BTreeMap<CandidateKey, Course>,
    mode: Mode,
    /// Whom it was told of in a dry run, and needs no more steps.
    told: Vec<CandidateKey>,
    /// What was done, or would be, in words.
    done: Vec<String>,
}

impl<'a> Actor<'a> {
    /// Reads from the beginning of both topics.
    ///
    /// # Errors
    /// When a topic is not there or cannot be read.
    pub fn open(
        config: &'a ActConfig,
        target: Box<dyn Target>,
        plan: &Arc<Plan>,
        (cluster, watch): (&'a dyn Cluster, &'a dyn AdapterObserver),
        mode: Mode,
    ) -> Result<Self> {
        let topics = &cluster.settings().topics;
        if mode != Mode::DryRun {
            cluster.create(&[Own::of(&topics.commands)])?;
        }
        let name = &config.terms.adapter;
        let is_exposure = config.exposure && mode != Mode::DryRun;
        if is_exposure {
            cluster.create(&[Own::of(&topics.exposures)])?;
        }
        let consumer = cluster.consumer(&format!("{}.act.{name}", cluster.settings().group), name)?;
        let mut streams = Vec::new();
        for (source, topic) in (0..).zip([&topics.state, &topics.control]) {
            let count = consumer.partitions(topic)?.ok_or_else(|| {
                Error::external(format!("topic `{topic}` does not exist"))
                    .hint("start `haldane run` first: it makes it")
            })?;
            streams.extend((0..count).map(|lane| Stream { source, lane, topic: topic.clone(), kind: None }));
        }
        let (first, goals) = (consumer.first(&streams)?, consumer.ends(&streams)?);
        consumer.assign(&streams.iter().cloned().zip(first.iter().copied()).collect::<Vec<_>>())?;
        // What is empty is read already.
        let goals = goals.iter().zip(&first).map(|(end, first)| if end > first { *end } else { i64::MIN }).collect();
        Ok(Self {
            config,
            target,
            cluster,
            watch,
            consumer,
            producer: cluster.producer()?,
            streams,
            goals,
            rollout: plan.policy.rollout.clone(),
            states: states::StateTopic::default(),
            book: Book::new(Arc::clone(plan), config.terms.clone()),
            exposures: is_exposure.then(|| ExposureWriter::new(&plan.name, name, &topics.exposures)),
            courses: BTreeMap::new(),
            mode,
            told: Vec::new(),
            done: Vec::new(),
        })
    }

    /// Works until it is told to stop; or once. Returns what was done, or would be, in words.
    ///
    /// # Errors
    /// When Kafka fails, or when it works once and something in force was not carried out in time.
    pub fn run(mut self, stop: &AtomicBool) -> Result<Vec<String>> {
        self.catch_up(stop)?;
        let deadline = self.now().saturating_add(i64::try_from(self.config.timeout.as_micros()).unwrap_or(Micros::MAX));
        while !stop.load(Ordering::Relaxed) {
            self.saw(Event::Alive);
            self.saw(Event::Open(self.courses.values().filter(|course| !course.is_met()).count()));
            let rest = self.steps()?;
            if rest.is_some() {
                self.expose();
            }
            match (self.mode, rest) {
                (_, None) => self.listen(Duration::ZERO)?,
                (Mode::On, Some(until)) => self.listen(self.until(until))?,
                (_, Some(until)) => {
                    let open =
                        self.courses.iter().find(|(about, course)| !course.is_met() && !self.told.contains(about));
                    match open {
                        None => break,
                        Some(_) if self.now() < deadline => self.listen(self.until(until.min(deadline)))?,
                        Some((about, course)) => return Err(self.unfinished(about, course)),
                    }
                }
            }
        }
        Ok(self.done)
    }

    fn saw(&self, event: Event<'_>) {
        self.watch.saw(&self.config.terms.adapter, event);
    }

    fn now(&self) -> Micros {
        self.cluster.machine().wall_clock()
    }

    fn until(&self, then: Micros) -> Duration {
        let left = Duration::from_micros(then.saturating_sub(self.now()).max(0).unsigned_abs());
        left.clamp(Duration::from_millis(1), LISTEN_MAX)
    }

    /// Reads what was there at the start: half of it would be a wrong picture.
    fn catch_up(&mut self, stop: &AtomicBool) -> Result<()> {
        while !stop.load(Ordering::Relaxed) {
            self.saw(Event::Alive);
            let at = self.consumer.positions(&self.streams)?;
            if self.goals.iter().zip(at).all(|(goal, at)| *goal == i64::MIN || at.is_some_and(|at| at >= *goal)) {
                self.saw(Event::CaughtUp);
                break;
            }
            self.listen(LISTEN_MAX)?;
        }
        tracing::info!(adapter = self.config.terms.adapter, candidates = self.book.candidates().len(), "acting");
        Ok(())
    }

    /// Takes what has come, waiting for the first of it for so long.
    fn listen(&mut self, patience: Duration) -> Result<()> {
        let wait = Wait { records_max: 512, first: patience, more: Duration::ZERO };
        let (book, states, control) = (&mut self.book, &mut self.states, &self.cluster.settings().topics.control);
        let mut stands = false;
        self.consumer.read(wait, &mut |records| {
            for record in records {
                if record.topic() == control {
                    take(book, *record);
                } else {
                    states.take(*record);
                    stands = true;
                }
            }
            Ok(())
        })?;
        if stands {
            self.book.stand(self.states.states(&self.rollout)?, self.states.liveness(&self.rollout).cloned());
        }
        for about in self.book.candidates() {
            self.courses.entry(about.clone()).or_insert_with(|| Course::new(about));
        }
        Ok(())
    }

    /// One step for each candidate. When the next one is due, if none was taken.
    fn steps(&mut self) -> Result<Option<Micros>> {
        let mut rest = Some(Micros::MAX);
        for about in self.book.candidates() {
            if self.told.contains(&about) {
                continue;
            }
            let now = self.now();
            let Some(course) = self.courses.get_mut(&about) else { continue };
            match course.next(&self.book, now) {
                Step::Rest(until) => rest = rest.map(|earliest| earliest.min(until)),
                step => {
                    self.take_step(&about, step)?;
                    rest = None;
                }
            }
        }
        Ok(rest)
    }

    fn take_step(&mut self, about: &CandidateKey, step: Step) -> Result<()> {
        let subject = self.subject(about);
        match step {
            Step::Look => {
                let seen = self.look(&subject);
                let now = self.now();
                self.courses.entry(about.clone()).and_modify(|course| course.looked(seen, &self.book, now));
            }
            Step::Set { from, share_pct, decision, again } => self.set(&subject, (from, share_pct), &decision, again),
            Step::Say(ack) => self.say(&subject, &ack)?,
            Step::Rest(_) => {}
        }
        Ok(())
    }

    fn look(&mut self, subject: &Subject) -> Tried<ObservedShare> {
        let (name, begun) = (self.config.terms.adapter.as_str(), self.now());
        self.saw(Event::Waits);
        let seen = self.target.look(subject);
        self.saw(Event::Looked(subject, &seen));
        if let Err(trouble) = &seen {
            tracing::warn!(adapter = name, candidate = subject.candidate, why = trouble.why(), "cannot look");
        }
        if let Some(exposures) = &mut self.exposures {
            exposures.looked(subject, begun, &seen);
        }
        seen
    }

    /// Looks at the shares of candidates at which nothing has to be done, too, and writes what was seen. It is done
    /// when no step is due: restrictions and acknowledgements come first, and between two looks.
    fn expose(&mut self) {
        let (now, every) = (self.now(), self.config.terms.every);
        let Some(exposures) = &self.exposures else { return };
        let is_due = |about: &CandidateKey| self.book.is_live(about) && exposures.is_due(about, now, every);
        let at_once = if self.mode == Mode::On { 1 } else { usize::MAX };
        let due: Vec<CandidateKey> = self.book.candidates().into_iter().filter(is_due).take(at_once).collect();
        for about in due {
            let subject = self.subject(&about);
            drop(self.look(&subject));
        }
        let (watch, name) = (self.watch, &self.config.terms.adapter);
        if let Some(exposures) = &mut self.exposures {
            exposures.write(self.cluster, self.mode == Mode::Once, |event| watch.saw(name, event));
        }
    }

    fn set(&mut self, subject: &Subject, (from, share_pct): (ObservedShare, f64), decision: &str, again: bool) {
        let about = (subject.model.clone(), subject.candidate.clone());
        let (name, candidate) = (self.config.terms.adapter.as_str(), subject.candidate.as_str());
        let shown = from.share_pct.unwrap_or(0.0);
        let what = format!("{candidate} from {shown} % to {share_pct} %, by {decision}");
        if self.mode == Mode::DryRun {
            self.done.push(format!("{name}: would set {what}"));
            self.told.push(about);
            return;
        }
        if again {
            tracing::warn!(adapter = name, candidate, shown, share_pct, decision, "somebody has put the share back");
        }
        self.saw(Event::Waits);
        let done = self.target.set(subject, &from, share_pct);
        self.saw(Event::Set { done: &done, again });
        match &done {
            Ok(()) => {
                tracing::info!(adapter = name, candidate, shown, share_pct, decision, "set");
                self.done.push(format!("{name}: set {what}"));
            }
            Err(trouble) => tracing::warn!(adapter = name, candidate, decision, why = trouble.why(), "cannot set"),
        }
        let now = self.now();
        self.courses.entry(about).and_modify(|course| course.set(done, &self.book, now));
    }

    /// Says what became of a decision, and returns when the brokers have it.
    fn say(&mut self, subject: &Subject, ack: &Acknowledgement) -> Result<()> {
        let Acknowledgement { decision, status, observed_pct, detail } = ack;
        let (name, candidate) = (self.config.terms.adapter.as_str(), subject.candidate.as_str());
        let about = (subject.model.clone(), subject.candidate.clone());
        let took = self.book.recorded(&about, decision).map(|recorded| self.now().saturating_sub(recorded));
        let took = took.filter(|_| *status == AckStatus::Applied);
        let lowers = matches!(self.courses.get(&about).map(Course::order), Some(Order::AtMost { .. }));
        let (contained, took) = (took.filter(|_| lowers), took.map(seconds).unwrap_or_default());
        let said = format!("{name}: {} {decision} of {candidate}: {detail}{took}", status.name());
        if self.mode == Mode::DryRun {
            self.done.push(format!("{name}: would say {}", said.trim_start_matches(&format!("{name}: "))));
        } else {
            let detail = format!("{detail}{took}");
            let letter = Letter::ack(&written(subject, (name, ack), &detail), self.now());
            self.producer.send(letter.to(&self.cluster.settings().topics.commands))?;
            self.producer.settle()?;
            tracing::info!(
                adapter = name,
                candidate,
                decision,
                status = status.name(),
                detail,
                observed_pct,
                "acknowledged"
            );
            self.done.push(said);
            self.saw(Event::Said { ack, contained });
        }
        self.book.said(decision, *status);
        Ok(())
    }

    fn subject(&self, about: &CandidateKey) -> Subject {
        let (model, candidate) = about.clone();
        let order = self.courses.get(about).map(Course::order);
        Subject {
            rollout: self.rollout.clone(),
            baseline: self.book.baseline(about).to_owned(),
            decision: order.and_then(Order::decision).unwrap_or_default().to_owned(),
            model,
            candidate,
        }
    }

    fn unfinished(&self, (_, candidate): &CandidateKey, course: &Course) -> Error {
        let decision = course.order().decision().unwrap_or_default();
        let (name, s) = (&self.config.terms.adapter, self.config.timeout.as_secs_f64());
        Error::external(format!("{decision} of {candidate} was not carried out at {name} within {s} s"))
            .hint("the lines before say why; a decision stays in force until it is lifted")
    }
}

/// An acknowledgement as it is written to its topic.
fn written(subject: &Subject, (name, ack): (&str, &Acknowledgement), detail: &str) -> commands::Ack {
    commands::Ack {
        decision_id: ack.decision.clone(),
        status: ack.status,
        adapter: name.to_owned(),
        observed_cap_pct: ack.observed_pct,
        detail: detail.to_owned(),
        rollout: Some(subject.rollout.clone()),
        model: Some(subject.model.clone()),
        candidate: Some(subject.candidate.clone()),
    }
}

/// How long it took, in words.
fn seconds(took: Micros) -> String {
    let (whole, part) = (took / SECOND, took % SECOND / 1_000);
    format!(", {whole}.{part:03} s after the decision was recorded")
}

/// Takes a record of the control topic.
fn take(book: &mut Book, record: &dyn Incoming) {
    if is_newer(record, DECISION) {
        tracing::error!(offset = record.offset(), "a newer release has written a decision that this one cannot read");
    }
    if let Some(read) = body_of::<Decision>(record, DECISION) {
        match read {
            Ok(decision) => book.decided(&decision, record.time().unwrap_or_default()),
            Err(error) => tracing::error!(offset = record.offset(), %error, "a decision that cannot be read"),
        }
    } else if let Some(Ok(result)) = body_of::<CommandResult>(record, RESULT) {
        book.answered(&result);
    }
}
