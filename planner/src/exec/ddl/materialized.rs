//! Materialized views: a query's rows kept as a table's, until REFRESH.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use sqlparser::ast::{self, Ident, ObjectName};
use vicinity_storage::catalog::model::{
    IndexDef, Materialized, Object, Persistence, Relation, RelationKind,
};
use vicinity_types::key::encode_key;
use vicinity_types::{Datum, PgError, Result, SqlState};

use super::super::outcome::{Outcome, Tag, done};
use super::super::{name, query, rewrite, viewtext};
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
    let count = fill(&ctx.next_statement(), oid, &bound)?;
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
pub(crate) fn refresh(
    ctx: &ExecContext,
    given: &ObjectName,
    no_data: bool,
    concurrently: bool,
) -> Result<Outcome> {
    let found = name::relation(ctx, given)?;
    let Some(m) = found.table().and_then(|t| t.materialized.clone()) else {
        return Err(name::not_a(&found, "materialized view"));
    };
    let parsed = crate::sql::parse(&m.query)?.into_iter().next();
    let Some(crate::sql::Statement::Sql(statement)) = parsed.map(|p| Arc::unwrap_or_clone(p.stmt))
    else {
        return Err(PgError::internal("a materialized view without a query"));
    };
    let ast::Statement::Query(text) = *statement else {
        return Err(PgError::internal("a materialized view without a query"));
    };
    if concurrently {
        check_concurrent(ctx, &found, m.populated, no_data)?;
        merge(ctx, &found, &query::bind(ctx, &text)?)?;
        return Ok(done("REFRESH MATERIALIZED VIEW"));
    }
    ctx.txn.truncate(found.oid)?;
    put(ctx, found.oid, Materialized { populated: !no_data, ..m })?;
    if !no_data {
        let ctx = &ctx.next_statement();
        fill(ctx, found.oid, &query::bind(ctx, &text)?)?;
    }
    Ok(done("REFRESH MATERIALIZED VIEW"))
}

/// CONCURRENTLY needs rows to compare with, and a key to tell them apart by.
fn check_concurrent(
    ctx: &ExecContext,
    found: &Relation,
    populated: bool,
    no_data: bool,
) -> Result<()> {
    if no_data {
        let text = "CONCURRENTLY and WITH NO DATA options cannot be used together";
        return Err(PgError::new(SqlState::SYNTAX_ERROR, text));
    }
    if !populated {
        let text = "CONCURRENTLY cannot be used when the materialized view is not populated";
        return Err(PgError::new(SqlState::FEATURE_NOT_SUPPORTED, text));
    }
    let catalog = ctx.txn.catalog();
    let key = |d: &IndexDef| {
        d.unique && d.predicate.is_none() && !d.keys.iter().any(|k| k.expr.is_some())
    };
    if catalog.indexes_of(found.oid).filter_map(|i| i.index()).any(key) {
        return Ok(());
    }
    let shown = crate::catalog::definition::qualified_name(&catalog, found);
    let text = format!("cannot refresh materialized view \"{shown}\" concurrently");
    Err(PgError::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, text).hint(
        "Create a unique index with no WHERE clause on one or more columns of the materialized view.",
    ))
}

/// Takes away the rows the query does not give any more and adds those it gives anew: others read on.
fn merge(ctx: &ExecContext, found: &Arc<Relation>, source: &query::Bound) -> Result<()> {
    let table = ctx.engine.db.table(found.oid, &ctx.txn.catalog())?;
    let key = |row: &[Datum]| -> Vec<u8> {
        let mut key = Vec::new();
        for value in row {
            encode_key(value, false, false, &mut key);
        }
        key
    };
    let mut before: HashMap<Vec<u8>, Vec<u64>> = HashMap::new();
    rewrite::each_row(ctx, &table, |id, row| {
        before.entry(key(&row)).or_default().push(id);
        Ok(())
    })?;
    let mut added = Vec::new();
    let mut given: HashSet<Vec<u8>> = HashSet::new();
    query::run(ctx, &query::plan(ctx, source)?, &mut |row| {
        let own = key(row);
        if !row.iter().any(Datum::is_null) && !given.insert(own.clone()) {
            let text = format!(
                "new data for materialized view \"{}\" contains duplicate rows without any null columns",
                found.name
            );
            return Err(PgError::new(SqlState::CARDINALITY_VIOLATION, text));
        }
        if before.get_mut(&own).and_then(Vec::pop).is_none() {
            added.push(row.to_vec());
        }
        Ok(true)
    })?;
    let snapshot = ctx.txn.snapshot();
    for id in before.into_values().flatten() {
        table.delete(&ctx.txn, &snapshot, id)?;
    }
    added.iter().try_for_each(|row| table.insert(&ctx.txn, row).map(drop))
}
