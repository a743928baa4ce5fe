//! Who, where and when: version, users, settings, encodings, sleeping, cancelling.

use std::sync::Arc;
use std::time::{Duration, Instant};

use vicinity_functions::catalog as builtin;
use vicinity_storage::LockInfo;
use vicinity_storage::catalog::model::fixed;
use vicinity_types::array::Array;
use vicinity_types::{Datum, Oid, PgError, Result, SqlState, oid};

use super::{CatalogFn, int_at, oid_at, text_at, text_or_null};
use crate::authority;
use crate::context::ExecContext;
use crate::exec::settings;
use crate::session_state::SessionState;

/// What `version()` says: drivers read the first two words, which are the preset `server_version`.
fn version(_: &ExecContext, _: &[Datum]) -> Result<Datum> {
    let preset = settings::find("server_version").map_or("", |s| s.boot);
    let own = env!("CARGO_PKG_VERSION");
    Ok(Datum::text(format!(
        "PostgreSQL {preset} (Vicinity {own}) on x86_64-pc-linux-gnu, compiled by rustc, 64-bit"
    )))
}

pub(super) fn lookup(src: &str) -> Option<CatalogFn> {
    Some(match src {
        "pgsql_version" => version,
        "current_database" => |ctx, _| Ok(Datum::text(ctx.session.database())),
        "current_user" => |ctx, _| Ok(Datum::text(&*ctx.session.current_user())),
        "session_user" => |ctx, _| Ok(Datum::text(ctx.session.session_user())),
        "current_schema" => current_schema,
        "current_schemas" => current_schemas,
        "pg_blocking_pids" => blocking_pids,
        "pg_safe_snapshot_blocking_pids" => safe_snapshot_blocking_pids,
        "pg_backend_pid" => |ctx, _| Ok(Datum::Int4(ctx.session.pid())),
        "show_config_by_name" => show,
        "show_config_by_name_missing_ok" => show_missing_ok,
        "set_config_by_name" => set_config,
        "PG_encoding_to_char" => encoding_to_char,
        "PG_char_to_encoding" => char_to_encoding,
        "getdatabaseencoding" | "pg_client_encoding" => |_, _| Ok(Datum::text("UTF8")),
        "pg_sleep" => sleep,
        "pg_cancel_backend" => cancel,
        "pg_terminate_backend" => terminate,
        "pg_is_in_recovery" | "pg_is_other_temp_schema" | "pg_jit_available" => no,
        "row_security_active" | "row_security_active_name" => no,
        "pg_my_temp_schema" => |ctx, _| Ok(Datum::Oid(ctx.session.temp_schema())),
        "pg_trigger_depth" => |ctx, _| Ok(Datum::Int4(ctx.trigger_depth)),
        "pg_postmaster_start_time" | "pg_conf_load_time" => {
            |ctx, _| Ok(Datum::TimestampTz(ctx.engine.started()))
        }
        "inet_server_port" | "inet_client_port" => |_, _| Ok(Datum::Null),
        "pg_current_xact_id" | "txid_current" => current_xid,
        "pg_current_xact_id_if_assigned" | "txid_current_if_assigned" => current_xid_if_assigned,
        "to_regclass" => |ctx, args| to_reg(ctx, oid::REGCLASS, args),
        "to_regtype" => |ctx, args| to_reg(ctx, oid::REGTYPE, args),
        "to_regproc" => |ctx, args| to_reg(ctx, oid::REGPROC, args),
        "to_regprocedure" => |ctx, args| to_reg(ctx, oid::REGPROCEDURE, args),
        "to_regoper" => |ctx, args| to_reg(ctx, oid::REGOPER, args),
        "to_regoperator" => |ctx, args| to_reg(ctx, oid::REGOPERATOR, args),
        "to_regnamespace" => |ctx, args| to_reg(ctx, oid::REGNAMESPACE, args),
        "to_regrole" => |ctx, args| to_reg(ctx, oid::REGROLE, args),
        "text_regclass" => text_regclass,
        "pg_indexam_has_property" => indexam_has_property,
        "pg_index_has_property" => |_, _| Ok(Datum::Null),
        "pg_relation_is_updatable" | "pg_column_is_updatable" => relation_is_updatable,
        "pg_tablespace_location" => |_, _| Ok(Datum::text("")),
        "pg_encoding_max_length_sql" => |_, _| Ok(Datum::Int4(4)),
        _ => return None,
    })
}

/// Whose locks a session waits for.
fn blocking_pids(ctx: &ExecContext, args: &[Datum]) -> Result<Datum> {
    let waiter = int_at(args, 0);
    let locks = ctx.engine.db.locks();
    let mut found: Vec<i32> = Vec::new();
    for wanted in locks.iter().filter(|l| !l.granted && i64::from(l.pid) == waiter) {
        let blocks = |l: &&LockInfo| {
            l.granted
                && l.target == wanted.target
                && l.pid != wanted.pid
                && l.mode.conflicts(wanted.mode)
        };
        for lock in locks.iter().filter(blocks) {
            if !found.contains(&lock.pid) {
                found.push(lock.pid);
            }
        }
    }
    let pids = found.into_iter().map(Datum::Int4).collect();
    Ok(Datum::Array(Arc::new(Array::from_datums(oid::INT4, pids))))
}

/// Whose transactions a session waits for to have a safe snapshot.
fn safe_snapshot_blocking_pids(ctx: &ExecContext, args: &[Datum]) -> Result<Datum> {
    let waiter = int_at(args, 0);
    let waits = ctx.engine.db.safe_snapshot_waits().into_iter();
    let by = waits.filter(|(who, _)| i64::from(*who) == waiter).map(|(_, by)| Datum::Int4(by));
    Ok(Datum::Array(Arc::new(Array::from_datums(oid::INT4, by.collect()))))
}

fn no(_: &ExecContext, _: &[Datum]) -> Result<Datum> {
    Ok(Datum::Bool(false))
}

fn current_schema(ctx: &ExecContext, _: &[Datum]) -> Result<Datum> {
    let schema = ctx.session.creation_schema(&ctx.catalog);
    Ok(text_or_null(schema.and_then(|s| ctx.catalog.schema(s)).map(|s| &s.name)))
}

fn current_schemas(ctx: &ExecContext, args: &[Datum]) -> Result<Datum> {
    let implicit = matches!(args.first(), Some(Datum::Bool(true)));
    let names = ctx
        .session
        .search_path_oids(&ctx.catalog)
        .into_iter()
        .filter(|s| implicit || *s != fixed::PG_CATALOG)
        .filter_map(|s| ctx.catalog.schema(s))
        .map(|s| Datum::text(&s.name));
    Ok(crate::catalog::row::array(oid::NAME, names))
}

fn show(ctx: &ExecContext, args: &[Datum]) -> Result<Datum> {
    let name = text_at(args, 0);
    match ctx.session.setting(name) {
        Some(value) => Ok(Datum::text(value)),
        None => Err(PgError::new(
            SqlState::UNDEFINED_OBJECT,
            format!("unrecognized configuration parameter \"{name}\""),
        )),
    }
}

fn show_missing_ok(ctx: &ExecContext, args: &[Datum]) -> Result<Datum> {
    match (ctx.session.setting(text_at(args, 0)), args.get(1)) {
        (Some(value), _) => Ok(Datum::text(value)),
        (None, Some(Datum::Bool(true))) => Ok(Datum::Null),
        (None, _) => show(ctx, args),
    }
}

/// Not strict: a NULL value resets the setting.
fn set_config(ctx: &ExecContext, args: &[Datum]) -> Result<Datum> {
    let name = match args.first() {
        Some(Datum::Text(name)) => name,
        _ => {
            return Err(PgError::new(
                SqlState::NULL_VALUE_NOT_ALLOWED,
                "SET requires parameter name",
            ));
        }
    };
    let value = match args.get(1) {
        Some(Datum::Text(value)) => Some(&**value),
        _ => None,
    };
    let local = matches!(args.get(2), Some(Datum::Bool(true)));
    crate::exec::set::assign(ctx, name, value, local)?;
    Ok(text_or_null(ctx.session.setting(name)))
}

/// `pg_encoding_to_char`: PostgreSQL's numbers of the encodings clients meet.
const ENCODINGS: [(i64, &str); 4] = [(0, "SQL_ASCII"), (6, "UTF8"), (8, "LATIN1"), (24, "WIN1252")];

fn encoding_to_char(_: &ExecContext, args: &[Datum]) -> Result<Datum> {
    let number = int_at(args, 0);
    let name = ENCODINGS.iter().find(|(n, _)| *n == number).map_or("", |(_, name)| name);
    Ok(Datum::text(name))
}

fn char_to_encoding(_: &ExecContext, args: &[Datum]) -> Result<Datum> {
    let wanted = text_at(args, 0).replace('-', "").to_uppercase();
    let found = ENCODINGS.iter().find(|(_, name)| *name == wanted).map_or(-1, |(n, _)| *n);
    Ok(Datum::Int4(i32::try_from(found).unwrap_or(-1)))
}

/// Sleeps in short pieces, so that a cancel request is heard.
fn sleep(ctx: &ExecContext, args: &[Datum]) -> Result<Datum> {
    let seconds = match args.first() {
        Some(Datum::Float8(s)) if s.is_finite() && *s > 0.0 => s.min(1e9),
        _ => return Ok(Datum::text("")),
    };
    let end = Instant::now() + Duration::from_secs_f64(seconds);
    let mut woken = Ok(());
    vicinity_storage::blocking(|| {
        while woken.is_ok() {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            std::thread::sleep(left.min(Duration::from_millis(10)));
            woken = ctx.check();
        }
    });
    woken.map(|()| Datum::text(""))
}

fn signal(ctx: &ExecContext, args: &[Datum], terminate: bool) -> Result<Datum> {
    let pid = i32::try_from(int_at(args, 0)).unwrap_or(0);
    let session = ctx.engine.sessions().into_iter().find(|s| s.pid() == pid);
    let Some(session) = session else {
        ctx.session.notice(vicinity_types::Notice::warning(format!(
            "PID {pid} is not a PostgreSQL backend process"
        )));
        return Ok(Datum::Bool(false));
    };
    check_signal(ctx, &session, terminate)?;
    if terminate {
        session.terminate();
    } else {
        session.cancel_flag().store(true, std::sync::atomic::Ordering::Relaxed);
    }
    Ok(Datum::Bool(true))
}

/// Superusers' sessions are for superusers to stop, others' for whoever has their rights.
fn check_signal(ctx: &ExecContext, session: &SessionState, terminate: bool) -> Result<()> {
    let (act, what, done) = match terminate {
        true => ("terminate", "process", "terminated"),
        false => ("cancel", "query", "canceled"),
    };
    let theirs = ctx.catalog.role_named(session.user()).map_or(0, |r| r.oid);
    let powerful = authority::is_superuser(&ctx.catalog, theirs);
    if powerful && !authority::is_all_powerful(&ctx.catalog, &ctx.session) {
        return Err(authority::forbidden(format!("must be a superuser to {act} superuser {what}")));
    }
    if authority::may_watch(ctx, theirs, "pg_signal_backend") {
        return Ok(());
    }
    Err(authority::forbidden(format!(
        "must be a member of the role whose {what} is being {done} or member of pg_signal_backend"
    )))
}

fn cancel(ctx: &ExecContext, args: &[Datum]) -> Result<Datum> {
    signal(ctx, args, false)
}

fn terminate(ctx: &ExecContext, args: &[Datum]) -> Result<Datum> {
    signal(ctx, args, true)
}

fn current_xid(ctx: &ExecContext, _: &[Datum]) -> Result<Datum> {
    let xid = ctx.txn.assign_xid()?;
    Ok(Datum::Int8(i64::try_from(xid).unwrap_or(i64::MAX)))
}

fn current_xid_if_assigned(ctx: &ExecContext, _: &[Datum]) -> Result<Datum> {
    Ok(ctx.txn.xid().map_or(Datum::Null, |x| Datum::Int8(i64::try_from(x).unwrap_or(i64::MAX))))
}

/// `to_reg*`: NULL where the cast would be an error of a missing object.
fn to_reg(ctx: &ExecContext, ty: Oid, args: &[Datum]) -> Result<Datum> {
    match crate::names::reg_in(&ctx.catalog, &ctx.session, ty, text_at(args, 0)) {
        Ok(found) => Ok(Datum::Oid(found)),
        Err(e) if e.code() == SqlState::SYNTAX_ERROR || e.code() == SqlState::INVALID_NAME => {
            Err(e)
        }
        Err(_) => Ok(Datum::Null),
    }
}

fn text_regclass(ctx: &ExecContext, args: &[Datum]) -> Result<Datum> {
    let text = text_at(args, 0);
    crate::names::reg_in(&ctx.catalog, &ctx.session, oid::REGCLASS, text).map(Datum::Oid)
}

fn indexam_has_property(_: &ExecContext, args: &[Datum]) -> Result<Datum> {
    let Some(method) = builtin::access_method_by_oid(oid_at(args, 0)) else {
        return Ok(Datum::Null);
    };
    let ordered = method.oid == fixed::AM_BTREE;
    let vector = method.extension.is_some();
    let known = match text_at(args, 1) {
        "can_order" => Some(ordered),
        "can_unique" => Some(ordered),
        "can_multi_col" => Some(ordered),
        "can_exclude" => Some(false),
        "can_include" => Some(ordered || vector),
        _ => None,
    };
    Ok(known.map_or(Datum::Null, Datum::Bool))
}

/// Bits of the commands a relation takes: insert 8, update 4, delete 16.
fn relation_is_updatable(ctx: &ExecContext, args: &[Datum]) -> Result<Datum> {
    let table = ctx.catalog.relation(oid_at(args, 0)).is_some_and(|r| r.table().is_some());
    Ok(match args.get(1) {
        Some(Datum::Int2(_)) => Datum::Bool(table),
        _ => Datum::Int4(if table { 28 } else { 0 }),
    })
}
