//! `fisher_p(x, n, x_baseline, n_baseline)` and its like: tests and intervals of rates, over counts.
//!
//! `x` of `n` events succeeded (or failed), against `x_baseline` of `n_baseline`. Intervals take the confidence as a
//! last argument, 0.95 unless it is given. Without events there is no number.

use std::sync::Arc;

use arrow::array::{Array as _, ArrayRef, AsArray as _, Float64Array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type};
use datafusion::error::Result;
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, TypeSignature, Volatility,
};

use super::{Scalar, unfit, wrong};
use crate::infer::fisher::fisher;
use crate::infer::interval::wilson;
use crate::infer::newcombe::newcombe;
use crate::infer::pooled_z::pooled_z;
use crate::infer::two_sample::Arm;

/// Confidence of intervals unless it is given.
/// Origin: literature; what intervals mostly have.
const CONFIDENCE: f64 = 0.95;

/// Successes and events of the current side and the baseline (zeros where there is none), and `1 - confidence`.
type OfCounts = fn([u64; 4], f64) -> Option<f64>;

/// Functions: name, how many counts they take, whether they take a confidence, formula.
const OF_COUNTS: [(&str, usize, bool, OfCounts); 7] = [
    ("fisher_p", 4, false, |[x, n, other, m], _| fisher(x, n, other, m)),
    ("rates_z", 4, false, |counts, _| z(counts).map(|(z, _)| z)),
    ("rates_z_p", 4, false, |counts, _| z(counts).map(|(_, p)| p)),
    ("newcombe_low", 4, true, |[x, n, other, m], alpha| newcombe((x, n), (other, m), alpha).map(|found| found.low)),
    ("newcombe_high", 4, true, |[x, n, other, m], alpha| newcombe((x, n), (other, m), alpha).map(|found| found.high)),
    ("wilson_low", 2, true, |[x, n, ..], alpha| wilson(x, n, alpha).map(|found| found.low)),
    ("wilson_high", 2, true, |[x, n, ..], alpha| wilson(x, n, alpha).map(|found| found.high)),
];

#[expect(clippy::cast_precision_loss, reason = "counts come as floats")]
fn z([x, n, other, m]: [u64; 4]) -> Option<(f64, f64)> {
    pooled_z(Arm { n, x: x as f64 }, Arm { n: m, x: other as f64 })
}

/// The functions.
pub(super) fn functions() -> impl Iterator<Item = Scalar> {
    (0..).zip(&OF_COUNTS).map(|(at, &(_, counts, has_confidence, _))| {
        let numbers = counts + usize::from(has_confidence);
        let arguments = (counts..=numbers).map(TypeSignature::Any).collect();
        Scalar::from(OfRates { at, signature: Signature::one_of(arguments, Volatility::Immutable) })
    })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct OfRates {
    /// Which of the functions.
    at: usize,
    signature: Signature,
}

impl ScalarUDFImpl for OfRates {
    fn name(&self) -> &str {
        OF_COUNTS[self.at].0
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        if arguments.iter().all(|kind| kind.is_numeric() || *kind == DataType::Null) {
            return Ok(DataType::Float64);
        }
        let (name, counts, has_confidence, _) = OF_COUNTS[self.at];
        let counts = if counts == 4 { "x, n, x_baseline, n_baseline" } else { "x, n" };
        let confidence = if has_confidence { "[, confidence]" } else { "" };
        Err(wrong(format!("{name}({counts}{confidence}) takes counts, such as sum(errors) and sum(requests) of panes")))
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = arguments.number_rows;
        let float = |argument: &ColumnarValue| Ok(cast(&argument.to_array(rows)?, &DataType::Float64)?);
        let columns = arguments.args.iter().map(float).collect::<Result<Vec<ArrayRef>>>()?;
        let (_, counts, _, formula) = OF_COUNTS[self.at];
        let of_row = |row: usize| {
            if columns.iter().any(|column| column.is_null(row)) {
                return Ok(None);
            }
            let numbers: Vec<f64> =
                columns.iter().map(|column| column.as_primitive::<Float64Type>().value(row)).collect();
            let mut whole = [0; 4];
            for (count, &number) in whole.iter_mut().zip(&numbers[..counts]) {
                *count = self.count(number)?;
            }
            let confidence = numbers.get(counts).copied().unwrap_or(CONFIDENCE);
            self.check(whole, confidence)?;
            Ok(formula(whole, 1.0 - confidence))
        };
        let found = (0..rows).map(of_row).collect::<Result<Float64Array>>()?;
        Ok(ColumnarValue::Array(Arc::new(found)))
    }
}

impl OfRates {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be a whole number")]
    fn count(&self, number: f64) -> Result<u64> {
        let is_count = number >= 0.0 && number.fract() == 0.0 && number < 2_f64.powi(53);
        let name = self.name();
        is_count
            .then_some(number as u64)
            .ok_or_else(|| unfit(format!("{name}: {number} is no count; `round` makes one")))
    }

    fn check(&self, [x, n, other, m]: [u64; 4], confidence: f64) -> Result<()> {
        let name = self.name();
        if x > n || other > m {
            let (x, n) = if x > n { (x, n) } else { (other, m) };
            return Err(unfit(format!("{name}: {x} of {n} events; first the events that count, then all of them")));
        }
        if !(confidence > 0.0 && confidence < 1.0) {
            return Err(unfit(format!("{name}: a confidence is between 0 and 1, and {confidence} is not")));
        }
        Ok(())
    }
}
