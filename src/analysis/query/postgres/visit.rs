//! A client's stay: one session for many statements, whose catalog goes on calling tables by the numbers it once gave
//! them.

use std::sync::{Arc, LazyLock};

use arrow::array::{RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::ParamValues;
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::SessionContext;
use datafusion_pg_catalog::pg_catalog::context::EmptyContextProvider;
use datafusion_pg_catalog::setup_pg_catalog;
use datafusion_pg_catalog::sql::PostgresCompatibilityParser;

use super::Statement;
use crate::error::{Error, Result};
use crate::query::session::{CATALOG, explained};
use crate::query::stop::Stop;
use crate::query::{Desk, ResultSet, Session, guard};

/// Understands what clients ask of the catalog, in words that `DataFusion` knows.
static PARSER: LazyLock<PostgresCompatibilityParser> = LazyLock::new(PostgresCompatibilityParser::new);

/// A client's stay.
#[derive(Clone)]
pub struct Visit {
    session: Arc<Session>,
    context: SessionContext,
}

/// A statement that may be asked many times, with other parameters.
#[derive(Debug, Clone)]
pub struct Prepared {
    /// What it asks for.
    pub statement: Statement,
    /// The columns of its answer.
    pub columns: SchemaRef,
    /// The types of its parameters, in their order; text, where they cannot be told.
    pub parameters: Vec<DataType>,
}

impl Desk {
    /// Lets a client in.
    pub async fn visit(&self) -> Result<Visit> {
        let session = self.session();
        self.within_limit(|_| async move {
            let context = session.context()?;
            setup_pg_catalog(&context, CATALOG, EmptyContextProvider).map_err(|error| explained(*error))?;
            Ok(Visit { session, context })
        })
        .await
    }

    /// Answers what a client says at once: each statement with its rows, where it has any.
    pub async fn tell(&self, visit: &Visit, sql: String) -> Result<Vec<(Statement, Option<ResultSet>)>> {
        let visit = visit.clone();
        self.within_limit(|stop| async move {
            let mut told = Vec::new();
            for statement in statements(&sql)? {
                let answer = visit.answer(&statement, None, &stop).await?;
                told.push((statement, answer));
            }
            Ok(told)
        })
        .await
    }

    /// Prepares a statement to be asked later; `None` when there is none.
    pub async fn prepare(&self, visit: &Visit, sql: String) -> Result<Option<Prepared>> {
        let visit = visit.clone();
        self.within_limit(|_| async move {
            let mut all = statements(&sql)?;
            if all.len() > 1 {
                return Err(Error::user("only one statement can be prepared at a time").hint("prepare each by itself"));
            }
            let Some(statement) = all.pop() else { return Ok(None) };
            let (columns, parameters) = visit.described(&statement).await?;
            Ok(Some(Prepared { statement, columns, parameters }))
        })
        .await
    }

    /// Answers a statement that was prepared.
    pub async fn ask_prepared(
        &self,
        visit: &Visit,
        statement: Statement,
        parameters: ParamValues,
    ) -> Result<Option<ResultSet>> {
        let visit = visit.clone();
        self.within_limit(|stop| async move { visit.answer(&statement, Some(parameters), &stop).await }).await
    }
}

/// The statements of a text. One of them may be a query: its answer is held whole until the client has it.
fn statements(sql: &str) -> Result<Vec<Statement>> {
    guard::bounded(sql)?;
    let parsed = PARSER.parse(sql).map_err(guard::no_query)?;
    let statements = parsed.into_iter().map(Statement::new).collect::<Result<Vec<_>>>()?;
    let queries = statements.iter().filter(|statement| matches!(statement, Statement::Read(_))).count();
    if queries > 1 {
        return Err(Error::user("only one query can be sent at a time").hint("send each by itself"));
    }
    Ok(statements)
}

impl Visit {
    async fn plan(&self, statement: &Statement) -> Result<Option<LogicalPlan>> {
        let Statement::Read(query) = statement else { return Ok(None) };
        self.session.plan(&self.context, (**query).clone()).await.map(Some)
    }

    /// The columns of a statement's answer, and the types of its parameters.
    async fn described(&self, statement: &Statement) -> Result<(SchemaRef, Vec<DataType>)> {
        if let Statement::Show(name, value) = statement {
            return Ok((setting(name, value)?.schema, Vec::new()));
        }
        let Some(plan) = self.plan(statement).await? else { return Ok((Arc::new(Schema::empty()), Vec::new())) };
        let mut parameters: Vec<_> = plan.get_parameter_types().map_err(explained)?.into_iter().collect();
        parameters.sort_by_key(|(name, _)| name.trim_start_matches('$').parse::<u32>().unwrap_or(u32::MAX));
        let types = parameters.into_iter().map(|(_, kind)| kind.unwrap_or(DataType::Utf8)).collect();
        Ok((Arc::clone(plan.schema().inner()), types))
    }

    async fn answer(
        &self,
        statement: &Statement,
        parameters: Option<ParamValues>,
        stop: &Stop,
    ) -> Result<Option<ResultSet>> {
        if let Statement::Show(name, value) = statement {
            return setting(name, value).map(Some);
        }
        let Some(mut plan) = self.plan(statement).await? else { return Ok(None) };
        if let Some(parameters) = parameters {
            plan = plan.replace_params_with_values(&parameters).map_err(explained)?;
        }
        let answer = self.session.run(&self.context, plan, stop).await?;
        if answer.truncated {
            let rows = self.session.limits().rows;
            return Err(Error::user(format!("the answer has more than {rows} rows"))
                .hint("say how many with LIMIT, or aggregate them"));
        }
        Ok(Some(answer))
    }
}

/// A setting as an answer.
fn setting(name: &str, value: &str) -> Result<ResultSet> {
    let schema = Arc::new(Schema::new(vec![Field::new(name, DataType::Utf8, false)]));
    let rows = RecordBatch::try_new(Arc::clone(&schema), vec![Arc::new(StringArray::from(vec![value]))]);
    let rows = rows.map_err(|error| Error::internal("a setting that cannot be told").because(error))?;
    Ok(ResultSet { schema, batches: vec![rows], truncated: false })
}
