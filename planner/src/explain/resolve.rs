//! What a statement's plans are about: its tables, and the types of their columns.

use std::collections::HashMap;

use arrow::datatypes::DataType;
use datafusion::common::DFSchema;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan};

use super::cost;
use crate::bind::{LateralQuery, SubPlan, SubQuery};
use crate::call::{PgType, callable_of};
use crate::df::project_set::ProjectSet;
use crate::push::family_scan::family_of;
use crate::push::lower::scan_of;

/// Tables and types.
#[derive(Default)]
pub(super) struct Around {
    /// By `table.column` and by `column`.
    pub(super) types: HashMap<String, PgType>,
    /// Tables, functions, VALUES and subqueries in FROM, those of subqueries counted.
    pub(super) tables: usize,
}

impl Around {
    fn learn(&mut self, table: Option<&str>, column: &str, ty: PgType) {
        if let Some(table) = table {
            self.types.entry(format!("{table}.{column}")).or_insert(ty);
        }
        self.types.entry(column.to_owned()).or_insert(ty);
    }

    /// Looks at a plan and the queries inside it.
    pub(super) fn see(&mut self, plan: &LogicalPlan) {
        if let Some(scan) = scan_of(plan) {
            self.tables += 1;
            let table = scan.spec.qualifier.as_ref().map(|q| q.table().to_owned());
            for column in scan.spec.source.columns() {
                self.learn(table.as_deref(), &column.name, column.ty);
            }
            scan.spec.filter.iter().for_each(|e| self.see_expr(e));
        }
        if let Some(family) = family_of(plan) {
            // The table and those it is about.
            self.tables += 2;
            let scan = &family.whole.scan;
            for column in family.whole.source.columns() {
                self.learn(Some(scan.table_name.table()), &column.name, column.ty);
            }
            scan.filters.iter().for_each(|e| self.see_expr(e));
        }
        match plan {
            LogicalPlan::Values(_) | LogicalPlan::SubqueryAlias(_) => self.tables += 1,
            LogicalPlan::TableScan(_) => self.tables += 1,
            LogicalPlan::Extension(e) => {
                if let Some(set) = e.node.as_any().downcast_ref::<ProjectSet>() {
                    self.see_set(set);
                }
            }
            _ => {}
        }
        // The walk itself cannot fail.
        let _ = plan.apply_expressions(|e| {
            self.see_expr(e);
            Ok(TreeNodeRecursion::Continue)
        });
        plan.inputs().into_iter().for_each(|input| self.see(input));
    }

    fn see_set(&mut self, set: &ProjectSet) {
        self.tables += 1;
        let schema = datafusion::logical_expr::UserDefinedLogicalNodeCore::schema(set);
        let added = schema.iter().skip(set.input.schema().fields().len());
        let types = set.calls.iter().flat_map(|c| c.function.columns());
        for ((qualifier, field), ty) in added.zip(types) {
            self.learn(qualifier.map(|q| q.table()), field.name(), *ty);
        }
        for call in &set.calls {
            if let Some(query) = lateral(call.function.as_ref()) {
                self.see(&query.plan);
            }
        }
    }

    /// Looks at the queries inside an expression.
    pub(super) fn see_expr(&mut self, expr: &Expr) {
        let _ = expr.apply(|e| {
            if let Some(plan) =
                callable_of(e).and_then(|(c, _)| c.as_any().downcast_ref::<SubPlan>())
            {
                self.see(&plan.query.plan);
            }
            Ok(TreeNodeRecursion::Continue)
        });
    }
}

/// The query of a LATERAL subquery.
pub(super) fn lateral(function: &dyn crate::df::SetCallable) -> Option<&std::sync::Arc<SubQuery>> {
    function.as_any().downcast_ref::<LateralQuery>().map(LateralQuery::query)
}

/// Bytes an expression's values take; of what says nothing of its type, Arrow's.
pub(super) fn width(expr: &Expr, ty: Option<PgType>, schema: &DFSchema) -> usize {
    match ty {
        Some(ty) => cost::width(ty),
        None => expr.get_type(schema).map_or(8, |ty| arrow_width(&ty)),
    }
}

/// Bytes a value of a type takes in memory, 32 where they vary.
pub(super) fn arrow_width(ty: &DataType) -> usize {
    match ty {
        DataType::Boolean => 1,
        DataType::FixedSizeBinary(n) => usize::try_from(*n).unwrap_or(16),
        other => other.primitive_width().unwrap_or(32),
    }
}
