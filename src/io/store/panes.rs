//! What stands in the tables of panes and of their columns: the state that windows are merged from.

use std::sync::Arc;

use arrow::array::{ArrayRef, BinaryArray, Decimal128Array, Float64Builder, ListBuilder, RecordBatch};
use arrow::datatypes::DataType;

use super::columns::BatchBuilder;
use super::histogram::{StoredHistogram, histograms};
use super::labels::reliability;
use super::latency::{Latencies, latencies};
use super::state;
use crate::event::Micros;
use crate::judge::SealedPartial;
use crate::plan::Plan;
use crate::scan::frame::TRAFFIC;
use crate::scan::{Body, Partial};
use crate::summary::{Fixed, PairLosses, Pairs, Quality, Rates, Traffic};

/// What was counted of one column of one group in one pane of one stream.
#[derive(Debug, Clone, Default)]
pub(super) struct PaneRow {
    pub(super) start: Micros,
    pub(super) end: Micros,
    pub(super) model: String,
    lane: u32,
    topic: String,
    upto: i64,
    /// First and last of its traffic in the log; labels lie wherever they came in.
    offsets: Option<(i64, i64)>,
    version: String,
    segment: String,
    part: &'static str,
    kind: &'static str,
    column: String,
    rows: u64,
    missing: u64,
    nan: u64,
    histogram: Option<StoredHistogram>,
    latency: Option<Latencies>,
    sums: Option<(i128, i128)>,
    answers: Option<Rates>,
    labels: Option<Quality>,
    /// Once a partial: what the columns of its rows do not hold.
    state: Option<Vec<u8>>,
}

/// How many rows a partial has, about.
pub(super) fn n_rows(plan: &Plan, partial: &SealedPartial) -> usize {
    let columns = plan.columns.numeric.len() + plan.columns.categorical.len();
    if partial.part == TRAFFIC { columns + 2 } else { 1 }
}

/// The rows of a partial.
pub(super) fn rows_of(plan: &Plan, partial: &Partial) -> Vec<PaneRow> {
    let part = match &partial.body {
        Body::Traffic(_) => "traffic",
        Body::QualityInTime(_) => "labels_in_time",
        Body::QualityLate(_) => "labels_late",
        Body::QualityCorrected(_) => "labels_corrected",
        Body::Exposure(_) => "exposure",
        Body::Intake(_) => "intake",
        Body::Pairs(_) => "pairs",
        Body::PairsInTime(_) => "pairs_in_time",
        Body::PairsLate(_) => "pairs_late",
    };
    let segments = plan.segments.iter().zip(&partial.group.segment);
    let row = PaneRow {
        start: partial.pane,
        end: plan.time.pane_end(partial.pane),
        model: partial.group.model.clone(),
        lane: partial.lane,
        topic: plan.stream_name(partial.source),
        upto: partial.upto,
        offsets: (!partial.inputs.is_empty()).then_some((partial.inputs.first, partial.inputs.last)),
        version: partial.group.version.clone(),
        segment: segments.map(|(field, value)| format!("{field}={value}")).collect::<Vec<_>>().join(","),
        part,
        ..PaneRow::default()
    };
    match &partial.body {
        Body::Traffic(traffic) => of_traffic(plan, &row, traffic, state::rest(partial)),
        Body::QualityInTime(quality) | Body::QualityLate(quality) | Body::QualityCorrected(quality) => {
            let (rows, labels, state) = (quality.n, Some(quality.clone()), Some(state::rest(partial)));
            vec![PaneRow { kind: "labels", rows, labels, state, ..row }]
        }
        Body::Exposure(_) => vec![PaneRow { kind: "exposure", rows: 1, state: Some(state::rest(partial)), ..row }],
        Body::Intake(intake) => {
            vec![PaneRow { kind: "intake", rows: intake.rows, state: Some(state::rest(partial)), ..row }]
        }
        Body::Pairs(Pairs { paired: rows, .. })
        | Body::PairsInTime(PairLosses { n: rows, .. })
        | Body::PairsLate(PairLosses { n: rows, .. }) => {
            vec![PaneRow { kind: "pairs", rows: *rows, state: Some(state::rest(partial)), ..row }]
        }
    }
}

fn of_traffic(plan: &Plan, row: &PaneRow, traffic: &Traffic, rest: Vec<u8>) -> Vec<PaneRow> {
    let numeric = plan.columns.numeric.iter().zip(&traffic.numeric).map(|(column, histogram)| PaneRow {
        kind: "numeric",
        column: column.name.clone(),
        rows: histogram.rows(),
        missing: histogram.missing,
        nan: histogram.nan,
        histogram: Some(StoredHistogram::numeric(histogram, &column.cut, plan.metrics.bins)),
        sums: Some((histogram.sum, histogram.sum_sq)),
        ..row.clone()
    });
    let categorical = plan.columns.categorical.iter().zip(&traffic.categorical).map(|(column, category)| PaneRow {
        kind: "categorical",
        column: column.name.clone(),
        rows: category.rows(),
        missing: category.missing,
        histogram: Some(StoredHistogram::categorical(category)),
        ..row.clone()
    });
    let latency = (traffic.latency.n() > 0).then(|| PaneRow {
        kind: "latency",
        rows: traffic.latency.n(),
        latency: Some(traffic.latency.counts().collect()),
        ..row.clone()
    });
    let rates = traffic.rates;
    let (answers, state) = (Some(rates), Some(rest));
    let answers = PaneRow { kind: "answers", rows: rates.requests, answers, state, ..row.clone() };
    numeric.chain(categorical).chain(latency).chain([answers]).collect()
}

/// Rows as columns.
pub(super) fn panes(rows: &[PaneRow]) -> RecordBatch {
    let answered = |of: fn(&Rates) -> u64| move |row: &PaneRow| row.answers.as_ref().map(of);
    let labelled = |of: fn(&Quality) -> Fixed| {
        move |row: &PaneRow| row.labels.as_ref().map(|all| of(all).value()).filter(|sum| sum.is_finite())
    };
    let bytes = |all: Vec<Option<Vec<u8>>>| Arc::new(all.iter().map(Option::as_deref).collect::<BinaryArray>());
    BatchBuilder::of(rows)
        .time("pane_start", |row| row.start)
        .time("pane_end", |row| row.end)
        .text("model", |row| &row.model)
        .text("version", |row| &row.version)
        .text("segment", |row| &row.segment)
        .text("column", |row| &row.column)
        .text("kind", |row| row.kind)
        .text("part", |row| row.part)
        .text("topic", |row| &row.topic)
        .small("lane", |row| row.lane)
        .integer("upto", |row| Some(row.upto))
        .integer("first_offset", |row| row.offsets.map(|(first, _)| first))
        .integer("last_offset", |row| row.offsets.map(|(_, last)| last))
        .count("rows", |row| Some(row.rows))
        .count("missing", |row| Some(row.missing))
        .count("nan", |row| Some(row.nan))
        .array("histogram", histograms(&rows.iter().map(|row| row.histogram.clone()).collect::<Vec<_>>()))
        .array("latency", latencies(&rows.iter().map(|row| row.latency.clone()).collect::<Vec<_>>()))
        .array("sum", integers(rows.iter().map(|row| row.sums.map(|sums| sums.0))))
        .array("sum_sq", integers(rows.iter().map(|row| row.sums.map(|sums| sums.1))))
        .count("requests", answered(|rates| rates.requests))
        .count("errors", answered(|rates| rates.errors))
        .count("rejected", answered(|rates| rates.rejected))
        .count("scored", answered(|rates| rates.scored))
        .count("predicted", answered(|rates| rates.predicted))
        .count("positive", answered(|rates| rates.positive))
        .count("duplicates", answered(|rates| rates.duplicates))
        .array("labels", bytes(rows.iter().map(|row| row.labels.as_ref().map(Quality::to_bytes)).collect()))
        .count("positive_labels", |row| row.labels.as_ref().map(|labels| labels.positive))
        .number("squared_error", labelled(|labels| labels.squared))
        .number("log_loss", labelled(|labels| labels.log_loss))
        .array("reliability", reliability(rows.iter().map(|row| row.labels.as_ref())))
        .array("state", bytes(rows.iter().map(|row| row.state.clone()).collect()))
        .batch()
}

/// Sums that are too large for 64 bits.
fn integers(sums: impl Iterator<Item = Option<i128>>) -> ArrayRef {
    Arc::new(sums.collect::<Decimal128Array>().with_data_type(DataType::Decimal128(38, 0)))
}

/// How one column of a plan is cut.
#[derive(Debug, Clone)]
pub(super) struct ColumnRow {
    pub(super) since: Micros,
    plan: String,
    name: String,
    kind: &'static str,
    edges: Vec<f64>,
    cells: Vec<f64>,
    grid: Option<(f64, i32)>,
    known: Vec<String>,
}

/// The columns of a plan, first used at `since`.
pub(super) fn columns_of(plan: &Plan, since: Micros) -> Vec<ColumnRow> {
    let numeric = plan.columns.numeric.iter().map(|column| {
        let edges = column.cut.edges.as_slice().to_vec();
        let recuts = &column.cut.recuts;
        let kept = if plan.metrics.bins == 20 { &recuts.bins20 } else { &recuts.bins10 };
        let cells = kept.iter().map(|&edge| edges[usize::from(edge)]).collect();
        let grid = Some((column.cut.grid.center, column.cut.grid.shift));
        let (plan, name) = (plan.digest.clone(), column.name.clone());
        ColumnRow { since, plan, name, kind: "numeric", edges, cells, grid, known: Vec::new() }
    });
    let categorical = plan.columns.categorical.iter().map(|column| {
        let (plan, name, known) = (plan.digest.clone(), column.name.clone(), column.known.clone());
        ColumnRow { since, plan, name, kind: "categorical", edges: Vec::new(), cells: Vec::new(), grid: None, known }
    });
    numeric.chain(categorical).collect()
}

/// Rows as columns.
pub(super) fn columns(rows: &[ColumnRow]) -> RecordBatch {
    BatchBuilder::of(rows)
        .time("since", |row| row.since)
        .text("plan", |row| &row.plan)
        .text("column", |row| &row.name)
        .text("kind", |row| row.kind)
        .array("edges", numbers(rows.iter().map(|row| &row.edges)))
        .array("cells", numbers(rows.iter().map(|row| &row.cells)))
        .number("center", |row| row.grid.map(|(center, _)| center))
        .number("scale", |row| row.grid.map(|(_, shift)| libm::scalbn(1.0, shift)))
        .texts("known", |row| &row.known)
        .batch()
}

fn numbers<'a>(rows: impl Iterator<Item = &'a Vec<f64>>) -> ArrayRef {
    let mut lists = ListBuilder::new(Float64Builder::new());
    rows.for_each(|row| lists.append_value(row.iter().copied().map(Some)));
    Arc::new(lists.finish())
}
