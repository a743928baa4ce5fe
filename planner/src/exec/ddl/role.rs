//! Roles: CREATE, ALTER and DROP ROLE, and who owns what.

use std::sync::Arc;

use sqlparser::ast::{
    AlterRoleOperation, CreateRole, Expr, ObjectName, Owner, Password, RoleOption, Value,
};
use vicinity_storage::ObjectKind;
use vicinity_storage::catalog::model::{Object, Role, fixed};
use vicinity_types::{Oid, PgError, Result, SqlState};

use super::super::name;
use super::super::outcome::{Outcome, done};
use crate::authority;
use crate::context::ExecContext;

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
pub(crate) fn new_owner(ctx: &ExecContext, given: &sqlparser::ast::Ident) -> Result<Oid> {
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
fn password(ctx: &ExecContext, given: Option<&Password>) -> Result<Option<String>> {
    let keep = |text: &str| {
        if text.starts_with("SCRAM-SHA-256$") {
            return Ok(Some(text.to_owned()));
        }
        if text.is_empty() {
            let empty = "empty string is not a valid password, clearing password";
            name::notice(ctx, empty);
            return Ok(None);
        }
        let made = ctx.engine.verifier(text);
        made.map(Some).ok_or_else(|| PgError::unsupported("PASSWORD without a server"))
    };
    match given {
        None | Some(Password::NullPassword) => Ok(None),
        Some(Password::Password(e)) => match e {
            Expr::Value(v) => match &v.value {
                Value::SingleQuotedString(s) => keep(s),
                _ => Err(PgError::unsupported("this form of PASSWORD")),
            },
            _ => Err(PgError::unsupported("this form of PASSWORD")),
        },
    }
}

fn limit(given: Option<&Expr>) -> Result<i32> {
    let Some(e) = given else { return Ok(-1) };
    e.to_string().replace(' ', "").parse().ok().filter(|n| *n >= -1).ok_or_else(|| {
        PgError::new(SqlState::INVALID_PARAMETER_VALUE, format!("invalid connection limit: {e}"))
    })
}

/// Runs CREATE ROLE (and USER, which may log in).
pub(crate) fn create(ctx: &ExecContext, c: &CreateRole, user: bool) -> Result<Outcome> {
    if c.valid_until.is_some() {
        return Err(PgError::unsupported("VALID UNTIL"));
    }
    for given in &c.names {
        let own = name::last(given);
        if own.starts_with("pg_") {
            return Err(PgError::new(
                SqlState::RESERVED_NAME,
                format!("role name \"{own}\" is reserved"),
            )
            .detail("Role names starting with \"pg_\" are reserved."));
        }
        if ctx.txn.catalog().role_named(&own).is_some() {
            return Err(PgError::new(
                SqlState::DUPLICATE_OBJECT,
                format!("role \"{own}\" already exists"),
            ));
        }
        let groups = c.in_role.iter().chain(&c.in_group);
        let member_of = groups.map(|g| oid_of(ctx, &name::ident(g))).collect::<Result<Vec<_>>>()?;
        let role = Role {
            oid: ctx.txn.new_oid(),
            name: own,
            superuser: c.superuser.unwrap_or(false),
            login: c.login.unwrap_or(user),
            create_db: c.create_db.unwrap_or(false),
            create_role: c.create_role.unwrap_or(false),
            inherit: c.inherit.unwrap_or(true),
            replication: c.replication.unwrap_or(false),
            bypass_rls: c.bypassrls.unwrap_or(false),
            connection_limit: limit(c.connection_limit.as_ref())?,
            password: password(ctx, c.password.as_ref())?,
            member_of,
        };
        ctx.txn.put(Object::Role(Arc::new(role)))?;
    }
    Ok(done("CREATE ROLE"))
}

fn refused_rename(text: &str) -> PgError {
    PgError::new(SqlState::FEATURE_NOT_SUPPORTED, text)
}

/// Runs ALTER ROLE.
pub(crate) fn alter(ctx: &ExecContext, own: &str, op: &AlterRoleOperation) -> Result<Outcome> {
    let oid = oid_of(ctx, own)?;
    let found = ctx.txn.catalog().role(oid).cloned();
    let Some(found) = found else { return Err(missing(own)) };
    let mut next = (*found).clone();
    match op {
        AlterRoleOperation::RenameRole { role_name } => {
            let to = name::ident(role_name);
            let named = |user: &str| *user == *found.name;
            if named(&ctx.session.session_user()) {
                return Err(refused_rename("session user cannot be renamed"));
            }
            if named(&ctx.session.current_user()) {
                return Err(refused_rename("current user cannot be renamed"));
            }
            if ctx.txn.catalog().role_named(&to).is_some() {
                return Err(PgError::new(
                    SqlState::DUPLICATE_OBJECT,
                    format!("role \"{to}\" already exists"),
                ));
            }
            next.name = to;
        }
        AlterRoleOperation::WithOptions { options } => {
            for option in options {
                match option {
                    RoleOption::SuperUser(on) => next.superuser = *on,
                    RoleOption::CreateDB(on) => next.create_db = *on,
                    RoleOption::CreateRole(on) => next.create_role = *on,
                    RoleOption::Inherit(on) => next.inherit = *on,
                    RoleOption::Login(on) => next.login = *on,
                    RoleOption::Replication(on) => next.replication = *on,
                    RoleOption::BypassRLS(on) => next.bypass_rls = *on,
                    RoleOption::ConnectionLimit(e) => next.connection_limit = limit(Some(e))?,
                    RoleOption::Password(p) => next.password = password(ctx, Some(p))?,
                    RoleOption::ValidUntil(_) => return Err(PgError::unsupported("VALID UNTIL")),
                }
            }
        }
        _ => return Err(PgError::unsupported("this form of ALTER ROLE")),
    }
    ctx.txn.put(Object::Role(Arc::new(next)))?;
    Ok(done("ALTER ROLE"))
}

/// Runs DROP ROLE.
pub(crate) fn drop(ctx: &ExecContext, given: &[ObjectName], if_exists: bool) -> Result<Outcome> {
    for g in given {
        let own = name::last(g);
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
        let owns = catalog.relations().any(|r| r.owner == role.oid)
            || catalog.schemas().any(|s| s.owner == role.oid)
            || catalog.functions().any(|f| f.owner == role.oid)
            || catalog.acls().flat_map(|a| &a.items).any(|i| i.grantee == role.oid);
        if owns || role.oid == fixed::SUPERUSER {
            return Err(PgError::new(
                SqlState::DEPENDENT_OBJECTS_STILL_EXIST,
                format!("role \"{own}\" cannot be dropped because some objects depend on it"),
            ));
        }
        ctx.txn.drop_object(ObjectKind::Role, role.oid)?;
    }
    Ok(done("DROP ROLE"))
}
