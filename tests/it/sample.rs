//! Made-up results that several tests show, count and validate.

use haldane::event::Micros;
use haldane::format::RecordVersion;
use haldane::judge::{RowStatus, WindowRow};
use haldane::plan::{Action, Authority, Signal};
use haldane::reason::ReasonCode;
use haldane::verdict::decision::{DecisionInputs, Exposure, Precondition, Reason, Severity, Test};
use haldane::verdict::liveness::FORMAT;
use haldane::verdict::rollout::{Effect, Mute, Pending, People, RuleHistory, Standing};
use haldane::verdict::{Decision, Episode, Evidence, GuardName, Liveness, RolloutState, State, Validity};

/// PSI of one column of fraud v2 in the window that ends then.
pub(crate) fn row(column: &str, window_end: Micros, value: Option<f64>) -> WindowRow {
    WindowRow {
        window_start: window_end - 10,
        window_end,
        model: "fraud".to_owned(),
        version: "v2".to_owned(),
        segment: String::new(),
        baseline: "concurrent:v1".to_owned(),
        reference: String::new(),
        column: column.to_owned(),
        metric: "psi".to_owned(),
        convention: "deciles".to_owned(),
        revision: 0,
        status: if value.is_some() { RowStatus::Ok } else { RowStatus::Insufficient },
        value,
        low: None,
        high: None,
        p_value: None,
        n: 100,
        n_baseline: 100,
        bins: 10,
        coverage: None,
        doubts: String::new(),
        trust: haldane::trust::Trust::Ok,
    }
}

/// A decision on fraud v2.
pub(crate) fn decision(action: Signal) -> Decision {
    Decision {
        format: RecordVersion::NEW,
        id: format!("b3:{}", "0".repeat(64)),
        sequence: 1,
        episode: format!("b3:{}", "0".repeat(64)),
        time: 0,
        action,
        cap_pct: None,
        rollout: "fraud".to_owned(),
        model: "fraud".to_owned(),
        candidate: "v2".to_owned(),
        baseline: "v1".to_owned(),
        denied_versions: Vec::new(),
        precondition: Precondition {
            candidate: "v2".to_owned(),
            state: "OBSERVING".to_owned(),
            state_sequence: "0".repeat(20),
        },
        supersedes: Vec::new(),
        authority: Authority::Advisory,
        approval: None,
        severity: Severity::of(action),
        causation: None,
        reason: Reason { code: ReasonCode::ErrorRate.into(), text: "too many errors".to_owned() },
        evidence: vec![Evidence {
            rule: "errors".into(),
            metric: "error_rate".to_owned(),
            column: String::new(),
            segment: "country=DE".to_owned(),
            baseline_kind: "concurrent".to_owned(),
            convention: "share".to_owned(),
            estimate: 0.08,
            lo: None,
            hi: Some(0.1),
            bound: 0.02,
            test: Test::Bound.into(),
            e_value: None,
            alpha: None,
            margin: None,
            n_candidate: 400,
            n_baseline: 1_600,
            breaches: (2, 3),
            window: (0, 10),
            reference: String::new(),
            flags: vec!["labels_72pct".into()],
        }],
        exposure: Exposure { declared_pct: None, observed_pct: 20.0 },
        inputs: DecisionInputs {
            offsets: vec![("fraud.predictions".to_owned(), 0, 1, 99)],
            window: Some((0, 10)),
            policy: format!("b3:{}", "1".repeat(64)),
            reference: String::new(),
            engine: "haldane".to_owned(),
        },
        ledger: Vec::new(),
        lease_s: 900,
        drill: false,
        previous: String::new(),
    }
}

/// Where a candidate of the rollout of fraud stands.
pub(crate) fn state(candidate: &str, state: State, validity: Validity) -> RolloutState {
    RolloutState {
        state,
        validity,
        sequence: 1,
        judged_upto: (10, 0),
        history: vec![RuleHistory { rule: "errors".into(), scope: "@".to_owned(), breached: vec![true, false] }],
        ..RolloutState::new("fraud", "fraud", candidate, "v1")
    }
}

/// A sign of life of whoever judges a rollout, who reads at the ends of the logs.
pub(crate) fn living(rollout: &str, at: Micros) -> Liveness {
    Liveness {
        format: FORMAT,
        rollout: rollout.to_owned(),
        pipeline: rollout.to_owned(),
        who: "host:7".to_owned(),
        at,
        judged_upto: None,
        lag: Some(0),
    }
}

/// A state in which everything is told.
pub(crate) fn full() -> RolloutState {
    let id = format!("b3:{}", "2".repeat(64));
    RolloutState {
        step: 2,
        cause: ReasonCode::ErrorRate.into(),
        cap_pct: Some(5.0),
        in_force: vec![id.clone()],
        episode: id.clone(),
        declared_pct: Some(10.0),
        standing: vec![Standing { source: "errors".into(), kind: 0, action: Action::Contain, windows: 2 }],
        waits_for: vec!["labels".to_owned()],
        effect: Some(Effect {
            decision: id.clone(),
            asked_at: 10,
            cap_pct: 5.0,
            issued: true,
            acked: false,
            refused: false,
            requests: 0,
            unseen: 1,
            reassert_at: 3,
            reasserted: 0,
            seen_at: Some(20),
            took_us: Some(10),
        }),
        pending: Some(Pending {
            decision: id,
            signal: Signal::Contain,
            cap_pct: Some(5.0),
            granted: vec!["ana".to_owned()],
            deadline: 30,
            before: State::Observing,
            cap_before: None,
            in_force_before: Vec::new(),
            effect_before: None,
        }),
        people: People {
            frozen_until: Some(40),
            mutes: vec![Mute { metric: "psi".to_owned(), column: None, segment: None, until: 50 }],
            overruled: vec![("errors".into(), Action::Hold)],
            commands: vec!["command-7".to_owned()],
            ..People::default()
        },
        ..state("v2", State::Contained, Validity::Valid)
    }
}

/// An episode in which everything is told.
pub(crate) fn episode() -> Episode {
    Episode {
        source: GuardName::Change.into(),
        metric: "missing_rate".to_owned(),
        column: "amount".to_owned(),
        segment: "country=DE".to_owned(),
        kind: 0,
        world: false,
        bound: false,
        muted: false,
        since: 10,
        windows: 4,
        quiet: 3,
        size: 0.1,
        told_size: 0.05,
        told_at: Some(10),
        decision: format!("b3:{}", "2".repeat(64)),
        over_at: Some(40),
        told_over: true,
    }
}
