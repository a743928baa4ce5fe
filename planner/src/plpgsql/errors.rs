//! Errors of the SQL inside a function, with where in it they are.

use vicinity_types::{PgError, Result, SqlState};

use super::ast::{Sql, VariableKind};
use super::frame::Row;
use super::run::Interpreter;

/// A column that was not found may be a field of a record without a shape yet, or of one that
/// lacks it: PostgreSQL says so.
pub(super) fn unassigned(
    me: &Interpreter<'_>,
    sql: &Sql,
    error: PgError,
) -> Result<PgError, PgError> {
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
pub(super) fn inside(mut error: PgError, text: &str) -> PgError {
    let report = error.report_mut();
    if report.internal_query.is_none() {
        report.internal_position = report.position.take();
        report.internal_query = Some(text.to_owned());
    }
    error
}

/// The same for a piece of the body, as it is shown.
pub(super) fn inside_piece(error: PgError, sql: &Sql) -> PgError {
    let known = error.report().internal_query.is_some();
    let mut error = inside(error, &sql.shown());
    let report = error.report_mut();
    if !known && let Some(place) = &mut report.internal_position {
        *place = (*place + sql.lead().chars().count()).saturating_sub(sql.prefix().len());
    }
    error
}

/// An error of a statement that could be planned: CONTEXT shows the statement.
pub(super) fn while_running(error: PgError, sql: &Sql) -> PgError {
    error.context(sql.described())
}
