//! A window on its way from the judge to the verdict: its numbers, its counts, and what they may be compared with.

use crate::event::Micros;
use crate::metric::row::{ALL_VERSIONS, WindowRow};
use crate::metric::view::{Baselines, ViewKey, Views};
use crate::metric::{self, Reads};
use crate::scan::frame::DeclaredShare;
use crate::summary::{Quality, Traffic};
use crate::trust::WindowTrust;
use crate::verdict::decision::Exposure;

/// Which numbers of a window were judged. Traffic comes first. The numbers stand in states and results of commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum JudgedKind {
    Traffic = 0,
    Quality = 1,
}

impl JudgedKind {
    /// Whether a judgement of it speaks of a metric: one of labels of labels, and one of traffic of traffic. The other
    /// kind's numbers are of another window, whose own judgement says them.
    pub(crate) fn speaks_of(self, metric: &str) -> bool {
        let reads = metric::find(metric).map(|metric| metric.spec().reads);
        let labels =
            matches!(reads, Some(Reads::Binary | Reads::Classification | Reads::Regression | Reads::PairLosses));
        labels == (self == Self::Quality)
    }
}

/// Counts by model version and segment.
pub(crate) enum VersionCounts<'a> {
    Traffic(&'a Views<Traffic>),
    Quality(&'a Views<Quality>),
}

/// A version that has events in a window.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ActiveVersion {
    pub(crate) model: String,
    pub(crate) version: String,
    /// Share of its predictions whose label is there, 0 to 1; `None` where traffic is judged.
    pub(crate) coverage: Option<f64>,
    /// The newest part of its labels by thirds of its scores, the lowest first; `None` where that is not known.
    pub(crate) thirds: Option<[ScoreThird; 3]>,
}

/// A third of a version's predictions, by their scores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct ScoreThird {
    /// Predictions that could have a label.
    pub(crate) scored: u64,
    /// Those whose label is there.
    pub(crate) labelled: u64,
}

/// What was seen of a version's share, look by look.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ShareLooks {
    /// Each with what it showed, in order of time.
    pub(crate) seen: Vec<DeclaredShare>,
    /// All looks before this are among them, as far back as they are asked for.
    pub(crate) until: Micros,
    /// How far apart two looks may be for what both show to have stood in between.
    pub(crate) holds: Micros,
}

/// A window that was judged for the first time.
pub(crate) struct Judged<'a> {
    pub(crate) start: Micros,
    pub(crate) end: Micros,
    /// When the judgement fell due, and of which kind it is: judgements come in this order.
    pub(crate) order: (Micros, JudgedKind),
    /// Its metrics: what people asked to see, and rules hold bounds against. Guards read counts.
    pub(crate) rows: &'a [WindowRow],
    /// Whose events it holds.
    pub(crate) seen: &'a [ActiveVersion],
    /// Where its newest part starts, which no earlier window held: all of it, but for windows that overlap.
    pub(crate) newest_from: Micros,
    /// The counts of that part.
    pub(crate) newest: &'a VersionCounts<'a>,
    /// How far its data is trusted.
    pub(crate) trust: &'a WindowTrust,
    /// Traffic share of a model's version.
    pub(crate) exposure: &'a dyn Fn(&str, &str) -> Exposure,
    /// What looks have shown of the share of a model's version; `None` where nobody looks.
    pub(crate) looks: &'a dyn Fn(&str, &str) -> Option<ShareLooks>,
    /// What each version is compared with beside the baseline version.
    pub(crate) baselines: Baselines<'a>,
    /// Input offsets.
    pub(crate) offsets: Vec<(String, u32, i64, i64)>,
}

impl Judged<'_> {
    /// Requests of all versions of a model that no window before it held.
    pub(crate) fn requests(&self, model: &str) -> u64 {
        let VersionCounts::Traffic(views) = self.newest else { return 0 };
        let of_all = |key: &ViewKey| key.model == model && key.version == ALL_VERSIONS && key.segment.is_empty();
        views.iter().find(|(key, _)| of_all(key)).map_or(0, |(_, traffic)| traffic.served())
    }

    /// What there is of a version.
    pub(crate) fn find(&self, model: &str, version: &str) -> Option<&ActiveVersion> {
        self.seen.iter().find(|seen| seen.model == model && seen.version == version)
    }
}
