//! The rules of the code base that no lint knows, as tests.

use std::fs;
use std::path::{Path, PathBuf};

/// Layers of the core, lowest first: a module may use its own layer and those before it.
const LAYERS: [&[&str]; 9] = [
    &["error", "event", "batch", "plan", "kernel", "summary"],
    &["time"],
    &["infer"],
    &["scan"],
    &["metric"],
    &["verdict"],
    &["judge"],
    &["engine", "baseline"],
    &["decode"],
];

/// Lines before the tests of a file.
const FILE_LINES_MAX: usize = 500;
/// Lines of a function.
const FUNCTION_LINES_MAX: usize = 70;

fn sources(under: &str) -> Vec<(PathBuf, String)> {
    fn walk(dir: &Path, found: &mut Vec<(PathBuf, String)>) {
        for entry in fs::read_dir(dir).expect("a readable directory") {
            let path = entry.expect("a readable entry").path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("UTF-8 source");
                found.push((path, text));
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    walk(&root.join(under), &mut found);
    found.iter_mut().for_each(|(path, _)| *path = path.strip_prefix(root).expect("under the root").to_owned());
    found.sort();
    found
}

/// The part of a file before its inline tests.
fn code(text: &str) -> &str {
    text.split("\n#[cfg(test)]\nmod tests {").next().unwrap_or(text)
}

fn is_test(path: &Path) -> bool {
    path.components().any(|part| part.as_os_str() == "tests" || part.as_os_str() == "tests.rs")
}

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|modules| modules.contains(&module))
}

fn report(broken: &[String]) {
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
}

#[test]
fn core_uses_only_what_lies_below() {
    let mut broken = Vec::new();
    for (path, text) in sources("src").iter().filter(|(path, _)| !is_test(path)) {
        let module = path.iter().nth(1).unwrap().to_string_lossy().trim_end_matches(".rs").to_string();
        let Some(mine) = layer(&module) else { continue };
        for used in code(text).split("crate::").skip(1) {
            let name: String = used.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
            let Some(theirs) = layer(&name) else { continue };
            if theirs > mine {
                broken.push(format!("{}: {module} must not use crate::{name}", path.display()));
            }
        }
    }
    report(&broken);
}

#[test]
fn core_is_pure() {
    let banned =
        ["std::time", "std::fs", "std::env", "std::net", "std::thread", "println!", "async fn", "tokio", "rdkafka"];
    let mut broken = Vec::new();
    for (path, text) in sources("src").iter().filter(|(path, _)| !is_test(path)) {
        let module = path.iter().nth(1).unwrap().to_string_lossy().trim_end_matches(".rs").to_string();
        if layer(&module).is_some() {
            let found = banned.iter().filter(|word| code(text).contains(**word));
            broken.extend(found.map(|word| format!("{}: {word} has no place in the core", path.display())));
        }
    }
    report(&broken);
}

#[test]
fn every_file_says_what_it_is_for() {
    let all = ["src", "tests", "benches"].into_iter().flat_map(sources);
    let broken: Vec<_> = all
        .filter(|(_, text)| !text.starts_with("//! "))
        .map(|(path, _)| format!("{}: starts without a `//!` head", path.display()))
        .collect();
    report(&broken);
}

#[test]
fn files_and_functions_stay_short() {
    let mut broken = Vec::new();
    for (path, text) in sources("src").iter().filter(|(path, _)| !is_test(path)) {
        let n_lines = code(text).lines().count();
        if n_lines > FILE_LINES_MAX {
            broken.push(format!("{}: {n_lines} lines, at most {FILE_LINES_MAX}", path.display()));
        }
        broken.extend(
            long_functions(code(text))
                .into_iter()
                .map(|(name, n)| format!("{}: {name} has {n} lines, at most {FUNCTION_LINES_MAX}", path.display())),
        );
    }
    report(&broken);
}

/// Functions that are too long, by the indentation that rustfmt gives them.
fn long_functions(text: &str) -> Vec<(String, usize)> {
    let lines: Vec<&str> = text.lines().collect();
    let mut long = Vec::new();
    for (start, line) in lines.iter().enumerate() {
        let trimmed = line.trim_start();
        let is_fn = ["fn ", "pub fn ", "pub(crate) fn ", "pub(super) fn "].iter().any(|p| trimmed.starts_with(p));
        if !is_fn {
            continue;
        }
        let indent = &line[..line.len() - trimmed.len()];
        let end = lines[start..].iter().position(|line| *line == format!("{indent}}}"));
        if let Some(n) = end.filter(|n| n + 1 > FUNCTION_LINES_MAX) {
            long.push((trimmed.split('(').next().unwrap_or_default().to_string(), n + 1));
        }
    }
    long
}

#[test]
fn nothing_is_left_half_done() {
    let banned = [
        "TO\u{44}O",
        "FIX\u{4d}E",
        "XX\u{58}",
        "#[ignor\u{65}",
        "#[allo\u{77}(",
        "thread::slee\u{70}",
        "should_pani\u{63}",
    ];
    let mut broken = Vec::new();
    for (path, text) in ["src", "tests", "benches"].into_iter().flat_map(sources) {
        for (number, line) in (1..).zip(text.lines()) {
            let found = banned.iter().filter(|word| line.contains(**word));
            broken.extend(found.map(|word| format!("{}:{number}: {word}", path.display())));
        }
    }
    report(&broken);
}

#[test]
fn the_root_is_what_the_readme_says() {
    let expected = [
        "ARCHITECTURE.md",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "Cargo.lock",
        "Cargo.toml",
        "LICENSE",
        "README.md",
        "benches",
        "deploy",
        "pipelines",
        "schemas",
        "src",
        "target",
        "tests",
    ];
    let root = fs::read_dir(env!("CARGO_MANIFEST_DIR")).expect("the root");
    let names = root.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned());
    let strays: Vec<_> = names.filter(|name| !name.starts_with('.') && !expected.contains(&name.as_str())).collect();
    assert_eq!(strays, [""; 0]);
}

#[test]
fn the_readme_lists_every_metric() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = fs::read_to_string(&path).expect("a README");
    let (before, rest) = readme.split_once("<!-- metrics -->\n").expect("the mark before the table");
    let (_, after) = rest.split_once("<!-- /metrics -->").expect("the mark after the table");
    let fresh = format!("{before}<!-- metrics -->\n{}<!-- /metrics -->{after}", haldane::metric::table());
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, &fresh).expect("a writable README");
    }
    assert_eq!(readme, fresh, "run the tests with UPDATE=1 to rewrite the table");
}
