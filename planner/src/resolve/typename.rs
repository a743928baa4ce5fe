//! Type names in SQL, with their modifiers and array brackets.

use sqlparser::ast;
use vicinity_types::{PgError, Result, SqlState, oid};

use super::Resolver;
use crate::call::PgType;

/// A type's name taken apart: `numeric(10,2)[]`.
struct Written {
    name: String,
    modifiers: Vec<String>,
    dimensions: usize,
}

impl Resolver<'_> {
    /// The type a parsed type name means.
    ///
    /// # Errors
    /// 42704 `type "x" does not exist`, 22023 for modifiers out of range.
    pub fn type_of(&self, written: &ast::DataType) -> Result<PgType> {
        self.type_named(&written.to_string())
    }

    /// The type a type name written as text means.
    pub fn type_named(&self, text: &str) -> Result<PgType> {
        let written = take_apart(text)?;
        let (name, fixed) = canonical(&written.name);
        let found = crate::names::type_oid(self.catalog, self.session, &name)?
            .filter(|ty| {
                vicinity_functions::catalog::type_by_oid(*ty)
                    .is_none_or(|info| self.present(info.extension))
            })
            .ok_or_else(|| {
                PgError::new(
                    SqlState::UNDEFINED_OBJECT,
                    format!("type \"{}\" does not exist", written.name.replace('"', "")),
                )
            })?;
        let (found, typmod) = modified(found, &written, fixed)?;
        if written.dimensions == 0 {
            return Ok(self.full(found, typmod));
        }
        let array = self.array_of(found).ok_or_else(|| {
            PgError::new(
                SqlState::UNDEFINED_OBJECT,
                format!("could not find array type for data type {}", self.type_name(found)),
            )
        })?;
        Ok(self.full(array, typmod))
    }
}

/// Splits off brackets and the parenthesised modifiers, wherever SQL puts them:
/// `time(0) with time zone`.
fn take_apart(text: &str) -> Result<Written> {
    let mut rest = text.trim().to_owned();
    let mut dimensions = 0;
    loop {
        let trimmed = rest.trim_end();
        if let Some(inner) = trimmed.strip_suffix(']')
            && let Some(open) = inner.rfind('[')
        {
            rest.truncate(open);
            dimensions += 1;
        } else if trimmed.to_ascii_lowercase().ends_with(" array") {
            rest.truncate(trimmed.len() - " array".len());
            dimensions += 1;
        } else {
            break;
        }
    }
    let mut modifiers = Vec::new();
    if let (Some(open), Some(close)) = (rest.find('('), rest.rfind(')'))
        && open < close
    {
        let inside = rest.get(open + 1..close).unwrap_or("");
        modifiers = inside.split(',').map(|m| m.trim().to_owned()).collect();
        rest.replace_range(open..=close, "");
    }
    let name = rest.split_whitespace().collect::<Vec<_>>().join(" ");
    if name.is_empty() {
        return Err(PgError::new(SqlState::SYNTAX_ERROR, "missing type name"));
    }
    Ok(Written { name, modifiers, dimensions })
}

/// SQL's spellings that need more than a lookup: the length a bare `char` has.
fn canonical(name: &str) -> (String, Option<i32>) {
    let folded = if name.contains('"') { name.to_owned() } else { name.to_lowercase() };
    match folded.as_str() {
        "char" | "character" | "nchar" | "national character" => ("bpchar".to_owned(), Some(1)),
        "char varying" | "national character varying" => ("varchar".to_owned(), None),
        _ => (folded, None),
    }
}

fn modified(ty: u32, written: &Written, fixed: Option<i32>) -> Result<(u32, i32)> {
    if written.modifiers.is_empty() {
        return Ok((ty, fixed.map_or(-1, |n| n + 4)));
    }
    let numbers = written
        .modifiers
        .iter()
        .map(|m| m.parse::<i32>())
        .collect::<Result<Vec<i32>, _>>()
        .map_err(|_| PgError::new(SqlState::INVALID_PARAMETER_VALUE, "invalid type modifier"))?;
    let one = || match numbers.as_slice() {
        [n] => Ok(*n),
        _ => Err(PgError::new(SqlState::INVALID_PARAMETER_VALUE, "invalid type modifier")),
    };
    match ty {
        oid::VARCHAR | oid::BPCHAR => {
            let name = if ty == oid::VARCHAR { "varchar" } else { "char" };
            let n = one()?;
            if n < 1 {
                return Err(PgError::new(
                    SqlState::INVALID_PARAMETER_VALUE,
                    format!("length for type {name} must be at least 1"),
                ));
            }
            if n > 10_485_760 {
                return Err(PgError::new(
                    SqlState::INVALID_PARAMETER_VALUE,
                    format!("length for type {name} cannot exceed 10485760"),
                ));
            }
            Ok((ty, n + 4))
        }
        oid::NUMERIC => numeric(&numbers).map(|m| (ty, m)),
        oid::TIME | oid::TIMETZ | oid::TIMESTAMP | oid::TIMESTAMPTZ => {
            Ok((ty, one()?.clamp(0, 6)))
        }
        // Fractional digits of an interval of full range.
        oid::INTERVAL => Ok((ty, 0x7fff_0000 | one()?.clamp(0, 6))),
        // float(p)
        oid::FLOAT8 | oid::FLOAT4 => match one()? {
            1..=24 => Ok((oid::FLOAT4, -1)),
            25..=53 => Ok((oid::FLOAT8, -1)),
            n if n < 1 => Err(PgError::new(
                SqlState::INVALID_PARAMETER_VALUE,
                "precision for type float must be at least 1 bit",
            )),
            _ => Err(PgError::new(
                SqlState::INVALID_PARAMETER_VALUE,
                "precision for type float must be less than 54 bits",
            )),
        },
        _ => Err(PgError::new(
            SqlState::SYNTAX_ERROR,
            format!("type modifier is not allowed for type \"{}\"", written.name),
        )),
    }
}

fn numeric(numbers: &[i32]) -> Result<i32> {
    let (precision, scale) = match numbers {
        [p] => (*p, 0),
        [p, s] => (*p, *s),
        _ => {
            return Err(PgError::new(
                SqlState::INVALID_PARAMETER_VALUE,
                "invalid NUMERIC type modifier",
            ));
        }
    };
    if !(1..=1000).contains(&precision) {
        return Err(PgError::new(
            SqlState::INVALID_PARAMETER_VALUE,
            format!("NUMERIC precision {precision} must be between 1 and 1000"),
        ));
    }
    if !(-1000..=1000).contains(&scale) {
        return Err(PgError::new(
            SqlState::INVALID_PARAMETER_VALUE,
            format!("NUMERIC scale {scale} must be between -1000 and 1000"),
        ));
    }
    Ok(((precision << 16) | (scale & 0x7ff)) + 4)
}
