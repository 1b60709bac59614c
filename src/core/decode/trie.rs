//! The mapped paths as a tree of objects and lists, where every key remembers which key followed it last time.
//!
//! Producers write their keys in the same order in (nearly) every record. So after each key the next one is guessed and
//! compared as raw bytes, quotes and colon included; only when the guess and the guess after it are wrong (an omitted
//! key) is the key read and looked up. What is remembered changes the speed, never the result.

use std::sync::Arc;

use crate::plan::PathStep;

use super::binding::{Binding, Slot};
use super::cell::category;
use super::dictionary::{Dictionary, SPREAD};
use super::text::quote;

/// Unmapped keys remembered per object; the oldest is forgotten first.
const EXTRAS_MAX: usize = 32;
/// The longest unmapped key that is remembered, in bytes.
const EXTRA_BYTES_MAX: usize = 64;
/// No value.
const NULL: &[u8] = b"null";
/// Bytes of a pattern that are compared as two words.
const WORDS_BYTES: usize = 16;

/// The place before the first key of an object, and the key of what is not remembered.
pub(super) const HEAD: usize = 0;
/// The object that is the record itself.
pub(super) const ROOT: usize = 0;

/// A value that a key feeds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct KeyTarget {
    pub(super) slot: Slot,
    /// Index of the binding, for error messages.
    pub(super) binding: u16,
}

/// One key of an object.
#[derive(Debug, Default)]
pub(super) struct TrieKey {
    pattern: KeyPattern,
    /// What its value feeds.
    pub(super) targets: Vec<KeyTarget>,
    /// What it leads to.
    pub(super) inner: Option<Inner>,
}

/// What is remembered of a key, and all that is asked of one whose value is a number for one column and nothing else: a
/// cache line.
#[derive(Debug)]
pub(super) struct KeyLink {
    /// The key that followed this one last time.
    next: usize,
    /// Serial number of the last record in which it was seen.
    seen: u64,
    /// The bytes `,"key":`, as far as `masks` say; they are matched by nothing where the value is no number.
    words: [u64; 2],
    masks: [u64; 2],
    /// How many bytes these are.
    pub(super) length: u32,
    /// Position of the number column.
    pub(super) column: u32,
    /// What the value is multiplied by.
    pub(super) factor: f64,
}

impl Default for KeyLink {
    fn default() -> Self {
        Self { next: HEAD, seen: 0, words: [1, 0], masks: [0, 0], length: 0, column: 0, factor: 1.0 }
    }
}

impl KeyLink {
    /// Makes the value of a key a number; a longer key is read as others are.
    fn read_number(&mut self, pattern: &KeyPattern, column: usize, factor: f64) {
        let bytes = [b",", pattern.bytes.as_slice()].concat();
        let (Ok(length), Ok(column)) = (u32::try_from(bytes.len()), u32::try_from(column)) else { return };
        if (2..=WORDS_BYTES).contains(&bytes.len()) {
            let KeyPattern { words, masks, .. } = KeyPattern::of(bytes);
            *self = Self { words, masks, length, column, factor, ..*self };
        }
    }

    /// Whether a text begins with these bytes and so with the key.
    #[inline]
    fn is_at(&self, [low, high]: [u64; 2]) -> bool {
        ((low & self.masks[0]) ^ self.words[0]) | ((high & self.masks[1]) ^ self.words[1]) == 0
    }

    /// Makes the value of a key no number.
    fn read_none(&mut self) {
        *self = Self { next: self.next, seen: self.seen, ..Self::default() };
    }
}

/// Where keys are whose values are numbers, by their bytes.
#[derive(Debug, Default)]
struct Index {
    /// Positions of keys, each at or after the place that its bytes call for; [`HEAD`] where there is none. They are a
    /// power of two, at most half of them taken.
    slots: Vec<usize>,
}

impl Index {
    fn new(links: &[KeyLink]) -> Self {
        let numbers = (0..).zip(links).filter(|(_, link)| link.length > 0);
        let mut index = Self { slots: vec![HEAD; (2 * numbers.clone().count()).next_power_of_two()] };
        for (position, link) in numbers {
            let mut slot = index.home(link.words);
            while index.slots[slot] != HEAD {
                slot = (slot + 1) & (index.slots.len() - 1);
            }
            index.slots[slot] = position;
        }
        index
    }

    fn home(&self, [low, high]: [u64; 2]) -> usize {
        let hash = (low.wrapping_mul(SPREAD) ^ high).wrapping_mul(SPREAD);
        (hash >> 32) as usize & (self.slots.len() - 1)
    }

    /// The key that these bytes begin with, behind a comma.
    fn find(&self, links: &[KeyLink], bytes: [u64; 2]) -> Option<usize> {
        if self.slots.len() < 2 || bytes[0] & 0xffff != u64::from(u16::from_le_bytes(*b",\"")) {
            return None;
        }
        // The quote behind the key, and the colon, are the last of its bytes.
        let quotes = [quote(bytes[0] | 0xffff), quote(bytes[1])];
        let end = if quotes[0] == 0 { 64 + quotes[1].trailing_zeros() } else { quotes[0].trailing_zeros() } / 8 + 2;
        let unused = u32::try_from(WORDS_BYTES).ok()?.checked_sub(end)?;
        let bytes = u128::from(bytes[1]) << 64 | u128::from(bytes[0]);
        let key = words((bytes & (u128::MAX >> (8 * unused))).to_le_bytes());
        let mut slot = self.home(key);
        loop {
            match self.slots[slot] {
                HEAD => return None,
                position if links[position].words == key => return Some(position),
                _ => slot = (slot + 1) & (self.slots.len() - 1),
            }
        }
    }
}

/// The object and the list that a key may lead to.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Inner {
    pub(super) object: Option<usize>,
    pub(super) list: Option<usize>,
    /// Whether a text in their place is JSON.
    pub(super) is_in_text: bool,
}

impl Inner {
    /// What its value should have been.
    pub(super) fn wanted(self) -> &'static str {
        match self {
            Self { list: None, .. } => "expected an object",
            Self { object: None, .. } => "expected a list",
            _ => "expected an object or a list",
        }
    }
}

/// The bytes `"key":`, ready for comparison.
#[derive(Debug, Default)]
struct KeyPattern {
    bytes: Vec<u8>,
    words: [u64; 2],
    masks: [u64; 2],
}

impl KeyPattern {
    /// The pattern of a key; an empty one, which matches nothing, for a key that JSON writes with escapes.
    fn new(name: &[u8]) -> Self {
        if name.iter().any(|&byte| byte < b' ' || byte == b'"' || byte == b'\\') {
            return Self::default();
        }
        Self::of([b"\"", name, b"\":"].concat())
    }

    fn of(bytes: Vec<u8>) -> Self {
        let mut padded = [0; WORDS_BYTES];
        let mut mask = [0; WORDS_BYTES];
        for (i, &byte) in bytes.iter().take(WORDS_BYTES).enumerate() {
            padded[i] = byte;
            mask[i] = u8::MAX;
        }
        Self { bytes, words: words(padded), masks: words(mask) }
    }

    /// Whether the text begins with it.
    #[inline]
    fn begins(&self, text: &[u8]) -> bool {
        let Some((head, rest)) = text.split_first_chunk::<WORDS_BYTES>() else {
            return !self.bytes.is_empty() && text.starts_with(&self.bytes);
        };
        let [low, high] = words(*head);
        let differs = ((low ^ self.words[0]) & self.masks[0]) | ((high ^ self.words[1]) & self.masks[1]);
        differs == 0
            && match self.bytes.get(WORDS_BYTES..) {
                Some(tail) => rest.starts_with(tail),
                None => !self.bytes.is_empty(),
            }
    }
}

#[inline]
fn words(bytes: [u8; WORDS_BYTES]) -> [u64; 2] {
    let both = u128::from_le_bytes(bytes);
    #[expect(clippy::cast_possible_truncation, reason = "the two halves")]
    [both as u64, (both >> 64) as u64]
}

/// One object of the record, or one list, whose keys are the places in it that are mapped.
#[derive(Debug)]
pub(super) struct TrieNode {
    /// [`HEAD`], the mapped keys, then unmapped ones that were met.
    keys: Vec<TrieKey>,
    /// For each key.
    links: Vec<KeyLink>,
    /// Of the links of numbers.
    index: Index,
    /// Names of the mapped keys; the code is the position in `keys` less one.
    names: Dictionary,
    n_mapped: usize,
    /// How many unmapped keys were remembered so far.
    n_extras: usize,
    /// Of a list: the key of each place, as far as some are mapped.
    places: Vec<usize>,
    /// Of a list: elements that are known by a text in them.
    pub(super) named: Vec<Arc<NamedElement>>,
}

/// An element of a list that is known by a text in it.
#[derive(Debug)]
pub(super) struct NamedElement {
    /// The key of the text.
    pub(super) key: String,
    /// The text, as it is compared.
    pub(super) text: String,
    /// Its position among the keys of the list.
    pub(super) position: usize,
}

impl TrieNode {
    fn new() -> Self {
        Self {
            keys: vec![TrieKey::default()],
            links: vec![KeyLink::default()],
            index: Index::default(),
            names: Dictionary::default(),
            n_mapped: 0,
            n_extras: 0,
            places: Vec::new(),
            named: Vec::new(),
        }
    }

    /// The key of a place in a list; [`HEAD`] where it is not mapped.
    #[inline]
    pub(super) fn place(&self, at: usize) -> usize {
        self.places.get(at).copied().unwrap_or(HEAD)
    }

    /// A key by position.
    #[inline]
    pub(super) fn key(&self, key: usize) -> &TrieKey {
        &self.keys[key]
    }

    /// Whether this is the first time that a mapped key is met in the record with this serial number.
    #[inline]
    pub(super) fn meet(&mut self, key: usize, serial: u64) -> bool {
        let seen = std::mem::replace(&mut self.links[key].seen, serial);
        seen != serial || key == HEAD || key > self.n_mapped
    }

    /// The key that the text begins with, if it is one of the two expected after `previous`, and its length in the
    /// text.
    #[inline]
    pub(super) fn guess(&self, previous: usize, text: &[u8]) -> Option<(usize, usize)> {
        let first = self.links[previous].next;
        if self.keys[first].pattern.begins(text) {
            return Some((first, self.keys[first].pattern.bytes.len()));
        }
        let second = self.links[first].next;
        self.keys[second].pattern.begins(text).then(|| (second, self.keys[second].pattern.bytes.len()))
    }

    /// The key that is expected after `previous`, if it stands at a place of the text behind a comma, is a number for
    /// one column, and was not met in this record.
    #[inline]
    pub(super) fn number(&self, previous: usize, text: &[u8], at: usize, serial: u64) -> Option<(usize, &KeyLink)> {
        let next = self.links[previous].next;
        let link = &self.links[next];
        let is_here = link.is_at(words(*text.get(at..)?.first_chunk()?)) && link.seen != serial;
        is_here.then_some((next, link))
    }

    /// Where [`TrieNode::number`] leads no further: passes the expected key if its value is null, or expects the key of
    /// a number that stands there instead. The last key that was passed then and the place behind it, if it was one of
    /// the two.
    #[inline(never)]
    pub(super) fn resume(&mut self, previous: usize, text: &[u8], at: usize, serial: u64) -> Option<(usize, usize)> {
        let next = self.links[previous].next;
        let link = &self.links[next];
        // Where another value is expected, it is most likely there.
        if link.length == 0 && next != HEAD {
            return None;
        }
        let here = words(*text.get(at..)?.first_chunk()?);
        if !link.is_at(here) {
            self.links[previous].next = self.index.find(&self.links, here)?;
            return Some((previous, at));
        }
        let start = at + link.length as usize;
        let is_null = link.seen != serial && text[start..].starts_with(NULL);
        (is_null && self.meet(next, serial)).then_some((next, start + NULL.len()))
    }

    /// Finds a key by name and expects it after `previous` from now on. `raw`: it was written without escapes.
    #[cold]
    pub(super) fn look_up(&mut self, previous: usize, name: &[u8], raw: bool) -> usize {
        let key = match self.names.find(name) {
            Some(code) => code.cast_unsigned() as usize + 1,
            None if raw && name.len() <= EXTRA_BYTES_MAX => self.extra(name),
            None => return HEAD,
        };
        self.links[previous].next = key;
        key
    }

    /// The position of an unmapped key, remembered from now on.
    fn extra(&mut self, name: &[u8]) -> usize {
        let first = self.n_mapped + 1;
        let pattern = KeyPattern::new(name);
        if let Some(found) = self.keys[first..].iter().position(|key| key.pattern.bytes == pattern.bytes) {
            return first + found;
        }
        let key = first + self.n_extras % EXTRAS_MAX;
        self.n_extras += 1;
        if key == self.keys.len() {
            self.keys.push(TrieKey::default());
            self.links.push(KeyLink::default());
        }
        self.keys[key].pattern = pattern;
        key
    }

    /// The position of a mapped key, made if need be. Only while the tree is built.
    fn mapped(&mut self, step: &PathStep) -> usize {
        let name = step.to_string();
        let key = self.names.intern(name.as_bytes()).cast_unsigned() as usize + 1;
        if key == self.keys.len() {
            self.links[key - 1].next = key;
            self.keys.push(TrieKey { pattern: KeyPattern::new(name.as_bytes()), ..TrieKey::default() });
            self.links.push(KeyLink::default());
            self.n_mapped += 1;
            self.note(step, key);
        }
        key
    }

    /// Notes where in a list a new key stands.
    fn note(&mut self, step: &PathStep, position: usize) {
        match step {
            PathStep::Key(_) => {}
            PathStep::Index(at) => {
                let at = *at as usize;
                self.places.resize(self.places.len().max(at + 1), HEAD);
                self.places[at] = position;
            }
            PathStep::Named(key, text) => {
                let text = category(text).to_owned();
                self.named.push(Arc::new(NamedElement { key: key.clone(), text, position }));
            }
        }
    }
}

/// All objects and lists that lead to a mapped path.
#[derive(Debug)]
pub(super) struct Trie {
    pub(super) nodes: Vec<TrieNode>,
}

impl Trie {
    /// The tree of these bindings; `locate` gives the way to each in the record, or `None` when it is not in there.
    pub(super) fn new(bindings: &[Binding], locate: impl Fn(&Binding) -> Option<Vec<PathStep>>) -> Self {
        let mut trie = Self { nodes: vec![TrieNode::new()] };
        for (binding, index) in bindings.iter().zip(0..) {
            if let Some(steps) = locate(binding) {
                trie.insert(&steps, binding, index);
            }
        }
        for node in &mut trie.nodes {
            node.index = Index::new(&node.links);
        }
        trie
    }

    /// Whether nothing is mapped.
    pub(super) fn is_empty(&self) -> bool {
        self.nodes[ROOT].n_mapped == 0
    }

    /// The position of a key of the record.
    pub(super) fn position(&self, name: &[u8]) -> Option<usize> {
        self.nodes[ROOT].names.find(name).map(|code| code.cast_unsigned() as usize + 1)
    }

    fn insert(&mut self, steps: &[PathStep], binding: &Binding, index: u16) {
        let Some((last, parents)) = steps.split_last() else { return };
        let mut node = ROOT;
        for (step, next) in parents.iter().zip(&steps[1..]) {
            let key = self.nodes[node].mapped(step);
            let inner = self.inner(node, key, !matches!(next, PathStep::Key(_)));
            let way = self.nodes[node].keys[key].inner.as_mut().expect("just made");
            way.is_in_text |= binding.path.texts.are_json;
            node = inner;
        }
        let position = self.nodes[node].mapped(last);
        let TrieNode { keys, links, .. } = &mut self.nodes[node];
        let (key, link) = (&mut keys[position], &mut links[position]);
        let slot = if binding.path.texts.pattern.is_some() { Slot::Part } else { binding.slot };
        key.targets.push(KeyTarget { slot, binding: index });
        match (key.inner, key.targets.as_slice()) {
            (None, &[KeyTarget { slot: Slot::Number { column, factor }, .. }]) => {
                link.read_number(&key.pattern, column, factor);
            }
            _ => link.read_none(),
        }
    }

    /// The object or list that a key leads to, made if need be.
    fn inner(&mut self, node: usize, key: usize, is_list: bool) -> usize {
        let n_nodes = self.nodes.len();
        self.nodes[node].links[key].read_none();
        let key = &mut self.nodes[node].keys[key];
        let inner = key.inner.get_or_insert_default();
        let place = if is_list { &mut inner.list } else { &mut inner.object };
        let child = *place.get_or_insert(n_nodes);
        if child == n_nodes {
            self.nodes.push(TrieNode::new());
        }
        child
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(names: &[&str]) -> TrieNode {
        let mut node = TrieNode::new();
        for name in names {
            node.mapped(&PathStep::Key((*name).to_owned()));
        }
        node
    }

    #[test]
    fn patterns_match_whole_keys_only() {
        for name in ["a", "thirteen_char", "exactly_14_chr", "a_name_longer_than_sixteen_bytes", ""] {
            let pattern = KeyPattern::new(name.as_bytes());
            assert!(pattern.begins(format!("\"{name}\":").as_bytes()));
            assert!(pattern.begins(format!("\"{name}\":1,\"and so on\":2}}").as_bytes()));
            assert!(!pattern.begins(format!("\"{name}x\":1,\"and so on\":2}}").as_bytes()));
            assert!(!pattern.begins(b"\"") && !pattern.begins(b""));
        }
        assert!(!KeyPattern::new(b"a\"b").begins(b"\"a\"b\": 1, and so on and on"));
        assert!(!KeyPattern::default().begins(b"anything at all, even if it is long"));
    }

    #[test]
    fn the_order_of_the_last_record_is_expected() {
        let mut node = node(&["a", "b", "c"]);
        assert_eq!(node.guess(HEAD, b"\"a\":1"), Some((1, 4)));
        assert_eq!(node.guess(1, b"\"c\":1"), Some((3, 4)), "an omitted key");
        assert_eq!(node.guess(HEAD, b"\"c\":1"), None);
        assert_eq!(node.look_up(HEAD, b"c", true), 3);
        assert_eq!(node.guess(HEAD, b"\"c\":1"), Some((3, 4)));
        let extra = node.look_up(3, b"unmapped", true);
        assert_eq!(node.guess(3, b"\"unmapped\":1"), Some((extra, 11)));
        assert_eq!(node.look_up(1, b"unmapped", true), extra);
    }

    #[test]
    fn numbers_are_found_in_any_order() {
        let names: Vec<String> = (0..40).map(|i| format!("f{i}")).chain(["x".repeat(12), "x".repeat(13)]).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).chain(["", "#", "é", "a\"b"]).collect();
        let mut node = node(&names);
        for key in 1..node.keys.len() {
            node.links[key].read_number(&node.keys[key].pattern, 100 + key, 1.0);
        }
        node.index = Index::new(&node.links);
        for (at, name) in names.iter().enumerate().rev() {
            let text = format!(",\"{name}\":1.5,\"and so on\":\"f1\":");
            let is_short = name.len() <= WORDS_BYTES - 4 && !name.contains('"');
            let expected = is_short.then_some((at + 1, name.len() + 4));
            let found = node.resume(HEAD, text.as_bytes(), 0, 7);
            let number = node.number(HEAD, text.as_bytes(), 0, 7).map(|(key, link)| (key, link.length as usize));
            assert_eq!((found, number), (is_short.then_some((HEAD, 0)), expected), "{name}");
            assert!(node.meet(at + 1, 7) && node.number(HEAD, text.as_bytes(), 0, 7).is_none(), "{name} is met once");
            assert_eq!(node.resume(HEAD, text.as_bytes(), 0, 7), None, "{name} is met once");
        }
        for text in
            [",\"f99\":1, and so on", "\"f1\":1, and so on and", ",\"f1\" :1, and so on", ",\"f1\"x1, and so on"]
        {
            assert_eq!(node.resume(HEAD, text.as_bytes(), 0, 8), None, "{text}");
        }
        let text = b",\"f1\":null,\"and so on\"";
        assert_eq!(node.resume(HEAD, text, 0, 8), Some((HEAD, 0)), "expected from now on");
        assert_eq!(node.resume(HEAD, text, 0, 8), Some((2, 10)), "and passed");
    }

    #[test]
    fn unmapped_keys_are_bounded_and_never_duplicates() {
        let mut node = node(&["a"]);
        for i in 0..1000 {
            let key = node.look_up(HEAD, format!("k{i}").as_bytes(), true);
            assert!(node.meet(key, 1));
        }
        assert_eq!(node.keys.len(), 2 + EXTRAS_MAX);
        assert!(node.meet(1, 1) && !node.meet(1, 1) && node.meet(1, 2));
        assert_eq!(node.look_up(HEAD, &[b'x'; 65], true), HEAD);
        assert_eq!(node.look_up(HEAD, b"escaped", false), HEAD);
    }
}
