//! Views to rows: every metric of the plan, on every column it can read, against every baseline there is.

use crate::event::Micros;
use crate::metric::row::{ALL_VERSIONS, RowStatus, WindowRow};
use crate::metric::view::{Baselines, ViewKey, Views};
use crate::metric::{Context, Metric, MetricResult, Quantiles, Reads, Side, Value};
use crate::plan::{Baseline, Plan};
use crate::summary::{Quality, Traffic};
use crate::trust::WindowTrust;

/// A window that is being judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Span {
    pub(crate) start: Micros,
    pub(crate) end: Micros,
}

/// The share of each view's predictions whose label is there, 0 to 1, where a prediction could have one.
pub(crate) fn coverages<'a>(
    views: &'a Views<Quality>,
    scored: impl Iterator<Item = (&'a ViewKey, u64)>,
) -> impl Iterator<Item = (&'a ViewKey, f64)> {
    scored.filter(|(_, n_scored)| *n_scored > 0).map(|(key, n_scored)| {
        #[expect(clippy::cast_precision_loss, reason = "counts far below 2^53")]
        let coverage = views.get(key).map_or(0, |quality| quality.n) as f64 / n_scored as f64;
        (key, coverage.min(1.0))
    })
}

/// Computes rows.
pub(crate) struct WindowMeasurement<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) metrics: &'a [&'static dyn Metric],
    pub(crate) span: Span,
    pub(crate) revision: u32,
    pub(crate) trust: &'a WindowTrust,
}

impl WindowMeasurement<'_> {
    /// Rows of traffic metrics.
    pub(crate) fn traffic<'a>(&self, views: &'a Views<Traffic>, baselines: &Baselines<'a>) -> Vec<WindowRow> {
        let mut rows = Vec::new();
        for (key, current) in views {
            self.one_side(key, current, &mut rows);
            for baseline in &self.plan.baselines {
                if let Some((label, traffic)) = self.find(key, baseline, views, baselines) {
                    let quantiles = Quantiles::against(baseline);
                    self.two_sides(key, (current, traffic), &label, quantiles, &mut rows);
                }
            }
        }
        rows
    }

    /// Rows of quality metrics; `scored` says how many predictions could have a label.
    pub(crate) fn quality<'a>(
        &self,
        views: &'a Views<Quality>,
        scored: impl Iterator<Item = (&'a ViewKey, u64)>,
    ) -> Vec<WindowRow> {
        let Some(plan) = &self.plan.quality else { return Vec::new() };
        let empty = Quality::new(plan);
        let mut rows = Vec::new();
        for (key, coverage) in coverages(views, scored) {
            let quality = views.get(key).unwrap_or(&empty);
            for metric in self.metrics {
                let side = match metric.spec().reads {
                    Reads::PairLosses if key.version == ALL_VERSIONS || quality.pairs.is_empty() => continue,
                    Reads::PairLosses => Side::PairLosses(&quality.pairs),
                    _ => Side::Quality(quality),
                };
                let readings = metric.read(side, None, &self.context(None, &[]));
                rows.extend(readings.into_iter().map(|reading| {
                    let row = self.row(key, "", "", metric.spec().name, reading);
                    WindowRow { coverage: Some(coverage), ..row }
                }));
            }
        }
        rows
    }

    fn one_side(&self, key: &ViewKey, current: &Traffic, rows: &mut Vec<WindowRow>) {
        for metric in self.metrics.iter().filter(|metric| !metric.spec().needs_baseline) {
            let reads = metric.spec().reads;
            let slowest = current.slowest_ms(&self.plan.columns);
            let mut push = |column: &str, side: Side<'_>, context: &Context<'_>| {
                let readings = metric.read(side, None, context);
                let max = if reads == Reads::Latency { slowest } else { None };
                let readings = readings.into_iter().map(|reading| reading.at_most(max));
                rows.extend(readings.map(|reading| self.row(key, "", column, metric.spec().name, reading)));
            };
            match reads {
                Reads::Latency => push("", Side::Latency(&current.latency), &self.context(None, &[])),
                Reads::Rates => push("", Side::Rates(&current.rates), &self.context(None, &[])),
                Reads::Pairs if key.version == ALL_VERSIONS || current.pairs.is_empty() => {}
                Reads::Pairs => push("", Side::Pairs(&current.pairs), &self.context(None, &[])),
                Reads::Numeric | Reads::Categorical | Reads::Column => {
                    self.each_column(reads, |column, pick, context| push(column, pick.of(current), context));
                }
                Reads::Binary | Reads::Classification | Reads::Regression | Reads::PairLosses => {}
            }
        }
    }

    fn two_sides(
        &self,
        key: &ViewKey,
        (current, baseline): (&Traffic, &Traffic),
        label: &str,
        quantiles: Quantiles,
        rows: &mut Vec<WindowRow>,
    ) {
        for metric in self.metrics.iter().filter(|metric| metric.spec().needs_baseline) {
            self.each_column(metric.spec().reads, |column, pick, context| {
                let context = Context { quantiles, ..*context };
                let readings = metric.read(pick.of(current), Some(pick.of(baseline)), &context);
                rows.extend(
                    readings.into_iter().map(|reading| self.row(key, label, column, metric.spec().name, reading)),
                );
            });
        }
    }

    fn each_column(&self, reads: Reads, mut visit: impl FnMut(&str, Pick, &Context<'_>)) {
        if matches!(reads, Reads::Numeric | Reads::Column) {
            for (index, column) in self.plan.columns.numeric.iter().enumerate() {
                visit(&column.name, Pick::Numeric(index), &self.context(Some(&column.cut), &[]));
            }
        }
        if matches!(reads, Reads::Categorical | Reads::Column) {
            for (index, column) in self.plan.columns.categorical.iter().enumerate() {
                visit(&column.name, Pick::Categorical(index), &self.context(None, &column.known));
            }
        }
    }

    fn context<'a>(&'a self, cut: Option<&'a crate::summary::histogram::Cut>, known: &'a [String]) -> Context<'a> {
        Context {
            cut,
            known,
            window: self.span.end - self.span.start,
            bins: self.plan.metrics.bins,
            quantiles: Quantiles::Reference,
            compat: &self.plan.metrics.compat,
            quality: self.plan.quality.as_ref(),
        }
    }

    /// The baseline of a view, with its label.
    fn find<'a>(
        &self,
        key: &ViewKey,
        baseline: &Baseline,
        views: &'a Views<Traffic>,
        baselines: &Baselines<'a>,
    ) -> Option<(String, &'a Traffic)> {
        let main = &self.plan.policy.baseline_version;
        let of_main = || ViewKey { version: main.clone(), ..key.clone() };
        match baseline {
            Baseline::Reference => Some((baseline.name(), baselines.reference?.get(&key.segment)?)),
            Baseline::Concurrent => {
                let other = !main.is_empty() && key.version != *main && key.version != ALL_VERSIONS;
                let traffic = views.get(&of_main()).filter(|_| other)?;
                Some((format!("{}:{main}", baseline.name()), traffic))
            }
            Baseline::Previous | Baseline::DaysAgo(_) => {
                let earlier = (baselines.earlier)(baseline)?;
                Some((baseline.name(), earlier.get(key).or_else(|| earlier.get(&of_main()))?))
            }
        }
    }

    fn row(&self, key: &ViewKey, baseline: &str, column: &str, metric: &str, reading: MetricResult) -> WindowRow {
        let (status, value) = match reading.value {
            Value::Number(number) => (RowStatus::Ok, Some(number)),
            Value::Insufficient { .. } => (RowStatus::Insufficient, None),
            Value::Undefined => (RowStatus::Undefined, None),
        };
        let reference = self.plan.reference.as_ref().filter(|_| baseline == Baseline::Reference.name());
        WindowRow {
            window_start: self.span.start,
            window_end: self.span.end,
            model: key.model.clone(),
            version: key.version.clone(),
            segment: key.segment.clone(),
            baseline: baseline.to_owned(),
            reference: reference.map(|reference| reference.id.clone()).unwrap_or_default(),
            column: column.to_owned(),
            metric: metric.to_owned(),
            convention: reading.convention,
            revision: self.revision,
            status,
            value,
            low: reading.bounds.map(|(low, _)| low),
            high: reading.bounds.map(|(_, high)| high),
            p_value: reading.p_value,
            n: reading.n,
            n_baseline: reading.n_baseline,
            bins: reading.bins,
            coverage: None,
            doubts: self.trust.remarks().collect::<Vec<_>>().join(","),
            trust: self.trust.level,
        }
    }
}

/// A column of a summary.
#[derive(Debug, Clone, Copy)]
enum Pick {
    Numeric(usize),
    Categorical(usize),
}

impl Pick {
    fn of(self, traffic: &Traffic) -> Side<'_> {
        match self {
            Self::Numeric(index) => Side::Numeric(&traffic.numeric[index]),
            Self::Categorical(index) => Side::Categorical(&traffic.categorical[index]),
        }
    }
}
