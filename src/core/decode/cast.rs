//! Arrow columns of whatever type a file has to the types of a batch.
//!
//! A column that already has the right type is shared, not copied. A type that can never fit refuses the whole column; a
//! value that does not fit refuses its row. Values mean the same as in JSON: whole floats are integers, integers and
//! booleans can be categories. Numbers in text columns are read as numbers, because CSV knows nothing else.

use std::borrow::Cow;
use std::sync::Arc;

use arrow_array::cast::AsArray as _;
use arrow_array::types::{Float64Type, Int16Type, Int32Type, Int64Type};
use arrow_array::{
    AnyDictionaryArray, Array, ArrayRef, BooleanArray, Float64Array, Int16Array, Int64Array, StringArray, UInt64Array,
};
use arrow_cast::cast;
use arrow_schema::{DataType, TimeUnit};

use crate::batch::TextArray;
use crate::event::{Micros, Poison, stable_hash};
use crate::plan::TimeFormat;

use super::binding::{LABEL, Slot, blank_is_missing};
use super::flaw::Flaw;
use super::rows::{Columns, TextColumn};
use super::scanner::{bounded, status};
use super::time;
use super::validate::{Finding, Findings};

/// What a column should have been.
pub(super) type Mismatch = &'static str;

/// The conversion of one column.
pub(super) struct Cast<'a> {
    /// How people know the column.
    pub(super) name: &'a str,
    /// Where refused rows go.
    pub(super) findings: &'a mut Findings,
}

impl Cast<'_> {
    /// Converts a column and puts it where it belongs.
    pub(super) fn fill(&mut self, columns: &mut Columns, slot: Slot, array: &ArrayRef) -> Result<(), Mismatch> {
        match slot {
            Slot::Id => columns.id = self.ids(array)?,
            Slot::Entity => columns.entity = self.ids(array)?,
            Slot::Time(format) => columns.event_time = self.times(array, format)?,
            Slot::Text(column) => columns.texts[column] = self.texts(array, column, Spelling::Name)?,
            Slot::Class { column, binary } => {
                columns.texts[column] = self.texts(array, column, Spelling::Class { binary })?;
            }
            Slot::Number { column, factor } => columns.numbers[column] = scaled(self.numbers(array)?, factor),
            Slot::Truth => columns.numbers[LABEL] = self.truth(array)?,
            Slot::BestScore(column) => columns.numbers[column] = self.best_scores(array)?,
            Slot::BestClass(column) => columns.texts[column] = self.best_classes(array)?,
            Slot::Status => columns.status = self.statuses(array)?,
            Slot::Failed => columns.failed = failed(array)?,
        }
        Ok(())
    }

    fn refuse(&mut self, row: usize, flaw: &Flaw) {
        let detail = format!("{}: {}", self.name, flaw.what());
        self.findings.entry(row).or_insert(Finding { reason: flaw.reason(), detail });
    }

    /// The value of a row, or none and a finding.
    fn sound<T>(&mut self, row: usize, value: Result<T, Flaw>) -> Option<T> {
        value.map_err(|flaw| self.refuse(row, &flaw)).ok()
    }

    fn numbers(&mut self, array: &ArrayRef) -> Result<Float64Array, Mismatch> {
        match array.data_type() {
            DataType::Float64 => Ok(array.as_primitive::<Float64Type>().clone()),
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Ok(self.parsed(&strings(array))),
            DataType::Dictionary(_, values) => self.numbers(&unpacked(array, values)),
            kind if kind.is_numeric() || *kind == DataType::Null => {
                Ok(converted(array, &DataType::Float64).as_primitive().clone())
            }
            _ => Err("numbers"),
        }
    }

    fn parsed(&mut self, texts: &StringArray) -> Float64Array {
        let parse = |text: &str| text.trim().parse::<f64>().map_err(|_| Flaw::wrong_type("expected a number"));
        let texts = texts.iter().enumerate();
        texts
            .map(|(row, text)| text.filter(|text| !text.is_empty()).and_then(|text| self.sound(row, parse(text))))
            .collect()
    }

    fn truth(&mut self, array: &ArrayRef) -> Result<Float64Array, Mismatch> {
        match array.data_type() {
            DataType::Boolean => Ok(converted(array, &DataType::Float64).as_primitive().clone()),
            _ => self.numbers(array).map_err(|_| "numbers or booleans"),
        }
    }

    fn statuses(&mut self, array: &ArrayRef) -> Result<Int16Array, Mismatch> {
        if let Some(statuses) = array.as_primitive_opt::<Int16Type>() {
            return Ok(statuses.clone());
        }
        let numbers = self.numbers(array)?;
        Ok(numbers.iter().enumerate().map(|(row, value)| self.sound(row, status(value?))).collect())
    }

    fn ids(&mut self, array: &ArrayRef) -> Result<UInt64Array, Mismatch> {
        let texts = match array.data_type() {
            DataType::Dictionary(_, values) if is_text(values) => strings(&unpacked(array, values)),
            kind if is_text(kind) || kind.is_integer() => strings(array),
            _ => return Err("texts or integers"),
        };
        let present = texts.iter().enumerate().map(|(row, text)| (row, text.filter(|text| !text.is_empty())));
        Ok(present.map(|(row, text)| self.sound(row, bounded(text?.as_bytes()).map(stable_hash))).collect())
    }

    fn times(&mut self, array: &ArrayRef, format: TimeFormat) -> Result<Int64Array, Mismatch> {
        match array.data_type() {
            DataType::Timestamp(TimeUnit::Microsecond, _) => Ok(integers(array)),
            DataType::Timestamp(unit, _) => Ok(self.epochs(&integers(array), format_of(*unit))),
            DataType::Date32 | DataType::Date64 => {
                Ok(integers(&converted(array, &DataType::Timestamp(TimeUnit::Microsecond, None))))
            }
            kind if is_text(kind) => Ok(self.written(&strings(array), format)),
            kind if kind.is_numeric() && format == TimeFormat::Rfc3339 => Err("timestamps or RFC 3339 texts"),
            kind if kind.is_integer() => Ok(self.epochs(&integers(array), format)),
            DataType::Float32 | DataType::Float64 => {
                let values = self.numbers(array)?;
                let read = |value| time::from_float(value, format).ok_or_else(beyond);
                Ok(values.iter().enumerate().map(|(row, value)| self.sound(row, read(value?))).collect())
            }
            _ => Err("timestamps, epoch numbers or RFC 3339 texts"),
        }
    }

    fn epochs(&mut self, values: &Int64Array, format: TimeFormat) -> Int64Array {
        if format == TimeFormat::Micros {
            return values.clone();
        }
        let read = |value| time::from_integer(value, format).ok_or_else(beyond);
        values.iter().enumerate().map(|(row, value)| self.sound(row, read(value?))).collect()
    }

    fn written(&mut self, texts: &StringArray, format: TimeFormat) -> Int64Array {
        let read = |text: &str| {
            let time = time::from_rfc3339(text.as_bytes()).or_else(|| epoch_in(text, format));
            time.ok_or_else(|| Flaw::wrong_type("expected an RFC 3339 time or an epoch number"))
        };
        let texts = texts.iter().enumerate();
        texts
            .map(|(row, text)| text.filter(|text| !text.is_empty()).and_then(|text| self.sound(row, read(text))))
            .collect()
    }

    /// Spells every distinct value once; rows refer to it.
    fn texts(&mut self, array: &ArrayRef, column: usize, spelling: Spelling) -> Result<TextArray, Mismatch> {
        if let Some(texts) = ready(array, column) {
            return Ok(texts);
        }
        let dictionary = array.as_any_dictionary_opt();
        let values = dictionary.map_or(array, |dictionary| dictionary.values());
        let spelled = spelling.spell(values)?;
        let mut texts = TextColumn::default();
        let keys = dictionary.filter(|_| !values.is_empty()).map(AnyDictionaryArray::normalized_keys);
        for row in (0..array.len()).filter(|&row| array.is_valid(row)) {
            let value = keys.as_ref().map_or(row, |keys| keys[row]);
            let Some(text) = spelled.get(value) else { continue };
            let text = text.as_ref().map_err(Flaw::clone).and_then(|text| bounded(text.as_bytes()));
            if let Some(text) = self.sound(row, text).filter(|text| !(text.is_empty() && blank_is_missing(column))) {
                texts.put(row, text);
            }
        }
        Ok(texts.finish(array.len()))
    }

    /// For each row the position and value of the largest field of an object of scores.
    fn best(&mut self, array: &ArrayRef) -> Result<Vec<Option<(usize, f64)>>, Mismatch> {
        let object = array.as_struct_opt().ok_or("an object of class to score")?;
        let classes: Vec<Float64Array> =
            object.columns().iter().map(|column| self.numbers(column)).collect::<Result<_, _>>()?;
        Ok((0..array.len()).map(|row| argmax(&classes, row).filter(|_| array.is_valid(row))).collect())
    }

    fn best_scores(&mut self, array: &ArrayRef) -> Result<Float64Array, Mismatch> {
        Ok(self.best(array)?.into_iter().map(|best| best.map(|(_, score)| score)).collect())
    }

    fn best_classes(&mut self, array: &ArrayRef) -> Result<TextArray, Mismatch> {
        let names = array.as_struct_opt().map(|object| object.column_names()).unwrap_or_default();
        Ok(self.best(array)?.into_iter().map(|best| best.map(|(class, _)| names[class])).collect())
    }
}

/// The first of the largest values of a row and its position.
fn argmax(classes: &[Float64Array], row: usize) -> Option<(usize, f64)> {
    let values =
        classes.iter().enumerate().filter(|(_, column)| column.is_valid(row)).map(|(i, column)| (i, column.value(row)));
    values.reduce(|best, next| if next.1 > best.1 { next } else { best })
}

/// How values that are not texts are spelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Spelling {
    /// Whole numbers and booleans only.
    Name,
    /// Any number; booleans of a binary task are "1" and "0".
    Class { binary: bool },
}

/// Values as they are spelled.
enum Spelled {
    Texts(StringArray),
    Numbers(Float64Array, Spelling),
}

impl Spelling {
    fn spell(self, values: &ArrayRef) -> Result<Spelled, Mismatch> {
        match values.data_type() {
            DataType::Boolean if self == (Self::Class { binary: true }) => {
                Ok(Spelled::Texts(strings(&converted(values, &DataType::Int8))))
            }
            kind if is_text(kind) || kind.is_integer() || matches!(kind, DataType::Boolean | DataType::Null) => {
                Ok(Spelled::Texts(strings(values)))
            }
            kind if kind.is_floating() => {
                Ok(Spelled::Numbers(converted(values, &DataType::Float64).as_primitive().clone(), self))
            }
            _ => Err("texts, integers or booleans"),
        }
    }
}

impl Spelled {
    /// One value; none for null and for NaN, which is how some writers spell null.
    fn get(&self, i: usize) -> Option<Result<Cow<'_, str>, Flaw>> {
        match self {
            Self::Texts(texts) => texts.is_valid(i).then(|| Ok(Cow::Borrowed(texts.value(i)))),
            Self::Numbers(values, spelling) => {
                let value = Some(values.value(i)).filter(|value| values.is_valid(i) && !value.is_nan())?;
                let is_name = value.fract() == 0.0 || *spelling != Spelling::Name;
                Some(if is_name {
                    Ok(Cow::Owned(value.to_string()))
                } else {
                    Err(Flaw::wrong_type("expected a text or a whole number, found a fraction"))
                })
            }
        }
    }
}

/// A dictionary whose every text may stand in a batch as it is; it is shared, not copied.
fn ready(array: &ArrayRef, column: usize) -> Option<TextArray> {
    let texts = array.as_dictionary_opt::<Int32Type>()?;
    let names = texts.values().as_string_opt::<i32>()?;
    let fits = |name: &str| bounded(name.as_bytes()).is_ok() && !(name.is_empty() && blank_is_missing(column));
    let all_fit = names.len() <= texts.len() && names.iter().all(|name| name.is_some_and(fits));
    all_fit.then(|| texts.clone())
}

fn failed(array: &ArrayRef) -> Result<BooleanArray, Mismatch> {
    match array.data_type() {
        DataType::Boolean => Ok(array.as_boolean().clone()),
        DataType::Null => Ok(BooleanArray::new_null(array.len())),
        DataType::Dictionary(_, values) if is_text(values) => failed(&unpacked(array, values)),
        kind if is_text(kind) => Ok(strings(array).iter().map(|text| text.map(|text| !text.is_empty())).collect()),
        _ => Err("booleans or texts"),
    }
}

fn scaled(values: Float64Array, factor: f64) -> Float64Array {
    #[expect(clippy::float_cmp, reason = "exactly one means untouched")]
    if factor == 1.0 { values } else { values.unary(|value| value * factor) }
}

fn is_text(kind: &DataType) -> bool {
    matches!(kind, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

fn format_of(unit: TimeUnit) -> TimeFormat {
    match unit {
        TimeUnit::Second => TimeFormat::Seconds,
        TimeUnit::Millisecond => TimeFormat::Millis,
        TimeUnit::Microsecond => TimeFormat::Micros,
        TimeUnit::Nanosecond => TimeFormat::Nanos,
    }
}

/// An epoch number in a text.
fn epoch_in(text: &str, format: TimeFormat) -> Option<Micros> {
    match text.parse::<i64>() {
        Ok(value) => time::from_integer(value, format),
        Err(_) => time::from_float(text.parse().ok()?, format),
    }
}

fn beyond() -> Flaw {
    Flaw::new(Poison::AbsurdTime, "a time beyond 64-bit microseconds")
}

/// Between types for which Arrow always has a conversion; what does not fit becomes null.
fn converted(array: &ArrayRef, to: &DataType) -> ArrayRef {
    if array.data_type() == to {
        Arc::clone(array)
    } else {
        cast(array, to).expect("the type was checked to be convertible")
    }
}

fn strings(array: &ArrayRef) -> StringArray {
    converted(array, &DataType::Utf8).as_string().clone()
}

fn integers(array: &ArrayRef) -> Int64Array {
    converted(array, &DataType::Int64).as_primitive::<Int64Type>().clone()
}

/// A dictionary column as a plain one.
fn unpacked(array: &ArrayRef, values: &DataType) -> ArrayRef {
    converted(array, values)
}
