//! What stands before or beside a payload and names its schema, as the clients of schema registries write it.
//!
//! | frame | bytes |
//! |---|---|
//! | Confluent | `00`, number (u32, big endian) |
//! | Confluent in headers | `__value_schema_id`: `00` and number, or `01` and UUID; of Protobuf then indexes |
//! | Apicurio | `00`, number (i64, big endian) |
//! | Apicurio in headers | `apicurio.value.globalId`, `apicurio.value.contentId`: number (i64, big endian) |
//! | AWS Glue | `03`, `00` or `05` (packed by zlib), UUID |
//! | Avro, single object | `c3 01`, CRC-64-AVRO of the schema (u64, little endian) |
//!
//! Of Protobuf a schema has several messages. Behind Confluent's number stand the indexes of one, behind Apicurio's its
//! name.

use std::borrow::Cow;
use std::io::Read as _;

use flate2::read::ZlibDecoder;
use haldane_core::plan::Frame;

use crate::schema::SchemaId;
use crate::{Decoded, Decoder, Record};

const IN_HEADER: &str = "__value_schema_id";
const GLOBAL_ID: &str = "apicurio.value.globalId";
const CONTENT_ID: &str = "apicurio.value.contentId";

/// The first byte of a frame of Confluent, and of Apicurio.
const MAGIC: u8 = 0;
const GLUE: u8 = 3;
const PLAIN: u8 = 0;
const PACKED: u8 = 5;
const SINGLE_OBJECT: [u8; 2] = [0xc3, 1];

/// The most bytes that a packed payload may hold.
const UNPACKED_MAX: u64 = 16 << 20;

/// A payload without its frame.
#[derive(Debug, PartialEq, Eq)]
pub struct Framed<'a> {
    /// The schema that it names.
    pub id: SchemaId,
    /// What is left.
    pub body: Cow<'a, [u8]>,
    /// Where it says which message of its schema it is, if its schema is one of Protobuf.
    pub message: MessageSelector<'a>,
}

/// Where a record says which message of its schema it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageSelector<'a> {
    /// As indexes before the body.
    Indexed,
    /// As indexes beside it.
    Beside(&'a [u8]),
    /// By its name before the body.
    Named,
    /// Nowhere.
    Unsaid,
}

/// What a record names its schema by, if it does.
#[must_use]
pub fn id(frame: Frame, record: &Record<'_>, payload: &[u8]) -> Option<SchemaId> {
    split(frame, record, payload).map(|split| split.id)
}

/// Takes the frame off.
///
/// # Errors
/// In words, when there is none of this kind, or what it holds cannot be unpacked.
pub fn of<'a>(frame: Frame, record: &Record<'a>, payload: &'a [u8]) -> Result<Framed<'a>, String> {
    let split = split(frame, record, payload).ok_or_else(|| match frame {
        Frame::Header => format!("no header names its schema: neither {IN_HEADER} nor {GLOBAL_ID} nor {CONTENT_ID}"),
        _ => format!("nothing names its schema: it begins with {}", beginning(payload)),
    })?;
    let FramedPayload { id, body, message, is_packed } = split;
    if !is_packed {
        return Ok(Framed { id, body: Cow::Borrowed(body), message });
    }
    let mut unpacked = Vec::new();
    let read = ZlibDecoder::new(body).take(UNPACKED_MAX + 1).read_to_end(&mut unpacked);
    match read {
        Ok(n) if n as u64 <= UNPACKED_MAX => Ok(Framed { id, body: Cow::Owned(unpacked), message }),
        Ok(_) => Err(format!("more than {UNPACKED_MAX} bytes when unpacked")),
        Err(error) => Err(format!("cannot be unpacked: {error}")),
    }
}

fn beginning(payload: &[u8]) -> String {
    payload.iter().take(6).map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ")
}

/// A payload taken apart.
struct FramedPayload<'a> {
    id: SchemaId,
    body: &'a [u8],
    message: MessageSelector<'a>,
    is_packed: bool,
}

impl<'a> FramedPayload<'a> {
    fn new(id: SchemaId, body: &'a [u8], message: MessageSelector<'a>) -> Self {
        Self { id, body, message, is_packed: false }
    }
}

fn split<'a>(frame: Frame, record: &Record<'a>, payload: &'a [u8]) -> Option<FramedPayload<'a>> {
    let beside = || in_headers(record).map(|(id, message)| FramedPayload::new(id, payload, message));
    match frame {
        Frame::Confluent => confluent(payload),
        Frame::Apicurio8 => apicurio(payload),
        Frame::Glue => glue(payload),
        Frame::Header => beside(),
        Frame::Auto => beside().or_else(|| match *payload.first()? {
            MAGIC => confluent(payload),
            GLUE => glue(payload),
            _ => single_object(payload),
        }),
    }
}

fn confluent(payload: &[u8]) -> Option<FramedPayload<'_>> {
    let (id, body) = payload.strip_prefix(&[MAGIC])?.split_first_chunk()?;
    Some(FramedPayload::new(SchemaId::Number(u32::from_be_bytes(*id)), body, MessageSelector::Indexed))
}

fn apicurio(payload: &[u8]) -> Option<FramedPayload<'_>> {
    let (id, body) = payload.strip_prefix(&[MAGIC])?.split_first_chunk()?;
    Some(FramedPayload::new(SchemaId::Global(i64::from_be_bytes(*id)), body, MessageSelector::Named))
}

fn glue(payload: &[u8]) -> Option<FramedPayload<'_>> {
    let [GLUE, packing @ (PLAIN | PACKED), rest @ ..] = payload else { return None };
    let (id, body) = rest.split_first_chunk()?;
    let split = FramedPayload::new(SchemaId::Uuid(u128::from_be_bytes(*id)), body, MessageSelector::Unsaid);
    Some(FramedPayload { is_packed: *packing == PACKED, ..split })
}

fn single_object(payload: &[u8]) -> Option<FramedPayload<'_>> {
    let (id, body) = payload.strip_prefix(&SINGLE_OBJECT)?.split_first_chunk()?;
    Some(FramedPayload::new(SchemaId::Fingerprint(u64::from_le_bytes(*id)), body, MessageSelector::Unsaid))
}

fn in_headers<'a>(record: &Record<'a>) -> Option<(SchemaId, MessageSelector<'a>)> {
    let header = |name| record.headers.iter().rfind(|(header, _)| *header == name).map(|(_, value)| *value);
    let number = |name| header(name)?.try_into().ok().map(i64::from_be_bytes);
    let said =
        |indexes: &'a [u8]| if indexes.is_empty() { MessageSelector::Unsaid } else { MessageSelector::Beside(indexes) };
    // Behind its id a schema of Protobuf has the indexes of the message.
    let numbered = match header(IN_HEADER) {
        Some([MAGIC, rest @ ..]) => {
            rest.split_first_chunk().map(|(id, rest)| (SchemaId::Number(u32::from_be_bytes(*id)), said(rest)))
        }
        Some([1, rest @ ..]) => {
            rest.split_first_chunk().map(|(id, rest)| (SchemaId::Uuid(u128::from_be_bytes(*id)), said(rest)))
        }
        _ => None,
    };
    let global = || number(GLOBAL_ID).map(SchemaId::Global).or_else(|| number(CONTENT_ID).map(SchemaId::Content));
    numbered.or_else(|| global().map(|id| (id, MessageSelector::Unsaid)))
}

/// A decoder of what stands in frames: whatever the schema, such as of JSON, the payload says it all.
pub(crate) struct InFrames<D> {
    pub(crate) frame: Frame,
    pub(crate) inner: D,
}

impl<D: Decoder> Decoder for InFrames<D> {
    fn push(&mut self, record: &Record<'_>) {
        // JSON begins with none of the bytes that frames begin with.
        let framed = record.payload.and_then(|payload| of(self.frame, record, payload).ok());
        match framed {
            Some(Framed { body, .. }) => self.inner.push(&Record { payload: Some(&body), ..*record }),
            None => self.inner.push(record),
        }
    }

    fn n_pending(&self) -> usize {
        self.inner.n_pending()
    }

    fn finish(&mut self) -> Decoded {
        self.inner.finish()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::ZlibEncoder;

    use super::*;

    const BODY: &[u8] = b"body";

    fn framed(frame: Frame, headers: &[(&str, &[u8])], payload: &[u8]) -> Result<(SchemaId, Vec<u8>), String> {
        let record = Record { offset: 0, broker_time: 0, key: None, payload: Some(payload), headers, topic: "t" };
        let found = of(frame, &record, payload).map(|framed| (framed.id, framed.body.into_owned()));
        assert_eq!(
            found.is_ok() || found == Err("cannot be unpacked: corrupt deflate stream".to_owned()),
            id(frame, &record, payload).is_some()
        );
        found
    }

    fn with(head: &[u8]) -> Vec<u8> {
        [head, BODY].concat()
    }

    #[test]
    fn every_frame_names_its_schema_and_is_taken_off() {
        let uuid = 0x7b5f_0c1e_2a34_4d8a_9f10_0123_4567_89ab_u128;
        let glue = |packing| [&[3, packing][..], &uuid.to_be_bytes()].concat();
        let mut packed = ZlibEncoder::new(glue(5), Compression::default());
        packed.write_all(BODY).expect("in memory");
        let packed = packed.finish().expect("in memory");
        for (frame, payload, id) in [
            (Frame::Confluent, with(&[0, 0, 0, 0, 42]), SchemaId::Number(42)),
            (Frame::Auto, with(&[0, 0, 0, 0, 42]), SchemaId::Number(42)),
            (Frame::Apicurio8, with(&[0, 0, 0, 0, 0, 0, 0, 0, 42]), SchemaId::Global(42)),
            (Frame::Glue, with(&glue(0)), SchemaId::Uuid(uuid)),
            (Frame::Auto, packed, SchemaId::Uuid(uuid)),
            (Frame::Auto, with(&[0xc3, 1, 8, 7, 6, 5, 4, 3, 2, 1]), SchemaId::Fingerprint(0x0102_0304_0506_0708)),
        ] {
            assert_eq!(framed(frame, &[], &payload), Ok((id, BODY.to_vec())), "{frame:?}");
        }
        let number = [0, 0, 0, 1, 0];
        let guid = [&[1][..], &uuid.to_be_bytes()].concat();
        let long = 7_i64.to_be_bytes();
        let cases: [(&str, &[u8], SchemaId); 4] = [
            (IN_HEADER, &number, SchemaId::Number(256)),
            (IN_HEADER, &guid, SchemaId::Uuid(uuid)),
            (GLOBAL_ID, &long, SchemaId::Global(7)),
            (CONTENT_ID, &long, SchemaId::Content(7)),
        ];
        for (header, value, id) in cases {
            for frame in [Frame::Header, Frame::Auto] {
                assert_eq!(framed(frame, &[(header, value)], BODY), Ok((id, BODY.to_vec())), "{header}");
            }
        }
    }

    #[test]
    fn what_has_no_frame_is_told_by_its_first_bytes() {
        let none = "nothing names its schema: it begins with ";
        for (frame, payload, why) in [
            (Frame::Auto, &b"{\"a\":1}"[..], "7b 22 61 22 3a 31"),
            (Frame::Auto, &[0, 0, 0, 0], "00 00 00 00"),
            (Frame::Confluent, &[3, 0], "03 00"),
            (Frame::Glue, &[3, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9], "03 01 00 00 00 00"),
            (Frame::Auto, &[0xc3], "c3"),
        ] {
            assert_eq!(framed(frame, &[], payload), Err(format!("{none}{why}")));
        }
        let damaged = [&[3, 5][..], &[0; 16], b"no zlib"].concat();
        assert!(framed(Frame::Glue, &[], &damaged).is_err_and(|why| why.starts_with("cannot be unpacked")));
        assert!(framed(Frame::Header, &[(IN_HEADER, b"")], BODY).is_err());
    }
}
