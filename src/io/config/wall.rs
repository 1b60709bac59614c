//! Time zones and what clocks show in them: the small values that align windows.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Offset as _, TimeZone as _};
use chrono_tz::{TZ_VARIANTS, Tz};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::problem::nearest;
use super::value::scalar;
use crate::decode::time::from_text;
use crate::event::{Micros, SECOND};
use crate::plan::WallClock;

/// Changes of clocks are looked for on every day from 1970 to the end of 2099, as far as they are known.
const DAYS: std::ops::Range<i64> = 0..47_482;
const DAY_SECONDS: i64 = 86_400;

/// A time zone of the IANA database, which is part of the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Zone(Tz);

impl Zone {
    /// Seconds that clocks are ahead of UTC.
    fn offset(self, seconds: i64) -> i64 {
        let utc = DateTime::from_timestamp(seconds, 0).unwrap_or_default().naive_utc();
        self.0.offset_from_utc_datetime(&utc).fix().local_minus_utc().into()
    }

    /// The second at which clocks are put to another offset within a day.
    fn change(self, day: i64) -> Option<i64> {
        let (mut before, mut after) = (day * DAY_SECONDS, (day + 1) * DAY_SECONDS);
        let offset = self.offset(before);
        if self.offset(after) == offset {
            return None;
        }
        while after - before > 1 {
            let middle = i64::midpoint(before, after);
            if self.offset(middle) == offset { before = middle } else { after = middle }
        }
        Some(after)
    }

    /// The clock on a wall there; a window begins when it shows `begin`.
    pub(crate) fn clock(self, begin: Micros) -> WallClock {
        let changes = DAYS.filter_map(|day| self.change(day));
        let changes: Vec<(Micros, Micros)> = changes.map(|at| (at * SECOND, self.offset(at) * SECOND)).collect();
        WallClock::local(self.0.name(), begin, self.offset(0) * SECOND, &changes)
    }
}

impl FromStr for Zone {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse().map(Self).map_err(|_| {
            let near = nearest(text, TZ_VARIANTS.iter().map(|zone| zone.name()));
            let meant = near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
            format!("`{text}` is not a time zone; write its name, such as Europe/Berlin or America/New_York{meant}")
        })
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.name())
    }
}

scalar!(Zone, "TimeZone", {
    "type": "string",
    "description": "A time zone by its name in the IANA database: Europe/Berlin, America/New_York, UTC."
});

/// What a clock shows when a window begins: a time of day, a weekday, a date, or one of these with a time of day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Begin(pub(crate) Micros);

/// Weekdays, the first of which was a 5th of January 1970.
const WEEKDAYS: [&str; 7] = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];

impl FromStr for Begin {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (first, rest) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
        let weekday = (5..).zip(WEEKDAYS).find(|(_, name)| name.eq_ignore_ascii_case(first));
        let written = match weekday {
            Some((day, _)) => format!("1970-01-{day:02} {rest}"),
            None if first.contains(':') && !first.contains('-') => format!("1970-01-01 {}", text.trim()),
            None => text.trim().to_owned(),
        };
        let is_local = written.bytes().all(|byte| byte.is_ascii_digit() || b"-:T ".contains(&byte));
        let is_local = is_local && written.matches('-').count() == 2;
        let read = is_local.then(|| from_text(written.trim_end().as_bytes())).flatten();
        read.map(Self).ok_or_else(|| {
            format!(
                "`{text}` is not a time at which a window begins; write what the clock shows, such as 06:00, monday, \
                 monday 06:00, 2026-01-05 or 2026-01-05 06:00"
            )
        })
    }
}

impl fmt::Display for Begin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = DateTime::from_timestamp_micros(self.0).unwrap_or_default().naive_utc();
        write!(f, "{}", shown.format("%Y-%m-%d %H:%M:%S"))
    }
}

scalar!(Begin, "Begin", {
    "type": "string",
    "description": "What the clock shows when a window begins: 06:00, monday, monday 06:00, 2026-01-05, 2026-01-05 06:00."
});

/// When windows begin that are cut every `slide`; none where it is not said.
#[must_use]
pub fn beginning(clock: &WallClock, slide: Micros) -> Option<String> {
    const DAY: Micros = DAY_SECONDS * SECOND;
    if clock.is_default() {
        return None;
    }
    let format = match slide {
        _ if DAY % slide == 0 => "%H:%M",
        _ if slide % (7 * DAY) == 0 && slide < 14 * DAY => "%A %H:%M",
        _ => "%Y-%m-%d %H:%M",
    };
    let shown = DateTime::from_timestamp_micros(clock.begin()).unwrap_or_default().naive_utc().format(format);
    Some(format!("one begins when clocks in {} show {shown}", clock.zone().unwrap_or("UTC")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_at_which_windows_begin_are_read_as_they_are_written() {
        let (hour, day) = (3_600 * SECOND, DAY_SECONDS * SECOND);
        let read = |text: &str| text.parse::<Begin>().map(|begin| begin.0);
        assert_eq!(read("06:00"), Ok(6 * hour));
        assert_eq!(read("06:30:15"), Ok(6 * hour + 1_815 * SECOND));
        assert_eq!((read("monday"), read("Sunday 06:00")), (Ok(4 * day), Ok(10 * day + 6 * hour)));
        assert_eq!(read("2026-01-05"), Ok(20_458 * day));
        assert_eq!(
            (read("2026-01-05 06:00"), read("2026-01-05T06:00")),
            (Ok(20_458 * day + 6 * hour), read("2026-01-05 06:00"))
        );
        for text in
            ["", "6", "06:00Z", "2026-01-05 06:00-05", "moonday", "24:00", "2026-02-30", "monday noon", "06:00 x"]
        {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn zones_are_known_by_their_names() {
        assert!("Europe/Berlin".parse::<Zone>().is_ok() && "UTC".parse::<Zone>().is_ok());
        let wrong = "America/NewYork".parse::<Zone>().expect_err("a misspelling");
        assert!(wrong.ends_with("did you mean `America/New_York`?"), "{wrong}");
    }

    #[test]
    fn the_last_day_that_is_looked_at_is_the_last_of_2099() {
        let last = DateTime::from_timestamp((DAYS.end - 1) * DAY_SECONDS, 0).expect("a time");
        assert_eq!(last.date_naive().to_string(), "2099-12-31");
    }
}
