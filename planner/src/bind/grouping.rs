//! GROUPING SETS, ROLLUP, CUBE and GROUPING().

use std::any::Any;
use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::{Case, Expr, lit};
use sqlparser::ast;
use vicinity_types::{Datum, PgError, Result, SqlState, oid};

use super::Binder;
use super::aggregate::unqualified;
use super::operator::written_row;
use crate::call::{Callable, PgType, Typed, Volatility, call_expr, callable_of, internal};
use crate::context::ExecContext;

/// PostgreSQL's own bounds.
const SETS: usize = 4096;
const CUBE: usize = 12;

type Sets<'e> = Vec<Vec<&'e ast::Expr>>;

/// The grouping sets a GROUP BY list means: the cross product of its items' sets.
pub(super) fn grouping_sets(exprs: &[ast::Expr]) -> Result<Sets<'_>> {
    let mut all: Sets<'_> = vec![Vec::new()];
    for expr in exprs {
        let sets = sets_of(expr)?;
        if all.len() * sets.len() > SETS {
            return Err(PgError::new(
                SqlState::STATEMENT_TOO_COMPLEX,
                format!("too many grouping sets present (maximum {SETS})"),
            ));
        }
        let product = all.iter().flat_map(|left| {
            sets.iter().map(|right| left.iter().chain(right).copied().collect::<Vec<_>>())
        });
        all = product.collect();
    }
    Ok(all)
}

fn sets_of(expr: &ast::Expr) -> Result<Sets<'_>> {
    match expr {
        ast::Expr::GroupingSets(list) => {
            let mut sets = Vec::new();
            for item in list {
                match item.as_slice() {
                    [one] => sets.extend(sets_of(one)?),
                    fields => sets.push(fields.iter().collect()),
                }
            }
            Ok(sets)
        }
        ast::Expr::Rollup(items) => Ok(rollup(items.iter().map(|i| i.iter().collect()).collect())),
        ast::Expr::Cube(items) => cube(items.iter().map(|i| i.iter().collect()).collect()),
        ast::Expr::Function(f) => match (super::name_parts(&f.name).as_slice(), plain_args(f)) {
            // within GROUPING SETS
            ([name], Some(items)) if name == "rollup" => Ok(rollup(items)),
            ([name], Some(items)) if name == "cube" => cube(items),
            _ => Ok(vec![vec![expr]]),
        },
        ast::Expr::Tuple(fields) => Ok(vec![fields.iter().collect()]),
        other => Ok(vec![vec![other]]),
    }
}

fn plain_args(f: &ast::Function) -> Option<Sets<'_>> {
    let ast::FunctionArguments::List(list) = &f.args else { return None };
    let fields = list.args.iter().map(|arg| match arg {
        ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(expr)) => {
            Some(written_row(expr).unwrap_or_else(|| vec![expr]))
        }
        _ => None,
    });
    fields.collect()
}

/// All items, all but the last, and so on to none.
fn rollup(items: Sets<'_>) -> Sets<'_> {
    (0..=items.len()).rev().map(|n| items.iter().take(n).flatten().copied().collect()).collect()
}

/// Every subset.
fn cube(items: Sets<'_>) -> Result<Sets<'_>> {
    if items.len() > CUBE {
        return Err(PgError::new(
            SqlState::TOO_MANY_COLUMNS,
            format!("CUBE is limited to {CUBE} elements"),
        ));
    }
    let chosen = |bits: u32| {
        let taken = items.iter().enumerate().filter(|(i, _)| bits & (1 << i) != 0);
        taken.flat_map(|(_, fields)| fields.iter().copied()).collect()
    };
    Ok((0..1u32 << items.len()).rev().map(chosen).collect())
}

/// `GROUPING(a, b)`, standing in the tree until the aggregation is planned.
#[derive(Debug)]
struct Grouping {
    args: Vec<PgType>,
    /// Where each is written.
    places: Vec<Option<usize>>,
}

impl Callable for Grouping {
    fn name(&self) -> &str {
        "grouping"
    }

    fn ret(&self) -> PgType {
        PgType::new(oid::INT4)
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

    fn call(&self, _ctx: &ExecContext, _args: &[Datum]) -> Result<Datum> {
        Err(PgError::internal("GROUPING without an aggregation"))
    }

    fn identity(&self) -> String {
        format!("grouping {:?}", self.args)
    }

    fn deparse(&self, args: &[String]) -> String {
        format!("GROUPING({})", args.join(", "))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Binder<'_> {
    /// `GROUPING(...)`
    pub(super) fn grouping_call(&mut self, args: &ast::FunctionArguments) -> Result<Typed> {
        if let Some(clause) = self.level().no_aggregates {
            return Err(PgError::new(
                SqlState::GROUPING_ERROR,
                format!("grouping operations are not allowed in {clause}"),
            ));
        }
        let values = self.arguments(args)?.values;
        if values.len() > 31 {
            return Err(PgError::new(
                SqlState::TOO_MANY_ARGUMENTS,
                "GROUPING must have fewer than 32 arguments",
            ));
        }
        self.level().grouping = true;
        let types = values.iter().map(|v| v.ty).collect();
        let exprs = values.into_iter().map(|v| v.expr).collect();
        let call = Grouping { args: types, places: written_places(args) };
        Ok(Typed::new(call_expr(Arc::new(call), exprs), PgType::new(oid::INT4)))
    }
}

fn written_places(args: &ast::FunctionArguments) -> Vec<Option<usize>> {
    let ast::FunctionArguments::List(list) = args else { return Vec::new() };
    list.args.iter().map(|arg| super::position(ast::Spanned::span(arg))).collect()
}

/// An expression with every GROUPING() as what it is in each set: a bit for each argument, set where
/// the set does not have it.
pub(super) fn resolved(
    expr: Expr,
    keys: &[Typed],
    sets: &[Vec<usize>],
    set_column: &str,
) -> Result<Expr> {
    let external = crate::call::external;
    expr.transform_down(|e| {
        let Some((call, args)) = callable_of(&e) else { return Ok(Transformed::no(e)) };
        let Some(call) = call.as_any().downcast_ref::<Grouping>() else {
            return Ok(Transformed::no(e));
        };
        let mut places = Vec::with_capacity(args.len());
        for (i, arg) in args.iter().enumerate() {
            places.push(keys.iter().position(|k| k.expr == *arg).ok_or_else(|| {
                let text = "arguments to GROUPING must be grouping expressions of the associated query level";
                let place = call.places.get(i).copied().flatten();
                external(PgError::new(SqlState::GROUPING_ERROR, text).or_at(place))
            })?);
        }
        let bits = |set: &Vec<usize>| {
            places.iter().fold(0i32, |bits, at| bits << 1 | i32::from(!set.contains(at)))
        };
        let pairs = sets.iter().enumerate().map(|(n, set)| {
            let number = i64::try_from(n).unwrap_or(i64::MAX);
            (Box::new(lit(number)), Box::new(lit(bits(set))))
        });
        let pairs: Vec<_> = pairs.collect();
        let value = if pairs.is_empty() {
            lit(0i32)
        } else {
            Expr::Case(Case::new(Some(Box::new(unqualified(set_column))), pairs, None))
        };
        Ok(Transformed::new(value, true, TreeNodeRecursion::Jump))
    })
    .map(|t| t.data)
    .map_err(internal)
}
