//! Tables to events: Arrow record batches, as they come from Arrow IPC payloads and from files of columns.
//!
//! A field is looked for under its mapped path as a column name, then as a path into struct columns, then under the
//! path's last part, then under its canonical name. Where it was found is remembered as long as the schema stays the
//! same.

use std::sync::Arc;

use arrow_array::cast::AsArray as _;
use arrow_array::{Array as _, ArrayRef, Int64Array, RecordBatch, make_array};
use arrow_buffer::NullBuffer;
use arrow_schema::{DataType, Fields, SchemaRef};

use crate::batch::EventBatch;
use crate::error::{Error, Result};
use crate::event::Poison;
use crate::plan::{Plan, TimeFormat};

use super::Decoded;
use super::binding::{Binding, Layout, Slot};
use super::cast::Cast;
use super::rows::ColumnBuilders;
use super::validate::{self, Findings};

/// Column names that an error message lists.
const NAMES_MAX: usize = 20;

/// Turns record batches of one partition into events.
#[derive(Debug)]
pub struct Columnar {
    plan: Arc<Plan>,
    pub(super) layout: Layout,
    resolution: Option<Resolution>,
}

/// Where the fields are in batches of one schema.
#[derive(Debug)]
struct Resolution {
    schema: SchemaRef,
    /// One per binding.
    places: Vec<Option<FieldPlace>>,
    absent: Vec<String>,
}

/// Where one field is.
#[derive(Debug, Clone, PartialEq)]
struct FieldPlace {
    /// Index of a column, then of fields of structs inside it.
    indexes: Vec<usize>,
    /// What it feeds; a column with a canonical name is in the canonical unit.
    slot: Slot,
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
        Self { plan: Arc::clone(plan), layout: Layout::new(plan, source, lane), resolution: None }
    }

    /// The events of a batch; `offset` and `broker_time` hold one value per row and no null.
    ///
    /// # Errors
    /// When a required column is missing or a mapped one has a type that can never fit.
    pub fn decode(&mut self, batch: &RecordBatch, offset: Int64Array, broker_time: Int64Array) -> Result<Decoded> {
        let offsets = offset.clone();
        let (batch, findings) = self.sift(batch, offset, broker_time)?;
        let rejects = findings.into_iter().map(|(row, finding)| finding.into_reject(offsets.value(row), 0));
        Ok(Decoded::new(batch, rejects.collect()))
    }

    /// Finds the mapped fields in tables of this schema.
    ///
    /// # Errors
    /// When a required column is missing.
    pub fn bind(&mut self, schema: &SchemaRef) -> Result<()> {
        Ok(self.resolve(schema)?)
    }

    /// Where the mapped fields are in tables of the schema seen last: index of a column, then of fields of structs
    /// inside it; and whether they are texts of few distinct values.
    pub fn places(&self) -> impl Iterator<Item = (&[usize], bool)> {
        let places = self.resolution.iter().flat_map(|resolution| resolution.places.iter().flatten());
        places.map(|place| {
            (place.indexes.as_slice(), matches!(place.slot, Slot::Text(_) | Slot::TruthName(_) | Slot::Class { .. }))
        })
    }

    /// Mapped fields that the last schema had no column for; they are null.
    #[must_use]
    pub fn absent(&self) -> &[String] {
        self.resolution.as_ref().map_or(&[], |resolution| &resolution.absent)
    }

    /// The good rows of a batch and what is wrong with the others.
    pub(super) fn sift(
        &mut self,
        batch: &RecordBatch,
        offset: Int64Array,
        broker_time: Int64Array,
    ) -> std::result::Result<(EventBatch, Findings), Misfit> {
        assert_eq!(offset.len(), batch.num_rows(), "one offset per row");
        assert_eq!(broker_time.len(), batch.num_rows(), "one broker time per row");
        self.resolve(&batch.schema())?;
        let resolution = self.resolution.as_ref().expect("just resolved");
        let mut columns = ColumnBuilders::nulls(&self.layout, offset, broker_time);
        let mut findings = Findings::new();
        for (binding, place) in self.layout.bindings.iter().zip(&resolution.places) {
            let Some(place) = place else { continue };
            let array = place.fetch(batch);
            let positive = &self.layout.positive;
            let mut cast = Cast { name: &binding.name(), positive, findings: &mut findings };
            cast.fill(&mut columns, place.slot, &array).map_err(|wanted| mismatch(binding, &array, wanted))?;
        }
        Ok(validate::sift(&self.plan, &self.layout, columns.into_batch(&self.layout), findings))
    }

    fn resolve(&mut self, schema: &SchemaRef) -> std::result::Result<(), Misfit> {
        if self.resolution.as_ref().is_some_and(|resolution| resolution.schema == *schema) {
            return Ok(());
        }
        let bindings = &self.layout.bindings;
        let places: Vec<_> = bindings.iter().map(|binding| FieldPlace::find(binding, schema)).collect();
        let missing = || bindings.iter().zip(&places).filter(|(_, place)| place.is_none()).map(|(binding, _)| binding);
        if let Some(binding) = missing().find(|binding| binding.required) {
            return Err(no_column(binding, schema));
        }
        let mut absent: Vec<String> = missing().map(Binding::name).collect();
        absent.dedup();
        self.resolution = Some(Resolution { schema: Arc::clone(schema), places, absent });
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
    fn find(binding: &Binding, schema: &SchemaRef) -> Option<Self> {
        let fields = schema.fields();
        let last = binding.path.last()?;
        let mapped =
            top(fields, &binding.name()).or_else(|| nested(fields, &binding.path)).or_else(|| top(fields, last));
        let canonical = || Some(Self { indexes: top(fields, &binding.canonical)?, slot: canonical_unit(binding.slot) });
        mapped.map(|indexes| Self { indexes, slot: binding.slot }).or_else(canonical)
    }

    fn fetch(&self, batch: &RecordBatch) -> ArrayRef {
        let (first, rest) = self.indexes.split_first().expect("a place has a column");
        rest.iter().fold(Arc::clone(batch.column(*first)), |outer, &i| {
            let object = outer.as_struct();
            masked(object.column(i), object.nulls())
        })
    }
}

fn top(fields: &Fields, name: &str) -> Option<Vec<usize>> {
    fields.find(name).map(|(index, _)| vec![index])
}

/// The indexes that lead along a path through structs.
fn nested(fields: &Fields, path: &[String]) -> Option<Vec<usize>> {
    let (first, rest) = path.split_first()?;
    let (index, field) = fields.find(first)?;
    if rest.is_empty() {
        return Some(vec![index]);
    }
    let DataType::Struct(inner) = field.data_type() else { return None };
    let mut indexes = vec![index];
    indexes.extend(nested(inner, rest)?);
    Some(indexes)
}

/// A field of a struct, null also where the struct is.
fn masked(field: &ArrayRef, outer: Option<&NullBuffer>) -> ArrayRef {
    if outer.is_none_or(|nulls| nulls.null_count() == 0) {
        return Arc::clone(field);
    }
    let nulls = NullBuffer::union(outer, field.logical_nulls().as_ref());
    let data = field.to_data().into_builder().nulls(nulls).build();
    make_array(data.expect("more nulls do no harm"))
}

/// Latency in milliseconds, epoch numbers in microseconds.
fn canonical_unit(slot: Slot) -> Slot {
    match slot {
        Slot::Number { column, .. } => Slot::Number { column, factor: 1.0 },
        Slot::Time(_) => Slot::Time(TimeFormat::Micros),
        other => other,
    }
}

fn no_column(binding: &Binding, schema: &SchemaRef) -> Misfit {
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

fn mismatch(binding: &Binding, array: &ArrayRef, wanted: &str) -> Misfit {
    Misfit {
        reason: Poison::WrongType,
        message: format!("column for `{}` is {}, expected {wanted}", binding.name(), array.data_type()),
        hint: "map the field to another column in the pipeline, or convert the column",
    }
}
