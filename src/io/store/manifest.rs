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

#[cfg(test)]
pub(super) mod tests {
    use bytes::Bytes;
    use object_store::memory::InMemory;
    use object_store::path::Path;
    use proptest::prelude::*;

    use super::super::known::LastRevision;
    use super::super::place::wait;
    use super::*;

    /// A store that nothing is in.
    pub(in super::super) fn folder() -> StoreFolder {
        StoreFolder::over(std::sync::Arc::new(InMemory::new()), Path::default(), "memory")
    }

    /// A file of ten rows and a hundred bytes, of a day in January 1970.
    pub(in super::super) fn stored(table: StoreTable, day: i64, model: &str, name: &str) -> StoredFile {
        let from = (day - 1) * 86_400_000_000;
        let (path, date) = (format!("{}/{name}.parquet", table.name()), format!("1970-01-{day:02}"));
        let (model, to) = (model.to_owned(), from + 1);
        StoredFile { format: Version, table, path, date, model, rows: 10, bytes: 100, from, to }
    }

    fn flush(name: &str) -> Manifest {
        let mark = Mark { lane: 0, source: 0, part: 0, at: i64::try_from(name.len()).expect("a short name") };
        let files = vec![stored(StoreTable::Windows, 1, "m", name)];
        Manifest { files, marks: vec![mark], ..Manifest::flush("p") }.identified()
    }

    fn names(contents: &Contents) -> Vec<&str> {
        contents.files.iter().map(|file| file.path.as_str()).collect()
    }

    fn write(place: &StoreFolder, number: u64, manifest: &Manifest) {
        assert_eq!(wait(create(place, number, manifest)).expect("written"), Created::New);
    }

    proptest! {
        #[test]
        fn numbers_are_read_as_they_are_written_and_sort_as_their_names(a in 0..10_u64.pow(12), b in 0..10_u64.pow(12)) {
            prop_assert_eq!(number(&path(a)), Some(a));
            prop_assert_eq!(path(a).cmp(&path(b)), a.cmp(&b));
        }
    }

    #[test]
    fn what_only_looks_like_a_manifest_has_no_number() {
        for path in
            ["_manifests/1", "_manifests/1.json.tmp", "_manifests1.json", "old/_manifests/1.json", "_manifests/x.json"]
        {
            assert_eq!(number(path), None, "{path}");
        }
    }

    #[test]
    fn a_number_is_taken_once_and_what_came_second_leaves_what_is_there() {
        let (place, first) = (folder(), flush("a"));
        write(&place, 0, &first);
        assert_eq!(wait(create(&place, 0, &flush("b"))).expect("no failure"), Created::Known);
        assert_eq!(wait(load(&place, 0)).expect("the first"), first);
    }

    #[test]
    fn no_two_flushes_say_the_same_and_one_says_the_same_again() {
        assert_eq!(flush("a").flushed, flush("a").flushed);
        assert_ne!(flush("a").flushed, flush("b").flushed);
    }

    #[test]
    fn whoever_catches_up_knows_what_one_knows_who_begins() {
        let (place, mut early) = (folder(), Contents::default());
        for (number, name) in ["a", "bb", "ccc", "dddd"].into_iter().enumerate() {
            write(&place, number as u64, &flush(name));
            if number != 1 {
                wait(early.catch_up(&place)).expect("a store");
            }
            let late = wait(Contents::read(&place)).expect("a store");
            if number != 1 {
                assert_eq!((names(&early), &early.marks, early.flushed), (names(&late), &late.marks, late.flushed));
                assert_eq!((early.next, late.next), (number as u64 + 1, number as u64 + 1));
            }
        }
        wait(early.catch_up(&place)).expect("nothing new");
        assert_eq!(names(&early).len(), 4, "no file is counted twice");
        assert_eq!(early.marks.values().collect::<Vec<_>>(), [&4], "the last mark counts");
        assert_eq!((early.pipeline.as_deref(), early.checkpoint), (Some("p"), None));
    }

    #[test]
    fn a_checkpoint_stands_for_all_before_it_even_when_they_are_gone() {
        let place = folder();
        write(&place, 0, &flush("a"));
        write(&place, 1, &flush("b"));
        let mut contents = wait(Contents::read(&place)).expect("a store");
        contents.files.remove(0);
        let checkpoint = contents.checkpoint();
        assert_eq!(checkpoint.kind, ManifestKind::Checkpoint);
        write(&place, 2, &checkpoint);
        write(&place, 3, &flush("c"));
        let whole = wait(Contents::read(&place)).expect("a store");
        assert_eq!(names(&whole), ["windows/b.parquet", "windows/c.parquet"]);
        assert_eq!((whole.checkpoint, whole.next, whole.flushed), (Some(2), 4, flush("c").flushed));
        // A checkpoint is no flush: who wrote the last one is still known.
        wait(contents.catch_up(&place)).expect("a store");
        assert_eq!((names(&contents), contents.flushed), (names(&whole), whole.flushed));
        for number in [0, 1] {
            wait(place.delete(&path(number))).expect("deleted");
        }
        assert_eq!(names(&wait(Contents::read(&place)).expect("a store")), names(&whole));
    }

    #[test]
    fn a_checkpoint_says_all_that_is_known() {
        let mut contents = Contents::default();
        let mut manifest = flush("a");
        manifest.plans.insert(7);
        manifest.closed.insert("1970-01-01".into(), "_known/x.json".into());
        manifest.known.insert("1970-01-02".into(), KnownDay { records: [1, 2].into(), ..KnownDay::default() });
        contents.apply(4, manifest);
        let mut again = Contents::default();
        again.apply(5, contents.checkpoint());
        let parts = |contents: &Contents| {
            let Contents { files, known, closed, plans, marks, flushed, pipeline, .. } = contents.clone();
            (files, known, closed, plans, marks, (flushed, pipeline))
        };
        assert_eq!(parts(&again), parts(&contents));
        assert_eq!((again.next, again.checkpoint, contents.checkpoint), (6, Some(5), None));
    }

    #[test]
    fn a_store_that_has_less_than_before_is_gone() {
        let place = folder();
        write(&place, 0, &flush("a"));
        let mut contents = wait(Contents::read(&place)).expect("a store");
        let empty = wait(contents.catch_up(&folder())).expect_err("another place");
        assert_eq!(empty.to_string(), "the store at memory has gone");
        assert_eq!(empty.advice(), Some("check that it is mounted"));
        assert!(wait(contents.catch_up(&place)).is_ok(), "nothing new is no loss");
    }

    #[test]
    fn what_cannot_be_read_says_which_release_may() {
        let cases = [
            ("{", "_manifests/000000000003.json of the store at memory is damaged", "restore it from a backup"),
            ("{\"format\":2}", "_manifests/000000000003.json of the store at memory is damaged", "restore it"),
            ("{\"format\":3}", "_manifests/000000000003.json of the store at memory has format 3", "a newer release"),
            ("{\"format\":1}", "_manifests/000000000003.json of the store at memory has format 1", "an older release"),
        ];
        for (text, message, advice) in cases {
            let place = folder();
            wait(place.put(&path(3), Bytes::from(text))).expect("written");
            let error = wait(load(&place, 3)).expect_err("no manifest of this release");
            assert!(error.to_string().starts_with(message), "{text}: {error}");
            assert!(error.advice().is_some_and(|hint| hint.starts_with(advice)), "{text}: {:?}", error.advice());
        }
    }

    #[test]
    fn what_was_said_of_a_closed_day_since_counts_for_more_than_its_file() {
        let (place, day, span) = (folder(), "1970-01-01", (0, 1, false));
        let said = |revision: u32| LastRevision { revision, weight: 1, digest: u64::from(revision) };
        let of = |revision: u32, records: [u64; 1]| KnownDay {
            judgements: [(span, said(revision))].into(),
            records: records.into(),
        };
        let path = wait(of(1, [1]).put(&place, day)).expect("written");
        let mut contents = Contents::default();
        let closed = [(day.to_owned(), path)].into();
        contents.apply(0, Manifest { closed, ..Manifest::flush("p") });
        assert!(!contents.recalls(day) && contents.recalls("1970-01-02"));
        contents.known.insert(day.to_owned(), of(2, [2]));
        for _ in 0..2 {
            wait(contents.recall(&place, day)).expect("read");
            assert!(contents.recalls(day));
            assert_eq!(contents.known[day], KnownDay { records: [1, 2].into(), ..of(2, [2]) });
        }
    }
}
