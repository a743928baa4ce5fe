//! GRANT and REVOKE.

use std::sync::Arc;

use sqlparser::ast::Ident;
use vicinity_storage::Catalog;
use vicinity_storage::catalog::model::{Acl, AclItem, Object, Privileges, Relation, RelationKind};
use vicinity_types::{Notice, Oid, PgError, Result, Severity, SqlState};

use super::super::name;
use super::super::outcome::{Outcome, done};
use super::{function, role};
use crate::authority::{self, Target, forbidden};
use crate::context::ExecContext;
use crate::sql::{Grant, GrantOn};

/// Runs GRANT or REVOKE.
pub(crate) fn run(ctx: &ExecContext, g: &Grant) -> Result<Outcome> {
    if matches!(g.on, GrantOn::Roles) {
        return membership(ctx, g);
    }
    let grantees = g.roles.iter().map(|r| grantee(ctx, r)).collect::<Result<Vec<_>>>()?;
    if g.with_option && grantees.contains(&0) {
        return Err(invalid("grant options can only be granted to roles"));
    }
    for (target, relation) in targets(ctx, &g.on)? {
        let whole = match &g.privileges {
            None if g.all_columns.is_empty() => Some(target.all),
            None => None,
            Some(list) => Some(whole_object(list, &target)?),
        };
        if let Some(wanted) = whole.filter(|w| !w.is_empty()) {
            change(ctx, g, &target, wanted, &grantees)?;
            if g.revoke
                && let Some(relation) = &relation
            {
                // What was given for columns goes with it.
                for column in with_rights(&ctx.txn.catalog(), relation) {
                    let wanted = wanted.common(Privileges::COLUMN);
                    change(ctx, g, &target.column(column), wanted, &grantees)?;
                }
            }
        }
        if let Some(relation) = &relation {
            for (column, wanted) in columns(g, relation)? {
                change(ctx, g, &target.column(column), wanted, &grantees)?;
            }
        }
    }
    Ok(done(if g.revoke { "REVOKE" } else { "GRANT" }))
}

fn invalid(text: impl Into<String>) -> PgError {
    PgError::new(SqlState(*b"0LP01"), text.into())
}

pub(super) fn grantee(ctx: &ExecContext, given: &Ident) -> Result<Oid> {
    let own = name::ident(given);
    if own == "public" { Ok(0) } else { role::oid_of(ctx, &own) }
}

/// Columns with lists of rights.
fn with_rights(catalog: &Catalog, relation: &Relation) -> Vec<i16> {
    let lists = catalog.acls().filter(|a| a.object == relation.oid);
    let columns = lists.filter(|a| a.class == authority::class::RELATION && a.sub != 0);
    columns.filter_map(|a| i16::try_from(a.sub).ok()).collect()
}

pub(super) fn privilege(word: &str, all: Privileges, what: &str) -> Result<Privileges> {
    let temporary = if word == "temp" { "temporary" } else { word };
    let known = Privileges::ALL.iter().find(|(_, _, name)| name.eq_ignore_ascii_case(temporary));
    let Some((privilege, _, name)) = known else {
        return Err(PgError::new(
            SqlState::SYNTAX_ERROR,
            format!("unrecognized privilege type \"{word}\""),
        ));
    };
    if all.contains(*privilege) {
        return Ok(*privilege);
    }
    Err(invalid(format!("invalid privilege type {name} for {what}")))
}

/// What is given on the object itself.
fn whole_object(list: &[(String, Vec<Ident>)], target: &Target) -> Result<Privileges> {
    let whole = list.iter().filter(|(_, columns)| columns.is_empty());
    // GRANT ON TABLE takes sequences too.
    let what = if target.word == "view" { "table" } else { target.word };
    whole
        .map(|(word, _)| privilege(word, target.all, what))
        .try_fold(Privileges::NONE, |all, p| Ok(all.and(p?)))
}

/// What is given on columns.
fn columns(g: &Grant, relation: &Relation) -> Result<Vec<(i16, Privileges)>> {
    let place = |column: &Ident| {
        let own = name::ident(column);
        let columns = match &relation.kind {
            RelationKind::Table(t) => &t.columns[..],
            RelationKind::View(v) => &v.columns[..],
            _ => &[],
        };
        let found = columns.iter().position(|c| !c.dropped && c.name == own);
        found.and_then(|at| i16::try_from(at + 1).ok()).ok_or_else(|| {
            PgError::new(
                SqlState::UNDEFINED_COLUMN,
                format!("column \"{own}\" of relation \"{}\" does not exist", relation.name),
            )
        })
    };
    let mut out = Vec::new();
    for column in &g.all_columns {
        out.push((place(column)?, Privileges::COLUMN));
    }
    for (word, columns) in g.privileges.iter().flatten() {
        for column in columns {
            out.push((place(column)?, privilege(word, Privileges::COLUMN, "column")?));
        }
    }
    Ok(out)
}

type Found = (Target, Option<Arc<Relation>>);

fn targets(ctx: &ExecContext, on: &GrantOn) -> Result<Vec<Found>> {
    let catalog = ctx.txn.catalog();
    let schema = |i: &Ident| {
        let own = name::ident(i);
        catalog.schema_named(&own).cloned().ok_or_else(|| name::no_schema(&own))
    };
    let relation = |r: &Arc<Relation>| (Target::relation(r), Some(r.clone()));
    match on {
        GrantOn::Tables(names) => {
            names.iter().map(|n| name::relation(ctx, n).map(|r| relation(&r))).collect()
        }
        GrantOn::Sequences(names) => names
            .iter()
            .map(|n| {
                let r = name::relation(ctx, n)?;
                if r.sequence().is_none() {
                    return Err(name::not_a(&r, "sequence"));
                }
                Ok(relation(&r))
            })
            .collect(),
        GrantOn::Functions(list) => list
            .iter()
            .map(|desc| {
                let oid = function::find_described(ctx, desc, None)?;
                let found = catalog.function(oid).ok_or_else(|| PgError::internal("function"))?;
                Ok((Target::function(found), None))
            })
            .collect(),
        GrantOn::Schemas(names) => {
            names.iter().map(|n| Ok((Target::schema(&*schema(n)?), None))).collect()
        }
        GrantOn::Databases(names) => names
            .iter()
            .map(|n| {
                let own = name::ident(n);
                if own == ctx.session.database() {
                    return Ok((Target::database(&own), None));
                }
                Err(PgError::new(
                    SqlState::INVALID_CATALOG_NAME,
                    format!("database \"{own}\" does not exist"),
                ))
            })
            .collect(),
        GrantOn::All(what, schemas) => {
            let mut out = Vec::new();
            for given in schemas {
                let schema = schema(given)?.oid;
                match *what {
                    "tables" => out.extend(
                        catalog
                            .relations_in(schema)
                            .filter(|r| {
                                matches!(r.kind, RelationKind::Table(_) | RelationKind::View(_))
                            })
                            .map(relation),
                    ),
                    "sequences" => out.extend(
                        catalog
                            .relations_in(schema)
                            .filter(|r| r.sequence().is_some())
                            .map(relation),
                    ),
                    kind => {
                        let fits = |procedure: bool| match kind {
                            "functions" => !procedure,
                            "procedures" => procedure,
                            _ => true,
                        };
                        let inside = catalog.functions().filter(|f| f.schema == schema);
                        let inside = inside.filter(|f| fits(f.procedure));
                        out.extend(inside.map(|f| (Target::function(f), None)));
                    }
                }
            }
            Ok(out)
        }
        GrantOn::Languages(_) => Err(PgError::unsupported("GRANT ON LANGUAGE")),
        GrantOn::Types(_) => Err(PgError::unsupported("GRANT ON TYPE")),
        GrantOn::Roles => Ok(Vec::new()),
    }
}

/// Who gives: the owner if the session's role has an owner's rights, else the role itself.
fn grantor(catalog: &Catalog, ctx: &ExecContext, target: &Target) -> Oid {
    let me = authority::current(catalog, &ctx.session);
    if authority::is_owner(catalog, me, target.owner) { target.owner } else { me }
}

fn change(
    ctx: &ExecContext,
    g: &Grant,
    target: &Target,
    wanted: Privileges,
    grantees: &[Oid],
) -> Result<()> {
    let catalog = ctx.txn.catalog();
    let me = authority::current(&catalog, &ctx.session);
    let giver = grantor(&catalog, ctx, target);
    let may = target.grantable(&catalog, me);
    if may.is_empty() && target.held(&catalog, me).is_empty() {
        return Err(target.denied());
    }
    let given = wanted.common(may);
    if given != wanted && (given.is_empty() || g.privileges.is_some()) {
        warn(ctx, g, target, given.is_empty());
    }
    let mut items = target.items(&catalog);
    for grantee in grantees {
        if g.revoke {
            revoke(&mut items, *grantee, giver, given, g)?;
        } else {
            grant(&mut items, *grantee, giver, given, g.with_option);
        }
    }
    let acl = Acl { class: target.class, object: target.oid, sub: target.sub, items };
    if acl.items.is_empty() && target.sub != 0 {
        if catalog.acl(acl.class, acl.object, acl.sub).is_some() {
            ctx.txn.drop_acl(acl.class, acl.object, acl.sub)?;
        }
        return Ok(());
    }
    ctx.txn.put(Object::Acl(Arc::new(acl)))
}

fn warn(ctx: &ExecContext, g: &Grant, target: &Target, none: bool) {
    let how = if none { "no" } else { "not all" };
    let (done, code) =
        if g.revoke { ("could be revoked", *b"01006") } else { ("were granted", *b"01007") };
    let text = format!("{how} privileges {done} for \"{}\"", target.name);
    ctx.session.notice(Notice::new(Severity::Warning, SqlState(code), text));
}

pub(super) fn grant(items: &mut Vec<AclItem>, to: Oid, by: Oid, given: Privileges, option: bool) {
    let options = if option { given } else { Privileges::NONE };
    match items.iter_mut().find(|i| i.grantee == to && i.grantor == by) {
        Some(item) => {
            item.privileges = item.privileges.and(given);
            item.options = item.options.and(options);
        }
        None => items.push(AclItem { grantee: to, grantor: by, privileges: given, options }),
    }
}

pub(super) fn revoke(
    items: &mut Vec<AclItem>,
    from: Oid,
    by: Oid,
    taken: Privileges,
    g: &Grant,
) -> Result<()> {
    let Some(item) = items.iter_mut().find(|i| i.grantee == from && i.grantor == by) else {
        return Ok(());
    };
    let passed_on = item.options.common(taken);
    item.options = item.options.without(taken);
    if !g.option_only {
        item.privileges = item.privileges.without(taken);
    }
    items.retain(|i| !i.privileges.is_empty());
    let dependent = |i: &&AclItem| i.grantor == from && !i.privileges.common(passed_on).is_empty();
    let dependents: Vec<AclItem> = items.iter().filter(dependent).copied().collect();
    if !dependents.is_empty() && !g.cascade {
        return Err(PgError::new(
            SqlState::DEPENDENT_OBJECTS_STILL_EXIST,
            "dependent privileges exist",
        )
        .hint("Use CASCADE to revoke them too."));
    }
    let all = Grant { option_only: false, ..g.clone() };
    dependents.iter().try_for_each(|i| revoke(items, i.grantee, from, passed_on, &all))
}

/// `GRANT role TO role` and back.
fn membership(ctx: &ExecContext, g: &Grant) -> Result<Outcome> {
    if g.with_option || g.option_only {
        return Err(PgError::unsupported("WITH ADMIN OPTION"));
    }
    for (group, _) in g.privileges.iter().flatten() {
        let catalog = ctx.txn.catalog();
        let group_oid = role::oid_of(ctx, group)?;
        let me = catalog.role(authority::current(&catalog, &ctx.session));
        let of_superusers = authority::is_superuser(&catalog, group_oid);
        let may = me.is_some_and(|r| r.superuser || r.create_role && !of_superusers);
        if !may {
            return Err(forbidden(if of_superusers {
                "must be superuser to alter superusers".to_owned()
            } else {
                format!("must have admin option on role \"{group}\"")
            }));
        }
        for member in &g.roles {
            set_member(ctx, g.revoke, (group, group_oid), &name::ident(member))?;
        }
    }
    Ok(done(if g.revoke { "REVOKE ROLE" } else { "GRANT ROLE" }))
}

/// Makes a role a member of another, or no longer one.
pub(super) fn join(ctx: &ExecContext, group: &Ident, member: &Ident, add: bool) -> Result<()> {
    let own = name::ident(group);
    let oid = role::oid_of(ctx, &own)?;
    set_member(ctx, !add, (&own, oid), &name::ident(member))
}

fn set_member(
    ctx: &ExecContext,
    revoke: bool,
    (group, group_oid): (&str, Oid),
    member: &str,
) -> Result<()> {
    let catalog = ctx.txn.catalog();
    let oid = role::oid_of(ctx, member)?;
    let Some(role) = catalog.role(oid) else { return Ok(()) };
    let is_member = role.member_of.contains(&group_oid);
    if revoke && !is_member {
        let text = format!("role \"{member}\" is not a member of role \"{group}\"");
        ctx.session.notice(Notice::new(Severity::Warning, SqlState::WARNING, text));
        return Ok(());
    }
    if !revoke && is_member {
        name::notice(ctx, format!("role \"{member}\" is already a member of role \"{group}\""));
        return Ok(());
    }
    let mut next = (**role).clone();
    if revoke {
        next.member_of.retain(|g| *g != group_oid);
    } else {
        let circle = oid == group_oid || authority::reaches(&catalog, group_oid, oid);
        if circle {
            return Err(invalid(format!("role \"{group}\" is a member of role \"{member}\"")));
        }
        next.member_of.push(group_oid);
    }
    ctx.txn.put(Object::Role(Arc::new(next)))
}

/// How `pg_class.relacl` and its kin show a list of rights.
pub(crate) fn shown(catalog: &Catalog, item: &AclItem) -> String {
    let role = |oid: Oid| match catalog.role(oid) {
        _ if oid == 0 => String::new(),
        Some(role) => quoted(&role.name),
        None => oid.to_string(),
    };
    let mut out = format!("{}=", role(item.grantee));
    for (privilege, letter, _) in Privileges::ALL {
        if item.privileges.contains(privilege) {
            out.push(letter);
            if item.options.contains(privilege) {
                out.push('*');
            }
        }
    }
    out.push('/');
    out + &role(item.grantor)
}

fn quoted(name: &str) -> String {
    let plain = name.chars().all(|c| c.is_alphanumeric() || c == '_');
    if plain { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}
