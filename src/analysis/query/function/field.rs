//! `record['field']`: one field of a record, such as `histogram['counts']`.

use datafusion::common::DFSchema;
use datafusion::error::Result;
use datafusion::functions::core::get_field;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawFieldAccessExpr};
use datafusion::logical_expr::{GetFieldAccess, lit};

/// Plans the access to fields.
#[derive(Debug)]
pub(super) struct FieldAccess;

impl ExprPlanner for FieldAccess {
    fn plan_field_access(&self, access: RawFieldAccessExpr, _: &DFSchema) -> Result<PlannerResult<RawFieldAccessExpr>> {
        match access.field_access {
            GetFieldAccess::NamedStructField { name } => {
                Ok(PlannerResult::Planned(get_field().call(vec![access.expr, lit(name)])))
            }
            field_access => Ok(PlannerResult::Original(RawFieldAccessExpr { field_access, expr: access.expr })),
        }
    }
}
