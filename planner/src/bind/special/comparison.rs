//! GREATEST, LEAST and IS DISTINCT FROM: comparisons to which a NULL is a value.

use std::sync::Arc;

use vicinity_types::{Datum, oid};

use super::Special;
use crate::call::{Callable, PgType, Typed};

/// GREATEST and LEAST over values of one type; `worse` tells whether the first of two gives way.
pub(crate) fn greatest_least(
    name: &'static str,
    args: Vec<Typed>,
    ty: PgType,
    worse: Arc<dyn Callable>,
) -> Typed {
    let types = args.iter().map(|a| a.ty).collect();
    let word = name.to_uppercase();
    Special::new(name, types, ty, move |ctx, args| {
        let mut best = Datum::Null;
        for value in args.iter().filter(|a| !a.is_null()) {
            // The first of equal values: 1.0 and 1 are.
            let takes = best.is_null()
                || matches!(worse.call(ctx, &[best.clone(), value.clone()])?, Datum::Bool(true));
            if takes {
                best = value.clone();
            }
        }
        Ok(best)
    })
    .lenient()
    .shown(move |args| format!("{word}({})", args.join(", ")))
    .over(args.into_iter().map(|a| a.expr).collect())
}

/// `IS [NOT] DISTINCT FROM`, of values of one type: by its operator where values that differ may be equal.
pub(crate) fn distinct_from(
    left: Typed,
    right: Typed,
    negated: bool,
    operator: Option<Arc<dyn Callable>>,
) -> Typed {
    let detail = if negated { "not" } else { "" };
    Special::new("distinct", vec![left.ty, right.ty], PgType::new(oid::BOOL), move |ctx, args| {
        let [left, right] = args else { return Ok(Datum::Null) };
        let same = match (left.is_null(), right.is_null(), &operator) {
            (true, true, _) => true,
            (false, false, Some(operator)) => {
                matches!(operator.call(ctx, args)?, Datum::Bool(true))
            }
            (false, false, None) => vicinity_types::equal(left, right),
            _ => false,
        };
        Ok(Datum::Bool(same == negated))
    })
    .lenient()
    .detail(detail)
    .shown(move |args| {
        let word = if negated { "IS NOT DISTINCT FROM" } else { "IS DISTINCT FROM" };
        format!("({})", args.join(&format!(" {word} ")))
    })
    .over(vec![left.expr, right.expr])
}
