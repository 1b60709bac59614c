//! What a report says, whatever it is written as: the JSON form is this, and the others are drawn from it.

mod history;
mod known;

use schemars::JsonSchema;
use serde::Serialize;

pub use history::{Beside, DecisionNote, History, Point, Rollout, Series, SeriesLine};
pub use known::{KnownTest, Quantile, RatesApart};

use crate::event::Micros;

/// Version of this format.
pub const FORMAT: u32 = 1;

/// A report.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[schemars(title = "haldane report")]
pub struct Report {
    /// Version of this format.
    pub format: u32,
    /// Program and version.
    pub made_by: String,
    /// What it comes to.
    pub verdict: Verdict,
    /// Two files, compared.
    pub comparison: Option<Comparison>,
    /// Judged windows and decisions.
    pub history: Option<History>,
}

/// What it comes to, from good to bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Nothing beyond what is tolerated.
    Ok,
    /// Too little could be tested to say anything.
    Unknown,
    /// The data has problems: missing, unseen, out of range.
    Quality,
    /// Distributions moved beyond what is tolerated.
    Drift,
    /// A decision restricts a candidate.
    Restricted,
}

/// The verdict, in words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Verdict {
    /// What it comes to.
    pub outcome: Outcome,
    /// One sentence.
    pub headline: String,
    /// What else to know before the numbers.
    pub sentences: Vec<String>,
}

/// Two files, compared.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Comparison {
    /// What things should be like.
    pub reference: Source,
    /// What is judged.
    pub current: Source,
    /// Content address of the reference's profile.
    pub reference_id: String,
    /// How it was tested.
    pub method: Method,
    /// Columns that were tested, those that moved most first.
    pub columns: Vec<ColumnReport>,
    /// What is wrong with the data.
    pub problems: Vec<Problem>,
    /// Columns that were not tested, and why.
    pub untested: Vec<Untested>,
    /// How requests were answered.
    pub answers: Vec<Rate>,
    /// Latencies.
    pub latency: Vec<LatencyFigure>,
    /// Predictions against the truth.
    pub quality: Option<QualityReport>,
    /// Parts of traffic, those that moved most first.
    pub segments: Vec<Segment>,
    /// The current file over time.
    pub timeline: Option<Timeline>,
    /// What limits how far the numbers can be trusted.
    pub trust: Vec<String>,
    /// What columns were taken for, other than features.
    pub roles: Vec<RoleNote>,
}

/// One of the two files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Source {
    /// The file's name.
    pub name: String,
    /// Rows in it.
    pub rows: u64,
    /// Rows that were compared.
    pub compared: u64,
    /// Rows with an id that was there before.
    pub duplicates: u64,
    /// Rows that were not asked for.
    pub outside: u64,
    /// Rows that could not be read.
    pub refused: u64,
    /// Records and rows that the pipeline does not take.
    pub passed_over: u64,
    /// First event time, microseconds since 1970.
    pub first: Option<Micros>,
    /// Last event time.
    pub last: Option<Micros>,
    /// Versions that answered, with their rows.
    pub versions: Vec<(String, u64)>,
}

/// How it was tested.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Method {
    /// The population stability index that is tolerated.
    pub psi_tolerated: f64,
    /// The Kolmogorov-Smirnov distance that is tolerated.
    pub ks_tolerated: f64,
    /// The same index for the share of missing, unseen and other odd values.
    pub rate_psi_tolerated: f64,
    /// Share of false names among those named, on average.
    pub false_discovery_rate: f64,
    /// Level of the intervals.
    pub confidence: f64,
    /// Columns that were tested together.
    pub tested: usize,
    /// Columns named by Benjamini and Hochberg's rule.
    pub named_bh: usize,
    /// Columns named by the e-value form of it, which holds under any dependence.
    pub named_e_bh: usize,
    /// Bins of numeric columns.
    pub bins: u16,
    /// In words.
    pub notes: Vec<String>,
}

/// One column.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct ColumnReport {
    /// Its name.
    pub column: String,
    /// `numeric` or `categorical`.
    pub kind: String,
    /// `feature`, `score`, `latency`.
    pub role: String,
    /// What is said of it.
    pub verdict: Stand,
    /// Whether it moved beyond what is tolerated, by Benjamini and Hochberg's rule.
    pub drifted: bool,
    /// The same by e-values.
    pub drifted_e: bool,
    /// How likely an index or a distance this large is if the true one is just tolerated: the smaller of the two
    /// p-values, doubled where there are two. The rules above read it.
    pub p_value: f64,
    /// Population stability index.
    pub psi: PsiEffect,
    /// Kolmogorov-Smirnov distance, of numeric columns.
    pub ks: Option<KsEffect>,
    /// Values on the current side.
    pub n: u64,
    /// Values of the reference.
    pub n_reference: u64,
    /// What the reference is like.
    pub reference: Shape,
    /// What the current side is like.
    pub current: Shape,
    /// Every metric of it.
    pub figures: Vec<Figure>,
    /// The tests that people know, of no difference at all. No verdict reads them: with many rows they find what does
    /// not matter.
    pub tests: Vec<KnownTest>,
    /// How much more often a value is missing than in the reference.
    pub missing: Option<RatesApart>,
    /// Both sides' shares, for drawing.
    pub distribution: Distribution,
    /// The index in each period of the timeline.
    pub periods: Vec<PeriodPsi>,
}

/// Where a column stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Stand {
    /// It moved beyond what is tolerated, and not by chance.
    Drifted,
    /// As it was seen it is beyond what is tolerated, but so few rows may show that by chance.
    Unclear,
    /// Index and distance are within what is tolerated.
    Within,
}

/// The index with what it may be.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, JsonSchema)]
pub struct PsiEffect {
    /// As other tools would show it, over the cells of the test.
    pub value: f64,
    /// Less what chance adds on average.
    pub debiased: f64,
    /// Lower end of the interval of the true index.
    pub low: f64,
    /// Upper end; at least the index as it was seen.
    pub high: f64,
    /// What is tolerated of it.
    pub tolerated: f64,
    /// How likely an index this large is if the true one is just tolerated.
    pub p_value: f64,
    /// Power of ten of the e-value.
    pub log10_e: f64,
}

/// The distance with its certified bounds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, JsonSchema)]
pub struct KsEffect {
    /// The exact distance is at least this.
    pub low: f64,
    /// And at most this.
    pub high: f64,
    /// How likely gaps this large are if the true distance is just tolerated; differences in the last bits of values
    /// that repeat are no gaps.
    pub p_value: f64,
}

/// What one side of a column is like.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Shape {
    /// Rows.
    pub rows: u64,
    /// Share of missing values.
    pub missing: f64,
    /// Mean, of numbers.
    pub mean: Option<f64>,
    /// Standard deviation.
    pub std_dev: Option<f64>,
    /// Smallest.
    pub min: Option<f64>,
    /// Largest.
    pub max: Option<f64>,
    /// Quantiles, where the rows were few enough to be kept.
    pub quantiles: Vec<Quantile>,
    /// Different texts.
    pub categories: Option<u64>,
    /// Values that stand apart (NaN, infinite, far from the rest), and why a number is not known.
    pub notes: Vec<String>,
}

/// One metric in one convention.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Figure {
    /// Metric.
    pub metric: String,
    /// How exactly it was computed.
    pub convention: String,
    /// Unit.
    pub unit: String,
    /// The number; absent where there is too little data, or none is defined.
    pub value: Option<f64>,
    /// Of metrics of one side: the reference's number.
    pub reference: Option<f64>,
    /// Certified lower bound.
    pub low: Option<f64>,
    /// Certified upper bound.
    pub high: Option<f64>,
    /// Asymptotic p-value of no difference at all.
    pub p_value: Option<f64>,
    /// Values on the current side.
    pub n: u64,
    /// Values of the reference.
    pub n_reference: u64,
    /// Bins or categories.
    pub bins: u32,
}

/// Shares of both sides over the same cells.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Distribution {
    /// Edges of equal bins, one more than shares; empty for named cells.
    pub edges: Vec<f64>,
    /// Names of cells; empty for bins.
    pub names: Vec<String>,
    /// Shares of the reference.
    pub reference: Vec<f64>,
    /// Shares of the current side.
    pub current: Vec<f64>,
    /// Share of each side beyond the edges, reference first.
    pub beyond: (f64, f64),
}

/// A column's index in one period.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, JsonSchema)]
pub struct PeriodPsi {
    /// Which period.
    pub period: usize,
    /// Less what chance adds.
    pub debiased: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// Values.
    pub n: u64,
}

/// Something wrong with the data.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Problem {
    /// Column; `rows`, `labels` or `topics` for what is wrong with a file as a whole.
    pub column: String,
    /// `missing`, `nan`, `unseen`, `out_of_range`, `mistyped`, `infinite`, `absent`, `constant`, `refused`, `unfit`,
    /// `unjoined`, `left_out`.
    pub what: String,
    /// In words.
    pub text: String,
    /// Share of the reference.
    pub reference: Option<f64>,
    /// Share of the current side.
    pub current: Option<f64>,
    /// Rows of the reference.
    pub n_reference: u64,
    /// Rows of the current side.
    pub n: u64,
}

/// A column that was not tested.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Untested {
    /// Column.
    pub column: String,
    /// Why.
    pub why: String,
}

/// A share of requests.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Rate {
    /// `error_rate`, `rejected_rate`, `positive_rate`; of a class `recall`, `precision`.
    pub metric: String,
    /// Of the reference, with its interval.
    pub reference: Option<Estimate>,
    /// Of the current side.
    pub current: Option<Estimate>,
    /// How far they are apart.
    pub apart: Option<RatesApart>,
    /// Requests of the reference.
    pub n_reference: u64,
    /// Requests of the current side.
    pub n: u64,
}

/// A number and where it may lie.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, JsonSchema)]
pub struct Estimate {
    /// The number.
    pub value: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// One latency quantile, or the mean.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct LatencyFigure {
    /// `latency_p50`, …
    pub metric: String,
    /// Milliseconds.
    pub reference: Option<f64>,
    /// Milliseconds.
    pub current: Option<f64>,
    /// Current divided by reference.
    pub ratio: Option<Estimate>,
    /// Requests of the reference.
    pub n_reference: u64,
    /// Requests of the current side.
    pub n: u64,
}

/// Predictions against the truth.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct QualityReport {
    /// `binary`, `multiclass` or `regression`.
    pub task: String,
    /// Labelled predictions, reference first.
    pub n: (u64, u64),
    /// Labelled share of the scored predictions, reference first.
    pub coverage: (Option<f64>, Option<f64>),
    /// Every quality metric.
    pub figures: Vec<Figure>,
    /// Multiclass: by class, first those that fell most.
    pub classes: Vec<ClassRates>,
    /// Reliability curve of the reference.
    pub reference_curve: Vec<CurvePoint>,
    /// Reliability curve of the current side.
    pub current_curve: Vec<CurvePoint>,
    /// Power of ten of the evidence that the current scores are not calibrated.
    pub log10_e_miscalibrated: Option<f64>,
}

/// How well a class is told.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct ClassRates {
    /// Its name.
    pub class: String,
    /// Share of its labels that were answered with it.
    pub recall: Rate,
    /// Share of answers with it that were right.
    pub precision: Rate,
    /// Which of the two are lower than in the reference, by Benjamini and Hochberg's rule over all classes.
    pub worse: Vec<String>,
}

/// One bin of a reliability curve.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, JsonSchema)]
pub struct CurvePoint {
    /// Mean score.
    pub score: f64,
    /// Share of positive labels.
    pub observed: f64,
    /// Lower end of its interval.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// Labelled predictions.
    pub n: u64,
}

/// A part of traffic.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Segment {
    /// Field.
    pub field: String,
    /// Value.
    pub value: String,
    /// Rows of the reference.
    pub n_reference: u64,
    /// Rows of the current side.
    pub n: u64,
    /// Columns tested in it.
    pub tested: usize,
    /// Of these, beyond what is tolerated, by Benjamini and Hochberg's rule over all segments.
    pub drifted: Vec<String>,
    /// The column that moved most.
    pub worst: Option<String>,
    /// Its index less what chance adds.
    pub psi: Option<f64>,
    /// The same column's index over all traffic.
    pub psi_all: Option<f64>,
}

/// The current file over time.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Timeline {
    /// Start of the first period.
    pub start: Micros,
    /// Length of a period.
    pub length: Micros,
    /// Periods.
    pub periods: Vec<Period>,
}

/// One period.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Period {
    /// Start.
    pub start: Micros,
    /// Requests.
    pub n: u64,
    /// Share that failed.
    pub error_rate: Option<f64>,
    /// Labelled predictions.
    pub labelled: u64,
    /// Mean score of these.
    pub mean_score: Option<f64>,
    /// Mean label of these.
    pub mean_label: Option<f64>,
}

/// What a column was taken for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct RoleNote {
    /// Column.
    pub column: String,
    /// Role.
    pub role: String,
    /// Why.
    pub why: String,
}
