//! Every rollout of one pipeline: whose turn it is, what is known of it, and what leaves.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::metric::row::ALL_VERSIONS;
use crate::plan::Plan;
use crate::scan::frame::OTHER;
use crate::verdict::command::{Command, CommandKind, CommandResult, Outcome};
use crate::verdict::decision::Decision;
use crate::verdict::finding::{Ledger, LedgerEntry, Verdict};
use crate::verdict::guard::{Guards, Memory};
use crate::verdict::judged::{Judged, Kind, Seen};
use crate::verdict::rollout::{Draft, Occasion, RolloutState, Window, obey, step, succession};
use crate::verdict::rules;

/// Model and candidate.
type Key = (String, String);

/// Every rollout of one pipeline.
#[derive(Debug)]
pub(crate) struct Policy {
    plan: Arc<Plan>,
    states: BTreeMap<Key, RolloutState>,
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
        if judged.order.1 == Kind::Traffic {
            taken.iter().for_each(|key| outgoing.decisions.extend(self.succeed(key, judged)));
        }
        outgoing.states.extend(taken.iter().filter_map(|key| self.states.get(key).cloned()));
        outgoing
    }

    /// Versions that are judged: the candidates in the window, those known of its models, and with guards the baseline
    /// version itself, which shows what the world does.
    fn versions(&self, all: &[Seen]) -> Vec<Key> {
        let main = &self.plan.policy.baseline_version;
        if main.is_empty() {
            return Vec::new();
        }
        let judged =
            |version: &str| version != ALL_VERSIONS && version != OTHER && (version != main || self.guards.is_some());
        let seen =
            all.iter().filter(|seen| judged(&seen.version)).map(|seen| (seen.model.clone(), seen.version.clone()));
        let known = self.states.keys().filter(|(model, _)| all.iter().any(|seen| seen.model == *model)).cloned();
        let mut keys: Vec<_> = seen.chain(known).collect();
        keys.sort();
        keys.dedup();
        keys
    }

    /// A candidate seen for the first time; where the whole rollout is frozen, it is too.
    fn meet(&self, (model, candidate): &Key, judged: &Judged<'_>) -> RolloutState {
        let policy = &self.plan.policy;
        let mut state = RolloutState::new(&policy.rollout, model, candidate, &policy.baseline_version);
        state.since = judged.start;
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
        if !state.is_world() {
            let of_rules = rules::findings(&self.plan, state, judged);
            verdict.findings.splice(..0, of_rules);
        }
        let ledger = verdict.ledger.clone();
        let rules_clean = rules::clean(&self.plan, state);
        let window =
            Window { end: judged.end, kind: judged.order.1, exposure, candidate_seen, baseline_seen, rules_clean };
        let drafts = step(state, &window, verdict, &self.plan.policy.stages);
        let span = (judged.start, judged.end);
        let occasion = Occasion { plan: &self.plan, span, offsets: &judged.offsets, ledger: &ledger };
        (publish(&occasion, state, &drafts), ledger)
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

    /// Ends a candidate that a newer one has replaced.
    fn succeed(&mut self, key: &Key, judged: &Judged<'_>) -> Vec<Decision> {
        let stages = &self.plan.policy.stages;
        let Some(state) = self.states.get(key) else { return Vec::new() };
        let by = succession::successor(state, self.states.values(), stages).map(str::to_owned);
        let Some(state) = self.states.get_mut(key) else { return Vec::new() };
        succession::revive_or_retire(state, stages);
        let Some(by) = by else { return Vec::new() };
        let draft = succession::supersede(state, &by);
        let span = (judged.start, judged.end);
        let occasion = Occasion { plan: &self.plan, span, offsets: &judged.offsets, ledger: &[] };
        publish(&occasion, state, &[draft])
    }

    /// Carries out a command.
    pub(crate) fn command(&mut self, command: Command) -> (CommandResult, Outgoing) {
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
            let occasion = Occasion { plan: &self.plan, span, offsets: &[], ledger: &[] };
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

    /// The candidates that a command is meant for.
    fn targets(&self, command: &Command) -> Result<Vec<Key>, String> {
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
        let meant = |key: &&Key| named(&command.model, &key.0) && named(&command.candidate, &key.1);
        let world = |key: &&Key| {
            let watched =
                matches!(command.kind, CommandKind::Freeze { .. } | CommandKind::Unfreeze | CommandKind::Mute { .. });
            key.1 != self.plan.policy.baseline_version || watched
        };
        let targets: Vec<Key> = self.states.keys().filter(meant).filter(world).cloned().collect();
        match targets.len() {
            0 => Err("no such candidate has been judged yet".to_owned()),
            1 => Ok(targets),
            _ if wide || command.candidate.is_empty() => Ok(targets),
            n => Err(format!("{n} models have this candidate: it must name one")),
        }
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
