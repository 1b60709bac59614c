//! `haldane gate`: whether a candidate may have more traffic, as an exit code for CI and for jobs of a rollout
//! controller.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::print;
use crate::config::{self, KafkaConfig};
use crate::error::{Error, Fault, Result};
use crate::event::{Micros, SECOND};
use crate::kafka::clock::wall_clock;
use crate::kafka::{Connection, states};
use crate::plan::Plan;
use crate::verdict::liveness::FORMAT;
use crate::verdict::{Freshness, Liveness, Permission, RolloutState, Word, permission};

/// Ask whether a candidate may have more traffic: 0 yes, 1 no, 3 no verdict in time.
#[derive(Debug, Args)]
#[command(after_help = "The answer is that of GET /v1/verdict and of the dashboard, and the exit code says its word:
  0   PASS: it may have more traffic (--step: at least that share)
  1   FAIL: a rollback stands, or a containment below --step, and may be carried out
  2   the command line or the pipeline file is wrong
  3   WAIT or BLIND: no verdict in time, or the state topic cannot be read; --undecided chooses another code
  70  haldane itself failed

It passes only while whoever judges was heard of in the last minute (for a lease of less, in that time), reads near the ends of
its logs, and has judged a window that ended within `permit_windows` and the lateness. What waits for approval, is frozen, is
advice only or lacks data is no pass.

As a Job before a step: a rollout controller takes a failed Job for a failed candidate, and an outage must not undo a healthy
release. So let it wait for as long as the Job may run (`--undecided wait`, which tries again when Kafka is away), and let the
controller end the wait: activeDeadlineSeconds on its side as long as a person may take, backoffLimit: 0.
The Job then fails only when the candidate has failed or its own deadline is over.

Examples:
  haldane gate -c pipelines/flights.yaml --candidate v2 --wait 30m
  haldane gate -c pipelines/flights.yaml --candidate v2 --step 25% --undecided wait
  haldane gate -c pipelines/flights.yaml --candidate v2 --states states.jsonl --at 1769904000000000")]
pub struct GateArgs {
    /// Pipeline file, which names the cluster, the state topic and the rollout, and says who may act.
    #[arg(short, long, value_name = "FILE")]
    pub config: PathBuf,
    /// The version that is to pass.
    #[arg(long, value_name = "VERSION")]
    pub candidate: String,
    /// The model whose version it is, where the rollout is of several. Default: it must pass for all of them.
    #[arg(long, value_name = "NAME")]
    pub model: Option<String>,
    /// The rollout. Default: that of the pipeline.
    #[arg(long, value_name = "NAME")]
    pub rollout: Option<String>,
    /// The share of traffic that it must be allowed to get. Default: any step up.
    #[arg(long, value_name = "SHARE", value_parser = config::share)]
    pub step: Option<f64>,
    /// How long to wait for a verdict, such as 30m. Default: not at all.
    #[arg(long, value_name = "DURATION", value_parser = config::span, default_value = "0s")]
    pub wait: Micros,
    /// What it means when there is no verdict in time. Default: exit code 3.
    #[arg(long, value_enum, value_name = "WORD")]
    pub undecided: Option<Undecided>,
    /// Read states once from this file in place of the state topic: one JSON object per line, or the array that
    /// `haldane rollouts --json` prints. Without a sign of life in it (a record under the key `@alive/ROLLOUT`),
    /// whoever judges is taken to be at work, and only the age of windows is looked at.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["wait", "undecided"])]
    pub states: Option<PathBuf>,
    /// Ask as if it were this time, in microseconds since 1970. Default: now.
    #[arg(long, value_name = "MICROS", requires = "states")]
    pub at: Option<Micros>,
}

/// What no verdict means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Undecided {
    /// Go on waiting, whatever --wait says, and whether or not Kafka can be reached.
    Wait,
    /// Exit code 0.
    Pass,
    /// Exit code 1.
    Fail,
}

/// How long one reading of the state topic may last where nothing ends the wait.
const LONG: Duration = Duration::from_hours(24);

/// How long a cluster that cannot be asked is left alone before it is asked again.
const PAUSE: Duration = Duration::from_secs(5);

/// Runs the command; a candidate that has not passed is an error.
pub fn run(args: &GateArgs, out: &mut dyn Write) -> Result<()> {
    let pipeline = config::load(&args.config)?;
    let gate = GateQuestion {
        args,
        plan: &pipeline.plan,
        rollout: args.rollout.as_ref().unwrap_or(&pipeline.plan.policy.rollout),
    };
    let told = match (&args.states, &pipeline.kafka) {
        (Some(file), _) => Ok(gate.of_file(file)?),
        (None, Some(kafka)) => gate.follow(kafka),
        (None, None) => {
            return Err(Error::user(format!("{} names no Kafka cluster", args.config.display()))
                .hint("add a `kafka:` section with `brokers: host:port`, or read a file with --states"));
        }
    };
    let undecided = match told {
        Ok(Permission { word: Word::Pass, cap_pct, reason }) => {
            let cap = cap_pct.map_or_else(String::new, |cap| format!(", and may have {cap} % of traffic"));
            return print(out, &format!("{reason}{cap}\n"));
        }
        Ok(Permission { word: Word::Fail, reason, .. }) => return Err(Error::candidate(reason)),
        Ok(Permission { word: Word::Wait | Word::Blind, reason, .. }) => gate.undecided(&reason),
        Err(error) if error.fault() == Fault::External => error,
        Err(error) => return Err(error),
    };
    match args.undecided {
        Some(Undecided::Pass) => print(out, &format!("{undecided}; passed by --undecided pass\n")),
        Some(Undecided::Fail) => Err(Error::candidate(format!("{undecided}; failed by --undecided fail"))),
        Some(Undecided::Wait) | None => Err(undecided),
    }
}

/// What a file holds: the last state of each candidate, and the last sign of life of each rollout's judge.
#[derive(Default)]
struct Dump {
    states: Vec<RolloutState>,
    lives: Vec<Liveness>,
}

impl Dump {
    fn read(file: &Path) -> Result<Self> {
        let text = fs::read_to_string(file)
            .map_err(|error| Error::user(format!("cannot read the states in {}", file.display())).because(error))?;
        let strange =
            |error| Error::user(format!("{} does not hold states of rollouts", file.display())).because(error);
        let mut dump = Self::default();
        if text.trim_start().starts_with('[') {
            dump.states = serde_json::from_str(&text).map_err(strange)?;
            return Ok(dump);
        }
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            // Values of the state topic without their keys: only signs of life name who judges.
            let value: serde_json::Value = serde_json::from_str(line).map_err(strange)?;
            if value.get("who").is_some() {
                dump.lives.push(serde_json::from_value(value).map_err(strange)?);
            } else {
                dump.put(serde_json::from_value(value).map_err(strange)?);
            }
        }
        Ok(dump)
    }

    fn put(&mut self, state: RolloutState) {
        let key = |state: &RolloutState| (state.rollout.clone(), state.model.clone(), state.candidate.clone());
        self.states.retain(|earlier| key(earlier) != key(&state));
        self.states.push(state);
    }
}

struct GateQuestion<'a> {
    args: &'a GateArgs,
    plan: &'a Plan,
    rollout: &'a str,
}

impl GateQuestion<'_> {
    fn of_file(&self, file: &Path) -> Result<Permission> {
        let dump = Dump::read(file)?;
        let at = self.args.at.unwrap_or_else(wall_clock);
        let told = dump.lives.iter().rev().find(|life| life.format == FORMAT && life.rollout == self.rollout).cloned();
        let assumed = || Liveness {
            format: FORMAT,
            rollout: self.rollout.to_owned(),
            pipeline: self.plan.name.clone(),
            who: String::new(),
            at,
            judged_upto: None,
            lag: Some(0),
        };
        Ok(self.ask(&mut dump.states.iter(), Some(&told.unwrap_or_else(assumed)), at))
    }

    /// The first answer that decides, or the last one when the time is up.
    fn follow(&self, kafka: &KafkaConfig) -> Result<Permission> {
        let waits = self.args.undecided == Some(Undecided::Wait);
        let patience = if waits { LONG } else { Duration::from_micros(self.args.wait.unsigned_abs()) };
        loop {
            match self.listen(kafka, patience) {
                Err(error) if waits && error.fault() == Fault::External => {
                    tracing::warn!(%error, "asked again in {} s", PAUSE.as_secs());
                    std::thread::park_timeout(PAUSE);
                }
                Ok(Permission { word: Word::Wait | Word::Blind, .. }) if waits => {}
                told => return told,
            }
        }
    }

    fn listen(&self, kafka: &KafkaConfig, patience: Duration) -> Result<Permission> {
        let mut last = None;
        let decided = states::follow(&Connection::open(kafka)?, patience, |seen| {
            let states = match seen.states(self.rollout) {
                Ok(states) => states,
                Err(unreadable) => return Some(Err(unreadable)),
            };
            let told = self.ask(&mut states.iter(), seen.liveness(self.rollout), wall_clock());
            let decides = matches!(told.word, Word::Pass | Word::Fail);
            last = Some(told.clone());
            decides.then_some(Ok(told))
        })?;
        Ok(decided.transpose()?.or(last).unwrap_or_else(Self::unknown))
    }

    /// One answer about the candidate: it passes when it passes for every model, and fails when it fails for one.
    fn ask(
        &self,
        states: &mut dyn Iterator<Item = &RolloutState>,
        liveness: Option<&Liveness>,
        at: Micros,
    ) -> Permission {
        let GateArgs { candidate, model, step, .. } = self.args;
        let asked = |state: &&RolloutState| {
            state.rollout == self.rollout
                && state.candidate == *candidate
                && model.as_ref().is_none_or(|model| state.model == *model)
        };
        let answer = |state: &RolloutState| {
            let freshness = Freshness::of(state, self.plan, liveness, at);
            let told = permission(state, &self.plan.policy, freshness, step.map(|share| share * 100.0));
            Permission { reason: format!("{} {}", state.model, told.reason), ..told }
        };
        let mut answers: Vec<Permission> = states.filter(asked).map(answer).collect();
        answers.sort_by_key(|told| match told.word {
            Word::Fail => 0,
            Word::Wait | Word::Blind => 1,
            Word::Pass => 2,
        });
        answers.into_iter().next().unwrap_or_else(Self::unknown)
    }

    fn unknown() -> Permission {
        Permission { word: Word::Wait, cap_pct: None, reason: "no such candidate has been judged yet".to_owned() }
    }

    fn undecided(&self, why: &str) -> Error {
        let GateArgs { candidate, wait, step, .. } = self.args;
        let what = step.map_or_else(String::new, |step| format!(" of {} % of traffic", step * 100.0));
        let waited = if *wait == 0 { "yet".to_owned() } else { format!("within {} s", wait / SECOND) };
        Error::external(format!("no verdict on {candidate}{what} in rollout {} {waited}: {why}", self.rollout))
            .hint("wait longer with --wait, or look at `haldane rollouts` and `haldane power`")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::State;

    fn state(model: &str, candidate: &str, at: State) -> RolloutState {
        RolloutState { state: at, ..RolloutState::new("r", model, candidate, "v1") }
    }

    fn dump(text: &str) -> Result<Dump> {
        let file = tempfile::NamedTempFile::new().expect("a file");
        fs::write(file.path(), text).expect("a file");
        Dump::read(file.path())
    }

    fn line(state: &RolloutState) -> String {
        serde_json::to_string(state).expect("JSON")
    }

    #[test]
    fn of_a_log_of_states_the_last_one_of_each_candidate_counts() {
        let (first, last) = (state("m", "v2", State::Held), state("m", "v2", State::Passed));
        let others = [state("n", "v2", State::Held), state("m", "v3", State::Warming)];
        let life = serde_json::json!({ "format": 1, "rollout": "r", "pipeline": "p", "who": "w", "at": 5, "judged_upto": null, "lag": 0 });
        let text =
            [line(&first), line(&others[0]), String::new(), life.to_string(), line(&last), line(&others[1])].join("\n");
        let read = dump(&text).expect("states");
        let told: Vec<(&str, &str, State)> =
            read.states.iter().map(|state| (state.model.as_str(), state.candidate.as_str(), state.state)).collect();
        assert_eq!(told, [("n", "v2", State::Held), ("m", "v2", State::Passed), ("m", "v3", State::Warming)]);
        assert_eq!(read.lives.len(), 1);
        let array = format!(" [{},{}]", line(&first), line(&others[0]));
        assert_eq!(dump(&array).expect("an array").states.len(), 2);
        assert!(dump("").expect("nothing").states.is_empty());
    }

    #[test]
    fn what_holds_no_states_is_said() {
        for text in ["no JSON", "{\"a\": 1}", "[{\"a\": 1}]", "{\"who\": 5}"] {
            let Err(error) = dump(text) else { panic!("{text} holds states") };
            assert!(error.to_string().contains("does not hold states of rollouts"), "{text}: {error}");
        }
        assert!(Dump::read(Path::new("/nowhere/states.jsonl")).is_err());
    }

    fn args(more: &[&str]) -> GateArgs {
        #[derive(clap::Parser)]
        struct Line {
            #[command(flatten)]
            gate: GateArgs,
        }
        let words = ["gate", "-c", "p.yaml", "--candidate", "v2"].iter().chain(more);
        clap::Parser::try_parse_from(words).map(|Line { gate }| gate).expect("arguments")
    }

    fn asked(args: &GateArgs, states: &[RolloutState]) -> Permission {
        let text = "sources: { predictions: { topic: p, id: id, version: v, event_time: t, score: s } }\n\
                    rollout: { baseline: v1, name: r, authority: auto }\n";
        let plan = config::parse(text, "p.yaml", Path::new("")).expect("a pipeline").plan;
        let gate = GateQuestion { args, plan: &plan, rollout: "r" };
        gate.ask(&mut states.iter(), None, 0)
    }

    #[test]
    fn one_model_that_fails_fails_the_version() {
        let states =
            [state("a", "v2", State::Held), state("b", "v2", State::RolledBack), state("c", "v3", State::Held)];
        let told = asked(&args(&[]), &states);
        assert!(told.reason.starts_with("b v2 is ROLLED_BACK"), "{told:?}");
        let one = asked(&args(&["--model", "a"]), &states);
        assert!(one.word == Word::Wait && one.reason.starts_with("a v2 is HELD"), "{one:?}");
        for (more, states) in [(&["--model", "z"][..], &states[..]), (&[], &states[2..]), (&[], &[])] {
            let none = asked(&args(more), states);
            assert_eq!((none.word, none.reason.as_str()), (Word::Wait, "no such candidate has been judged yet"));
        }
        let elsewhere = RolloutState { rollout: "other".to_owned(), ..states[1].clone() };
        assert_eq!(asked(&args(&[]), &[elsewhere]).reason, "no such candidate has been judged yet");
    }

    #[test]
    fn no_verdict_is_told_with_what_was_asked_and_how_long() {
        let text = "sources: { predictions: { topic: p, id: id, version: v, event_time: t, score: s } }\n";
        let plan = config::parse(text, "p.yaml", Path::new("")).expect("a pipeline").plan;
        let said =
            |more: &[&str]| GateQuestion { args: &args(more), plan: &plan, rollout: "r" }.undecided("why").to_string();
        assert_eq!(said(&[]), "no verdict on v2 in rollout r yet: why");
        assert_eq!(
            said(&["--step", "25%", "--wait", "30m"]),
            "no verdict on v2 of 25 % of traffic in rollout r within 1800 s: why"
        );
    }
}
