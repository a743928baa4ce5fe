//! Which operator a symbol means (`parse_oper.c`).

use vicinity_functions::{Operator, PG_CATALOG};
use vicinity_types::{Oid, PgError, Result, SqlState, oid};

use super::select::{matching, select};
use super::types::Types;

/// The infix operator for operand types.
pub fn binary(
    types: &Types,
    schema: Option<&str>,
    name: &str,
    left: Oid,
    right: Oid,
) -> Result<&'static Operator> {
    // what the server adds to an extension takes no literal away from the extension's own operators
    let literal = left == oid::UNKNOWN || right == oid::UNKNOWN;
    let added = |o: &Operator| o.extension.is_some() && o.namespace == PG_CATALOG;
    let all: Vec<&'static Operator> =
        visible(types, schema, name).filter(|o| o.kind == b'b' && !(literal && added(o))).collect();
    // an unknown operand is taken to be of the other's type
    let (l, r) = match (left, right) {
        (oid::UNKNOWN, r) => (r, r),
        (l, oid::UNKNOWN) => (l, l),
        both => both,
    };
    let exact = |l: Oid, r: Oid| all.iter().find(|o| o.left == l && o.right == r).copied();
    if let Some(op) = exact(l, r) {
        return Ok(op);
    }
    if let Some(op) = exact(types.base(l), types.base(r))
        && (left == oid::UNKNOWN || right == oid::UNKNOWN)
    {
        return Ok(op);
    }
    choose(types, all, name, &[left, right], |o| vec![o.left, o.right])
}

/// The prefix operator for an operand type.
pub fn prefix(
    types: &Types,
    schema: Option<&str>,
    name: &str,
    operand: Oid,
) -> Result<&'static Operator> {
    let all: Vec<&'static Operator> =
        visible(types, schema, name).filter(|o| o.kind == b'l').collect();
    if let Some(op) = all.iter().find(|o| o.right == operand) {
        return Ok(op);
    }
    choose(types, all, name, &[operand], |o| vec![o.right])
}

fn visible<'a>(
    types: &'a Types,
    schema: Option<&'a str>,
    name: &'a str,
) -> impl Iterator<Item = &'static Operator> + 'a {
    let schema = schema.and_then(|s| types.catalog.schema_named(s)).map(|s| s.oid);
    vicinity_functions::operators_named(name).filter(move |o| {
        !o.is_shell()
            && types.extension_exists(o.extension)
            && schema.is_none_or(|s| o.namespace == s || (s == PG_CATALOG && o.extension.is_none()))
    })
}

struct Candidate {
    operator: &'static Operator,
    args: Vec<Oid>,
}

fn choose(
    types: &Types,
    all: Vec<&'static Operator>,
    name: &str,
    inputs: &[Oid],
    args: impl Fn(&Operator) -> Vec<Oid>,
) -> Result<&'static Operator> {
    let mut candidates: Vec<Candidate> =
        all.into_iter().map(|operator| Candidate { operator, args: args(operator) }).collect();
    matching(types, inputs, &mut candidates, |c| &c.args);
    match candidates.as_slice() {
        [] => Err(missing(types, name, inputs)),
        [one] => Ok(one.operator),
        _ => match select(types, inputs, candidates, |c| &c.args) {
            Some(found) => Ok(found.operator),
            None => Err(PgError::new(
                SqlState::AMBIGUOUS_FUNCTION,
                format!("operator is not unique: {}", shown(types, name, inputs)),
            )
            .hint(
                "Could not choose a best candidate operator. \
                 You might need to add explicit type casts.",
            )),
        },
    }
}

fn shown(types: &Types, name: &str, inputs: &[Oid]) -> String {
    match inputs {
        [left, right] => format!("{} {name} {}", types.name(*left), types.name(*right)),
        _ => format!("{name} {}", inputs.iter().map(|t| types.name(*t)).collect::<String>()),
    }
}

fn missing(types: &Types, name: &str, inputs: &[Oid]) -> PgError {
    let hint = if inputs.len() == 2 {
        "No operator matches the given name and argument types. \
         You might need to add explicit type casts."
    } else {
        "No operator matches the given name and argument type. \
         You might need to add an explicit type cast."
    };
    PgError::new(
        SqlState::UNDEFINED_FUNCTION,
        format!("operator does not exist: {}", shown(types, name, inputs)),
    )
    .hint(hint)
}
