//! What the Kafka benches share: a cluster, a plan of forty fields, and events that fit it.

use std::sync::Arc;
use std::time::Duration;

use haldane::config::{KafkaConfig, Topics};
use haldane::event::{EventKind, Micros, SECOND};
use haldane::kernel::bin::Edges;
use haldane::kernel::moment::Grid;
use haldane::plan::{
    Baseline, Bounds, CategoricalColumn, ColumnRole, Columns, FieldSource, Format, Mapping, MetricsPlan, NumericColumn,
    NumericField, Path, Plan, PolicyPlan, SourcePlan, TimeFormat, TimePlan, WallClock, WindowKind,
};
use haldane::summary::histogram::{Cut, Recuts};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;

#[path = "../../tests/it/broker.rs"]
mod broker;

/// Where the first event lies.
pub(crate) const EPOCH: Micros = 1_700_000_000 * SECOND;

/// `cargo bench` measures against a real Kafka; without its flag (`cargo test --benches`) everything runs once, small,
/// and against the cluster that librdkafka mocks.
pub(crate) fn measuring() -> bool {
    std::env::args().any(|argument| argument == "--bench")
}

/// A cluster with one input topic and haldane's own.
pub(crate) struct Cluster {
    /// How to reach it.
    pub(crate) settings: KafkaConfig,
    /// The input topic.
    pub(crate) input: String,
    _mock: Option<MockCluster<'static, DefaultProducerContext>>,
}

impl Cluster {
    /// The real one when measuring, else a mock.
    pub(crate) fn start() -> Self {
        if measuring() { Self::real() } else { Self::mock() }
    }

    fn real() -> Self {
        let broker = broker::Broker::shared();
        let topics = Topics {
            control: broker.topic("control", 1),
            commands: broker.topic("commands", 1),
            state: broker.topic("state", 1),
            partials: broker.topic("partials", 1),
            dead_letter: broker.topic("deadletter", 1),
            windows: None,
            exposures: broker.topic("exposures", 1),
        };
        let settings = KafkaConfig { topics, ..KafkaConfig::plain(&broker.bootstrap, "bench") };
        Self { settings, input: broker.topic("input", 4), _mock: None }
    }

    fn mock() -> Self {
        let mock = MockCluster::new(1).expect("a mock cluster");
        let topics = Topics::default();
        for topic in [&topics.control, &topics.commands, &topics.state, &topics.partials, &topics.dead_letter] {
            mock.create_topic(topic, 1, 1).expect("a mock topic");
        }
        mock.create_topic("input", 4, 1).expect("a mock topic");
        let settings = KafkaConfig::plain(mock.bootstrap_servers(), "bench");
        Self { settings, input: "input".into(), _mock: Some(mock) }
    }

    /// The same cluster under a group that has committed nothing.
    pub(crate) fn fresh_group(&self, round: usize) -> KafkaConfig {
        KafkaConfig { group: format!("bench.{round}"), ..self.settings.clone() }
    }
}

/// Thirty numbers and five categories per event, compared between two versions every minute.
pub(crate) fn plan(topic: &str) -> Arc<Plan> {
    let edges: Vec<f64> = (0..=64).map(|edge| f64::from(edge) / 64.0).collect();
    let recuts = Recuts {
        bins10: (1..10).map(|i| i * 6).collect(),
        bins20: (1..20).map(|i| i * 3).collect(),
        ..Recuts::default()
    };
    let cut =
        Arc::new(Cut { edges: Edges::new(edges).expect("rising edges"), grid: Grid::for_range(0.0, 1.0), recuts });
    let numeric = |name: String, role| NumericColumn { name, role, cut: Arc::clone(&cut) };
    let mut columns: Vec<NumericColumn> = (0..30).map(|i| numeric(format!("n{i}"), ColumnRole::Feature)).collect();
    columns.push(numeric("score".into(), ColumnRole::Score));
    columns.push(numeric("latency".into(), ColumnRole::Latency));
    let categorical = (0..5).map(|i| CategoricalColumn::new(format!("c{i}"))).collect();
    let mapping = mapping(&columns);
    Arc::new(Plan {
        name: "bench".into(),
        digest: "b3:0123456789abcdef0123456789abcdef".into(),
        sources: vec![SourcePlan { kind: EventKind::Prediction, topic: topic.into(), format: Format::Json, mapping }],
        segments: Vec::new(),
        columns: Columns { numeric: columns, categorical },
        time: time(),
        quality: None,
        shadow: None,
        baselines: vec![Baseline::Concurrent],
        reference: None,
        metrics: MetricsPlan { names: vec!["psi", "ks", "error_rate"], compat: Vec::new(), bins: 10 },
        policy: PolicyPlan { rollout: "bench".into(), baseline_version: "v1".into(), ..PolicyPlan::default() },
        bounds: Bounds::default(),
    })
}

fn mapping(columns: &[NumericColumn]) -> Mapping {
    let path = |name: &str| -> Path { [name.to_owned()].into_iter().collect() };
    let feature = |group: &str, name: &str| -> Path { [group.to_owned(), name.to_owned()].into_iter().collect() };
    let numeric = |column: &NumericColumn| {
        let path = if column.role == ColumnRole::Feature { feature("num", &column.name) } else { path(&column.name) };
        Some(NumericField { path, factor: 1.0 })
    };
    Mapping {
        id: Some(path("id")),
        event_time: Some((path("at"), TimeFormat::Micros)),
        model: FieldSource::Path(path("model")),
        version: FieldSource::Path(path("version")),
        numeric: columns.iter().map(numeric).collect(),
        categorical: (0..5).map(|i| Some(feature("cat", &format!("c{i}")))).collect(),
        status: Some(path("status")),
        ..Mapping::default()
    }
}

fn time() -> TimePlan {
    let minute = 60 * SECOND;
    TimePlan {
        pane: minute,
        window: WindowKind::Sliding { size: minute, slide: minute },
        clock: WallClock::default(),
        lateness: 5 * SECOND,
        skew_max: minute,
        jump_max: 60 * minute,
        jump_confirmations: 3,
        idle_after: minute,
        early_every: SECOND,
        revise_for: minute,
    }
}

/// Numbers that look random and are the same in every run.
pub(crate) struct Noise(u64);

impl Noise {
    /// Starts somewhere.
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    /// Four decimals, as services write them.
    fn share(&mut self) -> String {
        format!("0.{:04}", self.below(10_000))
    }
}

/// One event as a service would send it, about 570 bytes.
pub(crate) fn event(index: u64, noise: &mut Noise) -> String {
    let at = event_time(index);
    let version = if noise.below(10) == 0 { "v2" } else { "v1" };
    let status = if noise.below(100) == 0 { 500 } else { 200 };
    let number = |i: u64, noise: &mut Noise| {
        let value = if i < 5 && noise.below(20) == 0 { "null".to_owned() } else { noise.share() };
        format!("\"n{i}\":{value}")
    };
    let numbers: Vec<String> = (0..30).map(|i| number(i, noise)).collect();
    let categories: Vec<String> = (0..5).map(|i| format!("\"c{i}\":\"k{}\"", noise.below(8))).collect();
    format!(
        "{{\"at\":{at},\"id\":\"{:016x}\",\"model\":\"fraud\",\"version\":\"{version}\",\"num\":{{{}}},\"cat\":{{{}}},\
         \"score\":{},\"latency\":{},\"status\":{status}}}",
        noise.next(),
        numbers.join(","),
        categories.join(","),
        noise.share(),
        noise.share(),
    )
}

/// A millisecond from event to event.
pub(crate) fn event_time(index: u64) -> Micros {
    EPOCH + Micros::try_from(index).expect("few events") * 1_000
}

/// The middle one.
pub(crate) fn median(mut durations: Vec<Duration>) -> Duration {
    durations.sort();
    durations[durations.len() / 2]
}
