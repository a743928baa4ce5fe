//! Arithmetic without boxed values, with PostgreSQL's range checks.

use vicinity_types::{Datum, Kind, PgError, Result, SqlState};

use super::node::{Frame, Node, RowRef};
use vicinity_functions::Env;

/// A float8 computation. float4 arithmetic is the same, rounded at every step: for + - * / the
/// result is the one single precision gives.
#[derive(Debug)]
#[allow(missing_docs)]
pub enum Num {
    Const(f64),
    /// Anything else that gives a number.
    Any(Box<Node>),
    Column8(usize),
    Column4(usize),
    Int(Box<Int>),
    Add(Box<Num>, Box<Num>),
    Sub(Box<Num>, Box<Num>),
    Mul(Box<Num>, Box<Num>),
    Div(Box<Num>, Box<Num>),
    Neg(Box<Num>),
    Abs(Box<Num>),
    Trunc(Box<Num>),
    Random,
    /// Rounded to single precision, checked.
    Single(Box<Num>),
}

#[cold]
fn overflow() -> PgError {
    PgError::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "value out of range: overflow")
}

#[cold]
fn underflow() -> PgError {
    PgError::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "value out of range: underflow")
}

#[cold]
fn division() -> PgError {
    PgError::new(SqlState::DIVISION_BY_ZERO, "division by zero")
}

#[inline]
fn finite(result: f64, infinite: bool) -> Result<f64> {
    if result.is_infinite() && !infinite { Err(overflow()) } else { Ok(result) }
}

/// `a + b` as float8pl.
#[inline]
pub(crate) fn add(a: f64, b: f64) -> Result<f64> {
    finite(a + b, a.is_infinite() || b.is_infinite())
}

/// `a - b` as float8mi.
#[inline]
pub(crate) fn subtract(a: f64, b: f64) -> Result<f64> {
    finite(a - b, a.is_infinite() || b.is_infinite())
}

/// `a * b` as float8mul.
#[inline]
pub(crate) fn multiply(a: f64, b: f64) -> Result<f64> {
    let result = a * b;
    if result == 0.0 && a != 0.0 && b != 0.0 {
        return Err(underflow());
    }
    finite(result, a.is_infinite() || b.is_infinite())
}

/// `a / b` as float8div.
#[inline]
pub(crate) fn divide(a: f64, b: f64) -> Result<f64> {
    if b == 0.0 && !a.is_nan() {
        return Err(division());
    }
    let result = a / b;
    if result == 0.0 && a != 0.0 && !b.is_infinite() {
        return Err(underflow());
    }
    finite(result, a.is_infinite())
}

/// float8 to float4 as dtof.
#[inline]
pub(crate) fn single(a: f64) -> Result<f64> {
    let result = a as f32;
    if result.is_infinite() && !a.is_infinite() {
        return Err(overflow());
    }
    if result == 0.0 && a != 0.0 {
        return Err(underflow());
    }
    Ok(f64::from(result))
}

fn as_f64(value: &Datum) -> Option<f64> {
    match value {
        Datum::Float8(v) => Some(*v),
        Datum::Float4(v) => Some(f64::from(*v)),
        Datum::Int2(v) => Some(f64::from(*v)),
        Datum::Int4(v) => Some(f64::from(*v)),
        Datum::Int8(v) => Some(*v as f64),
        _ => None,
    }
}

macro_rules! both {
    ($f:expr, $l:expr, $r:expr) => {{
        let (Some(l), Some(r)) = ($l.eval($f)?, $r.eval($f)?) else { return Ok(None) };
        (l, r)
    }};
}

impl Num {
    /// See [`Node::runs_statements`].
    pub(super) fn runs_statements(&self) -> bool {
        match self {
            Num::Const(_) | Num::Column8(_) | Num::Column4(_) | Num::Random => false,
            Num::Any(node) => node.runs_statements(),
            Num::Int(inner) => inner.runs_statements(),
            Num::Add(l, r) | Num::Sub(l, r) | Num::Mul(l, r) | Num::Div(l, r) => {
                l.runs_statements() || r.runs_statements()
            }
            Num::Neg(inner) | Num::Abs(inner) | Num::Trunc(inner) | Num::Single(inner) => {
                inner.runs_statements()
            }
        }
    }

    /// Evaluates; `None` is NULL.
    pub fn eval(&self, f: &Frame<'_>) -> Result<Option<f64>> {
        Ok(Some(match self {
            Num::Const(v) => *v,
            Num::Any(node) => match &**node {
                Node::Param(i) => return Ok(as_f64(f.param(*i))),
                node => return Ok(as_f64(&node.eval(f)?)),
            },
            Num::Column8(i) => match f.row {
                RowRef::Stored(row, _) => match row.raw(*i).and_then(|r| r.first_chunk::<8>()) {
                    Some(b) => f64::from_le_bytes(*b),
                    None => return Ok(None),
                },
                _ => return Ok(as_f64(&f.column(*i))),
            },
            Num::Column4(i) => match f.row {
                RowRef::Stored(row, _) => match row.raw(*i).and_then(|r| r.first_chunk::<4>()) {
                    Some(b) => f64::from(f32::from_le_bytes(*b)),
                    None => return Ok(None),
                },
                _ => match f.column(*i) {
                    Datum::Float4(v) => f64::from(v),
                    _ => return Ok(None),
                },
            },
            Num::Int(node) => return Ok(node.eval(f)?.map(|v| v as f64)),
            Num::Add(l, r) => {
                let (l, r) = both!(f, l, r);
                add(l, r)?
            }
            Num::Sub(l, r) => {
                let (l, r) = both!(f, l, r);
                subtract(l, r)?
            }
            Num::Mul(l, r) => {
                let (l, r) = both!(f, l, r);
                multiply(l, r)?
            }
            Num::Div(l, r) => {
                let (l, r) = both!(f, l, r);
                divide(l, r)?
            }
            Num::Neg(n) => return Ok(n.eval(f)?.map(|v| -v)),
            Num::Abs(n) => return Ok(n.eval(f)?.map(f64::abs)),
            Num::Trunc(n) => return Ok(n.eval(f)?.map(f64::trunc)),
            Num::Random => f.ctx.random(),
            Num::Single(n) => match n.eval(f)? {
                Some(v) => single(v)?,
                None => return Ok(None),
            },
        }))
    }
}

/// A computation in whole numbers; the width says what is out of range.
#[derive(Debug)]
#[allow(missing_docs)]
pub enum Int {
    Const(i64),
    Any(Box<Node>),
    /// A stored column of a kind that is a whole number inside.
    Column(usize, Kind),
    Add(Box<Int>, Box<Int>, Kind),
    Sub(Box<Int>, Box<Int>, Kind),
    Mul(Box<Int>, Box<Int>, Kind),
    Div(Box<Int>, Box<Int>, Kind),
    Mod(Box<Int>, Box<Int>, Kind),
    /// Narrowing cast.
    Narrow(Box<Int>, Kind),
}

/// The whole number inside a value.
#[inline]
pub(crate) fn as_i64(value: &Datum) -> Option<i64> {
    match value {
        Datum::Int4(v) | Datum::Date(v) => Some(i64::from(*v)),
        Datum::Int8(v) | Datum::Time(v) | Datum::Timestamp(v) | Datum::TimestampTz(v) => Some(*v),
        Datum::Int2(v) => Some(i64::from(*v)),
        Datum::Oid(v) => Some(i64::from(*v)),
        _ => None,
    }
}

/// Whether values of a kind are whole numbers inside, ordered as such.
pub(crate) fn is_whole(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Int2
            | Kind::Int4
            | Kind::Int8
            | Kind::Date
            | Kind::Time
            | Kind::Timestamp
            | Kind::TimestampTz
            | Kind::Oid
    )
}

#[inline]
fn whole(kind: Kind, raw: &[u8]) -> Option<i64> {
    Some(match kind {
        Kind::Int2 => i64::from(i16::from_le_bytes(*raw.first_chunk()?)),
        Kind::Int4 | Kind::Date => i64::from(i32::from_le_bytes(*raw.first_chunk()?)),
        Kind::Oid => i64::from(u32::from_le_bytes(*raw.first_chunk()?)),
        _ => i64::from_le_bytes(*raw.first_chunk()?),
    })
}

/// Checks a result against the width it must fit.
#[inline]
fn fit(value: Option<i64>, kind: Kind) -> Result<i64> {
    let (low, high, name) = match kind {
        Kind::Int2 => (i64::from(i16::MIN), i64::from(i16::MAX), "smallint"),
        Kind::Int4 => (i64::from(i32::MIN), i64::from(i32::MAX), "integer"),
        _ => (i64::MIN, i64::MAX, "bigint"),
    };
    match value {
        Some(v) if (low..=high).contains(&v) => Ok(v),
        _ => Err(PgError::out_of_range(name)),
    }
}

impl Int {
    /// See [`Node::runs_statements`].
    pub(super) fn runs_statements(&self) -> bool {
        match self {
            Int::Const(_) | Int::Column(..) => false,
            Int::Any(node) => node.runs_statements(),
            Int::Add(l, r, _)
            | Int::Sub(l, r, _)
            | Int::Mul(l, r, _)
            | Int::Div(l, r, _)
            | Int::Mod(l, r, _) => l.runs_statements() || r.runs_statements(),
            Int::Narrow(inner, _) => inner.runs_statements(),
        }
    }

    /// Evaluates; `None` is NULL.
    pub fn eval(&self, f: &Frame<'_>) -> Result<Option<i64>> {
        Ok(Some(match self {
            Int::Const(v) => *v,
            Int::Any(node) => match &**node {
                Node::Param(i) => return Ok(as_i64(f.param(*i))),
                node => return Ok(as_i64(&node.eval(f)?)),
            },
            Int::Column(i, kind) => match f.row {
                RowRef::Stored(row, _) => {
                    return Ok(row.raw(*i).and_then(|raw| whole(*kind, raw)));
                }
                RowRef::Values(values) => return Ok(values.get(*i).and_then(as_i64)),
                RowRef::Written(_) => return Ok(as_i64(&f.column(*i))),
                RowRef::None => return Ok(None),
            },
            Int::Add(l, r, kind) => {
                let (l, r) = both!(f, l, r);
                fit(l.checked_add(r), *kind)?
            }
            Int::Sub(l, r, kind) => {
                let (l, r) = both!(f, l, r);
                fit(l.checked_sub(r), *kind)?
            }
            Int::Mul(l, r, kind) => {
                let (l, r) = both!(f, l, r);
                fit(l.checked_mul(r), *kind)?
            }
            Int::Div(l, r, kind) => {
                let (l, r) = both!(f, l, r);
                if r == 0 {
                    return Err(division());
                }
                fit(l.checked_div(r), *kind)?
            }
            Int::Mod(l, r, kind) => {
                let (l, r) = both!(f, l, r);
                if r == 0 {
                    return Err(division());
                }
                fit(Some(l.checked_rem(r).unwrap_or(0)), *kind)?
            }
            Int::Narrow(n, kind) => match n.eval(f)? {
                Some(v) => fit(Some(v), *kind)?,
                None => return Ok(None),
            },
        }))
    }
}
