//! SQL over a store and over files: numbers equal to the engine's, and queries that mean harm.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use haldane::error::{Error, Result};
use haldane::query::{Desk, OutputFormat, QueryLimits, ResultSet, Session};
use haldane::serve::{Server, Shared};
use haldane::store::Store;
use serde_json::{Value, json};

use crate::store::{haldane, pipeline, replay_fraud};

/// A store with the example of frauds in it, made once.
pub fn fraud() -> &'static Path {
    static STORE: OnceLock<tempfile::TempDir> = OnceLock::new();
    let made = || {
        let scratch = tempfile::tempdir().unwrap();
        replay_fraud(scratch.path(), &[]);
        scratch
    };
    STORE.get_or_init(made).path()
}

fn url() -> &'static str {
    fraud().to_str().unwrap()
}

fn desk(limits: QueryLimits) -> Desk {
    desk_over(url(), limits)
}

fn desk_over(store: &str, limits: QueryLimits) -> Desk {
    Desk::open(Session::new(limits).unwrap().with_store(Store::open(store).unwrap()).with_paths()).unwrap()
}

fn ask(sql: &str) -> Result<ResultSet> {
    static DESK: OnceLock<Desk> = OnceLock::new();
    DESK.get_or_init(|| desk(QueryLimits::default())).ask(sql)
}

pub fn rows(sql: &str) -> Vec<Value> {
    rows_in(&ask(sql).unwrap_or_else(|error| panic!("{error}\n{sql}")))
}

fn rows_in(answer: &ResultSet) -> Vec<Value> {
    serde_json::from_slice(&answer.write(OutputFormat::Json).unwrap()).unwrap()
}

pub fn number(sql: &str) -> f64 {
    let all = rows(sql);
    let first = all[0].as_object().unwrap().values().next().unwrap();
    first.as_f64().unwrap_or_else(|| panic!("{first} of {sql}"))
}

fn predictions() -> String {
    pipeline("data/fraud.predictions.parquet").display().to_string()
}

/// Windows of one metric against the baseline version, and the same computed again from panes by `again`.
fn recomputed(metric: &str, again: &str) -> String {
    format!(
        "SELECT w.value, {again} AS again FROM windows w JOIN panes p
         ON p.\"column\" = w.\"column\" AND p.part = 'traffic' AND p.kind IN ('numeric', 'categorical')
            AND p.pane_start >= w.window_start AND p.pane_start < w.window_end
         WHERE w.metric = '{metric}' AND w.baseline LIKE 'concurrent:%' AND w.segment = '' AND w.status = 'ok'
         GROUP BY w.window_start, w.version, w.\"column\", w.value"
    )
}

/// Holds each distance between two versions of a store against the same one from panes.
fn recompute(rows: impl Fn(&str) -> Vec<Value>) {
    let side = |version: &str| format!("hist_merge(p.histogram) FILTER (WHERE p.version = {version})");
    let sides = format!("{}, {}", side("w.version"), side("'2024.1'"));
    for metric in ["psi", "js_distance", "hellinger", "total_variation", "chi_square", "ks"] {
        let both = rows(&recomputed(metric, &format!("{metric}({sides})")));
        assert!(both.len() > 50, "{metric}: {}", both.len());
        let differing =
            both.iter().find(|row| row["value"].as_f64().map(f64::to_bits) != row["again"].as_f64().map(f64::to_bits));
        assert_eq!(differing, None, "{metric}");
    }
}

#[test]
fn windows_are_recomputed_from_panes_to_the_last_bit() {
    recompute(rows);
}

#[test]
fn where_both_sides_lie_beyond_all_fine_bins_they_are_recomputed_too() {
    let scratch = tempfile::tempdir().unwrap();
    let [config, store] = ["fraud.yaml", "store"].map(|name| scratch.path().join(name).display().to_string());
    let text = std::fs::read_to_string(pipeline("fraud.yaml")).unwrap();
    let narrow = text.replace("path: amount, range: [0, 5000]", "path: amount, range: [0, 0.01]");
    assert_ne!(narrow, text);
    std::fs::write(&config, narrow).unwrap();
    haldane(&["replay", "--quiet", "-c", &config, "--store", &store, &predictions()]).unwrap();
    let desk = desk_over(&store, QueryLimits::default());
    let rows = |sql: &str| rows_in(&desk.ask(sql).unwrap());
    let far = rows(
        "SELECT ks FROM (SELECT value AS ks FROM windows WHERE metric = 'ks' AND \"column\" = 'amount'
                    AND baseline LIKE 'concurrent:%' AND segment = '' AND status = 'ok') WHERE ks > 0",
    );
    assert!(far.len() > 10, "they are told apart: {}", far.len());
    recompute(rows);
}

#[test]
fn latency_is_recomputed_from_panes_to_the_last_bit() {
    let both = rows(
        "SELECT w.value, latency_quantile(hist_merge(p.latency), 0.99) AS again FROM windows w JOIN panes p
         ON p.version = w.version AND p.kind = 'latency' AND p.pane_start >= w.window_start AND p.pane_start < w.window_end
         WHERE w.metric = 'latency_p99' AND w.segment = '' GROUP BY w.window_start, w.version, w.value",
    );
    assert!(both.len() > 20, "{}", both.len());
    assert!(both.iter().all(|row| row["value"] == row["again"]), "{both:?}");
}

#[test]
fn labels_are_recomputed_from_panes_to_the_last_bit() {
    for (metric, convention) in [
        ("ece", "equal_width_10"),
        ("brier", "exact_sum"),
        ("log_loss", "clipped_1e-15"),
        ("auc", "fine_bins"),
        ("accuracy", "exact"),
        ("calibration_in_the_large", "exact_sum"),
    ] {
        let both = rows(&format!(
            "SELECT w.value, {metric}(p.labels) AS again FROM windows w JOIN panes p
             ON p.version = w.version AND p.kind = 'labels' AND p.part = 'labels_in_time'
                AND p.pane_start >= w.window_start AND p.pane_start < w.window_end
             WHERE w.metric = '{metric}' AND w.convention = '{convention}' AND w.segment = '' AND w.revision = 0
                AND w.status = 'ok' GROUP BY w.window_start, w.version, w.value"
        ));
        assert!(both.len() > 20, "{metric}: {}", both.len());
        let differing =
            both.iter().find(|row| row["value"].as_f64().map(f64::to_bits) != row["again"].as_f64().map(f64::to_bits));
        assert_eq!(differing, None, "{metric}");
    }
    let error = ask("SELECT ece(model) FROM panes").unwrap_err().to_string();
    assert!(error.contains("ece takes a score and a label, or the column `labels` of panes"), "{error}");
}

#[test]
fn raw_events_give_numbers_within_the_certified_bounds() {
    let bounds = rows(
        "SELECT window_start::bigint AS at, window_end::bigint AS until, low, high FROM windows
         WHERE metric = 'ks' AND \"column\" = 'amount' AND baseline LIKE 'concurrent:%' AND segment = '' AND status = 'ok'",
    );
    assert!(bounds.len() > 10);
    for row in bounds {
        let inside = format!("scored_at * 1000 >= {} AND scored_at * 1000 < {}", row["at"], row["until"]);
        let file = predictions();
        let ks = number(&format!("SELECT drift_ks(amount, model_version <> '2024.1') FROM '{file}' WHERE {inside}"));
        let (low, high) = (row["low"].as_f64().unwrap(), row["high"].as_f64().unwrap());
        assert!((low - 1e-9..=high + 1e-9).contains(&ks), "{low} <= {ks} <= {high}");
    }
}

#[test]
fn labelled_rows_are_judged_as_by_hand() {
    let joined = format!(
        "FROM '{}' p JOIN '{}' o ON p.transaction_id = o.transaction_id WHERE p.probability IS NOT NULL",
        predictions(),
        pipeline("data/fraud.outcomes.parquet").display()
    );
    let label = "CASE WHEN o.is_fraud THEN 1.0 ELSE 0.0 END";
    let differ =
        number(&format!("SELECT abs(brier(p.probability, {label}) - avg(power(p.probability - {label}, 2))) {joined}"));
    assert!(differ < 1e-12, "{differ}");
    for metric in ["ece", "auc", "log_loss"] {
        let value = number(&format!("SELECT {metric}(p.probability, {label}) {joined}"));
        assert!((0.0..2.0).contains(&value), "{metric} {value}");
    }
    let categories = number(&format!("SELECT drift_psi(currency, model_version <> '2024.1') FROM '{}'", predictions()));
    assert!((0.0..0.1).contains(&categories), "{categories}");
}

#[test]
fn every_table_can_be_listed_described_and_read() {
    let names: Vec<Value> = rows("SHOW TABLES").into_iter().map(|row| row["table_name"].clone()).collect();
    for table in ["windows", "verdicts", "decisions", "commands", "panes", "columns", "quality"] {
        assert!(names.contains(&json!(table)), "{table} in {names:?}");
        assert!(rows(&format!("DESCRIBE {table}")).len() > 5);
        rows(&format!("SELECT * FROM {table} LIMIT 3"));
    }
    let days =
        rows("SELECT count(*) AS n, min(date) AS first FROM windows WHERE date = '2026-01-01' AND model = 'fraud'");
    assert_eq!(days[0]["first"], "2026-01-01");
    assert!(days[0]["n"].as_u64().unwrap() > 1000);
    let read = rows("SELECT topic, sum(rows) AS n, max(next_offset) AS next FROM quality GROUP BY 1 ORDER BY 1");
    assert!(
        read.len() == 2 && read.iter().all(|row| row["n"] == row["next"]),
        "every record is counted once: {read:?}"
    );
    let evidence = rows("SELECT one['metric'] AS metric FROM (SELECT unnest(evidence) AS one FROM decisions)");
    assert!(!evidence.is_empty());
}

#[test]
fn the_command_writes_every_format_and_names_files() {
    let scratch = tempfile::tempdir().unwrap();
    let csv = scratch.path().join("numbers.csv");
    std::fs::write(&csv, "id,x\n1,2.5\n2,3.5\n").unwrap();
    let jsonl = scratch.path().join("more.jsonl");
    std::fs::write(&jsonl, "{\"id\":1,\"y\":\"a\"}\n{\"id\":2,\"y\":\"b\"}\n").unwrap();
    let file = format!("n={}", csv.display());
    let query = format!("SELECT n.id, x, y FROM n JOIN '{}' m USING (id) ORDER BY 1", jsonl.display());
    let asked = |format: &str| haldane(&["sql", "--file", &file, "--format", format, &query]).unwrap();
    assert_eq!(asked("csv"), "id,x,y\n1,2.5,a\n2,3.5,b\n");
    assert_eq!(asked("json"), "[{\"id\":1,\"x\":2.5,\"y\":\"a\"},{\"id\":2,\"x\":3.5,\"y\":\"b\"}]\n");
    assert!(asked("table").contains("| 1  | 2.5 | a |"));
    let store = haldane(&["store", "status", url(), "--verify"]).unwrap();
    assert!(store.starts_with("pipeline fraud\n") && store.ends_with("every file is whole\n"), "{store}");
}

/// Checks that a query is refused, with words and a hint.
fn refused(sql: &str, says: &str) {
    let error = match ask(sql) {
        Err(error) => error,
        Ok(answer) => panic!("{sql} was answered with {} rows", answer.rows()),
    };
    assert!(error.to_string().contains(says), "{sql}: {error}");
    assert!(error.advice().is_some(), "{sql}: {error} has no hint");
    still_answers();
}

fn still_answers() {
    assert_eq!(rows("SELECT 1 + 1 AS two"), [json!({"two": 2})]);
}

#[test]
fn queries_only_read() {
    for (sql, word) in [
        ("DROP TABLE windows", "DROP"),
        ("CREATE TABLE t AS SELECT 1", "CREATE"),
        ("CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '/etc/passwd'", "CREATE EXTERNAL TABLE"),
        ("INSERT INTO windows VALUES (1)", "INSERT"),
        ("DELETE FROM windows", "DELETE"),
        ("UPDATE windows SET n = 0", "UPDATE"),
        ("COPY windows TO '/tmp/stolen.csv'", "COPY"),
        ("SET datafusion.execution.batch_size = 1", "SET"),
        ("SELECT 1 INTO t", "SELECT INTO"),
        ("EXPLAIN DROP TABLE windows", "DROP"),
    ] {
        refused(sql, &format!("{word} is refused: queries only read"));
    }
    refused("SELECT 1; SELECT 2", "this is not a query");
    refused("", "there is no query");
    refused("SELEKT 1", "this is not a query");
    assert!(!Path::new("/tmp/stolen.csv").exists());
}

#[test]
fn what_is_not_there_is_named_with_what_is_near() {
    refused("SELECT * FROM widows", "there is no table `widows`");
    assert_eq!(ask("SELECT * FROM widows").unwrap_err().advice(), Some("did you mean `windows`?"));
    refused("SELECT * FROM 'nothing.parquet'", "there is no file nothing.parquet");
    refused("SELECT modle FROM windows", "modle");
    refused("SELECT psy(1, 2)", "psy");
    refused("SELECT psi(n, n) FROM windows", "drift_psi");
    refused("SELECT hist_merge(histogram) FROM panes", "cannot be added");
}

#[test]
fn a_damaged_file_is_an_error_and_no_more() {
    let scratch = tempfile::tempdir().unwrap();
    let file = scratch.path().join("damaged.parquet");
    let bytes = std::fs::read(predictions()).unwrap();
    std::fs::write(&file, &bytes[..bytes.len() / 2]).unwrap();
    refused(&format!("SELECT * FROM '{}'", file.display()), "damaged.parquet");
    let mut broken = bytes;
    broken[100..4_000].fill(0xA5);
    std::fs::write(&file, broken).unwrap();
    refused(&format!("SELECT sum(amount), max(transaction_id), max(scored_at) FROM '{}'", file.display()), "read");
}

#[test]
fn deep_and_endless_queries_end() {
    let nested = format!("SELECT {}1{}", "(".repeat(3_000), ")".repeat(3_000));
    refused(&nested, "this is not a query");
    refused(&format!("SELECT {}1", "1 + ".repeat(20_000)), "the query is too large");
    refused(&format!("SELECT 1 {}", "UNION ALL SELECT 1 ".repeat(3_000)), "the query is too large");
    let many = format!("SELECT {}1", "1 + ".repeat(450));
    assert_eq!(ask(&many).unwrap().rows(), 1);

    // Long beside what `SELECT 1` takes on a busy machine.
    let hurried = desk(QueryLimits { time: Duration::from_secs(3), memory: 64 << 20, ..QueryLimits::default() });
    let slow = |sql: &str| -> Error { hurried.ask(sql).map(|answer| answer.rows()).unwrap_err() };
    for sql in [
        "WITH RECURSIVE t AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM t) SELECT count(*) FROM t",
        "SELECT count(*) FROM windows a, windows b, windows c WHERE a.n + b.n + c.n = -1",
    ] {
        let error = slow(sql).to_string();
        assert!(error.contains("was stopped") || error.contains("more memory"), "{error}");
        assert_eq!(hurried.ask("SELECT 1").unwrap().rows(), 1, "the next one is answered");
    }
}

#[test]
fn series_are_made_within_the_bounds() {
    let hours = "generate_series(TIMESTAMP '2026-01-01T00:00:00', TIMESTAMP '2026-01-01T02:00:00', INTERVAL '1 hour')";
    for (sql, expected) in [
        ("SELECT sum(value) FROM generate_series(1, 4)", 10.0),
        ("SELECT sum(i) FROM range(0, 4) AS r(i)", 6.0),
        (&format!("SELECT count(*) FROM {hours}"), 3.0),
    ] {
        assert!((number(sql) - expected).abs() < 1e-9, "{sql}");
    }
    refused("SELECT * FROM generate_serie(1, 2)", "there is no table `generate_serie`");
    refused("SELECT * FROM generate_series", "'haldane.public.generate_series' not found");
    refused("SELECT * FROM generate_series(1, 2, 0)", "Step cannot be zero");
    for unbounded in
        ["range(0, 9)", "generate_series(0, 9)", "array_repeat(1, 9)", "array_resize([1], 9)", "repeat('x', 9)"]
    {
        refused(&format!("SELECT {unbounded}"), "Invalid function");
    }
}

#[test]
fn endless_joins_are_stopped_and_free_their_only_thread() {
    let limits = QueryLimits { time: Duration::from_secs(1), memory: 64 << 20, threads: 1, ..QueryLimits::default() };
    let hurried = desk(limits);
    let (many, endless) = ("generate_series(1, 2000000)", "generate_series(1, 1e13::bigint)");
    for (sql, says) in [
        (format!("SELECT count(*) FROM {endless} WHERE value < 0"), "1 s and was stopped"),
        (format!("SELECT count(*) FROM {many} a, {endless} b WHERE a.value + b.value < 0"), "1 s and was stopped"),
        (format!("SELECT sum(a.value + b.value) FROM {many} a, {endless} b"), "1 s and was stopped"),
        (
            format!(
                "SELECT count(*) FROM {many} a JOIN {endless} b ON a.value % 2 = b.value % 2 WHERE a.value + b.value < 0"
            ),
            "1 s and was stopped",
        ),
    ] {
        let error = hurried.ask(&sql).map(|answer| answer.rows()).unwrap_err().to_string();
        assert!(error.contains(says), "{sql}: {error}");
        assert_eq!(hurried.ask("SELECT 1").unwrap().rows(), 1, "after {sql}");
    }
    // What takes memory is refused long before this time is up.
    let patient = desk(QueryLimits { time: Duration::from_mins(2), ..limits });
    for sql in [
        format!("SELECT count(*) FROM {endless} a, {endless} b WHERE a.value + b.value < 0"),
        format!("SELECT value FROM {endless} ORDER BY -value"),
    ] {
        let error = patient.ask(&sql).map(|answer| answer.rows()).unwrap_err().to_string();
        assert!(error.contains("more memory"), "{sql}: {error}");
        assert_eq!(patient.ask("SELECT 1").unwrap().rows(), 1, "after {sql}");
    }
}

#[test]
fn memory_and_rows_are_bounded() {
    let small = desk(QueryLimits { memory: 2 << 20, rows: 100, ..QueryLimits::default() });
    let error =
        small.ask("SELECT a.*, b.* FROM windows a JOIN windows b ON a.metric = b.metric ORDER BY a.value, b.value");
    let error = error.map(|answer| answer.rows()).unwrap_err().to_string();
    assert!(error.contains("more memory"), "{error}");
    let answer = small.ask("SELECT n FROM windows").unwrap();
    assert_eq!((answer.rows(), answer.truncated), (100, true));
    assert!(!small.ask("SELECT n FROM windows LIMIT 100").unwrap().truncated);
}

/// Sends a query; status, headers and body.
fn post(address: SocketAddr, accept: &str, body: &str) -> (u16, String, Vec<u8>) {
    let mut stream = TcpStream::connect(address).unwrap();
    let length = body.len();
    write!(
        stream,
        "POST /v1/sql HTTP/1.1\r\nHost: haldane\r\nAccept: {accept}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
    .unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), head, bytes[end + 4..].to_vec())
}

#[test]
fn http_answers_in_three_formats_and_survives_harm() {
    let shared = Arc::new(Shared::new());
    let server = Server::start("127.0.0.1:0", Arc::clone(&shared)).unwrap();
    let address = server.address();
    let (status, _, body) = post(address, "*/*", "SELECT 1");
    assert_eq!(status, 404, "{}", String::from_utf8_lossy(&body));

    let limits = QueryLimits { time: Duration::from_secs(5), rows: 50, ..QueryLimits::default() };
    let session = Session::new(limits).unwrap().with_store(Store::open(url()).unwrap());
    shared.answer_queries(Desk::open(session).unwrap());
    let sql = "SELECT metric, n FROM windows ORDER BY metric, n LIMIT 3";
    let (status, head, body) = post(address, "application/json", sql);
    let json: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!((status, json["rows"].as_array().unwrap().len(), &json["truncated"]), (200, 3, &json!(false)));
    assert!(head.contains("content-type: application/json"));
    let (_, head, body) = post(address, "text/csv", sql);
    assert!(head.contains("content-type: text/csv") && body.starts_with(b"metric,n\n"));
    let (_, head, body) = post(address, "application/vnd.apache.arrow.stream", "SELECT n FROM windows");
    let read = arrow::ipc::reader::StreamReader::try_new(body.as_slice(), None).unwrap();
    assert_eq!(read.map(|batch| batch.unwrap().num_rows()).sum::<usize>(), 50);
    assert!(head.contains("haldane-truncated: true"));

    for (sql, accept, expected) in [
        ("DROP TABLE windows", "*/*", 400),
        ("SELECT * FROM '/etc/passwd'", "*/*", 400),
        ("SELECT * FROM 'events.parquet'", "*/*", 400),
        ("SELECT count(*) FROM windows a, windows b, windows c WHERE a.n + b.n + c.n = -1", "*/*", 400),
        ("SELECT 1", "image/png", 406),
    ] {
        let (status, _, body) = post(address, accept, sql);
        let json: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(status, expected, "{sql}: {json}");
        assert!(!json["error"].as_str().unwrap().is_empty() && !json["hint"].as_str().unwrap().is_empty());
        assert_eq!(post(address, "text/csv", "SELECT 1 AS one").2, b"one\n1\n", "after {sql}");
    }
}

/// What Python is to have: readers of the store, and a client of `PostgreSQL`.
const PACKAGES: [&str; 3] = ["duckdb==1.4.2", "polars==1.35.2", "psycopg[binary]==3.2.12"];

/// A Python that has these packages, made when it is not there yet.
pub fn python() -> std::result::Result<PathBuf, String> {
    static PYTHON: OnceLock<std::result::Result<PathBuf, String>> = OnceLock::new();
    PYTHON.get_or_init(|| python_with("python-clients", &PACKAGES)).clone()
}

/// A Python in a folder of the cache that has some packages, made when it is not there yet.
pub fn python_with(folder: &str, packages: &[&str]) -> std::result::Result<PathBuf, String> {
    let cache = std::env::var_os("HALDANE_CACHE").map(PathBuf::from);
    let cache = cache.or_else(|| std::env::home_dir().map(|home| home.join(".cache/haldane")));
    let home = cache.ok_or("set HALDANE_CACHE to a folder for Python packages")?.join(folder);
    let python = home.join("bin/python");
    let whole = packages.join(" ");
    if std::fs::read_to_string(home.join("whole")).is_ok_and(|packages| packages == whole) {
        return Ok(python);
    }
    let run = |program: &Path, words: &[&str]| {
        let failed = |why: String| {
            format!("{} {}: {why}: install python3 with venv and pip", program.display(), words.join(" "))
        };
        let output =
            std::process::Command::new(program).args(words).output().map_err(|error| failed(error.to_string()))?;
        let said = String::from_utf8_lossy(&output.stderr).lines().last().unwrap_or_default().to_owned();
        if output.status.success() { Ok(()) } else { Err(failed(said)) }
    };
    run(Path::new("python3"), &["-m", "venv", "--clear", home.to_str().unwrap()])?;
    run(&python, &[["-m", "pip", "install", "--quiet"].as_slice(), packages].concat())?;
    std::fs::write(home.join("whole"), whole).map_err(|error| error.to_string())?;
    Ok(python)
}

const READERS: &str = r#"
import sys, duckdb, polars
root = sys.argv[1]
def check(table):
    duck = duckdb.sql(f"SELECT count(*), count(DISTINCT model), min(date)::text FROM read_parquet('{root}/{table}/*/*/*.parquet', hive_partitioning = true, union_by_name = true)").fetchone()
    frame = polars.scan_parquet(f"{root}/{table}/**/*.parquet", hive_partitioning = True).collect()
    print(table, duck[0], duck[1], duck[2], frame.height, frame["model"].n_unique(), frame["date"].min())
for table in ["windows", "verdicts", "decisions", "panes"]:
    check(table)
psi = "metric = 'psi' AND \"column\" = 'amount' AND segment = '' AND revision = 0"
print("psi", duckdb.sql(f"SELECT sum(value) FROM read_parquet('{root}/windows/*/*/*.parquet') WHERE {psi}").fetchone()[0])
window = f"SELECT window_start, window_end, version, value FROM read_parquet('{root}/windows/*/*/*.parquet') WHERE metric = 'ece' AND convention = 'equal_width_10' AND segment = '' AND revision = 0 AND status = 'ok' AND version <> '__all__' ORDER BY ALL LIMIT 1"
bins = f"SELECT unnest(reliability.n) AS n, unnest(reliability.positive) AS y, unnest(reliability.score) AS s, generate_subscripts(reliability.n, 1) AS bin, w.value AS ece FROM read_parquet('{root}/panes/*/*/*.parquet') p JOIN ({window}) w ON p.version = w.version AND pane_start >= window_start AND pane_start < window_end WHERE part = 'labels_in_time'"
again, ece = duckdb.sql(f"SELECT sum(abs(y - s)) / sum(n), max(ece) FROM (SELECT sum(n) AS n, sum(y) AS y, sum(s) AS s, max(ece) AS ece FROM ({bins}) GROUP BY bin)").fetchone()
print("ece", abs(float(again) - ece) < 1e-12, ece > 0)
print("bins", duckdb.sql(f"SELECT sum(list_sum(histogram.counts)) FROM read_parquet('{root}/panes/*/*/*.parquet') WHERE kind = 'numeric'").fetchone()[0])
"#;

#[test]
fn duckdb_and_polars_read_the_tables() {
    let python = python().unwrap_or_else(|reason| panic!("no Python to test with: {reason}"));
    let output = std::process::Command::new(python).args(["-c", READERS, url()]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    let mut lines = said.lines();
    for table in ["windows", "verdicts", "decisions", "panes"] {
        let counted = rows(&format!("SELECT count(*) AS n, min(date) AS first FROM {table}"));
        let (n, first) = (&counted[0]["n"], counted[0]["first"].as_str().unwrap());
        // What came of the records of a stream is of no model.
        let models = if table == "panes" { 2 } else { 1 };
        assert_eq!(lines.next().unwrap(), format!("{table} {n} {models} {first} {n} {models} {first}"));
    }
    let psi = number(
        "SELECT sum(value) FROM windows WHERE metric = 'psi' AND \"column\" = 'amount' AND segment = '' AND revision = 0",
    );
    let theirs: f64 = lines.next().unwrap().strip_prefix("psi ").unwrap().parse().unwrap();
    assert!((theirs - psi).abs() < 1e-9, "{theirs} and {psi}");
    assert_eq!(lines.next(), Some("ece True True"), "calibration adds up from columns of panes");
    assert!(lines.next().unwrap().strip_prefix("bins ").unwrap().parse::<f64>().unwrap() > 0.0);
}

#[test]
fn labels_in_any_spelling_give_one_score_and_other_classes_are_named() {
    let brier = |yes: &str, no: &str, named: &str| {
        let rows = format!("VALUES (0.9, {yes}), (0.2, {no}), (0.6, {yes})");
        number(&format!("SELECT brier(s, l{named}) FROM ({rows}) AS t(s, l)"))
    };
    let cases = [
        ("1", "0", ""),
        ("1.0", "0.0", ""),
        ("true", "false", ""),
        ("'1'", "'0'", ""),
        ("'Yes'", "'no'", ""),
        ("'True'", "'False'", ""),
        ("'fraud'", "'legit'", ", 'fraud'"),
        ("1", "-1", ", '1'"),
        ("2", "1", ", '2,3'"),
    ];
    for (yes, no, named) in cases {
        let expected = (0.1 * 0.1 + 0.2 * 0.2 + 0.4 * 0.4) / 3.0;
        assert!((brier(yes, no, named) - expected).abs() < 1e-9, "{yes} and {no}");
    }
    let error = ask("SELECT brier(s, l) FROM (VALUES (0.9, 1), (0.2, -1)) AS t(s, l)").unwrap_err().to_string();
    assert!(error.contains("names what is positive"), "{error}");
}

#[test]
fn categories_are_compared_by_their_value() {
    let rows = "VALUES ('True', 1), ('1.0', 1), ('true', 0), ('1', 0)";
    let sql = format!("SELECT drift_psi(c, side = 1) FROM ({rows}) AS t(c, side)");
    assert!(number(&sql).abs() < 1e-12);
}

/// Rows and counts with the numbers that `SciPy`, statsmodels and `NumPy` have for them.
fn known(kind: &str) -> Vec<Value> {
    let all: Value = serde_json::from_str(include_str!("../data/reference/known_tests.json")).unwrap();
    all[kind].as_array().unwrap().clone()
}

fn close(found: &Value, expected: &Value, what: &str) {
    let agree = match (found.as_f64(), expected.as_f64()) {
        (Some(found), Some(expected)) => (found - expected).abs() <= 1e-9 * expected.abs() + 1e-14,
        (found, expected) => found.is_none() && expected.is_none(),
    };
    assert!(agree, "{what} is {expected}, but {found}");
}

#[test]
fn tests_over_rows_are_those_of_scipy() {
    for case in known("samples") {
        let values = |side: &str, is_current: bool| {
            let numbers = case[side].as_array().unwrap().iter();
            numbers.map(move |number| format!("({number}, {is_current})")).collect::<Vec<_>>()
        };
        let values = [values("current", true), values("baseline", false)].concat().join(", ");
        let found = &rows(&format!(
            "SELECT drift_ks_p(x, c) AS ks, drift_mann_whitney_p(x, c) AS mann_whitney, drift_welch_p(x, c) AS welch
             FROM (VALUES {values}, (NULL, true), ('nan'::double, false), (7, NULL)) AS t(x, c)"
        ))[0];
        let name = &case["name"];
        if case["tied"] == false {
            close(&found["ks"], &case["ks_p"], &format!("KS of {name}"));
        }
        close(&found["mann_whitney"], &case["mann_whitney_p"], &format!("Mann-Whitney of {name}"));
        if name != "all equal" {
            close(&found["welch"], &case["welch_p"], &format!("Welch of {name}"));
        }
    }
    let none = &rows("SELECT drift_ks_p(x, x > 5) AS p FROM (VALUES (1.0), (2.0)) AS t(x)")[0];
    assert_eq!(none["p"], Value::Null);
    let error = ask("SELECT drift_ks_p(x, true) FROM (VALUES ('a')) AS t(x)").unwrap_err().to_string();
    assert!(error.contains("drift_ks_p(value, is_current) takes a number and a condition"), "{error}");
}

#[test]
fn rates_and_quantiles_are_those_of_statsmodels_and_numpy() {
    for case in known("rates") {
        let counts = ["x", "n", "x_baseline", "n_baseline"].map(|key| case[key].to_string()).join(", ");
        let one = format!("{}, {}", case["x"], case["n"]);
        let found = &rows(&format!(
            "SELECT fisher_p({counts}) AS fisher, rates_z({counts}) AS z, rates_z_p({counts}) AS z_p,
             newcombe_low({counts}) AS low, newcombe_high({counts}, 0.9) AS high_90, wilson_high({one}) AS wilson"
        ))[0];
        close(&found["fisher"], &case["fisher_p"], &format!("Fisher of {counts}"));
        if case["z"].is_number() {
            close(&found["z"], &case["z"], &format!("z of {counts}"));
            close(&found["z_p"], &case["z_p"], &format!("p of z of {counts}"));
        }
        close(&found["low"], &case["newcombe"][0], &format!("Newcombe of {counts}"));
        close(&found["high_90"], &case["newcombe_90"][1], &format!("Newcombe of {counts}"));
        close(&found["wilson"], &case["wilson"][1], &format!("Wilson of {counts}"));
    }
    for case in known("quantiles") {
        let values = case["rows"].as_array().unwrap().iter().map(|row| format!("({row}::double)")).collect::<Vec<_>>();
        for (q, expected) in case["q"].as_array().unwrap().iter().zip(case["expect"].as_array().unwrap()) {
            let from = format!("FROM (VALUES {}) AS t(x)", values.join(", "));
            let found = number(&format!("SELECT percentile_cont({q}) WITHIN GROUP (ORDER BY x) {from}"));
            // Right to a millionth of the gap between neighbours.
            assert!((found - expected.as_f64().unwrap()).abs() < 4.1e-6, "{q} of {}: {found}", case["rows"]);
        }
    }
    assert_eq!(rows("SELECT fisher_p(0, 0, 1, 2) AS a, wilson_low(NULL, 3) AS b")[0], json!({"a": null, "b": null}));
    for (wrong, says) in [
        ("fisher_p(3, 2, 1, 5)", "3 of 2 events"),
        ("rates_z(1.5, 2, 1, 5)", "1.5 is no count"),
        ("newcombe_low(1, 2, 1, 5, 95)", "a confidence is between 0 and 1"),
        ("fisher_p('a', 2, 1, 5)", "takes counts"),
    ] {
        let error = ask(&format!("SELECT {wrong}")).unwrap_err().to_string();
        assert!(error.contains(says), "{wrong}: {error}");
    }
    let of_panes = number(
        "SELECT newcombe_high(sum(errors) FILTER (WHERE version <> '2024.1'),
         sum(requests) FILTER (WHERE version <> '2024.1'), sum(errors) FILTER (WHERE version = '2024.1'),
         sum(requests) FILTER (WHERE version = '2024.1')) FROM panes",
    );
    assert!((-1.0..1.0).contains(&of_panes), "{of_panes}");
}
