//! `Append`: UNION ALL as a node of our own, so that it stays on one thread; and the scans of a family whose rows come
//! in order, merged.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use datafusion::common::DFSchemaRef;
use datafusion::logical_expr::{Expr, LogicalPlan, SortExpr, UserDefinedLogicalNodeCore};

/// Its inputs' rows one after the other, or merged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Append {
    /// The inputs.
    pub inputs: Vec<Arc<LogicalPlan>>,
    /// The union's schema.
    pub schema: DFSchemaRef,
    /// The order each input has, and all together are to have; empty if none.
    pub order: Vec<SortExpr>,
}

/// The inputs of a plan that puts rows behind each other, and the order they are merged in.
pub(crate) fn appended(plan: &LogicalPlan) -> Option<(&[Arc<LogicalPlan>], &[SortExpr])> {
    match plan {
        LogicalPlan::Union(u) => Some((&u.inputs, &[])),
        LogicalPlan::Extension(e) => {
            let append = e.node.as_any().downcast_ref::<Append>()?;
            Some((&append.inputs, &append.order))
        }
        _ => None,
    }
}

impl Hash for Append {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.inputs.hash(state);
        self.order.hash(state);
    }
}

impl PartialOrd for Append {
    fn partial_cmp(&self, other: &Append) -> Option<Ordering> {
        (self == other).then_some(Ordering::Equal)
    }
}

impl UserDefinedLogicalNodeCore for Append {
    fn name(&self) -> &str {
        "Append"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        self.inputs.iter().map(|i| &**i).collect()
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        Vec::new()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.order.is_empty() { "Append" } else { "Merge Append" })
    }

    fn with_exprs_and_inputs(
        &self,
        _exprs: Vec<Expr>,
        inputs: Vec<LogicalPlan>,
    ) -> datafusion::common::Result<Self> {
        Ok(Append {
            inputs: inputs.into_iter().map(Arc::new).collect(),
            schema: self.schema.clone(),
            order: self.order.clone(),
        })
    }
}
