//! Pipeline files: what a user writes (`document`), and the plan it means (`resolve`).
//!
//! Reading goes in two steps. The YAML parser fills typed sections and stops at the first thing that does not fit; then
//! the sections are resolved together, and everything that contradicts is told at once, each with its line.

mod act;
mod address;
mod class;
mod document;
mod guards;
mod kafka;
mod keys;
mod measure;
mod message;
mod names;
mod oauth;
mod path;
mod problem;
mod read;
pub mod reference;
mod registry;
mod resolve;
mod rollout;
mod secret;
mod selection;
mod serve;
mod shadow;
mod source;
mod store;
#[cfg(test)]
mod tests;
mod topic;
mod trust;
mod value;
mod wall;

use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use kafka::{KafkaConfig, Mechanism, OnGap, Protocol, Role, Security, Topics};
pub use keys::keys;
pub use oauth::{TokenServer, Tokens};
pub use registry::{RegistryConfig, SchemaFiles};
pub use secret::{Secret, SecretText};
pub use serve::{Approver, ClientLimits, MetricsReading, Network, Power, ProxyConfig, Reading, ServeConfig, TlsConfig};
pub use store::{StoreConfig, days_kept};
pub use wall::beginning;

use crate::error::{Error, Result};
use crate::event::Micros;
use crate::metric::{METRICS, Spec};
use crate::plan::{Plan, Reference};
use crate::targets::ActConfig;
use problem::Problems;
pub use problem::nearest;
use resolve::{Purpose, Surroundings};

/// Everything a pipeline file says.
#[derive(Debug, Clone)]
pub struct Pipeline {
    /// What the engine does.
    pub plan: Arc<Plan>,
    /// The Kafka cluster, for those that need one.
    pub kafka: Option<KafkaConfig>,
    /// The HTTP server.
    pub serve: ServeConfig,
    /// Where results are kept.
    pub store: Option<StoreConfig>,
    /// Where the reference is, or is to be.
    pub reference: Option<PathBuf>,
    /// Where schemas of records are known.
    pub registry: Option<RegistryConfig>,
    /// Fine bins of columns whose reference is yet to be built.
    pub fine_bins: u16,
    /// Where decisions are carried out, and whom they are told.
    pub act: Vec<ActConfig>,
    /// How much memory the process may take, if that is bounded.
    pub memory: Option<MemoryConfig>,
}

/// A bound on memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemoryConfig {
    /// The most that the process may take, in bytes.
    pub max: usize,
    /// Folder for what does not fit.
    pub spill: PathBuf,
}

/// Reads a pipeline file.
///
/// # Errors
/// When it cannot be read, is not YAML, or says something that cannot be; the message shows the lines.
pub fn load(path: &Path) -> Result<Pipeline> {
    load_for(path, Purpose::Judge)
}

/// Reads a pipeline file for building its reference: the reference need not exist yet, rules are not looked at, and
/// features that only a reference could cut are not cut.
///
/// # Errors
/// As [`load`].
pub fn reading_plan(path: &Path) -> Result<Pipeline> {
    load_for(path, Purpose::Read)
}

/// Reads the text of a pipeline file; `origin` is what errors call it, `base` the folder that relative paths start
/// from.
///
/// # Errors
/// As [`load`].
pub fn parse(text: &str, origin: &str, base: &Path) -> Result<Pipeline> {
    let specs = specs();
    build(text, origin, Surroundings { name: "pipeline", base, purpose: Purpose::Judge, specs: &specs })
}

/// Reads the text of a pipeline with a reference that is at hand, in place of the file that its `reference` names.
///
/// # Errors
/// As [`load`].
pub fn parse_with(text: &str, origin: &str, base: &Path, reference: &Reference) -> Result<Pipeline> {
    let specs = specs();
    let around = Surroundings { name: "pipeline", base, purpose: Purpose::JudgeWith(reference), specs: &specs };
    build(text, origin, around)
}

/// Reads the text of a pipeline for building its reference, as [`reading_plan`] reads a file.
///
/// # Errors
/// As [`load`].
pub fn parse_reading(text: &str, origin: &str, base: &Path) -> Result<Pipeline> {
    let specs = specs();
    build(text, origin, Surroundings { name: "pipeline", base, purpose: Purpose::Read, specs: &specs })
}

/// Reads how a cluster is reached from the `kafka` section of a text; whatever else it says is left alone.
///
/// # Errors
/// As [`load`], and when it has no such section.
pub fn cluster(text: &str, origin: &str, base: &Path) -> Result<KafkaConfig> {
    let reach: kafka::KafkaAccess = read::document(text, origin)?;
    let mut problems = Problems::default();
    let cluster = reach.kafka.resolve("init", base, &mut problems);
    problems.into_result(origin, text).map(|()| cluster)
}

/// The JSON Schema of pipeline files.
#[must_use]
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(document::Document).to_value()
}

/// A share as it is written in pipeline files: a number from 0 to 1, or percent.
///
/// # Errors
/// In words, when it is none.
pub fn share(text: &str) -> std::result::Result<f64, String> {
    text.parse::<value::Ratio>().map(|ratio| ratio.0)
}

/// How many times as much, as margins are written in pipeline files: `1.2`, `2x`, `+20%`.
///
/// # Errors
/// In words, when it is not.
pub fn times(text: &str) -> std::result::Result<f64, String> {
    text.parse::<value::Margin>().map(|margin| margin.0)
}

/// A span of time as it is written in pipeline files: a whole number and a unit, such as `30s` or `4h`.
///
/// # Errors
/// In words, when it is none.
pub fn span(text: &str) -> std::result::Result<Micros, String> {
    text.parse::<value::Period>().map(|period| period.0)
}

fn text_of(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).map_err(|error| {
        Error::user(format!("cannot read the pipeline file {}", path.display()))
            .because(error)
            .hint("give the path of a YAML file; see pipelines/ for examples")
    })
}

fn load_for(path: &Path, purpose: Purpose) -> Result<Pipeline> {
    let text = text_of(path)?;
    let name = path.file_stem().map(|stem| stem.to_string_lossy()).unwrap_or_default();
    let base = path.parent().unwrap_or(Path::new(""));
    let specs = specs();
    build(&text, &path.display().to_string(), Surroundings { name: &name, base, purpose, specs: &specs })
}

fn specs() -> Vec<&'static Spec> {
    METRICS.iter().map(|metric| metric.spec()).collect()
}

fn build(text: &str, origin: &str, around: Surroundings<'_>) -> Result<Pipeline> {
    let mut document: document::Document = read::document(text, origin)?;
    let mut problems = Problems::default();
    document.sources.value.spread(&mut problems);
    let pipeline = resolve::resolve(&document, around, &mut problems);
    problems.into_result(origin, text).map(|()| pipeline)
}
