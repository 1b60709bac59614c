//! How much a replay costs over reading the file: the whole pipeline (Parquet, decoding, engine) against a bare scan of
//! the same columns, alternating in one process.
//!
//! `cargo bench --bench replay` prints events per second, their ratio (goal: at least 0.5) and the peak memory (goal:
//! below 300 MB) over a million events with 30 numeric and 5 categorical features. The scan runs on one thread and the
//! replay on two, one reading ahead of the other, so the ratio in CPU time, all threads counted, stands beside it;
//! neighbours on the machine distort that less. `-- --test` does it once, over a few.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use arrow::array::{ArrayRef, Float64Array, Int16Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field as ArrowField, Schema};
use haldane::engine::Engine;
use haldane::event::{EventKind, SECOND};
use haldane::kernel::bin::Edges;
use haldane::kernel::moment::Grid;
use haldane::metric::METRICS;
use haldane::plan::{
    Authority, Baseline, Bounds, CategoricalColumn, ColumnRole, Columns, FieldSource, Format, GuardPlan, Mapping,
    MetricsPlan, NumericColumn, NumericField, Plan, PolicyPlan, SourcePlan, TimeFormat, TimePlan, WallClock,
    WindowKind,
};
use haldane::replay::{self, ReplayOptions, ReplayStep};
use haldane::summary::histogram::{Cut, Recuts};
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::arrow::{ArrowWriter, ProjectionMask};
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;
use parquet::schema::types::ColumnPath;

const N_NUMERIC: usize = 30;
const N_CATEGORICAL: usize = 5;
const ROW_GROUP_ROWS: usize = 131_072;
const RATIO_GOAL: f64 = 0.5;
const MEMORY_GOAL_MB: f64 = 300.0;

fn main() {
    let tiny = std::env::args().any(|argument| argument == "--test");
    let (rows, rounds) = if tiny { (20_000, 1) } else { (1_000_000, 9) };
    let path = log(rows);
    let plan = Arc::new(plan());
    forget_peak_memory();

    let (mut scans, mut replays) = (Times::default(), Times::default());
    for round in 0..rounds {
        for replays_now in [round % 2 == 1, round % 2 == 0] {
            if replays_now {
                replays.take(|| assert_eq!(replay(&path, &plan), rows, "every row is read"));
            } else {
                scans.take(|| assert_eq!(scan(&path), rows, "every row is read"));
            }
        }
    }
    report(rows, &scans, &replays);
}

/// What runs of one program took, in seconds.
#[derive(Default)]
struct Times {
    wall: Vec<f64>,
    cpu: Vec<f64>,
}

impl Times {
    #[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
    fn take(&mut self, run: impl FnOnce()) {
        let (from, cpu_from) = (Instant::now(), cpu_seconds());
        run();
        self.wall.push(from.elapsed().as_secs_f64());
        self.cpu.push(cpu_seconds() - cpu_from);
    }
}

#[expect(clippy::cast_precision_loss, reason = "rates for people")]
fn report(rows: usize, scans: &Times, replays: &Times) {
    let (scan, replay) = (median(&scans.wall), median(&replays.wall));
    let (scan_cpu, replay_cpu) = (median(&scans.cpu), median(&replays.cpu));
    let of_a_row = |seconds: f64| seconds / rows as f64 * 1e9;
    println!("rows                {rows}");
    println!(
        "bare scan           {:.2} M events/s, {:.0} ns of CPU an event",
        rows as f64 / scan / 1e6,
        of_a_row(scan_cpu)
    );
    println!(
        "replay              {:.2} M events/s, {:.0} ns of CPU an event",
        rows as f64 / replay / 1e6,
        of_a_row(replay_cpu)
    );
    println!(
        "replay / bare scan  {:.2} of its events/s (goal >= {RATIO_GOAL}), {:.2} of its events per CPU second",
        scan / replay,
        scan_cpu / replay_cpu
    );
    println!("peak memory         {:.0} MB (goal < {MEMORY_GOAL_MB})", peak_memory_mb());
}

fn scan(path: &Path) -> usize {
    let file = File::open(path).expect("the log was just written");
    let stored = ArrowReaderMetadata::load(&file, ArrowReaderOptions::new()).expect("a Parquet file");
    let texts = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    let fields = stored.schema().fields().iter().map(|field| match field.data_type() {
        DataType::Utf8 if field.name() != "prediction_id" => field.as_ref().clone().with_data_type(texts.clone()),
        _ => field.as_ref().clone(),
    });
    let options = ArrowReaderOptions::new().with_schema(Arc::new(Schema::new(fields.collect::<Vec<_>>())));
    let metadata = ArrowReaderMetadata::try_new(Arc::clone(stored.metadata()), options).expect("the schema fits");
    let leaves = metadata.parquet_schema().columns().iter().enumerate();
    let read: Vec<usize> = leaves.filter(|(_, leaf)| leaf.name() != "unused").map(|(at, _)| at).collect();
    let mask = ProjectionMask::leaves(metadata.parquet_schema(), read);
    let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata);
    let reader = reader.with_projection(mask).with_batch_size(replay::BATCH_ROWS).build().expect("a reader");
    reader.map(|batch| std::hint::black_box(batch.expect("a whole file")).num_rows()).sum()
}

fn replay(path: &Path, plan: &Arc<Plan>) -> usize {
    let files = replay::open(plan, &[path.to_owned()], &ReplayOptions::default()).expect("the file fits the plan");
    let mut engine = Engine::new(Arc::clone(plan), files.lanes());
    let (mut rows, mut windows) = (0, 0);
    for step in files {
        let effects = match step.expect("a whole file") {
            ReplayStep::Batch(batch) => {
                rows += batch.len();
                engine.step(&batch)
            }
            ReplayStep::Refused(refused) => panic!("refused: {refused:?}"),
            ReplayStep::End { source, lane, next_offset } => engine.progress(lane, source, next_offset, true, true),
        };
        windows += effects.windows.len();
    }
    assert!(windows > 0, "windows are judged");
    rows
}

/// Two versions of one model over one hour; ten-minute windows of one-minute panes.
fn plan() -> Plan {
    let numeric = (0..N_NUMERIC).map(|i| (format!("x{i}"), ColumnRole::Feature, cut(-4.0, 4.0)));
    let answer = [("score", ColumnRole::Score, cut(0.0, 1.0)), ("latency", ColumnRole::Latency, cut(0.0, 100.0))];
    let answer = answer.map(|(name, role, cut)| (name.to_owned(), role, cut));
    let numeric: Vec<NumericColumn> =
        numeric.chain(answer).map(|(name, role, cut)| NumericColumn { name, role, cut }).collect();
    let categorical: Vec<CategoricalColumn> = (0..N_CATEGORICAL)
        .map(|i| CategoricalColumn {
            name: format!("c{i}"),
            known: (0..8).map(|k| format!("cat{k}")).collect(),
            rare: None,
        })
        .collect();
    Plan {
        name: "bench".into(),
        digest: "b3:bench".into(),
        sources: vec![SourcePlan {
            kind: EventKind::Prediction,
            topic: "predictions".into(),
            format: Format::Json,
            mapping: mapping(&numeric, &categorical),
        }],
        segments: vec![],
        columns: Columns { numeric, categorical },
        time: TimePlan {
            pane: 60 * SECOND,
            window: WindowKind::Sliding { size: 600 * SECOND, slide: 600 * SECOND },
            clock: WallClock::default(),
            lateness: 60 * SECOND,
            skew_max: 3600 * SECOND,
            jump_max: 3600 * SECOND,
            jump_confirmations: 3,
            idle_after: 60 * SECOND,
            early_every: SECOND,
            revise_for: 600 * SECOND,
        },
        quality: None,
        shadow: None,
        baselines: vec![Baseline::Concurrent],
        reference: None,
        metrics: MetricsPlan {
            names: METRICS.iter().map(|metric| metric.spec().name).collect(),
            compat: vec![],
            bins: 10,
        },
        policy: PolicyPlan {
            rollout: "bench".into(),
            baseline_version: "v1".into(),
            authority: Authority::Advisory,
            guards: Some(GuardPlan::default()),
            ..PolicyPlan::default()
        },
        bounds: Bounds::default(),
    }
}

fn cut(low: f64, high: f64) -> Arc<Cut> {
    let edges = (0..=200).map(|i| low + (high - low) * f64::from(i) / 200.0).collect();
    let recuts = Recuts {
        bins10: (1..10).map(|i| i * 20).collect(),
        bins20: (1..20).map(|i| i * 10).collect(),
        ..Recuts::default()
    };
    Arc::new(Cut { edges: Edges::new(edges).expect("increasing"), grid: Grid::for_range(low, high), recuts })
}

fn mapping(numeric: &[NumericColumn], categorical: &[CategoricalColumn]) -> Mapping {
    let path = |name: &str| [name.to_owned()].into_iter().collect();
    Mapping {
        id: Some(path("prediction_id")),
        event_time: Some((path("event_time"), TimeFormat::Micros)),
        model: FieldSource::Path(path("model")),
        version: FieldSource::Path(path("version")),
        numeric: numeric.iter().map(|column| Some(NumericField { path: path(&column.name), factor: 1.0 })).collect(),
        categorical: categorical.iter().map(|column| Some(path(&column.name))).collect(),
        status: Some(path("status")),
        ..Mapping::default()
    }
}

/// The log: written once per size and kept in the target directory.
fn log(rows: usize) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("replay-{rows}.parquet"));
    if !path.exists() {
        let partial = path.with_extension("partial");
        write_log(&partial, rows);
        std::fs::rename(&partial, &path).expect("the target directory is writable");
    }
    path
}

fn write_log(path: &Path, rows: usize) {
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    let plain = |name: String| ColumnPath::from(name);
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_column_dictionary_enabled(plain("prediction_id".into()), false);
    for name in (0..N_NUMERIC).map(|i| format!("x{i}")).chain(["score".into(), "latency".into()]) {
        properties = properties.set_column_dictionary_enabled(plain(name), false);
    }
    let file = File::create(path).expect("the target directory is writable");
    let schema = chunk(&mut random, 0, 0, rows).schema();
    let mut writer = ArrowWriter::try_new(file, schema, Some(properties.build())).expect("a writer");
    for from in (0..rows).step_by(ROW_GROUP_ROWS) {
        let n = ROW_GROUP_ROWS.min(rows - from);
        writer.write(&chunk(&mut random, from, n, rows)).expect("room on the disk");
    }
    writer.close().expect("room on the disk");
}

#[expect(clippy::cast_possible_wrap, reason = "counts below 2^40")]
fn chunk(random: &mut Random, from: usize, n: usize, rows: usize) -> RecordBatch {
    let start = 1_700_000_000 * SECOND;
    let time = |at: usize| start + at as i64 * 3600 * SECOND / rows as i64;
    let mut columns: Vec<(String, ArrayRef)> = Vec::new();
    let times = (from..from + n).map(|at| time(at) + random.below(5) as i64 * SECOND);
    let times = TimestampMicrosecondArray::from_iter_values(times).with_timezone("UTC");
    columns.push(("event_time".into(), Arc::new(times)));
    let ids = (from..from + n).map(|at| format!("{:016x}", (at as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15)));
    columns.push(("prediction_id".into(), Arc::new(StringArray::from_iter_values(ids))));
    columns.push(("model".into(), Arc::new(StringArray::from_iter_values((0..n).map(|_| "bench")))));
    let versions = (0..n).map(|_| if random.below(10) == 0 { "v2" } else { "v1" });
    columns.push(("version".into(), Arc::new(StringArray::from_iter_values(versions))));
    for i in 0..N_NUMERIC {
        let values: Float64Array = (0..n).map(|_| (random.below(50) > 0).then(|| random.normal())).collect();
        columns.push((format!("x{i}"), Arc::new(values)));
    }
    for i in 0..N_CATEGORICAL {
        let values = (0..n).map(|_| format!("cat{}", random.below(8 + i as u64)));
        columns.push((format!("c{i}"), Arc::new(StringArray::from_iter_values(values))));
    }
    let scores: Float64Array = (0..n).map(|_| Some(random.unit())).collect();
    columns.push(("score".into(), Arc::new(scores)));
    let latencies: Float64Array = (0..n).map(|_| Some(libm::exp(2.0 + random.normal() / 2.0))).collect();
    columns.push(("latency".into(), Arc::new(latencies)));
    let statuses: Int16Array = (0..n).map(|_| Some(if random.below(100) == 0 { 500 } else { 200 })).collect();
    columns.push(("status".into(), Arc::new(statuses)));
    let unused: Float64Array = (0..n).map(|_| Some(random.unit())).collect();
    columns.push(("unused".into(), Arc::new(unused)));
    let fields: Vec<ArrowField> =
        columns.iter().map(|(name, array)| ArrowField::new(name, array.data_type().clone(), true)).collect();
    let arrays = columns.into_iter().map(|(_, array)| array).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).expect("columns of one length")
}

/// A xorshift generator.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    #[expect(clippy::cast_precision_loss, reason = "53 bits")]
    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Near enough to a normal distribution.
    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.unit()).sum::<f64>() - 6.0
    }
}

fn median(seconds: &[f64]) -> f64 {
    let mut sorted = seconds.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

/// CPU time of this process, all threads. Neighbours on the machine do not count.
#[expect(unsafe_code, reason = "std has no clock of CPU time")]
#[expect(clippy::cast_precision_loss, reason = "microseconds of minutes")]
fn cpu_seconds() -> f64 {
    unsafe extern "C" {
        /// Of the C library; POSIX wants a million ticks a second.
        safe fn clock() -> std::ffi::c_long;
    }
    clock() as f64 / 1e6
}

/// Forgets what writing the log took.
fn forget_peak_memory() {
    if let Err(error) = std::fs::write("/proc/self/clear_refs", "5") {
        println!("peak memory includes writing the log: {error}");
    }
}

fn peak_memory_mb() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux tells a process's memory");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<f64>().ok());
    kib.expect("VmHWM in kB") * 1024.0 / 1e6
}
