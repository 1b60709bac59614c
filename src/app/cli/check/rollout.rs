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

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use super::*;
    use crate::config;

    fn plan(more: &str) -> Arc<Plan> {
        let text = format!(
            "sources: {{ predictions: {{ topic: p, id: id, version: v, event_time: t, score: s }} }}\n{more}\n"
        );
        config::parse(&text, "p.yaml", Path::new("")).unwrap_or_else(|error| panic!("{error}")).plan
    }

    fn rollout(keys: &str) -> Arc<Plan> {
        plan(&format!("rollout: {{ baseline: v1, name: r{keys} }}"))
    }

    #[test]
    fn nothing_is_said_of_a_rollout_that_there_is_not() {
        for more in ["", "rollout: { baseline: v1 }\nguards: off"] {
            let plan = plan(more);
            assert_eq!((course(&plan), acts(&plan)), (Vec::<String>::new(), Vec::<String>::new()), "{more}");
        }
    }

    #[test]
    fn steps_and_waiting_times_are_those_of_the_plan() {
        let said = course(&rollout(
            ", ladder: [7%, 50%, 100%], dwell_windows: 5, dwell_final_windows: 9, confirm_windows: 4, \
                                    warmup_windows: 6, clear_windows: 8, flap_budget: 2, blind_windows: 11, horizon_windows: 77",
        ));
        let told = said.join("\n");
        for part in [
            "by steps of 7, 50, 100 %, each after 5 windows at the one before, the last after 9",
            "when it stands for 4 windows after a warm-up of 6",
            "lifted after 5 windows and 8 clean ones in a row, 2 times at most",
            "after 11 windows exposure is held",
            "ends after 77 windows without traffic",
        ] {
            assert!(told.contains(part), "{part}\n--- in\n{told}");
        }
        let rules = "rollout: { baseline: v1 }\nguards: off\n\
                     policy: [{ name: e, metric: error_rate, above: 0.1, action: hold }]";
        assert!(!course(&plan(rules)).join("\n").contains("by steps"), "rules let nothing rise");
    }

    #[test]
    fn who_may_act_is_said_in_general_and_by_kind() {
        let said = |keys: &str| acts(&rollout(keys)).join("\n");
        assert!(said("").starts_with("decisions of rollout r are advice: nobody carries them out by itself\n"));
        assert!(!said("").contains("approved by"));
        let mixed =
            said(", authority: auto, authority_of: { promote_ok: approval }, approval: { quorum: 2, deadline: 2h }");
        assert!(
            mixed.starts_with("decisions of rollout r may be carried out by a machine\npromote_ok wait for"),
            "{mixed}"
        );
        assert!(mixed.contains("approved by 2 people within 2 h; else exposure is held"), "{mixed}");
        assert!(said(", authority: approval").contains("approved by one person within 4 h"));
        let leased = said(", lease: 5m, permit_windows: 2");
        assert!(leased.contains("decisions are leases of 5 min"), "{leased}");
        assert!(leased.contains("ended more than 630 s ago"), "two windows of 5 minutes, and the lateness: {leased}");
    }
}
