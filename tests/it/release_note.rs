//! A rollout as a note for a pull request, from what a replay has decided.

use std::process::{Command, Output};

use serde_json::Value;

const DECISIONS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/recorded/flights.decisions.jsonl");
const PIPELINE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/pipelines/flights.yaml");

fn report(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_haldane")).arg("report").args(arguments).output().unwrap()
}

fn said(output: Output) -> String {
    let said = [output.stdout, output.stderr].map(|said| String::from_utf8(said).unwrap());
    assert!(output.status.success(), "{}", said[1]);
    said[0].clone()
}

#[test]
fn a_note_says_what_was_decided_why_by_which_criteria_and_who_may_act() {
    let note = said(report(&["--decisions", DECISIONS, "--candidate", "v2", "--format", "note", "-c", PIPELINE]));
    let decisions: Vec<Value> = std::fs::read_to_string(DECISIONS)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter(|decision| decision["candidate"] == "v2" && decision["rollout"] == "flights")
        .filter(|decision| !["observe", "heartbeat"].contains(&decision["action"].as_str().unwrap()))
        .collect();
    assert!(decisions.len() > 2);
    for decision in &decisions {
        let [id, code] = [&decision["id"], &decision["reason"]["code"]].map(|text| text.as_str().unwrap());
        assert!(note.contains(&format!("| {} |", &id[..15])), "{id} can be recomputed:\n{note}");
        assert!(note.contains(&format!("| {code}: ")), "{code}:\n{note}");
    }
    let policy = decisions[0]["inputs"]["policy"].as_str().unwrap();
    for part in [
        "# v2 of flight-delay beside v1\n",
        "\n## What was decided, why, and by whom\n\n| time | id | what | why | who |\n",
        "| haldane, for machines to carry out |",
        "\n## What it rests on (rollback to 0 %, ",
        &format!("By plan {policy}."),
        "\n## Criteria\n\nplan:\n\n- b3:",
        "\nguards:\n\n- ",
        "\nrules:\n\n- ",
        "\nwho acts:\n\n- ",
    ] {
        assert!(note.contains(part), "no {part:?} in\n{note}");
    }
    assert!(note.starts_with("# ") && note.lines().all(|line| !line.contains('<')), "no markup: {note}");
    let bare = said(report(&["--decisions", DECISIONS, "--format", "note"]));
    assert!(!bare.contains("## Criteria"), "nobody has named a pipeline");
}

#[test]
fn a_note_is_of_decisions_alone() {
    let refused = |arguments: &[&str], why: &str| {
        let output = report(arguments);
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(2) && said.contains(why), "{said}");
    };
    refused(&["--reference", "a.csv", "--current", "b.csv", "--format", "note"], "a note is of decisions");
    refused(&["--decisions", DECISIONS, "-c", PIPELINE], "--config is for --reference and --current, or for a note");
}
