//! Writing a store: what the engine says goes into files, once, however often it says it.
//!
//! Everything is recognised by what it says. A judgement whose rows are stored already is passed over, and one that
//! says something else than before is its next revision; a record (a state, a decision, the result of a command) is
//! known by its digest. So the shell flushes before it commits offsets, and whatever the engine repeats after a crash
//! changes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use object_store::ObjectStore;
use object_store::path::Path;

use super::known::LastRevision;
use super::manifest::{self, Contents, Manifest, Mark};
use super::mark::{self, LATE, OFFSETS, REPEATS, ROWS};
use super::panes::{self, ColumnRow};
use super::place::{Created, StoreFolder, wait};
use super::portion::{Portion, by_folder, date, split};
use super::quality::{self, QualityRow, Read};
use super::rows;
use super::table::StoreTable;
use crate::engine::Effects;
use crate::error::{Error, Result};
use crate::event::{Micros, Poison, Reject, SECOND, stable_hash};
use crate::judge::{SealedPartial, WindowRow};
use crate::output::window_batch;
use crate::plan::Plan;
use crate::scan::frame::EXPOSURE;
use crate::scan::{Partial, StreamCounts};
use crate::verdict::{CommandResult, Decision, RolloutState};

/// A row of a pane holds a thousand bins, and counts for so many others.
const PANE_WEIGHT: usize = 16;

/// How many times what makes a flush may wait for a store that fails.
const WAITING_MAX: usize = 4;

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
pub struct StoreWriter {
    place: StoreFolder,
    plan: Arc<Plan>,
    every: Every,
    /// What is stored, and what is going to be.
    contents: Contents,
    /// The last flush of ours, or from before.
    flushed: Option<u64>,
    /// What the next manifest will say besides files.
    news: Manifest,
    /// What was to be written and is not known to be: the same again, until it is.
    pending: Option<Flush>,
    /// Rows by judgement.
    judged: Vec<Vec<WindowRow>>,
    records: PendingRecords,
    panes: Vec<SealedPartial>,
    exposures: Vec<Partial>,
    /// What was read since the last flush, by stream.
    readings: BTreeMap<(u16, u32), QualityRow>,
    /// Next offsets as they were stored when the store was opened, by stream.
    counted: BTreeMap<(u16, u32), i64>,
    /// What a scan had counted of a stream when it was taken last.
    tallies: BTreeMap<(u16, u32), StreamCounts>,
}

/// A manifest, and what is in its files.
#[derive(Debug)]
struct Flush {
    manifest: Manifest,
    bodies: Vec<Bytes>,
}

/// Records that wait.
#[derive(Debug, Default)]
struct PendingRecords {
    states: Vec<RolloutState>,
    decisions: Vec<Decision>,
    results: Vec<CommandResult>,
}

impl PendingRecords {
    fn is_empty(&self) -> bool {
        self.states.is_empty() && self.decisions.is_empty() && self.results.is_empty()
    }
}

impl StoreWriter {
    /// Opens the store of a pipeline, and makes it where it is missing.
    ///
    /// # Errors
    /// When it cannot be reached, is damaged, or holds the results of another pipeline.
    pub fn open(url: &str, plan: &Arc<Plan>, every: Every) -> Result<Self> {
        Self::at(StoreFolder::create(url)?, plan, every)
    }

    /// Opens the store of a pipeline in an object store that is at hand.
    ///
    /// # Errors
    /// As [`StoreWriter::open`].
    pub fn over(objects: Arc<dyn ObjectStore>, plan: &Arc<Plan>, every: Every) -> Result<Self> {
        Self::at(StoreFolder::over(objects, Path::default(), "memory"), plan, every)
    }

    /// Opens the store of a pipeline at a place.
    ///
    /// # Errors
    /// As [`StoreWriter::open`].
    pub fn at(place: StoreFolder, plan: &Arc<Plan>, every: Every) -> Result<Self> {
        let pipeline = plan.name.as_str();
        let contents = wait(Contents::read(&place))?;
        if let Some(other) = contents.pipeline.as_deref().filter(|other| *other != pipeline) {
            return Err(Error::user(format!("the store at {} is that of pipeline {other}", place.name()))
                .hint(format!("give {pipeline} a store of its own")));
        }
        let offsets = contents.marks.iter().filter(|((.., part), _)| *part == OFFSETS);
        let counted = offsets.map(|(&(lane, source, _), &next)| ((source, lane), next)).collect();
        Ok(Self {
            counted,
            tallies: BTreeMap::new(),
            news: Manifest::flush(pipeline),
            flushed: contents.flushed,
            pending: None,
            place,
            plan: Arc::clone(plan),
            every,
            contents,
            judged: Vec::new(),
            records: PendingRecords::default(),
            panes: Vec::new(),
            exposures: Vec::new(),
            readings: BTreeMap::new(),
        })
    }

    /// Takes what a step of the engine gave rise to. Nothing is written yet.
    pub fn take(&mut self, effects: &Effects) {
        let judgement = |row: &WindowRow| (row.window_start, row.window_end, row.coverage.is_some(), row.revision);
        let judged = effects.windows.chunk_by(|a, b| judgement(a) == judgement(b));
        self.judged.extend(judged.map(<[WindowRow]>::to_vec));
        self.take_panes(&effects.panes);
        self.records.states.extend(effects.states.iter().map(rows::without_memory));
        self.records.decisions.extend_from_slice(&effects.decisions);
        self.records.results.extend_from_slice(&effects.results);
    }

    /// Takes what a step gave rise to, and writes what has waited long enough.
    ///
    /// # Errors
    /// As [`StoreWriter::flush`].
    pub fn keep(&mut self, effects: &Effects) -> Result<()> {
        self.take(effects);
        if self.is_due() { self.flush() } else { Ok(()) }
    }

    /// Panes of one stream are complete in the order of time, and all groups of one at once: a mark says which are
    /// stored.
    fn take_panes(&mut self, partials: &[SealedPartial]) {
        let mut fresh = BTreeMap::new();
        for partial in partials {
            let stream = (partial.lane, partial.source, partial.part);
            if partial.part == EXPOSURE {
                // Declared at any time within a pane, and seldom.
                self.exposures.push(partial.open(&self.plan));
                continue;
            }
            if self.contents.marks.get(&stream).is_some_and(|&stored| partial.pane <= stored) {
                continue;
            }
            fresh.insert(stream, partial.pane);
            self.panes.push(partial.clone());
        }
        if !fresh.is_empty() {
            let mark = |(&(lane, source, part), &at): (&(u32, u16, u8), &i64)| Mark { lane, source, part, at };
            self.contents.marks.extend(fresh);
            self.news.marks = self.contents.marks.iter().map(mark).collect();
        }
    }

    /// Up to which offset a stream was counted in an earlier life: a batch is to be split there.
    #[must_use]
    pub fn counted_upto(&self, source: u16, lane: u32) -> i64 {
        self.counted.get(&(source, lane)).copied().unwrap_or(0)
    }

    /// Takes what was read of a stream, beyond [`StoreWriter::counted_upto`].
    pub fn read(&mut self, read: &Read<'_>) {
        if read.next_offset > self.counted_upto(read.source, read.lane) {
            self.reading(read.source, read.lane).read(read);
        }
    }

    /// Takes refused records of a stream.
    pub fn refuse<'r>(&mut self, source: u16, lane: u32, rejects: impl IntoIterator<Item = &'r Reject>) {
        let counted = self.counted_upto(source, lane);
        for reject in rejects.into_iter().filter(|reject| reject.offset >= counted) {
            self.reading(source, lane).refuse(reject);
        }
    }

    /// Takes what a scan that runs apart has counted of a stream from its first record on. What is stored of it is
    /// recognised by its position.
    pub fn tally(&mut self, source: u16, lane: u32, now: &StreamCounts) {
        let stored = self.contents.marks.get(&(lane, source, OFFSETS)).copied().unwrap_or(0);
        let before = self.tallies.get(&(source, lane)).cloned().or_else(|| self.stored_tally(source, lane, stored));
        let known = before.as_ref().map_or(stored, |before| before.next_offset);
        if now.next_offset <= known {
            return;
        }
        // A store that was filled otherwise up to here says nothing of what a scan had counted then: it goes on from
        // now.
        let before = before.unwrap_or_else(|| now.clone());
        self.reading(source, lane).tallied(&before, now);
        self.tallies.insert((source, lane), now.clone());
    }

    /// What a scan had counted of a stream at the offset that is stored.
    fn stored_tally(&self, source: u16, lane: u32, next_offset: i64) -> Option<StreamCounts> {
        let mark = |part: u8| self.contents.marks.get(&(lane, source, part)).map(|&n| n.unsigned_abs());
        let by_reason = Poison::ALL.into_iter().filter_map(|reason| Some((reason, mark(mark::refused(reason))?)));
        let stored = StreamCounts {
            next_offset,
            rows: mark(ROWS).unwrap_or(0),
            late: mark(LATE).unwrap_or(0),
            duplicates: mark(REPEATS).unwrap_or(0),
            refused: by_reason.collect(),
            arrived: 0,
        };
        (next_offset == 0 || mark(ROWS).is_some()).then_some(stored)
    }

    /// The marks of a tally that is stored.
    fn tally_marks(&self, source: u16, lane: u32) -> Vec<(u8, i64)> {
        let Some(tally) = self.tallies.get(&(source, lane)) else { return Vec::new() };
        let counts = [(ROWS, tally.rows), (LATE, tally.late), (REPEATS, tally.duplicates)].into_iter();
        let by_reason = tally.refused.iter().map(|(&reason, &n)| (mark::refused(reason), n));
        counts.chain(by_reason).map(|(part, n)| (part, n.cast_signed())).collect()
    }

    fn reading(&mut self, source: u16, lane: u32) -> &mut QualityRow {
        let mark = self.contents.marks.get(&(lane, source, OFFSETS)).copied();
        let topic = self.plan.stream_name(source);
        self.readings.entry((source, lane)).or_insert_with(|| QualityRow::from(topic, lane, mark.unwrap_or(0)))
    }

    /// Whether everything taken is stored.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.pending.is_none() && self.records.is_empty() && self.waiting() == 0 && !self.has_moved()
    }

    /// Whether it is further on in some stream than is stored.
    fn has_moved(&self) -> bool {
        !self.readings.is_empty() || self.news != Manifest::flush(&self.plan.name)
    }

    /// Whether records wait that the engine may not say again after a restart: they are written before the states that
    /// tell it where to go on.
    #[must_use]
    pub fn holds_records(&self) -> bool {
        self.pending.is_some() || !self.records.is_empty()
    }

    /// Whether rows have waited long enough.
    #[must_use]
    pub fn is_due(&self) -> bool {
        let panes = || self.panes.iter().map(|partial| partial.pane.saturating_add(self.plan.time.pane));
        let ends = || self.judged.iter().map(|rows| rows[0].window_end).chain(panes());
        let span = ends().max().zip(ends().min()).map_or(0, |(last, first)| last - first);
        span >= self.every.span || self.waiting() >= self.every.rows
    }

    /// Whether so much waits that a store that fails can be waited for no longer.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.waiting() >= WAITING_MAX * self.every.rows
    }

    fn waiting(&self) -> usize {
        let panes = self.panes.iter().map(|partial| panes::n_rows(&self.plan, partial)).sum::<usize>();
        self.judged.iter().map(Vec::len).sum::<usize>() + PANE_WEIGHT * (panes + self.exposures.len())
    }

    /// Writes all that waits: the files first, and then the manifest that makes them count.
    ///
    /// # Errors
    /// When the object store fails, or somebody else writes here too. Nothing is lost by that: the next call writes the
    /// same again, unless it finds that only the answer was lost.
    pub fn flush(&mut self) -> Result<()> {
        while let Some(flush) = self.pending.take().map_or_else(|| self.gather(), |again| Ok(Some(again)))? {
            let done = wait(self.publish(&flush));
            if done.is_err() {
                self.pending = Some(flush);
                return done;
            }
        }
        Ok(())
    }

    /// What of everything that waits is not stored yet, as it is going to be.
    fn gather(&mut self) -> Result<Option<Flush>> {
        if self.is_clean() {
            return Ok(None);
        }
        wait(self.recall())?;
        let panes = self.fresh_panes();
        let portions = self.portions(&panes);
        if !self.has_moved() {
            return Ok(None);
        }
        let mut manifest = std::mem::replace(&mut self.news, Manifest::flush(&self.plan.name));
        let mut bodies = Vec::new();
        // Panes are opened a day at a time.
        let panes = by_folder(panes).into_iter().map(|(folder, panes)| Portion::of_panes(&self.plan, folder, &panes));
        for portion in portions.into_iter().chain(panes) {
            let (file, body) = portion.file()?;
            manifest.files.push(file);
            bodies.push(body);
        }
        Ok(Some(Flush { manifest: manifest.identified(), bodies }))
    }

    /// Everything that waits besides panes, by table, day and model.
    fn portions(&mut self, panes: &[SealedPartial]) -> Vec<Portion> {
        let PendingRecords { states, decisions, results } = self.fresh_records();
        let windows = self.fresh_windows();
        let columns = self.fresh_columns(panes);
        let readings: Vec<QualityRow> = self.end_readings();
        let of_window = |row: &WindowRow| (row.model.clone(), row.window_start, row.window_end);
        let of_state = |one: &RolloutState| (one.model.clone(), one.judged_upto.0, one.judged_upto.0);
        let of_decision = |one: &Decision| (one.model.clone(), one.time, one.time);
        let of_result = |one: &CommandResult| (one.command.model.clone(), one.command.at, one.command.at);
        [
            split(StoreTable::Windows, &windows, of_window, window_batch),
            split(StoreTable::Verdicts, &states, of_state, rows::verdicts),
            split(StoreTable::Decisions, &decisions, of_decision, rows::decisions),
            split(StoreTable::Commands, &results, of_result, rows::commands),
            split(StoreTable::Quality, &readings, |row| (String::new(), row.time, row.time), quality::quality),
            split(StoreTable::Columns, &columns, |row| (String::new(), row.since, row.since), panes::columns),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// Gets at hand what is known of the days of what waits.
    async fn recall(&mut self) -> Result<()> {
        let PendingRecords { states, decisions, results } = &self.records;
        let times = (self.judged.iter().map(|rows| rows[0].window_start))
            .chain(self.exposures.iter().map(|partial| partial.pane))
            .chain(states.iter().map(|one| one.judged_upto.0))
            .chain(decisions.iter().map(|one| one.time))
            .chain(results.iter().map(|one| one.command.at));
        let days: BTreeSet<String> = times.map(date).collect();
        if days.iter().all(|day| self.contents.recalls(day)) {
            return Ok(());
        }
        // Of closed days, another compaction may have moved it.
        self.contents.catch_up(&self.place).await?;
        self.contents.learn(&self.news);
        for day in days {
            self.contents.recall(&self.place, &day).await?;
        }
        Ok(())
    }

    /// Judgements that are not stored yet, as the next revision of what is.
    fn fresh_windows(&mut self) -> Vec<WindowRow> {
        let mut fresh = Vec::new();
        for rows in std::mem::take(&mut self.judged) {
            let WindowRow { window_start: start, window_end: end, ref coverage, revision, .. } = rows[0];
            let (day, judged) = (date(start), (start, end, coverage.is_some()));
            let mut said = LastRevision::by(&rows, revision);
            let stored = &mut self.contents.known.entry(day.clone()).or_default().judgements;
            if let Some(last) = stored.get(&judged) {
                // Less data than stored: the engine is on its way again to what it said before.
                if said.digest == last.digest || said.weight < last.weight {
                    continue;
                }
                said.revision = said.revision.max(last.revision + 1);
            }
            stored.insert(judged, said);
            self.news.known.entry(day).or_default().judgements.insert(judged, said);
            fresh.extend(rows.into_iter().map(|row| WindowRow { revision: said.revision, ..row }));
        }
        fresh
    }

    fn fresh_records(&mut self) -> PendingRecords {
        let mut all = std::mem::take(&mut self.records);
        all.states.retain(|one| self.is_news(one.judged_upto.0, (StoreTable::Verdicts, one)));
        all.decisions.retain(|one| self.is_news(one.time, (StoreTable::Decisions, &one.id)));
        all.results.retain(|one| self.is_news(one.command.at, (StoreTable::Commands, one)));
        all
    }

    fn fresh_panes(&mut self) -> Vec<SealedPartial> {
        let mut panes = std::mem::take(&mut self.panes);
        for partial in std::mem::take(&mut self.exposures) {
            if self.is_news(partial.pane, (StoreTable::Panes, partial.lane, &partial.group, &partial.body)) {
                panes.push(SealedPartial::new(&partial));
            }
        }
        panes
    }

    /// The columns of the plan, with its first panes.
    fn fresh_columns(&mut self, panes: &[SealedPartial]) -> Vec<ColumnRow> {
        let plan = stable_hash(self.plan.digest.as_bytes());
        let Some(first) = panes.first().filter(|_| self.contents.plans.insert(plan)) else { return Vec::new() };
        self.news.plans.insert(plan);
        panes::columns_of(&self.plan, first.pane)
    }

    /// Whether a record is not stored yet; it is taken to be from now on.
    fn is_news(&mut self, at: Micros, said: impl serde::Serialize) -> bool {
        let bytes = serde_json::to_vec(&said).expect("a record has text keys and finite numbers");
        let (day, digest) = (date(at), stable_hash(&bytes));
        let news = self.contents.known.entry(day.clone()).or_default().records.insert(digest);
        if news {
            self.news.known.entry(day).or_default().records.insert(digest);
        }
        news
    }

    fn end_readings(&mut self) -> Vec<QualityRow> {
        let readings = std::mem::take(&mut self.readings);
        for (&(source, lane), row) in &readings {
            for (part, at) in self.tally_marks(source, lane).into_iter().chain([(OFFSETS, row.offsets.1)]) {
                self.contents.marks.insert((lane, source, part), at);
                self.news.marks.push(Mark { lane, source, part, at });
            }
        }
        readings.into_values().collect()
    }

    /// Writes files, and the manifest under the next number that is free.
    async fn publish(&mut self, flush: &Flush) -> Result<()> {
        // Before the files: writing into a directory that has gone would make another in its place.
        if self.is_published(flush).await? {
            return Ok(());
        }
        for (file, body) in flush.manifest.files.iter().zip(&flush.bodies) {
            self.place.put(&file.path, body.clone()).await?;
        }
        // The number of a manifest that compaction has replaced since may be free again; what is written there counts
        // for nothing.
        while !self.is_published(flush).await? {
            let number = self.contents.next;
            if manifest::create(&self.place, number, &flush.manifest).await? == Created::New {
                self.contents.apply(number, flush.manifest.clone());
                self.flushed = self.contents.flushed;
                // What was taken since goes further than the marks of this flush.
                self.contents.learn(&self.news);
                break;
            }
        }
        Ok(())
    }

    /// Looks at what was stored meanwhile. When it is this very flush, only its acknowledgement was lost.
    async fn is_published(&mut self, flush: &Flush) -> Result<bool> {
        self.contents.catch_up(&self.place).await?;
        // A checkpoint says nothing of what is not stored yet.
        self.contents.learn(&flush.manifest);
        self.contents.learn(&self.news);
        if self.contents.flushed == self.flushed {
            return Ok(false);
        }
        if self.contents.flushed != flush.manifest.flushed {
            return Err(self.rival());
        }
        self.flushed = self.contents.flushed;
        Ok(true)
    }

    fn rival(&self) -> Error {
        Error::user(format!("another process writes to the store at {}", self.place.name()))
            .hint("end one of the two, or give each its own `store:`")
    }
}
