//! Numbers of all traffic over the last windows, for charts.
//!
//! Bounded: [`SERIES_MAX`] numbers of [`POINTS_MAX`] windows at 40 bytes each, about 20 MB where all are full. Numbers
//! of segments are not kept, and beyond the bound those that were heard of longest ago go first.

use std::collections::{BTreeMap, VecDeque};

use crate::event::Micros;
use crate::judge::WindowRow;

/// The most numbers that are followed.
pub const SERIES_MAX: usize = 4_000;

/// The most windows that are kept of each.
pub const POINTS_MAX: usize = 120;

/// What tells one number from another.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Number {
    /// Model.
    pub model: String,
    /// Column, or empty.
    pub column: String,
    /// Metric.
    pub metric: String,
    /// How it was computed.
    pub convention: String,
    /// Version.
    pub version: String,
    /// Segment, or empty for all traffic.
    pub segment: String,
    /// What it was compared with, or empty.
    pub baseline: String,
}

impl Number {
    /// The number of a row.
    #[must_use]
    pub fn of(row: &WindowRow) -> Self {
        Self {
            model: row.model.clone(),
            column: row.column.clone(),
            metric: row.metric.clone(),
            convention: row.convention.clone(),
            version: row.version.clone(),
            segment: row.segment.clone(),
            baseline: row.baseline.clone(),
        }
    }
}

/// A number in one window.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ShownPoint {
    /// End of the window, event time.
    pub end: Micros,
    /// The number.
    pub value: f64,
    /// Its certified bounds, where it comes from bins.
    pub bounds: Option<(f32, f32)>,
    /// Rows of the judged side.
    pub n: u32,
    /// Rows of the baseline.
    pub n_baseline: u32,
    /// Of a number of labels, the share that was there, percent.
    pub labels_pct: Option<u8>,
    /// Whether it is the window's first result.
    pub is_first: bool,
}

impl ShownPoint {
    fn of(row: &WindowRow) -> Option<Self> {
        #[expect(clippy::cast_possible_truncation, reason = "a chart shows no more digits")]
        let bounds = row.low.zip(row.high).map(|(low, high)| (low as f32, high as f32));
        let count = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
        let value = row.value.filter(|value| value.is_finite())?;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of 1 at most")]
        let labels_pct = row.coverage.map(|coverage| (coverage * 100.0) as u8);
        let (n, n_baseline) = (count(row.n), count(row.n_baseline));
        let is_first = row.revision == 0;
        Some(Self { end: row.window_end, value, bounds, n, n_baseline, labels_pct, is_first })
    }
}

/// Numbers over the last windows.
#[derive(Debug, Default)]
pub struct ChartHistory {
    series: BTreeMap<Number, VecDeque<ShownPoint>>,
}

impl ChartHistory {
    /// Takes the rows of judged windows in. A revision takes the place of what it revises.
    pub(super) fn take(&mut self, rows: &[WindowRow]) {
        for row in rows.iter().filter(|row| row.segment.is_empty()) {
            if let Some(point) = ShownPoint::of(row) {
                insert(self.series.entry(Number::of(row)).or_default(), point);
            }
        }
        let surplus = self.series.len().saturating_sub(SERIES_MAX);
        if surplus > 0 {
            self.drop_oldest(surplus);
        }
    }

    fn drop_oldest(&mut self, surplus: usize) {
        let last = |points: &VecDeque<ShownPoint>| points.back().map_or(Micros::MIN, |point| point.end);
        let mut ages: Vec<(Micros, Number)> =
            self.series.iter().map(|(number, points)| (last(points), number.clone())).collect();
        ages.sort();
        ages.iter().take(surplus).for_each(|(_, number)| _ = self.series.remove(number));
    }

    /// One number over time, oldest window first.
    pub fn points(&self, number: &Number) -> impl Iterator<Item = &ShownPoint> {
        self.series.get(number).into_iter().flatten()
    }

    /// Every number of a model's version.
    pub fn numbers(&self, model: &str, version: &str) -> impl Iterator<Item = &Number> {
        self.series.keys().filter(move |number| number.model == model && number.version == version)
    }
}

/// Keeps points in the order of their windows.
fn insert(points: &mut VecDeque<ShownPoint>, point: ShownPoint) {
    let at = points.partition_point(|kept| kept.end < point.end);
    match points.get_mut(at) {
        Some(kept) if kept.end == point.end => *kept = point,
        _ => points.insert(at, point),
    }
    if points.len() > POINTS_MAX {
        points.pop_front();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::judge::RowStatus;

    fn row(column: &str, window_end: Micros, value: f64) -> WindowRow {
        WindowRow {
            window_start: window_end - 10,
            window_end,
            model: "m".to_owned(),
            version: "v2".to_owned(),
            segment: String::new(),
            baseline: String::new(),
            reference: String::new(),
            column: column.to_owned(),
            metric: "mean".to_owned(),
            convention: String::new(),
            revision: 0,
            status: RowStatus::Ok,
            value: Some(value),
            low: None,
            high: None,
            p_value: None,
            n: 1,
            n_baseline: 1,
            bins: 0,
            coverage: None,
            doubts: String::new(),
            trust: crate::trust::Trust::Ok,
        }
    }

    fn ends(history: &ChartHistory, column: &str) -> Vec<(Micros, f64)> {
        history.points(&Number::of(&row(column, 0, 0.0))).map(|point| (point.end, point.value)).collect()
    }

    #[test]
    fn a_revision_takes_the_place_of_what_it_revises() {
        let mut history = ChartHistory::default();
        history.take(&[row("x", 20, 1.0), row("x", 10, 2.0), row("x", 20, 3.0), row("x", 30, f64::NAN)]);
        assert_eq!(ends(&history, "x"), [(10, 2.0), (20, 3.0)]);
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut history = ChartHistory::default();
        let windows = Micros::try_from(POINTS_MAX).expect("small") + 5;
        history.take(&(0..windows).map(|end| row("x", end, 1.0)).collect::<Vec<_>>());
        assert_eq!(ends(&history, "x").len(), POINTS_MAX);
        assert_eq!(ends(&history, "x")[0].0, 5);
        history.take(&(0..SERIES_MAX).map(|i| row(&format!("c{i}"), windows, 1.0)).collect::<Vec<_>>());
        assert_eq!(history.series.len(), SERIES_MAX);
        assert!(ends(&history, "x").is_empty(), "the one that was heard of longest ago goes");
        let segment = WindowRow { segment: "country=DE".to_owned(), ..row("y", windows, 1.0) };
        history.take(std::slice::from_ref(&segment));
        assert_eq!(history.points(&Number::of(&segment)).count(), 0);
    }
}
