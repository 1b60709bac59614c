//! The bytes of a file: as they are, or unpacked on the way.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use flate2::read::MultiGzDecoder;

use crate::error::{Error, Result};

/// So much is read at once.
const BUFFER_BYTES: usize = 1 << 18;
/// Bytes that tell how a file is packed.
const MAGIC_BYTES: u64 = 6;

/// How a file is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Packing {
    Plain,
    Gzip,
    Zstd,
    /// In a way that is not read here, and what unpacks it.
    Other(&'static str),
}

impl Packing {
    fn of(head: &[u8]) -> Self {
        match head {
            [0x1f, 0x8b, ..] => Self::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Zstd,
            [b'B', b'Z', b'h', b'1'..=b'9', b'1', b'A', ..] => Self::Other("bunzip2"),
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Self::Other("unxz"),
            [b'P', b'K', 3, 4, ..] => Self::Other("unzip"),
            _ => Self::Plain,
        }
    }
}

/// Opens a file as it is.
pub fn opened(path: &Path) -> Result<File> {
    File::open(path).map_err(|error| unreadable(path, error))
}

/// The error of a file that cannot be read at all.
pub(crate) fn unreadable(path: &Path, error: std::io::Error) -> Error {
    use std::io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
    let is_damaged = matches!(error.kind(), InvalidData | InvalidInput | UnexpectedEof);
    let hint = if is_damaged {
        "it may have been cut off while it was written or copied; write or copy it again"
    } else {
        "check the path and its permissions"
    };
    Error::user(format!("cannot read {}", path.display())).because(error).hint(hint)
}

/// How a file is packed.
pub(super) fn packing(path: &Path) -> Result<Packing> {
    let mut magic = Vec::new();
    opened(path)?.take(MAGIC_BYTES).read_to_end(&mut magic).map_err(|error| unreadable(path, error))?;
    Ok(Packing::of(&magic))
}

/// The bytes of a file without gzip or zstd around them.
pub fn unpacked(path: &Path) -> Result<Box<dyn Read + Send>> {
    let file = BufReader::with_capacity(BUFFER_BYTES, opened(path)?);
    match packing(path)? {
        Packing::Plain => Ok(Box::new(file.into_inner())),
        Packing::Gzip => Ok(Box::new(MultiGzDecoder::new(file))),
        Packing::Zstd => {
            let decoder = zstd::Decoder::with_buffer(file).map_err(|error| unreadable(path, error))?;
            Ok(Box::new(decoder))
        }
        Packing::Other(program) => Err(Error::user(format!("{} is packed in a way that is not read", path.display()))
            .hint(format!("unpack it first, with {program}; gzip and zstd are read as they are"))),
    }
}

/// The first bytes of a file, unpacked.
pub(super) fn head(path: &Path, bytes: u64) -> Result<Vec<u8>> {
    let mut head = Vec::new();
    unpacked(path)?.take(bytes).read_to_end(&mut head).map_err(|error| unreadable(path, error))?;
    Ok(head)
}
