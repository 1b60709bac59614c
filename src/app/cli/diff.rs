//! `haldane diff`: what two pipeline files differ in, in words.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::Write;
use std::path::PathBuf;

use clap::Args;

use super::{check, print};
use crate::config::{self, Pipeline};
use crate::error::Result;

/// Say in words what two pipeline files differ in.
#[derive(Debug, Args)]
#[command(
    after_help = "Both are resolved first, so a default counts as what it means: a threshold, a guard, a window that one file leaves \
out and the other one writes as it is by default is no difference. Below the words stand the keys that differ. What may be a secret \
is not shown.

Decisions name the digest of the plan that they were made by (`inputs.policy`), and not its text: keep the files, and compare the \
digests. What a change would have decided is told by `haldane replay --diff`.

Exit codes: 0 compared; 2 mistake in the arguments or the files.

Examples:
  haldane diff pipelines/fraud.yaml fraud-stricter.yaml
  haldane diff main/fraud.yaml fraud.yaml >> $GITHUB_STEP_SUMMARY"
)]
pub struct DiffArgs {
    /// Pipeline file as it was.
    #[arg(value_name = "BEFORE")]
    pub before: PathBuf,
    /// Pipeline file as it is to be.
    #[arg(value_name = "AFTER")]
    pub after: PathBuf,
}

/// Runs the command.
pub fn run(args: &DiffArgs, out: &mut dyn Write) -> Result<()> {
    let (before, after) = (config::load(&args.before)?, config::load(&args.after)?);
    let keys = (config::keys(&args.before)?, config::keys(&args.after)?);
    let mut text = format!("--- {}, plan {}\n", args.before.display(), before.plan.digest);
    let _ = writeln!(text, "+++ {}, plan {}", args.after.display(), after.plan.digest);
    if before.plan.digest == after.plan.digest {
        text += "both decide alike\n";
    }
    in_words(&before, &after, &mut text);
    in_keys(&keys.0, &keys.1, &mut text);
    print(out, &text)
}

/// What `haldane check` says of one and not of the other.
fn in_words(before: &Pipeline, after: &Pipeline, text: &mut String) {
    for ((title, was), (_, is)) in check::sections(before).into_iter().zip(check::sections(after)) {
        let gone = was.iter().filter(|line| !is.contains(line)).map(|line| (subject(line), 0, '-', line));
        let come = is.iter().filter(|line| !was.contains(line)).map(|line| (subject(line), 1, '+', line));
        let mut lines: Vec<_> = gone.chain(come).collect();
        // What was and what is stand one below the other.
        lines.sort_by_key(|(subject, side, ..)| (*subject, *side));
        if !lines.is_empty() {
            let _ = writeln!(text, "\n{title}");
        }
        for (_, _, sign, line) in lines {
            let _ = writeln!(text, "{sign} {line}");
        }
    }
}

/// What a line is about: its text up to a colon.
fn subject(line: &str) -> &str {
    line.split_once(": ").map_or("", |(subject, _)| subject)
}

fn in_keys(before: &BTreeMap<String, String>, after: &BTreeMap<String, String>, text: &mut String) {
    let paths: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let differ: Vec<&String> = paths.into_iter().filter(|path| before.get(*path) != after.get(*path)).collect();
    if differ.is_empty() {
        return;
    }
    *text += "\nkeys of the files\n";
    let value = |of: &BTreeMap<String, String>, path: &String| {
        of.get(path).cloned().unwrap_or_else(|| "left out, the default".to_owned())
    };
    for path in differ {
        let _ = writeln!(text, "  {path}: {} → {}", value(before, path), value(after, path));
    }
}
