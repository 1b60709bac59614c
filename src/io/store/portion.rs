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

#[cfg(test)]
mod tests {
    use arrow::array::Array as _;

    use super::super::columns::BatchBuilder;
    use super::*;

    const DAY: Micros = 86_400_000_000;

    /// Rows of a model and a time, as columns.
    type TimedRow = (&'static str, Micros);

    fn columns(rows: &[TimedRow]) -> RecordBatch {
        BatchBuilder::of(rows).text("topic", |row| row.0).time("time", |row| row.1).small("lane", |_| 0).batch()
    }

    fn portions(rows: &[TimedRow]) -> Vec<Portion> {
        split(StoreTable::Quality, rows, |row| (row.0.to_owned(), row.1, row.1 + 5), columns)
    }

    #[test]
    fn days_begin_at_midnight_and_what_has_no_time_is_of_the_first() {
        let cases = [
            (0, "1970-01-01"),
            (DAY - 1, "1970-01-01"),
            (DAY, "1970-01-02"),
            (951_782_400_000_000, "2000-02-29"),
            (-1, "1970-01-01"),
            (Micros::MAX, "1970-01-01"),
        ];
        cases.into_iter().for_each(|(at, day)| assert_eq!(date(at), day, "{at}"));
    }

    #[test]
    fn rows_are_split_by_day_and_model_and_each_part_knows_its_first_and_last_time() {
        let parts = portions(&[("m", DAY + 2), ("a", DAY), ("m", 7), ("m", DAY + 1), ("m", DAY + 9)]);
        let seen: Vec<_> = parts
            .iter()
            .map(|part| (part.date.as_str(), part.model.as_str(), part.from, part.to, part.rows.num_rows()))
            .collect();
        assert_eq!(
            seen,
            [
                ("1970-01-01", "m", 7, 12, 1),
                ("1970-01-02", "a", DAY, DAY + 5, 1),
                ("1970-01-02", "m", DAY + 1, DAY + 14, 3)
            ]
        );
        assert!(portions(&[]).is_empty());
    }

    #[test]
    fn a_file_is_named_by_where_it_belongs_and_by_its_sorted_rows() {
        let file = |rows: &[TimedRow]| portions(rows)[0].file().expect("a file");
        let (one, body) = file(&[("a/b", DAY + 3_661_000_000), ("a/b", DAY + 3_660_000_000)]);
        let folder = "quality/date=1970-01-02/model=a%2Fb/19700102T010100Z-";
        assert!(one.path.starts_with(folder) && one.path.ends_with(".parquet"), "{}", one.path);
        assert_eq!((one.rows, one.bytes), (2, body.len() as u64));
        let (same, bytes) = file(&[("a/b", DAY + 3_660_000_000), ("a/b", DAY + 3_661_000_000)]);
        assert_eq!((same, bytes), (one.clone(), body.clone()), "the order in which rows come does not matter");
        let (other, _) = file(&[("a/b", DAY + 3_660_000_000), ("a/b", DAY + 3_662_000_000)]);
        assert_ne!(other.path, one.path);
        let rows = file::decode(&one.path, body).expect("Parquet");
        let times = rows.column_by_name("time").expect("a column").to_data();
        assert_eq!(times.buffers()[0].typed_data::<i64>(), [DAY + 3_660_000_000, DAY + 3_661_000_000]);
    }

    #[test]
    fn a_model_without_a_name_has_a_folder() {
        let (file, _) = portions(&[("", 0)])[0].file().expect("a file");
        assert!(file.path.starts_with("quality/date=1970-01-01/model=__HIVE_DEFAULT_PARTITION__/19700101T000000Z-"));
    }
}
