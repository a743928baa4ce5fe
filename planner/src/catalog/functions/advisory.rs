//! `pg_advisory_lock` and its family.

use std::sync::atomic::Ordering;

use vicinity_types::{Datum, Notice, Result};

use super::{CatalogFn, int_at};
use crate::advisory::{How, Key};
use crate::context::ExecContext;

pub(super) fn lookup(src: &str) -> Option<CatalogFn> {
    Some(match src {
        "pg_advisory_lock_int8" | "pg_advisory_lock_int4" => |c, a| lock(c, a, false, false),
        "pg_advisory_lock_shared_int8" | "pg_advisory_lock_shared_int4" => {
            |c, a| lock(c, a, true, false)
        }
        "pg_advisory_xact_lock_int8" | "pg_advisory_xact_lock_int4" => {
            |c, a| lock(c, a, false, true)
        }
        "pg_advisory_xact_lock_shared_int8" | "pg_advisory_xact_lock_shared_int4" => {
            |c, a| lock(c, a, true, true)
        }
        "pg_try_advisory_lock_int8" | "pg_try_advisory_lock_int4" => {
            |c, a| try_lock(c, a, false, false)
        }
        "pg_try_advisory_lock_shared_int8" | "pg_try_advisory_lock_shared_int4" => {
            |c, a| try_lock(c, a, true, false)
        }
        "pg_try_advisory_xact_lock_int8" | "pg_try_advisory_xact_lock_int4" => {
            |c, a| try_lock(c, a, false, true)
        }
        "pg_try_advisory_xact_lock_shared_int8" | "pg_try_advisory_xact_lock_shared_int4" => {
            |c, a| try_lock(c, a, true, true)
        }
        "pg_advisory_unlock_int8" | "pg_advisory_unlock_int4" => |c, a| unlock(c, a, false),
        "pg_advisory_unlock_shared_int8" | "pg_advisory_unlock_shared_int4" => {
            |c, a| unlock(c, a, true)
        }
        "pg_advisory_unlock_all" => |ctx, _| {
            ctx.engine.advisory.unlock_all(ctx.session.pid());
            Ok(Datum::text(""))
        },
        _ => return None,
    })
}

fn key(args: &[Datum]) -> Key {
    let small = |at| i32::try_from(int_at(args, at)).unwrap_or(0);
    match args.len() {
        2 => Key::Two(small(0), small(1)),
        _ => Key::One(int_at(args, 0)),
    }
}

fn lock(ctx: &ExecContext, args: &[Datum], shared: bool, transaction: bool) -> Result<Datum> {
    ctx.session.locks_advisory.store(true, Ordering::Relaxed);
    let (pid, how) = (ctx.session.pid(), How { shared, transaction });
    ctx.engine.advisory.lock(pid, key(args), how, &ctx.txn)?;
    note(ctx, key(args), how);
    Ok(Datum::text(""))
}

fn try_lock(ctx: &ExecContext, args: &[Datum], shared: bool, transaction: bool) -> Result<Datum> {
    ctx.session.locks_advisory.store(true, Ordering::Relaxed);
    let how = How { shared, transaction };
    let taken = ctx.engine.advisory.try_lock(ctx.session.pid(), key(args), how)?;
    if taken {
        note(ctx, key(args), how);
    }
    Ok(Datum::Bool(taken))
}

/// A lock of the transaction goes with the savepoint it was taken behind.
fn note(ctx: &ExecContext, key: Key, how: How) {
    if how.transaction {
        ctx.session.advisory.lock().push((key, how.shared));
    }
}

fn unlock(ctx: &ExecContext, args: &[Datum], shared: bool) -> Result<Datum> {
    let held = ctx.engine.advisory.unlock(ctx.session.pid(), key(args), shared);
    if !held {
        let kind = if shared { "ShareLock" } else { "ExclusiveLock" };
        let message = format!("you don't own a lock of type {kind}");
        ctx.session.notice(Notice::warning(message));
    }
    Ok(Datum::Bool(held))
}
