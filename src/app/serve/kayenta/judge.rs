//! `POST /v1/kayenta/judge`: Kayenta's remote judge. The series come with the request.
//!
//! A metric is told only by evidence that is good at every look together
//! ([`infer::series`](crate::infer::series)): Kayenta asks again after every interval, with all points so far. 5 % are
//! shared among the metrics of a request, so that healthy versions have some metric told in one analysis of twenty at
//! most. A metric of which too little is known is `Nodata`, and where that holds for all the score lies between both
//! thresholds.

use std::collections::BTreeMap;

use axum::Json;
use axum::body::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Answer, NAME, Thresholds, read, whole};
use crate::infer::series::contrast_of_means;

/// What healthy versions may have told of some metric, over a whole analysis.
/// Origin: choice; one analysis in twenty.
const BUDGET: f64 = 0.05;

/// What Kayenta sends, as far as it is read.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct JudgeRequest {
    canary_config: JudgedConfig,
    score_thresholds: Thresholds,
    metric_set_pair_list: Vec<SeriesPair>,
}

#[derive(Debug, Deserialize)]
struct JudgedConfig {
    #[serde(default)]
    metrics: Vec<MetricConfig>,
    #[serde(default)]
    classifier: Classifier,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Classifier {
    group_weights: BTreeMap<String, f64>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct MetricConfig {
    name: String,
    groups: Vec<String>,
    analysis_configurations: BTreeMap<String, CanaryTerms>,
}

/// What is asked of a metric.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct CanaryTerms {
    direction: Direction,
    nan_strategy: NanStrategy,
    critical: bool,
    must_have_data: bool,
    muted: bool,
    effect_size: EffectSize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Direction {
    Increase,
    Decrease,
    #[default]
    Either,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum NanStrategy {
    #[default]
    Remove,
    Replace,
}

/// How many times the control's mean is tolerated.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct EffectSize {
    allowed_increase: f64,
    allowed_decrease: f64,
}

impl Default for EffectSize {
    fn default() -> Self {
        Self { allowed_increase: 1.0, allowed_decrease: 1.0 }
    }
}

#[derive(Debug, Deserialize)]
struct SeriesPair {
    name: String,
    #[serde(default)]
    id: String,
    #[serde(default)]
    tags: Value,
    #[serde(default)]
    values: SeriesValues,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct SeriesValues {
    control: Vec<Point>,
    experiment: Vec<Point>,
}

/// A number, or the text `NaN`, or nothing.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(from = "Value")]
struct Point(Option<f64>);

impl From<Value> for Point {
    fn from(value: Value) -> Self {
        Self(value.as_f64().filter(|number| number.is_finite()))
    }
}

/// Answers Kayenta.
pub(super) async fn post(body: Bytes) -> Answer {
    let request: JudgeRequest = read(&body)?;
    let thresholds = request.score_thresholds.check()?;
    let metrics: BTreeMap<&str, &MetricConfig> =
        request.canary_config.metrics.iter().map(|metric| (metric.name.as_str(), metric)).collect();
    let unknown = MetricConfig::default();
    let asked: Vec<(&SeriesPair, &MetricConfig, CanaryTerms)> = request
        .metric_set_pair_list
        .iter()
        .map(|pair| {
            let config = metrics.get(pair.name.as_str()).copied().unwrap_or(&unknown);
            (pair, config, config.analysis_configurations.get("canary").cloned().unwrap_or_default())
        })
        .collect();
    let n_asked = u32::try_from(asked.iter().filter(|(.., terms)| !terms.muted).count()).unwrap_or(u32::MAX);
    let level = BUDGET / f64::from(n_asked.max(1));
    let judged: Vec<Judged<'_>> =
        asked.into_iter().map(|(pair, config, terms)| Judged::of(pair, config, terms, level)).collect();
    Ok(Json(told(&judged, &request.canary_config.classifier.group_weights, thresholds)))
}

/// What may be said of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum MetricClass {
    Pass,
    High,
    Low,
    Nodata,
    NodataFailMetric,
}

impl MetricClass {
    fn name(self) -> &'static str {
        match self {
            Self::Pass => "Pass",
            Self::High => "High",
            Self::Low => "Low",
            Self::Nodata => "Nodata",
            Self::NodataFailMetric => "NodataFailMetric",
        }
    }
}

/// A metric, and what is said of it.
struct Judged<'a> {
    pair: &'a SeriesPair,
    groups: &'a [String],
    terms: CanaryTerms,
    class: MetricClass,
    reason: String,
    /// Of the control and of the experiment.
    points: [Vec<f64>; 2],
}

impl<'a> Judged<'a> {
    fn of(pair: &'a SeriesPair, config: &'a MetricConfig, terms: CanaryTerms, level: f64) -> Self {
        let filled = |points: &[Point]| -> Vec<Option<f64>> {
            let missing = (terms.nan_strategy == NanStrategy::Replace).then_some(0.0);
            points.iter().map(|point| point.0.or(missing)).collect()
        };
        let (control, experiment) = (filled(&pair.values.control), filled(&pair.values.experiment));
        let both: Vec<[f64; 2]> = experiment.iter().zip(&control).filter_map(|(x, y)| Some([(*x)?, (*y)?])).collect();
        let points = [&control, &experiment].map(|side| side.iter().copied().flatten().collect::<Vec<f64>>());
        let is_missing = points.iter().any(Vec::is_empty);
        let (class, reason) = if is_missing && terms.must_have_data {
            (MetricClass::NodataFailMetric, "a version has no points, and the metric must have some".to_owned())
        } else {
            classify(&both, &terms, level)
        };
        Self { pair, groups: &config.groups, terms, class, reason, points }
    }

    fn counts(&self) -> bool {
        !self.terms.muted && self.class != MetricClass::Nodata
    }

    fn told(&self) -> Value {
        let [control, experiment] = &self.points;
        let ratio = mean(experiment).zip(mean(control)).map(|(x, y)| x / y).filter(|ratio| ratio.is_finite());
        json!({
            "name": self.pair.name, "id": self.pair.id, "tags": self.pair.tags, "groups": self.groups,
            "classification": self.class.name(), "classificationReason": self.reason,
            "controlMetadata": stats(control), "experimentMetadata": stats(experiment),
            "resultMetadata": { "ratio": ratio }, "critical": self.terms.critical, "muted": self.terms.muted,
        })
    }
}

fn classify(both: &[[f64; 2]], terms: &CanaryTerms, level: f64) -> (MetricClass, String) {
    let EffectSize { allowed_increase, allowed_decrease } = terms.effect_size;
    let bounds = contrast_of_means(both, allowed_increase, level).zip(contrast_of_means(both, allowed_decrease, level));
    let Some((up, down)) = bounds else {
        return (MetricClass::Nodata, format!("{} pairs of points are too few to say anything", both.len()));
    };
    let sides =
        |times: f64| format!("{times} times the control's mean over {} pairs, at {level:.4} of every look", both.len());
    if terms.direction != Direction::Decrease && up.low > 0.0 {
        (MetricClass::High, format!("above {}: by {:.4}, at least {:.4}", sides(allowed_increase), up.value, up.low))
    } else if terms.direction != Direction::Increase && down.high < 0.0 {
        (
            MetricClass::Low,
            format!("below {}: by {:.4}, at least {:.4}", sides(allowed_decrease), -down.value, -down.high),
        )
    } else {
        let said = format!("not shown to differ from {}: {:.4} to {:.4}", sides(allowed_increase), up.low, up.high);
        (MetricClass::Pass, said)
    }
}

#[expect(clippy::cast_precision_loss, reason = "points, far below 2^53")]
fn mean(points: &[f64]) -> Option<f64> {
    (!points.is_empty()).then(|| points.iter().sum::<f64>() / points.len() as f64)
}

fn stats(points: &[f64]) -> Value {
    let least = points.iter().copied().reduce(f64::min);
    let most = points.iter().copied().reduce(f64::max);
    let about = mean(points);
    let variance = about.and_then(|about| mean(&points.iter().map(|x| (x - about) * (x - about)).collect::<Vec<_>>()));
    json!({ "stats": {
        "count": points.len(), "mean": about, "min": least, "max": most, "std": variance.map(f64::sqrt),
    }})
}

/// The answer. A group scores the share of its metrics that pass; groups without a weight share what is left of 100.
fn told(judged: &[Judged<'_>], weights: &BTreeMap<String, f64>, thresholds: Thresholds) -> Value {
    let mut groups: BTreeMap<&str, [f64; 2]> = BTreeMap::new();
    for (one, group) in
        judged.iter().filter(|one| one.counts()).flat_map(|one| one.groups.iter().map(move |group| (one, group)))
    {
        let [passed, all] = groups.entry(group).or_default();
        *passed += f64::from(u8::from(one.class == MetricClass::Pass));
        *all += 1.0;
    }
    let free = groups.keys().filter(|group| !weights.contains_key(**group)).count();
    let left = (100.0 - weights.values().sum::<f64>()).max(0.0) / f64::from(u32::try_from(free).unwrap_or(1).max(1));
    let score_of = |[passed, all]: [f64; 2]| 100.0 * passed / all;
    let weight = |group: &str| weights.get(group).copied().unwrap_or(left);
    let total: f64 = groups.keys().map(|group| weight(group)).sum();
    let weighted: f64 = groups.iter().map(|(group, &counts)| weight(group) * score_of(counts)).sum();
    let is_bad = |one: &&Judged<'_>| one.counts() && one.terms.critical && one.class != MetricClass::Pass;
    let (score, class, reason) = match judged.iter().find(is_bad) {
        Some(bad) => (0.0, "Fail", format!("the critical metric {} is {}", bad.pair.name, bad.class.name())),
        None if total <= 0.0 => (thresholds.undecided(), "Nodata", "too little is known of every metric".to_owned()),
        None => {
            let score = weighted / total;
            (
                score,
                thresholds.class(score),
                "the share of metrics that pass, by the weights of their groups".to_owned(),
            )
        }
    };
    let group_scores: Vec<Value> = groups
        .iter()
        .map(|(group, &counts)| {
            let score = score_of(counts);
            json!({ "name": group, "score": score, "classification": thresholds.class(score), "classificationReason": "" })
        })
        .collect();
    let results: Vec<Value> = judged.iter().map(Judged::told).collect();
    let score = json!({ "score": whole(score), "classification": class, "classificationReason": reason });
    json!({ "judgeName": NAME, "results": results, "groupScores": group_scores, "score": score })
}
