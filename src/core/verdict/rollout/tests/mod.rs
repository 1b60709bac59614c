//! The state machine by hand: one window, one command at a time.

mod episodes;
mod laws;
mod people;
mod transitions;
mod trust;

use std::collections::BTreeMap;

use super::{Occasion, RolloutState, State, Window, obey, step};
use crate::event::{Micros, SECOND};
use crate::plan::{
    Action, Authority, Bounds, Columns, MetricsPlan, Plan, PolicyPlan, RolloutPlan, Signal, TimePlan, WallClock,
    WindowKind,
};
use crate::reason::ReasonCode;
use crate::trust::WindowTrust;
use crate::verdict::command::{Command, CommandKind, Outcome};
use crate::verdict::decision::{Decision, Evidence, Exposure, Reason};
use crate::verdict::finding::{Finding, Validity, Verdict};
use crate::verdict::judged::JudgedKind;

/// Length of a window.
const MINUTE: Micros = 60 * SECOND;

/// A plan with short waits.
pub(crate) fn stages() -> RolloutPlan {
    RolloutPlan {
        warmup_windows: 2,
        dwell_windows: 4,
        dwell_final_windows: 6,
        confirm_windows: 2,
        clear_windows: 2,
        flap_budget: 2,
        bake_max_windows: 20,
        horizon_windows: 10,
        ask_windows: 30,
        blind_windows: 3,
        permit_windows: 5,
        ..RolloutPlan::default()
    }
}

pub(crate) fn plan(authority: &str, stages: RolloutPlan) -> Plan {
    let authority = [Authority::Advisory, Authority::Approval, Authority::Auto]
        .into_iter()
        .find(|known| known.name() == authority)
        .expect("an authority");
    let window = WindowKind::Sliding { size: MINUTE, slide: MINUTE };
    Plan {
        name: "toy".into(),
        digest: "b3:plan".into(),
        sources: Vec::new(),
        segments: Vec::new(),
        columns: Columns::default(),
        time: TimePlan {
            pane: MINUTE,
            window,
            clock: WallClock::default(),
            lateness: 0,
            skew_max: MINUTE,
            jump_max: MINUTE,
            jump_confirmations: 1,
            idle_after: MINUTE,
            early_every: MINUTE,
            revise_for: MINUTE,
        },
        quality: None,
        shadow: None,
        baselines: Vec::new(),
        reference: None,
        metrics: MetricsPlan { names: Vec::new(), compat: Vec::new(), bins: 10 },
        policy: PolicyPlan {
            rollout: "toy".into(),
            baseline_version: "v1".into(),
            authority,
            stages,
            ..PolicyPlan::default()
        },
        bounds: Bounds::default(),
    }
}

/// What one window looks like.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    share_pct: f64,
    data: bool,
    verdict: Verdict,
    trust: WindowTrust,
}

/// A window in which all is well, and known to be.
pub(crate) fn good() -> Seen {
    let verdict = Verdict { cleared: true, safe: true, ..Verdict::default() };
    Seen { share_pct: 5.0, data: true, verdict, trust: WindowTrust::default() }
}

/// A window in which nothing speaks against the candidate, and nothing for it.
pub(crate) fn quiet() -> Seen {
    Seen { verdict: Verdict::default(), ..good() }
}

/// A window without data of one side.
pub(crate) fn blind() -> Seen {
    Seen { data: false, verdict: Verdict::default(), ..good() }
}

fn finding(source: &str, action: Action, hard: bool) -> Finding {
    Finding {
        source: source.into(),
        action,
        cap_pct: (action == Action::Contain).then_some(5.0),
        hard,
        reason: Reason { code: ReasonCode::ErrorRate.into(), text: format!("{source} calls for {}", action.name()) },
        evidence: vec![proof(source)],
        beside: Vec::new(),
        world: false,
    }
}

fn proof(metric: &str) -> Evidence {
    Evidence {
        rule: metric.into(),
        metric: metric.to_owned(),
        column: String::new(),
        segment: String::new(),
        baseline_kind: String::new(),
        convention: "exact".into(),
        estimate: 0.2,
        lo: None,
        hi: None,
        bound: 0.1,
        test: "bound".into(),
        e_value: None,
        alpha: None,
        margin: None,
        n_candidate: 100,
        n_baseline: 100,
        breaches: (1, 1),
        window: (0, MINUTE),
        reference: String::new(),
        flags: Vec::new(),
    }
}

/// A window with a finding.
pub(crate) fn bad(action: Action, hard: bool) -> Seen {
    let verdict = Verdict { findings: vec![finding("errors", action, hard)], ..Verdict::default() };
    Seen { share_pct: 20.0, verdict, ..good() }
}

impl Seen {
    pub(crate) fn at(self, share_pct: f64) -> Self {
        Self { share_pct, ..self }
    }
}

/// One candidate and what was decided about it.
pub(crate) struct Bench {
    pub(crate) plan: Plan,
    pub(crate) state: RolloutState,
    pub(crate) decisions: Vec<Decision>,
    pub(crate) now: Micros,
    commands: u32,
}

impl Bench {
    pub(crate) fn new(authority: &str, stages: RolloutPlan) -> Self {
        let state = RolloutState::new("toy", "m", "v2", "v1");
        Self { plan: plan(authority, stages), state, decisions: Vec::new(), now: 0, commands: 0 }
    }

    /// Warmed up at 5 % of traffic.
    pub(crate) fn observing() -> Self {
        let mut bench = Self::new("AUTO", stages());
        bench.windows(3, &quiet());
        assert_eq!(bench.state.state, State::Observing);
        bench
    }

    /// Takes a window, and returns the signals that came of it.
    pub(crate) fn window(&mut self, seen: &Seen) -> Vec<Signal> {
        self.now += MINUTE;
        let window = Window {
            end: self.now,
            kind: JudgedKind::Traffic,
            exposure: Exposure { declared_pct: None, observed_pct: if seen.data { seen.share_pct } else { 0.0 } },
            requests: 1000,
            candidate_seen: seen.data && seen.share_pct > 0.0,
            baseline_seen: true,
            rules_clean: seen.verdict.findings.is_empty(),
            trust: &seen.trust,
        };
        self.state.judged_upto = (self.now, 0);
        let drafts = step(&mut self.state, &window, seen.verdict.clone(), &self.plan);
        let span = (self.now - MINUTE, self.now);
        let occasion = Occasion { plan: &self.plan, span, at: self.now, offsets: &[], ledger: &[] };
        let decisions: Vec<_> = drafts.iter().map(|draft| occasion.publish(&mut self.state, draft)).collect();
        self.decisions.extend(decisions.iter().cloned());
        decisions.iter().map(|decision| decision.action).collect()
    }

    /// Takes the same window several times.
    pub(crate) fn windows(&mut self, n: u32, seen: &Seen) -> Vec<Signal> {
        (0..n).flat_map(|_| self.window(seen)).collect()
    }

    pub(crate) fn command(&mut self, kind: CommandKind) -> (Outcome, Vec<Signal>) {
        self.command_of("ana", kind)
    }

    fn command_of(&mut self, actor: &str, kind: CommandKind) -> (Outcome, Vec<Signal>) {
        self.commands += 1;
        let command = Command {
            id: format!("c{}", self.commands),
            at: self.now,
            rollout: "toy".into(),
            model: "m".into(),
            candidate: "v2".into(),
            kind,
            actor: actor.into(),
            reason: String::new(),
            ticket: None,
            if_sequence: None,
            expires_at: None,
        };
        self.obey(&command)
    }

    fn obey(&mut self, command: &Command) -> (Outcome, Vec<Signal>) {
        let (outcome, _, drafts) = obey(&mut self.state, command, &self.plan.policy.stages);
        let occasion =
            Occasion { plan: &self.plan, span: (command.at, command.at), at: command.at, offsets: &[], ledger: &[] };
        let decisions: Vec<_> = drafts.iter().map(|draft| occasion.publish(&mut self.state, draft)).collect();
        self.decisions.extend(decisions.iter().cloned());
        (outcome, decisions.iter().map(|decision| decision.action).collect())
    }

    pub(crate) fn last(&self) -> &Decision {
        self.decisions.last().expect("a decision")
    }

    pub(crate) fn is(&self, state: State) {
        assert_eq!(self.state.state, state, "after {:?}", self.decisions.last().map(|last| &last.reason));
    }
}

#[test]
fn decisions_name_the_state_before_them_and_what_they_replace() {
    let mut bench = Bench::observing();
    bench.window(&bad(Action::Hold, true));
    bench.window(&bad(Action::Contain, true));
    let [hold, contain] = &bench.decisions[..] else { unreachable!("two decisions") };
    assert_eq!((hold.sequence, contain.sequence), (1, 2));
    assert_eq!((hold.precondition.state.as_str(), contain.precondition.state.as_str()), ("OBSERVING", "HELD"));
    assert_eq!(contain.precondition.state_sequence, "00000000000000000001");
    assert_eq!((&contain.supersedes, &contain.episode), (&vec![hold.id.clone()], &hold.id));
    let ids: BTreeMap<_, _> = bench.decisions.iter().map(|decision| (&decision.id, decision.sequence)).collect();
    assert_eq!(ids.len(), 2);
}

#[test]
fn a_blind_window_is_told_and_changes_nothing_else() {
    let mut bench = Bench::observing();
    assert_eq!(bench.window(&blind()), []);
    bench.is(State::Observing);
    assert_eq!(bench.state.validity, Validity::Blind);
    bench.window(&quiet());
    assert_eq!(bench.state.validity, Validity::Valid);
}
