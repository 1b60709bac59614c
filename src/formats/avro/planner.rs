//! Which columns the values of a schema go to.

use std::sync::Arc;

use super::column::AvroColumn;
use super::schema::{Schema, Type, TypeIndex};
use crate::arrays::ByteStrings;

/// The most columns that a schema may need: types that name each other may make very many.
const COLUMNS_MAX: usize = 1 << 16;

/// Makes columns for the types of a schema.
pub(super) struct ColumnPlanner<'a> {
    schema: &'a Schema,
    /// The records that the type stands in.
    around: Vec<TypeIndex>,
    columns: usize,
}

impl<'a> ColumnPlanner<'a> {
    pub(super) fn new(schema: &'a Schema) -> Self {
        Self { schema, around: Vec::new(), columns: 0 }
    }

    /// A column for a type. What stands in itself is read once, and not within.
    pub(super) fn column(&mut self, at: TypeIndex) -> Result<AvroColumn, String> {
        self.columns += 1;
        if self.columns > COLUMNS_MAX {
            return Err(format!("more than {COLUMNS_MAX} fields"));
        }
        if self.around.contains(&at) {
            return Ok(AvroColumn::Skipped(at));
        }
        Ok(match self.schema.kind(at) {
            Type::Null => AvroColumn::Null(0),
            Type::Boolean => AvroColumn::Boolean(Vec::new()),
            Type::Int => AvroColumn::Int(Vec::new()),
            Type::Date => AvroColumn::Date(Vec::new()),
            Type::Long => AvroColumn::Long(Vec::new()),
            Type::Timestamp(unit, in_utc) => AvroColumn::Timestamp(Vec::new(), *unit, *in_utc),
            Type::Float => AvroColumn::Float(Vec::new()),
            Type::Double => AvroColumn::Double(Vec::new()),
            Type::Bytes => AvroColumn::Bytes(ByteStrings::default()),
            Type::Text => AvroColumn::Text(ByteStrings::default()),
            Type::Fixed(bytes) => AvroColumn::Fixed(ByteStrings::default(), *bytes),
            Type::Uuid => AvroColumn::Uuid(ByteStrings::default()),
            &Type::Decimal { digits, scale, bytes } => AvroColumn::Decimal { values: Vec::new(), digits, scale, bytes },
            Type::Enum(symbols) => AvroColumn::Enum(Vec::new(), Arc::clone(symbols)),
            Type::Array(item) => AvroColumn::List { ends: Vec::new(), items: Box::new(self.column(*item)?) },
            Type::Map(value) => {
                let values = Box::new(self.column(*value)?);
                AvroColumn::Map { ends: Vec::new(), keys: ByteStrings::default(), values }
            }
            Type::Union(branches) => self.union(branches)?,
            Type::Record(fields) => {
                self.around.push(at);
                let of = |(name, field): &(String, TypeIndex)| Ok((name.clone(), self.column(*field)?));
                let fields = fields.iter().map(of).collect::<Result<_, String>>()?;
                self.around.pop();
                AvroColumn::Record { fields, len: 0 }
            }
        })
    }

    fn union(&mut self, branches: &[TypeIndex]) -> Result<AvroColumn, String> {
        let schema = self.schema;
        let is_value = |at: &TypeIndex| *schema.kind(*at) != Type::Null;
        let mut values = branches.iter().copied().filter(is_value);
        match (values.next(), values.next()) {
            (Some(value), None) => {
                let branches = branches.iter().map(is_value).collect();
                Ok(AvroColumn::Optional { is_there: Vec::new(), branches, value: Box::new(self.column(value)?) })
            }
            (Some(_), Some(_)) if branches.iter().all(|at| is_scalar(schema.kind(*at))) => {
                Ok(AvroColumn::Written { texts: Vec::new(), branches: branches.to_vec() })
            }
            _ => {
                let kind = |at: &TypeIndex| Ok((schema.name(*at).to_owned(), self.column(*at)?));
                let kinds = branches.iter().map(kind).collect::<Result<_, String>>()?;
                Ok(AvroColumn::Kinds { kinds, chosen: Vec::new() })
            }
        }
    }
}

/// Whether a value is the same written as a text.
fn is_scalar(kind: &Type) -> bool {
    use Type::{Boolean, Double, Enum, Float, Int, Long, Null, Text};
    matches!(kind, Null | Boolean | Int | Long | Float | Double | Text | Enum(_))
}
