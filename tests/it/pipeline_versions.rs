//! What was in force at a decision, over a real Kafka: pipeline files are recorded once a text, and `haldane diff` says
//! what changed from one decision to another.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::process::Command;

use haldane::kafka::versions;

use crate::command::{Stage, until};
use crate::service::Service;

/// A target, which no plan depends on.
const TARGET: &str = "act: [{ name: flags, file: { path: flags.json, share: { weight: '/{candidate}' } } }]\n";

/// Runs the service under what the file says now, while something is asked of it.
fn under<T>(stage: &Stage, ask: impl FnOnce() -> T) -> T {
    let mut command = Command::new(env!("CARGO_BIN_EXE_haldane"));
    command.args(["run", "--listen", "127.0.0.1:0", "-c"]).arg(stage.config());
    command.env("HALDANE_TEST_TOKEN", "a-token-for-tests");
    let mut service = Service::of(command);
    service.says("every log was read near to its end");
    let answer = ask();
    service.signal("-TERM");
    assert!(service.ended().success(), "{:?}", service.lines());
    answer
}

/// The id of the decision that a command leads to.
fn decided(stage: &Stage, command: &str) -> String {
    until("a state of v2", || stage.v2());
    let (code, said) = stage.ask(command, &[]);
    assert_eq!(code, 0, "{said}");
    stage.control().0.last().unwrap().id.clone()
}

fn diff(stage: &Stage, arguments: &[&str]) -> (i32, String) {
    let output = stage.haldane("diff", arguments);
    let said = [output.stdout, output.stderr].map(|said| String::from_utf8(said).unwrap()).concat();
    println!("diff {arguments:?}:\n{said}");
    (output.status.code().unwrap(), said)
}

#[test]
fn decisions_tell_what_was_in_force_and_what_has_changed_since() {
    let stage = Stage::set("auto");
    stage.traffic(0..5, false);
    let first = fs::read_to_string(stage.config()).unwrap();
    let held = under(&stage, || decided(&stage, "hold"));
    // The same once more is no news.
    under(&stage, || ());
    fs::write(stage.config(), first.clone() + TARGET).unwrap();
    let with_target = under(&stage, || decided(&stage, "resume"));
    let stricter = first.replace("above: 0.1", "above: 0.05") + TARGET;
    fs::write(stage.config(), &stricter).unwrap();
    let held_again = under(&stage, || decided(&stage, "hold"));

    let recorded = versions::read(&stage.connection(), "people").unwrap();
    let since: Vec<usize> = recorded.iter().map(|version| version.since.len()).collect();
    assert_eq!(since, [1, 1, 1]);
    assert_eq!(recorded[0].plan, recorded[1].plan, "targets decide nothing");
    assert_ne!(recorded[1].plan, recorded[2].plan);

    // Of two decisions of one plan the targets alone differ.
    let (code, said) = diff(&stage, &[&held, &with_target]);
    assert!(code == 0 && said.contains("both decide alike"), "{said}");
    assert!(said.contains("\ncarried out by `haldane act`\n+ flags: "), "{said}");
    assert!(said.contains("  act[flags].file.path: left out, the default → \"flags.json\"\n"), "{said}");
    assert!(!said.contains("\nrules\n"), "{said}");
    // Of the plans the rule.
    let (code, said) = diff(&stage, &[&with_target[..20], &held_again]);
    let begins = format!("--- resume of v2 ({}), decided under the file ", &with_target[..20]);
    assert!(code == 0 && said.starts_with(&begins), "{said}");
    assert!(said.contains("\nrules\n- errors: rollback when ") && said.contains("above 0.05"), "{said}");
    assert!(said.contains("  policy[errors].above: 0.1 → 0.05\n"), "{said}");
    // A plan has an id, too, and a file is what it says now.
    let (code, said) = diff(&stage, &[&recorded[0].plan, stage.config().to_str().unwrap()]);
    assert!(code == 0 && said.contains("above: 0.1 → 0.05"), "{said}");
    assert!(diff(&stage, &[&held_again, stage.config().to_str().unwrap()]).1.ends_with("both decide alike\n"));

    // What comes back has one record.
    fs::write(stage.config(), &first).unwrap();
    under(&stage, || ());
    let (code, listed) = diff(&stage, &[]);
    assert_eq!((code, listed.lines().count()), (0, 3), "{listed}");
    let last = listed.lines().last().unwrap();
    assert!(last.matches('T').count() == 2 && last.contains(", "), "{listed}");

    let (code, said) = diff(&stage, &["b3:000000", &held]);
    assert!(code == 2 && said.contains("no decision of the log begins with `b3:000000`"), "{said}");
    let alone = Command::new(env!("CARGO_BIN_EXE_haldane")).arg("diff").output().unwrap();
    assert_eq!(alone.status.code(), Some(2));
}
