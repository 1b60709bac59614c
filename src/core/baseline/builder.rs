//! Building the profile of a data set, in two passes over the same batches: [`ProfileBuilder`] learns where to cut,
//! [`Counter`] counts.
//!
//! The second pass is the scan itself, with one pane as long as a lifetime. So a reference is counted, de-duplicated
//! and grouped by exactly the code that counts live traffic.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow_array::Array;
use arrow_array::cast::AsArray;

use crate::baseline::cut;
use crate::batch::{EventBatch, TextArray};
use crate::event::{EventKind, Micros, SECOND};
use crate::plan::{Bounds, CategoricalColumn, Columns, NumericColumn, Plan, TimePlan, WallClock, WindowKind};
use crate::scan::{Open, Scan};
use crate::summary::profile::{CategoricalProfile, NumericProfile};
use crate::summary::{Profile, Rare, Traffic};

/// Version of the profile format that is written.
pub const FORMAT: u32 = 1;
/// The most categories of one column that a profile names, the most frequent ones; of others it knows whether it has
/// them.
pub const CATEGORIES_MAX: usize = 1 << 14;
/// Longer than any data set: 200 years, in whole days.
const LIFETIME: Micros = 73_050 * 86_400 * SECOND;

/// The first pass: learns the values and categories of every column.
#[derive(Debug)]
pub struct ProfileBuilder {
    plan: Arc<Plan>,
    fine_bins: u16,
    seen: BTreeSet<u64>,
    numeric: Vec<Vec<f64>>,
    categorical: Vec<BTreeMap<String, u64>>,
}

impl ProfileBuilder {
    /// Starts a profile of the plan's columns with this many fine bins each, a multiple of 20.
    #[must_use]
    pub fn new(plan: Arc<Plan>, fine_bins: u16) -> Self {
        let numeric = vec![Vec::new(); plan.columns.numeric.len()];
        let categorical = vec![BTreeMap::new(); plan.columns.categorical.len()];
        Self { plan, fine_bins, seen: BTreeSet::new(), numeric, categorical }
    }

    /// Learns from a batch. Re-deliveries, labels and exposures teach nothing.
    pub fn learn(&mut self, batch: &EventBatch) {
        if !is_traffic(batch) {
            return;
        }
        let rows: Vec<usize> =
            (0..batch.len()).filter(|&row| batch.id.is_null(row) || self.seen.insert(batch.id.value(row))).collect();
        for (values, array) in self.numeric.iter_mut().zip(&batch.numeric) {
            let present = rows.iter().filter(|&&row| array.is_valid(row)).map(|&row| array.value(row));
            values.extend(present.filter(|value| value.is_finite()).map(|value| value + 0.0));
        }
        for (counts, array) in self.categorical.iter_mut().zip(&batch.categorical) {
            count_names(array, &rows, counts);
        }
    }

    /// Lays the cuts. The second pass must be given the same batches in the same order.
    #[must_use]
    pub fn cut(self) -> Counter {
        let fine_bins = self.fine_bins;
        let numeric = self.plan.columns.numeric.iter().zip(self.numeric);
        let numeric = numeric.map(|(column, values)| learned(column, values, fine_bins)).collect();
        let categorical = self.plan.columns.categorical.iter().zip(self.categorical);
        let categorical =
            categorical.map(|(column, counts)| of_names(column.name.clone(), counts, CATEGORIES_MAX)).collect();
        Counter::new(&self.plan, Columns { numeric, categorical })
    }
}

fn is_traffic(batch: &EventBatch) -> bool {
    matches!(batch.kind, EventKind::Prediction | EventKind::Feature)
}

/// A column with the cut its values call for; one without any value keeps the cut of the plan.
fn learned(column: &NumericColumn, mut values: Vec<f64>, fine_bins: u16) -> NumericColumn {
    if values.is_empty() {
        return column.clone();
    }
    values.sort_by(f64::total_cmp);
    NumericColumn { cut: Arc::new(cut::of_values(&values, fine_bins)), ..column.clone() }
}

fn count_names(array: &TextArray, rows: &[usize], counts: &mut BTreeMap<String, u64>) {
    let names = array.values().as_string::<i32>();
    let mut per_code = vec![0_u64; names.len()];
    for code in rows.iter().filter_map(|&row| array.key(row)) {
        per_code[code] += 1;
    }
    for (code, count) in per_code.into_iter().enumerate().filter(|(_, count)| *count > 0) {
        *counts.entry(names.value(code).to_owned()).or_default() += count;
    }
}

/// A column that knows the `most` names with the highest counts (the first in the alphabet among equals) one by one,
/// and of all others whether they are there.
#[must_use]
pub fn of_names(column: String, counts: BTreeMap<String, u64>, most: usize) -> CategoricalColumn {
    let mut ranked: Vec<(String, u64)> = counts.into_iter().collect();
    ranked.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let others = ranked.split_off(ranked.len().min(most));
    let mut known: Vec<String> = ranked.into_iter().map(|(name, _)| name).collect();
    known.sort_unstable();
    let mut rare = (!others.is_empty()).then(|| Rare::with_room(others.len() as u64));
    for (name, _) in &others {
        rare.iter_mut().for_each(|rare| _ = rare.insert(name));
    }
    CategoricalColumn { name: column, known, rare: rare.map(Arc::new) }
}

/// The second pass: counts every column with the cuts that were learned.
#[derive(Debug)]
pub struct Counter {
    plan: Arc<Plan>,
    scan: Scan,
    /// The offset that the next row is given.
    next_offset: i64,
}

impl Counter {
    fn new(reading: &Plan, columns: Columns) -> Self {
        let time = TimePlan {
            pane: LIFETIME,
            window: WindowKind::Sliding { size: LIFETIME, slide: LIFETIME },
            clock: WallClock::default(),
            lateness: 4 * LIFETIME,
            ..reading.time.clone()
        };
        let bounds = Bounds { ids_max: usize::MAX, ..reading.bounds };
        let plan = Arc::new(Plan { columns, time, bounds, quality: None, ..reading.clone() });
        Self { scan: Scan::new(Arc::clone(&plan), 0, 1), plan, next_offset: 0 }
    }

    /// Counts a batch. Whatever stream it comes from, here it continues the one there is.
    pub fn count(&mut self, batch: &EventBatch) {
        if is_traffic(batch) {
            let first = self.next_offset;
            self.next_offset += i64::try_from(batch.len()).expect("fewer rows than 2^63");
            let offset = (first..self.next_offset).collect::<Vec<_>>().into();
            let sealed = self.scan.step(&EventBatch { lane: 0, offset, ..batch.clone() });
            assert!(sealed.is_empty(), "a pane as long as a lifetime does not end");
        }
    }

    /// The profile; `origin` says to people where the data came from.
    #[must_use]
    pub fn finish(self, origin: &str) -> Profile {
        let mut all = Traffic::new(&self.plan.columns);
        let mut segments: BTreeMap<Vec<String>, Traffic> = BTreeMap::new();
        for Open { group, traffic, .. } in self.scan.open() {
            traffic.add_to(&mut all);
            if !self.plan.segments.is_empty() {
                let segment = segments.entry(group.segment.clone());
                traffic.add_to(segment.or_insert_with(|| Traffic::new(&self.plan.columns)));
            }
        }
        let Columns { numeric, categorical } = &self.plan.columns;
        let amounts = all.measures.iter().map(|measure| measure.amounts.clone());
        let names = self.plan.columns.measures().map(|index| numeric[index].name.clone());
        let measures = names.zip(amounts).collect();
        Profile {
            format: FORMAT,
            origin: origin.to_owned(),
            rows: self.scan.counts().rows,
            numeric: numeric.iter().map(numeric_profile).collect(),
            categorical: categorical.iter().map(categorical_profile).collect(),
            all,
            segments: segments.into_iter().collect(),
            measures,
        }
    }
}

fn numeric_profile(column: &NumericColumn) -> NumericProfile {
    NumericProfile {
        name: column.name.clone(),
        edges: column.cut.edges.as_slice().to_vec(),
        recuts: column.cut.recuts.clone(),
        grid: column.cut.grid,
    }
}

fn categorical_profile(column: &CategoricalColumn) -> CategoricalProfile {
    CategoricalProfile { name: column.name.clone(), known: column.known.clone(), rare: column.rare.as_deref().cloned() }
}
