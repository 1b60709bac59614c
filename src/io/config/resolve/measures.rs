//! Measures: their columns, and what guards hold against them.

use super::fields::{Declared, PlanFields, check_name};
use crate::config::document::Document;
use crate::config::measure::{Measure, check_share};
use crate::config::path::PathOr;
use crate::config::problem::Problems;
use crate::plan::{ColumnRole, MeasurePlan, NumericField, Path, Plan};

/// The most measures of a pipeline.
const MEASURES_MAX: usize = 64;

/// The columns of measures, after all others.
pub(super) fn gather<'a>(document: &'a Document, fields: &mut PlanFields<'a>, problems: &mut Problems) {
    for (at, (name, place)) in document.measures.0.iter().enumerate() {
        let is_known = fields.numeric_names().contains(&name.as_str());
        check_name(name, place.spot, &fields.categorical_names(), problems);
        if is_known {
            problems
                .add(place.spot, format!("`{name}` is the name of a feature and of a measure"))
                .help("give the measure another name; it may have the same path");
        }
        if at == MEASURES_MAX {
            problems.add(place.spot, format!("more than {MEASURES_MAX} measures")).help("keep those that decide");
        }
        if document.sources.predictions.is_none() {
            problems
                .add(place.spot, format!("`{name}` is a number of predictions, and there are none"))
                .help("add a source `predictions`");
        }
        let range = match &place.value {
            PathOr::Path(_) => None,
            PathOr::Long(measure) => measure.range,
        };
        fields.numeric.push(Declared { name, role: ColumnRole::Measure, range, edges: None, spot: place.spot });
    }
}

/// Where a measure is found in predictions.
pub(super) fn field(document: &Document, name: &str) -> Option<NumericField> {
    let (_, place) = document.measures.0.iter().find(|(other, _)| other == name)?;
    Some(NumericField { path: path(&place.value), factor: 1.0 })
}

fn path(place: &PathOr<Measure>) -> Path {
    match place {
        PathOr::Path(path) => path.0.clone(),
        PathOr::Long(long) => long.path.taken(long.pattern.as_ref(), long.parse),
    }
}

/// The measures that a candidate must not be worse in.
pub(super) fn guarded(document: &Document, plan: &Plan, problems: &mut Problems) -> Vec<MeasurePlan> {
    let mut guarded = Vec::new();
    for (place, (name, at)) in document.measures.0.iter().enumerate() {
        let PathOr::Long(measure) = &at.value else { continue };
        let Some(resolved) = measure.resolve(name, place, at.spot, problems) else { continue };
        if document.rollout.is_none() {
            problems
                .add(at.spot, format!("`{name}` has a margin, and there is no version to compare with"))
                .help("add `rollout: { baseline: VERSION }`, or drop `margin` and `worse`");
        }
        let reference = plan.reference.iter().flat_map(|reference| &reference.profile.measures);
        for (_, values) in reference.filter(|(other, _)| other == name) {
            check_share(&resolved, values, at.spot, problems);
        }
        guarded.push(resolved);
    }
    guarded
}
