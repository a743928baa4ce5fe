//! EXISTS by a table of keys.
//!
//! `EXISTS (SELECT ... WHERE inner = outer AND ...)` asks for membership: once the rows asked about
//! have cost as much as it may, the query's keys are read as a whole and kept, as in PostgreSQL's
//! hashed SubPlan. Until then, and where an index makes each row cheap, it is run row by row.

use std::collections::HashSet;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use arrow::datatypes::DataType;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{
    Distinct, Expr, FetchType, LogicalPlan, LogicalPlanBuilder, Operator, SkipType,
};
use parking_lot::Mutex;
use vicinity_storage::Snapshot;
use vicinity_types::arrow::group_key;
use vicinity_types::{Datum, Kind, Result, oid};

use crate::call::{PgType, callable_of, internal};
use crate::context::ExecContext;
use crate::push::access::conjuncts;
use crate::query::QueryPlan;
use crate::row::compile::parameter;
use crate::row::{Compiler, Frame, Node, RowRef, Scope};
use crate::rows::{Collect, OutputColumn};

/// What the rows asked about may cost before the keys are tried for the first time.
const FIRST_TRY: Duration = Duration::from_millis(1);
/// Keys of one query, at most (invariant *bounded*).
const MOST_KEYS: usize = 5_000_000;
/// Executions whose keys are kept at a time.
const KEPT: usize = 4;

/// Membership among the keys of a query.
#[derive(Default)]
pub(super) struct Hashed {
    probe: OnceLock<Option<Probe>>,
    tables: Mutex<Vec<Table>>,
}

/// How to ask.
struct Probe {
    /// Gives the keys.
    plan: QueryPlan,
    /// The key of the outer row, from the parameters.
    key: Vec<Node>,
}

/// The keys for one execution, or how far it is from having them.
struct Table {
    txn: usize,
    snapshot: Snapshot,
    /// Parameters that are not of the outer row.
    fixed: Vec<Datum>,
    spent: Duration,
    next_try: Duration,
    keys: Option<Arc<HashSet<Vec<u8>>>>,
}

/// What is known of a query.
pub(super) struct Question<'q> {
    pub plan: &'q LogicalPlan,
    pub params: &'q [PgType],
    /// Which parameters are columns of the outer row.
    pub outer: &'q [bool],
}

impl Hashed {
    /// Whether a row exists for these parameters. `run` finds out by running the query.
    pub(super) fn exists(
        &self,
        question: &Question<'_>,
        ctx: &ExecContext,
        params: &[Datum],
        run: impl FnOnce() -> Result<bool>,
    ) -> Result<bool> {
        let Some(probe) = self.probe(question, ctx)? else { return run() };
        let fixed = || params.iter().zip(question.outer).filter(|(_, outer)| !**outer);
        let txn = Arc::as_ptr(&ctx.txn).addr();
        let same = |t: &Table| {
            t.txn == txn
                && t.snapshot == ctx.snapshot
                && t.fixed.iter().zip(fixed()).all(|(a, (b, _))| match (a.is_null(), b.is_null()) {
                    (false, false) => vicinity_types::equal(a, b),
                    (a, b) => a && b,
                })
        };
        let known = self.tables.lock().iter().find(|t| same(t)).and_then(|t| t.keys.clone());
        if let Some(keys) = known {
            return probe.holds(&keys, ctx, params);
        }
        let began = Instant::now();
        let found = run()?;
        let budget = {
            let mut tables = self.tables.lock();
            let at = match tables.iter().position(same) {
                Some(at) => at,
                None => {
                    if tables.len() >= KEPT {
                        tables.remove(0);
                    }
                    let fixed = fixed().map(|(value, _)| value.clone()).collect();
                    tables.push(Table {
                        txn,
                        snapshot: ctx.snapshot,
                        fixed,
                        spent: Duration::ZERO,
                        next_try: FIRST_TRY,
                        keys: None,
                    });
                    tables.len() - 1
                }
            };
            let Some(table) = tables.get_mut(at) else { return Ok(found) };
            table.spent += began.elapsed();
            if table.spent < table.next_try {
                return Ok(found);
            }
            // Trying costs no more than what was spent: all in all at most twice the better way.
            table.next_try = table.spent * 2;
            table.spent
        };
        if let Some(keys) = probe.keys(ctx, params, budget)? {
            let mut tables = self.tables.lock();
            if let Some(table) = tables.iter_mut().find(|t| same(t)) {
                table.keys = Some(Arc::new(keys));
            }
        }
        Ok(found)
    }

    fn probe(&self, question: &Question<'_>, ctx: &ExecContext) -> Result<Option<&Probe>> {
        if self.probe.get().is_none() {
            let made = Probe::of(question, ctx)?;
            let _ = self.probe.set(made);
        }
        Ok(self.probe.get().and_then(Option::as_ref))
    }
}

impl Probe {
    /// `None` where the query asks for more than membership.
    fn of(question: &Question<'_>, ctx: &ExecContext) -> Result<Option<Probe>> {
        let (mut base, mut conditions) = (question.plan, Vec::new());
        loop {
            base = match base {
                LogicalPlan::Projection(p) if conditions.is_empty() => &p.input,
                LogicalPlan::SubqueryAlias(a) if conditions.is_empty() => &a.input,
                LogicalPlan::Sort(s) if conditions.is_empty() && s.fetch.is_none() => &s.input,
                LogicalPlan::Distinct(Distinct::All(input)) if conditions.is_empty() => input,
                LogicalPlan::Limit(l) if conditions.is_empty() => {
                    let some =
                        matches!(l.get_fetch_type(), Ok(FetchType::Literal(Some(n))) if n > 0);
                    if !some || !matches!(l.get_skip_type(), Ok(SkipType::Literal(0))) {
                        return Ok(None);
                    }
                    &l.input
                }
                LogicalPlan::Filter(f) => {
                    conjuncts(&f.predicate, &mut conditions);
                    &f.input
                }
                _ => break,
            };
        }
        if question.names_outer_plan(base)? {
            return Ok(None);
        }
        let (mut inner, mut key, mut types, mut rest) = (vec![], vec![], vec![], vec![]);
        let kinds: Vec<Kind> = question.params.iter().map(|p| p.kind).collect();
        for condition in conditions {
            if !question.names_outer(&condition)? {
                rest.push(condition);
                continue;
            }
            let Some((column, value, ty)) = question.equality(&condition)? else {
                return Ok(None);
            };
            inner.push(column.alias(format!("k{}", inner.len())));
            let mut compiler = Compiler::new(Scope::empty(), kinds.clone());
            let Ok(node) = compiler.compile(&value, ty.kind) else { return Ok(None) };
            key.push(node);
            types.push(ty);
        }
        if inner.is_empty() {
            return Ok(None);
        }
        let mut builder = LogicalPlanBuilder::from(base.clone());
        if let Some(rest) = conjunction(rest) {
            builder = builder.filter(rest).map_err(internal)?;
        }
        let plan = builder.project(inner).and_then(LogicalPlanBuilder::build).map_err(internal)?;
        let columns = types.iter().map(|ty| OutputColumn::computed("key", *ty)).collect();
        let params: Vec<u32> = question.params.iter().map(|p| p.oid).collect();
        Ok(Some(Probe { plan: QueryPlan::new(ctx, plan, columns, &params)?, key }))
    }

    /// All keys, if they are found within a time.
    fn keys(
        &self,
        ctx: &ExecContext,
        params: &[Datum],
        budget: Duration,
    ) -> Result<Option<HashSet<Vec<u8>>>> {
        let began = Instant::now();
        let mut keys = HashSet::new();
        // What is not wanted in the end is not measured either.
        let ctx = ExecContext { measure: None, ..ctx.deeper()? };
        let mut cursor = self.plan.open(ctx, params.to_vec())?;
        loop {
            let mut sink = Collect::default();
            let done = cursor.fill(&mut sink, 1024)?.done;
            keys.extend(sink.rows.iter().filter_map(|row| key_of(row)));
            if done {
                return Ok(Some(keys));
            }
            if began.elapsed() > budget || keys.len() > MOST_KEYS {
                return Ok(None);
            }
        }
    }

    fn holds(&self, keys: &HashSet<Vec<u8>>, ctx: &ExecContext, params: &[Datum]) -> Result<bool> {
        let frame = Frame { ctx, params, once: &[], row: RowRef::None };
        let values = self.key.iter().map(|node| node.eval(&frame)).collect::<Result<Vec<_>>>()?;
        Ok(key_of(&values).is_some_and(|key| keys.contains(&key)))
    }
}

/// The bytes that equal rows share; none if a value is NULL, which equals nothing.
fn key_of(row: &[Datum]) -> Option<Vec<u8>> {
    let mut key = Vec::new();
    for value in row {
        if value.is_null() {
            return None;
        }
        key.extend(group_key(value));
    }
    Some(key)
}

impl Question<'_> {
    fn is_outer(&self, expr: &Expr) -> bool {
        let Expr::Placeholder(p) = expr else { return false };
        parameter(&p.id).and_then(|i| self.outer.get(i)).is_some_and(|outer| *outer)
    }

    fn names_outer(&self, expr: &Expr) -> Result<bool> {
        expr.exists(|e| Ok(self.is_outer(e))).map_err(internal)
    }

    fn names_outer_plan(&self, plan: &LogicalPlan) -> Result<bool> {
        let mut found = false;
        plan.apply_with_subqueries(|node| {
            node.apply_expressions(|expr| {
                found |= expr.exists(|e| Ok(self.is_outer(e)))?;
                Ok(TreeNodeRecursion::Continue)
            })
        })
        .map_err(internal)?;
        Ok(found)
    }

    /// `inner = outer` or the other way round: the two, and the type they are compared as.
    fn equality(&self, condition: &Expr) -> Result<Option<(Expr, Expr, PgType)>> {
        let (left, right) = match condition {
            Expr::BinaryExpr(b) if b.op == Operator::Eq => (&*b.left, &*b.right),
            other => match callable_of(other) {
                Some((call, [left, right])) => {
                    let plain = call.operator().is_some_and(|op| op.name == "=");
                    let same =
                        matches!(call.args(), [l, r] if l.oid == r.oid && l.oid == oid::NUMERIC);
                    if !plain || !same {
                        return Ok(None);
                    }
                    (left, right)
                }
                _ => return Ok(None),
            },
        };
        for (inner, outer) in [(left, right), (right, left)] {
            if let Some(ty) = self.outer_value(outer)
                && !self.names_outer(inner)?
            {
                return Ok(Some((inner.clone(), outer.clone(), ty)));
            }
        }
        Ok(None)
    }

    /// The type of an outer column, as it is or as a wider number.
    fn outer_value(&self, expr: &Expr) -> Option<PgType> {
        match expr {
            Expr::Placeholder(p) if self.is_outer(expr) => {
                parameter(&p.id).and_then(|i| self.params.get(i)).copied()
            }
            Expr::Cast(cast) => {
                self.outer_value(&cast.expr)?;
                match cast.field.data_type() {
                    DataType::Int32 => Some(PgType::new(oid::INT4)),
                    DataType::Int64 => Some(PgType::new(oid::INT8)),
                    DataType::Float64 => Some(PgType::new(oid::FLOAT8)),
                    _ => None,
                }
            }
            _ => None,
        }
    }
}
