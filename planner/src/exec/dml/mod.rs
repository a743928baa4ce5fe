//! INSERT, UPDATE, DELETE and MERGE: prepared once, run many times.
//!
//! Values, conditions and RETURNING are compiled for the row lane: a statement that finds its row by
//! a key plans nothing at run time. Where an expression is beyond the row lane (a subquery), the
//! query that finds the rows computes it.
//!
//! A row that changed since the statement's snapshot is looked at again, as PostgreSQL's
//! EvalPlanQual does: its newest version is checked against the condition, and changed from there.

mod assign;
mod change;
mod conflict;
pub(crate) mod feed;
pub(crate) mod index_expressions;
mod insert;
mod layout;
pub(crate) mod leaf;
mod merge;
mod returning;
mod route;
mod rules;
mod shown;
mod target;

use std::borrow::Cow;
use std::sync::Arc;

use sqlparser::ast::{self, Statement as Ast};
use vicinity_storage::catalog::model::Relation;
use vicinity_types::{Datum, Oid, PgError, Result};

use super::after::Queue;
use super::outcome::{Outcome, Rows, Tag};
use super::triggers::Triggers;
use crate::bind::Binder;
use crate::context::ExecContext;
use crate::parts::Parts;
use crate::query::QueryPlan;
use crate::rows::{Collect, Discard, OutputColumn, RowSink};
use crate::uses::{Use, Uses};
pub(crate) use index_expressions::Compiler as IndexCompiler;
pub(crate) use layout::{Layout, bare_name, column_type, columns_of, extend, table_def};
pub(crate) use rules::{
    RowExpr, binder, check_named, conversion, default_of, default_value, validate,
};
pub(crate) use shown::{Cell, Description, Source};
pub(crate) use target::has_instead;

/// How deep triggers may go in a write that counts as short.
const TRIGGERS: u32 = 2;

/// A write, prepared.
pub struct DmlPlan {
    kind: Kind,
    params: Vec<Oid>,
    columns: Option<Vec<OutputColumn>>,
    short: bool,
    /// What its WITH runs once.
    parts: Parts,
    /// What it asks of relations.
    uses: Uses,
    /// Whether it reads tables through those they inherit from.
    families: bool,
}

enum Kind {
    Insert(Box<insert::Insert>),
    Change(Box<change::Change>),
    Merge(Box<merge::Merge>),
}

impl DmlPlan {
    /// Columns of RETURNING; `None` without it.
    pub fn columns(&self) -> Option<&[OutputColumn]> {
        self.columns.as_deref()
    }

    /// Types of the parameters.
    pub fn params(&self) -> &[Oid] {
        &self.params
    }

    /// What it asks of relations.
    pub fn uses(&self) -> &Uses {
        &self.uses
    }

    /// Whether it may run on a connection's own task (invariant *no-starvation*).
    pub fn is_short(&self) -> bool {
        self.is_short_within(TRIGGERS)
    }

    /// The same, its triggers going no deeper than `depth`.
    pub(crate) fn is_short_within(&self, depth: u32) -> bool {
        self.short && self.triggers().iter().all(|t| t.is_short(depth))
    }

    /// Whether it would be short if nothing fired.
    pub(crate) fn is_short_alone(&self) -> bool {
        self.short
    }

    fn triggers(&self) -> Vec<&Arc<Triggers>> {
        match &self.kind {
            Kind::Insert(i) => i.triggers().collect(),
            Kind::Change(c) => c.triggers().into_iter().collect(),
            Kind::Merge(m) => m.triggers().collect(),
        }
    }

    /// Runs it, RETURNING's rows in memory.
    pub fn run(&self, ctx: &ExecContext, params: &[Datum]) -> Result<Outcome> {
        let Some(columns) = &self.columns else {
            return Ok(run(self, ctx, params, &mut Discard)?.into());
        };
        let mut sink = Collect::default();
        let tag = run(self, ctx, params, &mut sink)?;
        let columns = columns.iter().map(|c| (c.name.clone(), c.ty)).collect();
        Ok(Outcome { tag, rows: Some(Rows { columns, rows: sink.rows }) })
    }

    /// The queries that find its rows, and those beside it.
    pub(crate) fn queries(&self) -> impl Iterator<Item = &QueryPlan> {
        let (own, sources) = match &self.kind {
            Kind::Insert(i) => (None, i.queries()),
            Kind::Change(c) => (Some(c.query()), &[][..]),
            Kind::Merge(m) => (Some(m.plan()), &[][..]),
        };
        own.into_iter().chain(sources.iter().map(|(plan, _)| plan)).chain(self.parts.read())
    }

    /// Whether they read tables through those they inherit from.
    #[inline]
    pub(crate) fn has_families(&self) -> bool {
        self.families
    }

    /// What runs once before or beside it.
    pub(crate) fn parts(&self) -> &Parts {
        &self.parts
    }

    /// `INSERT`, `UPDATE`, `DELETE` or `MERGE`.
    pub fn verb(&self) -> &'static str {
        match &self.kind {
            Kind::Insert(_) => "INSERT",
            Kind::Change(c) => c.name(),
            Kind::Merge(_) => "MERGE",
        }
    }

    /// The table written to.
    pub fn relation(&self) -> &Arc<Relation> {
        match &self.kind {
            Kind::Insert(i) => i.relation(),
            Kind::Change(c) => &c.rules().relation,
            Kind::Merge(m) => &m.rules().relation,
        }
    }
}

/// The write in a statement, with the WITH before it; `None` if it is none.
fn write_of(stmt: &Ast) -> Option<(&Ast, Option<&ast::With>)> {
    match stmt {
        Ast::Insert(_) | Ast::Update(_) | Ast::Delete(_) | Ast::Merge(_) => Some((stmt, None)),
        Ast::Query(q) => match &*q.body {
            ast::SetExpr::Insert(s)
            | ast::SetExpr::Update(s)
            | ast::SetExpr::Delete(s)
            | ast::SetExpr::Merge(s) => Some((s, q.with.as_ref())),
            _ => None,
        },
        _ => None,
    }
}

/// Whether a statement is a write for this module.
pub fn is_write(stmt: &Ast) -> bool {
    write_of(stmt).is_some()
}

/// Prepares a write with a binder that knows its parameters.
pub fn prepare(ctx: &ExecContext, mut binder: Binder<'_>, stmt: &Ast) -> Result<DmlPlan> {
    let Some((write, with)) = write_of(stmt) else {
        return Err(PgError::internal("statement is not a write"));
    };
    binder.statement_with(with, stmt)?;
    let plan = match write {
        Ast::Insert(i) => insert::prepare(ctx, &mut binder, i),
        Ast::Update(u) => change::prepare_update(ctx, &mut binder, u),
        Ast::Delete(d) => change::prepare_delete(ctx, &mut binder, d),
        Ast::Merge(m) => merge::prepare(ctx, &mut binder, m),
        _ => Err(PgError::internal("statement is not a write")),
    }?;
    let parts = Parts::plan(ctx, binder.take_parts(), &plan.params)?;
    let table = plan.relation().oid;
    let read = Use { written: true, ..Use::read(table, None) };
    binder.uses().set_written(table);
    binder.uses().add(read);
    let uses = std::mem::take(binder.uses()).judged(&ctx.catalog, &ctx.session);
    let short = plan.short && parts.is_empty();
    let plan = DmlPlan { short, parts, uses, ..plan };
    let families = plan.queries().any(QueryPlan::has_families);
    Ok(DmlPlan { families, ..plan })
}

/// Runs a write; RETURNING's rows go to `sink`. Gives its tag with the number of rows.
pub fn run(
    plan: &DmlPlan,
    ctx: &ExecContext,
    params: &[Datum],
    sink: &mut dyn RowSink,
) -> Result<Tag> {
    let mut queue = Queue::default();
    let tag = run_noting(plan, ctx, params, sink, &mut queue)?;
    queue.finish(ctx)?;
    Ok(tag)
}

/// Runs a write whose foreign keys are looked at later, with those already in the queue.
pub(crate) fn run_noting(
    plan: &DmlPlan,
    ctx: &ExecContext,
    params: &[Datum],
    sink: &mut dyn RowSink,
    queue: &mut Queue,
) -> Result<Tag> {
    plan.uses.begin(&ctx.txn, plan.verb())?;
    let ctx = &*plan.parts.begin(Cow::Borrowed(ctx), params)?;
    match &plan.kind {
        Kind::Insert(i) => Ok(Tag::counted("INSERT 0", i.run(ctx, params, sink, queue)?)),
        Kind::Change(c) => {
            let name = c.name();
            Ok(Tag::counted(name, c.run(ctx, params, sink, queue)?))
        }
        Kind::Merge(m) => Ok(Tag::counted("MERGE", m.run(ctx, params, queue)?)),
    }
}

/// Whether READ ONLY transactions may write to a table.
pub(crate) fn is_temporary(relation: &Relation) -> bool {
    use vicinity_storage::catalog::model::Persistence;
    relation.table().is_some_and(|t| t.persistence == Persistence::Temporary)
}
