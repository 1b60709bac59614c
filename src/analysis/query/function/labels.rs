//! `ece(score, label)`, `auc(score, label)` and their like: metrics of labelled predictions, as aggregates over raw
//! rows, or with one argument over the `labels` column of panes.
//!
//! Of two classes the score is the probability of the positive one, and the answer is positive from 0.5 on; of a
//! quantity it is the prediction. Labels are read as everywhere: 1, true, yes. Where other classes are positive, a
//! third argument names them: `ece(score, label, 'fraud')`, several with commas. Rows without a score or a label are
//! passed over.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray as _};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::ScalarValue;
use datafusion::error::Result;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{Accumulator, AggregateUDFImpl, Signature, TypeSignature, Volatility};

use super::{Aggregate, STATE, number, unfit, wrong};
use crate::baseline::cut;
use crate::decode::cell::{Classes, truth_of};
use crate::kernel::bin::Edges;
use crate::metric::{self, Context, Metric, Reads, Side};
use crate::plan::{Corrections, QualityPlan, Task};
use crate::summary::Quality;
use crate::summary::quality::Labelled;
use crate::table::cells;

/// Bins of a reliability table, of equal width.
const BINS: u16 = 10;
/// Fine bins of the score.
const FINE_BINS: u16 = 1040;
/// From here on the answer is positive.
const THRESHOLD: f64 = 0.5;

/// The function of a metric.
pub(super) fn function(metric: &'static dyn Metric) -> Aggregate {
    let arguments = [3, 2, 1].map(TypeSignature::Any).to_vec();
    let signature = Signature::one_of(arguments, Volatility::Immutable);
    Aggregate::from(Labels { name: metric.spec().name, signature })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Labels {
    name: &'static str,
    signature: Signature,
}

impl AggregateUDFImpl for Labels {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        if arguments.len() >= 2 || arguments[0] == STATE {
            return Ok(DataType::Float64);
        }
        let name = self.name;
        Err(wrong(format!("{name} takes a score and a label, or the column `labels` of panes: {name}(labels)")))
    }

    fn accumulator(&self, _: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        let metric = metric::find(self.name).expect("functions are made of metrics");
        let plan = plan(metric.spec().reads);
        let quality = Quality::new(&plan);
        Ok(Box::new(Judging { metric, plan, quality }))
    }

    fn state_fields(&self, _: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        Ok(vec![Arc::new(Field::new("labels", STATE, true))])
    }
}

fn plan(reads: Reads) -> QualityPlan {
    let task = if reads == Reads::Regression { Task::Regression } else { Task::Binary };
    QualityPlan {
        task,
        width_bins: vec![BINS],
        score_edges: cut::equal_width(0.0, 1.0, FINE_BINS).edges,
        threshold: THRESHOLD,
        wait: 0,
        horizon: 0,
        pending_max: 0,
        sample: 1.0,
        corrections: Corrections::First,
    }
}

#[derive(Debug)]
struct Judging {
    metric: &'static dyn Metric,
    plan: QualityPlan,
    quality: Quality,
}

/// The classes that an argument names; it is the same in every row.
fn positive(array: &ArrayRef) -> Vec<String> {
    let texts = cells::texts(array);
    let named = texts.iter().flatten().next().unwrap_or_default();
    named.split(',').map(|class| class.trim().to_owned()).filter(|class| !class.is_empty()).collect()
}

impl Judging {
    /// Counts a labelled prediction; a label that is missing is passed over.
    fn count(&mut self, score: f64, label: &str, classes: Classes<'_>) -> Result<()> {
        let (name, is_binary) = (self.metric.spec().name, self.plan.task == Task::Binary);
        let truth = match classes.label(label) {
            Ok(None) => return Ok(()),
            Ok(Some(truth)) => Some(truth).filter(|truth| truth.is_finite()),
            Err(_) => None,
        };
        let truth = truth.filter(|&truth| !is_binary || truth_of(truth).is_some()).ok_or_else(|| {
            unfit(format!(
                "{name}(score, label): {label} is no label; {name}(score, label, 'class') names what is positive"
            ))
        })?;
        let is_score = score.is_finite() && (!is_binary || (0.0..=1.0).contains(&score));
        if !is_score {
            return Err(unfit(format!("{name}(score, label): {score} is no score")));
        }
        let row = Labelled { score, label: truth, predicted: score >= THRESHOLD, entity: None, classes: None };
        self.quality.update(&self.plan, row);
        Ok(())
    }

    /// Adds labels that were counted under the same plan.
    fn add(&mut self, other: &Quality) -> Result<()> {
        let bins = |quality: &Quality| (quality.fine.len(), quality.width.iter().map(Vec::len).collect::<Vec<_>>());
        if bins(&self.quality) != bins(other) {
            let name = self.metric.spec().name;
            return Err(unfit(format!("{name}(labels): scores were cut differently; group by days of one policy")));
        }
        self.quality.merge(other);
        Ok(())
    }
}

impl Accumulator for Judging {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        if values.len() == 1 {
            return self.merge_batch(values);
        }
        let (scores, mistyped) = cells::numbers(&values[0]);
        if mistyped > 0 {
            return Err(unfit(format!("{}(score, label): the score is no number", self.metric.spec().name)));
        }
        let labels = cells::texts(&values[1]);
        let positive = values.get(2).map(positive).unwrap_or_default();
        let classes = Classes { binary: self.plan.task == Task::Binary, positive: &positive };
        for (score, label) in scores.iter().zip(&labels).filter_map(|(score, label)| score.zip(label)) {
            self.count(score, label, classes)?;
        }
        Ok(())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        for bytes in states[0].as_binary::<i32>().iter().flatten() {
            let other = Quality::from_bytes(bytes).map_err(|error| unfit(error.to_string()))?;
            if self.quality.n == 0 {
                self.quality = other;
            } else if other.n > 0 {
                self.add(&other)?;
            }
        }
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let n_edges = self.quality.fine.len().saturating_sub(1);
        if n_edges != self.plan.score_edges.as_slice().len() {
            // Where a plan's own bins lie is said in its table of columns; no number here depends on it.
            #[expect(clippy::cast_precision_loss, reason = "thousands of bins")]
            let edges = (0..n_edges).map(|edge| edge as f64).collect();
            self.plan.score_edges = Edges::new(edges).map_err(|error| unfit(error.to_string()))?;
        }
        let context = Context { quality: Some(&self.plan), ..Context::ALONE };
        Ok(ScalarValue::Float64(number(&self.metric.read(Side::Quality(&self.quality), None, &context))))
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![ScalarValue::Binary(Some(self.quality.to_bytes()))])
    }

    fn size(&self) -> usize {
        size_of_val(self) + usize::from(FINE_BINS) * 48
    }
}
