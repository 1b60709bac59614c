//! What comes back of a query, in the format that was asked for.

use std::io::Write;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::ipc::writer::StreamWriter;
use datafusion::arrow::csv::WriterBuilder;
use datafusion::arrow::json::ArrayWriter;
use datafusion::arrow::json::writer::WriterBuilder as JsonBuilder;
use datafusion::arrow::util::pretty::pretty_format_batches_with_schema;

use crate::error::{Error, Result};

/// Rows, and whether there would have been more.
#[derive(Debug, Clone)]
pub struct ResultSet {
    /// The columns.
    pub schema: SchemaRef,
    /// The rows.
    pub batches: Vec<RecordBatch>,
    /// Whether rows beyond the bound were left out.
    pub truncated: bool,
}

/// How rows are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum OutputFormat {
    /// For people.
    Table,
    /// An array of objects.
    Json,
    /// With a header line.
    Csv,
    /// An Arrow IPC stream.
    Arrow,
}

impl ResultSet {
    /// Number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.batches.iter().map(RecordBatch::num_rows).sum()
    }

    /// Writes the rows.
    ///
    /// # Errors
    /// When a column is of a type that the format cannot hold.
    pub fn write(&self, format: OutputFormat) -> Result<Vec<u8>> {
        let mut out = Vec::new();
        let written = match format {
            OutputFormat::Table => self.table(&mut out),
            OutputFormat::Json => self.json(&mut out),
            OutputFormat::Csv => self.csv(&mut out),
            OutputFormat::Arrow => self.arrow(&mut out),
        };
        let unfit = |error| Error::user("the answer cannot be written in this format").because(error);
        written.map_err(|error| unfit(error).hint("CSV holds no lists and records; ask for JSON or Arrow"))?;
        Ok(out)
    }

    fn table(&self, out: &mut Vec<u8>) -> arrow::error::Result<()> {
        let table = pretty_format_batches_with_schema(self.schema.clone(), &self.batches)?;
        writeln!(out, "{table}")?;
        Ok(())
    }

    fn json(&self, out: &mut Vec<u8>) -> arrow::error::Result<()> {
        let mut writer: ArrayWriter<_> = JsonBuilder::new().with_explicit_nulls(true).build(&mut *out);
        self.batches.iter().try_for_each(|batch| writer.write(batch))?;
        writer.finish()?;
        if out.is_empty() {
            out.extend_from_slice(b"[]");
        }
        out.push(b'\n');
        Ok(())
    }

    fn csv(&self, out: &mut Vec<u8>) -> arrow::error::Result<()> {
        let mut writer = WriterBuilder::new().with_header(true).build(out);
        if self.rows() == 0 {
            return writer.write(&RecordBatch::new_empty(self.schema.clone()));
        }
        self.batches.iter().try_for_each(|batch| writer.write(batch))
    }

    fn arrow(&self, out: &mut Vec<u8>) -> arrow::error::Result<()> {
        let mut writer = StreamWriter::try_new(out, &self.schema)?;
        self.batches.iter().try_for_each(|batch| writer.write(batch))?;
        writer.finish()
    }
}
