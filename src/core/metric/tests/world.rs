//! A small seeded world: every kind of side, with a dial that makes it worse.

use super::cut;
use crate::kernel::bin::Edges;
use crate::metric::{Context, METRICS, Metric, MetricResult, Quantiles, Reads, Side};
use crate::plan::{Compat, Corrections, QualityPlan, Task};
use crate::scan::answer::{Answer, Truth};
use crate::summary::histogram::Cut;
use crate::summary::quality::Labelled;
use crate::summary::{Category, Histogram, Latency, Pairs, Quality, Rates};

/// Numbers that look random: xorshift64*.
#[derive(Debug, Clone)]
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Uniform in (0, 1).
    pub(super) fn uniform(&mut self) -> f64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let bits = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11;
        (bits as f64 + 0.5) / (1_u64 << 53) as f64
    }

    /// Standard normal (Box and Muller).
    pub(super) fn normal(&mut self) -> f64 {
        let (radius, turn) = (self.uniform(), self.uniform());
        (-2.0 * radius.ln()).sqrt() * (std::f64::consts::TAU * turn).cos()
    }
}

/// What the sides have in common.
pub(super) struct World {
    pub(super) cut: Cut,
    pub(super) known: Vec<String>,
    pub(super) quality: QualityPlan,
}

/// Everything of one side, in rows.
pub(super) struct Rows {
    values: Vec<Option<f64>>,
    categories: Vec<Option<String>>,
    latencies: Vec<f64>,
    rates: Vec<Rates>,
    labelled: Vec<Labelled>,
}

/// Everything of one side, counted.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Counted {
    histogram: Histogram,
    category: Category,
    latency: Latency,
    rates: Rates,
    pairs: Pairs,
    quality: Quality,
}

/// Every extra convention.
pub(super) const COMPAT: &[Compat] = &[
    Compat::Evidently,
    Compat::Nannyml,
    Compat::Scouter,
    Compat::Fiddler,
    Compat::Tfdv,
    Compat::Eps1e4,
    Compat::Eps1e6,
];

impl World {
    pub(super) fn new(task: Task) -> Self {
        let mut dice = Dice::new(7);
        let reference: Vec<f64> = (0..5000).map(|_| dice.normal()).collect();
        let score_edges = (0..=1000).map(|i| f64::from(i) / 1000.0).collect();
        Self {
            cut: cut::of_reference(&reference),
            known: ["a", "b", "c", "d"].map(str::to_owned).to_vec(),
            quality: quality_plan(task, Edges::new(score_edges).expect("edges increase")),
        }
    }

    pub(super) fn context(&self) -> Context<'_> {
        Context {
            cut: Some(&self.cut),
            known: &self.known,
            window: 60_000_000,
            bins: 10,
            quantiles: Quantiles::Reference,
            compat: COMPAT,
            quality: Some(&self.quality),
        }
    }

    /// `n` rows that are worse the larger `fault` is (0 to 1).
    pub(super) fn rows(&self, seed: u64, n: usize, fault: f64) -> Rows {
        let mut dice = Dice::new(seed);
        let mut rows = Rows { values: vec![], categories: vec![], latencies: vec![], rates: vec![], labelled: vec![] };
        for _ in 0..n {
            rows.values.push(value(&mut dice, fault));
            rows.categories.push(category(&mut dice, fault));
            rows.latencies.push(dice.normal().exp() * (10.0 + 10.0 * fault));
            rows.rates.push(answer(&mut dice, fault));
            rows.labelled.push(labelled(&mut dice, self.quality.task, fault));
        }
        rows
    }

    pub(super) fn count(&self, rows: &Rows) -> Counted {
        self.count_range(rows, 0..rows.latencies.len())
    }

    /// Some of the rows.
    pub(super) fn count_range(&self, rows: &Rows, range: std::ops::Range<usize>) -> Counted {
        let mut counted = Counted {
            histogram: Histogram::new(&self.cut),
            category: Category::new(self.known.len()),
            latency: Latency::default(),
            rates: Rates::default(),
            pairs: Pairs::default(),
            quality: Quality::new(&self.quality),
        };
        for row in range {
            self.add(&mut counted, rows, row);
        }
        counted
    }

    fn add(&self, counted: &mut Counted, rows: &Rows, row: usize) {
        match rows.values[row] {
            Some(value) if value.is_nan() => counted.histogram.nan += 1,
            Some(value) => counted.histogram.update(&self.cut, &[value]),
            None => counted.histogram.missing += 1,
        }
        match &rows.categories[row] {
            Some(name) => match self.known.binary_search(name) {
                Ok(known) => counted.category.known[known] += 1,
                Err(_) => counted.category.add_unseen(name, 1),
            },
            None => counted.category.missing += 1,
        }
        counted.latency.update(rows.latencies[row]);
        counted.rates.merge(&rows.rates[row]);
        counted.quality.update(&self.quality, rows.labelled[row]);
        let Labelled { score, label, .. } = rows.labelled[row];
        let given = |score: f64| Answer::Given { score: Some(score), class: Some(u64::from(score >= 0.5)) };
        let answers = [given(score), given(label)];
        answers[0].compare(answers[1], None, &mut counted.pairs);
        counted.pairs.unpaired += u64::from(score < 0.1);
        let truth = Truth { value: label, class: u64::from(label > 0.5) };
        let losses = answers.map(|answer| answer.loss(self.quality.task, truth));
        counted.quality.pairs.add(self.quality.task, true, 1.05, losses);
    }
}

pub(super) fn quality_plan(task: Task, score_edges: Edges) -> QualityPlan {
    QualityPlan {
        task,
        width_bins: vec![10, 15],
        score_edges,
        threshold: 0.5,
        wait: 0,
        horizon: 0,
        pending_max: 1,
        sample: 1.0,
        corrections: Corrections::First,
    }
}

fn value(dice: &mut Dice, fault: f64) -> Option<f64> {
    let (kind, normal) = (dice.uniform(), dice.normal());
    match kind {
        kind if kind < 0.1 * fault => None,
        kind if kind < 0.2 * fault => Some(f64::NAN),
        _ => Some(normal + fault),
    }
}

fn category(dice: &mut Dice, fault: f64) -> Option<String> {
    let names: &[&str] = if dice.uniform() < 0.5 * fault { &["d", "x", "y", "z"] } else { &["a", "b", "c", "d"] };
    let name = names[(dice.uniform() * 4.0) as usize];
    (dice.uniform() >= 0.1 * fault).then(|| name.to_owned())
}

fn answer(dice: &mut Dice, fault: f64) -> Rates {
    let (errors, rejected) = (dice.uniform() < 0.3 * fault, dice.uniform() < 0.2 * fault);
    let positive = u64::from(dice.uniform() < 0.3);
    Rates {
        requests: 1,
        errors: errors.into(),
        rejected: rejected.into(),
        scored: 1,
        predicted: 1,
        positive,
        ..Rates::default()
    }
}

/// Calibrated without a fault; with one, overconfident and wrong more often, most of all where it says yes.
fn labelled(dice: &mut Dice, task: Task, fault: f64) -> Labelled {
    let truth = 1.5 * dice.normal();
    let noise = 0.1 * dice.normal();
    let (came_true, replaced, other) = (dice.uniform(), dice.uniform() < 0.5 * fault, dice.uniform() < 0.2);
    if task == Task::Regression {
        return Labelled { score: truth + noise + fault, label: truth, predicted: false, entity: None, classes: None };
    }
    let label = if replaced { other } else { came_true < 1.0 / (1.0 + (-truth).exp()) };
    let score = 1.0 / (1.0 + (-truth * (1.0 + fault)).exp());
    Labelled { score, label: u8::from(label).into(), predicted: score >= 0.5, entity: None, classes: None }
}

impl Rows {
    pub(super) fn reverse(&mut self) {
        self.values.reverse();
        self.categories.reverse();
        self.latencies.reverse();
        self.rates.reverse();
        self.labelled.reverse();
    }
}

impl Counted {
    pub(super) fn merge(&mut self, other: &Self) {
        self.histogram.merge(&other.histogram);
        self.category.merge(&other.category);
        self.latency.merge(&other.latency);
        self.rates.merge(&other.rates);
        self.pairs.merge(&other.pairs);
        self.quality.merge(&other.quality);
    }

    /// The sides that a metric may be handed.
    pub(super) fn sides(&self, reads: Reads) -> Vec<Side<'_>> {
        let (numeric, categorical) = (Side::Numeric(&self.histogram), Side::Categorical(&self.category));
        match reads {
            Reads::Numeric => vec![numeric],
            Reads::Categorical => vec![categorical],
            Reads::Column => vec![numeric, categorical],
            Reads::Latency => vec![Side::Latency(&self.latency)],
            Reads::Rates => vec![Side::Rates(&self.rates)],
            Reads::Pairs => vec![Side::Pairs(&self.pairs)],
            Reads::PairLosses => vec![Side::PairLosses(&self.quality.pairs)],
            Reads::Classification | Reads::Binary | Reads::Regression => vec![Side::Quality(&self.quality)],
        }
    }

    /// What a metric reads of this against `baseline`, one list per side.
    pub(super) fn read(&self, metric: &dyn Metric, baseline: &Self, context: &Context<'_>) -> Vec<Vec<MetricResult>> {
        let spec = metric.spec();
        let sides = self.sides(spec.reads).into_iter().zip(baseline.sides(spec.reads));
        sides
            .map(|(current, baseline)| metric.read(current, spec.needs_baseline.then_some(baseline), context))
            .collect()
    }
}

/// Every metric with a world whose labels it can read.
pub(super) fn metrics() -> Vec<(&'static dyn Metric, World)> {
    let task = |reads| if reads == Reads::Regression { Task::Regression } else { Task::Binary };
    METRICS.iter().map(|&metric| (metric, World::new(task(metric.spec().reads)))).collect()
}
