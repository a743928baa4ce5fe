//! Activity and statistics: sessions, table counters, index build progress.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use vicinity_storage::catalog::model::{Relation, fixed};
use vicinity_storage::{LockInfo, LockTarget, PAGE};
use vicinity_types::{Datum, Oid, Result, oid};

use super::row::{Rows, array, flag, id, int4, int8, optional_text, text};
use super::{RowsFn, VirtualTable};
use crate::activity::Doing;
use crate::advisory::Listed;
use crate::authority;
use crate::context::ExecContext;

pub(super) fn rows_of(name: &str) -> Option<RowsFn> {
    Some(match name {
        "pg_stat_all_tables" | "pg_stat_user_tables" => tables,
        "pg_stat_all_indexes" | "pg_stat_user_indexes" => indexes,
        "pg_stat_activity" => activity,
        "pg_stat_database" => database,
        "pg_stat_bgwriter" => checkpoints,
        "pg_stat_wal" => log,
        "pg_stat_progress_create_index" => progress,
        "pg_cursors" => cursors,
        "pg_locks" => locks,
        "pg_prepared_statements" => statements,
        "pg_prepared_xacts" => prepared,
        _ => return None,
    })
}

fn locks(ctx: &ExecContext, table: &VirtualTable) -> Result<Vec<Vec<Datum>>> {
    let mut rows = Rows::new(table);
    let mut virtuals = BTreeMap::new();
    // Prepared transactions are in no session.
    let prepared = ctx.engine.db.prepared_transactions().into_iter();
    let prepared: HashSet<u32> = prepared.map(|p| p.place).collect();
    let process = |place: u32, pid: i32| match prepared.contains(&place) {
        true => Datum::Null,
        false => int4(pid),
    };
    for lock in ctx.engine.db.locks() {
        let (place, number) = lock.transaction;
        if !prepared.contains(&place) {
            virtuals.insert(lock.transaction, lock.pid);
        }
        let (kind, relation, transaction) = match lock.target {
            LockTarget::Relation(oid) => ("relation", id(oid), Datum::Null),
            LockTarget::Transaction(xid) => {
                let xid = Oid::try_from(xid & 0xffff_ffff).unwrap_or_default();
                ("transactionid", Datum::Null, id(xid))
            }
        };
        let database = if relation.is_null() { Datum::Null } else { id(fixed::DATABASE) };
        rows.push([
            ("locktype", text(kind)),
            ("database", database),
            ("relation", relation),
            ("transactionid", transaction),
            ("virtualtransaction", text(format!("{place}/{number}"))),
            ("pid", process(place, lock.pid)),
            ("mode", text(lock.mode.name())),
            ("granted", flag(lock.granted)),
            ("fastpath", flag(lock.fast)),
        ]);
    }
    for read in ctx.engine.db.reads() {
        let tuple = read.row.map_or([Datum::Null, Datum::Null], |row| {
            let part = |n: u64| int4(i32::try_from(n).unwrap_or(i32::MAX));
            [part(row >> 16), part((row & 0xffff) + 1)]
        });
        let [page, tuple] = tuple;
        rows.push([
            ("locktype", text(if read.row.is_some() { "tuple" } else { "relation" })),
            ("database", id(fixed::DATABASE)),
            ("relation", id(read.relation)),
            ("page", page),
            ("tuple", tuple),
            ("virtualtransaction", text(format!("{}/0", read.place))),
            ("pid", process(read.place, read.pid)),
            ("mode", text("SIReadLock")),
            ("granted", flag(true)),
            ("fastpath", flag(false)),
        ]);
    }
    advisory_locks(ctx, &virtuals, &mut rows);
    for ((place, number), pid) in virtuals {
        let own = format!("{place}/{number}");
        rows.push([
            ("locktype", text("virtualxid")),
            ("virtualxid", text(&own)),
            ("virtualtransaction", text(&own)),
            ("pid", int4(pid)),
            ("mode", text("ExclusiveLock")),
            ("granted", flag(true)),
            ("fastpath", flag(true)),
        ]);
    }
    rows.done()
}

/// Advisory locks; `virtuals` are the transactions of processes.
fn advisory_locks(ctx: &ExecContext, virtuals: &BTreeMap<(u32, u32), i32>, rows: &mut Rows<'_>) {
    for Listed { pid, lock, granted } in ctx.engine.advisory.list() {
        let transaction = virtuals.iter().find(|(_, of)| **of == pid);
        let transaction = transaction.map(|((place, number), _)| format!("{place}/{number}"));
        let (class, object) = lock.key;
        rows.push([
            ("locktype", text("advisory")),
            ("database", id(fixed::DATABASE)),
            ("classid", id(class)),
            ("objid", id(object)),
            ("objsubid", Datum::Int2(if lock.two { 2 } else { 1 })),
            ("virtualtransaction", optional_text(transaction.as_deref())),
            ("pid", if pid > 0 { int4(pid) } else { Datum::Null }),
            ("mode", text(if lock.shared { "ShareLock" } else { "ExclusiveLock" })),
            ("granted", flag(granted)),
            ("fastpath", flag(false)),
        ]);
    }
}

fn prepared(ctx: &ExecContext, table: &VirtualTable) -> Result<Vec<Vec<Datum>>> {
    let mut rows = Rows::new(table);
    for prepared in ctx.engine.db.prepared_transactions() {
        rows.push([
            ("transaction", id(Oid::try_from(prepared.xid & 0xffff_ffff).unwrap_or_default())),
            ("gid", text(&prepared.name)),
            ("prepared", Datum::TimestampTz(prepared.at)),
            ("owner", optional_text(ctx.catalog.role(prepared.owner).map(|r| r.name.as_str()))),
            ("database", text(ctx.session.database())),
        ]);
    }
    rows.done()
}

fn schema_name(ctx: &ExecContext, relation: &Relation) -> Datum {
    ctx.catalog.schema(relation.schema).map_or(Datum::Null, |s| text(&s.name))
}

fn tables(ctx: &ExecContext, table: &VirtualTable) -> Result<Vec<Vec<Datum>>> {
    let mut rows = Rows::new(table);
    for relation in ctx.catalog.relations().filter(|r| r.table().is_some()) {
        let stats = ctx.engine.db.table(relation.oid, &ctx.catalog)?.stats();
        rows.push([
            ("relid", id(relation.oid)),
            ("schemaname", schema_name(ctx, relation)),
            ("relname", text(&relation.name)),
            ("seq_scan", int8(stats.seq_scans)),
            ("idx_scan", int8(stats.index_scans)),
            ("n_tup_ins", int8(stats.inserted)),
            ("n_tup_upd", int8(stats.updated)),
            ("n_tup_del", int8(stats.deleted)),
            ("n_live_tup", int8(stats.live)),
            ("n_dead_tup", int8(stats.dead)),
        ]);
    }
    rows.done()
}

fn indexes(ctx: &ExecContext, table: &VirtualTable) -> Result<Vec<Vec<Datum>>> {
    let mut rows = Rows::new(table);
    for relation in ctx.catalog.relations() {
        let Some(index) = relation.index() else { continue };
        let Some(owner) = ctx.catalog.relation(index.table) else { continue };
        rows.push([
            ("relid", id(index.table)),
            ("indexrelid", id(relation.oid)),
            ("schemaname", schema_name(ctx, relation)),
            ("relname", text(&owner.name)),
            ("indexrelname", text(&relation.name)),
        ]);
    }
    rows.done()
}

/// What a session that does something, or nothing, waits for.
fn wait_event(
    ctx: &ExecContext,
    locks: &[LockInfo],
    doing: Doing,
    pid: i32,
) -> Option<(&'static str, &'static str)> {
    if doing != Doing::Active {
        return Some(("Client", "ClientRead"));
    }
    if ctx.engine.advisory.is_waiting(pid) {
        return Some(("Lock", "advisory"));
    }
    let waited_for = locks.iter().find(|l| !l.granted && l.pid == pid)?;
    Some(match waited_for.target {
        LockTarget::Relation(_) => ("Lock", "relation"),
        LockTarget::Transaction(_) => ("Lock", "transactionid"),
    })
}

/// The one database: its sessions, and what was written since the server's start.
fn database(ctx: &ExecContext, table: &VirtualTable) -> Result<Vec<Vec<Datum>>> {
    let mut rows = Rows::new(table);
    let (mut inserted, mut updated, mut deleted) = (0, 0, 0);
    for relation in ctx.catalog.relations().filter(|r| r.table().is_some()) {
        let stats = ctx.engine.db.table(relation.oid, &ctx.catalog)?.stats();
        inserted += stats.inserted;
        updated += stats.updated;
        deleted += stats.deleted;
    }
    let sessions = i32::try_from(ctx.engine.sessions().len()).unwrap_or(i32::MAX);
    rows.push([
        ("datid", id(fixed::DATABASE)),
        ("datname", text(ctx.session.database())),
        ("numbackends", int4(sessions)),
        ("tup_inserted", int8(inserted)),
        ("tup_updated", int8(updated)),
        ("tup_deleted", int8(deleted)),
    ]);
    rows.done()
}

/// `pg_stat_bgwriter`: there are no buffers but those that checkpoints write.
fn checkpoints(ctx: &ExecContext, table: &VirtualTable) -> Result<Vec<Vec<Datum>>> {
    let mut rows = Rows::new(table);
    let figures = ctx.engine.db.checkpoint_figures();
    rows.push([
        ("checkpoints_timed", int8(figures.timed)),
        ("checkpoints_req", int8(figures.requested)),
        ("checkpoint_write_time", milliseconds(figures.writing)),
        ("checkpoint_sync_time", milliseconds(figures.syncing)),
        ("buffers_checkpoint", int8(figures.written.div_ceil(PAGE))),
        ("buffers_clean", int8(0)),
        ("maxwritten_clean", int8(0)),
        ("buffers_backend", int8(0)),
        ("buffers_backend_fsync", int8(0)),
        ("buffers_alloc", int8(0)),
        ("stats_reset", Datum::TimestampTz(ctx.engine.started())),
    ]);
    rows.done()
}

fn milliseconds(time: Duration) -> Datum {
    Datum::Float8(time.as_secs_f64() * 1000.0)
}

/// `pg_stat_wal`: each write lasts when it is done. How long that took nobody measures (`track_wal_io_timing` is off).
fn log(ctx: &ExecContext, table: &VirtualTable) -> Result<Vec<Vec<Datum>>> {
    let mut rows = Rows::new(table);
    let figures = ctx.engine.db.wal().figures();
    rows.push([
        ("wal_records", int8(figures.records)),
        ("wal_fpi", int8(0)),
        ("wal_bytes", Datum::Numeric(Arc::new(figures.bytes.into()))),
        ("wal_buffers_full", int8(0)),
        ("wal_write", int8(figures.writes)),
        ("wal_sync", int8(figures.writes)),
        ("wal_write_time", Datum::Float8(0.0)),
        ("wal_sync_time", Datum::Float8(0.0)),
        ("stats_reset", Datum::TimestampTz(ctx.engine.started())),
    ]);
    rows.done()
}

fn activity(ctx: &ExecContext, table: &VirtualTable) -> Result<Vec<Vec<Datum>>> {
    let mut rows = Rows::new(table);
    let locks = ctx.engine.db.locks();
    for session in ctx.engine.sessions() {
        let user = ctx.catalog.role_named(session.user()).map_or(0, |r| r.oid);
        let seen = session.activity.look();
        let time = |at: i64| if at == 0 { Datum::Null } else { Datum::TimestampTz(at) };
        let event = wait_event(ctx, &locks, seen.doing, session.pid());
        let mut row = vec![
            ("datid", id(fixed::DATABASE)),
            ("datname", text(session.database())),
            ("pid", int4(session.pid())),
            ("usesysid", id(user)),
            ("usename", text(session.user())),
            ("application_name", text(session.setting("application_name").unwrap_or_default())),
        ];
        if !authority::may_watch(ctx, user, "pg_read_all_stats") {
            row.push(("query", text("<insufficient privilege>")));
            rows.push(row);
            continue;
        }
        row.extend([
            ("backend_start", Datum::TimestampTz(session.started())),
            ("xact_start", seen.transaction_start.map_or(Datum::Null, Datum::TimestampTz)),
            ("query_start", time(seen.query_start)),
            ("state_change", time(seen.changed)),
            ("wait_event_type", optional_text(event.map(|(kind, _)| kind))),
            ("wait_event", optional_text(event.map(|(_, what)| what))),
            ("state", text(seen.doing.as_str())),
            ("query", text(seen.query())),
            ("backend_type", text("client backend")),
        ]);
        rows.push(row);
    }
    rows.done()
}

fn statements(ctx: &ExecContext, table: &VirtualTable) -> Result<Vec<Vec<Datum>>> {
    let mut rows = Rows::new(table);
    let all = ctx.session.statements().list();
    for (name, statement) in all {
        let types = statement.prepared.params.iter().map(|ty| Datum::Oid(*ty));
        let own = statement.prepared.parsed.text.as_str();
        rows.push([
            ("name", text(name)),
            ("statement", text(statement.from_sql.as_deref().unwrap_or(own))),
            ("prepare_time", Datum::TimestampTz(statement.time)),
            ("parameter_types", array(oid::REGTYPE, types)),
            ("from_sql", flag(statement.from_sql.is_some())),
            ("generic_plans", int8(0)),
            ("custom_plans", int8(0)),
        ]);
    }
    rows.done()
}

fn cursors(ctx: &ExecContext, table: &VirtualTable) -> Result<Vec<Vec<Datum>>> {
    let mut rows = Rows::new(table);
    for (name, about, scrolls) in ctx.session.portals().list() {
        rows.push([
            ("name", text(name)),
            ("statement", text(about.text)),
            ("is_holdable", flag(about.options.hold)),
            ("is_binary", flag(about.options.binary)),
            ("is_scrollable", flag(scrolls)),
            ("creation_time", Datum::TimestampTz(about.created)),
        ]);
    }
    rows.done()
}

fn progress(ctx: &ExecContext, table: &VirtualTable) -> Result<Vec<Vec<Datum>>> {
    let mut rows = Rows::new(table);
    for build in ctx.engine.db.progress() {
        let (phase, done, total) = build.progress.read();
        rows.push([
            ("pid", int4(build.pid)),
            ("datid", id(fixed::DATABASE)),
            ("datname", text(ctx.session.database())),
            ("relid", id(build.table)),
            ("index_relid", id(build.index)),
            ("command", text("CREATE INDEX")),
            ("phase", text(phase.as_str())),
            ("lockers_total", int8(0)),
            ("lockers_done", int8(0)),
            ("current_locker_pid", int8(0)),
            ("blocks_total", int8(0)),
            ("blocks_done", int8(0)),
            ("tuples_total", int8(total)),
            ("tuples_done", int8(done)),
            ("partitions_total", int8(0)),
            ("partitions_done", int8(0)),
        ]);
    }
    rows.done()
}
