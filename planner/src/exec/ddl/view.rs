//! CREATE VIEW.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use sqlparser::ast::{self, Ident, ObjectName, ObjectNamePart, Query, Visit, Visitor};
use vicinity_storage::catalog::model::{Column, Object, Relation, RelationKind, ViewDef};
use vicinity_types::io::scalar::parse_bool;
use vicinity_types::{Oid, PgError, Result, SqlState};

use super::super::outcome::{Outcome, done};
use super::super::{name, query, viewtext};
use super::{default_acl, table};
use crate::authority::Target;
use crate::context::ExecContext;

/// Names of the WITH queries anywhere in a query: no relations.
struct WithNames(BTreeSet<String>);

impl Visitor for WithNames {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        let tables = query.with.iter().flat_map(|w| &w.cte_tables);
        self.0.extend(tables.map(|t| name::ident(&t.alias.name)));
        ControlFlow::Continue(())
    }
}

/// A relation's name with its schema, for texts that outlive the search path.
pub(crate) fn qualifier(
    ctx: &ExecContext,
    query: &Query,
) -> impl Fn(&ObjectName) -> Option<ObjectName> {
    let mut with = WithNames(BTreeSet::new());
    let _ = query.visit(&mut with);
    move |given: &ObjectName| {
        let [own] = name::parts(given).try_into().ok()?;
        let own: String = own;
        if with.0.contains(&own) {
            return None;
        }
        let relation = name::find(ctx, given).ok().flatten()?;
        let schema = name::schema_name_of(ctx, relation.schema);
        let part = |n: &str| ObjectNamePart::Identifier(quoted(n));
        Some(ObjectName(vec![part(&schema), part(&own)]))
    }
}

fn quoted(own: &str) -> Ident {
    if crate::names::quote(own) == own { Ident::new(own) } else { Ident::with_quote('"', own) }
}

/// Columns of a query's result as a relation's.
pub(crate) fn columns(
    ctx: &ExecContext,
    given: &[Ident],
    output: &[query::Output],
    what: &str,
) -> Result<Vec<Column>> {
    if given.len() > output.len() {
        return Err(PgError::new(
            SqlState::SYNTAX_ERROR,
            if what == "view" {
                "CREATE VIEW specifies more column names than columns"
            } else {
                "too many column names were specified"
            },
        ));
    }
    let mut columns = Vec::with_capacity(output.len());
    for (i, o) in output.iter().enumerate() {
        let own = given.get(i).map_or_else(|| o.name.clone(), name::ident);
        let mut ty = o.ty;
        if ty.oid == vicinity_types::oid::UNKNOWN {
            ty = crate::call::PgType::new(vicinity_types::oid::TEXT);
        }
        let pseudo = vicinity_functions::type_by_oid(ty.oid).is_some_and(|t| t.kind == b'p');
        if pseudo {
            let shown = ctx.type_name(ty.oid, None);
            return Err(table::invalid(format!("column \"{own}\" has pseudo-type {shown}")));
        }
        columns.push(table::column(&own, ty));
    }
    Ok(columns)
}

/// `WITH (...)` of a view.
fn options(given: &ast::CreateTableOptions) -> Result<Vec<(String, String)>> {
    let list = match given {
        ast::CreateTableOptions::None => return Ok(Vec::new()),
        ast::CreateTableOptions::With(list) => list,
        _ => return Err(PgError::unsupported("this view option")),
    };
    let mut out = Vec::new();
    for option in list {
        let (own, value) = match option {
            ast::SqlOption::KeyValue { key, value } => {
                (name::ident(key), value.to_string().trim_matches('\'').to_lowercase())
            }
            ast::SqlOption::Ident(key) => (name::ident(key), "true".to_owned()),
            _ => return Err(PgError::unsupported("this view option")),
        };
        check_option(&own, &value)?;
        out.push((own, value));
    }
    Ok(out)
}

/// An error for an option that no view has, or that would do nothing here.
pub(crate) fn check_option(own: &str, value: &str) -> Result<()> {
    match own {
        "security_invoker" if parse_bool(value) != Some(false) => {
            Err(PgError::unsupported("security_invoker"))
        }
        "security_barrier" | "security_invoker" => Ok(()),
        "check_option" => Err(PgError::unsupported("WITH CHECK OPTION")),
        _ => Err(PgError::new(
            SqlState::INVALID_PARAMETER_VALUE,
            format!("unrecognized parameter \"{own}\""),
        )),
    }
}

/// Runs CREATE VIEW.
pub(crate) fn create(ctx: &ExecContext, v: &ast::CreateView) -> Result<Outcome> {
    if v.to.is_some() {
        return Err(PgError::unsupported("this view option"));
    }
    let options = options(&v.options)?;
    let names: Vec<Ident> = v.columns.iter().map(|c| c.name.clone()).collect();
    let described = query::describe(ctx, &v.query)?;
    let temporary = v.temporary || becomes_temporary(ctx, v, &described);
    let (schema, own) = table::place(ctx, temporary, &v.name)?;
    let columns = columns(ctx, &names, &described.columns, "view")?;
    let mut columns = table::draft(schema, own.clone(), columns)?.columns;
    let text = viewtext::kept(ctx, &v.query, &names_of(&columns), &qualifier(ctx, &v.query));
    let catalog = ctx.txn.catalog();
    let before = catalog.relation_named(schema, &own).cloned();
    let (oid, row_type) = match &before {
        Some(have) => match &have.kind {
            RelationKind::View(old) if v.or_replace => {
                check_replaced(ctx, &old.columns, &columns)?;
                for (new, old) in columns.iter_mut().zip(&old.columns) {
                    new.default.clone_from(&old.default);
                }
                (have.oid, old.row_type)
            }
            RelationKind::View(_) => {
                table::exists(ctx, schema, &own, v.if_not_exists)?;
                return Ok(done("CREATE VIEW"));
            }
            _ if v.or_replace => return Err(name::not_a(have, "view")),
            _ => {
                table::exists(ctx, schema, &own, v.if_not_exists)?;
                return Ok(done("CREATE VIEW"));
            }
        },
        None => (ctx.txn.new_oid(), ctx.txn.new_oid()),
    };
    let relation = Relation {
        oid,
        name: own,
        schema,
        owner: super::role::acting(ctx)?,
        kind: RelationKind::View(ViewDef {
            columns,
            query: text,
            depends_on: dedup(described.relations, oid),
            row_type,
            options,
        }),
    };
    let target = Target::relation(&relation);
    ctx.txn.put(Object::Relation(Arc::new(relation)))?;
    if before.is_none() {
        default_acl::begin(ctx, &target, schema)?;
    }
    Ok(done("CREATE VIEW"))
}

/// What reads temporary tables goes with them.
fn becomes_temporary(ctx: &ExecContext, v: &ast::CreateView, query: &query::Bound) -> bool {
    let temporary = ctx.session.temp_schema();
    let catalog = ctx.txn.catalog();
    let goes = |oid: &Oid| catalog.relation(*oid).is_some_and(|r| r.schema == temporary);
    let found = temporary != 0 && query.relations.iter().any(goes);
    if found {
        let own = name::last(&v.name);
        name::notice(ctx, format!("view \"{own}\" will be a temporary view"));
    }
    found
}

/// The columns' names.
pub(super) fn names_of(columns: &[Column]) -> Vec<String> {
    columns.iter().map(|c| c.name.clone()).collect()
}

pub(super) fn dedup(mut relations: Vec<Oid>, own: Oid) -> Vec<Oid> {
    relations.sort_unstable();
    relations.dedup();
    relations.retain(|r| *r != own);
    relations
}

fn check_replaced(ctx: &ExecContext, old: &[Column], new: &[Column]) -> Result<()> {
    if new.len() < old.len() {
        return Err(table::invalid("cannot drop columns from view"));
    }
    for (o, n) in old.iter().zip(new) {
        if o.name != n.name {
            return Err(table::invalid(format!(
                "cannot change name of view column \"{}\" to \"{}\"",
                o.name, n.name
            ))
            .hint("Use ALTER VIEW ... RENAME COLUMN ... to change name of view column instead."));
        }
        if (o.type_oid, o.typmod) != (n.type_oid, n.typmod) {
            let shown = |c: &Column| ctx.type_name(c.type_oid, Some(c.typmod));
            return Err(table::invalid(format!(
                "cannot change data type of view column \"{}\" from {} to {}",
                o.name,
                shown(o),
                shown(n)
            )));
        }
    }
    Ok(())
}
