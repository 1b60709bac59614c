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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Float64Array, Int64Array, ListArray, StringArray};
    use arrow::datatypes::Int32Type;

    use super::*;

    fn answer(columns: Vec<(&str, ArrayRef)>) -> ResultSet {
        let batch =
            RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, column)| (name, column, true)))
                .expect("a batch");
        ResultSet { schema: batch.schema(), batches: vec![batch.clone(), batch.slice(0, 1)], truncated: false }
    }

    fn numbers() -> ResultSet {
        let texts: ArrayRef = Arc::new(StringArray::from(vec![Some("a,\"b\""), None]));
        let floats: ArrayRef = Arc::new(Float64Array::from(vec![Some(0.5), Some(f64::NAN)]));
        answer(vec![("n", Arc::new(Int64Array::from(vec![Some(1), None]))), ("text, too", texts), ("x", floats)])
    }

    fn written(answer: &ResultSet, format: OutputFormat) -> String {
        String::from_utf8(answer.write(format).expect("an answer")).expect("a text")
    }

    #[test]
    fn rows_are_written_in_every_format() {
        let answer = numbers();
        assert_eq!(answer.rows(), 3);
        let csv = "n,\"text, too\",x\n1,\"a,\"\"b\"\"\",0.5\n,,NaN\n1,\"a,\"\"b\"\"\",0.5\n";
        assert_eq!(written(&answer, OutputFormat::Csv), csv);
        let json: serde_json::Value = serde_json::from_str(&written(&answer, OutputFormat::Json)).expect("JSON");
        assert_eq!(json.as_array().map(Vec::len), Some(3));
        assert_eq!(json[1], serde_json::json!({ "n": null, "text, too": null, "x": null }), "what is missing is named");
        let table = written(&answer, OutputFormat::Table);
        assert_eq!(table.lines().filter(|line| line.starts_with("| ")).count(), 4, "{table}");
        let arrow = answer.write(OutputFormat::Arrow).expect("an answer");
        let read = arrow::ipc::reader::StreamReader::try_new(arrow.as_slice(), None).expect("a stream");
        assert_eq!(read.map(|batch| batch.expect("a batch").num_rows()).sum::<usize>(), 3);
    }

    #[test]
    fn no_rows_have_columns_all_the_same() {
        let none = ResultSet { batches: Vec::new(), ..numbers() };
        assert_eq!(written(&none, OutputFormat::Csv), "n,\"text, too\",x\n");
        assert_eq!(written(&none, OutputFormat::Json), "[]\n");
        assert!(written(&none, OutputFormat::Table).contains("| n | text, too | x |"));
    }

    #[test]
    fn lists_do_not_fit_into_csv() {
        let lists = ListArray::from_iter_primitive::<Int32Type, _, _>([Some([Some(1)]), None]);
        let answer = answer(vec![("list", Arc::new(lists))]);
        let error = answer.write(OutputFormat::Csv).expect_err("a list");
        assert!(error.to_string().starts_with("the answer cannot be written in this format"), "{error}");
        assert!(error.advice().is_some_and(|hint| hint.contains("JSON or Arrow")));
        assert!(written(&answer, OutputFormat::Json).starts_with("[{\"list\":[1]},{\"list\":null}"));
    }
}
