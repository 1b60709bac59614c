//! A table of a store as `DataFusion` sees it: the files that the manifests name, with the day of each as a column.
//!
//! Which files a query needs is decided by what the manifests say of them (day, model, times), before one is opened.

#[expect(clippy::disallowed_types, reason = "a trait of DataFusion's asks for it; it is not read")]
use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Date32Array, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::pruning::PruningStatistics;
use datafusion::common::{Column, DFSchema, ScalarValue};
use datafusion::datasource::TableType;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::error::Result;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_optimizer::pruning::PruningPredicateBuilder;
use datafusion::physical_plan::ExecutionPlan;
use object_store::path::Path;

use crate::store::{StoreTable, StoredFile};

/// Name of the column that holds the day.
const DATE: &str = "date";

/// A table of a store.
#[derive(Debug)]
pub(super) struct Stored {
    table: StoreTable,
    url: ObjectStoreUrl,
    /// Files with their places in the object store.
    files: Vec<(StoredFile, Path)>,
    layout: TableSchema,
}

impl Stored {
    /// The table over its files, in the object store that is registered under `url`.
    pub(super) fn new(table: StoreTable, url: ObjectStoreUrl, files: Vec<(StoredFile, Path)>) -> Self {
        let day = Arc::new(Field::new(DATE, DataType::Date32, false));
        let layout = TableSchema::builder(table.schema()).with_table_partition_cols(vec![day]).build();
        Self { table, url, files, layout }
    }

    /// What another process must know to make the same table.
    #[cfg(feature = "ballista")]
    pub(super) fn described(&self) -> Described {
        let files = self.files.iter().map(|(file, path)| (file.clone(), path.to_string())).collect();
        Described { table: self.table, url: self.url.as_str().to_owned(), files }
    }

    /// The table that another process described.
    #[cfg(feature = "ballista")]
    pub(super) fn from_described(described: Described) -> Result<Self> {
        let placed = |(file, path): (StoredFile, String)| Ok((file, Path::parse(path)?));
        let files = described.files.into_iter().map(placed).collect::<Result<_>>()?;
        Ok(Self::new(described.table, ObjectStoreUrl::parse(described.url)?, files))
    }

    /// The files that may hold rows for which the predicate is true.
    fn needed(&self, predicate: Option<&Arc<dyn PhysicalExpr>>) -> Result<Vec<PartitionedFile>> {
        let all = || self.files.iter().map(partitioned);
        let Some(predicate) = predicate else { return Ok(all().collect()) };
        let pruning =
            PruningPredicateBuilder::new().with_file_schema(self.schema()).try_build(Arc::clone(predicate))?;
        let kept = pruning.prune(self)?;
        Ok(all().zip(kept).filter_map(|(file, kept)| kept.then_some(file)).collect())
    }
}

/// A table as it is told to another process.
#[cfg(feature = "ballista")]
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub(super) struct Described {
    table: StoreTable,
    url: String,
    files: Vec<(StoredFile, String)>,
}

fn partitioned((file, location): &(StoredFile, Path)) -> PartitionedFile {
    let mut partitioned = PartitionedFile::new("", file.bytes);
    partitioned.object_meta.location = location.clone();
    partitioned.partition_values = vec![ScalarValue::Date32(day(&file.date))];
    partitioned
}

/// Days since 1970 of `YYYY-MM-DD`.
fn day(date: &str) -> Option<i32> {
    arrow::compute::cast(&StringArray::from(vec![date]), &DataType::Date32)
        .ok()
        .and_then(|days| Some(days.as_any().downcast_ref::<Date32Array>()?.value(0)))
}

/// Deals files out to threads, so that each reads about as many bytes.
fn dealt(mut files: Vec<PartitionedFile>, n: usize) -> Vec<FileGroup> {
    files.sort_by(|a, b| {
        (b.object_meta.size, &a.object_meta.location).cmp(&(a.object_meta.size, &b.object_meta.location))
    });
    let n = n.clamp(1, files.len().max(1));
    let mut hands: Vec<Vec<PartitionedFile>> = vec![Vec::new(); n];
    for (place, file) in files.into_iter().enumerate() {
        let turn = place % (2 * n);
        hands[if turn < n { turn } else { 2 * n - 1 - turn }].push(file);
    }
    hands.into_iter().map(FileGroup::new).collect()
}

#[async_trait]
impl TableProvider for Stored {
    fn schema(&self) -> SchemaRef {
        Arc::clone(self.layout.table_schema())
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let schema = DFSchema::try_from(self.schema())?;
        let predicate = conjunction(filters.to_vec());
        let predicate = predicate.map(|expr| state.create_physical_expr(expr, &schema)).transpose()?;
        let files = self.needed(predicate.as_ref())?;
        let mut source = ParquetSource::new(self.layout.clone());
        if let Some(predicate) = predicate {
            source = source.with_predicate(predicate);
        }
        let config = FileScanConfigBuilder::new(self.url.clone(), Arc::new(source))
            .with_file_groups(dealt(files, state.config().target_partitions()))
            .with_projection_indices(projection.cloned())?
            .with_limit(limit)
            .build();
        Ok(DataSourceExec::from_data_source(config))
    }
}

/// What the manifests know of each file.
impl PruningStatistics for Stored {
    fn min_values(&self, column: &Column) -> Option<ArrayRef> {
        self.bound(column, |file| file.from)
    }

    fn max_values(&self, column: &Column) -> Option<ArrayRef> {
        self.bound(column, |file| file.to)
    }

    fn num_containers(&self) -> usize {
        self.files.len()
    }

    fn null_counts(&self, _: &Column) -> Option<ArrayRef> {
        None
    }

    fn row_counts(&self) -> Option<ArrayRef> {
        None
    }

    #[expect(clippy::disallowed_types, reason = "a trait of `DataFusion`'s asks for it; it is not read")]
    fn contained(&self, _: &Column, _: &HashSet<ScalarValue>) -> Option<BooleanArray> {
        None
    }
}

impl Stored {
    fn bound(&self, column: &Column, time: impl Fn(&StoredFile) -> i64) -> Option<ArrayRef> {
        let files = self.files.iter().map(|(file, _)| file);
        let (first, last) = self.table.times();
        match column.name.as_str() {
            DATE => Some(Arc::new(files.map(|file| day(&file.date)).collect::<Date32Array>())),
            "model" => Some(Arc::new(StringArray::from_iter_values(files.map(|file| &file.model)))),
            name if name == first || name == last => {
                let times = TimestampMicrosecondArray::from_iter_values(files.map(time));
                Some(Arc::new(times.with_timezone("UTC")))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use datafusion::prelude::{SessionContext, col, lit};
    use proptest::prelude::*;

    use super::*;
    use crate::event::Micros;

    const DAY: Micros = 86_400_000_000;

    /// A file of some hours of a day in January 1970.
    fn file(day: i64, hours: (i64, i64), model: &str, bytes: u64) -> (StoredFile, Path) {
        let at = |hour: i64| (day - 1) * DAY + hour * DAY / 24;
        let path = format!("windows/{day}-{}-{model}.parquet", hours.0);
        let described = serde_json::json!({
            "table": "windows", "path": path, "date": format!("1970-01-{day:02}"), "model": model, "rows": 1,
            "bytes": bytes, "from": at(hours.0), "to": at(hours.1),
        });
        (serde_json::from_value(described).expect("a file"), Path::from(path))
    }

    fn stored(files: Vec<(StoredFile, Path)>) -> Stored {
        Stored::new(StoreTable::Windows, ObjectStoreUrl::parse("memory://").expect("a URL"), files)
    }

    /// The places of the files that a predicate needs.
    fn needed(table: &Stored, predicate: Expr) -> Vec<usize> {
        let schema = DFSchema::try_from(table.schema()).expect("a schema");
        let predicate = SessionContext::new().state().create_physical_expr(predicate, &schema).expect("an expression");
        let kept = table.needed(Some(&predicate)).expect("files");
        let place =
            |file: &PartitionedFile| table.files.iter().position(|(_, path)| *path == file.object_meta.location);
        kept.iter().filter_map(place).collect()
    }

    fn time(at: Micros) -> Expr {
        lit(ScalarValue::TimestampMicrosecond(Some(at), Some("UTC".into())))
    }

    #[test]
    fn only_files_that_may_hold_what_is_asked_for_are_opened() {
        let table = stored(vec![file(1, (0, 12), "a", 1), file(1, (12, 24), "b", 1), file(2, (0, 6), "a", 1)]);
        let day = |day: i32| lit(ScalarValue::Date32(Some(day)));
        let cases = [
            (col("model").eq(lit("a")), vec![0, 2]),
            (col("model").eq(lit("c")), vec![]),
            (col(DATE).eq(day(0)), vec![0, 1]),
            (col(DATE).gt(day(0)), vec![2]),
            (col("window_start").gt(time(DAY)), vec![2]),
            (col("window_start").lt(time(DAY / 2)), vec![0]),
            (col("window_end").lt_eq(time(DAY / 2)), vec![0, 1]),
            (col("model").eq(lit("a")).and(col(DATE).eq(day(0))), vec![0]),
            (col("metric").eq(lit("psi")), vec![0, 1, 2]),
        ];
        for (predicate, expected) in cases {
            let text = predicate.to_string();
            assert_eq!(needed(&table, predicate), expected, "{text}");
        }
        assert_eq!(table.needed(None).expect("files").len(), 3);
    }

    proptest! {
        #[test]
        fn no_file_is_left_out_that_holds_a_row_of_the_time(
            files in proptest::collection::vec((1..9_i64, 0..23_i64, 1..9_i64), 1..8),
            at in 0..9 * 24_i64,
        ) {
            let described = files.iter().map(|&(day, from, hours)| file(day, (from, from + hours), "m", 1));
            let table = stored(described.collect());
            let at = at * DAY / 24;
            let kept = needed(&table, col("window_start").eq(time(at)));
            let kept: BTreeSet<&str> = kept.iter().map(|&place| table.files[place].0.path.as_str()).collect();
            for (file, _) in &table.files {
                prop_assert!(kept.contains(file.path.as_str()) || !(file.from..=file.to).contains(&at), "{}", file.path);
            }
        }

        #[test]
        fn every_file_is_dealt_once_and_no_thread_has_two_more_than_another(
            sizes in proptest::collection::vec(1..1_000_u64, 0..30), n in 0..9_usize,
        ) {
            let all = || sizes.iter().enumerate().map(|(at, &bytes)| partitioned(&file(1, (0, 1), &format!("m{at}"), bytes)));
            let hands = dealt(all().collect(), n);
            let files = hands.iter().flat_map(FileGroup::iter).map(|file| file.object_meta.location.to_string());
            let dealt: BTreeSet<String> = files.collect();
            prop_assert_eq!(dealt, all().map(|file| file.object_meta.location.to_string()).collect());
            let lengths: Vec<usize> = hands.iter().map(FileGroup::len).collect();
            prop_assert_eq!(lengths.iter().sum::<usize>(), sizes.len());
            prop_assert_eq!(hands.len(), n.clamp(1, sizes.len().max(1)));
            prop_assert!(lengths.iter().max().zip(lengths.iter().min()).is_some_and(|(most, fewest)| most - fewest <= 1));
        }
    }

    #[test]
    fn large_files_are_dealt_like_cards_back_and_forth() {
        let files = [5, 4, 3, 2, 1].map(|bytes| partitioned(&file(1, (0, 1), &format!("m{bytes}"), bytes)));
        let hands = dealt(files.to_vec(), 2);
        let sizes = |hand: &FileGroup| hand.iter().map(|file| file.object_meta.size).collect::<Vec<_>>();
        assert_eq!(hands.iter().map(sizes).collect::<Vec<_>>(), [vec![5, 2, 1], vec![4, 3]]);
    }

    #[test]
    fn days_are_counted_from_1970() {
        assert_eq!(["1970-01-01", "1970-01-02", "2000-02-29"].map(day), [Some(0), Some(1), Some(11_016)]);
    }
}
