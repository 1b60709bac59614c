//! A small seeded world for tests: a plan made by hand, a log of predictions and outcomes, and ways to feed it to the
//! engine.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{BooleanArray, Float64Array, Int16Array, UInt64Array};
use haldane::batch::{EventBatch, TextArray};
use haldane::engine::{Effects, Engine};
use haldane::event::{EventKind, Micros, SECOND, stable_hash};
use haldane::kernel::bin::Edges;
use haldane::kernel::moment::Grid;
use haldane::metric::METRICS;
use haldane::plan::*;
use haldane::summary::histogram::{Cut, Recuts};

/// A xorshift generator: enough for test data, and the same everywhere.
pub struct Rng(u64);

impl Rng {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    pub fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// One row of the log.
#[derive(Debug, Clone)]
pub struct Event {
    pub source: u16,
    pub time: Micros,
    pub broker_time: Micros,
    pub id: u64,
    pub version: &'static str,
    pub segment: &'static str,
    pub x: Option<f64>,
    pub color: Option<String>,
    pub score: f64,
    pub latency_ms: f64,
    pub status: i16,
    pub label: f64,
    /// Whether a decoder refused it: then it has a place in the log, and no row.
    pub refused: bool,
}

pub fn cut(low: f64, high: f64) -> Arc<Cut> {
    let edges: Vec<f64> = (0..=40).map(|i| low + (high - low) * f64::from(i) / 40.0).collect();
    let recuts = Recuts {
        bins10: (1..10).map(|i| i * 4).collect(),
        bins20: (1..20).map(|i| i * 2).collect(),
        ..Recuts::default()
    };
    Arc::new(Cut { edges: Edges::new(edges).unwrap(), grid: Grid::for_range(low, high), recuts })
}

/// Predictions and outcomes, two segments, ten-second panes.
pub fn plan(window: WindowKind) -> Plan {
    let source =
        |kind, topic: &str| SourcePlan { kind, topic: topic.into(), format: Format::Json, mapping: Mapping::default() };
    let numeric = |name: &str, role, cut| NumericColumn { name: name.into(), role, cut };
    let score_cut = cut(0.0, 1.0);
    let rule = |name: &str, metric: &str, bound, action| {
        let metric = haldane::metric::find(metric).expect("a known metric").spec().name;
        Rule {
            name: name.into(),
            metric,
            columns: vec![],
            baseline: None,
            against: Against::Difference,
            segments: false,
            bound: Bound::Above(bound),
            n_min: 5,
            breaches: 2,
            windows: 3,
            action,
            cap_pct: (action == Action::Contain).then_some(5.0),
        }
    };
    Plan {
        name: "world".into(),
        digest: "b3:0123456789abcdef0123456789abcdef".into(),
        sources: vec![source(EventKind::Prediction, "predictions"), source(EventKind::Outcome, "outcomes")],
        segments: vec!["region".into()],
        columns: Columns {
            numeric: vec![
                numeric("x", ColumnRole::Feature, cut(-3.0, 3.0)),
                numeric("score", ColumnRole::Score, Arc::clone(&score_cut)),
                numeric("latency", ColumnRole::Latency, cut(0.0, 100.0)),
            ],
            categorical: vec![CategoricalColumn {
                name: "color".into(),
                known: vec!["blue".into(), "red".into()],
                rare: None,
            }],
        },
        time: TimePlan {
            pane: 10 * SECOND,
            window,
            clock: WallClock::default(),
            lateness: 40 * SECOND,
            skew_max: 3600 * SECOND,
            jump_max: 3600 * SECOND,
            jump_confirmations: 3,
            idle_after: 10 * SECOND,
            early_every: SECOND,
            revise_for: 60 * SECOND,
        },
        quality: Some(QualityPlan {
            task: Task::Binary,
            width_bins: vec![10],
            score_edges: score_cut.edges.clone(),
            threshold: 0.5,
            wait: 30 * SECOND,
            horizon: 120 * SECOND,
            pending_max: 100_000,
            sample: 1.0,
            corrections: Corrections::First,
        }),
        shadow: None,
        baselines: vec![Baseline::Concurrent, Baseline::Previous],
        reference: None,
        metrics: MetricsPlan { names: METRICS.iter().map(|m| m.spec().name).collect(), compat: vec![], bins: 10 },
        policy: PolicyPlan {
            guards: None,
            rollout: "world".into(),
            baseline_version: "v1".into(),
            authority: Authority::Auto,
            stages: RolloutPlan::default(),
            trust: TrustPlan::default(),
            rules: vec![
                rule("errors", "error_rate", 0.1, Action::Contain),
                rule("brier", "brier", 0.02, Action::Warn),
                rule("more errors", "error_rate", 0.3, Action::Rollback),
            ],
        },
        bounds: Bounds::default(),
    }
}

/// A log of `n` predictions over ten minutes in which version `v2` fails more and more, and their outcomes. Events are
/// up to 30 s out of order, some are delivered twice, some labels are late or never come.
pub fn log(seed: u64, n: u64) -> Vec<Event> {
    let mut rng = Rng::new(seed);
    let mut events = Vec::new();
    for i in 0..n {
        let time = (i * 600 / n) as Micros * SECOND + rng.below(1_000_000) as Micros;
        let broker_time = time + rng.below(30) as Micros * SECOND;
        let version = if rng.below(4) == 0 { "v2" } else { "v1" };
        let failing = if version == "v2" { 0.6 * i as f64 / n as f64 } else { 0.02 };
        let score = rng.unit();
        let event = Event {
            source: 0,
            time,
            broker_time,
            id: stable_hash(&i.to_le_bytes()),
            version,
            segment: ["eu", "us"][rng.below(2) as usize],
            x: (rng.below(20) > 0).then(|| rng.unit() * 7.0 - 3.5),
            color: (rng.below(20) > 0).then(|| ["red", "blue", "green"][rng.below(3) as usize].to_string()),
            score,
            latency_ms: rng.unit() * 120.0,
            status: if rng.unit() < failing { 500 } else { 200 },
            label: f64::from(u8::from(rng.unit() < score)),
            refused: false,
        };
        if rng.below(20) == 0 {
            events.push(Event { broker_time: broker_time + SECOND, ..event.clone() });
        }
        if rng.below(5) > 0 {
            let delay = SECOND * if rng.below(4) == 0 { 100 } else { 15 };
            events.push(Event { source: 1, broker_time: broker_time + delay, ..event.clone() });
        }
        events.push(event);
    }
    events.sort_by_key(|event| (event.broker_time, event.source, event.id));
    events
}

fn texts<'a>(values: impl Iterator<Item = Option<&'a str>>) -> TextArray {
    values.collect()
}

/// Rows of one source and lane as a batch; offsets count from `first`, those of refused events too.
pub fn batch(all: &[&Event], lane: u32, first: i64) -> EventBatch {
    let offsets = |refused| {
        let of = (first..).zip(all).filter(move |(_, event)| event.refused == refused);
        of.map(|(offset, _)| offset).collect::<Vec<_>>()
    };
    let events: Vec<&Event> = all.iter().copied().filter(|event| !event.refused).collect();
    let n = events.len();
    let prediction = all[0].source == 0;
    let nulls = || texts((0..n).map(|_| None));
    let numeric = |get: &dyn Fn(&Event) -> Option<f64>| events.iter().map(|e| get(e)).collect::<Float64Array>();
    EventBatch {
        kind: if prediction { EventKind::Prediction } else { EventKind::Outcome },
        source: all[0].source,
        lane,
        offset: offsets(false).into(),
        broker_time: events.iter().map(|e| e.broker_time).collect::<Vec<_>>().into(),
        event_time: events.iter().map(|e| e.time).collect::<Vec<_>>().into(),
        id: events.iter().map(|e| e.id).collect::<Vec<_>>().into(),
        entity: UInt64Array::new_null(n),
        producer: UInt64Array::new_null(n),
        model: texts(events.iter().map(|_| Some("m"))),
        version: texts(events.iter().map(|e| Some(e.version))),
        segments: if prediction { vec![texts(events.iter().map(|e| Some(e.segment)))] } else { vec![] },
        numeric: if prediction {
            vec![
                numeric(&|e| e.x),
                numeric(&|e| (e.status == 200).then_some(e.score)),
                numeric(&|e| Some(e.latency_ms)),
            ]
        } else {
            vec![]
        },
        categorical: if prediction { vec![texts(events.iter().map(|e| e.color.as_deref()))] } else { vec![] },
        predicted: nulls(),
        status: if prediction { events.iter().map(|e| Some(e.status)).collect() } else { Int16Array::new_null(n) },
        failed: BooleanArray::new_null(n),
        label: if prediction { Float64Array::new_null(n) } else { numeric(&|e| Some(e.label)) },
        label_class: nulls(),
        exposure: Float64Array::new_null(n),
        further: None,
        refused: offsets(true),
    }
}

/// The log as streams: one run of events per (source, lane), spread over lanes by id.
pub fn streams(log: &[Event], lanes: u32) -> BTreeMap<(u16, u32), Vec<&Event>> {
    let mut streams: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for source in 0..2 {
        (0..lanes).for_each(|lane| drop(streams.insert((source, lane), Vec::new())));
    }
    for event in log {
        let lane = (event.id % u64::from(lanes)) as u32;
        streams.get_mut(&(event.source, lane)).unwrap().push(event);
    }
    streams
}

/// Feeds every stream from the given offsets to its end, in batches, taking streams in random turns; calls `after`
/// after each batch, which may stop the run by returning `false`.
pub fn feed(
    engine: &mut Engine,
    streams: &BTreeMap<(u16, u32), Vec<&Event>>,
    from: &BTreeMap<(u16, u32), i64>,
    (batch_rows, rng): (usize, &mut Rng),
    mut after: impl FnMut(&mut Engine, Effects) -> bool,
) {
    let mut next: BTreeMap<_, usize> =
        streams.keys().map(|key| (*key, from.get(key).copied().unwrap_or(0) as usize)).collect();
    let mut open: Vec<_> = streams.keys().copied().collect();
    while !open.is_empty() {
        let turn = rng.below(open.len() as u64) as usize;
        let key = open[turn];
        let (start, events) = (next[&key], &streams[&key]);
        let end = (start + batch_rows).min(events.len());
        let effects = if start < end {
            next.insert(key, end);
            engine.step(&batch(&events[start..end], key.1, start as i64))
        } else {
            open.swap_remove(turn);
            engine.progress(key.1, key.0, events.len() as i64, true, true)
        };
        if !after(engine, effects) {
            return;
        }
    }
}
