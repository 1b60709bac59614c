//! Which columns the values of a schema go to.

use std::sync::Arc;

use super::column::Column;
use super::schema::{At, Schema, Type};
use crate::arrays::Pieces;

/// The most columns that a schema may need: types that name each other may make very many.
const COLUMNS_MAX: usize = 1 << 16;

/// Makes columns for the types of a schema.
pub(super) struct Planner<'a> {
    schema: &'a Schema,
    /// The records that the type stands in.
    around: Vec<At>,
    columns: usize,
}

impl<'a> Planner<'a> {
    pub(super) fn new(schema: &'a Schema) -> Self {
        Self { schema, around: Vec::new(), columns: 0 }
    }

    /// A column for a type. What stands in itself is read once, and not within.
    pub(super) fn column(&mut self, at: At) -> Result<Column, String> {
        self.columns += 1;
        if self.columns > COLUMNS_MAX {
            return Err(format!("more than {COLUMNS_MAX} fields"));
        }
        if self.around.contains(&at) {
            return Ok(Column::Skipped(at));
        }
        Ok(match self.schema.kind(at) {
            Type::Null => Column::Null(0),
            Type::Boolean => Column::Boolean(Vec::new()),
            Type::Int => Column::Int(Vec::new()),
            Type::Date => Column::Date(Vec::new()),
            Type::Long => Column::Long(Vec::new()),
            Type::Timestamp(unit, in_utc) => Column::Timestamp(Vec::new(), *unit, *in_utc),
            Type::Float => Column::Float(Vec::new()),
            Type::Double => Column::Double(Vec::new()),
            Type::Bytes => Column::Bytes(Pieces::default()),
            Type::Text => Column::Text(Pieces::default()),
            Type::Fixed(bytes) => Column::Fixed(Pieces::default(), *bytes),
            Type::Uuid => Column::Uuid(Pieces::default()),
            &Type::Decimal { digits, scale, bytes } => Column::Decimal { values: Vec::new(), digits, scale, bytes },
            Type::Enum(symbols) => Column::Enum(Vec::new(), Arc::clone(symbols)),
            Type::Array(item) => Column::List { ends: Vec::new(), items: Box::new(self.column(*item)?) },
            Type::Map(value) => {
                let values = Box::new(self.column(*value)?);
                Column::Map { ends: Vec::new(), keys: Pieces::default(), values }
            }
            Type::Union(branches) => self.union(branches)?,
            Type::Record(fields) => {
                self.around.push(at);
                let of = |(name, field): &(String, At)| Ok((name.clone(), self.column(*field)?));
                let fields = fields.iter().map(of).collect::<Result<_, String>>()?;
                self.around.pop();
                Column::Record { fields, len: 0 }
            }
        })
    }

    fn union(&mut self, branches: &[At]) -> Result<Column, String> {
        let schema = self.schema;
        let is_value = |at: &At| *schema.kind(*at) != Type::Null;
        let mut values = branches.iter().copied().filter(is_value);
        match (values.next(), values.next()) {
            (Some(value), None) => {
                let branches = branches.iter().map(is_value).collect();
                Ok(Column::Optional { is_there: Vec::new(), branches, value: Box::new(self.column(value)?) })
            }
            (Some(_), Some(_)) if branches.iter().all(|at| is_scalar(schema.kind(*at))) => {
                Ok(Column::Written { texts: Vec::new(), branches: branches.to_vec() })
            }
            _ => {
                let kind = |at: &At| Ok((schema.name(*at).to_owned(), self.column(*at)?));
                let kinds = branches.iter().map(kind).collect::<Result<_, String>>()?;
                Ok(Column::Kinds { kinds, chosen: Vec::new() })
            }
        }
    }
}

/// Whether a value is the same written as a text.
fn is_scalar(kind: &Type) -> bool {
    use Type::{Boolean, Double, Enum, Float, Int, Long, Null, Text};
    matches!(kind, Null | Boolean | Int | Long | Float | Double | Text | Enum(_))
}
