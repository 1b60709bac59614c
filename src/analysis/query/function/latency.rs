//! `latency_quantile(latency, q)`: of the `latency` column of panes, merged by `hist_merge`, as the engine computes it.

use std::sync::Arc;

use arrow::array::{Array as _, AsArray as _, Float64Array};
use arrow::datatypes::{DataType, Float64Type};
use datafusion::error::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility};

use super::{Scalar, wrong};
use crate::store::{latency_in, latency_type};
use crate::summary::Latency;

/// The function.
pub(super) fn function() -> Scalar {
    Scalar::from(QuantileFunction { signature: Signature::any(2, Volatility::Immutable) })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct QuantileFunction {
    signature: Signature,
}

impl ScalarUDFImpl for QuantileFunction {
    fn name(&self) -> &'static str {
        "latency_quantile"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        if arguments[0] == latency_type() && arguments[1].is_numeric() {
            return Ok(DataType::Float64);
        }
        Err(wrong("latency_quantile(latency, q) takes hist_merge(latency) of panes and a share such as 0.99"))
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = arguments.number_rows;
        let (state, shares) = (arguments.args[0].to_array(rows)?, arguments.args[1].to_array(rows)?);
        let shares = arrow::compute::cast(&shares, &DataType::Float64)?;
        let shares = shares.as_primitive::<Float64Type>();
        let quantile = |row: usize| {
            let share = shares.is_valid(row).then(|| shares.value(row)).filter(|share| (0.0..=1.0).contains(share))?;
            Latency::of_counts(latency_in(&state, row)?).quantile_ms(share)
        };
        Ok(ColumnarValue::Array(Arc::new((0..rows).map(quantile).collect::<Float64Array>())))
    }
}
