//! The sections of windows and decisions.

use std::fmt::Write as _;

use super::chart::{OverTime, Trace};
use super::{GridCell, HtmlGrid, Section, escape};
use crate::event::Micros;
use crate::output::count;
use crate::output::text::{instant, number};
use crate::report::history::WHAT_COUNTS_NOW;
use crate::report::model::{DecisionNote, History, Rollout, Series};
use crate::report::verdict::is_adverse;

/// Classes of lines; versions take them in order, the baseline first.
const CLASSES: [&str; 4] = ["l1", "l0", "l2", "l3"];
/// Colours of these, in words.
const WORDS: [&str; 4] = ["grey", "blue", "green, dashed", "purple, dotted"];

/// All sections.
pub(super) fn sections(history: &History) -> Vec<Section> {
    let mut sections = Vec::new();
    if !history.rollouts.is_empty() {
        let cards: String = history.rollouts.iter().map(rollout).collect();
        let body = format!("<p class=\"note\">{WHAT_COUNTS_NOW}</p>{cards}");
        sections.push(Section { id: "rollouts", title: "Rollouts", body });
    }
    sections.push(Section { id: "decisions", title: "Decisions", body: decisions(history) });
    if !history.series.is_empty() {
        sections.push(Section { id: "windows", title: "Windows over time", body: windows(history) });
    }
    sections.push(Section { id: "sources", title: "Where this comes from", body: sources(history) });
    sections
}

fn tag(action: &str, cap: Option<f64>) -> String {
    let class = match action {
        "rollback" | "contain" => "tag bad",
        "hold" | "warn" => "tag warn",
        "promote_ok" | "resume" => "tag good",
        _ => "tag",
    };
    let cap = cap.map_or_else(String::new, |cap| format!(" to {} %", number(cap)));
    format!("<span class=\"{class}\">{}{cap}</span>", escape(&action.replace('_', " ")))
}

fn rollout(rollout: &Rollout) -> String {
    let actions =
        rollout.actions.iter().map(|(action, n)| format!("{} ×{n} ", tag(action, None))).collect::<Vec<_>>().concat();
    let rows = rollout.compared.iter().map(|beside| {
        vec![
            GridCell::text(&beside.metric),
            GridCell::number(Some(beside.candidate)),
            GridCell::number(Some(beside.baseline)),
            GridCell::shown(number(beside.candidate - beside.baseline), 0.0),
            GridCell::shown(count(beside.n), 0.0),
        ]
    });
    let heads = vec![("metric", false), ("candidate", true), ("baseline", true), ("difference", true), ("n", true)];
    let table = if rollout.compared.is_empty() {
        String::new()
    } else {
        "<p class=\"note\">Over all windows that have both, weighted by the candidate's rows; quantiles are means of the windows' own.</p>".to_owned()
            + &HtmlGrid { heads, rows: rows.collect() }.draw(false)
    };
    format!(
        "<div class=\"card\" style=\"margin-bottom:12px\"><h3>{} <span class=\"note\">beside {}, rollout {}, {} to {}</span></h3><p>{}</p><p>{actions}</p>{table}</div>",
        escape(&rollout.candidate),
        escape(&rollout.baseline),
        escape(&rollout.rollout),
        instant(rollout.from),
        instant(rollout.to),
        escape(&rollout.summary)
    )
}

fn decisions(history: &History) -> String {
    if history.decisions.is_empty() {
        return "<p class=\"note\">No decision was made.</p>".to_owned();
    }
    let items: String = (1..).zip(&history.decisions).map(|(at, note)| decision(at, note)).collect();
    format!(
        "<p class=\"note\">Numbers in the charts below are these.</p><div class=\"scroll\" tabindex=\"0\"><ol class=\"log\">{items}</ol></div>"
    )
}

fn decision(at: usize, note: &DecisionNote) -> String {
    let evidence = note.evidence.iter().map(|line| format!("<li>{}</li>", escape(line))).collect::<Vec<_>>().concat();
    let evidence = if evidence.is_empty() {
        evidence
    } else {
        format!(
            "<details><summary><span class=\"note\">evidence</span></summary><div class=\"in\"><ul class=\"plain note\">{evidence}</ul></div></details>"
        )
    };
    format!(
        "<li><b>{at}</b> {} {} <b>{}</b> <span class=\"note\">{} · {}</span><div>{}</div>{evidence}</li>",
        instant(note.time),
        tag(&note.action, note.cap_pct),
        escape(&note.candidate),
        escape(&note.code),
        escape(note.id.get(..15).unwrap_or(&note.id)),
        escape(&note.reason)
    )
}

fn windows(history: &History) -> String {
    let marks: Vec<(Micros, String)> = (1..)
        .zip(&history.decisions)
        .filter(|(_, decision)| is_adverse(&decision.action))
        .map(|(at, decision): (usize, _)| (decision.time, at.to_string()))
        .collect();
    let legend = history
        .versions
        .iter()
        .zip(WORDS)
        .map(|(version, words)| format!("{} {words}; ", escape(version)))
        .collect::<Vec<_>>()
        .concat();
    let cards: String = history.series.iter().map(|series| card(series, history, &marks)).collect();
    format!(
        "<p class=\"note\">Versions: {legend}dashed red: what decisions were held against; upright red: decisions that restrict.</p><div class=\"grid\">{cards}</div>"
    )
}

fn card(series: &Series, history: &History, marks: &[(Micros, String)]) -> String {
    let traces = series.lines.iter().map(|line| {
        let at = history.versions.iter().position(|version| *version == line.version).unwrap_or_default();
        Trace {
            class: CLASSES[at.min(CLASSES.len() - 1)],
            name: line.version.clone(),
            points: line.points.iter().map(|point| (point.start, point.value)).collect(),
            band: Vec::new(),
        }
    });
    let on = [&series.column, &series.segment].into_iter().filter(|text| !text.is_empty());
    let on = on.map(|text| format!(" of {text}")).collect::<Vec<_>>().concat();
    let to = if series.baseline.is_empty() { String::new() } else { format!("against {}", series.baseline) };
    let title = format!("{}{on}", series.metric);
    let floor = series.lines.iter().flat_map(|line| &line.points).all(|point| point.value >= 0.0).then_some(0.0);
    let drawn = OverTime {
        title: &format!("{title} {to}"),
        traces: traces.collect(),
        bounds: series.bounds.clone(),
        marks: marks.to_vec(),
        floor,
    }
    .draw();
    let mut card = String::new();
    let _ = write!(
        card,
        "<div class=\"card\"><h3>{} <span class=\"note\">{}</span></h3>{drawn}</div>",
        escape(&title),
        escape(&to)
    );
    card
}

fn sources(history: &History) -> String {
    let span = history.first.zip(history.last);
    let span = span.map_or_else(String::new, |(first, last)| format!("{} to {}", instant(first), instant(last)));
    let references = history.references.iter().map(|id| escape(id)).collect::<Vec<_>>().join("<br>");
    format!(
        "<dl><dt>windows</dt><dd>{} {span}</dd><dt>versions</dt><dd>{}</dd><dt>references</dt><dd>{references}</dd></dl>",
        count(history.windows as u64),
        escape(&history.versions.join(", "))
    )
}
