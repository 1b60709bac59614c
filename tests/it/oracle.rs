//! The flights log, replayed, against reference numbers computed with NumPy 2.4.6, SciPy 1.17.1 and scikit-learn 1.9.1
//! over the same files, and against what NannyML 0.13.1 says of them (`pipelines/data`).
//!
//! Exact numbers agree to 1e-9 (relative, 1e-12 near zero). Numbers that rest on bins agree within the bounds they
//! state, and binned KS within 0.001 besides.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use arrow::array::{Array, AsArray as _};
use arrow::datatypes::{DataType, Float64Type, Int64Type, TimeUnit, TimestampMicrosecondType};
use haldane::config;
use haldane::engine::{Effects, Engine};
use haldane::event::Micros;
use haldane::judge::{RowStatus, WindowRow};
use haldane::replay::{self, ReplayOptions, ReplayStep};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every result of a replay of the flights log with `change` made to its pipeline.
fn windows(change: impl Fn(&str) -> String) -> Vec<WindowRow> {
    let text = std::fs::read_to_string(root().join("pipelines/flights.yaml")).expect("the pipeline");
    let plan = config::parse(&change(&text), "flights.yaml", &root().join("pipelines")).expect("a valid pipeline").plan;
    let files = ["predictions", "outcomes"].map(|name| root().join(format!("pipelines/data/flights.{name}.parquet")));
    let replay = replay::open(&plan, &files, &ReplayOptions::default()).expect("readable files");
    let mut engine = Engine::new(Arc::clone(&plan), replay.lanes());
    let mut effects = Effects::default();
    for step in replay {
        match step.expect("a readable row group") {
            ReplayStep::Batch(batch) => effects.extend(engine.step(&batch)),
            ReplayStep::End { source, lane, next_offset } => {
                effects.extend(engine.progress(lane, source, next_offset, true, true));
            }
            ReplayStep::Refused(refused) => panic!("the log has no bad rows: {refused:?}"),
        }
    }
    effects.windows
}

/// What names a number: version, baseline (without its version), column, metric, convention.
type Name = (String, String, String, String, String);

/// Results over all traffic, by window start and name; of several revisions the first and the last.
struct Results(BTreeMap<(Micros, Name), (WindowRow, WindowRow)>);

impl Results {
    fn of(rows: Vec<WindowRow>) -> Self {
        let mut results: BTreeMap<_, (WindowRow, WindowRow)> = BTreeMap::new();
        for row in rows.into_iter().filter(|row| row.segment.is_empty()) {
            let baseline = row.baseline.split(':').next().unwrap_or_default().to_string();
            let name = (row.version.clone(), baseline, row.column.clone(), row.metric.clone(), row.convention.clone());
            let entry = results.entry((row.window_start, name)).or_insert_with(|| (row.clone(), row.clone()));
            entry.1 = row;
        }
        Self(results)
    }

    fn get(
        &self,
        start: Micros,
        (version, baseline, column): (&str, &str, &str),
        ours: (&str, &str),
    ) -> &(WindowRow, WindowRow) {
        let own = |text: &str| text.to_string();
        let name = (own(version), own(baseline), own(column), own(ours.0), own(ours.1));
        self.0.get(&(start, name.clone())).unwrap_or_else(|| panic!("no result for {name:?} at {start}"))
    }
}

static DAILY: LazyLock<Results> = LazyLock::new(|| Results::of(windows(str::to_string)));

/// One row of a reference file.
pub(crate) struct Reference(BTreeMap<String, Cell>);

#[derive(Debug, Clone)]
enum Cell {
    Text(String),
    Number(Option<f64>),
}

impl Reference {
    pub(crate) fn read(name: &str) -> Vec<Self> {
        let path = root().join("tests/data/oracle").join(name);
        let file = File::open(Path::new(&path)).expect("a reference file");
        let reader = ParquetRecordBatchReaderBuilder::try_new(file).expect("Parquet").build().expect("Parquet");
        let mut rows = Vec::new();
        for batch in reader {
            let batch = batch.expect("a row group");
            for row in 0..batch.num_rows() {
                let cells = batch
                    .schema()
                    .fields()
                    .iter()
                    .zip(batch.columns())
                    .map(|(field, column)| (field.name().clone(), cell(column, row)))
                    .collect();
                rows.push(Self(cells));
            }
        }
        rows
    }

    pub(crate) fn text(&self, name: &str) -> &str {
        match &self.0[name] {
            Cell::Text(text) => text,
            Cell::Number(_) => panic!("{name} is a number"),
        }
    }

    pub(crate) fn number(&self, name: &str) -> Option<f64> {
        match &self.0[name] {
            Cell::Number(number) => *number,
            Cell::Text(_) => panic!("{name} is a text"),
        }
    }

    pub(crate) fn start(&self) -> Micros {
        let text = arrow::array::StringArray::from(vec![self.text("window_start")]);
        let time = DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into()));
        arrow::compute::cast(&text, &time).expect("a time").as_primitive::<TimestampMicrosecondType>().value(0)
    }

    fn version(&self) -> &str {
        match self.text("version") {
            "all" => haldane::judge::ALL_VERSIONS,
            version => version,
        }
    }

    fn column(&self) -> &str {
        match self.text("feature") {
            "latency_ms" => "latency",
            feature => feature,
        }
    }
}

fn cell(column: &Arc<dyn Array>, row: usize) -> Cell {
    if let Some(texts) = column.as_string_opt::<i32>() {
        return Cell::Text(texts.value(row).to_string());
    }
    let number = match column.as_primitive_opt::<Float64Type>() {
        Some(numbers) => numbers.is_valid(row).then(|| numbers.value(row)),
        None => column.is_valid(row).then(|| column.as_primitive::<Int64Type>().value(row) as f64),
    };
    Cell::Number(number.filter(|number| !number.is_nan()))
}

/// Collects disagreements, so that one run shows all of them.
#[derive(Default)]
struct Check {
    n: usize,
    wrong: Vec<String>,
}

impl Check {
    fn exact(&mut self, what: &str, row: &WindowRow, expected: Option<f64>) {
        self.close(what, row, expected, 1e-9);
    }

    fn close(&mut self, what: &str, row: &WindowRow, expected: Option<f64>, relative: f64) {
        self.n += 1;
        let fits = match (row.value, expected) {
            (Some(ours), Some(theirs)) => (ours - theirs).abs() <= (relative * theirs.abs()).max(1e-12),
            (None, None) => row.status != RowStatus::Ok,
            _ => false,
        };
        self.note(fits, what, row, expected);
    }

    /// Within a fixed distance, where the convention says that the number rests on bins.
    fn within(&mut self, what: &str, row: &WindowRow, expected: Option<f64>, most: f64) {
        self.n += 1;
        let fits = row.value.zip(expected).is_none_or(|(ours, theirs)| (ours - theirs).abs() <= most);
        self.note(fits, what, row, expected);
    }

    /// Within the bounds that the row states, give or take rounding, and within `most` of the value.
    fn bounded(&mut self, what: &str, row: &WindowRow, expected: Option<f64>, most: f64) {
        self.n += 1;
        let fits = match (row.low, row.high, row.value, expected) {
            (Some(low), Some(high), Some(value), Some(theirs)) => {
                low - 1e-9 <= theirs && theirs <= high + 1e-9 && (value - theirs).abs() <= most
            }
            (_, _, None, None) => true,
            _ => false,
        };
        self.note(fits, what, row, expected);
    }

    fn note(&mut self, fits: bool, what: &str, row: &WindowRow, expected: Option<f64>) {
        if !fits {
            self.wrong.push(format!("{what}: expected {expected:?}, got {row:?}"));
        }
    }

    fn done(self, n_min: usize) {
        assert!(self.n >= n_min, "only {} numbers were compared", self.n);
        let first = self.wrong.iter().take(10).cloned().collect::<Vec<_>>().join("\n");
        assert!(self.wrong.is_empty(), "{} of {} numbers differ, the first:\n{first}", self.wrong.len(), self.n);
    }
}

#[test]
fn numeric_drift_against_the_reference() {
    let exact = [
        ("psi_jeffreys", "psi", "deciles,jeffreys"),
        ("psi_eps1e4", "psi", "deciles,raised_to_1e-4"),
        ("psi_eps1e6", "psi", "deciles,raised_to_1e-6"),
        ("kl_cur_ref_jeffreys", "kl_divergence", "deciles,jeffreys"),
        ("js_distance", "js_distance", "deciles,base_2"),
        ("nannyml_js", "js_distance", "doane,base_2,nannyml"),
        ("hellinger", "hellinger", "deciles"),
        ("tvd", "total_variation", "deciles"),
        ("linf", "l_infinity", "deciles"),
    ];
    let one_sided = [
        ("missing_rate", "missing_rate", "exact"),
        ("mean", "mean", "exact_sum"),
        ("std_ddof1", "std_dev", "exact_sums"),
        ("min", "min", "exact"),
        ("max", "max", "exact"),
    ];
    let mut check = Check::default();
    for reference in Reference::read("drift_numeric.parquet") {
        let (start, column) = (reference.start(), reference.column());
        let drift =
            |metric, convention| &DAILY.get(start, (reference.version(), "reference", column), (metric, convention)).1;
        for (theirs, metric, convention) in exact {
            check.exact(theirs, drift(metric, convention), reference.number(theirs));
        }
        check.bounded("ks_d", drift("ks", "fine_bins"), reference.number("ks_d"), 1e-3);
        check.bounded("wasserstein", drift("wasserstein", "fine_bins"), reference.number("wasserstein"), f64::INFINITY);
        for (theirs, metric, convention) in one_sided {
            let row = &DAILY.get(start, (reference.version(), "", column), (metric, convention)).1;
            check.exact(theirs, row, reference.number(theirs));
        }
    }
    check.done(20_000);
}

/// A canary's window has a few hundred rows, of which one fine bin may hold several: KS is within the interval that it
/// states, which is wide only where both versions leave the range of the reference.
#[test]
fn numeric_drift_against_the_other_version() {
    let (mut check, mut far) = (Check::default(), 0);
    for reference in Reference::read("canary_numeric.parquet") {
        let drift =
            |metric| &DAILY.get(reference.start(), ("v2", "concurrent", reference.column()), (metric, "fine_bins")).1;
        let (ks, expected) = (drift("ks"), reference.number("ks_d"));
        check.bounded("ks_d", ks, expected, 0.025);
        far += usize::from(ks.value.zip(expected).is_some_and(|(ours, theirs)| (ours - theirs).abs() > 1e-3));
        check.bounded("wasserstein", drift("wasserstein"), reference.number("wasserstein"), f64::INFINITY);
    }
    assert!(far <= 22, "{far} of {} are off by more than 0.001", check.n / 2);
    check.done(800);
}

#[test]
fn categorical_drift_against_the_reference_and_the_other_version() {
    let exact = [
        ("psi_jeffreys", "psi", "categories,jeffreys"),
        ("psi_eps1e4", "psi", "categories,raised_to_1e-4"),
        ("psi_eps1e6", "psi", "categories,raised_to_1e-6"),
        ("kl_cur_ref_jeffreys", "kl_divergence", "categories,jeffreys"),
        ("js_distance", "js_distance", "categories,base_2"),
        ("hellinger", "hellinger", "categories"),
        ("tvd", "total_variation", "categories"),
        ("linf", "l_infinity", "categories"),
        ("chi2", "chi_square", "categories,uncorrected"),
        ("cramers_v", "cramers_v", "categories"),
    ];
    let mut check = Check::default();
    for (file, baseline) in [("drift_categorical.parquet", "reference"), ("canary_categorical.parquet", "concurrent")] {
        for reference in Reference::read(file) {
            let version = if baseline == "concurrent" { "v2" } else { reference.version() };
            let get = |baseline, metric, convention| {
                &DAILY.get(reference.start(), (version, baseline, reference.column()), (metric, convention)).1
            };
            for (theirs, metric, convention) in exact {
                check.exact(theirs, get(baseline, metric, convention), reference.number(theirs));
            }
            let chi_square = get(baseline, "chi_square", "categories,uncorrected");
            let p_value = WindowRow { value: chi_square.p_value, ..chi_square.clone() };
            let expected = reference.number("chi2_p");
            if expected.is_some_and(|p| p >= 1e-12) {
                check.exact("chi2_p", &p_value, expected);
            }
            if baseline == "reference" {
                check.exact("new_share", get("", "unseen_rate", "exact"), reference.number("new_share"));
            }
        }
    }
    check.done(5_000);
}

const QUANTILES: [(&str, &str); 5] = [
    ("lat_p50_nearest_rank", "latency_p50"),
    ("lat_p90_nearest_rank", "latency_p90"),
    ("lat_p95_nearest_rank", "latency_p95"),
    ("lat_p99_nearest_rank", "latency_p99"),
    ("lat_p999_nearest_rank", "latency_p999"),
];

#[test]
fn operations_per_day_and_per_hour() {
    let hourly = |text: &str| {
        let text = text.replace("windows: { size: 1d, lateness: 4h }", "windows: { size: 1h, lateness: 4h }");
        text.replace("names: all", "names: [error_rate, latency_mean, latency_p50, latency_p90, latency_p95, latency_p99, latency_p999, calibration_in_the_large, psi, js_distance, unseen_rate, missing_rate]")
    };
    let hourly = Results::of(windows(hourly));
    let mut check = Check::default();
    for (file, results) in [("ops.parquet", &*DAILY), ("ops_hourly.parquet", &hourly)] {
        for reference in Reference::read(file) {
            let get = |metric, convention| {
                &results.get(reference.start(), (reference.version(), "", ""), (metric, convention)).1
            };
            let errors = get("error_rate", "exact");
            check.exact("error_rate_5xx", errors, reference.number("error_rate_5xx"));
            assert_eq!(Some(errors.n as f64), reference.number("n"), "rows of the window");
            if file == "ops.parquet" {
                let rejected = reference.number("n_4xx").zip(reference.number("n")).map(|(rejected, n)| rejected / n);
                check.exact("4xx", get("rejected_rate", "exact"), rejected);
            }
            check.exact("lat_mean", get("latency_mean", "exact_sum"), reference.number("lat_mean"));
            for (theirs, metric) in QUANTILES {
                let row = get(metric, "nearest_rank,hdr_3_digits");
                check.bounded(theirs, row, reference.number(theirs), f64::INFINITY);
            }
        }
    }
    check.done(10_000);
}

#[test]
fn quality_with_all_labels_and_with_those_of_a_day() {
    let exact = [
        ("calib_in_the_large", "calibration_in_the_large", "exact_sum"),
        ("ece10_width", "ece", "equal_width_10"),
        ("ece15_width", "ece", "equal_width_15"),
        ("mce10_width", "mce", "equal_width_10"),
        ("mce15_width", "mce", "equal_width_15"),
        ("brier", "brier", "exact_sum"),
        ("log_loss", "log_loss", "clipped_1e-15"),
        ("murphy_rel10", "brier_reliability", "equal_width_10"),
        ("murphy_res10", "brier_resolution", "equal_width_10"),
        ("murphy_unc", "brier_uncertainty", "equal_width_10"),
        ("spiegelhalter_z", "spiegelhalter_z", "exact_sums"),
        ("base_rate", "base_rate", "exact"),
        ("accuracy", "accuracy", "exact"),
        ("precision", "precision", "exact"),
        ("recall", "recall", "exact"),
        ("f1", "f1", "exact"),
    ];
    let mut check = Check::default();
    for reference in Reference::read("performance.parquet") {
        let get = |metric, convention| {
            let (first, last) = DAILY.get(reference.start(), (reference.version(), "", ""), (metric, convention));
            if reference.text("view") == "final" { last } else { first }
        };
        for (theirs, metric, convention) in exact {
            check.exact(theirs, get(metric, convention), reference.number(theirs));
        }
        check.bounded("auc", get("auc", "fine_bins"), reference.number("auc"), 0.002);
        for (theirs, metric, convention, most) in [
            ("ece10_mass", "ece", "equal_mass_10,fine_bins", 0.01),
            ("ece15_mass", "ece", "equal_mass_15,fine_bins", 0.01),
            ("recal_slope", "calibration_slope", "fine_bins", 0.01),
            ("recal_intercept", "calibration_intercept", "fine_bins", 0.015),
        ] {
            check.within(theirs, get(metric, convention), reference.number(theirs), most);
        }
        let coverage = get("brier", "exact_sum");
        check.exact(
            "label_coverage",
            &WindowRow { value: coverage.coverage, ..coverage.clone() },
            reference.number("label_coverage"),
        );
    }
    check.done(4_000);
}
