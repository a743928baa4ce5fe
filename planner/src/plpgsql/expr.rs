//! SQL inside a function: planned at its first run, with the variables it mentions as parameters.

use std::cell::RefCell;
use std::ops::Deref;
use std::sync::Arc;

use arc_swap::Guard;
use vicinity_types::{Datum, Oid, PgError, Result, SqlState, oid};

use vicinity_storage::catalog::model::Function;

use super::ast::{Form, Query, Scope, Slot, Sql, VariableKind};
use super::cast;
use super::frame::{Frame, Row, Value};
use super::run::Interpreter;
use crate::bind::{Conflict, Variables};
use crate::call::PgType;
use crate::context::ExecContext;
use crate::inner::{self, Params, Statement};
use crate::portal::Portal;

/// A piece of SQL planned for certain shapes of the records in it.
#[derive(Debug)]
pub(super) struct Planned {
    statement: Arc<Statement>,
    /// Where each parameter's value comes from.
    uses: Vec<Use>,
    /// The shapes of the records in sight that were looked at.
    shapes: Vec<Shape>,
}

/// What a plan takes a record to be.
#[derive(Debug)]
struct Shape {
    slot: Slot,
    names: Arc<[String]>,
    types: Arc<[PgType]>,
    /// Its type, where the plan has the record as a whole.
    whole: Option<Oid>,
}

impl Shape {
    fn fits(&self, frame: &Frame<'_>) -> bool {
        match frame.value(self.slot) {
            Some(Value::Row(Some(row))) => {
                self.whole.is_none_or(|ty| ty == row.type_oid)
                    && (Arc::ptr_eq(&row.names, &self.names) || row.names == self.names)
                    && (Arc::ptr_eq(&row.types, &self.types) || row.types == self.types)
            }
            Some(Value::Row(None)) => {
                let kind = frame.variables.get(self.slot).map(|v| &v.kind);
                matches!(kind, Some(VariableKind::Row(_)))
            }
            _ => false,
        }
    }
}

/// The plans of a piece of SQL.
pub(super) type Plans = arc_swap::ArcSwap<Vec<Arc<Planned>>>;

/// A plan in use: one of those kept, without a count that all sessions share.
enum InUse {
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

#[derive(Clone, Debug, PartialEq)]
enum Use {
    Whole(Slot, PgType),
    Field(Slot, usize, PgType),
}

/// Resolves names of variables while a piece of SQL is bound.
struct Lookup<'a, 'f> {
    ctx: &'a crate::context::ExecContext,
    scope: &'a Scope,
    conflict: Conflict,
    frame: &'a Frame<'f>,
    uses: RefCell<Vec<Use>>,
    shapes: RefCell<Vec<Shape>>,
}

impl Lookup<'_, '_> {
    fn index(&self, wanted: Use) -> usize {
        let mut uses = self.uses.borrow_mut();
        match uses.iter().position(|u| *u == wanted) {
            Some(at) => at + 1,
            None => {
                uses.push(wanted);
                uses.len()
            }
        }
    }

    fn whole(&self, slot: Slot) -> Option<(usize, PgType)> {
        let ty = match self.frame.variables.get(slot)?.kind {
            VariableKind::Scalar(ty) => ty,
            VariableKind::Row(ty) => PgType::with_kind(ty, -1, vicinity_types::Kind::Record),
            VariableKind::Record => match self.frame.value(slot) {
                Some(Value::Row(Some(row))) => {
                    self.saw(slot, row, true);
                    PgType::with_kind(row.type_oid, -1, vicinity_types::Kind::Record)
                }
                _ => PgType::new(oid::RECORD),
            },
        };
        Some((self.index(Use::Whole(slot, ty)), ty))
    }

    /// The plan depends on what a record looks like.
    fn saw(&self, slot: Slot, row: &Row, whole: bool) {
        let mut shapes = self.shapes.borrow_mut();
        let whole = whole.then_some(row.type_oid);
        match shapes.iter_mut().find(|s| s.slot == slot) {
            Some(shape) => shape.whole = shape.whole.or(whole),
            None => {
                let (names, types) = (row.names.clone(), row.types.clone());
                shapes.push(Shape { slot, names, types, whole });
            }
        }
    }

    fn field(&self, slot: Slot, field: &str) -> Option<(usize, PgType)> {
        if let VariableKind::Scalar(_) = self.frame.variables.get(slot)?.kind {
            return None;
        }
        let row = self.frame.row(self.ctx, slot).ok()?;
        let at = row.position(field)?;
        let ty = *row.types.get(at)?;
        self.saw(slot, &row, false);
        Some((self.index(Use::Field(slot, at, ty)), ty))
    }
}

impl Variables for Lookup<'_, '_> {
    fn lookup(&self, parts: &[&str]) -> Option<(usize, PgType)> {
        match parts {
            [name] => self.whole(*self.scope.names.get(*name)?),
            [first, second] => {
                if let Some(slot) = self.scope.labels.get(*first).and_then(|l| l.get(*second)) {
                    return self.whole(*slot);
                }
                self.field(*self.scope.names.get(*first)?, second)
            }
            [label, name, field] => self.field(*self.scope.labels.get(*label)?.get(*name)?, field),
            _ => None,
        }
    }

    fn fields(&self, name: &str) -> Option<Vec<(String, usize, PgType)>> {
        let slot = *self.scope.names.get(name)?;
        if let VariableKind::Scalar(_) = self.frame.variables.get(slot)?.kind {
            return None;
        }
        let row = self.frame.row(self.ctx, slot).ok()?;
        let field = |name: &String| {
            let (number, ty) = self.field(slot, name)?;
            Some((name.clone(), number, ty))
        };
        row.names.iter().map(field).collect()
    }

    fn conflict(&self) -> Conflict {
        self.conflict
    }

    fn transition(&self, name: &str) -> Option<Vec<(String, PgType)>> {
        self.ctx.transition.as_ref()?.columns(name).map(<[_]>::to_vec)
    }

    fn types(&self) -> Option<Vec<vicinity_types::Oid>> {
        let uses = self.uses.borrow();
        let oid = |u: &Use| match u {
            Use::Whole(_, ty) | Use::Field(_, _, ty) => ty.oid,
        };
        Some(uses.iter().map(oid).collect())
    }
}

/// The plan of a piece of SQL that fits the records as they are now.
fn plan(me: &Interpreter<'_>, sql: &Sql) -> Result<InUse> {
    plan_by(me, sql, inner::prepare)
}

type Prepare = fn(&ExecContext, &str, &[Oid], &dyn Variables) -> Result<Arc<Statement>>;

fn plan_by(me: &Interpreter<'_>, sql: &Sql, prepare: Prepare) -> Result<InUse> {
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

/// A column that was not found may be a field of a record without a shape yet, or of one that
/// lacks it: PostgreSQL says so.
fn unassigned(me: &Interpreter<'_>, sql: &Sql, error: PgError) -> Result<PgError, PgError> {
    if !matches!(error.code(), SqlState::UNDEFINED_TABLE | SqlState::UNDEFINED_COLUMN) {
        return Err(error);
    }
    for (name, slot) in &sql.scope.names {
        let dotted = sql.text.to_lowercase().contains(&format!("{name}."));
        let record =
            matches!(me.frame.variables.get(*slot).map(|v| &v.kind), Some(VariableKind::Record));
        if !dotted || !record {
            continue;
        }
        match me.frame.row(&me.ctx, *slot) {
            Err(e) => return Ok(e),
            Ok(row) => {
                if let Some(field) = missing_field(sql, name, &row) {
                    return Ok(PgError::new(
                        SqlState::UNDEFINED_COLUMN,
                        format!("record \"{name}\" has no field \"{field}\""),
                    ));
                }
            }
        }
    }
    Err(error)
}

/// The first field a piece of SQL names that a record lacks.
fn missing_field(sql: &Sql, name: &str, row: &Row) -> Option<String> {
    let text = sql.text.to_lowercase();
    let dotted = format!("{name}.");
    let named = text.split(dotted.as_str()).skip(1);
    let field = |after: &str| -> String {
        after.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
    };
    named.map(field).find(|f| !f.is_empty() && row.position(f).is_none())
}

/// Errors inside a function's SQL show that SQL, with the position in it.
fn inside(mut error: PgError, text: &str) -> PgError {
    let report = error.report_mut();
    if report.internal_query.is_none() {
        report.internal_position = report.position.take();
        report.internal_query = Some(text.to_owned());
    }
    error
}

/// The same for a piece of the body, as it is shown.
fn inside_piece(error: PgError, sql: &Sql) -> PgError {
    let known = error.report().internal_query.is_some();
    let mut error = inside(error, &sql.shown());
    let report = error.report_mut();
    if !known && let Some(place) = &mut report.internal_position {
        *place = (*place + sql.lead().chars().count()).saturating_sub(sql.prefix().len());
    }
    error
}

fn params(me: &Interpreter<'_>, planned: &Planned) -> Result<Params> {
    let mut values = Params::with_capacity(planned.uses.len());
    for u in &planned.uses {
        values.push(match u {
            Use::Whole(slot, _) => me.frame.datum(*slot)?,
            Use::Field(slot, at, _) => me.frame.field(&me.ctx, *slot, *at)?,
        });
    }
    Ok(values)
}

/// The value of an expression, with its type.
pub(super) fn eval(me: &mut Interpreter<'_>, sql: &Sql) -> Result<(Datum, PgType)> {
    let planned = plan(me, sql)?;
    let Some(column) = planned.statement.columns().first() else {
        return Err(PgError::new(SqlState::SYNTAX_ERROR, "missing expression"));
    };
    if planned.statement.columns().len() > 1 {
        return Err(PgError::new(
            SqlState::SYNTAX_ERROR,
            format!(
                "query \"{}\" returned {} columns",
                sql.shown(),
                planned.statement.columns().len()
            ),
        ));
    }
    let ty = column.ty;
    let values = params(me, &planned)?;
    // An expression over variables alone sees no rows: it needs no snapshot of its own.
    if planned.statement.reads_data() {
        me.renew();
    }
    if planned.statement.is_scalar() {
        let value = inner::scalar(&me.ctx, &planned.statement, &values);
        let reads = planned.statement.reads_data();
        return Ok((value.map_err(|e| if reads { while_running(e, sql) } else { e })?, ty));
    }
    let mut result = Datum::Null;
    let mut rows = 0;
    inner::rows(&me.ctx, &planned.statement, values, &mut |row| {
        rows += 1;
        if rows == 1 {
            result = row.into_iter().next().unwrap_or_default();
        }
        Ok(rows < 2)
    })
    .map_err(|e| while_running(e, sql))?;
    if rows > 1 {
        return Err(PgError::new(
            SqlState::CARDINALITY_VIOLATION,
            "query returned more than one row",
        )
        .context(format!("query: {}", sql.shown())));
    }
    Ok((result, ty))
}

/// A condition; NULL is false.
pub(super) fn truth(me: &mut Interpreter<'_>, sql: &Sql) -> Result<bool> {
    let (value, ty) = eval(me, sql)?;
    let value = cast::assign(&me.ctx, value, ty, PgType::new(oid::BOOL))?;
    Ok(matches!(value, Datum::Bool(true)))
}

/// An integer, or NULL.
pub(super) fn int(me: &mut Interpreter<'_>, sql: &Sql) -> Result<Option<i64>> {
    let (value, ty) = eval(me, sql)?;
    Ok(match cast::assign(&me.ctx, value, ty, PgType::new(oid::INT4))? {
        Datum::Int4(n) => Some(i64::from(n)),
        _ => None,
    })
}

/// A value as text, or NULL.
pub(super) fn text(me: &mut Interpreter<'_>, sql: &Sql) -> Result<Option<String>> {
    let (value, ty) = eval(me, sql)?;
    cast::to_text(&me.ctx, &value, ty)
}

/// `CASE operand WHEN list`: whether the operand equals one of the list.
pub(super) fn equals_any(me: &mut Interpreter<'_>, operand: &Sql, list: &Sql) -> Result<bool> {
    let condition = Sql {
        text: format!("({}) IN ({})", operand.text, list.text),
        form: Form::Expression,
        conflict: list.conflict,
        scope: list.scope.clone(),
        planned: Plans::default(),
    };
    truth(me, &condition)
}

/// Runs a query for its effect; gives the number of rows.
pub(super) fn run(me: &mut Interpreter<'_>, sql: &Sql) -> Result<u64> {
    let planned = plan(me, sql)?;
    run_planned(me, sql, &planned)
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

/// An error of a statement that could be planned: CONTEXT shows the statement.
fn while_running(error: PgError, sql: &Sql) -> PgError {
    error.context(sql.described())
}

/// Whether a piece of SQL was planned, and is done quickly.
pub(super) fn is_short(sql: &Sql, depth: u32) -> bool {
    let plans = sql.planned.load();
    !plans.is_empty() && plans.iter().all(|p| p.statement.is_short(depth))
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
    let (statement, values) = match query {
        Query::Static(sql) => {
            let planned = plan_by(me, sql, inner::prepare_cursor)?;
            let values = params(me, &planned)?;
            (planned.statement.clone(), values.into_vec())
        }
        Query::Dynamic { text, using } => {
            let (text, values) = dynamic_text(me, text, using)?;
            let statement = prepare_dynamic(me, &text, &values)?;
            (statement, values.into_iter().map(|(d, _)| d).collect())
        }
    };
    me.allow(&statement)?;
    me.renew();
    inner::open_cursor(&me.ctx, &statement, values, scroll)
}

type Given = Vec<(Datum, PgType)>;

fn prepare_dynamic(me: &Interpreter<'_>, text: &str, values: &Given) -> Result<Arc<Statement>> {
    let types: Vec<PgType> = values.iter().map(|(_, t)| *t).collect();
    inner::prepare_with_types(&me.ctx, text, &types).map_err(|e| inside(e, text))
}

/// A query that is about to run.
struct Begun {
    statement: Arc<Statement>,
    values: Params,
    /// The text of one made at run time.
    made: Option<String>,
}

fn begin(me: &mut Interpreter<'_>, query: &Query) -> Result<Begun> {
    let begun = match query {
        Query::Static(sql) => {
            let planned = plan(me, sql)?;
            let values = params(me, &planned)?;
            Begun { statement: planned.statement.clone(), values, made: None }
        }
        Query::Dynamic { text, using } => {
            let (text, values) = dynamic_text(me, text, using)?;
            let statement = prepare_dynamic(me, &text, &values)?;
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
    let Begun { statement, values, .. } = begin(me, query)?;
    each(me, &statement, values, f)
}

/// The first rows of a query, at most `enough`. What `check` or running it finds wrong is the query's.
pub(super) fn collect<'i>(
    me: &mut Interpreter<'i>,
    query: &Query,
    enough: usize,
    check: impl FnOnce(&Interpreter<'i>, &Statement) -> Result<()>,
) -> Result<Vec<Row>> {
    let Begun { statement, values, made } = begin(me, query)?;
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
    let text = text(me, sql)?.ok_or_else(|| {
        PgError::new(SqlState::NULL_VALUE_NOT_ALLOWED, "query string argument of EXECUTE is null")
    })?;
    let values = using.iter().map(|u| eval(me, u)).collect::<Result<Given>>()?;
    Ok((text, values))
}
