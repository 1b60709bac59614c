//! Guards: evidence with a guarantee, gathered over a whole rollout from the counts of its windows.
//!
//! A guard sees each window once, in order, and keeps a few numbers per thing that it looks at; nothing is ever recomputed
//! from later knowledge, so that the guarantees hold under constant watching.

mod change;
mod labels;
mod moved;
mod sensor;

use serde::{Deserialize, Serialize};

use self::change::{Detector, Gathered};
use crate::metric::view::ViewKey;
use crate::plan::{GuardPlan, Plan};
use crate::verdict::finding::Verdict;
use crate::verdict::judged::{Counts, Judged};

/// Two versions in one window.
#[derive(Debug)]
pub(crate) struct Pair<'a, T> {
    pub(crate) candidate: &'a T,
    pub(crate) baseline: &'a T,
}

impl<T> Clone for Pair<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Pair<'_, T> {}

/// The guards of a plan, the same for every candidate.
#[derive(Debug, Clone)]
pub(crate) struct Guards {
    baseline_version: String,
    detector: Detector,
}

/// What is known about one candidate so far.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Memory {
    change: Gathered,
}

impl Guards {
    pub(crate) fn new(plan: &Plan, guard: &GuardPlan) -> Self {
        Self { baseline_version: plan.policy.baseline_version.clone(), detector: Detector::new(plan, guard) }
    }

    /// Takes a judged window in, and says what all evidence so far calls for.
    pub(crate) fn judge(&self, memory: &mut Memory, model: &str, candidate: &str, judged: &Judged<'_>) -> Verdict {
        let key =
            |version: &str| ViewKey { model: model.to_owned(), version: version.to_owned(), segment: String::new() };
        let (candidate, baseline) = (key(candidate), key(&self.baseline_version));
        match judged.newest {
            Counts::Traffic(views) => {
                if let Some((candidate, baseline)) = views.get(&candidate).zip(views.get(&baseline)) {
                    self.detector.traffic(&mut memory.change, Pair { candidate, baseline });
                }
            }
            Counts::Quality(views) => {
                if let Some((candidate, baseline)) = views.get(&candidate).zip(views.get(&baseline)) {
                    self.detector.labels(&mut memory.change, Pair { candidate, baseline });
                }
            }
        }
        Verdict::default()
    }
}
