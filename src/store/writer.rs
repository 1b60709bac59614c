//! Writing a store: what the engine says goes into files, once, however often it says it.
//!
//! Everything is recognised by what it says. A judgement whose rows are stored already is passed over, and one that says
//! something else than before is its next revision; a record (a state, a decision, the result of a command) is known by
//! its digest. So the shell flushes before it commits offsets, and whatever the engine repeats after a crash changes
//! nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::temporal_conversions::timestamp_us_to_datetime;
use object_store::ObjectStore;
use object_store::path::Path;

use super::manifest::{self, Contents, Judgement, Kind, Manifest, StoredFile};
use super::place::{Created, Place, encoded, wait};
use super::table::Table;
use super::{file, rows};
use crate::engine::Effects;
use crate::error::{Error, Result};
use crate::event::{Micros, SECOND, stable_hash};
use crate::judge::WindowRow;
use crate::output::window_batch;
use crate::verdict::{CommandResult, Decision, RolloutState};

/// How long rows wait for company before they are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Every {
    /// At most so long, in event time.
    pub span: Micros,
    /// At most so many.
    pub rows: usize,
}

impl Default for Every {
    fn default() -> Self {
        Self { span: 3_600 * SECOND, rows: 200_000 }
    }
}

/// Writes one store. There is one writer at a time: a second one is noticed at its first flush.
#[derive(Debug)]
pub struct Writer {
    place: Place,
    pipeline: String,
    every: Every,
    contents: Contents,
    /// What the next manifest will say besides files.
    news: Manifest,
    windows: Vec<WindowRow>,
    records: Records,
}

/// Records that wait.
#[derive(Debug, Default)]
struct Records {
    states: Vec<RolloutState>,
    decisions: Vec<Decision>,
    results: Vec<CommandResult>,
}

impl Writer {
    /// Opens the store of a pipeline, and makes it where it is missing.
    ///
    /// # Errors
    /// When it cannot be reached, is damaged, or holds the results of another pipeline.
    pub fn open(url: &str, pipeline: &str, every: Every) -> Result<Self> {
        Self::at(Place::create(url)?, pipeline, every)
    }

    /// Opens the store of a pipeline in an object store that is at hand.
    ///
    /// # Errors
    /// As [`Writer::open`].
    pub fn over(objects: Arc<dyn ObjectStore>, pipeline: &str, every: Every) -> Result<Self> {
        Self::at(Place::over(objects, Path::default(), "memory"), pipeline, every)
    }

    fn at(place: Place, pipeline: &str, every: Every) -> Result<Self> {
        let contents = wait(Contents::read(&place))?;
        if let Some(other) = contents.pipeline.as_deref().filter(|other| *other != pipeline) {
            return Err(Error::user(format!("the store at {} is that of pipeline {other}", place.name()))
                .hint(format!("give {pipeline} a store of its own")));
        }
        let (pipeline, news) = (pipeline.to_owned(), Manifest::flush(pipeline));
        Ok(Self { place, pipeline, every, contents, news, windows: Vec::new(), records: Records::default() })
    }

    /// Takes what a step of the engine gave rise to. Nothing is written yet.
    pub fn take(&mut self, effects: &Effects) {
        self.take_windows(&effects.windows);
        for state in &effects.states {
            let said = rows::without_memory(state);
            if self.is_news(Table::Verdicts, &said) {
                self.records.states.push(said);
            }
        }
        for decision in &effects.decisions {
            if self.is_news(Table::Decisions, &decision.id) {
                self.records.decisions.push(decision.clone());
            }
        }
        for result in &effects.results {
            if self.is_news(Table::Commands, result) {
                self.records.results.push(result.clone());
            }
        }
    }

    /// Takes what a step gave rise to, and writes what has waited long enough.
    ///
    /// # Errors
    /// As [`Writer::flush`].
    pub fn keep(&mut self, effects: &Effects) -> Result<()> {
        self.take(effects);
        if self.is_due() { self.flush() } else { Ok(()) }
    }

    fn take_windows(&mut self, all: &[WindowRow]) {
        let judgement = |row: &WindowRow| (row.window_start, row.window_end, row.coverage.is_some(), row.revision);
        for judged in all.chunk_by(|a, b| judgement(a) == judgement(b)) {
            let (start, end, quality, revision) = judgement(&judged[0]);
            let digest = digest(judged);
            let known = self.contents.judgements.get(&(start, end, quality)).copied();
            let revision = match known {
                Some((_, same)) if same == digest => continue,
                Some((last, _)) => revision.max(last + 1),
                None => revision,
            };
            self.contents.judgements.insert((start, end, quality), (revision, digest));
            self.news.judgements.push(Judgement { start, end, quality, revision, digest });
            self.windows.extend(judged.iter().map(|row| WindowRow { revision, ..row.clone() }));
        }
    }

    /// Whether a record is not stored yet; it is taken to be from now on.
    fn is_news(&mut self, table: Table, said: &impl serde::Serialize) -> bool {
        let bytes = serde_json::to_vec(&(table, said)).expect("a record has text keys and finite numbers");
        let digest = stable_hash(&bytes);
        let news = self.contents.records.insert(digest);
        if news {
            self.news.records.push(digest);
        }
        news
    }

    /// Whether everything taken is stored.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.news == Manifest::flush(&self.pipeline)
    }

    /// Whether records wait that the engine may not say again after a restart: they are written before the states that tell
    /// it where to go on.
    #[must_use]
    pub fn holds_records(&self) -> bool {
        let Records { states, decisions, results } = &self.records;
        !(states.is_empty() && decisions.is_empty() && results.is_empty())
    }

    /// Whether rows have waited long enough.
    #[must_use]
    pub fn is_due(&self) -> bool {
        let ends = || self.windows.iter().map(|row| row.window_end);
        let span = ends().max().zip(ends().min()).map_or(0, |(last, first)| last - first);
        span >= self.every.span || self.windows.len() >= self.every.rows
    }

    /// Writes all that waits: the files first, and then the manifest that makes them count.
    ///
    /// # Errors
    /// When the object store fails, or somebody else writes here too. What was taken is then stored not at all, or, when
    /// only the answer was lost, as a whole; open the store anew to find out.
    pub fn flush(&mut self) -> Result<()> {
        if self.is_clean() {
            return Ok(());
        }
        let portions = self.portions();
        let mut manifest = std::mem::replace(&mut self.news, Manifest::flush(&self.pipeline));
        wait(async {
            for portion in &portions {
                manifest.files.push(portion.write(&self.place).await?);
            }
            self.publish(manifest).await
        })
    }

    /// Everything that waits, by table, day and model.
    fn portions(&mut self) -> Vec<Portion> {
        let Records { states, decisions, results } = std::mem::take(&mut self.records);
        let windows = std::mem::take(&mut self.windows);
        let mut portions = Vec::new();
        split(
            &windows,
            |row| (&row.model, row.window_start, row.window_end),
            |part| {
                portions.push(Portion::new(Table::Windows, part, window_batch));
            },
        );
        split(
            &states,
            |one| (&one.model, one.judged_upto.0, one.judged_upto.0),
            |part| {
                portions.push(Portion::new(Table::Verdicts, part, rows::verdicts));
            },
        );
        split(
            &decisions,
            |one| (&one.model, one.time, one.time),
            |part| {
                portions.push(Portion::new(Table::Decisions, part, rows::decisions));
            },
        );
        split(
            &results,
            |one| (&one.command.model, one.command.at, one.command.at),
            |part| {
                portions.push(Portion::new(Table::Commands, part, rows::commands));
            },
        );
        portions
    }

    /// Writes the manifest under the next number that is free.
    async fn publish(&mut self, manifest: Manifest) -> Result<()> {
        loop {
            let number = self.contents.next;
            if manifest::create(&self.place, number, &manifest).await? == Created::New {
                self.contents.apply(number, manifest);
                return Ok(());
            }
            let there = manifest::load(&self.place, number).await?;
            if there.kind == Kind::Flush && there != manifest {
                return Err(Error::user(format!("another process writes to the store at {}", self.place.name()))
                    .hint("end one of the two, or give each its own `store:`"));
            }
            // Either our own, whose acknowledgement was lost, or a compaction that came in between.
            let ours = there == manifest;
            self.contents.apply(number, there);
            if ours {
                return Ok(());
            }
        }
    }
}

/// What a judgement says, whatever its revision.
fn digest(rows: &[WindowRow]) -> u64 {
    let said = rows.iter().map(|row| WindowRow { revision: 0, ..row.clone() }).collect::<Vec<_>>();
    stable_hash(&postcard::to_stdvec(&said).expect("rows always encode"))
}

/// Rows of one table, day and model.
struct Portion {
    table: Table,
    date: String,
    model: String,
    from: Micros,
    to: Micros,
    rows: RecordBatch,
}

/// The rows of one day and model: day, model, first and last time, rows.
type Part<'a, R> = (String, &'a str, (Micros, Micros), Vec<R>);

/// Hands on rows by day and model, in order.
fn split<'a, R: Clone>(
    rows: &'a [R],
    of: impl Fn(&'a R) -> (&'a String, Micros, Micros),
    mut each: impl FnMut(Part<'a, R>),
) {
    let mut parts: BTreeMap<(String, &str), ((Micros, Micros), Vec<R>)> = BTreeMap::new();
    for row in rows {
        let (model, from, to) = of(row);
        let part = parts.entry((date(from), model)).or_insert(((from, to), Vec::new()));
        part.0 = (part.0.0.min(from), part.0.1.max(to));
        part.1.push(row.clone());
    }
    parts.into_iter().for_each(|((date, model), (times, rows))| each((date, model, times, rows)));
}

impl Portion {
    fn new<R>(table: Table, (date, model, (from, to), rows): Part<'_, R>, batch: fn(&[R]) -> RecordBatch) -> Self {
        Self { table, date, model: model.to_owned(), from, to, rows: batch(&rows) }
    }

    async fn write(&self, place: &Place) -> Result<StoredFile> {
        let rows = file::sorted(self.table, &self.rows)?;
        write(place, self.table, (&self.date, &self.model), (self.from, self.to), &rows).await
    }
}

/// Writes sorted rows as a file that is named by its content.
pub(super) async fn write(
    place: &Place,
    table: Table,
    (date, model): (&str, &str),
    (from, to): (Micros, Micros),
    rows: &RecordBatch,
) -> Result<StoredFile> {
    let bytes = file::encode(rows)?;
    let folder = format!("{}/date={date}/model={}", table.name(), encoded(model));
    let path = format!("{folder}/{}-{:016x}.parquet", stamp(from), stable_hash(&bytes));
    let (n_rows, n_bytes) = (rows.num_rows() as u64, bytes.len() as u64);
    place.put(&path, bytes).await?;
    let (date, model) = (date.to_owned(), model.to_owned());
    Ok(StoredFile { table, path, date, model, rows: n_rows, bytes: n_bytes, from, to })
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
