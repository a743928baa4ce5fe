//! Queries inside expressions, as they run: calls with plans of their own.

use std::any::Any;
use std::collections::HashSet;
use std::fmt::{self, Debug};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use datafusion::logical_expr::LogicalPlan;
use parking_lot::Mutex;
use vicinity_functions::Rows;
use vicinity_storage::Snapshot;
use vicinity_types::{Datum, PgError, Result, SqlState, oid};

use super::hashed::{Hashed, Question};
use crate::call::{Callable, PgType, Volatility};
use crate::context::ExecContext;
use crate::df::SetCallable;
use crate::query::QueryPlan;
use crate::rows::{Collect, OutputColumn};

/// A query within an expression: a plan of its own.
pub struct SubQuery {
    /// Tells it from all others.
    pub id: u64,
    /// The plan, its parameters numbered from 1.
    pub plan: LogicalPlan,
    /// Types of its columns.
    pub columns: Vec<PgType>,
    /// Types of its parameters.
    pub params: Vec<PgType>,
    /// Whether a parameter is a column of the outer query: else one run serves all rows.
    pub correlated: bool,
    /// Which parameters are columns of the outer query.
    outer: Vec<bool>,
    /// Whether it must run anew for each row.
    volatile: bool,
    hashed: Hashed,
    prepared: OnceLock<Arc<QueryPlan>>,
    memo: Mutex<Option<Arc<Memo>>>,
}

/// What the last run of a subquery gave, for the next row with the same parameters.
struct Memo {
    txn: usize,
    /// The statement being measured, 0 for none.
    measure: u64,
    snapshot: Snapshot,
    params: Vec<Datum>,
    limit: usize,
    rows: Arc<Vec<Vec<Datum>>>,
    keys: OnceLock<Arc<Keys>>,
}

/// The values of a column, to ask for membership.
struct Keys {
    known: HashSet<Vec<u8>>,
    nulls: bool,
}

impl SubQuery {
    /// A query of its own.
    pub(super) fn new(
        plan: LogicalPlan,
        columns: Vec<PgType>,
        params: Vec<PgType>,
        outer: Vec<bool>,
        volatile: bool,
    ) -> SubQuery {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        SubQuery {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            plan,
            columns,
            params,
            correlated: outer.contains(&true),
            outer,
            volatile,
            hashed: Hashed::default(),
            prepared: OnceLock::new(),
            memo: Mutex::new(None),
        }
    }

    /// Its rows for parameter values, at most `limit` of them.
    fn rows(&self, ctx: &ExecContext, params: &[Datum], limit: usize) -> Result<Arc<Memo>> {
        let txn = Arc::as_ptr(&ctx.txn).addr();
        let measure = ctx.measure.as_ref().map_or(0, |m| m.id());
        let same = |m: &Memo| {
            m.txn == txn
                && m.measure == measure
                && m.snapshot == ctx.snapshot
                && m.limit == limit
                && m.params.len() == params.len()
                && m.params.iter().zip(params).all(|(a, b)| match (a.is_null(), b.is_null()) {
                    (false, false) => vicinity_types::equal(a, b),
                    (a, b) => a && b,
                })
        };
        // a query that names no outer column runs once, whatever it calls
        if !(self.volatile && self.correlated)
            && let Some(memo) = self.memo.lock().as_ref().filter(|m| same(m))
        {
            return Ok(memo.clone());
        }
        let plan = self.query_plan(ctx)?;
        let mut sink = Collect::default();
        let mut cursor = plan.open(ctx.deeper()?, params.to_vec())?;
        while sink.rows.len() < limit {
            let left = limit - sink.rows.len();
            if cursor.fill(&mut sink, left)?.done {
                break;
            }
        }
        let memo = Arc::new(Memo {
            txn,
            measure,
            snapshot: ctx.snapshot,
            params: params.to_vec(),
            limit,
            rows: Arc::new(sink.rows),
            keys: OnceLock::new(),
        });
        *self.memo.lock() = Some(memo.clone());
        Ok(memo)
    }

    /// Whether it has a row for parameter values.
    fn exists(&self, ctx: &ExecContext, params: &[Datum]) -> Result<bool> {
        let run = || Ok(!self.rows(ctx, params, 1)?.rows.is_empty());
        if self.volatile || !self.correlated {
            return run();
        }
        let question = Question { plan: &self.plan, params: &self.params, outer: &self.outer };
        self.hashed.exists(&question, ctx, params, run)
    }

    /// Its plan, made when it first runs. A prepared statement lives as long as its catalog version.
    pub(crate) fn query_plan(&self, ctx: &ExecContext) -> Result<Arc<QueryPlan>> {
        if let Some(plan) = self.prepared.get() {
            return Ok(plan.clone());
        }
        let columns = self.columns.iter().map(|ty| OutputColumn::computed("column", *ty)).collect();
        let params: Vec<u32> = self.params.iter().map(|p| p.oid).collect();
        let plan = Arc::new(QueryPlan::new(ctx, self.plan.clone(), columns, &params)?);
        Ok(self.prepared.get_or_init(|| plan).clone())
    }
}

impl Debug for SubQuery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SubQuery {}", self.id)
    }
}

/// What becomes of a subquery's rows.
#[derive(Clone, Debug)]
pub enum SubPlanKind {
    /// The value of its one row, NULL without one.
    Scalar,
    /// Whether there is one.
    Exists,
    /// All values as an array.
    Array {
        /// Element type.
        elem: u32,
        /// The query's values are arrays: theirs.
        nested: bool,
    },
    /// `x op ANY (query)`; `ALL` where `any` is false. The first argument is `x`.
    Quantified {
        /// The comparison.
        call: Arc<dyn Callable>,
        /// As written.
        op: String,
        /// ANY rather than ALL.
        any: bool,
    },
}

/// A subquery as a call.
pub struct SubPlan {
    /// The query.
    pub query: Arc<SubQuery>,
    /// What becomes of its rows.
    pub kind: SubPlanKind,
    pub(super) args: Vec<PgType>,
    pub(super) ret: PgType,
}

impl Debug for SubPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SubPlan {}", self.query.id)
    }
}

impl SubPlan {
    fn rows(
        &self,
        ctx: &ExecContext,
        params: &[Datum],
        limit: usize,
    ) -> Result<Arc<Vec<Vec<Datum>>>> {
        Ok(self.query.rows(ctx, params, limit)?.rows.clone())
    }
}

fn one(row: &[Datum]) -> Datum {
    row.first().cloned().unwrap_or(Datum::Null)
}

impl Callable for SubPlan {
    fn name(&self) -> &str {
        match self.kind {
            SubPlanKind::Exists => "exists",
            SubPlanKind::Array { .. } => "array",
            _ => "subplan",
        }
    }

    fn ret(&self) -> PgType {
        self.ret
    }

    fn args(&self) -> &[PgType] {
        &self.args
    }

    fn strict(&self) -> bool {
        false
    }

    fn volatility(&self) -> Volatility {
        Volatility::Stable
    }

    fn runs_statements(&self) -> bool {
        true
    }

    fn call(&self, ctx: &ExecContext, args: &[Datum]) -> Result<Datum> {
        match &self.kind {
            SubPlanKind::Scalar => {
                let rows = self.rows(ctx, args, 2)?;
                match rows.as_slice() {
                    [] => Ok(Datum::Null),
                    [row] => Ok(one(row)),
                    _ => Err(PgError::new(
                        SqlState::CARDINALITY_VIOLATION,
                        "more than one row returned by a subquery used as an expression",
                    )),
                }
            }
            SubPlanKind::Exists => self.query.exists(ctx, args).map(Datum::Bool),
            SubPlanKind::Array { elem, nested } => {
                let rows = self.rows(ctx, args, usize::MAX)?;
                let values: Vec<Datum> = rows.iter().map(|r| one(r)).collect();
                if *nested {
                    return vicinity_functions::array_of_arrays(ctx, *elem, &values);
                }
                let array = vicinity_types::array::Array::from_datums(*elem, values);
                let array =
                    super::special::shaped(*elem, array.dims.clone(), array.iter().collect());
                Ok(Datum::Array(Arc::new(array)))
            }
            SubPlanKind::Quantified { call, any, .. } => {
                let Some((left, params)) = args.split_first() else { return Ok(Datum::Null) };
                let memo = self.query.rows(ctx, params, usize::MAX)?;
                if let Some(found) = member(&**call, *any, left, &memo) {
                    return Ok(found);
                }
                quantified(ctx, &**call, *any, left, &memo.rows)
            }
        }
    }

    fn identity(&self) -> String {
        let of = match &self.kind {
            SubPlanKind::Quantified { call, any, .. } => format!("{any} {}", call.identity()),
            SubPlanKind::Array { elem, nested } => format!("array {elem} {nested}"),
            kind => format!("{kind:?}"),
        };
        format!("subplan {} {of}", self.query.id)
    }

    fn deparse(&self, args: &[String]) -> String {
        match &self.kind {
            SubPlanKind::Scalar | SubPlanKind::Exists | SubPlanKind::Array { .. } => {
                format!("(SubPlan {})", self.query.id)
            }
            SubPlanKind::Quantified { op, any, .. } => {
                let left = args.first().map_or("", String::as_str);
                let word = if *any { "ANY" } else { "ALL" };
                format!("({left} {op} {word} (SubPlan {}))", self.query.id)
            }
        }
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// `IN` and `NOT IN` of many values: hashed once, as PostgreSQL's hashed SubPlan.
fn member(call: &dyn Callable, any: bool, left: &Datum, memo: &Memo) -> Option<Datum> {
    let op = call.operator()?;
    let plain = (op.name == "=" && any) || (op.name == "<>" && !any);
    let [l, r] = call.args() else { return None };
    if !plain || l.oid != r.oid || !hashable(l.oid) || memo.rows.len() < 8 {
        return None;
    }
    let keys = memo.keys.get_or_init(|| {
        let mut keys = Keys { known: HashSet::with_capacity(memo.rows.len()), nulls: false };
        for row in memo.rows.iter() {
            match row.first() {
                Some(value) if !value.is_null() => {
                    keys.known.insert(vicinity_types::arrow::group_key(value));
                }
                _ => keys.nulls = true,
            }
        }
        Arc::new(keys)
    });
    if left.is_null() {
        return Some(Datum::Null);
    }
    if keys.known.contains(&vicinity_types::arrow::group_key(left)) {
        return Some(Datum::Bool(any));
    }
    Some(if keys.nulls { Datum::Null } else { Datum::Bool(!any) })
}

/// Types whose equality is equality of keys.
fn hashable(ty: u32) -> bool {
    super::expr::is_plain(ty) || ty == oid::NUMERIC
}

fn quantified(
    ctx: &ExecContext,
    call: &dyn Callable,
    any: bool,
    left: &Datum,
    rows: &[Vec<Datum>],
) -> Result<Datum> {
    let mut unknown = false;
    for row in rows {
        let right = one(row);
        if call.strict() && (left.is_null() || right.is_null()) {
            unknown = true;
            continue;
        }
        match call.call(ctx, &[left.clone(), right])? {
            Datum::Bool(b) if b == any => return Ok(Datum::Bool(any)),
            Datum::Bool(_) => {}
            _ => unknown = true,
        }
    }
    Ok(if unknown { Datum::Null } else { Datum::Bool(!any) })
}

/// A subquery in FROM that looks at what stands left of it.
pub struct LateralQuery {
    pub(super) query: Arc<SubQuery>,
}

impl LateralQuery {
    /// The query.
    pub fn query(&self) -> &Arc<SubQuery> {
        &self.query
    }
}

impl Debug for LateralQuery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LateralQuery {}", self.query.id)
    }
}

impl SetCallable for LateralQuery {
    fn name(&self) -> &str {
        "lateral"
    }

    fn args(&self) -> &[PgType] {
        &self.query.params
    }

    fn columns(&self) -> &[PgType] {
        &self.query.columns
    }

    fn volatility(&self) -> Volatility {
        Volatility::Stable
    }

    fn call(&self, ctx: &ExecContext, args: &[Datum]) -> Result<Rows> {
        let memo = self.query.rows(ctx, args, usize::MAX)?;
        let rows = memo.rows.clone();
        Ok(Box::new((0..rows.len()).map(move |i| Ok(rows.get(i).cloned().unwrap_or_default()))))
    }

    fn identity(&self) -> String {
        format!("lateral {}", self.query.id)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
