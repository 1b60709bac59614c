//! What a pipeline file means: every default filled in, every name resolved, every contradiction told.

mod columns;
mod digest;
mod fields;
mod judging;
mod mapping;
mod measures;
mod policy;
mod quality;
mod schemas;
mod tensors;
mod time;

use std::path::Path;
use std::sync::Arc;

use super::document::{BoundsSection, Document};
use super::problem::Problems;
use super::{KafkaConfig, MemoryConfig, Pipeline, reference, shadow};
use crate::metric::Spec;
use crate::plan::{Bounds, MetricsPlan, Plan, PolicyPlan, Reference};
use columns::Cutting;
use fields::PlanFields;
use judging::Readable;
use mapping::MappingContext;

/// What the plan is for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Purpose<'a> {
    /// Judging traffic: everything counts.
    Judge,
    /// Judging traffic with a reference that is at hand.
    JudgeWith(&'a Reference),
    /// Reading the data that a reference is built from: the reference and the rules are not looked at.
    Read,
}

/// What surrounds the file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Surroundings<'a> {
    /// The pipeline's name unless the file says another.
    pub(crate) name: &'a str,
    /// The folder that relative paths start from.
    pub(crate) base: &'a Path,
    /// What the plan is for.
    pub(crate) purpose: Purpose<'a>,
    /// Every metric there is.
    pub(crate) specs: &'a [&'static Spec],
}

/// The pipeline that a document means. It is of use only when no problem was found.
pub(crate) fn resolve(document: &Document, around: Surroundings<'_>, problems: &mut Problems) -> Pipeline {
    let name = document.pipeline.as_ref().map_or(around.name, |name| name.as_str());
    if let Some(empty) = document.pipeline.as_ref().filter(|name| name.is_empty()) {
        problems.add(empty.spot, "the pipeline's name is empty");
    }
    let mut fields = fields::gather(document, problems);
    measures::gather(document, &mut fields, problems);
    let fine_bins = columns::fine_bins(document, problems);
    let reference = load_reference(document, &fields, around, problems);
    let cutting = Cutting {
        task: document.task.value,
        reference: reference.as_ref(),
        fine_bins,
        may_stay_uncut: around.purpose == Purpose::Read || document.reference.is_some(),
    };
    let columns = columns::columns(&fields, cutting, problems);
    let layout = MappingContext { pipeline: name, base: around.base, columns: &columns, segments: &fields.segments };
    let sources = mapping::sources(document, layout, problems);
    let quality = quality::quality(document, &columns, problems);
    let time = time::time(&document.windows, problems);
    let mut plan = Plan {
        name: name.to_owned(),
        digest: String::new(),
        sources,
        segments: fields.segments.iter().map(|&segment| segment.to_owned()).collect(),
        baselines: judging::baselines(document, &time, problems),
        columns,
        time,
        quality,
        shadow: None,
        reference: reference.map(Arc::new),
        metrics: MetricsPlan { names: Vec::new(), compat: Vec::new(), bins: 10 },
        policy: PolicyPlan::default(),
        bounds: bounds(&document.bounds),
    };
    if around.purpose != Purpose::Read {
        judge(&mut plan, document, around, problems);
    }
    plan.digest = digest::digest(&plan);
    if let (Some(postgres), None) = (&document.serve.postgres, &document.store) {
        problems.add(postgres.spot, "there is nothing to query").help("add a `store:` section");
    }
    let registry = document.registry.as_ref().map(|registry| registry.resolve(around.base, problems));
    let kafka = document
        .kafka
        .as_ref()
        .map(|kafka| KafkaConfig { registry: registry.clone(), ..kafka.resolve(name, around.base, problems) });
    Pipeline {
        kafka,
        registry,
        serve: document.serve.resolve(around.base, problems),
        store: document.store.as_ref().map(|store| store.resolve(around.base, problems)),
        act: super::act::resolve(&document.act, around.base, problems),
        reference: document.reference.as_ref().map(|file| around.base.join(&file.value)),
        plan: Arc::new(plan),
        fine_bins,
        memory: memory(document, around.base, problems),
    }
}

fn memory(document: &Document, base: &Path, problems: &mut Problems) -> Option<MemoryConfig> {
    if let (Some(spill), None) = (&document.spill, &document.memory) {
        problems
            .add(spill.spot, "`spill` without `memory`")
            .help("add how much memory is granted, such as memory: 512MB");
    }
    let spill = document.spill.as_ref().map_or_else(std::env::temp_dir, |folder| base.join(&folder.value));
    document.memory.map(|max| MemoryConfig { max: max.value.0, spill })
}

/// Fills in metrics and policy.
fn judge(plan: &mut Plan, document: &Document, around: Surroundings<'_>, problems: &mut Problems) {
    let readable = Readable {
        columns: &plan.columns,
        quality: plan.quality.as_ref(),
        has_shadow: document.shadow.is_some(),
        has_predictions: document.sources.predictions.is_some(),
        has_baselines: !plan.baselines.is_empty(),
    };
    let metrics = judging::metrics(document, around.specs, readable, problems);
    let segments: Vec<&str> = plan.segments.iter().map(String::as_str).collect();
    let scope = policy::RuleScope {
        pipeline: &plan.name,
        specs: around.specs,
        metrics: &metrics.names,
        baselines: &plan.baselines,
        segments: &segments,
        readable,
    };
    plan.policy = policy::policy(document, scope, problems);
    let guards = plan.policy.guards.as_ref();
    plan.shadow = document.shadow.as_ref().map(|shadow| shadow.resolve(&plan.time, guards, problems));
    shadow::check(document, problems);
    plan.metrics = metrics;
    let measures = measures::guarded(document, plan, problems);
    plan.policy.guards.iter_mut().for_each(|guards| guards.measures.clone_from(&measures));
}

fn load_reference(
    document: &Document,
    fields: &PlanFields<'_>,
    around: Surroundings<'_>,
    problems: &mut Problems,
) -> Option<Reference> {
    let file = document.reference.as_ref()?;
    let loaded = match around.purpose {
        Purpose::Read => return None,
        Purpose::Judge => reference::load(&around.base.join(&file.value)),
        Purpose::JudgeWith(reference) => Ok(reference.clone()),
    };
    match loaded {
        Ok(Reference { id, profile }) => match columns::project(profile, fields) {
            Ok(profile) => Some(Reference { id, profile }),
            Err(why) => {
                problems.add(file.spot, why).help("build it anew with `haldane baseline build -c` and this file");
                None
            }
        },
        Err(error) => {
            problems.add(file.spot, error.to_string()).help(error.advice().unwrap_or_default());
            None
        }
    }
}

fn bounds(section: &BoundsSection) -> Bounds {
    let size = |n: u64| usize::try_from(n.max(1)).unwrap_or(usize::MAX);
    Bounds {
        groups_max: size(section.groups_max.value),
        versions_max: size(section.versions_max.value),
        ids_max: size(section.ids_max.value),
    }
}
