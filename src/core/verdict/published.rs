//! The number that is named: what guards gather is evidence in terms of their own, and what a decision names is the
//! published metric of that name, of the newest window, with its bound on the same scale.
//!
//! Guards look at counts as suits their tests: normal scores, shares beyond a threshold, distances without bias. People
//! look for the metric in the windows table. So evidence about one window gets the metric's number, computed from the
//! same counts whether or not it is printed, and the guard's own statistic stands beside it as a flag. What was
//! gathered over many windows keeps the number of all of them.

use crate::metric::view::{ViewKey, Views};
use crate::metric::{
    self, Context, MarginKind, Metric, MetricResult, MetricSubject, Moment, Quantiles, Reads, Side, Value,
};
use crate::plan::{Baseline, Plan};
use crate::summary::{Quality, Traffic};
use crate::verdict::decision::{Evidence, Test};
use crate::verdict::finding::Finding;
use crate::verdict::guard::traffic_of;
use crate::verdict::judged::{Judged, JudgedKind, VersionCounts};

/// Which versions a number is of.
#[derive(Clone, Copy)]
pub(crate) struct Named<'a, 'j> {
    pub(crate) plan: &'a Plan,
    pub(crate) judged: &'a Judged<'j>,
    pub(crate) model: &'a str,
    pub(crate) version: &'a str,
}

impl<'a> Named<'a, '_> {
    /// Puts the published number in the place of a guard's own.
    pub(crate) fn publish(self, evidence: &mut Evidence) {
        let of_the_window = (self.judged.newest_from, self.judged.end) == evidence.window;
        let by_guard = [Test::Contrast, Test::ShiryaevRoberts, Test::Hx].iter().any(|test| evidence.test == *test);
        let Some(metric) = metric::find(&evidence.metric).filter(|_| of_the_window && by_guard) else { return };
        if evidence.baseline_kind == "usual" || metric.spec().subject == MetricSubject::Traffic {
            return;
        }
        let (Some(candidate), baseline) = self.read(metric, evidence) else { return };
        let Value::Number(value) = candidate.value else { return };
        evidence.flags.push(format!("{}_{:.4}", evidence.convention, evidence.estimate).into());
        (evidence.estimate, evidence.convention) = (value, candidate.convention);
        (evidence.lo, evidence.hi) = (candidate.bounds.map(|(low, _)| low), candidate.bounds.map(|(_, high)| high));
        evidence.n_candidate = candidate.n;
        if metric.spec().needs_baseline {
            evidence.n_baseline = candidate.n_baseline;
            evidence.bound = tolerated(metric, evidence);
            return;
        }
        // Of a metric of one version the other's number is what it is held against.
        if let Some((Value::Number(other), n)) = baseline.map(|baseline| (baseline.value, baseline.n)) {
            let factor = if evidence.test == Test::Hx { 1.0 } else { 0.0 };
            let margin = evidence.margin.map_or(0.0, |margin| margin - factor);
            (evidence.n_baseline, evidence.bound) = (n, bound(metric, other, margin));
        }
    }

    /// The candidate's reading, and that of the baseline version where the metric is of one version.
    fn read(self, metric: &dyn Metric, evidence: &Evidence) -> (Option<MetricResult>, Option<MetricResult>) {
        let of = |version: &str| ViewKey {
            model: self.model.to_owned(),
            version: version.to_owned(),
            segment: evidence.segment.clone(),
        };
        let (key, main) = (of(self.version), of(&self.plan.policy.baseline_version));
        match self.judged.newest {
            VersionCounts::Traffic(views) => self.read_traffic(metric, evidence, views, (&key, &main)),
            VersionCounts::Quality(views) => {
                let read = |key: &ViewKey| self.read_quality(metric, views.get(key)?);
                (read(&key), read(&main))
            }
        }
    }

    fn read_traffic(
        self,
        metric: &dyn Metric,
        evidence: &Evidence,
        views: &Views<Traffic>,
        (key, main): (&ViewKey, &ViewKey),
    ) -> (Option<MetricResult>, Option<MetricResult>) {
        let candidate = views.get(key);
        let baseline = traffic_of(&evidence.baseline_kind, main, views, self.judged);
        let is_reference = evidence.baseline_kind == Baseline::Reference.name();
        let read = |current: Option<&Traffic>, baseline: Option<&Traffic>| {
            let traffic = current?;
            let (current, context) = self.side(metric, evidence, traffic)?;
            let quantiles = if is_reference { Quantiles::Reference } else { Quantiles::Both };
            let context = Context { quantiles, ..context };
            let baseline = baseline.and_then(|baseline| self.side(metric, evidence, baseline)).map(|(side, _)| side);
            let slowest = traffic.slowest_ms(&self.plan.columns).filter(|_| metric.spec().reads == Reads::Latency);
            first(metric.read(current, baseline, &context)).map(|reading| reading.at_most(slowest))
        };
        if metric.spec().needs_baseline {
            return (baseline.and_then(|baseline| read(candidate, Some(baseline))), None);
        }
        (read(candidate, None), read(baseline, None))
    }

    fn read_quality(self, metric: &dyn Metric, quality: &Quality) -> Option<MetricResult> {
        let side = match metric.spec().reads {
            Reads::PairLosses => Side::PairLosses(&quality.pairs),
            _ => Side::Quality(quality),
        };
        first(metric.read(side, None, &self.context()))
    }

    /// What a metric reads of a summary.
    fn side<'t>(
        self,
        metric: &dyn Metric,
        evidence: &Evidence,
        traffic: &'t Traffic,
    ) -> Option<(Side<'t>, Context<'a>)> {
        let columns = &self.plan.columns;
        match metric.spec().reads {
            Reads::Latency => Some((Side::Latency(&traffic.latency), self.context())),
            Reads::Rates => Some((Side::Rates(&traffic.rates), self.context())),
            Reads::Pairs => Some((Side::Pairs(&traffic.pairs), self.context())),
            Reads::Numeric | Reads::Categorical | Reads::Column => {
                let numeric = columns.numeric.iter().position(|column| column.name == evidence.column);
                let numeric = numeric.map(|index| {
                    let context = Context { cut: Some(&columns.numeric[index].cut), ..self.context() };
                    (Side::Numeric(&traffic.numeric[index]), context)
                });
                let categorical = || columns.categorical.iter().position(|column| column.name == evidence.column);
                numeric.or_else(|| {
                    let index = categorical()?;
                    let context = Context { known: &columns.categorical[index].known, ..self.context() };
                    Some((Side::Categorical(&traffic.categorical[index]), context))
                })
            }
            Reads::Binary | Reads::Classification | Reads::Regression | Reads::PairLosses => None,
        }
    }

    fn context(self) -> Context<'a> {
        Context {
            cut: None,
            known: &[],
            window: self.judged.end - self.judged.newest_from,
            bins: self.plan.metrics.bins,
            quantiles: Quantiles::Reference,
            compat: &[],
            quality: self.plan.quality.as_ref(),
        }
    }
}

/// Our own convention comes first.
fn first(readings: Vec<MetricResult>) -> Option<MetricResult> {
    readings.into_iter().next()
}

/// What is tolerated of a metric of two versions, on its own scale. Answers may be as far off as an index says, which
/// between normal distributions is a shift by its root, and a ratio of spreads whose square `s` has
/// `(s + 1 / s) / 2 - 1` for index.
fn tolerated(metric: &dyn Metric, evidence: &Evidence) -> f64 {
    let index = evidence.margin.unwrap_or(0.0);
    match metric.spec().moment {
        Some(Moment::Location) => index.sqrt(),
        Some(Moment::Spread) => (1.0 + index + (index * (index + 2.0)).sqrt()).sqrt(),
        None => evidence.bound,
    }
}

/// What a version may have where the other has this number: a margin is a part of latencies and losses, and a
/// difference of everything else.
fn bound(metric: &dyn Metric, other: f64, margin: f64) -> f64 {
    match metric.spec().margin {
        MarginKind::Part => other * (1.0 + margin),
        MarginKind::Difference => other + margin,
    }
}

/// What findings say of the judgement's own kind.
pub(crate) fn own(kind: JudgedKind, findings: Vec<Finding>) -> Vec<Finding> {
    let is_own = |evidence: &Evidence| kind.speaks_of(&evidence.metric);
    let of_kind = |mut finding: Finding| {
        finding.evidence.retain(is_own);
        finding.beside.retain(is_own);
        finding
    };
    findings.into_iter().map(of_kind).filter(|finding| finding.all().next().is_some()).collect()
}
