//! Arrow columns of whatever type a file has to the types of a batch.
//!
//! A column that already has the right type is shared, not copied. A type that can never fit refuses the whole column;
//! a value that does not fit refuses its row. What a cell means is said in [`cell`], for all formats alike.

use arrow_array::cast::AsArray as _;
use arrow_array::types::{Float64Type, Int16Type, Int32Type};
use arrow_array::{
    AnyDictionaryArray, Array, ArrayRef, BooleanArray, Float64Array, Int16Array, Int64Array, StringArray, UInt64Array,
};
use arrow_schema::{DataType, TimeUnit};

use crate::batch::TextArray;
use crate::event::{Poison, stable_hash};
use crate::plan::TimeFormat;

use super::binding::{LABEL, ROW_NUMBER, Slot, SourceLayout, blank_is_missing, is_category};
use super::cell::{self, Classes};
use super::flaw::Flaw;
use super::plain::{dates, floats, integers, is_text, plain, strings};
use super::rows::{ColumnBuilders, TextColumn};
use super::slots::{bounded, row_number, status};
use super::time;
use super::validate::{Findings, RowRefusal};

/// What scores of classes should be.
const SCORES: &str = "an object of class to score, or a list of scores";

/// What a column should have been.
pub(super) type Mismatch = &'static str;

/// The conversion of one column.
pub(super) struct Cast<'a> {
    /// How people know the column.
    pub(super) name: &'a str,
    /// How values of the source are read.
    pub(super) layout: &'a SourceLayout,
    /// Where refused rows go.
    pub(super) findings: &'a mut Findings,
}

impl Cast<'_> {
    /// Converts a column and puts it where it belongs.
    pub(super) fn fill(&mut self, columns: &mut ColumnBuilders, slot: Slot, array: &ArrayRef) -> Result<(), Mismatch> {
        match slot {
            Slot::Id => columns.id = self.ids(array)?,
            Slot::Entity => columns.entity = self.ids(array)?,
            Slot::Producer => columns.producer = self.ids(array)?,
            Slot::Time(format) => columns.event_time = self.times(array, format)?,
            Slot::TruthName(column) => {
                columns.texts[column] = self.texts(array, column, |text| Some(cell::truth_name(text)))?;
            }
            Slot::Text(column) if is_category(column) => {
                columns.texts[column] = self.texts(array, column, |text| Some(cell::category(text)))?;
            }
            Slot::Text(column) => columns.texts[column] = self.texts(array, column, |text| Some(text))?,
            Slot::Class { column, binary } => {
                let classes = Classes { binary, positive: &self.layout.positive };
                columns.texts[column] = self.texts(array, column, |text| classes.class(text))?;
            }
            Slot::Number { column, factor } => columns.numbers[column] = scaled(self.numbers(array)?, factor),
            Slot::Truth => columns.numbers[LABEL] = self.truth(array)?,
            Slot::BestScore(column) => columns.numbers[column] = self.best_scores(array)?,
            Slot::BestClass(column) => columns.texts[column] = self.best_classes(array)?,
            Slot::Status => columns.status = self.statuses(array)?,
            Slot::Failed => columns.failed = failures(array)?,
            // Conditions are looked at apart, and parts were taken before.
            Slot::Condition(_) | Slot::Part | Slot::Rows => {}
            Slot::Row => columns.numbers[ROW_NUMBER] = self.row_numbers(array)?,
        }
        Ok(())
    }

    fn refuse(&mut self, row: usize, flaw: &Flaw) {
        let detail = format!("{}: {}", self.name, flaw.what());
        self.findings.entry(row).or_insert(RowRefusal { reason: flaw.reason(), detail });
    }

    /// The value of a row, or none and a finding.
    fn sound<T>(&mut self, row: usize, value: Result<T, Flaw>) -> Option<T> {
        value.map_err(|flaw| self.refuse(row, &flaw)).ok()
    }

    fn numbers(&mut self, array: &ArrayRef) -> Result<Float64Array, Mismatch> {
        match array.data_type() {
            DataType::Float64 => Ok(array.as_primitive::<Float64Type>().clone()),
            DataType::Dictionary(..) => self.numbers(&plain(array)),
            kind if is_text(kind) => Ok(self.read(&strings(array), cell::numeric)),
            kind if kind.is_numeric() || matches!(kind, DataType::Boolean | DataType::Null) => Ok(floats(array)),
            _ => Err("numbers"),
        }
    }

    /// What the texts of a column stand for.
    fn read<T, A>(&mut self, texts: &StringArray, meaning: impl Fn(&str) -> Result<Option<T>, Flaw>) -> A
    where
        A: FromIterator<Option<T>>,
    {
        let texts = texts.iter().enumerate();
        texts.map(|(row, text)| text.and_then(|text| self.sound(row, meaning(text)).flatten())).collect()
    }

    fn truth(&mut self, array: &ArrayRef) -> Result<Float64Array, Mismatch> {
        let array = plain(array);
        let classes = Classes { binary: true, positive: &self.layout.positive };
        if is_text(array.data_type()) || !self.layout.positive.is_empty() {
            let texts = spelled(&array).ok_or("numbers, booleans or texts")?;
            return Ok(self.read(&texts, |text| classes.label(text).map_err(Flaw::wrong_type)));
        }
        self.numbers(&array).map_err(|_| "numbers, booleans or texts")
    }

    fn row_numbers(&mut self, array: &ArrayRef) -> Result<Float64Array, Mismatch> {
        let numbers = self.numbers(array)?;
        Ok(numbers.iter().enumerate().map(|(row, value)| self.sound(row, row_number(value?))).collect())
    }

    fn statuses(&mut self, array: &ArrayRef) -> Result<Int16Array, Mismatch> {
        if !self.layout.ok.is_empty() {
            let texts = spelled(&plain(array)).ok_or("texts, numbers or booleans")?;
            return Ok(texts.iter().map(|text| cell::named_status(text?, &self.layout.ok)).collect());
        }
        if let Some(statuses) = array.as_primitive_opt::<Int16Type>() {
            return Ok(statuses.clone());
        }
        let numbers = self.numbers(array)?;
        Ok(numbers.iter().enumerate().map(|(row, value)| self.sound(row, status(value?))).collect())
    }

    fn ids(&mut self, array: &ArrayRef) -> Result<UInt64Array, Mismatch> {
        let array = plain(array);
        let hash = |text: &str| {
            let id = cell::id(text);
            if id.is_empty() { Ok(None) } else { bounded(id.as_bytes()).map(stable_hash).map(Some) }
        };
        match array.data_type() {
            kind if kind.is_floating() => {
                let values = self.numbers(&array)?;
                let read = |value| Ok(cell::id_of(value)?.map(|id| stable_hash(id.as_bytes())));
                Ok(values.iter().enumerate().map(|(row, value)| self.sound(row, read(value?)).flatten()).collect())
            }
            kind if is_text(kind) || kind.is_numeric() => Ok(self.read(&strings(&array), hash)),
            _ => Err("texts or integers"),
        }
    }

    fn times(&mut self, array: &ArrayRef, format: TimeFormat) -> Result<Int64Array, Mismatch> {
        let clock = self.layout.clock.as_ref();
        match array.data_type() {
            DataType::Timestamp(TimeUnit::Microsecond, Some(_)) => Ok(integers(array)),
            DataType::Timestamp(unit, Some(_)) => Ok(self.epochs(&integers(array), format_of(*unit))),
            DataType::Timestamp(unit, None) => {
                let shown = self.epochs(&integers(array), format_of(*unit));
                Ok(self.local(shown))
            }
            DataType::Date32 | DataType::Date64 => Ok(self.local(dates(array))),
            DataType::Dictionary(..) => self.times(&plain(array), format),
            kind if is_text(kind) => Ok(self.read(&strings(array), |text| cell::dated(text, format, clock))),
            kind if kind.is_numeric() && format == TimeFormat::Rfc3339 => Err("timestamps or written times"),
            kind if kind.is_integer() => Ok(self.epochs(&integers(array), format)),
            DataType::Float32 | DataType::Float64 => {
                let values = self.numbers(array)?;
                let read = |value| time::from_float(value, format).ok_or_else(beyond);
                Ok(values.iter().enumerate().map(|(row, value)| self.sound(row, read(value?))).collect())
            }
            _ => Err("timestamps, epoch numbers or written times"),
        }
    }

    /// Times that have no zone, by the clock that they are from.
    fn local(&self, shown: Int64Array) -> Int64Array {
        match &self.layout.clock {
            Some(clock) => shown.unary(|shown| clock.time_of(shown)),
            None => shown,
        }
    }

    fn epochs(&mut self, values: &Int64Array, format: TimeFormat) -> Int64Array {
        if format == TimeFormat::Micros {
            return values.clone();
        }
        let read = |value| time::from_integer(value, format).ok_or_else(beyond);
        values.iter().enumerate().map(|(row, value)| self.sound(row, read(value?))).collect()
    }

    /// Spells every distinct value once; rows refer to it. `meaning` says how a text is compared.
    fn texts(
        &mut self,
        array: &ArrayRef,
        column: usize,
        meaning: impl Fn(&str) -> Option<&str>,
    ) -> Result<TextArray, Mismatch> {
        if let Some(texts) = ready(array, column, &meaning) {
            return Ok(texts);
        }
        let dictionary = array.as_any_dictionary_opt();
        let values = dictionary.map_or(array, |dictionary| dictionary.values());
        let spelled = spelled(values).ok_or("texts, numbers or booleans")?;
        let mut texts = TextColumn::default();
        let keys = dictionary.filter(|_| !values.is_empty()).map(AnyDictionaryArray::normalized_keys);
        for row in (0..array.len()).filter(|&row| array.is_valid(row)) {
            let value = keys.as_ref().map_or(row, |keys| keys[row]);
            let text = spelled.is_valid(value).then(|| meaning(spelled.value(value))).flatten();
            let text = text.and_then(|text| self.sound(row, bounded(text.as_bytes())));
            if let Some(text) = text.filter(|text| !(text.is_empty() && blank_is_missing(column))) {
                texts.put(row, text);
            }
        }
        Ok(texts.finish(array.len()))
    }

    /// For each row the position and value of the largest score of an object or a list.
    fn best(&mut self, array: &ArrayRef) -> Result<Vec<Option<(usize, f64)>>, Mismatch> {
        let Some(object) = array.as_struct_opt() else {
            let lists = lists(array).ok_or(SCORES)?;
            self.refuse_no_lists(array, &lists);
            return Ok(lists.into_iter().map(|list| cell::top(list?.into_iter().enumerate())).collect());
        };
        let classes: Vec<Float64Array> =
            object.columns().iter().map(|column| self.numbers(column)).collect::<Result<_, _>>()?;
        let scores = |row: usize| {
            let there = classes.iter().enumerate().filter(move |(_, class)| class.is_valid(row));
            there.map(move |(at, class)| (at, class.value(row)))
        };
        Ok((0..array.len()).map(|row| cell::top(scores(row)).filter(|_| array.is_valid(row))).collect())
    }

    /// Refuses texts that are no lists.
    fn refuse_no_lists(&mut self, array: &ArrayRef, lists: &[Option<Vec<f64>>]) {
        let array = plain(array);
        let texts = is_text(array.data_type()).then(|| strings(&array));
        for (row, text) in texts.iter().flatten().enumerate().filter(|(row, _)| lists[*row].is_none()) {
            if text.is_some_and(|text| !cell::is_missing(text)) {
                self.refuse(row, &Flaw::wrong_type(SCORES));
            }
        }
    }

    fn best_scores(&mut self, array: &ArrayRef) -> Result<Float64Array, Mismatch> {
        Ok(self.best(array)?.into_iter().map(|best| best.map(|(_, score)| score)).collect())
    }

    fn best_classes(&mut self, array: &ArrayRef) -> Result<TextArray, Mismatch> {
        let best = self.best(array)?;
        let most = best.iter().flatten().map(|(class, _)| class + 1).max().unwrap_or_default();
        let names: Vec<String> = match array.as_struct_opt() {
            Some(object) => object.column_names().into_iter().map(str::to_owned).collect(),
            None => (0..most).map(|class| class.to_string()).collect(),
        };
        Ok(best.into_iter().map(|best| best.map(|(class, _)| names[class].as_str())).collect())
    }
}

/// Lists of numbers, also those that are written as texts; none where one of the numbers is missing.
#[must_use]
pub fn lists(array: &ArrayRef) -> Option<Vec<Option<Vec<f64>>>> {
    let array = &plain(array);
    let numbers = |list: ArrayRef| match list.data_type() {
        kind if is_text(kind) => strings(&list).iter().map(|text| cell::number(text?)).collect(),
        kind if kind.is_numeric() => floats(&list).iter().collect(),
        _ => None,
    };
    let value = |list: Option<ArrayRef>| list.and_then(numbers);
    match array.data_type() {
        DataType::List(_) => Some(array.as_list::<i32>().iter().map(value).collect()),
        DataType::LargeList(_) => Some(array.as_list::<i64>().iter().map(value).collect()),
        DataType::FixedSizeList(..) => Some(array.as_fixed_size_list().iter().map(value).collect()),
        kind if is_text(kind) => Some(strings(array).iter().map(|text| cell::list(text?)).collect()),
        _ => None,
    }
}

/// Values as texts; none for types that have no such thing. NaN is null: it is how some writers spell it.
pub(super) fn spelled(values: &ArrayRef) -> Option<StringArray> {
    match values.data_type() {
        kind if kind.is_floating() => Some(floats(values).iter().map(|number| cell::named(number?)).collect()),
        kind if is_text(kind) || kind.is_numeric() || matches!(kind, DataType::Boolean | DataType::Null) => {
            Some(strings(values))
        }
        _ => None,
    }
}

/// A dictionary whose every text may stand in a batch as it is; it is shared, not copied.
fn ready(array: &ArrayRef, column: usize, meaning: impl Fn(&str) -> Option<&str>) -> Option<TextArray> {
    let texts = array.as_dictionary_opt::<Int32Type>()?;
    let names = texts.values().as_string_opt::<i32>()?;
    let fits = |name: &str| {
        let is_name = bounded(name.as_bytes()).is_ok() && !(name.is_empty() && blank_is_missing(column));
        is_name && meaning(name) == Some(name)
    };
    let all_fit = names.len() <= texts.len() && names.iter().all(|name| name.is_some_and(fits));
    all_fit.then(|| texts.clone())
}

fn failures(array: &ArrayRef) -> Result<BooleanArray, Mismatch> {
    let array = plain(array);
    match array.data_type() {
        DataType::Boolean => Ok(array.as_boolean().clone()),
        kind if is_text(kind) => Ok(strings(&array).iter().map(|text| text.map(cell::is_failure)).collect()),
        kind if kind.is_numeric() || *kind == DataType::Null => {
            Ok(floats(&array).iter().map(|code| code.map(cell::is_failure_code)).collect())
        }
        _ => Err("booleans, texts or numbers"),
    }
}

fn scaled(values: Float64Array, factor: f64) -> Float64Array {
    #[expect(clippy::float_cmp, reason = "exactly one means untouched")]
    if factor == 1.0 { values } else { values.unary(|value| value * factor) }
}

fn format_of(unit: TimeUnit) -> TimeFormat {
    match unit {
        TimeUnit::Second => TimeFormat::Seconds,
        TimeUnit::Millisecond => TimeFormat::Millis,
        TimeUnit::Microsecond => TimeFormat::Micros,
        TimeUnit::Nanosecond => TimeFormat::Nanos,
    }
}

fn beyond() -> Flaw {
    Flaw::new(Poison::AbsurdTime, "a time beyond 64-bit microseconds")
}
