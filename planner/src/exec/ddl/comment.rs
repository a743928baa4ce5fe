//! COMMENT ON.

use std::sync::Arc;

use sqlparser::ast::{CommentObject, ObjectName};
use vicinity_storage::catalog::model::{
    Comment, Object, Relation, RelationKind, TypeDef, TypeKind, fixed,
};
use vicinity_types::{Oid, PgError, Result, SqlState};

use super::super::outcome::{Outcome, done};
use super::super::{name, role_rights};
use super::{function, role};
use crate::authority::{self, Target, class};
use crate::context::ExecContext;
use crate::names;
use crate::sql::CommentOn;

/// Runs COMMENT ON; NULL and the empty text take the comment away.
pub(crate) fn run(
    ctx: &ExecContext,
    kind: &CommentObject,
    given: &ObjectName,
    text: Option<&str>,
) -> Result<Outcome> {
    set(ctx, find(ctx, kind, given)?, text)
}

/// The same for what needs more than a name.
pub(crate) fn on(ctx: &ExecContext, on: &CommentOn, text: Option<&str>) -> Result<Outcome> {
    let catalog = ctx.txn.catalog();
    let undefined = |text: String| PgError::new(SqlState::UNDEFINED_OBJECT, text);
    let found = match on {
        CommentOn::Constraint { name: own, table } => {
            let (own, table) = (name::ident(own), name::relation(ctx, table)?);
            let constraints = table.table().map_or(&[][..], |t| &t.constraints);
            let found = constraints.iter().find(|c| c.name == own).map(|c| (2606, c.oid, 0));
            found.ok_or_else(|| {
                let table = &table.name;
                undefined(format!("constraint \"{own}\" for table \"{table}\" does not exist"))
            })?
        }
        CommentOn::DomainConstraint { name: own, domain } => {
            let (own, ty) = (name::ident(own), super::object::named_type(ctx, domain)?);
            let checks = match &ty.kind {
                TypeKind::Domain { checks, .. } => checks.as_slice(),
                _ => &[],
            };
            let found = checks.iter().find(|c| c.name == own).map(|c| (2606, c.oid, 0));
            found.ok_or_else(|| {
                let domain = &ty.name;
                undefined(format!("constraint \"{own}\" for domain {domain} does not exist"))
            })?
        }
        CommentOn::Trigger { name: own, table } => {
            let (own, table) = (name::ident(own), name::relation(ctx, table)?);
            let found = catalog.triggers_of(table.oid).find(|t| t.name == own);
            found.map(|t| (2620, t.oid, 0)).ok_or_else(|| {
                let table = &table.name;
                undefined(format!("trigger \"{own}\" for table \"{table}\" does not exist"))
            })?
        }
        CommentOn::Function { desc, procedure } => {
            (1255, function::find_described(ctx, desc, Some(*procedure))?, 0)
        }
        CommentOn::MaterializedView(given) => {
            let found = name::relation(ctx, given)?;
            if found.table().is_none_or(|t| t.materialized.is_none()) {
                return Err(name::not_a(&found, "materialized view"));
            }
            (1259, found.oid, 0)
        }
    };
    set(ctx, found, text)
}

fn set(
    ctx: &ExecContext,
    (class, object, sub): (Oid, Oid, i32),
    text: Option<&str>,
) -> Result<Outcome> {
    check_owner(ctx, class, object, sub)?;
    match text.filter(|t| !t.is_empty()) {
        Some(text) => {
            let comment = Comment { class, object, sub, text: text.to_owned() };
            ctx.txn.put(Object::Comment(Arc::new(comment)))?;
        }
        None if ctx.txn.catalog().comment(class, object, sub).is_some() => {
            ctx.txn.drop_comment(class, object, sub)?;
        }
        None => {}
    }
    Ok(done("COMMENT"))
}

/// An error unless the session's role owns what it comments on, or what that belongs to.
fn check_owner(ctx: &ExecContext, class: Oid, object: Oid, sub: i32) -> Result<()> {
    let catalog = ctx.txn.catalog();
    if authority::is_all_powerful(&catalog, &ctx.session) {
        return Ok(());
    }
    let part = |r: &Relation| Target { word: "relation", ..Target::relation(r) };
    let target = match class {
        class::RELATION if sub != 0 => catalog.relation(object).map(|r| part(r)),
        class::RELATION => catalog.relation(object).map(|r| Target::relation(r)),
        class::FUNCTION => catalog.function(object).map(|f| Target::function(f)),
        class::SCHEMA => catalog.schema(object).map(|s| Target::schema(s)),
        class::TYPE => catalog.type_def(object).map(|t| Target::user_type(t)),
        class::DATABASE => Some(Target::database(ctx.session.database())),
        class::TRIGGER => {
            let table = catalog.trigger(object).and_then(|t| catalog.relation(t.table));
            table.map(|r| part(r))
        }
        class::CONSTRAINT => {
            let has = |r: &&Arc<Relation>| {
                r.table().is_some_and(|t| t.constraints.iter().any(|c| c.oid == object))
            };
            let checked = |t: &&Arc<TypeDef>| match &t.kind {
                TypeKind::Domain { checks, .. } => checks.iter().any(|c| c.oid == object),
                _ => false,
            };
            let table = catalog.relations().find(has).map(|r| part(r));
            table.or_else(|| catalog.types().find(checked).map(|t| Target::user_type(t)))
        }
        class::ROLE => {
            let role = catalog.role(object);
            return role.map_or(Ok(()), |r| role_rights::comment(ctx, &catalog, r));
        }
        class::EXTENSION => {
            let found = catalog.extension(object);
            let name = found.map_or("", |e| e.name.as_str());
            return Err(authority::forbidden(format!("must be owner of extension {name}")));
        }
        _ => None,
    };
    // What the system brings along is the superuser's.
    let target = target.ok_or_else(|| authority::forbidden("must be owner"))?;
    target.check_owner(&catalog, &ctx.session)
}

fn find(ctx: &ExecContext, kind: &CommentObject, given: &ObjectName) -> Result<(Oid, Oid, i32)> {
    let relation = |what: &str| {
        let found = name::relation(ctx, given)?;
        let fits = match found.kind {
            RelationKind::Table(_) => what == "table",
            RelationKind::View(_) => what == "view",
            RelationKind::Index(_) => what == "index",
            RelationKind::Sequence(_) => what == "sequence",
            RelationKind::Composite(_) => false,
        };
        if fits { Ok((1259, found.oid, 0)) } else { Err(name::not_a(&found, what)) }
    };
    let catalog = ctx.txn.catalog();
    let undefined = |what: &str| {
        PgError::new(
            SqlState::UNDEFINED_OBJECT,
            format!("{what} \"{}\" does not exist", name::shown(given)),
        )
    };
    match kind {
        CommentObject::Table => relation("table"),
        CommentObject::View => relation("view"),
        CommentObject::Index => relation("index"),
        CommentObject::Sequence => relation("sequence"),
        CommentObject::Column => column(ctx, given),
        CommentObject::Schema => Ok((2615, name::schema(ctx, &name::last(given))?, 0)),
        CommentObject::Extension => {
            let found = catalog.extension_named(&name::last(given));
            found.map(|e| (3079, e.oid, 0)).ok_or_else(|| undefined("extension"))
        }
        CommentObject::Database => Ok((1262, fixed::DATABASE, 0)),
        CommentObject::Role | CommentObject::User => {
            Ok((1260, role::oid_of(ctx, &name::last(given))?, 0))
        }
        CommentObject::Type | CommentObject::Domain => {
            let quoted: Vec<String> = name::parts(given).iter().map(|p| names::quote(p)).collect();
            let found = names::type_oid(&catalog, &ctx.session, &quoted.join("."))?;
            found.map(|t| (1247, t, 0)).ok_or_else(|| undefined("type"))
        }
        CommentObject::Function | CommentObject::Procedure => {
            Ok((1255, function::find_named(ctx, given, None, None)?, 0))
        }
        CommentObject::Collation | CommentObject::MaterializedView => {
            Err(PgError::unsupported(format!("COMMENT ON {kind}")))
        }
    }
}

fn column(ctx: &ExecContext, given: &ObjectName) -> Result<(Oid, Oid, i32)> {
    let own = name::last(given);
    let mut table = given.clone();
    table.0.pop();
    if table.0.is_empty() {
        return Err(PgError::new(SqlState::SYNTAX_ERROR, "column name must be qualified"));
    }
    let found = name::relation(ctx, &table)?;
    let columns = match &found.kind {
        RelationKind::Table(t) => &t.columns,
        RelationKind::View(v) => &v.columns,
        RelationKind::Composite(c) => c,
        _ => return Err(name::not_a(&found, "table")),
    };
    match columns.iter().position(|c| !c.dropped && c.name == own) {
        Some(at) => Ok((1259, found.oid, i32::try_from(at + 1).unwrap_or(i32::MAX))),
        None => Err(PgError::new(
            SqlState::UNDEFINED_COLUMN,
            format!("column \"{own}\" of relation \"{}\" does not exist", name::shown(&table)),
        )),
    }
}
