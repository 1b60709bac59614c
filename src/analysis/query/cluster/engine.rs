//! How an executor carries out its part of a query: on a thread of its own, so that it can be called off in the midst
//! of a join.
//!
//! Ballista drops work that is called off, which it can only where the work yields; a join may not do so for hours
//! (`stop`).

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use ballista_core::JobId;
use ballista_core::serde::protobuf::{RuntimeStatsReport, ShuffleWritePartition, TaskColumnStats, WindowStateReport};
use ballista_executor::execution_engine::{DefaultExecutionEngine, ExecutionEngine, QueryStageExecutor};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::TaskContext;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::metrics::MetricsSet;
use datafusion::prelude::SessionConfig;
use futures_util::future::{AbortHandle, abortable};
use tokio::runtime::Handle;

use crate::query::stop::{Stop, stoppable};

/// Ballista's own, whose stages can be stopped.
#[derive(Default)]
pub(super) struct StoppableEngine(DefaultExecutionEngine);

impl ExecutionEngine for StoppableEngine {
    fn create_query_stage_exec(
        &self,
        job_id: JobId,
        stage_id: usize,
        task_id: usize,
        global_output_partition_ids: Vec<usize>,
        plan: Arc<dyn ExecutionPlan>,
        work_dir: &str,
        config: &SessionConfig,
    ) -> Result<Arc<dyn QueryStageExecutor>> {
        let stop = Stop::default();
        let plan = stoppable(plan, &stop)?;
        let outputs = global_output_partition_ids;
        let stage = self.0.create_query_stage_exec(job_id, stage_id, task_id, outputs, plan, work_dir, config)?;
        Ok(Arc::new(TaskStage { stage, stop }))
    }
}

/// One task's part of a query.
#[derive(Debug)]
struct TaskStage {
    stage: Arc<dyn QueryStageExecutor>,
    stop: Stop,
}

/// Ends the work when nobody waits for it.
struct AbortOnDrop(Stop, AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.stop();
        self.1.abort();
    }
}

#[async_trait]
impl QueryStageExecutor for TaskStage {
    async fn execute_query_stage(
        &self,
        task_id: usize,
        context: Arc<TaskContext>,
    ) -> Result<Vec<ShuffleWritePartition>> {
        let (stage, runtime) = (Arc::clone(&self.stage), Handle::current());
        let (work, abort) = abortable(async move { stage.execute_query_stage(task_id, context).await });
        let _waiting = AbortOnDrop(self.stop.clone(), abort);
        let done = tokio::task::spawn_blocking(move || runtime.block_on(work)).await;
        let failed = |error| Err(DataFusionError::External(error));
        match done {
            Ok(Ok(done)) => done,
            Ok(Err(aborted)) => failed(aborted.into()),
            Err(panicked) => failed(panicked.into()),
        }
    }

    fn collect_plan_metrics(&self) -> Vec<MetricsSet> {
        self.stage.collect_plan_metrics()
    }

    fn collect_runtime_stats_reports(&self) -> Vec<RuntimeStatsReport> {
        self.stage.collect_runtime_stats_reports()
    }

    fn collect_window_state_reports(&self) -> Result<Vec<WindowStateReport>> {
        self.stage.collect_window_state_reports()
    }

    fn collect_column_stats(&self) -> Vec<TaskColumnStats> {
        self.stage.collect_column_stats()
    }
}

impl fmt::Display for TaskStage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.stage.fmt(f)
    }
}
