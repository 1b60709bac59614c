//! What the user wrote: one struct per section of a pipeline file, one field per key.
//!
//! A field is a row: its name is the key, its comment the documentation (also in the JSON Schema), its `serde` default
//! the default. Unknown keys are refused. What the keys mean together is decided in `resolve`.

use schemars::JsonSchema;
use serde::Deserialize;

use super::act::ActSection;
use super::guards::GuardSection;
use super::kafka::KafkaSection;
use super::measure::Measure;
use super::names::Names;
use super::path::PathOr;
use super::registry::RegistrySection;
use super::rollout::Rollout;
use super::serve::ServeSection;
use super::shadow::ShadowSection;
use super::source::Sources;
use super::store::StoreSection;
use super::trust::TrustSection;
use super::value::{At, BaselineName, Bytes, Entries, OrOff, Period, Ratio, by_default, count, seconds};
use super::wall::{Begin, Zone};
use crate::plan::{Action, Against, Compat, Corrections, Task};

/// A haldane pipeline: where events come from, what is measured, what it is compared with, and when to act.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "haldane pipeline")]
pub(crate) struct Document {
    /// Name of the pipeline, in every decision and metric. Default: the file's name without its ending.
    pub(crate) pipeline: Option<At<String>>,
    /// What the model predicts.
    #[serde(default = "binary")]
    pub(crate) task: At<Task>,
    /// The input streams.
    pub(crate) sources: At<Sources>,
    /// Numbers of predictions of which the mean matters, such as revenue, tokens or cost: a path for one that is only
    /// shown, or `{ path, worse: up | down, margin: 2% }` for one that a candidate must not be worse in.
    #[serde(default)]
    pub(crate) measures: Entries<PathOr<Measure>>,
    /// File made by `haldane baseline build`, relative to this file.
    pub(crate) reference: Option<At<String>>,
    /// The versions to compare.
    pub(crate) rollout: Option<Rollout>,
    /// Event time, panes and windows.
    #[serde(default = "by_default::<Windows>")]
    pub(crate) windows: Windows,
    /// How predictions meet their truth. Needs a source of labels.
    pub(crate) labels: Option<At<Labels>>,
    /// Says that versions answer the same requests: the candidate gets a copy of the traffic, and its answers are
    /// thrown away. Default: each request has one answer.
    pub(crate) shadow: Option<At<ShadowSection>>,
    /// What every version is compared with: `concurrent`, `reference`, `previous`, or `7d_ago` for any number of days.
    /// Default: `concurrent` when there is a rollout, and `reference` when there is one.
    pub(crate) baselines: Option<Vec<At<BaselineName>>>,
    /// Which metrics are computed.
    #[serde(default = "by_default::<Metrics>")]
    pub(crate) metrics: Metrics,
    /// Evidence with a guarantee, gathered over a rollout: margins and error budgets, or `off`. Every key has a
    /// default, so a pipeline with a `rollout` is guarded without this section.
    pub(crate) guards: Option<At<OrOff<GuardSection>>>,
    /// From when on the data of a window is not trusted any more, so that nothing passes on it, or `off`. Every key has
    /// a default, so windows are looked at without this section.
    pub(crate) trust: Option<At<OrOff<TrustSection>>>,
    /// Rules of one's own, beside the guards: a metric beyond a bound calls for an action.
    #[serde(default)]
    pub(crate) policy: Vec<At<RuleSection>>,
    /// Bins per numeric column that has a `range` instead of a reference, and quantiles per column of a reference that
    /// is built: a multiple of 20 from 20 to 2000. More bins make certified bounds tighter and state larger.
    #[serde(default = "count::<1040>")]
    pub(crate) fine_bins: At<u64>,
    /// Bounds on state.
    #[serde(default = "by_default::<BoundsSection>")]
    pub(crate) bounds: BoundsSection,
    /// The most memory that the process may take. What does not fit goes to disk, the oldest first: complete panes,
    /// labels, and what waits for them. What is counted into stays, and so do the ids by which re-deliveries are
    /// recognised: `haldane check` says whether they fit. Results do not depend on it. Where scan and judge run apart,
    /// it cannot be said. Default: no bound.
    pub(crate) memory: Option<At<Bytes>>,
    /// Folder for what does not fit into `memory`, relative to this file, on a disk of this machine. What is in it is
    /// of no use after the process has ended, and goes with it. Default: the system's folder for temporary files.
    pub(crate) spill: Option<At<String>>,
    /// The Kafka cluster. Not needed to replay files.
    pub(crate) kafka: Option<KafkaSection>,
    /// Where schemas of records are known: a registry, files, or both. Needed for `format: avro`, and for
    /// `format: protobuf` without `schema`. With it, sources of JSON may have frames.
    pub(crate) registry: Option<At<RegistrySection>>,
    /// The HTTP server.
    #[serde(default = "by_default::<ServeSection>")]
    pub(crate) serve: ServeSection,
    /// Where windows, verdicts, decisions, commands and panes are kept, as Parquet. Default: nowhere.
    pub(crate) store: Option<StoreSection>,
    /// Where `haldane act` carries decisions out, and whom it tells them. Default: nowhere.
    #[serde(default)]
    pub(crate) act: Vec<At<ActSection>>,
}

fn binary() -> At<Task> {
    Task::Binary.into()
}

/// Event time, panes and windows: either `size` (and `slide`) or `at_least` (and `max`).
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Windows {
    /// Length of a window. Default: 5m.
    pub(crate) size: Option<At<Period>>,
    /// Distance between the starts of windows. Default: `size`, windows that do not overlap.
    pub(crate) slide: Option<At<Period>>,
    /// Instead of `size`: the shortest window in which every version has this many predictions.
    pub(crate) at_least: Option<At<u64>>,
    /// The longest window `at_least` may give. Default: 1h.
    pub(crate) max: Option<At<Period>>,
    /// Length of a pane; windows are made of whole panes. Default: the largest that fits `size` and `slide`; 1m for
    /// `at_least`.
    pub(crate) pane: Option<At<Period>>,
    /// The time zone on whose clocks windows begin, by its name: `America/New_York`. Where clocks are put forward or
    /// back, a day is one window of 23 or 25 hours. Clock changes are known up to 2099. Not for `at_least`, nor for
    /// windows of less than an hour. Default: UTC.
    pub(crate) zone: Option<At<Zone>>,
    /// What the clock of `zone` shows when some window begins, so that others begin whole `slide`s before and after:
    /// a time of day (`06:00`), a weekday (`monday`, `monday 06:00`), or a date, as of windows of `28d`
    /// (`2026-01-05`, `2026-01-05 06:00`). Default: 1970-01-01 00:00, a Thursday.
    pub(crate) begin: Option<At<Begin>>,
    /// How long a window waits for late events, in event time.
    #[serde(default = "seconds::<30>")]
    pub(crate) lateness: At<Period>,
    /// A stream at the end of its log that has brought nothing for so long is idle, and no window waits for it.
    #[serde(default = "seconds::<10>")]
    pub(crate) idle_after: At<Period>,
    /// How often open windows are shown before they are complete.
    #[serde(default = "seconds::<2>")]
    pub(crate) early_every: At<Period>,
    /// An event this far ahead of all others moves time only when others confirm it.
    #[serde(default = "seconds::<3600>")]
    pub(crate) jump_max: At<Period>,
    /// How many events confirm a jump.
    #[serde(default = "count::<3>")]
    pub(crate) jump_confirmations: At<u64>,
    /// An event whose time is this far ahead of its broker time is refused as absurd.
    #[serde(default = "seconds::<3600>")]
    pub(crate) skew_max: At<Period>,
    /// How long the traffic of a judged window is kept, so that a partition that was silent can still revise it. While
    /// one is behind, labels are kept for as long after their horizon. What comes later is counted as late. An hour
    /// outlasts a restart of whoever writes; in windows of 5 minutes it takes 1 to 2 MB for each group of 50 columns.
    #[serde(default = "seconds::<3600>")]
    pub(crate) revise_for: At<Period>,
}

/// How predictions meet their truth.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Labels {
    /// Labels that arrive up to this long after a window are in its first result.
    #[serde(default = "seconds::<3600>")]
    pub(crate) wait: At<Period>,
    /// Labels that arrive later, up to this long after, revise it. Still later ones are counted and dropped. At least
    /// `wait`. For so long predictions wait in memory and windows are kept, and so much of the log is read again after
    /// a restart: write how long your labels take, and no more. Default: 1d, or `wait` when that is longer.
    pub(crate) horizon: Option<At<Period>>,
    /// Binary: the score from which the answer is positive, for predictions without a `predicted_label`.
    #[serde(default = "half")]
    pub(crate) threshold: At<Ratio>,
    /// Bin counts of the equal-width reliability tables behind `ece`.
    #[serde(default = "ten_and_fifteen")]
    pub(crate) bins: At<Vec<u16>>,
    /// The most predictions per source partition that wait for their label, each in 48 bytes at most. A pane may
    /// take a hundredth of it, until the horizon before it has taken half; then its share of the other half. Of a pane
    /// with more predictions a random sample is followed up, by hash of the id. The default takes 24 MB a partition.
    #[serde(default = "count::<500_000>")]
    pub(crate) pending_max: At<u64>,
    /// Share of predictions that are followed up.
    #[serde(default = "whole")]
    pub(crate) sample: At<Ratio>,
    /// Which outcome counts where a prediction has several: the `first` that was read, or the `last`, by the
    /// `event_time` of outcomes; of those that have the same, the last in the log. With `last` a window's last revision
    /// is as if older outcomes had never come. Its first result has what came within `wait`, and nothing is revised by
    /// what comes after `horizon`. Each label is kept until then, in 100 bytes of memory.
    #[serde(default)]
    pub(crate) corrections: At<Corrections>,
}

fn half() -> At<Ratio> {
    Ratio(0.5).into()
}

pub(super) fn whole() -> At<Ratio> {
    Ratio(1.0).into()
}

fn ten_and_fifteen() -> At<Vec<u16>> {
    vec![10, 15].into()
}

/// Which metrics are computed.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Metrics {
    /// `all`, or a list of names as shown by `haldane check`.
    #[serde(default)]
    pub(crate) names: Names,
    /// Conventions of other tools whose numbers are reproduced beside haldane's own.
    #[serde(default)]
    pub(crate) compat: Vec<Compat>,
    /// Bins of the share-based drift metrics on numeric columns: 10 or 20, cut at quantiles of the reference.
    #[serde(default = "count::<10>")]
    pub(crate) bins: At<u64>,
}

/// One rule: a metric beyond a bound in some of the last windows calls for an action.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RuleSection {
    /// Name, shown in decisions. Unique.
    pub(crate) name: At<String>,
    /// Metric that is watched.
    pub(crate) metric: At<String>,
    /// Columns it is watched on. Default: every column the metric can read.
    #[serde(default)]
    pub(crate) columns: Vec<At<String>>,
    /// What it is compared with, for metrics that need a baseline. Default: the first of `baselines`.
    pub(crate) baseline: Option<At<BaselineName>>,
    /// For metrics that need no baseline: whether the `value` itself is judged, or its `difference` or `ratio` to the
    /// rollout's baseline version in the same window. Default: `value`.
    pub(crate) against: Option<At<Against>>,
    /// Whether every segment is watched too, not only all traffic together.
    #[serde(default)]
    pub(crate) segments: At<bool>,
    /// Breached when greater. Either this or `below`.
    pub(crate) above: Option<At<f64>>,
    /// Breached when smaller. Either this or `above`.
    pub(crate) below: Option<At<f64>>,
    /// A window with fewer events than this on either side says nothing.
    #[serde(default = "count::<100>")]
    pub(crate) min_n: At<u64>,
    /// How many windows must breach …
    #[serde(default = "count::<1>")]
    pub(crate) breaches: At<u64>,
    /// … of the last so many that said something. Default: `breaches`.
    pub(crate) of: Option<At<u64>>,
    /// What to do: `warn`, `hold`, `contain` or `rollback`.
    pub(crate) action: At<Action>,
    /// For `contain`: the largest share of traffic that the version may get.
    pub(crate) cap: Option<At<Ratio>>,
}

/// Bounds on state.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_field_names, reason = "the keys say that they are bounds")]
pub(crate) struct BoundsSection {
    /// Groups (model, version, segment) per pane; more share the segment `__other__`.
    #[serde(default = "count::<1024>")]
    pub(crate) groups_max: At<u64>,
    /// Versions per model and pane; more share the version `__other__`.
    #[serde(default = "count::<32>")]
    pub(crate) versions_max: At<u64>,
    /// Event ids remembered exactly per pane and partition, against counting a re-delivery twice, each in 16 bytes at
    /// most. Beyond, a filter takes one new id in a hundred for a known one.
    #[serde(default = "count::<4_000_000>")]
    pub(crate) ids_max: At<u64>,
}
