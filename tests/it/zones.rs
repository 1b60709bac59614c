//! Windows by the clocks of a time zone, against what another library knows of days there.

use std::fmt::Write as _;
use std::path::Path;

use chrono::{DateTime, Days, Duration, NaiveDate, NaiveTime, TimeZone as _};
use chrono_tz::Tz;
use haldane::config;
use haldane::event::{Micros, SECOND};
use haldane::plan::{Plan, TimePlan};

use crate::store::haldane;
use crate::world::Rng;

/// A pipeline with these windows.
fn plan(windows: &str) -> std::sync::Arc<Plan> {
    let text = format!(
        "sources:\n  predictions: {{ topic: p, event_time: at, id: id, version: version, status: status }}\n\
         rollout: {{ baseline: v1 }}\nwindows: {{ {windows} }}\n"
    );
    config::parse(&text, "p.yaml", Path::new("")).expect("a pipeline").plan
}

/// The first instant at which clocks show a time of day on a date, or, where they skip it, the one at which they do.
fn first(zone: Tz, date: NaiveDate, time: NaiveTime) -> Micros {
    let shown = date.and_time(time);
    let skipped = || {
        let before = zone.from_local_datetime(&(shown - Duration::hours(3))).earliest().expect("a time before");
        (0..6 * 60).map(|minute| before + Duration::minutes(minute)).find(|at| at.naive_local() >= shown)
    };
    let at = zone.from_local_datetime(&shown).earliest().or_else(skipped).expect("clocks get there");
    at.timestamp_micros()
}

#[test]
fn days_are_those_of_the_zone_in_all_years() {
    let zones = [
        Tz::America__New_York,
        Tz::Europe__Berlin,
        Tz::Australia__Lord_Howe,
        Tz::America__Sao_Paulo,
        Tz::Asia__Kathmandu,
        Tz::Africa__Casablanca,
        Tz::Pacific__Chatham,
        Tz::Asia__Tehran,
        Tz::America__Santiago,
    ];
    let mut lengths = std::collections::BTreeSet::new();
    for zone in zones {
        for (begin, hour) in [("00:00", 0), ("06:00", 6), ("02:30", 2)] {
            let minute = if hour == 2 { 30 } else { 0 };
            let time = NaiveTime::from_hms_opt(hour, minute, 0).expect("a time of day");
            let plan = plan(&format!("size: 1d, zone: {}, begin: \"{begin}\"", zone.name()));
            for year in [1975, 1996, 2007, 2011, 2016, 2026, 2037, 2099] {
                let mut date = NaiveDate::from_ymd_opt(year, 1, 2).expect("a date");
                while date < NaiveDate::from_ymd_opt(year, 12, 30).expect("a date") {
                    let next = date + Days::new(1);
                    let (start, end) = (first(zone, date, time), first(zone, next, time));
                    let what = format!("{zone} {date} {begin}");
                    for at in [start, i64::midpoint(start, end), end - 1] {
                        assert_eq!(plan.time.pane_of(at), start, "{what}");
                    }
                    assert_eq!(plan.time.pane_end(start), end, "{what}");
                    lengths.insert((end - start) / (1800 * SECOND));
                    date = next;
                }
            }
        }
    }
    assert_eq!(lengths.into_iter().collect::<Vec<_>>(), [46, 47, 48, 49, 50], "half hours of a day");
}

/// The windows of a time.
fn windows_of(time: &TimePlan, at: Micros, days: (i64, i64)) -> Vec<(String, String)> {
    let day = 86_400 * SECOND;
    let local = |at: Micros| {
        let utc = DateTime::from_timestamp_micros(at).expect("a time").naive_utc();
        Tz::America__New_York.from_utc_datetime(&utc).naive_local().to_string()
    };
    let found = time.windows_of(time.pane_of(at), days.0 * day, days.1 * day);
    found.map(|(start, end)| (local(start), local(end))).collect()
}

#[test]
fn weeks_and_stretches_of_days_begin_where_it_is_said() {
    let noon = |date: &str| {
        let date: NaiveDate = date.parse().expect("a date");
        first(Tz::America__New_York, date, NaiveTime::from_hms_opt(12, 0, 0).expect("noon"))
    };
    let zone = "zone: America/New_York";
    let weeks = plan(&format!("size: 7d, {zone}, begin: monday 06:00"));
    let week = ("2026-03-02 06:00:00".to_owned(), "2026-03-09 06:00:00".to_owned());
    assert_eq!(windows_of(&weeks.time, noon("2026-03-08"), (7, 7)), [week], "over the night of daylight saving");
    let stretches = plan(&format!("size: 28d, {zone}, begin: 2026-01-05"));
    let stretch = ("2026-03-02 00:00:00".to_owned(), "2026-03-30 00:00:00".to_owned());
    assert_eq!(windows_of(&stretches.time, noon("2026-03-29"), (28, 28)), [stretch]);
    let sliding = plan(&format!("size: 7d, slide: 1d, {zone}, begin: 06:00"));
    let all = windows_of(&sliding.time, noon("2026-11-01"), (7, 1));
    assert_eq!(all.len(), 7, "{all:?}");
    assert!(all.iter().all(|(start, end)| start.ends_with("06:00:00") && end.ends_with("06:00:00")), "{all:?}");
}

#[test]
fn what_cannot_follow_a_clock_is_refused() {
    let refused = |windows: &str| {
        let text = format!(
            "sources:\n  features: {{ topic: p, version: version, features: {{ numeric: [x] }} }}\nwindows: {{ {windows} }}\n"
        );
        config::parse(&text, "p.yaml", Path::new("")).map(|_| ()).expect_err(windows).to_string()
    };
    let told = refused("at_least: 100, zone: Europe/Berlin, begin: 06:00");
    assert!(told.contains("`zone` is for windows of one length") && told.contains("`begin` is for windows"), "{told}");
    let told = refused("size: 5m, zone: Europe/Berlin");
    assert!(told.contains("windows every 5m cannot follow a clock that is put back"), "{told}");
    let told = refused("size: 1d, zone: Berlin");
    assert!(told.contains("`Berlin` is not a time zone"), "{told}");
    let told = refused("size: 1d, begin: noon");
    assert!(told.contains("`noon` is not a time at which a window begins"), "{told}");
    plan("size: 5m, zone: Asia/Kolkata");
    plan("size: 5m, begin: \"00:02\"");
}

/// Requests of every ten minutes, over the nights in which clocks in New York are put forward and back.
fn log(path: &Path) {
    let mut text = "id,at,version,status\n".to_owned();
    let mut rng = Rng::new(3);
    for from in ["2026-03-05T00:00:00Z", "2026-10-29T00:00:00Z"] {
        let from: DateTime<chrono::Utc> = from.parse().expect("a time");
        for step in 0..6 * 24 * 6 {
            let at = from + Duration::minutes(10 * step);
            let version = ["v1", "v2"][rng.below(2) as usize];
            let _ = writeln!(text, "{from}-{step},{},{version},200", at.format("%Y-%m-%dT%H:%M:%SZ"));
        }
    }
    std::fs::write(path, text).expect("a file");
}

#[test]
fn a_replay_counts_whole_days_of_the_zone() {
    let scratch = tempfile::tempdir().expect("a folder");
    let at = |name: &str| scratch.path().join(name).display().to_string();
    log(Path::new(&at("log.csv")));
    let pipeline = |windows: &str| {
        format!(
            "sources:\n  predictions: {{ topic: p, event_time: at, id: id, version: version, status: status }}\n\
             rollout: {{ baseline: v1 }}\nbaselines: [concurrent, previous, 1d_ago]\nwindows: {{ {windows} }}\n"
        )
    };
    let counts = |windows: &str| {
        std::fs::write(at("p.yaml"), pipeline(windows)).expect("a pipeline");
        haldane(&["replay", "-c", &at("p.yaml"), &at("log.csv"), "--windows", &at("windows.jsonl")]).expect("a replay");
        let mut counts = std::collections::BTreeMap::new();
        for line in std::fs::read_to_string(at("windows.jsonl")).expect("windows").lines() {
            let row: serde_json::Value = serde_json::from_str(line).expect("a row");
            if row["metric"] == "error_rate" && row["version"] == "__all__" && row["segment"] == "" {
                counts.insert(row["window_start"].to_string(), row["n"].as_u64().expect("a count"));
            }
        }
        counts.into_values().collect::<Vec<u64>>()
    };
    let days = counts("size: 1d, zone: America/New_York, begin: 06:00");
    assert_eq!(days.iter().sum::<u64>(), 2 * 6 * 24 * 6, "{days:?}");
    assert!(days.contains(&(23 * 6)) && days.contains(&(25 * 6)), "{days:?}");
    let days = counts("size: 1d");
    assert!(days.iter().all(|n| *n == 24 * 6), "{days:?}");
    let parts = counts("size: 1d, slide: 6h, zone: America/New_York");
    assert!(parts.contains(&(23 * 6)) && parts.contains(&(25 * 6)), "{parts:?}");
}
