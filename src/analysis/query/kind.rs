//! What the cells of a column are to a query. Parquet and Arrow say so. CSV and JSON give texts: a column is of the
//! first kind below that all its cells are of, as [`cell`] reads them, so no value is lost by it.

use std::sync::Arc;

use arrow::array::{
    Array as _, ArrayRef, BooleanArray, Date32Array, Int64Array, StringArray, TimestampMicrosecondArray,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, TimeUnit};

use crate::decode::cell;
use crate::event::{Micros, SECOND};
use crate::plan::TimeFormat;
use crate::table::cells;

const DAY: Micros = 86_400 * SECOND;
/// Letters of a date without a time of day.
const DATE_CHARS: usize = 10;

/// What a column holds.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum ColumnType {
    /// As the file says.
    Given(DataType),
    /// True and false, in any case.
    Truth,
    /// Whole numbers.
    Whole,
    /// Numbers, also NaN and infinite ones.
    Number,
    /// Days.
    Date,
    /// Times; those without a zone are in UTC.
    Time,
    /// Whatever is written.
    Text,
}

/// What has been seen of a column.
#[derive(Debug, Clone)]
pub(super) struct ObservedTypes {
    /// Whether files say what their columns hold, and what they have said.
    is_given: bool,
    given: Vec<DataType>,
    /// Which kinds all cells are of, in their order.
    fits: [bool; TEXT_KINDS.len()],
    has_values: bool,
}

/// What texts may be, and whether one is.
type TextKind = (ColumnType, fn(&str) -> bool);

/// From the narrowest to the widest; of two the first that fits is meant.
const TEXT_KINDS: [TextKind; 5] = [
    (ColumnType::Truth, |text| text.eq_ignore_ascii_case("true") || text.eq_ignore_ascii_case("false")),
    (ColumnType::Whole, |text| text.parse::<i64>().is_ok()),
    (ColumnType::Number, |text| cell::number(text).is_some() && !is_long(text)),
    (ColumnType::Date, |text| text.len() <= DATE_CHARS && cell::instant(text, TimeFormat::Rfc3339).is_some()),
    (ColumnType::Time, |text| cell::instant(text, TimeFormat::Rfc3339).is_some()),
];

/// Whether a text is a whole number that a float would round.
fn is_long(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    digits.len() > 15 && digits.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<i64>().is_err()
}

impl ObservedTypes {
    /// Of nothing yet.
    pub(super) fn new(is_given: bool) -> Self {
        Self { is_given, given: Vec::new(), fits: [true; TEXT_KINDS.len()], has_values: false }
    }

    /// Takes more cells.
    pub(super) fn take(&mut self, array: &ArrayRef) {
        if array.null_count() == array.len() {
            return;
        }
        if !self.given.contains(array.data_type()) {
            self.given.push(array.data_type().clone());
        }
        for text in cells::texts(array).iter().flatten().map(str::trim).filter(|text| !cell::is_missing(text)) {
            self.has_values = true;
            for (fits, (_, is_one)) in self.fits.iter_mut().zip(&TEXT_KINDS) {
                *fits = *fits && is_one(text);
            }
        }
    }

    /// What the column holds.
    pub(super) fn kind(&self) -> ColumnType {
        if let (true, [given]) = (self.is_given, self.given.as_slice()) {
            return ColumnType::Given(given.clone());
        }
        let first = self.fits.iter().position(|fits| *fits).filter(|_| self.has_values);
        first.map_or(ColumnType::Text, |at| TEXT_KINDS[at].0.clone())
    }
}

impl ColumnType {
    pub(super) fn data_type(&self) -> DataType {
        match self {
            Self::Given(given) => given.clone(),
            Self::Truth => DataType::Boolean,
            Self::Whole => DataType::Int64,
            Self::Number => DataType::Float64,
            Self::Date => DataType::Date32,
            Self::Time => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            Self::Text => DataType::Utf8,
        }
    }

    /// Cells as values of this kind; those that are missing are null.
    pub(super) fn of(&self, array: &ArrayRef) -> ArrayRef {
        let instants = || cells::times(array, TimeFormat::Rfc3339);
        match self {
            Self::Given(given) if given == array.data_type() => Arc::clone(array),
            Self::Given(given) => {
                cast(array, given).unwrap_or_else(|_| arrow::array::new_null_array(given, array.len()))
            }
            Self::Truth => Arc::new(read(array, cell::word).collect::<BooleanArray>()),
            Self::Whole => Arc::new(read(array, |text| text.trim().parse().ok()).collect::<Int64Array>()),
            Self::Number => Arc::new(cells::numbers(array).0),
            Self::Date => {
                let day = |time: Micros| i32::try_from(time.div_euclid(DAY)).ok();
                Arc::new(instants().iter().map(|time| day(time?)).collect::<Date32Array>())
            }
            Self::Time => Arc::new(instants().iter().collect::<TimestampMicrosecondArray>().with_timezone("UTC")),
            Self::Text => Arc::new(cells::texts(array)),
        }
    }
}

/// Reads the texts of a column.
fn read<T>(array: &ArrayRef, meaning: impl Fn(&str) -> Option<T>) -> impl Iterator<Item = Option<T>> {
    let texts: StringArray = cells::texts(array);
    (0..texts.len()).map(move |row| texts.is_valid(row).then(|| meaning(texts.value(row))).flatten())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(cells: &[&str]) -> ColumnType {
        let mut seen = ObservedTypes::new(false);
        seen.take(&(Arc::new(StringArray::from(cells.to_vec())) as ArrayRef));
        seen.kind()
    }

    #[test]
    fn a_column_is_what_all_its_cells_are() {
        assert_eq!(kind(&["True", "FALSE", "NA"]), ColumnType::Truth);
        assert_eq!(kind(&["1", "-2", ""]), ColumnType::Whole);
        assert_eq!(kind(&["1", "2.5", "NaN", "-Infinity"]), ColumnType::Number);
        assert_eq!(kind(&["1", "true"]), ColumnType::Number, "a truth value among numbers");
        assert_eq!(kind(&["2024-02-29", "1970/01/01"]), ColumnType::Date);
        assert_eq!(kind(&["2024-02-29", "2024-02-29 12:00+02"]), ColumnType::Time);
        assert_eq!(kind(&["yes", "no"]), ColumnType::Text, "a word that is no truth value everywhere");
        assert_eq!(kind(&["1", "x"]), ColumnType::Text);
        assert_eq!(kind(&["18446744073709551616", "1"]), ColumnType::Text, "digits that a float would round");
        assert_eq!(kind(&["", "null"]), ColumnType::Text);
    }

    #[test]
    fn cells_are_read_as_their_kind() {
        let texts: ArrayRef = Arc::new(StringArray::from(vec![Some("True"), Some("false"), Some("-"), None]));
        let truths: ArrayRef = Arc::new(BooleanArray::from(vec![Some(true), Some(false), None, None]));
        assert_eq!(ColumnType::Truth.of(&texts).as_ref(), truths.as_ref());
        let texts: ArrayRef = Arc::new(StringArray::from(vec!["1969-12-31", "1970-01-02"]));
        assert_eq!(
            ColumnType::Date.of(&texts).as_ref(),
            (Arc::new(Date32Array::from(vec![-1, 1])) as ArrayRef).as_ref()
        );
    }
}
