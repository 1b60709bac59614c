//! The constants of the statistics, as their sources declare them.

/// A constant that is a number, or an array of numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Constant {
    pub(crate) name: String,
    /// What follows `Origin: ` in its comment; empty where that is missing.
    pub(crate) origin: String,
    /// Whether it is counted in whole numbers.
    pub(crate) is_count: bool,
    /// The line of its declaration, from 0.
    pub(crate) line: usize,
}

/// Types that are numbers, and those of them that are whole.
const NUMBERS: [&str; 5] = ["f64", "u32", "u64", "usize", "Micros"];

/// The constants of a source.
pub(crate) fn constants(text: &str) -> Vec<Constant> {
    let (mut found, mut comment) = (Vec::new(), String::new());
    for (line, declared) in text.lines().enumerate() {
        if let Some(words) = declared.strip_prefix("///") {
            comment.push_str(words);
            continue;
        }
        let comment = std::mem::take(&mut comment);
        let private =
            declared.split_once("const ").filter(|(before, _)| before.is_empty() || before.starts_with("pub"));
        let named = private.and_then(|(_, rest)| rest.split_once(" =")).and_then(|(left, _)| left.split_once(": "));
        let Some((name, kind)) = named.filter(|(_, kind)| NUMBERS.iter().any(|number| kind.contains(number))) else {
            continue;
        };
        let origin = comment.split_once("Origin: ").map_or("", |(_, origin)| origin).to_owned();
        found.push(Constant { name: name.to_owned(), origin, is_count: !kind.contains("f64"), line });
    }
    found
}
