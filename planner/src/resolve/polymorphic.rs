//! `anyelement`, `anyarray`, `anycompatible` and friends (`enforce_generic_type_consistency`).

use vicinity_types::{Oid, PgError, Result, SqlState, oid};

use super::common::common_type;
use super::types::Types;

/// The element of what passes for an array: the vectors of the catalog do too.
fn element_of(types: &Types, ty: Oid) -> Option<Oid> {
    match ty {
        oid::INT2VECTOR => Some(oid::INT2),
        oid::OIDVECTOR => Some(oid::OID),
        other => types.element(other),
    }
}

fn is_array(ty: Oid) -> bool {
    matches!(ty, oid::ANYARRAY | oid::ANYCOMPATIBLEARRAY)
}

fn is_compatible(ty: Oid) -> bool {
    matches!(ty, oid::ANYCOMPATIBLE | oid::ANYCOMPATIBLEARRAY | oid::ANYCOMPATIBLENONARRAY)
}

fn is_exact(ty: Oid) -> bool {
    matches!(ty, oid::ANYELEMENT | oid::ANYARRAY | oid::ANYNONARRAY | oid::ANYENUM)
}

/// Whether inputs agree on what the polymorphic arguments stand for.
pub fn consistent(types: &Types, inputs: &[Oid], declared: &[Oid]) -> bool {
    if !declared.iter().any(|d| is_exact(*d) || is_compatible(*d)) {
        return true;
    }
    element(types, inputs, declared).is_ok() && compatible(types, inputs, declared).is_ok()
}

/// What a polymorphic result lacks where no input says what it stands for
/// (`check_valid_polymorphic_signature`).
pub fn undetermined(types: &Types, ret: Oid, inputs: &[Oid]) -> Option<String> {
    let (told, any) = if is_exact(ret) {
        let any = "anyelement, anyarray, anynonarray, anyenum, anyrange, or anymultirange";
        (inputs.iter().any(|ty| is_exact(*ty)), any)
    } else {
        let any = "anycompatible, anycompatiblearray, anycompatiblenonarray, anycompatiblerange, \
                   or anycompatiblemultirange";
        (!is_compatible(ret) || inputs.iter().any(|ty| is_compatible(*ty)), any)
    };
    if told {
        return None;
    }
    let name = types.name(ret);
    Some(format!("A result of type {name} requires at least one input of type {any}."))
}

fn mismatch(text: String) -> PgError {
    PgError::new(SqlState::DATATYPE_MISMATCH, text)
}

/// The element type `anyelement` and `anyarray` stand for; `None` if only unknowns say.
fn element(types: &Types, inputs: &[Oid], declared: &[Oid]) -> Result<Option<Oid>> {
    let mut elem: Option<Oid> = None;
    let mut array: Option<Oid> = None;
    for (input, declared) in inputs.iter().zip(declared) {
        if *input == oid::UNKNOWN || !is_exact(*declared) {
            continue;
        }
        let slot = if is_array(*declared) { &mut array } else { &mut elem };
        let input = if is_array(*declared) { types.base(*input) } else { *input };
        match slot {
            Some(have) if *have != input => {
                return Err(mismatch(format!(
                    "arguments declared \"{}\" are not all alike",
                    types.name(*declared)
                ))
                .detail(format!(
                    "{} versus {}",
                    types.name(*have),
                    types.name(input)
                )));
            }
            _ => *slot = Some(input),
        }
        if *declared == oid::ANYNONARRAY && types.element(input).is_some()
            || *declared == oid::ANYENUM && !types.is_enum(input)
        {
            return Err(mismatch(format!("type matched to {} is not one", types.name(*declared))));
        }
    }
    let Some(array) = array else { return Ok(elem) };
    // anyarray itself is what statistics columns hold
    if array == oid::ANYARRAY {
        return Ok(elem.or(Some(oid::ANYELEMENT)));
    }
    let of = element_of(types, array).ok_or_else(|| {
        mismatch(format!(
            "argument declared anyarray is not an array but type {}",
            types.name(array)
        ))
    })?;
    match elem {
        Some(elem) if elem != of => Err(mismatch(
            "argument declared anyarray is not consistent with argument declared anyelement"
                .to_owned(),
        )
        .detail(format!("{} versus {}", types.name(array), types.name(elem)))),
        _ => Ok(Some(of)),
    }
}

/// The common type of the `anycompatible` family.
fn compatible(types: &Types, inputs: &[Oid], declared: &[Oid]) -> Result<Option<Oid>> {
    let mut given = Vec::new();
    let mut any = false;
    for (input, declared) in inputs.iter().zip(declared) {
        if !is_compatible(*declared) {
            continue;
        }
        any = true;
        if *input == oid::UNKNOWN {
            continue;
        }
        given.push(match is_array(*declared) {
            true => element_of(types, *input).ok_or_else(|| {
                mismatch(format!(
                    "argument declared anycompatiblearray is not an array but type {}",
                    types.name(*input)
                ))
            })?,
            false => *input,
        });
    }
    if !any || given.is_empty() {
        return Ok(None);
    }
    common_type(types, &given).map(Some).ok_or_else(|| {
        mismatch("arguments of anycompatible family cannot be cast to a common type".to_owned())
    })
}

/// Replaces polymorphic declarations by what they stand for, the result's too.
pub fn resolve(types: &Types, inputs: &[Oid], declared: &mut [Oid], ret: Oid) -> Result<Oid> {
    let polymorphic = |ty: Oid| is_exact(ty) || is_compatible(ty);
    if !declared.iter().any(|d| polymorphic(*d)) {
        return Ok(ret);
    }
    let elem = element(types, inputs, declared)?;
    let common = compatible(types, inputs, declared)?;
    let needs_element = declared.iter().any(|d| is_exact(*d));
    let elem = match elem {
        Some(elem) => elem,
        None if !needs_element => oid::TEXT,
        None => {
            return Err(mismatch(
                "could not determine polymorphic type because input has type unknown".to_owned(),
            ));
        }
    };
    let common = common.unwrap_or(oid::TEXT);
    let array = |of: Oid| {
        if of == oid::ANYELEMENT {
            return Ok(oid::ANYARRAY);
        }
        types.array(of).ok_or_else(|| {
            PgError::new(
                SqlState::UNDEFINED_OBJECT,
                format!("could not find array type for data type {}", types.name(of)),
            )
        })
    };
    let concrete = |ty: Oid| {
        Ok(match ty {
            oid::ANYELEMENT | oid::ANYNONARRAY | oid::ANYENUM => elem,
            oid::ANYARRAY => array(elem)?,
            oid::ANYCOMPATIBLE | oid::ANYCOMPATIBLENONARRAY => common,
            oid::ANYCOMPATIBLEARRAY => array(common)?,
            other => other,
        })
    };
    for (input, declared) in inputs.iter().zip(declared.iter_mut()) {
        // an array input keeps its own type (a domain over an array, anyarray itself)
        let keep = *declared == oid::ANYARRAY && *input != oid::UNKNOWN;
        *declared = if keep { types.base(*input) } else { concrete(*declared)? };
    }
    concrete(ret)
}
