//! JSON records of a file: a line each, or, where they stretch over lines or stand in a list, a value each. Blank
//! lines are none.

use std::io::{BufRead, BufReader, Cursor, Read as _};
use std::path::Path;
use std::sync::Arc;

use super::format::{BYTE_ORDER_MARK, HEAD_BYTES};
use super::stream::{head, unpacked, unreadable};
use crate::error::{Error, Result};

/// The longest record; a longer one means that the file holds something else.
const RECORD_BYTES_MAX: usize = 64 << 20;

/// Reads records without the line breaks around them.
pub(crate) struct Records {
    path: Arc<Path>,
    file: Box<dyn BufRead + Send>,
    /// What values are found by, where lines are no records.
    values: Option<Values>,
    /// The line that is read next, and the one at which the last record begins; from 1.
    next_line: u64,
    line: u64,
}

impl Records {
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let head = head(path, HEAD_BYTES)?;
        let file = Box::new(BufReader::with_capacity(1 << 18, unpacked(path)?));
        let values = are_values(&head).then(Values::default);
        Ok(Self { file, path: path.into(), values, next_line: 1, line: 0 })
    }

    /// Lines that are in memory; `name` is what errors call them.
    pub(crate) fn over(name: &Path, lines: Arc<[u8]>) -> Self {
        Self { file: Box::new(Cursor::new(lines)), path: name.into(), values: None, next_line: 1, line: 0 }
    }

    /// The number of the line at which the last record begins.
    pub(crate) fn line(&self) -> u64 {
        self.line
    }

    /// Appends the next record to `bytes`; false at the end of the file.
    pub(crate) fn read(&mut self, bytes: &mut Vec<u8>) -> Result<bool> {
        let from = bytes.len();
        let is_first = self.line == 0;
        let found = match self.values.take() {
            None => self.read_line(bytes)?,
            Some(mut values) => {
                let found = self.read_value(&mut values, bytes)?;
                self.values = Some(values);
                found
            }
        };
        if is_first && bytes[from..].starts_with(BYTE_ORDER_MARK) {
            bytes.drain(from..from + BYTE_ORDER_MARK.len());
        }
        let text = bytes[from..].trim_ascii_end().len();
        bytes.truncate(from + text);
        Ok(found)
    }

    /// Blank lines are no records.
    fn read_line(&mut self, bytes: &mut Vec<u8>) -> Result<bool> {
        let from = bytes.len();
        loop {
            let read = self.file.by_ref().take(RECORD_BYTES_MAX as u64).read_until(b'\n', bytes);
            let read = read.map_err(|error| unreadable(&self.path, error))?;
            self.line = self.next_line;
            self.next_line += 1;
            match read {
                0 => return Ok(false),
                RECORD_BYTES_MAX => return Err(self.too_long()),
                _ if bytes[from..].trim_ascii().is_empty() => bytes.truncate(from),
                _ => return Ok(true),
            }
        }
    }

    fn read_value(&mut self, values: &mut Values, bytes: &mut Vec<u8>) -> Result<bool> {
        let from = bytes.len();
        loop {
            let part = self.file.fill_buf().map_err(|error| unreadable(&self.path, error))?;
            if part.is_empty() {
                let is_part = bytes.len() > from;
                if !is_part && values.is_cut() {
                    return Err(self.cut());
                }
                values.end();
                return Ok(is_part);
            }
            let mut taken = 0;
            let mut is_whole = false;
            for &byte in part {
                let is_empty = bytes.len() == from;
                let step = values.step(byte, is_empty);
                if step == ByteStep::Before {
                    is_whole = true;
                    break;
                }
                taken += 1;
                if step != ByteStep::Between {
                    if is_empty {
                        self.line = self.next_line;
                    }
                    bytes.push(byte);
                }
                self.next_line += u64::from(byte == b'\n');
                if step == ByteStep::Last {
                    is_whole = true;
                    break;
                }
            }
            self.file.consume(taken);
            if is_whole {
                return Ok(true);
            }
            if bytes.len() - from > RECORD_BYTES_MAX {
                return Err(self.too_long());
            }
        }
    }

    fn cut(&self) -> Error {
        Error::user(format!("{}: the list is not closed after line {}", self.path.display(), self.line))
            .hint("it may have been cut off while it was written or copied; write or copy it again")
    }

    fn too_long(&self) -> Error {
        Error::user(format!("{}: the record at line {} is longer than 64 MiB", self.path.display(), self.line))
            .hint("each event must be a JSON object of its own; convert the file")
    }
}

/// Whether records are values that stand in a list or stretch over lines, and not lines.
fn are_values(head: &[u8]) -> bool {
    let text = head.strip_prefix(BYTE_ORDER_MARK).unwrap_or(head).trim_ascii_start();
    let mut lines = text.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty());
    let (Some(first), second) = (lines.next(), lines.next()) else { return false };
    match first {
        // A list of events; one that is closed on its line is itself a line, and no event.
        [b'[', rest @ ..] => {
            let is_closed = serde_json::from_slice::<serde::de::IgnoredAny>(first).is_ok();
            let is_of_objects = matches!(rest.trim_ascii_start(), [] | [b'{' | b']', ..]);
            is_of_objects && (!is_closed || second.is_none())
        }
        [b'{', ..] => second.is_some_and(|second| second[0] != b'{') && is_cut(first),
        _ => false,
    }
}

/// Whether a line is the beginning of a JSON value that goes on.
fn is_cut(line: &[u8]) -> bool {
    let read = serde_json::from_slice::<serde::de::IgnoredAny>(line);
    read.is_err_and(|error| error.is_eof())
}

/// What a byte is to values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ByteStep {
    /// Between two of them.
    Between,
    /// In one.
    Inside,
    /// The last of one.
    Last,
    /// The first of another, though the one before is not closed.
    Before,
}

/// Where a byte stands to texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum StringState {
    Outside,
    Inside,
    /// Behind a backslash inside of one.
    Escaped,
}

/// What the values stand in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Around {
    /// Nothing has come that would tell.
    Unknown,
    Nothing,
    List,
    /// The end of the list, or of what there is of it, has come.
    Ended,
}

/// Finds values by their brackets. One that is not closed ends where a line begins another: where no value can stand
/// inside of one, or, in a list, no further to the right than the list's own.
#[derive(Debug)]
struct Values {
    /// Brackets that are open, the list's own left out.
    depth: usize,
    text: StringState,
    around: Around,
    /// How far the line is indented, while nothing else has come on it.
    indent: Option<usize>,
    /// How far the value is indented, where it begins a line.
    column: Option<usize>,
    /// The last byte that is not blank.
    last: u8,
}

impl Default for Values {
    fn default() -> Self {
        let (text, around) = (StringState::Outside, Around::Unknown);
        Self { depth: 0, text, around, indent: Some(0), column: None, last: 0 }
    }
}

impl Values {
    /// What the next byte is; `is_first` says whether no byte of a value has come.
    fn step(&mut self, byte: u8, is_first: bool) -> ByteStep {
        if !is_first && self.begins_another(byte) {
            self.forget();
            return ByteStep::Before;
        }
        let step = if is_first { self.outside(byte) } else { self.inside(byte) };
        if is_first && step == ByteStep::Inside {
            self.column = self.indent;
        }
        self.indent = match byte {
            b'\n' => Some(0),
            b' ' | b'\t' => self.indent.map(|indent| indent + 1),
            _ => None,
        };
        if !is_blank(byte) {
            self.last = byte;
        }
        step
    }

    fn begins_another(&self, byte: u8) -> bool {
        let Some(indent) = self.indent.filter(|_| byte == b'{' && self.depth > 0) else { return false };
        let is_out_of_place = !matches!(self.last, b'[' | b',' | b':');
        let is_listed = self.around == Around::List;
        is_out_of_place || is_listed && self.column.is_some_and(|column| column > 0 && indent <= column)
    }

    fn outside(&mut self, byte: u8) -> ByteStep {
        let begins = self.around == Around::Unknown && !is_blank(byte);
        if begins {
            self.around = if byte == b'[' { Around::List } else { Around::Nothing };
        }
        match byte {
            b'[' if begins => return ByteStep::Between,
            b']' if self.around == Around::List => {
                self.around = Around::Ended;
                return ByteStep::Between;
            }
            b',' => return ByteStep::Between,
            _ if is_blank(byte) => return ByteStep::Between,
            b'{' | b'[' => self.depth = 1,
            b'"' => self.text = StringState::Inside,
            _ => {}
        }
        ByteStep::Inside
    }

    fn inside(&mut self, byte: u8) -> ByteStep {
        if self.text != StringState::Outside {
            self.text = match (self.text, byte) {
                // No text of JSON has a line break in it: a quote was left out.
                (_, b'\n') | (StringState::Inside, b'"') => StringState::Outside,
                (StringState::Inside, b'\\') => StringState::Escaped,
                _ => StringState::Inside,
            };
            return ByteStep::Inside;
        }
        match byte {
            b'"' => self.text = StringState::Inside,
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' => {
                self.depth = self.depth.saturating_sub(1);
                return if self.depth == 0 { ByteStep::Last } else { ByteStep::Inside };
            }
            b'\n' | b',' if self.depth == 0 => return ByteStep::Last,
            _ => {}
        }
        ByteStep::Inside
    }

    /// Whether a list ends without its bracket.
    fn is_cut(&self) -> bool {
        self.around == Around::List
    }

    /// Nothing more comes.
    fn end(&mut self) {
        self.around = Around::Ended;
        self.forget();
    }

    fn forget(&mut self) {
        (self.depth, self.text) = (0, StringState::Outside);
    }
}

fn is_blank(byte: u8) -> bool {
    byte.is_ascii_whitespace() || BYTE_ORDER_MARK.contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The records of a file with these bytes, each with its line.
    fn records(text: &str) -> Vec<(u64, String)> {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("a.json");
        std::fs::write(&path, text).expect("a file");
        let mut reader = Records::open(&path).expect("a reader");
        let (mut all, mut bytes) = (Vec::new(), Vec::new());
        while reader.read(&mut bytes).expect("a record") {
            all.push((reader.line(), String::from_utf8_lossy(&bytes).into_owned()));
            bytes.clear();
        }
        all
    }

    fn texts(text: &str) -> Vec<String> {
        let squeezed = |text: String| text.split_whitespace().collect::<String>();
        records(text).into_iter().map(|(_, text)| squeezed(text)).filter(|text| !text.is_empty()).collect()
    }

    #[test]
    fn lines_lists_and_objects_over_several_lines_are_records() {
        let two = [r#"{"a":1}"#, r#"{"b":{"c":"}]\""}}"#];
        let spellings = [
            "{\"a\":1}\n{\"b\":{\"c\":\"}]\\\"\"}}\n",
            "\u{feff}{\"a\":1}\r\n\r\n{\"b\":{\"c\":\"}]\\\"\"}}",
            "[{\"a\":1},{\"b\":{\"c\":\"}]\\\"\"}}]",
            "\u{feff}[\n  {\"a\": 1},\n  {\"b\": {\"c\": \"}]\\\"\"}}\n]\n",
            "{\n  \"a\": 1\n}\n{\n  \"b\": {\n    \"c\": \"}]\\\"\"\n  }\n}\n",
            "[\n  {\n    \"a\": 1\n  },\n  {\n    \"b\": {\n      \"c\": \"}]\\\"\"\n    }\n  }\n]",
        ];
        for text in spellings {
            assert_eq!(texts(text), two, "{text}");
        }
        assert_eq!(
            records("{\n \"a\": 1\n}\n\n{\n \"a\": 2\n}\n").iter().map(|(at, _)| *at).collect::<Vec<_>>(),
            [1, 5]
        );
    }

    #[test]
    fn a_value_that_is_not_closed_costs_no_other() {
        let text = "[\n  {\n    \"a\": [1,\n  },\n  {\n    \"a\": \"x\n  },\n  {\n    \"a\": 3\n  }\n]\n";
        let all = texts(text);
        assert_eq!(all.last().map(String::as_str), Some(r#"{"a":3}"#), "{all:?}");
        assert_eq!(all.len(), 3, "{all:?}");
    }

    #[test]
    fn a_list_that_is_cut_off_is_noticed() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("a.json");
        let read = |text: &str| -> Result<usize> {
            std::fs::write(&path, text).expect("a file");
            let (mut reader, mut n) = (Records::open(&path)?, 0);
            while reader.read(&mut Vec::new())? {
                n += 1;
            }
            Ok(n)
        };
        let at_a_row = read("[\n  {\"a\": 1},\n  {\"a\": 2},\n").expect_err("a list without its end").to_string();
        assert!(at_a_row.ends_with("the list is not closed after line 3"), "{at_a_row}");
        assert_eq!(read("[\n  {\"a\": 1},\n  {\"a\"").ok(), Some(2), "half a row is a record that cannot be read");
        assert_eq!(read("[\n  {\"a\": 1}\n]\n").ok(), Some(1));
    }

    #[test]
    fn a_first_line_that_is_cut_off_makes_no_values_of_lines() {
        assert_eq!(texts("{\"a\": 1, \"b\n{\"a\":2}\n"), ["{\"a\":1,\"b", r#"{"a":2}"#]);
        assert_eq!(texts("[1,2]\n{\"a\":2}\n"), ["[1,2]", r#"{"a":2}"#]);
        assert_eq!(texts(""), [""; 0]);
        assert_eq!(texts("[1,2]").len(), 1, "a list of numbers holds no event");
    }
}
