//! One name, one meaning: few types of the product share theirs with another type.

use std::collections::BTreeMap;

use super::{code, is_test, sources};

/// How many of a hundred types may share their name: fewer than that.
const SHARED_PCT: usize = 10;

/// The types that a text defines: structs, enums, traits, unions and names for other types. Those of traits are their
/// implementations' to name.
fn types(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter_map(|line| {
        let trimmed = line.trim_start();
        let rest = match trimmed.strip_prefix("pub(") {
            Some(scoped) => scoped.split_once(") ")?.1,
            None => trimmed.strip_prefix("pub ").unwrap_or(trimmed),
        };
        let (keyword, rest) = rest.strip_prefix("unsafe ").unwrap_or(rest).split_once(' ')?;
        let is_type = match keyword {
            "struct" | "enum" | "trait" | "union" => true,
            "type" => trimmed.len() == line.len(),
            _ => false,
        };
        let name = rest.split(|c: char| !c.is_alphanumeric()).next()?;
        (is_type && name.starts_with(char::is_uppercase)).then_some(name)
    })
}

#[test]
fn every_type_is_seen() {
    let text = "pub struct A<T>(T);\n    enum B {\npub(in crate::a) trait C: D {\npub type E = u8;\n    type F = u8;\n\
                pub unsafe trait G {\n// struct H\nstruct $name;\n    pub(super) union I {\n";
    assert_eq!(types(text).collect::<Vec<_>>(), ["A", "B", "C", "E", "G", "I"]);
}

#[test]
fn few_types_share_a_name() {
    let files = sources("src");
    let mut places: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (path, text) in files.iter().filter(|(path, _)| !is_test(path)) {
        for name in types(code(text)) {
            places.entry(name).or_default().push(path.display().to_string());
        }
    }
    let n_types: usize = places.values().map(Vec::len).sum();
    places.retain(|_, files| files.len() > 1);
    let n_shared: usize = places.values().map(Vec::len).sum();
    assert!(n_shared * 100 < n_types * SHARED_PCT, "{n_shared} of {n_types} types share a name:\n{places:#?}");
}
