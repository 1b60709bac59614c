//! `/ui/rollouts/{rollout}/{candidate}`: one candidate, and everything that its verdict rests on.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;

use super::actions::{actions, asked, outcome};
use super::card::{self, Glance};
use super::chart::{Chart, DecisionMark};
use super::decision;
use super::link::rollout_url;
use super::page::{Page, PageSection, live, problem};
use super::rollouts::why;
use super::series::{Choice, chart, choices, usual};
use super::words::{clock, count, deed, interval, number, or_dash, state_sign};
use crate::judge::WindowRow;
use crate::markup::{Html, html};
use crate::plan::Signal;
use crate::serve::entrance::Caller;
use crate::serve::problem::ErrorResponse;
use crate::serve::view::RolloutView;
use crate::serve::{Shared, View};
use crate::verdict::{CommandResult, Decision, RolloutState};

/// The most decisions, and the most answers to commands, on the page.
const DECISIONS_MAX: usize = 50;
const RESULTS_MAX: usize = 10;
/// The most features on the page.
const FEATURES_MAX: usize = 60;

/// What a page may be asked to show.
#[derive(Debug, Default, Deserialize)]
pub(super) struct PageQuery {
    #[serde(default)]
    model: String,
    /// The command that was just sent.
    command: Option<String>,
    /// One more chart: a metric, of a column (empty: of the whole version), against a baseline (empty: any).
    metric: Option<String>,
    #[serde(default)]
    column: String,
    #[serde(default)]
    against: String,
}

/// What the page shows, taken from the view at one moment.
struct RolloutPage {
    known: RolloutView,
    decisions: Vec<Decision>,
    results: Vec<CommandResult>,
    sent: Option<CommandResult>,
    charts: Vec<Chart>,
    choices: Vec<Choice>,
    features: Vec<Feature>,
}

/// A column of the candidate, and how far it is from the baseline.
struct Feature {
    psi: WindowRow,
    ks: Option<f64>,
}

pub(super) async fn rollout(
    State(shared): State<Arc<Shared>>,
    Path((rollout, candidate)): Path<(String, String)>,
    wish: Result<Query<PageQuery>, QueryRejection>,
    caller: Caller,
) -> Response {
    let wish = wish.map(|Query(wish)| wish).unwrap_or_default();
    let glance = Glance::at(&shared);
    let means = |state: &RolloutState| {
        let model = wish.model.is_empty() || wish.model == state.model;
        state.rollout == rollout && state.candidate == candidate && model
    };
    let found = {
        let view = shared.read();
        let known = view.known().find(|known| means(&known.state)).cloned();
        known.map(|known| RolloutPage::of(&view, known, &wish, &glance))
    };
    let Some(shown) = found else {
        let error = format!("no candidate {candidate} in rollout {rollout}");
        let missing = ErrorResponse::new(StatusCode::NOT_FOUND, error, "one appears with its first judged window");
        return problem(&shared, &caller, &missing);
    };
    let state = &shown.known.state;
    let title = format!("{} {} · {}", state_sign(state.state).icon, state.candidate, state.model);
    let main = shown.html(&shared, &caller, &wish, &glance);
    Page::new(PageSection::Rollouts, title, main).answer(&shared, &caller)
}

impl PageQuery {
    fn means(&self, choice: &Choice) -> bool {
        let against = self.against.is_empty() || self.against == choice.number.baseline;
        self.metric.as_ref().is_some_and(|metric| choice.is(metric, &self.column)) && against
    }
}

impl RolloutPage {
    fn of(view: &View, known: RolloutView, wish: &PageQuery, glance: &Glance) -> Self {
        let state = &known.state;
        let of_it = |decision: &&Decision| {
            (&decision.rollout, &decision.model, &decision.candidate)
                == (&state.rollout, &state.model, &state.candidate)
        };
        let decisions: Vec<Decision> = view.decisions().filter(of_it).take(DECISIONS_MAX).cloned().collect();
        let about = |result: &&CommandResult| {
            let command = &result.command;
            let is = |named: &String, name: &String| named.is_empty() || named == name;
            command.rollout == state.rollout
                && is(&command.candidate, &state.candidate)
                && is(&command.model, &state.model)
        };
        let results = view.results().filter(about).take(RESULTS_MAX).cloned().collect();
        let sent = wish.command.as_ref().and_then(|id| view.results().find(|result| result.command.id == *id).cloned());
        let features = features(view, state);
        let choices = choices(view.history(), state);
        let wished = choices.iter().find(|choice| wish.means(choice)).cloned();
        let policy = glance.terms.as_ref().map(|terms| &terms.plan.policy);
        let drifted: Vec<&str> = features.iter().map(|feature| feature.psi.column.as_str()).collect();
        let usual = usual(&choices, policy, &drifted);
        let others = usual.into_iter().filter(|choice| Some(choice) != wished.as_ref()).collect::<Vec<_>>();
        let marks: Vec<DecisionMark> =
            decisions.iter().filter(|one| one.action != Signal::Heartbeat).map(mark).collect();
        let charts = wished
            .iter()
            .chain(&others)
            .map(|choice| Chart { marks: marks.clone(), ..chart(view.history(), state, choice, policy) })
            .collect();
        Self { known, decisions, results, sent, charts, choices, features }
    }

    fn html(&self, shared: &Shared, caller: &Caller, wish: &PageQuery, glance: &Glance) -> Html {
        let state = &self.known.state;
        let sent = wish.command.as_ref().map(|id| outcome(id, self.sent.as_ref())).unwrap_or_default();
        let heading = html!(
            "<h1>{} {} <small>of {}, against {} · rollout {}</small></h1>",
            card::standing_sign(state),
            state.candidate,
            state.model,
            state.baseline,
            state.rollout
        );
        let why = why(&self.known, &self.decisions);
        let state_now = card::framed(&self.known, &card::head(&self.known, &heading, &why, glance));
        let decisions: Vec<&Decision> = self.decisions.iter().collect();
        html!(
            "{}<section id=\"actions\" aria-label=\"Actions\" data-live=\"{}\">{}</section>{}{}{}{}{}",
            live("state", "State", &html!("{}{}", sent, state_now)),
            state.sequence,
            actions(shared, caller, state),
            live("rests", "Evidence so far", &html!("<h2>Evidence so far</h2>{}", card::behind(&self.known, glance))),
            live("said", "Decisions", &html!("<h2>Decisions</h2>{}{}", decision::list(&decisions), self.evidence())),
            live("charts", "Charts", &html!("<h2>{}</h2><div class=\"charts\">{}</div>", self.caption(), self.drawn())),
            self.chooser(wish),
            live("features", "Features", &html!("{}{}", self.ranked(), asked(&self.results))),
        )
    }

    /// The numbers behind the last decision that has any.
    fn evidence(&self) -> Html {
        let last = self.decisions.iter().find(|decision| !decision.evidence.is_empty());
        last.map_or_else(Html::default, |decision| {
            html!(
                "<h3>Evidence of {} at {}</h3>{}",
                deed(decision),
                clock(decision.time),
                decision::evidence(&decision.evidence)
            )
        })
    }

    fn caption(&self) -> String {
        let state = &self.known.state;
        let windows = self.charts.iter().map(|chart| chart.points.len()).max().unwrap_or_default();
        format!("{} and {} over the last {} windows", state.candidate, state.baseline, count(windows as u64))
    }

    fn drawn(&self) -> Html {
        let drawn: Html = self.charts.iter().map(Chart::html).collect();
        if drawn.is_empty() { html!("<p>No window with numbers yet.</p>") } else { drawn }
    }

    /// Another chart, chosen by name.
    fn chooser(&self, wish: &PageQuery) -> Html {
        if self.choices.is_empty() {
            return Html::default();
        }
        let numbers = || self.choices.iter().map(|choice| &choice.number);
        let metrics = numbers().map(|number| number.metric.as_str()).collect();
        let columns = numbers().map(|number| number.column.as_str()).collect();
        let baselines = numbers().map(|number| number.baseline.as_str()).collect();
        let missing = wish.metric.as_ref().filter(|_| !self.choices.iter().any(|choice| wish.means(choice)));
        let missing = missing.map(|metric| html!("<p role=\"status\">There is no {} of that here.</p>", metric));
        let state = &self.known.state;
        let path = rollout_url(&state.rollout, &state.model, &state.candidate);
        html!(
            "{}<form class=\"choose\" method=\"get\" action=\"{}\"><input type=\"hidden\" name=\"model\" value=\"{}\">"
            "<label>Another chart {}</label> <label>of {}</label> <label>against {}</label> <button>Show</button></form>",
            missing,
            path.split('?').next().unwrap_or_default(),
            state.model,
            select("metric", "", wish.metric.as_deref().unwrap_or_default(), &metrics),
            select("column", "the version", &wish.column, &columns),
            select("against", "any", &wish.against, &baselines),
        )
    }

    fn ranked(&self) -> Html {
        if self.features.is_empty() {
            return Html::default();
        }
        let row = |feature: &Feature| {
            let psi = &feature.psi;
            html!(
                "<tr><th scope=\"row\">{}</th><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td>"
                "<td class=\"n\">{}</td><td class=\"n\">{}</td><td>{}</td></tr>",
                psi.column,
                or_dash(psi.value, number),
                psi.low.zip(psi.high).map(|(low, high)| interval(low, high)),
                or_dash(feature.ks, number),
                count(psi.n),
                count(psi.n_baseline),
                psi.baseline
            )
        };
        html!(
            "<h2>Features, most moved first</h2><div class=\"wide\" role=\"region\" aria-label=\"Features\" tabindex=\"0\"><table>"
            "<thead><tr><th>Column</th><th class=\"n\">PSI</th><th class=\"n\">certainly in</th><th class=\"n\">KS</th>"
            "<th class=\"n\">n</th><th class=\"n\">n baseline</th><th>Against</th></tr></thead><tbody>{}</tbody></table></div>",
            self.features.iter().map(row).collect::<Html>()
        )
    }
}

/// A list to choose from; `nothing` is what an empty name is called.
fn select(name: &str, nothing: &str, chosen: &str, names: &BTreeSet<&str>) -> Html {
    let option = |one: &&str| {
        let selected = (*one == chosen).then(|| html!(" selected"));
        html!("<option value=\"{}\"{}>{}</option>", one, selected, if one.is_empty() { nothing } else { one })
    };
    html!("<select name=\"{}\">{}</select>", name, names.iter().map(option).collect::<Html>())
}

fn mark(decision: &Decision) -> DecisionMark {
    let text = format!("decision {}: {}, {}", decision.sequence, deed(decision), decision.reason.text);
    DecisionMark { time: decision.time, id: decision.id.clone(), sequence: decision.sequence, text }
}

/// What a column is best compared with: the baseline version, else what it was trained on, else earlier windows.
fn preference(baseline: &str) -> u8 {
    match baseline {
        "reference" => 1,
        other if other.starts_with("concurrent") => 0,
        _ => 2,
    }
}

/// Columns by how far they are from the baseline, in the newest window; one row for each.
fn features(view: &View, state: &RolloutState) -> Vec<Feature> {
    let of_it = |row: &&WindowRow| {
        row.model == state.model && row.version == state.candidate && row.segment.is_empty() && !row.column.is_empty()
    };
    let about = |row: &WindowRow| (row.column.clone(), row.baseline.clone());
    let of_metric = |name: &'static str| view.windows().filter(of_it).filter(move |row| row.metric == name);
    let ks: BTreeMap<_, _> = of_metric("ks").map(|row| (about(row), row.value)).collect();
    let mut rows: Vec<&WindowRow> = of_metric("psi").collect();
    rows.sort_by_key(|row| preference(&row.baseline));
    let mut seen = BTreeSet::new();
    rows.retain(|row| seen.insert(&row.column));
    rows.sort_by(|a, b| b.value.unwrap_or(-1.0).total_cmp(&a.value.unwrap_or(-1.0)));
    rows.into_iter()
        .take(FEATURES_MAX)
        .map(|row| Feature { ks: ks.get(&about(row)).copied().flatten(), psi: row.clone() })
        .collect()
}
