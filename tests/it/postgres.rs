//! SQL over the PostgreSQL wire protocol, asked by the real psql and by psycopg: the same numbers, and no harm done.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use haldane::config::Power;
use haldane::query::{Desk, QueryLimits, Session};
use haldane::serve::postgres::Host;
use haldane::serve::{Access, Shared};
use haldane::store::Store;

use crate::sql;

/// A server over the store of frauds.
fn host(limits: QueryLimits, access: Option<Access>) -> Host {
    host_over(sql::fraud(), limits, access)
}

fn host_over(store: &Path, limits: QueryLimits, access: Option<Access>) -> Host {
    let shared = Arc::new(Shared::new());
    let store = Store::open(store.to_str().unwrap()).unwrap();
    shared.answer_queries(Desk::open(Session::new(limits).unwrap().with_store(store)).unwrap());
    access.into_iter().for_each(|access| shared.admit(access));
    Host::start("127.0.0.1:0", shared).unwrap()
}

/// Runs psql: each command is sent by itself, whatever became of the one before.
pub(crate) fn psql_as(address: SocketAddr, user: &str, password: &str, commands: &[&str]) -> Output {
    let (ip, port) = (address.ip().to_string(), address.port().to_string());
    let mut psql = Command::new("psql");
    psql.args(["-X", "-A", "-t", "-w", "-h", &ip, "-p", &port, "-U", user, "-d", "haldane"]);
    psql.env("PGPASSWORD", password).env("PGCONNECT_TIMEOUT", "20");
    for command in commands {
        psql.args(["-c", *command]);
    }
    psql.output().unwrap_or_else(|error| panic!("cannot run psql, of the package postgresql-client: {error}"))
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What psql prints, where all goes well.
fn psql(host: &Host, commands: &[&str]) -> String {
    let output = psql_as(host.address(), "anybody", "", commands);
    let said = text(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{commands:?}\n{said}");
    text(&output.stdout)
}

/// What psql complains of, and that the connection answers afterwards.
fn complaint(host: &Host, command: &str) -> String {
    let output = psql_as(host.address(), "anybody", "", &[command, "SELECT 1 + 1"]);
    assert_eq!(text(&output.stdout), "2\n", "after {command}: {}", text(&output.stderr));
    text(&output.stderr)
}

#[test]
fn psql_looks_around_and_reads() {
    let host = host(QueryLimits::default(), None);
    let tables = psql(&host, &["\\d"]);
    for table in ["windows", "verdicts", "decisions", "commands", "panes", "columns", "quality"] {
        assert!(tables.contains(&format!("public|{table}|table|")), "{table} in\n{tables}");
    }
    let columns = psql(&host, &["\\d windows"]);
    for column in ["metric|text|", "value|double precision|", "window_start|timestamp with time zone|", "date|date|"] {
        assert!(columns.contains(column), "{column} in\n{columns}");
    }
    let said = psql(&host, &["BEGIN", "SHOW TimeZone", "SELECT current_database()", "COMMIT", "SET DateStyle = 'ISO'"]);
    assert_eq!(said, "BEGIN\nUTC\nhaldane\nCOMMIT\nSET\n");
    for table in ["windows", "verdicts", "decisions", "commands", "panes", "columns", "quality"] {
        psql(&host, &[&format!("SELECT * FROM {table} LIMIT 3")]);
    }
}

#[test]
fn metrics_are_the_same_numbers_over_the_wire() {
    let host = host(QueryLimits::default(), None);
    let side = |is: &str| format!("hist_merge(histogram) FILTER (WHERE version {is} '2024.1')");
    for metric in ["psi", "ks", "hellinger"] {
        let query = format!(
            "SELECT {metric}({}, {}) FROM panes WHERE \"column\" = 'amount' AND kind = 'numeric' AND part = 'traffic'",
            side("<>"),
            side("=")
        );
        let told: f64 = psql(&host, &[&query]).trim().parse().unwrap();
        assert_eq!(told.to_bits(), sql::number(&query).to_bits(), "{metric}");
    }
    // As Grafana writes time series.
    let series =
        "SELECT floor(extract(epoch FROM window_start) / 3600) * 3600 AS \"time\", max(value) AS psi FROM windows
        WHERE window_start BETWEEN '2026-01-01T00:00:00Z' AND '2026-01-02T00:00:00Z' AND metric = 'psi'
        GROUP BY 1 ORDER BY 1";
    let told = psql(&host, &[series]).lines().count();
    assert!(told > 0 && told == sql::rows(series).len(), "{told} points");
}

/// Asks with parameters, in text and in binary, and prints types and values.
const PARAMETERS: &str = r#"
import sys, psycopg
with psycopg.connect(host="127.0.0.1", port=sys.argv[1], user="ana", password="token-of-ana-token", dbname="haldane", autocommit=True) as connection:
    for binary in [False, True]:
        rows = connection.cursor(binary=binary)
        rows.execute("SELECT count(*), sum(value), min(window_start) FROM windows WHERE metric = %s AND n > %s", ("psi", 100), prepare=True)
        n, total, first = rows.fetchone()
        print(n, repr(total), first.isoformat())
    try:
        connection.execute("SELECT * FROM windows WHERE metric = %s AND nothing = 1", ("psi",))
    except psycopg.Error as error:
        print(error.sqlstate, error.diag.message_primary.splitlines()[0][:29])
    with connection.transaction():
        print(connection.execute("SELECT %s::text", ("still here",)).fetchone()[0])
"#;

#[test]
fn programs_log_in_and_ask_with_parameters() {
    let access = Access::default().with("ana", &[Power::Viewer], "token-of-ana-token").unwrap();
    let host = host(QueryLimits::default(), Some(access));
    let python = sql::python().unwrap_or_else(|reason| panic!("no Python to test with: {reason}"));
    let port = host.address().port().to_string();
    let output = Command::new(python).args(["-c", PARAMETERS, &port]).output().unwrap();
    let said = text(&output.stdout);
    assert!(output.status.success(), "{said}{}", text(&output.stderr));
    let of = |what: &str| {
        sql::rows(&format!("SELECT {what} AS it FROM windows WHERE metric = 'psi' AND n > 100"))[0]["it"].clone()
    };
    let mut lines = said.lines();
    for format in ["text", "binary"] {
        let words: Vec<&str> = lines.next().unwrap().split(' ').collect();
        assert_eq!(words[0], of("count(*)").to_string(), "{format}");
        let total: f64 = words[1].parse().unwrap();
        assert!((total - of("sum(value)").as_f64().unwrap()).abs() < 1e-9 * total, "{format}: {total}");
        let first = of("min(window_start)").as_str().unwrap().replace('Z', "+00:00");
        assert_eq!(words[2], first, "{format}");
    }
    assert_eq!(lines.next(), Some("42000 the query cannot be answered:"));
    assert_eq!(lines.next(), Some("still here"));
}

#[test]
fn only_people_with_a_token_of_their_own_are_let_in() {
    let people = ["ana", "oli"];
    let access = people.into_iter().fold(Access::default(), |access, name| {
        access.with(name, &[Power::Viewer], &format!("token-of-{name}-token")).unwrap()
    });
    let host = host(QueryLimits::default(), Some(access));
    let login = |user, password| psql_as(host.address(), user, password, &["SELECT 'in'"]);
    assert_eq!(text(&login("ana", "token-of-ana-token").stdout), "in\n");
    for (user, password) in
        [("ana", "token-of-oli-token"), ("eve", "token-of-ana-token"), ("ana", "wrong"), ("ana", "")]
    {
        let output = login(user, password);
        assert!(!output.status.success() && output.stdout.is_empty(), "{user} {password}");
        let complaint = text(&output.stderr).to_lowercase();
        assert!(complaint.contains("password"), "{complaint}");
    }
}

#[test]
fn clients_only_read() {
    let host = host(QueryLimits::default(), None);
    for (sql, word) in [
        ("DROP TABLE windows", "DROP"),
        ("CREATE TABLE t AS SELECT 1", "CREATE"),
        ("INSERT INTO windows VALUES (1)", "INSERT"),
        ("DELETE FROM windows", "DELETE"),
        ("UPDATE windows SET n = 0", "UPDATE"),
        ("TRUNCATE windows", "TRUNCATE"),
        ("COPY windows TO STDOUT", "COPY"),
        ("COPY windows FROM STDIN", "COPY"),
        ("SELECT 1 INTO t", "SELECT INTO"),
        ("EXPLAIN DROP TABLE windows", "DROP"),
        ("BEGIN; DROP TABLE windows", "DROP"),
    ] {
        let said = complaint(&host, sql);
        assert!(said.starts_with(&format!("ERROR:  {word} is refused: queries only read\nHINT:  ")), "{sql}: {said}");
    }
    for limit in ["statement_timeout = 0", "datafusion.runtime.memory_limit = '100G'", "work_mem = '10GB'"] {
        let said = complaint(&host, &format!("SET {limit}"));
        assert!(said.starts_with("ERROR:  setting ") && said.contains("is refused"), "{limit}: {said}");
    }
    assert!(complaint(&host, "SELECT 1; SELECT 2").contains("only one query can be sent at a time"));
    let failed = psql_as(host.address(), "anybody", "", &["BEGIN", "DROP TABLE windows", "SELECT 1", "COMMIT"]);
    assert_eq!(text(&failed.stdout), "BEGIN\nROLLBACK\n", "a failed transaction answers nothing");
}

#[test]
fn mistakes_and_harm_end_and_the_next_question_is_answered() {
    let limits = QueryLimits { memory: 64 << 20, rows: 100, ..QueryLimits::default() };
    let patient = host(limits, None);
    for (sql, says) in [
        ("SELEKT 1", "this is not a query"),
        ("SELECT * FROM widows", "there is no table `widows`\nHINT:  did you mean `windows`?"),
        ("SELECT modle FROM windows", "modle"),
        ("SELECT * FROM '/etc/passwd'", "there is no table"),
        ("SELECT n FROM windows", "the answer has more than 100 rows\nHINT:  say how many with LIMIT"),
    ] {
        let said = complaint(&patient, sql);
        assert!(said.starts_with("ERROR:  ") && said.contains(says), "{sql}: {said}");
    }
    let nested = format!("SELECT {}1{}", "(".repeat(3_000), ")".repeat(3_000));
    assert!(complaint(&patient, &nested).contains("this is not a query"));
    assert!(complaint(&patient, &format!("SELECT {}1", "1 + ".repeat(20_000))).contains("the query is too large"));
    let hurried = host(QueryLimits { time: Duration::from_millis(500), ..limits }, None);
    let endless = "WITH RECURSIVE t AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM t) SELECT count(*) FROM t";
    assert!(complaint(&hurried, endless).contains("0.5 s and was stopped"));
}

#[test]
fn a_taken_port_and_a_store_out_of_reach_are_told() {
    let scratch = tempfile::tempdir().unwrap();
    crate::store::replay_fraud(scratch.path(), &[]);
    let host = host_over(scratch.path(), QueryLimits::default(), None);
    let taken = Host::start(host.address(), Arc::new(Shared::new())).unwrap_err();
    assert!(taken.to_string().starts_with("cannot listen on 127.0.0.1:"), "{taken}");

    assert!(psql(&host, &["SELECT count(*) > 0 FROM windows"]).starts_with('t'));
    let away = scratch.path().with_extension("away");
    std::fs::rename(scratch.path(), &away).unwrap();
    let output = psql_as(host.address(), "anybody", "", &["SELECT count(*) FROM windows"]);
    let said = text(&output.stderr);
    assert!(said.starts_with("ERROR:  the store at ") && said.contains(" has gone"), "{}{said}", text(&output.stdout));
    std::fs::rename(&away, scratch.path()).unwrap();
    assert!(psql(&host, &["SELECT count(*) > 0 FROM windows"]).starts_with('t'));

    let nothing = Host::start("127.0.0.1:0", Arc::new(Shared::new())).unwrap();
    let output = psql_as(nothing.address(), "anybody", "", &["SELECT 1"]);
    assert!(text(&output.stderr).contains("this process keeps no store"), "{}", text(&output.stderr));
}

#[test]
fn the_command_listens_on_this_machine_alone() {
    let store = sql::fraud().to_str().unwrap();
    let error = crate::store::haldane(&["sql", "--store", store, "--listen", "0.0.0.0:0"]).unwrap_err();
    assert!(error.to_string().contains("only this machine may ask"), "{error}");

    let output = psql_as(Server::start().address, "anybody", "", &["SELECT count(*) > 0 FROM decisions"]);
    assert_eq!(text(&output.stdout), "t\n", "{}", text(&output.stderr));
}

/// A server in a process of its own.
pub(crate) struct Server {
    pub(crate) process: Child,
    pub(crate) address: SocketAddr,
}

impl Server {
    /// A server over the store of frauds that lets queries take their time, within 64 MiB.
    pub(crate) fn start() -> Self {
        let store = sql::fraud().to_str().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_haldane"));
        command.args(["sql", "--store", store, "--listen", "127.0.0.1:0", "--time", "1h", "--memory", "64"]);
        let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let port: u16 = line.split(' ').nth(4).unwrap().parse().unwrap();
        Self { process, address: SocketAddr::from(([127, 0, 0, 1], port)) }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}
