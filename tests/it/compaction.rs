//! A store stays small: closed days are put together, old ones let go, and older files read on.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use haldane::engine::Engine;
use haldane::event::SECOND;
use haldane::judge::WindowRow;
use haldane::plan::{Plan, WindowKind};
use haldane::store::{Every, Keep, Store, StoreTable, StoreWriter, StoredFile, compact};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::store::{PIECE, everything, panes};
use crate::world::{self, Event, Rng};

/// A pipeline of hours, and a log of a few days.
pub(crate) fn stretched(n: u64) -> (Arc<Plan>, Vec<Event>) {
    let mut plan = world::plan(WindowKind::Sliding { size: 3600 * SECOND, slide: 3600 * SECOND });
    plan.time.pane = 3600 * SECOND;
    plan.time.jump_max = 400_000 * SECOND;
    plan.time.revise_for = 7200 * SECOND;
    let mut log = world::log(7, n);
    for event in &mut log {
        // Ten minutes become four days.
        (event.time, event.broker_time) = (event.time * 600, event.broker_time * 600);
    }
    (Arc::new(plan), log)
}

/// A store on disk with a few days in it.
fn days(root: &Path) -> Store {
    write_days(|plan, every| StoreWriter::open(root.to_str().unwrap(), plan, every).unwrap());
    Store::open(root.to_str().unwrap()).unwrap()
}

/// Writes the results of a few days.
pub(crate) fn write_days(open: impl FnOnce(&Arc<Plan>, Every) -> StoreWriter) {
    let (plan, log) = stretched(1_000);
    let mut writer = open(&plan, Every { span: 7200 * SECOND, rows: 1_000_000 });
    let mut engine = Engine::new(Arc::clone(&plan), 1).keeping_panes(true);
    let streams = world::streams(&log, 1);
    world::feed(&mut engine, &streams, &BTreeMap::new(), (50, &mut Rng::new(1)), |_, effects| {
        writer.keep(&effects).unwrap();
        true
    });
    writer.flush().unwrap();
}

fn count(files: &[StoredFile], table: StoreTable) -> (usize, u64) {
    let of_table: Vec<_> = files.iter().filter(|file| file.table == table).collect();
    (of_table.len(), of_table.iter().map(|file| file.rows).sum())
}

fn files_on_disk(root: &Path) -> usize {
    let mut n = 0;
    for entry in std::fs::read_dir(root).unwrap() {
        let path = entry.unwrap().path();
        n += if path.is_dir() { files_on_disk(&path) } else { 1 };
    }
    n
}

#[test]
fn compaction_leaves_a_file_a_closed_day_and_changes_no_row() {
    let scratch = tempfile::tempdir().unwrap();
    let url = scratch.path().to_str().unwrap();
    let store = days(scratch.path());
    let (before, rows, old_panes) = (store.files().unwrap(), store.windows(&everything()).unwrap(), panes(&store));
    let n_days = before.iter().map(|file| &file.date).collect::<BTreeSet<_>>().len();
    assert!(n_days >= 4 && count(&before, StoreTable::Windows).0 > 2 * n_days, "{n_days} days");

    let patient = Keep::default();
    let done = compact(url, &patient).unwrap();
    assert!(done.merged > done.written && done.deleted == 0, "readers may still be at the old files: {done:?}");
    let after = store.files().unwrap();
    let of_day = |file: &StoredFile| (file.table, file.date.clone(), file.model.clone());
    let newest = after.iter().map(|file| file.date.clone()).max().unwrap();
    let closed: Vec<_> = after.iter().filter(|file| file.date != newest).map(of_day).collect();
    assert_eq!(closed.iter().collect::<BTreeSet<_>>().len(), closed.len(), "one file a closed day and model");
    assert_eq!(store.windows(&everything()).unwrap(), rows);
    assert_eq!(panes(&store), old_panes);
    assert_eq!(
        store.decisions(&everything()).unwrap(),
        days(tempfile::tempdir().unwrap().path()).decisions(&everything()).unwrap()
    );

    let at_once = Keep { replaced_for: Duration::ZERO, ..Keep::default() };
    assert!(compact(url, &at_once).unwrap().deleted > 0);
    let manifests = std::fs::read_dir(scratch.path().join("_manifests")).unwrap().map(|entry| entry.unwrap().path());
    let [checkpoint]: [PathBuf; 1] = manifests.collect::<Vec<_>>().try_into().expect("the checkpoint alone");
    let said: serde_json::Value = serde_json::from_slice(&std::fs::read(checkpoint).unwrap()).unwrap();
    let days = |part: &str| said[part].as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(days("known"), [newest], "what is known of closed days stands elsewhere");
    assert_eq!(days("closed").len(), n_days - 1);
    assert_eq!(
        files_on_disk(scratch.path()),
        after.len() + n_days,
        "those that count, one a closed day, the checkpoint"
    );
    assert_eq!(store.windows(&everything()).unwrap(), rows);
    assert_eq!(compact(url, &at_once).unwrap(), haldane::store::Compacted::default(), "there is nothing left to do");
}

#[test]
fn a_compaction_in_pieces_comes_to_the_same_files() {
    let scratch = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let stores = scratch.each_ref().map(|folder| days(folder.path()));
    let [whole, pieces] = scratch.each_ref().map(|folder| folder.path().to_str().unwrap());
    assert_eq!(compact(whole, &Keep::default()).unwrap().left, 0);
    let mut left = u64::MAX;
    while left > 0 {
        let done = compact(pieces, &PIECE).unwrap();
        assert!(done.written == 1 && done.left < left, "a piece is one file: {done:?}, {left} were left");
        left = done.left;
    }
    let [whole, pieces] = stores.map(|store| store.files().unwrap());
    assert_eq!(whole, pieces);
}

#[test]
fn a_writer_goes_on_over_a_compaction_and_retention_lets_old_days_go() {
    let scratch = tempfile::tempdir().unwrap();
    let url = scratch.path().to_str().unwrap();
    let store = days(scratch.path());
    let rows = store.windows(&everything()).unwrap();
    let keep = Keep { days: BTreeMap::from([(StoreTable::Panes, 1)]), ..Keep::default() };
    assert!(compact(url, &keep).unwrap().expired > 0);
    let left: BTreeSet<String> = store
        .files()
        .unwrap()
        .into_iter()
        .filter(|file| file.table == StoreTable::Panes)
        .map(|file| file.date)
        .collect();
    assert_eq!(left.len(), 1, "{left:?}");
    assert_eq!(store.windows(&everything()).unwrap(), rows, "the other tables keep all");
    // The same log again: the checkpoint remembers what is stored.
    let again = days(scratch.path());
    assert_eq!(again.windows(&everything()).unwrap(), rows);
    assert_eq!(again.files().unwrap(), store.files().unwrap());
}

#[test]
fn a_file_of_an_older_release_reads_as_null_where_it_lacks_a_column() {
    let scratch = tempfile::tempdir().unwrap();
    let url = scratch.path().to_str().unwrap();
    let store = days(scratch.path());
    let rows = store.windows(&everything()).unwrap();
    let files = store.files().unwrap();
    let old = files.iter().find(|file| file.table == StoreTable::Windows).unwrap();
    forget_columns(scratch.path(), old, &["p_value", "bins"]);
    let read = store.windows(&everything()).unwrap();
    let (lacking, whole): (Vec<_>, Vec<_>) = read.iter().zip(&rows).partition(|(read, row)| read != row);
    assert!(!lacking.is_empty() && !whole.is_empty());
    for (read, row) in lacking {
        assert_eq!(*read, WindowRow { p_value: None, bins: 0, ..row.clone() });
    }
    #[cfg(feature = "query")]
    let nulls = crate::store::haldane(&[
        "sql",
        "--store",
        url,
        "--format",
        "csv",
        "SELECT count(*) FROM windows WHERE bins IS NULL",
    ]);
    #[cfg(feature = "query")]
    assert_eq!(nulls.unwrap(), format!("count(*)\n{}\n", old.rows));
    compact(url, &Keep::default()).unwrap();
    assert_eq!(store.windows(&everything()).unwrap(), read);
}

/// Rewrites a file without some columns, and its manifest with its new size.
pub(crate) fn forget_columns(root: &Path, file: &StoredFile, columns: &[&str]) {
    let path = root.join(&file.path);
    let bytes = Bytes::from(std::fs::read(&path).unwrap());
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes).unwrap().with_batch_size(1 << 20).build().unwrap();
    let batch = reader.map(|batch| batch.unwrap()).next().unwrap();
    let keep: Vec<usize> =
        (0..batch.num_columns()).filter(|&at| !columns.contains(&batch.schema().field(at).name().as_str())).collect();
    let batch = batch.project(&keep).unwrap();
    let mut writer = parquet::arrow::ArrowWriter::try_new(Vec::new(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    let bytes = writer.into_inner().unwrap();
    std::fs::write(&path, &bytes).unwrap();
    for entry in std::fs::read_dir(root.join("_manifests")).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let mut manifest: serde_json::Value = serde_json::from_str(&text).unwrap();
        for one in manifest["files"].as_array_mut().unwrap() {
            if one["path"] == file.path {
                one["bytes"] = bytes.len().into();
            }
        }
        std::fs::write(&path, manifest.to_string()).unwrap();
    }
}
