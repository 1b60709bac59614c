//! Stores in buckets, over a server that speaks S3's protocol: that of moto, fetched from PyPI at first use.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use haldane::kafka::clock::now;
use haldane::store::{Keep, Store, StoreWriter, compact_over};
use object_store::aws::AmazonS3Builder;
use object_store::memory::InMemory;
use object_store::path::Path as ObjectPath;
use object_store::{Error as ObjectError, ObjectStore, ObjectStoreExt as _, PutMode};
use serde_json::Value;

use crate::compaction::write_days;
use crate::sql;
use crate::store::{a_second_writer_is_told_so, everything, pipeline};

/// The server, without what it needs for anything but buckets.
const PACKAGES: [&str; 3] = ["moto[s3]==5.2.5", "flask==3.1.2", "flask-cors==6.0.1"];

/// Serves until its standard input is closed, which the kernel does when this process ends.
const SERVE: &str = "
import os, sys, threading
threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
from moto.server import main
main(['-H', '127.0.0.1', '-p', '0'])
";

/// A server with buckets.
pub struct Server {
    process: Child,
    /// Host and port.
    address: String,
}

impl Server {
    pub fn start() -> Self {
        static PYTHON: OnceLock<Result<PathBuf, String>> = OnceLock::new();
        let python = PYTHON.get_or_init(|| sql::python_with("python-s3", &PACKAGES));
        let python = python.as_ref().unwrap_or_else(|reason| panic!("no server of S3 to test with: {reason}"));
        let mut command = Command::new(python);
        command.args(["-c", SERVE]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let mut said = BufReader::new(process.stderr.take().unwrap()).lines().map(Result::unwrap);
        let line = said.find(|line| line.contains("Running on http://")).expect("the server starts");
        // It says a line for every request.
        std::thread::spawn(move || said.for_each(drop));
        let (_, address) = line.split_once("http://").unwrap();
        Self { process, address: address.to_owned() }
    }

    /// Asks for something that needs no signature.
    pub fn ask(&self, method: &str, path: &str, body: &str) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let head = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close", self.address);
        write!(stream, "{head}\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n{body}", body.len()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{method} {path}: {answer}");
    }

    fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What tells the program of the server.
    pub fn variables(&self) -> [(&'static str, String); 5] {
        [
            ("AWS_ENDPOINT_URL", self.endpoint()),
            ("AWS_REGION", "eu-west-1".to_owned()),
            ("AWS_ACCESS_KEY_ID", "somebody".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "secret".to_owned()),
            ("NO_PROXY", "127.0.0.1".to_owned()),
        ]
    }

    fn haldane(&self, words: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_haldane"));
        command.args(words).envs(self.variables()).env_remove("AWS_TIMEOUT").output().unwrap()
    }

    pub fn said(&self, words: &[&str]) -> String {
        let output = self.haldane(words);
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// What it says when it fails, and that it does.
    fn complaint(&self, words: &[&str]) -> String {
        let output = self.haldane(words);
        assert_eq!(output.status.code(), Some(3), "{words:?}: {}", String::from_utf8_lossy(&output.stdout));
        String::from_utf8(output.stderr).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The rows of every table that a replay fills, as text.
fn tables(server: &Server, store: &str) -> Vec<Vec<String>> {
    // An answer holds 10,000 rows at most.
    let panes = "SELECT pane_start, version, segment, kind, \"column\", rows, upto, histogram FROM panes \
                 WHERE kind <> 'intake'";
    let windows = "SELECT * FROM windows WHERE segment = ''";
    let whole = ["verdicts", "decisions", "quality"].map(|table| format!("SELECT * FROM {table}"));
    let rows = |query: &str| {
        let answer = server.said(&["sql", "--store", store, "--format", "json", query]);
        let mut rows: Vec<String> =
            serde_json::from_str::<Vec<Value>>(&answer).unwrap().iter().map(Value::to_string).collect();
        rows.sort();
        rows
    };
    whole.iter().map(String::as_str).chain([windows, panes]).map(rows).collect()
}

pub fn replay(server: &Server, store: &str) {
    let files = ["fraud.yaml", "data/fraud.predictions.parquet", "data/fraud.outcomes.parquet"].map(pipeline);
    let [config, predictions, outcomes] = files.each_ref().map(|path| path.to_str().unwrap());
    server.said(&["replay", "--quiet", "-c", config, "--store", store, predictions, outcomes]);
}

fn report(server: &Server, store: &str, file: &Path) -> String {
    server.said(&["report", "--store", store, "--output", file.to_str().unwrap()]);
    std::fs::read_to_string(file).unwrap()
}

#[test]
fn a_bucket_holds_what_a_directory_does() {
    let server = Server::start();
    server.ask("PUT", "/kept", "");
    let (bucket, directory) = ("s3://kept/a/fraud", sql::fraud().to_str().unwrap());
    replay(&server, bucket);
    let expected = tables(&server, directory);
    let n_rows: Vec<usize> = expected.iter().map(Vec::len).collect();
    assert!(n_rows[3..].iter().all(|n| (1_000..10_000).contains(n)) && n_rows.iter().all(|&n| n > 0), "{n_rows:?}");
    assert!(tables(&server, bucket) == expected);
    let status = server.said(&["store", "status", "--verify", bucket]);
    assert_eq!(status, server.said(&["store", "status", "--verify", directory]));
    let scratch = tempfile::tempdir().unwrap();
    let [ours, theirs] = ["bucket.md", "directory.md"].map(|name| scratch.path().join(name));
    assert_eq!(report(&server, bucket, &ours), report(&server, directory, &theirs).replace(directory, bucket));

    replay(&server, bucket);
    assert_eq!(server.said(&["store", "status", bucket]), status.replace("every file is whole\n", ""), "recognised");
    let compact = ["store", "compact", "--replaced-for", "0s", bucket];
    let compacted = server.said(&compact);
    assert_eq!(server.said(&compact), "0 files became 0, 0 expired, 0 were deleted\n", "after {compacted}");
    assert!(tables(&server, bucket) == expected, "after {compacted}");
}

/// A new bucket of the server.
fn bucket(server: &Server, name: &str) -> Arc<dyn ObjectStore> {
    server.ask("PUT", &format!("/{name}"), "");
    let builder = AmazonS3Builder::new().with_bucket_name(name).with_endpoint(server.endpoint()).with_allow_http(true);
    Arc::new(builder.with_access_key_id("somebody").with_secret_access_key("secret").build().unwrap())
}

#[test]
fn closed_days_of_a_bucket_are_put_together_as_elsewhere() {
    let server = Server::start();
    let stores = [bucket(&server, "days"), Arc::new(InMemory::new()) as Arc<dyn ObjectStore>];
    let at_once = Keep { replaced_for: Duration::ZERO, ..Keep::default() };
    let [ours, theirs] = stores.map(|objects| {
        write_days(|plan, every| StoreWriter::over(Arc::clone(&objects), plan, every).unwrap());
        let done = compact_over(Arc::clone(&objects), &at_once).unwrap();
        let store = Store::over(objects).unwrap();
        store.verify().unwrap();
        (done, store.files().unwrap(), store.windows(&everything()).unwrap())
    });
    assert!(ours.0.merged > ours.0.written && ours.0.deleted > ours.0.merged, "{:?}", ours.0);
    assert_eq!((ours.0, ours.1), (theirs.0, theirs.1));
    assert!(ours.2 == theirs.2);
}

#[test]
fn a_second_writer_of_a_bucket_is_noticed() {
    let server = Server::start();
    let bucket = bucket(&server, "kept");
    a_second_writer_is_told_so(&bucket);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let manifest = ObjectPath::from("_manifests/000000000000.json");
    let again = runtime.block_on(bucket.put_opts(&manifest, "{}".into(), PutMode::Create.into()));
    assert!(matches!(again, Err(ObjectError::AlreadyExists { .. })), "what fences writers: {again:?}");
    assert!(runtime.block_on(bucket.head(&manifest)).unwrap().size > 2);
}

#[test]
fn a_bucket_that_cannot_be_used_is_explained() {
    let mut server = Server::start();
    server.ask("PUT", "/kept", "");
    let ask = |server: &Server, store: &str| server.complaint(&["sql", "--store", store, "SELECT 1"]);
    let said = ask(&server, "s3://elsewhere/fraud");
    assert!(said.contains("cannot read _manifests of the store at s3://elsewhere/fraud: NoSuchBucket: "), "{said}");
    assert!(said.contains("make the bucket, or correct its name"), "{said}");
    // From now on it looks at who asks.
    server.ask("POST", "/moto-api/reset-auth", "0");
    let said = ask(&server, "s3://kept/fraud");
    assert!(said.contains(": InvalidAccessKeyId: ") && said.contains("AWS_ACCESS_KEY_ID, AWS_SECRET"), "{said}");
    server.process.kill().unwrap();
    server.process.wait().unwrap();
    // One that has ended, and one that takes calls and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    for address in [server.address.clone(), silent.local_addr().unwrap().to_string()] {
        server.address = address;
        let begun = now();
        let said = ask(&server, "s3://kept/fraud");
        // It gives up after some 15 seconds; ten times that is not for ever either.
        println!("given up after {:?}", begun.elapsed());
        assert!(begun.elapsed() < Duration::from_secs(150), "{:?}", begun.elapsed());
        assert!(said.contains("cannot read _manifests of the store at s3://kept/fraud"), "{said}");
        assert!(said.contains("check that the server answers") && said.contains("AWS_ENDPOINT_URL"), "{said}");
    }
}
