//! A source of a pipeline that is made of somebody's data: what its columns are for, and what all of its rows show.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::AsArray as _;

use super::facts::{FactKind, Facts, is_plausible};
use super::features;
use super::guess::{Guess, Guesses, Use, time_format};
use super::sample::TopicSample;
use super::shape::{self, TableShape};
use crate::error::{Error, Result};
use crate::event::{Micros, SECOND};
use crate::plan::{Task, TimeFormat};
use crate::replay::ARRIVAL_NAMES;
use crate::table::{Table, Wanted, cells};

/// Windows that a file should give at least.
const WINDOWS_MIN: i64 = 24;
/// Lengths of windows with their names in a pipeline, longest first.
const WINDOWS: [(&str, i64); 10] = [
    ("1d", 86_400),
    ("12h", 43_200),
    ("6h", 21_600),
    ("1h", 3_600),
    ("30m", 1_800),
    ("15m", 900),
    ("5m", 300),
    ("1m", 60),
    ("30s", 30),
    ("10s", 10),
];

/// A source of the pipeline.
pub(super) struct DraftSource {
    pub(super) table: Table,
    pub(super) guesses: Guesses,
    /// What it is a table of, where that is no file.
    pub(super) sample: Option<Arc<TopicSample>>,
    /// What its records are, where they are no flat rows.
    pub(super) shape: Option<TableShape>,
}

/// What all rows of a file of predictions show.
#[derive(Default)]
pub(super) struct FileFacts {
    pub(super) rows: u64,
    pub(super) range: Option<(Micros, Micros)>,
    /// Rows whose times were looked at, and the latest since the last start of a partition.
    timed: u64,
    latest: Micros,
    /// How far a row is behind the latest one before it.
    pub(super) behind: Micros,
    /// Versions in the order in which they come, with their rows.
    pub(super) versions: Vec<(String, u64)>,
}

impl DraftSource {
    /// The sources that the records of a table are: one, or one for each kind of them.
    pub(super) fn of(table: Table, sample: Option<TopicSample>) -> Result<Vec<Self>> {
        let sample = sample.map(Arc::new);
        let source = |(table, shape): (Table, Option<TableShape>)| {
            let mut facts = Facts::throughout(&table)?;
            shape.iter().for_each(|shape| shape.note(&mut facts));
            let mut guesses = Guesses::of(facts);
            if shape.as_ref().is_some_and(TableShape::is_answer) {
                guesses.take_score();
            }
            Ok(Self { table, guesses, sample: sample.clone(), shape })
        };
        shape::of(table)?.into_iter().map(source).collect()
    }

    /// A label without version, score or features.
    pub(super) fn is_outcome(&self) -> bool {
        let has = |usage: Use| self.guesses.find(|known| known == usage).is_some();
        has(Use::Label) && has(Use::Id) && !self.has_scores() && !has(Use::Version)
    }

    pub(super) fn time(&self) -> Option<(&Guess, TimeFormat)> {
        self.guesses.columns.iter().find_map(|guess| match guess.usage {
            Use::Time(format) => Some((guess, format)),
            _ => None,
        })
    }

    /// When rows arrived, as replays find it.
    fn arrival(&self) -> Option<(&Guess, TimeFormat)> {
        let guess = self.find(Use::Arrival).filter(|guess| ARRIVAL_NAMES.contains(&guess.facts.label().as_str()))?;
        let format = time_format(&guess.facts)?;
        matches!(format, TimeFormat::Micros | TimeFormat::Rfc3339).then_some((guess, format))
    }

    pub(super) fn find(&self, usage: Use) -> Option<&Guess> {
        self.guesses.find(|known| known == usage)
    }

    /// Whether labels can be compared with something: scores, or classes of a task that has them.
    pub(super) fn has_answers(&self) -> bool {
        let is_task_of_classes = self.guesses.task != Task::Regression;
        self.has_scores() || self.find(Use::Predicted).is_some() && is_task_of_classes
    }

    /// Whether there is a score, or one for each class.
    fn has_scores(&self) -> bool {
        self.find(Use::Score).is_some() || self.guesses.class_scores.is_some()
    }

    /// Whether there is a label that is understood: of two classes that are no words for yes and no, one must be known
    /// to be positive.
    pub(super) fn has_truth(&self, task: Task) -> bool {
        let is_unclear = |guess: &Guess| {
            task == Task::Binary && guess.kind == FactKind::Categorical && self.guesses.positive.is_none()
        };
        self.find(Use::Label).is_some_and(|guess| !is_unclear(guess))
    }

    /// Whether there are predictions, or features at least.
    pub(super) fn has_something_to_watch(&self) -> bool {
        self.find(Use::Id).is_some() || self.has_features()
    }

    pub(super) fn has_features(&self) -> bool {
        self.guesses.columns.iter().any(|guess| features::is_one(guess, true))
    }

    /// Reads the times and versions of all rows.
    pub(super) fn course(&self) -> Result<FileFacts> {
        let at = |guess: &Guess| self.table.find(&guess.facts.name);
        let time = self.time().or_else(|| self.arrival());
        let time = time.and_then(|(guess, format)| Some((at(guess)?, format)));
        if time.is_none() && self.sample.is_none() {
            return Err(Error::user(format!(
                "{} has no column that tells when a prediction was made",
                self.table.path.display()
            ))
            .hint(match &self.shape {
                Some(shape) if shape.side.is_some() => {
                    "messages of model servers hold no time: give each line a `timestamp_us`, or name the topic"
                }
                _ => "add one (RFC 3339 texts, or seconds, ms, us or ns since 1970); `haldane report` compares files without",
            }));
        }
        let starts = self.starts();
        let version = self.find(Use::Version).and_then(at);
        let mut wanted: Vec<Wanted> = time.iter().map(|&(column, _)| Wanted { column, repeats: false }).collect();
        wanted.extend(version.map(|column| Wanted { column, repeats: true }));
        let mut course = FileFacts::default();
        for chunk in self.table.chunks(&wanted)? {
            let chunk = chunk?;
            course.rows += chunk.rows as u64;
            if let Some((_, format)) = time {
                cells::times(&chunk.arrays[0], format).iter().for_each(|time| course.time(time, &starts));
            }
            if let (Some(array), Some(_)) = (chunk.arrays.last(), version) {
                course.take_versions(&cells::names(array));
            }
        }
        if time.is_none() {
            self.arrivals().into_iter().for_each(|time| course.time(Some(time), &starts));
        }
        Ok(course)
    }

    /// The rows with which further partitions begin.
    fn starts(&self) -> BTreeSet<u64> {
        let starts = self.sample.as_ref().map(|sample| sample.starts()).unwrap_or_default();
        let Some(shape) = &self.shape else { return starts };
        let first = |record: &u64| shape.records.partition_point(|of| (*of as u64) < *record) as u64;
        starts.iter().map(first).collect()
    }

    /// When its rows arrived.
    fn arrivals(&self) -> Vec<Micros> {
        let all: Vec<Micros> = self.sample.iter().flat_map(|sample| sample.arrivals()).collect();
        match &self.shape {
            Some(shape) => shape.records.iter().filter_map(|record| all.get(*record).copied()).collect(),
            None => all,
        }
    }

    /// Features beside the answers: rows with something to watch that are neither answers nor labels.
    pub(super) fn is_question(&self) -> bool {
        self.has_features() && !self.has_scores() && self.find(Use::Predicted).is_none() && !self.is_outcome()
    }
}

impl FileFacts {
    /// Takes the time of the next row; rows of one partition are in no order with those of another.
    pub(super) fn time(&mut self, time: Option<Micros>, starts: &BTreeSet<u64>) {
        if starts.contains(&self.timed) {
            self.latest = Micros::MIN;
        }
        self.timed += 1;
        let Some(time) = time.filter(|&time| is_plausible(time)) else { return };
        let (first, last) = self.range.unwrap_or((time, time));
        self.latest = self.latest.max(time);
        self.behind = self.behind.max(self.latest - time);
        self.range = Some((first.min(time), last.max(time)));
    }

    fn take_versions(&mut self, array: &crate::batch::TextArray) {
        let names = array.values().as_string::<i32>();
        for key in (0..array.len()).filter_map(|row| array.key(row)) {
            match self.versions.iter_mut().find(|(known, _)| known == names.value(key)) {
                Some((_, n)) => *n += 1,
                None => self.versions.push((names.value(key).to_owned(), 1)),
            }
        }
    }

    /// The length of a window, and of how many the file then has.
    pub(super) fn window(&self) -> (&'static str, i64) {
        let span = self.range.map_or(0, |(first, last)| (last - first) / SECOND);
        let fits =
            WINDOWS.iter().find(|(_, seconds)| span / seconds >= WINDOWS_MIN).unwrap_or(&WINDOWS[WINDOWS.len() - 1]);
        (fits.0, span / fits.1 + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The start of a time that somebody meant.
    const START: Micros = 1_700_000_000 * SECOND;

    fn course(times: &[Option<i64>], starts: &[u64]) -> FileFacts {
        let (mut facts, starts) = (FileFacts::default(), starts.iter().copied().collect());
        times.iter().for_each(|time| facts.time(time.map(|seconds| START + seconds * SECOND), &starts));
        facts
    }

    #[test]
    fn a_row_is_as_late_as_it_is_behind_the_latest_before_it() {
        let behind = |times: &[i64], starts: &[u64]| {
            let times: Vec<Option<i64>> = times.iter().copied().map(Some).collect();
            course(&times, starts).behind / SECOND
        };
        assert_eq!(behind(&[0, 1, 2, 2], &[]), 0);
        assert_eq!(behind(&[0, 10, 4, 7], &[]), 6);
        assert_eq!(behind(&[0, 10, 3, 12, 1], &[]), 11);
        assert_eq!(behind(&[0, 10, 3, 5], &[2]), 0, "another partition begins anew");
        assert_eq!(behind(&[0, 10, 3, 5, 4], &[2]), 1);
        assert_eq!(behind(&[0, 10, 3], &[1]), 7, "it began before");
    }

    #[test]
    fn times_that_nobody_meant_and_missing_ones_count_for_nothing() {
        let facts = course(&[Some(5), None, Some(-1_700_000_000), Some(9), Some(7)], &[]);
        assert_eq!(facts.range, Some((START + 5 * SECOND, START + 9 * SECOND)));
        assert_eq!(facts.behind, 2 * SECOND);
        assert_eq!(course(&[None, Some(-1_700_000_000)], &[]).range, None);
        // A row without a time is a row: partitions begin where they do.
        assert_eq!(course(&[Some(9), None, Some(1)], &[2]).behind, 0);
        assert_eq!(course(&[Some(9), None, Some(1)], &[1]).behind, 0);
        assert_eq!(course(&[Some(9), None, Some(1)], &[3]).behind, 8 * SECOND);
    }

    #[test]
    fn a_file_is_cut_into_as_many_windows_as_are_needed_and_no_more() {
        let window = |seconds: i64| course(&[Some(0), Some(seconds)], &[]).window();
        assert_eq!(window(24 * 86_400), ("1d", 25));
        assert_eq!(window(24 * 86_400 - 1), ("12h", 48));
        assert_eq!(window(24 * 3_600), ("1h", 25));
        assert_eq!(window(24 * 10), ("10s", 25));
        assert_eq!(window(0), ("10s", 1), "of a short one there are too few");
        assert_eq!(FileFacts::default().window(), ("10s", 1));
        assert!(WINDOWS.is_sorted_by(|a, b| a.1 > b.1));
    }
}
