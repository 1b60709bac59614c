//! `psi(current, baseline)` and its like: a distance between two histograms, computed as the engine does for two
//! versions: what panes have counted is cut at the quantiles of both sides together, beyond the fine bins, too, and
//! lists of counts are taken as they are.

use std::sync::Arc;

use arrow::array::{Array, AsArray as _, Float64Array};
use arrow::datatypes::{DataType, Float64Type};
use datafusion::error::Result;
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, TypeSignature, Volatility,
};

use super::{Scalar, number, unfit, wrong};
use crate::metric::{self, COLUMN_UNIT, Context, Metric, Quantiles, Reads, Side};
use crate::store::{StoredHistogram, counted};
use crate::summary::histogram::Recuts;

/// The function of a metric.
pub(super) fn function(metric: &'static dyn Metric) -> Scalar {
    let signature = Signature::one_of(vec![TypeSignature::Any(2), TypeSignature::Any(3)], Volatility::Immutable);
    Scalar::from(Compare { name: metric.spec().name, needs_edges: metric.spec().unit == COLUMN_UNIT, signature })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Compare {
    name: &'static str,
    /// Counts alone do not say how far apart bins are.
    needs_edges: bool,
    signature: Signature,
}

impl ScalarUDFImpl for Compare {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        let is_counts = |kind: &DataType| matches!(kind, DataType::List(_) | DataType::Struct(_) | DataType::Null);
        if !arguments.iter().take(2).all(is_counts) {
            let name = self.name;
            return Err(wrong(format!(
                "{name}(current, baseline) compares two histograms, such as hist_merge(histogram) of panes; \
                 for a raw column there is drift_{name}(value, is_current)"
            )));
        }
        if self.needs_edges && arguments.len() < 3 {
            let name = self.name;
            return Err(wrong(format!(
                "{name}(current, baseline, edges) needs the edges between bins, in the column's unit"
            )));
        }
        Ok(DataType::Float64)
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = arguments.number_rows;
        let columns = arguments.args.iter().map(|argument| argument.to_array(rows)).collect::<Result<Vec<_>>>()?;
        let metric = metric::find(self.name).expect("functions are made of metrics");
        let compared = |row| {
            let sides = counted(&columns[0], row).zip(counted(&columns[1], row));
            let edges = columns.get(2).map(|edges| edges_in(edges, row));
            sides
                .map(|(current, baseline)| compare(metric, &current, &baseline, edges))
                .transpose()
                .map(Option::flatten)
        };
        let numbers = (0..rows).map(compared).collect::<Result<Float64Array>>()?;
        Ok(ColumnarValue::Array(Arc::new(numbers)))
    }
}

fn edges_in(column: &dyn Array, row: usize) -> Vec<f64> {
    let list = column.as_list_opt::<i32>().filter(|list| list.is_valid(row)).map(|list| list.value(row));
    let numbers = list.and_then(|list| arrow::compute::cast(&list, &DataType::Float64).ok());
    numbers.map(|numbers| numbers.as_primitive::<Float64Type>().iter().flatten().collect()).unwrap_or_default()
}

/// What the metric says of two sides.
fn compare(
    metric: &'static dyn Metric,
    current: &StoredHistogram,
    baseline: &StoredHistogram,
    edges: Option<Vec<f64>>,
) -> Result<Option<f64>> {
    let mut context = Context::ALONE;
    if !current.is_numeric() && !baseline.is_numeric() {
        let (current, baseline) = (current.category(), baseline.category());
        if current.known.len() != baseline.known.len() {
            return Err(unfit("the two sides are of different columns"));
        }
        return Ok(number(&metric.read(Side::Categorical(&current), Some(Side::Categorical(&baseline)), &context)));
    }
    let of_panes = [current, baseline].iter().all(|side| side.counts.len() > side.cells.len());
    let fine = of_panes || metric.spec().reads == Reads::Numeric;
    let bins = |side: &StoredHistogram| if fine { side.counts.clone() } else { side.cells.clone() };
    if bins(current).len() != bins(baseline).len() {
        return Err(unfit(format!(
            "the two sides have different bins: {} and {}",
            bins(current).len(),
            bins(baseline).len()
        )));
    }
    let unfit = || unfit("the edges do not rise, or are not one less than the bins");
    let (judged, _) = current.histogram(&bins(current), edges.clone()).ok_or_else(unfit)?;
    let (other, mut cut) = baseline.histogram(&bins(baseline), edges).ok_or_else(unfit)?;
    if of_panes {
        // As many quantiles as the reference has, unless heavy values took most of them.
        (context.quantiles, context.bins) = (Quantiles::Both, if baseline.cells.len() > 15 { 20 } else { 10 });
        cut.recuts = Recuts::default();
    }
    context.cut = Some(&cut);
    Ok(number(&metric.read(Side::Numeric(&judged), Some(Side::Numeric(&other)), &context)))
}
