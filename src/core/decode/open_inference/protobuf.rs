//! Messages in protobuf: `inference.ModelInferRequest` and `ModelInferResponse`, of which the fields that are read have
//! the same numbers, but for the raw contents.
//!
//! Source: `open_inference_grpc.proto` of the Open Inference Protocol. The wire format is read in place: what is not
//! asked for is passed over, and nothing is allocated on the word of a length.

use std::ops::Range;

use crate::plan::Side;

use super::tensor::{Data, Datatype, Tensor, Tensors, kind};
use super::wanted::TensorSelection;

/// What is wrong with a message, and the byte where it was seen.
pub(super) type WireFault = (String, usize);

/// The fields of a message beside its tensors. Ranges are those of the message; absent and empty is the same.
#[derive(Debug, Default)]
pub(super) struct Head {
    pub(super) model_name: Range<usize>,
    pub(super) model_version: Range<usize>,
    pub(super) id: Range<usize>,
    pub(super) parameters: Vec<Range<usize>>,
}

/// A place among the fields of a message.
struct FieldCursor<'a> {
    text: &'a [u8],
    at: usize,
    end: usize,
}

/// The value of one field.
enum WireValue {
    Varint(u64),
    Fixed64([u8; 8]),
    Bytes(Range<usize>),
    Fixed32([u8; 4]),
}

impl<'a> FieldCursor<'a> {
    fn new(text: &'a [u8], range: Range<usize>) -> Self {
        Self { text, at: range.start, end: range.end }
    }

    fn fault<T>(&self, what: &str) -> Result<T, WireFault> {
        Err((format!("not protobuf: {what}"), self.at))
    }

    #[inline]
    fn varint(&mut self) -> Result<u64, WireFault> {
        let mut value = 0;
        for shift in (0..70).step_by(7) {
            let Some(&byte) = self.text[..self.end].get(self.at) else { break };
            self.at += 1;
            value |= u64::from(byte & 0x7F).checked_shl(shift).unwrap_or(0);
            if byte < 0x80 {
                return Ok(value);
            }
        }
        self.fault("a number is cut off")
    }

    fn fixed<const N: usize>(&mut self) -> Result<[u8; N], WireFault> {
        let Some(bytes) = self.text[..self.end].get(self.at..).and_then(<[u8]>::first_chunk::<N>) else {
            return self.fault("a number is cut off");
        };
        self.at += N;
        Ok(*bytes)
    }

    /// The next field, by its number; none at the end.
    #[inline]
    fn next(&mut self) -> Result<Option<(u64, WireValue)>, WireFault> {
        if self.at >= self.end {
            return Ok(None);
        }
        let tag = self.varint()?;
        let field = match tag & 7 {
            _ if tag >> 3 == 0 => return self.fault("a field without a number"),
            0 => WireValue::Varint(self.varint()?),
            1 => WireValue::Fixed64(self.fixed()?),
            2 => {
                let length = usize::try_from(self.varint()?).ok();
                let end = length.and_then(|length| self.at.checked_add(length)).filter(|end| *end <= self.end);
                let Some(end) = end else { return self.fault("a field is longer than its message") };
                WireValue::Bytes(std::mem::replace(&mut self.at, end)..end)
            }
            5 => WireValue::Fixed32(self.fixed()?),
            _ => return self.fault("an unknown kind of field"),
        };
        Ok(Some((tag >> 3, field)))
    }
}

/// Reads the fields beside the tensors.
pub(super) fn head(message: &[u8]) -> Result<Head, WireFault> {
    let mut head = Head::default();
    let mut wire = FieldCursor::new(message, 0..message.len());
    while let Some(field) = wire.next()? {
        head.take(field);
    }
    Ok(head)
}

/// Reads a message: the fields beside the tensors, and those tensors that are wanted.
pub(super) fn read(
    message: &[u8],
    side: Side,
    wanted: &mut TensorSelection,
    tensors: &mut Tensors,
) -> Result<Head, WireFault> {
    let raw_field = if side == Side::Request { 7 } else { 6 };
    let (mut head, mut n_tensors, mut any_contents) = (Head::default(), 0, false);
    let mut raw: Vec<Range<usize>> = Vec::new();
    let mut wire = FieldCursor::new(message, 0..message.len());
    while let Some(field) = wire.next()? {
        match field {
            (5, WireValue::Bytes(range)) => {
                any_contents |= tensor(FieldCursor::new(message, range), n_tensors, wanted, tensors)?;
                n_tensors += 1;
            }
            (number, WireValue::Bytes(range)) if number == raw_field => raw.push(range),
            other => head.take(other),
        }
    }
    if raw.is_empty() {
        return Ok(head);
    }
    if any_contents {
        return wire.fault("both contents of tensors and raw contents");
    }
    if raw.len() != n_tensors {
        return wire.fault(&format!("{n_tensors} tensors with {} raw contents", raw.len()));
    }
    tensors.all.iter_mut().for_each(|tensor| tensor.data = Data::Raw(raw[tensor.at].clone()));
    Ok(head)
}

impl Head {
    fn take(&mut self, field: (u64, WireValue)) {
        match field {
            (1, WireValue::Bytes(range)) => self.model_name = range,
            (2, WireValue::Bytes(range)) => self.model_version = range,
            (3, WireValue::Bytes(range)) => self.id = range,
            (4, WireValue::Bytes(range)) => self.parameters.push(range),
            _ => {}
        }
    }

    /// The parameters as an object of JSON; those that are no text, number or boolean are left out.
    pub(super) fn parameters(&self, message: &[u8]) -> Result<Vec<u8>, WireFault> {
        let mut object = serde_json::Map::new();
        for entry in &self.parameters {
            let (mut name, mut value) = (0..0, None);
            let mut wire = FieldCursor::new(message, entry.clone());
            while let Some(field) = wire.next()? {
                match field {
                    (1, WireValue::Bytes(range)) => name = range,
                    (2, WireValue::Bytes(range)) => value = parameter(FieldCursor::new(message, range))?,
                    _ => {}
                }
            }
            let name = String::from_utf8_lossy(&message[name]).into_owned();
            value.map(|value| object.insert(name, value));
        }
        Ok(serde_json::Value::Object(object).to_string().into_bytes())
    }
}

/// The value of a parameter.
fn parameter(mut wire: FieldCursor<'_>) -> Result<Option<serde_json::Value>, WireFault> {
    let mut value = None;
    while let Some(field) = wire.next()? {
        value = match field {
            (1, WireValue::Varint(truth)) => Some((truth != 0).into()),
            (2, WireValue::Varint(number)) => Some(number.cast_signed().into()),
            (3, WireValue::Bytes(text)) => Some(String::from_utf8_lossy(&wire.text[text]).into()),
            (4, WireValue::Fixed64(number)) => Some(f64::from_le_bytes(number).into()),
            (5, WireValue::Varint(number)) => Some(number.into()),
            _ => value,
        };
    }
    Ok(value)
}

/// Reads one tensor, and keeps it if it is wanted. Whether it has contents of its own.
fn tensor(
    mut wire: FieldCursor<'_>,
    at: usize,
    wanted: &mut TensorSelection,
    tensors: &mut Tensors,
) -> Result<bool, WireFault> {
    let (mut name, mut datatype, mut contents) = (0..0, 0..0, 0..0);
    let shape = tensors.dimensions.len();
    while let Some(field) = wire.next()? {
        match field {
            (1, WireValue::Bytes(range)) => name = range,
            (2, WireValue::Bytes(range)) => datatype = range,
            (3, WireValue::Varint(size)) => tensors.dimensions.push(size.cast_signed()),
            (3, WireValue::Bytes(range)) => {
                let mut sizes = FieldCursor::new(wire.text, range);
                while sizes.at < sizes.end {
                    tensors.dimensions.push(sizes.varint()?.cast_signed());
                }
            }
            (5, WireValue::Bytes(range)) if contents.is_empty() => contents = range,
            (5, WireValue::Bytes(range)) if !range.is_empty() => return wire.fault("a tensor has two contents"),
            _ => {}
        }
    }
    let has_contents = !contents.is_empty();
    let entries = [wanted.named(at, &wire.text[name.clone()]), wanted.at(at)];
    if entries == [None, None] {
        tensors.dimensions.truncate(shape);
        return Ok(has_contents);
    }
    let data = match kind(&wire.text[datatype.clone()]) {
        Ok(kind) if has_contents => {
            let read = read_contents(FieldCursor::new(wire.text, contents), kind, tensors);
            read.map_err(|(what, at)| {
                (format!("tensor `{}`: {what}", String::from_utf8_lossy(&wire.text[name.clone()])), at)
            })?
        }
        _ => Data::Missing,
    };
    let shape = Some(shape..tensors.dimensions.len());
    tensors.keep(Tensor::new(at, [name, datatype], shape, data), entries);
    Ok(has_contents)
}

/// Reads the values of a tensor, which are in a field of their kind.
fn read_contents(mut wire: FieldCursor<'_>, kind: Datatype, tensors: &mut Tensors) -> Result<Data, WireFault> {
    let (decimals, integers, texts) = (tensors.decimals.len(), tensors.integers.len(), tensors.texts.len());
    let own = match kind {
        Datatype::Bool => 1,
        Datatype::Signed(8) => 3,
        Datatype::Signed(_) => 2,
        Datatype::Unsigned(8) => 5,
        Datatype::Unsigned(_) => 4,
        Datatype::Single => 6,
        Datatype::Double => 7,
        Datatype::Bytes => 8,
        Datatype::Half => return wire.fault("a tensor of FP16 has contents that are not raw"),
    };
    while let Some((number, field)) = wire.next()? {
        match (number, field) {
            (number, _) if number != own => return wire.fault("contents of a tensor are not of its datatype"),
            (1..=5, WireValue::Varint(value)) => tensors.integers.push(value),
            (1..=5, WireValue::Bytes(range)) => {
                let mut packed = FieldCursor::new(wire.text, range);
                while packed.at < packed.end {
                    tensors.integers.push(packed.varint()?);
                }
            }
            (6, WireValue::Fixed32(value)) => tensors.decimals.push(f32::from_le_bytes(value).into()),
            (6, WireValue::Bytes(range)) => {
                let (values, rest) = wire.text[range].as_chunks::<4>();
                if !rest.is_empty() {
                    return wire.fault("a number is cut off");
                }
                tensors.decimals.extend(values.iter().map(|value| f64::from(f32::from_le_bytes(*value))));
            }
            (7, WireValue::Fixed64(value)) => tensors.decimals.push(f64::from_le_bytes(value)),
            (7, WireValue::Bytes(range)) => {
                let (values, rest) = wire.text[range].as_chunks::<8>();
                if !rest.is_empty() {
                    return wire.fault("a number is cut off");
                }
                tensors.decimals.extend(values.iter().map(|value| f64::from_le_bytes(*value)));
            }
            (8, WireValue::Bytes(range)) => tensors.texts.push(range),
            _ => return wire.fault("contents of a tensor are of another kind"),
        }
    }
    Ok(match kind {
        Datatype::Bytes => Data::Texts(texts..tensors.texts.len()),
        Datatype::Single | Datatype::Double => Data::Decimals(decimals..tensors.decimals.len()),
        _ => Data::Integers(integers..tensors.integers.len()),
    })
}
