//! One request over a connection of its own, and the answer.
#![expect(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use serde_json::Value;

/// Status and body of an answer.
pub(crate) struct Answer {
    pub(crate) status: u16,
    body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error} in {}", self.body))
    }

    pub(crate) fn text(&self) -> String {
        self.body.clone()
    }

    /// Checks that it is an error that says what and what to do.
    pub(crate) fn check_problem(&self, status: u16, says: &str) {
        let json = self.json();
        let error = json["error"].as_str().unwrap();
        assert_eq!(self.status, status, "{error}");
        assert!(error.contains(says), "{error}");
        assert!(!json["hint"].as_str().unwrap().is_empty());
    }
}

pub(crate) fn ask(address: SocketAddr, method: &str, path: &str) -> Answer {
    try_ask(address, method, path).unwrap()
}

/// The same of a server that may be gone.
pub(crate) fn try_ask(address: SocketAddr, method: &str, path: &str) -> io::Result<Answer> {
    let mut stream = TcpStream::connect(address)?;
    write!(stream, "{method} {path} HTTP/1.1\r\nHost: haldane\r\nConnection: close\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    let (head, body) = text.split_once("\r\n\r\n").ok_or(io::ErrorKind::UnexpectedEof)?;
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Ok(Answer { status, body: body.to_owned() })
}
