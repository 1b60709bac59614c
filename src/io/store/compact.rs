//! Fewer and larger files: closed days are rewritten, what is older than its table's retention is let go, and files
//! that nothing names any more are deleted once nobody can be reading them.
//!
//! A day is closed when the store holds a later one. The new files are written first, then a checkpoint that names all
//! files there are; a crash before it leaves files that nobody reads, and one after it files that the next compaction
//! deletes. A writer may go on meanwhile: whoever comes second to the next manifest looks again, and what was put
//! together by then is not put together twice.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use object_store::ObjectStore;
use object_store::path::Path;

use super::manifest::{self, Contents, FOLDER, StoredFile};
use super::place::{Created, StoreFolder, wait};
use super::table::StoreTable;
use super::{file, known, portion};
use crate::error::{Error, Result};

/// What is kept, and for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keep {
    /// Days of each table, counted back from the newest one in the store; a table that is not named keeps all.
    pub days: BTreeMap<StoreTable, u32>,
    /// For how long files stay that nothing names any more, for readers that have begun.
    pub replaced_for: Duration,
    /// The most bytes of files that are put together in one go; the rest is left for the next.
    pub bytes_max: u64,
}

impl Default for Keep {
    fn default() -> Self {
        Self { days: BTreeMap::new(), replaced_for: Duration::from_hours(1), bytes_max: u64::MAX }
    }
}

/// What a compaction did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Compacted {
    /// Files that were put together.
    pub merged: u64,
    /// Files that came of it.
    pub written: u64,
    /// Files that were older than their table's retention.
    pub expired: u64,
    /// Files and manifests that were deleted.
    pub deleted: u64,
    /// Files that could be put together, too, and are left for the next time.
    pub left: u64,
}

/// Files that were put together, by the paths of what they were made of.
type PutTogether = BTreeMap<Vec<String>, StoredFile>;

/// Compacts the store at a directory or a URL.
///
/// # Errors
/// When it cannot be reached, or a file in it is damaged; what was there then still is.
pub fn compact(url: &str, keep: &Keep) -> Result<Compacted> {
    compact_at(&StoreFolder::open(url)?, keep)
}

/// Compacts a store in an object store that is at hand.
///
/// # Errors
/// As [`compact`].
pub fn compact_over(objects: Arc<dyn ObjectStore>, keep: &Keep) -> Result<Compacted> {
    compact_at(&StoreFolder::over(objects, Path::default(), "memory"), keep)
}

/// The same, at a place that is open already.
pub(crate) fn compact_at(place: &StoreFolder, keep: &Keep) -> Result<Compacted> {
    let mut made = PutTogether::new();
    wait(async {
        loop {
            let mut contents = Contents::read(place).await?;
            if contents.pipeline.is_none() {
                return Err(Error::user(format!("there is no store at {}", place.name())));
            }
            let mut done = Compacted::default();
            let before = contents.files.clone();
            expire(&mut contents, keep, &mut done);
            merge(place, &mut contents, keep.bytes_max, &mut made, &mut done).await?;
            close(place, &mut contents).await?;
            let number = contents.next;
            let stale = contents.checkpoint.is_none_or(|checkpoint| checkpoint + 1 < number);
            if contents.files != before || stale {
                let checkpoint = contents.checkpoint();
                if manifest::create(place, number, &checkpoint).await? == Created::Known {
                    continue;
                }
                contents.apply(number, checkpoint);
            }
            done.deleted = sweep(place, &contents, keep).await?;
            return Ok(done);
        }
    })
}

/// Lets go of days that are older than their table keeps.
fn expire(contents: &mut Contents, keep: &Keep, done: &mut Compacted) {
    let Some(newest) = contents.files.iter().filter(|file| file.table != StoreTable::Columns).map(|file| file.to).max()
    else {
        return;
    };
    let first = |table: StoreTable| {
        let days = keep.days.get(&table).map(|&days| i64::from(days) * 86_400_000_000);
        days.map(|days| portion::date(newest.saturating_sub(days)))
    };
    let n_files = contents.files.len();
    contents.files.retain(|file| first(file.table).is_none_or(|first| file.date > first));
    done.expired = (n_files - contents.files.len()) as u64;
    let days: BTreeSet<&str> = contents.files.iter().map(|file| file.date.as_str()).collect();
    contents.known.retain(|day, _| days.contains(day.as_str()));
    contents.closed.retain(|day, _| days.contains(day.as_str()));
}

/// The day that is not closed.
fn newest(files: &[StoredFile]) -> String {
    files.iter().map(|file| file.date.clone()).max().unwrap_or_default()
}

/// Puts what is known of closed days where only those look who are told of them again.
async fn close(place: &StoreFolder, contents: &mut Contents) -> Result<()> {
    let newest = newest(&contents.files);
    let days: Vec<String> = contents.known.range(..newest).map(|(day, _)| day.clone()).collect();
    for day in days {
        contents.recall(place, &day).await?;
        let known = contents.known.remove(&day).unwrap_or_default();
        let path = known.put(place, &day).await?;
        contents.closed.insert(day, path);
    }
    Ok(())
}

/// Puts the files of closed days together, by table and model.
async fn merge(
    place: &StoreFolder,
    contents: &mut Contents,
    bytes_max: u64,
    made: &mut PutTogether,
    done: &mut Compacted,
) -> Result<()> {
    let mut bytes = 0;
    let newest = newest(&contents.files);
    let mut days: BTreeMap<(StoreTable, String, String), Vec<StoredFile>> = BTreeMap::new();
    for file in &contents.files {
        days.entry((file.table, file.date.clone(), file.model.clone())).or_default().push(file.clone());
    }
    let mut files = Vec::new();
    for ((table, date, _), mut day) in days {
        day.sort_by(|a, b| (a.from, &a.path).cmp(&(b.from, &b.path)));
        if date == newest {
            files.append(&mut day);
            continue;
        }
        for mut run in runs(table, day) {
            // The first run is put together in any case, or a large one never would be.
            let full = bytes > 0 && bytes >= bytes_max;
            if run.len() == 1 || full {
                done.left += if full && run.len() > 1 { run.len() as u64 } else { 0 };
                files.append(&mut run);
                continue;
            }
            bytes += run.iter().map(|file| file.bytes).sum::<u64>();
            let parts: Vec<String> = run.iter().map(|file| file.path.clone()).collect();
            let one = match made.get(&parts) {
                Some(one) => one.clone(),
                None => rewrite(place, table, &run).await?,
            };
            files.push(one.clone());
            made.insert(parts, one);
            done.merged += run.len() as u64;
            done.written += 1;
        }
    }
    contents.files = files;
    Ok(())
}

/// Files one after another, as many together as make a file of good size.
fn runs(table: StoreTable, day: Vec<StoredFile>) -> Vec<Vec<StoredFile>> {
    let mut runs: Vec<(u64, Vec<StoredFile>)> = Vec::new();
    for file in day {
        match runs.last_mut() {
            Some((rows, run)) if *rows + file.rows <= table.rows_max() => {
                *rows += file.rows;
                run.push(file);
            }
            _ => runs.push((file.rows, vec![file])),
        }
    }
    runs.into_iter().map(|(_, run)| run).collect()
}

async fn rewrite(place: &StoreFolder, table: StoreTable, run: &[StoredFile]) -> Result<StoredFile> {
    let mut batches: Vec<RecordBatch> = Vec::new();
    for file in run {
        batches.push(file::conform(table, &file::decode(&file.path, place.get(&file.path).await?)?)?);
    }
    let failed = |error| Error::internal("files that cannot be put together").because(error);
    let rows = concat_batches(&table.schema(), &batches).map_err(failed)?;
    let from = run.iter().map(|file| file.from).min().unwrap_or_default();
    let to = run.iter().map(|file| file.to).max().unwrap_or_default();
    let place_of = (run[0].date.as_str(), run[0].model.as_str());
    let (file, body) = portion::file_of(table, place_of, (from, to), &file::sorted(table, &rows)?)?;
    place.put(&file.path, body).await?;
    Ok(file)
}

/// Deletes what nothing names and nobody can be reading: files first, so that a manifest outlives what it names.
async fn sweep(place: &StoreFolder, contents: &Contents, keep: &Keep) -> Result<u64> {
    let files = contents.files.iter().map(|file| &file.path);
    let named: BTreeSet<&str> = files.chain(contents.closed.values()).map(String::as_str).collect();
    let folders: Vec<String> = StoreTable::ALL
        .iter()
        .map(|table| table.name())
        .chain([known::FOLDER])
        .map(|name| format!("{name}/"))
        .collect();
    let before = now().saturating_sub(keep.replaced_for);
    let is_old = |seconds: i64| u64::try_from(seconds).is_ok_and(|seconds| Duration::from_secs(seconds) <= before);
    let checkpoint = contents.checkpoint.unwrap_or(0);
    let is_replaced = |path: &str| match manifest::number(path) {
        Some(number) => number < checkpoint,
        None => !named.contains(path) && folders.iter().any(|folder| path.starts_with(folder)),
    };
    let mut old: Vec<String> = Vec::new();
    for (path, meta) in place.list("").await? {
        if is_replaced(&path) && is_old(meta.last_modified.timestamp()) {
            old.push(path);
        }
    }
    old.sort_by_key(|path| path.starts_with(FOLDER));
    for path in &old {
        place.delete(path).await?;
    }
    Ok(old.len() as u64)
}

#[expect(clippy::disallowed_methods, reason = "how old a file is says the clock; no result depends on it")]
fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
