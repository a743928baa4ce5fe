//! CREATE INDEX and REINDEX.

use std::sync::Arc;

use sqlparser::ast::{Expr, ObjectName};
use vicinity_indexes::options::parse_options;
use vicinity_storage::Progress;
use vicinity_storage::catalog::model::{
    AttrNumber, IndexDef, IndexKey, IndexMethod, Object, Relation, RelationKind, TableDef, fixed,
};
use vicinity_types::{Oid, PgError, Result, SqlState};

use super::super::name;
use super::super::outcome::{Outcome, done};
use crate::context::ExecContext;
use crate::names;
use crate::sql::{self, CreateIndex};

/// A relation as it is in the transaction's catalog now.
pub(crate) fn reread(ctx: &ExecContext, oid: Oid) -> Result<Arc<Relation>> {
    let found = ctx.txn.catalog().relation(oid).cloned();
    found.ok_or_else(|| PgError::internal(format!("relation {oid} is gone")))
}

struct Method {
    oid: Oid,
    name: &'static str,
    kind: IndexMethod,
}

/// Access methods by name; the PASE document's short names stand for the extension's.
fn method(ctx: &ExecContext, given: &str) -> Result<Method> {
    let known = |oid, name, kind| Ok(Method { oid, name, kind });
    let pase = ctx.txn.catalog().extension_named("pase").is_some();
    match given {
        "btree" => known(fixed::AM_BTREE, "btree", IndexMethod::Btree),
        "hash" => known(fixed::AM_HASH, "hash", IndexMethod::Hash),
        "gist" => known(fixed::AM_GIST, "gist", IndexMethod::Spatial),
        "rtree" => known(fixed::AM_GIST, "gist", IndexMethod::Spatial),
        "pase_hnsw" if pase => known(fixed::AM_PASE_HNSW, "pase_hnsw", IndexMethod::Hnsw),
        "pase_ivfflat" if pase => {
            known(fixed::AM_PASE_IVFFLAT, "pase_ivfflat", IndexMethod::Ivfflat)
        }
        "gin" | "brin" | "spgist" => {
            Err(PgError::unsupported(format!("access method \"{given}\"")))
        }
        _ => Err(PgError::new(
            SqlState::UNDEFINED_OBJECT,
            format!("access method \"{given}\" does not exist"),
        )),
    }
}

/// The default operator class of a type, or PostgreSQL's error.
pub(crate) fn default_opclass(ctx: &ExecContext, am: Oid, am_name: &str, ty: Oid) -> Result<Oid> {
    let catalog = ctx.txn.catalog();
    for candidate in candidates(ctx, ty) {
        let found = vicinity_functions::default_opclass(am, candidate);
        if let Some(class) = found.filter(|c| available(&catalog, c.extension)) {
            return Ok(class.oid);
        }
    }
    let shown = names::type_name(&catalog, ty, -1);
    Err(PgError::new(
        SqlState::UNDEFINED_OBJECT,
        format!("data type {shown} has no default operator class for access method \"{am_name}\""),
    )
    .hint(
        "You must specify an operator class for the index or define a default operator class \
         for the data type.",
    ))
}

fn available(catalog: &vicinity_storage::Catalog, extension: Option<&str>) -> bool {
    extension.is_none_or(|e| catalog.extension_named(e).is_some())
}

/// The type and those it can stand in for: varchar is text, an enum anyenum, an array anyarray.
fn candidates(ctx: &ExecContext, ty: Oid) -> Vec<Oid> {
    use vicinity_storage::catalog::model::TypeKind;
    use vicinity_types::oid;
    let catalog = ctx.txn.catalog();
    let mut out = vec![ty];
    match ty {
        oid::VARCHAR => out.push(oid::TEXT),
        oid::REGCLASS | oid::REGPROC | oid::REGTYPE | oid::REGNAMESPACE | oid::REGROLE => {
            out.push(oid::OID);
        }
        _ => {}
    }
    match catalog.type_def(ty).map(|t| &t.kind) {
        Some(TypeKind::Enum { .. }) => out.push(oid::ANYENUM),
        Some(TypeKind::Domain { base, .. }) => out.push(*base),
        _ => {}
    }
    if catalog.element_of(ty).is_some() {
        out.push(oid::ANYARRAY);
    } else if catalog.relation_of_type(ty).is_some() {
        out.push(oid::RECORD);
    }
    out
}

/// A named operator class that takes the type.
fn opclass(ctx: &ExecContext, method: &Method, class: &ObjectName, ty: Oid) -> Result<Oid> {
    let own = name::last(class);
    let catalog = ctx.txn.catalog();
    // These order as the default classes do: text is compared bytewise anyway.
    let plain = own.strip_suffix("_pattern_ops").map(|base| format!("{base}_ops"));
    let named = |n: &str| {
        candidates(ctx, ty)
            .into_iter()
            .find_map(|t| vicinity_functions::opclass_named(method.oid, n, t))
            .filter(|c| available(&catalog, c.extension))
    };
    if let Some(found) = named(&own).or_else(|| plain.as_deref().and_then(named)) {
        return Ok(found.oid);
    }
    let exists = vicinity_functions::opclasses()
        .iter()
        .any(|c| c.method == method.oid && c.name == own && available(&catalog, c.extension));
    if exists {
        let shown = names::type_name(&catalog, ty, -1);
        return Err(PgError::new(
            SqlState::DATATYPE_MISMATCH,
            format!("operator class \"{own}\" does not accept data type {shown}"),
        ));
    }
    Err(PgError::new(
        SqlState::UNDEFINED_OBJECT,
        format!("operator class \"{own}\" does not exist for access method \"{}\"", method.name),
    ))
}

fn column(table: &TableDef, wanted: &str) -> Result<AttrNumber> {
    let at = table.columns.iter().position(|c| !c.dropped && c.name == wanted);
    at.and_then(|at| i16::try_from(at + 1).ok()).ok_or_else(|| {
        PgError::new(SqlState::UNDEFINED_COLUMN, format!("column \"{wanted}\" does not exist"))
    })
}

fn type_of(table: &TableDef, number: AttrNumber) -> Oid {
    let at = usize::try_from(number - 1).unwrap_or(usize::MAX);
    table.columns.get(at).map_or(0, |c| c.type_oid)
}

fn keys(
    ctx: &ExecContext,
    table: &TableDef,
    method: &Method,
    given: &[sql::IndexKey],
) -> Result<Vec<IndexKey>> {
    let ordered = method.kind == IndexMethod::Btree;
    let mut out = Vec::with_capacity(given.len());
    for k in given {
        let Expr::Identifier(own) = &k.expr else {
            return Err(PgError::unsupported("index on an expression"));
        };
        if !k.opclass_options.is_empty() {
            return Err(PgError::unsupported("operator class parameters"));
        }
        if let Some(collation) = &k.collation {
            super::table::check_collation(collation)?;
        }
        let number = column(table, &name::ident(own)).map_err(|e| e.or_at(name::ident_at(own)))?;
        let ty = type_of(table, number);
        let class = match &k.opclass {
            Some(class) => opclass(ctx, method, class, ty)?,
            None => default_opclass(ctx, method.oid, method.name, ty)?,
        };
        if !ordered && k.descending {
            return Err(PgError::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                format!("access method \"{}\" does not support ASC/DESC options", method.name),
            ));
        }
        if !ordered && k.nulls_first.is_some() {
            return Err(PgError::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                format!(
                    "access method \"{}\" does not support NULLS FIRST/LAST options",
                    method.name
                ),
            ));
        }
        out.push(IndexKey {
            column: number,
            opclass: class,
            descending: k.descending,
            nulls_first: k.nulls_first.unwrap_or(k.descending),
        });
    }
    if out.len() > 1 && !ordered && method.kind != IndexMethod::Spatial {
        return Err(PgError::new(
            SqlState::FEATURE_NOT_SUPPORTED,
            format!("access method \"{}\" does not support multicolumn indexes", method.name),
        ));
    }
    if out.len() > 32 {
        return Err(PgError::new(
            SqlState::TOO_MANY_COLUMNS,
            "cannot use more than 32 columns in an index",
        ));
    }
    Ok(out)
}

/// Options of the method, with what it has to say about them.
fn options(ctx: &ExecContext, method: &Method, given: &[(String, String)]) -> Result<()> {
    match method.kind {
        IndexMethod::Hnsw | IndexMethod::Ivfflat => {
            for notice in parse_options(method.name, given)?.notices {
                ctx.session.notice(notice);
            }
            Ok(())
        }
        _ => {
            for (own, value) in given {
                let known = match own.as_str() {
                    "fillfactor" => true,
                    "deduplicate_items" => method.kind == IndexMethod::Btree,
                    "buffering" => method.kind == IndexMethod::Spatial,
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
    if c.predicate.is_some() {
        return Err(PgError::unsupported("partial index (WHERE)"));
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
    let method = method(ctx, &c.method.as_ref().map_or("btree".to_owned(), name::ident))?;
    check_abilities(&method, c)?;
    if let Some(own) = &c.name {
        let own = name::ident(own);
        if super::table::exists(ctx, table.schema, &own, c.if_not_exists)? {
            return Ok(done("CREATE INDEX"));
        }
    }
    let keys = keys(ctx, def, &method, &c.keys)?;
    let include = c
        .include
        .iter()
        .map(|i| column(def, &name::ident(i)).map_err(|e| e.or_at(name::ident_at(i))))
        .collect::<Result<Vec<_>>>()?;
    options(ctx, &method, &c.options)?;
    let own = match &c.name {
        Some(own) => name::ident(own),
        None => {
            let columns = c.keys.iter().map(|k| match &k.expr {
                Expr::Identifier(i) => name::ident(i),
                _ => "expr".to_owned(),
            });
            let columns: Vec<String> = columns.chain(c.include.iter().map(name::ident)).collect();
            let joined = name::joined(columns.iter().map(String::as_str));
            name::choose(ctx, table.schema, &table.name, Some(&joined), "idx", &|_| false)
        }
    };
    let oid = ctx.txn.new_oid();
    let relation = Relation {
        oid,
        name: own,
        schema: table.schema,
        owner: fixed::SUPERUSER,
        kind: RelationKind::Index(IndexDef {
            table: table.oid,
            method: method.kind,
            keys,
            include,
            unique: c.unique,
            primary: false,
            nulls_not_distinct: c.nulls_not_distinct,
            options: c.options.clone(),
            valid: false,
        }),
    };
    ctx.txn.put(Object::Relation(Arc::new(relation)))?;
    build(ctx, oid)?;
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
        let built = ctx.engine.db.build_index(&ctx.txn, index, &progress);
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
            if found.is_empty() {
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
