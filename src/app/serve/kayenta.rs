//! `/v1/kayenta/…`: Kayenta's API, as far as Argo Rollouts and Spinnaker call it, and its remote judge ([`judge`]).
//!
//! An analysis is a question about a candidate: the config is the rollout, the scope of the experiment the candidate,
//! that of the control the baseline version. Where the series of such an analysis come from, metrics stores, haldane
//! does not look; it answers with what it knows of the rollout. `PASS` scores 100 and `FAIL` 0, at once. Meanwhile the
//! analysis runs, until the end that was asked for; then it scores between both thresholds, which neither promotes nor
//! rolls back. An outage is no answer either, so while this process knows nothing, an analysis runs.
//!
//! Its id holds all that an analysis is. So nothing is kept, and whoever takes over goes on answering.

mod judge;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::routing::{get, post, put};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Shared;
use super::problem::ErrorResponse;
use super::verdict::{VerdictQuery, VerdictResponse};
use crate::decode::time::from_text;
use crate::event::Micros;
use crate::kafka::clock::wall_clock;
use crate::kafka::cloud_event::rfc3339;
use crate::verdict::Word;

/// The longest id, in bytes: it is a part of a URL.
const ID_BYTES_MAX: usize = 2_048;

/// Minutes as microseconds.
const MINUTE: Micros = 60_000_000;

/// The latest time that an analysis may name: the end of the year 9999.
const TIME_MAX: Micros = 253_402_300_799_999_999;

/// What accounts, judge and groups are called.
const NAME: &str = "haldane";

/// The pages, below `/v1/kayenta`.
pub(super) fn router() -> Router<Arc<Shared>> {
    Router::new()
        .route("/canaryConfig", get(configs))
        .route("/canary", post(canary_with_config))
        .route("/canary/{id}", post(canary).get(canary_status))
        .route("/standalone_canary_analysis", post(standalone_with_config))
        .route("/standalone_canary_analysis/{id}", post(standalone).get(standalone_status))
        .route("/credentials", get(credentials))
        .route("/pipelines/{id}/cancel", put(cancel))
        .route("/judge", post(judge::post))
}

type Answer = Result<Json<Value>, ErrorResponse>;
type Params = Query<BTreeMap<String, String>>;

fn bad(error: impl Into<String>, hint: &str) -> ErrorResponse {
    ErrorResponse::new(StatusCode::BAD_REQUEST, error, hint)
}

/// Scores that part what passes, what is not known, and what fails.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Thresholds {
    pass: f64,
    marginal: f64,
}

impl Thresholds {
    /// Argo takes `marginal` itself for undecided, Spinnaker for a failure: a whole number must lie between.
    fn check(self) -> Result<Self, ErrorResponse> {
        let Self { pass, marginal } = self;
        let fits = marginal > 0.0 && pass - marginal >= 2.0 && pass <= 100.0;
        let hint = "use 0 < marginal, marginal + 2 <= pass <= 100, such as 75 and 95";
        let error = || format!("no score between marginal {marginal} and pass {pass} could say that nothing is known");
        if fits { Ok(self) } else { Err(bad(error(), hint)) }
    }

    /// The score that says neither.
    fn undecided(self) -> f64 {
        f64::midpoint(self.pass, self.marginal).floor()
    }

    fn class(self, score: f64) -> &'static str {
        match score {
            score if score >= self.pass => "Pass",
            score if score >= self.marginal => "Marginal",
            _ => "Fail",
        }
    }
}

/// A question about a candidate, as its id holds it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Analysis {
    rollout: String,
    application: String,
    candidate: String,
    /// Model and share of traffic asked for, as texts; empty: not said.
    model: String,
    step: String,
    thresholds: Thresholds,
    begun: Micros,
    until: Micros,
}

/// What is known of it now.
struct Progress {
    answer: VerdictResponse,
    /// `None` while it runs.
    score: Option<f64>,
}

impl Analysis {
    fn id(&self) -> Result<String, ErrorResponse> {
        if !self.has_times() {
            return Err(bad("it would end before 1970 or after 9999", "correct its end, or lifetimeDurationMins"));
        }
        let text = serde_json::to_vec(self).unwrap_or_default();
        if 2 * text.len() > ID_BYTES_MAX {
            return Err(bad("the names are too long", "shorten them"));
        }
        Ok(text.iter().fold(String::new(), |id, byte| format!("{id}{byte:02x}")))
    }

    fn of(id: &str) -> Option<Self> {
        let digits = id.as_bytes().chunks(2).map(|two| u8::from_str_radix(std::str::from_utf8(two).ok()?, 16).ok());
        let analysis: Self = serde_json::from_slice(&digits.collect::<Option<Vec<u8>>>()?).ok()?;
        analysis.has_times().then_some(analysis)
    }

    /// Whether its times can be told.
    fn has_times(&self) -> bool {
        [self.begun, self.until].iter().all(|time| (0..=TIME_MAX).contains(time))
    }

    fn question(&self) -> Result<VerdictQuery, ErrorResponse> {
        let said =
            [("rollout", &self.rollout), ("model", &self.model), ("candidate", &self.candidate), ("step", &self.step)];
        let said = said.map(|(name, text)| (name.to_owned(), text.clone()));
        VerdictQuery::about(BTreeMap::from(said)).map_err(|error| bad(error, "correct `extendedScopeParams`"))
    }

    fn progress(&self, shared: &Shared, now: Micros) -> Result<Progress, ErrorResponse> {
        let answer = shared.verdict(&self.question()?);
        let score = match answer.verdict {
            Word::Pass => Some(100.0),
            Word::Fail => Some(0.0),
            Word::Wait | Word::Blind => (now >= self.until).then(|| self.thresholds.undecided()),
        };
        Ok(Progress { answer, score })
    }

    /// What both kinds of analyses say of themselves.
    fn about(&self, id: &str, ended: Option<Micros>) -> Value {
        let mut about = json!({
            "application": self.application, "user": "anonymous", "pipelineId": id, "canaryConfigId": self.rollout,
            "complete": ended.is_some(), "status": if ended.is_some() { "succeeded" } else { "running" },
            "storageAccountName": NAME, "metricsAccountName": NAME, "configurationAccountName": NAME,
        });
        let times = [("buildTime", Some(self.begun)), ("startTime", Some(self.begun)), ("endTime", ended)];
        for (name, time) in times.into_iter().filter_map(|(name, time)| Some((name, time?))) {
            about[format!("{name}Millis")] = json!(time / 1_000);
            about[format!("{name}Iso")] = json!(rfc3339(time));
        }
        about
    }

    fn judge_result(&self, score: f64, answer: &VerdictResponse) -> Value {
        let (class, reason) = (self.thresholds.class(score), &answer.reason);
        let one = match answer.verdict {
            Word::Pass => "Pass",
            Word::Fail => "High",
            Word::Wait | Word::Blind => "Nodata",
        };
        let stats = |count: u64| json!({ "stats": { "count": count } });
        json!({
            "judgeName": NAME,
            "results": [{
                "name": self.candidate, "id": self.candidate, "tags": {}, "groups": [NAME],
                "classification": one, "classificationReason": reason, "critical": false, "muted": false,
                "controlMetadata": stats(answer.n.baseline), "experimentMetadata": stats(answer.n.candidate),
                "resultMetadata": {
                    "verdict": answer.verdict, "state": answer.state, "decision_id": answer.decision_id,
                    "sequence": answer.sequence, "exposure_cap_pct": answer.exposure_cap_pct,
                },
            }],
            "groupScores": [{ "name": NAME, "score": score, "classification": class, "classificationReason": reason }],
            "score": { "score": whole(score), "classification": class, "classificationReason": reason },
        })
    }

    /// From its beginning to its end, as ISO 8601 has it.
    fn lasted(&self, ended: Micros) -> String {
        format!("PT{}S", (ended - self.begun).max(0) / 1_000_000)
    }
}

/// Clients read scores as whole numbers.
#[expect(clippy::cast_possible_truncation, reason = "a score is between 0 and 100")]
fn whole(score: f64) -> i64 {
    score as i64
}

/// One pair of scopes of a request, whichever kind it is.
struct Scopes {
    control: String,
    candidate: String,
    more: BTreeMap<String, String>,
    end: Option<String>,
}

/// `POST /canary/{canaryConfigId}`.
#[derive(Debug, Deserialize)]
struct CanaryRequest {
    scopes: BTreeMap<String, ScopePair>,
    thresholds: Thresholds,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ScopePair {
    #[serde(rename = "controlScope")]
    control: Scope,
    #[serde(rename = "experimentScope")]
    experiment: Scope,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Scope {
    #[serde(rename = "scope")]
    version: Option<String>,
    end: Option<String>,
    extended_scope_params: Option<BTreeMap<String, String>>,
}

/// `POST /standalone_canary_analysis/{canaryConfigId}`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct StandaloneRequest {
    scopes: Vec<StandaloneScope>,
    thresholds: Thresholds,
    lifetime_duration_mins: Option<u32>,
    begin_after_mins: Option<u32>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct StandaloneScope {
    control_scope: Option<String>,
    experiment_scope: Option<String>,
    end_time_iso: Option<String>,
    extended_scope_params: Option<BTreeMap<String, String>>,
}

/// A request that brings its config along, of which the name counts.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct AdHoc<T> {
    canary_config: Named,
    execution_request: T,
}

#[derive(Debug, Deserialize)]
struct Named {
    name: String,
}

fn read<T: for<'de> Deserialize<'de>>(body: &[u8]) -> Result<T, ErrorResponse> {
    let hint = "send what Kayenta takes: scopes, with a control and an experiment, and thresholds";
    serde_json::from_slice(body).map_err(|error| bad(format!("it is no request of Kayenta: {error}"), hint))
}

impl CanaryRequest {
    fn scopes(self) -> Vec<Scopes> {
        let pair = |ScopePair { control, experiment }| Scopes {
            control: control.version.unwrap_or_default(),
            candidate: experiment.version.unwrap_or_default(),
            more: experiment.extended_scope_params.unwrap_or_default(),
            end: experiment.end,
        };
        self.scopes.into_values().map(pair).collect()
    }
}

impl StandaloneRequest {
    /// Analyses last as long as they say, or until a time.
    fn end(&self, now: Micros) -> Option<Micros> {
        let minutes = i64::from(self.lifetime_duration_mins?) + i64::from(self.begin_after_mins.unwrap_or(0));
        Some(now + minutes * MINUTE)
    }

    fn scopes(self) -> Vec<Scopes> {
        let pair = |scope: StandaloneScope| Scopes {
            control: scope.control_scope.unwrap_or_default(),
            candidate: scope.experiment_scope.unwrap_or_default(),
            more: scope.extended_scope_params.unwrap_or_default(),
            end: scope.end_time_iso,
        };
        self.scopes.into_iter().map(pair).collect()
    }
}

impl Shared {
    /// Checks a request, and makes it a question.
    fn analysis(
        &self,
        (config, params): (&str, &BTreeMap<String, String>),
        scopes: &[Scopes],
        thresholds: Thresholds,
        end: Option<Micros>,
    ) -> Result<Analysis, ErrorResponse> {
        let rollout = self.rollout_of_configs()?;
        if config != rollout {
            let hint = "the config is the rollout: GET /v1/kayenta/canaryConfig lists it";
            return Err(ErrorResponse::new(
                StatusCode::NOT_FOUND,
                format!("no rollout `{config}` is judged here"),
                hint,
            ));
        }
        let names: BTreeSet<(&str, &str)> =
            scopes.iter().map(|one| (one.candidate.as_str(), one.control.as_str())).collect();
        let (candidate, control) = match names.first() {
            Some((candidate, control)) if names.len() == 1 && !candidate.is_empty() => (*candidate, *control),
            _ => {
                let hint =
                    "the experiment's scope is the version as events name it, the control's the baseline version";
                return Err(bad("an analysis is about one candidate: name it in every scope", hint));
            }
        };
        let said = |name: &str| scopes.iter().find_map(|one| one.more.get(name)).cloned().unwrap_or_default();
        let stated = scopes.iter().find_map(|one| one.end.as_deref());
        let stated = stated.map(|text| {
            from_text(text.as_bytes()).ok_or_else(|| bad(format!("`{text}` is no time"), "write 2026-11-30T06:00:00Z"))
        });
        let begun = wall_clock();
        let analysis = Analysis {
            rollout,
            application: params.get("application").cloned().unwrap_or_else(|| "ad-hoc".to_owned()),
            candidate: candidate.to_owned(),
            model: said("model"),
            step: said("step"),
            thresholds: thresholds.check()?,
            begun,
            until: stated.transpose()?.or(end).unwrap_or(begun),
        };
        self.check_baseline(&analysis.question()?, candidate, control)?;
        Ok(analysis)
    }

    fn rollout_of_configs(&self) -> Result<String, ErrorResponse> {
        let away = || ErrorResponse::new(StatusCode::SERVICE_UNAVAILABLE, "no pipeline runs here yet", "ask again");
        self.terms().map(|terms| terms.plan.policy.rollout.clone()).ok_or_else(away)
    }

    /// An answer about another comparison than the one asked for would mislead.
    fn check_baseline(&self, question: &VerdictQuery, candidate: &str, control: &str) -> Result<(), ErrorResponse> {
        let view = self.read();
        let judged = view.states().find(|state| question.means(state)).map(|state| state.baseline.clone());
        let planned = || self.terms().map(|terms| terms.plan.policy.baseline_version.clone());
        let baseline = judged.or_else(planned).unwrap_or_default();
        if control.is_empty() || control == baseline {
            return Ok(());
        }
        let error = format!("{candidate} is compared with {baseline} here, not with `{control}`");
        Err(bad(error, "name the baseline version as the control's scope, or leave it empty"))
    }
}

/// `GET /canaryConfig`: Argo looks its config up here by its name.
async fn configs(State(shared): State<Arc<Shared>>, Query(params): Params) -> Answer {
    let rollout = shared.rollout_of_configs()?;
    let applications: Vec<&String> = params.get("application").into_iter().collect();
    Ok(Json(json!([{
        "id": rollout, "name": rollout, "applications": applications,
        "updatedTimestamp": 0, "updatedTimestampIso": rfc3339(0),
    }])))
}

async fn canary(
    State(shared): State<Arc<Shared>>,
    Path(config): Path<String>,
    Query(params): Params,
    body: Bytes,
) -> Answer {
    begin_canary(&shared, &config, &params, read(&body)?)
}

async fn canary_with_config(State(shared): State<Arc<Shared>>, Query(params): Params, body: Bytes) -> Answer {
    let AdHoc { canary_config, execution_request } = read(&body)?;
    begin_canary(&shared, &canary_config.name, &params, execution_request)
}

fn begin_canary(shared: &Shared, config: &str, params: &BTreeMap<String, String>, request: CanaryRequest) -> Answer {
    let thresholds = request.thresholds;
    let analysis = shared.analysis((config, params), &request.scopes(), thresholds, None)?;
    Ok(Json(json!({ "canaryExecutionId": analysis.id()? })))
}

async fn standalone(
    State(shared): State<Arc<Shared>>,
    Path(config): Path<String>,
    Query(params): Params,
    body: Bytes,
) -> Answer {
    begin_standalone(&shared, &config, &params, read(&body)?)
}

async fn standalone_with_config(State(shared): State<Arc<Shared>>, Query(params): Params, body: Bytes) -> Answer {
    let AdHoc { canary_config, execution_request } = read(&body)?;
    begin_standalone(&shared, &canary_config.name, &params, execution_request)
}

fn begin_standalone(
    shared: &Shared,
    config: &str,
    params: &BTreeMap<String, String>,
    request: StandaloneRequest,
) -> Answer {
    let (thresholds, end) = (request.thresholds, request.end(wall_clock()));
    let scopes = request.scopes();
    if end.is_none() && scopes.iter().all(|one| one.end.is_none()) {
        return Err(bad("it does not say how long it lasts", "set lifetimeDurationMins, or endTimeIso of a scope"));
    }
    let analysis = shared.analysis((config, params), &scopes, thresholds, end)?;
    Ok(Json(json!({ "canaryAnalysisExecutionId": analysis.id()? })))
}

/// An analysis, what is said of its rollout, and when it ended, with its score.
type AnalysisNow = (Analysis, VerdictResponse, Option<(Micros, f64)>);

/// The analysis of an id as it stands.
fn look(shared: &Shared, id: &str) -> Result<AnalysisNow, ErrorResponse> {
    let gone = || ErrorResponse::new(StatusCode::NOT_FOUND, "no such analysis", "POST begins one, and says its id");
    let analysis = Analysis::of(id).ok_or_else(gone)?;
    let now = wall_clock();
    let Progress { answer, score } = analysis.progress(shared, now)?;
    let ended = now.min(analysis.until.max(analysis.begun));
    Ok((analysis, answer, score.map(|score| (ended, score))))
}

async fn canary_status(State(shared): State<Arc<Shared>>, Path(id): Path<String>) -> Answer {
    let (analysis, answer, end) = look(&shared, &id)?;
    let mut about = analysis.about(&id, end.map(|(ended, _)| ended));
    about["canaryExecutionId"] = json!(id);
    about["stageStatus"] = json!({ NAME: about["status"] });
    if let Some((ended, score)) = end {
        about["result"] = json!({
            "application": analysis.application, "canaryDuration": analysis.lasted(ended),
            "judgeResult": analysis.judge_result(score, &answer),
        });
    }
    Ok(Json(about))
}

async fn standalone_status(State(shared): State<Arc<Shared>>, Path(id): Path<String>) -> Answer {
    let (analysis, answer, end) = look(&shared, &id)?;
    let mut about = analysis.about(&id, end.map(|(ended, _)| ended));
    let status = about["status"].clone();
    about["executionStatus"] = json!(status.as_str().unwrap_or_default().to_uppercase());
    about["stageStatus"] = json!([{ "type": NAME, "name": NAME, "status": status }]);
    if let Some((ended, score)) = end {
        let passed = score >= analysis.thresholds.pass;
        let one = json!({
            "executionId": id, "executionStatus": "SUCCEEDED", "result": { "judgeResult": analysis.judge_result(score, &answer) },
            "judgementStartTimeIso": rfc3339(analysis.begun), "judgementEndTimeIso": rfc3339(ended),
        });
        about["canaryAnalysisExecutionResult"] = json!({
            "didPassThresholds": passed, "hasWarnings": !passed && score > 0.0, "canaryScoreMessage": answer.reason,
            "canaryScores": [score], "canaryExecutionResults": [one],
            "startTimeIso": rfc3339(analysis.begun), "endTimeIso": rfc3339(ended),
        });
    }
    Ok(Json(about))
}

/// `GET /credentials`: Spinnaker looks up of which kind an account is.
async fn credentials() -> Json<Value> {
    let types = ["METRICS_STORE", "OBJECT_STORE", "CONFIGURATION_STORE"];
    Json(json!([{ "name": NAME, "type": NAME, "supportedTypes": types }]))
}

/// `PUT /pipelines/{id}/cancel`: whoever asks no more is told no more.
async fn cancel() -> Json<Value> {
    Json(json!({}))
}

#[cfg(test)]
mod tests;
