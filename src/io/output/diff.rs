//! Two policies over one log: which decisions either one would have made, when, and how much of a candidate's traffic
//! that would have kept away.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use serde::Serialize;

use super::decisions::Lines;
use super::text::{aligned, count, instant, number, plural};
use crate::batch::EventBatch;
use crate::engine::Effects;
use crate::error::Result;
use crate::event::{EventKind, Micros, SECOND};
use crate::plan::Signal;
use crate::verdict::Decision;

/// Traffic is counted by the minute.
const MINUTE: Micros = 60 * SECOND;

/// What one policy decided, and when it would have said so.
#[derive(Debug, Default)]
pub struct DecisionTimeline {
    decisions: Vec<(Micros, Decision)>,
}

impl DecisionTimeline {
    /// Takes in what one step gave rise to; a decision is published when its judgement falls due and late events are
    /// in. Heartbeats only repeat what is in force.
    pub fn add(&mut self, effects: &Effects, lateness: Micros) {
        for decision in effects.decisions.iter().filter(|decision| decision.action != Signal::Heartbeat) {
            let mut states = effects.states.iter();
            let state = states.find(|state| {
                (&state.model, &state.candidate) == (&decision.model, &decision.candidate)
                    && state.sequence == decision.sequence
            });
            let due = state.map_or(decision.time, |state| state.judged_upto.0);
            self.decisions.push((due + lateness, decision.clone()));
        }
    }

    fn of(&self, candidate: Candidate<'_>) -> Vec<&(Micros, Decision)> {
        self.decisions.iter().filter(|(_, decision)| of(decision) == candidate).collect()
    }
}

/// Model and version.
type Candidate<'a> = (&'a str, &'a str);

fn of(decision: &Decision) -> Candidate<'_> {
    (&decision.model, &decision.candidate)
}

/// How many predictions each version made, by model, minute and version.
#[derive(Debug, Default)]
pub struct PredictionCounts {
    predictions: BTreeMap<String, BTreeMap<Micros, BTreeMap<String, u64>>>,
}

impl PredictionCounts {
    /// Counts the predictions of a batch.
    pub fn add(&mut self, batch: &EventBatch) {
        use arrow::array::AsArray as _;
        if batch.kind != EventKind::Prediction {
            return;
        }
        let text = |column: &crate::batch::TextArray, row: usize| {
            let names = column.values().as_string::<i32>();
            column.key(row).map_or("", |key| names.value(key)).to_owned()
        };
        for row in 0..batch.len() {
            let minute = batch.event_time.value(row).div_euclid(MINUTE) * MINUTE;
            let of_model = self.predictions.entry(text(&batch.model, row)).or_default();
            *of_model.entry(minute).or_default().entry(text(&batch.version, row)).or_default() += 1;
        }
    }

    /// Predictions of a candidate and of all versions from `from` up to `to`.
    fn between(&self, (model, candidate): Candidate<'_>, from: Micros, to: Micros) -> (u64, u64) {
        let minutes = self.predictions.get(model).into_iter().flat_map(|minutes| minutes.range(from..to));
        minutes.fold((0, 0), |(own, all), (_, versions)| {
            (own + versions.get(candidate).copied().unwrap_or(0), all + versions.values().sum::<u64>())
        })
    }
}

/// Where a decision fell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum FoundIn {
    Both,
    A,
    B,
}

/// One decision of either policy, or of both: the n-th time that it called for an action.
#[derive(Debug, Serialize)]
struct DecisionPair<'a> {
    model: &'a str,
    candidate: &'a str,
    action: Signal,
    found_in: FoundIn,
    /// How much later B said so.
    shift_us: Option<Micros>,
    a: Option<&'a Decision>,
    b: Option<&'a Decision>,
    #[serde(skip)]
    at: (Option<Micros>, Option<Micros>),
}

/// How many predictions of a candidate either policy would have kept away.
#[derive(Debug, Default, PartialEq)]
struct KeptAway {
    all: u64,
    by: [f64; 2],
    by_one_alone: [f64; 2],
}

/// Two courses of one log, side by side.
#[derive(Debug)]
pub struct Diff<'a> {
    courses: [&'a DecisionTimeline; 2],
    tally: &'a PredictionCounts,
}

impl<'a> Diff<'a> {
    /// Compares what A and B decided about the traffic of a log.
    #[must_use]
    pub fn new(a: &'a DecisionTimeline, b: &'a DecisionTimeline, tally: &'a PredictionCounts) -> Self {
        Self { courses: [a, b], tally }
    }

    fn candidates(&self) -> BTreeSet<Candidate<'a>> {
        let decisions = self.courses.iter().flat_map(|course| &course.decisions);
        decisions.map(|(_, decision)| of(decision)).collect()
    }

    /// Decisions about one candidate, in the order in which they first fell.
    fn pairs(&self, candidate: Candidate<'a>) -> Vec<DecisionPair<'a>> {
        let [a, b] = self.courses.map(|course| course.of(candidate));
        let actions: BTreeSet<Signal> = a.iter().chain(&b).map(|(_, decision)| decision.action).collect();
        let mut pairs = Vec::new();
        for action in actions {
            let only = |course: &[&'a (Micros, Decision)]| -> Vec<&'a (Micros, Decision)> {
                course.iter().copied().filter(|(_, decision)| decision.action == action).collect()
            };
            let (a, b) = (only(&a), only(&b));
            pairs.extend(
                (0..a.len().max(b.len())).map(|nth| pair(candidate, action, a.get(nth).copied(), b.get(nth).copied())),
            );
        }
        pairs.sort_by_key(|pair| (pair.at.0.into_iter().chain(pair.at.1).min(), pair.action));
        pairs
    }

    /// Traffic beyond the caps that were in force, by stretches in which no cap changed.
    fn kept(&self, candidate: Candidate<'_>) -> KeptAway {
        let caps = self.courses.map(|course| caps(&course.of(candidate)));
        let mut edges: Vec<Micros> = caps.iter().flatten().map(|&(at, _)| at).collect();
        edges.sort_unstable();
        edges.dedup();
        edges.push(Micros::MAX);
        let mut kept =
            KeptAway { all: self.tally.between(candidate, Micros::MIN, Micros::MAX).0, ..KeptAway::default() };
        for stretch in edges.windows(2) {
            let (own, all) = self.tally.between(candidate, stretch[0], stretch[1]);
            let beyond = caps.each_ref().map(|caps| {
                let in_force = caps.iter().rev().find(|&&(at, _)| at <= stretch[0]).and_then(|&(_, cap)| cap);
                in_force.map_or(0.0, |cap| (float(own) - cap * float(all)).max(0.0))
            });
            for (one, other) in [(0, 1), (1, 0)] {
                kept.by[one] += beyond[one];
                kept.by_one_alone[one] += (beyond[one] - beyond[other]).max(0.0);
            }
        }
        kept
    }

    /// The comparison to read; `names` says what A and B are.
    #[must_use]
    pub fn render(&self, names: [&str; 2]) -> String {
        let [a, b] = self.courses.map(|course| plural(course.decisions.len() as u64, "decision"));
        let mut out = format!("A {}: {a}\nB {}: {b}\n", names[0], names[1]);
        for candidate in self.candidates() {
            let _ = write!(out, "\n{} {}\n", candidate.0, candidate.1);
            let pairs = self.pairs(candidate);
            let head = ["action", "A", "B", "", "why"].map(str::to_owned);
            let rows: Vec<[String; 5]> = std::iter::once(head).chain(pairs.iter().map(DecisionPair::row)).collect();
            out += &aligned(&rows, 2);
            out += &told(&pairs, &self.kept(candidate), candidate.1);
        }
        out
    }

    /// Writes one JSON object per decision of either policy.
    pub fn write(&self, path: &Path) -> Result<()> {
        let mut lines = Lines::create(path)?;
        for candidate in self.candidates() {
            self.pairs(candidate).iter().try_for_each(|pair| lines.write(pair))?;
        }
        lines.finish()
    }
}

fn pair<'a>(
    (model, candidate): Candidate<'a>,
    action: Signal,
    a: Option<&'a (Micros, Decision)>,
    b: Option<&'a (Micros, Decision)>,
) -> DecisionPair<'a> {
    let found_in = match (a, b) {
        (Some(_), Some(_)) => FoundIn::Both,
        (Some(_), None) => FoundIn::A,
        _ => FoundIn::B,
    };
    let at = (a.map(|(at, _)| *at), b.map(|(at, _)| *at));
    let shift_us = at.0.zip(at.1).map(|(a, b)| b - a);
    let decision = |one: Option<&'a (Micros, Decision)>| one.map(|(_, decision)| decision);
    DecisionPair { model, candidate, action, found_in, shift_us, a: decision(a), b: decision(b), at }
}

impl DecisionPair<'_> {
    fn row(&self) -> [String; 5] {
        let at = |at: Option<Micros>| at.map_or_else(|| "-".to_owned(), instant);
        let cap = |decision: Option<&Decision>| decision.and_then(|decision| decision.cap_pct);
        let (a, b) = (cap(self.a), cap(self.b));
        let to = match (a, b) {
            (Some(a), Some(b)) if a.total_cmp(&b).is_ne() => format!(" to {}% / {}%", number(a), number(b)),
            _ => a.or(b).map_or_else(String::new, |cap| format!(" to {}%", number(cap))),
        };
        let reason = |decision: &Decision| format!("{}: {}", decision.reason.code, decision.reason.text);
        let why = self.a.or(self.b).map_or_else(String::new, reason);
        [format!("{}{to}", self.action.name()), at(self.at.0), at(self.at.1), self.remark(), why]
    }

    fn remark(&self) -> String {
        match (self.found_in, self.shift_us) {
            (FoundIn::A, _) => "only in A".to_owned(),
            (FoundIn::B, _) => "only in B".to_owned(),
            (FoundIn::Both, Some(shift)) if shift > 0 => format!("B {} later", span(shift)),
            (FoundIn::Both, Some(shift)) if shift < 0 => format!("B {} earlier", span(-shift)),
            (FoundIn::Both, _) => "alike".to_owned(),
        }
    }
}

/// Caps in turn: when each came into force, as a share of traffic; `None` lifts it. That a rollback took effect is
/// observed, and lifts nothing.
fn caps(decisions: &[&(Micros, Decision)]) -> Vec<(Micros, Option<f64>)> {
    let cap = |decision: &Decision| match decision.action {
        Signal::Rollback => Some(Some(0.0)),
        Signal::Contain => decision.cap_pct.map(|cap| Some(cap / 100.0)),
        Signal::PromoteOk | Signal::Resume => Some(decision.cap_pct.filter(|cap| *cap < 100.0).map(|cap| cap / 100.0)),
        _ => None,
    };
    decisions.iter().filter_map(|(at, decision)| cap(decision).map(|cap| (*at, cap))).collect()
}

fn told(pairs: &[DecisionPair<'_>], kept: &KeptAway, candidate: &str) -> String {
    let n = |found_in| pairs.iter().filter(|pair| pair.found_in == found_in).count();
    let shifted = pairs.iter().filter(|pair| pair.shift_us.is_some_and(|shift| shift != 0)).count();
    let share = |kept_away: f64| {
        let percent = if kept.all == 0 { 0.0 } else { 100.0 * kept_away / float(kept.all) };
        format!("{} ({} %)", count(whole(kept_away)), number(percent))
    };
    format!(
        "  {} alike, {shifted} shifted in time, {} only in A, {} only in B\n  \
         kept from {candidate}, of its {} answers: A {}, B {}; A alone {}, B alone {}\n",
        n(FoundIn::Both) - shifted,
        n(FoundIn::A),
        n(FoundIn::B),
        count(kept.all),
        share(kept.by[0]),
        share(kept.by[1]),
        share(kept.by_one_alone[0]),
        share(kept.by_one_alone[1]),
    )
}

/// A span of time in its two largest units.
fn span(micros: Micros) -> String {
    let units = [("d", 86_400 * SECOND), ("h", 3_600 * SECOND), ("min", 60 * SECOND), ("s", SECOND)];
    let mut left = micros;
    let mut parts = Vec::new();
    for (unit, length) in units {
        if left >= length && parts.len() < 2 {
            parts.push(format!("{} {unit}", left / length));
        }
        left %= length;
    }
    if parts.is_empty() { format!("{micros} us") } else { parts.join(" ") }
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^53")]
fn float(count: u64) -> f64 {
    count as f64
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count that was never negative")]
fn whole(count: f64) -> u64 {
    count.round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decision(action: Signal, cap_pct: Option<f64>) -> Decision {
        let line = include_str!("../../../tests/data/recorded/flights.decisions.jsonl").lines().next();
        let recorded: Decision = serde_json::from_str(line.expect("a line")).expect("a decision");
        Decision { action, cap_pct, model: "m".to_owned(), candidate: "v2".to_owned(), ..recorded }
    }

    fn course(decisions: Vec<(Micros, Decision)>) -> DecisionTimeline {
        DecisionTimeline { decisions: decisions.into_iter().map(|(minute, one)| (minute * MINUTE, one)).collect() }
    }

    /// 60 answers of the candidate and 40 of the baseline in each of so many minutes.
    fn traffic(minutes: i64) -> PredictionCounts {
        let of = |_| BTreeMap::from([("v1".to_owned(), 40), ("v2".to_owned(), 60)]);
        let minutes = (0..minutes).map(|minute| (minute * MINUTE, of(minute))).collect();
        PredictionCounts { predictions: BTreeMap::from([("m".to_owned(), minutes)]) }
    }

    fn kept(a: Vec<(Micros, Decision)>, b: Vec<(Micros, Decision)>) -> KeptAway {
        let (a, b, tally) = (course(a), course(b), traffic(10));
        Diff::new(&a, &b, &tally).kept(("m", "v2"))
    }

    #[test]
    fn what_is_beyond_a_cap_is_kept_away_from_when_it_is_in_force() {
        let rollback = || vec![(4, decision(Signal::Rollback, Some(0.0)))];
        let contain = || vec![(2, decision(Signal::Contain, Some(20.0)))];
        let found = kept(rollback(), contain());
        assert_eq!(found.all, 600);
        assert_eq!(found.by.map(whole), [360, 320], "all of six minutes, and 60 less 20 of eight");
        assert_eq!(found.by_one_alone.map(whole), [120, 80], "the last six minutes of A, the two before of B");
        assert_eq!(kept(vec![], vec![]), KeptAway { all: 600, ..KeptAway::default() });
    }

    #[test]
    fn a_cap_that_is_above_the_traffic_keeps_nothing_and_a_resume_lifts_it() {
        let above = kept(vec![(0, decision(Signal::Contain, Some(80.0)))], vec![]);
        assert_eq!(above.by.map(whole), [0, 0]);
        for lifted in [Some(100.0), None] {
            let log = vec![(0, decision(Signal::Rollback, Some(0.0))), (5, decision(Signal::Resume, lifted))];
            assert_eq!(kept(log, vec![]).by.map(whole), [300, 0], "{lifted:?}");
        }
        let part = vec![(0, decision(Signal::Rollback, Some(0.0))), (5, decision(Signal::PromoteOk, Some(10.0)))];
        assert_eq!(kept(part, vec![]).by.map(whole), [300 + 5 * 50, 0], "a permission up to a share");
        let held = vec![(0, decision(Signal::Hold, Some(1.0))), (1, decision(Signal::Warn, None))];
        assert_eq!(kept(held, vec![]).by.map(whole), [0, 0], "what holds a share keeps nothing away");
        assert_eq!(kept(vec![(0, decision(Signal::Contain, None))], vec![]).by.map(whole), [0, 0]);
    }

    #[test]
    fn the_nth_of_an_action_is_paired_with_the_nth() {
        let (hold, warn) = (|| decision(Signal::Hold, None), || decision(Signal::Warn, None));
        let a = course(vec![(1, warn()), (2, hold()), (9, hold())]);
        let b = course(vec![(1, warn()), (4, hold())]);
        let tally = traffic(1);
        let diff = Diff::new(&a, &b, &tally);
        let pairs = diff.pairs(("m", "v2"));
        let told: Vec<(Signal, FoundIn, Option<Micros>)> =
            pairs.iter().map(|pair| (pair.action, pair.found_in, pair.shift_us)).collect();
        let expected = [
            (Signal::Warn, FoundIn::Both, Some(0)),
            (Signal::Hold, FoundIn::Both, Some(2 * MINUTE)),
            (Signal::Hold, FoundIn::A, None),
        ];
        assert_eq!(told, expected);
        let remarks: Vec<String> = pairs.iter().map(DecisionPair::remark).collect();
        assert_eq!(remarks, ["alike", "B 2 min later", "only in A"]);
        let back: Vec<String> = Diff::new(&b, &a, &tally).pairs(("m", "v2")).iter().map(DecisionPair::remark).collect();
        assert_eq!(back, ["alike", "B 2 min earlier", "only in B"]);
    }

    #[test]
    fn a_comparison_is_read_from_its_last_lines() {
        let a = course(vec![(0, decision(Signal::Rollback, Some(0.0)))]);
        let b = course(vec![(5, decision(Signal::Rollback, Some(0.0))), (6, decision(Signal::Warn, None))]);
        let text = Diff::new(&a, &b, &traffic(10)).render(["old.yaml", "new.yaml"]);
        assert!(text.starts_with("A old.yaml: 1 decision\nB new.yaml: 2 decisions\n\nm v2\n"), "{text}");
        assert!(text.contains("  0 alike, 1 shifted in time, 0 only in A, 1 only in B\n"), "{text}");
        let kept = "kept from v2, of its 600 answers: A 600 (100 %), B 300 (50 %); A alone 300 (50 %), B alone 0 (0 %)";
        assert!(text.contains(kept), "{text}");
        let caps = course(vec![(0, decision(Signal::Contain, Some(5.0)))]);
        let other = course(vec![(0, decision(Signal::Contain, Some(20.0)))]);
        let text = Diff::new(&caps, &other, &traffic(0)).render(["a", "b"]);
        assert!(text.contains("contain to 5% / 20%") && text.contains("of its 0 answers: A 0 (0 %)"), "{text}");
    }

    #[test]
    fn signs_of_life_are_no_decisions_of_a_timeline() {
        let mut timeline = DecisionTimeline::default();
        let effects = Effects {
            decisions: vec![decision(Signal::Heartbeat, None), decision(Signal::Hold, None)],
            ..Effects::default()
        };
        timeline.add(&effects, 30 * SECOND);
        let [(at, held)] = timeline.decisions.as_slice() else { panic!("{timeline:?}") };
        assert_eq!((*at, held.action), (held.time + 30 * SECOND, Signal::Hold), "told when late events are in");
    }

    #[test]
    fn spans_have_their_two_largest_units() {
        let day = 86_400 * SECOND;
        for (micros, text) in [
            (1, "1 us"),
            (SECOND - 1, "999999 us"),
            (SECOND, "1 s"),
            (61 * SECOND, "1 min 1 s"),
            (day + 61 * SECOND, "1 d 1 min"),
            (2 * day + 7_200 * SECOND + 60 * SECOND, "2 d 2 h"),
        ] {
            assert_eq!(span(micros), text);
        }
    }

    #[test]
    fn spans_are_told_in_two_units() {
        let cases =
            [(0, "0 us"), (7, "7 us"), (SECOND, "1 s"), (90 * MINUTE, "1 h 30 min"), (86_403 * SECOND, "1 d 3 s")];
        for (micros, text) in cases {
            assert_eq!(span(micros), text);
        }
    }

    #[test]
    fn decisions_of_one_side_are_named_so() {
        let shifted = |shift_us| DecisionPair {
            found_in: FoundIn::Both,
            shift_us,
            ..super::pair(("m", "v"), Signal::Hold, None, None)
        };
        assert_eq!(shifted(Some(0)).remark(), "alike");
        assert_eq!(shifted(Some(-90 * MINUTE)).remark(), "B 1 h 30 min earlier");
        assert_eq!(shifted(Some(MINUTE)).remark(), "B 1 min later");
    }
}
