//! Conversions: through text, to a domain, to a length or precision, and of an array's elements.

use std::sync::Arc;

use datafusion::logical_expr::Expr;
use vicinity_functions::{proc_by_oid, type_by_oid};
use vicinity_storage::Catalog;
use vicinity_types::{Datum, Result, oid};

use super::{Special, first, shaped};
use crate::call::{Callable, PgType, Typed, Volatility, callable_of};
use crate::context::ExecContext;

/// `value::type` shown in PostgreSQL's way.
fn cast_text(args: &[String], target: &str) -> String {
    format!("({})::{target}", args.concat())
}

/// A value read from its text as one of another type, without that one's modifier.
fn through_text(name: &'static str, source: PgType, target: PgType, shown: String) -> Special {
    let target = target.typmod(-1);
    Special::new(name, vec![source], target, move |ctx, args| {
        let io = ctx.io();
        let text = vicinity_types::io::as_text(source.oid, &first(args), &io)?;
        vicinity_types::text_in(target.oid, -1, &text, &io)
    })
    .shown(move |args| cast_text(args, &shown))
}

/// A conversion through the types' text forms.
pub(crate) fn coerce_via_io(value: Typed, target: PgType, name: String) -> Typed {
    let procs =
        [type_by_oid(value.ty.oid).map(|t| t.output), type_by_oid(target.oid).map(|t| t.input)];
    let is_fixed = |proc| proc_by_oid(proc).is_some_and(|p| p.volatility == b'i');
    let fixed = procs.into_iter().all(|proc| proc.is_some_and(is_fixed));
    let made = through_text("coerce_via_io", value.ty, target, name);
    if fixed { made } else { made.stable() }.over(vec![value.expr])
}

/// The same value under another type that holds it otherwise: `text` as `character(n)`, `integer` as `oid`.
pub(crate) fn relabel(value: Typed, target: PgType, name: String) -> Typed {
    through_text("relabel", value.ty, target, name).over(vec![value.expr])
}

/// A constant's text, read when the statement runs: what it means depends on the session.
pub(crate) fn read_text(text: &str, target: PgType, name: String) -> Result<Typed> {
    let source = PgType::new(oid::TEXT);
    let literal = crate::call::literal(&Datum::text(text), source)?;
    Ok(Special::new("read_text", vec![source], target, move |ctx, args| match first(args) {
        Datum::Text(text) => vicinity_types::text_in(target.oid, -1, &text, &ctx.io()),
        _ => Ok(Datum::Null),
    })
    .stable()
    .shown(move |args| format!("{}::{name}", args.concat()))
    .over(vec![literal]))
}

/// A value of a domain's base type as one of the domain, checked if the domain asks for anything;
/// `shown` is the domain it becomes in the end.
pub(crate) fn domain(catalog: &Catalog, value: Typed, target: PgType, shown: u32) -> Typed {
    let target = PgType { typmod: -1, ..target };
    let Some(asked) = crate::domain::Asked::of(catalog, target.oid, shown) else {
        return Typed::new(value.expr, target);
    };
    let detail = asked.identity();
    let check = move |ctx: &ExecContext, args: &[Datum]| {
        let value = first(args);
        asked.check(ctx, &value)?;
        Ok(value)
    };
    Special::new("domain", vec![value.ty], target, check)
        .lenient()
        .stable()
        .detail(detail)
        .shown(|args| args.join(", "))
        .over(vec![value.expr])
}

/// Applies a type's modifier: `varchar(3)`, `numeric(10,2)`, `time(0)`.
pub(crate) fn apply_typmod(value: Typed, target: PgType, explicit: bool) -> Typed {
    Special::new("apply_typmod", vec![value.ty], target, move |_, args| {
        vicinity_types::apply_typmod(target.oid, target.typmod, first(args), explicit)
    })
    .detail(if explicit { "e" } else { "a" })
    .shown(move |args| {
        cast_text(args, &vicinity_types::format_type(target.oid, Some(target.typmod)))
    })
    .over(vec![value.expr])
}

/// Converts each element with a call that takes and gives the elements' types.
pub(crate) fn array_coerce(
    value: Typed,
    target: PgType,
    elem: Typed,
    elem_oid: u32,
    name: String,
) -> Typed {
    let target = target.typmod(-1);
    let detail = callable_of(&elem.expr).map(|(c, _)| c.identity()).unwrap_or_default();
    let chain = chain_of(&elem.expr);
    let fixed = chain.iter().all(|call| call.volatility() == Volatility::Immutable);
    let made = Special::new("array_coerce", vec![value.ty], target, move |ctx, args| {
        let Datum::Array(array) = first(args) else { return Ok(Datum::Null) };
        let mut values = Vec::with_capacity(array.len());
        for element in array.iter() {
            let mut element = element;
            for call in &chain {
                if element.is_null() && call.strict() {
                    break;
                }
                element = call.call(ctx, &[element])?;
            }
            values.push(element);
        }
        Ok(Datum::Array(Arc::new(shaped(elem_oid, array.dims.clone(), values))))
    })
    .detail(detail)
    .shown(move |args| cast_text(args, &name));
    if fixed { made } else { made.stable() }.over(vec![value.expr])
}

/// The calls around a column, innermost first.
fn chain_of(expr: &Expr) -> Vec<Arc<dyn Callable>> {
    let mut chain = Vec::new();
    let mut at = expr;
    while let Some((call, args)) = callable_of(at) {
        chain.push(call.clone());
        let Some(inner) = args.first() else { break };
        at = inner;
    }
    chain.reverse();
    chain
}
