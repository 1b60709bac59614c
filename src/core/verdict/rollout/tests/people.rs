//! What people can do, and what automation may do after them.

use super::*;
use crate::reason::ReasonCode;
use crate::verdict::decision::{Remark, Severity};

fn approval(quorum: u32) -> Bench {
    let mut plan = stages();
    plan.approval.quorum = quorum;
    plan.approval.deadline = 5 * MINUTE;
    let mut bench = Bench::new("APPROVAL", plan);
    bench.windows(3, &quiet());
    bench
}

fn asked(quorum: u32) -> (Bench, String) {
    let mut bench = approval(quorum);
    bench.window(&bad(Action::Rollback, true));
    let id = bench.last().id.clone();
    (bench, id)
}

#[test]
fn a_decision_waits_for_its_approval() {
    let (mut bench, id) = asked(1);
    let waiting = bench.last().clone();
    let terms = waiting.approval.clone().expect("terms");
    assert_eq!(
        (terms.required, terms.granted.len(), terms.deadline, terms.on_timeout),
        (1, 0, bench.now + 5 * MINUTE, Signal::Hold)
    );
    assert_eq!(bench.window(&quiet()), [], "nothing is asserted again before somebody may act");
    let approve = CommandKind::Approve { decision: id.clone() };
    assert_eq!(bench.command(approve.clone()), (Outcome::Accepted, vec![Signal::Rollback]));
    let granted = bench.last();
    assert_eq!((granted.causation.as_ref(), granted.authority.name()), (Some(&id), "AUTO"));
    assert_eq!(granted.approval.as_ref().map(|terms| terms.granted.clone()), Some(vec!["ana".to_owned()]));
    assert_eq!(granted.supersedes, [id]);
    assert_eq!(bench.command(approve).0, Outcome::Conflict, "it does not wait any more");
}

#[test]
fn two_people_are_two_people() {
    let (mut bench, id) = asked(2);
    let approve = CommandKind::Approve { decision: id };
    assert_eq!(bench.command_of("ana", approve.clone()), (Outcome::Pending, vec![]));
    assert_eq!(bench.command_of("ana", approve.clone()), (Outcome::Pending, vec![]));
    assert_eq!(bench.command_of("ben", approve), (Outcome::Accepted, vec![Signal::Rollback]));
}

#[test]
fn a_rejected_decision_is_undone_and_not_asked_for_again() {
    let (mut bench, id) = asked(1);
    assert_eq!(bench.command(CommandKind::Reject { decision: id }), (Outcome::Accepted, vec![Signal::Retract]));
    bench.is(State::Observing);
    assert_eq!((bench.state.cap_pct, bench.state.pending.is_none()), (None, true));
    assert_eq!(bench.windows(5, &bad(Action::Rollback, true)), [], "the same finding is overruled");
    let mut other = bad(Action::Hold, true);
    other.verdict.findings = vec![finding("latency", Action::Hold, true)];
    assert_eq!(bench.window(&other), [Signal::Hold], "another one is not");
}

#[test]
fn what_was_in_force_before_a_rejected_decision_is_again() {
    let mut bench = approval(1);
    bench.window(&bad(Action::Contain, true));
    let contain = CommandKind::Approve { decision: bench.last().id.clone() };
    assert_eq!(bench.command(contain), (Outcome::Accepted, vec![Signal::Contain]));
    let contained = bench.state.clone();
    assert_eq!(bench.window(&bad(Action::Rollback, true)), [Signal::Rollback]);
    let rollback = bench.last().id.clone();
    let reject = CommandKind::Reject { decision: rollback.clone() };
    assert_eq!(bench.command(reject), (Outcome::Accepted, vec![Signal::Retract]));
    assert_eq!(bench.last().supersedes, [rollback]);
    bench.is(State::Contained);
    let effect = |state: &RolloutState| state.effect.as_ref().map(|effect| effect.decision.clone());
    let holds = |state: &RolloutState| (state.in_force.clone(), state.cap_pct, effect(state));
    assert_eq!(holds(&bench.state), holds(&contained));
}

#[test]
fn a_rejected_resume_leaves_the_restriction_in_force() {
    let mut bench = approval(1);
    bench.window(&bad(Action::Contain, true));
    bench.command(CommandKind::Approve { decision: bench.last().id.clone() });
    let restriction = bench.state.in_force.clone();
    while bench.last().action != Signal::Resume {
        bench.window(&good());
    }
    let resume = bench.last().id.clone();
    bench.command(CommandKind::Reject { decision: resume.clone() });
    assert_eq!((bench.last().action, &bench.last().supersedes), (Signal::Retract, &vec![resume]));
    assert_eq!((&bench.state.in_force, bench.state.cap_pct), (&restriction, Some(5.0)));
}

#[test]
fn what_nobody_has_approved_is_not_what_was_before_the_next() {
    let waiting = || {
        let mut bench = approval(1);
        bench.window(&bad(Action::Contain, true));
        assert_eq!(bench.window(&bad(Action::Rollback, true)), [Signal::Rollback]);
        bench
    };
    let mut rejected = waiting();
    rejected.command(CommandKind::Reject { decision: rejected.last().id.clone() });
    rejected.is(State::Observing);
    assert_eq!((rejected.state.cap_pct, &rejected.state.in_force, &rejected.state.effect), (None, &Vec::new(), &None));
    let mut unanswered = waiting();
    assert_eq!(unanswered.windows(6, &bad(Action::Rollback, true)), [Signal::Hold], "nobody has approved a cap");
    assert_eq!((unanswered.state.cap_pct, unanswered.last().cap_pct), (None, None));
}

#[test]
fn nobody_answers_and_exposure_is_held() {
    let (mut bench, id) = asked(1);
    assert_eq!(bench.windows(5, &bad(Action::Rollback, true)), [Signal::Hold]);
    bench.is(State::Held);
    let hold = bench.last();
    assert_eq!((hold.severity, hold.causation.as_ref(), hold.authority.name()), (Severity::Fatal, Some(&id), "AUTO"));
    assert_eq!(bench.windows(20, &bad(Action::Rollback, true)), [], "people are not asked over and over");
}

#[test]
fn permissions_wait_too_and_change_nothing_before() {
    let mut bench = approval(1);
    bench.window(&bad(Action::Contain, true));
    let id = bench.last().id.clone();
    bench.command(CommandKind::Approve { decision: id });
    let lifted = bench.windows(4, &good());
    assert_eq!((lifted, bench.state.state, bench.state.cap_pct), (vec![Signal::Resume], State::Contained, Some(5.0)));
    let id = bench.last().id.clone();
    assert_eq!(bench.command(CommandKind::Approve { decision: id }), (Outcome::Accepted, vec![Signal::Resume]));
    assert_eq!((bench.state.state, bench.state.cap_pct), (State::Observing, Some(25.0)));
}

#[test]
fn a_promotion_that_is_turned_down_or_not_answered_is_held() {
    let promoted = || {
        let mut bench = approval(1);
        assert_eq!(bench.windows(2, &good()), [Signal::PromoteOk]);
        let id = bench.last().id.clone();
        (bench, id)
    };
    let (mut bench, id) = promoted();
    assert_eq!(bench.command(CommandKind::Reject { decision: id }).1, [Signal::Hold]);
    assert_eq!(bench.windows(30, &good()), [], "only a person lifts what a person has held");
    let (mut bench, _) = promoted();
    assert_eq!(bench.windows(5, &good()), [Signal::Hold]);
    bench.is(State::Held);
}

#[test]
fn a_hold_by_hand_is_lifted_by_hand() {
    let mut bench = Bench::observing();
    assert_eq!(bench.command(CommandKind::Hold), (Outcome::Accepted, vec![Signal::Hold]));
    assert_eq!(bench.last().reason.code, ReasonCode::Manual);
    assert_eq!(bench.windows(30, &good()), []);
    bench.is(State::Held);
    let resume = CommandKind::Resume { cap_pct: Some(5.0) };
    assert_eq!(bench.command(resume.clone()), (Outcome::Accepted, vec![Signal::Resume]));
    bench.is(State::Observing);
    assert_eq!(bench.command(resume).0, Outcome::Rejected, "there is nothing to lift");
}

#[test]
fn automation_holds_and_calls_people_but_does_not_undo_what_they_said() {
    for kind in [CommandKind::ForcePromote, CommandKind::Resume { cap_pct: Some(50.0) }] {
        let mut bench = Bench::observing();
        bench.window(&bad(Action::Contain, true));
        assert_eq!(bench.command(kind.clone()).0, Outcome::Accepted);
        assert_eq!(bench.windows(3, &bad(Action::Contain, true)), [], "what the person knew does not count");
        assert_eq!(bench.window(&bad(Action::Rollback, true)), [Signal::Hold], "worse news hold");
        assert_eq!(bench.last().severity, Severity::Fatal, "and call people");
        let mut hard = Bench::observing();
        hard.plan.policy.stages.hard_overrides_people = true;
        hard.window(&bad(Action::Contain, true));
        hard.command(kind);
        assert_eq!(hard.window(&bad(Action::Rollback, true)), [Signal::Rollback], "unless the policy says otherwise");
    }
}

#[test]
fn a_forced_promotion_does_not_lapse() {
    let mut bench = Bench::observing();
    bench.window(&bad(Action::Contain, true));
    assert_eq!(bench.command(CommandKind::ForcePromote), (Outcome::Accepted, vec![Signal::PromoteOk]));
    assert_eq!((bench.last().cap_pct, bench.state.cap_pct), (Some(100.0), None));
    assert_eq!(bench.windows(20, &quiet()), []);
    bench.is(State::Passed);
    bench.windows(4, &quiet().at(100.0));
    bench.is(State::Baking);
}

#[test]
fn a_forced_rollback_denies_the_version_until_the_denial_is_cleared() {
    let mut bench = Bench::observing();
    assert_eq!(bench.command(CommandKind::ForceRollback), (Outcome::Accepted, vec![Signal::Rollback]));
    assert_eq!(bench.last().denied_versions, ["v2"]);
    bench.window(&quiet().at(0.0));
    bench.is(State::RolledBack);
    assert_eq!(bench.command(CommandKind::Resume { cap_pct: None }).0, Outcome::Rejected);
    assert_eq!(bench.command(CommandKind::ClearDenial), (Outcome::Accepted, vec![Signal::Retract]));
    assert!(bench.last().denied_versions.is_empty());
    assert_eq!((bench.state.state, bench.state.cap_pct), (State::Registered, None));
}

#[test]
fn nothing_is_carried_out_in_a_freeze_and_what_stands_is_said_again_after_it() {
    let mut bench = Bench::observing();
    let until = bench.now + 10 * MINUTE;
    assert_eq!(bench.command(CommandKind::Freeze { until }), (Outcome::Accepted, vec![Signal::Freeze]));
    assert_eq!(bench.windows(3, &good()), [], "no permission");
    assert_eq!(bench.window(&bad(Action::Contain, true)), [Signal::Contain]);
    assert_eq!((bench.last().authority.name(), bench.state.people.unissued), ("FROZEN", true));
    let frozen = bench.last().id.clone();
    assert_eq!(bench.windows(5, &quiet()), [], "nothing is asserted");
    assert_eq!(bench.window(&quiet()), [Signal::Unfreeze, Signal::Contain]);
    let again = bench.last();
    assert_eq!((again.authority.name(), again.causation.as_ref(), again.cap_pct), ("AUTO", Some(&frozen), Some(5.0)));
    assert_eq!(bench.command(CommandKind::Unfreeze).0, Outcome::Rejected, "it is over");
}

#[test]
fn muted_findings_are_shown_and_do_not_act() {
    let mut bench = Bench::observing();
    let until = bench.now + 3 * MINUTE;
    let mute = CommandKind::Mute { metric: "errors".into(), column: None, segment: None, until };
    assert_eq!(bench.command(mute), (Outcome::Accepted, vec![]));
    assert_eq!(bench.window(&bad(Action::Rollback, true)), []);
    let mut both = bad(Action::Rollback, true);
    both.verdict.findings.push(finding("latency", Action::Hold, true));
    assert_eq!(bench.window(&both), [Signal::Hold]);
    let flags: Vec<_> = bench.last().evidence.iter().map(|one| (one.rule.as_str(), one.flags.clone())).collect();
    assert_eq!(flags, [("latency", vec![]), ("errors", vec![Remark::Muted.into()])]);
    assert_eq!(bench.window(&bad(Action::Rollback, true)), [Signal::Rollback], "until the mute is over");
}

#[test]
fn a_bake_can_be_extended() {
    let mut bench = Bench::observing();
    bench.windows(4, &quiet().at(100.0));
    bench.is(State::Baking);
    let until = bench.now + 12 * MINUTE;
    bench.command(CommandKind::ExtendBake { until });
    assert_eq!(bench.windows(11, &good().at(100.0)), []);
    assert_eq!(bench.window(&good().at(100.0)), [Signal::Observe]);
}

#[test]
fn a_rollback_goes_to_the_version_that_was_named_last() {
    let mut bench = Bench::observing();
    assert_eq!(bench.command(CommandKind::SetBaseline { version: "v2".into() }).0, Outcome::Rejected);
    assert_eq!(bench.command(CommandKind::SetBaseline { version: "v0".into() }).0, Outcome::Accepted);
    bench.window(&bad(Action::Rollback, true));
    assert_eq!(bench.last().baseline, "v0");
}

#[test]
fn a_command_is_carried_out_once_in_time_and_in_the_state_it_was_meant_for() {
    let mut bench = Bench::observing();
    let command = Command {
        id: "one".into(),
        at: bench.now,
        rollout: "toy".into(),
        model: "m".into(),
        candidate: "v2".into(),
        kind: CommandKind::Hold,
        actor: "ana".into(),
        reason: "maintenance".into(),
        ticket: Some("CHG-1".into()),
        if_sequence: Some(1),
        expires_at: None,
    };
    assert_eq!(bench.obey(&command).0, Outcome::Conflict);
    let late = Command { id: "two".into(), if_sequence: None, expires_at: Some(bench.now - 1), ..command.clone() };
    assert_eq!(bench.obey(&late).0, Outcome::Expired);
    let good = Command { id: "three".into(), if_sequence: Some(0), ..command };
    assert_eq!(bench.obey(&good), (Outcome::Accepted, vec![Signal::Hold]));
    let hold = bench.last();
    assert_eq!(hold.reason.text, "ana asked for it: maintenance (CHG-1)");
    assert_eq!((hold.causation.as_deref(), hold.authority.name()), (Some("three"), "AUTO"));
    let before = bench.state.clone();
    assert_eq!(bench.obey(&good), (Outcome::Duplicate, vec![]));
    assert_eq!(bench.state, before);
}

#[test]
fn ids_of_commands_and_mutes_are_remembered_up_to_a_bound() {
    let mut bench = Bench::observing();
    for _ in 0..200 {
        let until = bench.now + MINUTE;
        bench.command(CommandKind::Mute { metric: "psi".into(), column: None, segment: None, until });
    }
    assert_eq!((bench.state.people.commands.len(), bench.state.people.mutes.len()), (64, 32));
}
