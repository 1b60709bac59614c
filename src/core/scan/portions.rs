//! Rows that are taken at once.

use crate::batch::EventBatch;
use crate::event::Micros;

/// Rows of more panes than this are taken a few at a time.
const PANES_MAX: usize = 8;
/// So many, and what is left of their last record.
const ROWS: usize = 256;

/// A batch as it is best taken: as a whole, or in portions where it would open many panes at once, since an open pane
/// takes far more memory than a complete one. Results are the same.
pub fn portions(batch: &EventBatch, pane: Micros) -> impl Iterator<Item = EventBatch> {
    let in_portions = batch.kind.is_traffic() && holds_many_panes(batch.event_time.values(), pane);
    let rows = if in_portions { ROWS } else { batch.len() };
    let offsets = batch.offset.values();
    let mut next = Some(0);
    std::iter::from_fn(move || {
        let from = next?;
        let mut to = batch.len().min(from + rows);
        while to < batch.len() && offsets[to] == offsets[to - 1] {
            to += 1;
        }
        next = Some(to).filter(|to| *to < batch.len());
        Some(batch.slice(from, to - from))
    })
}

/// Whether times are in many stretches as long as a pane, wherever panes begin.
fn holds_many_panes(times: &[Micros], pane: Micros) -> bool {
    let (mut seen, mut start) = (Vec::with_capacity(PANES_MAX), Micros::MIN);
    times.iter().any(|&time| {
        if (start..start.saturating_add(pane)).contains(&time) {
            return false;
        }
        start = time.saturating_sub(time.rem_euclid(pane));
        if !seen.contains(&start) {
            seen.push(start);
        }
        seen.len() > PANES_MAX
    })
}
