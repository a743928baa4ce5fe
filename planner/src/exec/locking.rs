//! Which statements lock which relations before they begin, in PostgreSQL's modes.
//!
//! A definition is read again once it is locked: whoever had the lock may have changed what a name
//! means.

use sqlparser::ast::TableConstraint;
use sqlparser::ast::{
    AlterTableOperation, LockTableMode, ObjectName, ObjectType, Statement as Ast,
};
use vicinity_storage::catalog::model::{Privileges, Relation};
use vicinity_storage::{Catalog, RelationLock, Transaction};
use vicinity_types::{Oid, Result};

use super::name;
use crate::session_state::SessionState;
use crate::sql::{AlterAction, AlterKind, AlterRelation, ColumnAction, Statement};

/// Locks what a statement names. Names that mean nothing are left to the statement to complain of.
pub(crate) fn hold(session: &SessionState, txn: &Transaction, stmt: &Statement) -> Result<()> {
    let wanted = wanted(stmt);
    if wanted.is_empty() {
        return Ok(());
    }
    loop {
        let catalog = txn.catalog();
        for (given, mode) in &wanted {
            for relation in concerned(&catalog, session, given)? {
                if let Some(whole) = whole_of(&catalog, relation).filter(|_| drops(stmt)) {
                    txn.lock_relation(whole, *mode)?;
                }
                txn.lock_relation(relation, *mode)?;
            }
        }
        if txn.catalog().version() == catalog.version() {
            return Ok(());
        }
    }
}

fn drops(stmt: &Statement) -> bool {
    matches!(stmt, Statement::Sql(stmt) if matches!(**stmt, Ast::Drop { .. }))
}

/// The table that a partition is a part of: it loses one.
fn whole_of(catalog: &Catalog, relation: Oid) -> Option<Oid> {
    let def = catalog.relation(relation)?.table()?;
    def.bound.as_ref()?;
    def.parents.first().copied()
}

/// The relation of a name; an index comes behind its table, so that all who use the two take them in
/// one order.
fn concerned(catalog: &Catalog, session: &SessionState, given: &ObjectName) -> Result<Vec<Oid>> {
    let found = match name::qualified(given)? {
        (Some(schema), own) => session
            .schema_oid(catalog, &schema)
            .and_then(|schema| catalog.relation_named(schema, &own)),
        (None, own) => {
            let path = session.search_path_oids(catalog);
            path.into_iter().find_map(|schema| catalog.relation_named(schema, &own))
        }
    };
    let table = |r: &Relation| r.index().map(|i| i.table);
    Ok(found.map_or_else(Vec::new, |r| table(r).into_iter().chain([r.oid]).collect()))
}

fn wanted(stmt: &Statement) -> Vec<(&ObjectName, RelationLock)> {
    use RelationLock::{
        AccessExclusive, Exclusive, Share, ShareRowExclusive, ShareUpdateExclusive as ShareUpdate,
    };
    match stmt {
        Statement::Sql(stmt) => match &**stmt {
            Ast::Drop {
                object_type:
                    ObjectType::Table
                    | ObjectType::View
                    | ObjectType::MaterializedView
                    | ObjectType::Index
                    | ObjectType::Sequence,
                names,
                ..
            } => names.iter().map(|n| (n, AccessExclusive)).collect(),
            Ast::Truncate(t) => t.table_names.iter().map(|t| (&t.name, AccessExclusive)).collect(),
            Ast::DropTrigger(t) => {
                t.table_name.iter().map(|name| (name, AccessExclusive)).collect()
            }
            Ast::CreateView(v) if v.or_replace => vec![(&v.name, AccessExclusive)],
            Ast::Lock(l) if !l.nowait => {
                let mode = mode_of(l.lock_mode.as_ref());
                l.tables.iter().map(|t| (&t.name, mode)).collect()
            }
            _ => Vec::new(),
        },
        Statement::CreateTable { table, likes, .. } => {
            let parents = table.inherits.iter().flatten().map(|name| (name, ShareUpdate));
            let whole = table.partition_of.iter().map(|name| (name, AccessExclusive));
            let likes = likes.iter().map(|like| (&like.name, RelationLock::AccessShare));
            parents.chain(whole).chain(likes).collect()
        }
        Statement::AlterRelation(a) => {
            let others = a.actions.iter().filter_map(|action| match action {
                AlterAction::Inherit { parent, begin: true } => Some((parent, ShareUpdate)),
                AlterAction::Inherit { parent, .. } => Some((parent, RelationLock::AccessShare)),
                _ => None,
            });
            std::iter::once((&a.name, alter(a))).chain(others).collect()
        }
        Statement::CreateIndex(c) if c.concurrently => vec![(&c.table, ShareUpdate)],
        Statement::CreateIndex(c) => vec![(&c.table, Share)],
        Statement::CreateTrigger(t) => vec![(&t.table, ShareRowExclusive)],
        Statement::Reindex { kind, name: Some(name), .. }
            if kind.eq_ignore_ascii_case("index") || kind.eq_ignore_ascii_case("table") =>
        {
            vec![(name, Share)]
        }
        Statement::Refresh { name, concurrently: true, .. } => vec![(name, Exclusive)],
        Statement::Refresh { name, .. } => vec![(name, AccessExclusive)],
        Statement::AlterSequence(s) => vec![(&s.name, ShareRowExclusive)],
        Statement::Vacuum(v) => {
            let mode = if v.full { AccessExclusive } else { ShareUpdate };
            v.tables.iter().map(|(name, _)| (name, mode)).collect()
        }
        _ => Vec::new(),
    }
}

/// The mode LOCK TABLE asks for.
pub(crate) fn mode_of(given: Option<&LockTableMode>) -> RelationLock {
    match given {
        Some(LockTableMode::AccessShare) => RelationLock::AccessShare,
        Some(LockTableMode::RowShare) => RelationLock::RowShare,
        Some(LockTableMode::RowExclusive) => RelationLock::RowExclusive,
        Some(LockTableMode::ShareUpdateExclusive) => RelationLock::ShareUpdateExclusive,
        Some(LockTableMode::Share) => RelationLock::Share,
        Some(LockTableMode::ShareRowExclusive) => RelationLock::ShareRowExclusive,
        Some(LockTableMode::Exclusive) => RelationLock::Exclusive,
        Some(LockTableMode::AccessExclusive) | None => RelationLock::AccessExclusive,
    }
}

/// Any of these rights lets a role take a mode (`LockTableAclCheck`).
pub(crate) fn rights_for(mode: RelationLock) -> Privileges {
    let writes = Privileges::UPDATE.and(Privileges::DELETE).and(Privileges::TRUNCATE);
    match mode {
        RelationLock::AccessShare => writes.and(Privileges::SELECT),
        RelationLock::RowShare | RelationLock::RowExclusive => writes.and(Privileges::INSERT),
        _ => writes,
    }
}

/// The strongest of what the actions of an ALTER need (`AlterTableGetLockLevel`).
fn alter(a: &AlterRelation) -> RelationLock {
    let all = a.actions.iter().map(|action| alter_action(a.kind, action));
    all.max().unwrap_or(RelationLock::AccessExclusive)
}

fn alter_action(kind: AlterKind, action: &AlterAction) -> RelationLock {
    use RelationLock::{AccessExclusive, ShareRowExclusive, ShareUpdateExclusive};
    match action {
        AlterAction::SetOptions(_) | AlterAction::ResetOptions(_) if kind != AlterKind::View => {
            ShareUpdateExclusive
        }
        AlterAction::Column {
            action:
                ColumnAction::Statistics(_) | ColumnAction::Options(_) | ColumnAction::ResetOptions(_),
            ..
        } => ShareUpdateExclusive,
        // Writers of a table without a default partition lose nothing by one more.
        AlterAction::Attach { bound: Some(_), .. } => ShareUpdateExclusive,
        AlterAction::Sql(operation) => match &**operation {
            AlterTableOperation::ValidateConstraint { .. } => ShareUpdateExclusive,
            AlterTableOperation::AddConstraint {
                constraint: TableConstraint::ForeignKey(_),
                ..
            }
            | AlterTableOperation::EnableTrigger { .. }
            | AlterTableOperation::DisableTrigger { .. } => ShareRowExclusive,
            AlterTableOperation::RenameTable { .. } if kind == AlterKind::Index => {
                ShareUpdateExclusive
            }
            _ => AccessExclusive,
        },
        _ => AccessExclusive,
    }
}
