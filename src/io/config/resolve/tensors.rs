//! Sources of requests and answers of model servers: which of the two they are, and where their paths may lead.

use crate::config::problem::{Problems, Spot};
use crate::config::value::At;
use crate::decode::origin::Origin;
use crate::event::EventKind;
use crate::plan::{Condition, Format, Mapping, Path, PathStep, Selection, Side, SourcePlan};

/// The values beside the tensors.
const HEAD: [&str; 5] = ["id", "model_name", "model_version", "parameters", "error"];

/// Which side the records of a source are: as it says, or as the types say that it takes.
pub(super) fn side(
    format: Format,
    said: Option<&At<Side>>,
    selection: &Selection,
    spot: Spot,
    problems: &mut Problems,
) -> Option<Side> {
    let typed = selection.conditions.iter().find_map(by_type);
    match (format, said, typed) {
        (Format::OpenInference, Some(said), Some(typed)) if said.value != typed => {
            problems
                .add(said.spot, format!("`side: {}`, but `where` takes {}s", said.value.name(), typed.name()))
                .help("correct one of the two");
        }
        (Format::OpenInference, None, None) => {
            problems
                .add(spot, "records of `open_inference` are requests or responses, and this section does not say which")
                .help("add `side: request` or `side: response`");
            // The plan is of no use, but must have one.
            return Some(Side::Response);
        }
        (Format::OpenInference, said, typed) => return said.map(|said| said.value).or(typed),
        (_, Some(said), _) => {
            problems
                .add(said.spot, "`side` is about records of the Open Inference Protocol")
                .help("add `format: open_inference`, or leave `side` out");
        }
        _ => {}
    }
    None
}

/// The side that all types have which a condition allows, such as `org.kubeflow.serving.inference.request`.
fn by_type(condition: &Condition) -> Option<Side> {
    Origin::of(&condition.path)?;
    let of = |side: Side| {
        let word = side.name();
        condition.allowed.iter().all(|kind| kind.to_ascii_lowercase().ends_with(word))
    };
    [Side::Request, Side::Response].into_iter().find(|side| of(*side))
}

/// Whether a source of this format can be read so.
pub(super) fn check(source: &SourcePlan, spot: Spot, problems: &mut Problems) {
    let SourcePlan { kind, format: Format::OpenInference, mapping, .. } = source else { return };
    let Some(side) = mapping.side.filter(|_| matches!(kind, EventKind::Prediction | EventKind::Feature)) else {
        problems
            .add(spot, format!("{}s of format `open_inference`", kind.name()))
            .help("requests and responses are features and predictions; give this section another format");
        return;
    };
    if let Some(rows) = &mapping.rows {
        problems
            .add(spot, format!("`rows: {rows}[*]` in records of `open_inference`"))
            .help("leave it out: each row of the batch is a row");
    }
    let conditions = mapping.selection.conditions.iter().map(|condition| &condition.path);
    for path in conditions.clone().filter(|path| path.first() == Some(side.tensors())) {
        problems
            .add(spot, format!("`where` names `{path}`, which is in a row"))
            .help("`where` is about whole records; name a value beside the tensors");
    }
    for path in stray(mapping, side).into_iter().chain(conditions.filter(|path| !is_beside(path, side))) {
        let (name, tensors) = (side.name(), side.tensors());
        problems.add(spot, format!("`{path}` leads nowhere in a {name}")).help(format!(
            "a {name} has {}, and tensors, of which {tensors}[name=amount] is the value of each row, and \
             {tensors}[name=vector][0] its first one",
            HEAD.join(", ")
        ));
    }
}

/// Paths that lead to nothing.
fn stray(mapping: &Mapping, side: Side) -> Vec<&Path> {
    mapping.paths().into_iter().filter(|path| !is_beside(path, side) || !is_whole(path, side)).collect()
}

/// Whether a path begins with something that is there.
fn is_beside(path: &Path, side: Side) -> bool {
    let is_known = |first: &str| HEAD.contains(&first) || first == side.tensors();
    Origin::of(path).is_some() || path.first().is_some_and(is_known)
}

/// Whether a path that begins with the tensors names one of them, and places in its rows.
fn is_whole(path: &Path, side: Side) -> bool {
    let [PathStep::Key(first), rest @ ..] = path.steps() else { return true };
    if first != side.tensors() {
        return true;
    }
    let is_named = |step: &PathStep| match step {
        PathStep::Index(_) => true,
        PathStep::Named(key, _) => key == "name",
        PathStep::Key(_) => false,
    };
    rest.split_first().is_some_and(|(tensor, places)| {
        is_named(tensor) && places.iter().all(|step| matches!(step, PathStep::Index(_)))
    })
}
