//! Type names in definitions: `numeric(10,2)[]`, `timestamp(3)`, `serial`, `mood`.

use sqlparser::ast::{ArrayElemTypeDef, DataType, ObjectName};
use vicinity_types::typname::VARHDRSZ;
use vicinity_types::{Notice, Oid, PgError, Result, SqlState, oid};

use super::name;
use crate::bind::bit_length;
use crate::call::PgType;
use crate::context::ExecContext;
use crate::names;

/// A column's type as written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Written {
    pub(crate) ty: PgType,
    /// Pairs of brackets.
    pub(crate) ndims: i16,
    /// `serial` and its kin: the type is what they stand for.
    pub(crate) serial: bool,
}

/// What a written type means.
pub(crate) fn resolve(ctx: &ExecContext, ty: &DataType) -> Result<Written> {
    if let DataType::Array(elem) = ty {
        let elem = match elem {
            ArrayElemTypeDef::SquareBracket(elem, _)
            | ArrayElemTypeDef::AngleBracket(elem)
            | ArrayElemTypeDef::Parenthesis(elem) => elem,
            ArrayElemTypeDef::None => return Err(names::no_type("array")),
        };
        let elem = resolve(ctx, elem)?;
        if elem.serial {
            return Err(PgError::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                "array of serial is not implemented",
            ));
        }
        if elem.ndims > 0 {
            return Ok(Written { ndims: elem.ndims + 1, ..elem });
        }
        let array = ctx.txn.catalog().array_of(elem.ty.oid).ok_or_else(|| {
            let name = ctx.type_name(elem.ty.oid, None);
            PgError::new(
                SqlState::UNDEFINED_OBJECT,
                format!("could not find array type for data type {name}"),
            )
        })?;
        return Ok(Written { ty: typed(ctx, array, elem.ty.typmod), ndims: 1, serial: false });
    }
    scalar(ctx, ty)
}

/// Like [`resolve`], where `serial` is no type.
pub(crate) fn resolve_type(ctx: &ExecContext, ty: &DataType) -> Result<PgType> {
    let written = resolve(ctx, ty)?;
    if written.serial {
        return Err(names::no_type(&ty.to_string().to_lowercase()));
    }
    Ok(written.ty)
}

fn typed(ctx: &ExecContext, ty: Oid, typmod: i32) -> PgType {
    PgType::with_kind(ty, typmod, ctx.txn.catalog().kind_of(ty))
}

fn scalar(ctx: &ExecContext, ty: &DataType) -> Result<Written> {
    if let DataType::Custom(name, modifiers) = ty {
        return custom(ctx, name, modifiers);
    }
    let text = ty.to_string();
    let (base, modifiers) = split_modifiers(&text);
    if let DataType::Interval { .. } = ty {
        return Ok(plain(ctx, oid::INTERVAL, interval_typmod(&base, &modifiers)));
    }
    let base = match ty {
        DataType::Float(_) => {
            let bits = modifiers.first().and_then(|m| m.parse::<u32>().ok());
            return float(ctx, bits);
        }
        DataType::TimestampNtz(_) => "timestamp".to_owned(),
        _ => base,
    };
    let Some(found) = names::type_oid(&ctx.txn.catalog(), &ctx.session, &base)? else {
        return Err(names::no_type(&base));
    };
    let bare_char = matches!(ty, DataType::Char(None) | DataType::Character(None));
    let typmod = match modifiers.is_empty() {
        true if bare_char => VARHDRSZ + 1,
        true if matches!(ty, DataType::Bit(None)) => 1,
        true => -1,
        false => typmod(ctx, found, &modifiers)?,
    };
    Ok(plain(ctx, found, typmod))
}

fn plain(ctx: &ExecContext, ty: Oid, typmod: i32) -> Written {
    Written { ty: typed(ctx, ty, typmod), ndims: 0, serial: false }
}

fn float(ctx: &ExecContext, bits: Option<u32>) -> Result<Written> {
    let invalid = |text: &str| Err(PgError::new(SqlState::INVALID_PARAMETER_VALUE, text));
    match bits {
        None | Some(25..=53) => Ok(plain(ctx, oid::FLOAT8, -1)),
        Some(1..=24) => Ok(plain(ctx, oid::FLOAT4, -1)),
        Some(0) => invalid("precision for type float must be at least 1 bit"),
        Some(_) => invalid("precision for type float must be less than 54 bits"),
    }
}

fn custom(ctx: &ExecContext, name: &ObjectName, modifiers: &[String]) -> Result<Written> {
    let parts = name::parts(name);
    let at = name::position(name);
    if let [one] = parts.as_slice() {
        let serial = match one.as_str() {
            "serial" | "serial4" => Some(oid::INT4),
            "bigserial" | "serial8" => Some(oid::INT8),
            "smallserial" | "serial2" => Some(oid::INT2),
            _ => None,
        };
        if let Some(ty) = serial {
            return Ok(Written { ty: PgType::new(ty), ndims: 0, serial: true });
        }
    }
    let quoted: Vec<String> = parts.iter().map(|p| names::quote(p)).collect();
    let text = quoted.join(".");
    let found = names::type_oid(&ctx.txn.catalog(), &ctx.session, &text)?;
    let found = found.ok_or_else(|| names::no_type(&parts.join(".")).or_at(at))?;
    let typmod = if modifiers.is_empty() { -1 } else { typmod(ctx, found, modifiers)? };
    Ok(plain(ctx, found, typmod))
}

/// The name without its parenthesised modifiers, in lower case, and the modifiers.
fn split_modifiers(text: &str) -> (String, Vec<String>) {
    let Some((before, rest)) = text.split_once('(') else { return (text.to_lowercase(), vec![]) };
    let (inside, after) = rest.split_once(')').unwrap_or((rest, ""));
    let name = format!("{} {}", before.trim(), after.trim()).trim().to_lowercase();
    (name, inside.split(',').map(|m| m.trim().to_owned()).collect())
}

fn invalid(text: String) -> PgError {
    PgError::new(SqlState::INVALID_PARAMETER_VALUE, text)
}

/// The modifier a type makes of what was written in parentheses.
pub(crate) fn typmod(ctx: &ExecContext, ty: Oid, modifiers: &[String]) -> Result<i32> {
    let numbers: Option<Vec<i32>> = modifiers.iter().map(|m| m.parse().ok()).collect();
    let refused = || {
        let name = ctx.type_name(ty, None);
        PgError::new(
            SqlState::SYNTAX_ERROR,
            format!("type modifier is not allowed for type \"{name}\""),
        )
    };
    let Some(numbers) = numbers else {
        return Err(PgError::new(
            SqlState::INVALID_PARAMETER_VALUE,
            "type modifiers must be simple constants or identifiers",
        ));
    };
    match (ty, numbers.as_slice()) {
        (oid::VARCHAR | oid::BPCHAR, [n]) => {
            let name = if ty == oid::VARCHAR { "varchar" } else { "char" };
            match *n {
                ..=0 => Err(invalid(format!("length for type {name} must be at least 1"))),
                1..=10_485_760 => Ok(n + VARHDRSZ),
                _ => Err(invalid(format!("length for type {name} cannot exceed 10485760"))),
            }
        }
        (oid::BIT | oid::VARBIT, [n]) => {
            let name = if ty == oid::BIT { "bit" } else { "varbit" };
            bit_length(Some(u64::try_from(*n).unwrap_or(0)), name)
        }
        (oid::NUMERIC, [p]) => numeric(*p, 0),
        (oid::NUMERIC, [p, s]) => numeric(*p, *s),
        (oid::NUMERIC, _) => Err(invalid("invalid NUMERIC type modifier".to_owned())),
        (oid::TIME | oid::TIMETZ | oid::TIMESTAMP | oid::TIMESTAMPTZ, [p]) => seconds(ctx, ty, *p),
        (oid::INTERVAL, [p]) => Ok((0x7fff << 16) | (*p).clamp(0, 6)),
        _ => Err(refused()),
    }
}

fn numeric(p: i32, s: i32) -> Result<i32> {
    if !(1..=1000).contains(&p) {
        return Err(invalid(format!("NUMERIC precision {p} must be between 1 and 1000")));
    }
    if !(-1000..=1000).contains(&s) {
        return Err(invalid(format!("NUMERIC scale {s} must be between -1000 and 1000")));
    }
    Ok(((p << 16) | (s & 0x7ff)) + VARHDRSZ)
}

fn seconds(ctx: &ExecContext, ty: Oid, p: i32) -> Result<i32> {
    let stamp = matches!(ty, oid::TIMESTAMP | oid::TIMESTAMPTZ);
    let name = if stamp { "TIMESTAMP" } else { "TIME" };
    let zone = if matches!(ty, oid::TIMETZ | oid::TIMESTAMPTZ) { " WITH TIME ZONE" } else { "" };
    if p < 0 {
        return Err(invalid(format!("{name}({p}){zone} precision must not be negative")));
    }
    if p > 6 {
        let text = format!("{name}({p}){zone} precision reduced to maximum allowed, 6");
        ctx.session.notice(Notice::new(
            vicinity_types::Severity::Warning,
            SqlState::INVALID_PARAMETER_VALUE,
            text,
        ));
    }
    Ok(p.min(6))
}

/// Fields and precision of `interval day to second(3)`.
fn interval_typmod(base: &str, modifiers: &[String]) -> i32 {
    let bit = |field: &str| match field {
        "month" => 1 << 1,
        "year" => 1 << 2,
        "day" => 1 << 3,
        "hour" => 1 << 10,
        "minute" => 1 << 11,
        "second" => 1 << 12,
        _ => 0,
    };
    let order = ["year", "month", "day", "hour", "minute", "second"];
    let fields = base.strip_prefix("interval").unwrap_or("").trim();
    let range = match fields.split_once(" to ") {
        None if fields.is_empty() => 0x7fff,
        None => bit(fields),
        Some((from, to)) => {
            let start = order.iter().position(|f| *f == from.trim()).unwrap_or(0);
            let end = order.iter().position(|f| *f == to.trim()).unwrap_or(5);
            order.iter().skip(start).take(end + 1 - start.min(end)).map(|f| bit(f)).sum()
        }
    };
    let precision = modifiers.first().and_then(|m| m.parse::<i32>().ok());
    if range == 0x7fff && precision.is_none() {
        return -1;
    }
    (range << 16) | precision.map_or(0xffff, |p| p.clamp(0, 6))
}
