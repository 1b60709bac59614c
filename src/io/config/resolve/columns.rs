//! Columns and how each is cut: by the reference, by a `range` or `edges` in the file, or as its role suggests.

use std::sync::Arc;

use super::fields::{Declared, PlanFields};
use crate::baseline::cut::{self, FINE_BINS_MAX};
use crate::config::document::Document;
use crate::config::problem::Problems;
use crate::plan::{CategoricalColumn, ColumnRole, Columns, NumericColumn, Reference, Task};
use crate::summary::Profile;
use crate::summary::histogram::Cut;

/// What decides how columns are cut.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cutting<'a> {
    pub(crate) task: Task,
    pub(crate) reference: Option<&'a Reference>,
    pub(crate) fine_bins: u16,
    /// Whether a column may stay uncut, because its profile is yet to be built.
    pub(crate) may_stay_uncut: bool,
}

/// The number of fine bins, checked.
pub(crate) fn fine_bins(document: &Document, problems: &mut Problems) -> u16 {
    let given = document.fine_bins;
    let fits = u16::try_from(given.value).ok().filter(|n| (20..=FINE_BINS_MAX).contains(n) && n.is_multiple_of(20));
    fits.unwrap_or_else(|| {
        problems
            .add(given.spot, format!("`fine_bins` is {}", given.value))
            .help(format!("write a multiple of 20 from 20 to {FINE_BINS_MAX}"));
        20
    })
}

/// The plan's columns.
pub(crate) fn columns(fields: &PlanFields<'_>, cutting: Cutting<'_>, problems: &mut Problems) -> Columns {
    let numeric = fields.numeric.iter().map(|column| NumericColumn {
        name: column.name.to_owned(),
        role: column.role,
        cut: Arc::new(cut_of(column, cutting, problems)),
    });
    let of_profile = |name: &str| {
        let profile = &cutting.reference?.profile;
        let column = profile.categorical.iter().find(|column| column.name == name)?;
        let (known, rare) = (column.known.clone(), column.rare.clone().map(Arc::new));
        Some(CategoricalColumn { name: name.to_owned(), known, rare })
    };
    let categorical =
        fields.categorical.iter().map(|(name, _)| of_profile(name).unwrap_or_else(|| CategoricalColumn::new(*name)));
    Columns { numeric: numeric.collect(), categorical: categorical.collect() }
}

fn cut_of(column: &Declared<'_>, cutting: Cutting<'_>, problems: &mut Problems) -> Cut {
    let profiles = cutting.reference.map_or(&[][..], |reference| reference.profile.numeric.as_slice());
    if let Some(profile) = profiles.iter().find(|profile| profile.name == column.name) {
        return cut::of_profile(profile).unwrap_or_else(|error| {
            problems.add(column.spot, error.to_string()).help("build the profile anew with `haldane baseline build`");
            cut::trivial()
        });
    }
    written(column, cutting, problems).unwrap_or_else(|| by_role(column, cutting, problems))
}

/// The cut that the file itself asks for.
fn written(column: &Declared<'_>, cutting: Cutting<'_>, problems: &mut Problems) -> Option<Cut> {
    match (column.range, column.edges) {
        (Some(_), Some(_)) => {
            problems
                .add(column.spot, format!("`{}` has both `range` and `edges`", column.name))
                .help("keep one of them");
            Some(cut::trivial())
        }
        (Some([low, high]), None) if low < high && (high - low).is_finite() => {
            Some(cut::equal_width(low, high, cutting.fine_bins))
        }
        (Some([low, high]), None) => {
            problems
                .add(column.spot, format!("`range: [{low}, {high}]` is empty"))
                .help("write the smaller number first");
            Some(cut::trivial())
        }
        (None, Some(edges)) => Some(cut::listed(edges.to_vec()).unwrap_or_else(|error| {
            problems.add(column.spot, error.to_string());
            cut::trivial()
        })),
        (None, None) => None,
    }
}

fn by_role(column: &Declared<'_>, cutting: Cutting<'_>, problems: &mut Problems) -> Cut {
    match (column.role, cutting.task) {
        (ColumnRole::Score, Task::Binary | Task::Multiclass) => cut::equal_width(0.0, 1.0, cutting.fine_bins),
        (ColumnRole::Latency, _) => cut::latency(cutting.fine_bins),
        // Numbers of several decades, mostly: what lies beyond is counted as finely as there is room for.
        (ColumnRole::Measure, _) if cutting.reference.is_none() && !cutting.may_stay_uncut => {
            cut::latency(cutting.fine_bins)
        }
        _ if cutting.may_stay_uncut || cutting.reference.is_some() => cut::trivial(),
        _ => {
            problems
                .add(column.spot, format!("no bins for `{}`: there is neither a reference nor a range", column.name))
                .help(
                    "build a reference with `haldane baseline build` and name it under `reference`, \
                 or write `{ path: …, range: [low, high] }`",
                );
            cut::trivial()
        }
    }
}

/// The profile with exactly the plan's columns in the plan's order, or what is wrong with it.
pub(crate) fn project(profile: Profile, fields: &PlanFields<'_>) -> Result<Profile, String> {
    let numeric_names: Vec<&str> = profile.numeric.iter().map(|column| column.name.as_str()).collect();
    let categorical_names: Vec<&str> = profile.categorical.iter().map(|column| column.name.as_str()).collect();
    let numeric = places(&fields.numeric_names(), &numeric_names);
    let categorical = places(&fields.categorical_names(), &categorical_names);
    let missing: Vec<String> = numeric
        .iter()
        .chain(&categorical)
        .filter_map(|place| place.as_ref().err().map(|name| format!("`{name}`")))
        .collect();
    if !missing.is_empty() {
        return Err(format!("the reference was made for other columns: it lacks {}", missing.join(", ")));
    }
    if profile.segments.iter().any(|(segment, _)| segment.len() != fields.segments.len()) {
        return Err("the reference was made for other segment fields".to_owned());
    }
    let numeric: Vec<usize> = numeric.into_iter().flatten().collect();
    let categorical: Vec<usize> = categorical.into_iter().flatten().collect();
    Ok(keep(profile, &numeric, &categorical))
}

/// Where each wanted name stands among those there are.
fn places<'a>(wanted: &[&'a str], there: &[&str]) -> Vec<Result<usize, &'a str>> {
    wanted.iter().map(|&name| there.iter().position(|&other| other == name).ok_or(name)).collect()
}

fn keep(profile: Profile, numeric: &[usize], categorical: &[usize]) -> Profile {
    let traffic = |mut traffic: crate::summary::Traffic| {
        traffic.numeric = numeric.iter().map(|&place| traffic.numeric[place].clone()).collect();
        traffic.categorical = categorical.iter().map(|&place| traffic.categorical[place].clone()).collect();
        traffic
    };
    Profile {
        numeric: numeric.iter().map(|&place| profile.numeric[place].clone()).collect(),
        categorical: categorical.iter().map(|&place| profile.categorical[place].clone()).collect(),
        all: traffic(profile.all),
        segments: profile.segments.into_iter().map(|(segment, counts)| (segment, traffic(counts))).collect(),
        ..profile
    }
}
