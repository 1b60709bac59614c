//! Rows on their way into files: split by day and model, sorted, encoded, and named by their content.

use std::collections::BTreeMap;

use arrow::array::RecordBatch;
use arrow::temporal_conversions::timestamp_us_to_datetime;
use bytes::Bytes;

use super::file;
use super::manifest::StoredFile;
use super::panes;
use super::place::encoded;
use super::table::StoreTable;
use crate::error::Result;
use crate::event::{Micros, stable_hash};
use crate::format::Version;
use crate::judge::SealedPartial;
use crate::plan::Plan;

/// Rows of one table, day and model.
pub(super) struct Portion {
    table: StoreTable,
    date: String,
    model: String,
    from: Micros,
    to: Micros,
    rows: RecordBatch,
}

/// A day and a model.
pub(super) type Folder = (String, String);
/// First and last time, and rows.
type Timed<R> = ((Micros, Micros), Vec<R>);

/// Rows by day and model, in order.
pub(super) fn split<R: Clone>(
    table: StoreTable,
    rows: &[R],
    of: impl Fn(&R) -> (String, Micros, Micros),
    batch: fn(&[R]) -> RecordBatch,
) -> Vec<Portion> {
    let mut parts: BTreeMap<Folder, Timed<R>> = BTreeMap::new();
    for row in rows {
        let (model, from, to) = of(row);
        let part = parts.entry((date(from), model)).or_insert(((from, to), Vec::new()));
        part.0 = (part.0.0.min(from), part.0.1.max(to));
        part.1.push(row.clone());
    }
    let portion = |((date, model), ((from, to), rows)): (Folder, Timed<R>)| Portion {
        table,
        date,
        model,
        from,
        to,
        rows: batch(&rows),
    };
    parts.into_iter().map(portion).collect()
}

/// Panes by day and model, in order.
pub(super) fn by_folder(partials: Vec<SealedPartial>) -> BTreeMap<Folder, Vec<SealedPartial>> {
    let mut folders = BTreeMap::<Folder, Vec<SealedPartial>>::new();
    for partial in partials {
        folders.entry((date(partial.pane), partial.group.model.clone())).or_default().push(partial);
    }
    folders
}

impl Portion {
    /// Panes of one day and model, opened.
    pub(super) fn of_panes(plan: &Plan, (date, model): Folder, partials: &[SealedPartial]) -> Self {
        let rows: Vec<_> = partials.iter().flat_map(|partial| panes::rows_of(plan, &partial.open(plan))).collect();
        let from = rows.iter().map(|row| row.start).min().unwrap_or_default();
        let to = rows.iter().map(|row| row.end).max().unwrap_or_default();
        Self { table: StoreTable::Panes, date, model, from, to, rows: panes::panes(&rows) }
    }

    /// The file of its rows.
    pub(super) fn file(&self) -> Result<(StoredFile, Bytes)> {
        let rows = file::sorted(self.table, &self.rows)?;
        file_of(self.table, (&self.date, &self.model), (self.from, self.to), &rows)
    }
}

/// Sorted rows as a file that is named by its content.
pub(super) fn file_of(
    table: StoreTable,
    (date, model): (&str, &str),
    (from, to): (Micros, Micros),
    rows: &RecordBatch,
) -> Result<(StoredFile, Bytes)> {
    let body = Bytes::from(file::encode(rows)?);
    let folder = format!("{}/date={date}/model={}", table.name(), encoded(model));
    let path = format!("{folder}/{}-{:016x}.parquet", stamp(from), stable_hash(&body));
    let (rows, bytes) = (rows.num_rows() as u64, body.len() as u64);
    let (date, model) = (date.to_owned(), model.to_owned());
    Ok((StoredFile { format: Version, table, path, date, model, rows, bytes, from, to }, body))
}

/// The day of a time; what has none is of the first day of all.
pub(super) fn date(at: Micros) -> String {
    timestamp_us_to_datetime(at.max(0)).map_or_else(|| "1970-01-01".to_owned(), |time| time.date().to_string())
}

/// A time as it stands in names of files.
fn stamp(at: Micros) -> String {
    let time = timestamp_us_to_datetime(at.max(0)).unwrap_or_default();
    time.format("%Y%m%dT%H%M%SZ").to_string()
}
