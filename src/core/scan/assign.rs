//! Which rows of a batch count, and which cell (pane, group) each of them belongs to.
//!
//! Times, groups and ids are each looked at for the whole batch, so that nothing is searched for row by row that was
//! found for the row before.

use std::collections::BTreeMap;
use std::ops::Range;

use arrow_array::Array;

use crate::batch::{EventBatch, TextArray};
use crate::event::Micros;
use crate::plan::{Plan, TimePlan};
use crate::scan::dedup::ids_of_answers;
use crate::scan::frame::GroupKey;
use crate::scan::intake::Intakes;
use crate::scan::traffic::{TrafficStream, text_at};
use crate::time::Clock;
use crate::time::clock::Times;

/// Rows of one batch that fall into one group of one pane.
#[derive(Debug)]
pub(crate) struct CellRows {
    pub(crate) pane: Micros,
    pub(crate) key: GroupKey,
    pub(crate) rows: Vec<u32>,
}

/// How many rows of a batch did not count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Dropped {
    pub(crate) late: u64,
    pub(crate) duplicates: u64,
}

/// Rows one after another that fall into one pane.
#[derive(Debug, Clone, PartialEq, Eq)]
struct PaneRun {
    pane: Micros,
    rows: Range<u32>,
}

/// Ids that are looked for at once.
const IDS_AHEAD: usize = 64;

impl TrafficStream {
    /// Assigns the rows that count to cells, moves the clock past the batch, and accounts for every row.
    pub(crate) fn assign(
        &mut self,
        plan: &Plan,
        clock: &mut Clock,
        intakes: &mut Intakes,
        batch: &EventBatch,
    ) -> (Vec<CellRows>, Dropped) {
        let (runs, late) = in_time(&plan.time, clock, &times_of(batch));
        late.iter().for_each(|&pane| intakes.of(pane).late += 1);
        let groups = groups_of(batch);
        let answers = ids_of_answers(batch.id.values(), &[&batch.model, &batch.version]);
        let mut cells = RowsByCell::default();
        let mut repeats = Vec::new();
        for PaneRun { pane, rows } in runs {
            let offset = |row: u32| batch.offset.value(row as usize);
            let open = self.open(plan, pane, offset(rows.start), offset(rows.end - 1));
            let (n, known) = (u64::from(rows.end - rows.start), repeats.len());
            let ahead = n_ahead(plan.policy.trust.max_ahead, batch, rows.clone());
            for row in rows {
                let at = row as usize;
                if at.is_multiple_of(IDS_AHEAD) {
                    open.ids.fetch(&answers[at..batch.len().min(at + IDS_AHEAD)]);
                }
                if batch.id.is_valid(at) && !open.ids.insert(answers[at]) {
                    repeats.push((pane, row));
                } else {
                    cells.push(pane, groups[at], row);
                }
            }
            let (intake, duplicates) = (intakes.of(pane), (repeats.len() - known) as u64);
            intake.rows += n - duplicates;
            intake.duplicates += duplicates;
            intake.ahead += ahead;
        }
        for &(pane, row) in &repeats {
            self.count_duplicate(plan, pane, &group_at(batch, row));
        }
        (cells.named(batch), Dropped { late: late.len() as u64, duplicates: repeats.len() as u64 })
    }
}

/// Event times, and who made the records, where that is known of any.
pub(crate) fn times_of(batch: &EventBatch) -> Times<'_> {
    let is_known = batch.producer.null_count() < batch.len();
    Times { times: batch.event_time.values(), producers: is_known.then(|| batch.producer.clone()) }
}

/// How many of these rows have event times further ahead of their broker times than this.
fn n_ahead(max_ahead: Micros, batch: &EventBatch, rows: Range<u32>) -> u64 {
    let rows = rows.start as usize..rows.end as usize;
    let (happened, arrived) = (&batch.event_time.values()[rows.clone()], &batch.broker_time.values()[rows]);
    let is_ahead = |(&at, &broker): (&Micros, &Micros)| at > broker.saturating_add(max_ahead);
    happened.iter().zip(arrived).filter(|pair| is_ahead(*pair)).count() as u64
}

/// The rows that are not late, by pane, and for each that is the pane where the clock stands; moves the clock past all
/// of them.
fn in_time(plan: &TimePlan, clock: &mut Clock, records: &Times<'_>) -> (Vec<PaneRun>, Vec<Micros>) {
    let is_over = |clock: &Clock, end: Micros| clock.watermark(plan).is_some_and(|mark| end <= mark);
    let mut after = clock.clone();
    after.observe_all(records, plan);
    let end_of = |time: Micros| plan.pane_end(plan.pane_of(time));
    let some_are_late = records.times.iter().min().is_some_and(|&first| is_over(&after, end_of(first)));
    let (mut runs, mut late) = (Vec::<PaneRun>::new(), Vec::new());
    let (mut start, mut end) = (Micros::MIN, Micros::MIN);
    for (row, (time, producer)) in (0_u32..).zip(records.iter()) {
        if !(start..end).contains(&time) {
            start = plan.pane_of(time);
            end = plan.pane_end(start);
        }
        if some_are_late {
            let is_late = is_over(clock, end);
            clock.observe(time, producer, plan);
            if is_late {
                late.extend(clock.latest().map(|latest| plan.pane_of(latest)));
                continue;
            }
        }
        match runs.last_mut() {
            Some(run) if run.pane == start && run.rows.end == row => run.rows.end += 1,
            _ => runs.push(PaneRun { pane: start, rows: row..row + 1 }),
        }
    }
    *clock = after;
    (runs, late)
}

/// How many cells are remembered as seen last.
const RECENT: usize = 16;

/// Rows by cell.
#[derive(Default)]
struct RowsByCell {
    places: BTreeMap<(Micros, u64), usize>,
    rows: Vec<Vec<u32>>,
    /// The cells seen last, by the low bits of their groups.
    recent: [Option<((Micros, u64), usize)>; RECENT],
}

impl RowsByCell {
    #[expect(clippy::cast_possible_truncation, reason = "only the low bits are kept")]
    fn push(&mut self, pane: Micros, group: u64, row: u32) {
        let cell = (pane, group);
        let recent = &mut self.recent[group as usize % RECENT];
        let place = match *recent {
            Some((known, place)) if known == cell => place,
            _ => {
                let place = *self.places.entry(cell).or_insert(self.rows.len());
                *recent = Some((cell, place));
                place
            }
        };
        if place == self.rows.len() {
            self.rows.push(Vec::new());
        }
        self.rows[place].push(row);
    }

    /// The cells in order, with the names of their groups.
    fn named(mut self, batch: &EventBatch) -> Vec<CellRows> {
        let named = |(&(pane, _), &place): (&(Micros, u64), &usize)| {
            let rows = std::mem::take(&mut self.rows[place]);
            CellRows { pane, key: group_at(batch, rows[0]), rows }
        };
        self.places.iter().map(named).collect()
    }
}

/// The group of each row as one number, unique within the batch.
fn groups_of(batch: &EventBatch) -> Vec<u64> {
    let mut groups = vec![0; batch.len()];
    let columns = [&batch.model, &batch.version].into_iter().chain(&batch.segments);
    columns.fold(1, |n_groups, column| divide(&mut groups, n_groups, column));
    groups
}

/// Divides groups, numbered below `n_groups`, by the names of a column, no name being one of its own; returns the bound
/// of the new numbers.
#[expect(clippy::cast_sign_loss, reason = "dictionary keys are not negative")]
fn divide(groups: &mut [u64], n_groups: u64, column: &TextArray) -> u64 {
    let n_names = column.values().len() as u64 + 1;
    let n_groups = if n_groups.checked_mul(n_names).is_some() { n_groups } else { renumber(groups) };
    let keys = column.keys();
    for (row, (group, &key)) in groups.iter_mut().zip(keys.values()).enumerate() {
        *group += if keys.is_valid(row) { n_groups * (key as u64 + 1) } else { 0 };
    }
    n_groups * n_names
}

/// Numbers groups anew without gaps, and says how many there are.
fn renumber(groups: &mut [u64]) -> u64 {
    let mut numbers = BTreeMap::new();
    for group in groups {
        let next = numbers.len() as u64;
        *group = *numbers.entry(*group).or_insert(next);
    }
    numbers.len() as u64
}

/// The group of a row.
fn group_at(batch: &EventBatch, row: u32) -> GroupKey {
    let text = |column: &TextArray| text_at(column, row as usize).unwrap_or_default().to_owned();
    GroupKey {
        model: text(&batch.model),
        version: text(&batch.version),
        segment: batch.segments.iter().map(text).collect(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::time::clock::tests::plan;

    #[test]
    fn records_whose_clock_is_ahead_make_no_other_late() {
        let fast = |i: i64| if i % 50 == 7 { i / 5 + 60 } else { i / 5 };
        let times: Vec<i64> = (0..2_000).map(fast).collect();
        let (_, late) = in_time(&plan(), &mut Clock::default(), &Times { times: &times, producers: None });
        assert!(late.is_empty());
    }

    #[test]
    fn groups_are_told_apart_however_many_there_could_be() {
        let names: Vec<String> = (0..3_000).map(|i| format!("n{i}")).collect();
        let mut groups = vec![0; names.len()];
        let mut n_groups = 1_u64;
        for _ in 0..7 {
            let column: TextArray = names.iter().map(String::as_str).collect();
            n_groups = divide(&mut groups, n_groups, &column);
        }
        groups.sort_unstable();
        groups.dedup();
        assert_eq!(groups.len(), names.len());
    }

    proptest! {
        #[test]
        fn runs_are_the_rows_in_time_one_by_one(times in prop::collection::vec(0_i64..150, 0..60)) {
            let (mut clock, mut twin) = (Clock::default(), Clock::default());
            let (runs, late) = in_time(&plan(), &mut clock, &Times { times: &times, producers: None });
            let mut kept = Vec::new();
            for (row, &time) in (0_u32..).zip(&times) {
                let start = plan().pane_of(time);
                if twin.watermark(&plan()).is_none_or(|mark| start + 10 > mark) {
                    kept.push((start, row));
                }
                twin.observe(time, None, &plan());
            }
            let in_runs = runs.iter().flat_map(|run| run.rows.clone().map(|row| (run.pane, row)));
            prop_assert_eq!(in_runs.collect::<Vec<_>>(), kept.clone());
            prop_assert_eq!(late.len(), times.len() - kept.len());
            prop_assert_eq!(clock, twin);
        }
    }
}
