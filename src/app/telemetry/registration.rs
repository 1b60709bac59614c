//! How families of the list come into a registry.

use prometheus::core::Collector;
use prometheus::{
    Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGaugeVec, Opts, Registry,
};

use super::Family;

pub(super) fn counter(registry: &Registry, family: &Family) -> IntCounter {
    register(registry, IntCounter::with_opts(opts(family)))
}

pub(super) fn counters(registry: &Registry, family: &Family) -> IntCounterVec {
    register(registry, IntCounterVec::new(opts(family), family.labels))
}

pub(super) fn real_gauge(registry: &Registry, family: &Family) -> Gauge {
    register(registry, Gauge::with_opts(opts(family)))
}

pub(super) fn gauges(registry: &Registry, family: &Family) -> IntGaugeVec {
    register(registry, IntGaugeVec::new(opts(family), family.labels))
}

pub(super) fn real_gauges(registry: &Registry, family: &Family) -> GaugeVec {
    register(registry, GaugeVec::new(opts(family), family.labels))
}

pub(super) fn histogram(registry: &Registry, family: &Family, buckets: &[f64]) -> Histogram {
    let opts = HistogramOpts::from(opts(family)).buckets(buckets.to_vec());
    register(registry, Histogram::with_opts(opts))
}

pub(super) fn histograms(registry: &Registry, family: &Family, buckets: &[f64]) -> HistogramVec {
    let opts = HistogramOpts::from(opts(family)).buckets(buckets.to_vec());
    register(registry, HistogramVec::new(opts, family.labels))
}

pub(super) fn opts(family: &Family) -> Opts {
    Opts::new(family.name, family.help)
}

pub(super) fn register<C: Collector + Clone + 'static>(registry: &Registry, made: prometheus::Result<C>) -> C {
    let collector = made.expect("names and labels of the list are well-formed");
    registry.register(Box::new(collector.clone())).expect("names of the list are unique");
    collector
}
