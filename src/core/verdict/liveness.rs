//! Whether what is known of a rollout says anything about now: signs of life of whoever judges, and the age of windows.
//!
//! A permission counts only while somebody judges the rollout, reads near the ends of the logs, and has judged a window
//! that ended lately. A process that is young, or a window that was judged a moment ago, proves none of that: it may be
//! reading what happened hours ago.

use serde::{Deserialize, Serialize};

use super::RolloutState;
use crate::event::{Micros, SECOND};
use crate::plan::Plan;

/// The version of the format of [`Liveness`].
/// Origin: choice; counted up with each change.
pub const FORMAT: u32 = 1;

/// A sign of life is written at least this often.
/// Origin: choice; six signs before a silence counts.
pub const EVERY: Micros = 10 * SECOND;

/// The oldest sign of life on which a permission can rest.
/// Origin: choice; a restart takes less.
pub const SILENCE_MAX: Micros = 60 * SECOND;

/// Reading is near the ends of the logs when everything in them up to so long ago was read.
/// Origin: choice; the default lateness.
pub const LAG_MAX: Micros = 30 * SECOND;

/// A sign of life of whoever judges a rollout, as it stands on the state topic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Liveness {
    /// Version of this format: [`FORMAT`].
    pub format: u32,
    /// The rollout that is judged.
    pub rollout: String,
    /// The pipeline that it is part of.
    pub pipeline: String,
    /// Who judges: host and process.
    pub who: String,
    /// When this was written, by the clock of whoever judges.
    pub at: Micros,
    /// End of the newest window judged since the start of the process (event time).
    pub judged_upto: Option<Micros>,
    /// Everything that stood in the logs so long ago was read (microseconds); `None` until that has been so once since
    /// the start.
    pub lag: Option<Micros>,
}

impl Liveness {
    /// Whether reading is near the ends of all logs.
    #[must_use]
    pub fn is_near_end(&self) -> bool {
        self.lag.is_some_and(|lag| lag <= LAG_MAX)
    }

    /// How often signs of life are written where restrictions have such a lease: several times in each.
    #[must_use]
    pub fn every(lease_s: u64) -> Micros {
        lease(lease_s).checked_div(3).map_or(EVERY, |third| third.min(EVERY))
    }
}

fn lease(lease_s: u64) -> Micros {
    Micros::try_from(lease_s).unwrap_or(Micros::MAX).saturating_mul(SECOND)
}

/// A length of time in the largest unit of which there are two or more.
fn span(length: Micros) -> String {
    const UNITS: [(Micros, &str); 3] = [(86_400, "d"), (3_600, "h"), (60, "min")];
    let seconds = length.saturating_abs() / SECOND;
    let unit = UNITS.into_iter().find(|(size, _)| seconds >= 2 * size);
    unit.map_or_else(|| format!("{seconds} s"), |(size, name)| format!("{} {name}", seconds / size))
}

/// How much what is known of a candidate says about now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// It is judged, and was judged lately.
    Current,
    /// The newest judged window ended so long ago.
    Stale(Micros),
    /// What is judged is the past: reading has not been near the ends of the logs, or is not now.
    CatchingUp,
    /// The last sign of life is so old; `None` where there is none at all.
    Silent(Option<Micros>),
}

impl Freshness {
    /// How current a state is at a time, by the last sign of life of whoever judges it.
    #[must_use]
    pub fn of(state: &RolloutState, plan: &Plan, liveness: Option<&Liveness>, now: Micros) -> Self {
        let Some(life) = liveness else { return Self::Silent(None) };
        let stages = &plan.policy.stages;
        let silent = now.saturating_sub(life.at);
        if silent.saturating_abs() > SILENCE_MAX.min(lease(stages.lease_s)) {
            return Self::Silent(Some(silent));
        }
        if !life.is_near_end() {
            return Self::CatchingUp;
        }
        let newest = life.judged_upto.map_or(state.judged_upto.0, |upto| upto.min(state.judged_upto.0));
        let age = now.saturating_sub(newest);
        let permit = plan.time.every().saturating_mul(stages.permit_windows.into());
        let until = plan.time.later(newest, permit).saturating_add(plan.time.lateness);
        if now > until { Self::Stale(age) } else { Self::Current }
    }

    /// Why nothing can rest on it; `None` where something can.
    pub(crate) fn doubt(self) -> Option<String> {
        match self {
            Self::Current => None,
            Self::Stale(Micros::MAX) => Some("no window has been judged yet".to_owned()),
            Self::Stale(age) => Some(format!("the newest judged window ended {} ago", span(age))),
            Self::CatchingUp => Some("haldane is catching up with the log".to_owned()),
            Self::Silent(None) => Some("there is no sign of life of haldane".to_owned()),
            Self::Silent(Some(age)) if age < 0 => Some(format!("haldane's clock is {} ahead of this one", span(age))),
            Self::Silent(Some(age)) => Some(format!("haldane was last heard of {} ago", span(age))),
        }
    }
}
