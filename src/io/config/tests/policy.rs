//! What rules, guards and rollouts mean, and how their errors read.

use super::*;

/// Checks one problem of a rule; the rollout is there.
fn check_rule(rule: &str, message: &str, help: &str) {
    check(&format!("rollout: {{ baseline: v1 }}\npolicy:\n  - {{ name: r, {rule} }}\n"), message, help);
}

#[test]
fn rules_must_make_sense() {
    let two = "rollout: { baseline: v1 }\npolicy:\n  - &r { name: r, metric: error_rate, above: 0.1, action: warn }\n  - *r\n";
    check(two, ": two rules are called `r`", "decisions name their rule; give each its own name");
    check_rule(
        "metric: error_rat, above: 1, action: warn",
        ": there is no metric `error_rat`",
        "did you mean `error_rate`?",
    );
    check_rule("metric: error_rate, action: warn", ": rule `r` has no bound", "add `above: NUMBER` or `below: NUMBER`");
    check_rule(
        "metric: error_rate, above: 1, below: 0, action: warn",
        ": a rule has one bound",
        "keep `above` or `below`; write two rules for both",
    );
    check_rule(
        "metric: error_rate, above: 1, action: contain",
        ": `contain` needs a cap",
        "add the share the version may keep: `cap: 5%`",
    );
    check_rule(
        "metric: error_rate, above: 1, action: hold, cap: 5%",
        ": `cap` has no effect with action hold",
        "drop it, or write `action: contain`",
    );
    check_rule(
        "metric: error_rate, above: 1, action: observe",
        ": a rule that only observes does nothing",
        "write warn, hold, contain or rollback",
    );
    check_rule(
        "metric: error_rate, above: 1, action: warn, breaches: 3, of: 2",
        ": 3 breaches of 2 windows cannot be",
        "make `breaches` 1 to `of`, and `of` at most 1000",
    );
    check_rule(
        "metric: psi, columns: [scor], above: 1, action: warn",
        ": metric `psi` cannot read a column `scor`",
        "did you mean `score`?",
    );
    check_rule(
        "metric: error_rate, columns: [score], above: 1, action: warn",
        ": metric `error_rate` cannot read a column `score`",
        "this metric looks at whole versions; drop `columns`",
    );
    check_rule(
        "metric: psi, baseline: previous, above: 1, action: warn",
        ": nothing is compared with `previous`",
        "add it to `baselines`, which now holds: concurrent",
    );
    check_rule(
        "metric: error_rate, baseline: concurrent, above: 1, action: warn",
        ": metric `error_rate` has no baseline of its own",
        "to compare versions write `against: difference` or `against: ratio`",
    );
    check_rule(
        "metric: psi, against: ratio, above: 1, action: warn",
        ": metric `psi` already compares with its baseline",
        "drop `against`",
    );
    check_rule(
        "metric: error_rate, segments: true, above: 1, action: warn",
        ": there are no segments to watch",
        "name segment fields in the source: `segments: { name: path }`",
    );
    check(
        "policy: [{ name: r, metric: error_rate, against: difference, above: 1, action: rollback }]\n",
        ": `rollback` needs a version to go back to",
        "add `rollout: { baseline: VERSION }`",
    );
    check(
        "policy: [{ name: r, metric: error_rate, against: difference, above: 1, action: warn }]\n",
        ": a difference needs a version to compare with",
        "add `rollout: { baseline: VERSION }`",
    );
}

#[test]
fn a_rollout_is_guarded_unless_the_file_says_otherwise() {
    let guards = |more: &str| load(&with(&format!("{more}rollout: {{ baseline: v1 }}\n"))).plan.policy.guards.clone();
    assert_eq!(guards(""), Some(GuardPlan::default()));
    assert_eq!(guards("guards: {}\n"), Some(GuardPlan::default()));
    assert_eq!(guards("guards: { errors: 20%, latency: 1.1, loss: 1.05 }\n"), Some(GuardPlan::default()));
    assert_eq!(guards("guards: off\n"), None);
    assert_eq!(load(SMALL).plan.policy.guards, None);
    let chosen = guards(
        "guards: { alpha: 0.1%, beta: 0.1, planned_windows: 48, min_windows: 1, min_n: 50, design_effect: 1.5, \
         contain_to: 2%, errors: 1.5, latency: 25%, loss: +10%, negligible: 0.2%, answers: 0.2, drift: 0.25, \
         drift_except: [score], \
         segments_max: 4, final_look: true, slo: { error_rate: 2%, latency: 250ms, latency_quantile: 95%, min_n: 10 } }\n",
    );
    let expected = GuardPlan {
        alpha: 0.001,
        beta: 0.1,
        planned: 48,
        windows_min: 1,
        n_min: 50,
        design_effect: 1.5,
        contain_to_pct: 2.0,
        errors: 1.5,
        latency: 0.25,
        loss: 1.1,
        negligible: 0.002,
        answers: 0.2,
        drift: 0.25,
        drift_except: vec!["score".to_owned()],
        segments_max: 4,
        final_look: true,
        slo: SloPlan {
            error_rate: Some(0.02),
            latency_ms: Some(250.0),
            latency_quantile: 0.95,
            n_min: 10,
            ..SloPlan::default()
        },
        success: Vec::new(),
        fairness: Vec::new(),
        classes: None,
        measures: Vec::new(),
    };
    assert_eq!(chosen, Some(expected));
}

#[test]
fn success_is_better_or_within_a_margin_and_needs_labels() {
    let labels = "  outcomes: { topic: o, id: id, label: y }\nrollout: { baseline: v1 }\n";
    let success = "guards: { success: [{ metric: base_rate }, { metric: accuracy, margin: 5% }] }\n";
    let guards = load(&with(&format!("{labels}{success}"))).plan.policy.guards.clone().expect("guards");
    let expected = [(Achievement::BaseRate, None), (Achievement::Accuracy, Some(1.05))];
    assert_eq!(guards.success, expected.map(|(achievement, margin)| Success { achievement, margin }));
    check(
        "rollout: { baseline: v1 }\nguards: { success: [{ metric: accuracy }] }\n",
        ": `accuracy` cannot be shown here",
        "it needs labels of a classification task; add that, or drop it from `success`",
    );
}

#[test]
fn groups_are_compared_by_rates_that_there_are() {
    let rollout = "rollout: { baseline: v1 }\n";
    let segments = "    segments: { sex: user.sex }\n";
    let fairness = "guards: { fairness: [{ segment: sex, metric: positive_rate }, { segment: sex, metric: error_rate, \
                    margin: 5% }] }\n";
    let guards = load(&with(&format!("{segments}{rollout}{fairness}"))).plan.policy.guards.clone().expect("guards");
    let expected = [(GroupRate::PositiveRate, 0.02), (GroupRate::ErrorRate, 0.05)];
    let expected = expected.map(|(rate, margin)| Fairness { segment: "sex".to_owned(), rate, margin });
    assert_eq!(guards.fairness, expected);
    let check = |fairness: &str, message: &str, help: &str| {
        check(&format!("{segments}{rollout}guards: {{ fairness: [{fairness}] }}\n"), message, help);
    };
    check(
        "{ segment: age, metric: error_rate }",
        ": `age` is no segment of this pipeline",
        "name its field under `segments` of `predictions`, such as segments: { sex: user.sex }",
    );
    check(
        "{ segment: sex, metric: recall }",
        ": groups cannot be compared by `recall` here",
        "it needs labels of a binary task; add that, or drop it from `fairness`",
    );
    check(
        "{ segment: sex, metric: error_rate }, { segment: sex, metric: error_rate, margin: 5% }",
        ": groups of `sex` are compared by `error_rate` twice",
        "drop one of the two",
    );
}

#[test]
fn guards_must_make_sense() {
    let check = |keys: &str, message: &str, help: &str| {
        check(&format!("rollout: {{ baseline: v1 }}\nguards: {{ {keys} }}\n"), message, help);
    };
    check("alpha: 0%", ": `alpha` is 0", "write a chance above 0 and below 50%, such as 1%");
    check("beta: 0.5", ": `beta` is 0.5", "write a chance above 0 and below 50%, such as 1%");
    check("planned_windows: 0", ": `planned_windows` is 0", "write a number from 1 to 1000000");
    check(
        "contain_to: 100%",
        ": `contain_to` leaves the candidate all traffic",
        "write the share that it may keep, such as 5%",
    );
    check(
        "drift_except: [height]",
        ": `height` is no column of this pipeline",
        "write the name of a feature or of the score, or drop it from `drift_except`",
    );
    check("answers: 0", ": `answers` is 0", "write a population stability index above 0, such as 0.1");
    check(
        "design_effect: 0.5",
        ": `design_effect` is 0.5",
        "write 1 when every request is independent, more when one entity asks often",
    );
    check(
        "slo: { latency_quantile: 95% }",
        ": `latency_quantile` is the share of answers that must be faster than `latency`",
        "write both, such as `latency: 250ms` and `latency_quantile: 99%`",
    );
    check_error(
        &with("guards: { errors: 0.2 }\nrollout: { baseline: v1 }\n"),
        "
p.yaml:8:19: `0.2` is not a margin; write how much worse is tolerated: a ratio such as 1.2, or percent such as 20%
  |
8 | guards: { errors: 0.2 }
  |                   ^^^",
    );
    super::tests::check(
        "guards: {}\n",
        ": `guards` compare a candidate with a version, and none is named",
        "add `rollout: { baseline: VERSION }`, or drop `guards`",
    );
}

#[test]
fn a_rollout_proceeds_by_default_and_as_the_file_says() {
    let stages = |keys: &str| load(&with(&format!("rollout: {{ baseline: v1{keys} }}\n"))).plan.policy.stages.clone();
    assert_eq!(stages(""), RolloutPlan::default());
    assert_eq!(stages(", ladder: [1%, 5%, 0.25, 50%, 1]"), RolloutPlan::default());
    let chosen = stages(
        ", ladder: [7%, 100%], dwell_windows: 2, acks: true, lease: 5m, share_tolerance: 2%, \
         authority_of: { rollback: auto, promote_ok: approval }, approval: { quorum: 2, deadline: 1h }",
    );
    let expected = RolloutPlan {
        ladder: vec![7.0, 100.0],
        dwell_windows: 2,
        acks: true,
        lease_s: 300,
        share_epsilon_pct: 2.0,
        authority: vec![(Signal::Rollback, Authority::Auto), (Signal::PromoteOk, Authority::Approval)],
        approval: ApprovalPlan { quorum: 2, deadline: 3600 * SECOND },
        ..RolloutPlan::default()
    };
    assert_eq!(chosen, expected);
    let wrong = |keys: &str, message: &str, help: &str| {
        check(&format!("rollout: {{ baseline: v1, {keys} }}\n"), message, help);
    };
    let steps = "write steps such as [1%, 5%, 25%, 50%, 100%]";
    for ladder in ["[]", "[50%]", "[5%, 5%, 100%]", "[0%, 100%]"] {
        wrong(&format!("ladder: {ladder}"), ": `ladder` must rise from above zero to 100%", steps);
    }
    wrong("approval: { quorum: 0 }", ": `quorum` is 0", "write how many people must approve, from 1 to 100");
    wrong("approval: { deadline: 0s }", ": `deadline` is zero", "write how long people may take, such as 4h");
    wrong(
        "name: '@alive'",
        ": the rollout is called `@alive`",
        "names that begin with @ are haldane's own; write another `name` here",
    );
    wrong("dwell_windows: 9999999", ": `dwell_windows` is 9999999", "write a number of at most 1000000");
    wrong(
        "lease: 9s",
        ": `lease` 9s is too short for a sign of life to renew it",
        "write a duration of at least 10s, such as 15m",
    );
}
