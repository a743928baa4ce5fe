//! `pg_get_*def`, `format_type`, descriptions.

use vicinity_functions::catalog as builtin;
use vicinity_storage::catalog::model::{ConstraintKind, RelationKind, fixed};
use vicinity_types::{Datum, Oid, Result, oid};

use super::{CatalogFn, int_at, oid_at, text_at, text_or_null};
use crate::catalog::definition::{self, ArgumentStyle};
use crate::catalog::{class_oid, lookup as system_table, lookup_oid, trigger};
use crate::context::ExecContext;
use crate::exec::stored;
use crate::exec::viewtext::Style;
use crate::{names, partition};

pub(super) fn lookup(src: &str) -> Option<CatalogFn> {
    Some(match src {
        "format_type" => format_type,
        "pg_get_indexdef" => indexdef,
        "pg_get_indexdef_ext" => indexdef_ext,
        "pg_get_constraintdef" | "pg_get_constraintdef_ext" => constraintdef,
        "pg_get_expr" | "pg_get_expr_ext" => expr,
        "pg_get_viewdef" | "pg_get_viewdef_ext" | "pg_get_viewdef_wrap" => viewdef,
        "pg_get_viewdef_name" | "pg_get_viewdef_name_ext" => viewdef_named,
        "pg_get_functiondef" => functiondef,
        "pg_get_function_arguments" => function_arguments,
        "pg_get_function_identity_arguments" => function_identity_arguments,
        "pg_get_function_arg_default" => argument_default,
        "_pg_index_position" => index_position,
        "pg_get_function_result" => function_result,
        "pg_get_function_sqlbody" => null,
        "pg_get_triggerdef" | "pg_get_triggerdef_ext" => triggerdef,
        "pg_get_ruledef" | "pg_get_ruledef_ext" => ruledef,
        "pg_get_partkeydef" => partkeydef,
        "pg_get_partition_constraintdef" => partition_constraintdef,
        "pg_partition_root" => partition_root,
        "pg_get_statisticsobjdef" | "pg_get_statisticsobjdef_columns" => null,
        "pg_get_replica_identity_index" => replica_identity_index,
        "pg_get_userbyid" => userbyid,
        "obj_description(oid,name)" | "shobj_description(oid,name)" => obj_description,
        "obj_description(oid)" => obj_description_any,
        "col_description(oid,integer)" => col_description,
        "pg_describe_object" => describe_object,
        _ => return None,
    })
}

fn is_pretty(args: &[Datum], at: usize) -> bool {
    matches!(args.get(at), Some(Datum::Bool(true)))
}

/// What is stored is SQL with names in full: there is no node tree to write back.
fn expr(ctx: &ExecContext, args: &[Datum]) -> Result<Datum> {
    let Some(Datum::Text(text)) = args.first() else { return Ok(Datum::Null) };
    let relation = ctx.catalog.relation(oid_at(args, 1));
    let table = match relation.and_then(|r| r.index()) {
        Some(index) => ctx.catalog.relation(index.table),
        None => relation,
    };
    Ok(Datum::text(stored::shown(ctx, table, text, is_pretty(args, 2))))
}

/// The default of one of a function's arguments, counted from one.
fn argument_default(ctx: &ExecContext, args: &[Datum]) -> Result<Datum> {
    let Some(at) = usize::try_from(int_at(args, 1)).ok().and_then(|n| n.checked_sub(1)) else {
        return Ok(Datum::Null);
    };
    let Some(f) = ctx.catalog.function(oid_at(args, 0)) else { return Ok(Datum::Null) };
    let text = f.args.get(at).and_then(|a| a.default.as_ref());
    Ok(text_or_null(text.map(|text| stored::shown(ctx, None, text, false))))
}

/// The place of a column among an index's, one-based.
fn index_position(ctx: &ExecContext, args: &[Datum]) -> Result<Datum> {
    let index = ctx.catalog.relation(oid_at(args, 0)).and_then(|r| r.index());
    let wanted = int_at(args, 1);
    let keys = index
        .into_iter()
        .flat_map(|i| i.keys.iter().map(|k| k.column).chain(i.include.iter().copied()));
    let at = keys.map(i64::from).position(|column| column == wanted);
    Ok(at.and_then(|at| i32::try_from(at + 1).ok()).map_or(Datum::Null, Datum::Int4))
}

fn null(_: &ExecContext, _: &[Datum]) -> Result<Datum> {
    Ok(Datum::Null)
}

/// Not strict: a NULL typmod means none.
fn format_type(ctx: &ExecContext, args: &[Datum]) -> Result<Datum> {
    let Some(Datum::Oid(ty)) = args.first() else { return Ok(Datum::Null) };
    if *ty == 0 {
        return Ok(Datum::text("-"));
    }
    let typmod = match args.get(1) {
        Some(Datum::Int4(n)) => Some(*n),
        _ => None,
    };
    Ok(Datum::text(names::type_name_in(&ctx.catalog, Some(&ctx.session), *ty, typmod)))
}

fn indexdef(ctx: &ExecContext, args: &[Datum]) -> Result<Datum> {
    let relation = ctx.catalog.relation(oid_at(args, 0));
    Ok(text_or_null(relation.and_then(|r| definition::index(ctx, r, is_pretty(args, 2)))))
}

fn indexdef_ext(ctx: &ExecContext, args: &[Datum]) -> Result<Datum> {
    let column = i32::try_from(int_at(args, 1)).unwrap_or(0);
    if column == 0 {
        return indexdef(ctx, args);
    }
    let relation = ctx.catalog.relation(oid_at(args, 0));
    Ok(text_or_null(
        relation.and_then(|r| definition::index_column(ctx, r, column, is_pretty(args, 2))),
    ))
}

fn partkeydef(ctx: &ExecContext, args: &[Datum]) -> Result<Datum> {
    let relation = ctx.catalog.relation(oid_at(args, 0));
    Ok(text_or_null(relation.and_then(|r| partition::show::key(r))))
}

fn partition_constraintdef(ctx: &ExecContext, args: &[Datum]) -> Result<Datum> {
    match ctx.catalog.relation(oid_at(args, 0)) {
        Some(relation) => Ok(text_or_null(partition::show::constraint(ctx, relation)?)),
        None => Ok(Datum::Null),
    }
}

fn partition_root(ctx: &ExecContext, args: &[Datum]) -> Result<Datum> {
    let Some(relation) = ctx.catalog.relation(oid_at(args, 0)) else { return Ok(Datum::Null) };
    let above = partition::ancestors(&ctx.catalog, relation);
    Ok(match above.last() {
        Some(root) => Datum::Oid(root.oid),
        None if partition::is_partitioned(relation) => Datum::Oid(relation.oid),
        None => Datum::Null,
    })
}

fn constraintdef(ctx: &ExecContext, args: &[Datum]) -> Result<Datum> {
    Ok(match ctx.catalog.constraint(oid_at(args, 0)) {
        Some((relation, c)) => {
            Datum::text(definition::constraint(ctx, relation, c, is_pretty(args, 1)))
        }
        None => text_or_null(definition::domain_check(ctx, oid_at(args, 0), is_pretty(args, 1))),
    })
}

/// `(view)`, `(view, pretty)`, `(view, width)`: the last is pretty too.
fn viewdef(ctx: &ExecContext, args: &[Datum]) -> Result<Datum> {
    let relation = ctx.catalog.relation(oid_at(args, 0));
    Ok(text_or_null(relation.and_then(|r| definition::view(ctx, r, style(args)))))
}

/// The same by name.
fn viewdef_named(ctx: &ExecContext, args: &[Datum]) -> Result<Datum> {
    let oid = names::reg_in(&ctx.catalog, &ctx.session, oid::REGCLASS, text_at(args, 0))?;
    let relation = ctx.catalog.relation(oid);
    Ok(text_or_null(relation.and_then(|r| definition::view(ctx, r, style(args)))))
}

fn style(args: &[Datum]) -> Style {
    match args.get(1) {
        Some(Datum::Bool(true) | Datum::Int4(_)) => Style::Pretty,
        _ => Style::Shown,
    }
}

fn ruledef(ctx: &ExecContext, args: &[Datum]) -> Result<Datum> {
    let Some(relation) = ctx.catalog.relation(oid_at(args, 0)) else { return Ok(Datum::Null) };
    let RelationKind::View(_) = &relation.kind else { return Ok(Datum::Null) };
    Ok(Datum::text(format!(
        "CREATE RULE \"_RETURN\" AS\n    ON SELECT TO {} DO INSTEAD {}",
        definition::qualified_name(&ctx.catalog, relation),
        definition::view(ctx, relation, Style::Shown).unwrap_or_default()
    )))
}

fn functiondef(ctx: &ExecContext, args: &[Datum]) -> Result<Datum> {
    let f = ctx.catalog.function(oid_at(args, 0));
    Ok(text_or_null(f.map(|f| definition::function(ctx, f))))
}

fn arguments(ctx: &ExecContext, function: Oid, style: ArgumentStyle) -> Option<String> {
    match ctx.catalog.function(function) {
        Some(f) => Some(definition::arguments(ctx, f, style)),
        None => {
            builtin::proc_by_oid(function).map(|p| definition::builtin_arguments(ctx, p, style))
        }
    }
}

fn function_arguments(ctx: &ExecContext, args: &[Datum]) -> Result<Datum> {
    Ok(text_or_null(arguments(ctx, oid_at(args, 0), ArgumentStyle::Declaration)))
}

fn function_identity_arguments(ctx: &ExecContext, args: &[Datum]) -> Result<Datum> {
    Ok(text_or_null(arguments(ctx, oid_at(args, 0), ArgumentStyle::Identity)))
}

fn function_result(ctx: &ExecContext, args: &[Datum]) -> Result<Datum> {
    let function = oid_at(args, 0);
    Ok(text_or_null(match ctx.catalog.function(function) {
        Some(f) => definition::result(ctx, f),
        None => builtin::proc_by_oid(function).and_then(|p| definition::builtin_result(ctx, p)),
    }))
}

fn triggerdef(ctx: &ExecContext, args: &[Datum]) -> Result<Datum> {
    let pretty = matches!(args.get(1), Some(Datum::Bool(true)));
    let found = ctx.catalog.trigger(oid_at(args, 0));
    Ok(text_or_null(found.and_then(|t| trigger::definition(ctx, t, pretty))))
}

/// The replica identity DEFAULT is the primary key.
fn replica_identity_index(ctx: &ExecContext, args: &[Datum]) -> Result<Datum> {
    let table = ctx.catalog.relation(oid_at(args, 0)).and_then(|r| r.table());
    let key = table.and_then(|t| {
        t.constraints.iter().find_map(|c| match c.kind {
            ConstraintKind::PrimaryKey { index } => Some(index),
            _ => None,
        })
    });
    Ok(key.map_or(Datum::Null, Datum::Oid))
}

fn userbyid(ctx: &ExecContext, args: &[Datum]) -> Result<Datum> {
    let role = oid_at(args, 0);
    Ok(match ctx.catalog.role(role) {
        Some(r) => Datum::text(&r.name),
        None => Datum::text(format!("unknown (OID={role})")),
    })
}

fn described(ctx: &ExecContext, object: Oid, class: &str) -> Option<String> {
    if let Some(c) = ctx.catalog.comment(class_oid(class), object, 0) {
        return Some(c.text.clone());
    }
    builtin::description(class, object).map(str::to_owned)
}

fn obj_description(ctx: &ExecContext, args: &[Datum]) -> Result<Datum> {
    Ok(text_or_null(described(ctx, oid_at(args, 0), text_at(args, 1))))
}

fn obj_description_any(ctx: &ExecContext, args: &[Datum]) -> Result<Datum> {
    let object = oid_at(args, 0);
    let own = ctx.catalog.comments().find(|c| c.object == object && c.sub == 0);
    let text = own.map(|c| c.text.clone()).or_else(|| {
        builtin::descriptions().iter().find(|d| d.object == object).map(|d| d.text.to_owned())
    });
    Ok(text_or_null(text))
}

fn col_description(ctx: &ExecContext, args: &[Datum]) -> Result<Datum> {
    let column = i32::try_from(int_at(args, 1)).unwrap_or(0);
    let comment = ctx.catalog.comment(class_oid("pg_class"), oid_at(args, 0), column);
    Ok(text_or_null(comment.map(|c| &c.text)))
}

fn describe_object(ctx: &ExecContext, args: &[Datum]) -> Result<Datum> {
    let (class, object) = (oid_at(args, 0), oid_at(args, 1));
    let Some(class) = lookup_oid(class) else { return Ok(Datum::Null) };
    if class.schema != fixed::PG_CATALOG || system_table(class.schema, class.name).is_none() {
        return Ok(Datum::Null);
    }
    let text = match class.name {
        "pg_class" => ctx.catalog.relation(object).map(|r| {
            let kind = match &r.kind {
                RelationKind::Table(_) => "table",
                RelationKind::Index(_) => "index",
                RelationKind::Sequence(_) => "sequence",
                RelationKind::View(_) => "view",
                RelationKind::Composite(_) => "composite type",
            };
            format!("{kind} {}", definition::relation_name(ctx, r))
        }),
        "pg_type" => Some(format!("type {}", definition::type_name(ctx, object))),
        "pg_proc" => names::reg_out(&ctx.catalog, &ctx.session, oid::REGPROCEDURE, object)
            .map(|s| format!("function {s}")),
        "pg_namespace" => ctx.catalog.schema(object).map(|s| format!("schema {}", s.name)),
        "pg_extension" => ctx.catalog.extension(object).map(|e| format!("extension {}", e.name)),
        "pg_operator" => builtin::operator_by_oid(object).map(|o| {
            let name = |ty| definition::type_name(ctx, ty);
            format!("operator {}({},{})", o.name, name(o.left), name(o.right))
        }),
        "pg_am" => {
            builtin::access_method_by_oid(object).map(|m| format!("access method {}", m.name))
        }
        _ => None,
    };
    Ok(text_or_null(text))
}
