//! The decision event: what leaves haldane.
//!
//! A decision's `id` is a digest of all that it says, reasons and numbers included. So a replay of the same log with
//! the same plan gives the same ids, a repeated delivery is recognised, and two that say different things are never
//! taken for one.

use serde::{Deserialize, Serialize};

use crate::event::Micros;
use crate::format::RecordVersion;
use crate::name::{NameOf, named};
use crate::plan::{Authority, Signal};
use crate::reason::ReasonCode;
use crate::verdict::finding::FindingSource;
pub use crate::verdict::finding::LedgerEntry;
pub use crate::verdict::guard::account::Account;

/// One decision, as it stands in the body of the event on the control topic.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// Version of this format. From 2 on the id covers all that the decision says; before, it left out reason, evidence
    /// and exposure. A field that comes later is left out where it has no value, or old ids could not be recomputed.
    #[serde(default, skip_serializing_if = "RecordVersion::is_first")]
    pub format: RecordVersion<2>,
    /// `b3:` and 64 hex digits.
    pub id: String,
    /// Position in the rollout's sequence, from 1, without gaps.
    pub sequence: u64,
    /// Id of the first decision of this episode (of the escalation that this one belongs to).
    pub episode: String,
    /// When it could be known (event time): the end of the window that called for it, the time until which its labels
    /// were waited for, or when a command was written; never before the decision before it. The event's `ce_time`.
    pub time: Micros,
    /// What to do.
    pub action: Signal,
    /// Share of traffic that the candidate may get at most, percent: of a containment, a permission, a heartbeat.
    pub cap_pct: Option<f64>,
    /// Rollout name.
    pub rollout: String,
    /// Model.
    pub model: String,
    /// Version that is judged.
    pub candidate: String,
    /// Version to compare with, and to go back to.
    pub baseline: String,
    /// Versions that must not be rolled forward to again.
    pub denied_versions: Vec<String>,
    /// What must still be true when the decision is applied.
    pub precondition: Precondition,
    /// Ids of decisions that this one replaces.
    pub supersedes: Vec<String>,
    /// Who may act on it.
    pub authority: Authority,
    /// Who has approved it, and who still must; `None` when nobody is asked.
    pub approval: Option<Approval>,
    /// How urgently people should look.
    pub severity: Severity,
    /// The decision or command that it follows from.
    pub causation: Option<String>,
    /// Why.
    pub reason: Reason,
    /// The numbers behind it.
    pub evidence: Vec<Evidence>,
    /// Traffic share of the candidate.
    pub exposure: Exposure,
    /// What it was computed from.
    pub inputs: DecisionInputs,
    /// Error budget: what each kind of mistake may cost, and how much evidence stands.
    pub ledger: Vec<LedgerEntry>,
    /// Seconds for which the decision counts without a sign of life of whoever judges; a permission lapses after them.
    pub lease_s: u64,
    /// Whether this is an exercise.
    pub drill: bool,
    /// Seal of the decision before in the same sequence, so that none can be changed, left out or slipped in unnoticed;
    /// empty for the first.
    pub previous: String,
}

impl Decision {
    /// The decision's identity: a digest of its body without the id itself. Left out is what says where and by what it
    /// was computed: offsets and the release, and with them the seal of the decision before. So the same events give
    /// the same id however they were partitioned.
    #[must_use]
    pub fn identity(&self) -> String {
        let mut said = Self { id: String::new(), previous: String::new(), ..self.clone() };
        if said.episode == self.id {
            said.episode = String::new();
        }
        (said.inputs.offsets, said.inputs.engine) = Default::default();
        seal(&said.body())
    }

    /// Whether the id is that of what the decision says; of the first format it cannot be told.
    #[must_use]
    pub fn is_genuine(&self) -> bool {
        self.format.is_first() || self.id == self.identity()
    }

    /// End of the window that called for it.
    #[must_use]
    pub fn window_end(&self) -> Micros {
        self.inputs.window.map_or(self.time, |(_, end)| end)
    }

    /// The decision as it stands on the control topic.
    #[must_use]
    pub fn body(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("decisions have text keys and finite numbers")
    }
}

/// The seal of a body: `b3:` and the 64 hex digits of its BLAKE3 digest.
#[must_use]
pub fn seal(body: &[u8]) -> String {
    format!("b3:{}", blake3::hash(body).to_hex())
}

/// How urgently people should look, on OpenTelemetry's scale.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Severity {
    /// For the record.
    Info,
    /// Today.
    Warn,
    /// Soon.
    Error,
    /// Now.
    Fatal,
}

impl Severity {
    /// The usual severity of a signal.
    #[must_use]
    pub fn of(signal: Signal) -> Self {
        match signal {
            Signal::Warn | Signal::Hold => Self::Warn,
            Signal::Contain => Self::Error,
            Signal::Rollback => Self::Fatal,
            _ => Self::Info,
        }
    }

    /// Its name and its number.
    #[must_use]
    pub fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::Info => ("INFO", "9"),
            Self::Warn => ("WARN", "13"),
            Self::Error => ("ERROR", "17"),
            Self::Fatal => ("FATAL", "21"),
        }
    }
}

/// Who has approved a decision, and who still must.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// How many different people must approve.
    pub required: u32,
    /// Those who have.
    pub granted: Vec<String>,
    /// Until when (event time).
    pub deadline: Micros,
    /// What happens then.
    pub on_timeout: Signal,
}

/// What must still be true when a decision is applied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Precondition {
    /// The candidate that is in production.
    pub candidate: String,
    /// State before the decision.
    pub state: String,
    /// Sequence number of the decision before, 20 digits.
    pub state_sequence: String,
}

/// Why, for machines and for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// What programs act on.
    pub code: NameOf<ReasonCode>,
    /// One sentence.
    pub text: String,
}

named! {
    /// What made a number into evidence.
    pub enum Test {
        /// a rule's bound on numbers of windows
        Bound = "bound",
        /// a limit on a share, tested by betting
        Limit = "limit",
        /// a change in time, by Shiryaev and Roberts
        ShiryaevRoberts = "shiryaev_roberts",
        /// two shares, by a hypergeometric e-process
        Hx = "hx",
        /// versions within the same windows, by contrasts
        Contrast = "contrast",
        /// gaps between groups of requests, by betting
        Gap = "gap",
        /// scores against outcomes
        Reliability = "reliability",
        /// the split of traffic against what was declared
        SampleRatio = "sample_ratio",
    }
}

named! {
    /// What is to be known beside a number. Evidence has other remarks, too, which hold numbers: `labels_72pct`, and of
    /// a window that is not trusted wholly a level, a [`Cause`](crate::plan::Cause) and a share, such as
    /// `untrusted_poison_7.1pct`.
    pub enum Remark {
        /// somebody muted it: it is shown, and calls for nothing
        Muted = "muted",
        /// later evidence refutes it, although what was gathered still stands
        Refuted = "refuted",
        /// both versions show it
        World = "world",
        /// how much alike requests of one entity are is assumed, not measured
        IidAssumed = "iid_assumed",
        /// no comparison of the versions can be trusted while it lasts
        VerdictVoid = "verdict_void",
    }
}

/// One number behind a decision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// Who found it.
    pub rule: FindingSource,
    /// Metric.
    pub metric: String,
    /// Column, or empty.
    pub column: String,
    /// Segment, or empty for all traffic.
    pub segment: String,
    /// What it was compared with, or empty.
    pub baseline_kind: String,
    /// How it was computed.
    pub convention: String,
    /// The number that was held against the bound.
    pub estimate: f64,
    /// Certified bounds of the number, where it comes from bins.
    pub lo: Option<f64>,
    /// Upper one.
    pub hi: Option<f64>,
    /// The bound.
    pub bound: f64,
    /// What made a number into evidence.
    pub test: NameOf<Test>,
    /// Evidence of the test so far; at `1 / alpha` it acts.
    pub e_value: Option<f64>,
    /// Chance of a mistake that the test was given.
    pub alpha: Option<f64>,
    /// What is tolerated, in the test's own terms.
    pub margin: Option<f64>,
    /// Rows of the candidate.
    pub n_candidate: u64,
    /// Rows of the baseline.
    pub n_baseline: u64,
    /// Windows that breached, of those looked at.
    pub breaches: (u32, u32),
    /// The window.
    pub window: (Micros, Micros),
    /// Content address of the reference profile, or empty.
    pub reference: String,
    /// What is to be known beside the number.
    pub flags: Vec<NameOf<Remark>>,
}

impl Evidence {
    /// Whether a remark stands beside the number.
    #[must_use]
    pub fn is(&self, remark: Remark) -> bool {
        self.flags.iter().any(|flag| *flag == remark)
    }

    /// All remarks, as they are written.
    pub fn remarks(&self) -> Vec<&str> {
        self.flags.iter().map(NameOf::as_str).collect()
    }
}

/// Traffic share of the candidate.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Exposure {
    /// What an exposure event said last, percent.
    pub declared_pct: Option<f64>,
    /// Share of the window's predictions, percent.
    pub observed_pct: f64,
}

/// What a decision was computed from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DecisionInputs {
    /// (topic, partition, first offset, last offset) of what was used: the traffic of the window, the shares in force
    /// and, where labels were judged, those that came in time.
    pub offsets: Vec<(String, u32, i64, i64)>,
    /// Start and end of the window that called for it (event time), or twice when a command was written; `None` in
    /// decisions of earlier builds, of which `time` is the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<(Micros, Micros)>,
    /// Digest of the plan.
    pub policy: String,
    /// Content address of the reference profile, or empty.
    pub reference: String,
    /// Name and version of the engine.
    pub engine: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two decisions of one sequence.
    fn recorded() -> [Decision; 2] {
        let mut lines = include_str!("../../../tests/data/recorded/flights.decisions.jsonl").lines();
        [lines.next(), lines.next()].map(|line| serde_json::from_str(line.expect("a line")).expect("a decision"))
    }

    #[test]
    fn whatever_a_decision_says_is_in_its_id() {
        for decision in recorded() {
            assert!(decision.is_genuine(), "{}", decision.id);
            let changes: [fn(&mut Decision); 8] = [
                |other| other.reason.text.push('!'),
                |other| other.exposure.observed_pct += 1e-9,
                |other| other.exposure.declared_pct = Some(7.0),
                |other| other.evidence[0].estimate += 1e-9,
                |other| other.ledger.clear(),
                |other| other.severity = Severity::Info,
                |other| other.lease_s += 1,
                |other| other.denied_versions.push("v9".into()),
            ];
            for (number, change) in changes.into_iter().enumerate() {
                let mut other = decision.clone();
                change(&mut other);
                assert!(other == decision || !other.is_genuine(), "change {number} of {}", decision.id);
            }
        }
    }

    #[test]
    fn where_and_by_what_a_decision_was_computed_is_not_in_its_id() {
        for mut decision in recorded() {
            decision.inputs.offsets = vec![("other".into(), 7, 1, 2)];
            decision.inputs.engine = "haldane 99".into();
            decision.previous = "b3:other".into();
            assert!(decision.is_genuine(), "{}", decision.id);
        }
    }
}
