//! Panes back as the engine held them: what stands in their columns, and the rest, which one row of each carries in the
//! bytes of the partials topic.

use std::collections::BTreeMap;

use arrow::array::{Array, ArrayRef, AsArray as _, RecordBatch};

use super::histogram::{StoredHistogram, counted};
use crate::error::{Error, Result};
use crate::event::Micros;
use crate::output::CellReader;
use crate::plan::Plan;
use crate::scan::frame::Frame;
use crate::scan::{Body, Inputs, Partial};
use crate::summary::{Quality, Tails, Traffic};

/// A partial without what its rows hold in columns of their own: fine bins and what lies beyond, labels, and positions
/// in the log.
pub(super) fn rest(partial: &Partial) -> Vec<u8> {
    let mut rest = Partial { upto: 0, inputs: Inputs { first: 0, last: 0 }, ..partial.clone() };
    match &mut rest.body {
        Body::Traffic(traffic) => traffic.numeric.iter_mut().for_each(|histogram| {
            histogram.counts.clear();
            histogram.tails = Tails::default();
        }),
        Body::QualityInTime(quality) | Body::QualityLate(quality) | Body::QualityCorrected(quality) => {
            *quality = Quality::default();
        }
        Body::Exposure(_) | Body::Intake(_) | Body::Pairs(_) | Body::PairsInTime(_) | Body::PairsLate(_) => {}
    }
    Frame::Partial(Box::new(rest)).encode()
}

/// Which pane of which stream and group a row belongs to.
type PaneKey = (Micros, String, String, String, u32);

/// The partials of a file, and how many of them are not of this plan, or of a release that did not store them whole.
pub(super) fn partials(plan: &Plan, batch: &RecordBatch) -> Result<(Vec<Partial>, u64)> {
    let cells = CellReader::of(batch);
    let (pane, lane, kind) = (cells.time("pane_start")?, cells.small("lane")?, cells.text("kind")?);
    let [version, segment, topic, column] =
        [cells.text("version")?, cells.text("segment")?, cells.text("topic")?, cells.text("column")?];
    let key = |row| -> PaneKey { (pane(row), version(row), segment(row), topic(row), lane(row)) };
    let [upto, first, last] = ["upto", "first_offset", "last_offset"].map(|name| cells.integer(name));
    let (upto, first, last) = (upto?, first?, last?);
    let place = |row: usize| plan.columns.numeric.iter().position(|one| one.name == column(row));
    let mut bins: BTreeMap<PaneKey, BTreeMap<usize, usize>> = BTreeMap::new();
    for row in (0..batch.num_rows()).filter(|&row| kind(row) == "numeric") {
        bins.entry(key(row)).or_default().extend(place(row).map(|place| (place, row)));
    }
    let rows =
        PaneColumns { plan, histograms: batch.column_by_name("histogram"), labels: batch.column_by_name("labels") };
    let (mut partials, mut unfit) = (Vec::new(), 0);
    for row in (0..batch.num_rows())
        .filter(|&row| ["answers", "labels", "exposure", "intake", "pairs"].contains(&kind(row).as_str()))
    {
        let Some(state) = batch.column_by_name("state").and_then(|column| bytes(column, row)) else {
            unfit += 1;
            continue;
        };
        let damaged = || Error::user(format!("a stored pane of version {} cannot be read", version(row)));
        let frame = Frame::decode(state).map_err(|error| {
            damaged().because(error).hint("use the release of haldane that wrote it, or recompute from the events")
        })?;
        let Frame::Partial(mut partial) = frame else { return Err(damaged()) };
        partial.upto = upto(row);
        let has_inputs = batch.column_by_name("first_offset").is_some_and(|offsets| offsets.is_valid(row));
        partial.inputs = if has_inputs { Inputs { first: first(row), last: last(row) } } else { Inputs::NONE };
        match rows.fill(&mut partial.body, row, bins.get(&key(row))) {
            Some(()) => partials.push(*partial),
            None => unfit += 1,
        }
    }
    Ok((partials, unfit))
}

fn bytes(column: &ArrayRef, row: usize) -> Option<&[u8]> {
    column.as_binary_opt::<i32>().filter(|column| column.is_valid(row)).map(|column| column.value(row))
}

/// Columns that partials are filled from.
struct PaneColumns<'a> {
    plan: &'a Plan,
    histograms: Option<&'a ArrayRef>,
    labels: Option<&'a ArrayRef>,
}

impl PaneColumns<'_> {
    /// Puts back what stands in columns; `None` when it is of another plan.
    fn fill(&self, body: &mut Body, row: usize, bins: Option<&BTreeMap<usize, usize>>) -> Option<()> {
        match body {
            Body::Traffic(traffic) => {
                for (place, histogram) in traffic.numeric.iter_mut().enumerate() {
                    let StoredHistogram { counts, far, .. } = counted(self.histograms?, *bins?.get(&place)?)?;
                    histogram.counts = counts;
                    // An earlier release kept tails with the rest.
                    histogram.tails = far.map_or_else(|| std::mem::take(&mut histogram.tails), |far| far.tails);
                }
                self.fits(traffic).then_some(())
            }
            Body::QualityInTime(quality) | Body::QualityLate(quality) | Body::QualityCorrected(quality) => {
                *quality = Quality::from_bytes(bytes(self.labels?, row)?).ok()?;
                let empty = Quality::new(self.plan.quality.as_ref()?);
                let widths = |quality: &Quality| quality.width.iter().map(Vec::len).collect::<Vec<_>>();
                (quality.fine.len() == empty.fine.len() && widths(quality) == widths(&empty)).then_some(())
            }
            Body::Exposure(_) | Body::Intake(_) | Body::Pairs(_) | Body::PairsInTime(_) | Body::PairsLate(_) => {
                Some(())
            }
        }
    }

    fn fits(&self, traffic: &Traffic) -> bool {
        let empty = Traffic::new(&self.plan.columns);
        let numeric = |traffic: &Traffic| traffic.numeric.iter().map(|column| column.counts.len()).collect::<Vec<_>>();
        let known = |traffic: &Traffic| traffic.categorical.iter().map(|column| column.known.len()).collect::<Vec<_>>();
        numeric(traffic) == numeric(&empty) && known(traffic) == known(&empty)
    }
}
