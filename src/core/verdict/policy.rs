//! Every rollout of one pipeline: whose turn it is, what is known of it, and what leaves.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::event::Micros;
use crate::metric::row::ALL_VERSIONS;
use crate::name::NameOf;
use crate::plan::{CANDIDATES_MAX, Plan};
use crate::reason::ReasonCode;
use crate::scan::frame::OTHER;
use crate::trust::WindowTrust;
use crate::verdict::command::{Command, CommandKind, CommandResult, Outcome};
use crate::verdict::decision::Decision;
use crate::verdict::finding::{Ledger, LedgerEntry, Verdict};
use crate::verdict::guard::{Guards, Memory};
use crate::verdict::judged::{ActiveVersion, Judged, JudgedKind};
use crate::verdict::published::{self, Named};
use crate::verdict::rollout::{Draft, Occasion, RolloutState, State, Window, obey, step, succession};
use crate::verdict::rules;

/// Model and candidate.
type StateKey = (String, String);

/// Every rollout of one pipeline.
#[derive(Debug)]
pub(crate) struct Policy {
    plan: Arc<Plan>,
    states: BTreeMap<StateKey, RolloutState>,
    guards: Option<Guards>,
}

/// What a judgement or a command gives rise to.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    pub(crate) decisions: Vec<Decision>,
    pub(crate) states: Vec<RolloutState>,
    pub(crate) ledgers: Vec<Ledger>,
}

impl Policy {
    pub(crate) fn new(plan: Arc<Plan>) -> Self {
        let guards = plan.policy.guards.as_ref().map(|guard| Guards::new(&plan, guard));
        Self { plan, states: BTreeMap::new(), guards }
    }

    pub(crate) fn restore(&mut self, states: Vec<RolloutState>) {
        let of_this = states.into_iter().filter(|state| state.rollout == self.plan.policy.rollout);
        self.states.extend(of_this.map(|state| ((state.model.clone(), state.candidate.clone()), state)));
    }

    pub(crate) fn states(&self) -> Vec<RolloutState> {
        self.states.values().cloned().collect()
    }

    /// Takes a window in; returns decisions and the states that changed.
    pub(crate) fn judge(&mut self, judged: &Judged<'_>) -> Outgoing {
        let mut outgoing = Outgoing::default();
        let mut taken = Vec::new();
        for key in self.versions(judged.seen) {
            let mut state = self.states.remove(&key).unwrap_or_else(|| self.meet(&key, judged));
            let order = (judged.order.0, judged.order.1 as u8);
            if order > state.judged_upto {
                state.judged_upto = order;
                let (decisions, entries) = self.judge_version(&mut state, judged);
                outgoing.decisions.extend(decisions);
                outgoing.ledgers.push(ledger(&state, entries));
                taken.push(key.clone());
            }
            self.states.insert(key, state);
        }
        if judged.order.1 == JudgedKind::Traffic {
            taken.iter().for_each(|key| outgoing.decisions.extend(self.succeed(key, judged)));
        }
        outgoing.states.extend(taken.iter().filter_map(|key| self.states.get(key).cloned()));
        if judged.order.1 == JudgedKind::Traffic {
            let models: BTreeSet<&String> = judged.seen.iter().map(|seen| &seen.model).collect();
            models.into_iter().for_each(|model| outgoing.states.extend(self.let_go(model, judged.end)));
        }
        outgoing
    }

    /// Takes the records of candidates away that ended long ago or are too many; what must outlive them is noted with
    /// the version to go back to, whose record comes first.
    fn let_go(&mut self, model: &str, now: Micros) -> Vec<RolloutState> {
        let home = (model.to_owned(), self.plan.policy.baseline_version.clone());
        let of_model = || self.states.iter().filter(|(key, _)| key.0 == model && **key != home);
        let mut going: Vec<StateKey> =
            of_model().filter(|(_, one)| one.is_over(now)).map(|(key, _)| key.clone()).collect();
        let mut idle: Vec<_> = of_model().filter(|(_, one)| !one.is_over(now) && one.counts.idle > 0).collect();
        idle.sort_by(|(_, a), (_, b)| a.worth().cmp(&b.worth()));
        let surplus = of_model().count().saturating_sub(going.len() + CANDIDATES_MAX);
        going.extend(idle.into_iter().take(surplus).map(|(key, _)| key.clone()));
        if going.is_empty() {
            return Vec::new();
        }
        let policy = &self.plan.policy;
        let new = || RolloutState::new(&policy.rollout, model, &home.1, &home.1);
        let mut noted = self.states.remove(&home).unwrap_or_else(new);
        noted.judged_upto = noted.judged_upto.max((now, 0));
        let mut gone = Vec::new();
        for mut state in going.iter().filter_map(|key| self.states.remove(key)) {
            if state.state != State::Retired {
                state.retire(now);
            }
            noted.remember(state.clone());
            gone.push(RolloutState { gone: true, ..state });
        }
        self.states.insert(home, noted.clone());
        std::iter::once(noted).chain(gone).collect()
    }

    /// A candidate that has no record of its own any more, as it ended.
    fn recalled(&self, model: &str, candidate: &str) -> Option<RolloutState> {
        let mut homes = self.states.values().filter(|home| home.model == model);
        let found = |home: &RolloutState| {
            home.ended.iter().find(|ended| ended.candidate == candidate).map(|ended| home.recalled(ended))
        };
        homes.find_map(found)
    }

    /// Versions that are judged: the candidates in the window, those known of its models, and with guards the baseline
    /// version itself, which shows what the world does.
    fn versions(&self, all: &[ActiveVersion]) -> Vec<StateKey> {
        let main = &self.plan.policy.baseline_version;
        if main.is_empty() {
            return Vec::new();
        }
        let judged =
            |version: &str| version != ALL_VERSIONS && version != OTHER && (version != main || self.guards.is_some());
        let seen =
            all.iter().filter(|seen| judged(&seen.version)).map(|seen| (seen.model.clone(), seen.version.clone()));
        let known = self.states.iter().filter(|((model, version), state)| {
            judged(version) && state.state != State::Retired && all.iter().any(|seen| seen.model == *model)
        });
        let known = known.map(|(key, _)| key.clone());
        let mut keys: Vec<_> = seen.chain(known).collect();
        keys.sort();
        keys.dedup();
        keys
    }

    /// A candidate seen for the first time; where the whole rollout is frozen, it is too.
    fn meet(&self, (model, candidate): &StateKey, judged: &Judged<'_>) -> RolloutState {
        let policy = &self.plan.policy;
        let new = || RolloutState::new(&policy.rollout, model, candidate, &policy.baseline_version);
        let mut state = self.recalled(model, candidate).unwrap_or_else(new);
        (state.since, state.judged_upto) = (judged.start, (Micros::MIN, 0));
        let frozen = self.states.values().find(|other| other.people.frozen_all).map(|other| &other.people);
        if let Some(people) = frozen {
            (state.people.frozen_until, state.people.frozen_all) = (people.frozen_until, true);
        }
        state
    }

    fn judge_version(&self, state: &mut RolloutState, judged: &Judged<'_>) -> (Vec<Decision>, Vec<LedgerEntry>) {
        let sees = |version: &str| judged.find(&state.model, version).is_some();
        let (candidate_seen, baseline_seen) = (sees(&state.candidate), sees(&self.plan.policy.baseline_version));
        let exposure = (judged.exposure)(&state.model, &state.candidate);
        let mut verdict = self.of_guards(state, judged);
        self.publish(state, judged, &mut verdict);
        if !state.is_world() {
            let of_rules = rules::findings(&self.plan, state, judged);
            verdict.findings.splice(..0, of_rules);
        }
        remark(judged.trust, &mut verdict);
        let ledger = verdict.ledger.clone();
        let rules_clean = rules::clean(&self.plan, state);
        let (end, kind, requests) = (judged.end, judged.order.1, judged.requests(&state.model));
        let trust = judged.trust;
        let window = Window { end, kind, exposure, requests, candidate_seen, baseline_seen, rules_clean, trust };
        let cap_before = state.cap_pct;
        let drafts = step(state, &window, verdict, &self.plan);
        let span = (judged.start, judged.end);
        let at = judged.order.0;
        let occasion = Occasion { plan: &self.plan, span, at, offsets: &judged.offsets, ledger: &ledger };
        let decisions = publish(&occasion, state, &drafts);
        assert_cap(cap_before, state, &decisions);
        (decisions, ledger)
    }

    /// What is known of the version that serves the world.
    fn world(&self, model: &str) -> Option<&Memory> {
        let key = (model.to_owned(), self.plan.policy.baseline_version.clone());
        self.states.get(&key).and_then(|state| state.memory.as_ref())
    }

    /// What guards say; without guards nothing is refuted that was not seen, and nothing is ever shown to be safe.
    fn of_guards(&self, state: &mut RolloutState, judged: &Judged<'_>) -> Verdict {
        let Some(guards) = &self.guards else { return Verdict { cleared: true, ..Verdict::default() } };
        let mut memory = state.memory.take().unwrap_or_else(|| Memory::after(self.world(&state.model)));
        let verdict = if state.is_world() {
            guards.judge_world(&mut memory, &state.model, judged)
        } else {
            guards.judge(&mut memory, &state.model, &state.candidate, judged)
        };
        state.memory = Some(memory);
        verdict
    }

    /// Names published numbers in what guards say of this kind of judgement.
    fn publish(&self, state: &RolloutState, judged: &Judged<'_>, verdict: &mut Verdict) {
        let findings = std::mem::take(&mut verdict.findings);
        verdict.findings = published::own(judged.order.1, findings);
        let named = Named { plan: &self.plan, judged, model: &state.model, version: &state.candidate };
        for finding in &mut verdict.findings {
            finding.evidence.iter_mut().chain(&mut finding.beside).for_each(|evidence| named.publish(evidence));
        }
    }

    /// Ends a candidate that a newer one has replaced.
    fn succeed(&mut self, key: &StateKey, judged: &Judged<'_>) -> Vec<Decision> {
        let stages = &self.plan.policy.stages;
        let Some(state) = self.states.get(key) else { return Vec::new() };
        let by = succession::successor(state, self.states.values(), stages).map(str::to_owned);
        let Some(state) = self.states.get_mut(key) else { return Vec::new() };
        succession::revive_or_retire(state, judged.end, stages);
        let Some(by) = by else { return Vec::new() };
        let draft = succession::supersede(state, &by);
        let span = (judged.start, judged.end);
        let at = judged.order.0;
        let occasion = Occasion { plan: &self.plan, span, at, offsets: &judged.offsets, ledger: &[] };
        publish(&occasion, state, &[draft])
    }

    /// Carries out a command.
    pub(crate) fn command(&mut self, command: Command) -> (CommandResult, Outgoing) {
        self.recall(&command);
        let targets = match self.targets(&command) {
            Ok(targets) => targets,
            Err(text) => return (refused(command, text), Outgoing::default()),
        };
        let mut outgoing = Outgoing::default();
        let mut result = refused(command, "");
        for key in targets {
            let Some(state) = self.states.get_mut(&key) else { continue };
            result.applied_after = result.applied_after.max(Some(state.judged_upto));
            let (outcome, text, drafts) = obey(state, &result.command, &self.plan.policy.stages);
            let span = (result.command.at, result.command.at);
            let at = result.command.at;
            let occasion = Occasion { plan: &self.plan, span, at, offsets: &[], ledger: &[] };
            let decisions = publish(&occasion, state, &drafts);
            result.decisions.extend(decisions.iter().map(|decision| decision.id.clone()));
            if result.text.is_empty() || outcome == Outcome::Accepted {
                (result.outcome, result.text) = (outcome, text);
            }
            (result.sequence, result.state) = (state.sequence, Some(state.state));
            outgoing.decisions.extend(decisions);
            outgoing.states.push(state.clone());
        }
        (result, outgoing)
    }

    /// Gives a candidate that a command names its record back.
    fn recall(&mut self, command: &Command) {
        let models: BTreeSet<String> = self.states.keys().map(|(model, _)| model.clone()).collect();
        for model in models.into_iter().filter(|model| command.model.is_empty() || command.model == *model) {
            let key = (model, command.candidate.clone());
            if let Some(state) = self.recalled(&key.0, &key.1).filter(|_| !self.states.contains_key(&key)) {
                self.states.insert(key, state);
            }
        }
    }

    /// The candidates that a command is meant for.
    fn targets(&self, command: &Command) -> Result<Vec<StateKey>, String> {
        if command.rollout != self.plan.policy.rollout {
            return Err(format!("this pipeline judges rollout {}", self.plan.policy.rollout));
        }
        let wide = matches!(
            command.kind,
            CommandKind::Freeze { .. } | CommandKind::Unfreeze | CommandKind::Mute { .. } | CommandKind::Hold
        );
        if command.candidate.is_empty() && !wide {
            return Err("it must name a candidate".to_owned());
        }
        let named = |wanted: &String, name: &String| wanted.is_empty() || wanted == name;
        let meant = |key: &&StateKey| named(&command.model, &key.0) && named(&command.candidate, &key.1);
        let world = |key: &&StateKey| {
            let watched =
                matches!(command.kind, CommandKind::Freeze { .. } | CommandKind::Unfreeze | CommandKind::Mute { .. });
            key.1 != self.plan.policy.baseline_version || watched
        };
        let targets: Vec<StateKey> = self.states.keys().filter(meant).filter(world).cloned().collect();
        match targets.len() {
            0 => Err("no such candidate has been judged yet".to_owned()),
            1 => Ok(targets),
            _ if wide || command.candidate.is_empty() => Ok(targets),
            n => Err(format!("{n} models have this candidate: it must name one")),
        }
    }
}

/// A window never raises the cap in force unless a decision says so: a permission, or that what nobody approved is
/// taken back.
fn assert_cap(before: Option<f64>, state: &RolloutState, decisions: &[Decision]) {
    let (before, after) = (before.unwrap_or(100.0), state.cap_pct.unwrap_or(100.0));
    let said = |one: &Decision| one.action.permits() || one.reason.code == ReasonCode::ApprovalTimeout;
    assert!((0.0..=100.0).contains(&after), "a cap of {after} % of traffic");
    assert!(
        after <= before || decisions.iter().any(said),
        "the cap of {} {} rose from {before} to {after} % and no decision says so",
        state.model,
        state.candidate
    );
}

/// Notes beside every number what speaks against the data of its window.
fn remark(trust: &WindowTrust, verdict: &mut Verdict) {
    let found = verdict.findings.iter_mut().flat_map(|one| one.evidence.iter_mut().chain(&mut one.beside));
    for evidence in found.chain(&mut verdict.proofs) {
        evidence.flags.extend(trust.remarks().map(NameOf::from));
    }
}

fn publish(occasion: &Occasion<'_>, state: &mut RolloutState, drafts: &[Draft]) -> Vec<Decision> {
    drafts.iter().map(|draft| occasion.publish(state, draft)).collect()
}

fn ledger(state: &RolloutState, entries: Vec<LedgerEntry>) -> Ledger {
    let [rollout, model, candidate] = [&state.rollout, &state.model, &state.candidate].map(Clone::clone);
    Ledger { rollout, model, candidate, entries }
}

fn refused(command: Command, text: impl Into<String>) -> CommandResult {
    CommandResult {
        command,
        outcome: Outcome::Rejected,
        text: text.into(),
        sequence: 0,
        state: None,
        decisions: Vec::new(),
        applied_after: None,
    }
}

#[cfg(test)]
mod tests;
