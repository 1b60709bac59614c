//! A partition that is silent is passed by the others. What it brings later revises the windows that were judged
//! without it, or it is counted as late.

use std::collections::BTreeMap;
use std::sync::Arc;

use haldane::engine::{Effects, Engine};
use haldane::event::{Micros, SECOND};
use haldane::judge::{ALL_VERSIONS, WindowRow};
use haldane::plan::{Baseline, Plan, WindowKind};
use haldane::scan::LaneCounts;

use crate::world::{self, Event};

/// When partition 0 falls silent.
const SILENT_FROM: Micros = 250 * SECOND;
/// Everything is read by then.
const END: Micros = 1_000 * SECOND;
const STEP: Micros = 5 * SECOND;

fn plan(size: Micros, slide: Micros) -> Arc<Plan> {
    let plan = world::plan(WindowKind::Sliding { size, slide });
    Arc::new(Plan { baselines: vec![Baseline::Concurrent], ..plan })
}

/// An engine over two partitions, and the last revision of each result.
struct Run<'a> {
    engine: Engine,
    streams: BTreeMap<(u16, u32), Vec<&'a Event>>,
    rows: BTreeMap<String, WindowRow>,
}

impl Run<'_> {
    fn keep(&mut self, effects: Effects) {
        for row in effects.windows {
            let name =
                (&row.model, &row.version, &row.segment, &row.baseline, &row.metric, &row.convention, &row.column);
            let name = format!("{:04} s {name:?}", row.window_end / SECOND);
            let is_newer = self.rows.get(&name).is_none_or(|known| known.revision < row.revision);
            assert!(is_newer, "revision {} comes again: {name}", row.revision);
            self.rows.insert(name, row);
        }
    }

    /// The first offset of a stream that was written at a time or later.
    fn place(&self, source: u16, lane: u32, time: Micros) -> usize {
        self.streams[&(source, lane)].partition_point(|event| event.broker_time < time)
    }

    /// Reads what was written of a partition in a step of time.
    fn read(&mut self, lane: u32, at: Micros) {
        for source in 0..2 {
            let (start, end) = (self.place(source, lane, at), self.place(source, lane, at + STEP));
            if start < end {
                let batch = world::batch(&self.streams[&(source, lane)][start..end], lane, start as i64);
                let effects = self.engine.step(&batch);
                self.keep(effects);
            }
        }
    }

    /// Whoever reads partition 0 says that its log ends there.
    fn tell_of_silence(&mut self) {
        for source in 0..2 {
            let next = self.place(source, 0, SILENT_FROM) as i64;
            let effects = self.engine.progress(0, source, next, true, false);
            self.keep(effects);
        }
    }

    fn finish(mut self) -> (BTreeMap<String, WindowRow>, LaneCounts) {
        for ((source, lane), events) in self.streams.clone() {
            let effects = self.engine.progress(lane, source, events.len() as i64, true, true);
            self.keep(effects);
        }
        let counts = self.engine.counts().into_values().fold(LaneCounts::default(), |mut sum, one| {
            sum += one;
            sum
        });
        (self.rows, counts)
    }
}

/// What comes of a log, and what was counted, where partition 1 was read up to a time before partition 0 spoke again.
fn passed(plan: &Arc<Plan>, log: &[Event], until: Micros) -> (BTreeMap<String, WindowRow>, LaneCounts) {
    let engine = Engine::new(Arc::clone(plan), 2);
    let mut run = Run { engine, streams: world::streams(log, 2), rows: BTreeMap::new() };
    let steps = |range: std::ops::Range<Micros>| range.step_by(STEP as usize);
    for at in steps(0..SILENT_FROM) {
        (0..2).for_each(|lane| run.read(lane, at));
    }
    // By this every partition is silent that has come to its end.
    run.engine.broker_now(END);
    for at in steps(SILENT_FROM..until) {
        run.read(1, at);
        run.tell_of_silence();
    }
    steps(SILENT_FROM..until).for_each(|at| run.read(0, at));
    for at in steps(until..END) {
        (0..2).for_each(|lane| run.read(lane, at));
    }
    run.finish()
}

/// What a result says, whichever revision it is.
fn texts(rows: BTreeMap<String, WindowRow>) -> BTreeMap<String, String> {
    let text = |row: WindowRow| serde_json::to_string(&WindowRow { revision: 0, ..row }).unwrap();
    rows.into_iter().map(|(name, row)| (name, text(row))).collect()
}

#[test]
fn a_partition_that_was_passed_revises_every_window_that_it_belongs_to() {
    let log = world::log(7, 1_500);
    for (size, slide) in [(30, 30), (60, 20)] {
        let plan = plan(size * SECOND, slide * SECOND);
        let (whole, counts) = passed(&plan, &log, SILENT_FROM);
        assert!(whole.len() > 500 && whole.values().any(|row| row.metric == "brier"));
        let until = SILENT_FROM + plan.time.revise_for - 5 * SECOND;
        let (revised, counts_revised) = passed(&plan, &log, until);
        let early = |row: &&WindowRow| row.metric == "error_rate" && row.revision > 0;
        assert!(revised.values().filter(early).count() > 4, "windows were judged without it before");
        let (whole, revised) = (texts(whole), texts(revised));
        let differing = whole.iter().find(|(name, text)| revised.get(*name) != Some(text));
        assert_eq!(differing.map(|(name, text)| (text, revised.get(name))), None, "windows of {size} s");
        assert_eq!(whole.len(), revised.len());
        assert_eq!(counts, counts_revised, "nothing came too late");
    }
}

#[test]
fn what_a_partition_brings_after_all_its_windows_is_counted_as_late() {
    let log = world::log(7, 1_500);
    let plan = plan(30 * SECOND, 30 * SECOND);
    let total = |rows: &BTreeMap<String, WindowRow>, metric: &str| -> u64 {
        let all = |row: &&WindowRow| {
            row.metric == metric && row.version == ALL_VERSIONS && row.segment.is_empty() && row.baseline.is_empty()
        };
        rows.values().filter(all).map(|row| row.n).sum()
    };
    let ((whole, counts), (rows, late)) = (passed(&plan, &log, SILENT_FROM), passed(&plan, &log, END));
    let lost = total(&whole, "error_rate") - total(&rows, "error_rate");
    assert!(lost > 100, "partition 0 was silent for most of the time: {lost}");
    assert_eq!(late.late - counts.late, lost);
    let unlabelled = total(&whole, "brier") - total(&rows, "brier");
    assert!(unlabelled > 100, "{unlabelled}");
    assert_eq!(late.labels.expired - counts.labels.expired, unlabelled);
}
