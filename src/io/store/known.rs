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

#[cfg(test)]
mod tests {
    use super::super::manifest::tests::folder;
    use super::super::place::wait;
    use super::*;
    use crate::output::summary::tests::row;

    fn weighed(n: u64, n_baseline: u64) -> WindowRow {
        WindowRow { n, n_baseline, ..row(0, "amount", "own", 0.5) }
    }

    #[test]
    fn a_judgement_is_known_by_all_its_rows_but_not_by_its_revision() {
        let rows = [weighed(3, 4), weighed(5, 0)];
        let said = LastRevision::by(&rows, 2);
        assert_eq!((said.revision, said.weight), (2, 12));
        let later = rows.clone().map(|row| WindowRow { revision: 9, ..row });
        assert_eq!(LastRevision::by(&later, 2), said);
        let changes: [fn(&mut WindowRow); 4] = [
            |row| row.value = None,
            |row| row.segment.push('x'),
            |row| row.n_baseline += 1,
            |row| row.trust = Trust::Degraded,
        ];
        for (at, change) in changes.into_iter().enumerate() {
            let mut other = rows.clone();
            change(&mut other[1]);
            assert_ne!(LastRevision::by(&other, 2).digest, said.digest, "change {at}");
        }
        assert_ne!(LastRevision::by(&rows[..1], 2).digest, said.digest, "a row fewer");
        let swapped = [rows[1].clone(), rows[0].clone()];
        assert_ne!(LastRevision::by(&swapped, 2).digest, said.digest, "another order");
    }

    #[test]
    fn a_closed_day_comes_back_and_its_name_says_what_is_in_it() {
        let place = folder();
        let said = LastRevision { revision: 1, weight: 2, digest: u64::MAX };
        let day = KnownDay { judgements: [((-1, 2, true), said)].into(), records: [u64::MAX, 0].into() };
        let [path, again] = [(); 2].map(|()| wait(day.put(&place, "1970-01-01")).expect("written"));
        assert_eq!(path, again);
        assert!(
            path.starts_with("_known/1970-01-01-") && path.len() == "_known/1970-01-01-0123456789abcdef.json".len(),
            "{path}"
        );
        assert_eq!(wait(KnownDay::get(&place, &path)).expect("read"), day);
        assert_ne!(wait(KnownDay::default().put(&place, "1970-01-01")).expect("written"), path);
        wait(place.put(&path, Bytes::from_static(b"[]"))).expect("damaged");
        let error = wait(KnownDay::get(&place, &path)).expect_err("no day");
        assert!(error.to_string().starts_with(&format!("{path} of the store at memory is damaged: ")), "{error}");
        assert_eq!(error.advice(), Some("restore it from a backup, or replay the log into a new store"));
    }

    #[test]
    fn what_is_learned_later_counts() {
        let said = |revision: u32| LastRevision { revision, weight: 0, digest: 0 };
        let [a, b, c] = [(0, 1, false), (0, 1, true), (1, 2, false)];
        let mut known = KnownDay { judgements: [(a, said(1)), (b, said(1))].into(), records: [1].into() };
        known.learn(&KnownDay { judgements: [(a, said(2)), (c, said(0))].into(), records: [2].into() });
        assert_eq!(known.judgements, [(a, said(2)), (b, said(1)), (c, said(0))].into());
        assert_eq!(known.records, [1, 2].into());
    }
}
