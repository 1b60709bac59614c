//! JSON numbers: an integer mantissa times a power of ten, which is the exact value whenever both are small enough.
//!
//! An `f64` holds every integer up to 2^53 and every power of ten up to 10^22, and one multiplication or division of
//! two exact numbers is rounded once, hence correctly (Clinger 1990, "How to read floating point numbers accurately").
//! All other numbers go to the standard library.

use std::hint::select_unpredictable;

use super::cursor::Cursor;
use super::flaw::Flaw;

/// The powers of ten that an `f64` holds exactly.
const POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20,
    1e21, 1e22,
];
/// Powers of ten up to the number of bytes that are read together.
const TENS: [u64; 9] = [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000];
/// Every integer up to this one is an `f64`.
const MANTISSA_EXACT_MAX: u64 = 1 << 53;
/// So many digits fit into a `u64`.
const DIGITS_MAX: usize = 19;
/// Beyond this every number is zero or infinite, whatever its digits are (given that a record is below 2^31 bytes).
const EXPONENT_MAX: i32 = i32::MAX / 16;

/// A number as it was written.
#[derive(Debug, Clone, Copy)]
pub(super) struct WrittenNumber<'t> {
    /// All of it.
    pub(super) token: &'t [u8],
    /// Its digits as one integer; meaningless unless `fits`.
    mantissa: u64,
    /// The power of ten that the mantissa is multiplied by.
    exponent: i32,
    negative: bool,
    /// Whether all digits fit into the mantissa.
    fits: bool,
    /// Whether it has neither a point nor an exponent.
    plain: bool,
}

impl WrittenNumber<'_> {
    /// The nearest `f64`; infinite beyond the largest.
    #[inline]
    pub(super) fn value(&self) -> f64 {
        if !self.fits || self.mantissa > MANTISSA_EXACT_MAX {
            return self.value_slowly();
        }
        #[expect(clippy::cast_precision_loss, reason = "exact up to 2^53")]
        let magnitude = self.mantissa as f64;
        let value = match POWERS.get(self.exponent.unsigned_abs() as usize) {
            Some(power) if self.exponent < 0 => magnitude / power,
            Some(power) => magnitude * power,
            None => return self.value_slowly(),
        };
        if self.negative { -value } else { value }
    }

    #[cold]
    fn value_slowly(&self) -> f64 {
        let text = str::from_utf8(self.token).expect("a number is ASCII");
        text.parse().expect("a JSON number is a Rust number")
    }

    /// The integer, for numbers written as one.
    pub(super) fn integer(&self) -> Option<i64> {
        let value = (self.plain && self.fits).then(|| i64::try_from(self.mantissa).ok())??;
        Some(if self.negative { -value } else { value })
    }

    /// Whether it is written as an integer, however large.
    pub(super) fn is_plain(&self) -> bool {
        self.plain
    }
}

/// Appends the digits from `at` on to `mantissa` (modulo 2^64); returns where they end.
#[inline]
fn digits(text: &[u8], mut at: usize, mantissa: &mut u64) -> usize {
    while let Some(chunk) = text.get(at..).and_then(<[u8]>::first_chunk::<8>) {
        let (n, value) = leading(u64::from_le_bytes(*chunk));
        *mantissa = mantissa.wrapping_mul(TENS[n]).wrapping_add(value);
        at += n;
        if n < 8 {
            return at;
        }
    }
    while let Some(digit) = text.get(at).map(|byte| byte.wrapping_sub(b'0')).filter(|&digit| digit < 10) {
        *mantissa = mantissa.wrapping_mul(10).wrapping_add(u64::from(digit));
        at += 1;
    }
    at
}

/// A zero in every byte: without it, what is left of a digit is its value.
const ZEROS: u64 = u64::from_ne_bytes([b'0'; 8]);
/// The upper half of every byte: nothing is left there of a digit, and one bit of a sign or a point.
const UPPER: u64 = u64::from_ne_bytes([0xf0; 8]);
/// What is left of a sign.
const MINUS: u8 = b'-' ^ b'0';
/// What is left of a point.
const POINT: u8 = b'.' ^ b'0';
/// Bytes that a short number and what follows it are in.
const WINDOW: usize = 16;

/// How many of eight bytes are digits, up to the first that is not, and the number they write.
///
/// All eight are looked at together (SWAR, "SIMD within a register").
#[inline]
fn leading(word: u64) -> (usize, u64) {
    let values = word ^ ZEROS;
    let n = beyond_nine(values).trailing_zeros() / 8;
    // Moved to the top, the digits are the last of eight, after zeros.
    let eight = values.checked_shl(64 - 8 * n).unwrap_or(0);
    (n as usize, joined(eight))
}

/// The top bit of the first of eight values that is beyond nine (and noise above it).
#[inline]
fn beyond_nine(values: u64) -> u64 {
    (values.wrapping_add(u64::from_ne_bytes([0x76; 8])) | values) & u64::from_ne_bytes([0x80; 8])
}

/// The number that eight digits write: pairs, then fours, then all are joined by one multiplication each (Lemire 2022,
/// "Parsing eight-digit integers quickly").
#[inline]
fn joined(eight: u64) -> u64 {
    let pairs = (eight.wrapping_mul(1 + (10 << 8)) >> 8) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs.wrapping_mul(1 + (100 << 16)) >> 16) & 0x0000_ffff_0000_ffff;
    fours.wrapping_mul(1 + (10_000 << 32)) >> 32
}

/// Reads a number of the usual form: no exponent, at most seven digits before the point, and fourteen in all. Gives its
/// value and where it ends; none when it is another, or near the end of the text.
///
/// Where it ends does not depend on its sign and its value, so what comes next need not wait for them. No branch
/// depends on signs and digits, which nobody can foresee.
#[inline(always)]
#[expect(clippy::inline_always, reason = "a call costs a third of it")]
#[expect(clippy::needless_bitwise_bool, reason = "one branch that is never taken, instead of five")]
#[expect(clippy::cast_possible_truncation, reason = "the low byte is meant")]
pub(super) fn short_decimal(text: &[u8], start: usize) -> Option<(f64, usize)> {
    let window: &[u8; WINDOW] = text.get(start..)?.first_chunk()?;
    let half = |half: &[u8; 8]| u64::from_le_bytes(*half) ^ ZEROS;
    let (low, high) = (half(window.first_chunk()?), half(window.last_chunk()?));
    // Places are in bits. The first byte ends nothing: it is a sign or, as is seen later, a digit.
    let ends = low & UPPER & !0xff;
    if ends == 0 {
        return None;
    }
    let point = ends.trailing_zeros() & !7;
    let is_negative = low as u8 == MINUS;
    let n_whole = point - 8 * u32::from(is_negative);
    let unsigned = select_unpredictable(is_negative, low >> 8 | high << 56, low);
    let has_point = (low >> point) as u8 == POINT;
    let ((mantissa, noise), n_fraction, end) = if has_point {
        // Of a point one bit is set: without that, the next one is the end.
        let near = ends & (ends - 1);
        let far = 64 + (high & UPPER).trailing_zeros();
        let end = select_unpredictable(near == 0, far, near.trailing_zeros()) & !7;
        let n_fraction = end - point - 8;
        let digits = match n_whole + n_fraction {
            n @ ..=56 => few(unsigned, n_whole, n),
            _ => many([low, high], is_negative, n_whole, end),
        };
        (digits, n_fraction, end)
    } else {
        (few(unsigned, n_whole, n_whole), 0, point)
    };
    let at = start + end as usize / 8;
    let has_leading_zero = (n_whole > 8) & (unsigned as u8 == 0);
    let has_lone_point = has_point & (n_fraction == 0);
    let has_exponent = *text.get(at)? | 0x20 == b'e';
    if (n_whole == 0) | (noise != 0) | has_leading_zero | has_lone_point | has_exponent {
        return None;
    }
    #[expect(clippy::cast_precision_loss, reason = "exact up to 2^53")]
    let value = mantissa as f64 / POWERS[(n_fraction / 8) as usize];
    Some((f64::from_bits(value.to_bits() | u64::from(is_negative) << 63), at))
}

/// The number that `n` bits of digits write, with a byte between them at `point` that is none, and what of them is no
/// digit.
#[inline]
fn few(bytes: u64, point: u32, n: u32) -> (u64, u64) {
    let before = (1 << point) - 1;
    // Moved to the top, the digits are the last of eight, after zeros.
    let digits = (bytes & before | bytes >> 8 & !before) << ((64 - n) & 63);
    (joined(digits), beyond_nine(digits))
}

/// The same of at most fourteen digits; a sign before them, and the point, are among the bits up to `end`.
#[inline(never)]
#[expect(clippy::cast_possible_truncation, reason = "both halves are meant")]
fn many([low, high]: [u64; 2], is_negative: bool, point: u32, end: u32) -> (u64, u64) {
    let sign = 8 * u32::from(is_negative);
    let bytes = (u128::from(high) << 64 | u128::from(low)) >> sign;
    let before = (1 << point) - 1;
    let digits = (bytes & before | bytes >> 8 & !before) << (136 + sign - end);
    let (first, last) = (digits as u64, (digits >> 64) as u64);
    let is_endless = u64::from(end as usize == 8 * WINDOW);
    (joined(first) * TENS[8] + joined(last), beyond_nine(first) | beyond_nine(last) | is_endless)
}

impl<'t> Cursor<'t> {
    /// Reads a number as the nearest `f64`; `what` tells people what was expected.
    #[inline]
    pub(super) fn float(&mut self, what: &'static str) -> Result<f64, Flaw> {
        match short_decimal(self.text, self.at) {
            Some((value, end)) => {
                self.at = end;
                Ok(value)
            }
            None if matches!(self.peek(), b'N' | b'I') || self.text[self.at..].starts_with(b"-I") => self.beyond(),
            None => Ok(self.number(what)?.value()),
        }
    }

    /// Reads `NaN`, `Infinity` or `-Infinity`, which JSON does not know and Python writes all the same.
    #[cold]
    pub(super) fn beyond(&mut self) -> Result<f64, Flaw> {
        let negative = self.eat(b'-');
        let value = if self.peek() == b'N' { f64::NAN } else { f64::INFINITY };
        self.literal(if value.is_nan() { "NaN" } else { "Infinity" })?;
        Ok(if negative { -value } else { value })
    }

    /// Reads a number as it was written; `what` tells people what was expected.
    pub(super) fn number(&mut self, what: &'static str) -> Result<WrittenNumber<'t>, Flaw> {
        let start = self.at;
        let negative = self.eat(b'-');
        let mut mantissa = 0;
        let first = self.peek();
        let n_whole = self.digits(&mut mantissa);
        if n_whole == 0 || (n_whole > 1 && first == b'0') {
            self.at = start;
            return Err(self.not_a_number(what));
        }
        let mut n_fraction = 0;
        if self.eat(b'.') {
            n_fraction = self.digits(&mut mantissa);
            if n_fraction == 0 {
                return Err(Flaw::malformed("expected a digit after the point"));
            }
        }
        let scaled = self.peek() | 0x20 == b'e';
        let power = if scaled { self.exponent()? } else { 0 };
        #[expect(clippy::cast_possible_truncation, clippy::cast_possible_wrap, reason = "a record is below 2^31 bytes")]
        let exponent = power - n_fraction as i32;
        let fits = n_whole + n_fraction <= DIGITS_MAX;
        let plain = n_fraction == 0 && !scaled;
        Ok(WrittenNumber { token: &self.text[start..self.at], mantissa, exponent, negative, fits, plain })
    }

    /// Passes digits and appends them to `mantissa`; returns how many.
    fn digits(&mut self, mantissa: &mut u64) -> usize {
        let start = self.at;
        self.at = digits(self.text, start, mantissa);
        self.at - start
    }

    #[cold]
    fn exponent(&mut self) -> Result<i32, Flaw> {
        self.at += 1;
        let negative = self.eat(b'-');
        if !negative {
            self.eat(b'+');
        }
        let start = self.at;
        let mut power = 0_i32;
        while self.peek().is_ascii_digit() {
            power = (power * 10 + i32::from(self.peek() - b'0')).min(EXPONENT_MAX);
            self.at += 1;
        }
        if self.at == start {
            return Err(Flaw::malformed("expected a digit in the exponent"));
        }
        Ok(if negative { -power } else { power })
    }

    #[cold]
    fn not_a_number(&self, what: &'static str) -> Flaw {
        match self.peek() {
            b'-' | b'0'..=b'9' => Flaw::malformed("not a JSON number"),
            _ => self.not(what),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::event::Poison;

    fn read(text: &str) -> Result<(f64, usize), Poison> {
        let mut scratch = Vec::new();
        let mut cursor = Cursor::new(text.as_bytes(), &mut scratch);
        let value = cursor.float("expected a number").map_err(|flaw| flaw.reason())?;
        Ok((value, cursor.at))
    }

    #[test]
    fn the_grammar_is_strict() {
        for bad in ["01", "-", "-01", "1.", "1.e3", "1e", "1e+", ".5", "+1", "-NaN", "+Infinity", ""] {
            assert_eq!(read(bad), Err(Poison::Malformed), "{bad}");
        }
        assert_eq!(read("\"1\""), Err(Poison::WrongType));
        assert!(read("nan").is_err() && read("inf").is_err());
        assert_eq!(read("1e999"), Ok((f64::INFINITY, 5)));
        assert_eq!(read("-Infinity"), Ok((f64::NEG_INFINITY, 9)));
        assert!(read("NaN").is_ok_and(|(value, end)| value.is_nan() && end == 3));
        assert_eq!(read("0e999999999999"), Ok((0.0, 14)));
        assert_eq!(read("1e-99999999999"), Ok((0.0, 14)));
        assert_eq!(read("0.5,"), Ok((0.5, 3)));
        assert_eq!(read("-0").map(|(value, _)| value.to_bits()), Ok((-0.0_f64).to_bits()));
    }

    #[test]
    fn integers_are_exact_or_none() {
        let integer = |text: &str| {
            let mut scratch = Vec::new();
            Cursor::new(text.as_bytes(), &mut scratch).number("").unwrap().integer()
        };
        assert_eq!(integer("9223372036854775807"), Some(i64::MAX));
        assert_eq!(integer("-9007199254740993"), Some(-9_007_199_254_740_993));
        assert_eq!((integer("9223372036854775808"), integer("100000000000000000000")), (None, None));
        assert_eq!((integer("1.0"), integer("1e3")), (None, None));
    }

    proptest! {
        #[test]
        fn values_are_those_of_the_standard_library(text in r"-?(0|[1-9][0-9]{0,25})(\.[0-9]{1,25})?([eE][+-]?[0-9]{1,3})?") {
            let expected: f64 = text.parse().unwrap();
            match read(&text) {
                Ok((value, length)) => prop_assert_eq!((value.to_bits(), length), (expected.to_bits(), text.len())),
                Err(reason) => prop_assert!(false, "{reason}"),
            }
        }

        #[test]
        fn short_numbers_are_those_of_the_long_way(
            text in prop_oneof![
                "-?[0-9]{0,9}[.]?[0-9]{0,9}[,}\\]: eE:;?.+-]?[0-9,}: é]{16}",
                "[-0-9.:;<=>?eE+, @`°]{24}",
            ],
        ) {
            let mut scratch = Vec::new();
            let mut cursor = Cursor::new(text.as_bytes(), &mut scratch);
            let long = cursor.number("a number").map(|number| number.value().to_bits());
            if let Some((value, end)) = short_decimal(text.as_bytes(), 0) {
                prop_assert_eq!((long, cursor.at), (Ok(value.to_bits()), end), "{}", text);
            }
        }

        #[test]
        fn usual_numbers_are_short(text in r"-?(0|[1-9][0-9]{0,5})(\.[0-9]{1,7})?") {
            let record = format!("{text},\"and so on\":true");
            prop_assert_eq!(short_decimal(record.as_bytes(), 0), Some((text.parse().unwrap(), text.len())));
        }

        #[test]
        fn what_was_written_is_read_back(value in proptest::num::f64::NORMAL) {
            prop_assert_eq!(read(&format!("{value:?}")).map(|(read, _)| read.to_bits()), Ok(value.to_bits()));
        }
    }
}
