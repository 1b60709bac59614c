//! The other side of a schema registry: an HTTP server on loopback that speaks Confluent's interface, and can be away.

use std::collections::{BTreeMap, VecDeque};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use serde_json::{Value, json};

/// How it fails to answer.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Failure {
    /// With this status.
    Status(u16),
    /// By ending the connection.
    Silence,
    /// By keeping the connection without a word.
    Wait,
}

#[derive(Default)]
struct State {
    /// Answers by path.
    answers: BTreeMap<String, Value>,
    /// Failures by path, before it answers.
    failures: BTreeMap<String, VecDeque<Failure>>,
    /// Paths that were asked for, and who asked.
    asked: Vec<(String, Option<String>)>,
    registered: Vec<Value>,
    /// Connections that are kept.
    kept: Vec<TcpStream>,
}

/// A registry.
pub(crate) struct Double {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Double {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let (state, stop) = (Arc::<Mutex<State>>::default(), Arc::<AtomicBool>::default());
        let (of_thread, stopped) = (Arc::clone(&state), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                // Whoever asked may be gone.
                let _ = answer(stream, &of_thread);
            }
        });
        Self { address, state, stop, thread: Some(thread) }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Answers under a path.
    pub(crate) fn tell(&self, path: &str, answer: &Value) {
        self.state.lock().unwrap().answers.insert(path.to_owned(), answer.clone());
    }

    /// Has a schema.
    pub(crate) fn schema(&self, id: u32, schema: &str) {
        self.tell(&format!("/schemas/ids/{id}"), &json!({ "schema": schema }));
    }

    /// Fails so before it answers under a path.
    pub(crate) fn fail(&self, path: &str, failures: &[Failure]) {
        self.state.lock().unwrap().failures.insert(path.to_owned(), failures.iter().copied().collect());
    }

    /// What was asked for, and who asked.
    pub(crate) fn asked(&self) -> Vec<(String, Option<String>)> {
        self.state.lock().unwrap().asked.clone()
    }
}

impl Drop for Double {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        drop(TcpStream::connect(self.address));
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the registry's thread");
        }
    }
}

/// Answers one request, and ends the connection.
fn answer(stream: TcpStream, state: &Mutex<State>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let (method, target) = line.trim_end().split_once(' ').unwrap_or_default();
    let target = target.split(' ').next().unwrap_or_default();
    let path = target.split('?').next().unwrap_or_default().to_owned();
    let (mut length, mut login) = (0, None);
    loop {
        let mut header = String::new();
        reader.read_line(&mut header)?;
        let Some((name, value)) = header.trim_end().split_once(':') else { break };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.trim().parse().unwrap_or(0),
            "authorization" => login = Some(value.trim().to_owned()),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let (status, said) = {
        let mut state = state.lock().unwrap();
        state.asked.push((path.clone(), login));
        match state.failures.get_mut(&path).and_then(VecDeque::pop_front) {
            Some(Failure::Silence) => return Ok(()),
            Some(Failure::Wait) => {
                state.kept.push(reader.into_inner());
                return Ok(());
            }
            Some(Failure::Status(status)) => {
                (status, json!({ "error_code": u32::from(status) * 100, "message": "away" }))
            }
            None if method == "POST" => (200, register(&mut state, &body)),
            None => match state.answers.get(&path) {
                Some(answer) => (200, answer.clone()),
                None => (404, json!({ "error_code": 40_403, "message": "Schema not found" })),
            },
        }
    };
    let text = said.as_str().map_or_else(|| said.to_string(), str::to_owned);
    let head = format!(
        "HTTP/1.1 {status} X\r\nContent-Type: application/vnd.schemaregistry.v1+json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        text.len()
    );
    let mut stream = reader.into_inner();
    stream.write_all(head.as_bytes())?;
    stream.write_all(text.as_bytes())
}

/// Takes a schema from a producer; the same one has the same number.
fn register(state: &mut State, body: &[u8]) -> Value {
    let schema: Value = serde_json::from_slice(body).expect("a schema");
    let at = state.registered.iter().position(|one| *one == schema).unwrap_or_else(|| {
        state.registered.push(schema.clone());
        state.registered.len() - 1
    });
    let id = at + 1;
    state.answers.insert(format!("/schemas/ids/{id}"), schema.clone());
    json!({ "id": id, "schema": schema["schema"] })
}
