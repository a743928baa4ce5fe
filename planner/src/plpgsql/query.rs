//! Queries inside a function, written out or made at run time: run for their effect, for their rows, or by a cursor.

use std::sync::Arc;

use vicinity_storage::catalog::model::Function;
use vicinity_types::{Datum, PgError, Result, SqlState, oid};

use super::ast::{Query, Sql};
use super::errors::{inside, while_running};
use super::expr;
use super::frame::Row;
use super::plan::{Planned, Prepare, params, plan, plan_by};
use super::run::Interpreter;
use crate::call::PgType;
use crate::inner::{self, Params, Statement};
use crate::portal::Portal;

/// Runs a query for its effect; gives the number of rows.
pub(super) fn run(me: &mut Interpreter<'_>, sql: &Sql) -> Result<u64> {
    let planned = plan(me, sql)?;
    run_planned(me, sql, &planned)
}

fn run_planned(me: &mut Interpreter<'_>, sql: &Sql, planned: &Planned) -> Result<u64> {
    planned.statement.check_in_function()?;
    me.allow(&planned.statement)?;
    let values = params(me, planned)?;
    me.renew();
    let mut rows = 0;
    let affected = inner::rows(&me.ctx, &planned.statement, values, &mut |_| {
        rows += 1;
        Ok(true)
    });
    let affected = affected.map_err(|e| while_running(e, sql))?;
    Ok(affected.max(rows))
}

/// What a CALL gave: the procedure, its output and the types of that.
type Called = (Arc<Function>, Vec<Datum>, Vec<PgType>);

/// Runs a CALL; `None` if it has no output.
pub(super) fn call(me: &mut Interpreter<'_>, sql: &Sql) -> Result<Option<Called>> {
    let planned = plan(me, sql)?;
    let statement = planned.statement.clone();
    let Some(plan) = statement.call() else {
        return Err(PgError::new(SqlState::SYNTAX_ERROR, "not a CALL"));
    };
    let values = params(me, &planned)?;
    drop(planned);
    me.renew();
    let row = plan.run(&me.ctx, &values, me.transactions).map_err(|e| while_running(e, sql))?;
    let types = plan.columns().iter().map(|c| c.ty).collect();
    Ok((!row.is_empty()).then(|| (plan.function().clone(), row, types)))
}

/// Runs a statement without INTO: rows touched, and whether it gives rows.
pub(super) fn execute(me: &mut Interpreter<'_>, query: &Query) -> Result<(u64, bool)> {
    match query {
        Query::Static(sql) => {
            let planned = plan(me, sql)?;
            let gives = !planned.statement.columns().is_empty();
            if gives {
                return Ok((0, true));
            }
            Ok((run_planned(me, sql, &planned)?, false))
        }
        Query::Dynamic { text: sql, using } => {
            let (text, values) = dynamic_text(me, sql, using)?;
            let types: Vec<PgType> = values.iter().map(|(_, t)| *t).collect();
            let given: Params = values.into_iter().map(|(d, _)| d).collect();
            let mut count = 0;
            // EXECUTE takes several statements; each sees what the one before it did.
            for one in inner::split(&text).map_err(|e| inside(e, &text))? {
                me.renew();
                let statement = inner::prepare_with_types(&me.ctx, &one, &types)
                    .map_err(|e| inside(e, &one))?;
                statement.check_in_function()?;
                me.allow(&statement).map_err(|e| inside(e, &one))?;
                count = inner::rows(&me.ctx, &statement, given.clone(), &mut |_| Ok(true))
                    .map_err(|e| e.context(format!("SQL statement \"{one}\"")))?;
            }
            Ok((count, false))
        }
    }
}

/// Opens a cursor over a query.
pub(super) fn open(
    me: &mut Interpreter<'_>,
    query: &Query,
    scroll: Option<bool>,
) -> Result<Portal> {
    let Begun { statement, values, .. } = begin(me, query, inner::prepare_cursor)?;
    me.renew();
    inner::open_cursor(&me.ctx, &statement, values.into_vec(), scroll)
}

type Given = Vec<(Datum, PgType)>;

/// A query that is about to run.
struct Begun {
    statement: Arc<Statement>,
    values: Params,
    /// The text of one made at run time.
    made: Option<String>,
}

fn begin(me: &mut Interpreter<'_>, query: &Query, prepare: Prepare) -> Result<Begun> {
    let begun = match query {
        Query::Static(sql) => {
            let planned = plan_by(me, sql, prepare)?;
            let values = params(me, &planned)?;
            Begun { statement: planned.statement.clone(), values, made: None }
        }
        Query::Dynamic { text, using } => {
            let (text, values) = dynamic_text(me, text, using)?;
            let types: Vec<PgType> = values.iter().map(|(_, t)| *t).collect();
            let statement =
                inner::prepare_with_types(&me.ctx, &text, &types).map_err(|e| inside(e, &text))?;
            let values = values.into_iter().map(|(d, _)| d).collect();
            Begun { statement, values, made: Some(text) }
        }
    };
    me.allow(&begun.statement)?;
    Ok(begun)
}

/// Gives every row of a query to `f` until it says to stop. It is `f` that may fail, too: CONTEXT does not show the
/// query.
pub(super) fn for_each<'i>(
    me: &mut Interpreter<'i>,
    query: &Query,
    f: &mut dyn FnMut(&mut Interpreter<'i>, Row) -> Result<bool>,
) -> Result<()> {
    let Begun { statement, values, .. } = begin(me, query, inner::prepare)?;
    each(me, &statement, values, f)
}

/// The first rows of a query, at most `enough`. What `check` or running it finds wrong is the query's.
pub(super) fn collect<'i>(
    me: &mut Interpreter<'i>,
    query: &Query,
    enough: usize,
    check: impl FnOnce(&Interpreter<'i>, &Statement) -> Result<()>,
) -> Result<Vec<Row>> {
    let Begun { statement, values, made } = begin(me, query, inner::prepare)?;
    let mut rows = Vec::new();
    let mut take = |_: &mut Interpreter<'i>, row: Row| -> Result<bool> {
        rows.push(row);
        Ok(rows.len() < enough)
    };
    let ran = check(me, &statement).and_then(|()| each(me, &statement, values, &mut take));
    match (ran, query) {
        (Ok(()), _) => Ok(rows),
        (Err(e), Query::Static(sql)) => Err(while_running(e, sql)),
        (Err(e), Query::Dynamic { .. }) => {
            Err(e.context(format!("SQL statement \"{}\"", made.unwrap_or_default())))
        }
    }
}

fn each<'i>(
    me: &mut Interpreter<'i>,
    statement: &Arc<Statement>,
    values: Params,
    f: &mut dyn FnMut(&mut Interpreter<'i>, Row) -> Result<bool>,
) -> Result<()> {
    me.renew();
    let names: Arc<[String]> = statement.columns().iter().map(|c| c.name.clone()).collect();
    let types: Arc<[PgType]> = statement.columns().iter().map(|c| c.ty).collect();
    let ctx = me.ctx.clone();
    let _open = ctx.session.open_query(statement.clone());
    inner::rows(&ctx, statement, values, &mut |values| {
        let (names, types) = (names.clone(), types.clone());
        f(me, Row { type_oid: oid::RECORD, names, types, values })
    })?;
    Ok(())
}

fn dynamic_text(me: &mut Interpreter<'_>, sql: &Sql, using: &[Sql]) -> Result<(String, Given)> {
    let text = expr::text(me, sql)?.ok_or_else(|| {
        PgError::new(SqlState::NULL_VALUE_NOT_ALLOWED, "query string argument of EXECUTE is null")
    })?;
    let values = using.iter().map(|u| expr::eval(me, u)).collect::<Result<Given>>()?;
    Ok((text, values))
}
