//! Roles: CREATE, ALTER and DROP ROLE, and who owns what.

use std::sync::Arc;

use sqlparser::ast::{Ident, ObjectName, Owner};
use vicinity_storage::ObjectKind;
use vicinity_storage::catalog::model::{Object, Role, fixed};
use vicinity_types::io::text_in;
use vicinity_types::{Datum, Oid, PgError, Result, SqlState, oid};

use super::super::name;
use super::super::outcome::{Outcome, done};
use super::{grant, owned, session_defaults};
use crate::authority;
use crate::context::ExecContext;
use crate::sql::{AlterRole, CreateRole, RoleOption};

fn missing(own: &str) -> PgError {
    PgError::new(SqlState::UNDEFINED_OBJECT, format!("role \"{own}\" does not exist"))
}

/// A role by name; `current_user` and its kin are the session's user.
pub(crate) fn oid_of(ctx: &ExecContext, own: &str) -> Result<Oid> {
    let own = match own {
        "current_user" | "current_role" => &*ctx.session.current_user(),
        "session_user" => &ctx.session.session_user(),
        other => other,
    };
    ctx.txn.catalog().role_named(own).map(|r| r.oid).ok_or_else(|| missing(own))
}

/// Who owns what is made now.
pub(crate) fn acting(ctx: &ExecContext) -> Result<Oid> {
    oid_of(ctx, "current_user")
}

/// An error unless the user may `act` on the server's files: superusers and members of `group` may.
pub(crate) fn check_server_files(ctx: &ExecContext, group: &str, act: &str) -> Result<()> {
    let catalog = ctx.txn.catalog();
    let member = catalog.role_named(group).map(|r| r.oid);
    let may = |r: &Role| r.superuser || member.is_some_and(|g| r.member_of.contains(&g));
    if catalog.role_named(&ctx.session.current_user()).is_some_and(|r| may(r)) {
        return Ok(());
    }
    Err(PgError::new(
        SqlState::INSUFFICIENT_PRIVILEGE,
        format!("must be superuser or have privileges of the {group} role to {act}"),
    ))
}

/// SET ROLE and SET SESSION AUTHORIZATION: an error unless the session may become the role.
pub(crate) fn check_becomes(ctx: &ExecContext, setting: &str, own: &str) -> Result<()> {
    let catalog = ctx.txn.catalog();
    let Some(role) = catalog.role_named(own) else {
        return Err(PgError::new(
            SqlState::INVALID_PARAMETER_VALUE,
            format!("role \"{own}\" does not exist"),
        ));
    };
    let oid = |name: &str| catalog.role_named(name).map_or(0, |r| r.oid);
    if setting.eq_ignore_ascii_case("role") {
        if authority::is_member(&catalog, oid(&ctx.session.session_user()), role.oid) {
            return Ok(());
        }
        return Err(authority::forbidden(format!("permission denied to set role \"{own}\"")));
    }
    // Who logged in counts, whoever the session is by now.
    let login = ctx.session.user();
    if login == own || authority::is_superuser(&catalog, oid(login)) {
        return Ok(());
    }
    Err(authority::forbidden(format!("permission denied to set session authorization \"{own}\"")))
}

/// `OWNER TO`
pub(crate) fn owner(ctx: &ExecContext, owner: &Owner) -> Result<Oid> {
    match owner {
        Owner::Ident(i) => new_owner(ctx, i),
        _ => oid_of(ctx, "current_user"),
    }
}

/// Who is to own an object: an error unless the session's role could become that role, or objects
/// that run with their owner's rights would lend them to whoever gives them away.
pub(crate) fn new_owner(ctx: &ExecContext, given: &Ident) -> Result<Oid> {
    let own = name::ident(given);
    let oid = oid_of(ctx, &own)?;
    let catalog = ctx.txn.catalog();
    if authority::is_member(&catalog, authority::current(&catalog, &ctx.session), oid) {
        return Ok(oid);
    }
    Err(authority::forbidden(format!("must be member of role \"{own}\"")))
}

/// What is kept of a password. One that was made a verifier already, as psql's `\password` does, is
/// taken as it is.
fn password(ctx: &ExecContext, given: Option<&str>) -> Result<Option<String>> {
    let Some(text) = given else { return Ok(None) };
    if text.starts_with("SCRAM-SHA-256$") {
        return Ok(Some(text.to_owned()));
    }
    if text.is_empty() {
        name::notice(ctx, "empty string is not a valid password, clearing password");
        return Ok(None);
    }
    let made = ctx.engine.verifier(text);
    made.map(Some).ok_or_else(|| PgError::unsupported("PASSWORD without a server"))
}

fn limit(given: i64) -> Result<i32> {
    i32::try_from(given).ok().filter(|n| *n >= -1).ok_or_else(|| {
        let text = format!("invalid connection limit: {given}");
        PgError::new(SqlState::INVALID_PARAMETER_VALUE, text)
    })
}

/// The moment of VALID UNTIL.
fn moment(ctx: &ExecContext, text: &str) -> Result<Option<i64>> {
    match text_in(oid::TIMESTAMPTZ, -1, text, &ctx.io())? {
        Datum::TimestampTz(at) => Ok(Some(at)),
        _ => Err(PgError::internal("no timestamp")),
    }
}

fn duplicate(own: &str) -> PgError {
    PgError::new(SqlState::DUPLICATE_OBJECT, format!("role \"{own}\" already exists"))
}

/// Names that begin so are the server's.
fn check_name(own: &str) -> Result<()> {
    if own.starts_with("pg_") {
        let text = format!("role name \"{own}\" is reserved");
        return Err(PgError::new(SqlState::RESERVED_NAME, text)
            .detail("Role names starting with \"pg_\" are reserved."));
    }
    Ok(())
}

/// Each option once.
fn check_options(options: &[RoleOption]) -> Result<()> {
    for (at, option) in options.iter().enumerate() {
        let kind = std::mem::discriminant(option);
        if options.iter().take(at).any(|o| std::mem::discriminant(o) == kind) {
            return Err(PgError::new(SqlState::SYNTAX_ERROR, "conflicting or redundant options"));
        }
    }
    Ok(())
}

fn apply(ctx: &ExecContext, role: &mut Role, options: &[RoleOption]) -> Result<()> {
    for option in options {
        match option {
            RoleOption::Superuser(on) => role.superuser = *on,
            RoleOption::CreateDb(on) => role.create_db = *on,
            RoleOption::CreateRole(on) => role.create_role = *on,
            RoleOption::Inherit(on) => role.inherit = *on,
            RoleOption::Login(on) => role.login = *on,
            RoleOption::Replication(on) => role.replication = *on,
            RoleOption::BypassRls(on) => role.bypass_rls = *on,
            RoleOption::ConnectionLimit(n) => role.connection_limit = limit(*n)?,
            RoleOption::Password(p) => role.password = password(ctx, p.as_deref())?,
            RoleOption::ValidUntil(text) => role.valid_until = moment(ctx, text)?,
            RoleOption::In(groups) => {
                for group in groups {
                    role.member_of.push(oid_of(ctx, &name::ident(group))?);
                }
            }
            RoleOption::Members(_) => {}
        }
    }
    Ok(())
}

/// Who an option makes members.
fn members(options: &[RoleOption]) -> impl Iterator<Item = &Ident> {
    options.iter().flat_map(|o| match o {
        RoleOption::Members(list) => list.as_slice(),
        _ => &[],
    })
}

/// Runs CREATE ROLE (and USER, which may log in).
pub(crate) fn create(ctx: &ExecContext, c: &CreateRole) -> Result<Outcome> {
    let own = name::ident(&c.name);
    check_name(&own)?;
    check_options(&c.options)?;
    if ctx.txn.catalog().role_named(&own).is_some() {
        return Err(duplicate(&own));
    }
    let mut role = Role { login: c.user, ..Role::new(ctx.txn.new_oid(), own) };
    apply(ctx, &mut role, &c.options)?;
    ctx.txn.put(Object::Role(Arc::new(role)))?;
    for member in members(&c.options) {
        grant::join(ctx, &c.name, member, true)?;
    }
    Ok(done("CREATE ROLE"))
}

fn refused_rename(text: &str) -> PgError {
    PgError::new(SqlState::FEATURE_NOT_SUPPORTED, text)
}

fn found(ctx: &ExecContext, given: &Ident) -> Result<Arc<Role>> {
    let own = name::ident(given);
    let oid = oid_of(ctx, &own)?;
    ctx.txn.catalog().role(oid).cloned().ok_or_else(|| missing(&own))
}

/// Runs ALTER ROLE.
pub(crate) fn alter(ctx: &ExecContext, a: &AlterRole) -> Result<Outcome> {
    match a {
        AlterRole::Rename { name: given, to } => rename(ctx, &*found(ctx, given)?, to)?,
        AlterRole::Options { name: given, options } => {
            check_options(options)?;
            let mut next = (*found(ctx, given)?).clone();
            apply(ctx, &mut next, options)?;
            ctx.txn.put(Object::Role(Arc::new(next)))?;
            for member in members(options) {
                grant::join(ctx, given, member, true)?;
            }
        }
        AlterRole::Members { group, members, add } => {
            found(ctx, group)?;
            for member in members {
                grant::join(ctx, group, member, *add)?;
            }
        }
        AlterRole::Setting { name: given, database, change } => {
            let role = given.as_ref().map(|g| found(ctx, g).map(|r| r.oid)).transpose()?;
            let database = database.as_ref().map(session_defaults::database).transpose()?;
            session_defaults::change(ctx, database.unwrap_or(0), role.unwrap_or(0), change)?;
        }
    }
    Ok(done("ALTER ROLE"))
}

fn rename(ctx: &ExecContext, role: &Role, to: &Ident) -> Result<()> {
    let to = name::ident(to);
    let named = |user: &str| *user == *role.name;
    if named(&ctx.session.session_user()) {
        return Err(refused_rename("session user cannot be renamed"));
    }
    if named(&ctx.session.current_user()) {
        return Err(refused_rename("current user cannot be renamed"));
    }
    check_name(&to)?;
    if ctx.txn.catalog().role_named(&to).is_some() {
        return Err(duplicate(&to));
    }
    ctx.txn.put(Object::Role(Arc::new(Role { name: to, ..role.clone() })))
}

/// Runs DROP ROLE.
pub(crate) fn drop(ctx: &ExecContext, given: &[ObjectName], if_exists: bool) -> Result<Outcome> {
    for g in given {
        let own = name::last(g);
        if let Ok(oid) = oid_of(ctx, &own) {
            // Whoever gives it something now is heard first.
            ctx.txn.lock_object(ObjectKind::Role, oid)?;
        }
        let catalog = ctx.txn.catalog();
        let Some(role) = catalog.role_named(&own) else {
            if !if_exists {
                return Err(missing(&own));
            }
            let text = format!("role \"{own}\" does not exist");
            name::skipping(ctx, SqlState::SUCCESSFUL_COMPLETION, text);
            continue;
        };
        if own == *ctx.session.current_user() {
            return Err(PgError::new(SqlState::OBJECT_IN_USE, "current user cannot be dropped"));
        }
        let depends = owned::dependents(ctx, role.oid);
        if !depends.is_empty() {
            let text = "role \"{}\" cannot be dropped because some objects depend on it";
            return Err(PgError::new(
                SqlState::DEPENDENT_OBJECTS_STILL_EXIST,
                text.replace("{}", &own),
            )
            .detail(depends.join("\n")));
        }
        if role.oid == fixed::SUPERUSER {
            let text =
                format!("cannot drop role {own} because it is required by the database system");
            return Err(PgError::new(SqlState::DEPENDENT_OBJECTS_STILL_EXIST, text));
        }
        let member = |r: &&Arc<Role>| r.member_of.contains(&role.oid);
        let members: Vec<Arc<Role>> = catalog.roles().filter(member).cloned().collect();
        for member in members {
            let mut next = (*member).clone();
            next.member_of.retain(|g| *g != role.oid);
            ctx.txn.put(Object::Role(Arc::new(next)))?;
        }
        ctx.txn.drop_object(ObjectKind::Role, role.oid)?;
    }
    Ok(done("DROP ROLE"))
}
