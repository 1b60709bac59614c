//! How good alarms are, against what is known to have changed.
//!
//! A window is *clean* when the candidate has traffic and nothing has changed yet. An alarm in a clean window is false.
//! A change of the candidate is *found* by the first alarm after it and before the end; the delay counts whole windows,
//! so an alarm about the window of the change has delay 0. When the world changes, an alarm that names a version is a
//! *wrong blame*, and the first one that names the world *tells* it; in a clean window that one is false, too, and
//! counted by itself. A change that is over after one window is to be noted: any alarm or note about it counts as
//! noted, and a rollback as one too many.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::alarm::{Alarm, WORLD};
use super::label::{Label, Scope};
use crate::event::Micros;

/// What came of the streams of one kind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DetectionScore {
    /// Streams.
    pub streams: u32,
    /// Clean windows.
    pub clean: u64,
    /// Clean windows with an alarm.
    pub false_alarms: u64,
    /// Clean windows in which the world was said to have changed.
    pub world_false: u64,
    /// Streams in which the candidate changes for good.
    pub to_find: u32,
    /// The delay of each one that was found, in windows.
    pub delays: Vec<u32>,
    /// Streams in which the world changes.
    pub to_forgive: u32,
    /// Those of them in which a version was blamed.
    pub blamed: u32,
    /// The delay of each one that was told, in windows.
    pub told: Vec<u32>,
    /// Streams with a blip.
    pub blips: u32,
    /// Those of them in which it was noted.
    pub noted: u32,
    /// Those of them in which the version was rolled back.
    pub rolled_back: u32,
}

impl DetectionScore {
    /// What came of one stream; `alarms` are those of this stream.
    #[must_use]
    pub fn of(label: &Label, alarms: &[&Alarm], window: Micros) -> Self {
        let windows = |from: Micros, to: Micros| u64::try_from((to - from) / window).unwrap_or(0);
        let restricting = || alarms.iter().filter(|alarm| alarm.restricts());
        let of_world = || alarms.iter().filter(|alarm| alarm.scope == WORLD);
        let clean = |alarm: &&&Alarm| alarm.time > label.test_start && alarm.time <= label.healthy_until();
        let mut outcome = Self {
            streams: 1,
            clean: windows(label.test_start, label.healthy_until()),
            false_alarms: times(restricting().filter(clean)),
            world_false: times(of_world().filter(clean)),
            ..Self::default()
        };
        let Some(change) = label.change_time else { return outcome };
        let after = |alarm: &&&Alarm| alarm.time > change && alarm.time <= label.end;
        let delay = |time: Micros| u32::try_from((time - change - 1) / window).unwrap_or(u32::MAX);
        let first = restricting().filter(after).map(|alarm| alarm.time).min();
        match (label.transient, label.scope) {
            (true, _) => {
                outcome.blips = 1;
                outcome.noted = u32::from(alarms.iter().any(|alarm| after(&alarm)));
                outcome.rolled_back = u32::from(restricting().filter(after).any(|alarm| alarm.rolls_back()));
            }
            (false, Some(Scope::Both)) => {
                outcome.to_forgive = 1;
                outcome.blamed = u32::from(first.is_some());
                outcome.told = of_world().filter(after).map(|alarm| alarm.time).min().map(delay).into_iter().collect();
            }
            (false, _) => {
                outcome.to_find = 1;
                outcome.delays = first.map(delay).into_iter().collect();
            }
        }
        outcome
    }

    fn add(&mut self, other: &Self) {
        self.streams += other.streams;
        self.clean += other.clean;
        self.false_alarms += other.false_alarms;
        self.world_false += other.world_false;
        self.to_find += other.to_find;
        self.delays.extend(&other.delays);
        self.delays.sort_unstable();
        self.to_forgive += other.to_forgive;
        self.blamed += other.blamed;
        self.told.extend(&other.told);
        self.told.sort_unstable();
        self.blips += other.blips;
        self.noted += other.noted;
        self.rolled_back += other.rolled_back;
    }

    /// So many per 1,000 clean windows.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "counts of windows")]
    pub fn per_1000(&self, windows: u64) -> Option<f64> {
        (self.clean > 0).then(|| windows as f64 * 1000.0 / self.clean as f64)
    }

    /// The median delay in windows, of changes of the candidate that were found.
    #[must_use]
    pub fn median_delay(&self) -> Option<f64> {
        median(&self.delays)
    }
}

/// At how many times there are alarms.
fn times<'a>(alarms: impl Iterator<Item = &'a &'a Alarm>) -> u64 {
    alarms.map(|alarm| alarm.time).collect::<BTreeSet<_>>().len() as u64
}

/// The median of delays in ascending order.
fn median(delays: &[u32]) -> Option<f64> {
    let (low, high) = (delays.get(delays.len().checked_sub(1)? / 2)?, delays.get(delays.len() / 2)?);
    Some(f64::midpoint(f64::from(*low), f64::from(*high)))
}

/// What came of many streams, per kind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DetectionScores {
    kinds: BTreeMap<String, DetectionScore>,
}

impl DetectionScores {
    /// Scores the alarms of many streams; streams without a label are left out.
    #[must_use]
    pub fn of(labels: &[Label], alarms: &[Alarm], window: Micros) -> Self {
        let mut of_stream: BTreeMap<&str, Vec<&Alarm>> = BTreeMap::new();
        alarms.iter().for_each(|alarm| of_stream.entry(&alarm.stream).or_default().push(alarm));
        let mut scores = Self::default();
        for label in labels {
            let alarms = of_stream.get(label.stream.as_str()).map_or(&[][..], Vec::as_slice);
            scores.kinds.entry(label.kind.clone()).or_default().add(&DetectionScore::of(label, alarms, window));
        }
        scores
    }

    /// What came of the streams of a kind.
    #[must_use]
    pub fn kind(&self, name: &str) -> Option<&DetectionScore> {
        self.kinds.get(name)
    }

    /// All kinds whose name passes, together.
    fn total(&self, passes: impl Fn(&str) -> bool) -> DetectionScore {
        let mut total = DetectionScore::default();
        self.kinds.iter().filter(|(name, _)| passes(name)).for_each(|(_, outcome)| total.add(outcome));
        total
    }

    /// All kinds together.
    #[must_use]
    pub fn all(&self) -> DetectionScore {
        self.total(|_| true)
    }
}

impl fmt::Display for DetectionScores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<30} {:>7} {:>8} {:>8} {:>9} {:>6} {:>11} {:>7} {:>11} {:>10} {:>6} {:>8}",
            "kind",
            "streams",
            "windows",
            "FA/1000",
            "found",
            "delay",
            "wrong blame",
            "noted",
            "rolled back",
            "world told",
            "delay",
            "world FA"
        )?;
        for (name, outcome) in &self.kinds {
            line(f, name, outcome)?;
        }
        let healthy = self.total(|name| name == "aa" || name.starts_with("aa_"));
        if healthy.streams > 0 {
            line(f, "all healthy (aa*)", &healthy)?;
        }
        line(f, "all", &self.all())
    }
}

fn line(f: &mut fmt::Formatter<'_>, name: &str, outcome: &DetectionScore) -> fmt::Result {
    let number = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.1}"));
    let part = |n: u32, of: u32| if of == 0 { "-".to_owned() } else { format!("{n}/{of}") };
    let n = |delays: &[u32]| u32::try_from(delays.len()).unwrap_or(u32::MAX);
    writeln!(
        f,
        "{name:<30} {:>7} {:>8} {:>8} {:>9} {:>6} {:>11} {:>7} {:>11} {:>10} {:>6} {:>8}",
        outcome.streams,
        outcome.clean,
        number(outcome.per_1000(outcome.false_alarms)),
        part(n(&outcome.delays), outcome.to_find),
        number(outcome.median_delay()),
        part(outcome.blamed, outcome.to_forgive),
        part(outcome.noted, outcome.blips),
        part(outcome.rolled_back, outcome.blips),
        part(n(&outcome.told), outcome.to_forgive),
        number(median(&outcome.told)),
        number(outcome.per_1000(outcome.world_false)),
    )
}

#[cfg(test)]
mod tests {
    use super::super::alarm::WORLD;
    use super::*;
    use crate::reason::ReasonCode;

    const WINDOW: Micros = 10;

    fn label(kind: &str, change: Option<(Micros, Scope)>, transient: bool) -> Label {
        Label {
            stream: "s".into(),
            kind: kind.into(),
            test_start: 100,
            end: 200,
            change_time: change.map(|(time, _)| time),
            change_end: change.map(|_| 200),
            scope: change.map(|(_, scope)| scope),
            transient,
        }
    }

    fn alarm(time: Micros, scope: &str, action: &'static str) -> Alarm {
        Alarm { stream: "s".into(), time, scope: scope.into(), action, reason: ReasonCode::ErrorRate.into() }
    }

    fn outcome(label: &Label, alarms: &[Alarm]) -> DetectionScore {
        DetectionScore::of(label, &alarms.iter().collect::<Vec<_>>(), WINDOW)
    }

    #[test]
    fn an_alarm_in_a_clean_window_is_false_once() {
        let healthy = label("aa", None, false);
        let alarms = [alarm(120, "v2", "hold"), alarm(120, "v2", "rollback"), alarm(130, "v2", "warn")];
        let found = outcome(&healthy, &alarms);
        assert_eq!((found.clean, found.false_alarms, found.to_find), (10, 1, 0));
        assert_eq!(outcome(&healthy, &[alarm(100, "v2", "hold")]).false_alarms, 0, "burn-in is not scored");
        assert_eq!(outcome(&healthy, &[alarm(120, WORLD, "hold")]).false_alarms, 0, "a note blames nobody");
    }

    #[test]
    fn the_window_of_the_change_has_delay_zero() {
        let changed = label("mean", Some((150, Scope::V2)), false);
        let delays = |time| outcome(&changed, &[alarm(time, "v2", "contain")]).delays;
        assert_eq!((delays(160), delays(170), delays(200)), (vec![0], vec![1], vec![4]));
        let early = outcome(&changed, &[alarm(150, "v2", "contain")]);
        assert_eq!((early.false_alarms, early.delays.len(), early.clean), (1, 0, 5));
    }

    #[test]
    fn blame_for_the_world_is_wrong_and_a_blip_is_only_noted() {
        let world = label("both", Some((150, Scope::Both)), false);
        let blamed = outcome(&world, &[alarm(170, "v2", "hold")]);
        assert_eq!((blamed.to_forgive, blamed.blamed, blamed.to_find, blamed.told.len()), (1, 1, 0, 0));
        let told = outcome(&world, &[alarm(140, WORLD, "warn"), alarm(180, WORLD, "warn"), alarm(190, WORLD, "warn")]);
        assert_eq!((told.told, told.world_false, told.blamed), (vec![2], 1, 0));
        assert_eq!(outcome(&world, &[alarm(170, WORLD, "hold"), alarm(170, "v2", "warn")]).blamed, 0);
        let blip = label("blip", Some((150, Scope::V2)), true);
        let noted = outcome(&blip, &[alarm(160, "v2", "warn")]);
        assert_eq!((noted.blips, noted.noted, noted.rolled_back), (1, 1, 0));
        assert_eq!(outcome(&blip, &[alarm(170, "v2", "rollback")]).rolled_back, 1);
    }

    #[test]
    fn the_table_sums_up() {
        let labels = [label("aa", None, false), label("mean", Some((150, Scope::V2)), false)];
        let scores = DetectionScores::of(&labels, &[alarm(120, "v2", "hold"), alarm(180, "v2", "hold")], WINDOW);
        assert_eq!((scores.all().clean, scores.all().false_alarms), (15, 3), "both labels are of one stream");
        assert_eq!(scores.kind("mean").and_then(DetectionScore::median_delay), Some(2.0));
        let table = scores.to_string();
        let rows: Vec<&str> = table.lines().map(|line| line.split_whitespace().next().unwrap()).collect();
        assert_eq!(rows, ["kind", "aa", "mean", "all", "all"]);
    }
}
