//! Which cast leads from one type to another (`find_coercion_pathway`).

use vicinity_functions::Proc;
use vicinity_types::{Oid, oid};

use super::types::Types;

/// Where a cast is asked for, from the least to the most willing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Context {
    /// Between operands and arguments.
    Implicit,
    /// Into a column or variable.
    Assignment,
    /// Written as a cast.
    Explicit,
}

/// How a cast is done.
#[derive(Clone, Copy, Debug)]
pub enum CastPath {
    /// Nothing to do but to call it another type.
    Relabel,
    /// A function of `pg_cast`.
    Function(&'static Proc),
    /// Out and in again as text.
    Io,
    /// Element by element.
    Array,
}

/// The way from one type to another, if the context allows one.
pub fn pathway(types: &Types, source: Oid, target: Oid, context: Context) -> Option<CastPath> {
    let (source, target) = (types.base(source), types.base(target));
    if source == target {
        return Some(CastPath::Relabel);
    }
    if let Some(cast) = vicinity_functions::cast(source, target) {
        let allowed = match cast.context {
            b'i' => true,
            b'a' => context >= Context::Assignment,
            _ => context >= Context::Explicit,
        };
        return match cast.method {
            _ if !allowed => None,
            b'f' => vicinity_functions::proc_by_oid(cast.func).map(CastPath::Function),
            b'i' => Some(CastPath::Io),
            _ => Some(CastPath::Relabel),
        };
    }
    // int2vector and oidvector are arrays to come from, not to go to
    if let (Some(from), Some(to)) = (types.catalog.element_of(source), types.element(target)) {
        // Also where the elements stay as they are: an array knows what they are.
        return pathway(types, from, to, context).map(|_| CastPath::Array);
    }
    let string = |ty: Oid| types.category(ty) == b'S';
    let through_io = (context >= Context::Assignment && string(target))
        || (context >= Context::Explicit && string(source));
    through_io.then_some(CastPath::Io)
}

/// Whether operands of these types can become those (`can_coerce_type`).
pub fn can_coerce(types: &Types, inputs: &[Oid], targets: &[Oid], context: Context) -> bool {
    let one = |input: Oid, target: Oid| {
        if input == target || target == oid::ANY {
            return true;
        }
        if vicinity_functions::is_polymorphic(target) || input == oid::UNKNOWN {
            return true;
        }
        if pathway(types, input, target, context).is_some() {
            return true;
        }
        let composite = |ty| types.is_composite(ty);
        match (input, target) {
            (oid::RECORD, target) if composite(target) => true,
            (input, oid::RECORD) if composite(input) => true,
            (oid::RECORD_ARRAY, target) => types.element(target).is_some_and(composite),
            (input, oid::RECORD_ARRAY) => types.element(input).is_some_and(composite),
            _ => false,
        }
    };
    inputs.iter().zip(targets).all(|(input, target)| one(*input, *target))
        && super::polymorphic::consistent(types, inputs, targets)
}
