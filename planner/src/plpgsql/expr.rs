//! Expressions inside a function, and what is asked of them: a condition, a number, a text.

use vicinity_types::{Datum, PgError, Result, SqlState, oid};

use super::ast::{Form, Sql};
use super::cast;
use super::errors::while_running;
use super::plan::{Plans, params, plan};
use super::run::Interpreter;
use crate::call::PgType;
use crate::inner;

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
