//! Event times: epoch numbers of any unit and written times to microseconds.
//!
//! Integers lose what is finer than a microsecond (towards the past, so that no event moves into a later pane); floats
//! are rounded to the nearest one, because they only come near a decimal fraction anyway.

use crate::event::{Micros, SECOND};
use crate::plan::{TimeFormat, WallClock};

const MICROS_PER_DAY: i64 = 86_400 * SECOND;

/// An integer epoch in microseconds; `None` when it does not fit.
pub fn from_integer(value: i64, format: TimeFormat) -> Option<Micros> {
    match format {
        TimeFormat::Seconds => value.checked_mul(SECOND),
        TimeFormat::Millis => value.checked_mul(1000),
        TimeFormat::Micros | TimeFormat::Rfc3339 => Some(value),
        TimeFormat::Nanos => Some(value.div_euclid(1000)),
    }
}

/// A fractional epoch in microseconds; `None` when it does not fit.
pub fn from_float(value: f64, format: TimeFormat) -> Option<Micros> {
    let micros = match format {
        TimeFormat::Seconds => value * 1e6,
        TimeFormat::Millis => value * 1e3,
        TimeFormat::Micros | TimeFormat::Rfc3339 => value,
        TimeFormat::Nanos => value / 1e3,
    };
    #[expect(clippy::cast_possible_truncation, reason = "checked to be in range")]
    (micros.abs() < 9.2e18).then(|| micros.round() as i64)
}

/// A written time in microseconds: `2013-05-03T12:00:00.5+02:00`, and as SQL, pandas and people write it: with a space,
/// lower-case letters or slashes, without seconds or without a time of day, with a leap second. What has no zone is in
/// UTC.
pub fn from_text(text: &[u8]) -> Option<Micros> {
    from_local(text, None)
}

/// The same, but what has no zone is what a clock on a wall shows; what it shows twice is the first time.
pub fn from_local(text: &[u8], clock: Option<&WallClock>) -> Option<Micros> {
    let shown = |micros: Micros| Some(clock.map_or(micros, |clock| clock.time_of(micros)));
    let (date, rest) = text.trim_ascii().split_at_checked(10)?;
    let midnight = day(date, b'-').or_else(|| day(date, b'/'))? * MICROS_PER_DAY;
    let Some((&separator, rest)) = rest.split_first() else { return shown(midnight) };
    matches!(separator, b'T' | b't' | b' ').then_some(())?;
    let (seconds, rest) = time_of_day(rest)?;
    let (fraction, zone) = fraction(rest)?;
    let micros = midnight + seconds * SECOND + fraction;
    match zone.trim_ascii() {
        [] => shown(micros),
        zone => Some(micros - offset(zone)? * 60 * SECOND),
    }
}

/// Days from 1970-01-01 to `YYYY-MM-DD` (Howard Hinnant, "chrono-compatible low-level date algorithms").
fn day(text: &[u8], separator: u8) -> Option<i64> {
    let [year, month, day] = numbers(text, [4, 2, 2], separator)?;
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    (1..=days).contains(&day).then_some(())?;
    let (year, month) = if month <= 2 { (year - 1, month + 9) } else { (year, month - 3) };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * month + 2) / 5 + day - 1;
    Some(era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468)
}

/// Seconds since midnight of `HH:MM:SS` or `HH:MM`, and what follows.
fn time_of_day(text: &[u8]) -> Option<(i64, &[u8])> {
    let (clock, rest) = text.split_at_checked(5)?;
    let [hour, minute] = numbers(clock, [2, 2], b':')?;
    let (second, rest) = match rest.strip_prefix(b":") {
        Some(rest) => {
            let (digits, rest) = rest.split_at_checked(2)?;
            let [second] = numbers(digits, [2], b':')?;
            (second, rest)
        }
        None => (0, rest),
    };
    (hour < 24 && minute < 60 && second <= 60).then_some((hour * 3600 + minute * 60 + second, rest))
}

/// Microseconds of an optional `.123456789`, or `,123` as logs have it, and what follows it.
fn fraction(text: &[u8]) -> Option<(i64, &[u8])> {
    let Some(digits) = text.strip_prefix(b".").or_else(|| text.strip_prefix(b",")) else { return Some((0, text)) };
    let n = digits.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(digits.len());
    let micros = (0..6).fold(0, |micros, i| micros * 10 + if i < n { i64::from(digits[i] - b'0') } else { 0 });
    (n > 0).then_some((micros, &digits[n..]))
}

/// Minutes east of Greenwich of nothing, `Z`, `UTC`, `+HH:MM`, `+HHMM` or `+HH`.
fn offset(text: &[u8]) -> Option<i64> {
    let (sign, digits) = match text.split_first() {
        None | Some((b'Z' | b'z', [])) => return Some(0),
        Some((b'+', digits)) => (1, digits),
        Some((b'-', digits)) => (-1, digits),
        Some(_) => return (text.eq_ignore_ascii_case(b"UTC") || text.eq_ignore_ascii_case(b"GMT")).then_some(0),
    };
    let [hour, minute] = match digits.len() {
        2 => [numbers(digits, [2], b':')?[0], 0],
        4 => [numbers(&digits[..2], [2], b':')?[0], numbers(&digits[2..], [2], b':')?[0]],
        _ => numbers(digits, [2, 2], b':')?,
    };
    (hour < 24 && minute < 60).then_some(sign * (hour * 60 + minute))
}

/// Numbers of fixed widths with a separator between them.
fn numbers<const N: usize>(text: &[u8], widths: [usize; N], separator: u8) -> Option<[i64; N]> {
    let mut rest = text;
    let mut values = [0; N];
    for (i, (value, width)) in values.iter_mut().zip(widths).enumerate() {
        if i > 0 {
            rest = rest.strip_prefix(&[separator])?;
        }
        let (digits, after) = rest.split_at_checked(width)?;
        for digit in digits {
            *value = *value * 10 + i64::from(digit.is_ascii_digit().then(|| digit - b'0')?);
        }
        rest = after;
    }
    rest.is_empty().then_some(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_times_are_exact() {
        let cases = [
            ("1970-01-01T00:00:00Z", 0),
            ("2013-05-03T10:00:15.765021Z", 1_367_575_215_765_021),
            ("2013-05-03 12:00:15.7650219+02:00", 1_367_575_215_765_021),
            ("2012-02-29t23:59:60.5z", 1_330_560_000_500_000),
            ("2000-03-01T00:00:00-00:30", 951_870_600_000_000),
            ("1969-12-31T23:59:59.999999Z", -1),
            ("9999-12-31T23:59:59Z", 253_402_300_799_000_000),
            // SQL, pandas, Postgres and people.
            ("1970-01-02", 86_400_000_000),
            ("1970/01/02", 86_400_000_000),
            ("1970-01-01 00:01", 60_000_000),
            ("1970-01-01T00:00:01", 1_000_000),
            ("1970-01-01 00:00:01.000002", 1_000_002),
            ("1970-01-01 00:00:01.1234567", 1_123_456),
            ("1970-01-01 00:00:01,123", 1_123_000),
            ("1970-01-01 02:00:00+02", 0),
            ("1970-01-01 02:00:00.5+0200", 500_000),
            ("1970-01-01 00:00:01 UTC", 1_000_000),
            (" 1970-01-01 00:00:01+00 ", 1_000_000),
        ];
        for (text, expected) in cases {
            assert_eq!(from_text(text.as_bytes()), Some(expected), "{text}");
        }
        let bad = [
            "yesterday",
            "",
            "2013-05",
            "03/05/2013",
            "2013-05-03T10",
            "2013-02-29T10:00:15Z",
            "2013-13-01T00:00:00Z",
            "2013-05-03T24:00:00Z",
            "2013-05-03T10:00:15.Z",
            "2013-05-03T10:00:15+02000",
            "2013-05-03T10:00:15 CET",
            "2013-05-0310:00:15Z",
            "+013-05-03T10:00:15Z",
            "2013-04-31T00:00:00Z",
            "2013-05-00T00:00:00Z",
            "2013-05-03T10:00:15é",
        ];
        for text in bad {
            assert_eq!(from_text(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn every_day_of_four_centuries_follows_the_one_before() {
        let mut expected = day(b"1600-01-01", b'-').unwrap();
        for year in 1600..2000 {
            for (month, n) in (1..).zip([
                31,
                28 + i64::from(day(format!("{year}-02-29").as_bytes(), b'-').is_some()),
                31,
                30,
                31,
                30,
                31,
                31,
                30,
                31,
                30,
                31,
            ]) {
                for date in 1..=n {
                    assert_eq!(day(format!("{year}-{month:02}-{date:02}").as_bytes(), b'-'), Some(expected));
                    expected += 1;
                }
            }
        }
        assert_eq!(day(b"2000-01-01", b'-'), Some(expected));
        assert_eq!(expected, 10_957);
    }

    #[test]
    fn numbers_of_every_unit() {
        assert_eq!(from_integer(1_367_575_215, TimeFormat::Seconds), Some(1_367_575_215_000_000));
        assert_eq!(from_integer(-1, TimeFormat::Nanos), Some(-1));
        assert_eq!(from_integer(1_367_575_215_765_021_999, TimeFormat::Nanos), Some(1_367_575_215_765_021));
        assert_eq!(from_integer(i64::MAX, TimeFormat::Millis), None);
        assert_eq!(from_float(1_367_575_215.765_021, TimeFormat::Seconds), Some(1_367_575_215_765_021));
        assert_eq!(from_float(f64::NAN, TimeFormat::Seconds), None);
        assert_eq!(from_float(1e300, TimeFormat::Micros), None);
    }
}
