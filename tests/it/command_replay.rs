//! A log and its commands replay to the same decisions, whatever the moment at which people spoke.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command as Process;
use std::sync::Arc;

use haldane::engine::{Effects, Engine};
use haldane::event::{Micros, SECOND};
use haldane::plan::{Plan, Signal, WindowKind};
use haldane::reason::ReasonCode;
use haldane::verdict::{Command, CommandKind, CommandResult, Decision, Outcome, RolloutState, Scheduled, State};
use serde_json::json;

use crate::world::{self, Rng};

const WINDOW: WindowKind = WindowKind::Sliding { size: 30 * SECOND, slide: 30 * SECOND };

fn plan() -> Arc<Plan> {
    let mut plan = world::plan(WINDOW);
    plan.policy.stages.dwell_windows = 2;
    Arc::new(plan)
}

fn command(id: usize, at: Micros, kind: CommandKind) -> Command {
    Command {
        id: format!("c{id}"),
        at,
        rollout: "world".into(),
        model: "m".into(),
        candidate: "v2".into(),
        kind,
        actor: "ana".into(),
        reason: String::new(),
        ticket: None,
        if_sequence: None,
        expires_at: None,
    }
}

fn kinds() -> [CommandKind; 6] {
    [
        CommandKind::Hold,
        CommandKind::Mute { metric: "error_rate".into(), column: None, segment: None, until: 200 * SECOND },
        CommandKind::Resume { cap_pct: Some(25.0) },
        CommandKind::Freeze { until: 400 * SECOND },
        CommandKind::Unfreeze,
        CommandKind::Resume { cap_pct: None },
    ]
}

/// A run in which people speak every `every` steps, at once.
fn live(lanes: u32, every: u32, seed: u64) -> (Vec<Decision>, Vec<CommandResult>) {
    let log = world::log(7, 1_500);
    let mut engine = Engine::new(plan(), lanes);
    let mut all = Effects::default();
    let (mut steps, mut said) = (0, 0);
    world::feed(
        &mut engine,
        &world::streams(&log, lanes),
        &BTreeMap::new(),
        (50, &mut Rng::new(seed)),
        |engine, effects| {
            all.extend(effects);
            steps += 1;
            if steps % every == 0 && said < kinds().len() && !engine.rollouts().is_empty() {
                let at = engine.rollouts()[0].judged_upto.0;
                all.extend(engine.command(command(said, at, kinds()[said].clone())));
                said += 1;
            }
            true
        },
    );
    (all.decisions, all.results)
}

/// A replay of the log with its commands, in batches of another size and on other lanes.
fn replay(lanes: u32, batch_rows: usize, commands: Vec<Scheduled>) -> (Vec<Decision>, Vec<CommandResult>) {
    let log = world::log(7, 1_500);
    let mut engine = Engine::new(plan(), lanes);
    commands.into_iter().for_each(|command| engine.schedule(command));
    let mut all = Effects::default();
    world::feed(
        &mut engine,
        &world::streams(&log, lanes),
        &BTreeMap::new(),
        (batch_rows, &mut Rng::new(3)),
        |_, effects| {
            all.extend(effects);
            true
        },
    );
    (all.decisions, all.results)
}

/// Offsets depend on the partitions; everything else must not.
fn ids(decisions: &[Decision]) -> Vec<(u64, &str, Signal)> {
    decisions.iter().map(|decision| (decision.sequence, decision.id.as_str(), decision.action)).collect()
}

#[test]
fn the_log_and_the_results_of_its_commands_replay_to_the_same_decisions() {
    let mut different = std::collections::BTreeSet::new();
    for (every, seed) in [(3, 1), (5, 2), (6, 3)] {
        let (decisions, results) = live(1, every, seed);
        assert_eq!(results.len(), kinds().len());
        assert!(results.iter().filter(|result| result.outcome == Outcome::Accepted).count() >= 4, "{results:?}");
        assert!(decisions.iter().filter(|decision| decision.causation.is_some()).count() >= 4);
        different.insert(format!("{:?}", ids(&decisions)));
        for (lanes, batch_rows) in [(1, 7), (1, 8_192), (4, 50)] {
            let text: Vec<String> = results.iter().map(|result| serde_json::to_string(result).unwrap()).collect();
            let read = text.iter().map(|line| serde_json::from_str::<CommandResult>(line).unwrap());
            let (again, results_again) = replay(lanes, batch_rows, read.map(Scheduled::from).collect());
            assert_eq!(ids(&again), ids(&decisions), "every {every}, {lanes} lanes, batches of {batch_rows}");
            assert_eq!(results_again, results);
        }
    }
    assert!(different.len() > 1, "when people speak makes a difference");
}

#[test]
fn plain_commands_are_carried_out_by_the_time_of_their_log() {
    let spoken = |at: Micros| vec![Scheduled::from(command(1, at * SECOND, CommandKind::Hold))];
    let (decisions, results) = replay(1, 8_192, spoken(135));
    assert_eq!(results[0].applied_after, Some((120 * SECOND + 1, 1)), "after the last judgement that had fallen due");
    let hold = decisions.iter().find(|decision| decision.action == Signal::Hold).unwrap();
    assert_eq!((hold.time, hold.reason.code.known()), (135 * SECOND, Some(ReasonCode::Manual)));
    assert_eq!(replay(4, 7, spoken(135)).1, results);
    let (_, early) = replay(1, 50, spoken(-5));
    assert_eq!((early[0].outcome, early[0].applied_after), (Outcome::Rejected, None), "nothing was known then");
    let (_, late) = replay(1, 50, spoken(10_000));
    assert_eq!(late.len(), 1, "a command after the last judgement is carried out too");
}

#[test]
fn a_repeated_delivery_changes_nothing() {
    let once = command(1, 135 * SECOND, CommandKind::Hold);
    let (decisions, _) = replay(1, 8_192, vec![once.clone().into()]);
    let (again, results) = replay(1, 8_192, vec![once.clone().into(), once.into()]);
    assert_eq!(ids(&again), ids(&decisions));
    assert_eq!(
        results.iter().map(|result| result.outcome).collect::<Vec<_>>(),
        [Outcome::Accepted, Outcome::Duplicate]
    );
}

#[test]
fn commands_that_are_meant_for_nobody_are_refused_in_words() {
    let refused = |edit: &dyn Fn(&mut Command)| {
        let mut wrong = command(1, 135 * SECOND, CommandKind::Hold);
        edit(&mut wrong);
        let (_, results) = replay(1, 8_192, vec![wrong.into()]);
        assert_eq!(results[0].outcome, Outcome::Rejected);
        results[0].text.clone()
    };
    assert_eq!(refused(&|command| command.rollout = "other".into()), "this pipeline judges rollout world");
    assert_eq!(refused(&|command| command.candidate = "v9".into()), "no such candidate has been judged yet");
    let unnamed =
        |command: &mut Command| (command.candidate, command.kind) = (String::new(), CommandKind::ForcePromote);
    assert_eq!(refused(&unnamed), "it must name a candidate");
}

#[test]
fn a_freeze_of_the_whole_rollout_is_for_candidates_yet_to_come_too() {
    let log = world::log(7, 1_500);
    let mut engine = Engine::new(plan(), 1);
    let frozen = RolloutState {
        people: haldane::verdict::rollout::People {
            frozen_until: Some(1_000 * SECOND),
            frozen_all: true,
            ..Default::default()
        },
        ..RolloutState::new("world", "m", "v0", "v1")
    };
    engine.restore_rollouts(vec![frozen]);
    let mut all = Effects::default();
    world::feed(&mut engine, &world::streams(&log, 1), &BTreeMap::new(), (50, &mut Rng::new(3)), |_, effects| {
        all.extend(effects);
        true
    });
    let restricting: Vec<_> = all.decisions.iter().filter(|decision| decision.action.restricts()).collect();
    assert!(!restricting.is_empty());
    assert!(restricting.iter().all(|decision| decision.authority.name() == "FROZEN"));
    assert!(engine.rollouts().iter().all(|state| state.people.frozen_all || state.state == State::Registered));
}

#[test]
fn the_command_line_replays_commands_and_then_their_results() {
    let scratch = tempfile::tempdir().unwrap();
    let (spoken, results) = (scratch.path().join("spoken.jsonl"), scratch.path().join("results.jsonl"));
    let hold = json!({
        "id": "1", "at": 1_767_226_100_000_000_i64, "rollout": "fraud-canary", "candidate": "2024.2", "kind": "hold", "actor": "ana",
    });
    std::fs::write(&spoken, format!("{hold}\n\n")).unwrap();
    let first = replay_fraud(&spoken, &results, scratch.path());
    let told: CommandResult = serde_json::from_str(std::fs::read_to_string(&results).unwrap().trim()).unwrap();
    assert_eq!((told.outcome, told.state), (Outcome::Accepted, Some(State::Held)));
    assert!(first.contains("ana asked for it"), "{first}");
    assert_eq!(replay_fraud(&results, &scratch.path().join("again.jsonl"), scratch.path()), first);
    std::fs::write(&spoken, "{\"id\": 7}\n").unwrap();
    let output = fraud(&spoken, &results, &scratch.path().join("decisions.jsonl"));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("line 1") && said.contains("is no command"), "{said}");
}

fn replay_fraud(commands: &Path, results: &Path, scratch: &Path) -> String {
    let decisions = scratch.join("decisions.jsonl");
    let output = fraud(commands, results, &decisions);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    std::fs::read_to_string(decisions).unwrap()
}

fn fraud(commands: &Path, results: &Path, decisions: &Path) -> std::process::Output {
    let pipelines = Path::new(env!("CARGO_MANIFEST_DIR")).join("pipelines");
    Process::new(env!("CARGO_BIN_EXE_haldane"))
        .args(["replay", "--quiet", "--config"])
        .arg(pipelines.join("fraud.yaml"))
        .arg("--commands")
        .arg(commands)
        .arg("--results")
        .arg(results)
        .arg("--decisions")
        .arg(decisions)
        .args(["fraud.predictions.parquet", "fraud.outcomes.parquet"].map(|file| pipelines.join("data").join(file)))
        .output()
        .unwrap()
}
