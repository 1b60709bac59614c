//! Where a value stands in a text: in JSON or YAML by a pointer, in anything else between the words around it.
//!
//! What is found has its place in the text, so that a value can be changed there and everything else, comments too,
//! stays as somebody wrote it.

use std::fmt;
use std::ops::Range;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Location, Spanned};

use super::words::Placeholders;

/// Where a value stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Locator {
    /// Keys, positions and selectors from the outside in, as in a JSON pointer.
    Pointer(Vec<String>),
    /// The text before and after it.
    Between(String, String),
}

/// A value that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocatedValue {
    /// What it says.
    pub value: String,
    /// Where it stands in the text, in bytes.
    pub span: Range<usize>,
    /// Its JSON pointer (RFC 6901), with positions in place of selectors; empty where it was found by words.
    pub pointer: String,
}

/// The word that stands for the value in a pattern.
const HOLE: &str = "{weight}";

impl std::str::FromStr for Locator {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix('/') {
            return Ok(Self::Pointer(path.split('/').map(|part| part.replace("~1", "/").replace("~0", "~")).collect()));
        }
        match text.split_once(HOLE) {
            Some((before, after)) if !(before.is_empty() && after.is_empty()) => {
                Ok(Self::Between(before.to_owned(), after.to_owned()))
            }
            _ => Err(format!(
                "`{text}` is no place; write a pointer such as /spec/weight, or the text around it such as `{HOLE}% candidate;`"
            )),
        }
    }
}

impl fmt::Display for Locator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pointer(parts) => parts.iter().try_for_each(|part| write!(f, "/{}", escaped(part))),
            Self::Between(before, after) => write!(f, "{before}{HOLE}{after}"),
        }
    }
}

impl Locator {
    /// The same with words filled in.
    #[must_use]
    pub fn filled(&self, words: &Placeholders) -> Self {
        match self {
            Self::Pointer(parts) => Self::Pointer(parts.iter().map(|part| words.fill(part)).collect()),
            Self::Between(before, after) => Self::Between(words.fill(before), words.fill(after)),
        }
    }

    /// Finds the value; `None` where there is none.
    ///
    /// # Errors
    /// In words, when the text cannot be read, or when more than one value could be meant.
    pub fn find(&self, text: &str) -> Result<Option<LocatedValue>, String> {
        match self {
            Self::Pointer(parts) => {
                let options = serde_saphyr::options! { strict_booleans: true };
                let root: Node = serde_saphyr::from_str_with_options(text, options)
                    .map_err(|error| format!("it is neither JSON nor YAML: {}", error.without_snippet()))?;
                Ok(root.0.find(parts, text))
            }
            Self::Between(before, after) => self.between(before, after, text),
        }
    }

    fn between(&self, before: &str, after: &str, text: &str) -> Result<Option<LocatedValue>, String> {
        let mut found = None;
        // With nothing before it, a number may begin wherever no other number goes on.
        let starts: Vec<usize> = if before.is_empty() {
            let digit = |at: usize| text.as_bytes().get(at).is_some_and(|byte| byte.is_ascii_digit() || *byte == b'.');
            (0..text.len()).filter(|&at| digit(at) && (at == 0 || !digit(at - 1))).collect()
        } else {
            text.match_indices(before).map(|(at, _)| at + before.len()).collect()
        };
        for start in starts {
            let length = text[start..].bytes().take_while(|byte| byte.is_ascii_digit() || *byte == b'.').count();
            let span = start..start + length;
            if length == 0 || !text[span.end..].starts_with(after) {
                continue;
            }
            if found.is_some() {
                return Err(format!("`{self}` stands in it more than once"));
            }
            found = Some(LocatedValue { value: text[span.clone()].to_owned(), span, pointer: String::new() });
        }
        Ok(found)
    }
}

fn escaped(part: &str) -> String {
    part.replace('~', "~0").replace('/', "~1")
}

/// A value of a document, and where it stands.
#[derive(Debug)]
struct Node(LocatedContent);

#[derive(Debug)]
struct LocatedContent {
    content: Content,
    at: Location,
}

#[derive(Debug)]
enum Content {
    /// What it says, whatever its type.
    Scalar(String),
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Spanned { value: content, defined: at, .. } = Spanned::<Content>::deserialize(deserializer)?;
        Ok(Self(LocatedContent { content, at }))
    }
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;

        impl<'de> Visitor<'de> for Any {
            type Value = Content;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }

            fn visit_bool<E>(self, value: bool) -> Result<Content, E> {
                Ok(Content::Scalar(value.to_string()))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Content, E> {
                Ok(Content::Scalar(value.to_string()))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Content, E> {
                Ok(Content::Scalar(value.to_string()))
            }

            fn visit_f64<E>(self, value: f64) -> Result<Content, E> {
                Ok(Content::Scalar(value.to_string()))
            }

            fn visit_str<E>(self, value: &str) -> Result<Content, E> {
                Ok(Content::Scalar(value.to_owned()))
            }

            fn visit_unit<E>(self) -> Result<Content, E> {
                Ok(Content::Scalar(String::new()))
            }

            fn visit_none<E>(self) -> Result<Content, E> {
                Ok(Content::Scalar(String::new()))
            }

            fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Content, D::Error> {
                Content::deserialize(deserializer)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Content, A::Error> {
                let mut list = Vec::new();
                while let Some(item) = items.next_element()? {
                    list.push(item);
                }
                Ok(Content::List(list))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Content, A::Error> {
                let mut map = Vec::new();
                while let Some(field) = fields.next_entry()? {
                    map.push(field);
                }
                Ok(Content::Map(map))
            }
        }

        deserializer.deserialize_any(Any)
    }
}

impl LocatedContent {
    fn find(&self, parts: &[String], text: &str) -> Option<LocatedValue> {
        let (mut node, mut pointer) = (self, String::new());
        for part in parts {
            let (name, below) = node.below(part)?;
            pointer.push('/');
            pointer.push_str(&escaped(&name));
            node = below;
        }
        let Content::Scalar(value) = &node.content else { return None };
        let span = node.at.span();
        let start = usize::try_from(span.byte_offset()?).ok()?;
        let end = start + usize::try_from(span.byte_len()?).ok()?;
        text.get(start..end).map(|_| LocatedValue { value: value.clone(), span: start..end, pointer })
    }

    /// The value under a key, at a position, or the first that a selector `[key.key=value]` names.
    fn below(&self, part: &str) -> Option<(String, &Self)> {
        match &self.content {
            Content::Scalar(_) => None,
            Content::Map(fields) => {
                let (name, node) = fields.iter().find(|(name, _)| name == part)?;
                Some((name.clone(), &node.0))
            }
            Content::List(items) => {
                let selector = part
                    .strip_prefix('[')
                    .and_then(|part| part.strip_suffix(']'))
                    .and_then(|part| part.split_once('='));
                let at = match selector {
                    Some((path, value)) => items.iter().position(|item| item.0.says(path, value))?,
                    None => part.parse().ok()?,
                };
                Some((at.to_string(), &items.get(at)?.0))
            }
        }
    }

    fn says(&self, path: &str, value: &str) -> bool {
        let node = path.split('.').try_fold(self, |node, part| node.below(part).map(|(_, below)| below));
        node.is_some_and(|node| matches!(&node.content, Content::Scalar(said) if said == value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUTE: &str = "# a comment\nspec:\n  rules:\n  - backendRefs:\n    - { name: fraud-v1, weight: 75 } # rest\n    - name: \
                         'fraud-v2'\n      weight: 25   # ours\n";

    fn found(place: &str, text: &str) -> Option<LocatedValue> {
        place.parse::<Locator>().expect("a place").find(text).expect("it can be read")
    }

    #[test]
    fn a_pointer_finds_a_value_and_its_place_in_yaml_and_json() {
        let by_name = found("/spec/rules/0/backendRefs/[name=fraud-v2]/weight", ROUTE).expect("a weight");
        assert_eq!((by_name.value.as_str(), &ROUTE[by_name.span]), ("25", "25"));
        assert_eq!(by_name.pointer, "/spec/rules/0/backendRefs/1/weight");
        assert_eq!(found("/spec/rules/0/backendRefs/[name=fraud-v3]/weight", ROUTE), None);
        let json = "{\n\t\"ä/b\": [\n\t\t[\"candidate\", 500],\n\t\t[\"stable\", 9500]\n\t], \"s\": \"x\"}";
        let weight = found("/ä~1b/[0=stable]/1", json).expect("a weight");
        assert_eq!((&json[weight.span], weight.pointer.as_str()), ("9500", "/ä~1b/1/1"));
        let nested = "route:\n- destination: { subset: v2 }\n  weight: 7\n";
        assert_eq!(found("/route/[destination.subset=v2]/weight", nested).expect("a weight").value, "7");
        assert_eq!(found("/s", json).expect("a text").value, "x");
    }

    #[test]
    fn a_pattern_finds_the_one_number_between_its_words() {
        let nginx = "split_clients \"${remote_addr}\" $version {\n    5%  v2;\n    *   v1;\n}\n";
        let weight = found("{weight}%  v2;", nginx).expect("a weight");
        assert_eq!(&nginx[weight.span], "5");
        assert_eq!(found("{weight}%  v3;", nginx), None);
        let twice = "{weight}%;".parse::<Locator>().expect("a place").find("5%; 6%;");
        assert!(twice.expect_err("two").contains("more than once"));
        assert!("weight".parse::<Locator>().is_err() && "{weight}".parse::<Locator>().is_err());
    }

    #[test]
    fn words_in_a_place_are_no_path() {
        let words = Placeholders::default().with("candidate", "a/b");
        let place = "/x/{candidate}".parse::<Locator>().expect("a place").filled(&words);
        assert_eq!(place.find("{\"x\": {\"a/b\": 3, \"a\": {\"b\": 4}}}").expect("read").expect("found").value, "3");
        assert_eq!(place.to_string(), "/x/a~1b");
    }
}
