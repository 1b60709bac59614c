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
const SAMPLE_ROWS: usize = 5_000;
/// Rows that are looked at of each later part of a file, where all of it is sampled, and how many at most.
const RUN_ROWS: usize = 100;
const SAMPLE_ROWS_MAX: usize = 20_000;
/// Numbers outside the middle of all by more than so many times its width are odd.
const ODD: f64 = 10.0;
/// Texts that are kept to be shown.
const EXAMPLES_MAX: usize = 3;
/// Of texts that are mostly numbers, at most this share may be something else.
const MISTYPED_MAX: f64 = 0.05;
/// Units of time since 1970, each with the numbers that stand for the years 1990 to 2100.
const EPOCHS: [(TimeFormat, f64); 4] =
    [(TimeFormat::Seconds, 1.0), (TimeFormat::Millis, 1e3), (TimeFormat::Micros, 1e6), (TimeFormat::Nanos, 1e9)];
/// Whole numbers up to this are told apart in a float.
const WHOLE_MAX: f64 = 9_007_199_254_740_992.0;
const YEAR_1990: f64 = 631_152_000.0;
const YEAR_2100: f64 = 4_102_444_800.0;

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FactKind {
    /// Numbers.
    Numeric,
    /// Texts.
    Categorical,
    /// Yes or no.
    Boolean,
    /// Times, in this format.
    Time(TimeFormat),
    /// Times of day, or how long something took.
    Span,
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
    /// Where its values are in records that are no flat rows, as pipeline files write it; its path is then how it would
    /// be called.
    pub(crate) place: Option<String>,
    /// The records with a value, where all rows of one share it.
    records: Option<usize>,
    /// Rows looked at.
    pub(crate) rows: usize,
    /// Rows with a value.
    pub(crate) n: usize,
    /// The finite numbers.
    values: Vec<f64>,
    pub(crate) examples: Vec<String>,
    distinct: BTreeSet<u64>,
    numbers: usize,
    whole: usize,
    /// Numbers that stand for the years 1990 to 2100, in each unit of [`EPOCHS`].
    epochs: [usize; EPOCHS.len()],
    /// The whole number before, and how many were one more than the one before them.
    last: Option<i128>,
    steps: usize,
    /// Whole numbers that are written with all their digits.
    digits: usize,
    /// Runs of rows that follow upon each other.
    runs: usize,
    truths: usize,
    times: usize,
    spans: usize,
    /// What the type of the column says, where it says enough.
    typed: Option<FactKind>,
    is_number: bool,
}

impl Facts {
    /// What the first rows of every column of a table show.
    pub(crate) fn of(table: &Table) -> Result<Vec<Self>> {
        Self::sample(table, false)
    }

    /// What every column of a table shows, in its first rows and some throughout.
    pub(crate) fn throughout(table: &Table) -> Result<Vec<Self>> {
        Self::sample(table, true)
    }

    fn sample(table: &Table, throughout: bool) -> Result<Vec<Self>> {
        let named = |column: &crate::table::TableColumn| Self {
            name: column.name.clone(),
            path: column.path.clone(),
            typed: column.data_type.is_nested().then_some(FactKind::Nested),
            ..Self::default()
        };
        let mut all: Vec<Self> = table.columns.iter().map(named).collect();
        let wanted: Vec<Wanted> = (0..all.len()).map(|column| Wanted { column, repeats: false }).collect();
        for chunk in table.chunks(&wanted)? {
            let chunk = chunk?;
            let seen = all.first().map_or(0, |facts| facts.rows);
            if chunk.rows == 0 {
                continue;
            }
            let n = if seen < SAMPLE_ROWS { SAMPLE_ROWS - seen } else { RUN_ROWS }.min(chunk.rows);
            if seen >= if throughout { SAMPLE_ROWS_MAX } else { SAMPLE_ROWS } {
                break;
            }
            // Of later parts the end, so that the last rows of a file are among those that are seen.
            let from = if seen < SAMPLE_ROWS { 0 } else { chunk.rows - n };
            all.iter_mut().zip(&chunk.arrays).for_each(|(facts, array)| facts.look(&array.slice(from, n)));
        }
        Ok(all)
    }

    /// Says how the column would be called, and of how many records its values are.
    pub(crate) fn at(&mut self, names: &[String], records: Option<usize>) {
        self.place = Some(self.name.clone());
        (self.path, self.records) = (names.to_vec(), records);
    }

    /// What it is called.
    pub(crate) fn label(&self) -> String {
        if self.place.is_some() { self.path.join(".") } else { self.name.clone() }
    }

    fn look(&mut self, array: &ArrayRef) {
        self.rows += array.len();
        self.last = None;
        self.runs += 1;
        let kind = array.data_type();
        self.typed = self.typed.or_else(|| of_type(kind));
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
        } else if self.typed.is_none() {
            cells::texts(array).iter().flatten().for_each(|text| self.text(text.trim()));
        }
    }

    fn number(&mut self, number: f64) {
        self.n += 1;
        self.numbers += 1;
        self.whole += usize::from(number.fract().abs() == 0.0);
        if number.is_finite() {
            self.values.push(number);
        }
        for (n, (_, scale)) in self.epochs.iter_mut().zip(EPOCHS) {
            *n += usize::from((YEAR_1990 * scale..=YEAR_2100 * scale).contains(&number));
        }
    }

    /// Notes a number among the different values, by its digits where they are more than a float holds.
    fn value(&mut self, text: &str, number: f64) {
        let whole: Option<i128> = text.parse().ok();
        self.digits += usize::from(whole.is_some());
        self.steps += usize::from(whole.zip(self.last).is_some_and(|(whole, last)| whole == last + 1));
        self.last = whole;
        let is_long = whole.is_some_and(|whole| whole.unsigned_abs() > 1 << 53);
        self.distinct.insert(if is_long { stable_hash(text.as_bytes()) } else { (number + 0.0).to_bits() });
    }

    fn text(&mut self, text: &str) {
        let number = text.parse::<f64>().ok();
        if let Some(number) = number.filter(|number| !number.is_nan()) {
            self.number(number);
            return self.value(text, number);
        }
        // NaN is how some writers spell nothing.
        if number.is_some() || cell::is_missing(text) {
            return;
        }
        self.n += 1;
        self.truths += usize::from(cell::word(text).is_some());
        let is_span = is_span(text);
        self.spans += usize::from(is_span);
        self.times += usize::from(!is_span && from_text(text.as_bytes()).is_some());
        let is_new = self.distinct.insert(stable_hash(cell::category(text).as_bytes()));
        if is_new && self.examples.len() < EXAMPLES_MAX {
            self.examples.push(text.to_owned());
        }
    }

    /// What the column holds.
    pub(crate) fn kind(&self) -> FactKind {
        match (self.n, self.typed) {
            (_, Some(FactKind::Nested)) => FactKind::Nested,
            (0, _) => FactKind::Empty,
            (_, Some(kind)) => kind,
            (n, None) => self.kind_of_values(n),
        }
    }

    fn kind_of_values(&self, n: usize) -> FactKind {
        match n {
            n if self.truths == n => FactKind::Boolean,
            n if self.truths == 0 && is_nearly(self.times, n) => FactKind::Time(TimeFormat::Rfc3339),
            n if is_nearly(self.spans, n) => FactKind::Span,
            _ if self.is_number || self.is_mostly_numbers() => FactKind::Numeric,
            _ => FactKind::Categorical,
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

    /// Lowest and highest number, without odd ones: those further from the middle 98 % than ten times its width.
    pub(crate) fn range(&self) -> Option<(f64, f64)> {
        let mut sorted = self.values.clone();
        sorted.sort_by(f64::total_cmp);
        let (first, last) = (*sorted.first()?, *sorted.last()?);
        let out = sorted.len() / 100;
        let (low, high) = (sorted[out], sorted[sorted.len() - 1 - out]);
        let reach = (high - low) * ODD;
        if reach <= 0.0 || !reach.is_finite() {
            return Some((first, last));
        }
        let is_usual = |value: &&f64| (low - reach..=high + reach).contains(*value);
        Some((*sorted.iter().find(is_usual)?, *sorted.iter().rev().find(is_usual)?))
    }

    /// The mean of the numbers.
    pub(crate) fn mean(&self) -> Option<f64> {
        #[expect(clippy::cast_precision_loss, reason = "counts of a sample")]
        let n = self.values.len() as f64;
        (n > 0.0).then(|| self.values.iter().sum::<f64>() / n)
    }

    /// The share of values that are no numbers.
    pub(crate) fn mistyped(&self) -> f64 {
        share(self.n - self.numbers, self.n)
    }

    /// Whether every number is one more than the one before, as row numbers are.
    pub(crate) fn counts_rows(&self) -> bool {
        self.n > 20 && self.steps + self.runs == self.n
    }

    /// Different values.
    pub(crate) fn n_distinct(&self) -> usize {
        self.distinct.len()
    }

    /// The two values of a column that has no others; numbers in order.
    pub(crate) fn two(&self) -> Option<[String; 2]> {
        let numbers =
            self.range().filter(|_| self.numbers == self.n).map(|(low, high)| [low.to_string(), high.to_string()]);
        let texts = || <[String; 2]>::try_from(self.examples.clone()).ok().filter(|_| self.numbers == 0);
        numbers.or_else(texts).filter(|_| self.n_distinct() == 2 && self.truths == 0)
    }

    /// Whether nearly every row has a value of its own, or every record where its rows share it.
    pub(crate) fn is_unique(&self) -> bool {
        self.n > 1 && share(self.distinct.len(), self.records.unwrap_or(self.n)) > 0.9
    }

    /// Whether nearly all values are whole numbers.
    pub(crate) fn is_whole(&self) -> bool {
        self.numbers > 0 && is_nearly(self.whole, self.n)
    }

    /// Whether nearly all values are whole numbers that are told apart from their neighbours.
    pub(crate) fn counts(&self) -> bool {
        let small = self.values.iter().filter(|value| value.abs() <= WHOLE_MAX).count();
        self.is_whole() && (is_nearly(self.digits, self.n) || is_nearly(small, self.n))
    }

    /// Whether nearly all values are numbers from `low` to `high`.
    pub(crate) fn is_within(&self, low: f64, high: f64) -> bool {
        let within = self.values.iter().filter(|value| (low..=high).contains(*value)).count();
        self.kind() == FactKind::Numeric && is_nearly(within, self.numbers)
    }

    /// What was seen, in words.
    pub(crate) fn describe(&self) -> String {
        let distinct = self.n_distinct();
        let what = match (self.kind(), self.range()) {
            (FactKind::Nested, _) => "lists or the like".to_owned(),
            (FactKind::Empty, _) => "no value".to_owned(),
            (FactKind::Time(_), _) => "times".to_owned(),
            (FactKind::Span, _) => "times of day, or durations".to_owned(),
            (FactKind::Boolean, _) => "true or false".to_owned(),
            (FactKind::Numeric, Some((low, high))) => {
                let noun = if self.is_whole() { "whole numbers" } else { "numbers" };
                format!("{noun} from {low} to {high}, {distinct} distinct")
            }
            (FactKind::Numeric, None) => "infinite numbers".to_owned(),
            _ if distinct == 1 => format!("always {}", self.examples.join("")),
            _ => format!("{distinct} distinct, such as {}", self.examples.join(", ")),
        };
        let missing = share(self.rows - self.n, self.rows);
        if self.n == 0 || missing < 0.005 { what } else { format!("{what}; {:.0} % missing", missing * 100.0) }
    }
}

/// What a type alone says of its values.
fn of_type(kind: &DataType) -> Option<FactKind> {
    match kind {
        DataType::Dictionary(..) => None,
        kind if kind.is_nested() => Some(FactKind::Nested),
        DataType::Time32(_) | DataType::Time64(_) | DataType::Duration(_) | DataType::Interval(_) => {
            Some(FactKind::Span)
        }
        kind => kind.is_temporal().then_some(FactKind::Time(TimeFormat::Rfc3339)),
    }
}

/// Whether a text is a time of day or a duration: `12:30`, `12:30:05.25`, `0 days 00:03:12`.
fn is_span(text: &str) -> bool {
    let clock = text.split_once(" days ").or_else(|| text.split_once(" day ")).map_or(text, |(_, clock)| clock);
    let parts: Vec<&str> = clock.trim_start_matches(['+', '-']).split(':').collect();
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let is_seconds = |part: &str| part.split('.').all(digits) && part.split('.').count() <= 2;
    match parts.as_slice() {
        [hours, minutes] => digits(hours) && digits(minutes) && minutes.len() == 2,
        [hours, minutes, seconds] => digits(hours) && digits(minutes) && minutes.len() == 2 && is_seconds(seconds),
        _ => false,
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// What is seen of a column of these cells, as they stand in JSON.
    fn facts(cells: &[String]) -> Facts {
        let lines = cells.iter().map(|cell| format!("{{\"x\":{cell},\"row\":1}}")).collect::<Vec<_>>().join("\n");
        let table = Table::of_lines(Path::new("sample.jsonl"), lines.into_bytes()).expect("a table");
        let at = table.find("x").expect("the column");
        Facts::of(&table).expect("facts").swap_remove(at)
    }

    fn texts(cells: &[&str]) -> Facts {
        facts(&cells.iter().map(|cell| format!("\"{cell}\"")).collect::<Vec<_>>())
    }

    fn numbers(n: u32, number: impl Fn(u32) -> f64) -> Facts {
        facts(&(0..n).map(|row| number(row).to_string()).collect::<Vec<_>>())
    }

    fn repeated(cell: &str, n: usize, odd: &[&str]) -> Facts {
        texts(&[vec![cell; n], odd.to_vec()].concat())
    }

    #[test]
    fn a_column_is_of_the_kind_that_nearly_all_its_cells_are() {
        let time = FactKind::Time(TimeFormat::Rfc3339);
        let cases: [(&[&str], FactKind); 14] = [
            (&["1", "2.5", "-1e3"], FactKind::Numeric),
            (&["1", "NA", "", "null"], FactKind::Numeric),
            (&["a", "b"], FactKind::Categorical),
            (&["1", "b"], FactKind::Categorical),
            (&["yes", "No", "T"], FactKind::Boolean),
            (&["true", "maybe"], FactKind::Categorical),
            (&["2026-01-02T03:04:05Z", "2026-01-02 03:04:05"], time),
            (&["2026-01-02", "later"], FactKind::Categorical),
            (&["12:30", "0 days 00:03:12", "-1:00:00.5"], FactKind::Span),
            (&["12:3", "12:30"], FactKind::Categorical),
            (&["12:30:05.", "a:30"], FactKind::Categorical),
            (&["inf", "-inf"], FactKind::Numeric),
            (&["NA", "-", "?"], FactKind::Empty),
            (&["nan", "NaN"], FactKind::Empty),
        ];
        for (cells, kind) in cases {
            assert_eq!(texts(cells).kind(), kind, "{cells:?}");
        }
    }

    #[test]
    fn few_odd_cells_change_no_kind_and_many_do() {
        assert_eq!(repeated("1.5", 95, &["x"; 5]).kind(), FactKind::Numeric, "5 % may be something else");
        assert_eq!(repeated("1.5", 94, &["x"; 6]).kind(), FactKind::Categorical);
        assert!((repeated("1.5", 95, &["x"; 5]).mistyped() - 0.05).abs() < 1e-12);
        let time = "2026-01-02T03:04:05Z";
        assert_eq!(repeated(time, 199, &["x"]).kind(), FactKind::Time(TimeFormat::Rfc3339), "one of two hundred");
        assert_eq!(repeated(time, 198, &["x"]).kind(), FactKind::Categorical);
        assert_eq!(repeated(time, 199, &["yes"]).kind(), FactKind::Categorical, "a word for yes is no time");
    }

    #[test]
    fn numbers_that_stand_for_times_have_a_unit() {
        let of = |start: f64| numbers(300, |row| start + f64::from(row)).epoch();
        assert_eq!(of(1_767_225_600.0), Some(TimeFormat::Seconds));
        assert_eq!(of(1_767_225_600e3), Some(TimeFormat::Millis));
        assert_eq!(of(1_767_225_600e6), Some(TimeFormat::Micros));
        assert_eq!(of(1_767_225_600e9), Some(TimeFormat::Nanos));
        assert_eq!(of(20_260_102.0), None, "a date written as a number");
        assert_eq!(texts(&["x"]).epoch(), None);
        assert!(is_plausible(631_152_000_000_000) && !is_plausible(631_151_999_999_999));
        assert!(is_plausible(4_102_444_800_000_000) && !is_plausible(4_102_444_800_000_001));
    }

    #[test]
    fn odd_numbers_are_outside_of_the_range() {
        assert_eq!(numbers(300, |row| if row < 2 { -999.0 } else { f64::from(row) }).range(), Some((-999.0, 299.0)));
        let sentinel = numbers(300, |row| if row < 2 { -9_999.0 } else { f64::from(row) });
        assert_eq!(sentinel.range(), Some((2.0, 299.0)), "further than ten times the width of the middle");
        assert_eq!(numbers(300, |row| if row == 9 { 1e6 } else { 7.0 }).range(), Some((7.0, 1e6)), "no width to go by");
        assert_eq!(numbers(1, |_| 4.0).range(), Some((4.0, 4.0)));
        assert_eq!(texts(&["a"]).range(), None);
        assert_eq!(numbers(4, f64::from).mean(), Some(1.5));
        assert_eq!(texts(&["a", "inf"]).mean(), None, "of infinite numbers there is no mean");
    }

    #[test]
    fn rows_that_are_numbered_count_one_by_one() {
        assert!(numbers(30, f64::from).counts_rows());
        assert!(!numbers(20, f64::from).counts_rows(), "too few to tell");
        assert!(!numbers(30, |row| f64::from(row * 2)).counts_rows());
        assert!(!numbers(30, |row| f64::from(row) + 0.5).counts_rows());
    }

    #[test]
    fn values_that_a_float_cannot_tell_apart_are_told_by_their_digits() {
        let long: Vec<String> = (0..50).map(|row| format!("{}", 9_007_199_254_740_993_u64 + row)).collect();
        let facts = facts(&long);
        assert_eq!(facts.n_distinct(), 50);
        assert!(facts.is_unique() && facts.counts() && facts.is_whole());
        let exponents = texts(&["1e300", "2e300"]);
        assert!(exponents.is_whole() && !exponents.counts(), "floats beyond 2^53 are no ids");
    }

    #[test]
    fn values_are_distinct_as_they_are_compared() {
        assert_eq!(texts(&["1", "1.0", "1e0"]).n_distinct(), 1);
        assert_eq!(texts(&["0", "-0"]).n_distinct(), 1);
        assert_eq!(texts(&["A", "a", "True", "TRUE"]).n_distinct(), 3);
        assert_eq!(texts(&["0", "1", "NaN", "nan"]).n_distinct(), 2, "NaN is how some writers spell nothing");
        assert!(texts(&["a", "b"]).is_unique() && !texts(&["a", "a"]).is_unique() && !texts(&["a"]).is_unique());
    }

    #[test]
    fn two_values_are_told_where_there_are_no_others() {
        let two = |cells: &[&str]| texts(cells).two().map(|[one, other]| format!("{one},{other}"));
        assert_eq!(two(&["2", "1", "2"]).as_deref(), Some("1,2"), "numbers in order");
        assert_eq!(two(&["good", "bad"]).as_deref(), Some("good,bad"), "texts as they came");
        assert_eq!(two(&["1", "-1", "NaN"]).as_deref(), Some("-1,1"));
        assert_eq!(two(&["yes", "no"]), None, "words for yes and no say so themselves");
        assert_eq!(two(&["a", "b", "c"]), None);
        assert_eq!(two(&["a", "1"]), None);
        assert_eq!(two(&["a"]), None);
    }

    #[test]
    fn a_description_says_what_was_seen() {
        let said = |cells: &[&str]| texts(cells).describe();
        assert_eq!(said(&["1", "2", "2"]), "whole numbers from 1 to 2, 2 distinct");
        assert_eq!(said(&["0.5", "2"]), "numbers from 0.5 to 2, 2 distinct");
        assert_eq!(said(&["a", "b", "a", "NA"]), "2 distinct, such as a, b; 25 % missing");
        assert_eq!(said(&["a", "a"]), "always a");
        assert_eq!(said(&["yes"]), "true or false");
        assert_eq!(said(&["12:30"]), "times of day, or durations");
        assert_eq!(said(&["2026-01-02"]), "times");
        assert_eq!(said(&["NA"]), "no value");
        assert_eq!(said(&["inf", "-inf"]), "infinite numbers");
        assert_eq!(facts(&["[1]".to_owned(), "[\"a\"]".to_owned()]).describe(), "lists or the like");
    }

    #[test]
    fn what_a_type_says_counts_more_than_values() {
        use arrow::datatypes::{Field, IntervalUnit};
        let list = DataType::List(std::sync::Arc::new(Field::new("item", DataType::Null, true)));
        for (kind, fact) in [
            (list, Some(FactKind::Nested)),
            (DataType::Date32, Some(FactKind::Time(TimeFormat::Rfc3339))),
            (DataType::Time32(arrow::datatypes::TimeUnit::Second), Some(FactKind::Span)),
            (DataType::Interval(IntervalUnit::DayTime), Some(FactKind::Span)),
            (DataType::Dictionary(Box::new(DataType::Int8), Box::new(DataType::Utf8)), None),
            (DataType::Utf8, None),
            (DataType::Int64, None),
        ] {
            assert_eq!(of_type(&kind), fact, "{kind}");
        }
    }
}
