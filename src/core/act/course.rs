//! One candidate at one target, step by step.

use super::book::{Acknowledgement, Book, CandidateKey};
use super::order::Order;
use super::{ObservedShare, Trouble};
use crate::event::{Micros, SECOND};
use crate::verdict::AckStatus;

/// Changes by others in a row that are answered at once.
const CONFLICTS_AT_ONCE: u32 = 5;

/// After so many changes by others in a row it is said that there is no getting through.
const CONFLICTS_BORNE: u32 = 10;

/// After so many settings in a row that were confirmed and did nothing, that is said: 15 seconds after the first, as
/// controllers carry out later what they were told.
const LIES_BORNE: u32 = 5;

/// The longest pause before something that is away is tried again.
const PAUSE_MAX: Micros = 60 * SECOND;

/// Shares that differ by less are the same.
const SAME_PCT: f64 = 1e-9;

/// What to do next.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Look at the target.
    Look,
    /// Set the share, if the target still is as it was seen.
    Set {
        /// What was seen.
        from: ObservedShare,
        /// Percent.
        share_pct: f64,
        /// The decision that is carried out.
        decision: String,
        /// Whether it was carried out before, and somebody else has undone it.
        again: bool,
    },
    /// Say what became of a decision.
    Say(Acknowledgement),
    /// Nothing, until this time or until there is news.
    Rest(Micros),
}

/// Where one candidate stands at one target. Nothing of it has to be kept: whoever starts anew looks first.
#[derive(Debug, Clone)]
pub struct Course {
    about: CandidateKey,
    order: Order,
    stage: Stage,
    /// Failures in a row.
    failures: u32,
    /// Changes by others in a row.
    conflicts: u32,
    /// Settings in a row that were confirmed and did nothing.
    lies: u32,
    /// Whether what is wanted was seen to be so.
    was_met: bool,
    /// Whether something was set that was not looked at since.
    was_set: bool,
    /// What is to be said of the order.
    say: Option<Acknowledgement>,
}

#[derive(Debug, Clone, PartialEq)]
enum Stage {
    Rest(Micros),
    Saw(ObservedShare),
}

impl Course {
    /// Nothing was looked at yet.
    #[must_use]
    pub fn new(about: CandidateKey) -> Self {
        let order = Order::Leave(String::new());
        let (stage, say) = (Stage::Rest(Micros::MIN), None);
        Self { about, order, stage, failures: 0, conflicts: 0, lies: 0, was_met: false, was_set: false, say }
    }

    /// What is wanted, as of the last step.
    #[must_use]
    pub fn order(&self) -> &Order {
        &self.order
    }

    /// Whether what is wanted is so, as far as was seen, or nothing is wanted.
    #[must_use]
    pub fn is_met(&self) -> bool {
        self.was_met || self.order.decision().is_none()
    }

    /// What to do next. Whatever is to be done outside is told to [`Course::looked`], [`Course::set`] or
    /// [`Book::said`] before this is asked again.
    pub fn next(&mut self, book: &Book, now: Micros) -> Step {
        self.turn_to(book.order(&self.about, now));
        if let Some(ack) = book.overdue(&self.about, self.order.decision(), now) {
            return Step::Say(ack);
        }
        if let Some(ack) = self.say.take() {
            return Step::Say(ack);
        }
        let later = now.saturating_add(book.terms().every);
        self.was_met |= self.is_done(book);
        if self.order.decision().is_none() || self.is_done(book) {
            return Step::Rest(later);
        }
        match std::mem::replace(&mut self.stage, Stage::Rest(Micros::MIN)) {
            Stage::Rest(until) if now < until => {
                self.stage = Stage::Rest(until);
                Step::Rest(until)
            }
            Stage::Rest(_) => Step::Look,
            Stage::Saw(seen) => self.answer(seen, book, now, later),
        }
    }

    /// What a look showed.
    pub fn looked(&mut self, seen: Result<ObservedShare, Trouble>, book: &Book, now: Micros) {
        match seen {
            Ok(seen) => self.stage = Stage::Saw(seen),
            Err(trouble) => self.suffer(&trouble, book, now),
        }
    }

    /// What became of a setting. Only a look shows whether it did something.
    pub fn set(&mut self, done: Result<(), Trouble>, book: &Book, now: Micros) {
        match done {
            Ok(()) => (self.was_set, self.failures) = (true, 0),
            Err(trouble) => self.suffer(&trouble, book, now),
        }
    }

    /// Something new is wanted: it is begun at once, whatever the old one waited for.
    fn turn_to(&mut self, order: Order) {
        if order != self.order {
            *self = Self { order, ..Self::new(self.about.clone()) };
        }
    }

    /// A permission is used once; what is to be kept as it is needs no second look.
    fn is_done(&self, book: &Book) -> bool {
        let once = !matches!(self.order, Order::AtMost { .. });
        let answer = self.order.decision().and_then(|id| book.answer(&self.about, id));
        once && answer.is_some_and(|status| !matches!(status, AckStatus::Accepted | AckStatus::Failed))
    }

    /// What follows from what was seen.
    fn answer(&mut self, seen: ObservedShare, book: &Book, now: Micros, later: Micros) -> Step {
        let (_, candidate) = &self.about;
        if let Some(other) = seen.version.as_ref().filter(|version| *version != candidate) {
            // Nothing is to be done here for as long as that is so.
            self.was_met = true;
            let detail = format!("the target holds the share of {other}");
            return self.conclude(AckStatus::Ignored, None, detail, book, later);
        }
        match self.wanted(&seen) {
            None => {
                (self.was_met, self.was_set, self.lies, self.failures, self.conflicts) = (true, false, 0, 0, 0);
                let share = seen.share_pct.unwrap_or(0.0);
                let detail = format!("the target shows {share} %");
                self.conclude(AckStatus::Applied, Some(share), detail, book, later)
            }
            Some(_) if seen.share_pct.is_none() => {
                self.conclude(AckStatus::Rejected, None, "the target does not know it".to_owned(), book, later)
            }
            Some(_) if self.was_set => self.doubt(&seen, book, now),
            Some(share_pct) => {
                let decision = self.order.decision().unwrap_or_default().to_owned();
                Step::Set { from: seen, share_pct, decision, again: self.was_met }
            }
        }
    }

    /// The share that is to be set; `None` where what was seen is as wanted.
    fn wanted(&self, seen: &ObservedShare) -> Option<f64> {
        let share = seen.share_pct.unwrap_or(0.0);
        match self.order {
            Order::AtMost { cap_pct, .. } => (share > cap_pct + SAME_PCT).then_some(cap_pct),
            // Shares are rounded down, so what is set may lie below the cap by less than one step.
            Order::UpTo { cap_pct, .. } => (share <= cap_pct - seen.grain_pct + SAME_PCT).then_some(cap_pct),
            Order::Keep { .. } | Order::Leave(_) => None,
        }
    }

    /// It was set, and the target shows something else: it is slow, or it lies.
    fn doubt(&mut self, seen: &ObservedShare, book: &Book, now: Micros) -> Step {
        self.was_set = false;
        self.lies = self.lies.saturating_add(1);
        let until = now.saturating_add(pause(self.lies));
        if self.lies < LIES_BORNE {
            self.stage = Stage::Rest(until);
            return Step::Rest(until);
        }
        let share = seen.share_pct.unwrap_or(0.0);
        let detail = format!("it was set {} times, and the target still shows {share} %", self.lies);
        self.conclude(AckStatus::Failed, Some(share), detail, book, until)
    }

    fn suffer(&mut self, trouble: &Trouble, book: &Book, now: Micros) {
        let later = now.saturating_add(book.terms().every);
        let why = || trouble.why().to_owned();
        match trouble {
            Trouble::Conflict => {
                self.conflicts = self.conflicts.saturating_add(1);
                let beyond = self.conflicts.saturating_sub(CONFLICTS_AT_ONCE);
                let until = if beyond == 0 { now } else { now.saturating_add(pause(beyond)) };
                if self.conflicts < CONFLICTS_BORNE {
                    self.stage = Stage::Rest(until);
                } else {
                    self.rest_and_say(AckStatus::Failed, None, why(), book, until);
                }
            }
            Trouble::Away(_) => {
                self.failures = self.failures.saturating_add(1);
                self.stage = Stage::Rest(now.saturating_add(pause(self.failures)));
            }
            Trouble::Refused(_) => self.rest_and_say(AckStatus::Failed, None, why(), book, later),
            Trouble::Unable(_) => self.rest_and_say(AckStatus::Rejected, None, why(), book, later),
        }
    }

    fn conclude(
        &mut self,
        status: AckStatus,
        observed_pct: Option<f64>,
        detail: String,
        book: &Book,
        until: Micros,
    ) -> Step {
        self.rest_and_say(status, observed_pct, detail, book, until);
        self.say.take().map_or(Step::Rest(until), Step::Say)
    }

    /// Rests, and says once what became of the decision.
    fn rest_and_say(
        &mut self,
        status: AckStatus,
        observed_pct: Option<f64>,
        detail: String,
        book: &Book,
        until: Micros,
    ) {
        self.stage = Stage::Rest(until);
        let Some(decision) = self.order.decision().map(ToOwned::to_owned) else { return };
        let is_new = match book.answer(&self.about, &decision) {
            Some(last) => last != status && status != AckStatus::Ignored,
            None => true,
        };
        self.say = is_new.then_some(Acknowledgement { decision, status, observed_pct, detail });
    }
}

/// The pause after so many failures in a row: one second, and twice as long each time.
fn pause(failures: u32) -> Micros {
    (SECOND << failures.saturating_sub(1).min(10)).min(PAUSE_MAX)
}
