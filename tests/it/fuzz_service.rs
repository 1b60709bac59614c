//! Every way into the service, with input that was damaged at random: there is always an answer or the end of the
//! connection, nothing panics, nothing hangs, and the next client is answered.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError};
use std::time::Duration;

use haldane::config::ClientLimits;
use haldane::serve::Shared;
use haldane::sim::rng::Rng;

use crate::fuzz::{ODD, below, damage, each_seed, one};
use crate::serve::ask;
use crate::stage::Stage;

/// Longer than any answer takes; whoever waits for so long hangs.
const HANGS: Duration = Duration::from_mins(1);

/// What panicked on threads of the service.
static PANICS: Mutex<Vec<String>> = Mutex::new(Vec::new());

fn panics() -> MutexGuard<'static, Vec<String>> {
    PANICS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Notes panics of the service, which end a task and not the test.
fn watch_for_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let told = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            let is_ours = std::thread::current().name().is_some_and(|name| name.starts_with("haldane"));
            if is_ours {
                panics().push(panic.to_string());
            }
            told(panic);
        }));
    });
}

fn nothing_panicked() {
    let panics = panics().clone();
    assert!(panics.is_empty(), "{panics:#?}");
}

/// No client is too quick for this.
fn unhurried(shared: &Shared) {
    shared.protect(None, ClientLimits { requests_per_second: 1_000_000, ..ClientLimits::default() });
}

/// Sends bytes, says that no more come, and reads to the end.
fn exchange(address: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(HANGS)).unwrap();
    // The server may end the connection before everything is written.
    let _ = stream.write_all(bytes);
    let _ = stream.shutdown(Shutdown::Write);
    let mut answer = Vec::new();
    if let Err(error) = stream.read_to_end(&mut answer) {
        let hangs = matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut);
        assert!(!hangs, "no end within {HANGS:?} of {}", String::from_utf8_lossy(bytes));
    }
    answer
}

const PATHS: [&str; 20] = [
    "/",
    "/livez",
    "/readyz",
    "/metrics",
    "/v1/windows",
    "/v1/verdict",
    "/v1/rollouts",
    "/v1/rollouts/world/v2",
    "/v1/decisions",
    "/v1/access",
    "/v1/commands",
    "/v1/flagger/rollback",
    "/v1/kayenta/canary/7b7d",
    "/v1/kayenta/judge",
    "/v1/kayenta/standalone_canary_analysis/fraud",
    "/v1/sql",
    "/ui",
    "/ui/decisions/b3:0",
    "/ui/rollouts/world/v2",
    "/ui/login",
];
const KEYS: [&str; 12] =
    ["model", "version", "metric", "column", "segment", "rollout", "candidate", "step", "limit", "command", "page", ""];
const LINES: [&str; 16] = [
    "Accept: text/html",
    "Accept: ,;q=",
    "Authorization: Bearer the-token-of-oli",
    "Authorization: Bearer",
    "Authorization: \u{ff}",
    "Cookie: haldane_session=0.99999999999.00",
    "Cookie: haldane_session=99999999999999999999.1.x; ;;=",
    "Content-Type: application/json",
    "Content-Type: application/x-www-form-urlencoded",
    "Content-Type: ",
    "Origin: http://haldane",
    "X-Forwarded-For: 1.1.1.1, ::1, x",
    "X-Forwarded-User: ana",
    "Transfer-Encoding: chunked",
    "Expect: 100-continue",
    "Connection: upgrade",
];
const BODIES: [&str; 7] = [
    r#"{"rollout":"world","model":"m","candidate":"v2","kind":"hold","reason":"a test"}"#,
    r#"{"rollout":"world","kind":{"approve":{"decision":"b3:0"}},"reason":"x","if_sequence":1,"expires_at":-9}"#,
    r#"{"rollout":"world","kind":{"resume":{"cap_pct":1e309}},"reason":"x"}"#,
    "id=&rollout=world&model=m&candidate=v2&kind=resume&cap_pct=%2C&reason=%00%ff&if_sequence=18446744073709551615",
    "token=%",
    r#"{"sql":"SELECT 1"}"#,
    "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
];

fn escaped(text: &str) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric();
    text.bytes().map(|byte| if plain(&byte) { char::from(byte).to_string() } else { format!("%{byte:02x}") }).collect()
}

/// A request that is nearly a good one.
fn request(rng: &mut Rng) -> Vec<u8> {
    let method = one(rng, &["GET", "GET", "POST", "POST", "HEAD", "PUT", "OPTIONS", "TRACE", "CONNECT", "get", ""]);
    let mut path = one(rng, &PATHS).to_owned();
    if rng.chance(0.1) {
        path.push_str(&"/..%2f".repeat(below(rng, 2_000)));
    }
    for place in 0..below(rng, 4) {
        let value = if rng.chance(0.5) { escaped(one(rng, &ODD)) } else { one(rng, &ODD).replace(['\n', ' '], "") };
        path.extend([if place == 0 { "?" } else { "&" }, one(rng, &KEYS), "=", &value]);
    }
    let version = one(rng, &["HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.0", "HTTP/2.0", "HTTP/9", ""]);
    let mut text = format!("{method} {path} {version}\r\nHost: haldane\r\n");
    for _ in 0..below(rng, 5) {
        text.push_str(one(rng, &LINES));
        text.push_str("\r\n");
    }
    if rng.chance(0.05) {
        text.extend(["X-Long: ", &"x".repeat(below(rng, 600_000)), "\r\n"]);
    }
    let body = one(rng, &BODIES);
    let claimed = match below(rng, 5) {
        0 => usize::MAX.to_string(),
        1 => below(rng, 1 << 30).to_string(),
        2 => "-1".to_owned(),
        _ => body.len().to_string(),
    };
    text.extend(["Content-Length: ", &claimed, "\r\n\r\n", body]);
    text.into_bytes()
}

#[test]
fn damaged_requests_are_answered_or_cut_off() {
    watch_for_panics();
    let stage = Stage::guarded(unhurried);
    stage.next_window();
    let address = stage.server.address();
    each_seed("HTTP", |rng| {
        let mut bytes = request(rng);
        damage(rng, &mut bytes);
        if rng.chance(0.2) {
            let second = request(rng);
            bytes.extend_from_slice(&second);
        }
        // Events go on without an end.
        if bytes.windows(10).any(|part| part == b"/v1/events") {
            return;
        }
        let answer = exchange(address, &bytes);
        assert!(answer.is_empty() || answer.starts_with(b"HTTP/1."), "{}", String::from_utf8_lossy(&answer));
    });
    assert_eq!(ask(address, "GET", "/livez").status, 200);
    nothing_panicked();
}

#[cfg(feature = "pg")]
mod postgres {
    use haldane::query::{Desk, QueryLimits, Session};
    use haldane::serve::Access;
    use haldane::serve::postgres::Host;
    use haldane::store::Store;

    use super::*;
    use crate::postgres::{psql_as, text};
    use crate::sql;

    const QUERIES: [&str; 12] = [
        "SELECT 1",
        "SELECT * FROM windows WHERE metric = 'psi' AND value > 0.1 ORDER BY window_start LIMIT 3",
        "SELECT version, count(*), max(value) FROM windows GROUP BY version HAVING count(*) > 1",
        "SELECT psi(hist_merge(histogram) FILTER (WHERE version = 'a'), hist_merge(histogram)) FROM panes",
        "SELECT newcombe_low(1, 0, -1, 9223372036854775807), wilson_high(NULL, 0)",
        "WITH t AS (SELECT n FROM windows) SELECT sum(n) OVER (PARTITION BY n ORDER BY n) FROM t",
        "SELECT CAST('x' AS DATE), 1/0, sqrt(-1), '\\x00'::text, date_trunc('day', now())",
        "BEGIN; SELECT 1; ROLLBACK",
        "SHOW TimeZone",
        "SET DateStyle = 'ISO'",
        "SELECT oid, relname FROM pg_catalog.pg_class",
        "EXPLAIN SELECT $1, $99999999",
    ];

    fn host(access: Access) -> Host {
        let shared = Arc::new(Shared::new());
        unhurried(&shared);
        let limits =
            QueryLimits { time: Duration::from_secs(5), rows: 100, memory: 64 << 20, ..QueryLimits::default() };
        let store = Store::open(sql::fraud().to_str().unwrap()).unwrap();
        shared.answer_queries(Desk::open(Session::new(limits).unwrap().with_store(store)).unwrap());
        shared.admit(access);
        Host::start("127.0.0.1:0", shared).unwrap()
    }

    fn message(kind: u8, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len() + 4).unwrap();
        [&[kind][..], &length.to_be_bytes(), body].concat()
    }

    fn startup(rng: &mut Rng) -> Vec<u8> {
        let version = [196_608_u32, 196_610, 131_072, 80_877_102, 80_877_103, 80_877_104, u32::MAX][below(rng, 7)];
        let version = if rng.chance(0.7) { 196_608 } else { version };
        let body = [&version.to_be_bytes()[..], b"user\0vic\0database\0haldane\0\0"].concat();
        [&u32::try_from(body.len() + 4).unwrap().to_be_bytes()[..], &body].concat()
    }

    fn query(rng: &mut Rng) -> Vec<u8> {
        let mut text = one(rng, &QUERIES).as_bytes().to_vec();
        damage(rng, &mut text);
        if rng.chance(0.1) {
            text.extend_from_slice(&b"(".repeat(below(rng, 5_000)));
        }
        text.push(0);
        text
    }

    /// What may come after the login: queries, and the steps of prepared ones, in any order.
    fn speech(rng: &mut Rng) -> Vec<u8> {
        let mut speech = Vec::new();
        for _ in 0..=below(rng, 5) {
            let body = match below(rng, 9) {
                0 => (b'Q', query(rng)),
                1 => (b'P', [&b"s\0"[..], &query(rng), &1_u16.to_be_bytes(), &25_u32.to_be_bytes()].concat()),
                2 => (b'B', b"\0s\0\0\0\0\x01\0\0\0\x01x\0\0".to_vec()),
                3 => (b'D', b"Ss\0".to_vec()),
                4 => (b'E', b"\0\0\0\0\0".to_vec()),
                5 => (b'S', Vec::new()),
                6 => (b'C', b"Ss\0".to_vec()),
                7 => (b'p', b"SCRAM-SHA-256\0\0\0\0\x0cn,,n=,r=abcd".to_vec()),
                _ => (one(rng, &["H", "d", "c", "f", "F", "X", "R", "\0", "~"]).as_bytes()[0], b"x\0".to_vec()),
            };
            speech.extend(message(body.0, &body.1));
        }
        speech
    }

    fn talks(what: &str, access: fn() -> Access) {
        watch_for_panics();
        let host = host(access());
        each_seed(what, |rng| {
            let mut bytes = startup(rng);
            if rng.chance(0.3) {
                damage(rng, &mut bytes);
            }
            let mut speech = speech(rng);
            if rng.chance(0.7) {
                damage(rng, &mut speech);
            }
            bytes.extend(speech);
            exchange(host.address(), &bytes);
        });
        let answered = psql_as(host.address(), "vic", "a-long-token-of-vic", &["SELECT 'in'"]);
        assert_eq!(text(&answered.stdout), "in\n", "{}", text(&answered.stderr));
        nothing_panicked();
    }

    #[test]
    fn damaged_messages_of_postgresql_are_answered_or_cut_off() {
        talks("PostgreSQL", Access::default);
    }

    #[test]
    fn damaged_logins_let_nobody_in() {
        talks("PostgreSQL's login", || {
            Access::default().with("vic", &[haldane::config::Power::Viewer], "a-long-token-of-vic").unwrap()
        });
    }

    #[test]
    fn nobody_asks_before_the_login_and_no_message_is_huge() {
        let access = Access::default().with("vic", &[haldane::config::Power::Viewer], "a-long-token-of-vic").unwrap();
        let closed = host(access);
        let mut rng = Rng::new(1);
        let hello = std::iter::repeat_with(|| startup(&mut rng)).find(|hello| hello[4..8] == 196_608_u32.to_be_bytes());
        let hello = hello.unwrap();
        let asks = message(b'Q', b"SELECT 'secret'\0");
        for before in [
            Vec::new(),
            message(b'p', b"\xff\xff"),
            message(b'p', b"x\0"),
            message(b'S', b""),
            message(b'P', b"\0\0\0"),
        ] {
            let answer = exchange(closed.address(), &[&hello[..], &before, &asks, &asks].concat());
            assert!(!answer.windows(6).any(|part| part == b"secret"), "{}", String::from_utf8_lossy(&answer));
        }
        let open = host(Access::default());
        let huge = [&hello[..], b"Q", &(1_u32 << 30).to_be_bytes()].concat();
        let mut stream = TcpStream::connect(open.address()).unwrap();
        stream.set_read_timeout(Some(HANGS)).unwrap();
        stream.write_all(&huge).unwrap();
        let mut answer = Vec::new();
        // Nothing more is sent: it must not be waited for.
        stream.read_to_end(&mut answer).unwrap();
    }
}
