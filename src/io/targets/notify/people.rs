//! What people are to be told, put together while they are not told.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::alertmanager::Alertmanager;
use super::incident::{Incident, Incidents, Turn};
use super::mail::Mail;
use super::pagerduty::PagerDuty;
use super::slack::Slack;
use super::words::IncidentText;
use super::{NotifyConfig, Way};
use crate::error::Result;
use crate::event::{Micros, SECOND};
use crate::targets::client::Client;
use crate::targets::watch::DeliveryCounts;
use crate::verdict::Decision;
use crate::verdict::decision::Severity;

/// Those who are not told again forget what stands: they are told about once a minute.
const AGAIN: Micros = 60 * SECOND;
const HOUR: Micros = 3_600 * SECOND;

/// A way to reach people.
pub(super) trait Channel {
    /// Sends a message.
    ///
    /// # Errors
    /// In words, when it was not taken.
    fn send(&mut self, words: &IncidentText<'_>, now: Micros) -> std::result::Result<(), String>;

    /// Whether the other side forgets what it is not told again.
    fn forgets(&self) -> bool {
        false
    }
}

/// People, and what they were not told yet.
pub(super) struct PeopleNotifier<'a> {
    config: &'a NotifyConfig,
    channel: Box<dyn Channel + 'a>,
    incidents: Incidents,
    /// By the incident's key.
    untold: BTreeMap<String, (Turn, Incident)>,
    /// When messages were sent within the last hour.
    sent: VecDeque<Micros>,
    reminded_at: Micros,
    tally: DeliveryCounts,
}

impl<'a> PeopleNotifier<'a> {
    /// They know already what was decided before.
    pub(super) fn open(
        config: &'a NotifyConfig,
        client: Client,
        timeout: Duration,
        past: Vec<Decision>,
    ) -> Result<Self> {
        let channel: Box<dyn Channel + 'a> = match &config.way {
            Way::Slack(slack) => Box::new(Slack { config: slack, client }),
            Way::PagerDuty(pagerduty) => Box::new(PagerDuty { config: pagerduty, client }),
            Way::Alertmanager(alertmanager) => Box::new(Alertmanager { config: alertmanager, client }),
            Way::Mail(mail) => Box::new(Mail::open(mail, config.ca.as_deref(), timeout)?),
            Way::Webhook(_) => unreachable!("a webhook is told of decisions"),
        };
        Ok(Self::over(config, channel, past))
    }

    fn over(config: &'a NotifyConfig, channel: Box<dyn Channel + 'a>, past: Vec<Decision>) -> Self {
        let mut incidents = Incidents::default();
        past.into_iter().for_each(|decision| drop(incidents.hear(decision, config.at)));
        Self {
            config,
            channel,
            incidents,
            untold: BTreeMap::new(),
            sent: VecDeque::new(),
            reminded_at: Micros::MIN,
            tally: DeliveryCounts::default(),
        }
    }

    /// Takes the next decision.
    pub(super) fn hear(&mut self, decision: Decision) {
        let Some((turn, incident)) = self.incidents.hear(decision, self.config.at) else { return };
        let key = incident.key.clone();
        let before = self.untold.remove(&key).map(|(turn, _)| turn);
        self.tally.merged += u64::from(before.is_some());
        let turn = match (before, turn) {
            // Nobody heard of it, and it is over.
            (Some(Turn::Opened), Turn::Resolved) if incident.severity < Severity::Error => return,
            (Some(Turn::Opened), Turn::Updated) => Turn::Opened,
            _ => turn,
        };
        self.untold.insert(key, (turn, incident));
    }

    /// Whether there is something that was not told.
    pub(super) fn waits(&self) -> bool {
        !self.untold.is_empty()
    }

    /// What became of messages since this was asked last.
    pub(super) fn tally(&mut self) -> DeliveryCounts {
        DeliveryCounts { waiting: self.untold.len(), ..std::mem::take(&mut self.tally) }
    }

    /// Tells what may be told now.
    ///
    /// # Errors
    /// In words, when a message was not taken: it is told with the next call.
    pub(super) fn tell(&mut self, now: Micros) -> std::result::Result<(), String> {
        if self.config.hours.as_ref().is_some_and(|hours| !hours.hold(now)) {
            return Ok(());
        }
        self.sent.retain(|at| *at > now - HOUR);
        for key in self.untold.keys().cloned().collect::<Vec<_>>() {
            let (turn, incident) = &self.untold[&key];
            if self.sent.len() >= self.config.per_hour && incident.severity < Severity::Fatal {
                continue;
            }
            let sent = self.channel.send(&IncidentText { turn: *turn, incident, config: self.config }, now);
            self.tally.count(&sent);
            sent?;
            self.untold.remove(&key);
            self.sent.push_back(now);
        }
        self.remind(now)
    }

    fn remind(&mut self, now: Micros) -> std::result::Result<(), String> {
        if !self.channel.forgets() || now < self.reminded_at.saturating_add(AGAIN) {
            return Ok(());
        }
        for incident in self.incidents.open() {
            let sent = self.channel.send(&IncidentText { turn: Turn::Updated, incident, config: self.config }, now);
            self.tally.count(&sent);
            sent?;
        }
        self.reminded_at = now;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};
    use std::rc::Rc;

    use super::*;
    use crate::config::Secret;
    use crate::output::summary::tests::decision;
    use crate::plan::{Authority, Signal};
    use crate::reason::ReasonCode;
    use crate::targets::notify::{Hours, SlackConfig};

    /// Keeps what it is told; takes nothing while it is away.
    #[derive(Clone, Default)]
    struct Board {
        told: Rc<RefCell<Vec<(Turn, String)>>>,
        away: Rc<Cell<bool>>,
    }

    impl Channel for Board {
        fn send(&mut self, words: &IncidentText<'_>, _: Micros) -> std::result::Result<(), String> {
            if self.away.get() {
                return Err("away".to_owned());
            }
            self.told.borrow_mut().push((words.turn, words.title()));
            Ok(())
        }
    }

    impl Board {
        fn take(&self) -> Vec<(Turn, String)> {
            self.told.take()
        }
    }

    fn config() -> NotifyConfig {
        NotifyConfig {
            way: Way::Slack(SlackConfig { url: Secret::Env("NONE".to_owned()) }),
            at: Severity::Warn,
            hours: None,
            per_hour: 20,
            dashboard: None,
            runbook: None,
            ca: None,
        }
    }

    fn of(candidate: &str, action: Signal) -> Decision {
        let severity = Severity::of(action);
        let id = format!("b3:{candidate}-{}", action.name());
        Decision { id, action, severity, cap_pct: None, candidate: candidate.to_owned(), ..decision() }
    }

    fn people<'a>(config: &'a NotifyConfig, board: &Board, past: Vec<Decision>) -> PeopleNotifier<'a> {
        PeopleNotifier::over(config, Box::new(board.clone()), past)
    }

    #[test]
    fn a_candidate_has_one_incident_until_its_restriction_is_lifted() {
        let (config, board) = (config(), Board::default());
        let mut people = people(&config, &board, Vec::new());
        let turns: Vec<Vec<Turn>> = [
            of("v2", Signal::Observe),
            of("v2", Signal::Warn),
            of("v2", Signal::Contain),
            // What is in force, once more.
            of("v2", Signal::Heartbeat),
            Decision { authority: Authority::Approval, ..of("v2", Signal::Resume) },
            // Somebody has rejected that.
            of("v2", Signal::Retract),
            of("v2", Signal::Rollback),
            Decision {
                reason: crate::verdict::decision::Reason {
                    code: ReasonCode::RolledBack.into(),
                    text: "gone".to_owned(),
                },
                ..of("v2", Signal::Heartbeat)
            },
            of("v2", Signal::Hold),
            of("v2", Signal::Resume),
        ]
        .into_iter()
        .map(|decision| {
            people.hear(decision);
            people.tell(0).unwrap();
            board.take().into_iter().map(|(turn, _)| turn).collect()
        })
        .collect();
        let (opened, updated, over) = (vec![Turn::Opened], vec![Turn::Updated], vec![Turn::Resolved]);
        let wanted = [
            vec![],
            opened.clone(),
            updated.clone(),
            vec![],
            updated.clone(),
            vec![],
            updated,
            over.clone(),
            opened,
            over,
        ];
        assert_eq!(turns, wanted);
    }

    #[test]
    fn what_comes_while_nobody_can_be_told_is_put_together() {
        let (config, board) = (config(), Board::default());
        let mut people = people(&config, &board, Vec::new());
        board.away.set(true);
        for decision in
            [of("v2", Signal::Warn), of("v2", Signal::Contain), of("v3", Signal::Warn), of("v3", Signal::Resume)]
        {
            people.hear(decision);
            assert!(people.tell(0).is_err() && people.waits());
        }
        let failed = DeliveryCounts { failed: 4, merged: 2, waiting: 1, delivered: 0 };
        assert_eq!(people.tally(), failed);
        board.away.set(false);
        people.tell(0).unwrap();
        assert_eq!(people.tally(), DeliveryCounts { delivered: 1, ..DeliveryCounts::default() });
        let told = board.take();
        assert_eq!(told, [(Turn::Opened, "v2 of flight-delay: contain (rollout flights)".to_owned())], "v3 is over");
        assert!(!people.waits());
    }

    #[test]
    fn messages_are_bounded_by_the_hour_but_those_of_rollbacks() {
        let config = NotifyConfig { per_hour: 2, ..config() };
        let board = Board::default();
        let mut people = people(&config, &board, Vec::new());
        for n in 0..5 {
            people.hear(of(&format!("v{n}"), Signal::Hold));
        }
        people.hear(of("v9", Signal::Rollback));
        people.tell(0).unwrap();
        assert_eq!(board.take().len(), 3);
        people.tell(HOUR - 1).unwrap();
        assert_eq!(board.take().len(), 0);
        people.tell(2 * HOUR).unwrap();
        assert_eq!((board.take().len(), people.waits()), (2, true));
    }

    #[test]
    fn what_stands_when_the_hours_begin_is_told_then() {
        let clock = crate::plan::WallClock::utc(0);
        let hours = Hours { days: [true; 7], from: 8 * HOUR, to: 18 * HOUR, clock };
        let config = NotifyConfig { hours: Some(hours), ..config() };
        let board = Board::default();
        let mut people = people(&config, &board, Vec::new());
        for decision in [of("v2", Signal::Hold), of("v3", Signal::Hold), of("v3", Signal::Resume)] {
            people.hear(decision);
        }
        people.tell(7 * HOUR).unwrap();
        assert_eq!((board.take().len(), people.waits()), (0, true));
        people.tell(8 * HOUR).unwrap();
        assert_eq!(board.take().len(), 1);
    }

    #[test]
    fn after_a_restart_an_incident_that_was_told_is_known() {
        let (config, board) = (config(), Board::default());
        let mut people = people(&config, &board, vec![of("v2", Signal::Contain)]);
        people.hear(of("v2", Signal::Resume));
        people.tell(0).unwrap();
        assert_eq!(board.take()[0].0, Turn::Resolved);
    }
}
