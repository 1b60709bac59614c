//! How things are called and shown: states with a word and a sign beside the colour, times, numbers, and what to do.

use std::time::Duration;

use crate::event::Micros;
use crate::markup::{Html, html};
use crate::metric;
pub(super) use crate::output::text::{count, interval, number, or_dash, plural, short_id, time_of_day};
use crate::plan::{Action, Signal};
use crate::trust::Trust;
use crate::verdict::{Decision, Permission, RolloutState, State, Validity, Word};

/// A word with a sign before it; its tone is a colour class, and never says anything that sign and word do not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SignedWord {
    pub(super) icon: &'static str,
    pub(super) word: &'static str,
    pub(super) tone: &'static str,
}

const fn sign(icon: &'static str, word: &'static str, tone: &'static str) -> SignedWord {
    SignedWord { icon, word, tone }
}

impl SignedWord {
    pub(super) fn html(self) -> Html {
        html!("<span class=\"sign {}\"><span aria-hidden=\"true\">{}</span> {}</span>", self.tone, self.icon, self.word)
    }
}

pub(super) fn state_sign(state: State) -> SignedWord {
    match state {
        State::Registered => sign("○", "REGISTERED", "off"),
        State::Warming => sign("◔", "WARMING", "calm"),
        State::Observing => sign("●", "OBSERVING", "calm"),
        State::Suspect => sign("▲", "SUSPECT", "watch"),
        State::Held => sign("■", "HELD", "watch"),
        State::Contained => sign("◆", "CONTAINED", "bad"),
        State::RollingBack => sign("◀", "ROLLING BACK", "bad"),
        State::RolledBack => sign("✕", "ROLLED BACK", "bad"),
        State::Passed => sign("✓", "PASSED", "good"),
        State::Baking => sign("◕", "BAKING", "good"),
        State::Stable => sign("★", "STABLE", "good"),
        State::Superseded => sign("–", "SUPERSEDED", "off"),
        State::Retired => sign("–", "RETIRED", "off"),
    }
}

pub(super) fn word_sign(word: Word) -> SignedWord {
    match word {
        Word::Pass => sign("✓", "PASS", "good"),
        Word::Fail => sign("✕", "FAIL", "bad"),
        Word::Wait => sign("●", "WAIT", "calm"),
        Word::Blind => sign("◌", "BLIND", "watch"),
    }
}

pub(super) fn validity_sign(validity: Validity) -> SignedWord {
    match validity {
        Validity::Valid => sign("✓", "VALID", "good"),
        Validity::Degraded => sign("◐", "DEGRADED", "watch"),
        Validity::Blind => sign("◌", "BLIND", "bad"),
    }
}

pub(super) fn trust_sign(trust: Trust) -> SignedWord {
    match trust {
        Trust::Ok => sign("✓", "OK", "good"),
        Trust::Degraded => sign("◐", "DEGRADED", "watch"),
        Trust::Untrusted => sign("✕", "UNTRUSTED", "bad"),
    }
}

/// How far the last window is trusted, and why not further.
pub(super) fn trust_of(state: &RolloutState) -> Html {
    let why = state.trust.in_words();
    let why = if why.is_empty() { Html::default() } else { html!(" <small>{}</small>", why) };
    html!("{}{}", trust_sign(state.trust.level).html(), why)
}

pub(super) fn signal_sign(signal: Signal) -> SignedWord {
    match signal {
        Signal::Observe => sign("●", "observe", "calm"),
        Signal::Warn => sign("▲", "warn", "watch"),
        Signal::Hold => sign("■", "hold", "watch"),
        Signal::Contain => sign("◆", "contain", "bad"),
        Signal::Rollback => sign("◀", "rollback", "bad"),
        Signal::PromoteOk => sign("✓", "promote_ok", "good"),
        Signal::Resume => sign("▶", "resume", "good"),
        Signal::Retract => sign("↺", "retract", "calm"),
        Signal::Freeze => sign("❄", "freeze", "watch"),
        Signal::Unfreeze => sign("●", "unfreeze", "calm"),
        Signal::Heartbeat => sign("♥", "heartbeat", "calm"),
    }
}

pub(super) fn action_name(action: Action) -> &'static str {
    Signal::from(action).name()
}

/// A point of event time, for machines too.
pub(super) fn time(at: Micros) -> Html {
    if at == Micros::MIN {
        return html!("never");
    }
    let text = crate::output::text::instant(at).replace(" UTC", "");
    let exact = if text.len() == "2026-01-05 09:05".len() { format!("{text}:00") } else { text };
    let second = exact.split('.').next().unwrap_or(&exact).to_owned();
    html!("<time datetime=\"{}Z\">{} UTC</time>", exact.replace(' ', "T"), second)
}

/// The time of day, with its zone.
pub(super) fn clock(at: Micros) -> String {
    format!("{} UTC", time_of_day(at))
}

/// A span of time in its largest two units: `2 h 5 min`.
pub(super) fn span(length: Duration) -> String {
    const UNITS: [(u64, &str); 4] = [(86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")];
    let seconds = length.as_secs();
    let Some(at) = UNITS.iter().position(|(size, _)| seconds >= *size) else {
        return format!("{} ms", length.as_millis());
    };
    let (size, unit) = UNITS[at];
    match UNITS.get(at + 1).map(|(smaller, name)| (seconds % size / smaller, name)) {
        Some((rest, name)) if rest > 0 => format!("{} {unit} {rest} {name}", seconds / size),
        _ => format!("{} {unit}", seconds / size),
    }
}

/// So many windows, and how long they are where that is known.
pub(super) fn windows(n: u32, every: Option<Duration>) -> String {
    let windows = plural(u64::from(n), "window");
    match every {
        Some(every) if n > 0 => format!("{windows} ({})", span(every * n)),
        _ => windows,
    }
}

/// A share in percent.
pub(super) fn percent(share: f64) -> String {
    let text = format!("{share:.1}");
    format!("{} %", text.strip_suffix(".0").unwrap_or(&text))
}

/// A metric's value in its unit.
pub(super) fn value(name: &str, value: f64) -> String {
    match metric::find(name).map(|metric| metric.spec().unit) {
        Some("ratio") => format!("{} %", number(value * 100.0)),
        Some("ms") => format!("{} ms", number(value)),
        _ => number(value),
    }
}

/// A metric and what it is of.
pub(super) fn metric_of(name: &str, column: &str, segment: &str) -> String {
    let of = if column.is_empty() { String::new() } else { format!(" of {column}") };
    let place = if segment.is_empty() { String::new() } else { format!(" in {segment}") };
    format!("{name}{of}{place}")
}

/// What a decision does, in three words.
pub(super) fn deed(decision: &Decision) -> String {
    format!("{} {}", decision.action.name(), object(decision))
}

/// What a decision is done to.
pub(super) fn object(decision: &Decision) -> String {
    let candidate = &decision.candidate;
    match (decision.action, decision.cap_pct) {
        (Signal::Contain | Signal::PromoteOk | Signal::Resume, Some(cap)) => format!("{candidate} to {}", percent(cap)),
        (Signal::Rollback, _) => format!("{candidate} to {}", decision.baseline),
        _ => candidate.clone(),
    }
}

/// A decision in one line.
pub(in crate::serve) fn sentence(decision: &Decision) -> String {
    format!("{} {}: {}", clock(decision.time), deed(decision), decision.reason.text)
}

/// How soon somebody should look, most urgent first.
pub(super) fn need(state: &RolloutState) -> u8 {
    if state.pending.is_some() {
        0
    } else if state.is_world() || !state.state.is_live() && state.state != State::RolledBack {
        9
    } else {
        match (state.state.severity(), unseen(state)) {
            (Action::Rollback | Action::Contain, true) => 1,
            (Action::Contain, _) => 2,
            (Action::Hold, _) => 3,
            _ if lacks_data(state) => 4,
            (Action::Warn, _) => 5,
            (Action::Rollback, _) => 7,
            _ => 8,
        }
    }
}

/// Whether it cannot be judged; what is judged no more lacks nothing.
fn lacks_data(state: &RolloutState) -> bool {
    state.validity == Validity::Blind && state.state.is_live()
}

/// The least need that calls for somebody.
pub(super) const NEEDS_SOMEBODY: u8 = 4;

/// Whether a restriction was asked for and traffic does not show it yet.
fn unseen(state: &RolloutState) -> bool {
    state.effect.as_ref().is_some_and(|effect| effect.seen_at.is_none())
}

/// What the reader should do, in one sentence.
pub(super) fn advice(state: &RolloutState, permission: &Permission) -> String {
    let observed = percent(state.observed_pct);
    if let Some(pending) = &state.pending {
        let until = clock(pending.deadline);
        return format!("Approve or reject {}: it waits until {until}, then exposure is held.", pending.signal.name());
    }
    if let Some(until) = state.people.frozen_until {
        return format!("Frozen by a person: no decision is carried out until {}.", clock(until));
    }
    if let Some(effect) = state.effect.as_ref().filter(|effect| effect.seen_at.is_none()) {
        let (cap, candidate) = (percent(effect.cap_pct), &state.candidate);
        return if effect.issued {
            format!("Check the router: {observed} of traffic still goes to {candidate}, {cap} is allowed.")
        } else {
            format!(
                "Lower {candidate} to {cap} by hand: {observed} of traffic goes to it, and no machine may act on this."
            )
        };
    }
    if lacks_data(state) {
        return "Check the data: the last window lacked the candidate's or the baseline's.".to_owned();
    }
    match state.state {
        State::RolledBack => {
            format!("Nothing now: traffic is back on {}. Clear the denial to try again.", state.baseline)
        }
        State::RollingBack => format!("Nothing now: traffic is going back to {}.", state.baseline),
        State::Contained => "Look at the evidence; then resume, or force the rollback.".to_owned(),
        State::Held => "Look at the evidence; exposure does not rise until it clears or somebody resumes.".to_owned(),
        State::Suspect => "Nothing yet: what speaks against it is being confirmed.".to_owned(),
        State::Passed => match (permission.word, permission.cap_pct) {
            (Word::Pass, Some(cap)) => format!("Exposure may rise to {}.", percent(cap)),
            _ => format!("Leave exposure where it is: {}.", permission.reason),
        },
        State::Baking if !state.people.passed => {
            "Promote it or roll it back: it serves everybody, but was never passed.".to_owned()
        }
        State::Baking => "Nothing: it serves everybody and is being watched.".to_owned(),
        State::Stable => "Nothing: it has replaced the baseline.".to_owned(),
        State::Superseded | State::Retired => "Nothing: it is over.".to_owned(),
        State::Registered | State::Warming | State::Observing => "Nothing: no evidence against it acts.".to_owned(),
    }
}

/// A restriction that traffic does not show yet.
#[cfg(test)]
pub(super) fn unseen_effect() -> crate::verdict::rollout::Effect {
    crate::verdict::rollout::Effect {
        decision: String::new(),
        asked_at: 0,
        cap_pct: 5.0,
        issued: true,
        acked: false,
        refused: false,
        requests: 0,
        unseen: 1,
        reassert_at: 3,
        reasserted: 0,
        seen_at: None,
        took_us: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::rollout::Effect;

    #[test]
    fn spans_are_told_in_two_units() {
        let cases = [(59, "59 s"), (60, "1 min"), (125, "2 min 5 s"), (7_500, "2 h 5 min"), (86_400, "1 d")];
        for (seconds, text) in cases {
            assert_eq!(span(Duration::from_secs(seconds)), text);
        }
        assert_eq!(span(Duration::from_millis(20)), "20 ms");
    }

    #[test]
    fn times_are_for_machines_too() {
        let shown = |at| time(at).into_string();
        assert_eq!(shown(0), "<time datetime=\"1970-01-01T00:00:00Z\">1970-01-01 00:00:00 UTC</time>");
        assert_eq!(shown(Micros::MIN), "never");
        assert_eq!(clock(1_767_603_600_000_000), "09:00:00 UTC");
    }

    #[test]
    fn whoever_needs_somebody_is_never_told_that_there_is_nothing_to_do() {
        let effects = [None, Some(true), Some(false)];
        let wait = Permission { word: Word::Wait, cap_pct: None, reason: String::new() };
        for at in State::ALL {
            for validity in [Validity::Valid, Validity::Degraded, Validity::Blind] {
                for (effect, frozen) in effects.into_iter().flat_map(|effect| [(effect, None), (effect, Some(9))]) {
                    let mut state = RolloutState::new("r", "m", "v2", "v1");
                    (state.state, state.validity, state.people.frozen_until) = (at, validity, frozen);
                    state.effect = effect.map(|issued| Effect { issued, ..unseen_effect() });
                    let (needs, told) = (need(&state) <= NEEDS_SOMEBODY, advice(&state, &wait));
                    assert!(!(needs && told.starts_with("Nothing")), "{at:?} {validity:?} {effect:?}: {told}");
                }
            }
        }
        let ended = RolloutState {
            state: State::RolledBack,
            validity: Validity::Blind,
            ..RolloutState::new("r", "m", "v2", "v1")
        };
        assert!(need(&ended) > NEEDS_SOMEBODY && advice(&ended, &wait).starts_with("Nothing now"));
    }

    #[test]
    fn no_two_states_share_sign_and_word() {
        let mut shown: Vec<_> = State::ALL.iter().map(|state| state_sign(*state)).map(|sign| sign.word).collect();
        shown.sort_unstable();
        shown.dedup();
        assert_eq!(shown.len(), State::ALL.len());
    }

    #[test]
    fn shares_lose_no_digit_that_says_something() {
        assert_eq!([percent(20.0), percent(19.84), percent(0.0)], ["20 %", "19.8 %", "0 %"]);
        assert_eq!(value("error_rate", 0.0184), "1.84 %");
    }
}
