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
        let days = keep.days.get(&table).map(|&days| i64::from(days).saturating_mul(86_400_000_000));
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

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::super::known::KnownDay;
    use super::super::manifest::Manifest;
    use super::super::manifest::tests::{folder, stored};
    use super::super::quality::{QualityRow, quality};
    use super::*;

    const DAY: i64 = 86_400_000_000;

    /// The contents of a store that says these files and nothing else.
    fn holding(files: Vec<StoredFile>) -> Contents {
        let mut contents = Contents::default();
        contents.apply(0, Manifest { files, ..Manifest::flush("p") });
        contents
    }

    /// What is left of a store when a table keeps so many days.
    fn kept(files: Vec<StoredFile>, days: &[(StoreTable, u32)]) -> (Vec<String>, u64) {
        let (mut contents, mut done) = (holding(files), Compacted::default());
        let keep = Keep { days: days.iter().copied().collect(), ..Keep::default() };
        expire(&mut contents, &keep, &mut done);
        (contents.files.into_iter().map(|file| file.path).collect(), done.expired)
    }

    /// A file of one row of quality, written, of a day in January 1970.
    fn written(place: &StoreFolder, day: i64, offset: i64) -> StoredFile {
        let time = (day - 1) * DAY;
        let mut row = QualityRow::from("t".to_owned(), 0, offset);
        row.time = time;
        let date = format!("1970-01-{day:02}");
        let (file, body) = portion::file_of(StoreTable::Quality, (&date, ""), (time, time), &quality(&[row]))
            .expect("rows are Parquet");
        wait(place.put(&file.path, body)).expect("written");
        file
    }

    fn flushed(place: &StoreFolder, number: u64, files: Vec<StoredFile>) {
        let flush = Manifest { files, ..Manifest::flush("p") }.identified();
        assert_eq!(wait(manifest::create(place, number, &flush)).expect("written"), Created::New);
    }

    fn at_once() -> Keep {
        Keep { replaced_for: Duration::ZERO, ..Keep::default() }
    }

    #[test]
    fn a_table_keeps_so_many_days_counted_from_the_newest_of_all() {
        let files = || {
            let windows = (11..=14).map(|day| stored(StoreTable::Windows, day, "m", &format!("w{day}")));
            let quality = (11..=15).map(|day| stored(StoreTable::Quality, day, "", &format!("q{day}")));
            windows.chain(quality).collect::<Vec<_>>()
        };
        let windows = |days: u32| {
            let (paths, expired) = kept(files(), &[(StoreTable::Windows, days)]);
            let of_table = paths.iter().filter(|path| path.starts_with("windows/")).count();
            assert_eq!(paths.len(), of_table + 5, "another table keeps all");
            (of_table, expired)
        };
        assert_eq!(
            [windows(1), windows(2), windows(4), windows(5), windows(u32::MAX)],
            [(0, 4), (1, 3), (3, 1), (4, 0), (4, 0)]
        );
        assert_eq!(kept(files(), &[]).1, 0);
        assert_eq!(kept(Vec::new(), &[(StoreTable::Windows, 1)]), (Vec::new(), 0));
    }

    #[test]
    fn when_columns_were_first_seen_does_not_say_what_day_it_is() {
        let mut columns = stored(StoreTable::Columns, 9, "", "c");
        let windows = stored(StoreTable::Windows, 2, "m", "w");
        let days = [(StoreTable::Windows, 1)];
        assert_eq!(kept(vec![columns.clone(), windows.clone()], &days).1, 0);
        columns.table = StoreTable::Quality;
        assert_eq!(kept(vec![columns, windows], &days).1, 1);
    }

    #[test]
    fn what_is_known_of_a_day_goes_with_its_last_file() {
        let files = vec![
            stored(StoreTable::Windows, 1, "m", "w"),
            stored(StoreTable::Decisions, 2, "m", "d"),
            stored(StoreTable::Windows, 2, "m", "w"),
            stored(StoreTable::Windows, 9, "m", "w"),
        ];
        let mut contents = holding(files);
        for day in ["1970-01-01", "1970-01-02", "1970-01-09"] {
            contents.known.insert(day.to_owned(), KnownDay::default());
            contents.closed.insert(day.to_owned(), String::new());
        }
        let keep = Keep { days: [(StoreTable::Windows, 1)].into(), ..Keep::default() };
        expire(&mut contents, &keep, &mut Compacted::default());
        assert!(contents.known.keys().eq(["1970-01-02", "1970-01-09"]), "decisions of the second are kept");
        assert!(contents.closed.keys().eq(contents.known.keys()));
    }

    proptest! {
        #[test]
        fn runs_hold_every_file_in_order_and_as_many_rows_as_allowed(rows in proptest::collection::vec(1..30_000_u64, 0..20)) {
            let files = rows.iter().enumerate();
            let file = |(at, &rows): (usize, &u64)| StoredFile { rows, ..stored(StoreTable::Panes, 1, "m", &at.to_string()) };
            let day: Vec<StoredFile> = files.map(file).collect();
            let runs = runs(StoreTable::Panes, day.clone());
            prop_assert_eq!(runs.concat(), day);
            let n_rows = |run: &[StoredFile]| run.iter().map(|file| file.rows).sum::<u64>();
            let most = StoreTable::Panes.rows_max();
            prop_assert!(runs.iter().all(|run| run.len() == 1 || n_rows(run) <= most));
            prop_assert!(runs.windows(2).all(|two| n_rows(&two[0]) + two[1][0].rows > most), "no file more would fit");
        }
    }

    #[test]
    fn a_run_may_be_as_long_as_a_file_may_be_and_no_longer() {
        let lengths = |last: u64| {
            let most = StoreTable::Panes.rows_max();
            let file = |rows: u64| StoredFile { rows, ..stored(StoreTable::Panes, 1, "m", "f") };
            runs(StoreTable::Panes, vec![file(most - 3), file(last)]).iter().map(Vec::len).collect::<Vec<_>>()
        };
        assert_eq!((lengths(3), lengths(4)), (vec![2], vec![1, 1]));
    }

    #[test]
    fn closed_days_become_one_file_each_and_the_newest_is_left_alone() {
        let place = folder();
        let all = [(1, 0), (1, 5), (2, 9), (3, 10), (3, 11)].map(|(day, offset)| written(&place, day, offset));
        for (number, file) in all.iter().enumerate() {
            flushed(&place, number as u64, vec![file.clone()]);
        }
        let done = compact_at(&place, &at_once()).expect("compacted");
        // Two files of the first day, and the five manifests before the checkpoint.
        assert_eq!(done, Compacted { merged: 2, written: 1, deleted: 7, ..Compacted::default() });
        let contents = wait(Contents::read(&place)).expect("a store");
        let of_day = |day: &str| contents.files.iter().filter(|file| file.date == day).collect::<Vec<_>>();
        assert_eq!(["1970-01-01", "1970-01-02", "1970-01-03"].map(|day| of_day(day).len()), [1, 1, 2]);
        let first = of_day("1970-01-01")[0];
        assert_eq!((first.rows, first.from, first.to), (2, 0, 0));
        assert_eq!(of_day("1970-01-02")[0], &all[2], "one file alone stays as it is");
        let again = compact_at(&place, &at_once()).expect("compacted");
        assert_eq!(again, Compacted::default(), "there is nothing left to do");
    }

    #[test]
    fn what_is_beyond_the_bytes_of_one_go_is_counted_and_left_for_the_next() {
        let place = folder();
        let files =
            [(1, 0), (1, 5), (2, 6), (2, 9), (2, 10), (3, 11)].map(|(day, offset)| written(&place, day, offset));
        flushed(&place, 0, files.to_vec());
        let keep = Keep { bytes_max: 0, ..Keep::default() };
        let first = compact_at(&place, &keep).expect("compacted");
        assert_eq!((first.merged, first.written, first.left, first.deleted), (2, 1, 3, 0));
        let second = compact_at(&place, &keep).expect("compacted");
        assert_eq!((second.merged, second.written, second.left, second.deleted), (3, 1, 0, 0));
    }

    #[test]
    fn only_what_is_a_store_s_own_and_unnamed_and_old_is_deleted() {
        let place = folder();
        flushed(&place, 0, vec![written(&place, 1, 0)]);
        let strange =
            ["quality/orphan.parquet", "_known/orphan.json", "notes.txt", "other/quality/x.parquet", "qualitys/x"];
        for path in strange {
            wait(place.put(path, Bytes::from_static(b"x"))).expect("written");
        }
        assert_eq!(compact_at(&place, &Keep::default()).expect("compacted").deleted, 0, "somebody may be reading them");
        assert_eq!(compact_at(&place, &at_once()).expect("compacted").deleted, 3, "two orphans and the first manifest");
        let left = strange.map(|path| wait(place.get(path)).is_ok());
        assert_eq!(left, [false, false, true, true, true]);
    }

    #[test]
    fn where_there_is_no_store_there_is_nothing_to_compact() {
        let error = compact_at(&folder(), &Keep::default()).expect_err("nothing");
        assert_eq!(error.to_string(), "there is no store at memory");
    }
}
