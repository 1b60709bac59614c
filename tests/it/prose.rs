//! What pages say is true: the paths that they name exist, the commands that they show are understood, and the numbers
//! that they promise are the plan's.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use clap::error::ErrorKind;
use clap::{CommandFactory as _, Parser as _};
use haldane::cli::Cli;
use haldane::name::Name as _;
use haldane::plan::GuardPlan;
use haldane::verdict::CommandName;
use serde_json::Value;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// The pages, and the files that are shipped: their name and their text.
fn pages() -> Vec<(String, String)> {
    let shipped = files().into_iter().filter(|name| name.starts_with("deploy/"));
    let pages = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"].map(str::to_owned);
    let read = |name: String| {
        let text = fs::read_to_string(Path::new(ROOT).join(&name)).unwrap();
        (name.strip_prefix("deploy/").unwrap_or(&name).to_owned(), text)
    };
    pages.into_iter().chain(shipped).map(read).collect()
}

/// Every file of the repository, from its root; what is built is left out.
fn files() -> Vec<String> {
    let mut found = Vec::new();
    let mut open = vec![PathBuf::from(ROOT)];
    while let Some(place) = open.pop() {
        for entry in fs::read_dir(place).unwrap().map(|entry| entry.unwrap().path()) {
            let name = entry.strip_prefix(ROOT).unwrap().to_string_lossy().into_owned();
            match entry.is_dir() {
                true if name == "target" || name == ".git" => {}
                true => open.push(entry),
                false => found.push(name),
            }
        }
    }
    found
}

/// Text between backticks within a line.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.lines().flat_map(|line| line.split('`').skip(1).step_by(2))
}

/// Lines of code, with those that go on put together and remarks taken away.
fn code(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut inside = false;
    let joined = text.replace("\\\n", " ");
    for line in joined.lines() {
        if line.starts_with("```") {
            inside = !inside && ["```sh", "```bash"].contains(&line);
        } else if inside {
            lines.push(line.split(" # ").next().unwrap().split("  #").next().unwrap().trim().to_owned());
        }
    }
    lines
}

/// Words as a shell takes them; what follows a pipe is another program's.
fn words(line: &str) -> Vec<String> {
    let (mut all, mut word, mut quote) = (Vec::new(), String::new(), None);
    for c in line.chars().chain([' ']) {
        match (quote, c) {
            (Some(open), _) if open == c => quote = None,
            (None, '\'' | '"') => quote = Some(c),
            (None, '|' | '>' | ';') => break,
            (None, ' ') if !word.is_empty() => all.push(std::mem::take(&mut word)),
            (None, ' ') => {}
            _ => word.push(c),
        }
    }
    all
}

/// What the command line says to these words, if it is more than that some are left out.
pub(crate) fn fault(words: &[String], whole: bool) -> Option<String> {
    let absent = (words.get(1).is_some_and(|word| word == "cluster") && !cfg!(feature = "ballista"))
        || words.iter().any(|word| word == "…" || word == "...");
    let error = Cli::try_parse_from(words).err().filter(|_| !absent)?;
    let mention = [
        ErrorKind::MissingRequiredArgument,
        ErrorKind::MissingSubcommand,
        ErrorKind::DisplayHelp,
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand,
    ];
    // A page may name a command or an option without all that it needs.
    let cut_short = error.kind() == ErrorKind::InvalidValue && error.to_string().contains("a value is required");
    (whole || !(mention.contains(&error.kind()) || cut_short)).then(|| format!("{}: {error}", words.join(" ")))
}

#[test]
fn commands_that_pages_show_are_understood() {
    let mut faults = Vec::new();
    let mut shown = 0;
    for (name, text) in pages() {
        let text = text.replace("{{ $labels.candidate }}", "v2");
        let lines = code(&text);
        let whole = lines.iter().map(|line| (line.as_str(), true));
        let said = quoted(&text).map(|line| (line, false));
        for (line, whole) in whole.chain(said) {
            let line = line.strip_prefix("cargo run -- ").map_or(line.to_owned(), |rest| format!("haldane {rest}"));
            if line.starts_with("haldane ") {
                shown += 1;
                faults.extend(fault(&words(&line), whole).map(|fault| format!("{name}: {fault}")));
            }
        }
    }
    assert!(shown > 12, "{shown} commands are shown");
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// A command's own examples, and those of the commands below it.
fn examples(command: &clap::Command) -> Vec<String> {
    let help = command.get_after_help().map(ToString::to_string).unwrap_or_default().replace("\\\n", " ");
    let own = help.lines().map(str::trim).filter(|line| line.starts_with("haldane ")).map(str::to_owned);
    own.chain(command.get_subcommands().flat_map(examples)).collect()
}

#[test]
fn examples_of_the_help_are_understood() {
    let all = examples(&Cli::command());
    assert!(all.len() > 40, "{} examples", all.len());
    let bare = |line: &String| words(line.split("  ").next().unwrap());
    let faults: Vec<String> = all.iter().map(bare).filter_map(|words| fault(&words, true)).collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn services_start_with_words_that_are_understood() {
    let read = |name: &str| fs::read_to_string(Path::new(ROOT).join("deploy").join(name)).unwrap();
    let unit = read("haldane@.service");
    let started = unit.lines().find_map(|line| line.strip_prefix("ExecStart=")).unwrap();
    let named = unit.split('`').filter_map(|quoted| quoted.strip_prefix("HALDANE_ARGS="));
    let more: Vec<&str> = named.chain([""]).collect();
    assert_eq!(more.len(), 3, "{more:?}");
    for more in more {
        assert_eq!(fault(&words(&started.replace("$HALDANE_ARGS", more)), true), None);
    }
    let image = read("Dockerfile");
    assert!(image.contains("ENTRYPOINT [\"/usr/local/bin/haldane\"]"), "arguments of a manifest follow the program");
    for manifest in ["kubernetes.yaml", "act.yaml"].map(read) {
        let args = manifest.lines().find_map(|line| line.trim().strip_prefix("args: [")).unwrap();
        let args = args.trim_end_matches(']').split(", ").map(str::to_owned);
        assert_eq!(fault(&std::iter::once("haldane".to_owned()).chain(args).collect::<Vec<_>>(), true), None);
        let user = manifest.lines().find_map(|line| line.trim().strip_prefix("runAsUser: ")).unwrap();
        assert!(image.contains(&format!("USER {user}:{user}")), "the image and a manifest name one user");
    }
}

#[test]
fn pipelines_within_shipped_files_are_understood() {
    let text = fs::read_to_string(Path::new(ROOT).join("deploy/kubernetes.yaml")).unwrap();
    let map: Value = serde_saphyr::from_str(text.split("\n---\n").next().unwrap()).unwrap();
    let pipeline = map["data"]["fraud.yaml"].as_str().unwrap();
    haldane::config::parse(pipeline, "fraud.yaml", Path::new("/nowhere")).unwrap();
}

/// What looks like a path of the repository; names in capitals stand for any.
fn is_path(word: &str) -> bool {
    let first = word.split('/').next().unwrap_or_default();
    let known = ["src", "tests", "deploy", "pipelines", "schemas", "benches", ".ci", ".cargo"].contains(&first);
    let plain = word.chars().all(|c| c.is_ascii_alphanumeric() || "/._-@".contains(c));
    let placeholder = word.contains("NAME") || word.ends_with("/name.rs");
    plain && !placeholder && (known && word.contains('/') || Path::new(word).extension().is_some_and(|end| end == "rs"))
}

#[test]
fn paths_that_pages_name_exist() {
    let files = files();
    // Profiles and stores are made by commands that the pages show.
    let made = ["pipelines/profiles"];
    let exists = |word: &str| {
        let word = word.trim_end_matches('/');
        let inside = format!("{word}/");
        files.iter().any(|file| file == word || file.starts_with(&inside) || file.ends_with(&format!("/{word}")))
    };
    let mut missing = BTreeSet::new();
    let mut named = 0;
    for (name, text) in pages() {
        let breaks = |c: char| c.is_whitespace() || "`()[]\"',;:|=".contains(c);
        let words = text.split(breaks).map(|word| word.trim_end_matches('.')).filter(|word| is_path(word));
        for word in words.filter(|word| !made.iter().any(|made| word.starts_with(made))) {
            named += 1;
            if !exists(word) {
                missing.insert(format!("{name}: {word}"));
            }
        }
    }
    assert!(named > 60, "{named} paths are named");
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn benchmarks_and_aliases_that_pages_name_exist() {
    let aliases = fs::read_to_string(Path::new(ROOT).join(".cargo/config.toml")).unwrap();
    for (page, text) in pages() {
        let lines = code(&text);
        for line in lines.iter().map(String::as_str).chain(quoted(&text)).filter(|line| line.starts_with("cargo ")) {
            let words = words(line);
            let bench = words.iter().position(|word| word == "--bench").map(|at| &words[at + 1]);
            if let Some(bench) = bench.filter(|bench| bench.as_str() != "NAME") {
                assert!(Path::new(ROOT).join(format!("benches/{bench}.rs")).exists(), "{page}: {line}");
            }
            let known = ["run", "build", "test", "bench", "install", "doc", "fmt", "clippy", "tree"];
            let command = words[1].as_str();
            assert!(known.contains(&command) || aliases.contains(&format!("{command} = ")), "{page}: {line}");
        }
    }
}

/// What `haldane check` says of a pipeline.
fn checked(guards: &str) -> String {
    let pipeline = format!(
        "pipeline: fraud\nsources:\n  predictions:\n    topic: p\n    event_time: {{ path: t, unit: us }}\n    id: id\n    \
         version: version\n    score: {{ path: score, range: [0, 1] }}\n    status: status\nrollout: {{ baseline: v1 }}\n\
         windows: {{ size: 5m }}\nguards: {guards}\n"
    );
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("fraud.yaml");
    fs::write(&path, pipeline).unwrap();
    let cli = Cli::try_parse_from(["haldane", "check", "-c", path.to_str().unwrap()]).unwrap();
    let mut out = Vec::new();
    haldane::cli::run(&cli, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn check_says_what_the_last_look_may_err() {
    for (alpha, kept) in [("1%", "0.75"), ("2%", "1.5")] {
        let said = checked(&format!("{{ alpha: {alpha}, final_look: true }}"));
        assert!(said.contains(&format!("{kept} % each are kept for one last look after 288 windows")), "{said}");
    }
    assert!(!checked("{ alpha: 1% }").contains("last look"));
}

#[test]
fn the_readme_lists_every_command() {
    let readme = fs::read_to_string(Path::new(ROOT).join("README.md")).unwrap();
    let steering: BTreeSet<String> = CommandName::ALL.iter().map(|name| name.name().replace('_', "-")).collect();
    for command in Cli::command().get_subcommands().filter(|command| !steering.contains(command.get_name())) {
        assert!(readme.contains(&format!("`{}", command.get_name())), "{} is not in the README", command.get_name());
    }
}

#[test]
fn the_readme_promises_what_guards_keep_by_default() {
    let readme = fs::read_to_string(Path::new(ROOT).join("README.md")).unwrap();
    let guard = GuardPlan::default();
    let patience = haldane::output::count(guard.patience().round() as u64);
    let (alpha, planned, enough) = (guard.alpha * 100.0, guard.planned, 1.0 / guard.alpha);
    let last = GuardPlan { final_look: true, ..guard.clone() };
    assert!((last.alpha_last() / last.alpha - 0.75).abs() < 1e-12);
    for promise in [
        format!("e-value {enough}: rollback"),
        format!("at most {alpha} % of candidates within their margins are ever rolled back"),
        format!("detector statistic {patience} ({planned} windows / {alpha} %): contain"),
        format!("at most {alpha} % of candidates like the baseline are contained in {planned} windows"),
        format!("further from the reference than a PSI of {}", guard.drift),
        format!("slower by more than {} %", (guard.latency * 100.0).round()),
        format!("keeps three quarters of the guardrails' {alpha} %"),
    ] {
        assert!(readme.contains(&promise), "{promise}");
    }
}
