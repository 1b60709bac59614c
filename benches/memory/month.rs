//! A month of hourly windows as files, replayed by the program itself: the most memory that it takes, its end included,
//! where late labels of all windows are complete at once.

use std::fs::File;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{ArrayRef, Float64Array, Int16Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use haldane::event::Micros;
use parquet::arrow::ArrowWriter;

use super::{HOUR, SEGMENTS, START, VERSIONS, pipeline};
use crate::common::Seeded;

/// Labels take as long as that at most.
const LABELS_AFTER: Micros = 3 * super::DAY;

/// Writes the files, replays them, and says what that took.
pub(crate) fn run(hours: i64, events: i64, most_mb: Option<f64>) {
    let folder = tempfile::tempdir().expect("a folder");
    let labels = predictions(&folder.path().join("predictions.parquet"), hours, events);
    outcomes(&folder.path().join("outcomes.parquet"), labels);
    std::fs::write(folder.path().join("month.yaml"), pipeline("1h", "labels: { horizon: 30d }")).expect("room");
    let mut replay = Command::new(env!("CARGO_BIN_EXE_haldane"));
    replay.current_dir(folder.path()).args(["replay", "-q", "-c", "month.yaml"]);
    let mut replay = replay.args(["predictions.parquet", "outcomes.parquet"]).spawn().expect("the program");
    let most = peak_mb(&mut replay);
    println!("\n{hours} windows of one hour, {events} events each, labels for 30 days, replayed: {most:.0} MB at most");
    assert!(most_mb.is_none_or(|bound| most <= bound), "{most} MB");
}

/// The most memory that a program takes until it ends, looked up all the time.
fn peak_mb(program: &mut Child) -> f64 {
    let status = format!("/proc/{}/status", program.id());
    let mut most = 0.0_f64;
    loop {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        most = most.max(super::megabytes_in(&text, "VmHWM:").unwrap_or(0.0));
        if let Some(done) = program.try_wait().expect("a child") {
            assert!(done.success(), "{done}");
            return most;
        }
        std::thread::park_timeout(Duration::from_millis(2));
    }
}

/// Predictions, an hour at a time; returns when the label of each comes, by id.
fn predictions(path: &Path, hours: i64, events: i64) -> Vec<(Micros, u64)> {
    let mut random = Seeded(7);
    let mut labels = Vec::new();
    let mut writer = None;
    for hour in 0..hours {
        let times: Vec<Micros> = (0..events).map(|row| START + hour * HOUR + row * HOUR / events).collect();
        let ids: Vec<u64> = times.iter().map(|_| random.bits()).collect();
        for (&time, &id) in times.iter().zip(&ids) {
            labels.push((time + (random.bits() % LABELS_AFTER.unsigned_abs()).cast_signed(), id));
        }
        let mut numbers = |of: fn(&mut Seeded) -> f64| -> ArrayRef {
            Arc::new(times.iter().map(|_| Some(of(&mut random))).collect::<Float64Array>())
        };
        let normal = [numbers(Seeded::normal), numbers(Seeded::normal), numbers(Seeded::normal)];
        let (score, latency) = (numbers(Seeded::unit), numbers(|random| 20.0 * (random.normal() / 2.0).exp()));
        let mut texts = |names: &[&str]| -> ArrayRef {
            let pick = |bits: u64| names[usize::try_from(bits % names.len() as u64).expect("a few")];
            Arc::new(times.iter().map(|_| Some(pick(random.bits()))).collect::<StringArray>())
        };
        let (version, country, kind) = (texts(&VERSIONS), texts(&SEGMENTS), texts(&["x", "y", "z"]));
        let [a, b, c] = normal;
        let columns = [("version", version), ("country", country), ("kind", kind), ("a", a), ("b", b), ("c", c)];
        let status: ArrayRef = Arc::new(Int16Array::from(vec![200; times.len()]));
        let columns = columns.into_iter().chain([("score", score), ("latency_ms", latency), ("status", status)]);
        write(&mut writer, path, stamped(&times, &ids).into_iter().chain(columns));
    }
    finish(writer);
    labels
}

/// Outcomes, in the order in which they come.
fn outcomes(path: &Path, mut labels: Vec<(Micros, u64)>) {
    labels.sort_unstable();
    let mut writer = None;
    for part in labels.chunks(10_000) {
        let (times, ids): (Vec<Micros>, Vec<u64>) = part.iter().copied().unzip();
        let label: Float64Array = ids.iter().map(|id| Some(f64::from(u8::from(id % 2 == 1)))).collect();
        let label: ArrayRef = Arc::new(label);
        write(&mut writer, path, stamped(&times, &ids).into_iter().chain([("label", label)]));
    }
    finish(writer);
}

fn stamped(times: &[Micros], ids: &[u64]) -> [(&'static str, ArrayRef); 2] {
    let times = TimestampMicrosecondArray::from(times.to_vec()).with_timezone("UTC");
    let ids: StringArray = ids.iter().map(|id| Some(format!("{id:016x}"))).collect();
    [("broker_time", Arc::new(times)), ("id", Arc::new(ids))]
}

fn write<'a>(writer: &mut Option<ArrowWriter<File>>, path: &Path, columns: impl Iterator<Item = (&'a str, ArrayRef)>) {
    let rows = RecordBatch::try_from_iter(columns).expect("columns of one length");
    let open = || ArrowWriter::try_new(File::create(path).expect("room"), rows.schema(), None).expect("a writer");
    writer.get_or_insert_with(open).write(&rows).expect("room");
}

fn finish(writer: Option<ArrowWriter<File>>) {
    writer.expect("some rows").close().expect("room");
}
