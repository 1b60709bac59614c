//! What comes after its window was judged: it revises the window or, once that is too old, is counted as missed.
//!
//! A stream that was silent is passed by the others, and may go on where it had stopped. What it brings then is not
//! late in its own stream. It revises windows for as long as their panes are kept: those of traffic for the plan's
//! `revise_for`, those of labels for as long after their horizon.

use std::collections::BTreeMap;

use super::judge::{Due, DueKind, Judge};
use crate::event::{EventKind, Micros};
use crate::judge::history::Done;
use crate::judge::measure::Span;
use crate::plan::WindowKind;
use crate::scan::{Body, LabelCounts, LaneCounts, Partial};

/// What a lane told of when some window that it belongs to was not revised any more.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Missed {
    /// Events.
    pub events: u64,
    /// Labelled predictions.
    pub labels: u64,
}

impl From<Missed> for LaneCounts {
    fn from(Missed { events, labels }: Missed) -> Self {
        Self { late: events, labels: LabelCounts { expired: labels, ..LabelCounts::default() }, ..Self::default() }
    }
}

impl Judge {
    /// What each lane told of too late, since this judge was made.
    #[must_use]
    pub fn missed(&self) -> &BTreeMap<u32, Missed> {
        &self.missed
    }

    pub(super) fn longest(&self) -> Micros {
        let (WindowKind::Sliding { size: longest, .. } | WindowKind::AtLeast { size_max: longest, .. }) =
            self.plan.time.window;
        longest
    }

    /// Late data for a window that was judged: it is judged again, as the next revision.
    pub(super) fn revise(&mut self, pane: Micros, is_traffic: bool) {
        let whole_from = self.store.whole_from(is_traffic);
        let is_judged = |done: &Done| if is_traffic { done.traffic_revisions > 0 } else { done.quality_revisions > 0 };
        let again = self.done_with(pane).filter(|(span, done)| span.start >= whole_from && is_judged(done));
        for span in again.map(|(&span, _)| span).collect::<Vec<_>>() {
            if is_traffic {
                self.due.insert(Due { at: span.end, what: DueKind::Traffic, span });
            } else {
                self.revise_quality(span);
            }
        }
    }

    /// The labels of a window are judged again, if they were: with those that come late.
    pub(super) fn revise_quality(&mut self, span: Span) {
        let at = self.late_quality_at(span);
        let Some(done) = self.history.get_mut(span).filter(|done| done.quality_revisions > 0) else { return };
        done.is_owed_quality = true;
        self.due.insert(Due { at, what: DueKind::LateQuality, span });
    }

    pub(super) fn late_quality_at(&self, span: Span) -> Micros {
        span.end.saturating_add(self.horizon()).saturating_add(1)
    }

    fn horizon(&self) -> Micros {
        self.plan.quality.as_ref().map_or(0, |quality| quality.horizon)
    }

    /// The first window that is kept to be revised by traffic, and the first that is for labels. Labels are waited for
    /// beyond their horizon only while some stream is behind.
    pub(super) fn revised_from(&self, clock: Micros) -> (Micros, Micros) {
        let since = clock.saturating_sub(self.plan.time.revise_for);
        if clock == Micros::MAX {
            return (since, since);
        }
        let behind = self.progress.complete_upto().clamp(since, clock);
        let back = |time: Micros| self.plan.time.earlier(self.plan.time.pane_of(time), self.longest());
        (back(since), back(behind.saturating_sub(self.horizon())))
    }

    /// Whether some window that holds a pane is neither to be judged nor to be revised any more.
    pub(super) fn is_too_late(&self, pane: Micros, is_traffic: bool) -> bool {
        let first = match self.plan.time.window {
            WindowKind::Sliding { size, slide } => self.plan.time.windows_of(pane, size, slide).next(),
            WindowKind::AtLeast { .. } => None,
        };
        let first = first.map_or(pane, |(start, _)| start);
        pane < self.needed_from || first < self.store.whole_from(is_traffic)
    }

    /// Counts what came too late, unless its lane has told of it before.
    pub(super) fn miss(&mut self, partial: &Partial) {
        let end = self.plan.time.pane_end(partial.pane);
        let wait = self.plan.quality.as_ref().map_or(0, |quality| quality.wait);
        let (events, labels, told_at) = match &partial.body {
            Body::Traffic(traffic) => (traffic.rates.requests, 0, end),
            Body::QualityInTime(quality) => (0, quality.n, end.saturating_add(wait)),
            Body::QualityLate(quality) => (0, quality.n, end.saturating_add(self.horizon())),
            // Its labels were told of as those in time.
            Body::QualityCorrected(_)
            | Body::Exposure(_)
            | Body::Intake(_)
            | Body::Pairs(_)
            | Body::PairsInTime(_)
            | Body::PairsLate(_) => return,
        };
        let is_label = |source: u16| self.plan.sources[usize::from(source)].kind == EventKind::Outcome;
        let has_told = self.progress.streams_of(partial.lane).is_none_or(|mut streams| {
            streams.all(|stream| match is_label(stream.source) {
                true if labels > 0 => stream.watermark > told_at,
                true => true,
                false => stream.watermark >= end,
            })
        });
        if !has_told {
            let missed = self.missed.entry(partial.lane).or_default();
            missed.events += events;
            missed.labels += labels;
        }
    }
}
