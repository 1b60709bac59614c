//! Tables of a store inside the plans that a client sends to its scheduler: which files, as the client's manifests have
//! it.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use ballista_core::serde::BallistaLogicalExtensionCodec;
use datafusion::catalog::TableProvider;
use datafusion::common::TableReference;
use datafusion::datasource::file_format::FileFormatFactory;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::TaskContext;
use datafusion::logical_expr::{Extension, LogicalPlan};
use datafusion_proto::logical_plan::LogicalExtensionCodec;

use crate::query::stored::Stored;

/// Knows the tables of a store, and leaves everything else to Ballista.
#[derive(Debug, Default)]
pub(super) struct StoreCodec(BallistaLogicalExtensionCodec);

impl LogicalExtensionCodec for StoreCodec {
    fn try_encode_table_provider(
        &self,
        name: &TableReference,
        table: Arc<dyn TableProvider>,
        into: &mut Vec<u8>,
    ) -> Result<()> {
        let Some(stored) = table.downcast_ref::<Stored>() else {
            return self.0.try_encode_table_provider(name, table, into);
        };
        serde_json::to_writer(into, &stored.described()).map_err(|error| DataFusionError::External(error.into()))
    }

    fn try_decode_table_provider(
        &self,
        from: &[u8],
        name: &TableReference,
        schema: SchemaRef,
        context: &TaskContext,
    ) -> Result<Arc<dyn TableProvider>> {
        match serde_json::from_slice(from) {
            Ok(described) => Ok(Arc::new(Stored::from_described(described)?)),
            Err(_) => self.0.try_decode_table_provider(from, name, schema, context),
        }
    }

    fn try_decode(&self, from: &[u8], inputs: &[LogicalPlan], context: &TaskContext) -> Result<Extension> {
        self.0.try_decode(from, inputs, context)
    }

    fn try_encode(&self, node: &Extension, into: &mut Vec<u8>) -> Result<()> {
        self.0.try_encode(node, into)
    }

    fn try_decode_file_format(&self, from: &[u8], context: &TaskContext) -> Result<Arc<dyn FileFormatFactory>> {
        self.0.try_decode_file_format(from, context)
    }

    fn try_encode_file_format(&self, into: &mut Vec<u8>, format: Arc<dyn FileFormatFactory>) -> Result<()> {
        self.0.try_encode_file_format(into, format)
    }
}
