//! Which columns and segment fields the sources name.

use crate::config::document::Document;
use crate::config::path::{PathOr, TextPath};
use crate::config::problem::{Problems, Spot};
use crate::config::source::{Features, Numeric, Sources};
use crate::config::value::{At, Entries};
use crate::plan::ColumnRole;

/// The most fields by which traffic may be split.
const SEGMENTS_MAX: usize = 4;

/// A numeric column as the file names it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Declared<'a> {
    pub(crate) name: &'a str,
    pub(crate) role: ColumnRole,
    pub(crate) range: Option<[f64; 2]>,
    pub(crate) edges: Option<&'a [f64]>,
    pub(crate) spot: Spot,
}

/// All columns and segment fields, in the order of the plan.
#[derive(Debug, Default)]
pub(crate) struct PlanFields<'a> {
    pub(crate) numeric: Vec<Declared<'a>>,
    pub(crate) categorical: Vec<(&'a str, Spot)>,
    pub(crate) segments: Vec<&'a str>,
}

impl PlanFields<'_> {
    /// Names of the numeric columns.
    pub(crate) fn numeric_names(&self) -> Vec<&str> {
        self.numeric.iter().map(|column| column.name).collect()
    }

    /// Names of the categorical columns.
    pub(crate) fn categorical_names(&self) -> Vec<&str> {
        self.categorical.iter().map(|(name, _)| *name).collect()
    }
}

/// Gathers what the sources name.
pub(crate) fn gather<'a>(document: &'a Document, problems: &mut Problems) -> PlanFields<'a> {
    let sources: &Sources = &document.sources;
    let mut fields = PlanFields::default();
    for features in feature_sections(sources) {
        add_features(&mut fields, features, problems);
    }
    add_answers(&mut fields, sources);
    fields.segments = segments(sources, problems);
    fields
}

fn feature_sections(sources: &Sources) -> impl Iterator<Item = &Features> {
    let of_predictions = sources.predictions.as_ref().map(|source| &source.features);
    of_predictions.into_iter().chain(sources.features.as_ref().map(|source| &source.features))
}

fn add_features<'a>(fields: &mut PlanFields<'a>, features: &'a Features, problems: &mut Problems) {
    for (name, place) in &features.numeric.0 {
        let (range, edges) = bins_of(place);
        let column = Declared { name, role: ColumnRole::Feature, range, edges, spot: place.spot };
        check_name(name, place.spot, &fields.categorical_names(), problems);
        match fields.numeric.iter_mut().find(|other| other.name == name) {
            Some(known) if known.range.is_none() && known.edges.is_none() => *known = column,
            Some(_) => {}
            None => fields.numeric.push(column),
        }
    }
    for (name, place) in features.categorical.0.iter().chain(&features.boolean.0) {
        check_name(name, place.spot, &fields.numeric_names(), problems);
        if !fields.categorical_names().contains(&name.as_str()) {
            fields.categorical.push((name, place.spot));
        }
    }
}

fn bins_of(place: &PathOr<Numeric>) -> (Option<[f64; 2]>, Option<&[f64]>) {
    match place {
        PathOr::Path(_) => (None, None),
        PathOr::Long(long) => (long.range, long.edges.as_deref()),
    }
}

pub(super) fn check_name(name: &str, spot: Spot, other_kind: &[&str], problems: &mut Problems) {
    if ["score", "latency"].contains(&name) {
        problems
            .add(spot, format!("a feature cannot be called `{name}`"))
            .help("the model's answer and its latency have these names; give the feature another one");
    }
    if other_kind.contains(&name) {
        problems.add(spot, format!("`{name}` is both numeric and categorical")).help("keep it in one of the lists");
    }
}

fn add_answers<'a>(fields: &mut PlanFields<'a>, sources: &'a Sources) {
    let Some(predictions) = &sources.predictions else { return };
    let answer = |name, role, spot| Declared { name, role, range: None, edges: None, spot };
    if let Some(score) = &predictions.score {
        let (range, edges) = bins_of(score);
        fields.numeric.push(Declared { range, edges, ..answer("score", ColumnRole::Score, score.spot) });
    } else if let Some(scores) = &predictions.class_scores {
        fields.numeric.push(answer("score", ColumnRole::Score, scores.spot));
    }
    if let Some(latency) = &predictions.latency {
        fields.numeric.push(answer("latency", ColumnRole::Latency, latency.spot));
    }
}

fn segments<'a>(sources: &'a Sources, problems: &mut Problems) -> Vec<&'a str> {
    let of_predictions = sources.predictions.as_ref().map(|source| (&source.segments, source.spot));
    let of_features = sources.features.as_ref().map(|source| (&source.segments, source.spot));
    let names = |segments: &'a Entries<TextPath>| segments.0.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>();
    let Some((first, spot)) = of_predictions.or(of_features) else { return Vec::new() };
    if let Some((_, At { spot, .. })) = first.0.get(SEGMENTS_MAX) {
        problems
            .add(*spot, format!("{} segment fields, at most {SEGMENTS_MAX} are allowed", first.0.len()))
            .help("every combination of their values is watched; keep the ones you would act on");
    }
    if let Some((other, other_spot)) = of_features.filter(|(_, other)| *other != spot) {
        let (mut mine, mut theirs) = (names(first), names(other));
        mine.sort_unstable();
        theirs.sort_unstable();
        if mine != theirs {
            problems
                .add(other_spot, "`features` is split by other segments than `predictions`")
                .help(format!("name the same segment fields in both: {}", mine.join(", ")));
        }
    }
    names(first)
}
