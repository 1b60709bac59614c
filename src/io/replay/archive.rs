//! Archives: files that hold records of topics as they were, a row or a line for each, with their bytes in `value` or
//! `payload` and beside them `key`, `topic`, `partition`, `timestamp` and `headers`. Spark's tables of topics are
//! such, what Kafka Connect keeps of them, and what `kcat -J` writes. Their records are decoded as those of topics are.

mod columns;
mod lines;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use crate::decode::{Decoder, Record, decoder};
use crate::error::{Error, Result};
use crate::event::Micros;
use crate::files::RowPosition;
use crate::files::columns::ColumnFile;
use crate::kafka::ports::Schemas;
use crate::kafka::reader::push;
use crate::plan::Plan;

use super::columnar::with_arrival;
use super::{ARRIVAL_UNKNOWN, BATCH_ROWS, Blocks, LANES_MAX, Offsets, ReadBlock, Refused, StreamKey, route};

/// A record as it was.
#[derive(Debug, Clone)]
pub(crate) struct ArchivedRecord {
    pub(crate) topic: Option<String>,
    pub(crate) lane: u32,
    pub(crate) arrival: Option<Micros>,
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) payload: Option<Vec<u8>>,
    pub(crate) headers: Vec<(String, Vec<u8>)>,
    place: RowPosition,
}

impl ArchivedRecord {
    /// Hands it on as a record of its topic.
    pub(crate) fn with<T>(&self, offset: i64, take: impl FnOnce(&Record<'_>) -> T) -> T {
        let headers: Vec<(&str, &[u8])> =
            self.headers.iter().map(|(name, value)| (name.as_str(), value.as_slice())).collect();
        take(&Record {
            offset,
            broker_time: self.arrival.unwrap_or(ARRIVAL_UNKNOWN),
            key: self.key.as_deref(),
            payload: self.payload.as_deref(),
            headers: &headers,
            topic: self.topic.as_deref().unwrap_or_default(),
        })
    }
}

/// Records of an archive, in its order.
pub(crate) type ArchivedRecords = Box<dyn Iterator<Item = Result<ArchivedRecord>> + Send>;

/// How an archive is written.
#[derive(Debug, Clone)]
pub(crate) enum Archive {
    /// As a table.
    Columns(Arc<dyn ColumnFile>),
    /// As lines of JSON.
    Lines(Arc<Path>),
}

impl Archive {
    /// A table, if it is an archive.
    pub(crate) fn of_columns(file: &Arc<dyn ColumnFile>) -> Option<Self> {
        columns::are_archived(file.schema()).then(|| Self::Columns(Arc::clone(file)))
    }

    /// A file of lines, if it is an archive.
    pub(crate) fn of_lines(path: &Path) -> Result<Option<Self>> {
        Ok(lines::are_archived(path)?.then(|| Self::Lines(path.into())))
    }

    /// A file, if it is an archive.
    pub(crate) fn open(path: &Path) -> Result<Option<Self>> {
        match crate::files::open_columns(path)? {
            Some(file) => Ok(Self::of_columns(&file)),
            None => Self::of_lines(path),
        }
    }

    /// Its records; of tables without their bytes, where it is asked only where they are from.
    pub(crate) fn records(&self, with_bytes: bool) -> Result<ArchivedRecords> {
        match self {
            Self::Columns(file) => columns::records(file.as_ref(), with_bytes),
            Self::Lines(path) => lines::records(path),
        }
    }
}

/// What a first reading of an archive showed.
#[derive(Debug, Clone)]
pub(super) struct ArchiveSurvey {
    pub(super) streams: BTreeSet<StreamKey>,
    pub(super) rows: u64,
    pub(super) warnings: Vec<String>,
    archive: Archive,
    /// The source that it was named for.
    explicit: Option<u16>,
}

/// The sources that a record feeds.
fn sources(plan: &Plan, explicit: Option<u16>, topic: Option<&str>) -> Vec<u16> {
    let named = || topic.map(|topic| route::by_topic(plan, topic).collect());
    let only = || if plan.sources.len() == 1 { vec![0] } else { Vec::new() };
    explicit.map(|one| vec![one]).or_else(named).unwrap_or_else(only)
}

/// Reads an archive once to learn its streams.
pub(super) fn survey(plan: &Plan, path: &Path, archive: Archive, explicit: Option<u16>) -> Result<ArchiveSurvey> {
    let (mut streams, mut rows) = (BTreeSet::new(), 0);
    let mut foreign: BTreeMap<Option<String>, u64> = BTreeMap::new();
    for record in archive.records(false)? {
        let record = record?;
        rows += 1;
        let sources = sources(plan, explicit, record.topic.as_deref());
        if record.lane >= LANES_MAX {
            return Err(Error::user(format!("{}: {} is of partition {}", path.display(), record.place, record.lane))
                .hint(format!("no topic has more than {LANES_MAX} partitions; write the file again")));
        }
        let is_timeless = |&source: &u16| plan.sources[usize::from(source)].mapping.event_time.is_none();
        if record.arrival.is_none() && sources.iter().any(is_timeless) {
            return Err(Error::user(format!("{}: {} does not tell when it arrived", path.display(), record.place))
                .hint("map `event_time` in the pipeline, or give each record a `timestamp`"));
        }
        if sources.is_empty() && (foreign.len() < 8 || foreign.contains_key(&record.topic)) {
            *foreign.entry(record.topic).or_default() += 1;
        }
        streams.extend(sources.into_iter().map(|source| (source, record.lane)));
    }
    if streams.is_empty() {
        let topic = foreign.into_keys().next().flatten();
        let topic = topic.map_or_else(|| "no topic".to_owned(), |topic| format!("topic `{topic}`"));
        return Err(Error::user(format!("{} holds records of {topic}, which feed no source", path.display()))
            .hint("say what it holds with --predictions FILE or --outcomes FILE"));
    }
    let skipped = foreign.iter().filter_map(|(topic, n)| Some((topic.as_ref()?, n)));
    let warnings = skipped.map(|(topic, n)| format!("{n} records of topic `{topic}` feed no source; they are skipped"));
    Ok(ArchiveSurvey { streams, rows, warnings: warnings.collect(), archive, explicit })
}

/// An archive being read.
pub(super) struct ArchiveBlocks {
    plan: Arc<Plan>,
    path: Arc<Path>,
    explicit: Option<u16>,
    records: ArchivedRecords,
    decoders: BTreeMap<StreamKey, Box<dyn Decoder>>,
    schemas: Arc<dyn Schemas>,
}

/// The records of one stream in one block: where each stands, and what it says.
type Run = (i64, Vec<(RowPosition, Option<Vec<u8>>)>);

impl ArchiveBlocks {
    pub(super) fn open(
        plan: &Arc<Plan>,
        path: Arc<Path>,
        survey: &ArchiveSurvey,
        schemas: Arc<dyn Schemas>,
    ) -> Result<Self> {
        let decoders = survey.streams.iter().map(|&stream| (stream, decoder(plan, stream.0, stream.1))).collect();
        let (explicit, records) = (survey.explicit, survey.archive.records(true)?);
        Ok(Self { plan: Arc::clone(plan), path, explicit, records, decoders, schemas })
    }

    fn finish(&mut self, stream: StreamKey, (first, run): Run) -> ReadBlock {
        let decoded = self.decoders.get_mut(&stream).expect("the survey saw every stream").finish();
        let refused = decoded.rejects.into_iter().map(|reject| {
            let at = usize::try_from(reject.offset - first).expect("a record of this block");
            let (place, payload) = &run[at];
            let payload = payload.as_ref().map(|payload| String::from_utf8_lossy(payload).into_owned());
            let (source, lane) = stream;
            Refused { file: Arc::clone(&self.path), source, lane, place: *place, reject, payload }
        });
        let refused = refused.collect();
        ReadBlock { refused, batches: vec![with_arrival(decoded.batch)], passed_over: decoded.passed_over }
    }
}

impl Blocks for ArchiveBlocks {
    fn next_block(&mut self, offsets: &mut Offsets) -> Result<Option<ReadBlock>> {
        let mut runs: BTreeMap<StreamKey, Run> = BTreeMap::new();
        let mut n = 0;
        for record in self.records.by_ref().take(BATCH_ROWS) {
            let record = record?;
            n += 1;
            for source in sources(&self.plan, self.explicit, record.topic.as_deref()) {
                let stream = (source, record.lane);
                let next = offsets.entry(stream).or_default();
                let taker = self.decoders.get_mut(&stream).expect("the survey saw every stream");
                record.with(*next, |record| push(taker.as_mut(), record, self.schemas.as_ref()))?;
                let run = runs.entry(stream).or_insert_with(|| (*next, Vec::new()));
                run.1.push((record.place, record.payload.clone()));
                *next += 1;
            }
        }
        let mut all = (n > 0).then(ReadBlock::default);
        for (stream, run) in runs {
            let block = self.finish(stream, run);
            let all = all.as_mut().expect("records give runs");
            all.batches.extend(block.batches);
            all.refused.extend(block.refused);
            all.passed_over += block.passed_over;
        }
        Ok(all)
    }
}
