//! One client: its session, and what is said to and fro.

use std::fmt::Debug;
use std::sync::{Arc, Mutex};

use arrow::datatypes::DataType;
use arrow_pg::datatypes::df::deserialize_parameters;
use arrow_pg::datatypes::{arrow_schema_to_pg_fields, encode_recordbatch, into_pg_type};
use async_trait::async_trait;
use futures_util::{Sink, stream};
use pgwire::api::auth::StartupHandler;
use pgwire::api::cancel::{CancelHandler, DefaultCancelHandler};
use pgwire::api::portal::{Format, Portal};
use pgwire::api::query::{ExtendedQueryHandler, SimpleQueryHandler};
use pgwire::api::results::{FieldInfo, QueryResponse, Response, Tag};
use pgwire::api::stmt::QueryParser;
use pgwire::api::store::PortalStore;
use pgwire::api::{ClientInfo, ClientPortalStore, PgWireServerHandlers, Type};
use pgwire::error::{ErrorInfo, PgWireError, PgWireResult};
use pgwire::messages::PgWireBackendMessage;
use pgwire::messages::response::TransactionStatus;
use tokio::sync::OnceCell;

use super::host::House;
use super::scram::Exchange;
use crate::error::{Error, Fault};
use crate::query::{Desk, Prepared, ResultSet, Statement, Visit};

/// A client that has come in.
#[derive(Clone)]
pub(super) struct PgClient(pub(super) Arc<Stay>);

/// What a client's messages have in common.
pub(super) struct Stay {
    pub(super) house: Arc<House>,
    /// The digest of the certificate that the connection is encrypted with.
    pub(super) certificate: Option<Vec<u8>>,
    /// Its login, while that is going on.
    pub(super) exchange: Mutex<Option<Exchange>>,
    /// Its session, once it asks something.
    visit: OnceCell<Visit>,
}

impl PgWireServerHandlers for PgClient {
    fn simple_query_handler(&self) -> Arc<impl SimpleQueryHandler> {
        Arc::new(self.clone())
    }

    fn extended_query_handler(&self) -> Arc<impl ExtendedQueryHandler> {
        Arc::new(self.clone())
    }

    fn startup_handler(&self) -> Arc<impl StartupHandler> {
        Arc::new(self.clone())
    }

    fn cancel_handler(&self) -> Arc<impl CancelHandler> {
        Arc::new(DefaultCancelHandler::new(Arc::clone(&self.0.house.connections)))
    }
}

impl PgClient {
    pub(super) fn new(house: Arc<House>, certificate: Option<Vec<u8>>) -> Self {
        Self(Arc::new(Stay { house, certificate, exchange: Mutex::default(), visit: OnceCell::new() }))
    }
}

impl Stay {
    /// Where questions are answered, and this client's session there.
    async fn desk(&self) -> PgWireResult<(&Desk, &Visit)> {
        let desk = self.house.shared.queries().ok_or_else(|| {
            let hint = "add a `store:` section to the pipeline, so that there is something to ask for";
            told(Error::external("this process keeps no store").hint(hint))
        })?;
        let visit = self.visit.get_or_try_init(|| desk.visit()).await.map_err(told)?;
        Ok((desk, visit))
    }
}

#[async_trait]
impl SimpleQueryHandler for PgClient {
    async fn do_query<C>(&self, client: &mut C, sql: &str) -> PgWireResult<Vec<Response>>
    where
        C: ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::PortalStore: PortalStore,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        let status = client.transaction_status();
        let (desk, visit) = self.0.desk().await?;
        let all = desk.tell(visit, sql.to_owned()).await.map_err(told)?;
        all.into_iter().map(|(statement, answer)| response(&statement, answer, &Format::UnifiedText, status)).collect()
    }
}

#[async_trait]
impl ExtendedQueryHandler for PgClient {
    type Statement = Prepared;
    type QueryParser = Stay;

    fn query_parser(&self) -> Arc<Stay> {
        Arc::clone(&self.0)
    }

    async fn do_query<C>(&self, client: &mut C, portal: &Portal<Prepared>, _rows_max: usize) -> PgWireResult<Response>
    where
        C: ClientInfo + ClientPortalStore + Sink<PgWireBackendMessage> + Unpin + Send + Sync,
        C::PortalStore: PortalStore<Statement = Prepared>,
        C::Error: Debug,
        PgWireError: From<<C as Sink<PgWireBackendMessage>>::Error>,
    {
        let status = client.transaction_status();
        let Prepared { statement, parameters, .. } = &portal.statement.statement;
        let types: Vec<Option<&DataType>> = parameters.iter().map(Some).collect();
        let values = deserialize_parameters(portal, &types)?;
        let (desk, visit) = self.0.desk().await?;
        let answer = desk.ask_prepared(visit, statement.clone(), values).await.map_err(told)?;
        response(statement, answer, &portal.result_column_format, status)
    }
}

#[async_trait]
impl QueryParser for Stay {
    type Statement = Prepared;

    async fn parse_sql<C>(&self, _client: &C, sql: &str, _types: &[Option<Type>]) -> PgWireResult<Option<Prepared>>
    where
        C: ClientInfo + Unpin + Send + Sync,
    {
        let (desk, visit) = self.desk().await?;
        desk.prepare(visit, sql.to_owned()).await.map_err(told)
    }

    fn get_parameter_types(&self, prepared: &Prepared) -> PgWireResult<Vec<Type>> {
        prepared.parameters.iter().map(into_pg_type).collect()
    }

    fn get_result_schema(&self, prepared: &Prepared, format: Option<&Format>) -> PgWireResult<Vec<FieldInfo>> {
        arrow_schema_to_pg_fields(&prepared.columns, format.unwrap_or(&Format::UnifiedText), None)
    }
}

/// What a client hears of a statement that was carried out.
fn response(
    statement: &Statement,
    answer: Option<ResultSet>,
    format: &Format,
    status: TransactionStatus,
) -> PgWireResult<Response> {
    let failed = status == TransactionStatus::Error;
    match statement {
        Statement::Commit if !failed => Ok(Response::TransactionEnd(Tag::new("COMMIT"))),
        Statement::Commit | Statement::Rollback => Ok(Response::TransactionEnd(Tag::new("ROLLBACK"))),
        _ if failed => Err(error("25P02", "the transaction has failed: nothing is answered until it ends", "ROLLBACK")),
        Statement::Begin => Ok(Response::TransactionStart(Tag::new("BEGIN"))),
        Statement::Done(tag) => Ok(Response::Execution(Tag::new(tag))),
        Statement::Read(_) | Statement::Show(..) => {
            answer.map_or(Ok(Response::EmptyQuery), |answer| rows(answer, format))
        }
    }
}

fn rows(answer: ResultSet, format: &Format) -> PgWireResult<Response> {
    let fields = Arc::new(arrow_schema_to_pg_fields(&answer.schema, format, None)?);
    let columns = Arc::clone(&fields);
    let rows = answer.batches.into_iter().flat_map(move |batch| encode_recordbatch(Arc::clone(&columns), batch));
    Ok(Response::Query(QueryResponse::new(fields, stream::iter(rows))))
}

/// An error in the client's language.
#[expect(clippy::needless_pass_by_value, reason = "errors are mapped as they come")]
fn told(error: Error) -> PgWireError {
    let code = match error.fault() {
        Fault::User | Fault::Candidate => "42000",
        Fault::External => "58000",
        Fault::Internal => "XX000",
    };
    self::error(code, &error.to_string(), error.advice().unwrap_or("report this"))
}

fn error(code: &str, message: &str, hint: &str) -> PgWireError {
    let mut info = ErrorInfo::new("ERROR".to_owned(), code.to_owned(), message.to_owned());
    info.hint = Some(hint.to_owned());
    PgWireError::UserError(Box::new(info))
}

#[cfg(test)]
mod tests {
    use arrow::array::{Int64Array, RecordBatch};

    use super::*;

    /// What a client hears of a statement, in a word: a tag, how many columns come back, or the code of an error.
    fn heard(statement: &Statement, answer: Option<ResultSet>, status: TransactionStatus) -> String {
        match response(statement, answer, &Format::UnifiedText, status) {
            Ok(Response::Query(query)) => format!("{} columns", query.row_schema().len()),
            Ok(Response::EmptyQuery) => "empty".to_owned(),
            Ok(Response::Execution(tag)) => format!("done {}", written(tag)),
            Ok(Response::TransactionStart(tag)) => format!("begun {}", written(tag)),
            Ok(Response::TransactionEnd(tag)) => format!("ended {}", written(tag)),
            Ok(_) => "something else".to_owned(),
            Err(PgWireError::UserError(info)) => info.code,
            Err(other) => panic!("{other}"),
        }
    }

    fn written(tag: Tag) -> String {
        pgwire::messages::response::CommandComplete::from(tag).tag
    }

    fn answer() -> ResultSet {
        let column = Arc::new(Int64Array::from(vec![1, 2]));
        let batch = RecordBatch::try_from_iter([("n", column as arrow::array::ArrayRef)]).expect("a batch");
        ResultSet { schema: batch.schema(), batches: vec![batch], truncated: false }
    }

    #[test]
    fn a_transaction_that_failed_answers_nothing_until_it_ends() {
        let show = Statement::Show("a".to_owned(), "b".to_owned());
        let cases = [
            (Statement::Begin, "begun BEGIN", "25P02"),
            (Statement::Commit, "ended COMMIT", "ended ROLLBACK"),
            (Statement::Rollback, "ended ROLLBACK", "ended ROLLBACK"),
            (Statement::Done("SET"), "done SET", "25P02"),
            (show, "1 columns", "25P02"),
        ];
        for (statement, good, failed) in cases {
            assert_eq!(heard(&statement, Some(answer()), TransactionStatus::Idle), good);
            assert_eq!(heard(&statement, Some(answer()), TransactionStatus::Transaction), good);
            assert_eq!(heard(&statement, Some(answer()), TransactionStatus::Error), failed);
        }
        assert_eq!(heard(&Statement::Show(String::new(), String::new()), None, TransactionStatus::Idle), "empty");
    }

    #[test]
    fn whose_fault_an_error_is_stands_in_its_code() {
        let told = |error: Error| match told(error) {
            PgWireError::UserError(info) => (info.code, info.message, info.hint.unwrap_or_default()),
            other => panic!("{other}"),
        };
        let of = |code: &str, message: &str, hint: &str| (code.to_owned(), message.to_owned(), hint.to_owned());
        assert_eq!(told(Error::user("a").hint("h")), of("42000", "a", "h"));
        assert_eq!(told(Error::candidate("a")), of("42000", "a", "report this"));
        assert_eq!(told(Error::external("a").because("b")), of("58000", "a: b", "report this"));
        assert_eq!(told(Error::internal("a")), of("XX000", "a", "report this"));
    }
}
