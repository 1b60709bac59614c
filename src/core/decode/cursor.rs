//! A place in one JSON text: white space, literals, and skipping what nobody asked for, to the letter of RFC 8259,
//! but for `NaN` and `Infinity`, which Python writes.
//!
//! [`number`](super::number) and [`text`](super::text) add the two kinds of scalars. The text is known to be UTF-8.

use super::flaw::Flaw;

/// The deepest nesting that is read, projected or not.
pub(super) const DEPTH_MAX: u32 = 64;

/// A place in one JSON text.
#[derive(Debug)]
pub(super) struct Cursor<'t> {
    pub(super) text: &'t [u8],
    pub(super) at: usize,
    /// Where texts with escapes are put together.
    pub(super) scratch: &'t mut Vec<u8>,
}

impl<'t> Cursor<'t> {
    /// The start of a text.
    pub(super) fn new(text: &'t [u8], scratch: &'t mut Vec<u8>) -> Self {
        Self { text, at: 0, scratch }
    }

    /// The byte here; 0, which no document has outside of texts, at the end.
    #[inline]
    pub(super) fn peek(&self) -> u8 {
        self.text.get(self.at).copied().unwrap_or(0)
    }

    /// Passes white space.
    #[inline]
    pub(super) fn space(&mut self) {
        while self.peek() <= b' ' && matches!(self.peek(), b' ' | b'\n' | b'\r' | b'\t') {
            self.at += 1;
        }
    }

    /// Passes one byte if it is here.
    #[inline]
    pub(super) fn eat(&mut self, byte: u8) -> bool {
        let here = self.peek() == byte;
        self.at += usize::from(here);
        here
    }

    /// Passes one byte that must be here.
    #[inline]
    pub(super) fn expect(&mut self, byte: u8, what: &'static str) -> Result<(), Flaw> {
        if self.eat(byte) { Ok(()) } else { Err(Flaw::malformed(what)) }
    }

    /// Passes `null`, `true`, `false` or another word.
    pub(super) fn literal(&mut self, word: &'static str) -> Result<(), Flaw> {
        if !self.text[self.at..].starts_with(word.as_bytes()) {
            return Err(Flaw::malformed("expected a value"));
        }
        self.at += word.len();
        Ok(())
    }

    /// Reads `true` or `false`.
    pub(super) fn boolean(&mut self) -> Result<bool, Flaw> {
        let value = self.peek() == b't';
        self.literal(if value { "true" } else { "false" })?;
        Ok(value)
    }

    /// Passes the comma before the next member, or the closing byte; whether there is a next member.
    #[inline]
    pub(super) fn next_member(&mut self, close: u8) -> Result<bool, Flaw> {
        self.space();
        if self.eat(b',') {
            self.space();
            return Ok(true);
        }
        self.expect(close, "expected a comma or the end of an object or array").map(|()| false)
    }

    /// Passes an opening byte and white space; whether there is a first member.
    #[inline]
    pub(super) fn first_member(&mut self, close: u8) -> bool {
        self.at += 1;
        self.space();
        !self.eat(close)
    }

    /// Reads a key and passes its colon.
    pub(super) fn skip_key(&mut self) -> Result<(), Flaw> {
        self.text_value("expected a key")?;
        self.colon()
    }

    /// Passes a colon and the white space around it.
    pub(super) fn colon(&mut self) -> Result<(), Flaw> {
        self.space();
        self.expect(b':', "expected a colon")?;
        self.space();
        Ok(())
    }

    /// Passes any value, `depth` levels below the record, and checks its grammar.
    pub(super) fn skip(&mut self, depth: u32) -> Result<(), Flaw> {
        match self.peek() {
            b'"' => self.text_value("expected a value").map(drop),
            b'{' => self.skip_object(depth + 1),
            b'[' => self.skip_array(depth + 1),
            b't' | b'f' => self.boolean().map(drop),
            b'n' => self.literal("null"),
            b'N' | b'I' => self.beyond().map(drop),
            b'-' if self.text[self.at..].starts_with(b"-I") => self.beyond().map(drop),
            _ => self.number("expected a value").map(drop),
        }
    }

    fn skip_object(&mut self, depth: u32) -> Result<(), Flaw> {
        check_depth(depth)?;
        let mut more = self.first_member(b'}');
        while more {
            self.skip_key()?;
            self.skip(depth)?;
            more = self.next_member(b'}')?;
        }
        Ok(())
    }

    fn skip_array(&mut self, depth: u32) -> Result<(), Flaw> {
        check_depth(depth)?;
        let mut more = self.first_member(b']');
        while more {
            self.skip(depth)?;
            more = self.next_member(b']')?;
        }
        Ok(())
    }

    /// Why the value here is not what was asked for: another type, or no value at all.
    #[cold]
    pub(super) fn not(&self, what: &'static str) -> Flaw {
        match self.peek() {
            b'"' | b'{' | b'[' | b't' | b'f' | b'n' | b'N' | b'I' | b'-' | b'0'..=b'9' => Flaw::wrong_type(what),
            _ => Flaw::malformed(what),
        }
    }
}

/// Refuses to go deeper than [`DEPTH_MAX`].
pub(super) fn check_depth(depth: u32) -> Result<(), Flaw> {
    if depth <= DEPTH_MAX { Ok(()) } else { Err(Flaw::malformed("nested deeper than 64 levels")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn skips(text: &str) -> bool {
        let mut scratch = Vec::new();
        let mut cursor = Cursor::new(text.as_bytes(), &mut scratch);
        cursor.skip(0).is_ok() && cursor.at == text.len()
    }

    #[test]
    fn skipping_checks_the_grammar() {
        for good in [r#"{"a" : [1, -0.5e+3, {"b":null}] , "":""}"#, "[]", "[ ]", "{ }", "true", "-0", r#""\u0041\"""#] {
            assert!(skips(good), "{good}");
        }
        for bad in
            ["[1,]", "{,}", r#"{"a"}"#, r#"{"a":}"#, "{a:1}", "[1 2]", "nul", "+1", ".5", "1.", "01", "[", "\"", ""]
        {
            assert!(!skips(bad), "{bad}");
        }
    }

    #[test]
    fn nesting_is_bounded() {
        let nested = |n: usize| "[".repeat(n) + &"]".repeat(n);
        assert!(skips(&nested(64)));
        assert!(!skips(&nested(65)));
        assert!(!skips(&"[".repeat(1_000_000)));
    }
}
