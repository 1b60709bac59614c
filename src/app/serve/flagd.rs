//! `GET /v1/flagd/{rollout}.json`: each version's share of traffic as a flag, for flagd to ask for every few seconds.
//!
//! A flag stands for a model and has its versions as variants. While nobody can be asked, flagd keeps what it heard
//! last. So where this process does not know how things stand it gives no answer, instead of one without candidates.
//! The format is flagd's (`flags.json`, schema v0); weights are whole and of one sum, and candidates come first: who
//! gets a candidate at a small share gets it at every larger one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use serde_json::{Map, Value, json};

use super::Shared;
use super::health::Phase;
use super::problem::ErrorResponse;
use super::verdict::AnswerTerms;
use crate::verdict::RolloutState;

/// What the weights of a flag add up to: hundredths of a percent.
const WHOLE: u64 = 10_000;

/// Answers with the flags, or that they are still the same.
pub(super) async fn get(
    State(shared): State<Arc<Shared>>,
    Path(file): Path<String>,
    Query(query): Query<BTreeMap<String, String>>,
    headers: HeaderMap,
) -> Response {
    let flags = match shared.flags(&file, &query) {
        Ok(flags) => flags.to_string(),
        Err(problem) => return problem.into_response(),
    };
    let tag = format!("\"{}\"", blake3::hash(flags.as_bytes()).to_hex());
    let known = headers.get(IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes());
    let about = [(ETAG, tag.as_str()), (CACHE_CONTROL, "no-cache"), (CONTENT_TYPE, "application/json")];
    if known { (StatusCode::NOT_MODIFIED, about).into_response() } else { (about, flags).into_response() }
}

impl Shared {
    fn flags(&self, file: &str, query: &BTreeMap<String, String>) -> Result<Value, ErrorResponse> {
        let away = |why: &str| {
            let hint = "ask again: meanwhile flagd keeps what it has";
            ErrorResponse::new(StatusCode::SERVICE_UNAVAILABLE, why, hint)
        };
        let terms = self.terms().ok_or_else(|| away("no pipeline runs here yet"))?;
        let rollout = &terms.plan.policy.rollout;
        if file.strip_suffix(".json") != Some(rollout) {
            let hint = format!("ask for /v1/flagd/{rollout}.json");
            return Err(ErrorResponse::new(StatusCode::NOT_FOUND, "no such rollout is judged here", hint));
        }
        if self.health().phase() != Phase::Ready {
            return Err(away("this process does not know yet how the rollout stands"));
        }
        let view = self.read();
        let mut flags: BTreeMap<&str, Flag<'_>> = BTreeMap::new();
        for state in view.states().filter(|state| state.rollout == *rollout) {
            flags.entry(&state.model).or_default().add(state, &terms);
        }
        if let Some(candidate) = query.get("candidate").filter(|name| **name != terms.plan.policy.baseline_version) {
            let model = query.get("model").map_or(rollout.as_str(), String::as_str);
            let alone = if flags.len() == 1 && !query.contains_key("model") { flags.keys().next() } else { None };
            let model = alone.copied().unwrap_or(model);
            flags.entry(model).or_default().announce(candidate, &terms);
        }
        let baseline = &terms.plan.policy.baseline_version;
        let flags: Map<String, Value> =
            flags.into_iter().map(|(model, flag)| (model.to_owned(), flag.write(baseline))).collect();
        Ok(json!({ "$schema": "https://flagd.dev/schema/v0/flags.json", "flags": flags,
            "metadata": { "flagSetId": format!("haldane/{rollout}") } }))
    }
}

/// The versions of one model.
#[derive(Default)]
struct Flag<'a> {
    /// By candidate: the share it may have, percent, and the decision behind it.
    shares: BTreeMap<&'a str, (f64, &'a str)>,
    /// Versions that must not come again.
    denied: BTreeSet<&'a str>,
}

impl<'a> Flag<'a> {
    fn add(&mut self, state: &'a RolloutState, terms: &AnswerTerms) {
        if state.is_denied() {
            self.denied.insert(&state.candidate);
        }
        // What is over gets no traffic, whoever may act: it has none, and would get it back.
        if state.is_world() || !state.state.is_live() {
            return;
        }
        if let Some(cap_pct) = terms.permission(state, None).cap_pct {
            let behind = state.in_force.last().map_or("", String::as_str);
            self.shares.insert(&state.candidate, (cap_pct, behind));
        }
    }

    /// A version that is no candidate, and not denied, may have the first step, while somebody watches.
    fn announce(&mut self, candidate: &'a str, terms: &AnswerTerms) {
        if terms.is_watched() && !self.denied.contains(candidate) {
            self.shares.entry(candidate).or_insert((terms.plan.policy.stages.cap_at(0), ""));
        }
    }

    fn write(&self, baseline: &str) -> Value {
        let (mut variants, mut parts, mut about) = (Map::new(), Vec::new(), Map::new());
        let mut left = WHOLE;
        for (candidate, (cap_pct, decision)) in &self.shares {
            let weight = hundredths(*cap_pct).min(left);
            left -= weight;
            variants.insert((*candidate).to_owned(), json!(candidate));
            about.insert(format!("{candidate}.decision_id"), json!(decision));
            if weight > 0 {
                parts.push(json!([candidate, weight]));
            }
        }
        variants.insert(baseline.to_owned(), json!(baseline));
        if left > 0 {
            parts.push(json!([baseline, left]));
        }
        let by = json!({ "cat": [{ "var": "$flagd.flagKey" }, { "var": "targetingKey" }] });
        parts.insert(0, by);
        json!({ "state": "ENABLED", "variants": variants, "defaultVariant": baseline,
            "targeting": { "fractional": parts }, "metadata": about })
    }
}

/// Hundredths of a percent, never more than is allowed.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share is between 0 and 100")]
fn hundredths(pct: f64) -> u64 {
    (pct.clamp(0.0, 100.0) * 100.0 + 1e-6).floor() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flag<'a>(shares: &[(&'a str, f64)]) -> Flag<'a> {
        Flag { shares: shares.iter().map(|(name, cap)| (*name, (*cap, "b3:1"))).collect(), denied: BTreeSet::new() }
    }

    /// Who gets which weight, in their order.
    fn weights(flag: &Value) -> Vec<(String, u64)> {
        let parts = flag["targeting"]["fractional"].as_array().expect("parts");
        let part = |part: &Value| (part[0].as_str().expect("a name").to_owned(), part[1].as_u64().expect("a weight"));
        parts[1..].iter().map(part).collect()
    }

    #[test]
    fn weights_are_whole_of_one_sum_and_candidates_come_first() {
        for (shares, expected) in [
            (&[][..], &[("v1", 10_000)][..]),
            (&[("v2", 5.0)], &[("v2", 500), ("v1", 9_500)]),
            (&[("v2", 0.0)], &[("v1", 10_000)]),
            (&[("v2", 100.0)], &[("v2", 10_000)]),
            (&[("v2", 0.29)], &[("v2", 29), ("v1", 9_971)]),
            (&[("v2", 33.333_333)], &[("v2", 3_333), ("v1", 6_667)]),
            (&[("v2", 70.0), ("v3", 70.0)], &[("v2", 7_000), ("v3", 3_000)]),
            (&[("v2", 250.0)], &[("v2", 10_000)]),
            (&[("v2", -3.0)], &[("v1", 10_000)]),
        ] {
            let written = flag(shares).write("v1");
            let found = weights(&written);
            let expected: Vec<(String, u64)> =
                expected.iter().map(|(name, weight)| ((*name).to_owned(), *weight)).collect();
            assert_eq!(found, expected, "{shares:?}");
            assert_eq!(found.iter().map(|(_, weight)| weight).sum::<u64>(), WHOLE);
            for (name, _) in shares {
                assert_eq!(written["variants"][*name], *name, "a version without traffic is a variant, too");
            }
            assert_eq!((&written["defaultVariant"], &written["variants"]["v1"]), (&json!("v1"), &json!("v1")));
        }
    }

    #[test]
    fn who_gets_a_candidate_at_a_small_share_gets_it_at_every_larger_one() {
        let mut before = 0;
        for hundredth in 0..=1_000_u32 {
            let weight = hundredths(f64::from(hundredth) / 10.0);
            assert!(weight >= before && weight == u64::from(hundredth) * 10, "{hundredth}: {weight}");
            before = weight;
        }
        assert_eq!(hundredths(0.009_9), 0, "never more than is allowed");
    }

    #[test]
    fn each_share_names_the_decision_behind_it() {
        let written = flag(&[("v2", 5.0)]).write("v1");
        assert_eq!(written["metadata"], json!({ "v2.decision_id": "b3:1" }));
        let by = &written["targeting"]["fractional"][0];
        assert_eq!(*by, json!({ "cat": [{ "var": "$flagd.flagKey" }, { "var": "targetingKey" }] }));
    }
}
