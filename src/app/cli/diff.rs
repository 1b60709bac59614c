//! `haldane diff`: what two pipeline files, or what was in force at two decisions, differ in, in words.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;

use super::{check, command, print};
use crate::audit::log::{self, DIGITS_MIN};
use crate::config::{self, Pipeline};
use crate::error::{Error, Result};
use crate::event::Micros;
use crate::kafka::cloud_event::{DECISION, body_of, rfc3339};
use crate::kafka::ports::Incoming as _;
use crate::kafka::versions::{self, PipelineVersion};
use crate::kafka::{Connection, whole_topic};
use crate::output::text::short_id;
use crate::verdict::Decision;

/// Say in words what two pipeline files, or what was in force at two decisions, differ in.
#[derive(Debug, Args)]
#[command(
    after_help = "Files are resolved first, so a default counts as what it means: a threshold, a guard, a window that one file leaves \
out and the other one writes as it is by default is no difference. Below the words stand the keys that differ. What may be a secret \
is not shown.

Decisions name the digest of the plan that they were made by (`inputs.policy`). `haldane run` records on the state topic what the \
file said whenever another one comes into force, its targets too; so with -c a decision, a plan or a recorded file is named by its \
id or the first digits of it, and stands for what was in force. Without BEFORE and AFTER all that were recorded are listed.

What a change would have decided is told by `haldane replay --diff`.

Exit codes: 0 compared; 2 mistake in the arguments or the files, or nothing recorded by that name; 3 no Kafka.

Examples:
  haldane diff pipelines/fraud.yaml fraud-stricter.yaml
  haldane diff main/fraud.yaml fraud.yaml >> $GITHUB_STEP_SUMMARY
  haldane diff -c fraud.yaml                                 what was in force since when
  haldane diff -c fraud.yaml b3:7c12a0 b3:93be41             what changed from one decision to the other
  haldane diff -c fraud.yaml b3:7c12a0 fraud.yaml            and since then"
)]
pub struct DiffArgs {
    /// Pipeline file as it was; with -c also a decision, a plan or a recorded file by its id.
    #[arg(value_name = "BEFORE", required_unless_present = "config", requires = "after")]
    pub before: Option<String>,
    /// The same as it is to be.
    #[arg(value_name = "AFTER")]
    pub after: Option<String>,
    /// Pipeline file that names the cluster on whose topics decisions are.
    #[arg(short, long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// What is compared.
struct Compared {
    title: String,
    plan: String,
    words: Vec<(String, Vec<String>)>,
    keys: BTreeMap<String, String>,
}

/// Runs the command.
pub fn run(args: &DiffArgs, out: &mut dyn Write) -> Result<()> {
    let log = args.config.as_deref().map(Recorded::read).transpose()?;
    let (Some(before), Some(after)) = (&args.before, &args.after) else {
        return print(out, &log.map(|log| log.list()).unwrap_or_default());
    };
    let find = |name: &str| match &log {
        Some(log) if !Path::new(name).exists() => log.find(name),
        _ => Compared::file(Path::new(name)),
    };
    let (before, after) = (find(before)?, find(after)?);
    let mut text = format!("--- {}, plan {}\n", before.title, before.plan);
    let _ = writeln!(text, "+++ {}, plan {}", after.title, after.plan);
    if before.plan == after.plan {
        text += "both decide alike\n";
    }
    in_words(&before.words, &after.words, &mut text);
    in_keys(&before.keys, &after.keys, &mut text);
    print(out, &text)
}

/// What a pipeline file says, as it is recorded.
pub(super) fn version(path: &Path, pipeline: &Pipeline) -> Result<PipelineVersion> {
    let words = check::sections(pipeline).into_iter().map(|(title, lines)| (title.to_owned(), lines)).collect();
    let about = (pipeline.plan.policy.rollout.as_str(), pipeline.plan.digest.as_str());
    Ok(PipelineVersion::of(about, words, config::keys(path)?))
}

impl Compared {
    fn file(path: &Path) -> Result<Self> {
        let PipelineVersion { plan, words, keys, .. } = version(path, &config::load(path)?)?;
        Ok(Self { title: path.display().to_string(), plan, words, keys })
    }

    fn recorded(title: String, version: &PipelineVersion) -> Self {
        let PipelineVersion { plan, words, keys, .. } = version.clone();
        Self { title, plan, words, keys }
    }
}

/// Decisions with the times of their records, and what was in force.
struct Recorded {
    decisions: Vec<Decision>,
    times: BTreeMap<String, Micros>,
    versions: Vec<PipelineVersion>,
}

impl Recorded {
    fn read(path: &Path) -> Result<Self> {
        let pipeline = config::load(path)?;
        let cluster = Connection::open(&command::cluster(&pipeline, path)?)?;
        let (rollout, mut decisions, mut times) = (&pipeline.plan.policy.rollout, Vec::new(), BTreeMap::new());
        whole_topic::read(&cluster, &cluster.settings().topics.control, |message| {
            if let Some(Ok(decision)) = body_of::<Decision>(message, DECISION)
                && decision.rollout == *rollout
                && !times.contains_key(&decision.id)
            {
                times.insert(decision.id.clone(), message.time().unwrap_or_default());
                decisions.push(decision);
            }
        })?;
        Ok(Self { decisions, times, versions: versions::read(&cluster, rollout)? })
    }

    /// By the id of a recorded file, of a plan, or of a decision.
    fn find(&self, name: &str) -> Result<Compared> {
        let digits = name.strip_prefix("b3:").unwrap_or(name);
        let fits = |id: &str| digits.len() >= DIGITS_MIN && id.trim_start_matches("b3:").starts_with(digits);
        let named = self.versions.iter().rev().find(|version| fits(&version.id) || fits(&version.plan));
        if let Some(version) = named {
            return Ok(Compared::recorded(told(version, Micros::MAX), version));
        }
        let decision = log::find(&self.decisions, name)?;
        let recorded = self.times.get(&decision.id).copied().unwrap_or_default();
        let plan = &decision.inputs.policy;
        let version = versions::in_force(&self.versions, plan, recorded).ok_or_else(|| {
            Error::user(format!("nobody has recorded the plan {plan}, under which {name} was decided"))
                .hint("a release that recorded none was at work then; compare the files, if they were kept")
        })?;
        let (action, candidate) = (decision.action.name(), &decision.candidate);
        Ok(Compared::recorded(
            format!("{action} of {candidate} ({name}), decided under {}", told(version, recorded)),
            version,
        ))
    }

    /// A line each, the one in force last.
    fn list(&self) -> String {
        if self.versions.is_empty() {
            return "nothing is recorded yet: `haldane run` records what its file says when it takes over\n".to_owned();
        }
        self.versions.iter().fold(String::new(), |text, version| {
            let since: Vec<String> = version.since.iter().map(|since| rfc3339(*since)).collect();
            let (id, plan) = (short_id(&version.id), short_id(&version.plan));
            text + &format!("{id}  plan {plan}  in force since {}\n", since.join(", "))
        })
    }
}

/// What was recorded and in force at a time, in a few words.
fn told(version: &PipelineVersion, recorded: Micros) -> String {
    let since =
        version.since(recorded).map_or_else(String::new, |since| format!(", in force since {}", rfc3339(since)));
    format!("the file {}{since}, release {}", short_id(&version.id), version.engine)
}

type Sections = [(String, Vec<String>)];

/// What `haldane check` says of one and not of the other.
fn in_words(before: &Sections, after: &Sections, text: &mut String) {
    let dropped = before.iter().filter(|(title, _)| !after.iter().any(|(known, _)| known == title));
    for (title, _) in after.iter().chain(dropped) {
        let (was, is) = (lines_of(before, title), lines_of(after, title));
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

fn lines_of<'a>(sections: &'a Sections, title: &str) -> &'a [String] {
    sections.iter().find(|(known, _)| known == title).map_or(&[], |(_, lines)| lines)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn sections(all: &[(&str, &[&str])]) -> Vec<(String, Vec<String>)> {
        let lines = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect();
        all.iter().map(|(title, said)| ((*title).to_owned(), lines(said))).collect()
    }

    fn words(before: &[(&str, &[&str])], after: &[(&str, &[&str])]) -> String {
        let mut text = String::new();
        in_words(&sections(before), &sections(after), &mut text);
        text
    }

    fn keys(all: &[(&str, &str)]) -> BTreeMap<String, String> {
        all.iter().map(|(path, value)| ((*path).to_owned(), (*value).to_owned())).collect()
    }

    fn version(plan: &str, path: &str, since: &[Micros]) -> PipelineVersion {
        let words = sections(&[("Rules", &["a: 1"])]);
        let mut version = PipelineVersion::of(("r", plan), words, keys(&[("act.path", path)]));
        version.since = since.to_vec();
        version
    }

    fn decision(id: &str, plan: &str) -> Decision {
        let line = include_str!("../../../tests/data/recorded/flights.decisions.jsonl").lines().next();
        let mut decision: Decision = serde_json::from_str(line.expect("a line")).expect("a decision");
        (decision.id, decision.inputs.policy) = (id.to_owned(), plan.to_owned());
        decision
    }

    #[test]
    fn what_was_and_what_is_stand_one_below_the_other() {
        let before: &[(&str, &[&str])] = &[("Rules", &["errors: above 1 %", "psi: above 0.2", "same: x"])];
        let after: &[(&str, &[&str])] = &[("Rules", &["same: x", "psi: above 0.1", "errors: above 2 %"])];
        let expected = "\nRules\n- errors: above 1 %\n+ errors: above 2 %\n- psi: above 0.2\n+ psi: above 0.1\n";
        assert_eq!(words(before, after), expected);
        assert_eq!(words(before, before), "", "an order alone is no difference");
    }

    #[test]
    fn sections_that_only_one_has_are_told() {
        let rules: (&str, &[&str]) = ("Rules", &["a: 1"]);
        let targets: (&str, &[&str]) = ("Targets", &["file: f"]);
        assert_eq!(words(&[rules], &[rules, targets]), "\nTargets\n+ file: f\n");
        assert_eq!(words(&[targets, rules], &[rules]), "\nTargets\n- file: f\n");
        assert_eq!(words(&[("Empty", &[])], &[]), "", "a title without lines says nothing");
    }

    #[test]
    fn keys_are_told_in_order_with_what_is_left_out() {
        let mut text = String::new();
        in_keys(
            &keys(&[("b", "1"), ("a", "1"), ("same", "1")]),
            &keys(&[("c", "2"), ("a", "2"), ("same", "1")]),
            &mut text,
        );
        let expected =
            "\nkeys of the files\n  a: 1 → 2\n  b: 1 → left out, the default\n  c: left out, the default → 2\n";
        assert_eq!(text, expected);
        let mut none = String::new();
        in_keys(&keys(&[("a", "1")]), &keys(&[("a", "1")]), &mut none);
        assert_eq!(none, "");
    }

    /// Two texts of one plan and one of another, and a decision of each plan that was recorded.
    fn log() -> Recorded {
        let plans = ["b3:aaaaaaaa11", "b3:bbbbbbbb22"];
        let versions =
            vec![version(plans[0], "old", &[10]), version(plans[0], "new", &[20]), version(plans[1], "x", &[30])];
        let decisions = vec![decision("b3:dddddddd01", plans[0]), decision("b3:dddddddd02", "b3:cccccccc33")];
        let times = [("b3:dddddddd01".to_owned(), 15), ("b3:dddddddd02".to_owned(), 40)].into();
        Recorded { decisions, times, versions }
    }

    #[test]
    fn a_name_stands_for_a_file_a_plan_or_what_was_in_force_at_a_decision() {
        let log = log();
        let path = |name: &str| log.find(name).map(|found| found.keys["act.path"].clone()).expect(name);
        assert_eq!(path("b3:aaaaaaaa"), "new", "of files with one plan the last one");
        assert_eq!(path("bbbbbbbb22"), "x");
        assert_eq!(path(&log.versions[0].id), "old");
        assert_eq!(path(&log.versions[0].id[..20]), "old");
        assert_eq!(path("b3:dddddddd01"), "old", "the other one came into force later");
        let found = log.find("dddddddd01").expect("a decision");
        assert!(found.title.starts_with("hold of ") || found.title.contains(" of "), "{}", found.title);
        assert!(found.title.contains("(dddddddd01), decided under the file "), "{}", found.title);
        assert!(found.title.contains(", in force since 1970-01-01T00:00:00.000010Z"), "{}", found.title);
    }

    #[test]
    fn what_nobody_recorded_is_said() {
        let log = log();
        let told = |name: &str| log.find(name).map(|_| ()).expect_err(name).to_string();
        assert_eq!(
            told("b3:dddddddd02"),
            "nobody has recorded the plan b3:cccccccc33, under which b3:dddddddd02 was decided"
        );
        assert_eq!(told("b3:eeeeeeee"), "no decision of the log begins with `b3:eeeeeeee`");
        assert_eq!(told("aaa"), "`aaa` is too short to name a decision", "three digits name no plan either");
    }

    #[test]
    fn texts_are_listed_with_all_times_at_which_they_came_into_force() {
        let list = |versions| Recorded { decisions: Vec::new(), times: BTreeMap::new(), versions }.list();
        assert_eq!(
            list(Vec::new()),
            "nothing is recorded yet: `haldane run` records what its file says when it takes over\n"
        );
        let one = version("b3:aaaaaaaa11", "a", &[0, 1_000_000]);
        let id = short_id(&one.id).to_owned();
        let expected = format!(
            "{id}  plan {}  in force since {}, {}\n",
            short_id("b3:aaaaaaaa11"),
            rfc3339(0),
            rfc3339(1_000_000)
        );
        assert_eq!(list(vec![one]), expected);
    }
}
