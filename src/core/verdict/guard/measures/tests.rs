//! Two versions and one measure, window by window.

use super::*;
use crate::sim::Rng;
use crate::summary::MeasureSummary;
use crate::verdict::guard::tests::judged;

fn tokens(margin: Tolerance, worse: Worse) -> GuardPlan {
    let measure = MeasurePlan { name: "tokens".to_owned(), place: 0, worse, margin, cap: None };
    GuardPlan { measures: vec![measure], design_effect: 1.0, ..GuardPlan::default() }
}

fn window(rng: &mut Rng, n: u64, law: &dyn Fn(&mut Rng) -> f64) -> MeasureSummary {
    let mut measured = MeasureSummary::default();
    (0..n).for_each(|_| measured.update(law(rng), None));
    measured
}

/// What is said after so many windows of these laws, the candidate's first.
fn after(guard: &GuardPlan, windows: u32, laws: [&dyn Fn(&mut Rng) -> f64; 2]) -> (Verdict, Vec<MeasureEvidence>) {
    let (rng, this) = (&mut Rng::new(3), Measures { references: vec![None] });
    let mut records = vec![MeasureEvidence::default()];
    for _ in 0..windows {
        let [candidate, baseline] = laws.map(|law| window(rng, 500, law));
        let terms = this.all(guard).next().expect("one measure");
        records[0].update(terms, Pair { candidate: &candidate, baseline: &baseline }, 0, true);
    }
    let mut verdict = Verdict { safe: true, cleared: true, ..Verdict::default() };
    judged(|judged| {
        let scene = Scene { judged, guard, model: "m", version: "v2", baseline: "v1" };
        this.rule(&mut records, scene, &mut verdict);
    });
    (verdict, records)
}

fn lognormal(factor: f64) -> impl Fn(&mut Rng) -> f64 {
    move |rng| factor * libm::exp(rng.normal())
}

#[test]
fn a_mean_beyond_its_margin_is_rolled_back_and_named_with_its_numbers() {
    let guard = tokens(Tolerance::Relative(0.05), Worse::Up);
    let (verdict, _) = after(&guard, 8, [&lognormal(1.4), &lognormal(1.0)]);
    let finding = verdict.findings.first().expect("a finding");
    assert_eq!((finding.action, finding.reason.code.to_string().as_str()), (Action::Rollback, "MEASURE_REGRESSION"));
    let evidence = &finding.evidence[0];
    assert_eq!((evidence.metric.as_str(), evidence.column.as_str()), ("mean", "tokens"));
    let (low, high) = evidence.lo.zip(evidence.hi).expect("an interval");
    assert!(low < evidence.estimate && evidence.estimate < high && evidence.estimate > evidence.bound, "{evidence:?}");
    assert_eq!(evidence.breaches, (7, 7), "the first window only teaches");
    let text = &finding.reason.text;
    assert!(text.contains("mean of tokens (") && text.contains("margin 5 % more; values beyond "), "{text}");
    assert!(verdict.suspicious && !verdict.cleared && !verdict.safe);
}

#[test]
fn less_is_worse_where_the_plan_says_so() {
    let guard = tokens(Tolerance::Relative(0.05), Worse::Down);
    let laws: [&dyn Fn(&mut Rng) -> f64; 2] = [&lognormal(0.7), &lognormal(1.0)];
    assert_eq!(after(&guard, 8, laws).0.findings.len(), 1);
    assert!(after(&guard, 60, [laws[1], laws[0]]).0.findings.is_empty(), "more of it is better");
}

#[test]
fn a_candidate_that_is_alike_is_shown_to_keep_its_margin() {
    let guard = tokens(Tolerance::Relative(0.1), Worse::Up);
    let (early, _) = after(&guard, 2, [&lognormal(1.0), &lognormal(1.0)]);
    assert!(!early.safe && early.waits_for[0].starts_with("mean of tokens: 500 of about "), "{:?}", early.waits_for);
    let (late, _) = after(&guard, 40, [&lognormal(1.0), &lognormal(1.0)]);
    assert!(late.safe && late.cleared && late.findings.is_empty() && late.waits_for.is_empty(), "{late:?}");
}

#[test]
fn numbers_of_either_sign_have_margins_in_their_own_unit() {
    let guard = tokens(Tolerance::Absolute(0.2), Worse::Down);
    let at = |mean: f64| move |rng: &mut Rng| mean + rng.normal();
    let found = after(&guard, 12, [&at(-0.6), &at(0.0)]).0;
    assert_eq!(found.findings.len(), 1);
    assert!(found.findings[0].reason.text.contains("margin 0.2 less"), "{}", found.findings[0].reason.text);
    let alike = after(&guard, 40, [&at(0.0), &at(0.0)]).0;
    assert!(alike.safe && alike.findings.is_empty(), "{alike:?}");
}

#[test]
fn harm_beyond_the_clip_alone_is_found_by_its_share() {
    let guard = tokens(Tolerance::Relative(0.5), Worse::Up);
    let tail = |share: f64| move |rng: &mut Rng| if rng.chance(share) { 1e6 } else { libm::exp(0.1 * rng.normal()) };
    let mut guard = guard;
    guard.measures[0].cap = Some(3.0);
    let found = after(&guard, 40, [&tail(0.06), &tail(0.01)]).0;
    let text = &found.findings.first().expect("a finding").reason.text;
    assert!(text.contains("values of tokens beyond 3 ("), "{text}");
}

/// What is known of users who come back, every so many of whose rows name them.
fn of_users(guard: &GuardPlan, named_one_of: u64) -> MeasureEvidence {
    let (rng, this) = (&mut Rng::new(9), Measures { references: vec![None] });
    let users: Vec<f64> = (0..200).map(|_| libm::exp(rng.normal())).collect();
    let mut record = MeasureEvidence::default();
    for _ in 0..20 {
        let mut draw = |first: u64| {
            let mut measured = MeasureSummary::default();
            for _ in 0..500 {
                let user = first + rng.bits() % 100;
                let level = users[usize::try_from(user).expect("few users")];
                let entity = user.wrapping_mul(0x9E37_79B9_7F4A_7C15);
                let is_named = rng.bits() % named_one_of == 0;
                measured.update(level * libm::exp(0.3 * rng.normal()), is_named.then_some(entity));
            }
            measured
        };
        let (candidate, baseline) = (draw(0), draw(100));
        let terms = this.all(guard).next().expect("one measure");
        record.update(terms, Pair { candidate: &candidate, baseline: &baseline }, 0, true);
    }
    record
}

#[test]
fn entities_that_come_back_deflate_what_they_say() {
    let guard = tokens(Tolerance::Relative(0.05), Worse::Up);
    let record = of_users(&guard, 1);
    assert!(record.is_measured() && record.deff > 20.0, "{}", record.deff);
}

#[test]
fn where_some_rows_name_nobody_no_less_than_the_usual_is_assumed() {
    let guard = |design_effect| GuardPlan { design_effect, ..tokens(Tolerance::Relative(0.05), Worse::Up) };
    let [few, usual] = [1.0, 300.0].map(|usual| of_users(&guard(usual), 4));
    assert!(!few.is_measured() && few.deff > 5.0, "what is named counts: {}", few.deff);
    assert!((usual.deff - 300.0).abs() < 1e-9, "{}", usual.deff);
}

#[test]
fn values_that_count_as_zero_are_told_beside_the_mean() {
    let guard = tokens(Tolerance::Relative(0.05), Worse::Down);
    let refunds = |rng: &mut Rng| if rng.chance(0.3) { -5.0 } else { libm::exp(rng.normal()) };
    let (verdict, _) = after(&guard, 12, [&refunds, &lognormal(1.0)]);
    let flags = verdict.findings.first().expect("a finding").evidence[0].remarks().join(" ");
    assert!(flags.contains("below_zero_counts_as_zero_0.") && flags.contains("_against_0.00000"), "{flags}");
}
