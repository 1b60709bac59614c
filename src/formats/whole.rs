//! Records with all that is in them, for those who want to know what is there: a table of one row each.

use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow_schema::{Field, Schema};
use haldane_core::plan::Format;

use crate::frame::{Framed, MessageSelector};
use crate::{avro, protobuf};

/// Reads records of one schema.
#[derive(Debug)]
pub enum RecordReader {
    /// Those of Avro.
    Avro(avro::AvroReader),
    /// Those of Protobuf.
    Protobuf(protobuf::ProtobufReader),
}

impl RecordReader {
    /// By the texts of a schema.
    ///
    /// # Errors
    /// In words, when they are no schema that is read.
    pub fn new(texts: &[String]) -> Result<Self, String> {
        avro::AvroReader::new(texts)
            .map(Self::Avro)
            .or_else(|_| protobuf::ProtobufReader::new(texts).map(Self::Protobuf))
    }

    /// What sources of such records say of their format.
    #[must_use]
    pub fn format(&self) -> Format {
        match self {
            Self::Avro(_) => Format::Avro,
            Self::Protobuf(_) => Format::Protobuf,
        }
    }

    /// A record whose frame was taken off.
    ///
    /// # Errors
    /// In words, when it is none of this schema.
    pub fn read(&mut self, record: &Framed<'_>) -> Result<RecordBatch, String> {
        let columns = match self {
            Self::Avro(avro) => avro.read(&record.body)?,
            Self::Protobuf(protobuf) => protobuf.read(record.message, &record.body, None)?,
        };
        table(columns)
    }
}

/// A request of OpenTelemetry in protobuf: traces, or logs.
#[must_use]
pub fn otlp(payload: &[u8]) -> Option<RecordBatch> {
    let mut all = protobuf::ProtobufReader::new(&[protobuf::OTLP.to_owned()]).ok()?;
    let mut read = |name| all.read(MessageSelector::Unsaid, payload, Some(name)).ok();
    let columns = read("Traces").or_else(|| read("Logs"))?;
    table(columns).ok()
}

fn table(columns: Vec<(String, ArrayRef)>) -> Result<RecordBatch, String> {
    let column = |(name, column): (String, ArrayRef)| (Field::new(name, column.data_type().clone(), true), column);
    let (fields, columns): (Vec<Field>, Vec<ArrayRef>) = columns.into_iter().map(column).unzip();
    let options = RecordBatchOptions::new().with_row_count(Some(1));
    let table = RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options);
    table.map_err(|error| error.to_string())
}
