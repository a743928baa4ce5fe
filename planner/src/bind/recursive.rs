//! WITH RECURSIVE.

use std::sync::Arc;

use arrow::datatypes::{Field, Schema};
use datafusion::catalog::cte_worktable::CteWorkTable;
use datafusion::datasource::provider_as_source;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder};
use sqlparser::ast::{self, SetExpr};
use vicinity_types::{PgError, Result, SqlState};

use super::cte::{Cte, rename};
use super::order::key;
use super::{Binder, Bound};
use crate::call::{PgType, Typed, internal};
use crate::df::unseen::Unseen;

impl Binder<'_> {
    /// `initial UNION [ALL] step`, where the step reads what the last one gave.
    pub(super) fn recursive(
        &mut self,
        name: &str,
        cte: &ast::Cte,
        left: &SetExpr,
        right: &SetExpr,
        all: bool,
    ) -> Result<Bound> {
        self.levels.push(super::Level::default());
        let first = self.body(left, &[]);
        self.levels.pop();
        let mut first = first?;
        rename(&mut first.columns, &cte.alias)?;
        let work = self.unique(&format!("{name}_work"));
        let fields: Vec<Field> = first
            .columns
            .iter()
            .enumerate()
            .map(|(i, c)| Field::new(format!("c{i}"), c.ty.arrow(), true))
            .collect();
        let initial = LogicalPlanBuilder::from(first.plan.clone())
            .project(
                Self::outputs(&first)
                    .into_iter()
                    .enumerate()
                    .map(|(i, v)| v.expr.alias(format!("c{i}"))),
            )
            .and_then(LogicalPlanBuilder::build)
            .map_err(internal)?;
        let table = Arc::new(CteWorkTable::new(&work, Arc::new(Schema::new(fields))));
        let scan = LogicalPlanBuilder::scan(work.as_str(), provider_as_source(table), None)
            .and_then(LogicalPlanBuilder::build)
            .map_err(internal)?;
        let own =
            Cte { work: true, bound: Some(Bound { plan: scan, columns: first.columns.clone() }) };
        self.level().ctes.insert(name.to_owned(), Arc::new(own));
        let ctes = self.level().ctes.clone();
        self.levels.push(super::Level { ctes, ..super::Level::default() });
        let step = self.body(right, &[]);
        self.levels.pop();
        let step = step?;
        if step.columns.len() != first.columns.len() {
            return Err(PgError::new(
                SqlState::SYNTAX_ERROR,
                "each UNION query must have the same number of columns",
            ));
        }
        for (i, (a, b)) in first.columns.iter().zip(&step.columns).enumerate() {
            if a.ty.oid != b.ty.oid {
                let common = crate::resolve::common::require_common(
                    &self.types,
                    &[a.ty.oid, b.ty.oid],
                    "UNION",
                )?;
                if common != a.ty.oid {
                    return Err(PgError::new(
                        SqlState::DATATYPE_MISMATCH,
                        format!(
                            "recursive query \"{name}\" column {} has type {} in non-recursive term but type {} overall",
                            i + 1,
                            self.types.name(a.ty.oid),
                            self.types.name(common)
                        ),
                    )
                    .hint("Cast the output of the non-recursive term to the correct type."));
                }
            }
        }
        let types: Vec<_> = first.columns.iter().map(|c| c.ty).collect();
        let step = self.cast_columns(step, &types)?;
        let outputs = Self::outputs(&step);
        let step = LogicalPlanBuilder::from(step.plan)
            .project(outputs.into_iter().enumerate().map(|(i, v)| v.expr.alias(format!("c{i}"))))
            .and_then(LogicalPlanBuilder::build)
            .map_err(internal)?;
        let (initial, step) = match all {
            true => (initial, step),
            false => {
                let number = Unseen::new_number();
                (unseen(initial, number, &types), unseen(step, number, &types))
            }
        };
        let plan = LogicalPlanBuilder::from(initial)
            .to_recursive_query(work, step, false)
            .and_then(LogicalPlanBuilder::build)
            .map_err(internal)?;
        Ok(Bound { plan, columns: first.columns })
    }
}

/// The rows that neither term gave before.
fn unseen(plan: LogicalPlan, number: u64, types: &[PgType]) -> LogicalPlan {
    let columns = plan.schema().columns().into_iter().zip(types);
    let keys = columns.map(|(c, ty)| key(Typed::new(Expr::Column(c), *ty))).collect();
    Unseen { input: plan, number, keys }.plan()
}
