//! `haldane rollouts`: where every candidate stands, as the state topic says.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;

use super::{command, print};
use crate::config;
use crate::error::{Error, Result};
use crate::event::SECOND;
use crate::kafka::clock::wall_clock;
use crate::kafka::{Connection, states};
use crate::output::text::{aligned, instant, short_id};
use crate::plan::Plan;
use crate::verdict::{Freshness, Liveness, RolloutState, Validity, permission};

/// Show where every candidate stands.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  haldane rollouts -c pipelines/flights.yaml
  haldane rollouts -c pipelines/flights.yaml --json | jq '.[] | {candidate, state, sequence}'")]
pub struct RolloutsArgs {
    /// Pipeline file.
    #[arg(short, long, value_name = "FILE")]
    pub config: PathBuf,
    /// Rollout; default: the pipeline's.
    #[arg(long, value_name = "NAME")]
    pub rollout: Option<String>,
    /// Print the states as one JSON array, all but what guards remember.
    #[arg(long)]
    pub json: bool,
}

/// Heads of the table's columns.
const HEADS: [&str; 11] = [
    "ROLLOUT",
    "CANDIDATE",
    "STATE",
    "VERDICT",
    "VALIDITY",
    "AUTHORITY",
    "SEQUENCE",
    "CAP",
    "IN FORCE",
    "WAITS FOR APPROVAL",
    "WHY",
];

/// Runs the command.
pub fn run(args: &RolloutsArgs, out: &mut dyn Write) -> Result<()> {
    let pipeline = config::load(&args.config)?;
    let kafka = command::cluster(&pipeline, &args.config)?;
    let rollout = args.rollout.as_ref().unwrap_or(&pipeline.plan.policy.rollout);
    let seen = states::look(&Connection::open(&kafka)?)?;
    let mut states = seen.states(rollout)?;
    states.iter_mut().for_each(|state| state.memory = None);
    if args.json {
        let text = serde_json::to_string_pretty(&states)
            .map_err(|error| Error::internal("cannot write the states as JSON").because(error))?;
        return print(out, &(text + "\n"));
    }
    if states.is_empty() {
        return print(out, &format!("no candidate of rollout {rollout} has been judged yet\n"));
    }
    let judge = judge(seen.liveness(rollout));
    print(out, &(table(&states, &pipeline.plan, seen.liveness(rollout)) + &judge))
}

/// Who judges, and how far behind.
fn judge(liveness: Option<&Liveness>) -> String {
    let Some(Liveness { who, at, lag, .. }) = liveness else { return "nobody judges it\n".to_owned() };
    let behind = lag.map_or_else(|| "catching up".to_owned(), |lag| format!("{} s behind the logs", lag / SECOND));
    format!("judged by {who}, {behind}; last heard of at {}\n", instant(at - at % SECOND))
}

fn table(states: &[RolloutState], plan: &Plan, liveness: Option<&Liveness>) -> String {
    let rows = states.iter().map(|state| row(state, plan, liveness));
    let rows: Vec<[String; 11]> = std::iter::once(HEADS.map(str::to_owned)).chain(rows).collect();
    aligned(&rows, 0)
}

fn row(state: &RolloutState, plan: &Plan, liveness: Option<&Liveness>) -> [String; 11] {
    let freshness = Freshness::of(state, plan, liveness, wall_clock());
    let told = permission(state, &plan.policy, freshness, None);
    let validity = match state.validity {
        Validity::Valid => "VALID",
        Validity::Degraded => "DEGRADED",
        Validity::Blind => "BLIND",
    };
    let data = if state.trust.is_ok() {
        validity.to_owned()
    } else {
        format!("{validity} {}", state.trust.level.name().to_uppercase())
    };
    let authority = if state.people.frozen_until.is_some() { "FROZEN" } else { plan.policy.authority.name() };
    let pending = state.pending.as_ref().map(|pending| {
        let cap = pending.cap_pct.map_or_else(String::new, |cap| format!(" to {cap} %"));
        let (signal, deadline) = (pending.signal.name(), instant(pending.deadline));
        format!("{signal}{cap} until {deadline} ({})", short_id(&pending.decision))
    });
    let in_force: Vec<&str> = state.in_force.iter().map(|id| short_id(id)).collect();
    let or_none = |text: String| if text.is_empty() { "-".to_owned() } else { text };
    [
        state.rollout.clone(),
        format!("{} {}", state.model, state.candidate),
        state.state.name().to_owned(),
        told.word.name().to_owned(),
        data,
        authority.to_owned(),
        state.sequence.to_string(),
        told.cap_pct.map_or_else(|| "-".to_owned(), |cap| format!("{cap} %")),
        or_none(in_force.join(" ")),
        or_none(pending.unwrap_or_default()),
        told.reason,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_judges_is_told_with_the_time_in_utc_said_once() {
        let (who, at, lag) = ("host/1".to_owned(), 1_366_243_200_000_000, Some(2_000_000));
        let (rollout, pipeline) = ("fraud".to_owned(), "fraud".to_owned());
        let liveness = Liveness { format: 1, rollout, pipeline, who, at, judged_upto: None, lag };
        let said = "judged by host/1, 2 s behind the logs; last heard of at 2013-04-18 00:00 UTC\n";
        assert_eq!(judge(Some(&liveness)), said);
    }
}
