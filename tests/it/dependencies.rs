//! What `.cargo/deny.toml` says of dependencies, held without the tool that it is for: licences, sources, bans, and
//! those of which there must be one version only.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Crates whose values pass between ours and others: two versions would not understand each other. One TLS of each
/// kind.
const ONCE: [&str; 9] =
    ["arrow", "datafusion", "hyper", "object_store", "openssl", "parquet", "rustls", "serde", "tokio"];

/// Packages that are resolved with all features, on every platform: those of others are fetched.
fn packages() -> Vec<Value> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["metadata", "--locked", "--format-version", "1", "--all-features"]).current_dir(ROOT);
    let output = cargo.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let nodes = metadata["resolve"]["nodes"].as_array().unwrap();
    let resolved = |package: &&Value| nodes.iter().any(|node| node["id"] == package["id"]);
    metadata["packages"].as_array().unwrap().iter().filter(resolved).cloned().collect()
}

fn name(package: &Value) -> &str {
    package["name"].as_str().unwrap()
}

/// The texts between quotes of a list in the rules.
fn listed(list: &str) -> Vec<String> {
    let rules = std::fs::read_to_string(Path::new(ROOT).join(".cargo/deny.toml")).unwrap();
    let (_, list) = rules.split_once(&format!("\n{list} = [")).unwrap();
    let (list, _) = list.split_once(']').unwrap();
    list.split('"').skip(1).step_by(2).map(str::to_owned).collect()
}

/// Whether a licence expression can be met with what is allowed.
fn is_met(expression: &str, allowed: &[String]) -> bool {
    let bare = expression.trim().trim_start_matches('(').trim_end_matches(')');
    // In all of the tree, brackets stand around choices only, and choices bind weaker elsewhere.
    if expression.contains(") AND ") || expression.contains(" AND (") {
        return expression.split(" AND ").all(|part| is_met(part, allowed));
    }
    let choices = bare.split(" OR ").flat_map(|choice| choice.split('/'));
    choices.map(str::trim).any(|choice| choice.split(" AND ").all(|one| allowed.iter().any(|ok| ok == one.trim())))
}

#[test]
fn licences_sources_and_bans_are_as_the_rules_say() {
    let (allowed, banned) = (listed("allow"), listed("deny"));
    assert!(allowed.len() > 10 && banned.len() > 3, "{allowed:?} {banned:?}");
    let mut broken = Vec::new();
    for package in packages() {
        let (name, licence) = (name(&package), package["license"].as_str().unwrap_or_default());
        if !is_met(licence, &allowed) {
            broken.push(format!("{name}: its licence `{licence}` is not allowed"));
        }
        let source = package["source"].as_str();
        if source.is_some_and(|source| !source.starts_with("registry+https://github.com/rust-lang/crates.io-index")) {
            broken.push(format!("{name}: it comes from {source:?}"));
        }
        if banned.iter().any(|one| one == name) {
            broken.push(format!("{name} is banned"));
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn what_passes_between_crates_is_there_once() {
    let mut versions: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for package in packages() {
        versions.entry(name(&package).to_owned()).or_default().push(package["version"].to_string());
    }
    for name in ONCE {
        assert_eq!(versions.get(name).map_or(0, Vec::len), 1, "{name}: {:?}", versions.get(name));
    }
}

#[test]
fn licences_are_read_as_they_are_meant() {
    let allowed = ["MIT".to_owned(), "Zlib".to_owned()];
    for met in ["MIT", "GPL-3.0 OR MIT", "GPL-3.0/MIT", "(GPL-3.0 OR MIT) AND Zlib", "MIT AND Zlib"] {
        assert!(is_met(met, &allowed), "{met}");
    }
    for unmet in ["", "GPL-3.0", "MIT AND GPL-3.0", "(MIT OR Zlib) AND GPL-3.0"] {
        assert!(!is_met(unmet, &allowed), "{unmet}");
    }
}
