//! The validated plan: what a pipeline file means once every default is filled in and every name is resolved.
//!
//! The core takes nothing but a plan and events. A plan is made by `config` from a pipeline file (shells) or by hand
//! (tests); whoever makes it answers for its invariants.

pub mod calendar;
mod category;
mod guard;
mod measure;
mod path;
mod quality;
mod rollout;
mod shadow;
mod source;
mod time;
mod trust;
mod wall;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::event::{Micros, SECOND};
use crate::summary::histogram::Cut;
use crate::summary::{Profile, Rare};

pub use self::guard::{Achievement, Fairness, GroupRate, GuardPlan, SloPlan, Success};
pub use self::measure::{MeasurePlan, Tolerance, Worse};
pub use self::path::{HEADER, INDEX_MAX, Path, PathStep, Texts};
pub use self::quality::{Corrections, QualityPlan};
pub use self::rollout::{ApprovalPlan, Authority, CANDIDATES_MAX, ENDED_KEPT, ENDED_MAX, RolloutPlan, Signal};
pub use self::shadow::ShadowPlan;
pub use self::source::{
    CONDITIONS_MAX, ClassScores, Condition, FieldSource, Format, Frame, Mapping, MessageSchema, NumericField, ROW,
    ROWS_MAX, Selection, Side, SourcePlan, TimeFormat,
};
pub use self::time::{TimePlan, WindowKind};
pub use self::trust::{Cause, TrustLimits, TrustPlan};
pub use self::wall::WallClock;

/// The most panes one window may be made of.
pub const PANES_PER_WINDOW_MAX: i64 = 1440;

/// Everything the engine needs to know about one pipeline.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Name of the pipeline.
    pub name: String,
    /// Digest of everything that decides what is computed; named in every decision and checkpoint.
    pub digest: String,
    /// Input streams.
    pub sources: Vec<SourcePlan>,
    /// Names of the segment fields, in order; empty when the pipeline has none.
    pub segments: Vec<String>,
    /// The columns that some metric reads.
    pub columns: Columns,
    /// Event time, panes and windows.
    pub time: TimePlan,
    /// How predictions meet their truth; `None` when there are no labels.
    pub quality: Option<QualityPlan>,
    /// How versions that answer the same requests are compared; `None` where each request has one answer.
    pub shadow: Option<ShadowPlan>,
    /// What each version is compared with.
    pub baselines: Vec<Baseline>,
    /// The reference profile that `Baseline::Reference` means.
    pub reference: Option<Arc<Reference>>,
    /// Which metrics are computed, and in which conventions.
    pub metrics: MetricsPlan,
    /// When to act.
    pub policy: PolicyPlan,
    /// Bounds on state.
    pub bounds: Bounds,
}

impl Plan {
    /// How far back the window lies that a baseline means; `None` where it is no earlier window.
    #[must_use]
    pub fn back(&self, baseline: &Baseline) -> Option<Micros> {
        const DAY: Micros = 86_400 * SECOND;
        match (baseline, self.time.window) {
            (Baseline::Previous, WindowKind::Sliding { size, .. }) => Some(size),
            (Baseline::DaysAgo(days), WindowKind::Sliding { .. }) => Some(Micros::from(*days) * DAY),
            _ => None,
        }
    }

    /// The name of the streams of a source: its topic, and what it tells where other sources read that topic, too.
    #[must_use]
    pub fn stream_name(&self, source: u16) -> String {
        let Some(of) = self.sources.get(usize::from(source)) else { return String::new() };
        let is_shared = self.sources.iter().filter(|other| other.topic == of.topic).count() > 1;
        if is_shared { format!("{} ({}s)", of.topic, of.kind.name()) } else { of.topic.clone() }
    }

    /// How long a share of traffic counts after the look that showed it, and so long after a look it is judged by;
    /// `None` where each share stands until the next one.
    ///
    /// Origin: two looks, so that one may fail, in whole panes, of each of which the last look is kept, and one pane
    /// more, as that look may come early in its pane.
    #[must_use]
    pub fn share_holds(&self) -> Option<Micros> {
        let every = self.sources.iter().find_map(|source| source.mapping.looked_every)?;
        let pane = self.time.pane;
        let panes = every.saturating_mul(2).saturating_add(pane - 1).div_euclid(pane);
        Some(panes.saturating_add(1).saturating_mul(pane))
    }

    /// How far before its end a window asks for shares that were looked up; `None` where none are.
    #[must_use]
    pub fn share_reach(&self) -> Option<Micros> {
        let holds = self.share_holds()?;
        Some(holds.saturating_mul(2).saturating_add(self.time.every()).saturating_add(self.time.pane))
    }

    /// How far back the furthest of its baselines lies, if any is an earlier window.
    #[must_use]
    pub fn furthest_back(&self) -> Option<Micros> {
        self.baselines.iter().filter_map(|baseline| self.back(baseline)).max()
    }
}

/// A loaded reference profile with its content address.
#[derive(Debug, Clone, PartialEq)]
pub struct Reference {
    /// Content address, `b3:` and 64 hex digits.
    pub id: String,
    /// The profile.
    pub profile: Profile,
}

/// The columns that some metric reads.
#[derive(Debug, Clone, Default)]
pub struct Columns {
    /// Numeric columns: features, then the score, the latency, and measures.
    pub numeric: Vec<NumericColumn>,
    /// Categorical and boolean columns.
    pub categorical: Vec<CategoricalColumn>,
}

/// What a numeric column is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum ColumnRole {
    /// A model input.
    Feature,
    /// The model's answer: a probability, or a quantity for regression.
    Score,
    /// Time to answer in milliseconds.
    Latency,
    /// What it is worth or costs: a number whose mean matters.
    Measure,
}

/// One numeric column.
#[derive(Debug, Clone)]
pub struct NumericColumn {
    /// Name in the pipeline.
    pub name: String,
    /// What it is.
    pub role: ColumnRole,
    /// How it is cut and added up.
    pub cut: Arc<Cut>,
}

/// One categorical column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CategoricalColumn {
    /// Name in the pipeline.
    pub name: String,
    /// Categories of the reference, sorted; empty without a reference.
    pub known: Vec<String>,
    /// More categories of the reference, which have one count together; none where all are known by name.
    pub rare: Option<Arc<Rare>>,
}

impl Columns {
    /// Indexes of the measures among the numeric columns.
    pub fn measures(&self) -> impl Iterator<Item = usize> {
        let measures = self.numeric.iter().enumerate().filter(|(_, column)| column.role == ColumnRole::Measure);
        measures.map(|(index, _)| index)
    }

    /// Index of the numeric column with this role, if any (the first, for features).
    #[must_use]
    pub fn index_of(&self, role: ColumnRole) -> Option<usize> {
        self.numeric.iter().position(|column| column.role == role)
    }
}

/// What the model predicts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// Two classes; the score is the probability of the positive one.
    Binary,
    /// Several classes; the score is the confidence in the predicted one.
    Multiclass,
    /// A quantity.
    Regression,
}

/// What a version is compared with.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum Baseline {
    /// The rollout's baseline version in the same panes.
    Concurrent,
    /// The fixed reference profile.
    Reference,
    /// The same version in the window before.
    Previous,
    /// The same version (else the rollout's baseline version) this many days earlier.
    DaysAgo(u16),
}

impl Baseline {
    /// The name used in pipelines and results.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Concurrent => "concurrent".to_owned(),
            Self::Reference => "reference".to_owned(),
            Self::Previous => "previous".to_owned(),
            Self::DaysAgo(days) => format!("{days}d_ago"),
        }
    }
}

/// How numbers of other tools are reproduced beside our own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Compat {
    /// Evidently 0.7: PSI and JS.
    Evidently,
    /// `NannyML` 0.13: JS, Hellinger, L-infinity.
    Nannyml,
    /// scouter 0.25: PSI.
    Scouter,
    /// Fiddler: PSI with one added count per bin.
    Fiddler,
    /// `TensorFlow` Data Validation: JS divergence, L-infinity.
    Tfdv,
    /// Shares raised to at least 1e-4.
    Eps1e4,
    /// Shares raised to at least 1e-6.
    Eps1e6,
}

/// Which metrics are computed, and in which conventions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MetricsPlan {
    /// Names from `metric::METRICS`, in that order.
    pub names: Vec<&'static str>,
    /// Extra conventions beside our own.
    pub compat: Vec<Compat>,
    /// 10 or 20: bins of PSI, JS, Hellinger, total variation, L-infinity and chi-square on numeric columns.
    pub bins: u16,
}

/// What is watched and when to act.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct PolicyPlan {
    /// Rollout name.
    pub rollout: String,
    /// The version that candidates are compared with.
    pub baseline_version: String,
    /// Who may act on decisions, unless it is said otherwise for a kind of them.
    pub authority: Authority,
    /// Rules in the order of the file.
    pub rules: Vec<Rule>,
    /// Evidence with a guarantee; `None` when it was switched off.
    pub guards: Option<GuardPlan>,
    /// Steps, waiting times and who may act.
    pub stages: RolloutPlan,
    /// From when on the data of a window is not trusted any more.
    #[serde(skip_serializing_if = "TrustPlan::is_default")]
    pub trust: TrustPlan,
}

/// What to do, from mild to severe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Nothing is wrong.
    Observe = 0,
    /// Tell people.
    Warn = 1,
    /// Do not raise exposure.
    Hold = 2,
    /// Lower exposure to a cap.
    Contain = 3,
    /// Send all traffic back to the baseline version.
    Rollback = 4,
}

impl Action {
    /// The name used in pipelines and events.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Observe => "observe",
            Self::Warn => "warn",
            Self::Hold => "hold",
            Self::Contain => "contain",
            Self::Rollback => "rollback",
        }
    }
}

/// One rule: a metric beyond a bound in `breaches` of the last `windows` windows calls for an action.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Rule {
    /// Name, for evidence and people.
    pub name: String,
    /// Metric name from `metric::METRICS`.
    pub metric: &'static str,
    /// Columns it looks at; empty = every column the metric can read.
    pub columns: Vec<String>,
    /// What it is compared with; `None` for metrics that need no baseline (the value itself is judged).
    pub baseline: Option<Baseline>,
    /// For metrics without a baseline of their own: judge the difference or the ratio to the concurrent baseline.
    pub against: Against,
    /// Whether every segment is watched too, or only all traffic together.
    pub segments: bool,
    /// The bound.
    pub bound: Bound,
    /// Fewer events than this on either side: the window says nothing.
    pub n_min: u64,
    /// How many windows must breach …
    pub breaches: u32,
    /// … of the last so many that said something.
    pub windows: u32,
    /// What to do.
    pub action: Action,
    /// `Contain`: the cap in percent.
    pub cap_pct: Option<f64>,
}

/// How a metric's value is turned into what the bound is held against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Against {
    /// The value itself.
    Value,
    /// Value minus the baseline version's value in the same window.
    Difference,
    /// Value divided by the baseline version's value in the same window.
    Ratio,
}

/// A bound that is breached from above or below.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub enum Bound {
    /// Breached when greater.
    Above(f64),
    /// Breached when smaller.
    Below(f64),
}

/// Bounds on state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Bounds {
    /// Groups (model, version, segment) per pane; more are folded into segment `__other__` of their version.
    pub groups_max: usize,
    /// Versions per model and pane; more are folded into version `__other__`.
    pub versions_max: usize,
    /// Event ids remembered exactly per pane for de-duplication; beyond, a Bloom filter.
    pub ids_max: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { groups_max: 1024, versions_max: 32, ids_max: 4_000_000 }
    }
}
