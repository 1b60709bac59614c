//! What two pipeline files differ in, as `haldane diff` says it.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

const DEMO: &str = include_str!("../../pipelines/demo.yaml");

/// The demo's pipeline, and one made of it.
struct Two {
    _folder: TempDir,
    before: PathBuf,
    after: PathBuf,
}

impl Two {
    fn of(changes: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let text = changes.iter().fold(DEMO.to_owned(), |text, (was, is)| {
            assert!(text.contains(was), "{was}");
            text.replace(was, is)
        });
        let (before, after) = (write("before.yaml", DEMO), write("after.yaml", &text));
        Self { _folder: folder, before, after }
    }
}

fn diff(before: &Path, after: &Path) -> (i32, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_haldane")).arg("diff").args([before, after]).output().unwrap();
    let said = [output.stdout, output.stderr].map(|said| String::from_utf8(said).unwrap()).concat();
    (output.status.code().unwrap(), said)
}

#[test]
fn thresholds_windows_guards_and_targets_are_told_in_words_and_by_their_keys() {
    let two = Two::of(&[
        ("above: 0.03,", "above: 0.05,"),
        ("lateness: 5s", "lateness: 20s"),
        ("path: weights.json", "path: shares.json"),
        ("labels: {", "guards: off\nlabels: {"),
        ("topic: demo.outcomes", "topic: demo.chargebacks"),
    ]);
    let (code, said) = diff(&two.before, &two.after);
    assert_eq!(code, 0, "{said}");
    for line in [
        "\nsources\n- outcomes from topic demo.outcomes\n+ outcomes from topic demo.chargebacks\n",
        "- complete 5 s after their end in event time, revised by silent partitions for 1 h\n+ complete 20 s after",
        "- errors: contain to 5 % when error_rate less that of v1 is above 0.03 in 2 of 3 windows with 200 events or more\n\
         + errors: contain to 5 % when error_rate less that of v1 is above 0.05 in",
        "\nguards\n- ",
        "  act[proxy].file.path: \"weights.json\" → \"shares.json\"\n",
        "  guards: left out, the default → \"off\"\n",
        "  policy[errors].above: 0.03 → 0.05\n",
        "  windows.lateness: \"5s\" → \"20s\"\n",
    ] {
        assert!(said.contains(line), "no {line:?} in\n{said}");
    }
    assert!(!said.contains("calibration: ") && !said.contains("decide alike"), "what is alike is not told: {said}");
}

#[test]
fn a_default_that_is_written_out_is_no_difference_but_a_key() {
    let two = Two::of(&[("task: binary", "task: binary\nfine_bins: 1040")]);
    let (code, said) = diff(&two.before, &two.after);
    let rest = said.lines().skip(2).collect::<Vec<_>>().join("\n");
    let wanted = "both decide alike\n\nkeys of the files\n  fine_bins: left out, the default → 1040";
    assert_eq!((code, rest.as_str()), (0, wanted));
    let (_, none) = diff(&two.before, &two.before);
    assert!(none.ends_with("both decide alike\n"), "{none}");
}

#[test]
fn a_file_that_is_no_pipeline_is_told_with_its_line() {
    let two = Two::of(&[("above: 0.03,", "over: 0.03,")]);
    let (code, said) = diff(&two.before, &two.after);
    assert!(code == 2 && said.contains("after.yaml") && said.contains("over"), "{said}");
}
