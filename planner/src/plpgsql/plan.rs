//! SQL inside a function: planned at its first run, with the variables it mentions as parameters.

use std::cell::RefCell;
use std::ops::Deref;
use std::sync::Arc;

use arc_swap::Guard;
use vicinity_types::{Oid, Result};

use super::ast::Sql;
use super::errors::{inside_piece, unassigned};
use super::lookup::{Lookup, Shape, Use};
use super::run::Interpreter;
use crate::bind::Variables;
use crate::context::ExecContext;
use crate::inner::{self, Params, Statement};

/// A piece of SQL planned for certain shapes of the records in it.
#[derive(Debug)]
pub(super) struct Planned {
    pub(super) statement: Arc<Statement>,
    /// Where each parameter's value comes from.
    uses: Vec<Use>,
    /// The shapes of the records in sight that were looked at.
    shapes: Vec<Shape>,
}

/// The plans of a piece of SQL.
pub(super) type Plans = arc_swap::ArcSwap<Vec<Arc<Planned>>>;

/// A plan in use: one of those kept, without a count that all sessions share.
pub(super) enum InUse {
    Kept(Guard<Arc<Vec<Arc<Planned>>>>, usize),
    New(Arc<Planned>),
}

impl InUse {
    fn find(sql: &Sql, fits: impl Fn(&Planned) -> bool) -> Option<InUse> {
        let plans = sql.planned.load();
        let at = plans.iter().position(|p| fits(p))?;
        Some(InUse::Kept(plans, at))
    }
}

impl Deref for InUse {
    type Target = Planned;

    fn deref(&self) -> &Planned {
        match self {
            InUse::New(planned) => planned,
            #[allow(clippy::indexing_slicing)] // found there
            InUse::Kept(plans, at) => &plans[*at],
        }
    }
}

/// The plan of a piece of SQL that fits the records as they are now.
pub(super) fn plan(me: &Interpreter<'_>, sql: &Sql) -> Result<InUse> {
    plan_by(me, sql, inner::prepare)
}

pub(super) type Prepare = fn(&ExecContext, &str, &[Oid], &dyn Variables) -> Result<Arc<Statement>>;

pub(super) fn plan_by(me: &Interpreter<'_>, sql: &Sql, prepare: Prepare) -> Result<InUse> {
    let fits =
        |p: &Planned| p.statement.is_current(&me.ctx) && p.shapes.iter().all(|s| s.fits(&me.frame));
    if let Some(found) = InUse::find(sql, fits)
        && found.statement.hold(&me.ctx)?
    {
        return Ok(found);
    }
    let lookup = Lookup {
        ctx: &me.ctx,
        scope: &sql.scope,
        conflict: sql.conflict,
        frame: &me.frame,
        uses: RefCell::default(),
        shapes: RefCell::default(),
    };
    let text = format!("{}{}", sql.prefix(), sql.text);
    let statement = prepare(&me.ctx, &text, &[], &lookup)
        .map_err(|e| unassigned(me, sql, e).unwrap_or_else(|e| inside_piece(e, sql)))?;
    let planned = Arc::new(Planned {
        statement,
        uses: lookup.uses.into_inner(),
        shapes: lookup.shapes.into_inner(),
    });
    sql.planned.rcu(|plans| {
        let current = |p: &&Arc<Planned>| p.statement.is_current(&me.ctx);
        plans.iter().filter(current).chain([&planned]).cloned().collect::<Vec<_>>()
    });
    Ok(InUse::New(planned))
}

pub(super) fn params(me: &Interpreter<'_>, planned: &Planned) -> Result<Params> {
    let mut values = Params::with_capacity(planned.uses.len());
    for u in &planned.uses {
        values.push(match u {
            Use::Whole(slot, _) => me.frame.datum(*slot)?,
            Use::Field(slot, at, _) => me.frame.field(&me.ctx, *slot, *at)?,
        });
    }
    Ok(values)
}

/// Whether a piece of SQL was planned, and is done quickly.
pub(super) fn is_short(sql: &Sql, depth: u32) -> bool {
    let plans = sql.planned.load();
    !plans.is_empty() && plans.iter().all(|p| p.statement.is_short(depth))
}
