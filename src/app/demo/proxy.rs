//! A proxy on loopback that obeys a file: the share of requests that it sends to the new version is the one that stands
//! there.
//!
//! It takes ids of requests, a line each, and answers each with the version that it goes to. One id goes to the new
//! version for every share above its own place, so that a smaller share keeps a part of those that had it before.

use std::fs;
use std::io::{BufRead as _, BufReader, BufWriter, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::thread;

use serde_json::Value;
use tempfile::TempDir;

use super::traffic::{BASELINE, CANARY, CANARY_SHARE};
use crate::error::{Error, Result};
use crate::event::stable_hash;

/// The file, as pipelines/demo.yaml names it.
const FILE: &str = "weights.json";

/// A running proxy. Its thread ends when the connection to it is closed.
pub(super) struct Proxy {
    folder: TempDir,
    address: SocketAddr,
    reader: BufReader<TcpStream>,
    writer: BufWriter<TcpStream>,
}

impl Proxy {
    /// Writes the file and listens.
    pub(super) fn start() -> Result<Self> {
        let failed = |error: std::io::Error| Error::internal("the demo's proxy does not start").because(error);
        let folder = tempfile::tempdir().map_err(failed)?;
        let file = folder.path().join(FILE);
        let canary = CANARY_SHARE * 100.0;
        let weights = format!("{{ \"{BASELINE}\": {}, \"{CANARY}\": {canary} }}\n", 100.0 - canary);
        fs::write(&file, weights).map_err(failed)?;
        let listener = TcpListener::bind("127.0.0.1:0").map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let work = move || match listener.accept().and_then(|(stream, _)| serve(&stream, &file)) {
            Ok(()) => {}
            Err(error) => tracing::error!(%error, "the demo's proxy has ended"),
        };
        thread::Builder::new().name("haldane-proxy".to_owned()).spawn(work).map_err(failed)?;
        let stream = TcpStream::connect(address).map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        let writer = BufWriter::new(stream.try_clone().map_err(failed)?);
        Ok(Self { folder, address, reader: BufReader::new(stream), writer })
    }

    /// Where it listens.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The folder of its file.
    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Whether each request goes to the new version.
    pub(super) fn route(&mut self, ids: &[String]) -> Result<Vec<bool>> {
        let failed = |error: std::io::Error| Error::internal("the demo's proxy does not answer").because(error);
        self.writer
            .write_all((ids.join("\n") + "\n\n").as_bytes())
            .and_then(|()| self.writer.flush())
            .map_err(failed)?;
        let mut line = String::new();
        let mut canary = Vec::with_capacity(ids.len());
        for _ in ids {
            line.clear();
            self.reader.read_line(&mut line).map_err(failed)?;
            canary.push(line.trim_end() == CANARY);
        }
        Ok(canary)
    }
}

/// Answers until the other side is gone. An empty line ends what is asked at once; the file is read for each such.
fn serve(stream: &TcpStream, file: &Path) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let (mut lines, mut answers) = (BufReader::new(stream).lines(), BufWriter::new(stream));
    let mut share = None;
    while let Some(id) = lines.next().transpose()? {
        if id.is_empty() {
            answers.flush()?;
            share = None;
            continue;
        }
        let pct = match share {
            Some(pct) => pct,
            None => *share.insert(weight(file)?),
        };
        writeln!(answers, "{}", if goes_to_canary(&id, pct) { CANARY } else { BASELINE })?;
    }
    Ok(())
}

/// The new version's weight, percent.
fn weight(file: &Path) -> std::io::Result<f64> {
    let weights: Value = serde_json::from_slice(&fs::read(file)?)?;
    weights[CANARY].as_f64().ok_or_else(|| std::io::Error::other(format!("no weight of {CANARY} in {weights}")))
}

/// Whether a request goes to the new version at a share of so many percent.
#[expect(clippy::cast_precision_loss, reason = "a place among 2^53 is fine enough")]
pub(super) fn goes_to_canary(id: &str, share_pct: f64) -> bool {
    let place = (stable_hash(id.as_bytes()) >> 11) as f64 / (1_u64 << 53) as f64;
    place * 100.0 < share_pct
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_says_who_answers_and_a_smaller_share_keeps_a_part_of_those_before() {
        let mut proxy = Proxy::start().expect("a proxy");
        let ids: Vec<String> = (0..5_000).map(|n| format!("p{n:07}")).collect();
        let at_first = proxy.route(&ids).expect("answers");
        fs::write(proxy.folder().join(FILE), "{ \"v1\": 95, \"v2\": 5 }").expect("a file");
        let later = proxy.route(&ids).expect("answers");
        let share = |canary: &[bool]| canary.iter().filter(|canary| **canary).count();
        assert!((950..1_050).contains(&share(&at_first)), "{}", share(&at_first));
        assert!((200..300).contains(&share(&later)), "{}", share(&later));
        assert!(at_first.iter().zip(&later).all(|(before, now)| *before || !now));
        fs::write(proxy.folder().join(FILE), "{ \"v1\": 100, \"v2\": 0 }").expect("a file");
        assert_eq!(share(&proxy.route(&ids).expect("answers")), 0);
    }
}
