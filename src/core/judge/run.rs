//! At-least-n windows: a window is filled pane by pane, and judged once it is full.

use super::judge::{Due, DueKind, Judge};
use crate::judge::effects::Effects;
use crate::judge::measure::Span;
use crate::metric::view;
use crate::plan::WindowKind;

impl Judge {
    /// Adds a pane to the at-least-n window that is being filled, and judges the window when it is full.
    pub(super) fn fill_run(&mut self, pane: Span, effects: &mut Effects) {
        let WindowKind::AtLeast { n_min, size_max } = self.plan.time.window else { return };
        let start = *self.run_start.get_or_insert(pane.start);
        if pane.end - start > size_max {
            self.judge_run(Span { start, end: start + size_max }, effects);
            self.run_start = Some(pane.start);
        }
        let span = Span { start: self.run_start.unwrap_or(pane.start), end: pane.end };
        let views = view::roll_up(&self.plan, &self.store.traffic(&self.plan, span.start, span.end));
        let full = views.values().all(|traffic| traffic.rates.requests >= n_min);
        if full || span.end - span.start >= size_max {
            self.judge_run(span, effects);
        }
    }

    fn judge_run(&mut self, span: Span, effects: &mut Effects) {
        self.run_start = None;
        self.plan_window(span);
        self.due.remove(&Due { at: span.end, what: DueKind::Traffic, span });
        self.judge_traffic(span, effects);
    }

    /// At the end of all input the window that is being filled is judged as it is.
    pub(super) fn close_run(&mut self, effects: &mut Effects) {
        let Some(start) = self.run_start else { return };
        let Some(last) = self.store.panes_from(start).last() else { return };
        self.judge_run(Span { start, end: self.plan.time.pane_end(last) }, effects);
        while let Some(due) = self.due.pop_first() {
            self.judge_quality(due, due.what == DueKind::LateQuality, effects);
        }
    }
}
