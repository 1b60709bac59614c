//! Which rows of a file count, and to which period and segment each one belongs.

use arrow::array::{Array as _, AsArray as _};

use super::layout::{ColumnPosition, Layout};
use crate::error::{Error, Result};
use crate::event::Micros;
use crate::init::facts::is_plausible;
use crate::scan::dedup::{IdSet, ids_of_answers};
use crate::table::{Table, Wanted, cells};

/// The period or segment of a row that belongs to none.
pub(crate) const NONE: u16 = u16::MAX;
/// The most values of a field that traffic is split by.
pub(crate) const SEGMENT_VALUES_MAX: usize = 32;

/// Which rows of the current file are asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only this version.
    pub version: Option<String>,
    /// Only from this time on.
    pub from: Option<Micros>,
    /// Only before this time.
    pub until: Option<Micros>,
}

impl Filter {
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The rows of one file.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    /// Rows in the file that could be read.
    pub(crate) read: u64,
    /// Rows that could not.
    pub(crate) refused: u64,
    /// Records and rows that the pipeline does not take.
    pub(crate) passed_over: u64,
    /// What is wrong with the first of them that could not.
    pub(crate) example: Option<String>,
    /// Rows whose id was there before.
    pub(crate) duplicates: u64,
    /// Rows without a time, or with one that nobody means.
    pub(crate) undated: u64,
    /// Rows that were not asked for.
    pub(crate) outside: u64,
    /// First and last time of those that count.
    pub(crate) range: Option<(Micros, Micros)>,
    /// First and last time of all rows.
    pub(crate) seen: Option<(Micros, Micros)>,
    /// Rows that count, by version.
    pub(crate) versions: Vec<(String, u64)>,
    /// Whether each row counts; `None` when all do.
    keep: Option<Vec<bool>>,
    /// The time of each row, where there is one; cleared when periods are laid.
    times: Vec<Micros>,
    /// The period of each row.
    pub(crate) periods: Vec<u16>,
    /// For each field: the number of each row's value.
    pub(crate) segments: Vec<Vec<u16>>,
}

/// Values of the fields that traffic is split by, alike on both sides.
pub(crate) type SegmentNames = Vec<Vec<String>>;

/// Reads what decides about rows.
pub(crate) struct RowReader<'a> {
    pub(crate) table: &'a Table,
    pub(crate) layout: &'a Layout,
    /// 0 for the reference, 1 for the current file.
    pub(crate) side: usize,
    /// The columns that are read whenever the format gives all or nothing.
    pub(crate) all: &'a [usize],
    pub(crate) segments: &'a [ColumnPosition],
}

impl RowReader<'_> {
    /// What to ask the table for when these columns are wanted, and where each one then is.
    pub(crate) fn wanted(&self, columns: &[(usize, bool)]) -> (Vec<Wanted>, Vec<usize>) {
        let mut wanted: Vec<Wanted> = Vec::new();
        if !self.table.is_columnar() {
            wanted.extend(self.all.iter().map(|&column| Wanted { column, repeats: false }));
        }
        let mut places = Vec::with_capacity(columns.len());
        for &(column, repeats) in columns {
            let known = wanted.iter().position(|wanted| wanted.column == column);
            places.push(known.unwrap_or(wanted.len()));
            if known.is_none() {
                wanted.push(Wanted { column, repeats });
            }
        }
        (wanted, places)
    }

    /// Which rows count.
    pub(crate) fn rows(&self, filter: &Filter, names: &mut SegmentNames) -> Result<Rows> {
        let at = |place: &ColumnPosition| place.at[self.side];
        let time = self.layout.time.as_ref().and_then(|(place, format)| Some((at(place)?, *format)));
        let id = self.layout.id.as_ref().and_then(at);
        let version = self.layout.version.as_ref().and_then(at);
        self.check(filter, time.is_some(), version.is_some())?;
        let fields: Vec<Option<usize>> = self.segments.iter().map(at).collect();
        let columns: Vec<(usize, bool)> = [(time.map(|(at, _)| at), false), (id, false), (version, true)]
            .into_iter()
            .chain(fields.iter().map(|at| (*at, true)))
            .filter_map(|(at, repeats)| Some((at?, repeats)))
            .collect();
        let mut rows = Rows { segments: vec![Vec::new(); fields.len()], ..Rows::default() };
        names.resize(fields.len(), Vec::new());
        if let (true, Some(n)) = (columns.is_empty(), self.table.rows().filter(|_| self.table.is_columnar())) {
            rows.read = n;
            return Ok(rows);
        }
        let (wanted, places) = self.wanted(&columns);
        let array =
            |column: Option<usize>| columns.iter().position(|(known, _)| Some(*known) == column).map(|at| places[at]);
        let (time_at, id_at, version_at) = (array(time.map(|(at, _)| at)), array(id), array(version));
        let mut ids = IdSet::new(usize::MAX);
        for chunk in self.table.chunks(&wanted)? {
            let chunk = chunk?;
            let from = usize::try_from(rows.read).unwrap_or(usize::MAX);
            rows.read += chunk.rows as u64;
            rows.refused += chunk.refused;
            rows.passed_over += chunk.passed_over;
            rows.example = rows.example.take().or(chunk.example);
            let mut keep = vec![true; chunk.rows];
            if let (Some(at), Some((_, format))) = (time_at, time) {
                let times = cells::times(&chunk.arrays[at], format[self.side]);
                rows.undated += times.iter().filter(|time| time.is_none_or(|time| !is_plausible(time))).count() as u64;
                rows.times.extend(times.iter().map(|time| time.unwrap_or(Micros::MIN)));
                rows.outside += filtered(&mut keep, |row| is_within(filter, rows.times[from + row]));
            }
            let versions = version_at.map(|at| cells::names(&chunk.arrays[at]));
            if let Some(versions) = &versions {
                rows.outside += rows.of_version(versions, filter, &mut keep);
            }
            if let Some(at) = id_at {
                let hashes = self.table.ids(&chunk.arrays[at]);
                let answers = ids_of_answers(hashes.values(), versions.as_ref().as_slice());
                rows.duplicates += filtered(&mut keep, |row| hashes.is_null(row) || ids.insert(answers[row]));
            }
            for ((codes, names), field) in rows.segments.iter_mut().zip(names.iter_mut()).zip(&fields) {
                match array(*field) {
                    Some(at) => number(&cells::categories(&chunk.arrays[at]), names, codes),
                    None => codes.resize(codes.len() + chunk.rows, NONE),
                }
            }
            rows.note(from, keep);
        }
        Ok(rows)
    }

    fn check(&self, filter: &Filter, has_time: bool, has_version: bool) -> Result<()> {
        let needs_time = filter.from.is_some() || filter.until.is_some();
        if filter.is_empty() || (has_time || !needs_time) && (has_version || filter.version.is_none()) {
            return Ok(());
        }
        let what = if needs_time && !has_time { "event time" } else { "version" };
        Err(Error::user(format!("{} has no column with the {what}", self.table.path.display()))
            .hint("say which one it is in a pipeline file, and name it with --config"))
    }
}

/// Takes out the rows that do not fit, and counts them.
fn filtered(keep: &mut [bool], fits: impl FnMut(usize) -> bool) -> u64 {
    let mut fits = fits;
    let mut out = 0;
    for (row, keep) in keep.iter_mut().enumerate() {
        if *keep && !fits(row) {
            *keep = false;
            out += 1;
        }
    }
    out
}

fn wider(range: Option<(Micros, Micros)>, time: Micros) -> (Micros, Micros) {
    let (first, last) = range.unwrap_or((time, time));
    (first.min(time), last.max(time))
}

fn is_within(filter: &Filter, time: Micros) -> bool {
    filter.from.is_none_or(|from| time >= from) && filter.until.is_none_or(|until| time < until)
}

/// Numbers the values of a field, in the order in which they are first seen.
fn number(array: &crate::batch::TextArray, names: &mut Vec<String>, codes: &mut Vec<u16>) {
    let values = array.values().as_string::<i32>();
    let mut code_of = vec![None; values.len()];
    let start = codes.len();
    codes.resize(start + array.len(), NONE);
    for (row, code) in codes[start..].iter_mut().enumerate() {
        let Some(key) = array.key(row) else { continue };
        *code = *code_of[key].get_or_insert_with(|| {
            let name = values.value(key);
            let known = names.iter().position(|known| known == name);
            let known = known.or_else(|| {
                let is_room = names.len() < SEGMENT_VALUES_MAX;
                is_room.then(|| names.push(name.to_owned())).map(|()| names.len() - 1)
            });
            known.and_then(|at| u16::try_from(at).ok()).unwrap_or(NONE)
        });
    }
}

impl Rows {
    /// Rows that count.
    pub(crate) fn n(&self) -> u64 {
        self.read - self.duplicates - self.outside
    }

    /// Takes out other versions than the one asked for, and counts the rest by version.
    fn of_version(&mut self, array: &crate::batch::TextArray, filter: &Filter, keep: &mut [bool]) -> u64 {
        let names = array.values().as_string::<i32>();
        let wanted = |name: &str| filter.version.as_deref().is_none_or(|version| version == name);
        let out = filtered(keep, |row| match array.key(row) {
            Some(key) => wanted(names.value(key)),
            None => filter.version.is_none(),
        });
        for key in (0..array.len()).filter(|&row| keep[row]).filter_map(|row| array.key(row)) {
            let name = names.value(key);
            match self.versions.iter_mut().find(|(known, _)| known == name) {
                Some((_, n)) => *n += 1,
                None => self.versions.push((name.to_owned(), 1)),
            }
        }
        out
    }

    /// Remembers which rows count, and the range of their times.
    fn note(&mut self, from: usize, keep: Vec<bool>) {
        if let Some(times) = self.times.get(from..) {
            for (&time, &keep) in times.iter().zip(&keep).filter(|(time, _)| is_plausible(**time)) {
                self.seen = Some(wider(self.seen, time));
                if keep {
                    self.range = Some(wider(self.range, time));
                }
            }
        }
        if self.keep.is_none() && keep.iter().any(|keep| !keep) {
            self.keep = Some(vec![true; from]);
        }
        if let Some(known) = &mut self.keep {
            known.extend(keep);
        }
    }

    /// Lays periods of this length from `start` on; times are forgotten.
    pub(crate) fn lay_periods(&mut self, start: Micros, length: Micros, n: usize) {
        let period = |&time: &Micros| {
            let at = if time < start { -1 } else { (time - start) / length };
            u16::try_from(at).ok().filter(|&at| usize::from(at) < n).unwrap_or(NONE)
        };
        self.periods = self.times.iter().map(period).collect();
        self.times = Vec::new();
    }

    /// Rows that count, by period.
    pub(crate) fn by_period(&self, n: usize) -> Vec<u64> {
        let mut counts = vec![0; n];
        for (at, period) in self.periods.iter().enumerate() {
            let is_kept = self.keep.as_ref().is_none_or(|keep| keep[at]);
            if let Some(count) = counts.get_mut(usize::from(*period)).filter(|_| is_kept) {
                *count += 1;
            }
        }
        counts
    }

    /// The rows that count among `n` from `from` on, by their place there.
    pub(crate) fn select(&self, from: usize, n: usize) -> Vec<u32> {
        let all = 0..u32::try_from(n).expect("a chunk has few rows");
        match &self.keep {
            None => all.collect(),
            Some(keep) => all.zip(&keep[from..from + n]).filter(|(_, keep)| **keep).map(|(row, _)| row).collect(),
        }
    }
}

/// Splits rows by the group that each belongs to; `codes` are those of the chunk.
pub(crate) fn by_group(rows: &[u32], codes: &[u16], groups: &mut Vec<Vec<u32>>, n_groups: usize) {
    groups.resize_with(n_groups, Vec::new);
    groups.iter_mut().for_each(Vec::clear);
    for &row in rows {
        if let Some(group) = groups.get_mut(usize::from(codes[row as usize])) {
            group.push(row);
        }
    }
}
