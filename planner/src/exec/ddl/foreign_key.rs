//! REFERENCES and FOREIGN KEY: names looked up, the unique index found, types compared.

use std::sync::Arc;

use sqlparser::ast::{self, ConstraintReferenceMatchKind, ForeignKeyConstraint, ObjectName};
use vicinity_storage::catalog::model::{
    AttrNumber, Column, Constraint, ConstraintKind, ForeignKey, Object, Privileges,
    ReferentialAction, Relation, RelationKind,
};
use vicinity_storage::{Catalog, RelationLock};
use vicinity_types::{Oid, PgError, Result, SqlState};

use super::super::dml::table_def;
use super::super::{foreign, name};
use super::constraint::{self, Pending};
use super::{index, referred};
use crate::authority::Target;
use crate::bind::{Binder, ParamTypes};
use crate::context::ExecContext;
use crate::partition;
use crate::resolve::{self, Context};

/// A foreign key as written.
#[derive(Clone, Debug)]
pub(crate) struct Written {
    pub(crate) columns: Vec<String>,
    table: ObjectName,
    referred: Vec<String>,
    on_update: ReferentialAction,
    on_delete: ReferentialAction,
    /// The columns that ON DELETE sets, if not all.
    pub(crate) set_on_delete: Vec<String>,
    full: bool,
}

fn action(given: Option<ast::ReferentialAction>) -> ReferentialAction {
    match given {
        None | Some(ast::ReferentialAction::NoAction) => ReferentialAction::NoAction,
        Some(ast::ReferentialAction::Restrict) => ReferentialAction::Restrict,
        Some(ast::ReferentialAction::Cascade) => ReferentialAction::Cascade,
        Some(ast::ReferentialAction::SetNull) => ReferentialAction::SetNull,
        Some(ast::ReferentialAction::SetDefault) => ReferentialAction::SetDefault,
    }
}

/// Reads the grammar's form; a column constraint gives its column.
pub(crate) fn written(f: &ForeignKeyConstraint, column: Option<&str>) -> Result<Written> {
    if matches!(f.match_kind, Some(ConstraintReferenceMatchKind::Partial)) {
        return Err(PgError::new(
            SqlState::FEATURE_NOT_SUPPORTED,
            "MATCH PARTIAL not yet implemented",
        ));
    }
    let columns = match column {
        Some(column) => vec![column.to_owned()],
        None => f.columns.iter().map(name::ident).collect(),
    };
    Ok(Written {
        columns,
        table: f.foreign_table.clone(),
        referred: f.referred_columns.iter().map(name::ident).collect(),
        on_update: action(f.on_update),
        on_delete: action(f.on_delete),
        // They come with what follows the constraint.
        set_on_delete: Vec::new(),
        full: matches!(f.match_kind, Some(ConstraintReferenceMatchKind::Full)),
    })
}

fn invalid(text: impl Into<String>) -> PgError {
    PgError::new(SqlState::INVALID_FOREIGN_KEY, text)
}

fn number(columns: &[Column], own: &str) -> Result<AttrNumber> {
    let at = columns.iter().position(|c| !c.dropped && c.name == *own);
    at.and_then(|at| i16::try_from(at + 1).ok()).ok_or_else(|| {
        PgError::new(
            SqlState::UNDEFINED_COLUMN,
            format!("column \"{own}\" referenced in foreign key constraint does not exist"),
        )
    })
}

fn numbers(columns: &[Column], wanted: &[String]) -> Result<Vec<AttrNumber>> {
    let mut out = Vec::new();
    for own in wanted {
        let number = number(columns, own)?;
        if out.contains(&number) {
            return Err(invalid("foreign key referenced-columns list must not contain duplicates"));
        }
        out.push(number);
    }
    Ok(out)
}

/// ON DELETE with the columns that it sets: some of those that refer.
fn on_delete(w: &Written, own: &[Column], referring: &[AttrNumber]) -> Result<ReferentialAction> {
    let mut listed = Vec::new();
    for column in &w.set_on_delete {
        let number = number(own, column)?;
        if !referring.contains(&number) {
            return Err(PgError::new(
                SqlState::INVALID_COLUMN_REFERENCE,
                format!(
                    "column \"{column}\" referenced in ON DELETE SET action must be part of \
                     foreign key"
                ),
            ));
        }
        if !listed.contains(&number) {
            listed.push(number);
        }
    }
    Ok(if listed.is_empty() { w.on_delete.clone() } else { w.on_delete.with_columns(listed) })
}

fn is_whole(catalog: &Catalog, index: Oid) -> bool {
    catalog.relation(index).is_some_and(|i| partition::has_all_parts(catalog, i))
}

/// The columns referred to and the unique index over them.
fn target(
    ctx: &ExecContext,
    parent: &Relation,
    referred: &[String],
) -> Result<(Vec<AttrNumber>, Oid)> {
    let def = table_def(parent)?;
    let catalog = ctx.txn.catalog();
    if referred.is_empty() {
        let primary = def.constraints.iter().find_map(|c| match c.kind {
            ConstraintKind::PrimaryKey { index } => Some((c.columns.clone(), index)),
            _ => None,
        });
        let primary = primary.filter(|(_, index)| is_whole(&catalog, *index));
        return primary.ok_or_else(|| {
            PgError::new(
                SqlState::UNDEFINED_OBJECT,
                format!("there is no primary key for referenced table \"{}\"", parent.name),
            )
        });
    }
    let wanted = numbers(&def.columns, referred)?;
    let mut sorted = wanted.clone();
    sorted.sort_unstable();
    let found = catalog.indexes_of(parent.oid).find(|i| {
        i.index().is_some_and(|d| {
            let mut keys: Vec<AttrNumber> = d.keys.iter().map(|k| k.column).collect();
            keys.sort_unstable();
            let fits = d.unique && d.valid && !d.is_computed() && keys == sorted;
            fits && is_whole(&catalog, i.oid)
        })
    });
    match found {
        Some(index) => Ok((wanted, index.oid)),
        None => Err(invalid(format!(
            "there is no unique constraint matching given keys for referenced table \"{}\"",
            parent.name
        ))),
    }
}

fn check_types(
    ctx: &ExecContext,
    own: &str,
    child: &[Column],
    columns: &[AttrNumber],
    parent: &[Column],
    referred: &[AttrNumber],
) -> Result<()> {
    let at = |columns: &[Column], number: AttrNumber| {
        usize::try_from(number - 1).ok().and_then(|at| columns.get(at)).cloned()
    };
    let catalog = &ctx.txn.catalog();
    let binder = Binder::new(catalog, &ctx.session, ParamTypes::none());
    for (from, to) in columns.iter().zip(referred) {
        let (Some(from), Some(to)) = (at(child, *from), at(parent, *to)) else { continue };
        let types = binder.types();
        let (source, target) = (from.type_oid, to.type_oid);
        let castable = resolve::cast::can_coerce(types, &[source], &[target], Context::Implicit);
        let whole = |ty| {
            use vicinity_types::oid;
            matches!(ty, oid::INT2 | oid::INT4 | oid::INT8)
        };
        if castable || (whole(source) && whole(target)) {
            continue;
        }
        let shown = |ty| ctx.type_name(ty, None);
        return Err(PgError::new(
            SqlState::DATATYPE_MISMATCH,
            format!("foreign key constraint \"{own}\" cannot be implemented"),
        )
        .detail(format!(
            "Key columns \"{}\" and \"{}\" are of incompatible types: {} and {}.",
            from.name,
            to.name,
            shown(source),
            shown(target)
        )));
    }
    Ok(())
}

/// The table referred to, locked: keys that go while the rows are looked at would be missed.
fn referred_table(ctx: &ExecContext, given: &ObjectName) -> Result<Arc<Relation>> {
    loop {
        let catalog = ctx.txn.catalog();
        let found = name::relation(ctx, given)?;
        ctx.txn.lock_relation(found.oid, RelationLock::ShareRowExclusive)?;
        if ctx.txn.catalog().version() == catalog.version() {
            return Ok(found);
        }
    }
}

/// An error (42501) unless the session's role may refer to the table, or to all of the columns.
fn check_rights(ctx: &ExecContext, parent: &Relation, columns: &[AttrNumber]) -> Result<()> {
    let (catalog, target) = (ctx.txn.catalog(), Target::relation(parent));
    let may = |of: &Target| of.check(&catalog, &ctx.session, Privileges::REFERENCES).is_ok();
    if may(&target) || columns.iter().all(|n| may(&target.column(*n))) {
        return Ok(());
    }
    Err(target.denied())
}

/// An error (42601) if an action would give a value to a generated column.
fn check_generated(w: &Written, own: &[Column], referring: &[AttrNumber]) -> Result<()> {
    use ReferentialAction as A;
    let column = |n: &AttrNumber| usize::try_from(*n - 1).ok().and_then(|at| own.get(at));
    if !referring.iter().filter_map(column).any(|c| c.generated.is_some()) {
        return Ok(());
    }
    let sets = |action: &A| matches!(action, A::SetNull | A::SetDefault);
    let what = if sets(&w.on_update) || matches!(w.on_update, A::Cascade) {
        "ON UPDATE"
    } else if sets(&w.on_delete) {
        "ON DELETE"
    } else {
        return Ok(());
    };
    let text =
        format!("invalid {what} action for foreign key constraint containing generated column");
    Err(PgError::new(SqlState::SYNTAX_ERROR, text))
}

/// Adds a foreign key to a table that is there; rows are checked unless NOT VALID or told not to.
pub(crate) fn add(
    ctx: &ExecContext,
    child: &Arc<Relation>,
    pending: &Pending,
    w: &Written,
    check: bool,
) -> Result<()> {
    let parent = referred_table(ctx, &w.table)?;
    if parent.table().is_none() {
        return Err(PgError::new(
            SqlState::WRONG_OBJECT_TYPE,
            format!("referenced relation \"{}\" is not a table", parent.name),
        ));
    }
    check_persistence(child, &parent)?;
    let own_columns = &table_def(child)?.columns;
    let columns = numbers(own_columns, &w.columns)?;
    let on_delete = on_delete(w, own_columns, &columns)?;
    let (referred, index) = target(ctx, &parent, &w.referred)?;
    check_rights(ctx, &parent, &referred)?;
    check_generated(w, own_columns, &columns)?;
    if columns.len() != referred.len() {
        return Err(invalid(
            "number of referencing and referenced columns for foreign key disagree",
        ));
    }
    let own = match &pending.name {
        Some(own) => own.clone(),
        None => {
            let taken: Vec<String> =
                table_def(child)?.constraints.iter().map(|c| c.name.clone()).collect();
            let joined = name::joined(w.columns.iter().map(String::as_str));
            constraint::choose_name(&child.name, Some(&joined), "fkey", &taken)
        }
    };
    check_types(ctx, &own, own_columns, &columns, &table_def(&parent)?.columns, &referred)?;
    let made = Constraint {
        oid: ctx.txn.new_oid(),
        name: own,
        columns,
        kind: ConstraintKind::ForeignKey(Box::new(ForeignKey {
            table: parent.oid,
            columns: referred,
            index,
            on_update: w.on_update.clone(),
            on_delete,
            full: w.full,
        })),
        deferrable: pending.deferrable,
        deferred: pending.deferred,
        validated: pending.validated,
        inherited: 0,
        local: true,
        no_inherit: false,
    };
    let oid = made.oid;
    let mut next = (*index::reread(ctx, child.oid)?).clone();
    if let RelationKind::Table(t) = &mut next.kind {
        t.constraints.push(made.clone());
    }
    ctx.txn.put(Object::Relation(Arc::new(next)))?;
    referred::spread(ctx, child.oid, &made)?;
    if check && pending.validated {
        foreign::check_rows(ctx, &index::reread(ctx, child.oid)?, oid)?;
    }
    Ok(())
}

fn check_persistence(child: &Relation, parent: &Relation) -> Result<()> {
    use vicinity_storage::catalog::model::Persistence as P;
    let of = |r: &Relation| r.table().map_or(P::Permanent, |t| t.persistence);
    let refused = match (of(child), of(parent)) {
        (P::Permanent, P::Permanent) | (P::Temporary, P::Temporary) => None,
        (P::Unlogged, P::Permanent | P::Unlogged) => None,
        (P::Permanent, _) => Some(("permanent tables", "permanent tables")),
        (P::Unlogged, _) => Some(("unlogged tables", "permanent or unlogged tables")),
        (P::Temporary, _) => Some(("temporary tables", "temporary tables")),
    };
    match refused {
        None => Ok(()),
        Some((whose, what)) => {
            Err(super::table::invalid(format!("constraints on {whose} may reference only {what}")))
        }
    }
}
