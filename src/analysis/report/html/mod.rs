//! The report as one HTML file that needs nothing else: no network, no fonts, a few lines of own script for sorting.

mod chart;
mod comparison;
mod grid;
mod history;
mod known;

use super::model::{Outcome, Report, Source, Verdict};
use crate::event::Micros;
use crate::markup::{Html, Piece, html};
use crate::output::text::{count, instant};

/// A report as an HTML page.
#[must_use]
pub fn page(report: &Report) -> String {
    let mut sections: Vec<Section> = Vec::new();
    if let Some(comparison) = &report.comparison {
        sections.extend(comparison::sections(comparison));
    }
    if let Some(history) = &report.history {
        sections.extend(history::sections(history));
    }
    let link = |section: &Section| html!("<a href=\"#{}\">{}</a>", section.id, section.title);
    let section =
        |Section { id, title, body }: &Section| html!("<section id=\"{}\"><h2>{}</h2>{}</section>", id, title, body);
    let reference = |id: &String| html!("reference {}<br>", id);
    let page = html!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
        "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">"
        "<meta name=\"color-scheme\" content=\"light dark\">"
        "<title>{}</title><style>{}</style></head><body><div class=\"wrap\">{}{}{}"
        "<nav aria-label=\"Sections\">{}</nav><main>{}</main><footer>{}made by {}</footer></div>"
        "<script>{}</script></body></html>\n",
        report.verdict.headline,
        html!(file "style.css"),
        head(report),
        verdict(&report.verdict),
        report.comparison.as_ref().map(comparison::tiles),
        sections.iter().map(link).collect::<Html>(),
        sections.iter().map(section).collect::<Html>(),
        report.comparison.as_ref().map(|comparison| reference(&comparison.reference_id)),
        report.made_by,
        html!(file "script.js"),
    );
    page.into_string()
}

/// A part of the page.
struct Section {
    id: &'static str,
    title: &'static str,
    body: Html,
}

/// A paragraph that explains.
fn note(text: &(impl Piece + ?Sized)) -> Html {
    html!("<p class=\"note\">{}</p>", text)
}

/// What stands smaller beside something.
fn sub(text: &(impl Piece + ?Sized)) -> Html {
    html!("<span class=\"sub\">{}</span>", text)
}

/// A list's items.
fn items(texts: &[String]) -> Html {
    texts.iter().map(|text| html!("<li>{}</li>", text)).collect()
}

/// A drawing under its title.
fn card(title: &(impl Piece + ?Sized), drawn: &Html) -> Html {
    html!("<div class=\"card\"><h3>{}</h3>{}</div>", title, drawn)
}

/// A time without its seconds.
fn minute(at: Micros) -> Micros {
    at - at.rem_euclid(60_000_000)
}

fn head(report: &Report) -> Html {
    let Some(comparison) = &report.comparison else {
        return html!("<header><div class=\"brand\">haldane · windows and decisions</div></header>");
    };
    let side = |class: &str, source: &Source| {
        let range = source.first.zip(source.last);
        let range = range.map(|(first, last)| format!(", {} to {}", instant(minute(first)), instant(minute(last))));
        html!(
            "<span class=\"key {}\"></span><b>{}</b> <span class=\"note\">{} rows{}</span>",
            class,
            source.name,
            count(source.compared),
            range
        )
    };
    html!(
        "<header><div class=\"brand\">haldane · drift report</div><p class=\"files\">{}<br>{}</p></header>",
        side("r", &comparison.reference),
        side("c", &comparison.current)
    )
}

fn verdict(verdict: &Verdict) -> Html {
    let (class, tone, word) = match verdict.outcome {
        Outcome::Ok => ("ok", "tag good", "within tolerance"),
        Outcome::Unknown => ("unknown", "tag", "nothing to say"),
        Outcome::Quality => ("quality", "tag warn", "data problems"),
        Outcome::Drift => ("drift", "tag bad", "drift"),
        Outcome::Restricted => ("restricted", "tag bad", "restricted"),
    };
    html!(
        "<div class=\"verdict {}\">{}<h1>{}</h1><ul>{}</ul></div>",
        class,
        tag(tone, word),
        verdict.headline,
        items(&verdict.sentences)
    )
}

/// A word in a box; its tone is a colour.
fn tag(tone: &str, word: &str) -> Html {
    html!("<span class=\"{}\">{}</span>", tone, word)
}
