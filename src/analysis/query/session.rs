//! One query: which tables it means, within which bounds it runs, and what went wrong.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::error::ArrowError;
use datafusion::common::TableReference;
use datafusion::error::DataFusionError;
use datafusion::execution::context::SQLOptions;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::GreedyMemoryPool;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::execute_stream;
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion::sql::parser::Statement;
use futures_util::StreamExt as _;

use super::stop::{Stop, stoppable};
use super::stored::Stored;
use super::{ResultSet, file, function, guard};
use crate::config::nearest;
use crate::error::{Error, Result};
use crate::store::{Store, StoreFolder, StoreTable};

/// What the tables' catalog is called: the database of clients that know databases.
pub(super) const CATALOG: &str = "haldane";
/// What their schema is called, as clients expect it.
const SCHEMA: &str = "public";
/// Where the store is registered among object stores; no user sees it.
const STORE_URL: &str = "store://haldane";

/// Within which bounds a query runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueryLimits {
    /// Bytes that all queries together may hold.
    pub memory: usize,
    /// How long one may take.
    pub time: Duration,
    /// Rows of an answer; the rest is left out, and this is said.
    pub rows: usize,
    /// Threads.
    pub threads: usize,
}

impl Default for QueryLimits {
    fn default() -> Self {
        Self { memory: 512 << 20, time: Duration::from_secs(30), rows: 10_000, threads: 2 }
    }
}

/// What queries may read.
#[derive(Debug)]
pub struct Session {
    limits: QueryLimits,
    runtime: Arc<RuntimeEnv>,
    store: Option<Store>,
    /// Files with names of their own.
    files: BTreeMap<String, PathBuf>,
    /// Whether a query may name a file by its path.
    by_path: bool,
    /// The scheduler of a cluster, when that does the work.
    scheduler: Option<String>,
    #[cfg(feature = "ballista")]
    job: super::cluster::ClusterJob,
}

impl Session {
    /// Nothing to read yet.
    ///
    /// What does not fit into memory is not put aside on disk: a query that needs more is told so.
    ///
    /// # Errors
    /// When the memory cannot be set apart.
    pub fn new(limits: QueryLimits) -> Result<Self> {
        let runtime = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(GreedyMemoryPool::new(limits.memory)))
            .with_disk_manager_builder(DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled))
            .build_arc()
            .map_err(|error| Error::internal("cannot start answering queries").because(error))?;
        Ok(Self {
            limits,
            runtime,
            store: None,
            files: BTreeMap::new(),
            by_path: false,
            scheduler: None,
            #[cfg(feature = "ballista")]
            job: super::cluster::ClusterJob::default(),
        })
    }

    /// Lets queries read the tables of a store.
    #[must_use]
    pub fn with_store(mut self, store: Store) -> Self {
        let url = ObjectStoreUrl::parse(STORE_URL).expect("a URL");
        self.runtime.register_object_store(url.as_ref(), Arc::clone(store.place().objects()));
        self.store = Some(store);
        self
    }

    /// Lets queries read a file under a name.
    #[must_use]
    pub fn with_file(mut self, name: &str, path: PathBuf) -> Self {
        self.files.insert(name.to_owned(), path);
        self
    }

    /// Lets queries read any file by its path.
    #[must_use]
    pub fn with_paths(mut self) -> Self {
        self.by_path = true;
        self
    }

    /// Lets a cluster do the work: the one of the scheduler at `host:port`, whose executors find the store where it is
    /// here.
    #[cfg(feature = "ballista")]
    #[must_use]
    pub fn with_cluster(mut self, scheduler: &str) -> Self {
        self.scheduler = Some(scheduler.to_owned());
        self
    }

    /// The scheduler that does the work, and what it has been asked for.
    #[cfg(feature = "ballista")]
    pub(super) fn cluster(&self) -> Option<(&str, &super::cluster::ClusterJob)> {
        self.scheduler.as_deref().map(|scheduler| (scheduler, &self.job))
    }

    /// The bounds.
    #[must_use]
    pub fn limits(&self) -> QueryLimits {
        self.limits
    }

    /// Answers a query.
    ///
    /// # Errors
    /// When it is none, does more than read, names what is not there, exceeds a bound other than the rows', or fails.
    pub(super) async fn answer(&self, sql: &str, stop: &Stop) -> Result<ResultSet> {
        let context = self.context()?;
        let statement = guard::statement(&context.state(), sql)?;
        let plan = self.plan(&context, statement).await?;
        self.run(&context, plan, stop).await
    }

    /// What a statement means over the store as it is now.
    pub(super) async fn plan(&self, context: &SessionContext, statement: Statement) -> Result<LogicalPlan> {
        self.renew_tables(context).await?;
        self.find_tables(context, &statement).await?;
        let plan = context.state().statement_to_plan(statement).await.map_err(explained)?;
        let reads = SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
        reads.verify_plan(&plan).map_err(|error| Error::user("queries only read").because(error))?;
        Ok(plan)
    }

    /// The rows of a plan, as many as an answer may have.
    pub(super) async fn run(&self, context: &SessionContext, plan: LogicalPlan, stop: &Stop) -> Result<ResultSet> {
        let frame = context.execute_logical_plan(plan).await.map_err(explained)?;
        let plan = stoppable(frame.create_physical_plan().await.map_err(explained)?, stop).map_err(explained)?;
        #[cfg(feature = "ballista")]
        self.job.begin(&plan);
        let mut stream = execute_stream(plan, context.task_ctx()).map_err(explained)?;
        let mut answer = ResultSet { schema: stream.schema(), batches: Vec::new(), truncated: false };
        let (mut rows, mut bytes) = (0, 0);
        while let Some(batch) = stream.next().await {
            let batch: RecordBatch = batch.map_err(explained)?;
            let room = self.limits.rows - rows;
            answer.truncated = batch.num_rows() > room;
            let batch = batch.slice(0, batch.num_rows().min(room));
            (rows, bytes) = (rows + batch.num_rows(), bytes + batch.get_array_memory_size());
            if bytes > self.limits.memory {
                return Err(too_large());
            }
            answer.batches.push(batch);
            if answer.truncated {
                break;
            }
        }
        Ok(answer)
    }

    /// A fresh session, without tables yet.
    #[cfg_attr(not(feature = "ballista"), expect(clippy::unnecessary_wraps, reason = "a cluster may be out of reach"))]
    pub(super) fn context(&self) -> Result<SessionContext> {
        let mut config = SessionConfig::new()
            .with_default_catalog_and_schema(CATALOG, SCHEMA)
            .with_information_schema(true)
            .with_target_partitions(self.limits.threads);
        config.options_mut().execution.parquet.pushdown_filters = true;
        let runtime = Arc::clone(&self.runtime);
        #[cfg(feature = "ballista")]
        if let Some(scheduler) = &self.scheduler {
            return super::cluster::client(scheduler, config, runtime).map_err(explained);
        }
        let mut context = SessionContext::new_with_config_rt(config, runtime);
        function::register(&mut context);
        Ok(context)
    }

    /// Makes the tables of a session those of the store as it is now.
    async fn renew_tables(&self, context: &SessionContext) -> Result<()> {
        let Some(store) = &self.store else { return Ok(()) };
        let (url, place) = self.place(store)?;
        let files = store.files_now().await?;
        for table in StoreTable::ALL {
            let of_table = files.iter().filter(|file| file.table == table);
            let placed = of_table.map(|file| (file.clone(), place.path(&file.path))).collect();
            let stored = Arc::new(Stored::new(table, url.clone(), placed));
            let name = TableReference::bare(table.name());
            let renewed = context.deregister_table(name.clone()).and_then(|_| context.register_table(name, stored));
            renewed.map_err(|error| Error::internal("a table that cannot be registered").because(error))?;
        }
        Ok(())
    }

    /// Where those who carry out queries find the store.
    fn place(&self, store: &Store) -> Result<(ObjectStoreUrl, StoreFolder)> {
        let (url, place) = match self.scheduler {
            None => (STORE_URL.to_owned(), store.place().clone()),
            Some(_) => store.place().shared()?,
        };
        Ok((ObjectStoreUrl::parse(url).map_err(explained)?, place))
    }

    /// Opens the files that a query means; refuses what is not there.
    async fn find_tables(&self, context: &SessionContext, statement: &Statement) -> Result<()> {
        let state = context.state();
        for table in state.resolve_table_references(statement).map_err(explained)? {
            let is_made = state.table_functions().contains_key(table.table());
            if is_made && self.scheduler.is_some() {
                return Err(Error::user(format!("{} is not known on a cluster", table.table()))
                    .hint("ask without --cluster, or list values: VALUES (1), (2)"));
            }
            let known = is_made || context.table_exist(table.clone()).map_err(explained)?;
            if known || table.schema() == Some("information_schema") {
                continue;
            }
            let name = written(&table);
            let path = self.files.get(&name).cloned();
            let Some(path) = path.or_else(|| (self.by_path && file::is_path(&name)).then(|| PathBuf::from(&name)))
            else {
                return Err(self.missing(&name));
            };
            let opened = file::open(context, &path, self.scheduler.is_some()).await?;
            context.register_table(table, opened).map_err(explained)?;
        }
        Ok(())
    }

    fn missing(&self, name: &str) -> Error {
        let tables = StoreTable::ALL.iter().filter(|_| self.store.is_some()).map(|table| table.name());
        let known: Vec<&str> = tables.chain(self.files.keys().map(String::as_str)).collect();
        let hint = match nearest(name, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None if known.is_empty() => "name a store with --store, or a file: SELECT * FROM 'file.parquet'".to_owned(),
            None => format!("there are: {}", known.join(", ")),
        };
        Error::user(format!("there is no table `{name}`")).hint(hint)
    }
}

/// A table's name as the query has it.
fn written(table: &TableReference) -> String {
    let parts = [table.catalog(), table.schema(), Some(table.table())];
    parts.into_iter().flatten().collect::<Vec<_>>().join(".")
}

fn too_large() -> Error {
    Error::user("the answer does not fit into memory").hint("ask for fewer rows or columns, or aggregate them")
}

/// Whether an error is one of what was computed, and not of what was read.
fn is_of_values(error: &ArrowError) -> bool {
    matches!(error, ArrowError::DivideByZero | ArrowError::ArithmeticOverflow(_) | ArrowError::CastError(_))
}

/// What a failure means to whoever asked.
#[expect(clippy::needless_pass_by_value, reason = "errors are mapped as they come")]
pub(super) fn explained(error: DataFusionError) -> Error {
    let root = error.find_root();
    let (said, hint) = match root {
        DataFusionError::ResourcesExhausted(_) => {
            let why = "the query needs more memory than queries have";
            return Error::user(why)
                .because(root.strip_backtrace())
                .hint("narrow it: fewer days, columns or joined rows");
        }
        DataFusionError::ArrowError(error, _) if is_of_values(error) => {
            ("the query cannot be answered", "leave out such rows, as NULLIF(x, 0) and TRY_CAST do")
        }
        DataFusionError::External(error) if error.is::<Error>() => {
            let hint = error.downcast_ref().and_then(Error::advice).unwrap_or("check that the file is whole");
            return Error::user(error.to_string()).hint(hint);
        }
        DataFusionError::ParquetError(_) | DataFusionError::ArrowError(..) | DataFusionError::External(_) => {
            ("the data cannot be read", "a damaged file can be found with `haldane store status --verify`")
        }
        DataFusionError::ObjectStore(_) | DataFusionError::IoError(_) => {
            let said = root.strip_backtrace();
            return Error::external("the data cannot be read")
                .because(said)
                .hint("check that the file is there, whole");
        }
        DataFusionError::Internal(_) => return Error::internal("the query failed").because(root.strip_backtrace()),
        _ => (
            "the query cannot be answered",
            "DESCRIBE a table to see its columns; `haldane sql --help` tells of the functions",
        ),
    };
    Error::user(said).because(root.strip_backtrace()).hint(hint)
}
