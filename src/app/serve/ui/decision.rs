//! Decisions: in lists, and each on a page of its own with everything that is behind it.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;

use super::card;
use super::link::{decision_url, rollout_url};
use super::page::{Page, PageSection, live, problem};
use super::words::{clock, count, deed, interval, metric_of, object, percent, short_id, signal_sign, time};
use crate::markup::{Html, html};
use crate::output::evidence as told_as;
use crate::plan::Signal;
use crate::serve::Shared;
use crate::serve::entrance::Caller;
use crate::serve::problem::ErrorResponse;
use crate::serve::view::DECISIONS_MAX;
use crate::verdict::decision::Severity;
use crate::verdict::{Decision, Evidence, GuardName};

/// The most decisions on the page of all.
const LISTED_MAX: usize = 200;

pub(super) async fn decisions(State(shared): State<Arc<Shared>>, caller: Caller) -> Response {
    let decisions: Vec<Decision> = shared.read().decisions().take(LISTED_MAX).cloned().collect();
    let content = html!("<h1>Decisions</h1>{}", list(&decisions.iter().collect::<Vec<_>>()));
    Page::new(PageSection::Decisions, "Decisions", live("decisions", "Decisions", &content)).answer(&shared, &caller)
}

pub(super) async fn decision(State(shared): State<Arc<Shared>>, Path(id): Path<String>, caller: Caller) -> Response {
    let found = shared.read().decisions().find(|decision| decision.id == id).cloned();
    let Some(decision) = found else {
        let hint = format!(
            "the last {DECISIONS_MAX} since the start of the process are here; older ones: haldane explain {id}"
        );
        let missing = ErrorResponse::new(StatusCode::NOT_FOUND, format!("no decision {id} is known here"), hint);
        return problem(&shared, &caller, &missing);
    };
    let title = format!("{} at {}", deed(&decision), clock(decision.time));
    Page::new(PageSection::Decisions, title, whole(&decision)).answer(&shared, &caller)
}

/// Decisions in a list, each a way to its page.
pub(super) fn list(decisions: &[&Decision]) -> Html {
    if decisions.is_empty() {
        return html!("<p>None since the start of this process.</p>");
    }
    let line = |decision: &&Decision| {
        html!(
            "<li>{} <a id=\"d{}\" href=\"{}\">{} {}</a> <span class=\"why\">{}</span></li>",
            time(decision.time),
            decision.id.trim_start_matches("b3:"),
            decision_url(&decision.id),
            signal_sign(decision.action).html(),
            object(decision),
            decision.reason.text
        )
    };
    html!("<ol class=\"decisions\" reversed>{}</ol>", decisions.iter().map(line).collect::<Html>())
}

/// Everything about one decision.
fn whole(decision: &Decision) -> Html {
    let rollout = rollout_url(&decision.rollout, &decision.model, &decision.candidate);
    html!(
        "<h1>{} {}</h1><p class=\"lead\">{}</p>"
        "<p>Decision {} of rollout {} on <a href=\"{}\">{} of {}</a>, against {}; window ended {}. "
        "<a href=\"/runbooks/{}\">What to do</a></p>"
        "<h2>Evidence</h2>{}<h2>Error budget then</h2>{}<h2>What it says</h2>{}<h2>What it was computed from</h2>{}"
        "<details><summary>The event as JSON</summary><pre>{}</pre></details>",
        signal_sign(decision.action).html(),
        object(decision),
        decision.reason.text,
        decision.sequence,
        decision.rollout,
        rollout,
        decision.candidate,
        decision.model,
        decision.baseline,
        time(decision.time),
        decision.reason.code.as_str(),
        evidence(&decision.evidence),
        if decision.ledger.is_empty() { html!("<p>No guard was asked.</p>") } else { card::evidence(&decision.ledger, &acting(decision)) },
        terms(decision),
        inputs(decision),
        serde_json::to_string_pretty(decision).unwrap_or_default(),
    )
}

/// The guards whose evidence acts in a decision.
fn acting(decision: &Decision) -> Vec<GuardName> {
    let acts = decision.severity > Severity::Info && decision.action != Signal::Warn;
    decision.evidence.iter().filter(|_| acts).filter_map(|one| one.rule.known()).collect()
}

/// The numbers behind a decision.
pub(super) fn evidence(evidence: &[Evidence]) -> Html {
    if evidence.is_empty() {
        return html!("<p>No number: it was asked for, or repeats what is in force.</p>");
    }
    let rows: Html = evidence.iter().map(line).collect();
    html!(
        "<div class=\"wide\" role=\"region\" aria-label=\"Evidence\" tabindex=\"0\"><table><thead><tr><th>Number</th>"
        "<th class=\"n\">Estimate</th><th class=\"n\">Held against</th><th class=\"n\">Interval</th><th>Test</th><th class=\"n\">e-value</th>"
        "<th class=\"n\">n</th><th class=\"n\">n baseline</th><th>Over</th><th>Rule</th></tr></thead>"
        "<tbody>{}</tbody></table></div>",
        rows
    )
}

fn line(one: &Evidence) -> Html {
    let flags = one.remarks().join(", ");
    let flags = (!flags.is_empty()).then(|| html!(" <small>{}</small>", flags));
    let against = if one.baseline_kind.is_empty() { String::new() } else { format!("against {}", one.baseline_kind) };
    html!(
        "<tr><th scope=\"row\">{} <small>{}</small>{}</th><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td>"
        "<td>{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td>{}</td><td>{}</td></tr>",
        metric_of(&one.metric, &one.column, &one.segment),
        against,
        flags,
        told_as::estimate(one),
        told_as::bound(one).unwrap_or_else(|| "–".to_owned()),
        one.lo.zip(one.hi).map(|(lo, hi)| interval(lo, hi)),
        one.test,
        told_as::gathered(one),
        count(one.n_candidate),
        count(one.n_baseline),
        told_as::over(one),
        one.rule,
    )
}

fn pairs(rows: &[(&str, Html)]) -> Html {
    let row = |(name, value): &(&str, Html)| html!("<tr><th scope=\"row\">{}</th><td>{}</td></tr>", name, value);
    let told = rows.iter().filter(|(_, value)| !value.is_empty());
    html!("<table class=\"pairs\"><tbody>{}</tbody></table>", told.map(row).collect::<Html>())
}

fn terms(decision: &Decision) -> Html {
    let other = |id: &String| html!("<a href=\"{}\">{}</a> ", decision_url(id), short_id(id));
    let others = |ids: &[String]| ids.iter().map(other).collect::<Html>();
    let approval = decision.approval.as_ref().map_or(html!("nobody is asked"), |approval| {
        let granted = if approval.granted.is_empty() { "nobody yet".to_owned() } else { approval.granted.join(", ") };
        html!(
            "{} needed, by {}; until {}, then {}",
            approval.required,
            granted,
            time(approval.deadline),
            approval.on_timeout.name()
        )
    });
    let exposure = decision.exposure.declared_pct.map(|share| format!(", {} declared", percent(share)));
    let precondition = &decision.precondition;
    let cause = decision
        .causation
        .as_ref()
        .map_or(Html::default(), |id| if id.starts_with("b3:") { other(id) } else { html!("command {}", id) });
    pairs(&[
        ("Id", html!("<code>{}</code>", decision.id)),
        ("Reason code", html!("{}", decision.reason.code)),
        ("Authority", html!("{}", decision.authority.name())),
        ("Approval", approval),
        ("Severity", html!("{}", decision.severity.names().0)),
        ("Cap", decision.cap_pct.map_or(html!("none"), |cap| html!("{}", percent(cap)))),
        ("Exposure", html!("{} seen{}", percent(decision.exposure.observed_pct), exposure)),
        (
            "Holds only while",
            html!("{} is {}, after decision {}", precondition.candidate, precondition.state, decision.sequence - 1),
        ),
        ("Denied versions", html!("{}", decision.denied_versions.join(", "))),
        ("Follows from", cause),
        ("Replaces", others(&decision.supersedes)),
        ("Seal of the one before", html!("{}", decision.previous)),
        ("Episode began with", other(&decision.episode)),
        ("Lease", html!("{} s", decision.lease_s)),
    ])
}

fn inputs(decision: &Decision) -> Html {
    let inputs = &decision.inputs;
    let offset = |(topic, partition, first, last): &(String, u32, i64, i64)| {
        html!("<li><code>{}</code> partition {}: {} to {}</li>", topic, partition, first, last)
    };
    let offsets: Html = inputs.offsets.iter().map(offset).collect();
    let offsets = if offsets.is_empty() {
        html!("none: it was asked for")
    } else {
        html!("<ul class=\"plain-list\">{}</ul>", offsets)
    };
    pairs(&[
        ("Offsets", offsets),
        ("Policy", html!("<code>{}</code>", inputs.policy)),
        ("Reference", html!("{}", inputs.reference)),
        ("Engine", html!("{}", inputs.engine)),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::decision::Approval;

    fn log() -> Vec<Decision> {
        let lines = include_str!("../../../../tests/data/recorded/flights.decisions.jsonl").lines();
        lines.map(|line| serde_json::from_str(line).expect("a decision")).collect()
    }

    fn page(decision: &Decision) -> String {
        whole(decision).into_string()
    }

    #[test]
    fn whatever_a_decision_says_stays_a_text() {
        let hostile = || "</pre><script>alert('1')</script>\"".to_owned();
        let mut decision = log()[0].clone();
        let first = decision.evidence[0].clone();
        decision.evidence = vec![Evidence { column: hostile(), segment: hostile(), baseline_kind: hostile(), ..first }];
        (decision.candidate, decision.model, decision.rollout) = (hostile(), hostile(), hostile());
        (decision.reason.text, decision.baseline) = (hostile(), hostile());
        decision.denied_versions = vec![hostile()];
        decision.supersedes = vec![hostile()];
        decision.causation = Some(hostile());
        for text in [page(&decision), list(&[&decision]).into_string()] {
            assert!(!text.contains("<script") && !text.contains("alert('"), "{text}");
            assert!(text.contains("&lt;script&gt;"), "{text}");
        }
    }

    #[test]
    fn a_page_tells_the_terms_of_a_decision() {
        let mut decision = log()[0].clone();
        let text = page(&decision);
        assert!(text.contains("<th scope=\"row\">Approval</th><td>nobody is asked</td>"), "{text}");
        assert!(
            text.contains("<th scope=\"row\">Cap</th><td>none</td>") && text.contains("after decision 0"),
            "{text}"
        );
        assert!(!text.contains("Denied versions"), "what is empty is left out: {text}");
        assert!(text.contains("<code>flights.predictions</code> partition 0: 3908 to 5891"), "{text}");
        decision.cap_pct = Some(12.5);
        decision.denied_versions = vec!["v7".to_owned(), "v8".to_owned()];
        decision.causation = Some("c-1".to_owned());
        decision.inputs.offsets.clear();
        decision.ledger.clear();
        let text = page(&decision);
        for part in [
            "<td>12.5 %</td>",
            "<td>v7, v8</td>",
            "<td>command c-1</td>",
            "none: it was asked for",
            "No guard was asked.",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        decision.causation = Some("b3:0123456789abcdef".to_owned());
        assert!(page(&decision).contains("<a href=\"/ui/decisions/b3%3A0123456789abcdef\">b3:0123456789ab</a>"));
    }

    #[test]
    fn who_has_approved_is_told_with_what_comes_of_waiting() {
        let mut decision = log()[0].clone();
        let mut approval: Approval = serde_json::from_value(serde_json::json!({
            "required": 2, "granted": [], "deadline": 0, "on_timeout": "hold",
        }))
        .expect("an approval");
        decision.approval = Some(approval.clone());
        assert!(page(&decision).contains("2 needed, by nobody yet; until <time"), "{}", page(&decision));
        approval.granted = vec!["ana".to_owned(), "bo".to_owned()];
        decision.approval = Some(approval);
        assert!(page(&decision).contains("2 needed, by ana, bo; until"));
    }

    #[test]
    fn evidence_acts_in_decisions_that_restrict_only() {
        let mut decision = log()[0].clone();
        decision.action = Signal::Warn;
        assert_eq!(acting(&decision), []);
        (decision.action, decision.severity) = (Signal::Hold, Severity::Warn);
        let acts = acting(&decision);
        assert_eq!(acts.len(), decision.evidence.len());
        decision.severity = Severity::Info;
        assert_eq!(acting(&decision), [], "what is told for information");
    }

    #[test]
    fn numbers_have_their_interval_and_remarks_where_there_are_any() {
        let one = log()[0].evidence[0].clone();
        let shown = |one: Evidence| evidence(&[one]).into_string();
        assert!(
            shown(Evidence { lo: Some(0.5), hi: Some(1.5), ..one.clone() }).contains("<td class=\"n\">0.5 – 1.5</td>")
        );
        assert!(!shown(Evidence { lo: Some(0.5), hi: None, ..one.clone() }).contains(" – "));
        assert!(shown(one.clone()).contains("<small>debiased_1.0805</small>"));
        assert!(!shown(Evidence { flags: Vec::new(), baseline_kind: String::new(), ..one }).contains("<small>against"));
        assert!(evidence(&[]).into_string().contains("No number"));
        assert!(list(&[]).into_string().contains("None since the start"));
    }
}
