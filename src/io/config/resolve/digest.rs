//! The plan's digest: a content address of everything that decides results.
//!
//! Two files that mean the same have the same digest, however they are written; brokers, topics, ports and how often
//! open windows are shown do not count.

use serde::Serialize;

use crate::kernel::moment::Grid;
use crate::plan::{
    Baseline, Bounds, ColumnRole, Corrections, MetricsPlan, NumericColumn, Plan, PolicyPlan, QualityPlan, ShadowPlan,
    SourcePlan, TimePlan,
};
use crate::summary::histogram::Recuts;

/// The plan less what does not decide results; its JSON is what is digested.
#[derive(Serialize)]
struct Canonical<'a> {
    name: &'a str,
    sources: &'a [SourcePlan],
    segments: &'a [String],
    numeric: Vec<CanonicalColumn<'a>>,
    categorical: Vec<(&'a str, &'a [String])>,
    time: TimePlan,
    quality: Option<CanonicalQuality<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    shadow: Option<ShadowPlan>,
    baselines: &'a [Baseline],
    reference: Option<&'a str>,
    metrics: &'a MetricsPlan,
    policy: &'a PolicyPlan,
    bounds: Bounds,
}

#[derive(Serialize)]
struct CanonicalColumn<'a> {
    name: &'a str,
    role: ColumnRole,
    edges: &'a [f64],
    grid: Grid,
    recuts: &'a Recuts,
}

#[derive(Serialize)]
struct CanonicalQuality<'a> {
    task: crate::plan::Task,
    width_bins: &'a [u16],
    threshold: f64,
    wait: i64,
    horizon: i64,
    pending_max: usize,
    sample: f64,
    /// Plans that do not say it have the digest that they always had.
    #[serde(skip_serializing_if = "Option::is_none")]
    corrections: Option<Corrections>,
}

/// `b3:` and the BLAKE3 digest of the plan's canonical JSON.
pub(crate) fn digest(plan: &Plan) -> String {
    let canonical = Canonical {
        name: &plan.name,
        sources: &plan.sources,
        segments: &plan.segments,
        numeric: plan.columns.numeric.iter().map(column).collect(),
        categorical: plan.columns.categorical.iter().map(|column| (column.name.as_str(), &column.known[..])).collect(),
        time: TimePlan { early_every: 0, ..plan.time.clone() },
        quality: plan.quality.as_ref().map(quality),
        shadow: plan.shadow,
        baselines: &plan.baselines,
        reference: plan.reference.as_ref().map(|reference| reference.id.as_str()),
        metrics: &plan.metrics,
        policy: &plan.policy,
        bounds: plan.bounds,
    };
    let json = serde_json::to_vec(&canonical).expect("a plan always encodes");
    format!("b3:{}", blake3::hash(&json).to_hex())
}

fn column(column: &NumericColumn) -> CanonicalColumn<'_> {
    CanonicalColumn {
        name: &column.name,
        role: column.role,
        edges: column.cut.edges.as_slice(),
        grid: column.cut.grid,
        recuts: &column.cut.recuts,
    }
}

fn quality(quality: &QualityPlan) -> CanonicalQuality<'_> {
    let &QualityPlan { task, threshold, wait, horizon, pending_max, sample, corrections, .. } = quality;
    let (width_bins, corrections) = (&quality.width_bins[..], Some(corrections).filter(|of| *of != Corrections::First));
    CanonicalQuality { task, width_bins, threshold, wait, horizon, pending_max, sample, corrections }
}
