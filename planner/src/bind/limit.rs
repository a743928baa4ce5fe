//! LIMIT, OFFSET and FETCH FIRST.

use datafusion::common::ScalarValue;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, lit};
use sqlparser::ast::{self, LimitClause};
use vicinity_functions::procs_named;
use vicinity_types::{Datum, PgError, Result, SqlState, oid};

use super::Binder;
use super::aggregate::unqualified;
use super::order::sort;
use super::special::Special;
use crate::call::{PgType, Typed, internal};
use crate::df::window::{
    Bound, Exclude, Frame, Units, WindowCall, WindowGroup, WindowKey, WindowSpec, window,
};
use crate::resolve::Context;

/// The column of the ranks by which ties are told.
const RANK: &str = "__rank";

/// Which of a query's rows are wanted.
#[derive(Clone, Debug, Default)]
pub(super) struct Limits {
    skip: Option<Expr>,
    fetch: Option<Expr>,
    /// Those that tie with the last one, too.
    ties: bool,
}

impl Limits {
    /// Whether all are.
    pub(super) fn is_none(&self) -> bool {
        self.skip.is_none() && self.fetch.is_none()
    }

    /// WITH TIES: turns away what ranks behind the last row wanted, by the keys that the rows are to be sorted by. What
    /// is skipped is skipped after that.
    pub(super) fn ranked(
        &self,
        plan: LogicalPlan,
        keys: &[(Typed, ast::OrderByOptions)],
    ) -> Result<LogicalPlan> {
        let Some(fetch) = self.fetch.as_ref().filter(|_| self.ties) else { return Ok(plan) };
        let int8 = PgType::new(oid::INT8);
        let order = keys.iter().map(|(value, options)| {
            let descending = !options.asc.unwrap_or(true);
            let nulls_first = options.nulls_first.unwrap_or(descending);
            WindowKey { value: value.clone(), descending, nulls_first }
        });
        let sort = keys.iter().map(|(value, options)| sort(value.clone(), options)).collect();
        let spec = WindowSpec { partition: Vec::new(), order: order.collect(), sort };
        let rank = procs_named("rank").find(|p| p.kind == b'w');
        let rank = WindowCall {
            proc: rank.ok_or_else(|| PgError::internal("no rank()"))?,
            args: Vec::new(),
            filter: None,
            frame: Frame {
                units: Units::Range,
                start: Bound::Unbounded,
                end: Bound::Current,
                exclude: Exclude::None,
            },
            name: RANK.to_owned(),
            ret: int8,
        };
        let last = Special::new("last_rank", vec![int8, int8], int8, |_, args| last_rank(args));
        let skip = self.skip.clone().unwrap_or_else(|| lit(0_i64));
        let last = last.lenient().over(vec![fetch.clone(), skip]);
        LogicalPlanBuilder::from(window(plan, WindowGroup { spec, calls: vec![rank] })?)
            .filter(unqualified(RANK).lt_eq(last.expr))
            .and_then(LogicalPlanBuilder::build)
            .map_err(internal)
    }

    /// Cuts off what is not wanted of sorted rows.
    pub(super) fn cut(self, plan: LogicalPlan) -> Result<LogicalPlan> {
        let Limits { skip, fetch, ties } = self;
        if !ties {
            return match (skip, fetch) {
                (None, None) => Ok(plan),
                (skip, fetch) => LogicalPlanBuilder::from(plan)
                    .limit_by_expr(skip, fetch)
                    .and_then(LogicalPlanBuilder::build)
                    .map_err(internal),
            };
        }
        let wanted = plan.schema().columns().into_iter().filter(|c| c.name != RANK);
        let wanted: Vec<Expr> = wanted.map(Expr::Column).collect();
        LogicalPlanBuilder::from(Limits { skip, ..Limits::default() }.cut(plan)?)
            .project(wanted)
            .and_then(LogicalPlanBuilder::build)
            .map_err(internal)
    }
}

/// The rank of the last of so many rows behind so many others: those that tie have one.
fn last_rank(args: &[Datum]) -> Result<Datum> {
    let skip = match args.get(1) {
        Some(Datum::Int8(n)) => *n,
        _ => 0,
    };
    Ok(Datum::Int8(match args.first() {
        Some(Datum::Int8(n)) if *n < 0 => return Err(negative("LIMIT")),
        Some(Datum::Int8(0)) => 0,
        Some(Datum::Int8(n)) => n.saturating_add(skip),
        _ => i64::MAX,
    }))
}

fn negative(clause: &str) -> PgError {
    let code = match clause {
        "LIMIT" => SqlState::INVALID_ROW_COUNT_IN_LIMIT_CLAUSE,
        _ => SqlState::INVALID_ROW_COUNT_IN_RESULT_OFFSET_CLAUSE,
    };
    PgError::new(code, format!("{clause} must not be negative"))
}

impl Binder<'_> {
    /// LIMIT and OFFSET.
    pub(super) fn limits(&mut self, query: &ast::Query) -> Result<Limits> {
        let (mut limit, mut offset) = (None, None);
        match &query.limit_clause {
            Some(LimitClause::LimitOffset { limit: l, offset: o, limit_by }) => {
                if !limit_by.is_empty() {
                    return Err(PgError::unsupported("LIMIT BY"));
                }
                limit = l.as_ref();
                offset = o.as_ref().map(|o| &o.value);
            }
            Some(LimitClause::OffsetCommaLimit { .. }) => {
                return Err(PgError::new(
                    SqlState::SYNTAX_ERROR,
                    "LIMIT #,# syntax is not supported",
                )
                .hint("Use separate LIMIT and OFFSET clauses."));
            }
            None => {}
        }
        let one = ast::Expr::Value(ast::Value::Number("1".to_owned(), false).into());
        let ties = query.fetch.as_ref().is_some_and(|fetch| fetch.with_ties);
        if let Some(fetch) = &query.fetch {
            if fetch.percent {
                return Err(PgError::unsupported("FETCH FIRST with PERCENT"));
            }
            limit = fetch.quantity.as_ref().or(limit).or(Some(&one));
        }
        let fetch = limit.map(|l| self.limit(l, "LIMIT")).transpose()?.flatten();
        let skip = offset.map(|o| self.limit(o, "OFFSET")).transpose()?.flatten();
        if ties {
            check_ties(query, fetch.is_none())?;
        }
        Ok(Limits { skip, fetch, ties })
    }

    /// An expression in which names mean nothing.
    pub(super) fn without_columns(
        &mut self,
        expr: &ast::Expr,
        clause: &'static str,
    ) -> Result<Typed> {
        let place = self.place(expr);
        let scope = std::mem::take(&mut self.level().scope);
        let bound = self.in_clause(clause, |me| me.expr(expr));
        self.level().scope = scope;
        bound.map_err(|e| {
            if e.code() == SqlState::UNDEFINED_COLUMN {
                PgError::new(
                    SqlState::INVALID_COLUMN_REFERENCE,
                    format!("argument of {clause} must not contain variables"),
                )
                .or_at(place)
            } else {
                e
            }
        })
    }

    /// A value as a bigint.
    pub(super) fn whole_number(
        &mut self,
        value: Typed,
        clause: &str,
        place: Option<usize>,
    ) -> Result<Typed> {
        let source = value.ty.oid;
        self.coerce(value, PgType::new(oid::INT8), Context::Assignment, place).map_err(|e| match e
            .code()
        {
            SqlState::CANNOT_COERCE => self.wrong_argument(clause, "bigint", source).or_at(place),
            _ => e,
        })
    }

    fn limit(&mut self, expr: &ast::Expr, clause: &'static str) -> Result<Option<Expr>> {
        let bound = self.without_columns(expr, clause)?;
        let value = self.whole_number(bound, clause, self.place(expr))?;
        match &value.expr {
            Expr::Literal(ScalarValue::Int64(None), _) => Ok(None),
            Expr::Literal(ScalarValue::Int64(Some(n)), _) if *n < 0 => Err(negative(clause)),
            _ => Ok(Some(value.expr)),
        }
    }
}

/// What WITH TIES needs, and does not go with.
fn check_ties(query: &ast::Query, unlimited: bool) -> Result<()> {
    let wrong = |text: &str| Err(PgError::new(SqlState::SYNTAX_ERROR, text));
    if query.order_by.is_none() {
        return wrong("WITH TIES cannot be specified without ORDER BY clause");
    }
    if query.locks.iter().any(|l| l.nonblock == Some(ast::NonBlock::SkipLocked)) {
        return wrong("SKIP LOCKED and WITH TIES options cannot be used together");
    }
    if !query.locks.is_empty() {
        return Err(PgError::unsupported("FETCH FIRST ... WITH TIES with FOR UPDATE or FOR SHARE"));
    }
    if unlimited {
        return Err(PgError::new(
            SqlState::INVALID_ROW_COUNT_IN_LIMIT_CLAUSE,
            "row count cannot be null in FETCH FIRST ... WITH TIES clause",
        ));
    }
    Ok(())
}
