//! What guards a rollout, in words: what acts on which evidence, how often it may err, how soon it sees something, and
//! what cannot be tested at all.

use crate::cli::power::forecast::{Forecast, Odds, forecast};
use crate::cli::power::{assumed_design_effect, load};
use crate::event::Micros;
use crate::output::count;
use crate::output::text::number;
use crate::plan::{ColumnRole, Plan, WindowKind};
use crate::verdict::power::{Regression, Rehearsal};
use crate::verdict::words::{self, percent, tells_failures};

use super::span;

/// Rollouts behind each forecast.
const RUNS: u32 = 20;
/// What is forecast: how many answers of the baseline version fail, and the spread of latencies' logarithms.
const ERROR_RATE: f64 = 0.01;
const SPREAD: f64 = 0.5;

/// What is done on which evidence.
pub(super) fn guards(plan: &Plan) -> Vec<String> {
    plan.policy.guards.as_ref().map(|guard| words::guards(plan, guard)).unwrap_or_default()
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
    if guard.slo.has_limits() {
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
    words::blind_spots(plan, guard)
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
    if plan.columns.index_of(ColumnRole::Latency).is_some() {
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
