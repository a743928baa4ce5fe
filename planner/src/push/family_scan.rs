//! The scan of a family of which the filter's values are not known yet: which tables it is about is found when it begins,
//! and only those are planned.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use datafusion::common::DFSchemaRef;
use datafusion::common::tree_node::TreeNode;
use datafusion::logical_expr::{Expr, LogicalPlan, UserDefinedLogicalNodeCore, Volatility};
use parking_lot::Mutex;
use vicinity_storage::catalog::model::Relation;
use vicinity_types::{Datum, Kind, Oid, Result};

use super::family::{Descent, Whole};
use crate::call::{PgType, callable_of};
use crate::context::ExecContext;
use crate::measure::new_number;
use crate::partition::{self, Pruning};
use crate::row::{Compiler, Frame, Node, RowRef, Scope, parameter};

/// A family's scan. Its rows come in the order asked for, sorted if no index gives it.
#[derive(Clone)]
pub(crate) struct FamilyScan {
    pub(crate) whole: Arc<Whole>,
    /// Figures of its tables are kept by it: each has its place in the family.
    pub(crate) id: u64,
}

/// A value that a partition key is compared with.
struct Value {
    expr: Expr,
    node: Node,
    /// When it is known.
    from: Known,
}

/// One of the family that is cut.
struct Level {
    pruning: Pruning,
    values: Vec<Value>,
}

/// Which values are known, later ones with those before them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Known {
    /// Those that are written.
    Written,
    /// Those of parameters, where a plan is made for them.
    Planned,
    /// What a statement finds when it begins.
    Begun,
    /// What takes queries to know.
    All,
}

/// Finds the tables a scan is about.
pub(crate) struct Pruner {
    scan: FamilyScan,
    params: Vec<Kind>,
    levels: Mutex<HashMap<Oid, Arc<Level>>>,
}

impl FamilyScan {
    pub(super) fn new(whole: Whole) -> FamilyScan {
        FamilyScan { whole: Arc::new(whole), id: new_number() }
    }

    /// The types of what comes out.
    pub(crate) fn types(&self) -> Vec<PgType> {
        let columns = self.whole.source.columns();
        let all = || (0..columns.len()).collect();
        let projection: Vec<usize> = self.whole.scan.projection.clone().unwrap_or_else(all);
        projection.iter().filter_map(|i| columns.get(*i)).map(|c| c.ty).collect()
    }

    /// Any table of the family that has rows.
    pub(crate) fn some_member(&self, ctx: &ExecContext) -> Result<Option<Arc<Relation>>> {
        let mut next = Some(self.whole.source.relation().clone());
        while let Some(table) = next.take_if(|t| partition::is_partitioned(t)) {
            next = ctx.catalog.children_of(table.oid).next().cloned();
        }
        Ok(next)
    }
}

impl Level {
    fn new(pruning: Pruning, params: &[Kind]) -> Result<Level> {
        let mut compiler = Compiler::new(Scope::empty(), params.to_vec());
        compiler.set_single();
        let mut values = Vec::new();
        for (expr, key) in pruning.values().filter(|(e, _)| !partition::is_written(e)) {
            let kind = compiler.kind_of(expr).unwrap_or(key);
            let node = compiler.compile(expr, kind)?;
            let from = match () {
                () if node.runs_statements() => Known::All,
                () if is_settled(expr) => Known::Planned,
                () => Known::Begun,
            };
            values.push(Value { expr: expr.clone(), from, node });
        }
        Ok(Level { pruning, values })
    }

    fn needed(&self, ctx: &ExecContext, params: &[Datum], known: Known) -> Result<Vec<Oid>> {
        let value = |e: &Expr, kind| {
            let Some(value) = self.values.iter().find(|v| v.expr == *e) else {
                return partition::literal(e, kind);
            };
            if known < value.from || needs_more(e, params.len()) {
                return Ok(None);
            }
            value.node.eval(&Frame { ctx, params, once: &[], row: RowRef::None }).map(Some)
        };
        self.pruning.needed(ctx, &value)
    }
}

/// Whether an expression has one value for the same parameters.
fn is_settled(expr: &Expr) -> bool {
    let stable =
        |e: &Expr| callable_of(e).is_some_and(|(c, _)| c.volatility() != Volatility::Immutable);
    !expr.exists(|e| Ok(stable(e))).unwrap_or(true)
}

/// Whether an expression is over more parameters than there are.
fn needs_more(expr: &Expr, params: usize) -> bool {
    let more = |e: &Expr| match e {
        Expr::Placeholder(p) => parameter(&p.id).is_none_or(|at| at >= params),
        _ => false,
    };
    expr.exists(|e| Ok(more(e))).unwrap_or(true)
}

impl Pruner {
    /// `params`: how the parameters are held.
    pub(crate) fn new(scan: &FamilyScan, params: &[Kind]) -> Pruner {
        Pruner { scan: scan.clone(), params: params.to_vec(), levels: Mutex::default() }
    }

    /// The table that the query names.
    pub(crate) fn named(&self) -> Oid {
        self.scan.whole.source.relation().oid
    }

    fn level(&self, ctx: &ExecContext, table: &Arc<Relation>) -> Result<Arc<Level>> {
        if let Some(level) = self.levels.lock().get(&table.oid) {
            return Ok(level.clone());
        }
        let level = Arc::new(Level::new(self.scan.whole.pruning(ctx, table)?, &self.params)?);
        Ok(self.levels.lock().entry(table.oid).or_insert(level).clone())
    }

    /// The tables that may have rows.
    pub(crate) fn needed(
        &self,
        ctx: &ExecContext,
        params: &[Datum],
        known: Known,
    ) -> Result<Vec<Arc<Relation>>> {
        let table = self.scan.whole.source.relation();
        let mut descent = Descent::new(&self.scan.whole, ctx);
        descent.take(table, &mut |table| {
            self.level(ctx, table)?.needed(ctx, params, known).map(Some)
        })?;
        Ok(descent.members)
    }

    /// Whether there will be one table at most.
    pub(crate) fn is_single(&self, ctx: &ExecContext) -> Result<bool> {
        let mut next = Some(self.scan.whole.source.relation().clone());
        while let Some(table) = next.take_if(|t| partition::is_partitioned(t)) {
            if !self.level(ctx, &table)?.pruning.is_single() {
                return Ok(false);
            }
            next = ctx.catalog.children_of(table.oid).next().cloned();
        }
        Ok(true)
    }
}

/// A family's scan, if a plan is one.
pub(crate) fn family_of(plan: &LogicalPlan) -> Option<&FamilyScan> {
    let LogicalPlan::Extension(e) = plan else { return None };
    e.node.as_any().downcast_ref::<FamilyScan>()
}

impl fmt::Debug for FamilyScan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FamilyScan({})", self.whole.source.relation().name)
    }
}

// Two scans are never the same: each stands where it was put.
impl PartialEq for FamilyScan {
    fn eq(&self, other: &FamilyScan) -> bool {
        self.id == other.id
    }
}

impl Eq for FamilyScan {}

impl Hash for FamilyScan {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.id.hash(state);
    }
}

impl PartialOrd for FamilyScan {
    fn partial_cmp(&self, other: &FamilyScan) -> Option<Ordering> {
        (self == other).then_some(Ordering::Equal)
    }
}

impl UserDefinedLogicalNodeCore for FamilyScan {
    fn name(&self) -> &str {
        "FamilyScan"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        Vec::new()
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.whole.scan.projected_schema
    }

    fn expressions(&self) -> Vec<Expr> {
        // Compiled natively, like a scan's.
        Vec::new()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FamilyScan: {}", self.whole.source.relation().name)
    }

    fn with_exprs_and_inputs(
        &self,
        _exprs: Vec<Expr>,
        _inputs: Vec<LogicalPlan>,
    ) -> datafusion::common::Result<Self> {
        Ok(self.clone())
    }
}
