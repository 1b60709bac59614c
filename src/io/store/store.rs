//! Reading a store: its files, and its records as the engine made them.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use object_store::ObjectStore;
use object_store::path::Path;

use super::file;
use super::known::KnownDay;
use super::manifest::{Contents, StoredFile};
use super::place::{StoreFolder, wait};
use super::state;
use super::table::StoreTable;
use crate::error::{Error, Result};
use crate::event::{Micros, SECOND};
use crate::judge::WindowRow;
use crate::output::{CellReader, window_rows};
use crate::plan::Plan;
use crate::scan::Partial;
use crate::verdict::{CommandResult, Decision, RolloutState};

/// A store that is read. Its calls wait for the object store, so they must not be made on a thread of an async runtime.
#[derive(Debug, Clone)]
pub struct Store {
    place: StoreFolder,
}

/// A day.
const DAY: Micros = 86_400 * SECOND;

/// The panes that start on one day.
#[derive(Debug)]
pub struct PaneDay {
    /// When it ends.
    pub end: Micros,
    /// Panes as the engine held them.
    pub panes: Vec<Partial>,
    /// Panes of another plan, or of a release that did not store them whole.
    pub unfit: u64,
}

/// Which rows are wanted; by default all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RowFilter {
    /// Of this model only.
    pub model: Option<String>,
    /// Not before this time: of a window, its start; else when it was decided, judged or asked for.
    pub from: Option<Micros>,
    /// Before this time.
    pub to: Option<Micros>,
}

impl RowFilter {
    fn may_hold(&self, file: &StoredFile) -> bool {
        self.model.as_ref().is_none_or(|model| *model == file.model)
            && self.from.is_none_or(|from| from <= file.to)
            && self.to.is_none_or(|to| file.from < to)
    }

    fn holds(&self, model: &str, time: Micros) -> bool {
        self.model.as_deref().is_none_or(|wanted| wanted == model)
            && self.from.is_none_or(|from| from <= time)
            && self.to.is_none_or(|to| time < to)
    }
}

impl Store {
    /// Opens a store: a directory, or a bucket as `s3://bucket/folder`.
    ///
    /// # Errors
    /// When there is none.
    pub fn open(url: &str) -> Result<Self> {
        Self::at(StoreFolder::open(url)?)
    }

    /// A store that may yet be empty: its pipeline has only begun.
    ///
    /// # Errors
    /// When its place cannot be reached.
    pub fn reach(url: &str) -> Result<Self> {
        Ok(Self::reached(StoreFolder::open(url)?))
    }

    /// A store that may yet be empty, at a place that was reached.
    #[must_use]
    pub fn reached(place: StoreFolder) -> Self {
        Self { place }
    }

    /// Opens a store in an object store that is at hand.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn over(objects: Arc<dyn ObjectStore>) -> Result<Self> {
        Self::at(StoreFolder::over(objects, Path::default(), "memory"))
    }

    fn at(place: StoreFolder) -> Result<Self> {
        let store = Self { place };
        if store.contents()?.pipeline.is_none() {
            return Err(Error::user(format!("there is no store at {}", store.place.name()))
                .hint("`haldane replay --store DIR` makes one, and so does `haldane run` with a `store:` section"));
        }
        Ok(store)
    }

    /// Where it is.
    pub fn place(&self) -> &StoreFolder {
        &self.place
    }

    fn contents(&self) -> Result<Contents> {
        wait(Contents::read(&self.place))
    }

    /// The pipeline whose results it holds.
    pub fn pipeline(&self) -> Result<String> {
        Ok(self.contents()?.pipeline.unwrap_or_default())
    }

    /// Every file of every table.
    pub fn files(&self) -> Result<Vec<StoredFile>> {
        Ok(self.contents()?.files)
    }

    /// Reads every file.
    ///
    /// # Errors
    /// When one is damaged or missing.
    pub fn verify(&self) -> Result<()> {
        wait(async {
            let contents = Contents::read(&self.place).await?;
            for path in contents.closed.values() {
                KnownDay::get(&self.place, path).await?;
            }
            for file in contents.files {
                let rows = file::decode(&file.path, self.place.get(&file.path).await?)?.num_rows() as u64;
                if rows != file.rows {
                    return Err(Error::user(format!(
                        "{} of the store holds {rows} rows, not {}",
                        file.path, file.rows
                    ))
                    .hint("restore the file from a backup, or replay the log into a new store"));
                }
            }
            Ok(())
        })
    }

    /// The same, for callers on a thread of an async runtime.
    pub async fn files_now(&self) -> Result<Vec<StoredFile>> {
        Ok(Contents::read(&self.place).await?.files)
    }

    /// The rows of a table as columns, one batch a file, of every file that may hold selected rows (and so other rows
    /// too).
    pub fn batches(&self, table: StoreTable, which: &RowFilter) -> Result<Vec<RecordBatch>> {
        wait(async {
            let files = Contents::read(&self.place).await?.files;
            let mut batches = Vec::new();
            for file in files.iter().filter(|file| file.table == table && which.may_hold(file)) {
                batches.push(file::decode(&file.path, self.place.get(&file.path).await?)?);
            }
            Ok(batches)
        })
    }

    /// Panes day by day, as the engine held them under this plan.
    pub fn pane_days(&self, plan: &Plan, which: &RowFilter) -> Result<impl Iterator<Item = Result<PaneDay>>> {
        let mut days: BTreeMap<Micros, Vec<StoredFile>> = BTreeMap::new();
        // What came of records is of no model, and of every one.
        let of_all = RowFilter { model: Some(String::new()), ..which.clone() };
        let is_wanted = |file: &StoredFile| which.may_hold(file) || of_all.may_hold(file);
        for file in self.files()?.into_iter().filter(|file| file.table == StoreTable::Panes && is_wanted(file)) {
            days.entry((file.from.div_euclid(DAY) + 1) * DAY).or_default().push(file);
        }
        let read = move |(end, files): (Micros, Vec<StoredFile>)| {
            let mut day = PaneDay { end, panes: Vec::new(), unfit: 0 };
            for file in files {
                let batch = file::decode(&file.path, wait(self.place.get(&file.path))?)?;
                let (panes, unfit) = state::partials(plan, &batch)?;
                let which = if file.model.is_empty() { &of_all } else { which };
                day.panes.extend(panes.into_iter().filter(|pane| which.holds(&pane.group.model, pane.pane)));
                day.unfit += unfit;
            }
            Ok(day)
        };
        Ok(days.into_iter().map(read))
    }

    /// Results by window, every revision, in the order of (window, model, version, …).
    pub fn windows(&self, which: &RowFilter) -> Result<Vec<WindowRow>> {
        let mut rows = Vec::new();
        for batch in self.batches(StoreTable::Windows, which)? {
            let all = window_rows(&batch)?.into_iter();
            rows.extend(all.filter(|row| which.holds(&row.model, row.window_start)));
        }
        rows.sort_by(|a, b| identity(a).cmp(&identity(b)).then(a.revision.cmp(&b.revision)));
        Ok(rows)
    }

    /// Results by window, of each one the last revision.
    pub fn final_windows(&self, which: &RowFilter) -> Result<Vec<WindowRow>> {
        let mut rows = self.windows(which)?;
        // The last of equals stays: from the back, the first.
        rows.reverse();
        rows.dedup_by(|later, earlier| identity(later) == identity(earlier));
        rows.reverse();
        Ok(rows)
    }

    /// Decisions by time, each with everything it says.
    pub fn decisions(&self, which: &RowFilter) -> Result<Vec<Decision>> {
        let key = |one: &Decision| (one.time, one.rollout.clone(), one.candidate.clone(), one.sequence);
        let mut decisions = self.records::<Decision>(StoreTable::Decisions)?;
        decisions.retain(|one| which.holds(&one.model, one.time));
        decisions.sort_by_key(key);
        Ok(decisions)
    }

    /// Where rollouts stood, by the time of the judgement; without what guards remember.
    pub fn verdicts(&self, which: &RowFilter) -> Result<Vec<RolloutState>> {
        let key = |one: &RolloutState| (one.judged_upto, one.rollout.clone(), one.candidate.clone(), one.sequence);
        let mut states = self.records::<RolloutState>(StoreTable::Verdicts)?;
        states.retain(|one| which.holds(&one.model, one.judged_upto.0));
        states.sort_by_key(key);
        Ok(states)
    }

    /// What became of commands, by the time they were given. Commands for every model are of all.
    pub fn commands(&self, which: &RowFilter) -> Result<Vec<CommandResult>> {
        let mut results = self.records::<CommandResult>(StoreTable::Commands)?;
        let any_model = RowFilter { model: None, ..which.clone() };
        results.retain(|one| {
            let which = if one.command.model.is_empty() { &any_model } else { which };
            which.holds(&one.command.model, one.command.at)
        });
        results.sort_by(|a, b| (a.command.at, &a.command.id).cmp(&(b.command.at, &b.command.id)));
        Ok(results)
    }

    /// Whole records of a table, which is small.
    fn records<T: serde::de::DeserializeOwned>(&self, table: StoreTable) -> Result<Vec<T>> {
        let mut records = Vec::new();
        for batch in self.batches(table, &RowFilter::default())? {
            let body = CellReader::of(&batch).text("body")?;
            for row in 0..batch.num_rows() {
                let record = serde_json::from_str(&body(row)).map_err(|error| {
                    Error::user(format!("a record of {} cannot be read", table.name()))
                        .because(error)
                        .hint("an older or newer release of haldane wrote it")
                })?;
                records.push(record);
            }
        }
        Ok(records)
    }
}

/// What tells one result from another; without its revision.
fn identity(row: &WindowRow) -> (Micros, Micros, [&str; 8]) {
    let names = [
        &row.model,
        &row.version,
        &row.segment,
        &row.baseline,
        &row.reference,
        &row.column,
        &row.metric,
        &row.convention,
    ];
    (row.window_start, row.window_end, names.map(String::as_str))
}

/// How many rows and bytes each table has, and in how many files.
pub fn sizes(files: &[StoredFile]) -> BTreeMap<StoreTable, (u64, u64, u64)> {
    let mut sizes: BTreeMap<StoreTable, (u64, u64, u64)> = BTreeMap::new();
    for file in files {
        let size = sizes.entry(file.table).or_default();
        *size = (size.0 + 1, size.1 + file.rows, size.2 + file.bytes);
    }
    sizes
}
