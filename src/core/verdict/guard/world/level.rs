//! What is usual: levels, how they go up and down, and the hours of days and weeks.

use serde::{Deserialize, Serialize};

use crate::event::{Micros, SECOND};
use crate::infer::likeness::Likeness;
use crate::infer::overdispersion::{Contrast, Overdispersion};
use crate::infer::wander::Wander;
pub(super) use crate::verdict::guard::number::count;

/// How quickly levels follow, and after how many windows there is one.
/// Origin: choice; a half-life of 23 windows.
const FOLLOW: f64 = 0.03;
/// Origin: choice; half an hour of windows of five minutes.
pub(super) const LEARNT: u32 = 6;
/// How quickly an hour of the week follows.
/// Origin: choice; a half-life of two weeks.
const HOUR_FOLLOWS: f64 = 0.3;
/// Square of the standard errors that a window is taken to be off by at most.
/// Origin: choice; three, so that one blip says nothing of hours.
const OFF_MAX: f64 = 9.0;
/// Origin: derived; minutes and seconds.
pub(super) const HOUR: Micros = 3600 * SECOND;
/// Hours of a week.
/// Origin: derived; 7 days of 24.
pub(super) const WEEK: usize = 168;
/// Origin: derived; the calendar.
pub(super) const DAY_HOURS: usize = 24;

/// A level by hour of the day.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct Hourly {
    /// 0 where it is not known.
    hours: Vec<f64>,
    /// The newest window, which has not taught yet: what lasts for hours is held against the days before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    newest: Option<(usize, f64)>,
}

impl Hourly {
    /// The level at this hour of the day, once it is known.
    pub(super) fn at(&self, hour: usize) -> Option<f64> {
        self.hours.get(hour % DAY_HOURS).copied().filter(|level| level.abs() > 0.0)
    }

    /// The level around this hour of the day, once the hour itself is known, and of how many hours it is the mean: a
    /// season moves little in three.
    pub(super) fn around(&self, hour: usize) -> Option<(f64, f64)> {
        self.at(hour)?;
        let known = [hour + DAY_HOURS - 1, hour, hour + 1].into_iter().filter_map(|hour| self.at(hour));
        let (sum, hours) = known.fold((0.0, 0.0), |(sum, hours), level| (sum + level, hours + 1.0));
        Some((sum / hours, hours))
    }

    /// A window of so much time teaches about its hour, once the next one was looked at.
    pub(super) fn learn(&mut self, hour: usize, value: f64, every: Micros) {
        self.hours.resize(DAY_HOURS, 0.0);
        if let Some((hour, value)) = self.newest.replace((hour % DAY_HOURS, value)) {
            follow_hour(&mut self.hours[hour], value, every);
        }
    }
}

/// How a share or a quantile goes up and down.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct Rhythm {
    #[serde(flatten)]
    pub(super) hourly: Hourly,
    pub(super) noise: Overdispersion,
    /// Mean squares of how far windows were off: from the level, and from the hours of the days before.
    #[serde(default)]
    off: [f64; 2],
}

impl Rhythm {
    /// Whether the hours of the days before tell better what comes than the level does.
    ///
    /// An hour is known from few windows, and where hours are alike that is its only difference from the level.
    pub(super) fn hours_tell(&self) -> bool {
        self.off[1] < self.off[0]
    }

    /// Takes how far a window is off from the level and from its hour, in standard errors of the window.
    pub(super) fn compare(&mut self, off: [Option<f64>; 2]) {
        if let [Some(level), Some(hour)] = off {
            for (mean, z) in self.off.iter_mut().zip([level, hour]) {
                *mean += FOLLOW * ((z * z).min(OFF_MAX) - *mean);
            }
        }
    }
}

/// How a location goes up and down.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct Wandering {
    #[serde(flatten)]
    pub(super) hourly: Hourly,
    #[serde(flatten)]
    pub(super) wander: Wander,
}

/// An hour follows by so much in all of its windows together, so that it does not forget last week within itself.
pub(super) fn follow_hour(hour: &mut f64, learn: f64, every: Micros) {
    let by = HOUR_FOLLOWS * count(every.min(HOUR).unsigned_abs()) / count(HOUR.unsigned_abs());
    *hour = if hour.abs() > 0.0 { *hour + by * (learn - *hour) } else { learn };
}

/// Days that an hour's level is worth after so many windows: the reciprocal of the sum of their squared weights.
pub(super) fn days(windows: u32, every: Micros) -> f64 {
    let begun = f64::from(windows) * count(every.unsigned_abs()) / count(24 * HOUR.unsigned_abs());
    let rest = HOUR_FOLLOWS / (2.0 - HOUR_FOLLOWS);
    1.0 / (rest + (1.0 - rest) * libm::pow(1.0 - HOUR_FOLLOWS, 2.0 * (libm::floor(begun) - 1.0).max(0.0)))
}

/// Windows that an hour's level is worth after so many of them.
pub(super) fn windows_of_an_hour(windows: u32, every: Micros) -> f64 {
    days(windows, every) * (count(HOUR.unsigned_abs()) / count(every.max(1).unsigned_abs())).max(1.0)
}

/// The fewest requests that are usual at an hour of the week, of what is known of the days before, and of the level.
pub(super) fn least_usual(hours: &[f64], hour: usize, level: f64) -> f64 {
    let days_ago = |days: usize| hours[(hour + WEEK - days * DAY_HOURS) % WEEK];
    let days: Vec<f64> = (1..WEEK / DAY_HOURS).map(days_ago).filter(|requests| *requests > 0.0).collect();
    let (least, most) = days.iter().fold((f64::INFINITY, 0.0_f64), |(least, most), &n| (least.min(n), most.max(n)));
    match hours[hour] {
        a_week_ago if a_week_ago > 0.0 && !days.is_empty() => a_week_ago.min(most),
        _ if days.len() > 1 => least,
        _ => level.min(least),
    }
}

/// One level, and the newest window beside it.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct Level {
    pub(super) windows: u32,
    /// A share, milliseconds, or requests per window.
    pub(super) value: f64,
    /// Events per window.
    n: f64,
    /// What it is held against.
    pub(super) bound: f64,
    /// The newest number, of so many events.
    pub(super) now: f64,
    pub(super) n_now: u64,
    /// Windows in a row within the bound.
    pub(super) calm: u32,
    #[serde(default)]
    pub(super) alike: Likeness,
}

impl Level {
    /// Notes the newest window.
    pub(super) fn look(&mut self, now: f64, n: u64, bound: f64, within: bool) {
        (self.now, self.n_now, self.bound) = (now, n, bound);
        self.calm = if within { self.calm.saturating_add(1) } else { 0 };
    }

    /// Windows that the level is worth.
    pub(super) fn worth(&self) -> f64 {
        1.0 / FOLLOW.max(1.0 / f64::from(self.windows.max(1)))
    }

    /// Events that the level is made of.
    pub(super) fn events(&self) -> f64 {
        self.n * self.worth()
    }

    /// How far a count is from what the window before says of it, in standard errors: a new level, which lasts, is no
    /// likeness.
    pub(super) fn step(&self, count: f64, bound: f64) -> Option<f64> {
        let expected = bound * self.now / self.bound;
        let variance = expected * (1.0 + expected / self.now);
        (expected >= 1.0 && self.bound > 0.0).then(|| (count - expected) / variance.sqrt())
    }

    /// What evidence of a window is divided by; the window teaches after that.
    /// Where it is further off than its bound, that is no likeness.
    pub(super) fn divisor(&mut self, contrast: Option<Contrast>, rhythm: Option<&Rhythm>, assumed: f64) -> f64 {
        let alike = self.alike.design_effect(assumed);
        let Some(contrast) = contrast else { return alike };
        if self.calm > 0 {
            self.alike.update_by(contrast.z, assumed);
        }
        alike.max(rhythm.map_or(1.0, |rhythm| rhythm.noise.factor(contrast.weight, &Overdispersion::default())))
    }

    pub(super) fn follow(&mut self, value: f64, n: f64) {
        let by = FOLLOW.max(if self.windows < LEARNT { 1.0 / f64::from(self.windows + 1) } else { 0.0 });
        self.value += by * (value - self.value);
        self.n += by * (n - self.n);
        self.windows = self.windows.saturating_add(1);
    }
}
