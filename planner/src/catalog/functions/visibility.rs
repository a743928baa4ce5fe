//! `pg_*_is_visible`: would the bare name find this object on the search path?

use vicinity_functions::catalog as builtin;
use vicinity_storage::catalog::model::fixed;
use vicinity_types::{Datum, Oid, Result};

use super::{CatalogFn, oid_at};
use crate::catalog;
use crate::context::ExecContext;

pub(super) fn lookup(src: &str) -> Option<CatalogFn> {
    Some(match src {
        "pg_table_is_visible" => table,
        "pg_type_is_visible" => r#type,
        "pg_function_is_visible" => function,
        "pg_operator_is_visible" => operator,
        "pg_opclass_is_visible" => opclass,
        "pg_opfamily_is_visible" => opfamily,
        "pg_collation_is_visible" | "pg_conversion_is_visible" => always,
        "pg_statistics_obj_is_visible"
        | "pg_ts_config_is_visible"
        | "pg_ts_dict_is_visible"
        | "pg_ts_parser_is_visible"
        | "pg_ts_template_is_visible" => always,
        _ => return None,
    })
}

fn always(_: &ExecContext, _: &[Datum]) -> Result<Datum> {
    Ok(Datum::Bool(true))
}

/// The schemas searched, in order, `pg_catalog` first unless the path names it.
fn path(ctx: &ExecContext) -> Vec<Oid> {
    ctx.session.search_path_oids(&ctx.catalog)
}

/// Whether `schema` is the first on the path for which `has` holds.
fn first_on_path(ctx: &ExecContext, schema: Oid, has: impl Fn(Oid) -> bool) -> Datum {
    Datum::Bool(path(ctx).into_iter().find(|s| has(*s)) == Some(schema))
}

fn table(ctx: &ExecContext, args: &[Datum]) -> Result<Datum> {
    let oid = oid_at(args, 0);
    let named = match (ctx.catalog.relation(oid), catalog::lookup_oid(oid)) {
        (Some(r), _) => Some((r.schema, r.name.as_str())),
        (None, Some(t)) => Some((t.schema, t.name)),
        (None, None) => None,
    };
    let Some((schema, name)) = named else { return Ok(Datum::Null) };
    Ok(first_on_path(ctx, schema, |s| {
        ctx.catalog.relation_named(s, name).is_some() || catalog::lookup(s, name).is_some()
    }))
}

fn r#type(ctx: &ExecContext, args: &[Datum]) -> Result<Datum> {
    let oid = oid_at(args, 0);
    if let Some(t) = builtin::type_by_oid(oid) {
        let schema = if t.extension.is_some() { fixed::PUBLIC } else { fixed::PG_CATALOG };
        return Ok(Datum::Bool(path(ctx).contains(&schema)));
    }
    let schema = ctx
        .catalog
        .type_def(oid)
        .map(|t| t.schema)
        .or_else(|| ctx.catalog.relation_of_type(oid).map(|r| r.schema))
        .or_else(|| {
            let elem = ctx.catalog.element_of(oid)?;
            ctx.catalog
                .type_def(elem)
                .map(|t| t.schema)
                .or_else(|| ctx.catalog.relation_of_type(elem).map(|r| r.schema))
        });
    Ok(schema.map_or(Datum::Null, |s| Datum::Bool(path(ctx).contains(&s))))
}

fn function(ctx: &ExecContext, args: &[Datum]) -> Result<Datum> {
    let oid = oid_at(args, 0);
    let schema = match ctx.catalog.function(oid) {
        Some(f) => Some(f.schema),
        None => builtin::proc_by_oid(oid).map(|p| p.namespace),
    };
    Ok(schema.map_or(Datum::Null, |s| Datum::Bool(path(ctx).contains(&s))))
}

fn operator(ctx: &ExecContext, args: &[Datum]) -> Result<Datum> {
    let found = builtin::operator_by_oid(oid_at(args, 0));
    Ok(found.map_or(Datum::Null, |o| Datum::Bool(path(ctx).contains(&o.namespace))))
}

fn extension_schema(ctx: &ExecContext, extension: Option<&str>) -> Datum {
    let schema = if extension.is_some() { fixed::PUBLIC } else { fixed::PG_CATALOG };
    Datum::Bool(path(ctx).contains(&schema))
}

fn opclass(ctx: &ExecContext, args: &[Datum]) -> Result<Datum> {
    let found = builtin::opclass_by_oid(oid_at(args, 0));
    Ok(found.map_or(Datum::Null, |c| extension_schema(ctx, c.extension)))
}

fn opfamily(ctx: &ExecContext, args: &[Datum]) -> Result<Datum> {
    let wanted = oid_at(args, 0);
    let found = builtin::opfamilies().iter().find(|f| f.oid == wanted);
    Ok(found.map_or(Datum::Null, |f| extension_schema(ctx, f.extension)))
}
