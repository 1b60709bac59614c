//! The commands topic: what people ask for and actuators acknowledge, on its way to the judge.
//!
//! Events in binary mode and plain JSON are both read; a command's time is its record's. Records are let go of
//! (committed, under a group of their own) once everything that they gave rise to is acknowledged. A crash before that
//! repeats them: the rollout's state knows the ids that were carried out, and the control topic those that were
//! refused.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::checkpoint::{self, StartPosition, Stream};
use super::cloud_event::{ACK, COMMAND, RESULT, attribute, body_of};
use super::dead_letter;
use super::ports::{Cluster, Consumer, Incoming, Wait};
use super::reader::DeadLetters;
use super::states::SAID_LAST;
use super::topics::Own;
use crate::error::{Fault, Result};
use crate::event::{Micros, Poison, Reject, TEXT_BYTES_MAX};
use crate::format::Version;
use crate::plan::Plan;
use crate::scan::{Checkpoint, CheckpointMeta, Pace, StreamCheckpoint};
use crate::time::Clock;
use crate::verdict::command::AckStatus;
use crate::verdict::{Command, CommandKind, CommandResult, RolloutState};

/// How often the topic is looked at: a person who waits does not notice, and events do not either.
pub const EVERY: Duration = Duration::from_millis(50);

/// Commands that are carried out before the next look at events.
const AT_ONCE: Wait = Wait { records_max: 64, first: Duration::ZERO, more: Duration::ZERO };

/// The longest command.
const COMMAND_BYTES_MAX: usize = 65_536;

/// The commands that are meant for one rollout, in the order of their log.
pub struct Commands {
    consumer: Box<dyn Consumer>,
    streams: Vec<Stream>,
    dead_letters: DeadLetters,
    rollout: String,
    /// Of the plan, for the commit.
    digest: String,
    /// By partition: the next offset, where it is not committed yet.
    next: BTreeMap<u32, i64>,
    /// What was there at the start.
    first: Vec<Command>,
}

impl Commands {
    /// Goes on where the group's last commit ends, else at the beginning of the topic, which is made where it is
    /// missing. `states` are those that the work goes on from.
    pub fn open(
        cluster: &dyn Cluster,
        dead_letters: DeadLetters,
        plan: &Plan,
        states: &[RolloutState],
    ) -> Result<Self> {
        let topic = cluster.settings().topics.commands.clone();
        cluster.create(&[&topic, &dead_letters.topic].map(|name| Own::of(name)))?;
        let group = format!("{}.commands", cluster.settings().group);
        let consumer = cluster.consumer(&group, "commands")?;
        let count = consumer.partitions(&topic)?.unwrap_or(1);
        let streams: Vec<Stream> =
            (0..count).map(|lane| Stream { source: 0, lane, topic: topic.clone(), kind: None }).collect();
        let origins = checkpoint::origins(consumer.as_ref(), &streams, cluster.settings().on_gap)?;
        let (rollout, digest) = (plan.policy.rollout.clone(), plan.digest.chars().take(16).collect());
        let (next, first) = (BTreeMap::new(), Vec::new());
        let mut commands = Self { consumer, streams, dead_letters, rollout, digest, next, first };
        commands.catch_up(cluster, &origins, states)?;
        let from = |origin: &StartPosition| commands.next.get(&origin.stream.lane).copied().unwrap_or(origin.offset);
        let starts: Vec<_> = origins.iter().map(|origin| (origin.stream.clone(), from(origin))).collect();
        commands.consumer.assign(&starts)?;
        Ok(commands)
    }

    /// Takes what nobody has let go of yet, but for commands that no candidate knows and that were refused.
    fn catch_up(&mut self, cluster: &dyn Cluster, origins: &[StartPosition], states: &[RolloutState]) -> Result<()> {
        let mut left = self.left(cluster, origins)?;
        if left.is_empty() {
            return Ok(());
        }
        let mut refused = BTreeSet::new();
        cluster.read_last(&cluster.settings().topics.control, SAID_LAST, &mut |record| {
            if let Some(Ok(result)) = body_of::<CommandResult>(record, RESULT)
                && result.applied_after.is_none()
            {
                refused.insert(result.command.id);
            }
        })?;
        let is_known = |id: &str| states.iter().any(|state| state.knows(id));
        left.retain(|command| is_known(&command.id) || !refused.contains(&command.id));
        self.first = left;
        Ok(())
    }

    /// The commands that nobody has let go of yet.
    fn left(&mut self, cluster: &dyn Cluster, origins: &[StartPosition]) -> Result<Vec<Command>> {
        if origins.iter().all(|origin| origin.offset >= origin.end) {
            return Ok(Vec::new());
        }
        let begins = |lane: u32| origins.iter().find(|one| one.stream.lane == lane).map_or(0, |one| one.offset);
        let (mut left, mut next) = (Ok(Vec::new()), BTreeMap::new());
        cluster.read_whole(&cluster.settings().topics.commands, &mut |record| {
            if let Ok(taken) = &mut left
                && record.offset() >= begins(lane(record))
            {
                next.insert(lane(record), record.offset() + 1);
                match self.command_of(record) {
                    Ok(command) => taken.extend(command),
                    Err(error) => left = Err(error),
                }
            }
        })?;
        self.next = next;
        left
    }

    /// Takes what is there, without waiting. What cannot be read goes to the dead letters.
    pub fn take(&mut self) -> Result<Vec<Command>> {
        let mut taken = std::mem::take(&mut self.first);
        let (mut next, mut waiting) = (std::mem::take(&mut self.next), Vec::new());
        let done = self.consumer.read(AT_ONCE, &mut |records| {
            for record in records {
                next.insert(lane(*record), record.offset() + 1);
                waiting.extend(self.command_of(*record)?);
            }
            Ok(())
        });
        self.next = next;
        taken.extend(waiting);
        done.map(|()| taken)
    }

    /// The command in a record, if it is one for this rollout. What cannot be read goes to the dead letters.
    fn command_of(&self, record: &dyn Incoming) -> Result<Option<Command>> {
        let (reason, detail) = match read(record, &self.rollout) {
            Ok(command) => return Ok(command),
            Err(flaw) => flaw,
        };
        tracing::warn!(offset = record.offset(), %reason, detail, "not a command");
        let reject = Reject { offset: record.offset(), row: 0, reason, detail };
        dead_letter::send(self.dead_letters.producer.as_ref(), &self.dead_letters.topic, record, &reject)?;
        Ok(None)
    }

    /// Whether anything was taken since the last commit, and all of it carried out.
    #[must_use]
    pub fn any_uncommitted(&self) -> bool {
        !self.next.is_empty() && self.first.is_empty()
    }

    /// Lets go of what was taken. A commit that fails for now is made good by the next one.
    pub fn commit(&mut self) -> Result<()> {
        let checkpoint = |(&lane, &low_water): (&u32, &i64)| {
            let (plan, clock) = (self.digest.clone(), Clock::default());
            let meta = CheckpointMeta {
                format: Version,
                plan,
                clock,
                needed_from: 0,
                emit_from: 0,
                tally: None,
                pace: Pace::default(),
                lost: None,
            };
            Checkpoint { lane, streams: vec![StreamCheckpoint { source: 0, low_water, meta }] }
        };
        let checkpoints: Vec<Checkpoint> = self.next.iter().map(checkpoint).collect();
        match checkpoint::commit(self.consumer.as_ref(), &self.streams, &checkpoints) {
            Ok(()) => self.next.clear(),
            Err(error) if error.fault() == Fault::External => tracing::warn!(%error, "not committed for now"),
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

fn lane(record: &dyn Incoming) -> u32 {
    u32::try_from(record.partition()).unwrap_or_default()
}

/// Why a record is no command.
type CommandFlaw = (Poison, String);

/// Reads a record; `None` when it is meant for another rollout.
fn read(message: &dyn Incoming, rollout: &str) -> std::result::Result<Option<Command>, CommandFlaw> {
    let key = message.key().unwrap_or_default();
    if !key.is_empty() && key != rollout.as_bytes() {
        return Ok(None);
    }
    let letter = CommandRecord {
        kind: attribute(message, "type"),
        id: attribute(message, "id")
            .unwrap_or_else(|| format!("{}/{}/{}", message.topic(), message.partition(), message.offset())),
        subject: attribute(message, "subject").unwrap_or_default(),
        rollout: String::from_utf8_lossy(key).into_owned(),
        at: message.time().unwrap_or_default(),
        body: message.payload().unwrap_or_default(),
    };
    letter.open().map(|command| Some(command).filter(|command| command.rollout == rollout))
}

/// A record of the topic.
struct CommandRecord<'a> {
    kind: Option<String>,
    id: String,
    subject: String,
    rollout: String,
    at: Micros,
    body: &'a [u8],
}

impl CommandRecord<'_> {
    fn open(&self) -> std::result::Result<Command, CommandFlaw> {
        if self.body.is_empty() {
            return Err((Poison::Empty, "a command has a body".to_owned()));
        }
        if self.body.len() > COMMAND_BYTES_MAX {
            return Err((Poison::TooLong, format!("{} bytes, at most {COMMAND_BYTES_MAX}", self.body.len())));
        }
        let body: Map<String, Value> = serde_json::from_slice(self.body).map_err(|error| flaw(&error))?;
        let command = match self.kind.as_deref() {
            Some(ACK) => self.acknowledge(body),
            None if body.contains_key("decision_id") => self.acknowledge(body),
            None | Some(COMMAND) => self.command(body),
            Some(other) => Err((Poison::Malformed, format!("`{other}` is neither {COMMAND} nor {ACK}"))),
        }?;
        check_names(&command).map(|()| command)
    }

    /// What the body leaves out is said by the record.
    fn command(&self, mut body: Map<String, Value>) -> std::result::Result<Command, CommandFlaw> {
        body.insert("at".to_owned(), self.at.into());
        body.entry("id").or_insert_with(|| self.id.clone().into());
        body.entry("rollout").or_insert_with(|| self.rollout.clone().into());
        serde_json::from_value(body.into()).map_err(|error| flaw(&error))
    }

    fn acknowledge(&self, body: Map<String, Value>) -> std::result::Result<Command, CommandFlaw> {
        let ack: Ack = serde_json::from_value(body.into()).map_err(|error| flaw(&error))?;
        let (model, candidate) = self.subject.rsplit_once('/').unwrap_or_default();
        let or = |said: Option<String>, else_this: &str| said.unwrap_or_else(|| else_this.to_owned());
        Ok(Command {
            id: self.id.clone(),
            at: self.at,
            rollout: or(ack.rollout, &self.rollout),
            model: or(ack.model, model),
            candidate: or(ack.candidate, candidate),
            actor: ack.adapter.clone(),
            reason: String::new(),
            ticket: None,
            if_sequence: None,
            expires_at: None,
            kind: CommandKind::Ack {
                decision: ack.decision_id,
                status: ack.status,
                adapter: ack.adapter,
                observed_cap_pct: ack.observed_cap_pct,
                detail: ack.detail,
            },
        })
    }
}

/// An acknowledgement as actuators write it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ack {
    /// The decision.
    pub decision_id: String,
    /// What became of it.
    pub status: AckStatus,
    /// Who says so.
    pub adapter: String,
    /// Share of traffic that the candidate has now, percent, as the actuator sees it.
    pub observed_cap_pct: Option<f64>,
    /// In words.
    #[serde(default)]
    pub detail: String,
    /// Rollout; without it that of the record's key.
    pub rollout: Option<String>,
    /// Model; without it that of the decision.
    pub model: Option<String>,
    /// Candidate; without it that of the decision.
    pub candidate: Option<String>,
}

fn flaw(error: &serde_json::Error) -> CommandFlaw {
    let text = error.to_string();
    let reason = match error.classify() {
        serde_json::error::Category::Data if text.starts_with("missing field") => Poison::MissingField,
        serde_json::error::Category::Data => Poison::WrongType,
        _ => Poison::Malformed,
    };
    (reason, text)
}

/// Names are kept in the rollout's state, which must stay small.
fn check_names(command: &Command) -> std::result::Result<(), CommandFlaw> {
    let names = [
        ("id", &command.id),
        ("rollout", &command.rollout),
        ("model", &command.model),
        ("candidate", &command.candidate),
        ("actor", &command.actor),
    ];
    match names.into_iter().find(|(_, text)| text.len() > TEXT_BYTES_MAX) {
        Some((name, text)) => Err((Poison::TooLong, format!("`{name}` has {} bytes", text.len()))),
        None if command.id.is_empty() => Err((Poison::MissingField, "`id` is empty".to_owned())),
        None => Ok(()),
    }
}

/// Completes an acknowledgement that names nothing but a decision with the candidate that it was about.
#[must_use]
pub fn addressed(command: Command, states: impl FnOnce() -> Vec<RolloutState>) -> Command {
    let CommandKind::Ack { decision, .. } = &command.kind else { return command };
    if !command.candidate.is_empty() {
        return command;
    }
    let about = |state: &RolloutState| {
        let watched = state.effect.as_ref().map(|effect| &effect.decision);
        let pending = state.pending.as_ref().map(|pending| &pending.decision);
        state.in_force.contains(decision) || watched == Some(decision) || pending == Some(decision)
    };
    match states().into_iter().find(about) {
        Some(state) => Command { model: state.model, candidate: state.candidate, ..command },
        None => command,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn letter<'a>(kind: Option<&str>, body: &'a [u8]) -> CommandRecord<'a> {
        CommandRecord {
            kind: kind.map(ToOwned::to_owned),
            id: "t/0/7".to_owned(),
            subject: "org/fraud/v2".to_owned(),
            rollout: "fraud".to_owned(),
            at: 9_000,
            body,
        }
    }

    #[test]
    fn a_command_takes_its_time_from_the_record_and_what_it_leaves_out_too() {
        let body = json!({ "at": 1, "candidate": "v2", "actor": "ana", "kind": "hold" }).to_string();
        for kind in [None, Some(COMMAND)] {
            let command = letter(kind, body.as_bytes()).open().unwrap();
            assert_eq!((command.at, command.id.as_str(), command.rollout.as_str()), (9_000, "t/0/7", "fraud"));
            assert_eq!(command.kind, CommandKind::Hold);
        }
    }

    #[test]
    fn an_acknowledgement_is_known_by_its_type_or_by_its_decision() {
        let body =
            json!({ "decision_id": "b3:1", "status": "applied", "adapter": "argo", "observed_cap_pct": 5, "detail": "" })
                .to_string();
        for kind in [None, Some(ACK)] {
            let command = letter(kind, body.as_bytes()).open().unwrap();
            let about = (command.model.as_str(), command.candidate.as_str(), command.actor.as_str());
            assert_eq!(about, ("org/fraud", "v2", "argo"));
            let CommandKind::Ack { decision, status, observed_cap_pct, .. } = command.kind else { panic!("no ack") };
            assert_eq!((decision.as_str(), status, observed_cap_pct), ("b3:1", AckStatus::Applied, Some(5.0)));
        }
    }

    #[test]
    fn what_is_no_command_says_why() {
        let long = "x".repeat(TEXT_BYTES_MAX + 1);
        let cases = [
            (None, String::new(), Poison::Empty),
            (None, "{".to_owned(), Poison::Malformed),
            (Some("io.other.v1"), "{}".to_owned(), Poison::Malformed),
            (None, json!({ "kind": "hold" }).to_string(), Poison::MissingField),
            (None, json!({ "kind": "dance", "actor": "ana" }).to_string(), Poison::WrongType),
            (None, json!({ "kind": "hold", "actor": "ana", "candidat": "v2" }).to_string(), Poison::WrongType),
            (None, json!({ "kind": "hold", "actor": long }).to_string(), Poison::TooLong),
            (None, json!({ "kind": "hold", "actor": "ana", "id": "" }).to_string(), Poison::MissingField),
            (Some(ACK), json!({ "decision_id": "b3:1", "status": "applied" }).to_string(), Poison::MissingField),
        ];
        for (kind, body, reason) in cases {
            let (found, detail) = letter(kind, body.as_bytes()).open().unwrap_err();
            assert_eq!(found, reason, "{body}: {detail}");
            assert!(!detail.is_empty());
        }
    }
}
