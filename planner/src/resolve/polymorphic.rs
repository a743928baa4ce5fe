//! `anyelement`, `anyarray`, `anycompatible` and their kin.

use vicinity_types::{Oid, PgError, Result, SqlState, oid};

use super::Resolver;

/// Any pseudo-type of the polymorphic families.
pub(super) fn is_any(ty: Oid) -> bool {
    vicinity_functions::catalog::is_polymorphic(ty)
}

/// Whether a polymorphic parameter takes an actual type.
pub(super) fn accepts(r: &Resolver<'_>, declared: Oid, actual: Oid) -> bool {
    match declared {
        oid::ANY | oid::ANYELEMENT | oid::ANYCOMPATIBLE => true,
        oid::ANYARRAY | oid::ANYCOMPATIBLEARRAY => r.is_array(actual) || actual == oid::UNKNOWN,
        oid::ANYNONARRAY | oid::ANYCOMPATIBLENONARRAY => !r.is_array(actual),
        oid::ANYENUM => r.is_enum(actual) || actual == oid::UNKNOWN,
        _ => false,
    }
}

/// Puts actual types for polymorphic ones: gives the argument types to coerce to and the result's.
pub(super) fn settle(
    r: &Resolver<'_>,
    declared: &[Oid],
    actual: &[Oid],
    ret: Oid,
) -> Result<(Vec<Oid>, Oid)> {
    if !declared.iter().any(|d| is_any(*d)) {
        return Ok((declared.to_vec(), ret));
    }
    let element = simple_element(r, declared, actual)?;
    let compatible = compatible_element(r, declared, actual)?;
    let missing = |what: &str| {
        PgError::new(
            SqlState::INDETERMINATE_DATATYPE,
            format!("could not determine polymorphic type because input has type {what}"),
        )
    };
    let put = |ty: Oid, given: Oid| -> Result<Oid> {
        let array = |e: Option<Oid>| match e.and_then(|e| r.array_of(e)) {
            Some(a) => Ok(a),
            None => Err(missing("unknown")),
        };
        match ty {
            oid::ANY => Ok(if given == oid::UNKNOWN { oid::TEXT } else { given }),
            oid::ANYELEMENT | oid::ANYNONARRAY | oid::ANYENUM => {
                element.ok_or_else(|| missing("unknown"))
            }
            oid::ANYARRAY if r.is_array(given) => Ok(given),
            oid::ANYARRAY => array(element),
            oid::ANYCOMPATIBLE | oid::ANYCOMPATIBLENONARRAY => {
                compatible.ok_or_else(|| missing("unknown"))
            }
            oid::ANYCOMPATIBLEARRAY => array(compatible),
            other => Ok(other),
        }
    };
    let args = declared
        .iter()
        .zip(actual)
        .map(|(d, a)| put(*d, *a))
        .collect::<Result<Vec<_>>>()?;
    // A result polymorphic in a family no argument has stays as declared (aggregates' internals).
    let ret = if is_any(ret) { put(ret, oid::UNKNOWN)? } else { ret };
    Ok((args, ret))
}

/// The type `anyelement` stands for: all arguments of the family must agree.
fn simple_element(r: &Resolver<'_>, declared: &[Oid], actual: &[Oid]) -> Result<Option<Oid>> {
    let mut found: Option<Oid> = None;
    let mut seen = false;
    for (d, a) in declared.iter().zip(actual) {
        let element = match *d {
            oid::ANYELEMENT | oid::ANYNONARRAY | oid::ANYENUM => *a,
            oid::ANYARRAY => {
                if *a == oid::UNKNOWN {
                    oid::UNKNOWN
                } else {
                    r.element_of(*a).unwrap_or(oid::UNKNOWN)
                }
            }
            _ => continue,
        };
        seen = true;
        if element == oid::UNKNOWN {
            continue;
        }
        match found {
            None => found = Some(element),
            Some(f) if f == element => {}
            Some(f) => {
                return Err(PgError::new(
                    SqlState::DATATYPE_MISMATCH,
                    "arguments declared \"anyelement\" are not all alike",
                )
                .detail(format!("{} versus {}", r.type_name(f), r.type_name(element))));
            }
        }
    }
    // Only unknown literals: PostgreSQL takes them for text.
    Ok(found.or(seen.then_some(oid::TEXT)))
}

/// The common type of the `anycompatible` family.
fn compatible_element(r: &Resolver<'_>, declared: &[Oid], actual: &[Oid]) -> Result<Option<Oid>> {
    let mut types = Vec::new();
    for (d, a) in declared.iter().zip(actual) {
        match *d {
            oid::ANYCOMPATIBLE | oid::ANYCOMPATIBLENONARRAY => types.push(*a),
            oid::ANYCOMPATIBLEARRAY => {
                types.push(if *a == oid::UNKNOWN {
                    oid::UNKNOWN
                } else {
                    r.element_of(*a).unwrap_or(oid::UNKNOWN)
                });
            }
            _ => {}
        }
    }
    if types.is_empty() {
        return Ok(None);
    }
    r.common_type(&types, "polymorphic function").map(Some)
}
