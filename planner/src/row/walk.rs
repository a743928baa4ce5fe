//! The way down a logical plan to the leaf of a row plan.

use datafusion::common::tree_node::TreeNode;
use datafusion::logical_expr::{Expr, LogicalPlan, SortExpr, Volatility};
use vicinity_types::Result;

use super::lock::RowLocks;
use crate::call::callable_of;
use crate::df::lock_rows::lock_rows_of;
use crate::push::lower::substitute;

/// What was met on the way down to the leaf.
#[derive(Clone)]
pub(super) struct Walk {
    pub(super) outputs: Vec<Expr>,
    pub(super) sort: Vec<SortExpr>,
    pub(super) filters: Vec<Expr>,
    pub(super) limit: Option<Expr>,
    pub(super) offset: Option<Expr>,
    closed: bool,
    /// Rows are locked as they come out.
    pub(super) locks: Option<RowLocks>,
    /// Nodes taken off.
    pub(super) nodes: u32,
}

pub(super) fn is_volatile(expr: &Expr) -> bool {
    expr.exists(|e| Ok(callable_of(e).is_some_and(|(c, _)| c.volatility() == Volatility::Volatile)))
        .unwrap_or(true)
}

impl Walk {
    /// Begins with what is to come out.
    pub(super) fn new(outputs: Vec<Expr>) -> Walk {
        Walk {
            outputs,
            sort: Vec::new(),
            filters: Vec::new(),
            limit: None,
            offset: None,
            closed: false,
            locks: None,
            nodes: 0,
        }
    }

    /// The same with filters that are known already.
    pub(super) fn filtered(outputs: Vec<Expr>, filters: Vec<Expr>) -> Walk {
        Walk { filters, ..Walk::new(outputs) }
    }

    /// Goes down to the leaf.
    pub(super) fn leaf<'p>(&mut self, plan: &'p LogicalPlan) -> Result<&'p LogicalPlan> {
        let mut at = plan;
        while let Some(next) = self.peel(at)? {
            at = next;
            self.nodes += 1;
        }
        Ok(at)
    }

    /// What all filters ask, one by one.
    pub(super) fn conditions(&self) -> Vec<Expr> {
        let mut parts = Vec::new();
        self.filters.iter().for_each(|f| crate::push::access::conjuncts(f, &mut parts));
        parts
    }

    fn all(&self) -> impl Iterator<Item = &Expr> {
        self.outputs.iter().chain(self.sort.iter().map(|s| &s.expr)).chain(&self.filters)
    }

    fn substitute(
        &mut self,
        map: &dyn Fn(&datafusion::common::Column) -> Option<Expr>,
    ) -> Result<()> {
        for e in self.outputs.iter_mut().chain(&mut self.filters) {
            *e = substitute(std::mem::take(e), map)?;
        }
        for s in &mut self.sort {
            s.expr = substitute(std::mem::take(&mut s.expr), map)?;
        }
        Ok(())
    }

    /// Takes one node off the plan; `None` if it is a leaf or not for the row lane.
    fn peel<'p>(&mut self, plan: &'p LogicalPlan) -> Result<Option<&'p LogicalPlan>> {
        Ok(match plan {
            LogicalPlan::Limit(l)
                if !self.closed
                    && self.locks.is_none()
                    && self.limit.is_none()
                    && self.offset.is_none() =>
            {
                self.limit = l.fetch.as_deref().cloned();
                self.offset = l.skip.as_deref().cloned();
                Some(&l.input)
            }
            LogicalPlan::Sort(s) if !self.closed && self.sort.is_empty() => {
                if let (Some(n), None) = (s.fetch, &self.limit) {
                    let n = i64::try_from(n).unwrap_or(i64::MAX);
                    self.limit = Some(datafusion::logical_expr::lit(n));
                }
                self.sort = s.expr.clone();
                self.closed = true;
                Some(&s.input)
            }
            LogicalPlan::Filter(f) => {
                self.filters.push(f.predicate.clone());
                self.closed = true;
                Some(&f.input)
            }
            LogicalPlan::Projection(p) => {
                for (i, _) in p.expr.iter().enumerate().filter(|(_, e)| is_volatile(e)) {
                    let (qualifier, field) = p.schema.qualified_field(i);
                    let column: datafusion::common::Column = (qualifier, field).into();
                    let uses = self.all().map(|o| uses(o, &column)).sum::<usize>();
                    // Evaluated below a sort or filter, or more than once, it would give others.
                    if uses > 1 || (self.closed && uses > 0) {
                        return Ok(None);
                    }
                }
                self.substitute(&|column| {
                    let i = p.schema.index_of_column(column).ok()?;
                    p.expr.get(i).map(|e| e.clone().unalias())
                })?;
                Some(&p.input)
            }
            LogicalPlan::SubqueryAlias(a) => {
                self.substitute(&|column| {
                    let i = a.schema.index_of_column(column).ok()?;
                    let (qualifier, field) = a.input.schema().qualified_field(i);
                    Some(Expr::Column((qualifier, field).into()))
                })?;
                Some(&a.input)
            }
            other => match lock_rows_of(other) {
                Some(node) if !self.closed && self.locks.is_none() => match node.targets.as_slice()
                {
                    [target] => {
                        self.locks = Some(target.locks);
                        Some(&node.input)
                    }
                    _ => None,
                },
                _ => None,
            },
        })
    }
}

fn uses(expr: &Expr, column: &datafusion::common::Column) -> usize {
    let mut count = 0;
    let _ = expr.apply(|e| {
        if let Expr::Column(c) = e
            && c.name == column.name
        {
            count += 1;
        }
        Ok(datafusion::common::tree_node::TreeNodeRecursion::Continue)
    });
    count
}
