//! What guards a rollout, in words: what acts on which evidence, how often it may err, how soon it sees something, and
//! what cannot be tested at all.

use crate::cli::power::forecast::{Forecast, Odds, forecast};
use crate::cli::power::{assumed_design_effect, load, percent};
use crate::event::Micros;
use crate::output::count;
use crate::output::text::number;
use crate::plan::{Achievement, GuardPlan, Plan, QualityPlan, Role, SloPlan, SourcePlan, Success, Task, WindowKind};
use crate::verdict::power::{Regression, Rehearsal};

use super::span;

/// Rollouts behind each forecast.
const RUNS: u32 = 20;
/// What is forecast: how many answers of the baseline version fail, and the spread of latencies' logarithms.
const ERROR_RATE: f64 = 0.01;
const SPREAD: f64 = 0.5;

/// What is done on which evidence.
pub(super) fn guards(plan: &Plan) -> Vec<String> {
    let Some(guard) = &plan.policy.guards else { return Vec::new() };
    let version = &plan.policy.baseline_version;
    let margins = margins(plan, guard);
    let mut lines = Vec::new();
    if !margins.is_empty() {
        lines.push(format!("roll back when, compared with {version}, {}", margins.join(", or ")));
        lines.push(format!(
            "let pass when all of this is shown not to be so, with a chance of {} to be wrong",
            percent(guard.beta)
        ));
    }
    lines.extend(guard.success.iter().map(|success| success_in_words(*success, version)));
    lines.push(format!(
        "contain to {} % when anything else that can be tested has changed, and hold at a tenth of that evidence: {}",
        guard.contain_to_pct,
        looked_at(plan, guard).join(", ")
    ));
    lines.extend(limits(&guard.slo));
    if plan.reference.is_some() {
        lines.push(format!("drift: a column or score is further from the reference than a PSI of {}", guard.drift));
        lines.extend(never_drift(plan, guard));
    }
    if !plan.segments.is_empty() {
        lines.push(format!("the {} busiest segments are watched one by one", guard.segments_max));
    }
    lines
}

/// Columns that are not held against the reference.
fn never_drift(plan: &Plan, guard: &GuardPlan) -> Option<String> {
    let columns = &plan.columns;
    let numeric = columns.numeric.iter().map(|column| column.name.as_str());
    let names = numeric.chain(columns.categorical.iter().map(|column| column.name.as_str()));
    let excepted = |name: &&str| guard.drift_except.iter().any(|one| one == name);
    let why = |name: &str| match (excepted(&name), plan.time.is_within_a_cycle(name)) {
        (true, _) => Some(format!("{name} (`drift_except`)")),
        (false, true) => Some(format!("{name} (it tells the time, and a window holds no whole cycle)")),
        _ => None,
    };
    let left_out: Vec<String> = names.filter_map(why).collect();
    (!left_out.is_empty()).then(|| format!("never drift: {}", left_out.join(", ")))
}

fn margins(plan: &Plan, guard: &GuardPlan) -> Vec<String> {
    let mut margins = Vec::new();
    if tells_failures(plan) {
        let GuardPlan { errors, negligible, .. } = guard;
        margins.push(format!(
            "it fails more than {errors} times as often and in more than {} of answers",
            percent(*negligible)
        ));
    }
    if plan.columns.index_of(Role::Latency).is_some() {
        margins.push(format!(
            "it is slower by more than {} at its median, 90th or 99th percentile",
            percent(guard.latency)
        ));
    }
    if let Some(quality) = &plan.quality {
        let on_top = percent(guard.loss - 1.0);
        margins.push(format!("its {} is larger by more than {on_top}, once labels are in", loss(quality)));
    }
    margins
}

fn success_in_words(success: Success, version: &str) -> String {
    let shown = match (success.achievement, success.margin) {
        (Achievement::BaseRate, None) => format!("have more positive outcomes than {version}"),
        (Achievement::BaseRate, Some(margin)) => format!("have at least 1/{margin} of {version}'s positive outcomes"),
        (Achievement::Accuracy, None) => format!("give fewer wrong answers than {version}"),
        (Achievement::Accuracy, Some(margin)) => {
            format!("give at most {margin} times as many wrong answers as {version}")
        }
    };
    format!("let pass only when it is shown to {shown}, too")
}

fn loss(quality: &QualityPlan) -> &'static str {
    if quality.task == Task::Regression { "mean absolute error" } else { "Brier score" }
}

fn looked_at(plan: &Plan, guard: &GuardPlan) -> Vec<String> {
    let some = |n: usize, what: &str| (n > 0).then(|| format!("{n} {what}"));
    let features = plan.columns.numeric.iter().filter(|column| column.role == Role::Feature).count();
    let answers = plan.columns.index_of(Role::Score).map(|_| format!("answers (beyond a PSI of {})", guard.answers));
    let errors = tells_failures(plan).then(|| "errors".to_owned());
    let latency = plan.columns.index_of(Role::Latency).map(|_| "latency".to_owned());
    let columns = [some(features, "numeric features"), some(plan.columns.categorical.len(), "categorical features")];
    let calibration = plan.quality.as_ref().filter(|quality| quality.has_scores()).map(|_| "calibration".to_owned());
    [errors, latency, answers].into_iter().chain(columns).chain([calibration]).flatten().collect()
}

fn limits(slo: &SloPlan) -> Vec<String> {
    let share = |limit: Option<f64>, what: &str| limit.map(|limit| format!("more than {} {what}", percent(limit)));
    let latency = slo.latency_ms.map(|ms| {
        let slower = percent(1.0 - slo.latency_quantile);
        format!("more than {slower} of its answers take longer than {ms} ms")
    });
    let limits = [
        share(slo.error_rate, "of its answers fail"),
        share(slo.rejected_rate, "of requests to it are refused"),
        share(slo.missing_rate, "of its answers have no score"),
        latency,
    ];
    limits.into_iter().flatten().map(|limit| format!("roll back at once when {limit}, whatever others do")).collect()
}

/// The budget of mistakes.
pub(super) fn ledger(plan: &Plan) -> Vec<String> {
    let Some(guard) = &plan.policy.guards else { return Vec::new() };
    let alpha = percent(guard.alpha);
    let mut lines = vec![
        format!(
            "{alpha} chance that a candidate within its margins is ever rolled back, however often it is looked at"
        ),
        format!(
            "{alpha} chance that one which is like the baseline is contained within {}",
            planned(plan, guard.planned)
        ),
        format!("{} chance that one which is worse than a margin passes", percent(guard.beta)),
    ];
    if !limits(&guard.slo).is_empty() {
        lines.push(format!(
            "{} chance per limit that one which keeps it is rolled back for it",
            percent(guard.slo.alpha)
        ));
    }
    if guard.final_look {
        let (end, kept) = (planned(plan, guard.planned), number(guard.alpha_last() * 100.0));
        lines.push(format!(
            "of the {alpha} for a rollback and for a containment, {kept} % each are kept for one last look after {end}"
        ));
    }
    lines.push(format!("{} windows at least must speak before evidence acts", guard.windows_min));
    lines
}

fn planned(plan: &Plan, windows: u32) -> String {
    let time = lasting(plan, windows).map_or_else(String::new, |time| format!(" ({time})"));
    format!("{windows} windows{time}")
}

/// How long so many windows take, where windows have a length.
fn lasting(plan: &Plan, windows: u32) -> Option<String> {
    match plan.time.window {
        WindowKind::Sliding { slide, .. } => Some(span(Micros::from(windows) * slide)),
        WindowKind::AtLeast { .. } => None,
    }
}

/// What cannot be tested, and why.
pub(super) fn blind_spots(plan: &Plan) -> Vec<String> {
    let Some(guard) = &plan.policy.guards else {
        let why =
            if plan.policy.baseline_version.is_empty() { "no `rollout` names a version" } else { "`guards: off`" };
        return vec![format!("any difference between versions, with a guarantee: {why}")];
    };
    let lacks = |lacking: bool, what: &str| lacking.then(|| what.to_owned());
    let any = |has: fn(&SourcePlan) -> bool| plan.sources.iter().any(has);
    let entity = any(|source| source.mapping.entity.is_some());
    let spots = [
        lacks(!tells_failures(plan), "errors: no source has `status` or `error`"),
        lacks(plan.columns.index_of(Role::Latency).is_none(), "latency: no source has `latency`"),
        lacks(plan.columns.index_of(Role::Score).is_none(), "answers: no source has `score`"),
        lacks(plan.quality.is_none(), "calibration and loss: there are no labels"),
        lacks(
            plan.quality.as_ref().is_some_and(|quality| !quality.has_scores()),
            "calibration and loss: predictions have classes, but no scores",
        ),
        lacks(plan.reference.is_none(), "drift since training, and of all versions together: there is no `reference`"),
        lacks(
            !any(|source| source.mapping.exposure.is_some()),
            "whether traffic is split as intended: there is no source `exposures`",
        ),
        (!entity).then(|| {
            format!(
                "how alike requests of one user are: no source has `entity`; a design effect of {} is assumed",
                guard.design_effect
            )
        }),
    ];
    spots.into_iter().flatten().collect()
}

fn tells_failures(plan: &Plan) -> bool {
    plan.sources.iter().any(|source| source.mapping.status.is_some() || source.mapping.failed.is_some())
}

/// How soon typical regressions would be seen at some traffic, by rehearsed rollouts.
pub(super) fn forecasts(plan: &Plan, rate: u64, share: f64) -> Vec<String> {
    let Some(guard) = &plan.policy.guards else { return Vec::new() };
    let Some(rehearsal) = Rehearsal::new(plan, assumed_design_effect(plan, guard)) else { return Vec::new() };
    let load = load(rate, share);
    if load.candidate == 0 || load.baseline == 0 {
        return Vec::new();
    }
    let mut asked = Vec::new();
    if tells_failures(plan) {
        let wrong = Regression::Errors { rate: ERROR_RATE, ratio: 2.0 };
        asked.push((format!("errors double from {}", percent(ERROR_RATE)), wrong, true));
    }
    if plan.columns.index_of(Role::Latency).is_some() {
        asked.push((
            "answers take half as long again".to_owned(),
            Regression::Latency { spread: SPREAD, ratio: 1.5 },
            true,
        ));
    }
    if let Some((column, name)) = rehearsal.feature() {
        let wrong = Regression::Shift { column, deviations: 0.25 };
        asked.push((format!("{name} is off by a quarter of its standard deviation"), wrong, false));
    }
    let line = |(what, wrong, rolls_back): (String, Regression, bool)| {
        let Forecast { contain, rollback } = forecast(&rehearsal, load, wrong, guard.planned, RUNS);
        let contained = format!("contained {}", soon(plan, &contain));
        let rolled_back = if rolls_back { format!(", rolled back {}", soon(plan, &rollback)) } else { String::new() };
        format!("{what}: {contained}{rolled_back}")
    };
    let head = format!(
        "with {} answers of the candidate and {} of the baseline a window:",
        count(load.candidate),
        count(load.baseline)
    );
    std::iter::once(head).chain(asked.into_iter().map(line)).collect()
}

fn soon(plan: &Plan, odds: &Odds) -> String {
    match odds.median() {
        Some(windows) => {
            let time = lasting(plan, windows).map_or_else(String::new, |time| format!(" ({time})"));
            format!("after {windows} windows{time}")
        }
        None if odds.chance() > 0.0 => format!("in {} of rollouts only", percent(odds.chance())),
        None => "never, or hardly ever".to_owned(),
    }
}
