//! What is stored already, by day, so that it is recognised when it is said again.
//!
//! What is known of open days stands in the manifests. Of a closed day compaction puts it into a file of its own, which
//! the checkpoint names and which nobody reads but a writer that is told of that day again: manifests do not grow with
//! the age of a store.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::place::StoreFolder;
use crate::error::{Error, Result};
use crate::event::{Micros, stable_hash};
use crate::format::Version;
use crate::judge::WindowRow;
use crate::trust::Trust;

/// Folder of what is known of closed days.
pub(super) const FOLDER: &str = "_known";

/// What the last revision of a judgement says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct LastRevision {
    /// Its number.
    pub(super) revision: u32,
    /// How much data it rests on. Later revisions rest on more.
    pub(super) weight: u64,
    /// Digest of its rows.
    pub(super) digest: u64,
}

impl LastRevision {
    /// What the rows of a judgement say.
    pub(super) fn by(rows: &[WindowRow], revision: u32) -> Self {
        let digest = stable_hash(&bytes(rows));
        Self { revision, weight: rows.iter().map(|row| row.n + row.n_baseline).sum(), digest }
    }
}

/// What rows say but for their revision. One of a window that nothing speaks against has the bytes that it had before
/// the trust of windows was told, so that it is known again: the last one says that it is trusted.
fn bytes(rows: &[WindowRow]) -> Vec<u8> {
    let mut all = postcard::to_stdvec(&rows.len()).expect("a number always encodes");
    for row in rows {
        let bare = WindowRow { revision: 0, ..row.clone() };
        all = postcard::to_extend(&bare, all).expect("rows always encode");
        if row.trust == Trust::Ok {
            all.pop();
        }
    }
    all
}

/// Start and end of a window, and whether its judgement is about labels.
pub(super) type JudgedSpan = (Micros, Micros, bool);

/// What is known of one day.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(from = "Listed", into = "Listed")]
pub(super) struct KnownDay {
    /// Judgements whose rows are stored.
    pub(super) judgements: BTreeMap<JudgedSpan, LastRevision>,
    /// Digests of single records: states, decisions, results of commands, exposures.
    pub(super) records: BTreeSet<u64>,
}

/// The same as lists: JSON has no keys but text.
#[derive(Serialize, Deserialize)]
struct Listed {
    #[serde(default)]
    format: Version<1>,
    judgements: Vec<(JudgedSpan, LastRevision)>,
    records: BTreeSet<u64>,
}

impl From<Listed> for KnownDay {
    fn from(Listed { judgements, records, .. }: Listed) -> Self {
        Self { judgements: judgements.into_iter().collect(), records }
    }
}

impl From<KnownDay> for Listed {
    fn from(KnownDay { judgements, records }: KnownDay) -> Self {
        Self { format: Version, judgements: judgements.into_iter().collect(), records }
    }
}

impl KnownDay {
    /// Takes in what was said later.
    pub(super) fn learn(&mut self, later: &Self) {
        self.judgements.extend(&later.judgements);
        self.records.extend(&later.records);
    }

    /// Writes what is known of a closed day into a file named by what is in it.
    pub(super) async fn put(&self, place: &StoreFolder, day: &str) -> Result<String> {
        let body = serde_json::to_vec(self).expect("lists of integers");
        let path = format!("{FOLDER}/{day}-{:016x}.json", stable_hash(&body));
        place.put(&path, Bytes::from(body)).await?;
        Ok(path)
    }

    /// Reads it back.
    pub(super) async fn get(place: &StoreFolder, path: &str) -> Result<Self> {
        serde_json::from_slice(&place.get(path).await?).map_err(|error| {
            Error::user(format!("{path} of the store at {} is damaged", place.name()))
                .because(error)
                .hint("restore it from a backup, or replay the log into a new store")
        })
    }
}
