//! Tables to events: Arrow record batches, as they come from Arrow IPC payloads and from files of columns.
//!
//! A field is looked for under its mapped path as a column name, then as a path into columns of structs and lists, then
//! under the path's last part, then under its canonical name. Where it was found is remembered as long as the schema
//! stays the same.

use std::sync::Arc;

use arrow_array::cast::AsArray as _;
use arrow_array::{Array as _, ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow_schema::{DataType, Fields, Schema, SchemaRef};

use crate::batch::EventBatch;
use crate::error::{Error, Result};
use crate::event::{Poison, Reject};
use crate::plan::{Path, PathStep, Plan, TimeFormat};

use super::binding::{Binding, List, Slot, SourceLayout};
use super::cast::{Cast, spelled};
use super::element::{leads, masked, pick};
use super::explode::{Exploded, ExplodedTable, element, explode, with_element};
use super::origin::{Origin, is_allowed};
use super::pattern::Pattern;
use super::plain::{is_text, plain, strings};
use super::rows::ColumnBuilders;
use super::validate::{self, Findings, RowRefusal};
use super::{Decoded, Record};

/// Column names that an error message lists.
const NAMES_MAX: usize = 20;

/// Turns record batches of one partition into events.
#[derive(Debug)]
pub struct Columnar {
    plan: Arc<Plan>,
    pub(super) layout: SourceLayout,
    /// For each field, which part of a text is taken.
    patterns: Vec<Option<Pattern>>,
    /// Whether tables come in records, which have values beside them.
    is_live: bool,
    resolution: Option<Resolution>,
}

/// Where the fields are in batches of one schema.
#[derive(Debug)]
struct Resolution {
    schema: SchemaRef,
    /// One per binding.
    places: Vec<Option<FieldPlace>>,
    /// One per condition.
    conditions: Vec<Option<FieldPlace>>,
    absent: Vec<String>,
}

/// Where one field is.
#[derive(Debug, Clone, PartialEq)]
struct FieldPlace {
    /// Index of a column, then of fields of structs inside it.
    indexes: Vec<usize>,
    /// The way on from there, through lists.
    inside: Vec<PathStep>,
    /// What it feeds; a column with a canonical name is in the canonical unit.
    slot: Slot,
}

/// What a table gave.
#[derive(Debug)]
pub(super) struct Sifted {
    /// The good rows.
    pub(super) batch: EventBatch,
    /// What is wrong with others, of all rows that there were.
    findings: Findings,
    /// Records that are not taken, or have no rows.
    pub(super) passed_over: u64,
    /// The place of each row in the list of its record, where rows are elements of lists.
    row: Vec<u32>,
    offset: Int64Array,
}

impl Sifted {
    /// Nothing but records that were passed over.
    fn nothing(batch: EventBatch, passed_over: u64) -> Self {
        let offset = batch.offset.clone();
        Self { batch, findings: Findings::new(), passed_over, row: Vec::new(), offset }
    }

    /// What was refused; rows that are no elements of lists have the number that `row_of` gives them.
    pub(super) fn rejects(&self, row_of: impl Fn(usize) -> u32) -> Vec<Reject> {
        let reject = |(at, finding): (&usize, &RowRefusal)| {
            let row = self.row.get(*at).copied().unwrap_or_else(|| row_of(*at));
            finding.clone().into_reject(self.offset.value(*at), row)
        };
        self.findings.iter().map(reject).collect()
    }
}

/// Why a table cannot be read at all.
#[derive(Debug)]
pub(super) struct Misfit {
    pub(super) reason: Poison,
    pub(super) message: String,
    hint: &'static str,
}

impl From<Misfit> for Error {
    fn from(misfit: Misfit) -> Self {
        Self::user(misfit.message).hint(misfit.hint)
    }
}

impl Columnar {
    /// For one partition of one source of the plan.
    #[must_use]
    pub fn new(plan: &Arc<Plan>, source: u16, lane: u32) -> Self {
        let layout = SourceLayout::new(plan, source, lane);
        let patterns = layout.bindings.iter().map(Binding::pattern).collect();
        Self { plan: Arc::clone(plan), layout, patterns, is_live: false, resolution: None }
    }

    /// The same for tables that come in records.
    pub(super) fn live(plan: &Arc<Plan>, source: u16, lane: u32) -> Self {
        Self { is_live: true, ..Self::new(plan, source, lane) }
    }

    /// The events of a batch; `offset` and `broker_time` hold one value per row and no null.
    ///
    /// # Errors
    /// When a required column is missing or a mapped one has a type that can never fit.
    pub fn decode(&mut self, batch: &RecordBatch, offset: Int64Array, broker_time: Int64Array) -> Result<Decoded> {
        let sifted = self.sift(batch, offset, broker_time, None)?;
        let rejects = sifted.rejects(|_| 0);
        Ok(Decoded::new(&self.layout, sifted.batch, rejects, sifted.passed_over))
    }

    /// Finds the mapped fields in tables of this schema.
    ///
    /// # Errors
    /// When a required column is missing, or one that decides which rows are taken.
    pub fn bind(&mut self, schema: &SchemaRef) -> Result<()> {
        let whole = self.layout.lists.iter().try_fold(Arc::clone(schema), |schema, list| {
            let (_, element) = list_in(&self.layout.bindings[usize::from(list.binding)], &schema)?;
            Ok::<_, Misfit>(with_element(&schema, &list.element, &element))
        })?;
        self.resolve(&whole)?;
        let places = self.resolution.iter().flat_map(|resolution| &resolution.conditions);
        let unknown = self.layout.conditions.iter().zip(places).find(|(_, place)| place.is_none());
        unknown.map_or(Ok(()), |(condition, _)| Err(no_column(condition, schema).into()))
    }

    /// Where the mapped fields are in tables of the schema seen last: index of a column, then of fields of structs
    /// inside it; and whether they are texts of few distinct values.
    pub fn places(&self) -> impl Iterator<Item = (&[usize], bool)> {
        let places = self.resolution.iter().flat_map(|found| {
            let n_columns = found.schema.fields().len() - self.layout.lists.len();
            let places = found.places.iter().chain(&found.conditions).flatten();
            // Elements are read out of the list that they are in.
            places.filter(move |place| place.indexes[0] < n_columns)
        });
        places.map(|place| {
            let is_text = matches!(place.slot, Slot::Text(_) | Slot::TruthName(_) | Slot::Class { .. });
            (place.indexes.as_slice(), is_text && place.inside.is_empty())
        })
    }

    /// Mapped fields that the last schema had no column for; they are null.
    #[must_use]
    pub fn absent(&self) -> &[String] {
        self.resolution.as_ref().map_or(&[], |resolution| &resolution.absent)
    }

    /// The good rows of a batch and what is wrong with the others; `record` is what the table came in.
    pub(super) fn sift(
        &mut self,
        batch: &RecordBatch,
        offset: Int64Array,
        broker_time: Int64Array,
        record: Option<&Record<'_>>,
    ) -> std::result::Result<Sifted, Misfit> {
        assert_eq!(offset.len(), batch.num_rows(), "one offset per row");
        assert_eq!(broker_time.len(), batch.num_rows(), "one broker time per row");
        let table = ExplodedTable::of(batch);
        let mut taken = taken(&self.layout, &table, record, None);
        if taken.as_ref().is_some_and(|taken| !taken.contains(&true)) {
            // A table of another kind need not have the columns of this one.
            let none = ColumnBuilders::nulls(&self.layout, offset.slice(0, 0), broker_time.slice(0, 0));
            return Ok(Sifted::nothing(none.into_batch(&self.layout), batch.num_rows() as u64));
        }
        let mut rows = Exploded::records(table, offset, broker_time);
        for list in &self.layout.lists {
            rows = exploded(&self.layout, list, rows, taken.as_deref())?;
            taken = self::taken(&self.layout, &rows.table, record, Some(list));
            // What is wrong with a record is said whatever its rows would be.
            if let Some(taken) = &mut taken {
                rows.findings.keys().for_each(|row| taken[*row] = true);
            }
        }
        let Exploded { table, offset, broker_time, row, findings, passed_over, .. } = rows;
        let columns = ColumnBuilders { row, ..ColumnBuilders::nulls(&self.layout, offset, broker_time) };
        let sifted = self.fill(&table, columns, findings, taken.as_deref(), record)?;
        Ok(Sifted { passed_over: sifted.passed_over + passed_over, ..sifted })
    }

    /// Fills columns from a table, and keeps the good ones of the rows that are taken.
    fn fill(
        &mut self,
        table: &ExplodedTable,
        mut columns: ColumnBuilders,
        mut findings: Findings,
        taken: Option<&[bool]>,
        record: Option<&Record<'_>>,
    ) -> std::result::Result<Sifted, Misfit> {
        self.resolve(&table.schema)?;
        let Self { layout, patterns, resolution, .. } = self;
        let resolution = resolution.as_ref().expect("just resolved");
        for ((binding, place), pattern) in layout.bindings.iter().zip(&resolution.places).zip(patterns) {
            let said = record.and_then(|record| beside(binding, record, layout.lane, table.n_rows));
            let found = said.map(|said| (said, binding.slot)).or_else(|| {
                let place = place.as_ref()?;
                Some((place.fetch(table, &binding.name(), &mut findings), place.slot))
            });
            let Some((array, slot)) = found else { continue };
            let array = pattern.as_mut().map_or_else(|| Arc::clone(&array), |pattern| parts(&array, pattern));
            let mut cast = Cast { name: &binding.name(), layout, findings: &mut findings };
            cast.fill(&mut columns, slot, &array).map_err(|wanted| mismatch(binding, array.data_type(), wanted))?;
        }
        let row = columns.row.clone();
        let offset = columns.offset.clone();
        let batch = columns.into_batch(layout);
        let Some(taken) = taken else {
            let (batch, findings) = validate::sift(&self.plan, &self.layout, batch, findings);
            return Ok(Sifted { batch, findings, passed_over: 0, row, offset });
        };
        let passed_over = taken.iter().filter(|taken| !**taken).count() as u64;
        let (batch, findings) = validate::sift_taken(&self.plan, &self.layout, &batch, findings, taken);
        Ok(Sifted { batch, findings, passed_over, row, offset })
    }

    /// Which rows of a table the source takes; none where it takes all.
    pub(super) fn taken(&self, batch: &RecordBatch) -> Option<Vec<bool>> {
        taken(&self.layout, &ExplodedTable::of(batch), None, None)
    }

    fn resolve(&mut self, schema: &SchemaRef) -> std::result::Result<(), Misfit> {
        if self.resolution.as_ref().is_some_and(|resolution| resolution.schema == *schema) {
            return Ok(());
        }
        let bindings = &self.layout.bindings;
        let find = |binding| FieldPlace::find(binding, schema);
        let places: Vec<_> = bindings.iter().map(find).collect();
        let is_beside = |binding: &Binding| self.is_live && Origin::of(&binding.path).is_some();
        let missing = || {
            let missing = bindings.iter().zip(&places).filter(|(_, place)| place.is_none());
            missing.map(|(binding, _)| binding).filter(|binding| !is_beside(binding))
        };
        if let Some(binding) = missing().find(|binding| binding.required) {
            return Err(no_column(binding, schema));
        }
        let mut absent: Vec<String> = missing().map(Binding::name).collect();
        absent.dedup();
        let conditions = self.layout.conditions.iter().map(find).collect();
        self.resolution = Some(Resolution { schema: Arc::clone(schema), places, conditions, absent });
        Ok(())
    }
}

/// The events of one batch of one partition: [`Columnar`] for those who have only one.
///
/// # Errors
/// As for [`Columnar::decode`].
pub fn from_record_batch(
    plan: &Arc<Plan>,
    source: u16,
    lane: u32,
    batch: &RecordBatch,
    offset: Int64Array,
    broker_time: Int64Array,
) -> Result<Decoded> {
    Columnar::new(plan, source, lane).decode(batch, offset, broker_time)
}

impl FieldPlace {
    fn find(binding: &Binding, schema: &Schema) -> Option<Self> {
        let (fields, slot) = (schema.fields(), binding.slot);
        let column = |name: &str, slot| Some(Self { indexes: vec![fields.find(name)?.0], inside: Vec::new(), slot });
        column(&binding.name(), slot)
            .or_else(|| {
                nested(fields, &binding.path, binding.path.steps()).map(|(indexes, inside)| Self {
                    indexes,
                    inside,
                    slot,
                })
            })
            .or_else(|| column(binding.path.last().filter(|_| !binding.is_in_row())?, slot))
            .or_else(|| column(&binding.canonical, canonical_unit(slot)).filter(|_| !binding.is_in_row()))
    }

    /// The values of the rows of a batch; a text that should be a list refuses its row.
    fn fetch(&self, table: &ExplodedTable, name: &str, findings: &mut Findings) -> ArrayRef {
        let (first, rest) = self.indexes.split_first().expect("a place has a column");
        let column = &table.columns[*first];
        let outer = rest.iter().fold(Arc::clone(&column.values), |outer, &i| {
            let object = outer.as_struct();
            masked(object.column(i), object.nulls())
        });
        let mut refused = Vec::new();
        let picked = pick(&outer, &self.inside, &mut |value| refused.push(value));
        for row in column.rows_of(refused) {
            let detail = format!("{name}: expected a list");
            findings.entry(row).or_insert(RowRefusal { reason: Poison::WrongType, detail });
        }
        column.each_row(&picked)
    }
}

/// Where the list of rows is in tables of a schema, and the type of its elements.
fn list_in(binding: &Binding, schema: &Schema) -> std::result::Result<(FieldPlace, DataType), Misfit> {
    let place = FieldPlace::find(binding, schema).ok_or_else(|| no_column(binding, schema))?;
    let mut kind = schema.field(place.indexes[0]).data_type();
    for &at in &place.indexes[1..] {
        let DataType::Struct(fields) = kind else { break };
        kind = fields[at].data_type();
    }
    match element(kind).filter(|_| place.inside.is_empty()) {
        Some(element) => Ok((place, element.clone())),
        None => Err(mismatch(binding, kind, "lists of rows")),
    }
}

/// The elements of a list in the rows of a table.
fn exploded(
    layout: &SourceLayout,
    list: &List,
    rows: Exploded,
    taken: Option<&[bool]>,
) -> std::result::Result<Exploded, Misfit> {
    let binding = &layout.bindings[usize::from(list.binding)];
    let (place, _) = list_in(binding, &rows.table.schema)?;
    let (name, lists) = (binding.name(), place.fetch(&rows.table, "", &mut Findings::new()));
    explode(rows, (&lists, &name, &list.element), taken).ok_or_else(|| Misfit {
        reason: Poison::TooLong,
        message: format!("{name}: too many rows in one table"),
        hint: "write smaller records",
    })
}

/// The indexes that lead along the steps of a path through structs, and the way on from there, through lists and texts.
fn nested(fields: &Fields, path: &Path, steps: &[PathStep]) -> Option<(Vec<usize>, Vec<PathStep>)> {
    let (PathStep::Key(first), rest) = steps.split_first()? else { return None };
    let (index, field) = fields.find(first)?;
    match (field.data_type(), rest) {
        (DataType::Struct(inner), [PathStep::Key(_), ..]) => {
            let (indexes, inside) = nested(inner, path, rest)?;
            Some(([vec![index], indexes].concat(), inside))
        }
        (kind, [PathStep::Key(_), ..]) => (path.texts.are_json && is_text(kind)).then(|| (vec![index], rest.to_vec())),
        (kind, rest) => leads(kind, rest).then(|| (vec![index], rest.to_vec())),
    }
}

/// A value that stands beside the table in its record, once for each row; none where there is none.
fn beside(binding: &Binding, record: &Record<'_>, lane: u32, rows: usize) -> Option<ArrayRef> {
    let (origin, steps) = Origin::of(&binding.path)?;
    let value = origin.value(record, lane)?;
    let text: ArrayRef = Arc::new(StringArray::from(vec![str::from_utf8(&value).ok()?]));
    let found = strings(&pick(&text, steps, &mut |_| {}));
    let value = found.iter().next().flatten();
    Some(Arc::new(StringArray::from(vec![value; rows])))
}

/// The parts of texts that a pattern takes.
fn parts(array: &ArrayRef, pattern: &mut Pattern) -> ArrayRef {
    let parts = strings(&plain(array)).iter().map(|text| pattern.part(text?)).collect::<StringArray>();
    Arc::new(parts)
}

/// Which rows the source takes by what stands in their records, or in their elements of a list; none where that is
/// said of nothing.
fn taken(
    layout: &SourceLayout,
    table: &ExplodedTable,
    record: Option<&Record<'_>>,
    list: Option<&List>,
) -> Option<Vec<bool>> {
    let rows = table.n_rows;
    let mut taken: Option<Vec<bool>> = None;
    let wanted = list.map_or(layout.conditions_of_record, |list| list.conditions);
    let conditions = layout.conditions.iter().zip(&layout.selection.conditions).enumerate();
    for (_, (binding, condition)) in conditions.filter(|(at, _)| wanted >> at & 1 == 1) {
        let said = record.and_then(|record| beside(binding, record, layout.lane, rows));
        let fetch = || Some(FieldPlace::find(binding, &table.schema)?.fetch(table, "", &mut Findings::new()));
        let texts = said.or_else(fetch).and_then(|values| spelled(&plain(&values)));
        let allowed = |row: usize| {
            let texts = texts.as_ref().filter(|texts| texts.is_valid(row));
            texts.is_some_and(|texts| is_allowed(&condition.allowed, texts.value(row)))
        };
        let taken = taken.get_or_insert_with(|| vec![true; rows]);
        taken.iter_mut().enumerate().for_each(|(row, taken)| *taken &= allowed(row));
    }
    taken
}

/// Latency in milliseconds, epoch numbers in microseconds.
fn canonical_unit(slot: Slot) -> Slot {
    match slot {
        Slot::Number { column, .. } => Slot::Number { column, factor: 1.0 },
        Slot::Time(_) => Slot::Time(TimeFormat::Micros),
        other => other,
    }
}

fn no_column(binding: &Binding, schema: &Schema) -> Misfit {
    if let Some((origin, _)) = Origin::of(&binding.path).filter(|(origin, _)| !origin.is_in_files()) {
        return Misfit {
            reason: Poison::MissingField,
            message: format!("`{}` is a value of records on Kafka, which files do not have", origin.name()),
            hint: "map the field to a column in a pipeline for files, or write the value into a column of that name",
        };
    }
    let names: Vec<&str> = schema.fields().iter().take(NAMES_MAX).map(|field| field.name().as_str()).collect();
    let more = if schema.fields().len() > NAMES_MAX { ", …" } else { "" };
    let mapped = binding.name();
    let or = if mapped == binding.canonical { String::new() } else { format!(" or `{}`", binding.canonical) };
    Misfit {
        reason: Poison::MissingField,
        message: format!("no column `{mapped}`{or}; there are {}{more}", names.join(", ")),
        hint: "map the field to one of these columns in the pipeline, or rename the column",
    }
}

fn mismatch(binding: &Binding, kind: &DataType, wanted: &str) -> Misfit {
    Misfit {
        reason: Poison::WrongType,
        message: format!("column for `{}` is {kind}, expected {wanted}", binding.name()),
        hint: "map the field to another column in the pipeline, or convert the column",
    }
}
