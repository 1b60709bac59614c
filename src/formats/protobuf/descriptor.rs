//! Schemas of Protobuf as registries and files hold them: the text of a `.proto`, or descriptors in base64.

use prost::Message as _;
use prost_types::{FileDescriptorProto, FileDescriptorSet};

/// The most bytes of a schema.
const BYTES_MAX: usize = 4 << 20;

/// How deep brackets may stand in each other, and the most bytes of a word or a text in quotes: the parser takes a part
/// of the stack for each.
const DEPTH_MAX: usize = 100;
const TOKEN_BYTES_MAX: usize = 8 << 10;

/// A text without comments and longer blanks, which the parser can read within a stack of any size.
fn legible(text: &str) -> Result<String, String> {
    let (mut rest, mut out, mut depth) = (text, String::with_capacity(text.len()), 0_usize);
    while let Some(first) = rest.chars().next() {
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        let run = |is_in: &dyn Fn(char) -> bool| rest.find(|c| !is_in(c)).unwrap_or(rest.len());
        let (taken, written) = match first {
            '/' if rest.starts_with("//") => (run(&|c| c != '\n'), " "),
            '/' if rest.starts_with("/*") => (rest[2..].find("*/").ok_or("a comment that does not end")? + 4, " "),
            '"' | '\'' => (quoted(rest, first), ""),
            _ if first.is_whitespace() => (run(&char::is_whitespace), " "),
            _ if is_word(first) => (run(&is_word), ""),
            _ => (first.len_utf8(), ""),
        };
        match first {
            '{' | '[' | '<' | '(' => depth += 1,
            '}' | ']' | '>' | ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > DEPTH_MAX {
            return Err(format!("more than {DEPTH_MAX} brackets in each other"));
        }
        let (piece, after) = rest.split_at(taken);
        if written.is_empty() && piece.len() > TOKEN_BYTES_MAX {
            return Err(format!("a word or text of more than {TOKEN_BYTES_MAX} bytes"));
        }
        // Blanks beside blanks are one.
        if written.is_empty() || !out.ends_with(' ') {
            out.push_str(if written.is_empty() { piece } else { written });
        }
        rest = after;
    }
    Ok(out)
}

/// The bytes of the text in quotes that stands first; it ends with its line.
fn quoted(text: &str, quote: char) -> usize {
    let mut is_escaped = false;
    let end = text.char_indices().skip(1).find(|(_, c)| {
        let is_end = *c == '\n' || *c == quote && !is_escaped;
        is_escaped = *c == '\\' && !is_escaped;
        is_end
    });
    end.map_or(text.len(), |(at, c)| at + c.len_utf8())
}

/// The files that a text holds: one, or all of a set, of which the last is the one that was asked for.
///
/// # Errors
/// In words, when it is no schema.
pub(super) fn files(text: &str) -> Result<Vec<FileDescriptorProto>, String> {
    if text.len() > BYTES_MAX {
        return Err(format!("more than {BYTES_MAX} bytes"));
    }
    let files = if let Some(bytes) = decoded(text) {
        described(&bytes)?
    } else {
        let read = |text: String| protox_parse::parse("schema.proto", &text).map_err(|error| error.to_string());
        vec![legible(text).and_then(read).map_err(|why| format!("no .proto: {why}"))?]
    };
    match files.iter().find(|file| !matches!(file.syntax(), "" | "proto2" | "proto3")) {
        Some(file) => Err(format!("`syntax` is {}; proto2 and proto3 are read", file.syntax())),
        None => Ok(files),
    }
}

/// The names of the files that a text imports.
///
/// # Errors
/// In words, when the text is no schema.
pub fn imports(text: &str) -> Result<Vec<String>, String> {
    let files = files(text)?;
    let is_here = |name: &String| files.iter().any(|file| file.name() == name);
    Ok(files.iter().flat_map(|file| &file.dependency).filter(|name| !is_here(name)).cloned().collect())
}

/// A descriptor of one file, or a set of them: the first field of both has the same number.
fn described(bytes: &[u8]) -> Result<Vec<FileDescriptorProto>, String> {
    if let Ok(file) = FileDescriptorProto::decode(bytes)
        && (!file.message_type.is_empty() || !file.enum_type.is_empty())
    {
        return Ok(vec![file]);
    }
    let set = FileDescriptorSet::decode(bytes).map_err(|error| format!("no descriptor: {error}"))?;
    if set.file.is_empty() { Err("no descriptor: it holds no file".to_owned()) } else { Ok(set.file) }
}

/// The bytes of a text that is base64; a `.proto` has characters that base64 has not.
fn decoded(text: &str) -> Option<Vec<u8>> {
    let text = text.trim().trim_end_matches('=');
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut n_bits) = (0_u32, 0);
    for byte in text.bytes() {
        let six = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(six);
        n_bits += 6;
        if n_bits >= 8 {
            n_bits -= 8;
            bytes.push((bits >> n_bits & 0xff) as u8);
        }
    }
    (!bytes.is_empty()).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_take_the_parsers_stack_is_no_schema() {
        let deep = |n: usize| format!("syntax = \"proto3\"; {}{}", "message A { ".repeat(n), "}".repeat(n));
        assert!(files(&deep(20)).is_ok(), "{:?}", files(&deep(20)));
        for text in [deep(101), deep(100_000), "message A { option (a) = ".to_owned() + &"[".repeat(100_000)] {
            assert_eq!(files(&text).unwrap_err(), "no .proto: more than 100 brackets in each other");
        }
        let long = |n: usize| "x".repeat(n);
        for text in [format!("option a = \"{}\";", long(100_000)), format!("message {} {{}}", long(100_000))] {
            assert_eq!(files(&text).unwrap_err(), "no .proto: a word or text of more than 8192 bytes");
        }
        let noise =
            format!("//{}\n/* {} {{ */ option java_package = \"{{\\\"{}\";", long(100_000), long(100_000), long(8_000));
        let text = noise + &"// \n".repeat(100_000) + &" ".repeat(100_000) + "message A { optional int32 a = 1; }";
        assert_eq!(files(&text).expect("a schema")[0].message_type[0].name(), "A");
        assert_eq!(legible("a /* { */\n \"b // \\\" c\" // d"), Ok("a \"b // \\\" c\" ".to_owned()));
    }

    #[test]
    fn a_schema_is_a_text_a_descriptor_or_a_set_of_them() {
        let text = "syntax = \"proto3\"; package a; import \"b.proto\"; message M { int32 x = 1; }";
        let file = files(text).expect("a schema").remove(0);
        let in_base64 = |bytes: &[u8]| {
            let digits = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
            let bits = bytes.chunks(3).flat_map(|three| {
                let whole =
                    three.iter().fold(0_u32, |whole, byte| whole << 8 | u32::from(*byte)) << (8 * (3 - three.len()));
                (0..=three.len()).map(move |n| digits[(whole >> (18 - 6 * n) & 63) as usize])
            });
            let mut text = String::from_utf8(bits.collect()).expect("ASCII");
            text.push_str(&"=".repeat((3 - bytes.len() % 3) % 3));
            text
        };
        assert_eq!(decoded(&in_base64(b"any bytes")), Some(b"any bytes".to_vec()));
        assert_eq!(decoded(&in_base64(b"any byte")), Some(b"any byte".to_vec()));
        let one = in_base64(&file.encode_to_vec());
        assert_eq!(files(&one).expect("a descriptor"), std::slice::from_ref(&file));
        let set = FileDescriptorSet { file: vec![file.clone(), file.clone()] };
        assert_eq!(files(&in_base64(&set.encode_to_vec())).expect("a set"), [file.clone(), file]);
        assert_eq!(imports(text), Ok(vec!["b.proto".to_owned()]));
        assert_eq!(imports(&one), Ok(vec!["b.proto".to_owned()]));
    }

    #[test]
    fn what_is_no_schema_is_said() {
        for (text, why) in [
            ("{\"type\": \"int\"}", "no .proto: "),
            ("AAAA", "no descriptor: "),
            ("edition = \"2023\"; message M {}", "no .proto: "),
        ] {
            let said = files(text);
            assert!(said.as_ref().is_err_and(|said| said.starts_with(why)), "{said:?}");
        }
    }
}
