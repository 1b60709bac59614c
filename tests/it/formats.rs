//! What earlier releases have stored and sent is read by this one, and means the same: what was denied stays denied.
//!
//! `tests/data/formats/vN` holds samples of every format as the releases of that time wrote them. `UPDATE=1` adds
//! samples of what this build writes under [`NEWEST`], and never touches one that is there.
#![expect(clippy::format_collect, reason = "a few lines of text")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use haldane::config::reference;
use haldane::engine::{Effects, Engine};
use haldane::event::{Micros, Poison, SECOND};
use haldane::judge::WindowRow;
use haldane::kafka::intent::Intent;
use haldane::plan::{GuardPlan, Plan, Signal, WindowKind};
use haldane::scan::frame::{DeclaredShare, Frame, GroupKey, Inputs};
use haldane::scan::{Body, CheckpointMeta, Pace, Partial, Scan, StreamCounts};
use haldane::store::{Every, Keep, RowFilter, Store, StoreTable, StoreWriter, compact};
use haldane::verdict::chain::Chain;
use haldane::verdict::{
    Command, CommandKind, CommandResult, Decision, Ended, Outcome, RolloutState, State, with_ended,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::world::{self, Event, Rng};

/// The folder of what is written today.
const NEWEST: &str = "v6";

const TUMBLING: WindowKind = WindowKind::Sliding { size: 30 * SECOND, slide: 30 * SECOND };

/// Where the samples of one time stand.
pub(crate) fn folder(version: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/formats").join(version)
}

pub(crate) fn plan() -> Plan {
    let mut plan = world::plan(TUMBLING);
    plan.policy.guards = Some(GuardPlan::default());
    plan.policy.stages.horizon_windows = 5;
    plan
}

/// Ten minutes in which the candidate fails more and more; a person takes it back in the middle, and it has no traffic
/// after that.
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
    let mut writer = StoreWriter::open(store.to_str().unwrap(), &plan, every).unwrap();
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

/// A version to go back to, with a candidate that has no record of its own any more.
fn home() -> RolloutState {
    let ended = Ended { candidate: "v9".into(), at: 5 * SECOND, denied: true, sequence: 3, seal: "b3:3".into() };
    RolloutState { ended: vec![ended], ..RolloutState::new("world", "m9", "v1", "v1") }
}

/// Every reason a record can be refused for, each as often as its place among them.
fn tally() -> StreamCounts {
    let refused = Poison::ALL.into_iter().zip(1..).collect();
    StreamCounts { next_offset: 400, rows: 350, late: 3, duplicates: 2, refused, arrived: 7 * SECOND }
}

/// One frame of every kind.
pub(crate) fn frames() -> Vec<Frame> {
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
        frames.extend(partials.map(|partial| Frame::Partial(Box::new(partial))));
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
    states.push(home());
    let windows: Vec<_> = effects.windows.iter().step_by(400).collect();
    vec![
        ("states.jsonl", lines(&states)),
        ("decisions.jsonl", lines(&effects.decisions)),
        ("commands.jsonl", lines(&[force_rollback()])),
        ("results.jsonl", lines(&effects.results)),
        ("windows.jsonl", lines(&windows)),
        ("intents.jsonl", lines(&Intent::all(effects))),
        ("frames.hex", frames),
        ("checkpoints.jsonl", metadata().iter().map(|meta| format!("{meta}\n")).collect()),
    ]
}

#[test]
fn samples_of_today_are_kept() {
    let folder = folder(NEWEST);
    if std::env::var_os("UPDATE").is_some() {
        let scratch = tempfile::tempdir().unwrap();
        let new = !folder.exists();
        let store = if new { folder.join("store") } else { scratch.path().to_owned() };
        let effects = run(&store);
        compact(store.to_str().unwrap(), &Keep::default()).unwrap();
        for (name, text) in samples(&effects) {
            let path = folder.join(name);
            if !path.exists() {
                std::fs::write(path, text).unwrap();
            }
        }
        if new {
            std::fs::copy(self::folder("v1").join("profile.json"), folder.join("profile.json")).unwrap();
        }
    }
    assert!(folder.exists(), "run with UPDATE=1 to write samples of what this build writes");
}

/// Every folder of samples.
fn folders() -> Vec<PathBuf> {
    let root = folder("");
    let mut all: Vec<_> = std::fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).collect();
    all.sort();
    assert!(all.len() >= 2);
    all
}

/// The records of one sample.
pub(crate) fn read<T: DeserializeOwned>(folder: &Path, name: &str) -> Vec<T> {
    let text = std::fs::read_to_string(folder.join(name)).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{name}: {error}"))).collect()
}

/// The frames of one sample.
pub(crate) fn frames_of(folder: &Path) -> Vec<Vec<u8>> {
    let text = std::fs::read_to_string(folder.join("frames.hex")).unwrap();
    let byte = |line: &str, at: usize| u8::from_str_radix(&line[at..at + 2], 16).unwrap();
    text.lines().map(|line| (0..line.len()).step_by(2).map(|at| byte(line, at)).collect()).collect()
}

#[test]
fn what_was_denied_is_denied_and_its_chain_goes_on() {
    for folder in folders() {
        let states: Vec<RolloutState> = read(&folder, "states.jsonl");
        let kept = states.iter().find(|state| state.candidate == "v2").unwrap().clone();
        assert!(kept.is_denied() && kept.sequence >= 5, "{folder:?}: {:?}", kept.state);
        let mut engine = Engine::new(Arc::new(plan()), 1);
        engine.restore_rollouts(states);
        let mut log = world::log(6, 500);
        log.iter_mut().for_each(|event| {
            (event.time, event.broker_time) = (event.time + 2_000 * SECOND, event.broker_time + 2_000 * SECOND);
        });
        let streams = world::streams(&log, 1);
        let mut decisions = Vec::new();
        world::feed(&mut engine, &streams, &BTreeMap::new(), (100, &mut Rng::new(1)), |_, effects| {
            decisions.extend(effects.decisions);
            true
        });
        let first = decisions.iter().find(|decision| decision.candidate == "v2").unwrap();
        let next = kept.sequence + 1;
        assert_eq!((first.reason.code.as_str(), first.sequence, &first.previous), ("DENIED_VERSION", next, &kept.seal));
        assert_eq!(first.denied_versions, ["v2"]);
    }
}

#[test]
fn states_mean_what_they_meant() {
    let v1: Vec<RolloutState> = read(&folder("v1"), "states.jsonl");
    let [world, candidate] = &v1[..] else { panic!("two states") };
    assert!(world.is_world() && world.memory.is_some() && world.state == State::Observing);
    assert_eq!((candidate.state, candidate.people.commands.as_slice()), (State::RolledBack, &["c-1".to_owned()][..]));
    assert!(candidate.memory.is_some() && candidate.people.pinned && candidate.in_force.len() == 1);
    let v2 = with_ended(read(&folder("v2"), "states.jsonl"));
    let ended = v2.iter().find(|state| state.candidate == "v9").unwrap();
    assert!(ended.is_denied() && ended.state == State::Retired && (ended.sequence, ended.seal.as_str()) == (3, "b3:3"));
}

#[test]
fn decisions_commands_and_results_are_read() {
    for folder in folders() {
        let bodies = std::fs::read_to_string(folder.join("decisions.jsonl")).unwrap();
        let mut chain = Chain::default();
        bodies.lines().for_each(|body| chain.add(body.as_bytes()));
        chain.end(
            &read::<RolloutState>(&folder, "states.jsonl")
                .into_iter()
                .filter(|one| one.candidate == "v2")
                .collect::<Vec<_>>(),
        );
        let decisions: Vec<Decision> = read(&folder, "decisions.jsonl");
        assert_eq!((chain.flaws(), chain.decisions()), (vec![], decisions.len()), "{folder:?}");
        let notes = [Signal::Warn, Signal::Observe];
        let acting: Vec<&Decision> = decisions.iter().filter(|decision| !notes.contains(&decision.action)).collect();
        let actions: Vec<Signal> = acting.iter().map(|decision| decision.action).collect();
        let [contain, heartbeat, rollback] = [Signal::Contain, Signal::Heartbeat, Signal::Rollback];
        assert_eq!(actions, [contain, heartbeat, rollback, rollback, heartbeat]);
        assert_eq!(read::<Command>(&folder, "commands.jsonl"), [force_rollback()]);
        let results: Vec<CommandResult> = read(&folder, "results.jsonl");
        assert_eq!(
            (results[0].outcome, results[0].state, results[0].sequence),
            (Outcome::Accepted, Some(State::RollingBack), acting[3].sequence)
        );
        let windows: Vec<WindowRow> = read(&folder, "windows.jsonl");
        assert!(windows.len() > 10 && windows.iter().any(|row| row.value.is_some()));
    }
}

#[test]
fn what_was_about_to_be_said_is_read() {
    let [intent] = &read::<Intent>(&folder("v5"), "intents.jsonl")[..] else { panic!("one candidate") };
    let last = intent.decisions.last().unwrap();
    assert_eq!((intent.state.sequence, intent.state.candidate.as_str()), (last.sequence, "v2"));
    assert_eq!(intent.results[0].command, force_rollback());
    assert!(intent.is_ahead_of(None) && !intent.is_ahead_of(Some(&intent.state)));
}

/// A frame but for the offsets of labels, which earlier releases did not know.
fn counts(frame: &Frame) -> Frame {
    let mut frame = frame.clone();
    if let Frame::Tick(tick) = &mut frame {
        tick.streams.iter_mut().for_each(|stream| stream.pace = Pace::default());
    }
    if let Frame::Partial(partial) = &mut frame
        && matches!(partial.body, Body::QualityInTime(_) | Body::QualityLate(_))
    {
        partial.inputs = Inputs { first: 0, last: 0 };
    }
    frame
}

#[test]
fn frames_and_metadata_of_commits_are_read() {
    let (today, newest) = (few(frames()), folders().pop());
    for folder in folders() {
        let told = frames_of(&folder);
        let frames: Vec<Frame> = told.iter().map(|bytes| Frame::decode(bytes).unwrap()).collect();
        assert!(told.iter().eq(frames.iter().map(Frame::encode).collect::<Vec<_>>().iter()), "{folder:?}");
        // What came of the records of streams was not told before it was asked for.
        let is_old = |frame: &&Frame| !matches!(frame, Frame::Partial(one) if matches!(one.body, Body::Intake(_)));
        let [told, now] = [&frames, &today].map(|all| all.iter().filter(is_old).map(counts).collect::<Vec<_>>());
        assert!(told == now, "{folder:?}: the same log gives the same counts");
        assert!(newest.as_ref() != Some(&folder) || today == frames, "{folder:?}: and the same frames");
        let metas: Vec<CheckpointMeta> = read(&folder, "checkpoints.jsonl");
        assert_eq!((metas[1].tally.as_ref(), metas[0].plan.as_str()), (Some(&tally()), "b3:0123456789abc"));
        let profile = reference::load(&folder.join("profile.json")).unwrap();
        assert!(profile.profile.rows > 0 && !profile.profile.numeric.is_empty());
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[test]
fn stores_are_read_recognised_and_gone_on_with() {
    for folder in folders() {
        let scratch = tempfile::tempdir().unwrap();
        copy(&folder.join("store"), scratch.path());
        let store = Store::open(scratch.path().to_str().unwrap()).unwrap();
        store.verify().unwrap();
        let all = RowFilter::default();
        let (windows, decisions) = (store.windows(&all).unwrap(), store.decisions(&all).unwrap());
        assert_eq!(decisions, read::<Decision>(&folder, "decisions.jsonl"));
        assert_eq!(store.commands(&all).unwrap(), read::<CommandResult>(&folder, "results.jsonl"));
        let last = store.verdicts(&all).unwrap().into_iter().rfind(|state| state.candidate == "v2").unwrap();
        assert!(last.is_denied());
        let days: Vec<_> = store.pane_days(&plan(), &all).unwrap().map(Result::unwrap).collect();
        assert!(days.iter().all(|day| day.unfit == 0) && days.iter().any(|day| !day.panes.is_empty()));
        // The same once more: everything but where rollouts stand is recognised; of an older store, neither what names
        // ids, where those were made otherwise, nor windows, where there were fewer metrics, nor what came of records.
        let was_less = |table: &StoreTable| {
            matches!(table, StoreTable::Decisions | StoreTable::Commands | StoreTable::Windows | StoreTable::Panes)
        };
        let is_newest = folder.ends_with(NEWEST);
        let files = |table: StoreTable| store.files().unwrap().into_iter().filter(|file| file.table == table).count();
        let same = |table: &StoreTable| *table != StoreTable::Verdicts && (is_newest || !was_less(table));
        let tables = StoreTable::ALL.into_iter().filter(same);
        let before: Vec<usize> = tables.clone().map(files).collect();
        drop(run(scratch.path()));
        assert_eq!(tables.map(files).collect::<Vec<_>>(), before, "{folder:?}");
        let after = store.windows(&all).unwrap();
        assert!(windows.iter().all(|row| after.contains(row)), "{folder:?}");
        assert!(!is_newest || after == windows);
    }
}

#[test]
fn what_a_newer_release_wrote_is_refused_with_what_to_do() {
    let folder = folder(NEWEST);
    let newer = |name: &str| {
        let text = std::fs::read_to_string(folder.join(name)).unwrap();
        let mut record: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
        record["format"] = 99.into();
        record
    };
    let state = serde_json::from_value::<RolloutState>(newer("states.jsonl")).unwrap_err();
    let meta = serde_json::from_value::<CheckpointMeta>(newer("checkpoints.jsonl")).unwrap_err();
    for error in [state.to_string(), meta.to_string()] {
        assert!(error.contains("it has format 99") && error.contains("use the release that wrote it"), "{error}");
    }
    let scratch = tempfile::tempdir().unwrap();
    copy(&folder.join("store"), scratch.path());
    let manifests = scratch.path().join("_manifests");
    let last = std::fs::read_dir(&manifests).unwrap().map(|entry| entry.unwrap().path()).max().unwrap();
    let manifest = std::fs::read_to_string(&last).unwrap();
    for (from, to, says) in [
        (r#"{"format":2,"#, r#"{"format":99,"#, "has format 99"),
        (r#"[{"format":1,"table""#, r#"[{"format":99,"table""#, "it has format 99"),
    ] {
        assert!(manifest.contains(from), "{manifest}");
        std::fs::write(&last, manifest.replace(from, to)).unwrap();
        let error = Store::open(scratch.path().to_str().unwrap()).unwrap_err();
        let told = format!("{error} {:?}", std::error::Error::source(&error).map(ToString::to_string));
        assert!(told.contains(says), "{told}");
    }
}
