//! Arithmetic over many values at a time: what an expression over the elements of an array comes
//! down to.
//!
//! Each step of the expression runs over all values before the next one does, in loops the compiler
//! turns into SIMD. PostgreSQL's range checks are made afterwards, over the results: only where one
//! of them is zero or not finite are the values looked at one by one.

use vicinity_functions::Env;
use vicinity_types::Result;

use super::node::Frame;
use super::number::{Int, Num, add, divide, multiply, single, subtract};

/// A step's result: the same for all values, or one each.
enum Lane {
    One(f64),
    Many(Vec<f64>),
}

/// Whether an expression over column 0 can be mapped: what else it reads does not depend on the row,
/// and it draws at most one random number a value (two would come in another order than row by row).
pub(super) fn is_mappable(expr: &Num) -> bool {
    fn walk(expr: &Num, randoms: &mut u32) -> bool {
        match expr {
            Num::Const(_) | Num::Column8(0) | Num::Column4(0) => true,
            Num::Any(node) => node.is_row_free(),
            Num::Int(int) => match &**int {
                Int::Const(_) | Int::Column(0, _) => true,
                Int::Any(node) => node.is_row_free(),
                _ => false,
            },
            Num::Add(l, r) | Num::Sub(l, r) | Num::Mul(l, r) | Num::Div(l, r) => {
                walk(l, randoms) && walk(r, randoms)
            }
            Num::Neg(n) | Num::Abs(n) | Num::Trunc(n) | Num::Single(n) => walk(n, randoms),
            Num::Random => {
                *randoms += 1;
                *randoms == 1
            }
            _ => false,
        }
    }
    walk(expr, &mut 0)
}

/// A mappable expression for every value of column 0; `None` if the result is NULL.
pub(super) fn map(expr: &Num, values: &[f64], frame: &Frame<'_>) -> Result<Option<Vec<f64>>> {
    Ok(lane(expr, values, frame)?.map(|lane| match lane {
        Lane::One(value) => vec![value; values.len()],
        Lane::Many(values) => values,
    }))
}

fn lane(expr: &Num, values: &[f64], f: &Frame<'_>) -> Result<Option<Lane>> {
    Ok(Some(match expr {
        Num::Column8(_) | Num::Column4(_) => Lane::Many(values.to_vec()),
        Num::Int(int) if matches!(**int, Int::Column(..)) => Lane::Many(values.to_vec()),
        Num::Random => Lane::Many(values.iter().map(|_| f.ctx.random()).collect()),
        Num::Add(l, r) | Num::Sub(l, r) | Num::Mul(l, r) | Num::Div(l, r) => {
            let (Some(l), Some(r)) = (lane(l, values, f)?, lane(r, values, f)?) else {
                return Ok(None);
            };
            match expr {
                Num::Add(..) => binary(l, r, |a, b| a + b, add)?,
                Num::Sub(..) => binary(l, r, |a, b| a - b, subtract)?,
                Num::Mul(..) => binary(l, r, |a, b| a * b, multiply)?,
                _ => binary(l, r, |a, b| a / b, divide)?,
            }
        }
        Num::Neg(n) | Num::Abs(n) | Num::Trunc(n) | Num::Single(n) => {
            let Some(n) = lane(n, values, f)? else { return Ok(None) };
            match expr {
                Num::Neg(_) => unary(n, |v| -v, |v| Ok(-v))?,
                Num::Abs(_) => unary(n, f64::abs, |v| Ok(v.abs()))?,
                Num::Trunc(_) => unary(n, f64::trunc, |v| Ok(v.trunc()))?,
                _ => unary(n, |v| f64::from(v as f32), single)?,
            }
        }
        // What is left does not depend on the value.
        other => return Ok(other.eval(f)?.map(Lane::One)),
    }))
}

/// Whether no range check can have anything to say.
fn plain(results: &[f64]) -> bool {
    results.iter().fold(true, |ok, r| ok & (r.is_finite() & (*r != 0.0)))
}

fn unary(
    lane: Lane,
    quick: impl Fn(f64) -> f64,
    checked: impl Fn(f64) -> Result<f64>,
) -> Result<Lane> {
    Ok(match lane {
        Lane::One(v) => Lane::One(checked(v)?),
        Lane::Many(v) => {
            let results: Vec<f64> = v.iter().map(|v| quick(*v)).collect();
            Lane::Many(match plain(&results) {
                true => results,
                false => v.into_iter().map(checked).collect::<Result<_>>()?,
            })
        }
    })
}

fn binary(
    l: Lane,
    r: Lane,
    quick: impl Fn(f64, f64) -> f64,
    checked: impl Fn(f64, f64) -> Result<f64>,
) -> Result<Lane> {
    match (l, r) {
        (l, Lane::One(b)) => unary(l, |a| quick(a, b), |a| checked(a, b)),
        (Lane::One(a), r) => unary(r, |b| quick(a, b), |b| checked(a, b)),
        (Lane::Many(l), Lane::Many(r)) => {
            let results: Vec<f64> = l.iter().zip(&r).map(|(a, b)| quick(*a, *b)).collect();
            Ok(Lane::Many(match plain(&results) {
                true => results,
                false => l.iter().zip(&r).map(|(a, b)| checked(*a, *b)).collect::<Result<_>>()?,
            }))
        }
    }
}
