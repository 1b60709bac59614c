//! Parts of traffic: which values of which field moved most, each against the same part of the reference.

use super::column::{CountedColumn, FALSE_DISCOVERIES, N_MIN, Subset};
use super::layout::{ColumnPosition, Layout};
use super::model::Segment;
use super::rows::SegmentNames;
use crate::infer::multiplicity::bh;
use crate::init::facts::{FactKind, Facts};
use crate::table::Table;

/// Fields that traffic is split by at most.
const FIELDS_MAX: usize = 4;
/// A field of at most so many values is one to split by.
const VALUES_MAX: usize = 16;
/// Parts that are shown.
const SHOWN_MAX: usize = 24;
/// Fewer rows than this on either side, and a part is not looked at.
const ROWS_MIN: u64 = 100;

/// The fields to split by: those that were named as such, then categorical columns of few values.
pub(crate) fn fields(layout: &Layout, reference: &Table) -> crate::error::Result<Vec<ColumnPosition>> {
    let mut fields = layout.segments.clone();
    let is_known = |fields: &[ColumnPosition], place: &ColumnPosition| fields.iter().any(|field| field.at == place.at);
    if fields.len() < FIELDS_MAX && layout.columns.iter().any(|column| column.numeric.is_none()) {
        let sample = Facts::of(reference)?;
        let few = |place: &ColumnPosition| {
            let facts = place.at[0].map(|at| &sample[at]);
            facts.is_some_and(|facts| facts.kind() != FactKind::Empty && (2..=VALUES_MAX).contains(&facts.n_distinct()))
        };
        for column in layout.columns.iter().filter(|column| column.numeric.is_none() && few(&column.place)) {
            if !is_known(&fields, &column.place) {
                fields.push(column.place.clone());
            }
        }
    }
    fields.truncate(FIELDS_MAX);
    Ok(fields)
}

/// One test: which field and value, which column, and what came out.
struct Tested<'a> {
    part: (usize, usize),
    column: &'a str,
    psi: f64,
    psi_all: Option<f64>,
    p: f64,
}

/// The parts of traffic, those that moved most first. `rows` tells how many rows of each side are in a part.
pub(crate) fn of(
    pairs: &[&CountedColumn<'_>],
    fields: &[ColumnPosition],
    names: &SegmentNames,
    rows: impl Fn(usize, usize) -> [u64; 2],
) -> Vec<Segment> {
    let mut tested = Vec::new();
    for (field, values) in names.iter().enumerate() {
        for value in (0..values.len()).filter(|&value| rows(field, value).iter().all(|&n| n >= ROWS_MIN)) {
            // A field is constant in its own parts.
            let others = pairs.iter().filter(|pair| pair.watched.place.at != fields[field].at);
            tested.extend(others.filter_map(|pair| test(pair, (field, value))));
        }
    }
    let p: Vec<f64> = tested.iter().map(|tested| tested.p).collect();
    let moved = bh(&p, FALSE_DISCOVERIES);
    let mut segments: Vec<Segment> = Vec::new();
    for (field, values) in names.iter().enumerate() {
        for (value, name) in values.iter().enumerate() {
            let mine: Vec<usize> = (0..tested.len()).filter(|&at| tested[at].part == (field, value)).collect();
            if !mine.is_empty() {
                let [n_reference, n] = rows(field, value);
                let (field, value) = (fields[field].name.clone(), name.clone());
                segments.push(segment(Segment { n_reference, n, ..empty(field, value) }, &mine, &moved, &tested));
            }
        }
    }
    segments.sort_by(|a, b| {
        let key = |segment: &Segment| segment.psi.unwrap_or_default();
        b.drifted.len().cmp(&a.drifted.len()).then(key(b).total_cmp(&key(a)))
    });
    segments.truncate(SHOWN_MAX);
    segments
}

fn empty(field: String, value: String) -> Segment {
    Segment { field, value, n_reference: 0, n: 0, tested: 0, drifted: vec![], worst: None, psi: None, psi_all: None }
}

fn test<'a>(pair: &'a CountedColumn<'_>, part: (usize, usize)) -> Option<Tested<'a>> {
    let place = Subset::Segment(part.0, part.1);
    let test = pair.psi(place).filter(|_| pair.n(place).iter().all(|&n| n >= N_MIN))?;
    let psi_all = pair.psi(Subset::All).map(|test| test.debiased());
    Some(Tested { part, column: pair.name(), psi: test.debiased(), psi_all, p: test.p() })
}

fn segment(empty: Segment, mine: &[usize], named: &[usize], tested: &[Tested<'_>]) -> Segment {
    let worst = mine.iter().map(|&at| &tested[at]).max_by(|a, b| a.psi.total_cmp(&b.psi));
    let drifted = mine.iter().filter(|at| named.contains(at)).map(|&at| tested[at].column.to_owned());
    Segment {
        tested: mine.len(),
        drifted: drifted.collect(),
        worst: worst.map(|tested| tested.column.to_owned()),
        psi: worst.map(|tested| tested.psi),
        psi_all: worst.and_then(|tested| tested.psi_all),
        ..empty
    }
}
