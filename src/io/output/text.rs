//! Numbers, times and tables for people.

use std::fmt::Write as _;

use arrow::temporal_conversions::timestamp_us_to_datetime;

use crate::event::{Micros, SECOND};

/// A time without what is zero: `2013-04-18 00:00 UTC`, with seconds only where there are any.
pub fn instant(at: Micros) -> String {
    let Some(time) = timestamp_us_to_datetime(at) else { return format!("{at} us") };
    let text = time.to_string();
    format!("{} UTC", text.strip_suffix(":00").unwrap_or(&text))
}

/// The time of day, UTC: `09:05:00`.
pub fn time_of_day(at: Micros) -> String {
    let seconds = at.div_euclid(SECOND).rem_euclid(86_400);
    format!("{:02}:{:02}:{:02}", seconds / 3_600, seconds / 60 % 60, seconds % 60)
}

/// As much of an id as tells it from others.
pub fn short_id(id: &str) -> &str {
    id.get(..15).unwrap_or(id)
}

/// What there is, or a dash.
pub fn or_dash<T>(value: Option<T>, shown: impl FnOnce(T) -> String) -> String {
    value.map_or_else(|| "–".to_owned(), shown)
}

/// A count with thousands apart: `84,621`.
#[must_use]
pub fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `1 window`, `2 windows`.
pub fn plural(n: u64, noun: &str) -> String {
    format!("{} {noun}{}", count(n), if n == 1 { "" } else { "s" })
}

/// A number with four significant digits, as short as that allows.
pub fn number(value: f64) -> String {
    // No zero has a sign.
    let (value, size) = (value + 0.0, value.abs());
    if size != 0.0 && !(1e-3..1e6).contains(&size) {
        return format!("{value:.3e}");
    }
    let decimals = if size >= 1000.0 {
        0
    } else if size >= 100.0 {
        1
    } else if size >= 10.0 {
        2
    } else if size >= 1.0 {
        3
    } else {
        4
    };
    let text = format!("{value:.decimals$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// From one number to another: `0.1 – 0.25`.
pub fn interval(low: f64, high: f64) -> String {
    format!("{} – {}", number(low), number(high))
}

/// A share in percent, with as many digits as it needs.
#[must_use]
pub fn percent(share: f64) -> String {
    let percent = share * 100.0;
    if percent == 0.0 {
        "0 %".to_owned()
    } else if percent < 0.1 {
        format!("{percent:.2} %")
    } else if percent < 99.95 {
        format!("{percent:.1} %")
    } else {
        format!("{percent:.0} %")
    }
}

/// How large a part of many is.
#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
pub fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// Rows with their columns aligned, each line indented by `indent`.
pub fn aligned<const N: usize>(rows: &[[String; N]], indent: usize) -> String {
    let mut widths = [0; N];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let mut out = String::new();
    for row in rows {
        let mut line = " ".repeat(indent);
        for (cell, width) in row.iter().zip(widths) {
            let _ = write!(line, "{cell:width$}  ");
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_keep_four_digits() {
        let cases =
            [(0.0, "0"), (0.05, "0.05"), (0.123_456, "0.1235"), (12.0, "12"), (12.345_6, "12.35"), (5000.0, "5000")];
        for (value, text) in cases {
            assert_eq!(number(value), text);
        }
        assert_eq!([number(-0.0), number(-0.5), number(f64::NAN), number(f64::INFINITY)], ["0", "-0.5", "NaN", "inf"]);
        assert_eq!(
            [number(999_999.0), number(1e6), number(0.001), number(0.000_999)],
            ["999999", "1.000e6", "0.001", "9.990e-4"]
        );
        assert_eq!((number(1e-7).as_str(), number(-2.5e9).as_str()), ("1.000e-7", "-2.500e9"));
    }

    #[test]
    fn counts_and_times_are_readable() {
        assert_eq!(
            (count(7), count(999), count(84_621), count(1_234_567)),
            ("7".into(), "999".into(), "84,621".into(), "1,234,567".into())
        );
        assert_eq!((plural(1, "window"), plural(0, "window")), ("1 window".into(), "0 windows".into()));
        assert_eq!(instant(1_366_243_200_000_000), "2013-04-18 00:00 UTC");
        assert_eq!(instant(1_366_243_201_500_000), "2013-04-18 00:00:01.500 UTC");
        assert_eq!((time_of_day(1_767_603_901_500_000), time_of_day(-1)), ("09:05:01".into(), "23:59:59".into()));
        assert_eq!(instant(i64::MAX), "9223372036854775807 us");
    }

    #[test]
    fn what_is_not_there_is_a_dash() {
        assert_eq!((or_dash(Some(0.5), percent), or_dash(None, percent)), ("50.0 %".into(), "–".into()));
        assert_eq!((short_id("b3:0123456789abcdef"), short_id("b3:0")), ("b3:0123456789ab", "b3:0"));
        assert_eq!(interval(0.1, 0.25), "0.1 – 0.25");
    }

    #[test]
    fn shares_have_as_many_digits_as_they_need() {
        for (share, text) in [(0.0, "0 %"), (0.000_4, "0.04 %"), (0.001, "0.1 %"), (0.123_4, "12.3 %"), (1.0, "100 %")]
        {
            assert_eq!(percent(share), text);
        }
        assert_eq!(
            (share(1, 0).to_bits(), share(0, 5).to_bits(), share(1, 4)),
            (0, 0, 0.25),
            "a part of nothing is none"
        );
    }

    #[test]
    fn columns_line_up_without_trailing_blanks() {
        let rows = [["a", "long"], ["name", "b"]].map(|row| row.map(str::to_owned));
        assert_eq!(aligned(&rows, 2), "  a     long\n  name  b\n");
    }
}
