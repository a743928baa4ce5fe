//! What a cluster has beside relations: schemas, roles, the database, extensions, descriptions.

use vicinity_functions::catalog as builtin;
use vicinity_storage::catalog::model::{Role, fixed};
use vicinity_types::{Datum, Oid, Result};

use super::row::{Rows, acl, acl_items, byte, ch, flag, id, int4, optional_text, options, text};
use super::{RowsFn, VirtualTable, class_oid};
use crate::authority::class;
use crate::context::ExecContext;

pub(super) fn rows_of(name: &str) -> Option<RowsFn> {
    Some(match name {
        "pg_namespace" => pg_namespace,
        "pg_database" => pg_database,
        "pg_tablespace" => pg_tablespace,
        "pg_authid" | "pg_roles" => roles,
        "pg_user" | "pg_shadow" => users,
        "pg_auth_members" => members_of_roles,
        "pg_db_role_setting" => role_settings,
        "pg_default_acl" => default_acls,
        "pg_extension" => pg_extension,
        "pg_available_extensions" => available_extensions,
        "pg_collation" => pg_collation,
        "pg_description" => pg_description,
        _ => return None,
    })
}

/// Whether a built-in row exists yet: an extension's rows do once the extension is created.
pub(super) fn present(ctx: &ExecContext, extension: Option<&str>) -> bool {
    extension.is_none_or(|name| ctx.catalog.extension_named(name).is_some())
}

/// The members of an extension as (catalog, object), for `pg_depend`.
pub(super) fn members(extension: &str) -> Vec<(Oid, Oid)> {
    let of = |e: Option<&str>| e == Some(extension);
    let mut found = Vec::new();
    let mut add = |class: &str, objects: Vec<Oid>| {
        let class = class_oid(class);
        found.extend(objects.into_iter().map(|o| (class, o)));
    };
    add("pg_type", builtin::types().iter().filter(|t| of(t.extension)).map(|t| t.oid).collect());
    add("pg_proc", builtin::procs().iter().filter(|p| of(p.extension)).map(|p| p.oid).collect());
    add(
        "pg_operator",
        builtin::operators().iter().filter(|o| of(o.extension)).map(|o| o.oid).collect(),
    );
    add(
        "pg_am",
        builtin::access_methods().iter().filter(|m| of(m.extension)).map(|m| m.oid).collect(),
    );
    add(
        "pg_opfamily",
        builtin::opfamilies().iter().filter(|f| of(f.extension)).map(|f| f.oid).collect(),
    );
    add(
        "pg_opclass",
        builtin::opclasses().iter().filter(|c| of(c.extension)).map(|c| c.oid).collect(),
    );
    found
}

fn pg_namespace(ctx: &ExecContext, table: &VirtualTable) -> Result<Vec<Vec<Datum>>> {
    let mut rows = Rows::new(table);
    for schema in ctx.catalog.schemas() {
        rows.push([
            ("oid", id(schema.oid)),
            ("nspname", text(&schema.name)),
            ("nspowner", id(schema.owner)),
            ("nspacl", acl(ctx, class::SCHEMA, schema.oid, 0)),
        ]);
    }
    rows.done()
}

/// `pg_database.encoding` of UTF8.
const UTF8: i32 = 6;

fn pg_database(ctx: &ExecContext, table: &VirtualTable) -> Result<Vec<Vec<Datum>>> {
    let mut rows = Rows::new(table);
    rows.push([
        ("oid", id(fixed::DATABASE)),
        ("datname", text(fixed::DATABASE_NAME)),
        ("datdba", id(fixed::SUPERUSER)),
        ("encoding", int4(UTF8)),
        ("datlocprovider", ch('c')),
        ("datistemplate", flag(false)),
        ("datallowconn", flag(true)),
        ("datconnlimit", int4(-1)),
        ("datfrozenxid", id(3)),
        ("datminmxid", id(1)),
        ("dattablespace", id(1663)),
        ("datcollate", text("C")),
        ("datctype", text("C")),
        ("datacl", acl(ctx, class::DATABASE, fixed::DATABASE, 0)),
    ]);
    rows.done()
}

fn pg_tablespace(_: &ExecContext, table: &VirtualTable) -> Result<Vec<Vec<Datum>>> {
    let mut rows = Rows::new(table);
    for (oid, name) in [(1663, "pg_default"), (1664, "pg_global")] {
        rows.push([("oid", id(oid)), ("spcname", text(name)), ("spcowner", id(fixed::SUPERUSER))]);
    }
    rows.done()
}

/// What sessions of a role begin with in every database.
fn config(ctx: &ExecContext, role: Oid) -> Datum {
    ctx.catalog.session_defaults(0, role).map_or(Datum::Null, |d| options(&d.values))
}

fn valid_until(role: &Role) -> Datum {
    role.valid_until.map_or(Datum::Null, Datum::TimestampTz)
}

fn role_settings(ctx: &ExecContext, table: &VirtualTable) -> Result<Vec<Vec<Datum>>> {
    let mut rows = Rows::new(table);
    for d in ctx.catalog.all_session_defaults() {
        rows.push([
            ("setdatabase", id(d.database)),
            ("setrole", id(d.role)),
            ("setconfig", options(&d.values)),
        ]);
    }
    rows.done()
}

fn default_acls(ctx: &ExecContext, table: &VirtualTable) -> Result<Vec<Vec<Datum>>> {
    let mut rows = Rows::new(table);
    for d in ctx.catalog.default_acls() {
        rows.push([
            ("oid", id(d.oid)),
            ("defaclrole", id(d.role)),
            ("defaclnamespace", id(d.schema)),
            ("defaclobjtype", ch(d.kind)),
            ("defaclacl", acl_items(ctx, &d.items)),
        ]);
    }
    rows.done()
}

fn role_row(role: &Role, shown: Datum) -> [(&'static str, Datum); 12] {
    [
        ("oid", id(role.oid)),
        ("rolname", text(&role.name)),
        ("rolsuper", flag(role.superuser)),
        ("rolinherit", flag(role.inherit)),
        ("rolcreaterole", flag(role.create_role)),
        ("rolcreatedb", flag(role.create_db)),
        ("rolcanlogin", flag(role.login)),
        ("rolreplication", flag(role.replication)),
        ("rolbypassrls", flag(role.bypass_rls)),
        ("rolconnlimit", int4(role.connection_limit)),
        ("rolpassword", shown),
        ("rolvaliduntil", valid_until(role)),
    ]
}

/// `pg_roles` hides verifiers; `pg_authid` shows them to superusers only.
fn roles(ctx: &ExecContext, table: &VirtualTable) -> Result<Vec<Vec<Datum>>> {
    let mut rows = Rows::new(table);
    let superuser = crate::authority::is_all_powerful(&ctx.catalog, &ctx.session);
    for role in ctx.catalog.roles() {
        let shown = match table.name {
            "pg_authid" if superuser => optional_text(role.password.as_ref()),
            "pg_authid" => Datum::Null,
            _ => text("********"),
        };
        let own = role_row(role, shown).into_iter();
        let of_view = (table.name == "pg_roles").then(|| ("rolconfig", config(ctx, role.oid)));
        rows.push(own.chain(of_view));
    }
    rows.done()
}

fn users(ctx: &ExecContext, table: &VirtualTable) -> Result<Vec<Vec<Datum>>> {
    let mut rows = Rows::new(table);
    for role in ctx.catalog.roles().filter(|r| r.login) {
        rows.push([
            ("usename", text(&role.name)),
            ("usesysid", id(role.oid)),
            ("usecreatedb", flag(role.create_db)),
            ("usesuper", flag(role.superuser)),
            ("userepl", flag(role.replication)),
            ("usebypassrls", flag(role.bypass_rls)),
            ("passwd", text("********")),
            ("valuntil", valid_until(role)),
            ("useconfig", config(ctx, role.oid)),
        ]);
    }
    rows.done()
}

fn members_of_roles(ctx: &ExecContext, table: &VirtualTable) -> Result<Vec<Vec<Datum>>> {
    let mut rows = Rows::new(table);
    for role in ctx.catalog.roles() {
        for group in &role.member_of {
            rows.push([
                ("roleid", id(*group)),
                ("member", id(role.oid)),
                ("grantor", id(fixed::SUPERUSER)),
                ("admin_option", flag(false)),
            ]);
        }
    }
    rows.done()
}

fn pg_extension(ctx: &ExecContext, table: &VirtualTable) -> Result<Vec<Vec<Datum>>> {
    let mut rows = Rows::new(table);
    for e in ctx.catalog.extensions() {
        rows.push([
            ("oid", id(e.oid)),
            ("extname", text(&e.name)),
            ("extowner", id(e.owner)),
            ("extnamespace", id(e.schema)),
            ("extrelocatable", flag(e.relocatable)),
            ("extversion", text(&e.version)),
        ]);
    }
    rows.done()
}

/// What CREATE EXTENSION can make here: name, version, comment.
const AVAILABLE_EXTENSIONS: [(&str, &str, &str); 2] = [
    ("pase", "0.0.1", "vector search: pase_hnsw and pase_ivfflat indexes"),
    ("plpgsql", "1.0", "PL/pgSQL procedural language"),
];

fn available_extensions(ctx: &ExecContext, table: &VirtualTable) -> Result<Vec<Vec<Datum>>> {
    let mut rows = Rows::new(table);
    for (name, version, comment) in AVAILABLE_EXTENSIONS {
        let installed = ctx.catalog.extension_named(name).map(|e| e.version.clone());
        rows.push([
            ("name", text(name)),
            ("default_version", text(version)),
            ("installed_version", optional_text(installed)),
            ("comment", text(comment)),
        ]);
    }
    rows.done()
}

fn pg_collation(_: &ExecContext, table: &VirtualTable) -> Result<Vec<Vec<Datum>>> {
    let mut rows = Rows::new(table);
    for c in builtin::collations() {
        rows.push([
            ("oid", id(c.oid)),
            ("collname", text(c.name)),
            ("collnamespace", id(fixed::PG_CATALOG)),
            ("collowner", id(fixed::SUPERUSER)),
            ("collprovider", byte(c.provider)),
            ("collisdeterministic", flag(c.deterministic)),
            ("collencoding", int4(c.encoding)),
            ("collcollate", optional_text(c.collate)),
            ("collctype", optional_text(c.ctype)),
        ]);
    }
    rows.done()
}

fn pg_description(ctx: &ExecContext, table: &VirtualTable) -> Result<Vec<Vec<Datum>>> {
    let mut rows = Rows::new(table);
    for d in builtin::descriptions() {
        rows.push([
            ("objoid", id(d.object)),
            ("classoid", id(class_oid(d.class))),
            ("objsubid", int4(0)),
            ("description", text(d.text)),
        ]);
    }
    for c in ctx.catalog.comments() {
        rows.push([
            ("objoid", id(c.object)),
            ("classoid", id(c.class)),
            ("objsubid", int4(c.sub)),
            ("description", text(&c.text)),
        ]);
    }
    rows.done()
}
