//! Completions and man pages come out of the command line's own definitions, and every command shows how it is used.

use std::collections::BTreeSet;
use std::fs;

use clap::{Command, CommandFactory as _, Parser as _};
use haldane::cli::Cli;

fn haldane(arguments: &[&str]) -> String {
    let cli = Cli::try_parse_from(["haldane"].iter().chain(arguments)).unwrap();
    let mut printed = Vec::new();
    haldane::cli::run(&cli, &mut printed).unwrap();
    String::from_utf8(printed).unwrap()
}

/// Every command that does something, with the words that call it.
fn commands(of: &Command, path: &str, found: &mut Vec<(String, Command)>) {
    for command in of.get_subcommands().filter(|command| command.get_name() != "help") {
        let path = format!("{path} {}", command.get_name());
        if command.has_subcommands() {
            commands(command, &path, found);
        } else {
            found.push((path, command.clone()));
        }
    }
}

#[test]
fn every_command_shows_examples_that_the_command_line_accepts() {
    let mut all = Vec::new();
    commands(&Cli::command(), "haldane", &mut all);
    for (path, command) in all {
        let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        let examples: Vec<&str> = after.lines().filter(|line| line.trim_start().starts_with(&path)).collect();
        assert!(!examples.is_empty(), "{path} --help shows no example");
        for example in examples {
            let call = example.trim().split("  ").next().unwrap().split(['|', '>']).next().unwrap();
            let words = call.split_whitespace().map(|word| word.trim_matches('\''));
            // Splitting at blanks takes quoted words apart; those examples are not checked here.
            let quoted = call.contains(['\'', '"']);
            let parsed = Cli::try_parse_from(words);
            assert!(quoted || parsed.is_ok(), "{call}: {}", parsed.unwrap_err());
        }
    }
}

#[test]
fn completions_know_every_command_in_every_shell() {
    let names: BTreeSet<String> =
        Cli::command().get_subcommands().map(|command| command.get_name().to_owned()).collect();
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = haldane(&["completions", shell]);
        let missing: Vec<&String> = names.iter().filter(|name| !script.contains(name.as_str())).collect();
        assert!(missing.is_empty(), "{shell}: {missing:?}");
    }
}

#[test]
fn there_is_a_man_page_for_every_command() {
    let folder = tempfile::tempdir().unwrap();
    haldane(&["man", "--output-dir", &folder.path().display().to_string()]);
    let mut all = Vec::new();
    commands(&Cli::command(), "haldane", &mut all);
    for (path, _) in all {
        let page = fs::read_to_string(folder.path().join(path.replace(' ', "-") + ".1")).unwrap();
        assert!(page.contains("Examples:"), "{path}");
    }
    assert!(haldane(&["man"]).contains(".TH haldane 1"));
}
