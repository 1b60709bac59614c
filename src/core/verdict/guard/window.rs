//! What guards are shown of a window: both versions, and what they share about them.

use super::rails::entities::Inflation;
use super::rails::noise::LatencyHistory;
use super::scene::Scene;
use crate::metric::view::{ViewKey, Views};

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

/// Both versions' views of a window.
#[derive(Debug)]
pub(crate) struct Both<'a, T> {
    pub(crate) views: &'a Views<T>,
    pub(crate) candidate: &'a ViewKey,
    pub(crate) baseline: &'a ViewKey,
}

impl<'a, T> Both<'a, T> {
    /// Both versions of one segment; the empty one is all traffic.
    pub(crate) fn pair(&self, segment: &str) -> Option<Pair<'a, T>> {
        let of = |key: &ViewKey| self.views.get(&ViewKey { segment: segment.to_owned(), ..key.clone() });
        of(self.candidate).zip(of(self.baseline)).map(|(candidate, baseline)| Pair { candidate, baseline })
    }

    /// The candidate's segments.
    pub(crate) fn segments(&self) -> impl Iterator<Item = (&'a str, &'a T)> {
        let (model, version) = (self.candidate.model.clone(), self.candidate.version.clone());
        let mine = move |key: &ViewKey| key.model == model && key.version == version && !key.segment.is_empty();
        self.views.iter().filter(move |(key, _)| mine(key)).map(|(key, view)| (key.segment.as_str(), view))
    }
}

/// One window, as every guard is shown it.
pub(crate) struct Shown<'a, 'j, T> {
    pub(crate) both: &'a Both<'a, T>,
    /// All traffic of both versions.
    pub(crate) pair: Pair<'a, T>,
    pub(crate) scene: Scene<'a, 'j>,
    /// How the baseline version's latency wandered before the candidate came.
    pub(crate) history: &'a LatencyHistory,
    pub(crate) learnt: &'a Learnt,
}

/// What guardrails have learnt about both versions, for all guards.
#[derive(Debug)]
pub(crate) struct Learnt {
    /// How much alike requests are, with the noise that versions have for themselves, as the windows before this one
    /// say.
    pub(crate) inflation: Inflation,
    /// The design effect of failures before this window; for labels that of losses, this window's among them.
    pub(crate) effect: f64,
    /// The segments with enough traffic to be watched.
    pub(crate) segments: Vec<String>,
}
