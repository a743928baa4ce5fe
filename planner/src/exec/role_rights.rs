//! What statements about roles ask of the role that runs them. Superusers are not asked.

use sqlparser::ast::ObjectName;
use vicinity_storage::Catalog;
use vicinity_storage::catalog::model::Role;
use vicinity_types::Result;

use super::name;
use crate::authority::{self, forbidden};
use crate::context::ExecContext;
use crate::sql::{AlterRole, CreateRole, RoleOption};

/// CREATE ROLE
pub(super) fn create(ctx: &ExecContext, catalog: &Catalog, c: &CreateRole) -> Result<()> {
    for option in &c.options {
        let what = match option {
            RoleOption::Superuser(true) => "superusers",
            RoleOption::Replication(true) => "replication users",
            RoleOption::BypassRls(true) => "bypassrls users",
            _ => continue,
        };
        return Err(forbidden(format!("must be superuser to create {what}")));
    }
    if !manages_roles(ctx, catalog) {
        return Err(forbidden("permission denied to create role"));
    }
    groups(catalog, &c.options)
}

/// To be in a superuser's role is to be able to become it.
fn groups(catalog: &Catalog, options: &[RoleOption]) -> Result<()> {
    for option in options {
        let RoleOption::In(groups) = option else { continue };
        let mut groups = groups.iter().map(name::ident);
        if groups.any(|own| named(catalog, &own).is_some_and(|r| r.superuser)) {
            return Err(forbidden("must be superuser to alter superusers"));
        }
    }
    Ok(())
}

/// ALTER ROLE
pub(super) fn alter(ctx: &ExecContext, catalog: &Catalog, a: &AlterRole) -> Result<()> {
    let current = ctx.session.current_user();
    let given = match a {
        AlterRole::Options { name, .. } | AlterRole::Rename { name, .. } => Some(name),
        AlterRole::Members { group, .. } => Some(group),
        AlterRole::Setting { name, .. } => name.as_ref(),
    };
    let Some(given) = given else {
        return Err(forbidden("must be superuser to alter settings globally"));
    };
    let own = match name::ident(given).as_str() {
        "current_user" | "current_role" => (*current).to_owned(),
        "session_user" => ctx.session.session_user(),
        other => other.to_owned(),
    };
    let Some(role) = named(catalog, &own) else { return Ok(()) };
    match a {
        AlterRole::Options { options, .. } => {
            attributes(role, options)?;
            groups(catalog, options)?;
            let password = matches!(options.as_slice(), [RoleOption::Password(_)]);
            allow(manages_roles(ctx, catalog) || password && own == *current, "permission denied")
        }
        // Nobody renames himself: the statement says so.
        AlterRole::Rename { .. } if own == *current => Ok(()),
        AlterRole::Rename { .. } => {
            allow(!role.superuser, "must be superuser to rename superusers")?;
            allow(manages_roles(ctx, catalog), "permission denied to rename role")
        }
        AlterRole::Setting { .. } | AlterRole::Members { .. } => {
            let itself = own == *current && matches!(a, AlterRole::Setting { .. });
            allow(!role.superuser, "must be superuser to alter superusers")?;
            allow(manages_roles(ctx, catalog) || itself, "permission denied")
        }
    }
}

/// The attributes only superusers may change, and the roles only they may.
fn attributes(role: &Role, options: &[RoleOption]) -> Result<()> {
    let names = |is: fn(&RoleOption) -> bool| options.iter().any(is);
    allow(
        !role.superuser && !names(|o| matches!(o, RoleOption::Superuser(_))),
        "must be superuser to alter superuser roles or change superuser attribute",
    )?;
    allow(
        !role.replication && !names(|o| matches!(o, RoleOption::Replication(_))),
        "must be superuser to alter replication roles or change replication attribute",
    )?;
    allow(
        !names(|o| matches!(o, RoleOption::BypassRls(_))),
        "must be superuser to change bypassrls attribute",
    )
}

/// DROP ROLE
pub(super) fn drop(ctx: &ExecContext, catalog: &Catalog, names: &[ObjectName]) -> Result<()> {
    allow(manages_roles(ctx, catalog), "permission denied to drop role")?;
    let powerful = |n: &ObjectName| named(catalog, &name::last(n)).is_some_and(|r| r.superuser);
    allow(!names.iter().any(powerful), "must be superuser to drop superusers")
}

/// COMMENT ON ROLE
pub(super) fn comment(ctx: &ExecContext, catalog: &Catalog, role: &Role) -> Result<()> {
    allow(!role.superuser, "must be superuser")?;
    allow(manages_roles(ctx, catalog), "must have CREATEROLE privilege")
}

fn allow(may: bool, otherwise: &str) -> Result<()> {
    if may { Ok(()) } else { Err(forbidden(otherwise)) }
}

fn named<'c>(catalog: &'c Catalog, own: &str) -> Option<&'c Role> {
    catalog.role_named(own).map(|r| &**r)
}

fn manages_roles(ctx: &ExecContext, catalog: &Catalog) -> bool {
    let me = authority::current(catalog, &ctx.session);
    catalog.role(me).is_some_and(|r| r.create_role)
}
