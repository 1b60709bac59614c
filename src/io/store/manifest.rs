//! Manifests: which files there are, and what is in them. A file that no manifest names does not exist for a reader.
//!
//! Manifests are numbered without gaps and written once (`PutMode::Create`), so that whoever finds the next number
//! taken knows that somebody else writes. A *flush* adds files to those before it; a *checkpoint*, written by
//! compaction, names all files there are, so that nothing before it needs to be read.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::known::KnownDay;
use super::place::{Created, StoreFolder};
use super::table::StoreTable;
use crate::error::{Error, Result};
use crate::event::{Micros, stable_hash};
use crate::format::Version;

/// Version of the manifests' format.
const FORMAT: u32 = 2;
/// Folder of the manifests.
pub(super) const FOLDER: &str = "_manifests";

/// One file of a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredFile {
    /// Version of the tables' formats: what its columns mean, and the bytes in them.
    #[serde(default)]
    pub format: Version<1>,
    /// Table.
    pub table: StoreTable,
    /// Path below the root of the store.
    pub path: String,
    /// Day of its rows, `YYYY-MM-DD`.
    pub date: String,
    /// Model of its rows.
    pub model: String,
    /// Number of rows.
    pub rows: u64,
    /// Size.
    pub bytes: u64,
    /// The earliest time of its rows ([`StoreTable::times`]).
    pub from: Micros,
    /// The latest.
    pub to: Micros,
}

/// How far a stream of partials is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Mark {
    pub(super) lane: u32,
    pub(super) source: u16,
    /// Part of a pane, or what else is counted by stream.
    pub(super) part: u8,
    /// The last pane that is stored, or the next offset.
    pub(super) at: i64,
}

/// What a manifest is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ManifestKind {
    /// Adds to those before it.
    Flush,
    /// Stands for all before it.
    Checkpoint,
}

/// One manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Manifest {
    pub(super) format: u32,
    pub(super) kind: ManifestKind,
    /// Name of the pipeline whose store it is.
    pub(super) pipeline: String,
    pub(super) files: Vec<StoredFile>,
    /// What is in the files, by day.
    #[serde(default)]
    pub(super) known: BTreeMap<String, KnownDay>,
    /// Where that stands of closed days.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) closed: BTreeMap<String, String>,
    /// Digests of the plans whose columns are in the files.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(super) plans: BTreeSet<u64>,
    pub(super) marks: Vec<Mark>,
    /// Which flush was the last: this one or, for a checkpoint, one before it. So its writer learns that it was stored
    /// when the acknowledgement was lost, and that nobody else has written since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) flushed: Option<u64>,
}

impl Manifest {
    /// Nothing yet.
    pub(super) fn flush(pipeline: &str) -> Self {
        Self {
            format: FORMAT,
            kind: ManifestKind::Flush,
            pipeline: pipeline.to_owned(),
            files: Vec::new(),
            known: BTreeMap::new(),
            closed: BTreeMap::new(),
            plans: BTreeSet::new(),
            marks: Vec::new(),
            flushed: None,
        }
    }

    /// The same, told apart from every other: no two flushes say the same.
    pub(super) fn identified(mut self) -> Self {
        self.flushed = Some(stable_hash(&self.encode()));
        self
    }

    fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a manifest has text keys and integers")
    }
}

/// All that the manifests of a store say together.
#[derive(Debug, Clone, Default)]
pub(super) struct Contents {
    /// Number of the next manifest.
    pub(super) next: u64,
    /// Number of the last checkpoint.
    pub(super) checkpoint: Option<u64>,
    /// The last flush.
    pub(super) flushed: Option<u64>,
    /// The pipeline; `None` before the first manifest.
    pub(super) pipeline: Option<String>,
    pub(super) files: Vec<StoredFile>,
    /// What is stored, by day: all of open days, and of closed ones what was read or said since.
    pub(super) known: BTreeMap<String, KnownDay>,
    /// Files of what is known of closed days.
    pub(super) closed: BTreeMap<String, String>,
    /// Closed days whose file has not been read.
    unread: BTreeSet<String>,
    pub(super) plans: BTreeSet<u64>,
    /// By lane, source and part.
    pub(super) marks: BTreeMap<(u32, u16, u8), i64>,
}

impl Contents {
    /// Reads every manifest that counts.
    pub(super) async fn read(place: &StoreFolder) -> Result<Self> {
        let mut contents = Self::default();
        contents.catch_up(place).await?;
        Ok(contents)
    }

    /// Reads the manifests that were written since.
    pub(super) async fn catch_up(&mut self, place: &StoreFolder) -> Result<()> {
        let mut numbers: Vec<u64> = place.list(FOLDER).await?.iter().filter_map(|(path, _)| number(path)).collect();
        numbers.sort_unstable();
        // The newest manifest is never deleted: an empty directory, where one should be mounted, is not the store.
        if numbers.last().map_or(0, |last| last + 1) < self.next {
            return Err(place.gone());
        }
        numbers.retain(|&number| number >= self.next);
        let mut fresh = Vec::new();
        // From the newest back to a checkpoint: what is before it may be gone already.
        for &number in numbers.iter().rev() {
            let manifest = load(place, number).await?;
            let is_checkpoint = manifest.kind == ManifestKind::Checkpoint;
            fresh.push((number, manifest));
            if is_checkpoint {
                break;
            }
        }
        fresh.into_iter().rev().for_each(|(number, manifest)| self.apply(number, manifest));
        Ok(())
    }

    /// Takes the next manifest in.
    pub(super) fn apply(&mut self, number: u64, manifest: Manifest) {
        if manifest.kind == ManifestKind::Checkpoint {
            *self = Self { checkpoint: Some(number), ..Self::default() };
        }
        self.flushed = manifest.flushed;
        self.next = number + 1;
        self.learn(&manifest);
        self.unread.extend(manifest.closed.keys().cloned());
        self.closed.extend(manifest.closed);
        self.pipeline = Some(manifest.pipeline);
        self.files.extend(manifest.files);
    }

    /// Takes in what a manifest says besides files, by which things are recognised.
    pub(super) fn learn(&mut self, manifest: &Manifest) {
        for (day, known) in &manifest.known {
            self.known.entry(day.clone()).or_default().learn(known);
        }
        self.plans.extend(&manifest.plans);
        self.marks.extend(manifest.marks.iter().map(|mark| ((mark.lane, mark.source, mark.part), mark.at)));
    }

    /// Whether all is at hand that is known of a day.
    pub(super) fn recalls(&self, day: &str) -> bool {
        !self.unread.contains(day)
    }

    /// Gets at hand all that is known of a day.
    pub(super) async fn recall(&mut self, place: &StoreFolder, day: &str) -> Result<()> {
        if let Some(path) = self.closed.get(day).filter(|_| !self.recalls(day)) {
            let mut known = KnownDay::get(place, path).await?;
            let slot = self.known.entry(day.to_owned()).or_default();
            known.learn(slot);
            *slot = known;
            self.unread.remove(day);
        }
        Ok(())
    }

    /// The same as one manifest.
    pub(super) fn checkpoint(&self) -> Manifest {
        let mark = |(&(lane, source, part), &at): (&(u32, u16, u8), &i64)| Mark { lane, source, part, at };
        Manifest {
            kind: ManifestKind::Checkpoint,
            files: self.files.clone(),
            known: self.known.clone(),
            closed: self.closed.clone(),
            plans: self.plans.clone(),
            marks: self.marks.iter().map(mark).collect(),
            flushed: self.flushed,
            ..Manifest::flush(self.pipeline.as_deref().unwrap_or_default())
        }
    }
}

/// Path of a manifest; names sort as numbers do.
pub(super) fn path(number: u64) -> String {
    format!("{FOLDER}/{number:012}.json")
}

/// Number of a manifest.
pub(super) fn number(path: &str) -> Option<u64> {
    path.strip_prefix(FOLDER)?.strip_prefix('/')?.strip_suffix(".json")?.parse().ok()
}

/// What is read of a manifest before anything else.
#[derive(Deserialize)]
struct ManifestHead {
    format: u32,
}

/// Reads one manifest.
pub(super) async fn load(place: &StoreFolder, number: u64) -> Result<Manifest> {
    let path = path(number);
    let bytes = place.get(&path).await?;
    let damaged = || Error::user(format!("{path} of the store at {} is damaged", place.name()));
    let unreadable =
        |error| damaged().because(error).hint("restore it from a backup, or replay the log into a new store");
    let head: ManifestHead = serde_json::from_slice(&bytes).map_err(unreadable)?;
    if head.format == FORMAT {
        return serde_json::from_slice(&bytes).map_err(unreadable);
    }
    let whose = if head.format > FORMAT { "a newer" } else { "an older" };
    Err(Error::user(format!("{path} of the store at {} has format {}", place.name(), head.format))
        .hint(format!("{whose} release of haldane wrote it: use that one, or replay the log into a new store")))
}

/// Writes a manifest under the next number, unless that is taken.
pub(super) async fn create(place: &StoreFolder, number: u64, manifest: &Manifest) -> Result<Created> {
    place.put_new(&path(number), manifest.encode()).await
}
