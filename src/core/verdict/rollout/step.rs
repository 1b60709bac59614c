//! One judged window: what is counted, and in which order the parts of the machine have their say.

use super::{Draft, RolloutState, Standing, State, advance, effect, episodes, people, relax, restrict};
use crate::event::Micros;
use crate::plan::{Plan, RolloutPlan};
use crate::trust::WindowTrust;
use crate::verdict::decision::{Evidence, Exposure};
use crate::verdict::finding::{Finding, Validity, Verdict};
use crate::verdict::judged::JudgedKind;

/// What a judgement says about a candidate beside its evidence.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Window<'a> {
    /// End (event time).
    pub(crate) end: Micros,
    pub(crate) kind: JudgedKind,
    pub(crate) exposure: Exposure,
    /// Requests of all versions that no window before it held.
    pub(crate) requests: u64,
    /// Whether it holds data of the candidate.
    pub(crate) candidate_seen: bool,
    /// Whether it holds data of the baseline version.
    pub(crate) baseline_seen: bool,
    /// Whether no rule of the pipeline has breached in the windows that it looks back on.
    pub(crate) rules_clean: bool,
    /// How far its data is trusted.
    pub(crate) trust: &'a WindowTrust,
}

impl Window<'_> {
    /// Whether something may pass on it.
    pub(crate) fn is_trusted(&self) -> bool {
        !self.trust.is_untrusted()
    }

    fn validity(&self, verdict: &Verdict) -> Validity {
        let seen = self.candidate_seen && self.baseline_seen;
        if seen { verdict.validity } else { Validity::Blind }
    }
}

/// What evidence says, with muted and overruled findings set apart.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a finding of its own")]
pub(crate) struct WeighedFindings {
    /// Findings that count.
    pub(crate) findings: Vec<Finding>,
    /// Findings that are shown only.
    pub(crate) shown: Vec<Finding>,
    /// No finding stands, nothing is suspicious, no rule has breached lately, and the data can be trusted.
    pub(crate) calm: bool,
    /// Calm, and every cause of restriction is refuted.
    pub(crate) cleared: bool,
    pub(crate) suspicious: bool,
    /// Shown to be safe, on data that can be trusted.
    pub(crate) safe: bool,
    /// What was shown beside.
    pub(crate) proofs: Vec<Evidence>,
}

/// Takes a judged window in. Decisions are drafts of what to say, in order.
pub(crate) fn step(state: &mut RolloutState, window: &Window<'_>, verdict: Verdict, whole: &Plan) -> Vec<Draft> {
    let plan = &whole.policy.stages;
    let traffic = window.kind == JudgedKind::Traffic;
    let mut drafts = Vec::new();
    if traffic {
        count(state, window, &verdict, plan);
        drafts.extend(people::expire(state, window.end));
    }
    let heard = hear(state, window, verdict);
    if traffic {
        state.counts.clear = if heard.calm && state.sighted() { state.counts.clear.saturating_add(1) } else { 0 };
        drafts.extend(effect::watch(state, window, plan));
    }
    if state.state.is_live() {
        let restricted = restrict::restrict(state, &heard, plan);
        let free = restricted.is_none() && traffic;
        let lifted = if free { relax::relax(state, &heard, plan) } else { None };
        let (told, note) = tell(state, window, &heard, (restricted, lifted), whole);
        let stays = told.is_none();
        drafts.extend(told.into_iter().chain(note));
        if free {
            drafts.extend(if stays { advance::advance(state, window, &heard, plan) } else { None });
            relax::end_episode(state, plan);
        }
    }
    drafts
}

/// What is decided, and what is to be said of episodes: along with it, or in a note of its own.
fn tell(
    state: &mut RolloutState,
    window: &Window<'_>,
    heard: &WeighedFindings,
    (restricted, lifted): (Option<Draft>, Option<Draft>),
    plan: &Plan,
) -> (Option<Draft>, Option<Draft>) {
    episodes::take_in(state, window, heard, plan);
    if lifted.is_some() {
        episodes::tell_all_over(state);
    }
    let news = episodes::news(state, window.end, plan);
    if let Some(mut draft) = restricted {
        episodes::tell_with(state, &mut draft, &news, heard, window.end);
        return (Some(draft), None);
    }
    (lifted, episodes::note(state, &news, heard, window.end, plan))
}

/// Counts a window.
fn count(state: &mut RolloutState, window: &Window<'_>, verdict: &Verdict, plan: &RolloutPlan) {
    let is_live = state.state.is_live();
    state.validity = if is_live { window.validity(verdict) } else { Validity::Valid };
    state.trust = if is_live { window.trust.clone() } else { WindowTrust::default() };
    state.declared_pct = window.exposure.declared_pct.or(state.declared_pct);
    state.observed_pct = window.exposure.observed_pct;
    let one_more = |count: u32, counts: bool| if counts { count.saturating_add(1) } else { 0 };
    let trusted = window.is_trusted();
    let counts = &mut state.counts;
    counts.in_state = counts.in_state.saturating_add(1);
    counts.untrusted_in_state = counts.untrusted_in_state.saturating_add(u32::from(!trusted));
    counts.warm = counts.warm.saturating_add(u32::from(window.candidate_seen && trusted));
    counts.blind = one_more(counts.blind, state.validity == Validity::Blind);
    counts.idle = one_more(counts.idle, state.observed_pct <= plan.share_epsilon_pct);
    counts.stable = if trusted { one_more(counts.stable, counts.stable > 0) } else { counts.stable };
    advance::find_step(state, trusted, plan);
}

/// Sorts what evidence says.
fn hear(state: &mut RolloutState, window: &Window<'_>, verdict: Verdict) -> WeighedFindings {
    let (findings, mut shown) = people::mute(&state.people.mutes, verdict.findings);
    stand(state, window.kind, &findings);
    let people = &state.people;
    let (overruled, findings): (Vec<_>, Vec<_>) =
        findings.into_iter().partition(|finding| people::overruled(people, finding));
    shown.extend(overruled);
    let suspicious = verdict.suspicious && state.people.overruled.is_empty();
    let trusted = window.is_trusted();
    let calm = state.standing.is_empty() && !verdict.suspicious && window.rules_clean && trusted;
    state.waits_for = verdict.waits_for;
    if !trusted {
        state.waits_for.insert(0, format!("a window that can be trusted: {}", window.trust.in_words()));
    }
    WeighedFindings {
        findings,
        shown,
        calm,
        cleared: calm && verdict.cleared,
        suspicious,
        safe: verdict.safe && state.validity == Validity::Valid && trusted,
        proofs: verdict.proofs,
    }
}

/// Notes for how many judgements of this kind in a row each finding has stood.
fn stand(state: &mut RolloutState, kind: JudgedKind, findings: &[Finding]) {
    let kind = kind as u8;
    let (before, mut standing): (Vec<_>, Vec<_>) =
        std::mem::take(&mut state.standing).into_iter().partition(|one| one.kind == kind);
    for finding in findings {
        let known = before.iter().find(|one| one.source == finding.source);
        let windows = known.map_or(0, |one| one.windows).saturating_add(1);
        standing.push(Standing { source: finding.source.clone(), kind, action: finding.action, windows });
    }
    standing.sort_by(|a, b| (a.kind, &a.source).cmp(&(b.kind, &b.source)));
    state.people.overruled.retain(|(source, _)| standing.iter().any(|one| one.source == *source));
    state.standing = standing;
}

impl RolloutState {
    /// Whether data can be trusted to show that nothing is wrong.
    pub(crate) fn sighted(&self) -> bool {
        self.validity != Validity::Blind
    }

    /// Whether anybody is asked, or has said that nothing is to move.
    pub(crate) fn waits(&self) -> bool {
        self.pending.is_some() || self.frozen() || self.people.pinned
    }

    /// Whether it has served too little to be judged.
    pub(crate) fn is_new(&self) -> bool {
        matches!(self.state, State::Registered | State::Warming)
    }
}
