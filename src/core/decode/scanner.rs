//! One JSON record into one row: a single pass that reads what is mapped and skips the rest.

use std::sync::Arc;

use crate::event::Poison;

use super::binding::{Binding, SourceLayout};
use super::cell;
use super::cursor::{Cursor, check_depth};
use super::flaw::Flaw;
use super::number::short_decimal;
use super::pattern::Pattern;
use super::rows::RowBuilder;
use super::trie::{HEAD, Inner, NamedElement, ROOT, Trie};

/// What is carried through one record.
pub(super) struct RecordScan<'a> {
    pub(super) cursor: Cursor<'a>,
    pub(super) trie: &'a mut Trie,
    pub(super) rows: &'a mut RowBuilder,
    /// Different for every record, to tell a key met twice from one met in the record before.
    pub(super) serial: u64,
    pub(super) layout: &'a SourceLayout,
    /// What is read.
    pub(super) bindings: &'a [Binding],
    /// For each of these, which part of a text is taken.
    pub(super) patterns: &'a mut [Option<Pattern>],
    pub(super) noted: &'a mut Noted,
}

/// What was noted of a record beside its values.
#[derive(Debug, Default)]
pub(super) struct Noted {
    /// One bit for each condition of the source that holds.
    pub(super) held: u64,
    /// Where the list of rows stands, and how deep.
    pub(super) rows: Option<(usize, u32)>,
}

impl RecordScan<'_> {
    /// Reads the whole record into the open row.
    pub(super) fn record(&mut self) -> Result<(), Flaw> {
        self.cursor.space();
        if self.cursor.peek() != b'{' {
            return Err(Flaw::malformed("expected one JSON object"));
        }
        self.object(ROOT, 1)?;
        self.cursor.space();
        if self.cursor.at == self.cursor.text.len() {
            Ok(())
        } else {
            Err(Flaw::malformed("more after the JSON object"))
        }
    }

    fn object(&mut self, node: usize, depth: u32) -> Result<(), Flaw> {
        check_depth(depth)?;
        let mut key = HEAD;
        let mut more = self.cursor.first_member(b'}');
        while more {
            key = self.key(node, key)?;
            if !self.trie.nodes[node].meet(key, self.serial) {
                return Err(self.duplicate(node, key));
            }
            self.member(node, key, depth)?;
            key = self.numbers(node, key);
            more = self.cursor.next_member(b'}')?;
        }
        Ok(())
    }

    /// Reads members as long as they are what most are: a comma, the expected key, and a short number, or null, for one
    /// column.
    /// Returns the last key that was read.
    #[inline(never)]
    fn numbers(&mut self, node: usize, mut key: usize) -> usize {
        let Self { cursor, trie, rows, serial, .. } = self;
        let (text, node, row, columns) = (cursor.text, &mut trie.nodes[node], rows.len(), &mut rows.numbers);
        let mut at = cursor.at;
        loop {
            while let Some((next, link)) = node.number(key, text, at, *serial) {
                let Some((value, end)) = short_decimal(text, at + link.length as usize) else { break };
                columns[link.column as usize].put(row, value * link.factor);
                node.meet(next, *serial);
                (at, key) = (end, next);
            }
            let Some(resumed) = node.resume(key, text, at, *serial) else { break };
            (key, at) = resumed;
        }
        cursor.at = at;
        key
    }

    /// Passes a key and its colon.
    #[inline]
    fn key(&mut self, node: usize, previous: usize) -> Result<usize, Flaw> {
        match self.trie.nodes[node].guess(previous, &self.cursor.text[self.cursor.at..]) {
            Some((key, length)) => {
                self.cursor.at += length;
                self.cursor.space();
                Ok(key)
            }
            None => self.unexpected_key(node, previous),
        }
    }

    #[cold]
    fn unexpected_key(&mut self, node: usize, previous: usize) -> Result<usize, Flaw> {
        let start = self.cursor.at;
        let text = self.cursor.text;
        let name = self.cursor.text_value("expected a key")?;
        let raw = text[start + 1..].starts_with(name) && text.get(start + 1 + name.len()) == Some(&b'"');
        let key = self.trie.nodes[node].look_up(previous, name, raw);
        self.cursor.colon()?;
        Ok(key)
    }

    #[cold]
    fn duplicate(&self, node: usize, key: usize) -> Flaw {
        let flaw = Flaw::new(Poison::DuplicateKey, "the same key twice");
        match self.trie.nodes[node].key(key).targets.first() {
            Some(target) => flaw.of(target.binding),
            None => flaw,
        }
    }

    /// Reads the value of a key.
    #[inline]
    pub(super) fn member(&mut self, node: usize, position: usize, depth: u32) -> Result<(), Flaw> {
        let key = self.trie.nodes[node].key(position);
        match (key.inner, key.targets.as_slice()) {
            (None, []) => self.cursor.skip(depth),
            (None, &[target]) => self.take(target, depth),
            (Some(Inner { object: Some(object), .. }), []) if self.cursor.peek() == b'{' => {
                self.object(object, depth + 1)
            }
            (Some(inner), _) => self.inside(node, position, inner, depth),
            (None, targets) => self.share(node, position, targets.len(), depth),
        }
    }

    /// Reads a value that others stand in, and what takes the whole of it.
    fn inside(&mut self, node: usize, position: usize, inner: Inner, depth: u32) -> Result<(), Flaw> {
        let n_targets = self.trie.nodes[node].key(position).targets.len();
        let start = self.cursor.at;
        match (self.cursor.peek(), inner) {
            (b'{', Inner { object: Some(object), .. }) => self.object(object, depth + 1)?,
            (b'[', Inner { list: Some(list), .. }) => self.list(list, depth + 1)?,
            (b'"', Inner { is_in_text: true, .. }) if n_targets == 0 => return self.in_text(node, position, depth),
            (b'n', _) if n_targets == 0 => return self.cursor.literal("null"),
            _ if n_targets == 0 => return Err(self.cursor.not(inner.wanted())),
            _ => return self.share(node, position, n_targets, depth),
        }
        let end = self.cursor.at;
        for i in 0..n_targets {
            let target = self.trie.nodes[node].key(position).targets[i];
            if target.slot.takes_whole() {
                self.cursor.at = start;
                self.take(target, depth)?;
            }
        }
        self.cursor.at = end;
        Ok(())
    }

    /// Reads the elements of a list that are mapped, and passes the others.
    fn list(&mut self, node: usize, depth: u32) -> Result<(), Flaw> {
        check_depth(depth)?;
        let mut at = 0;
        let mut more = self.cursor.first_member(b']');
        while more {
            let start = self.cursor.at;
            self.member(node, self.trie.nodes[node].place(at), depth)?;
            if !self.trie.nodes[node].named.is_empty() {
                self.named_element(node, start, depth)?;
            }
            at += 1;
            more = self.cursor.next_member(b']')?;
        }
        Ok(())
    }

    /// Reads an element once more, that begins at `start`, for each name that it has first.
    fn named_element(&mut self, node: usize, start: usize, depth: u32) -> Result<(), Flaw> {
        let end = self.cursor.at;
        for i in 0..self.trie.nodes[node].named.len() {
            let named = Arc::clone(&self.trie.nodes[node].named[i]);
            self.cursor.at = start;
            if self.is_named(&named, depth)? && self.trie.nodes[node].meet(named.position, self.serial) {
                self.cursor.at = start;
                self.member(node, named.position, depth)?;
            }
        }
        self.cursor.at = end;
        Ok(())
    }

    /// Whether the element here is known by a text. It was read before, so its grammar is right.
    fn is_named(&mut self, named: &NamedElement, depth: u32) -> Result<bool, Flaw> {
        let mut more = self.cursor.peek() == b'{' && self.cursor.first_member(b'}');
        while more {
            let is_here = self.cursor.text_value("expected a key")? == named.key.as_bytes();
            self.cursor.colon()?;
            match self.cursor.peek() {
                b'{' | b'[' | b'n' if is_here => return Ok(false),
                _ if is_here => {
                    return Ok(self.scalar("expected a text").is_ok_and(|text| cell::category(&text) == named.text));
                }
                _ => self.cursor.skip(depth + 1)?,
            }
            more = self.cursor.next_member(b'}')?;
        }
        Ok(false)
    }

    /// Reads one value for several columns.
    fn share(&mut self, node: usize, key: usize, n_targets: usize, depth: u32) -> Result<(), Flaw> {
        let start = self.cursor.at;
        for i in 0..n_targets {
            self.cursor.at = start;
            let target = self.trie.nodes[node].key(key).targets[i];
            self.take(target, depth)?;
        }
        Ok(())
    }

    /// The scan of another text into the same row.
    pub(super) fn within<'b>(&'b mut self, text: &'b [u8], scratch: &'b mut Vec<u8>) -> RecordScan<'b> {
        RecordScan {
            cursor: Cursor::new(text, scratch),
            trie: self.trie,
            rows: self.rows,
            serial: self.serial,
            layout: self.layout,
            bindings: self.bindings,
            patterns: self.patterns,
            noted: self.noted,
        }
    }

    /// Reads JSON in a text as if it stood there without quotes; a blank text is none.
    fn in_text(&mut self, node: usize, position: usize, depth: u32) -> Result<(), Flaw> {
        const WANTED: &str = "expected JSON in a text";
        check_depth(depth)?;
        let text = self.cursor.text_value(WANTED)?.to_vec();
        let mut scratch = Vec::new();
        let mut scan = self.within(&text, &mut scratch);
        scan.cursor.space();
        if scan.cursor.at == text.len() {
            return Ok(());
        }
        let read = scan.member(node, position, depth + 1);
        read.map_err(|flaw| if flaw.reason() == Poison::Malformed { Flaw::wrong_type(WANTED) } else { flaw })?;
        scan.cursor.space();
        if scan.cursor.at == text.len() { Ok(()) } else { Err(Flaw::wrong_type(WANTED)) }
    }
}
