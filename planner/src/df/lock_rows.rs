//! `LockRows`: rows of tables are locked as they pass (FOR UPDATE, FOR SHARE), in whatever query.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchemaRef, DataFusionError, Result as DfResult};
use datafusion::logical_expr::{Expr, Extension, LogicalPlan, UserDefinedLogicalNodeCore};
use vicinity_types::Oid;

use crate::row::lock::RowLocks;

/// A table whose rows are locked.
#[derive(Clone, Debug)]
pub struct LockTarget {
    /// The table.
    pub relation: Oid,
    /// The column with its rows' ids.
    pub id: Expr,
    /// The column with the tables they are in.
    pub table: Expr,
    /// Whether that may be another table, which inherits from this one.
    pub is_family: bool,
    /// How they are locked.
    pub locks: RowLocks,
}

impl LockTarget {
    /// The columns it needs.
    pub fn columns(&self) -> impl Iterator<Item = &Expr> {
        std::iter::once(&self.id).chain(Some(&self.table).filter(|_| self.is_family))
    }
}

/// The logical node.
#[derive(Clone, Debug)]
pub struct LockRows {
    /// The rows.
    pub input: Arc<LogicalPlan>,
    /// The tables.
    pub targets: Vec<LockTarget>,
    /// The input before parameters were put into it: how a row that changed meanwhile is found again.
    pub again: Option<Arc<LogicalPlan>>,
}

/// Puts the node over a plan.
pub fn lock_rows(input: LogicalPlan, targets: Vec<LockTarget>) -> LogicalPlan {
    let node = LockRows { input: Arc::new(input), targets, again: None };
    LogicalPlan::Extension(Extension { node: Arc::new(node) })
}

/// The node a plan is, if it is one.
pub fn lock_rows_of(plan: &LogicalPlan) -> Option<&LockRows> {
    let LogicalPlan::Extension(e) = plan else { return None };
    e.node.as_any().downcast_ref::<LockRows>()
}

/// Lets every such node of a plan remember its input as it is now.
pub fn remembering(plan: LogicalPlan) -> DfResult<LogicalPlan> {
    let done = plan.transform_down(|plan| {
        Ok(match lock_rows_of(&plan) {
            Some(node) if node.again.is_none() => {
                let node = LockRows { again: Some(node.input.clone()), ..node.clone() };
                Transformed::yes(LogicalPlan::Extension(Extension { node: Arc::new(node) }))
            }
            _ => Transformed::no(plan),
        })
    });
    Ok(done?.data)
}

impl LockRows {
    fn identity(&self) -> String {
        format!("{:?}", self.targets)
    }
}

impl PartialEq for LockRows {
    fn eq(&self, other: &LockRows) -> bool {
        self.input == other.input && self.identity() == other.identity()
    }
}

impl Eq for LockRows {}

impl Hash for LockRows {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.input.hash(state);
        self.identity().hash(state);
    }
}

impl PartialOrd for LockRows {
    fn partial_cmp(&self, other: &LockRows) -> Option<Ordering> {
        (self == other).then_some(Ordering::Equal)
    }
}

impl UserDefinedLogicalNodeCore for LockRows {
    fn name(&self) -> &str {
        "LockRows"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        self.input.schema()
    }

    fn expressions(&self) -> Vec<Expr> {
        self.targets.iter().flat_map(LockTarget::columns).cloned().collect()
    }

    /// Rows that a query outside does not take are not locked: what it asks of them comes first.
    fn prevent_predicate_push_down_columns(&self) -> HashSet<String> {
        HashSet::new()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LockRows")
    }

    fn with_exprs_and_inputs(&self, exprs: Vec<Expr>, inputs: Vec<LogicalPlan>) -> DfResult<Self> {
        let short = || DataFusionError::Internal("LockRows without input".to_owned());
        let input = Arc::new(inputs.into_iter().next().ok_or_else(short)?);
        let mut exprs = exprs.into_iter();
        let mut next = |have: &Expr| exprs.next().unwrap_or_else(|| have.clone());
        let mut targets = self.targets.clone();
        for t in &mut targets {
            t.id = next(&t.id);
            if t.is_family {
                t.table = next(&t.table);
            }
        }
        Ok(LockRows { input, targets, again: self.again.clone() })
    }

    fn necessary_children_exprs(&self, output: &[usize]) -> Option<Vec<Vec<usize>>> {
        let schema = self.input.schema();
        let mut needed = output.to_vec();
        for target in &self.targets {
            let columns = target.columns().flat_map(Expr::column_refs);
            needed.extend(columns.filter_map(|c| schema.index_of_column(c).ok()));
        }
        needed.sort_unstable();
        needed.dedup();
        Some(vec![needed])
    }
}
