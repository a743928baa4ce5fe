//! What roles own and are given: OWNER TO, REASSIGN OWNED, DROP OWNED, and why a role cannot go.

use std::sync::Arc;

use sqlparser::ast::Ident;
use vicinity_storage::Catalog;
use vicinity_storage::catalog::model::{
    Acl, AclItem, DefaultAcl, Object, Relation, RelationKind, TypeKind, fixed,
};
use vicinity_types::{Oid, PgError, Result, SqlState};

use super::super::name;
use super::super::outcome::{Outcome, done};
use super::depend::{self, Node};
use super::{default_acl, role};
use crate::authority::{self, Target, forbidden};
use crate::context::ExecContext;

/// What a role owns, but for what follows its table.
fn owned(catalog: &Catalog, role: Oid) -> Vec<Node> {
    let follows = |r: &Relation| match &r.kind {
        RelationKind::Index(_) | RelationKind::Composite(_) => true,
        RelationKind::Sequence(s) => s.owned_by.is_some(),
        _ => false,
    };
    let mut out = Vec::new();
    let relations = catalog.relations().filter(|r| r.owner == role && !follows(r));
    out.extend(relations.map(|r| Node::Relation(r.oid)));
    out.extend(catalog.functions().filter(|f| f.owner == role).map(|f| Node::Function(f.oid)));
    out.extend(catalog.types().filter(|t| t.owner == role).map(|t| Node::Type(t.oid)));
    out.extend(catalog.schemas().filter(|s| s.owner == role).map(|s| Node::Schema(s.oid)));
    out.extend(catalog.extensions().filter(|e| e.owner == role).map(|e| Node::Extension(e.oid)));
    out
}

/// The object a list of rights is about.
fn node_of(acl: &Acl) -> Option<Node> {
    Some(match acl.class {
        authority::class::RELATION => Node::Relation(acl.object),
        authority::class::FUNCTION => Node::Function(acl.object),
        authority::class::TYPE => Node::Type(acl.object),
        authority::class::SCHEMA => Node::Schema(acl.object),
        _ => return None,
    })
}

/// A catalog and an object of it: what PostgreSQL tells dependencies in the order of.
fn address(node: Node) -> (Oid, Oid) {
    match node {
        Node::Relation(oid) => (authority::class::RELATION, oid),
        Node::Function(oid) => (authority::class::FUNCTION, oid),
        Node::Type(oid) => (authority::class::TYPE, oid),
        Node::Schema(oid) => (authority::class::SCHEMA, oid),
        Node::Extension(oid) => (3079, oid),
        _ => (0, 0),
    }
}

/// `pg_default_acl`
const DEFAULT_ACL: Oid = 826;

/// What keeps a role from being dropped, as PostgreSQL tells it.
pub(crate) fn dependents(ctx: &ExecContext, role: Oid) -> Vec<String> {
    let catalog = ctx.txn.catalog();
    let mine = owned(&catalog, role);
    let mut out: Vec<((Oid, Oid), String)> = Vec::new();
    for node in &mine {
        out.push((address(*node), format!("owner of {}", depend::describe(ctx, *node))));
    }
    for acl in catalog.acls() {
        if !acl.items.iter().any(|i| i.grantee == role || i.grantor == role) {
            continue;
        }
        let what = match node_of(acl) {
            Some(node) if mine.contains(&node) => continue,
            Some(node) => depend::describe(ctx, node),
            None => format!("database {}", fixed::DATABASE_NAME),
        };
        out.push(((acl.class, acl.object), format!("privileges for {what}")));
    }
    for list in catalog.default_acls() {
        let what = default_acl::describe(&catalog, list);
        if list.role == role {
            out.push(((DEFAULT_ACL, list.oid), format!("owner of {what}")));
        } else if list.items.iter().any(|i| i.grantee == role) {
            out.push(((DEFAULT_ACL, list.oid), format!("privileges for {what}")));
        }
    }
    out.sort();
    out.dedup();
    out.into_iter().map(|(_, text)| text).collect()
}

/// Gives an object another owner; what follows a table goes along.
pub(crate) fn give(ctx: &ExecContext, node: Node, to: Oid) -> Result<()> {
    let catalog = ctx.txn.catalog();
    match node {
        Node::Relation(oid) => {
            let along = catalog.indexes_of(oid).chain(catalog.sequences_of(oid));
            let all: Vec<Arc<Relation>> =
                catalog.relation(oid).into_iter().chain(along).cloned().collect();
            for r in all {
                rewrite_acls(ctx, authority::class::RELATION, r.oid, r.owner, to)?;
                let next = Relation { owner: to, ..(*r).clone() };
                ctx.txn.put(Object::Relation(Arc::new(next)))?;
            }
        }
        Node::Function(oid) => {
            let Some(f) = catalog.function(oid) else { return Ok(()) };
            rewrite_acls(ctx, authority::class::FUNCTION, oid, f.owner, to)?;
            let mut next = (**f).clone();
            next.owner = to;
            ctx.txn.put(Object::Function(Arc::new(next)))?;
        }
        Node::Type(oid) => {
            let Some(t) = catalog.type_def(oid) else { return Ok(()) };
            rewrite_acls(ctx, authority::class::TYPE, oid, t.owner, to)?;
            let mut next = (**t).clone();
            next.owner = to;
            if let TypeKind::Composite { relation } = t.kind
                && let Some(r) = catalog.relation(relation)
                && matches!(r.kind, RelationKind::Composite(_))
            {
                let row = Relation { owner: to, ..(**r).clone() };
                ctx.txn.put(Object::Relation(Arc::new(row)))?;
            }
            ctx.txn.put(Object::Type(Arc::new(next)))?;
        }
        Node::Schema(oid) => {
            let Some(s) = catalog.schema(oid) else { return Ok(()) };
            rewrite_acls(ctx, authority::class::SCHEMA, oid, s.owner, to)?;
            let mut next = (**s).clone();
            next.owner = to;
            ctx.txn.put(Object::Schema(Arc::new(next)))?;
        }
        Node::Extension(oid) => {
            let Some(e) = catalog.extension(oid) else { return Ok(()) };
            let mut next = (**e).clone();
            next.owner = to;
            ctx.txn.put(Object::Extension(Arc::new(next)))?;
        }
        _ => {}
    }
    Ok(())
}

/// What the old owner gave and had, the new one gives and has (`aclnewowner`).
fn rewrite_acls(ctx: &ExecContext, class: Oid, object: Oid, from: Oid, to: Oid) -> Result<()> {
    let catalog = ctx.txn.catalog();
    let lists: Vec<Acl> = catalog
        .acls()
        .filter(|a| a.class == class && a.object == object)
        .map(|a| (**a).clone())
        .collect();
    for mut acl in lists {
        let mut items: Vec<AclItem> = Vec::new();
        for mut item in acl.items {
            let renew = |oid: Oid| if oid == from { to } else { oid };
            (item.grantee, item.grantor) = (renew(item.grantee), renew(item.grantor));
            let same =
                |have: &&mut AclItem| (have.grantee, have.grantor) == (item.grantee, item.grantor);
            match items.iter_mut().find(same) {
                Some(have) => {
                    have.privileges = have.privileges.and(item.privileges);
                    have.options = have.options.and(item.options);
                }
                None => items.push(item),
            }
        }
        acl.items = items;
        ctx.txn.put(Object::Acl(Arc::new(acl)))?;
    }
    Ok(())
}

/// The roles of a statement; the session's role must be one of each's members.
fn roles(ctx: &ExecContext, given: &[Ident], what: &str) -> Result<Vec<Oid>> {
    let catalog = ctx.txn.catalog();
    let me = authority::current(&catalog, &ctx.session);
    let mut out = Vec::new();
    for own in given {
        let oid = role::oid_of(ctx, &name::ident(own))?;
        if !authority::is_member(&catalog, me, oid) {
            return Err(forbidden(format!("permission denied to {what} objects")));
        }
        if oid == fixed::SUPERUSER {
            let own = catalog.role(oid).map_or("", |r| r.name.as_str());
            return Err(PgError::new(
                SqlState::DEPENDENT_OBJECTS_STILL_EXIST,
                format!(
                    "cannot {what} ownership of objects owned by role {own} because they are \
                     required by the database system"
                )
                .replace("drop ownership of objects", "drop objects"),
            ));
        }
        out.push(oid);
    }
    Ok(out)
}

/// Runs REASSIGN OWNED.
pub(crate) fn reassign(ctx: &ExecContext, given: &[Ident], to: &Ident) -> Result<Outcome> {
    let from = roles(ctx, given, "reassign")?;
    let to = role::oid_of(ctx, &name::ident(to))?;
    let catalog = ctx.txn.catalog();
    let me = authority::current(&catalog, &ctx.session);
    if !authority::is_member(&catalog, me, to) {
        return Err(forbidden("permission denied to reassign objects"));
    }
    for role in from {
        for node in owned(&ctx.txn.catalog(), role) {
            give(ctx, node, to)?;
        }
    }
    Ok(done("REASSIGN OWNED"))
}

/// Runs DROP OWNED: what the roles own goes, and what they were given.
pub(crate) fn drop(ctx: &ExecContext, given: &[Ident], cascade: bool) -> Result<Outcome> {
    let from = roles(ctx, given, "drop")?;
    for role in &from {
        let catalog = ctx.txn.catalog();
        for acl in catalog.acls().filter(|a| a.items.iter().any(|i| i.grantee == *role)) {
            take_back(ctx, acl, *role)?;
        }
        for list in catalog.default_acls() {
            let kept: Vec<AclItem> =
                list.items.iter().filter(|i| i.grantee != *role).copied().collect();
            if list.role == *role || (kept.is_empty() && !list.items.is_empty()) {
                ctx.txn.drop_default_acl(list.role, list.schema, list.kind)?;
            } else if kept.len() != list.items.len() {
                default_acl::put(ctx, DefaultAcl { items: kept, ..(**list).clone() })?;
            }
        }
    }
    let catalog = ctx.txn.catalog();
    let nodes: Vec<Node> = from.iter().flat_map(|role| owned(&catalog, *role)).collect();
    if !nodes.is_empty() {
        depend::drop_all(ctx, &nodes, cascade)?;
    }
    Ok(done("DROP OWNED"))
}

/// What a role was given with an object, unless it is the owner's own.
fn take_back(ctx: &ExecContext, acl: &Acl, role: Oid) -> Result<()> {
    let catalog = ctx.txn.catalog();
    let owner = match node_of(acl) {
        Some(Node::Relation(oid)) => catalog.relation(oid).map(|r| Target::relation(r).owner),
        Some(Node::Function(oid)) => catalog.function(oid).map(|f| f.owner),
        Some(Node::Type(oid)) => catalog.type_def(oid).map(|t| t.owner),
        Some(Node::Schema(oid)) => catalog.schema(oid).map(|s| s.owner),
        _ => None,
    };
    if owner == Some(role) {
        return Ok(());
    }
    let mut next = acl.clone();
    next.items.retain(|i| i.grantee != role);
    ctx.txn.put(Object::Acl(Arc::new(next)))
}
