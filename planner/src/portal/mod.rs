//! Portals: statements with their parameters, ready to run or running.
//!
//! There is one kind, whoever made it: Bind, DECLARE, OPEN of PL/pgSQL. Those with a name are the
//! session's ([`Portals`]), so that FETCH finds what Bind made and Execute what DECLARE made.

mod back;
mod ids;
mod named;
mod walk;

use std::sync::Arc;

use vicinity_storage::catalog::model::Relation;
use vicinity_storage::{Catalog, RowId};
use vicinity_types::{Datum, Oid, PgError, Result, SqlState};

use ids::Ids;
pub use ids::RowIds;
pub use named::{Handle, Mark, Portals};
use walk::Back;
pub use walk::Walk;

use crate::context::ExecContext;
use crate::exec::name;
use crate::prepared::{Kind, Prepared};
use crate::query::QueryPlan;
use crate::rows::OutputColumn;
use crate::session::{Execution, RowsTag, Session};
use crate::session_state::SessionState;
use crate::sql::Statement;

/// How far a portal is.
pub enum Run {
    /// It has not begun.
    Bound(Vec<Datum>),
    /// It runs, once and forward.
    Execution(Execution),
    /// It can be gone through.
    Walk(Walk),
    /// It ran to its end.
    Done,
}

/// What DECLARE says of a cursor.
#[derive(Clone, Copy, Debug, Default)]
pub struct CursorOptions {
    /// `BINARY`
    pub binary: bool,
    /// `SCROLL` or `NO SCROLL`
    pub scroll: Option<bool>,
    /// `WITH HOLD`
    pub hold: bool,
}

/// What `pg_cursors` shows of a portal with a name.
#[derive(Clone, Debug, Default)]
pub struct About {
    /// The statement's text.
    pub text: String,
    /// How it was declared.
    pub options: CursorOptions,
    /// When it was made, microseconds since 2000-01-01 UTC.
    pub created: i64,
}

/// A portal.
pub struct Portal {
    /// What it runs; `None` for the empty statement and for cursors.
    pub prepared: Option<Arc<Prepared>>,
    /// Bind's format codes of the results.
    pub formats: Box<[i16]>,
    /// How far it is.
    pub run: Run,
    /// The client knows that COPY has begun.
    pub copying: bool,
    about: Option<Box<About>>,
    /// The plan of a cursor.
    plan: Option<Arc<QueryPlan>>,
    /// It outlived its transaction.
    held: bool,
}

/// `55000`: it ran already, or it runs now.
pub fn cannot_be_run(name: &str) -> PgError {
    PgError::new(
        SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE,
        format!("portal \"{name}\" cannot be run"),
    )
}

impl Portal {
    /// A portal that has not begun.
    pub fn bound(
        prepared: Option<Arc<Prepared>>,
        params: Vec<Datum>,
        formats: Box<[i16]>,
    ) -> Portal {
        let run = Run::Bound(params);
        Portal { prepared, formats, run, copying: false, about: None, plan: None, held: false }
    }

    /// A cursor over a query, before its first row. Ids behind the plan's columns are not shown.
    pub(crate) fn cursor(
        ctx: &ExecContext,
        plan: Arc<QueryPlan>,
        params: Vec<Datum>,
        about: About,
        ids: RowIds,
    ) -> Result<Portal> {
        let options = about.options;
        let back = match options.scroll {
            _ if options.hold => Back::Kept(Vec::new()),
            Some(true) => Back::Kept(Vec::new()),
            Some(false) => Back::No,
            None => again(ctx, &plan, &params),
        };
        let mut columns = plan.columns.clone();
        let table = columns.last().map_or(0, |c| c.table);
        columns.truncate(columns.len().saturating_sub(ids.columns()));
        let locks = plan.is_locking();
        let cursor = plan.open(ctx.clone(), params)?;
        let plan = Some(plan);
        let binary: Box<[i16]> = if options.binary { Box::new([1]) } else { Box::new([]) };
        Ok(Portal {
            prepared: None,
            formats: binary,
            run: Run::Walk(Walk::new(cursor, columns, back, Ids { of: ids, table, locks })),
            copying: false,
            about: Some(Box::new(about)),
            plan,
            held: false,
        })
    }

    /// Whether it is open and reads a relation.
    pub(crate) fn reads(&self, relation: Oid) -> bool {
        let begun = matches!(self.run, Run::Walk(_) | Run::Execution(Execution::Rows { .. }));
        if self.held || !begun {
            return false;
        }
        let of_bind = || self.prepared.as_ref().and_then(|p| p.uses());
        let uses = self.plan.as_ref().map(|plan| plan.uses()).or_else(of_bind);
        uses.is_some_and(|uses| uses.list().iter().any(|u| u.relation == relation))
    }

    /// The columns of its rows; `None` if it gives none.
    pub fn columns(&self) -> Option<&[OutputColumn]> {
        match (&self.run, &self.prepared) {
            (Run::Walk(walk), _) => Some(walk.columns()),
            (_, Some(prepared)) => prepared.columns.as_deref(),
            _ => None,
        }
    }

    /// A simple query asks for no formats: rows that it fetches from a binary cursor are binary all the same.
    pub fn take_cursor_format(&mut self, session: &SessionState) {
        let statement = self.prepared.as_ref().map(|p| &*p.parsed.stmt);
        if let Some(Statement::Fetch(fetch)) = statement
            && !fetch.moves
            && let Some(cursor) = session.portals().get(&name::ident(&fetch.name))
            && cursor.try_lock().is_some_and(|c| c.is_binary_cursor())
        {
            self.formats = Box::new([1]);
        }
    }

    fn is_binary_cursor(&self) -> bool {
        self.about.as_ref().is_some_and(|about| about.options.binary)
    }

    /// Whether it may run on a connection's own task (invariant *no-starvation*).
    pub fn is_short(&self) -> bool {
        match (&self.run, &self.prepared) {
            (Run::Walk(_), _) => false,
            (_, Some(prepared)) => prepared.is_short(),
            _ => true,
        }
    }

    /// Begins to run, unless it has.
    pub fn begin(&mut self, session: &mut Session) -> Result<()> {
        let Run::Bound(params) = &mut self.run else { return Ok(()) };
        let Some(prepared) = &self.prepared else { return Ok(()) };
        let params = std::mem::take(params);
        self.run = Run::Execution(session.execute(prepared, params)?);
        Ok(())
    }

    /// What FETCH goes through. A portal of Bind becomes it here; it goes forward only.
    pub(crate) fn walk(&mut self, ctx: &ExecContext, name: &str) -> Result<&mut Walk> {
        if !matches!(self.run, Run::Walk(_)) {
            let run = std::mem::replace(&mut self.run, Run::Done);
            let columns = self.prepared.as_ref().and_then(|p| p.columns.clone());
            let prepared = self.prepared.as_deref();
            let cursor = match (run, prepared.map(|p| (p, &p.kind))) {
                (Run::Bound(params), Some((prepared, Kind::Query(plan)))) => {
                    plan.open(ctx.clone(), prepared.values(params))?
                }
                (Run::Execution(Execution::Rows { cursor, tag: RowsTag::Count(_) }), _) => cursor,
                (run, _) => {
                    self.run = run;
                    return Err(cannot_be_run(name));
                }
            };
            let columns = columns.unwrap_or_default();
            self.run = Run::Walk(Walk::new(cursor, columns, Back::No, Ids::default()));
        }
        match &mut self.run {
            Run::Walk(walk) => Ok(walk),
            _ => Err(cannot_be_run(name)),
        }
    }

    /// The row it is on, for `WHERE CURRENT OF` over some tables, with its table; `None` if that is none of them.
    pub(crate) fn current(
        &self,
        name: &str,
        catalog: &Catalog,
        tables: &[Arc<Relation>],
    ) -> Result<Option<(Oid, RowId)>> {
        let state = |message: String| PgError::new(SqlState::INVALID_CURSOR_STATE, message);
        let walk = match &self.run {
            Run::Walk(walk) if !self.held => Some(walk),
            _ => None,
        };
        let ids = walk.map(|w| w.ids).unwrap_or_default();
        if let Some(table) = tables.iter().find(|table| !ids.cover(catalog, table.oid)) {
            let own = &table.name;
            return Err(state(match ids.locks {
                true => format!(
                    "cursor \"{name}\" does not have a FOR UPDATE/SHARE reference to table \"{own}\""
                ),
                false => {
                    format!("cursor \"{name}\" is not a simply updatable scan of table \"{own}\"")
                }
            }));
        }
        let Some(found) = walk.and_then(Walk::current) else {
            return Err(state(format!("cursor \"{name}\" is not positioned on a row")));
        };
        Ok(tables.iter().any(|t| t.oid == found.0).then_some(found))
    }

    /// Whether it is a cursor WITH HOLD of a transaction that has not ended.
    pub(crate) fn is_to_be_held(&self) -> bool {
        !self.held && self.about.as_ref().is_some_and(|a| a.options.hold)
    }

    /// The transaction is about to commit: a cursor WITH HOLD reads its rows, and stays.
    pub(crate) fn commit(&mut self) -> Result<()> {
        match &mut self.run {
            Run::Walk(walk)
                if !self.held && self.about.as_ref().is_some_and(|a| a.options.hold) =>
            {
                walk.hold()?;
                self.held = true;
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

/// Going back without SCROLL, where PostgreSQL's plans would: by running again where that gives the
/// same rows in the same order, which the row lane does; else by keeping the rows.
fn again(ctx: &ExecContext, plan: &Arc<QueryPlan>, params: &[Datum]) -> Back {
    use crate::session_state::Lane;
    if plan.is_locking() || !back::goes_back(&plan.logical) {
        return Back::No;
    }
    let batch = plan.row_plan().is_none() || ctx.session.lane() == Lane::Batch;
    if batch || !plan.reads_data() {
        return Back::Kept(Vec::new());
    }
    Back::Again {
        plan: plan.clone(),
        ctx: Box::new(ctx.clone()),
        params: params.to_vec(),
        _snapshot: ctx.txn.hold(),
    }
}
