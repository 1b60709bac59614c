//! Where a value stands in a record: object keys and places in lists, from the outside in.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

use super::ROW;

/// First key of the paths that name headers of a record: `$header.trace-id`.
pub const HEADER: &str = "$header";

/// What stands behind a list for each of its elements, as in `instances[*]`.
const EACH: &str = "[*]";

/// The last place in a list that a path may name.
pub const INDEX_MAX: u32 = 65_535;

/// One step on the way to a value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum PathStep {
    /// The member of an object, or the column, of this name.
    Key(String),
    /// The element of a list at this place, from 0.
    Index(u32),
    /// The first element of a list that is an object in which this key has this text.
    Named(String, String),
}

impl fmt::Display for PathStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(key) => f.write_str(key),
            Self::Index(at) => write!(f, "[{at}]"),
            Self::Named(key, text) => write!(f, "[{key}={text}]"),
        }
    }
}

/// A place in a record: the way there, from the outside in, or one column name. It begins with a key.
///
/// As a text, keys are joined by dots, and places in lists stand in brackets: `features[0]`,
/// `outputs[name=probability].data[1]`. A dot or an opening bracket inside a key is written `\.` or `\[`; the name
/// after `$header.` may stand in quotes instead.
///
/// A path that has `[*]` in it begins in an element of a list. All up to the last `[*]` is its first key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path {
    steps: Vec<PathStep>,
    /// How texts on the way and at the end of it are taken.
    pub texts: Texts,
}

/// How texts are taken.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Texts {
    /// Those on the way are JSON, and looked into.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub are_json: bool,
    /// Of the one at the end that part is the value which the one group of this regular expression matches.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
}

impl Path {
    /// The steps, from the outside in.
    #[must_use]
    pub fn steps(&self) -> &[PathStep] {
        &self.steps
    }

    /// The same place, where texts are taken so.
    #[must_use]
    pub fn with(self, texts: Texts) -> Self {
        Self { texts, ..self }
    }

    /// Whether it begins in an element of the list of rows, or of a list around that.
    #[must_use]
    pub fn is_in_row(&self) -> bool {
        self.first().is_some_and(|first| first == ROW || first.ends_with(EACH))
    }

    /// The list in whose elements it begins, where it says so; none where it begins in the record.
    #[must_use]
    pub fn around(&self) -> Option<Self> {
        self.first()?.strip_suffix(EACH)?.parse().ok()
    }

    /// What paths begin with that lead into an element of the list that stands here.
    #[must_use]
    pub fn each(&self) -> String {
        self.escaped() + EACH
    }

    /// The key that it begins with.
    #[must_use]
    pub fn first(&self) -> Option<&str> {
        match self.steps.first()? {
            PathStep::Key(key) => Some(key),
            PathStep::Index(_) | PathStep::Named(..) => None,
        }
    }

    /// The key that it ends with; none where it ends in a list.
    #[must_use]
    pub fn last(&self) -> Option<&str> {
        match self.steps.last()? {
            PathStep::Key(key) => Some(key),
            PathStep::Index(_) | PathStep::Named(..) => None,
        }
    }

    /// The part before the first list; all of it where it leads through none.
    #[must_use]
    pub fn outside_of_lists(&self) -> Self {
        self.steps.iter().take_while(|step| matches!(step, PathStep::Key(_))).cloned().collect()
    }

    /// The place of an element of the list that stands here.
    #[must_use]
    pub fn element(&self, at: u32) -> Self {
        self.steps.iter().cloned().chain([PathStep::Index(at)]).collect()
    }

    /// As it is written in a pipeline file.
    #[must_use]
    pub fn escaped(&self) -> String {
        let escape = |step: &PathStep| match step {
            PathStep::Key(key) if !key.ends_with(EACH) => PathStep::Key(key.replace('.', "\\.").replace('[', "\\[")),
            other => other.clone(),
        };
        self.steps.iter().map(escape).collect::<Self>().to_string()
    }
}

impl FromIterator<PathStep> for Path {
    fn from_iter<I: IntoIterator<Item = PathStep>>(steps: I) -> Self {
        Self { steps: steps.into_iter().collect(), texts: Texts::default() }
    }
}

impl FromIterator<String> for Path {
    fn from_iter<I: IntoIterator<Item = String>>(keys: I) -> Self {
        keys.into_iter().map(PathStep::Key).collect()
    }
}

/// The steps alone, where nothing is said of texts.
impl Serialize for Path {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.texts == Texts::default() {
            return self.steps.serialize(serializer);
        }
        (&self.steps, &self.texts).serialize(serializer)
    }
}

/// As people read it: without escapes.
impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, step) in self.steps.iter().enumerate() {
            let dot = if at > 0 && matches!(step, PathStep::Key(_)) { "." } else { "" };
            write!(f, "{dot}{step}")?;
        }
        Ok(())
    }
}

impl FromStr for Path {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut rest = text;
        // An element of a list of rows, or of a list around it, is one key.
        let each = text.rsplit_once(EACH).filter(|(list, _)| !list.ends_with('\\'));
        let first = match each {
            Some((list, after)) => {
                rest = after;
                list.parse::<Self>()?.each()
            }
            None => next_key(text, &mut rest, false)?,
        };
        let mut steps = vec![PathStep::Key(first)];
        loop {
            while let Some(inside) = rest.strip_prefix('[') {
                let found = inside.split_once(']').and_then(|(inside, after)| Some((element(inside)?, after)));
                let (step, after) = found.ok_or_else(|| no_element(text))?;
                steps.push(step);
                rest = after;
            }
            match rest.strip_prefix('.') {
                Some(after) => rest = after,
                None if rest.is_empty() => return Ok(steps.into_iter().collect()),
                None => return Err(no_element(text)),
            }
            let is_header = matches!(steps.as_slice(), [PathStep::Key(first)] if first == HEADER);
            steps.push(PathStep::Key(next_key(text, &mut rest, is_header)?));
        }
    }
}

/// Takes the next key of a path.
fn next_key(text: &str, rest: &mut &str, is_header: bool) -> Result<String, String> {
    let quoted = rest.strip_prefix('"').filter(|_| is_header).and_then(|rest| rest.split_once('"'));
    let key = match quoted {
        Some((name, after)) => {
            *rest = after;
            name.to_owned()
        }
        None => key(rest),
    };
    match key.as_str() {
        "" => Err(format!("`{text}` is not a path; write keys joined by dots, such as features.amount")),
        // It would be taken for the elements of a list.
        key if key.ends_with(EACH) => Err(no_element(text)),
        _ => Ok(key),
    }
}

fn no_element(text: &str) -> String {
    format!(
        "`{text}` is not a path; write places in lists as in features[0] or outputs[name=score], and a bracket inside \
         a key as \\["
    )
}

/// Takes the key that a text begins with: all before the first dot or bracket that is not escaped.
fn key(text: &mut &str) -> String {
    let (mut key, mut chars) = (String::new(), text.chars());
    while let Some(char) = chars.clone().next().filter(|char| !['.', '['].contains(char)) {
        chars.next();
        let escaped = chars.clone().next().filter(|next| char == '\\' && ['.', '['].contains(next));
        key.push(escaped.unwrap_or(char));
        escaped.is_some().then(|| chars.next());
    }
    *text = chars.as_str();
    key
}

/// What stands between brackets.
fn element(text: &str) -> Option<PathStep> {
    if let Some((key, text)) = text.split_once('=') {
        return (!key.is_empty()).then(|| PathStep::Named(key.to_owned(), text.to_owned()));
    }
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|at| is_number && *at <= INDEX_MAX).map(PathStep::Index)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> PathStep {
        PathStep::Key(name.to_owned())
    }

    #[test]
    fn paths_are_keys_and_places_in_lists() {
        for (text, steps) in [
            ("attributes.model\\.version", vec![key("attributes"), key("model.version")]),
            ("features[0]", vec![key("features"), PathStep::Index(0)]),
            ("a[7][65535].b", vec![key("a"), PathStep::Index(7), PathStep::Index(65_535), key("b")]),
            (
                "outputs[name=p.q].data[1]",
                vec![
                    key("outputs"),
                    PathStep::Named("name".to_owned(), "p.q".to_owned()),
                    key("data"),
                    PathStep::Index(1),
                ],
            ),
            ("temp \\[C].x\\y]", vec![key("temp [C]"), key("x\\y]")]),
        ] {
            let path: Path = text.parse().expect("a path");
            assert_eq!(path.steps(), steps, "{text}");
            assert_eq!(path.escaped(), text);
        }
        let path: Path = "$header.\"a.b\"".parse().expect("a path");
        assert_eq!((path.steps(), path.escaped()), (&[key(HEADER), key("a.b")][..], "$header.a\\.b".to_owned()));
    }

    #[test]
    fn elements_of_lists_are_keys() {
        let path: Path = "a\\.b[*].c[*].d[0].e\\.f".parse().expect("a path");
        assert_eq!(path.steps(), [key("a\\.b[*].c[*]"), key("d"), PathStep::Index(0), key("e.f")]);
        assert_eq!((path.is_in_row(), path.escaped().as_str()), (true, "a\\.b[*].c[*].d[0].e\\.f"));
        let lists: Vec<_> = std::iter::successors(path.around(), Path::around).map(|list| list.escaped()).collect();
        assert_eq!(lists, ["a\\.b[*].c", "a\\.b"]);
        let whole: Path = "a[*]".parse().expect("a path");
        assert_eq!((whole.steps(), whole.around().expect("a list").each()), (&[key("a[*]")][..], "a[*]".to_owned()));
    }

    #[test]
    fn what_is_no_path_is_refused() {
        for text in [
            "",
            "a..b",
            ".a",
            "a.",
            "[0]",
            "a[",
            "a[]",
            "a[-1]",
            "a[+1]",
            "a[x]",
            "a[=x]",
            "a[0]b",
            "a[65536]",
            "[*]",
            "a[*]b",
            "a..b[*].c",
            "a\\[*]",
        ] {
            assert!(text.parse::<Path>().is_err(), "{text}");
        }
    }

    #[test]
    fn plain_paths_are_digested_as_lists_of_keys() {
        let json = |text: &str| serde_json::to_string(&text.parse::<Path>().expect("a path")).expect("encodes");
        assert_eq!(json("a.b"), r#"["a","b"]"#);
        assert_eq!(json("a[2][k=v]"), r#"["a",2,["k","v"]]"#);
        let texts = Texts { are_json: true, pattern: Some("(x)".to_owned()) };
        let path = Path { texts, ..[key("a")].into_iter().collect() };
        let json = serde_json::to_string(&path).expect("encodes");
        assert_eq!(json, r#"[["a"],{"are_json":true,"pattern":"(x)"}]"#);
    }
}
