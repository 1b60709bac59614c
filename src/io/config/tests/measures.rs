//! What measures mean, and how their errors read.

use super::*;
use crate::plan::{MeasurePlan, Tolerance, Worse};

#[test]
fn a_measure_with_a_margin_is_guarded_and_one_without_is_shown() {
    let text = with(
        "rollout: { baseline: v1 }\nmeasures:\n  cost: usage.cost\n  tokens: { path: usage.tokens, worse: up, margin: 5% }\n  \
         rating: { path: rating, worse: down, margin: 0.05, cap: 5 }\n",
    );
    let plan = load(&text).plan;
    let measures: Vec<&str> = plan.columns.measures().map(|at| plan.columns.numeric[at].name.as_str()).collect();
    assert_eq!(measures, ["cost", "tokens", "rating"]);
    assert_eq!(plan.columns.numeric.last().map(|column| column.role), Some(ColumnRole::Measure));
    let path = plan.sources[0].mapping.numeric.last().and_then(Option::as_ref).map(|field| field.path.to_string());
    assert_eq!(path.as_deref(), Some("rating"));
    let guards = plan.policy.guards.as_ref().expect("guards by default");
    let measure =
        |name: &str, place, worse, margin, cap| MeasurePlan { name: name.to_owned(), place, worse, margin, cap };
    let expected = [
        measure("tokens", 1, Worse::Up, Tolerance::Relative(0.05), None),
        measure("rating", 2, Worse::Down, Tolerance::Absolute(0.05), Some(5.0)),
    ];
    assert_eq!(guards.measures, expected);
    assert!(load(&with("measures: { cost: usage.cost }\n")).plan.policy.guards.is_none(), "nothing to compare with");
}

/// Checks one problem of a measure called `m`; the rollout is there.
fn check_measure(measure: &str, message: &str, help: &str) {
    check(&format!("rollout: {{ baseline: v1 }}\nmeasures:\n  m: {measure}\n"), message, help);
}

#[test]
fn measures_must_make_sense() {
    check_measure(
        "{ path: m, worse: up }",
        ": `m` may get worse, and nothing says by how much",
        "add `margin: 2%`, or drop `worse`: then it is only shown",
    );
    check_measure(
        "{ path: m, margin: 2% }",
        ": `m` has a margin, and nothing says which way is worse",
        "add `worse: up` where more is worse, or `worse: down`",
    );
    check_measure("{ path: m, worse: up, margin: 2%, cap: 0 }", ": `cap` is 0", "write a number above 0");
    check(
        "measures:\n  m: { path: m, worse: up, margin: 2% }\n",
        ": `m` has a margin, and there is no version to compare with",
        "add `rollout: { baseline: VERSION }`, or drop `margin` and `worse`",
    );
    check(
        "measures:\n  score: x\n",
        ": a feature cannot be called `score`",
        "the model's answer and its latency have these names; give the feature another one",
    );
    for margin in ["0", "0%", "100%", "-2%", "much"] {
        let text = with(&format!("measures: {{ m: {{ path: m, worse: up, margin: {margin} }} }}\n"));
        let error = parse(&text, "p.yaml", Path::new("")).map(|_| ()).expect_err("no margin").to_string();
        assert!(error.contains(&format!("`{margin}` is not a margin of a measure")), "{error}");
    }
}

#[test]
fn a_share_of_a_mean_that_is_hardly_above_zero_or_of_either_sign_is_no_margin() {
    use crate::config::measure::check_share;
    use crate::config::problem::{Problems, Spot};
    use crate::summary::Amounts;
    let told = |values: &[f64], margin| {
        let mut amounts = Amounts::default();
        values.iter().for_each(|&value| amounts.update(value));
        let measure = MeasurePlan { name: "m".to_owned(), place: 0, worse: Worse::Up, margin, cap: None };
        let mut problems = Problems::default();
        check_share(&measure, &amounts, Spot::default(), &mut problems);
        problems.into_result("p.yaml", "m: 1").is_err()
    };
    let share = Tolerance::Relative(0.05);
    let many: Vec<f64> = (0..1000).map(|row| f64::from(row % 7)).collect();
    let rare: Vec<f64> = (0..1000).map(|row| f64::from(u8::from(row == 5))).collect();
    let signed: Vec<f64> = many.iter().map(|value| value - 3.0).collect();
    assert_eq!([told(&many, share), told(&rare, share), told(&signed, share)], [false, true, true]);
    assert!(!told(&signed, Tolerance::Absolute(0.1)));
}
