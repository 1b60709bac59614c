//! Other systems' APIs, as tests play them: a JSON document behind HTTP, with conflicts, delays and lies.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{BufReader, Read as _, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

/// A request that came.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Asked {
    pub(crate) fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map_or("", |(_, value)| value.as_str())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// What is answered: a status, headers and a body; `None`: nothing, for ever.
pub(crate) type Answered = Option<(u16, Vec<(&'static str, String)>, String)>;

type Play = Box<dyn FnMut(&Asked) -> Answered + Send>;

/// A server that a test plays.
pub(crate) struct Api {
    pub(crate) address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Api {
    pub(crate) fn start(play: impl FnMut(&Asked) -> Answered + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (seen, play): (_, Arc<Mutex<Play>>) = (Arc::clone(&asked), Arc::new(Mutex::new(Box::new(play))));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (seen, play) = (Arc::clone(&seen), Arc::clone(&play));
                std::thread::spawn(move || serve(stream, &seen, &play));
            }
        });
        Self { address, asked }
    }

    /// A document that can be looked at and changed.
    pub(crate) fn of(document: &Arc<Mutex<Document>>) -> Self {
        let document = Arc::clone(document);
        Self::start(move |asked| document.lock().unwrap().answer(asked))
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

fn serve(stream: TcpStream, seen: &Mutex<Vec<Asked>>, play: &Mutex<Play>) {
    let mut reader = BufReader::new(stream);
    let Some(asked) = read(&mut reader) else { return };
    seen.lock().unwrap().push(asked.clone());
    let answered = play.lock().unwrap()(&asked);
    let mut stream = reader.into_inner();
    match answered {
        Some(answered) => write(&mut stream, &answered),
        // Until the other side gives up.
        None => drop(stream.read(&mut [0; 1])),
    }
}

/// Reads one request.
pub(crate) fn read(reader: &mut impl std::io::BufRead) -> Option<Asked> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|length| *length > 0)?;
    let mut words = line.split_whitespace().map(str::to_owned);
    let (method, path) = (words.next()?, words.next()?);
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.push((name.to_owned(), value.trim().to_owned()));
    }
    let mut asked = Asked { method, path, headers, body: Vec::new() };
    asked.body = vec![0; asked.header("content-length").parse().unwrap_or(0)];
    reader.read_exact(&mut asked.body).ok()?;
    Some(asked)
}

/// Writes one answer.
pub(crate) fn write(stream: &mut impl Write, (status, headers, body): &(u16, Vec<(&'static str, String)>, String)) {
    let headers = headers.iter().fold(String::new(), |all, (name, value)| format!("{all}{name}: {value}\r\n"));
    let head =
        format!("HTTP/1.1 {status} Played\r\n{headers}content-length: {}\r\nconnection: close\r\n\r\n", body.len());
    // The client may have given up.
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes()));
}

/// How an API behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    Well,
    /// It says that it did, and did nothing.
    Lying,
    /// It answers with a status.
    Saying(u16),
    /// It answers nothing.
    Silent,
    /// Somebody else changes the document between a look and a change.
    Contested,
}

/// A document of a Kubernetes cluster, or one with an `ETag`.
pub(crate) struct Document {
    pub(crate) value: Value,
    pub(crate) manner: Manner,
    /// Where it is.
    pub(crate) path: String,
    /// How it takes changes that are no patch known to Kubernetes.
    pub(crate) change: fn(&mut Value, &Asked) -> u16,
}

impl Document {
    pub(crate) fn new(path: &str, value: Value) -> Arc<Mutex<Self>> {
        let (manner, change): (_, fn(&mut Value, &Asked) -> u16) = (Manner::Well, |_, _| 415);
        let mut document = Self { value, manner, path: path.to_owned(), change };
        document.value["metadata"]["resourceVersion"] = json!("1");
        Arc::new(Mutex::new(document))
    }

    fn version(&self) -> u64 {
        self.value["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap()
    }

    /// Somebody changes it.
    pub(crate) fn touch(&mut self) {
        self.value["metadata"]["resourceVersion"] = (self.version() + 1).to_string().into();
    }

    fn answer(&mut self, asked: &Asked) -> Answered {
        let said =
            |status: u16, body: String| Some((status, vec![("content-type", "application/json".to_owned())], body));
        match self.manner {
            Manner::Saying(status) => return said(status, json!({ "code": status, "message": "no" }).to_string()),
            Manner::Silent => return None,
            _ => {}
        }
        let path = asked.path.split('?').next().unwrap();
        if path.trim_end_matches("/status") != self.path {
            return said(404, json!({ "code": 404, "reason": "NotFound" }).to_string());
        }
        if asked.method == "GET" {
            let etag = format!("\"{}\"", self.version());
            let answer = Some((200, vec![("etag", etag)], self.value.to_string()));
            if self.manner == Manner::Contested {
                self.touch();
            }
            return answer;
        }
        if self.manner == Manner::Lying {
            return said(200, self.value.to_string());
        }
        let status = self.patch(asked);
        said(status, self.value.to_string())
    }

    /// What the API server of Kubernetes does with a patch.
    fn patch(&mut self, asked: &Asked) -> u16 {
        let mut fresh = self.value.clone();
        let status = match asked.header("content-type") {
            "application/merge-patch+json" => {
                merge(&mut fresh, &asked.json());
                200
            }
            "application/json-patch+json" => patch(&mut fresh, &asked.json()),
            _ => (self.change)(&mut fresh, asked),
        };
        if status != 200 {
            return status;
        }
        if fresh["metadata"]["resourceVersion"] != self.value["metadata"]["resourceVersion"] {
            return 409;
        }
        self.value = fresh;
        self.touch();
        200
    }
}

/// RFC 7396.
fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(fields) = patch else { return target.clone_from(patch) };
    if !target.is_object() {
        *target = json!({});
    }
    for (name, value) in fields {
        if value.is_null() {
            target.as_object_mut().unwrap().remove(name);
        } else {
            merge(&mut target[name.as_str()], value);
        }
    }
}

/// RFC 6902, as far as it is used.
fn patch(target: &mut Value, operations: &Value) -> u16 {
    for operation in operations.as_array().unwrap() {
        let at = target.pointer_mut(operation["path"].as_str().unwrap());
        match (operation["op"].as_str().unwrap(), at) {
            ("replace", Some(at)) => at.clone_from(&operation["value"]),
            ("test", Some(at)) if *at == operation["value"] => {}
            _ => return 422,
        }
    }
    200
}
