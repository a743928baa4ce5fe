//! The common type of UNION, CASE, VALUES, ARRAY and the like (`select_common_type`).

use vicinity_types::{Oid, PgError, Result, SqlState, oid};

use super::cast::{Context, can_coerce};
use super::types::Types;

/// The type all inputs can become; `None` if there is none. All unknown is text.
pub fn common_type(types: &Types, inputs: &[Oid]) -> Option<Oid> {
    try_common(types, inputs).ok()
}

/// The type that the items of IN become, in which the value has a say, if they can be an array
/// (`transformAExprIn`).
pub fn listed_type(types: &Types, value: Oid, items: &[Oid]) -> Option<Oid> {
    if items.len() < 2 {
        return None;
    }
    let inputs: Vec<Oid> = std::iter::once(value).chain(items.iter().copied()).collect();
    let common = common_type(types, &inputs).filter(|ty| *ty != oid::RECORD)?;
    types.array(common).map(|_| common)
}

/// Two types that do not go together, and which of the inputs has the second.
struct Mismatch {
    have: Oid,
    other: Oid,
    at: usize,
}

/// The same, or what does not go together.
fn try_common(types: &Types, inputs: &[Oid]) -> std::result::Result<Oid, Mismatch> {
    let Some(first) = inputs.first().copied() else { return Ok(oid::TEXT) };
    if first != oid::UNKNOWN && inputs.iter().all(|ty| *ty == first) {
        return Ok(first);
    }
    let mut best = types.base(first);
    for (at, input) in inputs.iter().enumerate().skip(1) {
        let ty = types.base(*input);
        if ty == oid::UNKNOWN || ty == best {
            continue;
        }
        if best == oid::UNKNOWN {
            best = ty;
            continue;
        }
        let (have, new) = (types.category(best), types.category(ty));
        if have != new {
            return Err(Mismatch { have: best, other: ty, at });
        }
        let up = can_coerce(types, &[best], &[ty], Context::Implicit);
        let down = can_coerce(types, &[ty], &[best], Context::Implicit);
        if !types.preferred(have, best) && up && !down {
            best = ty;
        }
    }
    Ok(if best == oid::UNKNOWN { oid::TEXT } else { best })
}

/// The common type, or `42804`: `CASE types integer and text cannot be matched`.
pub fn require_common(types: &Types, inputs: &[Oid], what: &str) -> Result<Oid> {
    require_common_at(types, inputs, what, &[])
}

/// The same of inputs that stand at these places.
pub fn require_common_at(
    types: &Types,
    inputs: &[Oid],
    what: &str,
    places: &[Option<usize>],
) -> Result<Oid> {
    try_common(types, inputs).map_err(|m| {
        let (have, other) = (types.name(m.have), types.name(m.other));
        let text = format!("{what} types {have} and {other} cannot be matched");
        let place = places.get(m.at).copied().flatten();
        PgError::new(SqlState::DATATYPE_MISMATCH, text).or_at(place)
    })
}
