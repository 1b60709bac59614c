//! Where values are in records and beside them, for formats whose records are JSON, whole or in part.

use crate::event::Poison;
use crate::plan::PathStep;

use super::Record;
use super::binding::{Binding, List, Slot, SourceLayout};
use super::cloudevents::{self, ContentMode};
use super::cursor::Cursor;
use super::flaw::Flaw;
use super::origin::Origin;
use super::pattern::Pattern;
use super::rows::RowBuilder;
use super::scanner::{Noted, RecordScan};
use super::slots::quoted;
use super::trie::{ROOT, Trie};

/// Where some values are in records.
#[derive(Debug)]
pub(super) struct Places {
    /// In an event that is the payload.
    pub(super) plain: Trie,
    /// In an event inside a structured envelope.
    pub(super) structured: Trie,
    /// In an element of each list that leads to the rows.
    pub(super) elements: Vec<Trie>,
    /// Beside the payload.
    pub(super) beside: Trie,
    /// What is read there, and its keys.
    pub(super) origins: Vec<(Origin, usize)>,
    /// For each value, which part of a text is taken.
    pub(super) patterns: Vec<Option<Pattern>>,
}

impl Places {
    /// The places of those bindings that are read; the others have other places.
    pub(super) fn new(bindings: &[Binding], lists: &[List], is_read: impl Fn(&Binding) -> bool) -> Self {
        let element = |list: &List| {
            let is_there = |binding: &Binding| binding.path.first() == Some(&list.element);
            Trie::new(bindings, |binding| is_there(binding).then(|| binding.path.steps().to_vec()))
        };
        let beside = Trie::new(bindings, beside);
        let origins = bindings.iter().filter_map(|binding| Some(Origin::of(&binding.path)?.0));
        let mut origins: Vec<_> =
            origins.filter_map(|origin| Some((beside.position(origin.name().as_bytes())?, origin))).collect();
        origins.sort_by_key(|(position, _)| *position);
        origins.dedup_by_key(|(position, _)| *position);
        Self {
            plain: Trie::new(bindings, |binding| in_event(binding).filter(|_| is_read(binding))),
            structured: Trie::new(bindings, |binding| in_envelope(binding).filter(|_| is_read(binding))),
            elements: lists.iter().map(element).collect(),
            beside,
            origins: origins.into_iter().map(|(position, origin)| (origin, position)).collect(),
            patterns: bindings.iter().map(Binding::pattern).collect(),
        }
    }
}

/// One record on its way into the open row.
pub(super) struct OpenRecord<'a> {
    pub(super) record: &'a Record<'a>,
    pub(super) payload: &'a [u8],
    pub(super) layout: &'a SourceLayout,
    pub(super) rows: &'a mut RowBuilder,
    pub(super) serial: u64,
    pub(super) scratch: &'a mut Vec<u8>,
}

impl OpenRecord<'_> {
    /// The scan of a text into the open row.
    pub(super) fn scan<'s>(
        &'s mut self,
        text: &'s [u8],
        trie: &'s mut Trie,
        (bindings, patterns): (&'s [Binding], &'s mut [Option<Pattern>]),
        noted: &'s mut Noted,
    ) -> RecordScan<'s> {
        RecordScan {
            cursor: Cursor::new(text, self.scratch),
            trie,
            rows: self.rows,
            serial: self.serial,
            layout: self.layout,
            bindings,
            patterns,
            noted,
        }
    }

    /// Reads some values.
    pub(super) fn of(&mut self, places: &mut Places, bindings: &[Binding]) -> Result<Noted, (Flaw, usize)> {
        let is_structured = cloudevents::mode(self.record.headers) == ContentMode::Structured;
        let mut noted = Noted::default();
        let trie = if is_structured { &mut places.structured } else { &mut places.plain };
        // Conditions may be all about what stands beside the payload.
        let is_read = !(trie.is_empty() && bindings.iter().all(|binding| matches!(binding.slot, Slot::Condition(_))));
        if is_read {
            let mut scan = self.scan(self.payload, trie, (bindings, &mut places.patterns), &mut noted);
            scan.record().map_err(|flaw| (flaw, scan.cursor.at))?;
        }
        if !places.origins.is_empty() {
            self.beside(places, bindings, &mut noted).map_err(|flaw| (flaw, 0))?;
        }
        Ok(noted)
    }

    /// Reads the values in an element of the list at this place among those that lead to the rows: it begins at a
    /// byte of the payload, so deep.
    pub(super) fn element(
        &mut self,
        places: &mut Places,
        bindings: &[Binding],
        list: usize,
        (from, depth): (usize, u32),
    ) -> Result<Noted, (Flaw, usize)> {
        let mut noted = Noted::default();
        let trie = &mut places.elements[list];
        let Some(position) = trie.position(self.layout.lists[list].element.as_bytes()) else { return Ok(noted) };
        let mut scan = self.scan(self.payload, trie, (bindings, &mut places.patterns), &mut noted);
        scan.cursor.at = from;
        scan.member(ROOT, position, depth).map_err(|flaw| (flaw, scan.cursor.at))?;
        Ok(noted)
    }

    /// Reads what is taken from beside the payload.
    #[cold]
    pub(super) fn beside(&mut self, places: &mut Places, bindings: &[Binding], noted: &mut Noted) -> Result<(), Flaw> {
        for (origin, position) in &places.origins {
            let Some(value) = origin.value(self.record, self.layout.lane) else { continue };
            let text = str::from_utf8(&value).map_err(|_| Flaw::new(Poison::InvalidUtf8, "not UTF-8"));
            let text = text.map_err(|flaw| match places.beside.nodes[ROOT].key(*position).targets.first() {
                Some(target) => flaw.of(target.binding),
                None => flaw,
            })?;
            let quoted = quoted(text);
            let mut scan = self.scan(&quoted, &mut places.beside, (bindings, &mut places.patterns), noted);
            scan.member(ROOT, *position, 0)?;
        }
        Ok(())
    }
}

fn key(name: &str) -> Vec<PathStep> {
    vec![PathStep::Key(name.to_owned())]
}

/// The way to a value in an event that is the payload.
fn in_event(binding: &Binding) -> Option<Vec<PathStep>> {
    let is_here = Origin::of(&binding.path).is_none() && !binding.is_in_row();
    is_here.then(|| binding.path.steps().to_vec())
}

/// The way to a value in a structured envelope.
fn in_envelope(binding: &Binding) -> Option<Vec<PathStep>> {
    match Origin::of(&binding.path) {
        None => in_event(binding).map(|steps| [key(cloudevents::DATA), steps].concat()),
        Some((Origin::Attribute(name), rest)) => Some([key(&name), rest.to_vec()].concat()),
        Some(_) => None,
    }
}

/// The way to a value beside the payload.
fn beside(binding: &Binding) -> Option<Vec<PathStep>> {
    let (origin, rest) = Origin::of(&binding.path)?;
    Some([key(&origin.name()), rest.to_vec()].concat())
}
