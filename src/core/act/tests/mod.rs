//! An adapter by hand: a rollout that decides, its topics, and a target that may be slow, away, or lie.
#![expect(clippy::float_cmp, reason = "shares are set to numbers that these tests say themselves")]

mod courses;
mod laws;
mod orders;

use std::sync::Arc;

use super::{AdapterTerms, Book, CandidateKey, Course, ObservedShare, Step, Trouble};
use crate::event::{Micros, SECOND};
use crate::verdict::liveness::FORMAT;
use crate::verdict::rollout::tests::Bench;
use crate::verdict::{AckStatus, Command, CommandKind, CommandResult, Decision, Liveness, Outcome, RolloutState};

/// What a target does when it is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mood {
    Well,
    Away,
    Refusing,
    /// It says that it was set, and changes nothing.
    Lying,
    /// Somebody else always is faster.
    Contested,
}

/// A target that holds one share.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) version: Option<String>,
    pub(super) share_pct: f64,
    pub(super) mood: Mood,
    /// Counted up with every change.
    revision: u32,
    pub(super) looks: u32,
    /// What was set.
    pub(super) writes: Vec<f64>,
}

impl Target {
    fn new(share_pct: f64) -> Self {
        Self { version: None, share_pct, mood: Mood::Well, revision: 0, looks: 0, writes: Vec::new() }
    }

    /// Somebody else changes it.
    pub(super) fn tamper(&mut self, share_pct: f64) {
        (self.share_pct, self.revision) = (share_pct, self.revision + 1);
    }

    fn look(&mut self) -> Result<ObservedShare, Trouble> {
        self.looks += 1;
        match self.mood {
            Mood::Away => Err(Trouble::Away("no answer".into())),
            Mood::Refusing => Err(Trouble::Refused("403".into())),
            _ => Ok(ObservedShare {
                version: self.version.clone(),
                share_pct: Some(self.share_pct),
                grain_pct: 1.0,
                mark: self.revision.to_string(),
            }),
        }
    }

    fn set(&mut self, from: &ObservedShare, share_pct: f64) -> Result<(), Trouble> {
        match self.mood {
            Mood::Away => return Err(Trouble::Away("no answer".into())),
            Mood::Refusing => return Err(Trouble::Refused("403".into())),
            Mood::Contested => self.revision += 1,
            Mood::Lying => return Ok(()),
            Mood::Well => {}
        }
        if from.mark != self.revision.to_string() {
            return Err(Trouble::Conflict);
        }
        self.tamper(share_pct.floor());
        self.writes.push(share_pct);
        Ok(())
    }
}

/// The topics, and who writes and reads them.
pub(super) struct World {
    pub(super) bench: Bench,
    terms: AdapterTerms,
    pub(super) target: Target,
    /// Decisions of the bench that are on the control topic, with the time of their record.
    control: Vec<(Decision, Micros)>,
    state: Option<RolloutState>,
    /// Acknowledgements that were written, and how many of them are answered.
    pub(super) acks: Vec<(String, AckStatus)>,
    answered: Vec<CommandResult>,
    pub(super) now: Micros,
    /// When whoever judges was heard of last.
    pub(super) heard: Micros,
    pub(super) book: Book,
    pub(super) course: Course,
    taken: usize,
    taken_answers: usize,
}

pub(super) fn about() -> CandidateKey {
    ("m".into(), "v2".into())
}

impl World {
    pub(super) fn new(bench: Bench, raise: bool) -> Self {
        let terms = AdapterTerms { adapter: "flags".into(), raise, every: 60 * SECOND, model: None, candidate: None };
        let book = Book::new(Arc::new(bench.plan.clone()), terms.clone());
        let now = bench.now;
        let mut world = Self {
            bench,
            terms,
            target: Target::new(25.0),
            control: Vec::new(),
            state: None,
            acks: Vec::new(),
            answered: Vec::new(),
            now,
            heard: now,
            book,
            course: Course::new(about()),
            taken: 0,
            taken_answers: 0,
        };
        world.publish();
        world
    }

    /// Decisions go out, and states after them.
    pub(super) fn publish(&mut self) {
        self.publish_decisions();
        self.state = Some(self.bench.state.clone());
    }

    pub(super) fn publish_decisions(&mut self) {
        self.now = self.now.max(self.bench.now);
        self.heard = self.now;
        let new = self.bench.decisions.iter().skip(self.control.len()).cloned();
        let new: Vec<_> = new.map(|decision| (decision, self.now)).collect();
        self.control.extend(new);
    }

    /// Whoever judges takes acknowledgements in, and says what became of them.
    pub(super) fn answer(&mut self) {
        for (decision, status) in self.acks.iter().skip(self.answered.len()) {
            let kind = CommandKind::Ack {
                decision: decision.clone(),
                status: *status,
                adapter: "flags".into(),
                observed_cap_pct: None,
                detail: String::new(),
            };
            let command = Command {
                id: String::new(),
                at: self.now,
                rollout: "toy".into(),
                model: "m".into(),
                candidate: "v2".into(),
                kind,
                actor: "flags".into(),
                reason: String::new(),
                ticket: None,
                if_sequence: None,
                expires_at: None,
            };
            self.answered.push(CommandResult {
                command,
                outcome: Outcome::Accepted,
                text: String::new(),
                sequence: 0,
                state: None,
                decisions: Vec::new(),
                applied_after: None,
            });
        }
    }

    pub(super) fn life(&self) -> Liveness {
        Liveness {
            format: FORMAT,
            rollout: "toy".into(),
            pipeline: "toy".into(),
            who: "judge".into(),
            at: self.heard,
            judged_upto: None,
            lag: Some(0),
        }
    }

    /// The adapter reads what is there.
    pub(super) fn read(&mut self) {
        for (decision, recorded) in &self.control[self.taken..] {
            self.book.decided(decision, *recorded);
        }
        for result in &self.answered[self.taken_answers..] {
            self.book.answered(result);
        }
        (self.taken, self.taken_answers) = (self.control.len(), self.answered.len());
        self.book.stand(self.state.clone().into_iter().collect(), Some(self.life()));
    }

    /// The adapter loses all that it knew.
    pub(super) fn crash(&mut self) {
        self.book = Book::new(Arc::new(self.bench.plan.clone()), self.terms.clone());
        self.course = Course::new(about());
        (self.taken, self.taken_answers) = (0, 0);
    }

    /// One step of the adapter, which may crash before what it does, or after it and before it knows.
    pub(super) fn step(&mut self, crash: Option<Crash>) -> Step {
        self.read();
        let step = self.course.next(&self.book, self.now);
        if crash == Some(Crash::Before) {
            self.crash();
            return step;
        }
        match &step {
            Step::Look => {
                let seen = self.target.look();
                self.course.looked(seen, &self.book, self.now);
            }
            Step::Set { from, share_pct, .. } => {
                let done = self.target.set(from, *share_pct);
                self.course.set(done, &self.book, self.now);
            }
            Step::Say(ack) => {
                self.acks.push((ack.decision.clone(), ack.status));
                self.book.said(&ack.decision, ack.status);
            }
            Step::Rest(_) => {}
        }
        if crash == Some(Crash::After) {
            self.crash();
        }
        step
    }

    /// Steps until there is nothing to do at this time.
    pub(super) fn settle(&mut self) -> Vec<Step> {
        let mut steps = Vec::new();
        for _ in 0..200 {
            match self.step(None) {
                Step::Rest(_) => return steps,
                step => steps.push(step),
            }
        }
        panic!("it never rests: {:?}", &steps[190..]);
    }

    /// Time passes, and whoever judges is there.
    pub(super) fn later(&mut self, seconds: i64) {
        self.now += seconds * SECOND;
        self.heard = self.now;
    }

    pub(super) fn status(&self, decision: &str) -> Option<AckStatus> {
        self.acks.iter().rev().find(|(id, _)| id == decision).map(|(_, status)| *status)
    }
}

/// Where a process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Crash {
    Before,
    After,
}
