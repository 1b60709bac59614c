//! What a client says: queries, and what clients say about the session before and between them.

use datafusion::sql::parser::Statement as Parsed;
use datafusion::sql::sqlparser::ast::{self, Expr, Set};

use crate::error::{Error, Result};
use crate::query::guard;

/// Settings that a client may set, to no effect: they say how it is spoken to, and it is spoken to in one way.
const FREE: [&str; 8] = [
    "application_name",
    "bytea_output",
    "client_encoding",
    "client_min_messages",
    "datestyle",
    "extra_float_digits",
    "search_path",
    "standard_conforming_strings",
];

/// A statement of a client's.
#[derive(Debug, Clone)]
pub enum Statement {
    /// A query.
    Read(Box<Parsed>),
    /// What a setting is: its name and its value.
    Show(String, String),
    /// The start of a transaction, which for a reader is nothing.
    Begin,
    /// Its end.
    Commit,
    /// Its end, too.
    Rollback,
    /// Something that is done by saying so.
    Done(&'static str),
}

impl Statement {
    /// What a parsed statement asks for.
    ///
    /// # Errors
    /// When it would write, or set what is not the client's to set.
    pub(super) fn new(parsed: ast::Statement) -> Result<Self> {
        match parsed {
            ast::Statement::StartTransaction { .. } => Ok(Self::Begin),
            ast::Statement::Commit { .. } => Ok(Self::Commit),
            ast::Statement::Rollback { savepoint: None, .. } => Ok(Self::Rollback),
            ast::Statement::Discard { .. } => Ok(Self::Done("DISCARD")),
            ast::Statement::Deallocate { .. } => Ok(Self::Done("DEALLOCATE")),
            ast::Statement::Set(set) => may_set(&set).map(|()| Self::Done("SET")),
            ast::Statement::ShowVariable { variable } => {
                let words: Vec<_> = variable.iter().map(|word| word.value.to_lowercase()).collect();
                shown(&words.join("_"))
            }
            query => {
                let query = Parsed::Statement(Box::new(query));
                guard::reads(&query)?;
                Ok(Self::Read(Box::new(query)))
            }
        }
    }
}

fn may_set(set: &Set) -> Result<()> {
    let name = match set {
        Set::SingleAssignment { variable, .. } if is_free(&variable.to_string()) => return Ok(()),
        Set::SetTimeZone { value, .. } if is_utc(value) => return Ok(()),
        Set::SetNames { .. } | Set::SetTransaction { .. } | Set::SetSessionParam(_) => return Ok(()),
        Set::SingleAssignment { variable, .. } => variable.to_string(),
        Set::SetTimeZone { .. } => "the time zone".to_owned(),
        other => other.to_string(),
    };
    Err(Error::user(format!("setting {name} is refused: queries only read, within the bounds of this server"))
        .hint("times are told in UTC; AT TIME ZONE converts them"))
}

fn is_free(name: &str) -> bool {
    FREE.iter().any(|free| free.eq_ignore_ascii_case(name))
}

fn is_utc(zone: &Expr) -> bool {
    let zone = zone.to_string();
    ["UTC", "Etc/UTC", "GMT", "DEFAULT"].iter().any(|utc| zone.trim_matches(['\'', '"']).eq_ignore_ascii_case(utc))
}

/// The answer to `SHOW name`.
fn shown(name: &str) -> Result<Statement> {
    let value = match name {
        "client_encoding" | "server_encoding" => "UTF8",
        "datestyle" => "ISO, MDY",
        "default_transaction_read_only" | "standard_conforming_strings" | "transaction_read_only" => "on",
        "max_identifier_length" => "63",
        "search_path" => "public",
        "server_version" => SERVER_VERSION,
        "timezone" | "time_zone" => "UTC",
        "transaction_isolation" | "transaction_isolation_level" => "read committed",
        _ => return Err(Error::user(format!("there is no setting `{name}` to show")).hint("SHOW TABLES lists tables")),
    };
    Ok(Statement::Show(name.to_owned(), value.to_owned()))
}

/// The version of `PostgreSQL` whose catalog is imitated, as clients look for it.
pub const SERVER_VERSION: &str = concat!("16.6 (haldane ", env!("CARGO_PKG_VERSION"), ")");

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion_pg_catalog::sql::PostgresCompatibilityParser;

    fn asked(sql: &str) -> Result<Statement> {
        Statement::new(PostgresCompatibilityParser::new().parse(sql).unwrap().remove(0))
    }

    #[test]
    fn clients_may_set_how_they_are_spoken_to_and_nothing_else() {
        for free in [
            "SET application_name = 'grafana'",
            "SET extra_float_digits TO 3",
            "SET SESSION DateStyle = 'ISO'",
            "SET TIME ZONE 'UTC'",
            "SET NAMES 'UTF8'",
            "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
        ] {
            assert!(matches!(asked(free), Ok(Statement::Done("SET"))), "{free}");
        }
        for bound in [
            "SET statement_timeout = 0",
            "SET datafusion.execution.batch_size = 1",
            "SET datafusion.runtime.memory_limit = '100G'",
            "SET TIME ZONE 'Europe/Berlin'",
            "SET ROLE admin",
        ] {
            let error = asked(bound).unwrap_err().to_string();
            assert!(error.contains("is refused: queries only read, within the bounds"), "{bound}: {error}");
        }
    }

    #[test]
    fn what_clients_say_between_queries_is_understood() {
        assert!(matches!(asked("BEGIN READ ONLY"), Ok(Statement::Begin)));
        assert!(matches!(asked("COMMIT"), Ok(Statement::Commit)));
        assert!(matches!(asked("ROLLBACK"), Ok(Statement::Rollback)));
        assert!(matches!(asked("DISCARD ALL"), Ok(Statement::Done("DISCARD"))));
        let shows = |sql| match asked(sql).unwrap() {
            Statement::Show(_, value) => value,
            other => panic!("{other:?}"),
        };
        assert_eq!(shows("SHOW TRANSACTION ISOLATION LEVEL"), "read committed");
        assert_eq!(shows("SHOW TimeZone"), "UTC");
        assert_eq!(asked("SHOW nonsense").unwrap_err().to_string(), "there is no setting `nonsense` to show");
        assert!(asked("DECLARE c CURSOR FOR SELECT 1").is_err());
        assert!(asked("DROP TABLE windows").is_err());
    }
}
