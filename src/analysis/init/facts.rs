//! What the first rows of a column show: how many values, of which shape, in which range.

use std::collections::BTreeSet;

use arrow::array::{Array as _, ArrayRef};
use arrow::datatypes::DataType;

use crate::decode::cell;
use crate::decode::time::from_text;
use crate::error::Result;
use crate::event::{Micros, stable_hash};
use crate::plan::TimeFormat;
use crate::table::{Table, Wanted, cells};

/// Rows that are looked at.
pub(crate) const SAMPLE_ROWS: usize = 5_000;
/// Texts that are kept to be shown.
const EXAMPLES_MAX: usize = 3;
/// Of texts that are mostly numbers, at most this share may be something else.
const MISTYPED_MAX: f64 = 0.05;
/// Units of time since 1970, each with the numbers that stand for the years 1990 to 2100.
const EPOCHS: [(TimeFormat, f64); 4] =
    [(TimeFormat::Seconds, 1.0), (TimeFormat::Millis, 1e3), (TimeFormat::Micros, 1e6), (TimeFormat::Nanos, 1e9)];
const YEAR_1990: f64 = 631_152_000.0;
const YEAR_2100: f64 = 4_102_444_800.0;

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Numbers.
    Numeric,
    /// Texts.
    Categorical,
    /// Yes or no.
    Boolean,
    /// Times, in this format.
    Time(TimeFormat),
    /// Lists and the like.
    Nested,
    /// Nothing.
    Empty,
}

/// What a sample of a column shows.
#[derive(Debug, Clone, Default)]
pub(crate) struct Facts {
    pub(crate) name: String,
    pub(crate) path: Vec<String>,
    /// Rows looked at.
    pub(crate) rows: usize,
    /// Rows with a value.
    pub(crate) n: usize,
    /// Lowest and highest number.
    pub(crate) range: Option<(f64, f64)>,
    pub(crate) examples: Vec<String>,
    distinct: BTreeSet<u64>,
    numbers: usize,
    whole: usize,
    /// Numbers that stand for the years 1990 to 2100, in each unit of [`EPOCHS`].
    epochs: [usize; EPOCHS.len()],
    /// The whole number before, and how many were one more than the one before them.
    last: Option<i128>,
    steps: usize,
    truths: usize,
    times: usize,
    is_time: bool,
    is_number: bool,
    is_nested: bool,
}

impl Facts {
    /// What the first rows of every column of a table show.
    pub(crate) fn of(table: &Table) -> Result<Vec<Self>> {
        let named = |column: &crate::table::Column| Self {
            name: column.name.clone(),
            path: column.path.clone(),
            is_nested: column.data_type.is_nested(),
            ..Self::default()
        };
        let mut all: Vec<Self> = table.columns.iter().map(named).collect();
        let wanted: Vec<Wanted> = (0..all.len()).map(|column| Wanted { column, repeats: false }).collect();
        for chunk in table.chunks(&wanted)? {
            let chunk = chunk?;
            for (facts, array) in all.iter_mut().zip(&chunk.arrays) {
                facts.look(&array.slice(0, array.len().min(SAMPLE_ROWS - facts.rows)));
            }
            if all.first().is_none_or(|facts| facts.rows >= SAMPLE_ROWS) {
                break;
            }
        }
        Ok(all)
    }

    fn look(&mut self, array: &ArrayRef) {
        self.rows += array.len();
        let kind = array.data_type();
        self.is_nested |= kind.is_nested() && !matches!(kind, DataType::Dictionary(..));
        self.is_time |= kind.is_temporal();
        if kind.is_temporal() {
            // Casting to text needs a database of time zones for some of them.
            self.n += array.len() - array.null_count();
        } else if kind.is_integer() {
            self.is_number = true;
            cells::texts(array).iter().flatten().for_each(|text| self.text(text));
        } else if kind.is_numeric() {
            self.is_number = true;
            for number in cells::numbers(array).0.iter().flatten().filter(|number| !number.is_nan()) {
                self.number(number);
                self.distinct.insert((number + 0.0).to_bits());
            }
        } else if !self.is_nested {
            cells::texts(array).iter().flatten().for_each(|text| self.text(text.trim()));
        }
    }

    fn number(&mut self, number: f64) {
        if number.is_nan() {
            return;
        }
        self.n += 1;
        self.numbers += 1;
        self.whole += usize::from(number.fract().abs() == 0.0);
        let (low, high) = self.range.unwrap_or((number, number));
        self.range = Some((low.min(number), high.max(number)));
        for (n, (_, scale)) in self.epochs.iter_mut().zip(EPOCHS) {
            *n += usize::from((YEAR_1990 * scale..=YEAR_2100 * scale).contains(&number));
        }
    }

    /// Notes a number among the different values, by its digits where they are more than a float holds.
    fn value(&mut self, text: &str, number: f64) {
        let whole: Option<i128> = text.parse().ok();
        self.steps += usize::from(whole.zip(self.last).is_some_and(|(whole, last)| whole == last + 1));
        self.last = whole;
        let is_long = whole.is_some_and(|whole| whole.unsigned_abs() > 1 << 53);
        self.distinct.insert(if is_long { stable_hash(text.as_bytes()) } else { (number + 0.0).to_bits() });
    }

    fn text(&mut self, text: &str) {
        if let Ok(number) = text.parse::<f64>() {
            self.number(number);
            return self.value(text, number);
        }
        if cell::is_missing(text) {
            return;
        }
        self.n += 1;
        self.truths += usize::from(cell::word(text).is_some());
        self.times += usize::from(from_text(text.as_bytes()).is_some());
        let is_new = self.distinct.insert(stable_hash(cell::category(text).as_bytes()));
        if is_new && self.examples.len() < EXAMPLES_MAX {
            self.examples.push(text.to_owned());
        }
    }

    /// What the column holds.
    pub(crate) fn kind(&self) -> Kind {
        match self.n {
            _ if self.is_nested => Kind::Nested,
            0 => Kind::Empty,
            _ if self.is_time => Kind::Time(TimeFormat::Rfc3339),
            n if self.truths == n => Kind::Boolean,
            n if self.truths == 0 && is_nearly(self.times, n) => Kind::Time(TimeFormat::Rfc3339),
            _ if self.is_number || self.is_mostly_numbers() => Kind::Numeric,
            _ => Kind::Categorical,
        }
    }

    fn is_mostly_numbers(&self) -> bool {
        self.numbers > 0 && share(self.n - self.numbers, self.n) <= MISTYPED_MAX
    }

    /// The unit of numbers that nearly all stand for times from 1990 to 2100.
    pub(crate) fn epoch(&self) -> Option<TimeFormat> {
        let fits = |&&(_, n): &&(TimeFormat, usize)| self.numbers > 0 && is_nearly(n, self.n);
        let counted: Vec<(TimeFormat, usize)> = EPOCHS.iter().map(|(format, _)| *format).zip(self.epochs).collect();
        counted.iter().find(fits).map(|(format, _)| *format)
    }

    /// Whether every number is one more than the one before, as row numbers are.
    pub(crate) fn counts_rows(&self) -> bool {
        self.n > 20 && self.steps + 1 == self.n
    }

    /// Different values.
    pub(crate) fn n_distinct(&self) -> usize {
        self.distinct.len()
    }

    /// The two values of a column that has no others; numbers in order.
    pub(crate) fn two(&self) -> Option<[String; 2]> {
        let numbers =
            self.range.filter(|_| self.numbers == self.n).map(|(low, high)| [low.to_string(), high.to_string()]);
        let texts = || <[String; 2]>::try_from(self.examples.clone()).ok().filter(|_| self.numbers == 0);
        numbers.or_else(texts).filter(|_| self.n_distinct() == 2 && self.truths == 0)
    }

    /// Whether nearly every row has a value of its own.
    pub(crate) fn is_unique(&self) -> bool {
        self.n > 1 && share(self.distinct.len(), self.n) > 0.9
    }

    /// Whether all numbers are whole.
    pub(crate) fn is_whole(&self) -> bool {
        self.numbers > 0 && self.whole == self.n
    }

    /// Whether all values are numbers from `low` to `high`.
    pub(crate) fn is_within(&self, low: f64, high: f64) -> bool {
        self.kind() == Kind::Numeric && self.range.is_some_and(|(least, most)| low <= least && most <= high)
    }

    /// What was seen, in words.
    pub(crate) fn describe(&self) -> String {
        let distinct = self.n_distinct();
        let what = match (self.kind(), self.range) {
            (Kind::Nested, _) => "lists or the like".to_owned(),
            (Kind::Empty, _) => "no value".to_owned(),
            (Kind::Time(_), _) => "times".to_owned(),
            (Kind::Boolean, _) => "true or false".to_owned(),
            (Kind::Numeric, Some((low, high))) => {
                let noun = if self.is_whole() { "whole numbers" } else { "numbers" };
                format!("{noun} from {low} to {high}, {distinct} distinct")
            }
            _ if distinct == 1 => format!("always {}", self.examples.join("")),
            _ => format!("{distinct} distinct, such as {}", self.examples.join(", ")),
        };
        let missing = share(self.rows - self.n, self.rows);
        if self.n == 0 || missing < 0.005 { what } else { format!("{what}; {:.0} % missing", missing * 100.0) }
    }
}

/// Whether few of many are something else: one odd value among hundreds changes no guess.
fn is_nearly(part: usize, whole: usize) -> bool {
    whole > 0 && (whole - part) * 200 <= whole
}

/// Whether a time is from the years 1990 to 2100, as times that somebody meant are.
pub(crate) fn is_plausible(time: Micros) -> bool {
    (631_152_000_000_000..=4_102_444_800_000_000).contains(&time)
}

#[expect(clippy::cast_precision_loss, reason = "counts of a sample")]
fn share(part: usize, whole: usize) -> f64 {
    part as f64 / whole.max(1) as f64
}
