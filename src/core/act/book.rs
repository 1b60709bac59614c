//! What the topics say of the candidates of one rollout, as far as an adapter needs it.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::event::{Micros, SECOND};
use crate::plan::{Authority, Plan, Signal};
use crate::verdict::{AckStatus, CommandKind, CommandResult, Decision, Freshness, Liveness, RolloutState};

/// Model and candidate.
pub type CandidateKey = (String, String);

/// Decisions that are older than this and were replaced are not answered any more: an adapter that is new to a rollout
/// would say something of its whole history.
const ANSWERED_WITHIN: Micros = 86_400 * SECOND;

/// So many decisions of a candidate are kept: those that may be in force or wait for an answer are among the last.
const DECISIONS_KEPT: usize = 64;

/// What an adapter may do, as the pipeline file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdapterTerms {
    /// Its name, in acknowledgements.
    pub adapter: String,
    /// Whether it carries out permissions too, not only restrictions.
    pub raise: bool,
    /// How often it looks again at what is in force.
    pub every: Micros,
    /// The only model that it acts for; `None` for all of the rollout.
    pub model: Option<String>,
    /// The only candidate that it acts for; `None` for all.
    pub candidate: Option<String>,
}

/// What became of a decision, on its way to whoever decides.
#[derive(Debug, Clone, PartialEq)]
pub struct Acknowledgement {
    /// The decision.
    pub decision: String,
    /// What became of it.
    pub status: AckStatus,
    /// Share of traffic that the target shows, percent.
    pub observed_pct: Option<f64>,
    /// In words.
    pub detail: String,
}

/// A decision as it was told.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct IssuedDecision {
    pub(super) id: String,
    pub(super) action: Signal,
    pub(super) cap_pct: Option<f64>,
    pub(super) authority: Authority,
    pub(super) drill: bool,
    pub(super) supersedes: Vec<String>,
    pub(super) lease_s: u64,
    /// When it was written to its log.
    pub(super) recorded: Micros,
}

impl IssuedDecision {
    /// Whether a machine may act on it.
    pub(super) fn is_binding(&self) -> bool {
        self.authority == Authority::Auto && !self.drill
    }

    /// Whether it lowers a share.
    pub(super) fn lowers(&self) -> bool {
        matches!(self.action, Signal::Contain | Signal::Rollback)
    }

    /// The share that it leaves, where it lowers one.
    pub(super) fn cap(&self) -> f64 {
        if self.action == Signal::Rollback { 0.0 } else { self.cap_pct.unwrap_or(0.0) }
    }

    /// Whether an adapter has to say what became of it.
    fn wants_answer(&self) -> bool {
        self.is_binding() && (self.action.restricts() || self.action.permits())
    }
}

/// What is known of one candidate.
#[derive(Debug, Clone, Default)]
pub(super) struct CandidateEntry {
    pub(super) state: Option<RolloutState>,
    /// By their place in the sequence.
    pub(super) told: BTreeMap<u64, IssuedDecision>,
    /// What this adapter said last of each decision.
    answered: BTreeMap<String, AckStatus>,
}

impl CandidateEntry {
    /// Decisions that the state does not know yet.
    pub(super) fn ahead(&self) -> impl Iterator<Item = &IssuedDecision> {
        let upto = self.state.as_ref().map_or(0, |state| state.sequence);
        self.told.range(upto + 1..).map(|(_, told)| told)
    }

    pub(super) fn by_id(&self, id: &str) -> Option<&IssuedDecision> {
        self.told.values().find(|told| told.id == id)
    }
}

/// What the topics say.
#[derive(Debug, Clone)]
pub struct Book {
    pub(super) plan: Arc<Plan>,
    pub(super) terms: AdapterTerms,
    pub(super) life: Option<Liveness>,
    pub(super) entries: BTreeMap<CandidateKey, CandidateEntry>,
}

impl Book {
    /// Nothing is known yet.
    #[must_use]
    pub fn new(plan: Arc<Plan>, terms: AdapterTerms) -> Self {
        Self { plan, terms, life: None, entries: BTreeMap::new() }
    }

    /// What the adapter may do.
    #[must_use]
    pub fn terms(&self) -> &AdapterTerms {
        &self.terms
    }

    /// Takes a decision that was written to its log then. What is known already, or is about other rollouts, models and
    /// candidates, changes nothing.
    pub fn decided(&mut self, decision: &Decision, recorded: Micros) {
        let about = (decision.model.clone(), decision.candidate.clone());
        if decision.rollout != self.plan.policy.rollout || !self.is_ours(&about) {
            return;
        }
        let entry = self.entries.entry(about).or_default();
        entry.told.entry(decision.sequence).or_insert_with(|| IssuedDecision {
            id: decision.id.clone(),
            action: decision.action,
            cap_pct: decision.cap_pct,
            authority: decision.authority,
            drill: decision.drill,
            supersedes: decision.supersedes.clone(),
            lease_s: decision.lease_s,
            recorded,
        });
        while entry.told.len() > DECISIONS_KEPT {
            let Some((_, oldest)) = entry.told.pop_first() else { return };
            entry.answered.remove(&oldest.id);
        }
    }

    /// Takes where all candidates of the rollout stand now, and the last sign of life of whoever judges them.
    pub fn stand(&mut self, states: Vec<RolloutState>, life: Option<Liveness>) {
        self.life = life;
        self.entries.values_mut().for_each(|entry| entry.state = None);
        for state in states {
            let about = (state.model.clone(), state.candidate.clone());
            if state.rollout == self.plan.policy.rollout && !state.is_world() && self.is_ours(&about) {
                self.entries.entry(about).or_default().state = Some(RolloutState { memory: None, ..state });
            }
        }
    }

    /// Takes what became of a command: of acknowledgements of this adapter, that they have arrived.
    pub fn answered(&mut self, result: &CommandResult) {
        if let CommandKind::Ack { decision, status, adapter, .. } = &result.command.kind
            && *adapter == self.terms.adapter
        {
            self.said(decision, *status);
        }
    }

    /// An acknowledgement of a decision is on its topic.
    pub fn said(&mut self, decision: &str, status: AckStatus) {
        if let Some(entry) = self.entries.values_mut().find(|entry| entry.by_id(decision).is_some()) {
            entry.answered.insert(decision.to_owned(), status);
        }
    }

    /// What was said last of a decision.
    #[must_use]
    pub fn answer(&self, about: &CandidateKey, decision: &str) -> Option<AckStatus> {
        self.entries.get(about)?.answered.get(decision).copied()
    }

    /// All candidates that something is known of.
    pub fn candidates(&self) -> Vec<CandidateKey> {
        self.entries.keys().cloned().collect()
    }

    /// Whether it is judged now, so that its share of traffic is of interest.
    #[must_use]
    pub fn is_live(&self, about: &CandidateKey) -> bool {
        let state = self.entries.get(about).and_then(|entry| entry.state.as_ref());
        state.is_some_and(|state| state.state.is_live())
    }

    /// The version to go back to.
    #[must_use]
    pub fn baseline(&self, about: &CandidateKey) -> &str {
        let state = self.entries.get(about).and_then(|entry| entry.state.as_ref());
        state.map_or(&self.plan.policy.baseline_version, |state| &state.baseline)
    }

    /// When a decision was written to its log.
    #[must_use]
    pub fn recorded(&self, about: &CandidateKey, decision: &str) -> Option<Micros> {
        Some(self.entries.get(about)?.by_id(decision)?.recorded)
    }

    /// How current a state is.
    pub(super) fn freshness(&self, state: &RolloutState, now: Micros) -> Freshness {
        Freshness::of(state, &self.plan, self.life.as_ref(), now)
    }

    /// An answer that is due to a decision that will not be carried out any more; `ordered` is the one that will.
    pub(super) fn overdue(&self, about: &CandidateKey, ordered: Option<&str>, now: Micros) -> Option<Acknowledgement> {
        let entry = self.entries.get(about)?;
        let over = entry.state.as_ref().is_some_and(|state| !state.state.is_live() && !state.is_denied());
        let open = |told: &&IssuedDecision| {
            let lately = now.saturating_sub(told.recorded) <= ANSWERED_WITHIN;
            lately && told.wants_answer() && !entry.answered.contains_key(&told.id) && ordered != Some(told.id.as_str())
        };
        entry.told.values().filter(open).find_map(|told| {
            let later = entry.told.values().find(|later| later.supersedes.contains(&told.id));
            let detail = match later {
                Some(later) => format!("superseded by {}", later.id),
                None if over => "it is no candidate any more".to_owned(),
                None if told.action.permits() && !self.terms.raise => "this adapter only lowers shares".to_owned(),
                None => return None,
            };
            let decision = told.id.clone();
            Some(Acknowledgement { decision, status: AckStatus::Ignored, observed_pct: None, detail })
        })
    }

    fn is_ours(&self, (model, candidate): &CandidateKey) -> bool {
        let is = |asked: &Option<String>, name: &String| asked.as_ref().is_none_or(|asked| asked == name);
        is(&self.terms.model, model) && is(&self.terms.candidate, candidate)
    }
}
