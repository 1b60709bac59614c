//! Episodes: what is found is told once, whatever is in force.
//!
//! How severe a rollout is and what is said about it are two things. Every number that a rule or guard finds opens an
//! *episode*. It is told once: with the decision of its window if there is one, else by a note, which changes nothing
//! that is in force. It is told again when it has doubled or turned round, at the earliest a day later. That it is over
//! is told along with other news, or when nothing was said for a day. What opens in one window goes into one message.
//!
//! One cause shows in many numbers. A finding is *covered*, and told only if it outlasts the one that covers it, by an
//! episode of the same number from another guard, of the same number over all traffic, of its column where it is a
//! distance over the whole column, and of its cause where both began within [`ATTACHED`] windows. A rule is a bound
//! that somebody chose, and only the same rule over all traffic covers it.
//!
//! What is muted opens none. What a person overruled does not act any more, and is told like anything else.
//! **State**: at most [`EPISODES_MAX`] records per candidate; beyond them a guard's findings share one.

use super::step::{WeighedFindings, Window};
use super::{Draft, Episode, RolloutState};
use crate::event::{Micros, SECOND};
use crate::metric::{self, MetricSubject};
use crate::name::NameOf;
use crate::plan::{ColumnRole, Plan, Signal};
use crate::reason::ReasonCode;
use crate::verdict::decision::{Evidence, Reason, Remark, Severity, Test};
use crate::verdict::finding::Finding;
use crate::verdict::reason;
use crate::verdict::words;

/// An episode is told at most once in so long.
/// Origin: choice; who is called more often than once a day for one thing stops reading.
const DAY: Micros = 86_400 * SECOND;
/// Windows within which numbers of one cause are taken to have begun together.
/// Origin: choice; half an hour of windows of five minutes.
const ATTACHED: Micros = 6;
/// Episodes that are remembered per candidate.
/// Origin: choice; a bound on state.
pub(crate) const EPISODES_MAX: usize = 64;
/// Part of the newest window in how large a finding is.
/// Origin: choice; a half-life of two windows, so that one noisy window is no growth.
const NEWEST: f64 = 0.3;
/// It is told again when it is so many times as large.
/// Origin: choice; twice is another matter, a tenth more is not.
const GROWN: f64 = 2.0;

/// A number that stands out in a window.
#[derive(Clone, Copy)]
struct Sign<'a> {
    finding: &'a Finding,
    evidence: &'a Evidence,
}

/// What is to be told of episodes, by their place in the state.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct EpisodeChanges {
    opened: Vec<usize>,
    changed: Vec<usize>,
    /// Over, and due to be told.
    over: Vec<usize>,
    /// Over, and told along with other news only.
    ending: Vec<usize>,
}

impl EpisodeChanges {
    fn is_urgent(&self) -> bool {
        !self.opened.is_empty() || !self.changed.is_empty()
    }
}

/// Notes what stands in a judgement, and what does not stand any more.
pub(crate) fn take_in(state: &mut RolloutState, window: &Window<'_>, heard: &WeighedFindings, plan: &Plan) {
    let kind = window.kind as u8;
    let may_doubt = state.sighted() && !state.is_new();
    let mut seen: Vec<usize> = Vec::new();
    for sign in signs(heard).filter(|sign| sign.finding.hard || may_doubt) {
        let place = sign.place(&state.episodes).or_else(|| sign.open(&mut state.episodes, window));
        let Some(place) = place.filter(|place| !seen.contains(place)) else { continue };
        state.episodes[place].stand(sign, window.end);
        seen.push(place);
    }
    let clear = plan.policy.stages.clear_windows;
    for (place, episode) in state.episodes.iter_mut().enumerate() {
        if episode.kind == kind && !seen.contains(&place) {
            episode.rest(window.end, clear);
        }
    }
    state.episodes.retain(|episode| !episode.is_forgotten(window.end));
}

/// What is to be told now.
pub(crate) fn news(state: &RolloutState, now: Micros, plan: &Plan) -> EpisodeChanges {
    let attached = plan.time.every().saturating_mul(ATTACHED);
    let latency = plan.columns.index_of(ColumnRole::Latency).map(|index| plan.columns.numeric[index].name.as_str());
    let mut news = EpisodeChanges::default();
    for (place, episode) in state.episodes.iter().enumerate() {
        let is_due = episode.told_at.is_none_or(|told_at| now.saturating_sub(told_at) >= DAY);
        let covers = |other: &&Episode| other.covers(episode, attached, latency);
        match (episode.told_at, episode.over_at) {
            (None, None) if episode.stands() && !state.episodes.iter().any(|other| covers(&other)) => {
                news.opened.push(place);
            }
            (Some(_), None) if episode.stands() && is_due && episode.has_changed() => news.changed.push(place),
            (Some(_), Some(_)) if !episode.told_over && is_due => news.over.push(place),
            (Some(_), Some(_)) if !episode.told_over => news.ending.push(place),
            _ => {}
        }
    }
    news
}

/// Tells news with a decision that is made anyway.
pub(crate) fn tell_with(
    state: &mut RolloutState,
    draft: &mut Draft,
    news: &EpisodeChanges,
    heard: &WeighedFindings,
    now: Micros,
) {
    for sign in news.opened.iter().filter_map(|&place| sign_of(&state.episodes[place], heard)) {
        if !draft.evidence.contains(sign.evidence) {
            draft.evidence.push(sign.evidence.clone());
        }
    }
    let told = |sign: &Sign<'_>| draft.evidence.contains(sign.evidence);
    let told: Vec<usize> = signs(heard).filter(told).filter_map(|sign| sign.place(&state.episodes)).collect();
    told.into_iter().for_each(|place| state.episodes[place].tell(now));
    for &place in news.over.iter().chain(&news.ending) {
        draft.reason.text = format!("{}; {}", draft.reason.text, state.episodes[place].tell_end(now));
    }
    draft.tells = true;
}

/// Everything that is over is told by a decision that says so.
pub(crate) fn tell_all_over(state: &mut RolloutState) {
    state.episodes.iter_mut().filter(|episode| episode.over_at.is_some()).for_each(|episode| episode.told_over = true);
}

/// Tells news by a note of its own.
pub(crate) fn note(
    state: &mut RolloutState,
    news: &EpisodeChanges,
    heard: &WeighedFindings,
    now: Micros,
    plan: &Plan,
) -> Option<Draft> {
    let said_lately = state.decided_at.is_some_and(|said_at| now.saturating_sub(said_at) < DAY);
    if !news.is_urgent() && (news.over.is_empty() || said_lately) {
        return None;
    }
    let of = |places: &[usize]| -> Vec<Sign<'_>> {
        places.iter().filter_map(|&place| sign_of(&state.episodes[place], heard)).collect()
    };
    let (opened, changed) = (of(&news.opened), of(&news.changed));
    let over: Vec<usize> = news.over.iter().chain(&news.ending).copied().collect();
    let mut texts = sentences(&opened);
    texts.extend(changed.iter().map(|sign| format!("no longer as it was told: {}", sign.describe())));
    let first = opened.first().or(changed.first());
    let code = first.map_or_else(|| ReasonCode::EpisodeOver.into(), |sign| sign.code(plan));
    let mut draft = Draft::note(state, code, "");
    draft.evidence = opened.iter().chain(&changed).map(|sign| sign.evidence.clone()).collect();
    if first.is_none() {
        (draft.signal, draft.severity) = (Signal::Observe, Severity::Info);
    }
    let earlier = news.changed.iter().chain(&over).next();
    draft.causation = earlier.map(|&place| state.episodes[place].decision.clone()).filter(|id| !id.is_empty());
    draft.tells = true;
    news.opened.iter().chain(&news.changed).for_each(|&place| state.episodes[place].tell(now));
    texts.extend(over.into_iter().map(|place| state.episodes[place].tell_end(now)));
    draft.reason.text = texts.join("; ");
    Some(draft)
}

/// Every number that stands out, muted ones among them.
fn signs(heard: &WeighedFindings) -> impl Iterator<Item = Sign<'_>> {
    let of = |finding| move |evidence| Sign { finding, evidence };
    let all = heard.findings.iter().chain(&heard.shown);
    all.flat_map(move |finding| finding.all().map(of(finding))).filter(|sign| !sign.is_refuted())
}

fn sign_of<'a>(episode: &Episode, heard: &'a WeighedFindings) -> Option<Sign<'a>> {
    signs(heard)
        .find(|sign| episode.is_about(*sign))
        .or_else(|| signs(heard).find(|sign| episode.is_of_all() && sign.finding.source == episode.source))
}

/// One sentence per finding: its own where all of it is new, else what is new of it.
fn sentences(signs: &[Sign<'_>]) -> Vec<String> {
    let mut texts: Vec<String> = Vec::new();
    for sign in signs {
        let news_of = signs.iter().filter(|other| std::ptr::eq(other.finding, sign.finding)).count();
        let whole = news_of == sign.finding.all().count();
        let text = if whole { sign.finding.reason.text.clone() } else { sign.describe() };
        if !texts.contains(&text) {
            texts.push(text);
        }
    }
    texts
}

impl Sign<'_> {
    fn is_muted(self) -> bool {
        self.evidence.is(Remark::Muted)
    }

    /// Whether later evidence has refuted it, although what was gathered still stands.
    fn is_refuted(self) -> bool {
        self.evidence.is(Remark::Refuted)
    }

    fn place(self, episodes: &[Episode]) -> Option<usize> {
        episodes.iter().position(|episode| episode.is_about(self))
    }

    /// Opens an episode; beyond the bound, what one source finds shares one.
    fn open(self, episodes: &mut Vec<Episode>, window: &Window<'_>) -> Option<usize> {
        if self.is_muted() {
            return None;
        }
        let mut episode = Episode::new(self, window);
        if episodes.len() >= EPISODES_MAX {
            let shared = episodes.iter().position(|one| one.is_of_all() && one.source == episode.source);
            if shared.is_some() {
                return shared;
            }
            (episode.metric, episode.column, episode.segment) = Default::default();
        }
        episodes.push(episode);
        Some(episodes.len() - 1)
    }

    /// How large it is: the number itself, or the logarithm of a ratio.
    fn size(self) -> f64 {
        match self.evidence.convention.as_str() {
            "ratio" if self.evidence.estimate > 0.0 => libm::log(self.evidence.estimate),
            _ => self.evidence.estimate,
        }
    }

    fn describe(self) -> String {
        let Evidence { estimate, baseline_kind, n_candidate, n_baseline, .. } = self.evidence;
        let what = what(&self.evidence.metric, &self.evidence.column, &self.evidence.segment);
        let (is, against) = match self.evidence.convention.as_str() {
            "ratio" => ("is x", "that of"),
            "difference" => ("differs by ", "from"),
            _ => ("is ", "against"),
        };
        let against = if baseline_kind.is_empty() { String::new() } else { format!(" {against} {baseline_kind}") };
        format!("{what} {is}{estimate:.4}{against} (n {n_candidate}, {n_baseline})")
    }

    fn code(self, plan: &Plan) -> NameOf<ReasonCode> {
        let Reason { code, .. } = &self.finding.reason;
        let named = self.finding.evidence.first().is_some_and(|first| std::ptr::eq(first, self.evidence));
        let of_metric = metric::find(&self.evidence.metric).filter(|_| !named);
        of_metric.map_or_else(|| code.clone(), |metric| reason::code(plan, metric.spec(), &self.evidence.column).into())
    }
}

impl Episode {
    fn new(sign: Sign<'_>, window: &Window<'_>) -> Self {
        let Evidence { metric, column, segment, test, .. } = sign.evidence;
        Self {
            source: sign.finding.source.clone(),
            metric: metric.clone(),
            column: column.clone(),
            segment: segment.clone(),
            kind: window.kind as u8,
            world: sign.finding.world,
            bound: *test == Test::Bound,
            muted: false,
            since: window.end,
            windows: 0,
            quiet: 0,
            size: sign.size(),
            told_size: 0.0,
            told_at: None,
            decision: String::new(),
            over_at: None,
            told_over: false,
        }
    }

    fn is_about(&self, sign: Sign<'_>) -> bool {
        let Evidence { metric, column, segment, .. } = sign.evidence;
        (&self.source, &self.metric, &self.column, &self.segment) == (&sign.finding.source, metric, column, segment)
    }

    /// Whether it stands for whatever its source finds beyond the bound on episodes.
    fn is_of_all(&self) -> bool {
        self.metric.is_empty()
    }

    /// Takes a window in which it stands.
    fn stand(&mut self, sign: Sign<'_>, now: Micros) {
        if self.over_at.take().is_some() {
            // Back again: it is new unless it was told lately.
            (self.since, self.windows) = (now, 0);
            let told_lately = self.told_at.is_some_and(|told_at| now.saturating_sub(told_at) < DAY);
            self.told_at = self.told_at.filter(|_| told_lately || !self.told_over);
            self.told_over = false;
        }
        self.size = if self.windows == 0 { sign.size() } else { self.size + NEWEST * (sign.size() - self.size) };
        (self.quiet, self.windows) = (0, self.windows.saturating_add(1));
        (self.muted, self.world) = (sign.is_muted(), sign.finding.world);
    }

    /// Takes a window in which it does not stand.
    fn rest(&mut self, now: Micros, clear_windows: u32) {
        self.quiet = self.quiet.saturating_add(1);
        if self.quiet >= clear_windows && self.over_at.is_none() {
            self.over_at = Some(now);
        }
    }

    /// Whether it stood in the newest window, and nobody has muted it.
    fn stands(&self) -> bool {
        self.quiet == 0 && !self.muted
    }

    /// Whether it is over and nothing more is to be said of it.
    fn is_forgotten(&self, now: Micros) -> bool {
        match (self.over_at, self.told_at) {
            (Some(_), None) => true,
            (Some(_), Some(told_at)) => self.told_over && now.saturating_sub(told_at) >= DAY,
            (None, _) => false,
        }
    }

    /// Whether it has doubled or turned round since it was told.
    fn has_changed(&self) -> bool {
        let (size, told) = (self.size, self.told_size);
        let turned = size * told < 0.0 && size.abs() >= told.abs() / GROWN;
        turned || (told != 0.0 && size.abs() >= GROWN * told.abs())
    }

    fn tell(&mut self, now: Micros) {
        if self.size.abs() > self.told_size.abs() || self.has_changed() {
            self.told_size = self.size;
        }
        self.told_at = Some(now);
        self.decision.clear();
    }

    /// Says that it is over.
    fn tell_end(&mut self, now: Micros) -> String {
        (self.told_over, self.told_at) = (true, Some(now));
        let what =
            if self.is_of_all() { self.source.to_string() } else { what(&self.metric, &self.column, &self.segment) };
        format!("over: {what}, which stood in {}", words::windows(self.windows))
    }

    /// Whether to tell this one is to tell the other.
    fn covers(&self, other: &Self, attached: Micros, latency: Option<&str>) -> bool {
        if self.told_at.is_none() || self.over_at.is_some() || self.world != other.world {
            return false;
        }
        let same = (&self.metric, &self.column) == (&other.metric, &other.column);
        let within = same && self.segment.is_empty() && !other.segment.is_empty();
        if other.bound {
            return within && self.source == other.source;
        }
        let place = self.segment == other.segment || self.segment.is_empty();
        let whole = other.metric == metric::DRIFT.spec().name && self.column == other.column && place;
        let began = other.since.saturating_sub(self.since) <= attached;
        let cause = began && self.cause(latency) == other.cause(latency) && place;
        (same && place) || whole || cause
    }

    /// What a number tells of; of columns which, and of their defects which kind.
    fn cause(&self, latency: Option<&str>) -> (MetricSubject, &str, &str) {
        match (self.column.as_str(), metric::subject(&self.metric)) {
            (column, _) if latency == Some(column) => (MetricSubject::Latency, "", ""),
            ("", Some(felt @ (MetricSubject::Latency | MetricSubject::Failures | MetricSubject::Traffic))) => {
                (felt, "", "")
            }
            ("", _) => (MetricSubject::Outcomes, "", ""),
            (column, Some(MetricSubject::Defects)) => (MetricSubject::Defects, column, &self.metric),
            (column, _) => (MetricSubject::Values, column, ""),
        }
    }
}

/// A number in words.
fn what(metric: &str, column: &str, segment: &str) -> String {
    let of = if column.is_empty() { String::new() } else { format!(" of {column}") };
    let place = if segment.is_empty() { String::new() } else { format!(" in {segment}") };
    format!("{metric}{of}{place}")
}
