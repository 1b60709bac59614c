//! Messages in JSON, of which the tensors may stand behind the text as bytes (the binary data extension of `KServe`
//! and Triton): the text ends with its object, and all that follows is the tensors that say how many bytes they have.

use std::ops::Range;

use crate::event::Poison;

use super::super::cloudevents;
use super::super::cursor::{Cursor, check_depth};
use super::super::flaw::Flaw;
use super::super::scanner::RecordScan;
use super::super::trie::ROOT;
use super::tensor::{Data, Element, Tensor, Tensors};
use super::wanted::TensorSelection;

/// One message on its way: the fields beside the tensors go into the open row.
pub(super) struct JsonMessage<'a, 'c> {
    pub(super) scan: RecordScan<'c>,
    /// The key of the tensors.
    pub(super) key: &'static str,
    /// Where wanted tensors go; none where tensors are passed over.
    pub(super) into: Option<(&'a mut TensorSelection, &'a mut Tensors)>,
    /// Bytes of the tensors that stand behind the text, and which of those kept each is.
    pub(super) binary: Vec<(usize, Option<usize>)>,
}

impl JsonMessage<'_, '_> {
    /// Reads the object that the message begins with.
    pub(super) fn read(&mut self) -> Result<(), Flaw> {
        self.scan.cursor.space();
        if self.scan.cursor.peek() != b'{' {
            return Err(Flaw::malformed("expected one JSON object"));
        }
        let (mut more, mut any_tensors) = (self.scan.cursor.first_member(b'}'), false);
        while more {
            let scan = &mut self.scan;
            let name = scan.cursor.text_value("expected a key")?;
            let is_tensors = name == self.key.as_bytes();
            let position = scan.trie.position(name);
            scan.cursor.colon()?;
            match position {
                _ if is_tensors && std::mem::replace(&mut any_tensors, true) => return Err(twice()),
                _ if is_tensors => self.tensors()?,
                Some(key) if !scan.trie.nodes[ROOT].meet(key, scan.serial) => return Err(twice()),
                Some(key) => scan.member(ROOT, key, 1)?,
                None => scan.cursor.skip(1)?,
            }
            more = self.scan.cursor.next_member(b'}')?;
        }
        Ok(())
    }

    /// Reads the message that is `data` of an envelope, which was read before: its grammar is right.
    pub(super) fn enveloped(&mut self) -> Result<(), Flaw> {
        let cursor = &mut self.scan.cursor;
        cursor.space();
        let mut more = cursor.first_member(b'}');
        while more {
            let is_data = cursor.text_value("expected a key")? == cloudevents::DATA.as_bytes();
            cursor.colon()?;
            if is_data && cursor.peek() == b'{' {
                return self.read();
            }
            cursor.skip(1)?;
            more = cursor.next_member(b'}')?;
        }
        Err(Flaw::malformed("an envelope without an object as its data"))
    }

    /// Reads the list of tensors.
    pub(super) fn tensors(&mut self) -> Result<(), Flaw> {
        let Self { scan: RecordScan { cursor, .. }, into, binary, .. } = self;
        let Some((wanted, tensors)) = into else { return cursor.skip(1) };
        match cursor.peek() {
            b'[' => {}
            b'n' => return cursor.literal("null"),
            _ => return Err(cursor.not("expected a list of tensors")),
        }
        let (mut more, mut at) = (cursor.first_member(b']'), 0);
        while more {
            tensor(cursor, at, wanted, tensors, binary)?;
            at += 1;
            more = cursor.next_member(b']')?;
        }
        Ok(())
    }

    /// Gives the bytes behind the text to their tensors; `end` is where the message ends.
    pub(super) fn take_binary(mut self, end: usize) -> Result<(), String> {
        let cursor = &mut self.scan.cursor;
        let mut at = cursor.at;
        if self.binary.is_empty() {
            cursor.space();
            return if cursor.at == end { Ok(()) } else { Err("more after the JSON object".to_owned()) };
        }
        let claimed = self.binary.iter().try_fold(0_usize, |sum, (size, _)| sum.checked_add(*size));
        if claimed != Some(end - at) {
            let claimed = claimed.map_or_else(|| "more bytes than there can be".to_owned(), |n| format!("{n} bytes"));
            return Err(format!("binary tensors claim {claimed}, and {} follow the JSON object", end - at));
        }
        let mut tensors = self.into.map(|(_, tensors)| tensors);
        for (size, kept) in self.binary {
            if let Some((tensors, kept)) = tensors.as_mut().zip(kept) {
                tensors.all[kept].data = Data::Raw(at..at + size);
            }
            at += size;
        }
        Ok(())
    }
}

fn twice() -> Flaw {
    Flaw::new(Poison::DuplicateKey, "the same key twice")
}

/// What was seen of a tensor.
#[derive(Default)]
struct RawTensor {
    name: Range<usize>,
    datatype: Range<usize>,
    shape: Option<Range<usize>>,
    /// Where its data stand.
    data: Option<usize>,
    /// Its elements, where they were read at once.
    elements: Option<Range<usize>>,
    binary: Option<usize>,
    entries: [Option<usize>; 2],
}

/// How deep a tensor is.
const DEPTH: u32 = 3;

/// Reads one tensor, and keeps it if it is wanted.
fn tensor(
    cursor: &mut Cursor<'_>,
    at: usize,
    wanted: &mut TensorSelection,
    tensors: &mut Tensors,
    binary: &mut Vec<(usize, Option<usize>)>,
) -> Result<(), Flaw> {
    if cursor.peek() != b'{' {
        return Err(cursor.not("expected a tensor"));
    }
    let dimensions = tensors.dimensions.len();
    let mut draft = RawTensor { entries: [wanted.at(at), None], ..RawTensor::default() };
    let mut more = cursor.first_member(b'}');
    while more {
        let key = TensorKey::of(cursor.text_value("expected a key")?);
        cursor.colon()?;
        match key {
            TensorKey::Name => {
                let start = cursor.at + 1;
                draft.entries[1] = wanted.named(at, cursor.text_value("expected the name of a tensor")?);
                draft.name = start..cursor.at - 1;
            }
            TensorKey::Datatype => {
                let start = cursor.at + 1;
                cursor.text_value("expected a datatype")?;
                draft.datatype = start..cursor.at - 1;
            }
            TensorKey::Shape if draft.shape.is_some() => return Err(twice()),
            TensorKey::Shape => draft.shape = Some(shape(cursor, &mut tensors.dimensions)?),
            TensorKey::Parameters => draft.binary = binary_size(cursor)?,
            TensorKey::Data if draft.data.is_some() => return Err(twice()),
            TensorKey::Data => {
                draft.data = (cursor.peek() != b'n').then_some(cursor.at);
                let is_wanted = draft.entries != [None, None] && draft.data.is_some();
                if is_wanted {
                    draft.elements = Some(listed(cursor, &mut tensors.elements)?);
                } else {
                    cursor.skip(DEPTH)?;
                }
            }
            TensorKey::Other => cursor.skip(DEPTH)?,
        }
        more = cursor.next_member(b'}')?;
    }
    if draft.binary.is_some() && draft.data.is_some() {
        return Err(Flaw::malformed("a tensor has both data and binary_data_size"));
    }
    let is_wanted = draft.entries != [None, None];
    binary.extend(draft.binary.map(|size| (size, is_wanted.then_some(tensors.all.len()))));
    if !is_wanted {
        tensors.dimensions.truncate(dimensions);
        return Ok(());
    }
    if let (Some(from), None) = (draft.data, &draft.elements) {
        // Its name came after its data.
        let end = std::mem::replace(&mut cursor.at, from);
        draft.elements = Some(listed(cursor, &mut tensors.elements)?);
        cursor.at = end;
    }
    let data = draft.elements.map_or(Data::Missing, Data::Elements);
    tensors.keep(Tensor::new(at, [draft.name, draft.datatype], draft.shape, data), draft.entries);
    Ok(())
}

/// The keys of a tensor.
enum TensorKey {
    Name,
    Shape,
    Datatype,
    Parameters,
    Data,
    Other,
}

impl TensorKey {
    fn of(name: &[u8]) -> Self {
        match name {
            b"name" => Self::Name,
            b"shape" => Self::Shape,
            b"datatype" => Self::Datatype,
            b"parameters" => Self::Parameters,
            b"data" => Self::Data,
            _ => Self::Other,
        }
    }
}

/// Reads a shape.
fn shape(cursor: &mut Cursor<'_>, dimensions: &mut Vec<i64>) -> Result<Range<usize>, Flaw> {
    const WANTED: &str = "expected a shape: a list of whole numbers";
    if cursor.peek() != b'[' {
        return Err(cursor.not(WANTED));
    }
    let from = dimensions.len();
    let mut more = cursor.first_member(b']');
    while more {
        let size = cursor.number(WANTED)?.integer();
        dimensions.push(size.ok_or_else(|| Flaw::wrong_type(WANTED))?);
        more = cursor.next_member(b']')?;
    }
    Ok(from..dimensions.len())
}

/// Reads the parameters of a tensor: how many bytes it has behind the text, if it is there.
fn binary_size(cursor: &mut Cursor<'_>) -> Result<Option<usize>, Flaw> {
    if cursor.peek() != b'{' {
        cursor.skip(DEPTH)?;
        return Ok(None);
    }
    let (mut size, mut more) = (None, cursor.first_member(b'}'));
    while more {
        let is_size = cursor.text_value("expected a key")? == b"binary_data_size";
        cursor.colon()?;
        if is_size {
            let written = cursor.number("expected a number of bytes")?.integer();
            let bytes = written.and_then(|bytes| usize::try_from(bytes).ok());
            size = Some(bytes.ok_or_else(|| Flaw::wrong_type("expected a number of bytes"))?);
        } else {
            cursor.skip(DEPTH + 1)?;
        }
        more = cursor.next_member(b'}')?;
    }
    Ok(size)
}

/// Notes the elements of the list here, those of lists in it in their order.
fn listed(cursor: &mut Cursor<'_>, elements: &mut Vec<Element>) -> Result<Range<usize>, Flaw> {
    let from = elements.len();
    if cursor.peek() == b'[' {
        list(cursor, elements, DEPTH + 1)?;
    } else {
        element(cursor, elements, DEPTH)?;
    }
    Ok(from..elements.len())
}

fn list(cursor: &mut Cursor<'_>, elements: &mut Vec<Element>, depth: u32) -> Result<(), Flaw> {
    check_depth(depth)?;
    let mut more = cursor.first_member(b']');
    while more {
        if cursor.peek() == b'[' {
            list(cursor, elements, depth + 1)?;
        } else {
            element(cursor, elements, depth)?;
        }
        more = cursor.next_member(b']')?;
    }
    Ok(())
}

#[inline]
fn element(cursor: &mut Cursor<'_>, elements: &mut Vec<Element>, depth: u32) -> Result<(), Flaw> {
    let at = cursor.at;
    let number = match cursor.peek() {
        b'-' | b'0'..=b'9' | b'N' | b'I' => Some(cursor.float("expected a value")?),
        _ => {
            cursor.skip(depth)?;
            None
        }
    };
    elements.push(Element { at, number });
    Ok(())
}
