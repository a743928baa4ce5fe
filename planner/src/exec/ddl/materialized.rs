//! Materialized views: a query's rows kept as a table's, until REFRESH.

use std::sync::Arc;

use sqlparser::ast::{self, Ident, ObjectName};
use vicinity_storage::catalog::model::{Materialized, Object, Persistence, Relation, RelationKind};
use vicinity_types::{PgError, Result};

use super::super::outcome::{Outcome, Tag, done};
use super::super::{name, query, viewtext};
use super::{index, table, view};
use crate::context::ExecContext;

/// Runs CREATE MATERIALIZED VIEW.
pub(crate) fn create(ctx: &ExecContext, v: &ast::CreateView, no_data: bool) -> Result<Outcome> {
    let (schema, own) = table::place(ctx, false, &v.name)?;
    if table::exists(ctx, schema, &own, v.if_not_exists)? {
        return Ok(done("CREATE MATERIALIZED VIEW"));
    }
    let names: Vec<Ident> = v.columns.iter().map(|c| c.name.clone()).collect();
    let bound = query::bind(ctx, &v.query)?;
    let columns = view::columns(ctx, &names, &bound.columns, "materialized view")?;
    let names = view::names_of(&columns);
    let draft = table::draft(schema, own, columns)?;
    let options = table::storage_options(&v.options)?;
    let oid = table::finish(ctx, draft, Persistence::Permanent, options)?;
    let materialized = Materialized {
        query: viewtext::kept(ctx, &v.query, &names, &view::qualifier(ctx, &v.query)),
        depends_on: view::dedup(bound.relations.clone(), oid),
        populated: !no_data,
    };
    put(ctx, oid, materialized)?;
    if no_data {
        return Ok(done("CREATE MATERIALIZED VIEW"));
    }
    let count = fill(ctx, oid, &bound)?;
    Ok(Tag::counted("SELECT", count).into())
}

fn put(ctx: &ExecContext, oid: vicinity_types::Oid, materialized: Materialized) -> Result<()> {
    let mut next: Relation = (*index::reread(ctx, oid)?).clone();
    if let RelationKind::Table(t) = &mut next.kind {
        t.materialized = Some(materialized);
    }
    ctx.txn.put(Object::Relation(Arc::new(next)))
}

fn fill(ctx: &ExecContext, oid: vicinity_types::Oid, source: &query::Bound) -> Result<u64> {
    let target = ctx.engine.db.table(oid, &ctx.txn.catalog())?;
    let mut count = 0;
    query::run(ctx, &query::plan(ctx, source)?, &mut |row| {
        target.insert(&ctx.txn, row)?;
        count += 1;
        Ok(true)
    })?;
    Ok(count)
}

/// Runs REFRESH MATERIALIZED VIEW.
pub(crate) fn refresh(ctx: &ExecContext, given: &ObjectName, no_data: bool) -> Result<Outcome> {
    let found = name::relation(ctx, given)?;
    let Some(m) = found.table().and_then(|t| t.materialized.clone()) else {
        return Err(name::not_a(&found, "materialized view"));
    };
    let parsed = crate::sql::parse(&m.query)?.into_iter().next();
    let Some(crate::sql::Statement::Sql(statement)) = parsed.map(|p| p.stmt) else {
        return Err(PgError::internal("a materialized view without a query"));
    };
    let ast::Statement::Query(text) = *statement else {
        return Err(PgError::internal("a materialized view without a query"));
    };
    ctx.txn.truncate(found.oid)?;
    put(ctx, found.oid, Materialized { populated: !no_data, ..m })?;
    if !no_data {
        let ctx = &ctx.next_statement();
        fill(ctx, found.oid, &query::bind(ctx, &text)?)?;
    }
    Ok(done("REFRESH MATERIALIZED VIEW"))
}
