//! Files that a query names, read as every command reads them: Parquet, Arrow, CSV and JSON, packed or not, one by one,
//! as folders, patterns or pipes. What one cell means is decided by all cells of its column ([`kind`](super::kind)), so
//! they are looked at before the first query is answered.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, StructArray};
use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::datasource::TableType;
use datafusion::error::{DataFusionError, Result as Answered};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::Expr;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::stream::RecordBatchReceiverStreamBuilder;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use datafusion::prelude::{ParquetReadOptions, SessionContext};

use super::kind::{ColumnType, ObservedTypes};
use crate::error::{Error, Result};
use crate::files::{FileFormat, InputFiles, is_table, recognise};
use crate::table::{Chunk, Table, Wanted};

/// Whether a name of a table is one of a file: it has a folder or an ending, stands for several, or is there.
pub(super) fn is_path(name: &str) -> bool {
    let (path, _) = divided(name);
    name.contains(['/', '*', '?']) || name == "-" || is_table(&path) || path.is_file()
}

/// The path in a name, and the topic behind its `#`.
fn divided(name: &str) -> (PathBuf, Option<&str>) {
    match name.rsplit_once('#') {
        Some((path, topic)) if !Path::new(name).exists() => (path.into(), Some(topic)),
        _ => (name.into(), None),
    }
}

/// Opens what a name stands for, to be read here or by a cluster.
pub(super) async fn open(context: &SessionContext, named: &Path, by_cluster: bool) -> Result<Arc<dyn TableProvider>> {
    let name = named.to_string_lossy();
    let (path, topic) = divided(&name);
    if !name.contains(['*', '?', '[']) && name != "-" && !path.exists() {
        return Err(Error::user(format!("there is no file {}", path.display())).hint("check the path"));
    }
    let inputs = InputFiles::find(&[path])?;
    if let Some(table) = parquet(context, &inputs).await? {
        return Ok(table);
    }
    if by_cluster {
        return Err(Error::user(format!("a cluster reads files of Parquet only, and {name} is none"))
            .hint("ask without --cluster"));
    }
    let topic = topic.map(str::to_owned);
    let survey = tokio::task::spawn_blocking(move || FileTable::survey(inputs, topic.as_deref())).await;
    Ok(Arc::new(survey.map_err(|error| Error::internal("a file could not be looked at").because(error))??))
}

/// Files of Parquet that agree in their columns: their values are typed, and `DataFusion` skips what a query does not
/// need.
async fn parquet(context: &SessionContext, inputs: &InputFiles) -> Result<Option<Arc<dyn TableProvider>>> {
    let ending = |path: &PathBuf| path.extension().map(|ending| ending.to_string_lossy().into_owned());
    let (paths, Some(first)) = (inputs.paths(), inputs.paths().first().and_then(ending)) else { return Ok(None) };
    for path in paths {
        if inputs.are_kept() || ending(path).as_ref() != Some(&first) || recognise(path)? != FileFormat::Parquet {
            return Ok(None);
        }
        // Of columns that share a name `DataFusion` would read the first alone.
        if Table::open(path)?.columns.iter().any(|column| column.name != column.path.join(".")) {
            return Ok(None);
        }
    }
    let names: Vec<String> = paths.iter().map(|path| path.to_string_lossy().into_owned()).collect();
    let options = ParquetReadOptions { file_extension: &first, ..ParquetReadOptions::default() };
    let Ok(frame) = context.read_parquet(names, options).await else { return Ok(None) };
    Ok(Some(frame.into_view()))
}

/// A column of a query: one of a table, or some that stand inside of it.
#[derive(Debug, Clone)]
enum ColumnTree {
    Column(usize),
    Group(Vec<(String, ColumnTree)>),
}

/// Puts a column at its path; `false` where the path leads through another column.
fn place(nodes: &mut Vec<(String, ColumnTree)>, path: &[String], column: usize) -> bool {
    let Some((name, rest)) = path.split_first() else { return false };
    match (nodes.iter_mut().find(|(known, _)| known == name), rest) {
        (None, []) => nodes.push((name.clone(), ColumnTree::Column(column))),
        (None, rest) => {
            let mut inside = Vec::new();
            place(&mut inside, rest, column);
            nodes.push((name.clone(), ColumnTree::Group(inside)));
        }
        (Some((_, ColumnTree::Group(inside))), [_, ..]) => return place(inside, rest, column),
        (Some(_), _) => return false,
    }
    true
}

impl ColumnTree {
    fn field(&self, name: &str, kinds: &[ColumnType]) -> Field {
        let inside = |(name, node): &(String, Self)| node.field(name, kinds);
        let data_type = match self {
            Self::Column(column) => kinds[*column].data_type(),
            Self::Group(nodes) => DataType::Struct(nodes.iter().map(inside).collect()),
        };
        Field::new(name, data_type, true)
    }

    /// The columns of the table that it needs.
    fn columns(&self, needed: &mut Vec<usize>) {
        match self {
            Self::Column(column) => needed.push(*column),
            Self::Group(nodes) => nodes.iter().for_each(|(_, node)| node.columns(needed)),
        }
    }

    /// Takes its arrays in the order of [`ColumnTree::columns`].
    fn array(&self, field: &Field, arrays: &mut impl Iterator<Item = ArrayRef>, rows: usize) -> Answered<ArrayRef> {
        let (Self::Group(nodes), DataType::Struct(fields)) = (self, field.data_type()) else {
            return arrays.next().ok_or_else(|| DataFusionError::Internal("a column has no values".to_owned()));
        };
        let inside = nodes.iter().zip(fields).map(|((_, node), field)| node.array(field, arrays, rows));
        let inside = inside.collect::<Answered<Vec<_>>>()?;
        Ok(Arc::new(StructArray::try_new_with_length(Fields::clone(fields), inside, None, rows)?))
    }
}

/// Files as one table.
#[derive(Debug)]
struct FileTable {
    table: Arc<Table>,
    /// What their columns hold.
    kinds: Arc<[ColumnType]>,
    nodes: Vec<ColumnTree>,
    schema: SchemaRef,
    /// Keeps what came out of a pipe.
    _inputs: InputFiles,
}

impl FileTable {
    /// Looks at all that is in files, and tells of rows that cannot be read.
    fn survey(inputs: InputFiles, topic: Option<&str>) -> Result<Self> {
        let table = one_of(Table::open_together(inputs.paths())?, topic)?;
        let wanted: Vec<Wanted> = (0..table.columns.len()).map(|column| Wanted { column, repeats: false }).collect();
        let mut seen = vec![ObservedTypes::new(table.is_typed()); wanted.len()];
        let (mut refused, mut example) = (0, None);
        for chunk in table.chunks(&wanted)? {
            let chunk = chunk?;
            seen.iter_mut().zip(&chunk.arrays).for_each(|(seen, array)| seen.take(array));
            refused += chunk.refused;
            example = example.or(chunk.example);
        }
        if refused > 0 {
            tracing::warn!(rows = refused, example, "rows that cannot be read are left out");
        }
        let kinds: Arc<[ColumnType]> = seen.iter().map(ObservedTypes::kind).collect();
        let mut nodes = Vec::new();
        for (at, column) in table.columns.iter().enumerate() {
            let is_once = column.name == column.path.join(".");
            if !(is_once && place(&mut nodes, &column.path, at)) {
                nodes.push((column.name.clone(), ColumnTree::Column(at)));
            }
        }
        let fields: Vec<Field> = nodes.iter().map(|(name, node)| node.field(name, &kinds)).collect();
        let (schema, nodes) = (Arc::new(Schema::new(fields)), nodes.into_iter().map(|(_, node)| node).collect());
        Ok(Self { table: Arc::new(table), kinds, nodes, schema, _inputs: inputs })
    }
}

/// The one table, or the one of a topic.
fn one_of(mut tables: Vec<Table>, topic: Option<&str>) -> Result<Table> {
    let topics: Vec<String> = tables.iter().filter_map(|table| table.topic.clone()).collect();
    let found = match topic {
        Some(topic) => tables.iter().position(|table| table.topic.as_deref() == Some(topic)),
        None => (tables.len() == 1).then_some(0),
    };
    found.map(|at| tables.swap_remove(at)).ok_or_else(|| {
        let path = tables[0].path.display();
        let known = if topics.is_empty() { "none".to_owned() } else { topics.join(", ") };
        let last = topics.last().map_or("TOPIC", String::as_str);
        match topic {
            Some(topic) => Error::user(format!("{path} holds no topic `{topic}`")).hint(format!("it holds: {known}")),
            None => Error::user(format!("{path} holds several topics: {known}"))
                .hint(format!("name one behind the path, as in '{path}#{last}'")),
        }
    })
}

#[async_trait]
impl TableProvider for FileTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        _: &dyn Session,
        projection: Option<&Vec<usize>>,
        _: &[Expr],
        limit: Option<usize>,
    ) -> Answered<Arc<dyn ExecutionPlan>> {
        let all: Vec<usize> = (0..self.nodes.len()).collect();
        let projection = projection.unwrap_or(&all);
        let schema = Arc::new(self.schema.project(projection)?);
        let scan = FileScan {
            table: Arc::clone(&self.table),
            kinds: Arc::clone(&self.kinds),
            nodes: projection.iter().map(|&at| self.nodes[at].clone()).collect(),
            schema: Arc::clone(&schema),
        };
        Ok(Arc::new(StreamingTableExec::try_new(schema, vec![Arc::new(scan)], None, [], false, limit)?))
    }
}

/// The columns of files that one query needs.
#[derive(Debug, Clone)]
struct FileScan {
    table: Arc<Table>,
    kinds: Arc<[ColumnType]>,
    nodes: Vec<ColumnTree>,
    schema: SchemaRef,
}

impl FileScan {
    /// The rows of a chunk of the columns `needed`.
    fn batch(&self, chunk: &Chunk, needed: &[usize]) -> Answered<RecordBatch> {
        let mut arrays = needed.iter().zip(&chunk.arrays).map(|(&column, array)| self.kinds[column].of(array));
        let nodes = self.nodes.iter().zip(self.schema.fields());
        let columns = nodes.map(|(node, field)| node.array(field, &mut arrays, chunk.rows)).collect::<Answered<_>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(chunk.rows));
        Ok(RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)?)
    }

    /// Sends all rows, until nobody wants more.
    fn send(&self, mut sent: impl FnMut(Answered<RecordBatch>) -> bool) {
        let mut needed = Vec::new();
        self.nodes.iter().for_each(|node| node.columns(&mut needed));
        let wanted: Vec<Wanted> = needed.iter().map(|&column| Wanted { column, repeats: false }).collect();
        let broken = |error: Error| DataFusionError::External(Box::new(error));
        match self.table.chunks(&wanted) {
            Err(error) => drop(sent(Err(broken(error)))),
            Ok(chunks) => {
                let mut batches =
                    chunks.map(|chunk| chunk.map_err(broken).and_then(|chunk| self.batch(&chunk, &needed)));
                let _ = batches.all(|batch| batch.is_ok() & sent(batch));
            }
        }
    }
}

impl PartitionStream for FileScan {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let mut stream = RecordBatchReceiverStreamBuilder::new(Arc::clone(&self.schema), 2);
        let (scan, sender) = (self.clone(), stream.tx());
        stream.spawn_blocking(move || {
            scan.send(|batch| sender.blocking_send(batch).is_ok());
            Ok(())
        });
        stream.build()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> Vec<String> {
        text.split('.').map(str::to_owned).collect()
    }

    /// Columns as they stand in each other: `a(0 b(1))`, by the paths of a table's columns; and which found no place.
    fn placed(paths: &[&str]) -> (String, Vec<usize>) {
        fn told(nodes: &[(String, ColumnTree)]) -> String {
            let one = |(name, node): &(String, ColumnTree)| match node {
                ColumnTree::Column(at) => format!("{name}={at}"),
                ColumnTree::Group(inside) => format!("{name}({})", told(inside)),
            };
            nodes.iter().map(one).collect::<Vec<_>>().join(" ")
        }
        let mut nodes = Vec::new();
        let left = (0..paths.len()).filter(|&at| !place(&mut nodes, &path(paths[at]), at)).collect();
        (told(&nodes), left)
    }

    #[test]
    fn columns_stand_where_their_paths_lead() {
        let cases: [(&[&str], &str, &[usize]); 6] = [
            (&["a", "b"], "a=0 b=1", &[]),
            (&["a.x", "b", "a.y"], "a(x=0 y=2) b=1", &[]),
            (&["a.x.p", "a.x.q", "a.y"], "a(x(p=0 q=1) y=2)", &[]),
            (&["a", "a.x"], "a=0", &[1]),
            (&["a.x", "a"], "a(x=0)", &[1]),
            (&["a.x", "a.x", "a.x.y"], "a(x=0)", &[1, 2]),
        ];
        for (paths, tree, left) in cases {
            assert_eq!(placed(paths), (tree.to_owned(), left.to_vec()), "{paths:?}");
        }
        assert!(!place(&mut Vec::new(), &[], 0), "no path leads nowhere");
    }

    #[test]
    fn a_group_takes_its_arrays_in_the_order_in_which_it_asks_for_them() {
        let mut nodes = Vec::new();
        for (at, column) in ["a.x", "a.y.z"].into_iter().enumerate() {
            assert!(place(&mut nodes, &path(column), at));
        }
        let (name, node) = &nodes[0];
        let field = node.field(name, &[ColumnType::Whole, ColumnType::Truth]);
        let mut needed = Vec::new();
        node.columns(&mut needed);
        assert_eq!(needed, [0, 1]);
        let arrays: [ArrayRef; 2] = [
            Arc::new(arrow::array::Int64Array::from(vec![1, 2])),
            Arc::new(arrow::array::BooleanArray::from(vec![true, false])),
        ];
        let built = node.array(&field, &mut arrays.into_iter(), 2).expect("two rows");
        assert_eq!(built.data_type(), field.data_type());
        let missing = node.array(&field, &mut std::iter::empty(), 2).expect_err("no values");
        assert!(missing.to_string().contains("a column has no values"), "{missing}");
    }

    #[test]
    fn a_name_is_that_of_a_file_where_it_looks_like_one_or_is_one() {
        let dir = tempfile::tempdir().expect("a folder");
        let plain = dir.path().join("plain");
        std::fs::write(&plain, "x").expect("a file");
        for name in ["a.csv", "a.parquet", "a.jsonl.gz", "folder/a", "part*", "day=?", "-", "a.jsonl#topic"] {
            assert!(is_path(name), "{name}");
        }
        assert!(is_path(&plain.to_string_lossy()));
        for name in ["windows", "decisions", "a_table", "csv", "t#opic"] {
            assert!(!is_path(name), "{name}");
        }
    }

    #[test]
    fn behind_the_last_number_sign_stands_a_topic_unless_a_file_is_called_so() {
        assert_eq!(divided("a.jsonl"), ("a.jsonl".into(), None));
        assert_eq!(divided("a.jsonl#p"), ("a.jsonl".into(), Some("p")));
        assert_eq!(divided("a#b.jsonl#p"), ("a#b.jsonl".into(), Some("p")));
        let dir = tempfile::tempdir().expect("a folder");
        let odd = dir.path().join("a#b.csv");
        std::fs::write(&odd, "x").expect("a file");
        assert_eq!(divided(&odd.to_string_lossy()), (odd.clone(), None));
    }

    #[test]
    fn of_several_topics_one_is_named() {
        let dir = tempfile::tempdir().expect("a folder");
        let file = dir.path().join("log.jsonl");
        let line = |topic: &str| format!("{{\"topic\":\"{topic}\",\"value\":{{\"x\":1}}}}\n");
        let open = |topics: &[&str]| {
            std::fs::write(&file, topics.iter().map(|topic| line(topic)).collect::<String>()).expect("a file");
            Table::open_together(std::slice::from_ref(&file)).expect("tables")
        };
        let found = |topics: &[&str], topic| one_of(open(topics), topic).map(|table| table.topic);
        assert_eq!(found(&["p"], None).expect("one"), Some("p".to_owned()));
        assert_eq!(found(&["p", "o"], Some("o")).expect("one"), Some("o".to_owned()));
        let several = found(&["p", "o"], None).expect_err("two");
        assert!(several.to_string().contains("holds several topics: "), "{several}");
        assert!(several.advice().is_some_and(|hint| hint.starts_with("name one behind the path, as in '")));
        let none = found(&["p"], Some("x")).expect_err("another");
        assert_eq!(none.to_string(), format!("{} holds no topic `x`", file.display()));
        assert_eq!(none.advice(), Some("it holds: p"));
    }
}
