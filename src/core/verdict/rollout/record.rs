//! All that is known of one candidate: the record on the state topic, and all the judge needs to go on after a restart.

use serde::{Deserialize, Serialize};

use super::State;
use crate::event::Micros;
use crate::format::Version;
use crate::name::NameOf;
use crate::plan::{Action, RolloutPlan, Signal};
use crate::reason::ReasonCode;
use crate::trust::WindowTrust;
use crate::verdict::command::Position;
use crate::verdict::finding::{FindingSource, Validity};
use crate::verdict::guard::Memory;

/// Where a rollout stands, keyed by rollout, model and candidate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RolloutState {
    /// Version of this format. Since 2 a candidate that was rolled back ends.
    #[serde(default)]
    pub format: Version<2>,
    /// Rollout name.
    pub rollout: String,
    /// Model.
    pub model: String,
    /// Version that is judged.
    pub candidate: String,
    /// Version to go back to.
    pub baseline: String,
    /// The verdict so far.
    pub state: State,
    /// Whether the last window's data could be trusted. It never makes a verdict worse.
    pub validity: Validity,
    /// How far the last window's data is trusted, and why not further.
    #[serde(default, skip_serializing_if = "WindowTrust::is_ok")]
    pub trust: WindowTrust,
    /// Step of the ladder that exposure is at, from 0.
    pub step: usize,
    /// Last decision's sequence number; 0 before the first.
    pub sequence: u64,
    /// Time of the last decision, before which no later one is.
    #[serde(default)]
    pub decided_at: Option<Micros>,
    /// Seal of the last decision, which the next one names; empty before the first.
    pub seal: String,
    /// Why the restriction in force was made, or the last one; an empty name before the first.
    pub cause: NameOf<ReasonCode>,
    /// Cap in force, percent.
    pub cap_pct: Option<f64>,
    /// Ids of decisions in force.
    pub in_force: Vec<String>,
    /// First decision of the current episode, or empty.
    pub episode: String,
    /// Declared share of traffic, percent.
    pub declared_pct: Option<f64>,
    /// Share of the last window's predictions, percent.
    pub observed_pct: f64,
    /// End of the first window it was seen in.
    pub since: Micros,
    /// The last judgement that was taken in: when it fell due (event time) and of which kind (0 traffic, 1 quality).
    pub judged_upto: Position,
    /// Windows counted.
    pub counts: Counts,
    /// What stands against it.
    pub standing: Vec<Standing>,
    /// What was found and told, until it is over.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub episodes: Vec<Episode>,
    /// What is missing before it can pass.
    pub waits_for: Vec<String>,
    /// The last restriction, and whether it was seen to work.
    pub effect: Option<Effect>,
    /// The decision that waits for approval.
    pub pending: Option<Pending>,
    /// What people have said.
    pub people: People,
    /// Per rule and watched number: which of the last windows breached, newest first.
    pub history: Vec<RuleHistory>,
    /// What guards remember; `None` without guards.
    pub memory: Option<Memory>,
    /// When it ended (event time); `None` while it has not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Micros>,
    /// Whether it ended by a rollback: then its version is denied until a person clears that.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub denied: bool,
    /// Of the version to go back to: candidates that ended so long ago that they have no record of their own any more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ended: Vec<Ended>,
    /// Whether this is the last that is said of it: its record is taken away.
    #[serde(skip)]
    pub gone: bool,
}

/// What is kept of a candidate that ended long ago.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// The version.
    pub candidate: String,
    /// When it ended (event time).
    pub at: Micros,
    /// Whether the version is denied.
    pub denied: bool,
    /// Sequence number of its last decision, so that the next one goes on from there.
    pub sequence: u64,
    /// Seal of its last decision.
    pub seal: String,
}

/// Windows counted (each window once, when its traffic is judged).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counts {
    /// With data of the candidate.
    pub warm: u32,
    /// Since the state was entered.
    pub in_state: u32,
    /// Since the step was reached.
    pub at_step: u32,
    /// In a row at another step than the one counted.
    pub off_step: u32,
    /// In a row without adverse evidence.
    pub clear: u32,
    /// In a row without the data to judge it.
    pub blind: u32,
    /// In a row with no traffic to speak of.
    pub idle: u32,
    /// Restrictions lifted in this episode.
    pub relaxations: u32,
    /// Since it became stable; 0 while it is not.
    pub stable: u32,
    /// Whether a person was asked what to do at this step.
    pub asked: bool,
    /// Since the state was entered, with data that could not be trusted: they count towards nothing good.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub untrusted_in_state: u32,
    /// The same since the step was reached.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub untrusted_at_step: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_zero(count: &u32) -> bool {
    *count == 0
}

impl Counts {
    /// Counts the windows of a state anew.
    pub(crate) fn begin(&mut self) {
        (self.in_state, self.untrusted_in_state) = (0, 0);
    }

    /// Windows since the state was entered whose data could be trusted.
    pub(crate) fn good_in_state(&self) -> u32 {
        self.in_state.saturating_sub(self.untrusted_in_state)
    }

    /// The same since the step was reached.
    pub(crate) fn good_at_step(&self) -> u32 {
        self.at_step.saturating_sub(self.untrusted_at_step)
    }
}

/// A finding that stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// Who found it.
    pub source: FindingSource,
    /// Kind of judgement that it comes from (0 traffic, 1 quality).
    pub kind: u8,
    /// What it calls for.
    pub action: Action,
    /// Judgements in a row.
    pub windows: u32,
}

/// One number that a rule or guard has found to stand out, from the first window to the last.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "each is said on its own and any may go with any")]
pub struct Episode {
    /// Who found it.
    pub source: FindingSource,
    /// Metric; empty where it stands for all that the source finds beyond the bound on episodes.
    pub metric: String,
    /// Column, or empty.
    pub column: String,
    /// Segment, or empty for all traffic.
    pub segment: String,
    /// Kind of judgement that it comes from (0 traffic, 1 quality).
    pub kind: u8,
    /// Whether it is about the world, and no candidate is to blame.
    pub world: bool,
    /// Whether a rule of the pipeline found it.
    pub bound: bool,
    /// Whether people have muted it.
    pub muted: bool,
    /// End of the first window in which it stood.
    pub since: Micros,
    /// Judgements in which it stood.
    pub windows: u32,
    /// Judgements in a row in which it did not.
    pub quiet: u32,
    /// How large it is, the newest windows first: the number itself, or the logarithm of a ratio.
    pub size: f64,
    /// How large it was when it was told last.
    pub told_size: f64,
    /// When it was told last (event time); `None` while another episode covers it.
    pub told_at: Option<Micros>,
    /// The decision that told it last.
    pub decision: String,
    /// When it was over (event time).
    pub over_at: Option<Micros>,
    /// Whether it was told that it is over.
    pub told_over: bool,
}

/// Whether a restriction does what it asks for, as far as traffic shows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Effect {
    /// The decision.
    pub decision: String,
    /// When it was decided (event time).
    pub asked_at: Micros,
    /// Share of traffic that is allowed, percent.
    pub cap_pct: f64,
    /// Whether a machine may act on it: then it is asserted again where it has no effect.
    pub issued: bool,
    /// Whether an actuator said that it was applied.
    pub acked: bool,
    /// Whether an actuator said that it will not or cannot be applied.
    pub refused: bool,
    /// Requests of all versions in windows in a row in which traffic was at or below the cap.
    #[serde(default)]
    pub requests: u64,
    /// Windows in a row in which traffic was above the cap.
    pub unseen: u32,
    /// The next of these after which it is asserted again.
    pub reassert_at: u32,
    /// How often it was asserted again.
    pub reasserted: u32,
    /// End of the first window up to which enough traffic was at or below the cap.
    pub seen_at: Option<Micros>,
    /// From the decision to that window: the time to contain.
    pub took_us: Option<Micros>,
}

/// A decision that waits for approval.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pending {
    /// Its id.
    pub decision: String,
    /// What it asks for.
    pub signal: Signal,
    /// Its cap.
    pub cap_pct: Option<f64>,
    /// Who has approved.
    pub granted: Vec<String>,
    /// Until when it waits (event time).
    pub deadline: Micros,
    /// State before it.
    pub before: State,
    /// Cap in force before it.
    pub cap_before: Option<f64>,
    /// Ids of the decisions in force before it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub in_force_before: Vec<String>,
    /// What was known before it of the restriction in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effect_before: Option<Effect>,
}

/// What people have said about a candidate.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "each is said on its own and any may go with any")]
pub struct People {
    /// A person restricted it: only a person lifts that.
    pub pinned: bool,
    /// A person lifted or promoted it: automation may hold and call people, no more.
    pub forced: bool,
    /// What is in force was decided during a freeze, and nobody may act on it yet.
    pub unissued: bool,
    /// A permission to serve everybody was given.
    pub passed: bool,
    /// Frozen until windows end at or after this time.
    pub frozen_until: Option<Micros>,
    /// Whether the freeze is the whole rollout's, so that candidates yet to come are frozen too.
    pub frozen_all: bool,
    /// Watched at 100 % until windows end at or after this time.
    pub bake_until: Option<Micros>,
    /// What is shown but does not act.
    pub mutes: Vec<Mute>,
    /// Findings (source and severity) that a person has seen and overruled, while they stand.
    pub overruled: Vec<(FindingSource, Action)>,
    /// Ids of the last commands.
    pub commands: Vec<String>,
}

/// What is shown but does not act.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mute {
    /// Metric.
    pub metric: String,
    /// Column, or any.
    pub column: Option<String>,
    /// Segment, or any.
    pub segment: Option<String>,
    /// Until windows end at or after this time.
    pub until: Micros,
}

/// Which of the last windows breached one rule on one watched number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleHistory {
    /// Rule name.
    pub rule: String,
    /// Column and segment, joined by `@`.
    pub scope: String,
    /// Newest first; `true` = breached.
    pub breached: Vec<bool>,
}

impl RolloutState {
    /// Whether the command of this id was carried out on it, one of the last.
    #[must_use]
    pub fn knows(&self, command: &str) -> bool {
        self.people.commands.iter().any(|id| id == command)
    }

    /// A candidate that has just been heard of, and the version to go back to.
    #[must_use]
    pub fn new(rollout: &str, model: &str, candidate: &str, baseline: &str) -> Self {
        Self {
            format: Version,
            rollout: rollout.to_owned(),
            model: model.to_owned(),
            candidate: candidate.to_owned(),
            baseline: baseline.to_owned(),
            state: State::Registered,
            validity: Validity::Valid,
            trust: WindowTrust::default(),
            step: 0,
            sequence: 0,
            decided_at: None,
            seal: String::new(),
            cause: NameOf::default(),
            cap_pct: None,
            in_force: Vec::new(),
            episode: String::new(),
            declared_pct: None,
            observed_pct: 0.0,
            since: Micros::MIN,
            judged_upto: (Micros::MIN, 0),
            counts: Counts::default(),
            standing: Vec::new(),
            episodes: Vec::new(),
            waits_for: Vec::new(),
            effect: None,
            pending: None,
            people: People::default(),
            history: Vec::new(),
            memory: None,
            ended_at: None,
            denied: false,
            ended: Vec::new(),
            gone: false,
        }
    }

    /// Goes to another state, whose windows are counted anew.
    pub(crate) fn enter(&mut self, state: State) {
        if state != self.state {
            self.state = state;
            self.counts.begin();
        }
        if !state.is_live() {
            // It is not judged any more, so that no data of it is missed.
            (self.validity, self.counts.blind) = (Validity::Valid, 0);
            self.trust = WindowTrust::default();
        }
    }

    /// Whether its version was rolled back and must not be rolled forward to again.
    #[must_use]
    pub fn is_denied(&self) -> bool {
        self.denied || self.state.severity() == Action::Rollback
    }

    /// Whether it is the baseline version itself, which is watched for what the world does and never rolled out or
    /// back.
    #[must_use]
    pub fn is_world(&self) -> bool {
        self.candidate == self.baseline
    }

    /// The state without any restriction, at the exposure it has.
    pub(crate) fn unrestricted(&self, plan: &RolloutPlan) -> State {
        if self.counts.warm < plan.warmup_windows && self.is_world() {
            State::Warming
        } else if self.is_world() {
            State::Observing
        } else if self.counts.stable > 0 {
            State::Stable
        } else if self.step >= plan.top() {
            State::Baking
        } else if self.counts.warm < plan.warmup_windows {
            State::Warming
        } else {
            State::Observing
        }
    }

    /// What is known of its share of traffic, percent: what was declared, else what was seen.
    pub(crate) fn share_pct(&self) -> f64 {
        self.declared_pct.unwrap_or(self.observed_pct)
    }

    pub(crate) fn frozen(&self) -> bool {
        self.people.frozen_until.is_some()
    }
}
