//! How long a question about one model and one day takes over a store of 90 days, 20 models and 50 features, and one
//! about one feature over all days. The store is made first, with windows of an hour, two versions and two metrics.
//!
//! `cargo bench --profile dev --features query --bench query` measures without building `DataFusion` in release.

mod common;

use std::sync::Arc;

use common::{Seeded, is_measuring, median, wall_s};
use haldane::config;
use haldane::engine::Effects;
use haldane::event::{Micros, SECOND};
use haldane::judge::{RowStatus, WindowRow};
use haldane::plan::Plan;
use haldane::query::{Desk, QueryLimits, Session};
use haldane::store::{Every, Keep, Store, StoreWriter, compact};

const HOUR: Micros = 3_600 * SECOND;
/// 2024-01-01.
const START: Micros = 1_704_067_200 * SECOND;

/// Days, models, features.
type Size = (i64, usize, usize);

fn main() {
    let (size, rounds) = if is_measuring() { ((90, 20, 50), 9) } else { ((3, 2, 5), 1) };
    let scratch = tempfile::tempdir().expect("a temporary directory");
    let url = scratch.path().to_str().expect("a path in UTF-8");
    let took = wall_s(&mut || write(url, size));
    let store = Store::open(url).expect("a store");
    let files = store.files().expect("files");
    let rows: u64 = files.iter().map(|file| file.rows).sum();
    println!("{rows} rows in {} files, written in {took:.1} s", files.len());
    let session =
        Session::new(QueryLimits { rows: 100_000, ..QueryLimits::default() }).expect("a session").with_store(store);
    let desk = Desk::open(session).expect("threads");
    let day = "date = '2024-01-02' AND model = 'model-01'";
    for (name, sql) in [
        (
            "one model, one day",
            format!("SELECT \"column\", metric, avg(value), max(value) FROM windows WHERE {day} GROUP BY 1, 2"),
        ),
        ("its rows", format!("SELECT * FROM windows WHERE {day} AND \"column\" = 'f03' ORDER BY window_start")),
        (
            "one model by time",
            "SELECT \"column\", max(value) FROM windows WHERE model = 'model-01' AND window_start >= \
            '2024-01-02T00:00:00Z' AND window_start < '2024-01-03T00:00:00Z' AND metric = 'psi' GROUP BY 1"
                .to_owned(),
        ),
        (
            "one feature, all days and models",
            "SELECT model, date, max(value) FROM windows WHERE \"column\" = 'f03' AND metric = 'psi' GROUP BY 1, 2"
                .to_owned(),
        ),
    ] {
        let mut found = 0;
        let seconds: Vec<f64> =
            (0..rounds).map(|_| wall_s(&mut || found = desk.ask(&sql).expect("an answer").rows())).collect();
        println!(
            "{name}: {found} rows, median {:.1} ms, first {:.1} ms",
            median(seconds.clone()) * 1e3,
            seconds[0] * 1e3
        );
        assert!(found > 0, "{name}");
    }
}

/// Writes the store day by day, and compacts it.
fn write(url: &str, (days, models, features): Size) {
    let mut seeded = Seeded(7);
    let mut writer = StoreWriter::open(url, &plan(), Every::default()).expect("a store");
    for day in 0..days {
        for hour in 0..24 {
            let start = START + (24 * day + hour) * HOUR;
            writer.take(&Effects { windows: windows(start, models, features, &mut seeded), ..Effects::default() });
        }
        writer.flush().expect("room on the disk");
    }
    compact(url, &Keep::default()).expect("a compaction");
}

fn windows(start: Micros, models: usize, features: usize, seeded: &mut Seeded) -> Vec<WindowRow> {
    let mut rows = Vec::new();
    for model in 0..models {
        for (version, metric) in [("v1", "psi"), ("v1", "ks"), ("v2", "psi"), ("v2", "ks")] {
            rows.extend(
                (0..features).map(|feature| row(start, (model, version, metric, feature), seeded.normal().abs())),
            );
        }
    }
    rows
}

fn row(start: Micros, (model, version, metric, feature): (usize, &str, &str, usize), value: f64) -> WindowRow {
    WindowRow {
        window_start: start,
        window_end: start + HOUR,
        model: format!("model-{model:02}"),
        version: version.to_owned(),
        segment: String::new(),
        baseline: "reference".to_owned(),
        reference: "b3:0123456789abcdef".to_owned(),
        column: format!("f{feature:02}"),
        metric: metric.to_owned(),
        convention: "deciles,jeffreys".to_owned(),
        revision: 0,
        status: RowStatus::Ok,
        value: Some(value),
        low: None,
        high: None,
        p_value: Some(value / 2.0),
        n: 10_000,
        n_baseline: 50_000,
        bins: 10,
        coverage: None,
        doubts: String::new(),
        trust: haldane::trust::Trust::Ok,
    }
}

fn plan() -> Arc<Plan> {
    let text = "sources:\n  predictions:\n    topic: p\n    id: id\n    version: v\n    score: s\n";
    config::parse(text, "bench", std::path::Path::new("")).expect("a pipeline").plan
}
