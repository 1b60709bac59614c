//! The `windows` section: panes, windows, and how long to wait.

use crate::config::document::Windows;
use crate::config::problem::Problems;
use crate::config::value::{At, Period};
use crate::event::{Micros, SECOND};
use crate::plan::{PANES_PER_WINDOW_MAX, TimePlan, WallClock, WindowKind};

/// Length of a window when the file names none.
const SIZE: Micros = 300 * SECOND;
/// Longest window of `at_least` when the file names none.
const AT_LEAST_MAX: Micros = 3600 * SECOND;
/// Length of a pane of `at_least` when the file names none.
const AT_LEAST_PANE: Micros = 60 * SECOND;

/// The time plan.
pub(crate) fn time(windows: &Windows, problems: &mut Problems) -> TimePlan {
    check_positive(windows, problems);
    let (window, pane) = if let Some(n_min) = windows.at_least {
        at_least(windows, n_min, problems)
    } else {
        sliding(windows, problems)
    };
    TimePlan {
        pane,
        window,
        clock: clock(windows, window, problems),
        lateness: windows.lateness.value.0,
        skew_max: windows.skew_max.value.0,
        jump_max: windows.jump_max.value.0,
        jump_confirmations: u32::try_from(windows.jump_confirmations.value.max(1)).unwrap_or(u32::MAX),
        idle_after: windows.idle_after.value.0,
        early_every: windows.early_every.value.0,
        revise_for: windows.revise_for.value.0,
    }
}

fn check_positive(windows: &Windows, problems: &mut Problems) {
    let optional = [("size", &windows.size), ("slide", &windows.slide), ("max", &windows.max), ("pane", &windows.pane)];
    let given = optional.into_iter().filter_map(|(key, period)| period.as_ref().map(|period| (key, period)));
    for (key, period) in given.chain([("early_every", &windows.early_every)]) {
        if period.value.0 == 0 {
            problems.add(period.spot, format!("`{key}` is zero")).help("write a duration above zero, such as 5m");
        }
    }
}

/// A period, at least one microsecond, so that what follows can divide by it.
fn length(period: Option<&At<Period>>, default: Micros) -> Micros {
    period.map_or(default, |period| period.value.0).max(1)
}

fn sliding(windows: &Windows, problems: &mut Problems) -> (WindowKind, Micros) {
    if let Some(max) = &windows.max {
        problems.add(max.spot, "`max` belongs to `at_least`").help("write `size` instead, or add `at_least`");
    }
    let size = length(windows.size.as_ref(), SIZE);
    let slide = length(windows.slide.as_ref(), size);
    let spot = windows.slide.or(windows.size).map(|period| period.spot).unwrap_or_default();
    if slide > size {
        problems
            .add(spot, format!("`slide` {} is longer than `size` {}", Period(slide), Period(size)))
            .help("events between two windows would be in none; make `slide` at most `size`");
    }
    let fitting = gcd(size, slide);
    let pane = length(windows.pane.as_ref(), fitting);
    if fitting % pane != 0 {
        let spot = windows.pane.map(|period| period.spot).unwrap_or_default();
        problems
            .add(
                spot,
                format!(
                    "`size` {} and `slide` {} are not whole panes of {}",
                    Period(size),
                    Period(slide),
                    Period(pane)
                ),
            )
            .help(format!("make `pane` {} or a part of it", Period(fitting)));
    }
    check_panes(windows, size, pane, problems);
    (WindowKind::Sliding { size, slide }, pane)
}

fn at_least(windows: &Windows, n_min: At<u64>, problems: &mut Problems) -> (WindowKind, Micros) {
    for period in [windows.size, windows.slide].into_iter().flatten() {
        problems
            .add(period.spot, "`at_least` windows have no fixed `size` or `slide`")
            .help("keep `at_least` with `max`, or `size` with `slide`");
    }
    if n_min.value == 0 {
        problems
            .add(n_min.spot, "`at_least` is zero")
            .help("write how many predictions of each version a window needs");
    }
    let size_max = length(windows.max.as_ref(), AT_LEAST_MAX);
    let pane = length(windows.pane.as_ref(), gcd(size_max, AT_LEAST_PANE));
    if size_max % pane != 0 {
        let spot = windows.pane.or(windows.max).map(|period| period.spot).unwrap_or_default();
        problems
            .add(spot, format!("`max` {} is not whole panes of {}", Period(size_max), Period(pane)))
            .help("make `max` a multiple of `pane`");
    }
    check_panes(windows, size_max, pane, problems);
    (WindowKind::AtLeast { n_min: n_min.value, size_max }, pane)
}

/// Shorter windows cannot follow a clock that is put back: one of them would last longer by an hour.
const LOCAL_SLIDE_MIN: Micros = 3600 * SECOND;

/// The clock by which windows are aligned.
fn clock(windows: &Windows, window: WindowKind, problems: &mut Problems) -> WallClock {
    let begin = windows.begin.map_or(0, |begin| begin.value.0);
    let clock = windows.zone.map_or_else(|| WallClock::utc(begin), |zone| zone.value.clock(begin));
    let (zone, begin) = (windows.zone.map(|zone| zone.spot), windows.begin.map(|begin| begin.spot));
    match window {
        WindowKind::AtLeast { .. } => {
            for (key, spot) in
                [("zone", zone), ("begin", begin)].into_iter().filter_map(|(key, spot)| Some((key, spot?)))
            {
                problems
                    .add(
                        spot,
                        format!(
                            "`{key}` is for windows of one length; `at_least` windows begin where the last one ends"
                        ),
                    )
                    .help(format!("write `size` instead of `at_least`, or leave out `{key}`"));
            }
        }
        WindowKind::Sliding { slide, .. } if slide < LOCAL_SLIDE_MIN && !clock.is_even() => {
            problems
                .add(
                    zone.unwrap_or_default(),
                    format!("windows every {} cannot follow a clock that is put back", Period(slide)),
                )
                .help("leave out `zone`, or make `slide` 1h or longer; `begin` alone shifts windows in UTC");
        }
        WindowKind::Sliding { .. } => {}
    }
    clock
}

fn check_panes(windows: &Windows, size: Micros, pane: Micros, problems: &mut Problems) {
    let n_panes = size / pane;
    if n_panes > PANES_PER_WINDOW_MAX {
        let spot = windows.pane.or(windows.slide).or(windows.max).map(|period| period.spot).unwrap_or_default();
        problems
            .add(
                spot,
                format!(
                    "a window of {} would have {n_panes} panes, at most {PANES_PER_WINDOW_MAX} are allowed",
                    Period(size)
                ),
            )
            .help("make `pane` or `slide` longer");
    }
}

/// The longest period that both are multiples of; both are positive.
fn gcd(a: Micros, b: Micros) -> Micros {
    if b == 0 { a } else { gcd(b, a % b) }
}
