//! One execution of an UPDATE or DELETE, row by row.

use std::cell::OnceCell;
use std::collections::HashSet;
use std::sync::Arc;

use vicinity_storage::catalog::model::Relation;
use vicinity_storage::{LockMode, LockOutcome, RowId, Snapshot, Table, Transaction, Write, pin};
use vicinity_types::{Datum, Oid, PgError, Result, SqlState};

use super::super::layout::extend;
use super::super::leaf::Leaf;
use super::{CHUNK, Change, Values};
use crate::context::ExecContext;
use crate::exec::after::Queue;
use crate::exec::foreign::{Keys, part};
use crate::exec::triggers::Triggers;
use crate::partition::{ancestors, descendants, is_partitioned};
use crate::row::{Frame, Node, RowRef, WrittenRow};
use crate::rows::{Collect, RowSink};

/// One execution.
pub(in super::super) struct Changer<'a> {
    ctx: &'a ExecContext,
    params: &'a [Datum],
    /// Rows this execution wrote, where triggers may write to them before it does.
    mine: HashSet<(Oid, RowId)>,
    once: Vec<OnceCell<Datum>>,
    pub(in super::super) sink: &'a mut dyn RowSink,
    /// What the rows leave for the statement's end.
    pub(in super::super) queue: &'a mut Queue,
    pub(in super::super) count: u64,
}

/// A BEFORE trigger wrote to the very row that is to be written.
fn modified_by_trigger(change: &Change) -> PgError {
    let done = if change.delete { "deleted" } else { "updated" };
    PgError::new(
        SqlState(*b"27000"),
        format!(
            "tuple to be {done} was already modified by an operation triggered by the current \
             command"
        ),
    )
    .hint(
        "Consider using an AFTER trigger instead of a BEFORE trigger to propagate changes to other \
         rows.",
    )
}

/// A key that refers to a table between a partition and the table that is updated would see its row go, not change.
fn check_movable(ctx: &ExecContext, from: &Relation, root: &Relation) -> Result<()> {
    let catalog = &ctx.catalog;
    let above = ancestors(catalog, from);
    for between in above.iter().take_while(|a| a.oid != root.oid) {
        let mut keys = catalog.references_to(between.oid);
        if !keys.any(|(child, c, _)| part::is_own(catalog, child, c)) {
            continue;
        }
        return Err(PgError::new(
            SqlState::FEATURE_NOT_SUPPORTED,
            "cannot move tuple across partitions when a non-root ancestor of the source partition \
             is directly referenced in a foreign key",
        )
        .detail(format!(
            "A foreign key points to ancestor \"{}\" but not the root ancestor \"{}\".",
            between.name, root.name
        ))
        .hint(format!("Consider defining the foreign key on table \"{}\".", root.name)));
    }
    Ok(())
}

impl<'a> Changer<'a> {
    /// `once` holds what is computed once.
    pub(in super::super) fn new(
        ctx: &'a ExecContext,
        params: &'a [Datum],
        once: Vec<OnceCell<Datum>>,
        sink: &'a mut dyn RowSink,
        queue: &'a mut Queue,
    ) -> Changer<'a> {
        Changer { ctx, params, mine: HashSet::new(), once, sink, queue, count: 0 }
    }

    /// All rows are done. Gives their number.
    pub(super) fn finish(self, change: &Change) -> Result<u64> {
        if let Some(t) = change.triggers() {
            t.after_statement(self.ctx, self.queue)?;
        }
        Ok(self.count)
    }

    fn frame<'f>(&'f self, row: RowRef<'f>) -> Frame<'f> {
        Frame { ctx: self.ctx, params: self.params, once: &self.once, row }
    }

    /// The row a cursor is on; `None` if it is in none of the tables that are meant.
    pub(super) fn current(&self, change: &Change, name: &Node) -> Result<Option<(Oid, RowId)>> {
        let name = match name.eval(&self.frame(RowRef::None))? {
            Datum::Text(name) => name,
            _ => return Err(PgError::new(SqlState::INVALID_CURSOR_NAME, "cursor has no name")),
        };
        let portal = self.ctx.session.portals().find(&name)?;
        let Some(portal) = portal.try_lock() else {
            return Err(crate::portal::cannot_be_run(&name));
        };
        let target = &change.leaf.rules.relation;
        let catalog = &self.ctx.catalog;
        let tables = match change.family {
            None => vec![target.clone()],
            Some(_) => {
                let all = descendants(catalog, target).into_iter();
                all.filter(|r| !is_partitioned(r)).collect()
            }
        };
        portal.current(&name, catalog, &tables)
    }

    /// Changes one row that the query found.
    pub(super) fn one(&mut self, change: &Change, found: Vec<Datum>) -> Result<()> {
        let Some(Datum::Tid(row)) = found.first() else { return Ok(()) };
        let row: RowId = *row;
        match (&change.family, found.get(1)) {
            (Some(family), Some(Datum::Oid(oid))) if *oid != change.leaf.rules.relation.oid => {
                let leaf = family.leaves.get(self.ctx, *oid)?;
                self.one_in(change, &At { leaf: &leaf, row }, found)
            }
            _ => self.one_in(change, &At { leaf: &change.leaf, row }, found),
        }
    }

    fn one_in(&mut self, change: &Change, at: &At<'_>, mut found: Vec<Datum>) -> Result<()> {
        let mut snapshot = self.ctx.snapshot;
        loop {
            match self.write(change, at, &snapshot, &found)? {
                Write::AlreadyMine => return self.foreign(change, at).map_or(Ok(()), Err),
                Write::Done | Write::Gone => return Ok(()),
                Write::Concurrent => {}
            }
            // Somebody else committed a newer version: look at that one.
            snapshot = self.ctx.txn.snapshot();
            match self.again(change, at, &snapshot, found)? {
                Some(newer) => found = newer,
                None => return Ok(()),
            }
            self.ctx.check()?;
        }
    }

    /// The error for a row that was written since the statement began, if a trigger wrote it.
    pub(in super::super) fn foreign(&self, change: &Change, at: &At<'_>) -> Option<PgError> {
        let triggers = if change.delete { &at.leaf.delete } else { &at.leaf.update };
        let fires = triggers.as_ref().is_some_and(|t| t.has_before_row());
        let mine = self.mine.contains(&(at.leaf.rules.relation.oid, at.row));
        (fires && !mine).then(|| modified_by_trigger(change))
    }

    /// Whether a newer version still passes; the query's row for it.
    fn again(
        &self,
        change: &Change,
        at: &At<'_>,
        snapshot: &Snapshot,
        found: Vec<Datum>,
    ) -> Result<Option<Vec<Datum>>> {
        if let Values::Row { recheck, filtered, .. } = &change.values
            && (recheck.is_some() || !filtered)
        {
            let Some(condition) = recheck else { return Ok(Some(found)) };
            let Some(values) = at.fetch(snapshot)? else { return Ok(None) };
            let own = at.leaf.map.target_of(&values);
            let row = at.written(&own, &[]);
            return Ok(condition.passes(&self.frame(RowRef::Written(&row)))?.then_some(found));
        }
        let ctx = ExecContext { snapshot: *snapshot, ..self.ctx.clone() };
        let mut cursor = change.plan.open(ctx.clone(), self.params.to_vec())?;
        let table = |r: &[Datum]| match (&change.family, r.get(1)) {
            (Some(_), Some(Datum::Oid(oid))) => Some(*oid),
            _ => None,
        };
        let of = table(&found);
        loop {
            let mut rows = Collect::default();
            let done = cursor.fill(&mut rows, CHUNK)?.done;
            let same = |r: &Vec<Datum>| {
                matches!(r.first(), Some(Datum::Tid(t)) if *t == at.row) && table(r) == of
            };
            if let Some(found) = rows.rows.into_iter().find(same) {
                return Ok(Some(found));
            }
            if done {
                return Ok(None);
            }
        }
    }

    /// Changes a row as the newest version of it that the snapshot sees asks for.
    pub(in super::super) fn write(
        &mut self,
        change: &Change,
        at: &At<'_>,
        snapshot: &Snapshot,
        found: &[Datum],
    ) -> Result<Write> {
        let Some(old) = at.fetch(snapshot)? else { return Ok(Write::Gone) };
        let leaf = at.leaf;
        if let Some(answer) = self.lock_for_triggers(change, at, snapshot)? {
            return Ok(answer);
        }
        if change.delete {
            let Some(write) = self.delete(at, snapshot, &old, Table::delete)? else {
                return Ok(Write::Done);
            };
            if write == Write::Done {
                self.wrote(
                    change,
                    at,
                    (leaf.delete.as_ref(), change.leaf.delete.as_ref()),
                    &old,
                    None,
                )?;
                self.done(change, leaf, at.row, old, found)?;
            }
            return Ok(write);
        }
        let mut new = self.new_values(change, at, &old, found)?;
        if let Some(t) = &leaf.update {
            match t.before_update(self.ctx, &old, new)? {
                Some(changed) => new = changed,
                None => return Ok(Write::Done),
            }
        }
        if !leaf.rules.holds(self.ctx, &new)? {
            return self.moved(change, at, snapshot, &old, new, found);
        }
        leaf.rules.apply(self.ctx, &mut new)?;
        let table = leaf.table()?;
        let update = || table.update(&self.ctx.txn, snapshot, at.row, &new);
        let write = leaf.rules.writing(self.ctx, update)?;
        if write == Write::Done {
            self.wrote(
                change,
                at,
                (leaf.update.as_ref(), change.leaf.update.as_ref()),
                &old,
                Some(&new),
            )?;
            self.done(change, leaf, at.row, new, found)?;
        }
        Ok(write)
    }

    /// Triggers that fire before a row's change see a row that nobody else changes any more. What there is to do
    /// instead, if there is something.
    fn lock_for_triggers(
        &self,
        change: &Change,
        at: &At<'_>,
        snapshot: &Snapshot,
    ) -> Result<Option<Write>> {
        let (triggers, mode) = match change.delete {
            true => (&at.leaf.delete, LockMode::Exclusive),
            false => (&at.leaf.update, LockMode::NoKeyExclusive),
        };
        if !triggers.as_ref().is_some_and(|t| t.has_before_row()) {
            return Ok(None);
        }
        let (table, txn) = (at.leaf.table()?, &self.ctx.txn);
        Ok(match table.lock_row_to_write(txn, snapshot, at.row, mode)? {
            LockOutcome::Locked | LockOutcome::Skipped => None,
            LockOutcome::Concurrent => Some(Write::Concurrent),
            LockOutcome::Gone => Some(Write::Gone),
        })
    }

    /// Deletes a row, unless a trigger keeps it: `None`.
    fn delete(
        &mut self,
        at: &At<'_>,
        snapshot: &Snapshot,
        old: &[Datum],
        how: fn(&Table, &Transaction, &Snapshot, RowId) -> Result<Write>,
    ) -> Result<Option<Write>> {
        if let Some(t) = &at.leaf.delete
            && !t.before_delete(self.ctx, old)?
        {
            return Ok(None);
        }
        how(at.leaf.table()?, &self.ctx.txn, snapshot, at.row).map(Some)
    }

    /// A row goes to another partition: it is deleted here and inserted there.
    fn moved(
        &mut self,
        change: &Change,
        at: &At<'_>,
        snapshot: &Snapshot,
        old: &[Datum],
        new: Vec<Datum>,
        found: &[Datum],
    ) -> Result<Write> {
        let family = change.family.as_ref();
        let Some((family, router)) = family.and_then(|f| Some((f, f.router.as_ref()?))) else {
            at.leaf.rules.check_partition(self.ctx, &new)?;
            return Ok(Write::Done);
        };
        let row = at.leaf.map.to_target(new);
        change.leaf.rules.check_partition(self.ctx, &row)?;
        check_movable(self.ctx, &at.leaf.rules.relation, &change.leaf.rules.relation)?;
        match self.delete(at, snapshot, old, Table::leave)? {
            None => return Ok(Write::Done),
            Some(Write::Done) => {}
            Some(other) => return Ok(other),
        }
        self.wrote_to(at, at.leaf.delete.as_ref());
        let part = router.find(self.ctx, &row)?;
        let leaf = family.leaves.get(self.ctx, part)?;
        let mut values = leaf.map.to_leaf(row, None);
        if let Some(t) = &leaf.insert {
            let stays = |row: &[Datum]| leaf.rules.holds(self.ctx, row);
            match t.before_insert(self.ctx, values, Some(&stays))? {
                Some(changed) => values = changed,
                None => {
                    self.wrote(
                        change,
                        at,
                        (at.leaf.delete.as_ref(), change.leaf.delete.as_ref()),
                        old,
                        None,
                    )?;
                    return Ok(Write::Done);
                }
            }
        }
        leaf.rules.apply(self.ctx, &mut values)?;
        leaf.rules.check_partition(self.ctx, &values)?;
        let row = leaf.table()?.insert(&self.ctx.txn, &values)?;
        let none = Keys::default();
        let fired = at.leaf.delete.as_ref();
        self.queue.written(self.ctx, &none, fired, Some(old), None)?;
        let (keys, fired) = (&leaf.rules.keys, leaf.insert.as_ref());
        self.queue.written(self.ctx, keys, fired, None, Some(&values))?;
        let root = &change.leaf.rules.keys;
        let old_of_root = at.leaf.map.target_of(old);
        let new_of_root = leaf.map.target_of(&values).into_owned();
        if let Some(head) = &change.leaf.update {
            self.queue.keep(head, Some(&old_of_root), Some(&new_of_root));
        }
        at.leaf.rules.keys.moved(root, (old, &old_of_root), &new_of_root, self.queue);
        self.done(change, &leaf, row, values, found)?;
        Ok(Write::Done)
    }

    /// Notes a row for the statement's end.
    fn wrote(
        &mut self,
        change: &Change,
        at: &At<'_>,
        (triggers, head): (Option<&Arc<Triggers>>, Option<&Arc<Triggers>>),
        old: &[Datum],
        new: Option<&[Datum]>,
    ) -> Result<()> {
        self.wrote_to(at, triggers);
        self.queue.written(self.ctx, &at.leaf.rules.keys, triggers, Some(old), new)?;
        if at.leaf.rules.relation.oid != change.leaf.rules.relation.oid {
            at.leaf.keep(head, Some(old), new, self.queue);
        }
        Ok(())
    }

    /// Remembers a row as written by this execution.
    fn wrote_to(&mut self, at: &At<'_>, triggers: Option<&Arc<Triggers>>) {
        if triggers.is_some_and(|t| t.has_before_row()) {
            self.mine.insert((at.leaf.rules.relation.oid, at.row));
        }
    }

    /// The row's new values, as its table has them.
    fn new_values(
        &self,
        change: &Change,
        at: &At<'_>,
        old: &[Datum],
        found: &[Datum],
    ) -> Result<Vec<Datum>> {
        let own = at.leaf.map.target_of(old);
        let mut new = own.to_vec();
        let row = at.written(&own, change.beside(found));
        let (nodes, source) = match &change.values {
            Values::Row { nodes, .. } => (nodes, RowRef::Written(&row)),
            Values::Query { nodes } => (nodes, RowRef::Values(found)),
        };
        let frame = self.frame(source);
        for (at, node) in nodes {
            let value = node.eval(&frame)?;
            if let Some(slot) = new.get_mut(*at) {
                *slot = value;
            }
        }
        Ok(at.leaf.map.to_leaf(new, Some(old)))
    }

    /// Counts a row and gives it to RETURNING.
    fn done(
        &mut self,
        change: &Change,
        leaf: &Leaf,
        row: RowId,
        values: Vec<Datum>,
        found: &[Datum],
    ) -> Result<()> {
        self.count += 1;
        if let Some(returning) = &change.returning {
            let mut values = leaf.map.to_target(values);
            extend(&mut values, row, leaf.rules.relation.oid);
            values.extend_from_slice(change.beside(found));
            returning.emit(self.ctx, self.params, &values, self.sink)?;
        }
        Ok(())
    }
}

/// A row, and the table it is in.
pub(in super::super) struct At<'a> {
    pub(in super::super) leaf: &'a Leaf,
    pub(in super::super) row: RowId,
}

impl At<'_> {
    pub(in super::super) fn fetch(&self, snapshot: &Snapshot) -> Result<Option<Vec<Datum>>> {
        let guard = pin();
        Ok(self.leaf.table()?.fetch(self.row, snapshot, &guard)?.map(|r| r.values()))
    }

    /// The row for expressions over it, its values being `own` as the target has them.
    pub(in super::super) fn written<'r>(
        &self,
        own: &'r [Datum],
        beside: &'r [Datum],
    ) -> WrittenRow<'r> {
        WrittenRow { own, id: self.row, table: self.leaf.rules.relation.oid, beside }
    }
}
