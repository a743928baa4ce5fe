//! RAISE, GET DIAGNOSTICS, and what CONTEXT lines call a statement.

use vicinity_types::{Datum, Notice, PgError, Report, Result, Severity, SqlState, oid};

use super::ast::{Place, Query, Raise, StatementKind};
use super::expr;
use super::run::Interpreter;
use crate::call::PgType;

pub(super) fn raise(me: &mut Interpreter<'_>, raise: &Raise) -> Result<()> {
    if raise.again {
        return Err(match me.handling.clone() {
            Some(error) => {
                // It says where it was.
                me.located = true;
                error
            }
            None => PgError::new(
                SqlState(*b"0Z002"),
                "RAISE without parameters cannot be used outside an exception handler",
            ),
        });
    }
    let mut report = Report { code: raise.condition, ..Report::default() };
    if let Some(format) = &raise.format {
        report.message = fill(me, format, &raise.args)?;
    } else if let Some(state) = raise.condition {
        report.message = condition_name(state);
    }
    for (name, sql) in &raise.options {
        let value = expr::text(me, sql)?.ok_or_else(|| {
            PgError::new(SqlState::NULL_VALUE_NOT_ALLOWED, "RAISE statement option cannot be null")
        })?;
        set_option(&mut report, name, value)?;
    }
    match raise.severity {
        None => {
            let code = report.code.unwrap_or(SqlState::RAISE_EXCEPTION);
            let mut error = PgError::new(code, "");
            if report.message.is_empty() {
                report.message = code.to_string();
            }
            report.code = Some(code);
            *error.report_mut() = report;
            Err(error)
        }
        Some(severity) => {
            let default = match severity {
                Severity::Warning => SqlState::WARNING,
                _ => SqlState::SUCCESSFUL_COMPLETION,
            };
            report.code.get_or_insert(default);
            me.ctx.session.notice(Notice { severity, report });
            Ok(())
        }
    }
}

fn condition_name(state: SqlState) -> String {
    SqlState::CONDITIONS
        .iter()
        .find(|(_, s)| *s == state)
        .map_or_else(|| state.to_string(), |(name, _)| name.to_lowercase())
}

fn set_option(report: &mut Report, name: &str, value: String) -> Result<()> {
    let place = match name {
        "errcode" => {
            report.code = Some(error_code(&value)?);
            return Ok(());
        }
        "message" => {
            report.message = value;
            return Ok(());
        }
        "detail" => &mut report.detail,
        "hint" => &mut report.hint,
        "column" => &mut report.column,
        "constraint" => &mut report.constraint,
        "datatype" => &mut report.data_type,
        "table" => &mut report.table,
        _ => &mut report.schema,
    };
    *place = Some(value);
    Ok(())
}

/// ERRCODE takes a SQLSTATE or a condition's name.
fn error_code(value: &str) -> Result<SqlState> {
    SqlState::parse(value)
        .or_else(|| {
            SqlState::CONDITIONS
                .iter()
                .find(|(name, _)| name.eq_ignore_ascii_case(value))
                .map(|(_, state)| *state)
        })
        .ok_or_else(|| {
            PgError::new(
                SqlState::UNDEFINED_OBJECT,
                format!("unrecognized exception condition \"{value}\""),
            )
        })
}

/// Puts the arguments' text for each `%`; NULL is `<NULL>`, `%%` a percent sign.
fn fill(me: &mut Interpreter<'_>, format: &str, args: &[super::ast::Sql]) -> Result<String> {
    let mut text = String::new();
    let mut args = args.iter();
    let mut chars = format.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '%' {
            text.push(c);
        } else if chars.peek() == Some(&'%') {
            chars.next();
            text.push('%');
        } else if let Some(sql) = args.next() {
            text.push_str(expr::text(me, sql)?.as_deref().unwrap_or("<NULL>"));
        }
    }
    Ok(text)
}

pub(super) fn diagnostics(
    me: &mut Interpreter<'_>,
    stacked: bool,
    items: &[(Place, String)],
    line: usize,
) -> Result<()> {
    for (place, item) in items {
        let (value, ty) =
            if stacked { stacked_item(me, item)? } else { current_item(me, item, line)? };
        me.frame.assign(&me.ctx, place, value, PgType::new(ty))?;
    }
    Ok(())
}

fn current_item(me: &Interpreter<'_>, item: &str, line: usize) -> Result<(Datum, u32)> {
    match item {
        "row_count" => {
            let count = i64::try_from(me.row_count).unwrap_or(i64::MAX);
            Ok((Datum::Int8(count), oid::INT8))
        }
        "pg_context" => {
            let here = format!("PL/pgSQL function {} line {line} at GET DIAGNOSTICS", me.name);
            Ok((Datum::text(here), oid::TEXT))
        }
        _ => Err(unknown_item(item)),
    }
}

fn unknown_item(item: &str) -> PgError {
    PgError::new(
        SqlState::SYNTAX_ERROR,
        format!("unrecognized GET DIAGNOSTICS item at or near \"{item}\""),
    )
}

fn stacked_item(me: &Interpreter<'_>, item: &str) -> Result<(Datum, u32)> {
    let Some(error) = &me.handling else {
        return Err(PgError::new(
            SqlState(*b"0Z002"),
            "GET STACKED DIAGNOSTICS cannot be used outside an exception handler",
        ));
    };
    let report = error.report();
    let optional = |s: &Option<String>| s.clone().unwrap_or_default();
    let text = match item {
        "returned_sqlstate" => error.code().to_string(),
        "message_text" => report.message.clone(),
        "pg_exception_detail" => optional(&report.detail),
        "pg_exception_hint" => optional(&report.hint),
        "pg_exception_context" => optional(&report.context),
        "column_name" => optional(&report.column),
        "constraint_name" => optional(&report.constraint),
        "pg_datatype_name" => optional(&report.data_type),
        "table_name" => optional(&report.table),
        "schema_name" => optional(&report.schema),
        _ => return Err(unknown_item(item)),
    };
    Ok((Datum::text(text), oid::TEXT))
}

/// A statement as PostgreSQL's CONTEXT names it.
pub(super) fn describe(kind: &StatementKind) -> &'static str {
    match kind {
        StatementKind::Block(_) => "statement block",
        StatementKind::Assign { .. } => "assignment",
        StatementKind::If { .. } => "IF",
        StatementKind::Case { .. } => "CASE",
        StatementKind::Loop { .. } => "LOOP",
        StatementKind::While { .. } => "WHILE",
        StatementKind::ForInteger { .. } => "FOR with integer loop variable",
        StatementKind::ForQuery { query: Query::Static(_), .. } => "FOR over SELECT rows",
        StatementKind::ForQuery { .. } => "FOR over EXECUTE statement",
        StatementKind::ForCursor { .. } => "FOR over cursor",
        StatementKind::Open { .. } => "OPEN",
        StatementKind::Fetch { target: Some(_), .. } => "FETCH",
        StatementKind::Fetch { .. } => "MOVE",
        StatementKind::Close { .. } => "CLOSE",
        StatementKind::ForEach { .. } => "FOREACH over array",
        StatementKind::Exit { next: false, .. } => "EXIT",
        StatementKind::Exit { .. } => "CONTINUE",
        StatementKind::Return(_) | StatementKind::ReturnRow(_) => "RETURN",
        StatementKind::ReturnNext(_) => "RETURN NEXT",
        StatementKind::ReturnQuery(_) => "RETURN QUERY",
        StatementKind::Raise(_) => "RAISE",
        StatementKind::Assert { .. } => "ASSERT",
        StatementKind::Execute { query: Query::Static(_), .. } => "SQL statement",
        StatementKind::Execute { .. } => "EXECUTE",
        StatementKind::Perform(_) => "PERFORM",
        StatementKind::Call(_) => "CALL",
        StatementKind::Transaction { commit: true, .. } => "COMMIT",
        StatementKind::Transaction { commit: false, .. } => "ROLLBACK",
        StatementKind::Diagnostics { stacked: true, .. } => "GET STACKED DIAGNOSTICS",
        StatementKind::Diagnostics { .. } => "GET DIAGNOSTICS",
        StatementKind::Null => "NULL",
    }
}
