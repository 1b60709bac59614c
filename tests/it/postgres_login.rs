//! Logins of psql: SCRAM-SHA-256 over TLS and without, bound to the certificate, and everything that must not get in.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use haldane::kafka::clock::now;
use haldane::query::{Desk, QueryLimits, Session};
use haldane::serve::postgres::Host;
use haldane::serve::{Access, Server, Shared, Tls};
use haldane::store::Store;

use crate::authority::{Authority, put};
use crate::entrance::serve_config;
use crate::postgres::text;
use crate::service::PATIENCE;
use crate::sql;

const TLS: &str = "  tls: { cert: server.crt, key: server.key }\n";
const PEOPLE: &str = "  approvers:
    - { name: vic, token_file: vic, roles: [viewer] }
    - { name: ana, token_file: ana, roles: [approver] }
";

/// PostgreSQL beside HTTP, which keeps watch over files that change.
struct House {
    postgres: Host,
    http: Server,
}

fn house(folder: &Path, keys: &str) -> House {
    for name in ["vic", "ana"] {
        put(&folder.join(name), format!("a-long-token-of-{name}").as_bytes());
    }
    let serve = serve_config(folder, keys);
    let shared = Arc::new(Shared::new());
    let store = Store::open(sql::fraud().to_str().unwrap()).unwrap();
    shared.answer_queries(Desk::open(Session::new(QueryLimits::default()).unwrap().with_store(store)).unwrap());
    shared.protect(serve.tls.as_ref().map(|tls| Tls::open(tls).unwrap()), serve.limits);
    shared.admit(Access::open(&serve).unwrap());
    let postgres = Host::start("127.0.0.1:0", Arc::clone(&shared)).unwrap();
    House { postgres, http: Server::start("127.0.0.1:0", shared).unwrap() }
}

fn psql(address: SocketAddr, user: &str, password: &str, settings: &[&str]) -> Output {
    psql_with(address, user, password, settings).args(["-c", "SELECT 'in'"]).output().unwrap()
}

fn psql_with(address: SocketAddr, user: &str, password: &str, settings: &[&str]) -> Command {
    let port = address.port();
    let connection =
        format!("host=localhost hostaddr=127.0.0.1 port={port} dbname=haldane user={user} {}", settings.join(" "));
    let mut psql = Command::new("psql");
    psql.args(["-X", "-A", "-t", "-w", "-d", &connection]).env("PGPASSWORD", password).env("PGCONNECT_TIMEOUT", "20");
    psql
}

fn is_in(output: &Output) -> bool {
    text(&output.stdout) == "in\n"
}

/// That nobody got in, and why.
fn refused(output: &Output, says: &str) {
    let said = text(&output.stderr);
    assert!(!output.status.success() && output.stdout.is_empty() && said.contains(says), "{says:?} is not in {said}");
}

const VIC: &str = "a-long-token-of-vic";

#[test]
fn a_login_is_encrypted_and_bound_to_the_certificate() {
    let folder = tempfile::tempdir().unwrap();
    let (authority, another) = (Authority::new(), Authority::new());
    authority.write(&folder.path().join("ca.pem"));
    another.write(&folder.path().join("another.pem"));
    authority.issue("haldane", 30).write(folder.path(), "server");
    let house = house(folder.path(), &format!("{TLS}{PEOPLE}"));
    let address = house.postgres.address();
    let trusting = |file: &str| format!("sslrootcert={}", folder.path().join(file).display());
    let full = ["sslmode=verify-full".to_owned(), trusting("ca.pem")];
    let full: Vec<&str> = full.iter().map(String::as_str).collect();
    for binding in ["require", "disable", "prefer"] {
        let output = psql(address, "vic", VIC, &[&full[..], &[&format!("channel_binding={binding}")]].concat());
        assert!(is_in(&output), "channel_binding={binding}: {}", text(&output.stderr));
    }
    assert!(is_in(&psql(address, "ana", "a-long-token-of-ana", &full)));
    refused(
        &psql(address, "vic", VIC, &["sslmode=verify-full", &trusting("another.pem")]),
        "certificate verify failed",
    );
    refused(&psql(address, "vic", VIC, &["sslmode=disable"]), "this server speaks over TLS only");
    for (user, password) in [("vic", "wrong"), ("vic", "a-long-token-of-ana"), ("eve", VIC)] {
        refused(&psql(address, user, password, &full), "assword authentication failed");
    }
}

#[test]
fn without_a_certificate_the_password_is_still_not_sent() {
    let folder = tempfile::tempdir().unwrap();
    let house = house(folder.path(), PEOPLE);
    let address = house.postgres.address();
    let output = psql(address, "vic", VIC, &["sslmode=prefer"]);
    assert!(is_in(&output), "{}", text(&output.stderr));
    // What a client is asked for, whether anybody has the name or not.
    for user in ["vic", "nobody"] {
        let body = [&196_608_u32.to_be_bytes()[..], b"user\0", user.as_bytes(), b"\0\0"].concat();
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(&(body.len() as u32 + 4).to_be_bytes()).unwrap();
        stream.write_all(&body).unwrap();
        let mut asked = [0; 24];
        stream.read_exact(&mut asked).unwrap();
        assert_eq!(&asked, b"R\0\0\0\x17\0\0\0\x0aSCRAM-SHA-256\0\0", "{user}");
    }
    refused(&psql(address, "vic", VIC, &["sslmode=require"]), "server does not support SSL");
}

#[test]
fn a_client_that_guesses_is_locked_out_for_a_while() {
    let folder = tempfile::tempdir().unwrap();
    let house = house(folder.path(), &format!("  limits: {{ failed_logins_per_minute: 2 }}\n{PEOPLE}"));
    let address = house.postgres.address();
    (0..2).for_each(|_| refused(&psql(address, "vic", "guess", &[]), "assword authentication failed"));
    refused(&psql(address, "vic", VIC, &[]), "too many logins failed: try again in");
}

#[test]
fn certificates_and_tokens_are_renewed_without_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let (old, new) = (Authority::new(), Authority::new());
    new.write(&folder.path().join("ca.pem"));
    old.issue("haldane", 30).write(folder.path(), "server");
    let keys = format!("{TLS}  limits: {{ failed_logins_per_minute: 10000 }}\n{PEOPLE}");
    let house = house(folder.path(), &keys);
    let trusted = format!("sslrootcert={}", folder.path().join("ca.pem").display());
    let login = || psql(house.postgres.address(), "vic", "the-next-token-of-vic", &["sslmode=verify-full", &trusted]);
    refused(&login(), "certificate verify failed");
    new.issue("haldane", 30).write(folder.path(), "server");
    put(&folder.path().join("vic"), b"the-next-token-of-vic");
    let deadline = now() + PATIENCE;
    while !is_in(&login()) {
        assert!(now() < deadline, "neither is renewed");
    }
}

#[test]
fn connections_that_stay_open_end_when_tokens_are_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let house = house(folder.path(), PEOPLE);
    let mut events = TcpStream::connect(house.http.address()).unwrap();
    write!(events, "GET /v1/events HTTP/1.1\r\nHost: haldane\r\nConnection: close\r\n\r\n").unwrap();
    let mut events = BufReader::new(events).lines().map(Result::unwrap);
    assert!(events.any(|line| line == "event: beat"));
    let mut psql = psql_with(house.postgres.address(), "vic", VIC, &[]);
    let mut psql = psql.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (mut questions, mut answers) = (psql.stdin.take().unwrap(), BufReader::new(psql.stdout.take().unwrap()));
    let mut ask = || {
        let mut answer = String::new();
        // psql may have ended already.
        let _ = questions.write_all(b"SELECT 'in';\n").and_then(|()| questions.flush());
        answers.read_line(&mut answer).unwrap();
        answer
    };
    assert_eq!(ask(), "in\n");
    put(&folder.path().join("ana"), b"the-next-token-of-ana");
    let deadline = now() + PATIENCE;
    while ask() == "in\n" {
        assert!(now() < deadline, "the connection goes on");
    }
    let mut said = String::new();
    psql.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(said.contains("tokens were read again: log in anew"), "{said}");
    assert!(!psql.wait().unwrap().success());
    assert!(!events.any(|line| line == "event: decision"), "the stream ends");
}
