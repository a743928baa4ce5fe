//! The choice among overloads (`func_match_argtypes`, `func_select_candidate`).

use vicinity_types::{Oid, oid};

use super::cast::{Context, can_coerce};
use super::types::Types;

/// The candidates whose arguments the inputs can implicitly become.
pub fn matching<C>(
    types: &Types,
    inputs: &[Oid],
    candidates: &mut Vec<C>,
    args: impl Fn(&C) -> &[Oid],
) {
    candidates.retain(|c| {
        args(c).len() == inputs.len() && can_coerce(types, inputs, args(c), Context::Implicit)
    });
}

/// The one candidate PostgreSQL prefers; `None` is ambiguity.
pub fn select<C>(
    types: &Types,
    inputs: &[Oid],
    candidates: Vec<C>,
    args: impl Fn(&C) -> &[Oid],
) -> Option<C> {
    let base: Vec<Oid> = inputs.iter().map(|ty| types.base(*ty)).collect();
    let unknowns = base.iter().filter(|ty| **ty == oid::UNKNOWN).count();
    let categories: Vec<u8> = base.iter().map(|ty| types.category(*ty)).collect();

    // most exact matches
    let exact = |c: &C| {
        let pairs = base.iter().zip(args(c));
        pairs.filter(|(input, arg)| **input != oid::UNKNOWN && input == arg).count()
    };
    let candidates = best(candidates, exact);
    let candidates = match only(candidates) {
        Ok(found) => return Some(found),
        Err(rest) => rest,
    };

    // most exact or preferred
    let preferred = |c: &C| {
        let slots = base.iter().zip(args(c)).zip(&categories);
        slots
            .filter(|((input, arg), category)| {
                **input != oid::UNKNOWN && (input == arg || types.preferred(**category, **arg))
            })
            .count()
    };
    let candidates = best(candidates, preferred);
    let mut candidates = match only(candidates) {
        Ok(found) => return Some(found),
        Err(rest) => rest,
    };
    if unknowns == 0 {
        return None;
    }

    // what the unknown ones look like
    if let Some(slots) = unknown_slots(types, &base, &candidates, &args) {
        let fits = |c: &C| {
            slots.iter().all(|(i, category, prefer)| {
                let arg = args(c).get(*i).copied().unwrap_or(0);
                types.category(arg) == *category && (!prefer || types.preferred(*category, arg))
            })
        };
        if candidates.iter().any(fits) {
            candidates.retain(fits);
        }
        candidates = match only(candidates) {
            Ok(found) => return Some(found),
            Err(rest) => rest,
        };
    }

    // all known inputs of one type: try it for the unknown ones
    if unknowns < inputs.len() {
        let mut known = base.iter().copied().filter(|ty| *ty != oid::UNKNOWN);
        let first = known.next()?;
        if known.all(|ty| ty == first) {
            let assumed = vec![first; inputs.len()];
            candidates.retain(|c| can_coerce(types, &assumed, args(c), Context::Implicit));
            return only(candidates).ok();
        }
    }
    None
}

/// For each unknown input its category and whether to insist on the preferred type.
fn unknown_slots<C>(
    types: &Types,
    base: &[Oid],
    candidates: &[C],
    args: &impl Fn(&C) -> &[Oid],
) -> Option<Vec<(usize, u8, bool)>> {
    let mut slots = Vec::new();
    for (i, input) in base.iter().enumerate() {
        if *input != oid::UNKNOWN {
            continue;
        }
        let (mut slot, mut prefer, mut conflict) = (0u8, false, false);
        for candidate in candidates {
            let arg = args(candidate).get(i).copied().unwrap_or(0);
            let category = types.category(arg);
            let preferred = types.preferred(category, arg);
            if slot == 0 {
                (slot, prefer) = (category, preferred);
            } else if category == slot {
                prefer |= preferred;
            } else if category == b'S' {
                (slot, prefer) = (category, preferred);
            } else {
                conflict = true;
            }
        }
        if conflict && slot != b'S' {
            return None;
        }
        slots.push((i, slot, prefer));
    }
    Some(slots)
}

fn best<C>(candidates: Vec<C>, score: impl Fn(&C) -> usize) -> Vec<C> {
    let most = candidates.iter().map(&score).max().unwrap_or(0);
    candidates.into_iter().filter(|c| score(c) == most).collect()
}

fn only<C>(mut candidates: Vec<C>) -> Result<C, Vec<C>> {
    match candidates.len() {
        1 => candidates.pop().ok_or_else(Vec::new),
        _ => Err(candidates),
    }
}
