//! Many files, one order: streams take turns by arrival time.
//!
//! Streams change places only where a stretch of arrival time (as long as a pane) ends, so that batches stay long;
//! within a stretch the order is by source, then partition, then file. A file whose arrival times go back stays in its
//! own order: it stands where its latest time so far puts it. A file is opened when its first rows are due, so of a
//! year of files only those are open that overlap.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::batch::EventBatch;
use crate::error::Result;
use crate::event::Micros;
use crate::plan::Plan;

use super::file::Input;
use super::{BATCH_ROWS, Blocks, Offsets, ReadBlock, Refused, ReplayStep, StreamKey};

/// All files, merged.
pub(super) struct FileMerge {
    plan: Arc<Plan>,
    /// Files that are not open yet, the next one last.
    waiting: Vec<Input>,
    feeds: Vec<Feed>,
    streams: Streams,
    ready: VecDeque<ReplayStep>,
    batch_rows: usize,
    passed_over: Arc<AtomicU64>,
}

/// What is known of streams.
#[derive(Default)]
struct Streams {
    /// Files of each that have not ended.
    left: BTreeMap<StreamKey, usize>,
    /// The next offset of those that several files feed: their rows are numbered as they are handed on.
    shared: Offsets,
}

/// One open file.
struct Feed {
    blocks: Box<dyn Blocks + Send>,
    streams: BTreeSet<StreamKey>,
    offsets: Offsets,
    arrival_max: BTreeMap<StreamKey, Micros>,
    heads: Vec<EventBatch>,
    ended: bool,
}

/// Where the next rows of a stream stand in the order.
type MergeOrder = (Micros, StreamKey);

impl FileMerge {
    /// Merges files; the streams in `unfed` end at once.
    pub(super) fn new(plan: &Arc<Plan>, mut inputs: Vec<Input>, unfed: Vec<StreamKey>, batch_rows: usize) -> Self {
        let ready = unfed.into_iter().map(|stream| end(stream, 0)).collect();
        let mut streams = Streams::default();
        inputs.iter().flat_map(|input| &input.streams).for_each(|&stream| streams.add(stream));
        inputs.sort_by_key(|input| input.begins);
        inputs.reverse();
        let passed_over = Arc::default();
        Self { plan: Arc::clone(plan), waiting: inputs, feeds: Vec::new(), streams, ready, batch_rows, passed_over }
    }

    /// How many records were passed over so far.
    pub(super) fn passed_over(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.passed_over)
    }

    /// The next step, or `None` when every stream has ended.
    pub(super) fn step(&mut self) -> Result<Option<ReplayStep>> {
        loop {
            self.open_due()?;
            if let Some(step) = self.ready.pop_front() {
                return Ok(Some(step));
            }
            if !self.take_turn() {
                return Ok(None);
            }
        }
    }

    /// Reads on until every open file has rows or has ended, and every file is open whose rows may be next.
    fn open_due(&mut self) -> Result<()> {
        let pane = self.plan.time.pane;
        let block_rows = self.batch_rows.max(BATCH_ROWS);
        loop {
            for feed in &mut self.feeds {
                let passed_over = feed.fill(&mut self.streams, &mut self.ready)?;
                self.passed_over.fetch_add(passed_over, Ordering::Relaxed);
            }
            self.feeds.retain(|feed| !feed.ended || !feed.heads.is_empty());
            let now = self.feeds.iter().flat_map(|feed| feed.turns(pane)).map(|((stretch, _), _)| stretch).min();
            let is_due = |input: &Input| now.is_none_or(|now| input.begins.div_euclid(pane) <= now);
            let Some(input) = self.waiting.pop_if(|input| is_due(input)) else { return Ok(()) };
            self.feeds.push(Feed::open(input, &self.plan, block_rows)?);
        }
    }

    /// Lets the stream whose turn it is give rows until it is another's turn; false when there are none.
    fn take_turn(&mut self) -> bool {
        let pane = self.plan.time.pane;
        let turns = self.feeds.iter().enumerate();
        let turns = turns.flat_map(|(at, feed)| feed.turns(pane).map(move |(turn, head)| (turn, at, head)));
        let mut turns: Vec<(MergeOrder, usize, usize)> = turns.collect();
        turns.sort_unstable();
        let Some(&((_, stream), at, head)) = turns.first() else { return false };
        let until = turns.get(1).map_or(Micros::MAX, |&((stretch, other), next, _)| {
            let is_before = (stream, at) < (other, next);
            stretch.saturating_add(Micros::from(is_before)).saturating_mul(pane)
        });
        let opens = self.waiting.last().map_or(Micros::MAX, |input| input.begins.div_euclid(pane).saturating_mul(pane));
        let batch = self.feeds[at].take(head, until.min(opens));
        let batch = self.streams.numbered(batch);
        let mut from = 0;
        while from < batch.len() {
            let rows = record_end(&batch, (from + self.batch_rows).min(batch.len())) - from;
            self.ready.push_back(ReplayStep::Batch(Box::new(batch.slice(from, rows))));
            from += rows;
        }
        true
    }
}

impl std::fmt::Debug for FileMerge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (waiting, open) = (self.waiting.len(), self.feeds.len());
        f.debug_struct("Merge").field("waiting", &waiting).field("open", &open).finish_non_exhaustive()
    }
}

impl Streams {
    fn add(&mut self, stream: StreamKey) {
        let files = self.left.entry(stream).or_default();
        *files += 1;
        if *files > 1 {
            self.shared.insert(stream, 0);
        }
    }

    /// Rows as they are numbered in their stream. What was refused before a row stands where the row does: it was
    /// numbered when it was told.
    fn numbered(&mut self, mut batch: EventBatch) -> EventBatch {
        if let Some(next) = self.shared.get_mut(&stream_of(&batch)) {
            let count = |n: usize| i64::try_from(n).expect("a batch has few rows");
            let before = |offset: i64| count(batch.offset.values().partition_point(|&row| row < offset));
            batch.refused = batch.refused.iter().map(|&offset| *next + before(offset)).collect();
            let n = count(batch.len());
            batch.offset = (*next..*next + n).collect();
            *next += n;
        }
        batch
    }

    /// Refused rows as they are numbered in their streams.
    fn renumber(&mut self, refused: &mut [Refused]) {
        for one in refused {
            if let Some(next) = self.shared.get_mut(&(one.source, one.lane)) {
                one.reject.offset = *next;
                *next += 1;
            }
        }
    }

    /// A file of a stream has ended, of which `next` rows were read; says so of the last.
    fn ended(&mut self, stream: StreamKey, next: i64) -> Option<ReplayStep> {
        let left = self.left.get_mut(&stream)?;
        *left -= 1;
        (*left == 0).then(|| end(stream, self.shared.get(&stream).copied().unwrap_or(next)))
    }
}

impl Feed {
    fn open(input: Input, plan: &Arc<Plan>, block_rows: usize) -> Result<Self> {
        let (streams, offsets, arrival_max) = (input.streams.clone(), Offsets::new(), BTreeMap::new());
        let blocks = input.blocks(plan, block_rows)?;
        Ok(Self { blocks, streams, offsets, arrival_max, heads: Vec::new(), ended: false })
    }

    /// Reads on until there are rows, or the file has ended; how many records were passed over on the way.
    fn fill(&mut self, streams: &mut Streams, ready: &mut VecDeque<ReplayStep>) -> Result<u64> {
        let mut passed = 0;
        while self.heads.is_empty() && !self.ended {
            if let Some(block) = self.blocks.next_block(&mut self.offsets)? {
                let ReadBlock { batches, mut refused, passed_over } = block;
                passed += passed_over;
                let (with_rows, refused_alone) = batches.into_iter().partition::<Vec<_>, _>(|batch| !batch.is_empty());
                self.heads.extend(with_rows);
                let places = refused_alone.into_iter().filter(|batch| !batch.refused.is_empty());
                ready.extend(places.map(|batch| ReplayStep::Batch(Box::new(batch))));
                streams.renumber(&mut refused);
                ready.extend((!refused.is_empty()).then_some(ReplayStep::Refused(refused)));
            } else {
                self.ended = true;
                let next = |stream| self.offsets.get(stream).copied().unwrap_or(0);
                ready.extend(self.streams.iter().filter_map(|stream| streams.ended(*stream, next(stream))));
            }
        }
        Ok(passed)
    }

    /// The turn of each head.
    fn turns(&self, pane: Micros) -> impl Iterator<Item = (MergeOrder, usize)> {
        self.heads.iter().enumerate().map(move |(head, batch)| {
            let stream = stream_of(batch);
            let before = self.arrival_max.get(&stream).copied().unwrap_or(Micros::MIN);
            ((before.max(batch.broker_time.value(0)).div_euclid(pane), stream), head)
        })
    }

    /// Takes rows off a head up to the first one that arrived at `until` or later.
    fn take(&mut self, head: usize, until: Micros) -> EventBatch {
        let batch = &self.heads[head];
        let times = batch.broker_time.values();
        let rows = times.iter().position(|&time| time >= until).unwrap_or(times.len()).max(1);
        let latest = self.arrival_max.entry(stream_of(batch)).or_insert(Micros::MIN);
        *latest = times[..rows].iter().copied().fold(*latest, Micros::max);
        let taken = batch.slice(0, rows);
        if rows == batch.len() {
            self.heads.swap_remove(head);
        } else {
            self.heads[head] = batch.slice(rows, batch.len() - rows);
        }
        taken
    }
}

/// Where the record ends whose rows stand before a place: rows of one record stay together.
fn record_end(batch: &EventBatch, place: usize) -> usize {
    let offsets = batch.offset.values();
    let same = offsets[place..].iter().take_while(|offset| **offset == offsets[place - 1]);
    place + same.count()
}

fn stream_of(batch: &EventBatch) -> StreamKey {
    (batch.source, batch.lane)
}

fn end((source, lane): StreamKey, next_offset: i64) -> ReplayStep {
    ReplayStep::End { source, lane, next_offset }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config;
    use crate::replay::{self, ReplayOptions};

    /// Panes of ten seconds.
    fn plan() -> Arc<Plan> {
        let text = "sources: { predictions: { topic: p, id: id, version: v, event_time: t, score: s } }\n\
                    windows: { size: 10s }\n";
        config::parse(text, "p.yaml", std::path::Path::new("")).unwrap_or_else(|error| panic!("{error}")).plan
    }

    /// A row that arrived so many seconds after the start, of a partition; none is one that is refused.
    type ArrivedAt = (u32, i64, bool);

    fn line(&(lane, seconds, is_good): &ArrivedAt) -> String {
        let at = 1_796_000_000_000_000 + seconds * 1_000_000;
        let version = if is_good { "\"v\":\"v1\"," } else { "" };
        format!(
            "{{\"topic\":\"p\",\"partition\":{lane},\"timestamp_us\":{at},\
             \"value\":{{\"id\":\"{lane}-{seconds}\",{version}\"t\":\"2026-11-30T00:00:00Z\",\"s\":0.5}}}}\n"
        )
    }

    /// What a replay of files hands on, a row each: its partition, offset and second; and how often a row was refused
    /// and where streams end.
    #[derive(Debug, Default, PartialEq)]
    struct HandedOn {
        rows: Vec<(u32, i64, i64)>,
        /// Where in the log refused rows stand among the others.
        places: Vec<(u32, i64)>,
        refused: Vec<(u32, i64)>,
        ends: Vec<(u32, i64)>,
    }

    fn handed_on(files: &[Vec<ArrivedAt>], batch_rows: usize) -> HandedOn {
        let dir = tempfile::tempdir().expect("a folder");
        let mut paths = Vec::new();
        for (at, rows) in files.iter().enumerate() {
            let path = dir.path().join(format!("{at}.jsonl"));
            std::fs::write(&path, rows.iter().map(line).collect::<String>()).expect("a file");
            paths.push(path);
        }
        let options = ReplayOptions { batch_rows, ..ReplayOptions::default() };
        let mut all = HandedOn::default();
        for step in replay::open(&plan(), &paths, &options).expect("files") {
            match step.expect("a step") {
                ReplayStep::Batch(batch) => {
                    assert!(batch.len() <= batch_rows, "{} rows at once", batch.len());
                    let second = |time: &i64| (time - 1_796_000_000_000_000) / 1_000_000;
                    let times = batch.broker_time.values().iter().map(second);
                    let offsets = batch.offset.values().iter().copied();
                    all.places.extend(batch.refused.iter().map(|&offset| (batch.lane, offset)));
                    all.rows.extend(offsets.zip(times).map(|(offset, second)| (batch.lane, offset, second)));
                }
                ReplayStep::Refused(refused) => {
                    all.refused.extend(refused.iter().map(|one| (one.lane, one.reject.offset)));
                }
                ReplayStep::End { lane, next_offset, .. } => all.ends.push((lane, next_offset)),
            }
        }
        all
    }

    fn good(rows: &[(u32, i64)]) -> Vec<ArrivedAt> {
        rows.iter().map(|&(lane, seconds)| (lane, seconds, true)).collect()
    }

    #[test]
    fn streams_take_turns_where_a_stretch_ends_and_stand_in_their_order_within_it() {
        let file = good(&[(1, 0), (0, 1), (1, 9), (0, 12), (1, 15), (0, 25)]);
        let order: Vec<(u32, i64)> = handed_on(&[file], 100).rows.iter().map(|(lane, _, at)| (*lane, *at)).collect();
        let start = 1_796_000_000_i64;
        assert_eq!(start % 10, 0, "stretches begin at whole tens of seconds");
        assert_eq!(order, [(0, 1), (1, 0), (1, 9), (0, 12), (1, 15), (0, 25)]);
        let at_the_edge = handed_on(&[good(&[(1, 5), (1, 20), (0, 20)])], 100).rows;
        assert!(at_the_edge.iter().map(|(lane, _, at)| (*lane, *at)).eq([(1, 5), (0, 20), (1, 20)]), "{at_the_edge:?}");
    }

    #[test]
    fn a_file_whose_times_go_back_stays_in_its_own_order() {
        let files = [good(&[(0, 0), (0, 25), (0, 3)]), good(&[(1, 5), (1, 12), (1, 31)])];
        let order: Vec<(u32, i64)> = handed_on(&files, 100).rows.iter().map(|(lane, _, at)| (*lane, *at)).collect();
        assert_eq!(order, [(0, 0), (1, 5), (1, 12), (0, 25), (0, 3), (1, 31)]);
    }

    #[test]
    fn rows_of_a_stream_that_several_files_feed_are_numbered_as_they_are_handed_on() {
        let bad = (0, 13, false);
        let files = [vec![(0, 0, true), bad, (0, 22, true)], good(&[(0, 5), (0, 11)])];
        let all = handed_on(&files, 100);
        let offsets: Vec<i64> = all.rows.iter().map(|(_, offset, _)| *offset).collect();
        assert_eq!(all.refused.len(), 1);
        let mut given: Vec<i64> =
            offsets.iter().copied().chain(all.refused.iter().map(|(_, offset)| *offset)).collect();
        given.sort_unstable();
        assert_eq!(given, [0, 1, 2, 3, 4], "each number is given once");
        assert!(offsets.is_sorted());
        assert_eq!(all.places, [(0, 4)], "the refused row stands before the one that it stood before in its file");
        assert_eq!(all.ends, [(0, 5)], "the stream ends once, after its last file");
    }

    #[test]
    fn partitions_that_no_file_feeds_end_at_once() {
        let all = handed_on(&[good(&[(2, 0)])], 100);
        assert_eq!(all.ends, [(0, 0), (1, 0), (2, 1)]);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

        #[test]
        fn what_is_handed_on_does_not_depend_on_how_much_at_once(
            files in proptest::collection::vec(
                proptest::collection::vec((0..3_u32, 0..60_i64, proptest::bool::weighted(0.9)), 1..12), 1..4,
            ),
            batch_rows in 1..7_usize,
        ) {
            let mut files = files;
            // Each file holds a good row at least.
            files.iter_mut().for_each(|file| file[0].2 = true);
            let (whole, parts) = (handed_on(&files, 1_000), handed_on(&files, batch_rows));
            prop_assert_eq!(&whole, &parts);
            let n = files.iter().map(Vec::len).sum::<usize>();
            prop_assert_eq!(whole.rows.len() + whole.refused.len(), n);
            for lane in 0..3 {
                let offsets = whole.rows.iter().filter(|row| row.0 == lane).map(|row| row.1);
                prop_assert!(offsets.is_sorted_by(|a, b| a < b), "offsets of partition {lane} rise");
            }
        }
    }
}
