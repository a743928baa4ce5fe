//! EXISTS by a table of keys.
//!
//! `EXISTS (SELECT ... WHERE inner = outer AND ...)` asks for membership: once the rows asked about
//! have cost as much as it may, the query's keys are read as a whole and kept, as in PostgreSQL's
//! hashed SubPlan. Until then, and where an index makes each row cheap, it is run row by row.
//! `inner < outer` and the like beside the equalities are looked at for the rows of the key.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use arrow::datatypes::DataType;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{
    Distinct, Expr, FetchType, LogicalPlan, LogicalPlanBuilder, Operator, SkipType, binary_expr,
};
use parking_lot::Mutex;
use vicinity_storage::Snapshot;
use vicinity_types::arrow::group_key;
use vicinity_types::{Datum, Kind, Result, oid};

use crate::call::{PgType, callable_of, internal, placeholder};
use crate::context::ExecContext;
use crate::push::access::conjuncts;
use crate::query::QueryPlan;
use crate::row::compile::parameter;
use crate::row::{Compiler, Frame, Node, RowRef, Scope};
use crate::rows::{Collect, OutputColumn};

/// What the rows asked about may cost before the keys are tried for the first time.
const FIRST_TRY: Duration = Duration::from_millis(1);
/// Rows of one query whose keys are kept, at most (invariant *bounded*).
const MOST_ROWS: usize = 5_000_000;
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
    /// What else must be true; the values behind the keys are parameters behind the others.
    rest: Vec<Node>,
}

/// The rows of each key: what [`Probe::rest`] looks at.
type Keys = HashMap<Vec<u8>, Vec<Vec<Datum>>>;

/// The keys for one execution, or how far it is from having them.
struct Table {
    txn: usize,
    snapshot: Snapshot,
    /// Parameters that are not of the outer row.
    fixed: Vec<Datum>,
    spent: Duration,
    next_try: Duration,
    keys: Option<Arc<Keys>>,
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
        let mut parts = Parts::default();
        for condition in conditions {
            if !question.names_outer(&condition)? {
                parts.own.push(condition);
                continue;
            }
            let Some(comparison) = question.comparison(&condition)? else { return Ok(None) };
            match comparison.op {
                Operator::Eq => parts.equal.push(comparison),
                _ => parts.other.push(comparison),
            }
        }
        if parts.equal.is_empty() {
            return Ok(None);
        }
        parts.probe(base, question, ctx)
    }

    /// All keys, if they are found within a time.
    fn keys(&self, ctx: &ExecContext, params: &[Datum], budget: Duration) -> Result<Option<Keys>> {
        let began = Instant::now();
        let (mut keys, mut count) = (Keys::new(), 0usize);
        // What is not wanted in the end is not measured either.
        let ctx = ExecContext { measure: None, ..ctx.deeper()? };
        let mut cursor = self.plan.open(ctx, params.to_vec())?;
        loop {
            let mut sink = Collect::default();
            let done = cursor.fill(&mut sink, 1024)?.done;
            count += sink.rows.len();
            for mut row in sink.rows {
                let rest = row.split_off(self.key.len().min(row.len()));
                let Some(key) = key_of(&row) else { continue };
                let rows = keys.entry(key).or_default();
                if !rest.is_empty() {
                    rows.push(rest);
                }
            }
            if done {
                return Ok(Some(keys));
            }
            if began.elapsed() > budget || count > MOST_ROWS {
                return Ok(None);
            }
        }
    }

    fn holds(&self, keys: &Keys, ctx: &ExecContext, params: &[Datum]) -> Result<bool> {
        let frame = Frame { ctx, params, once: &[], row: RowRef::None };
        let values = self.key.iter().map(|node| node.eval(&frame)).collect::<Result<Vec<_>>>()?;
        let Some(rows) = key_of(&values).and_then(|key| keys.get(&key)) else { return Ok(false) };
        if self.rest.is_empty() {
            return Ok(true);
        }
        let mut params = params.to_vec();
        let own = params.len();
        for (i, row) in rows.iter().enumerate() {
            params.truncate(own);
            params.extend_from_slice(row);
            let frame = Frame { ctx, params: &params, once: &[], row: RowRef::None };
            let mut all = true;
            for condition in &self.rest {
                all = all && condition.passes(&frame)?;
            }
            if all {
                return Ok(true);
            }
            if i % 1024 == 1023 {
                ctx.check()?;
            }
        }
        Ok(false)
    }
}

/// A comparison of a value of the query with one of the outer row.
struct Comparison {
    inner: Expr,
    outer: Expr,
    /// The type they are compared as.
    ty: PgType,
    op: Operator,
    /// Whether the query's value stands on the left.
    inner_first: bool,
}

/// A query's conditions, by what they speak of.
#[derive(Default)]
struct Parts {
    own: Vec<Expr>,
    equal: Vec<Comparison>,
    other: Vec<Comparison>,
}

impl Parts {
    fn probe(
        self,
        base: &LogicalPlan,
        question: &Question<'_>,
        ctx: &ExecContext,
    ) -> Result<Option<Probe>> {
        let mut kinds: Vec<Kind> = question.params.iter().map(|p| p.kind).collect();
        let (mut key, mut rest) = (Vec::new(), Vec::new());
        for c in &self.equal {
            let mut compiler = Compiler::new(Scope::empty(), kinds.clone());
            let Ok(node) = compiler.compile(&c.outer, c.ty.kind) else { return Ok(None) };
            key.push(node);
        }
        let numbered = self.other.iter().enumerate().map(|(i, c)| (kinds.len() + i + 1, c));
        let numbered: Vec<_> = numbered.collect();
        kinds.extend(self.other.iter().map(|c| c.ty.kind));
        for (number, c) in numbered {
            let inner = placeholder(number, c.ty);
            let (left, right) =
                if c.inner_first { (inner, c.outer.clone()) } else { (c.outer.clone(), inner) };
            let condition = binary_expr(left, c.op, right);
            let mut compiler = Compiler::new(Scope::empty(), kinds.clone());
            let Ok(node) = compiler.compile(&condition, Kind::Bool) else { return Ok(None) };
            rest.push(node);
        }
        let mut builder = LogicalPlanBuilder::from(base.clone());
        if let Some(own) = conjunction(self.own) {
            builder = builder.filter(own).map_err(internal)?;
        }
        let values: Vec<Comparison> = self.equal.into_iter().chain(self.other).collect();
        let columns = values.iter().map(|c| OutputColumn::computed("value", c.ty)).collect();
        let named = values.into_iter().enumerate().map(|(i, c)| c.inner.alias(format!("k{i}")));
        let plan = builder.project(named).and_then(LogicalPlanBuilder::build).map_err(internal)?;
        let params: Vec<u32> = question.params.iter().map(|p| p.oid).collect();
        Ok(Some(Probe { plan: QueryPlan::new(ctx, plan, columns, &params)?, key, rest }))
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

    /// `inner op outer`, or the other way round.
    fn comparison(&self, condition: &Expr) -> Result<Option<Comparison>> {
        use Operator::{Eq, Gt, GtEq, Lt, LtEq, NotEq};
        let (left, op, right) = match condition {
            Expr::BinaryExpr(b) if matches!(b.op, Eq | NotEq | Lt | LtEq | Gt | GtEq) => {
                (&*b.left, b.op, &*b.right)
            }
            other => match callable_of(other) {
                Some((call, [left, right])) => {
                    let plain = call.operator().is_some_and(|op| op.name == "=");
                    let numeric = call.args().iter().all(|ty| ty.oid == oid::NUMERIC);
                    if !plain || !numeric {
                        return Ok(None);
                    }
                    (left, Eq, right)
                }
                _ => return Ok(None),
            },
        };
        for (inner, outer, inner_first) in [(left, right, true), (right, left, false)] {
            if let Some(ty) = self.outer_value(outer)
                && !self.names_outer(inner)?
            {
                let (inner, outer) = (inner.clone(), outer.clone());
                return Ok(Some(Comparison { inner, outer, ty, op, inner_first }));
            }
        }
        Ok(None)
    }

    /// The type of what is computed from outer columns alone.
    fn outer_value(&self, expr: &Expr) -> Option<PgType> {
        match expr {
            Expr::ScalarFunction(_) => {
                let alone = expr.column_refs().is_empty() && self.names_outer(expr).ok()?;
                callable_of(expr).filter(|_| alone).map(|(call, _)| call.ret())
            }
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
