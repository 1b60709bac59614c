//! JSON texts: borrowed from the record when they hold no escape, which is nearly always, else put together aside.
//!
//! The end is searched eight bytes at a time (SWAR, "SIMD within a register").

use super::cursor::Cursor;
use super::flaw::Flaw;

/// One in every byte.
const ONES: u64 = u64::from_ne_bytes([0x01; 8]);
/// A quote in every byte.
const QUOTES: u64 = u64::from_ne_bytes([b'"'; 8]);
/// A backslash in every byte.
const BACKSLASHES: u64 = u64::from_ne_bytes([b'\\'; 8]);
/// A space, the first character that may stand in a text, in every byte.
const SPACES: u64 = u64::from_ne_bytes([b' '; 8]);
/// The top bit of every byte.
const TOPS: u64 = u64::from_ne_bytes([0x80; 8]);

impl Cursor<'_> {
    /// Reads a text; `what` tells people what was expected.
    #[inline]
    pub(super) fn text_value(&mut self, what: &'static str) -> Result<&[u8], Flaw> {
        if !self.eat(b'"') {
            return Err(self.not(what));
        }
        let start = self.at;
        self.plain()?;
        if self.peek() != b'"' {
            return self.escaped(start);
        }
        let end = self.at;
        self.at += 1;
        Ok(&self.text[start..end])
    }

    /// Reads a text as such.
    pub(super) fn str_value(&mut self, what: &'static str) -> Result<&str, Flaw> {
        self.text_value(what).map(|text| str::from_utf8(text).expect("the record is UTF-8"))
    }

    /// Passes bytes up to a quote or a backslash.
    #[inline]
    fn plain(&mut self) -> Result<(), Flaw> {
        while let Some(chunk) = self.text[self.at..].first_chunk::<8>() {
            let found = special(u64::from_le_bytes(*chunk));
            if found != 0 {
                self.at += (found.trailing_zeros() / 8) as usize;
                return self.check_control();
            }
            self.at += 8;
        }
        while self.peek() >= b' ' && !matches!(self.peek(), b'"' | b'\\') {
            self.at += 1;
        }
        self.check_control()
    }

    #[inline]
    fn check_control(&self) -> Result<(), Flaw> {
        match self.text.get(self.at) {
            Some(b' '..) => Ok(()),
            Some(_) => Err(Flaw::malformed("a control character in a text")),
            None => Err(Flaw::malformed("a text without an end")),
        }
    }

    /// The rest of a text that began at `start` and has an escape here.
    #[cold]
    fn escaped(&mut self, start: usize) -> Result<&[u8], Flaw> {
        self.scratch.clear();
        self.scratch.extend_from_slice(&self.text[start..self.at]);
        while !self.eat(b'"') {
            self.at += 1; // the backslash
            let char = self.escape()?;
            self.scratch.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
            let run = self.at;
            self.plain()?;
            self.scratch.extend_from_slice(&self.text[run..self.at]);
        }
        Ok(self.scratch)
    }

    fn escape(&mut self) -> Result<char, Flaw> {
        let letter = self.peek();
        self.at += 1;
        match letter {
            b'"' | b'\\' | b'/' => Ok(char::from(letter)),
            b'b' => Ok('\u{8}'),
            b'f' => Ok('\u{c}'),
            b'n' => Ok('\n'),
            b'r' => Ok('\r'),
            b't' => Ok('\t'),
            b'u' => self.unicode(),
            _ => Err(Flaw::malformed("an unknown escape in a text")),
        }
    }

    /// The character of `\u` and four hexadecimal digits, or of a pair of them above the basic plane.
    fn unicode(&mut self) -> Result<char, Flaw> {
        let first = self.hex4()?;
        let code = match first {
            0xD800..0xDC00 if self.eat(b'\\') && self.eat(b'u') => match self.hex4()? {
                second @ 0xDC00..0xE000 => 0x1_0000 + ((first - 0xD800) << 10) + (second - 0xDC00),
                _ => first,
            },
            _ => first,
        };
        char::from_u32(code).ok_or_else(|| Flaw::malformed("half of a surrogate pair in a text"))
    }

    fn hex4(&mut self) -> Result<u32, Flaw> {
        let digits = self.text.get(self.at..self.at + 4).and_then(|digits| {
            digits.iter().try_fold(0, |code, &digit| Some(code << 4 | char::from(digit).to_digit(16)?))
        });
        self.at += 4;
        digits.ok_or_else(|| Flaw::malformed("expected four hexadecimal digits"))
    }
}

/// The top bit of the first byte that is a quote, if any (and noise above it).
#[inline]
pub(super) fn quote(word: u64) -> u64 {
    let others = word ^ QUOTES;
    others.wrapping_sub(ONES) & !others & TOPS
}

/// The top bit of the first byte that is a quote, a backslash or a control character, if any (and noise above it).
#[inline]
fn special(word: u64) -> u64 {
    let zero = |x: u64| x.wrapping_sub(ONES) & !x;
    let backslash = zero(word ^ BACKSLASHES);
    let control = word.wrapping_sub(SPACES) & !word;
    (backslash | control) & TOPS | quote(word)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Option<String> {
        let mut scratch = Vec::new();
        let mut cursor = Cursor::new(text.as_bytes(), &mut scratch);
        let bytes = cursor.text_value("expected a text").ok()?.to_vec();
        assert_eq!(cursor.at, text.len());
        Some(String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn escapes_and_surrogates() {
        assert_eq!(read(r#""a\"\\\/\b\f\n\r\t\u00e9\uD83D\uDE00z""#).as_deref(), Some("a\"\\/\u{8}\u{c}\n\r\té😀z"));
        let bad = [
            r#""\uD83D""#,
            r#""\uDE00""#,
            r#""\uD83D\u0041""#,
            r#""\uD83D\n""#,
            r#""\u12G4""#,
            r#""\u+123""#,
            r#""\x""#,
            r#""\"#,
            r#""abc"#,
            "\"a\nb\"",
            r#""\u1"#,
        ];
        for text in bad {
            assert_eq!(read(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_back(text in any::<String>()) {
            prop_assert_eq!(read(&serde_json::to_string(&text).unwrap()), Some(text));
        }

        #[test]
        fn the_first_special_byte_is_found(bytes in any::<[u8; 8]>()) {
            let expected = bytes.iter().position(|&byte| byte < 0x20 || byte == b'"' || byte == b'\\').unwrap_or(8);
            prop_assert_eq!((special(u64::from_le_bytes(bytes)).trailing_zeros() / 8) as usize, expected);
        }
    }
}
