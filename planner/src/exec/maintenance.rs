//! TRUNCATE, LOCK, VACUUM, ANALYZE and other upkeep.

use std::sync::Arc;

use sqlparser::ast::{self, CascadeOption, ObjectName, TruncateIdentityOption};
use vicinity_storage::RelationLock;
use vicinity_storage::catalog::model::{Relation, RelationKind};
use vicinity_types::{Notice, PgError, Result, Severity, SqlState};

use super::after::Queue;
use super::ddl::in_use;
use super::outcome::{Outcome, done};
use super::triggers::{Event, Triggers};
use super::{locking, name};
use crate::context::ExecContext;
use crate::partition::{descendants, is_partitioned};
use crate::sql::Vacuum;

/// Runs TRUNCATE.
pub(crate) fn truncate(ctx: &ExecContext, t: &ast::Truncate) -> Result<Outcome> {
    if t.partitions.is_some() || t.on_cluster.is_some() {
        return Err(PgError::unsupported("TRUNCATE of partitions"));
    }
    let mut tables = Vec::new();
    for target in &t.table_names {
        match name::table(ctx, &target.name) {
            Ok(table) => {
                let only = target.only || crate::sql::is_only(&target.name);
                if only && is_partitioned(&table) {
                    return Err(PgError::new(
                        SqlState::WRONG_OBJECT_TYPE,
                        "cannot truncate only a partitioned table",
                    )
                    .hint("Do not specify the ONLY keyword, or use TRUNCATE ONLY on the partitions directly."));
                }
                let family = descendants(&ctx.txn.catalog(), &table);
                for one in family.into_iter().take(if only { 1 } else { usize::MAX }) {
                    if !tables.iter().any(|t: &Arc<Relation>| t.oid == one.oid) {
                        tables.push(one);
                    }
                }
            }
            Err(e) if t.if_exists && e.code() == SqlState::UNDEFINED_TABLE => {
                name::skipping(ctx, SqlState::SUCCESSFUL_COMPLETION, e.message().to_owned());
            }
            Err(e) => return Err(e),
        }
    }
    with_referrers(ctx, &mut tables, matches!(t.cascade, Some(CascadeOption::Cascade)))?;
    let triggers: Vec<Arc<Triggers>> = tables
        .iter()
        .filter_map(|table| Triggers::of(ctx, table, Event::Truncate, &[]).transpose())
        .collect::<Result<_>>()?;
    for t in &triggers {
        t.before_statement(ctx)?;
    }
    for table in tables {
        in_use::check(ctx, &table, "TRUNCATE")?;
        ctx.txn.truncate(table.oid)?;
        if matches!(t.identity, Some(TruncateIdentityOption::Restart)) {
            let catalog = ctx.txn.catalog();
            for sequence in catalog.sequences_of(table.oid) {
                if let Some(def) = sequence.sequence() {
                    ctx.txn.lock_relation(sequence.oid, RelationLock::AccessExclusive)?;
                    ctx.txn.restart_sequence(sequence.oid, def.start)?;
                }
            }
        }
    }
    let mut queue = Queue::default();
    for t in &triggers {
        t.after_statement(ctx, &mut queue)?;
    }
    queue.finish(ctx)?;
    Ok(done("TRUNCATE TABLE"))
}

/// A table can be emptied only with those that refer to it: an error, or they are added.
fn with_referrers(ctx: &ExecContext, tables: &mut Vec<Arc<Relation>>, cascade: bool) -> Result<()> {
    let catalog = ctx.txn.catalog();
    let mut at = 0;
    while let Some(table) = tables.get(at).cloned() {
        at += 1;
        for (child, ..) in catalog.references_to(table.oid) {
            if tables.iter().any(|t| t.oid == child.oid) {
                continue;
            }
            if !cascade {
                return Err(PgError::new(
                    SqlState::FEATURE_NOT_SUPPORTED,
                    "cannot truncate a table referenced in a foreign key constraint",
                )
                .detail(format!("Table \"{}\" references \"{}\".", child.name, table.name))
                .hint(format!(
                    "Truncate table \"{}\" at the same time, or use TRUNCATE ... CASCADE.",
                    child.name
                )));
            }
            name::notice(ctx, format!("truncate cascades to table \"{}\"", child.name));
            tables.push(child.clone());
        }
    }
    Ok(())
}

/// Runs LOCK TABLE: what is left of it where it may wait (see [`locking`]), all of it with NOWAIT.
pub(crate) fn lock(ctx: &ExecContext, l: &ast::Lock) -> Result<Outcome> {
    let mode = locking::mode_of(l.lock_mode.as_ref());
    for target in &l.tables {
        let relation = name::relation(ctx, &target.name)?;
        if !matches!(relation.kind, RelationKind::Table(_) | RelationKind::View(_)) {
            return Err(name::not_a(&relation, "table or view"));
        }
        let only = target.only || crate::sql::is_only(&target.name);
        let family = match only {
            true => vec![relation],
            false => descendants(&ctx.txn.catalog(), &relation),
        };
        for relation in &family {
            lock_one(ctx, relation, mode, l.nowait)?;
        }
    }
    Ok(done("LOCK TABLE"))
}

/// Locks a table, or a view and what it reads.
fn lock_one(
    ctx: &ExecContext,
    relation: &Relation,
    mode: vicinity_storage::RelationLock,
    nowait: bool,
) -> Result<()> {
    if !nowait {
        ctx.txn.lock_relation(relation.oid, mode)?;
    } else if !ctx.txn.try_lock_relation(relation.oid, mode)? {
        return Err(PgError::new(
            SqlState::LOCK_NOT_AVAILABLE,
            format!("could not obtain lock on relation \"{}\"", relation.name),
        ));
    }
    let RelationKind::View(view) = &relation.kind else { return Ok(()) };
    let catalog = ctx.txn.catalog();
    for inner in view.depends_on.iter().filter_map(|oid| catalog.relation(*oid)) {
        if matches!(inner.kind, RelationKind::Table(_) | RelationKind::View(_)) {
            lock_one(ctx, inner, mode, nowait)?;
        }
    }
    Ok(())
}

/// Runs VACUUM and ANALYZE. Space is reused and statistics are counted as the server runs, so both
/// only check what they were given.
pub(crate) fn vacuum(ctx: &ExecContext, v: &Vacuum) -> Result<Outcome> {
    const OPTIONS: &[&str] = &[
        "full",
        "freeze",
        "verbose",
        "analyze",
        "disable_page_skipping",
        "skip_locked",
        "index_cleanup",
        "process_toast",
        "truncate",
        "parallel",
    ];
    let (word, tag) = if v.vacuum { ("VACUUM", "VACUUM") } else { ("ANALYZE", "ANALYZE") };
    for (option, _) in &v.options {
        if !OPTIONS.contains(&option.as_str()) {
            return Err(PgError::new(
                SqlState::SYNTAX_ERROR,
                format!("unrecognized {word} option \"{option}\""),
            ));
        }
    }
    for (given, columns) in &v.tables {
        check_vacuumed(ctx, given, columns, v)?;
    }
    Ok(done(tag))
}

fn check_vacuumed(
    ctx: &ExecContext,
    given: &ObjectName,
    columns: &[ast::Ident],
    v: &Vacuum,
) -> Result<()> {
    let table = match name::relation(ctx, given) {
        Ok(table) => table,
        Err(e) if e.code() == SqlState::INSUFFICIENT_PRIVILEGE => return Ok(()),
        Err(e) => return Err(e),
    };
    let Some(def) = table.table() else {
        let word = if v.vacuum { "vacuum" } else { "analyze" };
        ctx.session.notice(Notice::new(
            Severity::Warning,
            SqlState::WARNING,
            format!(
                "skipping \"{}\" --- cannot {word} non-tables or special system tables",
                table.name
            ),
        ));
        return Ok(());
    };
    for column in columns {
        let wanted = name::ident(column);
        if !def.columns.iter().any(|c| !c.dropped && c.name == wanted) {
            return Err(PgError::new(
                SqlState::UNDEFINED_COLUMN,
                format!("column \"{wanted}\" of relation \"{}\" does not exist", table.name),
            ));
        }
    }
    Ok(())
}
