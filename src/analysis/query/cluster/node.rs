//! The processes of a cluster: a scheduler that plans, and executors that do the work.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use ballista_core::config::TaskSchedulingPolicy;
use ballista_core::registry::BallistaFunctionRegistry;
use ballista_executor::executor_process::{ExecutorProcessConfig, start_executor_process};
use ballista_scheduler::cluster::BallistaCluster;
use ballista_scheduler::config::{SchedulerConfig, TaskDistributionPolicy};
use ballista_scheduler::scheduler_process::{create_scheduler, start_grpc_service_with_listener};
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::prelude::SessionConfig;
use datafusion_proto::protobuf::{LogicalPlanNode, PhysicalPlanNode};
use tokio::net::TcpListener;

use super::codec::StoreCodec;
use super::engine::StoppableEngine;
use super::objects::Objects;
use super::{knowing, state};
use crate::error::{Error, Result};

/// How long an executor waits for its scheduler to come up, in seconds.
const PATIENCE_S: u16 = 30;

/// The scheduler hands out work. Executors that ask for it when they have room cannot be told to stop what they do.
const POLICY: TaskSchedulingPolicy = TaskSchedulingPolicy::PushStaged;

/// Schedules queries that come to `listener`, for ever.
///
/// # Errors
/// When it cannot serve.
pub async fn schedule(listener: TcpListener) -> Result<()> {
    let address = listener.local_addr().map_err(|error| Error::internal("no address").because(error))?;
    let config = Arc::new(SchedulerConfig {
        bind_host: address.ip().to_string(),
        external_host: address.ip().to_string(),
        bind_port: address.port(),
        scheduling_policy: POLICY,
        task_distribution: TaskDistributionPolicy::RoundRobin,
        override_config_producer: Some(Arc::new(|| knowing(SessionConfig::new()))),
        override_session_builder: Some(Arc::new(|config| Ok(state(config)))),
        override_logical_codec: Some(Arc::new(StoreCodec::default())),
        ..SchedulerConfig::default()
    });
    let served = async {
        let cluster = BallistaCluster::new_from_config(&config).await?;
        let scheduler = create_scheduler::<LogicalPlanNode, PhysicalPlanNode>(cluster, config).await?;
        start_grpc_service_with_listener(listener, scheduler).await
    };
    served.await.map_err(|error| Error::external("the scheduler has stopped").because(error))
}

/// Carries out the work of the scheduler at `scheduler` (host and port), for ever; it comes in, and is called off, at
/// the port `control` of the host of `listen`. Other executors fetch results from `listen`, and the folder `work`, or
/// one of the system's, holds them meanwhile. 0 threads: as many as there are cores.
///
/// # Errors
/// When there is no scheduler, or the addresses cannot be had.
pub async fn execute(
    scheduler: (&str, u16),
    listen: SocketAddr,
    control: u16,
    work: Option<&Path>,
    threads: usize,
) -> Result<()> {
    let runtime = match work {
        Some(work) => RuntimeEnvBuilder::new().with_temp_file_path(work),
        None => RuntimeEnvBuilder::new(),
    };
    let runtime = runtime.with_object_store_registry(Arc::new(Objects::default()));
    let config = ExecutorProcessConfig {
        bind_host: listen.ip().to_string(),
        external_host: Some(listen.ip().to_string()),
        port: listen.port(),
        grpc_port: control,
        scheduler_host: scheduler.0.to_owned(),
        scheduler_port: scheduler.1,
        scheduler_connect_timeout_seconds: PATIENCE_S,
        vcores: threads,
        task_scheduling_policy: POLICY,
        work_dir: work.map(|work| work.to_string_lossy().into_owned()),
        override_function_registry: Some(Arc::new(BallistaFunctionRegistry::from(&state(SessionConfig::new())))),
        override_config_producer: Some(Arc::new(|| knowing(SessionConfig::new()))),
        override_logical_codec: Some(Arc::new(StoreCodec::default())),
        override_runtime_producer: Some(Arc::new(move |_| runtime.clone().build_arc())),
        override_execution_engine: Some(Arc::new(StoppableEngine::default())),
        ..ExecutorProcessConfig::default()
    };
    start_executor_process(Arc::new(config)).await.map_err(|error| {
        Error::external("the executor has stopped")
            .because(error)
            .hint("check that the scheduler is up, and both ports free")
    })
}
