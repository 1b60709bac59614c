//! Columns that tell the time: an hour, a weekday, a month.
//!
//! In a window shorter than its cycle such a column cannot look like a reference that holds whole cycles: a window of
//! one hour holds one hour of the day. That is the calendar and no drift. They are known by their names.

use crate::event::{Micros, SECOND};

const DAY: Micros = 86_400 * SECOND;

/// Names by the length of their cycle.
const CYCLES: [(Micros, &[&str]); 5] = [
    (DAY, &["hour", "hr", "hour_of_day", "hourofday", "time_of_day", "is_night", "minute_of_day"]),
    (7 * DAY, &["weekday", "week_day", "day_of_week", "dayofweek", "dow", "wday", "is_weekend", "weekend"]),
    (31 * DAY, &["day", "day_of_month", "dayofmonth", "dom", "mday"]),
    (
        366 * DAY,
        &[
            "month",
            "month_of_year",
            "quarter",
            "season",
            "week",
            "week_of_year",
            "iso_week",
            "day_of_year",
            "doy",
            "yday",
        ],
    ),
    (Micros::MAX, &["year", "date"]),
];

/// How long it takes a column to come round, if its name says that it tells the time.
#[must_use]
pub fn cycle(column: &str) -> Option<Micros> {
    let name = column.to_lowercase();
    CYCLES.into_iter().find(|(_, names)| names.contains(&name.as_str())).map(|(cycle, _)| cycle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_the_time_and_nothing_else_does() {
        assert_eq!(["hour", "Month", "day_of_week"].map(cycle), [Some(DAY), Some(366 * DAY), Some(7 * DAY)]);
        assert_eq!(["hours_online", "amount", "monthly_income", ""].map(cycle), [None; 4]);
    }
}
