//! SET, SHOW and RESET.

use sqlparser::ast::{
    ContextModifier, Expr, Ident, ObjectName, Reset, Set, SetSessionAuthorizationParamKind,
    UnaryOperator, Value,
};
use vicinity_types::{Datum, PgError, Result, SqlState, oid};

use super::outcome::{Outcome, Rows, Tag, done};
use super::settings::{Source, find};
use super::{ddl, name};
use crate::call::PgType;
use crate::context::ExecContext;
use crate::session_state::SessionState;
use crate::sql::Modes;

/// Settings that take a list.
const LISTS: &[&str] = &[
    "search_path",
    "datestyle",
    "temp_tablespaces",
    "session_preload_libraries",
    "local_preload_libraries",
    "log_destination",
    "wal_consistency_checking",
    "createrole_self_grant",
];

/// One value of SET as text.
fn value_text(expr: &Expr) -> Result<String> {
    Ok(match expr {
        Expr::Value(v) => match &v.value {
            Value::SingleQuotedString(s) | Value::EscapedStringLiteral(s) => s.clone(),
            Value::DollarQuotedString(s) => s.value.clone(),
            Value::Boolean(b) => b.to_string(),
            other => other.to_string(),
        },
        Expr::Identifier(i) => name::ident(i),
        Expr::UnaryOp { op: op @ (UnaryOperator::Minus | UnaryOperator::Plus), expr } => {
            let inner = value_text(expr)?;
            if matches!(op, UnaryOperator::Minus) { format!("-{inner}") } else { inner }
        }
        other => other.to_string(),
    })
}

fn is_default(values: &[Expr]) -> bool {
    matches!(values, [Expr::Identifier(Ident { value, quote_style: None, .. })]
        if value.eq_ignore_ascii_case("default"))
}

/// The text a list of values makes.
fn joined(setting: &str, values: &[Expr]) -> Result<String> {
    if let [one] = values
        && !LISTS.contains(&setting.to_ascii_lowercase().as_str())
    {
        return value_text(one);
    }
    if values.len() > 1 && !LISTS.contains(&setting.to_ascii_lowercase().as_str()) {
        return Err(PgError::new(
            SqlState::INVALID_PARAMETER_VALUE,
            format!("SET {setting} takes only one argument"),
        ));
    }
    let quoted = setting.eq_ignore_ascii_case("search_path");
    let parts = values
        .iter()
        .map(|v| Ok(if quoted { crate::names::quote(&value_text(v)?) } else { value_text(v)? }))
        .collect::<Result<Vec<_>>>()?;
    Ok(parts.join(", "))
}

/// The text that values make which are texts already: those of `ALTER ROLE ... SET`.
pub(crate) fn listed(setting: &str, values: &[String]) -> Result<String> {
    let value =
        |text: &String| Expr::Value(Value::SingleQuotedString(text.clone()).with_empty_span());
    joined(setting, &values.iter().map(value).collect::<Vec<_>>())
}

pub(crate) fn warn_local(ctx: &ExecContext, in_block: bool, what: &str) {
    if !in_block {
        super::transaction::warn_no_block(&ctx.session, what);
    }
}

/// Sets a setting, with what some of them mean beyond their value.
pub(crate) fn assign(
    ctx: &ExecContext,
    setting: &str,
    value: Option<&str>,
    local: bool,
) -> Result<()> {
    let source = if local { Source::Local } else { Source::Session };
    if let Some(value) = value {
        match setting.to_ascii_lowercase().as_str() {
            "role" | "session_authorization" if value != "none" => {
                ddl::role::check_becomes(ctx, setting, value)?;
            }
            "transaction_isolation" => {
                let canonical = value.to_ascii_lowercase();
                super::transaction::isolation_named(&canonical)
                    .map(|level| ctx.txn.set_isolation(level))
                    .transpose()?;
            }
            "transaction_read_only" => {
                let on = matches!(value.to_ascii_lowercase().as_str(), "on" | "true" | "1" | "yes");
                ctx.txn.set_read_only(on)?;
            }
            "transaction_deferrable" => {
                let on = matches!(value.to_ascii_lowercase().as_str(), "on" | "true" | "1" | "yes");
                ctx.txn.set_deferrable(on)?;
            }
            _ => {}
        }
    }
    ctx.session.change_settings(|s| match value {
        Some(value) => s.set(setting, value, source, true),
        None => s.reset(setting, source, true),
    })
}

/// Runs SET (but for SET TRANSACTION, which is the session's).
pub(crate) fn set(ctx: &ExecContext, s: &Set, in_block: bool) -> Result<Outcome> {
    match s {
        Set::SingleAssignment { scope, hivevar: false, variable, values } => {
            let local = match scope {
                Some(ContextModifier::Local) => true,
                Some(ContextModifier::Global) => return Err(PgError::unsupported("SET GLOBAL")),
                _ => false,
            };
            if local {
                warn_local(ctx, in_block, "SET LOCAL");
            }
            let setting = name::shown(variable);
            if is_default(values) {
                assign(ctx, &setting, None, local)?;
            } else {
                assign(ctx, &setting, Some(&joined(&setting, values)?), local)?;
            }
        }
        Set::SetTimeZone { local, value } => {
            if *local {
                warn_local(ctx, in_block, "SET LOCAL");
            }
            let text = zone_text(value)?;
            assign(ctx, "TimeZone", text.as_deref(), *local)?;
        }
        Set::SetNames { charset_name, .. } => {
            assign(ctx, "client_encoding", Some(&charset_name.value), false)?;
        }
        Set::SetNamesDefault {} => assign(ctx, "client_encoding", None, false)?,
        Set::SetRole { context_modifier, role_name } => {
            let local = matches!(context_modifier, Some(ContextModifier::Local));
            let role = role_name.as_ref().map_or("none".to_owned(), name::ident);
            assign(ctx, "role", Some(&role), local)?;
        }
        Set::SetSessionAuthorization(p) => {
            let local = matches!(p.scope, ContextModifier::Local);
            match &p.kind {
                SetSessionAuthorizationParamKind::Default => {
                    assign(ctx, "session_authorization", None, local)?;
                }
                SetSessionAuthorizationParamKind::User(user) => {
                    assign(ctx, "session_authorization", Some(&name::ident(user)), local)?;
                }
            }
        }
        _ => return Err(PgError::unsupported("this form of SET")),
    }
    Ok(done("SET"))
}

/// `SET SESSION CHARACTERISTICS AS TRANSACTION`
pub(crate) fn characteristics(ctx: &ExecContext, modes: &Modes) -> Result<Outcome> {
    let word = |on: bool| if on { "on" } else { "off" };
    let isolation = modes.isolation.map(super::transaction::isolation_name);
    let assigned = [
        ("default_transaction_isolation", isolation),
        ("default_transaction_read_only", modes.read_only.map(word)),
        ("default_transaction_deferrable", modes.deferrable.map(word)),
    ];
    for (setting, value) in assigned {
        if value.is_some() {
            assign(ctx, setting, value, false)?;
        }
    }
    Ok(done("SET"))
}

/// `SET TIME ZONE`: LOCAL and DEFAULT go back; numbers are hours, intervals exact.
fn zone_text(value: &Expr) -> Result<Option<String>> {
    match value {
        Expr::Identifier(i)
            if i.quote_style.is_none()
                && (i.value.eq_ignore_ascii_case("local")
                    || i.value.eq_ignore_ascii_case("default")) =>
        {
            Ok(None)
        }
        Expr::Interval(i) => {
            let text = value_text(&i.value)?;
            let hours = text.trim().trim_start_matches('+');
            let (sign, rest) = match hours.strip_prefix('-') {
                Some(rest) => (-1.0, rest),
                None => (1.0, hours),
            };
            let (h, m) = rest.split_once(':').unwrap_or((rest, "0"));
            match (h.parse::<f64>(), m.parse::<f64>()) {
                (Ok(h), Ok(m)) => Ok(Some(format!("{}", sign * (h + m / 60.0)))),
                _ => Err(PgError::invalid_input("interval", &text)),
            }
        }
        other => value_text(other).map(Some),
    }
}

/// Runs RESET.
pub(crate) fn reset(ctx: &ExecContext, r: &Reset) -> Result<Outcome> {
    match r {
        Reset::ALL => ctx.session.change_settings(|s| s.reset_all()),
        Reset::ConfigurationParameter(setting) => {
            assign(ctx, &setting_name(&setting_parts(setting)), None, false)?;
        }
    }
    Ok(done("RESET"))
}

fn setting_parts(setting: &ObjectName) -> Vec<String> {
    name::parts(setting)
}

/// `TIME ZONE`, `SESSION AUTHORIZATION` and their kin are settings under another name.
fn setting_name(words: &[String]) -> String {
    let lower: Vec<String> = words.iter().map(|w| w.to_ascii_lowercase()).collect();
    let lower: Vec<&str> = lower.iter().map(String::as_str).collect();
    match lower.as_slice() {
        ["time", "zone"] | ["timezone"] => "TimeZone".to_owned(),
        ["transaction", "isolation", "level"] => "transaction_isolation".to_owned(),
        ["session", "authorization"] => "session_authorization".to_owned(),
        _ => words.join("."),
    }
}

fn text_column(own: &str) -> (String, PgType) {
    (own.to_owned(), PgType::new(oid::TEXT))
}

/// Columns of SHOW's result.
pub(crate) fn show_columns(words: &[Ident]) -> Vec<(String, PgType)> {
    let setting = setting_name(&words.iter().map(name::ident).collect::<Vec<_>>());
    if setting.eq_ignore_ascii_case("all") {
        return ["name", "setting", "description"].map(text_column).to_vec();
    }
    let own = find(&setting).map_or(setting.as_str(), |s| s.name);
    vec![text_column(own)]
}

/// Runs SHOW.
pub(crate) fn show(session: &SessionState, words: &[Ident]) -> Result<Outcome> {
    let setting = setting_name(&words.iter().map(name::ident).collect::<Vec<_>>());
    let rows = if setting.eq_ignore_ascii_case("all") {
        let all = session.settings().all();
        all.into_iter()
            .map(|(s, value)| {
                vec![Datum::text(s.name), Datum::text(value), Datum::text(s.short_desc)]
            })
            .collect()
    } else {
        vec![vec![Datum::text(session.settings().show(&setting)?)]]
    };
    let rows = Rows { columns: show_columns(words), rows };
    Ok(Outcome { tag: Tag::new("SHOW"), rows: Some(rows) })
}
