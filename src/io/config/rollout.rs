//! The `rollout` section: which version is compared with which, how exposure may rise, and who may act. Every key but
//! `baseline` has a default, which stands in the plan.

use schemars::JsonSchema;
use serde::Deserialize;

use super::problem::Problems;
use super::value::{At, Period, Ratio};
use crate::event::{Micros, SECOND};
use crate::plan::{ApprovalPlan, Authority, RolloutPlan, Signal};

/// The most windows anything waits for.
const WINDOWS_MAX: u64 = 1_000_000;
/// The shortest lease: signs of life come a few times in it, however busy brokers are.
const LEASE_MIN: Micros = 10 * SECOND;
/// The most people a decision can ask for.
const QUORUM_MAX: u64 = 100;

/// The versions to compare, how exposure may rise, and who may act.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rollout {
    /// Name of the rollout, in every decision. Default: the pipeline's name.
    pub(crate) name: Option<String>,
    /// The version that all others are compared with and rolled back to.
    pub(crate) baseline: At<String>,
    /// Who may act on decisions: nobody yet, a person who approves, or a machine.
    #[serde(default)]
    pub(crate) authority: Whose,
    /// Who may act on one kind of decision, where it differs from `authority`, such as `rollback: auto`.
    #[serde(default)]
    authority_of: AuthorityOf,
    /// Steps by which exposure rises, the last one 100%. With a `shadow` the first may be 0%, and is where nothing is
    /// said: no user sees an answer of the candidate before it has passed. Default: 1%, 5%, 25%, 50%, 100%.
    ladder: Option<At<Vec<At<Ratio>>>>,
    /// Windows with data of the candidate before anything but a hard finding acts. Default: 3.
    warmup_windows: Option<At<u64>>,
    /// Windows at a step before exposure may rise, and in a restriction before it may be lifted. Default: 12.
    dwell_windows: Option<At<u64>>,
    /// Windows at a step before exposure may rise to 100%, and at 100% before a version is stable. Default: 48.
    dwell_final_windows: Option<At<u64>>,
    /// Windows in a row that a finding which is not hard must stand before it acts. Default: 3.
    confirm_windows: Option<At<u64>>,
    /// Windows in a row without adverse evidence before something is lifted. Default: 3.
    clear_windows: Option<At<u64>>,
    /// Restrictions that may be lifted in one episode; after that only a person lifts one. Default: 3.
    flap_budget: Option<At<u64>>,
    /// Windows at 100% after which a version is stable even if labels never came. Default: 288.
    bake_max_windows: Option<At<u64>>,
    /// Windows for which a stable version can still be rolled back. Default: 288.
    horizon_windows: Option<At<u64>>,
    /// Windows at one step after which a person is asked what to do. Default: 288.
    ask_windows: Option<At<u64>>,
    /// Windows in a row without data after which exposure is held. Default: 12.
    blind_windows: Option<At<u64>>,
    /// Windows that a permission to raise exposure lasts. Default: 12.
    permit_windows: Option<At<u64>>,
    /// How far above its cap the observed share may be to count as there. Default: 1%.
    share_tolerance: Option<At<Ratio>>,
    /// Windows after which a restriction without visible effect is asserted again; then after twice as many, and so on.
    /// Default: 3.
    reassert_windows: Option<At<u64>>,
    /// Repetitions after which it becomes fatal that a restriction has no effect. Default: 3.
    reasserts_max: Option<At<u64>>,
    /// Whether actuators acknowledge decisions: then a rollback is over only when one has. Default: false.
    acks: Option<bool>,
    /// How decisions get their approval, where one is needed.
    approval: Option<ApprovalSection>,
    /// Whether hard findings may contain or roll back what a person has resumed or promoted. Default: false.
    hard_overrides_people: Option<bool>,
    /// How long what was decided counts without a sign of life of whoever judges; then exposure is left where it is. At
    /// least 10s. Default: 15m.
    lease: Option<At<Period>>,
}

/// How decisions get their approval.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ApprovalSection {
    /// How many different people must approve. Default: 1.
    quorum: Option<At<u64>>,
    /// How long a decision waits, in event time; then exposure is held as it is. Default: 4h.
    deadline: Option<At<Period>>,
}

/// Who may act on decisions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Whose {
    /// Nobody: decisions are advice.
    #[default]
    Advisory,
    /// A machine, once a person has approved.
    Approval,
    /// A machine.
    Auto,
}

impl From<Whose> for Authority {
    fn from(whose: Whose) -> Self {
        match whose {
            Whose::Advisory => Self::Advisory,
            Whose::Approval => Self::Approval,
            Whose::Auto => Self::Auto,
        }
    }
}

/// Who may act on each kind of decision.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct AuthorityOf {
    /// To stop exposure from rising.
    hold: Option<Whose>,
    /// To lower exposure to a cap.
    contain: Option<Whose>,
    /// To send all traffic back.
    rollback: Option<Whose>,
    /// To raise exposure by a step.
    promote_ok: Option<Whose>,
    /// To lift a restriction.
    resume: Option<Whose>,
}

impl AuthorityOf {
    fn resolve(&self) -> Vec<(Signal, Authority)> {
        let all = [
            (Signal::Hold, self.hold),
            (Signal::Contain, self.contain),
            (Signal::Rollback, self.rollback),
            (Signal::PromoteOk, self.promote_ok),
            (Signal::Resume, self.resume),
        ];
        all.into_iter().filter_map(|(signal, whose)| whose.map(|whose| (signal, whose.into()))).collect()
    }
}

impl Rollout {
    /// The plan: what is named, and the default for the rest.
    pub(crate) fn stages(&self, has_shadow: bool, problems: &mut Problems) -> RolloutPlan {
        let mut default = RolloutPlan::default();
        if has_shadow {
            default.ladder.insert(0, 0.0);
        }
        let mut windows = |key: &str, given: Option<At<u64>>, default: u32| windows(key, given, default, problems);
        let plan = RolloutPlan {
            warmup_windows: windows("warmup_windows", self.warmup_windows, default.warmup_windows),
            dwell_windows: windows("dwell_windows", self.dwell_windows, default.dwell_windows),
            dwell_final_windows: windows("dwell_final_windows", self.dwell_final_windows, default.dwell_final_windows),
            confirm_windows: windows("confirm_windows", self.confirm_windows, default.confirm_windows),
            clear_windows: windows("clear_windows", self.clear_windows, default.clear_windows),
            flap_budget: windows("flap_budget", self.flap_budget, default.flap_budget),
            bake_max_windows: windows("bake_max_windows", self.bake_max_windows, default.bake_max_windows),
            horizon_windows: windows("horizon_windows", self.horizon_windows, default.horizon_windows),
            ask_windows: windows("ask_windows", self.ask_windows, default.ask_windows),
            blind_windows: windows("blind_windows", self.blind_windows, default.blind_windows),
            permit_windows: windows("permit_windows", self.permit_windows, default.permit_windows),
            reassert_windows: windows("reassert_windows", self.reassert_windows, default.reassert_windows),
            reasserts_max: windows("reasserts_max", self.reasserts_max, default.reasserts_max),
            share_epsilon_pct: self.share_tolerance.map_or(default.share_epsilon_pct, |share| share.value.0 * 100.0),
            acks: self.acks.unwrap_or(default.acks),
            authority: self.authority_of.resolve(),
            hard_overrides_people: self.hard_overrides_people.unwrap_or(default.hard_overrides_people),
            ..default
        };
        RolloutPlan {
            ladder: self.ladder.as_ref().map_or(plan.ladder, |ladder| rungs(ladder, has_shadow, problems)),
            approval: self.approval.as_ref().map_or(plan.approval, |section| section.resolve(plan.approval, problems)),
            lease_s: self.lease.map_or(plan.lease_s, |lease| seconds(lease, problems)),
            ..plan
        }
    }
}

impl ApprovalSection {
    fn resolve(&self, default: ApprovalPlan, problems: &mut Problems) -> ApprovalPlan {
        if let Some(quorum) = self.quorum.filter(|quorum| !(1..=QUORUM_MAX).contains(&quorum.value)) {
            problems
                .add(quorum.spot, format!("`quorum` is {}", quorum.value))
                .help(format!("write how many people must approve, from 1 to {QUORUM_MAX}"));
        }
        if let Some(deadline) = self.deadline.filter(|deadline| deadline.value.0 <= 0) {
            problems.add(deadline.spot, "`deadline` is zero").help("write how long people may take, such as 4h");
        }
        ApprovalPlan {
            quorum: self.quorum.map_or(default.quorum, |quorum| u32::try_from(quorum.value).unwrap_or(u32::MAX)),
            deadline: self.deadline.map_or(default.deadline, |deadline| deadline.value.0),
        }
    }
}

/// Steps in percent.
fn rungs(ladder: &At<Vec<At<Ratio>>>, has_shadow: bool, problems: &mut Problems) -> Vec<f64> {
    let shares: Vec<f64> = ladder.iter().map(|step| step.value.0).collect();
    let rises = shares.windows(2).all(|pair| pair[0] < pair[1])
        && shares.first().is_some_and(|first| *first > 0.0 || has_shadow);
    if !rises || shares.last().is_none_or(|last| *last < 1.0) {
        problems
            .add(ladder.spot, "`ladder` must rise from above zero to 100%")
            .help("write steps such as [1%, 5%, 25%, 50%, 100%]");
    }
    // To the last digit that anybody would write.
    shares.iter().map(|share| (share * 1e12).round() / 1e10).collect()
}

fn windows(key: &str, given: Option<At<u64>>, default: u32, problems: &mut Problems) -> u32 {
    let Some(At { value, spot }) = given else { return default };
    if value > WINDOWS_MAX {
        problems.add(spot, format!("`{key}` is {value}")).help(format!("write a number of at most {WINDOWS_MAX}"));
    }
    u32::try_from(value).unwrap_or(default)
}

fn seconds(lease: At<Period>, problems: &mut Problems) -> u64 {
    if lease.value.0 < LEASE_MIN {
        problems
            .add(lease.spot, format!("`lease` {} is too short for a sign of life to renew it", lease.value))
            .help("write a duration of at least 10s, such as 15m");
    }
    u64::try_from(lease.value.0 / SECOND).unwrap_or(0)
}
