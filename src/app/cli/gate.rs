//! `haldane gate`: whether a candidate has passed, as an exit code for CI and for jobs of a rollout controller.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;

use super::print;
use crate::config::{self, KafkaConfig};
use crate::error::{Error, Result};
use crate::event::{Micros, SECOND};
use crate::kafka::{Connection, states};
use crate::plan::{Plan, RolloutPlan};
use crate::verdict::{RolloutState, State};

/// Ask whether a candidate has passed: 0 yes, 1 no, 3 no verdict in time.
#[derive(Debug, Args)]
#[command(after_help = "Exit codes:
  0   the candidate has passed: it may get more traffic (--step: at least that share), or serves everybody already
  1   it has failed: rolled back, contained or held by evidence, or replaced by another
  2   the command line or the pipeline file is wrong
  3   no verdict in time, or the state topic cannot be read: not a pass, and nothing speaks against the candidate
  70  haldane itself failed

Examples:
  haldane gate -c pipelines/flights.yaml --candidate v2 --wait 30m
  haldane gate -c pipelines/flights.yaml --candidate v2 --step 25% --wait 2h
  haldane gate -c pipelines/flights.yaml --candidate v2 --states states.jsonl")]
pub struct GateArgs {
    /// Pipeline file, which names the cluster, the state topic and the rollout.
    #[arg(short, long, value_name = "FILE")]
    pub config: PathBuf,
    /// The version that is to pass.
    #[arg(long, value_name = "VERSION")]
    pub candidate: String,
    /// The model whose version it is, where the rollout is of several.
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
    /// Read states once from this file in place of the state topic: one JSON object per line, or the array that `haldane
    /// rollouts --json` prints.
    #[arg(long, value_name = "FILE", conflicts_with = "wait")]
    pub states: Option<PathBuf>,
}

/// What the states say of the candidate.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Answer {
    /// Passed, and what it may get.
    Yes(String),
    /// Failed, and how.
    No(String),
}

/// Runs the command; a candidate that has not passed is an error.
pub fn run(args: &GateArgs, out: &mut dyn Write) -> Result<()> {
    let pipeline = config::load(&args.config)?;
    let gate =
        Gate { args, plan: &pipeline.plan, rollout: args.rollout.as_ref().unwrap_or(&pipeline.plan.policy.rollout) };
    let answer = match (&args.states, &pipeline.kafka) {
        (Some(file), _) => gate.judge(&mut read(file)?.iter()),
        (None, Some(kafka)) => gate.follow(kafka)?,
        (None, None) => {
            return Err(Error::user(format!("{} names no Kafka cluster", args.config.display()))
                .hint("add a `kafka:` section with `brokers: host:port`, or read a file with --states"));
        }
    };
    match answer {
        Some(Answer::Yes(why)) => print(out, &format!("{why}\n")),
        Some(Answer::No(why)) => Err(Error::candidate(why)),
        None => Err(gate.undecided()),
    }
}

/// The last state of each candidate in a file, as a dump of the state topic has them.
fn read(file: &Path) -> Result<Vec<RolloutState>> {
    let text = fs::read_to_string(file)
        .map_err(|error| Error::user(format!("cannot read the states in {}", file.display())).because(error))?;
    let strange = |error| Error::user(format!("{} does not hold states of rollouts", file.display())).because(error);
    if text.trim_start().starts_with('[') {
        return serde_json::from_str(&text).map_err(strange);
    }
    let mut last: Vec<RolloutState> = Vec::new();
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let state: RolloutState = serde_json::from_str(line).map_err(strange)?;
        let key = |state: &RolloutState| (state.rollout.clone(), state.model.clone(), state.candidate.clone());
        last.retain(|earlier| key(earlier) != key(&state));
        last.push(state);
    }
    Ok(last)
}

struct Gate<'a> {
    args: &'a GateArgs,
    plan: &'a Plan,
    rollout: &'a str,
}

impl Gate<'_> {
    fn follow(&self, kafka: &KafkaConfig) -> Result<Option<Answer>> {
        let patience = Duration::from_micros(self.args.wait.unsigned_abs());
        states::follow(&Connection::open(kafka)?, self.rollout, patience, |states| self.judge(states))
    }

    /// The answer, once there is one; a candidate that fails for one model has failed.
    fn judge(&self, states: &mut dyn Iterator<Item = &RolloutState>) -> Option<Answer> {
        let GateArgs { candidate, model, .. } = self.args;
        let asked = |state: &&RolloutState| {
            state.rollout == self.rollout
                && state.candidate == *candidate
                && model.as_ref().is_none_or(|model| state.model == *model)
        };
        let answers: Vec<Option<Answer>> = states.filter(asked).map(|state| self.answer(state)).collect();
        let failed = answers.iter().flatten().find(|answer| matches!(answer, Answer::No(_)));
        let passed = answers.iter().all(Option::is_some).then(|| answers.iter().flatten().next()).flatten();
        failed.or(passed).cloned()
    }

    fn answer(&self, state: &RolloutState) -> Option<Answer> {
        let RolloutState { model, candidate, cause, .. } = state;
        let because = if cause.is_empty() { String::new() } else { format!(" ({cause})") };
        let says = |what: &str| format!("{model} {candidate} is {}: {what}{because}", state.state.name());
        match state.state {
            State::RollingBack | State::RolledBack => Some(Answer::No(says("it was rolled back"))),
            State::Contained => Some(Answer::No(says("its traffic is capped"))),
            // What a person holds is held for reasons of their own; it may still pass.
            State::Held if !state.people.pinned => Some(Answer::No(says("evidence speaks against more traffic"))),
            State::Superseded | State::Retired => Some(Answer::No(says("it is no candidate any more"))),
            State::Passed | State::Baking | State::Stable => {
                let allowed = allowed_pct(&self.plan.policy.stages, state);
                let enough = self.args.step.is_none_or(|step| allowed >= step * 100.0);
                enough.then(|| Answer::Yes(says(&format!("it may get {allowed} % of traffic"))))
            }
            State::Registered | State::Warming | State::Observing | State::Suspect | State::Held => None,
        }
    }

    fn undecided(&self) -> Error {
        let GateArgs { candidate, wait, step, .. } = self.args;
        let what = step.map_or_else(String::new, |step| format!(" of {} % of traffic", step * 100.0));
        let waited = if *wait == 0 { "yet".to_owned() } else { format!("within {} s", wait / SECOND) };
        Error::external(format!("no verdict on {candidate}{what} in rollout {} {waited}", self.rollout))
            .hint("it has seen too little traffic so far; wait longer with --wait, or look at `haldane power`")
    }
}

/// The share of traffic that a candidate without restriction may get, percent.
fn allowed_pct(stages: &RolloutPlan, state: &RolloutState) -> f64 {
    match state.state {
        State::Passed => stages.cap_at((state.step + 1).min(stages.top())),
        _ => 100.0,
    }
}
