//! The report as `JUnit` XML: a test case per column, per kind of problem and per candidate, so that any CI system
//! shows it.

use super::model::{Comparison, History, Outcome, Report};
use super::verdict::is_adverse;
use crate::markup::{Html, html};

/// One test case.
struct TestCase {
    class: &'static str,
    name: String,
    /// Why it failed, or was skipped.
    failed: Option<String>,
    skipped: Option<String>,
}

/// A report as `JUnit` XML.
#[must_use]
pub fn junit(report: &Report) -> String {
    let mut cases = Vec::new();
    if let Some(comparison) = &report.comparison {
        cases.extend(of_comparison(comparison));
    }
    if let Some(history) = &report.history {
        cases.extend(of_history(history));
    }
    let counts = html!(
        "tests=\"{}\" failures=\"{}\" errors=\"0\" skipped=\"{}\"",
        cases.len(),
        cases.iter().filter(|case| case.failed.is_some()).count(),
        cases.iter().filter(|case| case.skipped.is_some()).count()
    );
    let text = html!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"haldane report\" {}>\n"
        "  <testsuite name=\"{}\" {}>\n{}    <system-out>{}</system-out>\n  </testsuite>\n</testsuites>\n",
        counts,
        suite(report),
        counts,
        cases.iter().map(TestCase::xml).collect::<Html>(),
        report.verdict.headline
    );
    text.into_string()
}

impl TestCase {
    fn xml(&self) -> Html {
        let how = match (&self.failed, &self.skipped) {
            (Some(why), _) => html!("><failure message=\"{}\"/></testcase>", why),
            (None, Some(why)) => html!("><skipped message=\"{}\"/></testcase>", why),
            (None, None) => html!("/>"),
        };
        html!("    <testcase classname=\"{}\" name=\"{}\"{}\n", self.class, self.name, how)
    }
}

fn suite(report: &Report) -> &'static str {
    match report.verdict.outcome {
        Outcome::Ok => "ok",
        Outcome::Unknown => "unknown",
        Outcome::Quality => "data quality",
        Outcome::Drift => "drift",
        Outcome::Restricted => "restricted",
    }
}

fn of_comparison(comparison: &Comparison) -> Vec<TestCase> {
    let ks_tolerated = comparison.method.ks_tolerated;
    let columns = comparison.columns.iter().map(|column| {
        let psi = &column.psi;
        let ks = column.ks.map_or_else(String::new, |ks| format!(", KS {:.4} (tolerated {ks_tolerated})", ks.low));
        let why = format!(
            "moved beyond what is tolerated: PSI {:.4} (between {:.4} and {:.4}, tolerated {:.3}){ks}; n {}, {} of the reference",
            psi.value, psi.low, psi.high, psi.tolerated, column.n, column.n_reference
        );
        TestCase { class: "drift", name: column.column.clone(), failed: column.drifted.then_some(why), skipped: None }
    });
    let problems = comparison.problems.iter().map(|problem| TestCase {
        class: "data quality",
        name: format!("{} {}", problem.column, problem.what),
        failed: Some(format!("{} {}", problem.column, problem.text)),
        skipped: None,
    });
    let untested = comparison.untested.iter().map(|column| TestCase {
        class: "drift",
        name: column.column.clone(),
        failed: None,
        skipped: Some(column.why.clone()),
    });
    columns.chain(problems).chain(untested).collect()
}

fn of_history(history: &History) -> Vec<TestCase> {
    let case = |rollout: &super::model::Rollout| TestCase {
        class: "rollout",
        name: format!("{} {} {}", rollout.rollout, rollout.model, rollout.candidate),
        failed: is_adverse(&rollout.last_action).then(|| rollout.summary.clone()),
        skipped: None,
    };
    history.rollouts.iter().map(case).collect()
}
