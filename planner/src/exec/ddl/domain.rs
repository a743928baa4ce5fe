//! CREATE DOMAIN and ALTER DOMAIN.

use std::sync::Arc;

use sqlparser::ast::{Expr, ObjectName};
use vicinity_storage::catalog::model::{Column, DomainCheck, Object, Relation, TypeDef, TypeKind};
use vicinity_types::{Oid, PgError, Result, SqlState};

use super::super::outcome::{Outcome, done};
use super::super::{canon, dml, name, stored, types};
use super::{object, type_uses, typedef};
use crate::call::PgType;
use crate::catalog::definition::qualified_name;
use crate::context::ExecContext;
use crate::sql::{AlterDomain, CreateDomain, DomainAction};
use crate::{domain, inner, names, partition, sql};

/// A check with its name; its expression is bound for its errors.
fn check(
    ctx: &ExecContext,
    own: &str,
    base: (Oid, i32),
    given: Option<String>,
    expr: &Expr,
    taken: &[DomainCheck],
) -> Result<DomainCheck> {
    domain::validate(ctx, base, expr)?;
    let free = |n: &String| !taken.iter().any(|c| c.name == *n);
    let named = match given {
        Some(own) if !free(&own) => return Err(duplicate(&own)),
        Some(own) => own,
        None => {
            let label = |i: u32| if i == 0 { "check".to_owned() } else { format!("check{i}") };
            (0..).map(|i| name::make(own, None, &label(i))).find(free).unwrap_or_default()
        }
    };
    let now = ctx.next_statement();
    let ty = PgType::with_kind(base.0, base.1, now.catalog.kind_of(base.0));
    let text = stored::write_check(&now, ty, expr, &now.catalog, None, false);
    let expr = text.unwrap_or_else(|| canon::expr(expr));
    Ok(DomainCheck { oid: ctx.txn.new_oid(), name: named, expr, validated: true })
}

fn duplicate(own: &str) -> PgError {
    PgError::new(
        SqlState::DUPLICATE_OBJECT,
        format!("constraint \"{own}\" for domain already exists"),
    )
}

/// The default that a domain over another one begins with.
fn default_of(ctx: &ExecContext, base: Oid) -> Option<String> {
    let catalog = ctx.txn.catalog();
    let TypeKind::Domain { default, .. } = &catalog.type_def(base)?.kind else { return None };
    default.clone()
}

/// A default as the catalog keeps it, bound for its errors: a column that has it may be long in coming.
fn default_text(ctx: &ExecContext, own: &str, base: PgType, expr: &Expr) -> Result<String> {
    let ctx = &ctx.next_statement();
    dml::default_value(ctx, expr, base, own)?;
    Ok(stored::default(ctx, expr, base))
}

/// Runs CREATE DOMAIN.
pub(crate) fn create(ctx: &ExecContext, d: &CreateDomain) -> Result<Outcome> {
    let (schema, own) = name::target(ctx, &d.name)?;
    typedef::free(ctx, schema, &own)?;
    let base = types::resolve_type(ctx, &d.ty)?;
    if let Some(collation) = &d.collation {
        super::table::check_collation(ctx, collation, base.oid)?;
    }
    let pseudo = vicinity_functions::type_by_oid(base.oid).is_some_and(|t| t.kind == b'p');
    if pseudo {
        let shown = ctx.type_name(base.oid, None);
        return Err(PgError::new(
            SqlState::DATATYPE_MISMATCH,
            format!("\"{shown}\" is not a valid base type for a domain"),
        ));
    }
    let mut checks = Vec::new();
    for (given, expr) in &d.checks {
        let given = given.as_ref().map(name::ident);
        checks.push(check(ctx, &own, (base.oid, base.typmod), given, expr, &checks)?);
    }
    let kind = TypeKind::Domain {
        base: base.oid,
        typmod: base.typmod,
        not_null: d.not_null,
        default: match &d.default {
            Some(e) => Some(default_text(ctx, &own, base, e)?),
            None => default_of(ctx, base.oid),
        },
        checks,
    };
    typedef::put(ctx, ctx.txn.new_oid(), schema, own, kind)?;
    Ok(done("CREATE DOMAIN"))
}

fn missing(own: &str, domain: &ObjectName) -> PgError {
    PgError::new(
        SqlState::UNDEFINED_OBJECT,
        format!("constraint \"{own}\" of domain \"{}\" does not exist", name::shown(domain)),
    )
}

/// Runs ALTER DOMAIN.
pub(crate) fn alter(ctx: &ExecContext, a: &AlterDomain) -> Result<Outcome> {
    let tag = done("ALTER DOMAIN");
    let ty = object::named_type(ctx, &a.name)?;
    if let DomainAction::Object(action) = &a.action {
        object::alter_type(ctx, &ty, action)?;
        return Ok(tag);
    }
    let mut next = (*ty).clone();
    let TypeKind::Domain { base, typmod, not_null, default, checks } = &mut next.kind else {
        return Err(PgError::new(
            SqlState::WRONG_OBJECT_TYPE,
            format!("{} is not a domain", name::shown(&a.name)),
        ));
    };
    match &a.action {
        DomainAction::Default(e) => {
            let base = PgType::with_kind(*base, *typmod, ctx.catalog.kind_of(*base));
            let text = |e| default_text(ctx, &ty.name, base, e);
            *default = e.as_ref().map(text).transpose()?;
        }
        DomainAction::NotNull(on) => {
            if *on {
                check_columns(ctx, &ty, "IS NULL", "contains null values")?;
            }
            *not_null = *on;
        }
        DomainAction::Add { name: given, check: expr, not_valid } => {
            let given = given.as_ref().map(name::ident);
            let mut made = check(ctx, &ty.name, (*base, *typmod), given, expr, checks)?;
            made.validated = !not_valid;
            if !not_valid {
                check_values(ctx, &ty, &made.expr)?;
            }
            checks.push(made);
        }
        DomainAction::Drop { name: given, if_exists } => {
            let own = name::ident(given);
            let before = checks.len();
            checks.retain(|c| c.name != own);
            if checks.len() == before {
                let e = missing(&own, &a.name);
                if !if_exists {
                    return Err(e);
                }
                name::skipping(ctx, SqlState::SUCCESSFUL_COMPLETION, e.message().to_owned());
                return Ok(tag);
            }
        }
        DomainAction::RenameConstraint(from, to) => {
            let (from, to) = (name::ident(from), name::ident(to));
            if checks.iter().any(|c| c.name == to) {
                return Err(duplicate(&to));
            }
            let found = checks.iter_mut().find(|c| c.name == from);
            found.ok_or_else(|| missing(&from, &a.name))?.name = to;
        }
        DomainAction::Validate(given) => {
            let own = name::ident(given);
            let found = checks.iter_mut().find(|c| c.name == own);
            let found = found.ok_or_else(|| missing(&own, &a.name))?;
            check_values(ctx, &ty, &found.expr)?;
            found.validated = true;
        }
        DomainAction::Object(_) => {}
    }
    ctx.txn.put(Object::Type(Arc::new(next)))?;
    Ok(tag)
}

/// Takes a check away.
pub(crate) fn drop_check(ctx: &ExecContext, domain: Oid, check: Oid) -> Result<()> {
    let Some(ty) = ctx.txn.catalog().type_def(domain).cloned() else { return Ok(()) };
    let mut next = (*ty).clone();
    if let TypeKind::Domain { checks, .. } = &mut next.kind {
        checks.retain(|c| c.oid != check);
    }
    ctx.txn.put(Object::Type(Arc::new(next)))
}

/// The rows there are must pass a new check.
fn check_values(ctx: &ExecContext, ty: &TypeDef, expr: &str) -> Result<()> {
    let expr = sql::parse_expression(expr)?;
    let condition = |column: &str| format!("NOT ({})", canon::renamed(&expr, "value", column));
    each_column(ctx, ty, &condition, "contains values that violate the new constraint")
}

fn check_columns(ctx: &ExecContext, ty: &TypeDef, test: &str, text: &str) -> Result<()> {
    each_column(ctx, ty, &|column| format!("{} {test}", names::quote(column)), text)
}

/// Looks for a row that a condition finds in every column of the domain and of those over it.
fn each_column(
    ctx: &ExecContext,
    ty: &TypeDef,
    condition: &dyn Fn(&str) -> String,
    text: &str,
) -> Result<()> {
    let mut columns = Vec::new();
    columns_of(ctx, ty, &mut columns)?;
    for (table, column) in columns {
        if finds_row(ctx, &table, &condition(&column.name))? {
            return Err(breaks(ctx, &table, &column, text));
        }
    }
    Ok(())
}

/// The columns of tables that are of a domain or of one over it; an error if values of it are within
/// others.
fn columns_of(
    ctx: &ExecContext,
    ty: &TypeDef,
    out: &mut Vec<(Arc<Relation>, Column)>,
) -> Result<()> {
    let catalog = ctx.txn.catalog();
    let shown = names::type_name_in(&catalog, Some(&ctx.session), ty.oid, None);
    if let Some(user) = type_uses::column_of(&catalog, ty.array_oid) {
        return Err(user.keeps_type(&shown));
    }
    for over in type_uses::domains_over(&catalog, ty.oid) {
        columns_of(ctx, over, out)?;
    }
    for table in catalog.dependents_of(ty.oid) {
        let columns = table.columns().unwrap_or_default();
        if !columns.iter().any(|c| !c.dropped && c.type_oid == ty.oid) {
            continue;
        }
        // The values in rows that are values themselves are out of reach.
        if let Some(user) =
            type_uses::row_type(&catalog, table).and_then(|row| type_uses::column_of(&catalog, row))
        {
            return Err(user.keeps_type(&shown));
        }
        if table.table().is_none() || partition::is_partitioned(table) {
            continue;
        }
        let own = columns.iter().filter(|c| !c.dropped && c.type_oid == ty.oid);
        out.extend(own.map(|c| (table.clone(), c.clone())));
    }
    Ok(())
}

fn finds_row(ctx: &ExecContext, table: &Relation, condition: &str) -> Result<bool> {
    let table = qualified_name(&ctx.txn.catalog(), table);
    let query = format!("SELECT 1 FROM ONLY {table} WHERE {condition} LIMIT 1");
    let ctx = &ctx.next_statement();
    let statement = inner::prepare_with_types(ctx, &query, &[])?;
    let mut found = false;
    inner::rows(ctx, &statement, inner::Params::new(), &mut |_| {
        found = true;
        Ok(false)
    })?;
    Ok(found)
}

fn breaks(ctx: &ExecContext, table: &Relation, column: &Column, text: &str) -> PgError {
    let code = match text.contains("null") {
        true => SqlState::NOT_NULL_VIOLATION,
        false => SqlState::CHECK_VIOLATION,
    };
    let text = format!("column \"{}\" of table \"{}\" {text}", column.name, table.name);
    let mut error = PgError::new(code, text);
    let report = error.report_mut();
    report.schema = Some(name::schema_name_of(ctx, table.schema));
    report.table = Some(table.name.clone());
    report.column = Some(column.name.clone());
    error
}
