//! Requests and answers of model servers, as the Open Inference Protocol (V2) has them: `KServe`, Triton,
//! `MLServer`, Seldon Core.
//!
//! A record is one message, in JSON, in JSON with binary tensors behind it, or as protobuf. Its tensors have one first
//! dimension, the batch: each row of it is a row. A tensor that nothing is read of is not looked at.

mod json;
mod protobuf;
mod tensor;
mod wanted;

use std::sync::Arc;

use crate::event::{Poison, Reject};
use crate::plan::{Plan, Side};

use self::json::JsonMessage;
use self::tensor::{TensorValue, Tensors};
use self::wanted::{TensorSelection, is_tensor};
use super::binding::{Binding, Slot, SourceLayout};
use super::cell;
use super::cloudevents::{self, ContentMode};
use super::flaw::Flaw;
use super::places::{OpenRecord, Places};
use super::rows::RowBuilder;
use super::scanner::Noted;
use super::slots::{put_name, quoted};
use super::trie::{KeyTarget, ROOT, Trie};
use super::validate::RowRefusal;
use super::{Decoded, Decoder, Record};

/// Header in which Seldon Core says what a record is, such as `proto/InferModelResponse`.
const SELDON_TYPE: &str = "seldon-infer-type";
/// Bytes before a message whose schema is in a registry: 0, the schema's number, and which message of it.
const FRAME_BYTES: usize = 6;

/// Decodes the records of one partition.
#[derive(Debug)]
pub struct OpenInferenceDecoder {
    plan: Arc<Plan>,
    layout: SourceLayout,
    side: Side,
    fields: Places,
    conditions: Places,
    wanted: TensorSelection,
    tensors: Tensors,
    /// What is read of each row of the record.
    placed: Vec<Placed>,
    rows: RowBuilder,
    rejects: Vec<Reject>,
    passed_over: u64,
    /// Number of records taken in all.
    serial: u64,
    scratch: Vec<u8>,
}

/// A value that is read of each row, and where it is in this record.
#[derive(Debug, Clone, Copy)]
struct Placed {
    target: KeyTarget,
    tensor: usize,
    /// Its place in a row of the tensor, in whose rows there are `width` values.
    at: usize,
    width: usize,
    /// How many values are taken as one.
    n: usize,
}

/// How a message is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encoding {
    Json,
    /// As `data` of an envelope of `CloudEvents`.
    Enveloped,
    Protobuf,
}

impl OpenInferenceDecoder {
    /// A decoder for one partition of one source of the plan, which must say which side its records are.
    #[must_use]
    pub fn new(plan: &Arc<Plan>, source: u16, lane: u32) -> Self {
        let layout = SourceLayout::new(plan, source, lane);
        let side = plan.sources[usize::from(source)].mapping.side.expect("the side is told of sources of this format");
        let is_beside = |binding: &Binding| !is_tensor(binding, side);
        Self {
            plan: Arc::clone(plan),
            side,
            fields: Places::new(&layout.bindings, &[], is_beside),
            conditions: Places::new(&layout.conditions, &[], |_| true),
            wanted: TensorSelection::new(&layout.bindings, side),
            tensors: Tensors::default(),
            placed: Vec::new(),
            rows: RowBuilder::new(&layout),
            layout,
            rejects: Vec::new(),
            passed_over: 0,
            serial: 0,
            scratch: Vec::new(),
        }
    }

    /// Reads a record: what its rows share into the open row, and its tensors. How many rows there are; none where the
    /// record is passed over.
    fn read<'r>(&mut self, record: &Record<'r>) -> Result<Option<(&'r [u8], u32)>, RowRefusal> {
        let said = record.said(&self.layout.selection).map_err(|(reason, what)| refusal(reason, what))?;
        let Some(payload) = said else { return Ok(None) };
        let message = if payload[0] == 0 { payload.get(FRAME_BYTES..).unwrap_or_default() } else { payload };
        let encoding = self.encoding(record, message)?;
        let n_conditions = self.layout.conditions.len();
        if n_conditions > 0 && self.held(record, message, encoding)?.count_ones() as usize != n_conditions {
            return Ok(None);
        }
        self.serial += 1;
        self.tensors.clear(self.wanted.entries.len());
        self.message(record, message, encoding)?;
        let rows = self.tensors.settle(message, self.side)?;
        self.place(message)?;
        Ok(Some((message, rows)))
    }

    /// How a message is written: as a header says, or as it begins. A header may say that it is of the other side.
    fn encoding(&self, record: &Record<'_>, message: &[u8]) -> Result<Encoding, RowRefusal> {
        let header = |name: &str| {
            let named = record.headers.iter().rfind(|(header, _)| header.eq_ignore_ascii_case(name));
            named.map(|(_, value)| value.to_ascii_lowercase())
        };
        if cloudevents::mode(record.headers) == ContentMode::Structured {
            return Ok(Encoding::Enveloped);
        }
        if record.headers.is_empty() {
            return Ok(begun(message));
        }
        if let Some(kind) = header(SELDON_TYPE) {
            let other = if self.side == Side::Request { b"response".as_slice() } else { b"request" };
            if kind.ends_with(other) {
                let what = format!("header {SELDON_TYPE} tells of the other side, not of a {}", self.side.name());
                return Err(refusal(Poison::WrongType, &what));
            }
            return Ok(if kind.starts_with(b"json") { Encoding::Json } else { Encoding::Protobuf });
        }
        let is_protobuf = |kind: &[u8]| [b"protobuf".as_slice(), b"grpc"].iter().any(|word| holds(kind, word));
        Ok(match header("content-type") {
            Some(kind) if is_protobuf(&kind) => Encoding::Protobuf,
            Some(kind) if holds(&kind, b"json") => Encoding::Json,
            _ => begun(message),
        })
    }

    /// One bit for each condition that holds.
    fn held(&mut self, record: &Record<'_>, message: &[u8], encoding: Encoding) -> Result<u64, RowRefusal> {
        self.serial += 1;
        let Self { layout, conditions, rows, serial, scratch, side, .. } = self;
        let bindings = &layout.conditions;
        let mut noted = Noted::default();
        let mut reading = OpenRecord { record, payload: message, layout, rows, serial: *serial, scratch };
        let told = |(flaw, at): (Flaw, usize)| told(&flaw, bindings, at);
        match encoding {
            Encoding::Enveloped => noted = reading.of(conditions, bindings).map_err(told)?,
            Encoding::Json if !conditions.plain.is_empty() => {
                let scan = reading.scan(
                    text_of(message),
                    &mut conditions.plain,
                    (bindings, &mut conditions.patterns),
                    &mut noted,
                );
                let mut document = JsonMessage { scan, key: side.tensors(), into: None, binary: Vec::new() };
                let read = document.read();
                read.map_err(|flaw| told((flaw, document.scan.cursor.at)))?;
            }
            Encoding::Protobuf if !conditions.plain.is_empty() => {
                let head = protobuf::head(message).map_err(faulty)?;
                put_head(&mut reading, &head, conditions, bindings, &mut noted)?;
            }
            Encoding::Json | Encoding::Protobuf => {}
        }
        if encoding != Encoding::Enveloped {
            reading.beside(conditions, bindings, &mut noted).map_err(|flaw| told((flaw, 0)))?;
        }
        Ok(noted.held)
    }

    /// Reads what its rows share into the open row, and its tensors.
    fn message(&mut self, record: &Record<'_>, message: &[u8], encoding: Encoding) -> Result<(), RowRefusal> {
        let Self { layout, fields, rows, serial, scratch, side, wanted, tensors, .. } = self;
        let bindings = &layout.bindings;
        let mut noted = Noted::default();
        let mut reading = OpenRecord { record, payload: message, layout, rows, serial: *serial, scratch };
        let told = |(flaw, at): (Flaw, usize)| told(&flaw, bindings, at);
        match encoding {
            Encoding::Json => {
                let text = text_of(message);
                let scan = reading.scan(text, &mut fields.plain, (bindings, &mut fields.patterns), &mut noted);
                let mut document =
                    JsonMessage { scan, key: side.tensors(), into: Some((wanted, tensors)), binary: Vec::new() };
                let read = document.read();
                read.map_err(|flaw| told((flaw, document.scan.cursor.at)))?;
                document.take_binary(message.len()).map_err(|what| refusal(Poison::Malformed, &what))?;
            }
            Encoding::Enveloped => {
                reading.of(fields, bindings).map_err(told)?;
                let text = text_of(message);
                let mut none = Trie::new(&[], |_| None);
                let scan = reading.scan(text, &mut none, (bindings, &mut fields.patterns), &mut noted);
                let mut document =
                    JsonMessage { scan, key: side.tensors(), into: Some((wanted, tensors)), binary: Vec::new() };
                let read = document.enveloped();
                read.map_err(|flaw| told((flaw, document.scan.cursor.at)))?;
            }
            Encoding::Protobuf => {
                let head = protobuf::read(message, *side, wanted, tensors).map_err(faulty)?;
                put_head(&mut reading, &head, fields, bindings, &mut noted)?;
            }
        }
        if encoding != Encoding::Enveloped {
            reading.beside(fields, bindings, &mut noted).map_err(|flaw| told((flaw, 0)))?;
        }
        Ok(())
    }

    /// Finds what is read of each row in the tensors of this record; what is not there is not read.
    fn place(&mut self, message: &[u8]) -> Result<(), RowRefusal> {
        let Self { wanted, tensors, placed, side, .. } = self;
        placed.clear();
        for (entry, tensor) in wanted.entries.iter().zip(&tensors.of_entry) {
            let Some(tensor) = *tensor else { continue };
            let (shape, width) = (tensors.row_shape(tensor), tensors.all[tensor].width);
            for part in &entry.parts {
                let what = match place(shape, &part.indexes) {
                    _ if part.indexes.len() > shape.len() => "a row has fewer dimensions than the path".to_owned(),
                    None => continue,
                    Some((at, n)) if n == 1 || part.target.slot.takes_whole() => {
                        placed.push(Placed { target: part.target, tensor, at, width, n });
                        continue;
                    }
                    Some((_, n)) => format!("{n} values in each row, where one is read"),
                };
                let path = tensors.path(message, tensor, *side);
                return Err(refusal(Poison::WrongType, &format!("{path}: {what}")));
            }
        }
        Ok(())
    }

    /// Makes each row of the batch a row.
    fn take_rows(&mut self, record: &Record<'_>, message: &[u8], n: u32) {
        let shared = (n != 1).then(|| self.rows.take_open());
        self.passed_over += u64::from(n == 0);
        for row in 0..n {
            shared.iter().for_each(|shared| self.rows.put_open(shared));
            match self.row(record, message, row) {
                Ok(()) => self.rows.commit_row(record.offset, record.broker_time, row),
                Err(flaw) => {
                    let path = flaw.binding().map(|at| self.layout.bindings[usize::from(at)].name());
                    let detail = format!("{}: {}", path.unwrap_or_default(), flaw.what());
                    self.reject(record.offset, row, RowRefusal { reason: flaw.reason(), detail });
                }
            }
        }
    }

    /// Puts the values of one row into the open row.
    fn row(&mut self, record: &Record<'_>, message: &[u8], row: u32) -> Result<(), Flaw> {
        let Self { layout, fields, tensors, placed, rows, serial, scratch, .. } = self;
        let mut reading = OpenRecord { record, payload: message, layout, rows, serial: *serial, scratch };
        for Placed { target, tensor, at, width, n } in placed.iter() {
            let at = row as usize * width + at;
            let value = tensors.value(message, *tensor, at);
            let put = match (target.slot, value.number(), value) {
                (Slot::Number { column, factor }, Some(number), _) => {
                    reading.rows.put_number(column, number * factor);
                    Ok(())
                }
                (Slot::Text(column), _, TensorValue::Text(text)) if str::from_utf8(text).is_ok() => {
                    put_name(reading.rows, column, text)
                }
                (slot, ..) if slot.takes_whole() => {
                    best(reading.rows, slot, (at..at + n).map(|at| tensors.value(message, *tensor, at)))
                }
                (_, _, TensorValue::Json(element)) => put(&mut reading, fields, *target, message, element.at),
                _ => written(value).and_then(|text| put(&mut reading, fields, *target, &text, 0)),
            };
            put.map_err(|flaw| flaw.of(target.binding))?;
        }
        Ok(())
    }

    #[cold]
    fn reject(&mut self, offset: i64, row: u32, refusal: RowRefusal) {
        self.rows.roll_back();
        self.rejects.push(refusal.into_reject(offset, row));
    }
}

impl Decoder for OpenInferenceDecoder {
    fn push(&mut self, record: &Record<'_>) {
        match self.read(record) {
            Ok(Some((message, rows))) => self.take_rows(record, message, rows),
            Ok(None) => {
                self.rows.roll_back();
                self.passed_over += 1;
            }
            Err(refusal) => self.reject(record.offset, 0, refusal),
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

/// How a message is written, by its first bytes: JSON begins with `{`, the first field of protobuf with a line feed.
fn begun(message: &[u8]) -> Encoding {
    let text = message.trim_ascii_start();
    let follows = text.get(1..).map(<[u8]>::trim_ascii_start).and_then(<[u8]>::first);
    let is_object =
        text.first() == Some(&b'{') && (text.len() == message.len() || matches!(follows, Some(b'"' | b'}')));
    if is_object { Encoding::Json } else { Encoding::Protobuf }
}

fn holds(text: &[u8], word: &[u8]) -> bool {
    text.windows(word.len()).any(|part| part == word)
}

/// The text that a message begins with; bytes may follow it.
fn text_of(message: &[u8]) -> &[u8] {
    match str::from_utf8(message) {
        Ok(_) => message,
        Err(error) => &message[..error.valid_up_to()],
    }
}

/// The place of a value in a row of this shape, and how many values there are at it; none beyond the end of one of its
/// dimensions.
fn place(shape: &[i64], indexes: &[u32]) -> Option<(usize, usize)> {
    let (mut at, mut n, mut indexes) = (0, 1, indexes.iter());
    for &size in shape {
        let size = usize::try_from(size).unwrap_or_default();
        match indexes.next() {
            Some(&index) if index as usize >= size => return None,
            Some(&index) => at = at * size + index as usize,
            None => n *= size,
        }
    }
    Some((at * n, n))
}

/// Puts the largest of some scores, or its class, into the open row.
fn best<'a>(rows: &mut RowBuilder, slot: Slot, scores: impl Iterator<Item = TensorValue<'a>>) -> Result<(), Flaw> {
    let scores: Option<Vec<f64>> = scores.map(TensorValue::number).collect();
    let scores = scores.ok_or_else(|| Flaw::wrong_type("expected a number per class"))?;
    match (cell::top(scores.into_iter().enumerate()), slot) {
        (Some((_, score)), Slot::BestScore(column)) => rows.put_number(column, score),
        (Some((class, _)), Slot::BestClass(column)) => rows.put_text(column, class.to_string().as_bytes()),
        _ => {}
    }
    Ok(())
}

/// Puts what stands in a text of JSON at a place into the open row.
fn put(
    reading: &mut OpenRecord<'_>,
    fields: &mut Places,
    target: KeyTarget,
    text: &[u8],
    at: usize,
) -> Result<(), Flaw> {
    let (mut noted, bindings) = (Noted::default(), &reading.layout.bindings);
    let mut scan = reading.scan(text, &mut fields.plain, (bindings, &mut fields.patterns), &mut noted);
    scan.cursor.at = at;
    scan.take(target, 0)
}

/// A value as JSON writes it, or Python where JSON has no such number.
fn written(value: TensorValue<'_>) -> Result<Vec<u8>, Flaw> {
    Ok(match value {
        TensorValue::Text(text) => {
            quoted(str::from_utf8(text).map_err(|_| Flaw::new(Poison::InvalidUtf8, "not UTF-8"))?)
        }
        TensorValue::Number(number) if number.is_infinite() => {
            if number > 0.0 {
                b"Infinity".to_vec()
            } else {
                b"-Infinity".to_vec()
            }
        }
        TensorValue::Number(number) => number.to_string().into_bytes(),
        TensorValue::Signed(number) => number.to_string().into_bytes(),
        TensorValue::Unsigned(number) => number.to_string().into_bytes(),
        TensorValue::Bool(truth) => truth.to_string().into_bytes(),
        TensorValue::Json(_) => Vec::new(),
    })
}

/// Puts the fields beside the tensors of a message in protobuf where they belong.
fn put_head(
    reading: &mut OpenRecord<'_>,
    head: &protobuf::Head,
    places: &mut Places,
    bindings: &[Binding],
    noted: &mut Noted,
) -> Result<(), RowRefusal> {
    let message = reading.payload;
    let texts = [("id", &head.id), ("model_name", &head.model_name), ("model_version", &head.model_version)];
    for (name, range) in texts.into_iter().filter(|(_, range)| !range.is_empty()) {
        let Some(position) = places.plain.position(name.as_bytes()) else { continue };
        let text = str::from_utf8(&message[range.clone()]);
        let text = quoted(text.map_err(|_| refusal(Poison::InvalidUtf8, &format!("{name}: not UTF-8")))?);
        let mut scan = reading.scan(&text, &mut places.plain, (bindings, &mut places.patterns), noted);
        scan.member(ROOT, position, 0).map_err(|flaw| told(&flaw, bindings, range.start))?;
    }
    if let Some(position) = places.plain.position(b"parameters").filter(|_| !head.parameters.is_empty()) {
        let object = head.parameters(message).map_err(faulty)?;
        let mut scan = reading.scan(&object, &mut places.plain, (bindings, &mut places.patterns), noted);
        scan.member(ROOT, position, 1).map_err(|flaw| told(&flaw, bindings, head.parameters[0].start))?;
    }
    Ok(())
}

fn refusal(reason: Poison, what: &str) -> RowRefusal {
    RowRefusal { reason, detail: what.to_owned() }
}

/// What is wrong with a message in protobuf.
fn faulty((what, at): protobuf::WireFault) -> RowRefusal {
    RowRefusal { reason: Poison::Malformed, detail: format!("{what} (byte {at})") }
}

/// What is wrong with a field beside the tensors.
fn told(flaw: &Flaw, bindings: &[Binding], at: usize) -> RowRefusal {
    let field = flaw.binding().map(|binding| bindings[usize::from(binding)].name() + ": ");
    let detail = format!("{}{} (byte {at})", field.unwrap_or_default(), flaw.what());
    RowRefusal { reason: flaw.reason(), detail }
}
