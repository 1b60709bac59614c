//! The report as one HTML file that needs nothing else: no network, no fonts, a few lines of own script for sorting.

mod chart;
mod comparison;
mod history;
mod known;

use std::fmt::Write as _;

use super::compare::instant;
use super::model::{Outcome, Report, Source, Verdict};
use crate::event::Micros;
use crate::output::count;

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");

/// A report as an HTML page.
#[must_use]
pub fn page(report: &Report) -> String {
    let mut body = head(report);
    body += &verdict(&report.verdict);
    let mut sections: Vec<Section> = Vec::new();
    if let Some(comparison) = &report.comparison {
        body += &comparison::tiles(comparison);
        sections.extend(comparison::sections(comparison));
    }
    if let Some(history) = &report.history {
        sections.extend(history::sections(history));
    }
    body += "<nav aria-label=\"Sections\">";
    body.extend(sections.iter().map(|section| format!("<a href=\"#{}\">{}</a>", section.id, section.title)));
    body += "</nav><main>";
    for Section { id, title, body: inside } in &sections {
        let _ = write!(body, "<section id=\"{id}\"><h2>{title}</h2>{inside}</section>");
    }
    body += "</main>";
    let reference = report.comparison.as_ref().map(|comparison| format!("reference {}<br>", comparison.reference_id));
    let _ = write!(body, "<footer>{}made by {}</footer>", reference.unwrap_or_default(), escape(&report.made_by));
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\"><meta name=\"color-scheme\" content=\"light dark\">\
         <title>{}</title><style>{STYLE}</style></head><body><div class=\"wrap\">{body}</div><script>{SCRIPT}</script></body></html>\n",
        escape(&report.verdict.headline)
    )
}

/// A part of the page.
struct Section {
    id: &'static str,
    title: &'static str,
    body: String,
}

/// Text that may stand in HTML.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            letter if letter.is_control() && letter != '\n' => out.push('\u{fffd}'),
            letter => out.push(letter),
        }
    }
    out
}

/// A time without its seconds.
fn minute(at: Micros) -> Micros {
    at - at.rem_euclid(60_000_000)
}

fn head(report: &Report) -> String {
    let Some(comparison) = &report.comparison else {
        return "<header><div class=\"brand\">haldane · windows and decisions</div></header>".to_owned();
    };
    let side = |class: &str, source: &Source| {
        let range = source.first.zip(source.last);
        let range = range.map(|(first, last)| format!(", {} to {}", instant(minute(first)), instant(minute(last))));
        format!(
            "<span class=\"key {class}\"></span><b>{}</b> <span class=\"note\">{} rows{}</span>",
            escape(&source.name),
            count(source.compared),
            range.unwrap_or_default()
        )
    };
    format!(
        "<header><div class=\"brand\">haldane · drift report</div><p class=\"files\">{}<br>{}</p></header>",
        side("r", &comparison.reference),
        side("c", &comparison.current)
    )
}

fn verdict(verdict: &Verdict) -> String {
    let (class, tag) = match verdict.outcome {
        Outcome::Ok => ("ok", "<span class=\"tag good\">within tolerance</span>"),
        Outcome::Unknown => ("unknown", "<span class=\"tag\">nothing to say</span>"),
        Outcome::Quality => ("quality", "<span class=\"tag warn\">data problems</span>"),
        Outcome::Drift => ("drift", "<span class=\"tag bad\">drift</span>"),
        Outcome::Restricted => ("restricted", "<span class=\"tag bad\">restricted</span>"),
    };
    let sentences =
        verdict.sentences.iter().map(|sentence| format!("<li>{}</li>", escape(sentence))).collect::<Vec<_>>().concat();
    format!("<div class=\"verdict {class}\">{tag}<h1>{}</h1><ul>{sentences}</ul></div>", escape(&verdict.headline))
}

/// A table; columns of numbers are right-aligned, and all can be sorted by the values of [`GridCell`]s.
struct HtmlGrid {
    heads: Vec<(&'static str, bool)>,
    rows: Vec<Vec<GridCell>>,
}

/// One cell: what is shown, and what it is sorted by.
struct GridCell {
    html: String,
    key: String,
    is_number: bool,
}

impl GridCell {
    fn text(text: &str) -> Self {
        Self { html: escape(text), key: escape(text), is_number: false }
    }

    /// Ready HTML, sorted by a number.
    fn html(html: String, key: f64) -> Self {
        Self { html, key: format!("{key}"), is_number: false }
    }

    fn number(value: Option<f64>) -> Self {
        let html = value.map_or_else(|| "–".to_owned(), crate::output::text::number);
        Self { html, key: value.map_or_else(|| "-1e308".to_owned(), |value| format!("{value}")), is_number: true }
    }

    fn shown(html: String, key: f64) -> Self {
        Self { html, key: format!("{key}"), is_number: true }
    }
}

impl HtmlGrid {
    fn draw(&self, sorts: bool) -> String {
        let heads = self
            .heads
            .iter()
            .map(|(name, is_number)| {
                let class = if *is_number { " class=\"n\"" } else { "" };
                let inside =
                    if sorts { format!("<button type=\"button\">{name}</button>") } else { (*name).to_owned() };
                format!("<th scope=\"col\"{class}>{inside}</th>")
            })
            .collect::<Vec<_>>()
            .concat();
        let cell = |cell: &GridCell| {
            let class = if cell.is_number { " class=\"n\"" } else { "" };
            let key = if sorts { format!(" data-v=\"{}\"", cell.key) } else { String::new() };
            format!("<td{class}{key}>{}</td>", cell.html)
        };
        let rows = self
            .rows
            .iter()
            .map(|row| format!("<tr>{}</tr>", row.iter().map(cell).collect::<String>()))
            .collect::<Vec<_>>()
            .concat();
        let class = if sorts { " class=\"sort\"" } else { "" };
        format!(
            "<div class=\"scroll\" tabindex=\"0\"><table{class}><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div>"
        )
    }
}
