//! JSON records, plain or in a `CloudEvents` envelope: one object is one row.

use std::ops::Range;
use std::sync::Arc;

use crate::event::{Poison, Reject};
use crate::plan::Plan;

use super::binding::SourceLayout;
use super::cursor::Cursor;
use super::flaw::Flaw;
use super::places::{OpenRecord, Places};
use super::rows::RowBuilder;
use super::{Decoded, Decoder, Record};

/// A line of the same length in which other numbers stand for those that JSON does not know; nothing where there are
/// none.
#[must_use]
pub fn finite(line: &[u8]) -> Option<Vec<u8>> {
    let ranges = beyond(line);
    let mut finite = line.to_vec();
    for range in ranges.iter().cloned() {
        let sign = usize::from(finite[range.start] == b'-');
        let number = &mut finite[range][sign..];
        number.fill(b'0');
        number[1] = b'.';
    }
    (!ranges.is_empty()).then_some(finite)
}

/// Where `NaN`, `Infinity`, `-Infinity` and numbers beyond the largest `f64` stand outside of texts.
pub(super) fn beyond(line: &[u8]) -> Vec<Range<usize>> {
    let (mut found, mut at, mut in_text) = (Vec::new(), 0, false);
    while let Some(&byte) = line.get(at) {
        let rest = &line[at..];
        let word = WORDS.iter().find(|word| !in_text && rest.starts_with(word)).map(|word| word.len());
        match (byte, word) {
            (_, Some(length)) => {
                found.push(at..at + length);
                at += length - 1;
            }
            (b'-' | b'0'..=b'9', None) if !in_text => {
                let is_part = |byte: &u8| byte.is_ascii_digit() || b"+-.eE".contains(byte);
                let length = rest.iter().position(|byte| !is_part(byte)).unwrap_or(rest.len());
                let number = str::from_utf8(&rest[..length]).ok().and_then(|text| text.parse::<f64>().ok());
                found.extend(number.filter(|number| number.is_infinite()).map(|_| at..at + length));
                at += length - 1;
            }
            (b'\\', None) if in_text => at += 1,
            (b'"', None) => in_text = !in_text,
            _ => {}
        }
        at += 1;
    }
    found
}

/// Numbers that JSON does not know and Python writes all the same.
const WORDS: [&[u8]; 3] = [b"NaN", b"Infinity", b"-Infinity"];

/// Decodes the JSON records of one partition.
#[derive(Debug)]
pub struct JsonDecoder {
    plan: Arc<Plan>,
    layout: SourceLayout,
    fields: Places,
    conditions: Places,
    rows: RowBuilder,
    rejects: Vec<Reject>,
    passed_over: u64,
    /// Number of records taken in all.
    serial: u64,
    scratch: Vec<u8>,
}

impl JsonDecoder {
    /// A decoder for one partition of one source of the plan.
    #[must_use]
    pub fn new(plan: &Arc<Plan>, source: u16, lane: u32) -> Self {
        let layout = SourceLayout::new(plan, source, lane);
        Self {
            plan: Arc::clone(plan),
            fields: Places::new(&layout.bindings, &layout.lists, |_| true),
            conditions: Places::new(&layout.conditions, &layout.lists, |_| true),
            rows: RowBuilder::new(&layout),
            layout,
            rejects: Vec::new(),
            passed_over: 0,
            serial: 0,
            scratch: Vec::new(),
        }
    }

    /// Reads a record into the open row, or what all its rows share, or passes it over. On failure also tells how far
    /// it came.
    fn read(&mut self, record: &Record<'_>) -> Result<Taken, (Flaw, usize)> {
        let said = record.said(&self.layout.selection).map_err(|(reason, what)| (Flaw::new(reason, what), 0))?;
        let Some(payload) = said else { return Ok(Taken::Nothing) };
        // Most records are ASCII, and that is seen in a fifth of the time.
        if !payload.is_ascii()
            && let Err(error) = str::from_utf8(payload)
        {
            return Err((Flaw::new(Poison::InvalidUtf8, "not UTF-8"), error.valid_up_to()));
        }
        self.serial += 1;
        let Self { layout, fields, conditions, rows, serial, scratch, .. } = self;
        let mut reading = OpenRecord { record, payload, layout, rows, serial: *serial, scratch };
        let wanted = layout.conditions_of_record;
        if wanted > 0 {
            let noted = reading.of(conditions, &layout.conditions).map_err(|(flaw, at)| (flaw.of_none(), at))?;
            if noted.held & wanted != wanted {
                return Ok(Taken::Nothing);
            }
        }
        let noted = reading.of(fields, &layout.bindings)?;
        match (layout.lists.first(), noted.rows) {
            (None, _) => Ok(Taken::Row),
            (Some(_), Some((at, depth))) => Ok(Taken::Rows { at, depth }),
            (Some(list), None) => Err((Flaw::new(Poison::MissingField, "missing").of(list.binding), payload.len())),
        }
    }

    /// Makes each element of a list a row, or each element of the list in it. They have what was put into the open row,
    /// too. `row` is the place of the next row in its record.
    fn elements(&mut self, record: &Record<'_>, list: usize, (at, depth): (usize, u32), row: &mut u32) {
        let payload = record.payload.unwrap_or_default();
        let shared = self.rows.take_open();
        let (mut at, mut scratch, mut is_first) = (at + 1, Vec::new(), true);
        loop {
            let mut cursor = Cursor::new(payload, &mut scratch);
            cursor.at = at;
            cursor.space();
            // The list was read before, so its grammar is right.
            let is_more = is_first || cursor.eat(b',');
            cursor.space();
            if !is_more || cursor.peek() == b']' {
                self.passed_over += u64::from(is_first);
                return;
            }
            is_first = false;
            let from = cursor.at;
            at = if cursor.skip(depth).is_ok() { cursor.at } else { return };
            self.rows.put_open(&shared);
            self.serial += 1;
            match self.element(record, list, (from, depth)) {
                Ok(Taken::Row) => self.rows.commit_row(record.offset, record.broker_time, *row),
                Ok(Taken::Rows { at, depth }) => {
                    self.elements(record, list + 1, (at, depth), row);
                    continue;
                }
                Ok(Taken::Nothing) => {
                    self.rows.roll_back();
                    self.passed_over += 1;
                    // What is around rows is none.
                    if list + 1 < self.layout.lists.len() {
                        continue;
                    }
                }
                Err((flaw, at)) => self.reject((record.offset, *row), &flaw, at),
            }
            *row += 1;
        }
    }

    /// Reads an element of a list into the open row.
    fn element(&mut self, record: &Record<'_>, list: usize, place: (usize, u32)) -> Result<Taken, (Flaw, usize)> {
        let payload = record.payload.unwrap_or_default();
        let Self { layout, fields, conditions, rows, serial, scratch, .. } = self;
        let mut reading = OpenRecord { record, payload, layout, rows, serial: *serial, scratch };
        let wanted = layout.lists[list].conditions;
        if wanted > 0 {
            let noted = reading.element(conditions, &layout.conditions, list, place);
            let noted = noted.map_err(|(flaw, at)| (flaw.of_none(), at))?;
            if noted.held & wanted != wanted {
                return Ok(Taken::Nothing);
            }
        }
        let noted = reading.element(fields, &layout.bindings, list, place)?;
        Ok(match noted.rows {
            _ if list + 1 == layout.lists.len() => Taken::Row,
            Some((at, depth)) => Taken::Rows { at, depth },
            // A list without elements is left out by many.
            None => Taken::Nothing,
        })
    }

    #[cold]
    fn reject(&mut self, (offset, row): (i64, u32), flaw: &Flaw, at: usize) {
        self.rows.roll_back();
        let field = flaw.binding().map(|binding| self.layout.bindings[usize::from(binding)].name() + ": ");
        let detail = format!("{}{} (byte {at})", field.unwrap_or_default(), flaw.what());
        self.rejects.push(Reject { offset, row, reason: flaw.reason(), detail });
    }
}

impl Decoder for JsonDecoder {
    fn push(&mut self, record: &Record<'_>) {
        match self.read(record) {
            Ok(Taken::Row) => self.rows.commit(record.offset, record.broker_time),
            Ok(Taken::Rows { at, depth }) => self.elements(record, 0, (at, depth), &mut 0),
            Ok(Taken::Nothing) => self.passed_over += 1,
            Err((flaw, at)) => self.reject((record.offset, 0), &flaw, at),
        }
    }

    fn n_pending(&self) -> usize {
        self.rows.len() + self.rejects.len() + usize::try_from(self.passed_over).unwrap_or(usize::MAX)
    }

    fn finish(&mut self) -> Decoded {
        let (rejects, passed_over) = (std::mem::take(&mut self.rejects), std::mem::take(&mut self.passed_over));
        Decoded::of_rows(&self.plan, &self.layout, &mut self.rows, rejects, passed_over)
    }
}

/// What of a record is to be taken.
enum Taken {
    /// Nothing: it is passed over.
    Nothing,
    /// One row, which is open.
    Row,
    /// A row for each element of the list that stands here, so deep.
    Rows { at: usize, depth: u32 },
}
