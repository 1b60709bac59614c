//! Which format a file has.

use std::path::Path;
use std::sync::Arc;

use super::arrow_ipc::{ArrowFile, FILE_MAGIC};
use super::columns::ColumnFile;
use super::csv::CsvFile;
use super::parquet::ParquetFile;
use super::stream::{Packing, head, packing, unreadable};
use crate::decode::arrow_message::CONTINUATION;
use crate::error::{Error, Result};

/// How a file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileFormat {
    /// Parquet.
    Parquet,
    /// Arrow IPC: a file, which Feather version 2 is, too, or a stream.
    Arrow,
    /// Separated values.
    Csv {
        /// What separates them.
        delimiter: u8,
    },
    /// JSON: an object per line, objects over several lines, or a list of objects.
    Json,
}

/// So much of the beginning of a file is looked at.
pub(super) const HEAD_BYTES: u64 = 1 << 16;
/// What may separate values; the first of equals.
const DELIMITERS: [u8; 4] = [b',', b';', b'\t', b'|'];
/// What some programs write before the first line.
pub(super) const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();
/// Endings of packed files, which say nothing of what is in them.
const PACKED: [&str; 3] = ["gz", "zst", "zstd"];

/// How often each delimiter stands in the first line, outside of quotes; and what follows that line.
fn first_line(head: &[u8]) -> ([usize; DELIMITERS.len()], &[u8]) {
    let mut counts = [0_usize; DELIMITERS.len()];
    let mut quoted = false;
    for (at, &byte) in head.iter().enumerate() {
        quoted ^= byte == b'"';
        match DELIMITERS.iter().position(|&delimiter| delimiter == byte) {
            Some(at) if !quoted => counts[at] += 1,
            _ if matches!(byte, b'\n' | b'\r') && !quoted => return (counts, &head[at + 1..]),
            _ => {}
        }
    }
    (counts, &[])
}

/// What separates the names in the first line: what stands there most often.
fn delimiter(head: &[u8]) -> Option<u8> {
    let (counts, _) = first_line(head);
    let most = *counts.iter().max()?;
    let at = counts.iter().position(|&count| count == most && count > 0)?;
    Some(DELIMITERS[at])
}

/// What separates values in text without a telling name: what stands equally often in the first two lines.
fn separates(head: &[u8]) -> Option<u8> {
    let delimiter = delimiter(head).filter(|_| str::from_utf8(head).is_ok_and(|text| !text.contains('\0')))?;
    let at = DELIMITERS.iter().position(|&other| other == delimiter)?;
    let (first, rest) = first_line(head);
    let (second, _) = first_line(rest.strip_prefix(b"\n").unwrap_or(rest));
    (first[at] == second[at]).then_some(delimiter)
}

/// The ending of a file's name that tells what is in it, in lower case.
pub(super) fn extension(path: &Path) -> String {
    let lower = |path: &Path| path.extension().map(|ending| ending.to_string_lossy().to_ascii_lowercase());
    let outer = lower(path).unwrap_or_default();
    if !PACKED.contains(&outer.as_str()) {
        return outer;
    }
    path.file_stem().and_then(|stem| lower(Path::new(stem))).unwrap_or_default()
}

/// Tells the format by the first bytes, where they tell, else by the ending of the name.
pub fn recognise(path: &Path) -> Result<FileFormat> {
    let metadata = std::fs::metadata(path).map_err(|error| unreadable(path, error))?;
    if metadata.is_dir() {
        return Err(Error::user(format!("{} is a directory", path.display()))
            .hint(format!("name its files, as in {}/*.parquet", path.display())));
    }
    let head = head(path, HEAD_BYTES)?;
    let text = head.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&head);
    let csv = |usual: u8| Ok(FileFormat::Csv { delimiter: delimiter(text).unwrap_or(usual) });
    match (head.as_slice(), extension(path).as_str()) {
        ([], _) => {
            Err(Error::user(format!("{} is empty", path.display())).hint("write or copy it again, or leave it out"))
        }
        ([b'P', b'A', b'R', b'1', ..], _) if packing(path)? == Packing::Plain => Ok(FileFormat::Parquet),
        ([b'P', b'A', b'R', b'1', ..], _) => Err(Error::user(format!("{} is a packed Parquet file", path.display()))
            .hint("unpack it first, with gunzip or zstd -d: Parquet packs its columns itself")),
        (_, "parquet" | "pq") => {
            Err(Error::user(format!("{} is not a Parquet file: it does not start with PAR1", path.display()))
                .hint("write or copy it again, or give it the extension of its real format"))
        }
        (head, _) if head.starts_with(FILE_MAGIC) || head.starts_with(&CONTINUATION) => Ok(FileFormat::Arrow),
        ([b'F', b'E', b'A', b'1', ..], _) => Err(Error::user(format!("{} is Feather version 1", path.display()))
            .hint("write it again as version 2, which any pyarrow since 0.17 and pandas since 1.1 do")),
        (_, "arrow" | "arrows" | "feather" | "ipc") => {
            Err(Error::user(format!("{} is not an Arrow file: it does not start with ARROW1", path.display()))
                .hint("write or copy it again, or give it the extension of its real format"))
        }
        ([0xff, 0xfe, ..] | [0xfe, 0xff, ..], _) => Err(Error::user(format!("{} is in UTF-16", path.display()))
            .hint("save it in UTF-8, with iconv -f UTF-16 -t UTF-8")),
        (_, "csv") => csv(b','),
        (_, "tsv" | "tab") => csv(b'\t'),
        (_, "jsonl" | "ndjson" | "json") => Ok(FileFormat::Json),
        _ if matches!(text.trim_ascii_start(), [b'{' | b'[', ..]) => Ok(FileFormat::Json),
        (_, "txt" | "dat" | "data" | "psv") if delimiter(text).is_some() => csv(b','),
        _ => separates(text).map(|delimiter| FileFormat::Csv { delimiter }).ok_or_else(|| {
            Error::user(format!("cannot tell the format of {}", path.display()))
                .hint("Parquet, Arrow, JSON and CSV are read; let its name end in .parquet, .arrow, .jsonl or .csv")
        }),
    }
}

/// Looks into a file of columns; none if it is of objects.
pub(crate) fn open_columns(path: &Path) -> Result<Option<Arc<dyn ColumnFile>>> {
    Ok(Some(match recognise(path)? {
        FileFormat::Json => return Ok(None),
        FileFormat::Csv { delimiter } => Arc::new(CsvFile::open(path, delimiter)?),
        FileFormat::Parquet => Arc::new(ParquetFile::open(path)?),
        FileFormat::Arrow => Arc::new(ArrowFile::open(path)?),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_without_a_telling_name_needs_two_lines_alike() {
        assert_eq!(separates(b"a;b,c;d\n1;2;3\n"), Some(b';'));
        assert_eq!(separates(b"a\tb\r\n1\t2\r\n"), Some(b'\t'));
        assert_eq!(separates(b"Dear reader, hello\nthis is no table\n"), None);
        assert_eq!(separates(b"a,b\n1,\0\n"), None);
    }

    #[test]
    fn the_ending_before_that_of_a_packed_file_tells() {
        let cases = [("a.CSV", "csv"), ("a.csv.gz", "csv"), ("a.jsonl.ZST", "jsonl"), ("a.gz", ""), ("a", "")];
        for (name, ending) in cases {
            assert_eq!(extension(Path::new(name)), ending, "{name}");
        }
    }

    /// What a file of this name and content is taken for, or what is said of it.
    fn recognised(name: &str, content: &[u8]) -> std::result::Result<FileFormat, String> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(name);
        std::fs::write(&path, content).expect("a file");
        let said = |error: Error| format!("{error} ({})", error.advice().unwrap_or("no advice"));
        recognise(&path).map_err(said)
    }

    #[test]
    fn the_first_bytes_tell_what_a_file_is_before_its_name_does() {
        let csv = |delimiter| FileFormat::Csv { delimiter };
        for (name, content, format) in [
            ("a.csv", b"PAR1....".as_slice(), FileFormat::Parquet),
            ("a.json", b"ARROW1\0\0", FileFormat::Arrow),
            ("a.csv", b"a;b,c;d\n1;2;3\n", csv(b';')),
            ("a.csv", b"\"a,b,c\";d\n", csv(b';')),
            ("a.csv", b"one\n1\n", csv(b',')),
            ("a.tsv", b"one\n1\n", csv(b'\t')),
            ("a.tab", b"a|b\n", csv(b'|')),
            ("a.jsonl", b"a,b\n", FileFormat::Json),
            ("a", b"\xef\xbb\xbf \n[{}]", FileFormat::Json),
            ("a.log", b"{\"a\":1}", FileFormat::Json),
            ("a.txt", b"a|b\n", csv(b'|')),
            ("a", b"a,b\n1,2\n", csv(b',')),
            ("a.csv", b"a,b;c\n", csv(b',')),
        ] {
            assert_eq!(recognised(name, content).as_ref(), Ok(&format), "{name} {content:?}");
        }
    }

    #[test]
    fn what_is_no_table_is_said_with_the_way_out() {
        for (name, content, says, advice) in [
            ("a.csv", b"".as_slice(), "is empty", "leave it out"),
            ("a.parquet", b"a,b\n", "does not start with PAR1", "its real format"),
            ("a.arrow", b"a,b\n", "does not start with ARROW1", "its real format"),
            ("a.csv", b"FEA1", "is Feather version 1", "version 2"),
            ("a.csv", b"\xff\xfea\0", "is in UTF-16", "iconv"),
            ("a.csv", b"PK\x03\x04..", "is packed in a way that is not read", "with unzip"),
            ("a.csv", b"BZh91AY&SY", "is packed in a way that is not read", "with bunzip2"),
            ("a.csv", b"\xfd7zXZ\0", "is packed in a way that is not read", "with unxz"),
            ("a.log", b"a note\nof two lines\n", "cannot tell the format", "end in .parquet"),
            ("a", b"a,b\n1,\0\n", "cannot tell the format", "end in .parquet"),
            ("a", b"a,b\n1,\xff\n", "cannot tell the format", "end in .parquet"),
        ] {
            let said = recognised(name, content).expect_err(name);
            assert!(said.contains(says) && said.contains(advice), "{name} {content:?}: {said}");
        }
        let folder = tempfile::tempdir().expect("a folder");
        let error = recognise(folder.path()).expect_err("a folder");
        assert!(error.to_string().ends_with("is a directory"), "{error}");
        assert!(recognise(&folder.path().join("none.csv")).is_err());
    }

    #[test]
    fn packed_files_are_recognised_by_what_is_in_them() {
        use std::io::Write as _;
        let packed = |content: &[u8]| {
            let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            packer.write_all(content).expect("packed");
            packer.finish().expect("packed")
        };
        assert_eq!(recognised("a.tsv.gz", &packed(b"x\n1\n")), Ok(FileFormat::Csv { delimiter: b'\t' }));
        assert_eq!(recognised("a.gz", &packed(b"{}")), Ok(FileFormat::Json));
        let parquet = recognised("a.parquet.gz", &packed(b"PAR1....")).expect_err("packed twice");
        assert!(parquet.contains("is a packed Parquet file") && parquet.contains("gunzip"), "{parquet}");
    }
}
