//! Where a text says the share of traffic.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::super::problem::Problems;
use super::super::value::{At, scalar};
use crate::targets::{Locator, Placeholders, ShareConfig};

/// A place in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PlaceText(pub(super) Locator);

impl FromStr for PlaceText {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse().map(Self)
    }
}

impl fmt::Display for PlaceText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

scalar!(PlaceText, "Place", {
    "type": "string",
    "description": "In JSON or YAML a JSON pointer, in which `[key=value]` names an item of a list: \
                    /spec/rules/0/backendRefs/[name=fraud-v2]/weight. In any other text what stands around the number: \
                    `{weight}% v2;`. The words {candidate}, {baseline}, {model} and {rollout} may stand in it."
});

/// Where a text says the share of traffic.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ShareSection {
    /// The candidate's weight.
    pub(super) weight: At<PlaceText>,
    /// The weight of all the rest, where that is written, too: both are set, to `scale` together.
    pub(super) rest: Option<PlaceText>,
    /// The version whose weight it is: nothing is done for another candidate. Needed unless the place of the weight
    /// names the candidate, or `candidate` says it.
    pub(super) version: Option<PlaceText>,
    /// What both weights are together. Weights are whole numbers, rounded down.
    #[serde(default = "hundred")]
    pub(super) scale: At<u64>,
    /// The share, in percent, that it means when there is no weight. Default: that is a mistake.
    pub(super) absent_pct: Option<At<u8>>,
}

fn hundred() -> At<u64> {
    100.into()
}

impl ShareSection {
    /// What it means. `is_known`: something else says whose share it is; `with`: words that may name the candidate.
    pub(super) fn resolve(
        &self,
        is_known: bool,
        with: &BTreeMap<String, String>,
        problems: &mut Problems,
    ) -> Option<ShareConfig> {
        let words = with.iter().fold(Placeholders::default(), |words, (name, text)| words.with(name, text));
        let is_keyed = self.weight.value.0.filled(&words).to_string().contains("{candidate}");
        if !is_keyed && self.version.is_none() && !is_known {
            problems.add(self.weight.spot, "nothing says whose share this is").help(
                "let its place name the candidate (`{candidate}`), write where the version stands (`version`), or say \
                 `candidate` beside `name`",
            );
            return None;
        }
        if self.scale.value == 0 {
            problems.add(self.scale.spot, "a scale is one at least");
            return None;
        }
        if let Some(absent) = self.absent_pct.filter(|absent| absent.value > 100) {
            problems.add(absent.spot, "a share is 100 % at most");
            return None;
        }
        let place = |text: &PlaceText| text.0.clone();
        Some(ShareConfig {
            weight: place(&self.weight),
            rest: self.rest.as_ref().map(place),
            version: self.version.as_ref().map(place),
            scale: self.scale.value,
            absent_pct: self.absent_pct.map(|absent| absent.value),
            is_keyed,
        })
    }
}
