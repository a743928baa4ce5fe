//! Constants.

use std::sync::Arc;

use datafusion::common::ScalarValue;
use datafusion::logical_expr::Expr;
use sqlparser::ast::{self, Value};
use vicinity_types::bits::Bits;
use vicinity_types::{Datum, Io, NoNames, Oid, PgError, Result, SqlState, oid};

use super::{Binder, position, special};
use crate::call::{PgType, Typed, literal, placeholder};
use crate::names::SessionNames;

/// `B'101'` and `X'1F'`
fn bits(radix: &str, digits: &str, place: Option<usize>) -> Result<Typed> {
    let ty = PgType::new(oid::BIT);
    let value = Bits::parse(&format!("{radix}{digits}")).map_err(|e| e.or_at(place))?;
    Ok(Typed::new(literal(&Datum::Bits(Arc::new(value)), ty)?, ty))
}

/// An unknown literal or NULL.
pub(super) fn unknown(text: Option<&str>) -> Typed {
    let scalar = ScalarValue::Utf8(text.map(str::to_owned));
    Typed::new(Expr::Literal(scalar, None), PgType::new(oid::UNKNOWN))
}

impl Binder<'_> {
    pub(super) fn value(&mut self, value: &ast::ValueWithSpan) -> Result<Typed> {
        let place = position(value.span);
        match &value.value {
            Value::Number(text, _) => number(text, false).map_err(|e| e.or_at(place)),
            Value::SingleQuotedString(text) | Value::NationalStringLiteral(text) => {
                Ok(unknown(Some(text)))
            }
            Value::Boolean(b) => Ok(Typed::new(
                literal(&Datum::Bool(*b), PgType::new(oid::BOOL))?,
                PgType::new(oid::BOOL),
            )),
            Value::Null => Ok(unknown(None)),
            Value::Placeholder(id) => {
                // PL/pgSQL numbers its variables itself: `$1` there is an argument's name.
                if let Some((number, ty)) = self.variables.and_then(|v| v.lookup(&[id.as_str()])) {
                    return Ok(Typed::new(placeholder(number, ty), ty));
                }
                let number: usize = id
                    .strip_prefix('$')
                    .and_then(|n| n.parse().ok())
                    .ok_or_else(crate::sql::too_deep)?;
                let ty = self.params.get(number).map_err(|e| e.or_at(place))?;
                let ty = self.ty(ty);
                Ok(Typed::new(placeholder(number, ty), ty))
            }
            Value::SingleQuotedByteStringLiteral(digits) => bits("b", digits, place),
            Value::HexStringLiteral(digits) => bits("x", digits, place),
            _ => Err(PgError::unsupported("this constant").or_at(place)),
        }
    }

    /// A constant of a type from its text; NULL without one.
    pub(super) fn constant(&mut self, text: Option<&str>, target: PgType) -> Result<Typed> {
        let base = self.types.base(target.oid);
        let shown = PgType { typmod: -1, ..target };
        let Some(text) = text else {
            return Ok(Typed::new(literal(&Datum::Null, shown)?, shown));
        };
        if depends_on_session(base, text) {
            let name = self.types.name(target.oid);
            return special::read_text(text, self.types.plain(base), name)
                .map(|t| Typed::new(t.expr, shown));
        }
        let names = SessionNames { catalog: &self.types.catalog, session: self.session };
        let style = self.session.style();
        let io = Io { style: &style, names: &names };
        let typmod = if base == oid::INTERVAL { target.typmod } else { -1 };
        let datum = vicinity_types::text_in(base, typmod, text, &io)?;
        Ok(Typed::new(literal(&datum, shown)?, shown))
    }
}

/// Whether a text means something else under other settings: named days, zones, field orders.
fn depends_on_session(ty: Oid, text: &str) -> bool {
    let iso = || {
        let bytes = text.trim().as_bytes();
        bytes.len() >= 10
            && bytes.get(4) == Some(&b'-')
            && bytes.iter().take(4).all(u8::is_ascii_digit)
            && bytes.iter().all(|b| b.is_ascii_digit() || b"-+:. T".contains(b))
    };
    match ty {
        oid::DATE | oid::TIMESTAMP => !iso(),
        oid::TIMESTAMPTZ => {
            !(iso() && text.trim().get(10..).is_some_and(|t| t.contains(['+', '-'])))
        }
        oid::TIME => !text.bytes().all(|b| b.is_ascii_digit() || b":. ".contains(&b)),
        oid::TIMETZ => true,
        oid::DATE_ARRAY | oid::TIMESTAMP_ARRAY | oid::TIMESTAMPTZ_ARRAY | oid::TIMETZ_ARRAY => true,
        _ => false,
    }
}

/// An integer constant of the smallest type of int4, int8 and numeric; numeric if it has a fraction.
pub(super) fn number(text: &str, negative: bool) -> Result<Typed> {
    let text: String = text.chars().filter(|c| *c != '_').collect();
    let text = if negative { format!("-{text}") } else { text };
    let make = |datum: Datum, ty: Oid| {
        let ty = PgType::new(ty);
        Ok(Typed::new(literal(&datum, ty)?, ty))
    };
    let integer = !text.contains(['.', 'e', 'E']);
    if integer && let Ok(value) = text.parse::<i32>() {
        return make(Datum::Int4(value), oid::INT4);
    }
    if integer && let Ok(value) = text.parse::<i64>() {
        return make(Datum::Int8(value), oid::INT8);
    }
    let numeric = vicinity_types::numeric::text::parse(&text)?;
    make(Datum::Numeric(Arc::new(numeric)), oid::NUMERIC)
}

/// A numeric constant as a wider type, without a call.
pub(super) fn widen(value: &Typed, target: PgType) -> Option<Typed> {
    let Expr::Literal(scalar, _) = &value.expr else { return None };
    let datum = crate::call::scalar_to_datum(value.ty.kind, scalar).ok()?;
    let integer = match &datum {
        Datum::Null => return Some(Typed::new(literal(&Datum::Null, target).ok()?, target)),
        Datum::Int2(v) => Some(i64::from(*v)),
        Datum::Int4(v) => Some(i64::from(*v)),
        Datum::Int8(v) => Some(*v),
        _ => None,
    };
    let small = integer.and_then(|v| i32::try_from(v).ok());
    let made = match (target.oid, integer, small) {
        (oid::INT2, Some(v), _) => Datum::Int2(i16::try_from(v).ok()?),
        (oid::INT4, _, Some(v)) => Datum::Int4(v),
        (oid::INT8, Some(v), _) => Datum::Int8(v),
        (oid::FLOAT8, _, Some(v)) => Datum::Float8(f64::from(v)),
        (oid::FLOAT4, Some(v), _) => Datum::Float4(f32::from(i16::try_from(v).ok()?)),
        (oid::NUMERIC, Some(v), _) => {
            Datum::Numeric(Arc::new(vicinity_types::numeric::text::parse(&v.to_string()).ok()?))
        }
        (oid::FLOAT8 | oid::FLOAT4, None, _) => return widen_numeric(&datum, target),
        _ => return None,
    };
    Some(Typed::new(literal(&made, target).ok()?, target))
}

fn widen_numeric(datum: &Datum, target: PgType) -> Option<Typed> {
    let made = match datum {
        Datum::Float4(v) if target.oid == oid::FLOAT8 => Datum::Float8(f64::from(*v)),
        Datum::Numeric(_) => {
            let style = vicinity_types::IoStyle::default();
            let io = Io { style: &style, names: &NoNames };
            let text = vicinity_types::io::to_text(oid::NUMERIC, datum, &io);
            vicinity_types::text_in(target.oid, -1, &text, &io).ok()?
        }
        _ => return None,
    };
    Some(Typed::new(literal(&made, target).ok()?, target))
}

/// `unterminated`-style internal error for a literal that should have been one.
pub(super) fn not_constant(what: &str) -> PgError {
    PgError::new(SqlState::SYNTAX_ERROR, format!("{what} must be a constant"))
}
