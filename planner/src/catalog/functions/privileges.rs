//! `has_*_privilege` and `pg_has_role`.

use vicinity_storage::catalog::model::{Function, Privileges, Relation, RelationKind};
use vicinity_types::{Datum, Oid, PgError, Result, SqlState};

use super::CatalogFn;
use crate::authority::{self, Target};
use crate::catalog;
use crate::context::ExecContext;

pub(super) fn lookup(src: &str) -> Option<CatalogFn> {
    let kinds: [(&str, CatalogFn); 8] = [
        ("has_table_privilege", table),
        ("has_any_column_privilege", any_column),
        ("has_column_privilege", column),
        ("has_sequence_privilege", sequence),
        ("has_schema_privilege", schema),
        ("has_database_privilege", database),
        ("has_function_privilege", function),
        ("pg_has_role", role),
    ];
    let found = kinds.iter().find(|(name, _)| src.starts_with(name)).map(|(_, f)| *f);
    // Languages, types, servers and the like: nobody can take away what everybody has.
    let other = src.starts_with("has_") && src.contains("_privilege");
    found.or_else(|| other.then_some(allowed as CatalogFn))
}

fn allowed(_: &ExecContext, _: &[Datum]) -> Result<Datum> {
    Ok(Datum::Bool(true))
}

fn unknown(code: SqlState, text: String) -> PgError {
    PgError::new(code, text)
}

/// The role asked about, and the arguments behind it: without one the session's.
fn asker<'a>(ctx: &ExecContext, args: &'a [Datum], others: usize) -> Result<(Oid, &'a [Datum])> {
    if args.len() <= others {
        return Ok((authority::current(&ctx.catalog, &ctx.session), args));
    }
    let rest = args.get(1..).unwrap_or_default();
    Ok((role_of(ctx, args.first())?, rest))
}

fn role_of(ctx: &ExecContext, given: Option<&Datum>) -> Result<Oid> {
    match given {
        Some(Datum::Oid(oid)) => Ok(*oid),
        Some(Datum::Text(name)) if &**name == "public" => Ok(0),
        Some(Datum::Text(name)) => ctx.catalog.role_named(name).map(|r| r.oid).ok_or_else(|| {
            unknown(SqlState::UNDEFINED_OBJECT, format!("role \"{name}\" does not exist"))
        }),
        _ => Ok(0),
    }
}

/// Whether a role has any of the rights of a list, with what `WITH GRANT OPTION` asks beyond.
fn any_of(ctx: &ExecContext, role: Oid, target: &Target, list: Option<&Datum>) -> Result<bool> {
    let Some(Datum::Text(list)) = list else { return Ok(false) };
    let (held, grantable) = (target.held(&ctx.catalog, role), target.grantable(&ctx.catalog, role));
    let mut any = false;
    for word in list.split(',').map(str::trim) {
        let upper = word.to_ascii_uppercase();
        let (name, option) = match upper.strip_suffix(" WITH GRANT OPTION") {
            Some(name) => (name, true),
            None => (upper.as_str(), false),
        };
        let name = if name == "TEMP" { "TEMPORARY" } else { name };
        let all = Privileges::ALL.iter();
        let known = all.filter(|(p, ..)| target.all.contains(*p)).find(|(.., n)| *n == name);
        let Some((wanted, ..)) = known else {
            return Err(unknown(
                SqlState::INVALID_PARAMETER_VALUE,
                format!("unrecognized privilege type: \"{word}\""),
            ));
        };
        any |= if option { grantable } else { held }.contains(*wanted);
    }
    Ok(any)
}

/// What a relation argument means.
enum Found {
    Relation(Target),
    /// System tables: everybody reads them.
    System(Target),
    Nothing,
}

fn relation(ctx: &ExecContext, given: Option<&Datum>) -> Result<Found> {
    let system = |oid: Oid, name: &str| Found::System(Target::system_table(oid, name));
    match given {
        Some(Datum::Oid(oid)) => Ok(match ctx.catalog.relation(*oid) {
            Some(r) => Found::Relation(target_of(r)),
            None => catalog::lookup_oid(*oid).map_or(Found::Nothing, |t| system(t.oid, t.name)),
        }),
        Some(Datum::Text(name)) => match ctx.session.find_relation(&ctx.catalog, name)? {
            Some(r) => Ok(Found::Relation(target_of(&r))),
            None => {
                let parts = crate::names::split_identifier(name)?;
                match crate::hooks::virtual_oid(&parts).and_then(catalog::lookup_oid) {
                    Some(t) => Ok(system(t.oid, t.name)),
                    None => Err(unknown(
                        SqlState::UNDEFINED_TABLE,
                        format!("relation \"{name}\" does not exist"),
                    )),
                }
            }
        },
        _ => Ok(Found::Nothing),
    }
}

/// Every right can be asked of a table.
fn target_of(r: &Relation) -> Target {
    Target { all: Privileges::TABLE, ..Target::relation(r) }
}

fn answer(ctx: &ExecContext, role: Oid, found: Found, list: Option<&Datum>) -> Result<Datum> {
    match found {
        Found::Relation(t) | Found::System(t) => any_of(ctx, role, &t, list).map(Datum::Bool),
        Found::Nothing => Ok(Datum::Null),
    }
}

fn table(ctx: &ExecContext, args: &[Datum]) -> Result<Datum> {
    let (role, args) = asker(ctx, args, 2)?;
    answer(ctx, role, relation(ctx, args.first())?, args.get(1))
}

fn any_column(ctx: &ExecContext, args: &[Datum]) -> Result<Datum> {
    let (role, args) = asker(ctx, args, 2)?;
    let found = relation(ctx, args.first())?;
    if let Found::Relation(target) = &found {
        let lists = ctx.catalog.acls().filter(|a| a.class == target.class && a.sub != 0);
        for list in lists.filter(|a| a.object == target.oid) {
            let column = target.column(i16::try_from(list.sub).unwrap_or(0));
            if any_of(ctx, role, &column, args.get(1))? {
                return Ok(Datum::Bool(true));
            }
        }
    }
    answer(ctx, role, found, args.get(1))
}

fn column(ctx: &ExecContext, args: &[Datum]) -> Result<Datum> {
    let (role, args) = asker(ctx, args, 3)?;
    let found = relation(ctx, args.first())?;
    if let Found::Relation(target) = &found {
        let number = match args.get(1) {
            Some(Datum::Int2(n)) => *n,
            Some(Datum::Text(name)) => column_number(ctx, target, name)?,
            _ => 0,
        };
        if any_of(ctx, role, &target.column(number), args.get(2))? {
            return Ok(Datum::Bool(true));
        }
    }
    answer(ctx, role, found, args.get(2))
}

fn column_number(ctx: &ExecContext, target: &Target, name: &str) -> Result<i16> {
    let columns = match ctx.catalog.relation(target.oid).map(|r| &r.kind) {
        Some(RelationKind::Table(t)) => &t.columns[..],
        Some(RelationKind::View(v)) => &v.columns[..],
        _ => &[],
    };
    let at = columns.iter().position(|c| !c.dropped && c.name == name);
    at.and_then(|at| i16::try_from(at + 1).ok()).ok_or_else(|| {
        unknown(
            SqlState::UNDEFINED_COLUMN,
            format!("column \"{name}\" of relation \"{}\" does not exist", target.name),
        )
    })
}

fn sequence(ctx: &ExecContext, args: &[Datum]) -> Result<Datum> {
    let (role, args) = asker(ctx, args, 2)?;
    let found = match relation(ctx, args.first())? {
        Found::Relation(t) if t.word == "sequence" => {
            Found::Relation(Target { all: Privileges::SEQUENCE, ..t })
        }
        Found::Relation(t) | Found::System(t) => {
            return Err(unknown(
                SqlState::WRONG_OBJECT_TYPE,
                format!("\"{}\" is not a sequence", t.name),
            ));
        }
        Found::Nothing => Found::Nothing,
    };
    answer(ctx, role, found, args.get(1))
}

fn schema(ctx: &ExecContext, args: &[Datum]) -> Result<Datum> {
    let (role, args) = asker(ctx, args, 2)?;
    let found = match args.first() {
        Some(Datum::Oid(oid)) => match ctx.catalog.schema(*oid) {
            Some(found) => found,
            None => return Ok(Datum::Null),
        },
        Some(Datum::Text(name)) => ctx.catalog.schema_named(name).ok_or_else(|| {
            unknown(SqlState(*b"3F000"), format!("schema \"{name}\" does not exist"))
        })?,
        _ => return Ok(Datum::Null),
    };
    any_of(ctx, role, &Target::schema(found), args.get(1)).map(Datum::Bool)
}

fn database(ctx: &ExecContext, args: &[Datum]) -> Result<Datum> {
    let (role, args) = asker(ctx, args, 2)?;
    let own = ctx.session.database();
    match args.first() {
        Some(Datum::Text(name)) if &**name != own => {
            let text = format!("database \"{name}\" does not exist");
            return Err(unknown(SqlState::INVALID_CATALOG_NAME, text));
        }
        Some(Datum::Oid(oid)) if *oid != Target::database(own).oid => return Ok(Datum::Null),
        _ => {}
    }
    any_of(ctx, role, &Target::database(own), args.get(1)).map(Datum::Bool)
}

fn function(ctx: &ExecContext, args: &[Datum]) -> Result<Datum> {
    let (role, args) = asker(ctx, args, 2)?;
    let oid = match args.first() {
        Some(Datum::Oid(oid)) => *oid,
        Some(Datum::Text(name)) => {
            use vicinity_types::TypeNames as _;
            ctx.reg_in(vicinity_types::oid::REGPROCEDURE, name)?
        }
        _ => return Ok(Datum::Null),
    };
    match ctx.catalog.function(oid).map(|f: &std::sync::Arc<Function>| Target::function(f)) {
        Some(target) => any_of(ctx, role, &target, args.get(1)).map(Datum::Bool),
        None => Ok(Datum::Bool(true)),
    }
}

/// `USAGE` is what a role has by inheritance, `MEMBER` what it may become.
fn role(ctx: &ExecContext, args: &[Datum]) -> Result<Datum> {
    let (role, args) = asker(ctx, args, 2)?;
    let of = role_of(ctx, args.first())?;
    let Some(Datum::Text(list)) = args.get(1) else { return Ok(Datum::Null) };
    let mut any = false;
    for word in list.split(',').map(str::trim) {
        any |= match word.to_ascii_uppercase().as_str() {
            "USAGE" => authority::is_owner(&ctx.catalog, role, of),
            "MEMBER" => authority::is_member(&ctx.catalog, role, of),
            "USAGE WITH GRANT OPTION"
            | "USAGE WITH ADMIN OPTION"
            | "MEMBER WITH GRANT OPTION"
            | "MEMBER WITH ADMIN OPTION" => authority::is_superuser(&ctx.catalog, role),
            _ => {
                return Err(unknown(
                    SqlState::INVALID_PARAMETER_VALUE,
                    format!("unrecognized privilege type: \"{word}\""),
                ));
            }
        };
    }
    Ok(Datum::Bool(any))
}
