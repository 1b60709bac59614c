//! A candidate at a glance: where it stands, what to do, and how much evidence there is.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::time::Duration;

use super::link::rollout_url;
use super::words::{
    action_name, advice, clock, number, percent, plural, span, state_sign, time, trust_of, validity_sign, windows,
    word_sign,
};
use crate::event::stable_hash;
use crate::markup::{Html, html};
use crate::plan::Action;
use crate::serve::Shared;
use crate::serve::verdict::AnswerTerms;
use crate::serve::view::RolloutView;
use crate::verdict::decision::{Account, LedgerEntry};
use crate::verdict::rollout::Mute;
use crate::verdict::{GuardName, Permission, RolloutState, Word};

/// What cards are read against.
pub(super) struct Glance {
    pub(super) terms: Option<AnswerTerms>,
}

impl Glance {
    pub(super) fn at(shared: &Shared) -> Self {
        Self { terms: shared.terms() }
    }

    /// What tools are told that ask about any step up.
    fn permission(&self, state: &RolloutState) -> Permission {
        let wait = || Permission { word: Word::Wait, cap_pct: None, reason: "no pipeline runs here yet".to_owned() };
        self.terms.as_ref().map_or_else(wait, |terms| terms.permission(state, None))
    }

    fn every(&self) -> Option<Duration> {
        self.terms.as_ref()?.every()
    }

    fn authority(&self, state: &RolloutState) -> &'static str {
        match &self.terms {
            _ if state.people.frozen_until.is_some() => "FROZEN",
            Some(terms) => terms.plan.policy.authority.name(),
            None => "–",
        }
    }
}

/// The card's own name on a page, the same after every update.
fn anchor(state: &RolloutState) -> String {
    let name = [state.rollout.as_str(), &state.model, &state.candidate].join("\0");
    format!("r{:016x}", stable_hash(name.as_bytes()))
}

/// What a candidate is called, with the way to its page.
pub(super) fn name(state: &RolloutState) -> Html {
    let url = rollout_url(&state.rollout, &state.model, &state.candidate);
    html!("<a id=\"{}\" href=\"{}\">{}</a>", anchor(state), url, state.candidate)
}

/// The state's sign, and whether it is no more than asked for yet.
pub(super) fn standing_sign(state: &RolloutState) -> Html {
    let sign = state_sign(state.state).html();
    if state.pending.is_some() { html!("{} <small>if approved</small>", sign) } else { sign }
}

/// The whole card, under a heading that is given.
pub(super) fn card(known: &RolloutView, heading: &Html, why: &str, glance: &Glance) -> Html {
    framed(known, &html!("{}{}", head(known, heading, why, glance), behind(known, glance)))
}

/// A card with this in it.
pub(super) fn framed(known: &RolloutView, content: &Html) -> Html {
    html!("<article class=\"card {}\">{}</article>", state_sign(known.state.state).tone, content)
}

/// Where it stands, and what to do.
pub(super) fn head(known: &RolloutView, heading: &Html, why: &str, glance: &Glance) -> Html {
    let why = (!why.is_empty()).then(|| html!("<p class=\"why\">{}</p>", why));
    let permission = glance.permission(&known.state);
    let todo = advice(&known.state, &permission);
    html!("{}<p class=\"todo\">{}</p>{}{}", heading, todo, why, facts(known, glance, &permission))
}

/// What that rests on.
pub(super) fn behind(known: &RolloutView, glance: &Glance) -> Html {
    html!("{}{}", evidence(&known.ledger, &acting(&known.state)), notes(known, &glance.permission(&known.state).reason))
}

fn fact(name: &str, value: &Html) -> Html {
    html!("<div><dt>{}</dt><dd>{}</dd></div>", name, value)
}

fn facts(known: &RolloutView, glance: &Glance, permission: &Permission) -> Html {
    let state = &known.state;
    html!(
        "<dl class=\"facts\">{}{}{}{}{}{}{}</dl>",
        fact("Verdict", &word_sign(permission.word).html()),
        fact("Data", &validity_sign(state.validity).html()),
        fact("Trust", &trust_of(state)),
        fact("Authority", &html!("{}", glance.authority(state))),
        fact("Exposure", &exposure(state, permission.cap_pct)),
        fact("In this state", &html!("{}", windows(state.counts.in_state, glance.every()))),
        fact("Judged up to", &time(state.judged_upto.0)),
    )
}

fn exposure(state: &RolloutState, cap_pct: Option<f64>) -> Html {
    let declared =
        state.declared_pct.map_or_else(|| "not declared".to_owned(), |share| format!("{} declared", percent(share)));
    let cap = cap_pct.map_or_else(|| "no cap".to_owned(), |cap| format!("at most {}", percent(cap)));
    html!("<b>{}</b> seen, {}, {}", percent(state.observed_pct), declared, cap)
}

/// An e-value for people: below one it says nothing, far above what acts only its size matters.
fn e_value(value: f64) -> String {
    if value < 1.0 {
        "below 1".to_owned()
    } else if value < 1e5 {
        number(value)
    } else {
        format!("10^{}", number(libm::log10(value).floor()))
    }
}

/// The guards that call for a restriction of a candidate that is judged.
fn acting(state: &RolloutState) -> Vec<GuardName> {
    let acts = state.standing.iter().filter(|one| state.state.is_live() && one.action >= Action::Hold);
    acts.filter_map(|one| one.source.known()).collect()
}

/// Whether there is anything to weigh: a guard that has nothing to look at, such as drift without a reference, has no
/// line.
fn is_weighed(entry: &LedgerEntry) -> bool {
    entry.e_value > 0.0 || Account::of(&entry.name).is_some_and(|(_, account)| account.speaks_for)
}

/// What has become of evidence that is enough: it acts where its guard has found something, and nothing acts on what is
/// judged no more, lacks windows or is refuted.
fn outcome(entry: &LedgerEntry, acting: &[GuardName]) -> Html {
    if entry.e_value < entry.threshold {
        return Html::default();
    }
    match Account::of(&entry.name) {
        Some((_, account)) if account.speaks_for => html!(" <b>shown</b>"),
        Some((guard, _)) if acting.contains(&guard) => html!(" <b>acts</b>"),
        _ => html!(" <small>enough, but nothing acts on it</small>"),
    }
}

/// How much evidence stands, against what acts; on a logarithmic scale, as evidence multiplies. `acting` are the guards
/// that call for a restriction.
pub(super) fn evidence(ledger: &[LedgerEntry], acting: &[GuardName]) -> Html {
    let weighed: Vec<&LedgerEntry> = ledger.iter().filter(|entry| is_weighed(entry)).collect();
    if weighed.is_empty() {
        return Html::default();
    }
    let line = |entry: &&LedgerEntry| {
        let account = Account::of(&entry.name).map(|(_, account)| account);
        let side = if account.is_some_and(|account| account.speaks_for) { "for" } else { "against" };
        let what = account.map_or("a guard of another build", |account| account.shows);
        let share = libm::log(entry.e_value.max(1.0)) / libm::log(entry.threshold.max(1.1));
        html!(
            "<tr><th scope=\"row\">{} <small>{}: {}</small></th>"
            "<td class=\"bar\"><svg aria-hidden=\"true\"><rect class=\"of\" width=\"100%\" height=\"100%\"/>"
            "<rect class=\"{}\" width=\"{}%\" height=\"100%\"/></svg></td><td>{} of {}{}</td></tr>",
            entry.name,
            side,
            what,
            side,
            number((share * 100.0).clamp(0.0, 100.0).round()),
            e_value(entry.e_value),
            e_value(entry.threshold),
            outcome(entry, acting),
        )
    };
    let lines: Html = weighed.iter().map(line).collect();
    html!(
        "<table class=\"ledger\"><caption class=\"unseen\">Evidence so far, and how much of it acts</caption>"
        "<thead class=\"unseen\"><tr><th>evidence</th><th>share of what acts</th><th>e-value</th></tr></thead>"
        "<tbody>{}</tbody></table>",
        lines
    )
}

/// What stands against it, why tools are told what they are told, who is asked.
fn notes(known: &RolloutView, why: &str) -> Html {
    let state = &known.state;
    let note = |what: &str, text: &str| html!("<li><b>{}</b> {}</li>", what, text);
    let mut notes = Vec::new();
    if let Some(pending) = &state.pending {
        let granted = if pending.granted.is_empty() { "nobody yet".to_owned() } else { pending.granted.join(", ") };
        let text = format!("{} until {}; approved by {granted}", pending.signal.name(), clock(pending.deadline));
        notes.push(note("Waits for approval:", &text));
    }
    notes.extend(kept(state).map(|text| note("Kept:", &text)));
    if !state.standing.is_empty() {
        notes.push(note("Stands against it:", &standing(state)));
    }
    notes.push(note("Tools are told:", why));
    let muted = |mute: &Mute| note("Muted:", &format!("{} until {}", mute.metric, clock(mute.until)));
    notes.extend(state.people.mutes.iter().map(muted));
    html!("<ul class=\"notes\">{}</ul>", notes.into_iter().collect::<Html>())
}

/// How long the restriction in force took to be seen in traffic.
fn kept(state: &RolloutState) -> Option<String> {
    let effect = state.effect.as_ref()?;
    let took = Duration::from_micros(effect.took_us?.unsigned_abs());
    Some(format!("traffic was at or below {} {} after the decision", percent(effect.cap_pct), span(took)))
}

/// What stands against a candidate, the most severe first; each source once.
fn standing(state: &RolloutState) -> String {
    let mut all: Vec<_> = state.standing.iter().collect();
    all.sort_by_key(|one| (Reverse(one.action), Reverse(one.windows)));
    let mut named = BTreeSet::new();
    all.retain(|one| named.insert(&one.source));
    let told = all
        .iter()
        .map(|one| format!("{} ({}, {})", one.source, action_name(one.action), plural(one.windows.into(), "window")));
    told.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::super::words::unseen_effect;
    use super::*;
    use crate::verdict::rollout::Effect;

    fn entry(account: &str, e_value: f64) -> LedgerEntry {
        LedgerEntry { name: account.to_owned(), alpha: 0.01, e_value, threshold: 100.0 }
    }

    fn told(account: &str, e_value: f64, acting: &[GuardName]) -> String {
        evidence(&[entry(account, e_value)], acting).into_string()
    }

    #[test]
    fn evidence_acts_only_where_its_guard_calls_for_something() {
        let acts = "<b>acts</b>";
        assert!(told("calibration", 1e23, &[GuardName::Calibration]).contains(acts));
        let idle = told("calibration", 1e23, &[GuardName::Drift]);
        assert!(idle.contains("10^23 of 100") && idle.contains("nothing acts on it") && !idle.contains(acts), "{idle}");
        assert!(told("safe", 1e3, &[]).contains("<b>shown</b>"));
        assert!(!told("contain", 99.0, &[GuardName::Guardrails]).contains(acts));
        assert!(told("contain", 100.0, &[GuardName::Guardrails]).contains(acts));
    }

    #[test]
    fn how_long_a_restriction_took_is_told_once_traffic_shows_it() {
        let mut state = RolloutState::new("r", "m", "v2", "v1");
        assert_eq!(kept(&state), None);
        state.effect = Some(unseen_effect());
        assert_eq!(kept(&state), None, "traffic does not show it yet");
        state.effect = Some(Effect { seen_at: Some(1), took_us: Some(185_000_000), ..unseen_effect() });
        let told = kept(&state).expect("it took a while");
        assert_eq!(told, "traffic was at or below 5 % 3 min 5 s after the decision");
    }

    #[test]
    fn what_looks_at_nothing_has_no_bar() {
        for account in ["drift", "drift in segments", "volume"] {
            assert_eq!(told(account, 0.0, &[]), "");
        }
        assert!(told("safe", 0.0, &[]).contains("below 1 of 100"));
    }
}
