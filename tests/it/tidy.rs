//! The rules of the code base that no lint knows, as tests.

use std::fs;
use std::path::{Path, PathBuf};

use constants::{Constant, constants};
use haldane::metric::METRICS;
use haldane::name::Name;
use haldane::reason::ReasonCode;
use haldane::verdict::{GuardName, State};

#[path = "../../benches/common/constants.rs"]
mod constants;
mod names;

/// Layers of the engine (`src/core`), lowest first: a module may use its own layer and those before it. What stands
/// above the engine it cannot name at all: those are crates that depend on it.
const LAYERS: [&[&str]; 9] = [
    &["error", "event", "format", "name", "reason", "trust", "batch", "plan", "kernel", "summary"],
    &["time"],
    &["scan"],
    &["metric"],
    &["verdict"],
    &["judge", "act"],
    &["engine", "baseline"],
    &["decode"],
    &["sim"],
];

/// Lines before the tests of a file.
const FILE_LINES_MAX: usize = 500;
/// Columns of a line; rustfmt sees to code, and leaves comments alone.
const COLUMNS_MAX: usize = 120;
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

/// The module of the engine that a file belongs to, and how deep below the crate's root its own module is.
fn place(path: &Path) -> Option<(String, usize)> {
    let below = path.strip_prefix("src/core").ok()?.with_extension("");
    let parts: Vec<String> = below.iter().map(|part| part.to_string_lossy().into_owned()).collect();
    let depth = parts.len() - usize::from(parts.last().is_some_and(|name| name == "mod"));
    (parts[0] != "lib").then(|| (parts[0].clone(), depth))
}

/// The modules of the engine that a file names: after `crate::`, alone or in braces, and after as many `super::` as
/// lead to the root.
fn modules_named(text: &str, depth: usize) -> Vec<String> {
    let identifier = |text: &str| text.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
    let mut named: Vec<String> = Vec::new();
    for root in ["crate::".to_owned(), "super::".repeat(depth)] {
        for used in text.split(root.as_str()).skip(1).filter(|used| !used.starts_with("super::")) {
            let Some(group) = used.strip_prefix('{') else {
                named.push(identifier(used));
                continue;
            };
            let mut nested = 0_u32;
            for piece in group.split_inclusive([',', '{', '}']) {
                if nested == 0 {
                    named.push(identifier(piece.trim_start()));
                }
                match piece.chars().last() {
                    Some('{') => nested += 1,
                    Some('}') if nested == 0 => break,
                    Some('}') => nested -= 1,
                    _ => {}
                }
            }
        }
    }
    named.retain(|name| !name.is_empty());
    named
}

#[test]
fn every_way_to_name_a_module_is_seen() {
    let text = "use crate::plan::Plan; use crate::{\n event::Micros, judge::{Judge, scan}, time,\n}; super::super::metric::find()";
    assert_eq!(modules_named(text, 2), ["plan", "event", "judge", "time", "metric"]);
    assert_eq!(modules_named("use super::pane; use super::super::metric;", 3), [""; 0]);
}

#[test]
fn the_engine_uses_only_what_lies_below() {
    let mut broken = Vec::new();
    for (path, text) in sources("src/core").iter().filter(|(path, _)| !is_test(path)) {
        let Some((module, depth)) = place(path) else { continue };
        let Some(mine) = layer(&module) else {
            broken.push(format!("{}: {module} stands in no layer", path.display()));
            continue;
        };
        let above = modules_named(code(text), depth).into_iter().filter(|name| layer(name) > Some(mine));
        broken.extend(above.map(|name| format!("{}: {module} must not use {name}", path.display())));
    }
    report(&broken);
}

#[test]
fn the_engine_is_pure() {
    let banned = [
        "std::time",
        "std::fs",
        "std::env",
        "std::net",
        "std::thread",
        "std::process",
        "println!",
        "async ",
        "tokio",
        "rdkafka",
    ];
    let mut broken = Vec::new();
    let engine = ["src/core", "src/infer"].into_iter().flat_map(sources);
    for (path, text) in engine.filter(|(path, _)| !is_test(path)) {
        let found = banned.iter().filter(|word| code(&text).contains(**word));
        broken.extend(found.map(|word| format!("{}: {word} has no place in the engine", path.display())));
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
fn comments_fit_on_a_line() {
    let mut broken = Vec::new();
    for (path, text) in ["src", "tests", "benches"].into_iter().flat_map(sources) {
        let is_long = |line: &str| line.trim_start().starts_with("//") && line.chars().count() > COLUMNS_MAX;
        let long = (1..).zip(text.lines()).filter(|(_, line)| is_long(line));
        broken
            .extend(long.map(|(number, _)| format!("{}:{number}: longer than {COLUMNS_MAX} columns", path.display())));
    }
    report(&broken);
}

/// Where a constant can come from.
const ORIGINS: [&str; 5] = ["derived", "literature", "numerics", "simulation", "choice"];

#[test]
fn every_constant_of_the_statistics_says_where_it_comes_from() {
    let (mut broken, mut n) = (Vec::new(), 0);
    for (path, text) in ["src/infer", "src/core/verdict"].into_iter().flat_map(sources) {
        for Constant { name, origin, .. } in constants(code(&text)).into_iter().filter(|_| !is_test(&path)) {
            n += 1;
            if !ORIGINS.iter().any(|one| origin.starts_with(one)) {
                broken.push(format!("{}: {name} needs a line `/// Origin: ` and one of {ORIGINS:?}", path.display()));
            }
        }
    }
    assert!(n > 80, "{n} constants");
    report(&broken);
}

#[test]
fn constants_are_seen_with_their_comments() {
    let text = "/// One.\n/// Origin: choice; so.\npub(crate) const A: f64 = 1.0;\nconst B: [u32; 2] = [1, 2];\n\
                const C: &str = \"x\";\n";
    let seen = constants(text);
    assert_eq!(
        seen.iter().map(|one| (one.name.as_str(), one.is_count, one.line)).collect::<Vec<_>>(),
        [("A", false, 2), ("B", true, 3)]
    );
    assert!(seen[0].origin.starts_with("choice") && seen[1].origin.is_empty());
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
        if !is_function(trimmed) {
            continue;
        }
        // A trait says of a function what it takes and gives, and no more.
        let opens = lines[start..].iter().find(|line| line.ends_with('{') || line.ends_with(';'));
        if opens.is_some_and(|line| line.ends_with(';')) {
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

/// Whether a line begins a function, whoever may call it and however it is qualified.
fn is_function(line: &str) -> bool {
    let qualifiers = ["pub", "const", "async", "unsafe", "extern"];
    let before = line.split_once("fn ").map(|(before, _)| before);
    before.is_some_and(|before| {
        let mut words = before.split([' ', '(', ')']).filter(|word| !word.is_empty());
        (before.is_empty() || before.ends_with(' '))
            && words.all(|word| {
                qualifiers.contains(&word) || ["crate", "super", "in"].contains(&word) || word.contains("::")
            })
    })
}

#[test]
fn every_function_is_measured() {
    let begins =
        ["fn a() {", "pub fn a()", "pub(crate) const fn a()", "pub(in crate::a) async fn a()", "unsafe fn a()"];
    assert!(begins.iter().all(|line| is_function(line)));
    assert!(!["let f = |x| fn_of(x);", "// a fn that", "type F = fn (u8);"].iter().any(|line| is_function(line)));
}

#[test]
fn nothing_is_left_half_done() {
    let banned = [
        "TO\u{44}O",
        "FIX\u{4d}E",
        "XX\u{58}",
        "#[ignor\u{65}",
        "#[allo\u{77}(",
        "#![allo\u{77}(",
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
fn a_page_lists_every_metric() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas/metrics.md");
    let page = fs::read_to_string(&path).expect("a page of metrics");
    let (head, _) = page.split_once("| metric |").expect("a head before the table");
    let fresh = format!("{head}{}", haldane::metric::table());
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, &fresh).expect("a writable page");
    }
    assert_eq!(page, fresh, "run the tests with UPDATE=1 to rewrite the table");
}

/// Lines of code that hold any of these, as `file: what`.
fn lines_with(under: &str, wanted: &[String], but: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (path, text) in sources(under).iter().filter(|(path, _)| !is_test(path) && !path.ends_with(but)) {
        let lines = code(text).lines().filter(|line| !line.trim_start().starts_with("//"));
        for line in lines {
            let hits = wanted.iter().filter(|wanted| line.contains(wanted.as_str()));
            found.extend(hits.map(|wanted| format!("{}: {wanted}", path.display())));
        }
    }
    found
}

#[test]
fn reason_codes_are_spelt_in_their_table_only() {
    let is_state = |name: &str| State::ALL.iter().any(|state| state.name() == name);
    let names = ReasonCode::ALL.iter().map(|code| code.name()).filter(|name| !is_state(name));
    let literals: Vec<String> = names.map(|name| format!("\"{name}\"")).collect();
    assert!(literals.len() > 20, "{literals:?}");
    report(&lines_with("src", &literals, "src/core/reason.rs"));
}

#[test]
fn every_guard_is_in_the_list() {
    let listed = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/core/verdict/guard/list.rs"));
    let (_, listed) = listed.as_ref().expect("a list of guards").split_once("\nguards! {").expect("a list");
    let mut n = 0;
    for (path, text) in sources("src/core/verdict/guard") {
        for guard in text.lines().filter_map(|line| line.strip_prefix("impl Guard for ")?.strip_suffix(" {")) {
            n += 1;
            assert_eq!(listed.matches(&format!(": {guard};\n")).count(), 1, "{guard} of {}", path.display());
        }
    }
    assert_eq!(n, GuardName::ALL.len());
}

#[test]
fn nothing_in_the_engine_or_its_output_is_chosen_by_the_name_of_a_metric() {
    let names = METRICS.iter().map(|metric| metric.spec().name);
    let wanted: Vec<String> = names
        .flat_map(|name| [format!("== \"{name}\""), format!("!= \"{name}\""), format!("\"{name}\" =>")])
        .chain(["ends_with(\"_rate", "starts_with(\"latency", "starts_with(\"throughput"].map(str::to_owned))
        .collect();
    report(&["src/core", "src/io"].map(|under| lines_with(under, &wanted, "none")).concat());
}

/// A text in code, and the name before the parenthesis that it stands in.
struct Literal<'a> {
    line: usize,
    within: String,
    text: &'a str,
}

/// Every text of a file. Parentheses of another kind than `(` do not matter, as rustfmt writes no macro of ours with
/// them.
fn literals(code: &str) -> Vec<Literal<'_>> {
    let mut found = Vec::new();
    let mut open: Vec<String> = Vec::new();
    let mut rest = code;
    let line_of = |rest: &str| code[..code.len() - rest.len()].matches('\n').count() + 1;
    while let Some(first) = rest.chars().next() {
        let raw = rest.strip_prefix('r').map(|raw| raw.trim_start_matches('#')).filter(|raw| raw.starts_with('"'));
        let is_word = |text: &str| text.ends_with(|c: char| c.is_alphanumeric() || c == '_');
        let before = &code[..code.len() - rest.len()];
        if rest.starts_with("//") {
            rest = rest.find('\n').map_or("", |end| &rest[end..]);
        } else if let Some(raw) = raw.filter(|_| !is_word(before)) {
            let fences = rest.len() - raw.len() - 1;
            let end = format!("\"{}", "#".repeat(fences));
            let length = raw[1..].find(&end).expect("a raw text that ends");
            found.push(Literal {
                line: line_of(rest),
                within: open.last().cloned().unwrap_or_default(),
                text: &raw[1..=length],
            });
            rest = &raw[1 + length + end.len()..];
        } else if first == '"' {
            let mut escaped = false;
            let ends = |c: char| {
                let ends = c == '"' && !escaped;
                escaped = c == '\\' && !escaped;
                ends
            };
            let length = rest[1..].find(ends).expect("a text that ends");
            found.push(Literal {
                line: line_of(rest),
                within: open.last().cloned().unwrap_or_default(),
                text: &rest[1..=length],
            });
            rest = &rest[length + 2..];
        } else if let Some(length) = char_literal(rest) {
            rest = &rest[length..];
        } else {
            match first {
                '(' => {
                    let name = before.rsplit(|c: char| !c.is_alphanumeric() && c != '_' && c != '!').next();
                    open.push(name.unwrap_or_default().to_owned());
                }
                ')' => drop(open.pop()),
                _ => {}
            }
            rest = &rest[first.len_utf8()..];
        }
    }
    found
}

/// The length of a letter in quotes, which a lifetime is not.
fn char_literal(rest: &str) -> Option<usize> {
    let inside = rest.strip_prefix('\'')?;
    let letter = inside.chars().next()?;
    let length = if letter == '\\' { inside[2..].find('\'')? + 2 } else { letter.len_utf8() };
    inside[length..].starts_with('\'').then_some(length + 2)
}

/// Whether a text holds the beginning or the end of an element.
fn is_markup(text: &str) -> bool {
    text.split('<').skip(1).any(|after| {
        let name = after.trim_start_matches(['/', '!', '?']);
        let end = name.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(name.len());
        end > 0 && name.starts_with(|c: char| c.is_ascii_lowercase()) && name[end..].starts_with([' ', '>', '/', '\\'])
    })
}

#[test]
fn markup_is_made_by_its_macro_only() {
    let mut broken = Vec::new();
    let mut n = 0;
    for (path, text) in ["src/io", "src/analysis", "src/app"].into_iter().flat_map(sources) {
        if is_test(&path) || path.ends_with("src/analysis/markup.rs") {
            continue;
        }
        for Literal { line, within, text } in literals(code(&text)) {
            let is_ours = within == "html!";
            n += usize::from(is_ours);
            let at = format!("{}:{line}", path.display());
            if is_markup(text) && !is_ours {
                broken.push(format!("{at}: markup outside `html!`, where nothing is escaped: {text}"));
            }
            if is_ours && text.contains("={") {
                broken.push(format!("{at}: the value of an attribute without quotes can become others: {text}"));
            }
        }
    }
    assert!(n > 200, "{n} literals of markup");
    broken.extend(lines_with("src", &["Html::of(", "Piece for"].map(str::to_owned), "src/analysis/markup.rs"));
    report(&broken);
}

#[test]
fn markup_is_seen_wherever_it_stands() {
    let code = r##"let a: &'a str = format!(r#"<td class="n">{}</td>"#, x); // "<p>"
        html!("<p>{}</p>" "<b id={}>", f('"', '\''), "a \" <i>");
        out.push_str("</table>"); let b = ("a < b", "<{name}>", "<FILE>", '<');"##;
    let seen: Vec<_> = literals(code).into_iter().map(|one| (one.line, one.within, is_markup(one.text))).collect();
    let expected = [
        (1, "format!", true),
        (2, "html!", true),
        (2, "html!", true),
        (2, "html!", true),
        (3, "push_str", true),
        (3, "", false),
        (3, "", false),
        (3, "", false),
    ];
    assert_eq!(seen, expected.map(|(line, within, is_markup)| (line, within.to_owned(), is_markup)));
}
