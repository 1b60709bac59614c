//! The sections of windows and decisions.

use super::chart::{OverTime, Trace};
use super::grid::{HtmlCell, HtmlTable, left, right};
use super::{Section, card, items, note, tag};
use crate::event::Micros;
use crate::markup::{Html, html};
use crate::output::text::{count, instant, short_id};
use crate::report::history::{WHAT_COUNTS_NOW, to_cap};
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
        let cards: Html = history.rollouts.iter().map(rollout).collect();
        let body = html!("{}{}", note(WHAT_COUNTS_NOW), cards);
        sections.push(Section { id: "rollouts", title: "Rollouts", body });
    }
    sections.push(Section { id: "decisions", title: "Decisions", body: decisions(history) });
    if !history.series.is_empty() {
        sections.push(Section { id: "windows", title: "Windows over time", body: windows(history) });
    }
    sections.push(Section { id: "sources", title: "Where this comes from", body: sources(history) });
    sections
}

/// What was decided, as a word in a box.
fn deed(action: &str, cap: Option<f64>) -> Html {
    let tone = match action {
        "rollback" | "contain" => "tag bad",
        "hold" | "warn" => "tag warn",
        "promote_ok" | "resume" => "tag good",
        _ => "tag",
    };
    tag(tone, &format!("{}{}", action.replace('_', " "), to_cap(cap)))
}

fn rollout(rollout: &Rollout) -> Html {
    let action = |(action, n): &(String, u64)| html!("{} ×{} ", deed(action, None), n);
    html!(
        "<div class=\"card\" style=\"margin-bottom:12px\">"
        "<h3>{} <span class=\"note\">of {} beside {}, rollout {}, {} to {}</span></h3><p>{}</p><p>{}</p>{}</div>",
        rollout.candidate,
        rollout.model,
        rollout.baseline,
        rollout.rollout,
        instant(rollout.from),
        instant(rollout.to),
        rollout.summary,
        rollout.actions.iter().map(action).collect::<Html>(),
        compared(rollout)
    )
}

/// The candidate's numbers beside the baseline's.
fn compared(rollout: &Rollout) -> Html {
    if rollout.compared.is_empty() {
        return Html::default();
    }
    let rows = rollout.compared.iter().map(|beside| {
        vec![
            HtmlCell::text(&beside.metric),
            HtmlCell::number(Some(beside.candidate)),
            HtmlCell::number(Some(beside.baseline)),
            HtmlCell::number(Some(beside.candidate - beside.baseline)),
            HtmlCell::count(beside.n),
        ]
    });
    let heads = [left("metric"), right("candidate"), right("baseline"), right("difference"), right("n")];
    html!(
        "<p class=\"note\">Over all windows that have both, weighted by the candidate's rows; quantiles are means of the windows' own.</p>{}",
        HtmlTable { heads: &heads, rows: rows.collect() }.draw()
    )
}

fn decisions(history: &History) -> Html {
    if history.decisions.is_empty() {
        return note("No decision was made.");
    }
    html!(
        "<p class=\"note\">Numbers in the charts below are these.</p>"
        "<div class=\"scroll\" tabindex=\"0\"><ol class=\"log\">{}</ol></div>",
        (1..).zip(&history.decisions).map(|(at, note)| decision(at, note)).collect::<Html>()
    )
}

fn decision(at: usize, note: &DecisionNote) -> Html {
    let evidence = (!note.evidence.is_empty()).then(|| {
        html!(
            "<details><summary><span class=\"note\">evidence</span></summary>"
            "<div class=\"in\"><ul class=\"plain note\">{}</ul></div></details>",
            items(&note.evidence)
        )
    });
    html!(
        "<li><b>{}</b> {} {} <b>{}</b> <span class=\"note\">{} · {}</span><div>{}</div>{}</li>",
        at,
        instant(note.time),
        deed(&note.action, note.cap_pct),
        note.candidate,
        note.code,
        short_id(&note.id),
        note.reason,
        evidence
    )
}

fn windows(history: &History) -> Html {
    let marks: Vec<(Micros, String)> = (1..)
        .zip(&history.decisions)
        .filter(|(_, decision)| is_adverse(&decision.action))
        .map(|(at, decision): (usize, _)| (decision.time, at.to_string()))
        .collect();
    let key = |(version, words): (&String, &str)| html!("{} {}; ", version, words);
    html!(
        "<p class=\"note\">Versions: {}dashed red: what decisions were held against; upright red: decisions that restrict.</p>"
        "<div class=\"grid\">{}</div>",
        history.versions.iter().zip(WORDS).map(key).collect::<Html>(),
        history.series.iter().map(|series| over_time(series, history, &marks)).collect::<Html>()
    )
}

fn over_time(series: &Series, history: &History, marks: &[(Micros, String)]) -> Html {
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
    let has_several = history.series.iter().any(|other| other.model != series.model);
    let model = if has_several { format!(" of {}", series.model) } else { String::new() };
    let title = format!("{}{model}{on}", series.metric);
    let floor = series.lines.iter().flat_map(|line| &line.points).all(|point| point.value >= 0.0).then_some(0.0);
    let drawn = OverTime {
        title: &format!("{title} {to}"),
        traces: traces.collect(),
        bounds: series.bounds.clone(),
        marks: marks.to_vec(),
        floor,
    }
    .draw();
    card(&html!("{} <span class=\"note\">{}</span>", title, to), &drawn)
}

fn sources(history: &History) -> Html {
    let span = history.first.zip(history.last);
    let references = (0..).zip(&history.references).map(|(at, id)| {
        let apart = (at > 0).then(|| html!("<br>"));
        html!("{}{}", apart, id)
    });
    html!(
        "<dl><dt>windows</dt><dd>{} {}</dd><dt>versions</dt><dd>{}</dd><dt>references</dt><dd>{}</dd></dl>",
        count(history.windows as u64),
        span.map(|(first, last)| format!("{} to {}", instant(first), instant(last))),
        history.versions.join(", "),
        references.collect::<Html>()
    )
}
