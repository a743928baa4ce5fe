//! Names in statements: what they mean, where new ones go, and names made up as PostgreSQL does.

use std::sync::Arc;

use sqlparser::ast::{Ident, ObjectName, ObjectNamePart, Spanned};
use vicinity_storage::catalog::model::{Object, Privileges, Relation, RelationKind, Schema, fixed};
use vicinity_storage::{Catalog, ObjectKind};
use vicinity_types::{Notice, Oid, PgError, Result, Severity, SqlState};

use crate::authority::{self, Target};
use crate::context::ExecContext;

pub(crate) use crate::sql::LONGEST_NAME as LONGEST;

/// An identifier as the catalog holds it: folded unless quoted, cut at 63 bytes.
pub(crate) fn ident(ident: &Ident) -> String {
    let name = match ident.quote_style {
        Some(_) => ident.value.clone(),
        None => ident.value.to_lowercase(),
    };
    clip(&name, LONGEST).to_owned()
}

fn clip(name: &str, mut at: usize) -> &str {
    if name.len() <= at {
        return name;
    }
    while !name.is_char_boundary(at) {
        at -= 1;
    }
    name.get(..at).unwrap_or(name)
}

/// The parts of a possibly qualified name.
pub(crate) fn parts(name: &ObjectName) -> Vec<String> {
    let part = |p: &ObjectNamePart| match p {
        ObjectNamePart::Identifier(i) if crate::sql::is_mark(i) => None,
        ObjectNamePart::Identifier(i) => Some(ident(i)),
        ObjectNamePart::Function(f) => Some(f.to_string()),
    };
    name.0.iter().filter_map(part).collect()
}

/// The last part.
pub(crate) fn last(name: &ObjectName) -> String {
    parts(name).pop().unwrap_or_default()
}

/// As messages show it: parts with dots between, unquoted.
pub(crate) fn shown(name: &ObjectName) -> String {
    parts(name).join(".")
}

/// One-based position of a syntax node.
pub(crate) fn position(node: &impl Spanned) -> Option<usize> {
    usize::try_from(node.span().start.column).ok().filter(|p| *p > 0)
}

/// One-based position of an identifier.
pub(crate) fn ident_at(ident: &Ident) -> Option<usize> {
    usize::try_from(ident.span.start.column).ok().filter(|p| *p > 0)
}

/// Schema name, if given, and name.
pub(crate) fn qualified(name: &ObjectName) -> Result<(Option<String>, String)> {
    let mut parts = parts(name);
    let shown = parts.join(".");
    let Some(own) = parts.pop() else { return Err(PgError::internal("empty name")) };
    let schema = parts.pop();
    match parts.as_slice() {
        [] => Ok((schema, own)),
        [_] if shown.matches('.').count() == 2 => Ok((schema, own)),
        _ => Err(PgError::new(
            SqlState::SYNTAX_ERROR,
            format!("improper qualified name (too many dotted names): {shown}"),
        )),
    }
}

pub(crate) fn no_schema(name: &str) -> PgError {
    PgError::new(SqlState::INVALID_SCHEMA_NAME, format!("schema \"{name}\" does not exist"))
}

/// A schema by name, or the error.
pub(crate) fn schema(ctx: &ExecContext, name: &str) -> Result<Oid> {
    ctx.session.schema_oid(&ctx.catalog, name).ok_or_else(|| no_schema(name))
}

/// An error unless the session's role may make something in a schema.
fn check_create(ctx: &ExecContext, schema: Oid) -> Result<()> {
    let catalog = ctx.txn.catalog();
    let own = schema == ctx.session.temp_schema();
    let found = catalog.schema(schema).filter(|_| !own);
    found.map_or(Ok(()), |s| Target::schema(s).check(&catalog, &ctx.session, Privileges::CREATE))
}

fn target_schema(ctx: &ExecContext, catalog: &Catalog, name: &ObjectName) -> Result<Oid> {
    match qualified(name)?.0 {
        Some(s) if s == "pg_temp" => temp_schema(ctx),
        Some(s) => {
            let found = ctx.session.schema_oid(catalog, &s);
            found.ok_or_else(|| no_schema(&s).or_at(position(name)))
        }
        None => ctx.session.creation_schema(catalog).ok_or_else(|| {
            PgError::new(SqlState::INVALID_SCHEMA_NAME, "no schema has been selected to create in")
                .or_at(position(name))
        }),
    }
}

/// Where a new object of this name goes.
pub(crate) fn target(ctx: &ExecContext, name: &ObjectName) -> Result<(Oid, String)> {
    let own = qualified(name)?.1;
    // Nobody drops the schema from here on; one that has been dropped is not what the name means.
    let oid = loop {
        let catalog = ctx.txn.catalog();
        let found = target_schema(ctx, &catalog, name)?;
        ctx.txn.share_object(ObjectKind::Schema, found)?;
        if ctx.txn.catalog().version() == catalog.version() {
            break found;
        }
    };
    check_create(ctx, oid)?;
    if oid == fixed::PG_CATALOG || oid == fixed::PG_TOAST {
        return Err(PgError::new(
            SqlState::INSUFFICIENT_PRIVILEGE,
            format!("permission denied to create \"{}.{own}\"", schema_name_of(ctx, oid)),
        )
        .detail("System catalog modifications are currently disallowed."));
    }
    Ok((oid, own))
}

/// Where a new temporary object of this name goes: the session's own schema, made when first needed.
pub(crate) fn temporary_target(ctx: &ExecContext, name: &ObjectName) -> Result<(Oid, String)> {
    match qualified(name)? {
        (None, own) => Ok((temp_schema(ctx)?, own)),
        (Some(s), own) if s == "pg_temp" => Ok((temp_schema(ctx)?, own)),
        (Some(_), _) => Err(PgError::new(
            SqlState::INVALID_TABLE_DEFINITION,
            "cannot create temporary relation in non-temporary schema",
        )
        .or_at(position(name))),
    }
}

/// The session's temporary schema.
pub(crate) fn temp_schema(ctx: &ExecContext) -> Result<Oid> {
    let catalog = ctx.txn.catalog();
    let have = ctx.session.temp_schema();
    if have != 0 && catalog.schema(have).is_some() {
        return Ok(have);
    }
    let name = format!("pg_temp_{}", ctx.session.pid());
    let oid = match catalog.schema_named(&name) {
        Some(left_over) => left_over.oid,
        None => {
            let oid = ctx.txn.new_oid();
            let owner = super::ddl::role::acting(ctx)?;
            ctx.txn.put(Object::Schema(Arc::new(Schema { oid, name, owner })))?;
            oid
        }
    };
    ctx.session.set_temp_schema(oid);
    Ok(oid)
}

/// A schema's name, for messages.
pub(crate) fn schema_name_of(ctx: &ExecContext, oid: Oid) -> String {
    ctx.txn.catalog().schema(oid).map_or_else(String::new, |s| s.name.clone())
}

/// What a name means among the relations of now; `None` if nothing. A missing schema is an error.
pub(crate) fn find(ctx: &ExecContext, name: &ObjectName) -> Result<Option<Arc<Relation>>> {
    find_in(ctx, &ctx.txn.catalog(), name)
}

/// What a name means among the relations of a catalog.
pub(crate) fn find_in(
    ctx: &ExecContext,
    catalog: &Catalog,
    name: &ObjectName,
) -> Result<Option<Arc<Relation>>> {
    match qualified(name)? {
        (Some(s), own) => {
            let schema = ctx.session.schema_oid(catalog, &s).ok_or_else(|| no_schema(&s))?;
            authority::check_schema(catalog, &ctx.session, schema)?;
            Ok(catalog.relation_named(schema, &own).cloned())
        }
        (None, own) => Ok(ctx
            .session
            .search_path_oids(catalog)
            .into_iter()
            .find_map(|schema| catalog.relation_named(schema, &own).cloned())),
    }
}

/// A relation that must be there.
pub(crate) fn relation(ctx: &ExecContext, name: &ObjectName) -> Result<Arc<Relation>> {
    let missing = || {
        if crate::hooks::virtual_oid(&parts(name)).is_some() {
            return PgError::new(
                SqlState::INSUFFICIENT_PRIVILEGE,
                format!("permission denied: \"{}\" is a system catalog", last(name)),
            );
        }
        PgError::new(
            SqlState::UNDEFINED_TABLE,
            format!("relation \"{}\" does not exist", shown(name)),
        )
    };
    match find(ctx, name) {
        Ok(found) => found.ok_or_else(missing),
        Err(e) if e.code() == SqlState::INVALID_SCHEMA_NAME => Err(missing()),
        Err(e) => Err(e),
    }
}

/// A table that must be there.
pub(crate) fn table(ctx: &ExecContext, name: &ObjectName) -> Result<Arc<Relation>> {
    let relation = relation(ctx, name)?;
    match relation.kind {
        RelationKind::Table(_) => Ok(relation),
        _ => Err(not_a(&relation, "table")),
    }
}

/// `"x" is not a table`
pub(crate) fn not_a(relation: &Relation, what: &str) -> PgError {
    let article = if what.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
    PgError::new(
        SqlState::WRONG_OBJECT_TYPE,
        format!("\"{}\" is not {article} {what}", relation.name),
    )
}

/// An error if a relation of the name is there.
pub(crate) fn check_free(ctx: &ExecContext, schema: Oid, name: &str) -> Result<()> {
    if ctx.txn.catalog().relation_named(schema, name).is_some() {
        return Err(PgError::new(
            SqlState::DUPLICATE_TABLE,
            format!("relation \"{name}\" already exists"),
        ));
    }
    Ok(())
}

/// `relation "x" already exists, skipping` and the like.
pub(crate) fn skipping(ctx: &ExecContext, code: SqlState, text: String) {
    ctx.session.notice(Notice::new(Severity::Notice, code, format!("{text}, skipping")));
}

/// A NOTICE.
pub(crate) fn notice(ctx: &ExecContext, text: impl Into<String>) {
    ctx.session.notice(Notice::notice(text));
}

/// The same with a detail.
pub(crate) fn notice_with_detail(ctx: &ExecContext, text: String, detail: &str) {
    let mut notice = Notice::notice(text);
    notice.report.detail = Some(detail.to_owned());
    ctx.session.notice(notice);
}

/// PostgreSQL's `makeObjectName`: `table_column_label`, the longer of the first two cut as needed.
pub(crate) fn make(first: &str, second: Option<&str>, label: &str) -> String {
    let overhead = 1 + label.len() + usize::from(second.is_some());
    let room = LONGEST.saturating_sub(overhead);
    let (mut a, mut b) = (first.len(), second.map_or(0, str::len));
    while a + b > room {
        if a > b { a -= 1 } else { b -= 1 }
    }
    let (a, b) = (clip(first, a), second.map(|s| clip(s, b)));
    match b {
        Some(b) => format!("{a}_{b}_{label}"),
        None => format!("{a}_{label}"),
    }
}

/// `ChooseRelationName`: as [`make`], with a number behind the label until nobody has the name.
pub(crate) fn choose(
    ctx: &ExecContext,
    schema: Oid,
    first: &str,
    second: Option<&str>,
    label: &str,
    taken: &dyn Fn(&str) -> bool,
) -> String {
    let catalog = ctx.txn.catalog();
    let mut pass = 0u32;
    loop {
        let numbered = if pass == 0 { label.to_owned() } else { format!("{label}{pass}") };
        let name = make(first, second, &numbered);
        if catalog.relation_named(schema, &name).is_none() && !taken(&name) {
            return name;
        }
        pass += 1;
    }
}

/// Column names joined for an index's or constraint's name (`ChooseIndexNameAddition`).
pub(crate) fn joined<'a>(columns: impl Iterator<Item = &'a str>) -> String {
    let mut out = String::new();
    for column in columns {
        if !out.is_empty() {
            out.push('_');
        }
        out.push_str(column);
        if out.len() > LONGEST {
            break;
        }
    }
    clip(&out, LONGEST).to_owned()
}
