//! Operators over ANY and ALL elements of an array.

use std::sync::Arc;

use datafusion::logical_expr::Expr;
use vicinity_types::{Datum, oid};

use super::Special;
use crate::call::{Callable, PgType, Typed, callable_of};

/// `x op ANY (array)` and `x op ALL (array)`: the array's elements and `x` are of the operator's types.
pub(crate) fn array_op(
    left: Typed,
    array: Typed,
    call: Arc<dyn Callable>,
    op: String,
    any: bool,
) -> Typed {
    let detail = format!("{} {}", call.identity(), if any { "any" } else { "all" });
    let quantifies = Some((call.clone(), any));
    let comparison = Special::new(
        "scalar_array_op",
        vec![left.ty, array.ty],
        PgType::new(oid::BOOL),
        move |ctx, args| {
            let [left, Datum::Array(array)] = args else { return Ok(Datum::Null) };
            let mut unknown = false;
            for element in array.iter() {
                if call.strict() && (left.is_null() || element.is_null()) {
                    unknown = true;
                    continue;
                }
                match call.call(ctx, &[left.clone(), element])? {
                    Datum::Bool(b) if b == any => return Ok(Datum::Bool(any)),
                    Datum::Bool(_) => {}
                    _ => unknown = true,
                }
            }
            Ok(if unknown { Datum::Null } else { Datum::Bool(!any) })
        },
    )
    .lenient()
    .detail(detail)
    .shown(move |args| {
        let word = if any { "ANY" } else { "ALL" };
        match args {
            [left, array] => format!("({left} {op} {word} ({array}))"),
            _ => String::new(),
        }
    });
    Special { quantifies, ..comparison }.over(vec![left.expr, array.expr])
}

/// `value op ANY (array)`, or ALL.
pub(crate) struct Quantified<'e> {
    pub(crate) value: &'e Expr,
    pub(crate) array: &'e Expr,
    /// What compares the value with each element.
    pub(crate) comparison: &'e dyn Callable,
    /// ANY and not ALL.
    pub(crate) any: bool,
}

impl Quantified<'_> {
    /// The parts of such an expression.
    pub(crate) fn of(expr: &Expr) -> Option<Quantified<'_>> {
        let (callable, [value, array]) = callable_of(expr)? else { return None };
        let special = callable.as_any().downcast_ref::<Special>()?;
        let (comparison, any) = special.quantifies.as_ref()?;
        Some(Quantified { value, array, comparison: &**comparison, any: *any })
    }
}
