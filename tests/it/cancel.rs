//! Queries that are cancelled, as PostgreSQL's clients do it: they stop, hold nothing, and nobody else's are touched.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::time::Duration;

use haldane::kafka::clock::now;

use crate::postgres::{Server, psql_as, text};

impl Server {
    /// The threads for queries: whether each sleeps, and for how many ticks it has been at work.
    fn threads(&self) -> Vec<(bool, u64)> {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.process.id())).unwrap();
        let stats = tasks.map(|task| std::fs::read_to_string(task.unwrap().path().join("stat")).unwrap());
        let of_queries = stats.filter_map(|stat| Some(stat.split_once("(haldane-query) ")?.1.to_owned()));
        let seen = of_queries.map(|stat| {
            let words: Vec<&str> = stat.split(' ').collect();
            (words[0] == "S", words[11].parse().unwrap())
        });
        seen.collect()
    }

    fn ticks(&self) -> u64 {
        self.threads().iter().map(|&(_, ticks)| ticks).sum()
    }

    /// Waits until queries have been at work for another while, which is far more than reading one takes.
    fn until_at_work(&self) {
        let enough = self.ticks() + 50;
        until("work", || self.ticks() >= enough);
    }

    /// Waits until nothing is at work, and checks that no memory is held.
    fn until_at_rest(&self) {
        until("rest", || self.threads().iter().all(|&(sleeps, _)| sleeps));
        let output = psql_as(self.address, "anybody", "", &[&joined("generate_series(1, 1)")]);
        assert_eq!(text(&output.stdout), "0\n", "{}", text(&output.stderr));
    }
}

/// Looks again until it is so.
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = now() + Duration::from_mins(1);
    while !is_so() {
        assert!(now() < deadline, "{what} never came");
        std::thread::yield_now();
    }
}

/// A query that holds 40 of the server's 64 MiB while it compares every row of them with every one of `others`.
fn joined(others: &str) -> String {
    format!("SELECT count(*) FROM generate_series(1, 5000000) a, {others} b WHERE a.value + b.value < 0")
}

fn endless() -> String {
    joined("generate_series(1, 1e13::bigint)")
}

#[test]
fn an_interrupted_query_stops_and_the_session_goes_on() {
    let server = Server::start();
    let port = server.address.port();
    // `script` is the terminal: ^C on it is a SIGINT to psql, which asks the server to cancel. No shell stays between
    // them: some end by that signal themselves.
    let psql = format!("exec psql -X -A -t -n -w -P pager=off -h 127.0.0.1 -p {port} -U anybody -d haldane");
    let mut terminal = Command::new("script")
        .args(["--quiet", "--return", "--flush", "--command", &psql, "/dev/null"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut keys = terminal.stdin.take().unwrap();
    let mut screen = BufReader::new(terminal.stdout.take().unwrap()).lines().map(Result::unwrap);

    writeln!(keys, "{};", endless()).unwrap();
    server.until_at_work();
    keys.write_all(b"\x03").unwrap();
    let said = screen.find(|line| line.contains("ERROR")).unwrap();
    assert_eq!(said.trim_end(), "ERROR:  canceling statement due to user request");
    server.until_at_rest();

    writeln!(keys, "SELECT 'still ' || 'here';\n\\q").unwrap();
    assert!(screen.any(|line| line.trim_end() == "still here"));
    let ended = terminal.wait().unwrap();
    assert!(ended.success(), "{ended}");
}

/// A session by hand: what it takes to know the secret that psql keeps to itself.
struct Raw(TcpStream);

impl Raw {
    fn send(address: SocketAddr, kind: &[u8], body: &[u8]) -> Self {
        let mut raw = Self(TcpStream::connect(address).unwrap());
        raw.say(kind, body);
        raw
    }

    fn say(&mut self, kind: &[u8], body: &[u8]) {
        let length = u32::try_from(body.len() + 4).unwrap().to_be_bytes();
        self.0.write_all(&[kind, &length, body].concat()).unwrap();
    }

    /// The body of the next message of this kind.
    fn next(&mut self, kind: u8) -> Vec<u8> {
        loop {
            let mut head = [0; 5];
            self.0.read_exact(&mut head).unwrap();
            let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]);
            let mut body = vec![0; usize::try_from(length).unwrap() - 4];
            self.0.read_exact(&mut body).unwrap();
            if head[0] == kind {
                return body;
            }
        }
    }

    fn has_heard(&self) -> bool {
        self.0.set_nonblocking(true).unwrap();
        let heard = self.0.peek(&mut [0]).is_ok();
        self.0.set_nonblocking(false).unwrap();
        heard
    }
}

/// Asks to cancel the query of a connection, and waits until the server has dealt with that.
fn cancel(address: SocketAddr, number_and_secret: &[u8]) {
    let request = [&80_877_102_u32.to_be_bytes(), number_and_secret].concat();
    let mut asking = Raw::send(address, &[], &request);
    assert_eq!(asking.0.read(&mut [0]).unwrap(), 0, "nothing is answered");
}

#[test]
fn only_who_knows_the_secret_cancels_a_query() {
    let server = Server::start();
    let version = 196_608_u32.to_be_bytes();
    let mut session = Raw::send(server.address, &[], &[&version, b"user\0anybody\0\0".as_slice()].concat());
    let key = session.next(b'K');
    session.next(b'Z');
    session.say(b"Q", format!("{}\0", endless()).as_bytes());
    server.until_at_work();
    for place in [3, 7] {
        let mut wrong = key.clone();
        wrong[place] ^= 1;
        cancel(server.address, &wrong);
    }
    server.until_at_work();
    assert!(!session.has_heard(), "a wrong secret, or another's number, stopped the query");

    cancel(server.address, &key);
    let error = text(&session.next(b'E'));
    assert!(error.contains("C57014\0Mcanceling statement due to user request\0"), "{error:?}");
    server.until_at_rest();
    session.next(b'Z');
    session.say(b"Q", b"SELECT 'still here'\0");
    assert!(session.next(b'D').ends_with(b"still here"));
}
