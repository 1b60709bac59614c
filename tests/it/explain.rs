//! `haldane explain` and `haldane audit verify` on the decisions of the flights log, and on logs that were tampered
//! with.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use haldane::error::{Error, Fault};
use haldane::store::{Store, StoreTable};
use haldane::verdict::Decision;
use serde_json::{Value, json};

use crate::compaction::forget_columns;

const PIPELINE: &str = "pipelines/flights.yaml";
const FILES: [&str; 2] = ["pipelines/data/flights.predictions.parquet", "pipelines/data/flights.outcomes.parquet"];

fn repository(path: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path).display().to_string()
}

/// What a command printed, and how it ended.
fn haldane(arguments: &[&str]) -> (String, Result<(), Error>) {
    use clap::Parser as _;
    let cli = haldane::cli::Cli::try_parse_from(["haldane"].iter().chain(arguments)).unwrap();
    let mut printed = Vec::new();
    let ended = haldane::cli::run(&cli, &mut printed);
    (String::from_utf8(printed).unwrap(), ended)
}

/// The decisions of the flights log, as a replay writes them.
static LOG: LazyLock<Vec<Decision>> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("decisions.jsonl").display().to_string();
    let files = FILES.map(repository);
    let (_, ended) =
        haldane(&["replay", "-c", &repository(PIPELINE), "--quiet", "--decisions", &path, &files[0], &files[1]]);
    ended.unwrap();
    fs::read_to_string(path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
});

/// A file with these decisions, one a line.
fn file(folder: &Path, decisions: &[Decision]) -> String {
    let path: PathBuf = folder.join("decisions.jsonl");
    fs::write(
        &path,
        decisions.iter().flat_map(|decision| [decision.body(), b"\n".to_vec()].concat()).collect::<Vec<_>>(),
    )
    .unwrap();
    path.display().to_string()
}

fn rollback() -> &'static Decision {
    LOG.iter().find(|decision| decision.action.name() == "rollback").unwrap()
}

/// Explains the rollback out of a log, recomputed from the archive.
fn explain(log: &[Decision], more: &[&str]) -> (String, Result<(), Error>) {
    let folder = tempfile::tempdir().unwrap();
    let (path, files) = (file(folder.path(), log), FILES.map(repository));
    let arguments =
        ["explain", &rollback().id, "-c", &repository(PIPELINE), "--decisions", &path, &files[0], &files[1]];
    haldane(&[&arguments, more].concat())
}

fn verify(decisions: &[Decision]) -> (String, Result<(), Error>) {
    let folder = tempfile::tempdir().unwrap();
    haldane(&["audit", "verify", "--decisions", &file(folder.path(), decisions)])
}

#[test]
fn a_rollback_is_explained_and_its_events_give_it_again() {
    let (said, ended) = explain(&LOG, &[]);
    ended.unwrap();
    println!("{said}");
    let decision = rollback();
    assert!(said.starts_with(&format!("rollback v2 of {}", decision.model)), "{said}");
    for part in [
        "What would have changed it",
        "What it was computed from",
        "matches: the same decision",
        &decision.reason.text,
        &decision.inputs.policy,
        decision.evidence[0].rule.as_str(),
    ] {
        assert!(said.contains(part), "{part} is not in {said}");
    }
    // Its forerunners are told in their order, itself marked.
    let course: Vec<&str> = said.lines().filter(|line| line.starts_with("> ")).collect();
    assert!(course.len() == 1 && course[0].contains("rollback"), "{said}");
}

#[test]
fn a_decision_that_was_changed_is_found_out_by_its_events() {
    let mut log = LOG.clone();
    let at = log.iter().position(|decision| decision.id == rollback().id).unwrap();
    log[at].evidence[0].estimate += 1e-9;
    log[at].reason.text.push('!');
    let (said, ended) = explain(&log, &["--json"]);
    let error = ended.unwrap_err();
    assert_eq!(error.fault(), Fault::Candidate);
    let said: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((&said["matches"], &said["differences"]), (&json!(false), &json!(["reason", "evidence"])));

    log[at].inputs.policy = format!("b3:{}", "0".repeat(64));
    let error = explain(&log, &[]).1.unwrap_err();
    assert!(error.fault() == Fault::User && error.to_string().contains("made under policy b3:000"), "{error}");
}

#[test]
fn a_whole_log_is_whole() {
    let (said, ended) = verify(&LOG);
    ended.unwrap();
    assert!(said.contains("decisions 1 to") && said.contains("0 repeated deliveries: whole"), "{said}");
    let (said, ended) = verify(&[LOG.as_slice(), LOG.as_slice()].concat());
    ended.unwrap();
    assert!(said.contains(&format!("{} repeated deliveries: whole", LOG.len())), "{said}");
}

#[test]
fn every_way_of_tampering_with_a_log_is_named() {
    let of_v2: Vec<usize> = (0..LOG.len()).filter(|&at| LOG[at].candidate == "v2").collect();
    let second = of_v2[1];
    let found = |edit: &dyn Fn(&mut Vec<Decision>)| {
        let mut log = LOG.clone();
        edit(&mut log);
        let (said, ended) = verify(&log);
        assert_eq!(ended.unwrap_err().exit_code(), 1);
        said
    };
    let changed = found(&|log| log[second].cap_pct = Some(50.0));
    assert!(changed.contains("decision 3 names another decision 2 than the one in the log"), "{changed}");
    let last = found(&|log| log.last_mut().unwrap().reason.text.push('!'));
    assert!(last.contains("does not say what its id stands for"), "{last}");
    let cut = found(&|log| drop(log.remove(second)));
    assert!(cut.contains("decision 2 is missing"), "{cut}");
    let doubled = found(&|log| {
        let mut other = log[second].clone();
        other.drill = true;
        log.push(other);
    });
    assert!(doubled.contains("two different decisions 2"), "{doubled}");
}

/// A store with a replay of the flights log in it.
fn stored() -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("store").display().to_string();
    let files = FILES.map(repository);
    let replay = ["replay", "-c", &repository(PIPELINE), "--quiet", "--store", &store, &files[0], &files[1]];
    haldane(&replay).1.unwrap();
    (folder, store)
}

#[test]
fn decisions_are_recomputed_from_the_panes_of_a_store() {
    let (folder, store) = stored();
    let explain = |id: &str| haldane(&["explain", id, "-c", &repository(PIPELINE), "--store", &store]);
    for decision in [&LOG[0], rollback()] {
        let (said, ended) = explain(&decision.id);
        ended.unwrap_or_else(|error| panic!("{error}\n{said}"));
        let matches =
            "Recomputed from the stored panes\n  matches: the same decision, with the same evidence to the last bit";
        assert!(said.contains(matches), "{said}");
        let alike = said.lines().find_map(|line| line.strip_suffix(" stored numbers of its window come out alike"));
        let (alike, all) = alike.unwrap().trim().split_once(" of ").unwrap();
        assert!(alike == all && all.parse::<u32>().unwrap() > 50, "{alike} of {all}");
    }
    // Without the first days, what they said is not known.
    haldane(&["store", "compact", &store, "--keep", "panes=3d"]).1.unwrap();
    let (said, ended) = explain(&rollback().id);
    let error = ended.unwrap_err();
    assert!(error.fault() == Fault::User && error.to_string().contains("holds no panes"), "{error}\n{said}");
    drop(folder);
}

#[test]
fn panes_that_do_not_carry_everything_are_told() {
    let (_folder, store) = stored();
    let root = Path::new(&store);
    let files = Store::open(&store).unwrap().files().unwrap();
    let panes = files.iter().filter(|file| file.table == StoreTable::Panes);
    let (early, late): (Vec<_>, Vec<_>) = panes.partition(|file| file.to < rollback().time - 2 * 86_400_000_000);
    let forget = |file| forget_columns(root, file, &["state"]);
    early.into_iter().for_each(forget);
    let explain = || haldane(&["explain", &rollback().id, "-c", &repository(PIPELINE), "--store", &store]);
    let (said, ended) = explain();
    let error = ended.unwrap_err();
    assert_eq!(error.fault(), Fault::Candidate);
    assert!(error.to_string().starts_with("the stored panes"), "{error}");
    assert!(
        said.contains("more panes are of another policy, or of a release that did not keep all of a pane"),
        "{said}"
    );
    late.into_iter().for_each(forget);
    let error = explain().1.unwrap_err();
    assert!(error.fault() == Fault::User && error.to_string().contains("holds no panes"), "{error}");
}
