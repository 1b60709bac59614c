//! How a query is stopped inside a join.
//!
//! Work on a thread is aborted where it yields, and it yields when it reads. A join may be at work for hours on what it
//! has read: millions of rows of one side against each batch of the other, without a row that passes its filter. So
//! joins yield with each batch of theirs, and their filters look whether anybody still waits.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, FieldRef, Schema};
use datafusion::common::tree_node::{Transformed, TreeNode as _};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::ColumnarValue;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::joins::utils::JoinFilter;
use datafusion::physical_plan::joins::{CrossJoinExec, HashJoinExec, NestedLoopJoinExec, NestedLoopJoinExecBuilder};

/// Says to a query that nobody waits for it any more.
#[derive(Debug, Clone, Default)]
pub(super) struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Stops the query.
    pub(super) fn stop(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The same plan, with joins that end when the query is stopped.
pub(super) fn stoppable(plan: Arc<dyn ExecutionPlan>, stop: &Stop) -> Result<Arc<dyn ExecutionPlan>> {
    let watched = |filter: Option<&JoinFilter>| filter.map(|filter| watched(filter, stop));
    let stoppable = plan.transform_up(|node| {
        let join: Arc<dyn ExecutionPlan> = if let Some(join) = node.downcast_ref::<NestedLoopJoinExec>() {
            Arc::new(NestedLoopJoinExecBuilder::from(join).with_filter(watched(join.filter())).build()?)
        } else if let Some(join) = node.downcast_ref::<HashJoinExec>() {
            join.builder().with_filter(watched(join.filter())).build_exec()?
        } else if node.is::<CrossJoinExec>() {
            node
        } else {
            return Ok(Transformed::no(node));
        };
        Ok(Transformed::yes(Arc::new(CooperativeExec::new(join)) as _))
    });
    stoppable.map(|plan| plan.data)
}

fn watched(filter: &JoinFilter, stop: &Stop) -> JoinFilter {
    let expression = StoppableFilter { filter: Arc::clone(filter.expression()), stop: stop.clone() };
    JoinFilter::new(Arc::new(expression), filter.column_indices().to_vec(), Arc::clone(filter.schema()))
}

/// A join's filter, which fails when the query is stopped.
#[derive(Debug)]
struct StoppableFilter {
    filter: Arc<dyn PhysicalExpr>,
    stop: Stop,
}

impl PhysicalExpr for StoppableFilter {
    fn data_type(&self, input: &Schema) -> Result<DataType> {
        self.filter.data_type(input)
    }

    fn nullable(&self, input: &Schema) -> Result<bool> {
        self.filter.nullable(input)
    }

    fn return_field(&self, input: &Schema) -> Result<FieldRef> {
        self.filter.return_field(input)
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        if self.stop.0.load(Ordering::Relaxed) {
            return Err(DataFusionError::Execution("nobody waits for the answer".to_owned()));
        }
        self.filter.evaluate(batch)
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.filter]
    }

    fn with_new_children(self: Arc<Self>, mut children: Vec<Arc<dyn PhysicalExpr>>) -> Result<Arc<dyn PhysicalExpr>> {
        let filter = children.pop().unwrap_or_else(|| Arc::clone(&self.filter));
        Ok(Arc::new(Self { filter, stop: self.stop.clone() }))
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.filter.fmt_sql(f)
    }
}

impl fmt::Display for StoppableFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.filter.fmt(f)
    }
}

impl PartialEq for StoppableFilter {
    fn eq(&self, other: &Self) -> bool {
        self.filter.eq(&other.filter)
    }
}

impl Eq for StoppableFilter {}

impl Hash for StoppableFilter {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.filter.hash(state);
    }
}
