//! What a metric is: the row of the list from which keys, help, gauges and tables are made.

use crate::metric::Context;
use crate::plan::{QualityPlan, Task};

/// What a metric reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reads {
    /// A numeric column.
    Numeric,
    /// A categorical column.
    Categorical,
    /// A numeric or a categorical column.
    Column,
    /// Latencies.
    Latency,
    /// Counts of answers.
    Rates,
    /// Requests that two versions answered.
    Pairs,
    /// Of those, the ones whose label is known.
    PairLosses,
    /// Labelled predictions of a classification task.
    Classification,
    /// Labelled predictions of a binary task.
    Binary,
    /// Labelled predictions of a regression task.
    Regression,
}

impl Reads {
    /// The words of the table in the README.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Numeric => "numeric column",
            Self::Categorical => "categorical column",
            Self::Column => "column",
            Self::Latency => "latency",
            Self::Rates => "answers",
            Self::Pairs => "pairs of answers",
            Self::PairLosses => "labels (pairs of answers)",
            Self::Classification => "labels (classes)",
            Self::Binary => "labels (binary)",
            Self::Regression => "labels (regression)",
        }
    }

    /// Whether this can be read in a pipeline: labels are those of its task.
    #[must_use]
    pub fn admits(self, context: &Context<'_>) -> bool {
        let task = context.quality.map(|plan| plan.task);
        match self {
            Self::Classification => matches!(task, Some(Task::Binary | Task::Multiclass)),
            Self::Binary => task == Some(Task::Binary),
            Self::Regression => task == Some(Task::Regression),
            _ => true,
        }
    }
}

/// In which direction a metric gets worse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WorseDirection {
    /// Larger is worse.
    Up,
    /// Smaller is worse.
    Down,
    /// Away from zero is worse.
    Away,
    /// No direction is worse by itself (throughput).
    Neither,
}

impl WorseDirection {
    /// The words of the table in the README.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
            Self::Away => "away from 0",
            Self::Neither => "–",
        }
    }
}

/// What a metric tells of: why a breach is decided upon, and which numbers have one cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricSubject {
    /// Values of a column.
    Values,
    /// Values of a column that are missing or strange.
    Defects,
    /// Requests that fail or are refused.
    Failures,
    /// How long answers take.
    Latency,
    /// How many requests there are.
    Traffic,
    /// What is answered.
    Answers,
    /// How well answers fit outcomes.
    Outcomes,
    /// How well scores fit outcomes.
    Calibration,
}

/// Which moment of a column a metric of two sides compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// Where values lie.
    Location,
    /// How far they spread.
    Spread,
}

/// What a margin of a guard is: by how much one version may be worse than the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MarginKind {
    /// A difference of their numbers.
    Difference,
    /// A part of the other's number, as of latencies and losses.
    Part,
}

/// Where a metric is shown before anybody asks for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Visibility {
    /// Among the charts of a rollout on the dashboard.
    Dashboard,
    /// Among the series of a report on a log.
    History,
    /// Beside the baseline version's number in the summary of such a report: means over rows only, since windows must
    /// add up.
    Summary,
    /// Among the first figures of a report on labelled files.
    Figures,
}

/// Which scores of predictions a metric reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scores {
    /// None: their classes are enough.
    Unread,
    /// Those of the answers.
    OfAnswer,
    /// Those of the true classes: of several classes a running pipeline keeps that of the answer alone.
    OfTruth,
}

/// What a metric is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spec {
    /// Configuration key and result name, in `snake_case`.
    pub name: &'static str,
    /// One sentence.
    pub help: &'static str,
    /// What it reads.
    pub reads: Reads,
    /// What it tells of.
    pub subject: MetricSubject,
    /// Which moment of a column it compares, if it is one.
    pub moment: Option<Moment>,
    /// What a margin of a guard is.
    pub margin: MarginKind,
    /// Where it is shown unasked.
    pub shown: &'static [Visibility],
    /// Which scores of predictions it reads.
    pub scores: Scores,
    /// Whether it compares with a baseline (a drift metric) or describes one side (a quality metric).
    pub needs_baseline: bool,
    /// Whether its own number stays the same when the two sides change places.
    pub symmetric: bool,
    /// Unit: `nats`, `bits`, `ratio`, `ms`, `1`, `per second`, …
    pub unit: &'static str,
    /// Smallest and largest possible value.
    pub range: (f64, f64),
    /// In which direction it gets worse.
    pub worse: WorseDirection,
    /// Fewer rows than this on either side give `Insufficient`.
    pub n_min: u64,
    /// Formula in plain text.
    pub formula: &'static str,
    /// Author, year, section.
    pub source: &'static str,
}

/// The unit of numbers that are values of the column, or distances between them.
pub const COLUMN_UNIT: &str = "column's unit";
/// The line of real numbers, as a range.
pub(super) const LINE: (f64, f64) = (f64::NEG_INFINITY, f64::INFINITY);
/// From zero up, as a range.
pub(super) const UPWARDS: (f64, f64) = (0.0, f64::INFINITY);

impl Spec {
    /// What most distances share; each fills in its name, help, formula and source.
    pub(super) const DISTANCE: Self = Self {
        name: "",
        help: "",
        reads: Reads::Column,
        subject: MetricSubject::Values,
        moment: None,
        margin: MarginKind::Difference,
        shown: &[],
        scores: Scores::Unread,
        needs_baseline: true,
        symmetric: true,
        unit: "1",
        range: (0.0, 1.0),
        worse: WorseDirection::Up,
        n_min: 1,
        formula: "",
        source: "",
    };

    /// What most shares of rows share.
    pub(super) const RATE: Self =
        Self { reads: Reads::Rates, needs_baseline: false, symmetric: false, unit: "ratio", ..Self::DISTANCE };

    /// What most metrics of labelled predictions share.
    pub(super) const QUALITY: Self = Self {
        reads: Reads::Classification,
        subject: MetricSubject::Outcomes,
        scores: Scores::OfAnswer,
        unit: "1",
        ..Self::RATE
    };

    /// What most numbers share that hold scores against labels.
    pub(super) const CALIBRATION: Self = Self { subject: MetricSubject::Calibration, ..Self::QUALITY };

    /// Whether it is shown in a place unasked.
    #[must_use]
    pub fn is_shown(&self, place: Visibility) -> bool {
        self.shown.contains(&place)
    }

    /// Whether it can be read in a pipeline: labels are those of its task, and scores are there where it needs them.
    pub(super) fn admits(&self, context: &Context<'_>) -> bool {
        let has_scores = context.quality.is_none_or(QualityPlan::has_scores);
        self.reads.admits(context) && (has_scores || self.scores == Scores::Unread)
    }
}
