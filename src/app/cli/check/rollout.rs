//! How a rollout proceeds, and who may act, in words.

use crate::event::SECOND;
use crate::plan::{Authority, ENDED_KEPT, Plan, Signal};
use crate::verdict::Liveness;

use super::{list, span};

/// Whether anything is decided at all.
fn decides(plan: &Plan) -> bool {
    !plan.policy.rules.is_empty() || plan.policy.guards.is_some()
}

/// Steps and waiting times.
pub(super) fn course(plan: &Plan) -> Vec<String> {
    let stages = &plan.policy.stages;
    if plan.policy.baseline_version.is_empty() || !decides(plan) {
        return Vec::new();
    }
    let mut lines = Vec::new();
    if plan.policy.guards.is_some() {
        lines.push(format!(
            "exposure may rise by steps of {} %, each after {} windows at the one before, the last after {}",
            list(stages.ladder.iter().map(f64::to_string)),
            stages.dwell_windows,
            stages.dwell_final_windows
        ));
    }
    lines.push(format!(
        "restricted at once by hard evidence, else when it stands for {} windows after a warm-up of {}",
        stages.confirm_windows, stages.warmup_windows
    ));
    lines.push(format!(
        "lifted after {} windows and {} clean ones in a row, {} times at most; then by a person",
        stages.dwell_windows, stages.clear_windows, stages.flap_budget
    ));
    lines.push(format!("without data nothing rises, and after {} windows exposure is held", stages.blind_windows));
    lines.push(format!(
        "a candidate that was replaced or rolled back ends after {} windows without traffic; its record goes after {}, and that its \
         version is denied stays",
        stages.horizon_windows,
        span(ENDED_KEPT)
    ));
    lines
}

/// Who may act on decisions, in general and by kind.
pub(super) fn acts(plan: &Plan) -> Vec<String> {
    let policy = &plan.policy;
    if !decides(plan) {
        return Vec::new();
    }
    let stages = &policy.stages;
    let general = policy.authority;
    let but = |&(signal, authority): &(Signal, Authority)| format!("{} {}", signal.name(), whose(authority));
    let mut lines = vec![format!("decisions of rollout {} {}", policy.rollout, whose(general))];
    lines.extend(stages.authority.iter().map(but));
    let asked = general == Authority::Approval || stages.authority.iter().any(|(_, who)| *who == Authority::Approval);
    if asked {
        let people = if stages.approval.quorum == 1 {
            "one person".to_owned()
        } else {
            format!("{} people", stages.approval.quorum)
        };
        lines.push(format!(
            "approved by {people} within {}; else exposure is held as it is",
            span(stages.approval.deadline)
        ));
    }
    let lease = span(i64::try_from(stages.lease_s).unwrap_or(i64::MAX / SECOND) * SECOND);
    let every = span(Liveness::every(stages.lease_s));
    lines.push(format!(
        "decisions are leases of {lease}, renewed by signs of life every {every}; without any, exposure stays where it is"
    ));
    let permit = plan.time.every().saturating_mul(stages.permit_windows.into()).saturating_add(plan.time.lateness);
    lines.push(format!("nothing passes when the newest judged window ended more than {} ago", span(permit)));
    lines
}

fn whose(authority: Authority) -> &'static str {
    match authority {
        Authority::Auto => "may be carried out by a machine",
        Authority::Approval => "wait for a person's approval",
        Authority::Advisory => "are advice: nobody carries them out by itself",
        Authority::Frozen => "wait for the end of a freeze",
    }
}
