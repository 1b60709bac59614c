//! What one small window and one absurd value do to distances: how often two samples of the same law are called
//! different, and what is left of a distance when the reference holds values that no bin expects.
//!
//! Other tools' thresholds on these samples are what their users complain of: a bare index above 0.1 calls most windows
//! of a hundred rows drifted, and bins that span the range put everything into one once the range is absurd.

use haldane::baseline::cut;
use haldane::infer::ks_tolerance::KsTest;
use haldane::infer::psi_tolerance::{PsiTest, tolerance_for};
use haldane::infer::shiryaev::{AlarmRule, Monitor};
use haldane::metric::{self, Context, Side, Value};
use haldane::sim::Rng;
use haldane::summary::Histogram;
use haldane::summary::histogram::Cut;

/// Fine bins, as a pipeline has them unless it says otherwise.
const FINE_BINS: u16 = 1040;
/// The index that is tolerated, and the one that others alarm at.
const INDEX: f64 = 0.1;
/// The level of a test of one window.
const LEVEL: f64 = 0.05;
/// Rows of a reference for small windows, and windows held against each.
const REFERENCE: usize = 10_000;
const WINDOWS: u32 = 20;
/// Mean windows between false alarms, as shipped.
const ALARM: AlarmRule = AlarmRule { patience: 28_800.0, windows_min: 3 };
/// Rows of either side beside an absurd value.
const BESIDE: usize = 20_000;

/// Shares of windows, and of streams, that are called different.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Called {
    /// The index on deciles of the reference, as computed, is at least 0.1.
    pub(crate) bare: f64,
    /// The same less what chance adds to it.
    pub(crate) debiased: f64,
    /// The index is significant at 5 % against none at all.
    pub(crate) above_none: f64,
    /// The Kolmogorov-Smirnov distance is.
    pub(crate) ks: f64,
    /// The index is significant at 5 % against a true one of 0.1.
    pub(crate) above_tolerance: f64,
    /// The evidence of 20 windows in a row, which may be looked at after each, has acted.
    pub(crate) evidence: f64,
}

/// What is said of windows of `rows` rows whose mean is off by `shift` standard deviations, in seeded streams with a
/// reference each.
pub(crate) fn small_windows(rows: usize, shift: f64, streams: u32) -> Called {
    let mut sum = Called::default();
    for seed in 0..u64::from(streams) {
        let mut rng = Rng::new(seed);
        let reference = Reference::of((0..REFERENCE).map(|_| rng.normal()).collect());
        let mut monitor = Monitor::default();
        for _ in 0..WINDOWS {
            let window = reference.count((0..rows).map(|_| rng.normal() + shift));
            reference.tally(&window, &mut sum, &mut monitor);
        }
        sum.evidence += f64::from(u8::from(monitor.fires(ALARM))) * f64::from(WINDOWS);
    }
    let share = |of: f64| of / f64::from(streams) / f64::from(WINDOWS);
    let Called { bare, debiased, above_none, ks, above_tolerance, evidence } = sum;
    Called {
        bare: share(bare),
        debiased: share(debiased),
        above_none: share(above_none),
        ks: share(ks),
        above_tolerance: share(above_tolerance),
        evidence: share(evidence),
    }
}

/// A reference sample, cut and counted.
struct Reference {
    cut: Cut,
    counts: Histogram,
}

impl Reference {
    fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let cut = cut::of_values(&values, FINE_BINS);
        let mut counts = Histogram::new(&cut);
        counts.update(&cut, &values);
        Self { cut, counts }
    }

    fn count(&self, values: impl Iterator<Item = f64>) -> Histogram {
        let mut counts = Histogram::new(&self.cut);
        counts.update(&self.cut, &values.collect::<Vec<_>>());
        counts
    }

    fn tally(&self, window: &Histogram, sum: &mut Called, monitor: &mut Monitor) {
        let index = |bins: &[u16], tau| PsiTest::of(&self.counts.recut(bins), &window.recut(bins), tau, 1.0);
        let one = |happens: bool| f64::from(u8::from(happens));
        let bare = self.shown("psi", window);
        let deciles = index(&self.cut.recuts.bins10, 0.0);
        sum.bare += one(bare >= INDEX);
        sum.debiased += one(deciles.is_some_and(|test| test.debiased() >= INDEX));
        sum.above_none += one(deciles.is_some_and(|test| test.p() <= LEVEL));
        let ks = KsTest::of(&self.counts.counts, &window.counts, 0.0, 1.0, |_| false);
        sum.ks += one(ks.is_some_and(|test| test.p() <= LEVEL));
        let bins = &self.cut.recuts.bins20;
        let cells = u32::try_from(bins.len() + 1).expect("few cells");
        if let Some(test) = index(bins, tolerance_for(INDEX, cells, REFERENCE as u64)) {
            sum.above_tolerance += one(test.p() <= LEVEL);
            monitor.update(test.p(), ALARM);
        }
    }

    /// The metric of this name, as people see it.
    fn shown(&self, name: &str, window: &Histogram) -> f64 {
        let context = Context { cut: Some(&self.cut), ..Context::ALONE };
        let metric = metric::find(name).expect("a metric of that name");
        let reading = metric.read(Side::Numeric(window), Some(Side::Numeric(&self.counts)), &context).swap_remove(0);
        match reading.value {
            Value::Number(number) => number,
            other => panic!("no number but {other:?}"),
        }
    }
}

/// Distances between samples whose means are one standard deviation apart, of which the reference holds absurd values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Beside {
    /// The exact Kolmogorov-Smirnov distance of the two samples.
    pub(crate) exact: f64,
    /// The binned one.
    pub(crate) ks: f64,
    /// The same on as many bins of equal width over the reference's range.
    pub(crate) equal_width: f64,
    /// The index on deciles.
    pub(crate) psi: f64,
}

/// What is left of the distances when so many values of the reference are this large.
pub(crate) fn beside_outliers(size: f64, outliers: usize) -> Beside {
    let mut rng = Rng::new(1);
    let mut reference: Vec<f64> = (0..BESIDE).map(|_| rng.normal()).collect();
    let mut current: Vec<f64> = (0..BESIDE).map(|_| rng.normal() + 1.0).collect();
    reference.extend(vec![size; outliers]);
    reference.sort_by(f64::total_cmp);
    current.sort_by(f64::total_cmp);
    let cut = Reference::of(reference.clone());
    let window = cut.count(current.iter().copied());
    Beside {
        exact: distance(&reference, &current),
        ks: cut.shown("ks", &window),
        equal_width: equal_width(&reference, &current),
        psi: cut.shown("psi", &window),
    }
}

/// The exact distance of two sorted samples.
fn distance(reference: &[f64], current: &[f64]) -> f64 {
    let share = |sample: &[f64], value: f64| size(sample.partition_point(|&x| x <= value)) / size(sample.len());
    let gaps = reference.iter().chain(current).map(|&value| (share(reference, value) - share(current, value)).abs());
    gaps.fold(0.0, f64::max)
}

/// The distance on bins that span the reference's range.
fn equal_width(reference: &[f64], current: &[f64]) -> f64 {
    let (low, high) = (reference[0], reference[reference.len() - 1]);
    let cut = cut::equal_width(low, high, FINE_BINS);
    let count = |values: &[f64]| {
        let mut counts = Histogram::new(&cut);
        counts.update(&cut, values);
        counts
    };
    let (counts, window) = (count(reference), count(current));
    Reference { cut, counts }.shown("ks", &window)
}

#[expect(clippy::cast_precision_loss, reason = "tens of thousands of rows")]
fn size(n: usize) -> f64 {
    n as f64
}
