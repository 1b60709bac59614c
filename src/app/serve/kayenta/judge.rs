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

#[cfg(test)]
mod tests {
    use super::*;

    /// A metric of some groups, as a config names it, with what is asked of it.
    fn config(name: &str, groups: &[&str], terms: &Value) -> Value {
        json!({ "name": name, "groups": groups, "analysisConfigurations": { "canary": terms } })
    }

    /// Points of both versions: the control's go up and down around 10, the experiment's around `about`.
    fn pair(name: &str, about: f64, n: usize) -> Value {
        let around = |centre: f64| (0..n).map(|at| centre + [0.0, 0.4, -0.4, 0.2][at % 4]).collect::<Vec<_>>();
        let values = json!({ "control": around(10.0), "experiment": around(about) });
        json!({ "name": name, "id": format!("id-{name}"), "values": values })
    }

    fn asked(metrics: &[Value], weights: &Value, pairs: &[Value]) -> Value {
        let request = json!({
            "canaryConfig": { "metrics": metrics, "classifier": { "groupWeights": weights } },
            "scoreThresholds": { "pass": 95, "marginal": 75 }, "metricSetPairList": pairs,
        });
        let answer = futures_executor::block_on(post(request.to_string().into_bytes().into()));
        let Json(told) = answer.unwrap_or_else(|problem| panic!("{}", problem.error));
        told
    }

    /// What is said of one metric alone, and why.
    fn classed(terms: &Value, pair: Value) -> (String, String) {
        let told = asked(&[config("m", &["g"], terms)], &json!({}), &[pair]);
        let text = |key: &str| told["results"][0][key].as_str().unwrap_or_default().to_owned();
        (text("classification"), text("classificationReason"))
    }

    #[test]
    fn a_metric_is_told_in_the_direction_that_is_asked_about() {
        let cases = [
            ("increase", 20.0, "High"),
            ("increase", 5.0, "Pass"),
            ("decrease", 20.0, "Pass"),
            ("decrease", 5.0, "Low"),
            ("either", 20.0, "High"),
            ("either", 5.0, "Low"),
            ("either", 10.0, "Pass"),
        ];
        for (direction, about, expected) in cases {
            let (class, reason) = classed(&json!({ "direction": direction }), pair("m", about, 200));
            assert_eq!(class, expected, "{direction} of {about}: {reason}");
            let said = match expected {
                "High" => "above",
                "Low" => "below",
                _ => "not shown to differ from",
            };
            assert!(reason.starts_with(&format!("{said} 1 times the control's mean over 200 pairs")), "{reason}");
        }
    }

    #[test]
    fn what_is_tolerated_is_counted_from_the_controls_mean() {
        let tolerant = json!({ "effectSize": { "allowedIncrease": 3.0, "allowedDecrease": 0.3 } });
        for (about, expected) in [(20.0, "Pass"), (5.0, "Pass"), (40.0, "High"), (1.0, "Low")] {
            assert_eq!(classed(&tolerant, pair("m", about, 200)).0, expected, "{about}");
        }
    }

    #[test]
    fn points_that_are_missing_leave_out_their_pair_or_are_nothing() {
        let holes = json!({ "name": "m", "values": {
            "control": [1.0, "NaN", 3.0, null], "experiment": [1.0, 5.0, "NaN"],
        }});
        let counts = |terms: &Value| {
            let told = asked(&[config("m", &["g"], terms)], &json!({}), std::slice::from_ref(&holes));
            ["controlMetadata", "experimentMetadata"].map(|side| told["results"][0][side]["stats"].clone())
        };
        let [control, experiment] = counts(&json!({}));
        assert_eq!(control, json!({ "count": 2, "mean": 2.0, "min": 1.0, "max": 3.0, "std": 1.0 }));
        assert_eq!(experiment, json!({ "count": 2, "mean": 3.0, "min": 1.0, "max": 5.0, "std": 2.0 }));
        let [control, experiment] = counts(&json!({ "nanStrategy": "replace" }));
        assert_eq!((&control["count"], &control["mean"], &control["min"]), (&json!(4), &json!(1.0), &json!(0.0)));
        assert_eq!((&experiment["count"], &experiment["mean"]), (&json!(3), &json!(2.0)));
        let (class, reason) = classed(&json!({}), holes.clone());
        assert_eq!((class.as_str(), reason.as_str()), ("Nodata", "1 pairs of points are too few to say anything"));
    }

    #[test]
    fn a_metric_without_points_fails_only_where_it_must_have_some() {
        let empty = json!({ "name": "m", "values": { "control": [1.0, 2.0], "experiment": [] } });
        assert_eq!(classed(&json!({}), empty.clone()).0, "Nodata");
        let (class, reason) = classed(&json!({ "mustHaveData": true }), empty);
        assert_eq!(class, "NodataFailMetric");
        assert_eq!(reason, "a version has no points, and the metric must have some");
        assert_eq!(classed(&json!({ "mustHaveData": true }), json!({ "name": "m" })).0, "NodataFailMetric");
    }

    #[test]
    fn the_level_is_shared_among_the_metrics_that_are_not_muted() {
        let level = |muted: [bool; 2]| {
            let both = ["a", "b"].into_iter().zip(muted);
            let metrics: Vec<Value> =
                both.map(|(name, muted)| config(name, &["g"], &json!({ "muted": muted }))).collect();
            let told = asked(&metrics, &json!({}), &[pair("a", 10.0, 50), pair("b", 10.0, 50)]);
            let reason = told["results"][0]["classificationReason"].to_string();
            ["0.0500", "0.0250"].map(|level| reason.contains(&format!("at {level} of every look")))
        };
        assert_eq!(level([false, false]), [false, true]);
        assert_eq!(level([false, true]), [true, false]);
        assert_eq!(level([true, true]), [true, false], "what is muted is judged as one");
    }

    /// The score and its class, of metrics `bad` (which is High), `good` and `none`, each of a group of its name.
    fn scored(weights: &Value, names: &[&str], terms: &Value) -> (i64, String) {
        let of = |name: &&str| match *name {
            "bad" => pair("bad", 30.0, 200),
            "good" => pair("good", 10.0, 200),
            other => pair(other, 10.0, 1),
        };
        let metrics: Vec<Value> = names.iter().map(|name| config(name, &[name], terms)).collect();
        let told = asked(&metrics, weights, &names.iter().map(of).collect::<Vec<_>>());
        let (score, class) = (&told["score"]["score"], &told["score"]["classification"]);
        (score.as_i64().expect("a whole number"), class.as_str().expect("a class").to_owned())
    }

    #[test]
    fn groups_count_by_their_weights_and_those_without_share_what_is_left() {
        let cases = [
            (json!({}), &["good", "bad"][..], (50, "Fail")),
            (json!({}), &["good"], (100, "Pass")),
            (json!({}), &["bad"], (0, "Fail")),
            (json!({ "good": 80.0 }), &["good", "bad"], (80, "Marginal")),
            (json!({ "good": 80.0, "bad": 20.0 }), &["good", "bad"], (80, "Marginal")),
            (json!({ "bad": 4.0 }), &["good", "bad"], (96, "Pass")),
            (json!({ "good": 150.0 }), &["good", "bad"], (100, "Pass")),
            (json!({ "good": 10.0, "bad": 30.0 }), &["good", "bad"], (25, "Fail")),
            (json!({}), &["good", "none"], (100, "Pass")),
            (json!({}), &["none"], (85, "Nodata")),
        ];
        for (weights, names, (score, class)) in cases {
            assert_eq!(scored(&weights, names, &json!({})), (score, class.to_owned()), "{weights} of {names:?}");
        }
    }

    #[test]
    fn a_critical_metric_that_does_not_pass_fails_all_and_a_muted_one_counts_for_nothing() {
        let critical = json!({ "critical": true });
        assert_eq!(scored(&json!({ "good": 99.0 }), &["good", "bad"], &critical), (0, "Fail".to_owned()));
        assert_eq!(scored(&json!({}), &["good", "none"], &critical), (100, "Pass".to_owned()));
        let muted = json!({ "critical": true, "muted": true });
        assert_eq!(scored(&json!({}), &["bad"], &muted), (85, "Nodata".to_owned()));
        let told = asked(&[config("bad", &["g"], &critical)], &json!({}), &[pair("bad", 30.0, 200)]);
        assert_eq!(told["score"]["classificationReason"], json!("the critical metric bad is High"));
    }

    #[test]
    fn what_came_with_a_metric_goes_back_with_it() {
        let mut sent = pair("m", 20.0, 4);
        sent["tags"] = json!({ "zone": "a" });
        let told = asked(&[config("m", &["g", "h"], &json!({}))], &json!({}), &[sent, pair("stranger", 10.0, 4)]);
        let [one, other] = [&told["results"][0], &told["results"][1]];
        assert_eq!((&one["id"], &one["tags"]), (&json!("id-m"), &json!({ "zone": "a" })));
        assert_eq!(one["groups"], json!(["g", "h"]));
        let ratio = one["resultMetadata"]["ratio"].as_f64().expect("a ratio");
        assert!((ratio - 20.05 / 10.05).abs() < 1e-9, "{ratio}");
        assert_eq!(other["groups"], json!([]), "a metric that no config names is of no group");
        let flat = json!({ "name": "m", "values": { "control": [0.0], "experiment": [1.0] } });
        let told = asked(&[config("m", &["g"], &json!({}))], &json!({}), &[flat]);
        assert_eq!(told["results"][0]["resultMetadata"]["ratio"], Value::Null, "no number is that many times nothing");
    }
}
