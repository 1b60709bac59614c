//! Counting columns of two files: where to cut is learned from the reference, then both sides are counted into the same
//! summaries as live traffic, by period and by segment.
//!
//! Columns of Parquet files are read a few at a time, as many as make up [`GROUP_VALUES`], by two threads; other
//! formats give all columns at once, and the two files are then read side by side. **State**: the reference's values of
//! the columns in hand, at most [`VALUES_MAX`] of them (of a longer column every k-th row teaches), the summaries, and
//! again as many values of short columns until both sides are counted.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow::array::{Array as _, ArrayRef, AsArray as _, Float64Array};

use super::known::{OfRows, ROWS_MAX};
use super::layout::ComparedColumn;
use super::rows::{RowReader, Rows, by_group};
use crate::baseline::builder::of_names;
use crate::baseline::cut;
use crate::error::{Error, Result};
use crate::kernel::select;
use crate::plan::{CategoricalColumn, ColumnRole, NumericColumn};
use crate::scan::traffic::{count_categorical, count_numeric};
use crate::summary::{Category, Histogram, Latency, Rare};
use crate::table::cells;

/// Bins that a column is cut into, as pipelines do unless they say otherwise.
pub(crate) const FINE_BINS: u16 = 1040;
/// Values of the reference that are held at once.
const VALUES_MAX: usize = 1 << 24;
/// Values of Parquet columns that are read together: opening a file costs as much as reading a few thousand of them,
/// and the more columns it has the more.
const GROUP_VALUES: u64 = 1 << 20;
/// Names of one column that are told apart; of others it is known that they are there.
pub(crate) const NAMES_MAX: usize = 1 << 16;
/// Further names that are made room for.
const RARE_ROOM: u64 = 1 << 21;

/// One column, counted on both sides.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "one a column")]
pub(crate) enum ColumnCounts {
    /// Numbers.
    Numeric {
        /// How they are cut.
        column: NumericColumn,
        /// Reference, then current.
        sides: [Tallies<Histogram>; 2],
        /// Of the latency column.
        latency: Option<Box<[Latency; 2]>>,
        /// Cells on each side that hold something else.
        mistyped: [u64; 2],
        /// Infinite numbers on each side, which are counted apart and nowhere else.
        infinite: [u64; 2],
        /// Every so many rows of the reference taught where to cut.
        stride: usize,
        /// What the rows themselves say, where they are few enough to be kept.
        of_rows: Option<Box<OfRows>>,
    },
    /// Texts.
    Categorical {
        /// The categories of the reference.
        column: CategoricalColumn,
        /// Reference, then current.
        sides: [Tallies<Category>; 2],
        /// Different texts of the reference.
        distinct: usize,
    },
}

/// One column on one side: all rows, and the same rows split up.
#[derive(Debug, Clone)]
pub(crate) struct Tallies<T> {
    pub(crate) all: T,
    pub(crate) periods: Vec<T>,
    pub(crate) segments: Vec<Vec<T>>,
}

/// What is counted, and where.
pub(crate) struct CountTask<'a> {
    pub(crate) readers: [RowReader<'a>; 2],
    pub(crate) rows: [&'a Rows; 2],
    pub(crate) n_periods: usize,
    /// Values of each field that traffic is split by.
    pub(crate) n_values: Vec<usize>,
    /// Columns in all.
    pub(crate) n_columns: usize,
}

impl CountTask<'_> {
    /// Counts columns.
    pub(crate) fn run(&self, columns: &[ComparedColumn]) -> Result<Vec<ColumnCounts>> {
        if !self.readers.iter().all(|reader| reader.table.is_columnar()) {
            return self.group(columns, true);
        }
        let groups: Vec<&[ComparedColumn]> = columns.chunks(self.group_size(columns.len())).collect();
        let next = AtomicUsize::new(0);
        let done: Mutex<Vec<(usize, Result<Vec<ColumnCounts>>)>> = Mutex::new(Vec::new());
        let work = || loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(group) = groups.get(at) else { break };
            let counted = self.group(group, false);
            done.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push((at, counted));
        };
        std::thread::scope(|scope| {
            scope.spawn(work);
            work();
        });
        let mut done = done.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        done.sort_by_key(|(at, _)| *at);
        let all: Result<Vec<Vec<ColumnCounts>>> = done.into_iter().map(|(_, counted)| counted).collect();
        all.map(|all| all.into_iter().flatten().collect())
    }

    /// Columns that are read together: enough to make up for opening the files, and at least two groups, for two
    /// threads.
    fn group_size(&self, columns: usize) -> usize {
        let rows = self.rows.iter().map(|rows| rows.read).max().unwrap_or(0).max(1);
        let full = usize::try_from(GROUP_VALUES / rows).unwrap_or(usize::MAX);
        full.clamp(1, columns.div_ceil(2).max(1))
    }

    /// Counts columns that are read together.
    fn group(&self, columns: &[ComparedColumn], side_by_side: bool) -> Result<Vec<ColumnCounts>> {
        let learned = self.learn(columns)?;
        let count = |side: usize| self.count(columns, &learned, side);
        let [reference, current] = if side_by_side {
            std::thread::scope(|scope| {
                let reference = scope.spawn(|| count(0));
                let current = count(1);
                let lost = |_| Err(Error::internal("a thread that counted a file was lost"));
                [reference.join().unwrap_or_else(lost), current]
            })
        } else {
            [count(0), count(1)]
        };
        let sides = reference?.into_iter().zip(current?);
        Ok(learned.into_iter().zip(sides).map(|(learned, (a, b))| learned.joined(a, b, self.n_columns)).collect())
    }

    /// Whether the values of so many columns are kept until both sides are counted.
    fn keeps_rows(&self, columns: usize) -> bool {
        let rows = self.rows.map(Rows::n);
        let values = usize::try_from(rows[0] + rows[1]).unwrap_or(usize::MAX).saturating_mul(columns);
        rows.into_iter().all(|rows| rows <= ROWS_MAX) && values <= VALUES_MAX
    }

    /// Learns where to cut, and which categories there are.
    fn learn(&self, columns: &[ComparedColumn]) -> Result<Vec<Learned>> {
        let (reader, rows) = (&self.readers[0], self.rows[0]);
        let numeric = columns.iter().filter(|column| column.numeric.is_some()).count();
        let values = usize::try_from(rows.read).unwrap_or(usize::MAX).saturating_mul(numeric);
        let stride = values.div_ceil(VALUES_MAX).max(1);
        let mut lessons: Vec<Lesson> = columns.iter().map(Lesson::new).collect();
        read(reader, rows, columns, |column, array, selected, from| {
            lessons[column].take(&columns[column], array, selected, from, stride);
        })?;
        Ok(lessons.into_iter().zip(columns).map(|(lesson, column)| lesson.learned(column, stride)).collect())
    }

    fn count(&self, columns: &[ComparedColumn], learned: &[Learned], side: usize) -> Result<Vec<ColumnCounter>> {
        let (reader, rows) = (&self.readers[side], self.rows[side]);
        let periods = if rows.periods.is_empty() { 0 } else { self.n_periods };
        let keeps_rows = self.keeps_rows(columns.len());
        let tally = |learned: &Learned| learned.tally(periods, &self.n_values, keeps_rows);
        let mut tallies: Vec<ColumnCounter> = learned.iter().map(tally).collect();
        let mut groups = Vec::new();
        read(reader, rows, columns, |column, array, selected, from| {
            let codes = Codes { rows, from, n_periods: periods, n_values: &self.n_values };
            tallies[column].take((&columns[column], &learned[column]), array, selected, &codes, &mut groups);
        })?;
        // A column that this side does not have is missing in every row.
        let absent = tallies.iter_mut().zip(columns).filter(|(_, column)| column.place.at[side].is_none());
        absent.for_each(|(tally, _)| tally.all_missing(rows.n()));
        Ok(tallies)
    }
}

/// Hands on every chunk of every column: its index, the array, the rows that count, and the first row's place in the
/// file.
fn read(
    reader: &RowReader<'_>,
    rows: &Rows,
    columns: &[ComparedColumn],
    mut take: impl FnMut(usize, &ArrayRef, &[u32], usize),
) -> Result<()> {
    let there: Vec<(usize, usize)> =
        (0..).zip(columns).filter_map(|(at, column)| Some((at, column.place.at[reader.side]?))).collect();
    let asked: Vec<(usize, bool)> = there.iter().map(|&(at, column)| (column, columns[at].numeric.is_none())).collect();
    if there.is_empty() {
        return Ok(());
    }
    let (wanted, places) = reader.wanted(&asked);
    let mut from = 0;
    for chunk in reader.table.chunks(&wanted)? {
        let chunk = chunk?;
        let selected = rows.select(from, chunk.rows);
        for (&(at, _), &place) in there.iter().zip(&places) {
            take(at, &chunk.arrays[place], &selected, from);
        }
        from += chunk.rows;
    }
    Ok(())
}

/// What a first reading of a reference column gathers.
enum Lesson {
    Values(Vec<f64>),
    /// Names with their counts, and what came after [`NAMES_MAX`] of them.
    Names(BTreeMap<String, u64>, Option<Rare>),
}

impl Lesson {
    fn new(column: &ComparedColumn) -> Self {
        if column.numeric.is_some() { Self::Values(Vec::new()) } else { Self::Names(BTreeMap::new(), None) }
    }

    fn take(&mut self, column: &ComparedColumn, array: &ArrayRef, rows: &[u32], from: usize, stride: usize) {
        match self {
            Self::Values(values) => {
                let numbers = scaled(array, column.factor).0;
                let taught = rows.iter().map(|&row| row as usize).filter(|row| (from + row).is_multiple_of(stride));
                let present = taught.filter(|&row| numbers.is_valid(row)).map(|row| numbers.value(row));
                values.extend(present.filter(|value| value.is_finite()).map(|value| value + 0.0));
            }
            Self::Names(names, others) => {
                let texts = column.categories(array);
                let known = texts.values().as_string::<i32>();
                let mut counts = vec![0_u64; known.len()];
                rows.iter().filter_map(|&row| texts.key(row as usize)).for_each(|key| counts[key] += 1);
                for (key, count) in counts.into_iter().enumerate().filter(|(_, count)| *count > 0) {
                    if let Some(known) = names.get_mut(known.value(key)) {
                        *known += count;
                    } else if names.len() < NAMES_MAX {
                        names.insert(known.value(key).to_owned(), count);
                    } else {
                        others.get_or_insert_with(|| Rare::with_room(RARE_ROOM)).insert(known.value(key));
                    }
                }
            }
        }
    }

    fn learned(self, column: &ComparedColumn, stride: usize) -> Learned {
        let name = column.place.name.clone();
        match self {
            Self::Values(mut values) => {
                values.sort_unstable_by(f64::total_cmp);
                let cut = if values.is_empty() { cut::trivial() } else { cut::of_values(&values, FINE_BINS) };
                let role = column.numeric.unwrap_or(ColumnRole::Feature);
                Learned::Numeric(NumericColumn { name, role, cut: Arc::new(cut) }, stride)
            }
            Self::Names(names, others) => {
                let rare = others.as_ref().map_or(0, Rare::n);
                let distinct = names.len() + usize::try_from(rare).unwrap_or(usize::MAX);
                let column = of_names(name, names, NAMES_MAX);
                Learned::Categorical(CategoricalColumn { rare: others.map(Arc::new), ..column }, distinct)
            }
        }
    }
}

/// A column as its numbers, in the report's unit.
fn scaled(array: &ArrayRef, factor: f64) -> (Float64Array, u64) {
    let (numbers, mistyped) = cells::numbers(array);
    let is_one = (factor - 1.0).abs() < f64::EPSILON;
    (if is_one { numbers } else { numbers.unary(|value| value * factor) }, mistyped)
}

/// Numbers without infinite ones, and how many of those there are among the rows.
fn finite(numbers: Float64Array, rows: &[u32]) -> (Float64Array, u64) {
    if !numbers.values().iter().any(|value| value.is_infinite()) {
        return (numbers, 0);
    }
    let is_infinite = |row: usize| numbers.is_valid(row) && numbers.value(row).is_infinite();
    let n = rows.iter().filter(|&&row| is_infinite(row as usize)).count();
    (numbers.iter().map(|value| value.filter(|value| !value.is_infinite())).collect(), n as u64)
}

/// How a column is cut.
enum Learned {
    Numeric(NumericColumn, usize),
    Categorical(CategoricalColumn, usize),
}

impl Learned {
    fn tally(&self, n_periods: usize, n_values: &[usize], keeps_rows: bool) -> ColumnCounter {
        match self {
            Self::Numeric(column, _) => ColumnCounter::Numeric {
                counts: Tallies::new(&Histogram::new(&column.cut), n_periods, n_values),
                latency: (column.role == ColumnRole::Latency).then(Latency::default),
                mistyped: 0,
                infinite: 0,
                values: keeps_rows.then(Vec::new),
            },
            Self::Categorical(column, _) => {
                ColumnCounter::Categorical(Tallies::new(&Category::new(column.n_cells()), n_periods, n_values))
            }
        }
    }

    fn joined(self, reference: ColumnCounter, current: ColumnCounter, n_columns: usize) -> ColumnCounts {
        match (self, reference, current) {
            (
                Self::Numeric(column, stride),
                ColumnCounter::Numeric {
                    counts: a,
                    latency: of_a,
                    mistyped: odd_a,
                    infinite: far_a,
                    values: of_reference,
                },
                ColumnCounter::Numeric {
                    counts: b,
                    latency: of_b,
                    mistyped: odd_b,
                    infinite: far_b,
                    values: of_current,
                },
            ) => ColumnCounts::Numeric {
                column,
                sides: [a, b],
                latency: of_a.zip(of_b).map(|(a, b)| Box::new([a, b])),
                mistyped: [odd_a, odd_b],
                infinite: [far_a, far_b],
                stride,
                of_rows: of_reference.zip(of_current).map(|(a, b)| Box::new(OfRows::of(a, b, n_columns))),
            },
            (Self::Categorical(column, distinct), ColumnCounter::Categorical(a), ColumnCounter::Categorical(b)) => {
                ColumnCounts::Categorical { column, sides: [a, b], distinct }
            }
            _ => unreachable!("both sides were counted by what was learned"),
        }
    }
}

/// One column on one side while it is counted.
#[expect(clippy::large_enum_variant, reason = "one a column")]
enum ColumnCounter {
    Numeric {
        counts: Tallies<Histogram>,
        latency: Option<Latency>,
        mistyped: u64,
        infinite: u64,
        /// The values themselves, where they are kept.
        values: Option<Vec<f64>>,
    },
    Categorical(Tallies<Category>),
}

/// Where the rows of a chunk belong.
struct Codes<'a> {
    rows: &'a Rows,
    from: usize,
    n_periods: usize,
    n_values: &'a [usize],
}

impl Codes<'_> {
    /// Splits the rows of the chunk in every way, and hands on each part with where it belongs.
    fn each(&self, selected: &[u32], n: usize, groups: &mut Vec<Vec<u32>>, mut take: impl FnMut(Part, &[u32])) {
        let chunk = self.from..self.from + n;
        if self.n_periods > 0 {
            by_group(selected, &self.rows.periods[chunk.clone()], groups, self.n_periods);
            groups
                .iter()
                .enumerate()
                .filter(|(_, rows)| !rows.is_empty())
                .for_each(|(at, rows)| take(Part::Period(at), rows));
        }
        for (field, (codes, &values)) in self.rows.segments.iter().zip(self.n_values).enumerate() {
            by_group(selected, &codes[chunk.clone()], groups, values);
            let filled = groups.iter().enumerate().filter(|(_, rows)| !rows.is_empty());
            filled.for_each(|(at, rows)| take(Part::Segment(field, at), rows));
        }
    }
}

#[derive(Clone, Copy)]
enum Part {
    Period(usize),
    Segment(usize, usize),
}

impl<T: Clone> Tallies<T> {
    fn new(empty: &T, n_periods: usize, n_values: &[usize]) -> Self {
        let segments = n_values.iter().map(|&n| vec![empty.clone(); n]).collect();
        Self { all: empty.clone(), periods: vec![empty.clone(); n_periods], segments }
    }

    fn part(&mut self, part: Part) -> &mut T {
        match part {
            Part::Period(at) => &mut self.periods[at],
            Part::Segment(field, at) => &mut self.segments[field][at],
        }
    }
}

impl ColumnCounter {
    fn take(
        &mut self,
        (watched, learned): (&ComparedColumn, &Learned),
        array: &ArrayRef,
        rows: &[u32],
        codes: &Codes<'_>,
        groups: &mut Vec<Vec<u32>>,
    ) {
        match (self, learned) {
            (Self::Numeric { counts, latency, mistyped, infinite, values }, Learned::Numeric(column, _)) => {
                let (numbers, odd) = scaled(array, watched.factor);
                *mistyped += odd;
                let (numbers, far) = finite(numbers, rows);
                *infinite += far;
                let usable = latency.is_some().then(|| not_negative(&numbers));
                let numbers = usable.as_ref().unwrap_or(&numbers);
                if let Some(values) = values {
                    let present = rows.iter().map(|&row| row as usize).filter(|&row| numbers.is_valid(row));
                    values.extend(present.map(|row| numbers.value(row)).filter(|value| value.is_finite()));
                }
                count_numeric(&mut counts.all, latency.as_mut(), column, numbers, &select::SelectedRows::new(rows));
                codes.each(rows, array.len(), groups, |part, rows| {
                    count_numeric(counts.part(part), None, column, numbers, &select::SelectedRows::new(rows));
                });
            }
            (Self::Categorical(counts), Learned::Categorical(column, _)) => {
                let texts = watched.categories(array);
                let mut scratch = Vec::new();
                count_categorical(&mut counts.all, column, &texts, rows, &mut scratch);
                codes.each(rows, array.len(), groups, |part, rows| {
                    count_categorical(counts.part(part), column, &texts, rows, &mut scratch);
                });
            }
            _ => unreachable!("a tally is made by what was learned"),
        }
    }

    fn all_missing(&mut self, n: u64) {
        match self {
            Self::Numeric { counts, .. } => counts.all.missing = n,
            Self::Categorical(counts) => counts.all.missing = n,
        }
    }
}

/// Latencies that can be one: finite and not negative.
fn not_negative(numbers: &Float64Array) -> Float64Array {
    numbers.iter().map(|value| value.filter(|value| value.is_finite() && *value >= 0.0)).collect()
}
