//! JSON records, plain or in a `CloudEvents` envelope: one object is one row.

use std::ops::Range;
use std::sync::Arc;

use crate::event::{Poison, Reject};
use crate::plan::Plan;

use super::binding::{Binding, Layout};
use super::cloudevents::{self, Mode};
use super::cursor::Cursor;
use super::flaw::Flaw;
use super::rows::RowBuilder;
use super::scanner::RecordScan;
use super::trie::{Target, Trie};
use super::{Decoded, Decoder, Record, validate};

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
    layout: Layout,
    /// Where values are in an event.
    plain: Trie,
    /// Where they are in an event inside a structured envelope.
    structured: Trie,
    rows: RowBuilder,
    rejects: Vec<Reject>,
    /// Number of records taken in all.
    serial: u64,
    scratch: Vec<u8>,
}

impl JsonDecoder {
    /// A decoder for one partition of one source of the plan.
    #[must_use]
    pub fn new(plan: &Arc<Plan>, source: u16, lane: u32) -> Self {
        let layout = Layout::new(plan, source, lane);
        Self {
            plan: Arc::clone(plan),
            plain: Trie::new(&layout.bindings, in_event),
            structured: Trie::new(&layout.bindings, in_envelope),
            rows: RowBuilder::new(&layout),
            layout,
            rejects: Vec::new(),
            serial: 0,
            scratch: Vec::new(),
        }
    }

    /// Reads a record into the open row; on failure also tells how far it came.
    fn read(&mut self, record: &Record<'_>) -> Result<(), (Flaw, usize)> {
        let payload = record.payload.filter(|payload| !payload.is_empty());
        let payload = payload.ok_or((Flaw::new(Poison::Empty, "no payload"), 0))?;
        if let Err(error) = str::from_utf8(payload) {
            return Err((Flaw::new(Poison::InvalidUtf8, "not UTF-8"), error.valid_up_to()));
        }
        let mode = cloudevents::mode(record.headers);
        self.serial += 1;
        let trie = if mode == Mode::Structured { &mut self.structured } else { &mut self.plain };
        let cursor = Cursor::new(payload, &mut self.scratch);
        let mut scan =
            RecordScan { cursor, trie, rows: &mut self.rows, serial: self.serial, positive: &self.layout.positive };
        scan.record().map_err(|flaw| (flaw, scan.cursor.at))?;
        if mode == Mode::Binary {
            self.read_attributes(record.headers).map_err(|flaw| (flaw, 0))?;
        }
        Ok(())
    }

    /// Reads what the mapping takes from the headers of a binary-mode record.
    #[cold]
    fn read_attributes(&mut self, headers: &[(&str, &[u8])]) -> Result<(), Flaw> {
        for (binding, index) in self.layout.bindings.iter().zip(0..) {
            let Some(value) = binding.attribute().and_then(|name| cloudevents::attribute(headers, name)) else {
                continue;
            };
            let text = str::from_utf8(value).map_err(|_| Flaw::new(Poison::InvalidUtf8, "not UTF-8").of(index))?;
            let quoted = serde_json::to_vec(text).expect("a text is always JSON");
            let cursor = Cursor::new(&quoted, &mut self.scratch);
            let mut scan = RecordScan {
                cursor,
                trie: &mut self.plain,
                rows: &mut self.rows,
                serial: self.serial,
                positive: &self.layout.positive,
            };
            scan.take(Target { slot: binding.slot, binding: index }, 0)?;
        }
        Ok(())
    }

    #[cold]
    fn reject(&mut self, offset: i64, flaw: &Flaw, at: usize) {
        self.rows.roll_back();
        let field = flaw.binding().map(|binding| self.layout.bindings[usize::from(binding)].name() + ": ");
        let detail = format!("{}{} (byte {at})", field.unwrap_or_default(), flaw.what());
        self.rejects.push(Reject { offset, row: 0, reason: flaw.reason(), detail });
    }
}

impl Decoder for JsonDecoder {
    fn push(&mut self, record: &Record<'_>) {
        match self.read(record) {
            Ok(()) => self.rows.commit(record.offset, record.broker_time),
            Err((flaw, at)) => self.reject(record.offset, &flaw, at),
        }
    }

    fn n_pending(&self) -> usize {
        self.rows.len() + self.rejects.len()
    }

    fn finish(&mut self) -> Decoded {
        let batch = self.rows.finish().into_batch(&self.layout);
        let offsets = batch.offset.clone();
        let (batch, findings) = validate::sift(&self.plan, &self.layout, batch, validate::Findings::new());
        let mut rejects = std::mem::take(&mut self.rejects);
        rejects.extend(findings.into_iter().map(|(row, finding)| finding.into_reject(offsets.value(row), 0)));
        rejects.sort_by_key(|reject| reject.offset);
        Decoded::new(batch, rejects)
    }
}

/// The path of a value in an event that is the payload.
fn in_event(binding: &Binding) -> Option<Vec<&str>> {
    binding.attribute().is_none().then(|| binding.path.iter().map(String::as_str).collect())
}

/// The path of a value in a structured envelope.
fn in_envelope(binding: &Binding) -> Option<Vec<&str>> {
    let event = || in_event(binding).map(|path| [vec![cloudevents::DATA], path].concat());
    binding.attribute().map(|name| vec![name]).or_else(event)
}
