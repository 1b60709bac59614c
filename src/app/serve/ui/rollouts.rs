//! `/ui`: every rollout, most urgent first.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;

use super::card::{self, Glance, card};
use super::decision;
use super::page::{Page, PageSection, live};
use super::words::{NEEDS_SOMEBODY, count, need, state_sign, time, validity_sign};
use crate::markup::{Html, html};
use crate::serve::Shared;
use crate::serve::entrance::Caller;
use crate::serve::view::{JudgedUpto, RolloutView};
use crate::verdict::Decision;

/// The most rollouts on the page, and the most of the last decisions.
const ROLLOUTS_MAX: usize = 100;
const DECISIONS_MAX: usize = 10;

pub(super) async fn rollouts(State(shared): State<Arc<Shared>>, caller: Caller) -> Response {
    let (mut known, decisions, judged) = {
        let view = shared.read();
        let known: Vec<RolloutView> = view.known().cloned().collect();
        let decisions: Vec<Decision> = view.decisions().cloned().collect();
        (known, decisions, view.progress())
    };
    known.sort_by_key(|known| need(&known.state));
    let (worlds, candidates): (Vec<_>, Vec<_>) = known.iter().partition(|known| known.state.is_world());
    let urgent = candidates.iter().filter(|known| need(&known.state) <= NEEDS_SOMEBODY).count();
    let glance = Glance::at(&shared);
    let cards: Html = candidates.iter().take(ROLLOUTS_MAX).map(|known| listed(known, &decisions, &glance)).collect();
    let content = html!(
        "<h1>{}</h1>{}{}{}",
        headline(urgent, candidates.len(), judged),
        cards,
        more(candidates.len()),
        world(&worlds)
    );
    let last: Vec<&Decision> = decisions.iter().take(DECISIONS_MAX).collect();
    let main = html!(
        "{}{}",
        live("rollouts", "Rollouts", &content),
        live("decisions", "Last decisions", &html!("<h2>Last decisions</h2>{}", decision::list(&last)))
    );
    let title = if urgent > 0 { format!("▲ {urgent} · Rollouts") } else { "Rollouts".to_owned() };
    Page::new(PageSection::Rollouts, title, main).answer(&shared, &caller)
}

/// The most important thing first.
fn headline(urgent: usize, candidates: usize, judged: JudgedUpto) -> Html {
    match (urgent, candidates) {
        (_, 0) if judged.windows == 0 => html!("No window has been judged yet"),
        (_, 0) => html!("No candidate is being rolled out"),
        (0, 1) => html!("The rollout needs nobody"),
        (0, all) => html!("None of {} rollouts needs anybody", count(all as u64)),
        (1, 1) => html!("The rollout needs somebody"),
        (urgent, all) => html!("{} of {} rollouts need somebody", count(urgent as u64), count(all as u64)),
    }
}

fn listed(known: &RolloutView, decisions: &[Decision], glance: &Glance) -> Html {
    let state = &known.state;
    let heading = html!(
        "<h2>{} {} <small>of {}, against {} · rollout {}</small></h2>",
        card::standing_sign(state),
        card::name(state),
        state.model,
        state.baseline,
        state.rollout
    );
    card(known, &heading, &why(known, decisions), glance)
}

/// Why things stand as they do: the reason of the decision in force.
pub(super) fn why(known: &RolloutView, decisions: &[Decision]) -> String {
    let in_force = known.state.in_force.last();
    let said = decisions.iter().find(|decision| Some(&decision.id) == in_force);
    said.map(|decision| decision.reason.text.clone()).unwrap_or_default()
}

fn more(candidates: usize) -> Html {
    match candidates.saturating_sub(ROLLOUTS_MAX) {
        0 => Html::default(),
        more => html!("<p>{} more: <a href=\"/v1/rollouts\">all as JSON</a></p>", count(more as u64)),
    }
}

/// Baseline versions, which are watched for what the world does.
fn world(worlds: &[&RolloutView]) -> Html {
    if worlds.is_empty() {
        return Html::default();
    }
    let line = |known: &&RolloutView| {
        let state = &known.state;
        html!(
            "<li>{} of {}: {} data {} <small>judged up to {}</small></li>",
            card::name(state),
            state.model,
            state_sign(state.state).html(),
            validity_sign(state.validity).html(),
            time(state.judged_upto.0)
        )
    };
    let lines: Html = worlds.iter().map(line).collect();
    html!("<h2>Baseline versions</h2><ul class=\"plain-list\">{}</ul>", lines)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::RolloutState;

    fn known(candidate: &str) -> RolloutView {
        RolloutView { state: RolloutState::new("r", "m<1>", candidate, "v1"), ledger: Vec::new() }
    }

    #[test]
    fn the_headline_says_whether_anybody_is_needed() {
        let judged = |windows| JudgedUpto { windows, upto: 0 };
        for (urgent, candidates, windows, text) in [
            (0, 0, 0, "No window has been judged yet"),
            (0, 0, 5, "No candidate is being rolled out"),
            (0, 1, 5, "The rollout needs nobody"),
            (0, 1_200, 5, "None of 1,200 rollouts needs anybody"),
            (1, 1, 5, "The rollout needs somebody"),
            (1, 2, 5, "1 of 2 rollouts need somebody"),
        ] {
            assert_eq!(headline(urgent, candidates, judged(windows)).into_string(), text);
        }
    }

    #[test]
    fn rollouts_beyond_the_page_are_counted() {
        assert!(more(ROLLOUTS_MAX).is_empty());
        assert!(more(ROLLOUTS_MAX + 1_234).into_string().starts_with("<p>1,234 more: "));
    }

    #[test]
    fn the_reason_is_that_of_the_last_decision_in_force() {
        let line = include_str!("../../../../tests/data/recorded/flights.decisions.jsonl").lines().next();
        let decision: Decision = serde_json::from_str(line.expect("a line")).expect("a decision");
        let mut rollout = known("v2");
        assert_eq!(why(&rollout, std::slice::from_ref(&decision)), "");
        rollout.state.in_force = vec![decision.id.clone(), "b3:newer".to_owned()];
        assert_eq!(why(&rollout, std::slice::from_ref(&decision)), "", "the newer one is not known here");
        rollout.state.in_force.pop();
        assert_eq!(why(&rollout, std::slice::from_ref(&decision)), decision.reason.text);
    }

    #[test]
    fn baseline_versions_are_listed_apart() {
        assert!(world(&[]).is_empty());
        let text = world(&[&known("v1")]).into_string();
        assert!(text.contains("Baseline versions") && text.contains("of m&lt;1&gt;: "), "{text}");
        assert!(text.contains("judged up to never"), "{text}");
    }
}
