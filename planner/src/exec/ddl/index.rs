//! CREATE INDEX and REINDEX.

use std::sync::Arc;

use sqlparser::ast::ObjectName;
use vicinity_indexes::options::{MethodOptions, parse_options};
use vicinity_indexes::{Clustering, IvfOptions};
use vicinity_storage::Progress;
use vicinity_storage::catalog::model::{
    IndexDef, IndexMethod, Object, Relation, RelationKind, fixed,
};
use vicinity_types::{Oid, PgError, Result, SqlState};

use super::super::dml::index_expressions::in_statement;
use super::super::name;
use super::super::outcome::{Outcome, done};
use super::super::stored::{self, Place};
use super::opclass::{self, Method};
use super::{in_use, index_key};
use crate::context::ExecContext;
use crate::sql::CreateIndex;

/// A relation as it is in the transaction's catalog now.
pub(crate) fn reread(ctx: &ExecContext, oid: Oid) -> Result<Arc<Relation>> {
    let found = ctx.txn.catalog().relation(oid).cloned();
    found.ok_or_else(|| PgError::internal(format!("relation {oid} is gone")))
}

/// Options of the method, with what it has to say about them.
pub(crate) fn check_options(
    ctx: &ExecContext,
    method: IndexMethod,
    given: &[(String, String)],
) -> Result<()> {
    match method {
        IndexMethod::Hnsw | IndexMethod::Ivfflat => {
            let name = if method == IndexMethod::Hnsw { "pase_hnsw" } else { "pase_ivfflat" };
            let parsed = parse_options(name, given)?;
            for notice in parsed.notices {
                ctx.session.notice(notice);
            }
            match parsed.method {
                MethodOptions::Ivfflat(IvfOptions {
                    clustering: Clustering::External { .. },
                    ..
                }) => super::role::check_server_files(
                    ctx,
                    "pg_read_server_files",
                    "read a centroid file",
                ),
                _ => Ok(()),
            }
        }
        _ => {
            for (own, value) in given {
                let known = match own.as_str() {
                    "fillfactor" => true,
                    "deduplicate_items" => method == IndexMethod::Btree,
                    "buffering" => method == IndexMethod::Spatial,
                    _ => false,
                };
                if !known {
                    return Err(PgError::new(
                        SqlState::INVALID_PARAMETER_VALUE,
                        format!("unrecognized parameter \"{own}\""),
                    ));
                }
                if own == "fillfactor" && !value.parse().is_ok_and(|v: i32| (10..=100).contains(&v))
                {
                    return Err(PgError::new(
                        SqlState::INVALID_PARAMETER_VALUE,
                        format!("value {value} out of bounds for option \"fillfactor\""),
                    )
                    .detail("Valid values are between \"10\" and \"100\"."));
                }
            }
            Ok(())
        }
    }
}

fn check_abilities(method: &Method, c: &CreateIndex) -> Result<()> {
    let lacks = |what: &str| {
        Err(PgError::new(
            SqlState::FEATURE_NOT_SUPPORTED,
            format!("access method \"{}\" does not support {what}", method.name),
        ))
    };
    if c.unique && method.kind != IndexMethod::Btree {
        return lacks("unique indexes");
    }
    if !c.include.is_empty() && method.kind == IndexMethod::Hash {
        return lacks("included columns");
    }
    if c.keys.len() > 1 && !matches!(method.oid, fixed::AM_BTREE | fixed::AM_GIST) {
        return lacks("multicolumn indexes");
    }
    let partial =
        matches!(method.kind, IndexMethod::Btree | IndexMethod::Hash | IndexMethod::Spatial);
    if c.predicate.is_some() && !partial {
        return Err(PgError::unsupported(format!(
            "partial index of access method \"{}\"",
            method.name
        )));
    }
    if c.tablespace.as_ref().is_some_and(|t| name::ident(t) != "pg_default") {
        return Err(PgError::unsupported("TABLESPACE"));
    }
    Ok(())
}

/// Runs CREATE INDEX, builds included.
pub(crate) fn create(ctx: &ExecContext, c: &CreateIndex) -> Result<Outcome> {
    let table = name::relation(ctx, &c.table)?;
    let RelationKind::Table(def) = &table.kind else {
        let kind = match table.kind {
            RelationKind::View(_) => "view",
            RelationKind::Index(_) => "index",
            RelationKind::Sequence(_) => "sequence",
            _ => "composite type",
        };
        return Err(PgError::new(
            SqlState::WRONG_OBJECT_TYPE,
            format!("cannot create index on relation \"{}\"", table.name),
        )
        .detail(
            format!("This operation is not supported for {kind}s.").replace("indexs", "indexes"),
        ));
    };
    in_use::check(ctx, &table, "CREATE INDEX")?;
    let method = opclass::method(ctx, &c.method.as_ref().map_or("btree".to_owned(), name::ident))?;
    check_abilities(&method, c)?;
    if let Some(own) = &c.name {
        let own = name::ident(own);
        if super::table::exists(ctx, table.schema, &own, c.if_not_exists)? {
            return Ok(done("CREATE INDEX"));
        }
    }
    let named = index_key::names(ctx, c);
    let keys = index_key::keys(ctx, &table, &method, &c.keys, &named, Place::IndexExpression)?;
    let include = index_key::include(def, &c.include)?;
    let predicate = match &c.predicate {
        Some(written) => {
            let bound = stored::define(ctx, &table, written, Place::IndexPredicate)?;
            Some(stored::text(ctx, &table, written, &bound, Place::IndexPredicate)?)
        }
        None => None,
    };
    check_options(ctx, method.kind, &c.options)?;
    let own = match &c.name {
        Some(own) => name::ident(own),
        None => {
            let joined = name::joined(named.iter().map(String::as_str));
            name::choose(ctx, table.schema, &table.name, Some(&joined), "idx", &|_| false)
        }
    };
    let oid = ctx.txn.new_oid();
    let relation = Relation {
        oid,
        name: own,
        schema: table.schema,
        owner: super::role::acting(ctx)?,
        kind: RelationKind::Index(IndexDef {
            table: table.oid,
            method: method.kind,
            keys,
            include,
            predicate,
            unique: c.unique,
            primary: false,
            nulls_not_distinct: c.nulls_not_distinct,
            options: c.options.clone(),
            valid: false,
            parent: None,
        }),
    };
    if c.concurrently && def.partitioning.is_some() {
        let own = &table.name;
        return Err(PgError::new(
            SqlState::FEATURE_NOT_SUPPORTED,
            format!("cannot create index on partitioned table \"{own}\" concurrently"),
        ));
    }
    if let (true, Some(by)) = (c.unique, &def.partitioning) {
        let columns: Vec<i16> =
            relation.index().map_or_else(Vec::new, |d| d.keys.iter().map(|k| k.column).collect());
        super::partition::check_key(&table, by, &columns, "UNIQUE")?;
    }
    ctx.txn.put(Object::Relation(Arc::new(relation)))?;
    build(ctx, oid)?;
    if !c.only {
        super::parts::spread_index(ctx, &reread(ctx, oid)?)?;
    }
    Ok(done("CREATE INDEX"))
}

/// Builds an index; a cancel request stops it.
pub(crate) fn build(ctx: &ExecContext, index: Oid) -> Result<()> {
    let progress = Arc::new(Progress::new());
    let over = &std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let watched = progress.clone();
        // The build knows nothing of sessions: somebody has to carry the cancel request over.
        let watcher = scope.spawn(move || {
            while !over.load(std::sync::atomic::Ordering::Relaxed) {
                std::thread::park_timeout(std::time::Duration::from_millis(20));
                if let Err(e) = ctx.check() {
                    watched.cancel();
                    return Err(e);
                }
            }
            Ok(())
        });
        let make = || ctx.engine.db.build_index(&ctx.txn, index, &progress);
        let built = in_statement(ctx, make);
        over.store(true, std::sync::atomic::Ordering::Relaxed);
        watcher.thread().unpark();
        let watched = watcher.join().unwrap_or(Ok(()));
        // If the build was stopped, the session's reason is the better one.
        match (built, watched) {
            (Err(_), Err(reason)) => Err(reason),
            (built, _) => built,
        }
    })
}

/// Runs REINDEX.
pub(crate) fn reindex(
    ctx: &ExecContext,
    kind: &str,
    given: Option<&ObjectName>,
) -> Result<Outcome> {
    let catalog = ctx.txn.catalog();
    let indexes: Vec<Oid> = match (kind.to_ascii_uppercase().as_str(), given) {
        ("INDEX", Some(given)) => {
            let relation = name::relation(ctx, given)?;
            if relation.index().is_none() {
                return Err(name::not_a(&relation, "index"));
            }
            vec![relation.oid]
        }
        ("TABLE", Some(given)) => {
            let table = name::relation(ctx, given)?;
            if table.table().is_none() {
                return Err(PgError::new(
                    SqlState::WRONG_OBJECT_TYPE,
                    format!("\"{}\" is not a table or materialized view", table.name),
                ));
            }
            let found: Vec<Oid> = catalog.indexes_of(table.oid).map(|i| i.oid).collect();
            if found.is_empty() && !crate::partition::is_partitioned(&table) {
                name::notice(ctx, format!("table \"{}\" has no indexes to reindex", table.name));
            }
            found
        }
        ("SCHEMA", Some(given)) => {
            let schema = name::schema(ctx, &name::last(given))?;
            let inside = catalog.relations_in(schema).filter(|r| r.index().is_some());
            inside.map(|r| r.oid).collect()
        }
        _ => catalog.relations().filter(|r| r.index().is_some()).map(|r| r.oid).collect(),
    };
    for index in indexes {
        build(ctx, index)?;
    }
    Ok(done("REINDEX"))
}
