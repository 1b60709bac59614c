//! From drafts to decisions: who may act, the place in the sequence, what is replaced, and the identity.

use super::{Draft, Effect, Pending, RolloutState, State};
use crate::event::{Micros, SECOND};
use crate::format::RecordVersion;
use crate::plan::{Authority, Plan, Signal};
use crate::verdict::decision::{Approval, Decision, DecisionInputs, Exposure, Precondition, seal};
use crate::verdict::finding::LedgerEntry;

/// On which occasion something is decided: a judged window, or a command.
pub(crate) struct Occasion<'a> {
    pub(crate) plan: &'a Plan,
    /// Start and end of the window; of a command, when it was written.
    pub(crate) span: (Micros, Micros),
    /// When it could be known.
    pub(crate) at: Micros,
    pub(crate) offsets: &'a [(String, u32, i64, i64)],
    pub(crate) ledger: &'a [LedgerEntry],
}

impl Occasion<'_> {
    /// Makes a draft the rollout's next decision.
    pub(crate) fn publish(&self, state: &mut RolloutState, draft: &Draft) -> Decision {
        let authority = self.authority(state, draft);
        let supersedes = match &draft.undoes {
            Some(undone) => vec![undone.decision.clone()],
            None if draft.replaces() => state.in_force.clone(),
            None => Vec::new(),
        };
        let mut decision = Decision {
            format: RecordVersion::NEW,
            id: String::new(),
            sequence: state.sequence + 1,
            episode: state.episode.clone(),
            time: state.decided_at.map_or(self.at, |before| before.max(self.at)),
            action: draft.signal,
            cap_pct: draft.cap_pct,
            rollout: state.rollout.clone(),
            model: state.model.clone(),
            candidate: state.candidate.clone(),
            baseline: state.baseline.clone(),
            denied_versions: denied(state),
            precondition: Precondition {
                candidate: state.candidate.clone(),
                state: draft.from.0.name().to_owned(),
                state_sequence: format!("{:020}", state.sequence),
            },
            supersedes,
            authority,
            approval: self.approval(authority, draft),
            severity: draft.severity,
            causation: draft.causation.clone(),
            reason: draft.reason.clone(),
            evidence: draft.evidence.clone(),
            exposure: Exposure { declared_pct: state.declared_pct, observed_pct: state.observed_pct },
            inputs: self.inputs(),
            ledger: self.ledger.to_vec(),
            lease_s: self.lease_s(draft.signal),
            drill: false,
            previous: state.seal.clone(),
        };
        decision.id = decision.identity();
        if decision.episode.is_empty() {
            decision.episode.clone_from(&decision.id);
        }
        if draft.tells {
            let told = state.episodes.iter_mut().filter(|one| one.told_at.is_some() && one.decision.is_empty());
            told.for_each(|one| one.decision.clone_from(&decision.id));
        }
        (state.sequence, state.decided_at) = (decision.sequence, Some(decision.time));
        state.seal = seal(&decision.body());
        if draft.replaces() {
            self.settle(state, draft, &decision);
        }
        decision
    }

    fn inputs(&self) -> DecisionInputs {
        DecisionInputs {
            offsets: self.offsets.to_vec(),
            window: Some(self.span),
            policy: self.plan.digest.clone(),
            reference: self.plan.reference.as_ref().map(|reference| reference.id.clone()).unwrap_or_default(),
            engine: concat!("haldane ", env!("CARGO_PKG_VERSION")).to_owned(),
        }
    }

    fn authority(&self, state: &RolloutState, draft: &Draft) -> Authority {
        let moves = draft.signal.restricts() || draft.signal.permits();
        let of_signal = self.plan.policy.stages.authority.iter().find(|(signal, _)| *signal == draft.signal);
        let usual = of_signal.map_or(self.plan.policy.authority, |(_, authority)| *authority);
        match usual {
            _ if draft.by_person => Authority::Auto,
            _ if moves && state.frozen() => Authority::Frozen,
            Authority::Approval if !moves || draft.unasked => Authority::Auto,
            usual => usual,
        }
    }

    fn approval(&self, authority: Authority, draft: &Draft) -> Option<Approval> {
        let asks = authority == Authority::Approval;
        (asks || !draft.granted.is_empty()).then(|| Approval {
            required: self.plan.policy.stages.approval.quorum,
            granted: draft.granted.clone(),
            deadline: self.at.saturating_add(self.plan.policy.stages.approval.deadline),
            on_timeout: Signal::Hold,
        })
    }

    /// A permission lapses with its windows; a restriction when nobody who judges was heard of for so long.
    fn lease_s(&self, signal: Signal) -> u64 {
        let stages = &self.plan.policy.stages;
        match signal {
            Signal::PromoteOk => {
                let permit = self.plan.time.every().saturating_mul(stages.permit_windows.into());
                let lasts = self.plan.time.later(self.at, permit).saturating_sub(self.at);
                u64::try_from(lasts / SECOND).unwrap_or(0)
            }
            _ => stages.lease_s,
        }
    }

    /// What holds once the decision is out.
    fn settle(&self, state: &mut RolloutState, draft: &Draft, decision: &Decision) {
        let waits = decision.authority == Authority::Approval;
        let cap_before = state.cap_pct;
        let waited = state.pending.take();
        state.pending = waits.then(|| pending(state, waited, draft, decision));
        if !(waits && draft.signal == Signal::Resume) {
            self.take_effect(state, draft, decision);
        }
        assert_unpermitted(state, draft.signal, cap_before);
    }

    /// What the decision puts into force, and what it ends.
    fn take_effect(&self, state: &mut RolloutState, draft: &Draft, decision: &Decision) {
        let holds = draft.signal.is_adverse() || draft.signal.permits();
        state.in_force = match &draft.undoes {
            Some(undone) => undone.in_force_before.clone(),
            None if holds => vec![decision.id.clone()],
            None => Vec::new(),
        };
        state.people.unissued = decision.authority == Authority::Frozen;
        if let Some(cap_pct) = draft.cap_pct.filter(|_| draft.signal.restricts()) {
            let issued = decision.authority == Authority::Auto;
            state.effect = Some(Effect::of(&decision.id, decision.time, cap_pct, issued, &self.plan.policy.stages));
        }
        if draft.signal.is_adverse() && state.episode.is_empty() {
            state.episode.clone_from(&decision.episode);
        }
        self.permit(state, draft, state.pending.is_some());
    }

    /// Exposure may rise, once nobody has to be asked any more.
    fn permit(&self, state: &mut RolloutState, draft: &Draft, waits: bool) {
        let plan = &self.plan.policy.stages;
        match draft.signal {
            Signal::PromoteOk if state.step < plan.top() => state.enter(State::Passed),
            Signal::PromoteOk | Signal::Resume => state.enter(state.unrestricted(plan)),
            _ => return,
        }
        if waits {
            return;
        }
        state.counts.begin();
        let full = draft.cap_pct.is_none_or(|cap| cap >= 100.0);
        state.cap_pct = if full { None } else { state.cap_pct.and(draft.cap_pct) };
        state.people.forced &= draft.by_person;
        state.people.passed |= full && draft.signal == Signal::PromoteOk;
    }
}

impl Draft {
    /// Whether it takes the place of what was in force.
    fn replaces(&self) -> bool {
        !self.note && !matches!(self.signal, Signal::Heartbeat | Signal::Freeze | Signal::Unfreeze)
    }
}

/// The decision as one that waits for approval. What waits has changed nothing yet, so where it takes the place of
/// another that waited, that one's before is its own.
fn pending(state: &RolloutState, waited: Option<Pending>, draft: &Draft, decision: &Decision) -> Pending {
    let asked = Pending {
        decision: decision.id.clone(),
        signal: draft.signal,
        cap_pct: draft.cap_pct,
        granted: Vec::new(),
        deadline: decision.approval.as_ref().map_or(Micros::MAX, |approval| approval.deadline),
        before: draft.from.0,
        cap_before: draft.from.1,
        in_force_before: state.in_force.clone(),
        effect_before: state.effect.clone(),
    };
    match waited.filter(|waited| waited.signal != Signal::Resume) {
        Some(waited) => Pending {
            before: waited.before,
            cap_before: waited.cap_before,
            in_force_before: waited.in_force_before,
            effect_before: waited.effect_before,
            ..asked
        },
        None => asked,
    }
}

fn denied(state: &RolloutState) -> Vec<String> {
    if state.is_denied() { vec![state.candidate.clone()] } else { Vec::new() }
}

/// What waits for approval gives no permission.
fn assert_unpermitted(state: &RolloutState, signal: Signal, cap_before: Option<f64>) {
    let Some(pending) = state.pending.as_ref().filter(|_| signal.permits()) else { return };
    let cap = state.cap_pct;
    assert!(cap == cap_before, "{} may have {cap:?} % while approval of {} waits", state.candidate, pending.decision);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_permission_before_its_approval_is_noticed() {
        let pending = Pending {
            decision: "b3:1".into(),
            signal: Signal::PromoteOk,
            cap_pct: Some(50.0),
            granted: Vec::new(),
            deadline: Micros::MAX,
            before: State::Observing,
            cap_before: Some(5.0),
            in_force_before: Vec::new(),
            effect_before: None,
        };
        let new = RolloutState::new("toy", "m", "v2", "v1");
        let waits = RolloutState { pending: Some(pending), cap_pct: Some(50.0), ..new.clone() };
        let noticed = |state: &RolloutState| {
            std::panic::catch_unwind(|| assert_unpermitted(state, Signal::PromoteOk, Some(5.0))).is_err()
        };
        assert!(noticed(&waits));
        assert!(!noticed(&RolloutState { cap_pct: Some(5.0), ..waits }));
        assert!(!noticed(&RolloutState { cap_pct: Some(50.0), ..new }));
    }
}
