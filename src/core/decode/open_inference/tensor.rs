//! The tensors of one record: what they claim to be, held against the bytes that are there, and their values.

use std::ops::Range;

use crate::event::Poison;
use crate::plan::{ROWS_MAX, Side};

use super::super::validate::RowRefusal;

/// What the values of a tensor are; whole numbers by their width in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Datatype {
    Bool,
    Unsigned(usize),
    Signed(usize),
    Half,
    Single,
    Double,
    Bytes,
}

impl Datatype {
    /// The kind that a datatype of the protocol names.
    pub(super) fn named(name: &[u8]) -> Option<Self> {
        Some(match name {
            b"BOOL" => Self::Bool,
            b"UINT8" => Self::Unsigned(1),
            b"UINT16" => Self::Unsigned(2),
            b"UINT32" => Self::Unsigned(4),
            b"UINT64" => Self::Unsigned(8),
            b"INT8" => Self::Signed(1),
            b"INT16" => Self::Signed(2),
            b"INT32" => Self::Signed(4),
            b"INT64" => Self::Signed(8),
            b"FP16" => Self::Half,
            b"FP32" => Self::Single,
            b"FP64" => Self::Double,
            b"BYTES" => Self::Bytes,
            _ => return None,
        })
    }

    /// Bytes of a value; none where each value says so itself.
    fn width(self) -> Option<usize> {
        match self {
            Self::Bool => Some(1),
            Self::Unsigned(width) | Self::Signed(width) => Some(width),
            Self::Half => Some(2),
            Self::Single => Some(4),
            Self::Double => Some(8),
            Self::Bytes => None,
        }
    }
}

/// Where the values of a tensor are.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Data {
    /// Nowhere.
    Missing,
    /// In bytes of the message, little endian.
    Raw(Range<usize>),
    /// Among the [decimals](Tensors::decimals).
    Decimals(Range<usize>),
    /// Among the [integers](Tensors::integers).
    Integers(Range<usize>),
    /// Among the [texts](Tensors::texts).
    Texts(Range<usize>),
    /// Among the [elements](Tensors::elements).
    Elements(Range<usize>),
}

/// One tensor that something is read of. Ranges of bytes are those of the message.
#[derive(Debug, Clone)]
pub(super) struct Tensor {
    /// Its place among the tensors of the message.
    pub(super) at: usize,
    pub(super) name: Range<usize>,
    pub(super) datatype: Range<usize>,
    /// Where its shape is among the [dimensions](Tensors::dimensions); none where it has none.
    pub(super) shape: Option<Range<usize>>,
    pub(super) data: Data,
    /// What its values are, once it was settled.
    kind: Datatype,
    /// Rows, once it was settled.
    batch: usize,
    /// Values of a row, once it was settled.
    pub(super) width: usize,
}

impl Tensor {
    /// A tensor as a message has it.
    pub(super) fn new(at: usize, [name, datatype]: [Range<usize>; 2], shape: Option<Range<usize>>, data: Data) -> Self {
        Self { at, name, datatype, shape, data, kind: Datatype::Bytes, batch: 0, width: 0 }
    }
}

/// A value in JSON.
#[derive(Debug, Clone, Copy)]
pub(super) struct Element {
    /// Where it stands.
    pub(super) at: usize,
    /// What it is, if it is a number.
    pub(super) number: Option<f64>,
}

/// One value of a tensor.
#[derive(Debug, Clone, Copy)]
pub(super) enum TensorValue<'a> {
    Number(f64),
    Signed(i64),
    Unsigned(u64),
    Bool(bool),
    Text(&'a [u8]),
    Json(Element),
}

impl TensorValue<'_> {
    /// What it is, if it is a number.
    pub(super) fn number(self) -> Option<f64> {
        #[expect(clippy::cast_precision_loss, reason = "the nearest number, as of columns of whole numbers")]
        match self {
            Self::Number(value) => Some(value),
            Self::Signed(value) => Some(value as f64),
            Self::Unsigned(value) => Some(value as f64),
            Self::Bool(value) => Some(f64::from(u8::from(value))),
            Self::Text(_) => None,
            Self::Json(element) => element.number,
        }
    }
}

/// The tensors of one record that something is read of; room is kept from record to record.
#[derive(Debug, Default)]
pub(super) struct Tensors {
    pub(super) all: Vec<Tensor>,
    pub(super) dimensions: Vec<i64>,
    pub(super) decimals: Vec<f64>,
    pub(super) integers: Vec<u64>,
    pub(super) texts: Vec<Range<usize>>,
    pub(super) elements: Vec<Element>,
    /// Which tensor each entry of those that are wanted is.
    pub(super) of_entry: Vec<Option<usize>>,
}

impl Tensors {
    /// Forgets the last record.
    pub(super) fn clear(&mut self, n_entries: usize) {
        self.all.clear();
        self.dimensions.clear();
        self.decimals.clear();
        self.integers.clear();
        self.texts.clear();
        self.elements.clear();
        self.of_entry.clear();
        self.of_entry.resize(n_entries, None);
    }

    /// Keeps a tensor that some entries want; of two with one name the first counts.
    pub(super) fn keep(&mut self, tensor: Tensor, entries: [Option<usize>; 2]) {
        let at = self.all.len();
        entries.into_iter().flatten().for_each(|entry| {
            self.of_entry[entry].get_or_insert(at);
        });
        self.all.push(tensor);
    }

    /// Holds what every tensor claims to be against what is there. Gives the rows of the record; one where it has no
    /// tensor that anything is read of.
    pub(super) fn settle(&mut self, message: &[u8], side: Side) -> Result<u32, RowRefusal> {
        let mut batch: Option<(usize, usize)> = None;
        for at in 0..self.all.len() {
            let (reason, what) = match (self.settle_one(message, at), batch) {
                (Err(what), _) => (Poison::Malformed, what),
                (Ok(rows), _) if rows > ROWS_MAX as usize => (Poison::TooLong, "more than 65536 rows".to_owned()),
                (Ok(rows), Some((other, first))) if rows != other => {
                    let first = self.name(message, first);
                    (Poison::Malformed, format!("a batch of {rows}, where `{first}` has {other}"))
                }
                (Ok(rows), _) => {
                    batch.get_or_insert((rows, at));
                    continue;
                }
            };
            return Err(RowRefusal { reason, detail: format!("{}: {what}", self.path(message, at, side)) });
        }
        Ok(batch.map_or(1, |(rows, _)| u32::try_from(rows).expect("at most ROWS_MAX")))
    }

    fn name(&self, message: &[u8], at: usize) -> String {
        String::from_utf8_lossy(&message[self.all[at].name.clone()]).chars().take(NAME_MAX).collect()
    }

    /// How people write the path of a tensor.
    pub(super) fn path(&self, message: &[u8], at: usize, side: Side) -> String {
        let name = self.name(message, at);
        if name.is_empty() {
            return format!("{}[{}]", side.tensors(), self.all[at].at);
        }
        format!("{}[name={name}]", side.tensors())
    }

    /// The dimensions of a row of a tensor.
    pub(super) fn row_shape(&self, at: usize) -> &[i64] {
        let shape = self.all[at].shape.clone().unwrap_or_default();
        self.dimensions[shape].get(1..).unwrap_or_default()
    }

    fn settle_one(&mut self, message: &[u8], at: usize) -> Result<usize, String> {
        let Tensor { datatype, shape, data, .. } = self.all[at].clone();
        let kind = kind(&message[datatype])?;
        let place = shape.ok_or("no shape")?;
        let shape = &self.dimensions[place.clone()];
        let wanted = shape.iter().try_fold(1_usize, |n, &size| n.checked_mul(usize::try_from(size).ok()?));
        let wanted = wanted.ok_or_else(|| format!("no tensor has the shape {}", written(shape)))?;
        let batch = shape.first().map_or(1, |&rows| usize::try_from(rows).unwrap_or_default());
        let (data, found) = self.counted(message, kind, data)?;
        let shape = || written(&self.dimensions[place.clone()]);
        if found != wanted {
            return Err(format!("shape {} is of {wanted} values, there are {found}", shape()));
        }
        // Rows without values take no bytes: a short record may claim any number of them.
        if wanted == 0 && batch > 0 {
            return Err(format!("shape {} has rows without values", shape()));
        }
        let tensor = &mut self.all[at];
        (tensor.kind, tensor.data, tensor.batch) = (kind, data, batch);
        tensor.width = wanted.checked_div(batch).unwrap_or_default();
        Ok(batch)
    }

    /// How many values there are.
    fn counted(&mut self, message: &[u8], kind: Datatype, data: Data) -> Result<(Data, usize), String> {
        let n = match (&data, kind.width()) {
            (Data::Missing, _) => 0,
            (Data::Raw(bytes), None) => {
                let from = self.texts.len();
                self.split(message, bytes.clone())?;
                let texts = from..self.texts.len();
                let n = texts.len();
                return Ok((Data::Texts(texts), n));
            }
            (Data::Raw(bytes), Some(width)) if !bytes.len().is_multiple_of(width) => {
                return Err(format!("{} bytes are no whole number of values of {width} bytes", bytes.len()));
            }
            (Data::Raw(bytes), Some(width)) => bytes.len() / width,
            (Data::Elements(_), _) if kind == Datatype::Half => {
                return Err("FP16 is for binary data only".to_owned());
            }
            (Data::Decimals(range) | Data::Integers(range) | Data::Texts(range) | Data::Elements(range), _) => {
                range.len()
            }
        };
        Ok((data, n))
    }

    /// Finds the texts in bytes: each has its length before it.
    fn split(&mut self, message: &[u8], bytes: Range<usize>) -> Result<(), String> {
        let mut at = bytes.start;
        while at < bytes.end {
            let length = message[at..bytes.end].first_chunk::<4>().map(|length| u32::from_le_bytes(*length) as usize);
            let end = length.and_then(|length| (at + 4).checked_add(length)).filter(|end| *end <= bytes.end);
            let end = end.ok_or("a text is longer than its tensor")?;
            self.texts.push(at + 4..end);
            at = end;
        }
        Ok(())
    }

    /// A value of a settled tensor.
    #[inline]
    pub(super) fn value<'a>(&self, message: &'a [u8], tensor: usize, at: usize) -> TensorValue<'a> {
        let Tensor { kind, data, .. } = &self.all[tensor];
        match data {
            Data::Raw(bytes) => raw(*kind, &message[bytes.clone()], at),
            Data::Decimals(range) => TensorValue::Number(self.decimals[range.start + at]),
            Data::Integers(range) => whole(*kind, self.integers[range.start + at]),
            Data::Texts(range) => TensorValue::Text(&message[self.texts[range.start + at].clone()]),
            Data::Elements(range) => TensorValue::Json(self.elements[range.start + at]),
            Data::Missing => TensorValue::Number(f64::NAN),
        }
    }
}

/// The longest name of a tensor that is told, in characters.
const NAME_MAX: usize = 80;
/// The most dimensions that are told.
const SHAPE_MAX: usize = 8;

/// What a datatype means.
pub(super) fn kind(datatype: &[u8]) -> Result<Datatype, String> {
    Datatype::named(datatype).ok_or_else(|| match String::from_utf8_lossy(datatype) {
        none if none.is_empty() => "no datatype".to_owned(),
        name => format!("unknown datatype `{}`", name.chars().take(NAME_MAX).collect::<String>()),
    })
}

/// A shape as people write it.
fn written(shape: &[i64]) -> String {
    let sizes: Vec<String> = shape.iter().take(SHAPE_MAX).map(i64::to_string).collect();
    format!("[{}{}]", sizes.join(", "), if shape.len() > SHAPE_MAX { ", …" } else { "" })
}

/// A whole number that came as a varint.
fn whole(kind: Datatype, value: u64) -> TensorValue<'static> {
    match kind {
        Datatype::Bool => TensorValue::Bool(value != 0),
        Datatype::Signed(_) => TensorValue::Signed(value.cast_signed()),
        _ => TensorValue::Unsigned(value),
    }
}

/// A value among bytes.
#[inline]
fn raw(kind: Datatype, bytes: &[u8], at: usize) -> TensorValue<'static> {
    macro_rules! read {
        ($type:ty) => {{
            const WIDTH: usize = size_of::<$type>();
            let value = bytes[at * WIDTH..].first_chunk::<WIDTH>().expect("a settled tensor has all its bytes");
            <$type>::from_le_bytes(*value)
        }};
    }
    match kind {
        Datatype::Single => TensorValue::Number(read!(f32).into()),
        Datatype::Double => TensorValue::Number(read!(f64)),
        Datatype::Half => TensorValue::Number(half(read!(u16))),
        Datatype::Bool => TensorValue::Bool(bytes[at] != 0),
        Datatype::Signed(1) => TensorValue::Signed(read!(i8).into()),
        Datatype::Signed(2) => TensorValue::Signed(read!(i16).into()),
        Datatype::Signed(4) => TensorValue::Signed(read!(i32).into()),
        Datatype::Signed(_) => TensorValue::Signed(read!(i64)),
        Datatype::Unsigned(1) => TensorValue::Unsigned(read!(u8).into()),
        Datatype::Unsigned(2) => TensorValue::Unsigned(read!(u16).into()),
        Datatype::Unsigned(4) => TensorValue::Unsigned(read!(u32).into()),
        Datatype::Unsigned(_) | Datatype::Bytes => TensorValue::Unsigned(read!(u64)),
    }
}

/// A number of IEEE 754's binary16.
fn half(bits: u16) -> f64 {
    let (exponent, fraction) = (i32::from(bits >> 10 & 0x1F), f64::from(bits & 0x3FF));
    let magnitude = match exponent {
        0 => fraction * 2_f64.powi(-24),
        0x1F if fraction == 0.0 => f64::INFINITY,
        0x1F => f64::NAN,
        _ => (1024.0 + fraction) * 2_f64.powi(exponent - 25),
    };
    if bits >> 15 == 1 { -magnitude } else { magnitude }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_are_what_ieee_754_says() {
        for (bits, value) in [
            (0x0000, 0.0),
            (0x3C00, 1.0),
            (0xC000, -2.0),
            (0x3555, 0.333_251_953_125),
            (0x7BFF, 65_504.0),
            (0x0001, 2_f64.powi(-24)),
            (0x0400, 2_f64.powi(-14)),
            (0x7C00, f64::INFINITY),
            (0xFC00, f64::NEG_INFINITY),
        ] {
            assert_eq!(half(bits).to_bits(), f64::to_bits(value), "{bits:#06x}");
        }
        assert!(half(0x7E00).is_nan() && half(0x8000).is_sign_negative());
    }

    #[test]
    fn values_of_every_width_are_read() {
        let bytes = 0x8182_8384_8586_8788_u64.to_le_bytes();
        for (kind, number) in [
            (Datatype::Signed(1), -120.0),
            (Datatype::Signed(2), f64::from(0x8788_u16.cast_signed())),
            (Datatype::Signed(4), f64::from(0x8586_8788_u32.cast_signed())),
            (Datatype::Unsigned(1), 136.0),
            (Datatype::Unsigned(2), f64::from(0x8788_u16)),
            (Datatype::Unsigned(4), f64::from(0x8586_8788_u32)),
        ] {
            assert_eq!(raw(kind, &bytes, 0).number(), Some(number), "{kind:?}");
        }
        assert!(matches!(raw(Datatype::Unsigned(8), &bytes, 0), TensorValue::Unsigned(0x8182_8384_8586_8788)));
        assert!(matches!(raw(Datatype::Signed(8), &bytes, 0), TensorValue::Signed(value) if value < 0));
        assert!(matches!(raw(Datatype::Bool, &bytes, 7), TensorValue::Bool(true)));
    }
}
