//! `haldane run` as a process that tests may kill, freeze and end, with its log at hand.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use haldane::config::KafkaConfig;
use haldane::kafka::clock::now;

use crate::http::ask;

/// How long anything is waited for that has no limit of its own.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// The log so far, and whether it has ended.
type Log = Arc<(Mutex<(Vec<String>, bool)>, Condvar)>;

/// A running service. Dropped, it is killed.
pub(crate) struct Service {
    pub(crate) child: Child,
    log: Log,
}

impl Service {
    pub(crate) fn start(pipeline: &Path, arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_haldane"));
        command.args(["run", "--listen", "127.0.0.1:0", "-c"]).arg(pipeline).args(arguments);
        Self::of(command)
    }

    pub(crate) fn of(mut command: Command) -> Self {
        command.env("HALDANE_LOG", "warn,haldane=info").stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let log = Log::default();
        let written = Arc::clone(&log);
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                written.0.lock().unwrap().0.push(line);
                written.1.notify_all();
            }
            written.0.lock().unwrap().1 = true;
            written.1.notify_all();
        });
        Self { child, log }
    }

    /// The lines of the log so far.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.log.0.lock().unwrap().0.clone()
    }

    /// Waits for a line that holds a text, from a line on. Returns the line after it.
    pub(crate) fn await_line(&self, text: &str, from: usize, patience: Duration) -> usize {
        let deadline = now() + patience;
        let mut log = self.log.0.lock().unwrap();
        loop {
            if let Some(at) = log.0.iter().skip(from).position(|line| line.contains(text)) {
                return from + at + 1;
            }
            let left = deadline.saturating_duration_since(now());
            assert!(!left.is_zero() && !log.1, "no `{text}` within {patience:?}; the log:\n{}", log.0.join("\n"));
            log = self.log.1.wait_timeout(log, left).unwrap().0;
        }
    }

    /// Waits for a line that holds a text, from the beginning.
    pub(crate) fn says(&self, text: &str) -> usize {
        self.await_line(text, 0, PATIENCE)
    }

    /// Where it answers over HTTP.
    pub(crate) fn address(&self) -> SocketAddr {
        let after = self.says("http server listens");
        let line = self.lines()[after - 1].clone();
        line.rsplit_once("address=").unwrap().1.trim().parse().unwrap()
    }

    pub(crate) fn signal(&self, signal: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
    }

    /// Kills it as a machine that fails does. When that was.
    pub(crate) fn kill(&mut self) -> Instant {
        let at = now();
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        at
    }

    /// Waits until it has read so many predictions.
    pub(crate) fn await_read(&self, predictions: usize) {
        let deadline = now() + PATIENCE;
        loop {
            let page = ask(self.address(), "GET", "/metrics").text();
            let mut lines = page.lines().filter(|line| line.starts_with("haldane_events_ingested_total"));
            if lines.any(|line| line.contains("prediction") && line.ends_with(&format!(" {predictions}"))) {
                return;
            }
            assert!(now() < deadline, "{predictions} predictions are not read: {:?}\n{page}", self.lines());
        }
    }

    /// Waits until it has ended by itself.
    pub(crate) fn ended(&mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A pipeline of predictions alone, written to a file.
pub(crate) fn pipeline(folder: &Path, predictions: &str, kafka: &KafkaConfig, more: &str) -> std::path::PathBuf {
    let topics = &kafka.topics;
    let text = format!(
        "pipeline: world
sources:
  predictions:
    topic: {predictions}
    event_time: {{ path: at, unit: us }}
    id: id
    model: model
    version: version
    score: {{ path: score, range: [0, 1] }}
    status: status
rollout: {{ baseline: v1 }}
windows: {{ size: 30s, lateness: 40s, idle_after: 2s }}
baselines: [concurrent]
kafka: {{ brokers: '{}', group: {}, control_topic: {}, commands_topic: {}, state_topic: {}, partials_topic: {}, dead_letter_topic: {} }}
{more}",
        kafka.brokers, kafka.group, topics.control, topics.commands, topics.state, topics.partials, topics.dead_letter
    );
    let path = folder.join("pipeline.yaml");
    std::fs::write(&path, text).unwrap();
    path
}
