//! What may be asked: one statement that reads, of a size that can be planned.

use datafusion::execution::session_state::SessionState;
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast;

use crate::error::{Error, Result};

/// The longest query in bytes.
const TEXT_MAX: usize = 100_000;
/// The most operators and joins of a query. Each may be a level of its plan, and levels are walked by recursion.
const STEPS_MAX: usize = 500;
/// What makes a level of a plan without a bracket.
const STEPS: [&str; 14] =
    ["AND", "OR", "NOT", "UNION", "EXCEPT", "INTERSECT", "JOIN", "IS", "LIKE", "BETWEEN", "IN", "CASE", "CAST", "WITH"];

/// The statement of a query.
///
/// # Errors
/// When it is not SQL, is more than one statement, does more than read, or is beyond all measure.
pub(super) fn statement(state: &SessionState, sql: &str) -> Result<Statement> {
    bounded(sql)?;
    if sql.chars().all(|letter| letter == ';' || letter.is_whitespace()) {
        return Err(Error::user("there is no query").hint("for example: SELECT * FROM windows LIMIT 10"));
    }
    let dialect = state.config_options().sql_parser.dialect;
    let statement = state.sql_to_statement(sql, &dialect).map_err(no_query)?;
    reads(&statement)?;
    Ok(statement)
}

/// Checks that a text is of a size that can be planned.
pub(super) fn bounded(sql: &str) -> Result<()> {
    let size = steps(sql);
    if sql.len() > TEXT_MAX || size > STEPS_MAX {
        return Err(Error::user(format!("the query is too large: {} bytes, {size} operators and joins", sql.len()))
            .hint(format!("at most {TEXT_MAX} bytes and {STEPS_MAX} operators and joins")));
    }
    Ok(())
}

/// Checks that a statement does no more than read.
pub(super) fn reads(statement: &Statement) -> Result<()> {
    match refused(statement) {
        None => Ok(()),
        Some(what) => Err(Error::user(format!("{what} is refused: queries only read"))
            .hint("SELECT, WITH, VALUES, EXPLAIN, SHOW TABLES and DESCRIBE are answered")),
    }
}

/// What the parser found.
pub(super) fn no_query(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::user("this is not a query").because(error).hint("one statement of SQL; `haldane sql --help` has examples")
}

/// About how many levels a plan can have beside its brackets, which the parser counts.
fn steps(sql: &str) -> usize {
    let words = sql.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    let words = words.filter(|word| STEPS.iter().any(|step| step.eq_ignore_ascii_case(word))).count();
    let signs = sql.bytes().zip(sql.bytes().skip(1).chain([b' ']));
    words + signs.filter(|&(sign, next)| b"+-*/%|&^=<>".contains(&sign) && sign != next).count()
}

/// What a statement would do besides reading.
fn refused(statement: &Statement) -> Option<String> {
    match statement {
        Statement::Statement(statement) => refused_sql(statement),
        Statement::Explain(explain) => refused(&explain.statement),
        Statement::CreateExternalTable(_) => Some("CREATE EXTERNAL TABLE".to_owned()),
        Statement::CopyTo(_) => Some("COPY".to_owned()),
        Statement::Reset(_) => Some("RESET".to_owned()),
    }
}

fn refused_sql(statement: &ast::Statement) -> Option<String> {
    match statement {
        ast::Statement::Query(query) => refused_body(&query.body),
        ast::Statement::ShowTables { .. }
        | ast::Statement::ShowColumns { .. }
        | ast::Statement::ExplainTable { .. } => None,
        ast::Statement::Explain { statement, .. } => refused_sql(statement),
        other => Some(first_word(&other.to_string())),
    }
}

fn refused_body(body: &ast::SetExpr) -> Option<String> {
    match body {
        ast::SetExpr::Insert(change) | ast::SetExpr::Update(change) | ast::SetExpr::Delete(change) => {
            Some(first_word(&change.to_string()))
        }
        ast::SetExpr::Select(select) if select.into.is_some() => Some("SELECT INTO".to_owned()),
        _ => None,
    }
}

fn first_word(statement: &str) -> String {
    statement.split_whitespace().next().unwrap_or("a statement").to_uppercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operators_and_joins_are_counted_and_words_that_hold_them_are_not() {
        for (sql, n) in [
            ("SELECT a FROM t", 0),
            ("SELECT a AND b or NOT c", 3),
            ("SELECT android, orders, island FROM band", 0),
            ("a IS NULL, b LIKE 'x', c BETWEEN 1 AND 2", 4),
            ("1 + 2 - 3 * 4 / 5 % 6", 5),
            ("a <> b, c >= d, e || f", 5),
            ("a -- b", 1),
            ("", 0),
        ] {
            assert_eq!(steps(sql), n, "{sql}");
        }
    }

    #[test]
    fn a_query_is_as_large_as_can_be_planned() {
        let sum = |n: usize| format!("SELECT 1{}", "+1".repeat(n));
        assert!(bounded(&sum(STEPS_MAX)).is_ok());
        let error = bounded(&sum(STEPS_MAX + 1)).expect_err("too many");
        assert!(error.to_string().contains("501 operators and joins"), "{error}");
        assert!(error.advice().is_some_and(|hint| hint.contains("100000 bytes and 500 operators")));
        assert!(bounded(&" ".repeat(TEXT_MAX)).is_ok() && bounded(&" ".repeat(TEXT_MAX + 1)).is_err());
    }

    fn asked(sql: &str) -> Result<()> {
        let state = datafusion::prelude::SessionContext::new().state();
        statement(&state, sql).map(|_| ())
    }

    #[test]
    fn one_statement_that_reads_is_answered() {
        for sql in [
            "SELECT 1",
            "WITH a AS (SELECT 1) SELECT * FROM a;",
            "VALUES (1), (2)",
            "EXPLAIN SELECT 1",
            "SHOW TABLES",
            "DESCRIBE t",
            "SELECT 1 UNION SELECT 2",
        ] {
            asked(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
        }
        for (sql, says) in [
            ("", "there is no query"),
            (" ; ;", "there is no query"),
            ("SELECT 1; SELECT 2", "this is not a query"),
            ("SELEC 1", "this is not a query"),
            ("EXPLAIN DELETE FROM t", "DELETE is refused"),
            ("EXPLAIN ANALYZE INSERT INTO t VALUES (1)", "INSERT is refused"),
            ("WITH a AS (SELECT 1) INSERT INTO t SELECT * FROM a", "refused"),
            ("RESET datafusion.execution.batch_size", "refused"),
            ("SELECT 1 INTO t", "SELECT INTO is refused"),
            ("TRUNCATE TABLE t", "TRUNCATE is refused"),
        ] {
            let error = asked(sql).expect_err(sql);
            assert!(error.to_string().contains(says) && error.advice().is_some(), "{sql}: {error}");
        }
    }
}
