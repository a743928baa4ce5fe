//! Access methods and operator classes: which ones a type can be indexed with.

use sqlparser::ast::ObjectName;
use vicinity_functions::Opclass;
use vicinity_storage::Catalog;
use vicinity_storage::catalog::model::{IndexMethod, fixed};
use vicinity_types::{Oid, PgError, Result, SqlState};

use super::super::name;
use crate::context::ExecContext;

/// An access method.
pub(crate) struct Method {
    pub(crate) oid: Oid,
    pub(crate) name: &'static str,
    pub(crate) kind: IndexMethod,
}

/// Access methods by name; the PASE document's short names stand for the extension's.
pub(crate) fn method(ctx: &ExecContext, given: &str) -> Result<Method> {
    let known = |oid, name, kind| Ok(Method { oid, name, kind });
    let pase = ctx.txn.catalog().extension_named("pase").is_some();
    match given {
        "btree" => known(fixed::AM_BTREE, "btree", IndexMethod::Btree),
        "hash" => known(fixed::AM_HASH, "hash", IndexMethod::Hash),
        "gist" => known(fixed::AM_GIST, "gist", IndexMethod::Spatial),
        "rtree" => known(fixed::AM_GIST, "gist", IndexMethod::Spatial),
        "spgist" => known(fixed::AM_SPGIST, "spgist", IndexMethod::Spatial),
        "pase_hnsw" if pase => known(fixed::AM_PASE_HNSW, "pase_hnsw", IndexMethod::Hnsw),
        "pase_ivfflat" if pase => {
            known(fixed::AM_PASE_IVFFLAT, "pase_ivfflat", IndexMethod::Ivfflat)
        }
        "gin" | "brin" => Err(PgError::unsupported(format!("access method \"{given}\""))),
        _ => Err(PgError::new(
            SqlState::UNDEFINED_OBJECT,
            format!("access method \"{given}\" does not exist"),
        )),
    }
}

/// The default operator class of a type, or PostgreSQL's error.
pub(crate) fn default(ctx: &ExecContext, am: Oid, am_name: &str, ty: Oid) -> Result<Oid> {
    let catalog = ctx.txn.catalog();
    if let Some(class) = default_of(&catalog, am, ty) {
        return Ok(class.oid);
    }
    let shown = ctx.type_name(ty, None);
    Err(PgError::new(
        SqlState::UNDEFINED_OBJECT,
        format!("data type {shown} has no default operator class for access method \"{am_name}\""),
    )
    .hint(
        "You must specify an operator class for the index or define a default operator class \
         for the data type.",
    ))
}

/// The default operator class of a type, if the access method has one.
pub(crate) fn default_of(catalog: &Catalog, am: Oid, ty: Oid) -> Option<&'static Opclass> {
    candidates(catalog, ty).into_iter().find_map(|candidate| {
        let found = vicinity_functions::default_opclass(am, candidate);
        found.filter(|c| available(catalog, c.extension))
    })
}

/// The default operator class of a type for a method.
pub(crate) fn for_type(ctx: &ExecContext, kind: IndexMethod, ty: Oid) -> Result<Oid> {
    let (am, name) = match kind {
        IndexMethod::Btree => (fixed::AM_BTREE, "btree"),
        IndexMethod::Hash => (fixed::AM_HASH, "hash"),
        IndexMethod::Spatial => (fixed::AM_GIST, "gist"),
        IndexMethod::Hnsw => (fixed::AM_PASE_HNSW, "pase_hnsw"),
        IndexMethod::Ivfflat => (fixed::AM_PASE_IVFFLAT, "pase_ivfflat"),
    };
    default(ctx, am, name, ty)
}

fn available(catalog: &Catalog, extension: Option<&str>) -> bool {
    extension.is_none_or(|e| catalog.extension_named(e).is_some())
}

/// The type and those it can stand in for: varchar is text, an enum anyenum, an array anyarray.
fn candidates(catalog: &Catalog, ty: Oid) -> Vec<Oid> {
    use vicinity_storage::catalog::model::TypeKind;
    use vicinity_types::oid;
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
        Some(TypeKind::Domain { base, .. }) => out.extend(candidates(catalog, *base)),
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
pub(crate) fn named(
    ctx: &ExecContext,
    method: &Method,
    class: &ObjectName,
    ty: Oid,
) -> Result<Oid> {
    let own = name::last(class);
    let catalog = ctx.txn.catalog();
    // These order as the default classes do: text is compared bytewise anyway.
    let plain = own.strip_suffix("_pattern_ops").map(|base| format!("{base}_ops"));
    let find = |n: &str| {
        candidates(&catalog, ty)
            .into_iter()
            .find_map(|t| vicinity_functions::opclass_named(method.oid, n, t))
            .filter(|c| available(&catalog, c.extension))
    };
    if let Some(found) = find(&own).or_else(|| plain.as_deref().and_then(find)) {
        return Ok(found.oid);
    }
    let exists = vicinity_functions::opclasses()
        .iter()
        .any(|c| c.method == method.oid && c.name == own && available(&catalog, c.extension));
    if exists {
        let shown = ctx.type_name(ty, None);
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
