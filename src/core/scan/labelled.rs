//! Labelled predictions of one group in one pane, as small as they can be kept.

use std::sync::Arc;

use crate::plan::QualityPlan;
use crate::scan::classes::ClassNames;
use crate::summary::quality::Labelled;
use crate::summary::{Quality, Sealed, Spill};

/// So many labelled predictions wait to be counted: opening a summary for each of them would cost more than counting
/// does.
const ROWS_MAX: usize = 64;

/// Labelled predictions of one group in one pane. A few wait as they came, the others are sealed: a pane is kept for as
/// long as labels may come, and most of the time none does.
#[derive(Debug, Clone, Default)]
pub(crate) struct LabelledRows {
    sealed: Option<Sealed<Quality>>,
    rows: Vec<Labelled>,
    /// Names of the classes of `rows`, of tasks that have some.
    names: Option<Arc<ClassNames>>,
}

impl LabelledRows {
    /// Takes a row. Names of classes only grow, so of two lists the longer one holds those of the other.
    pub(super) fn push(&mut self, plan: &QualityPlan, row: Labelled, names: &Arc<ClassNames>) {
        self.rows.push(row);
        if row.classes.is_some() && self.names.as_ref().is_none_or(|known| known.len() < names.len()) {
            self.names = Some(Arc::clone(names));
        }
        if self.rows.len() >= ROWS_MAX {
            self.seal(plan);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.sealed.is_none() && self.rows.is_empty()
    }

    /// What there is.
    pub(crate) fn open(&self, plan: &QualityPlan) -> Quality {
        let mut open = Quality::new(plan);
        self.sealed.iter().for_each(|sealed| sealed.add_to(&mut open));
        for row in &self.rows {
            open.update(plan, *row);
            if let Some((names, pair)) = self.names.as_ref().zip(row.classes) {
                open.classes.count(names.name(pair.truth), names.name(pair.answer));
            }
        }
        open
    }

    /// The same, with nothing that waits.
    fn seal(&mut self, plan: &QualityPlan) {
        *self = Self::of(&self.open(plan));
    }

    fn of(open: &Quality) -> Self {
        Self { sealed: Some(Sealed::new(open)), rows: Vec::new(), names: None }
    }

    pub(super) fn merge(&mut self, plan: &QualityPlan, other: &Self) {
        if let Some(sealed) = &other.sealed {
            let mut open = self.open(plan);
            sealed.add_to(&mut open);
            *self = Self::of(&open);
        }
        let names = other.names.clone().unwrap_or_default();
        other.rows.iter().for_each(|row| self.push(plan, *row, &names));
    }

    /// Seals what waits, and moves it to disk.
    pub(super) fn put_away(&mut self, plan: &QualityPlan, spill: &Arc<dyn Spill>) -> usize {
        let before = self.bytes();
        if !self.rows.is_empty() {
            self.seal(plan);
        }
        if let Some(sealed) = &mut self.sealed {
            sealed.put_away(spill);
        }
        before.saturating_sub(self.bytes())
    }

    pub(crate) fn bytes(&self) -> usize {
        self.sealed.as_ref().map_or(0, Sealed::bytes) + self.rows.capacity() * size_of::<Labelled>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::class_hash;
    use crate::kernel::bin::Edges;
    use crate::plan::{Corrections, Task};

    /// Groups are folded when there are too many: one of them may have been filled before its names were all met.
    #[test]
    fn rows_keep_their_names_when_groups_are_merged_whichever_is_older() {
        let plan = QualityPlan {
            task: Task::Multiclass,
            width_bins: vec![10],
            score_edges: Edges::new(vec![0.0, 1.0]).expect("edges increase"),
            threshold: 0.5,
            wait: 0,
            horizon: 0,
            pending_max: 10,
            sample: 1.0,
            corrections: Corrections::First,
        };
        let mut names = Arc::new(ClassNames::default());
        let mut rows = |classes: [&str; 2]| {
            classes.into_iter().for_each(|class| Arc::make_mut(&mut names).learn(class));
            let classes = names.pair(class_hash(classes[0]), class_hash(classes[1]));
            let mut rows = LabelledRows::default();
            rows.push(&plan, Labelled { score: 0.5, label: 0.0, predicted: true, entity: None, classes }, &names);
            rows
        };
        let (older, newer) = (rows(["cat", "dog"]), rows(["eel", "fox"]));
        for (into, other) in [(&newer, &older), (&older, &newer)] {
            let mut merged = into.clone();
            merged.merge(&plan, other);
            let classes = merged.open(&plan).classes;
            let missed: Vec<&str> =
                classes.iter().filter(|(_, one)| one.labelled == 1).map(|(class, _)| class).collect();
            assert_eq!(missed, ["cat", "eel"]);
        }
    }
}
