//! The report as `JUnit` XML: a test case per column, per kind of problem and per candidate, so that any CI system
//! shows it.

use std::fmt::Write as _;

use super::model::{Comparison, History, Outcome, Report};
use super::verdict::is_adverse;

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
    let failures = cases.iter().filter(|case| case.failed.is_some()).count();
    let skipped = cases.iter().filter(|case| case.skipped.is_some()).count();
    let mut text = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n".to_owned();
    let counts = format!("tests=\"{}\" failures=\"{failures}\" errors=\"0\" skipped=\"{skipped}\"", cases.len());
    let _ = writeln!(text, "<testsuites name=\"haldane report\" {counts}>");
    let _ = writeln!(text, "  <testsuite name=\"{}\" {counts}>", attribute(suite(report)));
    for case in &cases {
        let open = format!("    <testcase classname=\"{}\" name=\"{}\"", case.class, attribute(&case.name));
        let _ = match (&case.failed, &case.skipped) {
            (Some(why), _) => writeln!(text, "{open}><failure message=\"{}\"/></testcase>", attribute(why)),
            (None, Some(why)) => writeln!(text, "{open}><skipped message=\"{}\"/></testcase>", attribute(why)),
            (None, None) => writeln!(text, "{open}/>"),
        };
    }
    let _ = writeln!(text, "    <system-out>{}</system-out>", attribute(&report.verdict.headline));
    text + "  </testsuite>\n</testsuites>\n"
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
        name: format!("{} {}", rollout.rollout, rollout.candidate),
        failed: is_adverse(&rollout.last_action).then(|| rollout.summary.clone()),
        skipped: None,
    };
    history.rollouts.iter().map(case).collect()
}

/// Text that may stand in XML; what XML cannot hold is left out.
fn attribute(text: &str) -> String {
    let allowed: String = text.chars().filter(|letter| !letter.is_control()).collect();
    allowed.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
