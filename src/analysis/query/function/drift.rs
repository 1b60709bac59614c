//! `drift_psi(value, is_current)` and its like: a raw column of two sides compared, as an aggregate.
//!
//! The baseline's rows are cut as a reference is (fine bins and quantiles of its values, or its categories), the
//! current ones are counted with these cuts, and the engine's metric says how far they are apart. All values are kept
//! until then, within the memory that queries have. `drift_ks_p` and its like hand the rows themselves to a test.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray as _};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef, Float64Type};
use datafusion::common::ScalarValue;
use datafusion::error::Result;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{Accumulator, AggregateUDFImpl, Signature, Volatility};
use serde::{Deserialize, Serialize};

use super::known::{self, RowTest};
use super::{Aggregate, STATE, number, unfit, wrong};
use crate::baseline::builder::CATEGORIES_MAX;
use crate::baseline::cut;
use crate::decode::cell;
use crate::metric::{self, Context, Metric, Reads, Side};
use crate::summary::{Category, Histogram};
use crate::table::cells;

/// Fine bins of a numeric column.
const FINE_BINS: u16 = 1040;

/// The function of a metric.
pub(super) fn function(metric: &'static dyn Metric) -> Aggregate {
    named(format!("drift_{}", metric.spec().name), Statistic::Metric(metric.spec().name))
}

/// The function of a test over rows.
pub(super) fn test(&(name, _): &(&'static str, RowTest)) -> Aggregate {
    named(name.to_owned(), Statistic::Test(name))
}

fn named(name: String, asked: Statistic) -> Aggregate {
    Aggregate::from(DriftFunction { name, asked, signature: Signature::any(2, Volatility::Immutable) })
}

/// What is asked of the two sides, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Statistic {
    Metric(&'static str),
    Test(&'static str),
}

impl Statistic {
    fn metric(self) -> Option<&'static dyn Metric> {
        if let Self::Metric(name) = self { metric::find(name) } else { None }
    }

    fn test(self) -> Option<RowTest> {
        if let Self::Test(name) = self { known::of_rows(name) } else { None }
    }

    /// Whether names can be compared, too.
    fn takes_text(self) -> bool {
        self.metric().is_some_and(|metric| metric.spec().reads == Reads::Column)
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct DriftFunction {
    name: String,
    asked: Statistic,
    signature: Signature,
}

impl AggregateUDFImpl for DriftFunction {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        let fits = arguments[0].is_numeric() || (is_text(&arguments[0]) && self.asked.takes_text());
        if fits && matches!(arguments[1], DataType::Boolean) {
            return Ok(DataType::Float64);
        }
        let kinds = if self.asked.takes_text() { "a number or a text" } else { "a number" };
        let name = &self.name;
        Err(wrong(format!(
            "{name}(value, is_current) takes {kinds} and a condition, such as {name}(amount, version = 'v2')"
        )))
    }

    fn accumulator(&self, arguments: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        let is_text = arguments.expr_fields.first().is_some_and(|field| is_text(field.data_type()));
        let (no_names, no_numbers) = ([const { BTreeMap::new() }; 2], [const { Vec::new() }; 2]);
        let sides = if is_text { Sides::Names(no_names) } else { Sides::Numbers(no_numbers) };
        Ok(Box::new(Comparing { asked: self.asked, sides }))
    }

    fn state_fields(&self, _: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        Ok(vec![Arc::new(Field::new("sides", STATE, true))])
    }
}

/// Whether values are compared as categories.
fn is_text(kind: &DataType) -> bool {
    let is_plain =
        |kind: &DataType| matches!(kind, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Boolean);
    matches!(kind, DataType::Dictionary(_, values) if is_plain(values)) || is_plain(kind)
}

/// The rows of the baseline, and the current ones.
#[derive(Debug, Serialize, Deserialize)]
enum Sides {
    Numbers([Vec<f64>; 2]),
    Names([BTreeMap<String, u64>; 2]),
}

#[derive(Debug)]
struct Comparing {
    asked: Statistic,
    sides: Sides,
}

impl Accumulator for Comparing {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let is_current = cast(&values[1], &DataType::Boolean)?;
        let sides = is_current.as_boolean().iter().map(|is_current| is_current.map(usize::from));
        match &mut self.sides {
            Sides::Numbers(rows) => {
                let numbers = cast(&values[0], &DataType::Float64)?;
                let placed = sides.zip(numbers.as_primitive::<Float64Type>());
                let placed = placed.filter_map(|(side, number)| side.zip(number.filter(|number| number.is_finite())));
                placed.for_each(|(side, number)| rows[side].push(number));
            }
            Sides::Names(counts) => {
                let names = cells::texts(&values[0]);
                for (side, name) in sides.zip(&names).filter_map(|(side, name)| side.zip(name)) {
                    let name = cell::category(name);
                    match counts[side].get_mut(name) {
                        Some(count) => *count += 1,
                        None => drop(counts[side].insert(name.to_owned(), 1)),
                    }
                }
            }
        }
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        for bytes in states[0].as_binary::<i32>().iter().flatten() {
            match (&mut self.sides, postcard::from_bytes(bytes).map_err(|error| unfit(error.to_string()))?) {
                (Sides::Numbers(mine), Sides::Numbers(theirs)) => {
                    mine.iter_mut().zip(theirs).for_each(|(mine, theirs)| mine.extend(theirs));
                }
                (Sides::Names(mine), Sides::Names(theirs)) => {
                    let counts = mine.iter_mut().zip(theirs);
                    counts.for_each(|(mine, theirs)| {
                        theirs.into_iter().for_each(|(name, count)| *mine.entry(name).or_default() += count);
                    });
                }
                _ => return Err(unfit("one column is both of numbers and of texts")),
            }
        }
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let apart = match (&mut self.sides, self.asked.metric(), self.asked.test()) {
            (Sides::Numbers([baseline, current]), Some(metric), _) => numbers_apart(metric, baseline, current),
            (Sides::Numbers([baseline, current]), _, Some(test)) => {
                [&mut *baseline, &mut *current].into_iter().for_each(|rows| rows.sort_unstable_by(f64::total_cmp));
                test(current, baseline)
            }
            (Sides::Names([baseline, current]), Some(metric), _) => names_apart(metric, baseline, current),
            _ => None,
        };
        Ok(ScalarValue::Float64(apart))
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let bytes = postcard::to_stdvec(&self.sides).map_err(|error| unfit(error.to_string()))?;
        Ok(vec![ScalarValue::Binary(Some(bytes))])
    }

    fn size(&self) -> usize {
        let held = match &self.sides {
            Sides::Numbers(rows) => rows.iter().map(|rows| 8 * rows.capacity()).sum(),
            Sides::Names(counts) => counts.iter().map(|counts| 64 * counts.len()).sum::<usize>(),
        };
        size_of_val(self) + held
    }
}

fn numbers_apart(metric: &'static dyn Metric, baseline: &mut [f64], current: &[f64]) -> Option<f64> {
    if baseline.is_empty() {
        return None;
    }
    baseline.sort_by(f64::total_cmp);
    let cut = cut::of_values(baseline, FINE_BINS);
    let counted = |values: &[f64]| {
        let mut histogram = Histogram::new(&cut);
        histogram.update(&cut, values);
        histogram
    };
    let (current, baseline) = (counted(current), counted(baseline));
    let context = Context { cut: Some(&cut), ..Context::ALONE };
    number(&metric.read(Side::Numeric(&current), Some(Side::Numeric(&baseline)), &context))
}

fn names_apart(
    metric: &'static dyn Metric,
    baseline: &BTreeMap<String, u64>,
    current: &BTreeMap<String, u64>,
) -> Option<f64> {
    let known: Vec<&String> = baseline.keys().take(CATEGORIES_MAX).collect();
    let counted = |counts: &BTreeMap<String, u64>| {
        // Further categories of the baseline have one cell together.
        let mut category = Category::new(known.len() + usize::from(baseline.len() > known.len()));
        for (name, &count) in counts {
            match known.binary_search(&name) {
                Ok(at) => category.known[at] += count,
                Err(_) if baseline.contains_key(name) => category.known[known.len()] += count,
                Err(_) => category.add_unseen(name, count),
            }
        }
        category
    };
    let (current, baseline) = (counted(current), counted(baseline));
    number(&metric.read(Side::Categorical(&current), Some(Side::Categorical(&baseline)), &Context::ALONE))
}
