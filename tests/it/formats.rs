//! What earlier releases have stored and sent is read by this one, and means the same: what was denied stays denied.
//!
//! `tests/data/formats/vN` holds samples of every format as the releases of that time wrote them. `UPDATE=1` adds samples
//! of what this build writes under [`NEWEST`], and never touches one that is there.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use haldane::engine::{Effects, Engine};
use haldane::event::{Micros, Poison, SECOND};
use haldane::plan::{GuardPlan, Plan, WindowKind};
use haldane::scan::frame::{DeclaredShare, Frame, GroupKey, Inputs};
use haldane::scan::{Body, Partial, Scan, Tally};
use haldane::store::{Every, Keep, Writer, compact};
use haldane::verdict::{Command, CommandKind, RolloutState};
use serde::Serialize;

use crate::world::{self, Event};

/// The folder of what is written today.
const NEWEST: &str = "v1";

const TUMBLING: WindowKind = WindowKind::Sliding { size: 30 * SECOND, slide: 30 * SECOND };

/// Where the samples of one time stand.
fn folder(version: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/formats").join(version)
}

pub(crate) fn plan() -> Plan {
    let mut plan = world::plan(TUMBLING);
    plan.policy.guards = Some(GuardPlan::default());
    plan
}

/// Ten minutes in which the candidate fails more and more; a person takes it back in the middle, and it has no traffic after
/// that.
fn log() -> Vec<Event> {
    let mut log = world::log(5, 1_000);
    log.retain(|event| event.version == "v1" || event.time < 300 * SECOND);
    log
}

fn force_rollback() -> Command {
    Command {
        id: "c-1".into(),
        at: 310 * SECOND,
        rollout: "world".into(),
        model: "m".into(),
        candidate: "v2".into(),
        kind: CommandKind::ForceRollback,
        actor: "ana".into(),
        reason: "it fails".into(),
        ticket: Some("INC-7".into()),
        if_sequence: None,
        expires_at: None,
    }
}

/// All that a run over the log says, also into a store.
fn run(store: &Path) -> Effects {
    let plan = Arc::new(plan());
    let mut engine = Engine::new(Arc::clone(&plan), 1).keeping_panes(true);
    let every = Every { span: Micros::MAX, rows: usize::MAX };
    let mut writer = Writer::open(store.to_str().unwrap(), &plan, every).unwrap();
    let mut all = Effects::default();
    engine.schedule(force_rollback().into());
    let log = log();
    let mut next = [0_i64; 2];
    let mut take = |effects: Effects| {
        writer.take(&effects);
        all.extend(effects);
    };
    for part in log.chunk_by(|a, b| a.source == b.source) {
        let rows: Vec<&Event> = part.iter().collect();
        let source = usize::from(part[0].source);
        take(engine.step(&world::batch(&rows, 0, next[source])));
        next[source] += rows.len() as i64;
    }
    take(engine.progress(0, 0, next[0], true, true));
    take(engine.progress(0, 1, next[1], true, true));
    writer.tally(0, 0, &tally());
    writer.flush().unwrap();
    all
}

/// Every reason a record can be refused for, each as often as its place among them.
fn tally() -> Tally {
    let refused = Poison::ALL.into_iter().zip(1..).collect();
    Tally { next_offset: 400, rows: 350, late: 3, duplicates: 2, refused, arrived: 7 * SECOND }
}

/// One frame of every kind.
fn frames() -> Vec<Frame> {
    let plan = Arc::new(plan());
    let mut scan = Scan::new(Arc::clone(&plan), 0, 1);
    let log = log();
    let mut next = [0_i64; 2];
    let mut frames = Vec::new();
    for part in log.chunk_by(|a, b| a.source == b.source) {
        let rows: Vec<&Event> = part.iter().collect();
        let source = usize::from(part[0].source);
        let partials = scan.step(&world::batch(&rows, 0, next[source]));
        next[source] += rows.len() as i64;
        frames.extend(partials.into_iter().map(|partial| Frame::Partial(Box::new(partial))));
        frames.push(Frame::Tick(scan.tick()));
    }
    let group = GroupKey { model: "m".into(), version: "v2".into(), segment: Vec::new() };
    let body = Body::Exposure(DeclaredShare { at: 95 * SECOND, share: 0.25 });
    let (pane, inputs) = (90 * SECOND, Inputs { first: 7, last: 7 });
    let declared = Partial { lane: 0, source: 0, pane, group, upto: 8, body, inputs };
    frames.push(Frame::Partial(Box::new(declared)));
    frames.push(Frame::Tally(0, 1, tally()));
    frames
}

/// Three of each kind and part, and the ticks among them.
fn few(frames: Vec<Frame>) -> Vec<Frame> {
    let mut seen = BTreeMap::<String, u32>::new();
    let kind = |frame: &Frame| match frame {
        Frame::Partial(partial) => format!("part {}", partial.body.part()),
        Frame::Tick(_) => "tick".to_owned(),
        Frame::Tally(..) => "tally".to_owned(),
    };
    frames
        .into_iter()
        .filter(|frame| {
            let n = seen.entry(kind(frame)).or_default();
            *n += 1;
            *n <= 3
        })
        .collect()
}

/// Metadata of a commit.
fn metadata() -> Vec<String> {
    let plan = Arc::new(plan());
    let mut scan = Scan::new(plan, 0, 1);
    let log = log();
    let rows: Vec<&Event> = log.iter().filter(|event| event.source == 0).collect();
    drop(scan.step(&world::batch(&rows, 0, 0)));
    let mut metas: Vec<_> = scan.checkpoint(Micros::MAX, 0).streams.into_iter().map(|stream| stream.meta).collect();
    metas[1].tally = Some(tally());
    metas.iter().map(|meta| serde_json::to_string(meta).unwrap()).collect()
}

fn lines(all: &[impl Serialize]) -> String {
    all.iter().map(|one| serde_json::to_string(one).unwrap() + "\n").collect()
}

/// The samples of today but for the store, by name.
fn samples(effects: &Effects) -> Vec<(&'static str, String)> {
    let frames: String = few(frames())
        .iter()
        .map(|frame| frame.encode().iter().map(|byte| format!("{byte:02x}")).collect::<String>() + "\n")
        .collect();
    let mut states: Vec<RolloutState> = Vec::new();
    for state in &effects.states {
        states.retain(|before| before.candidate != state.candidate);
        states.push(state.clone());
    }
    let windows: Vec<_> = effects.windows.iter().step_by(400).collect();
    vec![
        ("states.jsonl", lines(&states)),
        ("decisions.jsonl", lines(&effects.decisions)),
        ("commands.jsonl", lines(&[force_rollback()])),
        ("results.jsonl", lines(&effects.results)),
        ("windows.jsonl", lines(&windows)),
        ("frames.hex", frames),
        ("checkpoints.jsonl", metadata().iter().map(|meta| format!("{meta}\n")).collect()),
    ]
}

#[test]
fn samples_of_today_are_kept() {
    let folder = folder(NEWEST);
    if std::env::var_os("UPDATE").is_none() || folder.exists() {
        return;
    }
    let effects = run(&folder.join("store"));
    compact(folder.join("store").to_str().unwrap(), &Keep::default()).unwrap();
    for (name, text) in samples(&effects) {
        std::fs::write(folder.join(name), text).unwrap();
    }
}
