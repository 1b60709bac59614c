//! `haldane approve`, `hold`, `resume` and their like: what a person asks of a rollout, and what became of it.

use std::collections::hash_map::RandomState;
use std::fs::OpenOptions;
use std::hash::{BuildHasher as _, Hasher as _};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};

use super::print;
use crate::config::{self, KafkaConfig, Pipeline, span};
use crate::decode::time::from_text;
use crate::error::{Error, Result};
use crate::event::Micros;
use crate::kafka::ask::ask;
use crate::kafka::clock::wall_clock;
use crate::kafka::{Connection, states};
use crate::verdict::command::AckStatus;
use crate::verdict::{Command, CommandKind, CommandResult, Outcome};

/// Exit codes for scripts; 0 is accepted, pending, or carried out before.
const REJECTED: u8 = 4;
const CONFLICT: u8 = 5;
const EXPIRED: u8 = 6;
const NO_ANSWER: u8 = 7;

const EXIT_CODES: &str =
    "Exit codes: 0 carried out, or waiting for a second person; 2 mistake in the arguments; 3 no Kafka;
4 rejected; 5 the rollout has moved on; 6 expired; 7 no answer within --wait.";

/// What can be asked of a rollout.
#[derive(Debug, Subcommand)]
pub enum RolloutCommand {
    /// Let a decision be carried out that waits for approval.
    #[command(after_help = format!("Examples:
  haldane approve -c fraud.yaml --candidate v2 --reason 'looked at the errors, real'
  haldane approve -c fraud.yaml --candidate v2 --decision b3:7c12… --if-sequence 8 --reason ok\n\n{EXIT_CODES}"))]
    Approve(ApprovalArgs),
    /// Do not let a decision be carried out that waits for approval.
    #[command(after_help = format!("Examples:
  haldane reject -c fraud.yaml --candidate v2 --reason 'the test segment only'\n\n{EXIT_CODES}"))]
    Reject(ApprovalArgs),
    /// Do not raise exposure until somebody resumes.
    #[command(after_help = format!("Examples:
  haldane hold -c fraud.yaml --candidate v2 --reason 'black Friday' --ticket OPS-17
  haldane hold -c fraud.yaml --reason 'every candidate'\n\n{EXIT_CODES}"))]
    Hold(Common),
    /// Lift what is in force and let exposure rise.
    #[command(after_help = format!("Examples:
  haldane resume -c fraud.yaml --candidate v2 --cap 5 --reason 'fixed upstream'\n\n{EXIT_CODES}"))]
    Resume {
        /// How far, percent; default: the next step of the ladder.
        #[arg(long, value_name = "PERCENT")]
        cap: Option<f64>,
        /// What every request says.
        #[command(flatten)]
        common: Common,
    },
    /// All traffic back to the baseline version.
    #[command(after_help = format!("Examples:
  haldane force-rollback -c fraud.yaml --candidate v2 --reason 'wrong artefact' --expires 10m\n\n{EXIT_CODES}"))]
    ForceRollback(Common),
    /// All traffic to the candidate, whatever the evidence says.
    #[command(after_help = format!("Examples:
  haldane force-promote -c fraud.yaml --candidate v2 --reason 'security fix' --if-sequence 8\n\n{EXIT_CODES}"))]
    ForcePromote(Common),
    /// Carry out nothing, neither up nor down.
    #[command(after_help = format!("Examples:
  haldane freeze -c fraud.yaml --until 4h --reason 'migration'
  haldane freeze -c fraud.yaml --candidate v2 --until 2026-11-30T06:00:00Z --reason 'weekend'\n\n{EXIT_CODES}"))]
    Freeze {
        /// When it ends.
        #[command(flatten)]
        until: Until,
        /// What every request says.
        #[command(flatten)]
        common: Common,
    },
    /// End a freeze.
    #[command(after_help = format!("Examples:
  haldane unfreeze -c fraud.yaml --reason 'migration done'\n\n{EXIT_CODES}"))]
    Unfreeze(Common),
    /// Show the findings of one metric, but do not let them act.
    #[command(after_help = format!("Examples:
  haldane mute -c fraud.yaml --metric psi --column amount --until 1d --reason 'new currency'\n\n{EXIT_CODES}"))]
    Mute {
        /// Metric.
        #[arg(long, value_name = "NAME")]
        metric: String,
        /// Column; default: any.
        #[arg(long, value_name = "NAME")]
        column: Option<String>,
        /// Segment, such as `country=DE`; default: any, and all traffic together.
        #[arg(long, value_name = "FIELD=VALUE")]
        segment: Option<String>,
        /// When it ends.
        #[command(flatten)]
        until: Until,
        /// What every request says.
        #[command(flatten)]
        common: Common,
    },
    /// Watch a version that serves everybody for longer.
    #[command(after_help = format!("Examples:
  haldane extend-bake -c fraud.yaml --candidate v2 --until 7d --reason 'chargebacks come late'\n\n{EXIT_CODES}"))]
    ExtendBake {
        /// When it ends.
        #[command(flatten)]
        until: Until,
        /// What every request says.
        #[command(flatten)]
        common: Common,
    },
    /// Name another version to go back to.
    #[command(after_help = format!("Examples:
  haldane set-baseline -c fraud.yaml --candidate v3 --to-version v1 --reason 'v2 is gone'\n\n{EXIT_CODES}"))]
    SetBaseline {
        /// The version.
        #[arg(long, value_name = "NAME")]
        to_version: String,
        /// What every request says.
        #[command(flatten)]
        common: Common,
    },
    /// Let a version that was rolled back be tried again.
    #[command(after_help = format!("Examples:
  haldane clear-denial -c fraud.yaml --candidate v2 --reason 'rebuilt'\n\n{EXIT_CODES}"))]
    ClearDenial(Common),
    /// Say what became of a decision, as an actuator does.
    #[command(after_help = format!("Examples:
  haldane ack -c fraud.yaml --candidate v2 --decision b3:7c12… --status applied --observed-cap 0 --actor argo\n\n{EXIT_CODES}"))]
    Ack {
        /// The decision's id.
        #[arg(long, value_name = "ID")]
        decision: String,
        /// What became of it.
        #[arg(long, value_enum)]
        status: DecisionStatus,
        /// Share of traffic that the candidate has now, percent.
        #[arg(long, value_name = "PERCENT")]
        observed_cap: Option<f64>,
        /// What every request says.
        #[command(flatten)]
        common: Common,
    },
}

/// What became of a decision.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum DecisionStatus {
    /// It will be carried out.
    Accepted,
    /// It has been carried out.
    Applied,
    /// The actuator's own rules forbid it.
    Rejected,
    /// It is stale, superseded or known already.
    Ignored,
    /// It was tried and did not work.
    Failed,
}

/// An answer to a decision that waits.
#[derive(Debug, Args)]
pub struct ApprovalArgs {
    /// The decision's id; default: the one that waits.
    #[arg(long, value_name = "ID")]
    decision: Option<String>,
    #[command(flatten)]
    common: Common,
}

/// When something ends.
#[derive(Debug, Args)]
pub struct Until {
    /// When it ends: a span from now, such as 4h, or a time, such as 2026-11-30T06:00:00Z.
    #[arg(long = "until", value_name = "SPAN|TIME", value_parser = moment)]
    at: Micros,
}

/// What every request says.
#[derive(Debug, Args)]
pub struct Common {
    /// Pipeline file.
    #[arg(short, long, value_name = "FILE")]
    config: PathBuf,
    /// Version that is meant; hold, freeze, unfreeze and mute without it mean every one.
    #[arg(long, value_name = "VERSION")]
    candidate: Option<String>,
    /// Model, where a version is there for several.
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
    /// Rollout; default: the pipeline's.
    #[arg(long, value_name = "NAME")]
    rollout: Option<String>,
    /// Who asks; default: the user of this shell.
    #[arg(long, value_name = "NAME")]
    actor: Option<String>,
    /// Why.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Where it is written down.
    #[arg(long, value_name = "NAME")]
    ticket: Option<String>,
    /// Only if this is still the number of the last decision (as `haldane rollouts` shows it).
    #[arg(long, value_name = "N")]
    if_sequence: Option<u64>,
    /// Not any more after this: a span from now, or a time.
    #[arg(long, value_name = "SPAN|TIME", value_parser = moment)]
    expires: Option<Micros>,
    /// The command's own id: the same id is carried out once, however often it is sent. Default: a new one.
    #[arg(long, value_name = "ID")]
    id: Option<String>,
    /// How long to wait for an answer.
    #[arg(long, value_name = "SPAN", default_value = "30s", value_parser = span)]
    wait: Micros,
    /// Print what became of it as JSON.
    #[arg(long)]
    json: bool,
    /// Append the command to this file instead of sending it: `haldane replay` reads it.
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
}

/// Runs the command.
pub fn run(request: &RolloutCommand, out: &mut dyn Write) -> Result<()> {
    let common = request.common();
    let pipeline = config::load(&common.config)?;
    request.check()?;
    if let Some(path) = &common.to {
        let command = request.command(&pipeline, request.decision()?);
        return append(path, &command).and_then(|()| print(out, &format!("appended to {}\n", path.display())));
    }
    let connection = Connection::open(&cluster(&pipeline, &common.config)?)?;
    let decision = request.decision().or_else(|_| pending(&connection, common, &pipeline))?;
    let command = request.command(&pipeline, decision);
    let wait = Duration::from_micros(u64::try_from(common.wait).unwrap_or_default());
    let result = ask(&connection, &command, wait)?.ok_or_else(|| no_answer(&connection, wait))?;
    report(&result, common.json, out)
}

/// The pipeline's cluster.
pub(super) fn cluster(pipeline: &Pipeline, path: &Path) -> Result<KafkaConfig> {
    pipeline.kafka.clone().ok_or_else(|| {
        Error::user(format!("{} names no Kafka cluster", path.display()))
            .hint("add a `kafka:` section with `brokers: host:port`")
    })
}

impl RolloutCommand {
    fn common(&self) -> &Common {
        match self {
            Self::Approve(answer) | Self::Reject(answer) => &answer.common,
            Self::Hold(common)
            | Self::ForceRollback(common)
            | Self::ForcePromote(common)
            | Self::Unfreeze(common)
            | Self::ClearDenial(common)
            | Self::Resume { common, .. }
            | Self::Freeze { common, .. }
            | Self::Mute { common, .. }
            | Self::ExtendBake { common, .. }
            | Self::SetBaseline { common, .. }
            | Self::Ack { common, .. } => common,
        }
    }

    /// What a person must say, and a program need not.
    fn check(&self) -> Result<()> {
        let common = self.common();
        let wide = matches!(self, Self::Hold(_) | Self::Freeze { .. } | Self::Unfreeze(_) | Self::Mute { .. });
        if common.candidate.is_none() && !wide {
            return Err(Error::user("it does not say which version is meant").hint("add `--candidate VERSION`"));
        }
        if common.reason.is_none() && !matches!(self, Self::Ack { .. }) {
            return Err(Error::user("it does not say why").hint("add `--reason TEXT`: it stands in the decision"));
        }
        Ok(())
    }

    /// The decision that is answered; empty where none is.
    fn decision(&self) -> Result<String> {
        match self {
            Self::Approve(answer) | Self::Reject(answer) => answer
                .decision
                .clone()
                .ok_or_else(|| Error::user("it does not say which decision is meant").hint("add `--decision ID`")),
            Self::Ack { decision, .. } => Ok(decision.clone()),
            _ => Ok(String::new()),
        }
    }

    fn kind(&self, decision: String) -> CommandKind {
        match self {
            Self::Approve(_) => CommandKind::Approve { decision },
            Self::Reject(_) => CommandKind::Reject { decision },
            Self::Hold(_) => CommandKind::Hold,
            Self::Resume { cap, .. } => CommandKind::Resume { cap_pct: *cap },
            Self::ForceRollback(_) => CommandKind::ForceRollback,
            Self::ForcePromote(_) => CommandKind::ForcePromote,
            Self::Freeze { until, .. } => CommandKind::Freeze { until: until.at },
            Self::Unfreeze(_) => CommandKind::Unfreeze,
            Self::Mute { metric, column, segment, until, .. } => CommandKind::Mute {
                metric: metric.clone(),
                column: column.clone(),
                segment: segment.clone(),
                until: until.at,
            },
            Self::ExtendBake { until, .. } => CommandKind::ExtendBake { until: until.at },
            Self::SetBaseline { to_version, .. } => CommandKind::SetBaseline { version: to_version.clone() },
            Self::ClearDenial(_) => CommandKind::ClearDenial,
            Self::Ack { status, observed_cap, common, .. } => CommandKind::Ack {
                decision,
                status: status.told(),
                adapter: common.actor(),
                observed_cap_pct: *observed_cap,
                detail: common.reason.clone().unwrap_or_default(),
            },
        }
    }

    fn command(&self, pipeline: &Pipeline, decision: String) -> Command {
        let (common, at) = (self.common(), wall_clock());
        Command {
            id: common.id.clone().unwrap_or_else(|| new_id(at)),
            at,
            rollout: common.rollout.clone().unwrap_or_else(|| pipeline.plan.policy.rollout.clone()),
            model: common.model.clone().unwrap_or_default(),
            candidate: common.candidate.clone().unwrap_or_default(),
            kind: self.kind(decision),
            actor: common.actor(),
            reason: common.reason.clone().unwrap_or_default(),
            ticket: common.ticket.clone(),
            if_sequence: common.if_sequence,
            expires_at: common.expires,
        }
    }
}

impl Common {
    fn actor(&self) -> String {
        let user = || std::env::var("USER").unwrap_or_else(|_| "unknown".to_owned());
        self.actor.clone().unwrap_or_else(user)
    }
}

impl DecisionStatus {
    fn told(self) -> AckStatus {
        match self {
            Self::Accepted => AckStatus::Accepted,
            Self::Applied => AckStatus::Applied,
            Self::Rejected => AckStatus::Rejected,
            Self::Ignored => AckStatus::Ignored,
            Self::Failed => AckStatus::Failed,
        }
    }
}

/// A span from now, or a time.
fn moment(text: &str) -> std::result::Result<Micros, String> {
    let in_a_span = span(text).ok().map(|span| wall_clock().saturating_add(span));
    in_a_span.or_else(|| from_text(text.as_bytes())).ok_or_else(|| {
        format!("`{text}` is neither a span, such as 30m or 4h, nor a time, such as 2026-11-30T06:00:00Z")
    })
}

/// Unlike any other: the time, and 64 random bits of the system's.
fn new_id(at: Micros) -> String {
    format!("cmd-{at}-{:016x}", RandomState::new().build_hasher().finish())
}

/// The decision of the candidate that waits for approval, as the state topic says.
fn pending(connection: &Connection, common: &Common, pipeline: &Pipeline) -> Result<String> {
    let rollout = common.rollout.as_ref().unwrap_or(&pipeline.plan.policy.rollout);
    let is = |asked: &Option<String>, name: &String| asked.as_ref().is_none_or(|asked| asked == name);
    let mut waiting: Vec<String> = states::read(connection, rollout)?
        .into_iter()
        .filter(|state| is(&common.candidate, &state.candidate) && is(&common.model, &state.model))
        .filter_map(|state| state.pending.map(|pending| pending.decision))
        .collect();
    match (waiting.pop(), waiting.is_empty()) {
        (Some(decision), true) => Ok(decision),
        (None, _) => Err(Error::user("no decision of this candidate waits for approval")
            .hint("`haldane rollouts` shows where every candidate stands")),
        (Some(_), false) => Err(Error::user("several models have this candidate").hint("add `--model NAME`")),
    }
}

fn append(path: &Path, command: &Command) -> Result<()> {
    let failed = |error| Error::user(format!("cannot write {}", path.display())).because(error).hint("check --to");
    let line = serde_json::to_string(command)
        .map_err(|error| Error::internal("cannot write the command as JSON").because(error))?;
    let mut file = OpenOptions::new().create(true).append(true).open(path).map_err(failed)?;
    file.write_all(format!("{line}\n").as_bytes()).map_err(failed)
}

fn no_answer(connection: &Connection, wait: Duration) -> Error {
    let topic = &connection.settings().topics.commands;
    Error::external(format!("no answer within {} s", wait.as_secs_f64()))
        .hint(format!(
            "the command is on topic `{topic}` and is carried out when a service reads it; `--expires` bounds that"
        ))
        .exits(NO_ANSWER)
}

/// Tells what became of it.
fn report(result: &CommandResult, as_json: bool, out: &mut dyn Write) -> Result<()> {
    if as_json {
        let text = serde_json::to_string(result)
            .map_err(|error| Error::internal("cannot write the result as JSON").because(error))?;
        print(out, &(text + "\n"))?;
    }
    let Some(code) = exit_code(result.outcome) else {
        return if as_json { Ok(()) } else { print(out, &sentence(result)) };
    };
    Err(Error::user(sentence(result).trim_end())
        .hint("`haldane rollouts` shows where every candidate stands")
        .exits(code))
}

fn exit_code(outcome: Outcome) -> Option<u8> {
    match outcome {
        Outcome::Accepted | Outcome::Pending | Outcome::Duplicate => None,
        Outcome::Rejected => Some(REJECTED),
        Outcome::Conflict => Some(CONFLICT),
        Outcome::Expired => Some(EXPIRED),
    }
}

fn sentence(result: &CommandResult) -> String {
    let CommandResult { command, outcome, text, sequence, state, .. } = result;
    let about = if command.candidate.is_empty() { &command.rollout } else { &command.candidate };
    let stands = state.map_or_else(String::new, |state| format!(" ({}, decision {sequence})", state.name()));
    format!("{} of {about} {}: {text}{stands}\n", command.kind.name().replace('_', "-"), outcome.name())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::verdict::State;

    /// A command line, without the program's name and the pipeline file.
    fn request(words: &str) -> RolloutCommand {
        #[derive(clap::Parser)]
        struct Line {
            #[command(subcommand)]
            request: RolloutCommand,
        }
        let words = ["haldane"].into_iter().chain(words.split(' ')).chain(["-c", "p.yaml"]);
        clap::Parser::try_parse_from(words).map_or_else(|error| panic!("{error}"), |Line { request }| request)
    }

    fn pipeline() -> Pipeline {
        let text = "sources: { predictions: { topic: p, id: id, version: v, event_time: t, score: s } }\n\
                    rollout: { baseline: v1, name: r }\n";
        config::parse(text, "p.yaml", Path::new("")).expect("a pipeline")
    }

    fn refused<T>(told: Result<T>) -> Option<(String, String)> {
        told.err().map(|error| (error.to_string(), error.advice().unwrap_or_default().to_owned()))
    }

    #[test]
    fn a_moment_is_a_span_from_now_or_a_time() {
        let before = wall_clock();
        let in_an_hour = moment("1h").expect("a span");
        assert!((before + 3_600_000_000..=wall_clock() + 3_600_000_000).contains(&in_an_hour));
        assert_eq!(moment("1970-01-01T00:00:01Z"), Ok(1_000_000));
        assert!(moment("tomorrow").expect_err("no time").contains("neither a span"));
    }

    #[test]
    fn ids_differ() {
        assert_ne!(new_id(7), new_id(7));
    }

    #[test]
    fn what_asks_for_one_version_names_it_and_people_say_why() {
        let why = " --reason ok";
        let narrow = ["approve", "reject", "resume", "force-rollback", "force-promote", "clear-denial"];
        for kind in narrow.into_iter().chain(["extend-bake --until 1d", "set-baseline --to-version v1"]) {
            let (error, hint) = refused(request(&format!("{kind}{why}")).check()).expect(kind);
            assert_eq!(
                (error.as_str(), hint.as_str()),
                ("it does not say which version is meant", "add `--candidate VERSION`")
            );
            assert_eq!(refused(request(&format!("{kind} --candidate v2{why}")).check()), None, "{kind}");
            let (error, _) = refused(request(&format!("{kind} --candidate v2")).check()).expect(kind);
            assert_eq!(error, "it does not say why", "{kind}");
        }
        for wide in ["hold", "freeze --until 1h", "unfreeze", "mute --metric psi --until 1h"] {
            assert_eq!(refused(request(&format!("{wide}{why}")).check()), None, "{wide}");
            assert!(refused(request(wide).check()).is_some(), "{wide}");
        }
        let ack = "ack --decision b3:1 --status applied";
        assert_eq!(refused(request(&format!("{ack} --candidate v2")).check()), None, "a program says what it did");
        assert!(refused(request(ack).check()).is_some());
    }

    #[test]
    fn an_answer_is_to_a_decision() {
        let decision = |words: &str| request(words).decision();
        assert_eq!(decision("approve --decision b3:1").expect("one"), "b3:1");
        assert_eq!(decision("ack --decision b3:2 --status failed").expect("one"), "b3:2");
        assert_eq!(decision("hold").expect("none"), "");
        for kind in ["approve", "reject"] {
            let (error, hint) = refused(decision(kind)).expect(kind);
            assert_eq!(
                (error.as_str(), hint.as_str()),
                ("it does not say which decision is meant", "add `--decision ID`")
            );
        }
    }

    #[test]
    fn every_command_asks_for_what_it_is_called() {
        let until = "--until 1970-01-01T00:00:01Z";
        let cases = [
            ("approve --decision b3:1".to_owned(), "approve", json!({ "decision": "b3:1" })),
            ("reject --decision b3:1".to_owned(), "reject", json!({ "decision": "b3:1" })),
            ("hold".to_owned(), "hold", json!({})),
            ("resume --cap 5".to_owned(), "resume", json!({ "cap_pct": 5.0 })),
            ("force-rollback".to_owned(), "force_rollback", json!({})),
            ("force-promote".to_owned(), "force_promote", json!({})),
            (format!("freeze {until}"), "freeze", json!({ "until": 1_000_000 })),
            ("unfreeze".to_owned(), "unfreeze", json!({})),
            (format!("extend-bake {until}"), "extend_bake", json!({ "until": 1_000_000 })),
            ("set-baseline --to-version v0".to_owned(), "set_baseline", json!({ "version": "v0" })),
            ("clear-denial".to_owned(), "clear_denial", json!({})),
            (
                format!("mute --metric psi --column a --segment c=DE {until}"),
                "mute",
                json!({ "metric": "psi", "column": "a", "segment": "c=DE", "until": 1_000_000 }),
            ),
            (
                "ack --decision b3:2 --status applied --observed-cap 0 --actor argo --reason set".to_owned(),
                "ack",
                json!({ "decision": "b3:2", "status": "applied", "adapter": "argo", "observed_cap_pct": 0.0, "detail": "set" }),
            ),
        ];
        for (words, name, expected) in cases {
            let request = request(&words);
            let kind = request.kind(request.decision().expect("a decision, or none"));
            assert_eq!(kind.name(), name, "{words}");
            let said = serde_json::to_value(&kind).expect("JSON");
            let expected = if expected == json!({}) { json!(name) } else { json!({ name: expected }) };
            assert_eq!(said, expected, "{words}");
        }
        let whole = request("resume").kind(String::new());
        assert_eq!(whole, CommandKind::Resume { cap_pct: None }, "the next step of the ladder");
    }

    #[test]
    fn what_every_request_says_stands_in_its_command() {
        let before = wall_clock();
        let words = "hold --candidate v2 --model m --rollout q --actor ada --reason why --ticket OPS-1 --if-sequence 8 \
                     --expires 1970-01-01T00:00:02Z --id mine";
        let command = request(words).command(&pipeline(), String::new());
        assert!((before..=wall_clock()).contains(&command.at));
        let names =
            [&command.id, &command.rollout, &command.model, &command.candidate, &command.actor, &command.reason];
        assert_eq!(names, ["mine", "q", "m", "v2", "ada", "why"]);
        assert_eq!((command.ticket.as_deref(), command.if_sequence), (Some("OPS-1"), Some(8)));
        assert_eq!(command.expires_at, Some(2_000_000));
        let bare = request("hold --actor ada").command(&pipeline(), String::new());
        assert_eq!((bare.rollout.as_str(), bare.model.as_str(), bare.candidate.as_str()), ("r", "", ""));
        assert!(bare.id.starts_with("cmd-") && bare.expires_at.is_none());
    }

    #[test]
    fn commands_are_appended_a_line_each() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("commands.jsonl");
        let command = |id: &str| request(&format!("hold --id {id} --reason x")).command(&pipeline(), String::new());
        let both = [command("a"), command("b")];
        both.iter().for_each(|command| append(&path, command).expect("written"));
        let text = std::fs::read_to_string(&path).expect("a file");
        let read: Vec<Command> = text.lines().map(|line| serde_json::from_str(line).expect("a command")).collect();
        assert_eq!(read, both);
        let nowhere = dir.path().join("none/commands.jsonl");
        let (error, hint) = refused(append(&nowhere, &both[0])).expect("no such folder");
        assert!(error.starts_with(&format!("cannot write {}: ", nowhere.display())) && hint == "check --to", "{error}");
    }

    #[test]
    fn what_became_of_a_command_is_a_sentence_and_an_exit_code() {
        let of = |outcome, state, candidate: &str| {
            let mut command = request("force-rollback --reason x").command(&pipeline(), String::new());
            candidate.clone_into(&mut command.candidate);
            let (text, decisions) = ("done".to_owned(), Vec::new());
            CommandResult { command, outcome, text, sequence: 4, state, decisions, applied_after: None }
        };
        let told = |result: &CommandResult, as_json| {
            let mut out = Vec::new();
            let code = report(result, as_json, &mut out).err().map(|error| (error.exit_code(), error.to_string()));
            (String::from_utf8(out).expect("a text"), code)
        };
        let good = "force-rollback of v2 accepted: done (HELD, decision 4)\n";
        assert_eq!(told(&of(Outcome::Accepted, Some(State::Held), "v2"), false), (good.to_owned(), None));
        let (text, code) = told(&of(Outcome::Accepted, None, ""), true);
        assert_eq!((serde_json::from_str::<CommandResult>(&text).expect("JSON").sequence, code), (4, None));
        for (outcome, expected) in [(Outcome::Rejected, 4), (Outcome::Conflict, 5), (Outcome::Expired, 6)] {
            let (text, code) = told(&of(outcome, None, ""), false);
            let sentence = format!("force-rollback of r {}: done", outcome.name());
            assert_eq!((text.as_str(), code), ("", Some((expected, sentence))));
        }
        assert_eq!([Outcome::Pending, Outcome::Duplicate].map(exit_code), [None, None]);
    }

    #[test]
    fn a_pipeline_without_a_cluster_takes_no_command() {
        let (error, hint) = refused(cluster(&pipeline(), Path::new("p.yaml"))).expect("no cluster");
        assert_eq!(error, "p.yaml names no Kafka cluster");
        assert_eq!(hint, "add a `kafka:` section with `brokers: host:port`");
    }
}
