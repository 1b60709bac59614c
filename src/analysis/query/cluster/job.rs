//! The work on a cluster that a query has begun, and how it is called off: the scheduler goes on with a job whose
//! client has left.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use ballista_core::JobId;
use ballista_core::execution_plans::DistributedQueryExec;
use ballista_core::serde::protobuf::CancelJobParams;
use ballista_core::serde::protobuf::scheduler_grpc_client::SchedulerGrpcClient;
use datafusion::physical_plan::ExecutionPlan;
use datafusion_proto::protobuf::LogicalPlanNode;

use crate::error::{Error, Result};

/// What a client has last asked a cluster for.
#[derive(Debug, Default)]
pub(in crate::query) struct ClusterJob(Mutex<Option<Arc<dyn ExecutionPlan>>>);

impl ClusterJob {
    /// Notes the plan that is sent to the cluster.
    pub(in crate::query) fn begin(&self, plan: &Arc<dyn ExecutionPlan>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(plan));
    }

    /// Waits for the answer. When it fails, takes too long or is interrupted, the scheduler is told to call the work
    /// off.
    pub(in crate::query) async fn watch<T>(
        &self,
        scheduler: &str,
        answer: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let answer = tokio::select! {
            answer = answer => answer,
            _ = tokio::signal::ctrl_c() => Err(Error::user("the query was interrupted").hint("its work is called off")),
        };
        if answer.is_err()
            && let Some(id) = self.id()
            && let Err(error) = cancel(scheduler, id).await
        {
            tracing::warn!(%error, scheduler, "the work on the cluster could not be called off, and may go on");
        }
        answer
    }

    /// Its number, once the scheduler has given it one.
    fn id(&self) -> Option<JobId> {
        let plan = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        plan.as_ref()?.downcast_ref::<DistributedQueryExec<LogicalPlanNode>>()?.job_id()
    }
}

async fn cancel(scheduler: &str, id: JobId) -> Result<()> {
    let gone = |error: Box<dyn std::error::Error + Send + Sync>| {
        Error::external("no answer from the scheduler").because(error)
    };
    let mut client =
        SchedulerGrpcClient::connect(format!("http://{scheduler}")).await.map_err(|error| gone(error.into()))?;
    let asked = client.cancel_job(CancelJobParams { job_id: id.into() }).await;
    asked.map(drop).map_err(|error| gone(error.into()))
}
