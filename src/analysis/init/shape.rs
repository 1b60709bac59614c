//! Records that are no flat rows: which list in them holds the rows, which lists are vectors or attributes, and what
//! well-known message they are. Each becomes rows of flat cells that are named as pipeline files write their places.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde_json::Value;

use super::documents::{RowValues, documents};
use super::facts::Facts;
use super::family::{OTLP_EVENTS, OTLP_OPERATION, RecordFamily};
use super::guess::{Guesses, Use};
use super::scalar::{one_line, scalar};
use super::tensors;
use super::walk::{Scalars, Walk};
use crate::decode::origin::CLOUD_EVENT;
use crate::error::Result;
use crate::plan::{PathStep, Side};
use crate::table::{Table, TableColumn};

/// Rows that are made of records at most.
const ROWS_MAX: usize = 5_000;
/// So many types of events on one topic are told apart.
const TYPES_MAX: usize = 8;

/// What the records of a table are.
#[derive(Debug, Default)]
pub(super) struct TableShape {
    /// The list that holds the rows, as `rows` has it.
    pub(super) rows: Option<String>,
    /// Of messages of model servers, which half.
    pub(super) side: Option<Side>,
    /// Which of the records, or of their rows, are meant: a place, and what must stand there.
    pub(super) conditions: Vec<(String, Vec<String>)>,
    /// What was seen, in words.
    pub(super) said: String,
    /// The record that each row is of.
    pub(super) records: Vec<usize>,
    /// For each place the names on the way to it, and in how many records there is a value.
    places: BTreeMap<String, (Vec<String>, Option<usize>)>,
}

/// The tables of flat rows that a table of records comes to, and what the records are; the table itself where its rows
/// are flat.
pub(super) fn of(table: Table) -> Result<Vec<(Table, Option<TableShape>)>> {
    let has_lists = table.columns.iter().any(|column| column.data_type.is_nested());
    let kind = table.columns.iter().position(|column| column.path == [CLOUD_EVENT, "type"]);
    if !has_lists && kind.is_none() && RecordFamily::debezium(&table.columns).is_none() {
        return Ok(vec![(table, None)]);
    }
    let documents = documents(&table, ROWS_MAX)?;
    let mut made = Vec::new();
    for (condition, records) in by_type(&table, kind, documents.len(), &documents) {
        let family = RecordFamily::of(&table.columns, &records.iter().map(|at| &documents[*at]).collect::<Vec<_>>());
        let is_answered = matches!(family, RecordFamily::Rows(_)) && says_all(&table)?;
        let family = if is_answered { RecordFamily::Flat } else { family };
        let walk = walked(&table.columns, &family, &records, &documents);
        made.extend(walk.into_tables(&table, &family, condition.as_ref())?);
    }
    let is_plain = made.len() == 1 && made[0].1.is_plain();
    Ok(if is_plain || made.is_empty() { vec![(table, None)] } else { with_shapes(made) })
}

fn with_shapes(made: Vec<(Table, TableShape)>) -> Vec<(Table, Option<TableShape>)> {
    made.into_iter().map(|(table, shape)| (table, Some(shape))).collect()
}

/// Whether records say what was answered, or what was right, outside of lists.
fn says_all(table: &Table) -> Result<bool> {
    let guesses = Guesses::of(Facts::of(table)?);
    let has = |usage: Use| guesses.find(|known| known == usage).is_some();
    Ok(has(Use::Score) || has(Use::Predicted) || guesses.class_scores.is_some() || has(Use::Label) && has(Use::Id))
}

/// A row, behind the number of its record.
type Row = (usize, Scalars);

/// A place, and what must stand there.
type RequiredValue = (String, Vec<String>);

/// Records of each type of event, where there are several.
fn by_type(
    table: &Table,
    kind: Option<usize>,
    n: usize,
    documents: &[RowValues],
) -> Vec<(Option<RequiredValue>, Vec<usize>)> {
    let mut types: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    if let Some(kind) = kind {
        for (at, document) in documents.iter().enumerate() {
            document[kind].as_str().into_iter().for_each(|name| types.entry(name).or_default().push(at));
        }
    }
    if !(2..=TYPES_MAX).contains(&types.len()) {
        return vec![(None, (0..n).collect())];
    }
    let place = kind.map(|kind| table.columns[kind].name.clone()).unwrap_or_default();
    types.into_iter().map(|(name, records)| (Some((place.clone(), vec![name.to_owned()])), records)).collect()
}

/// The rows of records.
fn walked(columns: &[TableColumn], family: &RecordFamily, records: &[usize], documents: &[RowValues]) -> Walk {
    let mut walk = Walk::default();
    for &record in records {
        if walk.rows.len() >= ROWS_MAX {
            break;
        }
        let mut shared = Scalars::new();
        let mut lists: Option<&Value> = None;
        for (column, value) in columns.iter().zip(&documents[record]) {
            if family.holds_rows(column) {
                lists = Some(value);
            } else if family.reads(column) {
                let steps: Vec<PathStep> = column.path.iter().cloned().map(PathStep::Key).collect();
                walk.value(&steps, &column.path, value, &mut shared);
            }
        }
        match (family, lists) {
            (RecordFamily::Inference(side), Some(Value::Array(all))) => {
                tensors::rows(&mut walk, *side, all, record, &shared);
            }
            (RecordFamily::Rows(_) | RecordFamily::Otlp(_), Some(list)) => {
                walk.elements((&family.lists(), 0), &|field| family.reads_in_rows(field), list, record, &shared);
            }
            (RecordFamily::Debezium(_), _) if !family.is_taken(columns, &documents[record]) => {}
            (RecordFamily::Flat | RecordFamily::Debezium(_), _) => walk.rows.push((record, shared)),
            _ => {}
        }
    }
    walk
}

impl Walk {
    /// Its rows as tables, one for each kind of rows.
    fn into_tables(
        mut self,
        of: &Table,
        family: &RecordFamily,
        wish: Option<&RequiredValue>,
    ) -> Result<Vec<(Table, TableShape)>> {
        self.leave_uneven();
        let mut kinds: Vec<(Vec<RequiredValue>, Vec<Row>)> = Vec::new();
        let base: Vec<RequiredValue> = wish.cloned().into_iter().chain(family.condition()).collect();
        let rows = std::mem::take(&mut self.rows);
        let (place, known): (&str, &[&str]) = match family {
            RecordFamily::Otlp("resourceSpans") => (OTLP_OPERATION, &[]),
            RecordFamily::Otlp(_) => ("$row.eventName", &OTLP_EVENTS),
            _ => ("", &[]),
        };
        let kind = |cells: &Scalars| cells.get(place)?.as_str().map(str::to_owned);
        let seen: BTreeSet<String> = rows.iter().filter_map(|(_, cells)| kind(cells)).collect();
        let told: Vec<Vec<String>> = match known {
            [] if seen.is_empty() => Vec::new(),
            [] => vec![seen.into_iter().take(TYPES_MAX).collect()],
            known => known.iter().filter(|name| seen.contains(**name)).map(|name| vec![(*name).to_owned()]).collect(),
        };
        if told.is_empty() {
            kinds.push((base, rows));
        } else {
            for allowed in told {
                let is_one = |cells: &Scalars| kind(cells).is_some_and(|kind| allowed.contains(&kind));
                let own = rows.iter().filter(|(_, cells)| is_one(cells)).cloned().collect();
                let conditions = base.iter().cloned().chain([(place.to_owned(), allowed)]).collect();
                kinds.push((conditions, own));
            }
        }
        let kinds = kinds.into_iter().filter(|(_, rows)| rows.iter().any(|(_, cells)| !cells.is_empty()));
        kinds.map(|(conditions, rows)| self.table(of, family, conditions, &rows)).collect()
    }

    fn table(
        &self,
        of: &Table,
        family: &RecordFamily,
        conditions: Vec<RequiredValue>,
        rows: &[Row],
    ) -> Result<(Table, TableShape)> {
        let mut lines = Vec::new();
        let mut in_records: BTreeMap<&str, BTreeSet<usize>> = BTreeMap::new();
        for (record, cells) in rows {
            for place in cells.keys() {
                in_records.entry(place).or_default().insert(*record);
            }
            lines.extend(serde_json::json!({ "topic": "", "value": cells }).to_string().into_bytes());
            lines.push(b'\n');
        }
        let place = |(place, (_, names)): (&String, &(usize, Vec<String>))| {
            let is_in_row = place.starts_with("$row") || family.is_tensor(place);
            let n = in_records.get(place.as_str()).map(BTreeSet::len).filter(|_| !is_in_row && family.has_rows());
            (place.clone(), (names.clone(), n))
        };
        let shape = TableShape {
            rows: family.rows(),
            side: if let RecordFamily::Inference(side) = family { Some(*side) } else { None },
            conditions,
            said: self.said(family),
            records: rows.iter().map(|(record, _)| *record).collect(),
            places: self.names.iter().map(place).collect(),
        };
        let mut table = Table::of_lines(&of.path, lines)?;
        table.topic.clone_from(&of.topic);
        table.columns.sort_by_key(|column| self.names.get(&column.name).map(|(at, _)| *at));
        Ok((table, shape))
    }

    /// What was seen, in words.
    fn said(&self, family: &RecordFamily) -> String {
        family.said().into_iter().chain(self.vectors()).collect::<Vec<_>>().join("; ")
    }
}

impl TableShape {
    /// Whether it says no more than that its records are rows.
    fn is_plain(&self) -> bool {
        self.rows.is_none() && self.side.is_none() && self.conditions.is_empty() && self.said.is_empty()
    }

    /// Whether rows are answers of a model and little else.
    pub(super) fn is_answer(&self) -> bool {
        let is_batch = self.rows.as_deref().is_some_and(|rows| rows.ends_with("predictions[*]"));
        self.side == Some(Side::Response) || is_batch
    }

    /// Its lines of a source in a pipeline file.
    pub(super) fn write(&self, text: &mut String) {
        let said = one_line(&self.said);
        if let Some(side) = self.side {
            let _ = writeln!(text, "    format: open_inference # {said}\n    side: {}", side.name());
        }
        if let Some(rows) = &self.rows {
            let _ = writeln!(text, "    rows: {} # {said}", scalar(rows));
        }
        if self.side.is_none() && self.rows.is_none() && !said.is_empty() {
            let _ = writeln!(text, "    # {said}");
        }
        if !self.conditions.is_empty() {
            *text += "    where: # others are passed over\n";
        }
        for (place, allowed) in &self.conditions {
            let allowed: Vec<String> = allowed.iter().map(|value| scalar(value)).collect();
            let _ = writeln!(text, "      {}: [{}]", scalar(place), allowed.join(", "));
        }
    }

    /// What is known of columns, by their places.
    pub(super) fn note(&self, facts: &mut [Facts]) {
        for facts in facts {
            if let Some((names, records)) = self.places.get(&facts.name) {
                facts.at(names, *records);
            }
        }
    }
}
