//! The `measures` section: numbers of which the mean matters, where worse is, and how much worse is tolerated.

use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::path::{Dotted, Parse, PatternText};
use super::problem::{Problems, Spot};
use super::value::{At, scalar};
use crate::plan::{MeasurePlan, Tolerance, Worse};
use crate::summary::{Amounts, Clip};

/// Standard errors by which a mean must stand out from 0 for a share of it to be a margin.
const MEAN_STANDS_OUT: f64 = 3.0;

/// A number of predictions of which the mean matters.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Measure {
    /// Where it is found.
    pub(crate) path: Dotted,
    /// The part of a text that is the value.
    #[serde(rename = "match")]
    pub(crate) pattern: Option<PatternText>,
    /// Texts on the way that are looked into.
    pub(crate) parse: Option<Parse>,
    /// Which way it gets worse: `up` for cost, `down` for revenue. With `margin`.
    pub(crate) worse: Option<At<Worse>>,
    /// How much worse a candidate's mean may be: a share of the baseline's, such as 2%, or a number in the measure's
    /// unit, such as 0.05, where values may be below 0. A candidate that is shown to be worse is rolled back, and none
    /// passes that is not shown to keep it. Without it, the measure is only shown.
    pub(crate) margin: Option<At<MeasureMargin>>,
    /// Values beyond this count as it, at most a quarter more. The lower it is, the sooner evidence speaks, and the
    /// less it says of the largest values, which are watched by their share alone. Default: a thousandth of the
    /// reference's values that are not 0 are beyond it; without a reference, of those of the baseline version's first
    /// windows.
    pub(crate) cap: Option<At<f64>>,
    /// Smallest and largest usual value, between which equal bins are laid. Without a reference and without it, bins
    /// are laid from 0.1 to 100000, as for latencies.
    pub(crate) range: Option<[f64; 2]>,
}

/// How much worse a mean may be: a share of it, or a number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct MeasureMargin(pub(crate) Tolerance);

impl FromStr for MeasureMargin {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let tolerance = match text.strip_suffix('%') {
            Some(percent) => percent.trim_end().parse::<f64>().ok().map(|percent| Tolerance::Relative(percent / 100.0)),
            None => text.parse::<f64>().ok().map(Tolerance::Absolute),
        };
        let is_sound = |tolerance: &Tolerance| match *tolerance {
            Tolerance::Relative(share) => share > 0.0 && share < 1.0,
            Tolerance::Absolute(by) => by > 0.0 && by.is_finite(),
        };
        tolerance.filter(is_sound).map(Self).ok_or_else(|| {
            format!(
                "`{text}` is not a margin of a measure; write how much worse is tolerated, more than nothing: a share \
                 of the mean such as 2%, or a number in the measure's unit such as 0.05"
            )
        })
    }
}

impl fmt::Display for MeasureMargin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Tolerance::Relative(share) => write!(f, "{}%", share * 100.0),
            Tolerance::Absolute(by) => write!(f, "{by}"),
        }
    }
}

scalar!(MeasureMargin, "MeasureMargin", {
    "anyOf": [
        { "type": "number", "exclusiveMinimum": 0 },
        { "type": "string", "pattern": "^[0-9.]+ *%$" }
    ],
    "description": "How much worse is tolerated: a share of the mean such as 2%, or a number in the measure's unit."
});

impl Measure {
    /// What guards hold against it; nothing for a measure that is only shown.
    pub(crate) fn resolve(&self, name: &str, place: usize, spot: Spot, problems: &mut Problems) -> Option<MeasurePlan> {
        if let Some(cap) = self.cap.filter(|cap| !(cap.value > 0.0 && cap.value.is_finite())) {
            problems.add(cap.spot, format!("`cap` is {}", cap.value)).help("write a number above 0");
        }
        match (self.worse, self.margin) {
            (Some(worse), Some(margin)) => Some(MeasurePlan {
                name: name.to_owned(),
                place,
                worse: worse.value,
                margin: margin.value.0,
                cap: self.cap.map(|cap| cap.value),
            }),
            (None, None) => None,
            (Some(_), None) => {
                problems
                    .add(spot, format!("`{name}` may get worse, and nothing says by how much"))
                    .help("add `margin: 2%`, or drop `worse`: then it is only shown");
                None
            }
            (None, Some(_)) => {
                problems
                    .add(spot, format!("`{name}` has a margin, and nothing says which way is worse"))
                    .help("add `worse: up` where more is worse, or `worse: down`");
                None
            }
        }
    }
}

/// Whether a share of the mean is a margin at all, as the reference's values say.
pub(crate) fn check_share(measure: &MeasurePlan, values: &Amounts, spot: Spot, problems: &mut Problems) {
    if !matches!(measure.margin, Tolerance::Relative(_)) {
        return;
    }
    let name = &measure.name;
    if values.negative() > 0 {
        problems
            .add(spot, format!("`{name}` is below 0 in {} rows of the reference", values.negative()))
            .help("a share of such a mean says nothing; write `margin` in the measure's unit, such as 0.05");
        return;
    }
    let step = values.quantile(1.0).unwrap_or(0);
    let (mean, variance) = values.moments(Clip { step, signed: false });
    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^53")]
    let error = (variance / values.n().max(1) as f64).sqrt();
    if mean <= MEAN_STANDS_OUT * error {
        problems
            .add(spot, format!("the mean of `{name}` in the reference is hardly above 0: {mean:.4}"))
            .help("no share of it can be told; write `margin` in the measure's unit, or drop it to have it shown only");
    }
}
