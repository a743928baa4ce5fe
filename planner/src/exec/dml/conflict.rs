//! ON CONFLICT: which index decides, and what happens to the row that is in the way.

use std::cell::OnceCell;
use std::sync::Arc;

use datafusion::logical_expr::Expr as Plan;
use sqlparser::ast::{self, ConflictTarget, OnConflictAction};
use vicinity_storage::catalog::model::{ConstraintKind, Relation};
use vicinity_storage::{
    LockMode, LockOutcome, RowId, Snapshot, Table, Write, concurrent_update, pin,
};
use vicinity_types::{Datum, Kind, Oid, PgError, Result, SqlState};

use super::super::name;
use super::super::stored::{self, Place};
use super::assign::{Assign, bind_assignments, targets};
use super::layout::{Layout, columns};
use super::leaf::Leaf;
use super::shown::ConflictShown;
use crate::bind::Binder;
use crate::call::{PgType, Typed};
use crate::context::ExecContext;
use crate::partition;
use crate::push::access::conjuncts;
use crate::push::computed::Computed;
use crate::row::{Compiler, Frame, Node, RowRef, WrittenRow};
use crate::sql;
use crate::sql::carried::Target;

/// Bound, parameters' types not yet known.
pub(super) struct BoundConflict {
    arbiters: Vec<Oid>,
    layout: Layout,
    assignments: Vec<(usize, Typed)>,
    condition: Option<Typed>,
    update: bool,
}

/// Compiled.
pub(super) struct Conflict {
    /// Empty: any unique index.
    arbiters: Vec<Oid>,
    /// The table they are of.
    target: Oid,
    update: Option<Update>,
    /// The condition as bound, for EXPLAIN.
    condition: Option<Plan>,
}

struct Update {
    assignments: Vec<(usize, Node)>,
    condition: Option<Node>,
    cells: usize,
}

impl Conflict {
    /// Whether what it computes may take any time.
    pub(super) fn runs_statements(&self) -> bool {
        self.update.as_ref().is_some_and(|u| {
            u.assignments
                .iter()
                .map(|(_, node)| node)
                .chain(&u.condition)
                .any(Node::runs_statements)
        })
    }
}

/// The unique indexes a conflict target means.
fn arbiters(
    ctx: &ExecContext,
    relation: &Arc<Relation>,
    target: &ConflictTarget,
) -> Result<Vec<Oid>> {
    match target {
        ConflictTarget::OnConstraint(given) => {
            let own = name::last(given);
            let constraints = relation.table().map_or(&[][..], |t| &t.constraints);
            let found = constraints.iter().find(|c| c.name == own);
            match found.map(|c| &c.kind) {
                Some(ConstraintKind::PrimaryKey { index } | ConstraintKind::Unique { index }) => {
                    Ok(vec![*index])
                }
                Some(_) => Err(PgError::new(
                    SqlState::WRONG_OBJECT_TYPE,
                    "constraint in ON CONFLICT clause has no associated index",
                )),
                None => Err(PgError::new(
                    SqlState::UNDEFINED_OBJECT,
                    format!("constraint \"{own}\" for table \"{}\" does not exist", relation.name),
                )),
            }
        }
        ConflictTarget::Columns(columns) => {
            let wanted = Inference::of(ctx, relation, columns)?;
            let indexes = ctx.catalog.indexes_of(relation.oid);
            let found: Vec<Oid> =
                indexes.filter(|i| wanted.fits(ctx, relation, i)).map(|i| i.oid).collect();
            if found.is_empty() {
                return Err(PgError::new(
                    SqlState::INVALID_COLUMN_REFERENCE,
                    "there is no unique or exclusion constraint matching the ON CONFLICT \
                     specification",
                ));
            }
            Ok(found)
        }
    }
}

/// `(columns, expressions) WHERE predicate`: what a unique index must be over to be meant.
#[derive(Default)]
struct Inference {
    columns: Vec<i16>,
    expressions: Vec<Plan>,
    predicate: Vec<Plan>,
}

impl Inference {
    fn of(ctx: &ExecContext, relation: &Arc<Relation>, given: &[ast::Ident]) -> Result<Inference> {
        let mut out = Inference::default();
        for part in given {
            match sql::carried::target(part)? {
                Target::Column(own) => out.column(relation, &own)?,
                Target::Expression(e) => {
                    let bound = stored::bind(ctx, relation, &e, Place::IndexExpression)?;
                    out.expressions.push(stored::plain(&bound.expr)?);
                }
                Target::Predicate(e) => {
                    let bound = stored::bind(ctx, relation, &e, Place::IndexPredicate)?;
                    conjuncts(&stored::plain(&bound.expr)?, &mut out.predicate);
                }
            }
        }
        out.columns.sort_unstable();
        out.columns.dedup();
        Ok(out)
    }

    fn column(&mut self, relation: &Relation, given: &ast::Ident) -> Result<()> {
        let own = name::ident(given);
        let at = columns(relation).iter().position(|x| !x.dropped && x.name == own);
        let number = at.and_then(|at| i16::try_from(at + 1).ok()).ok_or_else(|| {
            PgError::new(SqlState::UNDEFINED_COLUMN, format!("column \"{own}\" does not exist"))
                .or_at(name::ident_at(given))
        })?;
        self.columns.push(number);
        Ok(())
    }

    fn fits(&self, ctx: &ExecContext, table: &Relation, index: &Relation) -> bool {
        let Some(def) = index.index().filter(|d| d.unique && d.valid) else { return false };
        if !partition::has_all_parts(&ctx.catalog, index) {
            return false;
        }
        let Some(computed) = Computed::of(&ctx.catalog, table, def) else { return false };
        let columns = def.keys.iter().filter(|k| k.expr.is_none()).map(|k| k.column);
        let mut columns: Vec<i16> = columns.collect();
        columns.sort_unstable();
        columns.dedup();
        let expressions: Vec<&Plan> = computed.keys.iter().flatten().collect();
        columns == self.columns
            && expressions.iter().all(|e| self.expressions.contains(e))
            && self.expressions.iter().all(|e| expressions.contains(&e))
            && computed.implied_by(&self.predicate)
    }
}

impl BoundConflict {
    pub(super) fn bind(
        ctx: &ExecContext,
        binder: &mut Binder<'_>,
        relation: &Arc<Relation>,
        types: &[PgType],
        alias: Option<&str>,
        c: &ast::OnConflict,
    ) -> Result<BoundConflict> {
        let arbiters = match &c.conflict_target {
            Some(target) => arbiters(ctx, relation, target)?,
            None => Vec::new(),
        };
        let mut layout = Layout::of_table(&ctx.catalog, relation, alias)?;
        layout.add_table(&ctx.catalog, relation, "excluded", None)?;
        let mut bound = BoundConflict {
            arbiters,
            layout,
            assignments: Vec::new(),
            condition: None,
            update: false,
        };
        if let OnConflictAction::DoUpdate(update) = &c.action {
            if c.conflict_target.is_none() {
                return Err(PgError::new(
                    SqlState::SYNTAX_ERROR,
                    "ON CONFLICT DO UPDATE requires inference specification or constraint name",
                )
                .hint("For example, ON CONFLICT (column_name)."));
            }
            bound.update = true;
            let scope = bound.layout.scope().clone();
            let list = targets(relation, &update.assignments)?;
            bound.assignments = bind_assignments(ctx, binder, relation, types, &list, &scope)?
                .into_iter()
                .map(Assign::into_pair)
                .collect();
            bound.condition = match &update.selection {
                Some(e) => Some(binder.condition_over(e, &scope, "WHERE")?),
                None => None,
            };
        }
        Ok(bound)
    }

    pub(super) fn compile(&self, target: Oid, params: &[Kind]) -> Result<Conflict> {
        let arbiters = self.arbiters.clone();
        if !self.update {
            return Ok(Conflict { arbiters, target, update: None, condition: None });
        }
        let mut compiler = Compiler::new(self.layout.values(), params.to_vec());
        let assignments = self
            .assignments
            .iter()
            .map(|(at, v)| Ok((*at, compiler.compile(&v.expr, v.ty.kind)?)))
            .collect::<Result<Vec<_>>>()?;
        let condition = self.condition.as_ref().map(|c| compiler.condition(&c.expr)).transpose()?;
        let cells = compiler.once_cells();
        let shown = self.condition.as_ref().map(|c| c.expr.clone());
        let update = Some(Update { assignments, condition, cells });
        Ok(Conflict { arbiters, target, update, condition: shown })
    }
}

/// A row that was written, as it was before if it was there.
pub(super) struct Written {
    pub(super) row: RowId,
    pub(super) old: Option<Vec<Datum>>,
}

/// The row in the way was put there by this very statement.
fn twice() -> PgError {
    PgError::new(
        SqlState::CARDINALITY_VIOLATION,
        "ON CONFLICT DO UPDATE command cannot affect row a second time",
    )
    .hint(
        "Ensure that no rows proposed for insertion within the same command have duplicate \
         constrained values.",
    )
}

/// ON CONFLICT DO UPDATE would take the row to another partition.
fn would_move() -> PgError {
    PgError::new(SqlState::FEATURE_NOT_SUPPORTED, "invalid ON UPDATE specification")
        .detail("The result tuple would appear in a different partition than the original tuple.")
}

/// DO NOTHING leaves the row in the way as it is: one that a snapshot that lasts does not see would be
/// told of by it. Rows of the same statement are the transaction's own.
fn gives_way(ctx: &ExecContext, table: &Table, row: RowId) -> Result<()> {
    if ctx.txn.isolation().is_snapshot()
        && !table.sees_newest(&ctx.txn, row, &ctx.txn.snapshot())?
    {
        return Err(concurrent_update());
    }
    Ok(())
}

impl Conflict {
    /// What EXPLAIN shows.
    pub(super) fn shown(&self) -> ConflictShown<'_> {
        ConflictShown {
            update: self.update.is_some(),
            arbiters: &self.arbiters,
            condition: self.condition.as_ref(),
        }
    }

    /// Whether rows in the way are updated.
    pub(super) fn updates(&self) -> bool {
        self.update.is_some()
    }

    /// The columns an update gives values; `None` if nothing is updated.
    pub(super) fn assigned(&self) -> Option<Vec<usize>> {
        let update = self.update.as_ref()?;
        Some(update.assignments.iter().map(|(at, _)| *at).collect())
    }

    /// The indexes of a table that decide.
    fn arbiters_of(&self, ctx: &ExecContext, table: Oid) -> Vec<Oid> {
        let indexes = ctx.catalog.indexes_of(table);
        let above = |i: &Relation| {
            let up = |i: &Relation| i.index().and_then(|d| d.parent);
            let mut next = Some(i.oid);
            std::iter::from_fn(move || {
                let own = next?;
                next = ctx.catalog.relation(own).and_then(|r| up(r));
                Some(own)
            })
            .any(|oid| self.arbiters.contains(&oid))
        };
        indexes.filter(|i| above(i)).map(|i| i.oid).collect()
    }

    /// Inserts, or does what the clause says. `values` become those written; `None` if nothing was.
    pub(super) fn run(
        &self,
        ctx: &ExecContext,
        params: &[Datum],
        leaf: &Leaf,
        values: &mut Vec<Datum>,
    ) -> Result<Option<Written>> {
        use vicinity_storage::Insert;
        let table = leaf.table()?;
        let parts;
        let arbiters = if self.arbiters.is_empty() || leaf.rules.relation.oid == self.target {
            &self.arbiters
        } else {
            parts = self.arbiters_of(ctx, leaf.rules.relation.oid);
            &parts
        };
        loop {
            let insert = || table.insert_unless_conflict(&ctx.txn, values, arbiters);
            let row = match leaf.rules.writing(ctx, insert)? {
                Insert::Inserted(row) => return Ok(Some(Written { row, old: None })),
                Insert::Conflict(row) => row,
            };
            let Some(update) = &self.update else {
                return gives_way(ctx, table, row).map(|()| None);
            };
            let mut snapshot = ctx.snapshot;
            let mut fresh = false;
            loop {
                let old = {
                    let guard = pin();
                    table.fetch(row, &snapshot, &guard)?.map(|r| r.values())
                };
                let outcome = match old {
                    Some(old) => {
                        let now = update.apply(ctx, params, leaf, (row, &snapshot), old, values)?;
                        match now {
                            Applied::Written { old, new } => {
                                *values = new;
                                return Ok(Some(Written { row, old: Some(old) }));
                            }
                            Applied::Refused => return Ok(None),
                            Applied::Changed(write) => write,
                        }
                    }
                    // Too new for the snapshot: whose is it?
                    None if !fresh => table.update(&ctx.txn, &snapshot, row, values)?,
                    None => Write::Gone,
                };
                match outcome {
                    Write::AlreadyMine => return Err(twice()),
                    Write::Gone => break,
                    Write::Concurrent | Write::Done => {
                        snapshot = ctx.txn.snapshot();
                        fresh = true;
                    }
                }
            }
            ctx.check()?;
        }
    }
}

enum Applied {
    Written {
        old: Vec<Datum>,
        new: Vec<Datum>,
    },
    /// WHERE was not true, or a trigger left the row alone.
    Refused,
    Changed(Write),
}

impl Update {
    /// The row is locked before anything is asked of it: it stays locked if WHERE refuses it, and
    /// triggers see each row once. What is in the way of that, if anything is. An update with
    /// neither of them locks the row itself.
    fn lock(
        &self,
        ctx: &ExecContext,
        table: &Table,
        row: RowId,
        snapshot: &Snapshot,
    ) -> Result<Option<Write>> {
        let mode = LockMode::NoKeyExclusive;
        Ok(match table.lock_row_to_write(&ctx.txn, snapshot, row, mode)? {
            LockOutcome::Locked if table.sees_newest(&ctx.txn, row, snapshot)? => None,
            LockOutcome::Locked => Some(Write::AlreadyMine),
            LockOutcome::Concurrent => Some(Write::Concurrent),
            LockOutcome::Gone | LockOutcome::Skipped => Some(Write::Gone),
        })
    }

    fn apply(
        &self,
        ctx: &ExecContext,
        params: &[Datum],
        leaf: &Leaf,
        (row, snapshot): (RowId, &Snapshot),
        old: Vec<Datum>,
        excluded: &[Datum],
    ) -> Result<Applied> {
        if (self.condition.is_some() || leaf.update.is_some())
            && let Some(other) = self.lock(ctx, leaf.table()?, row, snapshot)?
        {
            return Ok(Applied::Changed(other));
        }
        let (own, beside) = (leaf.map.target_of(&old), leaf.map.target_of(excluded));
        let table = leaf.rules.relation.oid;
        let both = WrittenRow { own: &own, id: row, table, beside: &beside };
        let once = vec![OnceCell::new(); self.cells];
        let frame = Frame { ctx, params, once: &once, row: RowRef::Written(&both) };
        if let Some(condition) = &self.condition
            && !condition.passes(&frame)?
        {
            return Ok(Applied::Refused);
        }
        let mut new = own.to_vec();
        for (at, node) in &self.assignments {
            let value = node.eval(&frame)?;
            if let Some(slot) = new.get_mut(*at) {
                *slot = value;
            }
        }
        let mut new = leaf.map.to_leaf(new, Some(&old));
        if let Some(t) = &leaf.update {
            match t.before_update(ctx, &old, new)? {
                Some(changed) => new = changed,
                None => return Ok(Applied::Refused),
            }
        }
        leaf.rules.apply(ctx, &mut new)?;
        if !leaf.rules.holds(ctx, &new)? {
            return Err(would_move());
        }
        let table = leaf.table()?;
        let update = || table.update(&ctx.txn, snapshot, row, &new);
        match leaf.rules.writing(ctx, update)? {
            Write::Done => Ok(Applied::Written { old, new }),
            other => Ok(Applied::Changed(other)),
        }
    }
}
